//! The word's transitions one by one; under loom, the races between them.
#![allow(unsafe_code)]

use super::*;
#[cfg(loom)]
use std::{vec, vec::Vec};

const TERMS: Terms = Terms { share_at: 2, all: Some(4) };

fn owned() -> AtomicWord {
    AtomicWord::new(Word::new(State::Owned, 7, Remote::NONE))
}

#[cfg(not(loom))]
#[test]
fn fields_do_not_touch_each_other() {
    let word = Word::new(State::Shared, 0xAB_CDEF, Remote { head: 0xFFFF, count: 0x1234 });
    assert_eq!(word.state(), State::Shared);
    assert_eq!(word.key(), 0xAB_CDEF);
    assert_eq!(word.remote(), Remote { head: 0xFFFF, count: 0x1234 });
}

#[cfg(not(loom))]
#[test]
fn a_full_span_is_shared_then_buried_then_free() {
    let word = owned();
    assert!(word.fill(7) && !word.fill(7));
    assert_eq!(word.push(3, 1, |old| assert_eq!(old.count, 0), || TERMS), Pushed::Added);
    assert_eq!(word.load().state(), State::Full);
    let pushed = word.push(1, 1, |old| assert_eq!(old, Remote { head: 3, count: 1 }), || TERMS);
    assert_eq!(pushed, Pushed::Shared);
    assert_eq!(word.load().state(), State::Shared);
    assert_eq!(word.push(0, 2, |_| {}, || TERMS), Pushed::Buried);
    assert_eq!(word.push(0, 1, |_| {}, || TERMS), Pushed::Refused);
    assert_eq!(word.claim(9), None);
    assert_eq!(word.load().state(), State::Free);
}

#[cfg(not(loom))]
#[test]
fn a_full_span_freed_in_one_run_is_emptied() {
    let word = owned();
    assert!(word.fill(7));
    assert_eq!(word.push(0, 4, |_| {}, || TERMS), Pushed::Emptied);
    let stays = owned();
    assert!(stays.fill(7));
    let terms = || Terms { share_at: 1, all: None };
    assert_eq!(stays.push(0, 4, |_| {}, terms), Pushed::Shared);
}

#[cfg(not(loom))]
#[test]
fn the_owner_takes_reopens_shares_and_claims() {
    let word = owned();
    assert_eq!(word.push(2, 1, |_| {}, || TERMS), Pushed::Added);
    assert!(!word.fill(7) && !word.vacate(7));
    assert_eq!(word.take(8), Remote::NONE);
    assert_eq!(word.take(7), Remote { head: 2, count: 1 });
    assert!(word.fill(7));
    assert_eq!(word.reopen(8), None);
    assert_eq!(word.reopen(7), Some(Remote::NONE));
    assert!(word.share(7, Remote { head: 1, count: 2 }));
    assert_eq!(word.claim(8), Some(Remote { head: 1, count: 2 }));
    assert_eq!(word.load().key(), 8);
    assert!(word.vacate(8));
    assert!(!word.free_large());
    word.store(Word::new(State::Large, 0, Remote::NONE));
    assert!(word.free_large() && !word.free_large());
}

/// A span of four blocks whose links are cells that loom watches.
#[cfg(loom)]
struct Span {
    word: AtomicWord,
    links: [loom::cell::UnsafeCell<Option<u16>>; 4],
}

#[cfg(loom)]
impl Span {
    fn new(word: Word) -> Self {
        let cell = || loom::cell::UnsafeCell::new(None);
        Self { word: AtomicWord::new(word), links: [cell(), cell(), cell(), cell()] }
    }

    fn free(&self, block: u16, terms: Terms) -> Pushed {
        let link = |old: Remote| {
            let below = (old.count != 0).then_some(old.head);
            self.links[block as usize].with_mut(|cell| {
                // SAFETY: W2, the block is the pusher's until the exchange.
                unsafe {
                    *cell = below
                }
            });
        };
        self.word.push(block, 1, link, || terms)
    }

    fn walk(&self, list: Remote) -> Vec<u16> {
        let mut blocks = vec![];
        let mut next = (list.count != 0).then_some(list.head);
        while let Some(block) = next {
            blocks.push(block);
            next = self.links[block as usize].with(|cell| {
                // SAFETY: W2, the list is the taker's.
                unsafe {
                    *cell
                }
            });
        }
        assert_eq!(blocks.len(), list.count as usize);
        blocks
    }
}

#[cfg(loom)]
#[test]
fn loom_the_owner_gets_every_block_that_two_strangers_free() {
    use loom::sync::Arc;
    loom::model(|| {
        let span = Arc::new(Span::new(Word::new(State::Owned, 7, Remote::NONE)));
        let strangers: Vec<_> = (0..2)
            .map(|block| {
                let span = span.clone();
                loom::thread::spawn(move || assert_eq!(span.free(block, TERMS), Pushed::Added))
            })
            .collect();
        let mut home = vec![];
        while home.len() < 2 {
            home.extend(span.walk(span.word.take(7)));
            loom::thread::yield_now();
        }
        home.sort_unstable();
        assert_eq!(home, [0, 1]);
        for stranger in strangers {
            stranger.join().unwrap();
        }
    });
}

#[cfg(loom)]
#[test]
fn loom_of_two_strangers_that_empty_a_full_span_just_one_is_told() {
    use loom::sync::Arc;
    loom::model(|| {
        let span = Arc::new(Span::new(Word::new(State::Full, 7, Remote::NONE)));
        let terms = Terms { share_at: 2, all: Some(2) };
        let other = {
            let span = span.clone();
            loom::thread::spawn(move || span.free(0, terms))
        };
        let mine = span.free(1, terms);
        let theirs = other.join().unwrap();
        assert!((mine == Pushed::Emptied) != (theirs == Pushed::Emptied), "{mine:?} {theirs:?}");
    });
}

#[cfg(loom)]
#[test]
fn loom_a_shared_span_is_claimed_whole_or_found_empty() {
    use loom::sync::Arc;
    loom::model(|| {
        let span = Arc::new(Span::new(Word::new(State::Full, 7, Remote::NONE)));
        let terms = Terms { share_at: 1, all: Some(2) };
        assert_eq!(span.free(0, terms), Pushed::Shared);
        let stranger = {
            let span = span.clone();
            loom::thread::spawn(move || span.free(1, terms))
        };
        let claimed = span.word.claim(9);
        match claimed {
            Some(list) => {
                let mut home = span.walk(list);
                assert_eq!(stranger.join().unwrap(), Pushed::Added);
                home.extend(span.walk(span.word.take(9)));
                home.sort_unstable();
                assert_eq!(home, [0, 1]);
            }
            None => assert_eq!(stranger.join().unwrap(), Pushed::Buried),
        }
    });
}

#[cfg(loom)]
#[test]
fn loom_a_full_span_is_reopened_by_its_owner_or_shared_by_a_stranger() {
    use loom::sync::Arc;
    loom::model(|| {
        let span = Arc::new(Span::new(Word::new(State::Full, 7, Remote::NONE)));
        let terms = Terms { share_at: 1, all: Some(4) };
        let stranger = {
            let span = span.clone();
            loom::thread::spawn(move || span.free(0, terms))
        };
        let reopened = span.word.reopen(7);
        let pushed = stranger.join().unwrap();
        match reopened {
            Some(list) => {
                let mut home = span.walk(list);
                home.extend(span.walk(span.word.take(7)));
                assert_eq!((home.as_slice(), pushed), (&[0][..], Pushed::Added));
            }
            None => assert_eq!(pushed, Pushed::Shared),
        }
    });
}

/// A plain field of a span, watched by loom.
#[cfg(loom)]
fn write(field: &loom::cell::UnsafeCell<u16>, value: u16) {
    field.with_mut(|cell| {
        // SAFETY: W1, which is what these models test.
        unsafe { *cell = value }
    });
}

#[cfg(loom)]
fn read(field: &loom::cell::UnsafeCell<u16>) -> u16 {
    field.with(|cell| {
        // SAFETY: as above.
        unsafe { *cell }
    })
}

#[cfg(loom)]
#[test]
fn loom_who_sees_a_state_sees_the_fields_set_before_it() {
    use loom::sync::Arc;
    loom::model(|| {
        let span = Arc::new((AtomicWord::new(Word::new(State::Free, 0, Remote::NONE)), {
            loom::cell::UnsafeCell::new(0u16)
        }));
        let maker = {
            let span = span.clone();
            loom::thread::spawn(move || {
                write(&span.1, 40);
                span.0.store(Word::new(State::Large, 0, Remote::NONE));
            })
        };
        if span.0.load().state() == State::Large {
            assert_eq!(read(&span.1), 40);
        }
        maker.join().unwrap();
    });
}

#[cfg(loom)]
#[test]
fn loom_a_push_that_is_overtaken_reads_the_fields_of_the_state_it_finds() {
    use loom::sync::Arc;
    loom::model(|| {
        let span = Arc::new((AtomicWord::new(Word::new(State::Owned, 7, Remote::NONE)), {
            loom::cell::UnsafeCell::new(0u16)
        }));
        let owner = {
            let span = span.clone();
            loom::thread::spawn(move || {
                // The owner carves on, hands the rest out, and is done with the span.
                write(&span.1, 4);
                span.0.fill(7);
            })
        };
        let terms = || Terms { share_at: 1, all: Some(read(&span.1)) };
        let pushed = span.0.push(0, 1, |_| {}, terms);
        assert!(matches!(pushed, Pushed::Added | Pushed::Shared), "{pushed:?}");
        owner.join().unwrap();
    });
}
