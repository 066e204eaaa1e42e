//! What is a global allocator, and how is one made?
//!
//! ```text
//! cargo run --example define_global_allocator
//! ```
//!
//! `Box`, `Vec`, `String` and all the others end in four functions. Somebody
//! must write them, once for the whole program, and that is the trait
//! [`GlobalAlloc`]:
//!
//! | function | is asked for | and must |
//! |---|---|---|
//! | `alloc` | a block for a layout: so many bytes, at a multiple of so much | give one nobody else has, or null |
//! | `dealloc` | an end of it; the caller says the layout again | believe the caller |
//! | `alloc_zeroed` | the same as `alloc`, with zeros in it | |
//! | `realloc` | another size | keep the bytes that both sizes hold |
//!
//! Only the first two have to be written. But the default `alloc_zeroed` calls
//! `alloc` and writes zeros, where an allocator may have memory that the system
//! has cleared already, and the default `realloc` always copies, where a block
//! may have room to grow. So whoever wraps an allocator passes all four on.
//!
//! # Three steps
//!
//! 1. [`Platform`] delegates to [`System`], which is `malloc` on this platform.
//!    It adds nothing and costs nothing.
//! 2. [`Counting`] wraps any allocator and counts its calls. Wrapping is how
//!    most tools of this kind are made: limits, profiles, traces.
//! 3. One line makes an allocator the program's own, and the type in that line
//!    says which. Below it is Allod; write `Platform` in its place, and the
//!    program runs as before.
//!
//! # What is not allowed in there
//!
//! To allocate: a `println!` or a `Vec` inside `alloc` comes back to `alloc`,
//! and never ends. To panic: unwinding out of an allocator is undefined
//! behaviour. To rely on a running runtime: the first call comes before `main`,
//! and the last one after it.
#![expect(unsafe_code, reason = "the contract of an allocator is a promise, and so unsafe to make")]

use allod::Allod;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Step 1: somebody else does the work.
struct Platform;

// SAFETY: `System` keeps the promises of the trait, and we pass everything on.
unsafe impl GlobalAlloc for Platform {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise: the size is not zero.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise: the block is from `alloc`, with this layout.
        unsafe { System.dealloc(block, layout) };
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as for `dealloc`, and the new size is not zero.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// Step 2: any allocator, and a count of what it is asked.
///
/// A `static` is shared by all threads, so the counters are atomic.
struct Counting<A> {
    inner: A,
    allocations: AtomicUsize,
    moves: AtomicUsize,
    frees: AtomicUsize,
}

impl<A> Counting<A> {
    const fn new(inner: A) -> Self {
        let [allocations, moves, frees] = [const { AtomicUsize::new(0) }; 3];
        Self { inner, allocations, moves, frees }
    }

    fn counts(&self) -> [usize; 3] {
        // ORDERING: Relaxed, figures that no other data depends on.
        [&self.allocations, &self.moves, &self.frees].map(|count| count.load(Ordering::Relaxed))
    }
}

fn count(counter: &AtomicUsize) {
    // ORDERING: Relaxed, as in `counts`.
    counter.fetch_add(1, Ordering::Relaxed);
}

// SAFETY: `inner` keeps the promises of the trait, and we pass everything on.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(&self.allocations);
        // SAFETY: the caller's promise.
        unsafe { self.inner.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(&self.frees);
        // SAFETY: the caller's promise.
        unsafe { self.inner.dealloc(block, layout) };
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(&self.allocations);
        // SAFETY: the caller's promise.
        unsafe { self.inner.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(&self.moves);
        // SAFETY: the caller's promise.
        unsafe { self.inner.realloc(block, layout, size) }
    }
}

/// Step 3: the program's allocator. The type is the choice.
#[global_allocator]
static GLOBAL: Counting<Allod> = Counting::new(Allod::new());

/// The allocator of steps 1 and 2. It is nobody's global allocator, so it serves
/// whoever asks it by name.
static PLATFORM: Counting<Platform> = Counting::new(Platform);

fn main() {
    by_name(&PLATFORM);
    let [allocations, moves, frees] = PLATFORM.counts();
    println!(
        "by name:    {allocations} allocation, {moves} realloc, {frees} free, on the platform's"
    );

    // From here on nobody names an allocator, and nobody prints: that allocates.
    let before = GLOBAL.counts();
    let mut numbers = Vec::new();
    for number in 0..1000_u64 {
        numbers.push(number);
    }
    assert_eq!(numbers.iter().sum::<u64>(), 499_500);
    drop(numbers);
    let after = GLOBAL.counts();

    let [allocations, moves, frees] = [0, 1, 2].map(|i| after[i] - before[i]);
    println!("1000 pushes: {allocations} allocation, {moves} realloc, {frees} free, on Allod");

    let stats = allod::stats();
    println!("\nAllod says: {:?} serves, {} bytes in use now", stats.backend, stats.allocated);
    println!("before `main` there were {} allocations already", before[0]);
}

/// What a `Box<[u64; 8]>` does that becomes a `Box<[u64; 16]>`, spelled out.
fn by_name(allocator: &impl GlobalAlloc) {
    let layout = Layout::new::<[u64; 8]>();
    // SAFETY: the size is not zero.
    let block = unsafe { allocator.alloc(layout) };
    assert!(!block.is_null(), "there is memory");
    let larger = Layout::new::<[u64; 16]>();
    // SAFETY: the block is from there, with this layout; the new size is not zero.
    let block = unsafe { allocator.realloc(block, layout, larger.size()) };
    assert!(!block.is_null(), "there is memory");
    // SAFETY: the block is from there, has the larger layout now, and is not used again.
    unsafe { allocator.dealloc(block, larger) };
}
