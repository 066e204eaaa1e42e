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
//! A free slot is all zeros, from the free to the next use.
//!
//! The functions read and write words at multiples of eight; the low bytes of
//! a word are the low addresses (all our targets are little-endian).
#![allow(unsafe_code)]

/// The eight bytes of the slot at `address`.
#[inline(always)]
pub(crate) const fn pattern(secret: u64, address: usize) -> u64 {
    let mixed = (address as u64 ^ secret).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ mixed >> 32) | 0x0101_0101_0101_0101
}

/// Writes the canary from `asked` to `end`, counted from `at`.
///
/// # Safety
///
/// `at` is a multiple of 8 and so is `end`, which is above `asked`; the bytes
/// from the word that `asked` lies in to `end` are the caller's.
#[inline(always)]
pub(crate) unsafe fn write(at: *mut u8, asked: usize, end: usize, pattern: u64) {
    let mut here = asked & !7;
    let kept = (asked & 7) * 8;
    if kept != 0 {
        let place = at.wrapping_add(here).cast::<u64>();
        // SAFETY: the word is the caller's.
        let old = unsafe { place.read() };
        let low = (1u64 << kept) - 1;
        // SAFETY: as above.
        unsafe { place.write(old & low | pattern & !low) };
        here += 8;
    }
    while here < end {
        // Volatile, here and below: one or two words are the rule, and a loop made for
        // many of them costs more than it saves.
        // SAFETY: below `end`, so the caller's.
        unsafe { at.wrapping_add(here).cast::<u64>().write_volatile(pattern) };
        here += 8;
    }
}

/// True when the canary from `asked` to `end` is whole.
///
/// # Safety
///
/// As for [`write`]; the bytes need only be readable.
#[inline(always)]
pub(crate) unsafe fn holds(at: *const u8, asked: usize, end: usize, pattern: u64) -> bool {
    let mut here = asked & !7;
    // The first word has `asked & 7` bytes of the program's below the canary.
    // SAFETY: the word is readable.
    let first = unsafe { at.wrapping_add(here).cast::<u64>().read_volatile() };
    let mut wrong = (first ^ pattern) >> ((asked & 7) * 8);
    here += 8;
    while here < end {
        // SAFETY: below `end`, so readable.
        wrong |= unsafe { at.wrapping_add(here).cast::<u64>().read_volatile() } ^ pattern;
        here += 8;
    }
    wrong == 0
}

/// True when the last bytes of the slot that ends at `end`, up to eight of its
/// `slack`, are canary. Another thread may hold the slot.
///
/// # Safety
///
/// The eight bytes before `end`, a multiple of 8, are readable.
#[inline(always)]
pub(crate) unsafe fn tail_holds(end: *const u8, slack: usize, pattern: u64) -> bool {
    // SAFETY: the word is readable. Its low bytes may be changing under us; they
    // are shifted out.
    let last = unsafe { end.wrapping_sub(8).cast::<u64>().read_volatile() };
    let program = if slack >= 8 { 0 } else { (8 - slack) * 8 };
    (last ^ pattern) >> program == 0
}

/// True when `len` bytes from `at` on are zeros.
///
/// # Safety
///
/// `at` and `len` are multiples of 8, and the bytes are readable and nobody's.
#[inline(always)]
pub(crate) unsafe fn is_zero(at: *const u8, len: usize) -> bool {
    let words = at.cast::<u64>();
    let (mut i, count) = (0, len / 8);
    let mut any = 0;
    // SAFETY: the callers read below `count` only, where it is readable and nobody's.
    let word = |i: usize| unsafe { words.wrapping_add(i).read_volatile() };
    while i + 4 <= count {
        any |= word(i) | word(i + 1) | word(i + 2) | word(i + 3);
        i += 4;
    }
    while i < count {
        any |= word(i);
        i += 1;
    }
    any == 0
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
                slot.0[i] ^= 0x80;
            }
        }
    }

    #[test]
    fn one_bit_is_not_zero() {
        for len in (8..=64).step_by(8) {
            let mut slot = Slot([0; 64]);
            // SAFETY: 64 bytes of ours.
            assert!(unsafe { is_zero(slot.0.as_ptr(), len) });
            for i in 0..64 {
                slot.0[i] = 1;
                // SAFETY: as above.
                assert_eq!(unsafe { is_zero(slot.0.as_ptr(), len) }, i >= len);
                slot.0[i] = 0;
            }
        }
    }
}
