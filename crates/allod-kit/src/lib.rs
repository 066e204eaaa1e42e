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
//! | `words` | a region of memory as an array of 32-bit words |
//! | `regions` | heaps over memory that you bring: what they have in common |
//! | `tlsf`, `buddy`, `first_fit` | three plans for such a heap |
//! | `lock` | who may enter a heap, and when |
//! | `heap` | a heap behind a lock: `#[global_allocator]` on bare metal |
//! | `global` | from and to `GlobalAlloc` |
//! | `model` | what can be done to an allocator, and what has to hold (feature `conformance`) |
//! | `conformance` | a test kit for allocators (feature `conformance`) |
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(feature = "nightly", feature(allocator_api))]

#[cfg(any(test, feature = "conformance"))]
extern crate std;

mod allocator;
mod adapters;
mod words;
mod regions;
mod tlsf;
mod buddy;
mod first_fit;
mod lock;
mod heap;
mod global;
#[cfg(feature = "conformance")]
pub mod model;
#[cfg(feature = "conformance")]
pub mod conformance;

pub use allocator::{AllocError, Allocator, nothing};
pub use buddy::Buddy;
pub use first_fit::FirstFit;
pub use global::{AsGlobal, FromGlobal};
pub use heap::Heap;
#[cfg(feature = "critical-section")]
pub use lock::CriticalSection;
#[cfg(target_has_atomic = "8")]
pub use lock::Spin;
pub use lock::{Lock, OneCore, Open, Unshared};
pub use regions::Regions;
pub use tlsf::Tlsf;

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
