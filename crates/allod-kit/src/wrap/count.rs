//! Count: how many blocks and bytes, now, at the peak, and in all.
//!
//! What the heap profiler `dhat` tells of a program, without the profile: for
//! a test that asserts how much memory something needs, or a gauge.
#![allow(unsafe_code)]

use super::{Observer, Request, Watched};
use crate::number::{Number, Shared};
use core::cell::Cell;
use core::ptr::NonNull;

/// An allocator that is counted: see [`Count::counts`].
///
/// Sizes are those that were asked for. Costs an update of six numbers for an
/// allocation and of two for a free: atomic ones, or plain ones with
/// [`Count::local`], and seven words in all. Not for a global allocator
/// that many threads use at once all the time: they share these numbers.
///
/// ```
/// use allod_kit::{Allocator, Count, FromGlobal};
/// use std::alloc::{Layout, System};
///
/// let heap = Count::new(FromGlobal::new(System));
/// let layout = Layout::new::<[u64; 8]>();
/// let block = heap.allocate(layout)?;
/// // SAFETY: the block is `heap`'s, of this layout, and not used again.
/// unsafe { heap.deallocate(block.cast(), layout) };
/// let counts = heap.counts();
/// assert_eq!((counts.bytes, counts.peak_bytes, counts.total_blocks), (0, 64, 1));
/// # Ok::<(), allod_kit::AllocError>(())
/// ```
pub type Count<A, W = Shared> = Watched<A, Counter<W>>;

/// What was counted. Blocks of no bytes are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Live blocks.
    pub blocks: usize,
    /// Bytes in them.
    pub bytes: usize,
    /// The most bytes that were ever live at one time.
    pub peak_bytes: usize,
    /// Live blocks at that time.
    pub peak_blocks: usize,
    /// Allocations so far. Another size for a block is one more.
    pub total_blocks: usize,
    /// Bytes of all of them.
    pub total_bytes: usize,
    /// Requests that were refused, below.
    pub refused: usize,
}

/// The numbers. See [`Count`].
#[derive(Debug)]
#[repr(C)]
pub struct Counter<W> {
    blocks: W,
    bytes: W,
    peak_bytes: W,
    peak_blocks: W,
    total_blocks: W,
    total_bytes: W,
    refused: W,
}

impl<W: Number> Counter<W> {
    const NEW: Self = Counter {
        blocks: W::ZERO,
        bytes: W::ZERO,
        peak_bytes: W::ZERO,
        peak_blocks: W::ZERO,
        total_blocks: W::ZERO,
        total_bytes: W::ZERO,
        refused: W::ZERO,
    };
}

impl<A> Count<A> {
    /// Counts what threads ask of it together.
    pub const fn new(inner: A) -> Self {
        Watched::with(inner, Counter::NEW)
    }
}

impl<A> Count<A, Cell<usize>> {
    /// Counts what one thread asks of it: the wrapper is not `Sync`.
    pub const fn local(inner: A) -> Self {
        Watched::with(inner, Counter::NEW)
    }
}

impl<A, W: Number> Count<A, W> {
    /// The numbers. While other threads allocate they need not fit each other.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let it = self.observer();
        Counts {
            blocks: it.blocks.get(),
            bytes: it.bytes.get(),
            peak_bytes: it.peak_bytes.get(),
            peak_blocks: it.peak_blocks.get(),
            total_blocks: it.total_blocks.get(),
            total_bytes: it.total_bytes.get(),
            refused: it.refused.get(),
        }
    }

    /// Lets the peak begin anew, from what is live now.
    pub fn reset_peak(&self) {
        let it = self.observer();
        it.peak_blocks.set(it.blocks.get());
        it.peak_bytes.set(it.bytes.get());
    }
}

// SAFETY: sums do not unwind.
unsafe impl<W: Number> Observer for Counter<W> {
    const EXACT: bool = true;

    #[inline]
    fn saw(&self, request: &Request, block: Option<NonNull<u8>>) {
        let (old, new) = (request.old_size(), request.new_size());
        if let Request::Deallocate { .. } = request {
            self.blocks.sub(1);
            self.bytes.sub(old);
            return;
        }
        if block.is_none() {
            self.refused.add(1);
            return;
        }
        if new != 0 {
            self.total_blocks.add(1);
            self.total_bytes.add(new);
        }
        let difference = usize::from(new != 0).wrapping_sub(usize::from(old != 0));
        let blocks = if difference == 0 { self.blocks.get() } else { self.blocks.add(difference) };
        let bytes = self.bytes.add(new.wrapping_sub(old));
        if bytes > self.peak_bytes.get()
            && self.peak_bytes.update(|peak| (bytes > peak).then_some(bytes))
        {
            self.peak_blocks.set(blocks);
        }
    }
}
