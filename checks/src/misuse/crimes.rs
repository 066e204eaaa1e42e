//! The crimes, and what must be said about each.
//!
//! Every crime is undefined behaviour by the C standard; that is its point.
//! What makes committing it tolerable here: the program has nothing to lose
//! and does nothing afterwards.
#![allow(unsafe_code)]

use allod_checks::c::{Pointer, functions, symbol};
use std::ffi::c_void;
use std::hint::black_box;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::{ptr, thread};

/// One way to wrong an allocator.
#[derive(Debug)]
pub(crate) struct Crime {
    pub(crate) name: &'static str,
    pub(crate) expected: Expected,
    /// The `ALLOD_CONF` under which it must come.
    pub(crate) conf: &'static str,
    pub(crate) commit: fn(),
}

/// What must come of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected {
    /// SIGABRT, and a line `allod: ... 0x...` with these words in it.
    Said(&'static str),
    /// SIGSEGV: the memory is inaccessible.
    Fault,
    /// SIGSEGV, and a line as above.
    Explained(&'static str),
}

const DOUBLE: Expected = Expected::Said("double free");
const INVALID: Expected = Expected::Said("invalid free");
const SIZE: Expected = Expected::Said("wrong size");

const fn crime(name: &'static str, expected: Expected, commit: fn()) -> Crime {
    Crime { name, expected, conf: "", commit }
}

pub(crate) const CRIMES: &[Crime] = &[
    crime("double-free-1", DOUBLE, || double(1)),
    crime("double-free-48", DOUBLE, || double(48)),
    crime("double-free-1000", DOUBLE, || double(1000)),
    crime("double-free-20000", DOUBLE, || double(20_000)),
    crime("double-free-100000", DOUBLE, || double(100_000)),
    crime("double-free-700000", DOUBLE, || double(700_000)),
    crime("double-free-3-mib", DOUBLE, || double(3 << 20)),
    crime("double-free-70-mib", DOUBLE, || double(70 << 20)),
    crime("double-free-zero", DOUBLE, || double(0)),
    crime("double-free-aligned", DOUBLE, double_aligned),
    crime("double-free-after-others", DOUBLE, double_after_others),
    crime("double-free-after-flush", DOUBLE, double_after_flush),
    crime("double-free-other-thread", DOUBLE, double_other_thread),
    crime("double-free-both-other-thread", DOUBLE, double_both_other_thread),
    crime("double-free-gathered", DOUBLE, || gathered(|blocks| free(blocks[1]))),
    crime("double-free-gathered-first", DOUBLE, || gathered(|blocks| free(blocks[0]))),
    crime("double-free-gathered-sized", DOUBLE, || gathered(|blocks| free_sized(blocks[1], 96))),
    crime("double-free-dead-thread", DOUBLE, double_dead_thread),
    crime("double-free-after-realloc", DOUBLE, double_after_realloc),
    crime("double-free-sized", DOUBLE, || double_sized(48)),
    crime("double-free-sized-100000", DOUBLE, || double_sized(100_000)),
    crime("double-free-sized-3-mib", DOUBLE, || double_sized(3 << 20)),
    crime("double-free-by-realloc-48", DOUBLE, || realloc_freed(48, 40)),
    crime("double-free-by-realloc-growing", DOUBLE, || realloc_freed(48, 4000)),
    crime("double-free-by-realloc-100000", DOUBLE, || realloc_freed(100_000, 90_000)),
    crime("double-free-by-realloc-3-mib", DOUBLE, || realloc_freed(3 << 20, 3 << 20)),
    crime("double-free-by-realloc-70-mib", DOUBLE, || realloc_freed(70 << 20, 71 << 20)),
    crime("double-free-by-realloc-other-thread", DOUBLE, realloc_freed_other_thread),
    crime("free-stack", INVALID, free_stack),
    crime("free-static", INVALID, free_static),
    crime("free-code", INVALID, free_code),
    crime("free-mapping", INVALID, || free(mapping())),
    crime("free-mapping-inside", INVALID, || free(mapping().wrapping_byte_add(100))),
    crime("free-low", INVALID, || free(ptr::without_provenance_mut(16))),
    crime("free-high", INVALID, || free(ptr::without_provenance_mut(0x4141_4141_4141_4140))),
    crime("free-inside-48", INVALID, || free(malloc(48).wrapping_byte_add(16))),
    crime("free-inside-1000", INVALID, || free(malloc(1000).wrapping_byte_add(512))),
    crime("free-inside-20000", INVALID, || free(malloc(20_000).wrapping_byte_add(4096))),
    crime("free-inside-700000", INVALID, || free(malloc(700_000).wrapping_byte_add(1 << 17))),
    crime("free-inside-70-mib", INVALID, || free(malloc(70 << 20).wrapping_byte_add(8 << 20))),
    crime("free-unaligned-1", INVALID, || free(malloc(48).wrapping_byte_add(1))),
    crime("free-unaligned-8", INVALID, || free(malloc(1000).wrapping_byte_add(8))),
    crime("free-unaligned-large", INVALID, || free(malloc(700_000).wrapping_byte_add(1))),
    crime("free-unaligned-into-the-next", INVALID, free_into_the_next),
    crime("free-unaligned-huge", INVALID, || free(malloc(70 << 20).wrapping_byte_add(8))),
    crime("free-inside-after-realloc", INVALID, free_inside_after_realloc),
    crime("free-inside-other-thread", INVALID, free_inside_other_thread),
    crime("free-inside-gathered", INVALID, || {
        gathered(|blocks| free(blocks[2].wrapping_byte_add(48)));
    }),
    crime("free-sized-stack", INVALID, free_sized_stack),
    crime("sized-too-large-48", SIZE, || sized(48, 480)),
    crime("sized-too-small-1000", SIZE, || sized(1000, 100)),
    crime("sized-next-class", SIZE, || sized(48, 64)),
    crime("sized-large-as-small", SIZE, || sized(100_000, 100)),
    crime("sized-small-as-large", SIZE, || sized(100, 100_000)),
    crime("sized-large", SIZE, || sized(100_000, 300_000)),
    crime("sized-huge", SIZE, || sized(3 << 20, 70 << 20)),
    crime("sized-huge-by-a-byte", SIZE, || sized((3 << 20) + 100, (3 << 20) + 99)),
    crime("sized-huge-past-its-page", SIZE, || sized((3 << 20) + 100, (3 << 20) + 4097)),
    crime("sized-gathered", SIZE, || gathered(|blocks| free_sized(blocks[2], 112))),
    crime("sized-aligned", SIZE, sized_aligned),
    crime("sized-delete", SIZE, sized_delete),
    crime("sized-delete-aligned", SIZE, sized_delete_aligned),
    crime("write-zero-size", Expected::Fault, || write(malloc(0))),
    crime("write-zero-size-calloc", Expected::Fault, || write(calloc_zero())),
    crime("read-zero-size", Expected::Fault, || read(malloc(0))),
    crime("overflow-3-mib", Expected::Fault, || write_past_end(3 << 20)),
    crime("overflow-3-mib-and-some", Expected::Fault, || write_past_end((3 << 20) + 100)),
    crime("overflow-70-mib", Expected::Fault, || write_past_end(70 << 20)),
    crime("overflow-out-of-the-cache", Expected::Fault, write_past_cached_end),
];

pub(crate) fn malloc(size: usize) -> Pointer {
    let malloc = functions().malloc.expect("malloc");
    // SAFETY: `malloc` has no conditions.
    let block = unsafe { malloc(size) };
    assert!(!block.is_null(), "malloc({size}) gave NULL");
    block
}

fn calloc_zero() -> Pointer {
    let calloc = functions().calloc.expect("calloc");
    // SAFETY: `calloc` has no conditions.
    unsafe { calloc(0, 100) }
}

/// Frees anything: this is where most crimes happen.
pub(crate) fn free(block: Pointer) {
    let free = functions().free.expect("free");
    // SAFETY: it is not, on purpose. Nothing follows but the end.
    unsafe { free(black_box(block)) }
}

pub(crate) fn free_sized(block: Pointer, size: usize) {
    let free_sized = functions().free_sized.expect("free_sized");
    // SAFETY: as for `free`.
    unsafe { free_sized(black_box(block), size) }
}

fn double(size: usize) {
    let block = malloc(size);
    free(block);
    free(block);
}

fn double_aligned() {
    let memalign = functions().memalign.expect("memalign");
    // SAFETY: `memalign` has no conditions.
    let block = unsafe { memalign(4096, 100) };
    free(block);
    free(block);
}

/// Blocks of other sizes come and go in between.
fn double_after_others() {
    let block = malloc(48);
    free(block);
    for size in [100, 300, 5000, 40_000, 2 << 20] {
        for _ in 0..200 {
            free(malloc(size));
        }
    }
    free(block);
}

/// So many of its size are freed in between that no short list holds them.
fn double_after_flush() {
    let blocks: Vec<Pointer> = (0..2000).map(|_| malloc(48)).collect();
    for block in &blocks {
        free(*block);
    }
    free(blocks[100]);
}

/// A pointer for another thread to misuse.
struct Loot(Pointer);

// SAFETY: only its address is of interest.
unsafe impl Send for Loot {}

/// The other thread waits from the beginning: starting one allocates, and could
/// be given the very block that was freed.
fn double_other_thread() {
    static BLOCK: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
    let thread = thread::spawn(|| {
        loop {
            // ORDERING: Acquire pairs with the Release below.
            let block = BLOCK.load(Ordering::Acquire);
            if !block.is_null() {
                return free(block);
            }
            thread::yield_now();
        }
    });
    let block = malloc(48);
    free(block);
    // ORDERING: Release, the other thread frees after us.
    BLOCK.store(block, Ordering::Release);
    thread.join().expect("the thread ends");
}

fn double_both_other_thread() {
    let block = malloc(48);
    let loot = Loot(block);
    let thread = thread::spawn(move || {
        let loot = loot;
        free(loot.0);
        free(loot.0);
    });
    thread.join().expect("the thread ends");
}

/// What a thread does to one of three blocks of another after it has freed the first two,
/// which it keeps with others of their span until they are many.
fn gathered(then: fn([Pointer; 3])) {
    let loot = [(); 3].map(|()| Loot(malloc(96)));
    let thread = thread::spawn(move || {
        let blocks = loot.map(|loot| loot.0);
        free(blocks[0]);
        free(blocks[1]);
        then(blocks);
    });
    thread.join().expect("the thread ends");
}

fn double_dead_thread() {
    let block = thread::spawn(|| Loot(malloc(48))).join().expect("the thread ends").0;
    free(block);
    free(block);
}

/// The old pointer, after `realloc` has moved the block.
fn double_after_realloc() {
    let realloc = functions().realloc.expect("realloc");
    let block = malloc(48);
    // SAFETY: the block is live.
    let moved = unsafe { realloc(block, 100_000) };
    assert_ne!(moved, block, "100,000 bytes are not where 48 were");
    free(block);
}

/// A freed object is reallocated, in place where that could be.
fn realloc_freed(size: usize, wanted: usize) {
    let realloc = functions().realloc.expect("realloc");
    let block = malloc(size);
    free(block);
    // SAFETY: as for `free`.
    unsafe { realloc(black_box(block), wanted) };
}

/// A pointer into a block may stay what it is for a size of the same class; its free may not.
fn free_inside_after_realloc() {
    let realloc = functions().realloc.expect("realloc");
    let inside = malloc(400).wrapping_byte_add(48);
    // SAFETY: it is not, on purpose.
    let again = unsafe { realloc(black_box(inside), 390) };
    free(again);
}

fn realloc_freed_other_thread() {
    let loot = Loot(malloc(48));
    free(loot.0);
    let thread = thread::spawn(move || {
        let loot = loot;
        let realloc = functions().realloc.expect("realloc");
        // SAFETY: as for `free`.
        unsafe { realloc(loot.0, 48) };
    });
    thread.join().expect("the thread ends");
}

fn double_sized(size: usize) {
    let block = malloc(size);
    free_sized(block, size);
    free_sized(block, size);
}

fn free_stack() {
    let mut local = [0_u128; 8];
    free(black_box(&raw mut local[2]).cast());
}

fn free_static() {
    static WORDS: [u128; 8] = [1; 8];
    free((&raw const WORDS[2]).cast_mut().cast());
}

fn free_code() {
    free((free_code as *const ()).cast_mut().cast());
}

/// A mapping of the program's own.
fn mapping() -> Pointer {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh mapping disturbs nobody.
    let start = unsafe { libc::mmap(ptr::null_mut(), 1 << 20, protection, flags, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED, "1 MiB can be mapped");
    start
}

/// What a front list writes into its blocks would go across the end of this one, into
/// one that is free; and is walked by allocations before it is looked at.
fn free_into_the_next() {
    let block = malloc(48);
    free(block.wrapping_byte_add(40));
    for _ in 0..100 {
        write(malloc(48));
    }
}

fn free_inside_other_thread() {
    let loot = Loot(malloc(1000).wrapping_byte_add(512));
    let thread = thread::spawn(move || {
        let loot = loot;
        free(loot.0);
    });
    thread.join().expect("the thread ends");
}

fn free_sized_stack() {
    let mut local = [0_u128; 8];
    free_sized(black_box(&raw mut local[2]).cast(), 48);
}

fn sized(size: usize, claimed: usize) {
    free_sized(malloc(size), claimed);
}

fn sized_aligned() {
    let aligned_alloc = functions().aligned_alloc.expect("aligned_alloc");
    let free = functions().free_aligned_sized.expect("free_aligned_sized");
    // SAFETY: `aligned_alloc` refuses what it does not like.
    let block = unsafe { aligned_alloc(256, 1000) };
    // SAFETY: as for `free`.
    unsafe { free(block, 256, 8000) }
}

/// `operator delete(void*, std::size_t)`
fn sized_delete() {
    let delete = symbol(c"_ZdlPvm").expect("sized delete");
    // SAFETY: this is the operator, and this is its type.
    let delete =
        unsafe { std::mem::transmute::<Pointer, unsafe extern "C" fn(Pointer, usize)>(delete) };
    // SAFETY: as for `free`.
    unsafe { delete(malloc(48), 480) }
}

/// `operator delete(void*, std::size_t, std::align_val_t)`
fn sized_delete_aligned() {
    let delete = symbol(c"_ZdlPvmSt11align_val_t").expect("sized delete");
    type Delete = unsafe extern "C" fn(Pointer, usize, usize);
    // SAFETY: this is the operator, and this is its type.
    let delete = unsafe { std::mem::transmute::<Pointer, Delete>(delete) };
    let aligned_alloc = functions().aligned_alloc.expect("aligned_alloc");
    // SAFETY: `aligned_alloc` refuses what it does not like.
    let block = unsafe { aligned_alloc(64, 128) };
    // SAFETY: as for `free`.
    unsafe { delete(block, 1280, 64) }
}

/// Changes a byte, whatever it was: a canary's byte is any value once in 256.
pub(crate) fn write(place: Pointer) {
    let place = black_box(place).cast::<u8>();
    // SAFETY: it is not, on purpose.
    let was = unsafe { place.read_volatile() };
    // SAFETY: as above.
    unsafe { place.write_volatile(!was) }
}

pub(crate) fn read(place: Pointer) {
    // SAFETY: it is not, on purpose.
    black_box(unsafe { black_box(place).cast::<u8>().read_volatile() });
}

/// One byte past the last page that the block has any part of.
fn write_past_end(size: usize) {
    let end = page_behind(malloc(size));
    write(end);
}

/// The same where the block was cut out of a larger one that was freed, and the
/// program maps what it can right behind it.
fn write_past_cached_end() {
    free(malloc(12 << 20));
    let end = page_behind(malloc(3 << 20));
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: a fresh mapping, only where nothing is.
    unsafe { libc::mmap(end, 4096, protection, flags, -1, 0) };
    write(end);
}

/// The first byte past the last page that the block has any part of.
fn page_behind(block: Pointer) -> Pointer {
    let usable = functions().malloc_usable_size.expect("malloc_usable_size");
    // SAFETY: the block is live.
    let end = block.addr() + unsafe { usable(block) };
    // SAFETY: `sysconf` has no conditions.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.unsigned_abs() as usize;
    block.with_addr(end.next_multiple_of(page))
}
