//! Where a block goes in a run of free bytes: integers only, no memory touched.
//!
//! ```text
//!            pos      start            next                 end
//!   ---------+---------+----------------+--------------------+
//!    blocks  | padding |   the block    |       free         |
//!   ---------+---------+----------------+--------------------+
//! ```
//!
//! Two functions answer the same question. [`small`] is for sizes and
//! alignments that the compiler knows: it adds and then compares, which is
//! shorter, and cannot overflow because of [`REACH`]. [`any`] compares before
//! it adds. A test holds them together.
#![forbid(unsafe_code)]

use crate::addr;

/// No run of free bytes ends closer than this to the end of the address space.
///
/// So a small block that is put behind one ends past its `end`, where a compare
/// sees it, and not at the other side of 0.
pub(crate) const REACH: usize = 8192;

/// The largest size, and the largest alignment, that [`small`] takes.
pub(crate) const SMALL: usize = REACH / 2;

/// A block's start, and the position behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fit {
    pub(crate) start: usize,
    pub(crate) next: usize,
}

/// A size, rounded up so that the next position is a multiple of `min_align`.
/// It overflows for no size that a layout can have.
#[inline(always)]
pub(crate) const fn round(size: usize, min_align: usize) -> usize {
    size.wrapping_add(min_align - 1) & min_align.wrapping_neg()
}

/// A place for a block whose size and alignment are at most [`SMALL`], between
/// a `pos` that is a multiple of `min_align` and an `end`.
#[inline(always)]
pub(crate) const fn small(
    pos: usize,
    end: usize,
    size: usize,
    align: usize,
    min_align: usize,
) -> Option<Fit> {
    let start =
        if align > min_align { addr::align_down(pos.wrapping_add(align - 1), align) } else { pos };
    let next = start.wrapping_add(round(size, min_align));
    if next <= end { Some(Fit { start, next }) } else { None }
}

/// A place for a block of any layout, between a `pos` that is a multiple of
/// `min_align` and an `end`.
///
/// The bytes between are part of one object, so there are at most `isize::MAX`
/// of them, and so there are of the block and its alignment together.
#[inline(always)]
pub(crate) const fn any(
    pos: usize,
    end: usize,
    size: usize,
    align: usize,
    min_align: usize,
) -> Option<Fit> {
    if min_align > 1 {
        // Rounding may take the size past `isize::MAX`, but not the sum past
        // `usize::MAX`.
        let padding = if align > min_align { addr::padding(pos, align) } else { 0 };
        let need = padding.wrapping_add(round(size, min_align));
        if need <= end.wrapping_sub(pos) {
            let start = pos.wrapping_add(padding);
            return Some(Fit { start, next: pos.wrapping_add(need) });
        }
        return None;
    }
    let start = addr::align_down(pos.wrapping_add(align - 1), align);
    // Signed: `start` may be past `end`, by less than an alignment. If it went
    // past 0, `pos` was in the upper half, and so is `end`, which is less than 0
    // then. Both are no room. Two instructions fewer than the way above.
    let room = end.wrapping_sub(start).cast_signed();
    if size.cast_signed() <= room {
        Some(Fit { start, next: start.wrapping_add(size) })
    } else {
        None
    }
}

/// The position behind a block that starts at `start` and gets another size, if
/// that is not past `end`.
#[inline(always)]
pub(crate) const fn resized(
    start: usize,
    end: usize,
    size: usize,
    min_align: usize,
) -> Option<usize> {
    let size = round(size, min_align);
    if size <= end.wrapping_sub(start) { Some(start.wrapping_add(size)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both answer as the definition does, near 0 and as far up as they may be
    /// asked.
    #[test]
    fn both_put_a_block_where_the_definition_does() {
        let top = usize::MAX - REACH;
        for base in [16, 4096, top / 64 * 64 - 64] {
            for min_align in [1, 2, 8, 16] {
                for pos in (base..base + 40).step_by(min_align) {
                    for end in pos..(base + 64).min(top) {
                        for align in [1, 2, 4, 8, 16, 32] {
                            for size in [0_usize, 1, 3, 8, 13, 24, 48] {
                                let start = pos.next_multiple_of(align);
                                let next = start + size.next_multiple_of(min_align);
                                let want = (next <= end).then_some(Fit { start, next });
                                assert_eq!(any(pos, end, size, align, min_align), want);
                                assert_eq!(small(pos, end, size, align, min_align), want);
                                let want = want.map(|fit| fit.next).filter(|_| align == 1);
                                let next = resized(pos, end, size, min_align);
                                assert_eq!(next.filter(|_| align == 1), want);
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_largest_sizes_do_not_overflow() {
        let (top, most) = (usize::MAX - REACH, isize::MAX as usize);
        assert_eq!(any(top, top, most, 1, 16), None);
        assert_eq!(any(top - 15, top, most - 4095, 4096, 1), None);
        assert_eq!(any(top, top, most, 1, 1), None);
        assert_eq!(any(top - 15, top, most - 4095, 4096, 1), None);
        assert_eq!(small(top, top, SMALL, SMALL, 1), None);
        assert!(any(0x1000, most, most - 0x1000, 1, 1).is_some());
        assert!(any(0x1000, most, most - 0xfff, 1, 1).is_none());
        // The largest alignment there is, from both halves of the addresses.
        for pos in [0x1000, most, most + 2, top - 64] {
            let largest = most + 1;
            for align in [largest, largest / 2, largest / 4] {
                let start = addr::align_up(pos, align).filter(|start| *start <= pos + 64);
                assert_eq!(any(pos, pos + 64, 0, align, 1).map(|fit| fit.start), start);
            }
        }
    }
}
