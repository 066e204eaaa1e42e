//! A running process, looked at again and again.
//!
//! A [`Source`] hands out profiles of the process as it is. [`Watched`] keeps what one
//! look alone does not tell: how fast it allocates, and how figures moved. What the
//! process has kept of its own past fills the curves from the start, so the first
//! look shows minutes.
//!
//! ```text
//!   Source::look --> Profile --> Watched --+--> rows of places, types, threads, tasks
//!                                          +--> curves of resident and live
//!                                          +--> allocations and bytes in a second
//! ```

use std::collections::HashMap;
use std::collections::VecDeque;

use allod_profile::Profile;
use allod_profile::model::{Amount, Ledger, Moment};

use crate::findings::{self, Median, Place};

pub(crate) mod process;

/// Points of the curves that are kept.
const POINTS: usize = 600;
/// What a change is measured over, in nanoseconds.
const MINUTE: f64 = 60e9;

/// Where profiles of one process come from.
pub(crate) trait Source: Send {
    /// The process as it is now. It is not stopped for that.
    fn look(&mut self) -> Result<Profile, String>;
    /// Writes the profile to a file, and says where it is.
    fn dump(&mut self) -> Result<String, String>;
}

/// What is known of a process after some looks.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    pub(crate) profile: Profile,
    pub(crate) places: Vec<Place>,
    /// For each site of the profile, its place.
    pub(crate) of_site: Vec<usize>,
    /// Oldest first.
    pub(crate) curve: VecDeque<Moment>,
    /// Allocations and bytes in a second, between the last two looks.
    pub(crate) rate: Option<(f64, f64)>,
    allocated: f64,
}

/// What the rows of a table are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Sites,
    Types,
    Threads,
    Tasks,
}

/// What they are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Order {
    #[default]
    Live,
    Change,
    Count,
    Age,
}

/// One row of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Source file and line, for sites.
    pub(crate) file: String,
    pub(crate) rust_type: String,
    pub(crate) live: Amount,
    /// Bytes in a minute.
    pub(crate) change: f64,
    pub(crate) median: Median,
    pub(crate) grows: bool,
    /// The sites that the row is made of.
    pub(crate) sites: Vec<usize>,
}

impl Watched {
    /// Takes in what was seen.
    pub(crate) fn see(&mut self, profile: Profile) {
        let now = moment(&profile);
        let allocated: f64 = profile.sites.iter().map(|site| site.allocated.bytes).sum();
        let is_same = self.profile.pid == profile.pid && self.profile.started == profile.started;
        if !is_same || self.curve.is_empty() {
            self.curve = profile.moments.iter().copied().filter(|it| it.at < now.at).collect();
            self.rate = average(&profile.ledger, allocated, profile.elapsed);
        } else if profile.elapsed > self.profile.elapsed {
            let seconds = (profile.elapsed - self.profile.elapsed) as f64 / 1e9;
            let more = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
            let count = more(profile.ledger.allocations, self.profile.ledger.allocations);
            self.rate = Some((count, (allocated - self.allocated).max(0.0) / seconds));
        }
        if self.curve.back().is_none_or(|last| last.at < now.at) {
            self.curve.push_back(now);
        }
        let surplus = self.curve.len().saturating_sub(POINTS);
        self.curve.drain(..surplus);
        (self.places, self.of_site) = findings::places(&profile);
        self.allocated = allocated;
        self.profile = profile;
    }

    /// The rows of a table: those that have all the words of `filter` in them.
    pub(crate) fn rows(&self, kind: Kind, order: Order, filter: &str) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for (index, site) in self.profile.sites.iter().enumerate() {
            // Its place in the table is taken, and nothing is counted yet.
            if site.allocated.bytes <= 0.0 && site.live.bytes <= 0.0 {
                continue;
            }
            let place = &self.places[self.of_site[index]];
            let key = match kind {
                Kind::Sites => self.of_site[index].to_string(),
                Kind::Types => site.rust_type.clone(),
                Kind::Threads => site.thread.to_string(),
                Kind::Tasks => site.label.clone(),
            };
            let at = *known.entry(key).or_insert_with(|| {
                rows.push(self.row(kind, index, place));
                rows.len() - 1
            });
            let row = &mut rows[at];
            row.live = findings::plus(row.live, site.live);
            row.change += self.change(&site.history, site.live.bytes);
            row.sites.push(index);
        }
        for row in &mut rows {
            let mut lifetimes = Vec::new();
            for &site in &row.sites {
                findings::add_up(&mut lifetimes, &self.profile.sites[site].lifetimes);
            }
            row.median = findings::median(&lifetimes, row.live.count);
        }
        let words: Vec<String> = filter.split_whitespace().map(str::to_lowercase).collect();
        rows.retain(|row| {
            let text = format!("{}\n{}\n{}", row.name, row.file, row.rust_type).to_lowercase();
            words.iter().all(|word| text.contains(word))
        });
        let age = |row: &Row| match row.median {
            Median::Nothing => -1.0,
            Median::Below(micros) => micros,
            Median::Alive => f64::INFINITY,
        };
        let weight = |row: &Row| match order {
            Order::Live => row.live.bytes,
            Order::Change => row.change,
            Order::Count => row.live.count,
            Order::Age => age(row),
        };
        // Equal rows keep to their names, so that they do not jump from look to look.
        rows.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then_with(|| a.name.cmp(&b.name)));
        rows
    }

    fn row(&self, kind: Kind, index: usize, place: &Place) -> Row {
        let site = &self.profile.sites[index];
        let or = |text: &str, other: &str| match text {
            "" => other.to_owned(),
            text => text.to_owned(),
        };
        let (name, file, rust_type) = match kind {
            Kind::Sites => {
                let frame = place.frame.map(|frame| &self.profile.frames[frame]);
                let name = frame.map_or_else(String::new, |it| findings::name(&self.profile, it));
                let file = frame.map_or_else(String::new, |it| findings::origin(&self.profile, it));
                (or(&findings::short_name(&name), "unknown"), file, place.rust_type.clone())
            }
            Kind::Types => (or(&site.rust_type, "not known"), String::new(), String::new()),
            Kind::Threads => match site.thread {
                0 => ("several threads".into(), String::new(), String::new()),
                id if id == self.profile.pid => {
                    (format!("{id} main"), String::new(), String::new())
                }
                id => (id.to_string(), String::new(), String::new()),
            },
            Kind::Tasks => (or(&site.label, "no label"), String::new(), String::new()),
        };
        Row {
            name,
            file,
            rust_type,
            live: Amount::default(),
            change: 0.0,
            median: Median::Nothing,
            grows: kind == Kind::Sites && place.growth.is_some(),
            sites: Vec::new(),
        }
    }

    /// How many bytes came to a site within the last minute; within its whole life,
    /// if that is shorter, as if it had gone on for a minute.
    fn change(&self, history: &[f64], live: f64) -> f64 {
        let now = self.profile.elapsed as f64;
        let mut points = self.profile.history_at.iter().map(|&at| at as f64).zip(history);
        let before = points.rfind(|(at, _)| *at <= now - MINUTE);
        let first = self.profile.history_at.first().map(|&at| at as f64).zip(history.first());
        let Some((at, bytes)) = before.or(first) else { return 0.0 };
        let passed = now - at;
        // Less than a second says nothing of a minute.
        if passed < 1e9 { 0.0 } else { (live - bytes) * MINUTE / passed }
    }
}

/// The figures of a profile as the newest point of a curve.
fn moment(profile: &Profile) -> Moment {
    let ledger = &profile.ledger;
    Moment {
        at: profile.elapsed,
        live: ledger.live,
        resident: ledger.resident,
        retained: ledger.retained,
    }
}

fn average(ledger: &Ledger, allocated: f64, elapsed: u64) -> Option<(f64, f64)> {
    let seconds = elapsed as f64 / 1e9;
    (seconds > 0.0).then(|| (ledger.allocations as f64 / seconds, allocated / seconds))
}

#[cfg(test)]
pub(crate) mod tests;
