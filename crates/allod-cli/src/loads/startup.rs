//! What a process costs that does next to nothing.

use std::process::Command;

use super::block::Block;
use super::figures::figure;

/// What a small program does: a few blocks of a few sizes.
pub(crate) fn tiny(amount: u64) -> u64 {
    let sizes = [24, 100, 1_000, 4_000, 30_000];
    let blocks = sizes.map(|size| Block::new(size, amount));
    blocks.into_iter().map(Block::free).fold(0, u64::wrapping_add)
}

/// Starts this program `amount` times, one after the other, to do next to nothing:
/// with the arguments it has, but for the last two, which name the load and the amount.
/// The peak that it tells is the median one of those processes.
pub(crate) fn startup(amount: u64) -> u64 {
    let mut sum = 0u64;
    let mut peaks = Vec::new();
    let own: Vec<_> = std::env::args_os().skip(1).collect();
    let before = own.split_last_chunk::<2>().map_or(&own[..], |(before, _)| before);
    for turn in 0..amount {
        let output =
            Command::new("/proc/self/exe").args(before).args(["tiny", &turn.to_string()]).output();
        let Ok(output) = output else { panic!("cannot start: {output:?}") };
        assert!(output.status.success(), "process {turn}: {output:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        for line in text.lines() {
            match line.strip_prefix("figure peak_mib ").map(str::parse::<f64>) {
                Some(Ok(peak)) => peaks.push(peak),
                Some(Err(error)) => panic!("{line}: {error}"),
                None => {
                    sum = line.bytes().fold(sum, |sum, byte| sum.wrapping_mul(31) ^ u64::from(byte))
                }
            }
        }
    }
    peaks.sort_by(f64::total_cmp);
    figure("peak_mib", peaks.get(peaks.len() / 2).copied().unwrap_or(0.0));
    sum
}
