//! Lockers: the slots that one thread has in hand.
//!
//! ```text
//!   freed --> [ chance: a random one goes out ] --> [ line: the oldest goes out ] --+
//!                                                                                   |
//!   handed out <-- [ magazine: a random one goes out ] <----------------------------+
//!                         ^        |
//!                  refill |        | full: half of it
//!                         +--------+----> the shelf of the class
//! ```
//!
//! All of it is a few arrays for each class. Which slot an allocation gets is
//! one of up to 32 at random; a freed slot waits until sixteen to forty others
//! of its class have been freed after it, give or take a random number of them.
//! Both are bounded in bytes as well: see [`plan`].
//!
//! A locker is zeros when it is made, so the pages of it that a thread does
//! not need are never touched.
//!
//! # Invariants
//!
//! * K1. A locker is touched by its heap's thread alone while `busy` is set by it,
//!   or, for a private heap's, under the heap's lock.
//! * K2. The slots in a locker are HELD, and in no other place.
#![allow(unsafe_code)]

use super::shelf::Shelves;
use crate::size::{CLASSES, SizeClass};
use crate::sync::AtomicU16;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// A slot in hand: where it is, and its word. The lowest bit of the address says
/// that nobody has ever had the slot, and it need not be looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    at: *mut u8,
    word: *const AtomicU16,
}

impl Slot {
    /// Where an entry of a locker holds nothing.
    const NONE: Self = Self { at: ptr::null_mut(), word: ptr::null() };

    pub(crate) fn new(at: NonNull<u8>, word: &AtomicU16, untouched: bool) -> Self {
        Self { at: at.as_ptr().map_addr(|a| a | usize::from(untouched)), word }
    }

    #[inline(always)]
    pub(crate) fn at(self) -> Option<NonNull<u8>> {
        NonNull::new(self.at.map_addr(|a| a & !1))
    }

    /// True when it reads as zeros because nobody has ever had it.
    #[inline(always)]
    pub(crate) fn is_untouched(self) -> bool {
        self.at.addr() & 1 != 0
    }

    /// Its word.
    #[inline(always)]
    pub(crate) fn word(&self) -> Option<&AtomicU16> {
        // SAFETY: null, or a word of a table: tables are never unmapped.
        unsafe { self.word.as_ref() }
    }
}

/// How many slots of a class a locker holds: magazine, chance, line.
const fn plan(c: usize) -> [usize; 3] {
    if c == 0 {
        return [0; 3];
    }
    let n = 4096 / SizeClass::from_index(c).size();
    let magazine = if n > 32 { 32 } else if n < 4 { 4 } else { n };
    let chance = if n > 32 { 16 } else if n < 4 { 2 } else { n / 2 };
    let line = if n > 64 { 16 } else if n < 4 { 1 } else { n / 4 };
    [magazine, chance, line]
}

const PLANS: [[u8; 3]; CLASSES] = {
    let mut plans = [[0; 3]; CLASSES];
    let mut c = 0;
    while c < CLASSES {
        let [magazine, chance, line] = plan(c);
        plans[c] = [magazine as u8, chance as u8, line as u8];
        c += 1;
    }
    plans
};

/// Where each class's entries begin; the last is their number.
static OFFSETS: [u16; CLASSES + 1] = {
    let mut offsets = [0; CLASSES + 1];
    let mut c = 0;
    while c < CLASSES {
        let [magazine, chance, line] = plan(c);
        offsets[c + 1] = offsets[c] + (magazine + chance + line) as u16;
        c += 1;
    }
    offsets
};

const ENTRIES: usize = OFFSETS[CLASSES] as usize;
static PLAN: [[u8; 3]; CLASSES] = PLANS;

/// What of a class is in use.
#[repr(C)]
#[derive(Debug)]
struct Counts {
    magazine: Cell<u8>,
    chance: Cell<u8>,
    line: Cell<u8>,
    /// The oldest of the line.
    first: Cell<u8>,
}

/// The slots that one thread, or one private heap, has in hand.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Locker {
    /// Where slots come from and go to.
    shelves: Cell<*const Shelves>,
    dice: Cell<u64>,
    step: Cell<u64>,
    /// The locker's thread is in it; a handler above must not be.
    busy: Cell<bool>,
    /// Frees since the quarantine was last looked at, and the class to look at next.
    frees: Cell<u8>,
    turn: Cell<u8>,
    counts: [Counts; CLASSES],
    entries: [Cell<Slot>; ENTRIES],
}

impl Locker {
    /// Makes a locker of fresh zeros.
    pub(crate) fn begin(&self, shelves: &Shelves, seed: u64) {
        self.shelves.set(shelves);
        self.dice.set(seed);
        self.step.set(seed.rotate_left(29) | 1);
    }

    pub(crate) fn shelves(&self) -> Option<&Shelves> {
        // SAFETY: null, or shelves, which are never unmapped.
        unsafe { self.shelves.get().as_ref() }
    }

    /// Enters for its thread. False when that is inside already, below a handler.
    #[inline(always)]
    pub(crate) fn enter(&self) -> bool {
        if self.busy.replace(true) {
            return false;
        }
        crate::sync::compiler_barrier();
        true
    }

    #[inline(always)]
    pub(crate) fn leave(&self) {
        crate::sync::compiler_barrier();
        self.busy.set(false);
    }

    /// A random number below `below`, which is less than 2^32.
    #[inline(always)]
    pub(crate) fn roll(&self, below: usize) -> usize {
        // The high half of a linear congruence: three instructions.
        let x = self.dice.get().wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(self.step.get());
        self.dice.set(x);
        (((x >> 32) * below as u64) >> 32) as usize
    }

    #[inline(always)]
    fn entry(&self, i: usize) -> &Cell<Slot> {
        debug_assert!(i < ENTRIES);
        // SAFETY: the callers add a count that is within the class's plan to the
        // class's offset, and the offsets end at ENTRIES.
        unsafe { self.entries.get_unchecked(i) }
    }

    #[inline(always)]
    fn row(&self, class: SizeClass) -> (&Counts, usize, [usize; 3]) {
        let c = class.index();
        // SAFETY: a class is below CLASSES.
        let counts = unsafe { self.counts.get_unchecked(c) };
        // SAFETY: as above.
        let offset = unsafe { *OFFSETS.get_unchecked(c) };
        // SAFETY: as above.
        let [magazine, chance, line] = unsafe { *PLAN.get_unchecked(c) };
        let plan = [usize::from(magazine), usize::from(chance), usize::from(line)];
        (counts, usize::from(offset), plan)
    }

    /// A random slot of the magazine.
    #[inline(always)]
    pub(crate) fn take(&self, class: SizeClass) -> Option<Slot> {
        let (counts, base, _) = self.row(class);
        let count = usize::from(counts.magazine.get());
        if count == 0 {
            return None;
        }
        let found = self.entry(base + self.roll(count));
        let last = self.entry(base + count - 1);
        let slot = found.get();
        found.set(last.get());
        counts.magazine.set((count - 1) as u8);
        Some(slot)
    }

    /// Puts a slot into the magazine. False when it is full.
    #[inline(always)]
    pub(crate) fn put(&self, class: SizeClass, slot: Slot) -> bool {
        let (counts, base, [magazine, ..]) = self.row(class);
        let count = usize::from(counts.magazine.get());
        if count == magazine {
            return false;
        }
        self.entry(base + count).set(slot);
        counts.magazine.set((count + 1) as u8);
        true
    }

    /// Slots that a refill is for: half a magazine.
    pub(crate) fn batch(class: SizeClass) -> usize {
        PLAN.get(class.index()).map_or(1, |[magazine, ..]| usize::from(*magazine).div_ceil(2))
    }

    /// Puts a freed slot into quarantine. Returns the one that has been there
    /// long enough.
    #[inline(always)]
    pub(crate) fn retain(&self, class: SizeClass, slot: Slot) -> Option<Slot> {
        let (counts, base, [magazine, chance, line]) = self.row(class);
        let by_chance = base + magazine;
        let count = usize::from(counts.chance.get());
        if count < chance {
            self.entry(by_chance + count).set(slot);
            counts.chance.set((count + 1) as u8);
            return None;
        }
        let out = self.entry(by_chance + self.roll(chance)).replace(slot);
        let in_line = by_chance + chance;
        let count = usize::from(counts.line.get());
        if count < line {
            self.entry(in_line + count).set(out);
            counts.line.set((count + 1) as u8);
            return None;
        }
        let first = usize::from(counts.first.get());
        counts.first.set(if first + 1 == line { 0 } else { (first + 1) as u8 });
        Some(self.entry(in_line + first).replace(out))
    }

    /// True for one free in 256: the time to look at a class's quarantine. Says
    /// which.
    #[inline(always)]
    pub(crate) fn is_time_to_look(&self) -> bool {
        let frees = self.frees.get().wrapping_add(1);
        self.frees.set(frees);
        frees == 0
    }

    /// The class whose quarantine is to be looked at, in turn.
    pub(crate) fn next_turn(&self) -> SizeClass {
        let turn = self.turn.get();
        let next = if usize::from(turn) + 1 >= CLASSES { 1 } else { turn + 1 };
        self.turn.set(next);
        SizeClass::from_index(usize::from(next))
    }

    /// Visits the slots in quarantine.
    pub(crate) fn waiting(&self, class: SizeClass, mut see: impl FnMut(Slot)) {
        let (counts, base, [magazine, chance, _]) = self.row(class);
        for i in 0..usize::from(counts.chance.get()) {
            see(self.entry(base + magazine + i).get());
        }
        for i in 0..usize::from(counts.line.get()) {
            see(self.entry(base + magazine + chance + i).get());
        }
    }

    /// Visits every slot of a class.
    pub(crate) fn all(&self, class: SizeClass, mut see: impl FnMut(Slot)) {
        let (counts, base, _) = self.row(class);
        for i in 0..usize::from(counts.magazine.get()) {
            see(self.entry(base + i).get());
        }
        self.waiting(class, see);
    }

    /// Takes every slot of a class out, quarantine included.
    pub(crate) fn empty(&self, class: SizeClass, mut see: impl FnMut(Slot)) {
        let (counts, base, plan) = self.row(class);
        let [magazine, chance, line] = plan;
        let parts = [
            (base, counts.magazine.replace(0), magazine),
            (base + magazine, counts.chance.replace(0), chance),
            (base + magazine + chance, counts.line.replace(0), line),
        ];
        counts.first.set(0);
        for (from, count, most) in parts {
            for i in 0..usize::from(count).min(most) {
                see(self.entry(from + i).replace(Slot::NONE));
            }
        }
    }

    /// Slots of a class in hand.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn held(&self, class: SizeClass) -> usize {
        let (counts, ..) = self.row(class);
        [&counts.magazine, &counts.chance, &counts.line].iter().map(|c| usize::from(c.get())).sum()
    }
}
