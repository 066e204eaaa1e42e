//! The state of a huge object: the program's, freed (cached, or waiting), or gone.
//!
//! ```text
//!   GONE --set_live--> LIVE --retire--> CACHED --set_live--> LIVE ...
//!     ^                                   |
//!     +----------- set_gone --------------+
//! ```
//!
//! # Invariants
//!
//! * HS1. Whoever moves the state away from LIVE frees the object, behind all that
//!   was done to it while it was; everybody else is told that it is free already.
//! * HS2. Who sees by [`State::is_mapped`] that there is an object, or retires it, sees
//!   what was written before [`State::set_live`].
#![cfg_attr(not(test), forbid(unsafe_code))]

use crate::sync::{AtomicU32, Ordering};

const LIVE: u32 = 1;
const CACHED: u32 = 2;
const GONE: u32 = 3;

/// The word.
#[derive(Debug)]
pub(crate) struct State(AtomicU32);

impl State {
    /// That of a record without an object.
    pub(crate) fn gone() -> Self {
        Self(AtomicU32::new(GONE))
    }

    /// True while the program has the object, for all that the caller knows.
    pub(crate) fn is_live(&self) -> bool {
        // ORDERING: Relaxed, the exchange in `retire` is what decides.
        self.0.load(Ordering::Relaxed) == LIVE
    }

    /// True while there is an object, live or cached: for somebody who has nothing to do
    /// with it and reads its fields.
    pub(crate) fn is_mapped(&self) -> bool {
        // ORDERING: Acquire pairs with the Release in `set_live` (HS2).
        self.0.load(Ordering::Acquire) != GONE
    }

    /// The object, whose fields are set, is the program's.
    pub(crate) fn set_live(&self) {
        // ORDERING: Release pairs with the Acquires in `is_mapped` and `retire` (HS2).
        self.0.store(LIVE, Ordering::Release);
    }

    /// Makes the object free. False when it was already.
    pub(crate) fn retire(&self) -> bool {
        // ORDERING: AcqRel: one freer wins, with the holder's writes behind it (HS1).
        self.0.compare_exchange(LIVE, CACHED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// The map has forgotten the record.
    pub(crate) fn set_gone(&self) {
        // ORDERING: Relaxed, the lock orders the record's next use.
        self.0.store(GONE, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "state/tests.rs"]
mod tests;
