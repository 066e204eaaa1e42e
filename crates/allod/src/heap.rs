//! Heaps: what a thread allocates from.
//!
//! ```text
//!                 pop                          push
//!   alloc(c) <------------ alloc[c]   free[c] <------------ free(block)
//!                             ^          |
//!                   dry: swap |          | no room left: flush
//!                             +----------+-----> the blocks' spans
//!                             ^                        |
//!                             +---- refill ------------+
//!                                   current span, spans with free blocks,
//!                                   the depot, fresh slices
//! ```
//!
//! The *front* is two lists for each class: one that allocations only pop, one
//! that frees only push. Neither keeps a count; `room` counts the pushes down.
//! One list for both would be simpler and slower: with one live object, a pop
//! right after a push waits for the store (11.4 against 5.4 ns a pair,
//! measured 2026-11-21).
//!
//! Behind the front stand the *bins*: for each class the span that is being
//! used up and the ones with free blocks. And beside it the *ring*: blocks of
//! other heaps, gathered span by span, so that sixteen or thirty of them go
//! home with one compare-and-swap. At the hardened levels the front stays empty, and
//! a thread allocates from the *locker* that hangs on its heap (`heap/hard.rs`).
//!
//! # Life of a heap
//!
//! Made for a thread at its first allocation, or adopted from one that is
//! gone, with everything in it. Left behind when the thread exits, and then
//! adopted by the next new thread, or, when none comes, drained by whoever
//! passes by. The records of heaps are never unmapped.
//!
//! # Invariants
//!
//! * P1. The front, the ring, what is kept aside (P6), the countdowns, the label and the
//!   plain counts of the slow paths are touched by the owning thread alone (or by the
//!   adopter of a heap that has none), without a lock. A private heap has no such thread:
//!   what it uses of them is under its lock.
//! * P2. The bins, the lists of a private heap, and the plain fields of owned spans are
//!   touched under the lock; the links between idle heaps under theirs. What a heap is
//!   known by (its key, its locker, the next heap) is written before anybody knows it.
//! * P3. A block on a front list counts as out: its span can't be emptied.
//! * P4. Entries in the map with a heap's key were set by that heap. A block whose
//!   entry says so may enter the front's lists; whether its span is still the
//!   heap's, the span's word tells when the list is flushed.
//! * P5. A private heap has no front and no ring, and its spans' entries are 0.
//! * P6. While a class has a `rest`, a sample is due, or a look at the clock was when the
//!   rest was kept aside; its `alloc` list is what comes before. The blocks of the rest are
//!   out, as those of the front are (P3).
//!
//! # Signals
//!
//! A handler that allocates while its thread is in a slow path finds the lock
//! held by its own thread and goes to a common heap (`heap/common.rs`).
#![allow(unsafe_code)]

pub(crate) mod adopt;
#[cfg(any(test, fuzzing, audit))]
mod check;
pub(crate) mod common;
mod filling;
pub(crate) mod free;
pub(crate) mod hard;
pub(crate) mod private;
pub(crate) mod refill;
mod ring;
pub(crate) mod sampled;
pub(crate) mod walk;
mod watch;

use crate::arena::{Arena, Chunk};
use crate::block::{self, Block};
use crate::config::Level;
use crate::depot::Depot;
use crate::depot::stack::Stack;
use crate::guarded::Guarded;
use crate::harden::Harden;
use crate::harden::locker::Locker;
use crate::huge::{Huge, HugeObjects};
use crate::map::Map;
use crate::nothing::Nothing;
use crate::os::Os;
use crate::sample::{Countdown, Sampler};
use crate::size::{self, CLASSES, SizeClass};
use crate::span::Span;
use crate::sync::{
    AtomicPtr, AtomicU16, AtomicU32, AtomicUsize, Gauge, Lock, Ordering, Rank, Tally,
};
use core::cell::Cell;
use core::ptr::{self, NonNull};
use ring::Ring;

/// Classes above this one have 8-byte blocks among them or are odd sizes that
/// only Rust layouts ask for; the C face never meets them on its fast path.
pub(crate) const C_CLASSES: usize = size::FIRST_ODD;
/// Most objects with pages of their own at a time: where each object is to have some
/// (two of the process's 65,530 mappings each), and where few are.
const MOST_GUARDED: usize = 16_000;
const MOST_SAMPLED: usize = 64;
/// A key that no heap has. All are below 2^23: entries of the map with the highest bit are
/// those of spans of slots (`harden/table.rs`).
const NO_KEY: u32 = 0x7F_FFFF;

/// What the fast paths touch.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Front {
    alloc: [Cell<*mut Block>; CLASSES],
    free: [Cell<*mut Block>; CLASSES],
    /// What the map says of a block of ours, class by class.
    own: [Cell<u32>; CLASSES],
    /// `own` of class 0: the key in its place.
    key: Cell<u32>,
    /// What the marks of free blocks are mixed with (F2).
    secret: Cell<usize>,
    room: [Cell<u8>; CLASSES],
    /// The C face's class table, here so that one register reaches all.
    by_16: [u8; size::BY_16.len()],
}

impl Front {
    const fn new() -> Self {
        Self {
            alloc: [const { Cell::new(ptr::null_mut()) }; CLASSES],
            free: [const { Cell::new(ptr::null_mut()) }; CLASSES],
            own: [const { Cell::new(NO_KEY << 8 | 0xFF) }; CLASSES],
            key: Cell::new(NO_KEY << 8),
            secret: Cell::new(0),
            room: [const { Cell::new(1) }; CLASSES],
            by_16: size::BY_16,
        }
    }

    /// The C face's class of a size up to `TABLE_MAX`.
    #[inline(always)]
    pub(crate) fn class_by_16(&self, size: usize) -> usize {
        // SAFETY: the caller has compared `size` with `TABLE_MAX`.
        usize::from(unsafe { *self.by_16.get_unchecked((size + 15) >> 4) })
    }

    /// Takes a block of class `c`, which is below `CLASSES`. Null when the list is dry.
    #[inline(always)]
    pub(crate) fn pop(&self, c: usize) -> *mut Block {
        // SAFETY: `c` is a class.
        let list = unsafe { self.alloc.get_unchecked(c) };
        let Some(block) = NonNull::new(list.get()) else { return ptr::null_mut() };
        // SAFETY: blocks on our list are free and ours (F1, P1).
        list.set(unsafe { block::next(block) });
        if block::CHECKED && c != EIGHT {
            // SAFETY: as above, and of 16 bytes or more.
            unsafe { block::unmark(block) };
        }
        block.as_ptr()
    }

    /// The class of a block by its entry in the map; `C_CLASSES` or more when
    /// the block is not this heap's, or not for the C face's fast path.
    #[inline(always)]
    pub(crate) fn class_of_entry(&self, entry: u32) -> usize {
        (entry ^ self.key.get()) as usize
    }

    /// The entry of which [`Front::class_of_entry`] has made `c`.
    #[inline(always)]
    pub(crate) fn entry_of_class(&self, c: usize) -> u32 {
        c as u32 ^ self.key.get()
    }

    /// True when `entry` says that the block is this heap's and of class `c`.
    #[inline(always)]
    pub(crate) fn owns(&self, entry: u32, c: usize) -> bool {
        // SAFETY: `c` is a class.
        entry == unsafe { self.own.get_unchecked(c) }.get()
    }

    /// True when the block was freed before: it carries its mark.
    ///
    /// # Safety
    ///
    /// `block` is in a span of class `c` of this heap.
    #[inline(always)]
    pub(crate) unsafe fn is_free(&self, block: NonNull<Block>, c: usize) -> bool {
        // SAFETY: the caller's promise; blocks of 8 bytes have no mark.
        block::CHECKED && c != EIGHT && unsafe { block::is_marked(block, self.secret.get()) }
    }

    /// Puts a block of class `c` onto the free list. True when there is no room
    /// left, and the caller must flush.
    ///
    /// # Safety
    ///
    /// The program has given the block up, and the map says that it is ours and
    /// of class `c` (P4).
    #[inline(always)]
    pub(crate) unsafe fn push(&self, block: NonNull<Block>, c: usize) -> bool {
        if block::CHECKED && c != EIGHT {
            // SAFETY: the block is ours now.
            unsafe { block::mark(block, self.secret.get()) };
        }
        // SAFETY: `c` is a class.
        let list = unsafe { self.free.get_unchecked(c) };
        // SAFETY: the block is ours now.
        unsafe { block::set_next(block, list.get()) };
        list.set(block.as_ptr());
        // SAFETY: `c` is a class.
        let room = unsafe { self.room.get_unchecked(c) };
        room.set(room.get().wrapping_sub(1));
        room.get() == 0
    }
}

/// The class of 8-byte blocks: the only one without marks.
pub(crate) const EIGHT: usize = size::FIRST_ODD;
const _: () = assert!(SizeClass::from_index(EIGHT).size() == 8, "EIGHT is the class of 8 bytes");

/// A heap's spans of one class that have something to give.
#[derive(Debug)]
struct Bin {
    /// The span in use. Not on the list.
    current: Cell<*const Span>,
    /// The others with free blocks.
    first: Cell<*const Span>,
    count: Cell<u32>,
    /// Spans used up: from the second on the class is known to fill what it takes.
    filled: Cell<u32>,
}

/// Who uses a heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Use {
    /// A thread.
    Thread = 0,
    /// Nobody: its thread is gone.
    Orphan = 1,
    /// Whoever has a reference: a private heap.
    Private = 2,
    /// Nobody: a private heap that was destroyed, and may be made again.
    Unused = 3,
    /// Every thread that has no heap: a private heap that nobody destroys.
    Common = 4,
    /// Nobody: its thread is gone, and it is on no list of those yet.
    Left = 5,
    /// Whoever drains it: its thread is gone.
    Draining = 6,
}

/// A heap.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Heap {
    pub(crate) front: Front,
    lock: Lock,
    key: Cell<u32>,
    in_use: AtomicU32,
    bins: [Bin; CLASSES],
    ring: Ring,
    /// Where slices were last found: for spans of rare classes, and for others.
    home: [Cell<*const Chunk>; 2],
    ticks: Cell<u32>,
    /// Bytes that went out and came back since the process's sum was last told.
    drift: Cell<isize>,
    /// Blocks put on the alloc list, ever.
    installed: Gauge,
    /// Blocks freed for other heaps, ever.
    remote_frees: Gauge,
    /// Bytes that moves between blocks of this heap have copied, ever.
    pub(crate) copied: Gauge,
    /// Slow paths taken, ever: a heap whose count stands still is asleep.
    visits: Gauge,
    seen_visits: Cell<usize>,
    /// All heaps, newest first.
    next_heap: Cell<*const Heap>,
    /// Orphans, or unused private heaps.
    next_idle: Cell<*const Heap>,
    /// When its thread left it; while it is drained, by which thread.
    idle_since: Cell<u64>,
    /// The thread was lost in a fork, and nobody has had the heap since.
    lost: Cell<bool>,
    /// A private heap's spans that strangers freed into when they were full.
    returned: Stack,
    /// A private heap's spans with nothing left, its large, and its huge objects.
    full: Cell<*const Span>,
    large: Cell<*const Span>,
    huge: Cell<*mut Huge>,
    /// The slots in hand, at the hardened levels (`heap/hard.rs`).
    locker: Cell<*const Locker>,
    /// Objects until the next guarded one, and what its number is rolled with.
    guard_in: Cell<u32>,
    guard_dice: Cell<u32>,
    /// What is kept aside of the front's lists, behind samples that are due (P6).
    rest: [Cell<*mut Block>; CLASSES],
    rest_count: [Cell<u16>; CLASSES],
    /// Allocations to come that look at the clock, and since when (`heap/watch.rs`).
    watch: Cell<u32>,
    watch_since: Cell<u32>,
    /// Slices to be taken before the next sweep, and the class that the last one ended with.
    sweep_in: Cell<usize>,
    swept: Cell<usize>,
    /// Blocks that were on the front and in the rest when a list was last installed.
    listed: [AtomicU16; CLASSES],
    countdowns: [Countdown; CLASSES],
    /// What the thread's samples are labelled with.
    label: Cell<u32>,
    /// As the kernel numbers the thread.
    thread: AtomicU32,
    /// The thread is writing a sample down.
    sampling: Cell<bool>,
    /// A private heap has, or had, samples in it.
    watched: AtomicU32,
}

const _: () = assert!(size_of::<Heap>() <= 6 << 10, "what a thread costs, ARCHITECTURE.md says");

// SAFETY: P1 and P2 say which thread touches which cells, and when.
unsafe impl Sync for Heap {}

impl Heap {
    /// A heap that has nothing and owns nothing: where a thread without a heap
    /// points. Every fast path on it ends in the slow path.
    pub(crate) const fn empty() -> Self {
        Self {
            front: Front::new(),
            lock: Lock::new(Rank::Heap),
            key: Cell::new(NO_KEY),
            in_use: AtomicU32::new(Use::Unused as u32),
            bins: [const {
                Bin {
                    current: Cell::new(ptr::null()),
                    first: Cell::new(ptr::null()),
                    count: Cell::new(0),
                    filled: Cell::new(0),
                }
            }; CLASSES],
            ring: Ring::new(),
            home: [const { Cell::new(ptr::null()) }; 2],
            ticks: Cell::new(0),
            drift: Cell::new(0),
            installed: Gauge::new(),
            remote_frees: Gauge::new(),
            copied: Gauge::new(),
            visits: Gauge::new(),
            seen_visits: Cell::new(0),
            next_heap: Cell::new(ptr::null()),
            next_idle: Cell::new(ptr::null()),
            idle_since: Cell::new(0),
            lost: Cell::new(false),
            returned: Stack::new(),
            full: Cell::new(ptr::null()),
            large: Cell::new(ptr::null()),
            huge: Cell::new(ptr::null_mut()),
            locker: Cell::new(ptr::null()),
            guard_in: Cell::new(0),
            guard_dice: Cell::new(0),
            rest: [const { Cell::new(ptr::null_mut()) }; CLASSES],
            rest_count: [const { Cell::new(0) }; CLASSES],
            watch: Cell::new(0),
            watch_since: Cell::new(0),
            sweep_in: Cell::new(0),
            swept: Cell::new(0),
            listed: [const { AtomicU16::new(0) }; CLASSES],
            countdowns: [const { Countdown::new() }; CLASSES],
            label: Cell::new(0),
            thread: AtomicU32::new(0),
            sampling: Cell::new(false),
            watched: AtomicU32::new(0),
        }
    }

    fn bin(&self, class: SizeClass) -> &Bin {
        let [first, ..] = &self.bins;
        self.bins.get(class.index()).unwrap_or(first)
    }

    /// True for a first-class heap (P5).
    pub(crate) fn is_private(&self) -> bool {
        // ORDERING: Relaxed, it changes only while nobody else knows the heap.
        let in_use = self.in_use.load(Ordering::Relaxed);
        in_use == Use::Private as u32 || in_use == Use::Common as u32
    }

    /// True for one of the heaps of threads that have none.
    fn is_common(&self) -> bool {
        // ORDERING: Relaxed, as in `is_private`.
        self.in_use.load(Ordering::Relaxed) == Use::Common as u32
    }

    /// True while a thread uses it as its own.
    fn is_a_threads(&self) -> bool {
        // ORDERING: Relaxed, a figure for whoever asks about another thread's heap.
        self.in_use.load(Ordering::Relaxed) == Use::Thread as u32
    }

    /// The `heap` field of this heap's spans and objects.
    fn owner_field(&self) -> *mut () {
        if self.is_private() { ptr::from_ref(self).cast_mut().cast() } else { ptr::null_mut() }
    }

    /// The entry in the map for this heap's spans of `class`.
    fn entry(&self, class: SizeClass) -> u32 {
        if self.is_private() { 0 } else { self.key.get() << 8 | class.index() as u32 }
    }
}

/// The allocator: everything that one process, or one test, shares. What every process
/// writes to comes first, and the tables by class last: it lies together.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Allocator<O> {
    pub(crate) arena: Arena<O>,
    pub(crate) nothing: Nothing,
    /// All heaps ever made, newest first.
    heaps: AtomicPtr<Heap>,
    next_key: AtomicU32,
    /// Guards the three lists below.
    idle_lock: Lock,
    orphans: Cell<*const Heap>,
    drained: Cell<*const Heap>,
    unused: Cell<*const Heap>,
    orphan_count: AtomicUsize,
    drained_count: AtomicUsize,
    /// Serve threads that are young, or past their end, and handlers above a slow
    /// path. Made when they are needed, the first one first.
    commons: [AtomicPtr<Heap>; common::COMMONS],
    /// Where sampled blocks come from.
    sampled: AtomicPtr<Heap>,
    /// Who calls, where a heap that is not its thread's serves.
    caller: AtomicPtr<()>,
    pub(crate) sampler: Sampler,
    secret: AtomicUsize,
    /// Held from before a fork until after it: outermost of all.
    forking: Lock,
    /// The ranks that the thread which forks had before. Its own, while it holds `forking`.
    fork_held: AtomicU32,
    /// The newest heap when the locks were taken for a fork.
    fork_from: AtomicPtr<Heap>,
    /// The next heap to look at for sleepers.
    patrol: AtomicPtr<Heap>,
    patrol_due: AtomicUsize,
    /// Bytes out of spans and in large and huge objects.
    pub(crate) live: Tally,
    /// Threads with a heap.
    pub(crate) threads: Tally,
    /// Large and huge objects handed out, and blocks of private heaps.
    pub(crate) others: Gauge,
    /// Bytes that `realloc` copied, moves between blocks of one heap apart.
    pub(crate) copied: AtomicUsize,
    /// Called at every upkeep, if anybody wants to know.
    herald: AtomicPtr<()>,
    /// The child of a fork has not yet looked for spans that its parent's other
    /// threads had in hand.
    pub(crate) unrepaired: AtomicU32,
    pub(crate) guarded: Guarded,
    pub(crate) huge: HugeObjects,
    pub(crate) harden: Harden,
    filling: filling::Filling,
    pub(crate) depot: Depot,
}

// SAFETY: the cells are touched under `idle_lock`.
unsafe impl<O: Sync> Sync for Allocator<O> {}

impl<O: Os> Allocator<O> {
    pub(crate) const fn new(os: O, map: Map) -> Self {
        Self {
            arena: Arena::new(os, map),
            filling: filling::Filling::new(),
            depot: Depot::new(),
            huge: HugeObjects::new(),
            nothing: Nothing::new(),
            harden: Harden::new(),
            guarded: Guarded::new(),
            heaps: AtomicPtr::new(ptr::null_mut()),
            next_key: AtomicU32::new(1),
            idle_lock: Lock::new(Rank::Idle),
            orphans: Cell::new(ptr::null()),
            drained: Cell::new(ptr::null()),
            unused: Cell::new(ptr::null()),
            orphan_count: AtomicUsize::new(0),
            drained_count: AtomicUsize::new(0),
            commons: [const { AtomicPtr::new(ptr::null_mut()) }; common::COMMONS],
            sampled: AtomicPtr::new(ptr::null_mut()),
            caller: AtomicPtr::new(ptr::null_mut()),
            sampler: Sampler::new(),
            secret: AtomicUsize::new(0),
            forking: Lock::new(Rank::Fork),
            fork_held: AtomicU32::new(0),
            fork_from: AtomicPtr::new(ptr::null_mut()),
            patrol: AtomicPtr::new(ptr::null_mut()),
            patrol_due: AtomicUsize::new(0),
            live: Tally::new(),
            threads: Tally::new(),
            others: Gauge::new(),
            copied: AtomicUsize::new(0),
            herald: AtomicPtr::new(ptr::null_mut()),
            unrepaired: AtomicU32::new(0),
        }
    }

    /// Has `tell` called at every upkeep.
    pub(crate) fn set_herald(&self, tell: fn()) {
        // ORDERING: Release pairs with the Acquire in `herald`.
        self.herald.store(tell as *mut (), Ordering::Release);
    }

    /// Tells whoever wants to know that the figures have changed.
    #[inline]
    pub(crate) fn herald(&self) {
        // ORDERING: Acquire pairs with the Release in `set_herald`.
        let tell = self.herald.load(Ordering::Acquire);
        if !tell.is_null() {
            // SAFETY: `set_herald` stored a function of this shape and nothing else.
            let tell = unsafe { core::mem::transmute::<*mut (), fn()>(tell) };
            tell();
        }
    }

    /// Makes the allocator ready. False when the system refuses what it needs.
    pub(crate) fn open(
        &self,
        arena: crate::arena::Policy,
        huge: crate::huge::Policy,
        level: Level,
    ) -> bool {
        let [a, b] = self.arena.kernel.entropy();
        // Odd, so that it is never 0 and a zeroed word is never a mark of address 0.
        let secret = (a ^ b.rotate_left(17)) as usize | 1;
        // ORDERING: Relaxed, published with the open allocator by the caller.
        self.secret.store(secret, Ordering::Relaxed);
        self.harden.open(level.hard, level.guard_rate != 0, b ^ a.rotate_left(32));
        let most = if level.exact { MOST_GUARDED } else { MOST_SAMPLED };
        self.guarded.open(level.guard_rate, level.exact, most);
        self.huge.open(huge);
        self.sampler.open(&self.arena.kernel);
        if !self.arena.open(arena) {
            return false;
        }
        if level.hard {
            // A page that no other process writes to.
            self.harden.reach(self.arena.map.landmark());
        }
        true
    }

    /// What the marks of free blocks are mixed with (F2).
    pub(crate) fn secret(&self) -> usize {
        // ORDERING: Relaxed, set once at `open`.
        self.secret.load(Ordering::Relaxed)
    }

    /// Visits all heaps.
    pub(crate) fn heaps(&self) -> impl Iterator<Item = &Heap> {
        // ORDERING: Acquire pairs with the Release in `register`.
        let mut at: *const Heap = self.heaps.load(Ordering::Acquire);
        core::iter::from_fn(move || {
            // SAFETY: null, or a heap: heaps are never unmapped.
            let heap = unsafe { at.as_ref() }?;
            at = heap.next_heap.get();
            Some(heap)
        })
    }

    /// The heap that `field` of a span or object names; `None` for the threads' heaps.
    fn private_owner(&self, field: *mut ()) -> Option<&Heap> {
        // SAFETY: null, or a private heap: heaps are never unmapped.
        unsafe { field.cast::<Heap>().as_ref() }
    }

    /// A new heap, from fresh memory.
    fn make_heap(&self, in_use: Use) -> Option<&Heap> {
        let size = size_of::<Heap>();
        let place = self.arena.meta.take(&self.arena.kernel, size, align_of::<Heap>())?;
        let place = place.cast::<Heap>();
        // ORDERING: Relaxed, only the number's uniqueness matters.
        let key = self.next_key.fetch_add(1, Ordering::Relaxed);
        if key >= NO_KEY {
            return None;
        }
        // SAFETY: fresh memory of the right size and alignment.
        unsafe { place.write(Heap::empty()) };
        // SAFETY: just written, and never unmapped.
        let heap: &Heap = unsafe { place.as_ref() };
        heap.key.set(key);
        // ORDERING: Relaxed, published by `register`.
        heap.in_use.store(in_use as u32, Ordering::Relaxed);
        heap.front.secret.set(self.secret());
        heap.front.key.set(key << 8);
        for (c, (own, room)) in heap.front.own.iter().zip(&heap.front.room).enumerate() {
            own.set(key << 8 | c as u32);
            room.set(SizeClass::from_index(c).room());
        }
        if !self.equip(heap) {
            return None;
        }
        self.register(heap);
        Some(heap)
    }

    fn register(&self, heap: &Heap) {
        // ORDERING: Relaxed, only linked to; the exchange publishes.
        let mut head = self.heaps.load(Ordering::Relaxed);
        loop {
            heap.next_heap.set(head);
            let new = ptr::from_ref(heap).cast_mut();
            // ORDERING: Release pairs with the Acquire in `heaps`: the heap is set up.
            match self.heaps.compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }

    /// The locks that are there at every level, but for the heaps', outermost first.
    pub(crate) fn locks(&self) -> [&Lock; 6] {
        let [purger, arena] = self.arena.locks();
        let (meta, sites) = (self.arena.meta.lock(), self.sampler.sites.lock());
        [&self.idle_lock, self.huge.lock(), purger, arena, meta, sites]
    }
}

impl Heap {
    /// Where slices for large objects and for classes that fill spans were last found.
    pub(crate) fn large_home(&self) -> &Cell<*const Chunk> {
        let [_, dense] = &self.home;
        dense
    }

    /// Tells the process's sum what went out and came back, when that is much.
    fn account<O: Os>(&self, a: &Allocator<O>, by: isize) {
        let drift = self.drift.get() + by;
        if drift.unsigned_abs() < 16 << 10 {
            self.drift.set(drift);
        } else {
            self.drift.set(0);
            a.live.shift(drift);
        }
    }

    /// Blocks handed out by this heap's front, the ones still on its lists included.
    pub(crate) fn installed(&self) -> usize {
        self.installed.get()
    }

    /// Blocks that this heap's thread freed for others.
    pub(crate) fn remote_frees(&self) -> usize {
        self.remote_frees.get()
    }
}


#[cfg(any(test, fuzzing))]
pub(crate) mod tests;
