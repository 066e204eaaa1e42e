//! Giving memory back: what, and when.
//!
//! Three occasions:
//!
//! * **Decay.** A slice that is free and dirty at two ticks in a row goes back, or at one
//!   that is a tick late.
//!   A tick is half the purge delay (500 ms unless told otherwise), and happens
//!   when some thread comes by its slow path after it is due.
//! * **Growth.** Before the process touches more memory than it ever has, as
//!   much free dirty memory goes back as is about to be touched. So the peak
//!   follows what is in use, not how it was cut.
//! * **Trim.** Everything that is free, when the program asks.
//!
//! A dense chunk goes back whole, when all of it is free: returning a part
//! makes the kernel split its huge page, which costs 15 us and every later
//! touch its full price. Decay alone may split one, and only when less than a
//! quarter is in use.
//!
//! The purger takes the slices first, like any user (B1), so nobody else can
//! have them while their memory goes.
#![allow(unsafe_code)]

use super::bits::Run;
use super::{Arena, Chunk};
use crate::os::Os;
use crate::sync::Ordering;
use crate::units::{CHUNK, SLICE, SLICES_PER_CHUNK};
use core::ptr::NonNull;

/// Below this much a peak is not worth a system call.
const GROWTH_FLOOR: usize = 1 << 20;

impl<O: Os> Arena<O> {
    /// Gives back what has been free for two ticks, if a tick is due. `now` is the clock's.
    pub(crate) fn decay(&self, now: u64) {
        // ORDERING: Relaxed, the purger's lock orders the work; a late look costs nothing.
        let due = self.purge_due.load(Ordering::Relaxed);
        if now < due {
            return;
        }
        let Some(_guard) = self.purger.try_lock() else { return };
        // ORDERING: Relaxed, set at `open`.
        let tick = (self.purge_delay.load(Ordering::Relaxed) / 2).max(1);
        // Nobody came by for a tick and more: what is free was so all the time. The first tick
        // (`due` is 0) says nothing of that.
        let late = due != 0 && now - due >= tick;
        // ORDERING: Relaxed, as above.
        self.purge_due.store(now + tick, Ordering::Relaxed);
        if self.spare.get() == 0 {
            return;
        }
        for region in self.regions() {
            for number in 0..region.chunks {
                // ORDERING: Relaxed, a hint (A3).
                let hints = region.hint(true, number).map_or(0, |word| word.load(Ordering::Relaxed));
                if hints >> (number % 64) & 1 == 0 {
                    continue;
                }
                if let Some(chunk) = region.chunk(number) {
                    self.age(chunk, late);
                }
            }
        }
    }

    /// One tick for one chunk, or one that comes so `late` that two have passed. The caller
    /// holds the purger's lock.
    fn age(&self, chunk: &Chunk, late: bool) {
        let idle = chunk.bits.free_dirty();
        // ORDERING: Relaxed, only ticks touch it, under the purger's lock.
        let ripe = if late { idle } else { idle & chunk.aged.load(Ordering::Relaxed) };
        let in_use = (!chunk.bits.free()).count_ones() as usize;
        if ripe != 0 && (!chunk.head.dense || in_use < SLICES_PER_CHUNK / 4) {
            self.purge(chunk, ripe, usize::MAX);
        }
        // ORDERING: Relaxed, as above.
        chunk.aged.store(chunk.bits.free_dirty(), Ordering::Relaxed);
    }

    /// Before `bytes` of untouched memory are handed out: keeps the peak where it is.
    pub(super) fn make_room(&self, bytes: usize) {
        let spare = self.spare.get();
        if spare < GROWTH_FLOOR.max(bytes) || self.touched.get() + bytes <= self.touched.peak() {
            return;
        }
        let Some(_guard) = self.purger.try_lock() else { return };
        let mut left = bytes.max(GROWTH_FLOOR);
        for chunk in self.chunks() {
            let whole = chunk.bits.free() == !0;
            if !chunk.head.dense || whole {
                left = left.saturating_sub(self.purge(chunk, chunk.bits.free_dirty(), left));
            }
            if left == 0 {
                return;
            }
        }
    }

    /// Gives everything back that is free, down to `keep` bytes of it. Returns
    /// the bytes given.
    pub(crate) fn trim(&self, keep: usize) -> usize {
        let Some(_guard) = self.purger.lock() else { return 0 };
        let mut given = 0;
        for chunk in self.chunks() {
            let spare = self.spare.get();
            if spare <= keep {
                break;
            }
            given += self.purge(chunk, chunk.bits.free_dirty(), spare - keep);
        }
        given
    }

    /// Visits the slices that are free and dirty, run by run, as their holder (B1).
    pub(crate) fn visit_spare(&self, mut see: impl FnMut(NonNull<u8>, usize)) {
        for chunk in self.chunks() {
            let mut left = chunk.bits.free_dirty();
            while left != 0 {
                let first = left.trailing_zeros();
                let count = (!(left >> first)).trailing_zeros().min(64 - first);
                let run = Run::new(first, count);
                left &= !(!0u64 >> (64 - count) << first);
                if chunk.bits.take_exactly(run) {
                    see(chunk.slice(first), count as usize * SLICE);
                    chunk.bits.give(run);
                }
            }
        }
    }

    /// What `see` says of slice `index` of a chunk, as its holder (B1); `None` when it is
    /// not free.
    pub(crate) fn visit_slice<T>(
        &self,
        chunk: &Chunk,
        index: u32,
        see: impl FnOnce(NonNull<u8>) -> T,
    ) -> Option<T> {
        let run = Run::new(index, 1);
        if !chunk.bits.take_exactly(run) {
            return None;
        }
        let said = see(chunk.slice(index));
        chunk.bits.give(run);
        Some(said)
    }

    /// Gives back the slices of `mask` that can be had, about `limit` bytes of
    /// them. Returns the bytes. The caller holds the purger's lock.
    fn purge(&self, chunk: &Chunk, mask: u64, limit: usize) -> usize {
        if chunk.head.dense && chunk.bits.free() == !0 {
            return self.purge_whole(chunk);
        }
        let mut left = whole_pages(mask, self.kernel.page_size());
        let mut given = 0;
        while left != 0 && given < limit {
            let first = left.trailing_zeros();
            let count = (!(left >> first)).trailing_zeros().min(64 - first);
            let run = Run::new(first, count);
            left &= !(!0u64 >> (64 - count) << first);
            if !chunk.bits.take_exactly(run) {
                continue;
            }
            let bytes = count as usize * SLICE;
            let dirty = chunk.bits.dirty_of(run) as usize * SLICE;
            // SAFETY: the slices are committed, and ours since `take_exactly` (B1).
            if unsafe { self.kernel.purge(chunk.slice(first), bytes) } {
                chunk.bits.clean(run);
                self.spare.sub(dirty);
                if !chunk.head.dense {
                    self.touched.sub(dirty);
                }
                given += bytes;
            }
            chunk.bits.give(run);
        }
        given
    }

    /// Gives a dense chunk back that is all free.
    fn purge_whole(&self, chunk: &Chunk) -> usize {
        let run = Run::new(0, 64);
        if !chunk.bits.take_exactly(run) {
            return 0;
        }
        let dirty = chunk.bits.dirty_of(run) as usize * SLICE;
        // SAFETY: all slices are committed, and ours since `take_exactly` (B1).
        let done = unsafe { self.kernel.purge(chunk.head.base, CHUNK) };
        if done {
            chunk.bits.clean(run);
            self.spare.sub(dirty);
            // ORDERING: Relaxed, a flag for figures and preferences.
            if chunk.backed.swap(false, Ordering::Relaxed) {
                self.touched.sub(CHUNK);
            }
        }
        chunk.bits.give(run);
        if done { CHUNK } else { 0 }
    }
}

/// The slices of `mask` that make up whole pages: all of them, unless a page is
/// larger than a slice.
const fn whole_pages(mask: u64, page: usize) -> u64 {
    let mut group = page / SLICE;
    if group > 64 {
        return 0;
    }
    // After the loop a bit stays at each group's start when all of the group is set.
    let (mut starts, mut step) = (mask, 1);
    while step < group {
        starts &= starts >> step;
        step *= 2;
    }
    if group <= 1 {
        return mask;
    }
    starts &= if group >= 64 { 1 } else { !0 / ((1 << group) - 1) };
    let mut whole = starts;
    while group > 1 {
        group /= 2;
        whole |= whole << group;
    }
    whole
}

#[cfg(test)]
mod tests;
