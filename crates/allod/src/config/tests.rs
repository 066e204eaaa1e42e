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
    let row = TABLE[Key::PurgeDelay as usize];
    assert_eq!((parse(&row, b"0"), parse(&row, b"3600000")), (Ok(0), Ok(3_600_000)));
    assert_eq!(parse(&row, b"3600001"), Err(Refused::BadValue));
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

/// Nobody has to remember which of the switches takes a word and which a number.
#[test]
fn whatever_can_be_switched_takes_the_same_words() {
    let on = [
        (Key::HugePages, 2 << 20),
        (Key::HugeCache, 256 << 20),
        (Key::GuardPages, 1),
        (Key::Harden, 1),
        (Key::Profile, 512 << 10),
        (Key::Background, 1),
    ];
    for (key, value) in on {
        let row = TABLE[key as usize];
        assert_eq!(parse(&row, b"on"), Ok(value), "{}", row.name);
        assert_eq!(row.parse("on"), Ok(value), "{}, as tools ask", row.name);
        assert!(value == row.default || row.default == 0, "{}", row.name);
    }
    for row in TABLE {
        let has_off = !matches!(row.key, Key::PurgeDelay | Key::GuardRate);
        let none = if has_off { Ok(0) } else { Err(Refused::BadValue) };
        assert_eq!(parse(&row, b"off"), none, "{}", row.name);
        let has_on = on.iter().any(|(key, _)| *key == row.key);
        assert_eq!(parse(&row, b"on").is_ok(), has_on, "{}", row.name);
        assert_eq!(parse(&row, b"0"), Ok(0), "{}", row.name);
    }
}

/// In plain numbers, as the documents have them.
#[test]
fn the_defaults_and_the_limits_are_what_is_promised() {
    let rows = TABLE.map(|row| (row.name, row.default, row.min, row.max));
    let most = 9_223_372_036_854_775_807;
    let promised = [
        ("purge_delay", 500, 0, 3_600_000),
        ("huge_pages", 2_097_152, 0, most),
        ("huge_cache", 268_435_456, 0, most),
        ("guard_pages", 1, 0, 1),
        ("harden", 0, 0, 2),
        ("guard_rate", 0, 0, 1_073_741_824),
        ("profile", 524_288, 0, 2_147_483_648),
        ("profile_dump", 0, 0, 15),
        ("background", 0, 0, 1),
    ];
    assert_eq!(rows, promised);
}

#[test]
fn a_value_is_moved_into_its_range() {
    let row = TABLE[Key::PurgeDelay as usize];
    for (given, taken) in [(0, 0), (1, 1), (row.max, row.max), (row.max + 1, row.max)] {
        assert_eq!(Config::new().with(row.key, given).get(row.key), taken);
    }
}

#[test]
fn levels_are_what_their_names_say() {
    let level = |text: &[u8]| {
        let mut config = Config::new();
        config.apply(text, |part, why| panic!("{part:?}: {why}"));
        let level = config.level();
        (level.hard, level.guard_rate, level.exact)
    };
    assert_eq!(level(b""), (false, 0, false));
    assert_eq!(level(b"guard_rate:30"), (false, 30, false));
    assert_eq!(level(b"harden:hardened"), (true, 0, false));
    assert_eq!(level(b"harden:paranoid"), (true, 1, true), "each object");
    assert_eq!(level(b"harden:paranoid,guard_rate:30"), (true, 30, true));
}

#[test]
fn a_word_said_twice_is_said_once() {
    let row = TABLE[Key::ProfileDump as usize];
    assert_eq!(parse(&row, b"exit+exit"), Ok(DUMP_AT_EXIT));
}

#[test]
fn each_refusal_has_its_words() {
    use std::string::ToString;
    let all = [Refused::UnknownKey, Refused::BadValue, Refused::NoMemory, Refused::TooLate];
    let words = all.map(|why| why.to_string());
    for (i, word) in words.iter().enumerate() {
        assert!(!word.is_empty() && !words[..i].contains(word), "{word}");
    }
}
