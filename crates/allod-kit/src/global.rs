//! Between our trait and `core::alloc::GlobalAlloc`, both ways.
//!
//! [`FromGlobal`] makes an [`Allocator`] of a global allocator: the base of a
//! stack of wrappers, or what the test kit runs on. [`AsGlobal`] makes a global
//! allocator of an [`Allocator`] that threads may share.
//!
//! The traits differ in three things. A `GlobalAlloc` is never asked for no
//! bytes, so [`FromGlobal`] answers that itself. It is given back exactly the
//! size that was asked for, so [`FromGlobal`] returns blocks of exactly that
//! length. And it keeps the alignment when it reallocates, so a change of
//! alignment is a copy.
//!
//! Both are their inner value and nothing else: no byte, no branch that the
//! traits do not ask for.
#![allow(unsafe_code)]

use crate::{AllocError, Allocator, nothing};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

/// An [`Allocator`] over a `GlobalAlloc`, as the standard library's `System` is.
///
/// ```
/// use allod_kit::{Allocator, FromGlobal};
/// use std::alloc::{Layout, System};
///
/// let system = FromGlobal::new(System);
/// let layout = Layout::new::<u64>();
/// let block = system.allocate(layout)?;
/// // SAFETY: the block is `system`'s, of this layout, and not used again.
/// unsafe { system.deallocate(block.cast(), layout) };
/// # Ok::<(), allod_kit::AllocError>(())
/// ```
///
/// # What it costs
///
/// A comparison with 0 for each call, which is gone where the layout is a constant.
/// Never in place; usable is what was asked for.
///
/// # When not to use it
///
/// For the program's own global allocator: `Global` (feature `alloc`) is that one, and
/// of no size.
#[derive(Clone, Copy, Debug, Default)]
#[repr(transparent)]
pub struct FromGlobal<G>(G);

impl<G> FromGlobal<G> {
    /// Over this one.
    pub const fn new(global: G) -> Self {
        FromGlobal(global)
    }

    /// The one below.
    pub const fn inner(&self) -> &G {
        &self.0
    }
}

impl<G: GlobalAlloc> FromGlobal<G> {
    #[inline]
    fn given(block: *mut u8, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = NonNull::new(block).ok_or(AllocError)?;
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }
}

// SAFETY: a `GlobalAlloc` promises the same of its blocks. Those of size 0 are
// nobody's.
unsafe impl<G: GlobalAlloc> Allocator for FromGlobal<G> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        // SAFETY: the size is not 0.
        Self::given(unsafe { self.0.alloc(layout) }, layout)
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        // SAFETY: the size is not 0.
        Self::given(unsafe { self.0.alloc_zeroed(layout) }, layout)
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: it was allocated above with this very layout, since we
            // return no more than was asked for.
            unsafe { self.0.dealloc(block.as_ptr(), layout) };
        }
    }

    #[inline]
    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if old.size() != 0 && new.size() != 0 && old.align() == new.align() {
            // SAFETY: it was allocated with the old layout; the new size is not
            // 0, and with this alignment it is a layout.
            let moved = unsafe { self.0.realloc(block.as_ptr(), old, new.size()) };
            return Self::given(moved, new);
        }
        let other = self.allocate(new)?;
        let count = old.size().min(new.size());
        // SAFETY: both hold that many bytes, and the new block is nobody's yet.
        unsafe { ptr::copy_nonoverlapping(block.as_ptr(), other.cast().as_ptr(), count) };
        // SAFETY: the caller gives the old block up.
        unsafe { self.deallocate(block, old) };
        Ok(other)
    }

    #[inline]
    unsafe fn reallocate_in_place(
        &self,
        _: NonNull<u8>,
        _: Layout,
        _: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        Err(AllocError)
    }

    #[inline]
    unsafe fn usable_size(&self, _: NonNull<u8>, layout: Layout) -> usize {
        layout.size()
    }
}

crate::adapt!([G: GlobalAlloc] FromGlobal<G>);

/// A `GlobalAlloc` over an [`Allocator`], for `#[global_allocator]`.
///
/// ```
/// use allod_kit::{AsGlobal, FromGlobal};
/// use std::alloc::System;
///
/// #[global_allocator]
/// static GLOBAL: AsGlobal<FromGlobal<System>> = AsGlobal::new(FromGlobal::new(System));
/// ```
///
/// # What it costs
///
/// Nothing but what the allocator does.
///
/// # When not to use it
///
/// For the wrappers of this crate over a `GlobalAlloc`: they are one themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsGlobal<A>(A);

impl<A> AsGlobal<A> {
    /// Over this one.
    pub const fn new(allocator: A) -> Self {
        AsGlobal(allocator)
    }

    /// The one below.
    pub const fn inner(&self) -> &A {
        &self.0
    }
}

#[inline]
fn pointer(given: Result<NonNull<[u8]>, AllocError>) -> *mut u8 {
    given.map_or(ptr::null_mut(), |block| block.cast().as_ptr())
}

// SAFETY: an `Allocator` promises the same of its blocks, and nothing unwinds.
// A layout of the size asked for fits.
unsafe impl<A: Allocator> GlobalAlloc for AsGlobal<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        pointer(self.0.allocate(layout))
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        pointer(self.0.allocate_zeroed(layout))
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller gives back a block of ours, and null is none.
        let block = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: the same.
        unsafe { self.0.deallocate(block, layout) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, old: Layout, size: usize) -> *mut u8 {
        let Ok(new) = Layout::from_size_align(size, old.align()) else { return ptr::null_mut() };
        // SAFETY: the caller's block is ours, and null is none.
        let block = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: the caller's block is ours and has the old layout.
        pointer(unsafe { self.0.reallocate(block, old, new) })
    }
}
