//! Warming: touching memory so that the machine has it.
//!
//! On a virtual machine the first touch of a page that the guest never used
//! makes the host find memory for it, ten times the cost of a later touch.
//! Whoever runs after a hungry program gets pages that are there already. So
//! before each measured run a process touches a fixed amount and ends.

/// Bytes between touches: one system page.
const STRIDE: usize = 4096;

/// Touches `mib` MiB, a page at a time.
pub(crate) fn touch(mib: u32) {
    let mut memory = vec![0u8; mib as usize * (1 << 20)];
    for place in memory.iter_mut().step_by(STRIDE) {
        *place = 1;
    }
    std::hint::black_box(&memory);
}
