//! Memory that is free, but perhaps not for everybody.
//!
//! ```text
//!   sawtooth   ████ free ▒▒▒▒ free ░░░░      each tooth has other sizes
//!   pins       █......█......█......█        one survivor in each 64 KiB
//!   ebb        ████████████ free █           nearly all goes, then nothing happens
//!   drain      one thread fills ──► another thread only ever frees
//! ```
//!
//! Each prints what it held at most, or holds in the end, against what is resident.

use std::sync::mpsc;
use std::thread;

use fastrand::Rng;

use super::block::Block;
use super::figures::{MIB, figure, peak, resident, settle, times};
use super::small::small;
use super::threads::joined;

/// Bytes of the table entry of a block. It is live as the block itself is.
const ENTRY: usize = size_of::<Block>();

/// `amount` teeth: 48 MiB of blocks of one size, all freed before the next tooth
/// with another size. The memory of one tooth is enough for the next.
pub(crate) fn sawtooth(amount: u64) -> u64 {
    const SIZES: [usize; 12] = [64, 1024, 192, 8192, 96, 384, 20_480, 128, 2560, 768, 70_000, 256];
    const TOOTH: usize = 48 * MIB;
    let mut sum = 0u64;
    let mut most = 0;
    let mut blocks: Vec<Block> = Vec::with_capacity(TOOTH / SIZES[0]);
    for (turn, size) in (0..amount).zip(SIZES.into_iter().cycle()) {
        while blocks.len() * size < TOOTH {
            let block = Block::new(size, turn);
            block.touch(0);
            blocks.push(block);
        }
        most = most.max(blocks.len() * (size + ENTRY));
        sum = blocks.drain(..).map(Block::free).fold(sum, u64::wrapping_add);
    }
    figure("peak_over_live", times(peak(), most));
    sum
}

/// `amount` MiB of small blocks; then all go but about one in 64 KiB, and two
/// seconds pass. How much stays resident for each survivor?
pub(crate) fn pins(amount: u64) -> u64 {
    const SIZE: usize = 128;
    const EACH: usize = (64 << 10) / SIZE;
    let Ok(mebibytes) = usize::try_from(amount) else { panic!("{amount} MiB is too much") };
    let before = resident();
    let count = mebibytes * MIB / SIZE;
    let mut blocks: Vec<Block> = (0..count).map(|i| Block::new(SIZE, i as u64)).collect();
    let mut sum = 0u64;
    let mut survivors = Vec::with_capacity(count / EACH + 1);
    for (i, block) in blocks.drain(..).enumerate() {
        if i % EACH == 0 {
            survivors.push(block);
        } else {
            sum = sum.wrapping_add(block.free());
        }
    }
    drop(blocks);
    settle();
    let left = resident().saturating_sub(before);
    figure("settled_kib_per_survivor", times(left, survivors.len() * 1024));
    survivors.into_iter().map(Block::free).fold(sum, u64::wrapping_add)
}

/// Two threads fill `amount` MiB with blocks of all sizes and free nineteen of
/// twenty, in runs as a program would. Two seconds pass.
pub(crate) fn ebb(amount: u64) -> u64 {
    const RUN: usize = 2_000;
    let Ok(mebibytes) = usize::try_from(amount) else { panic!("{amount} MiB is too much") };
    let before = resident();
    let half = |seed: u64| {
        let mut random = Rng::with_seed(seed);
        let (mut runs, mut bytes) = (Vec::new(), 0);
        while bytes < mebibytes * MIB / 2 {
            let run: Vec<Block> = (0..RUN)
                .map(|i| {
                    let size = small(&mut random);
                    bytes += size + ENTRY;
                    Block::new(size, i as u64)
                })
                .collect();
            runs.push(run);
        }
        let kept = runs.split_off(runs.len() - runs.len() / 20);
        let sum = runs.into_iter().flatten().map(Block::free).fold(0, u64::wrapping_add);
        (kept, sum)
    };
    let (ours, theirs) = thread::scope(|scope| {
        let other = scope.spawn(|| half(2));
        let ours = half(1);
        (ours, joined(other.join()))
    });
    let kept: Vec<Block> = ours.0.into_iter().chain(theirs.0).flatten().collect();
    let live: usize = kept.iter().map(|block| block.size() + ENTRY).sum();
    settle();
    figure("settled_over_live", times(resident().saturating_sub(before), live));
    kept.into_iter().map(Block::free).fold(ours.1.wrapping_add(theirs.1), u64::wrapping_add)
}

/// A thread allocates `amount` times sixteen batches, and each time a second one frees
/// them all, and never allocates. The sizes drift, so no batch's memory is of the
/// next one's classes for long.
pub(crate) fn drain(amount: u64) -> u64 {
    const BATCHES: usize = 16;
    const BATCH: usize = 4_000;
    let (give, take) = mpsc::sync_channel::<Vec<Vec<Block>>>(1);
    // The tables come back, so that the thread that frees frees blocks alone.
    let (back, tables) = mpsc::sync_channel::<Vec<Vec<Block>>>(1);
    let fill = move || {
        let mut random = Rng::with_seed(0xD2A1);
        let mut most = 0;
        let mut batches: Vec<Vec<Block>> =
            (0..BATCHES).map(|_| Vec::with_capacity(BATCH)).collect();
        for turn in 0..amount {
            let least = 24 << (turn / 4 % 6);
            let mut live = BATCHES * BATCH * ENTRY;
            for batch in &mut batches {
                for i in 0..BATCH {
                    let size = least + random.usize(..least);
                    live += size;
                    batch.push(Block::new(size, turn ^ i as u64));
                }
            }
            most = most.max(live);
            assert!(give.send(batches).is_ok(), "the other side waits");
            let Ok(empty) = tables.recv() else { panic!("the other side has ended") };
            batches = empty;
        }
        most
    };
    let (sum, most) = thread::scope(|scope| {
        let filler = scope.spawn(fill);
        let mut sum = 0u64;
        for mut batches in take {
            let blocks = batches.iter_mut().flat_map(|batch| batch.drain(..));
            sum = blocks.map(Block::free).fold(sum, u64::wrapping_add);
            assert!(back.send(batches).is_ok(), "the other side waits");
        }
        (sum, joined(filler.join()))
    });
    figure("peak_over_live", times(peak(), most));
    sum
}
