//! `attack`: how often does an allocator stop a program that misuses it?
//!
//! ```text
//!   attack --library target/release/liballod.so            10,000 trials
//!   attack --library allod=liballod.so --conf harden:hardened --library glibc
//!   attack --library liballod.so --families "double free" --trials 500
//!   attack --library liballod.so --trial 4711              one of them again
//!   attack ... --write docs/attacks.md                     the document
//! ```
//!
//! A *trial* is a small program that does one wrong thing: of a family (`families`:
//! overflows, double and invalid frees, wrong sizes, uses of freed memory), to an
//! object of a random size from 1 byte to 4 MiB, by the same thread or another, at
//! once, later, or after the memory was handed out again. All of it follows from a
//! seed and the trial's number (`trial`). Each runs in a process of its own, forked
//! from one that has the library preloaded (`zygote`); beside it runs its
//! *control*, the same program without the wrong thing, which must end as if
//! nothing had been asked. What the process tells of itself survives it (`note`),
//! and `judge` says what counts as detected: a stop on purpose, and not a crash by
//! luck. `rates` counts, with intervals; `report` prints.
//!
//! The program knows nothing of any allocator but the words that each has for
//! mistakes. It asks what the levels promise: single cases with exact expectations
//! are in `misuse`, contracts in `probe`.

mod families;
mod trial;
mod deed;
mod note;
mod scene;
mod judge;
mod zygote;
mod rates;
mod run;
mod report;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Misuses allocators at random, and counts how often that is stopped.
#[derive(Parser, Debug, Clone)]
struct Arguments {
    /// A library to preload, as PATH or NAME=PATH; `glibc` for none. Repeatable.
    #[arg(long, value_name = "LIBRARY")]
    library: Vec<String>,
    /// What liballod.so is told in ALLOD_CONF. Each one is a column. Repeatable.
    #[arg(long, value_name = "OPTIONS")]
    conf: Vec<String>,
    /// How many trials for each column.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    trials: usize,
    /// Where all random numbers come from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Only the families whose names begin so. Repeatable.
    #[arg(long, value_name = "WORD")]
    families: Vec<String>,
    /// How many trials run beside each other; as many as there are processors.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// One JSON object on descriptor 1.
    #[arg(long)]
    json: bool,
    /// Tables in Markdown on descriptor 1.
    #[arg(long)]
    markdown: bool,
    /// Writes the whole document to this file.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Repeats this trial of the first column and tells all of it.
    #[arg(long, value_name = "NUMBER")]
    trial: Option<usize>,
    /// Prints the families.
    #[arg(long)]
    list: bool,
    /// Runs trials from the first number to before the second in this process.
    #[arg(long, hide = true, num_args = 2, value_name = "NUMBER")]
    zygote: Option<Vec<usize>>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match start(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(words) => {
            eprintln!("attack: {words}");
            ExitCode::from(2)
        }
    }
}

/// False when a control did not end well.
fn start(arguments: &Arguments) -> Result<bool, String> {
    let families = trial::choose(&arguments.families)?;
    if arguments.list {
        families.iter().for_each(|family| println!("{:<26} {}", family.name, family.what));
        return Ok(true);
    }
    if let Some([first, end]) = arguments.zygote.as_deref() {
        let numbers = *first..*end;
        zygote::run(arguments.seed, numbers, &families).map_err(|error| error.to_string())?;
        return Ok(true);
    }
    let columns = run::columns(arguments)?;
    if let Some(number) = arguments.trial {
        let column = columns.first().ok_or("which library?")?;
        for record in run::batch(column, arguments, number..number + 1)? {
            println!("{}", serde_json::to_string_pretty(&record).map_err(|it| it.to_string())?);
        }
        return Ok(true);
    }
    let results = run::all(&columns, arguments)?;
    report::print(&results, arguments)?;
    Ok(results.iter().all(|it| it.rows.iter().all(|row| row.count.false_alarms == 0)))
}
