//! Operations of `allod-kit` beside those of other crates, each on its own home
//! ground.
//!
//! ```text
//! cargo run --release --manifest-path bench/kit/Cargo.toml -- --count           # all rows
//! cargo run --release --manifest-path bench/kit/Cargo.toml -- --time bump       # rows with that word
//! cargo run --release --manifest-path bench/kit/Cargo.toml -- --count --write BENCHMARKS.md
//! ```
//!
//! `--count` runs every contender of a row under callgrind and counts the
//! instructions of its measured part: the same each time, so a machine that
//! does other things as well can do it. `--time` measures by the clock, which
//! wants a machine that does nothing else: contenders take turns, and what is
//! compared are neighbours in time.
//!
//! Read in this order: `meter` (what a row is written with), `rows` (the rows, a
//! file for each family), `count`, `time`, `table`.

mod meter;
mod rows;
mod count;
mod time;
mod table;

use anyhow::{Context, Result, bail};
use lexopt::Arg;
use meter::{Meter, Row};
use std::path::PathBuf;

const USAGE: &str = "\
usage: allod-bench-kit (--count | --time [--quick]) [--write FILE] [WORD]...

  --count       instructions per operation, by callgrind
  --time        nanoseconds per operation
  --quick       three rounds instead of 21: to see that all rows run
  --write FILE  puts the table between the marks of this Markdown file
  --list        only names the rows
  WORD          only rows whose name has one of the words; not with --write";

enum Verb {
    Count,
    Time,
    List,
}

fn main() -> Result<()> {
    let (mut verb, mut file, mut words) = (None, None, Vec::new());
    let mut rounds = time::ROUNDS;
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("count") => verb = Some(Verb::Count),
            Arg::Long("time") => verb = Some(Verb::Time),
            Arg::Long("quick") => rounds = 3,
            Arg::Long("list") => verb = Some(Verb::List),
            Arg::Long("write") => file = Some(PathBuf::from(arguments.value()?)),
            // What `count` starts under callgrind.
            Arg::Long("child") => {
                let row = arguments.value()?.to_string_lossy().into_owned();
                let contender = arguments.value()?.to_string_lossy().into_owned();
                return child(&row, &contender);
            }
            Arg::Value(word) => words.push(word.to_string_lossy().into_owned()),
            Arg::Long("help") | Arg::Short('h') => {
                println!("{USAGE}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let Some(verb) = verb else { bail!("{USAGE}") };
    if file.is_some() && !words.is_empty() {
        bail!("a table is written whole or not at all");
    }
    let mut rows = rows::all();
    let chosen = |row: &Row| words.iter().any(|word| row.name.contains(word.as_str()));
    rows.retain(|row| words.is_empty() || chosen(row));
    let (results, mark, unit) = match verb {
        Verb::Count => {
            (count::all(&rows)?, "kit", "Instructions for each operation, by callgrind.")
        }
        Verb::Time => (time::all(&rows, rounds), "kit times", "Nanoseconds for each operation."),
        Verb::List => {
            rows.iter().for_each(|row| println!("{}", row.name));
            return Ok(());
        }
    };
    let table = table::markdown(unit, &results);
    print!("{table}");
    if let Some(file) = file {
        table::write(&file, mark, &table)?;
    }
    Ok(())
}

/// Runs one contender of one row, in the way that callgrind counts.
fn child(row: &str, contender: &str) -> Result<()> {
    let rows = rows::all();
    let row = rows.iter().find(|it| it.name == row).context("no such row")?;
    let contender = row.contenders.iter().find(|it| it.name == contender);
    let mut meter = Meter::counting();
    (contender.context("no such contender")?.run)(&mut meter);
    // For figures, which need no callgrind.
    if let Some(figure) = meter.figure() {
        println!("{figure}");
    }
    Ok(())
}
