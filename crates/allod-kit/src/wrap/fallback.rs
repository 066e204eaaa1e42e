//! Fallback: a second allocator answers where the first refuses.
//!
//! An arena on the stack that spills into the heap; a pool that overflows; a
//! region of fast memory before one of slow memory. The idea, and the word, are
//! Andrei Alexandrescu's (CppCon 2015).
#![allow(unsafe_code)]

use super::{globally, move_to};
use crate::{AllocError, Allocator, FromGlobal, Owns, nothing};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

/// `P`, and where it refuses `F`.
///
/// `P` has to know its blocks ([`Owns`]), since a block that comes back does not
/// say whose it is. A block that grows moves from `P` to `F` when it has to, and
/// back only if `F` refuses.
///
/// ```
/// use allod_kit::{Allocator, Fallback, FromGlobal, Refuse};
/// use std::alloc::{Layout, System};
///
/// let heap = Fallback::new(Refuse, FromGlobal::new(System));
/// let layout = Layout::new::<u64>();
/// let block = heap.allocate(layout)?;
/// // SAFETY: the block is `heap`'s, of this layout, and not used again.
/// unsafe { heap.deallocate(block.cast(), layout) };
/// # Ok::<(), allod_kit::AllocError>(())
/// ```
///
/// # What it costs
///
/// *Time.* The question whose it is for each block that comes back. *Memory.* None.
///
/// # When not to use it
///
/// With a first allocator that is nearly always full: each request asks it in vain.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Fallback<P, F> {
    first: P,
    second: F,
}

impl<P, F> Fallback<P, F> {
    /// Asks `first`, then `second`.
    pub const fn new(first: P, second: F) -> Self {
        Fallback { first, second }
    }

    /// The one that is asked first.
    pub const fn first(&self) -> &P {
        &self.first
    }

    /// The one that is asked where the first refuses.
    pub const fn second(&self) -> &F {
        &self.second
    }
}

// SAFETY: a block of bytes is one of `first` or of `second`, and `owns` tells
// which. Blocks of no bytes are nobody's.
unsafe impl<P: Allocator + Owns, F: Allocator> Allocator for Fallback<P, F> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        self.first.allocate(layout).or_else(|_| self.second.allocate(layout))
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        self.first.allocate_zeroed(layout).or_else(|_| self.second.allocate_zeroed(layout))
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() == 0 {
            return;
        }
        if self.first.owns(block, layout) {
            // SAFETY: the block is the first's, and the caller gives it up.
            unsafe { self.first.deallocate(block, layout) };
        } else {
            // SAFETY: so it is the second's.
            unsafe { self.second.deallocate(block, layout) };
        }
    }

    #[inline]
    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if old.size() == 0 {
            return self.allocate(new);
        }
        if new.size() == 0 {
            // SAFETY: the caller gives the old block up.
            unsafe { self.deallocate(block, old) };
            return Ok(nothing(new));
        }
        if self.first.owns(block, old) {
            // SAFETY: the block is the first's.
            let here = unsafe { self.first.reallocate(block, old, new) };
            // SAFETY: the first has refused, so the block is as it was.
            here.or_else(|_| unsafe { move_to(&self.first, &self.second, block, old, new) })
        } else {
            // SAFETY: the block is the second's.
            let here = unsafe { self.second.reallocate(block, old, new) };
            // SAFETY: the second has refused, so the block is as it was.
            here.or_else(|_| unsafe { move_to(&self.second, &self.first, block, old, new) })
        }
    }

    #[inline]
    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // Blocks of bytes and of none are not each other's.
        if old.size() == 0 || new.size() == 0 {
            return Err(AllocError);
        }
        if self.first.owns(block, old) {
            // SAFETY: the block is the first's.
            unsafe { self.first.reallocate_in_place(block, old, new) }
        } else {
            // SAFETY: so it is the second's.
            unsafe { self.second.reallocate_in_place(block, old, new) }
        }
    }

    #[inline]
    unsafe fn usable_size(&self, block: NonNull<u8>, layout: Layout) -> usize {
        if layout.size() == 0 {
            return 0;
        }
        if self.first.owns(block, layout) {
            // SAFETY: the block is the first's.
            unsafe { self.first.usable_size(block, layout) }
        } else {
            // SAFETY: so it is the second's.
            unsafe { self.second.usable_size(block, layout) }
        }
    }
}

// SAFETY: its blocks are those of the two, and each knows its own.
unsafe impl<P: Owns, F: Owns> Owns for Fallback<P, F> {
    #[inline]
    fn owns(&self, address: NonNull<u8>, layout: Layout) -> bool {
        self.first.owns(address, layout) || self.second.owns(address, layout)
    }
}

globally!(
    [P: GlobalAlloc + Owns, F: GlobalAlloc] Fallback<P, F>, Fallback<FromGlobal<P>, FromGlobal<F>>
);
crate::adapt!([P: Allocator + Owns, F: Allocator] Fallback<P, F>);
