//! What the child of a fork finds of the threads that it lost.
//!
//! Theirs may have been caught between any two instructions that are not under a lock. The
//! tests leave a heap as such a thread would, and see that the child can use it.

use super::*;

#[test]
fn the_child_of_a_fork_finds_every_span_again() {
    let a = open(Fake::new(SPACE, 4096));
    let (mine, other) = (a.adopt().unwrap(), a.adopt().unwrap());
    let blocks: Vec<_> = (0..9000).map(|_| alloc(&a, other, 200, 8).unwrap()).collect();
    for at in blocks.iter().step_by(3) {
        free(&a, mine, *at);
    }
    // A thread of the parent had just taken a span out of the depot.
    let class = SizeClass::of_layout(200, 8).unwrap();
    // SAFETY: one thread.
    unsafe { mine.flush_ring(&a) };
    assert!(a.depot.take(&a.arena, class).is_some());
    a.fork_prepare();
    a.fork_child(Some(mine));
    assert_eq!(a.threads.get(), 1);
    for (i, at) in blocks.iter().enumerate() {
        if i % 3 != 0 {
            free(&a, mine, *at);
        }
    }
    let at = alloc(&a, mine, 200_000, 8).unwrap();
    free(&a, mine, at);
    nothing_is_lost(&a);
}

/// A fork catches threads between any two instructions: here one block is on its list, and
/// not in its number yet.
#[test]
fn a_heap_whose_thread_was_lost_in_a_fork_counts_its_lists_again() {
    for drained in [false, true] {
        let a = open(Fake::new(SPACE, 4096));
        let (mine, other) = (a.adopt().unwrap(), a.adopt().unwrap());
        let class = SizeClass::of_layout(200, 8).unwrap();
        let room = usize::from(class.room());
        for count in [5, room] {
            let blocks: Vec<_> = (0..room).map(|_| alloc(&a, other, 200, 8).unwrap()).collect();
            // One more than counted is one on the list, and none.
            for at in &blocks[..count - 1] {
                free(&a, other, *at);
            }
            let left = &other.front.room[class.index()];
            let before = left.get();
            // SAFETY: the block is `other`'s; where this is the last there is room for, its thread
            // never came to the flush.
            let _full = unsafe { other.front.push(blocks[count - 1].cast(), class.index()) };
            left.set(before);
            a.fork_prepare();
            a.fork_child(Some(mine));
            if drained {
                a.drain_orphans(u64::MAX, 0);
            }
            assert!(ptr::eq(a.adopt().unwrap(), other));
            let again: Vec<_> = (0..2 * room).map(|_| alloc(&a, other, 200, 8).unwrap()).collect();
            for at in again.iter().chain(&blocks[count..]) {
                free(&a, other, *at);
            }
        }
        nothing_is_lost(&a);
    }
}

/// A thread that drains orphans has taken one off its list, and has not come to an end.
#[test]
fn a_heap_that_was_being_drained_at_a_fork_is_found_again() {
    let a = open(Fake::new(SPACE, 4096));
    let (mine, other) = (a.adopt().unwrap(), a.adopt().unwrap());
    let at = alloc(&a, other, 200, 8).unwrap();
    // SAFETY: `other` is not used again but by who adopts it.
    unsafe { a.abandon(other) };
    let popped = a.pop_ripe_orphan(u64::MAX, 0).unwrap();
    assert!(ptr::eq(popped, other));
    // This thread drains it itself: it will go on where it was.
    a.fork_prepare();
    a.fork_child(Some(mine));
    assert!(!ptr::eq(a.adopt().unwrap(), other), "it is in the drainer's hands");
    // Another one did.
    other.idle_since.set(1);
    a.fork_prepare();
    a.fork_child(Some(mine));
    let found: Vec<_> = (0..2).filter_map(|_| a.adopt()).collect();
    assert!(found.iter().any(|heap| ptr::eq(*heap, other)), "it is an orphan in the child");
    free(&a, mine, at);
    nothing_is_lost(&a);
}

/// The number of threads is changed before a heap is found for one that starts, and before
/// one that ends has left its heap: a fork may come in between.
#[test]
fn the_child_of_a_fork_has_one_thread() {
    let a = open(Fake::new(SPACE, 4096));
    let (mine, _other) = (a.adopt().unwrap(), a.adopt().unwrap());
    for begun in [-1, 1] {
        a.threads.shift(begun);
        a.fork_prepare();
        a.fork_child(Some(mine));
        assert_eq!(a.threads.get(), 1);
        let _again = a.adopt().unwrap();
        assert_eq!(a.threads.get(), 2);
    }
    nothing_is_lost(&a);
}

/// A thread may end in a signal handler above whoever has the lock of the idle heaps.
#[test]
fn a_heap_that_could_not_be_listed_is_found_when_idle_heaps_are_visited() {
    let a = open(Fake::new(SPACE, 4096));
    let (_mine, other) = (a.adopt().unwrap(), a.adopt().unwrap());
    let guard = a.idle_lock.lock();
    // SAFETY: `other` is not used again but by who adopts it.
    unsafe { a.abandon(other) };
    drop(guard);
    a.arena.kernel.os().pass(1000);
    a.upkeep();
    assert!(ptr::eq(a.adopt().unwrap(), other));
    nothing_is_lost(&a);
}

#[test]
fn a_fork_takes_the_locks_in_their_order() {
    let a = open(Fake::new(SPACE, 4096));
    let ranks = || a.hard_locks().map(crate::sync::Lock::rank);
    assert!(ranks().is_sorted(), "{:?}", ranks().collect::<Vec<_>>());
    assert!(a.forking.rank() < a.adopt().unwrap().lock.rank());
    assert!(ranks().all(|rank| rank > a.adopt().unwrap().lock.rank()));
}

/// A handler above the arena's lock forks, and another thread keeps a heap and the list of
/// the idle ones. With `first` that thread is about to fork, too. The child frees what it has no holder for.
fn fork_above_a_holder(first: bool) {
    let a: &'static Allocator<Fake> = Box::leak(open(Fake::new(SPACE, 4096)));
    let (say, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mine, other) = (a.adopt().unwrap(), a.adopt().unwrap());
        let blocks = [mine, other].map(|heap| alloc(a, heap, 200, 8).unwrap());
        // It is gone before it gives them up, as after a fork.
        let kept = [&other.lock, &a.idle_lock, &a.forking];
        let count = if first { 3 } else { 2 };
        let keep = || kept.iter().take(count).for_each(|lock| core::mem::forget(lock.try_lock()));
        std::thread::scope(|threads| threads.spawn(keep).join().unwrap());
        let [_, arena] = a.arena.locks();
        let beneath = arena.lock();
        let before = crate::sync::held();
        a.fork_prepare();
        assert_eq!(mine.lock.is_mine(), !first, "without the first lock none is taken");
        a.fork_parent();
        assert!(arena.is_mine() && !mine.lock.is_mine());
        assert_eq!(crate::sync::held(), before);
        a.fork_prepare();
        a.fork_child(Some(mine));
        assert!(arena.is_mine());
        drop(beneath);
        assert_eq!(crate::sync::held(), 0);
        assert!(kept.iter().all(|lock| lock.try_lock().is_some()));
        assert!(a.adopt().is_some_and(|heap| ptr::eq(heap, other)), "it is an orphan in the child");
        blocks.into_iter().for_each(|at| free(a, mine, at));
        nothing_is_lost(a);
        say.send(()).unwrap();
    });
    let long = std::time::Duration::from_secs(60);
    heard.recv_timeout(long).expect("the fork waits without end, or has failed above");
}

#[test]
fn a_fork_in_a_handler_does_without_what_another_thread_keeps() {
    fork_above_a_holder(false);
}

#[test]
fn a_fork_in_a_handler_does_not_wait_for_another_fork() {
    fork_above_a_holder(true);
}
