//! Amounts that know their unit, and how people like to read them.
//!
//! Inside the command an amount is exact: bytes, nanoseconds, a count. It
//! becomes "1.21 GiB" only where it is printed, and JSON gets the plain number.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;
use std::time::Duration;

/// An amount of memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bytes(pub(crate) u64);

/// How many of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Count(pub(crate) u64);

/// The unit that a list of amounts is printed in, so that a reader can add them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scale {
    name: &'static str,
    bytes: u64,
}

const SCALES: [Scale; 6] = [
    Scale { name: "B", bytes: 1 },
    Scale { name: "KiB", bytes: 1 << 10 },
    Scale { name: "MiB", bytes: 1 << 20 },
    Scale { name: "GiB", bytes: 1 << 30 },
    Scale { name: "TiB", bytes: 1 << 40 },
    Scale { name: "PiB", bytes: 1 << 50 },
];

impl Scale {
    /// The largest unit that `bytes` is at least one of.
    pub(crate) fn of(bytes: Bytes) -> Self {
        let fitting = SCALES.iter().rev().find(|scale| bytes.0 >= scale.bytes);
        *fitting.unwrap_or(&SCALES[0])
    }

    /// A number of hundredths of this unit, as it is printed. Bytes have none.
    fn print(self, hundredths: u64) -> String {
        match self.bytes {
            1 => format!("{} B", hundredths / 100),
            _ => format!("{}.{:02} {}", hundredths / 100, hundredths % 100, self.name),
        }
    }

    /// `bytes` in hundredths of this unit, rounded to the nearest.
    fn hundredths(self, bytes: Bytes) -> u64 {
        let unit = u128::from(self.bytes);
        let rounded = (u128::from(bytes.0) * 100 + unit / 2) / unit;
        u64::try_from(rounded).unwrap_or(u64::MAX)
    }

    /// Prints the signed terms of a sum so that what is printed adds up to the
    /// printed sum as well.
    ///
    /// Rounded one by one, terms can miss their rounded sum by a few hundredths.
    /// The largest term takes the difference: it shows the least there.
    pub(crate) fn print_sum(self, terms: &[(Sign, Bytes)]) -> (Vec<String>, String) {
        let exact: i128 = terms.iter().map(|(sign, bytes)| sign.of(bytes.0)).sum();
        let sum = self.hundredths(Bytes(u64::try_from(exact).unwrap_or(0)));
        let mut printed: Vec<u64> = terms.iter().map(|term| self.hundredths(term.1)).collect();

        let signed = terms.iter().zip(&printed);
        let shown: i128 = signed.map(|((sign, _), &printed)| sign.of(printed)).sum();
        let missing = i128::from(sum) - shown;
        let largest = (0..terms.len()).max_by_key(|&i| terms[i].1);
        if let Some(i) = largest {
            let fixed = terms[i].0.of(printed[i]) + missing;
            printed[i] = u64::try_from(fixed.unsigned_abs()).unwrap_or(u64::MAX);
        }
        (printed.into_iter().map(|amount| self.print(amount)).collect(), self.print(sum))
    }
}

/// Whether a term of a sum is added or taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    Plus,
    Minus,
}

impl Sign {
    fn of(self, amount: u64) -> i128 {
        match self {
            Self::Plus => i128::from(amount),
            Self::Minus => -i128::from(amount),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = Scale::of(*self);
        out.pad(&scale.print(scale.hundredths(*self)))
    }
}

impl fmt::Display for Count {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::with_capacity(digits.len() + digits.len() / 3);
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        out.pad(&text)
    }
}

/// A stretch of time for people: three digits or so, and the unit that fits.
pub(crate) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let nanos = duration.as_nanos();
    let part = |unit: u32| duration.as_secs_f64() * f64::from(1_000_000_000 / unit);
    match seconds {
        3600.. => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
        60.. => format!("{} min {:02} s", seconds / 60, seconds % 60),
        1.. => format!("{:.2} s", duration.as_secs_f64()),
        0 if nanos >= 1_000_000 => format!("{:.1} ms", part(1_000_000)),
        0 if nanos >= 1_000 => format!("{:.1} us", part(1_000)),
        0 if nanos > 0 => format!("{nanos} ns"),
        0 => "0 s".into(),
    }
}

impl Add for Bytes {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Add for Count {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Bytes {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests;
