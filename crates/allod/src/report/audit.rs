//! The allocator looks at itself while a program runs: builds with `cfg(audit)` only.
//!
//! `cargo xtask soak` builds such a library, with debug assertions, and has real
//! programs run on it. Every so many slow paths the invariants are tested
//! (`heap/check.rs`), and once more when the process ends. A fault ends the process in
//! words. Looks grow rarer as the process grows older, so that a load of seconds
//! stays one of seconds.
//!
//! Everything is looked at when the process has one thread, which the kernel knows,
//! and no slow path is under way below us. Otherwise only what the calling thread owns
//! is. In the child of a fork of several threads it stays at that: what those had in
//! hand is nobody's.
//!
//! `ALLOD_AUDIT` names a file that gets a line from each process: looks at everything,
//! and looks at a heap. Whoever reads it knows that somebody has looked.
#![allow(unsafe_code)]

use crate::heap::Heap;
use crate::local::{self, ALLOCATOR};
use crate::sync::{AtomicBool, AtomicUsize, Ordering};
use core::mem::MaybeUninit;

/// Slow paths that were heard of.
static HEARD: AtomicUsize = AtomicUsize::new(0);
/// Looks at everything, and at a heap.
static WHOLE: AtomicUsize = AtomicUsize::new(0);
static OWN: AtomicUsize = AtomicUsize::new(0);
/// Other threads may have left something half done.
static SPOILT: AtomicBool = AtomicBool::new(false);
/// The process has written its line.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Looks if it is time: at every slow path that is heard of at first, in the end at one
/// in a thousand.
pub(super) fn look() {
    // ORDERING: Relaxed on all here, counts.
    let heard = HEARD.fetch_add(1, Ordering::Relaxed) + 1;
    let rare = (heard >> 6).checked_ilog2().unwrap_or(0).min(10);
    if heard.is_multiple_of(1 << rare) {
        look_now(heard.is_multiple_of(1 << (rare + 1)));
    }
}

/// The last look of a process, and its line in the file.
pub(super) fn end() {
    if !local::is_open() {
        return;
    }
    look_now(true);
    // ORDERING: Relaxed, the end of a process has one thread.
    if TOLD.swap(true, Ordering::Relaxed) {
        return;
    }
    local::environment(c"ALLOD_AUDIT", |path| {
        let mut name = [0u8; 256];
        if let Some(place) = name.get_mut(..path.len()).filter(|place| place.len() < 256) {
            place.copy_from_slice(path);
            write_down(&name);
        }
    });
}

/// Before `fork`, with every lock held: of threads that fork at once, one is between here
/// and [`after_fork`].
pub(super) fn before_fork() {
    if !is_alone() {
        // ORDERING: Relaxed, read by this thread's own child.
        SPOILT.store(true, Ordering::Relaxed);
    }
}

/// After `fork`, in the parent, with every lock held yet.
pub(super) fn after_fork() {
    // ORDERING: Relaxed, the locks order the forks of this process; the parent lost nobody.
    SPOILT.store(false, Ordering::Relaxed);
}

fn look_now(at_everything: bool) {
    // ORDERING: Relaxed on all here, counts and this thread's own word.
    let is_whole = !SPOILT.load(Ordering::Relaxed);
    if at_everything && is_whole && is_alone() && ALLOCATOR.is_quiet() {
        ALLOCATOR.check();
        // ORDERING: Relaxed, as above.
        WHOLE.fetch_add(1, Ordering::Relaxed);
    } else if let Some(heap) = local::present() {
        look_at(heap);
    }
}

fn look_at(heap: &Heap) {
    ALLOCATOR.check_own(heap);
    // ORDERING: Relaxed, a count.
    OWN.fetch_add(1, Ordering::Relaxed);
}

/// True when this is the only thread: the folder of the process's threads has two links
/// and one for each.
fn is_alone() -> bool {
    let mut about = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the name ends in zero, and `about` is writable.
    let done = unsafe { libc::stat(c"/proc/self/task".as_ptr(), about.as_mut_ptr()) };
    // SAFETY: zeros are a record, and so is what the call has written.
    done == 0 && unsafe { about.assume_init() }.st_nlink == 3
}

/// Adds this process's line to the file `name`.
fn write_down(name: &[u8; 256]) {
    let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_CLOEXEC;
    // SAFETY: the name ends in zero.
    let file = unsafe { libc::open(name.as_ptr().cast(), flags, 0o644) };
    if file < 0 {
        return;
    }
    // ORDERING: Relaxed, counts.
    let counts = [&WHOLE, &OWN].map(|count| count.load(Ordering::Relaxed));
    let mut line = [b' '; 42];
    for (mut count, field) in counts.into_iter().zip(line.chunks_exact_mut(21)) {
        for digit in field.iter_mut().rev().skip(1) {
            *digit = b'0' + (count % 10) as u8;
            count /= 10;
        }
    }
    if let Some(last) = line.last_mut() {
        *last = b'\n';
    }
    // SAFETY: the line is readable. One call, so lines of processes do not mix.
    unsafe { libc::write(file, line.as_ptr().cast(), line.len()) };
    // SAFETY: the descriptor is ours.
    unsafe { libc::close(file) };
}
