//! The box: a value, a slice or a text on a stack, owned.
#![allow(unsafe_code)]

use super::{Base, Stack};
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// A value on a [`Stack`], owned. Dropping it drops the value and frees its
/// block: at once if it is topmost, else when those above it have gone. O(1).
pub struct StackBox<'m, T: ?Sized> {
    value: NonNull<T>,
    base: NonNull<Base>,
    owned: PhantomData<(&'m (), T)>,
}

impl<'m, T: ?Sized> StackBox<'m, T> {
    /// # Safety
    ///
    /// The value is nobody else's. If it has bytes, it is a block of the stack
    /// with this base, whose memory lives for `'m`.
    #[inline]
    pub(super) unsafe fn new(value: NonNull<T>, base: NonNull<Base>) -> Self {
        Self { value, base, owned: PhantomData }
    }

    /// The value for as long as the memory is the stack's. It is not dropped,
    /// and its block is freed with the scope it is in, or never.
    #[inline]
    pub fn leak(this: Self) -> &'m mut T {
        let mut this = ManuallyDrop::new(this);
        // SAFETY: nobody else has the value, and the block lives for `'m`.
        unsafe { this.value.as_mut() }
    }

    #[inline]
    fn back(&self) -> Back<'m> {
        let has_block = size_of_val(&**self) != 0;
        let stack = Stack { base: self.base, memory: PhantomData };
        Back { stack, block: has_block.then_some(self.value.cast()) }
    }
}

impl<T> StackBox<'_, T> {
    /// The value itself. Its block is freed.
    #[inline]
    pub fn into_inner(this: Self) -> T {
        let this = ManuallyDrop::new(this);
        let _back = this.back();
        // SAFETY: a box holds a value, and this one is not used again.
        unsafe { this.value.read() }
    }
}

/// Frees a block, unwinding or not.
struct Back<'m> {
    stack: Stack<'m>,
    block: Option<NonNull<u8>>,
}

impl Drop for Back<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(block) = self.block {
            // SAFETY: the box it came from had it, and is gone.
            unsafe { self.stack.give_up(block) };
        }
    }
}

impl<T: ?Sized> Drop for StackBox<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let _back = self.back();
        // SAFETY: the box holds a value and goes now.
        unsafe { self.value.drop_in_place() };
    }
}

impl<T: ?Sized> Deref for StackBox<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the box holds a value, and lends it for as long as itself.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for StackBox<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and we are borrowed alone.
        unsafe { self.value.as_mut() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for StackBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for StackBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
