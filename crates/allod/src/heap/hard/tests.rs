//! The hardened level over a system of our own: the model of the default level,
//! and what only this level promises.
#![allow(unsafe_code)]

use super::*;
use crate::config::Level;
use crate::heap::tests::{
    Dice, Model, SPACE, against_the_model, alloc, end, free, nothing_is_lost, open_at, open_hard,
    step,
};
use crate::os::fake::Fake;
use crate::size::CLASSES;
use crate::sync::Ordering;
use std::collections::BTreeSet;
use std::vec::Vec;

#[test]
fn one_heap_against_the_model() {
    for seed in 20..22 {
        against_the_model(&open_hard(Fake::new(SPACE, 4096)), 1, Dice(seed), 3000, 400);
    }
}

#[test]
fn heaps_that_free_for_each_other_against_the_model() {
    against_the_model(&open_hard(Fake::new(SPACE, 4096)), 4, Dice(31), 6000, 600);
}

#[test]
fn pages_of_other_sizes_against_the_model() {
    for page in [16 << 10, 64 << 10] {
        against_the_model(&open_hard(Fake::new(SPACE, page)), 1, Dice(41), 1000, 300);
    }
}

#[test]
fn every_call_to_the_system_may_fail() {
    for after in 0..50 {
        let a = open_hard(Fake::new(SPACE, 4096));
        let (mut model, mut dice) = (Model::default(), Dice(after));
        a.arena.kernel.os().fail(after, 3);
        let Some(heap) = a.adopt() else {
            a.arena.kernel.os().fail(0, 0);
            assert!(a.adopt().is_some(), "there is memory again");
            continue;
        };
        for _ in 0..150 {
            step(&a, heap, &mut model, &mut dice, 200);
        }
        a.arena.kernel.os().fail(0, 0);
        let at = alloc(&a, heap, 100_000, 16).expect("there is memory again");
        free(&a, heap, at);
        end(&a, heap, &mut model);
        nothing_is_lost(&a);
    }
}

#[test]
fn a_destroyed_heap_takes_everything_with_it() {
    let a = open_hard(Fake::new(SPACE, 4096));
    let mut dice = Dice(3);
    for _ in 0..3 {
        let private = a.make_private().unwrap();
        let mut model = Model::default();
        let outsider = a.adopt().unwrap();
        for _ in 0..1500 {
            step(&a, private, &mut model, &mut dice, 500);
            if dice.roll(3) == 0
                && let Some(start) = model.pick(&mut dice)
            {
                let (at, _, _) = model.leave(start);
                free(&a, outsider, at);
            }
        }
        a.check();
        // SAFETY: the model is dropped: nobody uses the heap's objects any more.
        unsafe { a.destroy(private) };
        nothing_is_lost(&a);
        // SAFETY: not used again.
        unsafe { a.abandon(outsider) };
    }
}

#[test]
fn all_that_was_asked_for_is_usable_and_no_more() {
    let a = open_hard(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    for size in (1..300).chain([4095, 4096, 4097, 32767, 32768, 99_999, 1 << 20, (3 << 20) + 5]) {
        let at = alloc(&a, heap, size, 16).unwrap();
        assert_eq!(a.usable(at.addr().get()), size);
        // SAFETY: the object holds `size` bytes.
        unsafe { at.write_bytes(0xFF, size) };
        assert_eq!(a.usable(at.addr().get()), size);
        free(&a, heap, at);
    }
    nothing_is_lost(&a);
}

#[test]
fn a_freed_slot_waits_and_its_successor_is_anybodys_guess() {
    let a = open_hard(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let mut followers = BTreeSet::new();
    for _ in 0..200 {
        let old = alloc(&a, heap, 40, 16).unwrap();
        free(&a, heap, old);
        for _ in 0..16 {
            let at = alloc(&a, heap, 40, 16).unwrap();
            assert_ne!(at, old, "used again at once");
            free(&a, heap, at);
        }
        followers.insert(alloc(&a, heap, 40, 16).unwrap());
    }
    assert!(followers.len() > 100);
    let steps: BTreeSet<_> = followers.iter().zip(followers.iter().skip(1)).collect();
    assert!(!steps.is_empty());
}

#[test]
fn what_one_thread_frees_serves_another() {
    let a = open_hard(Fake::new(SPACE, 4096));
    let (one, two) = (a.adopt().unwrap(), a.adopt().unwrap());
    let mut most = 0;
    for round in 0..50 {
        let made: Vec<_> = (0..2000).map(|_| alloc(&a, one, 100, 16).unwrap()).collect();
        for at in made {
            free(&a, two, at);
        }
        if round == 5 {
            most = a.arena.active.get();
        }
    }
    assert!(a.arena.active.get() <= 2 * most, "{} of {most}", a.arena.active.get());
    nothing_is_lost(&a);
}

#[test]
fn a_locker_holds_little() {
    let a = open_hard(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    for c in 1..CLASSES {
        let class = SizeClass::from_index(c);
        let size = class.size() - 1;
        let made: Vec<_> = (0..300).filter_map(|_| alloc(&a, heap, size, 8)).collect();
        for at in made {
            free(&a, heap, at);
        }
        let held = heap.locker().unwrap().held(class) * class.size();
        assert!(held <= 10 << 10 || held <= 7 * class.size(), "{held} bytes of {class:?}");
    }
    nothing_is_lost(&a);
}

#[test]
fn the_child_of_a_fork_goes_on() {
    let a = open_hard(Fake::new(SPACE, 4096));
    let (mine, other) = (a.adopt().unwrap(), a.adopt().unwrap());
    let made: Vec<_> = (0..3000).map(|_| alloc(&a, other, 200, 8).unwrap()).collect();
    // A thread of the parent was in its locker.
    assert!(other.locker().unwrap().enter());
    a.fork_prepare();
    a.fork_child(Some(mine));
    for at in made {
        free(&a, mine, at);
    }
    nothing_is_lost(&a);
    assert_eq!(a.threads.get(), 1);
}

#[test]
fn the_end_of_an_allocator_leaves_nothing_mapped() {
    let a = open_hard(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let (mut model, mut dice) = (Model::default(), Dice(77));
    for _ in 0..2000 {
        step(&a, heap, &mut model, &mut dice, 300);
    }
    end(&a, heap, &mut model);
    // SAFETY: nobody uses the allocator any more.
    assert!(unsafe { a.close() });
    assert_eq!(a.arena.kernel.os().mapped(), 0);
}

#[test]
fn figures_count_what_the_program_has() {
    let a = open_hard(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let made: Vec<_> = (0..1000).map(|_| alloc(&a, heap, 40, 16).unwrap()).collect();
    assert_eq!(a.stats(Some(heap)).allocated, 48 * 1000);
    for at in made.iter().take(400) {
        free(&a, heap, *at);
    }
    assert_eq!(a.stats(Some(heap)).allocated, 48 * 600);
    assert_eq!(a.stats(Some(heap)).allocations, 1000);
    // ORDERING: Relaxed, a figure.
    assert_eq!(a.copied.load(Ordering::Relaxed), 0);
}

/// Guarded objects and ordinary ones, with some call to the system failing.
fn guarded(rate: u32, exact: bool, after: u64, rounds: usize) -> usize {
    let a = open_at(Fake::new(SPACE, 4096), Level { hard: exact, guard_rate: rate, exact });
    let heap = a.adopt().unwrap();
    let (mut model, mut dice) = (Model::default(), Dice(after));
    if after != 0 {
        a.arena.kernel.os().fail(after, 2);
    }
    let mut found = 0;
    for _ in 0..rounds {
        let (size, align) = (1 + dice.roll(5000), 1 << dice.roll(8));
        let at = a.guard(Some(heap), size, align, Family::Rust).inspect(|at| {
            found += 1;
            at.as_ptr().expose_provenance();
            assert_eq!(a.usable(at.addr().get()), size);
        });
        if let Some(at) = at.or_else(|| alloc(&a, heap, size, align)) {
            model.enter(at, size, align);
        }
        while model.live.len() > 100 {
            let start = model.pick(&mut dice).unwrap();
            let (at, size, align) = model.leave(start);
            a.check_size(start, size, align);
            free(&a, heap, at);
        }
    }
    assert!(a.guarded.sweep(a.harden.secret()).is_ok());
    end(&a, heap, &mut model);
    a.arena.kernel.os().fail(0, 0);
    nothing_is_lost(&a);
    assert_eq!(a.guarded.bytes.get(), 0);
    found
}

#[test]
fn guarded_objects_against_the_model() {
    assert!(guarded(1, true, 0, 1000) > 900, "each object that can be");
    let found = guarded(4, true, 0, 1000);
    assert_eq!(found, 250, "each fourth");
    let found = guarded(10, false, 0, 4000);
    // The mean is 400, and the spread of intervals from 1 to 19 makes 11 of it.
    assert!((300..500).contains(&found), "{found} of 4000");
    for after in 1..30 {
        guarded(1, true, after, 60);
    }
}
