//! `allod compare`: what changed between two profiles.

use std::ffi::OsString;
use std::io;

use allod_profile::compare::{self, Change, Comparison, Condition, Fate, Figure};
use allod_profile::export::Value;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use clap::Args;
use serde_json::json;

use super::export::Amount;
use crate::failure::Failure;
use crate::profile;
use crate::units::{Bytes, Count};
use crate::verb::{Ending, say};

/// Sites that are shown.
const ROWS: usize = 20;
const TITLE: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();
const MORE: Style = AnsiColor::Red.on_default();
const LESS: Style = AnsiColor::Green.on_default();

/// Show what changed between two profiles, and fail when it is too much
///
/// A and B are profiles, heap dumps, or numbers of running processes. Sites are
/// matched by the names of their functions, so the programs may have been built
/// anew. What may be chance, given how few samples there are, is shown as such.
///
///     allod compare before.pb.gz after.pb.gz
///     allod compare a.pb.gz b.pb.gz --fail-if '+5% peak' --fail-if '+1MiB live'
///
/// The figures are live (at the end), peak, allocated, allocations, and resident
/// (the most at one moment).
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Exit codes: 0, 1 if a condition holds, 125 if the command itself failed."
)]
pub(crate) struct Options {
    /// The profile before
    #[arg(value_name = "A")]
    before: OsString,

    /// The profile after
    #[arg(value_name = "B")]
    after: OsString,

    /// Bytes live at the end, at the peak, allocated, or freed within 1 ms
    #[arg(long, value_enum, default_value = "live")]
    value: Amount,

    /// End with exit code 1 when this holds: '+5% peak', '+9 allocations'
    #[arg(long, value_name = "CONDITION", allow_hyphen_values = true)]
    fail_if: Vec<Condition>,

    /// Take a line that moved for another place
    #[arg(long)]
    lines: bool,

    /// Write everything as one JSON object
    #[arg(long)]
    json: bool,
}

impl Options {
    pub(super) fn run(self) -> Result<Ending, Failure> {
        let before = profile::named(&self.before)?;
        let after = profile::named(&self.after)?;
        let value = Value::from(self.value);
        let comparison = compare::compare(&before, &after, value, self.lines);
        let holding: Vec<String> = self
            .fail_if
            .iter()
            .filter(|condition| condition.holds(&before, &after))
            .map(ToString::to_string)
            .collect();
        let answer = match self.json {
            true => as_json(&comparison, &holding),
            false => in_colour(&text(&comparison, &self.fail_if, &holding)),
        };
        say(&answer)?;
        Ok(Ending::Code(u8::from(!holding.is_empty())))
    }
}

/// The text with its colours, or without them where they do not belong.
pub(super) fn in_colour(text: &str) -> Vec<u8> {
    match AutoStream::choice(&io::stdout()) {
        ColorChoice::Never => anstream::adapter::strip_str(text).to_string().into_bytes(),
        _ => text.as_bytes().to_vec(),
    }
}

fn as_json(comparison: &Comparison, holding: &[String]) -> Vec<u8> {
    let figures: serde_json::Map<_, _> = comparison
        .figures
        .iter()
        .map(|(figure, before, after)| {
            (figure.name().to_owned(), json!({ "before": before, "after": after }))
        })
        .collect();
    let value = json!({
        "schema": "allod-compare/1",
        "value": comparison.value,
        "total": comparison.total,
        "figures": figures,
        "changes": comparison.changes,
        "failed": holding,
    });
    (value.to_string() + "\n").into_bytes()
}

fn text(comparison: &Comparison, asked: &[Condition], holding: &[String]) -> String {
    let mut out =
        format!("{TITLE}{:<12} {:>13} {:>13} {:>14}{TITLE:#}\n", "", "before", "after", "change");
    for &(figure, before, after) in &comparison.figures {
        let (from, to) = (amount(figure, before), amount(figure, after));
        let style = colour(after - before);
        let change = format!("{} {}", signed(figure, after - before), percent(before, after));
        out += &format!("{:<12} {from:>13} {to:>13} {style}{change:>22}{style:#}\n", figure.name());
    }
    let shown: Vec<&Change> =
        comparison.changes.iter().filter(|it| it.amounts.delta() != 0.0).take(ROWS).collect();
    let significant = comparison.changes.iter().filter(|it| it.significant).count();
    if shown.is_empty() {
        out += &format!("\nNo site differs by its {} bytes.\n", comparison.value);
    } else {
        let total = format!("SITES by {} bytes", comparison.value);
        out += &format!("\n{TITLE}{total:<37} {:>10}  WHERE{TITLE:#}\n", "CHANGE");
    }
    for change in &shown {
        out += &row(change);
    }
    let hidden = comparison.changes.len() - shown.len();
    if significant == 0 && !shown.is_empty() {
        out += "No difference of a site is more than chance: there are too few samples, or it is none.\n";
    }
    if hidden > 0 {
        out += &format!("{QUIET}{hidden} more sites; --json has all of them{QUIET:#}\n");
    }
    for condition in asked {
        let text = condition.to_string();
        let holds = holding.contains(&text);
        let (style, word) = if holds { (MORE, "FAILED") } else { (LESS, "passed") };
        out += &format!("{style}{word}{style:#}  {text}\n");
    }
    out
}

fn row(change: &Change) -> String {
    let pair = &change.amounts;
    let (before, after) = (bytes(pair.before.bytes), bytes(pair.after.bytes));
    let fate = match change.fate {
        Fate::New => "new",
        Fate::Gone => "gone",
        Fate::Both => "",
    };
    let style = if change.significant { colour(pair.delta()) } else { QUIET };
    let delta = signed(Figure::Live, pair.delta());
    let noise = if change.significant { "" } else { " (may be chance)" };
    let place = match change.file.rsplit('/').next() {
        Some(file) if !file.is_empty() => format!("{}  {file}:{}", change.function, change.line),
        _ => change.function.clone(),
    };
    let kind =
        if change.rust_type.is_empty() { String::new() } else { format!("  {}", change.rust_type) };
    let place: String = place.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    format!(
        "{before:>12} -> {after:>12} {fate:>6} {style}{delta:>13}{noise}{style:#}  {place}{kind}\n"
    )
}

fn colour(delta: f64) -> Style {
    match delta {
        ..0.0 => LESS,
        0.0 => QUIET,
        _ => MORE,
    }
}

fn bytes(number: f64) -> String {
    Bytes(number.max(0.0) as u64).to_string()
}

fn amount(figure: Figure, number: f64) -> String {
    match figure.is_bytes() {
        true => bytes(number),
        false => Count(number.max(0.0) as u64).to_string(),
    }
}

fn signed(figure: Figure, delta: f64) -> String {
    let sign = if delta < 0.0 { '-' } else { '+' };
    format!("{sign}{}", amount(figure, delta.abs()))
}

fn percent(before: f64, after: f64) -> String {
    match before > 0.0 {
        true => format!("({:+.1}%)", (after / before - 1.0) * 100.0),
        false => String::new(),
    }
}
