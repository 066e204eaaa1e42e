//! What is known of a run: the slots of the shared page, put in order.
//!
//! A slot is what one allocator in one process image said. The report puts
//! slots together:
//!
//! ```text
//!   slots, as taken          images                   processes
//!   pid 7  sh     face 1     7: sh                    7: sh, then by exec server
//!   pid 8  cc1    face 1     8: cc1                   8: cc1
//!   pid 7  server face 1 \   7: server (two faces)
//!   pid 7  server face 2 /
//! ```
//!
//! * An image can have two slots: a Rust program with Allod inside, started with
//!   `liballod.so` for the C code in it. Their figures are added, but for the
//!   threads, which are the same.
//! * A process has more than one image if it called `exec`. The kernel gives a
//!   number back only when its process has ended, so a second image with the
//!   same number is a replaced one, unless the first said that it ended.
//!
//! [`Figures`] are what was said, and [`Composition`] is what follows from it.
//! The wording and the widths are in `summary.rs` and `json.rs`.

use std::ffi::OsString;
use std::ops::Add;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use allod::page::Slot;
use allod_profile::Profile;

use crate::launch::Outcome;
use crate::page::Page;
use crate::units::{Bytes, Count, Sign};

/// A run and all that is known of it.
pub(crate) struct Report {
    /// The program and its arguments, as the caller gave them.
    pub(crate) command: Vec<OsString>,
    pub(crate) outcome: Outcome,
    /// In the order in which they first reported.
    pub(crate) processes: Vec<Process>,
    /// Images that found the page full.
    pub(crate) turned_away: u32,
    /// Images that ended before they had filled in their slot.
    pub(crate) unfilled: u32,
    /// What the program's memory was made of, if a profile was taken.
    pub(crate) profile: Option<Profiled>,
    /// What else there is to say of profiles, a line each.
    pub(crate) remarks: Vec<String>,
}

/// The profile of the program.
pub(crate) struct Profiled {
    pub(crate) profile: Profile,
    /// Where it was written.
    pub(crate) path: Option<PathBuf>,
    /// Whether the summary is to list all that grows.
    pub(crate) leaks: bool,
}

/// One process, with the images that it ran one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    /// Never empty. The last one is what the process is, or was at its end.
    pub(crate) images: Vec<Image>,
}

/// One program that a process ran, from one `exec` to the next.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) name: String,
    /// How Allod was in it.
    pub(crate) faces: Vec<Face>,
    /// Whether it ended by `exit`, so that the figures are its last.
    pub(crate) ended: bool,
    pub(crate) page_size: Bytes,
    pub(crate) figures: Figures,
}

/// How Allod came to serve a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    /// `liballod.so` serves `malloc`.
    Library,
    /// A Rust program has it inside.
    Inside,
    /// A number that this command does not know.
    Other(u32),
}

/// The numbers of a slot. [`allod::page::Slot`] says what each one means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) threads: Count,
    pub(crate) peak_threads: Count,
    pub(crate) live: Bytes,
    pub(crate) peak_live: Bytes,
    pub(crate) allocations: Count,
    pub(crate) active: Bytes,
    pub(crate) peak_active: Bytes,
    pub(crate) resident: Bytes,
    pub(crate) peak_resident: Bytes,
    pub(crate) mapped: Bytes,
    pub(crate) retained: Bytes,
    pub(crate) metadata: Bytes,
    pub(crate) cached: Bytes,
    pub(crate) huge: Bytes,
    pub(crate) system_calls: Count,
    pub(crate) system_time: Duration,
    pub(crate) purged: Bytes,
    pub(crate) remote_frees: Count,
}

/// What the resident bytes are made of. The parts add up to them exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Composition {
    /// In blocks that the program holds.
    pub(crate) live: Bytes,
    /// In free blocks that lie in spans.
    pub(crate) free_in_spans: Bytes,
    /// In free blocks that threads keep at hand.
    pub(crate) free_in_caches: Bytes,
    /// In free slices that are kept for the next span.
    pub(crate) free_slices: Bytes,
    /// In Allod's own records.
    pub(crate) records: Bytes,
    /// What is missing from the sum, or too much in it: what was handed out and
    /// never touched has no memory behind it.
    pub(crate) rest: (Sign, Bytes),
}

impl Report {
    pub(crate) fn new(command: Vec<OsString>, outcome: Outcome, page: &Page) -> Self {
        let said: Vec<Option<Said>> = page.slots().map(Said::read).collect();
        let unfilled = said.iter().filter(|said| said.is_none()).count();
        Self {
            command,
            outcome,
            processes: gather(said.into_iter().flatten()),
            turned_away: page.turned_away(),
            unfilled: u32::try_from(unfilled).unwrap_or(u32::MAX),
            profile: None,
            remarks: Vec::new(),
        }
    }

    /// The process that was started, if it reported.
    pub(crate) fn program(&self) -> Option<&Process> {
        self.processes.iter().find(|process| process.pid == self.outcome.pid)
    }

    /// All processes taken together. The peaks are sums of peaks, so they are
    /// no less than what was in use at one moment.
    pub(crate) fn total(&self) -> Figures {
        let figures = self.processes.iter().map(Process::figures);
        figures.fold(Figures::default(), Add::add)
    }
}

impl Process {
    /// What the process is, or was at its end.
    pub(crate) fn last(&self) -> &Image {
        self.images.last().expect("a process is made with its first image")
    }

    /// All images of the process: peaks of the largest, levels of the last, and
    /// sums of what only grows.
    pub(crate) fn figures(&self) -> Figures {
        let images = self.images.iter().map(|image| image.figures);
        images.fold(Figures::default(), Figures::then)
    }
}

impl Figures {
    /// This image's figures, followed by those of the one that replaced it.
    fn then(self, next: Self) -> Self {
        Self {
            peak_threads: self.peak_threads.max(next.peak_threads),
            peak_live: self.peak_live.max(next.peak_live),
            peak_active: self.peak_active.max(next.peak_active),
            peak_resident: self.peak_resident.max(next.peak_resident),
            allocations: self.allocations + next.allocations,
            system_calls: self.system_calls + next.system_calls,
            system_time: self.system_time.saturating_add(next.system_time),
            purged: self.purged + next.purged,
            remote_frees: self.remote_frees + next.remote_frees,
            ..next
        }
    }

    /// The figures of two allocators in one process, which share its threads.
    fn beside(self, other: Self) -> Self {
        Self {
            threads: self.threads.max(other.threads),
            peak_threads: self.peak_threads.max(other.peak_threads),
            ..self + other
        }
    }

    /// What the resident bytes are made of now.
    pub(crate) fn composition(&self) -> Composition {
        let free = Bytes(self.active.0.saturating_sub(self.live.0));
        let free_in_caches = self.cached.min(free);
        let free_in_spans = Bytes(free.0 - free_in_caches.0);
        let parts = [self.live, free_in_spans, free_in_caches, self.retained, self.metadata];
        let sum: Bytes = parts.into_iter().sum();
        let rest = match self.resident >= sum {
            true => (Sign::Plus, Bytes(self.resident.0 - sum.0)),
            false => (Sign::Minus, Bytes(sum.0 - self.resident.0)),
        };
        Composition {
            live: self.live,
            free_in_spans,
            free_in_caches,
            free_slices: self.retained,
            records: self.metadata,
            rest,
        }
    }
}

impl Add for Figures {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            threads: self.threads + other.threads,
            peak_threads: self.peak_threads + other.peak_threads,
            live: self.live + other.live,
            peak_live: self.peak_live + other.peak_live,
            allocations: self.allocations + other.allocations,
            active: self.active + other.active,
            peak_active: self.peak_active + other.peak_active,
            resident: self.resident + other.resident,
            peak_resident: self.peak_resident + other.peak_resident,
            mapped: self.mapped + other.mapped,
            retained: self.retained + other.retained,
            metadata: self.metadata + other.metadata,
            cached: self.cached + other.cached,
            huge: self.huge + other.huge,
            system_calls: self.system_calls + other.system_calls,
            system_time: self.system_time.saturating_add(other.system_time),
            purged: self.purged + other.purged,
            remote_frees: self.remote_frees + other.remote_frees,
        }
    }
}

/// One slot, copied out of the page.
struct Said {
    pid: u32,
    parent: u32,
    name: String,
    face: Face,
    ended: bool,
    page_size: Bytes,
    figures: Figures,
}

impl Said {
    /// Nothing if the owner has not filled the slot in.
    fn read(slot: &Slot) -> Option<Self> {
        // ORDERING: Acquire, pairs with the owner's Release store of its pid,
        // which comes after the name and the other fields that stay.
        let pid = slot.pid.load(Ordering::Acquire);
        // ORDERING: Relaxed, here and in the next: PG3 of the page. Each number
        // is whole, and that is all that is asked of it.
        let number = |field: &AtomicU32| field.load(Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        let wide = |field: &AtomicU64| field.load(Ordering::Relaxed);
        let bytes = |field| Bytes(wide(field));
        let count = |field| Count(wide(field));

        // ORDERING: Relaxed, the Acquire above brought the name.
        let name = slot.name.iter().map(|byte| byte.load(Ordering::Relaxed));
        let name: Vec<u8> = name.take_while(|&byte| byte != 0).collect();
        (pid != 0).then(|| Self {
            pid,
            parent: number(&slot.parent),
            name: String::from_utf8_lossy(&name).into_owned(),
            face: match number(&slot.face) {
                1 => Face::Library,
                2 => Face::Inside,
                other => Face::Other(other),
            },
            ended: number(&slot.ended) == 1,
            page_size: Bytes(number(&slot.page_size).into()),
            figures: Figures {
                threads: Count(number(&slot.threads).into()),
                peak_threads: Count(number(&slot.peak_threads).into()),
                live: bytes(&slot.live),
                peak_live: bytes(&slot.peak_live),
                allocations: count(&slot.allocations),
                active: bytes(&slot.active),
                peak_active: bytes(&slot.peak_active),
                resident: bytes(&slot.resident),
                peak_resident: bytes(&slot.peak_resident),
                mapped: bytes(&slot.mapped),
                retained: bytes(&slot.retained),
                metadata: bytes(&slot.metadata),
                cached: bytes(&slot.cached),
                huge: bytes(&slot.huge),
                system_calls: count(&slot.system_calls),
                system_time: Duration::from_nanos(wide(&slot.system_time)),
                purged: bytes(&slot.purged),
                remote_frees: count(&slot.remote_frees),
            },
        })
    }
}

/// Puts what was said together, image by image and process by process.
fn gather(said: impl Iterator<Item = Said>) -> Vec<Process> {
    let mut processes: Vec<Process> = Vec::new();
    for said in said {
        let image = Image {
            name: said.name,
            faces: vec![said.face],
            ended: said.ended,
            page_size: said.page_size,
            figures: said.figures,
        };
        // The newest with this number, because numbers come back.
        match processes.iter_mut().rfind(|process| process.pid == said.pid) {
            Some(process) if process.last().is_same_as(&image) => {
                let last = process.images.last_mut().expect("`last` has just found it");
                last.faces.extend(image.faces);
                last.ended |= image.ended;
                last.figures = last.figures.beside(image.figures);
            }
            Some(process) if !process.last().ended => process.images.push(image),
            _ => {
                let images = vec![image];
                processes.push(Process { pid: said.pid, parent: said.parent, images });
            }
        }
    }
    processes
}

impl Image {
    /// Whether `other` is this image's other face.
    fn is_same_as(&self, other: &Self) -> bool {
        let face = |face| self.faces.contains(face);
        self.name == other.name && !other.faces.iter().any(face)
    }
}

#[cfg(test)]
mod tests;
