//! The rows of `probe`, in groups: a failure names the row and what it expects.

use crate::library::library;
use std::process::Command;

/// Runs rows of `probe` against the library and requires each to pass.
fn rows(list: &str) {
    rows_at("default", list);
}

/// As [`rows`], at a level of safety.
fn rows_at(level: &str, list: &str) {
    let mut probe = Command::new(env!("CARGO_BIN_EXE_probe"));
    probe.env("ALLOD_CONF", format!("harden:{level}"));
    probe.arg("--preload").arg(library()).args(["--rows", list]);
    // Another level of hardening, or whatever else is to be held to the same rows.
    if let Some(conf) = std::env::var_os("ALLOD_CHECKS_CONF") {
        probe.env("ALLOD_CONF", conf);
    }
    // The tests run beside one another, on machines that do other things too.
    probe.args(["--patience", "4"]);
    if std::env::var_os("ALLOD_CHECKS_LONG").is_some() {
        probe.arg("--long");
    }
    let output = probe.output().expect("probe starts");
    let table = String::from_utf8_lossy(&output.stdout);
    print!("{table}");
    assert!(output.status.success(), "{table}{}", String::from_utf8_lossy(&output.stderr));
    assert!(table.contains(" passed, 0 failed"), "{table}");
}

macro_rules! groups {
    ($($name:ident = $rows:literal;)*) => {$(
        #[test]
        fn $name() {
            rows($rows);
        }
    )*};
}

groups! {
    allocation = "1-5";
    reallocation = "6-7";
    alignment = "8-15";
    usable_size_and_errno = "16-18";
    sized_free = "19";
    statistics = "20-22";
    cxx_operators = "23";
    limits = "24-26";
    many_and_large = "27-28";
    fork = "29";
    threads = "30-33";
    process = "34-35";
    system_call_faults = "36";
    accounting = "37-38";
    early = "39";
    signals = "40";
}

/// Every promise holds at the hardened level too.
#[test]
fn hardened() {
    rows_at("hardened", "1-26,29-36,38-40");
}

/// At the paranoid one, those that do not allocate by the hundred thousand.
#[test]
fn paranoid() {
    rows_at("paranoid", "1-23");
}
