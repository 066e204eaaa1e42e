//! `sanitize`: the kit's tests under AddressSanitizer and ThreadSanitizer, and the plays of
//! the allocator under the latter.
//!
//! * AddressSanitizer looks at every access: memory that is not there any more,
//!   or that nobody allocated. Blocks that a heap of ours cuts from a region are
//!   one allocation to it, so it sees what leaves the region, and what pools and
//!   arenas do with the memory they take from the system. The model in our test
//!   kit sees the rest.
//! * ThreadSanitizer looks for accesses that no atomic operation puts in order.
//!   The tests that share an allocator run under it, those of the kit itself and
//!   those of the pools and heaps; and with them `allod`'s plays (`heap/tests/schedules.rs`): its
//!   slow paths, with threads of the system.
//!
//! Not among them is `tests/broken.rs`, whose allocators lose blocks on purpose, for
//! the test kit to notice.
//!
//! Both are the compiler's, and unstable: they want a nightly, any. For
//! ThreadSanitizer the standard library is built as well, so that it sees what std's
//! locks, channels and counters put in order: with the library that comes with the
//! toolchain every thread that ends is a report. Its source is a component of the
//! toolchain, which is fetched when it is not there.
//!
//! Of the kit and the library nothing is suppressed: see `docs/decisions/018-the-sanitizers-see-the-standard-library.md`.
//! Of the allocator one access is, which `golden/races.txt` names and gives the reason for.
//!
//! Not in the gate, for it takes minutes: to be run when an allocator changes that
//! threads share, or one that takes memory from another.

use crate::sh::{Cmd, root, target};
use anyhow::{Result, bail};
use std::time::Instant;

/// A run takes minutes, most of them to build; one that takes this long hangs.
const LIMIT_SECONDS: u32 = 1800;

/// What only this machine's compiler can build for.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A sanitizer: its name, the tests, what else cargo is told, and which of the tests.
const SANITIZERS: [(&str, &str, &[&str]); 3] = [
    (
        "address",
        "-p allod-kit --lib --test conformance --test exhaustion --test fuzz --test heaps --test owns --test pools \
         --test scopes --test wrappers",
        &[],
    ),
    // The other tests have one thread.
    (
        "thread",
        "-p allod-kit --lib --test heaps --test pools --test wrappers -Zbuild-std",
        &["thread", "shared", "moved"],
    ),
    ("thread", "-p allod --lib -Zbuild-std", &["schedules"]),
];

/// Runs both, or the one of this name; returns what ran, in words.
pub(crate) fn run(one: Option<&str>) -> Result<String> {
    if !Cmd::new("rustup run nightly rustc --version").succeeds() {
        bail!("sanitizers want a nightly: `rustup toolchain install nightly`");
    }
    Cmd::new("rustup component add rust-src --toolchain nightly").run()?;
    let mut ran = Vec::new();
    for (name, tests, words) in SANITIZERS {
        if one.is_some_and(|one| one != name) {
            continue;
        }
        let start = Instant::now();
        let line = format!("rustup run nightly cargo test {tests} --target {TARGET}");
        let cargo = Cmd::new(&line)
            .env("RUSTFLAGS", format!("-Zsanitizer={name}"))
            .env("CARGO_TARGET_DIR", target().join("sanitize").join(name))
            // A test kit that is not optimized takes ten times as long.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_DEV_PANIC", "unwind")
            // The test kit asks for all the bytes there are, and wants a refusal.
            .env("ASAN_OPTIONS", "allocator_may_return_null=1")
            .env(
                "TSAN_OPTIONS",
                format!("suppressions={}", root().join("golden/races.txt").display()),
            )
            .without("CARGO_ENCODED_RUSTFLAGS")
            .limit(LIMIT_SECONDS);
        let cargo = words.iter().fold(cargo.arg("--"), |cargo, word| cargo.arg(word));
        let tests = cargo.test()?;
        ran.push(format!("{name}: {tests} tests, {:.0} s", start.elapsed().as_secs_f64()));
    }
    if ran.is_empty() {
        bail!("there are two: address, thread");
    }
    println!("sanitize:");
    for line in &ran {
        println!("  {line}");
    }
    Ok(ran.join("; "))
}
