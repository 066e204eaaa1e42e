//! Who has called: the end of a line about a mistake.
//!
//! ```text
//!   allod: double free of block at 0x7f3a5c0012c0 (size class of 48), in libz.so.1+0x5b1f, editor+0x81d2
//!                                                                     ^ the caller         ^ its caller
//! ```
//!
//! The stack is walked once, when the process is lost: no fast path knows of it. Each
//! place is a file and an address in it as `addr2line` wants it. In a program that we
//! are a part of, the first ones are ours.

use crate::fatal::Line;
use crate::unwind;

/// Callers that are told of.
const CALLERS: usize = 4;

/// Adds who has called.
pub(super) fn tell(mut line: Line) -> Line {
    let mut words = [0; CALLERS];
    let depth = unwind::capture(&mut words).depth;
    for (i, after) in words.iter().take(depth).enumerate() {
        let before = line.text(if i == 0 { ", in " } else { ", " });
        // The call is before the address that it returns to.
        unwind::place(after.wrapping_sub(1), &mut |name, address| {
            line = before.name(name).text("+").address(address);
        });
    }
    line
}
