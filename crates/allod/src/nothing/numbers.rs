//! Which numbers are in use: a bit for each, in a row of words.
//!
//! Any thread takes a number with one compare-and-swap and gives it back with one
//! `and`. Nobody waits for anybody.
//!
//! # Invariants
//!
//! * Z2. A number whose bit is set belongs to whoever set it, until somebody gives
//!   it back. Of two that give it back one is told that it was not there.
#![cfg_attr(not(test), forbid(unsafe_code))]

use crate::sync::{AtomicU64, Ordering};

/// Takes a number that is not in use. The search begins with word number `first`.
pub(crate) fn take(words: &[AtomicU64], first: usize) -> Option<usize> {
    for step in 0..words.len() {
        let place = (first + step) % words.len();
        let word = words.get(place)?;
        // ORDERING: Relaxed, the exchange below decides.
        let mut seen = word.load(Ordering::Relaxed);
        while seen != !0 {
            let bit = (!seen).trailing_zeros();
            // ORDERING: Acquire pairs with the Release in `give`, so that the last
            // user of the number is done with it.
            match word.compare_exchange_weak(
                seen,
                seen | 1 << bit,
                Ordering::Acquire,
                // ORDERING: Relaxed on failure, nothing is read.
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(place * 64 + bit as usize),
                Err(now) => seen = now,
            }
        }
    }
    None
}

/// Gives a number back. False when it was not in use, `None` when there is no such
/// number.
pub(crate) fn give(words: &[AtomicU64], number: usize) -> Option<bool> {
    let bit = 1 << (number % 64);
    // ORDERING: Release pairs with the Acquire in `take`.
    let before = words.get(number / 64)?.fetch_and(!bit, Ordering::Release);
    Some(before & bit != 0)
}

#[cfg(test)]
#[path = "numbers/tests.rs"]
mod tests;
