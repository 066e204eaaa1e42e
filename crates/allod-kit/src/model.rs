//! One language for what can be done to an allocator, and a shadow that
//! watches while it is done.
//!
//! A program is a list of [`Op`]. Any list is a valid program: an operation on
//! a block names one of the live blocks by a number that is taken modulo their
//! count, and does nothing where there are none. So a program may be cut
//! anywhere and stays a program, and any bytes can be read as one: property
//! tests, fuzzers and replays of a failure all speak this language.
//!
//! ```text
//!   bytes --decode--> [Op] --run--> allocator
//!                      ^      |         |
//!                      |      v         v
//!                   shrink <- Fault <- Shadow: what is live, where, with
//!                                      which layout and which bytes
//! ```
//!
//! [`run`] carries a program out and asks the shadow after each operation.
//! [`shrink`] makes a program that fails as short and as small as it goes.
//!
//! What the model can not see: memory that an unbounded allocator loses. A
//! bounded one that loses memory refuses in the end what it has promised
//! ([`Bounds::total`]).

mod shadow;
mod shrink;

pub use shadow::{Fault, Shadow};
pub use shrink::shrink;

use crate::Allocator;
use core::fmt;
use std::vec::Vec;

/// One thing done to an allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A new block.
    Allocate {
        /// Bytes.
        size: usize,
        /// A power of two.
        align: usize,
        /// Whether the bytes have to be 0.
        zeroed: bool,
    },
    /// Gives a live block back.
    Deallocate {
        /// Which one, modulo their count.
        which: usize,
        /// With the length that was returned, in place of the one asked for.
        longest: bool,
    },
    /// Another layout for a live block, wherever.
    Reallocate {
        /// Which one, modulo their count.
        which: usize,
        /// The new size in bytes.
        size: usize,
        /// The new alignment, a power of two.
        align: usize,
    },
    /// Another layout for a live block, where it is.
    ReallocateInPlace {
        /// Which one, modulo their count.
        which: usize,
        /// The new size in bytes.
        size: usize,
        /// The new alignment, a power of two.
        align: usize,
    },
    /// The largest layout there is: it has to be refused.
    AllocateHuge {
        /// A power of two.
        align: usize,
    },
    /// The same for a live block, which has to stay as it is.
    ReallocateHuge {
        /// Which one, modulo their count.
        which: usize,
    },
}

/// What an allocator has promised, so that a refusal can be told from a fault.
///
/// ```
/// use allod_kit::model::Bounds;
///
/// let small_heap = Bounds::new().size(512).align(64).total(2048);
/// let arena = Bounds::new().reuses(false);
/// # let _ = (small_heap, arena);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Bounds {
    pub(crate) size: usize,
    pub(crate) align: usize,
    pub(crate) total: usize,
    pub(crate) reuses: bool,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds::new()
    }
}

impl Bounds {
    /// Blocks of up to 64 KiB, aligned to up to 4096, 4 MiB of them, memory
    /// that is given back is used again. Under Miri, a tenth of that.
    pub const fn new() -> Self {
        if cfg!(miri) {
            Bounds { size: 1 << 10, align: 1 << 9, total: 1 << 16, reuses: true }
        } else {
            Bounds { size: 1 << 16, align: 1 << 12, total: 1 << 22, reuses: true }
        }
    }

    /// The largest block that it must be able to give.
    pub const fn size(mut self, bytes: usize) -> Self {
        self.size = bytes;
        self
    }

    /// The largest alignment that it must be able to give: a power of two.
    pub const fn align(mut self, bytes: usize) -> Self {
        self.align = if bytes.is_power_of_two() { bytes } else { 1 };
        self
    }

    /// How much it must be able to give at one time. A block counts as twice
    /// its size and its alignment, and 64 bytes, which leaves room for records
    /// and for rounding up.
    pub const fn total(mut self, bytes: usize) -> Self {
        self.total = bytes;
        self
    }

    /// Whether memory that was given back is given out again. If not,
    /// [`total`](Bounds::total) is for the whole life of the allocator.
    pub const fn reuses(mut self, reuses: bool) -> Self {
        self.reuses = reuses;
        self
    }

    /// What each of several users may count on.
    pub(crate) const fn shared_by(mut self, users: usize) -> Self {
        self.total /= users;
        self
    }

    /// What a block counts against `total`.
    pub(crate) const fn cost(size: usize, align: usize) -> usize {
        size.saturating_add(align).saturating_mul(2).saturating_add(64)
    }
}

/// A program that went wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which operation brought it to light. The number of operations stands
    /// for the end, where everything is looked at and given back.
    pub at: usize,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at operation {}: {}", self.at, self.fault)
    }
}

/// How many bytes [`decode`] makes an operation of.
pub const BYTES_PER_OP: usize = 4;

/// Reads any bytes as a program within bounds. Small sizes and alignments are
/// likely, large ones happen. Bytes left over at the end are ignored.
///
/// ```
/// use allod_kit::model::{Bounds, decode};
/// assert_eq!(decode(b"any sixteen bytes", Bounds::new()).len(), 4);
/// ```
#[must_use]
pub fn decode(bytes: &[u8], bounds: Bounds) -> Vec<Op> {
    let (groups, _) = bytes.as_chunks::<BYTES_PER_OP>();
    groups.iter().map(|group| decode_one(*group, bounds)).collect()
}

/// ```text
///   byte 0: kind (3 bits), alignment (5 bits)    byte 1: which block
///   bytes 2, 3: 13 bits of size and 3 bits that shift it
/// ```
fn decode_one([head, which, low, high]: [u8; BYTES_PER_OP], bounds: Bounds) -> Op {
    let which = usize::from(which);
    let flags = head >> 3;
    // Twenty of thirty-two are 1 to 16, the others 32 to 64 Ki.
    let align_bits = if flags < 20 { flags % 5 } else { flags - 15 };
    let align = (1usize << align_bits).min(bounds.align);
    let word = u16::from_le_bytes([low, high]);
    let significant = usize::from(word & 0x1fff);
    let size = match word >> 13 {
        0 => significant * 8,
        shift => significant >> shift,
    };
    let size = if size <= bounds.size { size } else { size % (bounds.size + 1) };
    match head & 7 {
        0..3 => Op::Allocate { size, align, zeroed: false },
        3 => Op::Allocate { size, align, zeroed: true },
        4 | 5 => Op::Deallocate { which, longest: flags & 1 == 1 },
        6 => Op::Reallocate { which, size, align },
        _ => Op::ReallocateInPlace { which, size, align },
    }
}

/// Bytes that look random and are always the same for one seed. Never put a
/// random number of another run into a test that has to be repeated.
#[must_use]
pub fn bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    let mut made = Vec::with_capacity(count + 8);
    while made.len() < count {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        made.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    made.truncate(count);
    made
}

/// Carries a program out, looks at the block of each operation, and in the end
/// at all of them. `after` is called after each operation: the place to call an
/// allocator's own `check`. All blocks are given back, also after a fault.
///
/// # Errors
///
/// The first thing that went wrong.
pub fn run<A: Allocator>(
    allocator: &A,
    bounds: Bounds,
    program: &[Op],
    after: &dyn Fn(&A),
) -> Result<(), Failure> {
    let mut shadow = Shadow::new(allocator, bounds);
    for (at, op) in program.iter().enumerate() {
        shadow.step(*op).map_err(|fault| Failure { at, fault })?;
        after(allocator);
    }
    shadow.finish().map_err(|fault| Failure { at: program.len(), fault })?;
    after(allocator);
    Ok(())
}
