//! `measure`: what does each program cost under each allocator?
//!
//! For each job, one checked run under each allocator: it proves who serves,
//! gives the answer that is expected, and fills the file cache. If asked to,
//! another run counts calls of the kernel about memory. Then the rounds. In each round every allocator runs once, in an order shuffled anew,
//! and before each run a helper touches a fixed amount of memory. So whatever
//! drifts on the machine drifts for all, and nobody always runs first.
//!
//! A run that fails or answers differently is told, in the tables too, and
//! makes the command fail. Its figures count for nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use fastrand::Rng;
use serde::Serialize;

use crate::artifacts;
use crate::child::STRACE;
use crate::inputs::SEED;
use crate::install;
use crate::job::{Form, Job, Place, Suite};
use crate::jobs;
use crate::machine::{self, Machine};
use crate::peers::{self, Library};
use crate::plan::Report;
use crate::progress::Progress;
use crate::report;
use crate::run::{Purpose, Run, Yard};
use crate::transcript;
use crate::{HugePages, MeasureArguments};

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
    /// The programs may have huge pages.
    pub(crate) huge_pages: bool,
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
    /// Calls of the kernel about memory, by name, when a run was counted.
    pub(crate) calls: Option<BTreeMap<String, u64>>,
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
    check_small_pages(arguments)?;
    let peers = peers::select(&arguments.peers)?;
    let form = if arguments.quick { Form::Short } else { Form::Full };
    let rounds = arguments.rounds.unwrap_or(if arguments.quick { 2 } else { 3 });
    let machine = Machine::here();
    let mut yard = Yard::new(artifacts::helpers()?)?;
    yard.huge_pages = arguments.huge_pages == HugePages::Default;
    let mut packages = Vec::new();
    let mut suites = Vec::new();
    let mut tasks: Vec<(Suite, Vec<&Job>, Vec<Column>)> = Vec::new();
    for suite in Suite::ALL.into_iter().filter(|suite| arguments.suite.contains(suite)) {
        let mut jobs = jobs::of(suite, &arguments.only);
        jobs.retain(|job| job.measured);
        if jobs.is_empty() {
            continue;
        }
        let mut needs: Vec<_> = jobs.iter().flat_map(|job| job.needs).collect();
        if arguments.calls {
            needs.push(&STRACE);
        }
        install::ensure(&needs)?;
        packages.extend(needs.iter().map(|need| need.package));
        let mut columns = Vec::new();
        for peer in &peers {
            columns.extend(match (suite.compiled_in(), peer.inside) {
                (true, None) => None,
                (true, Some(inside)) => {
                    let thin = suite == Suite::RustThin;
                    let programs = artifacts::build_programs(inside.feature, thin)?;
                    let directory = format!("{}-{}", suite.name(), peer.name);
                    let binaries = Some(yard.freeze_programs(&directory, &programs)?);
                    Some(Column { library: peer.compiled_in()?, binaries })
                }
                (false, _) => {
                    Some(Column { library: yard.freeze(peer.library()?)?, binaries: None })
                }
            });
        }
        tasks.push((suite, jobs, columns));
    }
    // `--only openssl` names a job that is only compared. Silence would look like success.
    ensure!(!tasks.is_empty(), "none of these jobs is measured");
    let cells: usize = tasks.iter().map(|(_, jobs, columns)| jobs.len() * columns.len()).sum();
    let mut bench = Bench {
        yard,
        form,
        rounds,
        calls: arguments.calls,
        warm: arguments.warm,
        random: Rng::with_seed(SEED),
        progress: Progress::new(
            cells as u64 * (1 + u64::from(rounds) + u64::from(arguments.calls)),
        ),
    };
    for (suite, jobs, columns) in tasks {
        let mut results = SuiteResults {
            suite: suite.name(),
            peers: columns
                .iter()
                .map(|column| (column.library.name.clone(), column.library.version.clone()))
                .collect(),
            jobs: Vec::new(),
        };
        for job in jobs {
            let cells = bench.measure(job, &columns)?;
            for (column, cell) in columns.iter().zip(&cells) {
                if let Some(first) = cell.failures.first() {
                    let name = &column.library.name;
                    bench.progress.tell(&format!("{} under {name}: {first}", job.name));
                }
            }
            results.jobs.push(JobResults { name: job.name, cells });
        }
        suites.push(results);
    }
    bench.progress.end();
    let results = Results {
        machine,
        command: command(),
        rounds,
        warm: arguments.warm,
        huge_pages: arguments.huge_pages == HugePages::Default,
        short: arguments.quick,
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
    if let Some(directory) = &arguments.plots {
        report::draw(&results, directory)?;
    }
    let mut cells = results.suites.iter().flat_map(|suite| &suite.jobs).flat_map(|job| &job.cells);
    Ok(cells.all(|cell| cell.failures.is_empty()))
}

/// Without huge pages there is one place for all tables, and none for pictures: what would
/// leave half of it, or put its points into the others' pictures, ends before it is measured.
fn check_small_pages(arguments: &MeasureArguments) -> Result<()> {
    if arguments.huge_pages == HugePages::Default {
        return Ok(());
    }
    ensure!(arguments.plots.is_none(), "pictures are of runs with huge pages: leave out `--plots`");
    let missing: Vec<_> = report::OVERALL
        .iter()
        .filter(|suite| !arguments.suite.contains(suite))
        .map(|suite| suite.name())
        .collect();
    ensure!(
        arguments.write.is_none() || missing.is_empty(),
        "the tables without huge pages are written together: `--suite` lacks {}",
        missing.join(", ")
    );
    Ok(())
}

/// The columns whose cells are without a failure. A cell with one is told as failed
/// whatever comes after, so its program is not run again: it may take its whole limit.
fn sound<'a>(
    columns: &'a [Column],
    cells: &'a mut [Cell],
) -> impl Iterator<Item = (&'a Column, &'a mut Cell)> {
    columns.iter().zip(cells).filter(|(_, cell)| cell.failures.is_empty())
}

/// What all measurements share.
struct Bench {
    yard: Yard,
    form: Form,
    rounds: u32,
    /// Whether calls are counted too.
    calls: bool,
    warm: u32,
    random: Rng,
    progress: Progress,
}

impl Bench {
    /// Measures one job under all allocators.
    fn measure(&mut self, job: &Job, columns: &[Column]) -> Result<Vec<Cell>> {
        let place = self.yard.prepare(job, self.form)?;
        let mut cells: Vec<Cell> = columns.iter().map(|_| Cell::default()).collect();
        let mut expected: Option<String> = None;
        for (column, cell) in columns.iter().zip(&mut cells) {
            match self.run(job, &place, column, Purpose::Check) {
                Ok(run) => {
                    cell.failures.extend(run.doubt);
                    let wanted = expected.get_or_insert_with(|| run.transcript.clone());
                    cell.judge(wanted, &run.transcript);
                }
                Err(error) => cell.failures.push(format!("{error:#}")),
            }
        }
        if self.calls {
            for (column, cell) in sound(columns, &mut cells) {
                // The counter can be too slow for a program, for one with thousands of
                // threads for example. That is no failure of the allocator.
                match self.run(job, &place, column, Purpose::Count) {
                    Ok(run) if !run.report.timed_out => cell.calls = Some(run.calls),
                    Ok(_) => self.progress.tell(&format!("{} is too slow to count", job.name)),
                    Err(error) => self.progress.tell(&format!("not counted: {error:#}")),
                }
            }
        }
        for _ in 0..self.rounds {
            let mut order: Vec<_> = sound(columns, &mut cells).collect();
            self.random.shuffle(&mut order);
            for (column, cell) in order {
                match (self.run(job, &place, column, Purpose::Measure), &expected) {
                    (Ok(run), Some(wanted)) => {
                        if cell.judge(wanted, &run.transcript) {
                            cell.runs.push(run.report);
                        }
                    }
                    (Ok(_), None) => {
                        cell.failures.push("there is no answer to compare with".into());
                    }
                    (Err(error), _) => cell.failures.push(format!("{error:#}")),
                }
            }
        }
        Ok(cells)
    }

    /// One run, on warm memory if it is measured.
    fn run(&mut self, job: &Job, place: &Place, column: &Column, purpose: Purpose) -> Result<Run> {
        let mut place = place.clone();
        if let Some(binaries) = &column.binaries {
            place.binaries.clone_from(binaries);
        }
        self.progress.step(job.name, &column.library.name, purpose);
        self.yard.warm(if purpose == Purpose::Measure { self.warm } else { 0 })?;
        self.yard.run(job, &place, &column.library, purpose)
    }
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
            "--json" | "--write" | "--plots" => drop(arguments.next()),
            _ if ["--json=", "--write=", "--plots="]
                .iter()
                .any(|own| argument.starts_with(own)) => {}
            _ => {
                text.push(' ');
                text.push_str(&argument);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: MeasureArguments,
    }

    fn is_taken(line: &str) -> bool {
        let line = Line::try_parse_from(["measure"].into_iter().chain(line.split_whitespace()));
        check_small_pages(&line.expect("a command line").arguments).is_ok()
    }

    #[test]
    fn tables_without_huge_pages_are_written_whole_and_without_pictures() {
        assert!(is_taken("--suite stress --write FILE --plots DIRECTORY"), "with huge pages");
        assert!(is_taken("--huge-pages off --suite programs,stress,adverse --write FILE"));
        assert!(is_taken("--huge-pages off --suite stress --json FILE"), "nothing of ours changes");
        assert!(!is_taken("--huge-pages off --suite programs,stress --write FILE"));
        assert!(!is_taken("--huge-pages off --suite programs,stress,adverse --plots DIRECTORY"));
    }
}
