//! One value's life on one thread; under loom, with one who looks and one who removes.

use super::*;

#[cfg(not(loom))]
#[test]
fn a_value_is_closed_once_and_the_last_owns_the_place() {
    let state = State::new();
    assert!(!state.enter(1) && state.close(1) == Closed::NotThere);
    assert_eq!((state.current(), state.open(), state.current()), (None, 1, Some(1)));
    assert!(state.enter(1) && state.enter(1) && !state.enter(3));
    assert!(!state.leave(), "open");
    assert!(!state.close_alone(1), "somebody is in");
    assert_eq!((state.close(1), state.close(1)), (Closed::Later, Closed::NotThere));
    assert!(!state.enter(1));
    assert!(state.leave(), "the last");
    assert_eq!(state.open(), 3);
    assert!(!state.enter(1), "an old key");
    assert!(state.close_alone(3) && !state.close_alone(3));
    assert_eq!((state.open(), state.close(5)), (5, Closed::Mine));
}

#[cfg(not(loom))]
#[test]
fn generations_go_round_and_stay_odd() {
    // ORDERING: Relaxed, one thread.
    let state = State::new();
    state.0.store(usize::MAX << HALF, Ordering::Relaxed);
    assert_eq!(state.open(), 1);
}

#[cfg(not(loom))]
#[test]
fn there_are_no_more_references_than_fit() {
    let state = State::new();
    let generation = state.open();
    // ORDERING: Relaxed, one thread.
    state.0.store((1 << HALF) | MOST, Ordering::Relaxed);
    assert!(!state.enter(generation), "it would close the value");
    assert_eq!(state.close(generation), Closed::Later);
}

/// A value that loom watches, and the state that says who may touch it.
#[cfg(loom)]
struct Place {
    state: State,
    value: loom::cell::UnsafeCell<u32>,
}

#[cfg(loom)]
impl Place {
    fn new() -> loom::sync::Arc<Self> {
        loom::sync::Arc::new(Self { state: State::new(), value: loom::cell::UnsafeCell::new(0) })
    }

    fn open(&self) -> u32 {
        self.value.with_mut(|_| ());
        self.state.open()
    }

    fn look(&self, generation: u32) {
        if self.state.enter(generation) {
            self.value.with(|_| ());
            self.leave();
        }
    }

    fn leave(&self) {
        if self.state.leave() {
            self.value.with_mut(|_| ());
        }
    }

    fn remove(&self, generation: u32) {
        if self.state.close(generation) == Closed::Mine {
            self.value.with_mut(|_| ());
        }
    }
}

#[cfg(loom)]
#[test]
fn loom_who_gets_in_sees_the_value() {
    loom::model(|| {
        let place = Place::new();
        let other = {
            let place = place.clone();
            loom::thread::spawn(move || place.look(1))
        };
        assert_eq!(place.open(), 1);
        other.join().unwrap();
    });
}

#[cfg(loom)]
#[test]
fn loom_who_removes_sees_the_value() {
    loom::model(|| {
        let place = Place::new();
        let other = {
            let place = place.clone();
            loom::thread::spawn(move || place.remove(1))
        };
        assert_eq!(place.open(), 1);
        other.join().unwrap();
    });
}

#[cfg(loom)]
#[test]
fn loom_who_takes_it_alone_sees_what_the_others_did() {
    loom::model(|| {
        let place = Place::new();
        let generation = place.open();
        let other = {
            let place = place.clone();
            loom::thread::spawn(move || place.look(generation))
        };
        if place.state.close_alone(generation) {
            place.value.with_mut(|_| ());
        }
        other.join().unwrap();
    });
}

#[cfg(loom)]
#[test]
fn loom_a_value_goes_after_the_last_look_at_it() {
    loom::model(|| {
        let place = Place::new();
        let generation = place.open();
        let looks = {
            let place = place.clone();
            loom::thread::spawn(move || place.look(generation))
        };
        place.remove(generation);
        looks.join().unwrap();
        assert_eq!(place.state.close(generation), Closed::NotThere);
    });
}

#[cfg(loom)]
#[test]
fn loom_the_last_of_two_looks_sees_the_other() {
    loom::model(|| {
        let place = Place::new();
        let generation = place.open();
        assert!(place.state.enter(generation) && place.state.enter(generation));
        assert_eq!(place.state.close(generation), Closed::Later);
        let other = {
            let place = place.clone();
            loom::thread::spawn(move || {
                place.value.with(|_| ());
                place.leave();
            })
        };
        place.value.with(|_| ());
        place.leave();
        other.join().unwrap();
    });
}
