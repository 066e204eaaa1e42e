//! The program's global allocator, as a base for ours. Needs the feature `alloc`.
#![allow(unsafe_code)]

use core::alloc::Layout;
use core::ptr::NonNull;

use crate::{AllocError, Allocator, nothing};

/// Whatever `#[global_allocator]` is. Of no size; every one is the same one.
///
/// It cannot resize in place, since Rust's global allocators
/// have no such operation, and knows of no bytes beyond those asked for.
///
/// ```
/// use allod_kit::{Bump, Global};
///
/// let arena = Bump::new_in(Global);
/// assert_eq!(*arena.alloc(7), 7);
/// ```
///
/// # What it costs
///
/// Each operation is the global allocator's operation of that name and costs what
/// that costs.
///
/// # When not to use it
///
/// Where `std`'s collections will do: they ask the same allocator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Global;

/// A pointer of the global allocator's, which says with null that it failed.
fn block(ptr: *mut u8, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
    let ptr = NonNull::new(ptr).ok_or(AllocError)?;
    Ok(NonNull::slice_from_raw_parts(ptr, layout.size()))
}

// SAFETY: the global allocator's contract is as strict, but for blocks of no
// bytes, which never reach it.
unsafe impl Allocator for Global {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        // SAFETY: the size is not 0.
        block(unsafe { alloc::alloc::alloc(layout) }, layout)
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        // SAFETY: the size is not 0.
        block(unsafe { alloc::alloc::alloc_zeroed(layout) }, layout)
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: the caller's block is of this layout. Its size is not 0,
            // so it came from the global allocator.
            unsafe { alloc::alloc::dealloc(block.as_ptr(), layout) };
        }
    }

    #[inline]
    unsafe fn reallocate(
        &self,
        old_block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if old.align() == new.align() && old.size() != 0 && new.size() != 0 {
            // SAFETY: the caller's block is of layout `old`; neither size is 0.
            let ptr = unsafe { alloc::alloc::realloc(old_block.as_ptr(), old, new.size()) };
            return block(ptr, new);
        }
        let fresh = self.allocate(new)?;
        let both = old.size().min(new.size());
        // SAFETY: both blocks have that many bytes, and are two blocks.
        unsafe { fresh.cast::<u8>().copy_from_nonoverlapping(old_block, both) };
        // SAFETY: the caller gives the old block up.
        unsafe { self.deallocate(old_block, old) };
        Ok(fresh)
    }

    #[inline]
    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if old == new {
            return Ok(NonNull::slice_from_raw_parts(block, new.size()));
        }
        Err(AllocError)
    }

    #[inline]
    unsafe fn usable_size(&self, _block: NonNull<u8>, layout: Layout) -> usize {
        layout.size()
    }
}

crate::adapt!(Global);
