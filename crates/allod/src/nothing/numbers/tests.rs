//! All numbers, each once; under loom, two threads and one number.
#![allow(unsafe_code)]

use super::*;

#[cfg(not(loom))]
#[test]
fn every_number_is_had_once_and_again_when_it_was_given_back() {
    let words = [const { AtomicU64::new(0) }; 3];
    let mut taken: std::vec::Vec<_> = core::iter::from_fn(|| take(&words, 2)).collect();
    assert_eq!(taken[..2], [128, 129], "from the word that was named");
    taken.sort_unstable();
    assert!(taken.into_iter().eq(0..192));
    assert_eq!(give(&words, 70), Some(true));
    assert_eq!(give(&words, 70), Some(false), "twice");
    assert_eq!(give(&words, 192), None);
    assert_eq!((take(&words, 0), take(&words, 0)), (Some(70), None));
}

#[cfg(loom)]
#[test]
fn loom_a_number_has_one_user_who_sees_what_the_last_one_did() {
    use loom::sync::Arc;
    loom::model(|| {
        // One number of the word is left.
        let shared = Arc::new(([AtomicU64::new(!8)], loom::cell::UnsafeCell::new(0u32)));
        let user = |shared: Arc<([AtomicU64; 1], loom::cell::UnsafeCell<u32>)>| {
            move || {
                let number = loop {
                    if let Some(number) = take(&shared.0, 0) {
                        break number;
                    }
                    loom::thread::yield_now();
                };
                shared.1.with_mut(|value| {
                    // SAFETY: Z2, which is what this model tests.
                    unsafe {
                        *value += 1
                    }
                });
                assert_eq!((number, give(&shared.0, number)), (3, Some(true)));
            }
        };
        let other = loom::thread::spawn(user(shared.clone()));
        user(shared)();
        other.join().unwrap();
    });
}

#[cfg(loom)]
#[test]
fn loom_of_two_that_give_a_number_back_one_is_told() {
    use loom::sync::Arc;
    loom::model(|| {
        let words = Arc::new([AtomicU64::new(8)]);
        let other = words.clone();
        let other = loom::thread::spawn(move || give(other.as_ref(), 3));
        let mut told = [give(words.as_ref(), 3), other.join().unwrap()];
        told.sort_unstable();
        assert_eq!(told, [Some(false), Some(true)]);
    });
}
