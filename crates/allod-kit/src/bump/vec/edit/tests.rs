//! Beside the standard library's vector, for every range of a short one.

use super::Vec;
use crate::Bump;
use std::rc::Rc;
use std::vec::Vec as List;

#[test]
fn every_range_is_drained_in_order() {
    for (start, end, taken) in (0..=5usize).flat_map(|end| {
        (0..=end).flat_map(move |start| (0..=end - start).map(move |taken| (start, end, taken)))
    }) {
        let arena = Bump::new();
        let mut vec = Vec::new_in(&arena);
        let mut model: List<Rc<usize>> = (0..5).map(Rc::new).collect();
        vec.extend(model.iter().cloned());
        let mut drain = vec.drain(start..end);
        assert_eq!(drain.len(), end - start);
        assert!(drain.by_ref().take(taken).eq(model.drain(start..end).take(taken)));
        drop(drain);
        assert_eq!(vec.as_ref(), model.as_slice());
        // The others are gone.
        assert!(model.iter().all(|it| Rc::strong_count(it) == 2));
    }
}

#[test]
fn equals_in_a_row_go() {
    // All lists of six digits of base three.
    for number in 0..729u32 {
        let digits = |at| number / 3u32.pow(at) % 3;
        let arena = Bump::new();
        let mut vec = Vec::new_in(&arena);
        vec.extend((0..6).map(digits));
        let mut model: List<u32> = (0..6).map(digits).collect();
        model.dedup();
        vec.dedup();
        assert_eq!(vec.as_ref(), model.as_slice());
        model.dedup_by_key(|it| *it / 2);
        vec.dedup_by_key(|it| *it / 2);
        assert_eq!(vec.as_ref(), model.as_slice());
    }
}

/// Every range of five values, and up to three that come.
fn pieces() -> impl Iterator<Item = (usize, usize, usize)> {
    (0..=5usize).flat_map(|end| {
        (0..=end).flat_map(move |start| (0..=3).map(move |come| (start, end, come)))
    })
}

#[test]
fn every_range_is_replaced_by_any_number() {
    for (start, end, come) in pieces() {
        let arena = Bump::new();
        let mut model: List<Rc<usize>> = (0..5).map(Rc::new).collect();
        let all: List<Rc<usize>> =
            model.iter().cloned().chain((10..).map(Rc::new).take(come)).collect();
        let others = || all[5..].iter().cloned();
        let mut vec = Vec::from_iter_in(model.iter().cloned(), &arena);
        let gone = vec.splice(start..end, others());
        assert!(gone.eq(model.splice(start..end, others())));
        assert_eq!(vec.as_ref(), model.as_slice());
        drop((vec, model));
        assert!(all.iter().all(|it| Rc::strong_count(it) == 1));
    }
}

#[test]
fn a_splice_without_memory_changes_nothing() {
    let mut bytes = [const { core::mem::MaybeUninit::uninit() }; 6];
    let arena = Bump::on(&mut bytes);
    let mut vec = Vec::try_with_capacity_in(4, &arena).expect("there is room for four");
    assert_eq!(vec.try_extend_from_slice(&[1_u8, 2, 3]), Ok(()));
    assert!(arena.try_alloc(0_u8).is_ok(), "so that it cannot grow where it is");
    // An iterator that does not say how many come, so that one is in already.
    let values = (7..12).filter(|it| it % 2 == 1);
    assert!(vec.try_splice(0..1, values).is_err());
    assert_eq!(vec, [1, 2, 3]);
    assert!(vec.try_append(&mut Vec::from_iter_in([4, 5], &Bump::new())).is_err());
    assert!(vec.try_split_off(0).is_err());
    assert!(vec.try_resize(6, 0).is_err());
    assert!(vec.try_clone().is_err());
    assert_eq!(vec, [1, 2, 3]);
}

#[test]
fn what_is_wanted_is_taken_from_every_range() {
    for (start, end, taken) in pieces() {
        for wanted in 0..1_usize << 5 {
            let arena = Bump::new();
            let mut model: List<Rc<usize>> = (0..5).map(Rc::new).collect();
            let all = model.clone();
            let mut vec = Vec::from_iter_in(model.iter().cloned(), &arena);
            let is_wanted = |it: &mut Rc<usize>| wanted >> **it & 1 == 1;
            let ours = vec.extract_if(start..end, is_wanted).take(taken);
            assert!(ours.eq(model.extract_if(start..end, is_wanted).take(taken)));
            assert_eq!(vec.as_ref(), model.as_slice());
            drop(model);
            let live: usize = all.iter().map(|it| Rc::strong_count(it) - 1).sum();
            assert_eq!(live, vec.len());
        }
    }
}

#[test]
fn a_function_that_panics_takes_nothing_more() {
    let arena = Bump::new();
    let values: List<Rc<usize>> = (0..5).map(Rc::new).collect();
    let mut vec = Vec::from_iter_in(values.iter().cloned(), &arena);
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        vec.extract_if(.., |it| {
            if **it == 3 {
                // Not `panic!`, which prints.
                std::panic::resume_unwind(std::boxed::Box::new(()));
            }
            **it % 2 == 1
        })
        .count()
    }));
    assert!(panics.is_err());
    assert!(vec.iter().map(|it| **it).eq([0, 2, 3, 4]));
    assert!(values.iter().map(Rc::strong_count).eq([2, 1, 2, 2, 2]));
}

#[test]
fn vectors_are_joined_and_cut_in_two() {
    for at in 0..=5 {
        let arena = Bump::new();
        let values: List<Rc<usize>> = (0..5).map(Rc::new).collect();
        let mut front = Vec::from_iter_in(values.iter().cloned(), &arena);
        let mut back = front.split_off(at);
        assert_eq!((front.as_ref(), back.as_ref()), values.split_at(at));
        assert_eq!(front.pop_if(|it| **it == 0).is_some(), at == 1);
        back.append(&mut front);
        assert_eq!((front.len(), back.len()), (0, if at == 1 { 4 } else { 5 }));
        back.sort();
        assert_eq!(back.as_ref(), &values[usize::from(at == 1)..]);
        drop((front, back));
        assert!(values.iter().all(|it| Rc::strong_count(it) == 1));
    }
}

#[test]
fn a_vector_is_filled_as_the_standard_one() {
    let arena = Bump::new();
    let mut vec = Vec::from_iter_in(0..3, &arena);
    let mut model: List<i32> = (0..3).collect();
    for (start, end) in [(0, 3), (1, 2), (2, 2), (0, 6)] {
        vec.extend_from_within(start..end);
        model.extend_from_within(start..end);
    }
    vec.extend_from_slice_clone(&[7, 8]);
    vec.extend(&[9]);
    model.extend([7, 8, 9]);
    for len in [20, 25, 2, 0, 3] {
        let (mut ours, mut theirs) = (7, 7);
        vec.resize(len, 5);
        model.resize(len, 5);
        assert_eq!(vec.as_ref(), model.as_slice());
        vec.resize_with(len + 2, || {
            ours += 1;
            ours
        });
        model.resize_with(len + 2, || {
            theirs += 1;
            theirs
        });
        assert_eq!(vec.as_ref(), model.as_slice());
        vec.resize_with(len, || unreachable!("it gets shorter"));
        model.truncate(len);
        assert_eq!(vec.as_ref(), model.as_slice());
    }
    let copy = vec.clone();
    assert!(copy == vec && copy.cmp(&vec).is_eq());
    vec.push(1);
    assert!(copy < vec);
    let mut left = vec.into_iter();
    assert_eq!(left.next(), Some(model[0]));
    assert_eq!(left.as_slice().len(), copy.len());
    // Values without a size have room for any number.
    let mut units = Vec::from_iter_in([(); 3], &arena);
    units.resize(1000, ());
    assert_eq!(units.split_off(10).len(), 990);
    assert_eq!(units.extract_if(.., |()| true).count(), 10);
}
