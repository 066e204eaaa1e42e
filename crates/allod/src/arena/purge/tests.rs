//! Groups of slices that make whole pages.

use super::*;

#[test]
fn only_whole_pages_are_given_back() {
    let mask = 0b1111_0110_1100_0111u64;
    assert_eq!(whole_pages(mask, 4096), mask);
    assert_eq!(whole_pages(mask, SLICE), mask);
    assert_eq!(whole_pages(mask, 2 * SLICE), 0b1111_0000_1100_0011);
    assert_eq!(whole_pages(mask, 4 * SLICE), 0b1111_0000_0000_0000);
    assert_eq!(whole_pages(!0, 64 * SLICE), !0);
    assert_eq!(whole_pages(!0 >> 1, 64 * SLICE), 0);
}
