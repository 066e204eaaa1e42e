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
//! is waited for. It needs no network: the command depends on `allod`, so the
//! outer cargo has fetched all that the library needs.
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

/// The packages that the library is made of; the last one is the library.
const PACKAGES: [&str; 2] = ["allod", "allod-capi"];

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
        let entries = fs::read_dir(&from).unwrap_or_else(|error| fail(&from, &error));
        for entry in entries {
            let entry = entry.unwrap_or_else(|error| fail(&from, &error));
            if entry.file_name() != "manifest.toml" {
                let link = to.join(entry.file_name());
                symlink(entry.path(), &link).unwrap_or_else(|error| fail(&link, &error));
            }
        }
        let mut manifest = read(&from.join("manifest.toml"));
        trim(&mut manifest);
        if let Some(Value::Table(targets)) = manifest.get_mut("target") {
            targets.iter_mut().filter_map(|(_, target)| target.as_table_mut()).for_each(trim);
        }
        write(&to.join("Cargo.toml"), &manifest.to_string());
    }

    let mut root = read(&library.join("workspace.toml"));
    let table = root.get_mut("workspace").and_then(Value::as_table_mut).expect("a workspace");
    table.remove("default-members");
    let members = PACKAGES.map(|package| Value::from(format!("crates/{package}")));
    table.insert("members".into(), Value::from(members.to_vec()));
    write(&workspace.join("Cargo.toml"), &root.to_string());

    // The lock pins the library's dependencies to what the workspace was tested
    // with. Cargo drops the rest of it.
    let (lock, place) = (library.join("lock.toml"), workspace.join("Cargo.lock"));
    fs::copy(&lock, &place).unwrap_or_else(|error| fail(&lock, &error));
}

fn trim(manifest: &mut Table) {
    for part in TRIMMED {
        manifest.remove(part);
    }
}

/// Builds the library and says where it is.
fn build(workspace: &Path, target: &Path) -> PathBuf {
    let triple = variable("TARGET");
    let run = || {
        Command::new(variable("CARGO"))
            .args(["rustc", "--quiet", "--release", "--offline", "--lib"])
            .args(["--crate-type", "cdylib", "--package", PACKAGES[1], "--target", &triple])
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
        let lock = workspace.join("Cargo.lock");
        fs::remove_file(&lock).unwrap_or_else(|error| fail(&lock, &error));
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
    let manifest = read(&workspace.join("crates").join(PACKAGES[1]).join("Cargo.toml"));
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
