//! Where an object came from that a mistake is about.
//!
//! Asked when the process is lost, so it may take its time: every row is looked at. It
//! waits for nobody for long, and does without the lock if it must; then a row may be
//! half written, and what is said may be wrong. It faults on nothing: the columns bound
//! what is read.
//!
//! An object that was freed has no sample any more. But its row stays as it was left, with
//! the address kept aside, until another sample needs one; and unused rows are a stack,
//! so the latest of them are found first.
#![forbid(unsafe_code)]

use super::Sites;
use crate::sync::Ordering;

/// What is known of where an object came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Words of its stack that were written.
    pub(crate) depth: usize,
    /// It is the program's. Otherwise this is the last sample that began at its address.
    pub(crate) is_live: bool,
}

impl Sites {
    /// The stack that the object at `address`, or around it, was allocated by, innermost
    /// first, as far as `words` holds it. `None` when it was no sample.
    pub(crate) fn origin(&self, address: usize, words: &mut [usize]) -> Option<Origin> {
        let _reading = self.reading();
        if !self.is_there() {
            return None;
        }
        let _guard = self.lock.lock_soon();
        let (site, is_live) = match self.live_around(address) {
            Some(site) => (site, true),
            None => (self.freed_at(address)?, false),
        };
        let site = self.sites.get(site as usize)?;
        let mut depth = 0;
        for (place, row) in words.iter_mut().zip(site.stack as usize..).take(site.depth as usize) {
            *place = self.words.get(row)? as usize;
            depth += 1;
        }
        Some(Origin { depth, is_live })
    }

    /// The site of the live sample that holds `address`.
    fn live_around(&self, address: usize) -> Option<u32> {
        // ORDERING: Relaxed, a bound: rows below it were used.
        let rows = self.sample_count.load(Ordering::Relaxed);
        let around = |sample: &super::Sample| {
            let offset = (address as u64).checked_sub(sample.address);
            sample.address != 0 && offset.is_some_and(|offset| offset < sample.size)
        };
        (0..rows).filter_map(|row| self.samples.get(row)).find(around).map(|sample| sample.site)
    }

    /// The site of the sample that was at `address` when it was freed, if its row still
    /// says so.
    fn freed_at(&self, address: usize) -> Option<u32> {
        // ORDERING: Relaxed on both, as above; a list that changes meanwhile ends by count.
        let mut next = self.unused.load(Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        for _ in 0..self.sample_count.load(Ordering::Relaxed) {
            let sample = self.samples.get((next as usize).checked_sub(1)?)?;
            if sample.address == 0 && sample.owner == address as u64 {
                return Some(sample.site);
            }
            next = sample.next;
        }
        None
    }
}
