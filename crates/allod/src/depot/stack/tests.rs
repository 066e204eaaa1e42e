//! Order on one thread; under loom, that no node is lost or taken twice.
#![allow(unsafe_code)]

use super::*;

struct Table([AtomicU64; 4]);

impl Table {
    fn new() -> Self {
        Self([AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)])
    }
}

impl Links for Table {
    fn below(&self, node: u64) -> u64 {
        // ORDERING: Relaxed, as the spans' own field: the head's exchange orders it.
        self.0[node as usize].load(Ordering::Relaxed)
    }
    fn set_below(&self, node: u64, below: u64) {
        // ORDERING: Relaxed, as above.
        self.0[node as usize].store(below, Ordering::Relaxed);
    }
}

#[cfg(not(loom))]
#[test]
fn last_in_first_out() {
    let (stack, table) = (Stack::new(), Table::new());
    assert!(stack.is_empty() && stack.pop(&table).is_none());
    for node in 1..4 {
        stack.push(&table, node);
    }
    for node in (1..4).rev() {
        assert_eq!(stack.pop(&table), Some(node));
    }
    assert!(stack.is_empty());
}

#[cfg(loom)]
#[test]
fn loom_nodes_are_neither_lost_nor_taken_twice() {
    use loom::sync::Arc;
    loom::model(|| {
        let shared = Arc::new((Stack::new(), Table::new(), loom::cell::UnsafeCell::new([0u32; 4])));
        for node in 1..3 {
            shared.0.push(&shared.1, node);
        }
        // Each pops one node, uses it, pushes it back: the shape that makes a
        // stack without a tag lose nodes.
        let worker = |shared: Arc<(Stack, Table, loom::cell::UnsafeCell<[u32; 4]>)>| {
            move || {
                if let Some(node) = shared.0.pop(&shared.1) {
                    shared.0.push(&shared.1, node);
                }
            }
        };
        let other = loom::thread::spawn(worker(shared.clone()));
        worker(shared.clone())();
        other.join().unwrap();
        let mut seen = [0u32; 4];
        while let Some(node) = shared.0.pop(&shared.1) {
            seen[node as usize] += 1;
        }
        assert_eq!(seen, [0, 1, 1, 0]);
    });
}

#[cfg(loom)]
#[test]
fn loom_what_the_pusher_did_is_seen_by_the_popper() {
    use loom::sync::Arc;
    loom::model(|| {
        let shared = Arc::new((Stack::new(), Table::new(), loom::cell::UnsafeCell::new(0u32)));
        let pusher = {
            let shared = shared.clone();
            loom::thread::spawn(move || {
                shared.2.with_mut(|value| {
                    // SAFETY: nobody else touches the cell before the push.
                    unsafe {
                        *value = 7
                    }
                });
                shared.0.push(&shared.1, 1);
            })
        };
        let node = loop {
            if let Some(node) = shared.0.pop(&shared.1) {
                break node;
            }
            loom::thread::yield_now();
        };
        assert_eq!(node, 1);
        shared.2.with(|value| {
            // SAFETY: DS2, which is what this model tests.
            let value = unsafe { *value };
            assert_eq!(value, 7);
        });
        pusher.join().unwrap();
    });
}

#[cfg(loom)]
#[test]
fn loom_the_link_of_a_head_is_read_as_it_was_pushed() {
    use loom::sync::Arc;
    loom::model(|| {
        let shared = Arc::new((Stack::new(), Table::new()));
        let pusher = {
            let shared = shared.clone();
            loom::thread::spawn(move || {
                shared.0.push(&shared.1, 1);
                shared.0.push(&shared.1, 2);
            })
        };
        // Whoever sees node 2 and an old link of it takes node 1 with it unseen.
        let mut seen = [0u32; 4];
        for _ in 0..2 {
            if let Some(node) = shared.0.pop(&shared.1) {
                seen[node as usize] += 1;
            }
            loom::thread::yield_now();
        }
        pusher.join().unwrap();
        while let Some(node) = shared.0.pop(&shared.1) {
            seen[node as usize] += 1;
        }
        assert_eq!(seen, [0, 1, 1, 0]);
    });
}

#[cfg(loom)]
#[test]
fn loom_a_failed_pop_reads_the_next_link_as_it_was_pushed() {
    use loom::sync::Arc;
    loom::model(|| {
        let shared = Arc::new((Stack::new(), Table::new()));
        shared.0.push(&shared.1, 3);
        let pusher = {
            let shared = shared.clone();
            loom::thread::spawn(move || {
                shared.0.push(&shared.1, 1);
                shared.0.push(&shared.1, 2);
            })
        };
        let mut seen = [0u32; 4];
        if let Some(node) = shared.0.pop(&shared.1) {
            seen[node as usize] += 1;
        }
        pusher.join().unwrap();
        while let Some(node) = shared.0.pop(&shared.1) {
            seen[node as usize] += 1;
        }
        assert_eq!(seen, [0, 1, 1, 1]);
    });
}
