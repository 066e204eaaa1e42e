//! Every bit once; under loom, that no place has two owners.

use super::*;

#[cfg(not(loom))]
#[test]
fn every_bit_once_and_the_lowest_first() {
    let bits = Bits::new();
    for expected in 0..PLACES {
        assert_eq!(bits.take(), Some(expected));
    }
    assert_eq!((bits.take(), bits.taken()), (None, u32::MAX));
    bits.give(17);
    assert_eq!((bits.take(), bits.take()), (Some(17), None));
}

#[cfg(loom)]
#[test]
fn loom_a_place_has_one_owner_who_sees_what_the_last_one_did() {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    loom::model(|| {
        let shared = Arc::new((Bits::new(), [UnsafeCell::new(0u32), UnsafeCell::new(0u32)]));
        let work = |shared: &(Bits, [UnsafeCell<u32>; 2])| {
            let place = shared.0.take().expect("two threads, and places enough");
            // Loom objects when two do this at once, or one without seeing the other.
            shared.1[place].with_mut(|_| ());
            shared.0.give(place);
        };
        let other = {
            let shared = shared.clone();
            loom::thread::spawn(move || work(&shared))
        };
        work(&shared);
        other.join().unwrap();
        assert_eq!(shared.0.taken(), 0);
    });
}

#[cfg(loom)]
#[test]
fn loom_what_a_third_one_did_to_the_word_breaks_nothing() {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    loom::model(|| {
        let shared = Arc::new((Bits::new(), UnsafeCell::new(0u32)));
        assert_eq!((shared.0.take(), shared.0.take()), (Some(0), Some(1)));
        let first = {
            let shared = shared.clone();
            loom::thread::spawn(move || {
                shared.1.with_mut(|_| ());
                shared.0.give(0);
            })
        };
        let second = {
            let shared = shared.clone();
            loom::thread::spawn(move || shared.0.give(1))
        };
        if shared.0.take() == Some(0) {
            shared.1.with_mut(|_| ());
        }
        first.join().unwrap();
        second.join().unwrap();
    });
}
