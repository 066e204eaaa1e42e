//! What the published package holds: the library's sources, and all of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What a package has beside what builds it.
const NOT_BUILT_FROM: [&str; 9] = [
    "tests",
    "benches",
    "examples",
    "include",
    "README.md",
    "CHANGELOG.md",
    "Cargo.toml",
    "clippy.toml",
    "target",
];

#[test]
fn every_part_of_the_library_is_linked() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |directory: &Path| -> BTreeSet<String> {
        let entries = fs::read_dir(directory).expect("a directory");
        entries.map(|entry| entry.expect("an entry").file_name().display().to_string()).collect()
    };
    for package in ["allod-kit", "allod", "allod-capi"] {
        let mut wanted = names(&here.join("..").join(package));
        NOT_BUILT_FROM.iter().for_each(|name| _ = wanted.remove(*name));
        wanted.insert("manifest.toml".into());
        let mut linked = names(&here.join("library").join(package));
        // A README may be a part of the documentation, and then is linked too.
        linked.remove("README.md");
        assert_eq!(linked, wanted, "library/{package}");
    }
}

#[test]
fn the_package_holds_the_sources_of_the_library() {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["package", "--list", "--allow-dirty", "--offline", "--package", "allod-cli"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    let list = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for file in [
        "build.rs",
        "library/workspace.toml",
        "library/lock.toml",
        "library/allod-kit/manifest.toml",
        "library/allod-kit/src/lib.rs",
        "library/allod/manifest.toml",
        "library/allod/src/lib.rs",
        "library/allod/src/page.rs",
        "library/allod-capi/manifest.toml",
        "library/allod-capi/build.rs",
        "library/allod-capi/src/lib.rs",
        "src/main.rs",
        "README.md",
    ] {
        assert!(list.lines().any(|line| line == file), "{file} is not packed:\n{list}");
    }
    assert!(!list.lines().any(|file| file.starts_with("tests/")), "{list}");
}
