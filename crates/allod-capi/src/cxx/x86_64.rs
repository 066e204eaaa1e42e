//! The operators `new`, in frames through which an exception may pass.
//!
//! ```text
//!   operator new(size):                    operator new(size, nothrow):
//!     try once; done if it worked            the same, in `try { }`
//!     loop                                   `catch (...)`: the answer is NULL
//!       no handler: throw bad_alloc          no handler: the answer is NULL
//!       call the handler   (may throw)
//!       try again; done if it worked
//! ```
//!
//! Each is a naked function: the assembly below is all of it, and `.cfi_` lines
//! tell the unwinder what the stack looks like. An exception from the handler
//! or the thrower meets only this frame before it is in C++ again. The Rust
//! functions called from here return always and throw never.
//!
//! The arguments wait on the stack, so no register has to be saved.
//!
//! Derived operators are exported by `derived`, which jumps to them here.
//!
//! # The frame that catches
//!
//! A nothrow operator promises NULL even when the handler throws, as handlers
//! do. So its frame names the C++ personality, and a table (LSDA) that says:
//! from this one call, whatever is thrown, go there. The reference is weak. In
//! a program without a C++ library it is null, and an unwinder takes a frame
//! whose personality is null for one that catches nothing; no handler exists
//! then that could throw.
//!
//! # Not done
//!
//! When the C++ library came late and only for a plugin (see `runtime`), the
//! personality stays null: a handler that throws out of a nothrow `new` there
//! ends the program.
#![allow(unsafe_code)]
#![allow(non_snake_case, reason = "the names that C++ gives them")]

use super::{Nothrow, aligned, aligned_array, plain, plain_array};
use crate::cxx::runtime::{new_handler, thrower};
use core::arch::{global_asm, naked_asm};
use core::ffi::c_void;

// The word that holds the personality's address, in the form that C++ compilers
// use, so that a linker merges ours with theirs.
global_asm!(
    ".weak __gxx_personality_v0",
    ".weak __cxa_begin_catch",
    ".weak __cxa_end_catch",
    ".pushsection .data.rel.local.DW.ref.__gxx_personality_v0,\"awG\",@progbits,DW.ref.__gxx_personality_v0,comdat",
    ".hidden DW.ref.__gxx_personality_v0",
    ".weak DW.ref.__gxx_personality_v0",
    ".p2align 3",
    ".type DW.ref.__gxx_personality_v0, @object",
    ".size DW.ref.__gxx_personality_v0, 8",
    "DW.ref.__gxx_personality_v0: .quad __gxx_personality_v0",
    ".popsection",
);

/// Defines throwing operators. `$enter` saves the arguments and aligns the
/// stack, `$reload` has them back in their registers, `$leave` undoes `$enter`.
macro_rules! throwing {
    ($attempt:ident, $enter:literal, $frame:literal, $reload:literal, $leave:literal,
     $($(#[$attribute:meta])? $name:ident($($argument:ty),*))*) => {$(
        $(#[$attribute])?
        #[unsafe(naked)]
        pub(super) extern "C" fn $name($(_: $argument),*) -> *mut c_void {
            naked_asm!(
                ".cfi_startproc",
                $enter,
                concat!(".cfi_def_cfa_offset ", $frame),
                "call {attempt}",
                "test rax, rax",
                "jz 2f",
                ".cfi_remember_state",
                "3:",
                $leave,
                ".cfi_def_cfa_offset 8",
                "ret",
                ".cfi_restore_state",
                "2:",
                "call {new_handler}",
                "test rax, rax",
                "jz 4f",
                "call rax",
                $reload,
                "call {attempt}",
                "test rax, rax",
                "jz 2b",
                "jmp 3b",
                "4:",
                "call {thrower}",
                "call rax",
                "ud2",
                ".cfi_endproc",
                attempt = sym $attempt,
                new_handler = sym new_handler,
                thrower = sym thrower,
            )
        }
    )*};
}

/// Defines nothrow operators.
macro_rules! nothrow {
    ($attempt:ident, $enter:literal, $frame:literal, $reload:literal, $leave:literal,
     $($name:ident($($argument:ty),*))*) => {$(
        #[unsafe(naked)]
        pub(super) extern "C" fn $name($(_: $argument),*) -> *mut c_void {
            naked_asm!(
                "2:",
                ".cfi_startproc",
                // 0x9b: indirect, relative, four bytes. 0x1b: relative, four bytes.
                ".cfi_personality 0x9b, DW.ref.__gxx_personality_v0",
                concat!(".cfi_lsda 0x1b, .Lcatch", stringify!($name)),
                $enter,
                concat!(".cfi_def_cfa_offset ", $frame),
                "call {attempt}",
                "test rax, rax",
                "jz 4f",
                ".cfi_remember_state",
                "3:",
                $leave,
                ".cfi_def_cfa_offset 8",
                "ret",
                ".cfi_restore_state",
                "4:",
                "call {new_handler}",
                "test rax, rax",
                "jz 3b",
                "5:",
                "call rax",
                "6:",
                $reload,
                "call {attempt}",
                "test rax, rax",
                "jz 4b",
                "jmp 3b",
                // Whatever was thrown arrives here, in rax.
                "7:",
                "mov rdi, rax",
                "call qword ptr [rip + __cxa_begin_catch@GOTPCREL]",
                "call qword ptr [rip + __cxa_end_catch@GOTPCREL]",
                "xor eax, eax",
                "jmp 3b",
                ".cfi_endproc",
                "8:",
                ".pushsection .gcc_except_table,\"a\",@progbits",
                ".p2align 2",
                concat!(".Lcatch", stringify!($name), ":"),
                // Landing pads count from the function's start; types are as above.
                ".byte 0xff, 0x9b",
                ".uleb128 23f - 21f",
                "21:",
                // Calls, as start, length, landing pad, action: nothing is
                // thrown before the handler's call, its call is caught, and
                // nothing is thrown after.
                ".byte 0x01",
                ".uleb128 22f - 24f",
                "24:",
                ".uleb128 5b - 2b",
                ".uleb128 6b - 5b",
                ".uleb128 7b - 2b",
                ".uleb128 1",
                "22:",
                // Action 1: the first type, and nothing else. The type is null: any.
                ".byte 1, 0",
                ".p2align 2",
                ".long 0",
                "23:",
                ".popsection",
                attempt = sym $attempt,
                new_handler = sym new_handler,
            )
        }
    )*};
}

throwing! {
    plain, "push rdi", "16", "mov rdi, qword ptr [rsp]", "pop rcx",
    // What `_Znwm` jumps to when no block is at hand.
    new(usize)
}

throwing! {
    plain_array, "push rdi", "16", "mov rdi, qword ptr [rsp]", "pop rcx",
    // What `_Znam` jumps to when no block is at hand.
    new_array(usize)
}

throwing! {
    aligned,
    "push rsi\npush rdi\npush rax", "32",
    "mov rdi, qword ptr [rsp + 8]\nmov rsi, qword ptr [rsp + 16]",
    "add rsp, 24",
    #[unsafe(no_mangle)]
    _ZnwmSt11align_val_t(usize, usize)
}

throwing! {
    aligned_array,
    "push rsi\npush rdi\npush rax", "32",
    "mov rdi, qword ptr [rsp + 8]\nmov rsi, qword ptr [rsp + 16]",
    "add rsp, 24",
    _ZnamSt11align_val_t(usize, usize)
}

nothrow! {
    plain, "push rdi", "16", "mov rdi, qword ptr [rsp]", "pop rcx",
    _ZnwmRKSt9nothrow_t(usize, Nothrow)
}

nothrow! {
    plain_array, "push rdi", "16", "mov rdi, qword ptr [rsp]", "pop rcx",
    _ZnamRKSt9nothrow_t(usize, Nothrow)
}

nothrow! {
    aligned,
    "push rsi\npush rdi\npush rax", "32",
    "mov rdi, qword ptr [rsp + 8]\nmov rsi, qword ptr [rsp + 16]",
    "add rsp, 24",
    _ZnwmSt11align_val_tRKSt9nothrow_t(usize, usize, Nothrow)
}

nothrow! {
    aligned_array,
    "push rsi\npush rdi\npush rax", "32",
    "mov rdi, qword ptr [rsp + 8]\nmov rsi, qword ptr [rsp + 16]",
    "add rsp, 24",
    _ZnamSt11align_val_tRKSt9nothrow_t(usize, usize, Nothrow)
}
