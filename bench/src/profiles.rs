//! `profiles`: does the sampler tell the truth of real programs?
//!
//! Each target runs once with two witnesses in one process: heaptrack, which writes
//! down every call, and behind it Allod, whose sampler sees a few of the same calls.
//! Between them stands a library that marks objects which a `realloc` leaves in their
//! place, since heaptrack does not tell (`bench/marker`).
//!
//! Both know a call by the program counters above it, so the two are compared without
//! any name, site by site and stack by stack:
//!
//! ```text
//!   program --malloc--> heaptrack --malloc--> marker --malloc--> Allod
//!                       every call                      some calls, with a weight
//!                          |                               |
//!                      tracer.rs ------- judge.rs ----- sampled.rs
//! ```
//!
//! Names are compared apart: how many frames have one here and there.
//!
//! What heaptrack itself allocates comes to Allod as well. Those sites are left out;
//! they move the moment of the peak a little.

mod judge;
mod sampled;
mod tracer;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::ProfilesArguments;
use crate::artifacts;
use crate::install;
use crate::job::{Form, Job, Need, Place, Suite, USUAL};
use crate::jobs;
use crate::peers::{self, Library, OURS};
use crate::plan::{Plan, Step};
use crate::report;
use crate::run::{Purpose, Yard};

/// The library that writes down every call.
const TRACER: &str = "/usr/lib/heaptrack/libheaptrack_preload.so";
/// What finds names for it.
const INTERPRETER: &str = "/usr/lib/heaptrack/libexec/heaptrack_interpret";
const NEEDS: &[Need] = &[Need { file: TRACER, package: "heaptrack" }];
/// The mark in Markdown.
const MARK: &str = "profiles";

/// The compiler proper: `g++` starts it, and heaptrack looks at one process.
const COMPILER: Job = Job {
    name: "cc1plus",
    about: "what g++ -O2 starts, on a file that is all templates",
    needs: &[Need { file: "/usr/bin/g++", package: "g++" }],
    sizes: (1, 2),
    prepare: |place| Ok(fs::write(place.input("heavy.cpp"), include_str!("../inputs/heavy.cpp"))?),
    plan: compiler,
    ..USUAL
};

/// A server with its debug information, all generics inlined.
const SERVER: Job = Job {
    name: "tokio_echo",
    about: "a Rust server and its clients over loopback",
    sizes: (60_000, 130_000),
    plan: |place| Plan::of([Step::subject([place.binary("tokio_echo"), place.size.to_string()])]),
    ..USUAL
};

/// Runs the command. False when an estimate is off by more than chance explains.
pub(crate) fn main(arguments: &ProfilesArguments) -> Result<bool> {
    let names = ["python", "redis", "sqlite"].map(String::from);
    let mut targets = jobs::of(Suite::Programs, &names);
    targets.extend([&COMPILER, &SERVER]);
    targets.retain(|job| {
        arguments.only.is_empty() || arguments.only.iter().any(|name| name == job.name)
    });
    ensure!(!targets.is_empty(), "no target has such a name");
    let needs: Vec<_> = targets.iter().flat_map(|job| job.needs).chain(NEEDS).collect();
    install::ensure(&needs)?;

    let command = artifacts::build_command()?;
    let marker = artifacts::build_marker()?;
    let mut yard = Yard::new(artifacts::helpers()?)?;
    let ours = peers::select(&[OURS.to_owned()])?;
    let library = yard.freeze(ours.first().context("no row is ours")?.library()?)?;
    let mut text = String::new();
    let mut is_well = true;
    for job in targets {
        let mut place = yard.prepare(job, Form::Short)?;
        if job.name == SERVER.name {
            let programs = artifacts::build_programs_to_debug("system")?;
            place.binaries = yard.freeze_programs("system", &programs)?;
        }
        let witnesses = hear(&mut yard, job, &place, &library, [&command, &marker])
            .with_context(|| format!("the profile of {}", job.name))?;
        let judged = judge::judge(&witnesses.0, &witnesses.1);
        is_well &= judged.is_well();
        let section = judge::section(job.name, job.about, &judged);
        println!("{section}");
        writeln!(text, "{section}")?;
        if let Some(folder) = &arguments.keep {
            fs::create_dir_all(folder)?;
            keep(&mut yard, job, &place, &library, &command, folder)?;
        }
    }
    if let Some(file) = &arguments.write {
        let whole = fs::read_to_string(file)?;
        let put = report::replace(&whole, MARK, text.trim_end());
        fs::write(file, put.with_context(|| format!("{} has no marks", file.display()))?)?;
    }
    Ok(is_well)
}

/// Runs a target with both witnesses.
fn hear(
    yard: &mut Yard,
    job: &Job,
    place: &Place,
    library: &Library,
    [command, marker]: [&Path; 2],
) -> Result<(tracer::Truth, sampled::Estimates)> {
    let folder = tempfile::tempdir()?;
    let trace = folder.path().join("trace");
    yard.more_env = sampler(folder.path());
    yard.more_env.push(("DUMP_HEAPTRACK_OUTPUT".into(), trace.display().to_string()));
    // All three, in the order in which calls come to them.
    let mut both = library.clone();
    let file = library.file.as_deref().context("our library is a file")?;
    both.file = Some(format!("{TRACER}:{}:{}", marker.display(), file.display()).into());
    let ran = yard.run(job, place, &both, Purpose::Measure);
    yard.more_env.clear();
    ran?;
    let estimates = sampled::read(&export(command, &dump(folder.path())?, "json")?)?;
    let mut truth = tracer::read(&trace, &estimates.blocks)?;
    truth.names = tracer::names(&trace, Path::new(INTERPRETER))?;
    Ok((truth, estimates))
}

/// Runs a target on Allod alone and leaves its profile in `folder`, to be looked at.
fn keep(
    yard: &mut Yard,
    job: &Job,
    place: &Place,
    library: &Library,
    command: &Path,
    folder: &Path,
) -> Result<()> {
    let dumps = tempfile::tempdir()?;
    yard.more_env = sampler(dumps.path());
    let ran = yard.run(job, place, library, Purpose::Measure);
    yard.more_env.clear();
    ran?;
    let profile = export(command, &dump(dumps.path())?, "pprof")?;
    Ok(fs::write(folder.join(format!("{}.pb.gz", job.name)), profile)?)
}

/// What the sampler is told: as `allod run` does.
fn sampler(folder: &Path) -> Vec<(String, String)> {
    vec![
        ("ALLOD_CONF".into(), "profile:65536,profile_dump:exit".into()),
        ("ALLOD_DUMP".into(), format!("{}/", folder.display())),
    ]
}

/// The one heap dump in a folder.
fn dump(folder: &Path) -> Result<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "heap") {
            found.push(path);
        }
    }
    ensure!(found.len() == 1, "{} heap dumps, and one was to come", found.len());
    found.pop().context("one was found")
}

/// A dump with its names, in a format.
fn export(command: &Path, dump: &Path, format: &str) -> Result<Vec<u8>> {
    let output = Command::new(command).arg("export").arg(dump).args(["--to", format]).output()?;
    ensure!(output.status.success(), "export: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

/// The compiler proper, with what the driver tells it.
fn compiler(place: &Place) -> Plan {
    let asked = Command::new("/usr/bin/g++").arg("-print-prog-name=cc1plus").output();
    let path = asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let argv = [
        &path.unwrap_or_else(|_| "cc1plus".into()),
        "-quiet",
        "-imultiarch",
        "x86_64-linux-gnu",
        "-D_GNU_SOURCE",
        &format!("-DAMOUNT={}", place.size),
        "-std=c++17",
        "-O2",
        &place.argument("heavy.cpp"),
        "-o",
        "heavy.s",
    ];
    Plan::of([Step::subject(argv)])
}
