//! A small trace, counted by hand.

use super::*;
use std::io::Write as _;

#[test]
fn a_trace_is_counted_by_blocks_and_by_stacks() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    // Stack 2 is 0x20 above 0x10. One object grows within its block, one beyond it, and
    // one is freed and another gets its block.
    let text = "v 10400 3\nt 10 0\nt 20 1\n+ 14 2 1000\n+ 14 1 2000\n- 1000\n\
                + 14 2 3000\n- 1\n- 3000\n+ 1f 1 3000\n- 3000\n+ 30 1 3000\n- 3000\n\
                + 100000 1 4000\n- 1\n- 4000\n+ 200000 2 4000\n";
    file.write_all(text.as_bytes()).unwrap();
    let truth = read(file.path(), &[16, 32, 64]).unwrap();
    assert_eq!(truth.allocations, 6);
    let expected = [
        (vec![0x10], Sum { allocated: 32 + 64 + (1 << 20), peak: 32 }),
        (vec![0x20, 0x10], Sum { allocated: 64 + (2 << 20), peak: 2 << 20 }),
    ];
    assert_eq!(truth.stacks, HashMap::from(expected));
}

#[test]
fn large_objects_are_slices_unless_a_sample_says_more() {
    let blocks = [16, 32 << 10, 2 << 20];
    assert_eq!(block(1, &blocks), 16);
    assert_eq!(block((32 << 10) + 1, &blocks), 64 << 10);
    assert_eq!(block((2 << 20) - 1, &blocks), 2 << 20);
    assert_eq!(block((2 << 20) + 1, &blocks), (2 << 20) + (32 << 10));
}

#[test]
fn a_function_is_the_third_word() {
    assert_eq!(named(b"i 60aa7f 1"), None);
    assert_eq!(named(b"i 60aa7f 1 12"), Some(0x60aa7f));
    assert_eq!(named(b"t 60aa7f 1 12"), None);
}
