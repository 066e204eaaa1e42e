//! First fit: one list of holes in the order of their addresses.
//!
//! The oldest heap, and the smallest: a list, and two words in each hole. An
//! allocation takes the first hole that is large enough, from its start. A freed
//! block finds its place in the list and melts with the holes it touches.
//!
//! ```text
//!   first --> hole ------------> hole ------> hole --> none
//!           | next size .... |  | next size |
//!      used |      free      |u |   free    | used ...
//! ```
//!
//! Low addresses are used first and again, so the high end stays whole. Nothing
//! but the holes is written down, so all but 48 bytes of a region are blocks,
//! in steps of 8 bytes: no heap here wastes less.
//!
//! # When not to use it
//!
//! Both operations walk the list: O(holes). With a dozen holes it is the fastest
//! of our heaps, with a thousand the slowest. Where time must be bounded, or
//! blocks are many, use [`Tlsf`](crate::Tlsf).
//!
//! # Invariants
//!
//! * F1. Holes are linked in ascending order; a hole's second word is its size.
//! * F2. No two holes touch.
//!
//! Source: Knuth, *The Art of Computer Programming*, volume 1, section 2.5.

use crate::regions::{Plan, Region, Regions};
use crate::words::{CONTROL, WORD, Words};

/// Words of the least block, and the unit of sizes: 8 bytes.
const UNIT: u32 = 2;
/// The same in bytes.
const GRANULE: usize = UNIT as usize * WORD;

/// The first hole.
const FIRST: u32 = CONTROL;
/// Where blocks begin: the next multiple of 16 bytes.
const BLOCKS: u32 = CONTROL + 4;

/// A small heap that wastes nothing.
///
/// ```
/// use allod_kit::FirstFit;
/// use core::{alloc::Layout, mem::MaybeUninit};
///
/// let mut memory = [MaybeUninit::uninit(); 256];
/// let mut heap = FirstFit::new();
/// assert!(heap.add(&mut memory) >= 192);
/// let block = heap.allocate(Layout::new::<[u8; 100]>())?;
/// assert_eq!(block.len(), 104);
/// # Ok::<(), allod_kit::AllocError>(())
/// ```
///
/// # What it costs
///
/// *Time.* O(holes) to allocate, deallocate, grow and shrink in place. *Memory.* A
/// block costs its size rounded up to 8 bytes, a region 48 bytes.
///
/// # When not to use it
///
/// For many blocks, and where time must be bounded: [`Tlsf`](crate::Tlsf).
pub type FirstFit<'m> = Regions<'m, FirstFitPlan>;

/// See [`FirstFit`].
#[derive(Debug)]
pub struct FirstFitPlan;

/// Where a block of `size` fits into the hole at `at`: its place, and what is
/// left behind it.
#[inline]
fn fit(words: Words, at: u32, size: u32, align: usize) -> Option<(u32, u32)> {
    let start = words.align_up(at, align);
    let end = u64::from(at + words.get(at + 1));
    let after = end.checked_sub(start + u64::from(size))?;
    Some((start as u32, after as u32))
}

impl Plan for FirstFitPlan {
    const NAME: &'static str = "FirstFit";

    #[inline]
    fn measure(size: usize) -> u32 {
        size.div_ceil(GRANULE) as u32 * UNIT
    }

    fn build(region: Region, words: u32) -> u32 {
        if words <= BLOCKS {
            return 0;
        }
        let size = (words - BLOCKS) / UNIT * UNIT;
        region.0.set(FIRST, BLOCKS);
        region.0.set(BLOCKS, 0);
        region.0.set(BLOCKS + 1, size);
        size
    }

    #[inline]
    fn take(region: Region, size: u32, align: usize) -> u32 {
        let words = region.0;
        let mut before = FIRST;
        loop {
            let at = words.get(before);
            if at == 0 {
                return 0;
            }
            if let Some((start, after)) = fit(words, at, size, align) {
                let mut next = words.get(at);
                if after != 0 {
                    words.set(start + size, next);
                    words.set(start + size + 1, after);
                    next = start + size;
                }
                if start != at {
                    words.set(at + 1, start - at);
                    before = at;
                }
                words.set(before, next);
                return start;
            }
            before = at;
        }
    }

    #[inline]
    fn give(region: Region, at: u32, size: u32) {
        let words = region.0;
        let mut before = FIRST;
        let mut next = words.get(before);
        // Word 0 is behind us, so the end of the list needs an answer of its own.
        while next != 0 && next < at {
            before = next;
            next = words.get(before);
        }
        let (mut end, mut after) = (at + size, next);
        if end == next {
            after = words.get(next);
            end += words.get(next + 1);
        }
        let start =
            if before != FIRST && before + words.get(before + 1) == at { before } else { at };
        if start == at {
            words.set(before, at);
        }
        words.set(start, after);
        words.set(start + 1, end - start);
    }

    fn resize(region: Region, at: u32, old: u32, new: u32) -> bool {
        let words = region.0;
        if new < old {
            Self::give(region, at + new, old - new);
            return true;
        }
        let (end, more) = (at + old, new - old);
        let mut before = FIRST;
        let mut next = words.get(before);
        while next != 0 && next < end {
            before = next;
            next = words.get(before);
        }
        if next != end || words.get(next + 1) < more {
            return false;
        }
        let (mut after, left) = (words.get(next), words.get(next + 1) - more);
        if left != 0 {
            words.set(end + more, after);
            words.set(end + more + 1, left);
            after = end + more;
        }
        words.set(before, after);
        true
    }

    fn largest(region: Region) -> u32 {
        let (mut at, mut largest) = (region.0.get(FIRST), 0);
        while at != 0 {
            largest = largest.max(region.0.get(at + 1));
            at = region.0.get(at);
        }
        largest
    }

    fn check(region: Region, words: u32) -> Result<u32, &'static str> {
        let (mut at, mut free, mut end) = (region.0.get(FIRST), 0, 0);
        while at != 0 {
            let size = region.0.get(at + 1);
            if at < BLOCKS || at < end || !at.is_multiple_of(UNIT) {
                return Err("the holes are out of order (F1)");
            }
            if at == end {
                return Err("two holes touch (F2)");
            }
            if at >= words || size == 0 || !size.is_multiple_of(UNIT) || size > words - at {
                return Err("a hole has a size that cannot be (F1)");
            }
            free += size;
            end = at + size;
            at = region.0.get(at);
        }
        Ok(free)
    }
}

#[cfg(test)]
mod tests;
