//! The word of a value in the shared slab: which value, whether it is still
//! wanted, and how many look at it.
//!
//! ```text
//!   half of the word   1 bit      the rest
//!   +----------------+--------+------------+
//!   | generation     | closed | references |
//!   +----------------+--------+------------+
//! ```
//!
//! A place that was never used is all zeros. Its owner *opens* it when a value
//! is in: the generation becomes the next odd number. While it is open, anybody
//! may *enter* and *leave*. Somebody *closes* it; from then on nobody enters. The
//! last to leave, or who closes it when nobody is in, owns the place again.
//!
//! # Invariants
//!
//! * W1. References are entries that have not left.
//! * W2. Once closed, a state is opened by the owner of its place only, so the
//!   step to "closed, and no references" happens once, and who takes it is the
//!   owner.

use super::atomic::{AtomicUsize, Ordering};

const HALF: u32 = usize::BITS / 2;
const CLOSED: usize = 1 << (HALF - 1);
/// As many references as there can be.
const MOST: usize = CLOSED - 1;
const GENERATION: u32 = (usize::MAX >> HALF) as u32;

/// The word.
#[derive(Debug)]
pub(super) struct State(AtomicUsize);

/// What [`State::close`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// Another value, or none, or one that is closed already.
    NotThere,
    /// The caller owns the place.
    Mine,
    /// The last to leave will own it.
    Later,
}

#[inline]
const fn generation(word: usize) -> u32 {
    (word >> HALF) as u32
}

/// Whether a word says that this value is there and open.
#[inline]
const fn is_open(word: usize, wanted: u32) -> bool {
    generation(word) == wanted && word & CLOSED == 0
}

impl State {
    super::const_but_not_in_models! {
        pub(super) fn new() -> Self {
            Self(AtomicUsize::new(0))
        }
    }

    /// Lets others in, and says which generation it is: odd. For the owner of
    /// the place, when the value is in.
    #[inline]
    pub(super) fn open(&self) -> u32 {
        // ORDERING: Relaxed, what the last owner left is visible since the place was taken.
        let word = self.0.load(Ordering::Relaxed);
        let next = (generation(word).wrapping_add(1) & GENERATION) | 1;
        // ORDERING: Release pairs with the Acquire in `enter` and in `close`: who gets
        // in sees the value.
        self.0.store((next as usize) << HALF, Ordering::Release);
        next
    }

    /// Takes a reference, if this value is there and open.
    #[inline]
    pub(super) fn enter(&self, wanted: u32) -> bool {
        // ORDERING: Relaxed, a guess that the exchange puts right.
        let mut word = self.0.load(Ordering::Relaxed);
        while is_open(word, wanted) && word & MOST != MOST {
            // ORDERING: Acquire on success pairs with the Release in `open`, also
            // through the exchanges of others in between. Relaxed on failure, as for
            // the load.
            match self.0.compare_exchange_weak(word, word + 1, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(seen) => word = seen,
            }
        }
        false
    }

    /// Gives a reference back. True when the caller is the last and the value is
    /// closed: then the place is the caller's, with what all others have done.
    #[inline]
    pub(super) fn leave(&self) -> bool {
        // ORDERING: Release: what this one did with the value is before what the last
        // one does. Pairs with the Acquire below and that in `close`.
        let before = self.0.fetch_sub(1, Ordering::Release);
        if before & CLOSED == 0 || before & MOST != 1 {
            return false;
        }
        // ORDERING: Acquire, the other side of that: for the last one alone. A load and not a
        // fence, which the thread sanitizer does not see.
        self.0.load(Ordering::Acquire);
        true
    }

    /// Lets nobody in any more, if this value is there and open.
    #[inline]
    pub(super) fn close(&self, wanted: u32) -> Closed {
        // ORDERING: Relaxed, a guess that the exchange puts right.
        let mut word = self.0.load(Ordering::Relaxed);
        while is_open(word, wanted) {
            // ORDERING: Acquire on success pairs with the Release in `open` and in
            // `leave`: if nobody is in, the place is ours with what they all did.
            // Relaxed on failure, as for the load.
            match self.0.compare_exchange_weak(
                word,
                word | CLOSED,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) if word & MOST == 0 => return Closed::Mine,
                Ok(_) => return Closed::Later,
                Err(seen) => word = seen,
            }
        }
        Closed::NotThere
    }

    /// The same, but only if nobody is in. True when the place is the caller's.
    #[inline]
    pub(super) fn close_alone(&self, wanted: u32) -> bool {
        let word = (wanted as usize) << HALF;
        // ORDERING: as in `close`. There is one word that will do, so no loop.
        let closed =
            self.0.compare_exchange(word, word | CLOSED, Ordering::Acquire, Ordering::Relaxed);
        closed.is_ok()
    }

    /// The generation of a value that was there and open a moment ago.
    #[inline]
    pub(super) fn current(&self) -> Option<u32> {
        // ORDERING: Relaxed, a guess; who acts on it goes through `enter`.
        let word = self.0.load(Ordering::Relaxed);
        let now = generation(word);
        (now % 2 == 1 && word & CLOSED == 0).then_some(now)
    }
}

#[cfg(test)]
mod tests;
