//! Batches of small blocks in one thread, freed in one order or the other.

use fastrand::Rng;

use super::block::Block;

/// Blocks of a batch: more than any front list holds.
const BATCH: usize = 2_000;
/// The seed of the sizes.
const SEED: u64 = 0x57AC;

/// `amount` batches, freed from the last block to the first.
pub(crate) fn lifo(amount: u64) -> u64 {
    batches(amount, |batch| batch.drain(..).rev().map(Block::free).fold(0, u64::wrapping_add))
}

/// `amount` batches, freed from the first block to the last.
pub(crate) fn fifo(amount: u64) -> u64 {
    batches(amount, |batch| batch.drain(..).map(Block::free).fold(0, u64::wrapping_add))
}

/// Fills and empties a batch. Every other batch is of one size.
fn batches(amount: u64, free: fn(&mut Vec<Block>) -> u64) -> u64 {
    let mut random = Rng::with_seed(SEED);
    let mut batch = Vec::with_capacity(BATCH);
    let mut sum = 0u64;
    for turn in 0..amount {
        let one = 8 + random.usize(..504);
        for i in 0..BATCH {
            let size = if turn % 2 == 0 { one } else { small(&mut random) };
            batch.push(Block::new(size, turn ^ i as u64));
        }
        sum = sum.wrapping_mul(31).wrapping_add(free(&mut batch));
    }
    sum
}

/// A size as programs ask for: mostly below 128 bytes, now and then up to 4 KiB.
pub(crate) fn small(random: &mut Rng) -> usize {
    match random.u8(..) {
        0..200 => 8 + random.usize(..120),
        200..250 => 128 + random.usize(..896),
        _ => 1024 + random.usize(..3072),
    }
}

/// A size from a power law: 16 bytes divided by a number that is evenly spread
/// between nothing and one, to the power of 1.1, and at most 1 MiB.
pub(crate) fn power(random: &mut Rng) -> usize {
    const MOST: f64 = 1_048_576.0;
    let size = 16.0 / (1.0 - random.f64()).powf(0.9);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "16 to 1 MiB")]
    let size = size.min(MOST) as usize;
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_depends_on_the_amount_alone() {
        assert_eq!(lifo(3), lifo(3));
        assert_ne!(lifo(3), lifo(4));
        // Addition does not care for the order, so both free the same blocks.
        assert_eq!(lifo(3), fifo(3));
    }
}
