//! The sampler: which objects are taken, and what is written down of them.
//!
//! ```text
//!   a list of blocks is installed:   o o o o o o o o o o      left: 6
//!                                    \_________/ | \___/
//!                                      handed out |   kept aside
//!                                                 the sixth passes, the seventh is taken
//! ```
//!
//! Each heap has a [`Countdown`] for each size class: how many blocks pass before
//! one is taken. It is looked at when a list of blocks is installed, never when a
//! block is popped (docs/decisions/020). A list that is longer than the countdown is
//! cut, and when the front runs dry at the cut, the slow path knows that a sample is due
//! (`heap/sampled.rs`). Countdowns of different heaps and classes need not know of
//! each other: many independent Poisson processes are one.
//!
//! Large and huge objects are decided one by one where they are made.
//!
//! The mean interval may change at any time, by the program or because samples came too
//! often or cost too much (`pace`). Countdowns that were drawn for another are
//! drawn again when their next list is installed, which changes nothing for
//! what has passed: an exponential wait has no memory. What is due already stays due,
//! with the weight of the interval it was drawn for.
//!
//! # Invariants
//!
//! * X1. The weight of a sample is that of the interval its countdown, or its
//!   decision, was drawn for.
//! * X2. What a countdown has counted was handed out, or is on the front's list; what
//!   goes home from there is counted back.
#![forbid(unsafe_code)]

mod pace;

use crate::odds::{self, Dice, Weight};
use crate::os::{Kernel, Os};
use crate::sites::{DEPTH, Sites, Taken};
use crate::sync::{AtomicU64, Ordering, this_thread};
use crate::unwind;
use core::cell::Cell;
use pace::Pace;

/// Blocks that pass before one is taken. For the heap's thread, or under its lock.
#[derive(Debug)]
pub(crate) struct Countdown {
    left: Cell<u32>,
    /// What it was drawn for; [`Countdown::UNDRAWN`] for nothing yet.
    interval: Cell<u32>,
}

impl Countdown {
    const UNDRAWN: u32 = u32::MAX;

    pub(crate) const fn new() -> Self {
        Self { left: Cell::new(0), interval: Cell::new(Self::UNDRAWN) }
    }

    /// Counts a list of `count` blocks. False when that is not all there is to do: a
    /// sample comes before its end, or the countdown was drawn for another interval.
    #[inline(always)]
    pub(crate) fn pass(&self, interval: u32, count: usize) -> bool {
        let left = self.left.get() as usize;
        let passes = self.interval.get() == interval && count <= left;
        if passes {
            self.left.set((left - count) as u32);
        }
        passes
    }

    /// How many of `count` blocks pass, counted. Less than `count`: a sample is due
    /// after them.
    pub(crate) fn cut(&self, sampler: &Sampler, size: usize, count: usize) -> usize {
        if self.interval.get() != sampler.interval() {
            self.draw(sampler, size);
        }
        let mut passes = (self.left.get() as usize).min(count);
        if passes < count && self.interval.get() == 0 {
            self.left.set(u32::MAX);
            passes = count;
        }
        self.left.set(self.left.get() - passes as u32);
        passes
    }

    /// True when the next block is a sample.
    pub(crate) fn is_due(&self) -> bool {
        self.left.get() == 0
    }

    /// Counts `count` blocks back that were not handed out after all.
    pub(crate) fn give_back(&self, count: usize) {
        self.left.set(self.left.get().saturating_add(count as u32));
    }

    /// Draws anew. Returns the interval that the last one was drawn for.
    pub(crate) fn draw(&self, sampler: &Sampler, size: usize) -> u32 {
        let interval = sampler.interval();
        let left = match interval {
            0 => u32::MAX,
            _ => odds::countdown(sampler.dice.roll(), size, interval),
        };
        self.left.set(left);
        self.interval.replace(interval)
    }
}

/// An object that is to be a sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object {
    pub(crate) address: usize,
    /// Bytes that it holds.
    pub(crate) size: usize,
    /// Bytes that were asked for.
    pub(crate) asked: usize,
    /// Its class's block size, or 0.
    pub(crate) block_size: usize,
    /// The private heap that is to go with everything in it, or 0.
    pub(crate) owner: usize,
}

/// Who allocates.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Who {
    /// As the kernel numbers the thread.
    pub(crate) thread: u32,
    pub(crate) label: u32,
}

/// The sampler of a process.
#[derive(Debug)]
pub(crate) struct Sampler {
    pace: Pace,
    dice: Dice,
    /// When it all began, by the precise clock.
    started: AtomicU64,
    pub(crate) sites: Sites,
}

impl Sampler {
    pub(crate) const fn new() -> Self {
        Self {
            pace: Pace::new(),
            dice: Dice::new(),
            started: AtomicU64::new(0),
            sites: Sites::new(),
        }
    }

    /// Begins, with nothing taken until [`Sampler::set_interval`].
    pub(crate) fn open<O: Os>(&self, kernel: &Kernel<O>) {
        self.dice.seed(kernel.entropy());
        // ORDERING: Relaxed, published with the open allocator.
        self.started.store(kernel.nanoseconds(), Ordering::Relaxed);
    }

    /// In the child of a fork: its samples are not its parent's.
    pub(crate) fn reseed<O: Os>(&self, kernel: &Kernel<O>) {
        self.dice.seed(kernel.entropy());
    }

    /// Mean bytes between two samples.
    #[inline(always)]
    pub(crate) fn interval(&self) -> u32 {
        self.pace.interval()
    }

    /// Changes the mean, for all that is drawn from here on.
    pub(crate) fn set_interval(&self, bytes: u32) {
        self.pace.choose(bytes);
    }

    /// Nanoseconds of the precise clock when it all began.
    pub(crate) fn started(&self) -> u64 {
        // ORDERING: Relaxed, set at `open`.
        self.started.load(Ordering::Relaxed)
    }

    /// Decides about one object. The interval it was decided for, if it is taken.
    pub(crate) fn decide(&self, size: usize) -> Option<u32> {
        let interval = self.interval();
        (interval != 0 && odds::is_taken(self.dice.roll(), size, interval)).then_some(interval)
    }

    /// Writes a sample down, taken for `interval` (X1), with the stack that led here.
    #[inline(never)]
    pub(crate) fn record<O: Os>(
        &self,
        kernel: &Kernel<O>,
        object: Object,
        interval: u32,
        who: Who,
    ) -> bool {
        let began = kernel.nanoseconds();
        let mut words = [0usize; DEPTH];
        let found = unwind::capture(&mut words);
        let now = kernel.nanoseconds();
        let weight: Weight = odds::weight(object.size, interval);
        let block_size = match object.block_size {
            0 => object.size.checked_next_power_of_two().unwrap_or(object.size),
            size => size,
        };
        let done = self.sites.add(
            kernel,
            &Taken {
                address: object.address,
                size: object.size,
                asked: object.asked,
                block_size,
                weight,
                at: now,
                stack: words.get(..found.depth).unwrap_or(&words),
                truncated: found.truncated,
                label: who.label,
                thread: who.thread,
                pointer: this_thread(),
                owner: object.owner,
            },
        );
        // ORDERING: Relaxed, a figure.
        self.pace.sampled(self.sites.taken.load(Ordering::Relaxed), began, now);
        done
    }

    /// The object of a sample is given up.
    pub(crate) fn freed<O: Os>(&self, kernel: &Kernel<O>, address: usize) {
        self.sites.remove(address, this_thread(), kernel.nanoseconds());
    }

    /// A private heap goes, and every sample in it.
    pub(crate) fn freed_all_of<O: Os>(&self, kernel: &Kernel<O>, owner: usize) {
        self.sites.remove_all_of(owner, this_thread(), kernel.nanoseconds());
    }
}
