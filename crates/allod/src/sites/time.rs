//! Labels are given, time passes, and readers come.
#![forbid(unsafe_code)]

use super::{Counts, Figures, MOMENTS, Sites};
use crate::dump::{HISTORY, Header, Moment, Site};
use crate::os::{Kernel, Os};
use crate::sync::Ordering;

impl Sites {
    /// The number of the label `text`; 0 when there is no room for it.
    pub(crate) fn label<O: Os>(&self, kernel: &Kernel<O>, text: &[u8]) -> u32 {
        // A line ends at the first zero byte.
        let text = text.split(|&byte| byte == 0).next().unwrap_or(text);
        if text.is_empty() {
            return 0;
        }
        let Some(_guard) = self.enter() else { return 0 };
        if !self.open(kernel) {
            return 0;
        }
        // ORDERING: Relaxed on both, under the lock.
        let (end, count) =
            (self.label_bytes.load(Ordering::Relaxed), self.label_count.load(Ordering::Relaxed));
        let (mut at, mut number) = (0, 0);
        while at < end {
            number += 1;
            let same = text.iter().enumerate().all(|(i, &b)| self.labels.get(at + i) == Some(b));
            if same && self.labels.get(at + text.len()) == Some(0) {
                return number;
            }
            while self.labels.get(at).is_some_and(|byte| byte != 0) {
                at += 1;
            }
            at += 1;
        }
        if !self.or_wider(kernel, || self.labels.ensure(kernel, end + text.len() + 1)) {
            return 0;
        }
        for (i, &byte) in text.iter().enumerate() {
            self.labels.set(end + i, byte);
        }
        // ORDERING: Relaxed, under the lock.
        self.label_count.store(count + 1, Ordering::Relaxed);
        // ORDERING: Release pairs with the Acquire of readers: the text is there.
        self.label_bytes.store(end + text.len() + 1, Ordering::Release);
        self.show();
        count + 1
    }
}

impl Sites {
    /// Notes how things are, if a point is due. `now` is the coarse clock's; `look`
    /// tells nanoseconds since the start, and the figures. True when a point was due.
    pub(crate) fn tick(&self, now: u64, look: impl FnOnce() -> (u64, Figures)) -> bool {
        // ORDERING: Relaxed, a late or missed point does no harm.
        if !self.is_there() || now < self.due.load(Ordering::Relaxed) {
            return false;
        }
        let Some(_guard) = self.lock.try_lock() else { return false };
        // ORDERING: Relaxed on all below, under the lock.
        let step = self.moment_step.load(Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.due.store(now + step, Ordering::Relaxed);
        let (elapsed, figures) = look();
        // ORDERING: Relaxed, as above.
        let mut count = self.moment_count.load(Ordering::Relaxed);
        if count == MOMENTS {
            count /= 2;
            for i in 0..count {
                if let Some(moment) = self.moments.get(i * 2) {
                    self.moments.set(i, moment);
                }
            }
            // ORDERING: Relaxed, as above.
            self.moment_step.store(step * 2, Ordering::Relaxed);
        }
        let Figures { live, resident, retained } = figures;
        self.moments.set(count, Moment { at: elapsed, live, resident, retained });
        // ORDERING: Release pairs with the Acquire of readers: the row is whole.
        self.moment_count.store(count + 1, Ordering::Release);
        self.tick_history(elapsed);
        self.show();
        true
    }

    fn tick_history(&self, elapsed: u64) {
        // ORDERING: Relaxed on all below, under the lock.
        let step = self.history_step.load(Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        let mut count = self.history_count.load(Ordering::Relaxed);
        let last = count.checked_sub(1).and_then(|i| self.history.get(i));
        if last.is_some_and(|last| elapsed < last + step * 1_000_000) {
            return;
        }
        // ORDERING: Relaxed, as above.
        let sites = self.site_count.load(Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        let epoch = self.epoch.load(Ordering::Relaxed);
        if count == HISTORY {
            count /= 2;
            for i in 0..count {
                self.history.set(i, self.history.get(i * 2).unwrap_or(0));
            }
            for row in 0..sites {
                self.sites.change(row, |site| {
                    for i in 0..HISTORY {
                        let kept = site.history.get(i * 2).copied().filter(|_| i < count);
                        if let Some(place) = site.history.get_mut(i) {
                            *place = kept.unwrap_or(0);
                        }
                    }
                });
            }
            // ORDERING: Relaxed, as above.
            self.history_step.store(step * 2, Ordering::Relaxed);
        }
        for row in 0..sites {
            self.sites.change(row, |site| {
                site.settle(epoch);
                let [_, live, _] = site.live;
                if let Some(place) = site.history.get_mut(count) {
                    *place = live;
                }
            });
        }
        self.history.set(count, elapsed);
        // ORDERING: Release pairs with the Acquire of readers: the points are there.
        self.history_count.store(count + 1, Ordering::Release);
    }

    /// Puts a header where readers from outside find it.
    pub(crate) fn set_header(&self, header: &Header) {
        if let Some(_guard) = self.enter().filter(|_| self.is_there()) {
            // ORDERING: Relaxed, under the lock.
            let epoch = self.epoch.load(Ordering::Relaxed);
            self.header.set(0, Header { epoch, ..*header });
        }
    }

    /// How often more was live than ever before.
    pub(crate) fn epoch(&self) -> u64 {
        // ORDERING: Relaxed, a figure.
        self.epoch.load(Ordering::Relaxed)
    }

    /// Rows of the tables that a dump holds as they are.
    pub(crate) fn counts(&self) -> Counts {
        if !self.is_there() {
            return Counts::default();
        }
        Counts {
            // ORDERING: Acquire on all: the rows counted are whole.
            sites: self.site_count.load(Ordering::Acquire),
            // ORDERING: Acquire, as above.
            words: self.word_count.load(Ordering::Acquire),
            // ORDERING: Acquire, as above.
            labels: self.label_bytes.load(Ordering::Acquire),
            // ORDERING: Acquire, as above.
            moments: self.moment_count.load(Ordering::Acquire),
            // ORDERING: Acquire, as above.
            history: self.history_count.load(Ordering::Acquire),
        }
    }

    /// Site `row`, whole if the lock can be had, with its peak as it is.
    pub(crate) fn copy_site(&self, row: usize) -> Option<Site> {
        let _guard = self.enter();
        let mut site = self.sites.get(row)?;
        site.settle(self.epoch());
        Some(site)
    }

    pub(crate) fn word(&self, i: usize) -> u64 {
        self.words.get(i).unwrap_or(0)
    }

    pub(crate) fn label_byte(&self, i: usize) -> u8 {
        self.labels.get(i).unwrap_or(0)
    }

    pub(crate) fn moment(&self, i: usize) -> Option<Moment> {
        self.moments.get(i)
    }

    pub(crate) fn point(&self, i: usize) -> u64 {
        self.history.get(i).unwrap_or(0)
    }

    /// Bytes that the program asked for, of `live`, as the samples tell: their share
    /// of what they hold.
    pub(crate) fn requested(&self, live: u64) -> u64 {
        let (mut asked, mut held) = (0u128, 0u128);
        for row in 0..self.counts().sites {
            if let Some(site) = self.sites.get(row) {
                let [_, bytes, _] = site.live;
                asked += u128::from(site.requested);
                held += u128::from(bytes);
            }
        }
        (u128::from(live) * asked).checked_div(held).map_or(live, |bytes| bytes as u64)
    }
}
