//! `stress`: loads on `malloc` and `free`, each known to break some allocator.
//!
//! The classics of the field, written anew from their published descriptions:
//!
//! | load | what it does | what it is hard on |
//! |---|---|---|
//! | larson | threads replace blocks at random and leave them to successors | blocks whose owner is gone |
//! | handoff | one thread allocates, another frees | central locks, mailboxes |
//! | lifo, fifo | batches freed backwards, forwards | order in free lists |
//! | phases | sixteen threads, each phase has other sizes, a few blocks outlive it | memory bound to a class |
//! | large | blocks of 1 to 32 MiB come and go | giving back and getting again |
//! | grow | one block grows to its size | copies, double memory |
//!
//! Each does a fixed number of operations, not a fixed time, so that CPU time
//! compares. All blocks are written to, and checked before they are freed. The
//! checksum depends on the sizes and contents alone.
//!
//! ```text
//!   stress LOAD AMOUNT
//! ```
//!
//! Everything goes through C's `malloc`, `realloc` and `free`, so a preloaded
//! library serves it. Standard containers here use the same functions.

mod big;
mod block;
mod small;
mod threads;

use std::process::ExitCode;

/// A load: takes an amount, returns a checksum.
type Load = fn(u64) -> u64;

/// The table of loads.
const LOADS: [(&str, Load); 7] = [
    ("larson", threads::larson),
    ("handoff", threads::handoff),
    ("lifo", small::lifo),
    ("fifo", small::fifo),
    ("phases", threads::phases),
    ("large", big::large),
    ("grow", big::grow),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let load = arguments.next().and_then(|name| LOADS.iter().find(|(known, _)| *known == name));
    let amount = arguments.next().and_then(|text| text.parse().ok());
    let (Some((name, load)), Some(amount)) = (load, amount) else {
        let names = LOADS.map(|(name, _)| name).join(" | ");
        eprintln!("usage: stress {names} AMOUNT");
        return ExitCode::from(2);
    };
    println!("{name} {amount}: checksum {:016x}", load(amount));
    ExitCode::SUCCESS
}
