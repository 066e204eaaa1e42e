//! Heaps for threads that have none.
//!
//! A thread has no heap of its own while it is *young* (`local.rs` says when a
//! thread is), when it is past its end, and when its code is a signal handler above
//! a slow path. Such a caller takes its blocks from a common heap, under its lock.
//!
//! Why young threads: a heap costs nearly 6 KiB, and each class in use a page. Ten
//! thousand threads that allocate a kilobyte each and sleep cost 50 KiB each that
//! way, and hardly more than the kilobyte when they share spans.
//!
//! ```text
//!   young, dead, interrupted        commons: up to eight private heaps
//!          |                          +---+   +---+   +---+
//!          +--- try each lock once -->| 0 |   | 1 |   | 2 |  ...
//!                                     +---+   +---+   +---+
//!          all busy: make one more; eight and all busy: wait for one
//! ```
//!
//! So there are as many as were ever wanted at once: one, most of the time. A
//! handler that interrupted the holder of one finds another.
//!
//! # False sharing
//!
//! Blocks of two young threads lie side by side in one span. What a thread
//! allocates first is often what it works with for the rest of its life, so blocks
//! of a common heap fill whole cache lines: a request for 24 bytes gets 64. A young
//! thread makes few requests, so the 32 bytes lost with each are little.
#![allow(unsafe_code)]

use super::{Allocator, Heap, Use};
use crate::block::Block;
use crate::os::Os;
use crate::size::SizeClass;
use crate::span::Span;
use crate::sync::{Guard, Ordering, this_thread};
use core::ptr;

/// Most common heaps.
pub(super) const COMMONS: usize = 8;
/// Blocks between two looks at the clock.
const TICKS: u32 = 64;

impl<O: Os> Allocator<O> {
    /// A block that serves `class`, of which `size` bytes are wanted, for a caller
    /// without a heap. Null when the system has no more memory.
    pub(crate) fn common_block(&self, class: SizeClass, size: usize) -> *mut Block {
        let class = class.on_own_lines();
        let (made, first) = (self.commons_made(), first_place());
        let order = || (0..made).filter_map(|i| self.common((first + i) % made));
        for heap in order() {
            if let Some(guard) = heap.lock.try_lock() {
                return self.take_common(heap, guard, class, size);
            }
        }
        if let Some(heap) = self.commons.get(made).and_then(|place| self.lasting(place, Use::Common))
            && let Some(guard) = heap.lock.lock()
        {
            return self.take_common(heap, guard, class, size);
        }
        for heap in order() {
            if let Some(guard) = heap.lock.lock() {
                return self.take_common(heap, guard, class, size);
            }
        }
        ptr::null_mut()
    }

    /// A common heap for the calling thread, made if there is none. Not locked.
    pub(super) fn any_common(&self) -> Option<&Heap> {
        let number = first_place().checked_rem(self.commons_made()).unwrap_or(0);
        self.lasting(self.commons.get(number)?, Use::Common)
    }

    /// How many there are.
    fn commons_made(&self) -> usize {
        (0..COMMONS).take_while(|&i| self.common(i).is_some()).count()
    }

    /// Common heap `number`, if there is one.
    fn common(&self, number: usize) -> Option<&Heap> {
        // ORDERING: Acquire pairs with the Release in `lasting`.
        let heap = self.commons.get(number)?.load(Ordering::Acquire);
        // SAFETY: null, or a heap: heaps are never unmapped.
        unsafe { heap.as_ref() }
    }

    /// Takes a block of `class` from a common heap whose lock `guard` is.
    fn take_common(
        &self,
        heap: &Heap,
        guard: Guard<'_>,
        class: SizeClass,
        size: usize,
    ) -> *mut Block {
        let mut due = None;
        // SAFETY: the lock is held, and common heaps are private.
        let block = unsafe { heap.take_block(self, class, |span| due = heap.due_in(self, class, span)) };
        let ticks = heap.ticks.get().wrapping_add(1);
        heap.ticks.set(ticks);
        drop(guard);
        if let Some(interval) = due {
            self.record_locked(block, class, size, interval, None);
        }
        if ticks.is_multiple_of(TICKS) {
            self.upkeep();
        }
        block
    }

    /// True when a block of `has`, in `span`, is what a request for `class` gets.
    pub(crate) fn serves(&self, span: &Span, has: SizeClass, class: SizeClass) -> bool {
        has == class
            || has == class.on_own_lines()
                && self.private_owner(span.heap()).is_some_and(Heap::is_common)
            || has == class.for_sample() && self.is_of_samples(span)
    }
}

/// Where the calling thread begins to look: not where its neighbours do.
fn first_place() -> usize {
    // Stacks, and with them thread pointers, lie at least 4 KiB apart.
    (this_thread() >> 12).wrapping_mul(0x9E37_79B9) >> 8
}

#[cfg(test)]
mod tests;
