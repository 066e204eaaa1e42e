//! The arena as an allocator: `&Bump`, never `Bump`.
//!
//! Only the last block comes back, and only the last block grows: it is the one
//! that ends at `pos`. It grows in place as far as the tail goes, without
//! moving a byte. Any block shrinks in place; the last one gives back what it
//! no longer has.
//!
//! A block of no bytes may be anywhere, so giving one back may look like giving
//! back the last block, and then moves `pos` to where it is already.
#![allow(unsafe_code)]

use core::alloc::Layout;
use core::ptr::NonNull;

use super::Bump;
use super::fit::{self, round};
use super::source::Source;
use crate::{AllocError, Allocator, addr};

impl<A: Source, const MIN_ALIGN: usize> Bump<A, MIN_ALIGN> {
    /// Whether the block is the last one.
    #[inline(always)]
    fn is_last(&self, block: NonNull<u8>, size: usize) -> bool {
        let behind = block.addr().get().wrapping_add(round(size, MIN_ALIGN));
        behind == self.pos.get().addr().get()
    }

    /// Moves `pos` so that a block, the last one, has another size. The result
    /// may touch all of it, even if the argument may not.
    #[inline(always)]
    fn resize_last(&self, block: NonNull<u8>, size: usize) -> Option<NonNull<u8>> {
        let (start, pos, end) = (block.addr().get(), self.pos.get(), self.end.get());
        let next = fit::resized(start, end.addr().get(), size, MIN_ALIGN)?;
        let block = addr::at(pos, start);
        // SAFETY: `next` is between the block and `end` (B1).
        self.pos.set(unsafe { block.byte_add(next.wrapping_sub(start)) });
        Some(block)
    }

    /// Another size for a block where it is, if that can be.
    #[inline(always)]
    fn resize(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        if new.align() > old.align() && !addr::is_aligned(block.addr().get(), new.align()) {
            return None;
        }
        if self.is_last(block, old.size()) {
            return self.resize_last(block, new.size());
        }
        (new.size() <= old.size()).then_some(block)
    }
}

fn slice(block: NonNull<u8>, layout: Layout) -> NonNull<[u8]> {
    NonNull::slice_from_raw_parts(block, layout.size())
}

// SAFETY: a block stays where it is until it is given back or the arena, which
// is borrowed, is gone (B2). Copies of the reference are the same arena.
unsafe impl<A: Source, const MIN_ALIGN: usize> Allocator for &Bump<A, MIN_ALIGN> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        Ok(slice(self.block(layout, false)?, layout))
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.block(layout, false)?;
        // SAFETY: the block is that long.
        unsafe { block.write_bytes(0, layout.size()) };
        Ok(slice(block, layout))
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if self.is_last(block, layout.size()) {
            let back = round(layout.size(), MIN_ALIGN);
            // SAFETY: the block is that long, and ends at `pos`.
            self.pos.set(unsafe { self.pos.get().byte_sub(back) });
        }
    }

    #[inline]
    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if let Some(block) = self.resize(block, old, new) {
            return Ok(slice(block, new));
        }
        let fresh = self.block(new, false)?;
        let both = old.size().min(new.size());
        // SAFETY: both have that many bytes, and the new one is nobody else's.
        unsafe { fresh.copy_from_nonoverlapping(block, both) };
        Ok(slice(fresh, new))
    }

    #[inline]
    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        self.resize(block, old, new).map(|block| slice(block, new)).ok_or(AllocError)
    }

    #[inline]
    unsafe fn usable_size(&self, _block: NonNull<u8>, layout: Layout) -> usize {
        layout.size()
    }
}

crate::adapt!(['a, A: Source, const MIN_ALIGN: usize] &'a Bump<A, MIN_ALIGN>);
