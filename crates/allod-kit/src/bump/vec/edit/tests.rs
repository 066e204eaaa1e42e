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
