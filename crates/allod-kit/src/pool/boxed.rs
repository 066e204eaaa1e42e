//! The box: a value in a pool's slot, owned.
//!
//! Two words: where the slot is, and where its pool's list is. The box drops
//! its value and puts the slot back. It can be taken apart both ways: the
//! value moves out and the slot goes back, or the value stays for as long as
//! the pool and the slot never goes back.
#![allow(unsafe_code)]

use super::{PoolSlot, Slots};
use core::borrow::{Borrow, BorrowMut};
use core::cmp::Ordering;
use core::fmt;
use core::future::Future;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context, Poll};

/// A value in a slot of a [`Pool`](crate::Pool) or a
/// [`GrowingPool`](crate::GrowingPool), owned. Dropping it drops the value and
/// frees the slot, in O(1).
pub struct PoolBox<'p, T> {
    slot: NonNull<PoolSlot<T>>,
    home: &'p Slots<T>,
    owned: PhantomData<T>,
}

impl<'p, T> PoolBox<'p, T> {
    /// # Safety
    ///
    /// The slot was taken from `home`, and is nobody's.
    #[inline]
    pub(super) unsafe fn fill(home: &'p Slots<T>, slot: NonNull<PoolSlot<T>>, value: T) -> Self {
        // SAFETY: the slot is ours, and a value fits.
        unsafe { slot.cast::<T>().write(value) };
        Self { slot, home, owned: PhantomData }
    }

    /// The same with a value that is made there. Unwinding out of `make` gives
    /// the slot back.
    ///
    /// # Safety
    ///
    /// As for `fill`.
    #[inline]
    pub(super) unsafe fn fill_with(
        home: &'p Slots<T>,
        slot: NonNull<PoolSlot<T>>,
        make: impl FnOnce() -> T,
    ) -> Self {
        let back = PutBack { slot, home };
        let value = make();
        let _ = ManuallyDrop::new(back);
        // SAFETY: the caller's promise.
        unsafe { Self::fill(home, slot, value) }
    }

    fn value(&self) -> NonNull<T> {
        self.slot.cast()
    }

    /// The value itself. Its slot is free again. An associated function, so
    /// that it hides no method of `T`.
    #[inline]
    pub fn into_inner(this: Self) -> T {
        let this = ManuallyDrop::new(this);
        // SAFETY: a box holds a value, and this one is not used again.
        let value = unsafe { this.value().read() };
        // SAFETY: the slot came from there, and is empty.
        unsafe { this.home.put(this.slot) };
        value
    }

    /// The value for as long as the pool is. It is never dropped and its slot
    /// never freed.
    #[inline]
    pub fn leak(this: Self) -> &'p mut T {
        let this = ManuallyDrop::new(this);
        // SAFETY: nobody else has the slot, and the pool outlives `'p`.
        unsafe { this.value().as_mut() }
    }
}

impl<T> PoolBox<'static, T> {
    /// The box, pinned: a value in a slot does not move. Only in a pool that is
    /// never gone: elsewhere a forgotten box would leave its value's memory to
    /// others without dropping it, which a pin forbids.
    #[inline]
    pub fn into_pin(this: Self) -> Pin<Self> {
        // SAFETY: moving the box does not move the value, and the slot is not
        // used again before the value was dropped: not if the box is forgotten
        // (the slot is then lost), and not by the pool's end (it has none).
        unsafe { Pin::new_unchecked(this) }
    }
}

struct PutBack<'p, T> {
    slot: NonNull<PoolSlot<T>>,
    home: &'p Slots<T>,
}

impl<T> Drop for PutBack<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: whoever made us has given up the slot.
        unsafe { self.home.put(self.slot) };
    }
}

impl<T> Drop for PoolBox<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Drop of the value may unwind; the slot goes back all the same.
        let _back = PutBack { slot: self.slot, home: self.home };
        // SAFETY: the box holds a value and goes now.
        unsafe { self.value().drop_in_place() };
    }
}

impl<T> Deref for PoolBox<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the box holds a value, and lends it for as long as itself.
        unsafe { self.value().as_ref() }
    }
}

impl<T> DerefMut for PoolBox<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and we are borrowed alone.
        unsafe { self.value().as_mut() }
    }
}

impl<T> AsRef<T> for PoolBox<'_, T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T> AsMut<T> for PoolBox<'_, T> {
    fn as_mut(&mut self) -> &mut T {
        self
    }
}

impl<T> Borrow<T> for PoolBox<'_, T> {
    fn borrow(&self) -> &T {
        self
    }
}

impl<T> BorrowMut<T> for PoolBox<'_, T> {
    fn borrow_mut(&mut self) -> &mut T {
        self
    }
}

impl<T: fmt::Debug> fmt::Debug for PoolBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for PoolBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: PartialEq> PartialEq for PoolBox<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for PoolBox<'_, T> {}

impl<T: PartialOrd> PartialOrd for PoolBox<'_, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (**self).partial_cmp(&**other)
    }
}

impl<T: Ord> Ord for PoolBox<'_, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<T: Hash> Hash for PoolBox<'_, T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<T: Future + Unpin> Future for PoolBox<'_, T> {
    type Output = T::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T::Output> {
        Pin::new(&mut **self).poll(context)
    }
}

// Moving the box does not move the value.
impl<T> Unpin for PoolBox<'_, T> {}
