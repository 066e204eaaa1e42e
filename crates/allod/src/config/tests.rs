//! The table in its order, and texts as people write them.

use super::*;
use std::vec;

#[test]
fn the_table_stands_in_the_order_of_its_keys() {
    for (i, row) in TABLE.iter().enumerate() {
        assert_eq!(row.key as usize, i);
        assert!(row.min <= row.default && row.default <= row.max, "{}", row.name);
    }
}

#[test]
fn good_parts_are_applied_and_bad_ones_are_heard_of() {
    let mut config = Config::new();
    let mut heard = vec![];
    let text = b"purge_delay:20,nonsense:1,huge_cache:4m,guard_pages:2,,purge_delay";
    config.apply(text, |part, why| heard.push((part.to_vec(), why)));
    assert_eq!(config.get(Key::PurgeDelay), 20);
    assert_eq!(config.get(Key::HugeCache), 4 << 20);
    assert_eq!(config.get(Key::GuardPages), 1);
    let expected = [
        (b"nonsense:1".to_vec(), Refused::UnknownKey),
        (b"guard_pages:2".to_vec(), Refused::BadValue),
        (b"purge_delay".to_vec(), Refused::BadValue),
    ];
    assert_eq!(heard, expected);
}

#[test]
fn numbers_that_are_none_are_refused() {
    for bad in [&b""[..], b"k", b"1x", b"-1", b"99999999999999999999", b"18446744073709551615g"] {
        assert_eq!(parse(&TABLE[2], bad), Err(Refused::BadValue));
    }
    assert_eq!(parse(&TABLE[2], b"3g"), Ok(3 << 30));
}

#[test]
fn a_word_stands_for_its_number() {
    let row = TABLE[Key::GuardPages as usize];
    assert_eq!((parse(&row, b"on"), parse(&row, b"off")), (Ok(1), Ok(0)));
    assert_eq!(parse(&row, b"on1"), Err(Refused::BadValue));
    let row = TABLE[Key::ProfileDump as usize];
    assert_eq!(parse(&row, b"exit+oom"), Ok(DUMP_AT_EXIT | DUMP_AT_OOM));
    assert_eq!((parse(&row, b"none"), parse(&row, b"15")), (Ok(0), Ok(15)));
    for bad in [&b"exit+"[..], b"+", b"exit+1", b"exit oom", b"16"] {
        assert_eq!(parse(&row, bad), Err(Refused::BadValue));
    }
    for row in TABLE {
        assert!(row.words.iter().all(|(_, value)| (row.min..=row.max).contains(value)));
    }
}
