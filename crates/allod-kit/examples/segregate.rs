//! A stack of allocators whose type reads as what it does: blocks of up to 256
//! bytes from a pool, larger ones from an arena on this function's stack, and
//! what finds no room there from the system.
//!
//! Run it: `cargo run -p allod-kit --example segregate`. It says who has served
//! how much.
#![allow(unsafe_code)]

use allod_kit::{Allocator, Bump, Count, Fallback, FromGlobal, Pool, PoolSlot, Segregate};
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use std::alloc::{Layout, System};

/// A slot of the pool.
type Slot = [u64; 32];

const TEXT: &str = "the quick brown fox jumps over the lazy dog while the dog sleeps";

fn main() -> Result<(), allod_kit::AllocError> {
    let mut slots = [const { PoolSlot::<Slot>::new() }; 8];
    let mut buffer = [MaybeUninit::<u8>::uninit(); 2048];
    let pool = Pool::new(&mut slots);
    let bump = Bump::on(&mut buffer);

    let system = || Count::new(FromGlobal::new(System));
    let heap = Segregate::<256, _, _>::new(
        Fallback::new(Count::new(&pool), system()),
        Fallback::new(Count::new(&bump), system()),
    );

    // Sixteen blocks of each kind: half of them find room where they are cheap.
    let mut blocks = Vec::new();
    for (at, word) in TEXT.split(' ').cycle().take(32).enumerate() {
        let size = if at.is_multiple_of(2) { word.len() } else { 256 + word.len() };
        let layout = Layout::array::<u8>(size).expect("a small size");
        let block = heap.allocate(layout)?.cast::<u8>();
        let bytes = NonNull::from_ref(word.as_bytes()).cast::<u8>();
        // SAFETY: the block is as long as the word at least, and it is ours.
        unsafe { block.copy_from_nonoverlapping(bytes, word.len()) };
        blocks.push((block, layout, word));
    }
    for (block, layout, word) in blocks.drain(..).rev() {
        // SAFETY: the word was written there.
        let read = unsafe { core::slice::from_raw_parts(block.as_ptr(), word.len()) };
        assert_eq!(read, word.as_bytes());
        // SAFETY: the block is `heap`'s, and is not used again.
        unsafe { heap.deallocate(block, layout) };
    }

    let served = [
        ("pool", heap.small().first().counts()),
        ("system, small", heap.small().second().counts()),
        ("arena", heap.large().first().counts()),
        ("system, large", heap.large().second().counts()),
    ];
    for (name, counts) in served {
        println!("{name:14} {:3} blocks, {:5} bytes", counts.total_blocks, counts.total_bytes);
        assert!(counts.total_blocks > 0 && counts.blocks == 0);
    }
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("the system has memory");
}
