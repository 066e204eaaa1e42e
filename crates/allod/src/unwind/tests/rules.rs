//! The table of rules, as it grows.
#![allow(unsafe_code)]

use crate::unwind::memory;
use crate::unwind::rules::{Key, Rule, Rules};

const PAGE: usize = 4096;

/// An empty table, and its pages.
fn table() -> (&'static Rules, &'static [u8]) {
    let len = size_of::<Rules>();
    let place = memory::map(len).expect("there is memory");
    // SAFETY: zeros are the empty state, and the mapping stays.
    let rules = unsafe { place.cast().as_ref() };
    // SAFETY: as above; it is looked at by address only.
    (rules, unsafe { core::slice::from_raw_parts(place.as_ptr().cast(), len) })
}

/// Pages that have memory behind them.
fn touched(pages: &[u8]) -> usize {
    let mut state = std::vec![0u8; pages.len().div_ceil(PAGE)];
    // SAFETY: the range is a mapping, and there is a byte for each of its pages.
    let done = unsafe { libc::mincore(pages.as_ptr().cast_mut().cast(), pages.len(), state.as_mut_ptr()) };
    assert_eq!(done, 0, "the range is mapped");
    state.iter().filter(|state| **state & 1 != 0).count()
}

fn key(i: usize) -> Key {
    Key::new(0x7f00_0000_0000 + i * 37, 0)
}

fn kept(rules: &Rules, keys: core::ops::Range<usize>) -> usize {
    keys.filter(|i| rules.get(key(*i), rules.size()) == Some(Rule::END)).count()
}

#[test]
fn a_few_rules_touch_a_few_pages_and_many_are_kept() {
    let (rules, pages) = table();
    for i in 0..40 {
        rules.put(key(i), Rule::END);
    }
    assert_eq!(kept(rules, 0..40), 40, "a small program's");
    if cfg!(target_arch = "x86_64") {
        assert!(touched(pages) <= 2, "{} pages", touched(pages));
    }
    // Rules that are lost as the table grows are read again, and put again.
    for _ in 0..4 {
        for i in 0..4000 {
            if rules.get(key(i), rules.size()).is_none() {
                rules.put(key(i), Rule::END);
            }
        }
    }
    let kept = kept(rules, 0..4000);
    assert!(kept > 3500, "{kept} of 4000");
}
