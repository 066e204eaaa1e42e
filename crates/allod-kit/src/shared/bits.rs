//! Which places of a group are taken: one word, a bit each.

use super::atomic::{AtomicU32, Ordering};

/// Places of a group.
pub(super) const PLACES: usize = 32;

/// 32 bits that threads set and clear.
#[derive(Debug)]
pub(super) struct Bits(AtomicU32);

impl Bits {
    super::const_but_not_in_models! {
        pub(super) fn new() -> Self {
            Self(AtomicU32::new(0))
        }
    }

    /// Sets a bit that is clear, and says which. What was done to the place by
    /// whoever cleared it is visible.
    #[inline]
    pub(super) fn take(&self) -> Option<usize> {
        // ORDERING: Relaxed, a guess at what is clear.
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let bit = seen.trailing_ones();
            if bit as usize >= PLACES {
                return None;
            }
            // ORDERING: Acquire pairs with the Release in `give`, and with it through
            // what others have done to the word since: those were exchanges too.
            let before = self.0.fetch_or(1 << bit, Ordering::Acquire);
            if before >> bit & 1 == 0 {
                return Some(bit as usize);
            }
            seen = before;
        }
    }

    /// Clears a bit, which is the caller's. What the caller has done to the place
    /// is visible to who sets it next.
    #[inline]
    pub(super) fn give(&self, bit: usize) {
        // ORDERING: Release pairs with the Acquire in `take`.
        let before = self.0.fetch_and(!(1 << bit), Ordering::Release);
        debug_assert!(before >> bit & 1 == 1, "a place is given back twice");
    }

    /// The bits that were set a moment ago.
    #[inline]
    pub(super) fn taken(&self) -> u32 {
        // ORDERING: Relaxed, a figure. Who reads a place on its strength looks at
        // the place's own state first.
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
