//! Tables.

use super::Arguments;
use super::families::FAMILIES;
use super::rates::{Count, interval};
use super::run::{Results, Row};
use std::fmt::Write;

/// Prints what came of the trials, the way the arguments say.
pub(crate) fn print(results: &[Results], arguments: &Arguments) -> Result<(), String> {
    if arguments.json {
        let text = serde_json::to_string_pretty(results).map_err(|error| error.to_string())?;
        println!("{text}");
    } else if arguments.markdown {
        println!("{}", tables(results));
    } else if arguments.write.is_none() {
        results.iter().for_each(|column| print!("{}", plain(column)));
    }
    if let Some(file) = &arguments.write {
        std::fs::write(file, document(results, arguments))
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

/// The row's name in tables.
fn name(row: &Row) -> String {
    match row.reused {
        None => row.family.to_owned(),
        Some(false) => format!("{}, before reuse", row.family),
        Some(true) => format!("{}, after reuse", row.family),
    }
}

fn percent(part: f64) -> String {
    let number = part * 100.0;
    if number > 0.0 && number < 10.0 { format!("{number:.1}") } else { format!("{number:.0}") }
}

/// A rate with its interval: `97% (94-99)`.
fn rate(hits: usize, trials: usize) -> String {
    if trials == 0 {
        return "none".to_owned();
    }
    let (low, high) = interval(hits, trials);
    format!("{}% ({}-{})", percent(hits as f64 / trials as f64), percent(low), percent(high))
}

/// One column for a terminal, with the trials to look at.
fn plain(results: &Results) -> String {
    let mut text = format!("{}\n", results.column);
    let head = [
        "trials",
        "detected",
        "named",
        "other",
        "page",
        "late",
        "crash",
        "harm",
        "no effect",
        "alarms",
    ];
    let _ = write!(text, "  {:<40}", "");
    let _ = write!(text, "{:>7} {:>18}", head[0], head[1]);
    for word in &head[2..] {
        let _ = write!(text, " {word:>9}");
    }
    text.push('\n');
    for row in &results.rows {
        let c = &row.count;
        let _ =
            write!(text, "  {:<40}{:>7} {:>18}", name(row), c.trials, rate(c.detected(), c.trials));
        for number in [
            c.named,
            c.stopped,
            c.guarded,
            c.late,
            c.crashed,
            c.harmed,
            c.without_effect,
            c.false_alarms,
        ] {
            let _ = write!(text, " {number:>9}");
        }
        if !row.missed.is_empty() {
            let _ = write!(text, "  missed: {:?}", row.missed);
        }
        text.push('\n');
        for alarm in &row.alarms {
            let _ = writeln!(text, "    FALSE ALARM {alarm}");
        }
    }
    text
}

/// One table over all columns.
fn matrix(results: &[Results], cell: impl Fn(&Count) -> String) -> String {
    let Some(first) = results.first() else { return String::new() };
    let names: Vec<&str> = results.iter().map(|column| column.column.as_str()).collect();
    let mut text =
        format!("| family | {} |\n|---|{}\n", names.join(" | "), "---:|".repeat(names.len()));
    for (place, row) in first.rows.iter().enumerate() {
        let cells: Vec<String> = results
            .iter()
            .filter_map(|column| column.rows.get(place))
            .map(|row| cell(&row.count))
            .collect();
        let _ = writeln!(text, "| {} | {} |", name(row), cells.join(" | "));
    }
    text
}

/// Everything of one column.
fn details(results: &Results) -> String {
    let mut text = String::from(
        "| family | trials | named | other line | page | of these late | crashed | harmed | without effect | false alarms |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in &results.rows {
        let c = &row.count;
        let numbers = [
            c.trials,
            c.named,
            c.stopped,
            c.guarded,
            c.late,
            c.crashed,
            c.harmed,
            c.without_effect,
            c.false_alarms,
        ];
        let cells: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "| {} | {} |", name(row), cells.join(" | "));
    }
    text
}

fn tables(results: &[Results]) -> String {
    let mut text = String::from("## Detected\n\n");
    text += &matrix(results, |count| rate(count.detected(), count.trials));
    text += "\n## Harm done, undetected\n\n";
    text += &matrix(results, |count| rate(count.harmed, count.trials));
    text += "\n## False alarms, in controls\n\n";
    let sums: Vec<String> = results
        .iter()
        .map(|column| {
            let (alarms, controls) = column.rows.iter().fold((0, 0), |(alarms, controls), row| {
                (alarms + row.count.false_alarms, controls + row.count.trials)
            });
            format!("* {}: {alarms} of {controls}", column.column)
        })
        .collect();
    text += &sums.join("\n");
    text.push('\n');
    for column in results {
        let _ = write!(text, "\n## {}, in full\n\n{}", column.column, details(column));
    }
    text
}

/// The whole document.
fn document(results: &[Results], arguments: &Arguments) -> String {
    let mut text = format!(
        "# Attacks\n\n\
         Made by `cargo run --release -p allod-checks --bin attack -- --trials {} --seed {} --write docs/attacks.md`,\n\
         with a `--library` for each column and a `--conf` for each of our levels. Not to be edited.\n\n\
         A trial is a program that does one wrong thing, drawn at random: the family, the size of the object (1 byte to\n\
         4 MiB, uniform in its logarithm), the same thread or another, at once, later, or after the program has the memory\n\
         again. Every column has the same trials. Its control is the same program without the wrong thing.\n\n\
         *Detected* is a stop on purpose: a line and an abort, or an access to a page that the allocator has closed,\n\
         whenever it comes, at exit at the latest. A crash in the allocator, in later work, or in a hole of the address\n\
         space is not counted: it is luck. *Harm* is memory handed out twice or from elsewhere, a neighbour's bytes\n\
         changed, a secret read. What is neither detected nor harm was borne. Percentages, with Wilson's intervals at 95%.\n\n\
         *Before reuse* and *after reuse* say whether the memory was handed out again before the wrong thing was done,\n\
         or the program had asked for it many times; where it was, a second free is nothing that an allocator could tell\n\
         from a first.\n\n",
        arguments.trials, arguments.seed,
    );
    text += &tables(results);
    text += "\n## The families\n\n| family | what is done |\n|---|---|\n";
    for family in FAMILIES {
        let _ = writeln!(text, "| {} | {} |", family.name, family.what);
    }
    text
}
