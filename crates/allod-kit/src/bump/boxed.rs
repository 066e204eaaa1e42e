//! An owner of a value in an arena.
#![allow(unsafe_code)]

use core::borrow::{Borrow, BorrowMut};
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::mem::{self, needs_drop};
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// A value in an arena that is dropped with its box. One word.
///
/// The memory stays the arena's, so a box needs no reference to it, and
/// [`into_mut`](Box::into_mut) can leave the value there when it needs no drop.
///
/// ```
/// use allod_kit::Bump;
///
/// let arena = Bump::new();
/// let words = arena.alloc_box(vec!["a", "heap", "vector"]);
/// assert_eq!(words.len(), 3);
/// assert_eq!(words.into_inner().pop(), Some("vector"));
/// ```
///
/// It does not outlive the arena:
///
/// ```compile_fail,E0505
/// # use allod_kit::Bump;
/// let arena = Bump::new();
/// let boxed = arena.alloc_box(String::new());
/// drop(arena);
/// drop(boxed);
/// ```
///
/// # What it costs
///
/// *Time.* O(1), and the drop of the value. *Memory.* One word, two for a slice or
/// a trait object.
///
/// # When not to use it
///
/// For values that need no drop: a reference from
/// [`Bump::try_alloc`](super::Bump::try_alloc) is as small, and needs nobody who
/// owns it. For many of one type that die together: a
/// [`TypedArena`](crate::TypedArena) drops them.
pub struct Box<'a, T: ?Sized> {
    value: NonNull<T>,
    /// It owns a `T`, in memory that lives for `'a`.
    owner: PhantomData<(&'a (), T)>,
}

// SAFETY: a box is a value's only owner.
unsafe impl<T: ?Sized + Send> Send for Box<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for Box<'_, T> {}

impl<'a, T: ?Sized> Box<'a, T> {
    /// The box of a value.
    ///
    /// With a cast of the pointer this makes a box of a trait object or a slice:
    ///
    /// ```
    /// use allod_kit::{Bump, bump::Box};
    ///
    /// let arena = Bump::new();
    /// let text = Box::into_raw(arena.alloc_box(String::from("text")));
    /// // SAFETY: it has just been one.
    /// let shown: Box<'_, dyn core::fmt::Display> = unsafe { Box::from_raw(text) };
    /// assert_eq!(shown.to_string(), "text");
    /// ```
    ///
    /// # Safety
    ///
    /// The pointer is to a value in memory that lives for `'a`, and nobody else
    /// uses it.
    #[inline]
    pub unsafe fn from_raw(value: *mut T) -> Self {
        // SAFETY: a pointer to a value is not null.
        Box { value: unsafe { NonNull::new_unchecked(value) }, owner: PhantomData }
    }

    /// The value's place; nobody drops it any more.
    #[inline]
    #[must_use = "the value is not dropped"]
    pub fn into_raw(boxed: Self) -> *mut T {
        let value = boxed.value.as_ptr();
        mem::forget(boxed);
        value
    }

    /// The value, for as long as the arena is borrowed, if it needs no drop.
    ///
    /// ```compile_fail,E0080
    /// # use allod_kit::Bump;
    /// let arena = Bump::new();
    /// arena.alloc_box(String::new()).into_mut();
    /// ```
    #[inline]
    #[must_use]
    pub fn into_mut(self) -> &'a mut T {
        const { assert!(!needs_drop::<T>(), "nobody would drop this value: keep its box") }
        // SAFETY: it is ours alone, and lives for `'a`.
        unsafe { &mut *Box::into_raw(self) }
    }
}

impl<T> Box<'_, T> {
    /// The value, moved out of the arena.
    #[inline]
    #[must_use]
    pub fn into_inner(self) -> T {
        // SAFETY: it is ours alone, and not used there again.
        unsafe { Box::into_raw(self).read() }
    }
}

impl<T: ?Sized> Drop for Box<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: it is ours alone, and not used again.
        unsafe { self.value.drop_in_place() };
    }
}

impl<T: ?Sized> Deref for Box<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: it is ours, and borrowed as we are.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for Box<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: it is ours alone, and borrowed as we are.
        unsafe { self.value.as_mut() }
    }
}

impl<T: ?Sized> AsRef<T> for Box<'_, T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T: ?Sized> AsMut<T> for Box<'_, T> {
    fn as_mut(&mut self) -> &mut T {
        self
    }
}

impl<T: ?Sized> Borrow<T> for Box<'_, T> {
    fn borrow(&self) -> &T {
        self
    }
}

impl<T: ?Sized> BorrowMut<T> for Box<'_, T> {
    fn borrow_mut(&mut self) -> &mut T {
        self
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Box<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for Box<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + PartialEq> PartialEq for Box<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: ?Sized + Eq> Eq for Box<'_, T> {}

impl<T: ?Sized + PartialOrd> PartialOrd for Box<'_, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (**self).partial_cmp(other)
    }
}

impl<T: ?Sized + Ord> Ord for Box<'_, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(other)
    }
}

impl<T: ?Sized + Hash> Hash for Box<'_, T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<I: ?Sized + Iterator> Iterator for Box<'_, I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        (**self).next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (**self).size_hint()
    }
}
