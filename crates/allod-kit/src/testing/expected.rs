//! What an assertion expects of a number: the number itself, or a range.

use core::fmt::Debug;
use core::ops::{Range, RangeFrom, RangeInclusive, RangeTo, RangeToInclusive};

mod sealed {
    use super::{Range, RangeFrom, RangeInclusive, RangeTo, RangeToInclusive};

    pub trait Sealed {}
    impl Sealed for usize {}
    impl Sealed for Range<usize> {}
    impl Sealed for RangeFrom<usize> {}
    impl Sealed for RangeInclusive<usize> {}
    impl Sealed for RangeTo<usize> {}
    impl Sealed for RangeToInclusive<usize> {}
}

/// What a number is expected to be: `96`, `..=96`, `90..100`.
pub trait Expected: sealed::Sealed + Debug {
    /// Whether this number is.
    #[doc(hidden)]
    fn holds(&self, number: usize) -> bool;
}

impl Expected for usize {
    fn holds(&self, number: usize) -> bool {
        *self == number
    }
}

/// Ranges know it themselves.
macro_rules! ranges {
    ($($range:ident)*) => {$(
        impl Expected for $range<usize> {
            fn holds(&self, number: usize) -> bool {
                self.contains(&number)
            }
        }
    )*};
}

ranges!(Range RangeFrom RangeInclusive RangeTo RangeToInclusive);
