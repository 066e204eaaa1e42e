//! Rows 8 to 15: memory with an alignment.
#![allow(unsafe_code)]

use crate::row::{Context, Outcome, Row, ensure, pass, pass_with};
use allod_checks::block::{Block, refused};
use allod_checks::c::{self, functions};
use allod_checks::memory::MIB;
use std::ptr;

pub(crate) const ROWS: &[Row] = &[
    Row::new(
        8,
        "posix_memalign-bad",
        "an alignment that is no power of two or below 8: EINVAL, *out as it was or NULL",
        "POSIX.1-2024 posix_memalign",
        posix_memalign_bad,
    ),
    Row::new(
        9,
        "posix_memalign-errno",
        "failing leaves errno",
        "posix_memalign(3)",
        posix_memalign_errno,
    ),
    Row::new(
        10,
        "posix_memalign-good",
        "alignments 2^3 to 2^26, and 2^30 or ENOMEM: aligned, and all of it usable",
        "POSIX.1-2024 posix_memalign",
        posix_memalign_good,
    ),
    Row::new(
        11,
        "align-extreme",
        "alignments 2^47, 2^62, 2^63: refused, with EINVAL or ENOMEM",
        "POSIX.1-2024 posix_memalign",
        extreme,
    ),
    Row::new(
        12,
        "aligned_alloc-bad",
        "an alignment that is no power of two: NULL, EINVAL",
        "C23 7.24.3.1; glibc 2.38",
        aligned_alloc_bad,
    ),
    Row::new(
        13,
        "aligned_alloc-any-size",
        "a size that is no multiple of the alignment succeeds",
        "C17 DR 460",
        aligned_alloc_any_size,
    ),
    Row::new(
        14,
        "memalign-rounds",
        "memalign(48, n) is aligned to 64; all small alignments serve",
        "glibc",
        memalign_rounds,
    ),
    Row::new(15, "valloc", "valloc, pvalloc: aligned to a page", "valloc(3)", page_aligned),
    Row::new(
        15,
        "pvalloc-rounds",
        "pvalloc rounds the size up to whole pages; SIZE_MAX: NULL, ENOMEM",
        "pvalloc(3)",
        pvalloc_rounds,
    ),
];

/// `posix_memalign` with a pointer that was something before: the error, and
/// what became of the pointer.
fn failing(align: usize, size: usize) -> Result<(i32, c::Pointer), String> {
    let posix_memalign = functions().posix_memalign.ok_or("there is no posix_memalign")?;
    let mut out: c::Pointer = ptr::without_provenance_mut(0x5eed);
    // SAFETY: `out` can be written.
    let error = unsafe { posix_memalign(&raw mut out, align, size) };
    Ok((error, out))
}

fn posix_memalign_bad(_: &Context) -> Outcome {
    for align in [
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        9,
        12,
        15,
        17,
        24,
        40,
        48,
        96,
        100,
        4095,
        4097,
        3 << 20,
        usize::MAX,
    ] {
        for size in [0, 1, 100, 70_000] {
            let (error, out) = failing(align, size)?;
            ensure!(error == libc::EINVAL, "align {align}, size {size}: {error}");
            ensure!(
                out.is_null() || out.addr() == 0x5eed,
                "align {align}, size {size}: *out became {out:?}"
            );
        }
    }
    pass()
}

fn posix_memalign_errno(_: &Context) -> Outcome {
    for (align, size, expected) in [
        (48, 100, libc::EINVAL),
        (16, usize::MAX, libc::ENOMEM),
        (64, isize::MAX as usize, libc::ENOMEM),
        (4096, usize::MAX - 8192, libc::ENOMEM),
    ] {
        c::set_errno(777);
        let (error, out) = failing(align, size)?;
        let errno = c::errno();
        ensure!(error == expected, "align {align}, size {size:#x}: {error}");
        ensure!(out.is_null() || out.addr() == 0x5eed, "*out became {out:?}");
        ensure!(errno == 777, "align {align}, size {size:#x}: errno became {errno}");
    }
    pass()
}

fn posix_memalign_good(_: &Context) -> Outcome {
    for bits in 3..=26 {
        let align = 1_usize << bits;
        for size in [0, 1, 100, 70_000, align - 1, align + 1] {
            if size > 8 * MIB {
                continue;
            }
            let mut together = Vec::new();
            for mark in 0..if bits < 16 { 20 } else { 2 } {
                let mut block = Block::posix_memalign(align, size)
                    .map_err(|error| format!("align 2^{bits}, size {size}: error {error}"))?;
                let place = block.address();
                ensure!(place.is_multiple_of(align), "align 2^{bits}, size {size}: {place:#x}");
                block.fill(mark);
                together.push((mark, block));
            }
            for (mark, block) in &mut together {
                ensure!(block.holds(*mark, size), "align 2^{bits}, size {size}: overlap");
            }
        }
    }
    match Block::posix_memalign(1 << 30, 70_000) {
        Ok(mut block) => {
            let place = block.address();
            ensure!(place.is_multiple_of(1 << 30), "align 2^30: {place:#x}");
            block.fill(1);
            pass_with("2^30 too")
        }
        Err(libc::ENOMEM) => pass_with("2^30: ENOMEM"),
        Err(error) => Err(format!("align 2^30: error {error}")),
    }
}

fn extreme(_: &Context) -> Outcome {
    for bits in [47, 62, 63] {
        let align = 1_usize << bits;
        for size in [0, 1, 100, 5000, 1 << 20, isize::MAX as usize, usize::MAX] {
            let (error, _) = failing(align, size)?;
            ensure!(
                error == libc::EINVAL || error == libc::ENOMEM,
                "posix_memalign 2^{bits}, {size:#x}: {error}"
            );
            for (what, block) in [
                ("aligned_alloc", Block::aligned_alloc(align, size)),
                ("memalign", Block::memalign(align, size)),
            ] {
                ensure!(block.is_none(), "{what} 2^{bits}, {size:#x} gave memory");
            }
        }
    }
    // Above the largest power of two there is nothing to round up to.
    c::set_errno(0);
    let block = Block::memalign((1 << 63) + 1, 100);
    let errno = c::errno();
    ensure!(block.is_none(), "memalign(2^63 + 1, 100) gave memory");
    ensure!(errno == libc::EINVAL || errno == libc::ENOMEM, "memalign(2^63 + 1): errno {errno}");
    pass()
}

fn aligned_alloc_bad(_: &Context) -> Outcome {
    for align in [0, 3, 5, 6, 24, 48, 100, 4097, usize::MAX] {
        for size in [0, 1, 100, 4800] {
            c::set_errno(0);
            let block = Block::aligned_alloc(align, size);
            let errno = c::errno();
            ensure!(block.is_none(), "align {align}, size {size} gave memory");
            ensure!(errno == libc::EINVAL, "align {align}, size {size}: errno {errno}");
        }
    }
    pass()
}

fn aligned_alloc_any_size(_: &Context) -> Outcome {
    for bits in 0..17 {
        let align = 1_usize << bits;
        for size in [1, 7, align + 1, 3 * align / 2 + 1, 10_001] {
            let mut block = Block::aligned_alloc(align, size)
                .ok_or(format!("align {align}, size {size}: NULL"))?;
            let place = block.address();
            ensure!(place.is_multiple_of(align), "align {align}, size {size}: {place:#x}");
            block.fill(5);
            ensure!(block.holds(5, size), "align {align}, size {size}: no memory");
        }
    }
    pass()
}

fn memalign_rounds(_: &Context) -> Outcome {
    for align in [0, 1, 2, 3, 8, 12, 17, 24, 40, 48, 63, 65, 100, 1000, 4095, 5000, 70_000] {
        let rounded = usize::next_power_of_two(align);
        for size in [0, 1, 48, 1000, 50_000] {
            let mut block =
                Block::memalign(align, size).ok_or(format!("memalign({align}, {size}): NULL"))?;
            let place = block.address();
            ensure!(place.is_multiple_of(rounded), "memalign({align}, {size}): {place:#x}");
            block.fill(6);
            ensure!(block.holds(6, size), "memalign({align}, {size}): no memory");
        }
    }
    pass()
}

/// The system's page size.
fn page() -> usize {
    // SAFETY: `sysconf` has no conditions.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    bytes.unsigned_abs() as usize
}

fn page_aligned(_: &Context) -> Outcome {
    for size in [0, 1, 100, 4095, 4096, 4097, 100_000, 3 * MIB] {
        for (what, block) in [("valloc", Block::valloc(size)), ("pvalloc", Block::pvalloc(size))] {
            let mut block = block.ok_or(format!("{what}({size}): NULL"))?;
            let place = block.address();
            ensure!(place.is_multiple_of(page()), "{what}({size}): {place:#x}");
            block.fill(8);
            ensure!(block.holds(8, size), "{what}({size}): no memory");
        }
    }
    pass()
}

fn pvalloc_rounds(_: &Context) -> Outcome {
    for size in [1, 100, 4096, 4097, 10_000, 100_000] {
        let mut block = Block::pvalloc(size).ok_or(format!("pvalloc({size}): NULL"))?;
        let (usable, whole) = (block.usable(), size.next_multiple_of(page()));
        ensure!(usable >= whole, "pvalloc({size}): {usable} bytes usable");
    }
    for size in [usize::MAX, usize::MAX - 100, usize::MAX - 4095, isize::MAX as usize] {
        c::set_errno(0);
        refused(&format!("pvalloc({size:#x})"), Block::pvalloc(size))?;
        c::set_errno(0);
        refused(&format!("valloc({size:#x})"), Block::valloc(size))?;
    }
    pass()
}
