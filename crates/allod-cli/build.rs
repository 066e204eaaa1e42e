//! Builds `liballod.so`, for the command to carry inside itself.
//!
//! `cargo install` puts one file in place, the command, and a command that runs
//! programs on Allod is nothing without the library. So this script builds the
//! library with a cargo of its own, and `src/library/carried.rs` includes the
//! bytes.
//!
//! The sources lie in `library/`. In the repository these are symbolic links to
//! the neighbours, so there is one copy of everything. When cargo packs the
//! crate it follows the links, so the published package is whole.
//!
//! ```text
//!   library/workspace.toml ----------- trimmed --> workspace/Cargo.toml
//!   library/lock.toml ---------------- copied ---> workspace/Cargo.lock
//!   library/<crate>/manifest.toml ---- trimmed --> workspace/crates/<crate>/Cargo.toml
//!   library/<crate>/{src,build.rs} --- linked ---> workspace/crates/<crate>/
//!                                                        |  cargo rustc --crate-type cdylib
//!                                                        v
//!                                      target/<triple>/release/liballod.so
//! ```
//!
//! The right side lies in `OUT_DIR`. It is a workspace of its own without the
//! command, so nothing recurs, with a target directory of its own, so no lock
//! is waited for. It needs no network: the command depends on `allod` too, so
//! the outer cargo has fetched all that the library is made of.
//!
//! A manifest cannot be in `library/` under its own name, because cargo packs no
//! directory that looks like another package.
//!
//! `ALLOD_NO_EMBED=1` leaves all this out. The command then uses only a library
//! that lies beside it.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::{Table, Value};

/// The packages that the library is made of.
const PACKAGES: [&str; 3] = ["allod-kit", "allod", LIBRARY];
/// The one among them that is the library.
const LIBRARY: &str = "allod-capi";

/// Parts of a manifest that name what is not packed, and that the library does
/// not need.
const TRIMMED: [&str; 5] = ["dev-dependencies", "bin", "test", "bench", "example"];

fn main() {
    println!("cargo::rustc-check-cfg=cfg(allod_carries)");
    println!("cargo::rerun-if-env-changed=ALLOD_NO_EMBED");
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("ALLOD_NO_EMBED").is_some_and(|value| !value.is_empty()) {
        return;
    }
    println!("cargo::rerun-if-changed=library");

    let out = PathBuf::from(variable("OUT_DIR"));
    let workspace = out.join("workspace");
    lay_out(Path::new("library"), &workspace);
    let library = build(&workspace, &out.join("target"));

    let bytes = fs::read(&library).unwrap_or_else(|error| fail(&library, &error));
    println!("cargo::rustc-cfg=allod_carries");
    println!("cargo::rustc-env=ALLOD_CARRIED={}", library.display());
    println!("cargo::rustc-env=ALLOD_CARRIED_HASH={:016x}", hash(&bytes));
    println!("cargo::rustc-env=ALLOD_CARRIED_VERSION={}", version(&workspace));
}

/// Makes the workspace anew. The time stamps that cargo looks at are those of
/// the sources, which are linked, so this costs no compilation.
fn lay_out(library: &Path, workspace: &Path) {
    if workspace.exists() {
        fs::remove_dir_all(workspace).unwrap_or_else(|error| fail(workspace, &error));
    }
    let library = fs::canonicalize(library).unwrap_or_else(|error| fail(library, &error));
    for package in PACKAGES {
        let (from, to) = (library.join(package), workspace.join("crates").join(package));
        fs::create_dir_all(&to).unwrap_or_else(|error| fail(&to, &error));
        for entry in entries(&from) {
            let link = to.join(entry.file_name().expect("an entry has a name"));
            symlink(&entry, &link).unwrap_or_else(|error| fail(&link, &error));
        }
        let mut manifest = read(&from.join("manifest.toml"));
        trim(&mut manifest);
        write(&to.join("Cargo.toml"), &manifest.to_string());
    }

    let mut root = read(&library.join("workspace.toml"));
    let table = root.get_mut("workspace").and_then(Value::as_table_mut).expect("a workspace");
    table.remove("default-members");
    let members = PACKAGES.map(|package| Value::from(format!("crates/{package}")));
    table.insert("members".into(), Value::from(members.to_vec()));
    write(&workspace.join("Cargo.toml"), &root.to_string());

    // The lock pins the library's dependencies to what the workspace was tested
    // with. Cargo drops the rest of it. A checkout may have none.
    let (lock, place) = (library.join("lock.toml"), workspace.join("Cargo.lock"));
    if lock.exists() {
        fs::copy(&lock, &place).unwrap_or_else(|error| fail(&lock, &error));
    }
}

/// What a package is built from.
///
/// In the repository that is all there is beside the sources, linked or not: a
/// new `build.rs` must not break the neighbours. A test asks for the link.
fn entries(package: &Path) -> Vec<PathBuf> {
    let sources = package.join("src");
    let sources = fs::canonicalize(&sources).unwrap_or_else(|error| fail(&sources, &error));
    let home = sources.parent().expect("sources lie in a package");
    println!("cargo::rerun-if-changed={}", home.display());
    let entries = fs::read_dir(home).unwrap_or_else(|error| fail(home, &error));
    let entries = entries.map(|entry| entry.unwrap_or_else(|error| fail(home, &error)).path());
    let is_wanted = |entry: &PathBuf| {
        !["Cargo.toml", "manifest.toml"].iter().any(|manifest| entry.ends_with(manifest))
    };
    entries.filter(is_wanted).collect()
}

/// Takes out of a manifest what the library is not made of.
fn trim(manifest: &mut Table) {
    for part in TRIMMED {
        manifest.remove(part);
    }
    let mut gone = Vec::new();
    drop_optional(manifest, &mut gone);
    if let Some(Value::Table(targets)) = manifest.get_mut("target") {
        for (_, target) in targets.iter_mut() {
            let target = target.as_table_mut().expect("a target's table");
            TRIMMED.iter().for_each(|part| _ = target.remove(*part));
            drop_optional(target, &mut gone);
        }
    }
    // The features stay, because the sources name them, but call for nothing.
    let calls_for = |feature: &Value, name: &String| {
        let feature = feature.as_str().unwrap_or_default();
        let feature = feature.strip_prefix("dep:").unwrap_or(feature);
        feature.split(['/', '?']).next() == Some(name)
    };
    if let Some(Value::Table(features)) = manifest.get_mut("features") {
        for (_, feature) in features.iter_mut() {
            let feature = feature.as_array_mut().expect("a feature's list");
            feature.retain(|other| !gone.iter().any(|name| calls_for(other, name)));
        }
    }
}

/// Drops the optional dependencies, and adds their names to `gone`.
///
/// The library uses none, so the outer cargo has not fetched them; but a cargo
/// that is offline wants to know all that could be used.
fn drop_optional(table: &mut Table, gone: &mut Vec<String>) {
    let Some(Value::Table(dependencies)) = table.get_mut("dependencies") else { return };
    let is_optional =
        |dependency: &Value| dependency.get("optional").and_then(Value::as_bool).unwrap_or(false);
    let optional = dependencies.iter().filter(|(_, dependency)| is_optional(dependency));
    gone.extend(optional.map(|(name, _)| name.clone()));
    dependencies.retain(|_, dependency| !is_optional(dependency));
}

/// Builds the library and says where it is.
fn build(workspace: &Path, target: &Path) -> PathBuf {
    let triple = variable("TARGET");
    let run = || {
        Command::new(variable("CARGO"))
            .args(["rustc", "--quiet", "--release", "--offline", "--lib"])
            .args(["--crate-type", "cdylib", "--package", LIBRARY, "--target", &triple])
            .arg("--target-dir")
            .arg(target)
            .arg("--manifest-path")
            .arg(workspace.join("Cargo.toml"))
            // `cargo clippy` sets it, and would look at the library a second time.
            .env_remove("RUSTC_WORKSPACE_WRAPPER")
            .output()
            .unwrap_or_else(|error| fail(Path::new("cargo"), &error))
    };
    let mut output = run();
    if !output.status.success() {
        // `cargo install` without `--locked` fetches other versions than the
        // lock names, and only those are at hand. Any of them will do.
        _ = fs::remove_file(workspace.join("Cargo.lock"));
        output = run();
    }
    assert!(
        output.status.success(),
        "the library that the command carries does not build \
         (ALLOD_NO_EMBED=1 builds the command without it):\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    target.join(triple).join("release").join("liballod.so")
}

/// The version of the library, its own or the workspace's.
fn version(workspace: &Path) -> String {
    let manifest = read(&workspace.join("crates").join(LIBRARY).join("Cargo.toml"));
    let root = read(&workspace.join("Cargo.toml"));
    let version = match &manifest["package"]["version"] {
        Value::String(version) => version,
        _ => root["workspace"]["package"]["version"].as_str().expect("the workspace's version"),
    };
    version.to_owned()
}

/// FNV-1a. It only makes a file name: whoever uses the file compares all of it.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn read(path: &Path) -> Table {
    let text = fs::read_to_string(path).unwrap_or_else(|error| fail(path, &error));
    text.parse().unwrap_or_else(|error| fail(path, &error))
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| fail(path, &error));
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| fail(Path::new(name), &error))
}

fn fail(what: &Path, error: &dyn std::fmt::Display) -> ! {
    panic!("{}: {error}", what.display())
}
