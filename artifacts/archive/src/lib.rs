//! Rust code in a C program, as a `staticlib`.
//!
//! The Rust half of the program is on Allod, and the C half keeps the `malloc`
//! it has: a global allocator serves Rust's allocations and exports no C
//! names. `main.c` beside this file is the other half.
#![expect(unsafe_code, reason = "names for C are unsafe to give")]

#[global_allocator]
static GLOBAL: allod::Allod = allod::Allod::new();

/// Runs the exercise. Panics, which ends the process, when it fails.
#[unsafe(no_mangle)]
pub extern "C" fn archive_run() {
    exercise::check(|| allod::stats().allocated);
}

/// Bytes in use, in the Rust half.
#[unsafe(no_mangle)]
pub extern "C" fn archive_allocated() -> usize {
    allod::stats().allocated
}

/// An object of `bytes` bytes, each of them `value`. C gives it back to
/// [`archive_free`].
#[unsafe(no_mangle)]
pub extern "C" fn archive_make(bytes: usize, value: u8) -> *mut u8 {
    Box::into_raw(vec![value; bytes].into_boxed_slice()).cast()
}

/// Frees what [`archive_make`] made.
///
/// # Safety
///
/// `at` is from [`archive_make`] with the same `bytes`, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn archive_free(at: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise: this is the slice that `archive_make` boxed.
    drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(at, bytes)) });
}
