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
//! | `addr` | safe address arithmetic |
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(feature = "nightly", feature(allocator_api))]

mod allocator;
mod adapters;
pub mod addr;

pub use allocator::{AllocError, Allocator, nothing};

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
