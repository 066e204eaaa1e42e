//! What changed between two profiles.
//!
//! Sites are matched by what their stacks are called, so neither addresses nor another
//! build stand in the way; by default not even lines, since a comment above a function
//! moves them. What differs in the block size, the thread or the label is added up.
//!
//! Each amount is an estimate from samples. A difference counts when it is more than
//! [`SITE_DEVIATIONS`] of its standard deviations: of two runs of the same program, one
//! site in several hundred differs by so much by chance. The figures of the ledger are
//! exact.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::export::{Value, frame_name};
use crate::model::{Amount, Frame, Profile, Site};
use crate::trim;

mod condition;

pub use condition::{Condition, Figure, NoCondition};

/// A site's difference below so many standard deviations is noise.
pub const SITE_DEVIATIONS: f64 = 3.0;

/// Two amounts of the same thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Pair {
    /// In the first profile.
    pub before: Amount,
    /// In the second.
    pub after: Amount,
}

impl Pair {
    /// How many bytes more.
    pub fn delta(&self) -> f64 {
        self.after.bytes - self.before.bytes
    }

    /// One standard deviation of that.
    pub fn deviation(&self) -> f64 {
        (self.before.variance + self.after.variance).max(0.0).sqrt()
    }

    /// Whether that is more than chance does.
    pub fn is_significant(&self) -> bool {
        let delta = self.delta().abs();
        delta >= 0.5 && delta > SITE_DEVIATIONS * self.deviation()
    }

    fn add(&mut self, is_second: bool, amount: Amount) {
        let sum = if is_second { &mut self.after } else { &mut self.before };
        sum.count += amount.count;
        sum.bytes += amount.bytes;
        sum.variance += amount.variance;
    }
}

/// What became of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It is in the second profile alone.
    New,
    /// It is in the first alone.
    Gone,
    /// It is in both.
    Both,
}

/// A site in both profiles, or one of them.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// The stack, outermost first.
    pub stack: Vec<String>,
    /// The function that it is best named by.
    pub function: String,
    /// Where that is, as the second profile has it, if it has it.
    pub file: String,
    /// The line.
    pub line: u32,
    /// The Rust type.
    pub rust_type: String,
    /// What became of it.
    pub fate: Fate,
    /// Whether it is more than chance.
    pub significant: bool,
    /// How much.
    pub amounts: Pair,
}

/// The difference of two profiles.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Which amounts the sites are compared by.
    pub value: &'static str,
    /// All sites together.
    pub total: Pair,
    /// The figures of the processes, before and after.
    pub figures: Vec<(Figure, f64, f64)>,
    /// Each site: the significant ones first, the larger difference before the smaller.
    pub changes: Vec<Change>,
}

/// Compares the sites of two profiles by a value. `lines`: a line that moved is another
/// site.
pub fn compare(before: &Profile, after: &Profile, value: Value, lines: bool) -> Comparison {
    let mut sites: BTreeMap<Vec<String>, (Change, [bool; 2])> = BTreeMap::new();
    let mut total = Pair::default();
    for (is_second, profile) in [(false, before), (true, after)] {
        for site in &profile.sites {
            let amount = value.of(site);
            if amount.bytes == 0.0 && amount.count == 0.0 {
                continue;
            }
            let entry = sites.entry(key(profile, site, lines));
            let (change, seen) =
                entry.or_insert_with_key(|stack| (described(profile, site, stack), [false; 2]));
            if is_second && !seen[1] {
                *change =
                    Change { amounts: change.amounts, ..described(profile, site, &change.stack) };
            }
            seen[usize::from(is_second)] = true;
            change.amounts.add(is_second, amount);
            total.add(is_second, amount);
        }
    }
    let mut changes: Vec<Change> = sites
        .into_values()
        .map(|(change, seen)| Change {
            fate: match seen {
                [true, false] => Fate::Gone,
                [false, true] => Fate::New,
                _ => Fate::Both,
            },
            significant: change.amounts.is_significant(),
            ..change
        })
        .collect();
    changes.sort_by(|a, b| {
        let rank = |it: &Change| (it.significant, it.amounts.delta().abs());
        b.significant.cmp(&a.significant).then(rank(b).1.total_cmp(&rank(a).1))
    });
    let figure = |figure: Figure| (figure, figure.of(before).bytes, figure.of(after).bytes);
    Comparison { value: value.name(), total, figures: Figure::ALL.map(figure).to_vec(), changes }
}

/// What a site is known by in both profiles: its functions, outermost first.
fn key(profile: &Profile, site: &Site, lines: bool) -> Vec<String> {
    let frames = site.stack.iter().rev().filter_map(|&frame| profile.frames.get(frame));
    let named = frames.map(|frame| {
        let name = without_numbers(&frame_name(profile, frame));
        match lines && frame.line > 0 {
            true => format!("{name}:{}", frame.line),
            false => name,
        }
    });
    named.collect()
}

/// A name without what compilers number: closures are counted through a function, and
/// the parts of a function that was split have numbers too.
fn without_numbers(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('#') {
        let (before, after) = rest.split_at(at + 1);
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        plain.push_str(before);
        rest = after.get(end..).unwrap_or_default();
    }
    plain.push_str(rest);
    let part =
        plain.find(".llvm.").or_else(|| plain.find(".part.")).or_else(|| plain.find(".cold"));
    plain.truncate(part.unwrap_or(plain.len()));
    plain
}

fn described(profile: &Profile, site: &Site, stack: &[String]) -> Change {
    let place: Option<&Frame> = trim::place(profile, site);
    Change {
        stack: stack.to_vec(),
        function: place.map(|frame| frame_name(profile, frame)).unwrap_or_default(),
        file: place.map(|frame| frame.file.clone()).unwrap_or_default(),
        line: place.map_or(0, |frame| frame.line),
        rust_type: site.rust_type.clone(),
        fate: Fate::Both,
        significant: false,
        amounts: Pair::default(),
    }
}

#[cfg(test)]
mod tests;
