//! Our own loads: the binary `stress`, and the Rust programs of `programs/`.
//!
//! Each takes an amount and prints a checksum that must not depend on the
//! allocator.

use crate::job::{Job, Place, Suite, USUAL};
use crate::plan::{Plan, Step};

/// A row of the suite `stress`. The name is the subcommand.
const STRESS: Job = Job { suite: Suite::Stress, plan: stress, ..USUAL };
/// A row of the suite `rust`. The name is the binary.
const RUST: Job = Job { suite: Suite::Rust, plan: rust, ..USUAL };

/// The rows.
pub(super) const JOBS: &[Job] = &[
    Job {
        name: "larson",
        about: "threads replace blocks at random and leave them to their successors",
        sizes: (400, 2_000),
        ..STRESS
    },
    Job {
        name: "handoff",
        about: "one thread allocates, another frees",
        sizes: (30_000, 150_000),
        ..STRESS
    },
    Job {
        name: "lifo",
        about: "batches are freed from the last block to the first",
        sizes: (15_000, 60_000),
        ..STRESS
    },
    Job {
        name: "fifo",
        about: "batches are freed from the first block to the last",
        sizes: (15_000, 60_000),
        ..STRESS
    },
    Job {
        name: "phases",
        about: "sixteen threads, phases of other sizes, a few blocks outlive each",
        sizes: (80, 400),
        ..STRESS
    },
    Job {
        name: "large",
        about: "blocks of 1 to 32 MiB come and go",
        sizes: (400, 2_500),
        ..STRESS
    },
    Job {
        name: "grow",
        about: "one block grows step by step to its size in MiB",
        sizes: (256, 1024),
        ..STRESS
    },
    Job {
        name: "tokio_echo",
        about: "a server and its clients over loopback",
        sizes: (60_000, 400_000),
        ..RUST
    },
    Job {
        name: "rayon_sort",
        about: "parallel sorts of strings",
        sizes: (1_000_000, 3_000_000),
        ..RUST
    },
    Job { name: "json", about: "parse, change and print a document", sizes: (15, 40), ..RUST },
    Job { name: "words", about: "count words in hash maps", sizes: (1_500_000, 6_000_000), ..RUST },
    Job {
        name: "grep",
        about: "search a generated text by regular expressions",
        sizes: (300_000, 2_000_000),
        ..RUST
    },
    Job {
        name: "tree",
        about: "ordered maps of strings that come and go",
        sizes: (800_000, 5_000_000),
        ..RUST
    },
];

fn stress(place: &Place) -> Plan {
    Plan::of([Step::subject([place.binary("stress"), place.name.into(), place.size.to_string()])])
}

fn rust(place: &Place) -> Plan {
    Plan::of([Step::subject([place.binary(place.name), place.size.to_string()])])
}
