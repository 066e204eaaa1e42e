//! Lockers: the slots that one thread has in hand.
//!
//! ```text
//!   freed --> [ chance: a random one goes out ] --+
//!                                                 v
//!    ring:      | magazine ............ | line .......|
//!               ^ first    |            ^ line        ^ end
//!     refill ---+          | a random one: handed out
//!                          +--> too many: half of them go to the shelf of the class
//! ```
//!
//! Two arrays for each class. Which slot an allocation gets is one of up to 32 at
//! random; a freed slot waits until sixteen to forty others of its class have been
//! freed after it, give or take a random number of them. It goes from the line to
//! the magazine by a boundary that moves. Both are bounded in bytes as well: see
//! [`Plan`].
//!
//! What is to be done now and then (figures, samples, the clock, a look at the
//! quarantine) hangs on two numbers for each class that count calls down: the
//! fast paths only compare them.
//!
//! A locker is zeros when it is made, so the pages of it that a thread does
//! not need are never touched.
//!
//! # Invariants
//!
//! * K1. A locker is touched by its heap's thread alone while `busy` is set by it,
//!   or, for a private heap's, under the heap's lock.
//! * K2. The slots in a locker are HELD, and in no other place.
//! * K3. The entries of the ring from `first` to `end` are slots; those of the chance
//!   may be, and whoever takes one out looks.
#![allow(unsafe_code)]

use super::shelf::Shelves;
use crate::size::{CLASSES, SizeClass};
use crate::sync::AtomicU16;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// A slot in hand: where it is, and its word. The lowest bit of the address says
/// that nobody has ever had the slot, and it need not be looked at.
///
/// An entry of a locker without a slot is all zeros; no such value leaves this file (K3).
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
    pub(crate) fn at(self) -> NonNull<u8> {
        // SAFETY: by K3 the slot is one, and starts at a multiple of 8 that is not 0.
        unsafe { NonNull::new_unchecked(self.at.map_addr(|a| a & !1)) }
    }

    /// True when it reads as zeros because nobody has ever had it.
    #[inline(always)]
    pub(crate) fn is_untouched(self) -> bool {
        self.at.addr() & 1 != 0
    }

    /// Its word.
    #[inline(always)]
    pub(crate) fn word(&self) -> &AtomicU16 {
        // SAFETY: by K3 the word of a table: tables are never unmapped.
        unsafe { &*self.word }
    }
}

/// What a locker holds of a class, and where.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// The first entry of the ring; the chance is before it.
    ring: u16,
    /// Slots of the chance, the line and, at most, the magazine.
    chance: u8,
    line: u8,
    magazine: u8,
    /// The ring's length, a power of two, without one.
    mask: u8,
    /// Calls of a kind between two that see to what is to be done now and then.
    calls: u8,
}

const PLANS: ([Plan; CLASSES], usize) = {
    let none = Plan { ring: 0, chance: 0, line: 0, magazine: 0, mask: 0, calls: 1 };
    let (mut plans, mut entries, mut c) = ([none; CLASSES], 0, 1);
    while c < CLASSES {
        let size = SizeClass::from_index(c).size();
        let n = 4096 / size;
        let magazine = if n > 32 { 32 } else if n < 4 { 4 } else { n };
        let chance = if n > 32 { 16 } else if n < 4 { 2 } else { n / 2 };
        let line = if n > 64 { 16 } else if n < 4 { 1 } else { n / 4 };
        // One more of the magazine than there may be, until it is thinned out.
        let ring = (magazine + line + 2).next_power_of_two();
        let calls = (16 << 10) / size;
        plans[c] = Plan {
            ring: (entries + chance) as u16,
            chance: chance as u8,
            line: line as u8,
            magazine: magazine as u8,
            mask: (ring - 1) as u8,
            calls: if calls > CALLS { CALLS as u8 } else if calls == 0 { 1 } else { calls as u8 },
        };
        entries += chance + ring;
        c += 1;
    }
    (plans, entries)
};

/// Calls of a kind and class at most, between two that have more to do.
const CALLS: usize = 16;
const ENTRIES: usize = PLANS.1;
static PLAN: [Plan; CLASSES] = PLANS.0;

/// What of a class is in use. Numbers that go round, and mean the entry of the ring
/// that they are when the ring's length is taken off.
#[repr(C)]
#[derive(Debug)]
struct Row {
    /// The magazine is from here ...
    first: Cell<u8>,
    /// ... to here, and the line behind it ...
    line: Cell<u8>,
    /// ... to here.
    end: Cell<u8>,
    /// Allocations that may come before one that has more to do; as many there were.
    left: Cell<u8>,
    armed: Cell<u8>,
    /// Frees until one that has more to do, and as many there were.
    frees: Cell<u8>,
    frees_armed: Cell<u8>,
}

/// The magazine of one class.
#[derive(Debug)]
pub(crate) struct Magazine<'a> {
    row: &'a Row,
    plan: Plan,
    ring: *const Cell<Slot>,
}

impl Magazine<'_> {
    #[inline(always)]
    fn entry(&self, number: u8) -> &Cell<Slot> {
        let place = usize::from(number & self.plan.mask);
        // SAFETY: the ring has as many entries as its mask says, all of them the locker's.
        unsafe { &*self.ring.wrapping_add(place) }
    }

    /// The slot that has been in it for longest.
    #[inline(always)]
    pub(crate) fn take_oldest(&self) -> Option<Slot> {
        let first = self.row.first.get();
        if self.row.line.get() == first {
            return None;
        }
        self.row.first.set(first.wrapping_add(1));
        Some(self.entry(first).get())
    }

    /// Puts a slot into it. False when it is full.
    #[inline(always)]
    pub(crate) fn put(&self, slot: Slot) -> bool {
        let first = self.row.first.get();
        if self.row.line.get().wrapping_sub(first) >= self.plan.magazine {
            return false;
        }
        self.row.first.set(first.wrapping_sub(1));
        self.entry(first.wrapping_sub(1)).set(slot);
        true
    }
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
    frees: Cell<u16>,
    turn: Cell<u8>,
    rows: [Row; CLASSES],
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

    /// Entry `i` of all.
    #[inline(always)]
    fn entry(&self, i: usize) -> &Cell<Slot> {
        debug_assert!(i < ENTRIES);
        // SAFETY: the callers add a number that is within the class's plan to the
        // class's offset, and the plans end at ENTRIES.
        unsafe { self.entries.get_unchecked(i) }
    }

    /// Entry `number` of a class's ring.
    #[inline(always)]
    fn ring(&self, plan: Plan, number: u8) -> &Cell<Slot> {
        self.entry(usize::from(plan.ring) + usize::from(number & plan.mask))
    }

    /// Entry `i` of a class's chance.
    #[inline(always)]
    fn chance(&self, plan: Plan, i: usize) -> &Cell<Slot> {
        self.entry(usize::from(plan.ring) - 1 - i)
    }

    #[inline(always)]
    fn row(&self, class: SizeClass) -> (&Row, Plan) {
        let c = class.index();
        // SAFETY: a class is below CLASSES.
        let row = unsafe { self.rows.get_unchecked(c) };
        // SAFETY: as above.
        (row, unsafe { *PLAN.get_unchecked(c) })
    }

    /// A random slot of the magazine, for an allocation that is counted. `None`, and
    /// nothing done, when the magazine is empty or there is more to do.
    #[inline(always)]
    pub(crate) fn take_counted(&self, class: SizeClass) -> Option<Slot> {
        let (row, _) = self.row(class);
        let left = row.left.get();
        if left == 0 {
            return None;
        }
        let slot = self.take(class)?;
        row.left.set(left - 1);
        Some(slot)
    }

    /// True when the next allocation has more to do: [`Locker::arm`] follows.
    pub(crate) fn is_due(&self, class: SizeClass) -> bool {
        let (row, _) = self.row(class);
        row.left.get() == 0
    }

    /// Counts an allocation that is not due.
    pub(crate) fn count(&self, class: SizeClass) {
        let (row, _) = self.row(class);
        row.left.set(row.left.get().saturating_sub(1));
    }

    /// How many allocations have passed since it was last asked, and how many of
    /// those allowed have not.
    pub(crate) fn passed(&self, class: SizeClass) -> (usize, usize) {
        let (row, _) = self.row(class);
        let (armed, left) = (row.armed.replace(0), row.left.replace(0));
        (usize::from(armed.wrapping_sub(left)), usize::from(left))
    }

    /// Lets `count` allocations pass; [`Locker::calls`] at most.
    pub(crate) fn arm(&self, class: SizeClass, count: usize) {
        let (row, _) = self.row(class);
        row.armed.set(count as u8);
        row.left.set(count as u8);
    }

    /// Calls between two that have more to do.
    pub(crate) fn calls(class: SizeClass) -> usize {
        PLAN.get(class.index()).map_or(1, |plan| usize::from(plan.calls))
    }

    /// A random slot of the magazine.
    #[inline(always)]
    pub(crate) fn take(&self, class: SizeClass) -> Option<Slot> {
        let (row, plan) = self.row(class);
        let first = row.first.get();
        let count = row.line.get().wrapping_sub(first);
        if count == 0 {
            return None;
        }
        let found = self.ring(plan, first.wrapping_add(self.roll(usize::from(count)) as u8));
        let slot = found.get();
        found.set(self.ring(plan, first).get());
        row.first.set(first.wrapping_add(1));
        Some(slot)
    }

    /// The way into the magazine of `class`, and out of it, for many slots.
    #[inline]
    pub(crate) fn magazine(&self, class: SizeClass) -> Magazine<'_> {
        let (row, plan) = self.row(class);
        let ring = self.entry(usize::from(plan.ring));
        Magazine { row, plan, ring }
    }

    /// Slots that a refill is for: half a magazine.
    pub(crate) fn batch(class: SizeClass) -> usize {
        PLAN.get(class.index()).map_or(1, |plan| usize::from(plan.magazine).div_ceil(2))
    }

    /// Puts a freed slot into quarantine, and what has been there long enough into
    /// the magazine. False when there is more to do: [`Locker::is_full`] and
    /// [`Locker::freed`] follow.
    #[inline(always)]
    pub(crate) fn retain(&self, class: SizeClass, slot: Slot) -> bool {
        let (row, plan) = self.row(class);
        let frees = row.frees.get().wrapping_sub(1);
        row.frees.set(frees);
        let by_chance = self.roll(usize::from(plan.chance));
        let out = self.chance(plan, by_chance).replace(slot);
        if out.at.is_null() {
            return frees != 0;
        }
        let end = row.end.get();
        self.ring(plan, end).set(out);
        row.end.set(end.wrapping_add(1));
        let line = row.line.get();
        if end.wrapping_sub(line) < plan.line {
            return frees != 0;
        }
        row.line.set(line.wrapping_add(1));
        frees != 0 && line.wrapping_sub(row.first.get()) < plan.magazine
    }

    /// True when the magazine holds more than it should.
    pub(crate) fn is_full(&self, class: SizeClass) -> bool {
        let (row, plan) = self.row(class);
        row.line.get().wrapping_sub(row.first.get()) > plan.magazine
    }

    /// How many frees there were since it was last asked.
    pub(crate) fn freed(&self, class: SizeClass) -> usize {
        let (row, plan) = self.row(class);
        // At first neither is armed, and the numbers go round.
        let freed = row.frees_armed.get().wrapping_sub(row.frees.get());
        row.frees.set(plan.calls);
        row.frees_armed.set(plan.calls);
        usize::from(freed)
    }

    /// Counts frees. True when there were 256: the time to look at a class's
    /// quarantine.
    pub(crate) fn is_time_to_look(&self, more: usize) -> bool {
        let frees = self.frees.get() + more as u16;
        self.frees.set(frees % 256);
        frees >= 256
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
        let (row, plan) = self.row(class);
        for i in 0..usize::from(plan.chance) {
            let slot = self.chance(plan, i).get();
            if !slot.at.is_null() {
                see(slot);
            }
        }
        let line = row.line.get();
        for i in 0..row.end.get().wrapping_sub(line) {
            see(self.ring(plan, line.wrapping_add(i)).get());
        }
    }

    /// Visits every slot of a class.
    pub(crate) fn all(&self, class: SizeClass, mut see: impl FnMut(Slot)) {
        let (row, plan) = self.row(class);
        let first = row.first.get();
        for i in 0..row.line.get().wrapping_sub(first) {
            see(self.ring(plan, first.wrapping_add(i)).get());
        }
        self.waiting(class, see);
    }

    /// Takes every slot of a class out, quarantine included.
    pub(crate) fn empty(&self, class: SizeClass, mut see: impl FnMut(Slot)) {
        let (row, plan) = self.row(class);
        let (first, end) = (row.first.get(), row.end.get());
        row.line.set(first);
        row.end.set(first);
        for i in 0..end.wrapping_sub(first) {
            see(self.ring(plan, first.wrapping_add(i)).replace(Slot::NONE));
        }
        for i in 0..usize::from(plan.chance) {
            let slot = self.chance(plan, i).replace(Slot::NONE);
            if !slot.at.is_null() {
                see(slot);
            }
        }
    }

    /// Slots of a class in hand.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn held(&self, class: SizeClass) -> usize {
        let mut held = 0;
        self.all(class, |_| held += 1);
        held
    }
}
