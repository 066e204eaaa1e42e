//! Both ways to an entry agree, and the one for multiples of 16 takes no other.

use super::*;
use crate::os::fake::Fake;
use crate::units::SLICE;

#[test]
fn what_is_no_multiple_of_16_has_no_entry_and_all_else_has_the_same() {
    let kernel = Kernel::new(Fake::new(128 << 20, 4096));
    let map = Map::new();
    assert!(map.open(&kernel));
    let windows = 1usize << (ADDRESS_BITS - WINDOW_SHIFT);
    let base = |window: usize| window.checked_shl(WINDOW_SHIFT).unwrap_or(0);
    for window in [windows / 2, windows - 1] {
        // Slices at both ends of the window, and one within.
        let first = base(window) + SLICE;
        // In two halves: a window may be all that an address can say.
        let half = 1usize << (WINDOW_SHIFT - 1);
        let last = base(window) + (half - SLICE) + half;
        for (slice, entry) in [(first, 0x1234), (first + (77 << SLICE_SHIFT), 0x77), (last, 5)] {
            assert!(map.cover(&kernel, slice, SLICE));
            // SAFETY: the slices are ours, and covered.
            unsafe { map.set_entries(slice, 1, entry) };
            for offset in (0..64).chain([SLICE - 16, SLICE - 8, SLICE - 1]) {
                let address = slice + offset;
                let found = map.entry_aligned(address);
                assert_eq!(map.entry(address), Some(entry), "{address:#x}");
                let is_ours = !crate::block::CHECKED || offset % MIN_ALIGN == 0;
                assert_eq!(found, is_ours.then_some(entry), "{address:#x}");
            }
        }
    }
    for address in [0, 16, base(windows / 3) + (12345 << 4)] {
        assert_eq!((map.entry(address), map.entry_aligned(address)), (Some(0), Some(0)));
    }
    if crate::block::CHECKED && usize::BITS == 64 {
        for address in [base(windows) * 2, usize::MAX, usize::MAX & !15, base(windows) * 2 + 8] {
            assert_eq!((map.entry(address), map.entry_aligned(address)), (None, None));
        }
    }
    // SAFETY: nobody looks anything up any more.
    unsafe { map.close(&kernel) };
}
