//! A program run with limits, because what is tested may crash, hang or eat
//! the machine.
//!
//! The program gets a process group of its own, and the whole group is killed
//! when the time is up, so a forked child that hangs does not outlive the
//! check. The loop that waits also looks at the memory in use.
#![allow(unsafe_code)]

use crate::memory;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// We killed it: the time was up.
    TimeOut,
    /// We killed it: it used more memory than [`MEMORY_LIMIT`].
    TooBig,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Exit(code) => write!(f, "exit code {code}"),
            End::Signal(libc::SIGABRT) => write!(f, "SIGABRT"),
            End::Signal(libc::SIGSEGV) => write!(f, "SIGSEGV"),
            End::Signal(number) => write!(f, "signal {number}"),
            End::TimeOut => write!(f, "time limit"),
            End::TooBig => write!(f, "memory limit"),
        }
    }
}

/// What a program left behind.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub end: End,
    /// What it wrote on descriptor 1.
    pub stdout: String,
    /// What it wrote on descriptor 2.
    pub stderr: String,
    /// How long it took.
    pub time: Duration,
}

/// Nothing that is checked here needs this much, and the machine has more.
pub const MEMORY_LIMIT: usize = 6 << 30;

/// Runs a program to its end, or until `limit` is up.
///
/// # Errors
///
/// When it could not be started.
pub fn run(command: &mut Command, limit: Duration) -> std::io::Result<Output> {
    let start = Instant::now();
    inherit_three(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let stdout = read_all(child.stdout.take());
    let stderr = read_all(child.stderr.take());
    let mut verdict = None;
    while !has_ended(child.id())? {
        if verdict.is_none() {
            verdict = if start.elapsed() > limit {
                Some(End::TimeOut)
            } else if is_too_big(child.id()) {
                Some(End::TooBig)
            } else {
                None
            };
            if verdict.is_some() {
                kill_group(child.id());
            }
        }
        std::thread::sleep(Duration::from_millis(4));
    }
    let time = start.elapsed();
    // Whatever the program left running would hold the pipes open.
    kill_group(child.id());
    let status = child.wait()?;
    let end = verdict.unwrap_or_else(|| match (status.code(), status.signal()) {
        (Some(code), _) => End::Exit(code),
        (None, signal) => End::Signal(signal.unwrap_or(0)),
    });
    let join = |reader: std::thread::JoinHandle<String>| reader.join().unwrap_or_default();
    Ok(Output { end, stdout: join(stdout), stderr: join(stderr), time })
}

/// Lets the program have descriptors 0, 1 and 2, and no others that we happen
/// to have.
fn inherit_three(command: &mut Command) {
    let close = || {
        let flags = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
        // SAFETY: they close when the program starts; until then all work.
        unsafe { libc::close_range(3, libc::c_uint::MAX, flags) };
        Ok(())
    };
    // SAFETY: between `fork` and `exec`, `close_range` is allowed and nothing allocates.
    unsafe { command.pre_exec(close) };
}

/// True when the program has ended. It stays unwaited for, so that its number
/// and its group's stay its own.
fn has_ended(process: u32) -> std::io::Result<bool> {
    let mut about = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `about` can be written.
    let result = unsafe { libc::waitid(libc::P_PID, process, about.as_mut_ptr(), flags) };
    if result != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: zeros are a `siginfo_t`, and so is what the call wrote.
    let about = unsafe { about.assume_init() };
    // SAFETY: `waitid` fills in this field, or leaves the zero.
    Ok(unsafe { about.si_pid() } != 0)
}

/// Kills what is left of the group that a child of ours leads.
fn kill_group(leader: u32) {
    // SAFETY: the leader is our child and not waited for, so the number is its own.
    unsafe { libc::kill(-leader.cast_signed(), libc::SIGKILL) };
}

fn is_too_big(process: u32) -> bool {
    memory::status(&process.to_string(), "VmRSS").is_some_and(|bytes| bytes > MEMORY_LIMIT)
}

fn read_all(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Sets a resource limit for the program that `command` will start.
pub fn limit(
    command: &mut Command,
    resource: libc::__rlimit_resource_t,
    bytes: u64,
) -> &mut Command {
    let set = move || {
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
        // SAFETY: `limit` can be read.
        match unsafe { libc::setrlimit(resource, &raw const limit) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: between `fork` and `exec`, `setrlimit` is allowed and nothing allocates.
    unsafe { command.pre_exec(set) }
}
