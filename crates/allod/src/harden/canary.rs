//! What stands in memory that nobody may write: canaries and zeros.
//!
//! ```text
//!   an object of 21 bytes in a slot of 32:
//!   |<----------- 21, the program's ----------->|<--- 11 of canary --->|
//!   ... the slot before |                       c6 91 ... | the slot behind ...
//!     its last bytes: canary too
//! ```
//!
//! Every byte of a slot that was not asked for is canary, and at least one
//! always is, so a write one byte past the end changes a canary, and a write
//! one byte before the start changes the canary of the slot before. Each slot
//! has its own eight bytes, mixed from its address and a secret of the process.
//! None of them is even, and so none is zero: the terminator of a string that
//! is one too long never passes.
//!
//! Where more than 255 bytes are canary, the last word but one of the slot has their
//! number mixed into its two lowest bytes ([`note`]).
//!
//! A free slot is all zeros, from the free to the next use.
//!
//! The functions read and write words at multiples of eight; the low bytes of
//! a word are the low addresses (all our targets are little-endian).
#![allow(unsafe_code)]

use super::slot::SLACK_MAX;

/// The eight bytes of the slot at `address`.
#[inline(always)]
pub(crate) const fn pattern(secret: u64, address: usize) -> u64 {
    spread(secret, address) | ODD
}

const ODD: u64 = 0x0101_0101_0101_0101;
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// The pattern before each of its bytes is made odd.
#[inline(always)]
const fn spread(secret: u64, address: usize) -> u64 {
    // The highest bytes, where the slack is when there is little of it, are the best mixed.
    (address as u64).wrapping_add(secret).wrapping_mul(FACTOR)
}

/// What patterns differ by, before they are made odd, where addresses differ by `size`.
pub(crate) const fn step(size: usize) -> u64 {
    (size as u64).wrapping_mul(FACTOR)
}

/// What the patterns of a slot and of its neighbours are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed(u64);

impl Seed {
    /// The seed of the slot at `address`.
    #[inline(always)]
    pub(crate) const fn new(secret: u64, address: usize) -> Self {
        Self(spread(secret, address))
    }

    /// The slot's own pattern.
    #[inline(always)]
    pub(crate) const fn own(self) -> u64 {
        self.0 | ODD
    }

    /// The pattern of the slot that is a [`step`] before.
    #[inline(always)]
    pub(crate) const fn before(self, step: u64) -> u64 {
        self.0.wrapping_sub(step) | ODD
    }
}

/// Writes the canary from `asked` to `end`, counted from `at`.
///
/// # Safety
///
/// `at` is a multiple of 8 and so is `end`, which is above `asked`; the bytes
/// from the word that `asked` lies in to `end` are the caller's.
#[inline(always)]
pub(crate) unsafe fn write(at: *mut u8, asked: usize, end: usize, pattern: u64) {
    let place = at.wrapping_add(asked & !7).cast::<u64>();
    // SAFETY: the word is the caller's.
    let old = unsafe { place.read() };
    let low = (1u64 << ((asked & 7) * 8)) - 1;
    // SAFETY: as above.
    unsafe { write_on(at, asked, end, pattern, old & low) };
}

/// As [`write`], where the word that `asked` lies in has `kept` below the canary.
///
/// # Safety
///
/// As for [`write`].
#[inline(always)]
pub(crate) unsafe fn write_on(at: *mut u8, asked: usize, end: usize, pattern: u64, kept: u64) {
    let mut here = at.wrapping_add(asked & !7).cast::<u64>();
    let last = at.wrapping_add(end - 8).cast::<u64>();
    // Volatile, here and below: one or two words are the rule, and a loop made for many of
    // them costs more than it saves.
    // SAFETY: the word before `end`, which is above `asked`: the caller's.
    unsafe { last.write_volatile(pattern) };
    // It may be the same word.
    // SAFETY: the caller's.
    unsafe { here.write_volatile(pattern & u64::MAX << ((asked & 7) * 8) | kept) };
    if end - asked <= 16 {
        return;
    }
    loop {
        here = here.wrapping_add(1);
        if here >= last {
            return;
        }
        // SAFETY: below `end`, so the caller's.
        unsafe { here.write_volatile(pattern) };
    }
}

/// As [`write`], for a slot of `end` bytes with more than [`SLACK_MAX`] of them canary.
///
/// # Safety
///
/// As for [`write`].
#[cold]
pub(crate) unsafe fn write_long(at: *mut u8, asked: usize, end: usize, pattern: u64) {
    // SAFETY: the caller's promise; there is more canary than these two words.
    unsafe { write(at, asked, end - NOTE, pattern) };
    // SAFETY: the words are canary, so the caller's.
    unsafe { note(at, end, pattern, end - asked) };
    // SAFETY: as above.
    unsafe { at.wrapping_add(end - 8).cast::<u64>().write(pattern) };
}

/// Where the note stands, counted from a slot's end.
const NOTE: usize = 16;

/// Notes that `slack` bytes of a slot of `end` are canary; 0 makes the note a word of
/// canary as any other.
///
/// # Safety
///
/// The slot's last word but one is the caller's.
pub(crate) unsafe fn note(at: *mut u8, end: usize, pattern: u64, slack: usize) {
    let place = at.wrapping_add(end - NOTE).cast::<u64>();
    // SAFETY: the caller's promise.
    unsafe { place.write(pattern ^ slack as u64) };
}

/// The bytes of canary that a slot of `end` bytes has a [`note`] of; `None` when the note,
/// or the canary, is not whole.
///
/// # Safety
///
/// `at` and `end` are multiples of 8, and the bytes are readable.
#[cold]
pub(crate) unsafe fn long(at: *const u8, end: usize, pattern: u64) -> Option<usize> {
    let place = at.wrapping_add(end - NOTE).cast::<u64>();
    // SAFETY: the word is readable.
    let slack = usize::try_from(unsafe { place.read_volatile() } ^ pattern).ok()?;
    if slack <= SLACK_MAX || slack > end {
        return None;
    }
    // SAFETY: as above, and not empty.
    let whole = unsafe { holds(at, end - slack, end - NOTE, pattern) };
    // SAFETY: as above.
    let last = unsafe { holds(at, end - 8, end, pattern) };
    (whole && last).then_some(slack)
}

/// True when the canary from `asked` to `end` is whole.
///
/// # Safety
///
/// As for [`write`]; the bytes need only be readable.
#[inline(always)]
pub(crate) unsafe fn holds(at: *const u8, asked: usize, end: usize, pattern: u64) -> bool {
    let mut here = at.wrapping_add(asked & !7).cast::<u64>();
    let end = at.wrapping_add(end).cast::<u64>();
    // The first word has `asked & 7` bytes of the program's below the canary.
    // SAFETY: the word is readable.
    let first = unsafe { here.read_volatile() };
    let mut wrong = (first ^ pattern) >> ((asked & 7) * 8);
    loop {
        here = here.wrapping_add(1);
        if here >= end {
            return wrong == 0;
        }
        // SAFETY: below `end`, so readable.
        wrong |= unsafe { here.read_volatile() } ^ pattern;
    }
}

/// As [`holds`], for the last `slack` bytes of the slot that ends at `end`.
///
/// # Safety
///
/// As for [`holds`].
#[inline(always)]
pub(crate) unsafe fn end_holds(end: *const u8, slack: usize, pattern: u64) -> bool {
    let mut here = end.wrapping_sub(8);
    // SAFETY: the word is readable.
    let last = unsafe { here.cast::<u64>().read_volatile() } ^ pattern;
    if slack <= 8 {
        // The low bytes of the word are the program's.
        return last >> (8 * (8 - slack)) == 0;
    }
    // The slack's first eight bytes begin anywhere in a word.
    let from = end.wrapping_sub(slack);
    let turned = pattern.rotate_right((from.addr() as u32).wrapping_mul(8));
    // SAFETY: there are more than eight.
    if last != 0 || unsafe { from.cast::<u64>().read_unaligned() } != turned {
        return false;
    }
    loop {
        here = here.wrapping_sub(8);
        if here <= from {
            return true;
        }
        // SAFETY: within the slack, so readable.
        if unsafe { here.cast::<u64>().read_volatile() } != pattern {
            return false;
        }
    }
}

/// True when the last bytes of the slot that ends at `end`, up to eight of its
/// `slack`, are canary.
///
/// # Safety
///
/// The eight bytes before `end`, a multiple of 8, are readable.
#[inline(always)]
unsafe fn tail_holds(end: *const u8, slack: usize, pattern: u64) -> bool {
    // SAFETY: the word is readable. Its low bytes may be the program's, and changing under
    // us; they are shifted out.
    let last = unsafe { end.wrapping_sub(8).cast::<u64>().read_volatile() };
    let program = 64 - 8 * slack.min(8);
    (last ^ pattern) >> program == 0
}

/// As [`tail_holds`], for a slot that is not the caller's: another thread may free it, clear it
/// and have it again while we look. That is the one access of this crate that nothing puts
/// in order: what it says counts only as long as the slot's word stays what it was. A
/// function of its own, so that `golden/races.txt` can name it.
///
/// # Safety
///
/// As for [`tail_holds`].
#[inline(always)]
pub(crate) unsafe fn neighbour_holds(end: *const u8, slack: usize, pattern: u64) -> bool {
    // SAFETY: the caller's promise.
    unsafe { tail_holds(end, slack, pattern) }
}

/// Has the line of memory that `at` lies in come nearer, which may be anywhere.
#[inline(always)]
pub(crate) fn fetch(at: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a hint, which faults nowhere.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = at;
}

/// Eight words at once: as many as go through the wide registers without a loop.
type Line = [u64; 8];
const LINE: usize = size_of::<Line>();

/// All bits of the first `N` words from `at` on, and of the last before `end`.
///
/// # Safety
///
/// There are `N` words between the two, which are readable.
#[inline(always)]
unsafe fn ends<const N: usize>(at: *const u8, end: *const u8) -> u64 {
    let (first, last) = (at.cast::<u64>(), end.cast::<u64>().wrapping_sub(N));
    let mut any = 0;
    for i in 0..N {
        // Volatile: so few words are or'ed together sooner than wide registers are
        // taken apart.
        // SAFETY: the caller's promise.
        any |= unsafe { first.wrapping_add(i).read_volatile() };
        // SAFETY: as above.
        any |= unsafe { last.wrapping_add(i).read_volatile() };
    }
    any
}

/// As [`is_zero`], for slices: the first line is zeros, and all is as a line before.
///
/// # Safety
///
/// As for [`is_zero`], and `len` is two lines at least.
pub(crate) unsafe fn is_zero_long(at: *const u8, len: usize) -> bool {
    // SAFETY: the caller's promise.
    if !unsafe { is_zero(at, LINE) } {
        return false;
    }
    // SAFETY: as above.
    let bytes = unsafe { core::slice::from_raw_parts(at, len) };
    bytes.get(LINE..) == bytes.get(..len - LINE)
}

/// Makes the first `N` words from `at` on zeros, and the last before `end`.
///
/// # Safety
///
/// There are `N` words between the two, which are the caller's.
#[inline(always)]
unsafe fn clear_ends<const N: usize>(at: *mut u8, end: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { at.cast::<[u64; N]>().write([0; N]) };
    // SAFETY: as above.
    unsafe { end.wrapping_sub(8 * N).cast::<[u64; N]>().write([0; N]) };
}

/// True when `len` bytes from `at` on are zeros.
///
/// # Safety
///
/// `at` and `len` are multiples of 8, `len` is not 0, and the bytes are readable
/// and nobody's.
#[inline(always)]
pub(crate) unsafe fn is_zero(at: *const u8, len: usize) -> bool {
    let end = at.wrapping_add(len);
    if len < LINE {
        return match len {
            // SAFETY: there are so many words, and both ends together are all of them.
            32.. => unsafe { ends::<4>(at, end) == 0 },
            // SAFETY: as above.
            16.. => unsafe { ends::<2>(at, end) == 0 },
            // SAFETY: as above.
            _ => unsafe { ends::<1>(at, end) == 0 },
        };
    }
    let mut here = at.cast::<Line>();
    // The last line may overlap the one before.
    let last = end.wrapping_sub(LINE).cast::<Line>();
    // SAFETY: `len` is a line at least; the bytes are readable and nobody's.
    let mut any = unsafe { last.read() };
    while here < last {
        // SAFETY: a line that begins before the last one ends before the end.
        let line = unsafe { here.read() };
        for (any, word) in any.iter_mut().zip(line) {
            *any |= word;
        }
        here = here.wrapping_add(1);
    }
    any.iter().fold(0, |all, word| all | word) == 0
}

/// From so many bytes on the library's function knows better how to clear them.
pub(crate) const LONG: usize = 512;

/// Makes `len` bytes from `at` on zeros, less than [`LONG`] of them.
///
/// # Safety
///
/// `at` and `len` are multiples of 8, `len` is not 0, and the bytes are the caller's.
#[inline(always)]
pub(crate) unsafe fn clear_short(at: *mut u8, len: usize) {
    let end = at.wrapping_add(len);
    if len < LINE {
        match len {
            // SAFETY: there are so many words, and both ends together are all of them.
            32.. => unsafe { clear_ends::<4>(at, end) },
            // SAFETY: as above.
            16.. => unsafe { clear_ends::<2>(at, end) },
            // SAFETY: as above.
            _ => unsafe { clear_ends::<1>(at, end) },
        }
        return;
    }
    let mut here = at.cast::<Line>();
    let last = end.wrapping_sub(LINE).cast::<Line>();
    while here < last {
        // SAFETY: a line that begins before the last one ends before the end.
        unsafe { here.write([0; 8]) };
        here = here.wrapping_add(1);
    }
    // SAFETY: `len` is a line at least.
    unsafe { last.write([0; 8]) };
}

/// Makes `len` bytes from `at` on zeros.
///
/// # Safety
///
/// As for [`clear_short`], and `len` may be more.
#[inline]
pub(crate) unsafe fn clear(at: *mut u8, len: usize) {
    if len < LONG {
        // SAFETY: the caller's promise.
        unsafe { clear_short(at, len) };
    } else {
        // SAFETY: as above.
        unsafe { at.write_bytes(0, len) };
    }
}

#[cfg(test)]
mod tests {
    //! Every size of slack, and every byte of it changed once.

    use super::*;

    #[repr(align(16))]
    struct Slot([u8; 64]);

    #[test]
    fn each_byte_of_slack_counts_and_no_other() {
        for asked in 0..64 {
            let mut slot = Slot([0x55; 64]);
            let (at, secret) = (slot.0.as_mut_ptr(), 0x1234_5678_9ABC_DEF1);
            let own = pattern(secret, at.addr());
            // SAFETY: 64 bytes of ours.
            unsafe { write(at, asked, 64, own) };
            // SAFETY: as above.
            assert!(unsafe { holds(at, asked, 64, own) });
            assert!(slot.0[..asked].iter().all(|&byte| byte == 0x55));
            assert!(slot.0[asked..].iter().all(|&byte| byte & 1 == 1));
            let end = at.wrapping_add(64);
            for i in 0..64 {
                slot.0[i] ^= 0x80;
                // SAFETY: as above.
                assert_eq!(unsafe { holds(at, asked, 64, own) }, i < asked, "byte {i} of {asked}");
                // SAFETY: as above.
                let tail = unsafe { tail_holds(end, 64 - asked, own) };
                assert_eq!(tail, i < asked.max(56), "byte {i} of {asked}, from behind");
                // SAFETY: as above.
                let whole = unsafe { end_holds(end, 64 - asked, own) };
                assert_eq!(whole, i < asked, "byte {i} of {asked}, by its end");
                slot.0[i] ^= 0x80;
            }
        }
    }

    #[test]
    fn the_pattern_of_the_slot_before_is_a_step_away() {
        for size in [8, 16, 48, 120, 1024, 32768] {
            for address in [0x7F00_8000, 0x10_0000, 0x5555_0040] {
                let (secret, before) = (0xFEDC_BA98_7654_3211, address - size);
                let both = (pattern(secret, address), pattern(secret, before));
                let seed = Seed::new(secret, address);
                assert_eq!((seed.own(), seed.before(step(size))), both);
            }
        }
    }

    #[test]
    fn much_slack_is_told_by_the_slot_itself() {
        #[repr(align(16))]
        struct Slot([u8; 1024]);
        for asked in [0, 1, 7, 8, 100, 767] {
            let mut slot = Slot([0x55; 1024]);
            let at = slot.0.as_mut_ptr();
            let own = pattern(0x1234_5678_9ABC_DEF1, at.addr());
            // SAFETY: 1024 bytes of ours.
            unsafe { write_long(at, asked, 1024, own) };
            // SAFETY: as above.
            let told = |slot: &Slot| unsafe { long(slot.0.as_ptr(), 1024, own) };
            assert_eq!(told(&slot), Some(1024 - asked));
            for i in 0..1024 {
                slot.0[i] ^= 0x80;
                let whole = told(&slot) == Some(1024 - asked);
                assert_eq!(whole, i < asked, "byte {i} of {asked}");
                slot.0[i] ^= 0x80;
                let end = slot.0.as_ptr().wrapping_add(1024);
                slot.0[i] ^= 0x80;
                // SAFETY: as above.
                assert_eq!(unsafe { tail_holds(end, 300, own) }, i < 1016);
                slot.0[i] ^= 0x80;
            }
        }
    }

    #[test]
    fn one_bit_is_not_zero() {
        #[repr(align(16))]
        struct Slot([u8; 1024]);
        for len in (8..=1024).step_by(8).filter(|len| *len <= 256 || len % 200 == 0) {
            let mut slot = Slot([0; 1024]);
            // SAFETY: 1024 bytes of ours.
            assert!(unsafe { is_zero(slot.0.as_ptr(), len) });
            for i in 0..1024 {
                slot.0[i] = 1;
                // SAFETY: as above.
                assert_eq!(unsafe { is_zero(slot.0.as_ptr(), len) }, i >= len);
                // SAFETY: as above.
                assert!(len < 128 || unsafe { is_zero_long(slot.0.as_ptr(), len) } == (i >= len));
                slot.0[i] = 0;
            }
            slot.0.fill(1);
            // SAFETY: as above.
            unsafe { clear(slot.0.as_mut_ptr(), len) };
            assert!(slot.0.iter().enumerate().all(|(i, &byte)| (byte == 0) == (i < len)));
        }
    }
}
