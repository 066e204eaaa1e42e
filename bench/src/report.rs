//! Results as tables: one text for the terminal and for Markdown.
//!
//! A row is one program under one allocator. A Markdown table with its columns
//! filled to equal width reads well in a terminal, so there is one renderer.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::measure::{Cell, Results, SuiteResults};
use crate::peers::BASE;
use crate::plan::Report;
use crate::stats::{Summary, geometric_mean, summary};

/// The heads of the columns.
const HEADS: [&str; 9] =
    ["program", "allocator", "CPU s", "min–max", "× CPU", "wall s", "MiB", "× MiB", "faults"];
/// Columns of words; the others are numbers and stand to the right.
const WORDS: usize = 2;

/// All tables with what they are worth, for the terminal.
pub(crate) fn text(results: &Results) -> String {
    let mut text = String::new();
    for suite in &results.suites {
        text.push('\n');
        text.push_str(&section(results, suite));
    }
    text
}

/// Puts each table into a Markdown file between its marks.
pub(crate) fn write(results: &Results, file: &Path) -> Result<()> {
    let mut text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    for suite in &results.suites {
        text = replace(&text, suite.suite, &section(results, suite))
            .with_context(|| format!("{} has no marks for {}", file.display(), suite.suite))?;
    }
    Ok(fs::write(file, text)?)
}

/// The text with `section` between the marks of `suite`.
fn replace(text: &str, suite: &str, section: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {suite}: begin -->\n"), format!("<!-- {suite}: end -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{section}\n{end}{after}"))
}

/// One suite: the facts about the measuring, the table, the failures.
fn section(results: &Results, suite: &SuiteResults) -> String {
    let machine = &results.machine;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "- {name}: {value}");
    };
    if results.short {
        line("beware", "short jobs (`--ci`): these figures show only that the command works");
    }
    line("date and commit", &format!("{}, {}", machine.date, machine.commit));
    line("machine", &format!("{} × {}, {} GiB", machine.cpus, machine.cpu, machine.memory));
    line(
        "system",
        &format!(
            "{}, Linux {}, huge pages `{}`, load {} at the start",
            machine.system, machine.kernel, machine.huge_pages, machine.load
        ),
    );
    let versions = |pairs: &[(String, String)]| {
        pairs
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect::<Vec<_>>()
            .join("; ")
    };
    line("allocators", &versions(&suite.peers));
    match suite.suite {
        "programs" => line("programs", &versions(&results.programs)),
        _ => line("compiler", &machine.rustc),
    }
    line(
        "runs",
        &format!(
            "medians of {}, interleaved and shuffled, {} MiB warmed before each",
            results.rounds, results.warm
        ),
    );
    line("ratios", &format!("to {}, smaller is better", base(suite).map_or("?", |(name, _)| name)));
    line("command", &format!("`{}`", results.command));
    text.push('\n');
    text.push_str(&table(suite));
    let failures = failures(suite);
    if !failures.is_empty() {
        text.push_str("\nFailures:\n\n");
        text.push_str(&failures);
    }
    text
}

/// The allocator that ratios refer to, and its column: mimalloc, or else the first.
fn base(suite: &SuiteResults) -> Option<(&str, usize)> {
    let column = suite.peers.iter().position(|(name, _)| name == BASE).unwrap_or(0);
    suite.peers.get(column).map(|(name, _)| (name.as_str(), column))
}

/// The medians of a cell; `None` when no run went well, or one did not.
struct Middle {
    cpu: Summary,
    wall: f64,
    peak: f64,
    faults: f64,
}

impl Middle {
    fn of(cell: &Cell) -> Option<Middle> {
        if !cell.failures.is_empty() {
            return None;
        }
        let over = |value: fn(&Report) -> f64| summary(cell.runs.iter().map(value));
        Some(Middle {
            cpu: over(|run| run.usage.user + run.usage.system)?,
            wall: over(|run| run.wall)?.median,
            peak: over(Report::peak)?.median,
            faults: over(|run| {
                crate::stats::float(run.usage.minor_faults + run.usage.major_faults)
            })?
            .median,
        })
    }
}

/// The rows of a suite, with the geometric means at the end.
fn table(suite: &SuiteResults) -> String {
    let mut rows = vec![HEADS.map(String::from)];
    let base = base(suite).map_or(0, |(_, column)| column);
    let mut ratios: Vec<(Vec<f64>, Vec<f64>)> = vec![Default::default(); suite.peers.len()];
    for job in &suite.jobs {
        let anchor = job.cells.get(base).and_then(Middle::of);
        for (i, cell) in job.cells.iter().enumerate() {
            let name = if i == 0 { job.name } else { "" };
            let mut row = [name.to_string(), suite.peers[i].0.clone()].to_vec();
            match (Middle::of(cell), &anchor) {
                (Some(middle), anchor) => {
                    let times = |value: f64, of: fn(&Middle) -> f64| {
                        anchor.as_ref().map(|anchor| value / of(anchor))
                    };
                    let cpu = times(middle.cpu.median, |middle| middle.cpu.median);
                    let peak = times(middle.peak, |middle| middle.peak);
                    ratios[i].0.extend(cpu);
                    ratios[i].1.extend(peak);
                    row.extend([
                        format!("{:.3}", middle.cpu.median),
                        format!("{:.3}–{:.3}", middle.cpu.min, middle.cpu.max),
                        ratio(cpu),
                        format!("{:.3}", middle.wall),
                        format!("{:.1}", middle.peak),
                        ratio(peak),
                        format!("{:.0}", middle.faults),
                    ]);
                }
                (None, _) => {
                    row.push("FAILED".into());
                    row.resize(HEADS.len(), "–".into());
                }
            }
            rows.push(row.try_into().unwrap_or_default());
        }
    }
    for (i, (name, _)) in suite.peers.iter().enumerate() {
        let head = if i == 0 { "geometric mean" } else { "" };
        let mut row = [const { String::new() }; HEADS.len()];
        row[0] = head.into();
        row[1].clone_from(name);
        row[3] = format!("of {}", ratios[i].0.len());
        row[4] = ratio(geometric_mean(&ratios[i].0));
        row[7] = ratio(geometric_mean(&ratios[i].1));
        rows.push(row);
    }
    render(&rows)
}

fn ratio(value: Option<f64>) -> String {
    value.map_or("–".into(), |value| format!("{value:.3}"))
}

/// Rows as a Markdown table with even columns.
fn render(rows: &[[String; HEADS.len()]]) -> String {
    let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        text.push('|');
        for (i, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Writing to a string cannot fail.
            let _ = if i < WORDS {
                write!(text, " {cell:<width$} |")
            } else {
                write!(text, " {cell:>width$} |")
            };
        }
        text.push('\n');
        if number == 0 {
            text.push('|');
            for (i, width) in widths.iter().enumerate() {
                let (left, right) = if i < WORDS { (":", "-") } else { ("-", ":") };
                let _ = write!(text, "{left}{}{right}|", "-".repeat(*width));
            }
            text.push('\n');
        }
    }
    text
}

/// What went wrong, one entry a cell: how often, and the first time in full.
fn failures(suite: &SuiteResults) -> String {
    let mut text = String::new();
    for job in &suite.jobs {
        for (cell, (peer, _)) in job.cells.iter().zip(&suite.peers) {
            if let Some(first) = cell.failures.first() {
                let count = cell.failures.len();
                let _ = writeln!(text, "- {} under {peer}, {count} times: {first}", job.name);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests;
