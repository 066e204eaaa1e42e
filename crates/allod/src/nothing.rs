//! Objects of no bytes: `malloc(0)`.
//!
//! C wants an address that is unique and can be freed. It gets one inside a
//! reservation that nobody can read or write, so the program that uses the
//! object all the same faults at once instead of changing a neighbour.
//!
//! ```text
//!   2 MiB, inaccessible:   | 0 | 1 | 2 | ...            | 131071 |   16 bytes apart
//!   one bit for each, out of line, set while the address is in use
//! ```
//!
//! # Invariants
//!
//! * Z1. A set bit means that the address is the program's.
#![allow(unsafe_code)]

mod numbers;

use crate::arena::Arena;
use crate::map::{Kind, Record};
use crate::os::Os;
use crate::sync::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use crate::units::{CHUNK, MIN_ALIGN};
use core::ptr::{self, NonNull};

const WORDS: usize = CHUNK / MIN_ALIGN / 64;

/// The record of the reservation.
#[repr(C)]
#[derive(Debug)]
struct Plot {
    head: Head,
    used: [AtomicU64; WORDS],
}

/// What the record says from the start; the rest of a fresh one is zeros.
#[repr(C)]
#[derive(Debug)]
struct Head {
    record: Record,
    base: NonNull<u8>,
}

/// All objects of no bytes.
#[derive(Debug)]
pub(crate) struct Nothing {
    plot: AtomicPtr<Plot>,
    /// The word where the last free address was found.
    last: AtomicUsize,
}

/// What became of a free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freed {
    Done,
    Twice,
    NoObject,
}

impl Nothing {
    pub(crate) const fn new() -> Self {
        Self { plot: AtomicPtr::new(ptr::null_mut()), last: AtomicUsize::new(0) }
    }

    /// An address. `None` when there are 131,072 already, or no reservation.
    pub(crate) fn alloc<O: Os>(&self, arena: &Arena<O>) -> Option<NonNull<u8>> {
        let plot = self.plot(arena)?;
        // ORDERING: Relaxed, a hint.
        let start = self.last.load(Ordering::Relaxed);
        let number = numbers::take(&plot.used, start)?;
        // ORDERING: Relaxed, a hint.
        self.last.store(number / 64, Ordering::Relaxed);
        // SAFETY: a number's address is within the reservation's 2 MiB.
        Some(unsafe { plot.head.base.add(number * MIN_ALIGN) })
    }

    /// Frees an address. The caller has looked up that it lies in the plot.
    pub(crate) fn free(&self, address: usize) -> Freed {
        // ORDERING: Acquire pairs with the Release in `plot`.
        let plot = self.plot.load(Ordering::Acquire);
        // SAFETY: null, or a plot, which is never unmapped.
        let Some(plot) = (unsafe { plot.as_ref() }) else { return Freed::NoObject };
        let offset = address.wrapping_sub(plot.head.base.addr().get());
        if offset % MIN_ALIGN != 0 {
            return Freed::NoObject;
        }
        match numbers::give(&plot.used, offset / MIN_ALIGN) {
            Some(true) => Freed::Done,
            Some(false) => Freed::Twice,
            None => Freed::NoObject,
        }
    }

    /// Unmaps the reservation. False when an address of it is in use.
    ///
    /// # Safety
    ///
    /// Nobody will ask for an address again.
    pub(crate) unsafe fn close<O: Os>(&self, arena: &Arena<O>) -> bool {
        // ORDERING: Acquire pairs with the Release in `plot`.
        let plot = self.plot.load(Ordering::Acquire);
        // SAFETY: null, or a plot, which is never unmapped before this.
        let Some(plot) = (unsafe { plot.as_ref() }) else { return true };
        // ORDERING: Relaxed, nobody else is there any more.
        if plot.used.iter().any(|bits| bits.load(Ordering::Relaxed) != 0) {
            return false;
        }
        // SAFETY: the reservation is ours and unused.
        unsafe { arena.kernel.release(plot.head.base, CHUNK) };
        true
    }

    fn plot<O: Os>(&self, arena: &Arena<O>) -> Option<&Plot> {
        // ORDERING: Acquire pairs with the Release below.
        let plot = self.plot.load(Ordering::Acquire);
        // SAFETY: null, or a plot, which is never unmapped.
        if let Some(plot) = unsafe { plot.as_ref() } {
            return Some(plot);
        }
        let (base, place) = arena.reserve_plot::<Plot>()?;
        let place = place.as_ptr();
        let head = Head { record: Record { kind: Kind::Nothing }, base };
        // SAFETY: the record begins with its head, in fresh memory; its bits are
        // right as zeros.
        unsafe { place.cast::<Head>().write(head) };
        // ORDERING: Release pairs with the Acquire above and in `free`; Acquire on
        // failure: the other thread's plot is set up.
        let swap = self.plot.compare_exchange(
            ptr::null_mut(),
            place,
            Ordering::Release,
            // ORDERING: Acquire, see above.
            Ordering::Acquire,
        );
        let plot = match swap {
            Ok(_) => {
                arena.map.set_record(base.addr().get(), place.cast());
                place
            }
            Err(other) => {
                // SAFETY: nobody knows of our reservation. The record is lost: 16 KiB, once.
                unsafe { arena.kernel.release(base, CHUNK) };
                other
            }
        };
        // SAFETY: not null, and never unmapped.
        unsafe { plot.as_ref() }
    }
}
