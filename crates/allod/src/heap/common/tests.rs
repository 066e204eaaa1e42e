//! Threads without a heap over a system of our own.
#![allow(unsafe_code)]

use super::*;
use crate::heap::adopt::FEW;
use crate::map::Map;
use crate::os::fake::Fake;
use std::boxed::Box;
use std::vec::Vec;

const SPACE: usize = if cfg!(target_pointer_width = "64") { 1 << 30 } else { 256 << 20 };

fn open() -> Box<Allocator<Fake>> {
    let a = Box::new(Allocator::new(Fake::new(SPACE, 4096), Map::new()));
    let arena = crate::arena::Policy { dense_from: usize::MAX, purge_delay: 500 };
    let keep = crate::huge::Policy {
        cache_limit: 0,
        keep: 500,
        dense_from: usize::MAX,
        guards: true,
        quarantine: false,
    };
    assert!(a.open(arena, keep, crate::config::Level::DEFAULT));
    a
}

#[test]
fn threads_that_have_no_heap_share_spans_and_no_cache_line() {
    let a = open();
    let mut blocks = Vec::new();
    for i in 0..1000usize {
        // SAFETY: the caller needs no heap.
        let fresh = unsafe { a.allocate(None, 1 + i % 200, 8) }.unwrap();
        let start = fresh.at.addr().get();
        assert!(start.is_multiple_of(64));
        assert!(a.usable(start).is_multiple_of(64));
        a.check_size(start, 1 + i % 200, 8);
        blocks.push(fresh.at);
    }
    assert_eq!(a.heaps().count(), 1);
    // A thousand blocks of 131 bytes on average, rounded up.
    assert!(a.arena.active.get() <= 192 << 10, "{} bytes", a.arena.active.get());
    // What grows within its lines stays where it is.
    assert!(a.resize_in_place(blocks[0], 60, 8) && !a.resize_in_place(blocks[0], 65, 8));
    for at in blocks {
        // SAFETY: allocated above, and not used again.
        unsafe { a.release(None, at) };
    }
    assert_eq!(a.live.get(), 0);
}

#[test]
fn there_are_as_many_common_heaps_as_are_wanted_at_once() {
    let a = open();
    let class = SizeClass::of_size(100);
    assert!(!a.common_block(class, 1).is_null() && !a.common_block(class, 1).is_null());
    assert_eq!(a.heaps().count(), 1);
    // As a handler above the holders of one lock after the other.
    let mut guards = Vec::new();
    for n in 1..=COMMONS {
        guards.push(a.common(n - 1).unwrap().lock.lock().unwrap());
        assert_eq!(a.common_block(class, 1).is_null(), n == COMMONS, "{n}");
        assert_eq!(a.heaps().count(), COMMONS.min(n + 1));
    }
}

#[test]
fn a_thread_takes_a_heap_at_once_where_threads_are_few_or_one_has_just_ended() {
    let a = open();
    let heaps: Vec<_> = (0..FEW).map(|_| a.adopt_at_once().unwrap()).collect();
    assert!(a.adopt_at_once().is_none());
    let grown = a.adopt().unwrap();
    // SAFETY: the heap's thread, this one, does not use it again.
    unsafe { a.abandon(grown) };
    assert!(ptr::eq(a.adopt_at_once().unwrap(), grown), "it is warm");
    // SAFETY: as above.
    unsafe { a.abandon(grown) };
    a.arena.kernel.os().pass(1000);
    a.upkeep();
    assert!(a.adopt_at_once().is_none(), "there is nothing in a drained heap");
    assert!(ptr::eq(a.adopt().unwrap(), grown), "its record serves again");
    drop(heaps);
}

/// A thousand threads that start together once got a hundred heaps, each as large as
/// what the common heaps are there to save.
#[test]
fn threads_that_start_at_one_moment_do_not_all_find_that_they_are_few() {
    const THREADS: usize = 4 * FEW;
    for _ in 0..if cfg!(miri) { 1 } else { 20 } {
        let a = open();
        let start = std::sync::Barrier::new(THREADS);
        let heaps: usize = std::thread::scope(|scope| {
            let life = || {
                start.wait();
                usize::from(a.adopt_at_once().is_some())
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(life)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((heaps, a.threads.get(), a.threads.peak()), (FEW, FEW, FEW));
        assert_eq!(a.heaps().count(), FEW);
    }
}
