//! `mutants`: do the tests notice when arithmetic is wrong?
//!
//! Where `mutate` weakens the orderings of shared words, this changes everything
//! else: operators, constants, returned values, by `cargo-mutants`, in a copy of
//! the repository. It looks at the files that are arithmetic and nothing more,
//! whose own tests are quick and ought to say all there is to say. A mutant that
//! these tests let pass is a survivor, and the command fails.
//!
//! `cargo-mutants` finds a crate's files by its `mod` lines, and does not look into
//! macros. In the copy, `lib.rs` has the arm of `cfg_select!` that is compiled here,
//! and nothing around it.
//!
//! Not part of the gate: each mutant costs a build.

use crate::mutate::copy_house;
use crate::sh::{Cmd, target};
use anyhow::{Context, Result, bail};
use std::fs;

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
    let house = target().join("mutants/house");
    copy_house(&house)?;
    let lib = house.join("crates/allod/src/lib.rs");
    let text = fs::read_to_string(&lib)?;
    fs::write(&lib, unfold(&text).context("lib.rs has no `cfg_select!` with an arm `native`")?)?;
    let mut command = Cmd::at(&program)
        .arg("mutants")
        .arg("--package")
        .arg("allod")
        .arg("--no-shuffle")
        .arg("--timeout")
        .arg(EACH_SECONDS)
        .arg("--in-place")
        .arg("--output")
        .arg(target().join("mutants"))
        .env("CARGO_TARGET_DIR", target().join("mutants/build"))
        .limit(LIMIT_SECONDS)
        .within(&house);
    for (file, _) in &chosen {
        command = command.arg("--file").arg(format!("crates/allod/src/{file}"));
    }
    command = command.arg("--").arg("--lib").arg("--");
    for (_, tests) in &chosen {
        command = command.arg(tests);
    }
    command.run()
}

/// The text with its first `cfg_select!` replaced by what its arm `native` holds.
fn unfold(text: &str) -> Option<String> {
    let (before, rest) = text.split_once("\ncfg_select! {\n")?;
    let (arms, after) = rest.split_once("\n}\n")?;
    let (_, arm) = arms.split_once("\n    native => {\n")?;
    let (arm, _) = arm.split_once("\n    }\n")?;
    Some(format!("{before}\n{arm}\n{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arm_that_is_compiled_here_stays() {
        let text = "a\ncfg_select! {\n    loom => {\n        mod x;\n    }\n    native => {\n        mod y;\n    }\n    _ => {\n        mod z;\n    }\n}\nb\n";
        assert_eq!(unfold(text).as_deref(), Some("a\n        mod y;\nb\n"));
        assert_eq!(unfold("mod y;\n"), None);
        let lib = fs::read_to_string(crate::sh::root().join("crates/allod/src/lib.rs")).unwrap();
        let unfolded = unfold(&lib).expect("lib.rs is what is to be unfolded");
        assert!(unfolded.contains("mod size;") && !unfolded.contains("cfg_select!"));
    }
}
