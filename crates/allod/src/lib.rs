//! Placeholder.
#![no_std]
pub mod page;
