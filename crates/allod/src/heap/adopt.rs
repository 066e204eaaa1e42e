//! Heaps whose thread is gone, and heaps whose thread sleeps.
//!
//! A thread that exits leaves its heap on the orphans' list as it is: lists,
//! spans, everything but the ring, whose blocks are others'. The next thread
//! that starts takes the last heap left, and what its predecessor freed is
//! warm and local to it. An orphan that nobody has taken for a while is
//! *drained*: its blocks go home, its empty spans back to the arena, the
//! others to the depot, where any thread finds them; what is left is a record.
//!
//! ```text
//!   Thread ---its thread ends---> Left ---listed---> Orphan ---a new thread---> Thread
//!                                  ^                 |    ^
//!      listed by the next visit,   |    waited long  v    | with nothing in it
//!      where the lock was not had  +--------------- Draining
//! ```
//!
//! A thread that sleeps holds on to its heap. Whoever passes by and finds that
//! a heap has not taken a slow path since the last visit shares its spans the
//! same way, under its lock. The front lists stay: they are the sleeper's own.
//!
//! In the child of a fork every other thread's heap is an orphan, and so is one that
//! another thread was draining. That thread may have been between any two instructions, so
//! whoever takes the heap counts its lists first.
#![allow(unsafe_code)]

use super::{Allocator, Heap, Use};
use crate::os::Os;
use crate::size::{CLASSES, SizeClass};
#[cfg(any(test, fuzzing))]
use crate::span::Span;
use crate::span::word::State;
use crate::sync::{self, Ordering, this_thread};
use core::ptr;

/// Milliseconds that an orphan waits for a new thread before it is drained.
const ORPHAN_WAIT: u64 = 100;
/// Milliseconds between two visits to heaps that may be asleep.
const PATROL: u64 = 250;
/// Threads that take a heap at their first call. While there are more, those that
/// start make do with the common heaps for a while (`common.rs`).
pub(super) const FEW: usize = 16;

impl<O: Os> Allocator<O> {
    /// A heap for a thread that starts: an orphan, or a new one. `None` when the
    /// system has no memory for one.
    pub(crate) fn adopt(&self) -> Option<&Heap> {
        let heap = self.find_heap()?;
        self.threads.add(1);
        Some(heap)
    }

    fn find_heap(&self) -> Option<&Heap> {
        self.pop_orphan().or_else(|| self.make_heap(Use::Thread))
    }

    /// A heap for a thread that has only just started: where threads are few, or
    /// where one has just ended and left a heap with memory in it. `None`, and the
    /// thread is better served by the common heaps.
    ///
    /// The place is counted before the heap is made. Making one takes long enough that
    /// of a thousand threads started at once a hundred found fewer than [`FEW`].
    #[inline]
    pub(crate) fn adopt_at_once(&self) -> Option<&Heap> {
        if self.threads.add_below(FEW) {
            let heap = self.find_heap();
            if heap.is_none() {
                self.threads.sub(1);
            }
            return heap;
        }
        // ORDERING: Relaxed, a hint: being wrong costs some memory, or some time.
        if self.orphan_count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let heap = self.pop_orphan()?;
        self.threads.add(1);
        Some(heap)
    }

    /// The heap that was left last, or else one that was drained.
    fn pop_orphan(&self) -> Option<&Heap> {
        let heap = self.pop_listed_orphan()?;
        // SAFETY: the heap has no thread, and is on no list: it is ours (P1).
        unsafe { heap.count_again(self) };
        Some(heap)
    }

    fn pop_listed_orphan(&self) -> Option<&Heap> {
        let lists = [(&self.orphans, &self.orphan_count), (&self.drained, &self.drained_count)];
        // ORDERING: Relaxed, a hint that saves taking the lock.
        if lists.iter().all(|(_, count)| count.load(Ordering::Relaxed) == 0) {
            return None;
        }
        let _guard = self.idle_lock.lock()?;
        for (list, count) in lists {
            // SAFETY: null, or a heap: heaps are never unmapped.
            if let Some(heap) = unsafe { list.get().as_ref() } {
                list.set(heap.next_idle.get());
                // ORDERING: Relaxed, as above; changed under the lock only.
                count.fetch_sub(1, Ordering::Relaxed);
                // ORDERING: Relaxed, the idle lock ordered the hand-over.
                heap.in_use.store(Use::Thread as u32, Ordering::Relaxed);
                return Some(heap);
            }
        }
        None
    }

    /// Takes leave of a thread's heap.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread (P1), and will not use it again.
    pub(crate) unsafe fn abandon(&self, heap: &Heap) {
        // SAFETY: the caller is the heap's thread.
        unsafe { heap.flush_ring(self) };
        self.live.shift(heap.drift.replace(0));
        heap.label.set(0);
        heap.set_thread(0);
        self.threads.sub(1);
        self.push_orphan(heap);
    }

    fn push_orphan(&self, heap: &Heap) {
        heap.idle_since.set(self.arena.kernel.clock());
        // ORDERING: Release pairs with the Acquire in `visit`: who lists it has what its
        // thread has left.
        heap.in_use.store(Use::Left as u32, Ordering::Release);
        self.list_left(heap);
    }

    /// Lists an orphan that is on no list. Without the lock (a handler above a holder) it
    /// stays so: whoever visits idle heaps finds it by its use.
    fn list_left(&self, heap: &Heap) {
        let Some(_guard) = self.idle_lock.lock() else { return };
        // ORDERING: Relaxed, under the lock: one of those who have come here lists it.
        if heap.in_use.load(Ordering::Relaxed) != Use::Left as u32 {
            return;
        }
        // ORDERING: Relaxed, the idle lock orders the hand-over.
        heap.in_use.store(Use::Orphan as u32, Ordering::Relaxed);
        heap.next_idle.set(self.orphans.get());
        self.orphans.set(heap);
        // ORDERING: Relaxed, a hint; changed under the lock only.
        self.orphan_count.fetch_add(1, Ordering::Relaxed);
    }

    /// Drains orphans that have waited long enough, and visits one heap that may
    /// be asleep. `now` is the clock's.
    pub(super) fn visit_idle(&self, now: u64) {
        let moment = now as usize;
        // ORDERING: Relaxed, late or double visits do no harm: locks guard the work.
        let due = self.patrol_due.load(Ordering::Relaxed);
        // By difference: 32 bits of milliseconds come around every 49 days.
        if moment.wrapping_sub(due).cast_signed() < 0 {
            return;
        }
        let next = moment.wrapping_add(PATROL as usize);
        let turn =
            // ORDERING: Relaxed, as above.
            self.patrol_due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
        if turn.is_err() {
            return;
        }
        self.drain_orphans(now, ORPHAN_WAIT);
        // A few heaps a visit: a process with ten thousand of them is not swept at once.
        // ORDERING: Acquire pairs with the Release of `register`, through the pointer.
        let mut at: *const Heap = self.patrol.load(Ordering::Acquire);
        for _ in 0..8 {
            if at.is_null() {
                // ORDERING: Acquire pairs with the Release of `register`.
                at = self.heaps.load(Ordering::Acquire);
            }
            // SAFETY: null, or a heap: heaps are never unmapped.
            let Some(heap) = (unsafe { at.as_ref() }) else { break };
            at = heap.next_heap.get();
            heap.visit(self);
            if at.is_null() {
                break;
            }
        }
        // ORDERING: Release pairs with the Acquire above.
        self.patrol.store(at.cast_mut(), Ordering::Release);
    }

    /// Drains the orphans that have waited `wait` milliseconds.
    pub(crate) fn drain_orphans(&self, now: u64, wait: u64) {
        // ORDERING: Relaxed, a hint that saves taking the lock.
        if self.orphan_count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut drained: *const Heap = ptr::null();
        // At most a few at a time, each taken off the list while it is worked on.
        for _ in 0..16 {
            let Some(heap) = self.pop_ripe_orphan(now, wait) else { break };
            // SAFETY: the heap has no thread, and is on no list: it is ours (P1).
            unsafe { heap.drain(self) };
            heap.next_idle.set(drained);
            drained = heap;
        }
        // SAFETY: null, or a heap of the chain just made.
        while let Some(heap) = unsafe { drained.as_ref() } {
            drained = heap.next_idle.get();
            let Some(_guard) = self.idle_lock.lock() else {
                self.push_orphan(heap);
                continue;
            };
            // ORDERING: Relaxed, the idle lock orders the hand-over.
            heap.in_use.store(Use::Orphan as u32, Ordering::Relaxed);
            heap.next_idle.set(self.drained.get());
            self.drained.set(heap);
            // ORDERING: Relaxed, a hint; changed under the lock only.
            self.drained_count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn pop_ripe_orphan(&self, now: u64, wait: u64) -> Option<&Heap> {
        let _guard = self.idle_lock.lock()?;
        let mut prev: Option<&Heap> = None;
        let mut at = self.orphans.get();
        // SAFETY: null, or a heap: heaps are never unmapped.
        while let Some(heap) = unsafe { at.as_ref() } {
            at = heap.next_idle.get();
            if heap.idle_since.get().saturating_add(wait) <= now {
                match prev {
                    Some(prev) => prev.next_idle.set(at),
                    None => self.orphans.set(at),
                }
                // ORDERING: Relaxed, a hint; changed under the lock only.
                self.orphan_count.fetch_sub(1, Ordering::Relaxed);
                // ORDERING: Relaxed, the idle lock ordered the hand-over.
                heap.in_use.store(Use::Draining as u32, Ordering::Relaxed);
                heap.idle_since.set(this_thread() as u64);
                return Some(heap);
            }
            prev = Some(heap);
        }
        None
    }

    /// Before `fork`: takes every lock, so that the child finds nothing half done.
    ///
    /// One thread at a time: two that fork would wait for heaps in different orders. And
    /// no heap's lock is waited for while the others are held, since its thread may hold
    /// it and wait for one of them: they are given up and taken again when a heap was
    /// made meanwhile.
    ///
    /// A handler above a holder of one of them must not wait for the others without end
    /// (L4): then the fork goes on without those it does not get soon, and the child frees them.
    /// Without the first it takes none.
    pub(crate) fn fork_prepare(&self) {
        let (before, again) = (sync::held(), self.forking.is_mine());
        if !self.forking.hold() {
            return;
        }
        if !again {
            // ORDERING: Relaxed, only the holder of `forking` reads it.
            self.fork_held.store(before, Ordering::Relaxed);
        }
        let mut has_all = true;
        for heap in self.heaps() {
            has_all &= heap.lock.hold();
        }
        loop {
            let with_heaps = sync::held();
            for lock in self.hard_locks() {
                has_all &= lock.hold();
            }
            // ORDERING: Acquire pairs with the Release in `register`.
            let newest = self.heaps.load(Ordering::Acquire);
            if !has_all || self.heaps().all(|heap| heap.lock.is_mine()) {
                // A heap whose memory was taken before may yet be registered in front of
                // this one: `fork_child` knows.
                // ORDERING: Release pairs with the Acquire in `fork_parent`.
                self.fork_from.store(newest, Ordering::Release);
                return;
            }
            for lock in self.hard_locks().rev() {
                lock.unhold();
            }
            sync::put_back(with_heaps);
            for heap in self.heaps().filter(|heap| !heap.lock.is_mine()) {
                has_all &= heap.lock.hold();
            }
        }
    }

    /// After `fork`, in the parent: gives them back.
    pub(crate) fn fork_parent(&self) {
        if !self.forking.is_mine() {
            return;
        }
        for lock in self.hard_locks().rev() {
            lock.unhold();
        }
        // ORDERING: Acquire pairs with the Release in `fork_prepare`.
        let mut at: *const Heap = self.fork_from.load(Ordering::Acquire);
        // SAFETY: null, or a heap: heaps are never unmapped.
        while let Some(heap) = unsafe { at.as_ref() } {
            at = heap.next_heap.get();
            heap.lock.unhold();
        }
        // ORDERING: Relaxed, as in `fork_prepare`.
        let before = self.fork_held.load(Ordering::Relaxed);
        self.forking.unhold();
        // A fork in a fork's handler leaves the rest to that.
        if !self.forking.is_mine() {
            sync::put_back(before);
        }
    }

    /// After `fork`, in the child: gives the locks back, and makes orphans of the
    /// heaps of the threads that did not come along, and of those that such a thread was
    /// about to drain.
    pub(crate) fn fork_child(&self, mine: Option<&Heap>) {
        self.fork_parent();
        // All of them, before the first is waited for.
        self.forking.release_lost();
        for lock in self.hard_locks() {
            lock.release_lost();
        }
        for heap in self.heaps() {
            heap.lock.release_lost();
            // ORDERING: Relaxed, the child has one thread.
            let in_use = heap.in_use.load(Ordering::Relaxed);
            let is_mine = mine.is_some_and(|mine| ptr::eq(mine, heap));
            let is_drained = in_use == Use::Draining as u32;
            if (in_use == Use::Thread as u32 && !is_mine)
                || (is_drained && heap.idle_since.get() != this_thread() as u64)
            {
                heap.ring.release();
                heap.sampling.set(false);
                heap.label.set(0);
                heap.set_thread(0);
                if let Some(locker) = heap.locker() {
                    locker.leave();
                }
                heap.lost.set(true);
                self.push_orphan(heap);
            }
        }
        // Not by taking away: a thread that was about to take a heap, or to leave one, may
        // have been counted or not.
        self.threads.set(usize::from(mine.is_some()));
        self.sampler.reseed(&self.arena.kernel);
        // ORDERING: Relaxed, the child has one thread.
        self.unrepaired.store(1, Ordering::Relaxed);
    }

    /// In the child of a fork, before it first needs slices: finds the spans that
    /// a thread of the parent had taken out of the depot, or had not put in yet.
    #[cold]
    pub(super) fn repair(&self) {
        // ORDERING: Relaxed, whoever comes second finds nothing left to do.
        if self.unrepaired.swap(0, Ordering::Relaxed) == 0 {
            return;
        }
        self.depot.forget(&self.arena);
        for span in self.arena.chunks().flat_map(|chunk| chunk.spans()) {
            match (span.word.load().state(), span.class()) {
                (State::Shared, Some(class)) if span.heap().is_null() => {
                    self.depot.put(&self.arena, class, span);
                }
                (State::Buried, _) if span.word.claim(0).is_none() => {
                    // SAFETY: the claim left the span FREE, in our hands.
                    unsafe { self.retire(span) };
                }
                _ => {}
            }
        }
    }
}

impl Heap {
    /// Shares the spans of a heap that has not moved since the last visit, and lists one that
    /// a thread has left on no list.
    fn visit<O: Os>(&self, a: &Allocator<O>) {
        // ORDERING: Acquire pairs with the Release in `push_orphan`; for a thread's heap the
        // lock below orders.
        let in_use = self.in_use.load(Ordering::Acquire);
        if in_use == Use::Left as u32 {
            return a.list_left(self);
        }
        if in_use != Use::Thread as u32 {
            return;
        }
        let Some(_guard) = self.lock.try_lock() else { return };
        let visits = self.visits.get();
        if self.seen_visits.replace(visits) == visits && visits != 0 {
            // Once is enough until it moves again.
            // SAFETY: the lock is held.
            unsafe { self.share_all(a) };
        }
    }

    /// Hands every span of the bins to the depot, or back to the arena.
    ///
    /// # Safety
    ///
    /// The lock is held.
    unsafe fn share_all<O: Os>(&self, a: &Allocator<O>) {
        for c in 1..CLASSES {
            let class = SizeClass::from_index(c);
            let bin = self.bin(class);
            // SAFETY: null, or a span of ours: records are never unmapped.
            if let Some(span) = unsafe { bin.current.replace(ptr::null()).as_ref() } {
                // SAFETY: the span is ours, now current nowhere, and on no list.
                unsafe { self.share(a, class, span) };
            }
            // SAFETY: null, or a span of ours.
            while let Some(span) = unsafe { bin.first.get().as_ref() } {
                self.unlist(span);
                // SAFETY: the span is ours, and on no list any more.
                unsafe { self.share(a, class, span) };
            }
        }
    }

    /// Sets right what the fork may have caught half done: a block that is on a list and not
    /// in its number yet. (Not in it, and no longer on the list, is a block lost.) To whoever
    /// follows the list, one block too many looks like one freed twice.
    ///
    /// # Safety
    ///
    /// The heap has no thread and is in the caller's hands (P1).
    unsafe fn count_again<O: Os>(&self, a: &Allocator<O>) {
        if !self.lost.replace(false) {
            return;
        }
        a.drain_lost(self);
        // SAFETY: the caller has the heap.
        unsafe { self.ring.count_again() };
        for c in 1..CLASSES {
            let class = SizeClass::from_index(c);
            if let (Some(rest), Some(count)) = (self.rest.get(c), self.rest_count.get(c)) {
                // SAFETY: the lists are the caller's now.
                count.set(unsafe { super::walk::length(rest.get(), class.capacity()) } as u16);
            }
            let (Some(free), Some(room)) = (self.front.free.get(c), self.front.room.get(c)) else {
                continue;
            };
            // SAFETY: as above.
            let count = unsafe { super::walk::length(free.get(), usize::from(class.room())) };
            room.set(class.room() - count as u8);
            if room.get() == 0 {
                // SAFETY: the caller has the heap.
                unsafe { self.flush(a, class) };
            }
        }
    }

    /// Sends everything home that an orphan holds.
    ///
    /// # Safety
    ///
    /// The heap has no thread and is in the caller's hands (P1).
    unsafe fn drain<O: Os>(&self, a: &Allocator<O>) {
        // SAFETY: the caller has the heap.
        unsafe { self.count_again(a) };
        // SAFETY: the caller has the heap.
        unsafe { self.flush_ring(a) };
        let guard = self.lock.lock();
        for c in 1..CLASSES {
            let class = SizeClass::from_index(c);
            // SAFETY: the caller has the heap.
            unsafe { self.put_back(a, class, guard.is_some()) };
            if let (Some(rest), Some(count)) = (self.rest.get(c), self.rest_count.get(c)) {
                let (list, count) = (rest.replace(ptr::null_mut()), count.replace(0));
                // SAFETY: the list was kept aside, and is ours alone.
                unsafe { self.send_home_as(a, class, list, usize::from(count), guard.is_some()) };
            }
        }
        drop(guard);
        a.drain_hard(self);
        a.live.shift(self.drift.replace(0));
        let Some(_guard) = self.lock.lock() else { return };
        // SAFETY: the lock is held.
        unsafe { self.share_all(a) };
    }
}

impl<O: Os> Allocator<O> {
    /// Gives back all that can be: what this thread holds, orphans, sleepers, the
    /// depot's empty spans, cached huge objects, free slices down to `keep`
    /// bytes. Returns the bytes given.
    ///
    /// # Safety
    ///
    /// The caller is `heap`'s thread.
    pub(crate) unsafe fn trim(&self, heap: Option<&Heap>, keep: usize) -> usize {
        if let Some(heap) = heap {
            // SAFETY: the caller is the heap's thread.
            unsafe { heap.drain(self) };
        }
        self.drain_orphans(self.arena.kernel.clock(), 0);
        for heap in self.heaps() {
            if let Some(_guard) = heap.lock.try_lock() {
                // SAFETY: the lock is held.
                unsafe { heap.release_empty(self) };
                if heap.is_private() {
                    // SAFETY: the lock is held.
                    unsafe { heap.release_listed(self) };
                    if heap.is_common() {
                        self.drain_hard(heap);
                    }
                    self.release_own_hard(heap);
                }
            }
        }
        self.dig();
        self.harden.release(self.ground());
        self.huge.release_cached(&self.arena, usize::MAX) + self.arena.trim(keep)
    }
}

impl<O: Os> Allocator<O> {
    /// The end of an allocator whose code is about to be unloaded: sends home what
    /// every thread holds, and if no object is left gives back everything, the
    /// records too. Otherwise gives back what is free. True for everything.
    ///
    /// # Safety
    ///
    /// No thread runs our code any more, or will again.
    pub(crate) unsafe fn close(&self) -> bool {
        for heap in self.heaps().filter(|heap| !heap.is_private()) {
            // SAFETY: no thread uses its heap any more.
            unsafe { heap.drain(self) };
        }
        // SAFETY: as above.
        unsafe { self.trim(None, 0) };
        if self.arena.active.get() != 0 || self.huge.held.get() != 0 {
            return false;
        }
        // SAFETY: as above.
        if !unsafe { self.guarded.close(&self.arena) } {
            return false;
        }
        // SAFETY: as above.
        if !unsafe { self.nothing.close(&self.arena) } {
            return false;
        }
        // SAFETY: no object is left, and nobody runs our code.
        unsafe { self.sampler.sites.close(&self.arena.kernel) };
        // SAFETY: as above.
        unsafe { self.arena.close() };
        // SAFETY: as above.
        unsafe { self.arena.map.close(&self.arena.kernel) };
        // SAFETY: as above.
        unsafe { self.arena.meta.close(&self.arena.kernel) };
        true
    }
}

/// A span, for the tests of this room.
#[cfg(any(test, fuzzing))]
pub(super) fn states<O: Os>(a: &Allocator<O>, state: State) -> usize {
    let is = |span: &&Span| span.word.load().state() == state && span.back() == 0;
    a.arena.chunks().flat_map(|chunk| chunk.spans()).filter(is).count()
}
