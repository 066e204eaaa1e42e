//! The process that trials are forked from.
//!
//! It is this program again, with the library preloaded, started for a few
//! hundred trials: long enough to make a trial cost no more than a `fork`, short
//! enough that addresses and secrets of the heap are drawn anew. It has one
//! thread and allocates as little as it can between two trials.
//!
//! For each trial it forks twice: the program with the deed, and the control.
//! What a child says on descriptor 2 goes into a file without a name, which is
//! read when the child has ended.
#![allow(unsafe_code)]

use super::deed::operators;
use super::families::Family;
use super::judge::{Sighting, Verdict, judge};
use super::note::Note;
use super::scene::Scene;
use super::trial::Trial;
use allod_checks::c;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Error, Result};
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;

/// What came of one trial, on one line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) number: usize,
    pub(crate) family: String,
    pub(crate) size: usize,
    pub(crate) other_thread: bool,
    pub(crate) timing: u8,
    /// The memory was handed out again before the deed, or that was the plan.
    pub(crate) reused: bool,
    pub(crate) verdict: Verdict,
    /// Harm was done first, if it was stopped at all.
    pub(crate) harm: bool,
    /// What the control did, if it was anything but to end well.
    pub(crate) false_alarm: Option<String>,
    /// The last line on descriptor 2, or the signal.
    pub(crate) said: String,
    /// What lay where the deed's own access went.
    pub(crate) ground: String,
}

/// Seconds for one trial: a process that needs them hangs.
const PATIENCE: u32 = 10;

/// Runs trials and prints a record of each.
///
/// # Errors
///
/// When the system refuses what trials need.
pub(crate) fn run(seed: u64, numbers: Range<usize>, families: &[&'static Family]) -> Result<()> {
    // Everything is looked up before any heap is in disorder.
    let _ = (c::functions(), operators());
    let note = Note::new()?;
    let errors = unnamed_file()?;
    for number in numbers {
        let trial = Trial::new(seed, number, families);
        let deed = fork(&trial, true, note, &errors)?;
        let control = fork(&trial, false, note, &errors)?;
        let record = Record {
            number,
            family: trial.family.name.to_owned(),
            size: trial.size,
            other_thread: trial.other_thread,
            timing: trial.timing as u8,
            reused: deed.reused || trial.timing == super::trial::Timing::Reused,
            verdict: judge(&deed, trial.family.words),
            harm: deed.harm,
            false_alarm: (!control.is_clean()).then(|| control.describe()),
            said: deed.describe(),
            ground: format!("{:?}", deed.ground),
        };
        println!("{}", serde_json::to_string(&record)?);
    }
    Ok(())
}

/// One trial in a process of its own.
fn fork(trial: &Trial, guilty: bool, note: &'static Note, errors: &File) -> Result<Sighting> {
    note.clear();
    errors.set_len(0)?;
    // SAFETY: this process has one thread.
    let process = unsafe { libc::fork() };
    if process < 0 {
        return Err(Error::last_os_error());
    }
    if process == 0 {
        // SAFETY: the file is open; descriptor 2 is ours to replace.
        unsafe { libc::dup2(errors.as_raw_fd(), 2) };
        // SAFETY: no core of a process that is meant to crash.
        unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
        // SAFETY: nobody else uses the alarm.
        unsafe { libc::alarm(PATIENCE) };
        Scene::new(trial, guilty, note).play();
    }
    let mut status = 0;
    // SAFETY: `status` can be written.
    while unsafe { libc::waitpid(process, &raw mut status, 0) } < 0 {
        let error = Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINTR) {
            return Err(error);
        }
    }
    let mut text = vec![0; 4096];
    let length = errors.read_at(&mut text, 0)?;
    text.truncate(length);
    Ok(Sighting {
        status,
        text: String::from_utf8_lossy(&text).into_owned(),
        stage: note.stage(),
        ground: note.ground(),
        harm: note.harm(),
        reused: note.reused(),
    })
}

/// A file that appends, in memory.
fn unnamed_file() -> Result<File> {
    // SAFETY: the name ends in a zero.
    let file = unsafe { libc::memfd_create(c"trial".as_ptr(), libc::MFD_CLOEXEC) };
    if file < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: the descriptor is fresh.
    unsafe { libc::fcntl(file, libc::F_SETFL, libc::O_APPEND) };
    // SAFETY: it is ours.
    Ok(unsafe { File::from_raw_fd(file) })
}
