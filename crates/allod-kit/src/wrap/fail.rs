//! Fail: refuses on purpose, so that a program's way out of trouble is tested.
//!
//! The strongest test of a data structure under memory pressure is short: run
//! it once to count its requests, then once for each of them with that one
//! refused.
#![allow(unsafe_code)]

use super::{Observer, Request, Watched};
use crate::number::{Number, Shared};
use core::cell::Cell;

/// An allocator that refuses when told to. At first it is told nothing.
///
/// Each rule stands for itself, and a request that meets any of them is
/// refused. A request is an allocation or a change of layout; requests of no
/// bytes, and blocks that come back, are none.
///
/// ```
/// use allod_kit::{Allocator, Fail, FromGlobal};
/// use std::alloc::{Layout, System};
///
/// let heap = Fail::new(FromGlobal::new(System));
/// let layout = Layout::new::<u64>();
/// let take_two = || {
///     let blocks = [heap.allocate(layout), heap.allocate(layout)];
///     let taken = blocks.iter().flatten().map(|block| {
///         // SAFETY: the block is `heap`'s, of this layout, and not used again.
///         unsafe { heap.deallocate(block.cast(), layout) }
///     });
///     taken.count()
/// };
/// assert_eq!(take_two(), 2);
/// for k in 1..=heap.requests() {
///     heap.never();
///     heap.at(k);
///     assert_eq!(take_two(), 1);
/// }
/// ```
///
/// # What it costs
///
/// Six numbers, and a comparison with each for every request.
///
/// # When not to use it
///
/// Outside of tests. For a bound on memory: [`Limit`](crate::Limit).
pub type Fail<A, W = Shared> = Watched<A, Failing<W>>;

/// The rules. See [`Fail`]. A rule of 0 says nothing.
#[derive(Debug)]
#[repr(C)]
pub struct Failing<W> {
    requests: W,
    refusals: W,
    at: W,
    from: W,
    above: W,
    one_in: W,
    random: W,
}

impl<W: Number> Failing<W> {
    const NEW: Self = Failing {
        requests: W::ZERO,
        refusals: W::ZERO,
        at: W::ZERO,
        from: W::ZERO,
        above: W::ZERO,
        one_in: W::ZERO,
        random: W::ZERO,
    };
}

impl<A> Fail<A> {
    /// Refuses nothing yet. Threads may share it, and then count together.
    pub const fn new(inner: A) -> Self {
        Watched::with(inner, Failing::NEW)
    }
}

impl<A> Fail<A, Cell<usize>> {
    /// Refuses nothing yet. For one thread: the wrapper is not `Sync`.
    pub const fn local(inner: A) -> Self {
        Watched::with(inner, Failing::NEW)
    }
}

impl<A, W: Number> Fail<A, W> {
    /// Forgets all rules, and counts requests and refusals from 0.
    pub fn never(&self) {
        let it = self.observer();
        for word in [&it.at, &it.from, &it.above, &it.one_in, &it.requests, &it.refusals] {
            word.set(0);
        }
    }

    /// Refuses the k-th request, counted from 1 since the last
    /// [`never`](Fail::never).
    pub fn at(&self, k: usize) {
        self.observer().at.set(k);
    }

    /// Refuses the k-th request and all that follow.
    pub fn from(&self, k: usize) {
        self.observer().from.set(k);
    }

    /// Refuses sizes above this one.
    pub fn above(&self, size: usize) {
        self.observer().above.set(size.saturating_add(1));
    }

    /// Refuses one request in so many, at random: the same ones for the same
    /// seed, if one thread asks.
    pub fn randomly(&self, one_in: usize, seed: usize) {
        self.observer().random.set(seed);
        self.observer().one_in.set(one_in);
    }

    /// Requests since the last [`never`](Fail::never).
    #[must_use]
    pub fn requests(&self) -> usize {
        self.observer().requests.get()
    }

    /// How many of them were refused here.
    #[must_use]
    pub fn refusals(&self) -> usize {
        self.observer().refusals.get()
    }
}

/// The finalizer of 32-bit MurmurHash3, whose every output bit depends on every
/// input bit.
fn mix(number: usize) -> usize {
    let mut bits = number;
    bits = (bits ^ (bits >> 16)).wrapping_mul(0x85eb_ca6b);
    bits = (bits ^ (bits >> 13)).wrapping_mul(0xc2b2_ae35);
    bits ^ (bits >> 16)
}

// SAFETY: comparisons do not unwind.
unsafe impl<W: Number> Observer for Failing<W> {
    fn allow(&self, request: &Request) -> bool {
        let number = self.requests.add(1);
        let from = self.from.get();
        let above = self.above.get();
        let one_in = self.one_in.get();
        let refused = number == self.at.get()
            || (from != 0 && number >= from)
            || (above != 0 && request.new_size() >= above)
            || (one_in != 0 && mix(self.random.add(0x9e37_79b9)).is_multiple_of(one_in));
        if refused {
            self.refusals.add(1);
        }
        !refused
    }
}
