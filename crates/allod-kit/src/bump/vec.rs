//! A vector in any allocator, made for arenas: stable Rust's own takes none.
//!
//! At the end of an arena it grows in place, and what it does not need in the
//! end goes back.
#![allow(unsafe_code)]

mod edit;
mod fill;
mod traits;

pub(super) use edit::indices;
pub use edit::{Drain, ExtractIf};

use core::alloc::Layout;
use core::fmt;
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::mem::{self, ManuallyDrop};
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use core::slice;

use super::source::Source;
use super::values::refuse_drop;
use super::{Box, Bump};
#[cfg(feature = "infallible")]
use crate::infallible::infallible;
use crate::{AllocError, Allocator};

/// A vector: contiguous, growing, and the owner of its values, in an arena or
/// another [`Allocator`]. Three words and the allocator.
///
/// ```
/// use allod_kit::{Bump, bump::Vec};
///
/// let arena = Bump::new();
/// let mut squares = Vec::new_in(&arena);
/// for i in 0..100_u32 {
///     squares.push(i * i);
/// }
/// assert_eq!(squares.iter().sum::<u32>(), 328_350);
///
/// let squares: &mut [u32] = squares.into_slice(); // as long as the arena
/// assert_eq!(squares[9], 81);
/// ```
///
/// Values that need it are dropped with the vector; they cannot be left behind:
///
/// ```compile_fail,E0080
/// # use allod_kit::{Bump, bump::Vec};
/// let arena = Bump::new();
/// let mut words = Vec::new_in(&arena);
/// words.push(std::string::String::new());
/// words.into_slice();
/// ```
///
/// [`into_box`](Vec::into_box) takes them along instead.
///
/// # What it costs
///
/// A push is O(1), amortised: the capacity doubles. In an arena, a vector that
/// is not the last block moves when it grows, and leaves its old bytes behind:
/// at most as many as it has. Reserve what you know.
///
/// # When not to use it
///
/// Where code wants `std`'s own type. The feature `allocator-api2` makes that
/// crate's `Vec`, a copy of it, run on every allocator here, and `nightly` makes
/// `std`'s.
pub struct Vec<T, A: Allocator> {
    start: NonNull<T>,
    /// Values that there is room for; any number if they have no size.
    capacity: usize,
    /// The first so many are initialised.
    len: usize,
    allocator: A,
    owner: PhantomData<T>,
}

// SAFETY: a vector is its values' only owner.
unsafe impl<T: Send, A: Allocator + Send> Send for Vec<T, A> {}
// SAFETY: as above.
unsafe impl<T: Sync, A: Allocator + Sync> Sync for Vec<T, A> {}

/// The first capacity of a vector that was told none: one cache line's worth,
/// and at least one value.
const fn first_capacity<T>() -> usize {
    match size_of::<T>() {
        0 => usize::MAX,
        size if size < 16 => 64 / size,
        size if size <= 1024 => 4,
        _ => 1,
    }
}

impl<T, A: Allocator> Vec<T, A> {
    /// An empty vector. Nothing is allocated before the first push.
    #[must_use]
    #[inline]
    pub const fn new_in(allocator: A) -> Self {
        let capacity = if size_of::<T>() == 0 { usize::MAX } else { 0 };
        Vec { start: NonNull::dangling(), capacity, len: 0, allocator, owner: PhantomData }
    }

    /// An empty vector with room for `capacity` values.
    ///
    /// # Errors
    ///
    /// There is no memory; so it is for all the operations named `try_`.
    #[inline]
    pub fn try_with_capacity_in(capacity: usize, allocator: A) -> Result<Self, AllocError> {
        let mut vec = Vec::new_in(allocator);
        vec.try_reserve_exact(capacity)?;
        Ok(vec)
    }

    /// Values that there is room for.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// What it allocates from.
    #[inline]
    #[must_use]
    pub fn allocator(&self) -> &A {
        &self.allocator
    }

    /// Makes room for `more` values, and for as many again as there are.
    ///
    /// # Errors
    ///
    /// There is no memory.
    #[inline]
    pub fn try_reserve(&mut self, more: usize) -> Result<(), AllocError> {
        if more <= self.capacity - self.len {
            return Ok(());
        }
        let least = self.len.checked_add(more).ok_or(AllocError)?;
        self.reblock(least.max(self.capacity.saturating_mul(2)).max(first_capacity::<T>()))
    }

    /// Makes room for `more` values, and no more than that.
    ///
    /// # Errors
    ///
    /// There is no memory.
    #[inline]
    pub fn try_reserve_exact(&mut self, more: usize) -> Result<(), AllocError> {
        if more <= self.capacity - self.len {
            return Ok(());
        }
        self.reblock(self.len.checked_add(more).ok_or(AllocError)?)
    }

    /// Room for one more.
    #[cold]
    #[inline(never)]
    fn grow(&mut self) -> Result<(), AllocError> {
        self.try_reserve(1)
    }

    /// Makes the block fit a number of values, at least the vector's length.
    fn reblock(&mut self, capacity: usize) -> Result<(), AllocError> {
        if size_of::<T>() == 0 {
            return Err(AllocError);
        }
        let new = Layout::array::<T>(capacity).map_err(|_| AllocError)?;
        let block = if self.capacity == 0 {
            self.allocator.allocate(new)?
        } else {
            // SAFETY: the block is of this layout, and the old pointer is not
            // used again.
            unsafe { self.allocator.reallocate(self.start.cast(), self.layout(), new)? }
        };
        self.start = block.cast();
        self.capacity = capacity;
        Ok(())
    }

    /// The block's layout, which has been a layout before.
    fn layout(&self) -> Layout {
        if size_of::<T>() == 0 {
            return Layout::new::<T>();
        }
        let bytes = self.capacity.wrapping_mul(size_of::<T>());
        // SAFETY: `reblock` has made a layout of the same numbers.
        unsafe { Layout::from_size_align_unchecked(bytes, align_of::<T>()) }
    }

    /// Gives back what it does not use, if that is possible without moving.
    pub fn shrink_to_fit(&mut self) {
        if size_of::<T>() == 0 || self.len == self.capacity {
            return;
        }
        let old = self.layout();
        let Ok(new) = Layout::array::<T>(self.len) else { return };
        if self.len == 0 {
            // SAFETY: the block is of this layout and not used again.
            unsafe { self.allocator.deallocate(self.start.cast(), old) };
            self.start = NonNull::dangling();
            self.capacity = 0;
            return;
        }
        // SAFETY: the block is of this layout.
        let shrunk = unsafe { self.allocator.reallocate_in_place(self.start.cast(), old, new) };
        if let Ok(block) = shrunk {
            self.start = block.cast();
            self.capacity = self.len;
        }
    }

    /// The value comes back if there is no memory.
    ///
    /// # Errors
    ///
    /// There is no memory. The value is in the error.
    #[inline]
    pub fn try_push(&mut self, value: T) -> Result<(), T> {
        if self.len == self.capacity && self.grow().is_err() {
            return Err(value);
        }
        // SAFETY: there is room behind the last value.
        let place = unsafe { self.start.add(self.len) };
        // SAFETY: the place is ours, and nothing is there.
        unsafe { place.write(value) };
        self.len += 1;
        Ok(())
    }

    /// Puts in all that an iterator yields.
    ///
    /// # Errors
    ///
    /// There is no memory. What was put in before stays.
    #[inline]
    pub fn try_extend(&mut self, values: impl IntoIterator<Item = T>) -> Result<(), AllocError> {
        let values = values.into_iter();
        self.try_reserve(values.size_hint().0)?;
        for value in values {
            self.try_push(value).map_err(|_| AllocError)?;
        }
        Ok(())
    }

    /// Puts in a copy of a slice.
    ///
    /// # Errors
    ///
    /// There is no memory. Nothing has been put in.
    #[inline]
    pub fn try_extend_from_slice(&mut self, values: &[T]) -> Result<(), AllocError>
    where
        T: Copy,
    {
        self.try_reserve(values.len())?;
        // SAFETY: there is room for them behind the last value.
        let place = unsafe { self.start.add(self.len) };
        let from = NonNull::from_ref(values).cast();
        // SAFETY: as above; `values` is not in our block, which is borrowed.
        unsafe { place.copy_from_nonoverlapping(from, values.len()) };
        self.len += values.len();
        Ok(())
    }

    /// Takes the last value out.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: it was inside, so it is in the block.
        let place = unsafe { self.start.add(self.len) };
        // SAFETY: it is initialised, and no longer counted.
        Some(unsafe { place.read() })
    }

    /// Puts a value at an index and moves up what is behind.
    ///
    /// # Errors
    ///
    /// There is no memory. The value is in the error.
    ///
    /// # Panics
    ///
    /// The index is past the end.
    pub fn try_insert(&mut self, index: usize, value: T) -> Result<(), T> {
        assert!(index <= self.len, "insert at {index}, with {} values", self.len);
        self.try_push(value)?;
        self[index..].rotate_right(1);
        Ok(())
    }

    /// Takes a value out and moves down what is behind it. O(n).
    ///
    /// # Panics
    ///
    /// The index is past the end.
    pub fn remove(&mut self, index: usize) -> T {
        self[index..].rotate_left(1);
        self.taken()
    }

    /// Takes a value out and puts the last one there. O(1).
    ///
    /// # Panics
    ///
    /// The index is past the end.
    pub fn swap_remove(&mut self, index: usize) -> T {
        let last = self.len.wrapping_sub(1);
        self.swap(index, last);
        self.taken()
    }

    /// The last value, of a vector that an index was just found in.
    fn taken(&mut self) -> T {
        match self.pop() {
            Some(value) => value,
            None => unreachable!("an index is in no empty vector"),
        }
    }

    /// Drops the values from `len` on.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        let extra = self.len - len;
        // SAFETY: `len` is inside.
        let start = unsafe { self.start.add(len) };
        // Before the drop: if it panics, nobody drops them twice.
        self.len = len;
        // SAFETY: they are initialised, and no longer counted.
        unsafe { ptr::slice_from_raw_parts_mut(start.as_ptr(), extra).drop_in_place() };
    }

    /// Drops all values. The room stays.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Keeps the values that a function wants, in their order, and drops the
    /// others. O(n).
    pub fn retain(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        let mut kept = 0;
        for i in 0..self.len {
            if keep(&mut self[i]) {
                self.swap(kept, i);
                kept += 1;
            }
        }
        self.truncate(kept);
    }

    /// The parts of a vector that is not dropped any more.
    fn into_parts(self) -> (NonNull<T>, usize, A) {
        let vec = ManuallyDrop::new(self);
        // SAFETY: the vector is not used again.
        (vec.start, vec.len, unsafe { ptr::read(&raw const vec.allocator) })
    }
}

impl<'a, T, B: Source, const MIN_ALIGN: usize> Vec<T, &'a Bump<B, MIN_ALIGN>> {
    /// The values, for as long as the arena is borrowed. They may not need to be
    /// dropped. Room that is left goes back, if the vector is the last block.
    #[must_use]
    #[inline]
    pub fn into_slice(mut self) -> &'a mut [T] {
        refuse_drop!(T);
        self.shrink_to_fit();
        let (start, len, _) = self.into_parts();
        // SAFETY: the values are ours, and the block lives as long as the arena.
        unsafe { slice::from_raw_parts_mut(start.as_ptr(), len) }
    }

    /// The values, in a box that drops them.
    #[must_use]
    pub fn into_box(mut self) -> Box<'a, [T]> {
        self.shrink_to_fit();
        let (start, len, _) = self.into_parts();
        // SAFETY: as above, and nobody else drops them.
        unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(start.as_ptr(), len)) }
    }
}

/// The infallible face.
#[cfg(feature = "infallible")]
impl<T, A: Allocator> Vec<T, A> {
    /// An empty vector with room for `capacity` values.
    #[must_use]
    #[inline]
    pub fn with_capacity_in(capacity: usize, allocator: A) -> Self {
        infallible(Vec::try_with_capacity_in(capacity, allocator), Layout::new::<T>())
    }

    /// Makes room for `more` values, and for as many again as there are.
    #[inline]
    pub fn reserve(&mut self, more: usize) {
        infallible(self.try_reserve(more), Layout::new::<T>());
    }

    /// Puts a value behind the last. O(1), amortised.
    #[inline]
    pub fn push(&mut self, value: T) {
        // In a local, so that the compiler need not ask whether growing has
        // changed it.
        let len = self.len;
        if len == self.capacity {
            infallible(self.grow(), Layout::new::<T>());
        }
        // SAFETY: there is room behind the last value.
        let place = unsafe { self.start.add(len) };
        // SAFETY: the place is ours, and nothing is there.
        unsafe { place.write(value) };
        self.len = len + 1;
    }

    /// Puts a value at an index and moves up what is behind. O(n).
    ///
    /// # Panics
    ///
    /// The index is past the end.
    pub fn insert(&mut self, index: usize, value: T) {
        infallible(self.try_insert(index, value).map_err(|_| AllocError), Layout::new::<T>());
    }

    /// Puts in a copy of a slice.
    #[inline]
    pub fn extend_from_slice(&mut self, values: &[T])
    where
        T: Copy,
    {
        infallible(self.try_extend_from_slice(values), Layout::for_value(values));
    }
}

#[cfg(feature = "infallible")]
impl<T, A: Allocator> Extend<T> for Vec<T, A> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        infallible(self.try_extend(values), Layout::new::<T>());
    }
}

impl<T, A: Allocator> Drop for Vec<T, A> {
    #[inline]
    fn drop(&mut self) {
        // The block goes back even if a value's drop panics.
        struct Block<'v, T, A: Allocator>(&'v mut Vec<T, A>);
        impl<T, A: Allocator> Drop for Block<'_, T, A> {
            fn drop(&mut self) {
                if self.0.capacity != 0 && size_of::<T>() != 0 {
                    let layout = self.0.layout();
                    // SAFETY: the block is of this layout and not used again.
                    unsafe { self.0.allocator.deallocate(self.0.start.cast(), layout) };
                }
            }
        }
        if mem::needs_drop::<T>() {
            Block(self).0.clear();
        } else {
            drop(Block(self));
        }
    }
}

impl<T, A: Allocator> Deref for Vec<T, A> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the first `len` are initialised, and borrowed as we are.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T, A: Allocator> DerefMut for Vec<T, A> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T: fmt::Debug, A: Allocator> fmt::Debug for Vec<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: PartialEq, A: Allocator, S: AsRef<[T]> + ?Sized> PartialEq<S> for Vec<T, A> {
    fn eq(&self, other: &S) -> bool {
        **self == *other.as_ref()
    }
}

impl<T, A: Allocator> AsRef<[T]> for Vec<T, A> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

/// A vector's values, by value. Two words and the vector, whose block goes back with
/// it.
#[derive(Debug)]
pub struct IntoIter<T, A: Allocator> {
    vec: Vec<T, A>,
    /// The first so many have been taken; `vec.len` is 0, so that it drops none.
    taken: usize,
    /// And so many there are.
    len: usize,
}

impl<T, A: Allocator> IntoIterator for Vec<T, A> {
    type Item = T;
    type IntoIter = IntoIter<T, A>;

    #[inline]
    fn into_iter(mut self) -> IntoIter<T, A> {
        let len = mem::take(&mut self.len);
        IntoIter { vec: self, taken: 0, len }
    }
}

impl<'v, T, A: Allocator> IntoIterator for &'v Vec<T, A> {
    type Item = &'v T;
    type IntoIter = slice::Iter<'v, T>;

    fn into_iter(self) -> slice::Iter<'v, T> {
        self.iter()
    }
}

impl<'v, T, A: Allocator> IntoIterator for &'v mut Vec<T, A> {
    type Item = &'v mut T;
    type IntoIter = slice::IterMut<'v, T>;

    fn into_iter(self) -> slice::IterMut<'v, T> {
        self.iter_mut()
    }
}

impl<T, A: Allocator> IntoIter<T, A> {
    /// The values that are left.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        // SAFETY: `taken` is inside.
        let start = unsafe { self.vec.start.add(self.taken) };
        // SAFETY: those from `taken` to `len` are initialised, and borrowed as we are.
        unsafe { slice::from_raw_parts(start.as_ptr(), self.len - self.taken) }
    }
}

impl<T, A: Allocator> Iterator for IntoIter<T, A> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        if self.taken == self.len {
            return None;
        }
        // SAFETY: it is inside.
        let place = unsafe { self.vec.start.add(self.taken) };
        self.taken += 1;
        // SAFETY: it is initialised, and now counts as taken.
        Some(unsafe { place.read() })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len - self.taken, Some(self.len - self.taken))
    }
}

impl<T, A: Allocator> DoubleEndedIterator for IntoIter<T, A> {
    #[inline]
    fn next_back(&mut self) -> Option<T> {
        if self.taken == self.len {
            return None;
        }
        self.len -= 1;
        // SAFETY: it is inside.
        let place = unsafe { self.vec.start.add(self.len) };
        // SAFETY: it is initialised, and no longer counted.
        Some(unsafe { place.read() })
    }
}

impl<T, A: Allocator> ExactSizeIterator for IntoIter<T, A> {}
impl<T, A: Allocator> FusedIterator for IntoIter<T, A> {}

impl<T, A: Allocator> Drop for IntoIter<T, A> {
    fn drop(&mut self) {
        // The vector, which comes after, gives the block back.
        // SAFETY: `taken` is inside.
        let start = unsafe { self.vec.start.add(self.taken) };
        let rest = ptr::slice_from_raw_parts_mut(start.as_ptr(), self.len - self.taken);
        // SAFETY: they are initialised, and nobody has taken them.
        unsafe { rest.drop_in_place() };
    }
}
