//! Shelves: spans of slots, class by class, for all lockers.
//!
//! ```text
//!   span: |slot|slot|slot|slot| ...            |  never taken yet: a guard   |
//!   table: one word each, out of line, zero for FREE
//! ```
//!
//! A locker takes half a magazine at a time, and gives half of one back when
//! it has too many. Slots of a span are taken from low to high, so that a page
//! is touched when its first slot is needed; which of those in hand is used is
//! the locker's random choice. On small pages what has not been cut into slots is a guard
//! (`guards.rs`), which draws back in steps as they are cut, each as long as all before it,
//! and at last stands on the span's last page alone: the slots that would reach into that
//! are never cut. So a guarded span has fewer of them, and its word's key says that it is one.
//!
//! The record of a span of slots is an ordinary `Span` in state `Hard`, whose
//! `free` field leads to the table, and whose `below` says behind which one the next look for
//! a free slot begins, and from which slot on nobody has ever had one. Its slices' entries
//! in the map lead to the head of the table (`table.rs`), where all is that a free must know; those
//! of a private heap's spans, and of tables that lie too far away for an entry, stay 0.
//!
//! # Invariants
//!
//! * V1. A class's lists, and the fields of its spans, are touched under the
//!   lock of its shelf.
//! * V2. The head's `free` is the number of FREE words below `carved`, which is at most
//!   [`slots`].
//! * V3. A span is listed when it has a sixteenth of its slots FREE, or some not
//!   carved, or when it is empty and the only one of its class. The head's `gate` is at how
//!   many FREE slots that changes, or all of them are.
//! * V4. Slices of the arena that are free read as zeros, and so do FREE slots.
//! * V6. A guarded span is open from its start to [`open_to`] what has been cut, and closed
//!   from there on.
//!
//! V5 is that of tables (`table.rs`), GD1 that of guards.
#![allow(unsafe_code)]

use super::canary;
use super::guards::Guards;
use super::locker::{Filler, Locker, Slot};
use super::slot::{SlotWord, State as Is};
use super::table::{Head, Tables, slots_out, word_of};
use crate::arena::bits::Run;
use crate::arena::{Arena, Chunk, Slices};
use crate::huge::HugeObjects;
use crate::os::Os;
use crate::size::{CLASSES, SizeClass};
use crate::span::{Span, link, unlink};
use crate::span::word::{Remote, State, Word};
use crate::sync::{AtomicU16, Guard, Lock, Ordering, Rank};
use crate::units::{SLICE, SLICE_SHIFT, SLICES_PER_CHUNK};
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Bytes before a slice that are looked at, where something is written before its start.
pub(crate) const BEFORE: usize = 16;

/// What stands at the end of a span.
#[derive(Debug)]
pub(crate) enum Last<'a> {
    /// Something that nobody can say from here.
    Unknown,
    /// Nothing but zeros, if nobody has written there.
    Zeros(bool),
    /// The end of an object in a slot: its word, and where it ends. With it the lock,
    /// which keeps the span what it is.
    Slot(Guard<'a>, &'a AtomicU16, *const u8),
}

/// What lies below the shelves.
#[derive(Debug)]
pub(crate) struct Ground<'a, O> {
    pub(crate) arena: &'a Arena<O>,
    pub(crate) huge: &'a HugeObjects,
    pub(crate) guards: &'a Guards,
}

impl<O> Clone for Ground<'_, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O> Copy for Ground<'_, O> {}

/// The spans of one class.
#[derive(Debug)]
struct Shelf {
    lock: Lock,
    first: Cell<*const Span>,
    /// Where slices were last found.
    home: Cell<*const Chunk>,
    /// Spans that were used up: from the first on the class is known to fill them.
    filled: Cell<bool>,
}

/// The spans of all classes: the threads' common ones, or a private heap's.
#[derive(Debug)]
pub(crate) struct Shelves {
    rows: [Shelf; CLASSES],
    /// The `heap` field of these spans.
    owner: Cell<*mut ()>,
}

// SAFETY: V1: the cells are touched under the shelf's lock; `owner` is set once.
unsafe impl Sync for Shelves {}

impl Shelves {
    pub(crate) const fn new() -> Self {
        Self {
            rows: [const {
                Shelf {
                    lock: Lock::new(Rank::Shelf),
                    first: Cell::new(ptr::null()),
                    home: Cell::new(ptr::null()),
                    filled: Cell::new(false),
                }
            }; CLASSES],
            owner: Cell::new(ptr::null_mut()),
        }
    }

    /// Makes these a private heap's, before anybody else knows them.
    pub(crate) fn belong_to(&self, owner: *mut ()) {
        self.owner.set(owner);
    }

    /// The locks, for `fork`.
    pub(crate) fn locks(&self) -> impl DoubleEndedIterator<Item = &Lock> {
        self.rows.iter().map(|row| &row.lock)
    }

    fn row(&self, class: SizeClass) -> &Shelf {
        let [first, ..] = &self.rows;
        self.rows.get(class.index()).unwrap_or(first)
    }

    /// Fills up to half of `locker`'s magazine. False when nothing was found.
    #[cold]
    #[inline(never)]
    pub(crate) fn refill<O: Os>(
        &self,
        ground: Ground<'_, O>,
        tables: &Tables,
        class: SizeClass,
        locker: &Locker,
    ) -> bool {
        let row = self.row(class);
        let Some(_guard) = row.lock.lock() else { return false };
        let mut filler = locker.magazine(class).fill();
        let (mut found, wanted) = (0, filler.room().min(Locker::batch(class)));
        let mut at = row.first.get();
        while found < wanted {
            // SAFETY: null, or a span: records are never unmapped (M4).
            let span = match unsafe { at.as_ref() } {
                Some(span) => span,
                // One slot is enough not to ask the system for more.
                None if found != 0 => break,
                None => match self.fresh(ground, tables, class) {
                    Some(span) => span,
                    None => break,
                },
            };
            // Where the system refuses to move a guard another span may still have slots.
            at = span.next();
            found += take(ground, span, class, wanted - found, &mut filler);
            if free_of(span) == 0 && usize::from(span.carved()) == slots(ground, span, class) {
                row.unlist(span);
                row.filled.set(true);
            }
        }
        filler.close();
        found != 0
    }

    /// A fresh span, listed.
    fn fresh<'a, O: Os>(
        &self,
        ground: Ground<'a, O>,
        tables: &Tables,
        class: SizeClass,
    ) -> Option<&'a Span> {
        let row = self.row(class);
        let table = tables.take(ground.arena, class)?;
        let count = class.span_slices();
        let Some(slices) = ground.slices(&row.home, count, count, row.filled.get()) else {
            tables.give(class, table);
            return None;
        };
        // SAFETY: records are never unmapped (A2).
        let chunk: &'a Chunk = unsafe { slices.chunk.as_ref() };
        let first = slices.run.first();
        let span = chunk.span(first as usize);
        span.begin(chunk.slice(first), class, self.owner.get());
        span.set_table(table.as_ptr());
        span.set_below(0);
        let head = Head::of(table);
        // SAFETY: the table is ours, and never unmapped (V5).
        unsafe { head.as_ref() }.tie(span);
        if self.owner.get().is_null() {
            let entry = tables.entry(head);
            // SAFETY: the slices are ours (M3).
            unsafe { ground.arena.map.set_entries(span.base().addr(), count, entry) };
        }
        chunk.tie(slices.run);
        let untouched = if slices.clean { UNTOUCHED } else { 0 };
        let guarded = if !chunk.is_dense() && ground.guard(span, class) { GUARDED } else { 0 };
        span.word.store(Word::new(State::Hard, untouched | guarded, Remote::NONE));
        row.list(span);
        Some(span)
    }

    /// Puts slots back into their spans.
    #[cold]
    #[inline(never)]
    pub(crate) fn give_back<O: Os>(
        &self,
        ground: Ground<'_, O>,
        tables: &Tables,
        class: SizeClass,
        slots: impl Iterator<Item = Slot>,
    ) {
        let row = self.row(class);
        // Without the lock (a handler above a holder) the slots stay HELD: they are
        // used again when their span's heap is gone, or never.
        let Some(_guard) = row.lock.lock() else { return };
        let mut chunks = ground.arena.walk();
        for slot in slots {
            let address = slot.at().addr().get();
            let head = match tables.head_at(&ground.arena.map, address) {
                Some(head) => head,
                None => {
                    let span = chunks.chunk_at(address).map(|chunk| chunk.span_of(address));
                    let Some(head) = span.and_then(Head::of_span) else { continue };
                    head
                }
            };
            // ORDERING: Relaxed, the lock orders it before the next taker.
            slot.word().store(SlotWord::FREE.0, Ordering::Relaxed);
            if head.count_one() {
                row.take_home(ground, tables, class, head);
            }
        }
    }

    /// Gives back the spans that are empty.
    pub(crate) fn release_empty<O: Os>(&self, ground: Ground<'_, O>, tables: &Tables) {
        for c in 1..CLASSES {
            let class = SizeClass::from_index(c);
            let row = self.row(class);
            let Some(_guard) = row.lock.lock() else { continue };
            let mut at = row.first.get();
            // SAFETY: null, or a span of the list: records are never unmapped.
            while let Some(span) = unsafe { at.as_ref() } {
                at = span.next();
                if free_of(span) == span.carved() {
                    row.release(ground, tables, class, span, true);
                }
            }
        }
    }

    /// Looks at the FREE slots of a span of these shelves: the address of one that does
    /// not read as zeros (V4).
    pub(crate) fn damaged(&self, class: SizeClass, span: &Span) -> Option<usize> {
        let row = self.row(class);
        let _guard = row.lock.lock()?;
        if span.word.load().state() != State::Hard || span.class() != Some(class) {
            return None;
        }
        let (size, carved) = (class.size(), u32::from(span.carved()));
        let is_free = |i: u32| {
            // ORDERING: Relaxed, a slot leaves and enters FREE under the lock (V1).
            word_of(span, i).is_some_and(|word| word.load(Ordering::Relaxed) == SlotWord::FREE.0)
        };
        let at = |i: u32| span.base().wrapping_add(i as usize * size);
        let mut i = 0;
        while i < carved {
            let first = i;
            while i < carved && is_free(i) {
                i += 1;
            }
            let zeros = |a: u32, b: u32| {
                let len = (b - a) as usize * size;
                if len < 256 {
                    // SAFETY: the slots are the span's, and nobody's while the lock is held.
                    return unsafe { canary::is_zero(at(a), len) };
                }
                // SAFETY: as above.
                unsafe { canary::is_zero_long(at(a), len) }
            };
            if i != first && !zeros(first, i) {
                return (first..i).find(|slot| !zeros(*slot, slot + 1)).map(|slot| at(slot).addr());
            }
            i += 1;
        }
        None
    }

    /// What stands in the last bytes of a span of these shelves, which nobody may write.
    pub(crate) fn last_of<'a>(&'a self, class: SizeClass, span: &'a Span) -> Last<'a> {
        let row = self.row(class);
        let Some(guard) = row.lock.lock() else { return Last::Unknown };
        if span.word.load().state() != State::Hard || span.class() != Some(class) {
            return Last::Unknown;
        }
        let (count, used) = (class.span_slices() * SLICE, class.capacity() * class.size());
        if is_guarded(span) {
            return Last::Unknown;
        }
        let end = span.base().wrapping_add(count);
        let last = (class.capacity() - 1) as u32;
        if used == count && last < u32::from(span.carved()) {
            let Some(word) = word_of(span, last) else { return Last::Unknown };
            // ORDERING: Relaxed, a slot leaves and enters FREE under the lock (V1).
            match SlotWord(word.load(Ordering::Relaxed)).state() {
                Is::Free => {}
                // Its holder looks at it.
                Is::Held => return Last::Unknown,
                Is::Out => return Last::Slot(guard, word, end),
            }
        }
        let len = if used == count { BEFORE } else { (count - used).min(BEFORE) };
        // SAFETY: the lock is held: the bytes are the span's, and behind its slots, or in
        // one that is FREE or not carved.
        Last::Zeros(unsafe { canary::is_zero(end.wrapping_sub(len), len) })
    }

    /// Forgets every span, when they have been given back by another way.
    pub(crate) fn forget(&self) {
        for row in &self.rows {
            row.first.set(ptr::null());
            row.home.set(ptr::null());
            row.filled.set(false);
        }
    }
}

impl Shelf {
    /// Lists a span that has slots again, or gives it back when it has all of them.
    #[cold]
    #[inline(never)]
    fn take_home<O: Os>(
        &self,
        ground: Ground<'_, O>,
        tables: &Tables,
        class: SizeClass,
        head: &Head,
    ) {
        // SAFETY: null, or a span: records are never unmapped (M4).
        let Some(span) = (unsafe { head.span().as_ref() }) else { return };
        if head.free() == span.carved() {
            self.release(ground, tables, class, span, false);
        } else if !span.is_listed() {
            self.list(span);
        }
    }

    fn list(&self, span: &Span) {
        link(&self.first, span);
        set_listed(span, true);
    }

    fn unlist(&self, span: &Span) {
        unlink(&self.first, span);
        set_listed(span, false);
    }

    /// Gives an empty span back; unless it is the only one that has anything, and
    /// `all` does not say to give that too. The lock is held.
    #[cold]
    #[inline(never)]
    fn release<O: Os>(
        &self,
        ground: Ground<'_, O>,
        tables: &Tables,
        class: SizeClass,
        span: &Span,
        all: bool,
    ) {
        let alone = if span.is_listed() {
            ptr::eq(self.first.get(), span) && span.next().is_null()
        } else {
            self.first.get().is_null()
        };
        if (alone && !all) || !ground.may_retire(span) {
            if !span.is_listed() {
                self.list(span);
            }
            return;
        }
        if span.is_listed() {
            self.unlist(span);
        }
        ground.retire(tables, class, span);
    }
}

/// FREE slots of a span.
fn free_of(span: &Span) -> u16 {
    Head::of_span(span).map_or(0, Head::free)
}

/// Notes that a span is in its class's list, or not, and at how many FREE slots there is
/// more to do: at all of them, or before, where it is to be listed again (V3).
fn set_listed(span: &Span, listed: bool) {
    span.set_listed(listed);
    set_gate(span);
}

fn set_gate(span: &Span) {
    if let Some(head) = Head::of_span(span) {
        head.set_gate(gate_of(span));
    }
}

fn gate_of(span: &Span) -> u16 {
    let some = span.class().map_or(1, |class| (class.capacity() / 16).max(1) as u16);
    if span.is_listed() { span.carved() } else { some.min(span.carved()) }
}

/// Tests what the head of a span of slots says, of which `free` are FREE.
#[cfg(any(test, fuzzing, audit))]
pub(super) fn check(span: &Span, free: u16) {
    let (head, class) = (Head::of_span(span).expect("a table"), span.class());
    assert_eq!(head.free(), free, "V2 of {class:?}");
    assert_eq!(head.gate(), gate_of(span), "V3 of {class:?}");
    assert!(free < head.gate() || span.is_listed(), "V3 of {class:?}: {free} and not listed");
}

/// How many bytes from the span's start on nobody has ever had a slot; the upper half of
/// `below`, in words.
fn pristine(span: &Span) -> usize {
    (span.below() >> 16) * 8
}

fn set_pristine(span: &Span, offset: usize) {
    span.set_below(span.below() & 0xFFFF | (offset / 8) << 16);
}

/// In the key of a span's word: it read as zeros when it was taken.
const UNTOUCHED: u32 = 1;
/// In the key of a span's word: it has a guard.
const GUARDED: u32 = 2;

fn is_guarded(span: &Span) -> bool {
    span.word.load().key() & GUARDED != 0
}

/// Slots that end within the first `len` bytes of a span.
fn slots_below(len: usize, class: SizeClass) -> usize {
    (len / class.size()).min(class.capacity())
}

/// Slots that a span has, or will have.
fn slots<O: Os>(ground: Ground<'_, O>, span: &Span, class: SizeClass) -> usize {
    match Guards::page(ground.arena) {
        Some(page) if is_guarded(span) => slots_below(class.span_slices() * SLICE - page, class),
        _ => class.capacity(),
    }
}

/// How far a guarded span of `len` bytes is open when its slots end at `cut` (V6): so far, or
/// to a power of two that is at most twice as far, and never into the last `page`.
fn open_to(cut: usize, len: usize, page: usize) -> usize {
    cut.next_power_of_two().max(page).min(len - page)
}

/// Cuts slots to the end of the 4 KiB that the next one begins in, all of them FREE as
/// any other. Returns how many; `None` when there is no room for more, or the system refuses
/// to move the guard.
#[cold]
#[inline(never)]
fn carve<O: Os>(ground: Ground<'_, O>, span: &Span, class: SizeClass) -> Option<u16> {
    let (carved, size) = (span.carved(), class.size());
    let left = slots(ground, span, class).saturating_sub(usize::from(carved));
    let more = (4096 - usize::from(carved) * size % 4096).div_ceil(size).min(left);
    if more == 0 || !ground.draw_back(span, class, usize::from(carved) + more) {
        return None;
    }
    span.set_carved(carved + more as u16);
    set_gate(span);
    set_pristine(span, usize::from(carved) * size);
    Some(more as u16)
}

/// Takes up to `wanted` free slots of a span. Returns how many.
#[inline(always)]
fn take<O: Os>(
    ground: Ground<'_, O>,
    span: &Span,
    class: SizeClass,
    wanted: usize,
    filler: &mut Filler<'_>,
) -> usize {
    let (Some(base), Some(head)) = (NonNull::new(span.base()), Head::of_span(span)) else {
        return 0;
    };
    let (size, key) = (class.size(), span.word.load().key());
    // From here on nobody has ever had a slot, and they read as zeros.
    let clean = |from: usize| {
        if key & UNTOUCHED != 0 { base.as_ptr().wrapping_add(from) } else { ptr::without_provenance_mut(usize::MAX) }
    };
    let mut row = Line {
        base: base.as_ptr(),
        table: span.table(),
        carved: span.carved().into(),
        never: clean(if head.is_worn() { class.span_slices() * SLICE } else { pristine(span) }),
        size,
        // Downwards where there is a guard, so that what is in use of fresh slots is next to it.
        down: key & GUARDED != 0,
    };
    let (mut free, mut index) = (usize::from(head.free()), span.below() & 0xFFFF);
    let mut found = 0;
    while found < wanted {
        if free == 0 {
            let first = row.carved;
            let Some(more) = carve(ground, span, class) else { break };
            head.set_worn(false);
            (free, row.never) = (more.into(), clean(first * size));
            row.carved += usize::from(more);
            index = if row.down { row.carved - 1 } else { first };
        }
        // There are so many (V2).
        let left = free.min(wanted - found);
        (free, found) = (free - left, found + left);
        // SAFETY: as many as that are FREE, under the lock.
        index = unsafe { row.gather(index, left, filler) };
    }
    head.set_free(free as u16);
    span.set_below(span.below() & !0xFFFF | index & 0xFFFF);
    found
}

/// The slots of a span, and their words.
#[derive(Debug)]
struct Line {
    base: *mut u8,
    table: *mut AtomicU16,
    carved: usize,
    /// From here on nobody has ever had one.
    never: *mut u8,
    size: usize,
    down: bool,
}

impl Line {
    /// Takes `left` FREE slots, from the one numbered `index` on, round and round. Returns
    /// which one comes next.
    ///
    /// # Safety
    ///
    /// There are so many, and the caller has the shelf's lock.
    #[inline(never)]
    unsafe fn gather(&self, mut index: usize, mut left: usize, filler: &mut Filler<'_>) -> usize {
        let Self { base, table, carved, never, size, down } = *self;
        let (step, stride) = if down { (usize::MAX, size.wrapping_neg()) } else { (1, size) };
        let (mut at, mut own) = (base.wrapping_add(index * size), *filler);
        loop {
            if index >= carved {
                index = if down { carved - 1 } else { 0 };
                at = base.wrapping_add(index * size);
            }
            // SAFETY: the table has a word for each carved slot, and `index` is one's; it
            // is never unmapped (V5).
            let word = unsafe { &*table.wrapping_add(index) };
            // ORDERING: Relaxed, the lock orders it after the last giver.
            let is_free = SlotWord(word.load(Ordering::Relaxed)) == SlotWord::FREE;
            if is_free {
                // ORDERING: Relaxed, the slot is ours: whoever has it next has it from us.
                word.store(SlotWord::HELD.0, Ordering::Relaxed);
                // SAFETY: a slot of the span, whose base is not null.
                let slot = unsafe { NonNull::new_unchecked(at) };
                own.put(Slot::new(slot, word, at >= never));
                // It is looked at before it is handed out.
                canary::fetch(at);
                left -= 1;
            }
            index = index.wrapping_add(step);
            at = at.wrapping_add(stride);
            if left == 0 {
                *filler = own;
                return index;
            }
        }
    }
}

impl<O: Os> Ground<'_, O> {
    /// Slices; when the system refuses, what is kept is given back first.
    pub(crate) fn slices(
        &self,
        home: &Cell<*const Chunk>,
        count: usize,
        align: usize,
        fills: bool,
    ) -> Option<Slices> {
        self.arena.take(home, count, align, fills).or_else(|| {
            self.huge.release_cached(self.arena, usize::MAX);
            self.arena.trim(0);
            self.arena.take(home, count, align, fills)
        })
    }

    /// Puts the guard of a fresh span up, if it is to have one.
    fn guard(&self, span: &Span, class: SizeClass) -> bool {
        let Some(page) = Guards::page(self.arena) else { return false };
        let len = class.span_slices() * SLICE;
        // Half of the slots at most are given for it.
        if slots_below(len - page, class) < class.capacity().div_ceil(2) {
            return false;
        }
        let open = open_to(0, len, page);
        let Some(at) = NonNull::new(span.base().wrapping_add(open)) else { return false };
        // SAFETY: the slices are ours, and read as zeros (V4).
        unsafe { self.guards.raise(self.arena, at, len - open) }
    }

    /// Makes room for the first `count` slots of a span (V6). False: the system refuses.
    #[cold]
    #[inline(never)]
    fn draw_back(&self, span: &Span, class: SizeClass, count: usize) -> bool {
        if !is_guarded(span) {
            return true;
        }
        let Some(page) = Guards::page(self.arena) else { return true };
        let (size, len) = (class.size(), class.span_slices() * SLICE);
        let had = open_to(usize::from(span.carved()) * size, len, page);
        let wants = open_to(count * size, len, page);
        if wants == had {
            return true;
        }
        let Some(at) = NonNull::new(span.base().wrapping_add(had)) else { return false };
        // SAFETY: the guard is the span's, and begins here (V6).
        unsafe { Guards::open(self.arena, at, wants - had) }
    }

    /// True unless the span's guard cannot be taken down. It is empty, and about to be
    /// given back.
    fn may_retire(&self, span: &Span) -> bool {
        let (Some(class), Some(page)) = (span.class(), Guards::page(self.arena)) else {
            return true;
        };
        if !is_guarded(span) {
            return true;
        }
        let len = class.span_slices() * SLICE;
        let open = open_to(usize::from(span.carved()) * class.size(), len, page);
        let Some(at) = NonNull::new(span.base().wrapping_add(open)) else { return false };
        // SAFETY: the guard is the span's, and this is all of it (V6).
        unsafe { self.guards.lower(self.arena, at, len - open) }
    }

    /// Gives the slices of an empty span back, and its table. Its guard is down.
    pub(crate) fn retire(&self, tables: &Tables, class: SizeClass, span: &Span) {
        let base = span.base().addr();
        let Some(chunk) = self.arena.chunk_at(base) else { return };
        let touched = (usize::from(span.carved()) * class.size()).div_ceil(SLICE);
        let first = ((base >> SLICE_SHIFT) % SLICES_PER_CHUNK) as u32;
        let run = Run::new(first, span.slices() as u32);
        if let Some(table) = NonNull::new(span.table()) {
            tables.give(class, table);
        }
        span.set_table(ptr::null_mut());
        // SAFETY: the slices are ours (M3).
        unsafe { self.arena.map.set_entries(base, class.span_slices(), 0) };
        span.word.store(Word::new(State::Free, 0, Remote::NONE));
        // SAFETY: the run is ours, and only its carved part was ever touched.
        unsafe { self.arena.give(chunk, run, touched as u32) };
    }

    /// Gives back a span with objects of a private heap that is gone, after all of
    /// it has been made zeros. Returns the bytes that were out.
    pub(crate) fn wipe_out(&self, tables: &Tables, class: SizeClass, span: &Span) -> usize {
        let bytes = slots_out(span) * class.size();
        let Some(base) = NonNull::new(span.base()) else { return 0 };
        let len = usize::from(span.carved()) * class.size();
        // SAFETY: nobody uses the heap any more, so all of the span is ours.
        unsafe { base.write_bytes(0, len) };
        for i in 0..u32::from(span.carved()) {
            if let Some(word) = word_of(span, i) {
                // ORDERING: Relaxed, nobody else has a slot of it; the arena orders its next user.
                word.store(SlotWord::FREE.0, Ordering::Relaxed);
            }
        }
        span.set_listed(false);
        if self.may_retire(span) {
            self.retire(tables, class, span);
        }
        bytes
    }
}
