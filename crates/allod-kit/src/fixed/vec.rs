//! The vector.
//!
//! ```text
//!   items   | 1 | 2 | 3 | ? | ? | ? | ? | ? |     N = 8
//!   length              3
//! ```
//!
//! # Invariants
//!
//! * V1. The first `length` items are initialized, and `length` is at most `N`.
//! * V2. While user code runs that may unwind, `length` counts only items that
//!   are whole, so at worst some are forgotten, and none is dropped twice.
#![allow(unsafe_code)]

use crate::full::Full;
use core::borrow::{Borrow, BorrowMut};
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::iter::FusedIterator;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ops::{Bound, Deref, DerefMut, RangeBounds};
use core::ptr;
use core::slice;

/// A vector of at most `N` elements, kept within itself. It is a slice in every
/// other respect.
///
/// ```
/// use allod_kit::{Full, fixed::Vec};
///
/// let mut primes: Vec<u32, 4> = Vec::new();
/// primes.try_extend_from_slice(&[2, 3, 5])?;
/// primes.push(7);
/// assert_eq!(primes.try_push(11), Err(Full(11)));
/// assert_eq!(primes.iter().sum::<u32>(), 17);
/// # Ok::<(), Full>(())
/// ```
///
/// Elements cannot be kept across a change:
///
/// ```compile_fail,E0502
/// # use allod_kit::fixed::Vec;
/// let mut v: Vec<u32, 4> = Vec::new();
/// v.push(1);
/// let first = &v[0];
/// v.clear();
/// let _ = *first;
/// ```
///
/// # What it costs
///
/// *Time.* O(1) at the end, O(n) elsewhere. *Memory.* The elements, and a word. It
/// is moved as a whole: O(`N`) bytes, full or not.
///
/// # When not to use it
///
/// Where the greatest number is not known, or is far above the usual: a vector in
/// an [arena](crate::bump::Vec) takes what it needs.
pub struct Vec<T, const N: usize> {
    length: usize,
    items: [MaybeUninit<T>; N],
}

impl<T, const N: usize> Vec<T, N> {
    /// An empty vector. O(1).
    #[inline]
    pub const fn new() -> Self {
        Self { length: 0, items: [const { MaybeUninit::uninit() }; N] }
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

    #[inline]
    fn first(&self) -> *const T {
        self.items.as_ptr().cast()
    }

    #[inline]
    fn first_mut(&mut self) -> *mut T {
        self.items.as_mut_ptr().cast()
    }

    /// The elements.
    #[inline]
    pub fn as_slice(&self) -> &[T] {
        // SAFETY: so many are initialized (V1).
        unsafe { slice::from_raw_parts(self.first(), self.length) }
    }

    /// The elements, to change.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        let length = self.length;
        // SAFETY: so many are initialized (V1).
        unsafe { slice::from_raw_parts_mut(self.first_mut(), length) }
    }

    /// The items behind the elements.
    #[inline]
    pub fn spare_capacity_mut(&mut self) -> &mut [MaybeUninit<T>] {
        self.items.get_mut(self.length..).unwrap_or(&mut [])
    }

    /// Says how many elements there are.
    ///
    /// # Safety
    ///
    /// So many are initialized, and no more than `N`.
    #[inline]
    pub unsafe fn set_len(&mut self, length: usize) {
        debug_assert!(length <= N, "a length past the capacity");
        self.length = length;
    }

    /// Adds an element at the end. O(1).
    ///
    /// # Errors
    ///
    /// There is no room; the element comes back.
    #[inline]
    pub fn try_push(&mut self, item: T) -> Result<(), Full<T>> {
        let length = self.length;
        if length >= N {
            return Err(Full(item));
        }
        // SAFETY: below `N`.
        let place = unsafe { self.first_mut().add(length) };
        // SAFETY: the place is ours, and nothing is there (V1).
        unsafe { place.write(item) };
        self.length = length + 1;
        Ok(())
    }

    /// Adds an element at the end. O(1).
    ///
    /// # Panics
    ///
    /// There is no room. [`try_push`](Vec::try_push) never panics.
    #[cfg(feature = "infallible")]
    #[inline]
    #[track_caller]
    pub fn push(&mut self, item: T) {
        crate::full::must(self.try_push(item));
    }

    /// Takes the last element. O(1).
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        self.length = self.length.checked_sub(1)?;
        // SAFETY: within the items.
        let place = unsafe { self.first().add(self.length) };
        // SAFETY: it was the last of the initialized ones (V1), and is not now.
        Some(unsafe { place.read() })
    }

    /// Puts an element in at `index`, and moves those behind up. O(n).
    ///
    /// # Errors
    ///
    /// There is no room, or `index` is past the end; the element comes back.
    pub fn try_insert(&mut self, index: usize, item: T) -> Result<(), Full<T>> {
        let length = self.length;
        if length == N || index > length {
            return Err(Full(item));
        }
        // SAFETY: at most `length`, which is less than `N`.
        let place = unsafe { self.first_mut().add(index) };
        // SAFETY: one further is within the items too.
        let next = unsafe { place.add(1) };
        // SAFETY: moves the initialized ones behind `index`; there is room for one.
        unsafe { ptr::copy(place, next, length - index) };
        // SAFETY: what was there has moved.
        unsafe { place.write(item) };
        self.length = length + 1;
        Ok(())
    }

    /// Puts an element in at `index`, and moves those behind up. O(n).
    ///
    /// # Panics
    ///
    /// There is no room, or `index` is past the end.
    #[cfg(feature = "infallible")]
    #[track_caller]
    pub fn insert(&mut self, index: usize, item: T) {
        crate::full::must(self.try_insert(index, item));
    }

    /// Takes the element at `index`, if there is one, and moves those behind
    /// down. O(n).
    pub fn try_remove(&mut self, index: usize) -> Option<T> {
        if index >= self.length {
            return None;
        }
        let behind = self.length - index - 1;
        // SAFETY: below `length`.
        let place = unsafe { self.first_mut().add(index) };
        // SAFETY: initialized (V1), and overwritten or cut off next.
        let item = unsafe { place.read() };
        // SAFETY: at most the end.
        let next = unsafe { place.add(1) };
        // SAFETY: moves the initialized ones behind `index` down by one.
        unsafe { ptr::copy(next, place, behind) };
        self.length -= 1;
        Some(item)
    }

    /// Takes the element at `index`, and moves those behind down. O(n).
    ///
    /// # Panics
    ///
    /// `index` is past the end. [`try_remove`](Vec::try_remove) never panics.
    #[track_caller]
    pub fn remove(&mut self, index: usize) -> T {
        match self.try_remove(index) {
            Some(item) => item,
            None => past_the_end(),
        }
    }

    /// Takes the element at `index`, if there is one, and puts the last one in
    /// its place. O(1).
    pub fn try_swap_remove(&mut self, index: usize) -> Option<T> {
        let last = self.length.checked_sub(1)?;
        if index > last {
            return None;
        }
        self.as_mut_slice().swap(index, last);
        self.pop()
    }

    /// Takes the element at `index`, and puts the last one in its place. O(1).
    ///
    /// # Panics
    ///
    /// `index` is past the end. [`try_swap_remove`](Vec::try_swap_remove) never
    /// panics.
    #[track_caller]
    pub fn swap_remove(&mut self, index: usize) -> T {
        match self.try_swap_remove(index) {
            Some(item) => item,
            None => past_the_end(),
        }
    }

    /// Drops all elements from `length` on. Does nothing if there are none.
    pub fn truncate(&mut self, length: usize) {
        let Some(cut) = self.as_mut_slice().get_mut(length..) else { return };
        let cut = ptr::from_mut(cut);
        self.length = length;
        // SAFETY: they were initialized and are not counted any more (V2).
        unsafe { cut.drop_in_place() };
    }

    /// Drops all elements.
    #[inline]
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Drops the elements for which `keep` says no. O(n); the order stays.
    pub fn retain(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        /// The elements from `seen` on close the gap after `kept`, whatever happens.
        struct Gap<'a, T, const N: usize> {
            vec: &'a mut Vec<T, N>,
            seen: usize,
            kept: usize,
            all: usize,
        }
        impl<T, const N: usize> Drop for Gap<'_, T, N> {
            fn drop(&mut self) {
                let left = self.all - self.seen;
                let first = self.vec.first_mut();
                // SAFETY: `seen` is at most `all`, the length before.
                let from = unsafe { first.add(self.seen) };
                // SAFETY: `kept` is at most `seen`.
                let to = unsafe { first.add(self.kept) };
                // SAFETY: the elements not yet seen, which are initialized, and
                // what lies between is gone.
                unsafe { ptr::copy(from, to, left) };
                self.vec.length = self.kept + left;
            }
        }
        let all = self.length;
        self.length = 0;
        let mut gap = Gap { vec: self, seen: 0, kept: 0, all };
        while gap.seen < all {
            // SAFETY: below the length before, and not moved yet.
            let place = unsafe { gap.vec.first_mut().add(gap.seen) };
            // SAFETY: initialized, and ours alone.
            let keeps = keep(unsafe { &mut *place });
            gap.seen += 1;
            if keeps {
                // SAFETY: `kept` is below `seen`.
                let to = unsafe { gap.vec.first_mut().add(gap.kept) };
                // SAFETY: one element, moved down to where nothing is, or where it is.
                unsafe { ptr::copy(place, to, 1) };
                gap.kept += 1;
            } else {
                // SAFETY: initialized, and counted by nobody from here on.
                unsafe { place.drop_in_place() };
            }
        }
    }

    /// Adds as many of the elements as fit.
    ///
    /// # Errors
    ///
    /// There are more; the next one comes back.
    pub fn try_extend(&mut self, items: impl IntoIterator<Item = T>) -> Result<(), Full<T>> {
        items.into_iter().try_for_each(|item| self.try_push(item))
    }

    /// Adds copies of all elements of a slice. O(n).
    ///
    /// # Errors
    ///
    /// They do not all fit; nothing was added.
    pub fn try_extend_from_slice(&mut self, items: &[T]) -> Result<(), Full>
    where
        T: Clone,
    {
        /// Counts what is whole (V2). Apart, so that copying a slice of bytes is
        /// not copying byte by byte: 43 instructions for 16 words against 103
        /// with the length in memory (2026-11-21).
        struct Whole<'a> {
            length: &'a mut usize,
            more: usize,
        }
        impl Drop for Whole<'_> {
            fn drop(&mut self) {
                *self.length += self.more;
            }
        }
        let Self { length, items: all } = self;
        let room = all.get_mut(*length..).unwrap_or(&mut []);
        let Some(room) = room.get_mut(..items.len()) else { return Err(Full(())) };
        let mut whole = Whole { length, more: 0 };
        for (place, item) in room.iter_mut().zip(items) {
            place.write(item.clone());
            whole.more += 1;
        }
        Ok(())
    }

    /// The same for what may be copied, where nothing can happen in between.
    #[inline]
    pub(crate) fn try_copy_from_slice(&mut self, items: &[T]) -> Result<(), Full>
    where
        T: Copy,
    {
        // An end that wraps is before the start, and no range.
        let end = self.length.wrapping_add(items.len());
        let Some(room) = self.items.get_mut(self.length..end) else { return Err(Full(())) };
        for (place, item) in room.iter_mut().zip(items) {
            place.write(*item);
        }
        self.length = end;
        Ok(())
    }

    /// Makes the length `length`, with clones of `item` where it grows.
    ///
    /// # Errors
    ///
    /// More than `N` do not fit; nothing was changed.
    pub fn try_resize(&mut self, length: usize, item: T) -> Result<(), Full<T>>
    where
        T: Clone,
    {
        if length > N {
            return Err(Full(item));
        }
        self.truncate(length);
        while self.length < length {
            self.try_push(item.clone())?;
        }
        Ok(())
    }

    /// Takes a range of elements out. Those that are not asked for are dropped
    /// with the iterator, and then those behind move down. A range that does not
    /// lie within the vector is cut to it.
    pub fn drain(&mut self, range: impl RangeBounds<usize>) -> Drain<'_, T, N> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => usize::MAX,
        };
        let all = self.length;
        let end = end.min(all);
        let start = start.min(end);
        self.length = start;
        Drain { vec: self, next: start, end, tail: end, all }
    }

    /// The array of all elements, if the vector is full.
    ///
    /// # Errors
    ///
    /// It is not; the vector comes back.
    pub fn into_array(self) -> Result<[T; N], Self> {
        if self.length != N {
            return Err(self);
        }
        let this = ManuallyDrop::new(self);
        // SAFETY: all are initialized (V1), and the vector is not used again.
        Ok(unsafe { this.first().cast::<[T; N]>().read() })
    }
}

#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn past_the_end() -> ! {
    panic!("the index is past the end")
}

impl<T, const N: usize> Drop for Vec<T, N> {
    #[inline]
    fn drop(&mut self) {
        if core::mem::needs_drop::<T>() {
            self.clear();
        }
    }
}

/// Elements that are taken out of a vector. See [`Vec::drain`].
///
/// Forgotten, it leaves the vector cut off where the range began.
pub struct Drain<'a, T, const N: usize> {
    vec: &'a mut Vec<T, N>,
    next: usize,
    end: usize,
    tail: usize,
    all: usize,
}

impl<T, const N: usize> Iterator for Drain<'_, T, N> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        if self.next == self.end {
            return None;
        }
        // SAFETY: from `next` to `end` are initialized, and not the vector's now.
        let place = unsafe { self.vec.first().add(self.next) };
        self.next += 1;
        // SAFETY: as above; it is given once.
        Some(unsafe { place.read() })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl<T, const N: usize> DoubleEndedIterator for Drain<'_, T, N> {
    #[inline]
    fn next_back(&mut self) -> Option<T> {
        if self.next == self.end {
            return None;
        }
        self.end -= 1;
        // SAFETY: as in `next`.
        let place = unsafe { self.vec.first().add(self.end) };
        // SAFETY: as in `next`.
        Some(unsafe { place.read() })
    }
}

impl<T, const N: usize> ExactSizeIterator for Drain<'_, T, N> {}
impl<T, const N: usize> FusedIterator for Drain<'_, T, N> {}

impl<T, const N: usize> Drop for Drain<'_, T, N> {
    fn drop(&mut self) {
        /// The tail moves down, also when dropping an element unwinds.
        struct Tail<'a, 'b, T, const N: usize>(&'a mut Drain<'b, T, N>);
        impl<T, const N: usize> Drop for Tail<'_, '_, T, N> {
            fn drop(&mut self) {
                let Drain { vec, tail, all, .. } = &mut *self.0;
                let (length, behind) = (vec.length, *all - *tail);
                let first = vec.first_mut();
                // SAFETY: at most the length before.
                let from = unsafe { first.add(*tail) };
                // SAFETY: where the range began.
                let to = unsafe { first.add(length) };
                // SAFETY: the tail is initialized, and what was before it is gone.
                unsafe { ptr::copy(from, to, behind) };
                vec.length = length + behind;
            }
        }
        let tail = Tail(self);
        tail.0.by_ref().for_each(drop);
    }
}

impl<T, const N: usize> fmt::Debug for Drain<'_, T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("left", &self.len()).finish()
    }
}

/// The elements of a vector, one by one.
pub struct IntoIter<T, const N: usize> {
    /// Its length is 0: the elements are ours.
    vec: Vec<T, N>,
    next: usize,
    end: usize,
}

impl<T, const N: usize> IntoIter<T, N> {
    /// Those that have not been asked for.
    pub fn as_slice(&self) -> &[T] {
        // SAFETY: from `next` to `end` are initialized.
        let first = unsafe { self.vec.first().add(self.next) };
        // SAFETY: as above.
        unsafe { slice::from_raw_parts(first, self.end - self.next) }
    }
}

impl<T, const N: usize> Iterator for IntoIter<T, N> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        if self.next == self.end {
            return None;
        }
        // SAFETY: from `next` to `end` are initialized.
        let place = unsafe { self.vec.first().add(self.next) };
        self.next += 1;
        // SAFETY: as above; it is given once.
        Some(unsafe { place.read() })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl<T, const N: usize> DoubleEndedIterator for IntoIter<T, N> {
    #[inline]
    fn next_back(&mut self) -> Option<T> {
        if self.next == self.end {
            return None;
        }
        self.end -= 1;
        // SAFETY: as in `next`.
        let place = unsafe { self.vec.first().add(self.end) };
        // SAFETY: as in `next`.
        Some(unsafe { place.read() })
    }
}

impl<T, const N: usize> ExactSizeIterator for IntoIter<T, N> {}
impl<T, const N: usize> FusedIterator for IntoIter<T, N> {}

impl<T, const N: usize> Drop for IntoIter<T, N> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for IntoIter<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IntoIter").field(&self.as_slice()).finish()
    }
}

impl<T, const N: usize> IntoIterator for Vec<T, N> {
    type Item = T;
    type IntoIter = IntoIter<T, N>;
    #[inline]
    fn into_iter(mut self) -> IntoIter<T, N> {
        let end = core::mem::replace(&mut self.length, 0);
        IntoIter { vec: self, next: 0, end }
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a Vec<T, N> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;
    #[inline]
    fn into_iter(self) -> slice::Iter<'a, T> {
        self.iter()
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a mut Vec<T, N> {
    type Item = &'a mut T;
    type IntoIter = slice::IterMut<'a, T>;
    #[inline]
    fn into_iter(self) -> slice::IterMut<'a, T> {
        self.iter_mut()
    }
}

#[cfg(feature = "infallible")]
impl<T, const N: usize> Extend<T> for Vec<T, N> {
    /// # Panics
    ///
    /// There is no room for all.
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        crate::full::must(self.try_extend(items));
    }
}

#[cfg(feature = "infallible")]
impl<T, const N: usize> FromIterator<T> for Vec<T, N> {
    /// # Panics
    ///
    /// There is no room for all.
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut vec = Self::new();
        vec.extend(items);
        vec
    }
}

impl<T, const N: usize> From<[T; N]> for Vec<T, N> {
    fn from(items: [T; N]) -> Self {
        let items = ManuallyDrop::new(items);
        let items = ptr::from_ref(&items).cast::<[MaybeUninit<T>; N]>();
        // SAFETY: the same layout, and the array is not used again.
        Self { length: N, items: unsafe { items.read() } }
    }
}

impl<T: Clone, const N: usize> TryFrom<&[T]> for Vec<T, N> {
    type Error = Full;
    fn try_from(items: &[T]) -> Result<Self, Full> {
        let mut vec = Self::new();
        vec.try_extend_from_slice(items)?;
        Ok(vec)
    }
}

impl<T, const N: usize> Deref for Vec<T, N> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T, const N: usize> DerefMut for Vec<T, N> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        self.as_mut_slice()
    }
}

impl<T, const N: usize> AsRef<[T]> for Vec<T, N> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T, const N: usize> AsMut<[T]> for Vec<T, N> {
    fn as_mut(&mut self) -> &mut [T] {
        self
    }
}

impl<T, const N: usize> Borrow<[T]> for Vec<T, N> {
    fn borrow(&self) -> &[T] {
        self
    }
}

impl<T, const N: usize> BorrowMut<[T]> for Vec<T, N> {
    fn borrow_mut(&mut self) -> &mut [T] {
        self
    }
}

impl<T, const N: usize> Default for Vec<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Clone, const N: usize> Clone for Vec<T, N> {
    fn clone(&self) -> Self {
        let mut copy = Self::new();
        // As long as this one, so all fit.
        let _ = copy.try_extend_from_slice(self);
        copy
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for Vec<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: PartialEq<U>, U, const N: usize, const M: usize> PartialEq<Vec<U, M>> for Vec<T, N> {
    fn eq(&self, other: &Vec<U, M>) -> bool {
        **self == **other
    }
}

impl<T: PartialEq<U>, U, const N: usize> PartialEq<[U]> for Vec<T, N> {
    fn eq(&self, other: &[U]) -> bool {
        **self == *other
    }
}

impl<T: PartialEq<U>, U, const N: usize, const M: usize> PartialEq<[U; M]> for Vec<T, N> {
    fn eq(&self, other: &[U; M]) -> bool {
        **self == *other
    }
}

impl<T: Eq, const N: usize> Eq for Vec<T, N> {}

impl<T: PartialOrd, const N: usize> PartialOrd for Vec<T, N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (**self).partial_cmp(&**other)
    }
}

impl<T: Ord, const N: usize> Ord for Vec<T, N> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<T: Hash, const N: usize> Hash for Vec<T, N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<const N: usize> fmt::Write for Vec<u8, N> {
    /// Writes all of the text or nothing.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.try_extend_from_slice(text.as_bytes()).map_err(|_| fmt::Error)
    }
}
