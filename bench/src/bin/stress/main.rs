//! `stress`: the loads of `allod bench`, as a program of its own.
//!
//! ```text
//!   stress LOAD AMOUNT
//! ```
//!
//! Everything goes through C's `malloc`, `realloc` and `free`, so a preloaded
//! library serves it. Standard containers use the same functions.

#[path = "../../../../crates/allod-cli/src/loads/mod.rs"]
mod loads;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let load = arguments.next().and_then(|name| loads::find(&name));
    let amount = arguments.next().and_then(|text| text.parse().ok());
    let (Some(load), Some(amount)) = (load, amount) else {
        eprintln!("usage: stress LOAD AMOUNT\n\nloads, with a small and a usual amount:");
        for load in loads::LOADS {
            let (small, usual) = load.amounts;
            eprintln!("  {:<16} {small:>7} {usual:>7}  {}", load.name, load.about);
        }
        return ExitCode::from(2);
    };
    load.run(amount);
    ExitCode::SUCCESS
}
