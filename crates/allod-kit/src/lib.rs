//! Allocators for one collection, one request, one chip.
//!
//! # For readers of the source
//!
//! The modules are declared below in the order in which to read them. A room
//! names only rooms above it.
//!
//! | room | what is in it |
//! |---|---|
//! | `allocator` | the trait that all of them have |
//! | `adapters` | the same for the traits of others |
//! | `global` | from and to `GlobalAlloc` |
//! | `model` | what can be done to an allocator, and what has to hold (feature `conformance`) |
//! | `conformance` | a test kit for allocators (feature `conformance`) |
//! | `full` | what a container says when it has no room |
//! | `stack` | blocks that go in the opposite order of their coming |
//! | `blocks` | an allocator of blocks of one size, which every pool is |
//! | `pool` | slots for values of one type |
//! | `slab` | values that are found again by keys |
//! | `shared` | pools and slabs that threads share |
//! | `fixed` | containers of a fixed capacity |
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(feature = "nightly", feature(allocator_api))]

#[cfg(any(test, loom, feature = "conformance"))]
extern crate std;

mod allocator;
mod adapters;
mod global;
#[cfg(feature = "conformance")]
pub mod model;
#[cfg(feature = "conformance")]
pub mod conformance;
mod full;
#[cfg(test)]
mod witness;
mod stack;
mod blocks;
mod pool;
pub mod slab;
#[cfg(target_has_atomic = "ptr")]
mod shared;
pub mod fixed;

pub use allocator::{AllocError, Allocator, nothing};
pub use full::Full;
pub use global::{AsGlobal, FromGlobal};
pub use pool::{GrowingPool, Pool, PoolBox, PoolSlot};
#[cfg(target_has_atomic = "ptr")]
pub use shared::{SharedBox, SharedPool, SharedRef, SharedSlab};
pub use slab::{FixedSlab, GrowingSlab, Key, Slab, SlabSlot};
pub use stack::{Mark, Stack, StackBox};

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
