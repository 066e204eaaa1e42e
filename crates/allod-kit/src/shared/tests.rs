//! Pool and slab from many threads at once, with values that count themselves.

use super::bits::PLACES;
use super::*;
use crate::full::Full;
use core::sync::atomic::{AtomicIsize, Ordering};
use std::thread;
use std::vec::Vec;

/// Counts those alive, from any thread, and says whether its bytes are whole.
struct Whole<'a> {
    bytes: [u32; 16],
    alive: &'a AtomicIsize,
}

impl<'a> Whole<'a> {
    fn new(n: u32, alive: &'a AtomicIsize) -> Self {
        // ORDERING: Relaxed, a figure that is read when all threads are joined.
        alive.fetch_add(1, Ordering::Relaxed);
        Self { bytes: [n; 16], alive }
    }

    fn number(&self) -> u32 {
        assert!(self.bytes.iter().all(|byte| *byte == self.bytes[0]), "torn");
        self.bytes[0]
    }
}

impl Drop for Whole<'_> {
    fn drop(&mut self) {
        self.number();
        self.bytes = [u32::MAX; 16];
        // ORDERING: Relaxed, as in `new`.
        let before = self.alive.fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "dropped twice");
    }
}

#[test]
fn a_pool_gives_each_slot_to_one() {
    let alive = AtomicIsize::new(0);
    let pool: SharedPool<Whole<'_>, 2> = SharedPool::new();
    let slots = 2 * PLACES;
    let mut all: Vec<_> =
        (0..slots as u32).map(|n| pool.try_alloc(Whole::new(n, &alive)).ok().unwrap()).collect();
    assert!(pool.try_alloc(Whole::new(0, &alive)).is_err());
    assert_eq!((pool.len(), pool.capacity()), (slots, slots));
    assert!(all.iter().enumerate().all(|(n, value)| value.number() == n as u32));
    assert_eq!(SharedBox::into_inner(all.swap_remove(40)).number(), 40);
    all.push(pool.alloc(Whole::new(7, &alive)));
    drop(all);
    assert_eq!((pool.len(), alive.into_inner()), (0, 0));
}

#[test]
fn threads_take_and_give_back_each_others_slots() {
    let alive = AtomicIsize::new(0);
    let pool: SharedPool<Whole<'_>, 1> = SharedPool::new();
    let (send, receive) = std::sync::mpsc::channel::<SharedBox<'_, Whole<'_>, 1>>();
    thread::scope(|scope| {
        for n in 0..3 {
            let (pool, alive, send) = (&pool, &alive, send.clone());
            scope.spawn(move || {
                for i in 0..2000u32 {
                    if let Ok(value) = pool.try_alloc(Whole::new(i << 2 | n, alive)) {
                        assert_eq!(value.number(), i << 2 | n);
                        if i % 2 == 0 {
                            send.send(value).unwrap();
                        }
                    } else {
                        thread::yield_now();
                    }
                }
            });
        }
        drop(send);
        for value in receive {
            value.number();
        }
    });
    assert_eq!((pool.len(), alive.into_inner()), (0, 0));
}

#[test]
fn slots_of_values_without_bytes_are_told_apart() {
    let pool: SharedPool<(), 1> = SharedPool::new();
    let all: Vec<_> = (0..32).map(|_| pool.alloc(())).collect();
    assert!(pool.try_alloc(()).is_err());
    drop(all);
    assert!(pool.is_empty());
}

#[test]
fn a_slab_of_one_thread_is_a_slab() {
    let alive = AtomicIsize::new(0);
    let slab: SharedSlab<Whole<'_>, 1> = SharedSlab::new();
    let keys: Vec<_> = (0..32).map(|n| slab.insert(Whole::new(n, &alive))).collect();
    assert!(
        matches!(slab.try_insert(Whole::new(9, &alive)), Err(Full(back)) if back.number() == 9)
    );
    assert!(
        slab.iter().map(|(key, value)| (key, value.number())).eq(keys.iter().copied().zip(0..))
    );
    let looks = slab.get(keys[3]).unwrap();
    assert_eq!(SharedRef::key(&looks), keys[3]);
    assert!(slab.take(keys[3]).is_none(), "somebody looks");
    assert!(slab.remove(keys[3]) && !slab.remove(keys[3]) && !slab.contains(keys[3]));
    assert!(slab.get(keys[3]).is_none());
    assert_eq!((looks.number(), slab.len()), (3, 32));
    drop(looks);
    assert_eq!(slab.len(), 31);
    let new = slab.insert(Whole::new(99, &alive));
    assert_eq!((new.index(), new == keys[3]), (3, false));
    assert!(slab.get(keys[3]).is_none(), "an old key");
    assert_eq!(slab.take(new).unwrap().number(), 99);
    core::mem::forget(slab.get(keys[5]));
    assert!(slab.remove(keys[5]));
    drop(slab);
    assert_eq!(alive.into_inner(), 0, "also what was removed under a forgotten look");
}

#[test]
fn threads_look_while_others_remove() {
    let alive = AtomicIsize::new(0);
    let slab: SharedSlab<Whole<'_>, 1> = SharedSlab::new();
    thread::scope(|scope| {
        for n in 0..3u32 {
            let (slab, alive) = (&slab, &alive);
            scope.spawn(move || {
                for i in 0..1500 {
                    if let Ok(key) = slab.try_insert(Whole::new(i << 2 | n, alive)) {
                        assert_eq!(slab.get(key).unwrap().number(), i << 2 | n);
                        let others: u32 = slab.iter().map(|(_, value)| value.number() & 1).sum();
                        assert!(others <= 32);
                        if i % 3 == 0 {
                            drop(slab.take(key));
                        }
                        slab.remove(key);
                        assert!(slab.get(key).is_none());
                    }
                }
            });
        }
    });
    assert!(slab.is_empty());
    drop(slab);
    assert_eq!(alive.into_inner(), 0);
}
