//! The shared page: what a process tells `allod run` about itself.
//!
//! `allod run` makes one file in memory, names it in the environment variable
//! [`ENV`], and starts the program. Every process that has Allod inside maps
//! the file, takes the next free [`Slot`], and from then on keeps the numbers
//! in it current with plain atomic stores. Nothing is sent and nothing is
//! flushed, so the numbers are there after SIGKILL, `_exit` and `exec` alike.
//!
//! ```text
//!   0                    4096                 4096 + SLOT_SIZE
//!   +--------------------+--------------------+--------------------+---
//!   | Header             | Slot 0             | Slot 1             | ...
//!   +--------------------+--------------------+--------------------+---
//! ```
//!
//! A process that forks: the child takes a slot of its own. A process that
//! calls `exec`: the new image takes a new slot with the same pid, and the old
//! slot stays as it was, with the old image's name. When the slots run out the
//! header counts who came too late ([`Header::turned_away`]).
//!
//! # Invariants
//!
//! * PG1. A slot is taken once, by raising [`Header::taken`], and is never given back.
//! * PG2. After that only the process that took it writes it.
//! * PG3. All fields are atomics: the reader may look at any moment. Numbers that
//!   belong together may be from different moments, and each alone is whole.

#[cfg(shuttle)]
use crate::sync::{AtomicU8, AtomicU32, AtomicU64};
#[cfg(not(shuttle))]
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

/// The environment variable that names the file.
pub const ENV: &str = "ALLOD_PAGE";
/// `Header::magic`: "allodpg" and a version digit, in memory order.
pub const MAGIC: u64 = u64::from_le_bytes(*b"allodpg1");
/// Where the first slot starts, in bytes.
pub const HEADER_SIZE: usize = 4096;
/// Bytes of one slot.
pub const SLOT_SIZE: usize = 512;
/// Longest process name kept, in bytes.
pub const NAME_SIZE: usize = 64;

/// The first bytes of the file. `allod run` fills it in before anybody maps it.
#[repr(C)]
#[derive(Debug)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: AtomicU64,
    /// How many slots follow.
    pub slots: AtomicU32,
    /// How many of them are taken. May pass `slots`: then the rest was turned away.
    pub taken: AtomicU32,
}

impl Header {
    /// Processes that found no free slot.
    #[must_use]
    pub fn turned_away(&self) -> u32 {
        // ORDERING: Relaxed, a count for people; nothing is read on its strength.
        let taken = self.taken.load(core::sync::atomic::Ordering::Relaxed);
        // ORDERING: Relaxed, written before the file was shared.
        taken.saturating_sub(self.slots.load(core::sync::atomic::Ordering::Relaxed))
    }
}

/// What one process image says of itself. Sizes are in bytes, times in nanoseconds.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Slot {
    /// Process id; zero until the owner has filled in the rest.
    pub pid: AtomicU32,
    /// Parent's process id.
    pub parent: AtomicU32,
    /// 1: `liballod.so` serves malloc. 2: a Rust program's `#[global_allocator]`.
    pub face: AtomicU32,
    /// Threads that have a heap now.
    pub threads: AtomicU32,
    /// Most threads with a heap at one moment.
    pub peak_threads: AtomicU32,
    /// System page size of the process.
    pub page_size: AtomicU32,
    /// The program's name, padded with zeros.
    pub name: [AtomicU8; NAME_SIZE],
    /// Live bytes: in blocks that the program holds. Block sizes, not requests.
    pub live: AtomicU64,
    /// Most `live` at one moment.
    pub peak_live: AtomicU64,
    /// Blocks ever handed out.
    pub allocations: AtomicU64,
    /// Bytes of slices and mappings in use by spans and large objects.
    pub active: AtomicU64,
    /// Most `active` at one moment.
    pub peak_active: AtomicU64,
    /// Bytes of ours that are backed by memory, by our own count of touched slices.
    pub resident: AtomicU64,
    /// Most `resident` at one moment.
    pub peak_resident: AtomicU64,
    /// Bytes of address space reserved.
    pub mapped: AtomicU64,
    /// Free bytes kept touched for the next allocation.
    pub retained: AtomicU64,
    /// Bytes of our own records.
    pub metadata: AtomicU64,
    /// Bytes in free blocks that threads hold in their front lists.
    pub cached: AtomicU64,
    /// System calls made to get and give back memory.
    pub system_calls: AtomicU64,
    /// Time spent in them.
    pub system_time: AtomicU64,
    /// Bytes given back to the system, in all.
    pub purged: AtomicU64,
    /// Bytes of huge objects (own mappings) in use.
    pub huge: AtomicU64,
    /// Frees that came from a thread other than the block's owner.
    pub remote_frees: AtomicU64,
    /// 1 when the image ended by `exit` or by returning from `main`.
    pub ended: AtomicU32,
}

const _: () = assert!(size_of::<Slot>() <= SLOT_SIZE, "a slot fits its place");
const _: () = assert!(size_of::<Header>() <= HEADER_SIZE, "the header fits its place");
