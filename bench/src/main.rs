//! `allod-bench`: real programs under an allocator.
//!
//! Six questions, six commands:
//!
//! ```text
//!   programs   does an unmodified program do under Allod what it does without?
//!   rust       do Rust programs compute the same with each allocator inside?
//!   measure    what does each program cost under each allocator?
//!   atomics    what does a pair of calls lock, with how many threads?
//!   profiles   does the sampler tell the truth of real programs?
//!   soak       does a library that looks at itself find anything, in the long run?
//! ```
//!
//! Read in this order: `job.rs` and the tables under `jobs.rs` (what runs),
//! `run.rs` and `child.rs` (how it runs), `served.rs` and `transcript.rs` (how
//! it is judged), `peers.rs` (under which allocators), then `programs.rs`,
//! `rust.rs`, `measure.rs`, `atomics.rs`, `profiles.rs` and `soak.rs`.
//!
//! Deliberately absent: benchmarks of single functions. Those say how fast a
//! fast path is, and nothing about a program.

mod artifacts;
mod atomics;
mod child;
mod inputs;
mod install;
mod job;
mod jobs;
mod machine;
mod measure;
mod peers;
mod plan;
mod profiles;
mod programs;
mod progress;
mod report;
mod run;
mod rust;
mod served;
mod soak;
mod stats;
mod sys;
mod transcript;
mod warm;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::job::Suite;

/// Runs real programs under an allocator, compares what they do, and measures them.
#[derive(Debug, Parser)]
#[command(name = "allod-bench")]
struct Arguments {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Compare what programs do under Allod with what they do without.
    Programs(ProgramsArguments),
    /// Build the Rust programs with each allocator inside and compare what they compute.
    Rust(RustArguments),
    /// Measure CPU time and memory of every program under every allocator.
    Measure(MeasureArguments),
    /// Count the locked instructions of each allocator, by number of threads.
    Atomics(AtomicsArguments),
    /// Hold the sampler's profiles of real programs against an exact tracer's.
    Profiles(ProfilesArguments),
    /// Run programs and stress on a library that looks at itself.
    Soak(SoakArguments),
    /// Carry out one run. The other commands start this.
    #[command(hide = true)]
    Child { order: PathBuf, report: PathBuf },
    /// Touch memory and give it back. `measure` starts this.
    #[command(hide = true)]
    Warm { mib: u32 },
}

/// Of `programs`.
#[derive(Debug, Args)]
struct ProgramsArguments {
    /// How often each program runs under the allocator.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// Only these jobs, by name, with commas between.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The short form of each job: all of it fits in six minutes.
    #[arg(long)]
    ci: bool,
    /// Test this library instead of building Allod's.
    #[arg(long, conflicts_with = "peer")]
    library: Option<PathBuf>,
    /// Test this allocator of the table instead of Allod.
    #[arg(long)]
    peer: Option<String>,
}

/// Of `rust`.
#[derive(Debug, Args)]
struct RustArguments {
    /// The allocators, by name, with commas between.
    #[arg(long, value_delimiter = ',', default_values_t = defaults())]
    peers: Vec<String>,
    /// Only these programs, by name, with commas between.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The short form of each.
    #[arg(long)]
    ci: bool,
}

/// Of `measure`.
#[derive(Debug, Args)]
struct MeasureArguments {
    /// Measured runs of each program under each allocator; 3 unless it is quick, then 2.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Only these jobs, by name, with commas between.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The allocators, by name, with commas between, or `all`.
    #[arg(long, value_delimiter = ',', default_values_t = defaults())]
    peers: Vec<String>,
    /// Which tables.
    #[arg(long, value_delimiter = ',', default_values = Suite::DEFAULT.map(Suite::name))]
    suite: Vec<Suite>,
    /// The short form of each job, in a few minutes. To steer by, not to publish.
    #[arg(long, visible_alias = "ci")]
    quick: bool,
    /// Count calls of the kernel about memory too, in one more run of each.
    #[arg(long)]
    calls: bool,
    /// Whether the measured programs may get transparent huge pages.
    #[arg(long, value_enum, default_value_t = HugePages::Default)]
    huge_pages: HugePages,
    /// MiB of memory that a helper touches before each run.
    #[arg(long, default_value_t = 2048)]
    warm: u32,
    /// Write every single run to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write the tables into this Markdown file, between its marks. Whole tables only.
    #[arg(long, conflicts_with_all = ["quick", "only"])]
    write: Option<PathBuf>,
    /// Draw the plots into this directory, as SVG.
    #[arg(long)]
    plots: Option<PathBuf>,
}

/// Of `atomics`.
#[derive(Debug, Args)]
struct AtomicsArguments {
    /// The allocators, by name, with commas between, or `all`.
    #[arg(long, value_delimiter = ',', default_values_t = defaults())]
    peers: Vec<String>,
    /// Write the tables into this Markdown file, between its marks.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// Of `profiles`.
#[derive(Debug, Args)]
struct ProfilesArguments {
    /// Only these targets, by name, with commas between.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Write the tables into this Markdown file, between its marks. All targets only.
    #[arg(long, conflicts_with = "only")]
    write: Option<PathBuf>,
    /// Leave profiles of runs without the tracer in this directory, to be looked at.
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// Of `soak`.
#[derive(Debug, Args)]
struct SoakArguments {
    /// For how long; the run that is under way then is the last one.
    #[arg(long, default_value_t = 30)]
    minutes: u32,
    /// Decides what comes when. One is drawn, and told, if none is given.
    #[arg(long)]
    seed: Option<u32>,
    /// Only these jobs, by name, with commas between.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A fixed choice of runs, once each: less than a minute.
    #[arg(long, conflicts_with_all = ["minutes", "only"])]
    ci: bool,
}

/// What the kernel may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum HugePages {
    /// As the machine is set up.
    Default,
    /// Small pages only, whoever asks.
    Off,
}

/// The allocators that are compared unless somebody says otherwise.
fn defaults() -> Vec<String> {
    peers::DEFAULT.iter().map(ToString::to_string).collect()
}

fn main() -> ExitCode {
    let done: Result<bool> = match Arguments::parse().command {
        Verb::Programs(arguments) => programs::main(&arguments),
        Verb::Rust(arguments) => rust::main(&arguments),
        Verb::Measure(arguments) => measure::main(&arguments),
        Verb::Atomics(arguments) => atomics::main(&arguments),
        Verb::Profiles(arguments) => profiles::main(&arguments),
        Verb::Soak(arguments) => soak::main(&arguments),
        Verb::Child { order, report } => child::main(&order, &report).map(|()| true),
        Verb::Warm { mib } => {
            warm::touch(mib);
            Ok(true)
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("allod-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}
