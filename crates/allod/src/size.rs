//! Size classes: which block a request gets.
//!
//! Pure integers, and the only file that knows the table.
//!
//! ```text
//!   class  0        size 0: an address, no memory
//!   class  1..=16   16, 32, .. 256        step 16
//!   class 17..=24   288 .. 512            step 32
//!   class 25..=32   576 .. 1024           step 64
//!   class 33..=40   1152 .. 2048          step 128
//!   class 41..=56   2304 .. 8192          eight to a doubling
//!   class 57..=64   10240 .. 32768        four to a doubling
//!   class 65..=72   8, 24, .. 120         only where the layout asks for 8 bytes of alignment or less
//! ```
//!
//! Of the block for a request of 64 bytes to 1 KiB, sizes spread evenly over their
//! logarithm, 5.1% is wasted in the mean through C and 4.1% through Rust layouts; four
//! classes to a doubling, as most allocators have them, waste 8.2%.
//!
//! Blocks lie one after another from the start of their span, and a span
//! starts on a slice, so a block is aligned to the lowest set bit of its
//! size. Nothing else is needed for alignments up to [`SMALL_MAX`]: a bigger
//! alignment picks a class whose size is a multiple of it, and so no block
//! ever starts anywhere but at its own start.
#![forbid(unsafe_code)]

use crate::units::{MIN_ALIGN, SLICE, SMALL_MAX};
use core::fmt;

/// How many classes there are, class 0 included.
pub(crate) const CLASSES: usize = 73;
/// Requests up to this size find their class in a table.
pub(crate) const TABLE_MAX: usize = 1024;
/// The first class of 8 bytes and odd multiples of them; those below it serve C.
pub(crate) const FIRST_ODD: usize = 65;

/// One size class. Its number is an index into every per-class table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SizeClass(u8);

impl fmt::Debug for SizeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

impl SizeClass {
    /// The class of requests for no bytes at all.
    pub(crate) const ZERO: Self = Self(0);

    /// The class numbered `i`, which is below [`CLASSES`].
    #[inline(always)]
    pub(crate) const fn from_index(i: usize) -> Self {
        debug_assert!(i < CLASSES);
        Self(i as u8)
    }

    /// The number of the class: below [`CLASSES`].
    #[inline(always)]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    /// Bytes of a block of this class.
    #[inline(always)]
    pub(crate) const fn size(self) -> usize {
        SIZES[self.0 as usize] as usize
    }

    /// The C face's class for `size` up to [`SMALL_MAX`]: blocks aligned to 16.
    #[inline(always)]
    pub(crate) const fn of_size(size: usize) -> Self {
        if size <= TABLE_MAX { Self(BY_16[(size + 15) >> 4]) } else { Self::of_medium(size) }
    }

    /// The class for a size above [`TABLE_MAX`] and up to [`SMALL_MAX`].
    #[inline(always)]
    pub(crate) const fn of_medium(size: usize) -> Self {
        debug_assert!(size > TABLE_MAX && size <= SMALL_MAX);
        Self(BY_128[((size - 1) >> 7) as u8 as usize])
    }

    /// The class for a Rust layout, or `None` when the object is large or its
    /// alignment is more than a span can give. `align` is a power of two.
    #[inline(always)]
    pub(crate) const fn of_layout(size: usize, align: usize) -> Option<Self> {
        if align <= 8 && size <= TABLE_MAX {
            Some(Self(BY_8[(size + 7) >> 3]))
        } else if align <= MIN_ALIGN && size <= SMALL_MAX {
            Some(Self::of_size(size))
        } else {
            Self::of_aligned(size, align)
        }
    }

    /// The class for an alignment above 16: the first whose blocks all have it.
    const fn of_aligned(size: usize, align: usize) -> Option<Self> {
        if size > SMALL_MAX || align > SMALL_MAX {
            return None;
        }
        // At least one unit of the alignment, so that size 0 has an address too.
        let least = if size < align { align } else { size };
        let mut class = Self::of_size(least).0;
        while (SIZES[class as usize] as usize) & (align - 1) != 0 {
            // Ends at 32 KiB at the latest: a multiple of every alignment allowed here.
            class += 1;
        }
        Some(Self(class))
    }

    /// The class for objects of this one that may share a cache line with nobody.
    pub(crate) const fn on_own_lines(self) -> Self {
        match Self::of_aligned(self.size(), 64) {
            Some(class) => class,
            None => self,
        }
    }

    /// The class that a sample of this one is given a block of: one in a few of them, so
    /// that few spans hold all samples (docs/decisions/021). Blocks of it are aligned
    /// as those of this one are, or better.
    pub(crate) const fn for_sample(self) -> Self {
        let size = self.size();
        let top = size.next_power_of_two();
        Self::of_size(match top {
            ..=64 => 64,
            128 | 256 => 256,
            512 | 1024 => 1024,
            8192.. if size <= top / 4 * 3 => top / 4 * 3,
            _ => top,
        })
    }

    /// Where [`BY_8`] has the class of a layout, if its size, rounded up to the
    /// alignment, is at most [`TABLE_MAX`]: multiples of 32 and more that are in the
    /// table are sizes of classes. Size 0 is looked up as if it had no alignment.
    #[inline(always)]
    pub(crate) const fn place_in_table(size: usize, align: usize) -> usize {
        (((size + (align - 1)) & !(align - 1)) + 7) >> 3
    }

    /// Slices of a span of this class: 1, 2, 4 or 8.
    #[inline(always)]
    pub(crate) const fn span_slices(self) -> usize {
        SPAN_SLICES[self.0 as usize] as usize
    }

    /// Where the span starts that a block of this class at `address` is in: spans of a
    /// class start at a multiple of their length.
    #[inline(always)]
    pub(crate) fn span_base(self, address: usize) -> usize {
        address & SPAN_MASKS[self.index()] as isize as usize
    }

    /// Blocks that fit a span of this class.
    #[inline(always)]
    pub(crate) const fn capacity(self) -> usize {
        CAPACITY[self.0 as usize] as usize
    }

    /// Frees of this class that a front list takes before it is flushed.
    ///
    /// Eight KiB of blocks, but at most 64, and of larger ones four, or two at the end: what a
    /// thread holds back is 0.9 MiB when it uses every class. With one block of room each free
    /// above 4 KiB went home by itself, and random replacement of 4 to 32 KiB took 827
    /// instructions for a pair, not 547 (2026-11-30).
    #[inline(always)]
    pub(crate) const fn room(self) -> u8 {
        ROOM[self.0 as usize]
    }

    /// Blocks of this class that a thread gathers for another heap before they
    /// go home: four KiB of them, but at most 32 and at least one.
    #[inline(always)]
    pub(crate) fn batch(self) -> u16 {
        u16::from(BATCH[self.index()])
    }

    /// True when a block of this class can start at `address`, as far as the
    /// address tells: spans of a class start at a multiple of their length.
    #[inline(always)]
    pub(crate) fn can_start_at(self, address: usize) -> bool {
        let offset = address & ((self.span_slices() * SLICE) - 1);
        self.divide().block_index(offset) < self.capacity() as u32
    }

    /// The division by this class's size.
    #[inline(always)]
    pub(crate) fn divide(self) -> Divide {
        DIVIDE[self.index()]
    }
}

/// Division by one class's size, without a division.
///
/// A multiplication by the inverse of the size's odd part and a rotation by its
/// power of two divide exactly when the division is exact, and give a number
/// above 2^32 / size when it is not (Hacker's Delight, 10-17).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Divide {
    inverse: u32,
    shift: u32,
}

impl Divide {
    /// The division that [`Divide::parts`] was asked for.
    #[inline(always)]
    pub(crate) const fn new(inverse: u32, shift: u32) -> Self {
        Self { inverse, shift }
    }

    /// The inverse of the odd part, and the power of two.
    pub(crate) const fn parts(self) -> (u32, u32) {
        (self.inverse, self.shift)
    }

    /// The number of the block that starts `offset` bytes into its span, or a
    /// number that is no block's (at least 2^17) when none starts there.
    #[inline(always)]
    pub(crate) const fn block_index(self, offset: usize) -> u32 {
        (offset as u32).wrapping_mul(self.inverse).rotate_right(self.shift)
    }
}

const SIZES: [u32; CLASSES] = {
    let mut sizes = [0; CLASSES];
    let mut i = 1;
    while i < CLASSES {
        sizes[i] = match i {
            1..=16 => 16 * i as u32,
            17..=24 => 256 + 32 * (i as u32 - 16),
            25..=32 => 512 + 64 * (i as u32 - 24),
            33..=40 => 1024 + 128 * (i as u32 - 32),
            41..=56 => {
                let step = (i as u32 - 41) / 8;
                (2048 << step) + (256 << step) * ((i as u32 - 41) % 8 + 1)
            }
            57..=64 => {
                let step = (i as u32 - 57) / 4;
                (8192 << step) + (2048 << step) * ((i as u32 - 57) % 4 + 1)
            }
            _ => 8 + 16 * (i as u32 - FIRST_ODD as u32),
        };
        i += 1;
    }
    sizes
};

/// As few slices as lose at most an eighth of them behind the last block. What a class
/// holds is whole spans: with eight blocks to each, a program that has been through all
/// classes held four times as much of the upper ones (docs/decisions/043).
const SPAN_SLICES: [u8; CLASSES] = {
    let mut slices = [1; CLASSES];
    let mut i = 1;
    while i < CLASSES {
        let mut n = 1;
        while n < 8 && n * SLICE % (SIZES[i] as usize) > n * SLICE / 8 {
            n *= 2;
        }
        slices[i] = n as u8;
        i += 1;
    }
    slices
};

/// Minus a span's length, which is all of an address but its place in the span.
static SPAN_MASKS: [i32; CLASSES] = {
    let mut masks = [0; CLASSES];
    let mut i = 0;
    while i < CLASSES {
        masks[i] = -((SPAN_SLICES[i] as usize * SLICE) as i32);
        i += 1;
    }
    masks
};

const CAPACITY: [u16; CLASSES] = {
    let mut capacity = [0; CLASSES];
    let mut i = 1;
    while i < CLASSES {
        capacity[i] = (SPAN_SLICES[i] as usize * SLICE / SIZES[i] as usize) as u16;
        i += 1;
    }
    capacity
};

const ROOM: [u8; CLASSES] = {
    let mut room = [1; CLASSES];
    let mut i = 1;
    while i < CLASSES {
        let (n, wide) = (8192 / SIZES[i], 32768 / SIZES[i]);
        room[i] = if n > 64 {
            64
        } else if n >= 4 {
            n as u8
        } else if wide >= 4 {
            4
        } else if wide >= 2 {
            wide as u8
        } else {
            2
        };
        i += 1;
    }
    room
};

static BATCH: [u8; CLASSES] = {
    let mut batch = [1; CLASSES];
    let mut i = 1;
    while i < CLASSES {
        let n = 4096 / SIZES[i];
        batch[i] = if n > 32 {
            32
        } else if n < 1 {
            1
        } else {
            n as u8
        };
        i += 1;
    }
    batch
};

/// A `static`, not a `const`: the compiler copied a constant of this size to the
/// stack at every look, 111 instructions for each block that went home (2026-11-21).
static DIVIDE: [Divide; CLASSES] = {
    let mut table = [Divide { inverse: 0, shift: 0 }; CLASSES];
    let mut i = 1;
    while i < CLASSES {
        let shift = SIZES[i].trailing_zeros();
        let odd = SIZES[i] >> shift;
        // Newton's iteration: each step doubles the bits that are right.
        let mut inverse = odd;
        let mut step = 0;
        while step < 5 {
            inverse = inverse.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(inverse)));
            step += 1;
        }
        table[i] = Divide { inverse, shift };
        i += 1;
    }
    table
};

/// Class by size in steps of 16, for the C face and alignments up to 16.
pub(crate) const BY_16: [u8; TABLE_MAX / 16 + 1] = {
    let mut table = [0; TABLE_MAX / 16 + 1];
    let mut i = 1;
    while i < table.len() {
        let size = i * 16;
        let mut class = 1;
        while (SIZES[class] as usize) < size {
            class += 1;
        }
        table[i] = class as u8;
        i += 1;
    }
    table
};

/// Class by size less one in steps of 128, above [`TABLE_MAX`]. A table of 256 bytes, since the
/// arithmetic took eight instructions more (2026-11-30).
static BY_128: [u8; SMALL_MAX / 128] = {
    let mut table = [0; SMALL_MAX / 128];
    let mut i = 0;
    while i < table.len() {
        let mut class = 1;
        while (SIZES[class] as usize) < (i + 1) * 128 {
            class += 1;
        }
        table[i] = class as u8;
        i += 1;
    }
    table
};

/// Class by size in steps of 8, for alignments up to 8.
pub(crate) const BY_8: [u8; TABLE_MAX / 8 + 1] = {
    let mut table = [0; TABLE_MAX / 8 + 1];
    let mut i = 1;
    while i < table.len() {
        let size = i * 8;
        table[i] = if size <= 120 && size % 16 == 8 {
            (FIRST_ODD + size / 16) as u8
        } else {
            BY_16[size.div_ceil(16)]
        };
        i += 1;
    }
    table
};

const _: () = assert!(SIZES[FIRST_ODD - 1] as usize == SMALL_MAX, "the table ends at SMALL_MAX");
const _: () = assert!(SIZES[CLASSES - 1] == 120, "the odd multiples of 8 end at 120");

#[cfg(test)]
mod tests;
