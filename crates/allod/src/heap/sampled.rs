//! Blocks and objects that are samples.
//!
//! A sampled block is not taken from its heap's lists: it comes from one private
//! heap of the process. That heap's spans have no entries in the map, so that every
//! free of such a block leaves the fast path by itself, and its span is *watched*:
//! the slow path asks the sampler about its blocks, and about no others
//! (docs/decisions/021). Blocks of other private heaps are taken where they are, for
//! they must go with their heap; every free of theirs takes the slow path anyway.
//! Large and huge objects are marked in their records.
//!
//! # A list that is cut
//!
//! ```text
//!   front: alloc -> o o o      rest -> o o o o
//!                        ^ dry here: a sample is due, then `rest` is installed
//! ```
//!
//! While `rest` is not null a sample is due (P6), and nothing else is installed. A heap
//! that is on the watch (`watch.rs`) has its lists cut in the same way, behind the first
//! block: what is due then is a look at the clock, unless the countdown says that a
//! sample is.
#![allow(unsafe_code)]

use super::{Allocator, Heap, Use};
use crate::block::{self, Block};
use crate::huge::Huge;
use crate::os::Os;
use crate::sample::{Object, Who};
use crate::size::SizeClass;
use crate::span::Span;
use crate::sync::{Ordering, compiler_barrier};
use core::ptr::{self, NonNull};

/// What a huge object was asked for is known to so many bytes.
const GRAIN: usize = 4 << 10;

impl Heap {
    /// What is kept aside of the list of class `c`: blocks behind a sample, or a look at
    /// the clock, that is due.
    #[inline]
    pub(super) fn rest_of(&self, c: usize) -> *mut Block {
        self.rest.get(c).map_or(ptr::null_mut(), |rest| rest.get())
    }

    /// Installs the first blocks of a list, up to the next sample or look at the clock, and
    /// keeps the others aside. Returns how many are installed.
    #[cold]
    #[inline(never)]
    pub(super) fn cut<O: Os>(
        &self,
        a: &Allocator<O>,
        class: SizeClass,
        list: *mut Block,
        count: usize,
    ) -> usize {
        let c = class.index();
        let (Some(alloc), Some(rest), Some(rest_count), Some(countdown)) = (
            self.front.alloc.get(c),
            self.rest.get(c),
            self.rest_count.get(c),
            self.countdowns.get(c),
        ) else {
            return 0;
        };
        let most = if self.is_on_watch() { 1 } else { usize::MAX };
        let passes = countdown.cut(&a.sampler, class.size(), count.min(most));
        if passes == count {
            alloc.set(list);
            return count;
        }
        let mut last = ptr::null_mut();
        let mut next = list;
        for _ in 0..passes {
            let Some(block) = NonNull::new(next) else { break };
            last = next;
            // SAFETY: a block of the list, which is ours.
            next = unsafe { block::next(block) };
        }
        if let Some(last) = NonNull::new(last) {
            // SAFETY: as above.
            unsafe { block::set_next(last, ptr::null_mut()) };
        }
        rest.set(next);
        rest_count.set((count - passes) as u16);
        alloc.set(if passes == 0 { ptr::null_mut() } else { list });
        passes
    }

    /// The block that is due as a sample, or a plain one if it can't be had or what was due
    /// is a look at the clock. The front's list of `class` is dry, and there is a rest.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread (P1).
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn serve<O: Os>(
        &self,
        a: &Allocator<O>,
        class: SizeClass,
        size: usize,
    ) -> *mut Block {
        let c = class.index();
        let (Some(rest), Some(rest_count), Some(countdown)) =
            (self.rest.get(c), self.rest_count.get(c), self.countdowns.get(c))
        else {
            return ptr::null_mut();
        };
        if !countdown.is_due() {
            let list = rest.replace(ptr::null_mut());
            let count = usize::from(rest_count.replace(0));
            self.install(a, class, list, count);
            let block = self.front.pop(c);
            if !block.is_null() {
                return block;
            }
            // Drawn anew for another interval, and due with the first block.
        }
        let list = rest.replace(ptr::null_mut());
        let count = usize::from(rest_count.replace(0));
        let interval = countdown.draw(&a.sampler, class.size());
        // A handler above a sample in the making gets a plain block.
        let mut sampled = ptr::null_mut();
        if !self.sampling.replace(true) {
            compiler_barrier();
            sampled = a.sampled_block(class, size, interval, self.who());
            compiler_barrier();
            self.sampling.set(false);
        }
        if !sampled.is_null() || count == 0 {
            self.install(a, class, list, count);
            return sampled;
        }
        // The first of the rest stands in.
        let Some(block) = NonNull::new(list) else { return list };
        // SAFETY: a block of the list, which is ours.
        let behind = unsafe { block::next(block) };
        if block::CHECKED && c != super::EIGHT {
            // SAFETY: as above, and of 16 bytes or more.
            unsafe { block::unmark(block) };
        }
        self.installed.add(1);
        self.install(a, class, behind, count - 1);
        list
    }

    /// Who a sample taken on this heap is told to be of.
    pub(crate) fn who(&self) -> Who {
        Who { thread: self.thread(), label: self.label.get() }
    }

    /// The kernel's number of the heap's thread; 0 when it is not known.
    pub(crate) fn thread(&self) -> u32 {
        // ORDERING: Relaxed, a figure.
        self.thread.load(Ordering::Relaxed)
    }

    /// Says which thread the heap's is.
    pub(crate) fn set_thread(&self, number: u32) {
        // ORDERING: Relaxed, as above.
        self.thread.store(number, Ordering::Relaxed);
    }

    /// Labels what this heap's thread allocates from here on. Returns the label before.
    pub(crate) fn set_label(&self, label: u32) -> u32 {
        self.label.replace(label)
    }

    /// Marks a private heap as one that has samples in it.
    fn watch(&self) {
        // ORDERING: Relaxed, read when the heap is destroyed, after all its users.
        self.watched.store(1, Ordering::Relaxed);
    }

    /// Before a private heap goes: every sample in it is taken out.
    pub(super) fn forget_samples<O: Os>(&self, a: &Allocator<O>) {
        // ORDERING: Relaxed, as above.
        if self.watched.swap(0, Ordering::Relaxed) != 0 {
            a.sampler.freed_all_of(&a.arena.kernel, ptr::from_ref(self).addr());
        }
    }

    /// Counts a block of a heap without a front, or of one that is not used. The
    /// interval that the block is a sample for, if it is one.
    pub(super) fn due<O: Os>(&self, a: &Allocator<O>, class: SizeClass) -> Option<u32> {
        let countdown = self.countdowns.get(class.index())?;
        let passes = countdown.pass(a.sampler.interval(), 1)
            || countdown.cut(&a.sampler, class.size(), 1) != 0;
        (!passes).then(|| countdown.draw(&a.sampler, class.size()))
    }

    /// As [`Heap::due`], for a block of `span`, which is watched from then on.
    pub(super) fn due_in<O: Os>(
        &self,
        a: &Allocator<O>,
        class: SizeClass,
        span: &Span,
    ) -> Option<u32> {
        let due = self.due(a, class);
        if due.is_some() {
            span.watch();
        }
        due
    }

    /// A block of a private heap, as the program asks for it: one in so many is taken.
    pub(crate) fn alloc_private<O: Os>(
        &self,
        a: &Allocator<O>,
        class: SizeClass,
        size: usize,
    ) -> *mut Block {
        let mut due = None;
        let block = self.take_locked(a, class, |span| due = self.due_in(a, class, span));
        if let Some(interval) = due {
            self.watch();
            a.record_locked(block, class, size, interval, Some(self));
        }
        block
    }
}

impl<O: Os> Allocator<O> {
    /// Has `who` say whom the calling thread's samples are of, where a heap that is
    /// not its own serves.
    pub(crate) fn set_caller(&self, who: fn() -> Who) {
        // ORDERING: Release pairs with the Acquire in `who_calls`.
        self.caller.store(who as *mut (), Ordering::Release);
    }

    fn who_calls(&self) -> Who {
        // ORDERING: Acquire pairs with the Release in `set_caller`.
        let who = self.caller.load(Ordering::Acquire);
        if who.is_null() {
            return Who::default();
        }
        // SAFETY: `set_caller` stored a function of this shape and nothing else.
        let who = unsafe { core::mem::transmute::<*mut (), fn() -> Who>(who) };
        who()
    }

    /// The heap that sampled blocks come from, made with the first of them.
    fn sampled_heap(&self) -> Option<&Heap> {
        self.lasting(&self.sampled, Use::Private)
    }

    /// True when the blocks of `span` are those of [`Allocator::sampled_heap`].
    pub(super) fn is_of_samples(&self, span: &Span) -> bool {
        let owner = self.private_owner(span.heap());
        // ORDERING: Relaxed, compared; whoever has a block of it has seen it made.
        let heap = self.sampled.load(Ordering::Relaxed).cast_const();
        owner.is_some_and(|owner| ptr::eq(owner, heap))
    }

    /// A block for `class` that is a sample. Null when that can't be.
    fn sampled_block(
        &self,
        class: SizeClass,
        size: usize,
        interval: u32,
        who: Who,
    ) -> *mut Block {
        if interval == 0 {
            return ptr::null_mut();
        }
        let Some(heap) = self.sampled_heap() else { return ptr::null_mut() };
        let block = heap.take_locked(self, class.for_sample(), Span::watch);
        if block.is_null() {
            return block;
        }
        let object = Object {
            address: block.addr(),
            size: class.size(),
            asked: size,
            block_size: class.size(),
            owner: 0,
        };
        // If there is no room for it the block is as good as any other, and its free
        // finds no sample.
        self.sampler.record(&self.arena.kernel, object, interval, who);
        block
    }

    /// Writes a sample down that is a block of a heap used under its lock.
    pub(super) fn record_locked(
        &self,
        block: *mut Block,
        class: SizeClass,
        size: usize,
        interval: u32,
        owner: Option<&Heap>,
    ) {
        let object = Object {
            address: block.addr(),
            size: class.size(),
            asked: size,
            block_size: class.size(),
            owner: owner.map_or(0, |owner| ptr::from_ref(owner).addr()),
        };
        self.sampler.record(&self.arena.kernel, object, interval, self.who_calls());
    }

    /// Decides about a large object that was just made.
    pub(crate) fn sample_large(&self, span: &Span, owner: Option<&Heap>, size: usize) {
        let Some(interval) = self.sampler.decide(span.block_size()) else { return };
        span.watch();
        self.sample_object(span.base().addr(), span.block_size(), owner, size, interval);
    }

    /// Decides about a huge object that was just made.
    pub(crate) fn sample_huge(&self, huge: &Huge, owner: Option<&Heap>, size: usize) {
        let taken = self.sampler.decide(huge.len());
        huge.watched.set(taken.is_some());
        huge.told.set(size / GRAIN);
        if let Some(interval) = taken {
            self.sample_object(huge.base().addr(), huge.len(), owner, size, interval);
        }
    }

    fn sample_object(
        &self,
        address: usize,
        held: usize,
        owner: Option<&Heap>,
        asked: usize,
        interval: u32,
    ) {
        if let Some(owner) = owner {
            owner.watch();
        }
        let owner = owner.map_or(0, |owner| ptr::from_ref(owner).addr());
        let object = Object { address, size: held, asked, block_size: 0, owner };
        self.sampler.record(&self.arena.kernel, object, interval, self.who_calls());
    }

    /// A large object holds another number of bytes than before. One that has grown
    /// is decided about anew; one that has shrunk stays what it is.
    pub(crate) fn resample_large(&self, span: &Span, before: usize, size: usize) {
        let (address, held) = (span.base().addr(), span.block_size());
        if held <= before {
            if span.is_watched() {
                self.sampler.sites.resize(address, held, size);
            }
            return;
        }
        if span.is_watched() {
            self.sampler.sites.forget(address);
        }
        let owner = self.private_owner(span.heap());
        self.sample_large(span, owner, size);
    }

    /// As [`Allocator::resample_large`], for a huge object. What was asked for is told by
    /// the grain: a program that grows an object by a few bytes at a time would pay more for
    /// the telling than for the growth.
    pub(crate) fn resample_huge(&self, huge: &Huge, before: usize, size: usize) {
        if huge.len() <= before {
            let grains = size / GRAIN;
            let same = huge.len() == before && grains == huge.told.get();
            if !same && huge.watched.get() {
                self.sampler.sites.resize(huge.base().addr(), huge.len(), size);
                huge.told.set(grains);
            }
            return;
        }
        self.unsample_huge(huge);
        let owner = self.private_owner(huge.heap.get());
        self.sample_huge(huge, owner, size);
    }

    /// Forgets the sample of a huge object that is about to be another. True if there
    /// was one.
    fn unsample_huge(&self, huge: &Huge) -> bool {
        let was_sample = huge.watched.replace(false);
        if was_sample {
            self.sampler.sites.forget(huge.base().addr());
        }
        was_sample
    }

    /// Moves a huge object to where it can hold `size` bytes. `None`: it is as it was.
    pub(crate) fn grow_huge_elsewhere(&self, huge: &Huge, size: usize) -> Option<NonNull<u8>> {
        let (before, owner) = (huge.len(), self.private_owner(huge.heap.get()));
        // Before its old place can be another's.
        let was_sample = self.unsample_huge(huge);
        let moved = self.huge.grow_elsewhere(&self.arena, huge, size);
        if moved.is_some() {
            self.live.shift(huge.len() as isize - before as isize);
            self.sample_huge(huge, owner, size);
        } else if was_sample && self.sampler.interval() != 0 {
            let interval = self.sampler.interval();
            huge.watched.set(true);
            huge.told.set(before / GRAIN);
            self.sample_object(huge.base().addr(), before, owner, before, interval);
        }
        moved
    }

    /// Takes a slot of the hardened levels, just handed out, as a sample for `interval`.
    pub(super) fn take_sample(
        &self,
        class: SizeClass,
        at: NonNull<u8>,
        size: usize,
        interval: u32,
        owner: Option<&Heap>,
    ) {
        let Some(span) = self.arena.span_at(at.addr().get()) else { return };
        self.harden.mark_sample(span, class, at);
        if let Some(owner) = owner {
            owner.watch();
        }
        self.record_locked(at.as_ptr().cast(), class, size, interval, owner);
    }
}

#[cfg(test)]
mod tests;
