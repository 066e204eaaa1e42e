//! Watched: an observer hears of every request, before and after, and may
//! refuse it.
//!
//! Count, limit, trace and fail are observers; so may be yours. The allocator
//! is the same, so its unsafe code is written once.
#![allow(unsafe_code)]

use super::{exactly, globally};
use crate::{AllocError, Allocator, FromGlobal, Owns};
use core::alloc::Layout;
use core::ptr::NonNull;

/// What an allocator is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A new block.
    Allocate {
        /// Its layout.
        layout: Layout,
        /// Whether its bytes have to be 0.
        zeroed: bool,
    },
    /// A block comes back.
    Deallocate {
        /// Where it is.
        block: NonNull<u8>,
        /// Its layout.
        layout: Layout,
    },
    /// Another layout for a block.
    Reallocate {
        /// Where it is.
        block: NonNull<u8>,
        /// The layout it has.
        old: Layout,
        /// The layout it shall have.
        new: Layout,
        /// Whether it has to stay where it is.
        in_place: bool,
    },
}

impl Request {
    /// Bytes that the block had before.
    #[must_use]
    pub const fn old_size(&self) -> usize {
        match self {
            Request::Allocate { .. } => 0,
            Request::Deallocate { layout, .. } => layout.size(),
            Request::Reallocate { old, .. } => old.size(),
        }
    }

    /// Bytes that the block has afterwards.
    #[must_use]
    pub const fn new_size(&self) -> usize {
        match self {
            Request::Allocate { layout, .. } => layout.size(),
            Request::Deallocate { .. } => 0,
            Request::Reallocate { new, .. } => new.size(),
        }
    }
}

/// Hears of requests. See [`Watched`].
///
/// ```
/// use allod_kit::{Allocator, FromGlobal, Observer, Request, Watched};
/// use std::alloc::{Layout, System};
/// use std::cell::Cell;
/// use std::ptr::NonNull;
///
/// /// Remembers the largest block that was ever asked for.
/// struct Largest(Cell<usize>);
///
/// // SAFETY: nothing here unwinds.
/// unsafe impl Observer for Largest {
///     fn saw(&self, request: &Request, _: Option<NonNull<u8>>) {
///         self.0.set(self.0.get().max(request.new_size()));
///     }
/// }
///
/// let heap = Watched::with(FromGlobal::new(System), Largest(Cell::new(0)));
/// let layout = Layout::new::<[u8; 1000]>();
/// let block = heap.allocate(layout)?;
/// // SAFETY: the block is `heap`'s, of this layout, and not used again.
/// unsafe { heap.deallocate(block.cast(), layout) };
/// assert_eq!(heap.observer().0.get(), 1000);
/// # Ok::<(), allod_kit::AllocError>(())
/// ```
///
/// # Safety
///
/// Nothing unwinds, and nothing is asked of the allocator that is watched.
pub unsafe trait Observer {
    /// Whether blocks have to come back with exactly the layout they were asked
    /// for. Costs the bytes that the allocator would have given on top.
    const EXACT: bool = false;

    /// Whether a request is passed on. Not asked about blocks that come back,
    /// nor about layouts of size 0.
    #[inline]
    fn allow(&self, request: &Request) -> bool {
        let _ = request;
        true
    }

    /// A request that was allowed was refused below. `saw` follows.
    #[inline]
    fn refused_below(&self, request: &Request) {
        let _ = request;
    }

    /// A request was carried out, and this is the block, or refused: by this
    /// observer or below. Of a block that comes back it hears before the block
    /// does so.
    #[inline]
    fn saw(&self, request: &Request, block: Option<NonNull<u8>>) {
        let _ = (request, block);
    }

    /// A block of so many bytes, not 0, has come back.
    #[inline]
    fn came_back(&self, bytes: usize) {
        let _ = bytes;
    }
}

// SAFETY: it does nothing.
unsafe impl Observer for () {}

/// An allocator with an observer. With `()` for an observer it is the allocator.
///
/// # What it costs
///
/// What the observer does, and a comparison of the size with 0, which is gone where
/// the layout is a constant. *Memory.* The observer.
///
/// # When not to use it
///
/// Where one of the observers here will do: [`Count`](crate::Count),
/// [`Limit`](crate::Limit), [`Trace`](crate::Trace), [`Fail`](crate::Fail). An
/// observer must not allocate from what it watches.
///
/// Example: [`Observer`](crate::Observer).
#[derive(Debug, Default)]
#[repr(C)]
pub struct Watched<A, O> {
    inner: A,
    observer: O,
}

impl<A, O> Watched<A, O> {
    /// This allocator, watched by this observer.
    pub const fn with(inner: A, observer: O) -> Self {
        Watched { inner, observer }
    }

    /// The one below.
    pub const fn inner(&self) -> &A {
        &self.inner
    }

    /// Who watches.
    pub const fn observer(&self) -> &O {
        &self.observer
    }
}

impl<A: Allocator, O: Observer> Watched<A, O> {
    /// Asks, carries out, tells. Requests for no bytes are nobody's business.
    #[inline]
    fn carry_out(
        &self,
        request: Request,
        new: Layout,
        carry_out: impl FnOnce() -> Result<NonNull<[u8]>, AllocError>,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if request.old_size() == 0 && request.new_size() == 0 {
            return carry_out();
        }
        if !self.observer.allow(&request) {
            self.observer.saw(&request, None);
            return Err(AllocError);
        }
        let given = carry_out();
        if given.is_err() {
            self.observer.refused_below(&request);
        }
        self.observer.saw(&request, given.ok().map(NonNull::cast));
        if O::EXACT { given.map(|block| exactly(block, new)) } else { given }
    }
}

// SAFETY: every block is one of the allocator below, and keeps its layout, or a
// part of it that fits. Observers do not unwind.
unsafe impl<A: Allocator, O: Observer> Allocator for Watched<A, O> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let request = Request::Allocate { layout, zeroed: false };
        self.carry_out(request, layout, || self.inner.allocate(layout))
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let request = Request::Allocate { layout, zeroed: true };
        self.carry_out(request, layout, || self.inner.allocate_zeroed(layout))
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            self.observer.saw(&Request::Deallocate { block, layout }, None);
        }
        // SAFETY: the caller's promise is the same.
        unsafe { self.inner.deallocate(block, layout) };
        if layout.size() != 0 {
            self.observer.came_back(layout.size());
        }
    }

    #[inline]
    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let request = Request::Reallocate { block, old, new, in_place: false };
        // SAFETY: the caller's promise is the same.
        self.carry_out(request, new, || unsafe { self.inner.reallocate(block, old, new) })
    }

    #[inline]
    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let request = Request::Reallocate { block, old, new, in_place: true };
        self.carry_out(request, new, || {
            // SAFETY: the caller's promise is the same.
            unsafe { self.inner.reallocate_in_place(block, old, new) }
        })
    }

    #[inline]
    unsafe fn usable_size(&self, block: NonNull<u8>, layout: Layout) -> usize {
        if O::EXACT {
            return layout.size();
        }
        // SAFETY: the caller's promise is the same.
        unsafe { self.inner.usable_size(block, layout) }
    }
}

// SAFETY: its blocks are those of the one below.
unsafe impl<A: Owns, O> Owns for Watched<A, O> {
    #[inline]
    fn owns(&self, address: NonNull<u8>, layout: Layout) -> bool {
        self.inner.owns(address, layout)
    }
}

globally!([A: core::alloc::GlobalAlloc, O: Observer] Watched<A, O>, Watched<FromGlobal<A>, O>);
crate::adapt!([A: Allocator, O: Observer] Watched<A, O>);
