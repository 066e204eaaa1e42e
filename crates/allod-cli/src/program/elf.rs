//! The little that we ask of an ELF file.
//!
//! Which machine it is for, whether it is a program, and who loads it; and, for
//! a file of any kind, whether certain bytes are in it. Only the headers are
//! read, and for a search the file once from end to end.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use memchr::memmem::Finder;
use object::elf;
use object::read::ReadCache;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, FileKind, ReadRef};

/// The kind of machine that a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    bits: u8,
    big_endian: bool,
    number: elf::Machine,
}

/// What we know of an ELF file.
#[derive(Debug)]
pub(crate) struct Elf {
    pub(crate) machine: Machine,
    /// A program or a shared object, and not a part of one or a core file.
    pub(crate) is_executable: bool,
    /// May be loaded anywhere: a shared object, or a program built that way.
    pub(crate) is_shared: bool,
    /// The loader that it asks for. Statically linked programs ask for none.
    pub(crate) interpreter: Option<PathBuf>,
}

impl Elf {
    /// Nothing if the file is no ELF file, or one that is damaged.
    pub(crate) fn read(file: &File) -> Option<Self> {
        let mut file = file;
        file.seek(SeekFrom::Start(0)).ok()?;
        let cache = ReadCache::new(file);
        match FileKind::parse(&cache).ok()? {
            FileKind::Elf32 => Self::parse::<elf::FileHeader32<Endianness>, _>(32, &cache),
            FileKind::Elf64 => Self::parse::<elf::FileHeader64<Endianness>, _>(64, &cache),
            _ => None,
        }
    }

    fn parse<'data, H, R>(bits: u8, data: R) -> Option<Self>
    where
        H: FileHeader<Endian = Endianness>,
        R: ReadRef<'data>,
    {
        let header = H::parse(data).ok()?;
        let endian = header.endian().ok()?;
        let kind = header.e_type(endian);
        let mut interpreter = None;
        for segment in header.program_headers(endian, data).ok()? {
            if let Some(name) = segment.interpreter(endian, data).ok()? {
                interpreter = Some(Path::new(OsStr::from_bytes(name)).to_owned());
            }
        }
        Some(Self {
            machine: Machine {
                bits,
                big_endian: header.is_big_endian(),
                number: header.e_machine(endian),
            },
            is_executable: kind == elf::ET_EXEC || kind == elf::ET_DYN,
            is_shared: kind == elf::ET_DYN,
            interpreter,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match (self.number, self.bits) {
            (elf::EM_X86_64, 64) => "64-bit x86",
            (elf::EM_X86_64, _) => "x32",
            (elf::EM_386, _) => "32-bit x86",
            (elf::EM_AARCH64, _) => "64-bit ARM",
            (elf::EM_ARM, _) => "32-bit ARM",
            (elf::EM_RISCV, 64) => "64-bit RISC-V",
            (elf::EM_PPC64, _) => "64-bit PowerPC",
            (elf::EM_S390, _) => "IBM Z",
            (elf::EM_LOONGARCH, _) => "LoongArch",
            _ => return write!(out, "machine number {} ({} bit)", self.number.0, self.bits),
        };
        out.write_str(name)
    }
}

/// A search for bytes in files.
pub(crate) struct Search {
    finder: Finder<'static>,
}

impl Search {
    pub(crate) fn new(bytes: &'static [u8]) -> Self {
        Self { finder: Finder::new(bytes) }
    }

    pub(crate) fn is_in(&self, file: &File) -> bool {
        self.after(file, 0).is_some()
    }

    /// The bytes that follow the first find, at most `count` of them.
    pub(crate) fn after(&self, mut file: &File, count: usize) -> Option<Vec<u8>> {
        const WINDOW: usize = 1 << 20;
        file.seek(SeekFrom::Start(0)).ok()?;
        // A find may lie across two windows, so the end of one is kept for the next.
        let keep = self.finder.needle().len() + count;
        let mut window = Vec::with_capacity(WINDOW + keep);
        loop {
            let read = file.by_ref().take(WINDOW as u64).read_to_end(&mut window).ok()?;
            if let Some(at) = self.finder.find(&window) {
                let from = at + self.finder.needle().len();
                let available = window.len() - from;
                if available >= count || read == 0 {
                    return Some(window[from..from + count.min(available)].to_vec());
                }
            }
            if read == 0 {
                return None;
            }
            window.drain(..window.len().saturating_sub(keep));
        }
    }
}

#[cfg(test)]
mod tests;
