//! Loads with many threads.

use std::sync::{Barrier, Mutex, mpsc};
use std::thread;

use fastrand::Rng;

use super::block::Block;
use super::small::small;

/// `amount` generations of threads in two lanes. A thread gets a thousand
/// blocks from the one before it, replaces one at random fifty thousand times,
/// leaves all to its successor, and ends. So most blocks that a thread frees
/// were allocated by one that is gone.
pub(crate) fn larson(amount: u64) -> u64 {
    const LANES: u64 = 2;
    const HELD: usize = 1_000;
    const TURNS: u64 = 50_000;
    let lane = |lane: u64| {
        let mut random = Rng::with_seed(lane);
        let mut held: Vec<Block> =
            (0..HELD).map(|i| Block::new(small(&mut random), i as u64)).collect();
        let mut sum = 0u64;
        for _ in 0..amount {
            let life = thread::spawn(move || {
                for turn in 0..TURNS {
                    let new = Block::new(small(&mut random), turn ^ lane);
                    let place = &mut held[random.usize(..HELD)];
                    sum = sum.wrapping_add(std::mem::replace(place, new).free());
                }
                (random, held, sum)
            });
            (random, held, sum) = joined(life.join());
        }
        held.into_iter().map(Block::free).fold(sum, u64::wrapping_add)
    };
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|i| scope.spawn(move || lane(i))).collect();
        lanes.into_iter().map(|lane| joined(lane.join())).fold(0, u64::wrapping_add)
    })
}

/// `amount` batches of 500 blocks go from a thread that allocates to one that
/// frees, at most eight of them on the way at once.
pub(crate) fn handoff(amount: u64) -> u64 {
    const BATCH: u64 = 500;
    const WAITING: usize = 8;
    let (give, take) = mpsc::sync_channel::<Vec<Block>>(WAITING);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut random = Rng::with_seed(0x4A2D);
            for turn in 0..amount {
                let batch = (0..BATCH).map(|i| Block::new(small(&mut random), turn ^ i)).collect();
                assert!(give.send(batch).is_ok(), "the other side waits");
            }
        });
        take.iter().flatten().map(Block::free).fold(0, u64::wrapping_add)
    })
}

/// Sixteen threads go through `amount` phases together. In each they fill
/// memory with blocks of the phase's own sizes and free all but one in
/// thirty-two. Those survive for two phases, and then another thread frees them.
pub(crate) fn phases(amount: u64) -> u64 {
    const THREADS: usize = 16;
    const BLOCKS: usize = 4_000;
    const SURVIVORS: usize = 32;
    let barrier = Barrier::new(THREADS);
    // One box a thread: what its neighbour leaves for it to free.
    let boxes: Vec<Mutex<Vec<Block>>> = (0..THREADS).map(|_| Mutex::default()).collect();
    let thread = |me: usize| {
        let mut random = Rng::with_seed(me as u64);
        let mut sum = 0u64;
        let mut old: Vec<Block> = Vec::new();
        for phase in 0..amount {
            // 16 bytes in the first phase, then 48, 144, 432, 1296, and again.
            let least = 16 * 3usize.pow(u32::try_from(phase % 5).unwrap_or(0));
            let mut live: Vec<Block> = (0..BLOCKS)
                .map(|i| Block::new(least + random.usize(..least), phase ^ i as u64))
                .collect();
            random.shuffle(&mut live);
            let survivors = live.split_off(BLOCKS - BLOCKS / SURVIVORS);
            sum = live.into_iter().map(Block::free).fold(sum, u64::wrapping_add);
            barrier.wait();
            locked(&boxes[(me + 1) % THREADS]).append(&mut old);
            old = survivors;
            barrier.wait();
            let left = std::mem::take(&mut *locked(&boxes[me]));
            sum = left.into_iter().map(Block::free).fold(sum, u64::wrapping_add);
        }
        old.into_iter().map(Block::free).fold(sum, u64::wrapping_add)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|me| scope.spawn(move || thread(me))).collect();
        threads.into_iter().map(|thread| joined(thread.join())).fold(0, u64::wrapping_add)
    })
}

/// The lock's content. Nobody panics while holding one.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A thread's result; its panic becomes ours.
pub(crate) fn joined<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
