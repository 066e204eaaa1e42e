//! `loom`: the models of the concurrent structures.
//!
//! A model is a test whose name begins with `loom_`. It exists only when the
//! crate is compiled with `--cfg loom`, which puts loom's atomics in the place
//! of the real ones; loom then runs the test under every order of events that
//! the memory model allows. Such a build is of no use for anything else, so it
//! has a target directory of its own.

use crate::sh::{Cmd, root, sources, target};
use anyhow::{Result, bail};
use std::fs;
use std::path::Path;

/// Seconds for all models of a crate. Loom's time grows fast with the size of a
/// model, and one that takes minutes is too large to be read either.
const LIMIT_SECONDS: u32 = 900;

/// The crates that have models.
pub(crate) const CRATES: [&str; 2] = ["allod", "allod-kit"];

/// The command that runs the models of a crate in `house`.
pub(crate) fn cargo_test(house: &Path, package: &str, arguments: &str) -> Cmd {
    Cmd::new(&format!("cargo test -p {package} --release --lib {arguments}"))
        .env("CARGO_TARGET_DIR", target().join("loom"))
        .env("RUSTFLAGS", "--cfg loom")
        // Link-time optimization of the whole test would take longer than it saves.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .without("CARGO_ENCODED_RUSTFLAGS")
        .within(house)
}

/// Runs all models. `None` when no crate has anything to model.
pub(crate) fn run() -> Result<Option<String>> {
    let mut notes = Vec::new();
    for package in CRATES {
        if !speaks_of_loom(&root().join("crates").join(package).join("src"))? {
            println!("loom: {package} does not say `cfg(loom)`, so it has nothing to run");
            continue;
        }
        let tests = cargo_test(&root(), package, "loom_").limit(LIMIT_SECONDS).test();
        match tests {
            Ok(tests) => notes.push(format!("{package} {tests}")),
            Err(error) => {
                bail!("{error:#} ({package} says `cfg(loom)`, so models are expected)")
            }
        }
    }
    Ok((!notes.is_empty()).then(|| notes.join(", ")))
}

fn speaks_of_loom(folder: &Path) -> Result<bool> {
    for path in sources(folder)? {
        let text = fs::read_to_string(path)?;
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        if code.into_iter().any(|line| line.contains("cfg(") && line.contains("loom")) {
            return Ok(true);
        }
    }
    Ok(false)
}
