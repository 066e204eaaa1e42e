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
        let program = std::env::current_exe().expect("a program");
        let target = program.ancestors().nth(2).expect("a target directory");
        let folder = target.join("tmp/allod-profile");
        // What an earlier run left.
        _ = std::fs::remove_dir_all(&folder);
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

/// A program in C and one in C++, with two functions that nobody inlines and one that
/// everybody does.
const C: &str = "
#include <stdio.h>
__attribute__((noinline)) int inner(int x) { __asm__ volatile(\"\"); return x + 1; }
static inline __attribute__((always_inline)) int middle(int x) { return inner(x) * 3; }
__attribute__((noinline)) int outer(int x) { return middle(x) - 1; }
int main(int count, char **words) { printf(\"%d\\n\", outer(count)); return 0; }
";
const CXX: &str = "
#include <cstdio>
namespace app {
template <typename T> struct Stack {
    __attribute__((noinline)) int push(T value) { __asm__ volatile(\"\"); return (int)value; }
};
}
int main(int count, char **words) { app::Stack<short> it; printf(\"%d\\n\", it.push((short)count)); return 0; }
";

fn compile_c(name: &str, compiler: &str, arguments: &[&str], source: &str) -> PathBuf {
    let suffix = if compiler == "c++" { "cc" } else { "c" };
    let program = folder().join(name);
    let file = folder().join(format!("{name}.{suffix}"));
    std::fs::write(&file, source).expect("a source file");
    must(Command::new(compiler).args(arguments).arg("-o").arg(&program).arg(&file));
    program
}

/// An address in the machine code of a function, from `nm`, which is not ours.
fn address_in(program: &Path, symbol: &str) -> u64 {
    let table = must(Command::new("nm").arg(program));
    let line = table.lines().find(|line| {
        line.ends_with(&format!(" T {symbol}")) || line.ends_with(&format!(" W {symbol}"))
    });
    let address = line.and_then(|line| line.split(' ').next()).expect("the symbol is there");
    u64::from_str_radix(address, 16).expect("an address")
}

/// Where `outer` calls `inner`, from `objdump`.
fn call_in(program: &Path) -> u64 {
    let text = must(Command::new("objdump").args(["-d", "--no-show-raw-insn"]).arg(program));
    let outer = text.split("<outer>:").nth(1).expect("the function is there");
    let line = outer.lines().find(|line| line.contains("call") && line.contains("<inner>"));
    let line = line.expect("it calls the other");
    let address = line.trim().split(':').next().expect("an address");
    u64::from_str_radix(address, 16).expect("an address")
}

fn build_id_of(program: &Path) -> String {
    Survey::of(program).expect("it can be read").build_id
}

/// The names at an address of a file, and what is said of the file.
fn look(path: &Path, build_id: &str, address: u64) -> (Vec<Named>, Symbols) {
    let module = Module {
        path: path.to_string_lossy().into_owned(),
        build_id: build_id.into(),
        ..Module::default()
    };
    let wanted = Wanted { module: &module, pid: 0, started: 0, addresses: &[address] };
    let (mut found, symbols) = Names::new().look_up(&wanted, &mut |_| {});
    (found.remove(0), symbols)
}

fn functions(found: &[Named]) -> Vec<&str> {
    found.iter().map(|it| &*it.function).collect()
}

const WITH_ID: [&str; 3] = ["-O2", "-fcf-protection=none", "-Wl,--build-id"];

#[test]
fn inlined_calls_and_lines_of_c() {
    let program = compile_c("plain", "cc", &["-g", WITH_ID[0], WITH_ID[1], WITH_ID[2]], C);
    let (found, symbols) = look(&program, &build_id_of(&program), call_in(&program));
    assert_eq!(symbols, Symbols::Full);
    assert_eq!(functions(&found), ["middle", "outer"]);
    assert_eq!((found[0].line, found[1].line), (4, 5));
    assert!(found[0].file.ends_with("plain.c"), "{found:?}");
}

#[test]
fn names_of_c_plus_plus() {
    let program = compile_c("plus", "c++", &["-g", "-O1", "-Wl,--build-id"], CXX);
    let symbol = "_ZN3app5StackIsE4pushEs";
    let (found, _) = look(&program, &build_id_of(&program), address_in(&program, symbol) + 1);
    assert_eq!(functions(&found), ["app::Stack<short>::push"]);
    assert_eq!(found[0].linkage, symbol);
}

#[test]
fn a_symbol_table_alone_has_functions() {
    let program = compile_c("bare", "cc", &WITH_ID, C);
    let (found, symbols) = look(&program, &build_id_of(&program), call_in(&program));
    assert_eq!(symbols, Symbols::Functions);
    assert_eq!(functions(&found), ["outer"]);
}

#[test]
fn a_stripped_program_has_no_names_and_advice() {
    let program = compile_c("whole", "cc", &WITH_ID, C);
    let address = call_in(&program);
    let stripped = folder().join("stripped");
    must(Command::new("strip").arg("-o").arg(&stripped).arg(&program));
    let (found, symbols) = look(&stripped, &build_id_of(&stripped), address);
    assert!(found.is_empty(), "{found:?}");
    let Symbols::None(why) = symbols else { panic!("{symbols:?}") };
    assert!(why.contains("line-tables-only") && why.contains("debuginfod-find"), "{why}");
}

#[test]
fn a_file_that_was_replaced_is_not_believed() {
    let program = compile_c("replaced", "cc", &["-g", WITH_ID[0], WITH_ID[1], WITH_ID[2]], C);
    let (found, symbols) = look(&program, "0123456789abcdef", call_in(&program));
    assert!(found.is_empty(), "{found:?}");
    let Symbols::None(why) = symbols else { panic!("{symbols:?}") };
    assert!(why.contains("was replaced") && why.contains("0123456789abcdef"), "{why}");
    let (_, symbols) = look(Path::new("/not/there"), "", 1);
    assert!(matches!(&symbols, Symbols::None(why) if why.contains("is gone")), "{symbols:?}");
    let (_, symbols) = look(Path::new("[vdso]"), "", 1);
    assert!(matches!(&symbols, Symbols::None(why) if why.contains("of no file")), "{symbols:?}");
}

#[test]
fn debug_information_that_lies_apart_is_found() {
    let whole = compile_c("apart-whole", "cc", &["-g", WITH_ID[0], WITH_ID[1], WITH_ID[2]], C);
    let address = call_in(&whole);
    let (program, debug) = (folder().join("apart"), folder().join(".debug/apart.debug"));
    std::fs::create_dir_all(folder().join(".debug")).expect("a directory");
    must(Command::new("objcopy").arg("--only-keep-debug").arg(&whole).arg(&debug));
    must(Command::new("strip").arg("-o").arg(&program).arg(&whole));
    let link = format!("--add-gnu-debuglink={}", debug.display());
    must(Command::new("objcopy").arg(link).arg(&program));
    let id = build_id_of(&program);
    let (found, symbols) = look(&program, &id, address);
    assert_eq!((functions(&found), symbols), (vec!["middle", "outer"], Symbols::Full));
    assert!(Survey::of(&program).expect("it can be read").has_separate_debug);
    // Of another build, it is no use.
    let other = compile_c("apart-other", "cc", &["-g", "-O1", WITH_ID[2]], C);
    must(Command::new("objcopy").arg("--only-keep-debug").arg(&other).arg(&debug));
    let (found, _) = look(&program, &id, address);
    assert!(found.is_empty(), "{found:?}");
    let survey = Survey::of(&program).expect("it can be read");
    assert_eq!(survey.missing_debug_file.as_deref(), Some("apart.debug"));
}

#[test]
fn a_name_can_be_looked_up_again_when_more_is_asked() {
    let program = compile_c("again", "cc", &["-g", WITH_ID[0], WITH_ID[1], WITH_ID[2]], C);
    let module = Module {
        path: program.to_string_lossy().into_owned(),
        build_id: build_id_of(&program),
        ..Module::default()
    };
    let mut names = Names::new();
    let (call, inner) = (call_in(&program), address_in(&program, "inner"));
    let mut look = |addresses: &[u64]| {
        let wanted = Wanted { module: &module, pid: 0, started: 0, addresses };
        names.look_up(&wanted, &mut |_| {}).0
    };
    let first = look(&[call]);
    // What is known is not looked up again, even if the file is no more.
    let both = look(&[inner, call]);
    assert_eq!((functions(&both[0]), &both[1]), (vec!["inner"], &first[0]));
    std::fs::remove_file(&program).expect("it was there");
    assert_eq!(look(&[call, inner]), [both[1].clone(), both[0].clone()]);
}

#[test]
fn mangled_names_become_readable() {
    let table = [
        ("_ZN5alloc5boxed12Box$LT$T$GT$3new17h0123456789abcdefE", "alloc::boxed::Box<T>::new"),
        (
            "_ZN5alloc5boxed12Box$LT$T$GT$3new17h0123456789abcdefE.llvm.123",
            "alloc::boxed::Box<T>::new",
        ),
        ("_RNvC6_123foo3bar", "123foo::bar"),
        ("_ZN3app5StackIsE4pushEs", "app::Stack<short>::push"),
        ("_Znwm", "operator new"),
        ("malloc@@GLIBC_2.2.5", "malloc"),
        ("main", "main"),
        ("_Zwhat is this", "_Zwhat is this"),
        ("", ""),
    ];
    for (linkage, name) in table {
        assert_eq!(demangle::readable(linkage), name, "{linkage}");
    }
    assert!(!demangle::is_legacy_rust("_ZN3foo3barE"));
    assert_eq!(demangle::merged("a::B<T>::new", "new<u8>"), "a::B<T>::new<u8>");
    assert_eq!(demangle::merged("a::B<T>::renew", "new<u8>"), "a::B<T>::renew");
    let path = |file: &str| demangle::module_path(file).unwrap_or_default();
    assert_eq!(path("/rustc/59807616/library/alloc/src/vec/mod.rs"), "alloc::vec");
    assert_eq!(
        path("/home/user/.cargo/registry/src/index-1/hash-brown-0.16.1/src/raw.rs"),
        "hash_brown::raw"
    );
    assert_eq!(path("/home/me/app/src/main.rs"), "");
}
