//! A heap for bare metal: one line in a `static`, memory and lock included.
//!
//! [`Heap`] puts a lock that you choose around a [`Tlsf`], [`Buddy`] or
//! [`FirstFit`], so that it can be shared: as `#[global_allocator]`, or by
//! reference as the allocator of collections. It may hold its memory itself:
//!
//! ```
//! use allod_kit::{Heap, Spin, Tlsf};
//!
//! #[global_allocator]
//! static HEAP: Heap<Tlsf, Spin, { 1 << 20 }> = Heap::new();
//! # assert_eq!(vec![1; 100].iter().sum::<i32>(), 100);
//! # assert!(HEAP.used() >= 400);
//! ```
//!
//! That is a heap of a mebibyte, in `.bss`, ready before `main`: nothing has to
//! be initialised, and nothing can be forgotten. Without the number it has no
//! memory until [`Heap::add`] or [`Heap::add_region`] gives it some; with it,
//! these two add to it.
//!
//! # What happens under the lock
//!
//! The heap's own steps, nothing else. Blocks are cleared and copied outside, so
//! that interrupts are off, or other cores wait, for as long as the heap's
//! bounded work takes, and never for as long as a block is large.
//!
//! # Memory inside
//!
//! A heap with memory of its own keeps a pointer into itself. It is looked at on
//! each allocation: if the heap was moved since, which it cannot be while a
//! block lives (blocks borrow it), it starts afresh in its new place, and
//! forgets regions that were added. A `static` never moves.
//!
//! [`Tlsf`]: crate::Tlsf
//! [`Buddy`]: crate::Buddy
//! [`FirstFit`]: crate::FirstFit
#![allow(unsafe_code)]

use crate::allocator::{AllocError, Allocator, nothing};
use crate::lock::{Lock, Open};
use crate::regions::{Plan, Regions};
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};

/// Memory of a heap's own.
#[repr(C, align(16))]
struct Memory<const BYTES: usize>(MaybeUninit<[u8; BYTES]>);

/// A heap `H` behind a lock `L`, with `BYTES` bytes of memory of its own.
///
/// `H` is [`Tlsf`](crate::Tlsf), [`Buddy`](crate::Buddy) or
/// [`FirstFit`](crate::FirstFit), and decides what operations cost. `L` is one of
/// the crate's locks or yours; see [`Lock`].
///
/// As `#[global_allocator]` on bare metal, with memory that the linker script or
/// the boot loader knows of:
///
/// ```
/// use allod_kit::{Heap, OneCore, Tlsf};
/// use core::ptr::NonNull;
///
/// // SAFETY: one core, and no interrupt handler of ours allocates.
/// static HEAP: Heap<Tlsf, OneCore> = Heap::with_lock(unsafe { OneCore::new() });
///
/// /// # Safety
/// /// Call it once, with memory that nobody else uses.
/// unsafe fn start(fast: NonNull<u8>, fast_size: usize, slow: NonNull<u8>, slow_size: usize) {
///     // SAFETY: the caller's promise. Fast memory is used first.
///     unsafe { HEAP.add_region(fast, fast_size) };
///     // SAFETY: as above.
///     unsafe { HEAP.add_region(slow, slow_size) };
/// }
/// ```
///
/// As the allocator of a collection, over a buffer of the caller's:
///
/// ```
/// # #[cfg(feature = "allocator-api2-02")] {
/// use allocator_api2_02::vec::Vec;
/// use allod_kit::{Heap, Tlsf, Unshared};
/// use core::mem::MaybeUninit;
///
/// let mut buffer = [MaybeUninit::uninit(); 8192];
/// let heap = Heap::<Tlsf, Unshared>::new();
/// heap.add(&mut buffer);
/// let mut numbers = Vec::new_in(&heap);
/// numbers.extend(0..100);
/// assert!(heap.used() >= 400);
/// # }
/// ```
///
/// A block cannot outlive its heap:
///
/// ```compile_fail,E0597
/// # use allod_kit::{Allocator, Heap, Tlsf, Unshared};
/// # fn keep<'h, A: Allocator + 'h>(from: A) -> Box<dyn Fn() + 'h> {
/// #     Box::new(move || drop(from.allocate(core::alloc::Layout::new::<u8>())))
/// # }
/// let kept;
/// {
///     let heap = Heap::<Tlsf, Unshared, 4096>::new();
///     kept = keep(&heap);
/// }
/// kept();
/// ```
///
/// # What it costs
///
/// *Time.* The lock, once an operation and twice where a block moves, and what `H`
/// says. *Memory.* A word, the lock, and the bytes inside, of which the tables are
/// `H`'s.
///
/// # When not to use it
///
/// As the global allocator of a program that has an operating system and many
/// threads: they wait for one lock. The crate `allod` is for that.
pub struct Heap<H, L, const BYTES: usize = 0> {
    heap: UnsafeCell<H>,
    lock: L,
    memory: UnsafeCell<Memory<BYTES>>,
}

// SAFETY: `heap` and `memory` are touched under the lock alone.
unsafe impl<H: Send, L: Lock + Sync, const BYTES: usize> Sync for Heap<H, L, BYTES> {}

impl<P: Plan, L: Open, const BYTES: usize> Heap<Regions<'_, P>, L, BYTES> {
    /// A heap with its own memory, if there is any.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_lock(L::OPEN)
    }
}

impl<P: Plan, L: Open, const BYTES: usize> Default for Heap<Regions<'_, P>, L, BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Plan, L: Lock, const BYTES: usize> fmt::Debug for Heap<Regions<'_, P>, L, BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not under the lock: whoever prints may allocate.
        let (used, free) = self.hold(|heap| (heap.used(), heap.free()));
        f.debug_struct(P::NAME).field("used", &used).field("free", &free).finish()
    }
}

impl<'m, P: Plan, L: Lock, const BYTES: usize> Heap<Regions<'m, P>, L, BYTES> {
    /// A heap with this lock.
    #[must_use]
    pub const fn with_lock(lock: L) -> Self {
        // `Regions::stand_on` takes a first region elsewhere for a heap that was
        // moved, so memory inside must be enough to be a region of any plan.
        const { assert!(BYTES == 0 || BYTES >= 512, "too little memory for a heap") };
        Self {
            heap: UnsafeCell::new(Regions::new()),
            lock,
            memory: UnsafeCell::new(Memory(MaybeUninit::uninit())),
        }
    }

    /// Adds a region, behind those there are. Returns how many bytes of it
    /// blocks can have; 0 says that it was too small to be of use.
    pub fn add(&self, memory: &'m mut [MaybeUninit<u8>]) -> usize {
        self.hold(|heap| heap.add(memory))
    }

    /// Adds the `size` bytes at `base`, as [`add`](Heap::add) does.
    ///
    /// # Safety
    ///
    /// The bytes may be read and written through `base` and are nobody else's
    /// until the heap and all of its blocks are gone.
    pub unsafe fn add_region(&self, base: NonNull<u8>, size: usize) -> usize {
        // SAFETY: the caller's promise.
        self.hold(|heap| unsafe { heap.add_region(base, size) })
    }

    /// Bytes in blocks, rounded up as they are. O(regions).
    pub fn used(&self) -> usize {
        self.hold(|heap| heap.used())
    }

    /// Bytes that are free, together or apart. O(regions).
    pub fn free(&self) -> usize {
        self.hold(|heap| heap.free())
    }

    /// Bytes that blocks can have. O(regions).
    pub fn capacity(&self) -> usize {
        self.hold(|heap| heap.capacity())
    }

    /// The largest size that an allocation gets now, for alignments up to 8.
    pub fn max_allocatable(&self) -> usize {
        self.hold(|heap| heap.max_allocatable())
    }

    /// Walks all that the heap knows of its free memory, under the lock.
    ///
    /// # Errors
    ///
    /// Something has written where it should not; the words say what is wrong.
    pub fn check(&self) -> Result<(), &'static str> {
        self.hold(|heap| heap.check())
    }

    #[inline]
    fn hold<R>(&self, work: impl FnOnce(&mut Regions<'m, P>) -> R) -> R {
        self.lock.hold(|| {
            // SAFETY: we hold the lock, so this is the only reference.
            let heap = unsafe { &mut *self.heap.get() };
            if BYTES > 0 {
                // SAFETY: the field lies inside `self`, which is not null.
                let memory = unsafe { NonNull::new_unchecked(self.memory.get()) };
                // SAFETY: the field is ours, aligned, and the heap's alone; the
                // heap is asked again before its next use, and no block outlives
                // a move, because blocks borrow us.
                unsafe { heap.stand_on(memory.cast(), BYTES) };
            }
            work(heap)
        })
    }

    /// A block for a layout whose size is not 0.
    #[inline]
    fn take(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.hold(|heap| heap.allocate_some(layout))
    }

    /// Makes a block fit elsewhere, with two visits to the heap and the copying
    /// between them.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::reallocate`]; the new size is not 0.
    #[inline(never)]
    unsafe fn relocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let moved = self.take(new)?;
        let size = old.size().min(new.size());
        // SAFETY: both hold so many bytes, and a new block overlaps no other.
        unsafe { moved.cast().copy_from_nonoverlapping(block, size) };
        // SAFETY: the caller's promise.
        self.hold(|heap| unsafe { heap.deallocate(block, old) });
        Ok(moved)
    }
}

/// A thin pointer for `GlobalAlloc`.
#[inline]
fn thin(block: Result<NonNull<[u8]>, AllocError>) -> *mut u8 {
    block.map_or(ptr::null_mut(), |block| block.cast().as_ptr())
}

// SAFETY: `Regions` gives blocks that are aligned, as large as asked for, and
// nobody else's until they come back; nothing unwinds.
unsafe impl<P: Plan, L: Lock, const BYTES: usize> GlobalAlloc for Heap<Regions<'_, P>, L, BYTES> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        thin(self.take(layout))
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(block) = NonNull::new(block) else { return };
        // SAFETY: the caller's promise.
        self.hold(|heap| unsafe { heap.deallocate(block, layout) });
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, old: Layout, size: usize) -> *mut u8 {
        let Some(block) = NonNull::new(block) else { return ptr::null_mut() };
        // SAFETY: the caller promises that the size, rounded up to the
        // alignment, is at most `isize::MAX`.
        let new = unsafe { Layout::from_size_align_unchecked(size, old.align()) };
        // SAFETY: the caller's promise.
        let here = self.hold(|heap| unsafe { heap.reallocate_in_place(block, old, new) });
        match here {
            Ok(here) => here.cast().as_ptr(),
            // SAFETY: the caller's promise; the size is not 0.
            Err(AllocError) => thin(unsafe { self.relocate(block, old, new) }),
        }
    }
}

// SAFETY: as above. The handle is a reference, so a heap neither moves nor goes
// while it has blocks, and references to one heap are one allocator.
unsafe impl<P: Plan, L: Lock, const BYTES: usize> Allocator for &Heap<Regions<'_, P>, L, BYTES> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        self.take(layout)
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
        // SAFETY: the caller's promise.
        self.hold(|heap| unsafe { heap.deallocate(block, layout) });
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
        if new.size() == 0 {
            // SAFETY: the caller's promise.
            unsafe { self.deallocate(block, old) };
            return Ok(nothing(new));
        }
        // SAFETY: the caller's promise; the size is not 0.
        unsafe { self.relocate(block, old, new) }
    }

    #[inline]
    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise.
        self.hold(|heap| unsafe { heap.reallocate_in_place(block, old, new) })
    }

    #[inline]
    unsafe fn usable_size(&self, _: NonNull<u8>, layout: Layout) -> usize {
        Regions::<P>::usable_size(layout)
    }
}

crate::adapt!([P: Plan, L: Lock, const BYTES: usize] &Heap<Regions<'_, P>, L, BYTES>);

// SAFETY: a region is one heap's.
unsafe impl<P: Plan, L: Lock, const BYTES: usize> crate::Owns for Heap<Regions<'_, P>, L, BYTES> {
    /// O(regions), under the lock.
    #[inline]
    fn owns(&self, address: NonNull<u8>, _: Layout) -> bool {
        self.hold(|heap| heap.owns(address))
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
