//! In order and each once; under loom, that no place has two owners.

use super::*;

#[cfg(not(loom))]
#[test]
fn it_is_a_queue_whatever_its_length() {
    fn run<const N: usize>() {
        let drops = core::cell::Cell::new(0);
        struct Item<'c>(usize, &'c core::cell::Cell<usize>);
        impl Drop for Item<'_> {
            fn drop(&mut self) {
                self.1.set(self.1.get() + 1);
            }
        }
        let mut queue: SpscQueue<Item<'_>, N> = SpscQueue::new();
        let (mut producer, mut consumer) = queue.split();
        let (mut put, mut taken) = (0, 0);
        // Often enough for the counters to go round.
        for step in 0..20 * N {
            for _ in 0..=step % (N + 1) {
                match producer.try_push(Item(put, &drops)) {
                    Ok(()) => put += 1,
                    Err(Full(back)) => assert!(back.0 == put && put - taken == N),
                }
                assert_eq!((producer.len(), consumer.len()), (put - taken, put - taken));
            }
            for _ in 0..=(step / 2) % (N + 1) {
                assert_eq!(consumer.peek().map(|item| item.0), (taken < put).then_some(taken));
                match consumer.pop() {
                    Some(item) => {
                        assert_eq!(item.0, taken);
                        taken += 1;
                    }
                    None => assert!(put == taken && consumer.is_empty() && producer.is_empty()),
                }
            }
        }
        while producer.try_push(Item(put, &drops)).is_ok() {}
        drops.set(0);
        drop(queue);
        assert_eq!(drops.get(), N);
    }
    run::<1>();
    run::<2>();
    run::<3>();
    run::<8>();
}

#[cfg(not(loom))]
#[test]
fn two_threads_share_it() {
    let mut queue: SpscQueue<u32, 3> = SpscQueue::new();
    let (mut producer, mut consumer) = queue.split();
    let end = if cfg!(miri) { 50 } else { 5000 };
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..end {
                while producer.try_push(n).is_err() {
                    std::thread::yield_now();
                }
            }
        });
        for n in 0..end {
            let item = loop {
                match consumer.pop() {
                    Some(item) => break item,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(item, n);
        }
    });
}

#[cfg(loom)]
#[test]
fn loom_a_place_of_a_queue_for_two_has_one_owner() {
    loom::model(|| {
        // Leaked, since loom's threads do not borrow.
        let queue: &'static SpscQueue<u32, 1> =
            std::boxed::Box::leak(std::boxed::Box::new(SpscQueue::new()));
        let mut producer = Producer { queue };
        let mut consumer = Consumer { queue, shows: PhantomData };
        let there = loom::thread::spawn(move || {
            // The second may find the place free, or not.
            let first = producer.try_push(1).is_ok();
            (first, producer.try_push(2).is_ok())
        });
        let mut seen = std::vec::Vec::new();
        seen.extend(consumer.pop());
        seen.extend(consumer.pop());
        let put = there.join().unwrap();
        seen.extend(consumer.pop());
        assert!(put.0);
        assert_eq!(seen, if put.1 { &[1, 2][..] } else { &[1] });
    });
}
