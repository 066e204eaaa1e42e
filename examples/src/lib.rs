//! One program, and a choice of allocators.
//!
//! ```text
//! cd examples
//! cargo build --release --features jemalloc,mimalloc,snmalloc
//! cargo run --release
//! ```
//!
//! Without the features there are two to compare, the system's and Allod, and
//! no C compiler is needed.
//!
//! Swapping an allocator is one `static`, so each program in `src/bin/` is that
//! and a call of [`run`]. They are separate programs because a program has one
//! global allocator, chosen when it is built. `swap_allocators` runs those that
//! have been built, one after the other, and prints a line for each:
//!
//! * **time**, the least of three runs: the least is the one that the rest of the
//!   machine disturbed least.
//! * **peak**: the most memory that the process had at one moment, as the kernel
//!   counts it (`VmHWM`). The program itself counts, some megabytes.
//! * **after**: what the process still has when all is dropped, and it has been
//!   nearly idle for a second. An allocator that keeps memory has it at hand for
//!   what comes next; one that gives it back leaves it to others.
//!
//! # What not to conclude
//!
//! That one of them is the fastest. This is one program, of four kinds of work
//! that are known for being hard on allocators; yours is another. The way to
//! find out is the same for yours as for this one: swap the line, and measure.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Does the work under the allocator of the program that calls, and prints what
/// it took: milliseconds, and the two figures of memory in KiB.
pub fn run() {
    let start = Instant::now();
    let sum = texts() + tree(18) + growth() + handed_over();
    let time = start.elapsed();
    assert_eq!(sum, 7_147_196, "the work does not depend on the allocator");
    let peak = memory("VmHWM:");
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(100));
        drop(black_box(vec![0_u8; 1000]));
    }
    println!("{:.1} {peak} {}", time.as_secs_f64() * 1000.0, memory("VmRSS:"));
}

/// Texts of many sizes, which go in another order than they came.
fn texts() -> u64 {
    let mut texts = BTreeMap::new();
    let mut sum = 0;
    for i in 0..300_000_u64 {
        texts.insert(i * 7919 % 50_000, "x".repeat(i as usize % 200));
        if i % 3 == 0
            && let Some((_, text)) = texts.pop_first()
        {
            sum += text.len() as u64 % 10;
        }
    }
    sum
}

/// A node of a tree, and its two branches.
struct Node(Option<[Box<Node>; 2]>);

impl Node {
    fn new(depth: u32) -> Box<Self> {
        let branches = (depth > 0).then(|| [Self::new(depth - 1), Self::new(depth - 1)]);
        Box::new(Self(branches))
    }

    fn count(&self) -> u64 {
        1 + self.0.iter().flatten().map(|branch| branch.count()).sum::<u64>()
    }
}

/// Small objects of one size, all at once, several times over.
fn tree(depth: u32) -> u64 {
    (0..4).map(|_| Node::new(depth).count()).sum()
}

/// Vectors that grow from nothing to megabytes, some of them side by side.
fn growth() -> u64 {
    let mut vectors = vec![Vec::new(); 16];
    for i in 0..4_000_000_u64 {
        vectors[i as usize % 16].push(i);
    }
    vectors.iter().map(|vector| vector.len() as u64).sum()
}

/// Three threads make what a fourth drops.
fn handed_over() -> u64 {
    let (send, receive) = mpsc::sync_channel::<Vec<u8>>(1000);
    for maker in 1..=3_usize {
        let send = send.clone();
        thread::spawn(move || {
            for i in 0..200_000 {
                let object = vec![1; (i * maker) % 300 + 1];
                send.send(object).expect("the receiver takes all of them");
            }
        });
    }
    drop(send);
    receive.iter().map(|object| u64::from(object[0])).sum()
}

/// A figure of the kernel's about this process, in KiB.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let digits = line.and_then(|line| line.split_whitespace().next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
