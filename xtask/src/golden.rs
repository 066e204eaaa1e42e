//! `golden`: the instruction budget of the fast path.
//!
//! Builds the release twins (with the checks of the default level, and the
//! feature `unchecked` without them) of `liballod.so`, and of a small Rust
//! program with Allod inside (`golden-probe/`), the latter with fat link-time
//! optimization and with none. Then takes the functions apart, follows the hit
//! path (`golden/walk.rs` says what that is) and counts. The counts must be
//! those in `golden/x86_64.txt`, and within the limits that stand there too.
//!
//! Counting is exact: no clock, no noise, the same on any machine with the
//! same compiler. So a change of one instruction is a failure, and `--bless`
//! is how a change on purpose is written down.
//!
//! The functions of `liballod.so` are counted with their `ret`: a C program
//! executes it. Those of the probe stand for code that is inlined where it is
//! used, and are counted without.

mod elf;
mod table;
mod walk;

use crate::sh::{Cmd, root, target};
use anyhow::{Context, Result, bail};
use elf::Program;
use iced_x86::{FastFormatter, Instruction};
use std::path::Path;
use table::{Kept, Section};
use walk::HitPath;

const FILE: &str = "golden/x86_64.txt";
const C_FUNCTIONS: [&str; 3] = ["malloc", "free", "realloc"];
const RUST_FUNCTIONS: [&str; 5] = [
    "rust_alloc_48",
    "rust_dealloc_48",
    "rust_pair_48",
    "rust_alloc_dynamic",
    "rust_dealloc_dynamic",
];

/// Counts and compares; writes the counts down when told to `bless`.
pub(crate) fn run(bless: bool, show: bool) -> Result<()> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        bail!("the golden file is for x86-64 Linux");
    }
    let path = root().join(FILE);
    let before = std::fs::read_to_string(&path).with_context(|| format!("cannot read {FILE}"))?;
    let kept = Kept::parse(&before);
    let sections = measure(show)?;
    let now = kept.render(&rustc_version()?, &sections);
    if bless {
        std::fs::write(&path, &now).with_context(|| format!("cannot write {FILE}"))?;
    }
    let difference = table::difference(&before, &now);
    for line in &difference {
        println!("{line}");
    }
    let passed = kept.passed_limits(&sections)?;
    if !passed.is_empty() {
        bail!("over budget:\n{}", passed.join("\n"));
    }
    match (difference.len(), bless) {
        (0, _) => println!("golden: {FILE} holds"),
        (_, true) => println!("golden: {FILE} is written"),
        (lines, false) => bail!(
            "{lines} lines differ from {FILE}. If that is the purpose of your change, run \
             `cargo xtask golden --bless` and give the reason in the commit. A different \
             compiler counts differently too: see the file's `rustc` line."
        ),
    }
    Ok(())
}

fn rustc_version() -> Result<String> {
    let text = Cmd::new("rustc --version").output()?;
    Ok(text.split(' ').nth(1).context("rustc does not tell its version")?.to_owned())
}

/// Builds every twin and counts in it.
fn measure(show: bool) -> Result<Vec<Section>> {
    let folder = target().join("golden");
    let twins = [("default", ""), ("unchecked", " --features unchecked")];
    let mut sections = Vec::new();
    for (twin, feature) in twins {
        build(&format!("-p allod-capi{feature}"), None, &folder)?;
        let library = Program::read(&folder.join("release/liballod.so"))?;
        let mut section = count(&format!("liballod.so {twin}"), &library, &C_FUNCTIONS, show)?;
        section.tls = Some(library.tls_size()?);
        sections.push(section);
    }
    for lto in ["fat", "off"] {
        for (twin, feature) in twins {
            let probe = format!("--manifest-path xtask/golden-probe/Cargo.toml{feature}");
            build(&probe, Some(lto), &folder)?;
            let path = folder.join("release/golden-probe");
            // The probe tells by its exit whether the functions work at all.
            Cmd::at(&path).run()?;
            let name = format!("rust lto={lto} {twin}");
            sections.push(count(&name, &Program::read(&path)?, &RUST_FUNCTIONS, show)?);
        }
    }
    Ok(sections)
}

/// A release build, with no flags but ours.
fn build(what: &str, lto: Option<&str>, folder: &Path) -> Result<()> {
    let mut cargo = Cmd::new(&format!("cargo build --quiet --release {what} --target-dir"))
        .arg(folder)
        .without("RUSTFLAGS")
        .without("CARGO_ENCODED_RUSTFLAGS")
        .without("CARGO_BUILD_RUSTFLAGS")
        .without("CARGO_BUILD_TARGET");
    if let Some(lto) = lto {
        cargo = cargo.env("CARGO_PROFILE_RELEASE_LTO", lto);
    }
    cargo.run()
}

fn count(name: &str, program: &Program, functions: &[&str], show: bool) -> Result<Section> {
    let with_ret = functions == C_FUNCTIONS;
    let mut rows = Vec::new();
    for function in functions {
        let path = hit_path(program, function).with_context(|| format!("[{name}] `{function}`"))?;
        if show {
            print_path(name, function, &path);
        }
        rows.push(((*function).to_owned(), path.counts(with_ret)));
    }
    Ok(Section { name: name.to_owned(), rows, tls: None })
}

fn hit_path(program: &Program, function: &str) -> Result<HitPath> {
    let is_marker = |call: &Instruction| program.is_marker(call);
    let (address, code) = program.function(function)?;
    let Some(jump) = walk::sole_jump(address, &code) else {
        return walk::hit_path(address, &code, &is_marker);
    };
    let (address, code) = program.function_at(jump.near_branch_target())?;
    Ok(walk::hit_path(address, &code, &is_marker)?.entered_by(jump))
}

fn print_path(section: &str, function: &str, path: &HitPath) {
    println!("\n[{section}] {function}");
    let mut formatter = FastFormatter::new();
    for instruction in &path.instructions {
        let mut text = String::new();
        formatter.format(instruction, &mut text);
        println!("  {:8x}  {text}", instruction.ip());
    }
}
