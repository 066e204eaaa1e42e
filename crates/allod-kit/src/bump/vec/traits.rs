//! What a vector has as a list of values: it compares, hashes, is borrowed and
//! written to as its slice.

use core::borrow::{Borrow, BorrowMut};
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

use super::Vec;
use crate::Allocator;
#[cfg(feature = "infallible")]
use crate::infallible::infallible;

#[cfg(feature = "infallible")]
impl<T: Clone, A: Allocator + Clone> Clone for Vec<T, A> {
    fn clone(&self) -> Self {
        infallible(self.try_clone(), core::alloc::Layout::for_value(&**self))
    }
}

#[cfg(feature = "infallible")]
impl<'v, T: Copy + 'v, A: Allocator> Extend<&'v T> for Vec<T, A> {
    fn extend<I: IntoIterator<Item = &'v T>>(&mut self, values: I) {
        self.extend(values.into_iter().copied());
    }
}

impl<T: Eq, A: Allocator> Eq for Vec<T, A> {}

impl<T: PartialOrd, A: Allocator, B: Allocator> PartialOrd<Vec<T, B>> for Vec<T, A> {
    fn partial_cmp(&self, other: &Vec<T, B>) -> Option<Ordering> {
        (**self).partial_cmp(&**other)
    }
}

impl<T: Ord, A: Allocator> Ord for Vec<T, A> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<T: Hash, A: Allocator> Hash for Vec<T, A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<T, A: Allocator> AsMut<[T]> for Vec<T, A> {
    fn as_mut(&mut self) -> &mut [T] {
        self
    }
}

impl<T, A: Allocator> Borrow<[T]> for Vec<T, A> {
    fn borrow(&self) -> &[T] {
        self
    }
}

impl<T, A: Allocator> BorrowMut<[T]> for Vec<T, A> {
    fn borrow_mut(&mut self) -> &mut [T] {
        self
    }
}

/// `write!` puts the bytes of its text in, and fails if there is no memory.
impl<A: Allocator> fmt::Write for Vec<u8, A> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.try_extend_from_slice(text.as_bytes()).map_err(|_| fmt::Error)
    }
}
