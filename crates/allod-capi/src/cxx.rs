//! The twenty C++ operators: eight `new`, twelve `delete`.
//!
//! A C++ library's own operators call `malloc`, so a program works without
//! these. They save that call, and they know the sizes and alignments that
//! `delete` passes along, so that a wrong one is found.
//!
//! `delete` is a plain function. `new` is harder, because it must throw: when
//! there is no memory it calls the program's *new handler* and tries again,
//! and when there is no handler it throws `std::bad_alloc`. No exception may
//! pass through a Rust frame, so the frame that calls the handler and the
//! thrower is written in assembly, in `cxx/x86_64.rs`. On other processors
//! `cxx/fallback.rs` ends the process instead of throwing.
//!
//! The two that C++ programs live on, `new` and `new[]` without an alignment,
//! are Rust up to the point where no block is at hand. There they *jump* to the
//! assembly, as `malloc` does to its slow path: nothing of theirs is on the
//! stack any more when something is thrown. `docs/decisions/011` has the
//! reasons and the numbers, and a check reads the compiled code.
//!
//! The C++ library is found without being linked, in `cxx/runtime.rs`: a C
//! program has none, and must load us all the same.
//!
//! A program may have operators of its own, and seldom has all twenty. Sixteen are
//! *derived*: the language says which other one each calls, and a program that replaces
//! `delete(p)` sees `delete(p, size)` come to it. As long as all eight that anything is derived
//! from are ours, ours need not call each other. When one is not, the derived ones leave
//! everything to the C++ library's, which do (`cxx/derived.rs`).
//!
//! `new` leaves `errno` alone.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod derived;
#[cfg(target_arch = "x86_64")]
mod runtime;
#[cfg_attr(target_arch = "x86_64", path = "cxx/x86_64.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "cxx/fallback.rs")]
mod slow;

use crate::malloc::{MAX_ALIGN, power_of_two};
#[cfg(target_arch = "x86_64")]
use crate::replaced::is_ours;
use allod_core::raw;
#[cfg(target_arch = "x86_64")]
use core::ffi::CStr;
use core::ffi::c_void;

// `operator new` without an alignment serves every type up to this one.
const _: () = assert!(MAX_ALIGN == 16, "__STDCPP_DEFAULT_NEW_ALIGNMENT__ is 16");

/// Defines operators `delete` that pass nothing but the pointer.
macro_rules! delete {
    (#[$exported:meta] $($name:ident($($ignored:ty),*) $family:ident;)*) => {$(
        /// # Safety
        ///
        /// `block` is NULL or came from a matching `new`, and is given up.
        #[$exported]
        pub(super) unsafe extern "C" fn $name(block: *mut c_void $(, _: $ignored)*) {
            // SAFETY: the caller's promise.
            unsafe { raw::free_for::<{ raw::$family }>(block.cast()) }
        }
    )*};
}

/// Defines operators `delete` that pass a size, and maybe an alignment.
macro_rules! delete_sized {
    ($($name:ident($size:ident $(, $align:ident)?) $family:ident;)*) => {$(
        /// # Safety
        ///
        /// `block` is NULL or came from a matching `new` with this size and
        /// alignment, and is given up.
        #[cfg_attr(not(target_arch = "x86_64"), unsafe(no_mangle))]
        pub(super) unsafe extern "C" fn $name(block: *mut c_void, $size: usize $(, $align: usize)?) {
            let align = MAX_ALIGN;
            $(let align = align.max(power_of_two($align));)?
            // SAFETY: the caller's promise; the alignment is a power of two.
            unsafe { raw::free_sized_for::<{ raw::$family }>(block.cast(), $size, align) }
        }
    )*};
}

/// What a `std::nothrow_t const&` is to us: nothing.
type Nothrow = *const c_void;

delete! {
    #[unsafe(no_mangle)]
    _ZdlPv() NEW;
    _ZdlPvSt11align_val_t(usize) NEW;
}

/// The derived operators `delete` of ours. Where there may be others, `derived` exports them.
#[allow(non_snake_case, reason = "the names that C++ gives them")]
mod own {
    use super::*;

    delete! {
        #[cfg_attr(not(target_arch = "x86_64"), unsafe(no_mangle))]
        _ZdaPv() ARRAY;
        _ZdlPvRKSt9nothrow_t(Nothrow) NEW;
        _ZdaPvRKSt9nothrow_t(Nothrow) ARRAY;
        _ZdaPvSt11align_val_t(usize) ARRAY;
        _ZdlPvSt11align_val_tRKSt9nothrow_t(usize, Nothrow) NEW;
        _ZdaPvSt11align_val_tRKSt9nothrow_t(usize, Nothrow) ARRAY;
    }

    delete_sized! {
        _ZdlPvm(size) NEW;
        _ZdaPvm(size) ARRAY;
        _ZdlPvmSt11align_val_t(size, align) NEW;
        _ZdaPvmSt11align_val_t(size, align) ARRAY;
    }
}

#[unsafe(no_mangle)]
extern "C" fn _Znwm(size: usize) -> *mut c_void {
    let block = raw::alloc_fast(size);
    if block.is_null() { slow::new(size) } else { block.cast() }
}

#[unsafe(no_mangle)]
extern "C" fn _Znam(size: usize) -> *mut c_void {
    #[cfg(target_arch = "x86_64")]
    if !derived::NEW_ARRAY.get().is_null() {
        return derived::new_array_elsewhere(size);
    }
    let block = raw::alloc_fast(size);
    if block.is_null() { slow::new_array(size) } else { block.cast() }
}

/// The operators that others are derived from, with what is ours under their names.
#[cfg(target_arch = "x86_64")]
fn bases() -> [(&'static CStr, *const ()); 8] {
    [
        (c"_Znwm", _Znwm as *const ()),
        (c"_Znam", _Znam as *const ()),
        (c"_ZdlPv", _ZdlPv as *const ()),
        (c"_ZdaPv", derived::_ZdaPv as *const ()),
        (c"_ZnwmSt11align_val_t", slow::_ZnwmSt11align_val_t as *const ()),
        (c"_ZnamSt11align_val_t", derived::_ZnamSt11align_val_t as *const ()),
        (c"_ZdlPvSt11align_val_t", _ZdlPvSt11align_val_t as *const ()),
        (c"_ZdaPvSt11align_val_t", derived::_ZdaPvSt11align_val_t as *const ()),
    ]
}

/// Asks whether the program has operators of its own. Before any other code of the process runs.
#[cfg(target_arch = "x86_64")]
pub(crate) fn look() {
    if runtime::is_linked() && !families_hold() {
        derived::look();
    }
}

/// True when what `new` makes and what `delete` frees can be told apart. A program
/// may have operators of its own in the place of some, and reach `malloc` by them;
/// the others of ours then meet what they have not made.
#[cold]
pub(crate) fn families_hold() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        bases().iter().all(|(name, ours)| is_ours(name, ours.cast()))
    }
    #[cfg(not(target_arch = "x86_64"))]
    true
}

/// One attempt of `operator new(size)`.
extern "C" fn plain(size: usize) -> *mut u8 {
    attempt::<{ raw::NEW }>(size)
}

/// One attempt of `operator new[](size)`.
extern "C" fn plain_array(size: usize) -> *mut u8 {
    attempt::<{ raw::ARRAY }>(size)
}

fn attempt<const FAMILY: u16>(size: usize) -> *mut u8 {
    let block = raw::alloc_fast(size);
    if block.is_null() { raw::alloc_slow_for::<FAMILY>(size) } else { block }
}

/// One attempt of `operator new(size, align)`. The language knows no alignment
/// that is not a power of two; there is no memory for one.
extern "C" fn aligned(size: usize, align: usize) -> *mut u8 {
    if !align.is_power_of_two() {
        return core::ptr::null_mut();
    }
    raw::alloc_aligned_for::<{ raw::NEW }>(size, align)
}

/// One attempt of `operator new[](size, align)`.
extern "C" fn aligned_array(size: usize, align: usize) -> *mut u8 {
    if !align.is_power_of_two() {
        return core::ptr::null_mut();
    }
    raw::alloc_aligned_for::<{ raw::ARRAY }>(size, align)
}
