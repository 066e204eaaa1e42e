//! Containers of a fixed capacity, beside `heapless`, whose ground this is.
//!
//! Its hash map has a power of two as capacity, so both have 1024 here. The
//! full one is where a table without slack gets slow.

use crate::meter::{Meter, Row};
use allod_kit::fixed;
use std::fmt::Write;
use std::hint::black_box;

/// Elements in one run.
const ELEMENTS: u32 = 1000;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        Row::work(
            "fixed/vector: push, then pop",
            ELEMENTS,
            &[("fixed::Vec", vec_ours), ("heapless", vec_heapless)],
        ),
        Row::work(
            "fixed/vector: a slice of 16 added",
            ELEMENTS / 20,
            &[("fixed::Vec", slice_ours), ("heapless", slice_heapless)],
        ),
        Row::work(
            "fixed/string: a number written",
            ELEMENTS / 10,
            &[("fixed::String", string_ours), ("heapless", string_heapless)],
        ),
        Row::work(
            "fixed/ring: push back, pop front, 100 in it",
            ELEMENTS,
            &[("fixed::Ring", ring_ours), ("heapless", ring_heapless)],
        ),
        Row::work(
            "fixed/ring: walk",
            ELEMENTS,
            &[("fixed::Ring", ring_walk_ours), ("heapless", ring_walk_heapless)],
        ),
        Row::work(
            "fixed/linear map: look up, 8 pairs",
            ELEMENTS,
            &[("fixed::LinearMap", linear_ours), ("heapless", linear_heapless)],
        ),
        Row::work(
            "fixed/hash map: insert 768 of 1024, then remove",
            768,
            &[("fixed::HashMap", ours::fill), ("heapless", heapless_map::fill)],
        ),
        Row::work(
            "fixed/hash map: look up, 768 of 1024",
            768,
            &[("fixed::HashMap", ours::hits), ("heapless", heapless_map::hits)],
        ),
        Row::work(
            "fixed/hash map: look up in vain, 768 of 1024",
            768,
            &[("fixed::HashMap", ours::misses), ("heapless", heapless_map::misses)],
        ),
        Row::work(
            "fixed/hash map: look up, full",
            1024,
            &[("fixed::HashMap", ours::full), ("heapless", heapless_map::full)],
        ),
    ]
}

fn vec_ours(meter: &mut Meter) {
    let mut vec: Box<fixed::Vec<u64, 1024>> = Box::default();
    meter.measure(|| {
        for n in 0..ELEMENTS {
            let _ = vec.try_push(black_box(u64::from(n)));
        }
        while let Some(n) = vec.pop() {
            black_box(n);
        }
    });
}

fn vec_heapless(meter: &mut Meter) {
    let mut vec: Box<heapless::Vec<u64, 1024>> = Box::default();
    meter.measure(|| {
        for n in 0..ELEMENTS {
            let _ = vec.push(black_box(u64::from(n)));
        }
        while let Some(n) = vec.pop() {
            black_box(n);
        }
    });
}

fn slice_ours(meter: &mut Meter) {
    let mut vec: Box<fixed::Vec<u64, 1024>> = Box::default();
    meter.measure(|| {
        vec.clear();
        for n in 0..ELEMENTS / 20 {
            let _ = vec.try_extend_from_slice(&black_box([u64::from(n); 16]));
        }
        black_box(&vec);
    });
}

fn slice_heapless(meter: &mut Meter) {
    let mut vec: Box<heapless::Vec<u64, 1024>> = Box::default();
    meter.measure(|| {
        vec.clear();
        for n in 0..ELEMENTS / 20 {
            let _ = vec.extend_from_slice(&black_box([u64::from(n); 16]));
        }
        black_box(&vec);
    });
}

fn string_ours(meter: &mut Meter) {
    let mut line: fixed::String<1024> = fixed::String::new();
    meter.measure(|| {
        line.clear();
        for n in 0..ELEMENTS / 10 {
            let _ = write!(line, "{} ", black_box(n));
        }
        black_box(&line);
    });
}

fn string_heapless(meter: &mut Meter) {
    let mut line: heapless::String<1024> = heapless::String::new();
    meter.measure(|| {
        line.clear();
        for n in 0..ELEMENTS / 10 {
            let _ = write!(line, "{} ", black_box(n));
        }
        black_box(&line);
    });
}

fn ring_ours(meter: &mut Meter) {
    let mut ring: fixed::Ring<u64, 128> = fixed::Ring::new();
    let _ = ring.try_extend(0..100);
    meter.measure(|| {
        for n in 0..ELEMENTS {
            black_box(ring.pop_front());
            let _ = ring.try_push_back(black_box(u64::from(n)));
        }
    });
}

fn ring_heapless(meter: &mut Meter) {
    let mut ring: heapless::Deque<u64, 128> = heapless::Deque::new();
    ring.extend(0..100);
    meter.measure(|| {
        for n in 0..ELEMENTS {
            black_box(ring.pop_front());
            let _ = ring.push_back(black_box(u64::from(n)));
        }
    });
}

fn ring_walk_ours(meter: &mut Meter) {
    let mut ring: Box<fixed::Ring<u64, 1024>> = Box::default();
    let _ = ring.try_extend(0..500);
    let _ = ring.drain_front().count();
    let _ = ring.try_extend(0..u64::from(ELEMENTS));
    meter.measure(|| {
        black_box(black_box(&ring).iter().sum::<u64>());
    });
}

fn ring_walk_heapless(meter: &mut Meter) {
    let mut ring: Box<heapless::Deque<u64, 1024>> = Box::default();
    ring.extend(0..500);
    while ring.pop_front().is_some() {}
    ring.extend(0..u64::from(ELEMENTS));
    meter.measure(|| {
        black_box(black_box(&ring).iter().sum::<u64>());
    });
}

fn linear_ours(meter: &mut Meter) {
    let mut map: fixed::LinearMap<u32, u64, 8> = fixed::LinearMap::new();
    for n in 0..8 {
        let _ = map.try_insert(n * 3, u64::from(n));
    }
    meter.measure(|| {
        for n in 0..ELEMENTS {
            black_box(map.get(&black_box(n % 24)));
        }
    });
}

fn linear_heapless(meter: &mut Meter) {
    let mut map: heapless::LinearMap<u32, u64, 8> = heapless::LinearMap::new();
    for n in 0..8 {
        let _ = map.insert(n * 3, u64::from(n));
    }
    meter.measure(|| {
        for n in 0..ELEMENTS {
            black_box(map.get(&black_box(n % 24)));
        }
    });
}

/// A key that is no neighbour of the one before.
fn key(n: u32) -> u32 {
    n.wrapping_mul(2_654_435_761)
}

/// What each hash map does, in the words of its own crate.
macro_rules! maps {
    ($name:ident, $map:ty, $insert:ident) => {
        mod $name {
            use super::*;

            fn with(count: u32) -> Box<$map> {
                let mut map: Box<$map> = Box::default();
                for n in 0..count {
                    let _ = map.$insert(key(n), u64::from(n));
                }
                map
            }

            pub(super) fn fill(meter: &mut Meter) {
                let mut map = with(0);
                meter.measure(|| {
                    for n in 0..768 {
                        let _ = black_box(map.$insert(black_box(key(n)), u64::from(n)));
                    }
                    for n in 0..768 {
                        black_box(map.remove(&black_box(key(n))));
                    }
                });
            }

            fn look(meter: &mut Meter, map: &$map, from: u32, count: u32) {
                meter.measure(|| {
                    let map = black_box(map);
                    for n in from..from + count {
                        black_box(map.get(&black_box(key(n))));
                    }
                });
            }

            pub(super) fn hits(meter: &mut Meter) {
                look(meter, &with(768), 0, 768);
            }

            pub(super) fn misses(meter: &mut Meter) {
                look(meter, &with(768), 5000, 768);
            }

            pub(super) fn full(meter: &mut Meter) {
                look(meter, &with(1024), 0, 1024);
            }
        }
    };
}

maps!(ours, fixed::HashMap<u32, u64, 1024>, try_insert);
maps!(heapless_map, heapless::index_map::FnvIndexMap<u32, u64, 1024>, insert);
