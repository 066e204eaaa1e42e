//! Pools and slabs that threads share, without a lock.
//!
//! * [`SharedPool`] hands out boxes, as a pool does. It can be in a `static`;
//!   a box may be dropped by any thread.
//! * [`SharedSlab`] hands out keys. Any thread may look a value up while any
//!   other removes it: the value goes when the last who looks at it has gone.
//!
//! Both are made of groups of 32 places and a word of 32 bits that says which of
//! them are taken (`bits.rs`). Taking a place is setting its bit, so there is
//! no list whose head is fought over, no tag against a head that comes back
//! (the ABA problem), and nothing to write before the first use: a `static` one
//! is all zeros. A value in the slab has a word of its own besides, which counts
//! those who look at it (`state.rs`).
//!
//! | | |
//! |---|---|
//! | take, give back, look up | lock-free: O(1), and while others have just taken what one was about to, again |
//! | take when nearly full | O(groups) |
//! | overhead | pool: 1 bit a place; slab: 1 bit and a word |
//! | not for | one thread: `Pool` and `Slab` need no atomics |
//!
//! They exist where the target has atomic exchanges. The idea of a bitmap in
//! place of a list is the Linux kernel's `sbitmap`; that of references in the
//! word with the generation is `sharded-slab`'s.
//!
//! # Invariants
//!
//! * Q1. A place whose bit is set is its setter's, or a value's that the setter
//!   put there. Only who owns it clears the bit.
//! * Q2. A place of a slab whose bit is set holds a value from the end of
//!   `insert` until the one whom its state names the last takes it out.

mod bits;
mod group;
mod pool;
mod slab;
mod state;

pub use pool::{SharedBox, SharedPool};
pub use slab::{SharedRef, SharedSlab};

use crate::atomics as atomic;

/// A function that is `const`, but not under loom, whose atomics are not.
macro_rules! const_but_not_in_models {
    ($(#[$meta:meta])* $visibility:vis fn $name:ident($($argument:ident: $of:ty),*) -> $result:ty $body:block) => {
        #[cfg(not(loom))]
        $(#[$meta])*
        $visibility const fn $name($($argument: $of),*) -> $result $body

        #[cfg(loom)]
        $(#[$meta])*
        $visibility fn $name($($argument: $of),*) -> $result $body
    };
}
use const_but_not_in_models;

#[cfg(all(test, not(loom)))]
mod tests;
