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
//! whenever it waits. Whoever is told of both, and has no place for a guard between
//! them, makes a [`Label`] once and [`set`]s it each time.
#![forbid(unsafe_code)]

use crate::config::Config;
use crate::local::{self, ALLOCATOR};
use crate::report;
use core::marker::PhantomData;

/// A text to label allocations with, looked up once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Label(u32);

impl Label {
    /// No label.
    pub const NONE: Self = Self(0);

    /// The label with this text. An empty one is none. When there is no more room for
    /// labels (they take 256 KiB in all) it is none too.
    ///
    /// The text is looked for among all labels: keep the number of different ones below
    /// some hundreds.
    #[must_use]
    pub fn new(text: &str) -> Self {
        const CONFIG: Config = Config::new();
        if text.is_empty() || !report::start(&CONFIG) {
            return Self::NONE;
        }
        Self(ALLOCATOR.sampler.sites.label(&ALLOCATOR.arena.kernel, text.as_bytes()))
    }

    /// Whether this is no label.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// Labels what this thread allocates until another label is set. Returns the label
/// before, for whoever sets it again.
///
/// ```
/// # #[global_allocator]
/// # static GLOBAL: allod::Allod = allod::Allod::new();
/// use allod::label::{self, Label};
/// let orders = Label::new("route /orders");
/// let before = label::set(orders);
/// assert_eq!(label::current(), orders);
/// label::set(before);
/// ```
pub fn set(label: Label) -> Label {
    let heap = match local::present() {
        // Without a heap there is no label to take away.
        None if !label.is_none() => local::enter_to_stay(),
        found => found,
    };
    heap.map_or(Label::NONE, |heap| Label(heap.set_label(label.0)))
}

/// The label of this thread.
#[must_use]
pub fn current() -> Label {
    local::present().map_or(Label::NONE, |heap| Label(heap.who().label))
}

/// What this thread did before its label was entered, for when it is left.
#[derive(Debug)]
#[must_use = "the label is left when the guard is dropped"]
pub struct Guard {
    before: Label,
    /// The label is the thread's.
    _thread: PhantomData<*const ()>,
}

/// Labels what this thread allocates until the guard is dropped: with the text's
/// [`Label`].
pub fn enter(text: &str) -> Guard {
    Guard { before: set(Label::new(text)), _thread: PhantomData }
}

impl Drop for Guard {
    fn drop(&mut self) {
        set(self.before);
    }
}
