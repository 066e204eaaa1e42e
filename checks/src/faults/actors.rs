//! Scenes that programs seldom play, or not often enough. Each runs in this
//! program with the library preloaded, says what went wrong on descriptor 2,
//! and says nothing when all was well.
#![allow(unsafe_code)]

use allod_checks::block::Block;
use allod_checks::memory::{self, MIB};
use allod_checks::work::churn;
use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// One scene.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) short: usize,
    pub(crate) long: usize,
    play: fn(usize) -> Result<(), String>,
}

pub(crate) const ACTORS: &[Actor] = &[
    Actor {
        name: "forks",
        what: "children of four threads that allocate",
        short: 200,
        long: 100_000,
        play: forks,
    },
    Actor {
        name: "threads",
        what: "short threads; memory stays",
        short: 2000,
        long: 1_000_000,
        play: threads,
    },
    Actor {
        name: "sleepers",
        what: "threads that have allocated and sleep: a few KiB each",
        short: 300,
        long: 10_000,
        play: sleepers,
    },
    Actor {
        name: "coroutines",
        what: "switches between stacks that allocate",
        short: 20_000,
        long: 2_000_000,
        play: coroutines,
    },
    Actor {
        name: "dumps",
        what: "bytes that a core dump would have, with 4 MiB live",
        short: 1,
        long: 1,
        play: dumps,
    },
];

/// Plays a scene in this process.
pub(crate) fn play(name: &str, count: usize) -> ExitCode {
    let Some(actor) = ACTORS.iter().find(|actor| actor.name == name) else {
        return ExitCode::from(2);
    };
    match (actor.play)(count) {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("{words}");
            ExitCode::FAILURE
        }
    }
}

/// Four threads fork while each of them allocates; each child works, and leaves.
fn forks(count: usize) -> Result<(), String> {
    let left = AtomicUsize::new(count);
    let work = || -> Result<(), String> {
        loop {
            // ORDERING: Relaxed, a count.
            let number =
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            let Ok(number) = number else { return Ok(()) };
            churn(number as u64, 30, 14)?;
            // SAFETY: the child allocates and leaves by `_exit`.
            let process = unsafe { libc::fork() };
            if process == 0 {
                let code = c_int::from(churn(number as u64, 60, 16).is_err());
                // SAFETY: `_exit` has no conditions.
                unsafe { libc::_exit(code) }
            }
            let mut status = -1;
            // SAFETY: `status` can be written.
            let waited = unsafe { libc::waitpid(process, &raw mut status, 0) };
            if waited != process || status != 0 {
                return Err(format!("fork {number}: status {status:#x}"));
            }
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|it| it.join().map_err(|_| "a panic".to_owned())?)
    })
}

fn threads(count: usize) -> Result<(), String> {
    let some = |number: usize| -> Result<(), String> {
        let threads: Vec<_> = (0..4)
            .map(|place| thread::spawn(move || churn((number * 4 + place) as u64, 40, 13)))
            .collect();
        threads.into_iter().try_for_each(|it| it.join().map_err(|_| "a panic".to_owned())?)
    };
    (0..50).try_for_each(some)?;
    let before = memory::resident();
    (0..count / 4).try_for_each(some)?;
    let grown = memory::resident().saturating_sub(before);
    if grown < 8 * MIB {
        Ok(())
    } else {
        Err(format!("{} KiB more after {count} threads", grown / 1024))
    }
}

/// Each has used three classes and sleeps. What a thread costs without an
/// allocator is measured first, with threads that only sleep.
fn sleepers(count: usize) -> Result<(), String> {
    let cost = |busy: bool| -> Result<usize, String> {
        let gate = Arc::new((Mutex::new((0_usize, false)), Condvar::new()));
        let before = memory::resident();
        let sleeper = |number: usize| {
            let gate = Arc::clone(&gate);
            let body = move || {
                let kept =
                    busy.then(|| [40, 200, 1000].map(|size| Block::malloc(size + number % 8)));
                let (state, bell) = &*gate;
                let Ok(mut state) = state.lock() else { return };
                state.0 += 1;
                bell.notify_all();
                while !state.1 {
                    let Ok(next) = bell.wait(state) else { return };
                    state = next;
                }
                drop(kept);
            };
            thread::Builder::new().stack_size(32 << 10).spawn(body)
        };
        let threads: Vec<_> = (0..count).map_while(|number| sleeper(number).ok()).collect();
        let (state, bell) = &*gate;
        let mut state = state.lock().map_err(|_| "a panic")?;
        while state.0 < threads.len() {
            state = bell.wait(state).map_err(|_| "a panic")?;
        }
        let each = memory::resident().saturating_sub(before) / threads.len().max(1);
        state.1 = true;
        bell.notify_all();
        drop(state);
        threads.into_iter().for_each(|it| drop(it.join()));
        Ok(each)
    };
    let idle = cost(false)?;
    let each = cost(true)?.saturating_sub(idle);
    // A heap's page and a page of each class.
    if each <= 32 << 10 { Ok(()) } else { Err(format!("{each} bytes for each sleeper")) }
}

const STACK: usize = 64 << 10;
const COROUTINES: usize = 32;

thread_local! {
    static TURNS: Cell<usize> = const { Cell::new(0) };
    static BLOCKS: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

/// The contexts: the scheduler's, and one for each coroutine.
struct Contexts([libc::ucontext_t; COROUTINES + 1]);

static CONTEXTS: std::sync::atomic::AtomicPtr<Contexts> =
    std::sync::atomic::AtomicPtr::new(std::ptr::null_mut());

/// Switches from the context of one number to that of another.
fn switch(from: usize, to: usize) {
    // ORDERING: Relaxed, one thread.
    let contexts = CONTEXTS.load(Ordering::Relaxed).cast::<libc::ucontext_t>();
    // SAFETY: both are below the number of contexts, which live until the end.
    unsafe { libc::swapcontext(contexts.wrapping_add(from), contexts.wrapping_add(to)) };
}

/// A coroutine: takes a block, leaves one for the others, and passes on.
extern "C" fn coroutine() {
    loop {
        let turn = TURNS.get();
        TURNS.set(turn + 1);
        let mine = Block::malloc(turn * 37 % 5000 + 1);
        BLOCKS.with_borrow_mut(|blocks| {
            if blocks.len() > 200 {
                drop(blocks.swap_remove(turn % 200));
            }
            blocks.extend(mine);
        });
        switch(1 + turn % COROUTINES, 0);
    }
}

/// Stacks are switched between, and blocks go from one to the other.
fn coroutines(count: usize) -> Result<(), String> {
    // SAFETY: zeros are contexts that nobody has entered.
    let contexts: &'static mut Contexts = Box::leak(Box::new(unsafe { std::mem::zeroed() }));
    for place in 1..=COROUTINES {
        let stack = Box::leak(vec![0_u8; STACK].into_boxed_slice());
        let context = &mut contexts.0[place];
        // SAFETY: the context can be written.
        unsafe { libc::getcontext(context) };
        context.uc_stack.ss_sp = stack.as_mut_ptr().cast();
        context.uc_stack.ss_size = STACK;
        // SAFETY: the stack is leaked, and the function takes nothing and never returns.
        unsafe { libc::makecontext(context, coroutine, 0) };
    }
    // ORDERING: Relaxed, one thread.
    CONTEXTS.store(contexts, Ordering::Relaxed);
    for turn in 0..count {
        switch(0, 1 + turn % COROUTINES);
    }
    let turns = TURNS.get();
    BLOCKS.take();
    if turns == count { churn(1, 500, 16) } else { Err(format!("{turns} turns of {count}")) }
}

/// The kernel dumps what a process has written to, page by page, but for what is
/// marked not to be dumped.
fn dumps(_: usize) -> Result<(), String> {
    let mut kept: Vec<Block> = (0..4000).filter_map(|_| Block::malloc(1000)).collect();
    kept.iter_mut().for_each(|block| block.fill(1));
    drop(Block::malloc(200 * MIB));
    let text = std::fs::read_to_string("/proc/self/smaps").map_err(|error| error.to_string())?;
    let (mut written, mut sum) = (0, 0);
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("Anonymous:") {
            written = rest.trim().trim_end_matches("kB").trim().parse::<usize>().unwrap_or(0);
        } else if let Some(flags) = line.strip_prefix("VmFlags:")
            && !flags.split_whitespace().any(|flag| flag == "dd")
        {
            sum += written;
        }
    }
    if sum < 24 << 10 { Ok(()) } else { Err(format!("{sum} KiB would be dumped")) }
}
