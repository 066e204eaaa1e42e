//! Values, slices and strings in an arena, each with a fallible and an
//! infallible face.
//!
//! What is given out is a `&mut` that lives as long as the arena is borrowed.
//! Nobody drops what it points to, so a type that needs that is refused.
#![allow(unsafe_code)]
// One arena gives out many blocks, and no two overlap (B2).
#![allow(clippy::mut_from_ref)]

use core::alloc::Layout;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::slice;

use super::source::Source;
use super::{Box, Bump, String, Vec};
use crate::AllocError;
#[cfg(feature = "infallible")]
use crate::infallible::infallible;

/// Refuses types whose values need to be dropped.
macro_rules! refuse_drop {
    ($T:ty) => {
        const {
            assert!(
                !core::mem::needs_drop::<$T>(),
                "nobody would drop this value: put it into a `Box` with `alloc_box`"
            );
        }
    };
}
pub(super) use refuse_drop;

impl<A: Source, const MIN_ALIGN: usize> Bump<A, MIN_ALIGN> {
    /// Room for a value.
    #[inline(always)]
    fn place<T>(&self) -> Result<NonNull<T>, AllocError> {
        Ok(self.block(Layout::new::<T>(), true)?.cast())
    }

    /// Room for so many values.
    #[inline(always)]
    fn places<T>(&self, len: usize) -> Result<NonNull<T>, AllocError> {
        let layout = Layout::array::<T>(len).map_err(|_| AllocError)?;
        Ok(self.block(layout, false)?.cast())
    }

    /// A block for any layout. It is freed with the arena, or by
    /// [`Allocator::deallocate`](crate::Allocator::deallocate) of `&Bump`.
    ///
    /// # Errors
    ///
    /// There is no memory; so it is for all the operations named `try_`.
    ///
    /// ```
    /// use allod_kit::Bump;
    /// use core::alloc::Layout;
    ///
    /// let arena = Bump::new();
    /// let block = arena.try_alloc_layout(Layout::new::<[u128; 9]>().align_to(4096)?)?;
    /// assert!(block.addr().get().is_multiple_of(4096));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_alloc_layout(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        self.block(layout, false)
    }

    /// As [`alloc`](Bump::alloc).
    ///
    /// # Errors
    ///
    /// There is no memory. The value is dropped.
    #[inline(always)]
    pub fn try_alloc<T>(&self, value: T) -> Result<&mut T, AllocError> {
        refuse_drop!(T);
        // Not by `try_alloc_with`: a closure costs a second copy of the value.
        let place = self.place::<T>()?;
        // SAFETY: the place is for a `T`, and ours alone.
        unsafe { place.write(value) };
        // SAFETY: it has just been written, and lives as long as the borrow (B2).
        Ok(unsafe { &mut *place.as_ptr() })
    }

    /// As [`alloc_with`](Bump::alloc_with).
    ///
    /// # Errors
    ///
    /// There is no memory. The function is not called.
    #[inline(always)]
    pub fn try_alloc_with<T>(&self, make: impl FnOnce() -> T) -> Result<&mut T, AllocError> {
        refuse_drop!(T);
        let place = self.place::<T>()?;
        // SAFETY: the place is for a `T`, and ours alone.
        unsafe { place.write(make()) };
        // SAFETY: it has just been written, and lives as long as the borrow (B2).
        Ok(unsafe { &mut *place.as_ptr() })
    }

    /// Makes a value that may fail to be made. If it does, its room goes back, but for
    /// what its alignment took, unless the function has allocated something behind it.
    ///
    /// ```
    /// use allod_kit::Bump;
    ///
    /// let arena = Bump::new();
    /// arena.alloc(1_u64);
    /// let room = arena.room();
    /// let made = arena.try_alloc_try_with(|| "x".parse::<u64>())?;
    /// assert!(made.is_err() && arena.room() == room);
    /// let made = arena.try_alloc_try_with(|| "7".parse::<u64>())?;
    /// assert_eq!(made, Ok(&mut 7));
    /// # Ok::<(), allod_kit::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The outer one: there is no memory, and the function is not called. The
    /// inner one is the function's.
    #[inline(always)]
    pub fn try_alloc_try_with<T, E>(
        &self,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Result<&mut T, E>, AllocError> {
        refuse_drop!(T);
        let layout = Layout::new::<T>();
        let place = self.block(layout, false)?;
        match make() {
            // SAFETY: the place is for a `T`, and ours alone; it lives as long as
            // the borrow (B2).
            Ok(value) => Ok(Ok(unsafe { place.cast::<MaybeUninit<T>>().as_mut() }.write(value))),
            Err(error) => {
                // SAFETY: the block is this arena's, of this layout, and nobody
                // has seen it.
                unsafe { crate::Allocator::deallocate(&self, place, layout) };
                Ok(Err(error))
            }
        }
    }

    /// As [`alloc_uninit`](Bump::alloc_uninit).
    ///
    /// # Errors
    ///
    /// There is no memory.
    #[inline(always)]
    pub fn try_alloc_uninit<T>(&self) -> Result<&mut MaybeUninit<T>, AllocError> {
        let place = self.place::<MaybeUninit<T>>()?;
        // SAFETY: the place is for it, is ours alone, and needs no contents.
        Ok(unsafe { &mut *place.as_ptr() })
    }

    /// As [`alloc_uninit_slice`](Bump::alloc_uninit_slice).
    ///
    /// # Errors
    ///
    /// There is no memory.
    #[inline]
    pub fn try_alloc_uninit_slice<T>(
        &self,
        len: usize,
    ) -> Result<&mut [MaybeUninit<T>], AllocError> {
        let places = self.places::<MaybeUninit<T>>(len)?;
        // SAFETY: the places are for it, are ours alone, and need no contents.
        Ok(unsafe { slice::from_raw_parts_mut(places.as_ptr(), len) })
    }

    /// As [`alloc_slice_copy`](Bump::alloc_slice_copy).
    ///
    /// # Errors
    ///
    /// There is no memory.
    #[inline]
    pub fn try_alloc_slice_copy<T: Copy>(&self, values: &[T]) -> Result<&mut [T], AllocError> {
        // The layout of a slice that exists needs no test.
        let places = self.block(Layout::for_value(values), false)?.cast::<T>();
        // SAFETY: the places are as many, and ours alone: no part of `values`.
        unsafe { places.copy_from_nonoverlapping(NonNull::from_ref(values).cast(), values.len()) };
        // SAFETY: they have just been written.
        Ok(unsafe { slice::from_raw_parts_mut(places.as_ptr(), values.len()) })
    }

    /// As [`alloc_slice_with`](Bump::alloc_slice_with).
    ///
    /// # Errors
    ///
    /// There is no memory. The function is not called.
    #[inline]
    pub fn try_alloc_slice_with<T>(
        &self,
        len: usize,
        mut make: impl FnMut(usize) -> T,
    ) -> Result<&mut [T], AllocError> {
        refuse_drop!(T);
        let places = self.places::<T>(len)?;
        for i in 0..len {
            // SAFETY: there are `len` places.
            let place = unsafe { places.add(i) };
            // SAFETY: it is ours alone.
            unsafe { place.write(make(i)) };
        }
        // SAFETY: all of them have been written.
        Ok(unsafe { slice::from_raw_parts_mut(places.as_ptr(), len) })
    }

    /// As [`alloc_slice_fill`](Bump::alloc_slice_fill).
    ///
    /// # Errors
    ///
    /// There is no memory.
    #[inline]
    pub fn try_alloc_slice_fill<T: Copy>(
        &self,
        len: usize,
        value: T,
    ) -> Result<&mut [T], AllocError> {
        self.try_alloc_slice_with(len, |_| value)
    }

    /// As [`alloc_iter`](Bump::alloc_iter).
    ///
    /// # Errors
    ///
    /// There is no memory.
    pub fn try_alloc_iter<T>(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Result<&mut [T], AllocError> {
        refuse_drop!(T);
        let mut all = Vec::new_in(self);
        all.try_extend(values)?;
        Ok(all.into_slice())
    }

    /// As [`alloc_str`](Bump::alloc_str).
    ///
    /// # Errors
    ///
    /// There is no memory.
    #[inline]
    pub fn try_alloc_str(&self, text: &str) -> Result<&mut str, AllocError> {
        let bytes = self.try_alloc_slice_copy(text.as_bytes())?;
        // SAFETY: the bytes are a copy of a string's.
        Ok(unsafe { core::str::from_utf8_unchecked_mut(bytes) })
    }

    /// As [`alloc_fmt`](Bump::alloc_fmt).
    ///
    /// # Errors
    ///
    /// There is no memory, or an implementation of `Display` has failed.
    pub fn try_alloc_fmt(&self, text: fmt::Arguments<'_>) -> Result<&mut str, AllocError> {
        if let Some(text) = text.as_str() {
            return self.try_alloc_str(text);
        }
        let mut all = String::new_in(self);
        fmt::Write::write_fmt(&mut all, text).map_err(|_| AllocError)?;
        Ok(all.into_str())
    }

    /// As [`alloc_box`](Bump::alloc_box).
    ///
    /// # Errors
    ///
    /// There is no memory. The value is dropped.
    #[inline(always)]
    pub fn try_alloc_box<T>(&self, value: T) -> Result<Box<'_, T>, AllocError> {
        let place = self.place::<T>()?;
        // SAFETY: the place is for a `T`, and ours alone.
        unsafe { place.write(value) };
        // SAFETY: it is written, and lives as long as the borrow.
        Ok(unsafe { Box::from_raw(place.as_ptr()) })
    }
}

/// The infallible face: see the essay of `infallible.rs` for how it ends.
#[cfg(feature = "infallible")]
impl<A: Source, const MIN_ALIGN: usize> Bump<A, MIN_ALIGN> {
    /// Puts a value into the arena. O(1).
    ///
    /// ```
    /// # use allod_kit::Bump;
    /// let arena = Bump::new();
    /// let point = arena.alloc((1, 2));
    /// point.0 = 3;
    /// # assert_eq!(*point, (3, 2));
    /// ```
    ///
    /// Values that need to be dropped are refused; they go into a
    /// [box](Bump::alloc_box).
    #[inline(always)]
    pub fn alloc<T>(&self, value: T) -> &mut T {
        refuse_drop!(T);
        // Not by `try_alloc`: past a branch, the value would be copied twice.
        let place = infallible(self.place::<T>(), Layout::new::<T>());
        // SAFETY: the place is for a `T`, and ours alone.
        unsafe { place.write(value) };
        // SAFETY: it has just been written, and lives as long as the borrow (B2).
        unsafe { &mut *place.as_ptr() }
    }

    /// Makes a value in the arena, so that a large one need not be moved there.
    /// The function may allocate in the same arena.
    ///
    /// ```
    /// # use allod_kit::Bump;
    /// let arena = Bump::new();
    /// let squares = arena.alloc_with(|| core::array::from_fn::<_, 100, _>(|i| i * i));
    /// # assert_eq!(squares[99], 9801);
    /// ```
    #[inline(always)]
    pub fn alloc_with<T>(&self, make: impl FnOnce() -> T) -> &mut T {
        infallible(self.try_alloc_with(make), Layout::new::<T>())
    }

    /// As [`try_alloc_try_with`](Bump::try_alloc_try_with), which fails as well
    /// where this one ends the program.
    ///
    /// # Errors
    ///
    /// The function's.
    #[inline(always)]
    pub fn alloc_try_with<T, E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&mut T, E> {
        infallible(self.try_alloc_try_with(make), Layout::new::<T>())
    }

    /// Room for a value that is written later, by `MaybeUninit::write`.
    #[inline(always)]
    pub fn alloc_uninit<T>(&self) -> &mut MaybeUninit<T> {
        infallible(self.try_alloc_uninit(), Layout::new::<T>())
    }

    /// Room for values that are written later.
    #[inline]
    pub fn alloc_uninit_slice<T>(&self, len: usize) -> &mut [MaybeUninit<T>] {
        infallible(self.try_alloc_uninit_slice(len), Layout::new::<T>())
    }

    /// A copy of a slice.
    ///
    /// ```
    /// # use allod_kit::Bump;
    /// let arena = Bump::new();
    /// let copy = arena.alloc_slice_copy(&[1, 2, 3]);
    /// copy[0] = 7;
    /// # assert_eq!(copy, [7, 2, 3]);
    /// ```
    #[inline]
    pub fn alloc_slice_copy<T: Copy>(&self, values: &[T]) -> &mut [T] {
        infallible(self.try_alloc_slice_copy(values), Layout::for_value(values))
    }

    /// A slice of `len` values, each made from its index.
    ///
    /// ```
    /// # use allod_kit::Bump;
    /// let arena = Bump::new();
    /// assert_eq!(arena.alloc_slice_with(4, |i| i * i), [0, 1, 4, 9]);
    /// ```
    #[inline]
    pub fn alloc_slice_with<T>(&self, len: usize, make: impl FnMut(usize) -> T) -> &mut [T] {
        infallible(self.try_alloc_slice_with(len, make), Layout::new::<T>())
    }

    /// A slice of `len` copies of a value.
    #[inline]
    pub fn alloc_slice_fill<T: Copy>(&self, len: usize, value: T) -> &mut [T] {
        infallible(self.try_alloc_slice_fill(len, value), Layout::new::<T>())
    }

    /// All that an iterator yields. If it does not know how much that is, the
    /// slice grows as it comes: in place, as long as nothing else is allocated.
    ///
    /// ```
    /// # use allod_kit::Bump;
    /// let arena = Bump::new();
    /// let even = arena.alloc_iter((0..10).filter(|i| i % 2 == 0));
    /// assert_eq!(even, [0, 2, 4, 6, 8]);
    /// ```
    pub fn alloc_iter<T>(&self, values: impl IntoIterator<Item = T>) -> &mut [T] {
        infallible(self.try_alloc_iter(values), Layout::new::<T>())
    }

    /// A copy of a string.
    #[inline]
    pub fn alloc_str(&self, text: &str) -> &mut str {
        infallible(self.try_alloc_str(text), Layout::for_value(text))
    }

    /// What `format_args!` says, in the arena.
    ///
    /// ```
    /// # use allod_kit::Bump;
    /// let arena = Bump::new();
    /// assert_eq!(arena.alloc_fmt(format_args!("{}-{}", 1, "two")), "1-two");
    /// ```
    pub fn alloc_fmt(&self, text: fmt::Arguments<'_>) -> &mut str {
        infallible(self.try_alloc_fmt(text), Layout::new::<u8>())
    }

    /// Puts a value into the arena and drops it with its box.
    ///
    /// ```
    /// # use allod_kit::Bump;
    /// use std::rc::Rc;
    ///
    /// let arena = Bump::new();
    /// let counted = Rc::new(());
    /// let boxed = arena.alloc_box(counted.clone());
    /// assert_eq!(Rc::strong_count(&counted), 2);
    /// drop(boxed);
    /// assert_eq!(Rc::strong_count(&counted), 1);
    /// ```
    #[inline(always)]
    pub fn alloc_box<T>(&self, value: T) -> Box<'_, T> {
        infallible(self.try_alloc_box(value), Layout::new::<T>())
    }
}
