//! Wrappers: allocators made of allocators.
//!
//! | wrapper | what it does |
//! |---|---|
//! | [`Watched`] | tells an [`Observer`] of your own about every request, and lets it refuse |
//! | [`Count`] | blocks and bytes: now, at the peak, in all |
//! | [`Limit`] | refuses what would pass a number of bytes |
//! | [`Trace`] | keeps the last requests in a ring |
//! | [`Fail`] | refuses on purpose: the k-th, at random, above a size |
//! | [`Fallback`] | asks a second allocator where the first refuses |
//! | [`Segregate`] | small blocks from one allocator, large ones from another |
//! | [`Wipe`] | overwrites what is given back |
//! | [`Guard`] | puts canaries around every block |
//! | [`Realign`] | any alignment, from an allocator that has only small ones |
//! | [`AlignTo`] | no alignment below a least one |
//! | [`Locked`] | lets threads share what is one thread's |
//! | [`Rescue`] | calls for help where there is no memory, and asks again |
//! | [`Refuse`] | has no memory: the end of a stack |
//!
//! They compose, and the type reads as what it does:
//!
//! ```
//! use allod_kit::{Count, Fallback, FromGlobal, Refuse, Segregate};
//! use std::alloc::System;
//!
//! type Heap = Segregate<256, Count<System>, Fallback<Refuse, System>>;
//!
//! #[global_allocator]
//! static HEAP: Heap = Segregate::new(Count::new(System), Fallback::new(Refuse, System));
//! # let _kept = vec![1, 2, 3];
//! # assert!(HEAP.small().counts().blocks > 0);
//! ```
//!
//! # Two traits, one text
//!
//! Each is written once, over our [`Allocator`](crate::Allocator). A wrapper
//! over a `GlobalAlloc` is a `GlobalAlloc` by the same code: a `&Wrapper<G>` is
//! looked at as a `&Wrapper<FromGlobal<G>>`. That is sound because `FromGlobal`
//! is transparent and wrappers have C's layout, which depends on the layout of
//! the fields alone (macro `globally`).
//!
//! # What it costs
//!
//! Nothing for what is not used: there is no table of functions and no state but
//! what a wrapper names. `tests/zero_cost.rs` compares the machine code of
//! stacks that should vanish with that of the bare allocator.

mod watched;
mod count;
mod limit;
mod trace;
mod fail;
mod fallback;
mod segregate;
mod wipe;
mod guard;
mod align;
mod locked;
mod refuse;
mod rescue;

pub use align::{AlignTo, Realign};
pub use count::{Count, Counter, Counts, NoPeak, Peak, PeakCounts, Peaks};
pub use fail::{Fail, Failing};
pub use fallback::Fallback;
pub use guard::{Broken, Guard, What};
pub use limit::{Limit, Limiter};
pub use locked::{Lend, Locked};
pub use refuse::Refuse;
pub use rescue::Rescue;
pub use segregate::Segregate;
pub use trace::{Event, EventKind, Ring, Trace};
pub use watched::{Observer, Request, Watched};
pub use wipe::Wipe;

pub(crate) use face::{exactly, globally, move_to};

mod face;
