//! Programs that are linked with `liballod.a`, with and without a loader.
//!
//! The program is the one that `probe` runs for its row `operators-throw`: it
//! allocates, frees, and fails to allocate in every way that C++ has.

use crate::library::library;
use allod_checks::child::{self, End};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Links the program with the archive; `None` without a compiler.
fn link(name: &str, more: &[&str]) -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/throw.cpp");
    let mut compiler = Command::new("g++");
    compiler.args(["-std=c++17", "-O1", "-w"]).arg(source).arg(library().with_extension("a"));
    compiler.args(more).arg("-o").arg(&program);
    let output = child::run(&mut compiler, Duration::from_secs(300)).ok()?;
    assert_eq!(output.end, End::Exit(0), "{}", output.stderr);
    Some(program)
}

/// Runs it, and requires that it is ours who serve and that all goes well.
fn run(program: Option<PathBuf>) {
    let Some(program) = program else {
        println!("SKIP: no g++");
        return;
    };
    let mut command = Command::new(program);
    // Only Allod has something to say about this.
    command.env_remove("LD_PRELOAD").env("ALLOD_CONF", "no_such_option:1");
    let output = child::run(&mut command, Duration::from_secs(60)).expect("it starts");
    assert_eq!(output.end, End::Exit(0), "{}{}", output.stdout, output.stderr);
    assert_eq!(output.stdout.lines().count(), 17, "{}", output.stdout);
    assert!(output.stdout.lines().all(|line| line.ends_with(" ok")), "{}", output.stdout);
    assert!(output.stderr.contains("no_such_option"), "said {:?}", output.stderr);
}

#[test]
fn a_program_has_the_archive_inside() {
    run(link("with-archive", &[]));
}

/// The linker takes from a static C++ library what somebody wants for certain,
/// and we want the thrower only if it is there. So it must be told.
#[test]
fn a_static_program_has_the_archive_inside() {
    let wanted = "-Wl,-u,_ZSt17__throw_bad_allocv,-u,_ZSt15get_new_handlerv";
    run(link("with-archive-static", &["-static", wanted]));
}
