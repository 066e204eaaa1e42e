//! Where an arena's memory comes from: an allocator, a buffer, or one after
//! the other.
#![allow(unsafe_code)]

use core::alloc::Layout;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use crate::{AllocError, Allocator};

/// What an arena takes its chunks from. Every [`Allocator`] is one; so is a
/// [`Buffer`], which has none to give. There is nothing in it for you to write.
///
/// # Safety
///
/// As for an [`Allocator`], with `take` and `give` for its two operations; the
/// buffer is the arena's alone as long as the arena lives.
pub unsafe trait Source {
    /// Whether there may ever be a chunk.
    #[doc(hidden)]
    const GROWS: bool;

    /// Memory to begin with.
    #[doc(hidden)]
    #[inline]
    fn buffer(&self) -> Option<NonNull<[u8]>> {
        None
    }

    #[doc(hidden)]
    fn take(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError>;

    /// # Safety
    ///
    /// The block came from `take`, with this alignment and a size that fits,
    /// and is not used again.
    #[doc(hidden)]
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout);
}

// SAFETY: passed on as it is.
unsafe impl<A: Allocator> Source for A {
    const GROWS: bool = true;

    #[inline]
    fn take(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.allocate(layout)
    }

    #[inline]
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { self.deallocate(block, layout) };
    }
}

/// Behind a [`Buffer`]: there is nothing. Not an allocator, so that the
/// compiler knows, and leaves out whatever deals with chunks.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

/// A caller's buffer, such as an array on the stack, and what to go on with
/// when it is full: nothing, or an allocator.
///
/// Made by [`Bump::on`](super::Bump::on) and
/// [`Bump::on_and_then`](super::Bump::on_and_then). Two words beside the arena.
#[derive(Debug)]
pub struct Buffer<'b, A = Nothing> {
    bytes: NonNull<[u8]>,
    then: A,
    lent: PhantomData<&'b mut [MaybeUninit<u8>]>,
}

// SAFETY: a buffer is a `&mut [MaybeUninit<u8>]`, which is `Send`.
unsafe impl<A: Send> Send for Buffer<'_, A> {}

impl<'b, A> Buffer<'b, A> {
    pub(super) fn new(bytes: &'b mut [MaybeUninit<u8>], then: A) -> Self {
        let start = NonNull::from(&mut *bytes).cast::<u8>();
        let bytes = NonNull::slice_from_raw_parts(start, bytes.len());
        Buffer { bytes, then, lent: PhantomData }
    }
}

// SAFETY: the buffer is lent to us alone for `'b`. There are no blocks.
unsafe impl Source for Buffer<'_, Nothing> {
    const GROWS: bool = false;

    #[inline]
    fn buffer(&self) -> Option<NonNull<[u8]>> {
        Some(self.bytes)
    }

    #[inline]
    fn take(&self, _layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        Err(AllocError)
    }

    #[inline]
    unsafe fn give(&self, _block: NonNull<u8>, _layout: Layout) {}
}

// SAFETY: the buffer is lent to us alone for `'b`. The blocks are the
// allocator's.
unsafe impl<A: Allocator> Source for Buffer<'_, A> {
    const GROWS: bool = true;

    #[inline]
    fn buffer(&self) -> Option<NonNull<[u8]>> {
        Some(self.bytes)
    }

    #[inline]
    fn take(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.then.allocate(layout)
    }

    #[inline]
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { self.then.deallocate(block, layout) };
    }
}
