//! Starting the program, and standing aside while it runs.
//!
//! A user who puts `allod run` in front of a command should notice nothing but
//! the summary. `env` has it easy, because it becomes the program. We must be
//! there at the end, so between the caller and the program stands a process
//! that behaves as if it were not.
//!
//! # Signals
//!
//! All signals that end, stop or tell something are blocked in us and read one
//! by one from a descriptor, so nothing here runs inside a signal handler, and
//! the child inherits every disposition as our caller left it. The descriptor
//! says where a signal comes from, and that decides what happens to it:
//!
//! | a signal | reaches the child | so we |
//! |---|---|---|
//! | from the terminal (Ctrl-C, Ctrl-Z, a new size, hang-up) | by itself: the kernel sends it to the whole process group | do nothing |
//! | from the child itself | it knows | do nothing |
//! | from another process | not, it was sent to us | forward it |
//!
//! A sender who addresses the process group as a whole (`kill -TERM -123`)
//! cannot be told from one who addresses us. The child then gets the signal
//! twice, which for one signal in quick succession is mostly once.
//!
//! # Job control
//!
//! The child stays in our process group, so it has the terminal when we have
//! it. When it stops, we stop, so that the shell gets its prompt back. When the
//! shell continues the group, both go on; a SIGCONT to us alone is passed on to
//! a child that is stopped.

#![expect(
    unsafe_code,
    reason = "the child puts its signals back before `exec`, and is waited for by `wait4`"
)]

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, getpgrp, getpid, tcgetpgrp};

use crate::before;
use crate::looks::{Look, Looks};
use crate::units::{Bytes, Count};

/// The signals that we pass on, or understand.
const WATCHED: [Signal; 11] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGTERM,
    Signal::SIGCHLD,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGWINCH,
];

/// What to start.
pub(crate) struct Launch<'a> {
    /// Where the program is.
    pub(crate) path: &'a Path,
    /// What the caller called it, then its arguments.
    pub(crate) command: &'a [OsString],
    /// What is added to the environment.
    pub(crate) environment: Vec<(&'static str, OsString)>,
    /// Whether to look at its memory while it runs.
    pub(crate) looks: bool,
}

/// How it went.
pub(crate) struct Outcome {
    pub(crate) pid: u32,
    pub(crate) status: ExitStatus,
    pub(crate) wall: Duration,
    pub(crate) usage: Usage,
    /// The last look at its memory, and how long before its end that was.
    pub(crate) looked: Option<(Look, Duration)>,
}

/// The kernel's own account of the program and of all descendants that were
/// waited for.
pub(crate) struct Usage {
    /// Of the one process that had the most.
    pub(crate) max_resident: Bytes,
    /// Page faults served from memory.
    pub(crate) minor_faults: Count,
    /// Page faults that had to read from a disk.
    pub(crate) major_faults: Count,
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl Launch<'_> {
    /// Starts the program and waits until it ends.
    pub(crate) fn run(&self) -> io::Result<Outcome> {
        let watched: SigSet = WATCHED.into_iter().collect();
        before::keep_ended_children();
        // From here on a signal waits until we read it, or until `_masked` ends.
        let masked = Masked { before: watched.thread_swap_mask(SigmaskHow::SIG_BLOCK)? };
        let signals = SignalFd::with_flags(&watched, SfdFlags::SFD_CLOEXEC)?;

        let start = Instant::now();
        let child = self.spawn(masked.before)?;
        let pid = Pid::from_raw(child.id().cast_signed());
        // Its thread must not get the signals, so it begins with the mask of ours.
        let looks = self.looks.then(|| Looks::begin(child.id()));
        let (status, usage) = loop {
            if let Some(info) = signals.read_signal()?
                && let Some(end) = on_signal(&info, pid, looks.as_ref())?
            {
                break end;
            }
        };
        let wall = start.elapsed();
        let ended = Instant::now();
        let looked = looks.and_then(Looks::end);
        let looked = looked.map(|look| {
            let before = ended.saturating_duration_since(look.at);
            (look, before)
        });
        Ok(Outcome { pid: child.id(), status, wall, usage, looked })
    }

    fn spawn(&self, mask: SigSet) -> io::Result<Child> {
        let mut command = Command::new(self.path);
        let name = self.command.first().map_or(OsStr::new(""), OsString::as_os_str);
        command.arg0(name).args(self.command.iter().skip(1));
        for (variable, value) in &self.environment {
            command.env(variable, value);
        }
        // SAFETY: the closure makes only system calls, which are allowed
        // between fork and exec, and allocates nothing.
        unsafe { command.pre_exec(move || before::hand_on(&mask)) };
        command.spawn()
    }
}

/// Puts the signal mask back when the program has ended or did not start.
struct Masked {
    before: SigSet,
}

impl Drop for Masked {
    fn drop(&mut self) {
        _ = self.before.thread_set_mask();
    }
}

/// Deals with one signal. Says how the child ended and what it used, if it did.
fn on_signal(
    info: &siginfo,
    pid: Pid,
    looks: Option<&Looks>,
) -> io::Result<Option<(ExitStatus, Usage)>> {
    let Ok(signal) = Signal::try_from(info.ssi_signo.cast_signed()) else { return Ok(None) };
    match signal {
        // One SIGCHLD can stand for a stop and an end, so look for both.
        Signal::SIGCHLD => {
            let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG;
            if let Ok(WaitStatus::Stopped(_, by)) = waitid(Id::Pid(pid), flags) {
                stop_too(by);
            }
            return ended(pid);
        }
        Signal::SIGCONT if !is_stopped(pid) => {}
        _ if was_meant_for_us(info, pid) => {
            // It may be the last that is seen of the program.
            let ends = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];
            if let Some(looks) = looks.filter(|_| ends.contains(&signal)) {
                looks.look();
            }
            _ = kill(pid, signal);
        }
        _ => {}
    }
    Ok(None)
}

/// Whether some process sent the signal to us, and the child knows nothing of it.
fn was_meant_for_us(info: &siginfo, child: Pid) -> bool {
    // Positive codes are the kernel's own doing: the terminal, a fault, a timer.
    info.ssi_code <= 0 && info.ssi_pid.cast_signed() != child.as_raw()
}

/// Stops us, after the child has stopped.
fn stop_too(by: Signal) {
    // SIGSTOP to the child alone may come from a debugger or a script that will
    // continue the child alone, and would leave us stopped for ever. Only a
    // program that stops itself while it has the terminal means the shell.
    let by_terminal = matches!(by, Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU);
    if !by_terminal && !has_terminal() {
        return;
    }
    // SIGTSTP and not SIGSTOP, because the kernel then leaves us running when
    // no shell is there to continue us.
    let stop: SigSet = [Signal::SIGTSTP].into_iter().collect();
    _ = kill(getpid(), Signal::SIGTSTP);
    _ = stop.thread_unblock();
    _ = stop.thread_block();
}

/// Whether our process group is the one that the terminal listens to.
fn has_terminal() -> bool {
    let mut options = OpenOptions::new();
    let terminal = options.read(true).custom_flags(libc::O_NOCTTY).open("/dev/tty");
    terminal.is_ok_and(|terminal| tcgetpgrp(terminal) == Ok(getpgrp()))
}

fn is_stopped(pid: Pid) -> bool {
    // "pid (name) state ...", and the name may hold anything.
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.iter().rposition(|&byte| byte == b')').map_or(0, |i| i + 2);
    stat.get(after_name) == Some(&b'T')
}

/// How the child ended and what it used, if it did.
///
/// Asked of this one child: the sum over all children would hold those of
/// whatever program we were before (`cargo run` becomes us by `exec`).
fn ended(pid: Pid) -> io::Result<Option<(ExitStatus, Usage)>> {
    let mut status = 0;
    // SAFETY: all zeros is a value of this plain struct.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both places are writable.
    let done = unsafe { libc::wait4(pid.as_raw(), &raw mut status, libc::WNOHANG, &raw mut usage) };
    match done {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(Some((ExitStatus::from_raw(status), Usage::from(&usage)))),
    }
}

impl From<&libc::rusage> for Usage {
    fn from(usage: &libc::rusage) -> Self {
        let count = |number: libc::c_long| Count(number.try_into().unwrap_or(0));
        let time = |time: libc::timeval| {
            let seconds = Duration::from_secs(time.tv_sec.try_into().unwrap_or(0));
            seconds + Duration::from_micros(time.tv_usec.try_into().unwrap_or(0))
        };
        Self {
            // The kernel counts in KiB here.
            max_resident: Bytes(count(usage.ru_maxrss).0 * 1024),
            minor_faults: count(usage.ru_minflt),
            major_faults: count(usage.ru_majflt),
            user: time(usage.ru_utime),
            system: time(usage.ru_stime),
        }
    }
}

/// Ends us the way the child ended, by signal `number`.
///
/// Our caller then sees what it would have seen without us. The memory image,
/// if one is to be kept, is the child's, so we leave none.
pub(crate) fn die_by(number: i32) -> ! {
    use nix::sys::{prctl, resource};
    _ = prctl::set_dumpable(false);
    _ = resource::setrlimit(resource::Resource::RLIMIT_CORE, 0, 0);
    before::set(number, libc::SIG_DFL);
    _ = SigSet::empty().thread_set_mask();
    // SAFETY: the default disposition runs no code of ours.
    unsafe { libc::raise(number) };
    // A signal that kills others and not us: say it as a shell would.
    std::process::exit(128 + number)
}
