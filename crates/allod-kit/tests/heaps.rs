//! The heaps held to the test kit: with memory inside, with several regions, and
//! shared by threads.
#![allow(unsafe_code)]

use allod_kit::conformance::Probe;
use allod_kit::model::Bounds;
use allod_kit::{Buddy, FirstFit, Heap, Lock, RawLock, Spin, Tlsf, Unshared};
use lock_api::RawMutex;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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

/// As another crate would write it: it counts who comes, and trusts nobody to go.
struct Foreign(AtomicBool, AtomicUsize);

// SAFETY: who swaps false for true has it, until the store.
unsafe impl lock_api::RawMutex for Foreign {
    type GuardMarker = lock_api::GuardSend;
    #[allow(clippy::declare_interior_mutable_const, reason = "the trait has it so")]
    const INIT: Self = Foreign(AtomicBool::new(false), AtomicUsize::new(0));

    fn lock(&self) {
        while !self.try_lock() {
            std::thread::yield_now();
        }
        self.1.fetch_add(1, Ordering::Relaxed);
    }

    fn try_lock(&self) -> bool {
        !self.0.swap(true, Ordering::Acquire)
    }

    unsafe fn unlock(&self) {
        assert!(self.0.swap(false, Ordering::Release), "nobody has it");
    }
}

#[test]
fn a_mutex_of_another_crate_is_held_and_given_back() {
    static HEAP: Heap<Tlsf, RawLock<Foreign>, { 1 << 22 }> = Heap::new();
    let found = Probe(&&HEAP).threads(Bounds::new().size(64).align(64));
    assert!(found.is_none(), "{}", found.unwrap());
    assert_eq!((HEAP.used(), HEAP.check()), (0, Ok(())));
    // Once for each visit, and nobody is left inside.
    let mutex = RawLock::from(Foreign::INIT);
    assert_eq!(mutex.hold(|| 7), 7);
    let inner = mutex.into_inner();
    assert!(inner.try_lock());
    assert_eq!(inner.1.into_inner(), 1);
}
