//! The shared page, seen from the side that makes it and reads it.
//!
//! [`allod::page`] says what it looks like and who writes what. The command
//! makes the file, names it to the program, and reads it when the program has
//! ended, however it ended.
//!
//! The file lives in memory, under the name `/proc/<our pid>/fd/<n>`. That name
//! needs no directory, leaves nothing behind, and works for every descendant
//! that sees the same `/proc` and runs as the same user. It is sealed against
//! shrinking: a child that cuts a mapped file short would kill the reader.
//! Where the kernel has no such files, or no `/proc` is mounted, a file in
//! `$XDG_RUNTIME_DIR` or the directory for temporary files does the same, and
//! is removed when this value is dropped.
//!
//! # Invariants
//!
//! * M1. The mapping is [`SIZE`] bytes long, and starts at a page boundary.
//! * M2. `Header` and `Slot` are made of atomics only, so any bytes are a valid
//!   value, and other processes may write them while we read.

#![expect(unsafe_code, reason = "looks at mapped memory as the structures in it")]

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::Ordering;

use allod::page::{HEADER_SIZE, Header, MAGIC, SLOT_SIZE, Slot};
use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// How many process images a run can tell apart. A build of a large program
/// starts a few thousand; the file has holes, so unused slots cost nothing.
const SLOTS: u32 = 4096;
/// Bytes of the file.
const SIZE: usize = HEADER_SIZE + SLOTS as usize * SLOT_SIZE;

const _: () = assert!(HEADER_SIZE.is_multiple_of(align_of::<Slot>()), "slots are aligned");
const _: () = assert!(SLOT_SIZE.is_multiple_of(align_of::<Slot>()), "slots are aligned");

/// One run's page.
pub(crate) struct Page {
    map: MmapRaw,
    name: PathBuf,
    /// Holds the name in `/proc` alive.
    _file: File,
    /// Removed at the end; nothing for a file in memory.
    on_disk: bool,
}

impl Page {
    pub(crate) fn new() -> io::Result<Self> {
        Self::in_memory().or_else(|_| {
            let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
            let runtime = runtime.filter(|directory| directory.is_absolute());
            match runtime.map(|directory| Self::in_directory(&directory)) {
                Some(Ok(page)) => Ok(page),
                _ => Self::in_directory(&env::temp_dir()),
            }
        })
    }

    fn in_memory() -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = File::from(memfd_create("allod-page", flags)?);
        let name = PathBuf::from(format!("/proc/{}/fd/{}", process::id(), file.as_raw_fd()));
        // The name is no good without `/proc`, or if `/proc` is not ours.
        fs::metadata(&name)?;
        prepare(&file)?;
        fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW))?;
        Self::map(file, name, false)
    }

    fn in_directory(directory: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let mut attempt = 0_u32;
        let (file, name) = loop {
            let name = directory.join(format!("allod-page-{}-{attempt}", process::id()));
            match options.open(&name) {
                Ok(file) => break (file, name),
                // Left behind by a killed run with our number. Anybody can be in
                // the way in a shared directory, so this ends at some point.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => {
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        };
        let page = prepare(&file).and_then(|()| Self::map(file, name.clone(), true));
        if page.is_err() {
            _ = fs::remove_file(&name);
        }
        page
    }

    fn map(file: File, name: PathBuf, on_disk: bool) -> io::Result<Self> {
        let map = MmapOptions::new().len(SIZE).map_raw_read_only(&file)?;
        Ok(Self { map, name, _file: file, on_disk })
    }

    /// The name that other processes find the page by.
    pub(crate) fn name(&self) -> &Path {
        &self.name
    }

    fn header(&self) -> &Header {
        let header = self.map.as_ptr().cast::<Header>();
        // SAFETY: the header is at the start of the mapping, which is long
        // enough and aligned (M1), lives as long as `self`, and may be written
        // by others while we look (M2).
        unsafe { &*header }
    }

    /// Processes that found no free slot.
    pub(crate) fn turned_away(&self) -> u32 {
        self.header().turned_away()
    }

    /// The slots that were taken, in the order in which they were.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        // ORDERING: Relaxed, each slot says by its `pid` whether it is filled in.
        let taken = self.header().taken.load(Ordering::Relaxed).min(SLOTS) as usize;
        (0..taken).map(|i| {
            // SAFETY: `i` is below SLOTS, so the slot lies in the mapping (M1).
            let slot = unsafe { self.map.as_ptr().add(HEADER_SIZE + i * SLOT_SIZE) };
            // SAFETY: aligned, because the mapping is (M1), and the header and
            // the slots before are, by the assertions above. It lives as long
            // as `self`, and others may write it while we look (M2).
            unsafe { &*slot.cast::<Slot>() }
        })
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        if self.on_disk {
            _ = fs::remove_file(&self.name);
        }
    }
}

/// Gives the file its size and its header. Nobody else knows it yet.
fn prepare(file: &File) -> io::Result<()> {
    file.set_len(SIZE as u64)?;
    let put = |bytes: &[u8], field: usize| file.write_all_at(bytes, field as u64);
    put(&SLOTS.to_ne_bytes(), std::mem::offset_of!(Header, slots))?;
    put(&MAGIC.to_ne_bytes(), std::mem::offset_of!(Header, magic))
}

#[cfg(test)]
mod tests;
