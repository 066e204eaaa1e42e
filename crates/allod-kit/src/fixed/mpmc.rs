//! A queue that any number of threads put into and take out of.
//!
//! Two counters say whose turn it is, and each place has one of its own that
//! says what it waits for: a producer's turn, or the consumer's of the same
//! number, one more.
//!
//! ```text
//!   turn of the place      0      1      2      3        (N = 4)
//!   empty                  0      1      2      3
//!   two were put in        1      2      2      3
//!   one of them is out     4      2      2      3        4: next time round
//! ```
//!
//! A side takes a turn by moving its counter on, and only after it saw that the
//! place is ready for that turn. So nobody takes a turn that cannot be had, and
//! an operation fails or succeeds without waiting for another one: but for one
//! case. Who was interrupted between taking a turn and doing it holds up those
//! that come to the same place next time round, who then see a queue that is
//! full, or empty, although it is not.
//!
//! # Invariants
//!
//! * M1. A place whose turn is `t` is the producer's that moved `tail` from `t`,
//!   or the consumer's that moved `head` from `t - 1`; and nobody else's.
//! * M2. Turn `t + 1` is written after the element of turn `t`, and turn `t + N`
//!   after it was taken out.
//!
//! Source: Vyukov's bounded queue, as it is described in the literature.
#![allow(unsafe_code)]

use super::place::{AtomicUsize, Ordering, Place};
use crate::full::Full;
use core::fmt;

/// A place and whose turn it is there.
#[derive(Debug)]
struct Seat<T> {
    turn: AtomicUsize,
    place: Place<T>,
}

/// At most `N` elements between any number of threads; `N` is a power of two, and
/// 2 or more.
///
/// ```
/// use allod_kit::fixed::MpmcQueue;
///
/// static QUEUE: MpmcQueue<&str, 4> = MpmcQueue::new();
/// QUEUE.push("a");
/// QUEUE.push("b");
/// assert_eq!((QUEUE.pop(), QUEUE.pop(), QUEUE.pop()), (Some("a"), Some("b"), None));
/// ```
///
/// ```compile_fail,E0080
/// let odd = allod_kit::fixed::MpmcQueue::<u8, 3>::new();
/// ```
///
/// # What it costs
///
/// *Time.* O(1) each if nobody is in the way, lock-free otherwise. *Memory.* A word an
/// element, and two.
///
/// # When not to use it
///
/// With one on each side [`SpscQueue`](super::SpscQueue) takes half the work and
/// no exchange. It cannot wait: for that the system's own channel.
pub struct MpmcQueue<T, const N: usize> {
    head: AtomicUsize,
    tail: AtomicUsize,
    seats: [Seat<T>; N],
}

// SAFETY: a place is one thread's at a time (M1).
unsafe impl<T: Send, const N: usize> Sync for MpmcQueue<T, N> {}
// SAFETY: whoever has the queue has its elements.
unsafe impl<T: Send, const N: usize> Send for MpmcQueue<T, N> {}

impl<T, const N: usize> MpmcQueue<T, N> {
    /// An empty queue. O(N).
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        // With one place, turns 1 of both sides would be the same. Of another
        // number, the counters would meet other places after they wrap.
        const { assert!(N >= 2 && N.is_power_of_two(), "a power of two, and 2 or more") };
        let mut seats = [const { Seat { turn: AtomicUsize::new(0), place: Place::new() } }; N];
        let mut at = 0;
        while at < N {
            seats[at].turn = AtomicUsize::new(at);
            at += 1;
        }
        Self { head: AtomicUsize::new(0), tail: AtomicUsize::new(0), seats }
    }

    /// An empty queue.
    #[cfg(loom)]
    pub fn new() -> Self {
        let seat = |at| Seat { turn: AtomicUsize::new(at), place: Place::new() };
        let seats = core::array::from_fn(seat);
        Self { head: AtomicUsize::new(0), tail: AtomicUsize::new(0), seats }
    }

    /// How many elements fit: `N`.
    pub const fn capacity(&self) -> usize {
        N
    }

    /// How many elements are there, or were a moment ago.
    pub fn len(&self) -> usize {
        // ORDERING: Relaxed, nothing is inferred from it.
        let head = self.head.load(Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.tail.load(Ordering::Relaxed).wrapping_sub(head).min(N)
    }

    /// True when there is none, or was none a moment ago.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a turn by `counter` at the place that waits for turn `counter + step`,
    /// or sees that there is none to be had.
    #[inline]
    fn turn(&self, counter: &AtomicUsize, step: usize) -> Option<(usize, &Seat<T>)> {
        // ORDERING: Relaxed, a guess that is looked at below.
        let mut now = counter.load(Ordering::Relaxed);
        loop {
            let seat = &self.seats[now % N];
            // ORDERING: Acquire, pairs with the Releases in `try_push` and `pop`:
            // who had the place before us is done with it (M2).
            let turn = seat.turn.load(Ordering::Acquire);
            let ahead = turn.wrapping_sub(now.wrapping_add(step));
            if ahead == 0 {
                let next = now.wrapping_add(1);
                // ORDERING: Relaxed, the counter gives out turns and nothing else;
                // what was written comes with the place's turn.
                let moved =
                    counter.compare_exchange_weak(now, next, Ordering::Relaxed, Ordering::Relaxed);
                match moved {
                    Ok(_) => return Some((now, seat)),
                    Err(other) => now = other,
                }
            } else if ahead.cast_signed() < 0 {
                // The other side has not been here yet.
                return None;
            } else {
                // Somebody of our side was faster.
                // ORDERING: Relaxed, as above.
                now = counter.load(Ordering::Relaxed);
            }
        }
    }

    /// Puts an element in. O(1) if nobody is in the way.
    ///
    /// # Errors
    ///
    /// There is no room; it comes back.
    #[inline]
    pub fn try_push(&self, item: T) -> Result<(), Full<T>> {
        let Some((turn, seat)) = self.turn(&self.tail, 0) else { return Err(Full(item)) };
        // SAFETY: the turn is ours, and so the place (M1).
        unsafe { seat.place.write(item) };
        // ORDERING: Release, pairs with the Acquire in `turn`: who sees the turn
        // sees the element.
        seat.turn.store(turn.wrapping_add(1), Ordering::Release);
        Ok(())
    }

    /// Puts an element in.
    ///
    /// # Panics
    ///
    /// There is no room. [`try_push`](MpmcQueue::try_push) never panics.
    #[cfg(feature = "infallible")]
    #[inline]
    #[track_caller]
    pub fn push(&self, item: T) {
        crate::full::must(self.try_push(item));
    }

    /// Takes the oldest element out. O(1) if nobody is in the way.
    #[inline]
    pub fn pop(&self) -> Option<T> {
        let (turn, seat) = self.turn(&self.head, 1)?;
        // SAFETY: the turn is ours, and so the place (M1), in which is an element
        // (M2).
        let item = unsafe { seat.place.read() };
        // ORDERING: Release, pairs with the Acquire in `turn`: the place is read
        // before it is written the next time round.
        seat.turn.store(turn.wrapping_add(N), Ordering::Release);
        Some(item)
    }
}

impl<T, const N: usize> Drop for MpmcQueue<T, N> {
    fn drop(&mut self) {
        struct Rest<'q, T, const N: usize>(&'q MpmcQueue<T, N>);
        impl<T, const N: usize> Drop for Rest<'_, T, N> {
            fn drop(&mut self) {
                while self.0.pop().is_some() {}
            }
        }
        // One that unwinds leaves the others to the guard.
        let rest = Rest(self);
        while rest.0.pop().is_some() {}
    }
}

impl<T, const N: usize> Default for MpmcQueue<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> fmt::Debug for MpmcQueue<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MpmcQueue").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
