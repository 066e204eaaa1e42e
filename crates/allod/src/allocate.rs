//! The allocator trait, and the process's allocator as a value of it.
//!
//! The trait is the kit's: what is written for it takes every allocator of the
//! family. `handle.rs` implements it for [`Global`] and `&Heap`.
#![forbid(unsafe_code)]

pub use allod_kit::{AllocError, Allocator};
pub(crate) use allod_kit::nothing;

/// The process's allocator, as a value of no size: for collections that take an
/// allocator and should use the one that `#[global_allocator]` uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Global;
