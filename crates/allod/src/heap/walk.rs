//! Looking at everything: the figures for people, and the lists of a heap that ends.
//!
//! A walk takes no lock but the one it names. Figures read while other threads
//! run are each from some moment of the walk.
#![allow(unsafe_code)]

use super::{Allocator, Heap};
use crate::block::{self, Block};
use crate::os::Os;
use crate::size::{CLASSES, SizeClass};
use crate::span::Span;
use crate::span::word::State;
use crate::stats::{ClassStats, Stats, ThreadStats};
use crate::sync::Ordering;
use crate::units::SLICE;
use core::ptr::NonNull;

/// Blocks on a list, at most `limit`.
///
/// # Safety
///
/// The list is the caller's.
pub(super) unsafe fn length(list: *mut Block, limit: usize) -> usize {
    let (mut at, mut count) = (list, 0);
    while let Some(block) = NonNull::new(at) {
        if count == limit {
            break;
        }
        count += 1;
        // SAFETY: the block is on the caller's list.
        at = unsafe { block::next(block) };
    }
    count
}

/// Blocks that a heap has at hand.
#[derive(Clone, Copy, Debug)]
struct Cached {
    blocks: usize,
    /// Of these, on the list to allocate from.
    ahead: usize,
}

impl Heap {
    /// Blocks of class `c` on the front lists, and of these the ones to allocate
    /// from: all that is free here, and what was counted as handed out and is not.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread (P1).
    unsafe fn cached(&self, c: usize) -> Cached {
        let class = SizeClass::from_index(c);
        let count = |list: Option<&core::cell::Cell<*mut Block>>| {
            // SAFETY: the lists are the caller's.
            list.map_or(0, |list| unsafe { length(list.get(), class.capacity().max(64)) })
        };
        let ahead = count(self.front.alloc.get(c));
        let rest = self.rest_count.get(c).map_or(0, |rest| usize::from(rest.get()));
        Cached { blocks: ahead + count(self.front.free.get(c)) + rest, ahead }
    }

    /// As [`Heap::cached`], for any thread: as of the heap's last slow path of the class.
    fn cached_lately(&self, c: usize) -> Cached {
        // ORDERING: Relaxed, a figure.
        let blocks = self.listed.get(c).map_or(0, |n| usize::from(n.load(Ordering::Relaxed)));
        Cached { blocks, ahead: blocks }
    }
}

impl Heap {
    /// Bytes in the front's lists, as of the last slow paths.
    pub(crate) fn cached_bytes(&self) -> usize {
        let bytes = |c: usize| self.cached_lately(c).blocks * SizeClass::from_index(c).size();
        (1..CLASSES).map(bytes).sum()
    }

    /// Walks the front's free lists, as a swap would, and ends the process at a
    /// block that is none.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread (P1).
    pub(crate) unsafe fn check_front<O: Os>(&self, a: &Allocator<O>) {
        self.look_at_quarantine();
        for c in 1..CLASSES {
            let class = SizeClass::from_index(c);
            let (Some(free), Some(room)) = (self.front.free.get(c), self.front.room.get(c)) else {
                continue;
            };
            if block::CHECKED && !free.get().is_null() {
                let count = usize::from(class.room().wrapping_sub(room.get()));
                // SAFETY: the list is the front's, and its thread is here.
                let _length = unsafe { super::refill::verify(a, class, free.get(), count) };
            }
        }
    }
}

impl<O: Os> Allocator<O> {
    /// Calls `f` with every span and large object, and how many of its blocks are out.
    pub(crate) fn each_span(&self, f: &mut dyn FnMut(&Span, usize)) {
        for chunk in self.arena.chunks() {
            let free = chunk.free();
            for (i, span) in chunk.spans().iter().enumerate() {
                let word = span.word.load();
                if free >> i & 1 == 1 || word.state() == State::Free || span.back() != 0 {
                    continue;
                }
                let out = if word.state() == State::Hard {
                    crate::harden::table::slots_out(span)
                } else {
                    let home = usize::from(span.free_count()) + usize::from(word.remote().count);
                    usize::from(span.carved()).saturating_sub(home)
                };
                f(span, out);
            }
        }
    }

    /// The figures. `heap` is the calling thread's.
    pub(crate) fn stats(&self, heap: Option<&Heap>) -> Stats {
        let mut stats = Stats::default();
        let (mut large, mut large_objects, mut in_spans) = (0, 0, 0);
        self.each_span(&mut |span, out| {
            let Some(class) = span.class() else {
                large += span.block_size();
                large_objects += 1;
                return;
            };
            let Some(row) = stats.classes.get_mut(class.index()) else { return };
            in_spans += span.slices() * SLICE;
            row.spans += 1;
            row.capacity += class.capacity();
            row.in_use += out;
            row.carved += usize::from(span.carved());
        });
        let mut ahead = self.count_orphans(&mut stats);
        for (c, row) in stats.classes.iter_mut().enumerate() {
            row.block_size = SizeClass::from_index(c).size();
            let mut count = |cached: Cached| {
                row.cached += cached.blocks;
                ahead += cached.ahead;
            };
            if let Some(heap) = heap {
                // SAFETY: `heap` is the calling thread's.
                count(unsafe { heap.cached(c) });
            }
            for other in self.heaps().filter(|other| other.is_a_threads()) {
                if heap.is_none_or(|heap| !core::ptr::eq(heap, other)) {
                    count(other.cached_lately(c));
                }
            }
            // What others have at hand is as of a moment ago.
            row.cached = row.cached.min(row.in_use);
            row.in_use -= row.cached;
        }
        let sum = |f: fn(&ClassStats) -> usize| -> usize { stats.classes.iter().map(f).sum() };
        let small = sum(|row| row.in_use * row.block_size);
        stats.cached = sum(|row| row.cached * row.block_size);
        let carved = sum(|row| row.carved * row.block_size);
        stats.free_blocks = carved.saturating_sub(small + stats.cached);
        stats.uncarved = in_spans.saturating_sub(carved);
        stats.large = large + self.guarded.bytes.get();
        stats.large_objects = large_objects;
        stats.huge = self.huge.live.get();
        stats.huge_objects = self.huge.live_count();
        stats.allocated = small + stats.large + stats.huge;
        stats.active = self.arena.active.get() + self.guarded.bytes.get() + stats.huge;
        let cached_huge = self.huge.held.get().saturating_sub(stats.huge);
        stats.retained = self.arena.spare.get() + cached_huge;
        stats.resident = self.arena.resident() + self.huge.resident(&self.arena);
        stats.mapped = self.arena.kernel.mapped();
        stats.metadata = self.metadata();
        self.totals(&mut stats);
        stats.allocations = stats.allocations.saturating_sub(ahead);
        stats
    }

    /// Calls `each` with the figures of every heap that is a thread's.
    pub(crate) fn each_thread(&self, each: &mut dyn FnMut(&ThreadStats)) {
        for heap in self.heaps().filter(|heap| heap.is_a_threads()) {
            each(&ThreadStats {
                thread: u64::from(heap.thread()),
                allocations: heap.installed(),
                remote_frees: heap.remote_frees(),
                cached: heap.cached_bytes(),
            });
        }
    }

    /// Adds what lies on the front lists that exited threads have left. Returns how
    /// many of these blocks are on lists to allocate from.
    fn count_orphans(&self, stats: &mut Stats) -> usize {
        let mut ahead = 0;
        // Nobody adopts an orphan while the lock is held, so its lists stand still. A dump
        // in a signal handler has no right to wait for it: it does without the orphans.
        let Some(_guard) = self.idle_lock.lock_soon() else { return ahead };
        let mut at = self.orphans.get();
        // SAFETY: null, or a heap: heaps are never unmapped.
        while let Some(heap) = unsafe { at.as_ref() } {
            at = heap.next_idle.get();
            for (c, row) in stats.classes.iter_mut().enumerate() {
                // SAFETY: the heap has no thread, and the lock keeps it so.
                let cached = unsafe { heap.cached(c) };
                row.cached += cached.blocks;
                ahead += cached.ahead;
            }
        }
        ahead
    }

    /// Bytes of our own records: what was taken of the store, and the part of
    /// the chunks' records that open chunks use.
    pub(crate) fn metadata(&self) -> usize {
        let chunks = self.arena.chunks().count();
        self.arena.meta.bytes()
            + chunks * size_of::<crate::arena::Chunk>()
            + self.sampler.sites.bytes()
    }

    /// The figures that cost no walk.
    fn totals(&self, stats: &mut Stats) {
        let kernel = &self.arena.kernel;
        stats.peak_allocated = self.live.peak().max(stats.allocated);
        stats.allocations = self.others.get();
        for heap in self.heaps() {
            stats.allocations += heap.installed();
            stats.remote_frees += heap.remote_frees();
            stats.copied += heap.copied.get();
        }
        stats.threads = self.threads.get();
        stats.peak_threads = self.threads.peak();
        stats.system_calls = kernel.calls();
        stats.system_nanoseconds = kernel.time() as u64;
        stats.purged = kernel.purged();
        // ORDERING: Relaxed, a figure.
        stats.copied += self.copied.load(Ordering::Relaxed);
    }
}
