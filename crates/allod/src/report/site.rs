//! Who has called, and who had allocated: the end of a line about a mistake.
//!
//! ```text
//!   allod: double free of block at 0x7f3a5c0012c0 (size class of 48), in libz.so.1+0x5b1f, editor+0x81d2
//!                                                                     ^ the caller         ^ its caller
//!          ; allocated in editor+0x2a10, editor+0x77c4; freed in editor+0x5f00, editor+0x77d9
//! ```
//!
//! The stack is walked once, when the process is lost: no fast path knows of it. Who
//! allocated is known of samples (`sites/lookup.rs`), who freed as well of guarded objects,
//! which note both. Each place is a file and an address in it as `addr2line` wants it. In a
//! program that we are a part of, the first ones are ours. It is one line, written in parts.

use crate::fatal::Line;
use crate::guarded::NOTED;
use crate::local::ALLOCATOR;
use crate::unwind;

/// Callers that are told of.
const CALLERS: usize = 4;

/// Adds who has called, and where the block at `address` came from.
pub(super) fn tell(line: Line, address: usize) -> Line {
    let mut words = [0; CALLERS];
    let depth = unwind::capture(&mut words).depth;
    origin(places(line, ", in ", words.get(..depth).unwrap_or_default()), address)
}

/// Adds who allocated the object at `address`, or around it, and who freed it, if that is
/// known.
pub(super) fn origin(line: Line, address: usize) -> Line {
    if let Some(notes) = ALLOCATOR.guarded.notes(&ALLOCATOR.arena.map, address) {
        let line = places(line.go_on(), "; allocated in ", until_zero(&notes.made));
        return places(line.go_on(), "; freed in ", until_zero(&notes.freed));
    }
    let mut words = [0; CALLERS];
    let Some(origin) = ALLOCATOR.sampler.sites.origin(address, &mut words) else { return line };
    let before = match origin.is_live {
        true => "; allocated in ",
        // Where not every object is a sample, another may have been there since.
        false => "; the last sample there was allocated in ",
    };
    places(line.go_on(), before, words.get(..origin.depth).unwrap_or_default())
}

fn until_zero(words: &[usize; NOTED]) -> &[usize] {
    words.split(|word| *word == 0).next().unwrap_or_default()
}

/// Adds return addresses as places.
fn places(mut line: Line, first: &str, words: &[usize]) -> Line {
    for (i, after) in words.iter().enumerate() {
        let before = line.text(if i == 0 { first } else { ", " });
        // The call is before the address that it returns to.
        unwind::place(after.wrapping_sub(1), &mut |name, address| {
            line = before.name(name).text("+").address(address);
        });
        if i % 4 == 3 {
            // As much as a line holds, with long names.
            line = line.go_on();
        }
    }
    line
}
