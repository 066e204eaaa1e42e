//! First-class heaps, and the operations of both kinds of handle.
//!
//! A [`Heap`] is memory that belongs together: one collection's, one request's,
//! one tenant's. Dropping the heap gives everything back at once, whatever was
//! still allocated from it, without visiting the objects.
//!
//! The handle is the allocator's only through a reference. A collection holds
//! `&Heap`, so the borrow checker keeps the heap alive for as long as the
//! collection is, and nobody can destroy it underneath.
//!
//! A block of a heap costs a lock to allocate and a compare-and-swap to free:
//! three to four times a block of the thread's own heap.
#![allow(unsafe_code)]

use crate::allocate::{AllocError, Allocator, Global, nothing};
use crate::config::Config;
use crate::heap;
use crate::local::{self, ALLOCATOR};
use crate::report;
use core::alloc::Layout;
use core::ptr::NonNull;

/// A heap of one's own.
///
/// Any thread may allocate from it and free into it. An operation takes
/// constant time but for what the system takes to hand over memory; dropping
/// the heap takes time in proportion to its spans (32 KiB each, or more).
///
/// ```
/// use allod::{Allocator, Heap};
/// use core::alloc::Layout;
///
/// let heap = Heap::new()?;
/// for size in 1..1000 {
///     (&heap).allocate(Layout::array::<u8>(size).unwrap())?;
/// }
/// drop(heap); // all thousand blocks
/// # Ok::<(), allod::AllocError>(())
/// ```
///
/// What uses the heap's memory cannot outlive it:
///
/// ```compile_fail
/// use allod::{Allocator, Heap};
/// fn leak() -> impl Allocator {
///     let heap = Heap::new().unwrap();
///     &heap
/// }
/// ```
#[derive(Debug)]
pub struct Heap {
    heap: &'static heap::Heap,
}

impl Heap {
    /// A heap with nothing in it.
    ///
    /// # Errors
    ///
    /// There is no memory for its record.
    pub fn new() -> Result<Self, AllocError> {
        const CONFIG: Config = Config::new();
        if !report::start(&CONFIG) {
            return Err(AllocError);
        }
        ALLOCATOR.make_private().map(|heap| Self { heap }).ok_or(AllocError)
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: collections borrow the handle, so none of them is left, and whoever
        // took raw blocks out has promised not to use them past the allocator's end.
        unsafe { ALLOCATOR.destroy(self.heap) };
    }
}

/// A block of `layout` from a private heap, or with `None` from the thread's.
fn allocate(
    heap: Option<&heap::Heap>,
    layout: Layout,
    zeroed: bool,
) -> Result<NonNull<[u8]>, AllocError> {
    if layout.size() == 0 {
        return Ok(nothing(layout));
    }
    // SAFETY: the heap is private, or the calling thread's.
    let fresh = unsafe { ALLOCATOR.allocate(heap, layout.size(), layout.align()) };
    let fresh = fresh.ok_or_else(|| refused(layout))?;
    if zeroed {
        ALLOCATOR.clear(fresh, layout.size());
    }
    Ok(NonNull::slice_from_raw_parts(fresh.at, layout.size()))
}

/// There is no memory for a block of `layout`.
#[cold]
fn refused(layout: Layout) -> AllocError {
    report::refused(layout.size());
    AllocError
}

/// # Safety
///
/// As for [`Allocator::deallocate`].
unsafe fn deallocate(block: NonNull<u8>, layout: Layout) {
    if layout.size() == 0 {
        return;
    }
    if crate::block::CHECKED {
        ALLOCATOR.check_size(block.addr().get(), layout.size(), layout.align());
    }
    // SAFETY: the heap is this thread's; the caller gives the block up.
    unsafe { ALLOCATOR.release(local::present(), block) };
}

/// # Safety
///
/// As for [`Allocator::reallocate`].
unsafe fn reallocate(
    heap: Option<&heap::Heap>,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Result<NonNull<[u8]>, AllocError> {
    // With another alignment the size class may be another: a block must be what
    // its layout says when it is freed.
    let stays = old.size() != 0 && new.size() != 0 && new.align() == old.align();
    if stays {
        // SAFETY: the caller's promise; the new size is not 0.
        let moved = unsafe { ALLOCATOR.reallocate(heap, block, new.size(), old.align()) };
        let moved = moved.ok_or_else(|| refused(new))?;
        return Ok(NonNull::slice_from_raw_parts(moved, new.size()));
    }
    let fresh = allocate(heap, new, false)?;
    let both = old.size().min(new.size());
    // SAFETY: two blocks of at least `both` bytes, and no two blocks overlap.
    unsafe { fresh.cast::<u8>().copy_from_nonoverlapping(block, both) };
    // SAFETY: the caller gives the old block up.
    unsafe { deallocate(block, old) };
    Ok(fresh)
}

fn reallocate_in_place(
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Result<NonNull<[u8]>, AllocError> {
    let same = old.size() == new.size() && old.align() == new.align();
    let fits = same
        || (old.size() != 0
            && new.size() != 0
            && old.align() == new.align()
            && ALLOCATOR.resize_in_place(block, new.size(), new.align()));
    if fits { Ok(NonNull::slice_from_raw_parts(block, new.size())) } else { Err(AllocError) }
}

fn usable_size(block: NonNull<u8>, layout: Layout) -> usize {
    if layout.size() == 0 { 0 } else { ALLOCATOR.usable(block.addr().get()) }
}

// SAFETY: blocks stay until they are freed or the heap is dropped, which the
// borrow rules out while the reference lives; a copy of a reference is the same heap.
unsafe impl Allocator for &Heap {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        allocate(Some(self.heap), layout, false)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        allocate(Some(self.heap), layout, true)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { deallocate(block, layout) };
    }

    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise.
        unsafe { reallocate(Some(self.heap), block, old, new) }
    }

    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        reallocate_in_place(block, old, new)
    }

    unsafe fn usable_size(&self, block: NonNull<u8>, layout: Layout) -> usize {
        usable_size(block, layout)
    }
}

/// The calling thread's heap, with the allocator open.
fn mine() -> Result<Option<&'static heap::Heap>, AllocError> {
    const CONFIG: Config = Config::new();
    if report::start(&CONFIG) { Ok(local::enter()) } else { Err(AllocError) }
}

// SAFETY: the process's allocator does not end, and every handle is the same.
unsafe impl Allocator for Global {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        allocate(mine()?, layout, false)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        allocate(mine()?, layout, true)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { deallocate(block, layout) };
    }

    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise.
        unsafe { reallocate(mine()?, block, old, new) }
    }

    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        reallocate_in_place(block, old, new)
    }

    unsafe fn usable_size(&self, block: NonNull<u8>, layout: Layout) -> usize {
        usable_size(block, layout)
    }
}
