//! Which library is used: the given one, the one beside the command, or the one
//! that it carries.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use object::{Object, ObjectSymbol};

use crate::support::{actor, allod, answer, clean, directory, errors, install, run};

/// What `allod where` says, which must be there.
fn place(command: &mut Command) -> PathBuf {
    place_by(command.arg("where"))
}

fn place_by(command: &mut Command) -> PathBuf {
    let output = command.output().expect("it starts");
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let path = PathBuf::from(answer(&output).trim_end());
    assert!(path.is_absolute() && path.is_file(), "{}", path.display());
    path
}

#[test]
fn the_carried_library_goes_to_the_cache() {
    let cache = directory();
    let first = place(allod().env("XDG_CACHE_HOME", &cache));
    assert_eq!(first.parent(), Some(cache.join("allod").as_path()));
    let name = first.file_name().expect("a name").to_str().expect("text");
    let version = env!("CARGO_PKG_VERSION");
    assert!(name.starts_with(&format!("liballod-{version}-")) && name.ends_with(".so"), "{name}");
    assert_eq!(fs::metadata(&first).expect("it is there").permissions().mode() & 0o777, 0o755);

    // It is used again, and mended when it is damaged.
    let bytes = fs::read(&first).expect("it is there");
    let number = fs::metadata(&first).expect("it is there").ino();
    assert_eq!(place(allod().env("XDG_CACHE_HOME", &cache)), first);
    assert_eq!(fs::metadata(&first).expect("it is there").ino(), number);
    fs::write(&first, b"damaged").expect("our own file");
    assert_eq!(place(allod().env("XDG_CACHE_HOME", &cache)), first);
    assert!(fs::read(&first).expect("it is there") == bytes, "the library is whole again");
}

#[test]
fn home_is_the_second_choice() {
    let home = directory();
    let path = place(allod().env_remove("XDG_CACHE_HOME").env("HOME", &home));
    assert!(path.starts_with(home.join(".cache/allod")), "{}", path.display());
    // A cache that the loader cannot name is passed over.
    let blank = home.join("a b");
    let path = place(allod().env("XDG_CACHE_HOME", blank).env("HOME", &home));
    assert!(path.starts_with(home.join(".cache/allod")), "{}", path.display());
}

#[test]
fn without_any_place_it_stays_in_memory() {
    let nowhere = |mut command: Command| {
        command.env("XDG_CACHE_HOME", "/proc/nonexistent").env("HOME", "/proc/nonexistent");
        command
    };
    let output = nowhere(allod()).arg("where").output().expect("it starts");
    assert_eq!(output.status.code(), Some(125));
    assert!(errors(&output).contains("no directory to put the library in"));

    let mut command = nowhere(allod());
    command.args(["run", "--no-profile", "--quiet", "--", "sh", "-c", "echo $LD_PRELOAD; exit 3"]);
    let output = command.output().expect("it starts");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(errors(&output), "", "the loader could load it");
    assert!(answer(&output).starts_with("/proc/"), "{}", answer(&output));
}

#[test]
fn a_library_beside_the_command_comes_first() {
    let carried = place(&mut allod());
    let root = directory();
    let (bin, lib) = (root.join("bin"), root.join("lib"));
    fs::create_dir(&bin).expect("a directory");
    fs::create_dir(&lib).expect("a directory");
    let command = install(&bin);
    let ask = || place(&mut clean(Command::new(&command)));
    assert_eq!(ask(), carried);
    fs::copy(&carried, lib.join("liballod.so")).expect("a copy");
    assert_eq!(ask(), lib.join("liballod.so"));
    fs::copy(&carried, bin.join("liballod.so")).expect("a copy");
    assert_eq!(ask(), bin.join("liballod.so"));
    // A link to the command leads to where the command is.
    let link = root.join("link");
    std::os::unix::fs::symlink(&command, &link).expect("a link");
    assert_eq!(place(&mut clean(Command::new(&link))), bin.join("liballod.so"));
    // And a given one comes before all.
    let mut given = clean(Command::new(&command));
    assert_eq!(place_by(given.args(["where", "--library"]).arg(&carried)), carried);
}

#[test]
fn the_version_says_which() {
    let output = allod().arg("--version").output().expect("it starts");
    let text = answer(&output);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(concat!("allod ", env!("CARGO_PKG_VERSION"))));
    let wanted = concat!("liballod ", env!("CARGO_PKG_VERSION"), ", carried by the command: /");
    assert!(lines.next().is_some_and(|line| line.starts_with(wanted)), "{text}");
    assert_eq!(answer(&allod().arg("-V").output().expect("it starts")), text);
}

#[test]
fn by_hand_it_works_without_the_command() {
    let library = place(&mut allod());
    let mut program = clean(Command::new(actor()));
    let output = program.arg("exit=3").env("LD_PRELOAD", &library).output().expect("it starts");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(errors(&output), "", "the loader has nothing to say");
}

#[test]
fn what_was_preloaded_before_comes_behind() {
    let libc = Path::new("/lib/x86_64-linux-gnu/libm.so.6");
    let libc = if libc.exists() { libc } else { Path::new("/lib64/libm.so.6") };
    let mut command = run(&["--quiet"]);
    command.env("LD_PRELOAD", libc).args(["sh", "-c", "echo $LD_PRELOAD"]);
    let output = command.output().expect("it starts");
    let list = answer(&output);
    let parts: Vec<&str> = list.trim_end().split(':').collect();
    assert_eq!(parts.len(), 2, "{list}");
    assert!(parts[0].contains("allod") && parts[0].ends_with(".so"), "{list}");
    assert_eq!(Path::new(parts[1]), libc);
}

#[test]
fn the_command_itself_keeps_its_own_malloc() {
    let bytes = fs::read(env!("CARGO_BIN_EXE_allod")).expect("the command");
    let file = object::File::parse(&bytes[..]).expect("an ELF file");
    let ours = ["malloc", "free", "calloc", "realloc", "posix_memalign", "aligned_alloc"];
    let symbols: Vec<_> = file.symbols().chain(file.dynamic_symbols()).collect();
    assert!(symbols.iter().any(|symbol| symbol.name() == Ok("main")), "the symbols are there");
    for symbol in symbols {
        let name = symbol.name().expect("a name");
        let taken = !symbol.is_undefined() && ours.contains(&name);
        assert!(!taken, "the command defines {name}");
    }
}
