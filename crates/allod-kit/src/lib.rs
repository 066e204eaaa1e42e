//! Allocators for one collection, one request, one chip.
//!
//! # For readers of the source
//!
//! The modules are declared below in the order in which to read them. A room
//! names only rooms above it.
//!
//! | room | what is in it |
//! |---|---|
//! | `atomics` | the compiler's atomics, or those that a chip without them has |
//! | `allocator` | the trait that all of them have |
//! | `adapters` | the same for the traits of others |
//! | `global` | from and to `GlobalAlloc` |
//! | `owns` | whose block is it? |
//! | `full` | what a container says when it has no room |
//! | `infallible` | the end of those who did not ask |
//! | `installed` | the program's global allocator |
//! | `addr` | safe address arithmetic |
//! | `bump` | arenas, scopes, and vectors, strings and boxes in them |
//! | `stack` | blocks that go in the opposite order of their coming |
//! | `blocks` | an allocator of blocks of one size, which every pool is |
//! | `pool` | slots for values of one type |
//! | `typed` | an arena of values of one type, which drops them |
//! | `slab` | values that are found again by keys |
//! | `shared` | pools and slabs that threads share |
//! | `fixed` | containers of a fixed capacity |
//! | `serialize` | the containers in serde's words (feature `serde`) |
//! | `words` | a region of memory as an array of 32-bit words |
//! | `regions` | heaps over memory that you bring: what they have in common |
//! | `tlsf` | a heap in which everything takes a bounded time |
//! | `buddy` | a heap of halves of halves |
//! | `first_fit` | a heap of one list |
//! | `lock` | who may enter a heap, and when |
//! | `heap` | a heap behind a lock: `#[global_allocator]` on bare metal |
//! | `number` | what is counted with, shared between threads or not |
//! | `wrap` | allocators made of allocators |
//! | `testing` | what a piece of a program asks for, as an assertion (feature `testing`) |
//! | `model` | what can be done to an allocator, and what has to hold (feature `conformance`) |
//! | `conformance` | a test kit for allocators (feature `conformance`) |
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(feature = "nightly", feature(allocator_api))]

#[cfg(any(test, loom, feature = "conformance", feature = "testing"))]
extern crate std;

#[cfg(feature = "alloc")]
extern crate alloc;

mod atomics;
mod allocator;
mod adapters;
mod global;
mod owns;
mod full;
#[cfg(feature = "infallible")]
mod infallible;
#[cfg(feature = "alloc")]
mod installed;
pub mod addr;
pub mod bump;
#[cfg(test)]
mod witness;
mod stack;
mod blocks;
mod pool;
mod typed;
pub mod slab;
#[cfg(any(target_has_atomic = "ptr", feature = "portable-atomic"))]
mod shared;
pub mod fixed;
#[cfg(feature = "serde")]
mod serialize;
mod words;
mod regions;
mod tlsf;
mod buddy;
mod first_fit;
mod lock;
mod heap;
mod number;
mod wrap;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "conformance")]
pub mod model;
#[cfg(feature = "conformance")]
pub mod conformance;

pub use allocator::{AllocError, Allocator, nothing};
pub use buddy::Buddy;
#[cfg(any(target_has_atomic = "8", feature = "portable-atomic"))]
pub use bump::BumpPool;
pub use bump::{Bump, Scope};
pub use first_fit::FirstFit;
pub use full::Full;
pub use global::{AsGlobal, FromGlobal};
pub use heap::Heap;
#[cfg(feature = "alloc")]
pub use installed::Global;
#[cfg(feature = "critical-section")]
pub use lock::CriticalSection;
#[cfg(feature = "lock-api")]
pub use lock::RawLock;
#[cfg(any(target_has_atomic = "8", feature = "portable-atomic"))]
pub use lock::Spin;
pub use lock::{Lock, OneCore, Open, Unshared};
pub use number::{Number, Shared};
pub use owns::Owns;
pub use pool::{GrowingPool, Pool, PoolBox, PoolSlot};
pub use regions::Regions;
#[cfg(feature = "serde")]
pub use serialize::{StringIn, VecIn};
#[cfg(any(target_has_atomic = "ptr", feature = "portable-atomic"))]
pub use shared::{SharedBox, SharedPool, SharedRef, SharedSlab};
pub use slab::{FixedSlab, GrowingSlab, Key, Slab, SlabSlot};
pub use stack::{Mark, Stack, StackBox};
pub use tlsf::Tlsf;
pub use typed::{TypedArena, TypedIntoIter};
pub use wrap::{
    AlignTo, Broken, Count, Counter, Counts, Event, EventKind, Fail, Failing, Fallback, Guard,
    Lend, Limit, Limiter, Locked, NoPeak, Observer, Peak, PeakCounts, Peaks, Realign, Refuse,
    Request, Rescue, Ring, Segregate, Trace, Watched, What, Wipe,
};

/// What the macro `adapt` names.
#[doc(hidden)]
pub mod foreign {
    #[cfg(feature = "allocator-api2-02")]
    pub use allocator_api2_02::alloc as api2_02;
    #[cfg(feature = "allocator-api2-04")]
    pub use allocator_api2_04::alloc as api2_04;
    #[cfg(feature = "nightly")]
    pub use core::alloc as nightly;
}
