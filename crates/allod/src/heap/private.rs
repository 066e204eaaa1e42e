//! First-class heaps: memory that belongs together and goes together.
//!
//! A private heap has spans of its own and no front: any thread may allocate
//! from it, under its lock, and any thread may free into it, without a lock,
//! straight onto the span's word. Blocks of a private heap never wait in a
//! ring or a front list, so when the heap is destroyed nothing of it is left
//! anywhere, and its slices may be anybody's the next moment.
//!
//! ```text
//!   bins: current, listed ----- filled -----> full
//!            ^                                  |
//!            +---- returned <--- a free --------+
//! ```
//!
//! A full span that somebody frees into is pushed on `returned`, a stack like
//! the depot's; the next allocation takes it from there.
//!
//! The *common heaps* are some of these that nobody destroys (`common.rs`).
#![allow(unsafe_code)]

use super::{Allocator, Heap, Use};
use crate::block::{self, Block};
use crate::depot::{Below, Records};
use crate::huge::Huge;
use crate::os::Os;
use crate::size::{CLASSES, SizeClass};
use crate::span::{Span, link, unlink};
use crate::span::word::{Remote, State, Word};
use crate::sync::{AtomicPtr, Ordering};
use core::ptr::{self, NonNull};

impl<O: Os> Allocator<O> {
    /// A private heap. `None` when the system has no memory for its record.
    pub(crate) fn make_private(&self) -> Option<&Heap> {
        self.make_locked(Use::Private)
    }

    /// A heap that is used under its lock, as `in_use` says.
    fn make_locked(&self, in_use: Use) -> Option<&Heap> {
        let reused = match self.idle_lock.lock() {
            Some(_guard) => {
                // SAFETY: null, or a heap: heaps are never unmapped.
                let heap = unsafe { self.unused.get().as_ref() };
                if let Some(heap) = heap {
                    self.unused.set(heap.next_idle.get());
                }
                heap
            }
            None => None,
        };
        match reused {
            Some(heap) => {
                // ORDERING: Relaxed, nobody else knows the heap yet.
                heap.in_use.store(in_use as u32, Ordering::Relaxed);
                Some(heap)
            }
            None => self.make_heap(in_use),
        }
    }

    /// Keeps the record of a locked heap that has nothing for the next one.
    fn keep_unused(&self, heap: &Heap) {
        // ORDERING: Relaxed, the idle lock orders the hand-over.
        heap.in_use.store(Use::Unused as u32, Ordering::Relaxed);
        let Some(_guard) = self.idle_lock.lock() else { return };
        heap.next_idle.set(self.unused.get());
        self.unused.set(heap);
    }

    /// The heap that `place` leads to for ever, made for this use if need be. Not locked.
    pub(super) fn lasting(&self, place: &AtomicPtr<Heap>, in_use: Use) -> Option<&Heap> {
        // ORDERING: Acquire pairs with the Release below.
        let heap = place.load(Ordering::Acquire);
        // SAFETY: null, or a heap: heaps are never unmapped.
        if let Some(heap) = unsafe { heap.as_ref() } {
            return Some(heap);
        }
        let heap = self.make_locked(in_use)?;
        let new = ptr::from_ref(heap).cast_mut();
        // ORDERING: Release pairs with the Acquire above; Acquire on failure: the
        // other thread's heap is set up.
        match place.compare_exchange(
            ptr::null_mut(),
            new,
            Ordering::Release,
            // ORDERING: Acquire, see above.
            Ordering::Acquire,
        ) {
            Ok(_) => Some(heap),
            Err(other) => {
                self.keep_unused(heap);
                // SAFETY: not null, and never unmapped.
                unsafe { other.as_ref() }
            }
        }
    }

    /// Gives back everything that a private heap holds, and the heap.
    ///
    /// # Safety
    ///
    /// Nobody uses the heap, or anything allocated from it, from now on.
    pub(crate) unsafe fn destroy(&self, heap: &Heap) {
        let Some(guard) = heap.lock.lock() else { return };
        heap.forget_samples(self);
        heap.take_returned(self);
        let mut bytes = self.destroy_hard(heap);
        for c in 1..CLASSES {
            let bin = heap.bin(SizeClass::from_index(c));
            let current = bin.current.replace(ptr::null());
            let first = bin.first.replace(ptr::null());
            bin.count.set(0);
            bin.filled.set(0);
            // SAFETY: the lists are this heap's and are not used again.
            bytes += unsafe { self.retire_chain(current, false) };
            // SAFETY: as above.
            bytes += unsafe { self.retire_chain(first, true) };
        }
        // SAFETY: as above.
        bytes += unsafe { self.retire_chain(heap.full.replace(ptr::null()), true) };
        // SAFETY: as above.
        bytes += unsafe { self.retire_chain(heap.large.replace(ptr::null()), true) };
        let mut at = heap.huge.replace(ptr::null_mut());
        // SAFETY: null, or a huge object of this heap's.
        while let Some(huge) = unsafe { at.as_ref() } {
            at = huge.next.get();
            if huge.retire() {
                bytes += huge.len();
                self.huge.free(&self.arena, huge);
            }
        }
        self.live.sub(bytes);
        for home in &heap.home {
            home.set(ptr::null());
        }
        drop(guard);
        self.keep_unused(heap);
    }

    /// Retires a span, and with `all` those that follow it. Returns the bytes
    /// that were out.
    ///
    /// # Safety
    ///
    /// The spans are a private heap's that is being destroyed.
    unsafe fn retire_chain(&self, first: *const Span, all: bool) -> usize {
        let mut at = first;
        let mut bytes = 0;
        // SAFETY: null, or a span of the heap's.
        while let Some(span) = unsafe { at.as_ref() } {
            at = if all { span.next() } else { ptr::null() };
            bytes += match span.class() {
                Some(class) => {
                    let home = span.free_count() + span.word.load().remote().count;
                    usize::from(span.carved() - home) * class.size()
                }
                None => span.block_size(),
            };
            span.word.store(Word::new(State::Free, 0, Remote::NONE));
            // SAFETY: nobody uses the heap any more, so the span is in our hands.
            unsafe { self.retire(span) };
        }
        bytes
    }
}

impl Heap {
    /// A block of `class` for any thread. Null when the system has no memory, or
    /// when the lock can't be had (in a signal handler above a holder). `see` is shown the
    /// block's span, under the lock.
    pub(super) fn take_locked<O: Os>(
        &self,
        a: &Allocator<O>,
        class: SizeClass,
        see: impl FnOnce(&Span),
    ) -> *mut Block {
        let Some(_guard) = self.lock.lock() else { return ptr::null_mut() };
        // SAFETY: the lock is held.
        unsafe { self.take_block(a, class, see) }
    }

    /// The same, with the lock held.
    ///
    /// # Safety
    ///
    /// The lock is held, and the heap is private.
    pub(super) unsafe fn take_block<O: Os>(
        &self,
        a: &Allocator<O>,
        class: SizeClass,
        see: impl FnOnce(&Span),
    ) -> *mut Block {
        self.visits.add(1);
        self.take_returned(a);
        // SAFETY: the lock is held.
        let Some(span) = (unsafe { self.span_with_blocks(a, class) }) else {
            return ptr::null_mut();
        };
        let Some(block) = NonNull::new(span.free_head()) else { return ptr::null_mut() };
        // SAFETY: the block is on the span's list, and the span is ours.
        span.set_free_head(unsafe { block::next(block) });
        span.set_free_count(span.free_count() - 1);
        if block::CHECKED && class.size() >= 16 {
            // SAFETY: the block is ours, and of 16 bytes or more.
            unsafe { block::unmark(block) };
        }
        see(span);
        self.installed.add(1);
        a.live.add(class.size());
        block.as_ptr()
    }

    /// Puts a span, just shared, where the next allocation finds it.
    pub(super) fn put_returned<O>(&self, a: &Allocator<O>, span: &Span) {
        let number = (span.base().addr() >> crate::units::SLICE_SHIFT) as u64;
        self.returned.push(&Below(&a.arena), number);
    }

    /// Takes back the full spans that were freed into. The lock is held.
    pub(super) fn take_returned<O: Os>(&self, a: &Allocator<O>) {
        while !self.returned.is_empty() {
            let Some(number) = self.returned.pop(&Below(&a.arena)) else { return };
            let Some(span) = a.arena.span(number) else { return };
            // SAFETY: records of spans are never unmapped (M4).
            let span: &Span = unsafe { span.as_ref() };
            if let Some(remote) = span.word.claim(self.key.get()) {
                self.forget_full(span);
                // SAFETY: the claim made the span ours, and gave us the list.
                unsafe { span.adopt(remote) };
                if span.free_count() == span.carved() && span.word.vacate(self.key.get()) {
                    // SAFETY: the span is FREE and in our hands.
                    unsafe { a.retire(span) };
                } else {
                    self.list(span);
                }
            }
        }
    }

    /// Keeps a span with nothing left, so that it can be destroyed with the heap.
    pub(super) fn keep_full(&self, span: &Span) {
        link(&self.full, span);
    }

    fn forget_full(&self, span: &Span) {
        unlink(&self.full, span);
    }

    /// Keeps a large object of this heap's. False when the lock can't be had.
    pub(crate) fn keep_large(&self, span: &Span) -> bool {
        let Some(_guard) = self.lock.lock() else { return false };
        link(&self.large, span);
        true
    }

    /// Forgets one. False when the lock can't be had: then it stays.
    pub(crate) fn forget_large(&self, span: &Span) -> bool {
        let Some(_guard) = self.lock.lock() else { return false };
        if span.word.load().state() == State::Large {
            unlink(&self.large, span);
        }
        true
    }

    /// Keeps a huge object of this heap's. False when the lock can't be had.
    pub(crate) fn keep_huge(&self, huge: &Huge) -> bool {
        let Some(_guard) = self.lock.lock() else { return false };
        huge.heap.set(self.owner_field());
        huge.prev.set(ptr::null_mut());
        huge.next.set(self.huge.get());
        // SAFETY: null, or a huge object of this heap's.
        if let Some(next) = unsafe { self.huge.get().as_ref() } {
            next.prev.set(ptr::from_ref(huge).cast_mut());
        }
        self.huge.set(ptr::from_ref(huge).cast_mut());
        true
    }

    /// Forgets one. False when the lock can't be had: then it stays.
    pub(crate) fn forget_huge(&self, huge: &Huge) -> bool {
        let Some(_guard) = self.lock.lock() else { return false };
        if huge.heap.replace(ptr::null_mut()).is_null() {
            return true;
        }
        let (next, prev) = (huge.next.get(), huge.prev.get());
        // SAFETY: null, or a huge object of this heap's.
        match unsafe { prev.as_ref() } {
            Some(prev) => prev.next.set(next),
            None => self.huge.set(next),
        }
        // SAFETY: as above.
        if let Some(next) = unsafe { next.as_ref() } {
            next.prev.set(prev);
        }
        true
    }
}
