//! How long single calls take: the usual one, and the rare slow one.
//!
//! Blocks with sizes from a power law are allocated, grown and freed at random, and
//! each call is timed by itself. What the load does with a block, the first touch of
//! its pages among it, is outside. Every load runs twice in one process: `cold` from
//! nothing, where calls pay for memory that the allocator gets and touches first, and
//! `warm` after all has been freed, on memory that is mostly there. What `cold` has
//! above `warm` is page faults and calls of the kernel.
//!
//! The clock takes some 30 ns, which is in every figure. A worst case has whatever
//! the scheduler did in it, so only those of several rounds together mean something.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use hdrhistogram::Histogram;

use super::block::Block;
use super::figures::figure;
use super::small::power;
use super::threads::{joined, locked};

/// The kinds of calls.
const KINDS: [&str; 3] = ["malloc", "free", "realloc"];
/// Blocks that each thread holds.
const HELD: usize = 30_000;

/// Times by kind of call, in nanoseconds.
struct Times([Histogram<u64>; 3]);

impl Times {
    fn new() -> Times {
        // From 1 ns to 10 s with three digits. All memory is taken here.
        let make = || match Histogram::new_with_bounds(1, 10_000_000_000, 3) {
            Ok(histogram) => histogram,
            Err(error) => panic!("{error}"),
        };
        Times([make(), make(), make()])
    }

    fn note(&mut self, kind: usize, time: Duration) {
        self.0[kind].saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    fn add(&mut self, other: &Times) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            assert!(own.add(other).is_ok(), "both have the same bounds");
        }
    }

    /// Prints the quantiles in microseconds.
    fn tell(&self, pass: &str) {
        for (kind, histogram) in KINDS.iter().zip(&self.0) {
            let quantiles = [("p50", 0.5), ("p99", 0.99), ("p99.99", 0.9999), ("worst", 1.0)];
            for (name, quantile) in quantiles {
                let nanos = Duration::from_nanos(histogram.value_at_quantile(quantile));
                figure(&format!("{pass}_{kind}_{name}_us"), nanos.as_secs_f64() * 1e6);
            }
        }
    }
}

/// `amount` thousand turns of one thread, cold and warm.
pub(crate) fn alone(amount: u64) -> u64 {
    let pass = |name: &str| {
        let (sum, times) = turns(amount, 1, None);
        times.tell(name);
        sum
    };
    pass("cold") ^ pass("warm").rotate_left(1)
}

/// The same by two threads, which swap one block in eight, so that many calls free
/// what the other thread has allocated.
pub(crate) fn shared(amount: u64) -> u64 {
    const SHARED: usize = 1_000;
    let pass = |name: &str| {
        let table: Vec<Mutex<Option<Block>>> = (0..SHARED).map(|_| Mutex::default()).collect();
        let (mut sum, mut all) = (0u64, Times::new());
        thread::scope(|scope| {
            let table = &table;
            let threads = [1, 2].map(|seed| scope.spawn(move || turns(amount, seed, Some(table))));
            for thread in threads {
                let (own, times) = joined(thread.join());
                sum = sum.wrapping_add(own);
                all.add(&times);
            }
        });
        all.tell(name);
        let left = table.into_iter().filter_map(|place| place.into_inner().unwrap_or_default());
        left.map(Block::free).fold(sum, u64::wrapping_add)
    };
    pass("cold") ^ pass("warm").rotate_left(1)
}

fn turns(amount: u64, seed: u64, table: Option<&Vec<Mutex<Option<Block>>>>) -> (u64, Times) {
    let mut random = Rng::with_seed(seed);
    let mut times = Times::new();
    let mut sum = 0u64;
    let mut held: Vec<Block> = Vec::with_capacity(HELD);
    let mut free = |block: Block, times: &mut Times| {
        let (part, time) = block.free_timed();
        times.note(1, time);
        sum = sum.wrapping_add(part);
    };
    for turn in 0..amount * 1_000 {
        let (block, time) = Block::new_timed(power(&mut random), turn);
        times.note(0, time);
        if held.len() < HELD {
            held.push(block);
            continue;
        }
        let place = &mut held[random.usize(..HELD)];
        let old = std::mem::replace(place, block);
        match (random.u8(..16), table) {
            (0..2, _) => {
                let size = place.size() + place.size() / 2;
                times.note(2, place.resize_timed(size));
                free(old, &mut times);
            }
            (2..4, Some(table)) => {
                let other = locked(&table[random.usize(..table.len())]).replace(old);
                other.into_iter().for_each(|block| free(block, &mut times));
            }
            _ => free(old, &mut times),
        }
    }
    held.into_iter().for_each(|block| free(block, &mut times));
    (sum, times)
}
