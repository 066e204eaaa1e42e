//! More threads than processors, and blocks that go from one to another.
//!
//! | load | threads | what goes from thread to thread |
//! |---|---|---|
//! | xmalloc | 4 allocate, 4 free | batches through one bounded queue, of many sizes |
//! | rptest | 8 | of each round's blocks a part, freed at random by somebody else |
//! | mstress | 8, made anew for each phase | blocks up to a MiB, swapped through a shared table |
//! | crowd | 16 on what there is | now and then one block |

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::thread;

use fastrand::Rng;

use super::block::Block;
use super::small::{power, small};
use super::threads::{joined, locked};

/// A queue that makes both sides wait.
struct Queue {
    /// The batches, and how many threads still fill.
    state: Mutex<(VecDeque<Vec<Block>>, usize)>,
    changed: Condvar,
}

impl Queue {
    /// Batches that may wait.
    const ROOM: usize = 32;

    fn put(&self, batch: Vec<Block>) {
        let mut state = self
            .changed
            .wait_while(locked(&self.state), |(batches, _)| batches.len() >= Queue::ROOM)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        state.0.push_back(batch);
        self.changed.notify_all();
    }

    fn take(&self) -> Option<Vec<Block>> {
        let mut state = self
            .changed
            .wait_while(locked(&self.state), |(batches, fillers)| {
                batches.is_empty() && *fillers > 0
            })
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let batch = state.0.pop_front();
        self.changed.notify_all();
        batch
    }

    fn leave(&self) {
        locked(&self.state).1 -= 1;
        self.changed.notify_all();
    }
}

/// `amount` batches in all go from four threads that allocate to four that free.
pub(crate) fn xmalloc(amount: u64) -> u64 {
    const SIDE: u64 = 4;
    const BATCH: u64 = 256;
    let queue =
        Queue { state: Mutex::new((VecDeque::new(), SIDE as usize)), changed: Condvar::new() };
    let fill = |me: u64| {
        let mut random = Rng::with_seed(me);
        for turn in 0..amount / SIDE {
            queue.put((0..BATCH).map(|i| Block::new(small(&mut random), turn ^ i)).collect());
        }
        queue.leave();
    };
    let empty = || {
        let batches = std::iter::from_fn(|| queue.take());
        batches.flatten().map(Block::free).fold(0, u64::wrapping_add)
    };
    thread::scope(|scope| {
        let fill = &fill;
        (0..SIDE).for_each(|me| drop(scope.spawn(move || fill(me))));
        let takers: Vec<_> = (0..SIDE).map(|_| scope.spawn(empty)).collect();
        takers.into_iter().map(|thread| joined(thread.join())).fold(0, u64::wrapping_add)
    })
}

/// Eight threads, `amount` rounds each. A round replaces a part of the thread's
/// blocks, of sizes up to 16 KiB, in random places, and puts another part into
/// the neighbour's box, which frees it at its own time.
pub(crate) fn rptest(amount: u64) -> u64 {
    const THREADS: usize = 8;
    const HELD: usize = 1_500;
    const REPLACED: usize = 500;
    const GIVEN: usize = 150;
    /// Blocks that wait in one box. When a neighbour is that late, nothing is given.
    const WAITING: usize = 4 * GIVEN;
    let boxes: Vec<Mutex<Vec<Block>>> = (0..THREADS).map(|_| Mutex::default()).collect();
    let work = |me: usize| {
        let mut random = Rng::with_seed(me as u64);
        let mut size = move || match random.u8(..16) {
            0..12 => (16 + random.usize(..1_000), random.usize(..HELD)),
            12..15 => (16 + random.usize(..4_000), random.usize(..HELD)),
            _ => (16 + random.usize(..16_000), random.usize(..HELD)),
        };
        let mut held: Vec<Block> = (0..HELD).map(|i| Block::new(size().0, i as u64)).collect();
        let mut sum = 0u64;
        for round in 0..amount {
            for _ in 0..REPLACED {
                let (bytes, place) = size();
                let old = std::mem::replace(&mut held[place], Block::new(bytes, round));
                sum = sum.wrapping_add(old.free());
            }
            let given: Vec<Block> = (0..GIVEN)
                .map(|_| {
                    let (bytes, place) = size();
                    std::mem::replace(&mut held[place], Block::new(bytes, round))
                })
                .collect();
            let mut waiting = locked(&boxes[(me + 1) % THREADS]);
            let late = waiting.len() > WAITING;
            let own = if late {
                given
            } else {
                waiting.extend(given);
                Vec::new()
            };
            drop(waiting);
            sum = own.into_iter().map(Block::free).fold(sum, u64::wrapping_add);
            let found = std::mem::take(&mut *locked(&boxes[me]));
            sum = found.into_iter().map(Block::free).fold(sum, u64::wrapping_add);
        }
        held.into_iter().map(Block::free).fold(sum, u64::wrapping_add)
    };
    let sum: u64 = thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..THREADS).map(|me| scope.spawn(move || work(me))).collect();
        threads.into_iter().map(|thread| joined(thread.join())).fold(0, u64::wrapping_add)
    });
    let left = boxes.into_iter().flat_map(|left| left.into_inner().unwrap_or_default());
    left.map(Block::free).fold(sum, u64::wrapping_add)
}

/// `amount` phases, each with eight new threads. A thread makes blocks, one in a
/// hundred of them a hundred times as large and a few a thousand times, keeps some
/// to the end of its life, and swaps others into a table that outlives the phase.
pub(crate) fn mstress(amount: u64) -> u64 {
    const THREADS: u64 = 8;
    const TURNS: usize = 6_000;
    const SHARED: usize = 1_000;
    const SEEDS: u64 = 1 << 20;
    let table: Vec<Mutex<Option<Block>>> = (0..SHARED).map(|_| Mutex::default()).collect();
    let life = |seed: u64| {
        let mut random = Rng::with_seed(seed);
        let mut kept = Vec::new();
        let mut sum = 0u64;
        for turn in 0..TURNS {
            let words = 1 + random.usize(..32);
            let words = match random.u16(..1_000) {
                0 => words * 1_000,
                1..10 => words * 100,
                _ => words,
            };
            let block = Block::new(words * 8, seed ^ turn as u64);
            block.touch(0);
            match random.u8(..8) {
                0..3 => kept.push(block),
                3..6 => sum = sum.wrapping_add(block.free()),
                _ => {
                    let old = locked(&table[random.usize(..SHARED)]).replace(block);
                    sum = sum.wrapping_add(old.map_or(0, Block::free));
                }
            }
            if kept.len() > 500 {
                let place = random.usize(..kept.len());
                sum = sum.wrapping_add(kept.swap_remove(place).free());
            }
        }
        kept.into_iter().map(Block::free).fold(sum, u64::wrapping_add)
    };
    let mut sum = 0u64;
    for phase in 0..amount {
        sum = thread::scope(|scope| {
            let life = &life;
            let threads: Vec<_> =
                (0..THREADS).map(|me| scope.spawn(move || life(phase * SEEDS + me))).collect();
            threads.into_iter().map(|thread| joined(thread.join())).fold(sum, u64::wrapping_add)
        });
    }
    let left = table.into_iter().filter_map(|place| place.into_inner().unwrap_or_default());
    left.map(Block::free).fold(sum, u64::wrapping_add)
}

/// Sixteen threads, `amount` thousand turns each, on as many processors as there
/// are: each replaces blocks of its own at random, so that a thread which holds a
/// lock is often one that does not run.
pub(crate) fn crowd(amount: u64) -> u64 {
    const THREADS: usize = 16;
    const HELD: usize = 600;
    let boxes: Vec<Mutex<Option<Block>>> = (0..THREADS).map(|_| Mutex::default()).collect();
    let work = |me: usize| {
        let mut random = Rng::with_seed(me as u64);
        let mut held: Vec<Block> =
            (0..HELD).map(|i| Block::new(small(&mut random), i as u64)).collect();
        let mut sum = 0u64;
        for turn in 0..amount * 1_000 {
            let new = Block::new(small(&mut random), turn);
            let old = std::mem::replace(&mut held[random.usize(..HELD)], new);
            if turn % 64 == 0 {
                let other = locked(&boxes[random.usize(..THREADS)]).replace(old);
                sum = sum.wrapping_add(other.map_or(0, Block::free));
            } else {
                sum = sum.wrapping_add(old.free());
            }
        }
        held.into_iter().map(Block::free).fold(sum, u64::wrapping_add)
    };
    let sum: u64 = thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..THREADS).map(|me| scope.spawn(move || work(me))).collect();
        threads.into_iter().map(|thread| joined(thread.join())).fold(0, u64::wrapping_add)
    });
    let left = boxes.into_iter().filter_map(|left| left.into_inner().unwrap_or_default());
    left.map(Block::free).fold(sum, u64::wrapping_add)
}

/// One thread replaces `amount` thousand blocks at random, whose sizes follow a
/// power law: half below 32 bytes, one in a thousand above 8 KiB.
pub(crate) fn powerlaw(amount: u64) -> u64 {
    const HELD: usize = 20_000;
    let mut random = Rng::with_seed(0x9A3E);
    let mut held: Vec<Block> =
        (0..HELD).map(|i| Block::new(power(&mut random), i as u64)).collect();
    let mut sum = 0u64;
    for turn in 0..amount * 1_000 {
        let new = Block::new(power(&mut random), turn);
        let old = std::mem::replace(&mut held[random.usize(..HELD)], new);
        sum = sum.wrapping_add(old.free());
    }
    held.into_iter().map(Block::free).fold(sum, u64::wrapping_add)
}
