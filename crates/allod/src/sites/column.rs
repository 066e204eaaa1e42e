//! Memory that a table grows into.
//!
//! A column is an array. At first it is a few rows among those of the others
//! ([`Column::place_open`]). Later its whole length is reserved, its first part is
//! committed, and what has never been written to has no memory behind it. It moves
//! at that one time ([`Column::copy_to`], then [`Column::switch`]), and who has read
//! its address before finds the rows of before there.
//!
//! # Invariants
//!
//! * C1. The first `open` elements are committed, zeroed until they are written,
//!   and of a type for which zeros are a value.
//! * C2. Elements are written under the tables' lock alone.
#![allow(unsafe_code)]

use super::index::Link;
use super::{Sample, Stack};
use crate::dump::{Header, Moment, Site};
use crate::os::{Kernel, Os};
use crate::sync::{AtomicPtr, AtomicUsize, Ordering};
use core::ptr::{self, NonNull};

/// What is committed at a time, at least.
pub(super) const STEP: usize = 64 << 10;

/// A type for which a row of zeros is a value, and any row of its bits that a
/// reader without the lock may see.
///
/// # Safety
///
/// It is made of integers.
pub(super) unsafe trait Plain: Copy {}

// SAFETY: integers.
unsafe impl Plain for u8 {}
// SAFETY: integers.
unsafe impl Plain for u32 {}
// SAFETY: integers.
unsafe impl Plain for u64 {}
// SAFETY: integers.
unsafe impl Plain for Link {}
// SAFETY: integers.
unsafe impl Plain for Site {}
// SAFETY: integers.
unsafe impl Plain for Moment {}
// SAFETY: integers.
unsafe impl Plain for Header {}
// SAFETY: integers.
unsafe impl Plain for Sample {}
// SAFETY: integers.
unsafe impl Plain for Stack {}

/// An array.
#[derive(Debug)]
pub(super) struct Column<T> {
    base: AtomicPtr<T>,
    room: AtomicUsize,
    open: AtomicUsize,
}

impl<T: Plain> Column<T> {
    pub(super) const fn new() -> Self {
        Self {
            base: AtomicPtr::new(ptr::null_mut()),
            room: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
        }
    }

    /// Bytes that a column of `room` elements takes of the reservation.
    pub(super) const fn bytes(room: usize) -> usize {
        (room * size_of::<T>()).next_multiple_of(STEP)
    }

    /// Gives the column its first place: committed memory of zeros for `room` elements.
    pub(super) fn place_open(&self, base: NonNull<u8>, room: usize) {
        self.put(base, room, room);
    }

    fn put(&self, base: NonNull<u8>, room: usize, open: usize) {
        // ORDERING: Relaxed, under the lock; published with the tables, or with `open`.
        self.base.store(base.as_ptr().cast(), Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.room.store(room, Ordering::Relaxed);
        // ORDERING: Release pairs with the Acquire in `at`: who finds the larger number
        // finds the place that has it.
        self.open.store(open, Ordering::Release);
    }

    /// Elements that are committed when `len` must be.
    fn committed_for(len: usize, room: usize) -> usize {
        (Self::bytes(len) / size_of::<T>()).min(room)
    }

    /// Elements that go along when `used` must: where the column was smaller than a step,
    /// who has read how many there are may look at any of these.
    const fn along(used: usize, room: usize) -> usize {
        if used == 0 && room > 0 { 1 } else { used }
    }

    /// Copies the first `used` elements to `base`: reserved memory for `room` elements,
    /// a [`Column::bytes`] of them. False when there is no memory. The lock is held.
    pub(super) fn copy_to<O: Os>(
        &self,
        kernel: &Kernel<O>,
        base: NonNull<u8>,
        room: usize,
        used: usize,
    ) -> bool {
        let len = Self::bytes(Self::along(used, room));
        // SAFETY: the part is reserved and ours.
        if used > room || len > 0 && !unsafe { kernel.commit(base, len) } {
            return false;
        }
        let to = base.cast::<T>();
        (0..used).all(|i| {
            let Some(value) = self.get(i) else { return false };
            // SAFETY: `i` is below `used`, which is committed there.
            let at = unsafe { to.add(i) };
            // SAFETY: nobody else knows of the place yet.
            unsafe { at.write(value) };
            true
        })
    }

    /// Makes `base`, where [`Column::copy_to`] has copied `used` elements, the column's
    /// place.
    pub(super) fn switch(&self, base: NonNull<u8>, room: usize, used: usize) {
        self.put(base, room, Self::committed_for(Self::along(used, room), room));
    }

    /// Where the first element is.
    pub(super) fn address(&self) -> usize {
        // ORDERING: Relaxed, as in `put`.
        self.base.load(Ordering::Relaxed).addr()
    }

    /// Bytes that are committed.
    pub(super) fn committed(&self) -> usize {
        // ORDERING: Relaxed, a figure.
        (self.open.load(Ordering::Relaxed) * size_of::<T>()).next_multiple_of(STEP)
    }

    /// Elements that there can be.
    pub(super) fn room(&self) -> usize {
        // ORDERING: Relaxed, as in `put`.
        self.room.load(Ordering::Relaxed)
    }

    /// Sees to it that the first `len` elements can be used. The lock is held.
    pub(super) fn ensure<O: Os>(&self, kernel: &Kernel<O>, len: usize) -> bool {
        // ORDERING: Relaxed, written under the lock.
        let open = self.open.load(Ordering::Relaxed);
        if len <= open {
            return true;
        }
        if len > self.room() {
            return false;
        }
        let (had, wants) =
            ((open * size_of::<T>()).next_multiple_of(STEP), Self::bytes(len));
        // ORDERING: Relaxed, as in `put`.
        let Some(base) = NonNull::new(self.base.load(Ordering::Relaxed)) else { return false };
        // SAFETY: `had` is within the column's part of the reservation.
        let from = unsafe { base.cast::<u8>().add(had) };
        // SAFETY: the part is reserved and ours (`bytes` of the room).
        if wants > had && !unsafe { kernel.commit(from, wants - had) } {
            return false;
        }
        // ORDERING: Release pairs with the Acquire in `at`: what is open is committed.
        self.open.store(Self::committed_for(len, self.room()), Ordering::Release);
        true
    }

    /// Element `i`, if there is one.
    fn at(&self, i: usize) -> Option<NonNull<T>> {
        // ORDERING: Acquire pairs with the Release in `ensure`.
        if i >= self.open.load(Ordering::Acquire) {
            return None;
        }
        // ORDERING: Relaxed, behind the Acquire: the place that has so many, or a later one,
        // which has more.
        let base = NonNull::new(self.base.load(Ordering::Relaxed))?;
        // SAFETY: `i` is below `open`, so it is within the column (C1).
        Some(unsafe { base.add(i) })
    }

    /// Element `i` as it is. A reader without the lock may find it half written.
    pub(super) fn get(&self, i: usize) -> Option<T> {
        // SAFETY: committed, and any bits are a value (C1).
        self.at(i).map(|at| unsafe { at.read_volatile() })
    }

    /// Changes element `i`. The lock is held.
    pub(super) fn change<R>(&self, i: usize, how: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut at = self.at(i)?;
        // SAFETY: committed (C1), and nobody else changes it (C2).
        Some(how(unsafe { at.as_mut() }))
    }

    /// Writes element `i`. The lock is held.
    pub(super) fn set(&self, i: usize, value: T) {
        if let Some(at) = self.at(i) {
            // SAFETY: as in `change`.
            unsafe { at.write_volatile(value) };
        }
    }
}
