//! The profiler's tables: who holds what, as far as the samples tell.
//!
//! ```text
//!   an address --> sample --> site --> stack --> words
//!                  live       sums     once      program counters, once for each stack
//! ```
//!
//! A *site* is a stack, a block size, a label and a thread; it holds sums. A
//! *sample* is one object that is alive and was taken. The tables are arrays,
//! made when the first sample is: a process that is not sampled has
//! none. They lie there as a dump holds them (`dump.rs`), so a dump is the arrays as they
//! are, and a reader from outside, who finds them through a [`Root`], needs no help of
//! ours. The first rows are together on a few pages; a process with more moves to
//! a reservation that is touched only as far as it is used (`place.rs`).
//!
//! When the sites run out, what has no place any more is summed in the first one,
//! which has no stack. A thread gets none of its own past an eighth of the sites, nor, but
//! for the one that took the first sample, when those that there are take more than 96 KiB
//! and a hundredth of what the process has held: a few hundred short threads took 1.9 MiB
//! of sites in a program of 20 (2026-11-30), and a million would take ten.
//!
//! # Peaks
//!
//! To note at each new peak what every site holds would visit them all. Instead
//! a new peak raises the *epoch*, and a site that is about to change and whose own
//! epoch has passed copies what is live to its peak first: it has not changed
//! since that peak. Readers do the same for what never changed afterwards.
//!
//! # Time
//!
//! History and moments have a fixed number of points. When they are full every
//! second one is dropped, and the time between two doubles.
//!
//! # Invariants
//!
//! * ST1. Rows are written under the lock. They move once, all of them, and where they
//!   were stays as it is, for who reads without the lock or from outside.
//! * ST2. A sample in the index is of an object that the program holds: it is taken
//!   out before the object's memory can be handed out again.
//! * ST3. A site's `live` is the sum over the samples that name it.
//!
//! # Signals
//!
//! A handler above a holder of the lock can't have it: what it would have entered
//! is dropped and counted, and what it frees is remembered in [`Late`], for the
//! next holder to take out before it does anything else (ST2).
#![allow(unsafe_code)]

mod column;
mod index;
mod lookup;
mod place;
mod rows;
mod time;

use crate::dump::{Header, Kind, Moment, Root, Site, TABLES, Table};
use crate::odds::Weight;
use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Lock, Ordering, Rank};
use column::Column;
use core::ptr;
use index::Index;

/// Frames of a stack that are kept.
pub(crate) const DEPTH: usize = 128;
/// Points of [`Kind::Moments`].
const MOMENTS: usize = 128;
/// Milliseconds between two points at the beginning.
const MOMENT_STEP: u64 = 50;
const HISTORY_STEP: u64 = 250;
/// Objects that handlers freed above a holder of the lock, at one time.
const LATE: usize = 32;
/// Bytes of sites that threads get of their own in any process.
const OF_THREADS: usize = 96 << 10;
/// In a process that has held more, one byte for so many of these.
const HELD_FOR: u64 = 100;
/// What 32-bit systems, and systems that refuse the whole, get of it: 1/16.
const LESS: u32 = 4;

/// What a table has room for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) sites: usize,
    pub(crate) stacks: usize,
    pub(crate) words: usize,
    pub(crate) samples: usize,
    pub(crate) labels: usize,
}

impl Room {
    /// As much as anybody has needed, and more.
    pub(crate) const FULL: Self = Self {
        sites: 32 << 10,
        stacks: 32 << 10,
        words: 2 << 20,
        samples: 128 << 10,
        labels: 256 << 10,
    };

    const fn less(self, shift: u32) -> Self {
        Self {
            sites: self.sites >> shift,
            stacks: self.stacks >> shift,
            words: self.words >> shift,
            samples: self.samples >> shift,
            labels: self.labels >> shift,
        }
    }
}

/// One object that is alive and was taken.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    address: u64,
    /// Bytes that it holds, and bytes of these that were asked for.
    size: u64,
    asked: u64,
    /// What it stands for.
    count: u64,
    bytes: u64,
    /// When it was taken, in nanoseconds of the precise clock.
    at: u64,
    /// The thread's pointer, to know it again.
    thread: u64,
    /// The private heap that it lies in, or 0. In an unused row: where its object was.
    owner: u64,
    site: u32,
    /// In an unused row: one more than the number of the next.
    next: u32,
}

/// One stack.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stack {
    words: u32,
    depth: u16,
    truncated: u16,
}

/// An object that was taken, as its allocation sees it.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    pub(crate) address: usize,
    pub(crate) size: usize,
    pub(crate) asked: usize,
    /// What [`Site::block_size`] says.
    pub(crate) block_size: usize,
    pub(crate) weight: Weight,
    pub(crate) at: u64,
    pub(crate) stack: &'a [usize],
    pub(crate) truncated: bool,
    pub(crate) label: u32,
    /// As the kernel numbers it.
    pub(crate) thread: u32,
    /// This thread's pointer.
    pub(crate) pointer: usize,
    /// The private heap that is to go with everything in it.
    pub(crate) owner: usize,
}

/// What the process is at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) live: u64,
    pub(crate) resident: u64,
    pub(crate) retained: u64,
}

/// The tables.
#[derive(Debug)]
pub(crate) struct Sites {
    lock: Lock,
    room: Room,
    /// The first mapping, once there is one, and its length.
    base: AtomicPtr<u8>,
    len: AtomicUsize,
    /// The same of the reservation that follows it.
    wide: AtomicPtr<u8>,
    wide_len: AtomicUsize,
    /// There will be no tables any more.
    retired: AtomicBool,
    /// Who reads the tables without the lock.
    readers: AtomicUsize,
    sites: Column<Site>,
    site_count: AtomicUsize,
    site_index: Index,
    stacks: Column<Stack>,
    stack_count: AtomicUsize,
    stack_index: Index,
    words: Column<u64>,
    word_count: AtomicUsize,
    samples: Column<Sample>,
    sample_count: AtomicUsize,
    sample_index: Index,
    /// One more than the number of the first unused row of the samples.
    unused: AtomicU32,
    labels: Column<u8>,
    label_bytes: AtomicUsize,
    label_count: AtomicU32,
    moments: Column<Moment>,
    moment_count: AtomicUsize,
    moment_step: AtomicU64,
    history: Column<u64>,
    history_count: AtomicUsize,
    history_step: AtomicU64,
    header: Column<Header>,
    /// When the next point is due, by the coarse clock.
    due: AtomicU64,
    late: [AtomicUsize; LATE],
    /// There may be some in it.
    is_late: AtomicBool,
    epoch: AtomicU64,
    /// Bytes that the live samples stand for, the most of it, and when it was.
    live: AtomicU64,
    peak: AtomicU64,
    pub(crate) taken: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) truncated: AtomicU64,
    /// Live samples.
    pub(crate) alive: AtomicUsize,
    /// Where the tables are shown to readers from outside, if anywhere.
    root: AtomicPtr<Root>,
}

/// What this process shows. In the data that the file brings with it: readers from
/// outside look there.
#[unsafe(link_section = ".data.allod_root")]
pub(crate) static ROOT: Root = Root {
    magic: AtomicU64::new(0),
    header: AtomicU64::new(0),
    tables: [const {
        Table {
            kind: AtomicU32::new(0),
            record: AtomicU32::new(0),
            address: AtomicU64::new(0),
            count: AtomicU64::new(0),
        }
    }; TABLES],
};

/// Somebody reads the tables.
#[derive(Debug)]
pub(crate) struct Reading<'a>(&'a Sites);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        // ORDERING: Release, what was read comes before.
        self.0.readers.fetch_sub(1, Ordering::Release);
    }
}

impl Sites {
    pub(crate) const fn new() -> Self {
        let room = if cfg!(target_pointer_width = "64") { Room::FULL } else { Room::FULL.less(LESS) };
        Self::with_room(room)
    }

    const fn with_room(room: Room) -> Self {
        Self {
            lock: Lock::new(Rank::Sites),
            room,
            base: AtomicPtr::new(ptr::null_mut()),
            len: AtomicUsize::new(0),
            wide: AtomicPtr::new(ptr::null_mut()),
            wide_len: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
            readers: AtomicUsize::new(0),
            sites: Column::new(),
            site_count: AtomicUsize::new(0),
            site_index: Index::new(),
            stacks: Column::new(),
            stack_count: AtomicUsize::new(0),
            stack_index: Index::new(),
            words: Column::new(),
            word_count: AtomicUsize::new(0),
            samples: Column::new(),
            sample_count: AtomicUsize::new(0),
            sample_index: Index::new(),
            unused: AtomicU32::new(0),
            labels: Column::new(),
            label_bytes: AtomicUsize::new(0),
            label_count: AtomicU32::new(0),
            moments: Column::new(),
            moment_count: AtomicUsize::new(0),
            moment_step: AtomicU64::new(MOMENT_STEP),
            history: Column::new(),
            history_count: AtomicUsize::new(0),
            history_step: AtomicU64::new(HISTORY_STEP),
            header: Column::new(),
            due: AtomicU64::new(0),
            late: [const { AtomicUsize::new(0) }; LATE],
            is_late: AtomicBool::new(false),
            epoch: AtomicU64::new(0),
            live: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            truncated: AtomicU64::new(0),
            alive: AtomicUsize::new(0),
            root: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The lock, for `fork`.
    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Has the tables shown at `root` once they are there.
    pub(crate) fn show_at(&self, root: &'static Root) {
        let root = ptr::from_ref(root).cast_mut();
        // ORDERING: Release pairs with the Acquire in `show`.
        self.root.store(root, Ordering::Release);
    }

    /// True once there are tables.
    pub(crate) fn is_there(&self) -> bool {
        // ORDERING: Acquire pairs with the Release in `open`: the columns are placed.
        !self.base.load(Ordering::Acquire).is_null()
    }

    /// For whoever reads the tables without the lock, as long as they do.
    pub(crate) fn reading(&self) -> Reading<'_> {
        // ORDERING: AcqRel pairs with the exchange in `retire`.
        self.readers.fetch_add(1, Ordering::AcqRel);
        Reading(self)
    }

    /// Tells readers from outside where the tables are and how far they are filled.
    fn show(&self) {
        // ORDERING: Acquire pairs with the Release in `show_at`.
        let root = self.root.load(Ordering::Acquire);
        // SAFETY: null, or a static.
        let Some(root) = (unsafe { root.as_ref() }) else { return };
        for ((kind, record, address, count), table) in self.tables().into_iter().zip(&root.tables) {
            // ORDERING: Relaxed on all four, published by the magic.
            table.record.store(record, Ordering::Relaxed);
            // ORDERING: Relaxed, as above.
            if table.address.load(Ordering::Relaxed) != address {
                // No reader takes the rows of one place for those of another.
                // ORDERING: Release, before the address.
                table.count.store(0, Ordering::Release);
            }
            // ORDERING: Release, behind the count of 0.
            table.address.store(address, Ordering::Release);
            // ORDERING: Release, so that rows are whole before they are counted.
            table.count.store(count, Ordering::Release);
            // ORDERING: Relaxed, as above.
            table.kind.store(kind as u32, Ordering::Relaxed);
        }
        // ORDERING: Relaxed, published by the magic.
        root.header.store(self.header.address() as u64, Ordering::Relaxed);
        // ORDERING: Release, the reader takes a root with its magic for filled in.
        root.magic.store(crate::dump::ROOT_MAGIC, Ordering::Release);
    }

    fn tables(&self) -> [(Kind, u32, u64, u64); 5] {
        // ORDERING: Acquire, so that the rows counted are whole.
        let n = |count: &AtomicUsize| count.load(Ordering::Acquire) as u64;
        let word = size_of::<u64>() as u32;
        [
            (Kind::Sites, size_of::<Site>() as u32, self.sites.address() as u64, n(&self.site_count)),
            (Kind::Words, word, self.words.address() as u64, n(&self.word_count)),
            (Kind::Labels, 1, self.labels.address() as u64, n(&self.label_bytes)),
            (Kind::History, word, self.history.address() as u64, n(&self.history_count)),
            (
                Kind::Moments,
                size_of::<Moment>() as u32,
                self.moments.address() as u64,
                n(&self.moment_count),
            ),
        ]
    }
}

/// See [`Sites::counts`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sites: usize,
    pub(crate) words: usize,
    pub(crate) labels: usize,
    pub(crate) moments: usize,
    pub(crate) history: usize,
}

#[cfg(test)]
mod tests;
