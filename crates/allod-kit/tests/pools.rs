//! The test kit on the allocators that hand out slots, and on the stack.

use allod_kit::model::Bounds;
use allod_kit::{FromGlobal, GrowingPool, Pool, PoolSlot, SharedPool, Stack, conformance};
use std::alloc::System;
use std::mem::MaybeUninit;

/// A slot of 256 bytes, as aligned as blocks of that size are.
#[repr(align(64))]
struct Block(#[expect(dead_code, reason = "it is memory")] [u8; 256]);

/// Room for a stack.
const MEMORY: usize = 1 << 20;

conformance!(
    stack: &Stack::new(&mut vec![MaybeUninit::uninit(); MEMORY]).unwrap(),
    Bounds::new().size(1 << 14).total(MEMORY / 2),
);

conformance!(
    pool: &Pool::new(&mut [const { PoolSlot::<Block>::new() }; 512]),
    Bounds::new().size(256).align(64).total(512 * 64),
);

conformance!(
    growing_pool: &GrowingPool::<Block, _>::new(FromGlobal::new(System)),
    Bounds::new().size(256).align(64).total(1 << 20),
);

conformance!(
    growing_pool_on_a_stack: &GrowingPool::<Block, _>::new(
        &Stack::new(&mut vec![MaybeUninit::uninit(); MEMORY]).unwrap()
    ),
    Bounds::new().size(256).align(64).total(MEMORY / 16),
);

conformance!(
    shared_pool: &SharedPool::<Block, 16>::new(),
    Bounds::new().size(256).align(64).total(512 * 64),
);
