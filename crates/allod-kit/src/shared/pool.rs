//! The pool that threads share.
#![allow(unsafe_code)]

use super::bits::PLACES;
use super::group::{Fresh, Groups};
use crate::Owns;
use crate::allocator::{AllocError, Allocator, nothing};
use crate::blocks::{Blocks, blocks};
use crate::full::Full;
use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::pin::Pin;
use core::ptr::NonNull;

/// Room for a value, and for at least one byte, so that no two have one address.
#[repr(transparent)]
struct Slot<T>(UnsafeCell<Content<T>>);

#[repr(C)]
union Content<T> {
    byte: u8,
    value: ManuallyDrop<T>,
}

impl<T> Fresh for Slot<T> {
    #[cfg(not(loom))]
    const FRESH: Self = Self(UnsafeCell::new(Content { byte: 0 }));
    #[cfg(loom)]
    fn fresh() -> Self {
        Self(UnsafeCell::new(Content { byte: 0 }))
    }
}

/// A pool of `32 * G` slots that any thread takes from and gives back to.
///
/// ```
/// use allod_kit::SharedPool;
/// use std::thread;
///
/// struct Packet { bytes: [u8; 60], length: u32 }
/// static PACKETS: SharedPool<Packet, 2> = SharedPool::new();
///
/// let packet = PACKETS.alloc(Packet { bytes: [7; 60], length: 60 });
/// thread::spawn(move || {
///     assert_eq!((packet.bytes[59], packet.length), (7, 60));
///     // Dropped here, by another thread.
/// }).join().unwrap();
/// assert_eq!((PACKETS.capacity(), PACKETS.len()), (64, 0));
/// ```
///
/// A box cannot outlive a pool that is no `static`, nor go to another thread
/// with a value that may not:
///
/// ```compile_fail,E0505
/// # use allod_kit::SharedPool;
/// let pool = SharedPool::<u32, 1>::new();
/// let one = pool.try_alloc(1);
/// drop(pool);
/// let _ = one;
/// ```
///
/// ```compile_fail,E0277
/// # use allod_kit::SharedPool;
/// use std::rc::Rc;
/// static POOL: SharedPool<Rc<u32>, 1> = SharedPool::new();
/// ```
///
/// `&SharedPool` has the trait [`Allocator`], as `&Pool` has.
///
/// # What it costs
///
/// *Time.* Lock-free; O(1), or O(`G`) when nearly full. *Memory.* A bit a slot,
/// rounded to the alignment once in 32. A slot is as large as the value.
///
/// # When not to use it
///
/// One thread has no use for the atomics, and values that may be looked at while
/// they are removed belong in a [`SharedSlab`](crate::SharedSlab).
pub struct SharedPool<T, const G: usize> {
    groups: Groups<Slot<T>, G>,
}

// SAFETY: a slot is its taker's alone, whichever thread that is, so sharing the
// pool sends values.
unsafe impl<T: Send, const G: usize> Sync for SharedPool<T, G> {}
// SAFETY: what is in the slots are values that were forgotten, at most.
unsafe impl<T: Send, const G: usize> Send for SharedPool<T, G> {}

impl<T, const G: usize> SharedPool<T, G> {
    super::const_but_not_in_models! {
        /// An empty pool. All of it is zeros or not initialized.
        pub fn new() -> Self {
            Self { groups: Groups::new() }
        }
    }

    /// Puts a value into a slot.
    ///
    /// # Errors
    ///
    /// All slots are taken; the value comes back.
    #[inline]
    pub fn try_alloc(&self, value: T) -> Result<SharedBox<'_, T, G>, Full<T>> {
        match self.groups.take() {
            Some((_, slot)) => {
                let slot = NonNull::from_ref(slot);
                // SAFETY: the slot is ours alone (Q1), and may change, being a cell.
                unsafe { slot.cast::<T>().write(value) };
                Ok(SharedBox { slot, home: self, owned: PhantomData })
            }
            None => Err(Full(value)),
        }
    }

    /// Puts a value into a slot.
    ///
    /// # Panics
    ///
    /// All slots are taken. [`try_alloc`](SharedPool::try_alloc) never panics.
    #[cfg(feature = "infallible")]
    #[inline]
    #[track_caller]
    pub fn alloc(&self, value: T) -> SharedBox<'_, T, G> {
        crate::full::must(self.try_alloc(value))
    }

    /// Slots, taken or not.
    pub const fn capacity(&self) -> usize {
        G * PLACES
    }

    /// Slots that were taken a moment ago. O(`G`).
    pub fn len(&self) -> usize {
        self.groups.count()
    }

    /// True when no slot was taken a moment ago. O(`G`).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T, const G: usize> Default for SharedPool<T, G> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const G: usize> fmt::Debug for SharedPool<T, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPool")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .finish()
    }
}

/// A value in a slot of a [`SharedPool`], owned. Dropping it drops the value and
/// gives the slot back, from whichever thread.
pub struct SharedBox<'p, T, const G: usize> {
    slot: NonNull<Slot<T>>,
    home: &'p SharedPool<T, G>,
    owned: PhantomData<T>,
}

// SAFETY: the box owns its value, and slots are given back by any thread.
unsafe impl<T: Send, const G: usize> Send for SharedBox<'_, T, G> {}
// SAFETY: a shared box lends its value shared.
unsafe impl<T: Sync, const G: usize> Sync for SharedBox<'_, T, G> {}

impl<'p, T, const G: usize> SharedBox<'p, T, G> {
    /// The value: at the beginning of the slot, in a cell.
    #[inline]
    fn value(&self) -> NonNull<T> {
        self.slot.cast()
    }

    /// The value itself. Its slot is free again.
    #[inline]
    pub fn into_inner(this: Self) -> T {
        let this = ManuallyDrop::new(this);
        // SAFETY: a box holds a value, and this one is not used again.
        let value = unsafe { this.value().read() };
        this.home.give(this.slot);
        value
    }

    /// The value for as long as the pool is. It is never dropped and its slot
    /// never given back.
    #[inline]
    pub fn leak(this: Self) -> &'p mut T {
        let this = ManuallyDrop::new(this);
        // SAFETY: nobody else has the slot, and the pool outlives `'p`.
        unsafe { this.value().as_mut() }
    }
}

impl<T, const G: usize> SharedBox<'static, T, G> {
    /// The box, pinned. For pools in a `static` alone, whose slots are nobody's
    /// before their values are dropped.
    #[inline]
    pub fn into_pin(this: Self) -> Pin<Self> {
        // SAFETY: moving the box does not move the value, and the slot is not
        // used again before it was dropped.
        unsafe { Pin::new_unchecked(this) }
    }
}

impl<T, const G: usize> SharedPool<T, G> {
    #[inline]
    fn give(&self, slot: NonNull<Slot<T>>) {
        self.groups.give(self.groups.number_of(slot.as_ptr()));
    }
}

impl<T, const G: usize> Drop for SharedBox<'_, T, G> {
    #[inline]
    fn drop(&mut self) {
        /// Gives the slot back, also when dropping the value unwinds.
        struct Give<'a, 'p, T, const G: usize>(&'a SharedBox<'p, T, G>);
        impl<T, const G: usize> Drop for Give<'_, '_, T, G> {
            fn drop(&mut self) {
                self.0.home.give(self.0.slot);
            }
        }
        let value = self.value();
        let _give = Give(self);
        // SAFETY: the box holds a value and goes now.
        unsafe { value.drop_in_place() };
    }
}

impl<T, const G: usize> Deref for SharedBox<'_, T, G> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the box holds a value, and lends it for as long as itself.
        unsafe { self.value().as_ref() }
    }
}

impl<T, const G: usize> DerefMut for SharedBox<'_, T, G> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and we are borrowed alone.
        unsafe { self.value().as_mut() }
    }
}

impl<T: fmt::Debug, const G: usize> fmt::Debug for SharedBox<'_, T, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display, const G: usize> fmt::Display for SharedBox<'_, T, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

// SAFETY: who takes a slot owns it (Q1), and the pool does not move while borrowed.
unsafe impl<T, const G: usize> Blocks for SharedPool<T, G> {
    const LAYOUT: Layout = Layout::new::<Slot<T>>();

    #[inline]
    fn block(&self) -> Result<NonNull<u8>, AllocError> {
        let (_, slot) = self.groups.take().ok_or(AllocError)?;
        Ok(NonNull::from_ref(slot).cast())
    }

    #[inline]
    unsafe fn unblock(&self, block: NonNull<u8>) {
        self.give(block.cast());
    }
}

blocks!([T: Send, const G: usize] SharedPool<T, G>);

// SAFETY: the slots are inside of the pool, and blocks lie in slots.
unsafe impl<T, const G: usize> Owns for SharedPool<T, G> {
    /// O(1).
    #[inline]
    fn owns(&self, address: NonNull<u8>, _: Layout) -> bool {
        let from_start = address.addr().get().wrapping_sub(core::ptr::from_ref(self).addr());
        from_start < size_of::<Self>()
    }
}
