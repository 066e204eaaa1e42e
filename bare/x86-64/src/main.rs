//! A kernel of a page of code, with `Box`, `Vec`, `BTreeMap` and a hash map.
//!
//! All it takes to have them is the `static` below. `machine.rs` is what any
//! kernel needs before and beside that: a way into 64-bit mode, a serial line,
//! a way out. `cargo run --release` in this folder builds it with stable Rust
//! and boots it in QEMU; success is exit code 0.
#![no_std]
#![no_main]

extern crate alloc;

mod machine;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use allod_kit::{Heap, OneCore, Tlsf};
use core::ptr::{self, NonNull};
use hashbrown::HashMap;
use machine::say;

/// 256 KiB in `.bss`, ready before anything runs.
// SAFETY: one core is up, and interrupts are off from the first instruction on.
#[global_allocator]
static HEAP: Heap<Tlsf, OneCore, { 256 << 10 }> = Heap::with_lock(unsafe { OneCore::new() });

/// Memory that QEMU gives us and nothing else uses: the second half of 64 MiB.
const MORE: (usize, usize) = (32 << 20, 32 << 20);

/// Called in 64-bit mode, with a stack.
#[unsafe(no_mangle)]
extern "C" fn kernel() -> ! {
    say!("hello from bare metal: {HEAP:?}");

    let boxes: Vec<Box<u64>> = (0..100).map(Box::new).collect();
    let sum: u64 = boxes.iter().map(|it| **it).sum();
    assert_eq!(sum, 4950);

    let mut tree: BTreeMap<u32, String> = (0..1000).map(|i| (i, format!("value {i}"))).collect();
    tree.retain(|key, _| key % 3 != 0);
    assert_eq!((tree.len(), tree[&500].as_str()), (666, "value 500"));

    let map: HashMap<&str, usize> = tree.values().map(|it| (it.as_str(), it.len())).collect();
    assert_eq!((map.len(), map["value 998"]), (666, 9));
    say!("Box, Vec, BTreeMap, HashMap: {} bytes used, {} free", HEAP.used(), HEAP.free());

    assert!(Vec::<u8>::new().try_reserve_exact(1 << 20).is_err(), "there is no mebibyte yet");
    let start = NonNull::new(ptr::with_exposed_provenance_mut(MORE.0)).expect("not null");
    // SAFETY: mapped by `machine.rs`, behind the kernel, and nobody else's.
    unsafe { HEAP.add_region(start, MORE.1) };
    let mut large = Vec::<u8>::with_capacity(16 << 20);
    large.resize(16 << 20, 7);
    assert!(large.iter().all(|byte| *byte == 7));
    say!("a second region: up to {} bytes at once", HEAP.max_allocatable());

    drop((boxes, map, large));
    drop(tree);
    assert_eq!(HEAP.check(), Ok(()));
    assert_eq!(HEAP.used(), 0);
    say!("ok: everything came home");
    machine::power_off()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    say!("{info}");
    machine::fail()
}
