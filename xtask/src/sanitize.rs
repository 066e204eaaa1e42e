//! `sanitize`: the kit's tests under AddressSanitizer and ThreadSanitizer.
//!
//! * AddressSanitizer looks at every access: memory that is not there any more,
//!   or that nobody allocated. Blocks that a heap of ours cuts from a region are
//!   one allocation to it, so it sees what leaves the region, and what pools and
//!   arenas do with the memory they take from the system. The model in our test
//!   kit sees the rest.
//! * ThreadSanitizer looks for accesses that no atomic operation puts in order.
//!   The tests that share an allocator run under it, those of the kit itself and
//!   those of the pools and heaps.
//!
//! Not among them is `tests/broken.rs`, whose allocators lose blocks on purpose, for
//! the test kit to notice.
//!
//! Both are the compiler's, and unstable: they want a nightly, any. Its standard
//! library is not instrumented, so ThreadSanitizer does not see what std's locks
//! and barriers put in order, and `-Cunsafe-allow-abi-mismatch` says that we know.
//! What it would report of std alone is in [`SUPPRESSED`], each with its reason.
//!
//! Not in the gate, for it takes minutes: to be run when an allocator changes that
//! threads share, or one that takes memory from another.

use crate::sh::{Cmd, target};
use anyhow::{Result, bail};
use std::fs;
use std::time::Instant;

/// The tests take a minute; a run that takes this long hangs.
const LIMIT_SECONDS: u32 = 1800;

/// What only this machine's compiler can build for.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A sanitizer: its name, the tests, and what else the compiler is told.
const SANITIZERS: [(&str, &str, &str); 2] = [
    (
        "address",
        "--lib --test conformance --test fuzz --test heaps --test owns --test pools \
         --test scopes --test wrappers",
        "",
    ),
    (
        "thread",
        "--lib --test heaps --test pools --test wrappers",
        "-Cunsafe-allow-abi-mismatch=sanitizer",
    ),
];

/// Names of tests that ThreadSanitizer runs: the others have one thread.
const SHARING: [&str; 3] = ["thread", "shared", "moved"];

/// Reports that are not ours, by the name of a function in them: nothing of
/// ours is ever called by one of these, so nothing of ours is hidden.
///
/// libtest starts a thread for each test with a closure in an `Arc<Mutex<_>>`,
/// and hears of its end through a channel. The lock, the channel and the counter
/// are atomic, but in a library that is not instrumented. Seen in each run, with
/// tests of ours in the thread's name and in no frame (2026-11-29, nightly 1.97).
const SUPPRESSED: [&str; 3] = [
    "std::sync::mpmc::list::Channel<test::event::CompletedTest>",
    "core::option::Option<test::run_test*unwrap",
    "alloc::sync::Arc<std::sync::poison::mutex::Mutex<core::option::Option<test::run_test*",
];

/// Runs both, or the one of this name; returns what ran, in words.
pub(crate) fn run(one: Option<&str>) -> Result<String> {
    if !Cmd::new("rustup run nightly rustc --version").succeeds() {
        bail!("sanitizers want a nightly: `rustup toolchain install nightly`");
    }
    fs::create_dir_all(target())?;
    let suppressed = target().join("sanitize.races");
    fs::write(&suppressed, SUPPRESSED.map(|name| format!("race:{name}\n")).concat())?;
    let mut ran = Vec::new();
    for (name, tests, flags) in SANITIZERS {
        if one.is_some_and(|one| one != name) {
            continue;
        }
        let start = Instant::now();
        let line = format!("rustup run nightly cargo test -p allod-kit {tests} --target {TARGET}");
        let cargo = Cmd::new(&line)
            .env("RUSTFLAGS", format!("-Zsanitizer={name} {flags}").trim_end())
            .env("CARGO_TARGET_DIR", target().join("sanitize").join(name))
            // A test kit that is not optimized takes ten times as long.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_DEV_PANIC", "unwind")
            .env("TSAN_OPTIONS", format!("suppressions={}", suppressed.display()))
            // The test kit asks for all the bytes there are, and wants a refusal.
            .env("ASAN_OPTIONS", "allocator_may_return_null=1")
            .without("CARGO_ENCODED_RUSTFLAGS")
            .limit(LIMIT_SECONDS);
        let cargo = if name == "thread" {
            SHARING.iter().fold(cargo.arg("--"), |cargo, word| cargo.arg(word))
        } else {
            cargo
        };
        let tests = cargo.test()?;
        ran.push(format!("{name}: {tests} tests, {:.0} s", start.elapsed().as_secs_f64()));
    }
    if ran.is_empty() {
        bail!("there are two: {}", SANITIZERS.map(|(name, ..)| name).join(", "));
    }
    println!("sanitize:");
    for line in &ran {
        println!("  {line}");
    }
    Ok(ran.join("; "))
}
