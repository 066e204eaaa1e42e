//! The heaps held to the test kit: with memory inside, with several regions, and
//! shared by threads.

use allod_kit::conformance::Probe;
use allod_kit::model::Bounds;
use allod_kit::{Buddy, FirstFit, Heap, Spin, Tlsf, Unshared};
use std::mem::MaybeUninit;

/// A test's thread has two MiB of stack, and without optimization a heap is
/// there more than once on its way into its box.
const BYTES: usize = 1 << 18;

/// Enough for all that the threads of the test kit can want together: they do
/// not keep to a total.
const MUCH: usize = 1 << 28;

/// A fraction of the memory, because it breaks into pieces: a buddy rounds up to
/// powers of two, regions do not melt, and a few small blocks leave no place for
/// a large alignment.
fn bounds() -> Bounds {
    Bounds::new().size(4000).align(512).total(BYTES / 4)
}

/// A heap in a box, so that its memory does not go through the stack of a test.
fn inside<H>() -> Box<Heap<H, Unshared, BYTES>>
where
    Heap<H, Unshared, BYTES>: Default,
{
    Box::default()
}

macro_rules! heaps {
    ($($name:ident $heap:ident)*) => { $(
        allod_kit::conformance!(
            $name: &*inside::<$heap>(),
            bounds(),
            |heap| assert_eq!(heap.check(), Ok(()), "{heap:?}")
        );
    )* };
}

heaps! { tlsf Tlsf buddy Buddy first_fit FirstFit }

#[test]
fn threads_share_it() {
    let mut memory = Vec::with_capacity(MUCH);
    let heap = Heap::<Tlsf, Spin>::new();
    heap.add(memory.spare_capacity_mut());
    let found = Probe(&&heap).threads(bounds());
    assert!(found.is_none(), "{}", found.unwrap());
    heap.check().unwrap();
    assert_eq!(heap.used(), 0);
}

fn regions(memory: &mut [[MaybeUninit<u8>; BYTES / 4]]) -> Heap<Tlsf<'_>, Unshared> {
    let heap = Heap::new();
    for (skip, region) in memory.iter_mut().enumerate() {
        assert!(heap.add(&mut region[skip..]) > 0);
    }
    heap
}

allod_kit::conformance!(
    several_regions: &regions(&mut vec![[MaybeUninit::uninit(); BYTES / 4]; 5]),
    bounds(),
    |heap| assert_eq!(heap.check(), Ok(()), "{heap:?}")
);
