//! A pool that takes its slots from another allocator, a chunk at a time.
//!
//! ```text
//!   chunks --> | header | slot | slot | ... |
//!                  |
//!                  '---> | header | slot | ... |     half as large
//! ```
//!
//! A chunk is twice as large as the one before, so n values take O(log n)
//! calls. Chunks go back when the pool goes, and never before: one value alone
//! would hold a chunk anyway.
#![allow(unsafe_code)]

use super::{PoolBox, PoolSlot, Slots};
use crate::Owns;
use crate::allocator::{AllocError, Allocator, nothing};
use crate::blocks::{Blocks, blocks};
use crate::full::Full;
use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::ptr::NonNull;

/// Slots of the first chunk.
const FIRST: usize = 32;
/// No chunk is asked for with more bytes than this, unless a slot is larger.
const MOST_BYTES: usize = 1 << 20;

/// What stands before the slots of a chunk.
struct Header {
    older: Option<NonNull<Header>>,
    layout: Layout,
    slots: usize,
}

/// A pool of values of one type that grows over another allocator.
///
/// ```
/// use allod_kit::{GrowingPool, Pool, PoolSlot};
///
/// // Any allocator will do; here, blocks of 4 KiB of a pool on the stack.
/// let mut pages = [const { PoolSlot::<[u64; 512]>::new() }; 4];
/// let base = Pool::new(&mut pages);
///
/// let pool = GrowingPool::new(&base);
/// let mut numbers: Vec<_> = (0..100u64).map(|n| pool.alloc(n)).collect();
/// numbers.retain(|n| **n % 2 == 0);
/// assert_eq!(numbers.iter().map(|n| **n).sum::<u64>(), 2450);
/// ```
///
/// It keeps what it took until it goes, and it cannot go before its boxes:
///
/// ```compile_fail,E0505
/// # use allod_kit::{GrowingPool, Pool, PoolSlot};
/// # let mut pages = [const { PoolSlot::<[u64; 512]>::new() }; 4];
/// # let base = Pool::new(&mut pages);
/// let pool = GrowingPool::new(&base);
/// let one = pool.try_alloc(1);
/// drop(pool);
/// let _ = one;
/// ```
///
///
/// # What it costs
///
/// *Time.* O(1) each, and O(log n) calls of the base for n values. *Memory.* A
/// header of four words a chunk, and what of the last chunk is not used yet.
///
/// # When not to use it
///
/// As for [`Pool`](crate::Pool). And where memory has to go back while there are
/// values: a chunk stays until the pool goes.
pub struct GrowingPool<T, A: Allocator> {
    slots: Slots<T>,
    chunks: Cell<Option<NonNull<Header>>>,
    base: A,
}

// SAFETY: the chunks are the pool's own, and a pool that moves is not borrowed.
unsafe impl<T: Send, A: Allocator + Send> Send for GrowingPool<T, A> {}

impl<T, A: Allocator> GrowingPool<T, A> {
    /// A pool over `base`. Takes nothing from it yet.
    pub const fn new(base: A) -> Self {
        Self { slots: Slots::none(), chunks: Cell::new(None), base }
    }

    /// Puts a value into a slot. O(1), and now and then a call of the base.
    ///
    /// # Errors
    ///
    /// All slots are taken and the base gives no more; the value comes back.
    #[inline]
    pub fn try_alloc(&self, value: T) -> Result<PoolBox<'_, T>, Full<T>> {
        match self.slot() {
            // SAFETY: just taken from there.
            Ok(slot) => Ok(unsafe { PoolBox::fill(&self.slots, slot, value) }),
            Err(AllocError) => Err(Full(value)),
        }
    }

    /// Puts what `make` returns into a slot, and calls it only if there is one.
    /// A large value may then be made in place.
    ///
    /// # Errors
    ///
    /// All slots are taken and the base gives no more; `make` comes back.
    #[inline]
    pub fn try_alloc_with<F: FnOnce() -> T>(&self, make: F) -> Result<PoolBox<'_, T>, Full<F>> {
        match self.slot() {
            // SAFETY: just taken from there.
            Ok(slot) => Ok(unsafe { PoolBox::fill_with(&self.slots, slot, make) }),
            Err(AllocError) => Err(Full(make)),
        }
    }

    /// Puts a value into a slot.
    ///
    /// # Panics
    ///
    /// All slots are taken and the base gives no more.
    /// [`try_alloc`](GrowingPool::try_alloc) never panics.
    #[cfg(feature = "infallible")]
    #[inline]
    #[track_caller]
    pub fn alloc(&self, value: T) -> PoolBox<'_, T> {
        crate::full::must(self.try_alloc(value))
    }

    /// Slots of all chunks, taken or not. O(log n).
    pub fn capacity(&self) -> usize {
        let mut slots = 0;
        let mut next = self.chunks.get();
        while let Some(chunk) = next {
            // SAFETY: chunks on our list are ours, with a header each.
            let header = unsafe { chunk.as_ref() };
            slots += header.slots;
            next = header.older;
        }
        slots
    }

    /// Slots that are free without growing. O(those that were freed).
    pub fn vacant(&self) -> usize {
        self.slots.vacant()
    }

    /// The allocator below.
    pub const fn base(&self) -> &A {
        &self.base
    }

    /// The bytes from a chunk's beginning to its first slot, and how both align.
    const fn head() -> (usize, usize) {
        let align = if align_of::<Header>() > align_of::<PoolSlot<T>>() {
            align_of::<Header>()
        } else {
            align_of::<PoolSlot<T>>()
        };
        (size_of::<Header>().next_multiple_of(align_of::<PoolSlot<T>>()), align)
    }

    #[inline]
    fn slot(&self) -> Result<NonNull<PoolSlot<T>>, AllocError> {
        match self.slots.take() {
            Some(slot) => Ok(slot),
            None => self.grow(),
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&self) -> Result<NonNull<PoolSlot<T>>, AllocError> {
        let size = size_of::<PoolSlot<T>>();
        let last = match self.chunks.get() {
            // SAFETY: as in `capacity`.
            Some(chunk) => unsafe { chunk.as_ref() }.slots,
            None => FIRST / 2,
        };
        let wanted = (last * 2).min(MOST_BYTES / size).max(1);
        // A base that is nearly empty may still have room for one slot.
        let (chunk, layout) = Self::ask(&self.base, wanted)
            .or_else(|_| Self::ask(&self.base, 1.max(wanted / 8)))
            .or_else(|_| Self::ask(&self.base, 1))?;
        let (head, _) = Self::head();
        // The base may have given more than we asked for.
        let slots = (chunk.len() - head) / size;
        let chunk = chunk.cast::<Header>();
        let header = Header { older: self.chunks.get(), layout, slots };
        // SAFETY: the chunk is ours, aligned for a header, and has room for it.
        unsafe { chunk.write(header) };
        self.chunks.set(Some(chunk));
        // SAFETY: the header is followed by slots, of which there is one or more.
        let first = unsafe { chunk.byte_add(head) }.cast();
        // SAFETY: the slots are ours and new, one piece up to the chunk's end.
        unsafe { self.slots.supply(first, slots) };
        self.slots.take().ok_or(AllocError)
    }

    fn ask(base: &A, slots: usize) -> Result<(NonNull<[u8]>, Layout), AllocError> {
        let (head, align) = Self::head();
        let size = size_of::<PoolSlot<T>>().checked_mul(slots).and_then(|s| s.checked_add(head));
        let layout = size.and_then(|size| Layout::from_size_align(size, align).ok());
        let layout = layout.ok_or(AllocError)?;
        Ok((base.allocate(layout)?, layout))
    }
}

impl<T, A: Allocator> Drop for GrowingPool<T, A> {
    fn drop(&mut self) {
        while let Some(chunk) = self.chunks.get() {
            // SAFETY: as in `capacity`; read out, for its own chunk goes.
            let Header { older, layout, .. } = unsafe { chunk.read() };
            self.chunks.set(older);
            // SAFETY: allocated there with this layout; no box is left.
            unsafe { self.base.deallocate(chunk.cast(), layout) };
        }
    }
}

impl<T, A: Allocator> fmt::Debug for GrowingPool<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vacant = self.vacant();
        f.debug_struct("GrowingPool")
            .field("capacity", &self.capacity())
            .field("vacant", &vacant)
            .finish_non_exhaustive()
    }
}

// SAFETY: a taken slot is on no list (P1), and chunks stay until the pool goes (P3).
unsafe impl<T, A: Allocator> Blocks for GrowingPool<T, A> {
    const LAYOUT: Layout = Layout::new::<PoolSlot<T>>();

    #[inline]
    fn block(&self) -> Result<NonNull<u8>, AllocError> {
        self.slot().map(NonNull::cast)
    }

    #[inline]
    unsafe fn unblock(&self, block: NonNull<u8>) {
        // SAFETY: the caller's promise.
        unsafe { self.slots.put(block.cast()) };
    }
}

blocks!([T, A: Allocator] GrowingPool<T, A>);

// SAFETY: the chunks are the pool's alone, and blocks lie in their slots.
unsafe impl<T, A: Allocator> Owns for GrowingPool<T, A> {
    /// O(log n), the largest chunk first.
    fn owns(&self, address: NonNull<u8>, _: Layout) -> bool {
        let mut next = self.chunks.get();
        while let Some(chunk) = next {
            // SAFETY: chunks on our list are ours, with a header each.
            let header = unsafe { chunk.as_ref() };
            let from_start = address.addr().get().wrapping_sub(chunk.addr().get());
            let size = Self::head().0 + header.slots * size_of::<PoolSlot<T>>();
            if from_start < size {
                return true;
            }
            next = header.older;
        }
        false
    }
}
