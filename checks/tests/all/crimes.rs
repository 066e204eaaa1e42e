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
    /// It ends with SIGSEGV, not with SIGABRT.
    fault: bool,
    /// The level at which it must be seen; empty for the default one.
    conf: String,
}

fn table() -> Vec<Crime> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_misuse")).arg("--list").output().expect("misuse starts");
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().expect("text").to_owned();
    let rows = rows.as_array().expect("an array");
    let crime = |row| Crime {
        name: text(row, "name"),
        words: text(row, "words"),
        fault: row["fault"].as_bool().expect("a truth"),
        conf: text(row, "conf"),
    };
    rows.iter().map(crime).collect()
}

/// What is wrong with the way in which the library took a crime; nothing, if it
/// took it well.
fn judge(crime: &Crime, conf: &str) -> Option<String> {
    let mut misuse = Command::new(env!("CARGO_BIN_EXE_misuse"));
    misuse.arg(&crime.name).env("LD_PRELOAD", library()).env("ALLOD_CONF", conf);
    let output = child::run(&mut misuse, Duration::from_secs(60)).expect("misuse starts");
    let signal = if crime.fault { libc::SIGSEGV } else { libc::SIGABRT };
    let said = crime.words.is_empty() || is_line(&output.stderr, &crime.words);
    let traced = crime.fault || names_caller(&output.stderr);
    let good = output.end == End::Signal(signal) && said && traced;
    (!good).then(|| format!("{} ({conf}): {}, said {:?}", crime.name, output.end, output.stderr))
}

/// True for one line `allod: ... words ... 0x...`.
fn is_line(text: &str, words: &str) -> bool {
    let Some(line) = text.strip_suffix('\n') else { return false };
    let address = line.split_once(" 0x").is_some_and(|(_, rest)| {
        rest.split(|c: char| !c.is_ascii_hexdigit()).next().is_some_and(|digits| !digits.is_empty())
    });
    !line.contains('\n') && line.starts_with("allod: ") && line.contains(words) && address
}

/// True when the line ends with who has called: files, and addresses in them.
fn names_caller(text: &str) -> bool {
    let Some((_, callers)) = text.trim_end().rsplit_once(", in ") else {
        // There are no tables to walk by.
        return cfg!(not(any(target_arch = "x86_64", target_arch = "aarch64")));
    };
    are_places(callers.split("; ").next().unwrap_or_default())
}

/// True for files, and addresses in them.
fn are_places(text: &str) -> bool {
    text.split(", ").all(|place| {
        place.rsplit_once("+0x").is_some_and(|(file, address)| {
            !file.is_empty() && u64::from_str_radix(address, 16).is_ok_and(|it| it != 0)
        })
    })
}

/// What a crime's line says behind the callers, each part with its first words and the
/// places behind them. The first place must be in the program.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn origins(name: &str, conf: &str) -> Vec<String> {
    let mut misuse = Command::new(env!("CARGO_BIN_EXE_misuse"));
    misuse.arg(name).env("LD_PRELOAD", library()).env("ALLOD_CONF", conf);
    let output = child::run(&mut misuse, Duration::from_secs(60)).expect("misuse starts");
    let line = output.stderr.strip_suffix('\n').expect("a line");
    assert!(!line.contains('\n'), "one line, not {line:?}");
    let parts = line.split("; ").skip(1).map(|part| {
        let (words, places) = part.split_once(" in ").expect("words and places");
        assert!(places.starts_with("misuse+0x") && are_places(places), "{line}");
        words.to_owned()
    });
    parts.collect()
}

/// Judges the crimes whose names begin with `prefix`: at their level, and those of
/// the default level at the hardened one as well.
fn all(prefix: &str) {
    let crimes: Vec<_> =
        table().into_iter().filter(|crime| crime.name.starts_with(prefix)).collect();
    assert!(!crimes.is_empty(), "no crime begins with {prefix}");
    let levels = |crime: &Crime| match crime.conf.as_str() {
        "" => vec!["harden:default".to_owned(), "harden:hardened".to_owned()],
        conf => vec![conf.to_owned()],
    };
    let escaped: Vec<_> = crimes
        .iter()
        .flat_map(|crime| levels(crime).into_iter().filter_map(|conf| judge(crime, &conf)))
        .collect();
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
fn writes_out_of_bounds() {
    all("past-");
    all("before-");
}

#[test]
fn writes_to_freed_memory() {
    all("write-freed");
    all("read-freed");
}

#[test]
fn families() {
    all("kind-");
}

#[test]
fn guarded_objects() {
    all("touch-");
    all("sampled-");
}

/// Of 70 MiB none goes by without being a sample; at an interval of one byte nothing does.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn who_allocated_a_sample_is_told() {
    const LAST: &str = "the last sample there was allocated";
    for (name, conf, words) in [
        ("double-free-70-mib", "", LAST),
        ("free-inside-70-mib", "", "allocated"),
        ("double-free-1000", "profile:1", LAST),
        ("free-inside-1000", "profile:1", "allocated"),
        ("sized-large", "profile:1", "allocated"),
        ("double-free-1000", "harden:hardened,profile:1", LAST),
    ] {
        assert_eq!(origins(name, conf), [words], "{name} ({conf})");
    }
    assert!(origins("double-free-1000", "profile:off").is_empty(), "nothing is known");
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn who_allocated_a_guarded_object_and_who_freed_it_is_told() {
    for crime in table().iter().filter(|crime| crime.name.starts_with("touch-")) {
        let freed = crime.words.contains("after free");
        let expected: &[&str] = if freed { &["allocated", "freed"] } else { &["allocated"] };
        assert_eq!(origins(&crime.name, &crime.conf), expected, "{}", crime.name);
    }
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
