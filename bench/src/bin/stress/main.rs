//! `stress`: loads on `malloc` and `free`, each known to break some allocator.
//!
//! The classics of the field, written anew from their published descriptions:
//!
//! | load | what it does | what it is hard on |
//! |---|---|---|
//! | larson | threads replace blocks at random and leave them to successors | blocks whose owner is gone |
//! | handoff, xmalloc | some threads allocate, others free | central locks, mailboxes |
//! | rptest, crowd | threads free what others allocated, more of them than processors | hoards, waiting for one that sleeps |
//! | mstress | mixed sizes, some giant, in threads that are made anew | coarse spans |
//! | lifo, fifo | batches freed backwards, forwards | order in free lists |
//! | powerlaw | sizes from a power law, replaced at random | the choice of classes |
//! | phases | sixteen threads, each phase has other sizes, a few blocks outlive it | memory bound to a class |
//! | fractions, trees | big numbers; trees of small nodes | the fast path |
//! | large, grow | blocks of many MiB come and go; one grows | giving back and getting again |
//! | scratch, thrash | threads write to small blocks | lines that two threads share |
//!
//! And what is meant to find the weak places, most of it in memory:
//!
//! | load | what it does | what should be small |
//! |---|---|---|
//! | sawtooth | all is freed, then other sizes are wanted | peak over live |
//! | pins | one block in 64 KiB survives | resident for each, two seconds later |
//! | ebb | one block in twenty survives | resident over live, two seconds later |
//! | drain | a thread only frees | peak over live |
//! | sleepers | thousands of threads allocate a little and sleep | resident for each |
//! | churn, teardown | short threads; threads that free in their last moment | growth, time |
//! | creep, double | a block grows by 8 bytes; a block doubles | copies, peak over live |
//! | alternate | 2 MiB come and go | page faults |
//! | edges, aligned | sizes around those of classes; every alignment | peak over live |
//!
//! Two more time each call (`latency.rs`), and one starts many small processes
//! (`startup.rs`).
//!
//! Each does a fixed number of operations, not a fixed time, so that CPU time
//! compares. All blocks are written to, and checked before they are freed. The
//! checksum depends on the sizes and contents alone. What depends on the
//! allocator is printed as figures (`figures.rs`).
//!
//! ```text
//!   stress LOAD AMOUNT
//! ```
//!
//! Everything goes through C's `malloc`, `realloc` and `free`, so a preloaded
//! library serves it. Standard containers here use the same functions.

mod big;
mod block;
mod crowd;
mod figures;
mod latency;
mod lines;
mod lives;
mod objects;
mod sawtooth;
mod sizes;
mod small;
mod startup;
mod threads;

use std::process::ExitCode;

/// A load: takes an amount, returns a checksum.
type Load = fn(u64) -> u64;

/// The table of loads.
const LOADS: &[(&str, Load)] = &[
    ("larson", threads::larson),
    ("handoff", threads::handoff),
    ("xmalloc", crowd::xmalloc),
    ("rptest", crowd::rptest),
    ("mstress", crowd::mstress),
    ("crowd", crowd::crowd),
    ("powerlaw", crowd::powerlaw),
    ("lifo", small::lifo),
    ("fifo", small::fifo),
    ("phases", threads::phases),
    ("fractions", objects::fractions),
    ("trees", objects::trees),
    ("large", big::large),
    ("grow", big::grow),
    ("scratch", lines::scratch),
    ("thrash", lines::thrash),
    ("sawtooth", sawtooth::sawtooth),
    ("pins", sawtooth::pins),
    ("ebb", sawtooth::ebb),
    ("drain", sawtooth::drain),
    ("sleepers", lives::sleepers),
    ("churn", lives::churn),
    ("teardown", lives::teardown),
    ("creep", big::creep),
    ("double", big::double),
    ("alternate", big::alternate),
    ("edges", sizes::edges),
    ("aligned", sizes::aligned),
    ("startup", startup::startup),
    ("tiny", startup::tiny),
    ("latency", latency::alone),
    ("latency-shared", latency::shared),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let load = arguments.next().and_then(|name| LOADS.iter().find(|(known, _)| *known == name));
    let amount = arguments.next().and_then(|text| text.parse().ok());
    let (Some((name, load)), Some(amount)) = (load, amount) else {
        let names: Vec<_> = LOADS.iter().map(|(name, _)| *name).collect();
        eprintln!("usage: stress {} AMOUNT", names.join(" | "));
        return ExitCode::from(2);
    };
    println!("{name} {amount}: checksum {:016x}", load(amount));
    figures::figure("peak_mib", figures::times(figures::peak(), figures::MIB));
    ExitCode::SUCCESS
}
