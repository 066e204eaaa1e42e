//! The table: a line for each row, ours first, then the others with their ratio
//! to ours, then who has won.
//!
//! A row is *first* if nobody is better, *tied* if the best other is less than
//! 2% better, and *lost* by so many percent otherwise. Losses are printed like
//! wins.

use crate::meter::Kind;
use anyhow::{Context, Result as Anyhow};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// What one contender has needed.
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) number: f64,
    /// To ours, if it is not simply the quotient.
    pub(crate) ratio: Option<f64>,
}

/// A row with its outcomes, ours first.
pub(crate) struct Result {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) outcomes: Vec<Outcome>,
}

/// Better by less than this is a tie.
const TIE: f64 = 0.02;

impl Result {
    /// Each of the others with its ratio to ours.
    fn others(&self) -> Vec<(&Outcome, f64)> {
        let Some((ours, others)) = self.outcomes.split_first() else { return Vec::new() };
        let ratio = |it: &Outcome| {
            // Two figures of 0 are the same.
            let quotient = if it.number == ours.number { 1.0 } else { it.number / ours.number };
            it.ratio.unwrap_or(quotient)
        };
        others.iter().map(|it| (it, ratio(it))).collect()
    }

    fn verdict(&self) -> String {
        let best = self.others().into_iter().map(|(_, ratio)| ratio).fold(f64::INFINITY, f64::min);
        match best {
            best if best.is_infinite() => "alone".into(),
            best if best > 1.0 => "first".into(),
            best if best >= 1.0 - TIE => "tied".into(),
            best => format!("**lost by {:.0}%**", (1.0 / best - 1.0) * 100.0),
        }
    }
}

fn number(number: f64) -> String {
    if number >= 1000.0 { format!("{number:.0}") } else { format!("{number:.1}") }
}

/// The table as Markdown.
pub(crate) fn markdown(unit: &str, results: &[Result]) -> String {
    let mut text = format!("{unit} Less is better. In brackets: the ratio to ours.\n\n");
    text.push_str("| operation | ours | others | |\n|---|---:|---|---|\n");
    for result in results {
        let Some(ours) = result.outcomes.first() else { continue };
        let name =
            |it: &Outcome, ratio: f64| format!("{} {} ({ratio:.2})", it.name, number(it.number));
        let others: Vec<_> = result.others().iter().map(|(it, ratio)| name(it, *ratio)).collect();
        let unit = match result.kind {
            Kind::Work => String::new(),
            Kind::Figure(unit) => format!(", {unit}"),
        };
        let line = format!(
            "| {}{unit} | {} | {} | {} |",
            result.name,
            number(ours.number),
            others.join(", "),
            result.verdict()
        );
        // Writing to a string does not fail.
        writeln!(text, "{line}").expect("a string takes everything");
    }
    text
}

/// Puts a table between `<!-- MARK: begin -->` and `<!-- MARK: end -->`.
pub(crate) fn write(file: &Path, mark: &str, table: &str) -> Anyhow<()> {
    let text = fs::read_to_string(file)?;
    let (begin, end) = (format!("<!-- {mark}: begin -->"), format!("<!-- {mark}: end -->"));
    let (before, rest) = text.split_once(&begin).with_context(|| format!("no `{begin}`"))?;
    let (_, after) = rest.split_once(&end).with_context(|| format!("no `{end}`"))?;
    fs::write(file, format!("{before}{begin}\n{table}{end}{after}"))?;
    Ok(())
}
