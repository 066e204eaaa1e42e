//! `ci`: the gate.
//!
//! One list of steps, run in order, at home and on the build machine alike.
//! The first failure ends the run. Each step says how long it took, the slow
//! ones are left out with `--quick`, and the last line counts.
//!
//! A step returns what it did in a few words, or why there is nothing for it
//! to do. It never passes because something was missing: what it needs it
//! installs, or it fails and says what is missing.

use crate::sh::{Cmd, OPTIMIZED, root, target};
use crate::{bare, debian, golden, loom, pages, shuttle, targets};
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};

/// How a step ended well.
enum End {
    Passed(String),
    Skipped(String),
}

struct Step {
    name: &'static str,
    slow: bool,
    run: fn() -> Result<End>,
}

const fn quick(name: &'static str, run: fn() -> Result<End>) -> Step {
    Step { name, slow: false, run }
}

const fn slow(name: &'static str, run: fn() -> Result<End>) -> Step {
    Step { name, slow: true, run }
}

/// The cheap and telling ones first.
const STEPS: [Step; 22] = [
    quick("format", format),
    quick("clippy", || clippy_all("")),
    slow("clippy: unchecked", || clippy_all("--features allod/unchecked")),
    slow("clippy: kit", clippy_kit),
    // These two are for Rust programs. The C face cannot be built on them: it
    // has no allocator below itself.
    slow("clippy: allocator-api2", || clippy(&format!("-p allod --features {ADAPTERS}"))),
    slow("clippy: system", || clippy("-p allod --features system")),
    slow("clippy: outside", clippy_outside),
    quick("build", build),
    quick("tests", tests),
    quick("documentation", documentation),
    slow("dependencies", dependencies),
    slow("tests: release", tests_in_release),
    slow("tests: features", tests_of_features),
    slow("golden", || golden::run(false, false).map(|()| End::Passed(String::new()))),
    slow("loom", models),
    slow("shuttle", || shuttle::run(shuttle::ROUNDS).map(End::Passed)),
    slow("other targets", || targets::run().map(End::Passed)),
    slow("bare metal", || bare::run().map(End::Passed)),
    slow("reports in a browser", || pages::run(false).map(End::Passed)),
    slow("programs", || bench("programs --ci").map(End::Passed)),
    slow("soak", || bench("soak --ci").map(End::Passed)),
    slow("Rust programs", || bench("rust --ci").map(End::Passed)),
];

/// Seconds for one `cargo test`, building included.
const LIMIT_SECONDS: u32 = 1200;

/// The version of `cargo deny` that `deny.toml` is written for.
const CARGO_DENY: &str = "0.20.2";

/// The features that adapt the allocator traits of others.
const ADAPTERS: &str = "allod/allocator-api2-02,allod/allocator-api2-04";

/// A workspace that cannot be looked at alone: its manifest names copies that
/// the tests make. `artifacts/versions` says more.
const NOT_ALONE: &str = "artifacts/versions/Cargo.toml";

/// What of the gate is run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    /// All of it.
    Whole,
    /// Without the slow steps.
    Quick,
    /// From the step of this name on: to go on where a failure was put right.
    From(&'a str),
    /// This step alone.
    Only(&'a str),
}

impl Part<'_> {
    /// The steps of this part, or why there is none.
    fn steps(self) -> Result<Vec<&'static Step>> {
        let place = |name: &str| {
            STEPS.iter().position(|step| step.name == name).with_context(|| {
                let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
                format!("no step `{name}`; there are: {}", names.join(", "))
            })
        };
        Ok(match self {
            Self::Whole => STEPS.iter().collect(),
            Self::Quick => STEPS.iter().filter(|step| !step.slow).collect(),
            Self::From(name) => STEPS.iter().skip(place(name)?).collect(),
            Self::Only(name) => STEPS.iter().skip(place(name)?).take(1).collect(),
        })
    }
}

/// Runs the gate and tells whether it is open. Its last line is the count.
pub(crate) fn run(part: Part<'_>) -> Result<bool> {
    let mut report: Vec<(&str, Duration, String)> = Vec::new();
    let (mut passed, mut skipped) = (0, 0);
    let mut failure = None;
    for step in part.steps()? {
        println!("\n=== {}", step.name);
        let start = Instant::now();
        let end = (step.run)();
        let words = match &end {
            Ok(End::Passed(note)) => note.clone(),
            Ok(End::Skipped(why)) => format!("skipped: {why}"),
            Err(_) => "FAILED".to_owned(),
        };
        println!("=== {}: {:.1} s {words}", step.name, start.elapsed().as_secs_f64());
        report.push((step.name, start.elapsed(), words));
        match end {
            Ok(End::Passed(_)) => passed += 1,
            Ok(End::Skipped(_)) => skipped += 1,
            Err(error) => {
                failure = Some((step.name, error));
                break;
            }
        }
    }
    println!();
    for (name, time, words) in &report {
        println!("{name:<24} {:>7.1} s  {words}", time.as_secs_f64());
    }
    let failed = usize::from(failure.is_some());
    if let Some((name, error)) = &failure {
        println!("\nci: step `{name}` failed: {error:#}");
    } else if !matches!(part, Part::Whole) {
        println!("\nci: this part passed; the gate is `cargo xtask ci` alone");
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(failure.is_none())
}

/// The manifests of the workspaces beside ours: what a user would build, and
/// what no user should have to.
fn outside() -> Result<Vec<String>> {
    let all = "git ls-files --cached --others --exclude-standard *Cargo.toml";
    let mut found = Vec::new();
    for manifest in Cmd::new(all).output()?.lines() {
        let path = root().join(manifest);
        let is_beside = manifest != "Cargo.toml" && manifest != NOT_ALONE && path.exists();
        if is_beside && std::fs::read_to_string(path)?.lines().any(|line| line == "[workspace]") {
            found.push(manifest.to_owned());
        }
    }
    Ok(found)
}

fn format() -> Result<End> {
    Cmd::new("cargo fmt --all --check").run()?;
    for manifest in outside()? {
        Cmd::new("cargo fmt --all --check --manifest-path").arg(manifest).run()?;
    }
    Ok(End::Passed(String::new()))
}

fn clippy(what: &str) -> Result<End> {
    Cmd::new(&format!("cargo clippy --quiet --all-targets {what} -- -Dwarnings")).run()?;
    Ok(End::Passed(String::new()))
}

/// The C face stands alone: it ends panics itself, and the kit's tests bring
/// `std`, which does so too, into whatever is built together with them.
fn clippy_all(features: &str) -> Result<End> {
    clippy(&format!("--workspace --exclude allod-capi {features}"))?;
    clippy(&format!("-p allod-capi -p allod {features}"))
}

/// The kit without what it has by default, and with all that it can have.
fn clippy_kit() -> Result<End> {
    Cmd::new("cargo clippy --quiet -p allod-kit --no-default-features --lib -- -Dwarnings")
        .run()?;
    let all = "allocator-api2-02,allocator-api2-04,alloc,conformance,critical-section,\
               lock-api,portable-atomic,serde,testing";
    clippy(&format!("-p allod-kit --features {all}"))
}

fn clippy_outside() -> Result<End> {
    for manifest in outside()? {
        let mut command =
            Cmd::new("cargo clippy --quiet --workspace --all-targets --manifest-path")
                .arg(&manifest)
                .arg("--target-dir")
                .arg(target().join("outside"))
                .arg("--")
                .arg("-Dwarnings");
        // What `cargo fuzz` sets: one target has its body where only a fuzzer sees it.
        if manifest == "fuzz/Cargo.toml" {
            command = command.env("RUSTFLAGS", "--cfg fuzzing");
        }
        command.run()?;
    }
    Ok(End::Passed(String::new()))
}

/// The C face is a `no_std` library: it has no test harness and must be built
/// to be looked at. Other members' tests expect it beside their own program.
fn build() -> Result<End> {
    Cmd::new("cargo build --quiet --workspace").run()?;
    Cmd::new("cargo build --quiet --release").run()?;
    Ok(End::Passed(String::new()))
}

fn tests() -> Result<End> {
    // Names are looked up in programs that the tests compile and take apart.
    if !["c++", "objcopy"].iter().all(|tool| Cmd::new(&format!("{tool} --version")).succeeds()) {
        debian::need(&["binutils", "g++"])?;
    }
    // The live screen is tested in a terminal.
    if !Cmd::new("tmux -V").succeeds() {
        debian::need(&["tmux"])?;
    }
    let line = "cargo test --quiet --workspace --exclude allod-capi";
    let tests = Cmd::new(&format!("{line} {OPTIMIZED}")).limit(LIMIT_SECONDS).test()?;
    Ok(End::Passed(format!("{tests} tests")))
}

fn tests_in_release() -> Result<End> {
    let line = "cargo test --quiet -p allod -p allod-kit --release";
    let tests = Cmd::new(line).limit(LIMIT_SECONDS).test()?;
    Ok(End::Passed(format!("{tests} tests")))
}

/// Each feature alone, so that none leans on another.
fn tests_of_features() -> Result<End> {
    let manifest = std::fs::read_to_string(root().join("crates/allod/Cargo.toml"))?;
    let mut notes = Vec::new();
    for feature in features(&manifest) {
        let line = "cargo test --quiet -p allod";
        let line = format!("{line} {OPTIMIZED} --features {feature}");
        let tests = if feature == "nightly" {
            if !Cmd::new("rustup run nightly rustc --version").succeeds() {
                bail!("the feature `nightly` needs a nightly toolchain, and there is none");
            }
            // A directory of its own, because the two compilers share nothing.
            Cmd::new(&format!("rustup run nightly {line} --target-dir"))
                .arg(target().join("nightly"))
                .limit(LIMIT_SECONDS)
                .test()
        } else {
            Cmd::new(&line).limit(LIMIT_SECONDS).test()
        };
        let tests = tests.with_context(|| format!("with the feature `{feature}` alone"))?;
        notes.push(format!("{feature} {tests}"));
    }
    Ok(End::Passed(notes.join(", ")))
}

/// The names in the table `[features]` of a manifest, `default` apart.
fn features(manifest: &str) -> Vec<&str> {
    let table = manifest.lines().skip_while(|line| *line != "[features]").skip(1);
    let table = table.take_while(|line| !line.starts_with('['));
    let names = table.filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (name, _) = line.split_once(" = ")?;
        Some(name.trim())
    });
    names.filter(|name| *name != "default").collect()
}

fn documentation() -> Result<End> {
    Cmd::new(&format!("cargo doc --quiet --workspace --no-deps --features {ADAPTERS}"))
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()?;
    let line = format!("cargo test --quiet --doc -p allod --features {ADAPTERS}");
    let tests = Cmd::new(&line).limit(LIMIT_SECONDS).test()?;
    Ok(End::Passed(format!("{tests} doc tests")))
}

/// Licences and origins of what we depend on, held against `deny.toml`.
fn dependencies() -> Result<End> {
    let tools = target().join("tools");
    let deny = tools.join("bin/cargo-deny");
    if !deny.exists() {
        let install = format!("cargo install --quiet --locked --debug cargo-deny@{CARGO_DENY}");
        Cmd::new(&install)
            .arg("--no-default-features")
            .arg("--root")
            .arg(&tools)
            .env("CARGO_TARGET_DIR", tools.join("build"))
            .run()?;
    }
    Cmd::at(&deny).arg("check").arg("bans").arg("licenses").arg("sources").run()?;
    Ok(End::Passed(String::new()))
}

fn models() -> Result<End> {
    Ok(match loom::run()? {
        Some(note) => End::Passed(note),
        None => End::Skipped("nothing to model".to_owned()),
    })
}

/// Real programs on `liballod.so`, and Rust programs with Allod inside, in
/// their short forms. They judge results, not times.
pub(crate) fn bench(line: &str) -> Result<String> {
    let cargo = "cargo run --quiet --release --manifest-path bench/Cargo.toml --";
    Cmd::new(&format!("{cargo} {line}")).run()?;
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_by_name() {
        let names = |part: Part<'_>| {
            part.steps().map(|steps| steps.iter().map(|step| step.name).collect::<Vec<_>>()).ok()
        };
        assert_eq!(names(Part::Only("golden")), Some(vec!["golden"]));
        assert_eq!(names(Part::From("programs")), Some(vec!["programs", "soak", "Rust programs"]));
        assert_eq!(names(Part::From("no such step")), None);
        assert_eq!(names(Part::Whole).map(|all| all.len()), Some(STEPS.len()));
    }

    #[test]
    fn features_are_read() {
        let manifest = "[package]\nname = \"x\"\n\n[features]\ndefault = []\n# One.\nsystem = []\nnightly = []\n\n[dependencies]\nlibc = \"1\"\n";
        assert_eq!(features(manifest), ["system", "nightly"]);
        assert!(features("[package]\n").is_empty());
    }

    #[test]
    fn the_real_manifest_has_features() {
        let path = root().join("crates/allod/Cargo.toml");
        let manifest = std::fs::read_to_string(path).unwrap();
        assert!(features(&manifest).contains(&"unchecked"));
    }
}
