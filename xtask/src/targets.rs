//! `targets`: Allod on machines that are not the developer's.
//!
//! Our toolchain has the standard library of one target only. Debian packs a
//! compiler together with the sources of its library (`rustc-web`,
//! `rust-web-src`); with these two and `-Zbuild-std`, cargo builds the library
//! for any target itself. The packages are unpacked under the target
//! directory, not installed, and stay there for the next run.
//!
//! * i686 Linux: the tests run as they are, on the 64-bit kernel. Pointers of
//!   32 bits.
//! * aarch64 Linux: the tests run under user emulation. Other instructions for
//!   the thread's slot, a weaker memory order (which emulation on x86 hides).
//! * musl, macOS, Windows, wasm, and the kit on chips: `cargo check`. It proves that the code for
//!   them is well-typed, and nothing about what it does.
//!
//! Doc tests are left out: they are run on the host, and say nothing new here.

use crate::debian;
use crate::sh::{Cmd, OPTIMIZED, target};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What the cross compilers and the emulator are packed in.
const PACKAGES: [&str; 6] = [
    "gcc-i686-linux-gnu",
    "libc6-dev-i386-cross",
    "gcc-aarch64-linux-gnu",
    "libc6-dev-arm64-cross",
    "qemu-user",
    // The library for Windows asks for `dlltool`, even to be checked.
    "binutils-mingw-w64-x86-64",
];

/// The emulated run takes two minutes; a run that takes this long hangs.
const LIMIT_SECONDS: u32 = 1200;

/// Targets whose tests run, with the environment they need, `T` standing for
/// `CARGO_TARGET_<name of the target>`.
const TESTED: [(&str, &[(&str, &str)]); 2] = [
    (
        "i686-unknown-linux-gnu",
        &[
            ("T_LINKER", "i686-linux-gnu-gcc"),
            // The packages keep the 32-bit loader and library out of the
            // system's way, so a program must be told where they are.
            (
                "T_RUSTFLAGS",
                "-Clink-arg=-Wl,--dynamic-linker=/usr/i686-linux-gnu/lib/ld-linux.so.2 \
                 -Clink-arg=-Wl,-rpath,/usr/i686-linux-gnu/lib",
            ),
        ],
    ),
    (
        "aarch64-unknown-linux-gnu",
        &[
            ("T_LINKER", "aarch64-linux-gnu-gcc"),
            ("T_RUNNER", "qemu-aarch64 -L /usr/aarch64-linux-gnu"),
            // For tests that start themselves anew, or ask the kernel about the
            // process: both would meet the emulator.
            ("ALLOD_TEST_EMULATED", "1"),
        ],
    ),
];

/// What is type-checked: for which target, with which library, and what.
///
/// The kit without its features is for chips: a Cortex-M0 can load and store a
/// word atomically and no more, a Cortex-M3 has all there is at 32 bits. With
/// every feature that a chip can have, it is checked as well.
const CHECKED: [(&str, &str, &str); 8] = [
    ("x86_64-unknown-linux-musl", "core", "allod"),
    ("aarch64-apple-darwin", "std", "allod"),
    ("x86_64-pc-windows-gnu", "std", "allod"),
    ("wasm32-unknown-unknown", "std", "allod"),
    ("thumbv6m-none-eabi", "core", "allod-kit --no-default-features"),
    ("thumbv6m-none-eabi", "core,alloc", CHIP),
    ("thumbv7m-none-eabi", "core", "allod-kit --no-default-features"),
    ("thumbv7m-none-eabi", "core,alloc", CHIP),
];

const CHIP: &str = "allod-kit --features alloc,allocator-api2-02,allocator-api2-04,\
                    critical-section,lock-api,serde,portable-atomic,portable-atomic/critical-section";

/// Tests and checks all targets; returns what ran, in words.
pub(crate) fn run() -> Result<String> {
    debian::need(&PACKAGES)?;
    let rustc = debian_rustc()?;
    let mut ran = Vec::new();
    for (name, settings) in TESTED {
        let start = Instant::now();
        let line = format!("cargo test -p allod --lib --tests -Zbuild-std=std {OPTIMIZED}");
        let mut cargo = cross(&line, &rustc, name).limit(LIMIT_SECONDS);
        let prefix = format!("CARGO_TARGET_{}_", name.to_uppercase().replace('-', "_"));
        for (key, value) in settings {
            let full = key.strip_prefix("T_").map(|rest| format!("{prefix}{rest}"));
            cargo = cargo.env(full.as_deref().unwrap_or(key), value);
        }
        let tests = cargo.test()?;
        ran.push(format!("{name}: {tests} tests, {:.0} s", start.elapsed().as_secs_f64()));
    }
    for (name, library, what) in CHECKED {
        let start = Instant::now();
        cross(&format!("cargo check -p {what} -Zbuild-std={library}"), &rustc, name).run()?;
        let seconds = start.elapsed().as_secs_f64();
        ran.push(format!("{name}: {what} type-checked, {seconds:.0} s"));
    }
    println!("targets:");
    for line in &ran {
        println!("  {line}");
    }
    Ok(ran.join("; "))
}

/// A cargo command that builds for `name` with Debian's compiler.
fn cross(line: &str, rustc: &Path, name: &str) -> Cmd {
    Cmd::new(&format!("{line} --target {name} --target-dir"))
        .arg(target().join("targets"))
        .env("RUSTC", rustc)
        .env("RUSTC_BOOTSTRAP", "1")
        // Tests unwind, whatever the profile says, and with a profile that
        // aborts cargo would build the library twice and mix the two.
        .env("CARGO_PROFILE_DEV_PANIC", "unwind")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .without("RUSTFLAGS")
}

/// The path of a script that starts Debian's compiler, unpacked if need be.
pub(crate) fn debian_rustc() -> Result<PathBuf> {
    let folder = target().join("debian-rust");
    let script = folder.join("rustc");
    if !script.exists() {
        // Whatever an interrupted run left behind is not to be trusted.
        let _ = fs::remove_dir_all(&folder);
        let packages = folder.join("packages");
        fs::create_dir_all(&packages)
            .with_context(|| format!("cannot make {}", packages.display()))?;
        debian::download(
            &["rustc-web", "rust-web-src"],
            &["libstd-rust-web", "libllvm"],
            &packages,
        )?;
        let tree = folder.join("tree");
        for package in fs::read_dir(&packages)? {
            Cmd::new("dpkg -x").arg(package?.path()).arg(&tree).run()?;
        }
        fs::remove_dir_all(&packages)?;
        write_script(&script, &tree)?;
    }
    let version = Cmd::at(&script).arg("--version").output()?;
    println!("compiler for other targets: {}", version.trim());
    Ok(script)
}

/// The compiler's own libraries lie beside it, where the loader does not look.
fn write_script(script: &Path, tree: &Path) -> Result<()> {
    let tree = tree.display();
    let text = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH='{tree}/usr/lib/x86_64-linux-gnu' exec '{tree}/usr/bin/rustc' \"$@\"\n"
    );
    // Written last and in one step: its presence says that the rest is there.
    let unfinished = script.with_extension("unfinished");
    fs::write(&unfinished, text)?;
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o755))?;
    fs::rename(&unfinished, script)?;
    Ok(())
}
