//! What a profile adds to the summary: who holds memory, what is thrown away, what grows.
//!
//! ```text
//!   resident       as a sum in two lines: it makes room for the rest
//!   live at peak   the places that hold most, with one standard deviation
//!   short-lived    the share of bytes that live less than a millisecond, and whose they are
//!   grows          places that gain memory to the end, when that is certain
//!   profile        where it is, and how it is opened
//! ```

use std::path::Path;

use allod_profile::Profile;
use allod_profile::model::Ledger;
use anstyle::Style;

use super::{COLUMNS, QUIET, Screen, TITLE, WARNING};
use crate::findings::{self, Place};
use crate::text::{fit, left, width};
use crate::units::{Bytes, Count, Scale, Sign};

/// Most places in the table.
const ROWS: usize = 5;

/// Who holds memory, in at most `room` lines.
pub(super) fn sites(screen: &mut Screen, profile: &Profile, room: usize) {
    let (mut places, _) = findings::places(profile);
    places.sort_by(|a, b| b.peak.bytes.total_cmp(&a.peak.bytes));
    let whole: f64 = places.iter().map(|place| place.peak.bytes).sum();
    let notes = notes(profile, &places);
    if whole > 0.0 {
        let rows = ROWS.min(room.saturating_sub(notes.len() + 1));
        let top: Vec<&Place> = places.iter().filter(|it| it.peak.bytes > 0.0).take(rows).collect();
        let has_types = top.iter().any(|place| !place.rust_type.is_empty());
        let columns = Columns::new(has_types);
        screen.line(QUIET, &columns.head("live at the peak"));
        for place in top {
            screen.line(Style::new(), &columns.row(profile, place, whole));
        }
    } else {
        screen.line(
            QUIET,
            "  nothing sampled: the program allocated too little, or the profiler is off",
        );
    }
    for (style, note) in notes {
        screen.line(style, &note);
    }
}

/// How the places are laid out: their names get what the numbers leave.
struct Columns {
    rust_type: usize,
    name: usize,
}

impl Columns {
    fn new(has_types: bool) -> Self {
        let rest = COLUMNS - 40;
        let rust_type = if has_types { 13 } else { 0 };
        let gap = if has_types { 1 } else { 0 };
        Self { rust_type, name: rest - rust_type - gap }
    }

    fn head(&self, what: &str) -> String {
        self.line([what, "share", "±", "count", "type", "where"])
    }

    fn row(&self, profile: &Profile, place: &Place, whole: f64) -> String {
        let deviation = findings::deviation(place.peak);
        let cells = [
            &bytes(place.peak.bytes),
            &percent(place.peak.bytes, whole),
            &deviation.map_or_else(String::new, |share| percent(share, 1.0)),
            &count(place.peak.count),
            &findings::short_type(&place.rust_type),
            &place_name(profile, place, self.name),
        ];
        self.line(cells.map(String::as_str))
    }

    fn line(&self, [bytes, share, deviation, count, rust_type, name]: [&str; 6]) -> String {
        let rust_type = match self.rust_type {
            0 => String::new(),
            columns => left(rust_type, columns) + " ",
        };
        format!("  {bytes:>16} {share:>5} {deviation:>4} {count:>7}  {rust_type}{name}")
    }
}

/// What there is to say in words, each line with its colour.
fn notes(profile: &Profile, places: &[Place]) -> Vec<(Style, String)> {
    let mut notes = Vec::new();
    let allocated: f64 = places.iter().map(|place| place.allocated.bytes).sum();
    let short: f64 = places.iter().map(|place| place.short.bytes).sum();
    let most = places.iter().max_by(|a, b| a.short.bytes.total_cmp(&b.short.bytes));
    if let Some(most) = most.filter(|most| most.short.bytes > 0.0) {
        let share = percent(short, allocated);
        let of = bytes(allocated);
        let own = percent(most.short.bytes, short);
        let text = format!("  short-lived {share} of {of} lives under 1 ms, {own} of it from ");
        let name = place_name(profile, most, COLUMNS - width(&text));
        notes.push((Style::new(), text + &name));
    }
    let growing = growing(places);
    if let Some(first) = growing.first() {
        let more = match (growing.len() - 1, first.growth.is_some_and(|it| it.is_kept)) {
            (0, true) => String::new(),
            (0, false) => ", freed at the end".into(),
            (others, _) => format!(", and {others} more"),
        };
        let text = format!("  grows       {} a minute at ", rate(first));
        let name = place_name(profile, first, COLUMNS.saturating_sub(width(&text) + width(&more)));
        notes.push((WARNING, text + &name + &more));
    }
    notes
}

/// Places that only gain memory, the fastest first.
pub(super) fn growing(places: &[Place]) -> Vec<&Place> {
    let speed = |place: &Place| place.growth.map_or(0.0, |growth| growth.bytes_per_second);
    let mut growing: Vec<&Place> = places.iter().filter(|place| place.growth.is_some()).collect();
    growing.sort_by(|a, b| speed(b).total_cmp(&speed(a)));
    growing
}

/// Every place that only grows, with how certain that is.
pub(super) fn leaks(screen: &mut Screen, profile: &Profile, room: usize) {
    let (places, _) = findings::places(profile);
    let mut growing = growing(&places);
    growing.retain(|place| place.growth.is_some_and(|growth| growth.is_kept));
    if growing.is_empty() {
        let text = match profile.history_at.len() {
            0..findings::POINTS => "  leaks       the run was too short to tell what grows",
            _ => "  leaks       nothing only grows and is kept, as far as the samples tell",
        };
        screen.line(Style::new(), text);
        return;
    }
    let total: f64 = growing.iter().map(|place| place.growth.map_or(0.0, |it| it.rise)).sum();
    let noun = if growing.len() == 1 { "place grows" } else { "places grow" };
    let text =
        format!("  leaks       {} {noun} to the end: {} so far", growing.len(), bytes(total));
    screen.line(WARNING, &text);
    screen.line(QUIET, "       a minute      so far  certain  ever freed  where");
    let shown = growing.len().min(room.saturating_sub(2).max(1));
    for place in growing.iter().take(shown) {
        let growth = place.growth.expect("places that grow were chosen");
        let freed: f64 = place.lifetimes.iter().sum();
        let text = format!(
            "  {:>13} {:>11}  {:>7}  {:>10}  ",
            rate(place),
            bytes(growth.rise),
            percent(growth.r2, 1.0),
            percent(freed, freed + place.live.count),
        );
        let name = place_name(profile, place, COLUMNS - width(&text));
        screen.line(Style::new(), &(text + &name));
    }
    if shown < growing.len() {
        screen.line(QUIET, &format!("  and {} more", growing.len() - shown));
    }
}

/// Where the profile is, and how it is opened: one line that can be typed again.
pub(super) fn written(screen: &mut Screen, path: &Path) {
    let path = path.display().to_string();
    let one = format!("  profile     see it: allod report {path}");
    if width(&one) <= COLUMNS {
        screen.line(TITLE, &one);
    } else {
        screen.line(QUIET, "  profile     see it: allod report FILE; the file is");
        screen.line(TITLE, &path);
    }
}

/// How many lines [`written`] takes.
pub(super) fn written_lines(path: &Path) -> usize {
    const WORDS: usize = 34;
    if WORDS + width(&path.display().to_string()) <= COLUMNS { 1 } else { 2 }
}

/// The resident bytes as a sum, in as few lines as it takes.
pub(super) fn sum(screen: &mut Screen, ledger: &Ledger) {
    let rounding = ledger.live.saturating_sub(ledger.requested);
    let (asked, rounding) = match ledger.requested {
        0 => (ledger.live, 0),
        _ => (ledger.live - rounding, rounding),
    };
    let parts = [
        (asked, if rounding > 0 { "asked for" } else { "live" }),
        (rounding, "rounding"),
        (ledger.free_blocks, "free blocks"),
        (ledger.cached, "threads' caches"),
        (ledger.retained, "retained"),
        (ledger.metadata, "records"),
    ];
    let mut terms: Vec<(Sign, Bytes, &str)> = parts
        .into_iter()
        .filter(|part| part.0 > 0)
        .map(|(bytes, name)| (Sign::Plus, Bytes(bytes), name))
        .collect();
    let whole = terms.iter().fold(0_u64, |sum, term| sum.saturating_add(term.1.0));
    if whole > ledger.resident {
        terms.push((Sign::Minus, Bytes(whole - ledger.resident), "never touched"));
    } else if whole < ledger.resident {
        terms.push((Sign::Plus, Bytes(ledger.resident - whole), "other"));
    }
    let signed: Vec<(Sign, Bytes)> = terms.iter().map(|term| (term.0, term.1)).collect();
    let (printed, sum) = Scale::of(Bytes(ledger.resident / 8)).print_sum(&signed);
    let mut line = format!("  resident    {sum} =");
    for (i, ((sign, _, name), amount)) in terms.iter().zip(&printed).enumerate() {
        let sign = match sign {
            Sign::Minus => "- ",
            Sign::Plus if i == 0 => "",
            Sign::Plus => "+ ",
        };
        // The unit is said once, by the sum.
        let number = amount.split(' ').next().unwrap_or(amount);
        let term = format!(" {sign}{number} {name}");
        if width(&line) + width(&term) > COLUMNS {
            screen.line(Style::new(), &line);
            line = " ".repeat(13);
        }
        line.push_str(&term);
    }
    screen.line(Style::new(), &line);
}

/// A place in at most `columns`: the function, and the line if there is room.
fn place_name(profile: &Profile, place: &Place, columns: usize) -> String {
    let Some(frame) = place.frame.map(|frame| &profile.frames[frame]) else {
        return fit("unknown", columns);
    };
    let name = fit(&findings::short_name(&findings::name(profile, frame)), columns);
    let origin = findings::origin(profile, frame);
    let file = origin.rsplit('/').next().unwrap_or_default();
    let room = columns.saturating_sub(width(&name) + 1);
    if file.is_empty() || width(file) > room { name } else { format!("{name} {file}") }
}

fn rate(place: &Place) -> String {
    let speed = place.growth.map_or(0.0, |growth| growth.bytes_per_second);
    format!("+{}", bytes(speed * 60.0))
}

fn bytes(bytes: f64) -> String {
    Bytes(bytes.max(0.0) as u64).to_string()
}

fn percent(part: f64, whole: f64) -> String {
    match part / whole {
        share if !share.is_finite() => "-".into(),
        share if share > 0.0 && share < 0.01 => "<1%".into(),
        share => format!("{:.0}%", share * 100.0),
    }
}

/// A count as an estimate deserves it.
fn count(count: f64) -> String {
    match count {
        1e9.. => format!("{:.1} G", count / 1e9),
        1e6.. => format!("{:.1} M", count / 1e6),
        1e4.. => format!("{:.1} k", count / 1e3),
        _ => Count(count.max(0.0).round() as u64).to_string(),
    }
}
