//! Runs against a search slice by slice; and two threads over one chunk.
#![allow(unsafe_code)]

use super::*;

fn slow_find(bits: u64, count: u32, align: u32) -> Option<u32> {
    (0..64).filter(|first| first % align == 0).find(|first| {
        first + count <= 64 && (*first..first + count).all(|i| bits >> i & 1 == 1)
    })
}

#[cfg(not(loom))]
#[test]
fn runs_are_found_where_a_slow_search_finds_them() {
    let mut bits = 0x9E37_79B9_7F4A_7C15u64;
    for round in 0..20_000 {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round);
        // Dense words, so that long runs exist.
        let word = bits | bits.rotate_left(7) | if round % 3 == 0 { bits.rotate_left(21) } else { 0 };
        for count in [1, 2, 3, 4, 5, 8, 13, 32, 64] {
            for align in [1, 2, 4, 8, 64] {
                let found = find_run(word, count, align).map(Run::first);
                assert_eq!(found, slow_find(word, count, align), "{word:#x} {count} {align}");
            }
        }
    }
    assert_eq!(find_run(!0, 64, 64), Some(Run::new(0, 64)));
}

#[cfg(not(loom))]
#[test]
fn dirty_slices_are_taken_first() {
    let bits = SliceBits::none();
    bits.give(Run::new(0, 64));
    let far = Run::new(40, 2);
    assert!(bits.take_exactly(far));
    bits.soil(far);
    bits.give(far);
    assert_eq!(bits.take(1, 1, Taste::Any), Some(Run::new(40, 1)));
    assert_eq!(bits.take(1, 1, Taste::Dirty), Some(Run::new(41, 1)));
    assert_eq!(bits.take(1, 1, Taste::Dirty), None);
    assert_eq!(bits.take(1, 1, Taste::Any), Some(Run::new(0, 1)));
}

#[cfg(not(loom))]
#[test]
fn what_a_run_says_of_itself_and_its_slices() {
    let run = Run::new(5, 7);
    assert_eq!((run.first(), run.count()), (5, 7));
    let bits = SliceBits::none();
    assert_eq!(bits.give(Run::new(0, 4)), 0b1111, "free as they are then");
    assert_eq!(bits.give(run), 0b1111 | run.0);
    bits.soil(Run::new(2, 5));
    assert_eq!(bits.free_dirty(), 0b110_1100, "free ones alone");
    assert_eq!((bits.dirty_of(run), bits.dirty_of(Run::new(0, 4))), (2, 2));
    bits.clean(run);
    assert_eq!((bits.dirty_of(run), bits.free_dirty()), (0, 0b1100), "no other's");
}

#[cfg(loom)]
#[test]
fn loom_a_slice_has_one_holder_and_its_writes_reach_the_next() {
    use loom::sync::Arc;
    loom::model(|| {
        let bits = Arc::new(SliceBits::none());
        let cell = Arc::new(loom::cell::UnsafeCell::new(0u32));
        bits.give(Run::new(3, 1));
        let worker = |bits: Arc<SliceBits>, cell: Arc<loom::cell::UnsafeCell<u32>>| {
            move || {
                let run = loop {
                    if let Some(run) = bits.take(1, 1, Taste::Any) {
                        break run;
                    }
                    loom::thread::yield_now();
                };
                // Loom fails here when two hold the slice, or when the last
                // holder's write is not ordered before ours.
                cell.with_mut(|value| {
                    // SAFETY: B1, which is what this model tests.
                    unsafe {
                        *value += 1
                    }
                });
                bits.soil(run);
                bits.give(run);
            }
        };
        let other = loom::thread::spawn(worker(bits.clone(), cell.clone()));
        worker(bits.clone(), cell)();
        other.join().unwrap();
        assert_eq!(bits.free_dirty().count_ones(), 1);
    });
}
