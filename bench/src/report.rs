//! Results as tables: one text for the terminal and for Markdown.
//!
//! ```text
//!   workload   base: CPU s, MiB    a peer: × CPU / × MiB    the next peer ...
//!   ...
//!   geometric mean of each peer, of ours to each peer, of each to the best of a row
//! ```
//!
//! One row a workload and one column an allocator, with two ratios to the base in
//! each cell: time first, then memory. The base's own figures stand in front, so
//! every absolute figure can be had. Below that stand what loads say of themselves,
//! and the counts of page faults and calls. All runs are in the JSON.
//!
//! `report/grid.rs` has the medians and ratios, `report/table.rs` the columns,
//! `report/plots.rs` the pictures.

mod grid;
mod plots;
mod table;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::job::Suite;
use crate::measure::{Results, SuiteResults};
use crate::peers::{BASE, OURS};
use crate::stats::summary;
use grid::{Grid, MEMORY, Middle, TIME, WALL};
pub(crate) use plots::draw;
pub(crate) use table::Table;

/// The mark in Markdown of the table over several suites.
const SUMMARY: &str = "summary";
/// The mark of what was measured without huge pages, all suites of it.
const SMALL_PAGES: &str = "small-pages";
/// A row of ours that takes so many times the best one's time, or
const SLOW: f64 = 1.15;
/// so many times the best one's memory, is named.
const BIG: f64 = 1.25;

/// All tables with what they are worth, for the terminal.
pub(crate) fn text(results: &Results) -> String {
    let mut text = String::new();
    for suite in &results.suites {
        let _ = write!(text, "\n# {}\n\n{}", suite.suite, section(results, suite));
    }
    let _ = write!(text, "\n# {SUMMARY}\n\n{}", overall(results));
    text
}

/// Puts each table into a Markdown file between its marks. Without huge pages all have one
/// place of their own.
pub(crate) fn write(results: &Results, file: &Path) -> Result<()> {
    let mut text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    if !results.huge_pages {
        text = replace(&text, SMALL_PAGES, &small_pages(results))
            .with_context(|| format!("{} has no marks for {SMALL_PAGES}", file.display()))?;
        return Ok(fs::write(file, text)?);
    }
    for suite in &results.suites {
        text = replace(&text, suite.suite, &section(results, suite))
            .with_context(|| format!("{} has no marks for {}", file.display(), suite.suite))?;
    }
    // Parts of the loads have no business in the means over all of them.
    if OVERALL.iter().all(|name| results.suites.iter().any(|suite| suite.suite == name.name())) {
        text = replace(&text, SUMMARY, &overall(results))
            .with_context(|| format!("{} has no marks for {SUMMARY}", file.display()))?;
    }
    Ok(fs::write(file, text)?)
}

/// The text with `section` between the marks of `suite`.
pub(crate) fn replace(text: &str, suite: &str, section: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {suite}: begin -->\n"), format!("<!-- {suite}: end -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{section}\n{end}{after}"))
}

/// One suite: the facts about the measuring, the table, the failures.
fn section(results: &Results, suite: &SuiteResults) -> String {
    let mut text = facts(results, suite);
    let grid = Grid::of(suite);
    text.push_str(&times(&grid).render());
    for (about, table) in [
        ("Figures of the loads themselves (medians, smaller is better):", figures(suite)),
        (
            "Page faults / calls of the kernel about memory, where those were counted:",
            counts(&grid),
        ),
    ] {
        if !table.is_empty() {
            let _ = write!(text, "\n{about}\n\n{}", table.render());
        }
    }
    text.push_str(&failures(suite));
    text
}

/// All suites together: the facts once, the means, and of each the table of times.
fn small_pages(results: &Results) -> String {
    let mut text = results.suites.first().map_or_else(String::new, |suite| facts(results, suite));
    text.push_str(&overall(results));
    for suite in &results.suites {
        let table = times(&Grid::of(suite)).render();
        let _ = write!(text, "\nThe table `{}`:\n\n{table}{}", suite.suite, failures(suite));
    }
    text
}

/// What was measured, where, and how.
fn facts(results: &Results, suite: &SuiteResults) -> String {
    let machine = &results.machine;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "- {name}: {value}");
    };
    if results.short {
        line("beware", "short jobs (`--quick`): these figures show only that the command works");
    }
    line("date and commit", &format!("{}, {}", machine.date, machine.commit));
    line("machine", &format!("{} × {}, {} GiB", machine.cpus, machine.cpu, machine.memory));
    let huge_pages = if results.huge_pages {
        format!("`{}`", machine.huge_pages)
    } else {
        "off for the measured processes".into()
    };
    line(
        "system",
        &format!(
            "{}, Linux {}, huge pages {}, load {} at the start",
            machine.system, machine.kernel, huge_pages, machine.load
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
    line(
        "ratios",
        &format!(
            "CPU time / peak resident memory, to {}, smaller is better",
            base(&Grid::of(suite).peers).0
        ),
    );
    line("command", &format!("`{}`", results.command));
    text.push('\n');
    text
}

/// The allocator that ratios refer to, and its column: mimalloc, or else the first.
fn base(peers: &[String]) -> (&str, usize) {
    let column = peers.iter().position(|name| name == BASE).unwrap_or(0);
    (peers.get(column).map_or("?", String::as_str), column)
}

/// One row a workload, and the means below.
fn times(grid: &Grid) -> Table {
    let (name, base) = base(&grid.peers);
    let others: Vec<usize> = (0..grid.peers.len()).filter(|column| *column != base).collect();
    let heads = ["workload".into(), format!("{name}: CPU s"), "MiB".into(), "spread".into()];
    let mut table =
        Table::new(heads.into_iter().chain(others.iter().map(|i| grid.peers[*i].clone())));
    for row in &grid.rows {
        let anchor = row.cells[base].as_ref();
        let own = |of: fn(&Middle) -> String| anchor.map_or("FAILED".into(), of);
        let spread = row.spread().map_or("–".into(), |spread| format!("{:.0}%", spread * 100.0));
        let mut cells = vec![
            row.name.to_string(),
            own(|middle| format!("{:.3}", middle.cpu.median)),
            own(|middle| format!("{:.1}", middle.peak)),
            spread,
        ];
        cells.extend(others.iter().map(|column| match &row.cells[*column] {
            None => "FAILED".into(),
            Some(_) => pair(row.ratio(*column, base, TIME), row.ratio(*column, base, MEMORY)),
        }));
        table.row(cells);
    }
    let mut mean = |name: &str, base_too: bool, of: &dyn Fn(usize) -> (String, usize)| {
        let (own, rows) = of(base);
        let own = if base_too { own } else { String::new() };
        let mut cells = vec![name.to_string(), own, String::new(), format!("of {rows}")];
        cells.extend(others.iter().map(|column| {
            let (text, covered) = of(*column);
            // A mean over fewer rows is another mean.
            if covered == rows { text } else { format!("{text} of {covered}") }
        }));
        table.row(cells);
    };
    let both = |one: &dyn Fn(grid::Measure) -> (Option<f64>, usize)| {
        (pair(one(TIME).0, one(MEMORY).0), one(TIME).1)
    };
    mean("geometric mean", false, &|column| both(&|of| grid.mean(column, base, of)));
    mean("the same by the clock", false, &|column| {
        let (value, rows) = grid.mean(column, base, WALL);
        (ratio(value), rows)
    });
    if let Some(ours) = grid.column(OURS) {
        let name = format!("{OURS} to each");
        mean(&name, true, &|column| both(&|of| grid.mean(ours, column, of)));
    }
    mean("to the best of each row", true, &|column| both(&|of| grid.mean_to_best(column, of)));
    table
}

/// What loads say of themselves: a row for each figure, absolute. Their peak is in
/// the table above.
fn figures(suite: &SuiteResults) -> Table {
    let heads = suite.peers.iter().map(|(name, _)| name.as_str());
    let mut table = Table::new(["figure"].into_iter().chain(heads));
    for job in &suite.jobs {
        let reports = || job.cells.iter().flat_map(|cell| &cell.runs);
        let mut names: Vec<&String> = reports().flat_map(|run| run.figures.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names.into_iter().filter(|name| *name != "peak_mib") {
            let mut cells = vec![format!("{}: {}", job.name, name.replace('_', " "))];
            cells.extend(job.cells.iter().map(|cell| {
                let values = cell.runs.iter().filter_map(|run| run.figures.get(name).copied());
                summary(values).map_or("–".into(), |summary| short(summary.median))
            }));
            table.row(cells);
        }
    }
    table
}

/// Page faults and calls, absolute.
fn counts(grid: &Grid) -> Table {
    let mut table = Table::new(["workload".to_string()].into_iter().chain(grid.peers.clone()));
    for row in &grid.rows {
        let mut cells = vec![row.name.to_string()];
        cells.extend(row.cells.iter().map(|cell| match cell {
            None => "FAILED".into(),
            Some(middle) => {
                let calls = middle.calls.map_or("–".into(), |calls| calls.to_string());
                format!("{:.0} / {calls}", middle.faults)
            }
        }));
        table.row(cells);
    }
    table
}

/// Suites that count in the means over all: unmodified programs and loads on C's
/// functions, which every allocator runs.
pub(crate) const OVERALL: [Suite; 3] = [Suite::Programs, Suite::Stress, Suite::Adverse];

/// The means over programs and loads together, and where ours is far from the best.
fn overall(results: &Results) -> String {
    let counted = |suite: &&SuiteResults| OVERALL.iter().any(|name| name.name() == suite.suite);
    let grids: Vec<Grid> = results.suites.iter().filter(counted).map(Grid::of).collect();
    let grid = Grid::join(&grids);
    if grid.rows.is_empty() {
        return "Neither programs nor loads were measured.\n".into();
    }
    let (name, base) = base(&grid.peers);
    let ours = grid.column(OURS);
    let heads = [
        "allocator".into(),
        format!("to {name}"),
        "by the clock".into(),
        format!("{OURS} to it"),
        "to the best of each row".into(),
        "rows".into(),
    ];
    let mut table = Table::new(heads);
    for (column, peer) in grid.peers.iter().enumerate() {
        let mean = |of| grid.mean(column, base, of).0;
        let us = |of| grid.mean(ours?, column, of).0;
        let best = |of| grid.mean_to_best(column, of).0;
        table.row([
            peer.clone(),
            pair(mean(TIME), mean(MEMORY)),
            ratio(mean(WALL)),
            pair(us(TIME), us(MEMORY)),
            pair(best(TIME), best(MEMORY)),
            grid.mean(column, base, TIME).1.to_string(),
        ]);
    }
    let mut text =
        format!("{} rows: CPU time / peak memory.\n\n{}", grid.rows.len(), table.render());
    let Some(ours) = ours else { return text };
    let far: Vec<String> = grid
        .rows
        .iter()
        .filter_map(|row| {
            let (time, memory) = (row.to_best(ours, TIME)?, row.to_best(ours, MEMORY)?);
            let far = time > SLOW || memory > BIG;
            far.then(|| format!("{} {}", row.name, pair(Some(time), Some(memory))))
        })
        .collect();
    if !far.is_empty() {
        let _ = writeln!(
            text,
            "\n{OURS} takes over {SLOW} times the time or {BIG} times the memory of the best in {}: {}.",
            far.len(),
            far.join("; ")
        );
    }
    text
}

fn ratio(value: Option<f64>) -> String {
    value.map_or("–".into(), |value| format!("{value:.2}"))
}

fn pair(left: Option<f64>, right: Option<f64>) -> String {
    format!("{} / {}", ratio(left), ratio(right))
}

/// A figure with three digits that matter.
fn short(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// What went wrong, one entry a cell: how often, and the first time in full. Nothing when
/// all went well.
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
    if text.is_empty() {
        return text;
    }
    // A peer's last words may name its sources, which lie in this checkout.
    let root = crate::artifacts::root();
    format!("\nFailures:\n\n{}", text.replace(&format!("{}/", root.display()), ""))
}

#[cfg(test)]
mod tests;
