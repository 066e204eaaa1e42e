//! Text is built up: by `push_str`, by `format!`, by `collect`, by `join`, and taken
//! apart again. The argument is the number of lines in thousands.

use std::fmt::Write as _;

use allod_programs::{amount, checksum, finish, word};
use fastrand::Rng;

fn main() {
    let mut random = Rng::with_seed(0x57E1);
    let mut page = String::new();
    let mut sum = 0u64;
    for number in 0..amount() * 1_000 {
        let name = word(&mut random);
        let mut line = format!("{number}: {name}");
        for _ in 0..random.usize(..8) {
            line.push(' ');
            line.push_str(&word(&mut random));
        }
        let upper: String = line.chars().map(|letter| letter.to_ascii_uppercase()).collect();
        let turned: Vec<String> =
            upper.split(' ').map(|word| word.chars().rev().collect()).collect();
        let joined = turned.join("-").replace("A", "aa");
        writeln!(page, "{line} {joined}").expect("a string takes all");
        if page.len() > 1 << 20 {
            sum = sum.rotate_left(5) ^ checksum(page.as_bytes());
            let lines: Vec<String> = page.lines().map(str::to_owned).collect();
            sum = sum.wrapping_add(lines.iter().map(|line| line.len() as u64).max().unwrap_or(0));
            page = lines.into_iter().step_by(50).collect();
        }
    }
    finish(sum ^ checksum(page.as_bytes()));
}
