//! Allocators know their blocks: to the first and the last byte, and nobody
//! else's.
#![allow(unsafe_code)]

use allod_kit::{Allocator, FromGlobal, GrowingPool, Owns, Pool, PoolSlot, SharedPool, Stack};
use std::alloc::{Layout, System};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// Takes blocks of both and asks each about all of them.
fn tell_apart<A: Allocator + Owns, B: Allocator + Owns>(one: &A, other: &B, layout: Layout) {
    let take = |from: &dyn Fn() -> NonNull<[u8]>| (0..20).map(|_| from()).collect::<Vec<_>>();
    let ones = take(&|| one.allocate(layout).expect("there is room"));
    let others = take(&|| other.allocate(layout).expect("there is room"));
    let ends = |block: &NonNull<[u8]>| {
        let first = block.cast::<u8>();
        // SAFETY: the last byte is inside of the block.
        [first, unsafe { first.add(block.len() - 1) }]
    };
    for address in ones.iter().flat_map(ends) {
        assert!(one.owns(address, layout) && !other.owns(address, layout));
    }
    for address in others.iter().flat_map(ends) {
        assert!(other.owns(address, layout) && !one.owns(address, layout));
    }
    // In the reverse order, which a stack wants.
    for block in ones.into_iter().rev() {
        // SAFETY: taken above, and not used again.
        unsafe { one.deallocate(block.cast(), layout) };
    }
    for block in others.into_iter().rev() {
        // SAFETY: taken above, and not used again.
        unsafe { other.deallocate(block.cast(), layout) };
    }
}

#[test]
fn neighbours_are_told_apart() {
    type Block = [u64; 4];
    let layout = Layout::new::<Block>();
    // Side by side, so that a bound that is off by one byte is the neighbour's.
    let mut memory = [MaybeUninit::uninit(); 4096];
    let (low, high) = memory.split_at_mut(2048);
    let low = Stack::new(low).expect("there is room");
    let high = Stack::new(high).expect("there is room");
    tell_apart(&&low, &&high, layout);

    let mut slots = [const { PoolSlot::<Block>::new() }; 40];
    let (first, second) = slots.split_at_mut(20);
    tell_apart(&&Pool::new(first), &&Pool::new(second), layout);

    // Of several chunks each.
    let base = FromGlobal::new(System);
    let pools = [GrowingPool::<Block, _>::new(base), GrowingPool::new(base)];
    tell_apart(&&pools[0], &&pools[1], layout);

    let pools = [SharedPool::<Block, 1>::new(), SharedPool::new()];
    tell_apart(&&pools[0], &&pools[1], layout);
}

#[test]
fn what_is_above_a_stack_is_not_its() {
    let mut memory = [MaybeUninit::uninit(); 1024];
    let stack = Stack::new(&mut memory).expect("there is room");
    let layout = Layout::new::<u64>();
    let block = (&stack).allocate(layout).expect("there is room").cast::<u8>();
    assert!(stack.owns(block, layout));
    // SAFETY: inside of the memory.
    assert!(!stack.owns(unsafe { block.add(512) }, layout));
    // SAFETY: taken above, and not used again.
    unsafe { (&stack).deallocate(block, layout) };
    assert!(!stack.owns(block, layout));
}
