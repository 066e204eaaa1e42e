//! What glibc adds to the standards.
//!
//! A program finds these whether we define them or not: when we leave one out,
//! glibc's own answers, about a heap that is empty, or hands out memory that
//! our `free` does not know. So all of them are here, and each says what is
//! true of us.
//!
//! | function | what it tells or does |
//! |---|---|
//! | `malloc_usable_size` | the bytes that the block has; all may be used |
//! | `malloc_trim` | gives free memory back; 1 when some went |
//! | `mallinfo`, `mallinfo2` | our numbers under glibc's names, see [`info`] |
//! | `malloc_info` | the same and more, as XML |
//! | `malloc_stats` | the same, for people, on descriptor 2 |
//! | `mallopt` | accepts glibc's hints and changes nothing |
//! | `__libc_malloc` and seven more | other names that old programs use |
#![allow(unsafe_code)]

use crate::malloc::{calloc, free, malloc, memalign, pvalloc, realloc, set_errno, valloc};
use crate::text::{self, Text};
use allod_core::{Stats, raw};
use core::ffi::{c_int, c_void};
use core::fmt::Write;

/// # Safety
///
/// `block` is NULL or a live block of ours.
#[unsafe(no_mangle)]
unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> usize {
    if block.is_null() {
        return 0;
    }
    // SAFETY: the block is live (caller) and not NULL.
    unsafe { raw::usable_size(block.cast()) }
}

#[unsafe(no_mangle)]
extern "C" fn malloc_trim(keep: usize) -> c_int {
    c_int::from(raw::trim(keep))
}

/// `struct mallinfo` and `struct mallinfo2`: the same ten fields, of another width.
#[repr(C)]
struct Info<T> {
    /// Bytes in use and free, own mappings excepted.
    arena: T,
    /// Free pieces. We keep no such count: 0.
    ordblks: T,
    /// Free small pieces: 0, as above.
    smblks: T,
    /// Blocks with a mapping of their own: 0, as above.
    hblks: T,
    /// Bytes in blocks with a mapping of their own.
    hblkhd: T,
    /// Unused by glibc too.
    usmblks: T,
    /// Bytes in free small pieces: 0; they are in `fordblks`.
    fsmblks: T,
    /// Bytes in live blocks, own mappings excepted.
    uordblks: T,
    /// Free bytes: in spans, and kept for later.
    fordblks: T,
    /// Bytes that `malloc_trim` could give back.
    keepcost: T,
}

/// Our numbers under glibc's names. `arena` is the sum of used and free bytes,
/// as programs that read it expect.
fn info<T>(stats: &Stats, number: impl Fn(usize) -> T) -> Info<T> {
    let used = stats.allocated.saturating_sub(stats.huge);
    let spans = stats.active.saturating_sub(stats.huge).max(used);
    let free = spans - used + stats.retained;
    Info {
        arena: number(used + free),
        ordblks: number(0),
        smblks: number(0),
        hblks: number(0),
        hblkhd: number(stats.huge),
        usmblks: number(0),
        fsmblks: number(0),
        uordblks: number(used),
        fordblks: number(free),
        keepcost: number(stats.retained),
    }
}

#[unsafe(no_mangle)]
extern "C" fn mallinfo2() -> Info<usize> {
    info(&allod_core::stats(), |bytes| bytes)
}

/// The old form. Numbers too large for its fields stay at their maximum; glibc's wrap.
#[unsafe(no_mangle)]
extern "C" fn mallinfo() -> Info<c_int> {
    info(&allod_core::stats(), |bytes| c_int::try_from(bytes).unwrap_or(c_int::MAX))
}

/// 1 for glibc's hints about speed and memory: their effect was never
/// promised, and programs take 0 for an error. 0 for anything that a program
/// could see not to happen, such as a pattern in fresh memory.
#[unsafe(no_mangle)]
extern "C" fn mallopt(option: c_int, _value: c_int) -> c_int {
    let hint = matches!(
        option,
        libc::M_MXFAST
            | libc::M_TRIM_THRESHOLD
            | libc::M_TOP_PAD
            | libc::M_MMAP_THRESHOLD
            | libc::M_MMAP_MAX
            | libc::M_CHECK_ACTION
            | libc::M_ARENA_TEST
            | libc::M_ARENA_MAX
    );
    c_int::from(hint)
}

/// Like glibc it answers with the error itself; it sets `errno` as well, as the
/// manual page promises.
///
/// # Safety
///
/// `stream` is open for writing.
#[unsafe(no_mangle)]
unsafe extern "C" fn malloc_info(options: c_int, stream: *mut libc::FILE) -> c_int {
    if options != 0 {
        set_errno(libc::EINVAL);
        return libc::EINVAL;
    }
    let stats = allod_core::stats();
    let numbers = info(&stats, |bytes| bytes);
    let mut xml = Text::<1024>::new();
    let _ = write!(
        xml,
        "<malloc version=\"1\">\n\
         <total type=\"rest\" size=\"{}\"/>\n\
         <total type=\"mmap\" size=\"{}\"/>\n\
         <system type=\"current\" size=\"{}\"/>\n\
         <aspace type=\"total\" size=\"{}\"/>\n\
         <allod allocated=\"{}\" active=\"{}\" resident=\"{}\" mapped=\"{}\" \
         retained=\"{}\" metadata=\"{}\" huge=\"{}\"/>\n\
         </malloc>\n",
        numbers.fordblks,
        numbers.hblkhd,
        stats.resident,
        stats.mapped,
        stats.allocated,
        stats.active,
        stats.resident,
        stats.mapped,
        stats.retained,
        stats.metadata,
        stats.huge,
    );
    // SAFETY: the text ends in a zero, and the caller vouches for the stream.
    // The stream may allocate its buffer: we hold nothing here.
    let result = unsafe { libc::fputs(xml.as_c_str().as_ptr(), stream) };
    if result < 0 { -1 } else { 0 }
}

#[unsafe(no_mangle)]
extern "C" fn malloc_stats() {
    let stats = allod_core::stats();
    let mut words = Text::<1024>::new();
    let _ = write!(
        words,
        "allod: bytes\n\
         allocated {:>16}\n\
         active    {:>16}\n\
         resident  {:>16}\n\
         mapped    {:>16}\n\
         retained  {:>16}\n\
         metadata  {:>16}\n\
         huge      {:>16}\n",
        stats.allocated,
        stats.active,
        stats.resident,
        stats.mapped,
        stats.retained,
        stats.metadata,
        stats.huge,
    );
    text::write(libc::STDERR_FILENO, words.bytes());
}

// The names under which glibc's own functions call one another. Programs from
// before symbol interposition was safe call them to get around `malloc`.

#[unsafe(no_mangle)]
extern "C" fn __libc_malloc(size: usize) -> *mut c_void {
    malloc(size)
}

#[unsafe(no_mangle)]
extern "C" fn __libc_calloc(count: usize, size: usize) -> *mut c_void {
    calloc(count, size)
}

/// # Safety
///
/// As `realloc`.
#[unsafe(no_mangle)]
unsafe extern "C" fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise is the same.
    unsafe { realloc(block, size) }
}

#[unsafe(no_mangle)]
extern "C" fn __libc_memalign(align: usize, size: usize) -> *mut c_void {
    memalign(align, size)
}

#[unsafe(no_mangle)]
extern "C" fn __libc_valloc(size: usize) -> *mut c_void {
    valloc(size)
}

#[unsafe(no_mangle)]
extern "C" fn __libc_pvalloc(size: usize) -> *mut c_void {
    pvalloc(size)
}

/// # Safety
///
/// As `free`.
#[unsafe(no_mangle)]
unsafe extern "C" fn __libc_free(block: *mut c_void) {
    // SAFETY: the caller's promise is the same.
    unsafe { free(block) }
}

/// # Safety
///
/// As `free`.
#[unsafe(no_mangle)]
unsafe extern "C" fn __libc_cfree(block: *mut c_void) {
    // SAFETY: the caller's promise is the same.
    unsafe { free(block) }
}
