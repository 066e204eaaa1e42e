//! The crimes of `misuse`: each must end in the signal and the words that its
//! table names.

use crate::library::library;
use allod_checks::child::{self, End};
use std::process::Command;
use std::time::Duration;

/// One row of the table.
struct Crime {
    name: String,
    /// Empty: an access to inaccessible memory, of which nobody speaks.
    words: String,
}

fn table() -> Vec<Crime> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_misuse")).arg("--list").output().expect("misuse starts");
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().expect("text").to_owned();
    let rows = rows.as_array().expect("an array");
    rows.iter().map(|row| Crime { name: text(row, "name"), words: text(row, "words") }).collect()
}

/// What is wrong with the way in which the library took a crime; nothing, if it
/// took it well.
fn judge(crime: &Crime) -> Option<String> {
    let mut misuse = Command::new(env!("CARGO_BIN_EXE_misuse"));
    misuse.arg(&crime.name).env("LD_PRELOAD", library());
    let output = child::run(&mut misuse, Duration::from_secs(60)).expect("misuse starts");
    let good = match crime.words.as_str() {
        "" => output.end == End::Signal(libc::SIGSEGV),
        words => output.end == End::Signal(libc::SIGABRT) && is_line(&output.stderr, words),
    };
    (!good).then(|| format!("{}: {}, said {:?}", crime.name, output.end, output.stderr))
}

/// True for one line `allod: ... words ... 0x...`.
fn is_line(text: &str, words: &str) -> bool {
    let Some(line) = text.strip_suffix('\n') else { return false };
    let address = line.split_once(" 0x").is_some_and(|(_, rest)| {
        rest.split(|c: char| !c.is_ascii_hexdigit()).next().is_some_and(|digits| !digits.is_empty())
    });
    !line.contains('\n') && line.starts_with("allod: ") && line.contains(words) && address
}

/// Judges the crimes whose names begin with `prefix`.
fn all(prefix: &str) {
    let crimes: Vec<_> =
        table().into_iter().filter(|crime| crime.name.starts_with(prefix)).collect();
    assert!(!crimes.is_empty(), "no crime begins with {prefix}");
    let escaped: Vec<_> = crimes.iter().filter_map(judge).collect();
    assert!(escaped.is_empty(), "of {} crimes:\n{}", crimes.len(), escaped.join("\n"));
}

#[test]
fn double_frees() {
    all("double-free");
}

#[test]
fn invalid_frees() {
    all("free-");
}

#[test]
fn wrong_sizes() {
    all("sized-");
}

#[test]
fn inaccessible_memory() {
    all("write-zero");
    all("read-zero");
    all("overflow");
}

#[test]
fn lines_are_recognized() {
    assert!(is_line("allod: double free of block at 0x7f3a (size class of 48)\n", "double free"));
    for wrong in [
        "allod: double free of block at 0x7f3a",
        "allod: double free of block\n",
        "allod: double free of block at 0x\n",
        "free(): double free detected at 0x7f3a\n",
        "allod: invalid free at 0x7f3a\n",
        "allod: double free at 0x7f3a\nand more\n",
    ] {
        assert!(!is_line(wrong, "double free"), "{wrong:?}");
    }
}
