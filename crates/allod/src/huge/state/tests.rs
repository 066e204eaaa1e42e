//! Its life; under loom, two that free one object, and somebody who looks on.
#![allow(unsafe_code)]

use super::*;

#[cfg(not(loom))]
#[test]
fn an_object_is_freed_once() {
    let state = State::gone();
    assert!(!state.is_live() && !state.is_mapped() && !state.retire());
    state.set_live();
    assert!(state.is_live() && state.is_mapped());
    assert!(state.retire() && !state.retire());
    assert!(!state.is_live() && state.is_mapped());
    state.set_gone();
    assert!(!state.is_mapped());
}

#[cfg(loom)]
#[test]
fn loom_of_two_that_free_an_object_one_does() {
    use loom::sync::Arc;
    loom::model(|| {
        let shared = Arc::new((State::gone(), loom::cell::UnsafeCell::new(0u32)));
        shared.0.set_live();
        let free = |shared: Arc<(State, loom::cell::UnsafeCell<u32>)>| {
            move || {
                let first = shared.0.retire();
                if first {
                    // SAFETY: HS1, which is what this model tests.
                    shared.1.with_mut(|value| unsafe { *value += 1 });
                }
                first
            }
        };
        let other = loom::thread::spawn(free(shared.clone()));
        let here = free(shared)();
        assert!(here != other.join().unwrap());
    });
}

#[cfg(loom)]
#[test]
fn loom_who_frees_or_looks_on_sees_the_fields() {
    use loom::sync::Arc;
    for frees in [true, false] {
        loom::model(move || {
            let shared = Arc::new((State::gone(), loom::cell::UnsafeCell::new(0u32)));
            let there = shared.clone();
            let there = loom::thread::spawn(move || {
                // SAFETY: HS2: nobody looks before the object is live.
                there.1.with_mut(|value| unsafe { *value = 7 });
                there.0.set_live();
            });
            let sees = if frees { shared.0.retire() } else { shared.0.is_mapped() };
            if sees {
                // SAFETY: HS2, which is what this model tests.
                assert_eq!(shared.1.with(|value| unsafe { *value }), 7);
            }
            there.join().unwrap();
        });
    }
}
