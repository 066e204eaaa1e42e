//! What must not happen between two profiles: `+5% peak`, `+10MiB live`.
//!
//! ```text
//!   +  5%     peak         fails when the peak grew by more than 5%
//!   +  10MiB  live         fails when 10 MiB more are live at the end
//!   -  20%    allocations  fails when there were more than 20% fewer allocations
//! ```
//!
//! Of a figure that is estimated from samples, the part of the difference that may be
//! chance is forgiven.

use std::fmt;

use serde::Serialize;

use crate::model::{Amount, Profile};

/// An estimated difference below so many standard deviations may be chance.
const DEVIATIONS: f64 = 2.0;

/// A figure of a whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Figure {
    /// Bytes live at the end.
    Live,
    /// Most bytes live at one moment.
    Peak,
    /// Bytes allocated ever: an estimate.
    Allocated,
    /// How many allocations.
    Allocations,
    /// Most bytes of memory at one moment.
    Resident,
}

impl Figure {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Live, Self::Peak, Self::Allocated, Self::Allocations, Self::Resident];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Peak => "peak",
            Self::Allocated => "allocated",
            Self::Allocations => "allocations",
            Self::Resident => "resident",
        }
    }

    /// Whether it is a number of bytes.
    pub fn is_bytes(self) -> bool {
        self != Self::Allocations
    }

    /// This figure of a profile, as bytes; a count for allocations.
    pub fn of(self, profile: &Profile) -> Amount {
        let exact = |number: u64| Amount { bytes: number as f64, ..Amount::default() };
        match self {
            Self::Live => exact(profile.ledger.live),
            Self::Peak => exact(profile.ledger.peak_live),
            Self::Allocations => exact(profile.ledger.allocations),
            Self::Resident => exact(profile.ledger.peak_resident),
            Self::Allocated => profile.sites.iter().fold(Amount::default(), |sum, site| Amount {
                count: sum.count + site.allocated.count,
                bytes: sum.bytes + site.allocated.bytes,
                variance: sum.variance + site.allocated.variance,
            }),
        }
    }
}

/// A condition that can be held against two profiles.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    figure: Figure,
    grows: bool,
    limit: Limit,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    /// Of the figure before: 0.05 for 5%.
    Share(f64),
    Absolute(f64),
}

/// What is wrong with the words of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoCondition(String);

impl fmt::Display for NoCondition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}; a condition is a sign, a limit and a figure: '+5% peak', '+10MiB live', \
             '+1000 allocations', and the figures are live, peak, allocated, allocations, resident",
            self.0
        )
    }
}

impl std::error::Error for NoCondition {}

impl std::str::FromStr for Condition {
    type Err = NoCondition;

    fn from_str(text: &str) -> Result<Self, NoCondition> {
        let wrong = |what: &str| NoCondition(format!("'{text}': {what}"));
        let plain = text.trim();
        let (limit, figure) =
            plain.rsplit_once(char::is_whitespace).ok_or_else(|| wrong("there is no figure"))?;
        let figure = Figure::ALL.into_iter().find(|it| it.name() == figure);
        let figure = figure.ok_or_else(|| wrong("no such figure"))?;
        let grows = limit.starts_with('+');
        let limit = limit.strip_prefix(['+', '-']).ok_or_else(|| wrong("there is no sign"))?;
        let limit: String = limit.chars().filter(|c| !c.is_whitespace()).collect();
        let limit = match limit.strip_suffix('%') {
            Some(percent) => number(percent).map(|percent| Limit::Share(percent / 100.0)),
            None => absolute(&limit, figure).map(Limit::Absolute),
        };
        let limit = limit.ok_or_else(|| wrong("the limit makes no sense"))?;
        Ok(Self { figure, grows, limit, text: plain.to_owned() })
    }
}

fn number(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| is_plain)
}

/// Bytes with a unit, or a count without one.
fn absolute(text: &str, figure: Figure) -> Option<f64> {
    const UNITS: [(&str, f64); 12] = [
        ("", 1.0),
        ("B", 1.0),
        ("K", 1024.0),
        ("KiB", 1024.0),
        ("M", 1_048_576.0),
        ("MiB", 1_048_576.0),
        ("G", 1_073_741_824.0),
        ("GiB", 1_073_741_824.0),
        ("kB", 1e3),
        ("KB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
    ];
    let end = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let unit = UNITS.iter().find(|(name, _)| *name == unit)?.1;
    (figure.is_bytes() || unit == 1.0).then_some(number(digits)? * unit)
}

impl Condition {
    /// The figure that it looks at.
    pub fn figure(&self) -> Figure {
        self.figure
    }

    /// Whether it holds, that is, whether what must not happen has happened.
    pub fn holds(&self, before: &Profile, after: &Profile) -> bool {
        let (before, after) = (self.figure.of(before), self.figure.of(after));
        let limit = match self.limit {
            Limit::Share(share) => share * before.bytes,
            Limit::Absolute(limit) => limit,
        };
        let chance = DEVIATIONS * (before.variance + after.variance).max(0.0).sqrt();
        let delta = match self.grows {
            true => after.bytes - before.bytes,
            false => before.bytes - after.bytes,
        };
        delta - chance > limit
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}
