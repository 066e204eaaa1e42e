//! Pools and slabs, beside the crates that have nothing else.
//!
//! `slab` has no generations, and `slotmap` has: the first is the floor, the
//! second does what ours does. A `typed-arena` frees nothing before its end, so
//! its row fills and drops.

use crate::meter::{Meter, Row};
use allod_kit::{FromGlobal, GrowingPool, Pool, PoolBox, PoolSlot, SharedSlab, Slab, TypedArena};
use std::alloc::System;
use std::hint::black_box;

/// Values in one run.
const VALUES: u32 = 1000;

/// As large as a small node.
type Value = [u64; 3];

pub(crate) fn rows() -> Vec<Row> {
    vec![
        Row::work(
            "pool/a box made and dropped",
            VALUES,
            &[("Pool", pool_pairs), ("Box", box_pairs)],
        ),
        Row::work(
            "pool/boxes made, then dropped",
            VALUES,
            &[("Pool", pool_batch), ("Box", box_batch)],
        ),
        Row::work(
            "pool/a new pool filled and dropped",
            VALUES,
            &[("GrowingPool", pool_fill), ("typed-arena", typed_arena_fill)],
        ),
        Row::work(
            "typed arena/values that need a drop: filled and dropped",
            VALUES,
            &[
                ("TypedArena", |meter| {
                    dropping(
                        meter,
                        || TypedArena::new(SYSTEM),
                        |arena, it| {
                            black_box(arena.alloc(it));
                        },
                    );
                }),
                ("typed-arena", |meter| {
                    dropping(meter, typed_arena::Arena::new, |arena, it| {
                        black_box(arena.alloc(it));
                    });
                }),
                ("blink-alloc", |meter| {
                    dropping(meter, blink_alloc::Blink::new, |arena, it| {
                        black_box(arena.put(it));
                    });
                }),
            ],
        ),
        Row::work(
            "slab/insert, then remove in another order",
            VALUES,
            &[("Slab", ours::fill), ("slab", slab_crate::fill), ("slotmap", slotmap_crate::fill)],
        ),
        Row::work(
            "slab/one goes, one comes",
            VALUES,
            &[
                ("Slab", ours::churn),
                ("slab", slab_crate::churn),
                ("slotmap", slotmap_crate::churn),
            ],
        ),
        Row::work(
            "slab/look up",
            VALUES,
            &[("Slab", ours::get), ("slab", slab_crate::get), ("slotmap", slotmap_crate::get)],
        ),
        Row::work(
            "slab/walk over all, a third of them gone",
            VALUES,
            &[("Slab", ours::walk), ("slab", slab_crate::walk), ("slotmap", slotmap_crate::walk)],
        ),
        Row::work(
            "slab/shared: insert, look up, remove",
            VALUES,
            &[("SharedSlab", shared_ours), ("sharded-slab", shared_sharded)],
        ),
    ]
}

/// An order that is not that of coming: a step that is prime to the number.
fn shuffled() -> impl Iterator<Item = usize> {
    (0..VALUES as usize).map(|i| i * 377 % VALUES as usize)
}

fn value(n: u32) -> Value {
    [u64::from(n); 3]
}

fn pool_pairs(meter: &mut Meter) {
    let mut slots = [const { PoolSlot::<Value>::new() }; 8];
    let pool = Pool::new(&mut slots);
    meter.measure(|| {
        for n in 0..VALUES {
            let _ = black_box(pool.try_alloc(black_box(value(n))));
        }
    });
}

fn box_pairs(meter: &mut Meter) {
    meter.measure(|| {
        for n in 0..VALUES {
            drop(black_box(Box::new(black_box(value(n)))));
        }
    });
}

fn pool_batch(meter: &mut Meter) {
    let mut slots: Vec<PoolSlot<Value>> = (0..VALUES).map(|_| PoolSlot::new()).collect();
    let pool = Pool::new(&mut slots);
    let mut boxes: Vec<PoolBox<'_, Value>> = Vec::with_capacity(VALUES as usize);
    meter.measure(|| {
        for n in 0..VALUES {
            boxes.extend(pool.try_alloc(black_box(value(n))).ok());
        }
        black_box(&mut boxes).clear();
    });
}

fn box_batch(meter: &mut Meter) {
    let mut boxes: Vec<Box<Value>> = Vec::with_capacity(VALUES as usize);
    meter.measure(|| {
        for n in 0..VALUES {
            boxes.extend(Some(Box::new(black_box(value(n)))));
        }
        black_box(&mut boxes).clear();
    });
}

/// A value that says so when it is dropped.
struct Dropped(Value);

impl Drop for Dropped {
    fn drop(&mut self) {
        black_box(self.0[0]);
    }
}

const SYSTEM: FromGlobal<System> = FromGlobal::new(System);

fn dropping<A>(meter: &mut Meter, new: impl Fn() -> A, put: impl Fn(&A, Dropped)) {
    meter.measure(|| {
        let arena = new();
        for i in 0..u64::from(VALUES) {
            put(&arena, Dropped(black_box([i; 3])));
        }
        drop(black_box(arena));
    });
}

fn pool_fill(meter: &mut Meter) {
    meter.measure(|| {
        let pool = GrowingPool::new(FromGlobal::new(System));
        for n in 0..VALUES {
            black_box(PoolBox::leak(pool.alloc(black_box(value(n)))));
        }
    });
}

fn typed_arena_fill(meter: &mut Meter) {
    meter.measure(|| {
        let arena = typed_arena::Arena::new();
        for n in 0..VALUES {
            black_box(arena.alloc(black_box(value(n))));
        }
    });
}

/// What each slab does, in the words of its own crate.
macro_rules! slabs {
    (
        $name:ident, $new:expr, |$slab:ident, $value:ident| $insert:expr, $remove:ident
    ) => {
        mod $name {
            use super::*;

            pub(super) fn fill(meter: &mut Meter) {
                let mut $slab = $new;
                let mut keys = Vec::with_capacity(VALUES as usize);
                meter.measure(|| {
                    keys.clear();
                    for n in 0..VALUES {
                        let $value = black_box(value(n));
                        keys.push($insert);
                    }
                    for i in shuffled() {
                        black_box($slab.$remove(black_box(keys[i])));
                    }
                });
            }

            pub(super) fn churn(meter: &mut Meter) {
                let mut $slab = $new;
                let mut keys = Vec::new();
                for n in 0..VALUES {
                    let $value = value(n);
                    keys.push($insert);
                }
                meter.measure(|| {
                    for i in shuffled() {
                        black_box($slab.$remove(black_box(keys[i])));
                        let $value = black_box(value(7));
                        keys[i] = $insert;
                    }
                });
            }

            pub(super) fn get(meter: &mut Meter) {
                let mut $slab = $new;
                let mut keys = Vec::new();
                for n in 0..VALUES {
                    let $value = value(n);
                    keys.push($insert);
                }
                meter.measure(|| {
                    let slab = black_box(&$slab);
                    let sum: u64 =
                        shuffled().filter_map(|i| slab.get(keys[i])).map(|value| value[1]).sum();
                    black_box(sum);
                });
            }

            pub(super) fn walk(meter: &mut Meter) {
                let mut $slab = $new;
                let mut keys = Vec::new();
                for n in 0..VALUES {
                    let $value = value(n);
                    keys.push($insert);
                }
                for key in keys.iter().step_by(3) {
                    $slab.$remove(*key);
                }
                meter.measure(|| {
                    let sum: u64 = black_box(&$slab).iter().map(|(_, value)| value[1]).sum();
                    black_box(sum);
                });
            }
        }
    };
}

slabs!(ours, Slab::growing(FromGlobal::new(System)), |slab, value| slab.insert(value), remove);
// Its `remove` panics where the others have `None`.
slabs!(slab_crate, slab::Slab::new(), |slab, value| slab.insert(value), try_remove);
slabs!(slotmap_crate, slotmap::SlotMap::new(), |slab, value| slab.insert(value), remove);

fn shared_ours(meter: &mut Meter) {
    let slab: Box<SharedSlab<Value, 32>> = Box::default();
    let mut keys = Vec::with_capacity(VALUES as usize);
    meter.measure(|| {
        keys.clear();
        for n in 0..VALUES {
            keys.extend(slab.try_insert(black_box(value(n))).ok());
        }
        for i in shuffled() {
            black_box(slab.get(keys[i]).map(|value| value[1]));
            slab.remove(keys[i]);
        }
    });
}

fn shared_sharded(meter: &mut Meter) {
    let slab: sharded_slab::Slab<Value> = sharded_slab::Slab::new();
    let mut keys = Vec::with_capacity(VALUES as usize);
    meter.measure(|| {
        keys.clear();
        for n in 0..VALUES {
            keys.extend(slab.insert(black_box(value(n))));
        }
        for i in shuffled() {
            black_box(slab.get(keys[i]).map(|value| value[1]));
            slab.remove(keys[i]);
        }
    });
}
