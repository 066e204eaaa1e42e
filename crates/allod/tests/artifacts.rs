//! Allod in every kind of thing that a Rust crate can become.
//!
//! The crates are in `artifacts/`, the longer examples in `examples/`; each is
//! a workspace of its own. The tests build them as a user does, with the cargo
//! that builds us, and run them. What is judged here:
//!
//! * How many allocators a file holds. Each copy of Allod brings the bytes
//!   `allod-inside` and one `static` of all its state; both are counted, in the
//!   parts of the file that are loaded. A program that had two would be split
//!   in two halves that cannot free each other's objects.
//! * That it runs to its end and says what it found. The programs themselves
//!   compare Allod's figures with what they did.
//! * What a plugin leaves in its host when it is unloaded.
//! * That the examples say what their essays promise.
//!
//! The artifacts have profiles and features of their own, so other settings for
//! this file would test the same again: it is there for one of them only.
#![cfg(all(
    target_arch = "x86_64",
    target_os = "linux",
    target_env = "gnu",
    debug_assertions,
    not(any(feature = "system", feature = "unchecked", feature = "nightly")),
    not(any(feature = "allocator-api2-02", feature = "allocator-api2-04")),
))]

use object::{Object, ObjectKind, ObjectSegment, ObjectSymbol};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// No artifact takes more than a few seconds; one that takes this long hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// Loads of the plugin in one host.
const LOADS: usize = 1000;

/// The repository, two floors above this crate.
fn repository() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates.and_then(Path::parent).expect("the crate stands in `crates/`").to_path_buf()
}

/// Where everything is built: below the target directory that we were built in.
fn target(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("artifacts").join(name)
}

/// Runs cargo in a folder, with the settings of nobody but that folder. What it
/// printed.
fn cargo(folder: &Path, words: &str, target: &Path, flags: Option<&str>) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    let (verb, rest) = words.split_once(' ').expect("a verb and what to do");
    cargo.arg(verb).arg("--target-dir").arg(target).args(rest.split(' ')).current_dir(folder);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let is_ours = name == "ALLOD_CONF" || name == "CARGO_BUILD_TARGET";
        if is_ours || name.ends_with("RUSTFLAGS") || name.starts_with("CARGO_PROFILE_") {
            cargo.env_remove(name);
        }
    }
    if let Some(flags) = flags {
        cargo.env("RUSTFLAGS", flags);
    }
    let output = cargo.output().expect("cargo can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {words}: {}\n{errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Builds the artifacts that need nothing special, once.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = target("plain");
        cargo(&repository().join("artifacts"), "build --release", &target, None);
        target.join("release")
    })
}

/// Runs a program to its end and returns what it printed.
fn run(command: &mut Command) -> String {
    let mut child = command
        .env_remove("ALLOD_CONF")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let start = Instant::now();
    let mut hangs = false;
    // What they print fits the pipe, so nobody waits for us to read.
    while child.try_wait().expect("the program is our child").is_none() {
        if start.elapsed() > LIMIT && !hangs {
            hangs = true;
            child.kill().expect("the program is our child");
        }
        thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().expect("the program has ended");
    let (out, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!hangs, "{command:?}: did not end in {LIMIT:?}\n{out}\n{errors}");
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{errors}", output.status);
    out.into_owned()
}

/// Runs a program that prints one line, which must be this one.
fn expect(command: &mut Command, line: &str) {
    assert_eq!(run(command).trim_end(), line);
}

/// The copies of Allod in a file.
#[derive(Debug, PartialEq)]
struct Copies {
    /// By the bytes of the marker, wherever the file is loaded from.
    marks: usize,
    /// By the symbol of the one static that holds the state.
    states: usize,
}

fn copies(path: &Path) -> Copies {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = object::File::parse(&*bytes).expect("a file for x86-64");
    let mark = b"allod-inside\0";
    let marks = file.segments().map(|segment| {
        let data = segment.data().expect("what is loaded is in the file");
        data.windows(mark.len()).filter(|part| part == mark).count()
    });
    // Both manglings write a path as names with their lengths.
    let is_state = |name: &str| name.contains("5allod5local9ALLOCATOR");
    let names = file.symbols().filter_map(|symbol| symbol.name().ok());
    Copies { marks: marks.sum(), states: names.filter(|name| is_state(name)).count() }
}

const NONE: Copies = Copies { marks: 0, states: 0 };
const ONE: Copies = Copies { marks: 1, states: 1 };
const TWO: Copies = Copies { marks: 2, states: 2 };

const PROGRAM: &str = "program: all of it is on Allod";

#[test]
fn a_program() {
    let program = built().join("program");
    assert_eq!(copies(&program), ONE);
    expect(&mut Command::new(program), PROGRAM);
}

#[test]
fn a_program_with_link_time_optimization() {
    for profile in ["thin", "fat"] {
        let words = format!("build --profile {profile} -p program");
        cargo(&repository().join("artifacts"), &words, &target("plain"), None);
        let program = target("plain").join(profile).join("program");
        assert_eq!(copies(&program), ONE, "lto = {profile:?}");
        expect(&mut Command::new(program), PROGRAM);
    }
}

#[test]
fn a_program_without_a_loader() {
    let triple = "x86_64-unknown-linux-gnu";
    let words = format!("build --release -p program --target {triple}");
    let flags = "-C target-feature=+crt-static";
    cargo(&repository().join("artifacts"), &words, &target("static"), Some(flags));
    let program = target("static").join(triple).join("release/program");
    let bytes = fs::read(&program).expect("the program is built");
    let file = object::File::parse(&*bytes).expect("a file for x86-64");
    assert_eq!(file.kind(), ObjectKind::Dynamic, "it can be loaded anywhere");
    assert!(file.section_by_name(".interp").is_none(), "and loads itself");
    assert_eq!(copies(&program), ONE);
    expect(&mut Command::new(program), PROGRAM);
}

#[test]
fn a_program_whose_library_brings_the_allocator() {
    let carried = built().join("carried");
    assert_eq!(copies(&carried), ONE);
    expect(&mut Command::new(carried), "carried: all of it is on Allod");
}

#[test]
fn a_program_on_a_rust_shared_library() {
    let target = target("shared");
    // Only the last file gets the flag; the library is built as its user needs it.
    let words = "rustc --release -p shared-user -- -C prefer-dynamic";
    cargo(&repository().join("artifacts"), words, &target, None);
    let folder = target.join("release");
    assert_eq!(copies(&folder.join("shared-user")), NONE);
    assert_eq!(copies(&folder.join("libshared.so")), ONE);
    let standard = run(Command::new("rustc").args(["--print", "target-libdir"]));
    let places = format!("{}:{}", folder.display(), standard.trim_end());
    let mut user = Command::new(folder.join("shared-user"));
    expect(user.env("LD_LIBRARY_PATH", places), "shared-user: all of it is on Allod");
}

#[test]
fn a_c_program_with_a_rust_half() {
    let archive = built().join("libarchive.a");
    let program = built().join("archive-main");
    // Where rustc links, there is a C compiler: it links through it.
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", "-o"]).arg(&program);
    cc.arg(repository().join("artifacts/archive/main.c")).arg(archive);
    let _ = run(cc.args(["-lgcc_s", "-lpthread", "-lm", "-ldl"]));
    assert_eq!(copies(&program), ONE);
    expect(&mut Command::new(program), "archive: the Rust half is on Allod, the C half is not");
}

/// The host, told to load the plugin and do what `words` say.
fn host(words: &[&str]) -> Command {
    let mut host = Command::new(built().join("host"));
    host.arg(built().join("libplugin.so")).args(words);
    host
}

#[test]
fn a_plugin_in_a_host_on_another_allocator() {
    let plugin = built().join("libplugin.so");
    assert_eq!(copies(&plugin), ONE);
    assert_eq!(copies(&built().join("host")), NONE);
    let bytes = fs::read(&plugin).expect("the plugin is built");
    let file = object::File::parse(&*bytes).expect("a file for x86-64");
    for symbol in file.dynamic_symbols().filter(ObjectSymbol::is_definition) {
        let name = symbol.name().expect("names are text");
        assert!(name.starts_with("plugin_"), "`{name}` would be taken for the host's own");
    }
    expect(&mut host(&["together"]), "host: both sides are whole");
}

#[test]
fn a_plugin_that_its_threads_keep_loaded() {
    expect(&mut host(&["pinned", "20"]), "pinned: 20 loads; the threads ended in the plugin");
}

/// What a host has left of each plugin that was unloaded, by the host's word.
#[derive(Debug)]
struct Left {
    resident_kib: f64,
    reserved_kib: f64,
    mappings: f64,
}

fn reload(habit: &str) -> Left {
    let line = run(&mut host(&[habit, &LOADS.to_string()]));
    println!("{habit}: {line}");
    let figure = |name: &str| {
        let (_, after) = line.split_once(name).expect("the host prints the figure");
        let number = after.split_whitespace().next().map(str::parse);
        number.and_then(Result::ok).expect("each figure is a number")
    };
    let left = Left {
        resident_kib: figure("resident "),
        reserved_kib: figure("reserved "),
        mappings: figure("mappings "),
    };
    assert!(line.starts_with(&format!("{LOADS} loads; ")), "{line}");
    left
}

#[test]
fn a_plugin_that_comes_and_goes() {
    let left = reload("settled");
    assert!(left.resident_kib < 1.0, "{left:?}");
    assert!(left.reserved_kib < 4.0, "{left:?}");
    assert!(left.mappings < 0.05, "{left:?}");
}

#[test]
fn a_plugin_that_goes_before_its_threads() {
    for habit in ["clean", "leaky"] {
        let left = reload(habit);
        assert!(left.resident_kib < 1024.0, "{habit}: {left:?}");
        assert!(left.reserved_kib < 96.0 * 1024.0, "{habit}: {left:?}");
        assert!(left.mappings < 10.0, "{habit}: {left:?}");
    }
}

#[test]
fn two_versions_in_one_program() {
    let folder = target("versions");
    let _ = fs::remove_dir_all(folder.join("house"));
    copy_house(&folder.join("house/newer"), None);
    copy_house(&folder.join("house/older"), Some("0.0.1"));
    let user = folder.join("house/versions");
    copy(&repository().join("artifacts/versions"), &user);
    cargo(&user, "build --release", &folder, None);
    let program = folder.join("release/versions");
    assert_eq!(copies(&program), TWO);
    expect(&mut Command::new(program), "versions: two allocators, each with its own");
}

/// Copies the allocator, with a workspace around it that has nothing else, and
/// perhaps another version.
fn copy_house(to: &Path, version: Option<&str>) {
    for name in ["allod", "allod-kit"] {
        copy(&repository().join("crates").join(name), &to.join("crates").join(name));
    }
    let manifest = fs::read_to_string(repository().join("Cargo.toml")).expect("a manifest");
    let lines = manifest.lines().map(|line| match (line.split_once(" = "), version) {
        (Some(("members" | "default-members", _)), _) => {
            let name = line.split(' ').next().unwrap_or_default();
            format!("{name} = [\"crates/allod\", \"crates/allod-kit\"]")
        }
        (Some(("allod-kit", kit)), Some(version)) => {
            format!("allod-kit = {}", kit.replace(env!("CARGO_PKG_VERSION"), version))
        }
        (Some(("version", _)), Some(version)) => format!("version = \"{version}\""),
        _ => line.to_owned(),
    });
    let manifest: Vec<String> = lines.collect();
    fs::write(to.join("Cargo.toml"), manifest.join("\n")).expect("it can be written");
}

/// Copies a folder and what is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("the entry can be read");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("it can be copied");
        }
    }
}

/// Runs an example of this crate; it must print this line.
fn example(words: &str, line: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let words = format!("run --quiet --example {words}");
    let text = cargo(folder, &words, &target("examples"), None);
    assert!(text.lines().any(|it| it == line), "no line {line:?} in\n{text}");
}

#[test]
fn example_define_global_allocator() {
    let line = "1000 pushes: 1 allocation, 8 realloc, 1 free, on Allod";
    example("define_global_allocator", line);
}

#[test]
fn example_use_custom_allocator() {
    let words = "use_custom_allocator --features allocator-api2";
    example(words, "bump pointer: 3 of 3 objects on the stack");
    example(words, "own heap: 0 of 3 objects on the stack");
    example(words, "slices that both heaps lie in: 0");
    let end = "1000 objects were forgotten in one of them; it is dropped, and 0 bytes are left";
    example(words, end);
}

#[test]
fn example_where_bytes_live() {
    example("where_bytes_live", "size class  48: the smallest size that holds 42");
    example("where_bytes_live", "  it holds 131072: 4 slices");
}

/// With the feature `system` they compile and run, and have less to show.
#[test]
fn examples_on_the_platforms_allocator() {
    let line = "1000 pushes: 1 allocation, 8 realloc, 1 free, on Allod";
    example("define_global_allocator --features system", line);
    let line = "The platform's allocator serves here, and it has other rooms.";
    example("where_bytes_live --features system", line);
    let line = "bump pointer: 3 of 3 objects on the stack";
    example("use_custom_allocator --features system,allocator-api2", line);
}

#[test]
fn example_swap_allocators() {
    let target = target("swap");
    cargo(&repository().join("examples"), "build --release", &target, None);
    let table = run(&mut Command::new(target.join("release/swap_allocators")));
    for name in ["system", "allod"] {
        let row = table.lines().find(|line| line.starts_with(name)).expect("each has a row");
        let words: Vec<&str> = row.split_whitespace().collect();
        let [_, time, "ms", peak, "MiB", after, "MiB"] = words[..] else { panic!("{row}") };
        let [time, peak, after] = [time, peak, after].map(|word| word.parse::<f64>());
        assert!(time.is_ok_and(|time| time > 0.0), "{row}");
        assert!(peak.is_ok_and(|peak| peak > 20.0), "{row}: the work needs as much");
        assert!(after.is_ok_and(|after| after > 0.0), "{row}");
    }
    assert_eq!(table.matches("not built").count(), 3, "the others need a C compiler");
}
