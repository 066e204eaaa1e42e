//! A queue whose greatest element goes first: a binary heap in a vector.
//!
//! ```text
//!                9                 index:  0 1 2 3 4 5
//!            7       8
//!          3   5   2               vector: 9 7 8 3 5 2
//! ```
//!
//! The children of index `i` are at `2i + 1` and `2i + 2`.
//!
//! # Invariants
//!
//! * H1. No element is greater than its parent, unless `Ord` lies or unwinds, or
//!   somebody changed one through a cell. Then the order means nothing, and
//!   nothing else breaks.
//!
//! Source: Williams, *Algorithm 232: Heapsort*, 1964.

use super::Vec;
use crate::full::Full;
use core::fmt;

/// At most `N` elements, of which the greatest is at hand.
///
/// For the least instead, wrap elements in
/// [`Reverse`](core::cmp::Reverse).
///
/// Equals go in no certain order: give them a number if they have to be fair.
///
/// ```
/// use allod_kit::fixed::PriorityQueue;
///
/// let mut jobs: PriorityQueue<(u8, &str), 4> = PriorityQueue::new();
/// jobs.push((1, "sweep"));
/// jobs.push((9, "extinguish"));
/// jobs.push((5, "cook"));
/// assert_eq!(jobs.pop(), Some((9, "extinguish")));
/// assert_eq!(jobs.peek(), Some(&(5, "cook")));
/// ```
///
/// # What it costs
///
/// *Time.* O(1) to look at the greatest, O(log n) to put one in and to take the
/// greatest out. *Memory.* The elements, and a word.
///
/// # When not to use it
///
/// To take out any other than the greatest, or to change one inside: a
/// [`SortedSet`](super::SortedSet) does, in O(n).
#[derive(Clone)]
pub struct PriorityQueue<T, const N: usize> {
    items: Vec<T, N>,
}

impl<T, const N: usize> PriorityQueue<T, N> {
    /// An empty queue. O(1).
    pub const fn new() -> Self {
        Self { items: Vec::new() }
    }

    /// How many elements fit: `N`.
    pub const fn capacity(&self) -> usize {
        N
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.items.len()
    }

    /// True when there is none.
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// True when no more fit.
    pub const fn is_full(&self) -> bool {
        self.items.is_full()
    }

    /// The greatest. O(1).
    pub fn peek(&self) -> Option<&T> {
        self.items.first()
    }

    /// All elements, the greatest first and the others in no certain order.
    pub fn iter(&self) -> core::slice::Iter<'_, T> {
        self.items.iter()
    }

    /// Drops all elements.
    pub fn clear(&mut self) {
        self.items.clear();
    }

    /// The elements, in the order of [`iter`](PriorityQueue::iter).
    pub fn into_vec(self) -> Vec<T, N> {
        self.items
    }
}

impl<T: Ord, const N: usize> PriorityQueue<T, N> {
    /// Puts an element in. O(log n).
    ///
    /// # Errors
    ///
    /// There is no room; it comes back.
    pub fn try_push(&mut self, item: T) -> Result<(), Full<T>> {
        self.items.try_push(item)?;
        self.rise(self.items.len() - 1);
        Ok(())
    }

    /// Puts an element in. O(log n).
    ///
    /// # Panics
    ///
    /// There is no room. [`try_push`](PriorityQueue::try_push) never panics.
    #[cfg(feature = "infallible")]
    #[track_caller]
    pub fn push(&mut self, item: T) {
        crate::full::must(self.try_push(item));
    }

    /// Takes the greatest out. O(log n).
    pub fn pop(&mut self) -> Option<T> {
        let greatest = self.items.try_swap_remove(0)?;
        self.sink(0);
        Some(greatest)
    }

    /// Puts an element in and takes the greatest out, which may be the same one.
    /// Never without room. O(log n).
    ///
    /// With [`Reverse`](core::cmp::Reverse), a full queue keeps the `N` greatest
    /// that it has seen.
    pub fn push_pop(&mut self, item: T) -> T {
        match self.items.first_mut() {
            Some(first) if *first > item => {
                let greatest = core::mem::replace(first, item);
                self.sink(0);
                greatest
            }
            _ => item,
        }
    }

    fn rise(&mut self, mut at: usize) {
        let items = &mut *self.items;
        while at > 0 {
            let parent = (at - 1) / 2;
            if items[at] <= items[parent] {
                break;
            }
            items.swap(at, parent);
            at = parent;
        }
    }

    fn sink(&mut self, mut at: usize) {
        let items = &mut *self.items;
        loop {
            let mut child = 2 * at + 1;
            if child + 1 < items.len() && items[child + 1] > items[child] {
                child += 1;
            }
            if child >= items.len() || items[child] <= items[at] {
                break;
            }
            items.swap(at, child);
            at = child;
        }
    }
}

impl<T, const N: usize> Default for PriorityQueue<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for PriorityQueue<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
