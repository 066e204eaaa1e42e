//! Permanent memory for our own records, away from the program's.
//!
//! Records (heaps, regions, chunks, huge objects) live in mappings that hold
//! nothing else, with an inaccessible page on either side, so that no overflow
//! of a program's block can reach one. They are never unmapped: whoever holds a
//! stale pointer to a record reads an old record, and does not fault.
//!
//! Taking memory is moving a mark forward under a lock. A record that is not
//! needed any more is kept by its own room and used again there.
//!
//! # Invariants
//!
//! * T1. What [`Meta::take`] gives is zeroed, aligned as asked, and given once.
#![allow(unsafe_code)]

use crate::os::{Advice, Kernel, Os};
use crate::sync::{AtomicPtr, Gauge, Lock, Ordering, Rank};
use crate::units::round_up;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// One mapping's worth of small records.
const PLOT: usize = 256 << 10;

/// What stands at the start of each mapping: the one made before it.
#[repr(C, align(64))]
#[derive(Debug)]
struct Deed {
    older: *mut Deed,
    len: usize,
}

/// The store of records.
#[derive(Debug)]
pub(crate) struct Meta {
    lock: Lock,
    /// Start and length of what is left of the current plot. Under the lock.
    rest: Cell<*mut u8>,
    rest_len: Cell<usize>,
    taken: Gauge,
    newest: AtomicPtr<Deed>,
}

// SAFETY: the cells are touched under the lock alone.
unsafe impl Sync for Meta {}

impl Meta {
    pub(crate) const fn new() -> Self {
        Self {
            lock: Lock::new(Rank::Meta),
            rest: Cell::new(ptr::null_mut()),
            rest_len: Cell::new(0),
            taken: Gauge::new(),
            newest: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Bytes given out.
    pub(crate) fn bytes(&self) -> usize {
        self.taken.get()
    }

    /// The lock, for `fork`.
    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// `size` zeroed bytes at a multiple of `align`, a power of two up to a page.
    pub(crate) fn take<O: Os>(&self, kernel: &Kernel<O>, size: usize, align: usize) -> Option<NonNull<u8>> {
        let place = self.find(kernel, size, align)?;
        self.taken.add(size);
        Some(place)
    }

    /// The same for records that are counted when they come into use, one by one: they
    /// share a plot with others where there is room for all of them.
    pub(crate) fn take_uncounted<O: Os>(
        &self,
        kernel: &Kernel<O>,
        size: usize,
        align: usize,
    ) -> Option<NonNull<u8>> {
        self.find(kernel, size, align)
    }

    fn find<O: Os>(&self, kernel: &Kernel<O>, size: usize, align: usize) -> Option<NonNull<u8>> {
        let Some(_guard) = self.lock.lock() else {
            // A signal handler above a holder: a mapping of its own.
            return self.map(kernel, size);
        };
        let pad = self.rest.get().addr().wrapping_neg() & (align - 1);
        let need = size.checked_add(pad)?;
        if self.rest.get().is_null() || self.rest_len.get() < need {
            if size > PLOT / 4 {
                return self.map(kernel, size);
            }
            let plot = self.map(kernel, PLOT)?;
            self.rest.set(plot.as_ptr());
            self.rest_len.set(PLOT);
            let pad = plot.addr().get().wrapping_neg() & (align - 1);
            return self.cut(size, pad);
        }
        self.cut(size, pad)
    }

    /// A mapping for `len` bytes of records, at a multiple of 64.
    pub(crate) fn map<O: Os>(&self, kernel: &Kernel<O>, len: usize) -> Option<NonNull<u8>> {
        let len = len.checked_add(size_of::<Deed>())?;
        let base = kernel.map_guarded(len)?;
        let whole = round_up(len, kernel.page_size())?;
        // SAFETY: the mapping was just made and is ours. Failure leaves a larger core file.
        unsafe { kernel.advise(base, whole, Advice::NoDump) };
        let deed = base.cast::<Deed>();
        // ORDERING: Relaxed, only linked to; the exchange publishes.
        let mut older = self.newest.load(Ordering::Relaxed);
        loop {
            // SAFETY: the mapping is fresh and has room for its deed.
            unsafe { deed.write(Deed { older, len }) };
            let new = deed.as_ptr();
            // ORDERING: Release pairs with the Acquire in `close`.
            match self.newest.compare_exchange_weak(older, new, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => break,
                Err(seen) => older = seen,
            }
        }
        // SAFETY: the deed is within the mapping.
        Some(unsafe { base.add(size_of::<Deed>()) })
    }

    /// Unmaps every record there is.
    ///
    /// # Safety
    ///
    /// Nobody will look at a record again.
    pub(crate) unsafe fn close<O: Os>(&self, kernel: &Kernel<O>) {
        // ORDERING: Acquire pairs with the Release in `map`.
        let mut at = self.newest.swap(ptr::null_mut(), Ordering::Acquire);
        self.rest.set(ptr::null_mut());
        self.rest_len.set(0);
        while let Some(deed) = NonNull::new(at) {
            // SAFETY: a deed stands at the start of a mapping of ours.
            let Deed { older, len } = unsafe { deed.read() };
            at = older;
            // SAFETY: the mapping was made by `map_guarded` with this length.
            unsafe { kernel.unmap_guarded(deed.cast(), len) };
        }
    }

    fn cut(&self, size: usize, pad: usize) -> Option<NonNull<u8>> {
        let at = self.rest.get().wrapping_add(pad);
        self.rest.set(at.wrapping_add(size));
        self.rest_len.set(self.rest_len.get() - pad - size);
        NonNull::new(at)
    }
}
