//! The binary buddy: blocks of 16, 32, 64 bytes and so on, each at a multiple of
//! its own size.
//!
//! A block is halved until it is just large enough, and two halves that are both
//! free become their whole again. Which two belong together is arithmetic: the
//! addresses differ in one bit. So there is nothing to search. A heap of 2^n
//! granules takes at most n steps, and what was freed is together again when it
//! is wanted together.
//!
//! ```text
//!   order 3   |               A               |
//!   order 2   |      used     |       B       |
//!   order 1   |       |       | free  |   C   |     free: orders 0 and 1
//!   order 0   |   |   |   |   |   |   | u | f |
//! ```
//!
//! One bit for each pair of halves says whether *exactly one* of them is free.
//! Every change of a half turns its pair's bit over; if the bit is 0 after a
//! block came home, its other half is free as well. One bit a granule in all,
//! 0.8% of the memory, and two words for each order.
//!
//! Halves are told by addresses, not by distances from the region's start, so a
//! block of 4,096 bytes is on a 4,096 byte boundary, whatever the region's. The
//! region may begin and end anywhere: what is beyond the ends is never free.
//!
//! A program often frees a block and wants one of its size next. So the block
//! that came home last is *held*: not melted until another one comes, or until a
//! block would have to be halved. It is one block, so the bound stands: an
//! operation does at most what two did.
//!
//! # When not to use it
//!
//! Sizes are rounded up to powers of two: a quarter of the memory is lost on
//! average, and nearly half of it in the worst case. Use it where sizes are
//! powers of two anyway (buffers, page tables, DMA), or where blocks must be
//! aligned to their size. For anything else [`Tlsf`](crate::Tlsf) holds more.
//!
//! # Invariants
//!
//! * B1. A free block is on the list of its order, and only there; its number is
//!   a multiple of its size in granules.
//! * B2. A pair's bit is set if exactly one of the two is free, as a whole.
//! * B3. An order's bit is set if its list is not empty.
//! * B4. The held block is free, and for lists and bits it is in use.
//!
//! Source: Knowlton, *A fast storage allocator*, 1965; the bit for a pair is
//! from Knuth and from Linux.

use crate::regions::{Plan, Region, Regions};
use crate::words::{ALIGN, CONTROL, WORD, Words};

/// Words of a granule, which is [`ALIGN`] bytes: the least block.
const UNIT: u32 = 4;

/// Orders of a region: its largest block has 2^(orders - 1) granules.
const ORDERS: u32 = CONTROL;
/// One bit for each order.
const MAP: u32 = ORDERS + 1;
/// The number of granule 0: its address in granules, modulo 2^30. No block is
/// larger, so all that matters to an alignment is there, and numbers in a
/// region never wrap.
const LEAD: u32 = MAP + 1;
/// The block that came home last, if it is not with the others yet.
const HELD: u32 = LEAD + 1;
/// Its size, or 0 if there is none.
const HELD_SIZE: u32 = HELD + 1;
/// For each order: its first free block, and where its pairs' bits are.
const LISTS: u32 = HELD_SIZE + 1;

/// A heap of blocks of powers of two, each aligned to its size.
///
/// ```
/// use allod_kit::Buddy;
/// use core::{alloc::Layout, mem::MaybeUninit};
///
/// let mut memory = [MaybeUninit::uninit(); 16384];
/// let mut heap = Buddy::new();
/// heap.add(&mut memory);
/// let page = heap.allocate(Layout::new::<[u8; 4096]>())?;
/// assert!(page.addr().get().is_multiple_of(4096));
/// # Ok::<(), allod_kit::AllocError>(())
/// ```
///
/// # What it costs
///
/// *Time.* O(log(region)) to allocate, deallocate, grow and shrink in place: a few
/// instructions for each halving or melting. *Memory.* A block costs its size
/// rounded up to a power of two, 16 bytes at least; a region 0.8% of itself.
///
/// # When not to use it
///
/// For sizes that are not powers of two: a quarter of the memory would be lost to
/// rounding.
pub type Buddy<'m> = Regions<'m, BuddyPlan>;

/// See [`Buddy`].
#[derive(Debug)]
pub struct BuddyPlan;

/// Lists and bits of one region. Blocks are named by the numbers of their
/// granules.
#[derive(Clone, Copy)]
struct Ground {
    words: Words,
    lead: u32,
}

impl Ground {
    #[inline]
    fn of(region: Region) -> Self {
        Self { words: region.0, lead: region.0.get(LEAD) }
    }

    #[inline]
    fn number(self, at: u32) -> u32 {
        self.lead + at / UNIT
    }

    #[inline]
    fn at(self, number: u32) -> u32 {
        (number - self.lead) * UNIT
    }

    #[inline]
    fn head(order: u32) -> u32 {
        LISTS + order * 2
    }

    #[inline]
    fn push(self, number: u32, order: u32) {
        self.words.push(Self::head(order), self.at(number));
        self.mark(1 << order);
    }

    /// Notes that orders' lists are not empty.
    #[inline]
    fn mark(self, orders: u32) {
        self.words.set(MAP, self.words.get(MAP) | orders);
    }

    #[inline]
    fn remove(self, number: u32, order: u32) {
        let (next, before) = self.words.unlink(self.at(number));
        if next == 0 && before == Self::head(order) {
            self.words.set(MAP, self.words.get(MAP) & !(1 << order));
        }
    }

    /// Takes the first block of an order from its list.
    #[inline]
    fn remove_first(self, at: u32, order: u32) {
        let next = self.words.get(at);
        self.words.set(Self::head(order), next);
        if next == 0 {
            self.words.set(MAP, self.words.get(MAP) & !(1 << order));
        } else {
            self.words.set_after(next, 1, Self::head(order));
        }
    }

    /// Bit of the pair that the block is a half of: bits are counted from word
    /// 0, and an order's offset takes the number of its first pair off.
    #[inline]
    fn pair(self, number: u32, order: u32) -> u32 {
        self.words.get_after(Self::head(order), 1).wrapping_add(number >> order >> 1)
    }

    /// Turns the pair's bit over: a half was free and is not, or is and was
    /// not. Returns whether exactly one is free now.
    #[inline]
    fn turn(self, number: u32, order: u32) -> bool {
        self.words.flip_bit(self.pair(number, order))
    }

    /// Frees a block, with all that it can be part of.
    #[inline]
    fn free(self, mut number: u32, mut order: u32) {
        // The largest order has no pair with two halves inside, so it ends.
        while !self.turn(number, order) {
            self.remove(number ^ 1 << order, order);
            number &= !(1 << order);
            order += 1;
        }
        self.push(number, order);
    }

    /// Lets the block that is held, if there is one, home to the others.
    fn let_home(self) {
        let size = self.words.get(HELD_SIZE);
        if size != 0 {
            self.words.set(HELD_SIZE, 0);
            self.free(self.number(self.words.get(HELD)), order_of(size));
        }
    }

    /// Frees all halves above the first, until a block of `order` is left.
    #[inline]
    fn halve(self, number: u32, mut from: u32, order: u32) {
        self.mark((1 << from) - (1 << order));
        while from > order {
            from -= 1;
            self.words.push(Self::head(from), self.at(number + (1 << from)));
            self.turn(number, from);
        }
    }
}

#[inline]
fn order_of(size: u32) -> u32 {
    (size / UNIT).trailing_zeros()
}

impl Plan for BuddyPlan {
    const NAME: &'static str = "Buddy";

    #[inline]
    fn measure(size: usize) -> u32 {
        UNIT << (((size - 1) | (ALIGN - 1)).ilog2() + 1 - ALIGN.ilog2())
    }

    fn build(region: Region, words: u32) -> u32 {
        let region = region.0;
        let granules = words / UNIT;
        let orders = granules.ilog2() + 1;
        let lead = (region.address(0) / ALIGN) as u32 & ((1 << 30) - 1);
        let bits = LISTS + orders * 2;
        // Before the bits are laid out nobody knows where the first block is, so
        // there are bits for the granules of the tables as well. Pairs of an
        // order: from the first granule's to the last one's.
        let mut offset = bits * 32;
        let mut offsets = [0; 32];
        for order in 0..orders {
            let first = lead >> order >> 1;
            let last = (lead + granules - 1) >> order >> 1;
            offsets[order as usize] = offset.wrapping_sub(first);
            offset += last - first + 1;
        }
        let first = offset.div_ceil(32).next_multiple_of(UNIT);
        let end = granules * UNIT;
        if first >= end {
            return 0;
        }
        region.clear(CONTROL, first);
        region.set(ORDERS, orders);
        region.set(LEAD, lead);
        for (order, offset) in (0..orders).zip(offsets) {
            region.set(Ground::head(order) + 1, offset);
        }
        let ground = Ground { words: region, lead };
        let (mut number, end_number) = (ground.number(first), ground.number(end));
        while number < end_number {
            // The largest block that begins here and ends inside.
            let order = number.trailing_zeros().min((end_number - number).ilog2());
            ground.push(number, order);
            ground.turn(number, order);
            number += 1 << order;
        }
        end - first
    }

    /// The held block, or a free one, if it is just what is wanted.
    #[inline(always)]
    fn take_fast(region: Region, size: u32, align: usize) -> Option<u32> {
        let ground = Ground::of(region);
        if align > size as usize * WORD {
            return None;
        }
        if ground.words.get(HELD_SIZE) == size {
            ground.words.set(HELD_SIZE, 0);
            return Some(ground.words.get(HELD));
        }
        let order = order_of(size);
        if order >= ground.words.get(ORDERS) {
            return None;
        }
        let at = ground.words.get(Ground::head(order));
        if at == 0 {
            return None;
        }
        ground.remove_first(at, order);
        ground.turn(ground.number(at), order);
        Some(at)
    }

    fn take(region: Region, size: u32, align: usize) -> u32 {
        let ground = Ground::of(region);
        ground.let_home();
        let order = order_of(size);
        // A block of the alignment's order is aligned, and so is its first part.
        let least = order.max((align / ALIGN).checked_ilog2().unwrap_or(0));
        let map = ground.words.get(MAP) & (!0u32).checked_shl(least).unwrap_or(0);
        if map == 0 {
            return 0;
        }
        let found = map.trailing_zeros();
        let at = ground.words.get(Ground::head(found));
        let number = ground.number(at);
        ground.remove_first(at, found);
        ground.turn(number, found);
        if found > order {
            ground.halve(number, found, order);
        }
        at
    }

    #[inline(always)]
    fn give(region: Region, at: u32, size: u32) {
        if region.0.get(HELD_SIZE) != 0 {
            return give_another(region, at, size);
        }
        region.0.set(HELD, at);
        region.0.set(HELD_SIZE, size);
    }

    fn resize(region: Region, at: u32, old: u32, new: u32) -> bool {
        let ground = Ground::of(region);
        let number = ground.number(at);
        let (from, to) = (order_of(old), order_of(new));
        if to < from {
            ground.halve(number, from, to);
            return true;
        }
        // Its other half may be the block that is held.
        ground.let_home();
        // It must be the first half each time, and the other half be free. We
        // are not, so the bit says it.
        let fits = (from..to).all(|order| {
            order + 1 < ground.words.get(ORDERS)
                && number >> order & 1 == 0
                && ground.words.bit(0, ground.pair(number, order))
        });
        if fits {
            for order in from..to {
                ground.turn(number, order);
                ground.remove(number + (1 << order), order);
            }
        }
        fits
    }

    fn largest(region: Region) -> u32 {
        let ground = Ground::of(region);
        let order = region.0.get(MAP).checked_ilog2();
        let largest = order.map_or(0, |order| UNIT << order);
        let size = region.0.get(HELD_SIZE);
        if size == 0 {
            return largest;
        }
        // What the held block is part of when it comes home.
        let number = ground.number(region.0.get(HELD));
        let mut order = order_of(size);
        while region.0.bit(0, ground.pair(number, order)) {
            order += 1;
        }
        largest.max(UNIT << order)
    }

    fn check(region: Region, words: u32) -> Result<u32, &'static str> {
        check(Ground::of(region), words / UNIT * UNIT)
    }
}

/// Holds a block in the place of the one that is held.
#[inline(never)]
fn give_another(region: Region, at: u32, size: u32) {
    Ground::of(region).let_home();
    region.0.set(HELD, at);
    region.0.set(HELD_SIZE, size);
}

fn check(ground: Ground, end: u32) -> Result<u32, &'static str> {
    let words = ground.words;
    let orders = words.get(ORDERS);
    let (mut free, mut alone, mut bits) = (0, 0, 0);
    for order in 0..orders {
        let mut before = Ground::head(order);
        let mut at = words.get(before);
        if (words.get(MAP) >> order & 1 == 1) != (at != 0) {
            return Err("an order's bit does not tell whether its list is empty (B3)");
        }
        while at != 0 {
            if !at.is_multiple_of(UNIT) || at >= end || words.get(at + 1) != before {
                return Err("a list is linked wrongly (B1)");
            }
            let number = ground.number(at);
            if number.trailing_zeros() < order || UNIT << order > end - at {
                return Err("a free block is on another order's list (B1)");
            }
            if !words.bit(0, ground.pair(number, order)) {
                return Err("a free block's pair does not know of it, or is free as well (B2)");
            }
            alone += 1;
            free += UNIT << order;
            (before, at) = (at, words.get(at));
        }
    }
    let first = LISTS + orders * 2;
    let top = ground.pair(ground.number(end) - 1, orders - 1);
    for at in first..=top / 32 {
        bits += words.get(at).count_ones();
    }
    if bits != alone {
        return Err("a pair's bit is set without a free half (B2)");
    }
    let (held, size) = (words.get(HELD), words.get(HELD_SIZE));
    if size != 0 {
        let order = order_of(size);
        if held >= end || ground.number(held).trailing_zeros() < order {
            return Err("the held block is none (B4)");
        }
        free += UNIT << order;
    }
    Ok(free)
}

#[cfg(test)]
mod tests;
