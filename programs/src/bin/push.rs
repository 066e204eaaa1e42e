//! A vector grows by `push` to so many MiB, the argument, twice: first alone, then
//! in turns with a small one. Nobody tells it the size before.

use allod_programs::{amount, figure, finish, peak};

fn main() {
    let bytes = amount() << 20;
    let (alone, most) = grown(bytes, usize::MAX);
    figure("peak_over_final", peak() / most);
    let (in_turns, _) = grown(bytes / 4, 1_000);
    finish(alone ^ in_turns.rotate_left(1));
}

/// Pushes words up to `bytes`, and after each `gap` of them a word to another
/// vector. Returns a checksum and the MiB of both.
fn grown(bytes: usize, gap: usize) -> (u64, f64) {
    let count = bytes / size_of::<u64>();
    let (mut words, mut others) = (Vec::new(), Vec::new());
    for i in 0..count {
        words.push(i as u64);
        if i % gap == gap - 1 {
            others.push(words.len());
        }
    }
    let sum =
        words.iter().chain(&words[count / 2..]).fold(0u64, |sum, word| sum ^ word.rotate_left(3));
    let mib = u32::try_from(bytes >> 20).expect("less than 2^52 bytes");
    (sum.wrapping_add(others.iter().sum::<usize>() as u64), f64::from(mib))
}
