//! Finding the program, and saying beforehand why it cannot run on Allod.
//!
//! The loader drops a library that does not fit with one line on stderr, or
//! with none, and the program then runs without it. So we look first, and
//! refuse in words. What is refused:
//!
//! * a file that is missing, is a directory, may not be executed, or has no
//!   format that we know;
//! * a program for another kind of machine than the library is for;
//! * a program that is statically linked, which no library can be loaded into,
//!   unless it has Allod inside ([`MARKER`]);
//! * a program that is linked against musl, because the library is for glibc;
//! * a program that gains rights when it starts (set-user-ID, set-group-ID, file
//!   capabilities), for which the loader ignores `LD_PRELOAD`.
//!
//! A script is judged by its interpreter, as often as it takes.
//!
//! This looks at the program itself and at nothing that it starts: the children
//! of a program that runs well may still be static. They run, and do not report.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};

use crate::failure::Failure;

mod elf;
mod rights;

pub(crate) use elf::{Elf, Machine, Search};

/// What the crate `allod` leaves in every program that has it inside. The
/// version follows, up to the next zero.
pub(crate) const MARKER: &[u8] = b"allod-inside\0";

/// How often an interpreter may itself be a script. The kernel's own limit.
const SCRIPT_DEPTH: usize = 5;
/// As much of a script's first line as the kernel reads.
const FIRST_LINE: u64 = 255;
/// What runs a file that has no format at all, as `execvp` does it.
const SHELL: &str = "/bin/sh";

/// Finds a program the way `execvp` does: a name with a slash is a path, any
/// other is looked for in `PATH`.
pub(crate) fn find(name: &OsStr) -> Result<PathBuf, Failure> {
    if name.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(name));
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    // A file that is there and may not be executed is remembered: if nothing
    // better follows, it is the better explanation.
    let mut refused = None;
    for directory in path.as_bytes().split(|&byte| byte == b':') {
        let directory = if directory.is_empty() { b"." } else { directory };
        let candidate = Path::new(OsStr::from_bytes(directory)).join(name);
        match fs::metadata(&candidate) {
            Ok(file) if file.is_file() && may_execute(&candidate) => return Ok(candidate),
            Ok(_) => _ = refused.get_or_insert(candidate),
            Err(_) => {}
        }
    }
    refused
        .filter(|_| !name.is_empty())
        .ok_or_else(|| Failure::not_found(format!("{}: not found in PATH", name.display())))
}

/// Looks whether the program at `path` can run on a library for `machine`.
pub(crate) fn inspect(path: &Path, machine: Machine) -> Result<(), Failure> {
    let mut path = path.to_owned();
    // Who asks for the file, once it is an interpreter.
    let mut asked = String::new();
    for _ in 0..=SCRIPT_DEPTH {
        let metadata = look_at(&path, &asked)?;
        let Ok(mut file) = File::open(&path) else {
            // Executable and not readable is allowed, and then is not our business.
            return Ok(());
        };
        let next = match Format::of(&mut file) {
            Ok(Format::Elf) => return judge(&path, &asked, &file, &metadata, machine),
            Ok(Format::Script(interpreter)) => interpreter,
            Ok(Format::Text) => PathBuf::from(SHELL),
            Ok(Format::Unknown) => {
                return Err(Failure::cannot_execute(format!(
                    "{asked}{}: not a program: neither ELF nor a script",
                    path.display()
                )));
            }
            Err(error) => {
                return Err(Failure::cannot_execute(format!("{}: {error}", path.display())));
            }
        };
        asked = format!("{asked}{}: its interpreter ", path.display());
        path = next;
    }
    Err(Failure::cannot_execute(format!("{asked}is one script too many")))
}

/// Looks at the file from outside.
fn look_at(path: &Path, asked: &str) -> Result<Metadata, Failure> {
    let name = path.display();
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::not_found(format!("{asked}{name}: no such file")),
        io::ErrorKind::NotADirectory => {
            Failure::not_found(format!("{asked}{name}: part of the path is not a directory"))
        }
        _ => Failure::cannot_execute(format!("{asked}{name}: {error}")),
    })?;
    let reason = if metadata.is_dir() {
        "is a directory"
    } else if !metadata.is_file() {
        "is not a regular file"
    } else if !may_execute(path) {
        "may not be executed (no permission; `chmod +x` gives it)"
    } else {
        return Ok(metadata);
    };
    Err(Failure::cannot_execute(format!("{asked}{name}: {reason}")))
}

fn may_execute(path: &Path) -> bool {
    faccessat(AT_FDCWD, path, AccessFlags::X_OK, AtFlags::AT_EACCESS).is_ok()
}

/// What a file is, by its first bytes.
enum Format {
    Elf,
    /// With the interpreter that it names.
    Script(PathBuf),
    /// A script that names none.
    Text,
    Unknown,
}

impl Format {
    fn of(file: &mut File) -> io::Result<Self> {
        let mut start = Vec::new();
        file.take(FIRST_LINE).read_to_end(&mut start)?;
        if start.starts_with(b"\x7fELF") {
            return Ok(Self::Elf);
        }
        let line = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
        if let Some(line) = line.strip_prefix(b"#!") {
            let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
            let mut words = line.split(blank).filter(|word| !word.is_empty());
            if let Some(interpreter) = words.next() {
                return Ok(Self::Script(PathBuf::from(OsStr::from_bytes(interpreter))));
            }
        }
        // A shell refuses a file with a zero in its first line for the same reason.
        Ok(if line.contains(&0) { Self::Unknown } else { Self::Text })
    }
}

/// Looks at an ELF file from inside.
fn judge(
    path: &Path,
    asked: &str,
    file: &File,
    metadata: &Metadata,
    machine: Machine,
) -> Result<(), Failure> {
    let refuse =
        |reason: &str| Err(Failure::cannot_execute(format!("{asked}{}: {reason}", path.display())));
    let Some(elf) = Elf::read(file) else {
        return refuse("a damaged program: its ELF headers make no sense");
    };
    if elf.machine != machine {
        return refuse(&format!(
            "a program for {}, and Allod's library is for {machine}",
            elf.machine
        ));
    }
    if !elf.is_executable {
        return refuse("an ELF file, but not a program");
    }
    let Some(interpreter) = &elf.interpreter else {
        // The loader itself can be run as a program, and honours LD_PRELOAD.
        let is_loader = path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"ld"));
        if (is_loader && elf.is_shared) || Search::new(MARKER).is_in(file) {
            return Ok(());
        }
        return refuse(
            "a statically linked program: it has its allocator inside, and no library \
             can be loaded into it",
        );
    };
    if interpreter.file_name().is_some_and(|name| name.as_bytes().starts_with(b"ld-musl")) {
        return refuse(
            "a program linked against musl, and Allod's library is for glibc: the two \
             do not fit in one process",
        );
    }
    if !interpreter.exists() {
        return Err(Failure::not_found(format!(
            "{asked}{}: its loader {} is not there",
            path.display(),
            interpreter.display()
        )));
    }
    if let Some(gain) = rights::gained(path, metadata) {
        return refuse(&format!(
            "{gain}, and for such a program the loader ignores LD_PRELOAD; \
             a copy of the file has no such rights and can run on Allod"
        ));
    }
    Ok(())
}
