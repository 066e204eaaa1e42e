//! A place for an element in a queue that threads share: written by one, read
//! by another. Under loom it is loom's cell, which objects when two touch it and
//! nothing puts them in order.
#![allow(unsafe_code)]

use core::mem::MaybeUninit;

#[cfg(not(loom))]
use core::cell::UnsafeCell;
#[cfg(loom)]
use loom::cell::UnsafeCell;

pub(super) use crate::atomics::{AtomicUsize, Ordering};

/// Room for one element.
#[derive(Debug)]
pub(super) struct Place<T>(UnsafeCell<MaybeUninit<T>>);

impl<T> Place<T> {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Place(UnsafeCell::new(MaybeUninit::uninit()))
    }

    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Place(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// Writes an element.
    ///
    /// # Safety
    ///
    /// Nobody else touches the place, and what they did before is before this.
    #[inline]
    pub(super) unsafe fn write(&self, item: T) {
        // SAFETY: the caller's promise.
        self.with(|place| unsafe { place.write(MaybeUninit::new(item)) });
    }

    /// Moves the element out.
    ///
    /// # Safety
    ///
    /// As for [`write`](Place::write), and an element is there.
    #[inline]
    pub(super) unsafe fn read(&self) -> T {
        // SAFETY: the caller's promise.
        let item = self.with(|place| unsafe { place.read() });
        // SAFETY: as above: it was written.
        unsafe { item.assume_init() }
    }

    /// The element, where it is.
    ///
    /// # Safety
    ///
    /// As for [`read`](Place::read), as long as the reference lives.
    #[inline]
    pub(super) unsafe fn get(&self) -> &T {
        let place = self.with(|place| place.cast::<T>().cast_const());
        // SAFETY: the caller's promise.
        unsafe { &*place }
    }

    #[cfg(not(loom))]
    #[inline]
    fn with<R>(&self, touch: impl FnOnce(*mut MaybeUninit<T>) -> R) -> R {
        touch(self.0.get())
    }

    #[cfg(loom)]
    fn with<R>(&self, touch: impl FnOnce(*mut MaybeUninit<T>) -> R) -> R {
        self.0.with_mut(touch)
    }
}
