//! Where a slab's slots are: three answers, one trait.
//!
//! The trait is sealed. A slab knows which slots are in use; a store only has
//! them, and may get more.
#![allow(unsafe_code)]

use crate::allocator::{AllocError, Allocator};
use core::alloc::Layout;
use core::fmt;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::NonNull;

/// Room for one `T` in a slab: a generation of 4 bytes, and the value or 4 bytes.
#[repr(transparent)]
pub struct SlabSlot<T>(MaybeUninit<Place<T>>);

/// A slot that has been used.
pub(super) struct Place<T> {
    /// Odd while a value is here. 0 once all odd numbers are spent.
    pub(super) generation: u32,
    pub(super) content: Content<T>,
}

pub(super) union Content<T> {
    /// Of a free place: the next on the list.
    pub(super) next: u32,
    pub(super) value: ManuallyDrop<T>,
}

impl<T> SlabSlot<T> {
    /// A slot with nothing in it.
    pub const fn new() -> Self {
        Self(MaybeUninit::uninit())
    }
}

impl<T> Default for SlabSlot<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for SlabSlot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SlabSlot")
    }
}

/// What can hold the slots of a [`Slab`](super::Slab): a mutable slice of
/// [`SlabSlot`]s, an array of them, or [`Growing`].
///
/// # Safety
///
/// `places` is one piece of memory for `count` places that is the store's own,
/// and stays as it is until the store is moved, dropped or grown. Growing keeps
/// the places that were there.
#[diagnostic::on_unimplemented(message = "`{Self}` cannot hold the slots of a slab of `{T}`")]
pub unsafe trait Store<T>: sealed::Sealed<T> {}

// SAFETY: each of the three is checked beside its `Sealed`.
unsafe impl<T, S: sealed::Sealed<T>> Store<T> for S {}

pub(super) mod sealed {
    use super::{AllocError, NonNull, Place};

    #[allow(private_interfaces, reason = "nobody outside can name the trait")]
    pub trait Sealed<T> {
        fn places(&self) -> NonNull<Place<T>>;
        fn places_mut(&mut self) -> NonNull<Place<T>>;
        fn count(&self) -> usize;
        /// More places than before, or an error and all as it was.
        fn grow(&mut self, count: usize) -> Result<(), AllocError>;
    }
}

#[allow(private_interfaces, reason = "nobody outside can name the trait")]
impl<T> sealed::Sealed<T> for &mut [SlabSlot<T>] {
    #[inline]
    fn places(&self) -> NonNull<Place<T>> {
        NonNull::from_ref(&**self).cast()
    }

    #[inline]
    fn places_mut(&mut self) -> NonNull<Place<T>> {
        NonNull::from_mut(&mut **self).cast()
    }

    #[inline]
    fn count(&self) -> usize {
        self.len()
    }

    #[inline]
    fn grow(&mut self, _count: usize) -> Result<(), AllocError> {
        Err(AllocError)
    }
}

#[allow(private_interfaces, reason = "nobody outside can name the trait")]
impl<T, const N: usize> sealed::Sealed<T> for [SlabSlot<T>; N] {
    #[inline]
    fn places(&self) -> NonNull<Place<T>> {
        NonNull::from_ref(self).cast()
    }

    #[inline]
    fn places_mut(&mut self) -> NonNull<Place<T>> {
        NonNull::from_mut(self).cast()
    }

    #[inline]
    fn count(&self) -> usize {
        N
    }

    #[inline]
    fn grow(&mut self, _count: usize) -> Result<(), AllocError> {
        Err(AllocError)
    }
}

/// Slots in one block of an allocator, which is made larger when it is full.
pub struct Growing<T, A: Allocator> {
    places: NonNull<Place<T>>,
    count: usize,
    base: A,
}

// SAFETY: the block is the store's own.
unsafe impl<T: Send, A: Allocator + Send> Send for Growing<T, A> {}
// SAFETY: a shared store only lends shared values.
unsafe impl<T: Sync, A: Allocator + Sync> Sync for Growing<T, A> {}

impl<T, A: Allocator> Growing<T, A> {
    pub(super) const fn new(base: A) -> Self {
        Self { places: NonNull::dangling(), count: 0, base }
    }

    pub(super) const fn base(&self) -> &A {
        &self.base
    }
}

#[allow(private_interfaces, reason = "nobody outside can name the trait")]
impl<T, A: Allocator> sealed::Sealed<T> for Growing<T, A> {
    #[inline]
    fn places(&self) -> NonNull<Place<T>> {
        self.places
    }

    #[inline]
    fn places_mut(&mut self) -> NonNull<Place<T>> {
        self.places
    }

    #[inline]
    fn count(&self) -> usize {
        self.count
    }

    #[cold]
    fn grow(&mut self, count: usize) -> Result<(), AllocError> {
        let new = Layout::array::<Place<T>>(count).map_err(|_| AllocError)?;
        let block = if self.count == 0 {
            self.base.allocate(new)?
        } else {
            let old = Layout::array::<Place<T>>(self.count).map_err(|_| AllocError)?;
            // SAFETY: our block. `old` says no more than the base gave, and no
            // less than we asked for.
            unsafe { self.base.reallocate(self.places.cast(), old, new)? }
        };
        self.places = block.cast();
        // The base may have given more than we asked for.
        self.count = block.len() / size_of::<Place<T>>();
        Ok(())
    }
}

impl<T, A: Allocator> Drop for Growing<T, A> {
    fn drop(&mut self) {
        if self.count == 0 {
            return;
        }
        if let Ok(layout) = Layout::array::<Place<T>>(self.count) {
            // SAFETY: our block, as in `grow`.
            unsafe { self.base.deallocate(self.places.cast(), layout) };
        }
    }
}

impl<T, A: Allocator> fmt::Debug for Growing<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Growing").field("count", &self.count).finish_non_exhaustive()
    }
}
