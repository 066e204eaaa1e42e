//! Count: how many blocks and bytes, now, at the peak, and in all.
//!
//! What the heap profiler `dhat` tells of a program, without the profile: for
//! a test that asserts how much memory something needs, or a gauge.
//!
//! What came and what went is counted apart, each number by one addition; what
//! is live is the difference, taken when somebody asks. A peak cannot be had
//! like that: it has to be looked for at each allocation, in a number that is
//! always right. So it is a parameter, and who does not ask for it does not pay.
#![allow(unsafe_code)]

use super::{Observer, Request, Watched};
use crate::number::{Number, Shared};
use core::cell::Cell;
use core::ptr::NonNull;

/// An allocator that is counted: see [`Count::counts`].
///
/// Sizes are those that were asked for.
///
/// # What it costs
///
/// Two additions for an allocation
/// and two for a free: atomic ones, or plain ones with [`Count::local`]; five
/// words in all. With a [`Peak`], an addition more for each of both, a
/// comparison, and three words.
///
/// ```
/// use allod_kit::{Allocator, Count, FromGlobal};
/// use std::alloc::{Layout, System};
///
/// let heap = Count::with_peak(FromGlobal::new(System));
/// let layout = Layout::new::<[u64; 8]>();
/// let block = heap.allocate(layout)?;
/// // SAFETY: the block is `heap`'s, of this layout, and not used again.
/// unsafe { heap.deallocate(block.cast(), layout) };
/// assert_eq!((heap.counts().bytes, heap.counts().total_blocks), (0, 1));
/// assert_eq!(heap.peak().bytes, 64);
/// # Ok::<(), allod_kit::AllocError>(())
/// ```
///
/// Without, there is none to ask for:
///
/// ```compile_fail,E0599
/// # use allod_kit::{Count, Refuse};
/// Count::new(Refuse).peak();
/// ```
///
/// # When not to use it
///
/// To learn who needs the memory: it knows how much, and not of whom. Between
/// many threads that allocate all the time, count in each of them.
pub type Count<A, W = Shared, P = NoPeak> = Watched<A, Counter<W, P>>;

/// What was counted. Blocks of no bytes are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Live blocks.
    pub blocks: usize,
    /// Bytes in them.
    pub bytes: usize,
    /// Allocations so far. Another size for a block is one more.
    pub total_blocks: usize,
    /// Bytes of all of them.
    pub total_bytes: usize,
    /// Requests that were refused, below.
    pub refused: usize,
}

/// The most that was ever live at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeakCounts {
    /// The most bytes.
    pub bytes: usize,
    /// Live blocks at that time.
    pub blocks: usize,
}

/// Whether a [`Count`] keeps the peak: [`NoPeak`] or [`Peak`].
pub trait Peaks: sealed::Sealed {
    #[doc(hidden)]
    const NEW: Self;

    /// The live bytes change by so many, wrapping, and may be a peak.
    #[doc(hidden)]
    fn rose(&self, bytes: usize, blocks: impl FnOnce() -> usize);

    /// So many fewer are live.
    #[doc(hidden)]
    fn fell(&self, bytes: usize);
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::NoPeak {}
    impl<W> Sealed for super::Peak<W> {}
}

/// No peak is kept, and it costs nothing.
#[derive(Debug)]
pub struct NoPeak;

impl Peaks for NoPeak {
    const NEW: Self = Self;

    #[inline]
    fn rose(&self, _: usize, _: impl FnOnce() -> usize) {}

    #[inline]
    fn fell(&self, _: usize) {}
}

/// The peak is kept. Three words.
#[derive(Debug)]
pub struct Peak<W> {
    live: W,
    bytes: W,
    blocks: W,
}

impl<W: Number> Peaks for Peak<W> {
    const NEW: Self = Self { live: W::ZERO, bytes: W::ZERO, blocks: W::ZERO };

    #[inline]
    fn rose(&self, bytes: usize, blocks: impl FnOnce() -> usize) {
        let live = self.live.add(bytes);
        if live > self.bytes.get() && self.bytes.update(|peak| (live > peak).then_some(live)) {
            self.blocks.set(blocks());
        }
    }

    #[inline]
    fn fell(&self, bytes: usize) {
        self.live.sub(bytes);
    }
}

/// The numbers. See [`Count`].
#[derive(Debug)]
#[repr(C)]
pub struct Counter<W, P = NoPeak> {
    // Those that change together are apart: side by side the compiler adds them
    // with a vector, which takes one instruction more than two additions.
    total_blocks: W,
    freed_blocks: W,
    total_bytes: W,
    freed_bytes: W,
    refused: W,
    peak: P,
}

impl<W: Number, P: Peaks> Counter<W, P> {
    pub(crate) const NEW: Self = Counter {
        total_blocks: W::ZERO,
        total_bytes: W::ZERO,
        freed_blocks: W::ZERO,
        freed_bytes: W::ZERO,
        refused: W::ZERO,
        peak: P::NEW,
    };

    #[inline]
    fn live_blocks(&self) -> usize {
        difference(&self.total_blocks, &self.freed_blocks)
    }
}

/// What a scope of a test asks for.
#[cfg(feature = "testing")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    /// Blocks and bytes that came, and that went.
    pub(crate) came: (usize, usize),
    pub(crate) went: (usize, usize),
    /// The most bytes at one time beyond those at the beginning.
    pub(crate) peak: usize,
    pub(crate) refused: usize,
}

/// A scope may see more go than come: what is live is counted from here.
#[cfg(feature = "testing")]
const NOTHING: usize = 1 << (usize::BITS - 1);

#[cfg(feature = "testing")]
impl<W: Number> Counter<W, Peak<W>> {
    /// Begins anew.
    pub(crate) fn begin(&self) {
        let Counter { total_blocks, freed_blocks, total_bytes, freed_bytes, refused, peak } = self;
        for number in [total_blocks, freed_blocks, total_bytes, freed_bytes, refused, &peak.blocks]
        {
            number.set(0);
        }
        peak.live.set(NOTHING);
        peak.bytes.set(NOTHING);
    }

    /// What was counted since `begin`.
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            came: (self.total_blocks.get(), self.total_bytes.get()),
            went: (self.freed_blocks.get(), self.freed_bytes.get()),
            peak: self.peak.bytes.get() - NOTHING,
            refused: self.refused.get(),
        }
    }
}

/// What came and has not gone. The sums may have wrapped; and of other threads
/// it may be seen that a block went before it is seen that it came.
fn difference<W: Number>(came: &W, went: &W) -> usize {
    let went = went.get();
    came.get().wrapping_sub(went).cast_signed().max(0).cast_unsigned()
}

impl<A> Count<A> {
    /// Counts what threads ask of it together.
    pub const fn new(inner: A) -> Self {
        Watched::with(inner, Counter::NEW)
    }
}

impl<A> Count<A, Shared, Peak<Shared>> {
    /// The same, with the peak.
    pub const fn with_peak(inner: A) -> Self {
        Watched::with(inner, Counter::NEW)
    }
}

impl<A> Count<A, Cell<usize>> {
    /// Counts what one thread asks of it: the wrapper is not `Sync`.
    pub const fn local(inner: A) -> Self {
        Watched::with(inner, Counter::NEW)
    }
}

impl<A> Count<A, Cell<usize>, Peak<Cell<usize>>> {
    /// The same, with the peak.
    pub const fn local_with_peak(inner: A) -> Self {
        Watched::with(inner, Counter::NEW)
    }
}

impl<A, W: Number, P: Peaks> Count<A, W, P> {
    /// The numbers. While other threads allocate they need not fit each other.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let it = self.observer();
        Counts {
            blocks: it.live_blocks(),
            bytes: difference(&it.total_bytes, &it.freed_bytes),
            total_blocks: it.total_blocks.get(),
            total_bytes: it.total_bytes.get(),
            refused: it.refused.get(),
        }
    }
}

impl<A, W: Number> Count<A, W, Peak<W>> {
    /// The most that was live at one time.
    #[must_use]
    pub fn peak(&self) -> PeakCounts {
        let it = &self.observer().peak;
        PeakCounts { bytes: it.bytes.get(), blocks: it.blocks.get() }
    }

    /// Lets the peak begin anew, from what is live now.
    pub fn reset_peak(&self) {
        let it = self.observer();
        it.peak.blocks.set(it.live_blocks());
        it.peak.bytes.set(it.peak.live.get());
    }
}

// SAFETY: sums do not unwind.
unsafe impl<W: Number, P: Peaks> Observer for Counter<W, P> {
    const EXACT: bool = true;

    #[inline]
    fn saw(&self, request: &Request, block: Option<NonNull<u8>>) {
        let (old, new) = (request.old_size(), request.new_size());
        let deallocates = matches!(request, Request::Deallocate { .. });
        if !deallocates && block.is_none() {
            self.refused.add(1);
            return;
        }
        if old != 0 {
            self.freed_blocks.add(1);
            self.freed_bytes.add(old);
        }
        if new != 0 {
            self.total_blocks.add(1);
            self.total_bytes.add(new);
        }
        if new == 0 {
            self.peak.fell(old);
        } else {
            self.peak.rose(new.wrapping_sub(old), || self.live_blocks());
        }
    }
}
