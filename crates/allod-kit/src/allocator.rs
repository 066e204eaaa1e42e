//! Our own allocator trait: five operations, stable, and ours to keep stable.
//!
//! The standard library's `Allocator` is not stable and still changes, and the
//! crates that stand in for it disagree with each other by version. This trait
//! is what our types implement; features add the others on top
//! (`adapters.rs`).
//!
//! It has two operations that the others lack: growing or shrinking *in place*
//! or not at all, and asking how much a block really holds.
#![allow(unsafe_code)]

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

/// There is no memory, or a size was past `isize::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocError;

impl fmt::Display for AllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no memory for the allocation")
    }
}

impl core::error::Error for AllocError {}

/// Something that hands out blocks of memory.
///
/// A layout of size 0 is legal and costs nothing. The slice that is returned
/// may be longer than asked for; a block may be given back with any size
/// between the two.
///
/// ```
/// use allod_kit::{AllocError, Allocator};
/// use core::alloc::Layout;
///
/// fn hold_a_hundred(from: &impl Allocator) -> Result<usize, AllocError> {
///     let layout = Layout::array::<u64>(100).map_err(|_| AllocError)?;
///     let block = from.allocate(layout)?;
///     // SAFETY: the block is `from`'s, of this layout, and not used again.
///     unsafe { from.deallocate(block.cast(), layout) };
///     Ok(block.len())
/// }
/// ```
///
/// # Safety
///
/// Blocks stay valid and are nobody else's until they are given back or the
/// allocator is gone, and moving or copying the handle changes nothing about
/// that. Nothing unwinds.
pub unsafe trait Allocator {
    /// A block for `layout`.
    ///
    /// # Errors
    ///
    /// There is no memory.
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError>;

    /// A block for `layout` whose bytes are all 0.
    ///
    /// # Errors
    ///
    /// There is no memory.
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError>;

    /// Gives a block back.
    ///
    /// # Safety
    ///
    /// The block came from this allocator with this alignment and a size that
    /// fits, and is not used again.
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout);

    /// Makes a block fit another layout, here or elsewhere, and keeps the bytes
    /// that both hold. The old block is gone on success, and as it was on failure.
    ///
    /// # Errors
    ///
    /// There is no memory.
    ///
    /// # Safety
    ///
    /// As for [`deallocate`](Allocator::deallocate), with the old layout.
    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError>;

    /// Makes a block fit another layout where it is, or changes nothing.
    ///
    /// # Errors
    ///
    /// It cannot be done without moving.
    ///
    /// # Safety
    ///
    /// As for [`reallocate`](Allocator::reallocate).
    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError>;

    /// Bytes that a block holds: at least its layout's size.
    ///
    /// # Safety
    ///
    /// The block came from this allocator, with this layout, and is live.
    unsafe fn usable_size(&self, block: NonNull<u8>, layout: Layout) -> usize;
}

// SAFETY: a reference stands for what it refers to, which stays where it is
// and alive for as long.
unsafe impl<A: Allocator + ?Sized> Allocator for &A {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        (**self).allocate(layout)
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        (**self).allocate_zeroed(layout)
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { (**self).deallocate(block, layout) };
    }

    #[inline]
    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise is the same.
        unsafe { (**self).reallocate(block, old, new) }
    }

    #[inline]
    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise is the same.
        unsafe { (**self).reallocate_in_place(block, old, new) }
    }

    #[inline]
    unsafe fn usable_size(&self, block: NonNull<u8>, layout: Layout) -> usize {
        // SAFETY: the caller's promise is the same.
        unsafe { (**self).usable_size(block, layout) }
    }
}

/// The block of a layout of size 0: aligned, of no bytes, and nobody's. For
/// those who write an allocator.
#[inline]
pub fn nothing(layout: Layout) -> NonNull<[u8]> {
    NonNull::slice_from_raw_parts(layout.dangling_ptr(), 0)
}
