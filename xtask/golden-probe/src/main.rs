//! What Allod's fast path looks like from inside a Rust program.
//!
//! `cargo xtask golden` builds this program and counts the instructions of the
//! functions below. They go through `std::alloc`, as `Box` and `Vec` do, so
//! that everything the compiler puts in between is counted as well.
//!
//! * `_48`: the layout is a constant, as it is for a `Box`.
//! * `_dynamic`: the layout is known at run time only, as it is for a `Vec`.
//! * `pair`: both in a row, for the work the optimizer can share.
//!
//! Each is kept whole and under its own name. `main` calls each of them
//! through a pointer, which shows that they work and keeps them from being
//! inlined or dropped.

use std::alloc::{Layout, alloc, dealloc};
use std::hint::black_box;
use std::process::ExitCode;

#[global_allocator]
static GLOBAL: allod::Allod = allod::Allod::new();

const LAYOUT: Layout = match Layout::from_size_align(48, 8) {
    Ok(layout) => layout,
    Err(_) => panic!("a power of two, and small"),
};

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn rust_alloc_48() -> *mut u8 {
    // SAFETY: the size is not zero.
    unsafe { alloc(LAYOUT) }
}

/// # Safety
///
/// `block` comes from `rust_alloc_48` and is given up.
#[inline(never)]
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_dealloc_48(block: *mut u8) {
    // SAFETY: allocated with this layout, by our caller's word.
    unsafe { dealloc(block, LAYOUT) }
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn rust_pair_48() {
    // SAFETY: the size is not zero.
    let block = black_box(unsafe { alloc(LAYOUT) });
    // SAFETY: allocated above. There is no null check: it would be counted,
    // and a program that is out of memory here may as well end.
    unsafe { dealloc(block, LAYOUT) }
}

/// # Safety
///
/// `size` and `align` make a layout, and `size` is not zero.
#[inline(never)]
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_alloc_dynamic(size: usize, align: usize) -> *mut u8 {
    // SAFETY: our caller's word.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    // SAFETY: the size is not zero, by our caller's word.
    unsafe { alloc(layout) }
}

/// # Safety
///
/// `block` comes from `rust_alloc_dynamic` with these numbers and is given up.
#[inline(never)]
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_dealloc_dynamic(block: *mut u8, size: usize, align: usize) {
    // SAFETY: our caller's word.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    // SAFETY: allocated with this layout, by our caller's word.
    unsafe { dealloc(block, layout) }
}

fn main() -> ExitCode {
    let alloc_48: extern "C" fn() -> *mut u8 = black_box(rust_alloc_48);
    let dealloc_48: unsafe extern "C" fn(*mut u8) = black_box(rust_dealloc_48);
    let pair_48: extern "C" fn() = black_box(rust_pair_48);
    let alloc_dynamic: unsafe extern "C" fn(usize, usize) -> *mut u8 =
        black_box(rust_alloc_dynamic);
    let dealloc_dynamic: unsafe extern "C" fn(*mut u8, usize, usize) =
        black_box(rust_dealloc_dynamic);

    let first = alloc_48();
    // SAFETY: 80 and 8 make a layout.
    let second = unsafe { alloc_dynamic(80, 8) };
    if first.is_null() || second.is_null() || first == second {
        return ExitCode::FAILURE;
    }
    // SAFETY: it holds 48 bytes, and they are ours.
    unsafe { first.write_bytes(1, 48) };
    // SAFETY: it holds 80 bytes, and they are ours.
    unsafe { second.write_bytes(2, 80) };
    // SAFETY: the last of the 48 bytes.
    let last = unsafe { first.add(47) };
    // SAFETY: written above.
    if unsafe { last.read() } != 1 {
        return ExitCode::FAILURE;
    }
    // SAFETY: from `alloc_48`, used no more.
    unsafe { dealloc_48(first) };
    // SAFETY: from `alloc_dynamic(80, 8)`, used no more.
    unsafe { dealloc_dynamic(second, 80, 8) };
    pair_48();
    ExitCode::SUCCESS
}
