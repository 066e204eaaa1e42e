//! Refuse: an allocator without memory.
//!
//! The end of a stack where nothing is to follow, and the first of a stack whose
//! fallback is to be tested.
#![allow(unsafe_code)]

use crate::{AllocError, Allocator, Owns, nothing};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

/// Refuses every request that has bytes.
///
/// # What it costs
///
/// Nothing.
///
/// # When not to use it
///
/// Where something else could follow: `Fallback<A, Refuse>` is `A`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refuse;

impl Refuse {
    #[inline]
    fn answer(layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 { Ok(nothing(layout)) } else { Err(AllocError) }
    }
}

// SAFETY: there are no blocks but those of no bytes, which are nobody's.
unsafe impl Allocator for Refuse {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        Self::answer(layout)
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        Self::answer(layout)
    }

    #[inline]
    unsafe fn deallocate(&self, _: NonNull<u8>, _: Layout) {}

    #[inline]
    unsafe fn reallocate(
        &self,
        _: NonNull<u8>,
        _: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        Self::answer(new)
    }

    #[inline]
    unsafe fn reallocate_in_place(
        &self,
        _: NonNull<u8>,
        _: Layout,
        _: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        Err(AllocError)
    }

    #[inline]
    unsafe fn usable_size(&self, _: NonNull<u8>, _: Layout) -> usize {
        0
    }
}

// SAFETY: it has no blocks of bytes.
unsafe impl Owns for Refuse {
    #[inline]
    fn owns(&self, _: NonNull<u8>, _: Layout) -> bool {
        false
    }
}

// SAFETY: no memory is given.
unsafe impl GlobalAlloc for Refuse {
    #[inline]
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        ptr::null_mut()
    }

    #[inline]
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

crate::adapt!(Refuse);
