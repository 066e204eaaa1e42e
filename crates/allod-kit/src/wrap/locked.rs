//! Locked: any allocator behind a lock, for threads that share it.
//!
//! An arena, a stack or a pool of the kit is one thread's: it is `Send` and not
//! `Sync`. This puts one behind a [`Lock`], as [`Heap`](crate::Heap) does with heaps.
//!
//! The lock is held for the allocator's own steps. Blocks are cleared and copied
//! outside, so that nobody waits for as long as a block is large.
#![allow(unsafe_code)]

use crate::{AllocError, Allocator, AsGlobal, Lock, Open, Owns, nothing};
use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use core::ptr::NonNull;

/// What a reference to is an allocator: every [`Allocator`], and [`Bump`](crate::Bump),
/// which is none itself. Implemented for all of them.
pub trait Lend {
    /// The allocator.
    fn lend(&self) -> impl Allocator + '_;
}

impl<A> Lend for A
where
    for<'a> &'a A: Allocator,
{
    #[inline]
    fn lend(&self) -> impl Allocator + '_ {
        self
    }
}

/// An allocator behind a lock: one that threads share, and a `static` can hold.
///
/// ```
/// use allod_kit::{Bump, FromGlobal, Locked, Spin};
/// use std::alloc::System;
///
/// // Nothing comes back before the program ends: a tool that runs for a second.
/// #[global_allocator]
/// static HEAP: Locked<Bump<FromGlobal<System>>, Spin> =
///     Locked::new(Bump::new_in(FromGlobal::new(System)));
///
/// let words = std::thread::spawn(|| vec!["of", "another", "thread"]).join().unwrap();
/// assert_eq!(words.len(), 3);
/// ```
///
/// `&Locked` is an [`Allocator`], and `Locked` a `GlobalAlloc`. What is inside can be
/// reached when nobody else can: no block is live that borrows it.
///
/// ```compile_fail,E0502
/// # use allod_kit::{Bump, Locked, Spin, bump::Vec};
/// let mut shared = Locked::<_, Spin>::new(Bump::new());
/// let numbers = Vec::from_iter_in([1, 2, 3], &shared);
/// shared.get_mut().reset();
/// assert_eq!(numbers[0], 1);
/// ```
///
/// # What it costs
///
/// *Time.* The lock, once an operation, and twice where a block moves. O(1) beside
/// what the allocator inside does. *Memory.* The lock: a byte for
/// [`Spin`](crate::Spin).
///
/// # When not to use it
///
/// Where threads can have an arena each: [`BumpPool`](crate::BumpPool) gives them
/// out, and an allocation in one is six instructions and no lock. For slots of one
/// type [`SharedPool`](crate::SharedPool) has no lock at all. For heaps: they have
/// [`Heap`](crate::Heap), which brings memory too.
pub struct Locked<A, L> {
    lock: L,
    /// Touched under the lock, or by who has all of us.
    inner: A,
}

// SAFETY: the allocator inside is used by one thread at a time, which sees what the
// last one did: that is what a lock promises. It is as if it were sent.
unsafe impl<A: Send, L: Lock + Sync> Sync for Locked<A, L> {}

impl<A, L: Open> Locked<A, L> {
    /// An allocator behind a lock that nobody holds.
    #[must_use]
    pub const fn new(inner: A) -> Self {
        Self::with_lock(inner, L::OPEN)
    }
}

impl<A, L: Lock> Locked<A, L> {
    /// An allocator behind this lock.
    #[must_use]
    pub const fn with_lock(inner: A, lock: L) -> Self {
        Self { lock, inner }
    }

    /// The allocator inside. No block is live that borrows us.
    pub const fn get_mut(&mut self) -> &mut A {
        &mut self.inner
    }

    /// The allocator inside, without the lock.
    #[must_use]
    pub fn into_inner(self) -> A {
        self.inner
    }
}

impl<A, L> fmt::Debug for Locked<A, L> {
    /// Without a look inside, which would want the lock.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locked").finish_non_exhaustive()
    }
}

// SAFETY: blocks are those of the allocator inside, which stays where it is while
// they live, because they borrow us; it is called by one thread at a time.
unsafe impl<A: Lend, L: Lock> Allocator for &Locked<A, L> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        self.lock.hold(|| self.inner.lend().allocate(layout))
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.allocate(layout)?;
        // SAFETY: the block is ours, and so long.
        unsafe { block.cast::<u8>().write_bytes(0, block.len()) };
        Ok(block)
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: the caller's promise.
            self.lock.hold(|| unsafe { self.inner.lend().deallocate(block, layout) });
        }
    }

    #[inline]
    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise.
        if let Ok(here) = unsafe { self.reallocate_in_place(block, old, new) } {
            return Ok(here);
        }
        // SAFETY: the caller's promise.
        unsafe { super::move_to(self, self, block, old, new) }
    }

    #[inline]
    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // A block of no bytes is nobody's: see `allocate`.
        if old.size() == 0 || new.size() == 0 {
            return Err(AllocError);
        }
        // SAFETY: the caller's promise.
        self.lock.hold(|| unsafe { self.inner.lend().reallocate_in_place(block, old, new) })
    }

    #[inline]
    unsafe fn usable_size(&self, block: NonNull<u8>, layout: Layout) -> usize {
        if layout.size() == 0 {
            return 0;
        }
        // SAFETY: the caller's promise.
        self.lock.hold(|| unsafe { self.inner.lend().usable_size(block, layout) })
    }
}

crate::adapt!([A: Lend, L: Lock] &Locked<A, L>);

// SAFETY: what an `Allocator` promises is what a `GlobalAlloc` does. What is shared
// as a `GlobalAlloc` is not moved while it has blocks.
unsafe impl<A: Lend, L: Lock> GlobalAlloc for Locked<A, L> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { AsGlobal::new(self).alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { AsGlobal::new(self).dealloc(block, layout) };
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { AsGlobal::new(self).alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { AsGlobal::new(self).realloc(block, layout, size) }
    }
}

// SAFETY: blocks are those of the allocator inside.
unsafe impl<A: Owns, L: Lock> Owns for Locked<A, L> {
    #[inline]
    fn owns(&self, address: NonNull<u8>, layout: Layout) -> bool {
        self.lock.hold(|| self.inner.owns(address, layout))
    }
}
