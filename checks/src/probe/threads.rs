//! Rows 30 to 33: threads that come and go, small stacks, locked memory.
#![allow(unsafe_code)]

use crate::row::{Context, Outcome, Row, ensure, pass, pass_with, skip};
use allod_checks::block::Block;
use allod_checks::memory::{self, MIB};
use allod_checks::work::{Random, churn};
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, mpsc};
use std::{ptr, thread};

pub(crate) const ROWS: &[Row] = &[
    Row::new(
        30,
        "key-destructors",
        "8 thread keys whose destructors allocate and set themselves again",
        "POSIX.1-2024 pthread_key_create",
        key_destructors,
    ),
    Row::new(
        31,
        "thread-churn",
        "3000 threads: at most 8 MiB more memory",
        "quality",
        thread_churn,
    ),
    Row::new(
        31,
        "orphans",
        "blocks that outlive their thread are freed by another, and used again",
        "quality",
        orphans,
    ),
    Row::new(
        31,
        "producer-consumer",
        "what one thread allocates and another frees does not pile up",
        "quality",
        producer_consumer,
    ),
    Row::new(
        31,
        "sleepers",
        "1000 threads that allocate 1 KiB and sleep: at most 20 KiB each, stack included, fences apart",
        "quality",
        sleepers,
    ),
    Row::new(
        31,
        "grown-up",
        "200 threads at once allocate more and more, end, and leave nothing behind",
        "quality",
        grown_up,
    ),
    Row::new(
        32,
        "small-stack",
        "a thread with a stack of PTHREAD_STACK_MIN allocates",
        "POSIX.1-2024 pthread_attr_setstacksize",
        small_stack,
    ),
    Row::new(
        33,
        "mlockall",
        "under mlockall(MCL_CURRENT | MCL_FUTURE) less than 128 MiB more are resident",
        "mlockall(2)",
        mlockall,
    ),
];

/// The eight keys of this process, 0 until made.
static KEYS: [AtomicUsize; 8] = [const { AtomicUsize::new(0) }; 8];
static DESTRUCTIONS: AtomicUsize = AtomicUsize::new(0);

/// Frees the key's block and, three times out of four, sets another.
extern "C" fn destroy(value: *mut c_void) {
    // ORDERING: Relaxed, a count; threads are joined before it is read.
    DESTRUCTIONS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: every value of these keys is a block of 64 bytes that was given away.
    let Some(block) = (unsafe { Block::from_raw(value, 64) }) else { return };
    let (index, left) = (block.get(0), block.get(1));
    drop(block);
    if churn(u64::from(index), 20, 14).is_err() {
        std::process::abort();
    }
    if left > 0 {
        set_key(index, left - 1);
    }
}

fn set_key(index: u8, left: u8) {
    let Some(mut block) = Block::malloc(64) else { std::process::abort() };
    block.set(0, index);
    block.set(1, left);
    // ORDERING: Relaxed, the keys are made before any thread is.
    let key = KEYS[usize::from(index)].load(Ordering::Relaxed);
    // SAFETY: the key exists.
    unsafe { libc::pthread_setspecific(key as libc::pthread_key_t, block.into_raw()) };
}

fn key_destructors(_: &Context) -> Outcome {
    const THREADS: usize = 64;
    for key in &KEYS {
        let mut made: libc::pthread_key_t = 0;
        // SAFETY: `made` can be written, and the destructor is a function of this program.
        let result = unsafe { libc::pthread_key_create(&raw mut made, Some(destroy)) };
        ensure!(result == 0, "pthread_key_create: {result}");
        // ORDERING: Relaxed, starting a thread publishes it.
        key.store(made as usize, Ordering::Relaxed);
    }
    for round in 0..THREADS / 8 {
        let threads: Vec<_> = (0..8)
            .map(|seed| {
                thread::spawn(move || {
                    for index in 0..8 {
                        // Three times again, which is as often as POSIX calls.
                        set_key(index, 3);
                    }
                    churn((round * 8 + seed) as u64, 100, 14)
                })
            })
            .collect();
        for thread in threads {
            thread.join().map_err(|_| "a thread panicked")??;
        }
    }
    // ORDERING: Relaxed, the threads are joined.
    let calls = DESTRUCTIONS.load(Ordering::Relaxed);
    ensure!(calls == THREADS * 8 * 4, "{calls} calls of destructors, not {}", THREADS * 8 * 4);
    pass()
}

fn some_threads(count: usize) -> Result<(), String> {
    for round in 0..count / 10 {
        let threads: Vec<_> = (0..10)
            .map(|seed| thread::spawn(move || churn((round * 10 + seed) as u64, 100, 12)))
            .collect();
        for thread in threads {
            thread.join().map_err(|_| "a thread panicked")??;
        }
    }
    Ok(())
}

fn thread_churn(_: &Context) -> Outcome {
    some_threads(100)?;
    let before = memory::resident();
    some_threads(3000)?;
    let grown = memory::resident().saturating_sub(before);
    let remark = format!("{} KiB more", grown >> 10);
    ensure!(grown <= 8 * MIB, "{remark}");
    pass_with(remark)
}

fn orphans(_: &Context) -> Outcome {
    let round = |seed: u64| -> Result<(), String> {
        let made = thread::spawn(move || {
            let mut random = Random::new(seed);
            let make = |_| {
                let mut block = Block::malloc(random.size(12))?;
                block.fill(seed as u8);
                Some(block)
            };
            (0..20_000).map(make).collect::<Option<Vec<Block>>>()
        });
        let mut blocks = made.join().map_err(|_| "a thread panicked")?.ok_or("NULL")?;
        for block in &mut blocks {
            let size = block.size();
            ensure!(block.holds(seed as u8, size), "a block has changed after its thread ended");
        }
        Ok(())
    };
    (0..3).try_for_each(round)?;
    let before = memory::resident();
    (3..30).try_for_each(round)?;
    let grown = memory::resident().saturating_sub(before);
    let remark = format!("{} KiB more", grown >> 10);
    // Each round is about 15 MiB.
    ensure!(grown <= 24 * MIB, "{remark}");
    pass_with(remark)
}

fn producer_consumer(context: &Context) -> Outcome {
    let batches = if context.long { 20_000 } else { 2000 };
    let (send, receive) = mpsc::sync_channel::<Vec<Block>>(8);
    let producer = thread::spawn(move || {
        let mut random = Random::new(31);
        for _ in 0..batches {
            let make = |_| {
                let mut block = Block::malloc(random.size(10))?;
                block.set(0, 1);
                Some(block)
            };
            let Some(batch) = (0..500).map(make).collect() else { return Err("NULL".to_owned()) };
            if send.send(batch).is_err() {
                break;
            }
        }
        Ok(())
    });
    let before = memory::resident();
    let mut most = 0;
    for (count, batch) in receive.iter().enumerate() {
        drop(batch);
        if count % 100 == 0 {
            most = most.max(memory::resident().saturating_sub(before));
        }
    }
    producer.join().map_err(|_| "a thread panicked")??;
    let remark = format!("at most {} KiB more", most >> 10);
    // Ten batches are under way at a time, about 1 MiB.
    ensure!(most <= 32 * MIB, "{remark}");
    pass_with(remark)
}

/// Starts `count` threads that are all alive at once: each does `first`, waits until
/// all have, and then does `then`. Gives what `look` saw in between.
fn all_at_once<T: Send, R>(
    count: usize,
    first: impl Fn(u64) -> Result<T, String> + Sync,
    look: impl FnOnce() -> R,
    then: impl Fn(T) -> Result<(), String> + Sync,
) -> Result<R, String> {
    let (done, go) = (Barrier::new(count + 1), Barrier::new(count + 1));
    thread::scope(|scope| {
        let (done, go, first, then) = (&done, &go, &first, &then);
        let life = move |seed| {
            let result = first(seed);
            done.wait();
            go.wait();
            then(result?)
        };
        let threads: Vec<_> = (0..count).map(|i| scope.spawn(move || life(i as u64))).collect();
        done.wait();
        let seen = look();
        go.wait();
        for thread in threads {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok(seen)
    })
}

fn sleepers(_: &Context) -> Outcome {
    const COUNT: usize = 1000;
    let a_little = |seed: u64| {
        let make = |i: u32| {
            let mut block = Block::malloc(16 << (i % 5))?;
            block.fill(seed as u8);
            Some(block)
        };
        (0..8)
            .map(make)
            .collect::<Option<Vec<_>>>()
            .map(|blocks| (seed, blocks))
            .ok_or("NULL".to_owned())
    };
    let before = memory::resident();
    let look = || (memory::resident().saturating_sub(before), memory::fenced());
    let (grown, fenced) = all_at_once(COUNT, a_little, look, |(seed, blocks)| {
        let whole = blocks.iter().all(|block| block.holds(seed as u8, block.size()));
        ensure!(whole, "another thread has written to a block");
        Ok(())
    })?;
    let each = |bytes: usize| bytes as f64 / 1024.0 / COUNT as f64;
    let mut remark = format!("{:.1} KiB each", each(grown));
    // Where each object has pages of its own between closed ones an access past it is seen at
    // once; whoever asks for that asks for the pages, and they are told apart.
    if fenced >= COUNT << 10 {
        remark += &format!(", {:.1} of it in pages between closed ones", each(fenced));
    }
    // The stack, and what the kernel keeps for a thread, are 13 to 14 KiB of it.
    ensure!(grown.saturating_sub(fenced) <= (COUNT * 20) << 10, "{remark}");
    pass_with(remark)
}

fn grown_up(_: &Context) -> Outcome {
    let round = || all_at_once(200, |seed| churn(seed, 300, 12), || (), |()| churn(1, 100, 12));
    // Heaps that are passed on have seen all classes after a few rounds.
    for _ in 0..8 {
        round()?;
    }
    let before = memory::resident();
    for _ in 0..8 {
        round()?;
    }
    let grown = memory::resident().saturating_sub(before);
    let remark = format!("{} KiB more", grown >> 10);
    ensure!(grown <= 24 * MIB, "{remark}");
    pass_with(remark)
}

/// Runs on a stack of 16 KiB, so it has no large variables and calls little.
extern "C" fn on_small_stack(_: *mut c_void) -> *mut c_void {
    for size in [1, 16, 100, 1000, 5000, 40_000, 300_000, 2 * MIB, 70 * MIB] {
        let Some(mut block) = Block::malloc(size) else { return ptr::without_provenance_mut(1) };
        block.set(size - 1, 1);
        let Some(zeros) = Block::calloc(1, size) else { return ptr::without_provenance_mut(2) };
        let Ok(grown) = block.realloc(size * 2) else { return ptr::without_provenance_mut(3) };
        let Some(aligned) = Block::memalign(4096, size) else {
            return ptr::without_provenance_mut(4);
        };
        drop((zeros, grown, aligned));
    }
    ptr::null_mut()
}

fn small_stack(_: &Context) -> Outcome {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::zeroed();
    // SAFETY: `attributes` can be written.
    unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) };
    let size = libc::PTHREAD_STACK_MIN;
    // SAFETY: `attributes` was set up by the call above.
    let result = unsafe { libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), size) };
    ensure!(result == 0, "pthread_attr_setstacksize: {result}");
    // Wide enough that nobody steps over it.
    // SAFETY: as above.
    let result = unsafe { libc::pthread_attr_setguardsize(attributes.as_mut_ptr(), MIB) };
    ensure!(result == 0, "pthread_attr_setguardsize: {result}");
    for _ in 0..20 {
        let mut thread: libc::pthread_t = 0;
        // SAFETY: `thread` can be written, the attributes are set up, and the
        // function uses no argument.
        let result = unsafe {
            libc::pthread_create(
                &raw mut thread,
                attributes.as_ptr(),
                on_small_stack,
                ptr::null_mut(),
            )
        };
        ensure!(result == 0, "pthread_create: {result}");
        let mut answer = ptr::null_mut();
        // SAFETY: the thread is ours and `answer` can be written.
        unsafe { libc::pthread_join(thread, &raw mut answer) };
        ensure!(answer.is_null(), "in the thread: NULL, case {}", answer.addr());
    }
    pass_with(format!("{size} bytes"))
}

fn mlockall(_: &Context) -> Outcome {
    let resident = memory::resident();
    let before = memory::status("self", "VmLck").unwrap_or(0);
    // SAFETY: `mlockall` has no conditions.
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) };
    if result != 0 {
        return skip(format!("mlockall: {}", std::io::Error::last_os_error()));
    }
    let mut blocks = Vec::new();
    for seed in 0..10_000 {
        let mut block = Block::malloc(1000).ok_or("NULL")?;
        block.fill(seed as u8);
        blocks.push(block);
    }
    let worked = thread::spawn(|| churn(33, 1000, 16)).join().map_err(|_| "a thread panicked")?;
    worked?;
    // A thread's own stack is 2 MiB of it.
    let locked = memory::status("self", "VmLck").unwrap_or(0).saturating_sub(before);
    let grown = memory::resident().saturating_sub(resident);
    let remark = format!("{} MiB more resident, {} MiB more locked", grown / MIB, locked / MIB);
    ensure!(grown < 128 * MIB, "{remark}");
    pass_with(remark)
}
