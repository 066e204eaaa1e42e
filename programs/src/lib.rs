//! The allocator of these programs, and the few things that they share.
//!
//! A cargo feature chooses the allocator. Each program takes an amount as its
//! argument and prints one checksum, which is the same under every allocator.
//! `cargo run --release --manifest-path bench/Cargo.toml -- rust` builds them
//! for several allocators and compares.

use std::hash::{DefaultHasher, Hasher as _};

use fastrand::Rng;

#[cfg(feature = "allod")]
#[global_allocator]
static GLOBAL: allod::Allod = allod::Allod::new();

#[cfg(any(feature = "mimalloc", feature = "mimalloc2"))]
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[cfg(feature = "snmalloc")]
#[global_allocator]
static GLOBAL: snmalloc_rs::SnMalloc = snmalloc_rs::SnMalloc;

#[cfg(feature = "rpmalloc")]
#[global_allocator]
static GLOBAL: rpmalloc::RpMalloc = rpmalloc::RpMalloc;

#[cfg(feature = "tcmalloc")]
#[global_allocator]
static GLOBAL: tcmalloc_better::TCMalloc = tcmalloc_better::TCMalloc;

#[cfg(feature = "system")]
#[global_allocator]
static GLOBAL: std::alloc::System = std::alloc::System;

// Two chosen allocators are two definitions of `GLOBAL` and do not compile.
// None would silently be the system's.
#[cfg(not(any(
    feature = "allod",
    feature = "mimalloc",
    feature = "mimalloc2",
    feature = "jemalloc",
    feature = "snmalloc",
    feature = "rpmalloc",
    feature = "tcmalloc",
    feature = "system"
)))]
compile_error!("choose an allocator: one of the features of this package");

/// The first argument as an amount.
///
/// # Panics
///
/// When there is none, or it is no number.
#[must_use]
pub fn amount() -> usize {
    let argument = std::env::args().nth(1).expect("an amount is given");
    argument.parse().expect("the amount is a number")
}

/// Prints the one line that is compared, and the most MiB that were ever resident,
/// which is not.
pub fn finish(checksum: u64) {
    println!("checksum {checksum:016x}");
    figure("peak_mib", peak());
}

/// Prints a figure: a line that `bench` collects and does not compare.
pub fn figure(name: &str, value: f64) {
    println!("figure {name} {value:.4}");
}

/// The most MiB that were ever resident, by the kernel's own account.
///
/// # Panics
///
/// When the kernel does not tell.
#[must_use]
pub fn peak() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<f64>().ok());
    kib.expect("Linux tells the peak in KiB") / 1024.0
}

/// A checksum of bytes. The hasher has fixed keys.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// A word of one to twelve letters. Short ones come up often.
pub fn word(random: &mut Rng) -> String {
    let length = 1 + random.usize(..12).min(random.usize(..12));
    (0..length).map(|_| random.lowercase()).collect()
}
