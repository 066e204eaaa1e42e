//! The two checks that need threads, where the types allow them.
//!
//! [`Probe`] has each method twice: its own, for allocators that may be shared
//! or moved, and the trait's ([`Alone`]), for all. The compiler takes the own
//! one where its bounds hold. So the macro needs not be told which allocators
//! are `Sync` and `Send`; a check that does not apply passes.
//!
//! Threads run random programs of their own on one allocator, each with a share
//! of what the allocator promises, and none asks for more. Then each passes
//! its blocks on to the next thread, which looks at every byte and gives them
//! back. Every shadow marks its blocks differently, so a block that two threads
//! were given shows as changed bytes.

use super::{Check, Finding};
use crate::Allocator;
use crate::model::{BYTES_PER_OP, Bounds, Failure, Fault, Op, Shadow, bytes, decode};
use std::sync::Barrier;
use std::thread;
use std::vec::Vec;

/// Enough to make two cores disagree.
const THREADS: u32 = if cfg!(miri) { 2 } else { 4 };
/// Operations that each thread carries out before blocks change hands.
const OPS: usize = if cfg!(miri) { 30 } else { 600 };
/// How often blocks change hands.
const ROUNDS: u64 = if cfg!(miri) { 2 } else { 10 };

/// Something to look at with threads: the allocator, or a reference to it.
#[derive(Debug)]
pub struct Probe<A>(pub A);

/// What holds for allocators that stay on their thread: nothing to check.
pub trait Alone: Sized {
    /// See [`Check::Threads`].
    fn threads(self, _: Bounds) -> Option<Finding> {
        None
    }

    /// See [`Check::Moved`].
    fn moved(self, _: Bounds) -> Option<Finding> {
        None
    }
}

impl<A> Alone for Probe<A> {}

fn finding(check: Check, (at, fault): (usize, Fault)) -> Finding {
    Finding { check, program: Vec::new(), failure: Failure { at, fault } }
}

/// A thread's own program.
fn work<A: Allocator>(shadow: &mut Shadow<'_, A>, program: &[Op]) -> Result<(), (usize, Fault)> {
    for (at, op) in program.iter().enumerate() {
        shadow.step(*op).map_err(|fault| (at, fault))?;
    }
    Ok(())
}

impl<A: Allocator + Sync> Probe<&A> {
    /// Several threads at once. The finding, if there is one.
    #[must_use]
    pub fn threads(self, bounds: Bounds) -> Option<Finding> {
        let allocator = self.0;
        let share = bounds.shared_by(THREADS as usize);
        let turn = Barrier::new(THREADS as usize);
        let mut books: Vec<_> = (0..THREADS)
            .map(|mark| Shadow::new(allocator, share).modest().marked(mark << 8 | 1).detach())
            .collect();
        for round in 0..ROUNDS {
            let results = thread::scope(|scope| {
                let spawn = |(number, books): (u64, _)| {
                    let turn = &turn;
                    scope.spawn(move || {
                        let seed = round << 8 | number;
                        let program = decode(&bytes(seed, OPS * BYTES_PER_OP), share);
                        let mut shadow = Shadow::attach(allocator, books);
                        turn.wait();
                        // Another thread wrote these blocks.
                        shadow.look().map_err(|fault| (0, fault))?;
                        work(&mut shadow, &program)?;
                        Ok(shadow.detach())
                    })
                };
                let threads: Vec<_> = (0..).zip(books.drain(..)).map(spawn).collect();
                threads.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>()
            });
            for result in results {
                match result {
                    Ok(Ok(kept)) => books.push(kept),
                    Ok(Err(fault)) => return Some(finding(Check::Threads, fault)),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            books.rotate_left(1);
        }
        let results: Vec<_> =
            books.into_iter().map(|books| Shadow::attach(allocator, books).finish()).collect();
        let fault = results.into_iter().find_map(Result::err);
        fault.map(|fault| finding(Check::Threads, (OPS, fault)))
    }
}

impl<A: Allocator + Send> Probe<A> {
    /// The allocator moves to another thread while blocks live. The finding, if
    /// there is one.
    #[must_use]
    pub fn moved(self, bounds: Bounds) -> Option<Finding> {
        let allocator = self.0;
        let program = decode(&bytes(1, OPS * BYTES_PER_OP), bounds);
        let (first, second) = program.split_at(OPS / 2);
        let mut shadow = Shadow::new(&allocator, bounds);
        if let Err(fault) = work(&mut shadow, first) {
            return Some(finding(Check::Moved, fault));
        }
        let books = shadow.detach();
        let result = thread::scope(|scope| {
            let there = scope.spawn(move || {
                let mut shadow = Shadow::attach(&allocator, books);
                shadow.look().map_err(|fault| (0, fault))?;
                work(&mut shadow, second)?;
                shadow.finish().map_err(|fault| (OPS, fault))
            });
            there.join()
        });
        match result {
            Ok(result) => result.err().map(|fault| finding(Check::Moved, fault)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}
