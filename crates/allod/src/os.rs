//! The operating system, as the house sees it: a handful of verbs.
//!
//! | verb | after it, the range is | Linux |
//! |---|---|---|
//! | reserve | ours, inaccessible | `mmap(PROT_NONE)` |
//! | commit | readable and writable | `mprotect` |
//! | decommit | inaccessible again, still ours | `mprotect(PROT_NONE)` |
//! | purge | accessible, contents gone, memory given back | `madvise(MADV_DONTNEED)` |
//! | release | gone | `munmap` |
//! | remap | somewhere else, contents kept, perhaps longer | `mremap` |
//!
//! and *seal* (readable zeros), *advise*, *resident*, *page size*, two clocks, *entropy*.
//!
//! [`Os`] is the one seam of the house. Every room above carries it as a type
//! parameter, so that each is tested over [`fake::Fake`] with no process around
//! it, with other page sizes, and with the k-th call failing. [`Kernel`] is
//! what the rooms hold: the system and a count of the calls made to it.
//!
//! # What every implementation keeps
//!
//! * O1. A range that `reserve` gave overlaps nothing else until it is released.
//! * O2. Memory committed for the first time, or purged, reads as zeros.
//! * O3. A call that fails changes nothing, and leaves `errno` as it was.
//! * O4. No call allocates, locks, or panics.
#![allow(unsafe_code)]

use crate::sync::{AtomicBool, AtomicUsize, Ordering};
use core::ptr::NonNull;

#[cfg(any(test, fuzzing))]
pub(crate) mod fake;
pub(crate) mod linux;

/// What the system may be told about a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Back it with huge pages where it can.
    HugePages,
    /// Back it with small pages only.
    SmallPages,
    /// Leave it out of core dumps.
    NoDump,
}

/// An operating system. Ranges are given by base and length in bytes, both
/// multiples of the page size.
///
/// # Safety
///
/// An implementation keeps O1 to O4: the rooms above turn the ranges it gives
/// into memory that is handed to programs.
pub(crate) unsafe trait Os: Sync {
    /// Bytes of a page.
    fn page_size(&self) -> usize;

    /// Reserves `len` bytes, near `hint` if that is not 0 and is free.
    fn reserve(&self, len: usize, hint: usize) -> Option<NonNull<u8>>;

    /// Maps `len` bytes that read as zeros and cannot be written.
    fn seal(&self, len: usize) -> Option<NonNull<u8>>;

    /// Makes a reserved range readable and writable.
    ///
    /// # Safety
    ///
    /// The range is reserved and ours.
    unsafe fn commit(&self, base: NonNull<u8>, len: usize) -> bool;

    /// Makes a committed range inaccessible. What it holds may be lost, or not.
    ///
    /// # Safety
    ///
    /// The range is committed and ours, and nobody needs what it holds.
    unsafe fn decommit(&self, base: NonNull<u8>, len: usize) -> bool;

    /// Gives the memory of a committed range back; it reads as zeros afterwards.
    ///
    /// # Safety
    ///
    /// The range is committed and ours, and nobody needs what it holds.
    unsafe fn purge(&self, base: NonNull<u8>, len: usize) -> bool;

    /// Gives the range itself back.
    ///
    /// # Safety
    ///
    /// The range is ours and nobody will touch it again.
    unsafe fn release(&self, base: NonNull<u8>, len: usize) -> bool;

    /// Moves `old_len` committed bytes at `old` to the reserved range at `new`,
    /// where they become `new_len` committed bytes. The old range is released.
    ///
    /// # Safety
    ///
    /// `old` is one committed range and ours; `new` is reserved and ours for
    /// `new_len` bytes; the two don't overlap.
    unsafe fn remap(&self, old: NonNull<u8>, old_len: usize, new: NonNull<u8>, new_len: usize)
    -> bool;

    /// Tells the system about a range. Failure changes nothing that matters.
    ///
    /// # Safety
    ///
    /// The range is ours.
    unsafe fn advise(&self, base: NonNull<u8>, len: usize, advice: Advice) -> bool;

    /// Bytes of the range that have memory behind them.
    ///
    /// # Safety
    ///
    /// The range is ours.
    unsafe fn resident(&self, base: NonNull<u8>, len: usize) -> usize;

    /// Milliseconds on a clock that never goes back and costs no system call.
    fn clock(&self) -> u64;

    /// Nanoseconds on a precise clock.
    fn nanoseconds(&self) -> u64;

    /// Sixteen bytes that an attacker cannot guess.
    fn entropy(&self) -> [u64; 2];
}

/// The system, and a count of what it was asked to do.
#[derive(Debug)]
pub(crate) struct Kernel<O> {
    os: O,
    page_size: AtomicUsize,
    calls: AtomicUsize,
    nanoseconds: AtomicUsize,
    purged: AtomicUsize,
    mapped: AtomicUsize,
    timed: AtomicBool,
}

impl<O: Os> Kernel<O> {
    /// The system `os`, not yet asked for anything.
    pub(crate) const fn new(os: O) -> Self {
        Self {
            os,
            page_size: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            nanoseconds: AtomicUsize::new(0),
            purged: AtomicUsize::new(0),
            mapped: AtomicUsize::new(0),
            timed: AtomicBool::new(false),
        }
    }

    /// Turns on the measuring of time spent in the system.
    pub(crate) fn time_calls(&self) {
        // ORDERING: Relaxed, a flag that guards no data.
        self.timed.store(true, Ordering::Relaxed);
    }

    /// Bytes of a page, asked for once.
    #[inline]
    pub(crate) fn page_size(&self) -> usize {
        // ORDERING: Relaxed, every thread would store the same number.
        match self.page_size.load(Ordering::Relaxed) {
            0 => {
                let size = self.os.page_size();
                // ORDERING: Relaxed, as above.
                self.page_size.store(size, Ordering::Relaxed);
                size
            }
            size => size,
        }
    }

    /// Bytes of a huge page: a page full of eight-byte entries for pages.
    pub(crate) fn huge_page_size(&self) -> usize {
        let page = self.page_size();
        page.saturating_mul(page / 8)
    }

    /// Calls made so far.
    pub(crate) fn calls(&self) -> usize {
        // ORDERING: Relaxed, a figure.
        self.calls.load(Ordering::Relaxed)
    }

    /// Nanoseconds spent in them, once [`Kernel::time_calls`] was asked for.
    pub(crate) fn time(&self) -> usize {
        // ORDERING: Relaxed, a figure.
        self.nanoseconds.load(Ordering::Relaxed)
    }

    /// Bytes given back by `purge` and `release`.
    pub(crate) fn purged(&self) -> usize {
        // ORDERING: Relaxed, a figure.
        self.purged.load(Ordering::Relaxed)
    }

    /// Bytes of address space that are ours now.
    pub(crate) fn mapped(&self) -> usize {
        // ORDERING: Relaxed, a figure.
        self.mapped.load(Ordering::Relaxed)
    }

    /// The clock of [`Os::clock`].
    #[inline]
    pub(crate) fn clock(&self) -> u64 {
        self.os.clock()
    }

    /// The clock of [`Os::nanoseconds`].
    pub(crate) fn nanoseconds(&self) -> u64 {
        self.os.nanoseconds()
    }

    /// The secret of [`Os::entropy`].
    pub(crate) fn entropy(&self) -> [u64; 2] {
        self.os.entropy()
    }

    /// See [`Os::reserve`].
    pub(crate) fn reserve(&self, len: usize, hint: usize) -> Option<NonNull<u8>> {
        let base = self.count(|os| os.reserve(len, hint))?;
        // ORDERING: Relaxed, a figure.
        self.mapped.fetch_add(len, Ordering::Relaxed);
        Some(base)
    }

    /// Reserves `len` bytes at a multiple of `align`, a power of two.
    pub(crate) fn reserve_aligned(&self, len: usize, align: usize, hint: usize) -> Option<NonNull<u8>> {
        let base = self.reserve(len, hint)?;
        if base.addr().get() & (align - 1) == 0 {
            return Some(base);
        }
        // SAFETY: the range was just reserved and nobody knows of it yet.
        unsafe { self.release(base, len) };
        let wide = len.checked_add(align - self.page_size())?;
        let base = self.reserve(wide, 0)?;
        let head = base.addr().get().wrapping_neg() & (align - 1);
        let tail = wide - head - len;
        // SAFETY: `head` is below `align`, so `head + len` is within `wide`.
        let start = unsafe { base.add(head) };
        if head != 0 {
            // SAFETY: the part below `start` was just reserved and is unknown to all.
            unsafe { self.release(base, head) };
        }
        if tail != 0 {
            // SAFETY: `start + len` is within the reservation, see above.
            let end = unsafe { start.add(len) };
            // SAFETY: the part above `end` was just reserved and is unknown to all.
            unsafe { self.release(end, tail) };
        }
        Some(start)
    }

    /// See [`Os::seal`].
    pub(crate) fn seal(&self, len: usize) -> Option<NonNull<u8>> {
        let base = self.count(|os| os.seal(len))?;
        // ORDERING: Relaxed, a figure.
        self.mapped.fetch_add(len, Ordering::Relaxed);
        Some(base)
    }

    /// See [`Os::commit`].
    ///
    /// # Safety
    ///
    /// As for [`Os::commit`].
    pub(crate) unsafe fn commit(&self, base: NonNull<u8>, len: usize) -> bool {
        // SAFETY: the caller's promise is the same.
        self.count(|os| unsafe { os.commit(base, len) })
    }

    /// See [`Os::decommit`].
    ///
    /// # Safety
    ///
    /// As for [`Os::decommit`].
    pub(crate) unsafe fn decommit(&self, base: NonNull<u8>, len: usize) -> bool {
        // SAFETY: the caller's promise is the same.
        self.count(|os| unsafe { os.decommit(base, len) })
    }

    /// See [`Os::purge`].
    ///
    /// # Safety
    ///
    /// As for [`Os::purge`].
    pub(crate) unsafe fn purge(&self, base: NonNull<u8>, len: usize) -> bool {
        // ORDERING: Relaxed, a figure.
        self.purged.fetch_add(len, Ordering::Relaxed);
        // SAFETY: the caller's promise is the same.
        self.count(|os| unsafe { os.purge(base, len) })
    }

    /// See [`Os::release`].
    ///
    /// # Safety
    ///
    /// As for [`Os::release`].
    pub(crate) unsafe fn release(&self, base: NonNull<u8>, len: usize) -> bool {
        // SAFETY: the caller's promise is the same.
        let done = self.count(|os| unsafe { os.release(base, len) });
        if done {
            // ORDERING: Relaxed, a figure.
            self.mapped.fetch_sub(len, Ordering::Relaxed);
        }
        done
    }

    /// See [`Os::remap`].
    ///
    /// # Safety
    ///
    /// As for [`Os::remap`].
    pub(crate) unsafe fn remap(
        &self,
        old: NonNull<u8>,
        old_len: usize,
        new: NonNull<u8>,
        new_len: usize,
    ) -> bool {
        // SAFETY: the caller's promise is the same.
        let done = self.count(|os| unsafe { os.remap(old, old_len, new, new_len) });
        if done {
            // ORDERING: Relaxed, a figure.
            self.mapped.fetch_sub(old_len, Ordering::Relaxed);
        }
        done
    }

    /// See [`Os::advise`].
    ///
    /// # Safety
    ///
    /// As for [`Os::advise`].
    pub(crate) unsafe fn advise(&self, base: NonNull<u8>, len: usize, advice: Advice) -> bool {
        // SAFETY: the caller's promise is the same.
        self.count(|os| unsafe { os.advise(base, len, advice) })
    }

    /// See [`Os::resident`].
    ///
    /// # Safety
    ///
    /// As for [`Os::resident`].
    pub(crate) unsafe fn resident(&self, base: NonNull<u8>, len: usize) -> usize {
        // SAFETY: the caller's promise is the same.
        unsafe { self.os.resident(base, len) }
    }

    /// Memory for records: committed, small pages, not dumped, with an
    /// inaccessible page on either side. Never given back.
    pub(crate) fn map_guarded(&self, len: usize) -> Option<NonNull<u8>> {
        let page = self.page_size();
        let len = crate::units::round_up(len, page)?;
        let whole = len.checked_add(2 * page)?;
        let base = self.reserve(whole, 0)?;
        // SAFETY: one page into a reservation of at least three.
        let inner = unsafe { base.add(page) };
        // SAFETY: the range was just reserved and is ours.
        if !unsafe { self.commit(inner, len) } {
            // SAFETY: nobody knows of the reservation yet.
            unsafe { self.release(base, whole) };
            return None;
        }
        // Between its inaccessible neighbours a short range has no room for a huge page.
        if len >= self.huge_page_size() {
            // SAFETY: the range is ours. Only hosts that make every page huge need
            // this; there a record would otherwise cost 2 MiB.
            unsafe { self.advise(inner, len, Advice::SmallPages) };
        }
        Some(inner)
    }

    /// Gives back what [`Kernel::map_guarded`] gave for `len` bytes.
    ///
    /// # Safety
    ///
    /// Nobody will touch the memory again.
    pub(crate) unsafe fn unmap_guarded(&self, inner: NonNull<u8>, len: usize) {
        let page = self.page_size();
        let Some(len) = crate::units::round_up(len, page) else { return };
        // SAFETY: an inaccessible page of ours stands before.
        let base = unsafe { inner.sub(page) };
        // SAFETY: the mapping and its guards are ours.
        unsafe { self.release(base, len + 2 * page) };
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn os(&self) -> &O {
        &self.os
    }

    #[inline]
    fn count<R>(&self, call: impl FnOnce(&O) -> R) -> R {
        // ORDERING: Relaxed, a figure.
        self.calls.fetch_add(1, Ordering::Relaxed);
        // ORDERING: Relaxed, a flag that guards no data.
        if !self.timed.load(Ordering::Relaxed) {
            return call(&self.os);
        }
        let start = self.os.nanoseconds();
        let result = call(&self.os);
        let spent = self.os.nanoseconds().saturating_sub(start);
        // ORDERING: Relaxed, a figure.
        self.nanoseconds.fetch_add(spent as usize, Ordering::Relaxed);
        result
    }
}
