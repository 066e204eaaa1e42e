//! Crimes that the hardened and paranoid levels see, and guarded objects.
#![allow(unsafe_code)]

use crate::crimes::{Crime, Expected, free, free_sized, malloc, read, write};
use allod_checks::c::{Pointer, functions, symbol};
use std::hint::black_box;

const HARDENED: &str = "harden:hardened";
const PARANOID: &str = "harden:paranoid";
const SAMPLED: &str = "guard_rate:20";

const END: Expected = Expected::Said("write past the end of block");
const START: Expected = Expected::Said("write before the start of block");
const FREED: Expected = Expected::Said("write to freed memory: block");
const SIZE: Expected = Expected::Said("wrong size");
const ALIGN: Expected = Expected::Said("wrong alignment");
const KIND: Expected = Expected::Said("given to");

const fn at(conf: &'static str, name: &'static str, expected: Expected, commit: fn()) -> Crime {
    Crime { name, expected, conf, commit }
}

pub(crate) const CRIMES: &[Crime] = &[
    at(HARDENED, "past-1", END, || past(1)),
    at(HARDENED, "past-16", END, || past(16)),
    at(HARDENED, "past-47", END, || past(47)),
    at(HARDENED, "past-48", END, || past(48)),
    at(HARDENED, "past-1000", END, || past(1000)),
    at(HARDENED, "past-20000", END, || past(20_000)),
    at(HARDENED, "past-100000", END, || past(100_000)),
    at(HARDENED, "past-131072", END, || past(131_072)),
    at(HARDENED, "past-100000-and-its-page", Expected::Fault, || past_page(100_000)),
    at(HARDENED, "past-131071-and-its-page", Expected::Fault, || past_page(131_071)),
    at(HARDENED, "past-all-slots", Expected::Fault, past_all_slots),
    at(HARDENED, "past-3-mib-and-some", END, || past((3 << 20) + 5)),
    at(HARDENED, "past-the-slack", END, past_the_slack),
    at(HARDENED, "past-and-realloc", END, past_and_realloc),
    at(HARDENED, "past-and-usable-size", END, past_and_usable_size),
    at(HARDENED, "past-after-shrinking", END, past_after_shrinking),
    at(HARDENED, "before-48", START, || before(40)),
    at(HARDENED, "before-1000", START, || before(1000)),
    at(HARDENED, "before-100000", Expected::Fault, before_large),
    at(HARDENED, "before-100000-and-nobody", START, before_lonely_large),
    at(HARDENED, "before-3-mib", Expected::Fault, || write(malloc(3 << 20).wrapping_byte_sub(1))),
    at(HARDENED, "write-freed-and-end", FREED, write_freed_and_end),
    at(HARDENED, "write-freed-16", FREED, || write_freed(16)),
    at(HARDENED, "write-freed-48", FREED, || write_freed(48)),
    at(HARDENED, "write-freed-5000", FREED, || write_freed(5000)),
    at(HARDENED, "write-freed-waiting-40", FREED, || write_freed_waiting(40)),
    at(HARDENED, "write-freed-waiting-20000", FREED, || write_freed_waiting(20_000)),
    at(HARDENED, "read-freed-100000", Expected::Fault, || read_freed(100_000)),
    at(HARDENED, "read-freed-300000", Expected::Fault, || read_freed(300_000)),
    at(HARDENED, "read-freed-3-mib", Expected::Fault, || read_freed(3 << 20)),
    at(HARDENED, "sized-one-less", SIZE, || free_sized(malloc(48), 47)),
    at(HARDENED, "sized-one-more", SIZE, || free_sized(malloc(48), 49)),
    at(HARDENED, "sized-aligned-48", ALIGN, || aligned(64, 16, 48)),
    at(HARDENED, "sized-aligned-1000", ALIGN, || aligned(64, 256, 1000)),
    at(HARDENED, "sized-aligned-same-slot", ALIGN, || aligned(64, 32, 60)),
    at(HARDENED, "sized-aligned-much-slack", ALIGN, || aligned(4096, 1024, 100)),
    at(HARDENED, "sized-aligned-100000", ALIGN, || aligned(1 << 20, 16, 100_000)),
    at(HARDENED, "sized-aligned-3-mib", ALIGN, || aligned(4096, 64, 3 << 20)),
    at(HARDENED, "sized-large-one-less", SIZE, || free_sized(malloc(100_000), 99_999)),
    at(HARDENED, "kind-new-free", KIND, || free(call(c"_Znwm", 48))),
    at(HARDENED, "kind-new-array-free", KIND, || free(call(c"_Znam", 48))),
    at(HARDENED, "kind-new-array-delete", KIND, || give(c"_ZdlPv", call(c"_Znam", 48))),
    at(HARDENED, "kind-new-delete-array", KIND, || give(c"_ZdaPv", call(c"_Znwm", 48))),
    at(HARDENED, "kind-malloc-delete", KIND, || give(c"_ZdlPv", malloc(48))),
    at(HARDENED, "kind-large-new-free", KIND, || free(call(c"_Znwm", 100_000))),
    at(HARDENED, "kind-huge-new-free", KIND, || free(call(c"_Znwm", 3 << 20))),
    at(PARANOID, "touch-freed", Expected::Explained("use after free"), || read_freed(48)),
    at(PARANOID, "touch-behind", Expected::Explained("past the end"), || touch(4096, 4096)),
    at(PARANOID, "touch-before", Expected::Explained("before the start"), || touch(4096, -1)),
    at(PARANOID, "past-never-freed", END, past_never_freed),
    at(SAMPLED, "sampled-freed", Expected::Explained("use after free"), sampled_freed),
];

/// One byte past what was asked for.
fn past(size: usize) {
    let block = malloc(size);
    write(block.wrapping_byte_add(size));
    free(block);
}

/// Past all that the block could have, into its neighbour and beyond.
fn past_the_slack() {
    let block = malloc(40);
    for i in 40..100 {
        write(block.wrapping_byte_add(i));
    }
    free(block);
}

fn past_and_realloc() {
    let block = malloc(40);
    write(block.wrapping_byte_add(40));
    let realloc = functions().realloc.expect("realloc");
    // SAFETY: the block is live.
    black_box(unsafe { realloc(block, 41) });
}

fn past_and_usable_size() {
    let block = malloc(40);
    write(block.wrapping_byte_add(40));
    let usable = functions().malloc_usable_size.expect("malloc_usable_size");
    // SAFETY: the block is live.
    black_box(unsafe { usable(block) });
}

fn past_after_shrinking() {
    let realloc = functions().realloc.expect("realloc");
    // SAFETY: the block is live.
    let block = unsafe { realloc(malloc(46), 40) };
    write(block.wrapping_byte_add(41));
    free(block);
}

/// One byte before a block that another one lies before.
fn before(size: usize) {
    let mut blocks: Vec<Pointer> = (0..200).map(|_| malloc(size)).collect();
    blocks.sort_by_key(|block| block.addr());
    let distance = blocks.windows(2).map(|two| two[1].addr() - two[0].addr()).min();
    let near = blocks.windows(2).find(|two| Some(two[1].addr() - two[0].addr()) == distance);
    let block = near.expect("two hundred blocks have neighbours")[1];
    write(block.wrapping_byte_sub(1));
    free(block);
}

/// One byte before a large block. It lies in the run of slices of the one before,
/// behind all that anybody asked for, where a guard is.
fn before_large() {
    const RUN: usize = 128 << 10;
    let mut blocks: Vec<Pointer> = (0..64).map(|_| malloc(100_000)).collect();
    blocks.sort_by_key(|block| block.addr());
    let near = blocks.windows(2).find(|two| two[1].addr() - two[0].addr() == RUN);
    let two = near.expect("large blocks have neighbours");
    write(two[1].wrapping_byte_sub(1));
    free(two[0]);
}

/// One byte before a large block, where nobody has any memory: an aligned one leaves room
/// before it.
fn before_lonely_large() {
    let aligned_alloc = functions().aligned_alloc.expect("aligned_alloc");
    // SAFETY: a power of two, and `aligned_alloc` refuses what it does not like.
    let block = || unsafe { aligned_alloc(256 << 10, 100_000) };
    let blocks: Vec<Pointer> = (0..8).map(|_| block()).collect();
    // What is before the first one of two mebibytes may be another's mapping.
    let inside = |block: &&Pointer| !block.addr().is_multiple_of(2 << 20);
    let lonely = *blocks.iter().rev().find(inside).expect("seven at least");
    write(lonely.wrapping_byte_sub(1));
    free(lonely);
}

/// A byte of the page behind the one that a block ends in.
fn past_page(size: usize) {
    let block = malloc(size);
    write(block.wrapping_byte_add((size | 4095) + 1));
    free(block);
}

/// Reads on from the block that lies highest, through all there are.
fn past_all_slots() {
    let blocks: Vec<Pointer> = (0..8).map(|_| malloc(3000)).collect();
    let last = *blocks.iter().max_by_key(|block| block.addr()).expect("eight");
    for i in (0..64 << 10).step_by(64) {
        read(last.wrapping_byte_add(i));
    }
}

/// An object aligned to `right`, which a sized free says is aligned to `wrong`.
fn aligned(right: usize, wrong: usize, size: usize) {
    let aligned_alloc = functions().aligned_alloc.expect("aligned_alloc");
    let free = functions().free_aligned_sized.expect("free_aligned_sized");
    // SAFETY: `aligned_alloc` refuses what it does not like.
    let block = unsafe { aligned_alloc(right, size) };
    // SAFETY: as for `free`.
    unsafe { free(block, wrong, size) }
}

/// Of forty large blocks the first has left the quarantine, and nobody asks for its
/// memory again.
fn write_freed_and_end() {
    let blocks: Vec<Pointer> = (0..40).map(|_| malloc(100_000)).collect();
    blocks.iter().for_each(|block| free(*block));
    write(blocks[0].wrapping_byte_add(50_000));
}

/// Then as many come and go as it takes until the block is handed out again.
fn write_freed(size: usize) {
    let block = malloc(size);
    free(block);
    write(block.wrapping_byte_add(size / 2));
    for _ in 0..3000 {
        free(malloc(size));
    }
}

/// Nobody asks for its size again, and the process ends without a last look. One free in 256
/// looks at a part of what waits of one class.
fn write_freed_waiting(size: usize) {
    let block = malloc(size);
    free(block);
    write(block.wrapping_byte_add(size / 2));
    for _ in 0..10_000_000 {
        free(malloc(100));
    }
    // SAFETY: `_exit` has no conditions.
    unsafe { libc::_exit(0) };
}

fn read_freed(size: usize) {
    let block = malloc(size);
    free(block);
    read(block);
}

fn touch(size: usize, offset: isize) {
    write(malloc(size).wrapping_byte_offset(offset));
}

/// Found when the process ends.
fn past_never_freed() {
    write(malloc(40).wrapping_byte_add(40));
}

/// Sooner or later one of them is guarded.
fn sampled_freed() {
    for _ in 0..100_000 {
        let blocks: Vec<Pointer> = (0..100).map(|_| malloc(200)).collect();
        for block in blocks {
            free(block);
            read(block);
        }
    }
}

/// Calls an operator `new`.
fn call(name: &std::ffi::CStr, size: usize) -> Pointer {
    let new = symbol(name).expect("the operator");
    // SAFETY: this is the operator, and this is its type.
    let new =
        unsafe { std::mem::transmute::<Pointer, unsafe extern "C" fn(usize) -> Pointer>(new) };
    // SAFETY: `new` has no conditions.
    unsafe { new(size) }
}

/// Calls an operator `delete`.
fn give(name: &std::ffi::CStr, block: Pointer) {
    let delete = symbol(name).expect("the operator");
    // SAFETY: this is the operator, and this is its type.
    let delete = unsafe { std::mem::transmute::<Pointer, unsafe extern "C" fn(Pointer)>(delete) };
    // SAFETY: it is not, on purpose. Nothing follows but the end.
    unsafe { delete(black_box(block)) }
}
