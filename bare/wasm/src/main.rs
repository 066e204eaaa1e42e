//! A WebAssembly module with a heap that grows: each growth is one more region.
//!
//! `cargo xtask bare` builds it and runs it in node (`run.mjs`).
#![cfg_attr(target_arch = "wasm32", no_std, no_main)]

#[cfg(target_arch = "wasm32")]
extern crate alloc;

#[cfg(target_arch = "wasm32")]
mod module {
    use alloc::boxed::Box;
    use alloc::format;
    use alloc::vec::Vec;
    use allod_kit::{Heap, OneCore, Tlsf};
    use core::arch::wasm32;
    use core::ptr::{self, NonNull};
    use hashbrown::HashMap;

    /// 64 KiB to begin with.
    // SAFETY: one thread, and nothing interrupts it.
    #[global_allocator]
    static HEAP: Heap<Tlsf, OneCore, { 64 << 10 }> = Heap::with_lock(unsafe { OneCore::new() });

    /// Bytes in a page of a WebAssembly memory.
    const PAGE: usize = 64 << 10;

    /// Sees to it that so many bytes are free.
    fn provide(bytes: usize) {
        if HEAP.free() < bytes {
            let pages = (bytes * 2).div_ceil(PAGE);
            let first = wasm32::memory_grow::<0>(pages);
            let start = NonNull::new(ptr::with_exposed_provenance_mut(first * PAGE));
            assert!(first != usize::MAX, "no memory to grow into");
            // SAFETY: just made for us.
            unsafe { HEAP.add_region(start.expect("not the first page"), pages * PAGE) };
        }
    }

    /// The sum of the numbers below `n`, by way of the heap.
    #[unsafe(no_mangle)]
    extern "C" fn run(n: u32) -> u32 {
        provide(n as usize * 100);
        let boxes: Vec<Box<u32>> = (0..n).map(Box::new).collect();
        let names: HashMap<u32, _> =
            boxes.iter().step_by(10).map(|it| (**it, format!("{it}"))).collect();
        for (number, name) in &names {
            assert!(name.parse() == Ok(*number));
        }
        boxes.iter().fold(0, |sum, it| sum.wrapping_add(**it))
    }

    #[unsafe(no_mangle)]
    extern "C" fn used() -> usize {
        HEAP.used()
    }

    #[unsafe(no_mangle)]
    extern "C" fn capacity() -> usize {
        HEAP.capacity()
    }

    #[unsafe(no_mangle)]
    extern "C" fn check() -> bool {
        HEAP.check().is_ok()
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        wasm32::unreachable()
    }
}

/// For whoever builds it for a machine of silicon.
#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("this is a WebAssembly module: `cargo xtask bare` runs it");
}
