//! Heaps over a piece of memory: TLSF, buddy, first fit, and the locked heap.
//!
//! The bare structures are compared without a lock, each over the same memory.
//! What is done is talc's and rlsf's own: random actions on a heap that is half
//! full, and how much of the memory is in use when a request first fails.
#![allow(unsafe_code)]

use crate::meter::{Meter, Row};
use allod_kit::{Buddy, CriticalSection, FirstFit, Heap, Tlsf};
use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::ptr::{self, NonNull};

/// Bytes of each heap.
const MEMORY: usize = 1 << 20;
/// Steps of random actions in one run.
const STEPS: u32 = 20_000;
/// Operations in one run of the other rows.
const TIMES: u32 = 2000;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        Row::work(
            "heaps/tlsf: allocate and free 64 bytes",
            TIMES,
            &[
                ("Tlsf", |meter| pairs::<Tlsf>(meter)),
                ("rlsf", |meter| pairs::<Rlsf>(meter)),
                ("talc", |meter| pairs::<Talc>(meter)),
            ],
        ),
        Row::work(
            "heaps/tlsf: fill with 1000 blocks, free them in another order",
            2000,
            &[
                ("Tlsf", |meter| fill::<Tlsf>(meter)),
                ("rlsf", |meter| fill::<Rlsf>(meter)),
                ("talc", |meter| fill::<Talc>(meter)),
            ],
        ),
        Row::work(
            "heaps/buddy: allocate and free 64 bytes",
            TIMES,
            &[
                ("Buddy", |meter| pairs::<Buddy>(meter)),
                ("buddy_system_allocator", |meter| pairs::<BuddySystem>(meter)),
            ],
        ),
        Row::work(
            "heaps/buddy: fill with 1000 blocks, free them in another order",
            2000,
            &[
                ("Buddy", |meter| fill::<Buddy>(meter)),
                ("buddy_system_allocator", |meter| fill::<BuddySystem>(meter)),
            ],
        ),
        Row::work(
            "heaps/first fit: allocate and free 64 bytes",
            TIMES,
            &[
                ("FirstFit", |meter| pairs::<FirstFit>(meter)),
                ("linked_list_allocator", |meter| pairs::<LinkedList>(meter)),
            ],
        ),
        Row::work(
            "heaps/first fit: fill with 1000 blocks, free them in another order",
            2000,
            &[
                ("FirstFit", |meter| fill::<FirstFit>(meter)),
                ("linked_list_allocator", |meter| fill::<LinkedList>(meter)),
            ],
        ),
        Row::work(
            "heaps/tlsf: random actions, 1000 slots, sizes 1 to 4000",
            STEPS,
            &[
                ("Tlsf", |meter| random::<Tlsf>(meter)),
                ("rlsf", |meter| random::<Rlsf>(meter)),
                ("talc", |meter| random::<Talc>(meter)),
            ],
        ),
        Row::work(
            "heaps/buddy: random actions, 1000 slots, powers of two",
            STEPS,
            &[
                ("Buddy", |meter| random_powers::<Buddy>(meter)),
                ("buddy_system_allocator", |meter| random_powers::<BuddySystem>(meter)),
            ],
        ),
        Row::work(
            "heaps/first fit: random actions, 20 slots, sizes 1 to 4000",
            STEPS,
            &[
                ("FirstFit", |meter| few::<FirstFit>(meter)),
                ("linked_list_allocator", |meter| few::<LinkedList>(meter)),
            ],
        ),
        Row::work(
            "heaps/a pair of 64 bytes in a critical section",
            TIMES,
            &[
                ("Heap<Tlsf, CriticalSection>", |meter| {
                    let heap = Heap::<Tlsf, CriticalSection>::new();
                    let memory = memory();
                    // SAFETY: fresh, and leaked for the heap.
                    unsafe { heap.add_region(memory.cast(), MEMORY) };
                    global_pairs(meter, &heap);
                }),
                ("embedded-alloc TLSF", |meter| {
                    let heap = embedded_alloc::TlsfHeap::empty();
                    // SAFETY: fresh, and leaked for the heap.
                    unsafe { heap.init(memory().as_ptr().expose_provenance(), MEMORY) };
                    global_pairs(meter, &heap);
                }),
                ("embedded-alloc LLFF", |meter| {
                    let heap = embedded_alloc::LlffHeap::empty();
                    // SAFETY: fresh, and leaked for the heap.
                    unsafe { heap.init(memory().as_ptr().expose_provenance(), MEMORY) };
                    global_pairs(meter, &heap);
                }),
            ],
        ),
        Row::figure(
            "heaps/tlsf: memory not in use when a request first fails, sizes 16 to 256",
            "% of the memory",
            &[
                ("Tlsf", |meter| refused::<Tlsf>(meter, 16, 256)),
                ("rlsf", |meter| refused::<Rlsf>(meter, 16, 256)),
                ("talc", |meter| refused::<Talc>(meter, 16, 256)),
            ],
        ),
        Row::figure(
            "heaps/tlsf: memory not in use when a request first fails, sizes 1 to 10,000",
            "% of the memory",
            &[
                ("Tlsf", |meter| refused::<Tlsf>(meter, 1, 10_000)),
                ("rlsf", |meter| refused::<Rlsf>(meter, 1, 10_000)),
                ("talc", |meter| refused::<Talc>(meter, 1, 10_000)),
            ],
        ),
        Row::figure(
            "heaps/buddy: memory not in use when a request first fails, sizes 16 to 256",
            "% of the memory",
            &[
                ("Buddy", |meter| refused::<Buddy>(meter, 16, 256)),
                ("buddy_system_allocator", |meter| refused::<BuddySystem>(meter, 16, 256)),
            ],
        ),
        Row::figure(
            "heaps/buddy: memory not in use when a request first fails, sizes 1 to 10,000",
            "% of the memory",
            &[
                ("Buddy", |meter| refused::<Buddy>(meter, 1, 10_000)),
                ("buddy_system_allocator", |meter| refused::<BuddySystem>(meter, 1, 10_000)),
            ],
        ),
        Row::figure(
            "heaps/first fit: memory not in use when a request first fails, sizes 16 to 256",
            "% of the memory",
            &[
                ("FirstFit", |meter| refused::<FirstFit>(meter, 16, 256)),
                ("linked_list_allocator", |meter| refused::<LinkedList>(meter, 16, 256)),
            ],
        ),
        Row::figure(
            "heaps/first fit: memory not in use when a request first fails, sizes 1 to 10,000",
            "% of the memory",
            &[
                ("FirstFit", |meter| refused::<FirstFit>(meter, 1, 10_000)),
                ("linked_list_allocator", |meter| refused::<LinkedList>(meter, 1, 10_000)),
            ],
        ),
    ]
}

/// A heap's memory: never given back, because a child process has one heap.
fn memory() -> NonNull<u128> {
    let memory = vec![0u128; MEMORY / 16].leak();
    NonNull::from(memory).cast()
}

/// A heap without a lock. Null is a refusal.
trait Under {
    fn fresh() -> Self;
    unsafe fn alloc(&mut self, layout: Layout) -> *mut u8;
    unsafe fn free(&mut self, block: *mut u8, layout: Layout);
    /// Without a way of its own, as those programs that use it have to do it.
    unsafe fn realloc(&mut self, block: *mut u8, old: Layout, size: usize) -> *mut u8 {
        let new = Layout::from_size_align(size, old.align()).expect("a size of ours");
        // SAFETY: the size is not 0.
        let moved = unsafe { self.alloc(new) };
        if !moved.is_null() {
            // SAFETY: both hold so many bytes, and are apart.
            unsafe { ptr::copy_nonoverlapping(block, moved, old.size().min(size)) };
            // SAFETY: the caller gives it up.
            unsafe { self.free(block, old) };
        }
        moved
    }
}

macro_rules! ours {
    ($($heap:ident)*) => { $(
        impl Under for $heap<'static> {
            fn fresh() -> Self {
                let mut heap = $heap::new();
                // SAFETY: fresh, and leaked for the heap.
                unsafe { heap.add_region(memory().cast(), MEMORY) };
                heap
            }
            #[inline]
            unsafe fn alloc(&mut self, layout: Layout) -> *mut u8 {
                self.allocate(layout).map_or(ptr::null_mut(), |block| block.cast().as_ptr())
            }
            #[inline]
            unsafe fn free(&mut self, block: *mut u8, layout: Layout) {
                // SAFETY: blocks are not null.
                let block = unsafe { NonNull::new_unchecked(block) };
                // SAFETY: the caller's promise.
                unsafe { self.deallocate(block, layout) };
            }
            #[inline]
            unsafe fn realloc(&mut self, block: *mut u8, old: Layout, size: usize) -> *mut u8 {
                let new = Layout::from_size_align(size, old.align()).expect("a size of ours");
                // SAFETY: blocks are not null.
                let block = unsafe { NonNull::new_unchecked(block) };
                // SAFETY: the caller's promise.
                let moved = unsafe { self.reallocate(block, old, new) };
                moved.map_or(ptr::null_mut(), |block| block.cast().as_ptr())
            }
        }
    )* };
}

ours! { Tlsf Buddy FirstFit }

type Rlsf = rlsf::Tlsf<'static, u32, u32, 20, 32>;

impl Under for Rlsf {
    fn fresh() -> Self {
        let mut heap = Self::new();
        let memory = NonNull::slice_from_raw_parts(memory().cast(), MEMORY);
        // SAFETY: fresh, and leaked for the heap.
        unsafe { heap.insert_free_block_ptr(memory) };
        heap
    }
    #[inline]
    unsafe fn alloc(&mut self, layout: Layout) -> *mut u8 {
        self.allocate(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }
    #[inline]
    unsafe fn free(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: blocks are not null.
        let block = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: the caller's promise.
        unsafe { self.deallocate(block, layout.align()) };
    }
    #[inline]
    unsafe fn realloc(&mut self, block: *mut u8, old: Layout, size: usize) -> *mut u8 {
        let new = Layout::from_size_align(size, old.align()).expect("a size of ours");
        // SAFETY: blocks are not null.
        let block = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: the caller's promise.
        unsafe { self.reallocate(block, new) }.map_or(ptr::null_mut(), NonNull::as_ptr)
    }
}

type Talc = talc::base::Talc<talc::source::Manual, talc::DefaultBinning>;

impl Under for Talc {
    fn fresh() -> Self {
        let mut heap = Self::new(talc::source::Manual);
        // SAFETY: fresh, and leaked for the heap.
        unsafe { heap.claim(memory().cast().as_ptr(), MEMORY) }.expect("enough memory");
        heap
    }
    #[inline]
    unsafe fn alloc(&mut self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.allocate(layout) }.map_or(ptr::null_mut(), NonNull::as_ptr)
    }
    #[inline]
    unsafe fn free(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.deallocate(block, layout) };
    }
    #[inline]
    unsafe fn realloc(&mut self, block: *mut u8, old: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        if unsafe { self.try_realloc_in_place(block, old, size) } {
            return block;
        }
        let new = Layout::from_size_align(size, old.align()).expect("a size of ours");
        // SAFETY: the size is not 0.
        let moved = unsafe { self.alloc(new) };
        if !moved.is_null() {
            // SAFETY: both hold so many bytes, and are apart.
            unsafe { ptr::copy_nonoverlapping(block, moved, old.size().min(size)) };
            // SAFETY: the caller gives it up.
            unsafe { self.free(block, old) };
        }
        moved
    }
}

type LinkedList = linked_list_allocator::Heap;

impl Under for LinkedList {
    fn fresh() -> Self {
        // SAFETY: fresh, and leaked for the heap.
        unsafe { Self::new(memory().cast().as_ptr(), MEMORY) }
    }
    #[inline]
    unsafe fn alloc(&mut self, layout: Layout) -> *mut u8 {
        self.allocate_first_fit(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }
    #[inline]
    unsafe fn free(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: blocks are not null.
        let block = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: the caller's promise.
        unsafe { self.deallocate(block, layout) };
    }
}

type BuddySystem = buddy_system_allocator::Heap<32>;

impl Under for BuddySystem {
    fn fresh() -> Self {
        let mut heap = Self::new();
        // SAFETY: fresh, and leaked for the heap.
        unsafe { heap.init(memory().as_ptr().expose_provenance(), MEMORY) };
        heap
    }
    #[inline]
    unsafe fn alloc(&mut self, layout: Layout) -> *mut u8 {
        buddy_system_allocator::Heap::alloc(self, layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }
    #[inline]
    unsafe fn free(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: blocks are not null.
        let block = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: the caller's promise.
        unsafe { self.dealloc(block, layout) };
    }
}

/// Numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word >> 33) as usize * end) >> 31
    }

    /// Small ones as likely as large ones, octave by octave.
    fn size(&mut self, from: usize, to: usize) -> usize {
        let octaves = (to / from).ilog2() as usize + 1;
        let low = from << self.below(octaves);
        (low + self.below(low)).min(to)
    }
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a size of ours")
}

fn pairs<H: Under>(meter: &mut Meter) {
    let mut heap = H::fresh();
    meter.measure(|| {
        for _ in 0..TIMES {
            let layout = black_box(layout(64));
            // SAFETY: the size is not 0.
            let block = black_box(unsafe { heap.alloc(layout) });
            // SAFETY: just allocated, and not used again.
            unsafe { heap.free(block, layout) };
        }
    });
}

fn global_pairs(meter: &mut Meter, heap: &impl GlobalAlloc) {
    meter.measure(|| {
        for _ in 0..TIMES {
            let layout = black_box(layout(64));
            // SAFETY: the size is not 0.
            let block = black_box(unsafe { heap.alloc(layout) });
            // SAFETY: just allocated, and not used again.
            unsafe { heap.dealloc(block, layout) };
        }
    });
}

fn fill<H: Under>(meter: &mut Meter) {
    let mut heap = H::fresh();
    let mut random = Random(1);
    let sizes: Vec<Layout> = (0..1000).map(|_| layout(random.size(16, 1000))).collect();
    let mut order: Vec<usize> = (0..1000).collect();
    for i in 0..1000 {
        order.swap(i, random.below(1000));
    }
    let mut blocks = vec![ptr::null_mut(); 1000];
    meter.measure(|| {
        for (block, layout) in blocks.iter_mut().zip(&sizes) {
            // SAFETY: the size is not 0.
            *block = unsafe { heap.alloc(*layout) };
            assert!(!block.is_null());
        }
        for &i in &order {
            // SAFETY: allocated above, and not used again.
            unsafe { heap.free(blocks[i], sizes[i]) };
        }
    });
}

/// Allocations, frees and a few reallocations, of blocks in so many slots.
fn actions<H: Under>(meter: &mut Meter, slots: usize, size: fn(&mut Random) -> usize) {
    let mut heap = H::fresh();
    let mut blocks = vec![(ptr::null_mut::<u8>(), 0); slots];
    meter.measure(|| {
        let mut random = Random(7);
        for _ in 0..STEPS {
            let slot = random.below(slots);
            let (block, old) = blocks[slot];
            let new = size(&mut random);
            blocks[slot] = if block.is_null() {
                // SAFETY: the size is not 0.
                (unsafe { heap.alloc(layout(new)) }, new)
            } else if random.below(4) == 0 {
                // SAFETY: the block is live, of the old layout.
                let moved = unsafe { heap.realloc(block, layout(old), new) };
                if moved.is_null() { (block, old) } else { (moved, new) }
            } else {
                // SAFETY: the block is live, and not used again.
                unsafe { heap.free(block, layout(old)) };
                (ptr::null_mut(), 0)
            };
        }
        for (block, size) in &mut blocks {
            if !block.is_null() {
                // SAFETY: the block is live, and not used again.
                unsafe { heap.free(*block, layout(*size)) };
                *block = ptr::null_mut();
            }
        }
    });
}

fn random<H: Under>(meter: &mut Meter) {
    actions::<H>(meter, 1000, |random| random.size(1, 4000));
}

fn random_powers<H: Under>(meter: &mut Meter) {
    actions::<H>(meter, 1000, |random| 16 << random.below(8));
}

fn few<H: Under>(meter: &mut Meter) {
    actions::<H>(meter, 20, |random| random.size(1, 4000));
}

/// Blocks come and go, three for each that goes back twice, until one is
/// refused: how much of the memory is not in anybody's block then. The mean of
/// a hundred heaps.
fn refused<H: Under>(meter: &mut Meter, from: usize, to: usize) {
    let mut unused = 0;
    let runs = 100;
    for seed in 0..runs {
        let mut random = Random(seed << 32);
        let mut heap = H::fresh();
        let mut blocks = Vec::new();
        let mut live = 0;
        loop {
            if !blocks.is_empty() && random.below(5) < 2 {
                let (block, size) = blocks.swap_remove(random.below(blocks.len()));
                live -= size;
                // SAFETY: the block is live, and not used again.
                unsafe { heap.free(block, layout(size)) };
                continue;
            }
            let size = random.size(from, to);
            // SAFETY: the size is not 0.
            let block = unsafe { heap.alloc(layout(size)) };
            if block.is_null() {
                break;
            }
            live += size;
            blocks.push((block, size));
        }
        unused += MEMORY - live;
    }
    meter.report(unused as f64 * 100.0 / (MEMORY as f64 * runs as f64));
}
