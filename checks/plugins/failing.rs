//! A library that makes system calls for memory fail, to be preloaded before an
//! allocator.
//!
//! `FAILING_CALL=k` lets the k-th call of the process fail and all others succeed;
//! `FAILING_CALL=k-` lets the k-th and all after it fail. Calls are counted where
//! the allocator and the program make them through the C library's names; what
//! the loader and the C library do for themselves is not counted. Each process
//! that is started counts from 0.
//!
//! It also says on descriptor 2 in which file a process faulted, because a
//! program that takes NULL for memory may crash by itself, and an allocator may
//! not.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_long, c_void};
use std::sync::atomic::{AtomicI64, Ordering};

/// Calls so far.
static COUNT: AtomicI64 = AtomicI64::new(0);

/// True when this call is to fail.
fn fails() -> bool {
    // SAFETY: the name ends in a zero. Before the C library has an environment it
    // has no variable either.
    let value: *const c_char = unsafe { libc::getenv(c"FAILING_CALL".as_ptr()) };
    if value.is_null() {
        return false;
    }
    let mut end = std::ptr::null_mut();
    // SAFETY: the value ends in a zero, and `end` can be written.
    let wanted = unsafe { libc::strtol(value, &raw mut end, 10) };
    // SAFETY: `strtol` leaves a place in the value.
    let and_after = unsafe { *end } == b'-' as c_char;
    // ORDERING: Relaxed, a count.
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    number == wanted || (and_after && number > wanted)
}

/// Makes a call, or fails it.
fn call(number: c_long, error: c_int, arguments: [usize; 6]) -> c_long {
    if fails() {
        // SAFETY: the C library answers with this thread's own place.
        let place = unsafe { libc::__errno_location() };
        // SAFETY: as above.
        unsafe { place.write(error) };
        return -1;
    }
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the caller's own call, with its own arguments.
    unsafe { libc::syscall(number, a, b, c, d, e, f) }
}

macro_rules! calls {
    ($($name:ident = $number:ident, $error:ident, ($($argument:ident: $type:ty),*) -> $result:ty;)*) => {$(
        /// See the system call of this name.
        ///
        /// # Safety
        ///
        /// As for the system call.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            let mut arguments = [0; 6];
            for (place, value) in arguments.iter_mut().zip([$($argument as usize),*]) {
                *place = value;
            }
            call(libc::$number, libc::$error, arguments) as $result
        }
    )*};
}

calls! {
    mmap = SYS_mmap, ENOMEM,
        (at: *mut c_void, len: usize, access: c_int, flags: c_int, file: c_int, offset: i64) -> *mut c_void;
    mmap64 = SYS_mmap, ENOMEM,
        (at: *mut c_void, len: usize, access: c_int, flags: c_int, file: c_int, offset: i64) -> *mut c_void;
    mremap = SYS_mremap, ENOMEM,
        (at: *mut c_void, old: usize, new: usize, flags: c_int, to: *mut c_void) -> *mut c_void;
    mprotect = SYS_mprotect, ENOMEM, (at: *mut c_void, len: usize, access: c_int) -> c_int;
    munmap = SYS_munmap, ENOMEM, (at: *mut c_void, len: usize) -> c_int;
    madvise = SYS_madvise, EINVAL, (at: *mut c_void, len: usize, advice: c_int) -> c_int;
}

extern "C" fn on_fault(signal: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: the kernel passes the interrupted thread's context.
    let at = unsafe { (*context).uc_mcontext.gregs[libc::REG_RIP as usize] };
    let mut about = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    let at = std::ptr::without_provenance::<c_void>(at as usize);
    // SAFETY: any address may be asked for, and `about` can be written.
    unsafe { libc::dladdr(at, about.as_mut_ptr()) };
    // SAFETY: zeros are a `Dl_info`, and so is what was written.
    let name = unsafe { about.assume_init() }.dli_fname;
    let words = [
        c"faulted in ".as_ptr(),
        if name.is_null() { c"?".as_ptr() } else { name },
        c"\n".as_ptr(),
    ];
    for word in words {
        // SAFETY: each ends in a zero.
        let length = unsafe { libc::strlen(word) };
        // SAFETY: the word can be read.
        unsafe { libc::write(2, word.cast(), length) };
    }
    // SAFETY: the default ends the process as if nobody had looked.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: a signal to this very thread.
    unsafe { libc::raise(signal) };
}

extern "C" fn watch() {
    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL] {
        // SAFETY: zeros are a `sigaction`: an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: the action is filled in.
        unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static WATCH: extern "C" fn() = watch;
