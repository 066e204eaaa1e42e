//! A row in its own process.
//!
//! The parent starts this same program again with `--here NAME` and the
//! library preloaded, and reads one line of its output: a word and a remark.
//! No such line means that the process ended before the row did.

use crate::row::{Context, Passed, Row};
use crate::{Arguments, rows};
use allod_checks::{c, child};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

/// What came of a row.
#[derive(Debug, Serialize)]
pub(crate) struct Result {
    pub(crate) row: u8,
    pub(crate) check: &'static str,
    pub(crate) expected: &'static str,
    pub(crate) source: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) remark: String,
    pub(crate) milliseconds: u128,
}

/// The three words of a row's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Pass,
    Fail,
    Skip,
}

/// What came of all of them.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    /// The file that `malloc` came from.
    pub(crate) served_by: String,
    pub(crate) rows: Vec<Result>,
}

/// The line starts with this, so that nothing else is taken for it.
const MARK: &str = "probe-row:";

/// Runs the rows, one after the other.
pub(crate) fn all(
    chosen: &[&'static Row],
    arguments: &Arguments,
) -> std::result::Result<Results, String> {
    let library = arguments.preload.as_deref().map(absolute).transpose()?;
    let served_by = who_serves(library.as_deref())?;
    let rows = chosen.iter().map(|row| one(row, library.as_deref(), arguments)).collect();
    Ok(Results { served_by, rows })
}

/// The rows that a list like `1-7,23,free-errno` names; all without a list.
pub(crate) fn choose(
    rows: Vec<&'static Row>,
    list: Option<&str>,
) -> std::result::Result<Vec<&'static Row>, String> {
    let Some(list) = list else { return Ok(rows) };
    let mut chosen = Vec::new();
    for word in list.split(',') {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let range = first.parse::<u8>().and_then(|first| Ok(first..=last.parse::<u8>()?)).ok();
        let before = chosen.len();
        chosen.extend(rows.iter().copied().filter(|row| {
            range.as_ref().map_or(row.name == word, |range| range.contains(&row.number))
        }));
        if chosen.len() == before {
            return Err(format!("no row is called {word}"));
        }
    }
    Ok(chosen)
}

/// Runs one row in this process and says what came of it.
pub(crate) fn here(name: &str, arguments: &Arguments) -> ExitCode {
    let Some(row) = rows().into_iter().find(|row| row.name == name) else {
        return ExitCode::from(2);
    };
    let (word, remark) = match check(row, arguments) {
        Ok(Passed::Yes(remark)) => ("pass", remark),
        Ok(Passed::Skip(remark)) => ("skip", remark),
        Err(remark) => ("fail", remark),
    };
    println!("{MARK}{word}:{}", remark.replace('\n', " "));
    ExitCode::SUCCESS
}

fn check(row: &Row, arguments: &Arguments) -> crate::row::Outcome {
    if let Some(meant) = &arguments.preload {
        let serves = c::who_serves().ok_or("nobody serves malloc")?;
        if *meant != serves {
            return Err(format!("malloc is served by {}", serves.display()));
        }
    }
    (row.check)(&Context { preload: arguments.preload.clone(), long: arguments.long })
}

fn one(row: &'static Row, library: Option<&Path>, arguments: &Arguments) -> Result {
    let mut command = myself(library);
    command.args(["--here", row.name]);
    if let Some(library) = library {
        command.arg("--preload").arg(library);
    }
    if arguments.long {
        command.arg("--long");
    }
    let longer = if arguments.long { 10 } else { 1 };
    let limit = Duration::from_secs(u64::from(row.seconds * longer * arguments.patience));
    let (outcome, remark, time) = match child::run(&mut command, limit) {
        Ok(output) => {
            let (outcome, remark) = read(&output);
            (outcome, remark, output.time)
        }
        Err(error) => (Outcome::Fail, error.to_string(), Duration::ZERO),
    };
    Result {
        row: row.number,
        check: row.name,
        expected: row.expected,
        source: row.source,
        outcome,
        remark,
        milliseconds: time.as_millis(),
    }
}

/// The row's own words, or how its process ended without any.
fn read(output: &child::Output) -> (Outcome, String) {
    let line = output.stdout.lines().find_map(|line| line.strip_prefix(MARK)?.split_once(':'));
    let last = output.stderr.lines().last().unwrap_or_default();
    match line {
        Some(("pass", remark)) if output.end == child::End::Exit(0) => {
            (Outcome::Pass, remark.to_owned())
        }
        Some(("skip", remark)) => (Outcome::Skip, remark.to_owned()),
        Some(("fail", remark)) if last.is_empty() => (Outcome::Fail, remark.to_owned()),
        // What a child of the row said before it ended, if anything.
        Some(("fail", remark)) => (Outcome::Fail, format!("{remark}: {last}")),
        Some(_) => (Outcome::Fail, format!("passed, then ended with {}: {last}", output.end)),
        None => (Outcome::Fail, format!("{}: {last}", output.end)),
    }
}

/// This program again, with a library preloaded or with none.
pub(crate) fn myself(library: Option<&Path>) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.env_remove("LD_PRELOAD");
    if let Some(library) = library {
        command.env("LD_PRELOAD", library);
    }
    command
}

fn who_serves(library: Option<&Path>) -> std::result::Result<String, String> {
    let mut command = myself(library);
    command.args(["--helper", "served"]);
    let output = child::run(&mut command, Duration::from_secs(20)).map_err(|e| e.to_string())?;
    let served = output.stdout.trim().to_owned();
    match library {
        Some(library) if Path::new(&served) != library => Err(format!(
            "{} does not serve malloc; {} ({}) {}",
            library.display(),
            if served.is_empty() { "the program does not start" } else { &served },
            output.end,
            output.stderr.trim(),
        )),
        _ => Ok(served),
    }
}

fn absolute(path: &Path) -> std::result::Result<PathBuf, String> {
    path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))
}
