//! Wrappers: what they add to the allocator below them.
//!
//! Below is the smallest allocator there is, one block that is free or not, so
//! that the row is the wrapper's own work. It is behind `black_box`, so that
//! nothing is known about it.
#![allow(unsafe_code)]

use crate::meter::{Meter, Row};
use allod_kit::{Allocator, FromGlobal};
use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Pairs of an allocation and a free in one run.
const PAIRS: u32 = 1000;

pub(crate) fn rows() -> Vec<Row> {
    vec![Row::work(
        "wrap/nothing at all: a pair through the trait",
        PAIRS,
        &[
            ("FromGlobal", |meter| pairs(meter, &FromGlobal::new(One::new()))),
            ("bare", |meter| {
                global_pairs(meter, &One::new());
            }),
        ],
    )]
}

/// One block.
struct One {
    block: UnsafeCell<MaybeUninit<[u64; 8]>>,
    taken: AtomicBool,
}

// SAFETY: the block is handed out to one at a time.
unsafe impl Sync for One {}

impl One {
    const fn new() -> Self {
        One { block: UnsafeCell::new(MaybeUninit::uninit()), taken: AtomicBool::new(false) }
    }
}

// SAFETY: the block is one that is handed out once until it is back.
unsafe impl GlobalAlloc for One {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // ORDERING: rows run on one thread.
        if layout.size() > 64 || layout.align() > 8 || self.taken.load(Ordering::Relaxed) {
            return ptr::null_mut();
        }
        // ORDERING: the same.
        self.taken.store(true, Ordering::Relaxed);
        self.block.get().cast()
    }

    #[inline]
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {
        // ORDERING: the same.
        self.taken.store(false, Ordering::Relaxed);
    }
}

/// Known to the compiler, as it mostly is.
const LAYOUT: Layout = Layout::new::<[u64; 4]>();

/// Pairs through our trait.
fn pairs(meter: &mut Meter, allocator: &impl Allocator) {
    meter.measure(|| {
        let allocator = black_box(allocator);
        for _ in 0..PAIRS {
            let block = allocator.allocate(LAYOUT).expect("the block is free");
            // SAFETY: it was just allocated, and is not used again.
            unsafe { allocator.deallocate(black_box(block).cast(), LAYOUT) };
        }
    });
}

/// Pairs through `GlobalAlloc`.
fn global_pairs(meter: &mut Meter, allocator: &impl GlobalAlloc) {
    meter.measure(|| {
        let allocator = black_box(allocator);
        for _ in 0..PAIRS {
            // SAFETY: the layout has bytes.
            let block = unsafe { allocator.alloc(LAYOUT) };
            assert!(!block.is_null(), "the block is free");
            // SAFETY: it was just allocated, and is not used again.
            unsafe { allocator.dealloc(black_box(block), LAYOUT) };
        }
    });
}
