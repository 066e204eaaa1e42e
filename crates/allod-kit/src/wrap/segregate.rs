//! Segregate: small blocks from one allocator, large ones from another.
//!
//! Whose a block is follows from its size, so nobody is asked. That holds only
//! if a block comes back with a size on the same side of the border: so a small
//! block never says that it has more than `MOST` bytes.
#![allow(unsafe_code)]

use super::{globally, move_to};
use crate::{AllocError, Allocator, FromGlobal, Owns};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

/// Up to `MOST` bytes from `S`, more from `L`.
///
/// A block that crosses the border moves. If the small one is full the
/// request is refused: put a [`Fallback`](crate::Fallback) around it.
///
/// ```
/// use allod_kit::{Allocator, Count, FromGlobal, Segregate};
/// use std::alloc::{Layout, System};
///
/// let system = || Count::new(FromGlobal::new(System));
/// let heap = Segregate::<256, _, _>::new(system(), system());
/// for layout in [Layout::new::<[u8; 256]>(), Layout::new::<[u8; 257]>()] {
///     let block = heap.allocate(layout)?;
///     // SAFETY: the block is `heap`'s, of this layout, and not used again.
///     unsafe { heap.deallocate(block.cast(), layout) };
/// }
/// assert_eq!(heap.small().counts().total_bytes, 256);
/// assert_eq!(heap.large().counts().total_bytes, 257);
/// # Ok::<(), allod_kit::AllocError>(())
/// ```
///
/// # What it costs
///
/// *Time.* One comparison, which is gone where the layout is a constant. *Memory.*
/// None.
///
/// # When not to use it
///
/// Where blocks often grow over the border: each is copied.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Segregate<const MOST: usize, S, L> {
    small: S,
    large: L,
}

impl<const MOST: usize, S, L> Segregate<MOST, S, L> {
    /// Up to `MOST` bytes from `small`, more from `large`.
    pub const fn new(small: S, large: L) -> Self {
        Segregate { small, large }
    }

    /// Who serves up to `MOST` bytes.
    pub const fn small(&self) -> &S {
        &self.small
    }

    /// Who serves more.
    pub const fn large(&self) -> &L {
        &self.large
    }
}

/// A small block, which hides what it has beyond the border.
#[inline]
fn cut(block: NonNull<[u8]>, most: usize) -> NonNull<[u8]> {
    NonNull::slice_from_raw_parts(block.cast(), block.len().min(most))
}

// SAFETY: a block is the small one's if its size is at most `MOST`, which all
// sizes that fit have in common, since returned lengths do.
unsafe impl<const MOST: usize, S: Allocator, L: Allocator> Allocator for Segregate<MOST, S, L> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() <= MOST {
            self.small.allocate(layout).map(|block| cut(block, MOST))
        } else {
            self.large.allocate(layout)
        }
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() <= MOST {
            self.small.allocate_zeroed(layout).map(|block| cut(block, MOST))
        } else {
            self.large.allocate_zeroed(layout)
        }
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() <= MOST {
            // SAFETY: the block is the small one's, and the caller gives it up.
            unsafe { self.small.deallocate(block, layout) };
        } else {
            // SAFETY: the same for the large one's.
            unsafe { self.large.deallocate(block, layout) };
        }
    }

    #[inline]
    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        match (old.size() <= MOST, new.size() <= MOST) {
            (true, true) => {
                // SAFETY: the block is the small one's.
                let here = unsafe { self.small.reallocate(block, old, new) };
                here.map(|block| cut(block, MOST))
            }
            // SAFETY: the block is the large one's.
            (false, false) => unsafe { self.large.reallocate(block, old, new) },
            // SAFETY: the block is the small one's.
            (true, false) => unsafe { move_to(&self.small, &self.large, block, old, new) },
            (false, true) => {
                // SAFETY: the block is the large one's.
                let there = unsafe { move_to(&self.large, &self.small, block, old, new) };
                there.map(|block| cut(block, MOST))
            }
        }
    }

    #[inline]
    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        match (old.size() <= MOST, new.size() <= MOST) {
            (true, true) => {
                // SAFETY: the block is the small one's.
                let here = unsafe { self.small.reallocate_in_place(block, old, new) };
                here.map(|block| cut(block, MOST))
            }
            // SAFETY: the block is the large one's.
            (false, false) => unsafe { self.large.reallocate_in_place(block, old, new) },
            _ => Err(AllocError),
        }
    }

    #[inline]
    unsafe fn usable_size(&self, block: NonNull<u8>, layout: Layout) -> usize {
        if layout.size() <= MOST {
            // SAFETY: the block is the small one's.
            unsafe { self.small.usable_size(block, layout) }.min(MOST)
        } else {
            // SAFETY: the block is the large one's.
            unsafe { self.large.usable_size(block, layout) }
        }
    }
}

// SAFETY: by the size it follows who of the two would have it, and that one
// knows.
unsafe impl<const MOST: usize, S: Owns, L: Owns> Owns for Segregate<MOST, S, L> {
    #[inline]
    fn owns(&self, address: NonNull<u8>, layout: Layout) -> bool {
        if layout.size() <= MOST {
            self.small.owns(address, layout)
        } else {
            self.large.owns(address, layout)
        }
    }
}

globally!(
    [const MOST: usize, S: GlobalAlloc, L: GlobalAlloc] Segregate<MOST, S, L>,
    Segregate<MOST, FromGlobal<S>, FromGlobal<L>>
);
crate::adapt!([const MOST: usize, S: Allocator, L: Allocator] Segregate<MOST, S, L>);
