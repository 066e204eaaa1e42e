//! Wrappers: what they add to the allocator below them.
//!
//! Below is the smallest allocator there is, one block that is free or not, so
//! that the row is the wrapper's own work. It is behind `black_box`, so that
//! nothing is known about it.
#![allow(unsafe_code)]

use crate::meter::{Meter, Row};
use allod_kit::{
    AlignTo, Allocator, Broken, Count, Fallback, FromGlobal, Guard, Limit, Realign, Refuse,
    Segregate, Trace, Wipe,
};
use cap::Cap;
use stats_alloc::StatsAlloc;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Pairs of an allocation and a free in one run.
const PAIRS: u32 = 1000;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        Row::work(
            "wrap/nothing at all: allocate and free",
            PAIRS,
            &[
                ("FromGlobal", |meter| pairs(meter, &FromGlobal::new(One::new()))),
                ("bare", |meter| global_pairs(meter, &One::new())),
            ],
        ),
        Row::work(
            "wrap/Segregate, Fallback, Realign, AlignTo in a stack: allocate and free",
            PAIRS,
            &[
                ("the stack", |meter| {
                    let large = Fallback::new(Refuse, AlignTo::<8, _>::new(One::new()));
                    global_pairs(
                        meter,
                        &Segregate::<16, _, _>::new(Refuse, Realign::<16, _>::new(large)),
                    );
                }),
                ("bare", |meter| global_pairs(meter, &One::new())),
            ],
        ),
        Row::work(
            "wrap/Count: allocate and free",
            PAIRS,
            &[
                ("Count", |meter| global_pairs(meter, &Count::new(One::new()))),
                ("stats_alloc", |meter| global_pairs(meter, &StatsAlloc::new(One::new()))),
            ],
        ),
        Row::work(
            "wrap/Count for one thread: allocate and free",
            PAIRS,
            &[
                ("Count::local", |meter| global_pairs(meter, &Count::local(One::new()))),
                ("stats_alloc", |meter| global_pairs(meter, &StatsAlloc::new(One::new()))),
            ],
        ),
        Row::work(
            "wrap/Count with the peak: allocate and free",
            PAIRS,
            &[("Count::with_peak", |meter| global_pairs(meter, &Count::with_peak(One::new())))],
        ),
        Row::work(
            "wrap/Limit: allocate and free",
            PAIRS,
            &[
                ("Limit", |meter| global_pairs(meter, &Limit::new(One::new(), 1000))),
                ("cap", |meter| global_pairs(meter, &Cap::new(One::new(), 1000))),
            ],
        ),
        Row::work(
            "wrap/Guard: allocate and free",
            PAIRS,
            &[("Guard", |meter| {
                global_pairs(meter, &Guard::new(One::new(), never));
            })],
        ),
        Row::work(
            "wrap/Wipe of 32 bytes: allocate and free",
            PAIRS,
            &[("Wipe", |meter| {
                global_pairs(meter, &Wipe::new(One::new()));
            })],
        ),
        Row::work(
            "wrap/Trace: allocate and free",
            PAIRS,
            &[("Trace", |meter| {
                global_pairs(meter, &Trace::<_, 64>::new(One::new()));
            })],
        ),
    ]
}

extern "C" fn never(_: &Broken) {
    std::process::abort();
}

/// One block.
struct One {
    block: UnsafeCell<MaybeUninit<[u64; 16]>>,
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
        if layout.size() > 128 || layout.align() > 8 || self.taken.load(Ordering::Relaxed) {
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
            unsafe { allocator.deallocate(black_box(block.cast()), LAYOUT) };
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
