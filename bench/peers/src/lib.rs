//! Nothing. The package exists for its list of dependencies.
//!
//! It pins the sources of other allocators in `Cargo.lock`, so that everybody
//! who measures compares with the same ones. It is never built.
