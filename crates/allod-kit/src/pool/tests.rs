//! Both pools against a vector of what ought to be in them.

use super::*;
use crate::stack::Stack;
use crate::witness::Witness;
use core::mem::MaybeUninit;
use proptest::prelude::*;
use std::vec::Vec;

#[derive(Clone, Debug)]
enum Op {
    Alloc(u32),
    Make(u32),
    Drop(usize),
    Take(usize),
    Forget(usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => any::<u32>().prop_map(Op::Alloc),
        1 => any::<u32>().prop_map(Op::Make),
        3 => any::<usize>().prop_map(Op::Drop),
        1 => any::<usize>().prop_map(Op::Take),
        1 => any::<usize>().prop_map(Op::Forget),
    ];
    proptest::collection::vec(op, 0..200)
}

/// Runs a program on either pool. Says how many slots were lost on purpose.
macro_rules! run {
    ($pool:expr, $ops:expr, $alive:expr) => {{
        let (mut live, mut lost): (Vec<(PoolBox<'_, Witness<'_>>, u32)>, isize) = (Vec::new(), 0);
        for op in $ops {
            match op {
                Op::Alloc(n) => match $pool.try_alloc(Witness::new(n, $alive)) {
                    Ok(value) => live.push((value, n)),
                    Err(Full(value)) => assert_eq!(value.value, n),
                },
                Op::Make(n) => {
                    if let Ok(value) = $pool.try_alloc_with(|| Witness::new(n, $alive)) {
                        live.push((value, n));
                    }
                }
                Op::Drop(i) | Op::Take(i) | Op::Forget(i) if !live.is_empty() => {
                    let (value, n) = live.swap_remove(i % live.len());
                    assert_eq!(value.value, n);
                    match op {
                        Op::Drop(_) => drop(value),
                        Op::Take(_) => assert_eq!(PoolBox::into_inner(value).value, n),
                        _ => {
                            assert_eq!(PoolBox::leak(value).value, n);
                            lost += 1;
                        }
                    }
                }
                _ => {}
            }
            assert!(live.iter().all(|(value, n)| value.value == *n));
            assert_eq!($alive.get(), live.len() as isize + lost);
        }
        (live.len(), lost)
    }};
}

proptest! {
    #[test]
    fn a_pool_is_a_bag(ops in ops()) {
        let alive = Cell::new(0);
        let mut slots = [const { PoolSlot::new() }; 20];
        let pool = Pool::new(&mut slots);
        let (_, lost) = run!(pool, ops, &alive);
        assert_eq!(pool.vacant() as isize, 20 - lost);
        assert_eq!(alive.get(), lost, "all others are dropped");
    }

    #[test]
    fn a_growing_pool_is_a_bag(ops in ops(), memory in 0..20_000usize) {
        let alive = Cell::new(0);
        let mut memory = std::vec![MaybeUninit::uninit(); memory];
        let Some(stack) = Stack::new(&mut memory) else { return Ok(()) };
        let before = stack.used();
        {
            let pool = GrowingPool::new(&stack);
            let (_, lost) = run!(pool, ops, &alive);
            assert_eq!(pool.vacant() as isize, pool.capacity() as isize - lost);
            assert_eq!(alive.get(), lost);
        }
        assert_eq!(stack.used(), before, "chunks go back");
    }
}

#[test]
fn a_slot_that_came_back_goes_out_next() {
    let mut slots = [const { PoolSlot::new() }; 3];
    let pool = Pool::new(&mut slots);
    let (a, b) = (pool.alloc(1u64), pool.alloc(2));
    let place = core::ptr::from_ref(&*a);
    drop(a);
    let c = pool.alloc(3);
    assert_eq!(core::ptr::from_ref(&*c), place);
    assert_eq!((*b, *c, pool.vacant()), (2, 3, 1));
}

#[test]
fn unwinding_gives_the_slot_back() {
    struct Loud;
    impl Drop for Loud {
        fn drop(&mut self) {
            panic!("loud");
        }
    }
    let mut slots = [const { PoolSlot::new() }; 1];
    let pool = Pool::new(&mut slots);
    let quiet = std::panic::AssertUnwindSafe(|| drop(pool.try_alloc_with(|| panic!("no value"))));
    assert!(std::panic::catch_unwind(quiet).is_err());
    assert_eq!(pool.vacant(), 1, "nothing was made");
    let loud = std::panic::AssertUnwindSafe(|| drop(pool.try_alloc(Loud)));
    assert!(std::panic::catch_unwind(loud).is_err());
    assert_eq!(pool.vacant(), 1, "it was dropped after all");
}

#[test]
fn values_without_bytes_and_with_large_alignments_have_slots() {
    #[repr(align(64))]
    struct Line(u8);
    let mut slots = [const { PoolSlot::new() }; 2];
    let pool = Pool::new(&mut slots);
    let (a, b) = (pool.alloc(()), pool.alloc(()));
    assert!(pool.try_alloc(()).is_err());
    assert_ne!(core::ptr::from_ref(&*a), core::ptr::from_ref(&*b));
    let mut slots = [const { PoolSlot::new() }; 2];
    let pool = Pool::new(&mut slots);
    let (a, b) = (pool.alloc(Line(1)), pool.alloc(Line(2)));
    assert!(core::ptr::from_ref(&*a).addr().is_multiple_of(64));
    assert_eq!((a.0, b.0), (1, 2));
}

#[test]
#[should_panic(expected = "there is no room")]
fn a_full_pool_says_so() {
    drop(Pool::new(&mut []).alloc(1));
}
