//! What happens around `fork`.
//!
//! The child has one thread, and the locks of the others with nobody to open
//! them. So the allocator takes all its locks before `fork` and lets them go
//! on both sides.
//!
//! The order matters. Before a fork the C library calls the handlers that were
//! registered last first, and after it in the order of registration. A
//! program's handlers may allocate. Ours must therefore run last before the
//! fork and first after it, and so be registered before anybody else's: the
//! library is linked with `-z initfirst`, and this is the first thing that its
//! constructor does.
//!
//! `vfork`, `posix_spawn` and a bare `clone` call no handlers. None is needed:
//! their child shares our memory or never allocates.
#![allow(unsafe_code)]

use allod_core::raw;

/// Registers the three handlers.
pub(crate) fn register() {
    // An error means that the C library has no memory for its own list. There
    // is nobody to tell, and a process with one thread still forks well.
    // SAFETY: the handlers stay: the library is never unloaded.
    let _ = unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
}

unsafe extern "C" fn prepare() {
    // SAFETY: the C library calls this in the forking thread, before the fork.
    unsafe { raw::fork_prepare() }
}

unsafe extern "C" fn parent() {
    // SAFETY: the same thread, after `prepare`, in the parent.
    unsafe { raw::fork_parent() }
}

unsafe extern "C" fn child() {
    // SAFETY: the same thread, after `prepare`, in the child.
    unsafe { raw::fork_child() }
}
