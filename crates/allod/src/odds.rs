//! The arithmetic of sampling: who is taken, and how many it stands for.
//!
//! Every byte that is allocated is marked with probability 1/T, each on its own,
//! and an object is a sample when one of its bytes is marked. So an object of
//! `size` bytes is taken with
//!
//! ```text
//!   P(size) = 1 - e^(-size / T)
//! ```
//!
//! and stands for 1 / P objects of size / P bytes: sums of these weights over any
//! set of objects are right on the average, whatever the set and the sizes.
//! Blocks of one size that are passed over before the next one is taken are
//! distributed as the whole part of an exponential of mean T, divided by the size.
//!
//! In whole numbers throughout: a program may have changed how its processor
//! rounds, or asked to be stopped by an inexact result, and `malloc` is no place
//! to find that out. The logarithm is taken bit by bit, by squaring, and the
//! exponential by its series; both are right to about nine digits, and either is
//! worked out once for each sample, not for each allocation.
#![forbid(unsafe_code)]

use crate::dump::COUNT_UNIT;
use crate::sync::{AtomicU64, Ordering};

/// One, with 63 bits behind the point.
const ONE: u64 = 1 << 63;
/// The natural logarithm of 2, with 64 bits behind the point.
const LN_2: u64 = 0xB172_17F7_D1CF_79AB;
/// 1 / e, with 63 bits behind the point.
const INVERSE_E: u64 = 0x2F16_AC6C_59DE_6F8D;
/// From this many intervals on an object is as good as certain to be taken.
const CERTAIN: u64 = 43;

/// A generator that threads share: a counter that one addition moves on, and a
/// function that makes a number out of it in which nothing of the counter is
/// left to see (Steele, Lea, Flood 2014). A handler may interrupt it anywhere.
#[derive(Debug)]
pub(crate) struct Dice(AtomicU64);

impl Dice {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Begins anew.
    pub(crate) fn seed(&self, entropy: [u64; 2]) {
        let [a, b] = entropy;
        // ORDERING: Relaxed, a number that orders nothing.
        self.0.store(a ^ b.rotate_left(32), Ordering::Relaxed);
    }

    /// Sixty-four random bits.
    pub(crate) fn roll(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        // ORDERING: Relaxed, only that no two get the same matters.
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// The negative natural logarithm of `(u + 1/2) / 2^64`, near enough, with 32 bits
/// behind the point.
fn negative_ln(u: u64) -> u64 {
    let u = u | 1;
    let zeros = u.leading_zeros();
    // The mantissa, from 1 up to 2, with 63 bits behind the point.
    let mut x = u << zeros;
    let mut log2 = 0u64;
    for _ in 0..32 {
        let square = (u128::from(x) * u128::from(x)) >> 63;
        let bit = (square >> 64) as u64;
        x = (square >> bit) as u64;
        log2 = log2 << 1 | bit;
    }
    let negative = (u64::from(zeros + 1) << 32) - log2;
    ((u128::from(negative) * u128::from(LN_2)) >> 64) as u64
}

/// How many blocks of `size` bytes pass before one is taken, at a mean of
/// `interval` bytes. `u` is 64 random bits.
pub(crate) fn countdown(u: u64, size: usize, interval: u32) -> u32 {
    let bytes = u128::from(negative_ln(u)) * u128::from(interval);
    let blocks = (bytes >> 32) as u64 / (size as u64).max(1);
    u32::try_from(blocks).unwrap_or(u32::MAX).min(u32::MAX - 1)
}

/// P(size), with 63 bits behind the point.
fn probability(size: usize, interval: u32) -> u64 {
    let (size, interval) = (size as u64, u64::from(interval.max(1)));
    let (whole, part) = (size / interval, size % interval);
    if whole >= CERTAIN {
        return ONE;
    }
    let y = ((u128::from(part) << 63) / u128::from(interval)) as u64;
    // 1 - e^-y = y - y^2/2! + y^3/3! - ..., for y below 1.
    let (mut sum, mut term) = (y as i128, y);
    for k in 2..=20u64 {
        term = times(term, y) / k;
        // Most objects are much smaller than an interval: six terms are all.
        if term == 0 {
            break;
        }
        sum += if k % 2 == 0 { -i128::from(term) } else { i128::from(term) };
    }
    let sum = sum as u64;
    if whole == 0 {
        return sum.max(1);
    }
    let mut passed = ONE - sum;
    for _ in 0..whole {
        passed = times(passed, INVERSE_E);
    }
    ONE - passed
}

fn times(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b)) >> 63) as u64
}

/// True when an object of `size` bytes is taken. `u` is 64 random bits.
pub(crate) fn is_taken(u: u64, size: usize, interval: u32) -> bool {
    // P is at most size / T, which says no to nearly all.
    let above = u128::from(u >> 1) * u128::from(interval) >= (size as u128) << 63;
    interval != 0 && !above && (u >> 1) < probability(size, interval)
}

/// What a sample stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Objects, in units of 1/[`COUNT_UNIT`].
    pub(crate) count: u64,
    /// Bytes.
    pub(crate) bytes: u64,
}

/// What an object of `size` bytes stands for, taken at a mean of `interval` bytes.
pub(crate) fn weight(size: usize, interval: u32) -> Weight {
    let p = u128::from(probability(size, interval));
    let divided = |n: u64| ((u128::from(n) << 63) + p / 2) / p;
    Weight {
        count: u64::try_from(divided(COUNT_UNIT)).unwrap_or(u64::MAX),
        bytes: u64::try_from(divided(size as u64)).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests;
