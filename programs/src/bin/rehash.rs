//! Hash maps of many sizes grow from nothing, and each growth is a new table and
//! the end of the old one. The argument is the number of rounds.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use allod_programs::{amount, finish};
use fastrand::Rng;

/// A map whose order is the same in every run.
type Map<V> = HashMap<u64, V, BuildHasherDefault<DefaultHasher>>;

fn main() {
    let mut random = Rng::with_seed(0x9E4A);
    let mut sum = 0u64;
    let mut large: Map<u64> = Map::default();
    for round in 0..amount() as u64 {
        // Many small ones, as a parser or a compiler has.
        let mut small: Vec<Map<[u64; 3]>> = Vec::new();
        for _ in 0..500 {
            let mut map = Map::default();
            for _ in 0..random.usize(..60) {
                map.insert(random.u64(..1_000), [round; 3]);
            }
            small.push(map);
        }
        sum = sum.wrapping_add(small.iter().map(|map| map.len() as u64).sum());
        // One that grows, is thinned out, shrinks, and grows on.
        for _ in 0..40_000 {
            *large.entry(random.u64(..400_000)).or_default() += 1;
        }
        if round % 8 == 7 {
            large.retain(|key, _| key % 4 == round % 4);
            large.shrink_to_fit();
        }
        sum = sum.rotate_left(1) ^ large.len() as u64;
    }
    finish(large.into_iter().fold(sum, |sum, (key, count)| sum.wrapping_add(key * count)));
}
