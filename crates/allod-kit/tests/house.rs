//! The rules of this house that the compiler does not know.
//!
//! One list of rooms, the cellar first, as `lib.rs` declares them: a room may
//! name the rooms before it, never one after it. The rest holds what a machine
//! can check: that `lib.rs` and the table in its essay have the same order, that
//! files open with an essay and are short, that what a program chooses among says what
//! it costs and when not to use it, that unsafe code stands in the files
//! that say so, that an atomic operation has its reason beside it, and that the
//! crate names no `std` and unwraps nothing.
//!
//! `crates/allod/tests/house.rs` looks after essays and lengths of the whole
//! repository. Like that one, this reads text, not Rust: a reminder, not a wall.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Bottom to top. Same order as the `mod` lines in `lib.rs` and its table.
const ROOMS: &[&str] = &[
    "atomics",
    "allocator",
    "adapters",
    "global",
    "owns",
    "full",
    "infallible",
    "installed",
    "addr",
    "bump",
    "stack",
    "blocks",
    "pool",
    "typed",
    "slab",
    "shared",
    "fixed",
    "serialize",
    "words",
    "regions",
    "tlsf",
    "buddy",
    "first_fit",
    "lock",
    "heap",
    "number",
    "wrap",
    "testing",
    "model",
    "conformance",
];
/// In the crate for its own tests, and no room.
const TOOLS: &[&str] = &["witness"];
/// Rooms that are safe integer arithmetic and stay so.
const SAFE: &[&str] = &["addr", "number", "full", "infallible"];
/// The only rooms that may say `std`: what only tests are made with.
const STD: &[&str] = &["testing", "model", "conformance", "witness"];
/// What a program chooses among. Each says what it costs, when not to use it, and
/// shows itself at work.
const CHOICES: &[&str] = &[
    "AlignTo",
    "AsGlobal",
    "Box",
    "Buddy",
    "Bump",
    "BumpPool",
    "Count",
    "Fail",
    "Fallback",
    "FirstFit",
    "FromGlobal",
    "Global",
    "GrowingPool",
    "Guard",
    "HashMap",
    "HashSet",
    "Heap",
    "Limit",
    "LinearMap",
    "LinearSet",
    "Locked",
    "MpmcQueue",
    "Pool",
    "PriorityQueue",
    "RawLock",
    "Realign",
    "Regions",
    "Rescue",
    "Ring",
    "Scope",
    "Segregate",
    "SharedPool",
    "SharedSlab",
    "Slab",
    "SortedMap",
    "SortedSet",
    "SpscQueue",
    "Stack",
    "String",
    "Tlsf",
    "Trace",
    "TypedArena",
    "Vec",
    "Wipe",
];
/// The same without a picture of their own: the page of what they are for has it.
const PLAIN: &[&str] =
    &["Counted", "CriticalSection", "OneCore", "Refuse", "Spin", "Unshared", "Watched"];
/// Parts of those: what they give out, are made of, or say.
const PARTS: &[&str] = &[
    "AllocError",
    "Broken",
    "Bounds",
    "BuddyPlan",
    "Buffer",
    "BuildMixer",
    "Checkpoint",
    "Consumer",
    "Counter",
    "Counts",
    "Drain",
    "Event",
    "ExtractIf",
    "Failing",
    "Failure",
    "Figures",
    "Finding",
    "FirstFitPlan",
    "FixedSlab",
    "Full",
    "Growing",
    "GrowingSlab",
    "IntoIter",
    "Key",
    "Limiter",
    "Mark",
    "Mixer",
    "NoPeak",
    "Nothing",
    "OccupiedEntry",
    "Peak",
    "PeakCounts",
    "PoolBox",
    "PoolGuard",
    "PoolSlot",
    "Probe",
    "Producer",
    "Region",
    "RingIntoIter",
    "RingIter",
    "RingIterMut",
    "Scopes",
    "Shadow",
    "Shared",
    "SharedBox",
    "SharedRef",
    "SlabSlot",
    "StackBox",
    "StringIn",
    "VecIn",
    "StringDrain",
    "TlsfPlan",
    "TypedIntoIter",
    "VacantEntry",
];
/// Names that two types have, of which the other is a part.
const TWICE: &[(&str, &str)] = &[("testing.rs", "Scope"), ("wrap/trace.rs", "Ring")];
/// A file longer than this holds two subjects.
const MAX_LINES: usize = 800;

/// The sources by path below `src`, without test modules.
fn sources() -> BTreeMap<String, String> {
    fn collect(folder: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("the entry can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                collect(&path, &format!("{prefix}{name}/"), found);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let text = fs::read_to_string(&path).expect("the file is text");
                found.insert(format!("{prefix}{name}"), text);
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut found);
    found
}

/// The lines of a text without their comments.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn room_of(file: &str) -> &str {
    file.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

/// A room is on the list, and names only rooms below it by path.
fn layering(file: &str, text: &str) -> Vec<String> {
    let room = room_of(file);
    if file == "lib.rs" || TOOLS.contains(&room) {
        return Vec::new();
    }
    let Some(floor) = ROOMS.iter().position(|it| *it == room) else {
        return vec![format!("{file}: `{room}` is on no list")];
    };
    let text = code(text);
    let mut faults = Vec::new();
    for other in &ROOMS[floor + 1..] {
        if text.contains(&format!("crate::{other}::")) {
            faults.push(format!("{file}: `{room}` looks up at `{other}`"));
        }
    }
    faults
}

/// Unsafe code is announced at the top of its file, and not in safe rooms.
fn unsafe_code(file: &str, text: &str) -> Vec<String> {
    let text = code(text);
    let allows = text.contains("allow(unsafe_code)") || text.contains("expect(unsafe_code");
    let has = text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|it| it == "unsafe");
    if allows && SAFE.contains(&room_of(file)) {
        return vec![format!("{file}: a safe room has unsafe code")];
    }
    if allows && !has {
        return vec![format!("{file}: allows unsafe code and has none")];
    }
    Vec::new()
}

fn essay(file: &str, text: &str) -> Vec<String> {
    if text.starts_with("//! ") {
        Vec::new()
    } else {
        vec![format!("{file}: opens without an essay")]
    }
}

fn length(file: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    if lines <= MAX_LINES { Vec::new() } else { vec![format!("{file}: {lines} lines")] }
}

fn std_free(file: &str, text: &str) -> Vec<String> {
    if STD.contains(&room_of(file)) || !code(text).contains("use std::") {
        return Vec::new();
    }
    vec![format!("{file}: names `std`")]
}

/// Nothing is unwrapped without words, and nothing is left to do.
fn panics(file: &str, text: &str) -> Vec<String> {
    if STD.contains(&room_of(file)) {
        return Vec::new();
    }
    let bare = |line: &&str| line.contains(".unwrap()") || line.contains("todo!");
    code(text).lines().filter(bare).map(|line| format!("{file}: `{}`", line.trim())).collect()
}

/// A type that a program chooses says what it costs and when not to use it, and shows
/// itself; any other is known to be a part of one.
fn documents(file: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut words = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(more) = line.strip_prefix("///") {
            words.push_str(more.trim());
            words.push('\n');
            continue;
        }
        // A set is made by a macro: its line is its name and what it is made of.
        let set = line.split_once(" over ").map(|(name, _)| name).filter(|_| !words.is_empty());
        let kinds = ["pub struct ", "pub type "];
        let named = kinds.iter().find_map(|kind| line.strip_prefix(kind)).or(set);
        let word = |it: &str| it.split(|c: char| !c.is_alphanumeric()).next().map(str::to_owned);
        // A macro's `$name` is no name.
        if let Some(name) = named.and_then(word).filter(|name| !name.is_empty()) {
            let name = name.as_str();
            let part = PARTS.contains(&name) || TWICE.contains(&(file, name));
            let known = part || CHOICES.contains(&name) || PLAIN.contains(&name);
            if !known {
                faults.push(format!("{file}: `{name}` is neither a choice nor a part of one"));
            }
            let wanted: &[&str] = if part || !known {
                &[]
            } else if PLAIN.contains(&name) {
                &["# What it costs\n", "# When not to use it\n"]
            } else {
                &["# What it costs\n", "# When not to use it\n", "```\n"]
            };
            for it in wanted.iter().filter(|it| !words.contains(**it)) {
                faults.push(format!("{file}: `{name}` has no `{}`", it.trim()));
            }
        }
        if !line.starts_with("#[") && !line.starts_with("//") {
            words.clear();
        }
    }
    faults
}

/// Every atomic operation that names an ordering has `ORDERING:` in the comment
/// before its statement or within it.
fn orderings(file: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let operation = |line: &str| {
        let line = line.split("//").next().unwrap_or_default();
        line.contains("Ordering::") && !line.trim_start().starts_with("use ")
    };
    let mut faults = Vec::new();
    for (at, _) in lines.iter().enumerate().filter(|(_, line)| operation(line)) {
        let explained = lines[..=at].iter().rev().take(12).any(|line| line.contains("ORDERING:"));
        if !explained {
            faults.push(format!("{file}:{}: no `ORDERING:` comment", at + 1));
        }
    }
    faults
}

/// The rooms that `lib.rs` declares, and those that its table names.
fn declared(text: &str) -> (Vec<&str>, Vec<&str>) {
    let modules = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ")?;
        rest.strip_suffix(';')
    });
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | "));
    let named = rows.filter_map(|row| row.split(" | ").next());
    let names = named.flat_map(|cell| {
        cell.split(", ").filter_map(|it| it.strip_prefix('`').and_then(|it| it.strip_suffix('`')))
    });
    (modules.filter(|it| !TOOLS.contains(it)).collect(), names.collect())
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn the_house_stands() {
    let rules = [layering, unsafe_code, essay, length, std_free, panics, orderings, documents];
    let mut faults = Vec::new();
    for (file, text) in &sources() {
        faults.extend(rules.iter().flat_map(|rule| rule(file, text)));
    }
    assert_none(&faults);
}

#[test]
fn the_rooms_are_declared_in_order() {
    let sources = sources();
    let (modules, rows) = declared(&sources["lib.rs"]);
    assert_eq!(modules, ROOMS, "the `mod` lines");
    assert_eq!(rows, ROOMS, "the table in the essay");
}

/// The rules themselves, each shown what it forbids and what it allows.
mod rules {
    use super::*;

    #[test]
    fn rooms_do_not_look_up() {
        assert_eq!(layering("addr.rs", "use crate::bump::Bump;").len(), 1);
        assert_eq!(layering("bump/fit.rs", "fn f() { crate::wrap::g() }").len(), 1);
        assert_eq!(layering("shed.rs", "").len(), 1, "on no list");
        assert!(layering("bump.rs", "use crate::addr::up; // crate::wrap::x").is_empty());
    }

    #[test]
    fn unsafe_code_is_announced() {
        assert_eq!(unsafe_code("addr.rs", "#![allow(unsafe_code)]\nunsafe {}").len(), 1);
        assert_eq!(unsafe_code("bump.rs", "#![allow(unsafe_code)]").len(), 1, "for nothing");
        assert!(unsafe_code("bump.rs", "#![allow(unsafe_code)]\nunsafe {}").is_empty());
    }

    #[test]
    fn files_open_with_words_and_end_in_time() {
        assert_eq!(essay("a.rs", "use x;\n//! late").len(), 1);
        assert!(essay("a.rs", "//! An essay.").is_empty());
        assert_eq!(length("a.rs", &"\n".repeat(MAX_LINES + 1)).len(), 1);
        assert!(length("a.rs", &"\n".repeat(MAX_LINES)).is_empty());
    }

    #[test]
    fn the_crate_has_no_std() {
        assert_eq!(std_free("bump.rs", "use std::vec::Vec;").len(), 1);
        assert!(std_free("bump.rs", "/// use std::vec::Vec;").is_empty());
        assert!(std_free("model.rs", "use std::vec::Vec;").is_empty());
    }

    #[test]
    fn nothing_is_unwrapped() {
        assert_eq!(panics("bump.rs", "x.unwrap();").len(), 1);
        assert!(panics("bump.rs", "/// x.unwrap();\nx.unwrap_or(1);").is_empty());
    }

    #[test]
    fn a_choice_is_documented() {
        let whole = "/// # What it costs\n/// # When not to use it\n/// ```\n/// ```\n";
        assert!(documents("a.rs", &format!("{whole}#[x]\npub struct Bump;")).is_empty());
        assert!(documents("a.rs", &format!("    {whole}HashSet over HashMap,")).is_empty());
        assert_eq!(documents("a.rs", "/// Words.\npub struct Bump;").len(), 3);
        assert_eq!(documents("a.rs", "/// Words.\npub type Refuse = ();").len(), 2);
        assert!(documents("a.rs", "/// Words.\npub struct Mark;").is_empty());
        assert_eq!(documents("a.rs", "pub struct Shed;").len(), 1);
        assert_eq!(documents("a.rs", &format!("{whole}fn f();\npub struct Bump;")).len(), 3);
    }

    #[test]
    fn an_atomic_operation_has_its_reason() {
        assert_eq!(orderings("a.rs", "x.load(Ordering::Relaxed);").len(), 1);
        assert!(orderings("a.rs", "// ORDERING: a.\nx.load(Ordering::Relaxed);").is_empty());
        assert!(orderings("a.rs", "use core::sync::atomic::Ordering::{self};").is_empty());
    }

    #[test]
    fn modules_and_rows_are_found() {
        let text =
            "//! | `a`, `b` | x |\n//! | room | y |\nmod a;\n#[cfg(x)]\npub mod b;\nmod witness;";
        assert_eq!(declared(text), (vec!["a", "b"], vec!["a", "b"]));
    }
}
