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
use allod_core::{ClassStats, Stats, raw};
use core::ffi::{c_int, c_void};
use core::fmt::{self, Write};

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
    /// Bytes in use and free, own mappings excepted: `uordblks` and `fordblks`.
    arena: T,
    /// Free blocks in spans.
    ordblks: T,
    /// Free blocks in threads' front lists, which glibc would call fast bins.
    smblks: T,
    /// Objects with a mapping of their own.
    hblks: T,
    /// Bytes in them.
    hblkhd: T,
    /// Unused by glibc too.
    usmblks: T,
    /// Bytes of the blocks in front lists; a part of `fordblks`, as in glibc.
    fsmblks: T,
    /// Bytes in live blocks, own mappings excepted.
    uordblks: T,
    /// Free bytes: in front lists, in spans, and kept for later.
    fordblks: T,
    /// Bytes that `malloc_trim` could give back.
    keepcost: T,
}

/// Free blocks of a class in spans.
fn free_in_spans(class: &ClassStats) -> usize {
    class.carved.saturating_sub(class.in_use + class.cached)
}

/// The ledger under glibc's names: what `mallinfo`, `malloc_info` and `malloc_stats`
/// say is made of this and of the figures it is made of, so they cannot differ.
fn info<T>(stats: &Stats, number: impl Fn(usize) -> T) -> Info<T> {
    let used = stats.allocated.saturating_sub(stats.huge);
    let slices = stats.active.saturating_sub(stats.huge).max(used);
    let free = slices - used + stats.retained;
    let sum = |of: fn(&ClassStats) -> usize| stats.classes.iter().map(of).sum::<usize>();
    Info {
        arena: number(used + free),
        ordblks: number(sum(free_in_spans)),
        smblks: number(sum(|class| class.cached)),
        hblks: number(stats.huge_objects),
        hblkhd: number(stats.huge),
        usmblks: number(0),
        fsmblks: number(stats.cached),
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
    // The stream may allocate its buffer: the figures are taken, and we hold nothing.
    if xml(&stats, &mut Stream(stream)).is_ok() { 0 } else { -1 }
}

/// A stream of the C library, open for writing.
struct Stream(*mut libc::FILE);

impl Write for Stream {
    fn write_str(&mut self, words: &str) -> fmt::Result {
        // SAFETY: the words can be read for their length, and the stream is open.
        let taken = unsafe { libc::fwrite(words.as_ptr().cast(), 1, words.len(), self.0) };
        if taken == words.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// What `malloc_info` says: glibc's elements, of one heap, and a last one of ours with
/// the whole ledger.
fn xml(stats: &Stats, out: &mut impl Write) -> fmt::Result {
    let it = info(stats, |number| number);
    out.write_str("<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n")?;
    for class in &stats.classes {
        let (size, count) = (class.block_size, free_in_spans(class));
        if count != 0 {
            let total = count * size;
            let range = format_args!("from=\"{size}\" to=\"{size}\"");
            writeln!(out, "<size {range} total=\"{total}\" count=\"{count}\"/>")?;
        }
    }
    out.write_str("</sizes>\n")?;
    totals(&it, stats, out)?;
    out.write_str("</heap>\n")?;
    totals(&it, stats, out)?;
    let (count, size) = (it.hblks, it.hblkhd);
    writeln!(out, "<total type=\"mmap\" count=\"{count}\" size=\"{size}\"/>")?;
    out.write_str("<allod")?;
    for (name, bytes) in ledger(stats) {
        write!(out, " {name}=\"{bytes}\"")?;
    }
    out.write_str(">\n")?;
    for class in stats.classes.iter().filter(|class| class.spans != 0) {
        let ClassStats { block_size, spans, in_use, cached, .. } = class;
        let free = free_in_spans(class);
        write!(out, "<class size=\"{block_size}\" spans=\"{spans}\" in_use=\"{in_use}\"")?;
        writeln!(out, " cached=\"{cached}\" free=\"{free}\"/>")?;
    }
    out.write_str("</allod>\n</malloc>\n")
}

/// What glibc says of each heap, and at the end of all of them. Ours is one.
fn totals(it: &Info<usize>, stats: &Stats, out: &mut impl Write) -> fmt::Result {
    let rest = it.fordblks - it.fsmblks.min(it.fordblks);
    let Info { arena, ordblks, smblks, fsmblks, .. } = it;
    writeln!(out, "<total type=\"fast\" count=\"{smblks}\" size=\"{fsmblks}\"/>")?;
    writeln!(out, "<total type=\"rest\" count=\"{ordblks}\" size=\"{rest}\"/>")?;
    writeln!(out, "<system type=\"current\" size=\"{arena}\"/>")?;
    writeln!(out, "<aspace type=\"total\" size=\"{}\"/>", stats.mapped)
}

/// The ledger, in the order in which it adds up: the first are parts of `active`.
fn ledger(stats: &Stats) -> [(&'static str, usize); 11] {
    [
        ("allocated", stats.allocated),
        ("large", stats.large),
        ("huge", stats.huge),
        ("cached", stats.cached),
        ("free", stats.free_blocks),
        ("uncarved", stats.uncarved),
        ("active", stats.active),
        ("retained", stats.retained),
        ("metadata", stats.metadata),
        ("resident", stats.resident),
        ("mapped", stats.mapped),
    ]
}

#[unsafe(no_mangle)]
extern "C" fn malloc_stats() {
    let mut words = Text::<1024>::new();
    let _ = words.write_str("allod: bytes\n");
    for (name, bytes) in ledger(&allod_core::stats()) {
        let _ = writeln!(words, "{name:<9} {bytes:>16}");
    }
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
