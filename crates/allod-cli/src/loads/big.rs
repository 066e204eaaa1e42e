//! Blocks that are many pages long.

use fastrand::Rng;

use super::block::Block;
use super::figures::{MIB, figure, peak, times};

/// How many large blocks are held at once.
const HELD: usize = 4;

/// `amount` blocks of 1 to 32 MiB. Four are held; each new one replaces one of
/// them. Every page of every block is written.
pub(crate) fn large(amount: u64) -> u64 {
    let mut random = Rng::with_seed(0x1A26E);
    let mut held: [Option<Block>; HELD] = [const { None }; HELD];
    let mut sum = 0u64;
    for turn in 0..amount {
        let block = Block::new(MIB + random.usize(..31 * MIB), turn);
        block.touch(0);
        let place = &mut held[random.usize(..HELD)];
        sum = sum.wrapping_add(place.replace(block).map_or(0, free_checked));
    }
    held.into_iter().flatten().map(free_checked).fold(sum, u64::wrapping_add)
}

/// One block grows to `amount` MiB: by a quarter each time, as a vector does,
/// with a small block allocated between, so that nothing grows in place by luck.
/// Then a second one grows by 64 KiB each time, up to a sixteenth of that.
pub(crate) fn grow(amount: u64) -> u64 {
    let Ok(mebibytes) = usize::try_from(amount) else { panic!("{amount} MiB is too much") };
    let goal = mebibytes * MIB;
    let quarter = steps(goal, |size| size + size / 4);
    let linear = steps(goal / 16, |size| size + (64 << 10));
    quarter ^ linear.rotate_left(1)
}

/// `amount` times a block grows by eight bytes at a time to 4 MiB, and then another
/// one does, to 1 MiB, with a small block allocated now and then.
pub(crate) fn creep(amount: u64) -> u64 {
    (0..amount).fold(0, |sum, _| {
        let alone = creeping(4 * MIB, usize::MAX);
        sum.wrapping_mul(31).wrapping_add(alone ^ creeping(MIB, 64).rotate_left(1))
    })
}

/// Grows a block by eight bytes at a time to `goal`, with a small block between
/// each `gap` steps and the next.
fn creeping(goal: usize, gap: usize) -> u64 {
    let mut block = Block::new(8, 0xC4EE);
    let mut between = Vec::new();
    for (step, size) in (16..=goal).step_by(8).enumerate() {
        block.resize(size);
        if step % gap == gap - 1 {
            between.push(Block::new(40, size as u64));
        }
    }
    between.into_iter().map(Block::free).fold(block.free(), u64::wrapping_add)
}

/// A block doubles from 64 bytes to `amount` MiB and is written whole, as a vector
/// is that is pushed to. The most that is resident should be its final size.
pub(crate) fn double(amount: u64) -> u64 {
    let Ok(mebibytes) = usize::try_from(amount) else { panic!("{amount} MiB is too much") };
    let goal = mebibytes * MIB;
    let mut block = Block::new(64, 0xD0B1);
    while block.size() < goal {
        let old = block.size();
        block.resize(old * 2);
        block.touch(old);
    }
    figure("peak_over_live", times(peak(), block.size()));
    free_checked(block)
}

/// A block of 2 MiB is allocated, written and freed, `amount` times, with one of
/// another size now and then. Whoever returns it at once pays for each page anew.
pub(crate) fn alternate(amount: u64) -> u64 {
    let mut sum = 0u64;
    for turn in 0..amount {
        let size = if turn % 16 == 15 { 3 * MIB } else { 2 * MIB };
        let block = Block::new(size, turn);
        block.touch(0);
        sum = sum.wrapping_add(free_checked(block));
    }
    sum
}

/// Grows a block from 1 KiB to `goal` and writes each new page once.
fn steps(goal: usize, next: fn(usize) -> usize) -> u64 {
    let mut size = 1024;
    let mut block = Block::new(size, 0x6206);
    let mut between = Vec::new();
    while size < goal {
        let old = size;
        size = next(size).min(goal);
        between.push(Block::new(100, size as u64));
        block.resize(size);
        block.touch(old);
    }
    between.into_iter().map(Block::free).fold(free_checked(block), u64::wrapping_add)
}

/// Frees a block after a look at each of its pages.
fn free_checked(block: Block) -> u64 {
    block.check_pages();
    block.free()
}
