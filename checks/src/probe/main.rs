//! `probe`: does this `malloc` keep its contracts?
//!
//! ```text
//!   probe                          the system's own
//!   probe --preload liballod.so    any library, by path
//!   probe --rows 1-7,23 --json     some rows, for a program to read
//! ```
//!
//! Each row is one promise, with the standard it comes from. Each runs in a
//! process of its own, with the library preloaded, a time limit and a memory
//! limit: a crash or a hang is one failing row and no more.
//!
//! The loader says nothing on its exit code when it cannot map a library that
//! is to be preloaded: the program runs on the system's allocator. So every row
//! first asks the loader which file `malloc` came from, and fails when it is
//! not the one that was meant.
//!
//! The numbers are those of a checklist that begins with ISO C and ends with
//! what only robust allocators do. A row that the standards leave open says
//! "quality" or names the system whose way programs rely on.
//!
//! Files: `row` the table's types, `run` a row in its process, `report` the
//! table on paper, `compare` the table of several allocators, `helper` the small programs that some rows start; the rest
//! are the rows, a subject each.

mod row;
mod run;
mod report;
mod compare;
mod helper;

mod basic;
mod aligned;
mod glibc;
mod cxx;
mod limits;
mod faults;
mod large;
mod forks;
mod threads;
mod process;
mod signals;
mod early;

use clap::Parser;
use row::Row;
use std::path::PathBuf;
use std::process::ExitCode;

/// Every row, in the order of the checklist.
fn rows() -> Vec<&'static Row> {
    let mut rows: Vec<&Row> = [
        basic::ROWS,
        aligned::ROWS,
        glibc::ROWS,
        cxx::ROWS,
        limits::ROWS,
        faults::ROWS,
        large::ROWS,
        forks::ROWS,
        threads::ROWS,
        process::ROWS,
        signals::ROWS,
        early::ROWS,
    ]
    .into_iter()
    .flatten()
    .collect();
    rows.sort_by_key(|row| row.number);
    rows
}

/// Asks an allocator for everything that the standards promise.
#[derive(Parser, Debug, Clone)]
struct Arguments {
    /// The library to preload; without it, the system's allocator is asked.
    #[arg(long, value_name = "PATH")]
    preload: Option<PathBuf>,
    /// The rows to run, as in `1-7,23` or by name.
    #[arg(long, value_name = "LIST")]
    rows: Option<String>,
    /// One JSON object on descriptor 1 instead of a table.
    #[arg(long)]
    json: bool,
    /// Another allocator for the document, as PATH or NAME=PATH; `glibc` for the system's.
    /// Repeatable.
    #[arg(long, value_name = "LIBRARY", requires = "write")]
    beside: Vec<String>,
    /// Writes a document that compares.
    #[arg(long, value_name = "FILE", requires = "preload")]
    write: Option<PathBuf>,
    /// Only the rows that did not pass.
    #[arg(long)]
    failures: bool,
    /// The longer form of the rows that have one.
    #[arg(long)]
    long: bool,
    /// Multiplies every time limit, for a busy machine.
    #[arg(long, value_name = "N", default_value_t = 1)]
    patience: u32,
    /// Lists the rows and runs none.
    #[arg(long)]
    list: bool,
    /// Runs one row in this process.
    #[arg(long, hide = true, value_name = "NAME")]
    here: Option<String>,
    /// Runs a helper of some row in this process.
    #[arg(long, hide = true, num_args = 1.., value_name = "NAME")]
    helper: Option<Vec<String>>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(helper) = &arguments.helper {
        return helper::run(helper);
    }
    if let Some(name) = &arguments.here {
        return run::here(name, &arguments);
    }
    let chosen = match run::choose(rows(), arguments.rows.as_deref()) {
        Ok(chosen) => chosen,
        Err(message) => {
            eprintln!("probe: {message}");
            return ExitCode::from(2);
        }
    };
    if arguments.list {
        report::list(&chosen);
        return ExitCode::SUCCESS;
    }
    if let Some(file) = &arguments.write {
        return match compare::write(&chosen, &arguments, file) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(message) => {
                eprintln!("probe: {message}");
                ExitCode::from(2)
            }
        };
    }
    let results = match run::all(&chosen, &arguments) {
        Ok(results) => results,
        Err(message) => {
            eprintln!("probe: {message}");
            return ExitCode::from(2);
        }
    };
    if report::print(&results, &arguments) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
