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
//!    loads nothing.
//!
//! This runs when an allocation has failed and never before. `dlopen` may
//! allocate; what it asks for is small, and it bears a refusal.
#![allow(unsafe_code)]

use crate::open::{self, weak};
use crate::text;
use core::ffi::{CStr, c_void};
use core::mem::transmute;
use core::ptr;

/// The C++ libraries that may be there: the GNU one, then LLVM's two.
const LIBRARIES: [&CStr; 3] = [c"libstdc++.so.6", c"libc++abi.so.1", c"libc++.so.1"];

weak! {
    linked_get_new_handler = "_ZSt15get_new_handlerv";
    linked_throw_bad_alloc = "_ZSt17__throw_bad_allocv";
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

/// True when the program has had a C++ library from its start.
pub(super) fn is_linked() -> bool {
    !linked_get_new_handler().is_null()
}

fn search(name: &CStr) -> *const c_void {
    for library in LIBRARIES {
        let Some(handle) = open::loaded(library) else { continue };
        let found = open::find(handle, name);
        if !found.is_null() {
            return found;
        }
    }
    ptr::null()
}
