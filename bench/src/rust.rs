//! `rust`: do Rust programs compute the same with each allocator inside?
//!
//! Builds the programs of `programs/` once for each allocator and compares
//! what they print. Under Allod the shared page must know of each process.

use anyhow::{Result, bail};

use crate::RustArguments;
use crate::artifacts;
use crate::job::{Form, Suite};
use crate::jobs;
use crate::peers;
use crate::run::{Purpose, Yard};
use crate::transcript;

/// Runs the command. False when two allocators gave two answers.
pub(crate) fn main(arguments: &RustArguments) -> Result<bool> {
    jobs::check_names(&[Suite::Rust], &arguments.only)?;
    let jobs = jobs::of(Suite::Rust, &arguments.only);
    let mut yard = Yard::new(artifacts::helpers()?)?;
    let mut built = Vec::new();
    for peer in peers::select(&arguments.peers)? {
        let Some(inside) = peer.inside else {
            bail!("{} is in no Rust program", peer.name);
        };
        let programs = artifacts::build_programs(inside.feature, false)?;
        built.push((peer.compiled_in()?, yard.freeze_programs(peer.name, &programs)?));
    }
    let form = if arguments.ci { Form::Short } else { Form::Full };
    let (mut passed, mut failed) = (0, 0);
    for job in &jobs {
        let mut expected: Option<(String, String)> = None;
        for (library, binaries) in &built {
            let mut place = yard.prepare(job, form)?;
            place.binaries.clone_from(binaries);
            let run = yard.run(job, &place, library, Purpose::Check)?;
            let mut trouble = run.doubt.unwrap_or_default();
            match &expected {
                None => expected = Some((library.name.clone(), run.transcript)),
                Some((name, transcript)) => {
                    let difference = transcript::difference(transcript, &run.transcript);
                    if !difference.is_empty() {
                        trouble.push_str(&format!("differs from {name}:\n{difference}"));
                    }
                }
            }
            let verdict = if trouble.is_empty() { "passed" } else { "FAILED" };
            println!("{:<14}{:<12}{verdict:<8}{:>8.2} s", job.name, library.name, run.report.wall);
            if trouble.is_empty() {
                passed += 1;
            } else {
                println!("    {}", trouble.trim_end());
                failed += 1;
            }
        }
    }
    println!("\n{passed} passed, {failed} failed");
    Ok(failed == 0)
}
