//! `bare`: the heap where there is nothing else, run and not only built.
//!
//! * x86-64: a kernel boots in QEMU. Our own toolchain builds it, since it is a
//!   program for the host that asks the host for nothing.
//! * Cortex-M3: firmware on an emulated board, with an interrupt handler that
//!   allocates. Pointers of 32 bits, the smallest memory, a lock that counts.
//! * WebAssembly: a module in node, whose memory grows while it runs.
//!
//! The last two need a library that our toolchain does not have; Debian's
//! compiler builds it (`targets.rs`). Each folder under `bare/` is a workspace
//! whose `cargo run --release` does what is done here, for those who have the
//! target installed. A program that fails ends its emulator with a code that is
//! not 0, and one that hangs is ended.

use crate::debian;
use crate::sh::{Cmd, root, target};
use crate::targets::debian_rustc;
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::time::Instant;

/// The emulators. Node is asked for by name, because many have it from elsewhere.
const PACKAGES: [&str; 2] = ["qemu-system-x86", "qemu-system-arm"];

/// Building included: two minutes at most on two slow cores. They run a second.
const LIMIT_SECONDS: u32 = 600;

/// Folders whose target's library is built first, with the target's name as it
/// stands in a variable for cargo.
const FOREIGN: [(&str, &str); 2] =
    [("cortex-m3", "THUMBV7M_NONE_EABI"), ("wasm", "WASM32_UNKNOWN_UNKNOWN")];

/// Runs all of them; returns what ran, in words.
pub(crate) fn run() -> Result<String> {
    debian::need(&PACKAGES)?;
    if !Cmd::new("node --version").succeeds() {
        debian::need(&["nodejs"])?;
    }
    let mut ran = vec![one("x86-64", |cargo| cargo)?];
    let rustc = debian_rustc()?;
    let linker = linker()?;
    for (folder, name) in FOREIGN {
        ran.push(one(folder, |cargo| {
            cargo
                .arg("-Zbuild-std=core,alloc")
                .env("RUSTC", &rustc)
                .env("RUSTC_BOOTSTRAP", "1")
                .env(&format!("CARGO_TARGET_{name}_LINKER"), &linker)
        })?);
    }
    println!("bare:");
    for line in &ran {
        println!("  {line}");
    }
    Ok(ran.join("; "))
}

/// `cargo run` in one folder, which has its emulator as the runner.
fn one(folder: &str, with: impl Fn(Cmd) -> Cmd) -> Result<String> {
    let start = Instant::now();
    let cargo = Cmd::new("cargo run --quiet --release --target-dir");
    let cargo = with(cargo.arg(target().join("bare")).without("RUSTFLAGS"));
    cargo.within(root().join("bare").join(folder)).limit(LIMIT_SECONDS).run()?;
    Ok(format!("{folder}: ok, {:.0} s", start.elapsed().as_secs_f64()))
}

/// The linker that comes with our toolchain, which links for any target.
fn linker() -> Result<PathBuf> {
    let sysroot = PathBuf::from(Cmd::new("rustc --print sysroot").output()?.trim());
    let version = Cmd::new("rustc -vV").output()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let linker = sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
    if !linker.exists() {
        bail!("the toolchain has no linker at {}", linker.display());
    }
    Ok(linker)
}
