//! Warming: touching memory so that the machine has it.
//!
//! On a virtual machine the first touch of memory that the host has to find
//! costs ten to fifty times a later touch. Such a host also takes memory back:
//! where the guest's balloon reports free pages, whole huge pages that lie free
//! for two seconds are gone. Then whoever runs next pays, and a program that
//! uses huge pages pays most.
//!
//! So right before each measured run a process touches a fixed amount and ends.
//! It touches huge pages. They come back to the kernel whole, and serve huge and
//! small pages alike. Memory warmed in small pages comes back in pieces, and
//! what a huge page costs after that is a matter of luck: 270 to 3,200 ns for
//! each 4 KiB instead of 210 to 320 (2026-11-21, 2-CPU AMD EPYC, Linux 6.18).
//!
//! What it cannot do: a run that lasts more than two seconds and then takes
//! memory that it did not have before can meet a host that has taken it back.

use crate::sys;

/// Bytes between touches: one system page.
const STRIDE: usize = 4096;

/// Touches `mib` MiB, a page at a time.
pub(crate) fn touch(mib: u32) {
    // Zeros from the system: not touched yet.
    let mut memory = vec![0u8; mib as usize * (1 << 20)];
    sys::ask_for_huge_pages(&mut memory);
    for place in memory.iter_mut().step_by(STRIDE) {
        *place = 1;
    }
    std::hint::black_box(&memory);
}
