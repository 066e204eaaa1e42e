//! Labels: what the program is doing while it allocates.
//!
//! ```
//! # #[global_allocator]
//! # static GLOBAL: allod::Allod = allod::Allod::new();
//! let guard = allod::label::enter("route /orders");
//! let answer = vec![0u8; 1000]; // a sample taken here carries the label
//! drop(guard); // and what this thread did before goes on
//! # drop(answer);
//! ```
//!
//! The label's number stands in the record of the thread's heap, and is read when a
//! sample is taken and at no other time: allocations cost what they cost without.
//! A task that moves between threads enters its label whenever it runs, and leaves it
//! whenever it waits.
#![forbid(unsafe_code)]

use crate::config::Config;
use crate::local::{self, ALLOCATOR};
use crate::report;
use core::marker::PhantomData;

/// What this thread did before its label was entered, for when it is left.
#[derive(Debug)]
#[must_use = "the label is left when the guard is dropped"]
pub struct Guard {
    before: u32,
    /// The label is the thread's.
    _thread: PhantomData<*const ()>,
}

/// Labels what this thread allocates until the guard is dropped. An empty label is
/// none. When there is no more room for labels (they take 256 KiB in all) it is none too.
///
/// The text is looked for among all labels: keep the number of different ones below
/// some hundreds.
pub fn enter(text: &str) -> Guard {
    const CONFIG: Config = Config::new();
    let heap = if report::start(&CONFIG) { local::enter_to_stay() } else { None };
    let before = heap.map_or(0, |heap| {
        let number = ALLOCATOR.sampler.sites.label(&ALLOCATOR.arena.kernel, text.as_bytes());
        heap.set_label(number)
    });
    Guard { before, _thread: PhantomData }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(heap) = local::present() {
            heap.set_label(self.before);
        }
    }
}
