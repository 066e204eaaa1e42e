//! Rows 1 to 7 and 16 to 18: malloc, calloc, realloc, free, as C has them.
#![allow(unsafe_code)]

use crate::row::{Context, Outcome, Row, ensure, pass, pass_with};
use allod_checks::block::{Block, refused};
use allod_checks::c::{self, functions};
use allod_checks::memory::{self, MIB};
use allod_checks::work::Random;

pub(crate) const ROWS: &[Row] = &[
    Row::new(
        1,
        "malloc-zero",
        "malloc(0), calloc(0, n), calloc(n, 0): distinct pointers that can be freed",
        "C23 7.24.3, the choice of glibc",
        malloc_zero,
    ),
    Row::new(
        2,
        "align-16",
        "every block is aligned to 16",
        "C23 7.24.3 max_align_t, the ABI",
        align,
    ),
    Row::new(
        3,
        "too-large",
        "malloc, calloc, realloc, aligned_alloc of 2^48 bytes and more: NULL, ENOMEM",
        "POSIX.1-2024 malloc; malloc(3)",
        too_large,
    ),
    Row::new(
        4,
        "product-overflow",
        "calloc, reallocarray whose product wraps: NULL, ENOMEM, old block intact",
        "C23 7.24.3.2; POSIX.1-2024 reallocarray",
        product_overflow,
    ),
    Row::new(5, "calloc-zero", "zeros, after others have used the memory", "C23 7.24.3.2", zeros),
    Row::new(6, "realloc-null", "realloc(NULL, n) is malloc(n)", "C23 7.24.3.7", realloc_null),
    Row::new(
        6,
        "realloc-contents",
        "the lesser of the old and new sizes is kept",
        "C23 7.24.3.7",
        realloc_contents,
    ),
    Row::new(
        6,
        "realloc-failure",
        "a realloc that fails leaves the old block",
        "C23 7.24.3.7",
        realloc_failure,
    ),
    Row::new(
        7,
        "realloc-zero",
        "realloc(p, 0) frees p, returns NULL, leaves errno",
        "glibc; C17 leaves it open, C23 makes it undefined",
        realloc_zero,
    ),
    Row::new(
        16,
        "usable-size",
        "0 for NULL; at least n; all of it usable; constant",
        "malloc_usable_size(3)",
        usable_size,
    ),
    Row::new(
        17,
        "free-errno",
        "free leaves errno, whatever the size",
        "POSIX.1-2024 free",
        free_errno,
    ),
    Row::new(
        18,
        "success-errno",
        "malloc, calloc, realloc that succeed leave errno",
        "quality",
        success_errno,
    ),
];

fn malloc_zero(_: &Context) -> Outcome {
    let mut blocks = Vec::new();
    for _ in 0..3000 {
        for (what, block) in [
            ("malloc(0)", Block::malloc(0)),
            ("calloc(0, 8)", Block::calloc(0, 8)),
            ("calloc(8, 0)", Block::calloc(8, 0)),
        ] {
            blocks.push(block.ok_or(format!("{what} gave NULL"))?);
        }
    }
    let mut places: Vec<usize> = blocks.iter().map(Block::address).collect();
    places.sort_unstable();
    places.dedup();
    ensure!(places.len() == blocks.len(), "{} places for {} blocks", places.len(), blocks.len());
    blocks.clear();
    // Freed ones may be used again, and stay distinct from live ones.
    let (a, b) = (Block::malloc(0), Block::malloc(0));
    let (a, b) = (a.ok_or("NULL after frees")?, b.ok_or("NULL after frees")?);
    ensure!(a.address() != b.address(), "two live blocks at {:#x}", a.address());
    pass()
}

fn align(_: &Context) -> Outcome {
    let large = (12..23).flat_map(|bits| (1 << bits) - 1..=(1 << bits) + 1);
    let mut kept = Vec::new();
    for size in (0..4096_usize).chain(large) {
        let grown = Block::malloc(1).and_then(|block| block.realloc(size.max(1)).ok());
        for (what, block) in [
            ("malloc", Block::malloc(size)),
            ("calloc", Block::calloc(1, size)),
            ("realloc", grown),
        ] {
            let block = block.ok_or(format!("{what} {size}: NULL"))?;
            let place = block.address();
            ensure!(place.is_multiple_of(16), "{what} {size}: {place:#x}");
            if size < 2048 {
                kept.push(block);
            }
        }
    }
    pass()
}

const PTRDIFF_MAX: usize = isize::MAX as usize;

fn too_large(_: &Context) -> Outcome {
    let mut old = Block::malloc(100).ok_or("malloc(100): NULL")?;
    old.fill(7);
    for size in [
        1 << 48,
        1 << 52,
        1 << 56,
        1 << 62,
        PTRDIFF_MAX - 4096,
        PTRDIFF_MAX,
        PTRDIFF_MAX + 1,
        PTRDIFF_MAX + 4097,
        usize::MAX - 65536,
        usize::MAX - 4095,
        usize::MAX - 16,
        usize::MAX,
    ] {
        c::set_errno(0);
        refused(&format!("malloc({size:#x})"), Block::malloc(size))?;
        c::set_errno(0);
        refused(&format!("calloc(1, {size:#x})"), Block::calloc(1, size))?;
        c::set_errno(0);
        refused(&format!("aligned_alloc(64, {size:#x})"), Block::aligned_alloc(64, size))?;
        c::set_errno(0);
        old = match old.realloc(size) {
            Ok(block) => {
                return refused(&format!("realloc(p, {size:#x})"), Some(block)).and(pass());
            }
            Err(old) => old,
        };
        refused(&format!("realloc(p, {size:#x})"), None)?;
        ensure!(old.holds(7, 100), "realloc(p, {size:#x}) has changed the old block");
    }
    pass()
}

fn product_overflow(_: &Context) -> Outcome {
    let mut old = Block::malloc(100).ok_or("malloc(100): NULL")?;
    old.fill(9);
    for (count, size) in [
        (1 << 33, 1 << 33),
        (1 << 32, 1 << 32),
        (usize::MAX, 2),
        (2, usize::MAX / 2 + 2),
        (usize::MAX / 16 + 2, 16),
        (24, usize::MAX / 24 + 3),
        (usize::MAX, usize::MAX),
    ] {
        c::set_errno(0);
        refused(&format!("calloc({count:#x}, {size:#x})"), Block::calloc(count, size))?;
        c::set_errno(0);
        let what = format!("reallocarray(p, {count:#x}, {size:#x})");
        old = match old.reallocarray(count, size).ok_or("there is no reallocarray")? {
            Ok(block) => return refused(&what, Some(block)).and(pass()),
            Err(old) => old,
        };
        refused(&what, None)?;
        ensure!(old.holds(9, 100), "{what} has changed the old block");
    }
    pass()
}

fn zeros(_: &Context) -> Outcome {
    let mut size = 1_usize;
    while size <= 5 * MIB {
        let together = if size <= 4096 { 40 } else { 3 };
        let mut dirty: Vec<Block> = (0..together).filter_map(|_| Block::malloc(size)).collect();
        dirty.iter_mut().for_each(|block| block.fill(0x5a));
        dirty.clear();
        let mut blocks = Vec::new();
        for _ in 0..together {
            let mut block = Block::calloc(1, size).ok_or(format!("calloc(1, {size}): NULL"))?;
            ensure!(block.is_zero(), "calloc(1, {size}) is not zero");
            block.fill(0xa5);
            blocks.push(block);
        }
        size += (size / 7).max(1);
    }
    pass()
}

fn realloc_null(_: &Context) -> Outcome {
    for size in [0, 1, 100, 5000, 300_000, 5 * MIB] {
        let mut block = Block::realloc_null(size).ok_or(format!("realloc(NULL, {size}): NULL"))?;
        block.fill(3);
        ensure!(block.holds(3, size), "realloc(NULL, {size}) is no memory");
    }
    pass()
}

fn realloc_contents(_: &Context) -> Outcome {
    let mut random = Random::new(6);
    let mut blocks: Vec<Block> = (0..16).filter_map(|_| Block::malloc(1)).collect();
    blocks.iter_mut().for_each(|block| block.fill(1));
    for step in 0..6000 {
        let mut block = blocks.swap_remove(random.below(blocks.len()));
        let before = block.size();
        let mark = if step < 16 { 1 } else { 2 };
        ensure!(block.holds(1, before) || block.holds(2, before), "a block has changed");
        block.fill(mark);
        // Large steps now and then: blocks that move by another way than copying.
        let size = random.size(if step % 50 == 0 { 23 } else { 16 });
        let mut block = block.realloc(size).map_err(|_| format!("realloc to {size}: NULL"))?;
        ensure!(block.holds(mark, before.min(size)), "from {before} to {size} bytes: lost");
        block.fill(mark);
        blocks.push(block);
    }
    pass()
}

fn realloc_failure(_: &Context) -> Outcome {
    for before in [1, 100, 5000, 300_000, 5 * MIB] {
        let mut block = Block::malloc(before).ok_or("NULL")?;
        block.fill(4);
        c::set_errno(0);
        match block.realloc(PTRDIFF_MAX - 100) {
            Ok(_) => return Err("realloc to PTRDIFF_MAX - 100 succeeded".to_owned()),
            Err(block) => {
                refused("realloc", None)?;
                ensure!(block.holds(4, before), "the old block of {before} bytes has changed");
                let grown = block.realloc(before + 100).map_err(|_| "cannot be used any more")?;
                ensure!(grown.size() == before + 100, "cannot be used any more");
            }
        }
    }
    pass()
}

fn realloc_zero(_: &Context) -> Outcome {
    let realloc = functions().realloc.ok_or("there is no realloc")?;
    let before = memory::resident();
    // Blocks that are not freed would add up to 1.6 GiB.
    for round in 0..50_000 {
        let mut block = Block::malloc(32 << 10).ok_or("NULL")?;
        block.touch(4096);
        c::set_errno(99);
        // SAFETY: the block is live and given up, if the promise is kept.
        let result = unsafe { realloc(block.into_raw(), 0) };
        ensure!(result.is_null(), "returned {result:?}");
        ensure!(c::errno() == 99, "errno became {}", c::errno());
        if round % 1000 == 0 {
            let grown = memory::resident().saturating_sub(before);
            ensure!(grown < 64 * MIB, "{} MiB more after {round} rounds: not freed", grown / MIB);
        }
    }
    pass()
}

fn usable_size(_: &Context) -> Outcome {
    let usable = functions().malloc_usable_size.ok_or("there is no malloc_usable_size")?;
    // SAFETY: NULL is allowed.
    let of_null = unsafe { usable(std::ptr::null_mut()) };
    ensure!(of_null == 0, "{of_null} for NULL");
    let mut random = Random::new(16);
    let mut blocks = Vec::new();
    for round in 0..3000 {
        let size = random.size(if round % 100 == 0 { 22 } else { 13 });
        let mut block = Block::malloc(size).ok_or("NULL")?;
        let usable = block.usable();
        ensure!(usable >= size, "{usable} for a block of {size}");
        block.fill(round as u8);
        blocks.push((round as u8, usable, block));
    }
    for (mark, before, block) in &mut blocks {
        let usable = block.usable();
        ensure!(usable == *before, "first {before}, then {usable}");
        ensure!(block.holds(*mark, usable), "of {usable} usable bytes some were not its own");
    }
    pass()
}

fn free_errno(_: &Context) -> Outcome {
    let free = functions().free.ok_or("there is no free")?;
    for bits in 0..28 {
        for size in [1_usize << bits, (1 << bits) + 1] {
            let mut blocks: Vec<Block> =
                (0..if size < MIB { 20 } else { 2 }).filter_map(|_| Block::malloc(size)).collect();
            if size < 32 * MIB {
                blocks.iter_mut().for_each(|block| block.touch(4096));
            }
            c::set_errno(12345);
            blocks.clear();
            ensure!(c::errno() == 12345, "{} after free of {size} bytes", c::errno());
        }
    }
    // SAFETY: NULL is allowed.
    unsafe { free(std::ptr::null_mut()) };
    ensure!(c::errno() == 12345, "{} after free(NULL)", c::errno());
    pass()
}

fn success_errno(_: &Context) -> Outcome {
    let mut changed = Vec::new();
    let mut look = |what: &str, size: usize| {
        if c::errno() != 4321 {
            changed.push(format!("{what} {size}: {}", c::errno()));
        }
    };
    for size in (0..28).map(|bits| 1_usize << bits).chain([0]) {
        c::set_errno(4321);
        let block = Block::malloc(size);
        look("malloc", size);
        c::set_errno(4321);
        let zeros = Block::calloc(1, size);
        look("calloc", size);
        let (Some(block), Some(_)) = (block, zeros) else { return Err("NULL".to_owned()) };
        c::set_errno(4321);
        let grown = block.realloc(size * 2 + 1);
        look("realloc", size);
        ensure!(grown.is_ok(), "realloc: NULL");
    }
    ensure!(changed.is_empty(), "{}", changed.join(", "));
    pass_with("sizes to 128 MiB")
}
