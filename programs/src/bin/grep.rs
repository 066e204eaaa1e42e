//! Search a generated text by regular expressions. The argument is its number
//! of lines.
//!
//! Each line is searched with several expressions, what is found is kept as
//! strings, and the expressions are compiled anew for each part of the text.

use allod_programs::{amount, checksum, finish, word};
use fastrand::Rng;
use regex::{Captures, Regex, RegexSet};

/// Lines between two compilations.
const PART: usize = 5_000;

fn main() {
    let text = text(amount());
    let lines: Vec<&str> = text.lines().collect();
    let mut sum = 0u64;
    for part in lines.chunks(PART) {
        sum = sum.wrapping_mul(31).wrapping_add(search(part));
    }
    finish(sum);
}

/// Lines of words, dates and numbers.
fn text(lines: usize) -> String {
    let mut random = Rng::with_seed(0x62E9);
    let mut text = String::new();
    for line in 0..lines {
        let (month, day) = (random.u8(1..13), random.u8(1..29));
        text.push_str(&format!("{line} 2026-{month:02}-{day:02}"));
        for _ in 0..random.usize(2..14) {
            text.push(' ');
            text.push_str(&word(&mut random));
        }
        text.push_str(&format!(" {}@{}.org\n", word(&mut random), word(&mut random)));
    }
    text
}

/// A checksum of all that the expressions find and replace in `lines`.
fn search(lines: &[&str]) -> u64 {
    let compile = |pattern| Regex::new(pattern).expect("the pattern is well-formed");
    let date = compile(r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})");
    let mail = compile(r"\b[a-z]+@([a-z]+)\.org\b");
    let double = compile(r"\b(\w*(?:ab|ba|cd)\w*) +(\w+)");
    let set = RegexSet::new([r"q\w*z", r"^\d*7 ", r"\b\w{11,}\b"]).expect("well-formed");
    let mut sum = 0u64;
    for line in lines {
        let mut found: Vec<String> =
            mail.captures_iter(line).map(|captures| captures[1].to_string()).collect();
        found.extend(double.find_iter(line).map(|hit| hit.as_str().to_uppercase()));
        let turned = date.replace_all(line, |captures: &Captures| {
            format!("{}.{}.{}", &captures["day"], &captures["month"], &captures["year"])
        });
        let matched: u64 = set.matches(line).iter().map(|index| 1u64 << index).sum();
        found.push(turned.into_owned());
        sum = sum.wrapping_add(checksum(found.join("\n").as_bytes()) ^ matched);
    }
    sum
}
