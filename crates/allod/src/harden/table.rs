//! Tables: the words of the slots of a span, out of line, and who finds them.
//!
//! ```text
//!   map entry:  | 1 | distance in 64 bytes from `origin` |
//!                         |
//!   table:      | head: span, base, size, division | word | word | word | ...
//!                                                     of slot 0, 1, 2, ...
//! ```
//!
//! An entry of the map leads from any address in a span of slots to the head of its
//! table, and the head knows what a free must: the number of the slot, its word, its size,
//! its class. So a free reads the entry, one line of the head, and the word. Entries have
//! room for a distance of 64 GiB either way; where a table is further away, and for a
//! private heap's spans, they say 0, and the record of the span is asked.
//!
//! # Invariants
//!
//! * V5. The words of a table that is in no span are zeros. A table is for one class, has a
//!   head, and is never unmapped.
//!
//! # Threads
//!
//! A table belongs to whoever has its span. Its head may be read at any time, by
//! whoever frees nonsense: what is read then is of the same class, or zeros.
#![allow(unsafe_code)]

use super::canary;
use super::locker::RowAt;
use super::slot::{SlotWord, State as Is};
use crate::arena::Arena;
use crate::map::Map;
use crate::os::Os;
use crate::size::{CLASSES, Divide, SizeClass};
use crate::span::Span;
use crate::sync::{
    AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Lock, Ordering, Rank,
};
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// The bit of an entry in the map that leads to a [`Head`]. No heap's key reaches it.
const HEAD: u32 = 1 << 31;
/// How far a head may be from the place that entries count from: 64 GiB either way.
const REACH: u64 = 1 << 37;

/// What stands before the words of a table: what a free must know of the slots of a span,
/// and nothing else.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Head {
    /// Where the span begins.
    base: AtomicPtr<u8>,
    /// Its record, for who holds a slot of it.
    span: AtomicPtr<Span>,
    /// What the patterns of canaries differ by from slot to slot.
    step: AtomicU64,
    /// The class's: the division by its size, and the size.
    inverse: AtomicU32,
    size: AtomicU32,
    /// Slots of a span; none where it takes long to clear one.
    short: AtomicU32,
    /// Where in a locker the class's row is.
    row: AtomicU32,
    capacity: AtomicU16,
    /// FREE slots of the span, and at how many of them there is more to do (V2, V3).
    free: AtomicU16,
    gate: AtomicU16,
    shift: AtomicU8,
    /// Not 0: slots that somebody has had are FREE among the last that were cut.
    worn: AtomicU8,
}

const _: () = assert!(size_of::<Head>().is_multiple_of(8), "the words follow");

/// Where an address leads to, at a hardened level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    head: &'a Head,
    /// The number of the slot in its span.
    pub(crate) index: u32,
    pub(crate) word: &'a AtomicU16,
}

impl Place<'_> {
    /// Bytes of the slot.
    #[inline(always)]
    pub(crate) fn size(&self) -> usize {
        // ORDERING: Relaxed, see `Head::place`.
        self.head.size.load(Ordering::Relaxed) as usize
    }

    /// Where in a locker the row of its class is.
    #[inline(always)]
    pub(crate) fn row(&self) -> RowAt {
        // ORDERING: Relaxed, see `Head::place`.
        RowAt::from_number(self.head.row.load(Ordering::Relaxed))
    }

    /// What the pattern of the slot before is less than this one's.
    #[inline(always)]
    pub(crate) fn step(&self) -> u64 {
        // ORDERING: Relaxed, see `Head::place`.
        self.head.step.load(Ordering::Relaxed)
    }
}

impl Head {
    /// The slot at `address` in the span that the head stands for, if one can start there;
    /// those that take long to clear only when `LONG` says so.
    #[inline(always)]
    pub(crate) fn place<const LONG: bool>(&self, address: usize) -> Option<Place<'_>> {
        // ORDERING: Relaxed on all here and below: what is a slot's was written before its
        // address reached us, by whatever brought it here. For any other address each
        // value there ever was is one of this class (V5), or 0.
        let base = self.base.load(Ordering::Relaxed).addr();
        // ORDERING: Relaxed, as above.
        let inverse = self.inverse.load(Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        let shift = self.shift.load(Ordering::Relaxed);
        let index = Divide::new(inverse, shift.into()).block_index(address.wrapping_sub(base));
        let most = if LONG {
            // ORDERING: Relaxed, as above.
            u32::from(self.capacity.load(Ordering::Relaxed))
        } else {
            // ORDERING: Relaxed, as above.
            self.short.load(Ordering::Relaxed)
        };
        if index >= most {
            return None;
        }
        let words = ptr::from_ref(self).wrapping_add(1).cast::<AtomicU16>();
        // SAFETY: the table has a word for each slot of the capacity (V5).
        let word = unsafe { &*words.wrapping_add(index as usize) };
        Some(Place { head: self, index, word })
    }

    /// The slot numbered `index`, which is below the capacity.
    pub(crate) fn nth<'a>(span: &'a Span, index: u32, word: &'a AtomicU16) -> Option<Place<'a>> {
        Some(Place { head: Self::of_span(span)?, index, word })
    }

    /// Says which span the table is in, which has no slots yet.
    pub(super) fn tie(&self, span: &Span) {
        self.set_free(0);
        self.set_gate(0);
        self.set_worn(false);
        // ORDERING: Relaxed, see `place`.
        self.base.store(span.base(), Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.span.store(ptr::from_ref(span).cast_mut(), Ordering::Relaxed);
    }

    /// Sets up the head of a table for a span of `class`, but for which one.
    fn begin(&self, class: SizeClass) {
        let (inverse, shift) = class.divide().parts();
        let short = if class.size() < canary::LONG { class.capacity() } else { 0 };
        // ORDERING: Relaxed on all, see `place`.
        self.step.store(canary::step(class.size()), Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.inverse.store(inverse, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.shift.store(shift as u8, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.size.store(class.size() as u32, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.row.store(RowAt::of(class).number(), Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.short.store(short as u32, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.capacity.store(class.capacity() as u16, Ordering::Relaxed);
    }

    /// The span's record; null in a table that has never been in one.
    #[inline(always)]
    pub(super) fn span(&self) -> *const Span {
        // ORDERING: Relaxed, see `place`.
        self.span.load(Ordering::Relaxed)
    }

    /// How many slots of the span are FREE.
    #[inline(always)]
    pub(super) fn free(&self) -> u16 {
        // ORDERING: Relaxed on this and all below, under the lock of the shelf (V1).
        self.free.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(super) fn set_free(&self, free: u16) {
        // ORDERING: Relaxed, as above.
        self.free.store(free, Ordering::Relaxed);
    }

    /// Has [`Head::count_one`] tell when `free` slots are FREE.
    pub(super) fn set_gate(&self, free: u16) {
        // ORDERING: Relaxed, as above.
        self.gate.store(free, Ordering::Relaxed);
    }

    #[cfg(any(test, fuzzing, audit))]
    pub(super) fn gate(&self) -> u16 {
        // ORDERING: Relaxed, as above.
        self.gate.load(Ordering::Relaxed)
    }

    /// One more slot is FREE that somebody has had. True when there is more to do.
    #[inline(always)]
    pub(super) fn count_one(&self) -> bool {
        let free = self.free().wrapping_add(1);
        self.set_free(free);
        self.set_worn(true);
        // ORDERING: Relaxed, as above.
        free == self.gate.load(Ordering::Relaxed)
    }

    pub(super) fn is_worn(&self) -> bool {
        // ORDERING: Relaxed, as above.
        self.worn.load(Ordering::Relaxed) != 0
    }

    #[inline(always)]
    pub(super) fn set_worn(&self, worn: bool) {
        // ORDERING: Relaxed, as above.
        self.worn.store(worn.into(), Ordering::Relaxed);
    }

    /// The head of the table of a span of slots.
    pub(super) fn of_span(span: &Span) -> Option<&Self> {
        let head = Self::of(NonNull::new(span.table())?);
        // SAFETY: a head stands before the words of each table, and is never unmapped (V5).
        Some(unsafe { head.as_ref() })
    }

    /// The head before the words of a table.
    pub(super) fn of(words: NonNull<AtomicU16>) -> NonNull<Self> {
        // SAFETY: a head stands before the words of each table (V5).
        unsafe { words.cast::<Self>().sub(1) }
    }
}

/// Tables that are in no span, class by class.
#[derive(Debug)]
pub(crate) struct Tables {
    lock: Lock,
    unused: [Cell<*mut AtomicU16>; CLASSES],
    /// Where entries of the map that lead to heads count from.
    origin: AtomicPtr<u8>,
}

// SAFETY: the cells are touched under the lock.
unsafe impl Sync for Tables {}

/// True for an entry of the map that leads to a [`Head`]; or for one that a heap's key was
/// taken off.
#[inline(always)]
pub(crate) const fn leads_to_head(entry: u32) -> bool {
    entry & HEAD != 0
}

impl Tables {
    pub(crate) const fn new() -> Self {
        Self {
            lock: Lock::new(Rank::Tables),
            unused: [const { Cell::new(ptr::null_mut()) }; CLASSES],
            origin: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Has entries reach heads that are not too far from `near`. Before there is any.
    pub(crate) fn open(&self, near: *mut u8) {
        // On 32 bits everything is near.
        let back = if usize::BITS == 32 { near.addr() } else { (REACH / 2) as usize };
        // With the bit that all entries have taken off.
        let origin = near.wrapping_sub(back).wrapping_sub((HEAD as usize).wrapping_mul(64));
        // ORDERING: Relaxed, published with the open allocator by the caller.
        self.origin.store(origin, Ordering::Relaxed);
    }

    /// The head that an entry of the map leads to.
    #[inline(always)]
    pub(crate) fn head(&self, entry: u32) -> Option<&Head> {
        if !leads_to_head(entry) {
            return None;
        }
        // ORDERING: Relaxed, set before the allocator was published as open.
        let origin = self.origin.load(Ordering::Relaxed);
        let head = origin.wrapping_add((entry as usize).wrapping_mul(64)).cast::<Head>();
        // SAFETY: `entry` below makes no entry with this bit but for a head, and heads are
        // never unmapped (V5).
        Some(unsafe { &*head })
    }

    /// The head for the slot at `address`, which the caller holds, if the address's entry
    /// leads there.
    #[inline(always)]
    pub(super) fn head_at(&self, map: &Map, address: usize) -> Option<&Head> {
        self.head(map.entry(address)?)
    }

    /// The entry that leads to a head; 0 for one that is too far away.
    pub(super) fn entry(&self, head: NonNull<Head>) -> u32 {
        // ORDERING: Relaxed, as above.
        let origin = self.origin.load(Ordering::Relaxed);
        let far = head.addr().get().wrapping_sub(origin.addr()) / 64;
        match u32::try_from(far) {
            Ok(far) if far >= HEAD => far,
            // The highest bit is in the difference already, where it has room for it.
            _ if usize::BITS == 32 => (far as u32) | HEAD,
            _ => 0,
        }
    }

    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// A table of zeros for a span of `class`.
    pub(super) fn take<O: Os>(&self, arena: &Arena<O>, class: SizeClass) -> Option<NonNull<AtomicU16>> {
        let cell = self.unused.get(class.index())?;
        if let Some(_guard) = self.lock.lock()
            && let Some(table) = NonNull::new(cell.get())
        {
            let link = table.cast::<*mut AtomicU16>();
            // SAFETY: an unused table begins with the link to the next one.
            cell.set(unsafe { link.read() });
            // SAFETY: as above; now it is zeros again (V5).
            unsafe { link.write(ptr::null_mut()) };
            return Some(table);
        }
        let words = class.capacity() * size_of::<AtomicU16>();
        let bytes = (size_of::<Head>() + words).next_multiple_of(64);
        let head = arena.meta.take(&arena.kernel, bytes, 64)?.cast::<Head>();
        // SAFETY: fresh zeros of the right size and alignment are a head, and stay.
        unsafe { head.as_ref() }.begin(class);
        // SAFETY: the words follow it.
        Some(unsafe { head.add(1) }.cast())
    }

    /// Keeps a table of zeros. Without the lock (a handler above a holder) it is lost.
    pub(super) fn give(&self, class: SizeClass, table: NonNull<AtomicU16>) {
        let Some(_guard) = self.lock.lock() else { return };
        let Some(cell) = self.unused.get(class.index()) else { return };
        // SAFETY: the table is in no span, and has 64 bytes at least.
        unsafe { table.cast::<*mut AtomicU16>().write(cell.get()) };
        cell.set(table.as_ptr());
    }
}

/// The word of slot `index` of a span of slots.
#[inline(always)]
pub(crate) fn word_of(span: &Span, index: u32) -> Option<&AtomicU16> {
    let table = span.table();
    if table.is_null() {
        return None;
    }
    // SAFETY: the callers have compared `index` with `carved`, which is at most the
    // capacity that the table was made for (V5: tables are never unmapped).
    Some(unsafe { &*table.wrapping_add(index as usize) })
}

/// Slots of a span that the program has.
pub(crate) fn slots_out(span: &Span) -> usize {
    let is_out = |i: &u32| {
        word_of(span, *i).is_some_and(|word| {
            // ORDERING: Relaxed, a figure.
            SlotWord(word.load(Ordering::Relaxed)).state() == Is::Out
        })
    };
    (0..u32::from(span.carved())).filter(is_out).count()
}

#[cfg(test)]
mod tests {
    //! Entries of the map that lead to heads, and how far.

    use super::*;

    #[repr(align(64))]
    struct Aligned(Head);

    fn head() -> Head {
        let zero = || AtomicU32::new(0);
        Head {
            base: AtomicPtr::new(ptr::null_mut()),
            span: AtomicPtr::new(ptr::null_mut()),
            step: AtomicU64::new(0),
            inverse: zero(),
            size: zero(),
            short: zero(),
            row: zero(),
            capacity: AtomicU16::new(0),
            free: AtomicU16::new(0),
            gate: AtomicU16::new(0),
            shift: AtomicU8::new(0),
            worn: AtomicU8::new(0),
        }
    }

    #[test]
    fn an_entry_leads_back_to_its_head_or_there_is_none() {
        let own = Aligned(head());
        let (at, tables) = (NonNull::from(&own.0), Tables::new());
        let here = at.as_ptr().cast::<u8>();
        let gib = |n: usize| n.wrapping_shl(30);
        for (near, reaches) in [
            (here, true),
            (here.wrapping_add(4096), true),
            (here.wrapping_sub(4096), true),
            (here.wrapping_add(gib(63)), true),
            (here.wrapping_sub(gib(63)), true),
            (here.wrapping_add(gib(65)), false),
            (here.wrapping_sub(gib(65)), false),
            (here.wrapping_add(gib(9000)), false),
        ] {
            tables.open(near);
            let entry = tables.entry(at);
            assert_eq!(leads_to_head(entry), reaches || usize::BITS == 32, "{near:?}");
            let found = tables.head(entry).map(NonNull::from);
            assert_eq!(found, leads_to_head(entry).then_some(at), "{near:?}");
        }
        assert!(tables.head(0).is_none() && tables.head(HEAD - 1).is_none());
    }
}
