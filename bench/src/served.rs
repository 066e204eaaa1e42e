//! Who served? The proof that the allocator under test was the one in use.
//!
//! `ld.so` drops a preloaded library that it cannot map and says nothing, and
//! then every test passes, on glibc. Two witnesses speak against that:
//!
//! * The probe (`bench/probe`), preloaded beside the allocator, writes down for
//!   each process which object its allocation functions come from. All seven
//!   must come from the expected one, in every process it saw.
//! * Allod's shared page ([`allod::page`]). Each process that has Allod inside
//!   takes a slot and counts there. The page must hold a slot for every process
//!   that the probe saw, and allocations for every command of the plan.
//!
//! A process that a program starts with an empty environment carries neither.
//! It is not seen, and its parent's answer is compared all the same.

use std::fs;
use std::mem::{offset_of, size_of};
use std::path::{Path, PathBuf};

use allod::page::{HEADER_SIZE, Header, MAGIC, SLOT_SIZE, Slot};
use anyhow::{Context as _, Result, bail, ensure};

/// The variable that tells the probe where to write.
pub(crate) const PROBE_ENV: &str = "ALLOD_BENCH_PROBE";
/// Slots of a page: more processes than any job starts.
const SLOTS: u32 = 4096;
/// Paths under which the loader knows glibc.
const GLIBC: &str = "libc.so.6";

/// Who must serve.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected<'a> {
    /// glibc itself.
    Glibc,
    /// This library.
    Library(&'a Path),
}

/// One line of the probe.
#[derive(Debug)]
struct Seen {
    pid: i32,
    program: String,
    origins: Vec<(String, String)>,
}

/// Checks the probe's file: each of `pids` is in it, and all it saw was served
/// by the expected object. Returns the pids of all processes seen.
pub(crate) fn check_probe(file: &Path, pids: &[i32], expected: Expected) -> Result<Vec<i32>> {
    let text = fs::read_to_string(file).context("the probe wrote nothing: it was not loaded")?;
    let seen = text.lines().map(parse).collect::<Result<Vec<_>>>()?;
    for pid in pids {
        ensure!(seen.iter().any(|seen| seen.pid == *pid), "process {pid} is unknown to the probe");
    }
    for process in &seen {
        for (function, origin) in &process.origins {
            let right = match expected {
                Expected::Glibc => Path::new(origin).ends_with(GLIBC),
                Expected::Library(library) => same_file(Path::new(origin), library),
            };
            if !right {
                bail!(
                    "{function} of {} (process {}) came from {origin}",
                    process.program,
                    process.pid
                );
            }
        }
    }
    Ok(seen.iter().map(|seen| seen.pid).collect())
}

/// Takes a line apart.
fn parse(line: &str) -> Result<Seen> {
    let mut fields = line.split('\t');
    let parsed = (|| {
        let pid = fields.next()?.parse().ok()?;
        let program = fields.next()?.to_string();
        let origins = fields
            .map(|field| field.split_once('=').map(|(name, from)| (name.into(), from.into())))
            .collect::<Option<Vec<_>>>()?;
        (!origins.is_empty()).then_some(Seen { pid, program, origins })
    })();
    parsed.with_context(|| format!("the probe wrote a line that nobody understands: {line}"))
}

/// Whether two paths lead to one file.
fn same_file(left: &Path, right: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    real(left).is_some_and(|left| real(right).is_some_and(|right| left == right))
}

/// A shared page of our own making.
#[derive(Debug)]
pub(crate) struct Page {
    /// Where it lies; the value of `ALLOD_PAGE`.
    pub(crate) path: PathBuf,
}

/// What a process said of itself in the page.
#[derive(Debug, PartialEq, Eq)]
struct Served {
    pid: u32,
    face: u32,
    allocations: u64,
}

impl Page {
    /// Makes the file: a header with free slots.
    pub(crate) fn create(path: PathBuf) -> Result<Page> {
        let mut bytes = vec![0u8; HEADER_SIZE + SLOTS as usize * SLOT_SIZE];
        put(&mut bytes, offset_of!(Header, magic), &MAGIC.to_ne_bytes());
        put(&mut bytes, offset_of!(Header, slots), &SLOTS.to_ne_bytes());
        fs::write(&path, bytes)?;
        Ok(Page { path })
    }

    /// Checks that each of `seen` took a slot, with the face `face`, and that
    /// each of `pids` allocated.
    pub(crate) fn check(&self, pids: &[i32], seen: &[i32], face: u32) -> Result<()> {
        let slots = self.read()?;
        let of = |pid: i32| slots.iter().filter(move |slot| i64::from(slot.pid) == i64::from(pid));
        for pid in seen.iter().chain(pids) {
            ensure!(
                of(*pid).any(|slot| slot.face == face),
                "process {pid} took no slot in the shared page: Allod was not inside"
            );
        }
        for pid in pids {
            ensure!(
                of(*pid).any(|slot| slot.allocations > 0),
                "process {pid} took a slot in the shared page and allocated nothing"
            );
        }
        Ok(())
    }

    /// The slots that are taken.
    fn read(&self) -> Result<Vec<Served>> {
        let bytes = fs::read(&self.path)?;
        let taken = u32_at(&bytes, offset_of!(Header, taken));
        ensure!(taken <= SLOTS, "the shared page turned {} processes away", taken - SLOTS);
        let slots = bytes[HEADER_SIZE..].chunks_exact(SLOT_SIZE).take(taken as usize);
        Ok(slots
            .map(|slot| Served {
                pid: u32_at(slot, offset_of!(Slot, pid)),
                face: u32_at(slot, offset_of!(Slot, face)),
                allocations: u64_at(slot, offset_of!(Slot, allocations)),
            })
            .collect())
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut raw = [0; size_of::<u32>()];
    raw.copy_from_slice(&bytes[at..at + size_of::<u32>()]);
    u32::from_ne_bytes(raw)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut raw = [0; size_of::<u64>()];
    raw.copy_from_slice(&bytes[at..at + size_of::<u64>()]);
    u64::from_ne_bytes(raw)
}

#[cfg(test)]
mod tests;
