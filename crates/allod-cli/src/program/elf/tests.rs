//! Tests of the search; the headers are tested with real programs in
//! `tests/all/refusals.rs`.

use super::*;
use std::io::Write;

/// A file in memory that holds `parts`, each followed by `gap` zeros.
fn file(parts: &[&[u8]], gap: usize) -> File {
    let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
    let mut file = File::from(nix::sys::memfd::memfd_create("search", flags).expect("a file"));
    for part in parts {
        file.write_all(part).expect("room");
        file.write_all(&vec![0; gap]).expect("room");
    }
    file
}

#[test]
fn a_find_across_two_windows_is_found() {
    // The marker starts at each of the places around the end of a window.
    for at in (1 << 20) - 12..=(1 << 20) + 1 {
        let start = vec![b'x'; at];
        let file = file(&[&start, b"marker\x00", b"1.2.3"], 0);
        assert!(Search::new(b"marker\0").is_in(&file), "{at}");
        let after = Search::new(b"marker\0").after(&file, 5);
        assert_eq!(after.as_deref(), Some(&b"1.2.3"[..]), "{at}");
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    let file = file(&[b"marke", b"r", b"allod"], 700_000);
    assert!(!Search::new(b"marker").is_in(&file));
    assert!(Search::new(b"allod").is_in(&file));
}

#[test]
fn a_find_at_the_end_has_less_behind_it() {
    let file = file(&[b"the marker", b"ab"], 0);
    assert_eq!(Search::new(b"marker").after(&file, 64).as_deref(), Some(&b"ab"[..]));
}
