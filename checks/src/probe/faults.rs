//! Row 36: system calls that fail.
//!
//! The kernel is asked (seccomp) to send SIGSYS instead of doing any call that
//! maps, unmaps or advises memory. The handler then decides: the k-th call
//! fails, or all do; every other call it makes itself, from one `syscall`
//! instruction that the kernel lets pass by its address. The allocator under
//! test sees nothing but an ordinary error, whichever way it makes its calls.
//!
//! It all happens in forked children, since such a filter is for life.
#![allow(unsafe_code)]

use crate::row::{Context, Outcome, Row, ensure, pass_with, skip};
use allod_checks::block::{Block, refused};
use allod_checks::c;
use allod_checks::memory::MIB;
use allod_checks::work::churn_refused;
use std::ffi::{c_int, c_long, c_void};
use std::ptr;
use std::sync::atomic::{AtomicI64, Ordering};

pub(crate) const ROWS: &[Row] = &[
    Row {
        seconds: 60,
        ..Row::new(
            36,
            "kth-call-fails",
            "one failing system call: NULL, ENOMEM or nothing; a failing munmap or \
             madvise is borne",
            "mmap(2), madvise(2)",
            one_fails,
        )
    },
    Row::new(
        36,
        "all-calls-fail",
        "no system call succeeds: NULL, ENOMEM; frees work; afterwards all is well",
        "mmap(2), madvise(2)",
        all_fail,
    ),
];

/// How many more calls succeed. Below zero: every call fails.
static LEFT: AtomicI64 = AtomicI64::new(i64::MAX);

/// After one failure the rest succeed again.
static ONCE: AtomicI64 = AtomicI64::new(0);

#[cfg(target_arch = "x86_64")]
mod calls {
    use super::{LEFT, ONCE, Ordering, c_int, c_long, c_void, ptr};
    use std::io::Error;

    /// The calls that are stopped, and how they fail.
    const CALLS: [(c_long, c_int); 6] = [
        (libc::SYS_mmap, libc::ENOMEM),
        (libc::SYS_mremap, libc::ENOMEM),
        (libc::SYS_mprotect, libc::ENOMEM),
        (libc::SYS_munmap, libc::ENOMEM),
        (libc::SYS_madvise, libc::EINVAL),
        (libc::SYS_brk, libc::ENOMEM),
    ];

    std::arch::global_asm!(
        ".hidden probe_call",
        ".globl probe_call",
        "probe_call:",
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "mov r10, r8",
        "mov r8, r9",
        "mov r9, qword ptr [rsp + 8]",
        "syscall",
        ".hidden probe_call_end",
        ".globl probe_call_end",
        "probe_call_end:",
        "ret",
    );

    unsafe extern "C" {
        /// A system call that the filter lets pass.
        fn probe_call(number: c_long, a: i64, b: i64, c: i64, d: i64, e: i64, f: i64) -> i64;
        /// The address that the kernel sees during it.
        static probe_call_end: u8;
    }

    /// True when this call is to fail.
    fn fails() -> bool {
        // ORDERING: Relaxed, one thread.
        let left = LEFT.load(Ordering::Relaxed);
        if left > 0 {
            // ORDERING: Relaxed, as above.
            LEFT.store(left - 1, Ordering::Relaxed);
            return false;
        }
        // ORDERING: Relaxed, as above.
        if ONCE.load(Ordering::Relaxed) != 0 {
            // ORDERING: Relaxed, as above.
            LEFT.store(i64::MAX, Ordering::Relaxed);
        }
        true
    }

    extern "C" fn on_call(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
        let context = context.cast::<libc::ucontext_t>();
        // SAFETY: the kernel passes the interrupted thread's context, to be changed.
        let registers = unsafe { &mut (*context).uc_mcontext.gregs };
        let at = |register: c_int| register as usize;
        let number = registers[at(libc::REG_RAX)];
        let error = CALLS.iter().find(|(call, _)| *call == number).map(|(_, error)| *error);
        let arguments = [
            libc::REG_RDI,
            libc::REG_RSI,
            libc::REG_RDX,
            libc::REG_R10,
            libc::REG_R8,
            libc::REG_R9,
        ];
        let [mut a, b, c, d, e, f] = arguments.map(|register| registers[at(register)]);
        if fails() {
            if number != libc::SYS_brk {
                registers[at(libc::REG_RAX)] = -i64::from(error.unwrap_or(libc::ENOSYS));
                return;
            }
            // This one fails by answering where the break is.
            a = 0;
        }
        // SAFETY: it is the interrupted code's own call, with its own arguments.
        registers[at(libc::REG_RAX)] = unsafe { probe_call(number, a, b, c, d, e, f) };
    }

    const fn step(code: u32, yes: u8, no: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt: yes, jf: no, k }
    }

    /// From here on the calls above go through [`on_call`].
    pub(super) fn intercept() -> Result<(), String> {
        // SAFETY: zeros are a `sigaction`: an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_call as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
        // SAFETY: the action is filled in.
        let result = unsafe { libc::sigaction(libc::SIGSYS, &raw const action, ptr::null_mut()) };
        if result != 0 {
            return Err(format!("sigaction: {}", Error::last_os_error()));
        }
        let end = (&raw const probe_call_end).addr();
        let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
        let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        let answer = libc::BPF_RET | libc::BPF_K;
        // The fields: call number at 0, instruction pointer at 8 and 12.
        let call = |place: usize| step(equal, 6 - place as u8, 0, CALLS[place].0 as u32);
        let mut filter = [
            step(load, 0, 0, 8),
            step(equal, 0, 2, end as u32),
            step(load, 0, 0, 12),
            step(equal, 7, 0, (end >> 32) as u32),
            step(load, 0, 0, 0),
            call(0),
            call(1),
            call(2),
            call(3),
            call(4),
            call(5),
            step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
            step(answer, 0, 0, libc::SECCOMP_RET_TRAP),
        ];
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: the option takes numbers.
        unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        let mode = libc::SECCOMP_MODE_FILTER;
        // SAFETY: the program is a whole filter and the kernel copies it.
        let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) };
        if result != 0 {
            return Err(format!("seccomp: {}", Error::last_os_error()));
        }
        Ok(())
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod calls {
    pub(super) fn intercept() -> Result<(), String> {
        Err("seccomp: not on this processor".to_owned())
    }
}

/// The child's exit codes, besides 0 and 1.
const NOT_REACHED: c_int = 42;
const NO_FILTER: c_int = 43;

/// Runs `work` in a child under the filter and returns its exit code.
fn in_child(work: impl FnOnce() -> Result<c_int, String>) -> Result<c_int, String> {
    // SAFETY: this process has one thread.
    let process = unsafe { libc::fork() };
    ensure!(process >= 0, "fork: {}", std::io::Error::last_os_error());
    if process == 0 {
        let code = match calls::intercept() {
            Err(_) => NO_FILTER,
            Ok(()) => work().unwrap_or_else(|words| {
                arm(i64::MAX, false);
                eprintln!("{words}");
                1
            }),
        };
        // SAFETY: `_exit` has no conditions.
        unsafe { libc::_exit(code) }
    }
    let mut status = 0;
    // SAFETY: `status` can be written.
    unsafe { libc::waitpid(process, &raw mut status, 0) };
    if libc::WIFEXITED(status) {
        return Ok(libc::WEXITSTATUS(status));
    }
    Err(format!("killed by signal {}", libc::WTERMSIG(status)))
}

/// Lets `left` calls succeed; then one fails, or all do.
fn arm(left: i64, once: bool) {
    // ORDERING: Relaxed, one thread.
    ONCE.store(i64::from(once), Ordering::Relaxed);
    // ORDERING: Relaxed, as above.
    LEFT.store(left, Ordering::Relaxed);
}

fn one_fails(context: &Context) -> Outcome {
    let most = if context.long { 2000 } else { 60 };
    for call in 0..most {
        let code = in_child(|| {
            arm(call, true);
            churn_refused(1, 300, 20)?;
            for size in [3 * MIB, 40 * MIB, 200 * MIB] {
                for _ in 0..2 {
                    c::set_errno(0);
                    match Block::malloc(size) {
                        Some(mut block) => block.set(size - 1, 1),
                        None => refused("malloc", None)?,
                    }
                }
            }
            // ORDERING: Relaxed, one thread.
            let reached = LEFT.load(Ordering::Relaxed) > call;
            arm(i64::MAX, false);
            // Nothing was broken by it.
            let refusals = churn_refused(2, 300, 20)?;
            ensure!(refusals == 0, "{refusals} requests refused afterwards");
            Ok(if reached { 0 } else { NOT_REACHED })
        });
        match code.map_err(|words| format!("call {call} fails: {words}"))? {
            0 => {}
            NOT_REACHED => return pass_with(format!("{call} calls in all")),
            NO_FILTER => return skip("no seccomp"),
            code => return Err(format!("call {call} fails: exit code {code}")),
        }
    }
    pass_with(format!("the first {most} calls"))
}

fn all_fail(_: &Context) -> Outcome {
    let code = in_child(|| {
        let mut kept: Vec<Block> = Vec::with_capacity(100_000);
        for place in 0..1000 {
            kept.push(Block::malloc(place * 20).ok_or("NULL")?);
        }
        arm(0, false);
        while kept.len() < 100_000 {
            c::set_errno(0);
            match Block::malloc(5000) {
                Some(mut block) => {
                    block.fill(1);
                    kept.push(block);
                }
                None => {
                    refused("malloc(5000)", None)?;
                    break;
                }
            }
        }
        for size in [300_000, 5 * MIB, 100 * MIB] {
            c::set_errno(0);
            if Block::malloc(size).is_none() {
                refused("malloc", None)?;
            }
        }
        // All that was in use is given back while nothing can be.
        kept.truncate(10);
        churn_refused(3, 300, 20)?;
        arm(i64::MAX, false);
        let refusals = churn_refused(4, 300, 20)?;
        ensure!(refusals == 0, "{refusals} requests refused afterwards");
        ensure!(Block::malloc(100 * MIB).is_some(), "100 MiB refused afterwards");
        Ok(0)
    });
    match code? {
        0 => pass_with(""),
        NO_FILTER => skip("no seccomp"),
        code => Err(format!("exit code {code}")),
    }
}
