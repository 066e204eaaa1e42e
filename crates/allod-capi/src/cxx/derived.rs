//! The operators that are derived from others, as the loader finds them.
//!
//! ```text
//!   delete(p, size) ---> is there another? ---> no: ours
//!                                          ---> yes: jmp the C++ library's, which calls
//!                                               delete(p), which is the program's
//! ```
//!
//! Each *jumps*: `new` may throw, and an exception may pass through no frame of Rust. There is
//! another when the program has an operator of its own in the place of any that something is
//! derived from, and a C++ library to have the rest from. That library knows what the language
//! says, and we need not say it again for each.
//!
//! A program whose C++ library is linked into it has all twenty, and none of ours is called.
#![allow(unsafe_code)]

use super::{Nothrow, own, slow};
use crate::replaced::Other;
use core::arch::naked_asm;
use core::ffi::c_void;

/// The C++ library's `operator new[](size)`, if it is to be called.
pub(super) static NEW_ARRAY: Other = Other::new();

/// Where `_Znam` goes when there is another. It has its own question, so that the way to a
/// block stays one function.
#[unsafe(naked)]
pub(super) extern "C" fn new_array_elsewhere(_: usize) -> *mut c_void {
    naked_asm!(
        ".cfi_startproc",
        "jmp qword ptr [rip + {another}]",
        ".cfi_endproc",
        another = sym NEW_ARRAY,
    )
}

/// Defines derived operators: each with its place for another, and ours.
macro_rules! derived {
    ($($name:ident($($argument:ty),*) $(-> $block:ty)?, $room:ident, $place:ident;)*) => {
        $(
            static $place: Other = Other::new();

            #[unsafe(no_mangle)]
            #[unsafe(naked)]
            pub(super) extern "C" fn $name($(_: $argument),*) $(-> $block)? {
                naked_asm!(
                    ".cfi_startproc",
                    "cmp qword ptr [rip + {another}], 0",
                    "je {ours}",
                    "jmp qword ptr [rip + {another}]",
                    ".cfi_endproc",
                    another = sym $place,
                    ours = sym $room::$name,
                )
            }
        )*

        /// Finds the C++ library's. Where it has one, ours is not called any more.
        #[cold]
        pub(super) fn look() {
            NEW_ARRAY.look_behind(c"_Znam");
            $($place.look_behind(const {
                match core::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => panic!("one zero, at the end"),
                }
            });)*
        }
    };
}

type Block = *mut c_void;

derived! {
    _ZnwmRKSt9nothrow_t(usize, Nothrow) -> Block, slow, NEW_NOTHROW;
    _ZnamRKSt9nothrow_t(usize, Nothrow) -> Block, slow, NEW_ARRAY_NOTHROW;
    _ZnamSt11align_val_t(usize, usize) -> Block, slow, NEW_ARRAY_ALIGNED;
    _ZnwmSt11align_val_tRKSt9nothrow_t(usize, usize, Nothrow) -> Block, slow, NEW_ALIGNED_NOTHROW;
    _ZnamSt11align_val_tRKSt9nothrow_t(usize, usize, Nothrow) -> Block, slow, NEW_ARRAY_ALIGNED_NOTHROW;
    _ZdaPv(Block), own, ARRAY;
    _ZdlPvm(Block, usize), own, SIZED;
    _ZdaPvm(Block, usize), own, ARRAY_SIZED;
    _ZdlPvRKSt9nothrow_t(Block, Nothrow), own, NOTHROW;
    _ZdaPvRKSt9nothrow_t(Block, Nothrow), own, ARRAY_NOTHROW;
    _ZdaPvSt11align_val_t(Block, usize), own, ARRAY_ALIGNED;
    _ZdlPvmSt11align_val_t(Block, usize, usize), own, SIZED_ALIGNED;
    _ZdaPvmSt11align_val_t(Block, usize, usize), own, ARRAY_SIZED_ALIGNED;
    _ZdlPvSt11align_val_tRKSt9nothrow_t(Block, usize, Nothrow), own, ALIGNED_NOTHROW;
    _ZdaPvSt11align_val_tRKSt9nothrow_t(Block, usize, Nothrow), own, ARRAY_ALIGNED_NOTHROW;
}
