//! The few system calls that the standard library does not offer.
//!
//! Small safe faces over `prctl`, `wait4`, `kill`, `madvise` and `geteuid`. All the
//! unsafe code of the command is in this file.
#![expect(unsafe_code, reason = "std has no wait4, no subreaper, no kill by pid and no madvise")]

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What one process cost, together with the descendants that it waited for.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Seconds of CPU in the program.
    pub(crate) user: f64,
    /// Seconds of CPU in the kernel on its behalf.
    pub(crate) system: f64,
    /// Most resident bytes of the largest single process among them.
    pub(crate) peak: u64,
    /// Page faults served without a disk.
    pub(crate) minor_faults: u64,
    /// Page faults that read a disk.
    pub(crate) major_faults: u64,
}

impl Usage {
    /// Counts `other` in: times and faults add up, the peak is the larger one.
    pub(crate) fn add(&mut self, other: &Usage) {
        self.user += other.user;
        self.system += other.system;
        self.peak = self.peak.max(other.peak);
        self.minor_faults += other.minor_faults;
        self.major_faults += other.major_faults;
    }
}

/// A process that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Which one.
    pub(crate) pid: i32,
    /// How.
    pub(crate) status: ExitStatus,
    /// At what cost.
    pub(crate) usage: Usage,
}

/// From now on orphaned descendants become our children, so that nothing that
/// a program leaves behind escapes the count.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    // SAFETY: this option takes one integer and touches no memory.
    let result = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// From now on this process and all that it starts get no transparent huge pages.
pub(crate) fn decline_huge_pages() -> io::Result<()> {
    // SAFETY: this option takes one integer and touches no memory.
    let result = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// From now on this process and all that it starts heed what a terminal sends. A shell
/// has what runs in its background ignore both, programs inherit that, and CPython's own
/// tests, for one, fail then.
pub(crate) fn heed_interrupts() {
    for number in [libc::SIGINT, libc::SIGQUIT] {
        // SAFETY: what a signal does by default is no function of ours.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
}

/// As a shell starts what runs in its background.
#[cfg(test)]
pub(crate) fn ignore_interrupts() {
    // SAFETY: to ignore a signal is no function of ours.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
}

/// Waits for any child. `None` when there is none left.
pub(crate) fn wait_any() -> io::Result<Option<Ended>> {
    let mut status = 0;
    // SAFETY: `rusage` is integers only, so zeros are a value of it.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to variables of ours that outlive the call.
        let pid = unsafe { libc::wait4(-1, &raw mut status, 0, &raw mut usage) };
        if pid > 0 {
            let status = ExitStatus::from_raw(status);
            return Ok(Some(Ended { pid, status, usage: Usage::from(&usage) }));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::ECHILD) => return Ok(None),
            Some(libc::EINTR) => {}
            _ => return Err(error),
        }
    }
}

/// Sends a signal to one process of ours. One that is gone already is fine.
pub(crate) fn signal(pid: i32, signal: i32) {
    // SAFETY: `kill` touches no memory of ours.
    unsafe { libc::kill(pid, signal) };
}

/// Asks the kernel to back `memory` with huge pages, as far as it is whole pages.
/// A kernel that declines gives small ones, and nothing else changes.
pub(crate) fn ask_for_huge_pages(memory: &mut [u8]) {
    const PAGE: usize = 4096;
    let skip = memory.as_ptr().align_offset(PAGE);
    let Some(pages) = memory.get_mut(skip..) else { return };
    let length = pages.len() / PAGE * PAGE;
    // SAFETY: the range is ours, and this advice changes no contents.
    unsafe { libc::madvise(pages.as_mut_ptr().cast(), length, libc::MADV_HUGEPAGE) };
}

/// Whether we may install packages.
pub(crate) fn is_root() -> bool {
    // SAFETY: no precondition.
    unsafe { libc::geteuid() == 0 }
}

impl From<&libc::rusage> for Usage {
    fn from(raw: &libc::rusage) -> Usage {
        let number = |value: i64| u64::try_from(value).unwrap_or(0);
        Usage {
            user: seconds(raw.ru_utime),
            system: seconds(raw.ru_stime),
            // Linux counts it in KiB.
            peak: number(raw.ru_maxrss) * 1024,
            minor_faults: number(raw.ru_minflt),
            major_faults: number(raw.ru_majflt),
        }
    }
}

/// A `timeval` as seconds.
fn seconds(time: libc::timeval) -> f64 {
    let whole = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    (Duration::from_secs(whole) + Duration::from_micros(micros)).as_secs_f64()
}
