//! One run of one job under one allocator.
//!
//! Makes fresh directories, starts the child (`child.rs`) with the order, and
//! turns what came back into a [`Run`]. A *checked* run has the probe and, for
//! Allod, the shared page, and proves who served. In a *counted* run `strace` counts
//! calls. A measured run has none of that.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::artifacts::Helpers;
use crate::job::{Form, Job, Place, Suite};
use crate::peers::Library;
use crate::plan::{Order, Report, Role};
use crate::served::{self, Expected, PROBE_ENV, Page};
use crate::transcript::{self, Scrubber};

/// glibc as a library to preload, for programs that bring an allocator.
const GLIBC: &str = "libc.so.6";
/// This program, also when somebody has built it anew in the meantime.
const OURSELVES: &str = "/proc/self/exe";
/// Seconds until a run in the short form is killed.
const SHORT_LIMIT: u64 = 120;

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To prove who serves, with the probe and the shared page.
    Check,
    /// To count the calls of the kernel about memory.
    Count,
    /// To be measured, with nothing added.
    Measure,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Run {
    /// Everything the program answered.
    pub(crate) transcript: String,
    /// What it cost.
    pub(crate) report: Report,
    /// Calls about memory by name; empty unless they were to be counted.
    pub(crate) calls: BTreeMap<String, u64>,
    /// Processes that the probe saw; zero in a run without it.
    pub(crate) processes: usize,
    /// Why it is not proven that the right allocator served.
    pub(crate) doubt: Option<String>,
}

/// The place where runs happen: a directory that goes away at the end, unless
/// something failed. It holds copies of all that we built, so that a build in
/// the middle of the rounds changes nothing.
#[derive(Debug)]
pub(crate) struct Yard {
    root: TempDir,
    /// The probe.
    probe: PathBuf,
    /// The directory with `stress`.
    binaries: PathBuf,
    /// Whether programs may get huge pages.
    pub(crate) huge_pages: bool,
    /// How many times as long as usual a run may take.
    pub(crate) patience: u64,
    /// Variables for the programs under the allocator, besides its own.
    pub(crate) more_env: Vec<(String, String)>,
    runs: u32,
}

impl Yard {
    /// Makes the directory.
    pub(crate) fn new(helpers: Helpers) -> Result<Yard> {
        let root = tempfile::Builder::new().prefix("allod-bench-").tempdir()?;
        let built = root.path().join("helpers");
        let probe = copy(&helpers.probe, &built)?;
        copy(&helpers.stress, &built)?;
        Ok(Yard {
            root,
            probe,
            binaries: built,
            huge_pages: true,
            patience: 1,
            more_env: Vec::new(),
            runs: 0,
        })
    }

    /// Puts a copy of a program beside `stress`, for jobs that run it.
    pub(crate) fn add_binary(&self, program: &Path) -> Result<()> {
        copy(program, &self.binaries).map(drop)
    }

    /// A path that runs may write to.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The same allocator, from a copy of its library.
    pub(crate) fn freeze(&self, mut library: Library) -> Result<Library> {
        if let Some(file) = &mut library.file {
            *file = copy(file, &self.root.path().join("libraries").join(&library.name))?;
        }
        Ok(library)
    }

    /// A directory with copies of `programs`, which have the allocator `name` inside.
    pub(crate) fn freeze_programs(&self, name: &str, programs: &[PathBuf]) -> Result<PathBuf> {
        let directory = self.root.path().join("programs").join(name);
        for program in programs {
            copy(program, &directory)?;
        }
        Ok(directory)
    }

    /// The job's place, with its inputs made.
    pub(crate) fn prepare(&self, job: &Job, form: Form) -> Result<Place> {
        let place = job.place(form, &self.root.path().join("inputs"), &self.binaries);
        if !place.inputs.exists() {
            fs::create_dir_all(&place.inputs)?;
            (job.prepare)(&place).with_context(|| format!("making the inputs of {}", job.name))?;
        }
        Ok(place)
    }

    /// Touches `mib` MiB in a process of its own, so that the memory which the
    /// next run gets is memory that the machine has had before.
    pub(crate) fn warm(&self, mib: u32) -> Result<()> {
        let status = Command::new(OURSELVES).args(["warm", &mib.to_string()]).status()?;
        ensure!(status.success(), "warming {mib} MiB failed");
        Ok(())
    }

    /// Runs `job` once.
    pub(crate) fn run(
        &mut self,
        job: &Job,
        place: &Place,
        library: &Library,
        purpose: Purpose,
    ) -> Result<Run> {
        self.runs += 1;
        let base = self.root.path().join(format!("run-{}", self.runs));
        let done = self.run_in(&base, job, place, library, purpose);
        let done = done.with_context(|| format!("{} under {}", job.name, library.name));
        if done.is_ok() {
            fs::remove_dir_all(&base)?;
        } else {
            self.root.disable_cleanup(true);
            eprintln!("the run's files are kept in {}", base.display());
        }
        done
    }

    fn run_in(
        &self,
        base: &Path,
        job: &Job,
        place: &Place,
        library: &Library,
        purpose: Purpose,
    ) -> Result<Run> {
        let checked = purpose == Purpose::Check;
        let directory = |name: &str| -> Result<PathBuf> {
            let path = base.join(name);
            fs::create_dir_all(&path)?;
            Ok(path)
        };
        let (work, logs, temporary) = (directory("work")?, directory("logs")?, directory("tmp")?);
        let probe_file = base.join("probe");
        let page = (checked && library.reports).then(|| Page::create(base.join("page")));
        let page = page.transpose()?;

        let preloads = !job.suite.compiled_in();
        let mut preload = Vec::new();
        let mut allocator_env: Vec<_> =
            library.env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        allocator_env.extend(self.more_env.iter().cloned());
        if checked && preloads {
            preload.push(self.probe.display().to_string());
            allocator_env.push((PROBE_ENV.to_string(), probe_file.display().to_string()));
        }
        match &library.file {
            Some(file) if preloads => preload.push(file.display().to_string()),
            None if preloads && job.own_allocator => preload.push(GLIBC.into()),
            _ => {}
        }
        if !preload.is_empty() {
            allocator_env.push(("LD_PRELOAD".into(), preload.join(":")));
        }
        if let Some(page) = &page {
            let path = page.path.display().to_string();
            allocator_env.push((allod::page::ENV.to_string(), path));
        }
        let pairs = [
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", &work.display().to_string()),
            ("TMPDIR", &temporary.display().to_string()),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
        ];
        let order = Order {
            plan: (job.plan)(place),
            work,
            logs,
            env: pairs.map(|(name, value)| (name.into(), value.into())).into(),
            allocator_env,
            limit: self.patience
                * if place.form == Form::Short { job.limit.min(SHORT_LIMIT) } else { job.limit },
            huge_pages: self.huge_pages,
            calls: (purpose == Purpose::Count).then(|| base.join("calls")),
        };
        let mut report = self.carry_out(base, &order)?;
        if job.suite != Suite::Programs {
            // Loads of ours are one command.
            report.figures = figures(&fs::read_to_string(order.logs.join("0.out"))?)?;
        }
        let transcript = transcript::of(&order, &report, &Scrubber::new(job.scrub)?)?;
        let calls = match &order.calls {
            Some(file) if !report.timed_out => all_calls(file, &order)?,
            Some(_) => BTreeMap::new(),
            None => BTreeMap::new(),
        };
        let mut run = Run { transcript, report, calls, processes: 0, doubt: None };
        if checked {
            let pids = subjects(&order, &run.report);
            let seen = if preloads {
                let expected = library.file.as_deref().map_or(Expected::Glibc, Expected::Library);
                served::check_probe(&probe_file, &pids, expected)
            } else {
                Ok(Vec::new())
            };
            let face = if preloads { FACE_PRELOAD } else { FACE_RUST };
            let proof = seen.and_then(|seen| {
                page.map_or(Ok(()), |page| page.check(&pids, &seen, face))?;
                Ok(seen.len())
            });
            match proof {
                Ok(processes) => run.processes = processes,
                Err(error) => run.doubt = Some(format!("{error:#}")),
            }
        }
        Ok(run)
    }

    /// Starts the child and reads its report.
    fn carry_out(&self, base: &Path, order: &Order) -> Result<Report> {
        let (order_file, report_file) = (base.join("order.json"), base.join("report.json"));
        fs::write(&order_file, serde_json::to_vec(order)?)?;
        let status = Command::new(OURSELVES)
            .arg("child")
            .args([&order_file, &report_file])
            .stdin(Stdio::null())
            .status()?;
        ensure!(status.success(), "the run could not be carried out");
        Ok(serde_json::from_slice(&fs::read(&report_file)?)?)
    }
}

/// The figures that a load of ours has printed.
fn figures(text: &str) -> Result<BTreeMap<String, f64>> {
    let mut figures = BTreeMap::new();
    let lines = text.lines().filter_map(|line| line.strip_prefix("figure ")?.split_once(' '));
    for (name, value) in lines {
        // The first counts: a load that knows its peak better says so before the last line.
        figures.entry(name.to_string()).or_insert(value.parse()?);
    }
    Ok(figures)
}

/// What was counted, over all commands under the allocator.
fn all_calls(file: &Path, order: &Order) -> Result<BTreeMap<String, u64>> {
    let mut all = BTreeMap::new();
    for (i, step) in order.plan.steps.iter().enumerate().filter(|(_, s)| s.role != Role::Client) {
        let text = fs::read_to_string(file.with_extension(i.to_string()))
            .with_context(|| format!("nobody counted the calls of {}", step.argv[0]))?;
        for (name, count) in calls(&text) {
            *all.entry(name).or_default() += count;
        }
    }
    Ok(all)
}

/// The table that `strace` writes: two lines of heads, a name and a number each, and
/// a sum behind a line.
fn calls(text: &str) -> impl Iterator<Item = (String, u64)> {
    text.lines().filter_map(|line| {
        let (name, count) = line.trim().split_once(char::is_whitespace)?;
        let count = count.trim().parse().ok()?;
        (name != "total").then(|| (name.to_string(), count))
    })
}

/// `Slot::face` of a process with `liballod.so` preloaded.
const FACE_PRELOAD: u32 = 1;
/// `Slot::face` of a Rust program.
const FACE_RUST: u32 = 2;

/// Copies a file into a directory, which is made if need be.
fn copy(file: &Path, directory: &Path) -> Result<PathBuf> {
    let name = file.file_name().with_context(|| format!("{} has no name", file.display()))?;
    fs::create_dir_all(directory)?;
    let to = directory.join(name);
    fs::copy(file, &to).with_context(|| file.display().to_string())?;
    Ok(to)
}

/// The processes of a run that the allocator must have served.
fn subjects(order: &Order, report: &Report) -> Vec<i32> {
    let steps = order.plan.steps.iter().zip(&report.ends);
    steps.filter(|(step, _)| step.role != Role::Client).map(|(_, end)| end.pid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_figure_of_a_name_counts_and_other_lines_do_not() {
        let text = "figure peak_mib 2.5\ntiny: checksum 17\nfigure peak_mib 9\nfigure x 1\n";
        let figures = figures(text).unwrap();
        assert_eq!(figures, BTreeMap::from([("peak_mib".into(), 2.5), ("x".into(), 1.0)]));
        assert!(super::figures("figure x one\n").is_err());
    }

    #[test]
    fn counted_calls_are_read_without_their_sum() {
        let text = "syscall              calls\n---------------- ---------\nmmap                    25\n\
                    brk                      1\n---------------- ---------\ntotal                   26\n";
        let calls: Vec<_> = calls(text).collect();
        assert_eq!(calls, [("mmap".to_string(), 25), ("brk".to_string(), 1)]);
    }
}
