//! A dump of a running process, without its help.
//!
//! The process shows where its tables lie ([`allod::dump::Root`]); this finds the
//! place by its magic, copies the tables out with `process_vm_readv`, and lays them
//! out as a file would have them, so that there is one reader for both. The process
//! is not stopped and notices nothing. What it changes meanwhile is read as it comes:
//! a site whose stack is not there yet is left out, as in a damaged file.
//!
//! The kernel lets one read what one may trace: processes of one's own, unless a
//! setting says otherwise (`/proc/sys/kernel/yama/ptrace_scope`).

use std::fmt;
use std::fs;
use std::io::{self, IoSliceMut};
use std::mem::offset_of;

use allod::dump::{
    HEADER_SIZE, Header, Kind, MAGIC, Module, ROOT_MAGIC, Reason, Root, TABLES, Table,
};
use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};

use super::{Dump, Mapping, Order, Reader, denied};

/// Bytes that are searched at once.
const STRIDE: usize = 1 << 20;
/// Most bytes that are searched in one process, and that one table may have.
const MOST: u64 = 1 << 30;

/// Why there is no dump of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Nobody has this number.
    NoProcess(u32),
    /// It has no allocator of ours, or one too old.
    NotAllod(u32),
    /// The kernel does not let us look: why.
    NotPermitted(u32, String),
    /// Something else went wrong.
    Other(u32, String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProcess(pid) => write!(out, "process {pid}: there is none with this number"),
            Self::NotAllod(pid) => write!(
                out,
                "process {pid}: it does not run on Allod, or has not allocated yet; \
                 start it with `allod run -- PROGRAM`"
            ),
            Self::NotPermitted(pid, why) => {
                write!(out, "process {pid}: not permitted to read its memory: {why}")
            }
            Self::Other(pid, why) => write!(out, "process {pid}: {why}"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Dump {
    /// Reads what a running process holds.
    ///
    /// # Errors
    ///
    /// When there is no such process, it is not on Allod, or may not be looked at.
    pub fn of_process(pid: u32) -> Result<Self, Refusal> {
        let process = Process::new(pid)?;
        let bytes = process.dump()?;
        Self::parse(&bytes).map_err(|error| Refusal::Other(pid, error.to_string()))
    }
}

struct Process {
    pid: u32,
    maps: Vec<Mapping>,
    /// The text that `maps` was read from.
    text: Vec<u8>,
    program: String,
}

impl Process {
    fn new(pid: u32) -> Result<Self, Refusal> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Refusal::NoProcess(pid),
            io::ErrorKind::PermissionDenied => Refusal::NotPermitted(pid, denied::why(pid)),
            // What `/proc` says of a process that ends while one looks.
            _ if error.raw_os_error() == Some(Errno::ESRCH as i32) => Refusal::NoProcess(pid),
            _ => Refusal::Other(pid, error.to_string()),
        };
        let text = fs::read(format!("/proc/{pid}/maps")).map_err(failed)?;
        let maps = Mapping::parse(&String::from_utf8_lossy(&text));
        let program = fs::read_link(format!("/proc/{pid}/exe")).map_err(failed)?;
        let program = program.to_string_lossy().into_owned();
        Ok(Self { pid, maps, text, program })
    }

    /// Copies memory. Less than asked for is an error.
    fn read(&self, address: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; length];
        let mut done = 0;
        while done < length {
            let base = usize::try_from(address).map_err(|_| Errno::EFAULT)?;
            let base = base.checked_add(done).ok_or(Errno::EFAULT)?;
            let remote = RemoteIoVec { base, len: length - done };
            let local = bytes.get_mut(done..).unwrap_or_default();
            let pid = Pid::from_raw(self.pid.cast_signed());
            match process_vm_readv(pid, &mut [IoSliceMut::new(local)], &[remote])? {
                0 => return Err(Errno::EFAULT),
                more => done += more,
            }
        }
        Ok(bytes)
    }

    /// The dump, as a file would have it.
    fn dump(&self) -> Result<Vec<u8>, Refusal> {
        let root = self.root()?;
        let mut out = root.header;
        put(&mut out, offset_of!(Header, reason), &(Reason::Demand as u32).to_ne_bytes());
        out.resize(HEADER_SIZE, 0);
        section(&mut out, Kind::Program as u32, 1, self.program.as_bytes());
        let command = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        section(&mut out, Kind::Command as u32, 1, &command);
        section(&mut out, Kind::Maps as u32, 1, &self.text);
        let mut tables = root.tables;
        // A site is written after its stack, so the stacks are read after the sites.
        tables.sort_by_key(|table| table.kind == Kind::Words as u32);
        for table in &tables {
            let length = u64::from(table.record).saturating_mul(table.count);
            if table.record == 0 || length > MOST {
                continue;
            }
            if let Ok(bytes) = self.read(table.address, length as usize) {
                section(&mut out, table.kind, table.record, &bytes);
            }
        }
        if !tables.iter().any(|table| table.kind == Kind::Modules as u32) {
            let size = size_of::<Module>() as u32;
            section(&mut out, Kind::Modules as u32, size, &self.modules());
        }
        Ok(out)
    }

    /// Finds the root, or says why not.
    fn root(&self) -> Result<Shown, Refusal> {
        let mut searched = 0;
        for (start, end) in self.places() {
            let mut at = start;
            while at < end && searched < MOST {
                let length = (end - at).min(STRIDE as u64);
                searched += length;
                match self.read(at, length as usize) {
                    Ok(bytes) => {
                        let lines = bytes.chunks_exact(align_of::<Root>());
                        for (i, line) in lines.enumerate() {
                            if line.starts_with(&ROOT_MAGIC.to_ne_bytes())
                                && let Some(shown) = self.shown(at + (i * line.len()) as u64)
                            {
                                return Ok(shown);
                            }
                        }
                    }
                    Err(Errno::ESRCH) => return Err(Refusal::NoProcess(self.pid)),
                    Err(Errno::EPERM) => {
                        return Err(Refusal::NotPermitted(self.pid, denied::why(self.pid)));
                    }
                    // A part of the mapping that has nothing behind it.
                    Err(_) => {}
                }
                at += length;
            }
        }
        Err(Refusal::NotAllod(self.pid))
    }

    /// Where a root can lie: the writable data of files, likely ones first. The
    /// part that starts as zeros is a mapping without a name behind the others.
    fn places(&self) -> Vec<(u64, u64)> {
        let mut places: Vec<(u32, (u64, u64))> = Vec::new();
        let mut before: Option<(&Mapping, u32)> = None;
        for mapping in &self.maps {
            let rank = if mapping.is_file() {
                let file = mapping.file();
                let name = file.rsplit('/').next().unwrap_or_default();
                Some(match () {
                    () if mapping.path == self.program => 0,
                    () if name.contains("allod") => 1,
                    () => 2,
                })
            } else {
                let touches = |(last, rank): (&Mapping, u32)| {
                    (last.range.1 == mapping.range.0).then_some(rank)
                };
                before.filter(|_| mapping.path.is_empty()).and_then(touches)
            };
            before = rank.map(|rank| (mapping, rank));
            if let Some(rank) = rank.filter(|_| mapping.is_writable()) {
                places.push((rank, mapping.range));
            }
        }
        places.sort_by_key(|place| place.0);
        places.into_iter().map(|place| place.1).collect()
    }

    /// What the root at an address shows, if it is one: its header must be one too.
    fn shown(&self, address: u64) -> Option<Shown> {
        let bytes = self.read(address, size_of::<Root>()).ok()?;
        let root = Reader { bytes: &bytes, order: Order::Ours };
        let header = self.read(root.at(offset_of!(Root, header)), size_of::<Header>()).ok()?;
        header.starts_with(&MAGIC.to_ne_bytes()).then_some(())?;
        let first = offset_of!(Root, tables);
        let tables = (0..TABLES).map(|i| {
            let start = first + i * size_of::<Table>();
            Shelf {
                kind: root.at(start + offset_of!(Table, kind)),
                record: root.at(start + offset_of!(Table, record)),
                address: root.at(start + offset_of!(Table, address)),
                count: root.at(start + offset_of!(Table, count)),
            }
        });
        let tables = tables.take_while(|table| table.kind != 0).collect();
        Some(Shown { header, tables })
    }

    /// Module records, from the mappings and the headers that are mapped with them.
    fn modules(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for whole in files(&self.maps) {
            let found = self.head(whole.range.0).unwrap_or_default();
            let bias = whole.range.0.wrapping_sub(found.first);
            let name = whole.file().rsplit('/').next().unwrap_or_default();
            let id = &found.build_id;
            let mut record = vec![0; size_of::<Module>()];
            put(&mut record, offset_of!(Module, start), &whole.range.0.to_ne_bytes());
            put(&mut record, offset_of!(Module, end), &whole.range.1.to_ne_bytes());
            put(&mut record, offset_of!(Module, bias), &bias.to_ne_bytes());
            put(&mut record, offset_of!(Module, build_id_len), &(id.len() as u32).to_ne_bytes());
            let is_ours = u32::from(name.starts_with("liballod"));
            put(&mut record, offset_of!(Module, is_allod), &is_ours.to_ne_bytes());
            put(&mut record, offset_of!(Module, build_id), id);
            out.extend_from_slice(&record);
        }
        out
    }

    /// What the ELF header at the start of a file's first mapping says.
    fn head(&self, address: u64) -> Option<Head> {
        // The program headers follow the header in all that linkers write.
        let bytes = self.read(address, 4096).ok()?;
        let head = elf::FileHeader64::<object::Endianness>::parse(&*bytes).ok()?;
        let endian = head.endian().ok()?;
        let segments = head.program_headers(endian, &*bytes).ok()?;
        let loads = segments.iter().filter(|it| it.p_type(endian) == elf::PT_LOAD);
        // The loader rounds the first address down to a page, and so do the mappings.
        let first = loads.map(|it| it.p_vaddr(endian)).min()? & !0xfff;
        let bias = address.wrapping_sub(first);
        let notes = segments.iter().filter(|it| it.p_type(endian) == elf::PT_NOTE);
        let build_id = notes.filter_map(|note| {
            let length = note.p_memsz(endian).min(4096) as usize;
            let bytes = self.read(bias.wrapping_add(note.p_vaddr(endian)), length).ok()?;
            build_id(&bytes, note.p_align(endian))
        });
        Some(Head { first, build_id: build_id.into_iter().next().unwrap_or_default() })
    }
}

/// The number that identifies a file, out of its notes. At most 32 bytes.
fn build_id(notes: &[u8], align: u64) -> Option<Vec<u8>> {
    use object::Endianness;
    use object::read::elf::NoteIterator;
    let endian = Endianness::default();
    let mut notes =
        NoteIterator::<elf::FileHeader64<Endianness>>::new(endian, align, notes).ok()?;
    while let Ok(Some(note)) = notes.next() {
        if note.name() == b"GNU" && note.n_type(endian) == elf::NT_GNU_BUILD_ID {
            return note.desc().get(..note.desc().len().min(32)).map(<[u8]>::to_vec);
        }
    }
    None
}

/// The files that have code, each from its first mapping to its last.
pub(crate) fn files(maps: &[Mapping]) -> Vec<Mapping> {
    let mut found: Vec<(Mapping, bool)> = Vec::new();
    for mapping in maps.iter().filter(|it| it.is_file()) {
        // Mappings of one file that are one image lie in the order of the file.
        let joined = found.last_mut().filter(|(last, _)| {
            last.path == mapping.path && last.inode == mapping.inode && mapping.offset > 0
        });
        match joined {
            Some((last, code)) => {
                last.range.1 = mapping.range.1;
                *code |= mapping.is_code();
            }
            None => found.push((mapping.clone(), mapping.is_code())),
        }
    }
    found.into_iter().filter(|(_, code)| *code).map(|(mapping, _)| mapping).collect()
}

#[derive(Default)]
struct Head {
    /// The file's own address of its first mapping.
    first: u64,
    build_id: Vec<u8>,
}

/// What a root shows.
struct Shown {
    header: Vec<u8>,
    tables: Vec<Shelf>,
}

/// A table of the root.
struct Shelf {
    kind: u32,
    record: u32,
    address: u64,
    count: u64,
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

fn section(out: &mut Vec<u8>, kind: u32, record: u32, bytes: &[u8]) {
    let count = bytes.len() as u64 / u64::from(record.max(1));
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&record.to_ne_bytes());
    out.extend_from_slice(&count.to_ne_bytes());
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(8), 0);
}
