//! How often samples are taken: the interval that was chosen, and the one in force.
//!
//! ```text
//!   samples come:   x  x xx x xxx xxxxxxxxxxxxx   x   x     x    x
//!   window:       |-- 2 ms + 1% of its time --|------- a second -------|---
//!                                   overdrawn: twice as wide          little: half, down to what was chosen
//! ```
//!
//! What a sample costs is not known beforehand. Where stacks are known it is some 5 us; where a
//! process runs through code for the first time its unwind tables are read, and one took 160 us
//! in a compiler of 160 MB (docs/decisions/072). So the time is measured, and a window of at
//! most a second may spend one hundredth of its length, and two milliseconds besides, for a beginning.
//! Who overdraws that, or takes more than a thousand samples, takes half as many from then on. A
//! second in which a quarter would have done brings the interval back by one step. Who has chosen
//! a shorter interval than the usual one may spend as much more.
//!
//! Weights are kept with the samples, so sums stay right however often this happens.
//!
//! Threads: anyone, at any time, without a lock. What two threads do here at once is done once,
//! or a window later. Time is the clock's, not the processor's: a walk that was interrupted
//! counts for a fifth of a millisecond at most.
#![forbid(unsafe_code)]

use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Samples before their number alone may widen the interval.
const UNTOUCHED: u64 = 1024;
/// Samples in a window above which it does.
const RATE: u64 = 1000;
/// The interval does not adapt beyond this where samples are many, and beyond that where they are
/// dear: some are wanted of a process that is all new code and over in a second.
const WIDEST: u32 = 16 << 20;
const WIDEST_DEAR: u32 = 4 << 20;
/// What a hundredth of the time is meant for; shorter intervals may cost more.
const USUAL: u32 = 512 << 10;
const SECOND: u64 = 1_000_000_000;
/// Nanoseconds that any window may spend.
const GRACE: u64 = 2_000_000;
/// One part in so many of its time is what a window may spend besides.
const SHARE: u64 = 100;
/// More nanoseconds than a walk takes that nobody has interrupted.
const DEAREST: u64 = 200_000;

/// A stretch of time, and what was done in it.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// Nanoseconds since it began, and of those the ones that were spent on samples.
    long: u64,
    spent: u64,
    samples: u64,
    /// Samples since the process began.
    all: u64,
}

/// The interval after `window`, for which `now` was in force and `chosen` was asked for. `None`:
/// the window goes on.
fn after(window: Window, now: u32, chosen: u32) -> Option<u32> {
    let more = u64::from((USUAL / chosen.max(1)).max(1));
    let budget = (GRACE + window.long / SHARE).saturating_mul(more);
    let is_over = window.long >= SECOND;
    let is_full = window.samples > RATE && window.all > UNTOUCHED;
    let wider = |widest: u32| now.max(now.saturating_mul(2).min(widest.max(chosen)));
    match () {
        () if is_full && !is_over => Some(wider(WIDEST)),
        () if window.spent > budget => Some(wider(WIDEST_DEAR)),
        () if !is_over && window.samples <= RATE => None,
        () if window.spent < budget / 4 && window.samples < RATE / 4 => {
            Some((now / 2).max(chosen.min(now)))
        }
        () => Some(now),
    }
}

/// The pace of a process.
#[derive(Debug)]
pub(super) struct Pace {
    /// Mean bytes between two samples; 0 for never. Read at each slow path.
    interval: AtomicU32,
    /// The same as it was asked for.
    chosen: AtomicU32,
    /// The window: when it began, the samples taken before, and what it has spent.
    since: AtomicU64,
    before: AtomicU64,
    spent: AtomicU64,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self {
            interval: AtomicU32::new(0),
            chosen: AtomicU32::new(0),
            since: AtomicU64::new(0),
            before: AtomicU64::new(0),
            spent: AtomicU64::new(0),
        }
    }

    /// Mean bytes between two samples, as it is now.
    #[inline(always)]
    pub(super) fn interval(&self) -> u32 {
        // ORDERING: Relaxed, one number; who sees it late draws again later.
        self.interval.load(Ordering::Relaxed)
    }

    /// Chooses the mean, for all that is drawn from here on.
    pub(super) fn choose(&self, bytes: u32) {
        // ORDERING: Relaxed, as above. In this order: who adapts between the two does so
        // once, to a number that is stored over.
        self.chosen.store(bytes, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.interval.store(bytes, Ordering::Relaxed);
    }

    /// A sample was taken, the `all`th, between `began` and `now`.
    pub(super) fn sampled(&self, all: u64, began: u64, now: u64) {
        let cost = now.saturating_sub(began).min(DEAREST);
        // ORDERING: Relaxed on all: figures, and turns that may be lost.
        let spent = self.spent.fetch_add(cost, Ordering::Relaxed) + cost;
        // ORDERING: Relaxed, as above.
        let since = self.since.load(Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        let before = self.before.load(Ordering::Relaxed);
        let window = Window {
            long: now.saturating_sub(since),
            spent,
            samples: all.saturating_sub(before),
            all,
        };
        let interval = self.interval();
        // ORDERING: Relaxed, as above.
        let chosen = self.chosen.load(Ordering::Relaxed);
        // The first sample reads the list of modules, once for all: no window has it.
        let next = if since == 0 { Some(interval) } else { after(window, interval, chosen) };
        let Some(next) = next else { return };
        // ORDERING: Relaxed on both, as above.
        if self.since.compare_exchange(since, now, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        // ORDERING: Relaxed, as above.
        self.before.store(all, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.spent.store(0, Ordering::Relaxed);
        if next != interval && interval != 0 {
            // A program that has set another one meanwhile has the last word.
            // ORDERING: Relaxed on both, as in `choose`.
            let _ = self.interval.compare_exchange(interval, next, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn window(long: u64, spent: u64, samples: u64) -> Window {
        Window { long, spent, samples, all: samples + UNTOUCHED }
    }

    #[test]
    fn who_spends_more_than_two_milliseconds_and_a_hundredth_takes_half_as_many() {
        let usual = |long, spent| after(window(long, spent, 10), USUAL, USUAL);
        assert_eq!(usual(100 * MS, 3 * MS), None);
        assert_eq!(usual(100 * MS, 3 * MS + 1), Some(2 * USUAL));
        assert_eq!(usual(SECOND, 12 * MS), Some(USUAL));
        assert_eq!(usual(SECOND, 12 * MS + 1), Some(2 * USUAL));
        for (now, then) in [(WIDEST_DEAR, WIDEST_DEAR), (3 << 20, WIDEST_DEAR), (8 << 20, 8 << 20)] {
            assert_eq!(after(window(MS, 9 * MS, 10), now, USUAL), Some(then), "and no fewer");
        }
        let rare = 64 << 20;
        assert_eq!(after(window(MS, 9 * MS, 10), rare, rare), Some(rare), "chosen wider than that");
    }

    #[test]
    fn who_wants_more_may_spend_more() {
        for (chosen, spends, next) in [(64 << 10, 16 * MS, None), (64 << 10, 17 * MS, Some(128 << 10))] {
            assert_eq!(after(window(5 * MS, spends, 10), chosen, chosen), next);
        }
        assert_eq!(after(window(5 * MS, 900 * MS, 10), 1, 1), None);
    }

    #[test]
    fn more_than_a_thousand_in_a_second_are_too_many_after_the_first() {
        let full = window(900 * MS, 0, RATE + 1);
        assert_eq!(after(full, USUAL, USUAL), Some(2 * USUAL));
        assert_eq!(after(full, WIDEST, USUAL), Some(WIDEST));
        assert_eq!(after(Window { all: UNTOUCHED, ..full }, USUAL, USUAL), Some(USUAL));
        assert_eq!(after(window(900 * MS, 0, RATE), USUAL, USUAL), None);
    }

    #[test]
    fn a_second_of_few_brings_back_what_was_chosen_and_no_less() {
        let few = window(SECOND, 2 * MS, RATE / 4 - 1);
        assert_eq!(after(few, 4 * USUAL, USUAL), Some(2 * USUAL));
        assert_eq!(after(few, USUAL, USUAL), Some(USUAL));
        assert_eq!(after(few, 3 * USUAL / 2, USUAL), Some(USUAL));
        assert_eq!(after(window(SECOND, 3 * MS, 10), 4 * USUAL, USUAL), Some(4 * USUAL), "dear");
        assert_eq!(after(window(SECOND, 0, RATE / 4), 4 * USUAL, USUAL), Some(4 * USUAL), "many");
    }

    #[test]
    fn interruptions_count_for_little() {
        let pace = Pace::new();
        pace.choose(USUAL);
        pace.sampled(1, MS, 900 * MS);
        assert_eq!(pace.interval(), USUAL);
        let mut now = 900 * MS;
        for all in 2..12 {
            pace.sampled(all, now, now + 50 * MS);
            now += 50 * MS;
        }
        assert_eq!(pace.interval(), USUAL, "ten interruptions of 50 ms");
    }

    #[test]
    fn each_window_begins_with_nothing_spent_and_nothing_taken() {
        let pace = Pace::new();
        pace.choose(USUAL);
        let mut now = 900 * MS;
        pace.sampled(1, 0, now);
        for all in 2..44 {
            pace.sampled(all, now, now + MS / 10);
            now += MS / 10;
        }
        assert_eq!(pace.interval(), 4 * USUAL, "42 walks of a tenth of a millisecond, one by one");
        let pace = Pace::new();
        pace.choose(USUAL);
        let steps = [(1..2003, USUAL), (2003..3004, 2 * USUAL), (3004..3005, 4 * USUAL)];
        for (samples, interval) in steps {
            let last = samples.end - 1;
            samples.for_each(|all| pace.sampled(all, MS, MS));
            assert_eq!(pace.interval(), interval, "{last} at once");
        }
    }
}
