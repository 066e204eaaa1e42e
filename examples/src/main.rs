//! Runs the programs that have been built, and prints a table.
//!
//! They stand beside this one, where cargo has put them all.

use std::path::Path;
use std::process::{Command, ExitCode};

/// The programs of `src/bin/`.
const PROGRAMS: [&str; 5] = ["system", "allod", "jemalloc", "mimalloc", "snmalloc"];
/// Runs of each.
const RUNS: usize = 3;

fn main() -> ExitCode {
    let this = std::env::current_exe().unwrap_or_default();
    let folder = this.parent().unwrap_or(Path::new("."));
    println!("{:<10} {:>10} {:>10} {:>10}", "", "time", "peak", "after");
    for name in PROGRAMS {
        let program = folder.join(name);
        if !program.exists() {
            println!("{name:<10} not built: see `src/lib.rs`");
            continue;
        }
        let runs: Option<Vec<[f64; 3]>> = (0..RUNS).map(|_| measure(&program)).collect();
        let fastest = runs.into_iter().flatten().min_by(|a, b| a[0].total_cmp(&b[0]));
        let Some([time, peak, after]) = fastest else {
            eprintln!("{name} failed");
            return ExitCode::FAILURE;
        };
        let (peak, after) = (peak / 1024.0, after / 1024.0);
        println!("{name:<10} {time:>7.1} ms {peak:>6.1} MiB {after:>6.1} MiB");
    }
    ExitCode::SUCCESS
}

/// One run of a program: milliseconds, and KiB twice.
fn measure(program: &Path) -> Option<[f64; 3]> {
    let output = Command::new(program).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.split_whitespace().map_while(|word| word.parse().ok());
    Some([numbers.next()?, numbers.next()?, numbers.next()?])
}
