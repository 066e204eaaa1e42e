//! The ring: blocks of other heaps, gathered span by span on their way home.
//!
//! A stranger's free finds no match in the map and comes here. Of thirty-two *batches* each
//! takes blocks of one span. A batch goes home with one compare-and-swap when it is full,
//! when another span needs its place, some milliseconds later by the clock, or when its
//! thread exits.
//!
//! ```text
//!   free(block) --gather--> its span has a batch? --- yes --> into it, span untouched
//!                                   | no
//!                                   v
//!                      free_slow: record, state, start --> put_into_ring --> a batch is opened
//! ```
//!
//! Whose block it is, is looked up once for each batch, not once for each block: the class
//! and the address say which batch would have it, and a batch that is open knows how much
//! of its span holds blocks. That spares 150 of 230 instructions, and the span's record is a
//! line of memory that its owner and all strangers write to (docs/decisions/076).
//!
//! # Invariants
//!
//! * RG1. A batch whose `key` is not [`EMPTY`] holds at least one block of the span of that
//!   class that starts at that address, or is about to: such a block counts as out (P3), so
//!   the span stays what it is, and what of it is carved only grows.
//! * RG2. `busy` is set before a batch is looked at and cleared when it is whole again. A
//!   handler that frees while its thread is in here finds it set, and goes the direct way.
//!
//! * RG3. A batch whose `head` is not null has a key and a tail, and the blocks behind `head` are
//!   linked: so a `fork` that catches a thread in here finds a list that can be walked, whatever
//!   `count` says (`count_again`). What was on its way is lost to the child.
//!
//! Threads: the ring is the heap's thread's own (P1).
#![allow(unsafe_code)]

use super::{Allocator, EIGHT, Heap};
use crate::block::{self, Block, List};
use crate::os::Os;
use crate::size::{CLASSES, SizeClass};
use crate::span::Span;
use crate::sync::compiler_barrier;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Batches of the ring: together they hold back at most 32 spans and 128 KiB. A thread that
/// frees another's objects of thirty classes has more spans than sixteen in its hands: with
/// 16, three blocks came home at a time in `handoff`; with 32, five (docs/decisions/076).
const BATCHES: usize = 32;
/// The key of a batch without blocks: odd, and no class has so high a number.
const EMPTY: usize = usize::MAX;

/// Blocks of one span of another heap, on their way home.
#[derive(Debug)]
struct Batch {
    /// Where the span starts, and its class in the low bits (RG1).
    key: Cell<usize>,
    head: Cell<*mut Block>,
    tail: Cell<*mut Block>,
    count: Cell<u16>,
    /// Blocks of the span that were carved when it was last looked at.
    carved: Cell<u16>,
}

impl Batch {
    const fn new() -> Self {
        Self {
            key: Cell::new(EMPTY),
            head: Cell::new(ptr::null_mut()),
            tail: Cell::new(ptr::null_mut()),
            count: Cell::new(0),
            carved: Cell::new(0),
        }
    }

    /// Takes a block in behind others. Returns how many there are then.
    ///
    /// # Safety
    ///
    /// The caller gives us the block: it is free, on no list, and the span's of `key`.
    #[inline(always)]
    unsafe fn take(&self, block: NonNull<Block>) -> u16 {
        // SAFETY: the caller gives us the block.
        unsafe { block::set_next(block, self.head.get()) };
        compiler_barrier();
        self.head.set(block.as_ptr());
        let count = self.count.get().wrapping_add(1);
        self.count.set(count);
        count
    }
}

/// A heap's batches.
#[derive(Debug)]
pub(super) struct Ring {
    batches: [Batch; BATCHES],
    busy: Cell<bool>,
    /// When all were last sent home, in the clock's milliseconds.
    pub(super) since: Cell<u32>,
}

impl Ring {
    pub(super) const fn new() -> Self {
        Self {
            batches: [const { Batch::new() }; BATCHES],
            busy: Cell::new(false),
            since: Cell::new(0),
        }
    }

    /// The only batch that can have blocks of the span that starts at `base`.
    #[inline(always)]
    fn of(&self, base: usize) -> Option<&Batch> {
        // Fibonacci hashing: the upper bits of the product depend on all below.
        let mixed = ((base >> crate::units::SLICE_SHIFT) as u32).wrapping_mul(0x9E37_79B9);
        self.batches.get((mixed >> (u32::BITS - BATCHES.ilog2())) as usize)
    }

    /// Bytes that are held back.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let of = |batch: &Batch| match batch.key.get() {
            EMPTY => 0,
            key => usize::from(batch.count.get()) * SizeClass::from_index(key & 0xFF).size(),
        };
        self.batches.iter().map(of).sum()
    }

    /// True while somebody is in here.
    #[cfg(test)]
    pub(super) fn is_busy(&self) -> bool {
        self.busy.get()
    }

    /// Somebody is in here: what a handler meets.
    #[cfg(test)]
    pub(super) fn seize(&self) {
        self.busy.set(true);
    }

    /// Nobody is in here: for the child of a fork, which has lost whoever was.
    pub(super) fn release(&self) {
        self.busy.set(false);
    }

    /// Sets right what a fork may have caught half done (`count_again`).
    ///
    /// # Safety
    ///
    /// The heap has no thread and is in the caller's hands (P1).
    pub(super) unsafe fn count_again(&self) {
        for batch in &self.batches {
            // SAFETY: the batches are the caller's now.
            let count = unsafe { super::walk::length(batch.head.get(), usize::from(u16::MAX)) };
            batch.count.set(count as u16);
            if count == 0 {
                batch.key.set(EMPTY);
            }
        }
    }
}

impl Heap {
    /// Takes a block of class `c` that the program frees, if a batch of its span is open.
    /// False where none is, where it is no block's start, or one that is free already: the
    /// slow way finds out.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread (P1), or the heap stands for none: its batches are
    /// empty for good. The program gives up what is at `block`.
    #[inline(always)]
    pub(crate) unsafe fn gather<O: Os>(
        &self,
        a: &Allocator<O>,
        c: usize,
        block: NonNull<Block>,
    ) -> bool {
        if c >= CLASSES || self.ring.busy.get() {
            return false;
        }
        let class = SizeClass::from_index(c);
        let address = block.as_ptr().addr();
        let base = class.span_base(address);
        let Some(batch) = self.ring.of(base) else { return false };
        if batch.key.get() != base | c {
            return false;
        }
        self.ring.busy.set(true);
        compiler_barrier();
        // A handler may have sent the batch home between the two looks (RG2).
        let is_block = batch.key.get() == base | c
            && class.divide().block_index(address - base) < u32::from(batch.carved.get());
        let has_mark = block::CHECKED && c != EIGHT;
        let secret = if has_mark { a.secret() } else { 0 };
        // SAFETY: a block starts here, and its span is there (RG1).
        if !is_block || (has_mark && unsafe { block::is_marked(block, secret) }) {
            self.ring.busy.set(false);
            return false;
        }
        if has_mark {
            // SAFETY: the program gives the block up.
            unsafe { block::mark(block, secret) };
        }
        // SAFETY: as above; the class and the range say that it is the span's.
        let count = unsafe { batch.take(block) };
        self.remote_frees.add(1);
        if count == class.batch() {
            // SAFETY: the caller is the heap's thread, for the batch is not empty.
            unsafe { self.send_full(a, batch) };
            return true;
        }
        compiler_barrier();
        self.ring.busy.set(false);
        self.tick(a);
        true
    }

    /// The end of a free that has filled a batch.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread (P1), and has set `busy`.
    #[cold]
    #[inline(never)]
    unsafe fn send_full<O: Os>(&self, a: &Allocator<O>, batch: &Batch) {
        // SAFETY: the batch is ours (P1).
        unsafe { self.send_batch(a, batch) };
        compiler_barrier();
        self.ring.busy.set(false);
        self.tick(a);
    }

    /// Puts a block of another heap into the ring, and opens a batch for its span.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread (P1); the block is the span's, free, and
    /// on no list.
    pub(super) unsafe fn put_into_ring<O: Os>(
        &self,
        a: &Allocator<O>,
        span: &Span,
        class: SizeClass,
        block: NonNull<Block>,
    ) {
        self.remote_frees.add(1);
        let base = span.base().addr();
        let (Some(batch), false) = (self.ring.of(base), self.ring.busy.get()) else {
            let mut run = List::EMPTY;
            // SAFETY: the caller gives us the block.
            unsafe { run.push(block) };
            self.account(a, -(class.size() as isize));
            // SAFETY: as above.
            unsafe { a.push_run(span, run) };
            return;
        };
        self.ring.busy.set(true);
        compiler_barrier();
        let key = base | class.index();
        if batch.key.get() != key {
            // SAFETY: the batch is ours (P1).
            unsafe { self.send_batch(a, batch) };
            batch.tail.set(block.as_ptr());
            batch.key.set(key);
            compiler_barrier();
        }
        batch.carved.set(span.carved());
        // SAFETY: the caller gives us the block, and it is the span's.
        if unsafe { batch.take(block) } == class.batch() {
            // SAFETY: the batch is ours (P1).
            unsafe { self.send_batch(a, batch) };
        }
        compiler_barrier();
        self.ring.busy.set(false);
        self.tick(a);
    }

    /// Sends every batch home.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread, or has adopted it (P1).
    pub(super) unsafe fn flush_ring<O: Os>(&self, a: &Allocator<O>) {
        if self.ring.busy.replace(true) {
            return;
        }
        compiler_barrier();
        for batch in &self.ring.batches {
            // SAFETY: the batches are ours (P1).
            unsafe { self.send_batch(a, batch) };
        }
        compiler_barrier();
        self.ring.busy.set(false);
    }

    /// Sends one batch home and leaves it empty. Until then its blocks count as live, as those
    /// on the front's lists do.
    ///
    /// # Safety
    ///
    /// The batch is the caller's (P1).
    unsafe fn send_batch<O: Os>(&self, a: &Allocator<O>, batch: &Batch) {
        let (head, tail) = (batch.head.replace(ptr::null_mut()), batch.tail.get());
        compiler_barrier();
        let list = List { head, tail, count: usize::from(batch.count.replace(0)) };
        let key = batch.key.replace(EMPTY);
        if list.count == 0 {
            return;
        }
        self.account(a, -((list.count * SizeClass::from_index(key & 0xFF).size()) as isize));
        let chunk = a.arena.chunk_at(key);
        if let Some(span) = chunk.map(|chunk| chunk.span_of(key)) {
            // SAFETY: the batch's blocks are the span's (RG1), free, on no other list.
            unsafe { a.push_run(span, list) };
        }
    }
}
