//! `misuse`: one small crime against the heap at a time.
//!
//! ```text
//!   misuse --list                       the table, as JSON
//!   LD_PRELOAD=liballod.so misuse NAME  commits one crime, and then exits with 0
//! ```
//!
//! An allocator that looks ends the program with a line on descriptor 2 and
//! SIGABRT, or the processor does with SIGSEGV. It may look later than at the
//! call: when a list is swapped or flushed, or when the program exits. So each
//! crime is followed by an ordinary `exit`, and by nothing that could hide it.
//!
//! [`mod@crimes`] is the table for the default level: what is done, and which words
//! must be said. [`watched`] has what only the other levels see.

mod crimes;
mod watched;

use allod_checks::c;
use crimes::{CRIMES, Crime, Expected};
use std::process::ExitCode;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    if name == "--list" {
        list();
        return ExitCode::SUCCESS;
    }
    let Some(crime) = crimes().find(|crime| crime.name == name) else {
        eprintln!("misuse: no crime is called {name:?}; --list tells them");
        return ExitCode::from(2);
    };
    // Everything is looked up before the heap is in disorder.
    let _ = c::functions();
    (crime.commit)();
    ExitCode::SUCCESS
}

/// Every crime.
fn crimes() -> impl Iterator<Item = &'static Crime> {
    CRIMES.iter().chain(watched::CRIMES)
}

/// Prints the table. No words: an access to inaccessible memory that nobody explains.
fn list() {
    let rows: Vec<_> = crimes()
        .map(|crime| {
            let (words, fault) = match crime.expected {
                Expected::Said(words) => (words, false),
                Expected::Fault => ("", true),
                Expected::Explained(words) => (words, true),
            };
            serde_json::json!({
                "name": crime.name, "words": words, "fault": fault, "conf": crime.conf,
            })
        })
        .collect();
    println!("{}", serde_json::Value::Array(rows));
}
