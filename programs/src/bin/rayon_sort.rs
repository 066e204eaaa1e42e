//! Parallel sorts of strings. The argument is the number of strings.
//!
//! Strings are made on all threads, sorted, grouped, sorted again by another
//! key, and freed on whatever thread comes by.

use allod_programs::{amount, checksum, finish, word};
use fastrand::Rng;
use rayon::prelude::*;

fn main() {
    let mut strings: Vec<String> = (0..amount())
        .into_par_iter()
        .map(|i| {
            let mut random = Rng::with_seed(i as u64);
            format!("{}-{}", word(&mut random), random.u32(..1000))
        })
        .collect();
    strings.par_sort();
    let first =
        strings.par_iter().map(|text| checksum(text.as_bytes())).reduce(|| 0, u64::wrapping_add);

    // A stable sort by length: equal lengths stay in order, so the result is one.
    let mut turned: Vec<String> =
        strings.par_iter().map(|text| text.chars().rev().collect()).collect();
    turned.par_sort_by_key(String::len);
    let groups: Vec<String> = turned.par_chunks(64).map(|chunk| chunk.join(",")).collect();
    let parts: Vec<Vec<u8>> = groups.into_par_iter().map(String::into_bytes).collect();
    let second = parts
        .into_par_iter()
        .enumerate()
        .map(|(i, part)| checksum(&part).rotate_left(u32::try_from(i % 64).unwrap_or(0)))
        .reduce(|| 0, u64::wrapping_add);
    finish(first ^ second);
}
