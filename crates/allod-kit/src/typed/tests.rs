//! Every value is dropped once, whatever happened while it was made.

use super::TypedArena;
use crate::witness::Witness;
use crate::{Bump, Fail, FromGlobal, Full, Global};
use std::alloc::System;
use std::boxed::Box;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::string::String;
use std::vec::Vec;

#[test]
fn values_stay_where_they_are_and_are_dropped_once() {
    let alive = Cell::new(0);
    let arena = TypedArena::new(Global);
    let values: Vec<_> = (0..1000).map(|i| arena.alloc(Witness::new(i, &alive))).collect();
    assert!(values.iter().map(|it| it.value).eq(0..1000));
    assert_eq!((arena.len(), alive.get()), (1000, 1000));
    drop(arena);
    assert_eq!(alive.get(), 0);
}

#[test]
fn every_value_is_seen_once() {
    for count in [0, 1, 10, 100, 1000] {
        let alive = Cell::new(0);
        let mut arena = TypedArena::new(Global);
        for value in 0..count {
            arena.alloc(Witness::new(value, &alive));
        }
        assert!(arena.iter_mut().map(|it| it.value).eq(0..count));
        arena.iter_mut().for_each(|it| it.value += 1);
        // One more, where there is room still.
        arena.alloc(Witness::new(count + 1, &alive));
        let mut all = arena.into_iter();
        assert!(all.by_ref().take(count as usize / 2).map(|it| it.value).eq(1..=count / 2));
        assert_eq!(alive.get(), count as isize + 1 - count as isize / 2);
        drop(all);
        assert_eq!(alive.get(), 0);
    }
}

#[test]
fn slices_lie_together_even_if_their_function_uses_the_arena() {
    let alive = Cell::new(0);
    let mut arena = TypedArena::new(Global);
    for len in [0_u32, 1, 3, 20, 500] {
        let slice = arena
            .try_alloc_slice_with(len as usize, |i| {
                let other = arena.alloc(Witness::new(7, &alive));
                Witness::new(other.value + i as u32, &alive)
            })
            .expect("there is memory");
        assert!(slice.iter().map(|it| it.value).eq(7..7 + len));
    }
    assert_eq!((arena.len(), alive.get()), (2 * 524, 2 * 524));
    assert_eq!(arena.iter_mut().count(), 2 * 524);
    drop(arena);
    assert_eq!(alive.get(), 0);
}

#[test]
fn a_function_that_panics_leaves_what_it_has_made() {
    for panics_at in 0..4 {
        let alive = Cell::new(0);
        let arena = TypedArena::new(Global);
        arena.alloc(Witness::new(0, &alive));
        let end = catch_unwind(AssertUnwindSafe(|| {
            let made = arena.try_alloc_slice_with(4, |i| {
                if i == panics_at {
                    // Not `panic!`, which prints.
                    resume_unwind(Box::new(()));
                }
                Witness::new(1, &alive)
            });
            made.is_ok()
        }));
        assert!(end.is_err());
        assert_eq!((arena.len(), alive.get()), (1 + panics_at, 1 + panics_at as isize));
        arena.alloc(Witness::new(2, &alive));
        drop(arena);
        assert_eq!(alive.get(), 0);
    }
}

#[test]
fn values_without_a_size_are_counted_and_dropped() {
    std::thread_local!(static ALIVE: Cell<isize> = const { Cell::new(0) });
    struct Unit;
    impl Unit {
        fn new() -> Self {
            ALIVE.set(ALIVE.get() + 1);
            Unit
        }
    }
    impl Drop for Unit {
        fn drop(&mut self) {
            ALIVE.set(ALIVE.get() - 1);
        }
    }
    let fill = || {
        let arena = TypedArena::new(FromGlobal::new(System));
        for _ in 0..10 {
            arena.alloc(Unit::new());
        }
        let slice = arena.try_alloc_slice_with(5, |_| {
            arena.alloc(Unit::new());
            Unit::new()
        });
        assert_eq!(slice.map(|it| it.len()), Ok(5));
        assert_eq!((arena.len(), ALIVE.get()), (20, 20));
        arena
    };
    drop(fill());
    assert_eq!(ALIVE.get(), 0);
    assert_eq!(fill().into_iter().take(3).count(), 3);
    assert_eq!(ALIVE.get(), 0);
    assert_eq!(fill().iter_mut().count(), 20);
}

#[test]
fn places_are_aligned() {
    #[repr(align(128))]
    struct Wide(u8);
    let arena = TypedArena::new(Global);
    for number in 0..50 {
        let wide = arena.alloc(Wide(number));
        assert!(core::ptr::from_mut(wide).addr().is_multiple_of(128));
        assert_eq!(wide.0, number);
    }
    // And those that are less aligned than a chunk's head, and of odd sizes.
    let arena = TypedArena::new(Global);
    let odd: Vec<_> = (0..500).map(|i| arena.alloc([i as u8; 3])).collect();
    assert!(odd.iter().enumerate().all(|(i, it)| **it == [i as u8; 3]));
}

#[test]
fn chunks_double_and_all_come_back() {
    let base = crate::Count::local(FromGlobal::new(System));
    let arena = TypedArena::new(&base);
    for number in 0..100_000_u64 {
        arena.alloc(number);
    }
    let blocks = base.counts().blocks;
    assert!((8..=12).contains(&blocks), "{blocks} chunks");
    drop(arena);
    assert_eq!(base.counts().blocks, 0);
    // Also when a drop panics.
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            resume_unwind(Box::new(()));
        }
    }
    let arena = TypedArena::new(&base);
    let words = (String::from("dropped"), Panics);
    arena.alloc(words);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(arena))).is_err());
    assert_eq!(base.counts().blocks, 0);
}

#[test]
fn without_memory_the_value_comes_back_at_every_step() {
    let base = Fail::local(FromGlobal::new(System));
    for k in 1..=4 {
        base.never();
        base.from(k);
        let alive = Cell::new(0);
        let arena = TypedArena::new(&base);
        let mut made = 0;
        let refused = loop {
            match arena.try_alloc(Witness::new(made, &alive)) {
                Ok(_) => made += 1,
                Err(Full(value)) => break value,
            }
        };
        assert_eq!(refused.value, made);
        assert_eq!(arena.len(), made as usize);
        assert!(arena.try_alloc_slice_with(usize::MAX / 64, |_| unreachable!()).is_err());
        assert!(arena.try_alloc_slice_with(1, |_| unreachable!("full")).is_err());
        drop((refused, arena));
        assert_eq!(alive.get(), 0);
    }
}

#[test]
fn an_arena_is_sent_with_its_values() {
    let arena = TypedArena::new(Global);
    arena.alloc(String::from("sent"));
    let read = std::thread::spawn(move || arena.into_iter().collect::<Vec<_>>());
    assert_eq!(read.join().expect("it does not panic"), ["sent"]);
    // On another arena, too.
    let outer = Bump::new();
    let inner = TypedArena::new(&outer);
    assert_eq!(*inner.alloc(7), 7);
}
