//! The heap dump: what a process writes about the memory it holds.
//!
//! A process writes it with `write` alone, straight out of its tables, so it can
//! be written when there is no memory left, and in a signal handler. It holds
//! addresses and no names: `allod-profile` finds the names later, and makes a
//! profile for people and their tools out of it.
//!
//! ```text
//!   0         HEADER_SIZE
//!   +--------+-----------------+-----------------+-----------------+---
//!   | Header | Section, bytes  | Section, bytes  | Section, bytes  | ...
//!   +--------+-----------------+-----------------+-----------------+---
//!                               each padded with zeros to a multiple of 8
//! ```
//!
//! Everything is in the byte order and of the word sizes of the machine that
//! wrote it, but for the fields below, which are 64, 32 and 16 bits everywhere.
//! A reader takes a section's records to be as long as the section says, and
//! passes over sections and trailing fields that it does not know.
//!
//! # Weights
//!
//! Each sample stands for many allocations. `bytes` are estimates in bytes;
//! `count`s are estimates in units of 1/[`COUNT_UNIT`]. `squares` are the sums of
//! `weight * (weight - size)` over the samples, both in bytes, divided by
//! [`SQUARE_UNIT`]: the square root of `squares * SQUARE_UNIT` is one standard
//! deviation of `bytes`. An object so large that it is sure to be sampled adds nothing.
//!
//! # Invariants
//!
//! * D1. `Site::stack` and `Site::depth` are within the section [`Kind::Words`].
//! * D2. `Site::label` is 0 or the number, counted from 1, of a line in [`Kind::Labels`].
//! * D3. Every program counter is the return address of a call but the first of a
//!   stack, which may be the address of an instruction being executed: look up
//!   `pc - 1` for all of them.

#[cfg(shuttle)]
use crate::sync::{AtomicU32, AtomicU64};
#[cfg(not(shuttle))]
use core::sync::atomic::{AtomicU32, AtomicU64};

/// `Header::magic`: "allodhd" and a version digit, in memory order.
pub const MAGIC: u64 = u64::from_le_bytes(*b"allodhd1");
/// Where the first section starts, in bytes.
pub const HEADER_SIZE: usize = 256;
/// A count of one allocation.
pub const COUNT_UNIT: u64 = 1 << 10;
/// What the sums of squares are divided by.
pub const SQUARE_UNIT: u64 = 1 << 20;
/// Buckets of lifetimes: the first holds less than a microsecond, each next one
/// four times as much as the one before, the last one everything above.
pub const LIFETIMES: usize = 16;
/// Points of a site's history.
pub const HISTORY: usize = 24;
/// An object freed within this many microseconds is short-lived.
pub const SHORT_MICROSECONDS: u64 = 1000;

/// Why a dump was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum Reason {
    /// The program asked.
    Demand = 0,
    /// The process ends.
    Exit = 1,
    /// A signal came.
    Signal = 2,
    /// More memory was in use than ever before.
    Peak = 3,
    /// The system had no more memory.
    OutOfMemory = 4,
}

/// The first bytes of a dump. Sizes are in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: u64,
    /// A [`Reason`].
    pub reason: u32,
    /// Process id.
    pub pid: u32,
    /// Nanoseconds since 1970 when the allocator started.
    pub started: u64,
    /// Nanoseconds since then.
    pub elapsed: u64,
    /// Mean bytes between two samples, as it is now; 0 when nothing is sampled.
    pub interval: u64,
    /// Samples ever taken.
    pub samples: u64,
    /// Samples for which there was no room.
    pub dropped: u64,
    /// Samples whose stack could not be followed to its end.
    pub truncated: u64,
    /// System page size.
    pub page_size: u32,
    /// 1: `liballod.so`. 2: a Rust program's own.
    pub face: u32,
    /// The ledger: blocks and objects in the program's hands, block sizes.
    pub live: u64,
    /// Most of `live` at one moment.
    pub peak_live: u64,
    /// Nanoseconds since the start when that was.
    pub peak_at: u64,
    /// Bytes that the program asked for, of `live`: an estimate from the samples.
    pub requested: u64,
    /// Free blocks in spans.
    pub free_blocks: u64,
    /// Free blocks in threads' front lists.
    pub cached: u64,
    /// Parts of spans in use that were never carved.
    pub uncarved: u64,
    /// Free slices and freed huge objects kept for the next allocation.
    pub retained: u64,
    /// Our own records, the profiler's included.
    pub metadata: u64,
    /// Bytes of ours that have memory behind them.
    pub resident: u64,
    /// Most of `resident` at one moment.
    pub peak_resident: u64,
    /// Address space of ours.
    pub mapped: u64,
    /// Allocations ever: a count.
    pub allocations: u64,
    /// Frees by another thread than the owner: a count.
    pub remote_frees: u64,
    /// Threads that have a heap: a count.
    pub threads: u32,
    /// Most of them at one moment.
    pub peak_threads: u32,
    /// Bytes of the profiler's own tables, part of `metadata`.
    pub profiler: u64,
    /// Times that more was live than ever before, as far as the samples show.
    pub epoch: u64,
}

const _: () = assert!(size_of::<Header>() <= HEADER_SIZE, "the header fits its place");

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum Kind {
    /// Text: the program's file name as the kernel knows it (`/proc/self/exe`).
    Program = 1,
    /// Text: the words of the command line, each followed by a zero byte.
    Command = 2,
    /// Text: `/proc/self/maps`.
    Maps = 3,
    /// [`Module`] records.
    Modules = 4,
    /// Program counters, `u64` each: the stacks, innermost frame first.
    Words = 5,
    /// [`Site`] records.
    Sites = 6,
    /// [`Class`] records.
    Classes = 7,
    /// [`Thread`] records.
    Threads = 8,
    /// [`Moment`] records, oldest first.
    Moments = 9,
    /// Text: labels, each followed by a zero byte.
    Labels = 10,
    /// `u64` each: nanoseconds since the start of the points of sites' histories.
    History = 11,
    /// [`Occupancy`] records: how full the chunks' slices are.
    Occupancy = 12,
}

/// What stands before each section.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// A [`Kind`].
    pub kind: u32,
    /// Bytes of one record; 1 for text.
    pub record: u32,
    /// How many records follow.
    pub count: u64,
}

/// A file that is mapped with code in it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// Lowest address of the file's mappings.
    pub start: u64,
    /// One past the highest.
    pub end: u64,
    /// What is added to the file's own addresses to get those of the process.
    pub bias: u64,
    /// Bytes of `build_id` that count.
    pub build_id_len: u32,
    /// 1: this is the code of Allod itself, and nothing else.
    pub is_allod: u32,
    /// The note that identifies the file, `NT_GNU_BUILD_ID`.
    pub build_id: [u8; 32],
}

/// All samples of one stack, block size, label and allocating thread taken together.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// Index of the innermost program counter in the words.
    pub stack: u64,
    /// Program counters of the stack.
    pub depth: u32,
    /// Label of the task, or 0.
    pub label: u32,
    /// Bytes of a block; for large and huge objects a power of two at or above it.
    pub block_size: u64,
    /// Thread that allocated, as the kernel numbers it; 0 when the row is for several.
    pub thread: u32,
    /// 1: the stack's outer end was not reached.
    pub truncated: u32,
    /// Allocated ever: count, bytes, squares.
    pub allocated: [u64; 3],
    /// Live now: count, bytes, squares.
    pub live: [u64; 3],
    /// Live when the most was live in the process: count, bytes.
    pub peak: [u64; 2],
    /// Freed within [`SHORT_MICROSECONDS`]: count, bytes.
    pub short: [u64; 2],
    /// Freed by another thread: count, bytes.
    pub remote: [u64; 2],
    /// Bytes asked for, of what is live now.
    pub requested: u64,
    /// Counts of freed objects by lifetime.
    pub lifetimes: [u64; LIFETIMES],
    /// Live bytes at the points of the section [`Kind::History`].
    pub history: [u64; HISTORY],
    /// [`Header::epoch`] when `peak` was last right. When the header's has passed it,
    /// which it has in no dump but one taken from outside, the peak is what is live.
    pub epoch: u64,
}

/// One size class.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// Bytes of a block.
    pub block_size: u64,
    /// Spans of this class.
    pub spans: u64,
    /// Blocks that they have room for.
    pub capacity: u64,
    /// Blocks carved so far.
    pub carved: u64,
    /// Blocks in the program's hands.
    pub in_use: u64,
    /// Blocks in threads' front lists.
    pub cached: u64,
}

/// One thread that has a heap.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Thread {
    /// As the kernel numbers it; 0 when it is gone or not known.
    pub thread: u64,
    /// Allocations ever served by the heap: a count.
    pub allocations: u64,
    /// Blocks that it freed for other heaps: a count.
    pub remote_frees: u64,
    /// Bytes in its front lists.
    pub cached: u64,
}

/// The process's figures at one moment.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Nanoseconds since the start.
    pub at: u64,
    /// [`Header::live`] then.
    pub live: u64,
    /// [`Header::resident`] then.
    pub resident: u64,
    /// [`Header::retained`] then.
    pub retained: u64,
}

/// One span or large object.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Occupancy {
    /// Where the span starts.
    pub address: u64,
    /// Bytes of the span.
    pub bytes: u64,
    /// Of these, in the program's hands.
    pub in_use: u64,
    /// Bytes of a block; 0 for a large object.
    pub block_size: u64,
}

/// [`Root::magic`]: "allodrt" and a version digit, in memory order.
pub const ROOT_MAGIC: u64 = u64::from_le_bytes(*b"allodrt1");
/// Tables that a [`Root`] has place for.
pub const TABLES: usize = 8;

/// What a running process shows to who may read its memory from outside.
///
/// It lies in the writable data of the file that has Allod in it, at a multiple of
/// 64 bytes, and is found by its magic. The tables lie in the process's memory just
/// as a dump holds them, so a dump can be put together without its help. They
/// change while they are read: a reader takes what it finds, and a record whose
/// numbers do not agree for half written.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Root {
    /// [`ROOT_MAGIC`] once the rest can be read.
    pub magic: AtomicU64,
    /// Address of a [`Header`] that every upkeep brings up to date.
    pub header: AtomicU64,
    /// The tables; the first with a `kind` of 0 ends the list.
    pub tables: [Table; TABLES],
}

/// Where a table lies.
#[repr(C)]
#[derive(Debug)]
pub struct Table {
    /// A [`Kind`].
    pub kind: AtomicU32,
    /// Bytes of one record.
    pub record: AtomicU32,
    /// Address of the first record.
    pub address: AtomicU64,
    /// How many records are in use.
    pub count: AtomicU64,
}
