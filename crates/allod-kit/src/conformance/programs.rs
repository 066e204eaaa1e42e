//! The programs of the checks: each is hard on one promise.
//!
//! They are made from the bounds, so that a heap of 2 KiB and one of all memory
//! are both asked for what they can do. A refusal within the bounds is a fault;
//! beyond them it is taken, and the program goes on.

use super::Check;
use crate::model::{Bounds, Op};
use std::vec::Vec;

/// Blocks that are live at a time, where a check needs a crowd.
const CROWD: usize = if cfg!(miri) { 12 } else { 120 };

/// The program of a check: the same each time. Empty for those that have none.
#[must_use]
pub fn program(check: Check, bounds: Bounds) -> Vec<Op> {
    match check {
        Check::Alignment => alignment(bounds),
        Check::Overlap => overlap(bounds),
        Check::Contents => contents(bounds),
        Check::Growth => growth(bounds, false),
        Check::InPlace => growth(bounds, true),
        Check::Zeroing => zeroing(bounds),
        Check::NoBytes => no_bytes(bounds),
        Check::UsableSize => usable_size(bounds),
        Check::TooLarge => too_large(bounds),
        Check::Exhaustion => exhaustion(bounds),
        Check::Random | Check::Threads | Check::Moved => Vec::new(),
    }
}

const fn allocate(size: usize, align: usize) -> Op {
    Op::Allocate { size, align, zeroed: false }
}

const fn deallocate(which: usize) -> Op {
    Op::Deallocate { which, longest: false }
}

/// Sizes worth a try: around powers of two, and up to the largest.
fn sizes(bounds: Bounds) -> Vec<usize> {
    let powers = (0..usize::BITS).map(|bit| 1usize << bit).take_while(|size| *size <= bounds.size);
    let around = powers.flat_map(|size| [size - 1, size, size + 1, size + size / 2]);
    let mut sizes: Vec<_> = around.chain([bounds.size]).collect();
    sizes.retain(|size| (1..=bounds.size).contains(size));
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

fn aligns(bounds: Bounds) -> impl Iterator<Item = usize> + Clone {
    (0..usize::BITS).map(|bit| 1usize << bit).take_while(move |align| *align <= bounds.align)
}

/// Sizes of a crowd: mixed, and together within the bounds.
fn crowd(bounds: Bounds) -> impl Iterator<Item = usize> {
    let each = (bounds.total / CROWD / 2).saturating_sub(64).min(bounds.size).max(1);
    (0..CROWD).map(move |number| number * 7919 % each + 1)
}

/// Every size at every alignment, a few live at a time.
fn alignment(bounds: Bounds) -> Vec<Op> {
    let mut program = Vec::new();
    for align in aligns(bounds) {
        for size in sizes(bounds) {
            program.extend([allocate(size, align), allocate(size / 2 + 1, 1), deallocate(0)]);
            program.push(deallocate(1));
        }
    }
    program
}

/// A crowd; every third leaves; others come; several times over.
fn overlap(bounds: Bounds) -> Vec<Op> {
    let mut program = Vec::new();
    for round in 0..4 {
        program.extend(crowd(bounds).map(|size| allocate(size, 1 << (size % 5))));
        program.extend((0..CROWD / 3 * 2).map(|at| deallocate(at * 3 + round)));
    }
    program
}

/// A crowd that is given back in its order, then against it, then from both ends.
fn contents(bounds: Bounds) -> Vec<Op> {
    let mut program = Vec::new();
    for way in 0..3 {
        program.extend(crowd(bounds).map(|size| allocate(size, 8)));
        program.extend((0..CROWD).map(|at| {
            deallocate(match way {
                0 => 0,
                1 => CROWD - 1 - at,
                _ => at,
            })
        }));
    }
    program
}

/// One block grows and shrinks between neighbours, through every size, and
/// changes its alignment now and then.
fn growth(bounds: Bounds, in_place: bool) -> Vec<Op> {
    let change = |size, align| {
        let which = 0;
        if in_place {
            Op::ReallocateInPlace { which, size, align }
        } else {
            Op::Reallocate { which, size, align }
        }
    };
    let mut program = Vec::new();
    let sizes = sizes(bounds);
    for align in [1, 16, 64].into_iter().filter(|align| *align <= bounds.align) {
        program.extend([allocate(1, 1), allocate(1, 1), allocate(1, 1)]);
        program.extend(sizes.iter().map(|size| change(*size, align)));
        program.extend(sizes.iter().rev().map(|size| change(*size, 1)));
        // In place, blocks of every size are worth a try, and there is room
        // where a neighbour was.
        for size in sizes.iter().filter(|_| in_place) {
            program.extend([deallocate(0), deallocate(0), deallocate(0)]);
            program.extend([allocate(*size, 8), allocate(*size, 8), deallocate(1)]);
            program.extend([change(size / 2, 8), change(*size, 8), change(size + size / 2, 8)]);
        }
        program.extend([deallocate(0), deallocate(0), deallocate(0)]);
    }
    program
}

/// Each size is written, given back, and asked for again in zeros.
fn zeroing(bounds: Bounds) -> Vec<Op> {
    let mut program = Vec::new();
    for size in sizes(bounds) {
        for align in [1, 16] {
            let align = bounds.align.min(align);
            program.extend([allocate(size, align), deallocate(0)]);
            program.push(Op::Allocate { size, align, zeroed: true });
            program.extend([Op::Allocate { size, align, zeroed: true }, deallocate(0)]);
            program.push(deallocate(0));
        }
    }
    program
}

/// No bytes at every alignment; from no bytes to some, and back.
fn no_bytes(bounds: Bounds) -> Vec<Op> {
    let mut program = Vec::new();
    let some = bounds.size.min(40);
    for align in aligns(bounds) {
        program.extend([allocate(0, align), Op::Allocate { size: 0, align, zeroed: true }]);
        program.push(Op::ReallocateInPlace { which: 0, size: some, align });
        program.push(Op::Reallocate { which: 0, size: some, align });
        program.push(Op::ReallocateInPlace { which: 0, size: 0, align });
        program.push(Op::Reallocate { which: 0, size: 0, align });
        program.push(Op::Reallocate { which: 0, size: some, align: 1 });
        program.extend([deallocate(0), deallocate(0)]);
    }
    program
}

/// Blocks that are given back by the length that was returned.
fn usable_size(bounds: Bounds) -> Vec<Op> {
    let mut program = Vec::new();
    for size in sizes(bounds) {
        program.extend([allocate(size, 1), allocate(size, 8.min(bounds.align))]);
        let longest = true;
        program
            .extend([Op::Deallocate { which: 0, longest }, Op::Deallocate { which: 0, longest }]);
    }
    program
}

/// The impossible, at every alignment, alone and beside a live block.
fn too_large(bounds: Bounds) -> Vec<Op> {
    let mut program = Vec::new();
    for align in aligns(bounds) {
        program.push(Op::AllocateHuge { align });
        program.push(allocate(bounds.size.min(24), align));
        program.extend([Op::AllocateHuge { align }, Op::ReallocateHuge { which: 0 }]);
        program.extend([Op::ReallocateInPlace { which: 0, size: 1, align: 1 }, deallocate(0)]);
    }
    program
}

/// Four times what is promised is asked for; all of it is given back, in another
/// order each time, and asked for again. What an allocator loses it lacks soon.
fn exhaustion(bounds: Bounds) -> Vec<Op> {
    let mut program = Vec::new();
    let rounds = if cfg!(miri) { 2 } else { 12 };
    for round in 0..rounds {
        let size = (bounds.size >> (round % 6 * 2)).max(bounds.size.clamp(1, 16));
        let count = (bounds.total / (size / 2 + 1)).clamp(4, 20 * CROWD);
        program.extend((0..count).map(|number| allocate(size - number % size.min(8), 1)));
        program.extend(
            (0..count)
                .map(|number| Op::Deallocate { which: number * round, longest: number % 3 == 0 }),
        );
        let most = bounds.size.min(bounds.total / 8);
        program.extend([allocate(most.max(1), 1), deallocate(0)]);
    }
    program
}
