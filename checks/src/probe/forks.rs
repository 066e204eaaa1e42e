//! Row 29: fork, while other threads allocate.
#![allow(unsafe_code)]

use crate::row::{Context, Outcome, Row, ensure, pass_with};
use allod_checks::block::Block;
use allod_checks::work::churn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

pub(crate) const ROWS: &[Row] = &[
    Row {
        seconds: 60,
        ..Row::new(
            29,
            "fork-churn",
            "150 forks while 4 threads allocate; the child allocates, in a thread too",
            "glibc; POSIX promises less, programs rely on it",
            fork_churn,
        )
    },
    Row {
        seconds: 60,
        ..Row::new(
            29,
            "fork-handlers",
            "handlers of pthread_atfork that allocate",
            "glibc; POSIX.1-2024 pthread_atfork",
            fork_handlers,
        )
    },
];

/// Forks `count` times while four threads allocate. Each child works a little.
fn forks(count: u64) -> Result<(), String> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for seed in 0..4 {
            let stop = &stop;
            scope.spawn(move || {
                let mut round = seed;
                // ORDERING: Relaxed, a flag that nothing else depends on.
                while !stop.load(Ordering::Relaxed) {
                    round += 4;
                    if seed != 0 {
                        hurry(100);
                        continue;
                    }
                    if let Err(words) = churn(round, 300, 14) {
                        eprintln!("a thread: {words}");
                        std::process::abort();
                    }
                }
            });
        }
        let result = (0..count).try_for_each(fork_once);
        // ORDERING: Relaxed, as above.
        stop.store(true, Ordering::Relaxed);
        result
    })
}

/// Allocates and frees blocks of one size and does nothing else: a fork that comes meanwhile
/// finds the thread within the allocator.
fn hurry(rounds: usize) {
    let mut blocks = [std::ptr::null_mut(); 100];
    for _ in 0..rounds {
        for block in &mut blocks {
            // SAFETY: `malloc` has no conditions.
            *block = unsafe { libc::malloc(100) };
        }
        for block in blocks {
            // SAFETY: null, or a block that was just allocated and is freed once.
            unsafe { libc::free(block) };
        }
    }
}

fn fork_once(round: u64) -> Result<(), String> {
    // SAFETY: the child allocates and starts a thread, which glibc allows, and
    // then ends without running anything of the parent's.
    let process = unsafe { libc::fork() };
    ensure!(process >= 0, "fork: {}", std::io::Error::last_os_error());
    if process == 0 {
        let worked = churn(round, 300, 16).is_ok();
        let threads: Vec<_> = (0..4)
            .map(|i| {
                thread::spawn(move || {
                    hurry(20);
                    churn(round + i, 50, 16).is_ok()
                })
            })
            .collect();
        let thread_worked = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or(false))
            .fold(true, |a, b| a & b);
        // SAFETY: `_exit` has no conditions.
        unsafe { libc::_exit(if worked && thread_worked { 0 } else { 1 }) }
    }
    let mut status = 0;
    // SAFETY: `status` can be written.
    let waited = unsafe { libc::waitpid(process, &raw mut status, 0) };
    ensure!(waited == process, "waitpid: {}", std::io::Error::last_os_error());
    ensure!(status == 0, "fork {round}: the child ended with status {status:#x}");
    Ok(())
}

fn fork_churn(context: &Context) -> Outcome {
    let count = if context.long { 2000 } else { 150 };
    forks(count)?;
    pass_with(format!("{count} forks"))
}

/// Calls of the three handlers.
static CALLS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

fn handler(which: usize) {
    // ORDERING: Relaxed, a count that is read after the forks, in this thread.
    CALLS[which].fetch_add(1, Ordering::Relaxed);
    for size in [1, 100, 5000, 300_000] {
        let Some(mut block) = Block::malloc(size) else { std::process::abort() };
        block.fill(1);
        let Ok(block) = block.realloc(size * 2) else { std::process::abort() };
        drop(block);
    }
}

extern "C" fn prepare() {
    handler(0);
}

extern "C" fn parent() {
    handler(1);
}

extern "C" fn child() {
    handler(2);
}

fn fork_handlers(context: &Context) -> Outcome {
    // SAFETY: the handlers are functions of this program.
    let result = unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
    ensure!(result == 0, "pthread_atfork: {result}");
    let count = if context.long { 2000 } else { 100 };
    forks(count)?;
    // ORDERING: Relaxed, this thread made all the calls.
    let calls: Vec<_> = CALLS.iter().map(|calls| calls.load(Ordering::Relaxed)).collect();
    ensure!(calls == [count as usize, count as usize, 0], "calls of the handlers: {calls:?}");
    pass_with(format!("{count} forks"))
}
