//! A test kit for allocators: yours as well as ours.
//!
//! [`conformance!`](crate::conformance!) writes a module of tests, one for each
//! [`Check`]. A check is a program in the language of [`model`](crate::model)
//! that is hard on one promise. It runs on a fresh allocator, under a shadow
//! that knows what is live and which bytes are in it. A program that fails is
//! made as short as it goes and printed as Rust, ready for a test of its own.
//!
//! | check | what has to hold |
//! |---|---|
//! | `alignment` | every size at every alignment is aligned |
//! | `overlap` | blocks of mixed sizes, given back and taken again, are apart |
//! | `contents` | every usable byte stays as written until the block is given back |
//! | `growth` | what both layouts hold survives growing, shrinking, realigning |
//! | `in_place` | in place is in place, and a refusal changes nothing |
//! | `zeroing` | zeroed memory is zero, also where something was before |
//! | `no_bytes` | layouts of size 0, and growing from and shrinking to them |
//! | `usable_size` | usable is at least what was returned; any size up to that gives back |
//! | `too_large` | half of the address space is refused, and nothing changes by asking |
//! | `exhaustion` | running dry harms no block, and what comes back can be had again |
//! | `random` | random programs, against the model |
//! | `threads` | several threads at once, blocks given back by others (if `Sync`) |
//! | `moved` | the allocator moves to another thread while blocks live (if `Send`) |
//!
//! What it can not find: memory that an unbounded allocator loses, orderings
//! that are weak in theory (that is for loom), and reads past an end. Run the
//! tests under Miri and the sanitizers as well: the kit only uses memory that it
//! may.

mod programs;
mod threads;

pub use programs::program;
pub use threads::{Alone, Probe};

use crate::model::{BYTES_PER_OP, Bounds, Failure, Op, bytes, decode, shrink};
use core::fmt;
use std::vec::Vec;

/// One promise to look at. The names are those of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the table above says what they are")]
pub enum Check {
    Alignment,
    Overlap,
    Contents,
    Growth,
    InPlace,
    Zeroing,
    NoBytes,
    UsableSize,
    TooLarge,
    Exhaustion,
    Random,
    Threads,
    Moved,
}

/// What a check has found: the shortest program that shows it.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which promise is broken.
    pub check: Check,
    /// What shows it. Empty for `Threads` and `Moved`, which do not repeat.
    pub program: Vec<Op>,
    /// Where and how.
    pub failure: Failure,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}: {}", self.check, self.failure)?;
        if !self.program.is_empty() {
            writeln!(f, "this shows it, with `allod_kit::model::{{Op, run}}`:\n[")?;
            for op in &self.program {
                writeln!(f, "    Op::{op:?},")?;
            }
            writeln!(f, "]")?;
        }
        Ok(())
    }
}

/// Random programs in a check, and operations in each.
const ROUNDS: (u64, usize) = if cfg!(miri) { (3, 60) } else { (50, 400) };

/// Runs a check. `run` carries a program out on a fresh allocator; it may be
/// called often.
///
/// # Errors
///
/// The allocator breaks the promise.
pub fn examine(
    check: Check,
    bounds: Bounds,
    run: &mut dyn FnMut(&[Op]) -> Result<(), Failure>,
) -> Result<(), Finding> {
    let mut judge = |program: Vec<Op>| match run(&program) {
        Ok(()) => Ok(()),
        Err(failure) => {
            let (program, failure) = shrink(&program, failure, &mut |shorter| run(shorter).err());
            Err(Finding { check, program, failure })
        }
    };
    if check != Check::Random {
        return judge(program(check, bounds));
    }
    let (seeds, length) = ROUNDS;
    (0..seeds).try_for_each(|seed| judge(decode(&bytes(seed, length * BYTES_PER_OP), bounds)))
}

/// Writes a module of tests that an allocator has to pass.
///
/// The first argument makes the allocator: an expression, evaluated anew for
/// each test and often within it. Its value, or what it refers to, has
/// [`Allocator`](crate::Allocator); with the word `global` in front it has
/// `GlobalAlloc`. A name and a colon before it name the module, for the second
/// use in one place. Then, if the allocator is a small one, its
/// [`Bounds`](crate::model::Bounds); then what to call after each operation,
/// such as the allocator's own `check`.
///
/// ```
/// use allod_kit::{FromGlobal, model::Bounds};
/// use std::alloc::System;
///
/// allod_kit::conformance!(FromGlobal::new(System));
/// allod_kit::conformance!(system: global System);
/// allod_kit::conformance!(small: global System, Bounds::new().size(100));
/// allod_kit::conformance!(checked: global System, Bounds::new(), |_system| ());
/// # fn main() {}
/// ```
///
/// An allocator on a buffer borrows it in the expression:
///
/// ```ignore
/// allod_kit::conformance!(
///     arena: &Bump::on(&mut [MaybeUninit::uninit(); 4096]),
///     Bounds::new().size(256).total(2048).reuses(false),
/// );
/// ```
#[macro_export]
macro_rules! conformance {
    ($name:ident: global $make:expr $(, $bounds:expr $(, $after:expr)?)? $(,)?) => {
        $crate::conformance!(
            $name: $crate::FromGlobal::new($make) $(, $bounds $(, $after)?)?
        );
    };
    ($name:ident: $make:expr $(,)?) => {
        $crate::conformance!($name: $make, $crate::model::Bounds::new(), |_| ());
    };
    ($name:ident: $make:expr, $bounds:expr $(,)?) => {
        $crate::conformance!($name: $make, $bounds, |_| ());
    };
    ($name:ident: $make:expr, $bounds:expr, $after:expr $(,)?) => {
        #[cfg(test)]
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $crate::__conformance!([$make] [$bounds] [$after]
                alignment Alignment, overlap Overlap, contents Contents, growth Growth,
                in_place InPlace, zeroing Zeroing, no_bytes NoBytes, usable_size UsableSize,
                too_large TooLarge, exhaustion Exhaustion, random Random);

            #[test]
            fn threads() {
                #[allow(unused_imports)]
                use $crate::conformance::Alone as _;
                match $make {
                    ref allocator => {
                        let found = $crate::conformance::Probe(allocator).threads($bounds);
                        assert!(found.is_none(), "{}", found.unwrap());
                    }
                }
            }

            #[test]
            fn moved() {
                #[allow(unused_imports)]
                use $crate::conformance::Alone as _;
                match $make {
                    allocator => {
                        let found = $crate::conformance::Probe(allocator).moved($bounds);
                        assert!(found.is_none(), "{}", found.unwrap());
                    }
                }
            }
        }
    };
    (global $make:expr $(, $bounds:expr $(, $after:expr)?)? $(,)?) => {
        $crate::conformance!(conformance: global $make $(, $bounds $(, $after)?)?);
    };
    ($make:expr $(, $bounds:expr $(, $after:expr)?)? $(,)?) => {
        $crate::conformance!(conformance: $make $(, $bounds $(, $after)?)?);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance {
    ([$make:expr] [$bounds:expr] [$after:expr] $($name:ident $check:ident),*) => {
        $(
            #[test]
            fn $name() {
                let bounds = $bounds;
                let found = $crate::conformance::examine(
                    $crate::conformance::Check::$check,
                    bounds,
                    &mut |program| match $make {
                        ref allocator => {
                            $crate::model::run(allocator, bounds, program, &$after)
                        }
                    },
                );
                assert!(found.is_ok(), "{}", found.unwrap_err());
            }
        )*
    };
}
