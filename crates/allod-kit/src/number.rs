//! A number that is counted with: shared between threads, or for one thread.
//!
//! Wrappers that count take the kind of number as a parameter, so that a heap
//! that stays on one thread does not pay for atomic operations. What is shared
//! is an `AtomicUsize`; what is not is a `Cell<usize>`, and with it the wrapper
//! is not `Sync`.
//!
//! The numbers stand each for itself: nothing is inferred from one about
//! another, or about memory. So their operations are relaxed, but for the pair
//! `publish` and `observe`.

use core::cell::Cell;
// The compiler's where it has them, so that what `Shared` is does not depend on a
// feature there. Not loom's: its numbers are not `const`.
#[cfg(target_has_atomic = "ptr")]
use core::sync::atomic::{AtomicUsize, Ordering};
#[cfg(all(not(target_has_atomic = "ptr"), feature = "portable-atomic"))]
use portable_atomic::{AtomicUsize, Ordering};

/// What numbers are where nothing else is said: shared, if the target can.
#[cfg(any(target_has_atomic = "ptr", feature = "portable-atomic"))]
pub type Shared = AtomicUsize;
/// What numbers are where nothing else is said: this target cannot share any.
#[cfg(not(any(target_has_atomic = "ptr", feature = "portable-atomic")))]
pub type Shared = Cell<usize>;

mod sealed {
    pub trait Sealed {}
    impl Sealed for core::cell::Cell<usize> {}
    #[cfg(any(target_has_atomic = "ptr", feature = "portable-atomic"))]
    impl Sealed for super::AtomicUsize {}
}

/// A number: `AtomicUsize` if threads share it, `Cell<usize>` if not.
pub trait Number: sealed::Sealed {
    /// 0.
    #[doc(hidden)]
    const ZERO: Self;

    #[doc(hidden)]
    fn get(&self) -> usize;

    #[doc(hidden)]
    fn set(&self, value: usize);

    /// Adds, wrapping, and returns the sum.
    #[doc(hidden)]
    fn add(&self, value: usize) -> usize;

    /// Subtracts, wrapping.
    #[doc(hidden)]
    fn sub(&self, value: usize);

    /// Becomes what `step` makes of it, if that is something. Whether it is.
    #[doc(hidden)]
    fn update(&self, step: impl FnMut(usize) -> Option<usize>) -> bool;

    /// Writes a value, and what was written before, for `observe`.
    #[doc(hidden)]
    fn publish(&self, value: usize);

    /// Reads a value, and with it what was published before it.
    #[doc(hidden)]
    fn observe(&self) -> usize;
}

impl Number for Cell<usize> {
    const ZERO: Self = Cell::new(0);

    #[inline]
    fn get(&self) -> usize {
        Cell::get(self)
    }

    #[inline]
    fn set(&self, value: usize) {
        Cell::set(self, value);
    }

    #[inline]
    fn add(&self, value: usize) -> usize {
        let sum = Cell::get(self).wrapping_add(value);
        Cell::set(self, sum);
        sum
    }

    #[inline]
    fn sub(&self, value: usize) {
        Cell::set(self, Cell::get(self).wrapping_sub(value));
    }

    #[inline]
    fn update(&self, mut step: impl FnMut(usize) -> Option<usize>) -> bool {
        step(Cell::get(self)).map(|next| Cell::set(self, next)).is_some()
    }

    #[inline]
    fn publish(&self, value: usize) {
        Cell::set(self, value);
    }

    #[inline]
    fn observe(&self) -> usize {
        Cell::get(self)
    }
}

#[cfg(any(target_has_atomic = "ptr", feature = "portable-atomic"))]
impl Number for AtomicUsize {
    const ZERO: Self = AtomicUsize::new(0);

    #[inline]
    fn get(&self) -> usize {
        // ORDERING: relaxed, the number stands for itself.
        self.load(Ordering::Relaxed)
    }

    #[inline]
    fn set(&self, value: usize) {
        // ORDERING: relaxed, the number stands for itself.
        self.store(value, Ordering::Relaxed);
    }

    #[inline]
    fn add(&self, value: usize) -> usize {
        // ORDERING: relaxed, the number stands for itself.
        self.fetch_add(value, Ordering::Relaxed).wrapping_add(value)
    }

    #[inline]
    fn sub(&self, value: usize) {
        // ORDERING: relaxed, the number stands for itself.
        self.fetch_sub(value, Ordering::Relaxed);
    }

    #[inline]
    fn update(&self, mut step: impl FnMut(usize) -> Option<usize>) -> bool {
        // ORDERING: relaxed, the number stands for itself.
        let mut seen = self.load(Ordering::Relaxed);
        while let Some(next) = step(seen) {
            // ORDERING: acquire, so that who takes a slot of a trace by this
            // writes it after that; otherwise the number stands for itself.
            match self.compare_exchange_weak(seen, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(other) => seen = other,
            }
        }
        false
    }

    #[inline]
    fn publish(&self, value: usize) {
        // ORDERING: release, pairs with the acquire in `observe`.
        self.store(value, Ordering::Release);
    }

    #[inline]
    fn observe(&self) -> usize {
        // ORDERING: acquire, pairs with the release in `publish`.
        self.load(Ordering::Acquire)
    }
}
