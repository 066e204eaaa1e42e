//! Pages of unwind tables that a walk has touched, given back.
//!
//! To read a byte of a module's tables maps the page that it is on, whoever reads, and the
//! kernel maps the pages around it too, 64 KiB in all. A program that throws no
//! exceptions has none of these in its resident set otherwise: they were 2.4 MiB of
//! ghostscript's, and most of what samples cost a small process (docs/decisions/059).
//! Rules are kept, so hardly a page is wanted twice.
//!
//! So a walk notes the pages that it reads rules from, and drops them at its end. They
//! stay in the system's cache of the file; who wants them again, the program included,
//! maps them by a fault.
//!
//! # What must not be lost
//!
//! `MADV_DONTNEED` forgets what was written to a page of a private mapping. So it is asked
//! first whether that was done to any: `/proc/self/pagemap` tells a page that is the file's
//! from one that is the process's own. If one is not the file's, or nobody tells, all stays.
//!
//! # Invariants
//!
//! * UT1. Pages are noted only within a segment that the file says is never written to,
//!   whole pages of it alone.
//! * UT2. They are those of modules that have a frame on the stack that is being
//!   walked: they stay mapped until the frame is returned to. Behind a frame
//!   that was guessed none are noted.
//! * UT3. None is dropped that is the process's own, as the kernel told by the call before.
//!   Who makes a segment writable (UT1) of code that is being run, and writes to it between
//!   the two calls, loses what was written.
#![allow(unsafe_code)]

use super::memory::{self, quietly};
use crate::os::Os;
use crate::os::linux::Linux;
use crate::sync::{AtomicBool, Ordering};
use core::cell::Cell;
use core::ptr;

/// Bytes that a fault maps at most, and a multiple of which they begin at.
const AROUND: usize = 64 << 10;
/// Ranges that are noted before they are given back.
const RANGES: usize = 12;
/// Pages that are asked about by one call: half a KiB, for we may be on a small stack.
const ASKED: usize = 64;

/// Nobody tells about pages here.
static UNTOLD: AtomicBool = AtomicBool::new(false);

/// Ranges of pages that one walk has touched.
pub(super) struct Touched {
    /// Where pages are noted: the first, and the end.
    within: Cell<(usize, usize)>,
    count: Cell<usize>,
    ranges: [Cell<(usize, usize)>; RANGES],
}

impl Touched {
    pub(super) const fn new() -> Self {
        let ranges = [const { Cell::new((0, 0)) }; RANGES];
        Self { within: Cell::new((0, 0)), count: Cell::new(0), ranges }
    }

    /// From here on what is noted is in `segment`: its first address, and its end.
    pub(super) fn within(&self, segment: (usize, usize)) -> &Self {
        let page = Linux.page_size();
        let low = segment.0.checked_next_multiple_of(page).unwrap_or(usize::MAX);
        self.within.set((low, segment.1 & !(page - 1)));
        self
    }

    /// `len` bytes at `at` are about to be read.
    #[inline]
    pub(super) fn note(&self, at: usize, len: usize) {
        let (low, high) = self.within.get();
        let end = at.saturating_add(len).checked_next_multiple_of(AROUND).unwrap_or(usize::MAX);
        let (start, end) = ((at & !(AROUND - 1)).max(low), end.min(high));
        if start >= end {
            return;
        }
        let noted = self.ranges.iter().take(self.count.get());
        for range in noted {
            let (first, last) = range.get();
            if start <= last && first <= end {
                range.set((first.min(start), last.max(end)));
                return;
            }
        }
        if self.count.get() == RANGES {
            self.give_back();
        }
        if let Some(range) = self.ranges.get(self.count.get()) {
            range.set((start, end));
            self.count.set(self.count.get() + 1);
        }
    }

    /// Drops what was noted.
    #[inline]
    pub(super) fn give_back(&self) {
        if self.count.get() != 0 {
            self.drop_all();
            self.count.set(0);
        }
    }

    #[cold]
    #[inline(never)]
    fn drop_all(&self) {
        // ORDERING: Relaxed, a flag that guards no data.
        if UNTOLD.load(Ordering::Relaxed) {
            return;
        }
        let Some(pages) = memory::open(c"/proc/self/pagemap") else {
            // ORDERING: Relaxed, as above.
            UNTOLD.store(true, Ordering::Relaxed);
            return;
        };
        let page = Linux.page_size();
        for range in self.ranges.iter().take(self.count.get()) {
            let (mut start, end) = range.get();
            while start < end {
                let next = start.saturating_add(ASKED * page).min(end);
                let mut words = [[0; 8]; ASKED];
                let words = words.get_mut(..(next - start) / page).unwrap_or_default();
                let told = memory::read(pages, words.as_flattened_mut(), Some(start / page * 8));
                if told == Some(words.len() * 8) && are_the_files(words) {
                    let at = ptr::without_provenance_mut(start);
                    // SAFETY: UT1 to UT3: every page can be had from its file again, as it is.
                    quietly(|| unsafe { libc::madvise(at, next - start, libc::MADV_DONTNEED) });
                }
                start = next;
            }
        }
        memory::close(pages);
    }
}

/// True when some pages are there, and none of them is the process's own.
fn are_the_files(words: &[[u8; 8]]) -> bool {
    const PRESENT: u64 = 1 << 63;
    const SWAPPED: u64 = 1 << 62;
    const FILE: u64 = 1 << 61;
    let states = words.iter().map(|word| u64::from_ne_bytes(*word));
    let mut some = false;
    for state in states {
        if state & (PRESENT | SWAPPED) != 0 {
            if state & FILE == 0 {
                return false;
            }
            some = true;
        }
    }
    some
}
