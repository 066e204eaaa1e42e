//! `soak`: real programs and stress, for as long as one likes, on a library that looks
//! at itself.
//!
//! The library is built with `cfg(audit)` and debug assertions: every so many slow paths
//! it tests its own invariants (`crates/allod/src/report/audit.rs`), and once more when a
//! process ends. It runs the programs of `programs` and the loads of `measure`, and
//! scenes of forks, threads and coroutines, at each level: with samples and heap dumps,
//! with the background thread, with guarded objects. Which comes next is drawn from a
//! seed; all have had their turn before any has its second.
//!
//! A run is good when the program answers as it does on glibc, every process of it was
//! served by this library, and nothing was said. An abort, a hang and another answer are
//! shown with the program's last words. Runs are never repeated to make a failure go away.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::SoakArguments;
use crate::artifacts;
use crate::install;
use crate::job::{Form, Job, Place, Suite, USUAL};
use crate::jobs;
use crate::peers::{self, Library};
use crate::plan::{Plan, Step};
use crate::programs::judge;
use crate::run::{Purpose, Run, Yard};

/// A level: its name in the table, and the options.
struct Level {
    name: &'static str,
    options: &'static str,
}

const LEVELS: [Level; 5] = [
    Level { name: "default", options: "purge_delay:10" },
    Level {
        name: "profiled",
        options: "profile:4096,profile_dump:exit+peak,background:on,guard_rate:200",
    },
    Level { name: "hardened", options: "harden:hardened,guard_rate:500" },
    Level { name: "watched", options: "harden:hardened,profile:16384,background:on,purge_delay:0" },
    Level { name: "paranoid", options: "harden:paranoid,guard_rate:300" },
];

/// Scenes of `checks`, which say what went wrong and else nothing.
const SCENE: Job = Job { suite: Suite::Stress, plan: scene, limit: 100, ..USUAL };
const SCENES: &[Job] = &[
    Job {
        name: "forks",
        about: "children of four threads that allocate",
        sizes: (150, 600),
        ..SCENE
    },
    Job { name: "threads", about: "short threads; memory stays", sizes: (2000, 8000), ..SCENE },
    Job {
        name: "coroutines",
        about: "switches between stacks that allocate",
        sizes: (20_000, 80_000),
        ..SCENE
    },
];

fn scene(place: &Place) -> Plan {
    let size = place.size.to_string();
    Plan::of([Step::subject([&place.binary("faults"), "--actor", place.name, &size])])
}

/// The short form: runs that differ as much as they can, by job and level.
const SHORT: &[(&str, &str)] = &[
    ("python", "default"),
    ("perl", "profiled"),
    ("lua", "hardened"),
    ("sqlite", "watched"),
    ("sort", "paranoid"),
    ("git-log", "default"),
    ("redis", "profiled"),
    ("larson", "profiled"),
    ("xmalloc", "hardened"),
    ("rptest", "watched"),
    ("mstress", "default"),
    ("phases", "paranoid"),
    ("churn", "hardened"),
    ("teardown", "profiled"),
    ("forks", "watched"),
    ("threads", "default"),
    ("coroutines", "paranoid"),
];

/// What came of the runs of one job at one level.
#[derive(Debug, Default, Clone, Copy)]
struct Cell {
    runs: u32,
    passed: u32,
}

/// Looks that the library took at itself.
#[derive(Debug, Default)]
struct Looks {
    whole: u64,
    own: u64,
}

/// Runs the command. False when a run failed.
pub(crate) fn main(arguments: &SoakArguments) -> Result<bool> {
    let all = chosen(&arguments.only)?;
    let needs: Vec<_> = all.iter().flat_map(|job| job.needs).collect();
    install::ensure(&needs)?;
    let mut yard = Yard::new(artifacts::helpers()?)?;
    // Looks take time, and so does the paranoid level; a hang is a hang all the same.
    yard.patience = 6;
    yard.add_binary(&artifacts::build_scenes()?)?;
    let library = yard.freeze(audited()?)?;
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u32(..));
    let mut soak = Soak { yard, library, expected: BTreeMap::new(), looks: Looks::default() };
    println!("seed {seed}; under {} {}\n", soak.library.name, soak.library.version);

    let until = Instant::now() + Duration::from_secs(u64::from(arguments.minutes) * 60);
    let mut dice = fastrand::Rng::with_seed(seed.into());
    let mut cells: BTreeMap<(&str, &str), Cell> = BTreeMap::new();
    loop {
        let mut turn: Vec<(&Job, &Level)> =
            all.iter().flat_map(|job| LEVELS.iter().map(move |level| (*job, level))).collect();
        if arguments.ci {
            turn.retain(|(job, level)| SHORT.contains(&(job.name, level.name)));
        }
        dice.shuffle(&mut turn);
        for (job, level) in turn {
            if !arguments.ci && Instant::now() >= until {
                return Ok(soak.tell(&all, &cells, seed));
            }
            let begin = Instant::now();
            let trouble = match soak.run(job, level) {
                Ok(trouble) => trouble,
                Err(error) => format!("    {error:#}\n"),
            };
            let cell = cells.entry((job.name, level.name)).or_default();
            cell.runs += 1;
            cell.passed += u32::from(trouble.is_empty());
            let verdict = if trouble.is_empty() { "passed" } else { "FAILED" };
            let seconds = begin.elapsed().as_secs_f64();
            println!("{:<14}{:<10}{verdict}{seconds:>8.1} s", job.name, level.name);
            print!("{trouble}");
        }
        if arguments.ci {
            return Ok(soak.tell(&all, &cells, seed));
        }
    }
}

/// The jobs: what has an answer and takes no minutes.
fn chosen(only: &[String]) -> Result<Vec<&'static Job>> {
    let suites = [Suite::Programs, Suite::Stress, Suite::Adverse];
    let rows = suites.into_iter().flat_map(|suite| jobs::of(suite, &[])).chain(SCENES);
    let jobs: Vec<_> = rows
        .filter(|job| job.measured)
        .filter(|job| only.is_empty() || only.iter().any(|name| name == job.name))
        .collect();
    ensure!(!jobs.is_empty(), "no job has one of these names");
    Ok(jobs)
}

/// The library that looks at itself.
fn audited() -> Result<Library> {
    let file = artifacts::build_audited()?;
    let name = "allod-audited".into();
    let version = artifacts::our_version()?;
    Ok(Library { name, version, file: Some(file), reports: true, env: &[] })
}

/// All that runs have in common.
struct Soak {
    yard: Yard,
    library: Library,
    /// What each job answers on glibc.
    expected: BTreeMap<&'static str, Run>,
    looks: Looks,
}

impl Soak {
    /// Runs a job at a level once. What is wrong with it; empty when nothing is.
    fn run(&mut self, job: &Job, level: &Level) -> Result<String> {
        let place = self.yard.prepare(job, Form::Short)?;
        self.yard.more_env.clear();
        if !self.expected.contains_key(job.name) {
            let run = self.yard.run(job, &place, &peers::glibc(), Purpose::Check)?;
            if let Some(doubt) = &run.doubt {
                bail!("on glibc: {doubt}");
            }
            self.expected.insert(job.name, run);
        }
        let file = self.yard.file("audit");
        self.yard.more_env = [
            ("ALLOD_CONF", level.options.to_string()),
            ("ALLOD_AUDIT", file.display().to_string()),
        ]
        .map(|(name, value)| (name.to_string(), value))
        .into();
        let found = self.yard.run(job, &place, &self.library, Purpose::Check)?;
        let expected = self.expected.get(job.name).context("just made")?;
        let mut trouble = judge(expected, &found);
        if let Err(error) = self.looks.read(&file) {
            trouble.push_str(&format!("    {error:#}\n"));
        }
        Ok(trouble)
    }

    /// Prints the table. False when there are failures.
    fn tell(&self, jobs: &[&Job], cells: &BTreeMap<(&str, &str), Cell>, seed: u32) -> bool {
        println!("\n| program | {} |", LEVELS.map(|level| level.name).join(" | "));
        println!("|---|{}", "---:|".repeat(LEVELS.len()));
        for job in jobs {
            let row = LEVELS.map(|level| {
                let cell = cells.get(&(job.name, level.name)).copied().unwrap_or_default();
                if cell.runs == 0 {
                    String::new()
                } else {
                    format!("{}/{}", cell.passed, cell.runs)
                }
            });
            if row.iter().any(|cell| !cell.is_empty()) {
                println!("| {} | {} |", job.name, row.join(" | "));
            }
        }
        let runs: u32 = cells.values().map(|cell| cell.runs).sum();
        let passed: u32 = cells.values().map(|cell| cell.passed).sum();
        println!(
            "\nseed {seed}: {passed} passed, {} failed; the library has looked {} times at everything \
             and {} times at a heap",
            runs - passed,
            self.looks.whole,
            self.looks.own
        );
        runs == passed
    }
}

impl Looks {
    /// Adds what the processes of one run have written, and removes the file. A run in
    /// which nobody has looked has tested nothing.
    fn read(&mut self, file: &Path) -> Result<()> {
        let text = fs::read_to_string(file).context("no process has looked at itself")?;
        fs::remove_file(file)?;
        let before = self.whole + self.own;
        for line in text.lines() {
            let (whole, own) = line.split_once(' ').context("a line that nobody understands")?;
            self.whole += whole.parse::<u64>()?;
            self.own += own.parse::<u64>()?;
        }
        ensure!(self.whole + self.own > before, "no process has looked at itself");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_names_what_there_is() {
        let all = chosen(&[]).unwrap();
        for (job, level) in SHORT {
            assert!(all.iter().any(|row| row.name == *job), "{job}");
            assert!(LEVELS.iter().any(|row| row.name == *level), "{level}");
        }
        for level in LEVELS {
            assert!(SHORT.iter().any(|(_, name)| *name == level.name), "{}", level.name);
        }
        assert!(chosen(&["pearl".into()]).is_err());
    }

    #[test]
    fn looks_are_counted_and_their_absence_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit");
        let mut looks = Looks::default();
        assert!(looks.read(&file).is_err());
        fs::write(&file, "00000000000000000003 00000000000000000040\n").unwrap();
        looks.read(&file).unwrap();
        assert_eq!((looks.whole, looks.own), (3, 40));
        fs::write(&file, "00000000000000000000 00000000000000000000\n").unwrap();
        assert!(looks.read(&file).is_err());
    }
}
