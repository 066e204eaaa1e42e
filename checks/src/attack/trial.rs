//! One trial, which follows from a seed and a number and from nothing else: so
//! every library is tried with the same ones, and any can be repeated alone.

use super::families::{FAMILIES, Family};
use fastrand::Rng;

/// When the deed is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timing {
    /// At once.
    AtOnce,
    /// After other objects came and went.
    Delayed,
    /// After the program was given the same memory again, or had asked often.
    Reused,
}

/// A trial.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) family: &'static Family,
    /// Bytes of the object that matters: the logarithm is uniform.
    pub(crate) size: usize,
    /// Another thread does the deed.
    pub(crate) other_thread: bool,
    pub(crate) timing: Timing,
    /// For everything else.
    pub(crate) seed: u64,
}

impl Trial {
    /// The trial of this number. Families take turns.
    pub(crate) fn new(seed: u64, number: usize, families: &[&'static Family]) -> Trial {
        let mut rng = Rng::with_seed(seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let family = families[number % families.len()];
        Trial {
            family,
            size: logarithmic(&mut rng, family.least, family.most),
            other_thread: rng.u8(..) < 96,
            timing: [Timing::AtOnce, Timing::Delayed, Timing::Reused][rng.usize(..3)],
            seed: rng.u64(..),
        }
    }

    /// How many objects of the size the program asks for when it wants one in
    /// particular.
    pub(crate) fn patience(&self) -> usize {
        match self.size {
            0..=4096 => 96,
            4097..=65_536 => 24,
            _ => 5,
        }
    }

    /// A size for an object that does not matter. Sometimes near to one that does.
    pub(crate) fn other_size(&self, rng: &mut Rng, size: usize) -> usize {
        match rng.u8(..) {
            0..=30 => (size / 2 + rng.usize(..=size)).max(1),
            31..=250 => logarithmic(rng, 1, 32 << 10),
            _ => logarithmic(rng, 32 << 10, 1 << 20),
        }
    }
}

/// A number between two, whose logarithm is uniform.
pub(crate) fn logarithmic(rng: &mut Rng, least: usize, most: usize) -> usize {
    let (low, high) = ((least as f64).ln(), (most as f64 + 1.0).ln());
    let number = (low + (high - low) * rng.f64()).exp() as usize;
    number.clamp(least, most)
}

/// The families whose names begin with one of the words; all without words.
pub(crate) fn choose(words: &[String]) -> Result<Vec<&'static Family>, String> {
    let wanted = |family: &&'static Family| {
        words.is_empty() || words.iter().any(|word| family.name.starts_with(word.as_str()))
    };
    let chosen: Vec<_> = FAMILIES.iter().filter(wanted).collect();
    if chosen.is_empty() {
        return Err(format!("no family begins with {}", words.join(" or ")));
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_follows_from_its_number() {
        let families = choose(&[]).unwrap();
        for number in 0..200 {
            let (a, b) = (Trial::new(7, number, &families), Trial::new(7, number, &families));
            assert_eq!((a.size, a.seed, a.timing), (b.size, b.seed, b.timing));
            assert!(a.size >= a.family.least && a.size <= a.family.most);
        }
    }

    #[test]
    fn sizes_are_logarithmic() {
        let mut rng = Rng::with_seed(1);
        let small = (0..10_000).filter(|_| logarithmic(&mut rng, 1, 4 << 20) <= 2048).count();
        assert!((4500..5500).contains(&small), "half of the logarithms, not {small}");
        assert_eq!(logarithmic(&mut rng, 5, 5), 5);
    }
}
