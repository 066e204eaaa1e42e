//! What cannot run on Allod is refused, with a reason and the right exit code.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use object::LittleEndian;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, ProgramHeader};

use crate::support::{actor, answer, clean, directory, errors, run, static_actor};

/// Runs it, and checks how it was refused.
#[track_caller]
fn refused(program: impl AsRef<Path>, code: i32, reason: &str) -> String {
    refused_by(run(&[]).arg(program.as_ref()), code, reason)
}

#[track_caller]
fn refused_by(command: &mut Command, code: i32, reason: &str) -> String {
    let output = command.output().expect("the command starts");
    let text = errors(&output);
    assert!(text.starts_with("allod: "), "{text}");
    assert!(text.contains(reason), "no {reason:?} in: {text}");
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.lines().count(), 1, "one line, and no summary: {text}");
    assert_eq!(answer(&output), "", "nothing was started");
    text
}

fn write(name: &str, bytes: &[u8], mode: u32) -> PathBuf {
    let path = directory().join(name);
    fs::write(&path, bytes).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("our own file");
    path
}

/// A copy of a program, changed.
fn changed(name: &str, program: &Path, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = fs::read(program).expect("the program");
    change(&mut bytes);
    write(name, &bytes, 0o755)
}

/// Puts another loader into a program.
fn with_loader(name: &str, loader: &str) -> PathBuf {
    changed(name, actor(), |bytes| {
        let header = FileHeader64::<LittleEndian>::parse(&bytes[..]).expect("an ELF file");
        let segments = header.program_headers(LittleEndian, &bytes[..]).expect("its segments");
        let mut places = segments.iter().filter_map(|segment| {
            segment.interpreter(LittleEndian, &bytes[..]).ok().flatten()?;
            let (from, length) = segment.file_range(LittleEndian);
            Some(from as usize..(from + length) as usize)
        });
        let place = places.next().expect("a loader");
        drop(places);
        assert!(loader.len() < place.len(), "the name fits");
        bytes[place.clone()].fill(0);
        bytes[place][..loader.len()].copy_from_slice(loader.as_bytes());
    })
}

#[test]
fn a_missing_file() {
    refused("/nonexistent/program", 127, "/nonexistent/program: no such file");
    refused("no-such-program-anywhere", 127, "no-such-program-anywhere: not found in PATH");
    refused("", 127, "not found in PATH");
    let under = actor().join("under");
    refused(under, 127, "part of the path is not a directory");
}

#[test]
fn a_directory() {
    refused("/", 126, "/: is a directory");
    refused("/dev/null", 126, "is not a regular file");
}

#[test]
fn a_file_that_may_not_be_executed() {
    refused(write("plain", b"#!/bin/sh\n", 0o644), 126, "may not be executed");
}

#[test]
fn a_format_that_nobody_knows() {
    refused(write("noise", b"MZ\0\x01\x02\x03", 0o755), 126, "neither ELF nor a script");
    refused(write("cut", b"\x7fELF", 0o755), 126, "a damaged program");
}

#[test]
fn the_search_is_that_of_execvp() {
    // One directory has a file that may not be executed, the other one that may.
    let (first, second) = (directory(), directory());
    let put = |directory: &Path, mode| {
        let path = directory.join("tool");
        fs::write(&path, "#!/bin/sh\necho found $0").expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("our own file");
    };
    put(&first, 0o644);
    let path = |list: &[&Path]| std::env::join_paths(list).expect("a list");
    let only = path(&[Path::new("/nonexistent"), &first]);
    refused_by(run(&[]).arg("tool").env("PATH", only), 126, "may not be executed");

    put(&second, 0o755);
    let both = path(&[&first, &second, Path::new("/usr/bin"), Path::new("/bin")]);
    let output = run(&["--quiet"]).arg("tool").env("PATH", both).output().expect("it starts");
    assert_eq!(answer(&output), format!("found {}/tool\n", second.display()));

    // An empty place in the list is the current directory.
    let mut command = run(&["--quiet"]);
    let output = command.arg("tool").env("PATH", ":/usr/bin:/bin").current_dir(&second).output();
    assert_eq!(answer(&output.expect("it starts")), "found ./tool\n");
}

#[test]
fn a_static_program() {
    assert_eq!(clean(Command::new(static_actor())).status().expect("it runs").code(), Some(0));
    refused(static_actor(), 126, "a statically linked program");
}

#[test]
fn the_loader_run_as_a_program_is_not_one() {
    let loader = "/lib64/ld-linux-x86-64.so.2";
    assert!(Path::new(loader).exists(), "this test is for x86-64");
    let mut command = run(&["--quiet"]);
    let output = command.arg(loader).arg(actor()).arg("exit=9").output().expect("it starts");
    assert_eq!(output.status.code(), Some(9), "{}", errors(&output));
}

#[test]
fn another_machine() {
    // e_machine is at 18, the class at 4, in both classes of file.
    let arm = changed("arm", actor(), |bytes| bytes[18] = 183);
    refused(&arm, 126, "a program for 64-bit ARM, and Allod's library is for 64-bit x86");
    let unknown = changed("unknown", actor(), |bytes| bytes[18..20].fill(0xee));
    refused(&unknown, 126, "a program for machine number 61166 (64 bit)");
    let mut small = vec![0; 52];
    small[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
    (small[16], small[18], small[20], small[40]) = (2, 3, 1, 52);
    refused(write("small", &small, 0o755), 126, "a program for 32-bit x86");
}

#[test]
fn an_elf_file_that_is_no_program() {
    let object = changed("object", actor(), |bytes| bytes[16] = 1);
    refused(object, 126, "an ELF file, but not a program");
}

#[test]
fn musl() {
    let musl = with_loader("musl", "/lib/ld-musl-x86_64.so.1");
    refused(musl, 126, "linked against musl");
}

#[test]
fn a_loader_that_is_not_there() {
    let program = with_loader("lost", "/lib64/ld-lost.so.9");
    refused(program, 127, "its loader /lib64/ld-lost.so.9 is not there");
}

#[test]
fn rights_that_are_gained() {
    let root = nix::unistd::geteuid().is_root();
    let program = if root {
        // Any other owner means a change of rights.
        let program = write("other", &fs::read(actor()).expect("the program"), 0o755);
        std::os::unix::fs::chown(&program, Some(1), Some(1)).expect("root may");
        refused_rights(&program, 0o2755, "runs with its group's rights (set-group-ID)");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).expect("root may");
        program
    } else {
        // Every system has one of these.
        let known = ["/usr/bin/su", "/bin/su", "/usr/bin/passwd", "/usr/bin/mount"];
        let found = known
            .iter()
            .map(PathBuf::from)
            .find(|program| program.metadata().is_ok_and(|file| file.mode() & 0o4001 == 0o4001));
        found.expect("a set-user-ID program")
    };
    refused(&program, 126, "runs with its owner's rights (set-user-ID)");

    // Our own rights are no gain.
    let own = write("own", &fs::read(actor()).expect("the program"), 0o6755);
    let output = run(&["--quiet"]).arg(&own).arg("exit=8").output().expect("it starts");
    assert_eq!(output.status.code(), Some(8), "{}", errors(&output));
}

fn refused_rights(program: &Path, mode: u32, reason: &str) {
    fs::set_permissions(program, fs::Permissions::from_mode(mode)).expect("root may");
    refused(program, 126, reason);
}

#[test]
fn a_script_is_judged_by_its_interpreter() {
    let script = |line: &str| write("script", format!("{line}\necho ran").as_bytes(), 0o755);
    refused(script("#!/nonexistent/sh"), 127, "its interpreter /nonexistent/sh: no such file");
    let by_static = script(&format!("#!{} -x", static_actor().display()));
    refused(by_static, 126, "a statically linked program");
    refused(script("#! /usr"), 126, "its interpreter /usr: is a directory");

    // Two scripts deep.
    let inner = script("#!/nonexistent/sh");
    let outer = script(&format!("#!{}", inner.display()));
    let text = refused(&outer, 127, "/nonexistent/sh: no such file");
    assert!(text.contains(&*outer.display().to_string()), "{text}");

    // A script that is its own interpreter.
    let path = directory().join("loop");
    fs::write(&path, format!("#!{}\n", path.display())).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own file");
    refused(&path, 126, "one script too many");
}

#[test]
fn scripts_run() {
    for first in ["#!/bin/sh\n", "#! \t/bin/sh -e\n", "#!/usr/bin/env sh\n", "", "\n"] {
        let script = write("script", format!("{first}echo ran $1").as_bytes(), 0o755);
        let output = run(&["--quiet"]).arg(&script).arg("well").output().expect("it starts");
        assert_eq!(answer(&output), "ran well\n", "{first:?}: {}", errors(&output));
    }
}

#[test]
fn a_library_that_cannot_be_used() {
    let with = |library: &Path, reason: &str| {
        let mut command = crate::support::allod();
        command.arg("run").arg("--library").arg(library).args(["--", "true"]);
        refused_by(&mut command, 125, reason);
    };
    with(Path::new("/nonexistent/liballod.so"), "No such file");
    with(&write("liballod.so", b"text", 0o755), "not a shared library");
    with(actor(), "not a shared library");
    let blank = directory().join("a directory");
    fs::create_dir(&blank).expect("a directory");
    let library = blank.join("liballod.so");
    fs::write(&library, "").expect("a file");
    with(&library, "LD_PRELOAD cannot name a path with a blank");
}

#[test]
fn a_library_for_another_machine() {
    let found = crate::support::allod().arg("where").output().expect("it starts");
    let library = answer(&found);
    let arm = changed("liballod.so", Path::new(library.trim_end()), |bytes| bytes[18] = 183);
    let mut command = crate::support::allod();
    command.arg("run").arg("--library").arg(arm).arg("--").arg(actor());
    refused_by(
        &mut command,
        126,
        "a program for 64-bit x86, and Allod's library is for 64-bit ARM",
    );
}
