//! What needs a process of its own: the main thread, a count of system calls, a
//! sandbox, `fork`. Each test starts this program again, for itself alone and with one
//! thread, and says by a variable what it is to do.
#![allow(unsafe_code)]

use super::{Stop, compare, oracle, warm};
use crate::os::Os;
use crate::os::linux::Linux;
use crate::sync::{AtomicBool, Ordering};
use crate::unwind::memory::CALLS;
use crate::unwind::{capture, fork_prepare, fork_release, memory};
use std::format;
use std::time::{Duration, Instant};

const PART: &str = "ALLOD_UNWIND_PART";

/// Runs the test `name` again in a process where it finds `PART` set.
pub(super) fn alone(name: &str) {
    if is_emulated() {
        return;
    }
    let this = std::env::current_exe().expect("the program knows itself");
    let path = format!("unwind::tests::{name}");
    let done = std::process::Command::new(this)
        .args([&path, "--exact", "--nocapture", "--test-threads=1"])
        .env(PART, name)
        .output()
        .expect("it starts");
    let said = std::string::String::from_utf8_lossy(&done.stdout);
    let errors = std::string::String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.contains("1 passed"), "{said}{errors}");
}

/// True when the processor is emulated: what starts anew would be the emulator, and the C
/// compiler is the host's.
pub(super) fn is_emulated() -> bool {
    std::env::var_os("ALLOD_TEST_EMULATED").is_some()
}

pub(super) fn is_part(name: &str) -> bool {
    std::env::var(PART).is_ok_and(|part| part == name)
}

#[inline(never)]
fn deep(n: usize, f: &mut dyn FnMut()) {
    let room = std::hint::black_box([n; 20]);
    if n == 0 { f() } else { deep(n - 1, f) }
    std::hint::black_box(&room);
}

/// Calls of the system that `f` makes in the end. Now and then the list of modules is
/// read again, so the least of many rounds counts. A rule that loses its slot in every round
/// makes the rules' place larger after 16 of them, 64 more and 256 more.
fn calls(f: &mut dyn FnMut()) -> usize {
    let mut round = || {
        // ORDERING: Relaxed, a figure; there is one thread.
        let before = CALLS.load(Ordering::Relaxed);
        for _ in 0..10 {
            f();
        }
        // ORDERING: Relaxed, as above.
        CALLS.load(Ordering::Relaxed) - before
    };
    let mut least = round();
    for _ in 0..1000 {
        least = least.min(round());
        if least == 0 {
            break;
        }
    }
    least
}

/// Runs before `main`, since the test harness runs tests on threads of its own.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    if is_part("main") {
        on_the_main_thread();
        std::process::exit(0);
    }
}

fn on_the_main_thread() {
    // SAFETY: a query without preconditions.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) };
    assert_eq!(thread, std::process::id().into(), "the main thread");
    warm();
    compare();
    deep(30, &mut || {
        compare();
    });
    walks_cost_nothing();
}

/// On the calling thread.
fn walks_cost_nothing() {
    warm();
    let mut walk = || assert!(!capture(&mut [0; 256]).truncated);
    deep(30, &mut || assert_eq!(calls(&mut walk), 0));
    let mut short = || assert!(capture(&mut [0; 16]).truncated);
    deep(300, &mut || assert_eq!(calls(&mut short), 0, "deeper than the buffer"));
}

#[test]
fn in_the_end_a_stack_costs_no_system_call() {
    let name = "alone::in_the_end_a_stack_costs_no_system_call";
    if is_part(name) {
        return walks_cost_nothing();
    }
    alone(name);
    if is_emulated() {
        return;
    }
    let this = std::env::current_exe().expect("the program knows itself");
    let done = std::process::Command::new(this).env(PART, "main").output().expect("it starts");
    let errors = std::string::String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{errors}");
}

/// Most processes take one sample and are gone: what is looked at first lies together.
#[test]
fn the_first_stack_touches_two_pages_of_the_tables() {
    let name = "alone::the_first_stack_touches_two_pages_of_the_tables";
    if !is_part(name) {
        return alone(name);
    }
    let mut depth = 0;
    deep(10, &mut || depth = capture(&mut [0; 256]).depth);
    assert!(depth > 4, "{depth} frames");
    let pages = crate::unwind::walk::resident() / Linux.page_size();
    assert_eq!(pages, 2);
}

/// The first stack reads the list of modules and their headers, a few calls for each,
/// and the rules of frames in the program and the C library by loads.
#[test]
fn the_first_stack_costs_a_few_calls_for_each_module() {
    let name = "alone::the_first_stack_costs_a_few_calls_for_each_module";
    if !is_part(name) {
        return alone(name);
    }
    // ORDERING: Relaxed, a figure; the harness's other thread waits.
    let before = CALLS.load(Ordering::Relaxed);
    let mut depth = 0;
    deep(30, &mut || depth = capture(&mut [0; 256]).depth);
    assert!(depth > 4, "{depth} frames");
    // ORDERING: Relaxed, as above.
    let first = CALLS.load(Ordering::Relaxed) - before;
    let mut modules = 0;
    crate::unwind::modules(&mut |_| modules += 1);
    // One for each 512 bytes of the stack besides, which is read before it is known.
    let most = 8 * modules + 40;
    // ORDERING: Relaxed, as above. By the file, each is three.
    let refused = memory::REFUSED.load(Ordering::Relaxed);
    assert!(modules >= 3 && (refused || first <= most), "{first} calls of the system, {modules} modules");
}

/// A sandbox may refuse `process_vm_readv`.
#[test]
fn memory_is_read_in_another_way_when_the_first_is_refused() {
    let name = "alone::memory_is_read_in_another_way_when_the_first_is_refused";
    if !is_part(name) {
        return alone(name);
    }
    refuse(libc::SYS_process_vm_readv);
    warm();
    compare();
    deep(50, &mut || { compare(); });
    // ORDERING: Relaxed, there is one thread.
    assert!(memory::REFUSED.load(Ordering::Relaxed), "it was refused");
    refuse(libc::SYS_pread64);
    let depth = std::thread::spawn(|| {
        let found = capture(&mut [0; 64]);
        (found.depth, found.truncated)
    });
    let (depth, truncated) = depth.join().expect("it returns");
    assert!(depth >= 1 && truncated, "nothing can be read of a new thread: {depth}");
}

/// Makes a system call fail with `EPERM` from here on.
fn refuse(call: libc::c_long) {
    let line = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        line(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        line(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call as u32),
        line(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        line(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
    // SAFETY: a flag of this process.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: the program is whole.
    let done =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(done, 0, "the filter is in place");
}

/// Threads walk, read the list of modules, panic and take signals while others fork:
/// nobody waits for ever, and the children walk as well.
#[test]
fn forks_signals_and_panics_do_not_get_in_the_way() {
    let name = "alone::forks_signals_and_panics_do_not_get_in_the_way";
    if !is_part(name) {
        return alone(name);
    }
    warm();
    extern "C" fn handler(_: libc::c_int) {
        assert!(capture(&mut [0; 128]).depth > 2);
    }
    // SAFETY: zeros are a valid value.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = (handler as extern "C" fn(libc::c_int)) as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler has the right shape.
    unsafe { libc::sigaction(libc::SIGPROF, &raw const action, core::ptr::null_mut()) };
    let every = libc::timeval { tv_sec: 0, tv_usec: 500 };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: the timer is whole.
    let set = unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const timer, core::ptr::null_mut()) };
    assert_eq!(set, 0, "signals come");
    std::panic::set_hook(std::boxed::Box::new(|_| { capture(&mut [0; 128]); }));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for i in 0..4 {
            let done = &done;
            scope.spawn(move || {
                // ORDERING: Relaxed, a flag that guards no data.
                while !done.load(Ordering::Relaxed) {
                    deep(20, &mut || { compare(); });
                    if i == 0 {
                        let caught = std::panic::catch_unwind(|| deep(5, &mut || panic!("as planned")));
                        assert!(caught.is_err());
                    }
                    crate::unwind::modules(&mut |_| {});
                }
            });
        }
        let _stop = Stop(&done);
        for _ in 0..60 {
            fork_prepare();
            // SAFETY: the child calls nothing that another thread may have locked.
            let child = unsafe { libc::fork() };
            fork_release();
            if child == 0 {
                let mut good = true;
                deep(20, &mut || {
                    let found = capture(&mut [0; 128]);
                    good = found.depth > 20 && !found.truncated;
                });
                // SAFETY: the child ends here.
                unsafe { libc::_exit(if good { 7 } else { 1 }) };
            }
            let (started, mut status) = (Instant::now(), 0);
            // SAFETY: a child of ours.
            while unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } != child {
                assert!(started.elapsed() < Duration::from_secs(60), "the child waits for ever");
                std::thread::yield_now();
            }
            assert_eq!(libc::WEXITSTATUS(status), 7, "the child has walked to the end");
        }
    });
    assert!(!oracle().is_empty());
}

/// What is counted, by a simulator of the processor, for the decision page about the
/// unwinder: a walk of `ALLOD_UNWIND_FRAMES` frames more than the test's own, a thousand times.
#[test]
fn a_thousand_walks() {
    warm();
    let frames = std::env::var("ALLOD_UNWIND_FRAMES").map_or(10, |n| n.parse().expect("a number"));
    deep(frames, &mut || {
        for _ in 0..1000 {
            assert!(capture(&mut [0; 256]).depth > frames);
        }
    });
}
