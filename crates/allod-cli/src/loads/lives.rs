//! Threads that come, go, or sleep.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

use fastrand::Rng;

use super::block::Block;
use super::figures::{figure, resident, times};
use super::small::small;
use super::threads::{joined, locked};

/// Bytes of a thread's stack. Only what is touched is resident.
const STACK: usize = 64 << 10;

/// `amount` threads: each allocates 1 KiB in eight blocks of its own sizes and
/// sleeps. What is resident for each, its stack included?
pub(crate) fn sleepers(amount: u64) -> u64 {
    const BLOCKS: usize = 8;
    let Ok(count) = usize::try_from(amount) else { panic!("{amount} threads are too many") };
    let before = resident();
    let (started, asleep, end) =
        (Barrier::new(count + 1), Barrier::new(count + 1), Barrier::new(count + 1));
    let sum = Mutex::new(0u64);
    let sleeper = |me: usize| {
        started.wait();
        let blocks: Vec<Block> =
            (0..BLOCKS).map(|i| Block::new(16 << (i % 5), (me + i) as u64)).collect();
        asleep.wait();
        end.wait();
        let mine = blocks.into_iter().map(Block::free).fold(0, u64::wrapping_add);
        let mut sum = locked(&sum);
        *sum = sum.wrapping_add(mine);
    };
    thread::scope(|scope| {
        for me in 0..count {
            let sleeper = &sleeper;
            let builder = thread::Builder::new().stack_size(STACK);
            let thread = builder.spawn_scoped(scope, move || sleeper(me));
            assert!(thread.is_ok(), "no thread {me}: {thread:?}");
        }
        started.wait();
        let idle = resident();
        asleep.wait();
        let now = resident();
        figure("kib_per_thread", times(now.saturating_sub(before), count * 1024));
        figure("heap_kib_per_thread", times(now.saturating_sub(idle), count * 1024));
        end.wait();
    });
    *locked(&sum)
}

/// `amount` short threads, two at a time: each allocates a few blocks, frees most,
/// and leaves the last to whoever comes next. Does memory stay as it is?
pub(crate) fn churn(amount: u64) -> u64 {
    const BLOCKS: usize = 20;
    let left: Mutex<Option<Block>> = Mutex::new(None);
    let life = |me: u64| {
        let mut random = Rng::with_seed(me);
        let mut blocks: Vec<Block> =
            (0..BLOCKS).map(|i| Block::new(small(&mut random), me ^ i as u64)).collect();
        let last = blocks.pop();
        let found = std::mem::replace(&mut *locked(&left), last);
        blocks.into_iter().chain(found).map(Block::free).fold(0, u64::wrapping_add)
    };
    let mut sum = 0u64;
    let mut early = 0;
    for pair in 0..amount / 2 {
        sum = thread::scope(|scope| {
            let life = &life;
            let two = [2 * pair, 2 * pair + 1].map(|me| {
                let builder = thread::Builder::new().stack_size(STACK);
                builder.spawn_scoped(scope, move || life(me))
            });
            let ended = two.map(|thread| match thread {
                Ok(thread) => joined(thread.join()),
                Err(error) => panic!("no thread: {error}"),
            });
            ended.into_iter().fold(sum, u64::wrapping_add)
        });
        if pair == amount / 16 {
            early = resident();
        }
    }
    figure("resident_over_early", times(resident(), early.max(1)));
    locked(&left).take().map_or(sum, |block| sum.wrapping_add(block.free()))
}

/// What [`teardown`]'s threads have freed in their last moments.
static LAST: AtomicUsize = AtomicUsize::new(0);

/// Blocks of a thread that go when its locals go, after the allocator may have
/// cleared away its own.
struct Hoard(Vec<Block>);

impl Drop for Hoard {
    fn drop(&mut self) {
        let count = self.0.len();
        for block in self.0.drain(..) {
            block.free();
            // It is late to ask for memory, and must work all the same.
            Block::new(200, 7).free();
        }
        // ORDERING: Relaxed, a count that is read after the threads have ended.
        LAST.fetch_add(count, Ordering::Relaxed);
    }
}

thread_local! {
    /// Two locals, made in one order and dropped in another.
    static FIRST: RefCell<Hoard> = const { RefCell::new(Hoard(Vec::new())) };
    static SECOND: RefCell<Hoard> = const { RefCell::new(Hoard(Vec::new())) };
}

/// `amount` threads whose locals own blocks, and free and allocate as they are
/// dropped.
pub(crate) fn teardown(amount: u64) -> u64 {
    const BLOCKS: usize = 50;
    for me in 0..amount {
        let thread = thread::spawn(move || {
            let mut random = Rng::with_seed(me);
            for i in 0..BLOCKS {
                let block = Block::new(small(&mut random), me ^ i as u64);
                let local = if i % 2 == 0 { &FIRST } else { &SECOND };
                local.with_borrow_mut(|hoard| hoard.0.push(block));
            }
        });
        joined(thread.join());
    }
    // ORDERING: Relaxed, every thread that adds was joined.
    LAST.load(Ordering::Relaxed) as u64
}
