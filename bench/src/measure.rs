//! `measure`: what does each program cost under each allocator?
//!
//! For each job, one checked run under each allocator: it proves who serves,
//! gives the answer that is expected, and fills the file cache. Then the
//! rounds. In each round every allocator runs once, in an order shuffled anew,
//! and before each run a helper touches a fixed amount of memory. So whatever
//! drifts on the machine drifts for all, and nobody always runs first.
//!
//! A run that fails or answers differently is told, in the tables too, and
//! makes the command fail. Its figures count for nothing.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use fastrand::Rng;
use serde::Serialize;

use crate::MeasureArguments;
use crate::artifacts;
use crate::inputs::SEED;
use crate::install;
use crate::job::{Form, Job, Suite};
use crate::jobs;
use crate::machine::{self, Machine};
use crate::peers::{self, Library};
use crate::plan::Report;
use crate::report;
use crate::run::{Run, Yard};
use crate::transcript;

/// Everything that was found.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    /// Where and when.
    pub(crate) machine: Machine,
    /// How the command was called.
    pub(crate) command: String,
    /// Measured runs for each cell.
    pub(crate) rounds: u32,
    /// MiB touched before each run.
    pub(crate) warm: u32,
    /// Short jobs: figures only show that the command works.
    pub(crate) short: bool,
    /// The programs' packages and their versions.
    pub(crate) programs: Vec<(String, String)>,
    /// A table each.
    pub(crate) suites: Vec<SuiteResults>,
}

/// One table.
#[derive(Debug, Serialize)]
pub(crate) struct SuiteResults {
    /// The suite's name.
    pub(crate) suite: &'static str,
    /// Allocators and their versions, in order.
    pub(crate) peers: Vec<(String, String)>,
    /// The rows.
    pub(crate) jobs: Vec<JobResults>,
}

/// One program.
#[derive(Debug, Serialize)]
pub(crate) struct JobResults {
    /// The job's name.
    pub(crate) name: &'static str,
    /// One entry for each allocator of the table, in its order.
    pub(crate) cells: Vec<Cell>,
}

/// One program under one allocator.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Cell {
    /// The runs that went well.
    pub(crate) runs: Vec<Report>,
    /// What went wrong.
    pub(crate) failures: Vec<String>,
}

/// An allocator of a suite, with the directory of binaries to run.
struct Column {
    library: Library,
    binaries: Option<PathBuf>,
}

/// Runs the command. False when anything failed.
pub(crate) fn main(arguments: &MeasureArguments) -> Result<bool> {
    jobs::check_names(&arguments.suite, &arguments.only)?;
    let peers = peers::select(&arguments.peers)?;
    let form = if arguments.ci { Form::Short } else { Form::Full };
    let machine = Machine::here();
    let mut yard = Yard::new(artifacts::helpers()?)?;
    let mut packages = Vec::new();
    let mut suites = Vec::new();
    let mut random = Rng::with_seed(SEED);
    for suite in Suite::ALL.into_iter().filter(|suite| arguments.suite.contains(suite)) {
        let mut jobs = jobs::of(suite, &arguments.only);
        jobs.retain(|job| job.measured);
        if jobs.is_empty() {
            continue;
        }
        let needs: Vec<_> = jobs.iter().flat_map(|job| job.needs).collect();
        install::ensure(&needs)?;
        packages.extend(needs.iter().map(|need| need.package));
        let mut columns = Vec::new();
        for peer in &peers {
            columns.extend(match (suite, peer.inside) {
                (Suite::Rust, None) => None,
                (Suite::Rust, Some(inside)) => {
                    let programs = artifacts::build_programs(inside.feature)?;
                    let binaries = Some(yard.freeze_programs(peer.name, &programs)?);
                    Some(Column { library: peer.compiled_in()?, binaries })
                }
                _ => Some(Column { library: yard.freeze(peer.library()?)?, binaries: None }),
            });
        }
        let mut results = SuiteResults {
            suite: suite.name(),
            peers: columns
                .iter()
                .map(|column| (column.library.name.clone(), column.library.version.clone()))
                .collect(),
            jobs: Vec::new(),
        };
        for job in jobs {
            eprintln!("{}", job.name);
            let cells = measure(&mut yard, job, form, &columns, arguments, &mut random)?;
            for (column, cell) in columns.iter().zip(&cells) {
                for failure in &cell.failures {
                    eprintln!("    {}: {failure}", column.library.name);
                }
            }
            results.jobs.push(JobResults { name: job.name, cells });
        }
        suites.push(results);
    }
    // `--only openssl` names a job that is only compared. Silence would look like success.
    ensure!(!suites.is_empty(), "none of these jobs is measured");
    let results = Results {
        machine,
        command: command(),
        rounds: arguments.rounds,
        warm: arguments.warm,
        short: arguments.ci,
        programs: machine::program_versions(&packages),
        suites,
    };
    print!("{}", report::text(&results));
    if let Some(file) = &arguments.json {
        serde_json::to_writer(BufWriter::new(File::create(file)?), &results)?;
    }
    if let Some(file) = &arguments.write {
        report::write(&results, file)?;
    }
    let mut cells = results.suites.iter().flat_map(|suite| &suite.jobs).flat_map(|job| &job.cells);
    Ok(cells.all(|cell| cell.failures.is_empty()))
}

/// Measures one job under all allocators.
fn measure(
    yard: &mut Yard,
    job: &Job,
    form: Form,
    columns: &[Column],
    arguments: &MeasureArguments,
    random: &mut Rng,
) -> Result<Vec<Cell>> {
    let place = yard.prepare(job, form)?;
    let mut cells: Vec<Cell> = columns.iter().map(|_| Cell::default()).collect();
    let mut expected: Option<String> = None;
    let mut run = |column: &Column, checked: bool| -> Result<Run> {
        let mut place = place.clone();
        if let Some(binaries) = &column.binaries {
            place.binaries.clone_from(binaries);
        }
        yard.warm(if checked { 0 } else { arguments.warm })?;
        yard.run(job, &place, &column.library, checked)
    };
    for (column, cell) in columns.iter().zip(&mut cells) {
        match run(column, true) {
            Ok(run) => {
                cell.failures.extend(run.doubt);
                let wanted = expected.get_or_insert_with(|| run.transcript.clone());
                cell.judge(wanted, &run.transcript);
            }
            Err(error) => cell.failures.push(format!("{error:#}")),
        }
    }
    for _ in 0..arguments.rounds {
        let mut order: Vec<usize> = (0..columns.len()).collect();
        random.shuffle(&mut order);
        for i in order {
            let cell = &mut cells[i];
            match (run(&columns[i], false), &expected) {
                (Ok(run), Some(wanted)) => {
                    if cell.judge(wanted, &run.transcript) {
                        cell.runs.push(run.report);
                    }
                }
                (Ok(_), None) => cell.failures.push("there is no answer to compare with".into()),
                (Err(error), _) => cell.failures.push(format!("{error:#}")),
            }
        }
    }
    Ok(cells)
}

impl Cell {
    /// Compares an answer with the one expected, and notes a failure.
    fn judge(&mut self, expected: &str, found: &str) -> bool {
        let difference = transcript::difference(expected, found);
        if !difference.is_empty() {
            self.failures.push(format!("answered differently:\n{}", difference.trim_end()));
        }
        difference.is_empty()
    }
}

/// The command line for somebody who wants to do the same, without the places
/// that we wrote the results to.
fn command() -> String {
    let mut text = "cargo run --release --manifest-path bench/Cargo.toml --".to_string();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" | "--write" => drop(arguments.next()),
            _ if argument.starts_with("--json=") || argument.starts_with("--write=") => {}
            _ => {
                text.push(' ');
                text.push_str(&argument);
            }
        }
    }
    text
}
