//! Who calls: the program counters of the stack.

use crate::dump;

/// What [`capture`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Captured {
    /// Words that were written.
    pub(crate) depth: usize,
    /// The stack's outer end was not reached.
    pub(crate) truncated: bool,
}

/// Writes the callers' program counters, innermost first.
pub(crate) fn capture(words: &mut [usize]) -> Captured {
    let _ = words;
    Captured { depth: 0, truncated: true }
}

/// Calls `f` with each module that has code, as last read.
pub(crate) fn modules(f: &mut dyn FnMut(&dump::Module)) {
    let _ = f;
}

/// Bytes of our tables.
pub(crate) fn footprint() -> usize {
    0
}

/// Says whether the module that this code is in holds nothing but Allod.
pub(crate) fn set_alone(alone: bool) {
    let _ = alone;
}

/// The calling thread is about to end: what is known of its stack is forgotten.
pub(crate) fn forget_thread() {}

/// Before `fork`.
pub(crate) fn fork_prepare() {}

/// After `fork`, in the parent and in the child.
pub(crate) fn fork_release() {}
