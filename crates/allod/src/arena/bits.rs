//! Which slices of a chunk are free, and which have been written to: two words.
//!
//! Any thread takes slices with one compare-and-swap and gives them back with
//! one `or`. There is no lock, and so nothing for a fork or a signal to catch
//! half done.
//!
//! # Invariants
//!
//! * B1. A slice whose `free` bit is clear belongs to whoever cleared it, and to
//!   nobody else, until that one sets it again.
//! * B2. A slice whose `dirty` bit is clear reads as zeros. Only the holder of a
//!   slice changes its dirty bit.
#![cfg_attr(not(test), forbid(unsafe_code))]

use crate::sync::{AtomicU64, Ordering};

/// The two words of a chunk.
#[derive(Debug)]
pub(crate) struct SliceBits {
    free: AtomicU64,
    dirty: AtomicU64,
}

/// A run of slices in one chunk: a mask with that many ones in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run(u64);

impl Run {
    /// `count` slices from number `first` on; together at most 64.
    pub(crate) const fn new(first: u32, count: u32) -> Self {
        debug_assert!(count >= 1 && first + count <= 64);
        Self((!0 >> (64 - count)) << first)
    }

    pub(crate) const fn first(self) -> u32 {
        self.0.trailing_zeros()
    }

    pub(crate) const fn count(self) -> u32 {
        self.0.count_ones()
    }
}

/// The first run of `count` ones in `bits` that starts at a multiple of
/// `align`, a power of two up to 64.
const fn find_run(bits: u64, count: u32, align: u32) -> Option<Run> {
    // After each step a bit is set when a run of `have` ones starts there.
    let (mut starts, mut have) = (bits, 1);
    while have < count {
        let step = if count - have < have { count - have } else { have };
        starts &= starts >> step;
        have += step;
    }
    // Multiples of `align`: !0 / (2^align - 1) has a one in every align-th place.
    starts &= if align >= 64 { 1 } else { !0 / ((1 << align) - 1) };
    if starts == 0 { None } else { Some(Run::new(starts.trailing_zeros(), count)) }
}

/// Which free slices a caller will have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taste {
    /// Only slices that have been written to: they have memory already.
    Dirty,
    /// Dirty ones if there is such a run, any other.
    Any,
}

impl SliceBits {
    /// No slice is free, as in a record of zeros.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn none() -> Self {
        Self { free: AtomicU64::new(0), dirty: AtomicU64::new(0) }
    }

    /// The free slices, as of some recent moment.
    pub(crate) fn free(&self) -> u64 {
        // ORDERING: Relaxed, a hint; taking a slice is what orders.
        self.free.load(Ordering::Relaxed)
    }

    /// The slices that are free and dirty, as of some recent moment.
    pub(crate) fn free_dirty(&self) -> u64 {
        // ORDERING: Relaxed, a hint; taking a slice is what orders.
        self.free() & self.dirty.load(Ordering::Relaxed)
    }

    /// Takes a run of `count` slices at a multiple of `align`.
    pub(crate) fn take(&self, count: u32, align: u32, taste: Taste) -> Option<Run> {
        loop {
            let free = self.free();
            // ORDERING: Relaxed, it only steers the choice. A bit that is seen late
            // costs a page fault or a missed zero, never a wrong answer: the holder
            // reads its own slices' bits again after taking them.
            let dirty = self.dirty.load(Ordering::Relaxed);
            let run = match (find_run(free & dirty, count, align), taste) {
                (Some(run), _) => run,
                (None, Taste::Dirty) => return None,
                (None, Taste::Any) => find_run(free, count, align)?,
            };
            if self.take_exactly(run) {
                return Some(run);
            }
        }
    }

    /// Takes just this run. False when a part of it is not free, or when the
    /// word moved under us with the run still free.
    fn swap_out(&self, run: Run) -> Result<bool, ()> {
        let free = self.free();
        if free & run.0 != run.0 {
            return Ok(false);
        }
        // ORDERING: Acquire on success pairs with the Release in `give`: what the
        // last holder did to the slices (and to their dirty bits) is behind us.
        match self.free.compare_exchange_weak(
            free,
            free & !run.0,
            Ordering::Acquire,
            // ORDERING: Relaxed on failure, nothing is read on its strength.
            Ordering::Relaxed,
        ) {
            Ok(_) => Ok(true),
            Err(_) => Err(()),
        }
    }

    /// Takes just this run, if all of it is free.
    pub(crate) fn take_exactly(&self, run: Run) -> bool {
        loop {
            if let Ok(done) = self.swap_out(run) {
                return done;
            }
        }
    }

    /// The dirty slices of a run that the caller holds.
    pub(crate) fn dirty_of(&self, run: Run) -> u32 {
        // ORDERING: Relaxed, the bits of held slices change only by the holder (B2),
        // and the Acquire that took them ordered the last holder's changes.
        (self.dirty.load(Ordering::Relaxed) & run.0).count_ones()
    }

    /// Marks a run that the caller holds as written to.
    pub(crate) fn soil(&self, run: Run) {
        // ORDERING: Relaxed, published by the Release in `give` (B2).
        self.dirty.fetch_or(run.0, Ordering::Relaxed);
    }

    /// Marks a run that the caller holds as zeros again.
    pub(crate) fn clean(&self, run: Run) {
        // ORDERING: Relaxed, published by the Release in `give` (B2).
        self.dirty.fetch_and(!run.0, Ordering::Relaxed);
    }

    /// Gives a run back. Returns the free slices as they are then.
    pub(crate) fn give(&self, run: Run) -> u64 {
        // ORDERING: Release pairs with the Acquire in `swap_out`: what we did to the
        // slices is visible to the next holder.
        self.free.fetch_or(run.0, Ordering::Release) | run.0
    }
}

#[cfg(test)]
#[path = "bits/tests.rs"]
mod tests;
