//! Pools: memory for values of one type, a slot each.
//!
//! A pool hands out [`PoolBox`]es. A box owns its value, drops it, and gives
//! the slot back. A slot that came back is the next to go out, while it is
//! still in the processor's cache.
//!
//! ```text
//!   slots   | value | free | value | free | never used | never used |
//!                      |                |     ^                       ^
//!   free --------------|--------------->'     fresh                   end
//!                      '<- next
//! ```
//!
//! Slots that were never used are not on the list: `fresh` walks over them, so
//! a new pool touches none of its memory.
//!
//! * [`Pool`] lives in slots that the caller brings: an array on the stack, in
//!   a `static`, or in another allocator's block. It never grows.
//! * [`GrowingPool`] takes chunks of slots from any [`Allocator`], each twice
//!   the one before, and gives them back when it goes.
//!
//! | | |
//! |---|---|
//! | allocate, free | O(1): a load, a test, two stores |
//! | overhead | none in the slot; it is as large as the value, and no smaller than a pointer |
//! | not for | values of many types (a bump arena), keys that outlive values (`Slab`), many threads (`SharedPool`) |
//!
//! The idea is the free list of Kenwright, "Fast Efficient Fixed-Size Memory
//! Pool" (2012), who also leaves the unused tail unlinked.
//!
//! # Invariants
//!
//! * P1. Every slot below `fresh` is on the free list once, or somebody's.
//! * P2. Slots from `fresh` to `end` are nobody's.
//! * P3. All slots are one piece of memory a chunk, and stay where they are
//!   while the pool is borrowed.
#![allow(unsafe_code)]

mod boxed;
mod growing;

pub use boxed::PoolBox;
pub use growing::GrowingPool;

use crate::allocator::{AllocError, Allocator, nothing};
use crate::blocks::{Blocks, blocks};
use crate::full::Full;
use crate::owns::Owns;
use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

/// Room for one `T` in a pool.
///
/// As large as the `T`, and no smaller than a pointer.
pub struct PoolSlot<T>(Content<T>);

#[repr(C)]
union Content<T> {
    /// Of a free slot: the next on the list.
    next: Option<NonNull<PoolSlot<T>>>,
    value: ManuallyDrop<T>,
}

impl<T> PoolSlot<T> {
    /// A slot with nothing in it.
    pub const fn new() -> Self {
        Self(Content { next: None })
    }
}

impl<T> Default for PoolSlot<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for PoolSlot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PoolSlot")
    }
}

/// The free slots of a pool of either kind.
struct Slots<T> {
    free: Cell<Option<NonNull<PoolSlot<T>>>>,
    fresh: Cell<NonNull<PoolSlot<T>>>,
    end: Cell<NonNull<PoolSlot<T>>>,
}

// SAFETY: a pool that can be moved is not borrowed, so no box of it is alive
// and the slots are its own alone.
unsafe impl<T: Send> Send for Slots<T> {}

impl<T> Slots<T> {
    const fn none() -> Self {
        Self {
            free: Cell::new(None),
            fresh: Cell::new(NonNull::dangling()),
            end: Cell::new(NonNull::dangling()),
        }
    }

    /// Puts `count` unused slots behind `fresh`, in place of what was there.
    ///
    /// # Safety
    ///
    /// From `first`, `count` slots are ours (P3), and nobody uses them.
    unsafe fn supply(&self, first: NonNull<PoolSlot<T>>, count: usize) {
        self.fresh.set(first);
        // SAFETY: the slots are one piece of memory, so its end is within it.
        self.end.set(unsafe { first.add(count) });
    }

    #[inline]
    fn take(&self) -> Option<NonNull<PoolSlot<T>>> {
        if let Some(slot) = self.free.get() {
            // SAFETY: a slot on the list is nobody's, and ours to read (P1).
            let content = unsafe { &slot.as_ref().0 };
            // SAFETY: while it is on the list it holds the link.
            self.free.set(unsafe { content.next });
            return Some(slot);
        }
        let slot = self.fresh.get();
        if slot == self.end.get() {
            return None;
        }
        // SAFETY: below the end, so one further is at most the end (P2).
        self.fresh.set(unsafe { slot.add(1) });
        Some(slot)
    }

    /// # Safety
    ///
    /// The slot was taken from here and is not used again.
    #[inline]
    unsafe fn put(&self, slot: NonNull<PoolSlot<T>>) {
        // SAFETY: the slot is the caller's to give, and large enough for a link.
        unsafe { slot.write(PoolSlot(Content { next: self.free.get() })) };
        self.free.set(Some(slot));
    }

    /// Slots that can be taken without growing.
    fn vacant(&self) -> usize {
        let (fresh, end) = (self.fresh.get().addr().get(), self.end.get().addr().get());
        let mut count = (end - fresh) / size_of::<PoolSlot<T>>();
        let mut next = self.free.get();
        while let Some(slot) = next {
            count += 1;
            // SAFETY: as in `take`.
            let content = unsafe { &slot.as_ref().0 };
            // SAFETY: as in `take`.
            next = unsafe { content.next };
        }
        count
    }
}

/// A pool in slots that the caller brings.
///
/// ```
/// use allod_kit::{Pool, PoolSlot};
///
/// let mut slots = [const { PoolSlot::new() }; 64];
/// let pool = Pool::new(&mut slots);
///
/// let name = pool.try_alloc(String::from("Ada"))?;
/// assert_eq!(name.len(), 3);
/// assert_eq!(pool.vacant(), 63);
/// drop(name); // The string is dropped, the slot is free again.
/// assert_eq!(pool.vacant(), 64);
/// # Ok::<(), allod_kit::Full<String>>(())
/// ```
///
/// A box cannot outlive the pool, nor the pool its slots:
///
/// ```compile_fail,E0505
/// # use allod_kit::{Pool, PoolSlot};
/// # let mut slots = [const { PoolSlot::new() }; 4];
/// let pool = Pool::new(&mut slots);
/// let value = pool.try_alloc(1);
/// drop(pool);
/// let _ = value;
/// ```
///
/// ```compile_fail,E0597
/// # use allod_kit::{Pool, PoolSlot};
/// let pool = {
///     let mut slots = [const { PoolSlot::<i32>::new() }; 4];
///     Pool::new(&mut slots)
/// };
/// let _ = pool.vacant();
/// ```
///
/// # As an allocator
///
/// `&Pool<T>` has the trait [`Allocator`]: it serves every layout that fits a
/// slot, and refuses the others. So a pool of `[u64; 32]` is an allocator of
/// blocks up to 256 bytes.
///
/// # What it costs
///
/// *Time.* O(1) each, and none to set up: slots are put on the list when they are first
/// taken. *Memory.* A slot is as large as a value, or as a pointer if that is more. The
/// pool itself is a few words.
///
/// # When not to use it
///
/// A pool for one type wastes what another type could use. When all values go
/// at once, a bump arena needs no slots; when they are to be found again by
/// number, use a `Slab`. The pool is for one thread: `SharedPool` is for many.
pub struct Pool<'m, T> {
    slots: Slots<T>,
    first: NonNull<PoolSlot<T>>,
    memory: PhantomData<&'m mut [PoolSlot<T>]>,
}

impl<'m, T> Pool<'m, T> {
    /// A pool of these slots. Touches none of them. O(1).
    pub const fn new(slots: &'m mut [PoolSlot<T>]) -> Self {
        let (count, first) = (slots.len(), NonNull::from_mut(slots).cast::<PoolSlot<T>>());
        // SAFETY: as long as the slice, so the end is within it.
        let end = unsafe { first.add(count) };
        let slots = Slots { free: Cell::new(None), fresh: Cell::new(first), end: Cell::new(end) };
        Self { slots, first, memory: PhantomData }
    }

    /// Puts a value into a slot. O(1).
    ///
    /// # Errors
    ///
    /// All slots are taken; the value comes back.
    #[inline]
    pub fn try_alloc(&self, value: T) -> Result<PoolBox<'_, T>, Full<T>> {
        match self.slots.take() {
            // SAFETY: just taken from there.
            Some(slot) => Ok(unsafe { PoolBox::fill(&self.slots, slot, value) }),
            None => Err(Full(value)),
        }
    }

    /// Puts what `make` returns into a slot, and calls it only if there is one.
    /// A large value may then be made in place. O(1).
    ///
    /// # Errors
    ///
    /// All slots are taken; `make` comes back.
    #[inline]
    pub fn try_alloc_with<F: FnOnce() -> T>(&self, make: F) -> Result<PoolBox<'_, T>, Full<F>> {
        match self.slots.take() {
            // SAFETY: just taken from there.
            Some(slot) => Ok(unsafe { PoolBox::fill_with(&self.slots, slot, make) }),
            None => Err(Full(make)),
        }
    }

    /// Puts a value into a slot. O(1).
    ///
    /// # Panics
    ///
    /// All slots are taken. [`try_alloc`](Pool::try_alloc) never panics.
    #[cfg(feature = "infallible")]
    #[inline]
    #[track_caller]
    pub fn alloc(&self, value: T) -> PoolBox<'_, T> {
        crate::full::must(self.try_alloc(value))
    }

    /// Slots that are free. O(those that were freed).
    pub fn vacant(&self) -> usize {
        self.slots.vacant()
    }
}

impl<T> fmt::Debug for Pool<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("vacant", &self.vacant()).finish()
    }
}

// SAFETY: a taken slot is on no list (P1), and slots do not move (P3).
unsafe impl<T> Blocks for Pool<'_, T> {
    const LAYOUT: Layout = Layout::new::<PoolSlot<T>>();

    #[inline]
    fn block(&self) -> Result<NonNull<u8>, AllocError> {
        self.slots.take().map(NonNull::cast).ok_or(AllocError)
    }

    #[inline]
    unsafe fn unblock(&self, block: NonNull<u8>) {
        // SAFETY: the caller's promise.
        unsafe { self.slots.put(block.cast()) };
    }
}

blocks!([T] Pool<'_, T>);

// SAFETY: the slots are the pool's alone, and blocks lie in slots.
unsafe impl<T> Owns for Pool<'_, T> {
    /// O(1).
    #[inline]
    fn owns(&self, address: NonNull<u8>, _: Layout) -> bool {
        self.first.cast() <= address && address < self.slots.end.get().cast()
    }
}

#[cfg(test)]
mod tests;
