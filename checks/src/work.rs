//! A little of everything, for checks whose subject is the surroundings.

use crate::block::{Block, refused};
use crate::c;

/// A generator of numbers that look random and are the same every time.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// One sequence for each seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.number() % bound as u64) as usize
    }

    /// A size up to 2 to the `bits`: small ones are as likely as large ones.
    pub fn size(&mut self, bits: u32) -> usize {
        let bits = self.below(bits as usize + 1) as u32;
        1 + (self.number() & ((1 << bits) - 1)) as usize
    }
}

/// Allocates, reallocates and frees blocks up to 2 to the `bits` bytes, and
/// looks at what is in them.
///
/// # Errors
///
/// When memory is refused or has changed.
pub fn churn(seed: u64, steps: usize, bits: u32) -> Result<(), String> {
    let refusals = churn_refused(seed, steps, bits)?;
    if refusals > 0 { Err(format!("{refusals} requests were refused")) } else { Ok(()) }
}

/// As [`churn`], but memory may be refused, with NULL and `ENOMEM`. Tells how
/// often it was.
///
/// # Errors
///
/// When memory has changed or was refused in another way.
pub fn churn_refused(seed: u64, steps: usize, bits: u32) -> Result<usize, String> {
    let mut random = Random::new(seed);
    let mut refusals = 0;
    let mut blocks: [Option<Block>; 64] = [const { None }; 64];
    for _ in 0..steps {
        let place = random.below(blocks.len());
        let mark = place as u8;
        let size = random.size(bits);
        c::set_errno(0);
        let block = match (blocks[place].take(), random.below(4)) {
            (Some(block), 0) => {
                let kept = block.size().min(size);
                if !block.holds(mark, block.size()) {
                    return Err(format!("a block of {} bytes has changed", block.size()));
                }
                match block.realloc(size) {
                    Ok(block) if block.holds(mark, kept) => Some(block),
                    Ok(_) => return Err(format!("realloc to {size} lost what was in it")),
                    Err(block) => {
                        refused("realloc", None)?;
                        refusals += 1;
                        if !block.holds(mark, block.size()) {
                            return Err("a realloc that failed has changed the block".to_owned());
                        }
                        Some(block)
                    }
                }
            }
            (Some(block), _) => {
                if !block.holds(mark, block.size()) {
                    return Err(format!("a block of {} bytes has changed", block.size()));
                }
                None
            }
            (None, 0) => fresh(Block::calloc(1, size), &mut refusals, "calloc")?,
            (None, 1) => fresh(Block::memalign(64, size), &mut refusals, "memalign")?,
            (None, _) => fresh(Block::malloc(size), &mut refusals, "malloc")?,
        };
        blocks[place] = block.map(|mut block| {
            block.fill(mark);
            block
        });
    }
    Ok(refusals)
}

fn fresh(block: Option<Block>, refusals: &mut usize, what: &str) -> Result<Option<Block>, String> {
    if block.is_none() {
        refused(what, None)?;
        *refusals += 1;
    }
    Ok(block)
}
