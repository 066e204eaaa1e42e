//! A queue between one who puts in and one who takes out: an interrupt handler
//! and the program it interrupts, or two threads.
//!
//! ```text
//!   head: next to take        tail: next to put
//!            |                   |
//!      +---+-v-+---+---+---+---+-v-+---+
//!      |   | a | b | c | d | e |   |   |
//!      +---+---+---+---+---+---+---+---+
//! ```
//!
//! Each counter is written by one side alone, so there is nothing to exchange:
//! loads and stores do, which is all that a Cortex-M0 has. Neither side ever
//! waits or tries again.
//!
//! The counters run from 0 to `2 * N`, so that a full queue and an empty one
//! differ, whatever `N` is.
//!
//! # Invariants
//!
//! * C1. `head` is written by the consumer, `tail` by the producer, and there is
//!   one of each.
//! * C2. The places from `head` to `tail` hold elements and are the consumer's;
//!   the others are the producer's.
#![allow(unsafe_code)]

use super::place::{AtomicUsize, Ordering, Place};
use crate::full::Full;
use core::fmt;
use core::marker::PhantomData;

/// At most `N` elements on their way from one [`Producer`] to one [`Consumer`].
///
/// ```
/// use allod_kit::fixed::SpscQueue;
/// use std::thread;
///
/// let mut queue: SpscQueue<u32, 8> = SpscQueue::new();
/// let (mut producer, mut consumer) = queue.split();
/// let sum = thread::scope(|scope| {
///     scope.spawn(move || {
///         for n in 1..=100 {
///             while producer.try_push(n).is_err() {
///                 thread::yield_now();
///             }
///         }
///     });
///     let mut sum = 0;
///     for _ in 1..=100 {
///         sum += loop {
///             match consumer.pop() {
///                 Some(n) => break n,
///                 None => thread::yield_now(),
///             }
///         };
///     }
///     sum
/// });
/// assert_eq!(sum, 5050);
/// ```
///
/// There is one of each side:
///
/// ```compile_fail,E0499
/// # use allod_kit::fixed::SpscQueue;
/// let mut queue: SpscQueue<u32, 8> = SpscQueue::new();
/// let (mut producer, _) = queue.split();
/// let (mut another, _) = queue.split();
/// producer.try_push(1).unwrap();
/// ```
///
/// # What it costs
///
/// *Time.* O(1) each, without a loop. *Memory.* Two words, and room for the elements.
///
/// # When not to use it
///
/// With several on a side, [`MpmcQueue`](super::MpmcQueue); within one thread,
/// [`Ring`](super::Ring). It cannot wait: for that the system's own channel.
pub struct SpscQueue<T, const N: usize> {
    head: AtomicUsize,
    tail: AtomicUsize,
    places: [Place<T>; N],
}

// SAFETY: of the two sides each place is one's at a time (C2).
unsafe impl<T: Send, const N: usize> Sync for SpscQueue<T, N> {}
// SAFETY: whoever has the queue has its elements.
unsafe impl<T: Send, const N: usize> Send for SpscQueue<T, N> {}

/// The side that puts in.
pub struct Producer<'q, T, const N: usize> {
    queue: &'q SpscQueue<T, N>,
}

/// The side that takes out.
///
/// Shared between threads it would show them one element, so elements that are
/// not `Sync` forbid it:
///
/// ```compile_fail,E0277
/// # use allod_kit::fixed::Consumer;
/// fn shared<T: Sync>() {}
/// shared::<Consumer<'_, core::cell::Cell<u8>, 2>>();
/// ```
pub struct Consumer<'q, T, const N: usize> {
    queue: &'q SpscQueue<T, N>,
    shows: PhantomData<T>,
}

impl<T, const N: usize> SpscQueue<T, N> {
    /// An empty queue.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        const { assert!(N > 0 && N <= usize::MAX / 2, "a queue has room for one or more") };
        let places = [const { Place::new() }; N];
        Self { head: AtomicUsize::new(0), tail: AtomicUsize::new(0), places }
    }

    /// An empty queue.
    #[cfg(loom)]
    pub fn new() -> Self {
        let places = core::array::from_fn(|_| Place::new());
        Self { head: AtomicUsize::new(0), tail: AtomicUsize::new(0), places }
    }

    /// Both sides. What is in the queue stays in it.
    pub fn split(&mut self) -> (Producer<'_, T, N>, Consumer<'_, T, N>) {
        (Producer { queue: self }, Consumer { queue: self, shows: PhantomData })
    }

    /// How many elements fit: `N`.
    pub const fn capacity(&self) -> usize {
        N
    }

    /// The place that a counter stands for.
    #[inline]
    fn place(&self, counter: usize) -> &Place<T> {
        // A counter is below `2 * N`, so the index is below `N`.
        &self.places[if counter < N { counter } else { counter - N }]
    }

    #[inline]
    const fn after(counter: usize) -> usize {
        if counter + 1 == 2 * N { 0 } else { counter + 1 }
    }

    /// Elements from one counter to the other.
    #[inline]
    const fn between(head: usize, tail: usize) -> usize {
        if head <= tail { tail - head } else { 2 * N - head + tail }
    }
}

impl<T, const N: usize> Producer<'_, T, N> {
    /// Puts an element in. O(1).
    ///
    /// # Errors
    ///
    /// There is no room; it comes back.
    #[inline]
    pub fn try_push(&mut self, item: T) -> Result<(), Full<T>> {
        let queue = self.queue;
        // ORDERING: Relaxed, nobody else writes it (C1).
        let tail = queue.tail.load(Ordering::Relaxed);
        // ORDERING: Acquire, pairs with the Release in `pop`: the consumer is done
        // with the places before `head`.
        let head = queue.head.load(Ordering::Acquire);
        if SpscQueue::<T, N>::between(head, tail) == N {
            return Err(Full(item));
        }
        // SAFETY: not full, so the place is ours (C2).
        unsafe { queue.place(tail).write(item) };
        // ORDERING: Release, pairs with the Acquire in `next`: who sees the count
        // sees the element.
        queue.tail.store(SpscQueue::<T, N>::after(tail), Ordering::Release);
        Ok(())
    }

    /// How many elements are there, or were a moment ago.
    pub fn len(&self) -> usize {
        // ORDERING: Relaxed, nothing is inferred from it.
        let head = self.queue.head.load(Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        SpscQueue::<T, N>::between(head, self.queue.tail.load(Ordering::Relaxed))
    }

    /// True when there is none. The consumer may be on its way to that.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T, const N: usize> Consumer<'_, T, N> {
    /// The counter of the next element, if there is one.
    #[inline]
    fn next(&self) -> Option<usize> {
        // ORDERING: Relaxed, nobody else writes it (C1).
        let head = self.queue.head.load(Ordering::Relaxed);
        // ORDERING: Acquire, pairs with the Release in `try_push`.
        let tail = self.queue.tail.load(Ordering::Acquire);
        (head != tail).then_some(head)
    }

    /// Takes the oldest element out. O(1).
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let head = self.next()?;
        // SAFETY: not empty, so the place is ours and holds an element (C2).
        let item = unsafe { self.queue.place(head).read() };
        // ORDERING: Release, pairs with the Acquire in `try_push`: the place is
        // read before the producer has it.
        self.queue.head.store(SpscQueue::<T, N>::after(head), Ordering::Release);
        Some(item)
    }

    /// The oldest element. O(1).
    #[inline]
    pub fn peek(&self) -> Option<&T> {
        let head = self.next()?;
        // SAFETY: as in `pop`, and it stays until a `pop`, which wants us alone.
        Some(unsafe { self.queue.place(head).get() })
    }

    /// How many elements are there, or were a moment ago.
    pub fn len(&self) -> usize {
        // ORDERING: Relaxed, nothing is inferred from it.
        let head = self.queue.head.load(Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        SpscQueue::<T, N>::between(head, self.queue.tail.load(Ordering::Relaxed))
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.next().is_none()
    }
}

impl<T, const N: usize> Drop for SpscQueue<T, N> {
    fn drop(&mut self) {
        struct Rest<'q, T, const N: usize>(Consumer<'q, T, N>);
        impl<T, const N: usize> Drop for Rest<'_, T, N> {
            fn drop(&mut self) {
                while self.0.pop().is_some() {}
            }
        }
        // One that unwinds leaves the others to the guard.
        let mut rest = Rest(self.split().1);
        while rest.0.pop().is_some() {}
    }
}

impl<T, const N: usize> Default for SpscQueue<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> fmt::Debug for SpscQueue<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpscQueue").field("capacity", &N).finish_non_exhaustive()
    }
}

impl<T, const N: usize> fmt::Debug for Producer<'_, T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<T, const N: usize> fmt::Debug for Consumer<'_, T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
