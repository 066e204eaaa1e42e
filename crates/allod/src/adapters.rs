//! The foreign allocator traits, for [`Global`] and `&Heap`: one feature each.
//!
//! | feature | trait |
//! |---|---|
//! | `allocator-api2-02` (or `allocator-api2`) | `allocator-api2` 0.2: hashbrown, bumpalo |
//! | `allocator-api2-04` | `allocator-api2` 0.4 |
//! | `nightly` | `core::alloc::Allocator`; needs a nightly compiler |
//!
//! The kit's macro writes them.
#![allow(unsafe_code)]

allod_kit::adapt!(crate::Global);
allod_kit::adapt!(&crate::Heap);
