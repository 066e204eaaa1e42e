//! Finding the C++ library when memory has run out.
//!
//! Three functions of it are wanted: the one that tells the new handler, the
//! one that throws `std::bad_alloc`, and the personality that lets a frame
//! catch. A hard reference would keep every C program from starting, so:
//!
//! 1. They are *weak* symbols, read through the global offset table. The
//!    loader fills them in when the program has a C++ library from the start.
//! 2. An interpreter written in C loads its C++ extensions later, with a C++
//!    library that only they can see. Then `dlopen` with `RTLD_NOLOAD` asks for
//!    the libraries by name, which finds them wherever they are loaded, and
//!    loads nothing. `dlopen` itself is weak too: a static program has none.
//!
//! This runs when an allocation has failed and never before. `dlopen` may
//! allocate; what it asks for is small, and it bears a refusal.
#![allow(unsafe_code)]

use crate::text;
use core::arch::naked_asm;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::transmute;
use core::ptr;

/// The C++ libraries that may be there: the GNU one, then LLVM's two.
const LIBRARIES: [&CStr; 3] = [c"libstdc++.so.6", c"libc++abi.so.1", c"libc++.so.1"];

/// Defines a function that answers a weak symbol's address, or null.
macro_rules! weak {
    ($($function:ident = $symbol:literal;)*) => {$(
        #[unsafe(naked)]
        extern "C" fn $function() -> *const c_void {
            naked_asm!(
                concat!(".weak ", $symbol),
                concat!("mov rax, qword ptr [rip + ", $symbol, "@GOTPCREL]"),
                "ret",
            )
        }
    )*};
}

weak! {
    linked_get_new_handler = "_ZSt15get_new_handlerv";
    linked_throw_bad_alloc = "_ZSt17__throw_bad_allocv";
    linked_dlopen = "dlopen";
    linked_dlsym = "dlsym";
}

/// The program's new handler now, or null when it has none.
pub(super) extern "C" fn new_handler() -> *const c_void {
    let get = find(linked_get_new_handler(), c"_ZSt15get_new_handlerv");
    if get.is_null() {
        return ptr::null();
    }
    // SAFETY: `std::get_new_handler` takes nothing, answers a pointer to a
    // function, and is declared `noexcept`.
    let get = unsafe { transmute::<*const c_void, extern "C" fn() -> *const c_void>(get) };
    get()
}

/// The function that throws `std::bad_alloc`. Ends the process when there is
/// no C++ library to throw with.
pub(super) extern "C" fn thrower() -> *const c_void {
    let throw = find(linked_throw_bad_alloc(), c"_ZSt17__throw_bad_allocv");
    if throw.is_null() {
        text::die(b"allod: out of memory in operator new, and no C++ library to throw with\n");
    }
    throw
}

/// The address that the loader knew, or the one in a library that came later.
fn find(linked: *const c_void, name: &CStr) -> *const c_void {
    if linked.is_null() { search(name) } else { linked }
}

/// True when the process finds this operator of ours under its name, and not one of
/// the program's own.
pub(super) fn is_found(name: &CStr, ours: *const c_void) -> bool {
    let dlsym = linked_dlsym();
    if dlsym.is_null() {
        return true;
    }
    type Find = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;
    // SAFETY: this is `dlsym`, and this is its type.
    let dlsym = unsafe { transmute::<*const c_void, Find>(dlsym) };
    // SAFETY: null stands for the process, and the name ends in a zero.
    let found = unsafe { dlsym(ptr::null_mut(), name.as_ptr()) };
    found.is_null() || ptr::eq(found, ours)
}

fn search(name: &CStr) -> *const c_void {
    let (dlopen, dlsym) = (linked_dlopen(), linked_dlsym());
    if dlopen.is_null() || dlsym.is_null() {
        return ptr::null();
    }
    type Open = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
    // SAFETY: this is `dlopen`, and this is its type.
    let dlopen = unsafe { transmute::<*const c_void, Open>(dlopen) };
    type Find = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;
    // SAFETY: this is `dlsym`, and this is its type.
    let dlsym = unsafe { transmute::<*const c_void, Find>(dlsym) };
    for library in LIBRARIES {
        // SAFETY: the name ends in a zero. Nothing is loaded, so nothing runs.
        let handle = unsafe { dlopen(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
        if handle.is_null() {
            continue;
        }
        // The handle stays open: what it leads to is about to be called.
        // SAFETY: the handle is open and the name ends in a zero.
        let found = unsafe { dlsym(handle, name.as_ptr()) };
        if !found.is_null() {
            return found;
        }
    }
    ptr::null()
}
