//! The spin lock: one word, for cores that wait for each other a short while.
//!
//! Taking it is a swap, giving it back a store. Who finds it taken reads until it
//! looks free, and only then swaps again. It wants a machine whose atomics can
//! swap a byte; where there are none, neither is it.
#![allow(unsafe_code)]

use super::Lock;
use crate::atomics::{AtomicBool, Ordering};
#[cfg(not(loom))]
use core::hint::spin_loop;
#[cfg(loom)]
use loom::hint::spin_loop;

/// A spin lock: for several cores.
///
/// Whoever waits burns its core, so it is for heaps whose every operation is
/// short: [`Tlsf`](crate::Tlsf) and [`Buddy`](crate::Buddy). It is not fair.
///
/// # What it costs
///
/// *Time.* Two atomic operations if nobody is inside; otherwise the waiting burns
/// the core. *Memory.* A byte.
///
/// # When not to use it
///
/// Around work that is long. Where an interrupt handler allocates on the same core:
/// it waits for ever; use the feature `critical-section`, or a lock of your own
/// that turns interrupts off. Where threads of different priorities wait for each
/// other: it is not fair.
#[derive(Debug, Default)]
pub struct Spin(AtomicBool);

impl Spin {
    /// Takes the lock if it is free.
    #[inline]
    fn take(&self) -> bool {
        // ORDERING: Acquire, pairs with the Release in `give`: we see what the
        // last holder wrote.
        !self.0.swap(true, Ordering::Acquire)
    }

    #[inline]
    fn give(&self) {
        // ORDERING: Release, pairs with the Acquire in `take`: the next holder
        // sees what we wrote.
        self.0.store(false, Ordering::Release);
    }
}

// SAFETY: one `take` succeeds, and no other until the `give`.
unsafe impl Lock for Spin {
    #[inline]
    fn hold<R>(&self, work: impl FnOnce() -> R) -> R {
        while !self.take() {
            // Reading shares the line; swapping would steal it each time.
            // ORDERING: Relaxed, the swap is what counts.
            while self.0.load(Ordering::Relaxed) {
                spin_loop();
            }
        }
        let result = work();
        self.give();
        result
    }
}

// Loom's atomics cannot be made in a constant.
#[cfg(not(loom))]
impl super::Open for Spin {
    const OPEN: Self = Self(AtomicBool::new(false));
}

#[cfg(all(test, loom))]
mod tests;
