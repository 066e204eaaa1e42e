//! Where the tables lie: at first together, later each in a place of its own.
//!
//! ```text
//!   first mapping:  header, history, chains, links, stacks, samples, words, sites, moments
//!                   \________________ what a tiny process has ________________/
//!   reservation:    sites .... | stacks .... | words ....... | samples .... | labels | chains | links | ...
//! ```
//!
//! Most processes are tiny and take a sample or none. Columns of full length would touch
//! a page for each of their beginnings; the first rows of all of them fit on six, and
//! those of one sample on three.
//! When one of them is full, every column that grows is copied into the reservation,
//! under the lock (ST1). The header, the history and the moments never grow and stay.
//!
//! The first mapping is not given back then: a reader that began before goes on there.
#![allow(unsafe_code)]

use super::column::{Column, Plain, STEP};
use super::index::{self, Index};
use super::{LESS, MOMENTS, Room, Sample, Sites, Stack};
use crate::dump::{HISTORY, Header, Moment, Site};
use crate::os::{Advice, Kernel, Os};
use crate::sync::{AtomicPtr, AtomicUsize, Ordering};
use core::ptr::{self, NonNull};

/// What the first mapping has room for.
const FIRST: Room = Room { sites: 24, stacks: 24, words: 640, samples: 24, labels: 0 };

impl Room {
    const fn at_most(self, most: Self) -> Self {
        const fn min(a: usize, b: usize) -> usize {
            if a < b { a } else { b }
        }
        Self {
            sites: min(self.sites, most.sites),
            stacks: min(self.stacks, most.stacks),
            words: min(self.words, most.words),
            samples: min(self.samples, most.samples),
            labels: min(self.labels, most.labels),
        }
    }
}

/// Hands out parts of a mapping, one after the other.
struct Parts {
    base: Option<NonNull<u8>>,
    used: usize,
}

impl Parts {
    /// The next `len` bytes; where there is no mapping yet they are only counted.
    fn next(&mut self, len: usize) -> NonNull<u8> {
        let at = self.used;
        self.used += len;
        // SAFETY: whoever made the mapping has counted the parts first.
        self.base.map_or(NonNull::dangling(), |base| unsafe { base.add(at) })
    }
}

/// The place of a column in the first mapping.
fn put<T: Plain>(parts: &mut Parts, column: &Column<T>, room: usize) {
    let at = parts.next((room * size_of::<T>()).next_multiple_of(align_of::<u64>()));
    if parts.base.is_some() {
        column.place_open(at, room);
    }
}

/// A column on its way to the reservation.
struct Move<'a, T> {
    column: &'a Column<T>,
    room: usize,
    /// Rows that go with it.
    used: usize,
}

impl<T: Plain> Move<'_, T> {
    /// Counts the place, or makes the rows' copies there. False when there is no memory.
    fn begin<O: Os>(&self, parts: &mut Parts, kernel: &Kernel<O>) -> bool {
        let at = parts.next(Column::<T>::bytes(self.room));
        parts.base.is_none() || self.column.copy_to(kernel, at, self.room, self.used)
    }

    /// From here on the column is there.
    fn end(&self, parts: &mut Parts) {
        let at = parts.next(Column::<T>::bytes(self.room));
        self.column.switch(at, self.room, self.used);
    }
}

impl Sites {
    /// Bytes of the tables that may have memory behind them.
    pub(crate) fn bytes(&self) -> usize {
        if !self.is_there() {
            return 0;
        }
        // ORDERING: Relaxed, a figure.
        let first = self.len.load(Ordering::Relaxed);
        if !self.is_wide() {
            return first;
        }
        let indices = [&self.site_index, &self.stack_index, &self.sample_index];
        let indices: usize =
            indices.iter().map(|i| i.chains.committed() + i.links.committed()).sum();
        first
            + indices
            + self.sites.committed()
            + self.stacks.committed()
            + self.words.committed()
            + self.samples.committed()
            + self.labels.committed()
    }

    /// Bytes of the tables that have memory behind them.
    pub(crate) fn resident<O: Os>(&self, kernel: &Kernel<O>) -> usize {
        let both = [(&self.base, &self.len), (&self.wide, &self.wide_len)];
        let resident = |(base, len): (&AtomicPtr<u8>, &AtomicUsize)| {
            // ORDERING: Acquire pairs with the Release in `open_first` and `widen`.
            match NonNull::new(base.load(Ordering::Acquire)) {
                // ORDERING: Relaxed, set before the address.
                // SAFETY: the mapping is ours.
                Some(base) => unsafe { kernel.resident(base, len.load(Ordering::Relaxed)) },
                None => 0,
            }
        };
        both.into_iter().map(resident).sum()
    }

    /// True when the columns that grow lie in the reservation.
    fn is_wide(&self) -> bool {
        // ORDERING: Acquire pairs with the Release in `widen`.
        !self.wide.load(Ordering::Acquire).is_null()
    }

    /// Sites that there can be in the end.
    pub(super) fn most_sites(&self) -> usize {
        if self.is_wide() { self.sites.room() } else { self.room.sites }
    }

    /// Makes the tables if there are none. The lock is held.
    pub(super) fn open<O: Os>(&self, kernel: &Kernel<O>) -> bool {
        if self.is_there() {
            return true;
        }
        // ORDERING: Relaxed, under the lock.
        if self.retired.load(Ordering::Relaxed) {
            return false;
        }
        self.open_first(kernel)
    }

    /// Gives every column its place in the first mapping, or counts the bytes of it.
    fn lay_out(&self, base: Option<NonNull<u8>>) -> usize {
        let room = FIRST.at_most(self.room);
        let mut parts = Parts { base, used: 0 };
        let parts = &mut parts;
        put(parts, &self.header, 1);
        put(parts, &self.history, HISTORY);
        for (index, rows) in self.indices(room) {
            put(parts, &index.chains, index::chains_for(rows));
            put(parts, &index.links, rows);
        }
        put(parts, &self.stacks, room.stacks);
        put(parts, &self.samples, room.samples);
        put(parts, &self.words, room.words);
        put(parts, &self.sites, room.sites);
        put(parts, &self.labels, room.labels);
        put(parts, &self.moments, MOMENTS);
        parts.used
    }

    fn indices(&self, room: Room) -> [(&Index, usize); 3] {
        [
            (&self.site_index, room.sites),
            (&self.stack_index, room.stacks),
            (&self.sample_index, room.samples),
        ]
    }

    fn open_first<O: Os>(&self, kernel: &Kernel<O>) -> bool {
        let len = self.lay_out(None).next_multiple_of(kernel.page_size());
        let Some(base) = kernel.reserve(len, 0) else { return false };
        // SAFETY: the range was just reserved.
        if !unsafe { kernel.commit(base, len) } {
            // SAFETY: nobody knows of the range yet.
            unsafe { kernel.release(base, len) };
            return false;
        }
        // SAFETY: the range is ours. Failure leaves a larger core file.
        unsafe { kernel.advise(base, len, Advice::NoDump) };
        self.lay_out(Some(base));
        // ORDERING: Relaxed, published by `base`.
        self.len.store(len, Ordering::Relaxed);
        // The first site is the one for what has no place.
        // ORDERING: Relaxed, under the lock.
        self.site_count.store(1, Ordering::Relaxed);
        // ORDERING: Release pairs with the Acquire in `is_there`.
        self.base.store(base.as_ptr(), Ordering::Release);
        self.show();
        true
    }

    /// True once `ready` says so: where the first rows are used up, in the reservation.
    /// The lock is held.
    pub(super) fn or_wider<O: Os>(&self, kernel: &Kernel<O>, ready: impl Fn() -> bool) -> bool {
        ready() || (self.widen(kernel) && ready())
    }

    fn widen<O: Os>(&self, kernel: &Kernel<O>) -> bool {
        if self.is_wide() {
            return false;
        }
        self.widen_to(kernel, self.room) || self.widen_to(kernel, self.room.less(LESS))
    }

    fn widen_to<O: Os>(&self, kernel: &Kernel<O>, room: Room) -> bool {
        // ORDERING: Relaxed on all, under the lock.
        let used = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let sites = Move { column: &self.sites, room: room.sites, used: used(&self.site_count) };
        let stacks =
            Move { column: &self.stacks, room: room.stacks, used: used(&self.stack_count) };
        let words = Move { column: &self.words, room: room.words, used: used(&self.word_count) };
        let samples =
            Move { column: &self.samples, room: room.samples, used: used(&self.sample_count) };
        let labels =
            Move { column: &self.labels, room: room.labels, used: used(&self.label_bytes) };
        let indices = self.indices(room).map(|(index, rows)| {
            let (chains, links) = index.used();
            let room = index::chains_for(rows);
            let chains = Move { column: &index.chains, room, used: chains };
            (chains, Move { column: &index.links, room: rows, used: links })
        });
        let begin = |base| {
            let mut parts = Parts { base, used: 0 };
            let done = sites.begin(&mut parts, kernel)
                && stacks.begin(&mut parts, kernel)
                && words.begin(&mut parts, kernel)
                && samples.begin(&mut parts, kernel)
                && labels.begin(&mut parts, kernel)
                && indices.iter().all(|(chains, links)| {
                    chains.begin(&mut parts, kernel) && links.begin(&mut parts, kernel)
                });
            done.then_some(parts.used)
        };
        let Some(len) = begin(None) else { return false };
        let Some(base) = kernel.reserve(len, 0) else { return false };
        if begin(Some(base)).is_none() {
            // SAFETY: nobody knows of the reservation yet.
            unsafe { kernel.release(base, len) };
            return false;
        }
        // SAFETY: the range is ours. Failure leaves a larger core file.
        unsafe { kernel.advise(base, len, Advice::NoDump) };
        let mut parts = Parts { base: Some(base), used: 0 };
        sites.end(&mut parts);
        stacks.end(&mut parts);
        words.end(&mut parts);
        samples.end(&mut parts);
        labels.end(&mut parts);
        for (chains, links) in &indices {
            chains.end(&mut parts);
            links.end(&mut parts);
        }
        // ORDERING: Relaxed, published by `wide`.
        self.wide_len.store(len, Ordering::Relaxed);
        // ORDERING: Release pairs with the Acquire in `is_wide`.
        self.wide.store(base.as_ptr(), Ordering::Release);
        self.show();
        true
    }

    /// Takes the tables away for good, while threads may still be about to look at them.
    /// Where one reads them without the lock they stay as zeros, in mappings that have
    /// no memory behind them.
    pub(crate) fn retire<O: Os>(&self, kernel: &Kernel<O>) {
        let Some(_guard) = self.lock.lock() else { return };
        // ORDERING: Relaxed, under the lock.
        self.retired.store(true, Ordering::Relaxed);
        let ranges = self.take();
        // ORDERING: AcqRel pairs with the exchange in `reading`: whoever comes after this
        // one sees that there are no tables, and whoever came before is counted.
        let is_read = self.readers.fetch_add(0, Ordering::AcqRel) != 0;
        for (base, len) in ranges.into_iter().flatten() {
            if !is_read {
                // SAFETY: the range is ours, out of sight, and nobody reads it.
                unsafe { kernel.release(base, len) };
                continue;
            }
            // SAFETY: the range is ours, and what it holds is not needed.
            unsafe { kernel.purge(base, len) };
            // SAFETY: as above. Where this is refused, more mappings are left.
            unsafe { kernel.commit(base, len) };
        }
    }

    /// Takes the tables out of sight: where they are, and how long.
    fn take(&self) -> [Option<(NonNull<u8>, usize)>; 2] {
        // ORDERING: Acquire pairs with the Release in `show_at`.
        let root = self.root.swap(ptr::null_mut(), Ordering::Acquire);
        // SAFETY: null, or a static.
        if let Some(root) = unsafe { root.as_ref() } {
            // ORDERING: Release, before the tables go.
            root.magic.store(0, Ordering::Release);
        }
        [(&self.base, &self.len), (&self.wide, &self.wide_len)].map(|(base, len)| {
            // ORDERING: Acquire pairs with the Release in `open_first` and `widen_to`.
            let base = NonNull::new(base.swap(ptr::null_mut(), Ordering::Acquire))?;
            // ORDERING: Relaxed, set before the address.
            Some((base, len.load(Ordering::Relaxed)))
        })
    }

    /// Gives the tables back.
    ///
    /// # Safety
    ///
    /// Nobody will look at them again.
    pub(crate) unsafe fn close<O: Os>(&self, kernel: &Kernel<O>) {
        for (base, len) in self.take().into_iter().flatten() {
            // SAFETY: the range is ours, and nobody looks at it any more.
            unsafe { kernel.release(base, len) };
        }
    }
}

const _: () = assert!(FIRST.sites * size_of::<Site>() <= STEP, "a reader finds the rows of before");
const _: () = assert!(align_of::<Header>() <= 8 && align_of::<Moment>() <= 8, "parts are words");
const _: () = assert!(align_of::<Site>() <= 8 && align_of::<Sample>() <= 8, "parts are words");
const _: () = assert!(align_of::<Stack>() <= 8, "parts are words");
