//! The library that the command carries, and how it becomes a file.
//!
//! The loader wants a path, and the path must hold as long as the program and
//! its children may start others, which can be longer than we live. So the
//! bytes go to a file in the user's cache directory, once for each version of
//! the library:
//!
//! ```text
//!   $XDG_CACHE_HOME/allod/liballod-<version>-<hash>.so      or else
//!   ~/.cache/allod/liballod-<version>-<hash>.so             or else
//!   /proc/<our pid>/fd/<n>, a file in memory
//! ```
//!
//! The loader runs what is in that file inside every program, so it must be
//! ours. The directory and the file belong to the user that we act for, nobody
//! else may write to them, and before each use the file is compared with the
//! carried bytes from end to end. Anything that is not as it should be is
//! replaced. A new file gets its name only when it is complete, so two commands
//! that do this at once do not see half of each other's work.
//!
//! The file in memory is the last resort, for users without a home. It goes
//! when the command goes: programs that are started later, by a child that was
//! left behind, then run without the library.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::geteuid;

/// A library that is not a file yet.
pub(super) struct Carried {
    bytes: &'static [u8],
    pub(super) version: &'static str,
    /// The version is in it for people; a hash keeps builds of one version apart.
    file_name: &'static str,
}

/// What the build script put in, if anything.
#[cfg(allod_carries)]
pub(super) const LIBRARY: Option<Carried> = Some(Carried {
    bytes: include_bytes!(env!("ALLOD_CARRIED")),
    version: env!("ALLOD_CARRIED_VERSION"),
    file_name: concat!(
        "liballod-",
        env!("ALLOD_CARRIED_VERSION"),
        "-",
        env!("ALLOD_CARRIED_HASH"),
        ".so"
    ),
});
#[cfg(not(allod_carries))]
pub(super) const LIBRARY: Option<Carried> = None;

/// Where the library was put.
pub(super) struct Place {
    pub(super) path: PathBuf,
    /// Set if there is no file: the path holds as long as this is open.
    pub(super) in_memory: Option<File>,
}

impl Carried {
    /// Makes it a file that the loader can use. `fits` says which paths it can.
    pub(super) fn put(&self, fits: fn(&Path) -> bool) -> io::Result<Place> {
        for cache in caches() {
            let directory = cache.join("allod");
            if fits(&directory)
                && let Ok(path) = put_in(&directory, self.file_name, self.bytes)
            {
                return Ok(Place { path, in_memory: None });
            }
        }
        put_in_memory(self.bytes)
    }
}

/// The directories that a user's cached files go to, best first.
fn caches() -> impl Iterator<Item = PathBuf> {
    let directory = |name: &str| env::var_os(name).map(PathBuf::from);
    let places = [directory("XDG_CACHE_HOME"), directory("HOME").map(|home| home.join(".cache"))];
    // A relative path would mean another place in every directory.
    places.into_iter().flatten().filter(|place| place.is_absolute())
}

fn put_in(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    if !is_ours(&fs::symlink_metadata(directory)?) || super::is_on_noexec(directory) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let path = directory.join(name);
    if !holds(&path, bytes) {
        write(&path, bytes)?;
    }
    Ok(path)
}

/// Whether nobody but us can have written this.
fn is_ours(metadata: &fs::Metadata) -> bool {
    let writable_by_others = libc::S_IWGRP | libc::S_IWOTH;
    metadata.uid() == geteuid().as_raw() && metadata.mode() & writable_by_others == 0
}

/// Whether the file at `path` is ours, and is the library.
fn holds(path: &Path, bytes: &[u8]) -> bool {
    let look = || -> io::Result<bool> {
        // Not through a link, which may point to what will be something else.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || !is_ours(&metadata) || metadata.len() != bytes.len() as u64 {
            return Ok(false);
        }
        let mut there = Vec::with_capacity(bytes.len());
        file.read_to_end(&mut there)?;
        Ok(there == bytes)
    };
    look().unwrap_or(false)
}

/// Writes the file beside its place, and then puts it there in one step.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or(OsStr::new("library"));
    let draft = path.with_file_name(format!(".{}.{}", name.display(), process::id()));
    // Left behind by a killed command that had our number.
    _ = fs::remove_file(&draft);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o700);
    let written = options.open(&draft).and_then(|mut file| {
        file.write_all(bytes)?;
        file.set_permissions(fs::Permissions::from_mode(0o755))?;
        fs::rename(&draft, path)
    });
    if written.is_err() {
        _ = fs::remove_file(&draft);
    }
    written
}

fn put_in_memory(bytes: &[u8]) -> io::Result<Place> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create("liballod.so", flags)?);
    file.write_all(bytes)?;
    let all = SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(all))?;
    let path = PathBuf::from(format!("/proc/{}/fd/{}", process::id(), file.as_raw_fd()));
    fs::metadata(&path)?;
    Ok(Place { path, in_memory: Some(file) })
}

#[cfg(test)]
mod tests;
