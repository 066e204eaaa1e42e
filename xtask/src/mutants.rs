//! `mutants`: do the tests notice when arithmetic is wrong?
//!
//! Where `mutate` weakens the orderings of shared words, this changes everything
//! else: operators, constants, returned values, by `cargo-mutants`, in a copy of
//! the repository. It looks at the files that are arithmetic and nothing more,
//! whose own tests are quick and ought to say all there is to say. A mutant that
//! these tests let pass is a survivor, and the command fails.
//!
//! Not part of the gate: each mutant costs a build.

use crate::sh::{Cmd, root, target};
use anyhow::{Result, bail};

/// The version of `cargo-mutants`, which decides what is changed.
const CARGO_MUTANTS: &str = "27.1.0";

/// Seconds for all of them.
const LIMIT_SECONDS: u32 = 4 * 60 * 60;
/// Seconds for the tests of one. Wrong arithmetic may well run for ever.
const EACH_SECONDS: &str = "60";

/// The files of `allod`, and the module that has each one's tests.
const FILES: [(&str, &str); 5] = [
    ("size.rs", "size::"),
    ("units.rs", "size::"),
    ("config.rs", "config::"),
    ("arena/bits.rs", "arena::bits::"),
    ("odds.rs", "odds::"),
];

/// Changes whatever can be changed in the files whose path contains `word`.
pub(crate) fn run(word: &str) -> Result<()> {
    let chosen: Vec<_> = FILES.iter().filter(|(file, _)| file.contains(word)).collect();
    if chosen.is_empty() {
        bail!("none of the files of arithmetic has `{word}` in its path");
    }
    let tools = target().join("tools");
    let program = tools.join("bin/cargo-mutants");
    if !program.exists() {
        let install =
            format!("cargo install --quiet --locked --debug cargo-mutants@{CARGO_MUTANTS}");
        Cmd::new(&install)
            .arg("--root")
            .arg(&tools)
            .env("CARGO_TARGET_DIR", tools.join("build"))
            .run()?;
    }
    let mut command = Cmd::at(&program)
        .arg("mutants")
        .arg("--package")
        .arg("allod")
        .arg("--no-shuffle")
        .arg("--timeout")
        .arg(EACH_SECONDS)
        .arg("--output")
        .arg(target().join("mutants"))
        .limit(LIMIT_SECONDS)
        .within(&root());
    for (file, _) in &chosen {
        command = command.arg("--file").arg(format!("crates/allod/src/{file}"));
    }
    command = command.arg("--").arg("--lib").arg("--");
    for (_, tests) in &chosen {
        command = command.arg(tests);
    }
    command.run()
}
