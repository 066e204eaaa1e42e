//! The profile: a heap dump of this process, when the program asks for one and when an
//! option does.
//!
//! ```
//! # #[global_allocator]
//! # static GLOBAL: allod::Allod = allod::Allod::new();
//! let mut bytes = 0;
//! allod::profile::write(&mut |part| bytes += part.len());
//! assert!(bytes > 256);
//! ```
//!
//! `dump.rs` has the layout; `allod-profile` and the command `allod` read it. Nothing
//! here allocates, and the bytes go out of a buffer on the stack, so a dump can be
//! written when there is no memory left and in a signal handler.
//!
//! # Threads
//!
//! Others run on while a dump is written. Each site is copied whole; figures that
//! belong together may be of different moments. Sections whose length is written
//! before they are read again (the process's mappings, its threads) are cut or filled
//! up with zeros when they have changed meanwhile.
#![allow(unsafe_code)]

mod trigger;
mod write;

use crate::dump::{Header, Reason};
use crate::local::{self, ALLOCATOR};
use crate::sites::Figures;
use crate::sync::{AtomicU64, Ordering};

pub(crate) use trigger::{at_exit, begin, face, forked, obey, out_of_memory, set_face};

/// A dump could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The system's number of the error, as in `errno`; 0 where there is no profiler.
    pub error: i32,
}

impl core::fmt::Display for Failed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "the heap dump could not be written: error {}", self.error)
    }
}

impl core::error::Error for Failed {}

/// Mean bytes between two samples, as it is now; 0 when nothing is sampled. It is set by
/// [`set`](crate::set) with [`Key::Profile`](crate::config::Key::Profile), grows by itself when more than a
/// thousand samples a second are taken or their stacks cost more than a hundredth of the time, and
/// comes back when they don't.
#[must_use]
pub fn interval() -> u64 {
    if local::is_open() { u64::from(ALLOCATOR.sampler.interval()) } else { 0 }
}

/// Writes a heap dump to a file, which is made, or emptied if it is there. The path
/// ends in zero because the system wants it so, and making it so would allocate.
///
/// # Errors
///
/// The file cannot be made or written.
pub fn dump(to: &core::ffi::CStr) -> Result<(), Failed> {
    trigger::dump_to_path(to, Reason::Demand, libc::O_TRUNC)
}

/// Writes a heap dump to a file descriptor, from where it stands.
///
/// # Errors
///
/// It cannot be written to.
pub fn dump_to(descriptor: core::ffi::c_int) -> Result<(), Failed> {
    trigger::dump_to_descriptor(descriptor, Reason::Demand)
}

/// Hands the bytes of a heap dump to `sink`, some kilobytes at a time. This allocates
/// nothing; `sink` may.
pub fn write(sink: &mut dyn FnMut(&[u8])) {
    write::all(Reason::Demand, sink);
}

/// Milliseconds between two headers for readers from outside.
const HEADER_STEP: u64 = 100;
/// When the next one is due.
static HEADER_DUE: AtomicU64 = AtomicU64::new(0);
/// Most bytes that had memory behind them, as far as anybody has looked.
static PEAK_RESIDENT: AtomicU64 = AtomicU64::new(0);
/// Most bytes in use, and nanoseconds since the start when that was.
static PEAK_LIVE: AtomicU64 = AtomicU64::new(0);
static PEAK_AT: AtomicU64 = AtomicU64::new(0);

/// Nanoseconds since the allocator started.
fn elapsed() -> u64 {
    if !local::is_open() {
        return 0;
    }
    ALLOCATOR.arena.kernel.nanoseconds().saturating_sub(ALLOCATOR.sampler.started())
}

/// The figures that cost no walk.
fn figures() -> Figures {
    let a = &ALLOCATOR;
    let (live_huge, held_huge) = (a.huge.live.get(), a.huge.held.get());
    let resident = a.arena.touched.get() + held_huge + a.metadata();
    let retained = a.arena.spare.get() + held_huge.saturating_sub(live_huge);
    Figures {
        live: a.live.get() as u64,
        resident: resident as u64,
        retained: retained as u64,
    }
}

/// Notes new peaks.
fn notice(figures: &Figures, elapsed: u64) {
    // ORDERING: Relaxed on all, figures.
    PEAK_RESIDENT.fetch_max(figures.resident, Ordering::Relaxed);
    let peak = (ALLOCATOR.live.peak() as u64).max(figures.live);
    // ORDERING: Relaxed, as above.
    if PEAK_LIVE.fetch_max(peak, Ordering::Relaxed) < peak {
        // ORDERING: Relaxed, as above.
        PEAK_AT.store(elapsed, Ordering::Relaxed);
    }
}

/// What a header says without a walk. The rest is 0.
fn quick_header(reason: Reason, figures: &Figures, elapsed: u64) -> Header {
    let a = &ALLOCATOR;
    let sites = &a.sampler.sites;
    let kernel = &a.arena.kernel;
    notice(figures, elapsed);
    let (mut allocations, mut remote_frees) = (a.others.get(), 0);
    for heap in a.heaps() {
        allocations += heap.installed();
        remote_frees += heap.remote_frees();
    }
    Header {
        magic: crate::dump::MAGIC,
        reason: reason as u32,
        pid: trigger::pid(),
        started: trigger::wall_clock().saturating_sub(elapsed),
        elapsed,
        interval: interval(),
        // ORDERING: Relaxed, a figure.
        samples: sites.taken.load(Ordering::Relaxed),
        // ORDERING: Relaxed, as above.
        dropped: sites.dropped.load(Ordering::Relaxed),
        // ORDERING: Relaxed, as above.
        truncated: sites.truncated.load(Ordering::Relaxed),
        page_size: kernel.page_size() as u32,
        face: face(),
        live: figures.live,
        // ORDERING: Relaxed, as above.
        peak_live: PEAK_LIVE.load(Ordering::Relaxed),
        // ORDERING: Relaxed, as above.
        peak_at: PEAK_AT.load(Ordering::Relaxed),
        requested: 0,
        free_blocks: 0,
        cached: 0,
        uncarved: 0,
        retained: figures.retained,
        metadata: a.metadata() as u64,
        resident: figures.resident,
        // ORDERING: Relaxed, as above.
        peak_resident: PEAK_RESIDENT.load(Ordering::Relaxed),
        mapped: kernel.mapped() as u64,
        allocations: allocations as u64,
        remote_frees: remote_frees as u64,
        threads: a.threads.get() as u32,
        peak_threads: a.threads.peak() as u32,
        profiler: sites.bytes() as u64,
        epoch: sites.epoch(),
    }
}

/// The figures have changed: notes a point if one is due, brings the header up to date,
/// and dumps at a new peak.
pub(crate) fn tick() {
    let a = &ALLOCATOR;
    let now = a.arena.kernel.clock();
    a.sampler.sites.tick(now, || (elapsed(), figures()));
    // Points grow apart as time passes; who watches from outside wants to see it pass.
    // ORDERING: Relaxed, a header more or less does no harm.
    if a.sampler.sites.is_there() && now >= HEADER_DUE.load(Ordering::Relaxed) {
        // ORDERING: Relaxed, as above.
        HEADER_DUE.store(now + HEADER_STEP, Ordering::Relaxed);
        a.sampler.sites.set_header(&quick_header(Reason::Demand, &figures(), elapsed()));
    }
    trigger::at_peak();
}
