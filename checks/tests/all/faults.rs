//! The short form of `faults`: real programs while the system refuses memory.

use crate::library::library;
use std::process::Command;

/// Runs the programs and actors whose names begin so; every cell must be good.
fn all(only: &str) {
    let mut faults = Command::new(env!("CARGO_BIN_EXE_faults"));
    faults.arg("--library").arg(library()).args(["--only", only]);
    if std::env::var_os("ALLOD_CHECKS_LONG").is_some() {
        faults.arg("--long");
    }
    let output = faults.output().expect("faults starts");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{table}{}", String::from_utf8_lossy(&output.stderr));
    assert!(table.contains(&format!("| {only}")), "{table}");
}

macro_rules! groups {
    ($($name:ident = $only:literal;)*) => {$(
        #[test]
        fn $name() {
            all($only);
        }
    )*};
}

groups! {
    python = "python3";
    perl = "perl";
    sqlite = "sqlite3";
    sort = "sort";
    git = "git";
    cxx = "g++";
    forks = "forks";
    threads = "threads";
    sleepers = "sleepers";
    coroutines = "coroutines";
    dumps = "dumps";
}

/// A thread that comes to the heap of one that has ended finds blocks at hand there. Where
/// some objects are guarded it comes to it in the middle of an allocation, and once lost
/// what was at hand: a mebibyte for each thousand threads.
#[test]
fn threads_of_which_some_objects_are_guarded() {
    let mut faults = Command::new(env!("CARGO_BIN_EXE_faults"));
    faults.args(["--actor", "threads", "14000"]);
    faults.env("LD_PRELOAD", library()).env("ALLOD_CONF", "guard_rate:1000");
    let output = faults.output().expect("faults starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
