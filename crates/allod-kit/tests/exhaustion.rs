//! What takes memory from another, when that refuses: the first request, the second,
//! and so on, alone and with all that follow, until no request is left to refuse.
//! Nothing is lost, nothing is torn, and it goes on when there is memory again.

use allod_kit::slab::Slab;
use allod_kit::{Allocator, Bump, Count, Fail, FromGlobal, Full, GrowingPool, TypedArena, bump};
use std::alloc::System;
use std::cell::Cell;
use std::rc::Rc;

type Failing = Fail<FromGlobal<System>, Cell<usize>>;
type Base = Count<Failing, Cell<usize>>;

/// Runs work with each of its requests refused in turn. All memory is back after it.
fn at_every_step(work: impl Fn(&Base)) {
    for all_that_follow in [false, true] {
        for k in 1.. {
            let base = Base::local(Fail::local(FromGlobal::new(System)));
            if all_that_follow {
                base.inner().from(k);
            } else {
                base.inner().at(k);
            }
            work(&base);
            assert_eq!(base.counts().blocks, 0, "all came back, with request {k} refused");
            if base.inner().refusals() == 0 {
                assert!(k > 2, "there is something to refuse");
                break;
            }
        }
    }
}

/// Values that are counted, and who counts them.
struct Values(Rc<()>);

impl Values {
    fn new() -> Self {
        Self(Rc::new(()))
    }

    fn make(&self, number: usize) -> (Rc<()>, usize) {
        (self.0.clone(), number)
    }

    fn live(&self) -> usize {
        Rc::strong_count(&self.0) - 1
    }
}

#[test]
fn an_arena_and_its_scopes() {
    at_every_step(|base| {
        let mut arena = Bump::new_in(base);
        for round in 0..2 {
            let mut numbers = Vec::new();
            for number in 0..40_usize {
                if let Ok(kept) = arena.try_alloc([number; 9]) {
                    numbers.push((&*kept, number));
                }
                let scope = arena.scope();
                let inner = scope.scope();
                let text = inner.try_alloc_fmt(format_args!("{number} of {round}"));
                assert!(text.is_err() || text.is_ok_and(|it| it.starts_with(&number.to_string())));
                let large = scope.try_alloc_slice_fill(number * 50, number);
                assert!(large.is_err() || large.is_ok_and(|it| it.iter().all(|it| *it == number)));
            }
            assert!(numbers.iter().all(|(kept, number)| **kept == [*number; 9]));
            arena.reset();
        }
    });
}

#[test]
fn a_vector_beside_another_in_an_arena() {
    at_every_step(|base| {
        let values = Values::new();
        let arena = Bump::new_in(base);
        let (mut one, mut two) = (bump::Vec::new_in(&arena), bump::Vec::new_in(base));
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for number in 0..200 {
            if one.try_push(values.make(number)).is_ok() {
                first.push(number);
            }
            if two.try_insert(second.len() / 2, values.make(number)).is_ok() {
                second.insert(second.len() / 2, number);
            }
            if number % 50 == 49 {
                let come = || (0..5).map(|it| values.make(it));
                let part = first.len().min(3)..first.len().min(9);
                if one.try_splice(part.clone(), come()).is_ok() {
                    first.splice(part, 0..5);
                }
                if let Ok(back) = two.try_split_off(second.len() / 2) {
                    let rest = second.split_off(second.len() / 2);
                    assert!(back.iter().map(|it| it.1).eq(rest));
                }
            }
        }
        assert!(one.iter().map(|it| it.1).eq(first.iter().copied()));
        assert!(two.iter().map(|it| it.1).eq(second.iter().copied()));
        assert_eq!(values.live(), first.len() + second.len());
        drop((one, two));
        assert_eq!(values.live(), 0);
    });
}

#[test]
fn a_string() {
    at_every_step(|base| {
        let mut text = bump::String::new_in(base);
        let mut model = String::new();
        for number in 0..60 {
            if text.try_push('水').is_ok() {
                model.push('水');
            }
            if text.try_insert_str(model.len() / 3 / 3 * 3, "abc").is_ok() {
                model.insert_str(model.len() / 3 / 3 * 3, "abc");
            }
            if number % 7 == 0 && text.try_replace_range(..model.len().min(3), "aß").is_ok() {
                model.replace_range(..model.len().min(3), "aß");
                text.retain(|it| it != 'a' && it != 'ß');
                model.retain(|it| it != 'a' && it != 'ß');
            }
            // So that there are places every three bytes again.
            text.retain(|it| it == '水');
            model.retain(|it| it == '水');
            assert_eq!(text, model);
        }
    });
}

#[test]
fn a_growing_pool() {
    at_every_step(|base| {
        let values = Values::new();
        let pool = GrowingPool::new(base);
        let mut boxes = Vec::new();
        for number in 0..300 {
            match pool.try_alloc(values.make(number)) {
                Ok(boxed) => boxes.push((boxed, number)),
                Err(Full(value)) => assert_eq!(value.1, number, "it comes back"),
            }
            if number % 3 == 0 {
                boxes.pop();
            }
        }
        assert!(boxes.iter().all(|(boxed, number)| boxed.1 == *number));
        assert_eq!(values.live(), boxes.len());
    });
}

#[test]
fn a_growing_slab() {
    at_every_step(|base| {
        let values = Values::new();
        let mut slab = Slab::growing(base);
        let mut keys = Vec::new();
        for number in 0..300 {
            match slab.try_insert(values.make(number)) {
                Ok(key) => keys.push((key, number)),
                Err(Full(value)) => assert_eq!(value.1, number, "it comes back"),
            }
            if number % 3 == 0 {
                let gone = keys.pop().and_then(|(key, _)| slab.remove(key));
                assert!(keys.len() < 300 && gone.is_none_or(|it| it.1 <= number));
            }
        }
        assert!(keys.iter().all(|(key, number)| slab[*key].1 == *number));
        assert_eq!((values.live(), slab.len()), (keys.len(), keys.len()));
        drop(slab);
        assert_eq!(values.live(), 0);
    });
}

#[test]
fn a_typed_arena() {
    at_every_step(|base| {
        let values = Values::new();
        let arena = TypedArena::new(base);
        let mut kept = 0;
        for number in 0..300 {
            match arena.try_alloc(values.make(number)) {
                Ok(value) => kept += usize::from(value.1 == number),
                Err(Full(value)) => assert_eq!(value.1, number, "it comes back"),
            }
            if number % 50 == 0 {
                let made = arena.try_alloc_slice_with(number, |i| values.make(i));
                kept += made.map_or(0, |it| it.len());
            }
        }
        assert_eq!((values.live(), arena.len()), (kept, kept));
        drop(arena);
        assert_eq!(values.live(), 0);
    });
}

#[test]
fn an_arena_over_an_arena_over_a_limit() {
    at_every_step(|base| {
        let outer = Bump::new_in(base);
        let inner = Bump::new_in(&outer);
        let mut lists = Vec::new();
        for number in 0..40_usize {
            let list = bump::Vec::try_from_iter_in(0..number * 7, &inner);
            lists.extend(list.ok().map(|it| (it, number * 7)));
        }
        assert!(lists.iter().all(|(list, len)| list.iter().copied().eq(0..*len)));
        // The handle of either is an allocator still.
        let layout = std::alloc::Layout::new::<u64>();
        let block = (&inner).allocate(layout);
        assert!(block.is_err() || block.is_ok_and(|it| it.len() >= 8));
    });
}
