//! What must be built before anything can run: our library, the probe, the
//! stress binary, the Rust programs.
//!
//! Cargo builds them and says in its JSON where they lie, so nothing here
//! guesses at target directories.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The directory of this package.
const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(HERE).parent().expect("bench/ lies in the repository").into()
}

/// The helpers that every command uses.
#[derive(Debug)]
pub(crate) struct Helpers {
    /// The library that writes down who serves.
    pub(crate) probe: PathBuf,
    /// The binary with the stress loads.
    pub(crate) stress: PathBuf,
}

/// Builds the helpers.
pub(crate) fn helpers() -> Result<Helpers> {
    let manifest = Path::new(HERE).join("Cargo.toml");
    let stress = cargo(&manifest, &["-p", "allod-bench", "--bin", "stress"])?;
    let probe = cargo(&manifest, &["-p", "allod-bench-probe"])?;
    Ok(Helpers {
        probe: find(&probe, "liballod_bench_probe.so")?,
        stress: find(&stress, "stress")?,
    })
}

/// Builds the library that marks objects which grow in their place.
pub(crate) fn build_marker() -> Result<PathBuf> {
    let built = cargo(&Path::new(HERE).join("Cargo.toml"), &["-p", "allod-bench-marker"])?;
    find(&built, "liballod_bench_marker.so")
}

/// Builds the program that does the same work with any number of threads.
pub(crate) fn build_threads() -> Result<PathBuf> {
    let manifest = Path::new(HERE).join("Cargo.toml");
    let built = cargo(&manifest, &["-p", "allod-bench", "--bin", "threads"])?;
    find(&built, "threads")
}

/// Builds `liballod.so` as users get it.
pub(crate) fn build_allod() -> Result<PathBuf> {
    let built = cargo(&root().join("Cargo.toml"), &["-p", "allod-capi"])?;
    find(&built, "liballod.so")
}

/// Builds `liballod.so` with all assertions, and so that it looks at itself.
pub(crate) fn build_audited() -> Result<PathBuf> {
    let mut command = Command::new(env!("CARGO"));
    // A directory of its own: the flags are of no use to anybody else's build.
    command.args(["build", "--profile", "soak", "-p", "allod-capi", "--target-dir"]);
    command.arg(root().join("target").join("soak"));
    command.env("RUSTFLAGS", "--cfg audit").env_remove("CARGO_ENCODED_RUSTFLAGS");
    find(&files(&run(command, &root().join("Cargo.toml"))?), "liballod.so")
}

/// Builds the program that plays scenes.
pub(crate) fn build_scenes() -> Result<PathBuf> {
    let built = cargo(&root().join("Cargo.toml"), &["-p", "allod-checks", "--bin", "faults"])?;
    find(&built, "faults")
}

/// Builds the command `allod`.
pub(crate) fn build_command() -> Result<PathBuf> {
    let built = cargo(&root().join("Cargo.toml"), &["-p", "allod-cli"])?;
    find(&built, "allod")
}

/// Builds the Rust programs with the allocator that `feature` names, and optimises
/// across crates if `thin`. The next build replaces them.
pub(crate) fn build_programs(feature: &str, thin: bool) -> Result<Vec<PathBuf>> {
    // `false` is cargo's default: nothing is inlined across crates that does not
    // ask for it.
    let lto = if thin { "profile.release.lto=\"thin\"" } else { "profile.release.lto=false" };
    programs(&["--no-default-features", "--features", feature, "--config", lto])
}

/// The same, as they are debugged: optimised across crates, with debug information.
pub(crate) fn build_programs_to_debug(feature: &str) -> Result<Vec<PathBuf>> {
    let options = ["--config", "profile.release.debug=true", "--config"];
    let features = ["--no-default-features", "--features", feature];
    programs(&[&features[..], &options, &["profile.release.lto=\"thin\""]].concat())
}

fn programs(arguments: &[&str]) -> Result<Vec<PathBuf>> {
    let manifest = root().join("programs").join("Cargo.toml");
    let mut built = cargo(&manifest, arguments)?;
    built.retain(|file| file.extension().is_none_or(|suffix| suffix != "so"));
    ensure!(!built.is_empty(), "cargo built no program");
    Ok(built)
}

/// Builds a package that this workspace depends on, and returns the directory
/// where its build script has put things.
pub(crate) fn build_archive(package: &str) -> Result<PathBuf> {
    let manifest = Path::new(HERE).join("Cargo.toml");
    let messages = messages(&manifest, &["-p", package])?;
    let sign = format!("{package}@");
    let script = messages.iter().find(|message| {
        let id = message["package_id"].as_str().unwrap_or_default();
        message["reason"] == "build-script-executed" && id.contains(&sign)
    });
    let directory = script.and_then(|message| message["out_dir"].as_str());
    Ok(directory.with_context(|| format!("{package} has no build script"))?.into())
}

/// The version of Allod in words: the crate's, and the commit.
pub(crate) fn our_version() -> Result<String> {
    let metadata = metadata(&root().join("Cargo.toml"), &["--no-deps"])?;
    let packages = metadata["packages"].as_array().context("cargo names no packages")?;
    let allod = packages.iter().find(|package| package["name"] == "allod");
    let version = allod.and_then(|package| package["version"].as_str()).unwrap_or("?");
    Ok(format!("{version} ({})", commit()))
}

/// The commit that is checked out, with a `+` when the product has other changes.
pub(crate) fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(root()).args(arguments).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_string();
        output.status.success().then_some(text)
    };
    let changed =
        git(&["status", "--porcelain", "--", "crates"]).is_some_and(|text| !text.is_empty());
    let hash = git(&["rev-parse", "--short=10", "HEAD"]).unwrap_or_else(|| "no commit".into());
    format!("{hash}{}", if changed { "+" } else { "" })
}

/// The packages that a workspace's `Cargo.lock` pins, on disk.
#[derive(Debug)]
pub(crate) struct Sources {
    /// The workspace's target directory.
    pub(crate) target: PathBuf,
    metadata: Value,
}

/// Asks cargo for those of this workspace. What is not on disk is fetched.
pub(crate) fn sources() -> Result<Sources> {
    Sources::of(&Path::new(HERE).join("Cargo.toml"), &[])
}

/// The same for the Rust programs with an allocator's feature.
pub(crate) fn program_sources(feature: &str) -> Result<Sources> {
    let manifest = root().join("programs").join("Cargo.toml");
    Sources::of(&manifest, &["--no-default-features", "--features", feature])
}

impl Sources {
    fn of(manifest: &Path, arguments: &[&str]) -> Result<Sources> {
        let metadata = metadata(manifest, arguments)?;
        let target = metadata["target_directory"].as_str().context("no target directory")?.into();
        Ok(Sources { target, metadata })
    }

    /// The directory and the version of a package.
    pub(crate) fn package(&self, name: &str) -> Result<(PathBuf, String)> {
        let packages = self.metadata["packages"].as_array().context("cargo names no packages")?;
        let package = packages
            .iter()
            .find(|package| package["name"] == name)
            .with_context(|| format!("{name} is not among the dependencies"))?;
        let manifest = package["manifest_path"].as_str().context("no manifest path")?;
        let version = package["version"].as_str().context("no version")?;
        let directory = Path::new(manifest).parent().context("a manifest has a directory")?;
        Ok((directory.into(), version.into()))
    }
}

fn metadata(manifest: &Path, arguments: &[&str]) -> Result<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--manifest-path"])
        .arg(manifest)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "cargo metadata failed on {}", manifest.display());
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Builds in release mode. Returns what cargo says about it.
fn messages(manifest: &Path, arguments: &[&str]) -> Result<Vec<Value>> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--release"]).args(arguments);
    run(command, manifest)
}

/// Runs a build of the workspace of `manifest`. Returns what cargo says about it.
fn run(mut command: Command, manifest: &Path) -> Result<Vec<Value>> {
    let output = command
        .args(["--message-format", "json-render-diagnostics", "--manifest-path"])
        .arg(manifest)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "cargo could not build {}", manifest.display());
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.map(serde_json::from_slice).collect::<Result<_, _>>()?)
}

/// Builds in release mode. Returns the files that came out: programs and libraries.
fn cargo(manifest: &Path, arguments: &[&str]) -> Result<Vec<PathBuf>> {
    Ok(files(&messages(manifest, arguments)?))
}

/// The files that a build has made: programs and libraries.
fn files(messages: &[Value]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for message in messages {
        if message["reason"] != "compiler-artifact" {
            continue;
        }
        if let Some(program) = message["executable"].as_str() {
            files.push(program.into());
        }
        let libraries = message["filenames"].as_array().into_iter().flatten();
        let libraries = libraries.filter_map(Value::as_str).filter(|name| name.ends_with(".so"));
        files.extend(libraries.map(PathBuf::from));
    }
    files
}

/// The one file of that name among what was built.
fn find(built: &[PathBuf], name: &str) -> Result<PathBuf> {
    let file = built.iter().find(|file| file.file_name().is_some_and(|last| last == name));
    file.cloned().with_context(|| format!("cargo built no {name}"))
}
