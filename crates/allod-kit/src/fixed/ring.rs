//! The ring: a queue that is open at both ends.
//!
//! ```text
//!   items   | 4 | 5 | ? | ? | 1 | 2 | 3 |     N = 7
//!                             head        length = 5
//! ```
//!
//! Any `N` will do: going round is a compare and a subtraction, and for a power
//! of two a mask.
//!
//! # Invariants
//!
//! * R1. The `length` items from `head`, going round at `N`, are initialized.
//!   `length` is at most `N`, and `head` below `N` (or 0, if `N` is).
#![allow(unsafe_code)]

use super::vec::past_the_end;
use crate::full::Full;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::iter::{Chain, FusedIterator};
use core::mem::MaybeUninit;
use core::ops::{Index, IndexMut};
use core::slice;

/// A queue with two ends, of at most `N` elements, kept within itself.
///
/// ```
/// use allod_kit::fixed::Ring;
///
/// let mut jobs: Ring<&str, 3> = Ring::new();
/// jobs.push_back("sow");
/// jobs.push_back("reap");
/// jobs.push_front("plough");
/// assert!(jobs.try_push_back("sell").is_err());
/// assert_eq!(jobs.pop_front(), Some("plough"));
/// assert!(jobs.iter().eq(&["sow", "reap"]));
/// ```
///
/// With [`push_over`](Ring::push_over) it keeps the newest, as a log does:
///
/// ```
/// # use allod_kit::fixed::Ring;
/// let mut newest: Ring<u32, 3> = Ring::new();
/// let lost: Vec<u32> = (1..=5).filter_map(|n| newest.push_over(n)).collect();
/// assert_eq!((lost, newest.make_contiguous()), (vec![1, 2], &mut [3, 4, 5][..]));
/// ```
///
/// # What it costs
///
/// *Time.* O(1) at both ends and by index; O(n) in the middle. *Memory.* The
/// elements, and two words.
///
/// # When not to use it
///
/// Between threads: [`SpscQueue`](super::SpscQueue) and
/// [`MpmcQueue`](super::MpmcQueue). As a stack a [`Vec`](super::Vec) is a slice,
/// and this is two.
pub struct Ring<T, const N: usize> {
    head: usize,
    length: usize,
    items: [MaybeUninit<T>; N],
}

impl<T, const N: usize> Ring<T, N> {
    /// An empty ring. O(1).
    #[inline]
    pub const fn new() -> Self {
        Self { head: 0, length: 0, items: [const { MaybeUninit::uninit() }; N] }
    }

    /// How many fit: `N`.
    #[inline]
    pub const fn capacity(&self) -> usize {
        N
    }

    /// How many there are.
    #[inline]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// True when there is none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// True when no more fit.
    #[inline]
    pub const fn is_full(&self) -> bool {
        self.length == N
    }

    /// The item `by` behind the head, going round. `by` is at most `N`.
    #[inline]
    fn place(&self, by: usize) -> usize {
        // Neither is more than `N`. Of elements without bytes there may be so many
        // that the sum wraps; of all others an array holds half of that at most.
        let (at, wraps) = self.head.overflowing_add(by);
        if N.is_power_of_two() {
            return at & (N - 1);
        }
        if (size_of::<T>() == 0 && wraps) || at >= N { at.wrapping_sub(N) } else { at }
    }

    #[inline]
    fn item(&self, place: usize) -> *const T {
        // SAFETY: places are at most `N`.
        unsafe { self.items.as_ptr().add(place) }.cast()
    }

    #[inline]
    fn item_mut(&mut self, place: usize) -> *mut T {
        // SAFETY: places are at most `N`.
        unsafe { self.items.as_mut_ptr().add(place) }.cast()
    }

    /// Adds an element at the back. O(1).
    ///
    /// # Errors
    ///
    /// There is no room; the element comes back.
    #[inline]
    pub fn try_push_back(&mut self, item: T) -> Result<(), Full<T>> {
        if self.length == N {
            return Err(Full(item));
        }
        let place = self.place(self.length);
        // SAFETY: not one of the initialized ones (R1), and below `N`.
        unsafe { self.item_mut(place).write(item) };
        self.length += 1;
        Ok(())
    }

    /// Adds an element at the front. O(1).
    ///
    /// # Errors
    ///
    /// There is no room; the element comes back.
    #[inline]
    pub fn try_push_front(&mut self, item: T) -> Result<(), Full<T>> {
        if self.length == N {
            return Err(Full(item));
        }
        self.head = if self.head == 0 { N - 1 } else { self.head - 1 };
        // SAFETY: not one of the initialized ones (R1), and below `N`.
        unsafe { self.item_mut(self.head).write(item) };
        self.length += 1;
        Ok(())
    }

    /// Adds an element at the back.
    ///
    /// # Panics
    ///
    /// There is no room. [`try_push_back`](Ring::try_push_back) never panics.
    #[cfg(feature = "infallible")]
    #[inline]
    #[track_caller]
    pub fn push_back(&mut self, item: T) {
        crate::full::must(self.try_push_back(item));
    }

    /// Adds an element at the front.
    ///
    /// # Panics
    ///
    /// There is no room. [`try_push_front`](Ring::try_push_front) never panics.
    #[cfg(feature = "infallible")]
    #[inline]
    #[track_caller]
    pub fn push_front(&mut self, item: T) {
        crate::full::must(self.try_push_front(item));
    }

    /// Adds an element at the back and makes room for it if there is none: gives
    /// back the one at the front, or the element itself if `N` is 0. O(1).
    #[inline]
    pub fn push_over(&mut self, item: T) -> Option<T> {
        let oldest = if self.length == N { self.pop_front() } else { None };
        match self.try_push_back(item) {
            Ok(()) => oldest,
            Err(Full(item)) => Some(item),
        }
    }

    /// Takes the element at the front. O(1).
    #[inline]
    pub fn pop_front(&mut self) -> Option<T> {
        self.length = self.length.checked_sub(1)?;
        let place = self.head;
        self.head = self.place(1);
        // SAFETY: it was the first of the initialized ones (R1), and is not now.
        Some(unsafe { self.item(place).read() })
    }

    /// Takes the element at the back. O(1).
    #[inline]
    pub fn pop_back(&mut self) -> Option<T> {
        self.length = self.length.checked_sub(1)?;
        let place = self.place(self.length);
        // SAFETY: it was the last of the initialized ones (R1), and is not now.
        Some(unsafe { self.item(place).read() })
    }

    /// The element `index` from the front. O(1).
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        if index >= self.length {
            return None;
        }
        // SAFETY: one of the initialized ones (R1).
        Some(unsafe { &*self.item(self.place(index)) })
    }

    /// The element `index` from the front, to change. O(1).
    #[inline]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        if index >= self.length {
            return None;
        }
        let place = self.place(index);
        // SAFETY: one of the initialized ones (R1).
        Some(unsafe { &mut *self.item_mut(place) })
    }

    /// The element at the front.
    #[inline]
    pub fn front(&self) -> Option<&T> {
        self.get(0)
    }

    /// The element at the front, to change.
    #[inline]
    pub fn front_mut(&mut self) -> Option<&mut T> {
        self.get_mut(0)
    }

    /// The element at the back.
    #[inline]
    pub fn back(&self) -> Option<&T> {
        self.get(self.length.wrapping_sub(1))
    }

    /// The element at the back, to change.
    #[inline]
    pub fn back_mut(&mut self) -> Option<&mut T> {
        self.get_mut(self.length.wrapping_sub(1))
    }

    /// How many elements lie from the head to the end of the items.
    #[inline]
    fn first_part(&self) -> usize {
        self.length.min(N - self.head)
    }

    /// All elements, front to back, in two slices: the second is what goes round.
    #[inline]
    pub fn as_slices(&self) -> (&[T], &[T]) {
        let first = self.first_part();
        // SAFETY: the initialized ones up to the end of the items (R1).
        let front = unsafe { slice::from_raw_parts(self.item(self.head), first) };
        // SAFETY: the others, from the beginning (R1).
        let back = unsafe { slice::from_raw_parts(self.item(0), self.length - first) };
        (front, back)
    }

    /// The same, to change.
    #[inline]
    pub fn as_mut_slices(&mut self) -> (&mut [T], &mut [T]) {
        let (first, length, head) = (self.first_part(), self.length, self.head);
        let items = self.item_mut(0);
        // SAFETY: `head` is within the items.
        let from = unsafe { items.add(head) };
        // SAFETY: the initialized ones up to the end of the items (R1).
        let front = unsafe { slice::from_raw_parts_mut(from, first) };
        // SAFETY: the others, from the beginning (R1). They do not overlap.
        let back = unsafe { slice::from_raw_parts_mut(items, length - first) };
        (front, back)
    }

    /// Moves the elements so that they lie in one slice, front to back. O(N).
    pub fn make_contiguous(&mut self) -> &mut [T] {
        if self.first_part() != self.length {
            // Moving items that are not initialized is moving bytes.
            self.items.rotate_left(self.head);
            self.head = 0;
        }
        self.as_mut_slices().0
    }

    /// Drops all elements from `length` on, counted from the front.
    pub fn truncate(&mut self, length: usize) {
        while self.length > length {
            drop(self.pop_back());
        }
    }

    /// Drops all elements.
    pub fn clear(&mut self) {
        self.truncate(0);
        self.head = 0;
    }

    /// Takes the element `index` from the front, and closes the gap from the
    /// nearer end. O(n).
    pub fn try_remove(&mut self, index: usize) -> Option<T> {
        if index >= self.length {
            return None;
        }
        if index < self.length / 2 {
            for i in (0..index).rev() {
                self.swap(i, i + 1);
            }
            self.pop_front()
        } else {
            for i in index..self.length - 1 {
                self.swap(i, i + 1);
            }
            self.pop_back()
        }
    }

    /// Swaps two elements, if both are there. O(1).
    pub fn swap(&mut self, a: usize, b: usize) {
        if a < self.length && b < self.length {
            let (a, b) = (self.place(a), self.place(b));
            self.items.swap(a, b);
        }
    }

    /// Adds as many of the elements as fit, at the back.
    ///
    /// # Errors
    ///
    /// There are more; the next one comes back.
    pub fn try_extend(&mut self, items: impl IntoIterator<Item = T>) -> Result<(), Full<T>> {
        items.into_iter().try_for_each(|item| self.try_push_back(item))
    }

    /// All elements, front to back.
    pub fn iter(&self) -> RingIter<'_, T> {
        let (front, back) = self.as_slices();
        RingIter(front.iter().chain(back))
    }

    /// All elements, front to back, to change.
    pub fn iter_mut(&mut self) -> RingIterMut<'_, T> {
        let (front, back) = self.as_mut_slices();
        RingIterMut(front.iter_mut().chain(back))
    }

    /// Takes elements from the front until the ring is empty or the iterator is
    /// dropped; those that were not asked for stay.
    pub fn drain_front(&mut self) -> impl Iterator<Item = T> {
        core::iter::from_fn(|| self.pop_front())
    }
}

impl<T, const N: usize> Drop for Ring<T, N> {
    #[inline]
    fn drop(&mut self) {
        if core::mem::needs_drop::<T>() {
            self.clear();
        }
    }
}

/// The elements of a ring, front to back.
#[derive(Clone, Debug)]
pub struct RingIter<'a, T>(Chain<slice::Iter<'a, T>, slice::Iter<'a, T>>);

/// The elements of a ring, front to back, to change.
#[derive(Debug)]
pub struct RingIterMut<'a, T>(Chain<slice::IterMut<'a, T>, slice::IterMut<'a, T>>);

macro_rules! both_ways {
    ($name:ident, $item:ty) => {
        impl<'a, T> Iterator for $name<'a, T> {
            type Item = $item;
            #[inline]
            fn next(&mut self) -> Option<$item> {
                self.0.next()
            }
            #[inline]
            fn size_hint(&self) -> (usize, Option<usize>) {
                self.0.size_hint()
            }
            #[inline]
            fn fold<B, F: FnMut(B, $item) -> B>(self, init: B, f: F) -> B {
                self.0.fold(init, f)
            }
        }
        impl<T> DoubleEndedIterator for $name<'_, T> {
            #[inline]
            fn next_back(&mut self) -> Option<Self::Item> {
                self.0.next_back()
            }
        }
        impl<T> ExactSizeIterator for $name<'_, T> {}
        impl<T> FusedIterator for $name<'_, T> {}
    };
}
both_ways!(RingIter, &'a T);
both_ways!(RingIterMut, &'a mut T);

/// The elements of a ring, one by one.
#[derive(Debug)]
pub struct RingIntoIter<T, const N: usize>(Ring<T, N>);

impl<T, const N: usize> Iterator for RingIntoIter<T, N> {
    type Item = T;
    #[inline]
    fn next(&mut self) -> Option<T> {
        self.0.pop_front()
    }
    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.length, Some(self.0.length))
    }
}

impl<T, const N: usize> DoubleEndedIterator for RingIntoIter<T, N> {
    #[inline]
    fn next_back(&mut self) -> Option<T> {
        self.0.pop_back()
    }
}

impl<T, const N: usize> ExactSizeIterator for RingIntoIter<T, N> {}
impl<T, const N: usize> FusedIterator for RingIntoIter<T, N> {}

impl<T, const N: usize> IntoIterator for Ring<T, N> {
    type Item = T;
    type IntoIter = RingIntoIter<T, N>;
    fn into_iter(self) -> RingIntoIter<T, N> {
        RingIntoIter(self)
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a Ring<T, N> {
    type Item = &'a T;
    type IntoIter = RingIter<'a, T>;
    fn into_iter(self) -> RingIter<'a, T> {
        self.iter()
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a mut Ring<T, N> {
    type Item = &'a mut T;
    type IntoIter = RingIterMut<'a, T>;
    fn into_iter(self) -> RingIterMut<'a, T> {
        self.iter_mut()
    }
}

impl<T, const N: usize> Index<usize> for Ring<T, N> {
    type Output = T;

    /// # Panics
    ///
    /// `index` is past the end. [`get`](Ring::get) never panics.
    #[inline]
    #[track_caller]
    fn index(&self, index: usize) -> &T {
        match self.get(index) {
            Some(item) => item,
            None => past_the_end(),
        }
    }
}

impl<T, const N: usize> IndexMut<usize> for Ring<T, N> {
    #[inline]
    #[track_caller]
    fn index_mut(&mut self, index: usize) -> &mut T {
        match self.get_mut(index) {
            Some(item) => item,
            None => past_the_end(),
        }
    }
}

impl<T, const N: usize> Default for Ring<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Clone, const N: usize> Clone for Ring<T, N> {
    fn clone(&self) -> Self {
        let mut copy = Self::new();
        // As many as here, so all fit.
        let _ = copy.try_extend(self.iter().cloned());
        copy
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for Ring<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<T: PartialEq, const N: usize, const M: usize> PartialEq<Ring<T, M>> for Ring<T, N> {
    fn eq(&self, other: &Ring<T, M>) -> bool {
        self.length == other.length && self.iter().eq(other)
    }
}

impl<T: Eq, const N: usize> Eq for Ring<T, N> {}

impl<T: PartialOrd, const N: usize> PartialOrd for Ring<T, N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.iter().partial_cmp(other)
    }
}

impl<T: Ord, const N: usize> Ord for Ring<T, N> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other)
    }
}

impl<T: Hash, const N: usize> Hash for Ring<T, N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.length);
        self.iter().for_each(|item| item.hash(state));
    }
}
