//! Words of a stack, read without a fault.
//!
//! Most words are read by plain loads: those of the part of the thread's own stack
//! that is known to be there. The rest (signal stacks, stacks of coroutines, a stack
//! that is deeper than ever before) is copied by the kernel, 512 bytes at a time.
//!
//! ```text
//!   low addresses                                            high addresses
//!   | ... guard |   deeper   |  known: low .. high  | thread's control block |
//!                  copied           loaded            <- thread pointer
//! ```
//!
//! # How a part becomes known
//!
//! By being walked. When a chain of frames leads from a stack pointer to the
//! outermost frame, and that lies right below the thread's control block (main
//! thread: below the kernel's random bytes, which lie above everything the program
//! has there), then all between is this thread's stack. When a chain runs into
//! the part that is known, that part grows by what the chain has passed. The list of
//! mappings is not asked: it would cost a long read for each thread, and could not
//! tell a stack from what is mapped beside it.
//!
//! # Invariants
//!
//! * US1. `low .. high` of a running thread is part of its stack: mapped and readable
//!   until the thread ends. Stacks of live threads neither move nor shrink.
//! * US2. What is known of a thread is forgotten when it ends ([`Stacks::forget`]),
//!   since another may get its thread pointer with a smaller stack.
//! * US3. An entry's check depends on all of its words: what two threads wrote at once
//!   is taken for empty.
#![allow(unsafe_code)]

use super::memory;
use crate::sync::{AtomicUsize, Ordering};

/// Entries of the table: threads whose stacks are known at one time. With more,
/// some pay for copies.
const ENTRIES: usize = 2048;
/// Places where a thread's entry may be.
const WAYS: usize = 4;
/// Words copied at a time.
const WINDOW: usize = 64;
/// The outermost frame of a thread is at most this far below its control block:
/// thread-local variables are between. Below the smallest stack a thread can have,
/// so that the end of a coroutine's stack beneath is not taken for it.
const THREAD_TOP: usize = 12 << 10;
/// The same for the main thread: arguments and environment are between. No mapping
/// is so near to the stack's top.
const MAIN_TOP: usize = 64 << 20;
/// The smallest page there is.
const PAGE: usize = 4096;

/// One thread's: check, low, high, and how often its stack could not be loaded.
#[repr(C, align(32))]
struct Entry([AtomicUsize; 4]);

/// What is known of the threads' stacks. All zero is empty.
#[repr(C)]
pub(super) struct Stacks {
    rest: [Entry; ENTRIES],
    /// Taken before any other: most processes have one thread, and nothing in the rest.
    first: Entry,
}

fn check(thread: usize, low: usize, high: usize) -> usize {
    let mixed = low.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ high.wrapping_mul(0xd6e8_feb8_6659_fd93);
    thread ^ mixed ^ mixed >> 29
}

impl Entry {
    #[inline(always)]
    fn get(&self, thread: usize) -> Option<(usize, usize)> {
        let [sum, low, high, _] = &self.0;
        // ORDERING: Relaxed, US3: the words say themselves whether they belong together.
        let (low, high) = (low.load(Ordering::Relaxed), high.load(Ordering::Relaxed));
        // ORDERING: Relaxed, as above.
        let sum = sum.load(Ordering::Relaxed);
        (sum == check(thread, low, high) && low < high).then_some((low, high))
    }

    /// True when nothing was ever put here, or it was forgotten.
    #[inline(always)]
    fn is_free(&self) -> bool {
        // ORDERING: Relaxed, US3; two that take one entry lose one of them.
        self.0.iter().all(|word| word.load(Ordering::Relaxed) == 0)
    }

    fn put(&self, thread: usize, bounds: (usize, usize)) {
        let [sum, low, high, _] = &self.0;
        // ORDERING: Relaxed, US3.
        low.store(bounds.0, Ordering::Relaxed);
        // ORDERING: Relaxed, US3.
        high.store(bounds.1, Ordering::Relaxed);
        // ORDERING: Relaxed, US3.
        sum.store(check(thread, bounds.0, bounds.1), Ordering::Relaxed);
    }
}

impl Stacks {
    /// The entries where the thread's may be.
    #[inline(always)]
    fn set(&self, thread: usize) -> &[Entry] {
        let place = thread.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let first = place % (ENTRIES / WAYS) * WAYS;
        self.rest.get(first..first + WAYS).unwrap_or_default()
    }

    /// What is known of the thread's stack.
    #[inline(always)]
    fn find(&self, thread: usize) -> Option<(usize, usize)> {
        if let Some(bounds) = self.first.get(thread) {
            return Some(bounds);
        }
        // While the first is free the rest is not looked at. Should its thread have ended
        // before others, these are learned anew.
        if self.first.is_free() {
            return None;
        }
        self.set(thread).iter().find_map(|entry| entry.get(thread))
    }

    fn put(&self, thread: usize, bounds: (usize, usize)) {
        if self.first.is_free() || self.first.get(thread).is_some() {
            return self.first.put(thread, bounds);
        }
        let set = self.set(thread);
        let own = set.iter().find(|entry| entry.get(thread).is_some());
        let is_free = |entry: &&Entry| entry.is_free();
        // When all are taken the first goes: its thread will put itself elsewhere.
        let entry = own.or_else(|| set.iter().find(is_free)).or_else(|| {
            set.get((bounds.0 >> 12) % WAYS)
        });
        if let Some(entry) = entry {
            entry.put(thread, bounds);
        }
    }

    /// The thread ends (US2).
    pub(super) fn forget(&self, thread: usize) {
        for entry in self.set(thread).iter().chain([&self.first]) {
            if entry.get(thread).is_some() {
                for word in &entry.0 {
                    // ORDERING: Relaxed, US3.
                    word.store(0, Ordering::Relaxed);
                }
            }
        }
    }

    /// Counts a stack that could not be followed to what is known of it, and says
    /// whether to try harder: ever more seldom.
    pub(super) fn try_harder(&self, thread: usize) -> bool {
        let Some(Entry([_, _, _, count])) = self.set(thread).first() else { return false };
        // ORDERING: Relaxed, a figure.
        let count = count.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        count.is_power_of_two() || count % 4096 == 0
    }
}

/// The stack of the calling thread, during one walk.
pub(super) struct Stack<'a> {
    stacks: &'a Stacks,
    thread: usize,
    low: usize,
    /// Bytes of the known part in which a word may start.
    span: usize,
    high: usize,
    /// Asked for when something must be copied; 0 before.
    me: libc::pid_t,
    window: [[u8; 8]; WINDOW],
    /// Address and bytes of what the window holds.
    held: (usize, usize),
}

impl<'a> Stack<'a> {
    #[inline(always)]
    pub(super) fn new(stacks: &'a Stacks, thread: usize) -> Self {
        let (low, high) = stacks.find(thread).unwrap_or((0, 0));
        let span = (high - low).saturating_sub(7);
        Self { stacks, thread, low, span, high, me: 0, window: [[0; 8]; WINDOW], held: (0, 0) }
    }

    /// The word at `at`, a multiple of eight.
    #[inline(always)]
    pub(super) fn read(&mut self, at: usize) -> Option<usize> {
        if at & 7 != 0 {
            return None;
        }
        if self.is_known(at) {
            // SAFETY: US1, the word is in the known part of this thread's stack.
            return Some(unsafe { memory::word(at) });
        }
        self.copied(at)
    }

    #[cold]
    fn copied(&mut self, at: usize) -> Option<usize> {
        let (start, len) = self.held;
        if at.wrapping_sub(start) >= len {
            self.held = (0, 0);
            // Up to the next page, which may not be there.
            let len = (PAGE - at % PAGE).min(WINDOW * 8);
            let into = self.window.as_flattened_mut().get_mut(..len)?;
            if self.me == 0 {
                self.me = memory::me();
            }
            if !memory::read_own(self.me, at, into) {
                return None;
            }
            self.held = (at, len);
        }
        let word = self.window.get(at.wrapping_sub(self.held.0) / 8)?;
        Some(usize::from_ne_bytes(*word))
    }

    /// True when the word at `at` can be loaded.
    #[inline(always)]
    pub(super) fn is_known(&self, at: usize) -> bool {
        at.wrapping_sub(self.low) < self.span
    }

    /// A chain of frames has led from `from` to `to`, which is in the known part, or
    /// the thread's outermost frame if `is_end`.
    #[cold]
    pub(super) fn walked(&self, from: usize, to: usize, is_end: bool) {
        if self.is_known(from) || from >= to {
            return;
        }
        if self.is_known(to) {
            self.stacks.put(self.thread, (from.min(self.low), self.high));
        } else if is_end {
            let top = |high: usize, reach: usize| {
                (high > to && high - to <= reach).then_some(high & !7)
            };
            // SAFETY: a query without preconditions.
            let random = unsafe { libc::getauxval(libc::AT_RANDOM) } as usize;
            let high = top(self.thread, THREAD_TOP).or_else(|| top(random, MAIN_TOP));
            if let Some(high) = high {
                self.stacks.put(self.thread, (from, high));
            }
        }
    }
}
