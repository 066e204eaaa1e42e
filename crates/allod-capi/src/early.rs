//! When the library is loaded, and when the process ends.
//!
//! Nothing waits for this file. The first `malloc` may come before it, from an
//! IFUNC resolver or from the loader, and the allocator starts by itself then.
//! What happens here: fork handlers are registered, options are read even if
//! nobody allocates, and the end of the process is asked for.
//!
//! ```text
//!   loader: maps everything, applies relocations   (IFUNC resolvers may allocate)
//!           resolve, here, as the last of ours
//!           gives thread-local variables their first values
//!   start, here, as `-z initfirst` asks            (before the C library's own constructor)
//!   constructors of the C library, then of the others
//!   main ... exit
//!   handlers of `atexit`, destructors of all libraries
//!   finish, here                                   (asked for first, so called last)
//! ```
//!
//! A destructor of ours (`.fini_array`) would run in the middle of the others,
//! and what they free afterwards would go unseen. A handler that is registered
//! before the loader registers its own runs after all of them.
#![allow(unsafe_code)]

use crate::cxx;
use crate::fork;
#[cfg(target_env = "gnu")]
use crate::loaded;
#[cfg(target_arch = "x86_64")]
use crate::malloc;
use allod_core::raw;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;

/// What `liballod` calls itself on the shared page (`allod::page::Slot::face`).
const FACE: u32 = 1;

/// The form of a constructor. glibc passes what `main` gets; musl passes nothing.
type Constructor = extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char);

// 101 is the first priority that is not reserved. It counts in a program that
// is linked with the archive; a shared library's place is its own.
#[used]
#[unsafe(link_section = ".init_array.00101")]
static START: Constructor = start;

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
    #[cfg(target_env = "gnu")]
    static mut program_invocation_short_name: *const c_char;

    fn __cxa_atexit(
        handler: extern "C" fn(*mut c_void),
        argument: *mut c_void,
        library: *mut c_void,
    ) -> c_int;
}

// A resolver of the program may allocate while our thread-local slot is still
// zero, and the fast path follows it without a question. So there is an indirect
// function of ours too. Nobody calls it; the loader asks for it when it relocates
// us, which is before it relocates the program. musl has no such functions.
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
core::arch::global_asm!(
    ".type allod_indirect, @gnu_indirect_function",
    ".set allod_indirect, {resolve}",
    ".pushsection .data.rel.ro.allod_indirect, \"awR\", @progbits",
    ".balign 8",
    "allod_indirect_place: .quad allod_indirect",
    ".popsection",
    resolve = sym resolve,
);

#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
extern "C" fn resolve() -> extern "C" fn() {
    extern "C" fn nothing() {}
    if has_thread_pointer() {
        raw::before_first_values();
    }
    nothing
}

/// False in a program linked statically: it asks for its indirect functions
/// before it sets the thread pointer up, and then gives first values at once.
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
fn has_thread_pointer() -> bool {
    /// `arch_prctl(ARCH_GET_FS)`; asked of the kernel, because the C library is
    /// not ready yet either.
    const ARCH_GET_FS: usize = 0x1003;
    let mut pointer = 0usize;
    // SAFETY: the call writes one word to where its second argument points, and
    // nothing else but the registers named here.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") libc::SYS_arch_prctl => _,
            in("rdi") ARCH_GET_FS, in("rsi") &raw mut pointer,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    pointer != 0
}

extern "C" fn start(_count: c_int, arguments: *mut *mut c_char, variables: *mut *mut c_char) {
    fork::register();
    #[cfg(target_env = "gnu")]
    if lend(arguments, variables) {
        loaded::remember();
        #[cfg(target_arch = "x86_64")]
        {
            malloc::look();
            cxx::look();
        }
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = (arguments, variables);
    raw::set_family_judge(cxx::families_hold);
    raw::start(FACE);
    // The third argument names no library, so that unloading one does not call
    // the handler. Failing means no last checks, and nothing else.
    // SAFETY: the handler stays: the library is never unloaded.
    let _ = unsafe { __cxa_atexit(finish, ptr::null_mut(), ptr::null_mut()) };
}

/// Gives the C library its `environ` and the program's name when we run before
/// it has set them, as `-z initfirst` makes us.
///
/// It sets both to the same a moment later. Until then `getenv` would find
/// nothing, and our options with it. False when it has set them already: then others'
/// constructors may have run before us, or all of the program, if we were loaded late.
#[cfg(target_env = "gnu")]
fn lend(arguments: *mut *mut c_char, variables: *mut *mut c_char) -> bool {
    let place = &raw mut environ;
    let known = &raw mut program_invocation_short_name;
    // A program may have cleared `environ` and load us late: by then it has its name, of which
    // the C library has an empty one at first.
    // SAFETY: the C library's, which writes it before the program has threads.
    let name = unsafe { known.read() };
    // SAFETY: never null, and text that ends in a zero.
    let name = unsafe { CStr::from_ptr(name) };
    // SAFETY: one thread runs while constructors do, or `environ` is set by now
    // and reading it is what every `getenv` does.
    if !name.is_empty() || !unsafe { place.read() }.is_null() {
        return false;
    }
    // SAFETY: only before the C library's own constructor, as above.
    unsafe { place.write(variables) };
    // SAFETY: the loader passes what `main` gets: a list that ends in null.
    let path = unsafe { arguments.read() };
    if path.is_null() {
        return true;
    }
    // Not `strrchr`: it lies where a process that has just begun has touched nothing.
    // SAFETY: an argument ends in a zero.
    let text = unsafe { CStr::from_ptr(path) }.to_bytes();
    let behind = text.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let name = path.wrapping_add(behind);
    // SAFETY: as for `environ`.
    unsafe { known.write(name) };
    true
}

/// After all destructors and handlers of the program.
extern "C" fn finish(_: *mut c_void) {
    raw::finish();
}
