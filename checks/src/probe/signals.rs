//! Rows 34 and 40: signals in the middle of `malloc`.
//!
//! POSIX does not list `malloc` among the functions that a handler may call.
//! Programs do it all the same, so it is worth knowing what happens.
#![allow(unsafe_code)]

use crate::helper;
use crate::row::{Context, Outcome, Row, ensure, pass_with, skip};
use allod_checks::block::Block;
use allod_checks::child;
use allod_checks::work::churn;
use std::ffi::c_int;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{ptr, thread};

pub(crate) const ROWS: &[Row] = &[
    Row::new(
        34,
        "signal-storm",
        "a signal every 100 us, to threads that allocate",
        "POSIX.1-2024",
        signal_storm,
    ),
    Row::new(
        40,
        "handler-exits",
        "a handler that interrupts malloc and calls _exit",
        "POSIX.1-2024 2.4.3",
        handler_exits,
    ),
    Row {
        seconds: 60,
        ..Row::new(
            40,
            "handler-allocates",
            "a handler that interrupts malloc and calls it: no hang",
            "quality; POSIX.1-2024 2.4.3 leaves it undefined",
            handler_allocates,
        )
    },
    Row {
        seconds: 60,
        ..Row::new(
            40,
            "handler-jumps",
            "a handler that interrupts malloc and calls siglongjmp: no hang",
            "quality; POSIX.1-2024 2.4.3 leaves it undefined",
            handler_jumps,
        )
    },
];

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: c_int) {
    // ORDERING: Relaxed, a count for the remark.
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

extern "C" fn allocate(signal: c_int) {
    count(signal);
    for size in [16, 200, 3000, 100_000] {
        if let Some(mut block) = Block::malloc(size) {
            block.set(size - 1, 1);
        }
    }
}

extern "C" fn exit(_: c_int) {
    // SAFETY: `_exit` has no conditions.
    unsafe { libc::_exit(0) }
}

/// Calls a handler every `microseconds`, from now on.
fn storm(handler: extern "C" fn(c_int), microseconds: i64) -> Result<(), String> {
    // SAFETY: zeros are a `sigaction`: no flags and an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the action is filled in.
    let result = unsafe { libc::sigaction(libc::SIGALRM, &raw const action, ptr::null_mut()) };
    ensure!(result == 0, "sigaction: {}", std::io::Error::last_os_error());
    let every = libc::timeval { tv_sec: 0, tv_usec: microseconds };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: the timer is filled in.
    let result = unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, ptr::null_mut()) };
    ensure!(result == 0, "setitimer: {}", std::io::Error::last_os_error());
    Ok(())
}

/// Works in two threads while the storm lasts.
fn work(long: bool) -> Result<String, String> {
    let end = Instant::now() + Duration::from_millis(if long { 10_000 } else { 1200 });
    let work = move |seed: u64| {
        let mut round = seed;
        while Instant::now() < end {
            round += 2;
            churn(round, 300, 17)?;
        }
        Ok::<(), String>(())
    };
    let other = thread::spawn(move || work(1));
    work(0)?;
    other.join().map_err(|_| "a thread panicked")??;
    // ORDERING: Relaxed, a number to show.
    let signals = SIGNALS.load(Ordering::Relaxed);
    ensure!(signals > 50, "only {signals} signals came");
    Ok(format!("{signals} signals"))
}

fn signal_storm(context: &Context) -> Outcome {
    storm(count, 100)?;
    pass_with(work(context.long)?)
}

/// Undefined, so an allocator may well lose its way; the remark tells how the
/// program ended. It must not hang, which nobody would notice.
fn handler_allocates(_: &Context) -> Outcome {
    match helper::ask(&["handler-allocates"], 20, |_| {}) {
        Err(words) if words.starts_with("time limit") => Err("it hangs".to_owned()),
        Err(words) => pass_with(words),
        Ok(words) => pass_with(words),
    }
}

/// Works while a handler allocates.
pub(crate) fn allocate_in_handler() -> Result<String, String> {
    storm(allocate, 200)?;
    work(false)
}

fn handler_exits(_: &Context) -> Outcome {
    for round in 0..40 {
        // SAFETY: this process has one thread.
        let process = unsafe { libc::fork() };
        ensure!(process >= 0, "fork: {}", std::io::Error::last_os_error());
        if process == 0 {
            let _ = storm(exit, 1000 + 37 * i64::from(round));
            while churn(1, 1000, 17).is_ok() {}
            // SAFETY: `_exit` has no conditions.
            unsafe { libc::_exit(1) }
        }
        let mut status = 0;
        // SAFETY: `status` can be written.
        unsafe { libc::waitpid(process, &raw mut status, 0) };
        ensure!(status == 0, "round {round}: status {status:#x}");
    }
    pass_with("40 processes")
}

/// `siglongjmp` is not for Rust frames, so the program is in C.
fn handler_jumps(_: &Context) -> Outcome {
    let source = include_str!("../../programs/jump.c");
    let scratch = crate::cxx::Scratch::new()?;
    let Some(program) = crate::cxx::compile("gcc", &scratch, ("jump.c", source), &[])? else {
        return skip("no gcc");
    };
    let output = child::run(&mut Command::new(program), Duration::from_secs(20))
        .map_err(|error| error.to_string())?;
    ensure!(output.end != child::End::TimeOut, "it hangs");
    pass_with(format!("{} {}", output.end, output.stdout.trim()))
}
