//! The library under test, and the files that the programs look for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The release build of `liballod.so`, made on the first call.
pub(crate) fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| match std::env::var_os("ALLOD_CHECKS_LIBRARY") {
        Some(path) => PathBuf::from(path),
        None => build(),
    })
}

/// Where cargo puts what it builds for us.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a directory")
}

fn build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--release", "--quiet", "--package", "allod-capi"]);
    cargo.arg("--manifest-path").arg(root.join("Cargo.toml"));
    cargo.arg("--target-dir").arg(target());
    // What concerns this package's own build does not concern that one.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_BIN_EXE_") {
            cargo.env_remove(&name);
        }
    }
    let status = cargo.status().expect("cargo starts");
    assert!(status.success(), "liballod.so does not build");
    target().join("release/liballod.so")
}
