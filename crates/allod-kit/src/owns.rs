//! Whose block is it? The question that a stack of allocators asks when a block
//! comes back.
//!
//! Some answer by address: an arena knows its chunks, a pool its slots. Some
//! answer by layout: what segregates by size need not look at the address. So
//! the question carries both, and whoever passes it on passes on both.
#![allow(unsafe_code)]

use crate::FromGlobal;
use core::alloc::Layout;
use core::ptr::NonNull;

/// An allocator that knows its own blocks.
///
/// Whoever has other allocators inside asks them only about blocks that may be
/// theirs: live ones, of one of the allocators in the stack, with a layout that
/// fits. The answer to any other question is worth nothing.
///
/// ```
/// use allod_kit::Owns;
/// use core::{alloc::Layout, ptr::NonNull};
///
/// /// Serves from one range of addresses.
/// struct Region {
///     start: NonNull<u8>,
///     size: usize,
/// }
///
/// // SAFETY: nobody else serves from this range.
/// unsafe impl Owns for Region {
///     fn owns(&self, address: NonNull<u8>, _: Layout) -> bool {
///         address.addr().get().wrapping_sub(self.start.addr().get()) < self.size
///     }
/// }
/// ```
///
/// # Safety
///
/// For an address within a live block of more than no bytes, and a layout that
/// fits the block: true if and only if the block is this allocator's.
pub unsafe trait Owns {
    /// Whether the block that this address lies in is this allocator's.
    fn owns(&self, address: NonNull<u8>, layout: Layout) -> bool;
}

// SAFETY: a reference stands for what it refers to.
unsafe impl<A: Owns + ?Sized> Owns for &A {
    #[inline]
    fn owns(&self, address: NonNull<u8>, layout: Layout) -> bool {
        (**self).owns(address, layout)
    }
}

// SAFETY: its blocks are those of the one below.
unsafe impl<G: Owns> Owns for FromGlobal<G> {
    #[inline]
    fn owns(&self, address: NonNull<u8>, layout: Layout) -> bool {
        self.inner().owns(address, layout)
    }
}
