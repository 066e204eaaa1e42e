//! Programs that are linked with `liballod.a`, with and without a loader.
//!
//! One is the program that `probe` runs for its row `operators-throw`: it
//! allocates, frees, and fails to allocate in every way that C++ has.
//!
//! The other is in C and loads libraries, through our `dlopen`. A static program finds the C
//! library's behind it in another way than one with a loader does. Whether static programs can
//! load anything is the C library's affair: so the same program runs without the archive too,
//! and must say the same.

use crate::library::library;
use allod_checks::child::{self, End, Output};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Links a program; `None` without a compiler.
fn link(compiler: &str, source: &str, name: &str, more: &[&str]) -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs").join(source);
    let mut command = Command::new(compiler);
    command.args(["-O1", "-w", "-o"]).arg(&program).arg(source).args(more);
    let output = child::run(&mut command, Duration::from_secs(300)).ok()?;
    assert_eq!(output.end, End::Exit(0), "{}", output.stderr);
    Some(program)
}

/// Runs a program to its end, with an option that only Allod has something to say about.
fn run(program: &Path) -> Output {
    let mut command = Command::new(program);
    command.env_remove("LD_PRELOAD").env("ALLOD_CONF", "no_such_option:1");
    let output = child::run(&mut command, Duration::from_secs(60)).expect("it starts");
    assert_eq!(output.end, End::Exit(0), "{}{}", output.stdout, output.stderr);
    output
}

/// Requires that it is ours who serve.
fn is_served(output: &Output) {
    assert!(output.stderr.contains("no_such_option"), "said {:?}", output.stderr);
}

/// Requires that a program kept so many promises and broke none.
fn keeps(output: &Output, promises: usize) {
    assert_eq!(output.stdout.lines().count(), promises, "{}", output.stdout);
    let all_well = output.stdout.lines().all(|line| line.ends_with(" ok"));
    assert!(all_well, "{}{}", output.stdout, output.stderr);
}

fn throws(name: &str, more: &[&str]) {
    let archive = library().with_extension("a");
    let archive = archive.to_str().expect("a plain path");
    let words = [&["-std=c++17", archive], more].concat();
    let Some(program) = link("g++", "throw.cpp", name, &words) else {
        println!("SKIP: no g++");
        return;
    };
    let output = run(&program);
    keeps(&output, 17);
    is_served(&output);
}

#[test]
fn a_program_has_the_archive_inside() {
    throws("with-archive", &[]);
}

/// The linker takes from a static C++ library what somebody wants for certain,
/// and we want the thrower only if it is there. So it must be told.
#[test]
fn a_static_program_has_the_archive_inside() {
    let wanted = "-Wl,-u,_ZSt17__throw_bad_allocv,-u,_ZSt15get_new_handlerv";
    throws("with-archive-static", &["-static", wanted]);
}

/// What the program that loads libraries says without the archive and with it.
fn opens(name: &str, more: &[&str]) -> Option<[Output; 2]> {
    let archive = library().with_extension("a");
    let archive = archive.to_str().expect("a plain path");
    let plain = link("gcc", "opens.c", name, &[more, &["-ldl"]].concat())?;
    let words = [more, &[archive, "-ldl"]].concat();
    let ours = link("gcc", "opens.c", &format!("{name}-with-archive"), &words)?;
    let [plain, ours] = [plain, ours].map(|program| run(&program));
    is_served(&ours);
    Some([plain, ours])
}

#[test]
fn a_program_with_the_archive_loads_libraries() {
    let Some([_, ours]) = opens("opens", &[]) else {
        println!("SKIP: no gcc");
        return;
    };
    keeps(&ours, 4);
}

#[test]
fn a_static_program_with_the_archive_loads_libraries() {
    let Some([plain, ours]) = opens("opens-static", &["-static"]) else {
        println!("SKIP: no gcc");
        return;
    };
    assert_eq!(ours.stdout, plain.stdout, "{}", ours.stderr);
    if plain.stdout.contains("WRONG") {
        println!("SKIP: static programs load nothing here: {}", plain.stderr);
        return;
    }
    keeps(&ours, 4);
}
