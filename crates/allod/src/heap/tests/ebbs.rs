//! Programs whose load falls: what they free goes back although they need little more.

use super::*;
use crate::heap::walk::length;

/// Ten megabytes of blocks are freed, and a program is left that needs a few of another class, which
/// are on its lists.
fn fallen(a: &Allocator<Fake>, heap: &Heap) {
    a.arena.kernel.os().pass(1000);
    let few: Vec<_> = (0..40).map(|_| alloc(a, heap, 200, 8).unwrap()).collect();
    let many: Vec<_> = (0..160_000).map(|_| alloc(a, heap, 64, 8).unwrap()).collect();
    assert!(few.into_iter().all(|at| !heap.is_on_watch() && free_one(a, heap, at)));
    assert!(many.into_iter().all(|at| free_one(a, heap, at)));
}

fn free_one(a: &Allocator<Fake>, heap: &Heap, at: NonNull<u8>) -> bool {
    free(a, heap, at);
    true
}

fn purged(a: &Allocator<Fake>) -> usize {
    a.arena.kernel.os().purged()
}

#[test]
fn one_call_in_two_seconds_gives_back_what_is_free() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    fallen(&a, heap);
    assert!(purged(&a) < 1 << 20, "not at once");
    a.arena.kernel.os().pass(2000);
    let at = alloc(&a, heap, 200, 8).unwrap();
    assert!(purged(&a) > 9 << 20, "{}", purged(&a));
    free(&a, heap, at);
    a.check();
}

#[test]
fn the_first_look_of_a_process_gives_nothing_back() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    a.arena.kernel.os().pass(10_000);
    let at = alloc(&a, heap, 900 << 10, 8).unwrap();
    free(&a, heap, at);
    assert_eq!((purged(&a), a.arena.spare.get() >> 10), (0, 928), "freed just now");
}

#[test]
fn calls_now_and_then_give_back_what_is_free() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    fallen(&a, heap);
    for _ in 0..6 {
        a.arena.kernel.os().pass(130);
        let at = alloc(&a, heap, 200, 8).unwrap();
        free(&a, heap, at);
    }
    assert!(purged(&a) > 9 << 20, "{}", purged(&a));
    assert!(!heap.is_on_watch(), "all has gone back");
    a.check();
}

#[test]
fn a_busy_thread_looks_no_more_often_than_it_should() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    fallen(&a, heap);
    assert!(heap.is_on_watch());
    let since = heap.watch_since.get();
    let busy = || {
        let blocks: Vec<_> = (0..500).map(|i| alloc(&a, heap, 16 * (1 + i % 60), 8).unwrap()).collect();
        blocks.into_iter().for_each(|at| free(&a, heap, at));
        (heap.watch.get(), heap.watch_since.get())
    };
    assert_eq!(busy(), (0, since), "a watch has fewer looks than that");
    a.arena.kernel.os().pass(40);
    assert_eq!(busy(), (0, since), "it is too soon for another");
    a.arena.kernel.os().pass(20);
    // The first slow path to look at the clock by itself begins it.
    assert!((0..10).any(|_| busy().1 != since));
    a.check();
}

/// Blocks on all lists of the heap. What is kept aside is counted right.
fn at_hand(heap: &Heap) -> usize {
    // SAFETY: the heap is this thread's.
    let count = |list: &Cell<*mut Block>| unsafe { length(list.get(), usize::MAX) };
    let of_class = |c: usize| {
        assert_eq!(count(&heap.rest[c]), usize::from(heap.rest_count[c].get()), "class {c}");
        count(&heap.front.alloc[c]) + count(&heap.front.free[c]) + count(&heap.rest[c])
    };
    (1..CLASSES).map(of_class).sum()
}

#[test]
fn a_watch_loses_no_block_and_counts_each_once() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    a.arena.kernel.os().pass(1000);
    let many: Vec<_> = (0..160_000).map(|_| alloc(&a, heap, 64, 8).unwrap()).collect();
    let few: Vec<_> = (0..43).map(|_| alloc(&a, heap, 500, 8).unwrap()).collect();
    many.into_iter().for_each(|at| free(&a, heap, at));
    assert!(heap.is_on_watch());
    let c = SizeClass::of_layout(500, 8).unwrap().index();
    assert!(!heap.rest[c].get().is_null(), "the other blocks of the last span that was carved");
    let out = || {
        let mut out = 0;
        a.each_span(&mut |_, of_span| out += of_span);
        out
    };
    assert_eq!(out(), few.len() + at_hand(heap));
    let mut model = Model::default();
    let mut dice = Dice(66);
    for _ in 0..2000 {
        let size = 1 + dice.roll(2000);
        model.enter(alloc(&a, heap, size, 8).unwrap(), size, 8);
    }
    assert_eq!(out(), few.len() + model.live.len() + at_hand(heap));
    a.check();
}
