//! The profiler, for a program that knows what it runs on.
//!
//! ```c
//! int allod_dump(const char *path);             /* 0, or -1 and errno */
//! int allod_profile_interval(size_t bytes);     /* 0, or -1 and errno; 0 bytes: off */
//! ```
//!
//! A program finds them by `dlsym(RTLD_DEFAULT, ...)`, so that it works without us too.
#![allow(unsafe_code)]

use crate::malloc::set_errno;
use allod_core::config::Key;
use core::ffi::{CStr, c_char, c_int};

/// Writes a heap dump to the file `path`.
///
/// # Safety
///
/// `path` is NULL or ends in zero.
#[unsafe(no_mangle)]
unsafe extern "C" fn allod_dump(path: *const c_char) -> c_int {
    if path.is_null() {
        set_errno(libc::EINVAL);
        return -1;
    }
    // SAFETY: the caller's promise.
    match allod_core::profile::dump(unsafe { CStr::from_ptr(path) }) {
        Ok(()) => 0,
        Err(failed) => {
            set_errno(failed.error);
            -1
        }
    }
}

/// Takes a sample every so many bytes on the average; 0 for never.
#[unsafe(no_mangle)]
extern "C" fn allod_profile_interval(bytes: usize) -> c_int {
    if allod_core::set(Key::Profile, bytes as u64).is_ok() {
        return 0;
    }
    set_errno(libc::EINVAL);
    -1
}
