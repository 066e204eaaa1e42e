//! TLSF: every operation in the same few instructions, whatever came before.
//!
//! Free blocks are kept on lists by size. A list holds one size, or, above 496
//! bytes, a sixteenth of an octave. Bits say which lists are not empty, so the
//! first list whose every block is large enough is found with two shifts and
//! two counts of zeros: no list is searched, no matter how many blocks there
//! are. Neighbours that are free melt together at once, so there is nothing to
//! tidy up later.
//!
//! ```text
//!   top      one bit for 32 classes          1 0 1 ...
//!                                            |   |
//!   maps     one bit for a class     0010..0100  0000..0001
//!                                      |    |             |
//!   heads    first block of each       o    o             o
//!                                      |    |             |
//!                                    block  block       block
//!                                      |
//!                                    block
//!
//!   edges    one bit for a granule:  1 1|0 0 0 0|1 0 1|0|1 1
//!   blocks                           used|-free-|used |f|used
//! ```
//!
//! TLSF as it was published has a header before each block. Here the one who
//! frees says the size, so all that is left to know is whether the neighbours
//! are free: the *edges*, one bit for each granule of 16 bytes, set for the
//! first and the last granule of every block in use. It costs 0.8% of the memory
//! and saves 8 or 16 bytes a block. What free blocks become of each other and of
//! their rests changes no edge, and the four bits that a small block's release
//! has to do with are read and written at once.
//!
//! A free block holds, in words: the next and the one that points here
//! (`words.rs`), its size, and its size again at its end, for the neighbour that
//! looks back. In a block of one granule the two sizes are two words; that is
//! what makes 16 bytes the least block.
//!
//! # When the lists say no
//!
//! A block of 1,000 bytes may stand on the list before the first one that is
//! sure to hold 1,000. So that memory is not refused while it is there, the
//! first [`TRIES`] blocks of the size's own list are looked at before larger
//! lists are, and those of the list of the aligned size's own class too. It is
//! a constant, so the bound stands.
//!
//! # Invariants
//!
//! * T1. A free block is on the list of its size's class, and only there; its
//!   size is in its third word and in its last.
//! * T2. A class's bit is set if its list is not empty; a bit of `top` if any of
//!   its 32 classes' is.
//! * T3. An edge bit is set for the first and the last granule of blocks in use,
//!   and for none of a free block's. It is set for the granule before the first
//!   block and for the one after the last. Nobody asks for those inside of a
//!   block in use.
//! * T4. No two free blocks touch.
//!
//! Source: Masmano, Ripoll, Crespo and Real, *TLSF: a new dynamic memory
//! allocator for real-time systems*, 2004.

use crate::regions::{MOST_WORDS, Plan, Region, Regions};
use crate::words::{Bits, CONTROL, SEEN, Words};
use core::num::NonZero;

/// Bytes and words of a granule, the unit of sizes.
const GRANULE: usize = 16;
const UNIT: u32 = 4;

/// Classes in an octave.
const STEPS: u32 = 16;

/// One bit for each word of maps.
const TOP: u32 = CONTROL;
/// Where the edges begin.
const EDGES: u32 = TOP + 1;
/// One bit for each class.
const MAPS: u32 = EDGES + 1;
/// Granules in the largest region.
const MOST_GRANULES: usize = 1 << (if usize::BITS > 32 { 29 } else { 26 });
/// Words of maps: enough for the class of a block as large as the largest
/// region, and for the one above, where a search may begin.
const MOST_MAPS: u32 = 14;
/// The first block of each class.
const HEADS: u32 = MAPS + MOST_MAPS;

const _: () = assert!(class_of(1 << 31) + 1 < MOST_MAPS * 32);
const _: () = assert!(MOST_GRANULES <= MOST_WORDS / UNIT as usize);

/// Blocks that are looked at on a list that may hold a large enough one.
const TRIES: u32 = 4;

/// A heap for programs that must not wait: every operation is O(1), bounded by a
/// number of instructions.
///
/// # What it costs
///
/// On x86-64, with one region: at most 360 to allocate, whatever the alignment,
/// 180 to deallocate, and 180 to grow or shrink in place. A test counts each of
/// thousands of operations and fails if one takes more. Each region that is
/// asked in vain before the one that has the block adds a constant.
///
/// A block costs its size rounded up to 16 bytes, and no header. A region costs
/// 0.8% of itself, and 64 bytes for each octave of its size: 240 bytes of 512,
/// 9 KiB of a mebibyte.
///
/// Memory that is free may be refused when it is in pieces; see
/// [`max_allocatable`](Regions::max_allocatable). Beyond that, a request above
/// 512 bytes can fail although a block less than a sixteenth of an octave larger
/// is free, behind four others of its class that are too small.
///
/// # When not to use it
///
/// For blocks of one size a pool is faster, and for a dozen blocks
/// [`FirstFit`](crate::FirstFit) is smaller. Whoever frees must know the size:
/// it cannot stand behind C's `free`.
///
/// ```
/// use allod_kit::Tlsf;
/// use core::{alloc::Layout, mem::MaybeUninit};
///
/// let (mut fast, mut slow) = ([MaybeUninit::uninit(); 1024], [MaybeUninit::uninit(); 8192]);
/// let mut heap = Tlsf::new();
/// // Regions are asked in this order.
/// heap.add(&mut fast);
/// heap.add(&mut slow);
/// let block = heap.allocate(Layout::new::<[u8; 5000]>())?;
/// assert!(heap.max_allocatable() < 5000);
/// # let _ = block;
/// # Ok::<(), allod_kit::AllocError>(())
/// ```
pub type Tlsf<'m> = Regions<'m, TlsfPlan>;

/// See [`Tlsf`].
#[derive(Debug)]
pub struct TlsfPlan;

/// The class of blocks of so many words.
#[inline]
const fn class_of(words: u32) -> u32 {
    // Below 32 granules a class is a size.
    if words < 2 * STEPS * UNIT {
        return words / UNIT;
    }
    let shift = octave(words);
    (shift << STEPS.ilog2()) + (words >> (shift + UNIT.ilog2()))
}

/// The first class all of whose blocks have so many words.
#[inline]
const fn class_above(words: u32) -> u32 {
    if words < 2 * STEPS * UNIT {
        return words / UNIT;
    }
    // A carry out of the octave lands in the next one's first class.
    let shift = octave(words);
    (shift << STEPS.ilog2()) + ((words + (UNIT << shift) - 1) >> (shift + UNIT.ilog2()))
}

/// How far a size above 31 granules is shifted, so that 16 to 31 are left of
/// them: an octave has 16 classes.
#[inline]
const fn octave(words: u32) -> u32 {
    words.ilog2() - (STEPS * UNIT).ilog2()
}

/// Whether two sizes are of one class.
#[inline]
const fn same_class(one: u32, other: u32) -> bool {
    if one < 2 * STEPS * UNIT {
        return one == other;
    }
    // Of another octave, `other` has another number of steps left.
    let shift = octave(one) + UNIT.ilog2();
    one >> shift == other >> shift
}

/// Reads and changes lists, maps and edges of one region.
#[derive(Clone, Copy)]
struct Ground {
    words: Words,
    edges: u32,
    edge: Bits,
}

impl Ground {
    #[inline]
    fn of(region: Region) -> Self {
        let edges = region.0.get(EDGES);
        Self { words: region.0, edges, edge: Bits::at(region.0, edges) }
    }

    /// The size of the free block at `at`, in words.
    #[inline]
    fn size(self, at: u32) -> u32 {
        self.words.get_after(at, 2)
    }

    /// Writes the size of a free block.
    #[inline]
    fn set_size(self, at: u32, size: u32) {
        self.words.set_after(at, 2, size);
        self.words.behind(at).set(size - 1, size);
    }

    /// Puts a free block that has its size on its class's list.
    #[inline]
    fn link(self, at: u32, class: u32) {
        let next = self.words.get_after(class, HEADS as usize);
        self.words.set(at, next);
        self.words.set_after(at, 1, HEADS + class);
        self.words.set_after(class, HEADS as usize, at);
        if next == 0 {
            self.words.set_bit(MAPS as usize, class);
            self.words.set_bit(TOP as usize, class / 32);
        } else {
            self.words.set_after(next, 1, at);
        }
    }

    /// The free block at `at`, of size `of`, is one at `to` of size `size` from
    /// here on.
    #[inline]
    fn relink(self, at: u32, of: u32, to: u32, size: u32) {
        self.set_size(to, size);
        if same_class(size, of) {
            // No other list, so no map changes.
            self.words.replace(at, to);
        } else {
            self.remove(at);
            self.link(to, class_of(size));
        }
    }

    /// Takes a free block from its list.
    #[inline]
    fn remove(self, at: u32) {
        let (next, before) = (self.words.get(at), self.words.get_after(at, 1));
        self.words.set(before, next);
        if next != 0 {
            self.words.set_after(next, 1, before);
        } else if before < self.edges {
            // Last of its list, and a head pointed to it.
            self.is_empty(before - HEADS);
        }
    }

    /// Takes the first block of a class from its list.
    #[inline]
    fn remove_first(self, at: u32, class: u32) {
        let next = self.words.get(at);
        self.words.set_after(class, HEADS as usize, next);
        if next != 0 {
            self.words.set_after(next, 1, HEADS + class);
        } else {
            self.is_empty(class);
        }
    }

    /// Notes that a class's list is empty.
    #[inline]
    fn is_empty(self, class: u32) {
        self.words.clear_bit(MAPS as usize, class);
        if self.words.get_after(class / 32, MAPS as usize) == 0 {
            self.words.clear_bit(TOP as usize, class / 32);
        }
    }

    /// The first class at or above this one that has a block.
    #[inline]
    fn class_above(self, class: u32) -> Option<u32> {
        let slot = class / 32;
        let map = self.words.get_after(slot, MAPS as usize) & (!0 << (class % 32));
        if let Some(map) = NonZero::new(map) {
            return Some(slot * 32 + map.trailing_zeros());
        }
        let slot = NonZero::new(self.words.get(TOP) & (!1 << slot))?.trailing_zeros();
        let map = NonZero::new(self.words.get_after(slot, MAPS as usize))?;
        Some(slot * 32 + map.trailing_zeros())
    }

    /// Where in the free block at `at` an aligned block of `size` begins, or 0.
    fn fit(self, at: u32, size: u32, align: usize) -> u32 {
        let start = self.words.align_up(at, align);
        let end = u64::from(at) + u64::from(self.size(at));
        if start + u64::from(size) <= end { start as u32 } else { 0 }
    }

    /// The first of the first few blocks of a class in which this fits: the
    /// block and where in it. Zeros if there is none.
    fn try_class(self, class: u32, size: u32, align: usize) -> (u32, u32) {
        let mut at = self.words.get_after(class, HEADS as usize);
        for _ in 0..TRIES {
            if at == 0 {
                break;
            }
            let start = self.fit(at, size, align);
            if start != 0 {
                return (at, start);
            }
            at = self.words.get(at);
        }
        (0, 0)
    }

    /// Takes `size` words from the start of the free block at `at` away from
    /// it. Their edges are the caller's.
    #[inline]
    fn cut(self, at: u32, size: u32) {
        let whole = self.size(at);
        let rest = whole - size;
        if rest == 0 {
            self.remove(at);
        } else {
            self.relink(at, whole, at + size, rest);
        }
    }

    /// The same for `size` words that begin at `start`.
    fn cut_inside(self, at: u32, start: u32, size: u32) {
        let (whole, before) = (self.size(at), start - at);
        self.remove(at);
        if before != 0 {
            self.lay(at, before);
        }
        if before + size < whole {
            self.lay(start + size, whole - before - size);
        }
    }

    /// A free block whose neighbours are not free.
    #[inline]
    fn lay(self, at: u32, size: u32) {
        self.set_size(at, size);
        self.link(at, class_of(size));
    }

    /// Whether a block in use begins, or ends, at this word's granule.
    #[inline]
    fn is_edge(self, at: u32) -> bool {
        self.edge.is_set(at / UNIT)
    }

    /// Sets the edges of a block that is in use from here on.
    #[inline]
    fn hold(self, at: u32, size: u32) {
        self.edge.set(at / UNIT);
        self.edge.set((at + size) / UNIT - 1);
    }
}

impl Plan for TlsfPlan {
    const NAME: &'static str = "Tlsf";

    #[inline]
    fn measure(size: usize) -> u32 {
        // An instruction less than `div_ceil`, which minds overflow.
        ((size + (GRANULE - 1)) >> GRANULE.ilog2()) as u32 * UNIT
    }

    fn build(region: Region, words: u32) -> u32 {
        let region = region.0;
        let granules = words / UNIT;
        let edges = HEADS + class_of(granules * UNIT) + 1;
        // One bit more than there are granules: the one behind the last block.
        // And what a window that begins there sees.
        let bits = (granules + 1).div_ceil(32) + usize::BITS / 32;
        let first = (edges + bits).next_multiple_of(UNIT);
        let end = granules * UNIT;
        if first >= end {
            return 0;
        }
        region.clear(CONTROL, first);
        region.set(EDGES, edges);
        let edge = Bits::at(region, edges);
        // As if there were blocks in use at both ends.
        edge.set(first / UNIT - 1);
        edge.set(granules);
        Ground { words: region, edges, edge }.lay(first, end - first);
        end - first
    }

    #[inline(always)]
    fn take_fast(region: Region, size: u32, align: usize) -> Option<u32> {
        if align > GRANULE {
            return None;
        }
        let ground = Ground::of(region);
        let class = ground.class_above(class_above(size))?;
        let at = ground.words.get_after(class, HEADS as usize);
        ground.hold(at, size);
        let rest = ground.size(at) - size;
        if rest == 0 {
            ground.remove_first(at, class);
            return Some(at);
        }
        let start = at + size;
        ground.set_size(start, rest);
        let other = class_of(rest);
        if other == class {
            // No other list, so no map changes.
            ground.words.replace(at, start);
        } else {
            ground.remove_first(at, class);
            ground.link(start, other);
        }
        Some(at)
    }

    fn take(region: Region, size: u32, align: usize) -> u32 {
        if align > GRANULE {
            return take_aligned(region, size, align);
        }
        Self::take_fast(region, size, align).unwrap_or_else(|| take_last(region, size))
    }

    /// An edge between what becomes one block goes, one at its ends stays.
    #[inline(always)]
    fn give(region: Region, at: u32, size: u32) {
        let (before, granules) = (at / UNIT - 1, size / UNIT);
        if granules > SEEN - 2 {
            return give_large(region, at, size);
        }
        let ground = Ground::of(region);
        let bits = ground.edge.from(before);
        ground.edge.clear(before, 2 | 1 << granules);
        if bits & 1 == 0 {
            melt_before(region, at, size, bits >> granules & 2 != 0);
        } else if bits >> granules & 2 == 0 {
            melt_behind(region, at, size);
        } else {
            ground.lay(at, size);
        }
    }

    #[inline]
    fn resize(region: Region, at: u32, old: u32, new: u32) -> bool {
        let ground = Ground::of(region);
        let (end, more) = (at + old, new.wrapping_sub(old));
        if new < old {
            // Two blocks, of which one goes.
            ground.edge.set((at + new) / UNIT - 1);
            ground.edge.set((at + new) / UNIT);
            Self::give(region, at + new, old - new);
            return true;
        }
        let fits = !ground.is_edge(end) && ground.size(end) >= more;
        if fits {
            ground.edge.clear(end / UNIT - 1, 1);
            ground.hold(at, new);
            ground.cut(end, more);
        }
        fits
    }

    fn largest(region: Region) -> u32 {
        let ground = Ground::of(region);
        let Some(slot) = ground.words.get(TOP).checked_ilog2() else { return 0 };
        let class = slot * 32 + ground.words.get(MAPS + slot).ilog2();
        let mut at = ground.words.get(HEADS + class);
        let mut largest = 0;
        for _ in 0..TRIES {
            if at == 0 {
                break;
            }
            largest = largest.max(ground.size(at));
            at = ground.words.get(at);
        }
        largest
    }

    fn check(region: Region, words: u32) -> Result<u32, &'static str> {
        check(Ground::of(region), words / UNIT * UNIT)
    }
}

/// Frees a block whose edges are too far apart to be seen at once.
#[inline(never)]
fn give_large(region: Region, at: u32, size: u32) {
    let ground = Ground::of(region);
    ground.edge.clear(at / UNIT, 1);
    ground.edge.clear((at + size) / UNIT - 1, 1);
    let behind = ground.is_edge(at + size);
    if !ground.is_edge(at - 1) {
        melt_before(region, at, size, behind);
    } else if !behind {
        melt_behind(region, at, size);
    } else {
        ground.lay(at, size);
    }
}

/// Frees a block before one that is free. A function of its own, so that most
/// blocks, which touch no free one, need not save the registers it takes.
#[inline(never)]
fn melt_behind(region: Region, at: u32, size: u32) {
    let ground = Ground::of(region);
    let next = at + size;
    let behind = ground.size(next);
    ground.relink(next, behind, at, size + behind);
}

/// Frees a block behind one that is free. The one behind it may be `used`.
#[inline(never)]
fn melt_before(region: Region, at: u32, size: u32, used: bool) {
    let ground = Ground::of(region);
    let before = ground.words.get(at - 1);
    let (start, mut whole) = (at - before, before + size);
    if !used {
        whole += ground.size(at + size);
        ground.remove(at + size);
    }
    ground.set_size(start, whole);
    if !same_class(whole, before) {
        ground.remove(start);
        ground.link(start, class_of(whole));
    }
}

/// No list is sure to hold a block of this size. Its own may.
#[cold]
#[inline(never)]
fn take_last(region: Region, size: u32) -> u32 {
    let ground = Ground::of(region);
    let class = class_of(size);
    if HEADS + class >= ground.edges {
        // Larger than the region.
        return 0;
    }
    let (at, _) = ground.try_class(class, size, 1);
    if at != 0 {
        ground.hold(at, size);
        ground.cut(at, size);
    }
    at
}

/// A block of a size and an alignment above a granule's.
#[inline(never)]
fn take_aligned(region: Region, size: u32, align: usize) -> u32 {
    let ground = Ground::of(region);
    let class = class_of(size);
    if HEADS + class >= ground.edges {
        return 0;
    }
    let (mut at, mut start) = ground.try_class(class, size, align);
    // Whatever its address, a block with so many more holds an aligned one.
    let slack = align / GRANULE - 1;
    if at == 0 && slack <= MOST_GRANULES - (size / UNIT) as usize {
        let enough = size + slack as u32 * UNIT;
        if let Some(class) = ground.class_above(class_above(enough)) {
            at = ground.words.get(HEADS + class);
            start = ground.fit(at, size, align);
        } else if HEADS + class_of(enough) < ground.edges {
            (at, start) = ground.try_class(class_of(enough), size, align);
        }
    }
    if at != 0 {
        ground.cut_inside(at, start, size);
        ground.hold(start, size);
    }
    start
}

fn check(ground: Ground, end: u32) -> Result<u32, &'static str> {
    let words = ground.words;
    let mut free = 0;
    for class in 0..ground.edges - HEADS {
        let mut before = HEADS + class;
        let mut at = words.get(before);
        if words.bit(MAPS as usize, class) != (at != 0) {
            return Err("a class's bit does not tell whether its list is empty (T2)");
        }
        while at != 0 {
            if !at.is_multiple_of(UNIT) || at >= end || words.get(at + 1) != before {
                return Err("a list is linked wrongly (T1)");
            }
            let size = ground.size(at);
            if size == 0 || size > end - at || !size.is_multiple_of(UNIT) || class_of(size) != class
            {
                return Err("a free block is on another size's list (T1)");
            }
            if words.get(at + size - 1) != size {
                return Err("a free block's two sizes differ (T1)");
            }
            if ground.is_edge(at) || ground.is_edge(at + size - 1) {
                return Err("a free block has an edge (T3)");
            }
            if !ground.is_edge(at - 1) || !ground.is_edge(at + size) {
                return Err("two free blocks touch, or a block in use has no edge (T3, T4)");
            }
            free += size;
            (before, at) = (at, words.get(at));
        }
    }
    for slot in 0..MOST_MAPS {
        if words.bit(TOP as usize, slot) != (words.get(MAPS + slot) != 0) {
            return Err("a bit of the top does not tell whether its classes are empty (T2)");
        }
    }
    Ok(free)
}

#[cfg(test)]
mod tests;
