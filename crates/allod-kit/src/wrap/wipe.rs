//! Wipe: overwrites what is given back, so that secrets do not outlive their
//! block.
//!
//! The writes are volatile: an ordinary write to memory that is about to be
//! freed is one that a compiler may leave out.
//!
//! It follows that a block never moves without its old place being wiped. So a
//! block grows where it is, or is copied and wiped; and it does not shrink in
//! place, since what it would leave behind could not be wiped before it is known
//! that it may go, nor after it has gone.
#![allow(unsafe_code)]

use super::{globally, move_to};
use crate::{AllocError, Allocator, FromGlobal, Owns};
use core::alloc::{GlobalAlloc, Layout};
use core::mem::size_of;
use core::ptr::NonNull;

/// An allocator whose memory is set to 0 when it comes back.
///
/// ```
/// use allod_kit::{Allocator, FromGlobal, Wipe};
/// use std::alloc::{Layout, System};
///
/// let keys = Wipe::new(FromGlobal::new(System));
/// let layout = Layout::new::<[u8; 32]>();
/// let key = keys.allocate(layout)?;
/// // SAFETY: the block is `keys`'s, of this layout, and not used again.
/// unsafe { keys.deallocate(key.cast(), layout) };
/// # Ok::<(), allod_kit::AllocError>(())
/// ```
///
/// # What it costs
///
/// *Time.* A write of every byte that a block holds, O(size), for each that comes
/// back or moves. *Memory.* None.
///
/// # When not to use it
///
/// As the only care for secrets: copies that a program makes of them elsewhere (its
/// stack, its registers) are not wiped.
#[doc(alias("zero", "zeroize"))]
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Wipe<A> {
    inner: A,
}

impl<A> Wipe<A> {
    /// Wipes what comes back to this one.
    pub const fn new(inner: A) -> Self {
        Wipe { inner }
    }

    /// The one below.
    pub const fn inner(&self) -> &A {
        &self.inner
    }
}

/// Sets bytes to 0, whatever the compiler thinks of it: words where they are
/// aligned, bytes before and after.
///
/// # Safety
///
/// So many bytes from here on are ours to write.
unsafe fn wipe(start: NonNull<u8>, count: usize) {
    let mut at = 0;
    while at < count {
        // SAFETY: `at` is below `count`.
        let place = unsafe { start.add(at) };
        if count - at >= size_of::<usize>() && place.cast::<usize>().is_aligned() {
            // SAFETY: a whole word is left, and it is aligned.
            unsafe { place.cast::<usize>().write_volatile(0) };
            at += size_of::<usize>();
        } else {
            // SAFETY: a byte is left.
            unsafe { place.write_volatile(0) };
            at += 1;
        }
    }
}

// SAFETY: every block is one of the allocator below, and comes back with what is
// in it overwritten.
unsafe impl<A: Allocator> Allocator for Wipe<A> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.inner.allocate(layout)
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.inner.allocate_zeroed(layout)
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the block is live and has this layout.
        let held = unsafe { self.inner.usable_size(block, layout) };
        // SAFETY: the block holds so many bytes, and the caller gives it up.
        unsafe { wipe(block, held) };
        // SAFETY: the caller's promise is the same.
        unsafe { self.inner.deallocate(block, layout) };
    }

    #[inline]
    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise is the same.
        let here = unsafe { self.reallocate_in_place(block, old, new) };
        // SAFETY: the block is as it was.
        here.or_else(|_| unsafe { move_to(self, self, block, old, new) })
    }

    #[inline]
    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the block is live and has this layout.
        if new.size() < unsafe { self.inner.usable_size(block, old) } {
            return Err(AllocError);
        }
        // SAFETY: the caller's promise is the same.
        unsafe { self.inner.reallocate_in_place(block, old, new) }
    }

    #[inline]
    unsafe fn usable_size(&self, block: NonNull<u8>, layout: Layout) -> usize {
        // SAFETY: the caller's promise is the same.
        unsafe { self.inner.usable_size(block, layout) }
    }
}

// SAFETY: its blocks are those of the one below.
unsafe impl<A: Owns> Owns for Wipe<A> {
    #[inline]
    fn owns(&self, address: NonNull<u8>, layout: Layout) -> bool {
        self.inner.owns(address, layout)
    }
}

globally!([A: GlobalAlloc] Wipe<A>, Wipe<FromGlobal<A>>);
crate::adapt!([A: Allocator] Wipe<A>);
