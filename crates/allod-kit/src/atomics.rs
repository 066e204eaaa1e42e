//! The atomics of all that threads share: the compiler's; those of `portable-atomic`,
//! for chips that can load and store and no more (feature `portable-atomic`); or
//! loom's, in its models.
//!
//! A Cortex-M0, an MSP430 or a RISC-V without the extension `A` has no atomic
//! exchange. That crate makes one of a critical section, or of interrupts turned off:
//! which, the program says by that crate's own features. Whatever needs an exchange is
//! there exactly where one of the two can do it: `target_has_atomic`, or the feature.

#[cfg(not(any(loom, feature = "portable-atomic")))]
pub(crate) use core::sync::atomic::*;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::*;
#[cfg(all(not(loom), feature = "portable-atomic"))]
pub(crate) use portable_atomic::*;
