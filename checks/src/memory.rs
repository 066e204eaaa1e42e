//! What the system says about this process's memory.

use std::fs;

/// Bytes in a mebibyte.
pub const MIB: usize = 1 << 20;

/// One line of `/proc/PID/status`, in bytes; `None` when there is no such line.
pub fn status(process: &str, name: &str) -> Option<usize> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kilobytes: usize = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Bytes of this process that are backed by memory now.
pub fn resident() -> usize {
    status("self", "VmRSS").unwrap_or(0)
}

/// Bytes that are backed by memory now in mappings that stand alone: of 64 KiB at most,
/// with one that nobody can touch right before and right behind.
pub fn fenced() -> usize {
    let text = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let mut maps = Vec::new();
    for line in text.lines() {
        if let Some((from, to, open)) = range(line) {
            maps.push((from, to, open, 0));
        } else if let (Some((.., resident)), Some(rest)) =
            (maps.last_mut(), line.strip_prefix("Rss:"))
        {
            *resident = rest.trim().trim_end_matches("kB").trim().parse().unwrap_or(0);
        }
    }
    let alone = |three: &[(usize, usize, bool, usize)]| match *three {
        [(_, a, false, _), (b, c, true, resident), (d, _, false, _)]
            if a == b && c == d && c - b <= 64 << 10 =>
        {
            resident
        }
        _ => 0,
    };
    maps.windows(3).map(alone).sum::<usize>() * 1024
}

/// Where the head of a mapping's lines says that it begins and ends, and whether it can be
/// written.
fn range(line: &str) -> Option<(usize, usize, bool)> {
    let (range, rest) = line.split_once(' ')?;
    let (from, to) = range.split_once('-')?;
    let hex = |text| usize::from_str_radix(text, 16).ok();
    Some((hex(from)?, hex(to)?, rest.starts_with("rw")))
}

/// Bytes of this process's mappings that count against the system's commit limit.
pub fn accountable() -> Option<usize> {
    let text = fs::read_to_string("/proc/self/smaps").ok()?;
    let mut size = 0;
    let mut sum = 0;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("Size:") {
            size = rest.trim().trim_end_matches("kB").trim().parse().unwrap_or(0);
        } else if let Some(flags) = line.strip_prefix("VmFlags:")
            && flags.split_whitespace().any(|flag| flag == "ac")
        {
            sum += size;
        }
    }
    Some(sum * 1024)
}

/// Page faults of this process that needed no disk, so far.
#[expect(unsafe_code, reason = "one system call")]
pub fn page_faults() -> i64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` can be written.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
    // SAFETY: zeros are a `rusage`, and so is what the call wrote.
    unsafe { usage.assume_init() }.ru_minflt
}
