//! Lockers: the slots that one thread has in hand.
//!
//! ```text
//!    ring:      | magazine ............ | waiting ............... |  <-- freed
//!               ^ first    |            ^ end - hold     ^ ^ ^    ^ end
//!     refill ---+          | a random one: handed out    one of these at random,
//!                          |                             which goes to the end
//!                          +--> too many: half of them go to the shelf of the class
//! ```
//!
//! One ring for each class. Which slot an allocation gets is one of up to 32 at
//! random, of up to 8 from 48 bytes on ([`window`]). A freed slot takes the place of one of
//! the last sixteen at random, which goes to the end: so it waits until sixteen others of
//! its class have been freed after it, and a random number of them more, sixteen in the
//! mean. It goes from those that wait to the magazine by a boundary that moves. Those that
//! wait are bounded in bytes as well: of slots above 64 bytes one KiB waits, and up to two
//! more in the mean ([`Plan`]); but never less than one slot, and two.
//!
//! What is to be done now and then (figures, samples, the clock, a look at the
//! quarantine, the first slots that wait) hangs on two numbers for each class: where in
//! the ring an allocation has more to do, and where a free. The fast paths compare them
//! with where they are anyway.
//!
//! A locker is zeros when it is made, and beyond its rows the pages of it that a thread
//! does not need are never touched.
//!
//! # Invariants
//!
//! * K1. A locker is touched by its heap's thread alone while `busy` is set by it,
//!   or, for a private heap's, under the heap's lock.
//! * K2. The slots in a locker are HELD, and in no other place.
//! * K3. The entries of the ring from `first` to `end` are slots, and the last `hold` of
//!   them wait.
//! * K4. `spread` is a power of two less one, and less than `hold`, unless both are 0.
//! * K5. So many frees as come before one that has more to do, and that one, find room in
//!   the magazine.
#![allow(unsafe_code)]

use super::shelf::Shelves;
use crate::size::{CLASSES, SizeClass, TABLE_MAX};
use crate::sync::AtomicU16;
use core::cell::Cell;
use core::ptr::NonNull;

/// A slot in hand: where it is, and its word. The lowest bit of the address says
/// that nobody has ever had the slot, and it need not be looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    at: *mut u8,
    word: *const AtomicU16,
}

impl Slot {
    pub(crate) fn new(at: NonNull<u8>, word: &AtomicU16, untouched: bool) -> Self {
        Self { at: at.as_ptr().wrapping_byte_add(usize::from(untouched)), word }
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
    /// The first entry of the ring.
    ring: u16,
    /// Slots that wait, and how many of them change places: a power of two.
    hold: u8,
    spread: u8,
    /// Slots of the magazine, at most.
    magazine: u8,
    /// The ring's length, a power of two, without one.
    mask: u8,
    /// Calls of a kind between two that see to what is to be done now and then.
    calls: u8,
}

const PLANS: ([Plan; CLASSES], usize) = {
    let none = Plan { ring: 0, hold: 0, spread: 1, magazine: 0, mask: 0, calls: 1 };
    let (mut plans, mut entries, mut c) = ([none; CLASSES], 0, 1);
    while c < CLASSES {
        let size = SizeClass::from_index(c).size();
        let n = 4096 / size;
        let magazine = window(size);
        let chance = if n > 32 { 16 } else if n < 4 { 2 } else { n / 2 };
        let line = if n > 64 { 16 } else if n < 4 { 1 } else { n / 4 };
        let ring = (magazine + chance + line).next_power_of_two();
        let calls = (16 << 10) / size;
        plans[c] = Plan {
            ring: entries as u16,
            hold: (chance + line) as u8,
            spread: 1 << (chance as u32).ilog2(),
            magazine: magazine as u8,
            mask: (ring - 1) as u8,
            calls: if calls > CALLS { CALLS as u8 } else if calls == 0 { 1 } else { calls as u8 },
        };
        entries += ring;
        c += 1;
    }
    (plans, entries)
};

/// Slots of `size` bytes of which a random one is handed out, and which the magazine holds.
///
/// What a program makes one after the other, and then walks over, lies in random order within
/// so many slots. With 32 of them up to 128 bytes Python's own code took 731 ms, with 8 of them 579,
/// and 513 on objects in a row (2026-11-30, medians of eleven).
const fn window(size: usize) -> usize {
    match size {
        ..32 => 32,
        32..48 => 16,
        48..=512 => 8,
        513..=1024 => 4096 / size,
        _ => 4,
    }
}

/// Calls of a kind and class at most, between two that have more to do.
const CALLS: usize = 32;
const ENTRIES: usize = PLANS.1;
static PLAN: [Plan; CLASSES] = PLANS.0;

/// What of a class is in use. The places in the ring are numbers that go round, and mean
/// the entry that they are when the ring's length is taken off.
#[repr(C)]
#[derive(Debug)]
struct Row {
    ring: Cell<*const Cell<Slot>>,
    mask: Cell<u32>,
    /// The magazine begins here.
    first: Cell<u32>,
    /// One past the slot that was freed last.
    end: Cell<u32>,
    /// How many slots wait; from the first frees on as many as the plan says.
    hold: Cell<u32>,
    /// Where an allocation has more to do, and where the count of them began.
    due: Cell<u32>,
    since: Cell<u32>,
    /// Where a free has had more to do, and where the count of them began.
    limit: Cell<u32>,
    freed: Cell<u32>,
    /// How many of the last that wait change places, without one (K4).
    spread: Cell<u32>,
    /// Bytes of a slot.
    size: Cell<u32>,
}

impl Row {
    #[inline(always)]
    fn entry(&self, number: u32) -> &Cell<Slot> {
        let place = (number & self.mask.get()) as usize;
        // SAFETY: the ring has as many entries as its mask says, all of them the locker's.
        unsafe { &*self.ring.get().wrapping_add(place) }
    }

    /// Slots in the magazine.
    #[inline(always)]
    fn count(&self) -> u32 {
        self.end.get().wrapping_sub(self.hold.get()).wrapping_sub(self.first.get())
    }

    /// Moves the beginning of the magazine, and what is counted from there.
    fn shift(&self, by: u32) {
        for cell in [&self.first, &self.since, &self.due] {
            cell.set(cell.get().wrapping_add(by));
        }
    }
}

/// Which row is a class's: how many bytes behind the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowAt(u32);

static BY_16: [u16; TABLE_MAX / 16 + 1] = {
    let (mut rows, mut i) = ([0; TABLE_MAX / 16 + 1], 0);
    while i < rows.len() {
        rows[i] = RowAt::of(SizeClass::of_size(i * 16)).0 as u16;
        i += 1;
    }
    rows
};

impl RowAt {
    #[inline(always)]
    pub(crate) const fn of(class: SizeClass) -> Self {
        Self((class.index() * size_of::<Row>()) as u32)
    }

    /// The row of the class of `size` bytes, which are [`TABLE_MAX`] at most.
    #[inline(always)]
    pub(crate) fn of_size(size: usize) -> Self {
        // SAFETY: the caller has compared `size` with TABLE_MAX.
        Self(unsafe { *BY_16.get_unchecked((size + 15) >> 4) }.into())
    }

    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// The row that this number, of [`RowAt::number`], is of.
    #[inline(always)]
    pub(super) const fn from_number(number: u32) -> Self {
        Self(number)
    }

    pub(crate) const fn class(self) -> SizeClass {
        SizeClass::from_index(self.0 as usize / size_of::<Row>())
    }
}

/// The magazine of one class.
#[derive(Debug)]
pub(crate) struct Magazine<'a> {
    row: &'a Row,
    /// Slots that it may have after a refill.
    most: u32,
}

impl<'a> Magazine<'a> {
    /// Takes up to `count` slots out, those that have been in it for longest.
    pub(crate) fn drain(&self, count: usize) -> Drain<'a> {
        let first = self.row.first.get();
        let left = self.row.count().min(count as u32);
        self.row.shift(left);
        Drain { row: self.row, at: first, left }
    }

    /// The way in for many slots; [`Filler::close`] follows.
    pub(crate) fn fill(&self) -> Filler<'a> {
        let (row, first) = (self.row, self.row.first.get());
        Filler { row, ring: row.ring.get(), mask: row.mask.get(), first, room: self.most.saturating_sub(row.count()) }
    }
}

/// Slots that were taken out of a magazine, as long as its locker is not used otherwise.
#[derive(Debug)]
pub(crate) struct Drain<'a> {
    row: &'a Row,
    at: u32,
    left: u32,
}

impl Iterator for Drain<'_> {
    type Item = Slot;

    #[inline(always)]
    fn next(&mut self) -> Option<Slot> {
        self.left = self.left.checked_sub(1)?;
        let slot = self.row.entry(self.at).get();
        self.at = self.at.wrapping_add(1);
        Some(slot)
    }
}

/// Puts slots into a magazine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filler<'a> {
    row: &'a Row,
    ring: *const Cell<Slot>,
    mask: u32,
    first: u32,
    room: u32,
}

impl Filler<'_> {
    /// How many slots there is room for.
    pub(crate) fn room(&self) -> usize {
        self.room as usize
    }

    /// Puts a slot in, for which there is room.
    #[inline(always)]
    pub(crate) fn put(&mut self, slot: Slot) {
        self.first = self.first.wrapping_sub(1);
        let place = (self.first & self.mask) as usize;
        // SAFETY: the ring has as many entries as its mask says, all of them the locker's.
        let entry = unsafe { &*self.ring.wrapping_add(place) };
        entry.set(slot);
    }

    /// The magazine has what was put in.
    pub(crate) fn close(self) {
        self.row.shift(self.first.wrapping_sub(self.row.first.get()));
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
    /// What the canaries are mixed with.
    secret: Cell<u64>,
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
    pub(crate) fn begin(&self, shelves: &Shelves, seed: u64, secret: u64) {
        self.shelves.set(shelves);
        self.secret.set(secret);
        self.dice.set(seed);
        self.step.set(seed.rotate_left(29) | 1);
        for (c, (row, plan)) in self.rows.iter().zip(&PLAN).enumerate() {
            row.size.set(SizeClass::from_index(c).size() as u32);
            row.ring.set(self.entries.as_ptr().wrapping_add(plan.ring.into()));
            row.mask.set(plan.mask.into());
        }
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

    /// The next of the random numbers; the high bits are the best.
    #[inline(always)]
    fn draw(&self) -> u64 {
        // A linear congruence.
        let x = self.dice.get().wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(self.step.get());
        self.dice.set(x);
        x
    }

    /// A random number below `below`, which is less than 2^32.
    #[inline(always)]
    pub(crate) fn roll(&self, below: usize) -> usize {
        (((self.draw() >> 32) * below as u64) >> 32) as usize
    }

    #[inline(always)]
    fn row(&self, class: SizeClass) -> &Row {
        self.row_at(RowAt::of(class))
    }

    #[inline(always)]
    fn row_at(&self, row: RowAt) -> &Row {
        // SAFETY: a class is below CLASSES, and this is how far its row is from the first.
        unsafe { &*self.rows.as_ptr().wrapping_byte_add(row.0 as usize) }
    }

    #[inline(always)]
    fn plan(class: SizeClass) -> Plan {
        // SAFETY: a class is below CLASSES.
        unsafe { *PLAN.get_unchecked(class.index()) }
    }

    /// What the canaries are mixed with.
    #[inline(always)]
    pub(crate) fn secret(&self) -> u64 {
        self.secret.get()
    }

    /// Bytes of a slot of the row's class.
    #[inline(always)]
    pub(crate) fn size(&self, row: RowAt) -> usize {
        self.row_at(row).size.get() as usize
    }

    /// A random slot of the magazine, for an allocation that is counted. `None`, and
    /// nothing done, when the magazine is empty or there is more to do.
    #[inline(always)]
    pub(crate) fn take_counted(&self, row: RowAt) -> Option<Slot> {
        let row = self.row_at(row);
        if row.first.get() == row.due.get() { None } else { self.take_from(row) }
    }

    /// True when the next allocation has more to do: [`Locker::arm`] follows.
    #[inline(always)]
    pub(crate) fn is_due(&self, class: SizeClass) -> bool {
        let row = self.row(class);
        row.first.get() == row.due.get()
    }

    /// True when the magazine has nothing.
    pub(crate) fn is_empty(&self, class: SizeClass) -> bool {
        self.row(class).count() == 0
    }

    /// Does not count the last allocation.
    pub(crate) fn uncount(&self, class: SizeClass) {
        let row = self.row(class);
        row.since.set(row.since.get().wrapping_add(1));
        row.due.set(row.due.get().wrapping_add(1));
    }

    /// How many allocations have passed since it was last asked, and how many of
    /// those allowed have not.
    pub(crate) fn passed(&self, class: SizeClass) -> (usize, usize) {
        let row = self.row(class);
        let (first, due, since) = (row.first.get(), row.due.get(), row.since.get());
        self.arm(class, 0);
        (first.wrapping_sub(since) as usize, due.wrapping_sub(first) as usize)
    }

    /// Lets `count` allocations pass; [`Locker::calls`] at most.
    pub(crate) fn arm(&self, class: SizeClass, count: usize) {
        let row = self.row(class);
        row.since.set(row.first.get());
        row.due.set(row.first.get().wrapping_add(count as u32));
    }

    /// Calls between two that have more to do.
    pub(crate) fn calls(class: SizeClass) -> usize {
        usize::from(Self::plan(class).calls)
    }

    /// A random slot of the magazine.
    #[inline(always)]
    pub(crate) fn take(&self, class: SizeClass) -> Option<Slot> {
        self.take_from(self.row(class))
    }

    #[inline(always)]
    fn take_from(&self, row: &Row) -> Option<Slot> {
        let (first, count) = (row.first.get(), row.count());
        if count == 0 {
            return None;
        }
        let found = row.entry(first.wrapping_add(self.roll(count as usize) as u32));
        let slot = found.get();
        found.set(row.entry(first).get());
        row.first.set(first.wrapping_add(1));
        Some(slot)
    }

    /// The way into the magazine of `class`, and out of it, for many slots.
    #[inline]
    pub(crate) fn magazine(&self, class: SizeClass) -> Magazine<'_> {
        Magazine { row: self.row(class), most: u32::from(Self::plan(class).magazine) - 1 }
    }

    /// Slots that a refill is for: half a magazine.
    pub(crate) fn batch(class: SizeClass) -> usize {
        usize::from(Self::plan(class).magazine).div_ceil(2)
    }

    /// Has a freed slot wait, and puts what has waited long enough into the magazine.
    /// False when there is more to do: [`Locker::settle`] follows.
    #[inline(always)]
    pub(crate) fn retain(&self, row: RowAt, slot: Slot) -> bool {
        let row = self.row_at(row);
        let end = row.end.get();
        let place = row.entry(end.wrapping_sub((self.draw() >> 60) as u32 & row.spread.get()));
        // In this order: the two may be one, which holds nothing yet.
        row.entry(end).set(place.get());
        place.set(slot);
        row.end.set(end.wrapping_add(1));
        end != row.limit.get()
    }

    /// How many allocations have passed since it was last asked; how many may is as it was.
    pub(crate) fn taken(&self, class: SizeClass) -> usize {
        let row = self.row(class);
        let first = row.first.get();
        first.wrapping_sub(row.since.replace(first)) as usize
    }

    /// Sees to where the next frees have more to do. How many frees there were since the
    /// last time, and how many slots the magazine has that it should not have: more, where
    /// nothing but frees is going on (`only_frees`).
    pub(crate) fn settle(&self, class: SizeClass, only_frees: bool) -> (usize, usize) {
        let (row, plan) = (self.row(class), Self::plan(class));
        let (end, hold) = (row.end.get(), row.hold.get() + 1);
        let freed = end.wrapping_sub(row.freed.replace(end));
        if hold <= plan.hold.into() {
            // One more waits. Any of the last ones may be the last one.
            row.hold.set(hold);
            let last = end.wrapping_sub(1);
            let below = hold.min(plan.spread.into()) as usize;
            row.entry(last).swap(row.entry(last.wrapping_sub(self.roll(below) as u32)));
            if hold == plan.hold.into() {
                row.spread.set(u32::from(plan.spread) - 1);
            }
            row.limit.set(end);
            return (freed as usize, 0);
        }
        // So many that there is room for some of the next frees.
        let (most, count) = (u32::from(plan.magazine), row.count());
        let half = most.div_ceil(2);
        let excess = if count <= most - half / 2 {
            0
        } else if only_frees {
            count - half / 4
        } else {
            half.min(count)
        };
        let room = most - (count - excess) - 1;
        row.limit.set(end.wrapping_add(room.min(u32::from(plan.calls) - 1)));
        (freed as usize, excess as usize)
    }

    /// Sees to it that the next frees find room in a magazine that was filled (K5).
    pub(crate) fn bound(&self, class: SizeClass) {
        let (row, end) = (self.row(class), self.row(class).end.get());
        let room = u32::from(Self::plan(class).magazine) - row.count() - 1;
        row.limit.set(end.wrapping_add(row.limit.get().wrapping_sub(end).min(room)));
    }

    /// How many frees there were since it was last asked.
    pub(crate) fn freed(&self, class: SizeClass) -> usize {
        let row = self.row(class);
        row.end.get().wrapping_sub(row.freed.replace(row.end.get())) as usize
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
        let row = self.row(class);
        for i in 1..=row.hold.get() {
            see(row.entry(row.end.get().wrapping_sub(i)).get());
        }
    }

    /// Visits every slot of a class.
    pub(crate) fn all(&self, class: SizeClass, mut see: impl FnMut(Slot)) {
        let (row, first) = (self.row(class), self.row(class).first.get());
        for i in 0..row.end.get().wrapping_sub(first) {
            see(row.entry(first.wrapping_add(i)).get());
        }
    }

    /// Takes every slot of a class out, quarantine included.
    pub(crate) fn empty(&self, class: SizeClass, mut see: impl FnMut(Slot)) {
        let row = self.row(class);
        let (first, end) = (row.first.get(), row.end.get());
        row.shift(end.wrapping_sub(first));
        row.hold.set(0);
        row.spread.set(0);
        row.limit.set(end);
        for i in 0..end.wrapping_sub(first) {
            see(row.entry(first.wrapping_add(i)).get());
        }
    }

    /// Leaves a class as a thread does that is stopped while it takes a slot: the first of the
    /// magazine is in the place of the second, and in its own.
    #[cfg(test)]
    pub(crate) fn tear(&self, class: SizeClass) {
        let row = self.row(class);
        let first = row.first.get();
        row.entry(first.wrapping_add(1)).set(row.entry(first).get());
    }

    /// Tests the invariants of a class's ring.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn check(&self, class: SizeClass) {
        let (row, most) = (self.row(class), u32::from(Self::plan(class).magazine));
        assert!(row.spread.get() < row.hold.get().max(1), "K4 of {class:?}");
        let room = row.limit.get().wrapping_sub(row.end.get());
        assert!(room < most && row.count() + room < most, "K5 of {class:?}");
        assert!(row.hold.get() + most <= row.mask.get() + 1, "K3 of {class:?}");
    }

    /// Slots of a class in hand.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn held(&self, class: SizeClass) -> usize {
        let mut held = 0;
        self.all(class, |_| held += 1);
        held
    }
}
