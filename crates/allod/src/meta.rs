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
use crate::sync::{Gauge, Lock};
use crate::units::round_up;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// One mapping's worth of small records.
const PLOT: usize = 256 << 10;

/// The store of records.
#[derive(Debug)]
pub(crate) struct Meta {
    lock: Lock,
    /// Start and length of what is left of the current plot. Under the lock.
    rest: Cell<*mut u8>,
    rest_len: Cell<usize>,
    taken: Gauge,
}

// SAFETY: the cells are touched under the lock alone.
unsafe impl Sync for Meta {}

impl Meta {
    pub(crate) const fn new() -> Self {
        Self {
            lock: Lock::new(),
            rest: Cell::new(ptr::null_mut()),
            rest_len: Cell::new(0),
            taken: Gauge::new(),
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
        let Some(_guard) = self.lock.lock() else {
            // A signal handler above `take` itself: a mapping of its own.
            return kernel.map_guarded(size);
        };
        let pad = self.rest.get().addr().wrapping_neg() & (align - 1);
        let need = size.checked_add(pad)?;
        if self.rest.get().is_null() || self.rest_len.get() < need {
            if size > PLOT / 4 {
                self.taken.add(size);
                return kernel.map_guarded(size);
            }
            let plot = kernel.map_guarded(PLOT)?;
            // SAFETY: the mapping was just made and is ours. Failure leaves a larger core file.
            unsafe { kernel.advise(plot, PLOT, Advice::NoDump) };
            self.rest.set(plot.as_ptr());
            self.rest_len.set(PLOT);
            return self.cut(round_up(size, align)?, 0);
        }
        self.cut(size, pad)
    }

    fn cut(&self, size: usize, pad: usize) -> Option<NonNull<u8>> {
        let at = self.rest.get().wrapping_add(pad);
        self.rest.set(at.wrapping_add(size));
        self.rest_len.set(self.rest_len.get() - pad - size);
        self.taken.add(size);
        NonNull::new(at)
    }
}
