//! Taking a part of a vector out, and putting another there.
//!
//! In safe code where that costs nothing: what goes is moved to the end first,
//! and popped from there. [`ExtractIf`] moves each value once, so it leaves holes
//! while it runs, and the vector counts none of its values until it has ended.
#![allow(unsafe_code)]

#[cfg(feature = "infallible")]
use core::alloc::Layout;
use core::iter::FusedIterator;
use core::ops::{Bound, Range, RangeBounds};

use super::Vec;
#[cfg(feature = "infallible")]
use crate::infallible::infallible;
use crate::{AllocError, Allocator};

/// The indices of a range in something of a length. It may end past that, and
/// before its start: who uses it indexes with it first.
pub(in crate::bump) fn indices(range: &impl RangeBounds<usize>, len: usize) -> Range<usize> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => len,
    };
    start..end
}

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
        let Range { start, end } = indices(&range, self.len());
        let count = self[start..end].len();
        self[start..].rotate_left(count);
        let keep = self.len() - count;
        // So that popping gives them in their order.
        self[keep..].reverse();
        Drain { vec: self, left: count }
    }

    /// Takes the values of a range out and puts others in their place, which are in
    /// when this returns. Those that are taken out come with the iterator, or are
    /// dropped with it. O(n).
    ///
    /// ```
    /// use allod_kit::{Bump, bump::Vec};
    ///
    /// let arena = Bump::new();
    /// let mut vec = Vec::from_iter_in([1, 2, 3, 4], &arena);
    /// assert!(vec.try_splice(1..3, [7, 8, 9])?.eq([2, 3]));
    /// assert_eq!(vec, [1, 7, 8, 9, 4]);
    /// # Ok::<(), allod_kit::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// There is no memory. The vector is as it was.
    ///
    /// # Panics
    ///
    /// The range is not inside the vector.
    pub fn try_splice(
        &mut self,
        range: impl RangeBounds<usize>,
        values: impl IntoIterator<Item = T>,
    ) -> Result<Drain<'_, T, A>, AllocError> {
        let Range { start, end } = indices(&range, self.len());
        let (count, before) = (self[start..end].len(), self.len());
        if let Err(error) = self.try_extend(values) {
            self.truncate(before);
            return Err(error);
        }
        // What goes, what stays, what comes: the last of them first, and the first last.
        let come = self.len() - before;
        self[start..].rotate_right(come);
        self[start + come..].rotate_left(count);
        let keep = self.len() - count;
        self[keep..].reverse();
        Ok(Drain { vec: self, left: count })
    }

    /// Takes the values out that a function wants, as the iterator comes to them;
    /// the others move down. Values behind the point where the iterator is dropped
    /// stay. O(n).
    ///
    /// An iterator that is forgotten leaves an empty vector; no value is dropped
    /// then.
    ///
    /// ```
    /// use allod_kit::{Bump, bump::Vec};
    ///
    /// let arena = Bump::new();
    /// let mut vec = Vec::from_iter_in(1..=6, &arena);
    /// assert!(vec.extract_if(.., |it| *it % 2 == 0).eq([2, 4, 6]));
    /// assert_eq!(vec, [1, 3, 5]);
    /// ```
    ///
    /// # Panics
    ///
    /// The range is not inside the vector.
    pub fn extract_if<F: FnMut(&mut T) -> bool>(
        &mut self,
        range: impl RangeBounds<usize>,
        wanted: F,
    ) -> ExtractIf<'_, T, A, F> {
        let Range { start, end } = indices(&range, self.len());
        let _inside = &self[start..end];
        let len = core::mem::take(&mut self.len);
        ExtractIf { vec: self, at: start, kept: start, end, len, wanted }
    }

    /// Takes the last value out if a function wants it. O(1).
    pub fn pop_if(&mut self, wanted: impl FnOnce(&mut T) -> bool) -> Option<T> {
        if wanted(self.last_mut()?) { self.pop() } else { None }
    }

    /// Moves all values of another vector, in any allocator, behind the last.
    /// O(n) of the other.
    ///
    /// # Errors
    ///
    /// There is no memory. Nothing has been moved.
    pub fn try_append<B: Allocator>(&mut self, other: &mut Vec<T, B>) -> Result<(), AllocError> {
        self.try_reserve(other.len())?;
        // SAFETY: there is room for them behind the last value.
        let place = unsafe { self.start.add(self.len) };
        // SAFETY: as above; two vectors do not overlap.
        unsafe { place.copy_from_nonoverlapping(other.start, other.len) };
        self.len += core::mem::take(&mut other.len);
        Ok(())
    }

    /// Moves the values from an index on to a vector of their own. O(n) of them.
    ///
    /// ```
    /// use allod_kit::{Bump, bump::Vec};
    ///
    /// let arena = Bump::new();
    /// let mut vec = Vec::from_iter_in(0..5, &arena);
    /// let back = vec.try_split_off(3)?;
    /// assert_eq!((&*vec, &*back), (&[0, 1, 2][..], &[3, 4][..]));
    /// # Ok::<(), allod_kit::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// There is no memory. Nothing has been moved.
    ///
    /// # Panics
    ///
    /// The index is past the end.
    pub fn try_split_off(&mut self, at: usize) -> Result<Self, AllocError>
    where
        A: Clone,
    {
        let count = self[at..].len();
        let mut other = Vec::try_with_capacity_in(count, self.allocator.clone())?;
        // SAFETY: `at` is inside, or just behind the last.
        let from = unsafe { self.start.add(at) };
        // SAFETY: so many are there from `at` on, there is room for them, and two
        // vectors do not overlap.
        unsafe { from.copy_to_nonoverlapping(other.start, count) };
        self.len = at;
        other.len = count;
        Ok(other)
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

/// The infallible face.
#[cfg(feature = "infallible")]
impl<T, A: Allocator> Vec<T, A> {
    /// As [`try_splice`](Vec::try_splice).
    ///
    /// # Panics
    ///
    /// The range is not inside the vector.
    pub fn splice(
        &mut self,
        range: impl RangeBounds<usize>,
        values: impl IntoIterator<Item = T>,
    ) -> Drain<'_, T, A> {
        infallible(self.try_splice(range, values), Layout::new::<T>())
    }

    /// As [`try_append`](Vec::try_append).
    pub fn append<B: Allocator>(&mut self, other: &mut Vec<T, B>) {
        infallible(self.try_append(other), Layout::new::<T>());
    }

    /// As [`try_split_off`](Vec::try_split_off).
    ///
    /// # Panics
    ///
    /// The index is past the end.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self
    where
        A: Clone,
    {
        infallible(self.try_split_off(at), Layout::new::<T>())
    }
}

/// Values that a function takes out of a vector: see [`Vec::extract_if`].
///
/// While it is there the vector counts no values. `kept` of them are at its
/// start; what was not looked at is from `at` to `len`; between the two nothing is.
pub struct ExtractIf<'v, T, A: Allocator, F> {
    vec: &'v mut Vec<T, A>,
    kept: usize,
    at: usize,
    /// No value from here on is looked at.
    end: usize,
    len: usize,
    wanted: F,
}

impl<T, A: Allocator, F: FnMut(&mut T) -> bool> Iterator for ExtractIf<'_, T, A, F> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        while self.at < self.end {
            // SAFETY: `end` is at most the length.
            let mut place = unsafe { self.vec.start.add(self.at) };
            // SAFETY: the value has not been looked at, so it is there, and nobody
            // else sees it.
            let wanted = (self.wanted)(unsafe { place.as_mut() });
            // Not before: if the function panics, the value stays.
            self.at += 1;
            if wanted {
                // SAFETY: it is initialised, and now between `kept` and `at`.
                return Some(unsafe { place.read() });
            }
            // SAFETY: `kept` is at most `at`.
            let to = unsafe { self.vec.start.add(self.kept) };
            // SAFETY: nothing is at `kept`, or the value itself.
            unsafe { place.copy_to(to, 1) };
            self.kept += 1;
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.end - self.at))
    }
}

impl<T, A: Allocator, F: FnMut(&mut T) -> bool> FusedIterator for ExtractIf<'_, T, A, F> {}

impl<T, A: Allocator, F> Drop for ExtractIf<'_, T, A, F> {
    fn drop(&mut self) {
        let rest = self.len - self.at;
        // SAFETY: `at` is at most the length.
        let from = unsafe { self.vec.start.add(self.at) };
        // SAFETY: `kept` is at most `at`.
        let to = unsafe { self.vec.start.add(self.kept) };
        // SAFETY: the rest is there, and nothing is between.
        unsafe { from.copy_to(to, rest) };
        self.vec.len = self.kept + rest;
    }
}

impl<T, A: Allocator, F> core::fmt::Debug for ExtractIf<'_, T, A, F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let left = self.end - self.at;
        f.debug_struct("ExtractIf").field("left", &left).finish_non_exhaustive()
    }
}

/// Values on their way out of a vector: see [`Vec::drain`].
///
/// Two words. Its drop takes what is left: O(1) for values that need no drop.
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
