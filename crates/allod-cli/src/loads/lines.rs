//! Cache lines that two threads share without knowing.
//!
//! An allocator that gives neighbouring small blocks to different threads makes
//! each write of one evict the line of the other. Both probes do nothing but
//! write, so whatever they cost above the best is that.

use std::sync::Barrier;
use std::thread;

use super::block::Block;
use super::threads::joined;

/// Threads. One a processor is enough to see it.
const THREADS: u64 = 2;
/// Writes into a block before the next is allocated.
const WRITES: u64 = 2_000;
/// A block smaller than a cache line.
const SIZE: usize = 8;

/// Each thread allocates its own small block, writes to it, frees it, `amount` times.
pub(crate) fn thrash(amount: u64) -> u64 {
    run(amount, |_| None)
}

/// The same, but each thread begins by freeing a block that the main thread
/// allocated next to those of the others.
pub(crate) fn scratch(amount: u64) -> u64 {
    run(amount, |me| Some(Block::new(SIZE, me)))
}

fn run(amount: u64, first: fn(u64) -> Option<Block>) -> u64 {
    let barrier = Barrier::new(usize::try_from(THREADS).unwrap_or(1));
    let given: Vec<Option<Block>> = (0..THREADS).map(first).collect();
    let work = |me: u64, given: Option<Block>| {
        barrier.wait();
        let mut sum = given.map_or(0, Block::free);
        for turn in 0..amount {
            let block = Block::new(SIZE, me ^ turn);
            (0..WRITES).for_each(|_| block.touch(0));
            sum = sum.wrapping_add(block.free());
        }
        sum
    };
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..THREADS)
            .zip(given)
            .map(|(me, given)| scope.spawn(move || work(me, given)))
            .collect();
        threads.into_iter().map(|thread| joined(thread.join())).fold(0, u64::wrapping_add)
    })
}
