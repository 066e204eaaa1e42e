//! Which `liballod.so` to use.
//!
//! The first of these that is there:
//!
//! 1. what `--library` names;
//! 2. `liballod.so` in the directory of the command, which is where a build of
//!    the workspace leaves both;
//! 3. `../lib/liballod.so` as seen from there, which is where a package puts it;
//! 4. the copy inside the command ([`carried`]), written to a file of its own.
//!
//! The library goes to the loader by its name in `LD_PRELOAD`, a list that is
//! separated by blanks and colons. So a path with one of these cannot be used.

use std::env;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::program::{Elf, MARKER, Machine, Search};

mod carried;

/// The name of the file, wherever it lies.
const NAME: &str = "liballod.so";
/// Longest version that is looked for behind the marker.
const VERSION_LENGTH: usize = 64;

/// Where a library comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Given,
    Beside,
    Carried,
}

impl Origin {
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Given => "as chosen by --library",
            Self::Beside => "found beside the command",
            Self::Carried => "carried by the command",
        }
    }
}

/// A library that is there and can be named to the loader.
pub(crate) struct Library {
    pub(crate) path: PathBuf,
    pub(crate) origin: Origin,
    pub(crate) machine: Machine,
    /// What the library says of itself.
    pub(crate) version: Option<String>,
    /// For a library that has no file: holds the name in `/proc` alive.
    in_memory: Option<File>,
}

impl Library {
    /// Finds the library, and puts the carried one in place if it is that.
    pub(crate) fn find(given: Option<&Path>) -> Result<Self, Failure> {
        if let Some(path) = given {
            return Self::given(path);
        }
        if let Some(path) = beside().filter(|path| can_be_named(path)) {
            return Self::open(path, Origin::Beside);
        }
        let Some(carried) = carried::LIBRARY else {
            return Err(Failure::ours(
                "no liballod.so: there is none beside the command, and this command was \
                 built without one inside; --library PATH names one",
            ));
        };
        let place = carried
            .put(can_be_named)
            .map_err(|error| Failure::ours(format!("cannot put the library in place: {error}")))?;
        let library = Self::open(place.path, Origin::Carried)?;
        let version = Some(carried.version.to_owned());
        Ok(Self { version, in_memory: place.in_memory, ..library })
    }

    fn given(path: &Path) -> Result<Self, Failure> {
        let absolute = fs::canonicalize(path)
            .map_err(|error| Failure::ours(format!("the library {}: {error}", path.display())))?;
        if !can_be_named(&absolute) {
            return Err(Failure::ours(format!(
                "the library {}: LD_PRELOAD cannot name a path with a blank, a colon or a \
                 dollar sign in it",
                absolute.display()
            )));
        }
        Self::open(absolute, Origin::Given)
    }

    fn open(path: PathBuf, origin: Origin) -> Result<Self, Failure> {
        let refuse = |reason: &dyn std::fmt::Display| {
            Failure::ours(format!("the library {}: {reason}", path.display()))
        };
        let file = File::open(&path).map_err(|error| refuse(&error))?;
        let elf = Elf::read(&file).filter(|elf| elf.is_shared && elf.interpreter.is_none());
        let Some(elf) = elf else { return Err(refuse(&"not a shared library")) };
        if is_on_noexec(&path) {
            return Err(refuse(&"its file system is mounted noexec, so it cannot be loaded"));
        }
        let version = version(&file);
        Ok(Self { path, origin, machine: elf.machine, version, in_memory: None })
    }

    /// A library that nobody loads.
    #[cfg(test)]
    pub(crate) fn for_tests(origin: Origin, machine: Machine) -> Self {
        let version = Some("1.2.3".into());
        Self { path: "/lib/liballod.so".into(), origin, machine, version, in_memory: None }
    }

    /// Whether the library stays when the command ends.
    pub(crate) fn is_lasting(&self) -> bool {
        self.in_memory.is_none()
    }
}

/// The library that lies where the command lies.
fn beside() -> Option<PathBuf> {
    let command = env::current_exe().ok()?;
    let directory = command.parent()?;
    let places = [directory.join(NAME), directory.parent()?.join("lib").join(NAME)];
    places.into_iter().find(|place| place.is_file())
}

fn can_be_named(path: &Path) -> bool {
    // The loader replaces words that start with a dollar sign.
    let splits = |byte: &u8| matches!(byte, b' ' | b':' | b'$');
    !path.as_os_str().as_bytes().iter().any(splits)
}

fn is_on_noexec(path: &Path) -> bool {
    use nix::sys::statvfs::{FsFlags, statvfs};
    statvfs(path).is_ok_and(|stat| stat.flags().contains(FsFlags::ST_NOEXEC))
}

/// The version that a library carries behind the marker.
fn version(library: &File) -> Option<String> {
    let bytes = Search::new(MARKER).after(library, VERSION_LENGTH)?;
    let text = bytes.split(|&byte| byte == 0).next()?;
    let is_version = text.first().is_some_and(u8::is_ascii_digit)
        && text.iter().all(|byte| byte.is_ascii_graphic());
    is_version.then(|| String::from_utf8_lossy(text).into_owned())
}
