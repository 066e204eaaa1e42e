//! Rows 27 and 28: many large blocks, and one very large one.

use crate::row::{Context, Outcome, Row, ensure, pass_with};
use allod_checks::block::{Block, refused};
use allod_checks::c;
use allod_checks::memory::{self, MIB};
use std::time::Instant;

pub(crate) const ROWS: &[Row] = &[
    Row::new(
        27,
        "many-mappings",
        "70,000 blocks of 256 KiB at once (the system allows 65,530 mappings); or \
         NULL, ENOMEM, and after frees again",
        "mmap(2)",
        many,
    ),
    Row::new(
        28,
        "grow-4-gib",
        "4 GiB + 123 bytes grow by 1 GiB without being copied",
        "quality: mremap(2)",
        grow,
    ),
];

fn many(_: &Context) -> Outcome {
    const COUNT: usize = 70_000;
    let mut blocks = Vec::with_capacity(COUNT);
    for place in 0..COUNT {
        c::set_errno(0);
        let Some(mut block) = Block::malloc(256 << 10) else {
            refused("malloc(256 KiB)", None)?;
            break;
        };
        // Few are touched: with huge pages each touch could cost 2 MiB.
        if place % 700 == 0 {
            block.set(0, place as u8);
        }
        blocks.push(block);
    }
    let count = blocks.len();
    for (place, block) in blocks.iter().enumerate().step_by(700) {
        ensure!(block.get(0) == place as u8, "block {place} has changed");
    }
    // From the middle outwards, so that what is joined was apart.
    let half = blocks.split_off(count / 2);
    drop(half);
    blocks.clear();
    for size in [1000, 256 << 10, 10 * MIB] {
        let block = Block::malloc(size);
        ensure!(block.is_some(), "malloc({size}) after everything was freed: NULL");
    }
    pass_with(format!("{count} blocks"))
}

fn grow(_: &Context) -> Outcome {
    const SIZE: usize = (4 << 30) + 123;
    const STEP: usize = 64 * MIB;
    let mut block = Block::malloc(SIZE).ok_or("malloc(4 GiB + 123): NULL")?;
    for place in (0..SIZE).step_by(STEP) {
        block.set(place, (place / STEP) as u8 + 1);
    }
    block.set(SIZE - 1, 77);
    let (faults, resident, start) = (memory::page_faults(), memory::resident(), Instant::now());
    let mut block = block.realloc(SIZE + (1 << 30)).map_err(|_| "realloc to 5 GiB + 123: NULL")?;
    let (faults, time) = (memory::page_faults() - faults, start.elapsed());
    let grown = memory::resident().saturating_sub(resident);
    let remark = format!("{faults} page faults, {} MiB more, {time:.1?}", grown / MIB);
    for place in (0..SIZE).step_by(STEP) {
        ensure!(block.get(place) == (place / STEP) as u8 + 1, "byte {place:#x} is lost");
    }
    ensure!(block.get(SIZE - 1) == 77, "the last byte is lost");
    block.set(SIZE + (1 << 30) - 1, 1);
    // Copying 4 GiB reads a million pages, or with huge pages all of the memory.
    ensure!(faults < 10_000 && grown < 512 * MIB, "{remark}");
    let shrunk = block.realloc(100 * MIB).map_err(|_| "realloc to 100 MiB: NULL")?;
    ensure!(shrunk.get(STEP) == 2, "shrinking lost a byte");
    pass_with(remark)
}
