//! `Heap`: its own memory, moves, threads. The plans have tests of their own.
#![allow(unsafe_code)]

use super::*;
use crate::{Spin, Tlsf, Unshared};
use std::boxed::Box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::vec;
use std::vec::Vec;

const LAYOUT: Layout = Layout::new::<[u64; 8]>();

#[test]
fn memory_inside_is_ready() {
    static HEAP: Heap<Tlsf, Spin, 4096> = Heap::new();
    assert_eq!((&HEAP).allocate(LAYOUT).unwrap().len(), 64);
    assert_eq!(HEAP.used(), 64);
    assert!(HEAP.capacity() > 3500);
    HEAP.check().unwrap();
}

#[test]
fn without_memory_everything_fails() {
    let heap = Heap::<Tlsf, Unshared>::new();
    assert_eq!((&heap).allocate(LAYOUT), Err(AllocError));
    assert_eq!((heap.used(), heap.free(), heap.max_allocatable()), (0, 0, 0));
    assert!((&heap).allocate(Layout::new::<()>()).is_ok());
}

#[test]
fn regions_are_added_to_memory_inside() {
    let mut more = vec![MaybeUninit::uninit(); 9000];
    let heap = Heap::<Tlsf, Unshared, 4096>::new();
    let inside = heap.capacity();
    let usable = heap.add(&mut more);
    assert_eq!(heap.capacity(), inside + usable);
    assert!(heap.max_allocatable() > 8000);
    let large = Layout::from_size_align(8000, 8).unwrap();
    let block = (&heap).allocate(large).unwrap();
    // SAFETY: a live block of this heap, with its layout.
    unsafe { (&heap).deallocate(block.cast(), large) };
    assert_eq!(heap.used(), 0);
}

/// A heap that was moved starts afresh, and never touches its old place.
#[test]
fn a_moved_heap_starts_afresh() {
    let mut old = Box::new(Heap::<Tlsf, Unshared, 4096>::new());
    let block = (&*old).allocate(LAYOUT).unwrap();
    // SAFETY: a live block of this heap, with its layout.
    unsafe { (&*old).deallocate(block.cast(), LAYOUT) };
    let new = Box::new(core::mem::take(&mut *old));
    // SAFETY: memory of a heap that has no blocks.
    unsafe { old.memory.get().cast::<u8>().write_bytes(0xFF, 4096) };
    let range = new.memory.get().addr()..new.memory.get().addr() + 4096;
    let block = (&*new).allocate(LAYOUT).unwrap();
    assert!(range.contains(&block.addr().get()));
    new.check().unwrap();
    // The old place has a heap of its own again.
    (&*old).allocate(LAYOUT).unwrap();
    old.check().unwrap();
}

/// A lock that says whether somebody is inside.
struct Watched(AtomicBool);

// SAFETY: it says so itself if two are inside.
unsafe impl Lock for Watched {
    fn hold<R>(&self, work: impl FnOnce() -> R) -> R {
        // ORDERING: Relaxed, one thread.
        assert!(!self.0.swap(true, Ordering::Relaxed));
        let result = work();
        // ORDERING: Relaxed, one thread.
        assert!(self.0.swap(false, Ordering::Relaxed));
        result
    }
}

/// Each operation holds the lock, and none holds it twice.
#[test]
fn each_operation_holds_the_lock_once() {
    let heap = Heap::<Tlsf, Watched, 4096>::with_lock(Watched(AtomicBool::new(false)));
    let block = (&heap).allocate_zeroed(LAYOUT).unwrap();
    let larger = Layout::new::<[u64; 100]>();
    let blocker = (&heap).allocate(LAYOUT).unwrap();
    // SAFETY: a live block of this heap, with its layout.
    let moved = unsafe { (&heap).reallocate(block.cast(), LAYOUT, larger) }.unwrap();
    assert_ne!(moved.addr(), block.addr());
    // SAFETY: a live block of this heap, with its layout.
    unsafe { (&heap).deallocate(moved.cast(), larger) };
    // SAFETY: a live block of this heap, with its layout.
    unsafe { (&heap).deallocate(blocker.cast(), LAYOUT) };
    assert_eq!(heap.used(), 0);
    heap.check().unwrap();
    assert!(!std::format!("{heap:?}").is_empty());
}

/// Threads count in a cell that only the lock protects, slowly.
#[test]
fn spin_lets_one_in_at_a_time() {
    struct Shared(Spin, UnsafeCell<usize>);
    // SAFETY: the cell is touched under the lock alone.
    unsafe impl Sync for Shared {}
    let shared = Shared(Spin::default(), UnsafeCell::new(0));
    let start = std::sync::Barrier::new(4);
    let rounds = if cfg!(miri) { 50 } else { 20_000 };
    let count = |shared: &Shared| {
        // SAFETY: under the lock.
        let before = unsafe { shared.1.get().read_volatile() };
        for _ in 0..before % 50 {
            core::hint::spin_loop();
        }
        // SAFETY: under the lock.
        unsafe { shared.1.get().write_volatile(before + 1) };
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..rounds {
                    shared.0.hold(|| count(&shared));
                }
            });
        }
    });
    // SAFETY: after all threads.
    assert_eq!(unsafe { *shared.1.get() }, 4 * rounds);
}

/// As a global allocator would be used, by several threads, through `realloc`.
#[test]
fn threads_share_it() {
    static HEAP: Heap<Tlsf, Spin, { 4 << 20 }> = Heap::new();
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            scope.spawn(move || {
                let mut blocks: Vec<(*mut u8, usize)> = Vec::new();
                for i in 0..2000usize {
                    let size = i * 31 % 500 + 1;
                    let layout = |size| Layout::from_size_align(size, 8).unwrap();
                    if i % 3 == 0
                        && let Some((block, old)) = blocks.pop()
                    {
                        // SAFETY: a live block of this heap, with its layout.
                        let block = unsafe { HEAP.realloc(block, layout(old), size) };
                        assert!(!block.is_null());
                        // SAFETY: the block is live, and this test wrote it.
                        assert_eq!(unsafe { block.read() }, thread);
                        // SAFETY: a live block of this heap, with its layout.
                        unsafe { HEAP.dealloc(block, layout(size)) };
                    }
                    // SAFETY: the size is not 0.
                    let block = unsafe { HEAP.alloc(layout(size)) };
                    assert!(!block.is_null());
                    // SAFETY: the block is live, and so long.
                    unsafe { block.write(thread) };
                    blocks.push((block, size));
                }
                for (block, size) in blocks {
                    // SAFETY: the block is live, and this test wrote it.
                    assert_eq!(unsafe { block.read() }, thread);
                    // SAFETY: a live block of this heap, with its layout.
                    unsafe { HEAP.dealloc(block, Layout::from_size_align(size, 8).unwrap()) };
                }
            });
        }
    });
    assert_eq!(HEAP.used(), 0);
    HEAP.check().unwrap();
}
