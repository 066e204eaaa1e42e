//! The marker: a preloaded library that marks objects which grow in their place.
//!
//! heaptrack writes a `realloc` down as a free and an allocation. When both have one
//! address, nobody can tell from that whether the object has stayed where it is, or
//! was freed, and its block handed out again at once. This library stands between
//! heaptrack and the allocator, sees what a `realloc` returns, and when the object has
//! stayed has heaptrack write down a free of [`NOTHING`] before the two:
//!
//! ```text
//! - 1                 the marker
//! - 7f97fe877040      heaptrack's free
//! + 80 2f 7f97fe877040
//! ```
//!
//! It is in the runs of `profiles` alone.
#![expect(unsafe_code, reason = "it stands between two allocators, in C's terms")]

use core::ffi::{CStr, c_void};
use core::mem::transmute;
use core::ptr::{self, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};

/// An address that no object has.
const NOTHING: *mut c_void = ptr::without_provenance_mut(1);

/// `realloc` of the allocator, and the function that heaptrack hears of frees by.
static REALLOC: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
static FREED: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// Looks a function up, once.
fn function(kept: &AtomicPtr<c_void>, place: *mut c_void, name: &CStr) -> *mut c_void {
    // ORDERING: Relaxed, whoever looks finds the same function.
    let known = kept.load(Ordering::Relaxed);
    if !known.is_null() {
        return known;
    }
    // SAFETY: `name` is a C string, and `place` one of the loader's own words.
    let found = unsafe { libc::dlsym(place, name.as_ptr()) };
    // ORDERING: Relaxed, as above.
    kept.store(found, Ordering::Relaxed);
    found
}

/// C's `realloc`, as heaptrack calls it.
///
/// # Safety
///
/// As C says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(object: *mut c_void, size: usize) -> *mut c_void {
    let next = function(&REALLOC, libc::RTLD_NEXT, c"realloc");
    // SAFETY: the loader found C's `realloc`, which has this type, and every process
    // that this library is in has one.
    let next: unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void = unsafe { transmute(next) };
    // SAFETY: the caller's promise.
    let new = unsafe { next(object, size) };
    let freed = function(&FREED, libc::RTLD_DEFAULT, c"heaptrack_free");
    if !object.is_null() && new == object && !freed.is_null() {
        // SAFETY: heaptrack's function has this type.
        let freed: unsafe extern "C" fn(*mut c_void) = unsafe { transmute(freed) };
        // SAFETY: it writes the address down and looks at nothing there.
        unsafe { freed(NOTHING) };
    }
    new
}
