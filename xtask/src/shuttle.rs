//! `shuttle`: the whole allocator under schedules of our choice.
//!
//! Where loom tries every order of a few operations on one word, shuttle runs the slow
//! paths as they are, on a simulated system, with a switch of threads before any atomic
//! operation: at random, and by the rules of PCT, which finds what needs few switches at
//! the right places. The plays are tests whose names begin with `shuttle_`
//! (`heap/tests/schedules.rs`); a plain `cargo test` runs them with threads of the system.
//!
//! Seeds are fixed, so the gate sees the same schedules each time. `--rounds` runs more.
//! A failure prints its schedule, which `shuttle::replay` takes.

use crate::sh::{Cmd, target};
use anyhow::Result;

/// Seconds for all plays.
const LIMIT_SECONDS: u32 = 900;

/// Schedules of either kind for each play, in the gate.
pub(crate) const ROUNDS: u32 = 150;

/// Runs the plays, each under so many schedules of either kind. Returns how many there are.
pub(crate) fn run(rounds: u32) -> Result<String> {
    let tests = Cmd::new("cargo test --quiet -p allod --release --lib shuttle_")
        .env("CARGO_TARGET_DIR", target().join("shuttle"))
        .env("RUSTFLAGS", "--cfg shuttle")
        .env("ALLOD_SCHEDULES", rounds.to_string())
        // As for loom: linking would take longer than it saves. Assertions stay.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
        .without("CARGO_ENCODED_RUSTFLAGS")
        .limit(LIMIT_SECONDS)
        .test()?;
    Ok(format!("{tests} plays, {rounds} schedules of each kind"))
}
