//! Slots: what a thread allocates and frees at the hardened level, and nothing else.
//!
//! ```text
//!   allocate: count, take from the magazine, look, canary, word
//!                 \-- none there, or more to do: the same with all that ([`Heap::alloc_slot`])
//!   free:     word, look at three sides, clear, quarantine
//!                 \-- anything unusual: the same with patience (`free_unusual`)
//! ```
//!
//! These are the fast paths of that level. Each calls nothing but what it ends with, so
//! that it needs no frame: what is rare is a function that does the rest, or all of it.
#![allow(unsafe_code)]

use super::Found;
use crate::harden::locker::{Locker, RowAt, Slot};
use crate::harden::slot::{SLACK_MAX, SlotWord};
use crate::harden::{Form, Given, Harden, Seen, canary};
use crate::heap::{Allocator, Heap};
use crate::os::Os;
use crate::size::{CLASSES, SizeClass};
use crate::span::Span;
use crate::sync::{AtomicU16, Ordering};
use core::ptr::NonNull;

impl Heap {
    /// An object of `form` in a slot of the row's class, for the heap's thread. `None`, and
    /// nothing done: [`Heap::alloc_slot`] may have one. `SHORT`: there is no more than
    /// [`SLACK_MAX`] of slack, as the caller knows.
    #[inline(always)]
    pub(crate) fn alloc_slot_fast<const SHORT: bool>(
        &self,
        row: RowAt,
        form: Form,
    ) -> Option<NonNull<u8>> {
        let locker = self.locker()?;
        if !SHORT && locker.size(row) - form.size > SLACK_MAX || !locker.enter() {
            return None;
        }
        let Some(slot) = locker.take_counted(row) else {
            locker.leave();
            return None;
        };
        let at = Harden::hand_out(locker.secret(), slot, locker.size(row), form);
        locker.leave();
        self.installed.add(1);
        Some(at)
    }

    /// As [`Heap::alloc_slot_fast`], when the magazine is empty or there is more to do
    /// than to allocate. `None` when there is no memory, or this is a handler above the
    /// locker.
    #[cold]
    #[inline(never)]
    pub(crate) fn alloc_slot<O: Os>(
        &self,
        a: &Allocator<O>,
        class: SizeClass,
        form: Form,
    ) -> Option<NonNull<u8>> {
        let locker = self.locker().filter(|locker| locker.enter())?;
        // Where the magazine is empty the rest is done as well: it is time soon.
        let (mut out, mut sample) = (0, None);
        let is_due = locker.is_due(class) || locker.is_empty(class);
        if is_due {
            let (passed, left) = locker.passed(class);
            if let Some(countdown) = self.countdowns.get(class.index()) {
                countdown.give_back(left);
            }
            out = passed * class.size();
            sample = self.arm(a, locker, class);
        }
        let at = a.harden.alloc(a.ground(), locker, class, form);
        if at.is_some() && sample.is_some() {
            locker.uncount(class);
        }
        locker.leave();
        if let (Some(at), Some(interval)) = (at, sample) {
            out += class.size();
            a.take_sample(class, at, form.size, interval, None);
        }
        self.account(a, out as isize);
        if at.is_some() {
            self.installed.add(1);
        }
        if is_due {
            self.tick(a);
        }
        at
    }

    /// Decides how many allocations of `class` pass until one has more to do. The
    /// interval of the sample that this one is, if it is one.
    fn arm<O: Os>(&self, a: &Allocator<O>, locker: &Locker, class: SizeClass) -> Option<u32> {
        let countdown = self.countdowns.get(class.index())?;
        let calls = Locker::calls(class);
        let passes = if countdown.pass(a.sampler.interval(), calls) {
            calls
        } else {
            countdown.cut(&a.sampler, class.size(), calls)
        };
        if passes == 0 {
            return Some(countdown.draw(&a.sampler, class.size()));
        }
        locker.arm(class, passes);
        None
    }

    /// Adds up what the locker's counts of calls know and the figures do not yet.
    pub(super) fn settle<O: Os>(&self, a: &Allocator<O>, locker: &Locker) {
        for c in 1..CLASSES {
            let class = SizeClass::from_index(c);
            let ((passed, left), freed) = (locker.passed(class), locker.freed(class));
            if let Some(countdown) = self.countdowns.get(c) {
                countdown.give_back(left);
            }
            self.account(a, (passed as isize - freed as isize) * class.size() as isize);
        }
        a.live.shift(self.drift.replace(0));
    }
}

impl<O: Os> Allocator<O> {
    /// Frees an object, after looking at it from all sides.
    ///
    /// # Safety
    ///
    /// `heap` is the calling thread's, if any; the program gives the object up.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn free_hard(&self, heap: Option<&Heap>, at: NonNull<u8>, given: Given) {
        let Some((span, class, _)) = self.slot_at(at) else {
            return self.free_hard_other(at, given);
        };
        let seen = self.harden.look(span, class, at, given);
        if at.as_ptr() == span.base() {
            self.check_before(at.addr().get(), class.size());
        }
        self.give_up(heap, (span, class), seen, at);
    }

    /// As [`Allocator::free_in_hand`], for an object that takes long to clear: a function
    /// of its own, for what it has to keep in mind while that is done.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::free_in_hand`].
    #[cold]
    #[inline(never)]
    unsafe fn free_long(&self, heap: &Heap, entry: u32, at: NonNull<u8>, given: Given) {
        // SAFETY: the caller's promise.
        unsafe { self.free_in_hand::<true>(heap, entry, at, given) };
    }

    /// As [`Allocator::free_hard`], for a thread with a heap and its locker. `entry` is what
    /// the map says of `at`.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::free_hard`], and the heap has its locker.
    #[inline(always)]
    pub(crate) unsafe fn free_in_hand<const LONG: bool>(
        &self,
        heap: &Heap,
        entry: u32,
        at: NonNull<u8>,
        given: Given,
    ) {
        let place = match self.harden.place::<LONG>(entry, at) {
            Some(place) => place,
            // SAFETY: the caller's promise.
            None if !LONG => return unsafe { self.free_long(heap, entry, at, given) },
            // SAFETY: as above.
            None => return unsafe { self.free_hard(Some(heap), at, given) },
        };
        // ORDERING: AcqRel: one freer finds it OUT, behind the writes of the holder. What
        // was not OUT and is HELD from here on is nobody's business: the process ends.
        let said = SlotWord(place.word.swap(SlotWord::HELD.0, Ordering::AcqRel));
        if !self.harden.is_well(at, place, said, given) {
            return self.free_unusual(heap, at, said, given);
        }
        if LONG {
            // SAFETY: the slot is ours (K2): the program has given it up.
            unsafe { canary::clear(at.as_ptr(), place.size()) };
        } else {
            // SAFETY: as above.
            unsafe { canary::clear_short(at.as_ptr(), place.size()) };
        }
        // SAFETY: the caller's heap has a locker.
        let locker = unsafe { heap.locker().unwrap_unchecked() };
        self.keep(heap, locker, place.row(), Slot::new(at, place.word, false));
    }

    /// Puts a slot that was taken back, and is zeros, into quarantine in the heap's `locker`.
    #[inline(always)]
    pub(super) fn keep(&self, heap: &Heap, locker: &Locker, row: RowAt, slot: Slot) {
        if !locker.enter() {
            self.put_elsewhere(slot, row);
        } else if locker.retain(row, slot) {
            locker.leave();
        } else {
            self.see_to(heap, locker, row);
        }
    }

    /// As [`Allocator::keep`], for a slot that is not zeros yet, and may be a private
    /// heap's.
    fn keep_any(&self, heap: Option<&Heap>, (span, class): (&Span, SizeClass), slot: Slot) {
        // SAFETY: the slot is ours (K2): the program has given it up.
        unsafe { canary::clear(slot.at().as_ptr(), class.size()) };
        if span.heap().is_null()
            && let Some(heap) = heap
            && let Some(locker) = heap.locker()
        {
            return self.keep(heap, locker, RowAt::of(class), slot);
        }
        self.put_elsewhere(slot, RowAt::of(class));
    }

    /// The end of an object that was looked at.
    #[inline]
    pub(super) fn give_up(
        &self,
        heap: Option<&Heap>,
        (span, class): (&Span, SizeClass),
        seen: Seen<'_>,
        at: NonNull<u8>,
    ) {
        let (slot, was_sample) = self.harden.take_back(seen, class, at);
        if was_sample {
            self.sampler.freed(&self.arena.kernel, at.addr().get());
        }
        self.keep_any(heap, (span, class), slot);
    }

    /// The span, the class and the table of the slot that `at` is in, if it is one. At the
    /// hardened levels only a span of slots has a class and a table.
    #[inline(always)]
    pub(super) fn slot_at(&self, at: NonNull<u8>) -> Option<(&Span, SizeClass, NonNull<AtomicU16>)> {
        let span = self.arena.chunk_at(at.addr().get())?.span_of(at.addr().get());
        Some((span, span.class()?, NonNull::new(span.table())?))
    }

    /// What is to be done now and then at a free. The locker has been entered.
    #[cold]
    #[inline(never)]
    fn see_to(&self, heap: &Heap, locker: &Locker, row: RowAt) {
        let class = row.class();
        let (taken, freed, full) = self.harden.see_to(self.ground(), locker, class);
        locker.leave();
        heap.account(self, (taken as isize - freed as isize) * class.size() as isize);
        if full {
            heap.tick(self);
        }
    }

    /// The rest of a free that is not plain: of a sample, of an object in a slot that is
    /// much too long, under another's eyes; or a mistake. The slot was taken back, and
    /// its word `said` this.
    #[cold]
    #[inline(never)]
    fn free_unusual(&self, heap: &Heap, at: NonNull<u8>, said: SlotWord, given: Given) {
        let address = at.addr().get();
        let Found::Slot(span, class) = self.find_hard(address) else { return };
        let slot = self.harden.examine(span, class, at, said, given);
        if at.as_ptr() == span.base() {
            self.check_before(address, class.size());
        }
        if said.is_sample() {
            self.sampler.freed(&self.arena.kernel, address);
        }
        self.keep_any(Some(heap), (span, class), slot);
    }

    /// Puts a slot that was freed where its heap wants it, or back onto the shelf.
    #[cold]
    #[inline(never)]
    fn put_elsewhere(&self, slot: Slot, row: RowAt) {
        let class = row.class();
        let Some((span, ..)) = self.slot_at(slot.at()) else { return };
        self.live.sub(class.size());
        let Some(owner) = self.private_owner(span.heap()) else {
            self.harden.return_now(self.ground(), class, slot);
            return;
        };
        // Under a handler above the lock's holder the slot stays HELD, until the heap is
        // destroyed.
        if let Some(_guard) = owner.lock.lock()
            && let Some(locker) = owner.locker()
            && !locker.retain(row, slot)
        {
            self.harden.see_to(self.ground(), locker, class);
        }
    }
}
