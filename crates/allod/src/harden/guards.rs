//! Guards: memory behind slots and large objects that nobody can touch.
//!
//! ```text
//!   span:  |slot|slot|slot| ...   open   |      closed: not cut yet       | the last page |
//!                                        ^ moves as slots are cut          ^ stays closed
//!   run:   |<----- asked ----->| canary  |   closed, to the run's end     |
//!                                        ^ a page's end
//! ```
//!
//! Who reads or writes on and on past the end of an object comes to a guard, and the
//! process faults where it is done. Nothing of a guard was ever touched, or all of it is
//! zeros, so it costs addresses, a call to the system or two, and mappings: two for each
//! guard that is up. The process may have 65,530 of these, so there is a most of guards;
//! what comes after has none. A huge page is never split for one.
//!
//! The shelves say where a span is open to, and the large objects where their guard
//! begins; here is how guards are put up, moved and taken down. Threads: whoever holds
//! the slices calls; the number of guards is a bound that may be passed by a few.
//!
//! # Invariants
//!
//! * GD1. What lies behind a guard is a free slice's or a span's own: it reads as zeros, as
//!   it did when the guard went up.
#![allow(unsafe_code)]

use crate::arena::Arena;
use crate::os::Os;
use crate::sync::{AtomicUsize, Ordering};
use crate::units::SLICE;
use core::ptr::NonNull;

/// Guards at most: each costs the process two mappings.
const MOST: usize = 8192;

/// What guards begin and end at a multiple of, whatever the system's page is.
pub(crate) const PAGE: usize = 4096;

/// How many guards are up.
#[derive(Debug)]
pub(crate) struct Guards {
    up: AtomicUsize,
}

impl Guards {
    pub(crate) const fn new() -> Self {
        Self { up: AtomicUsize::new(0) }
    }

    /// What guards are made of on this system: its pages, or [`PAGE`]. `None` where a page is as
    /// long as a slice, or longer.
    pub(crate) fn page<O: Os>(arena: &Arena<O>) -> Option<usize> {
        let page = arena.kernel.page_size().max(PAGE);
        (page < SLICE && SLICE.is_multiple_of(page)).then_some(page)
    }

    /// Puts a guard up. False, and nothing done, when there are too many, or the system
    /// refuses.
    ///
    /// # Safety
    ///
    /// The bytes are whole pages ([`Guards::page`]), committed, and the caller's, and read
    /// as zeros (GD1).
    pub(crate) unsafe fn raise<O: Os>(&self, arena: &Arena<O>, at: NonNull<u8>, len: usize) -> bool {
        // ORDERING: Relaxed, a bound that may be passed by a few.
        if self.up.load(Ordering::Relaxed) >= MOST {
            return false;
        }
        // SAFETY: the caller's promise; what they hold is zeros, and zeros it will be.
        let done = unsafe { arena.kernel.decommit(at, len) };
        if done {
            // ORDERING: Relaxed, as above.
            self.up.fetch_add(1, Ordering::Relaxed);
        }
        done
    }

    /// Opens the first `len` bytes of a guard, at `at`. False, and nothing done, when the
    /// system refuses.
    ///
    /// # Safety
    ///
    /// The bytes are whole pages of a guard of the caller's.
    pub(crate) unsafe fn open<O: Os>(arena: &Arena<O>, at: NonNull<u8>, len: usize) -> bool {
        // SAFETY: the caller's promise.
        unsafe { arena.kernel.commit(at, len) }
    }

    /// Takes a guard down. False, and nothing done, when the system refuses.
    ///
    /// # Safety
    ///
    /// The bytes are all of a guard of the caller's.
    pub(crate) unsafe fn lower<O: Os>(&self, arena: &Arena<O>, at: NonNull<u8>, len: usize) -> bool {
        // SAFETY: the caller's promise.
        let done = unsafe { arena.kernel.commit(at, len) };
        if done {
            self.gone();
        }
        done
    }

    /// A guard is gone, with what was before it.
    pub(crate) fn gone(&self) {
        // ORDERING: Relaxed, as above.
        self.up.fetch_sub(1, Ordering::Relaxed);
    }

    /// Guards that are up.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn up(&self) -> usize {
        // ORDERING: Relaxed, tests have the allocator to themselves.
        self.up.load(Ordering::Relaxed)
    }
}
