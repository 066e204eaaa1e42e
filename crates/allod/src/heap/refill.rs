//! Where blocks come from when the front is dry.
//!
//! In this order, cheapest first: the blocks this thread has freed itself; the
//! span in use (its own free blocks, what strangers freed into it, what has
//! not been carved yet); another span of the heap; the depot; fresh slices,
//! dirty ones first. Each step is tried only when all before it had nothing. And
//! before slices are taken that nobody has used, a *sweep* sends home what the front
//! holds of other classes: their empty spans may be enough.
//!
//! The lists that are installed have a known length. That is the place for
//! sampling: a list cut short at the k-th block makes the front run dry just
//! when the sampled object is due, and nothing on the fast path counts
//! (`sampled.rs`).
#![allow(unsafe_code)]

use super::{Allocator, Heap};
use crate::arena::Slices;
use crate::block::{self, Block};
use crate::fatal::{self, Misuse};
use crate::os::Os;
use crate::size::{CLASSES, SizeClass};
use crate::span::{Span, link, unlink};
use crate::span::word::{Remote, State, Word};
use crate::sync::Ordering;
use crate::units::{CHUNK, SLICE, SLICE_SHIFT, SLICES_PER_CHUNK};
use core::ptr::NonNull;

/// What a slow path counts for towards the next look at the clock. A swap counts for
/// its blocks: with one live object each allocation is a swap.
const TICK: u32 = 64;
/// A look is due when a multiple of two to this is passed: after 64 slow paths.
const LOOK: u32 = 12;
/// The same while much memory is free: after 8.
const LOOK_QUIET: u32 = 9;
/// What is much: bytes.
const MUCH: usize = 1 << 20;
/// Slices of a class that its heap has filled when it *fills*, and takes of huge pages. A
/// process with forty classes in use has a span of each, and most of them stay half empty.
const FILLED: usize = 8;
/// Bytes of slices in use below which nothing is swept together: a small process would pay for it
/// with time, and with double frees that are not seen because the span is another class's.
const LITTLE: usize = 2 << 20;
/// A round of all classes that has found nothing is not gone again before the process has
/// grown by one part in so many.
const GROWN: usize = 16;
/// Milliseconds after which a busy thread's batches go home, full or not.
const RING_AGE: u32 = 10;

impl Heap {
    /// A block of `class` for the owning thread, for `size` bytes. Null when the system has no
    /// more memory, or when this is a signal handler above a slow path.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread (P1).
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn refill<O: Os>(
        &self,
        a: &Allocator<O>,
        class: SizeClass,
        size: usize,
    ) -> *mut Block {
        // SAFETY: the caller is the heap's thread.
        let block = unsafe { self.swap(a, class) };
        if !block.is_null() {
            return block;
        }
        // SAFETY: as above.
        unsafe { self.refill_dry(a, class, size) }
    }

    /// As [`Heap::refill`], where a [`Heap::swap`] has just found nothing. What a signal handler
    /// has put onto the list since is served first: a list installed over it would lose it.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread (P1).
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn refill_dry<O: Os>(
        &self,
        a: &Allocator<O>,
        class: SizeClass,
        size: usize,
    ) -> *mut Block {
        let block = self.front.pop(class.index());
        if !block.is_null() {
            return block;
        }
        if !self.rest_of(class.index()).is_null() {
            // SAFETY: the caller is the heap's thread.
            let block = unsafe { self.serve(a, class, size) };
            self.tick_of_allocation(a, TICK);
            return block;
        }
        let Some(guard) = self.lock.lock() else { return core::ptr::null_mut() };
        self.visits.add(1);
        // SAFETY: the lock is held.
        let Some(span) = (unsafe { self.span_with_blocks(a, class) }) else {
            return core::ptr::null_mut();
        };
        // SAFETY: the span is ours and the lock is held (P2).
        let (list, count) = unsafe { span.take_free() };
        self.install(a, class, list, count);
        self.account(a, (count * class.size()) as isize);
        drop(guard);
        self.tick_of_allocation(a, TICK);
        let block = self.front.pop(class.index());
        if block.is_null() && !self.rest_of(class.index()).is_null() {
            // The very first one is due, or a look at the clock.
            // SAFETY: the caller is the heap's thread.
            return unsafe { self.serve(a, class, size) };
        }
        block
    }

    /// Makes what this thread has freed its list to allocate from, and takes a
    /// block. Null when it has freed nothing, and when a sample is due.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread (P1), or the heap is one of the two that
    /// stand for none and have nothing. The list to allocate from is dry: what was
    /// on it would be lost.
    #[inline]
    pub(crate) unsafe fn swap<O: Os>(&self, a: &Allocator<O>, class: SizeClass) -> *mut Block {
        let c = class.index();
        let (Some(free), Some(room)) = (self.front.free.get(c), self.front.room.get(c)) else {
            return core::ptr::null_mut();
        };
        let list = free.get();
        if list.is_null() || !self.rest_of(c).is_null() {
            return core::ptr::null_mut();
        }
        debug_assert!(self.front.alloc.get(c).is_some_and(|alloc| alloc.get().is_null()));
        let count = usize::from(class.room() - room.get());
        free.set(core::ptr::null_mut());
        room.set(class.room());
        let count = if block::CHECKED {
            // SAFETY: the list was the front's, and is ours alone now.
            unsafe { verify(a, class, list, count) }
        } else {
            count
        };
        self.install(a, class, list, count);
        let block = self.front.pop(c);
        self.tick_of_allocation(a, count as u32);
        block
    }

    /// Makes a list of `count` blocks the one to allocate from, up to the next sample.
    pub(super) fn install<O: Os>(
        &self,
        a: &Allocator<O>,
        class: SizeClass,
        list: *mut Block,
        count: usize,
    ) {
        let c = class.index();
        let (Some(alloc), Some(countdown), Some(listed)) =
            (self.front.alloc.get(c), self.countdowns.get(c), self.listed.get(c))
        else {
            return;
        };
        let mut passes = count;
        if !self.is_on_watch() && countdown.pass(a.sampler.interval(), count) {
            alloc.set(list);
        } else {
            passes = self.cut(a, class, list, count);
        }
        // ORDERING: Relaxed, a figure that this thread alone writes.
        listed.store(count as u16, Ordering::Relaxed);
        self.installed.add(passes);
    }

    /// A span of `class` with at least one block on its local list. It is the
    /// bin's current one afterwards.
    ///
    /// # Safety
    ///
    /// The lock is held.
    pub(super) unsafe fn span_with_blocks<'a, O: Os>(
        &self,
        a: &'a Allocator<O>,
        class: SizeClass,
    ) -> Option<&'a Span> {
        let key = self.key.get();
        let bin = self.bin(class);
        loop {
            // SAFETY: null, or a span of ours: records are never unmapped.
            if let Some(span) = unsafe { bin.current.get().as_ref() } {
                // SAFETY: a bin's spans are the heap's, and the lock is held (P2).
                let more = span.free_count() != 0 || unsafe { span.collect(key) };
                // SAFETY: as above; slices of a span are committed.
                if more || unsafe { span.carve(a.secret()) } {
                    return Some(span);
                }
                bin.current.set(core::ptr::null());
                a.filling.fill(class, span);
                // From here on a stranger may share the span or give it back.
                if span.word.fill(key) {
                    bin.filled.set(bin.filled.get().saturating_add(1));
                    if self.is_private() {
                        self.keep_full(span);
                    }
                } else {
                    bin.current.set(span);
                    continue;
                }
            }
            let next = match self.pop_listed(class) {
                Some(span) => span,
                None => match self.claim_shared(a, class) {
                    Some(span) => span,
                    None => self.fresh_span(a, class)?,
                },
            };
            bin.current.set(next);
        }
    }

    /// Takes a span of `class` out of the depot.
    fn claim_shared<'a, O: Os>(&self, a: &'a Allocator<O>, class: SizeClass) -> Option<&'a Span> {
        if self.is_private() {
            return None;
        }
        loop {
            let span = a.depot.take(&a.arena, class)?;
            // SAFETY: records of spans are never unmapped (M4).
            let span: &Span = unsafe { span.as_ref() };
            match span.word.claim(self.key.get()) {
                Some(remote) => {
                    // SAFETY: the claim made the span ours, and gave us the list.
                    unsafe { span.adopt(remote) };
                    // SAFETY: the claim made the span ours (M3).
                    unsafe {
                        a.arena.map.set_entries(span.base().addr(), span.slices(), self.entry(class))
                    };
                    return Some(span);
                }
                None => {
                    a.depot.unbury();
                    // SAFETY: the claim found the span empty and left it FREE, in our hands.
                    unsafe { a.retire(span) };
                }
            }
        }
    }

    /// Makes a span of `class`.
    fn fresh_span<'a, O: Os>(&self, a: &'a Allocator<O>, class: SizeClass) -> Option<&'a Span> {
        let filled = self.bin(class).filled.get() as usize * class.span_slices();
        // A thread alone shows by itself what it fills; perl would hold a fiftieth more.
        let together = || a.threads.get() > 1 && a.filling.may_open(class);
        let fills = filled >= FILLED || together();
        let count = class.span_slices();
        let [thin, dense] = &self.home;
        let home = if fills { dense } else { thin };
        let (spare, active) = (a.arena.spare.get(), a.arena.active.get());
        if spare < count * SLICE && active >= LITTLE && !self.is_private() {
            // SAFETY: the lock is held.
            unsafe { self.sweep(a, count) };
        }
        let slices = match a.take_slices(home, count, count, fills) {
            Some(slices) => slices,
            None => {
                // SAFETY: the lock is held.
                unsafe { self.release_empty(a) };
                a.take_slices(home, count, count, fills)?
            }
        };
        let span = a.span_of(&slices);
        a.tie(&slices);
        span.begin(a.base_of(&slices), class, self.owner_field());
        // SAFETY: records are never unmapped (A2).
        if unsafe { slices.chunk.as_ref() }.is_dense() {
            a.filling.open(class, span);
        }
        span.word.store(Word::new(State::Owned, self.key.get(), Remote::NONE));
        // SAFETY: the slices are ours (M3).
        unsafe { a.arena.map.set_entries(span.base().addr(), count, self.entry(class)) };
        Some(span)
    }

    /// Before `count` slices are taken that nobody has used: sends home what the front holds,
    /// class by class in turn, and gives back what is empty then, until there are as many.
    ///
    /// Blocks on the front's lists hold spans: of a batch of two thousand blocks that were all
    /// freed, twenty are kept, in up to nine spans, and the next batch is of another class. What is
    /// sent home is fetched again by those classes that are in use.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread (P1), and holds the lock.
    unsafe fn sweep<O: Os>(&self, a: &Allocator<O>, count: usize) {
        if let Some(wait) = self.sweep_in.get().checked_sub(count) {
            return self.sweep_in.set(wait);
        }
        for _ in 1..CLASSES {
            let c = self.swept.get() % (CLASSES - 1) + 1;
            self.swept.set(c);
            let class = SizeClass::from_index(c);
            // What comes before a sample that is due stays where it is (P6).
            if self.rest_of(c).is_null() {
                // SAFETY: the caller is the heap's thread, and holds the lock.
                unsafe { self.put_back(a, class, true) };
            }
            // SAFETY: the lock is held.
            unsafe { self.release_current(a, class) };
            if a.arena.spare.get() >= count * SLICE {
                return self.sweep_in.set(0);
            }
        }
        self.sweep_in.set(a.arena.active.get() / SLICE / GROWN);
    }

    /// Gives back the current span of a class if it is empty.
    ///
    /// # Safety
    ///
    /// The lock is held.
    unsafe fn release_current<O: Os>(&self, a: &Allocator<O>, class: SizeClass) {
        let bin = self.bin(class);
        // SAFETY: null, or a span of ours: records are never unmapped.
        let Some(span) = (unsafe { bin.current.get().as_ref() }) else { return };
        if span.is_empty() {
            bin.current.set(core::ptr::null());
            // SAFETY: the span is ours, on no list, and the lock is held.
            unsafe { self.release_if_empty(a, span) };
        }
    }

    /// Gives back the current spans that are empty.
    ///
    /// # Safety
    ///
    /// The lock is held.
    pub(super) unsafe fn release_empty<O: Os>(&self, a: &Allocator<O>) {
        if self.is_private() {
            self.take_returned(a);
        }
        for c in 1..CLASSES {
            // SAFETY: the lock is held.
            unsafe { self.release_current(a, SizeClass::from_index(c)) };
        }
    }

    /// Gives back the spans on the bins' lists that are empty.
    ///
    /// # Safety
    ///
    /// The lock is held.
    pub(super) unsafe fn release_listed<O: Os>(&self, a: &Allocator<O>) {
        for c in 1..CLASSES {
            let mut at = self.bin(SizeClass::from_index(c)).first.get();
            // SAFETY: null, or a span of ours: records are never unmapped.
            while let Some(span) = unsafe { at.as_ref() } {
                at = span.next();
                if span.is_empty() {
                    self.unlist(span);
                    // SAFETY: the span is ours, on no list, and the lock is held.
                    unsafe { self.release_if_empty(a, span) };
                }
            }
        }
    }

    /// Gives back a span that has all its blocks home, or keeps it.
    ///
    /// # Safety
    ///
    /// The lock is held; the span is the heap's, neither current nor listed.
    pub(super) unsafe fn release_if_empty<O: Os>(&self, a: &Allocator<O>, span: &Span) {
        let key = self.key.get();
        loop {
            // SAFETY: the span is ours and the lock is held (P2).
            unsafe { span.collect(key) };
            if span.free_count() != span.carved() {
                self.list(span);
                return;
            }
            if span.word.vacate(key) {
                // SAFETY: the span is FREE and in our hands.
                unsafe { a.retire(span) };
                return;
            }
        }
    }

    /// Puts a span with free blocks on its bin's list.
    pub(super) fn list(&self, span: &Span) {
        let Some(class) = span.class() else { return };
        let bin = self.bin(class);
        link(&bin.first, span);
        bin.count.set(bin.count.get() + 1);
        span.set_listed(true);
    }

    /// Takes a span off its bin's list.
    pub(super) fn unlist(&self, span: &Span) {
        let Some(class) = span.class() else { return };
        let bin = self.bin(class);
        unlink(&bin.first, span);
        bin.count.set(bin.count.get().saturating_sub(1));
        span.set_listed(false);
    }

    fn pop_listed(&self, class: SizeClass) -> Option<&'static Span> {
        // SAFETY: null, or a span of ours: records are never unmapped (M4).
        let span = unsafe { self.bin(class).first.get().as_ref() }?;
        self.unlist(span);
        Some(span)
    }

    /// Counts a slow path; every so often looks at the clock, and then does what
    /// is due: old batches go home, idle memory goes back, sleepers are visited.
    pub(super) fn tick<O: Os>(&self, a: &Allocator<O>) {
        self.tick_by(a, TICK);
    }

    /// As [`Heap::tick_by`], where an allocation came by: one that is on the watch looks.
    #[inline]
    fn tick_of_allocation<O: Os>(&self, a: &Allocator<O>, weight: u32) {
        if self.is_on_watch() {
            self.note_look();
            self.upkeep(a);
        } else {
            self.tick_by(a, weight);
        }
    }

    #[inline]
    pub(super) fn tick_by<O: Os>(&self, a: &Allocator<O>, weight: u32) {
        let before = self.ticks.get();
        let after = before.wrapping_add(weight);
        self.ticks.set(after);
        let passed = before ^ after;
        // A program that has become quiet has memory to give back and few slow paths.
        if passed >> LOOK_QUIET != 0 && (passed >> LOOK != 0 || a.arena.spare.get() >= MUCH) {
            self.upkeep(a);
        }
    }

    #[cold]
    fn upkeep<O: Os>(&self, a: &Allocator<O>) {
        // By the clock, not by the count: a thread that frees much for others would
        // send its batches home a third full (handoff, 2026-11-21), and all threads would
        // write to the line of the process's sum for a few bytes each.
        let now = a.arena.kernel.clock() as u32;
        if now.wrapping_sub(self.ring.since.get()) >= RING_AGE {
            self.ring.since.set(now);
            a.live.shift(self.drift.replace(0));
            // SAFETY: `tick` is called by the heap's thread alone (P1).
            unsafe { self.flush_ring(a) };
        }
        a.upkeep();
        // SAFETY: as above.
        unsafe { self.see_ebb(a, now) };
    }
}

/// Walks a front list that is about to be handed out, or to go home, and ends
/// the process at the first block that is none: an address inside a block, a
/// block freed twice, a list broken by a write to freed memory. Returns its
/// length. A list that is shorter than counted is no reason to end the process:
/// a handler that frees while its thread is in `free` may lose a block that way.
///
/// # Safety
///
/// The list is the caller's alone.
pub(super) unsafe fn verify<O: Os>(
    a: &Allocator<O>,
    class: SizeClass,
    list: *mut Block,
    count: usize,
) -> usize {
    let (reach, divide) = (class.span_slices() << SLICE_SHIFT, class.divide());
    let mut chunks = a.arena.walk();
    let (mut base, mut carved) = (usize::MAX, 0);
    let (mut at, mut seen) = (list, 0);
    while let Some(block) = NonNull::new(at) {
        let address = at.addr();
        if seen == count {
            fatal::misuse(Misuse::DoubleFree, address, class.size());
        }
        if address & !(reach - 1) != base {
            base = address & !(reach - 1);
            // The map said that the block is of this class, and it counts as out, so
            // its span is there still (P3, P4), and starts where its class says.
            carved = match chunks.chunk_at(base) {
                Some(chunk) => u32::from(chunk.span(base >> SLICE_SHIFT).carved()),
                None => fatal::misuse(Misuse::Corrupted, address, class.size()),
            };
        }
        if divide.block_index(address - base) >= carved {
            fatal::misuse(Misuse::InvalidFree, address, class.size());
        }
        seen += 1;
        // SAFETY: a block of ours that is free, as just checked.
        at = unsafe { block::next(block) };
    }
    seen
}

impl<O: Os> Allocator<O> {
    /// Slices, digging up buried spans before new memory is touched. `home` is
    /// where the caller last found some.
    pub(crate) fn take_slices(
        &self,
        home: &core::cell::Cell<*const crate::arena::Chunk>,
        count: usize,
        align: usize,
        fills: bool,
    ) -> Option<Slices> {
        // ORDERING: Relaxed, set before the child's first allocation by its only thread.
        if self.unrepaired.load(Ordering::Relaxed) != 0 {
            self.repair();
        }
        if self.depot.buried() != 0 && self.arena.spare.get() < count * SLICE {
            self.dig();
        }
        match self.arena.take(home, count, align, fills) {
            Some(slices) => {
                if slices.opened {
                    self.huge.give_up(&self.arena, CHUNK);
                }
                Some(slices)
            }
            None => {
                // The system refuses: give back what is kept, then ask once more.
                self.dig();
                self.huge.release_cached(&self.arena, usize::MAX);
                self.arena.trim(0);
                self.arena.take(home, count, align, fills)
            }
        }
    }

    /// The record of the span that starts at `slices`.
    pub(crate) fn span_of(&self, slices: &Slices) -> &Span {
        // SAFETY: records are never unmapped (A2).
        let chunk = unsafe { slices.chunk.as_ref() };
        chunk.span(slices.run.first() as usize)
    }

    /// Start of the memory of `slices`.
    pub(crate) fn base_of(&self, slices: &Slices) -> NonNull<u8> {
        // SAFETY: records are never unmapped (A2).
        let chunk = unsafe { slices.chunk.as_ref() };
        chunk.slice(slices.run.first())
    }

    /// Lets every slice of a run know its span's first one (S5).
    pub(crate) fn tie(&self, slices: &Slices) {
        // SAFETY: records are never unmapped (A2).
        let chunk = unsafe { slices.chunk.as_ref() };
        chunk.tie(slices.run);
    }

    /// Gives the slices of a span back to the arena.
    ///
    /// # Safety
    ///
    /// The span is FREE and in the caller's hands; no block of it is out.
    pub(crate) unsafe fn retire(&self, span: &Span) {
        let base = span.base().addr();
        let Some(chunk) = self.arena.chunk_at(base) else { return };
        let touched = match span.class() {
            Some(class) => {
                self.filling.close(class, span);
                (usize::from(span.carved()) * class.size()).div_ceil(SLICE)
            }
            None => span.slices(),
        };
        // SAFETY: the slices are ours (M3).
        unsafe { self.arena.map.set_entries(base, span.slices(), 0) };
        let first = ((base >> SLICE_SHIFT) % SLICES_PER_CHUNK) as u32;
        let run = crate::arena::bits::Run::new(first, span.slices() as u32);
        // SAFETY: the run is ours, and only its carved part was ever touched.
        unsafe { self.arena.give(chunk, run, touched as u32) };
    }

    /// Takes the buried spans out of the depot and gives their slices back.
    ///
    /// Costs a visit to each span in the depot; the memory it saves from being
    /// touched costs more.
    #[cold]
    pub(crate) fn dig(&self) {
        for c in 1..CLASSES {
            let class = SizeClass::from_index(c);
            // The spans that stay, chained by `next`, which the depot leaves to us.
            let mut kept: *mut Span = core::ptr::null_mut();
            while let Some(found) = self.depot.take(&self.arena, class) {
                // SAFETY: records of spans are never unmapped (M4).
                let span: &Span = unsafe { found.as_ref() };
                if span.word.load().state() == State::Buried {
                    // Nobody but the taker-out moves a buried span (W3).
                    if span.word.claim(0).is_none() {
                        self.depot.unbury();
                        // SAFETY: the claim left the span FREE, in our hands.
                        unsafe { self.retire(span) };
                    }
                } else {
                    span.set_next(kept);
                    kept = found.as_ptr();
                }
            }
            // SAFETY: null, or a span of the chain just made.
            while let Some(span) = unsafe { kept.as_ref() } {
                kept = span.next();
                self.depot.put(&self.arena, class, span);
            }
        }
    }

    /// True when something waits for the clock to be given back.
    pub(crate) fn has_to_give(&self) -> bool {
        let cached = self.huge.held.get() > self.huge.live.get();
        // ORDERING: Relaxed, a hint.
        let orphans = self.orphan_count.load(Ordering::Relaxed) != 0;
        cached || orphans || self.arena.spare.get() != 0
    }

    /// What is due by the clock: memory that nobody uses goes back, and what
    /// sleeping threads hold is shared.
    pub(crate) fn upkeep(&self) {
        let now = self.arena.kernel.clock();
        self.arena.decay(now);
        self.huge.decay(&self.arena, now);
        self.visit_idle(now);
        self.herald();
    }
}
