//! Count words in hash maps. The argument is the number of words.
//!
//! One map counts, one holds for each word where it stood, and one groups the
//! words by count. All are filled, thinned out, and filled again.

use allod_programs::{amount, checksum, finish, word};
use fastrand::Rng;
use hashbrown::HashMap;

fn main() {
    let amount = amount();
    let mut random = Rng::with_seed(0x770);
    let mut counts: HashMap<String, u32> = HashMap::new();
    let mut places: HashMap<String, Vec<u32>> = HashMap::new();
    let mut sum = 0u64;
    for place in 0..u32::try_from(amount).expect("fewer than four thousand million words") {
        let word = word(&mut random);
        *counts.entry_ref(word.as_str()).or_insert(0) += 1;
        if word.len() < 5 {
            places.entry(word).or_default().push(place);
        }
        if place % 200_000 == 199_999 {
            // Half of the rare words go. Which ones does not depend on the map's order.
            counts.retain(|word, count| *count > 2 || checksum(word.as_bytes()).is_multiple_of(2));
            sum = sum.wrapping_mul(31).wrapping_add(counts.len() as u64);
        }
    }
    let mut groups: HashMap<u32, Vec<String>> = HashMap::new();
    for (word, count) in counts {
        groups.entry(count).or_default().push(word);
    }
    for (count, words) in &mut groups {
        words.sort();
        sum = sum.wrapping_add(checksum(words.join(" ").as_bytes()) ^ u64::from(*count));
    }
    for (word, places) in &places {
        let last = places.last().copied().unwrap_or(0);
        sum = sum.wrapping_add(checksum(word.as_bytes()) ^ u64::from(last) ^ places.len() as u64);
    }
    finish(sum);
}
