//! In order and each once, also when the counters wrap; under loom, that what
//! goes from one side to the other goes whole.

use super::*;

#[cfg(not(loom))]
#[test]
fn it_is_a_queue_when_counters_wrap() {
    // As if it had been in use until just before the end of the numbers.
    let start = usize::MAX - 5;
    let mut queue: MpmcQueue<usize, 4> = MpmcQueue::new();
    (queue.head, queue.tail) = (AtomicUsize::new(start), AtomicUsize::new(start));
    for turn in start..=usize::MAX {
        queue.seats[turn % 4].turn = AtomicUsize::new(turn);
        if turn - start == 3 {
            break;
        }
    }
    let (mut put, mut taken) = (0, 0);
    for step in 0..100 {
        for _ in 0..=step % 5 {
            match queue.try_push(put) {
                Ok(()) => put += 1,
                Err(Full(back)) => assert!(back == put && put - taken == 4),
            }
            assert_eq!(queue.len(), put - taken);
        }
        for _ in 0..=(step / 2) % 5 {
            match queue.pop() {
                Some(item) => {
                    assert_eq!(item, taken);
                    taken += 1;
                }
                None => assert!(put == taken && queue.is_empty()),
            }
        }
    }
    assert!(taken > 20);
}

#[cfg(not(loom))]
#[test]
fn it_drops_what_is_in_it() {
    let item = std::sync::Arc::new(());
    let queue: MpmcQueue<_, 2> = MpmcQueue::new();
    queue.try_push(item.clone()).unwrap();
    queue.try_push(item.clone()).unwrap();
    assert!(queue.try_push(item.clone()).is_err());
    drop(queue);
    assert_eq!(std::sync::Arc::strong_count(&item), 1);
}

#[cfg(not(loom))]
#[test]
fn threads_share_it() {
    use std::vec::Vec;
    let each = if cfg!(miri) { 30 } else { 2000 };
    let queue: MpmcQueue<u32, 4> = MpmcQueue::new();
    let mut all = std::thread::scope(|scope| {
        for thread in 0..2 {
            let queue = &queue;
            scope.spawn(move || {
                for n in 0..each {
                    while queue.try_push(thread * each + n).is_err() {
                        std::thread::yield_now();
                    }
                }
            });
        }
        let take = || {
            let mut taken = Vec::new();
            while taken.len() < each as usize {
                match queue.pop() {
                    Some(item) => taken.push(item),
                    None => std::thread::yield_now(),
                }
            }
            // What one thread put in comes out in its order.
            for thread in 0..2 {
                let own = taken.iter().filter(|item| **item / each == thread);
                assert!(own.is_sorted());
            }
            taken
        };
        let other = scope.spawn(take);
        let mut taken = take();
        taken.extend(other.join().unwrap());
        taken
    });
    all.sort_unstable();
    assert!(all.into_iter().eq(0..2 * each));
}

/// A queue of two that loom's threads share, with `items` in it.
#[cfg(loom)]
fn queue(items: &[u32]) -> loom::sync::Arc<MpmcQueue<u32, 2>> {
    let queue = MpmcQueue::new();
    items.iter().for_each(|item| queue.try_push(*item).unwrap());
    loom::sync::Arc::new(queue)
}

// Each model has the two threads and the one meeting that its orderings are
// about: loom's time grows with the power of everything else.

#[cfg(loom)]
#[test]
fn loom_an_element_comes_out_as_it_was_put_in() {
    loom::model(|| {
        let queue = queue(&[]);
        let there = queue.clone();
        let there = loom::thread::spawn(move || there.try_push(1).is_ok());
        // None is an answer: the other may not have been here yet.
        let early = queue.pop();
        assert!(there.join().unwrap());
        assert_eq!(early.or_else(|| queue.pop()), Some(1));
    });
}

#[cfg(loom)]
#[test]
fn loom_a_place_is_read_before_it_is_filled_again() {
    loom::model(|| {
        let queue = queue(&[1, 2]);
        let there = queue.clone();
        let there = loom::thread::spawn(move || there.pop());
        let put = queue.try_push(3).is_ok();
        assert_eq!(there.join().unwrap(), Some(1));
        assert_eq!(queue.pop(), Some(2));
        assert_eq!(queue.pop(), put.then_some(3));
    });
}

#[cfg(loom)]
#[test]
fn loom_two_that_take_have_an_element_each() {
    loom::model(|| {
        let queue = queue(&[1, 2]);
        let there = queue.clone();
        let there = loom::thread::spawn(move || there.pop());
        let mut taken = [queue.pop(), there.join().unwrap()];
        taken.sort_unstable();
        assert_eq!(taken, [Some(1), Some(2)]);
    });
}

#[cfg(loom)]
#[test]
fn loom_two_that_put_have_a_place_each() {
    loom::model(|| {
        let queue = queue(&[]);
        let there = queue.clone();
        let there = loom::thread::spawn(move || there.try_push(1).is_ok());
        assert!(queue.try_push(2).is_ok() && there.join().unwrap());
        let mut taken = [queue.pop(), queue.pop()];
        taken.sort_unstable();
        assert_eq!(taken, [Some(1), Some(2)]);
    });
}
