//! Real programs, compiled here, whose addresses are known because they tell them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::*;
use crate::model::{Frame, Profile};
use crate::raw::{Dump, Mapping};
use crate::{assemble, trim};

/// A directory for what is compiled.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let name = format!("allod-profile-tests-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a directory");
        folder
    })
}

pub(crate) fn must(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A dump of the allocations that a program tells of: a line for each, with a name
/// and return addresses, then its mappings. The names come back with it.
pub(crate) fn dump_of(program: &Path) -> (Vec<String>, Dump) {
    let out = must(&mut Command::new(program));
    let (shapes, maps) = out.split_once("maps\n").expect("the mappings");
    let mut dump = Dump::parse(&crate::raw::tests::Builder::new().bytes).expect("a dump");
    dump.header.started = u64::MAX;
    dump.program = program.to_string_lossy().into_owned();
    dump.maps = Mapping::parse(maps);
    let mut names = Vec::new();
    for line in shapes.lines() {
        let mut words = line.split_whitespace();
        names.push(words.next().expect("a name").to_owned());
        let stack = dump.words.len() as u64;
        dump.words.extend(words.map(|pc| u64::from_str_radix(pc, 16).expect("an address")));
        let depth = dump.words.len() as u64 - stack;
        assert!(depth > 2, "{line}");
        let record = crate::raw::tests::site(stack, depth as u32, 0, 64, 1);
        let one = crate::raw::tests::Builder::new()
            .section(5, 8, &vec![0; dump.words.len() * 8])
            .section(6, record.len() as u32, &record);
        dump.sites.extend(Dump::parse(&one.bytes).expect("a dump").sites);
    }
    (names, dump)
}

/// How `shapes.rs` is compiled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Build {
    pub(crate) debug: &'static str,
    pub(crate) mangling: &'static str,
    pub(crate) level: u8,
}

pub(crate) fn compile(build: Build) -> PathBuf {
    let Build { debug, mangling, level } = build;
    let program = folder().join(format!("shapes-{debug}-{mangling}-{level}"));
    if !program.exists() {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut command = Command::new(rustc);
        command.args(["--edition", "2024", "--cap-lints", "allow"]);
        command.arg(format!("-Cdebuginfo={debug}")).arg(format!("-Copt-level={level}"));
        command.arg(format!("-Csymbol-mangling-version={mangling}"));
        if mangling == "legacy" {
            command.arg("-Zunstable-options").env("RUSTC_BOOTSTRAP", "1");
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/shapes.rs");
        must(command.arg("-o").arg(&program).arg(source));
    }
    program
}

pub(crate) fn profile_of(program: &Path) -> (Vec<String>, Profile) {
    let (shapes, dump) = dump_of(program);
    let profile = assemble::with_names(&dump, &mut Names::new(), &mut |_| {});
    (shapes, profile)
}

/// What `shapes.rs` allocates, and the types of it.
const TYPES: [(&str, &str); 20] = [
    ("box", "shapes::Order"),
    ("box_generic", "shapes::parser::Token<u8>"),
    ("rc", "Rc<shapes::Order>"),
    ("arc", "Arc<shapes::Order>"),
    ("vec_with_capacity", "Vec<shapes::Order>"),
    ("vec_push", "Vec<shapes::Order>"),
    ("vec_macro", "Vec<shapes::Order>"),
    ("vec_collect", "Vec<shapes::Order>"),
    ("vec_deque", "VecDeque<shapes::Order>"),
    ("hash_map", "HashMap<u32, shapes::Order>"),
    ("hash_set", "HashSet<shapes::Order>"),
    ("btree_map", "BTreeMap<u32, shapes::Order>"),
    ("btree_set", "BTreeSet<shapes::Order>"),
    ("binary_heap", "BinaryHeap<shapes::Order>"),
    ("linked_list", "LinkedList<shapes::Order>"),
    ("string", "String"),
    ("string_push", "String"),
    ("format", "String"),
    ("arc_slice", "Arc<[shapes::Order]>"),
    ("boxed_closure", "shapes::main::{closure#19}"),
];

/// Looks at the types, and that each stack goes through the line of its shape.
fn look_at_types(build: Build) {
    let (shapes, profile) = profile_of(&compile(build));
    assert_eq!(profile.modules[0].symbols, Symbols::Full, "{build:?}");
    let mut faults = Vec::new();
    for ((shape, site), (name, kind)) in shapes.iter().zip(&profile.sites).zip(TYPES) {
        assert_eq!(shape, name);
        let told = &site.rust_type;
        if told != kind && !(name == "boxed_closure" && told.starts_with(kind)) {
            let frames = site.stack.iter().map(|&frame| &profile.frames[frame].function);
            let frames = frames.map(|it| format!("\n    {it}")).collect::<String>();
            faults.push(format!("{name}: {told:?} and not {kind:?}{frames}"));
        }
        let frames = || site.stack.iter().map(|&frame| &profile.frames[frame]);
        let in_main = |frame: &Frame| {
            frame.file.ends_with("shapes.rs")
                && frame.line > 70
                && frame.function.contains("closure")
        };
        if !frames().any(in_main) {
            faults.push(format!("{name}: no frame of main"));
        }
        let place = trim::place(&profile, site).expect("a frame");
        if !place.file.ends_with("shapes.rs") {
            faults.push(format!("{name}: is named by {place:?}"));
        }
        if trim::is_allocation(&frames().next().expect("a frame").function) {
            faults.push(format!("{name}: begins with the allocator"));
        }
    }
    assert!(faults.is_empty(), "{build:?}\n{}", faults.join("\n"));
}

#[test]
fn types_with_lines_alone_and_legacy_names() {
    look_at_types(Build { debug: "line-tables-only", mangling: "legacy", level: 3 });
}

#[test]
fn types_with_full_information_and_legacy_names() {
    look_at_types(Build { debug: "2", mangling: "legacy", level: 3 });
}

#[test]
fn types_with_lines_alone_and_v0_names() {
    look_at_types(Build { debug: "line-tables-only", mangling: "v0", level: 3 });
}

#[test]
fn types_with_full_information_and_v0_names() {
    look_at_types(Build { debug: "2", mangling: "v0", level: 3 });
}

#[test]
fn types_without_optimization() {
    look_at_types(Build { debug: "2", mangling: "legacy", level: 0 });
}
