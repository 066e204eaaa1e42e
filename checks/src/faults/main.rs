//! `faults`: real programs while the system refuses memory.
//!
//! ```text
//!   faults --library target/release/liballod.so            the short form
//!   faults --library ... --long                            every call, 100,000 forks, a million threads
//!   faults --library ... --write docs/faults.md            the table
//! ```
//!
//! The matrix is fault x program. The faults of a program: each call for memory
//! fails in turn (a library that is preloaded before the allocator sees to it);
//! all fail from some call on; the address space or the data segment is limited.
//! Beside the programs stand `actors`: scenes of our own, of threads, forks and
//! coroutines, which no program plays often enough.
//!
//! A cell is good when the program ends as it does without faults, with the same
//! output to the byte, or says in its own words that it has no memory. It is bad
//! when the allocator complains, when the fault is in the allocator's code, when
//! it hangs, or when it ends well with another output. A program that takes NULL
//! for memory and faults in its own code has itself to blame: these are counted
//! apart, and the table shows them.

mod actors;
mod jobs;

use allod_checks::child::{self, End};
use clap::Parser;
use jobs::{JOBS, Job};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

/// Lets the system refuse memory to real programs.
#[derive(Parser, Debug)]
struct Arguments {
    /// The library to preload.
    #[arg(long, value_name = "PATH", required_unless_present = "actor")]
    library: Option<PathBuf>,
    /// Every call fails in turn, and the actors play long.
    #[arg(long)]
    long: bool,
    /// Only the programs and actors whose names begin so.
    #[arg(long, value_name = "WORD", default_value = "")]
    only: String,
    /// Writes the table to this file.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Plays an actor in this process, so often.
    #[arg(long, hide = true, num_args = 2, value_names = ["NAME", "COUNT"])]
    actor: Option<Vec<String>>,
}

/// What came of the runs of one cell.
#[derive(Debug, Default)]
struct Cell {
    same: usize,
    said_so: usize,
    own_fault: usize,
    bad: Vec<String>,
}

/// One row of the table.
#[derive(Debug)]
struct Line {
    program: String,
    fault: String,
    cell: Cell,
}

const LIMIT: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some([name, count]) = arguments.actor.as_deref() {
        return actors::play(name, count.parse().unwrap_or(1));
    }
    match run(&arguments) {
        Ok(lines) => {
            let text = table(&lines);
            println!("{text}");
            let bad: Vec<&String> = lines.iter().flat_map(|line| &line.cell.bad).collect();
            bad.iter().for_each(|words| println!("BAD {words}"));
            let written = arguments
                .write
                .as_ref()
                .map(|file| std::fs::write(file, document(&text, &arguments)));
            if let Some(Err(error)) = written {
                eprintln!("faults: {error}");
                return ExitCode::from(2);
            }
            if bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(words) => {
            eprintln!("faults: {words}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<Vec<Line>, String> {
    let library = arguments.library.as_deref().ok_or("which library?")?;
    let library = library.canonicalize().map_err(|error| error.to_string())?;
    let failing = beside_me("examples/libfailing.so")?;
    let mut lines = Vec::new();
    for job in JOBS.iter().filter(|job| job.name.starts_with(&arguments.only)) {
        job.ensure()?;
        one(job, &library, &failing, arguments.long, &mut lines)?;
    }
    for actor in actors::ACTORS.iter().filter(|actor| actor.name.starts_with(&arguments.only)) {
        let count = if arguments.long { actor.long } else { actor.short };
        let mut command = Command::new("/proc/self/exe");
        command.args(["--actor", actor.name, &count.to_string()]).env("LD_PRELOAD", &library);
        let limit = if arguments.long { LIMIT * 30 } else { LIMIT };
        let output = child::run(&mut command, limit).map_err(|error| error.to_string())?;
        let mut cell = Cell::default();
        if output.end == End::Exit(0) && output.stderr.is_empty() {
            cell.same = 1;
        } else {
            cell.bad.push(format!("{}: {}: {}", actor.name, output.end, output.stderr.trim()));
        }
        let fault = format!("{} ({count})", actor.what);
        lines.push(Line { program: actor.name.to_owned(), fault, cell });
    }
    Ok(lines)
}

/// A file that cargo put where it put this program, or one folder up.
fn beside_me(name: &str) -> Result<PathBuf, String> {
    let me = std::env::current_exe().map_err(|error| error.to_string())?;
    let found =
        me.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|it| it.exists());
    found.ok_or_else(|| format!("{name} is not built: cargo build -p allod-checks --examples"))
}

/// All the faults of one program.
fn one(
    job: &Job,
    library: &Path,
    failing: &Path,
    long: bool,
    lines: &mut Vec<Line>,
) -> Result<(), String> {
    let plain = child::run(&mut job.command(), LIMIT).map_err(|error| error.to_string())?;
    if plain.end != End::Exit(0) {
        return Err(format!("{} fails without any library: {}", job.name, plain.stderr));
    }
    let list = format!("{}:{}", failing.display(), library.display());
    let judge = |cell: &mut Cell, name: &str, command: &mut Command| {
        command.env("LD_PRELOAD", &list);
        match child::run(command, LIMIT) {
            Ok(output) => enter(cell, &format!("{}, {name}", job.name), &output, &plain.stdout),
            Err(error) => cell.bad.push(error.to_string()),
        }
    };
    let mut line = |fault: &str, cell| {
        lines.push(Line { program: job.name.to_owned(), fault: fault.to_owned(), cell })
    };

    let mut cell = Cell::default();
    judge(&mut cell, "no fault", &mut job.command());
    line("none", cell);

    // Most programs make fewer calls than a hundred; a short run tries some of them.
    let calls: Vec<usize> = if long { (0..160).collect() } else { vec![0, 2, 5, 9, 17] };
    for (suffix, fault) in
        [("", "call k fails, each k in turn"), ("-", "all calls fail from k on, each k in turn")]
    {
        let mut cell = Cell::default();
        for call in &calls {
            let value = format!("{call}{suffix}");
            judge(
                &mut cell,
                &format!("call {value} fails"),
                job.command().env("FAILING_CALL", &value),
            );
        }
        line(fault, cell);
    }
    let sizes: &[u64] =
        if long { &[32, 40, 48, 64, 80, 96, 128, 192, 256, 512] } else { &[32, 64, 128] };
    for (resource, name) in [(libc::RLIMIT_AS, "address space"), (libc::RLIMIT_DATA, "data")] {
        let mut cell = Cell::default();
        for mebibytes in sizes {
            let mut command = job.command();
            child::limit(&mut command, resource, mebibytes << 20);
            judge(&mut cell, &format!("{mebibytes} MiB of {name}"), &mut command);
        }
        let most = sizes.last().copied().unwrap_or_default();
        line(&format!("{name} limited to 32 MiB ... {most} MiB"), cell);
    }
    Ok(())
}

/// Words by which programs say that there is no memory.
const SAID_SO: &[&str] = &[
    "memory",
    "memoryerror",
    "bad_alloc",
    "cannot allocate",
    "failed to map",
    "cannot map",
    "mmap",
    "enomem",
    "resource temporarily",
];

/// Judges one run.
fn enter(cell: &mut Cell, name: &str, output: &child::Output, expected: &str) {
    let text = output.stderr.to_lowercase();
    let ours = text.contains("allod: ") || text.contains("faulted in") && text.contains("liballod");
    let said = SAID_SO.iter().any(|word| text.contains(word));
    match output.end {
        _ if ours => cell.bad.push(format!("{name}: {}: {}", output.end, output.stderr.trim())),
        End::TimeOut | End::TooBig => cell.bad.push(format!("{name}: {}", output.end)),
        End::Exit(0) if output.stdout == expected => cell.same += 1,
        End::Exit(0) if !said => {
            cell.bad.push(format!("{name}: another output: {:?}", output.stdout))
        }
        _ if text.contains("faulted in") => cell.own_fault += 1,
        _ => cell.said_so += 1,
    }
}

fn table(lines: &[Line]) -> String {
    let mut text = String::from(
        "| program | fault | as ever | no memory, said so | fault of its own | bad |\n|---|---|---:|---:|---:|---:|\n",
    );
    for line in lines {
        let c = &line.cell;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            line.program,
            line.fault,
            c.same,
            c.said_so,
            c.own_fault,
            c.bad.len()
        );
    }
    text
}

fn document(table: &str, arguments: &Arguments) -> String {
    let long = if arguments.long { " --long" } else { "" };
    format!(
        "# Faults\n\n\
         Made by `cargo run --release -p allod-checks --bin faults -- --library target/release/liballod.so{long} --write\n\
         docs/faults.md`. Not to be edited. Real programs while the system refuses memory, and scenes of threads, forks and\n\
         coroutines. *As ever*: the same output to the byte. *No memory, said so*: the program ended with an error of its own.\n\
         *Fault of its own*: it took NULL for memory, in its own code. *Bad*: a complaint or a fault of the allocator's, a\n\
         hang, or a good end with another output.\n\n{table}"
    )
}
