//! Our own loads: the binary `stress`, and the Rust programs of `programs/`.
//!
//! Each takes an amount and prints a checksum that must not depend on the
//! allocator. Lines `figure NAME VALUE` beside it may.

use crate::job::{Job, Place, Suite, USUAL};
use crate::plan::{Plan, Step};

/// A row of the suite `stress`. The name is the subcommand.
const STRESS: Job = Job { suite: Suite::Stress, plan: stress, scrub: FIGURES, limit: 40, ..USUAL };
/// A row of the suite `adverse`. The name is the subcommand here too.
const ADVERSE: Job = Job { suite: Suite::Adverse, ..STRESS };
/// A row of the suite `rust`. The name is the binary.
const RUST: Job = Job { suite: Suite::Rust, plan: rust, scrub: FIGURES, ..USUAL };
/// Figures are no part of the answer.
const FIGURES: &[(&str, &str)] = &[(r"(?m)^figure .*\n?", "")];

/// The rows.
pub(super) const JOBS: &[Job] = &[
    Job {
        name: "larson",
        about: "threads replace blocks at random and leave them to their successors",
        sizes: (150, 400),
        ..STRESS
    },
    Job {
        name: "handoff",
        about: "one thread allocates, another frees",
        sizes: (6_000, 25_000),
        ..STRESS
    },
    Job {
        name: "xmalloc",
        about: "four threads allocate, four free",
        sizes: (6_000, 25_000),
        ..STRESS
    },
    Job {
        name: "rptest",
        about: "eight threads free what their neighbours allocated, at random",
        sizes: (150, 1_500),
        ..STRESS
    },
    Job {
        name: "mstress",
        about: "small and giant blocks in eight threads that are made anew",
        sizes: (40, 200),
        ..STRESS
    },
    Job {
        name: "crowd",
        about: "sixteen threads on as many processors as there are",
        sizes: (300, 1_800),
        ..STRESS
    },
    Job {
        name: "powerlaw",
        about: "blocks are replaced at random, their sizes follow a power law",
        sizes: (3_000, 12_000),
        ..STRESS
    },
    Job {
        name: "lifo",
        about: "batches are freed from the last block to the first",
        sizes: (3_000, 14_000),
        ..STRESS
    },
    Job {
        name: "fifo",
        about: "batches are freed from the first block to the last",
        sizes: (3_000, 14_000),
        ..STRESS
    },
    Job {
        name: "phases",
        about: "sixteen threads, phases of other sizes, a few blocks outlive each",
        sizes: (30, 90),
        ..STRESS
    },
    Job {
        name: "fractions",
        about: "continued fractions of roots in big numbers",
        sizes: (6_000, 30_000),
        ..STRESS
    },
    Job {
        name: "trees",
        about: "trees of small nodes, one long-lived, many short-lived",
        sizes: (8, 40),
        ..STRESS
    },
    Job { name: "large", about: "blocks of 1 to 32 MiB come and go", sizes: (150, 600), ..STRESS },
    Job {
        name: "grow",
        about: "one block grows step by step to its size in MiB",
        sizes: (256, 1024),
        ..STRESS
    },
    Job {
        name: "scratch",
        about: "two threads write to small blocks, the first from the main thread",
        sizes: (60_000, 250_000),
        ..STRESS
    },
    Job {
        name: "thrash",
        about: "two threads write to small blocks of their own",
        sizes: (60_000, 250_000),
        ..STRESS
    },
    Job {
        name: "sawtooth",
        about: "all is freed, and then blocks of another size are wanted",
        sizes: (12, 60),
        ..ADVERSE
    },
    Job {
        name: "pins",
        about: "one block survives in each 64 KiB, and two seconds pass",
        sizes: (64, 256),
        ..ADVERSE
    },
    Job {
        name: "ebb",
        about: "one block in twenty survives, and two seconds pass",
        sizes: (64, 256),
        ..ADVERSE
    },
    Job {
        name: "drain",
        about: "one thread allocates, another has never done anything but free",
        sizes: (15, 50),
        ..ADVERSE
    },
    Job {
        name: "sleepers",
        about: "threads allocate 1 KiB each and sleep",
        sizes: (2_000, 10_000),
        ..ADVERSE
    },
    Job {
        name: "churn",
        about: "threads that live for twenty blocks",
        sizes: (4_000, 15_000),
        ..ADVERSE
    },
    Job {
        name: "teardown",
        about: "threads whose locals free and allocate when they end",
        sizes: (3_000, 8_000),
        ..ADVERSE
    },
    Job {
        name: "creep",
        about: "a block grows by eight bytes at a time to 4 MiB",
        sizes: (10, 60),
        ..ADVERSE
    },
    Job {
        name: "double",
        about: "a block doubles to its size in MiB",
        sizes: (256, 1024),
        ..ADVERSE
    },
    Job {
        name: "alternate",
        about: "2 MiB are allocated, written and freed",
        sizes: (500, 20_000),
        ..ADVERSE
    },
    Job {
        name: "edges",
        about: "sizes one byte above and below those of classes",
        sizes: (4, 12),
        ..ADVERSE
    },
    Job {
        name: "aligned",
        about: "every alignment from 16 bytes to 64 MiB",
        sizes: (50, 400),
        ..ADVERSE
    },
    Job {
        name: "startup",
        about: "a process that allocates five blocks, one after the other",
        sizes: (50, 150),
        suite: Suite::Startup,
        ..STRESS
    },
    Job {
        name: "latency",
        about: "each call of one thread is timed",
        sizes: (300, 2_000),
        suite: Suite::Latency,
        ..STRESS
    },
    Job {
        name: "latency-shared",
        about: "each call of two threads is timed, which free each other's blocks",
        sizes: (200, 1_000),
        suite: Suite::Latency,
        ..STRESS
    },
    Job {
        name: "push",
        about: "a vector grows by push to its size in MiB",
        sizes: (256, 1024),
        ..RUST
    },
    Job { name: "strings", about: "text is built up and taken apart", sizes: (60, 500), ..RUST },
    Job {
        name: "rehash",
        about: "hash maps of many sizes grow from nothing",
        sizes: (30, 120),
        ..RUST
    },
    Job { name: "shapes", about: "trees of boxed trait objects", sizes: (12_000, 60_000), ..RUST },
    Job {
        name: "channels",
        about: "shared values go through channels to three readers",
        sizes: (100, 1_000),
        ..RUST
    },
    Job { name: "tasks", about: "trees of short asynchronous tasks", sizes: (150, 600), ..RUST },
    Job {
        name: "tokio_echo",
        about: "a server and its clients over loopback",
        sizes: (60_000, 130_000),
        ..RUST
    },
    Job {
        name: "rayon_sort",
        about: "parallel sorts of strings",
        sizes: (1_000_000, 1_500_000),
        ..RUST
    },
    Job { name: "json", about: "parse, change and print a document", sizes: (15, 20), ..RUST },
    Job { name: "words", about: "count words in hash maps", sizes: (1_500_000, 2_000_000), ..RUST },
    Job {
        name: "grep",
        about: "search a generated text by regular expressions",
        sizes: (300_000, 600_000),
        ..RUST
    },
    Job {
        name: "tree",
        about: "ordered maps of strings that come and go",
        sizes: (800_000, 1_800_000),
        ..RUST
    },
];

fn stress(place: &Place) -> Plan {
    Plan::of([Step::subject([place.binary("stress"), place.name.into(), place.size.to_string()])])
}

fn rust(place: &Place) -> Plan {
    Plan::of([Step::subject([place.binary(place.name), place.size.to_string()])])
}
