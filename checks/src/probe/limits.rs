//! Rows 24 to 26, 37 and 38: little memory to be had, and none kept for nothing.

use crate::helper;
use crate::row::{Context, Outcome, Row, ensure, pass, pass_with, skip};
use allod_checks::block::{Block, refused};
use allod_checks::memory::{self, MIB};
use allod_checks::{c, child};
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) const ROWS: &[Row] = &[
    Row {
        seconds: 60,
        ..Row::new(
            24,
            "exhaustion",
            "1000-byte blocks under RLIMIT_AS: at last NULL, ENOMEM; after frees, again",
            "malloc(3)",
            exhaustion,
        )
    },
    Row::new(
        25,
        "refuse-8-gib",
        "8 GiB under RLIMIT_AS of 4 GiB: NULL, ENOMEM; small blocks still",
        "malloc(3)",
        refuse,
    ),
    Row::new(26, "start-32-mib", "starts and serves under RLIMIT_AS", "quality", |_| start(32)),
    Row::new(26, "start-64-mib", "starts and serves under RLIMIT_AS", "quality", |_| start(64)),
    Row::new(26, "start-256-mib", "starts and serves under RLIMIT_AS", "quality", |_| start(256)),
    Row::new(26, "start-1-gib", "starts and serves under RLIMIT_AS", "quality", |_| start(1 << 10)),
    Row::new(26, "start-4-gib", "starts and serves under RLIMIT_AS", "quality", |_| start(4 << 10)),
    Row::new(26, "start-32-gib", "starts and serves under RLIMIT_AS", "quality", |_| {
        start(32 << 10)
    }),
    Row::new(
        37,
        "memory-returns",
        "200 MiB that were freed are back at the system within seconds of ordinary work, \
         so that a cgroup's limit is not eaten by free memory",
        "quality; cgroup v2 memory.max",
        memory_returns,
    ),
    Row::new(
        38,
        "accountable",
        "at start less than 32 MiB count against the commit limit",
        "quality; the kernel's overcommit-accounting",
        accountable,
    ),
];

fn exhaustion(_: &Context) -> Outcome {
    pass_with(helper::ask(&["exhaust"], 55, |command| limit_space(command, 512))?)
}

/// Limits the address space of a program that is to be started.
fn limit_space(command: &mut Command, mebibytes: usize) {
    child::limit(command, libc::RLIMIT_AS, (mebibytes * MIB) as u64);
}

/// Takes all that 512 MiB of address space have, gives it back, takes it again.
pub(crate) fn exhaust() -> Result<String, String> {
    const MOST: usize = 700_000;
    let mut blocks = Vec::with_capacity(MOST);
    let first = fill(&mut blocks, MOST)?;
    ensure!(first < MOST, "{MOST} blocks of 1000 bytes fit into 512 MiB");
    ensure!(first > MOST / 10, "only {first} blocks of 1000 bytes fit into 512 MiB");
    blocks.clear();
    let large = Block::malloc(MIB);
    ensure!(large.is_some(), "no block of 1 MiB after everything was freed");
    drop(large);
    let second = fill(&mut blocks, MOST)?;
    ensure!(second > first / 10 * 9, "first {first} blocks, then {second}");
    blocks.clear();
    Ok(format!("{first} blocks, then {second}"))
}

/// Allocates until it is refused, and tells how often it was not.
fn fill(blocks: &mut Vec<Block>, most: usize) -> Result<usize, String> {
    while blocks.len() < most {
        c::set_errno(0);
        match Block::malloc(1000) {
            Some(mut block) => {
                block.set(0, 1);
                blocks.push(block);
            }
            None => {
                refused("malloc(1000)", None)?;
                // Still refused, and still well-behaved.
                c::set_errno(0);
                refused("malloc(64 MiB)", Block::malloc(64 * MIB))?;
                break;
            }
        }
    }
    Ok(blocks.len())
}

fn refuse(_: &Context) -> Outcome {
    pass_with(helper::ask(&["refuse-8-gib"], 25, |command| limit_space(command, 4 << 10))?)
}

/// Asks for more than there can be, and then for a little.
pub(crate) fn refuse_8_gib() -> Result<String, String> {
    let mut small = Block::malloc(1000).ok_or("malloc(1000): NULL")?;
    small.fill(1);
    for round in 0..3 {
        c::set_errno(0);
        refused("malloc(8 GiB)", Block::malloc(8 << 30))?;
        c::set_errno(0);
        refused("calloc(8 Gi, 1)", Block::calloc(8 << 30, 1))?;
        c::set_errno(0);
        refused("memalign(4096, 8 GiB)", Block::memalign(4096, 8 << 30))?;
        c::set_errno(0);
        small = match small.realloc(8 << 30) {
            Ok(_) => return Err("realloc(p, 8 GiB) succeeded".to_owned()),
            Err(small) => small,
        };
        refused("realloc(p, 8 GiB)", None)?;
        ensure!(small.holds(1, 1000), "the block has changed");
        for size in [1, 1000, 100_000, 10 * MIB] {
            let block = Block::malloc(size);
            ensure!(block.is_some(), "round {round}: malloc({size}) afterwards: NULL");
        }
    }
    Ok(String::new())
}

/// Who serves under this limit, and does a program that knows nothing of us work?
fn start(mebibytes: usize) -> Outcome {
    let here = c::who_serves().ok_or("nobody serves malloc")?.display().to_string();
    let there = helper::ask(&["served"], 10, |command| limit_space(command, mebibytes))?;
    ensure!(there == here, "under the limit malloc is served by {there}");
    let mut ls = Command::new("/bin/ls");
    limit_space(ls.args(["-l", "/"]).env("LC_ALL", "C"), mebibytes);
    let lines = helper::ask_program(&mut ls, 10).map_err(|error| format!("ls: {error}"))?;
    ensure!(lines.lines().count() > 3, "ls printed {lines:?}");
    pass()
}

fn accountable(_: &Context) -> Outcome {
    let _block = Block::malloc(100);
    let Some(bytes) = memory::accountable() else { return skip("no /proc/self/smaps") };
    ensure!(bytes < 32 * MIB, "{} MiB", bytes / MIB);
    if bytes == 0 { skip("the kernel does not tell") } else { pass() }
}

/// Half of it in small blocks and half in large ones. No `malloc_trim`: a program in
/// a container does not know that it should.
fn memory_returns(_: &Context) -> Outcome {
    let before = memory::resident();
    let mut blocks: Vec<Block> = (0..100_000).filter_map(|_| Block::malloc(1000)).collect();
    blocks.extend((0..50).filter_map(|_| Block::malloc(2 * MIB)));
    blocks.iter_mut().for_each(|block| block.touch(1000));
    let most = memory::resident();
    ensure!(most > before + 150 * MIB, "only {} MiB were resident", (most - before) / MIB);
    drop(blocks);
    let start = Instant::now();
    loop {
        for size in [100, 1000, 10_000, 100_000, 3 * MIB] {
            drop(Block::malloc(size));
        }
        let now = memory::resident().saturating_sub(before);
        if now < 24 * MIB {
            return pass_with(format!("{} MiB left", now / MIB));
        }
        ensure!(start.elapsed() < Duration::from_secs(10), "{} MiB more after 10 s", now / MIB);
        std::thread::sleep(Duration::from_millis(20));
    }
}
