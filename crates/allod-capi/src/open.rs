//! `dlopen` without `RTLD_DEEPBIND`, and what else we ask of the loader by name.
//!
//! A module that is loaded with that flag finds the functions of its own libraries before
//! anybody else's. The C library is among them, so its `free` is the C library's, while what
//! the C library allocates for it (`strdup`, `getline`) comes from us: the first such block ends
//! the process. PHP loads its extensions so, Apache its modules, and the C library offers no other
//! way to say that it has a new `malloc`. So the flag is taken away, and the rest is as asked.
//!
//! ```text
//!   the program: call dlopen ---> ours: real() asks the loader, once
//!                                       the flag goes
//!                                       jmp ------------------------> the C library's dlopen,
//!                <------------------------------------------------------- which returns there
//! ```
//!
//! It *jumps*: `dlopen` looks at its return address to see who asks, and searches that module's
//! `RUNPATH`, in its namespace.
//!
//! A program that is wholly static has no next `dlopen`. There the C library's has a second name,
//! which is asked for weakly: it is there wherever static glibc can load anything.
//!
//! Not done: `dlmopen` opens a namespace that has an allocator of its own, which nothing leaves.
//! A module that relied on the flag to see its own of two functions of a name sees the first one
//! (`docs/decisions/073`).
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::transmute;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// Defines a function that answers a weak symbol's address, or null.
macro_rules! weak {
    ($($function:ident = $symbol:literal;)*) => {$(
        #[unsafe(naked)]
        extern "C" fn $function() -> *const core::ffi::c_void {
            core::arch::naked_asm!(
                concat!(".weak ", $symbol),
                concat!("mov rax, qword ptr [rip + ", $symbol, "@GOTPCREL]"),
                "ret",
            )
        }
    )*};
}
pub(crate) use weak;

weak! {
    linked_dlopen = "__dlopen";
    linked_dlsym = "dlsym";
}

/// Whom a name is looked up in: a module that stays open, or one of the loader's two special ones.
#[derive(Clone, Copy)]
pub(crate) struct Handle(*mut c_void);

impl Handle {
    /// All of the process.
    pub(crate) const PROCESS: Self = Self(libc::RTLD_DEFAULT);
    /// What comes behind us.
    pub(crate) const NEXT: Self = Self(libc::RTLD_NEXT);
}

/// The C library's `dlopen` once it is known.
static REAL: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

#[cfg(target_env = "gnu")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn dlopen(_: *const c_char, _: c_int) -> *mut c_void {
    naked_asm!(
        ".cfi_startproc",
        "push rdi",
        "push rsi",
        "sub rsp, 8",
        ".cfi_def_cfa_offset 32",
        "call {real}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
        ".cfi_def_cfa_offset 8",
        "and esi, {others}",
        "test rax, rax",
        "jz 2f",
        "jmp rax",
        "2: ret",
        ".cfi_endproc",
        real = sym real,
        others = const !libc::RTLD_DEEPBIND,
    )
}

/// The `dlopen` behind ours, or null.
extern "C" fn real() -> *const c_void {
    // ORDERING: Relaxed, an address of code that was there before the program began; who finds
    // null asks the loader, which answers the same.
    let known = REAL.load(Ordering::Relaxed);
    if !known.is_null() {
        return known;
    }
    let linked = linked_dlopen();
    let found = if linked.is_null() { find(Handle::NEXT, c"dlopen") } else { linked.cast_mut() };
    // ORDERING: Relaxed, as above.
    REAL.store(found, Ordering::Relaxed);
    found
}

/// What a name means there. Null when it means nothing, or nobody can be asked.
pub(crate) fn find(place: Handle, name: &CStr) -> *mut c_void {
    let dlsym = linked_dlsym();
    if dlsym.is_null() {
        return ptr::null_mut();
    }
    type Find = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;
    // SAFETY: this is `dlsym`, and this is its type.
    let dlsym = unsafe { transmute::<*const c_void, Find>(dlsym) };
    // SAFETY: a `Handle` is special or open for good, and the name ends in a zero.
    unsafe { dlsym(place.0, name.as_ptr()) }
}

/// The handle of a library, if it is loaded, which it stays from now on. Loads nothing.
pub(crate) fn loaded(library: &CStr) -> Option<Handle> {
    let dlopen = real();
    if dlopen.is_null() {
        return None;
    }
    type Open = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
    // SAFETY: this is `dlopen`, and this is its type.
    let dlopen = unsafe { transmute::<*const c_void, Open>(dlopen) };
    // SAFETY: the name ends in a zero. Nothing is loaded, so nothing runs.
    let handle = unsafe { dlopen(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    (!handle.is_null()).then_some(Handle(handle))
}
