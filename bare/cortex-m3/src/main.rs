//! Firmware for a Cortex-M3 that allocates in its main program and, at the same
//! time, in an interrupt handler.
//!
//! The lock that makes this sound is the critical section of the chip: interrupts
//! are off for the heap's few instructions, and on while blocks are filled,
//! copied and used. `cargo xtask bare` builds it and runs it in QEMU.
#![cfg_attr(target_arch = "arm", no_std, no_main)]

#[cfg(target_arch = "arm")]
extern crate alloc;

#[cfg(target_arch = "arm")]
mod chip;

#[cfg(target_arch = "arm")]
mod firmware {
    use crate::chip::{self, say};
    use alloc::boxed::Box;
    use alloc::collections::BTreeMap;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;
    use allod_kit::{CriticalSection, Heap, Tlsf};
    use core::sync::atomic::{AtomicU32, Ordering};

    /// Half of the chip's memory.
    #[global_allocator]
    static HEAP: Heap<Tlsf, CriticalSection, { 32 << 10 }> = Heap::new();

    static TICKS: AtomicU32 = AtomicU32::new(0);

    /// The timer's interrupt handler: it allocates, wherever the main program is.
    pub(crate) fn tick() {
        // ORDERING: Relaxed, a count and nothing else.
        let tick = TICKS.fetch_add(1, Ordering::Relaxed);
        let numbers: Vec<u32> = (0..tick % 50).collect();
        assert_eq!(numbers.iter().sum::<u32>(), (tick % 50) * (tick % 50).saturating_sub(1) / 2);
    }

    pub(crate) fn run() -> ! {
        say!("hello from a Cortex-M3: {HEAP:?}");
        chip::start_timer();
        let mut rounds = 0;
        // ORDERING: Relaxed, as above.
        while TICKS.load(Ordering::Relaxed) < 200 {
            let boxes: Vec<Box<u32>> = (0..50).map(Box::new).collect();
            let names: BTreeMap<u32, String> = (0..50).map(|i| (i, format!("name {i}"))).collect();
            assert_eq!(boxes.iter().map(|it| **it).sum::<u32>(), 1225);
            assert!(names.iter().all(|(i, name)| name.ends_with(&format!(" {i}"))));
            rounds += 1;
        }
        chip::stop_timer();
        assert_eq!(HEAP.check(), Ok(()));
        assert_eq!(HEAP.used(), 0);
        assert!(rounds > 1);
        say!("ok: 200 interrupts allocated between the allocations of the main program");
        chip::exit(true)
    }
}

/// For whoever builds it on a machine with an operating system.
#[cfg(not(target_arch = "arm"))]
fn main() {
    eprintln!("this is firmware: `cargo xtask bare` runs it");
}
