//! The functions of ISO C and POSIX.
//!
//! | function | when it fails | source |
//! |---|---|---|
//! | `malloc` `calloc` `realloc` `reallocarray` | NULL, `ENOMEM` | C23 7.24.3, POSIX.1-2024 |
//! | `aligned_alloc` | NULL, `EINVAL` for an alignment that is not a power of two, else `ENOMEM` | C23 7.24.3.1 |
//! | `memalign` `valloc` `pvalloc` | NULL, `EINVAL` or `ENOMEM` | glibc |
//! | `posix_memalign` | returns the error; `errno` and `*out` stay as they were | POSIX.1-2024 |
//! | `free` `free_sized` `free_aligned_sized` `cfree` | never; a pointer that is not a live block of ours ends the process | |
//!
//! Where the standards leave room we do as glibc does: `malloc(0)` is a unique
//! pointer, and `realloc(p, 0)` frees `p` and returns NULL. That NULL is no
//! failure, so `errno` stays as it was.
//!
//! `malloc` and `free` are the whole fast path of a C program: the allocator's
//! own fast path is inlined, and everything about failure is in a function of
//! its own that the fast path only jumps to.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use crate::replaced::Other;
use allod_core::raw;
use core::ffi::{c_int, c_void};
#[cfg(target_arch = "x86_64")]
use core::mem::transmute;
use core::ptr;

/// The alignment that C promises for every block, whatever its size.
pub(crate) const MAX_ALIGN: usize = align_of::<libc::max_align_t>();
const _: () = assert!(MAX_ALIGN <= 16, "`raw::alloc` aligns to 16");

#[unsafe(no_mangle)]
pub(crate) extern "C" fn malloc(size: usize) -> *mut c_void {
    let block = raw::alloc_fast(size);
    if block.is_null() { malloc_slow(size) } else { block.cast() }
}

/// The rest of `malloc`, jumped to: the fast path needs no stack.
#[cold]
#[inline(never)]
extern "C" fn malloc_slow(size: usize) -> *mut c_void {
    raw::alloc_slow_by::<Exhausted>(size).cast()
}

/// What `malloc` answers when there is no memory.
struct Exhausted;

impl raw::Face for Exhausted {
    const FAMILY: u16 = raw::C;

    fn refused() -> *mut u8 {
        exhausted().cast()
    }
}

/// # Safety
///
/// `block` is NULL or a live block of ours, and the caller gives it up.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn free(block: *mut c_void) {
    // SAFETY: the caller's promise is the same.
    unsafe { raw::free(block.cast()) }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size) {
        Some(bytes) => or_exhausted(raw::alloc_zeroed(bytes)),
        None => exhausted(),
    }
}

/// # Safety
///
/// `block` is NULL or a live block of ours. It stays the caller's when the
/// result is NULL and `size` is not 0; otherwise the caller gives it up.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // Lua has no other call for what it allocates.
    if block.is_null() {
        return malloc(size);
    }
    // SAFETY: the caller's promise.
    if unsafe { raw::stays(block.cast(), size) } {
        return block;
    }
    // SAFETY: the caller's promise is the same.
    unsafe { realloc_elsewhere(block, size) }
}

/// The rest of [`realloc`], which needs a frame.
///
/// # Safety
///
/// As [`realloc`], and `block` is not NULL.
#[inline(never)]
unsafe fn realloc_elsewhere(block: *mut c_void, size: usize) -> *mut c_void {
    if size == 0 {
        // SAFETY: `block` is live (caller) and given up.
        unsafe { raw::free(block.cast()) };
        return ptr::null_mut();
    }
    // SAFETY: `block` is live, and not NULL (caller); the size is not 0.
    or_exhausted(unsafe { raw::realloc(block.cast(), size) })
}

/// # Safety
///
/// As [`realloc`].
#[unsafe(no_mangle)]
unsafe extern "C" fn reallocarray(block: *mut c_void, count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size) {
        #[cfg(target_arch = "x86_64")]
        Some(bytes) if !REALLOC.get().is_null() => {
            type Realloc = unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void;
            // SAFETY: this is the process's `realloc`, and this is its type.
            let realloc = unsafe { transmute::<*mut c_void, Realloc>(REALLOC.get()) };
            // SAFETY: the caller's promise is the same.
            unsafe { realloc(block, bytes) }
        }
        // SAFETY: the caller's promise is the same.
        Some(bytes) => unsafe { realloc(block, bytes) },
        None => exhausted(),
    }
}

/// # Safety
///
/// `out` can be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(out: *mut *mut c_void, align: usize, size: usize) -> c_int {
    if !align.is_power_of_two() || align < size_of::<*mut c_void>() {
        return libc::EINVAL;
    }
    let block = raw::alloc_aligned(size, align);
    if block.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller lets us write `out`.
    unsafe { out.write(block.cast()) };
    0
}

/// The size need not be a multiple of the alignment (C17, DR 460).
#[unsafe(no_mangle)]
extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    if !align.is_power_of_two() {
        return invalid();
    }
    or_exhausted(raw::alloc_aligned(size, align))
}

/// As glibc does, an alignment that is not a power of two is rounded up to one.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    match align.checked_next_power_of_two() {
        Some(align) => or_exhausted(raw::alloc_aligned(size, align)),
        None => invalid(),
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn valloc(size: usize) -> *mut c_void {
    or_exhausted(raw::alloc_aligned(size, page_size()))
}

/// `valloc`, with the size rounded up to whole pages.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn pvalloc(size: usize) -> *mut c_void {
    match size.checked_next_multiple_of(page_size()) {
        Some(bytes) => valloc(bytes),
        None => exhausted(),
    }
}

/// # Safety
///
/// As [`free`]; `size` is what was asked of `malloc`, `calloc` or `realloc`.
#[unsafe(no_mangle)]
unsafe extern "C" fn free_sized(block: *mut c_void, size: usize) {
    #[cfg(target_arch = "x86_64")]
    if !FREE.get().is_null() {
        // SAFETY: the caller's promise is the same.
        return unsafe { free_other(block) };
    }
    // SAFETY: the caller's promise, and those functions align to `MAX_ALIGN`.
    unsafe { raw::free_sized(block.cast(), size, MAX_ALIGN) }
}

/// # Safety
///
/// As [`free`]; `align` and `size` are what was asked of `aligned_alloc`.
#[unsafe(no_mangle)]
unsafe extern "C" fn free_aligned_sized(block: *mut c_void, align: usize, size: usize) {
    #[cfg(target_arch = "x86_64")]
    if !FREE.get().is_null() {
        // SAFETY: the caller's promise is the same.
        return unsafe { free_other(block) };
    }
    // SAFETY: the caller's promise. An alignment that `aligned_alloc` would have
    // refused becomes a power of two, and the size check judges it.
    unsafe { raw::free_sized(block.cast(), size, power_of_two(align)) }
}

/// The least power of two that is no smaller, or the greatest there is.
pub(crate) fn power_of_two(align: usize) -> usize {
    align.checked_next_power_of_two().unwrap_or(1 << (usize::BITS - 1))
}

/// # Safety
///
/// As [`free`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cfree(block: *mut c_void) {
    #[cfg(target_arch = "x86_64")]
    if !FREE.get().is_null() {
        // SAFETY: the caller's promise is the same.
        return unsafe { free_other(block) };
    }
    // SAFETY: the caller's promise is the same.
    unsafe { free(block) }
}

/// The program's own `realloc` and `free`, if it has some (`replaced`).
#[cfg(target_arch = "x86_64")]
static REALLOC: Other = Other::new();
#[cfg(target_arch = "x86_64")]
static FREE: Other = Other::new();

/// Asks whether the program has its own. Before any other code of the process runs.
#[cfg(target_arch = "x86_64")]
pub(crate) fn look() {
    REALLOC.look(c"realloc", (realloc as *const ()).cast());
    if !REALLOC.get().is_null() {
        FREE.look(c"free", (free as *const ()).cast());
    }
}

/// Frees by the program's own `free`.
///
/// # Safety
///
/// There is one; the rest as [`free`].
#[cfg(target_arch = "x86_64")]
#[cold]
unsafe fn free_other(block: *mut c_void) {
    type Free = unsafe extern "C" fn(*mut c_void);
    // SAFETY: this is the process's `free`, and this is its type.
    let free = unsafe { transmute::<*mut c_void, Free>(FREE.get()) };
    // SAFETY: the caller's promise.
    unsafe { free(block) }
}

/// The system's page size in bytes.
fn page_size() -> usize {
    // SAFETY: `sysconf` only reads what the loader has noted.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}

/// The answer of a function that fails with `ENOMEM`, or the block.
#[inline(always)]
pub(crate) fn or_exhausted(block: *mut u8) -> *mut c_void {
    if block.is_null() { exhausted() } else { block.cast() }
}

#[cold]
#[inline(never)]
fn exhausted() -> *mut c_void {
    set_errno(libc::ENOMEM);
    ptr::null_mut()
}

#[cold]
#[inline(never)]
fn invalid() -> *mut c_void {
    set_errno(libc::EINVAL);
    ptr::null_mut()
}

/// Sets the calling thread's `errno`.
pub(crate) fn set_errno(value: c_int) {
    // SAFETY: the C library answers with a place that lives as long as the thread.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: the place is this thread's own.
    unsafe { place.write(value) };
}
