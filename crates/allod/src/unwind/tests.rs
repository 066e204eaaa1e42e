//! The unwinder against another, libgcc's, which carries the exceptions of C++ and
//! Rust programs and so has to be right.
//!
//! `rules.rs` fills the table of rules; `shapes.rs` makes stacks of every shape; `plugins.rs` loads and unloads code under
//! running walks; `bytes.rs` feeds the readers nonsense; `alone.rs` holds what needs a
//! process of its own; `touched.rs` is about pages.
#![allow(unsafe_code)]

use super::{Captured, capture};
use crate::sync::{AtomicBool, Ordering};
use core::ffi::{CStr, c_int, c_void};
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::vec::Vec;

mod alone;
mod bytes;
mod plugins;
mod rules;
mod shapes;
mod touched;

unsafe extern "C" {
    fn _Unwind_Backtrace(f: extern "C" fn(*mut c_void, *mut c_void) -> c_int, to: *mut c_void)
    -> c_int;
    fn _Unwind_GetIPInfo(context: *mut c_void, before: *mut c_int) -> usize;
}

extern "C" fn note(context: *mut c_void, to: *mut c_void) -> c_int {
    let mut before = 0;
    // SAFETY: the context that the unwinder gave us.
    let pc = unsafe { _Unwind_GetIPInfo(context, &raw mut before) };
    // SAFETY: the vector that `oracle` gave.
    let found = unsafe { &mut *to.cast::<Vec<usize>>() };
    found.push(if pc == 0 { 0 } else { pc + before as usize });
    0
}

/// The return addresses of the caller and of its callers, as libgcc finds them.
#[inline(never)]
fn oracle() -> Vec<usize> {
    let mut found = Vec::with_capacity(512);
    // SAFETY: both functions have the shapes that the unwinder wants.
    unsafe { _Unwind_Backtrace(note, (&raw mut found).cast()) };
    // It reports what is beyond the outermost frame of a thread, too.
    while found.last() == Some(&0) {
        found.pop();
    }
    found.remove(0);
    found
}

/// Compares one stack, but for the frame of this function itself, where the two are
/// called at different places. Gives its depth.
#[inline(never)]
fn compare() -> usize {
    let mut words = [0; 512];
    let Captured { depth, truncated } = capture(&mut words);
    let theirs = oracle();
    assert_eq!(words.get(1..depth), theirs.get(1..), "the same callers");
    assert!(!truncated, "to the end");
    std::hint::black_box(&words);
    depth
}

/// Waits until `agrees` does. A walk that meets a module for the first time while another
/// thread reads the list of modules is cut short, and so are those that come too soon
/// after a reading; what is compared afterwards has to be right.
fn wait_until(mut agrees: impl FnMut() -> bool) {
    let started = Instant::now();
    while !agrees() {
        assert!(started.elapsed() < Duration::from_secs(60), "not within a minute");
        std::thread::yield_now();
    }
}

/// Waits until all modules on the caller's stack are known.
fn warm() {
    wait_until(|| !capture(&mut [0; 256]).truncated);
}

/// Tells other threads to stop when it is dropped, also by a panic: a scope waits for them.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        // ORDERING: Relaxed, a flag that guards no data.
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A library made of C, loaded.
struct Library(*mut c_void);

impl Library {
    /// Compiles `text` into a library in a folder of its own, and gives its path.
    fn build(name: &str, text: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(std::format!("allod-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the library");
        let (source, library) = (folder.join("it.c"), folder.join("it.so"));
        std::fs::write(&source, text).expect("its source is written");
        let done = Command::new("cc")
            // With the last of these, as distributions build, a large frame is found from another
            // register while its pages are touched one by one.
            .args(["-O2", "-shared", "-fPIC", "-fomit-frame-pointer", "-fstack-clash-protection"])
            .arg("-o")
            .args([&library, &source])
            .status();
        assert!(done.is_ok_and(|status| status.success()), "the C compiler, which links us, works");
        library
    }

    fn open(path: &Path) -> Self {
        let path = CString::new(path.as_os_str().as_encoded_bytes()).expect("a path");
        // SAFETY: the library has no constructors.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null(), "the library opens");
        Self(handle)
    }

    /// The function of this name, of the type that the C text has it in.
    fn find<F: Copy>(&self, name: &CStr) -> F {
        assert_eq!(size_of::<F>(), size_of::<usize>(), "a pointer to a function");
        // SAFETY: the library is open.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!found.is_null(), "the function is there");
        // SAFETY: a pointer to a function, as the caller says.
        unsafe { core::mem::transmute_copy(&found) }
    }

    fn close(self) {
        // SAFETY: opened above, and none of its functions is running.
        unsafe { libc::dlclose(self.0) };
    }
}

/// Removes what [`Library::build`] made.
fn remove(library: &Path) {
    let folder = library.parent().expect("it is in a folder");
    std::fs::remove_dir_all(folder).expect("the folder goes");
}
