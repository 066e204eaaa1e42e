//! What every plan is held to: the same random operations, beside a model that
//! knows each block's place and contents. The plans' own tests call this.
#![allow(unsafe_code)]

use crate::AllocError;
use crate::regions::{Plan, Regions};
use crate::words::ALIGN;
use core::alloc::Layout;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

/// Random runs of each property, and operations in one.
const CASES: u32 = if cfg!(miri) { 4 } else { 300 };
const STEPS: usize = if cfg!(miri) { 60 } else { 400 };

#[derive(Clone, Debug)]
enum Op {
    Allocate {
        size: usize,
        align: u32,
    },
    /// The block is chosen among the live ones.
    Free {
        which: prop::sample::Index,
    },
    Resize {
        which: prop::sample::Index,
        size: usize,
    },
    ResizeInPlace {
        which: prop::sample::Index,
        size: usize,
    },
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0..130usize, 4 => 100..2000usize, 1 => 0..40_000usize]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let any = any::<prop::sample::Index>;
    let op = prop_oneof![
        4 => (sizes(), prop_oneof![6 => 0..5u32, 1 => 0..13u32])
            .prop_map(|(size, align)| Op::Allocate { size, align }),
        3 => any().prop_map(|which| Op::Free { which }),
        1 => (any(), sizes()).prop_map(|(which, size)| Op::Resize { which, size }),
        1 => (any(), sizes()).prop_map(|(which, size)| Op::ResizeInPlace { which, size }),
    ];
    prop::collection::vec(op, 1..STEPS)
}

/// Whether a live block that a test has filled still is.
fn holds(block: NonNull<u8>, size: usize, fill: u8) -> bool {
    (0..size).all(|i| {
        // SAFETY: inside of a live block that was written.
        unsafe { block.as_ptr().wrapping_add(i).read() == fill }
    })
}

/// A heap and what ought to be in it.
struct Model<'m, P> {
    heap: Regions<'m, P>,
    /// By address: the end, the pointer, the layout, the byte it is filled with.
    live: BTreeMap<usize, (usize, NonNull<u8>, Layout, u8)>,
    next_fill: u8,
    /// Of the empty heap.
    largest: usize,
}

impl<'m, P: Plan> Model<'m, P> {
    fn new(heap: Regions<'m, P>) -> Self {
        let largest = heap.max_allocatable();
        let model = Self { heap, live: BTreeMap::new(), next_fill: 1, largest };
        model.look();
        model
    }

    fn look(&self) {
        self.heap.check().unwrap();
        let used: usize = self.live.values().map(|it| Regions::<P>::usable_size(it.2)).sum();
        assert_eq!(self.heap.used(), used);
        assert_eq!(self.heap.used() + self.heap.free(), self.heap.capacity());
    }

    /// The figure is what one more allocation gets, and a byte more is refused.
    fn look_at_largest(&mut self) {
        let largest = self.heap.max_allocatable();
        let more = Layout::from_size_align(largest + 1, 1).unwrap();
        assert_eq!(self.heap.allocate(more), Err(AllocError));
        for align in [1, 8] {
            let layout = Layout::from_size_align(largest, align).unwrap();
            let block = self.heap.allocate(layout).unwrap();
            assert!(block.len() >= largest);
            // SAFETY: a live block of this heap, with its layout.
            unsafe { self.heap.deallocate(block.cast(), layout) };
        }
    }

    fn enter(&mut self, block: NonNull<[u8]>, layout: Layout, keep: Option<(u8, usize)>) {
        assert!(block.len() >= layout.size());
        assert_eq!(block.len(), Regions::<P>::usable_size(layout));
        let block = block.cast::<u8>();
        let start = block.addr().get();
        assert_eq!(start % layout.align(), 0);
        if let Some((fill, size)) = keep {
            assert!(holds(block, size, fill), "bytes were lost on the way to {layout:?}");
        }
        if layout.size() == 0 {
            return;
        }
        let end = start + layout.size();
        if let Some((_, (before, ..))) = self.live.range(..end).next_back() {
            assert!(*before <= start, "two blocks overlap");
        }
        self.next_fill = self.next_fill % 250 + 1;
        // SAFETY: the block is live, and so long.
        unsafe { block.write_bytes(self.next_fill, layout.size()) };
        self.live.insert(start, (end, block, layout, self.next_fill));
    }

    fn pick(&self, which: prop::sample::Index) -> Option<usize> {
        let at = (!self.live.is_empty()).then(|| which.index(self.live.len()))?;
        self.live.keys().nth(at).copied()
    }

    fn free(&mut self, start: usize) {
        let (_, block, layout, fill) = self.live.remove(&start).unwrap();
        assert!(holds(block, layout.size(), fill), "bytes of {layout:?} have changed");
        // Any size from the one asked for to the one got may be named.
        let most = Regions::<P>::usable_size(layout);
        let size = if fill % 2 == 0 { most } else { layout.size() };
        let layout = Layout::from_size_align(size, layout.align()).unwrap();
        // SAFETY: a live block of this heap, with its layout.
        unsafe { self.heap.deallocate(block, layout) };
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Allocate { size, align } => {
                let layout = Layout::from_size_align(size, 1 << align).unwrap();
                match self.heap.allocate(layout) {
                    Ok(block) => self.enter(block, layout, None),
                    Err(AllocError) => {
                        let rounded = Regions::<P>::usable_size(layout);
                        let least = if align <= 3 { 0 } else { 2 << align };
                        assert!(rounded + least > self.heap.max_allocatable(), "{layout:?}");
                    }
                }
            }
            Op::Free { which } => {
                if let Some(start) = self.pick(which) {
                    self.free(start);
                }
            }
            Op::Resize { which, size } => self.resize(which, size, false),
            Op::ResizeInPlace { which, size } => self.resize(which, size, true),
        }
    }

    fn resize(&mut self, which: prop::sample::Index, size: usize, in_place: bool) {
        let Some(start) = self.pick(which) else { return };
        let (_, block, old, fill) = self.live[&start];
        let new = Layout::from_size_align(size, old.align()).unwrap();
        let result = if in_place {
            // SAFETY: a live block of this heap, with its layout.
            unsafe { self.heap.reallocate_in_place(block, old, new) }
        } else {
            // SAFETY: a live block of this heap, with its layout.
            unsafe { self.heap.reallocate(block, old, new) }
        };
        match result {
            Ok(moved) => {
                assert!(!in_place || moved.cast() == block);
                self.live.remove(&start);
                self.enter(moved, new, Some((fill, size.min(old.size()))));
            }
            // Nothing that is not 0 is too small for the place it has.
            Err(AllocError) => assert!(size > old.size() || size == 0),
        }
    }

    /// Everything comes home, and is one piece again.
    fn end(mut self) {
        for start in self.live.keys().copied().collect::<Vec<_>>() {
            self.free(start);
            self.look();
        }
        assert_eq!(self.heap.used(), 0);
        assert_eq!(self.heap.max_allocatable(), self.largest);
    }
}

fn memory(size: usize) -> Vec<MaybeUninit<u8>> {
    vec![MaybeUninit::uninit(); size]
}

/// Random operations on regions of odd places and sizes.
pub(crate) fn random_operations<P: Plan>() {
    let regions = prop::collection::vec((0..40usize, 700..30_000usize), 1..4);
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..Default::default() };
    proptest!(config, |(ops in ops(), regions in regions)| {
        let mut memories: Vec<_> = regions.iter().map(|it| memory(it.0 + it.1)).collect();
        let mut heap = Regions::<P>::new();
        for (memory, (skip, size)) in memories.iter_mut().zip(&regions) {
            prop_assert!(heap.add(&mut memory[*skip..]) <= *size);
        }
        let mut model = Model::new(heap);
        for op in &ops {
            model.step(op);
            model.look();
            model.look_at_largest();
        }
        model.end();
    });
}

/// Fills the heap with blocks of each size, and frees them in three orders.
pub(crate) fn exhaustion<P: Plan>() {
    for size in [1, 8, 16, 17, 48, 100, 512, 700, 3000] {
        for order in 0..3 {
            let mut room = memory(if cfg!(miri) { 4_000 } else { 20_000 });
            let mut heap = Regions::<P>::new();
            heap.add(&mut room);
            let mut model = Model::new(heap);
            let layout = Layout::from_size_align(size, 8).unwrap();
            while let Ok(block) = model.heap.allocate(layout) {
                model.enter(block, layout, None);
                model.look();
            }
            assert!(model.heap.max_allocatable() < size);
            let mut starts: Vec<_> = model.live.keys().copied().collect();
            match order {
                0 => {}
                1 => starts.reverse(),
                _ => starts.sort_by_key(|start| start.wrapping_mul(0x9E37_79B9) % 1009),
            }
            for start in starts {
                model.free(start);
                model.look();
                assert!(model.heap.max_allocatable() >= size);
            }
            model.end();
        }
    }
}

/// Regions too small to be of use are refused, and nothing is written past the
/// end of any.
pub(crate) fn small_regions<P: Plan>() {
    const GUARD: u8 = 0xA5;
    for size in 0..1200 {
        let mut room = memory(size + 64);
        for byte in &mut room {
            byte.write(GUARD);
        }
        let (room, guard) = room.split_at_mut(size);
        let mut heap = Regions::<P>::new();
        let usable = heap.add(room);
        assert_eq!(heap.capacity(), usable);
        heap.check().unwrap();
        let layout = Layout::new::<u64>();
        let mut blocks = Vec::new();
        while let Ok(block) = heap.allocate(layout) {
            // SAFETY: the block is live, and so long.
            unsafe { block.cast::<u8>().write_bytes(1, block.len()) };
            blocks.push(block);
        }
        assert_eq!(blocks.len() * Regions::<P>::usable_size(layout), usable);
        for block in blocks {
            // SAFETY: a live block of this heap, with its layout.
            unsafe { heap.deallocate(block.cast(), layout) };
        }
        // SAFETY: written above.
        assert!(guard.iter().all(|it| unsafe { it.assume_init() } == GUARD));
    }
}

/// Sizes that no machine has, and alignments to match.
pub(crate) fn absurd_requests<P: Plan>() {
    let mut room = memory(10_000);
    let mut heap = Regions::<P>::new();
    heap.add(&mut room);
    let most = isize::MAX as usize;
    for shift in 0..usize::BITS - 1 {
        for size in [1 << shift, most >> shift, most - (1 << shift)] {
            let Ok(layout) = Layout::from_size_align(size, 1) else { continue };
            let fits = size <= heap.max_allocatable();
            let block = heap.allocate(layout);
            assert_eq!(block.is_ok(), fits, "{size}");
            if let Ok(block) = block {
                // SAFETY: a live block of this heap, with its layout.
                unsafe { heap.deallocate(block.cast(), layout) };
            }
        }
        let Ok(layout) = Layout::from_size_align(8, 1 << shift) else { continue };
        if let Ok(block) = heap.allocate(layout) {
            assert_eq!(block.addr().get() % layout.align(), 0);
            // SAFETY: a live block of this heap, with its layout.
            unsafe { heap.deallocate(block.cast(), layout) };
        }
        heap.check().unwrap();
    }
    assert_eq!(heap.used(), 0);
}

/// A block grows into what is free behind it and shrinks back, without moving.
pub(crate) fn in_place<P: Plan>() {
    let mut room = memory(20_000);
    let mut heap = Regions::<P>::new();
    heap.add(&mut room);
    let small = Layout::from_size_align(64, 1024).unwrap();
    let large = Layout::from_size_align(1024, 1024).unwrap();
    let block = heap.allocate(small).unwrap().cast::<u8>();
    // SAFETY: a live block of this heap, with its layout.
    let same = unsafe { heap.reallocate_in_place(block, small, large) }.unwrap();
    assert_eq!((same.cast(), heap.used()), (block, 1024));
    heap.check().unwrap();
    // SAFETY: a live block of this heap, with its layout.
    let same = unsafe { heap.reallocate(block, large, small) }.unwrap();
    assert_eq!((same.cast(), heap.used()), (block, 64));
    // A wider alignment that the address has is not a reason to move, and one
    // that it has not is.
    let wide = Layout::from_size_align(64, 2 << block.addr().get().trailing_zeros()).unwrap();
    // SAFETY: a live block of this heap, with its layout.
    assert!(unsafe { heap.reallocate_in_place(block, small, wide) }.is_err());
    // SAFETY: a live block of this heap, with its layout.
    unsafe { heap.deallocate(block, small) };
    assert_eq!(heap.max_allocatable() % ALIGN, 0);
    heap.check().unwrap();
}

/// One test for each of the above.
macro_rules! plan_tests {
    ($plan:ty) => {
        #[test]
        fn random_operations() {
            crate::regions::tests::random_operations::<$plan>();
        }
        #[test]
        fn exhaustion() {
            crate::regions::tests::exhaustion::<$plan>();
        }
        #[test]
        fn small_regions() {
            crate::regions::tests::small_regions::<$plan>();
        }
        #[test]
        fn absurd_requests() {
            crate::regions::tests::absurd_requests::<$plan>();
        }
        #[test]
        fn in_place() {
            crate::regions::tests::in_place::<$plan>();
        }
    };
}
pub(crate) use plan_tests;
