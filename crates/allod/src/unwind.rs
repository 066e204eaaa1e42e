//! Who calls: the program counters of the stack.
//!
//! Whoever takes samples asks [`capture`] in the middle of an allocation, so it may
//! be in a signal handler, in the loader with its lock held, in a panic, in a child
//! between `fork` and `exec`, on a stack of 8 KiB. So it allocates nothing, takes no
//! lock that anybody waits for, asks neither the C library nor the loader for
//! anything, and reads nothing that could fault.
//!
//! ```text
//!   capture --> registers --> walk:   rule for pc?  --- kept ------> step --> next pc
//!                                      |                              ^
//!                                      | (first time)                 |
//!                                      v                              |
//!                               module of pc --> its tables --> rule, kept
//! ```
//!
//! * `rules.rs`: the rules, one word each, kept by program counter.
//! * `cfi.rs`: how a rule is read from a module's unwind tables.
//! * `modules.rs`, `maps.rs`: which modules there are, and where their tables are.
//! * `stack.rs`: the words of the stack.
//! * `memory.rs`: reading what may not be there.
//! * `touched.rs`: pages of tables, given back.
//!
//! # Tables before frame pointers
//!
//! A module's tables are right at every instruction; a chain of frame pointers
//! skips callers wherever one function does without. Since rules are kept, tables
//! are no slower: to know that a frame pointer may be trusted takes as many
//! instructions as to look a rule up. So frame pointers lead on only where there is no
//! table: code that a program has made itself, and C libraries built without.
//!
//! # What is written
//!
//! Return addresses, innermost first. The program counter of an interrupted context
//! (above a signal frame) is written plus one, so that D3 of `dump.rs` holds for all
//! of them: look up what is written less one. In `liballod.so` our own frames are
//! left out. In a Rust program our code is inlined into the program's, and is left to
//! whoever knows names.
//!
//! # Invariants
//!
//! * U1. A walk ends: each step moves the stack pointer up, but for signal frames, of
//!   which [`SIGNALS`] are followed; and the buffer ends.
//! * U2. Everything that is read comes through `Stack` or `Memory`.
//! * U3. `TABLES` is null or leads to a mapping that is never unmapped. All zero is
//!   its empty state.
//!
//! Threads: any number at once, and any signal handler above any of them.

/// What [`capture`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Captured {
    /// Words that were written.
    pub(crate) depth: usize,
    /// The stack's outer end was not reached.
    pub(crate) truncated: bool,
}

cfg_select! {
    any(target_arch = "x86_64", target_arch = "aarch64") => {
        mod cfi;
        mod maps;
        mod memory;
        mod modules;
        mod rules;
        mod stack;
        #[cfg(test)]
        mod tests;
        mod touched;
        mod walk;

        pub(crate) use walk::{capture, close, forget_thread, fork_child, fork_prepare, fork_release, modules, place, set_alone};
        pub(crate) use memory::set_lasting;
        use walk::{FP, OTHERS, RA, SP, register};
    }
    _ => {
        use crate::dump;

        /// Writes nothing: there are no tables for this processor.
        pub(crate) fn capture(_: &mut [usize]) -> Captured {
            Captured { depth: 0, truncated: true }
        }

        /// Calls `f` with nothing.
        pub(crate) fn modules(_: &mut dyn FnMut(&dump::Module)) {}

        /// Calls `f` with nothing.
        pub(crate) fn place(_: usize, _: &mut dyn FnMut(&[u8], usize)) {}

        /// Changes nothing.
        pub(crate) fn set_alone(_: bool) {}

        /// Changes nothing.
        pub(crate) fn set_lasting(_: fn(&mut dyn FnMut(usize) -> bool)) {}

        /// Changes nothing.
        pub(crate) fn forget_thread() {}

        /// Changes nothing.
        ///
        /// # Safety
        ///
        /// None is needed.
        #[allow(unsafe_code, reason = "where there are tables it has a condition")]
        pub(crate) unsafe fn close() {}

        /// Changes nothing.
        pub(crate) fn fork_prepare() {}

        /// Changes nothing.
        pub(crate) fn fork_release() {}

        /// Changes nothing.
        pub(crate) fn fork_child() {}
    }
}
