//! A walk along the frame pointers, until the unwinder is here.
#![allow(unsafe_code)]
#![allow(clippy::multiple_unsafe_ops_per_block, clippy::disallowed_methods)]

use crate::dump::Module;

/// What [`capture`] found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Captured {
    /// Program counters.
    pub(crate) depth: usize,
    /// The outer end was not reached.
    pub(crate) truncated: bool,
}

/// Walks the calling thread's stack, innermost frame first.
#[inline(never)]
pub(crate) fn capture(words: &mut [usize]) -> Captured {
    let mut frame: usize;
    cfg_select! {
        target_arch = "x86_64" => {
            // SAFETY: reads a register.
            unsafe { core::arch::asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack)) };
        }
        _ => { frame = 0; }
    }
    let here = (&raw const frame).addr();
    let mut depth = 0;
    while frame > here && frame - here < 8 << 10 && frame.is_multiple_of(8) {
        let Some(word) = words.get_mut(depth) else { break };
        // SAFETY: within this thread's stack, as far as this walk goes.
        let (next, pc) = unsafe {
            let at = core::ptr::with_exposed_provenance::<usize>(frame);
            (at.read(), at.add(1).read())
        };
        if pc < 4096 || next <= frame { break; }
        *word = pc;
        depth += 1;
        frame = next;
    }
    Captured { depth, truncated: true }
}

/// Calls `f` with every module.
pub(crate) fn modules(_f: &mut dyn FnMut(&Module)) {}
