//! All the trials of all the columns.

use super::Arguments;
use super::rates::Count;
use super::trial;
use super::zygote::Record;
use allod_checks::child;
use serde::Serialize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A library as it is tried.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// As it stands above the table.
    pub(crate) name: String,
    /// `None` for the system's own.
    library: Option<PathBuf>,
    conf: Option<String>,
}

/// One row of a column.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) family: &'static str,
    /// For families that it matters to: whether the memory was handed out again
    /// before the deed, or the program had at least tried to get it.
    pub(crate) reused: Option<bool>,
    #[serde(flatten)]
    pub(crate) count: Count,
    /// A few trials that were not detected, to be repeated.
    pub(crate) missed: Vec<usize>,
    /// What the first controls did that did not end well.
    pub(crate) alarms: Vec<String>,
}

/// What came of one column.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) column: String,
    pub(crate) rows: Vec<Row>,
}

/// Trials that one zygote is asked for.
const BATCH: usize = 200;

/// How long a zygote may take: most of its children take a millisecond.
const LIMIT: Duration = Duration::from_secs(1200);

/// The columns that the arguments ask for.
pub(crate) fn columns(arguments: &Arguments) -> Result<Vec<Column>, String> {
    let mut columns = Vec::new();
    for library in &arguments.library {
        if library == "glibc" {
            columns.push(Column { name: "glibc".to_owned(), library: None, conf: None });
            continue;
        }
        let (name, path) = library
            .split_once('=')
            .map_or((None, library.as_str()), |(name, path)| (Some(name), path));
        let path = Path::new(path).canonicalize().map_err(|error| format!("{path}: {error}"))?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = file.split(".so").next().unwrap_or(&file);
        let name = name.unwrap_or(stem.strip_prefix("lib").unwrap_or(stem)).to_owned();
        let ours = file.starts_with("liballod");
        let confs = if ours { arguments.conf.as_slice() } else { &[] };
        for conf in confs {
            let name = format!("{name} {}", conf.strip_prefix("harden:").unwrap_or(conf))
                .trim_end()
                .to_owned();
            let conf = (!conf.is_empty()).then(|| conf.clone());
            columns.push(Column { name, library: Some(path.clone()), conf });
        }
        if confs.is_empty() {
            columns.push(Column { name, library: Some(path), conf: None });
        }
    }
    if columns.is_empty() {
        return Err("which library? --library PATH, or --library glibc".to_owned());
    }
    Ok(columns)
}

/// Runs everything, batches of one column beside each other.
pub(crate) fn all(columns: &[Column], arguments: &Arguments) -> Result<Vec<Results>, String> {
    columns.iter().map(|column| one(column, arguments)).collect()
}

fn one(column: &Column, arguments: &Arguments) -> Result<Results, String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let found: Mutex<Result<Vec<Record>, String>> = Mutex::new(Ok(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.unwrap_or(cores) {
            scope.spawn(|| {
                loop {
                    // ORDERING: Relaxed, the numbers have only to differ.
                    let first = next.fetch_add(BATCH, Ordering::Relaxed);
                    if first >= arguments.trials {
                        return;
                    }
                    let numbers = first..(first + BATCH).min(arguments.trials);
                    let records = batch(column, arguments, numbers);
                    let Ok(mut found) = found.lock() else { return };
                    match (&mut *found, records) {
                        (Ok(all), Ok(records)) => all.extend(records),
                        (Ok(_), Err(words)) => *found = Err(words),
                        (Err(_), _) => return,
                    }
                }
            });
        }
    });
    let records = found.into_inner().map_err(|_| "a thread panicked")??;
    Ok(Results { column: column.name.clone(), rows: rows(&records, arguments)? })
}

/// Runs some trials from one zygote.
pub(crate) fn batch(
    column: &Column,
    arguments: &Arguments,
    numbers: Range<usize>,
) -> Result<Vec<Record>, String> {
    let mut command = Command::new("/proc/self/exe");
    command.env_remove("LD_PRELOAD").env_remove("ALLOD_CONF");
    if let Some(library) = &column.library {
        command.env("LD_PRELOAD", library);
    }
    if let Some(conf) = &column.conf {
        command.env("ALLOD_CONF", conf);
    }
    command.args(["--seed", &arguments.seed.to_string()]);
    for word in &arguments.families {
        command.args(["--families", word]);
    }
    command.args(["--zygote", &numbers.start.to_string(), &numbers.end.to_string()]);
    let output = child::run(&mut command, LIMIT).map_err(|error| error.to_string())?;
    let complaint = || format!("{}: {}: {}", column.name, output.end, output.stderr.trim());
    // What the library says about its options, or the loader about the library.
    if output.end != child::End::Exit(0) || !output.stderr.is_empty() {
        return Err(complaint());
    }
    let records: Result<Vec<Record>, _> =
        output.stdout.lines().map(serde_json::from_str::<Record>).collect();
    let records = records.map_err(|error| format!("{}: {error}", complaint()))?;
    if records.len() == numbers.len() { Ok(records) } else { Err(complaint()) }
}

/// The records, counted by family.
fn rows(records: &[Record], arguments: &Arguments) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for family in trial::choose(&arguments.families)? {
        let parts: &[Option<bool>] =
            if family.splits { &[Some(false), Some(true)] } else { &[None] };
        for reused in parts {
            let (mut count, mut missed, mut alarms) = (Count::default(), Vec::new(), Vec::new());
            let of_part = |record: &&Record| {
                record.family == family.name && reused.is_none_or(|reused| reused == record.reused)
            };
            for record in records.iter().filter(of_part) {
                count.add(record);
                if !record.verdict.is_detected() {
                    missed.push(record.number);
                }
                alarms.extend(
                    record
                        .false_alarm
                        .as_ref()
                        .map(|words| format!("trial {}: {words}", record.number)),
                );
            }
            missed.sort_unstable();
            missed.truncate(8);
            alarms.truncate(8);
            rows.push(Row { family: family.name, reused: *reused, count, missed, alarms });
        }
    }
    Ok(rows)
}
