//! The unwinder against another, libgcc's, which throws the C++ and Rust programs'
//! exceptions and so has to be right.
#![allow(unsafe_code)]

use super::{Captured, capture};
use core::ffi::{c_int, c_void};
use std::vec::Vec;

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
/// called at different places.
#[inline(never)]
fn compare() {
    let mut words = [0; 512];
    let Captured { depth, truncated } = capture(&mut words);
    let theirs = oracle();
    assert_eq!(words.get(1..depth), theirs.get(1..), "the same callers");
    assert!(!truncated, "to the end");
    std::hint::black_box(&words);
}

#[test]
fn a_stack_is_that_of_another_unwinder() {
    compare();
}
