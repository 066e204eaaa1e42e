//! `programs`: does an unmodified program do the same under the allocator?
//!
//! Each job runs once on glibc, and that transcript is what is expected. Then
//! it runs under the library as often as asked for. Each run is checked: the
//! right library must have served every process. A difference is shown, and
//! nothing is tried again to make it go away.

use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::ProgramsArguments;
use crate::artifacts;
use crate::install;
use crate::job::{Form, Job, Suite};
use crate::jobs;
use crate::peers::{self, Library, OURS};
use crate::run::{Purpose, Run, Yard};
use crate::transcript;

/// Runs the command. False when a program did something else.
pub(crate) fn main(arguments: &ProgramsArguments) -> Result<bool> {
    jobs::check_names(&[Suite::Programs], &arguments.only)?;
    let jobs = jobs::of(Suite::Programs, &arguments.only);
    let needs: Vec<_> = jobs.iter().flat_map(|job| job.needs).collect();
    install::ensure(&needs)?;
    let mut yard = Yard::new(artifacts::helpers()?)?;
    let library = yard.freeze(library(arguments)?)?;
    let form = if arguments.ci { Form::Short } else { Form::Full };

    let rounds = arguments.rounds;
    println!("under {} {}, against glibc\n", library.name, library.version);
    println!("{:<14}{:>8}{:>10}{:>11}  what", "program", "passed", "seconds", "processes");
    let mut failed = Vec::new();
    let mut total = 0;
    for job in &jobs {
        let begin = Instant::now();
        let outcome = compare(&mut yard, job, form, &library, rounds).unwrap_or_else(|error| {
            Outcome { passed: 0, processes: 0, trouble: format!("    {error:#}\n") }
        });
        let (passed, seconds) = (outcome.passed, begin.elapsed().as_secs_f64());
        println!(
            "{:<14}{:>8}{seconds:>10.1}{:>11}  {}",
            job.name,
            format!("{passed}/{rounds}"),
            outcome.processes,
            job.about
        );
        print!("{}", outcome.trouble);
        total += passed;
        if passed < rounds {
            failed.push(job.name);
        }
    }
    let all = rounds as usize * jobs.len();
    println!("\n{total} passed, {} failed", all - total as usize);
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
    }
    Ok(failed.is_empty())
}

/// The library under test.
fn library(arguments: &ProgramsArguments) -> Result<Library> {
    if let Some(file) = &arguments.library {
        return peers::elsewhere(file);
    }
    let name = arguments.peer.clone().unwrap_or_else(|| OURS.into());
    let chosen = peers::select(&[name])?;
    chosen.first().context("no allocator")?.library()
}

/// What came of one job.
struct Outcome {
    passed: u32,
    processes: usize,
    trouble: String,
}

/// Runs a job on glibc and then `rounds` times under `library`.
fn compare(
    yard: &mut Yard,
    job: &Job,
    form: Form,
    library: &Library,
    rounds: u32,
) -> Result<Outcome> {
    let place = yard.prepare(job, form)?;
    let expected = yard.run(job, &place, &peers::glibc(), Purpose::Check)?;
    let mut outcome = Outcome { passed: 0, processes: 0, trouble: String::new() };
    if let Some(doubt) = &expected.doubt {
        outcome.trouble = format!("    on glibc: {doubt}\n");
        return Ok(outcome);
    }
    let mut differed = false;
    for round in 1..=rounds {
        let found = yard.run(job, &place, library, Purpose::Check)?;
        let trouble = judge(&expected, &found);
        outcome.processes += found.processes;
        if trouble.is_empty() {
            outcome.passed += 1;
            continue;
        }
        outcome.trouble.push_str(&format!("    round {round}:\n{trouble}"));
        differed = true;
    }
    if differed {
        // Says whether the allocator is to blame, or a pattern to scrub is missing.
        let again = yard.run(job, &place, &peers::glibc(), Purpose::Check)?;
        let own = judge(&expected, &again);
        if !own.is_empty() {
            outcome.trouble.push_str("    and glibc differs from itself:\n");
            outcome.trouble.push_str(&own);
        }
    }
    Ok(outcome)
}

/// What is wrong with `found`; empty when nothing is.
pub(crate) fn judge(expected: &Run, found: &Run) -> String {
    let mut trouble = transcript::difference(&expected.transcript, &found.transcript);
    if let Some(doubt) = &found.doubt {
        trouble.push_str(&format!("    {doubt}\n"));
    }
    trouble
}
