//! What Allod's sampler says, out of `allod export --to json`.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::tracer::{DEPTH, Stack};

/// An estimate with its variance.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Amount {
    pub(super) bytes: f64,
    pub(super) variance: f64,
}

/// What one stack allocated.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    pub(super) allocated: Amount,
    pub(super) peak: Amount,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Estimates {
    pub(super) stacks: HashMap<Stack, Sum>,
    /// What a call is called by, for people, and whether that is a name.
    pub(super) calls: HashMap<u64, (String, bool)>,
    pub(super) samples: u64,
    pub(super) truncated: u64,
    /// Bytes between two samples at the end.
    pub(super) interval: u64,
    /// Sizes of blocks, smallest first: all of the small ones, and the large ones seen.
    pub(super) blocks: Vec<u64>,
}

#[derive(Debug, Deserialize)]
struct Profile {
    schema: String,
    interval: u64,
    samples: Samples,
    modules: Vec<Module>,
    frames: Vec<Frame>,
    sites: Vec<Site>,
    classes: Vec<Class>,
}

#[derive(Debug, Deserialize)]
struct Samples {
    taken: u64,
    truncated: u64,
}

#[derive(Debug, Deserialize)]
struct Module {
    path: String,
    bias: u64,
}

#[derive(Debug, Deserialize)]
struct Frame {
    address: u64,
    module: Option<usize>,
    function: String,
    file: String,
    line: u32,
    inlined: bool,
}

#[derive(Debug, Deserialize)]
struct Site {
    stack: Vec<usize>,
    trimmed: Vec<usize>,
    block_size: u64,
    allocated: Amount,
    peak: Amount,
}

#[derive(Debug, Deserialize)]
struct Class {
    block_size: u64,
}

/// Reads an export.
pub(super) fn read(json: &[u8]) -> Result<Estimates> {
    let profile: Profile = serde_json::from_slice(json)?;
    ensure!(profile.schema == "allod-profile/1", "unknown schema {}", profile.schema);
    let mut estimates = Estimates {
        samples: profile.samples.taken,
        truncated: profile.samples.truncated,
        interval: profile.interval,
        ..Estimates::default()
    };
    // C's functions hand out what any type may lie at.
    let is_of_c = |block: &u64| block.is_multiple_of(16);
    let classes = profile.classes.iter().map(|class| class.block_size).filter(is_of_c);
    let blocks: BTreeSet<u64> =
        classes.chain(profile.sites.iter().map(|site| site.block_size)).collect();
    estimates.blocks = blocks.into_iter().collect();
    let is_of = |frame: &Frame, libraries: &[&str]| {
        let module = frame.module.and_then(|module| profile.modules.get(module));
        module.is_some_and(|module| libraries.iter().any(|name| module.path.contains(name)))
    };
    let is_tracers = |frame: &Frame| is_of(frame, &["libheaptrack"]);
    // What heaptrack allocates for itself has other functions of its own in between.
    let entries = ["malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign", "valloc"];
    let is_entry = |frame: &Frame| {
        is_of(frame, &["liballod"])
            || is_tracers(frame) && entries.contains(&frame.function.as_str())
    };
    for site in &profile.sites {
        let frames = site.trimmed.iter().chain(&site.stack).map(|&at| &profile.frames[at]);
        // The witnesses' own functions, through which the call came.
        let mut frames: Vec<&Frame> = frames.skip_while(|frame| is_entry(frame)).collect();
        if frames.iter().any(|frame| is_tracers(frame)) {
            continue;
        }
        // Where nothing but the start of the process has called.
        frames.retain(|frame| frame.address > 0);
        let mut stack = Stack::new();
        for call in frames.chunk_by(|inner, _| inner.inlined).take(DEPTH) {
            // heaptrack names the call, we what comes after it.
            let address = call[0].address.wrapping_sub(1);
            stack.push(address);
            let named = estimates.calls.entry(address);
            named.or_insert_with(|| name(call, &profile.modules));
        }
        let interval = profile.interval as f64;
        let sum = estimates.stacks.entry(stack).or_default();
        add(&mut sum.allocated, site.allocated, site.block_size as f64, interval);
        add(&mut sum.peak, site.peak, site.block_size as f64, interval);
    }
    Ok(estimates)
}

fn add(sum: &mut Amount, part: Amount, size: f64, interval: f64) {
    sum.bytes += part.bytes;
    // What is live at the peak comes without its variance: as many blocks as make the
    // bytes, each seen with the probability 1 - e^(-size/interval).
    let missed = (-size / interval).exp();
    let theory = part.bytes * size * missed / (1.0 - missed);
    sum.variance += if part.variance > 0.0 { part.variance } else { theory };
}

/// The innermost function of the program's own at a call, or the function that all is
/// inlined into; the module and the place in it where there is no name.
fn name(call: &[&Frame], modules: &[Module]) -> (String, bool) {
    let is_own = |frame: &&&Frame| {
        let below = ["alloc::", "core::", "std::", "<alloc::", "<core::", "<std::"];
        !below.iter().any(|start| frame.function.starts_with(start))
    };
    let frame = call.iter().find(is_own).or(call.last()).expect("a call has a frame");
    if frame.function.is_empty() {
        let module = frame.module.and_then(|module| modules.get(module));
        let text = module.map_or_else(
            || format!("{:#x}", frame.address),
            |module| {
                let file = module.path.rsplit('/').next().unwrap_or(&module.path);
                format!("{file}+{:#x}", frame.address.wrapping_sub(module.bias))
            },
        );
        return (text, false);
    }
    let file = frame.file.rsplit('/').next().unwrap_or_default();
    match (file, frame.line) {
        ("", _) | (_, 0) => (frame.function.clone(), true),
        (file, line) => (format!("{} {file}:{line}", frame.function), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inlined_frames_are_one_call_and_the_tracers_are_left_out() {
        let frame = |address: u64, module: usize, function: &str, inlined: bool| {
            serde_json::json!({ "address": address, "module": module, "function": function,
                "file": "", "line": 0, "inlined": inlined })
        };
        let amount = serde_json::json!({ "bytes": 100.0, "variance": 9.0 });
        let site = |stack: &[usize]| {
            serde_json::json!({ "stack": stack, "trimmed": [5], "block_size": 16,
                "allocated": amount, "peak": amount })
        };
        let profile = serde_json::json!({
            "schema": "allod-profile/1", "interval": 1000,
            "samples": { "taken": 3, "truncated": 0 },
            "modules": [{ "path": "/a/b", "bias": 0 }, { "path": "/libheaptrack_preload.so", "bias": 0 }],
            "frames": [frame(9, 0, "alloc::alloc::alloc", true), frame(9, 0, "own", true),
                frame(9, 0, "outer", false), frame(33, 0, "", false), frame(5, 1, "x", false),
                frame(7, 1, "malloc", false)],
            "sites": [site(&[0, 1, 2, 3]), site(&[4, 3])],
            "classes": [{ "block_size": 16 }],
        });
        let read = read(profile.to_string().as_bytes()).unwrap();
        assert_eq!(read.stacks.keys().collect::<Vec<_>>(), [&vec![8, 32]]);
        assert_eq!(read.calls[&8], ("own".into(), true));
        assert_eq!(read.calls[&32], ("b+0x21".into(), false));
    }
}
