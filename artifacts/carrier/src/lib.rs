//! A library that brings the allocator along.
//!
//! `#[global_allocator]` may stand in a library: every program that uses the
//! library then runs on it, without a line of its own. There can be one such
//! `static` in a program, so this is for a company's base crate, and not for a
//! library that strangers use.

#[global_allocator]
static GLOBAL: allod::Allod = allod::Allod::new();

/// Bytes in use, in the whole program.
#[must_use]
pub fn allocated() -> usize {
    allod::stats().allocated
}
