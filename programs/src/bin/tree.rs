//! Ordered maps of strings that come and go. The argument is the number of
//! operations.

use std::collections::{BTreeMap, VecDeque};

use allod_programs::{amount, checksum, finish, word};
use fastrand::Rng;

/// Entries that the map holds, more or less.
const HELD: usize = 200_000;
/// Copies of parts of the map that are kept.
const COPIES: usize = 8;

fn main() {
    let mut random = Rng::with_seed(0x73EE);
    let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut copies: VecDeque<BTreeMap<String, Vec<String>>> = VecDeque::new();
    let mut sum = 0u64;
    for turn in 0..amount() {
        let key = word(&mut random);
        match random.u8(..10) {
            0..6 => map.entry(key).or_default().push(word(&mut random)),
            6 => drop(map.remove(&key)),
            7 => {
                if let Some(values) = map.get_mut(&key) {
                    values.iter_mut().for_each(|value| value.push_str(&key));
                }
            }
            _ => {
                let near: Vec<String> =
                    map.range(key..).take(5).map(|(key, _)| key.clone()).collect();
                sum = sum.wrapping_add(checksum(near.join(",").as_bytes()));
            }
        }
        if map.len() > HELD {
            // A random cut: one side goes, and was perhaps copied before.
            let cut = word(&mut random);
            let upper = map.split_off(&cut);
            if upper.len() < HELD / 4 {
                copies.push_back(upper.clone());
            }
            map.extend(upper.into_iter().step_by(2));
        }
        if copies.len() > COPIES {
            sum = sum.wrapping_add(weigh(copies.pop_front().unwrap_or_default()) ^ turn as u64);
        }
    }
    finish(copies.into_iter().map(weigh).fold(sum ^ weigh(map), u64::wrapping_add));
}

/// A checksum of a map, which is used up.
fn weigh(map: BTreeMap<String, Vec<String>>) -> u64 {
    let of = |(key, values): (String, Vec<String>)| {
        checksum(key.as_bytes()) ^ checksum(values.join(" ").as_bytes())
    };
    map.into_iter().map(of).fold(0, u64::wrapping_add)
}
