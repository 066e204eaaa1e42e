//! Heaps at the hardened levels: which locker an object comes from and goes to.
//!
//! A thread's locker hangs on its heap, like its front lists, and is adopted
//! and drained with it. A private heap has a locker of its own, with shelves of
//! its own, under its lock; so nothing of it is anywhere else when it is
//! destroyed. A thread that has no heap, and a handler above its thread's own
//! locker, allocate from a common heap and free straight to the shelf.
//!
//! The four operations of the default level have their twins here: allocate,
//! free, resize (`hard/resize.rs`), how many bytes. Each begins with what the map knows
//! of the address. What a thread does with slots of its own locker, which is nearly
//! all, is in `hard/slots.rs`: there they are counted and sampled. Here are the slots of
//! private heaps, and what is no slot: large, huge, guarded objects, and those of no bytes.
#![allow(unsafe_code)]

mod resize;
mod slots;

use super::{Allocator, Heap, Use};
use crate::arena::Chunk;
use crate::fatal::{self, Misuse};
use crate::harden::locker::Locker;
use crate::harden::shelf::{BEFORE, Ground};
use crate::harden::slot::{self, Family, Make};
use crate::harden::{Form, GUARDS, Given, HARD, canary, look_at_all, runs};
use crate::huge::Huge;
use crate::map::{Kind, Record};
use crate::nothing::Freed;
use crate::os::Os;
use crate::size::SizeClass;
use crate::span::Span;
use crate::span::word::{Remote, State, Word};
use crate::sync::{Lock, Ordering};
use crate::units::{CHUNK, LARGE_MAX, SLICE, SLICES_PER_CHUNK, slices_for};
use core::ptr::{self, NonNull};

/// Where an address leads to.
enum Found<'a> {
    Slot(&'a Span, SizeClass),
    Run(&'a Span),
    Huge(&'a Huge),
    Nothing,
    Guarded(NonNull<Record>),
}

impl Heap {
    /// The locker, at the hardened levels.
    #[inline(always)]
    pub(crate) fn locker(&self) -> Option<&Locker> {
        // SAFETY: null, or a locker, which is never unmapped.
        unsafe { self.locker.get().as_ref() }
    }

    /// Looks at what waits in this heap's locker, unless that was left half done.
    pub(crate) fn look_at_quarantine(&self) {
        if let Some(locker) = self.locker()
            && !self.lost.get()
            && locker.enter()
        {
            look_at_all(locker);
            locker.leave();
        }
    }
}

impl<O: Os> Allocator<O> {
    pub(super) fn ground(&self) -> Ground<'_, O> {
        Ground { arena: &self.arena, huge: &self.huge, guards: &self.harden.guards }
    }

    /// Gives a heap its locker, at the hardened levels. False: no memory for one.
    pub(super) fn equip(&self, heap: &Heap) -> bool {
        if !self.harden.is_on() || heap.locker().is_some() {
            return true;
        }
        match self.harden.make_locker(self.ground(), heap.owner_field()) {
            Some(locker) => {
                heap.locker.set(locker);
                true
            }
            None => false,
        }
    }

    /// An object for `layout`-like demands, and whether it reads as zeros.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::allocate`].
    pub(crate) unsafe fn allocate_hard(
        &self,
        heap: Option<&Heap>,
        size: usize,
        align: usize,
        family: Family,
    ) -> Option<(NonNull<u8>, bool)> {
        if size > isize::MAX as usize - align.min(isize::MAX as usize) {
            return None;
        }
        if SizeClass::of_layout(size, align) == Some(SizeClass::ZERO) {
            if let Some(at) = self.nothing.alloc(&self.arena) {
                return Some((at, true));
            }
            // SAFETY: the caller's promise.
            return unsafe { self.allocate_hard(heap, 1, align, family) };
        }
        if let Some(class) = slot::class_for(size, align) {
            // SAFETY: the caller's promise.
            let at = unsafe { self.slot_hard(heap, class, Form::new(size, align, family)) }?;
            return Some((at, true));
        }
        let owner = heap.filter(|heap| heap.is_private());
        if size <= LARGE_MAX
            && slices_for(align) <= 32
            && let Some(at) = self.run_hard(heap, owner, size, align, family)
        {
            return Some((at, true));
        }
        let fresh = self.huge_object(owner, size, align, 0)?;
        self.seal_huge(fresh.at, size, Make::new(family, align));
        Some((fresh.at, fresh.zeroed))
    }

    /// # Safety
    ///
    /// As for [`Allocator::allocate`].
    unsafe fn slot_hard(
        &self,
        heap: Option<&Heap>,
        class: SizeClass,
        form: Form,
    ) -> Option<NonNull<u8>> {
        let heap = match heap {
            Some(heap) if heap.is_private() => heap,
            Some(heap) => match heap.alloc_slot(self, class, form) {
                Some(at) => return Some(at),
                None => self.any_common()?,
            },
            None => self.any_common()?,
        };
        let _guard = heap.lock.lock()?;
        let locker = heap.locker()?;
        let at = self.harden.alloc(self.ground(), locker, class, form)?;
        locker.uncount(class);
        if let Some(interval) = heap.due(self, class) {
            let owner = (!heap.is_common()).then_some(heap);
            self.take_sample(class, at, form.size, interval, owner);
        }
        self.others.add(1);
        self.live.add(class.size());
        Some(at)
    }

    /// A large object.
    fn run_hard(
        &self,
        heap: Option<&Heap>,
        owner: Option<&Heap>,
        size: usize,
        align: usize,
        family: Family,
    ) -> Option<NonNull<u8>> {
        let nowhere = core::cell::Cell::new(ptr::null());
        let home = heap.filter(|heap| !heap.is_private()).map_or(&nowhere, Heap::large_home);
        let asked_align = align;
        let align = slices_for(align).max(1).next_power_of_two();
        let count = slices_for(runs::bytes_for(size));
        // On small pages, where a guard can stand behind it, and its canary costs no huge page.
        let slices = self.ground().slices(home, count, align, false).or_else(|| {
            self.harden.release(self.ground());
            self.ground().slices(home, count, align, false)
        })?;
        let at = self.base_of(&slices);
        let span = self.span_of(&slices);
        self.tie(&slices);
        // SAFETY: the slices are ours, and read as zeros (V4 of the shelves).
        if !slices.clean && !unsafe { canary::is_zero_long(at.as_ptr(), count * SLICE) } {
            fatal::misuse(Misuse::UseAfterFree, at.addr().get(), count * SLICE);
        }
        let field = owner.map_or(ptr::null_mut(), |owner| ptr::from_ref(owner).cast_mut().cast());
        span.begin_large(at, count, field);
        span.set_carved(Make::new(family, asked_align).0);
        // SAFETY: the run is ours, and a byte longer than asked for at least.
        unsafe { runs::seal(self.ground(), span, size, self.harden.secret()) };
        span.word.store(Word::new(State::Large, 0, Remote::NONE));
        if let Some(owner) = owner
            && !owner.keep_large(span)
        {
            span.word.store(Word::new(State::Free, 0, Remote::NONE));
            self.harden.runs.retain(self.ground(), span);
            return None;
        }
        self.sample_large(span, owner, size);
        self.others.add(1);
        self.live.add(count * SLICE);
        self.herald();
        Some(at)
    }

    /// Notes what was asked for of a huge object, and writes its canary.
    fn seal_huge(&self, at: NonNull<u8>, size: usize, make: Make) {
        let Some(huge) = self.huge.find(&self.arena, at.addr().get()) else { return };
        huge.asked.set(size);
        huge.made.set(make.0);
        let end = page_end(huge, size);
        let pattern = canary::pattern(self.harden.secret(), at.addr().get());
        if size < end {
            // SAFETY: the object is ours, and its pages are whole.
            unsafe { canary::write(at.as_ptr(), size, end, pattern) };
        }
    }

    /// Ends the process if the canary of a huge object is not whole, or if it is not what
    /// is known of it.
    fn check_huge(&self, huge: &Huge, given: Option<Given>) {
        let (base, size) = (huge.base(), huge.asked.get());
        let end = page_end(huge, size);
        let pattern = canary::pattern(self.harden.secret(), base.addr());
        // SAFETY: the object is live.
        if size < end && !unsafe { canary::holds(base, size, end, pattern) } {
            fatal::misuse(Misuse::Overflow, base.addr(), huge.len());
        }
        if let Some(given) = given {
            self.harden.judge(Make(huge.made.get()), size, given, base.addr(), huge.len());
        }
    }

    /// Ends the process when the last bytes before `address`, where a slice begins, have
    /// been written to. What is there may be another's: then only as far as he cannot
    /// take it away meanwhile.
    fn check_before(&self, address: usize, size: usize) {
        // The end of another chunk, which may be inaccessible.
        if address.is_multiple_of(CHUNK) {
            return;
        }
        let Some(chunk) = self.arena.chunk_at(address) else { return };
        let index = (address / SLICE) % SLICES_PER_CHUNK - 1;
        let free = self.arena.visit_slice(chunk, index as u32, |slice| {
            let last = slice.as_ptr().wrapping_add(SLICE - BEFORE);
            // SAFETY: the visitor holds the slice, and all free ones read as zeros (V4 of
            // the shelves).
            unsafe { canary::is_zero(last, BEFORE) }
        });
        let well = free.unwrap_or_else(|| {
            let span = chunk.span_of(address - 1);
            match (span.word.load().state(), span.class()) {
                (State::Hard, Some(class)) if span.heap().is_null() => {
                    self.harden.ends_well(span, class)
                }
                // A large object's end is looked at when it is freed itself.
                _ => true,
            }
        });
        if !well {
            fatal::misuse(Misuse::Underflow, address, size);
        }
    }

    /// As [`Allocator::check_huge`], for a large object.
    fn check_run(&self, span: &Span, given: Option<Given>) {
        runs::check(span, self.harden.secret());
        self.check_before(span.base().addr(), span.block_size());
        if let Some(given) = given {
            let (address, held) = (span.base().addr(), span.block_size());
            self.harden.judge(Make(span.carved()), span.below(), given, address, held);
        }
    }

    /// What stands at `address`; or the end of the process.
    #[inline]
    fn find_hard(&self, address: usize) -> Found<'_> {
        let Some(record) = self.arena.map.record(address) else { self.not_ours(address) };
        // SAFETY: records are never unmapped (M4).
        match unsafe { record.as_ref() }.kind {
            Kind::Chunk => {
                // SAFETY: the kind says that the record is a chunk's, never unmapped (M4).
                let chunk: &Chunk = unsafe { record.cast::<Chunk>().as_ref() };
                let span = chunk.span_of(address);
                match (span.word.load().state(), span.class()) {
                    (State::Hard, Some(class)) => Found::Slot(span, class),
                    (State::Large, _) => {
                        if span.base().addr() != address {
                            fatal::misuse(Misuse::InvalidFree, address, span.block_size());
                        }
                        Found::Run(span)
                    }
                    _ => self.free_of_free(span, address),
                }
            }
            Kind::Huge => match self.huge.find(&self.arena, address) {
                Some(huge) if huge.is_live() => Found::Huge(huge),
                Some(huge) => fatal::misuse(Misuse::DoubleFree, address, huge.len()),
                None => fatal::misuse(Misuse::InvalidFree, address, 0),
            },
            Kind::Nothing => Found::Nothing,
            Kind::Guarded => Found::Guarded(record),
        }
    }

    /// The rest of [`Allocator::free_hard`]: what is no slot.
    #[cold]
    #[inline(never)]
    fn free_hard_other(&self, at: NonNull<u8>, given: Given) {
        let address = at.addr().get();
        match self.find_hard(address) {
            // `free_hard` has taken these.
            Found::Slot(_, class) => fatal::misuse(Misuse::DoubleFree, address, class.size()),
            Found::Run(span) => {
                self.check_run(span, Some(given));
                if self.take_back_large(span) {
                    self.harden.runs.retain(self.ground(), span);
                    self.upkeep_soon();
                }
            }
            Found::Huge(huge) => {
                self.check_huge(huge, Some(given));
                self.free_huge(address);
            }
            Found::Guarded(record) => self.free_guarded(record, address, Some(given)),
            Found::Nothing => {
                if given.size().is_some_and(|size| size != 0) {
                    fatal::misuse(Misuse::WrongSize, address, 0);
                }
                match self.nothing.free(address) {
                    Freed::Done => {}
                    Freed::Twice => fatal::misuse(Misuse::DoubleFree, address, 0),
                    Freed::NoObject => fatal::misuse(Misuse::InvalidFree, address, 0),
                }
            }
        }
    }

    /// Bytes that were asked for of the object at `address`, after a look at it.
    pub(crate) fn usable_hard(&self, address: usize) -> usize {
        self.look_at(address, None)
    }

    /// As [`Allocator::usable_hard`], and what is known of the object must be so.
    fn look_at(&self, address: usize, given: Option<Given>) -> usize {
        match self.find_hard(address) {
            Found::Slot(span, class) => self.harden.inspect(span, class, address, given).size,
            Found::Run(span) => {
                self.check_run(span, given);
                span.below()
            }
            Found::Huge(huge) => {
                self.check_huge(huge, given);
                huge.asked.get()
            }
            Found::Guarded(record) => self.usable_guarded(record, address),
            Found::Nothing => 0,
        }
    }

    /// As [`Allocator::check_size`].
    pub(crate) fn check_size_hard(&self, address: usize, size: usize, align: usize) {
        let (had, block) = match self.find_hard(address) {
            Found::Slot(span, class) => {
                let seen = self.harden.inspect(span, class, address, None);
                if seen.size == size && seen.align() != align {
                    fatal::misuse(Misuse::WrongAlignment, address, class.size());
                }
                (seen.size, class.size())
            }
            Found::Run(span) => (span.below(), span.block_size()),
            Found::Huge(huge) => (huge.asked.get(), huge.len()),
            Found::Guarded(record) => {
                let asked = self.usable_guarded(record, address);
                (asked, asked)
            }
            Found::Nothing => (0, 0),
        };
        if had != size {
            fatal::misuse(Misuse::WrongSize, address, block);
        }
    }

    /// A guarded object, when it is time for one. `heap` is the calling thread's.
    pub(crate) fn guard(
        &self,
        heap: Option<&Heap>,
        size: usize,
        align: usize,
        family: Family,
    ) -> Option<NonNull<u8>> {
        if !heap.map_or_else(|| self.guarded.is_homeless_turn(), |heap| self.is_guard_turn(heap)) {
            return None;
        }
        let secret = self.harden.secret();
        let at = self.guarded.alloc(&self.arena, size, align, family, secret)?;
        self.others.add(1);
        self.live.add(size);
        Some(at)
    }

    /// True when the next object of `heap`'s thread is to be guarded.
    fn is_guard_turn(&self, heap: &Heap) -> bool {
        let mut left = heap.guard_in.get();
        if left == 0 {
            let dice = heap.guard_dice.get() ^ self.harden.secret() as u32 ^ heap.key.get();
            heap.guard_dice.set(dice.wrapping_mul(0x2C92_77B5).wrapping_add(0xAC56_4B05));
            left = self.guarded.interval(heap.guard_dice.get());
        }
        heap.guard_in.set(left - 1);
        left == 1
    }

    /// Frees a guarded object. `given` is what the free knows of it, at the hardened
    /// levels.
    #[cold]
    pub(super) fn free_guarded(
        &self,
        record: NonNull<Record>,
        address: usize,
        given: Option<Given>,
    ) {
        let family = self.guarded.family(record, address);
        let asked = self.usable_guarded(record, address);
        if let (Some(made), Some(given)) = (family, given)
            && made != given.of()
        {
            self.harden.families(made, given.of(), address, asked);
        }
        let size = given.and_then(Given::size);
        match self.guarded.free(&self.arena, record, address, size, self.harden.secret()) {
            Ok(()) => self.live.sub(asked),
            Err((what, asked)) => fatal::misuse(what, address, asked),
        }
    }

    /// Bytes that were asked for of a guarded object, after a look at it.
    pub(super) fn usable_guarded(&self, record: NonNull<Record>, address: usize) -> usize {
        match self.guarded.usable(record, address, self.harden.secret()) {
            Ok(asked) => asked,
            Err((what, asked)) => fatal::misuse(what, address, asked),
        }
    }

    /// Looks at all free memory, and at the paranoid level at every object too, at the
    /// end of the process: what nobody uses again is never looked at otherwise.
    pub(crate) fn sweep(&self) {
        if self.harden.mode() & HARD == 0 {
            return;
        }
        let slots = |span: &&Span| span.word.load().state() == State::Hard && span.back() == 0;
        let spans = || self.arena.chunks().flat_map(|chunk| chunk.spans()).filter(slots);
        self.harden.look_at_free(spans());
        self.arena.visit_spare(|at, len| {
            // SAFETY: the visitor holds the slices, which read as zeros (V4 of the shelves).
            if !unsafe { canary::is_zero_long(at.as_ptr(), len) } {
                fatal::misuse(Misuse::UseAfterFree, at.addr().get(), len);
            }
        });
        for heap in self.heaps() {
            // ORDERING: Relaxed, a hint that saves taking the lock.
            if heap.in_use.load(Ordering::Relaxed) == Use::Orphan as u32 {
                // Nobody adopts it meanwhile.
                let Some(_guard) = self.idle_lock.lock() else { return };
                // ORDERING: Relaxed on both, the idle lock orders the hand-over.
                if heap.in_use.load(Ordering::Relaxed) == Use::Orphan as u32 {
                    heap.look_at_quarantine();
                }
            }
        }
        if self.harden.mode() & GUARDS == 0 {
            return;
        }
        if let Err((what, address, asked)) = self.guarded.sweep(self.harden.secret()) {
            fatal::misuse(what, address, asked);
        }
        for span in spans() {
            self.harden.sweep(span);
        }
    }

    /// All locks of the allocator but the heaps', outermost first, for `fork`.
    pub(super) fn hard_locks(&self) -> impl DoubleEndedIterator<Item = &Lock> {
        self.harden.locks().chain([self.guarded.lock()]).chain(self.locks())
    }

    /// Sends home what a heap without a thread holds, or the caller's own.
    pub(super) fn drain_hard(&self, heap: &Heap) {
        if let Some(locker) = heap.locker()
            && locker.enter()
        {
            self.harden.drain(self.ground(), locker);
            heap.settle(self, locker);
            locker.leave();
        }
    }

    /// As [`Allocator::drain_hard`], for a heap whose thread was lost in a fork.
    pub(super) fn drain_lost(&self, heap: &Heap) {
        if let Some(locker) = heap.locker() {
            self.harden.drain_lost(self.ground(), locker);
            heap.settle(self, locker);
        }
    }

    /// Gives back what a private heap keeps in its locker, and its empty spans, under
    /// its lock.
    pub(super) fn release_own_hard(&self, heap: &Heap) {
        if let Some(locker) = heap.locker() {
            self.harden.drain(self.ground(), locker);
            self.harden.release_own(self.ground(), locker);
        }
    }

    /// Gives back everything of a private heap that is being destroyed, under its
    /// lock. Returns the bytes that were out.
    pub(super) fn destroy_hard(&self, heap: &Heap) -> usize {
        let Some(locker) = heap.locker() else { return 0 };
        self.harden.drain(self.ground(), locker);
        if let Some(shelves) = locker.shelves() {
            shelves.forget();
        }
        let field = heap.owner_field();
        let mut bytes = 0;
        for span in self.arena.chunks().flat_map(|chunk| chunk.spans()) {
            if span.word.load().state() == State::Hard && span.back() == 0 && span.heap() == field {
                bytes += self.harden.wipe_out(self.ground(), span);
            }
        }
        let mut at = heap.large.replace(ptr::null());
        // SAFETY: null, or a large object of this heap's.
        while let Some(span) = unsafe { at.as_ref() } {
            at = span.next();
            bytes += span.block_size();
            span.set_heap(ptr::null_mut());
            span.word.store(Word::new(State::Free, 0, Remote::NONE));
            self.harden.runs.retain(self.ground(), span);
        }
        bytes
    }
}

/// Where the 4 KiB end that the last of `size` bytes of a huge object lies in.
fn page_end(huge: &Huge, size: usize) -> usize {
    size.next_multiple_of(4096).min(huge.len())
}

#[cfg(test)]
mod tests;
