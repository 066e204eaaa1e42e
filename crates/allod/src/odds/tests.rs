//! Against the mathematics of the standard library, and against the law that the
//! weights are there to keep.

use super::*;
use std::vec::Vec;

fn close(ours: f64, theirs: f64, relative: f64) -> bool {
    (ours - theirs).abs() <= relative * theirs.abs().max(1e-9)
}

#[test]
fn the_logarithm_is_right() {
    let dice = Dice::new();
    for i in 0..20_000 {
        let u = if i < 64 { 1 << i } else { dice.roll() } | 1;
        let theirs = -((u as f64) / 2f64.powi(64)).ln();
        let ours = negative_ln(u) as f64 / 2f64.powi(32);
        assert!((ours - theirs).abs() < 2e-9 + theirs * 1e-9, "{u}: {ours} {theirs}");
    }
}

#[test]
fn the_probability_is_right_at_every_ratio() {
    for interval in [1u32, 17, 4096, 512 << 10, 16 << 20, 1 << 31] {
        for size in [1usize, 8, 16, 48, 1000, 32 << 10, 1 << 20, 77 << 20, 1 << 30] {
            let theirs = -(-(size as f64) / f64::from(interval)).exp_m1();
            let ours = probability(size, interval) as f64 / 2f64.powi(63);
            assert!(close(ours, theirs, 1e-9), "{size} of {interval}: {ours} {theirs}");
            let weight = weight(size, interval);
            let bytes = size as f64 / theirs;
            assert!((weight.bytes as f64 - bytes).abs() <= 1.0 + bytes * 1e-8);
            let count = COUNT_UNIT as f64 / theirs;
            assert!((weight.count as f64 - count).abs() <= 1.0 + count * 1e-8);
        }
    }
}

#[test]
fn what_is_sure_to_be_taken_stands_for_itself() {
    let sure = weight(1 << 30, 1 << 20);
    assert_eq!(sure, Weight { count: COUNT_UNIT, bytes: 1 << 30 });
    assert!(is_taken(u64::MAX, 1 << 30, 1 << 20));
    assert!(!is_taken(0, 1 << 30, 0), "an interval of 0 takes nothing");
}

/// The mean of the countdowns, and of the decisions, is what the law says: bounds
/// of five and a half standard deviations, and a seed that stays.
#[test]
fn countdowns_and_decisions_keep_the_law() {
    const ROUNDS: u32 = 200_000;
    let dice = Dice::new();
    dice.seed([7, 9]);
    for (size, interval) in [(48usize, 4096u32), (32 << 10, 512 << 10), (1000, 1000), (16, 1)] {
        let p = -(-(size as f64) / f64::from(interval)).exp_m1();
        let mean = (1.0 - p) / p;
        let sum: f64 = (0..ROUNDS).map(|_| f64::from(countdown(dice.roll(), size, interval))).sum();
        let error = (mean / p / f64::from(ROUNDS)).sqrt().max(1e-6) * 5.5;
        assert!((sum / f64::from(ROUNDS) - mean).abs() < error, "{size} of {interval}");
        let taken = (0..ROUNDS).filter(|_| is_taken(dice.roll(), size, interval)).count();
        let error = (p * (1.0 - p) * f64::from(ROUNDS)).sqrt().max(1.0) * 5.5;
        assert!((taken as f64 - p * f64::from(ROUNDS)).abs() < error, "{size} of {interval}");
    }
}

#[test]
fn another_seed_is_another_sequence() {
    let rolls = |seed| -> Vec<u64> {
        let dice = Dice::new();
        dice.seed(seed);
        (0..8).map(|_| dice.roll()).collect()
    };
    assert_ne!(rolls([1, 2]), rolls([1, 3]));
    assert_eq!(rolls([1, 2]), rolls([1, 2]));
}

/// The generator is splitmix64, whose numbers from the seed 0 are known.
#[test]
fn the_generator_gives_the_numbers_that_it_is_known_for() {
    let dice = Dice::new();
    let known = [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4, 0x06C4_5D18_8009_454F];
    assert_eq!([dice.roll(), dice.roll(), dice.roll()], known);
    // Both halves of the entropy count, and cancel out where they are the same.
    dice.seed([u64::MAX, u64::MAX]);
    assert_eq!(dice.roll(), known[0]);
}

#[test]
fn the_ends_of_the_ranges_are_what_they_should_be() {
    assert_eq!(countdown(0, 1, 1 << 31), u32::MAX - 1, "the longest wait is none for ever");
    let p = probability(1000, 4096);
    assert!(is_taken((p - 1) << 1, 1000, 4096));
    assert!(!is_taken(p << 1, 1000, 4096), "as many numbers as the probability says");
    // 1024 / (1 - 1/e) is 1619.96.
    assert_eq!(weight(4096, 4096).count, 1620, "to the nearest");
}
