//! Spans: runs of slices cut into blocks of one size class.
//!
//! ```text
//!   span of class c, two slices:
//!   |<------------- carved ------------>|<----- never touched yet ----->|
//!   +-----+-----+-----+-----+-----+-----+                               |
//!   |block|block|block|block|block|block|                               |
//!   +-----+-----+-----+-----+-----+-----+-------------------------------+
//!   ^ base: a slice boundary; spans of 2, 4, 8 slices start at a multiple of that
//! ```
//!
//! The record of a span lies out of line, in its chunk's record, at the number
//! of its first slice. A span that has just been made touches no memory; blocks
//! are *carved* up to 4 KiB at a time, when they are asked for.
//!
//! A large object (above 32 KiB, up to 1 MiB) is a span too: one block that is
//! the whole run, in state `Large`.
//!
//! # Life of a span
//!
//! `word.rs` draws it. In short: a heap makes it, owns it, fills it; strangers
//! and the owner free into it; with all blocks home its slices go back to the
//! arena and the record waits for the next span on the same slice.
//!
//! At the hardened levels some fields of the record have another use. Of a span of
//! slots `free` leads to the table and `below` says how far it was used
//! (`harden/shelf.rs`); of a large object `below` is what was asked for, `carved` how,
//! and `free_count` the length of its guard (`harden/runs.rs`).
//!
//! # Invariants
//!
//! * S1. The plain fields belong to whom the word says (W1). Threads that only
//!   look (statistics) read them as single words, which is why they are atomics.
//! * S2. `class`, `slices`, `heap` and `base` don't change while the state is
//!   not FREE, so whoever has seen another state may read them; but for the slices
//!   of a large object, which its holder changes.
//! * S3. The blocks on `free` are `free_count`; they are below `carved`.
//! * S4. blocks out = `carved` - `free_count` - remote count, and never below zero.
//! * S5. Every slice of a span but the first has `back` slices to the first.
//!
//! [`Span::check`] tests S3 and S4.
#![allow(unsafe_code)]

pub(crate) mod word;

use crate::block::{self, Block, List};
use crate::size::SizeClass;
use crate::sync::{AtomicPtr, AtomicU8, AtomicU16, AtomicUsize, Ordering};
use crate::units::SLICE;
use core::cell::Cell;
use core::ptr::{self, NonNull};
use word::{AtomicWord, Pushed, Remote, Terms};

/// The class field of a large object.
const LARGE_CLASS: u8 = 0xFF;
/// The owner's list of spans with free blocks holds it.
const LISTED: u8 = 1;
/// The sampler must hear of frees into it.
const WATCHED: u8 = 2;
/// On huge pages, or carved to its end: counted (`heap/filling.rs`).
const OPEN: u8 = 4;
/// Carved to its end; `OPEN` is set too.
const FULL: u8 = 8;

/// How far a span has come towards being carved to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carving {
    /// Not there yet, on small pages: nobody counts it.
    Unknown,
    /// Not there yet, on huge pages.
    Open,
    /// Carved to its end.
    Full,
}

/// The record of a span, or of a slice inside one.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Span {
    /// Who may touch the rest.
    pub(crate) word: AtomicWord,
    base: AtomicPtr<u8>,
    free: AtomicPtr<Block>,
    /// Neighbours in the owner's list of spans with free blocks; in the depot
    /// `next` is free for other use.
    next: AtomicPtr<Span>,
    prev: AtomicPtr<Span>,
    /// The private heap that the span belongs to for life; null for the threads' heaps.
    heap: AtomicPtr<()>,
    /// The depot's link (`depot/stack.rs`), while the span has blocks.
    below: AtomicUsize,
    free_count: AtomicU16,
    carved: AtomicU16,
    class: AtomicU8,
    slices: AtomicU8,
    back: AtomicU8,
    flags: AtomicU8,
}

const _: () = assert!(size_of::<Span>() == 64, "one cache line, and sixty-four of them to a chunk");

/// Reads and writes of a field, all relaxed: S1 says who writes, and the word
/// orders the hand-over.
macro_rules! field {
    ($(#[$doc:meta])* $get:ident, $set:ident, $field:ident: $type:ty) => {
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $get(&self) -> $type {
            // ORDERING: Relaxed, S1 and S2: the word's Acquire is behind us.
            self.$field.load(Ordering::Relaxed)
        }

        #[inline(always)]
        pub(crate) fn $set(&self, value: $type) {
            // ORDERING: Relaxed, S1: the word's Release publishes it.
            self.$field.store(value, Ordering::Relaxed);
        }
    };
}

impl Span {
    field!(
        /// Start of the first block.
        base, set_base, base: *mut u8);
    field!(next, set_next, next: *mut Span);
    field!(prev, set_prev, prev: *mut Span);
    field!(heap, set_heap, heap: *mut ());
    field!(below, set_below, below: usize);
    field!(
        /// Blocks ever cut.
        carved, set_carved, carved: u16);
    field!(
        /// Blocks on the owner's list.
        free_count, set_free_count, free_count: u16);
    field!(slices_raw, set_slices_raw, slices: u8);
    field!(
        /// Slices back to the span's first one (S5).
        back, set_back, back: u8);
    field!(flags, set_flags, flags: u8);
    field!(class_raw, set_class_raw, class: u8);
    field!(free_head, set_free_head, free: *mut Block);

    /// The table of a span of slots (`harden/table.rs`).
    #[inline(always)]
    pub(crate) fn table(&self) -> *mut AtomicU16 {
        self.free_head().cast()
    }

    pub(crate) fn set_table(&self, table: *mut AtomicU16) {
        self.set_free_head(table.cast());
    }

    /// The span's size class; `None` for a large object.
    #[inline(always)]
    pub(crate) fn class(&self) -> Option<SizeClass> {
        match self.class_raw() {
            LARGE_CLASS => None,
            class => Some(SizeClass::from_index(class as usize)),
        }
    }

    /// Slices of the run.
    pub(crate) fn slices(&self) -> usize {
        self.slices_raw() as usize
    }

    /// Bytes that one block holds.
    pub(crate) fn block_size(&self) -> usize {
        self.class().map_or(self.slices() * SLICE, SizeClass::size)
    }

    /// True when the owner's list of spans holds it.
    pub(crate) fn is_listed(&self) -> bool {
        self.flags() & LISTED != 0
    }

    /// Says whether the owner's list of spans holds it.
    pub(crate) fn set_listed(&self, yes: bool) {
        if yes {
            // ORDERING: Relaxed, S1; a whole operation, for `watch` may be another's.
            self.flags.fetch_or(LISTED, Ordering::Relaxed);
        } else {
            // ORDERING: Relaxed, as above.
            self.flags.fetch_and(!LISTED, Ordering::Relaxed);
        }
    }

    /// True when the sampler must hear of frees into it.
    pub(crate) fn is_watched(&self) -> bool {
        self.flags() & WATCHED != 0
    }

    /// Has the sampler hear of frees into it, as long as it is a span.
    pub(crate) fn watch(&self) {
        // ORDERING: Relaxed, whoever frees a block has it from whoever was given it.
        self.flags.fetch_or(WATCHED, Ordering::Relaxed);
    }

    /// What `heap/filling.rs` knows of it.
    pub(crate) fn carving(&self) -> Carving {
        match self.flags() & (OPEN | FULL) {
            0 => Carving::Unknown,
            OPEN => Carving::Open,
            _ => Carving::Full,
        }
    }

    /// Says what `heap/filling.rs` knows of it. Goes up only.
    pub(crate) fn set_carving(&self, carving: Carving) {
        let bits = match carving {
            Carving::Unknown => 0,
            Carving::Open => OPEN,
            Carving::Full => OPEN | FULL,
        };
        // ORDERING: Relaxed, S1; a whole operation, for `watch` may be another's.
        self.flags.fetch_or(bits, Ordering::Relaxed);
    }

    /// Sets up the record of a fresh span of `class` on slices that the caller holds.
    pub(crate) fn begin(&self, base: NonNull<u8>, class: SizeClass, heap: *mut ()) {
        self.reset(base, class.index() as u8, class.span_slices(), heap);
    }

    /// Sets up the record of a large object on slices that the caller holds.
    pub(crate) fn begin_large(&self, base: NonNull<u8>, slices: usize, heap: *mut ()) {
        self.reset(base, LARGE_CLASS, slices, heap);
    }

    fn reset(&self, base: NonNull<u8>, class: u8, slices: usize, heap: *mut ()) {
        self.set_base(base.as_ptr());
        self.set_free_head(ptr::null_mut());
        self.set_next(ptr::null_mut());
        self.set_prev(ptr::null_mut());
        self.set_heap(heap);
        self.set_free_count(0);
        self.set_carved(0);
        self.set_class_raw(class);
        self.set_slices_raw(slices as u8);
        self.set_back(0);
        self.set_flags(0);
    }

    /// The number of the block that starts at `address`, if one does.
    #[inline]
    pub(crate) fn block_at(&self, address: usize) -> Option<u16> {
        let offset = address.wrapping_sub(self.base().addr());
        let class = self.class()?;
        let index = class.divide().block_index(offset);
        if offset < class.span_slices() * SLICE && index < u32::from(self.carved()) {
            Some(index as u16)
        } else {
            None
        }
    }

    /// The block numbered `index`.
    ///
    /// # Safety
    ///
    /// `index` is below `carved`.
    #[inline]
    pub(crate) unsafe fn block(&self, index: u16) -> NonNull<Block> {
        let size = self.block_size();
        // SAFETY: blocks below `carved` lie in the span (S3).
        let at = unsafe { self.base().add(index as usize * size) };
        // SAFETY: an offset from a mapped base is not null.
        unsafe { NonNull::new_unchecked(at.cast()) }
    }

    /// Takes the whole local list.
    ///
    /// # Safety
    ///
    /// The caller owns the span's plain fields (W1).
    pub(crate) unsafe fn take_free(&self) -> (*mut Block, usize) {
        let list = (self.free_head(), self.free_count() as usize);
        self.set_free_head(ptr::null_mut());
        self.set_free_count(0);
        list
    }

    /// Puts a list of the span's own blocks onto the local list.
    ///
    /// # Safety
    ///
    /// The caller owns the span's plain fields (W1); the blocks are free, of
    /// this span, and on no other list.
    pub(crate) unsafe fn put_free(&self, list: List) {
        let Some(tail) = NonNull::new(list.tail) else { return };
        // SAFETY: the caller gives us the list's blocks.
        unsafe { block::set_next(tail, self.free_head()) };
        self.set_free_head(list.head);
        self.set_free_count(self.free_count() + list.count as u16);
    }

    /// Moves what strangers have freed to the local list. False when there was nothing.
    ///
    /// # Safety
    ///
    /// The caller owns the span, as heap `key`.
    pub(crate) unsafe fn collect(&self, key: u32) -> bool {
        let remote = self.word.take(key);
        // SAFETY: the caller owns the span, and `take` gave us the list (W2).
        unsafe { self.adopt(remote) };
        remote.count != 0
    }

    /// Puts a remote list that the caller was given onto the local list.
    ///
    /// # Safety
    ///
    /// The caller owns the span's plain fields, and has the list from its word.
    pub(crate) unsafe fn adopt(&self, remote: Remote) {
        if remote.count == 0 {
            return;
        }
        // SAFETY: the word's list holds carved blocks of this span (W2).
        let head = unsafe { self.block(remote.head) };
        if self.free_count() == 0 {
            self.set_free_head(head.as_ptr());
            self.set_free_count(remote.count);
            return;
        }
        let mut tail = head;
        for _ in 1..remote.count {
            // SAFETY: the list is ours and has `count` blocks (W2).
            match NonNull::new(unsafe { block::next(tail) }) {
                Some(next) => tail = next,
                None => break,
            }
        }
        let list = List { head: head.as_ptr(), tail: tail.as_ptr(), count: remote.count as usize };
        // SAFETY: the same list, with its last block found.
        unsafe { self.put_free(list) };
    }

    /// Frees a run of the span's blocks from outside.
    ///
    /// # Safety
    ///
    /// The blocks are carved blocks of this span, free, on no other list, and
    /// linked from `head` to `tail`.
    pub(crate) unsafe fn push_remote(&self, list: List, terms: impl Fn() -> Terms) -> Pushed {
        let (Some(head), Some(tail)) = (NonNull::new(list.head), NonNull::new(list.tail)) else {
            return Pushed::Added;
        };
        let Some(first) = self.block_at(head.as_ptr().addr()) else { return Pushed::Refused };
        let link = |old: Remote| {
            let below = if old.count == 0 {
                ptr::null_mut()
            } else {
                // SAFETY: the head of the word's list is a carved block (W2).
                unsafe { self.block(old.head) }.as_ptr()
            };
            // SAFETY: the run's last block is ours until the exchange.
            unsafe { block::set_next(tail, below) };
        };
        self.word.push(first, list.count as u16, link, terms)
    }

    /// Cuts up to 4 KiB of fresh blocks onto the local list. False when
    /// the span is all carved.
    ///
    /// # Safety
    ///
    /// The caller owns the span's plain fields, and its memory is committed.
    pub(crate) unsafe fn carve(&self, secret: usize) -> bool {
        let Some(class) = self.class() else { return false };
        let (size, start) = (class.size(), self.carved() as usize);
        let left = class.capacity() - start;
        if left == 0 {
            return false;
        }
        // To the end of the 4 KiB that the first new block begins in, so that
        // each page is touched when the first block in it is needed.
        let at = start * size;
        let count = ((4096 - at % 4096).div_ceil(size)).min(left);
        // SAFETY: `at` is below the capacity's end, so the block lies in the span.
        let first = unsafe { self.base().add(at) };
        // Forwards, one address after the other: this runs for each block ever made.
        let (mut here, mut tail) = (first, first);
        for _ in 0..count {
            tail = here;
            // The first byte past the last block is never more than the span's end.
            here = here.wrapping_add(size);
            // SAFETY: an offset from a mapped base is not null.
            let block = unsafe { NonNull::new_unchecked(tail.cast::<Block>()) };
            // SAFETY: the block has never been handed out and is ours.
            unsafe { block::set_next(block, here.cast()) };
            if block::CHECKED && size >= 16 {
                // SAFETY: as above, and it is of 16 bytes or more.
                unsafe { block::mark(block, secret) };
            }
        }
        let list = List { head: first.cast(), tail: tail.cast(), count };
        self.set_carved((start + count) as u16);
        // SAFETY: fresh blocks of this span, on no other list.
        unsafe { self.put_free(list) };
        true
    }

    /// True when every carved block is home, as far as the owner can see.
    pub(crate) fn is_empty(&self) -> bool {
        let home = usize::from(self.free_count()) + usize::from(self.word.load().remote().count);
        home == usize::from(self.carved())
    }

    /// The span's local list as a remote list, for sharing.
    pub(crate) fn local_as_remote(&self) -> Remote {
        match self.block_at(self.free_head().addr()) {
            Some(head) if self.free_count() != 0 => Remote { head, count: self.free_count() },
            _ => Remote::NONE,
        }
    }

    /// Walks the local list and says what is wrong with it, or nothing.
    #[cfg(any(test, fuzzing, audit))]
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        // A bit for each block: no span has more (`size.rs`).
        let mut seen = [0u64; (1 << 15) / 64];
        let (mut at, mut count) = (self.free_head(), 0);
        while let Some(block) = NonNull::new(at) {
            let Some(index) = self.block_at(at.addr()) else { return Err("S3: not a block") };
            let bit = 1 << (index % 64);
            match seen.get_mut(usize::from(index) / 64) {
                Some(word) if *word & bit == 0 => *word |= bit,
                _ => return Err("S3: a block twice"),
            }
            count += 1;
            // SAFETY: the list is the span's, which nobody else changes during this.
            at = unsafe { block::next(block) };
        }
        if count != usize::from(self.free_count()) {
            return Err("S3: the count is off");
        }
        if count + usize::from(self.word.load().remote().count) > usize::from(self.carved()) {
            return Err("S4: more blocks home than carved");
        }
        Ok(())
    }
}

/// Puts `span` in front of the list at `first`, which its owner keeps.
pub(crate) fn link(first: &Cell<*const Span>, span: &Span) {
    let next = first.get();
    span.set_prev(ptr::null_mut());
    span.set_next(next.cast_mut());
    // SAFETY: null, or a span of the list: records are never unmapped.
    if let Some(next) = unsafe { next.as_ref() } {
        next.set_prev(ptr::from_ref(span).cast_mut());
    }
    first.set(span);
}

/// Takes `span` off the list at `first`.
pub(crate) fn unlink(first: &Cell<*const Span>, span: &Span) {
    let (next, prev) = (span.next(), span.prev());
    // SAFETY: null, or a span of the list: records are never unmapped.
    match unsafe { prev.as_ref() } {
        Some(prev) => prev.set_next(next),
        None => first.set(next),
    }
    // SAFETY: as above.
    if let Some(next) = unsafe { next.as_ref() } {
        next.set_prev(prev);
    }
}
