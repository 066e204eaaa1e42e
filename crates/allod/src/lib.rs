//! Allod is a memory allocator: fast, small, and hard to misuse unseen.
//!
//! ```
//! #[global_allocator]
//! static GLOBAL: allod::Allod = allod::Allod::new();
//! # assert_eq!(vec![1, 2, 3].len(), 3);
//! ```
//!
//! That is all a program needs. [`Allod::builder`] has the options, [`stats`]
//! the figures, [`Heap`] heaps of one's own, [`Allocator`] the trait that
//! collections take. On a target without a backend of ours, under Miri, and
//! with the feature `system`, the same two lines delegate to the platform's
//! allocator.
//!
//! # For readers of the source
//!
//! The modules are declared below in the order in which to read them: from the
//! street to the cellar. A room names only rooms below it and the furniture,
//! and furniture names no room (`tests/house.rs` holds that).
//!
//! | room | what is in it |
//! |---|---|
//! | `global` | `#[global_allocator]`: a layout becomes a size class |
//! | `raw` | the same for a C face |
//! | `adapters`, `handle`, `allocate` | heaps of one's own, and the allocator traits |
//! | `label` | what the program is doing while it allocates |
//! | `door` | the slow door: all that no front list can serve at once |
//! | `report` | what the process and `allod run` hear of us |
//! | `profile` | heap dumps: on demand, and when an option says so |
//! | `background` | the optional thread that gives memory back |
//! | `local` | the process's one allocator; how a thread finds its heap |
//! | `heap` | a thread's lists and spans: refill, flush, adopt |
//! | `guarded` | objects on pages of their own |
//! | `harden` | the hardened levels: objects that are watched |
//! | `sample`, `sites` | which objects are taken, what is kept of them |
//! | `nothing`, `huge` | objects of no bytes, and of more than a mebibyte |
//! | `arena` | reservations, chunks, runs of slices, giving memory back |
//! | `depot` | spans without an owner |
//! | `span` | runs of slices cut into blocks; the word that says whose they are |
//! | `map` | from an address to all of the above |
//! | `meta` | memory for our own records |
//! | `unwind` | who calls: the program counters of the stack |
//! | `os` | the system, real or made up |
//!
//! Furniture: `block` (a free block's two words), `page` (the shared page),
//! `dump` (the layout of heap dumps), `stats`, `config`, `size` (the class table), `odds`
//! (the arithmetic of sampling), `units`, `sync`, `fatal`.
//!
//! # Promises
//!
//! Nothing here allocates, prints through `std`, takes a lock of `std`, panics
//! or unwinds. Errors of the program (a double free, a pointer that is no
//! object's, a wrong size) end the process with one line on file descriptor 2.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(fuzzing, allow(dead_code, reason = "what is there for tests alone"))]
#![cfg_attr(feature = "nightly", feature(allocator_api))]

#[cfg(any(test, loom, fuzzing, not(native), target_arch = "x86"))]
extern crate std;

cfg_select! {
    loom => {
        #[path = "arena/bits.rs"]
        mod bits;
        #[path = "depot/stack.rs"]
        mod stack;
        #[path = "nothing/numbers.rs"]
        mod numbers;
        #[path = "huge/state.rs"]
        mod state;
        #[path = "span/word.rs"]
        mod word;
        #[allow(dead_code, reason = "the models need a part of it")]
        mod sync;
    }
    native => {
        mod global;
        pub mod raw;
        mod adapters;
        mod handle;
        mod allocate;
        pub mod label;
        mod door;
        mod report;
        pub mod profile;
        mod background;
        mod local;
        mod heap;
        mod guarded;
        mod harden;
        mod sample;
        mod sites;
        mod nothing;
        mod huge;
        mod arena;
        mod depot;
        mod span;
        mod map;
        mod meta;
        mod unwind;
        mod os;
        mod block;
        pub mod page;
        pub mod dump;
        mod stats;
        pub mod config;
        mod size;
        mod odds;
        mod units;
        mod sync;
        mod fatal;

        /// What the fuzzer drives: the whole allocator over a system of its own.
        #[cfg(fuzzing)]
        #[doc(hidden)]
        pub fn simulate(bytes: &[u8]) {
            heap::tests::programs::run(bytes);
        }

        pub use allocate::{AllocError, Allocator, Global};
        pub use global::{Allod, Builder, set, stats, threads, trim};
        pub use handle::Heap;
        pub use stats::{Backend, ClassStats, Stats, ThreadStats};
    }
    _ => {
        mod delegate;
        mod adapters;
        mod allocate;
        pub mod page;
        pub mod dump;
        mod stats;
        #[allow(dead_code, reason = "nobody reads the environment here")]
        pub mod config;
        #[allow(dead_code, reason = "only the number of classes is asked for here")]
        mod size;
        #[allow(dead_code, reason = "as for `size`")]
        mod units;

        pub use allocate::{AllocError, Allocator, Global};
        pub use delegate::{Allod, Builder, Heap, label, profile, set, stats, threads, trim};
        pub use stats::{Backend, ClassStats, Stats, ThreadStats};
    }
}
