//! Rescue: calls for help when there is no memory, and asks once more.
//!
//! A heap on bare metal learns late where more memory is: the program break, another
//! page of WebAssembly's, a cache that can be emptied. So the refusal is where to ask.
#![allow(unsafe_code)]

use super::Lend;
use crate::{AllocError, Allocator, Owns, nothing};
use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use core::ptr::{self, NonNull};

/// An allocator that calls a function of yours when it has no memory. The function
/// gives it some, or frees some, and says whether to ask once more.
///
/// A heap that takes its memory a part at a time:
///
/// ```
/// use allod_kit::{Heap, Rescue, Spin, Tlsf};
/// use std::alloc::{GlobalAlloc, Layout, System};
/// use std::ptr::NonNull;
///
/// /// A mebibyte for the heap, or twice what is asked for: there are its tables, and
/// /// it rounds up.
/// fn more(heap: &Heap<Tlsf, Spin>, wanted: Layout) -> bool {
///     let size = (2 * (wanted.size() + wanted.align())).max(1 << 20);
///     let Ok(layout) = Layout::from_size_align(size, 16) else { return false };
///     // SAFETY: the size is not 0.
///     let Some(part) = NonNull::new(unsafe { System.alloc(layout) }) else { return false };
///     // SAFETY: it is ours, and never given back.
///     unsafe { heap.add_region(part, size) > 0 }
/// }
///
/// #[global_allocator]
/// static HEAP: Rescue<Heap<Tlsf, Spin>, fn(&Heap<Tlsf, Spin>, Layout) -> bool> =
///     Rescue::new(Heap::new(), more);
///
/// let long = vec![1_u8; 3 << 20];
/// assert!(HEAP.inner().capacity() > long.len());
/// ```
///
/// The function is called without any lock held, by whichever thread was refused; two
/// threads may be in it at once. It must not unwind, and it must not allocate from
/// here, which would call it again.
///
/// # What it costs
///
/// *Time.* A branch on what was returned; a program that is never refused pays
/// nothing else. It is one call and one more try for each request at most, so what
/// takes a bounded time still does if the function does. *Memory.* The function: nothing for one that is named, a
/// word for a pointer.
///
/// # When not to use it
///
/// Where the second source can serve the block itself: [`Fallback`](crate::Fallback)
/// asks it without handing memory over. In an interrupt handler, if the function waits.
#[repr(C)]
pub struct Rescue<A, R> {
    inner: A,
    more: R,
}

impl<A, R> Rescue<A, R> {
    /// Calls `more` where `inner` refuses.
    #[must_use]
    pub const fn new(inner: A, more: R) -> Self
    where
        R: Fn(&A, Layout) -> bool,
    {
        Self { inner, more }
    }

    /// The allocator that is asked.
    pub const fn inner(&self) -> &A {
        &self.inner
    }
}

impl<A, R: Fn(&A, Layout) -> bool> Rescue<A, R> {
    /// Asks, and once more if there is help.
    #[inline]
    fn ask<B>(&self, wanted: Layout, ask: impl Fn() -> Option<B>) -> Option<B> {
        ask().or_else(|| if self.helped(wanted) { ask() } else { None })
    }

    #[cold]
    #[inline(never)]
    fn helped(&self, wanted: Layout) -> bool {
        (self.more)(&self.inner, wanted)
    }
}

impl<A: fmt::Debug, R> fmt::Debug for Rescue<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rescue").field("inner", &self.inner).finish_non_exhaustive()
    }
}

// SAFETY: blocks are those of the allocator inside, which stays where it is while they
// live, because they borrow us.
unsafe impl<A: Lend, R: Fn(&A, Layout) -> bool> Allocator for &Rescue<A, R> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        self.ask(layout, || self.inner.lend().allocate(layout).ok()).ok_or(AllocError)
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        self.ask(layout, || self.inner.lend().allocate_zeroed(layout).ok()).ok_or(AllocError)
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: the caller's promise.
            unsafe { self.inner.lend().deallocate(block, layout) };
        }
    }

    #[inline]
    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if old.size() == 0 || new.size() == 0 {
            // SAFETY: the caller's promise.
            return unsafe { super::move_to(self, self, block, old, new) };
        }
        // SAFETY: the caller's promise; on failure the block is as it was.
        self.ask(new, || unsafe { self.inner.lend().reallocate(block, old, new) }.ok())
            .ok_or(AllocError)
    }

    /// Help is not called: a block that cannot stay where it is needs no memory.
    #[inline]
    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if old.size() == 0 || new.size() == 0 {
            return Err(AllocError);
        }
        // SAFETY: the caller's promise.
        unsafe { self.inner.lend().reallocate_in_place(block, old, new) }
    }

    #[inline]
    unsafe fn usable_size(&self, block: NonNull<u8>, layout: Layout) -> usize {
        if layout.size() == 0 {
            return 0;
        }
        // SAFETY: the caller's promise.
        unsafe { self.inner.lend().usable_size(block, layout) }
    }
}

crate::adapt!([A: Lend, R: Fn(&A, Layout) -> bool] &Rescue<A, R>);

// SAFETY: blocks are those of the allocator inside.
unsafe impl<A: GlobalAlloc, R: Fn(&A, Layout) -> bool> GlobalAlloc for Rescue<A, R> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let block = self.ask(layout, || NonNull::new(unsafe { self.inner.alloc(layout) }));
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.inner.dealloc(block, layout) };
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let block = self.ask(layout, || NonNull::new(unsafe { self.inner.alloc_zeroed(layout) }));
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size, rounded up to the alignment, is
        // at most `isize::MAX`.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let block = self.ask(wanted, || {
            // SAFETY: the caller's promise; on failure the block is as it was.
            NonNull::new(unsafe { self.inner.realloc(block, layout, size) })
        });
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }
}

// SAFETY: blocks are those of the allocator inside.
unsafe impl<A: Owns, R> Owns for Rescue<A, R> {
    #[inline]
    fn owns(&self, address: NonNull<u8>, layout: Layout) -> bool {
        self.inner.owns(address, layout)
    }
}
