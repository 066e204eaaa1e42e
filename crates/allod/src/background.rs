//! The optional thread that gives memory back while nobody calls us.
//!
//! All upkeep happens when some thread comes by a slow path. A program that falls
//! silent makes no calls, so what it freed last stays. With the option `background`
//! a thread of ours comes by instead, twice in a purge delay while there is
//! something to give back, and once a second otherwise.
//!
//! ```text
//!   IDLE ---start---> STARTING ----> RUNNING ---stop---> STOPPING ---joined---> OFF
//!     ^                   \_____________\_____________________\_________________^ |
//!     |                      refused; or, from each, the child of a fork          |
//!     +------------------- the program asks for it (`obey`) ----------------------+
//! ```
//!
//! # When it starts
//!
//! Lazily: at the first upkeep of a Rust program, which runs in code of the
//! program's own. `liballod.so` is called by the loader as well, which may hold
//! locks that `pthread_create` wants; so there it starts with the constructor. A
//! child of a fork has not the thread that its parent had and gets none by itself, for
//! most children call `exec` at once; the program may ask for one (`allod::set`).
//!
//! # What the program sees of it
//!
//! A thread named `allod` with a small stack and every signal blocked. It has no
//! heap, allocates nothing, and ends before our code is unloaded. The batches of
//! sleeping threads stay where they are: they are touched without a lock (P1).
#![allow(unsafe_code)]

use crate::config::Key;
use crate::local::{self, ALLOCATOR};
use crate::sync::{AtomicU32, AtomicUsize, Ordering};
use core::mem::MaybeUninit;
use core::ptr;

const IDLE: u32 = 0;
const STARTING: u32 = 1;
const RUNNING: u32 = 2;
const STOPPING: u32 = 3;
const OFF: u32 = 4;

/// Bytes of the thread's stack. It calls little, but a library with much
/// thread-local memory takes that from here.
const STACK: usize = 128 << 10;
/// Milliseconds between two rounds when there is nothing to give back.
const QUIET: u64 = 1000;

static STATE: AtomicU32 = AtomicU32::new(IDLE);
static THREAD: AtomicUsize = AtomicUsize::new(0);

/// True when the options ask for the thread.
pub(crate) fn is_wanted() -> bool {
    local::option(Key::Background) != 0
}

/// Starts the thread if it has never been started. Called without any lock of ours.
#[inline]
pub(crate) fn start() {
    // ORDERING: Relaxed, the exchange decides.
    if STATE.load(Ordering::Relaxed) == IDLE {
        start_now();
    }
}

/// Starts the thread, or ends it, because the program says so.
pub(crate) fn obey(wanted: bool) {
    if !wanted {
        return stop();
    }
    // ORDERING: Relaxed on both, nothing is read on the strength of it.
    let _ = STATE.compare_exchange(OFF, IDLE, Ordering::Relaxed, Ordering::Relaxed);
    start();
}

#[cold]
fn start_now() {
    // What `pthread_create` allocates we serve, and come by here again meanwhile.
    // ORDERING: Relaxed on both: who wins starts the thread, nothing is read.
    let turn = STATE.compare_exchange(IDLE, STARTING, Ordering::Relaxed, Ordering::Relaxed);
    if turn.is_err() {
        return;
    }
    let thread = create();
    // ORDERING: Relaxed, published by the store below.
    THREAD.store(thread.unwrap_or(0), Ordering::Relaxed);
    let state = if thread.is_some() { RUNNING } else { OFF };
    // ORDERING: Release pairs with the Acquire in `stop`: the thread is known.
    STATE.store(state, Ordering::Release);
}

/// A thread with a small stack and no signals. `None` when the system refuses.
fn create() -> Option<usize> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: the place is writable.
    if unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: initialized above. A size that is refused leaves the usual one.
    unsafe { libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), STACK) };
    let (mut all, mut before) =
        (MaybeUninit::<libc::sigset_t>::uninit(), MaybeUninit::<libc::sigset_t>::uninit());
    // SAFETY: the place is writable.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // A thread starts with its maker's mask.
    // SAFETY: `all` is filled, `before` is writable.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    let (place, with) = (thread.as_mut_ptr(), attributes.as_ptr());
    // SAFETY: the places are writable and set up, and `run` has the right shape.
    let made = unsafe { libc::pthread_create(place, with, run, ptr::null_mut()) } == 0;
    // SAFETY: `before` was written by the first call.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    // SAFETY: initialized above, and not used again.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    // SAFETY: written by `pthread_create`.
    made.then(|| unsafe { thread.assume_init() } as usize)
}

/// Ends the thread and waits for it.
pub(crate) fn stop() {
    // ORDERING: Acquire pairs with the Release in `start_now`; Relaxed on failure,
    // nothing is read.
    let turn = STATE.compare_exchange(RUNNING, STOPPING, Ordering::Acquire, Ordering::Relaxed);
    if turn.is_err() {
        return;
    }
    // SAFETY: wakes whoever waits at this address, and touches nothing.
    unsafe { libc::syscall(libc::SYS_futex, STATE.as_ptr(), WAKE, i32::MAX) };
    // ORDERING: Relaxed, behind the Acquire above.
    let thread = THREAD.load(Ordering::Relaxed) as libc::pthread_t;
    // SAFETY: the thread is ours, was not detached, and is joined once: by who won
    // the exchange.
    unsafe { libc::pthread_join(thread, ptr::null_mut()) };
    // ORDERING: Relaxed, nothing is read on the strength of it.
    STATE.store(OFF, Ordering::Relaxed);
}

/// In the child of a fork: there is no such thread.
pub(crate) fn forget() {
    // ORDERING: Relaxed, the child has one thread.
    if STATE.load(Ordering::Relaxed) != IDLE {
        // ORDERING: Relaxed, as above.
        STATE.store(OFF, Ordering::Relaxed);
    }
}

const WAIT: libc::c_int = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
const WAKE: libc::c_int = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;

extern "C" fn run(_: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: the name ends in zero and is shorter than sixteen bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"allod".as_ptr()) };
    loop {
        // ORDERING: Relaxed, a word to end; nothing is read on its strength.
        let state = STATE.load(Ordering::Relaxed);
        if state == STOPPING {
            return ptr::null_mut();
        }
        ALLOCATOR.upkeep();
        let tick = (local::option(Key::PurgeDelay) / 2).clamp(5, QUIET);
        let pause = if ALLOCATOR.has_to_give() { tick } else { QUIET };
        let time = libc::timespec {
            tv_sec: (pause / 1000) as libc::time_t,
            tv_nsec: (pause % 1000 * 1_000_000) as _,
        };
        // SAFETY: waits while the word is as it was, and `time` is readable.
        unsafe { libc::syscall(libc::SYS_futex, STATE.as_ptr(), WAIT, state, &raw const time) };
    }
}
