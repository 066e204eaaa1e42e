//! A real process on Allod: what the unit tests cannot see from inside.
//!
//! Every test here runs with Allod as the process's allocator, the test
//! harness's own threads included.
#![allow(unsafe_code)]
#![cfg(not(feature = "system"))]

use allod::{Allocator, Global, Heap};
use std::alloc::{GlobalAlloc, Layout};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

#[global_allocator]
static GLOBAL: allod::Allod = allod::Allod::new();

/// Runs the test `name` in a process of its own: for tests that look at the
/// process's figures, which the other tests change. True in that process.
fn alone(name: &str) -> bool {
    if std::env::var_os("ALLOD_TEST_ALONE").is_some() {
        return true;
    }
    // An emulated program cannot start itself anew: the machine would have to run it.
    if std::env::var_os("ALLOD_TEST_EMULATED").is_some() {
        return false;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env("ALLOD_TEST_ALONE", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    false
}

fn usage() -> libc::rusage {
    // SAFETY: all zeros is a value of this plain struct.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is writable.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    usage
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

#[test]
fn objects_keep_what_they_hold_across_threads() {
    let (give, take) = channel::<Vec<u8>>();
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for t in 0..4usize {
            let give = give.clone();
            let done = &done;
            scope.spawn(move || {
                for i in 0..20_000usize {
                    let size = (i * 7919 + t * 104_729) % 3000 + 1;
                    let mut object = vec![(size % 251) as u8; size];
                    if i % 10 == 0 {
                        object.reserve_exact(size * 3);
                    }
                    give.send(object).unwrap();
                }
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        drop(give);
        let mut count = 0;
        for object in take {
            let fill = (object.len() % 251) as u8;
            assert!(object.iter().all(|&byte| byte == fill));
            count += 1;
        }
        assert_eq!(count, 80_000);
    });
    assert_eq!(done.load(Ordering::Relaxed), 4);
}

#[test]
fn collections_of_every_kind_agree_with_themselves() {
    let mut map = HashMap::new();
    let mut tree = BTreeMap::new();
    for i in 0..50_000u64 {
        map.insert(i, i.to_string());
        tree.insert(i.wrapping_mul(0x9E37_79B9), vec![i; (i % 17) as usize]);
        if i % 3 == 0 {
            map.remove(&(i / 2));
        }
    }
    assert!(map.iter().all(|(key, value)| *value == key.to_string()));
    assert!(tree.values().all(|row| row.iter().all(|&x| row[0] == x)));
}

#[cfg(target_pointer_width = "64")]
#[test]
fn a_vector_pushed_to_a_gibibyte_copies_less_than_a_mebibyte() {
    if !alone("a_vector_pushed_to_a_gibibyte_copies_less_than_a_mebibyte") {
        return;
    }
    let before = allod::stats().copied;
    let mut bytes = Vec::<u8>::new();
    while bytes.len() < 1 << 30 {
        bytes.push(bytes.len() as u8);
    }
    let copied = allod::stats().copied - before;
    assert!(copied <= 1 << 20, "{copied} bytes copied");
    assert!((0..1 << 30).step_by(4093).all(|i| bytes[i] == i as u8));
}

#[test]
fn zeroed_memory_that_is_fresh_is_not_touched() {
    if !alone("zeroed_memory_that_is_fresh_is_not_touched") {
        return;
    }
    // Every other of these objects is a sample: its tables, and the list of modules, which is read again when
    // some time has passed, are pages too (20 more in one run of fifty on a busy machine).
    allod::set(allod::config::Key::Profile, 0).unwrap();
    let mut objects = Vec::with_capacity(40);
    let before = usage().ru_minflt;
    for i in 0..40usize {
        let layout = Layout::from_size_align((1 << 20) - i * 32768 % 900_000, 16).unwrap();
        // SAFETY: the size is not 0.
        let at = unsafe { GLOBAL.alloc_zeroed(layout) };
        assert!(!at.is_null());
        objects.push((at, layout));
    }
    let faults = usage().ru_minflt - before;
    // The records of the chunks, the map, this test's own vector: a page each.
    assert!(faults < 40, "{faults} page faults for 40 objects of up to 256 pages");
    for (at, layout) in objects {
        // SAFETY: the object holds the layout's size.
        assert!(unsafe { std::slice::from_raw_parts(at, layout.size()) }.iter().all(|&b| b == 0));
        // SAFETY: allocated above with this layout.
        unsafe { at.write_bytes(0xAA, layout.size()) };
        // SAFETY: as above.
        unsafe { GLOBAL.dealloc(at, layout) };
    }
    for _ in 0..40 {
        let again = vec![0u8; 700_000];
        assert!(again.iter().all(|&byte| byte == 0));
    }
}

#[test]
fn every_alignment_up_to_a_gibibyte_is_kept() {
    // A 32-bit process has no room for a gibibyte's alignment.
    for shift in 0..=if cfg!(target_pointer_width = "64") { 30 } else { 26 } {
        for size in [1, 24, 4096, 40_000, 1_100_000] {
            let layout = Layout::from_size_align(size, 1 << shift).unwrap();
            // SAFETY: the size is not 0.
            let at = unsafe { GLOBAL.alloc(layout) };
            assert!(!at.is_null() && at.addr().is_multiple_of(1 << shift), "{layout:?}");
            // SAFETY: the object holds `size` bytes.
            unsafe { at.write_bytes(1, size) };
            let bigger = size * 2 + 1;
            // SAFETY: allocated with this layout.
            let moved = unsafe { GLOBAL.realloc(at, layout, bigger) };
            assert!(!moved.is_null() && moved.addr().is_multiple_of(1 << shift));
            // SAFETY: the object holds at least `size` bytes.
            assert_eq!(unsafe { std::slice::from_raw_parts(moved, size) }[size - 1], 1);
            let layout = Layout::from_size_align(bigger, 1 << shift).unwrap();
            // SAFETY: reallocated to this layout.
            unsafe { GLOBAL.dealloc(moved, layout) };
        }
    }
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    for size in [isize::MAX as usize, isize::MAX as usize - 4096] {
        let Ok(layout) = Layout::from_size_align(size, 8) else { continue };
        // SAFETY: the size is not 0.
        assert!(unsafe { GLOBAL.alloc(layout) }.is_null(), "{size:#x}");
        // SAFETY: the size is not 0.
        assert!(unsafe { GLOBAL.alloc_zeroed(layout) }.is_null(), "{size:#x}");
    }
    let layout = Layout::from_size_align(100, 8).unwrap();
    // SAFETY: the size is not 0.
    let at = unsafe { GLOBAL.alloc(layout) };
    // SAFETY: allocated above.
    assert!(unsafe { GLOBAL.realloc(at, layout, isize::MAX as usize - 8) }.is_null());
    // SAFETY: still there.
    unsafe { GLOBAL.dealloc(at, layout) };
}

#[test]
fn the_figures_agree_with_the_kernels() {
    if !alone("the_figures_agree_with_the_kernels") {
        return;
    }
    allod::trim(0);
    let (stats, kernel) = (allod::stats(), resident());
    let objects: Vec<Vec<u8>> = (0..60_000).map(|i| vec![1; 500 + i % 3000]).collect();
    let big = vec![1u8; 50 << 20];
    let (after, kernel_after) = (allod::stats(), resident());
    let ours = after.resident as f64 - stats.resident as f64;
    let theirs = kernel_after as f64 - kernel as f64;
    assert!((ours / theirs - 1.0).abs() < 0.02, "we say {ours}, the kernel {theirs}");
    let asked: usize = objects.iter().map(Vec::len).sum::<usize>() + big.len();
    let grown = after.allocated - stats.allocated;
    assert!(grown >= asked && grown < asked + asked / 8, "{grown} for {asked}");
    assert!(after.allocated <= after.active && after.active <= after.mapped);
    let rows: usize = after.classes.iter().map(|row| row.in_use * row.block_size).sum();
    assert_eq!(rows + after.large + after.huge, after.allocated);
    drop((objects, big));
    assert!(allod::trim(0) > 50 << 20);
    assert!(resident() < kernel + (40 << 20));
}

#[test]
fn layouts_that_share_a_class_lose_none_of_its_blocks() {
    if !alone("layouts_that_share_a_class_lose_none_of_its_blocks") {
        return;
    }
    // The fast path takes the first; the second goes the slow way each time.
    let layouts = [8, 128].map(|align| Layout::from_size_align(2048, align).unwrap());
    let mut early = 0;
    for turn in 0..4_000 {
        if turn == 400 {
            early = resident();
        }
        for (layout, count) in std::hint::black_box(layouts).into_iter().zip([7, 1]) {
            // SAFETY: the size is not 0.
            let held: Vec<_> = (0..count).map(|_| unsafe { GLOBAL.alloc(layout) }).collect();
            for at in held {
                assert!(!at.is_null());
                // SAFETY: the object is live and holds bytes.
                unsafe { at.write_bytes(1, layout.size()) };
                // SAFETY: a live object of this layout.
                unsafe { GLOBAL.dealloc(at, layout) };
            }
        }
    }
    let grown = resident().saturating_sub(early);
    assert!(grown < 1 << 20, "{grown} bytes more");
}

/// Batches for other heaps cost more than lists of one's own, and a thread that frees
/// what it has allocated has no use for them.
#[test]
fn blocks_of_every_alignment_are_freed_by_their_own_thread_the_short_way() {
    if !alone("blocks_of_every_alignment_are_freed_by_their_own_thread_the_short_way") {
        return;
    }
    let before = allod::stats().remote_frees;
    for align in (0..=15).map(|shift| 1usize << shift) {
        for size in [8, 100, 384, 1000, 1025, 3000, 20_000] {
            let layout = Layout::from_size_align(std::hint::black_box(size), align).unwrap();
            for _ in 0..100 {
                // SAFETY: the size is not 0.
                let block = unsafe { GLOBAL.alloc(layout) };
                // SAFETY: allocated with this layout, and freed once.
                unsafe { GLOBAL.dealloc(block, layout) };
            }
        }
    }
    let remote = allod::stats().remote_frees - before;
    assert!(remote < 100, "{remote} blocks went through the ring");
}

/// Threads of this process that are called `allod`: the signals that each blocks.
fn our_threads() -> Vec<u64> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let status =
        tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).ok());
    let ours = status.filter(|text| text.starts_with("Name:\tallod\n"));
    let blocked = |text: String| {
        let line = text.lines().find(|line| line.starts_with("SigBlk:")).unwrap();
        u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
    };
    ours.map(blocked).collect()
}

/// Waits until `what` is so, which must not take for ever.
fn wait_until(what: impl Fn() -> bool) -> bool {
    (0..3000).any(|_| {
        thread::sleep(std::time::Duration::from_millis(10));
        what()
    })
}

#[test]
fn with_a_thread_of_ours_memory_goes_back_while_nobody_calls() {
    if !alone("with_a_thread_of_ours_memory_goes_back_while_nobody_calls") {
        return;
    }
    allod::set(allod::config::Key::PurgeDelay, 50).unwrap();
    assert!(our_threads().is_empty());
    allod::set(allod::config::Key::Background, 1).unwrap();
    // All but the kernel's and the C library's own: those can't be blocked.
    assert!(wait_until(|| our_threads().iter().any(|blocked| blocked.count_ones() >= 60)));
    let rows: Vec<Vec<u8>> = (0..1000).map(|i| vec![1; 60_000 + i]).collect();
    let full = purged();
    drop(rows);
    // `purged` reads the figure that costs no upkeep, so only the thread gives back.
    assert!(wait_until(|| purged() - full >= 50 << 20), "{} bytes", purged() - full);
    // SAFETY: the child looks at its threads, and leaves by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let none = our_threads().is_empty();
        allod::set(allod::config::Key::Background, 1).unwrap();
        let again = wait_until(|| our_threads().len() == 1);
        // SAFETY: leaves without the parent's destructors.
        unsafe { libc::_exit(i32::from(!(none && again))) };
    }
    let mut status = 0;
    // SAFETY: `status` is writable.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!((waited, status), (child, 0));
    allod::set(allod::config::Key::Background, 0).unwrap();
    assert!(our_threads().is_empty(), "it has been joined");
}

fn purged() -> usize {
    allod::stats().purged
}

#[test]
fn threads_that_come_and_go_leave_no_memory_behind() {
    if !alone("threads_that_come_and_go_leave_no_memory_behind") {
        return;
    }
    let round = || {
        for _ in 0..50 {
            thread::scope(|scope| {
                for t in 0..4 {
                    scope.spawn(move || {
                        let rows: Vec<String> = (0..200).map(|i| "x".repeat(i * t + 1)).collect();
                        assert_eq!(rows.len(), 200);
                    });
                }
            });
        }
    };
    round();
    let before = resident();
    for _ in 0..5 {
        round();
    }
    let after = resident();
    assert!(after < before + (8 << 20), "{before} before, {after} after 1000 more threads");
}

#[test]
fn a_heap_of_ones_own_gives_everything_back_at_once() {
    if !alone("a_heap_of_ones_own_gives_everything_back_at_once") {
        return;
    }
    let before = allod::stats().allocated;
    let heap = Heap::new().unwrap();
    thread::scope(|scope| {
        for t in 0..3usize {
            let heap = &heap;
            scope.spawn(move || {
                for i in 1..3000usize {
                    let layout = Layout::from_size_align(i * (t + 1) * 3, 8).unwrap();
                    let block = heap.allocate(layout).unwrap();
                    // SAFETY: the block holds its layout's size.
                    unsafe { block.cast::<u8>().write_bytes(t as u8, layout.size()) };
                    if i % 3 == 0 {
                        // SAFETY: allocated above, with this layout.
                        unsafe { heap.deallocate(block.cast(), layout) };
                    }
                }
            });
        }
    });
    assert!(allod::stats().allocated > before + (10 << 20));
    drop(heap);
    let left = allod::stats().allocated.saturating_sub(before);
    assert!(left < 1 << 20, "{left} bytes outlived their heap");
}

/// Grows a block by what it has just given up. False when another test's thread was quicker,
/// and has taken that.
fn grows_in_place() -> bool {
    let layout = |size| Layout::from_size_align(size, 16).unwrap();
    let block = Global.allocate(layout(500_000)).unwrap().cast::<u8>();
    // SAFETY: the block is live, with this layout.
    let usable = unsafe { Global.usable_size(block, layout(500_000)) };
    assert!(usable >= 500_000);
    // SAFETY: as above.
    let shrunk = unsafe { Global.reallocate_in_place(block, layout(500_000), layout(300_000)) };
    assert_eq!(shrunk.unwrap().cast(), block);
    // SAFETY: as above, with the new layout.
    let grown = unsafe { Global.reallocate_in_place(block, layout(300_000), layout(450_000)) };
    let size = if grown.is_ok() { 450_000 } else { 300_000 };
    assert_eq!(grown.unwrap_or(shrunk.unwrap()).cast(), block);
    // SAFETY: as above.
    let never =
        unsafe { Global.reallocate_in_place(block, layout(size), layout(isize::MAX as usize / 2)) };
    assert!(never.is_err());
    // SAFETY: as above; not used again.
    unsafe { Global.deallocate(block, layout(size)) };
    size == 450_000
}

#[test]
fn the_trait_grows_in_place_where_it_can() {
    assert!((0..1000).any(|_| grows_in_place()), "not once in a thousand times");
}

#[test]
fn a_block_may_change_its_alignment_on_the_way() {
    let layout = |size, align| Layout::from_size_align(size, align).unwrap();
    let steps =
        [(40, 64), (40, 8), (100, 4096), (104, 8), (70_000, 65_536), (24, 8), (24, 1 << 20)];
    let mut block = Global.allocate(layout(40, 8)).unwrap().cast::<u8>();
    let mut old = layout(40, 8);
    // SAFETY: the block holds 40 bytes.
    unsafe { block.write_bytes(7, 24) };
    for (size, align) in steps {
        let new = layout(size, align);
        // SAFETY: the block is live, with the layout `old`.
        block = unsafe { Global.reallocate(block, old, new) }.unwrap().cast();
        assert!(block.addr().get().is_multiple_of(align));
        // SAFETY: every layout here holds 24 bytes.
        assert_eq!(unsafe { std::slice::from_raw_parts(block.as_ptr(), 24) }, [7; 24]);
        old = new;
    }
    // SAFETY: as above; not used again.
    unsafe { Global.deallocate(block, old) };
}

static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handler(_: libc::c_int) {
    // What no program should do, and many do all the same.
    let sizes = [24, 700, 5000, 40_000, 3 << 20];
    let size = sizes[HANDLED.fetch_add(1, Ordering::Relaxed) % sizes.len()];
    let layout = Layout::from_size_align(size, 8).unwrap();
    // SAFETY: the size is not 0.
    let at = unsafe { GLOBAL.alloc(layout) };
    if !at.is_null() {
        // SAFETY: allocated just now.
        unsafe { GLOBAL.dealloc(at, layout) };
    }
}

/// Runs alone in a process of its own: a handler may break the list that it
/// interrupts (in this allocator as in every other with lists for each thread);
/// what is promised is that it comes back.
#[test]
fn a_handler_that_allocates_comes_back() {
    if std::env::var_os("ALLOD_TEST_EMULATED").is_some() {
        return;
    }
    if std::env::var_os("ALLOD_TEST_SIGNALS").is_none() {
        let me = std::env::current_exe().unwrap();
        let mut child = std::process::Command::new(me)
            .args(["--exact", "a_handler_that_allocates_comes_back"])
            .env("ALLOD_TEST_SIGNALS", "1")
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..600 {
            if child.try_wait().unwrap().is_some() {
                return;
            }
            thread::sleep(std::time::Duration::from_millis(100));
        }
        child.kill().unwrap();
        panic!("a handler hangs");
    }
    // SAFETY: `handler` has the right shape.
    unsafe { libc::signal(libc::SIGPROF, handler as *const () as libc::sighandler_t) };
    let interval = libc::timeval { tv_sec: 0, tv_usec: 500 };
    let timer = libc::itimerval { it_interval: interval, it_value: interval };
    // SAFETY: `timer` is readable.
    unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const timer, std::ptr::null_mut()) };
    let start = std::time::Instant::now();
    let mut rows: Vec<Vec<u8>> = Vec::new();
    while start.elapsed().as_secs() < 3 {
        rows.push(vec![0; rows.len() * 37 % 9000]);
        if rows.len() > 2000 {
            rows.clear();
        }
    }
    // SAFETY: ends the test without running more of this process.
    unsafe { libc::_exit(i32::from(HANDLED.load(Ordering::Relaxed) == 0)) };
}

#[test]
fn the_child_of_a_fork_allocates_and_starts_threads() {
    let stop = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while stop.load(Ordering::Relaxed) == 0 {
                    drop((0..100).map(|i| vec![1u8; i * 50]).collect::<Vec<_>>());
                }
            });
        }
        for _ in 0..40 {
            // SAFETY: the child only allocates, and leaves by `_exit`.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let rows: Vec<Vec<u8>> = (0..2000).map(|i| vec![2; i]).collect();
                let sum: usize = rows.iter().map(Vec::len).sum();
                drop(rows);
                // SAFETY: leaves without the parent's destructors.
                unsafe { libc::_exit(i32::from(sum != 1_999_000)) };
            }
            let mut status = 0;
            // SAFETY: `status` is writable.
            let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!((waited, status), (child, 0));
        }
        stop.store(1, Ordering::Relaxed);
    });
}
