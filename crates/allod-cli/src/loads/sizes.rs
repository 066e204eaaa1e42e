//! Every size and every alignment, where classes end and begin.

use super::block::Block;
use super::figures::{MIB, figure, peak, times};

/// `amount` rounds. In each, for every power of two from 16 bytes to 1 MiB and for
/// the steps between, blocks of that size, of one byte less and of one more: about
/// a MiB of each. All live until the round ends.
pub(crate) fn edges(amount: u64) -> u64 {
    const EACH: usize = MIB / 2;
    let mut sum = 0u64;
    let mut most = 0;
    for turn in 0..amount {
        let mut blocks = Vec::new();
        let mut live = 0;
        for power in 4..20 {
            for step in 4..8 {
                let edge = (1usize << power) * step / 4;
                for size in [edge - 1, edge, edge + 1] {
                    for i in 0..(EACH / size).max(1) {
                        let block = Block::new(size, turn ^ i as u64);
                        block.touch(0);
                        blocks.push(block);
                        live += size;
                    }
                }
            }
        }
        most = most.max(live + blocks.capacity() * size_of::<Block>());
        sum = blocks.into_iter().map(Block::free).fold(sum, u64::wrapping_add);
    }
    figure("peak_over_live", times(peak(), most));
    sum
}

/// `amount` rounds over every alignment from 16 bytes to 64 MiB, with blocks that
/// are smaller, as large and a little larger. Each must lie where it was asked to.
pub(crate) fn aligned(amount: u64) -> u64 {
    /// Blocks of one size and alignment that live together.
    const TOGETHER: usize = 16;
    let mut sum = 0u64;
    for turn in 0..amount {
        for power in 4..27 {
            let align = 1usize << power;
            for size in [24, 100, 1_000, (align / 2).min(MIB), align.min(MIB) + 8] {
                let count = (4 * MIB / align).clamp(1, TOGETHER);
                let blocks: Vec<Block> =
                    (0..count).map(|i| Block::aligned(size, align, turn ^ i as u64)).collect();
                sum = blocks.into_iter().map(Block::free).fold(sum, u64::wrapping_add);
            }
        }
    }
    sum
}
