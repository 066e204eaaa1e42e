//! Rounding, at the ends of its range too.

use super::*;

#[test]
fn sizes_are_rounded_up_to_multiples() {
    for unit in [8, 4096, SLICE] {
        for k in [1, 2, 7] {
            assert_eq!(round_up(k * unit, unit), Some(k * unit));
            assert_eq!(round_up(k * unit - (unit - 1), unit), Some(k * unit));
            assert_eq!(round_up(k * unit + 1, unit), Some((k + 1) * unit));
        }
    }
    assert_eq!(round_up(0, 4096), Some(0));
    assert_eq!(round_up(usize::MAX - 4095, 4096), Some(usize::MAX - 4095));
    assert_eq!(round_up(usize::MAX - 4094, 4096), None, "past the end");
}

#[test]
fn slices_cover_what_they_are_for() {
    let cases = [(1, 1), (SLICE - 1, 1), (SLICE, 1), (SLICE + 1, 2), (5 * SLICE, 5)];
    for (bytes, slices) in cases {
        assert_eq!(slices_for(bytes), slices, "{bytes}");
    }
}

#[test]
fn a_window_is_64_gib_where_there_is_room_for_it() {
    assert_eq!(WINDOW_SHIFT, if cfg!(target_pointer_width = "64") { 36 } else { 32 });
}
