//! The word: who may touch a span, and what strangers have freed into it.
//!
//! ```text
//!   63     56 55                 32 31        16 15         0
//!   +--------+---------------------+------------+------------+
//!   | state  |  key of the owner   |   count    |    head    |
//!   +--------+---------------------+------------+------------+
//!                                   remote list: blocks that strangers freed
//! ```
//!
//! The remote list is a chain through the free blocks themselves; the word
//! holds the number of its first block and how many there are, so that one
//! compare-and-swap both pushes a run and sees what the push has caused.
//!
//! # Life of a span, as its word tells it
//!
//! ```text
//!            fresh                      last block handed out
//!   FREE ------------> OWNED(h) ------------------------------> FULL(h)
//!     ^                 ^   |  ^                                 |  |
//!     |        h frees  |   |  +---------------------------------+  |
//!     |        into it  |   |        h frees into it                | strangers have
//!     |                 |   | h has more than it needs              | freed an eighth
//!     |           claim |   v                                       |
//!     |                SHARED  <------------------------------------+
//!     |                   | the last block comes home
//!     +-------------------+----> BURIED: empty, still in the depot; goes back
//!                                to FREE when somebody finds it there
//! ```
//!
//! And by themselves, each from FREE and back to it: LARGE, a large object, from its
//! allocation to its free; HARD, a span of slots (`harden/shelf.rs`), whose word stays as
//! it is.
//!
//! # Invariants
//!
//! * W1. In OWNED and FULL, `key` names the one heap whose lock guards the
//!   span's plain fields. In SHARED and BURIED nobody owns them; in FREE the
//!   holder of the slices does; in LARGE the holder of the object; in HARD whoever
//!   has the shelf's lock (V1), and `key` holds two flags of the shelf's.
//! * W2. Every block on the remote list is free, lies in this span, and is on
//!   no other list; `count` is their number.
//! * W3. SHARED and BURIED spans are in the depot, or in the hands of the one
//!   thread that took them out and has not decided yet. Nobody else moves a
//!   span out of these two states.
//! * W4. A span leaves OWNED only through its owner.
//!
//! # Why there is no ABA problem
//!
//! Nobody pops a single block: lists are taken whole. A word that left and
//! came back is as good as one that stayed, because everything that a push
//! depends on is in the word itself.
#![cfg_attr(not(test), forbid(unsafe_code))]

use crate::sync::{AtomicU64, Ordering};

/// What a span is to the threads around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// No span: the slices are free or in one thread's hands.
    Free = 0,
    /// One heap allocates from it.
    Owned = 1,
    /// One heap has handed out all its blocks.
    Full = 2,
    /// Has free blocks and no owner; in the depot.
    Shared = 3,
    /// Has only free blocks and no owner; in the depot.
    Buried = 4,
    /// A large object: one block that is the whole run.
    Large = 5,
    /// Slots of the hardened levels (`harden/shelf.rs`): no heap's, and no blocks.
    Hard = 6,
}

/// A value of the word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(u64);

/// The chain of blocks that strangers freed: number of the first, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) head: u16,
    pub(crate) count: u16,
}

impl Remote {
    pub(crate) const NONE: Self = Self { head: 0, count: 0 };
}

impl Word {
    pub(crate) const fn new(state: State, key: u32, remote: Remote) -> Self {
        Self(
            (state as u64) << 56
                | (key as u64 & 0xFF_FFFF) << 32
                | (remote.count as u64) << 16
                | remote.head as u64,
        )
    }

    pub(crate) const fn state(self) -> State {
        match (self.0 >> 56) as u8 {
            1 => State::Owned,
            2 => State::Full,
            3 => State::Shared,
            4 => State::Buried,
            5 => State::Large,
            6 => State::Hard,
            _ => State::Free,
        }
    }

    pub(crate) const fn key(self) -> u32 {
        (self.0 >> 32) as u32 & 0xFF_FFFF
    }

    pub(crate) const fn remote(self) -> Remote {
        Remote { head: self.0 as u16, count: (self.0 >> 16) as u16 }
    }

    const fn is(self, state: State, key: u32) -> bool {
        self.state() as u8 == state as u8 && self.key() == key
    }
}

/// What a push has caused, and what the pusher must do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// Nothing else to do.
    Added,
    /// The span went from FULL to SHARED: put it into the depot.
    Shared,
    /// The span went from FULL to FREE with every block home: it is the pusher's to give back.
    Emptied,
    /// The span went from SHARED to BURIED: count it.
    Buried,
    /// The span was in no state that a block can be freed into.
    Refused,
}

/// When a full span changes hands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Free blocks at which a full span is shared.
    pub(crate) share_at: u16,
    /// Blocks that were ever carved; all of them home means empty. `None`
    /// where an empty span stays where it is (a private heap's).
    pub(crate) all: Option<u16>,
}

/// The word itself.
#[derive(Debug)]
pub(crate) struct AtomicWord(AtomicU64);

impl AtomicWord {
    #[cfg(any(test, fuzzing))]
    pub(crate) fn new(word: Word) -> Self {
        Self(AtomicU64::new(word.0))
    }

    pub(crate) fn load(&self) -> Word {
        // ORDERING: Acquire pairs with the Release of every transition below:
        // who sees a state sees the plain fields as they were when it began.
        Word(self.0.load(Ordering::Acquire))
    }

    /// Sets the word. Only for the holder of a FREE span, or of a LARGE object.
    pub(crate) fn store(&self, word: Word) {
        // ORDERING: Release pairs with `load` and the Acquire of the exchanges:
        // the fields set up before are seen by whoever sees the state.
        self.0.store(word.0, Ordering::Release);
    }

    fn exchange(&self, old: Word, new: Word) -> Result<(), Word> {
        // ORDERING: AcqRel on success. Release: the links of a pushed run, or the
        // owner's fields on a hand-over, are visible to who takes them. Acquire: the
        // links of the runs already there, and the last owner's fields, are visible
        // to us. Acquire on failure: the next attempt reads fields under the new value.
        match self.0.compare_exchange_weak(old.0, new.0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(()),
            Err(seen) => Err(Word(seen)),
        }
    }

    /// Pushes a run of `count` blocks that begins at block `head`.
    ///
    /// `link` ties the run's last block to the block number it is given, before
    /// each attempt; `terms` is asked under the state at hand.
    pub(crate) fn push(
        &self,
        head: u16,
        count: u16,
        mut link: impl FnMut(Remote),
        terms: impl Fn() -> Terms,
    ) -> Pushed {
        let mut word = self.load();
        loop {
            let old = word.remote();
            let remote = Remote { head, count: old.count.wrapping_add(count) };
            let state = word.state();
            let (next, outcome) = match state {
                State::Owned => (Word::new(state, word.key(), remote), Pushed::Added),
                State::Full => {
                    let terms = terms();
                    if terms.all == Some(remote.count) {
                        (Word::new(State::Free, 0, Remote::NONE), Pushed::Emptied)
                    } else if remote.count >= terms.share_at {
                        (Word::new(State::Shared, 0, remote), Pushed::Shared)
                    } else {
                        (Word::new(state, word.key(), remote), Pushed::Added)
                    }
                }
                State::Shared => {
                    if terms().all == Some(remote.count) {
                        (Word::new(State::Buried, 0, remote), Pushed::Buried)
                    } else {
                        (Word::new(state, 0, remote), Pushed::Added)
                    }
                }
                State::Free | State::Buried | State::Large | State::Hard => {
                    return Pushed::Refused;
                },
            };
            link(old);
            match self.exchange(word, next) {
                Ok(()) => return outcome,
                Err(seen) => word = seen,
            }
        }
    }

    /// The owner takes what strangers have freed. `NONE` when the span is not
    /// OWNED by `key`, or when there is nothing.
    pub(crate) fn take(&self, key: u32) -> Remote {
        let mut word = self.load();
        while word.is(State::Owned, key) && word.remote().count != 0 {
            match self.exchange(word, Word::new(State::Owned, key, Remote::NONE)) {
                Ok(()) => return word.remote(),
                Err(seen) => word = seen,
            }
        }
        Remote::NONE
    }

    /// The owner has nothing left to hand out. False when strangers have freed
    /// something in the meantime.
    pub(crate) fn fill(&self, key: u32) -> bool {
        self.leave(key, Word::new(State::Full, key, Remote::NONE))
    }

    /// The owner gives an empty span up: its slices are the caller's now. False
    /// when strangers have freed something in the meantime.
    pub(crate) fn vacate(&self, key: u32) -> bool {
        self.leave(key, Word::new(State::Free, 0, Remote::NONE))
    }

    /// The owner shares a span whose free blocks are `list`. False when
    /// strangers have freed something in the meantime.
    pub(crate) fn share(&self, key: u32, list: Remote) -> bool {
        self.leave(key, Word::new(State::Shared, 0, list))
    }

    /// From OWNED with an empty remote list to `next`.
    fn leave(&self, key: u32, next: Word) -> bool {
        let owned = Word::new(State::Owned, key, Remote::NONE);
        loop {
            match self.exchange(owned, next) {
                Ok(()) => return true,
                // A spurious failure of the weak exchange.
                Err(seen) if seen == owned => {}
                Err(_) => return false,
            }
        }
    }

    /// Heap `key` frees into a span it had filled: OWNED again, with what
    /// strangers have freed. `None` when it is not FULL by `key` any more.
    pub(crate) fn reopen(&self, key: u32) -> Option<Remote> {
        let mut word = self.load();
        while word.is(State::Full, key) {
            match self.exchange(word, Word::new(State::Owned, key, Remote::NONE)) {
                Ok(()) => return Some(word.remote()),
                Err(seen) => word = seen,
            }
        }
        None
    }

    /// The one who took the span out of the depot makes it heap `key`'s.
    /// `None`: it was BURIED, and is now FREE and the caller's to give back.
    pub(crate) fn claim(&self, key: u32) -> Option<Remote> {
        let mut word = self.load();
        loop {
            let next = match word.state() {
                State::Shared => Word::new(State::Owned, key, Remote::NONE),
                _ => Word::new(State::Free, 0, Remote::NONE),
            };
            match self.exchange(word, next) {
                Ok(()) if word.state() == State::Shared => return Some(word.remote()),
                Ok(()) => return None,
                Err(seen) => word = seen,
            }
        }
    }

    /// A large object is freed. False when it was not one any more.
    pub(crate) fn free_large(&self) -> bool {
        let mut word = self.load();
        while word.state() == State::Large {
            match self.exchange(word, Word::new(State::Free, 0, Remote::NONE)) {
                Ok(()) => return true,
                Err(seen) => word = seen,
            }
        }
        false
    }
}

#[cfg(test)]
#[path = "word/tests.rs"]
mod tests;
