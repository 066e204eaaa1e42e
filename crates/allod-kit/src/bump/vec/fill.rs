//! Filling a vector: from iterators and slices, to a length, by copies of itself.
//!
//! What copies bytes wants `Copy`, as the arena's own operations do. What clones
//! has `clone` in its name: a clone may take memory of its own, and panic.
#![allow(unsafe_code)]

#[cfg(feature = "infallible")]
use core::alloc::Layout;
use core::mem::MaybeUninit;
use core::ops::{Range, RangeBounds};
use core::slice;

use super::Vec;
use super::edit::indices;
#[cfg(feature = "infallible")]
use crate::infallible::infallible;
use crate::{AllocError, Allocator};

impl<T, A: Allocator> Vec<T, A> {
    /// All that an iterator yields.
    ///
    /// # Errors
    ///
    /// There is no memory.
    #[inline]
    pub fn try_from_iter_in(
        values: impl IntoIterator<Item = T>,
        allocator: A,
    ) -> Result<Self, AllocError> {
        let mut all = Vec::new_in(allocator);
        all.try_extend(values)?;
        Ok(all)
    }

    /// Puts in a clone of each value of a slice.
    ///
    /// # Errors
    ///
    /// There is no memory. Nothing has been put in.
    pub fn try_extend_from_slice_clone(&mut self, values: &[T]) -> Result<(), AllocError>
    where
        T: Clone,
    {
        self.try_extend(values.iter().cloned())
    }

    /// Puts in a copy of a part of itself.
    ///
    /// ```
    /// use allod_kit::{Bump, bump::Vec};
    ///
    /// let arena = Bump::new();
    /// let mut vec = Vec::from_iter_in([1, 2, 3], &arena);
    /// vec.try_extend_from_within(1..)?;
    /// assert_eq!(vec, [1, 2, 3, 2, 3]);
    /// # Ok::<(), allod_kit::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// There is no memory. Nothing has been put in.
    ///
    /// # Panics
    ///
    /// The range is not inside the vector.
    pub fn try_extend_from_within(
        &mut self,
        range: impl RangeBounds<usize>,
    ) -> Result<(), AllocError>
    where
        T: Copy,
    {
        let Range { start, end } = indices(&range, self.len);
        let count = self[start..end].len();
        self.try_reserve(count)?;
        // SAFETY: `start` is inside, or just behind the last.
        let from = unsafe { self.start.add(start) };
        // SAFETY: there is room for them behind the last value.
        let to = unsafe { self.start.add(self.len) };
        // SAFETY: the range ends where the room begins, or before.
        unsafe { to.copy_from_nonoverlapping(from, count) };
        self.len += count;
        Ok(())
    }

    /// Makes it so long: drops what is behind, or makes what is missing. O(n) of
    /// the difference.
    ///
    /// # Errors
    ///
    /// There is no memory. The vector is as it was.
    pub fn try_resize_with(
        &mut self,
        len: usize,
        make: impl FnMut() -> T,
    ) -> Result<(), AllocError> {
        match len.checked_sub(self.len) {
            None => self.truncate(len),
            Some(more) => self.try_extend(core::iter::repeat_with(make).take(more))?,
        }
        Ok(())
    }

    /// Makes it so long: drops what is behind, or puts clones of a value there.
    /// O(n) of the difference.
    ///
    /// # Errors
    ///
    /// There is no memory. The vector is as it was.
    pub fn try_resize(&mut self, len: usize, value: T) -> Result<(), AllocError>
    where
        T: Clone,
    {
        match len.checked_sub(self.len) {
            None => self.truncate(len),
            Some(more) => self.try_extend(core::iter::repeat_n(value, more))?,
        }
        Ok(())
    }

    /// A vector of clones, in the same allocator. O(n).
    ///
    /// # Errors
    ///
    /// There is no memory.
    pub fn try_clone(&self) -> Result<Self, AllocError>
    where
        T: Clone,
        A: Clone,
    {
        let mut all = Vec::try_with_capacity_in(self.len, self.allocator.clone())?;
        all.try_extend_from_slice_clone(self)?;
        Ok(all)
    }

    /// The room behind the last value, for what writes values itself: a system
    /// call, a decoder. [`set_len`](Vec::set_len) makes them the vector's.
    ///
    /// ```
    /// use allod_kit::{Bump, bump::Vec};
    ///
    /// let arena = Bump::new();
    /// let mut bytes = Vec::<u8, _>::try_with_capacity_in(16, &arena)?;
    /// bytes.spare_capacity_mut()[0].write(7);
    /// // SAFETY: the first has been written.
    /// unsafe { bytes.set_len(1) };
    /// assert_eq!(bytes, [7]);
    /// # Ok::<(), allod_kit::AllocError>(())
    /// ```
    #[inline]
    pub fn spare_capacity_mut(&mut self) -> &mut [MaybeUninit<T>] {
        let room = self.capacity - self.len;
        // SAFETY: there are as many places as the capacity.
        let place = unsafe { self.start.add(self.len) };
        // SAFETY: they are ours, and need no contents.
        unsafe { slice::from_raw_parts_mut(place.cast().as_ptr(), room) }
    }

    /// Says how many values there are.
    ///
    /// # Safety
    ///
    /// It is at most the capacity, and so many values are initialised.
    #[inline]
    pub unsafe fn set_len(&mut self, len: usize) {
        debug_assert!(len <= self.capacity);
        self.len = len;
    }
}

/// The infallible face.
#[cfg(feature = "infallible")]
impl<T, A: Allocator> Vec<T, A> {
    /// All that an iterator yields: `Vec::from_iter_in([1, 2, 3], &arena)`.
    #[must_use]
    #[inline]
    pub fn from_iter_in(values: impl IntoIterator<Item = T>, allocator: A) -> Self {
        infallible(Vec::try_from_iter_in(values, allocator), Layout::new::<T>())
    }

    /// Makes room for `more` values, and no more than that.
    #[inline]
    pub fn reserve_exact(&mut self, more: usize) {
        infallible(self.try_reserve_exact(more), Layout::new::<T>());
    }

    /// Puts in a clone of each value of a slice.
    pub fn extend_from_slice_clone(&mut self, values: &[T])
    where
        T: Clone,
    {
        infallible(self.try_extend_from_slice_clone(values), Layout::for_value(values));
    }

    /// Puts in a copy of a part of itself.
    ///
    /// # Panics
    ///
    /// The range is not inside the vector.
    pub fn extend_from_within(&mut self, range: impl RangeBounds<usize>)
    where
        T: Copy,
    {
        infallible(self.try_extend_from_within(range), Layout::new::<T>());
    }

    /// Makes it so long: drops what is behind, or makes what is missing.
    pub fn resize_with(&mut self, len: usize, make: impl FnMut() -> T) {
        infallible(self.try_resize_with(len, make), Layout::new::<T>());
    }

    /// Makes it so long: drops what is behind, or puts clones of a value there.
    pub fn resize(&mut self, len: usize, value: T)
    where
        T: Clone,
    {
        infallible(self.try_resize(len, value), Layout::new::<T>());
    }
}
