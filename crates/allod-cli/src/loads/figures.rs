//! What a load says of itself besides its checksum.
//!
//! A figure is a line `figure NAME VALUE` on the standard output. `measure`
//! collects those lines, and they are no part of the answer that must not differ.
//! Smaller is better for each of them.
//!
//! Memory is read from the kernel: what is resident now, and the most that ever
//! was. The latter replaces the figure of `wait4`, which begins at the peak of the
//! process that started this one.

use std::fs;
use std::time::{Duration, Instant};

use super::block::Block;

/// One MiB.
pub(crate) const MIB: usize = 1 << 20;
/// How long [`settle`] waits.
const IDLE: Duration = Duration::from_secs(2);
/// Between two calls of the allocator while it waits.
const CALL: Duration = Duration::from_millis(100);

/// Prints a figure.
pub(crate) fn figure(name: &str, value: f64) {
    println!("figure {name} {value:.4}");
}

/// Resident bytes of this process now.
pub(crate) fn resident() -> usize {
    status("VmRSS:")
}

/// The most resident bytes of this process so far.
pub(crate) fn peak() -> usize {
    status("VmHWM:")
}

/// Stays idle for two seconds, but for a few blocks now and then, which give the
/// allocator a chance to return memory.
pub(crate) fn settle() {
    let begin = Instant::now();
    while begin.elapsed() < IDLE {
        std::thread::sleep(CALL);
        let blocks = [64, 3_000, 200_000].map(|size| Block::new(size, 1));
        blocks.into_iter().for_each(|block| _ = block.free());
    }
}

/// `part` as a multiple of `whole`. Figures here are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts below 2^53 are exact")]
pub(crate) fn times(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

/// A field of `/proc/self/status`, which the kernel gives in KiB, in bytes.
fn status(field: &str) -> usize {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<usize>().ok());
    let Some(kib) = kib else { panic!("the kernel does not tell {field}") };
    kib << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_no_less_than_what_is_resident() {
        let held = vec![1u8; 8 * MIB];
        let now = resident();
        assert!(now >= held.len(), "{now}");
        assert!(peak() + MIB >= now);
    }
}
