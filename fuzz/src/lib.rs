//! The bodies of the fuzz targets: a body reads any bytes as a program in the
//! language of `allod_kit::model`, runs it on one kind of allocator, and panics
//! if that breaks a promise.
//!
//! The fuzzer calls them with bytes that reach new code. `tests/fuzz.rs` of
//! `allod-kit` calls them with fixed bytes. What the bytes say beyond the
//! program is nothing: memory and bounds are the same each time, so a crash
//! repeats. What holds values has bodies of its own, in `containers.rs`.

mod containers;

pub use containers::{collections, fixed_lists, fixed_maps, slab};

use allod_kit::model::{Bounds, decode, run};
use allod_kit::{
    AlignTo, Allocator, Broken, Buddy, Bump, Count, Fallback, FirstFit, FromGlobal, GrowingPool,
    Guard, Heap, Limit, Pool, PoolSlot, Realign, Segregate, SharedPool, Stack, Tlsf, Trace,
    Unshared, Wipe,
};
use std::alloc::System;
use std::cell::Cell;
use std::mem::MaybeUninit;

/// Small, so that it is full soon and its list is short.
const MEMORY: usize = 1 << 16;
/// Sizes and alignments that are asked for. No refusal is a fault: that is for
/// the test kit, which knows what was promised.
const ASKED: Bounds = Bounds::new().size(1 << 13).align(1 << 9);

fn body<A: Allocator>(allocator: &A, bytes: &[u8], check: &dyn Fn(&A)) {
    let program = decode(bytes, ASKED);
    if let Err(failure) = run(allocator, ASKED.total(0), &program, check) {
        panic!("{failure}\n{program:#?}");
    }
}

fn memory() -> Vec<MaybeUninit<u8>> {
    let mut memory = Vec::with_capacity(MEMORY);
    memory.resize(MEMORY, MaybeUninit::uninit());
    memory
}

/// An arena in chunks of the system's memory.
pub fn bump(bytes: &[u8]) {
    body(&&Bump::new(), bytes, &|_| ());
}

/// A scope of an arena on a buffer that goes on in chunks.
pub fn bump_scopes(bytes: &[u8]) {
    let mut memory = memory();
    let arena = Bump::on(&mut memory);
    for part in bytes.chunks(64) {
        let scope = arena.scope();
        body(&&*scope, part, &|_| ());
    }
}

/// A stack.
pub fn stack(bytes: &[u8]) {
    let mut memory = memory();
    let stack = Stack::new(&mut memory).expect("there is room for a stack");
    body(&&stack, bytes, &|_| ());
}

/// Slots in an array.
pub fn pool(bytes: &[u8]) {
    let mut slots = [const { PoolSlot::<[u64; 32]>::new() }; 40];
    body(&&Pool::new(&mut slots), bytes, &|_| ());
}

/// Slots that grow.
pub fn growing_pool(bytes: &[u8]) {
    body(&&GrowingPool::<[u64; 32], _>::new(FromGlobal::new(System)), bytes, &|_| ());
}

/// Slots that threads could share.
pub fn shared_pool(bytes: &[u8]) {
    body(&&SharedPool::<[u64; 32], 2>::new(), bytes, &|_| ());
}

/// A body for a heap over three regions, one of them odd.
macro_rules! heap {
    ($(#[$doc:meta])* $name:ident $plan:ident) => {
        $(#[$doc])*
        pub fn $name(bytes: &[u8]) {
            let mut memory = memory();
            let (first, rest) = memory.split_at_mut(MEMORY / 2);
            let (second, third) = rest.split_at_mut(777);
            let heap = Heap::<$plan, Unshared>::new();
            for region in [first, second, third] {
                heap.add(region);
            }
            body(&&heap, bytes, &|heap| assert_eq!(heap.check(), Ok(())));
            assert_eq!(heap.used(), 0, "all came back");
        }
    };
}

heap! {
    /// Two levels of lists.
    tlsf Tlsf
}
heap! {
    /// Halves of halves.
    buddy Buddy
}
heap! {
    /// One list.
    first_fit FirstFit
}

extern "C" fn report(broken: &Broken) {
    panic!("{broken:?}");
}

/// Every wrapper, on a pool and an arena and the system.
pub fn wrappers(bytes: &[u8]) {
    let mut slots = [const { PoolSlot::<[u64; 32]>::new() }; 20];
    let mut memory = memory();
    let pool = Pool::new(&mut slots);
    let arena = Bump::on(&mut memory);
    let system = || Count::new(FromGlobal::new(System));
    let heap = Segregate::<200, _, _>::new(
        Fallback::new(Count::new(&pool), system()),
        Fallback::new(Limit::local(&arena, MEMORY), AlignTo::<64, _>::new(system())),
    );
    let heap = Wipe::new(Guard::new(Realign::<16, _>::new(heap), report));
    let heap: Trace<_, 8, Cell<usize>> = Trace::local(heap);
    body(&heap, bytes, &|_| ());
    let heap = heap.inner().inner().inner().inner();
    let live = [
        heap.small().first().counts().blocks,
        heap.small().second().counts().blocks,
        heap.large().second().inner().counts().blocks,
        heap.large().first().used(),
    ];
    assert_eq!(live, [0; 4], "all came back to where it came from");
}
