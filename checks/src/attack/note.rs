//! What a trial's process tells of itself, where a crash cannot take it away:
//! a page that it shares with the process that judges it.
//!
//! The page also says, before an access that is wrong, what kind of memory will
//! be touched. A program that runs into memory which the allocator has made
//! inaccessible was stopped; one that runs into a hole of the address space had
//! luck, and luck is not counted. `/proc/self/maps` tells the two apart.
#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// How far a trial has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Before the deed.
    Before = 0,
    /// In the midst of it.
    Deed = 1,
    /// Afterwards, in ordinary work.
    After = 2,
    /// `exit` was called.
    Exit = 3,
}

/// What lies where a deed's access goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    /// All of it is accessible, or the deed accesses nothing itself.
    Open = 0,
    /// The first page that is not accessible is mapped: somebody closed it.
    Closed = 1,
    /// The first page that is not accessible is not mapped at all.
    Hole = 2,
}

/// The shared page.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Note {
    stage: AtomicU32,
    ground: AtomicU32,
    harm: AtomicU32,
    reused: AtomicU32,
}

impl Note {
    /// A page that forked processes share.
    pub(crate) fn new() -> std::io::Result<&'static Note> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh mapping disturbs nobody.
        let page = unsafe {
            libc::mmap(std::ptr::null_mut(), size_of::<Note>(), protection, flags, -1, 0)
        };
        match NonNull::new(page.cast::<Note>()) {
            // SAFETY: zeros are a note, and the mapping is never undone.
            Some(note) if page != libc::MAP_FAILED => Ok(unsafe { note.as_ref() }),
            _ => Err(std::io::Error::last_os_error()),
        }
    }

    /// As it was in the beginning.
    pub(crate) fn clear(&self) {
        for word in [&self.stage, &self.ground, &self.harm, &self.reused] {
            // ORDERING: Relaxed; `fork` and `waitpid` order what two processes do.
            word.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn set_stage(&self, stage: Stage) {
        // ORDERING: Relaxed, as in `clear`.
        self.stage.store(stage as u32, Ordering::Relaxed);
    }

    pub(crate) fn stage(&self) -> Stage {
        // ORDERING: Relaxed, as in `clear`.
        match self.stage.load(Ordering::Relaxed) {
            0 => Stage::Before,
            1 => Stage::Deed,
            2 => Stage::After,
            _ => Stage::Exit,
        }
    }

    /// The attacker has what he wanted, or somebody's data is spoilt.
    pub(crate) fn set_harm(&self) {
        // ORDERING: Relaxed, as in `clear`.
        self.harm.store(1, Ordering::Relaxed);
    }

    pub(crate) fn harm(&self) -> bool {
        // ORDERING: Relaxed, as in `clear`.
        self.harm.load(Ordering::Relaxed) != 0
    }

    /// Memory that was freed is somebody's again, before the deed.
    pub(crate) fn set_reused(&self) {
        // ORDERING: Relaxed, as in `clear`.
        self.reused.store(1, Ordering::Relaxed);
    }

    pub(crate) fn reused(&self) -> bool {
        // ORDERING: Relaxed, as in `clear`.
        self.reused.load(Ordering::Relaxed) != 0
    }

    /// Looks up the ground of an access.
    pub(crate) fn survey(&self, start: usize, count: usize) {
        let ground = ground(start, count);
        // ORDERING: Relaxed, as in `clear`.
        self.ground.store(ground as u32, Ordering::Relaxed);
    }

    pub(crate) fn ground(&self) -> Ground {
        // ORDERING: Relaxed, as in `clear`.
        match self.ground.load(Ordering::Relaxed) {
            0 => Ground::Open,
            1 => Ground::Closed,
            _ => Ground::Hole,
        }
    }
}

/// What lies from `start` on, for `count` bytes. Reads the maps a piece at a
/// time and allocates nothing.
fn ground(start: usize, count: usize) -> Ground {
    // SAFETY: the path ends in a zero.
    let file = unsafe { libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    let mut walk = Walk { at: start, end: start + count, found: None };
    let (mut line, mut length) = ([0_u8; 64], 0);
    let mut piece = [0_u8; 4096];
    loop {
        // SAFETY: the piece can be written.
        let got = unsafe { libc::read(file, piece.as_mut_ptr().cast(), piece.len()) };
        if got <= 0 || walk.is_done() {
            break;
        }
        for &byte in &piece[..got.unsigned_abs()] {
            if byte == b'\n' {
                walk.mapping(&line[..length]);
                length = 0;
            } else if length < line.len() {
                line[length] = byte;
                length += 1;
            }
        }
    }
    // SAFETY: the descriptor is ours.
    unsafe { libc::close(file) };
    walk.end()
}

/// A walk through the mappings, which come in the order of their addresses.
struct Walk {
    at: usize,
    end: usize,
    found: Option<Ground>,
}

impl Walk {
    fn is_done(&self) -> bool {
        self.found.is_some() || self.at >= self.end
    }

    /// One line of the maps: `start-end perms ...`.
    fn mapping(&mut self, line: &[u8]) {
        let parsed = std::str::from_utf8(line).ok().and_then(|line| {
            let (start, rest) = line.split_once('-')?;
            let (end, rest) = rest.split_once(' ')?;
            let number = |text| usize::from_str_radix(text, 16).ok();
            Some((number(start)?, number(end)?, rest.starts_with("rw")))
        });
        let Some((start, end, open)) = parsed else { return };
        if self.is_done() || end <= self.at {
            return;
        }
        if start > self.at {
            self.found = Some(Ground::Hole);
        } else if open {
            self.at = end;
        } else {
            self.found = Some(Ground::Closed);
        }
    }

    fn end(self) -> Ground {
        self.found.unwrap_or(if self.at >= self.end { Ground::Open } else { Ground::Hole })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(start: usize, count: usize) -> Ground {
        let mut walk = Walk { at: start, end: start + count, found: None };
        for line in
            ["1000-2000 rw-p 0 0", "2000-3000 rw-p 0 0", "3000-4000 ---p 0 0", "6000-7000 rw-p"]
        {
            walk.mapping(line.as_bytes());
        }
        walk.end()
    }

    #[test]
    fn a_guard_is_not_a_hole() {
        assert_eq!(walk(0x1800, 0x100), Ground::Open);
        assert_eq!(walk(0x1800, 0x1800), Ground::Open);
        assert_eq!(walk(0x1800, 0x1801), Ground::Closed);
        assert_eq!(walk(0x3000, 1), Ground::Closed);
        assert_eq!(walk(0x4000, 1), Ground::Hole);
        assert_eq!(walk(0x6fff, 2), Ground::Hole);
        assert_eq!(walk(0x9000, 1), Ground::Hole);
    }

    #[test]
    fn the_real_maps_are_read() {
        let local = 1_u64;
        assert_eq!(ground((&raw const local).addr(), 8), Ground::Open);
        assert_eq!(ground(16, 8), Ground::Hole);
    }
}
