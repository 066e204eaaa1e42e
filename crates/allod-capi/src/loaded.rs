//! Which modules were loaded with the program.
//!
//! The loader keeps a list of what it has loaded, the program first. What is on it when the
//! first constructor of the process runs, ours, is never unloaded: `dlclose` takes away what
//! `dlopen` has brought and nothing else. Later modules come behind these, so the first so many
//! entries of the list are the same for as long as the process is, and can be read at any time
//! without the loader's lock.
//!
//! A library that is loaded late, or linked into the program, is not first, and names none.
//!
//! The profiler reads unwind tables of such modules by loads. Of others it does so by a call of the
//! system each time, for they may vanish meanwhile (`docs/decisions/072`).
#![allow(unsafe_code)]

use allod_core::raw;
use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

/// An entry of the loader's list, as `link.h` has it.
#[repr(C)]
struct Entry {
    bias: usize,
    name: *const c_char,
    dynamic: *mut c_void,
    next: *const Entry,
    before: *const Entry,
}

/// The beginning of `struct r_debug`.
#[repr(C)]
struct List {
    version: c_int,
    first: *const Entry,
}

unsafe extern "C" {
    static _r_debug: List;
}

/// How many entries there were when the process began.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Remembers what is loaded now. In the first constructor of the process, and nowhere else.
pub(crate) fn remember() {
    let mut count = 0;
    each(usize::MAX, &mut |_| {
        count += 1;
        false
    });
    // ORDERING: Relaxed, published by `set_lasting_modules`.
    COUNT.store(count, Ordering::Relaxed);
    raw::set_lasting_modules(|tell| {
        // ORDERING: Relaxed, as above.
        each(COUNT.load(Ordering::Relaxed), tell);
    });
}

/// Calls `tell` with the address of the dynamic section, which lies in the module, of the
/// first `count` entries, until it returns true.
fn each(count: usize, tell: &mut dyn FnMut(usize) -> bool) {
    // SAFETY: the loader's, set before any constructor runs.
    let mut at = unsafe { _r_debug.first };
    for _ in 0..count {
        // SAFETY: null, or an entry that the loader made before it ran our constructor: these are
        // neither freed nor moved, and lead to each other as they did then.
        let Some(entry) = (unsafe { at.as_ref() }) else { return };
        if tell(entry.dynamic.addr()) {
            return;
        }
        at = entry.next;
    }
}
