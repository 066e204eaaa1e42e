//! The map: from any address to what we know of it, exactly.
//!
//! ```text
//!   address  47        36 35            21 20        15 14          0
//!            +-----------+----------------+------------+------------+
//!            |  window   |     chunk      |   slice    |   offset   |
//!            +-----------+----------------+------------+------------+
//!                 |               |             |
//!   root[window] -+-> leaf: [ entries: u32 per slice | chunks: one pointer per chunk ]
//! ```
//!
//! A leaf covers 64 GiB of addresses and exists where we have memory. Every
//! other window leads to one leaf of zeros that nobody can write. So any
//! address at all, NULL and nonsense included, gives an answer without a
//! branch on what kind of address it is.
//!
//! An **entry** is `key << 8 | class` of the slice's owner: with one exclusive
//! or a heap learns whether a block is its own, and of which class. Entries
//! are hints for that one question. They say 0 where nobody's front list may
//! take the block, and whoever finds no match asks the records instead. At the
//! hardened levels an entry leads to the table of a span of slots, with a bit that
//! is in no heap's key (`harden/table.rs`).
//!
//! The root of a Rust program keeps each leaf *biased*: moved down by the entries of all windows
//! before it, so that the whole slice number indexes it and no mask is needed. That of the C library
//! (feature `c`) keeps it as it is, for its frees want multiples of 16 alone: with the address turned
//! left by 28 bits the window and the four lowest bits stand together in the low half, where one
//! comparison is for both, and the slice within its window at the top, where a shift finds it. A root
//! is 16 KiB, all of it written when the map opens, so a process has one of them.
//!
//! # Invariants
//!
//! * M1. `root[w]` is null, or the entries of window `w`'s leaf or of
//!   the leaf of zeros, biased where [`BIASED`] says so. After [`Map::open`] none is null.
//! * M2. A leaf, once there, stays.
//! * M3. The entry of a slice is written only by the exclusive holder of the
//!   slice or of the span on it, and is 0 when the slice is free.
//! * M4. A chunk pointer is null, or leads to a [`Record`] that is never unmapped.
#![allow(unsafe_code)]

use crate::os::{Advice, Kernel, Os};
use crate::sync::{AtomicPtr, AtomicU32, Ordering};
use crate::units::{ADDRESS_BITS, CHUNK_SHIFT, MIN_ALIGN, SLICE_SHIFT, WINDOW_SHIFT};
use core::ptr::{self, NonNull};

/// One more than there are: a bound that is no power of two is compared with the
/// window itself, which is needed anyway, instead of by a second shift.
const WINDOWS: usize = (1 << (ADDRESS_BITS - WINDOW_SHIFT)) + 1;
/// How far an address is turned to the left, so that its window is lowest.
const TURN: u32 = u64::BITS - WINDOW_SHIFT;
const _: () = assert!(usize::BITS != 64 || 1 << (32 - TURN) == MIN_ALIGN, "what lies between");
/// Whether the root keeps leaves moved down, for frees of any address (Rust), or as they are, for
/// those of multiples of 16 (C).
const BIASED: bool = !cfg!(feature = "c");
const ENTRIES: usize = 1 << (WINDOW_SHIFT - SLICE_SHIFT);
const CHUNKS: usize = 1 << (WINDOW_SHIFT - CHUNK_SHIFT);
/// Whole pages of the largest kind there is: 64 KiB.
const LEAF_BYTES: usize =
    (ENTRIES * size_of::<u32>() + CHUNKS * size_of::<usize>()).next_multiple_of(64 << 10);

/// The first bytes of whatever a chunk pointer leads to: which kind it is.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
}

/// What stands at a chunk's place.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sixty-four slices of spans and large objects.
    Chunk = 1,
    /// The start of one huge object.
    Huge = 2,
    /// Addresses of zero-size objects.
    Nothing = 3,
    /// Objects on pages of their own.
    Guarded = 4,
}

/// The map. One for each allocator.
#[derive(Debug)]
pub(crate) struct Map {
    root: [AtomicPtr<AtomicU32>; WINDOWS],
    zeros: AtomicPtr<AtomicU32>,
}

/// What NULL and its neighbours lead to before the map is open.
static NOTHING: AtomicU32 = AtomicU32::new(0);

impl Map {
    pub(crate) const fn new() -> Self {
        let root = [const { AtomicPtr::new(ptr::null_mut()) }; WINDOWS];
        Self { root, zeros: AtomicPtr::new(ptr::null_mut()) }
    }

    /// A map in which NULL can be looked up before it is open: `free(NULL)` is
    /// the first thing that some programs do.
    pub(crate) const fn for_process() -> Self {
        let mut map = Self::new();
        map.root[0] = AtomicPtr::new((&raw const NOTHING).cast_mut());
        map
    }

    /// Gives every window its leaf of zeros. False when the system refuses.
    /// Called once, before any entry is set.
    pub(crate) fn open<O: Os>(&self, kernel: &Kernel<O>) -> bool {
        let Some(zeros) = kernel.seal(LEAF_BYTES) else { return false };
        let zeros = zeros.as_ptr().cast();
        // ORDERING: Relaxed, the caller publishes the open map with a Release.
        self.zeros.store(zeros, Ordering::Relaxed);
        for (window, slot) in self.root.iter().enumerate() {
            // ORDERING: Relaxed, as above.
            slot.store(bias(zeros, window), Ordering::Relaxed);
        }
        true
    }

    /// A mapping of our own, near which others will be.
    pub(crate) fn landmark(&self) -> *mut u8 {
        // ORDERING: Relaxed, nothing is read through it.
        self.zeros.load(Ordering::Relaxed).cast()
    }

    /// Unmaps every leaf.
    ///
    /// # Safety
    ///
    /// Nobody will look anything up again.
    pub(crate) unsafe fn close<O: Os>(&self, kernel: &Kernel<O>) {
        // ORDERING: Relaxed, nobody else is there any more.
        let zeros = self.zeros.swap(ptr::null_mut(), Ordering::Relaxed);
        for (window, slot) in self.root.iter().enumerate() {
            // ORDERING: Relaxed, as above.
            let leaf = unbias(slot.swap(ptr::null_mut(), Ordering::Relaxed), window);
            if let (true, Some(base)) = (leaf != zeros, NonNull::new(leaf.cast())) {
                // SAFETY: a leaf of our own, which nobody reads any more.
                unsafe { kernel.release(base, LEAF_BYTES) };
            }
        }
        if let Some(zeros) = NonNull::new(zeros.cast()) {
            // SAFETY: as above.
            unsafe { kernel.release(zeros, LEAF_BYTES) };
        }
    }

    /// Makes sure that the windows of a range have leaves of their own.
    pub(crate) fn cover<O: Os>(&self, kernel: &Kernel<O>, base: usize, len: usize) -> bool {
        let last = (base + (len - 1)).checked_shr(WINDOW_SHIFT).unwrap_or(0);
        let first = base.checked_shr(WINDOW_SHIFT).unwrap_or(0);
        (first..=last).all(|window| self.add_leaf(kernel, window))
    }

    fn add_leaf<O: Os>(&self, kernel: &Kernel<O>, window: usize) -> bool {
        let Some(slot) = self.root.get(window) else { return false };
        // ORDERING: Relaxed, set once by `open`, which the caller is behind of.
        let none = bias(self.zeros.load(Ordering::Relaxed), window);
        // ORDERING: Acquire pairs with the Release below: the leaf's memory is mapped.
        if slot.load(Ordering::Acquire) != none {
            return true;
        }
        let Some(base) = kernel.reserve(LEAF_BYTES, 0) else { return false };
        // SAFETY: the range was just reserved and is ours.
        let committed = unsafe { kernel.commit(base, LEAF_BYTES) };
        if !committed {
            // SAFETY: nobody knows of this range.
            unsafe { kernel.release(base, LEAF_BYTES) };
            return false;
        }
        // SAFETY: the range is ours.
        unsafe { kernel.advise(base, LEAF_BYTES, Advice::SmallPages) };
        let fresh = bias(base.as_ptr().cast(), window);
        // ORDERING: Release pairs with the Acquire above and with whatever carries
        // a block's address to another thread; Acquire for the leaf of whoever was first.
        let swap = slot.compare_exchange(none, fresh, Ordering::AcqRel, Ordering::Acquire);
        if swap.is_err() {
            // SAFETY: nobody knows of this range: another has the window.
            unsafe { kernel.release(base, LEAF_BYTES) };
        }
        true
    }

    /// The entry for `address`; `None` past the last window, 0 for what is not ours.
    #[inline(always)]
    pub(crate) fn entry(&self, address: usize) -> Option<u32> {
        let window = address.checked_shr(WINDOW_SHIFT).unwrap_or(0);
        if crate::block::CHECKED && window >= WINDOWS {
            return None;
        }
        // SAFETY: `window` is below WINDOWS: checked, or (in the unchecked twin) a
        // promise of `free`'s caller, whose pointer came from us.
        let slot = unsafe { self.root.get_unchecked(window) };
        // ORDERING: Relaxed, the entry of a live block was set before its address
        // reached us, by whatever brought it here; for any other address each value
        // that was ever stored leads to a readable leaf (M1, M2).
        let leaf = slot.load(Ordering::Relaxed);
        // SAFETY: by M1 this is the address's entry in a mapped leaf.
        let entry = unsafe { &*place(leaf, address) };
        // ORDERING: Relaxed, an entry is a hint (M3); the records decide.
        Some(entry.load(Ordering::Relaxed))
    }

    /// As [`Map::entry`], for a multiple of [`MIN_ALIGN`]; `None` for any other address.
    #[inline(always)]
    pub(crate) fn entry_aligned(&self, address: usize) -> Option<u32> {
        if BIASED || usize::BITS != 64 {
            let is_aligned = !crate::block::CHECKED || address.is_multiple_of(MIN_ALIGN);
            return if is_aligned { self.entry(address) } else { None };
        }
        let turned = (address as u64).rotate_left(TURN);
        // The window; above it what of the address is below MIN_ALIGN.
        let window = turned as u32 as usize;
        if crate::block::CHECKED && window >= WINDOWS {
            return None;
        }
        // SAFETY: `window` is below WINDOWS: checked, or a promise as in `entry`.
        let slot = unsafe { self.root.get_unchecked(window) };
        // ORDERING: Relaxed, as in `entry`.
        let leaf = slot.load(Ordering::Relaxed);
        let place = leaf.wrapping_add((turned >> (TURN + SLICE_SHIFT)) as usize);
        // SAFETY: by M1 `place` is the address's entry in a mapped leaf.
        let entry = unsafe { &*place };
        // ORDERING: Relaxed, an entry is a hint (M3); the records decide.
        Some(entry.load(Ordering::Relaxed))
    }

    /// Sets the entries of `count` slices from `base` on.
    ///
    /// # Safety
    ///
    /// The slices are the caller's (M3), in a range that is covered.
    pub(crate) unsafe fn set_entries(&self, base: usize, count: usize, entry: u32) {
        let Some(leaf) = self.leaf(base) else { return };
        let first = place(leaf, base);
        for i in 0..count {
            // SAFETY: the slices are covered, and a chunk never straddles two windows.
            let place = unsafe { &*first.wrapping_add(i) };
            // ORDERING: Relaxed, see `entry`.
            place.store(entry, Ordering::Relaxed);
        }
    }

    /// The record for the chunk that `address` lies in.
    #[inline(always)]
    pub(crate) fn record(&self, address: usize) -> Option<NonNull<Record>> {
        // Before `open` nothing is anywhere; window 0 then leads to one lone entry.
        // ORDERING: Relaxed, only compared with null.
        if self.zeros.load(Ordering::Relaxed).is_null() {
            return None;
        }
        let window = address.checked_shr(WINDOW_SHIFT).unwrap_or(0);
        // ORDERING: Acquire pairs with the Release in `add_leaf`.
        let leaf = unbias(self.root.get(window)?.load(Ordering::Acquire), window);
        let chunk = (address >> CHUNK_SHIFT) & (CHUNKS - 1);
        let slots = leaf.wrapping_add(ENTRIES).cast::<AtomicPtr<Record>>();
        // SAFETY: the map is open, so this is a leaf (M1); the chunk table follows the
        // entries in the same mapping, and `chunk` is below its length.
        let slot = unsafe { &*slots.wrapping_add(chunk) };
        // ORDERING: Acquire pairs with the Release in `set_record`: the record's
        // fields are set up when its address is seen.
        NonNull::new(slot.load(Ordering::Acquire))
    }

    /// Sets or clears the record of the chunk at `base`. False when the window
    /// has no leaf of its own.
    pub(crate) fn set_record(&self, base: usize, record: *mut Record) -> bool {
        let window = base.checked_shr(WINDOW_SHIFT).unwrap_or(0);
        let Some(slot) = self.root.get(window) else { return false };
        // ORDERING: Relaxed, an address compared with an address.
        let zeros = self.zeros.load(Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        if slot.load(Ordering::Relaxed) == bias(zeros, window) {
            return false;
        }
        let Some(leaf) = self.leaf(base) else { return false };
        let chunk = (base >> CHUNK_SHIFT) & (CHUNKS - 1);
        let slots = unbias(leaf, window).wrapping_add(ENTRIES).cast::<AtomicPtr<Record>>();
        // SAFETY: as in `record`.
        let slot = unsafe { &*slots.wrapping_add(chunk) };
        // ORDERING: Release pairs with the Acquire in `record`.
        slot.store(record, Ordering::Release);
        true
    }

    /// What the root has for the address's window, `None` outside the map.
    fn leaf(&self, address: usize) -> Option<*mut AtomicU32> {
        let window = address.checked_shr(WINDOW_SHIFT).unwrap_or(0);
        // ORDERING: Acquire pairs with the Release in `add_leaf`.
        let leaf = self.root.get(window)?.load(Ordering::Acquire);
        // As in `record`.
        // ORDERING: Relaxed, only compared with null.
        if leaf.is_null() || self.zeros.load(Ordering::Relaxed).is_null() {
            return None;
        }
        Some(leaf)
    }
}

/// A leaf as the root keeps it.
fn bias(leaf: *mut AtomicU32, window: usize) -> *mut AtomicU32 {
    if BIASED { leaf.wrapping_sub(window * ENTRIES) } else { leaf }
}

/// The leaf that the root keeps so.
fn unbias(leaf: *mut AtomicU32, window: usize) -> *mut AtomicU32 {
    if BIASED { leaf.wrapping_add(window * ENTRIES) } else { leaf }
}

/// The address's entry in what the root keeps for its window.
#[inline(always)]
fn place(leaf: *mut AtomicU32, address: usize) -> *mut AtomicU32 {
    let slice = address >> SLICE_SHIFT;
    leaf.wrapping_add(if BIASED { slice } else { slice & (ENTRIES - 1) })
}

const _: () = assert!(size_of::<AtomicPtr<Record>>() == size_of::<usize>(), "the leaf's size counts on it");

#[cfg(test)]
mod tests;
