//! The rules of the house that the compiler does not know.
//!
//! One list of rooms, from the street to the cellar. A room may name the rooms
//! below it and the furniture, never a room above; furniture names no room.
//! What must travel up goes as a return value. The rest of the file holds the
//! other habits a machine can check: essays, length, where unsafe code and
//! questions about the platform may stand, a reason beside every atomic
//! operation, and documents that speak of what exists.
//!
//! Each rule is a function from a text to its faults, and has a test that
//! shows it a fault. It reads text, not Rust: macros and odd spelling can fool
//! it. It is a reminder, not a wall.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Top to bottom. Same order as the `mod` lines in `lib.rs` and as ARCHITECTURE.md.
const ROOMS: &[&str] = &[
    "global",
    "raw",
    "adapters",
    "handle",
    "allocate",
    "label",
    "door",
    "report",
    "profile",
    "background",
    "local",
    "heap",
    "guarded",
    "harden",
    "sample",
    "sites",
    "nothing",
    "huge",
    "arena",
    "depot",
    "span",
    "map",
    "meta",
    "unwind",
    "os",
];
/// Stands in the place of the rooms where there is no backend of ours, so it
/// has them all below it.
const ANNEX: &str = "delegate";
/// Used by every room; uses no room. In the order of `lib.rs` as well.
const FURNITURE: &[&str] =
    &["block", "page", "dump", "stats", "config", "size", "odds", "units", "sync", "fatal"];
/// The only files of the allocator that may say `allow(unsafe_code)`.
const UNSAFE_FILES: &[&str] = &[
    "adapters.rs",
    "arena.rs",
    "arena/purge.rs",
    "background.rs",
    "block.rs",
    "delegate.rs",
    "depot.rs",
    "door.rs",
    "fatal.rs",
    "global.rs",
    "guarded.rs",
    "handle.rs",
    "harden.rs",
    "harden/canary.rs",
    "harden/guards.rs",
    "harden/locker.rs",
    "harden/look.rs",
    "harden/runs.rs",
    "harden/shelf.rs",
    "harden/table.rs",
    "heap.rs",
    "heap/adopt.rs",
    "heap/check.rs",
    "heap/common.rs",
    "heap/free.rs",
    "heap/hard.rs",
    "heap/hard/resize.rs",
    "heap/hard/slots.rs",
    "heap/private.rs",
    "heap/refill.rs",
    "heap/ring.rs",
    "heap/sampled.rs",
    "heap/walk.rs",
    "heap/watch.rs",
    "huge.rs",
    "huge/cache.rs",
    "huge/front.rs",
    "local.rs",
    "map.rs",
    "meta.rs",
    "nothing.rs",
    "os.rs",
    "os/fake.rs",
    "os/linux.rs",
    "profile.rs",
    "profile/trigger.rs",
    "raw.rs",
    "report.rs",
    "report/audit.rs",
    "sites.rs",
    "sites/column.rs",
    "sites/place.rs",
    "report/fault.rs",
    "span.rs",
    "sync.rs",
    "sync/held.rs",
    "unwind.rs",
    "unwind/memory.rs",
    "unwind/stack.rs",
    "unwind/touched.rs",
    "unwind/walk.rs",
];
/// Outside `os`, the only files that may ask which system they are on.
const PLATFORM_FILES: &[&str] = &["lib.rs"];
/// A file longer than this holds two subjects.
const MAX_LINES: usize = 800;

/// The sources of the allocator, by path below `src`, without test modules.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = files_below(&root, "rs");
    // The checkout itself may lie in a folder of that name.
    let below = |path: &Path| path.strip_prefix(&root).map(is_test) == Ok(true);
    let files = files.into_iter().filter(|(path, _)| !below(path));
    files.map(|(path, text)| (shown(&path, &root), text)).collect()
}

fn is_test(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "tests.rs")
        || path.components().any(|part| part.as_os_str() == "tests")
}

/// The repository, two floors above this crate.
fn repository() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates.and_then(Path::parent).expect("the crate stands in `crates/`").to_path_buf()
}

fn shown(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// All files with this extension, hidden and built things apart.
fn files_below(folder: &Path, extension: &str) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the entry can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            found.append(&mut files_below(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            let text = fs::read_to_string(&path).expect("the file is text");
            found.insert(path, text);
        }
    }
    found
}

/// The lines of a text without their comments.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The module at the crate's root that a source file belongs to.
fn room_of(file: &str) -> &str {
    file.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

/// The first names of all paths that begin at the crate's root: `crate::a::b`
/// and `crate::{a, b::c}`; in a file at the root, `super::a` as well.
fn named_modules(file: &str, text: &str) -> Vec<String> {
    let text = code(text);
    let mut tails: Vec<&str> = text.split("crate::").skip(1).collect();
    if !file.contains('/') {
        tails.extend(text.split("super::").skip(1));
    }
    let mut names = Vec::new();
    for tail in tails {
        let Some(group) = tail.strip_prefix('{') else {
            names.push(tail);
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    names.push(&group[start..i]);
                    start = i + 1;
                    if c == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    names.iter().map(|name| name.trim().chars().take_while(is_word).collect()).collect()
}

/// Nothing names upward, and furniture names no room.
fn layering(file: &str, text: &str) -> Vec<String> {
    let room = room_of(file);
    if file == "lib.rs" || room == ANNEX {
        return Vec::new();
    }
    let floor = ROOMS.iter().position(|it| *it == room);
    if floor.is_none() && !FURNITURE.contains(&room) {
        return vec![format!("{file}: `{room}` is neither a room nor furniture")];
    }
    let mut faults = Vec::new();
    let names: BTreeSet<String> = named_modules(file, text).into_iter().collect();
    for name in names {
        let Some(other) = ROOMS.iter().position(|it| *it == name) else { continue };
        match floor {
            Some(floor) if other < floor => {
                faults.push(format!("{file}: `{room}` looks up at `{name}`"));
            }
            None => faults.push(format!("{file}: the furniture `{room}` names `{name}`")),
            Some(_) => {}
        }
    }
    if code(text).contains("super::super") {
        faults.push(format!("{file}: `super::super` hides which room is meant"));
    }
    faults
}

/// Unsafe code stands in the listed files, and each of them has some.
fn unsafe_code(file: &str, text: &str, listed: &[&str]) -> Vec<String> {
    let text = code(text);
    let allows = text.contains("allow(unsafe_code") || text.contains("expect(unsafe_code");
    match (allows, listed.contains(&file)) {
        (true, false) => vec![format!("{file}: unsafe, and not on the list")],
        (false, true) => vec![format!("{file}: on the list of unsafe files, and is not")],
        _ => Vec::new(),
    }
}

/// A file opens by saying what it is for.
fn essay(file: &str, text: &str) -> Vec<String> {
    if text.starts_with("//!") {
        return Vec::new();
    }
    vec![format!("{file}: does not open with `//!`")]
}

fn length(file: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    if lines <= MAX_LINES {
        return Vec::new();
    }
    vec![format!("{file}: {lines} lines, more than {MAX_LINES}")]
}

/// Words that are written as labels are, and are none.
const NO_LABELS: &[&str] = &["C23"];

/// An invariant's label: one to three capitals, and a number.
fn is_label(word: &str) -> bool {
    let letters = word.bytes().take_while(u8::is_ascii_uppercase).count();
    let digits = &word.as_bytes()[letters..];
    (1..=3).contains(&letters)
        && (1..=2).contains(&digits.len())
        && digits.iter().all(u8::is_ascii_digit)
        && !NO_LABELS.contains(&word)
}

/// The label that a line of an essay gives to an invariant.
fn defined_label(line: &str) -> Option<&str> {
    let (label, _) = line.strip_prefix("//! * ")?.split_once('.')?;
    is_label(label).then_some(label)
}

/// An invariant's label is given once, so that a proof which cites it means one thing; and
/// what is cited was given.
fn labels(sources: &BTreeMap<String, String>) -> Vec<String> {
    let mut given: BTreeMap<&str, &str> = BTreeMap::new();
    let mut faults = Vec::new();
    for (file, text) in sources {
        for label in text.lines().filter_map(defined_label) {
            if let Some(other) = given.insert(label, file) {
                faults.push(format!("{file}: {label} is in {other} as well"));
            }
        }
    }
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '`';
    for (file, text) in sources {
        for (i, line) in text.lines().enumerate() {
            let Some((_, comment)) = line.split_once("//") else { continue };
            let words = comment.split(|c| !is_part(c));
            for label in words.filter(|word| is_label(word) && !given.contains_key(word)) {
                faults.push(format!("{file}:{}: nobody says what {label} is", i + 1));
            }
        }
    }
    faults
}

/// Questions about the system are asked in `os`, where the answers are.
fn platform(file: &str, text: &str, listed: &[&str]) -> Vec<String> {
    if room_of(file) == "os" || listed.contains(&file) {
        return Vec::new();
    }
    let asks = |line: &str| {
        let keys = ["target_os", "target_family", "target_env", "target_vendor"];
        let bare = ["unix", "windows"];
        let has_word = |word: &str| {
            line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
        };
        keys.iter().any(|key| has_word(key))
            || (bare.iter().any(|word| has_word(word))
                && (line.contains("cfg") || line.contains("=> {")))
    };
    let text = code(text);
    let lines = text.lines().enumerate().filter(|(_, line)| asks(line));
    lines.map(|(i, line)| format!("{file}:{}: `{}` outside `os`", i + 1, line.trim())).collect()
}

/// Every atomic operation has its reason in the comment right before its
/// statement, or inside it.
fn orderings(file: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let is_comment = |i: usize| lines[i].trim_start().starts_with("//");
    let explains = |i: usize| {
        lines[i].split_once("//").is_some_and(|(_, comment)| comment.contains("ORDERING:"))
    };
    let mut faults = Vec::new();
    for (first, last) in atomic_operations(text) {
        let mut explained = (first..=last).any(explains);
        let mut above = first;
        while !explained && above > 0 {
            above -= 1;
            explained = explains(above);
            let line = lines[above].trim();
            let ends = line.is_empty() || line.ends_with([';', '{', '}']);
            if ends && !is_comment(above) {
                break;
            }
        }
        if !explained {
            faults.push(format!("{file}:{}: no `ORDERING:` comment", first + 1));
        }
    }
    for (i, line) in code(text).lines().enumerate() {
        let imports_bare = line.contains("Ordering::{") || line.contains("Ordering::*");
        if imports_bare || (line.trim_start().starts_with("use ") && line.contains("Ordering::")) {
            faults.push(format!("{file}:{}: orderings are spelled `Ordering::X`", i + 1));
        }
    }
    faults
}

/// First and last line, from 0, of each atomic operation that names an ordering.
fn atomic_operations(text: &str) -> Vec<(usize, usize)> {
    let text = code(text);
    let bytes = text.as_bytes();
    let line_of = |at: usize| bytes[..at].iter().filter(|byte| **byte == b'\n').count();
    let mut found = Vec::new();
    for (open, _) in text.match_indices('(') {
        let before = &text[..open];
        let name_starts = before.rfind(|c: char| !c.is_alphanumeric() && c != '_');
        let name = &before[name_starts.map_or(0, |at| at + 1)..];
        let is_method = name_starts.is_some_and(|at| bytes[at] == b'.');
        let is_operation = name.ends_with("fence")
            || (is_method
                && (["load", "store", "swap"].contains(&name)
                    || name.starts_with("fetch_")
                    || name.starts_with("compare_exchange")));
        if !is_operation {
            continue;
        }
        let mut depth = 0;
        let close = text[open..].find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        let close = open + close.unwrap_or(0);
        if text[open..close].contains("Ordering::") {
            found.push((line_of(open), line_of(close)));
        }
    }
    found
}

/// `lib.rs` declares the modules in the order a reader walks them. It may
/// declare several sets, for several kinds of build: one of them is complete,
/// and the others keep the same order.
fn module_order(text: &str) -> Vec<String> {
    let expected: Vec<&str> = ROOMS.iter().chain(FURNITURE).copied().collect();
    let mut sets: Vec<Vec<&str>> = vec![Vec::new()];
    let text = code(text);
    for line in text.lines() {
        if line.contains("=> {") {
            sets.push(Vec::new());
        }
        let Some((before, after)) = line.trim().split_once("mod ") else { continue };
        let name = after.trim_end_matches(';');
        if (before.is_empty() || before.starts_with("pub")) && expected.contains(&name) {
            sets.last_mut().expect("there is a first set").push(name);
        }
    }
    let place = |name: &&str| expected.iter().position(|it| it == name);
    let mut faults = Vec::new();
    for set in &sets {
        if !set.is_sorted_by_key(place) {
            faults.push(format!("lib.rs: declares {set:?}\n  and the order is {expected:?}"));
        }
    }
    if !sets.iter().any(|set| set.len() == expected.len()) {
        faults.push(format!("lib.rs: declares {sets:?}\n  and the house is {expected:?}"));
    }
    faults
}

/// The rows of the document's tables that open with a room's name in
/// backquotes are in the order of the rooms.
fn documented_order(text: &str) -> Vec<String> {
    let mut named: Vec<&str> = Vec::new();
    for line in text.lines() {
        let Some((name, _)) = line.strip_prefix("| `").and_then(|rest| rest.split_once('`')) else {
            continue;
        };
        let name = name.trim_end_matches(".rs");
        if ROOMS.contains(&name) && !named.contains(&name) {
            named.push(name);
        }
    }
    if named == ROOMS {
        return Vec::new();
    }
    vec![format!("ARCHITECTURE.md: names {named:?}\n  and the rooms are {ROOMS:?}")]
}

/// Links and paths in a document lead somewhere. `folders` are the folders at
/// the root of the repository: a code span that begins with one is a path.
fn links(file: &str, text: &str, folders: &[String], exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut targets: Vec<String> = Vec::new();
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    for rest in text.split("](").skip(1) {
        let target = rest.split([')', '#', ' ']).next().unwrap_or_default();
        let is_elsewhere = target.contains("://") || target.starts_with("mailto:");
        if !target.is_empty() && !is_elsewhere {
            targets.push(if folder.is_empty() {
                target.into()
            } else {
                format!("{folder}/{target}")
            });
        }
    }
    for span in text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)) {
        let is_path = folders
            .iter()
            .any(|it| span.strip_prefix(it).is_some_and(|rest| rest.starts_with('/')));
        if is_path && !span.contains(['*', '<', '{', ' ', '…']) {
            targets.push(span.split(':').next().unwrap_or_default().to_owned());
        }
    }
    targets.retain(|target| !exists(target));
    targets.iter().map(|target| format!("{file}: `{target}` is not there")).collect()
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn the_house_stands() {
    let mut faults = Vec::new();
    let sources = sources();
    for (file, text) in &sources {
        faults.extend(layering(file, text));
        faults.extend(unsafe_code(file, text, UNSAFE_FILES));
        faults.extend(platform(file, text, PLATFORM_FILES));
        faults.extend(orderings(file, text));
    }
    for listed in UNSAFE_FILES.iter().chain(PLATFORM_FILES) {
        if !sources.contains_key(*listed) {
            faults.push(format!("{listed}: on a list, and is not there"));
        }
    }
    faults.extend(labels(&sources));
    faults.extend(module_order(sources.get("lib.rs").expect("a crate has a root")));
    assert_none(&faults);
}

#[test]
fn every_source_says_what_it_is_for_and_is_short() {
    let root = repository();
    let mut faults = Vec::new();
    for (path, text) in files_below(&root, "rs") {
        let file = shown(&path, &root);
        faults.extend(essay(&file, &text));
        faults.extend(length(&file, &text));
    }
    assert_none(&faults);
}

#[test]
fn documents_speak_of_what_exists() {
    let root = repository();
    let entries = fs::read_dir(&root).expect("the repository can be read").flatten();
    let folders = entries.filter(|entry| entry.path().is_dir());
    let folders: Vec<String> = folders
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name != "target" && name != ".git")
        .collect();
    let mut faults = Vec::new();
    for (path, text) in files_below(&root, "md") {
        let exists = |target: &str| root.join(target).exists();
        faults.extend(links(&shown(&path, &root), &text, &folders, &exists));
    }
    if let Ok(text) = fs::read_to_string(root.join("ARCHITECTURE.md")) {
        faults.extend(documented_order(&text));
    }
    assert_none(&faults);
}

/// The rules themselves, each shown what it forbids and what it allows.
mod rules {
    use super::*;

    #[test]
    fn modules_are_found_in_paths() {
        let names = |file, text| named_modules(file, text);
        assert_eq!(names("a/b.rs", "use crate::heap::Heap; // crate::os"), ["heap"]);
        assert_eq!(names("a/b.rs", "crate::{a, b::{c, d}, e}::x crate::f"), ["a", "b", "e", "f"]);
        assert_eq!(names("a.rs", "use super::heap::Heap;"), ["heap"]);
        assert!(names("a/b.rs", "use super::heap::Heap;").is_empty(), "its own room");
    }

    #[test]
    fn rooms_do_not_look_up() {
        assert_eq!(layering("os.rs", "use crate::heap::Heap;").len(), 1);
        assert_eq!(layering("os/linux.rs", "fn f() { crate::arena::take() }").len(), 1);
        assert!(layering("heap.rs", "use crate::os::Os; use crate::size::SizeClass;").is_empty());
        assert!(layering("heap/free.rs", "use crate::heap::Heap;").is_empty(), "its own room");
    }

    #[test]
    fn furniture_names_no_room() {
        assert_eq!(layering("size.rs", "use crate::os::Os;").len(), 1);
        assert!(layering("size.rs", "use crate::units::SLICE;").is_empty());
    }

    #[test]
    fn nobody_goes_round_the_rule() {
        assert_eq!(layering("os/linux.rs", "use super::super::heap;").len(), 1);
        assert_eq!(layering("shed.rs", "").len(), 1, "a room that is on no list");
        assert!(layering("delegate.rs", "use crate::stats::Stats;").is_empty(), "the annex");
    }

    #[test]
    fn unsafe_code_is_listed() {
        let unsafe_text = "//! x\n#![allow(unsafe_code)]\n";
        assert_eq!(unsafe_code("a.rs", unsafe_text, &[]).len(), 1);
        assert!(unsafe_code("a.rs", unsafe_text, &["a.rs"]).is_empty());
        assert_eq!(unsafe_code("a.rs", "//! safe\n", &["a.rs"]).len(), 1, "a stale list");
        assert!(unsafe_code("a.rs", "// allow(unsafe_code)", &[]).is_empty(), "mere words");
    }

    #[test]
    fn files_open_with_words_and_end_in_time() {
        assert_eq!(essay("a.rs", "use x;\n//! late").len(), 1);
        assert!(essay("a.rs", "//! An essay.").is_empty());
        assert_eq!(length("a.rs", &"\n".repeat(MAX_LINES + 1)).len(), 1);
        assert!(length("a.rs", &"\n".repeat(MAX_LINES)).is_empty());
    }

    #[test]
    fn a_label_means_one_thing() {
        let faults = |files: &[(&str, &str)]| {
            let owned = files.iter().map(|(file, text)| ((*file).into(), (*text).into()));
            labels(&owned.collect()).len()
        };
        let given = "//! * AB1. It holds.\n";
        assert_eq!(faults(&[("a.rs", given), ("b.rs", "// SAFETY: by AB1.")]), 0);
        assert_eq!(faults(&[("a.rs", given), ("b.rs", given)]), 1, "given twice");
        assert_eq!(faults(&[("a.rs", given), ("b.rs", "// SAFETY: as above (AB2).")]), 1);
        assert_eq!(faults(&[("a.rs", "// C23's `X1`, SIGUSR2, x86, 0xA1 and 2_A1\nA1;")]), 0);
    }

    #[test]
    fn the_platform_is_asked_in_os() {
        assert_eq!(platform("heap.rs", "#[cfg(target_os = \"linux\")]", &[]).len(), 1);
        assert_eq!(platform("heap.rs", "#[cfg(unix)]", &[]).len(), 1);
        assert_eq!(platform("heap.rs", "cfg_select! {\n  windows => {}\n}", &[]).len(), 1);
        assert!(platform("heap.rs", "#[cfg(unix)]", &["heap.rs"]).is_empty());
        assert!(platform("os/linux.rs", "#[cfg(target_os = \"linux\")]", &[]).is_empty());
        assert!(
            platform("heap.rs", "#[cfg(target_arch = \"x86\")]\nlet unix = 1;", &[]).is_empty()
        );
        assert!(platform("heap.rs", "for window in windows {}", &[]).is_empty());
    }

    #[test]
    fn an_atomic_operation_has_its_reason() {
        let faults = |text: &str| orderings("a.rs", text).len();
        assert_eq!(faults("x.load(Ordering::Relaxed);"), 1);
        assert_eq!(faults("// ORDERING: a.\nx.load(Ordering::Relaxed);"), 0);
        assert_eq!(faults("// Something else.\nx.load(Ordering::Relaxed);"), 1);
        assert_eq!(faults("// ORDERING: a,\n// and b.\nlet y =\n  x.load(Ordering::Relaxed);"), 0);
        let other =
            "// ORDERING: a.\nx.store(1, Ordering::Relaxed);\nx.store(2, Ordering::Relaxed);";
        assert_eq!(faults(other), 1, "one comment, one statement");
        let pair = "// ORDERING: both.\nf(x.load(Ordering::Relaxed), y.load(Ordering::Relaxed));";
        assert_eq!(faults(pair), 0, "one statement may hold two");
        let inside = "x.compare_exchange(\n  1,\n  // ORDERING: a.\n  Ordering::AcqRel,\n  Ordering::Acquire,\n)";
        assert_eq!(faults(inside), 0);
        assert_eq!(faults("{\n  fence(Ordering::SeqCst);\n}"), 1);
        assert_eq!(faults("x.swap(1, 2); map.load(file);"), 0, "not atomic");
    }

    #[test]
    fn every_kind_of_operation_is_known() {
        for operation in [
            "load",
            "store",
            "swap",
            "fetch_add",
            "fetch_update",
            "compare_exchange",
            "compare_exchange_weak",
        ] {
            let text = format!("self.word.{operation}(a(), Ordering::Relaxed)");
            assert_eq!(atomic_operations(&text), [(0, 0)], "{operation}");
        }
        assert_eq!(atomic_operations("core::sync::atomic::fence(\nOrdering::SeqCst)"), [(0, 1)]);
        assert_eq!(atomic_operations("compiler_fence(Ordering::SeqCst)"), [(0, 0)]);
    }

    #[test]
    fn orderings_are_spelled_out() {
        assert_eq!(orderings("a.rs", "use core::sync::atomic::Ordering::{Acquire};").len(), 1);
        assert_eq!(orderings("a.rs", "use core::sync::atomic::Ordering::Relaxed;").len(), 1);
        assert_eq!(
            orderings("a.rs", "use core::{\n  sync::atomic::Ordering::{Acquire},\n};").len(),
            1
        );
        assert!(orderings("a.rs", "use core::sync::atomic::{AtomicU8, Ordering};").is_empty());
    }

    /// What `lib.rs` says when it is in order.
    fn declarations() -> String {
        let names = ROOMS.iter().chain(FURNITURE);
        names.map(|name| format!("pub mod {name};\n")).collect()
    }

    #[test]
    fn modules_are_declared_in_order() {
        let whole = declarations();
        assert!(module_order(&whole).is_empty());
        let others =
            format!("a => {{\n  mod word;\n}}\nb => {{\n{whole}}}\n_ => {{\nmod size;\n}}");
        assert!(module_order(&others).is_empty(), "one set is complete");
        assert_eq!(module_order(&whole.replacen("pub mod", "//", 1)).len(), 1, "missing");
        let swapped: Vec<String> = whole.lines().rev().map(str::to_owned).collect();
        assert_eq!(module_order(&swapped.join("\n")).len(), 1, "out of order");
        let other_swapped = format!("{whole}\n_ => {{\nmod size;\nmod os;\n}}");
        assert_eq!(module_order(&other_swapped).len(), 1, "another set out of order");
    }

    #[test]
    fn documents_name_the_rooms_in_order() {
        let rows: Vec<String> = ROOMS.iter().map(|name| format!("| `{name}` | x |")).collect();
        assert!(documented_order(&rows.join("\n")).is_empty());
        let more = format!("1. `os` first\n{}\n| `global` | again |", rows.join("\n"));
        assert!(documented_order(&more).is_empty(), "only rows, and only the first");
        assert_eq!(documented_order(&rows[1..].join("\n")).len(), 1, "missing");
        let swapped: Vec<String> = rows.into_iter().rev().collect();
        assert_eq!(documented_order(&swapped.join("\n")).len(), 1, "out of order");
    }

    #[test]
    fn links_lead_somewhere() {
        let folders = ["crates".to_owned()];
        let exists = |target: &str| target == "docs/there.md" || target == "crates/x.rs";
        let faults = |file: &str, text: &str| links(file, text, &folders, &exists).len();
        assert_eq!(faults("README.md", "[a](docs/there.md#part) and [b](docs/gone.md)"), 1);
        assert_eq!(faults("docs/a.md", "[a](there.md)"), 0, "relative to the document");
        assert_eq!(faults("README.md", "[a](https://example.com) [b](#part)"), 0);
        assert_eq!(faults("README.md", "`crates/x.rs:12` and `crates/gone.rs`"), 1);
        assert_eq!(faults("README.md", "`std/gone.rs` and `crates/*/src`"), 0, "no paths of ours");
    }
}
