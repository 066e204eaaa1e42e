//! Alignment: more than an allocator can do ([`Realign`]), or more than it was
//! asked for ([`AlignTo`]).
//!
//! ```text
//!   Realign:   |<------ gap ------>|
//!              +----------+--------+----------------------+------+
//!              |  unused  |  gap   |  block, aligned      |      |
//!              +----------+--------+----------------------+------+
//!              ^ aligned to MOST    ^ aligned as asked
//! ```
//!
//! # Invariants
//!
//! * A1. A block aligned to more than `MOST` lies `gap` bytes into a block of
//!   the allocator below, and `gap` is in the word before it.
//! * A2. `gap` is a multiple of `MOST`, at least a word and at most the alignment.
#![allow(unsafe_code)]

use super::{globally, move_to};
use crate::{AllocError, Allocator, FromGlobal, Owns, nothing};
use core::alloc::{GlobalAlloc, Layout};
use core::mem::size_of;
use core::ptr::NonNull;

/// Any alignment, from an allocator that aligns to at most `MOST` bytes: a
/// `malloc`, a heap of fixed granules.
///
/// What `MOST` satisfies is passed on as it is. What is aligned to more costs
/// its alignment in bytes on top, and one word of that is written. `MOST` is a
/// power of two and holds a word.
///
/// ```
/// use allod_kit::{Allocator, FromGlobal, Realign};
/// use std::alloc::{Layout, System};
///
/// let heap = Realign::<16, _>::new(FromGlobal::new(System));
/// let layout = Layout::from_size_align(100, 4096).unwrap();
/// let block = heap.allocate(layout)?;
/// assert!(block.addr().get().is_multiple_of(4096));
/// // SAFETY: the block is `heap`'s, of this layout, and not used again.
/// unsafe { heap.deallocate(block.cast(), layout) };
/// # Ok::<(), allod_kit::AllocError>(())
/// ```
///
/// # What it costs
///
/// *Time.* A comparison, which is gone where the layout is a constant; for what is
/// aligned to more, a few instructions and a word that is written. *Memory.* For
/// that, its alignment in bytes on top.
///
/// # When not to use it
///
/// Over an allocator that has any alignment, as all of this crate have.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Realign<const MOST: usize, A> {
    inner: A,
}

impl<const MOST: usize, A> Realign<MOST, A> {
    /// Over this one.
    pub const fn new(inner: A) -> Self {
        const {
            assert!(MOST.is_power_of_two(), "an alignment is a power of two");
            assert!(MOST >= size_of::<usize>(), "the gap is noted in a word");
        }
        Realign { inner }
    }

    /// The one below.
    pub const fn inner(&self) -> &A {
        &self.inner
    }

    /// The layout below, of a block that is aligned to more than `MOST`.
    #[inline]
    fn below(layout: Layout) -> Option<Layout> {
        Layout::from_size_align(layout.size().checked_add(layout.align())?, MOST).ok()
    }

    #[inline]
    fn place(&self, below: NonNull<[u8]>, layout: Layout) -> NonNull<[u8]> {
        let start = below.cast::<u8>();
        let mask = layout.align() - 1;
        // From 1 to `align`, and a multiple of `MOST` as the address is one (A2).
        let gap = layout.align() - (start.addr().get() & mask);
        // SAFETY: the block below has `align` bytes more than the layout.
        let block = unsafe { start.add(gap) };
        // SAFETY: the gap has a word at its end (A2).
        let note = unsafe { block.sub(size_of::<usize>()) };
        // SAFETY: the gap is ours, and its end is aligned to `MOST`, so to words.
        unsafe { note.cast::<usize>().write(gap) };
        NonNull::slice_from_raw_parts(block, layout.size())
    }

    /// Where a block that is aligned to more than `MOST` begins below.
    ///
    /// # Safety
    ///
    /// It is such a block.
    #[inline]
    unsafe fn start(block: NonNull<u8>) -> NonNull<u8> {
        // SAFETY: there is a word before the block (A1).
        let note = unsafe { block.sub(size_of::<usize>()) };
        // SAFETY: it is written and aligned (A1, A2).
        let gap = unsafe { note.cast::<usize>().read() };
        // SAFETY: the block lies so many bytes into the one below (A1).
        unsafe { block.sub(gap) }
    }
}

// SAFETY: every block is one of the allocator below, or lies in one of its own
// (A1); which of the two follows from the alignment.
unsafe impl<const MOST: usize, A: Allocator> Allocator for Realign<MOST, A> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.align() <= MOST {
            return self.inner.allocate(layout);
        }
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        let below = Self::below(layout).ok_or(AllocError)?;
        Ok(self.place(self.inner.allocate(below)?, layout))
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.align() <= MOST {
            return self.inner.allocate_zeroed(layout);
        }
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        let below = Self::below(layout).ok_or(AllocError)?;
        Ok(self.place(self.inner.allocate_zeroed(below)?, layout))
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.align() <= MOST {
            // SAFETY: the caller's promise is the same.
            unsafe { self.inner.deallocate(block, layout) };
            return;
        }
        if layout.size() == 0 {
            return;
        }
        if let Some(below) = Self::below(layout) {
            // SAFETY: it is a live block that is aligned to more than `MOST`.
            let start = unsafe { Self::start(block) };
            // SAFETY: it was allocated there with this layout.
            unsafe { self.inner.deallocate(start, below) };
        }
    }

    #[inline]
    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if old.align() <= MOST && new.align() <= MOST {
            // SAFETY: the caller's promise is the same.
            return unsafe { self.inner.reallocate(block, old, new) };
        }
        // SAFETY: the caller's promise is the same.
        let here = unsafe { self.reallocate_in_place(block, old, new) };
        // SAFETY: the block is as it was.
        here.or_else(|_| unsafe { move_to(self, self, block, old, new) })
    }

    #[inline]
    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if old.align() <= MOST && new.align() <= MOST {
            // SAFETY: the caller's promise is the same.
            return unsafe { self.inner.reallocate_in_place(block, old, new) };
        }
        // Another alignment would be another size below; no bytes are nowhere.
        if old.align() != new.align() || old.size() == 0 || new.size() == 0 {
            return Err(AllocError);
        }
        let below_old = Self::below(old).ok_or(AllocError)?;
        let below_new = Self::below(new).ok_or(AllocError)?;
        // SAFETY: it is a live block that is aligned to more than `MOST`.
        let start = unsafe { Self::start(block) };
        // SAFETY: it was allocated there with this layout.
        unsafe { self.inner.reallocate_in_place(start, below_old, below_new) }?;
        Ok(NonNull::slice_from_raw_parts(block, new.size()))
    }

    #[inline]
    unsafe fn usable_size(&self, block: NonNull<u8>, layout: Layout) -> usize {
        if layout.align() > MOST {
            return layout.size();
        }
        // SAFETY: the caller's promise is the same.
        unsafe { self.inner.usable_size(block, layout) }
    }
}

// SAFETY: an address in its block is one in a block below, with this layout.
unsafe impl<const MOST: usize, A: Owns> Owns for Realign<MOST, A> {
    #[inline]
    fn owns(&self, address: NonNull<u8>, layout: Layout) -> bool {
        let below = if layout.align() <= MOST { Some(layout) } else { Self::below(layout) };
        below.is_some_and(|below| self.inner.owns(address, below))
    }
}

globally!([const MOST: usize, A: GlobalAlloc] Realign<MOST, A>, Realign<MOST, FromGlobal<A>>);
crate::adapt!([const MOST: usize, A: Allocator] Realign<MOST, A>);

/// Blocks aligned to at least `LEAST` bytes: a cache line, so that threads do
/// not share one; a vector, so that wide loads are aligned.
///
/// `LEAST` is a power of two. Sizes are not rounded up.
///
/// ```
/// use allod_kit::{AlignTo, Allocator, FromGlobal};
/// use std::alloc::{Layout, System};
///
/// let lines = AlignTo::<64, _>::new(FromGlobal::new(System));
/// let layout = Layout::new::<u8>();
/// let block = lines.allocate(layout)?;
/// assert!(block.addr().get().is_multiple_of(64));
/// // SAFETY: the block is `lines`'s, of this layout, and not used again.
/// unsafe { lines.deallocate(block.cast(), layout) };
/// # Ok::<(), allod_kit::AllocError>(())
/// ```
///
/// # What it costs
///
/// Nothing but what the allocator below rounds up to.
///
/// # When not to use it
///
/// To keep two blocks off one cache line: the end of one may lie on the line that
/// the next begins on if sizes are not multiples too.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct AlignTo<const LEAST: usize, A> {
    inner: A,
}

impl<const LEAST: usize, A> AlignTo<LEAST, A> {
    /// Over this one.
    pub const fn new(inner: A) -> Self {
        const { assert!(LEAST.is_power_of_two(), "an alignment is a power of two") }
        AlignTo { inner }
    }

    /// The one below.
    pub const fn inner(&self) -> &A {
        &self.inner
    }

    #[inline]
    fn raised(layout: Layout) -> Result<Layout, AllocError> {
        layout.align_to(LEAST).map_err(|_| AllocError)
    }
}

// SAFETY: every block is one of the allocator below, with an alignment that
// always follows from the layout in the same way.
unsafe impl<const LEAST: usize, A: Allocator> Allocator for AlignTo<LEAST, A> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.inner.allocate(Self::raised(layout)?)
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.inner.allocate_zeroed(Self::raised(layout)?)
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // A block that was allocated has a layout that can be raised.
        if let Ok(raised) = Self::raised(layout) {
            // SAFETY: the block has this layout below.
            unsafe { self.inner.deallocate(block, raised) };
        }
    }

    #[inline]
    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let (old, new) = (Self::raised(old)?, Self::raised(new)?);
        // SAFETY: the block has this layout below.
        unsafe { self.inner.reallocate(block, old, new) }
    }

    #[inline]
    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let (old, new) = (Self::raised(old)?, Self::raised(new)?);
        // SAFETY: the block has this layout below.
        unsafe { self.inner.reallocate_in_place(block, old, new) }
    }

    #[inline]
    unsafe fn usable_size(&self, block: NonNull<u8>, layout: Layout) -> usize {
        let raised = Self::raised(layout).unwrap_or(layout);
        // SAFETY: the block has this layout below.
        unsafe { self.inner.usable_size(block, raised) }
    }
}

// SAFETY: its blocks are those of the one below, with this layout.
unsafe impl<const LEAST: usize, A: Owns> Owns for AlignTo<LEAST, A> {
    #[inline]
    fn owns(&self, address: NonNull<u8>, layout: Layout) -> bool {
        Self::raised(layout).is_ok_and(|raised| self.inner.owns(address, raised))
    }
}

globally!([const LEAST: usize, A: GlobalAlloc] AlignTo<LEAST, A>, AlignTo<LEAST, FromGlobal<A>>);
crate::adapt!([const LEAST: usize, A: Allocator] AlignTo<LEAST, A>);
