//! A host on the system's allocator, whose plugin is on Allod.
//!
//! ```text
//!   host PLUGIN together       both sides make and free, on several threads
//!   host PLUGIN settled TIMES  the plugin comes and goes; its threads go before it
//!   host PLUGIN clean TIMES    the same, and its threads go later
//!   host PLUGIN leaky TIMES    the same, and it forgets an object each time
//!   host PLUGIN pinned TIMES   the same, and its threads keep it loaded
//! ```
//!
//! All but the first and the last print what the host has left of each plugin,
//! for the test to judge. Everything else it judges itself, and panics.

mod library;
mod reload;
mod together;

use reload::Habit;
use std::alloc::System;
use std::process::ExitCode;

#[global_allocator]
static GLOBAL: System = System;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [_, plugin, "together"] => together::run(plugin),
        [_, plugin, "settled", times] => reload::settled(plugin, number(times)),
        [_, plugin, "clean", times] => reload::run(plugin, number(times), Habit::Clean),
        [_, plugin, "leaky", times] => reload::run(plugin, number(times), Habit::Leaky),
        [_, plugin, "pinned", times] => reload::pinned(plugin, number(times)),
        _ => {
            eprintln!("usage: host PLUGIN (together | (settled | clean | leaky | pinned) TIMES)");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn number(word: &str) -> usize {
    word.parse().expect("TIMES is a number")
}
