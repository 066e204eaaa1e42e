//! A golden file of two rows, kept, broken and mended.

use super::*;

fn sections(instructions: u64, tls: u64) -> Vec<Section> {
    let counts = Counts { instructions, paths: 1, ..Counts::default() };
    let rows = vec![("malloc".to_owned(), counts), ("free".to_owned(), counts)];
    vec![Section { name: "lib".to_owned(), rows, tls: Some(tls) }]
}

const LIMITS: &str = "\
# Words.
rustc 1.0

[lib]
junk that a bless writes anew
# Why.
limit malloc + free: instructions <= 20
limit all: calls <= 0
limit tls: bytes <= 64
";

#[test]
fn a_bless_keeps_words_and_limits() {
    let kept = Kept::parse(LIMITS);
    let text = kept.render("2.0", &sections(10, 8));
    assert!(text.starts_with("# Words.\nrustc 2.0\n\n[lib]\nfunction"), "{text}");
    assert!(text.ends_with("# Why.\nlimit malloc + free: instructions <= 20\nlimit all: calls <= 0\nlimit tls: bytes <= 64\n"), "{text}");
    assert!(!text.contains("junk"), "{text}");
    let again = Kept::parse(&text).render("2.0", &sections(10, 8));
    assert_eq!(text, again, "one spelling");
}

#[test]
fn limits_hold_and_are_passed() {
    let kept = Kept::parse(LIMITS);
    assert!(kept.passed_limits(&sections(10, 64)).unwrap().is_empty());
    assert_eq!(kept.passed_limits(&sections(11, 64)).unwrap().len(), 1, "a sum");
    assert_eq!(kept.passed_limits(&sections(10, 65)).unwrap().len(), 1, "the segment");
    let mut calls = sections(10, 64);
    calls[0].rows[1].1.calls = 1;
    let faults = kept.passed_limits(&calls).unwrap();
    assert!(faults[0].contains("free has 1"), "{faults:?}");
}

#[test]
fn a_limit_on_nothing_is_an_error() {
    let wrong = |limit: &str| {
        let kept = Kept::parse(&format!("[lib]\nlimit {limit}\n"));
        assert!(kept.passed_limits(&sections(1, 1)).is_err(), "{limit}");
    };
    wrong("calloc: instructions <= 3");
    wrong("malloc: wishes <= 3");
    wrong("malloc: instructions <= few");
    wrong("malloc instructions");
    let kept = Kept::parse("[other]\nlimit all: calls <= 0\n");
    assert!(kept.passed_limits(&sections(1, 1)).is_err(), "a section that is not built");
}

#[test]
fn a_difference_names_its_section() {
    let old = "[a]\nx 1\n[b]\nx 1\n";
    assert!(difference(old, old).is_empty());
    let new = "[a]\nx 1\n[b]\nx 2\n";
    assert_eq!(difference(old, new), ["- [b] x 1", "+ [b] x 2"]);
}
