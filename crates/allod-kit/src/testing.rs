//! Testing: how much memory a piece of a program asks for, exactly, as an assertion.
//!
//! A program's global allocator is wrapped once, in its tests: [`Counted`]. A
//! [`Scope`] then counts from where it is opened to where it is dropped, on its own
//! thread or in the whole process, and says what was counted: [`Figures`].
//!
//! ```
//! use allod_kit::testing::{Counted, Scope};
//! use std::alloc::System;
//!
//! #[global_allocator]
//! static HEAP: Counted<System> = Counted::new(System);
//!
//! // One allocation, as large as was asked for, and nothing is left behind.
//! let scope = Scope::of_thread(&HEAP);
//! let mut numbers = Vec::with_capacity(100);
//! numbers.extend(0..100_u64);
//! assert_eq!(numbers.iter().sum::<u64>(), 4950);
//! drop(numbers);
//! scope.assert_allocations(1);
//! scope.assert_bytes(800);
//! scope.assert_peak(..=1000);
//! scope.assert_no_leaks();
//! ```
//!
//! | question | on this thread | in all threads |
//! |---|---|---|
//! | what did this function ask for? | [`Scope::of_thread`], [`measure`] | |
//! | what did this parallel work ask for? | | [`Scope::of_process`] |
//!
//! Tests of one program run at the same time, each in a thread of its own. A scope of a
//! thread does not see the others. One of the process sees them all, so let such a test
//! be alone in its program (one file below `tests/`), or take a lock.
//!
//! # What is counted
//!
//! What was asked for, in bytes of the layout, when it was handed out. A block that gets
//! another size is one allocation more and one free. Blocks of no bytes are none. A scope
//! counts frees of blocks that are older than it too: so *live* may be less than
//! nothing, and "no leaks" says that as many blocks and bytes went as came. Of a block that
//! is handed to another thread and freed there, a thread's scope sees only that it came:
//! use one of the process.
//!
//! The figures are exact if no other thread is inside the allocator at the moments at
//! which a scope is opened or read; in a scope of a thread there never is one.
//!
//! # What it costs
//!
//! With no scope open, two loads and two comparisons for each request; with some, a few
//! additions for each of them that follows the thread. An allocator that is not wrapped
//! counts nothing, and is not changed by this module.

mod expected;
mod scopes;

pub use expected::Expected;
pub use scopes::Scopes;

use crate::wrap::Watched;
use core::fmt;
use core::marker::PhantomData;

/// An allocator that scopes can follow: most often the program's global one, in its tests.
///
/// See [the module](self) for an example.
///
/// # What it costs
///
/// *Time.* What [`Count`](crate::Count) costs, and a look at a thread-local list
/// for each request. *Memory.* As there.
///
/// # When not to use it
///
/// In production: [`Count`](crate::Count) is the counter alone.
pub type Counted<A> = Watched<A, Scopes>;

impl<A> Counted<A> {
    /// This allocator, to be followed by scopes.
    pub const fn new(inner: A) -> Self {
        Watched::with(inner, Scopes::new())
    }
}

/// What was counted in a scope, so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Figures {
    /// Blocks that were handed out.
    pub allocations: usize,
    /// Blocks that came back.
    pub frees: usize,
    /// Bytes of the blocks that were handed out.
    pub bytes: usize,
    /// Bytes of the blocks that came back.
    pub freed_bytes: usize,
    /// The most bytes at one time beyond those at the beginning.
    pub peak: usize,
    /// Requests that the allocator refused.
    pub refused: usize,
}

impl Figures {
    /// Blocks more than at the beginning; fewer, if it is negative.
    #[must_use]
    pub const fn live_blocks(&self) -> isize {
        self.allocations.wrapping_sub(self.frees).cast_signed()
    }

    /// Bytes more than at the beginning; fewer, if it is negative.
    #[must_use]
    pub const fn live_bytes(&self) -> isize {
        self.bytes.wrapping_sub(self.freed_bytes).cast_signed()
    }

    /// Panics if the number of allocations is another: `3`, `..=3`, `1..5`.
    #[track_caller]
    pub fn assert_allocations(&self, expected: impl Expected) {
        self.assert(self.allocations, "allocations", &expected);
    }

    /// Panics if the bytes of all allocations are others.
    #[track_caller]
    pub fn assert_bytes(&self, expected: impl Expected) {
        self.assert(self.bytes, "bytes in all", &expected);
    }

    /// Panics if the most bytes at one time are others.
    #[track_caller]
    pub fn assert_peak(&self, expected: impl Expected) {
        self.assert(self.peak, "bytes at the peak", &expected);
    }

    /// Panics unless as many blocks and bytes came back as were handed out.
    #[track_caller]
    pub fn assert_no_leaks(&self) {
        let (blocks, bytes) = (self.live_blocks(), self.live_bytes());
        assert!(
            blocks == 0 && bytes == 0,
            "{blocks:+} blocks and {bytes:+} bytes are left in a scope: {self}"
        );
    }

    #[track_caller]
    fn assert(&self, found: usize, what: &str, expected: &impl Expected) {
        assert!(
            expected.holds(found),
            "{found} {what} in a scope, and expected were {expected:?}: {self}"
        );
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { allocations, frees, bytes, freed_bytes, peak, refused } = self;
        write!(
            f,
            "{allocations} allocations of {bytes} bytes, {frees} frees of {freed_bytes} bytes"
        )?;
        write!(f, ", at most {peak} bytes at one time")?;
        if *refused != 0 { write!(f, ", {refused} requests refused") } else { Ok(()) }
    }
}

/// Counts from here until it is dropped. Scopes may nest and overlap.
#[derive(Debug)]
#[must_use = "a scope that is dropped counts nothing"]
pub struct Scope<'a> {
    scopes: &'a Scopes,
    place: scopes::Place,
    /// What it follows may be the thread it is on.
    _thread: PhantomData<*const ()>,
}

impl<'a> Scope<'a> {
    /// Counts what this thread asks of the allocator.
    ///
    /// # Panics
    ///
    /// Sixteen scopes of this thread are open.
    #[track_caller]
    pub fn of_thread<A>(heap: &'a Counted<A>) -> Self {
        let scopes = heap.observer();
        let place = scopes.open_of_thread().expect("sixteen scopes are open in this thread");
        Scope { scopes, place, _thread: PhantomData }
    }

    /// Counts what all threads ask of the allocator.
    ///
    /// ```
    /// use allod_kit::testing::{Counted, Scope};
    /// use std::alloc::System;
    ///
    /// #[global_allocator]
    /// static HEAP: Counted<System> = Counted::new(System);
    ///
    /// let scope = Scope::of_process(&HEAP);
    /// let texts: Vec<String> = std::thread::scope(|threads| {
    ///     let work = [1, 2, 3].map(|n| threads.spawn(move || "x".repeat(n * 1000)));
    ///     work.into_iter().map(|it| it.join().unwrap()).collect()
    /// });
    /// scope.assert_peak(6000..10_000);
    /// drop(texts);
    /// ```
    ///
    /// # Panics
    ///
    /// Sixty-four scopes of the process are open (half as many on 32 bits).
    #[track_caller]
    pub fn of_process<A>(heap: &'a Counted<A>) -> Self {
        let scopes = heap.observer();
        let place = scopes.open_of_process().expect("too many scopes of the process are open");
        Scope { scopes, place, _thread: PhantomData }
    }

    /// What was counted so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.scopes.figures(self.place)
    }

    /// Blocks that were handed out: [`Figures::allocations`].
    #[must_use]
    pub fn allocations(&self) -> usize {
        self.figures().allocations
    }

    /// Bytes of the blocks that were handed out: [`Figures::bytes`].
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.figures().bytes
    }

    /// The most bytes at one time: [`Figures::peak`].
    #[must_use]
    pub fn peak(&self) -> usize {
        self.figures().peak
    }

    /// Bytes more than at the beginning: [`Figures::live_bytes`].
    #[must_use]
    pub fn live_bytes(&self) -> isize {
        self.figures().live_bytes()
    }

    /// As [`Figures::assert_allocations`].
    #[track_caller]
    pub fn assert_allocations(&self, expected: impl Expected) {
        self.figures().assert_allocations(expected);
    }

    /// As [`Figures::assert_bytes`].
    #[track_caller]
    pub fn assert_bytes(&self, expected: impl Expected) {
        self.figures().assert_bytes(expected);
    }

    /// As [`Figures::assert_peak`].
    #[track_caller]
    pub fn assert_peak(&self, expected: impl Expected) {
        self.figures().assert_peak(expected);
    }

    /// As [`Figures::assert_no_leaks`].
    #[track_caller]
    pub fn assert_no_leaks(&self) {
        self.figures().assert_no_leaks();
    }
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        self.scopes.close(self.place);
    }
}

/// What `work` returns, and what it asked for on this thread.
///
/// ```
/// use allod_kit::testing::{Counted, measure};
/// use std::alloc::System;
///
/// #[global_allocator]
/// static HEAP: Counted<System> = Counted::new(System);
///
/// let (sum, figures) = measure(&HEAP, || (1..=100).sum::<u64>());
/// assert_eq!(sum, 5050);
/// figures.assert_allocations(0);
/// ```
///
/// # Panics
///
/// As [`Scope::of_thread`].
#[track_caller]
pub fn measure<A, R>(heap: &Counted<A>, work: impl FnOnce() -> R) -> (R, Figures) {
    let scope = Scope::of_thread(heap);
    let result = work();
    let figures = scope.figures();
    (result, figures)
}
