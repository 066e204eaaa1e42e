//! The operators `new` on processors without a frame of their own.
//!
//! They serve, and when there is no memory the throwing ones end the process
//! with a line on descriptor 2 and SIGABRT, and the nothrow ones answer NULL.
//! New handlers are not called: one may throw, and the exception would have
//! to pass through this Rust code.
#![allow(unsafe_code)]

use super::{Nothrow, aligned, aligned_array, plain, plain_array};
use crate::text;
use core::ffi::c_void;

fn or_die(block: *mut u8) -> *mut c_void {
    if block.is_null() {
        text::die(b"allod: out of memory in operator new, which cannot throw on this processor\n");
    }
    block.cast()
}

/// What `_Znwm` jumps to when no block is at hand.
#[cold]
pub(super) extern "C" fn new(size: usize) -> *mut c_void {
    or_die(plain(size))
}

/// What `_Znam` jumps to when no block is at hand.
#[cold]
pub(super) extern "C" fn new_array(size: usize) -> *mut c_void {
    or_die(plain_array(size))
}

/// Defines an operator for each line: name, arguments, attempt, end.
macro_rules! new {
    ($($name:ident($($argument:ident),* $(; $ignored:ident)?) = $attempt:ident, $end:expr;)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name($($argument: usize),* $(, _: $ignored)?) -> *mut c_void {
            let end: fn(*mut u8) -> *mut c_void = $end;
            end($attempt($($argument),*))
        }
    )*};
}

new! {
    _ZnwmSt11align_val_t(size, align) = aligned, or_die;
    _ZnamSt11align_val_t(size, align) = aligned_array, or_die;
    _ZnwmRKSt9nothrow_t(size; Nothrow) = plain, <*mut u8>::cast;
    _ZnamRKSt9nothrow_t(size; Nothrow) = plain_array, <*mut u8>::cast;
    _ZnwmSt11align_val_tRKSt9nothrow_t(size, align; Nothrow) = aligned, <*mut u8>::cast;
    _ZnamSt11align_val_tRKSt9nothrow_t(size, align; Nothrow) = aligned_array, <*mut u8>::cast;
}
