//! Places in groups of 32, and finding a free one.
//!
//! A search begins at the group where a place was last given back or found, so
//! it seldom goes further. That number is a hint and nothing more: any group
//! will do.

use super::atomic::{AtomicUsize, Ordering};
use super::bits::{Bits, PLACES};

/// 32 places and their bits.
#[derive(Debug)]
struct Group<P> {
    bits: Bits,
    places: [P; PLACES],
}

/// `G` groups of places.
#[derive(Debug)]
pub(super) struct Groups<P, const G: usize> {
    near: AtomicUsize,
    groups: [Group<P>; G],
}

/// A type whose fresh value is a constant (and under loom is not).
pub(super) trait Fresh {
    #[cfg(not(loom))]
    const FRESH: Self;
    #[cfg(loom)]
    fn fresh() -> Self;
}

impl<P: Fresh, const G: usize> Groups<P, G> {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        let groups =
            [const { Group { bits: Bits::new(), places: [const { P::FRESH }; PLACES] } }; G];
        Self { near: AtomicUsize::new(0), groups }
    }

    #[cfg(loom)]
    pub(super) fn new() -> Self {
        let group = |_| Group { bits: Bits::new(), places: core::array::from_fn(|_| P::fresh()) };
        Self { near: AtomicUsize::new(0), groups: core::array::from_fn(group) }
    }
}

impl<P, const G: usize> Groups<P, G> {
    /// A place that nobody has, and its number. It is the caller's.
    #[inline]
    pub(super) fn take(&self) -> Option<(usize, &P)> {
        // ORDERING: Relaxed, a hint.
        let near = self.near.load(Ordering::Relaxed);
        if let Some(group) = self.groups.get(near)
            && let Some(bit) = group.bits.take()
        {
            return Some((near * PLACES + bit, group.places.get(bit)?));
        }
        self.take_elsewhere(near)
    }

    #[cold]
    #[inline(never)]
    fn take_elsewhere(&self, near: usize) -> Option<(usize, &P)> {
        for i in 1..=G {
            let at = (near + i) % G;
            let group = self.groups.get(at)?;
            if let Some(bit) = group.bits.take() {
                // ORDERING: Relaxed, a hint.
                self.near.store(at, Ordering::Relaxed);
                return Some((at * PLACES + bit, group.places.get(bit)?));
            }
        }
        None
    }

    /// Gives a place back, which is the caller's.
    #[inline]
    pub(super) fn give(&self, number: usize) {
        let at = number / PLACES;
        if let Some(group) = self.groups.get(at) {
            group.bits.give(number % PLACES);
            // ORDERING: Relaxed, a hint. Looked at first, for a store takes the line
            // away from the others.
            if self.near.load(Ordering::Relaxed) != at {
                // ORDERING: Relaxed, a hint.
                self.near.store(at, Ordering::Relaxed);
            }
        }
    }

    /// The place of a number, if there is one.
    #[inline]
    pub(super) fn place(&self, number: usize) -> Option<&P> {
        self.groups.get(number / PLACES)?.places.get(number % PLACES)
    }

    /// The number of one of our places.
    #[inline]
    pub(super) fn number_of(&self, place: *const P) -> usize {
        let from_start = place.addr() - self.groups.as_ptr().addr();
        let group = from_start / size_of::<Group<P>>();
        let places = core::mem::offset_of!(Group<P>, places);
        group * PLACES + (from_start % size_of::<Group<P>>() - places) / size_of::<P>()
    }

    /// The numbers that were taken a moment ago.
    pub(super) fn taken(&self) -> impl Iterator<Item = usize> {
        self.groups.iter().enumerate().flat_map(|(at, group)| {
            let mut bits = group.bits.taken();
            core::iter::from_fn(move || {
                let bit = bits.trailing_zeros() as usize;
                if bit == PLACES {
                    return None;
                }
                bits &= bits - 1;
                Some(at * PLACES + bit)
            })
        })
    }

    /// How many were taken a moment ago.
    pub(super) fn count(&self) -> usize {
        self.groups.iter().map(|group| group.bits.taken().count_ones() as usize).sum()
    }
}
