//! Locks in order and against it. Who waits in the wrong order stands for a signal handler.

use super::{Lock, Rank, held, this_thread};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// What a thread has to say, long before a test is given up; or that it hangs.
fn hear<T>(from: &Receiver<T>) -> T {
    from.recv_timeout(Duration::from_secs(60)).expect("a thread waits without end")
}

/// Two threads of which each has one of two locks and wants the other's, as handlers do
/// that come above holders. The threads are left alone where they hang: a test that
/// joined them would hang as well.
fn cross(outer: Rank, inner: Rank) -> [bool; 2] {
    let locks: &'static [Lock; 2] = std::boxed::Box::leak([Lock::new(outer), Lock::new(inner)].into());
    let (say, heard) = channel();
    let (mut starts, mut ready) = (std::vec::Vec::new(), std::vec::Vec::new());
    for me in [0, 1] {
        let (say, (start, started), (have, had)) = (say.clone(), channel::<()>(), channel::<()>());
        starts.push(start);
        ready.push(had);
        thread::spawn(move || {
            let mine = locks[me].lock();
            have.send(()).unwrap();
            started.recv().unwrap();
            let other = locks[1 - me].lock();
            let got = other.is_some();
            drop(other);
            drop(mine);
            say.send((me, got, held::get())).unwrap();
        });
    }
    ready.iter().for_each(hear);
    starts.iter().for_each(|start| start.send(()).unwrap());
    let mut got = [false; 2];
    for _ in 0..2 {
        let (who, has, left) = hear(&heard);
        assert_eq!(left, 0, "a thread that has given up its locks has none");
        got[who] = has;
    }
    got
}

#[test]
fn who_waits_against_the_order_gives_up_and_the_other_gets_the_lock() {
    assert_eq!(cross(Rank::Shelf, Rank::Guarded), [true, false]);
    assert_eq!(cross(Rank::Heap, Rank::Arena), [true, false]);
}

/// Of two heaps neither comes first. One of the two threads may get what it wants, when the other
/// has given up.
#[test]
fn who_has_a_lock_does_not_wait_for_another_of_its_rank() {
    assert_ne!(cross(Rank::Heap, Rank::Heap), [true, true]);
}

/// A holder that only takes a while is waited for, from above locks that come before.
#[test]
fn a_lock_in_order_is_waited_for_however_long_it_takes() {
    let (outer, inner) = (Lock::new(Rank::Huge), Lock::new(Rank::Meta));
    thread::scope(|threads| {
        let (say, heard) = channel();
        let guard = inner.lock();
        let (outer, inner) = (&outer, &inner);
        threads.spawn(move || {
            let first = outer.lock();
            assert!(first.is_some());
            say.send(this_thread()).unwrap();
            assert!(inner.lock().is_some());
        });
        let waiter = hear(&heard);
        // As many tries as one that does not wait for ever makes, and more.
        for _ in 0..4 * super::SOON {
            thread::yield_now();
        }
        // ORDERING: Relaxed, a look.
        assert_ne!(inner.holder.load(super::Ordering::Relaxed), waiter);
        drop(guard);
    });
}

#[test]
fn a_thread_knows_which_ranks_it_has() {
    let (heap, twin, idle) = (Lock::new(Rank::Heap), Lock::new(Rank::Heap), Lock::new(Rank::Idle));
    let (a, b) = (Rank::Heap.bit(), Rank::Idle.bit());
    let has = |ranks| assert_eq!(held::get(), ranks);
    has(0);
    let first = heap.lock();
    has(a);
    assert!(heap.lock().is_none(), "it is this thread's");
    assert!(heap.try_lock().is_none());
    assert!(heap.lock_soon().is_none());
    has(a);
    let inner = idle.lock();
    has(a | b);
    // A handler gets what is free, and leaves the word as it was.
    let second = twin.lock();
    assert!(second.is_some());
    drop(second);
    has(a | b);
    drop(first);
    has(b);
    drop(inner);
    has(0);
    let others = thread::scope(|threads| {
        let _guard = heap.lock();
        threads.spawn(held::get).join().unwrap()
    });
    assert_eq!(others, 0, "the word is the thread's own");
}

#[test]
fn what_fork_did_not_get_it_does_not_give_up() {
    let (outer, inner) = (Lock::new(Rank::Shelf), Lock::new(Rank::Guarded));
    let before = super::held();
    let beneath = inner.lock();
    thread::scope(|threads| {
        let (say, heard) = channel();
        let (go, gone) = channel::<()>();
        let outer = &outer;
        threads.spawn(move || {
            let guard = outer.lock();
            say.send(()).unwrap();
            let _end = gone.recv_timeout(Duration::from_secs(60));
            assert!(outer.is_mine(), "another thread gave it up");
            drop(guard);
        });
        hear(&heard);
        // A handler above the inner lock's holder forks.
        assert!(!outer.hold());
        assert!(inner.hold());
        outer.unhold();
        inner.unhold();
        assert!(inner.is_mine(), "whom the handler interrupts has it still");
        drop(go);
    });
    assert!(outer.hold());
    outer.unhold();
    assert!(!outer.is_mine());
    drop(beneath);
    super::put_back(before);
    assert_eq!(held::get(), 0);
}
