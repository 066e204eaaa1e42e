//! Beside the standard library's string, at every place of a text whose characters
//! have one to four bytes.

use super::String;
use crate::Bump;
use core::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::string::String as Text;
use std::vec::Vec as List;

const TEXT: &str = "aß水🦀z";

/// Every pair of places between two characters.
fn ranges() -> impl Iterator<Item = (usize, usize)> {
    let places = || (0..=TEXT.len()).filter(|at| TEXT.is_char_boundary(*at));
    places().flat_map(move |end| places().take_while(move |it| *it <= end).map(move |it| (it, end)))
}

/// Does the same to both and compares what comes of it.
fn both<R: PartialEq + core::fmt::Debug>(
    ours: impl FnOnce(&mut String<&Bump>) -> R,
    theirs: impl FnOnce(&mut Text) -> R,
) {
    let arena = Bump::new();
    let mut one = String::from_str_in(TEXT, &arena);
    let mut other = Text::from(TEXT);
    assert_eq!(ours(&mut one), theirs(&mut other));
    assert_eq!(one, other);
}

/// What happens to a text of ours when a call panics: nothing.
fn refused<R>(call: impl FnOnce(&mut String<&Bump>) -> R) {
    let arena = Bump::new();
    let mut text = String::from_str_in(TEXT, &arena);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(call(&mut text)))).is_err());
    assert_eq!(text.as_bytes(), TEXT.as_bytes());
}

#[test]
fn every_part_is_replaced_and_drained() {
    for (start, end) in ranges() {
        for new in ["", "x", "🦀🦀", "as long as it was, or longer"] {
            both(|it| it.replace_range(start..end, new), |it| it.replace_range(start..end, new));
        }
        both(
            |it| it.drain(start..end).collect::<List<char>>(),
            |it| it.drain(start..end).collect(),
        );
        both(
            |it| it.drain(start..end).rev().take(2).collect::<List<char>>(),
            |it| it.drain(start..end).rev().take(2).collect(),
        );
    }
}

#[test]
fn every_place_takes_and_gives() {
    for (at, end) in ranges() {
        both(|it| it.insert(at, '水'), |it| it.insert(at, '水'));
        both(|it| it.insert_str(at, "no"), |it| it.insert_str(at, "no"));
        both(|it| it.truncate(at), |it| it.truncate(at));
        both(|it| it.split_off(at).len(), |it| it.split_off(at).len());
        if at < end {
            both(|it| it.remove(at), |it| it.remove(at));
        }
    }
}

#[test]
fn no_character_is_cut_in_two() {
    // Inside the second, and past the end.
    for at in [2, TEXT.len() + 1] {
        refused(|it| it.insert(at, 'x'));
        refused(|it| it.remove(at));
        refused(|it| it.split_off(at).len());
        refused(|it| it.replace_range(at.., ""));
        refused(|it| it.drain(..at).count());
    }
    refused(|it| it.remove(TEXT.len()));
    refused(|it| it.truncate(2));
}

#[test]
fn a_function_that_panics_leaves_text() {
    for kept in 0..1_u32 << 5 {
        for panics_at in 0..=5 {
            let mut count = 0;
            let arena = Bump::new();
            let mut text = String::from_str_in(TEXT, &arena);
            let end = catch_unwind(AssertUnwindSafe(|| {
                text.retain(|_| {
                    if count == panics_at {
                        // Not `panic!`, which prints.
                        resume_unwind(std::boxed::Box::new(()));
                    }
                    count += 1;
                    kept >> (count - 1) & 1 == 1
                });
            }));
            assert_eq!(end.is_err(), panics_at < 5);
            assert!(core::str::from_utf8(text.as_bytes()).is_ok(), "U1");
            let stays = |(i, it)| (i >= panics_at || kept >> i & 1 == 1).then_some(it);
            let want: Text = TEXT.chars().enumerate().filter_map(stays).collect();
            assert_eq!(text, want);
        }
    }
}

#[test]
fn text_is_made_of_bytes_and_of_units() {
    let arena = Bump::new();
    for bytes in [&b"plain"[..], b"a\xffb", b"\xf0\x9f\xa6", "水".as_bytes(), b""] {
        let lossy = String::from_utf8_lossy_in(bytes, &arena);
        assert_eq!(lossy, &*Text::from_utf8_lossy(bytes));
        let vec = super::Vec::from_iter_in(bytes.iter().copied(), &arena);
        match (String::from_utf8(vec), core::str::from_utf8(bytes)) {
            (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs),
            (Err((error, kept)), Err(want)) => {
                assert_eq!((error, kept.as_ref()), (want, bytes));
            }
            (ours, theirs) => panic!("{ours:?} for {theirs:?}"),
        }
    }
    let units: List<u16> = "a🦀".encode_utf16().chain([0xd800, 0x62]).collect();
    assert_eq!(String::from_utf16_lossy_in(&units, &arena), "a🦀\u{fffd}b");
}

#[test]
fn a_string_is_compared_and_hashed_as_its_text() {
    let arena = Bump::new();
    let mut words: List<_> =
        ["b", "", "a", "ab"].iter().map(|it| String::from_str_in(it, &arena)).collect();
    words.sort();
    assert!(words.iter().map(String::as_str).eq(["", "a", "ab", "b"]));
    let hash = |it: &dyn Fn(&mut std::hash::DefaultHasher)| {
        let mut state = std::hash::DefaultHasher::new();
        it(&mut state);
        std::hash::Hasher::finish(&state)
    };
    let (ours, theirs) = (hash(&|to| words[2].hash(to)), hash(&|to| "ab".hash(to)));
    assert_eq!(ours, theirs);
    let mut sum = String::new_in(&arena);
    sum.extend(['x', '水']);
    sum.extend(["y", "z"]);
    sum += "!";
    assert_eq!(&*sum.into_box(), "x水yz!");
}

#[test]
fn without_memory_a_string_stays_as_it_was() {
    let mut bytes = [const { core::mem::MaybeUninit::uninit() }; 8];
    let arena = Bump::on(&mut bytes);
    let mut text = String::try_with_capacity_in(4, &arena).expect("half of the bytes");
    text.try_push_str("abcd").expect("there is room");
    arena.try_alloc([0_u8; 4]).expect("the other half");
    assert!(text.try_insert(2, '水').is_err());
    assert!(text.try_insert_str(0, "x").is_err());
    assert!(text.try_replace_range(1..3, "xyz").is_err());
    assert!(text.try_split_off(1).is_err());
    assert!(text.try_clone().is_err());
    assert_eq!(text, "abcd");
    assert_eq!(text.try_replace_range(1..3, ""), Ok(()));
    assert_eq!(text, "ad");
}
