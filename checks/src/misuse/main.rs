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
//! [`crimes`] is the table: what is done, and which words must be said.

mod crimes;

use allod_checks::c;
use crimes::{CRIMES, Expected};
use std::process::ExitCode;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    if name == "--list" {
        list();
        return ExitCode::SUCCESS;
    }
    let Some(crime) = CRIMES.iter().find(|crime| crime.name == name) else {
        eprintln!("misuse: no crime is called {name:?}; --list tells them");
        return ExitCode::from(2);
    };
    // Everything is looked up before the heap is in disorder.
    let _ = c::functions();
    (crime.commit)();
    ExitCode::SUCCESS
}

/// Prints the table. No words: an access to inaccessible memory.
fn list() {
    let rows: Vec<_> = CRIMES
        .iter()
        .map(|crime| {
            let words = match crime.expected {
                Expected::Said(words) => words,
                Expected::Fault => "",
            };
            serde_json::json!({ "name": crime.name, "words": words })
        })
        .collect();
    println!("{}", serde_json::Value::Array(rows));
}
