//! Guard: canaries before and after every block, looked at when it comes back.
//!
//! ```text
//!   below:  +---------------+-------+-------+==================+----------+
//!           | (to align)    | size  |  key  |      block       | 16 bytes |
//!           +---------------+-------+-------+==================+----------+
//!                            <-- front canary                    back canary
//! ```
//!
//! The key follows from the block's address, so that no canary is right in
//! another place. The size is there as well, in disguise: a block that comes
//! back with another size than it has shows like one that was overrun. When a
//! block comes back its front canary is spoiled, so a second time shows too, for
//! as long as nobody has written there.
//!
//! # Invariants
//!
//! * G1. A block lies `front` bytes into a block of the allocator below, which
//!   ends [`BACK`] bytes after it; `front` follows from the alignment.
//! * G2. While it lives, the two words before it and the [`BACK`] bytes after it
//!   are its canaries, unless somebody has written out of bounds.
#![allow(unsafe_code)]

use super::globally;
use crate::{AllocError, Allocator, FromGlobal, Owns, nothing};
use core::alloc::{GlobalAlloc, Layout};
use core::mem::{align_of, size_of};
use core::ptr::NonNull;

/// Bytes of the canary after a block: a vector that was stored one too far.
const BACK: usize = 16;
/// Bytes of the canary before a block.
const FRONT: usize = 2 * size_of::<usize>();
/// What live keys are mixed with: half of its bits are set, and as a byte it is
/// no letter.
const LIVE: usize = 0x9d9c_9b93_8d8b_8783_u64 as usize;
/// What a key is mixed with once the block has come back.
const GONE: usize = !LIVE;

/// What a [`Guard`] has found broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum What {
    /// The canary before the block: a write before its start, or the block came
    /// back with another size than it has.
    Before,
    /// The canary after the block: a write past its end.
    After,
    /// The block has come back already.
    Gone,
}

/// A block that is not as it should be.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Broken {
    /// Where it starts.
    pub block: *const u8,
    /// The size with which it came back.
    pub size: usize,
    /// What is broken.
    pub what: What,
}

/// An allocator whose blocks are guarded by canaries.
///
/// A block that comes back broken is reported, and then is kept for ever: it is
/// never handed out again, and a change of its layout is refused. The report is
/// an `extern "C"` function, because such a one cannot unwind into a program
/// that does not expect it: a panic in it ends the process.
///
/// ```
/// use allod_kit::{Allocator, Broken, FromGlobal, Guard};
/// use std::alloc::{Layout, System};
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// static FOUND: AtomicUsize = AtomicUsize::new(0);
/// extern "C" fn report(_broken: &Broken) {
///     FOUND.fetch_add(1, Ordering::Relaxed);
/// }
///
/// let heap = Guard::new(FromGlobal::new(System), report);
/// let layout = Layout::new::<[u8; 10]>();
/// let block = heap.allocate(layout)?.cast::<u8>();
/// // SAFETY: not sound in general: this is what the guard is for.
/// unsafe { block.add(10).write(1) };
/// // SAFETY: the block is `heap`'s, of this layout, and not used again.
/// unsafe { heap.deallocate(block, layout) };
/// assert_eq!(FOUND.load(Ordering::Relaxed), 1);
/// # Ok::<(), allod_kit::AllocError>(())
/// ```
///
/// # What it costs
///
/// *Time.* The writing and reading of the canaries for an allocation and a free,
/// O(1). *Memory.* Two words or the alignment, if that is more, and 16 bytes for
/// each block.
///
/// # When not to use it
///
/// Against an attacker, who may write the canary along; and to find reads: it finds
/// writes next to a block, when the block comes back or [`Guard::is_whole`] asks,
/// and never those that jump over the canary.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Guard<A> {
    inner: A,
    report: extern "C" fn(&Broken),
}

/// A block's size and alignment, and what follows from them.
#[derive(Clone, Copy)]
struct Shape {
    size: usize,
    /// From the start below to the block.
    front: usize,
    below: Layout,
}

impl Shape {
    #[inline]
    fn of(layout: Layout) -> Result<Self, AllocError> {
        let front = if layout.align() > FRONT { layout.align() } else { FRONT };
        let align = layout.align().max(align_of::<usize>());
        let size = layout.size().checked_add(front + BACK).ok_or(AllocError)?;
        let below = Layout::from_size_align(size, align).map_err(|_| AllocError)?;
        Ok(Shape { size: layout.size(), front, below })
    }
}

#[inline]
fn key(block: NonNull<u8>) -> usize {
    block.addr().get().rotate_left(7) ^ LIVE
}

/// The canary after a block: the key, and the key turned.
#[inline]
fn back(block: NonNull<u8>) -> [u8; BACK] {
    let key = u64::try_from(key(block)).unwrap_or_default();
    (u128::from(key) | (u128::from(key.rotate_left(29)) << 64)).to_ne_bytes()
}

/// The two words before a block.
///
/// # Safety
///
/// The block is guarded (G1).
#[inline]
unsafe fn front(block: NonNull<u8>) -> NonNull<[usize; 2]> {
    // SAFETY: there are `FRONT` bytes before the block (G1).
    unsafe { block.sub(FRONT) }.cast()
}

/// Writes both canaries.
///
/// # Safety
///
/// The block is ours and lies as G1 says, with this size.
#[inline]
unsafe fn stamp(block: NonNull<u8>, size: usize) {
    // SAFETY: the caller's promise.
    let front = unsafe { front(block) };
    // SAFETY: the words are ours, and aligned, since the block below is.
    unsafe { front.write([size ^ key(block), key(block)]) };
    // SAFETY: `BACK` bytes follow the block (G1).
    let after = unsafe { block.add(size) };
    // SAFETY: the same; nothing is said about their alignment.
    unsafe { after.cast::<[u8; BACK]>().write_unaligned(back(block)) };
}

/// Looks at both canaries.
///
/// # Safety
///
/// The block lies as G1 says.
#[inline]
unsafe fn look(block: NonNull<u8>, size: usize) -> Option<What> {
    // SAFETY: the caller's promise.
    let front = unsafe { front(block) };
    // SAFETY: the words are written and aligned (G2).
    let [disguised, found] = unsafe { front.read() };
    if found == key(block) ^ LIVE ^ GONE {
        return Some(What::Gone);
    }
    if found != key(block) || disguised ^ key(block) != size {
        return Some(What::Before);
    }
    // SAFETY: `BACK` bytes follow the block (G1).
    let after = unsafe { block.add(size) };
    // SAFETY: they are written (G2).
    let found = unsafe { after.cast::<[u8; BACK]>().read_unaligned() };
    (found != back(block)).then_some(What::After)
}

impl<A> Guard<A> {
    /// Guards the blocks of this one, and reports broken ones.
    pub const fn new(inner: A, report: extern "C" fn(&Broken)) -> Self {
        Guard { inner, report }
    }

    /// The one below.
    pub const fn inner(&self) -> &A {
        &self.inner
    }

    /// Whether a block's canaries are whole. Reports nothing.
    ///
    /// # Safety
    ///
    /// The block came from this allocator, with this layout, and is live.
    pub unsafe fn is_whole(&self, block: NonNull<u8>, layout: Layout) -> bool {
        // SAFETY: a live block is guarded (G1).
        layout.size() == 0 || unsafe { look(block, layout.size()) }.is_none()
    }

    /// Reports a block if it is broken. Whether it is whole.
    ///
    /// # Safety
    ///
    /// As for [`is_whole`](Guard::is_whole).
    #[inline]
    unsafe fn vouch(&self, block: NonNull<u8>, size: usize) -> bool {
        // SAFETY: a live block is guarded (G1).
        let Some(what) = (unsafe { look(block, size) }) else { return true };
        (self.report)(&Broken { block: block.as_ptr(), size, what });
        false
    }
}

/// A block within the one below, with its canaries.
///
/// # Safety
///
/// The block below is ours and has the shape's layout.
#[inline]
unsafe fn dress(below: NonNull<[u8]>, shape: Shape) -> NonNull<[u8]> {
    // SAFETY: the block below is longer than that.
    let block = unsafe { below.cast::<u8>().add(shape.front) };
    // SAFETY: it lies so (G1).
    unsafe { stamp(block, shape.size) };
    NonNull::slice_from_raw_parts(block, shape.size)
}

// SAFETY: every block lies in one of the allocator below of its own (G1), and
// is given back to it whole or not at all. The report does not unwind.
unsafe impl<A: Allocator> Allocator for Guard<A> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        let shape = Shape::of(layout)?;
        let below = self.inner.allocate(shape.below)?;
        // SAFETY: it has just been allocated so.
        Ok(unsafe { dress(below, shape) })
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        let shape = Shape::of(layout)?;
        let below = self.inner.allocate_zeroed(shape.below)?;
        // SAFETY: it has just been allocated so.
        Ok(unsafe { dress(below, shape) })
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        let Ok(shape) = Shape::of(layout) else { return };
        // SAFETY: the caller's block is live, unless it has come back before,
        // which is what we look for.
        if layout.size() == 0 || !unsafe { self.vouch(block, layout.size()) } {
            return;
        }
        // SAFETY: the block is guarded (G1).
        let front = unsafe { front(block) };
        // SAFETY: the words are ours. The size stays, so that only the key tells.
        unsafe { front.write([shape.size ^ key(block), key(block) ^ LIVE ^ GONE]) };
        // SAFETY: it lies so many bytes into the block below (G1).
        let start = unsafe { block.sub(shape.front) };
        // SAFETY: it was allocated with this layout.
        unsafe { self.inner.deallocate(start, shape.below) };
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
        let (shape, wanted) = (Shape::of(old)?, Shape::of(new)?);
        // SAFETY: the caller's promise.
        if !unsafe { self.vouch(block, old.size()) } {
            return Err(AllocError);
        }
        if shape.front != wanted.front || new.size() == 0 {
            // SAFETY: the caller's promise.
            return unsafe { super::move_to(self, self, block, old, new) };
        }
        // SAFETY: it lies so many bytes into the block below (G1).
        let start = unsafe { block.sub(shape.front) };
        // SAFETY: it was allocated with this layout.
        let below = unsafe { self.inner.reallocate(start, shape.below, wanted.below) }?;
        // SAFETY: it now has this layout, and its bytes lie where they lay.
        Ok(unsafe { dress(below, wanted) })
    }

    #[inline]
    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let (shape, wanted) = (Shape::of(old)?, Shape::of(new)?);
        if shape.front != wanted.front || old.size() == 0 || new.size() == 0 {
            return Err(AllocError);
        }
        // SAFETY: the caller's promise.
        if !unsafe { self.vouch(block, old.size()) } {
            return Err(AllocError);
        }
        // SAFETY: it lies so many bytes into the block below (G1).
        let start = unsafe { block.sub(shape.front) };
        // SAFETY: it was allocated with this layout.
        let below = unsafe { self.inner.reallocate_in_place(start, shape.below, wanted.below) }?;
        // SAFETY: it now has this layout, and its bytes lie where they lay.
        Ok(unsafe { dress(below, wanted) })
    }

    #[inline]
    unsafe fn usable_size(&self, _: NonNull<u8>, layout: Layout) -> usize {
        layout.size()
    }
}

// SAFETY: an address in its block is one in a block below, with this layout.
unsafe impl<A: Owns> Owns for Guard<A> {
    #[inline]
    fn owns(&self, address: NonNull<u8>, layout: Layout) -> bool {
        Shape::of(layout).is_ok_and(|shape| self.inner.owns(address, shape.below))
    }
}

globally!([A: GlobalAlloc] Guard<A>, Guard<FromGlobal<A>>);
crate::adapt!([A: Allocator] Guard<A>);
