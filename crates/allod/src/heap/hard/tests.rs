//! The hardened level over a system of our own: the model of the default level,
//! and what only this level promises.
#![allow(unsafe_code)]

use super::*;
use crate::config::Level;
use crate::harden::locker::RowAt;
use crate::harden::slot::SlotWord;
use crate::heap::tests::{
    Dice, Model, SPACE, against_the_model, alloc, end, free, nothing_is_lost, open_at, open_hard,
    step,
};
use crate::os::fake::Fake;
use crate::size::{CLASSES, TABLE_MAX};
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
fn a_locker_has_each_slot_once_and_room_for_all() {
    let a = open_hard(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let (mut dice, locker) = (Dice(5), heap.locker().unwrap());
    for size in [10, 100, 400, 700, 2000, 9000, 30_000] {
        let class = slot::class_for(size, 16).unwrap();
        let (mut made, mut most) = (Vec::new(), 0);
        for round in 0..4000 {
            // Up and down, so that the magazine runs dry and over.
            if made.is_empty() || dice.roll(10) < if round / 200 % 2 == 0 { 7 } else { 3 } {
                made.push(alloc(&a, heap, size, 16).unwrap());
            } else {
                let i = dice.roll(made.len());
                free(&a, heap, made.swap_remove(i));
            }
            locker.check(class);
            let (mut held, mut count) = (BTreeSet::new(), 0);
            locker.all(class, |slot| {
                // ORDERING: Relaxed, there is one thread.
                assert_eq!(slot.word().load(Ordering::Relaxed), SlotWord::HELD.0);
                held.insert(slot.at());
                count += 1;
            });
            assert_eq!(held.len(), count, "a slot twice");
            assert!(made.iter().all(|at| !held.contains(at)), "a slot that is out");
            most = most.max(count);
            let mut waiting = 0;
            locker.waiting(class, |slot| {
                assert!(held.contains(&slot.at()));
                waiting += 1;
            });
            assert!(waiting <= count && waiting <= 32);
        }
        assert!(most > 4 && most <= 64, "{most}");
        made.into_iter().for_each(|at| free(&a, heap, at));
    }
    nothing_is_lost(&a);
}

#[test]
fn a_freed_slot_waits_for_others_however_they_come() {
    let a = open_hard(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    // Frees between the free of a slot and its next use; of those before, few are fixed.
    let (mut freed, mut frees, mut waits) = (std::collections::BTreeMap::new(), 0usize, BTreeSet::new());
    let mut made: Vec<_> = (0..100).map(|_| alloc(&a, heap, 40, 16).unwrap()).collect();
    let mut dice = Dice(8);
    for _ in 0..20_000 {
        let i = dice.roll(made.len());
        let at = made.swap_remove(i);
        free(&a, heap, at);
        frees += 1;
        freed.insert(at, frees);
        let next = alloc(&a, heap, 40, 16).unwrap();
        if let Some(then) = freed.remove(&next) {
            assert!(frees - then >= 16, "after {} frees", frees - then);
            waits.insert(frees - then);
        }
        made.push(next);
    }
    assert!(waits.len() > 50, "{} different waits", waits.len());
    made.into_iter().for_each(|at| free(&a, heap, at));
    nothing_is_lost(&a);
}

#[test]
fn an_entry_of_the_map_leads_to_the_slots_of_a_span() {
    let a = open_hard(Fake::new(SPACE, 4096));
    let (heap, private) = (a.adopt().unwrap(), a.make_private().unwrap());
    for c in 1..CLASSES {
        let class = SizeClass::from_index(c);
        let size = class.size() - 1;
        let own = alloc(&a, private, size, 8).unwrap();
        assert_eq!(a.arena.map.entry(own.addr().get()), Some(0), "a private heap's");
        free(&a, private, own);
        let made: Vec<_> = (0..20).map(|_| alloc(&a, heap, size, 8).unwrap()).collect();
        for at in &made {
            let address = at.addr().get();
            let entry = a.arena.map.entry(address).unwrap();
            let place = a.harden.place::<true>(entry, *at).unwrap();
            let (span, ..) = a.slot_at(*at).unwrap();
            assert_eq!((place.row().class(), place.size()), (span.class().unwrap(), span.block_size()));
            assert_eq!(span.base().addr() + place.index as usize * place.size(), address);
            // ORDERING: Relaxed, there is one thread.
            assert!(SlotWord(place.word.load(Ordering::Relaxed)).is_plain());
            let short = a.harden.place::<false>(entry, *at);
            assert_eq!(short.is_some(), place.size() < canary::LONG);
            for off in [1, 4, 8, place.size() - 8, place.size() - 1] {
                let beside = NonNull::new(at.as_ptr().wrapping_add(off)).unwrap();
                let found = a.harden.place::<true>(entry, beside);
                assert!(found.is_none() || off % place.size() == 0, "{off} of {class:?}");
            }
        }
        let (at, address) = (made[0], made[0].addr().get());
        assert_ne!(a.arena.map.entry(address), Some(0), "{at:?}");
        made.into_iter().for_each(|at| free(&a, heap, at));
        a.drain_hard(heap);
        a.harden.release(a.ground());
        assert_eq!(a.arena.map.entry(address), Some(0), "the span is gone");
    }
    nothing_is_lost(&a);
}

#[test]
fn a_row_is_found_by_size_and_by_class() {
    for size in 1..=TABLE_MAX {
        assert_eq!(RowAt::of_size(size), RowAt::of(SizeClass::of_size(size)), "{size}");
    }
    for c in 0..CLASSES {
        let class = SizeClass::from_index(c);
        assert_eq!(RowAt::of(class).class(), class);
    }
}

#[test]
fn an_object_that_is_moved_keeps_what_is_in_it() {
    let a = open_hard(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let (mut dice, given, mut moved) = (Dice(12), Given::family(Family::C), 0);
    let form = |size| Form::new(size, 16, Family::C);
    let make = |size| {
        // SAFETY: the heap is this thread's.
        unsafe { a.slot_hard(Some(heap), slot::class_for(size, 16).unwrap(), form(size)) }.unwrap()
    };
    for _ in 0..3000 {
        let (old, new) = (1 + dice.roll(500), 1 + dice.roll(1000));
        let at = make(old);
        // SAFETY: the object holds `old` bytes.
        unsafe { at.write_bytes(0xA7, old) };
        let entry = a.arena.map.entry(at.addr().get()).unwrap();
        // SAFETY: the object is ours; the heap is this thread's.
        let now = match unsafe { a.move_slot(heap, entry, at, new, given) } {
            Some(now) => now,
            // SAFETY: as above.
            None => unsafe { a.reallocate_hard(Some(heap), at, new, 16, given) }.unwrap(),
        };
        moved += usize::from(now != at);
        assert_eq!(a.usable(now.addr().get()), new);
        for i in 0..new {
            // SAFETY: the object holds `new` bytes.
            let byte = unsafe { now.as_ptr().wrapping_add(i).read() };
            assert_eq!(byte, if i < old { 0xA7 } else { 0 }, "byte {i} of {new}, from {old}");
        }
        if now != at {
            // SAFETY: the slot is still there.
            assert!(unsafe { canary::is_zero(at.as_ptr(), a.slot_at(at).unwrap().1.size()) });
        }
        // SAFETY: the object is ours.
        unsafe { a.free_hard(Some(heap), now, given) };
    }
    assert!(moved > 2000, "{moved}");
    nothing_is_lost(&a);
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

/// How far from `at` on the system lets anybody go.
fn reach(a: &Allocator<Fake>, at: NonNull<u8>, end: usize) -> usize {
    let (os, first) = (a.arena.kernel.os(), at.addr().get());
    let mut page = first & !4095;
    while page < end && os.is_committed(page) {
        page += 4096;
    }
    page - first
}

#[test]
fn a_guard_stands_behind_the_slots_of_a_span_and_draws_back_for_them() {
    let a = open_hard(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    for size in [40, 700, 3000, 9000, 16_000] {
        let class = slot::class_for(size, 16).unwrap();
        let (len, mut made) = (class.span_slices() * SLICE, Vec::new());
        let mut steps = BTreeSet::new();
        for _ in 0..3 * class.capacity().max(4) {
            let at = alloc(&a, heap, size, 16).unwrap();
            let span = a.slot_at(at).unwrap().0;
            let base = NonNull::new(span.base()).unwrap();
            let (cut, end) = (usize::from(span.carved()) * class.size(), base.addr().get() + len);
            let open = reach(&a, base, end);
            assert!(open >= cut && open < 4096.max(2 * cut), "{open} for {cut} of {class:?}");
            assert!(open < len, "nothing stands behind the last slot of {class:?}");
            steps.insert(open);
            // The rest of the span is the guard's.
            let is_open = |o: &usize| a.arena.kernel.os().is_committed(base.addr().get() + o);
            assert_eq!((open..len).step_by(4096).find(is_open), None, "a hole in {class:?}'s");
            made.push(at);
        }
        assert!(size > 4000 || steps.len() >= 3, "{class:?} is open as far as {steps:?}");
        assert!(a.harden.guards.up() >= 3);
        made.into_iter().for_each(|at| free(&a, heap, at));
    }
    nothing_is_lost(&a);
}

#[test]
fn a_guard_stands_behind_a_large_object_however_long_it_becomes() {
    let a = open_hard(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    for size in [33 << 10, (64 << 10) - 1, 64 << 10, 100_000, 300_000, (1 << 20) - 1] {
        let at = alloc(&a, heap, size, 16).unwrap();
        let far = at.addr().get() + (2 << 20);
        assert_eq!(reach(&a, at, far), runs::canary_end(size), "{size}");
        for now in [size - 3000, size - 20_000, size - 3000, size, size + 40_000, size] {
            if a.resize_in_place(at, now, 16) {
                assert_eq!(a.usable(at.addr().get()), now);
                assert_eq!(reach(&a, at, far), runs::canary_end(now), "{size} to {now}");
                // SAFETY: the object holds `now` bytes.
                unsafe { at.write_bytes(0xFF, now) };
            }
        }
        free(&a, heap, at);
        assert_eq!(reach(&a, at, far), 0, "freed, and waiting");
    }
    nothing_is_lost(&a);
}

#[test]
fn slots_serve_where_the_system_refuses_to_move_a_guard() {
    let a = open_hard(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    // Spans that are cut to their ends, and one that is not.
    let made: Vec<_> = (0..290).map(|_| alloc(&a, heap, 1000, 16).unwrap()).collect();
    a.arena.kernel.os().fail(0, u64::MAX);
    // The older half: its spans have room again, besides one that cannot be cut further.
    made.iter().take(150).for_each(|at| free(&a, heap, *at));
    // Then fresh spans serve, without guards.
    let again = (0..300).map_while(|_| alloc(&a, heap, 1000, 16)).collect::<Vec<_>>();
    assert_eq!(again.len(), 300);
    a.arena.kernel.os().fail(0, 0);
    again.into_iter().chain(made.into_iter().skip(150)).for_each(|at| free(&a, heap, at));
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

/// A fork catches threads between any two instructions: here one slot is in its ring twice, and
/// another is not zeros yet.
#[test]
fn slots_of_a_thread_that_was_lost_in_a_fork_are_handed_out_once() {
    for drained in [false, true] {
        let a = open_hard(Fake::new(SPACE, 4096));
        let (mine, other) = (a.adopt().unwrap(), a.adopt().unwrap());
        let class = slot::class_for(100, 8).unwrap();
        let first = alloc(&a, other, 100, 8).unwrap();
        free(&a, other, first);
        // SAFETY: a slot, which is ours to write to: the test plays its last user.
        unsafe { first.write(1) };
        let locker = other.locker().unwrap();
        assert!(locker.held(class) > 2 && locker.enter());
        locker.tear(class);
        a.fork_prepare();
        a.fork_child(Some(mine));
        if drained {
            a.drain_orphans(u64::MAX, 0);
        }
        assert!(ptr::eq(a.adopt().unwrap(), other));
        let mut made: Vec<_> = (0..2000).map(|_| alloc(&a, other, 100, 8).unwrap()).collect();
        for at in &made {
            // SAFETY: a live object of 100 bytes.
            unsafe { at.write_bytes(7, 100) };
        }
        made.sort_unstable();
        assert!(made.windows(2).all(|two| two[0] != two[1]), "one slot, two objects");
        for at in made {
            free(&a, other, at);
        }
    }
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

#[test]
fn objects_of_a_thread_without_a_heap_are_guarded_where_the_rate_is_exact() {
    for (rate, exact, count) in [(1, true, 40), (4, true, 10), (4, false, 0)] {
        let a = open_at(Fake::new(SPACE, 4096), Level { hard: exact, guard_rate: rate, exact });
        let made: Vec<_> = (0..40).filter_map(|_| a.guard(None, 100, 16, Family::Rust)).collect();
        assert_eq!(made.len(), count, "one in {rate}, exactly: {exact}");
        let heap = a.adopt().unwrap();
        made.into_iter().for_each(|at| free(&a, heap, at));
        assert_eq!(a.guarded.bytes.get(), 0);
    }
}
