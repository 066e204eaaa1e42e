//! What the command was handed, seen before Rust's runtime changes it.
//!
//! A program under `env` gets its caller's world untouched, and a program under
//! Allod has the same right. But before `main` the runtime sets SIGPIPE to
//! "ignore", and opens `/dev/null` in place of standard streams that are
//! closed. What was there before cannot be asked for later. So [`look`] stands
//! in `.init_array`, which the C library runs before the runtime, and
//! [`hand_on`] gives the child what we had.

#![expect(unsafe_code, reason = "runs before `main`, and between fork and exec")]

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};

/// What a signal that our caller ignores was set to, and the runtime or we change.
static PIPE_IGNORED: AtomicBool = AtomicBool::new(false);
static CHILD_IGNORED: AtomicBool = AtomicBool::new(false);
/// Which of the standard streams were closed, by number.
static CLOSED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

// `.init_array` is a list of functions that the C library calls with three
// arguments before `main`. One that takes none ignores them, as the platform's
// calling convention allows, and `look` needs nothing of the runtime.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // ORDERING: Relaxed, there is one thread, now and whenever this is read.
    PIPE_IGNORED.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
    // ORDERING: Relaxed, as above.
    CHILD_IGNORED.store(is_ignored(libc::SIGCHLD), Ordering::Relaxed);
    for (fd, closed) in (0..).zip(&CLOSED) {
        // SAFETY: F_GETFD reads a flag of a descriptor that may be closed.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        // ORDERING: Relaxed, as above.
        closed.store(flags == -1, Ordering::Relaxed);
    }
}

fn is_ignored(signal: i32) -> bool {
    let mut old = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null new action changes nothing; `old` is a place to write to.
    let answer = unsafe { libc::sigaction(signal, std::ptr::null(), old.as_mut_ptr()) };
    // SAFETY: all zeros is a valid `sigaction`, and so is what the call wrote.
    let old = unsafe { old.assume_init() };
    answer == 0 && old.sa_sigaction == libc::SIG_IGN
}

/// Makes an ended child wait for us, even if our caller ignores its children.
pub(crate) fn keep_ended_children() {
    set(libc::SIGCHLD, libc::SIG_DFL);
}

/// In the child, before `exec`: puts back what the caller had given us.
///
/// Makes only system calls, so it may run between fork and exec.
pub(crate) fn hand_on(mask: &SigSet) -> std::io::Result<()> {
    // ORDERING: Relaxed, `look` ran on this thread before `main`.
    if PIPE_IGNORED.load(Ordering::Relaxed) {
        set(libc::SIGPIPE, libc::SIG_IGN);
    }
    // ORDERING: Relaxed, as above.
    if CHILD_IGNORED.load(Ordering::Relaxed) {
        set(libc::SIGCHLD, libc::SIG_IGN);
    }
    for (fd, closed) in (0..).zip(&CLOSED) {
        // ORDERING: Relaxed, as above.
        if closed.load(Ordering::Relaxed) {
            // SAFETY: the descriptor is the runtime's `/dev/null`; the child
            // makes no use of it before `exec`.
            unsafe { libc::close(fd) };
        }
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(mask), None)?;
    Ok(())
}

/// Sets a signal's disposition to default or to ignored.
pub(crate) fn set(signal: i32, disposition: libc::sighandler_t) {
    debug_assert!(disposition == libc::SIG_DFL || disposition == libc::SIG_IGN);
    // SAFETY: neither disposition is a function, so no code of ours can run in
    // the middle of something else. A wrong number is refused by the kernel.
    unsafe { libc::signal(signal, disposition) };
}
