//! Scopes of tests, in a program whose global allocator is counted.
//!
//! Each test counts on its own thread, or has a thread-safe heap of its own that no other test
//! asks: those of the process would see the other tests' memory.
#![allow(unsafe_code)]

use allod_kit::testing::{Counted, Figures, Scope, measure};
use allod_kit::{Allocator, FromGlobal, Refuse};
use std::alloc::{Layout, System};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

#[global_allocator]
static HEAP: Counted<System> = Counted::new(System);

type OwnHeap = Counted<FromGlobal<System>>;

/// A block of an allocator, freed when it is dropped.
struct Block<'a, A: Allocator>(&'a A, core::ptr::NonNull<u8>, Layout);

// SAFETY: the block is this value's alone, and its allocator may be shared.
unsafe impl<A: Allocator + Sync> Send for Block<'_, A> {}

impl<'a, A: Allocator> Block<'a, A> {
    fn new(heap: &'a A, size: usize) -> Self {
        let layout = Layout::from_size_align(size, 1).unwrap();
        Block(heap, heap.allocate(layout).unwrap().cast(), layout)
    }

    fn resize(mut self, size: usize) -> Self {
        let new = Layout::from_size_align(size, 1).unwrap();
        // SAFETY: the block is live, and has this layout.
        self.1 = unsafe { self.0.reallocate(self.1, self.2, new) }.unwrap().cast();
        self.2 = new;
        self
    }
}

impl<A: Allocator> Drop for Block<'_, A> {
    fn drop(&mut self) {
        // SAFETY: the block is the allocator's, and goes with this value.
        unsafe { self.0.deallocate(self.1, self.2) };
    }
}

/// What an assertion that does not hold says.
fn words(assertion: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(assertion)).expect_err("the assertion held");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn a_scope_counts_each_kind_of_request() {
    let scope = Scope::of_thread(&HEAP);
    let mut bytes: Vec<u8> = Vec::with_capacity(100);
    let zeroed = vec![0_u8; 50];
    bytes.reserve_exact(300);
    drop(zeroed);
    bytes.shrink_to(10);
    bytes.shrink_to_fit();
    let nothing: Vec<u8> = Vec::new();
    drop((bytes, nothing));
    let figures = scope.figures();
    drop(scope);
    // 100, 50, 300, 10; to no bytes is a free.
    let Figures { allocations, frees, bytes, freed_bytes, peak, refused, .. } = figures;
    assert_eq!((allocations, frees), (4, 4), "{figures}");
    assert_eq!((bytes, freed_bytes, peak, refused), (460, 460, 350, 0), "{figures}");
}

#[test]
fn a_peak_is_what_is_live_beyond_the_beginning() {
    let heap = OwnHeap::new(FromGlobal::new(System));
    let old = Block::new(&heap, 1000);
    let scope = Scope::of_thread(&heap);
    drop(old);
    assert_eq!((scope.live_bytes(), scope.peak()), (-1000, 0));
    let a = Block::new(&heap, 900);
    assert_eq!((scope.live_bytes(), scope.peak()), (-100, 0), "less than before");
    let b = Block::new(&heap, 500).resize(700);
    assert_eq!(scope.peak(), 600);
    drop((a, b));
    assert_eq!((scope.peak(), scope.allocations(), scope.bytes()), (600, 3, 2100));
    scope.assert_peak(600);
}

#[test]
fn scopes_nest_overlap_and_do_not_disturb_each_other() {
    let heap = OwnHeap::new(FromGlobal::new(System));
    for open in [Scope::of_thread::<FromGlobal<System>>, Scope::of_process] {
        let outer = open(&heap);
        let high = Block::new(&heap, 10_000);
        let first = open(&heap);
        drop(high);
        let low = Block::new(&heap, 100);
        let second = open(&heap);
        drop(low);
        assert_eq!((first.peak(), first.live_bytes()), (0, -10_000));
        assert_eq!((second.peak(), second.live_bytes()), (0, -100));
        // Not in the order of their coming.
        drop(first);
        let block = Block::new(&heap, 300);
        assert_eq!((second.allocations(), second.peak()), (1, 200));
        assert_eq!((outer.allocations(), outer.peak()), (3, 10_000));
        let third = open(&heap);
        assert_eq!(third.figures(), Figures::default(), "a row that was used before");
        drop(block);
        outer.assert_no_leaks();
    }
}

#[test]
fn a_thread_has_its_own_figures_and_the_process_all() {
    let heap = OwnHeap::new(FromGlobal::new(System));
    let (here, all) = (Scope::of_thread(&heap), Scope::of_process(&heap));
    let blocks: Vec<_> = thread::scope(|threads| {
        let work = |size| {
            let heap = &heap;
            threads.spawn(move || {
                let mine = Scope::of_thread(heap);
                for _ in 0..1000 {
                    drop(Block::new(heap, size));
                }
                let block = Block::new(heap, size);
                assert_eq!((mine.allocations(), mine.bytes()), (1001, 1001 * size));
                assert_eq!((mine.peak(), mine.figures().live_blocks()), (size, 1));
                block
            })
        };
        let threads = [10, 20, 30, 40].map(work);
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert_eq!(here.figures(), Figures::default());
    assert_eq!((all.allocations(), all.bytes(), all.live_bytes()), (4004, 100_100, 100));
    assert!((100..=200).contains(&all.peak()), "{}", all.peak());
    // A block that came in another thread went in this one.
    drop(blocks);
    all.assert_no_leaks();
    assert_eq!((here.figures().live_blocks(), here.live_bytes()), (-4, -100));
}

#[test]
fn an_allocator_is_not_taken_for_another() {
    let (one, other) =
        (OwnHeap::new(FromGlobal::new(System)), OwnHeap::new(FromGlobal::new(System)));
    let scope = Scope::of_thread(&one);
    let _others = Block::new(&other, 10);
    assert_eq!(scope.allocations(), 0);
    let _its = Block::new(&one, 10);
    assert_eq!(scope.allocations(), 1);
}

#[test]
fn what_is_refused_is_no_allocation() {
    let heap = Counted::new(Refuse);
    let scope = Scope::of_thread(&heap);
    assert!(heap.allocate(Layout::new::<u64>()).is_err());
    assert_eq!(scope.figures().refused, 1);
    scope.assert_allocations(0);
}

#[test]
fn assertions_say_what_was_found_and_what_was_expected() {
    let (kept, figures) = measure(&HEAP, || (vec![1_u8; 24], drop(vec![1_u8; 48])));
    drop(kept);
    figures.assert_allocations(2);
    figures.assert_allocations(2..);
    figures.assert_bytes(..73);
    figures.assert_peak(72..=72);
    let all = "2 allocations of 72 bytes, 1 frees of 48 bytes, at most 72 bytes at one time";
    assert_eq!(
        words(|| figures.assert_allocations(..=1)),
        format!("2 allocations in a scope, and expected were ..=1: {all}")
    );
    assert_eq!(
        words(|| figures.assert_bytes(73)),
        format!("72 bytes in all in a scope, and expected were 73: {all}")
    );
    assert_eq!(
        words(|| figures.assert_peak(10..20)),
        format!("72 bytes at the peak in a scope, and expected were 10..20: {all}")
    );
    assert_eq!(
        words(|| figures.assert_no_leaks()),
        format!("+1 blocks and +24 bytes are left in a scope: {all}")
    );
}

#[test]
fn a_leak_behind_a_free_of_the_same_number_of_blocks_is_seen_by_its_bytes() {
    let old = vec![1_u8; 10];
    let scope = Scope::of_thread(&HEAP);
    drop(old);
    let leaked = vec![1_u8; 11];
    let figures = scope.figures();
    drop((scope, leaked));
    assert_eq!((figures.live_blocks(), figures.live_bytes()), (0, 1));
    assert!(words(|| figures.assert_no_leaks()).starts_with("+0 blocks and +1 bytes are left"));
}

#[test]
fn there_is_room_for_sixteen_scopes_and_it_comes_back() {
    for _ in 0..3 {
        let scopes = [(); 16].map(|()| Scope::of_thread(&HEAP));
        assert!(catch_unwind(|| drop(Scope::of_thread(&HEAP))).is_err());
        drop(scopes);
    }
    let heap = OwnHeap::new(FromGlobal::new(System));
    for _ in 0..3 {
        let scopes = [(); usize::BITS as usize].map(|()| Scope::of_process(&heap));
        let _block = Block::new(&heap, 5);
        assert!(scopes.iter().all(|scope| scope.bytes() == 5));
        assert!(catch_unwind(AssertUnwindSafe(|| drop(Scope::of_process(&heap)))).is_err());
    }
}

#[test]
fn a_scope_counts_in_what_runs_when_a_thread_ends() {
    struct Last;
    impl Drop for Last {
        fn drop(&mut self) {
            let ((), figures) = measure(&HEAP, || drop(vec![1_u8; 77]));
            figures.assert_bytes(77);
        }
    }
    thread_local!(static LAST: Last = const { Last });
    thread::spawn(|| LAST.with(|_| ())).join().unwrap();
}
