//! Samples come and go, and what they stand for with them.
//!
//! Everything here is under the tables' lock but for the first line of each door.
#![forbid(unsafe_code)]

use super::index::mix;
use super::{HELD_FOR, OF_THREADS, Sample, Sites, Stack, Taken};
use crate::dump::{COUNT_UNIT, LIFETIMES, SHORT_MICROSECONDS, SQUARE_UNIT, Site};
use crate::os::{Kernel, Os};
use crate::sync::{Guard, Ordering};

impl Sites {
    /// The lock, with what handlers have freed taken out. `None` in a handler
    /// above a holder, and when the tables were retired.
    pub(super) fn enter(&self) -> Option<Guard<'_>> {
        let guard = self.lock.lock()?;
        // ORDERING: Relaxed, under the lock.
        if self.retired.load(Ordering::Relaxed) {
            return None;
        }
        // ORDERING: Relaxed on both, a look: as below.
        let is_late = self.is_late.load(Ordering::Relaxed);
        if is_late {
            // ORDERING: Relaxed, before the places: what is stored in one from here on
            // raises the flag again.
            self.is_late.store(false, Ordering::Relaxed);
        }
        for place in self.late.iter().filter(|_| is_late) {
            // ORDERING: Relaxed, a look: handlers above us store on this very thread,
            // and those of other threads are not above a holder any more.
            if place.load(Ordering::Relaxed) != 0 {
                // ORDERING: Relaxed, as above.
                let address = place.swap(0, Ordering::Relaxed);
                self.take_out(address, None);
            }
        }
        Some(guard)
    }

    /// Enters a sample. False when there is no room or no way.
    pub(crate) fn add<O: Os>(&self, kernel: &Kernel<O>, taken: &Taken<'_>) -> bool {
        let done = self.enter().is_some_and(|_guard| {
            self.open(kernel) && self.add_locked(kernel, taken)
        });
        if !done {
            // ORDERING: Relaxed, a figure.
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        done
    }

    fn add_locked<O: Os>(&self, kernel: &Kernel<O>, taken: &Taken<'_>) -> bool {
        // A block whose free went unseen has left its sample.
        self.take_out(taken.address, None);
        let Some(row) = self.unused_row(kernel) else { return false };
        let site = self.site(kernel, taken);
        let sample = Sample {
            address: taken.address as u64,
            size: taken.size as u64,
            asked: taken.asked.min(taken.size) as u64,
            count: taken.weight.count,
            bytes: taken.weight.bytes,
            at: taken.at,
            thread: taken.pointer as u64,
            owner: taken.owner as u64,
            site: site as u32,
            next: 0,
        };
        self.claim_row(row);
        self.samples.set(row, sample);
        self.sample_index.enter(row, mix(0, sample.address));
        // ORDERING: Relaxed on all below, under the lock; read as figures.
        let epoch = self.epoch.load(Ordering::Relaxed);
        self.sites.change(site, |site| {
            site.settle(epoch);
            site.truncated |= u32::from(taken.truncated);
            let [count, bytes, squares] = &mut site.allocated;
            *count = count.wrapping_add(sample.count);
            *bytes = bytes.wrapping_add(sample.bytes);
            *squares = squares.wrapping_add(sample.squares());
            site.carry(&sample, true);
        });
        // ORDERING: Relaxed, as above.
        self.taken.fetch_add(1, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.truncated.fetch_add(u64::from(taken.truncated), Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.alive.fetch_add(1, Ordering::Relaxed);
        self.raise(sample.bytes);
        self.show();
        true
    }

    /// More is live; perhaps more than ever.
    fn raise(&self, bytes: u64) {
        // ORDERING: Relaxed on all, under the lock.
        let live = self.live.fetch_add(bytes, Ordering::Relaxed) + bytes;
        // ORDERING: Relaxed, as above.
        if live > self.peak.load(Ordering::Relaxed) {
            // ORDERING: Relaxed, as above.
            self.peak.store(live, Ordering::Relaxed);
            // ORDERING: Relaxed, as above.
            let epoch = self.epoch.fetch_add(1, Ordering::Relaxed) + 1;
            self.header.change(0, |header| header.epoch = epoch);
        }
    }

    /// A row for a sample, which [`Sites::claim_row`] then takes.
    fn unused_row<O: Os>(&self, kernel: &Kernel<O>) -> Option<usize> {
        // ORDERING: Relaxed on both, under the lock.
        let row = match self.unused.load(Ordering::Relaxed) {
            // ORDERING: Relaxed, as above.
            0 => self.sample_count.load(Ordering::Relaxed),
            next => next as usize - 1,
        };
        let ready = self.or_wider(kernel, || {
            self.samples.ensure(kernel, row + 1) && self.sample_index.ready(kernel, row)
        });
        ready.then_some(row)
    }

    fn claim_row(&self, row: usize) {
        // ORDERING: Relaxed on all, under the lock.
        if self.unused.load(Ordering::Relaxed) as usize == row + 1 {
            let next = self.samples.get(row).map_or(0, |sample| sample.next);
            // ORDERING: Relaxed, as above.
            self.unused.store(next, Ordering::Relaxed);
        } else {
            // ORDERING: Relaxed, as above.
            self.sample_count.fetch_max(row + 1, Ordering::Relaxed);
        }
    }

    /// The site of a sample, made if need be; 0 when there is no room.
    fn site<O: Os>(&self, kernel: &Kernel<O>, taken: &Taken<'_>) -> usize {
        // ORDERING: Relaxed, under the lock.
        let count = self.site_count.load(Ordering::Relaxed);
        let thread = if self.is_for_threads(count, taken.thread) { taken.thread } else { 0 };
        let Some(stack) = self.stack(kernel, taken) else { return 0 };
        let Some(at) = self.stacks.get(stack) else { return 0 };
        let words = u64::from(at.words);
        let (size, label) = (taken.block_size as u64, taken.label);
        let mut hash = mix(stack as u64, size);
        hash = mix(hash, u64::from(label) << 32 | u64::from(thread));
        let found = self.site_index.find(hash, |row| {
            let same = self.sites.change(row, |site| {
                site.stack == words
                    && site.depth == u32::from(at.depth)
                    && site.block_size == size
                    && site.label == label
                    && site.thread == thread
            });
            same == Some(true)
        });
        if let Some(row) = found {
            return row;
        }
        let ready = self.or_wider(kernel, || {
            self.sites.ensure(kernel, count + 1) && self.site_index.ready(kernel, count)
        });
        if !ready {
            return 0;
        }
        // ORDERING: Relaxed, under the lock.
        let epoch = self.epoch.load(Ordering::Relaxed);
        self.sites.change(count, |site| {
            site.stack = words;
            site.depth = u32::from(at.depth);
            site.truncated = u32::from(at.truncated);
            site.label = label;
            site.block_size = size;
            site.thread = thread;
            site.epoch = epoch;
        });
        self.site_index.enter(count, hash);
        // ORDERING: Release pairs with the Acquire of readers: the row is whole.
        self.site_count.store(count + 1, Ordering::Release);
        count
    }

    /// True when `thread` gets a site of its own, where there are `count`.
    fn is_for_threads(&self, count: usize, thread: u32) -> bool {
        // ORDERING: Relaxed, under the lock.
        let share = self.peak.load(Ordering::Relaxed) / HELD_FOR;
        let room = (OF_THREADS as u64).max(share) / size_of::<Site>() as u64;
        // The thread of the first site is the main one in nearly every process: its sites
        // are no more than there would be without their threads.
        let is_first = || self.sites.change(1, |site| site.thread).is_none_or(|it| it == thread);
        count <= self.most_sites() / 8 && (count as u64 <= room || is_first())
    }

    /// The row of a stack, made if need be.
    fn stack<O: Os>(&self, kernel: &Kernel<O>, taken: &Taken<'_>) -> Option<usize> {
        let hash = taken.stack.iter().fold(taken.truncated.into(), |h, &w| mix(h, w as u64));
        let depth = taken.stack.len();
        let found = self.stack_index.find(hash, |row| {
            self.stacks.get(row).is_some_and(|stack| {
                let from = stack.words as usize;
                usize::from(stack.depth) == depth
                    && (stack.truncated != 0) == taken.truncated
                    && (taken.stack.iter().enumerate())
                        .all(|(i, &word)| self.words.get(from + i) == Some(word as u64))
            })
        });
        if found.is_some() {
            return found;
        }
        // ORDERING: Relaxed on both, under the lock.
        let row = self.stack_count.load(Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        let from = self.word_count.load(Ordering::Relaxed);
        let ready = self.or_wider(kernel, || {
            self.stacks.ensure(kernel, row + 1)
                && self.stack_index.ready(kernel, row)
                && self.words.ensure(kernel, from + depth)
        });
        if !ready {
            return None;
        }
        for (i, &word) in taken.stack.iter().enumerate() {
            self.words.set(from + i, word as u64);
        }
        let stack = Stack {
            words: from as u32,
            depth: depth as u16,
            truncated: u16::from(taken.truncated),
        };
        self.stacks.set(row, stack);
        self.stack_index.enter(row, hash);
        // ORDERING: Release pairs with the Acquire of readers: the words are there.
        self.word_count.store(from + depth, Ordering::Release);
        // ORDERING: Relaxed, under the lock.
        self.stack_count.store(row + 1, Ordering::Relaxed);
        Some(row)
    }

    /// Takes the sample of an object out that its program has given up, before its
    /// memory is anybody's. `now` is the precise clock's.
    pub(crate) fn remove(&self, address: usize, thread: usize, now: u64) {
        if !self.is_there() {
            return;
        }
        if let Some(_guard) = self.enter() {
            self.take_out(address, Some((thread, now)));
            return;
        }
        // A handler above a holder. Nothing comes after this lock in the order, so that nobody
        // but this thread can have it, and it does not go on before we are done.
        for place in &self.late {
            // ORDERING: Relaxed, read by the next holder of the lock.
            if place.compare_exchange(0, address, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                // ORDERING: Relaxed, as above.
                self.is_late.store(true, Ordering::Relaxed);
                return;
            }
        }
    }

    fn row_of(&self, address: usize) -> Option<(usize, Sample)> {
        let hash = mix(0, address as u64);
        let is_it = |row| self.samples.get(row).is_some_and(|s| s.address == address as u64);
        let row = self.sample_index.find(hash, is_it)?;
        self.samples.get(row).map(|sample| (row, sample))
    }

    /// As [`Sites::remove`], under the lock. Without a freer the sample is forgotten
    /// and says nothing of how long its object lived.
    fn take_out(&self, address: usize, freer: Option<(usize, u64)>) {
        if let Some((row, sample)) = self.row_of(address) {
            self.take_row(row, &sample, freer);
        }
    }

    fn take_row(&self, row: usize, sample: &Sample, freer: Option<(usize, u64)>) {
        self.sample_index.remove(row);
        // ORDERING: Relaxed on all below, under the lock; read as figures.
        let next = self.unused.swap(row as u32 + 1, Ordering::Relaxed);
        self.samples.change(row, |row| {
            // The address is kept aside for `lookup.rs`.
            (row.address, row.owner, row.next) = (0, row.address, next);
        });
        // ORDERING: Relaxed, as above.
        let epoch = self.epoch.load(Ordering::Relaxed);
        self.sites.change(sample.site as usize, |site| {
            site.settle(epoch);
            site.carry(sample, false);
            let Some((thread, now)) = freer else { return };
            let nanoseconds = now.saturating_sub(sample.at);
            if nanoseconds < SHORT_MICROSECONDS * 1000 {
                add_pair(&mut site.short, sample);
            }
            if thread as u64 != sample.thread {
                add_pair(&mut site.remote, sample);
            }
            if let Some(bucket) = site.lifetimes.get_mut(bucket(nanoseconds)) {
                *bucket = bucket.wrapping_add(sample.count);
            }
        });
        // ORDERING: Relaxed, as above.
        self.alive.fetch_sub(1, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.live.fetch_sub(sample.bytes, Ordering::Relaxed);
    }

    /// The object at `address` holds `size` bytes and no more. It stands for as many
    /// as before, each as large as it is.
    pub(crate) fn resize(&self, address: usize, size: usize, asked: usize) {
        let Some(_guard) = self.enter() else { return };
        let Some((row, old)) = self.row_of(address) else { return };
        let bytes = u128::from(old.bytes) * size as u128 / u128::from(old.size.max(1));
        let new = Sample {
            size: size as u64,
            asked: asked.min(size) as u64,
            bytes: bytes as u64,
            ..old
        };
        self.samples.set(row, new);
        // ORDERING: Relaxed on all below, under the lock; read as figures.
        let epoch = self.epoch.load(Ordering::Relaxed);
        self.sites.change(old.site as usize, |site| {
            site.settle(epoch);
            site.carry(&old, false);
            site.carry(&new, true);
        });
        // ORDERING: Relaxed, as above.
        self.live.fetch_sub(old.bytes, Ordering::Relaxed);
        self.raise(new.bytes);
    }

    /// Forgets the sample of the object at `address`: it is about to be another object.
    pub(crate) fn forget(&self, address: usize) {
        if let Some(_guard) = self.enter() {
            self.take_out(address, None);
        }
    }

    /// Takes out every sample of a private heap that goes.
    pub(crate) fn remove_all_of(&self, owner: usize, thread: usize, now: u64) {
        let Some(_guard) = self.enter() else { return };
        // ORDERING: Relaxed, under the lock.
        for row in 0..self.sample_count.load(Ordering::Relaxed) {
            match self.samples.get(row) {
                Some(sample) if sample.address != 0 && sample.owner == owner as u64 => {
                    self.take_row(row, &sample, Some((thread, now)));
                }
                _ => {}
            }
        }
    }
}

impl Sample {
    fn squares(&self) -> u64 {
        let variance = u128::from(self.bytes) * u128::from(self.bytes.saturating_sub(self.size));
        (variance / u128::from(SQUARE_UNIT)) as u64
    }

    /// What it stands for of the bytes that were asked for.
    fn requested(&self) -> u64 {
        (u128::from(self.bytes) * u128::from(self.asked) / u128::from(self.size.max(1))) as u64
    }
}

impl Site {
    /// Copies what is live to the peak when a peak has passed since it changed.
    pub(super) fn settle(&mut self, epoch: u64) {
        if self.epoch < epoch {
            let [count, bytes, _] = self.live;
            self.peak = [count, bytes];
            self.epoch = epoch;
        }
    }

    /// Adds a sample to what is live, or takes it away.
    fn carry(&mut self, sample: &Sample, comes: bool) {
        let add = |sum: &mut u64, by: u64| {
            *sum = if comes { sum.wrapping_add(by) } else { sum.wrapping_sub(by) };
        };
        let [count, bytes, squares] = &mut self.live;
        add(count, sample.count);
        add(bytes, sample.bytes);
        add(squares, sample.squares());
        add(&mut self.requested, sample.requested());
    }
}

fn add_pair(pair: &mut [u64; 2], sample: &Sample) {
    let [count, bytes] = pair;
    *count = count.wrapping_add(sample.count);
    *bytes = bytes.wrapping_add(sample.bytes);
}

/// The bucket of a lifetime.
pub(super) fn bucket(nanoseconds: u64) -> usize {
    let microseconds = nanoseconds / 1000;
    if microseconds == 0 { 0 } else { (1 + microseconds.ilog2() as usize / 2).min(LIFETIMES - 1) }
}

const _: () = assert!(COUNT_UNIT.is_power_of_two(), "counts are sums of 1/1024");
