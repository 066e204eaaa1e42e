//! Taking a part of a vector out, in safe code: what goes is moved to the end
//! first, and popped from there.

use core::iter::FusedIterator;
use core::ops::{Bound, RangeBounds};

use super::Vec;
use crate::Allocator;

impl<T, A: Allocator> Vec<T, A> {
    /// Takes the values of a range out; what is behind them moves down. Those that
    /// are not asked for are dropped with the iterator. O(n).
    ///
    /// An iterator that is forgotten leaves what it still has at the vector's end.
    ///
    /// ```
    /// use allod_kit::{Bump, bump::Vec};
    ///
    /// let arena = Bump::new();
    /// let mut vec = Vec::new_in(&arena);
    /// vec.extend_from_slice(&[1, 2, 3, 4, 5]);
    /// assert!(vec.drain(1..3).eq([2, 3]));
    /// assert_eq!(vec, [1, 4, 5]);
    /// ```
    ///
    /// # Panics
    ///
    /// The range is not inside the vector.
    pub fn drain(&mut self, range: impl RangeBounds<usize>) -> Drain<'_, T, A> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => self.len(),
        };
        let count = self[start..end].len();
        self[start..].rotate_left(count);
        let keep = self.len() - count;
        // So that popping gives them in their order.
        self[keep..].reverse();
        Drain { vec: self, left: count }
    }

    /// Drops values that are the same as the one before them. O(n).
    ///
    /// ```
    /// use allod_kit::{Bump, bump::Vec};
    ///
    /// let arena = Bump::new();
    /// let mut vec = Vec::new_in(&arena);
    /// vec.extend_from_slice(&[1, 1, 2, 3, 3, 3, 1]);
    /// vec.dedup();
    /// assert_eq!(vec, [1, 2, 3, 1]);
    /// ```
    pub fn dedup(&mut self)
    where
        T: PartialEq,
    {
        self.dedup_by(|one, before| one == before);
    }

    /// The same by a key of each. O(n).
    pub fn dedup_by_key<K: PartialEq>(&mut self, mut key: impl FnMut(&mut T) -> K) {
        self.dedup_by(|one, before| key(one) == key(before));
    }

    /// The same by a function of a value and the one before it that stays. O(n).
    pub fn dedup_by(&mut self, mut same: impl FnMut(&mut T, &mut T) -> bool) {
        let mut kept = self.len().min(1);
        for at in 1..self.len() {
            let (before, rest) = self.split_at_mut(at);
            if !same(&mut rest[0], &mut before[kept - 1]) {
                self.swap(kept, at);
                kept += 1;
            }
        }
        self.truncate(kept);
    }
}

/// Values on their way out of a vector: see [`Vec::drain`].
pub struct Drain<'v, T, A: Allocator> {
    vec: &'v mut Vec<T, A>,
    left: usize,
}

impl<T, A: Allocator> Iterator for Drain<'_, T, A> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        self.vec.pop()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T, A: Allocator> ExactSizeIterator for Drain<'_, T, A> {}
impl<T, A: Allocator> FusedIterator for Drain<'_, T, A> {}

impl<T, A: Allocator> Drop for Drain<'_, T, A> {
    fn drop(&mut self) {
        self.vec.truncate(self.vec.len() - self.left);
    }
}

impl<T, A: Allocator> core::fmt::Debug for Drain<'_, T, A> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Drain").field("left", &self.left).finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "alloc", not(loom)))]
mod tests;
