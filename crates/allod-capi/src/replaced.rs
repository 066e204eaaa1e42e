//! Functions of ours that the program has in its own version.
//!
//! A program may bring its own `malloc` and `free` (Firefox, rustc), or its own operators `new`
//! and `delete`. The loader then finds the program's before ours, and ours where the program has
//! none: it has `realloc` and no `reallocarray`, `delete(p)` and no `delete(p, size)`. What the
//! C and C++ libraries have under these names calls the program's. So must ours, or it is given
//! blocks that it has never seen.
//!
//! ```text
//!   start: look ---> the loader: whose is `realloc`? ---> ours: nothing is kept
//!                                                    ---> the program's: kept here
//!   reallocarray ---> is one kept? ---> no: ours       (one comparison)
//!                                  ---> yes: that one
//! ```
//!
//! The question is asked before any other code of the process runs: the loader answers it under
//! a lock, which a thread might hold for long later.
//!
//! Nor is it asked if we are loaded late ourselves, by somebody who calls us by `dlsym`: then the
//! process has a `realloc` before us, and we are not what it goes on to (`early`).
//!
//! Not done: a library that is loaded later cannot replace what we have; the loader finds ours
//! first.
#![allow(unsafe_code)]

use crate::open::{self, Handle};
use core::ffi::{CStr, c_void};
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// The place of one function that is to be called in the place of ours, if there is one.
#[repr(transparent)]
pub(crate) struct Other(AtomicPtr<c_void>);

impl Other {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// The function, or null.
    #[inline]
    pub(crate) fn get(&self) -> *mut c_void {
        // ORDERING: Relaxed, set once before there are threads; what it points to is code.
        self.0.load(Ordering::Relaxed)
    }

    /// Keeps what the process finds under a name of ours, unless it is `ours`.
    pub(crate) fn look(&self, name: &CStr, ours: *const c_void) {
        if !is_ours(name, ours) {
            self.set(open::find(Handle::PROCESS, name));
        }
    }

    /// Keeps what comes behind ours under a name.
    pub(crate) fn look_behind(&self, name: &CStr) {
        self.set(open::find(Handle::NEXT, name));
    }

    fn set(&self, function: *mut c_void) {
        // ORDERING: Relaxed, as in `get`.
        self.0.store(function, Ordering::Relaxed);
    }
}

/// True when the process finds this function of ours under its name, and not one of
/// the program's own.
pub(crate) fn is_ours(name: &CStr, ours: *const c_void) -> bool {
    let found = open::find(Handle::PROCESS, name);
    found.is_null() || ptr::eq(found, ours)
}
