//! With the feature `system` the same program runs, and says who serves it.
#![cfg(feature = "system")]
#![allow(unsafe_code)]

use allod::{Allocator, Backend, Heap};
use std::alloc::Layout;

#[global_allocator]
static GLOBAL: allod::Allod = allod::Allod::builder().purge_delay(20).build();

#[test]
fn the_platform_serves_and_we_say_so() {
    let rows: Vec<String> = (0..1000).map(|i| i.to_string()).collect();
    assert_eq!(rows.concat().len(), 2890);
    let stats = allod::stats();
    assert_eq!(stats.backend, Backend::System);
    assert_eq!((stats.allocated, stats.mapped), (0, 0));
    assert!(allod::set(allod::config::Key::GuardPages, 2).is_err());
}

#[test]
fn a_heap_frees_what_is_left_in_it() {
    let heap = Heap::new().unwrap();
    let mut blocks = Vec::new();
    for size in 1..500usize {
        for align in [1, 16, 64, 4096] {
            let layout = Layout::from_size_align(size, align).unwrap();
            let block = (&heap).allocate_zeroed(layout).unwrap();
            assert!(block.cast::<u8>().addr().get().is_multiple_of(align));
            blocks.push((block.cast::<u8>(), layout));
        }
    }
    for (block, layout) in blocks.into_iter().step_by(3) {
        // SAFETY: allocated above with this layout, and not used again.
        unsafe { (&heap).deallocate(block, layout) };
    }
    drop(heap);
}
