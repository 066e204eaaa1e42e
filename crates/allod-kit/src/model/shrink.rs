//! Makes a program that fails as short and as small as it goes.
//!
//! Two moves, repeated until neither helps: leave operations out (half of them
//! at once, then quarters, down to single ones), and make the numbers of one
//! operation smaller (size to 0, to a half, by one; alignment to 1, to a half;
//! block number to 0; nothing zeroed). A move is kept if the program still
//! fails, with whatever fault: a program that shows another fault sooner is as
//! good.
//!
//! Each try costs one run on a fresh allocator: O(n log n) of them for n
//! operations where single ones can be judged alone. After [`PATIENCE`]
//! operations in all, the shortest program so far has to do.

use super::{Failure, Op};
use std::vec::Vec;

/// Operations that are not worth waiting for: some seconds, unoptimized.
const PATIENCE: usize = 300_000;

/// The smallest program found that still fails, and how it does. `fails` runs a
/// program on an allocator of its own; `failure` is what it says of `program`.
pub fn shrink(
    program: &[Op],
    failure: Failure,
    fails: &mut dyn FnMut(&[Op]) -> Option<Failure>,
) -> (Vec<Op>, Failure) {
    // What comes after the fault has no part in it, but the end may.
    let mut best = program.to_vec();
    let mut how = failure;
    let mut patience = PATIENCE;
    let mut attempt = |candidate: Vec<Op>, best: &mut Vec<Op>, how: &mut Failure| -> bool {
        if patience == 0 {
            return false;
        }
        // A run is not free even of an empty program.
        patience = patience.saturating_sub(candidate.len() + 20);
        fails(&candidate).is_some_and(|failure| {
            *best = candidate;
            *how = failure;
            true
        })
    };
    let cut = best.get(..=how.at).map(<[Op]>::to_vec);
    if let Some(cut) = cut {
        attempt(cut, &mut best, &mut how);
    }
    loop {
        let mut helped = false;
        let mut length = (best.len() / 2).max(1);
        loop {
            let mut at = 0;
            while at < best.len() {
                let mut candidate = best.clone();
                candidate.drain(at..(at + length).min(best.len()));
                if attempt(candidate, &mut best, &mut how) {
                    helped = true;
                } else {
                    at += length;
                }
            }
            if length == 1 {
                break;
            }
            length /= 2;
        }
        let mut at = 0;
        while at < best.len() {
            let simpler = best.get(at).map(|op| simpler(*op)).unwrap_or_default();
            let kept = simpler.into_iter().any(|op| {
                let mut candidate = best.clone();
                candidate.splice(at..=at, [op]);
                attempt(candidate, &mut best, &mut how)
            });
            helped |= kept;
            at += usize::from(!kept);
        }
        if !helped {
            return (best, how);
        }
    }
}

/// Operations like this one with one number less, the boldest first.
fn simpler(op: Op) -> Vec<Op> {
    let less = |number: usize| {
        let mut less = Vec::from([0, number / 2, number.saturating_sub(1)]);
        less.retain(|it| *it < number);
        less.dedup();
        less
    };
    let aligns = |align: usize| less(align).into_iter().filter(|it| it.is_power_of_two());
    let mut made = Vec::new();
    match op {
        Op::Allocate { size, align, zeroed } => {
            if zeroed {
                made.push(Op::Allocate { size, align, zeroed: false });
            }
            made.extend(less(size).into_iter().map(|size| Op::Allocate { size, align, zeroed }));
            made.extend(aligns(align).map(|align| Op::Allocate { size, align, zeroed }));
        }
        Op::Deallocate { which, longest } => {
            if longest {
                made.push(Op::Deallocate { which, longest: false });
            }
            made.extend(less(which).into_iter().map(|which| Op::Deallocate { which, longest }));
        }
        Op::Reallocate { which, size, align } => {
            let all = less(which).into_iter().map(|which| Op::Reallocate { which, size, align });
            made.extend(all);
            let all = less(size).into_iter().map(|size| Op::Reallocate { which, size, align });
            made.extend(all);
            made.extend(aligns(align).map(|align| Op::Reallocate { which, size, align }));
        }
        Op::ReallocateInPlace { which, size, align } => {
            let whiches = less(which).into_iter();
            made.extend(whiches.map(|which| Op::ReallocateInPlace { which, size, align }));
            let sizes = less(size).into_iter();
            made.extend(sizes.map(|size| Op::ReallocateInPlace { which, size, align }));
            made.extend(aligns(align).map(|align| Op::ReallocateInPlace { which, size, align }));
        }
        Op::AllocateHuge { align } => {
            made.extend(aligns(align).map(|align| Op::AllocateHuge { align }));
        }
        Op::ReallocateHuge { which } => {
            made.extend(less(which).into_iter().map(|which| Op::ReallocateHuge { which }));
        }
    }
    made
}
