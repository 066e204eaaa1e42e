//! When most of the process's memory is free, every allocation looks at the clock.
//!
//! What is free goes back after a while, when some thread comes by a slow path
//! (`arena/purge.rs`). A program whose load has fallen may come by none for minutes: the few
//! blocks it needs are on its lists. So while more is free than in use, a heap is on the
//! *watch*: all but one block of each list is kept aside as before a sample, and the
//! fast path has nothing to hand out.
//!
//! ```text
//!   alloc -> o o o o o            alloc -> (dry)      rest -> o o o o o
//!                     --begin-->
//!                                 an allocation: a look; then one block for it, and
//!                                                     rest -> o o o o
//! ```
//!
//! # Life of a watch
//!
//! It begins with a look at the clock on a slow path, which a program that frees
//! so much has many of. It ends when less is free than in use: soon, since what is free goes
//! back, but for what keeps a huge page whole or has a long purge delay. Or it ends after
//! [`LOOKS`] allocations within [`PAUSE`]: a thread that allocates as often has slow
//! paths of its own. What is kept aside then is installed by the next allocation of its class.
//!
//! # What it costs
//!
//! Some 550 instructions for each of 256 allocations, and a step along each list, once in
//! 50 ms at most (docs/decisions/066): a thousandth of a processor.
#![allow(unsafe_code)]

use super::{Allocator, Heap};
use crate::os::Os;
use crate::size::{CLASSES, SizeClass};
use core::ptr;

/// Bytes that must be free, at the least.
const EBB: usize = 4 << 20;
/// Allocations that look at the clock, of each watch.
const LOOKS: u32 = 256;
/// Milliseconds before a watch that is over may begin anew, or one that goes on has its
/// number of looks again.
const PAUSE: u32 = 50;

impl Heap {
    /// True while allocations are to look at the clock.
    #[inline(always)]
    pub(super) fn is_on_watch(&self) -> bool {
        self.watch.get() != 0
    }

    /// One allocation less that looks at the clock.
    pub(super) fn note_look(&self) {
        self.watch.set(self.watch.get().saturating_sub(1));
    }

    /// Begins, goes on, or ends the watch, as memory is by now.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread (P1), and its list of a class that it is just
    /// installing may become dry.
    pub(super) unsafe fn see_ebb<O: Os>(&self, a: &Allocator<O>, now: u32) {
        let cached = a.huge.held.get().saturating_sub(a.huge.live.get());
        let free = a.arena.spare.get() + cached;
        let used = a.arena.active.get() + a.huge.live.get();
        if free < EBB || free < used || !self.is_a_threads() {
            return self.watch.set(0);
        }
        if now.wrapping_sub(self.watch_since.get()) < PAUSE {
            return;
        }
        self.watch_since.set(now);
        if self.watch.replace(LOOKS) == 0 {
            // SAFETY: the caller's promise.
            unsafe { self.keep_aside(a) };
        }
    }

    /// Keeps the lists to allocate from aside.
    ///
    /// # Safety
    ///
    /// As for [`Heap::see_ebb`].
    unsafe fn keep_aside<O: Os>(&self, a: &Allocator<O>) {
        for c in 1..CLASSES {
            let (Some(alloc), Some(rest), Some(rest_count), Some(countdown)) = (
                self.front.alloc.get(c),
                self.rest.get(c),
                self.rest_count.get(c),
                self.countdowns.get(c),
            ) else {
                continue;
            };
            // Before a sample that is due the list is short, and its end a slow path.
            if alloc.get().is_null() || !rest.get().is_null() {
                continue;
            }
            let class = SizeClass::from_index(c);
            let list = alloc.replace(ptr::null_mut());
            // SAFETY: the list was the front's, and its thread is here.
            let count = unsafe { super::walk::length(list, class.capacity()) };
            self.installed.sub(count);
            countdown.give_back(count);
            let late = rest.replace(list);
            let late_count = usize::from(rest_count.replace(count as u16));
            if !late.is_null() {
                // A handler has allocated meanwhile, and came to a sample.
                // SAFETY: the list was kept aside, and is ours alone.
                unsafe { self.send_home(a, class, late, late_count) };
            }
        }
    }
}
