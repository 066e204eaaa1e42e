//! Which locks this thread has: one bit for each place in the order.
//!
//! A word of the thread's own, zero when the thread starts. Nobody else reads it, but a
//! signal handler on the same thread does, between any two instructions: so it is written
//! *before* a lock is tried and put back *after* it is given up, and says at worst that the
//! thread has a lock which it is only about to have, or has just had. A handler leaves
//! the word as it found it.
//!
//! Like the thread's heap (`local.rs` says why), it lies in initial-exec thread-local storage
//! and is reached by assembly alone: no call, no allocation, nothing to be made first. On 32-bit x86
//! the standard library's `thread_local!` stands in. Under loom, and for the tasks of shuttle, which
//! share a thread, theirs does.
#![allow(unsafe_code)]

use super::compiler_barrier;

/// The ranks that this thread has or is about to have.
#[inline(always)]
pub(super) fn get() -> u32 {
    #[cfg(shuttle)]
    if shuttle::current::try_get_current_task().is_some() {
        return task::HELD.with(core::cell::Cell::get);
    }
    word::get()
}

/// Makes them `held`. What is written around this stays where it is written: a handler sees
/// both in order.
#[inline(always)]
pub(super) fn set(held: u32) {
    compiler_barrier();
    #[cfg(shuttle)]
    if shuttle::current::try_get_current_task().is_some() {
        return task::HELD.with(|word| word.set(held));
    }
    word::set(held);
    compiler_barrier();
}

#[cfg(shuttle)]
mod task {
    use core::cell::Cell;

    shuttle::thread_local! {
        pub(super) static HELD: Cell<u32> = const { Cell::new(0) };
    }
}

#[cfg(all(not(loom), any(target_arch = "x86_64", target_arch = "aarch64")))]
mod word {
    use core::cell::UnsafeCell;

    struct Word(#[allow(dead_code, reason = "the assembly reads it")] UnsafeCell<u32>);
    // SAFETY: never touched but through the assembly below, each thread its own.
    unsafe impl Sync for Word {}

    #[unsafe(link_section = ".tdata.allod")]
    static HELD: Word = Word(UnsafeCell::new(0));

    /// Where the word lies, seen from the thread pointer.
    #[inline(always)]
    fn offset() -> usize {
        let offset: usize;
        cfg_select! {
            target_arch = "x86_64" => {
                // SAFETY: reads the linker's constant for this variable.
                unsafe {
                    core::arch::asm!(
                        "mov {offset}, qword ptr [rip + {held}@GOTTPOFF]",
                        offset = out(reg) offset, held = sym HELD,
                        options(pure, nomem, nostack, preserves_flags),
                    )
                };
            }
            _ => {
                // SAFETY: reads the linker's constant for this variable.
                unsafe {
                    core::arch::asm!(
                        "adrp {offset}, :gottprel:{held}",
                        "ldr {offset}, [{offset}, #:gottprel_lo12:{held}]",
                        offset = out(reg) offset, held = sym HELD,
                        options(pure, nomem, nostack, preserves_flags),
                    )
                };
            }
        }
        offset
    }

    #[inline(always)]
    pub(super) fn get() -> u32 {
        let held: u32;
        let offset = offset();
        cfg_select! {
            target_arch = "x86_64" => {
                // SAFETY: the word is this thread's own.
                unsafe {
                    core::arch::asm!(
                        "mov {held:e}, dword ptr fs:[{offset}]",
                        held = out(reg) held, offset = in(reg) offset,
                        options(readonly, nostack, preserves_flags),
                    )
                };
            }
            _ => {
                // SAFETY: the word is this thread's own.
                unsafe {
                    core::arch::asm!(
                        "mrs {at}, tpidr_el0",
                        "ldr {held:w}, [{at}, {offset}]",
                        at = out(reg) _, held = lateout(reg) held, offset = in(reg) offset,
                        options(readonly, nostack, preserves_flags),
                    )
                };
            }
        }
        held
    }

    #[inline(always)]
    pub(super) fn set(held: u32) {
        let offset = offset();
        cfg_select! {
            target_arch = "x86_64" => {
                // SAFETY: the word is this thread's own.
                unsafe {
                    core::arch::asm!(
                        "mov dword ptr fs:[{offset}], {held:e}",
                        held = in(reg) held, offset = in(reg) offset,
                        options(nostack, preserves_flags),
                    )
                };
            }
            _ => {
                // SAFETY: the word is this thread's own.
                unsafe {
                    core::arch::asm!(
                        "mrs {at}, tpidr_el0",
                        "str {held:w}, [{at}, {offset}]",
                        at = out(reg) _, held = in(reg) held, offset = in(reg) offset,
                        options(nostack, preserves_flags),
                    )
                };
            }
        }
    }
}

#[cfg(any(loom, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod word {
    use core::cell::Cell;

    #[cfg(loom)]
    loom::thread_local! {
        static HELD: Cell<u32> = Cell::new(0);
    }
    #[cfg(not(loom))]
    std::thread_local! {
        static HELD: Cell<u32> = const { Cell::new(0) };
    }

    pub(super) fn get() -> u32 {
        HELD.with(Cell::get)
    }

    pub(super) fn set(held: u32) {
        HELD.with(|word| word.set(held));
    }
}
