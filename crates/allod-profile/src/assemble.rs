//! From a dump to a profile: addresses become frames, records become estimates.
//!
//! ```text
//!   Dump --- modules, mappings ---> Module        which file an address is in
//!        --- stacks --------------> Frame         `names` says which functions
//!        --- sites ---------------> Site          `trim` takes our own frames off,
//!                                                 `types` tells what was allocated
//! ```
//!
//! # Invariants
//!
//! * A1. Each frame stands in `Profile::frames` once, in the order of its first use.
//! * A2. The program's own file is module 0, as readers of pprof expect.

use std::collections::HashMap;

use allod::dump::{self, COUNT_UNIT, HISTORY, LIFETIMES, Reason, SQUARE_UNIT};

use crate::model::{
    Amount, Class, Frame, Ledger, Module, Moment, Profile, Samples, Site, Span, Symbols, Thread,
};
use crate::names::{Named, Names, Progress, Wanted};
use crate::raw::{Dump, Mapping, files};
use crate::{trim, types};

/// The profile of a dump, with names as far as the files on this machine tell.
/// `progress` hears of every file that is looked into.
pub fn with_names(
    dump: &Dump,
    names: &mut Names,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Profile {
    build(dump, Some((names, progress)))
}

/// The profile of a dump, with addresses alone.
pub fn without_names(dump: &Dump) -> Profile {
    build(dump, None)
}

type Namer<'a> = (&'a mut Names, &'a mut dyn FnMut(Progress<'_>));

fn build(dump: &Dump, namer: Option<Namer<'_>>) -> Profile {
    let header = &dump.header;
    let mut modules = modules(dump);
    let named = name(dump, &mut modules, namer);
    let mut frames = Frames::default();
    let points = dump.history.len().min(HISTORY);
    // A table may have a row that nothing was ever counted in.
    let is_used = |raw: &&dump::Site| raw.depth > 0 || raw.allocated != [0; 3];
    let sites = dump.sites.iter().filter(is_used).map(|raw| {
        let stack = raw.stack as usize..raw.stack as usize + raw.depth as usize;
        let words = dump.words.get(stack).unwrap_or_default();
        let frames_of = |pc: &u64| named.frames(&modules, *pc);
        let all: Vec<Frame> = words.iter().flat_map(frames_of).collect();
        let inner = trim::inner(&all, &modules);
        let (inner, outer) = all.split_at(inner);
        Site {
            rust_type: types::of(outer),
            trimmed: inner.iter().map(|frame| frames.place(frame)).collect(),
            stack: outer.iter().map(|frame| frames.place(frame)).collect(),
            block_size: raw.block_size,
            thread: raw.thread,
            label: label(dump, raw.label),
            truncated: raw.truncated != 0,
            allocated: exact(raw.allocated),
            live: exact(raw.live),
            // A site that nothing touched since the peak has not taken note of it.
            peak: match raw.epoch < header.epoch {
                true => exact(raw.live),
                false => part(raw.peak, raw.live),
            },
            short: part(raw.short, raw.allocated),
            remote: part(raw.remote, raw.allocated),
            requested: raw.requested as f64,
            lifetimes: raw.lifetimes.iter().map(|&count| count_of(count)).collect(),
            history: raw.history.iter().take(points).map(|&bytes| bytes as f64).collect(),
        }
    });
    let sites = sites.collect();
    let moments: Vec<Moment> = dump.moments.iter().map(moment).collect();
    Profile {
        program: dump.program.trim_end_matches(" (deleted)").to_owned(),
        command: written(&dump.command),
        pid: header.pid,
        reason: reason(header.reason).to_owned(),
        started: header.started,
        elapsed: header.elapsed,
        interval: header.interval,
        samples: Samples {
            taken: header.samples,
            dropped: header.dropped,
            truncated: header.truncated,
        },
        ledger: Ledger { peak_at: peak_at(header.peak_at, &moments), ..ledger(header) },
        modules,
        frames: frames.list,
        sites,
        classes: dump.classes.iter().map(class).collect(),
        threads: dump.threads.iter().map(thread).collect(),
        moments,
        history_at: dump.history.iter().take(points).copied().collect(),
        spans: dump.occupancy.iter().map(span).collect(),
    }
}

/// The command line without its end, where a program has written something shorter over it.
fn written(command: &[String]) -> Vec<String> {
    let length = command.iter().rposition(|word| !word.is_empty()).map_or(0, |at| at + 1);
    command[..length].to_vec()
}

/// When most was live. A new peak is noticed when the allocator next does something slow,
/// and that can be when most is free again: if the curve says so, it knows better.
fn peak_at(noticed: u64, moments: &[Moment]) -> u64 {
    let curve = |at: u64| {
        let after = moments.partition_point(|it| it.at < at).min(moments.len().saturating_sub(1));
        moments.get(after).map_or(0, |it| it.live)
    };
    let before = moments.iter().filter(|it| it.at <= noticed);
    match before.max_by_key(|it| it.live) {
        Some(top) if top.live / 10 * 9 > curve(noticed) => top.at,
        _ => noticed,
    }
}

/// Every frame once (A1).
#[derive(Default)]
pub(crate) struct Frames {
    pub(crate) list: Vec<Frame>,
    places: HashMap<Frame, usize>,
}

impl Frames {
    pub(crate) fn place(&mut self, frame: &Frame) -> usize {
        if let Some(&place) = self.places.get(frame) {
            return place;
        }
        let place = self.list.len();
        self.places.insert(frame.clone(), place);
        self.list.push(frame.clone());
        place
    }
}

/// The files, the program's first (A2), by their mappings where there are no records.
fn modules(dump: &Dump) -> Vec<Module> {
    let path_of = |start: u64, end: u64| {
        let mut inside = dump.maps.iter().filter(|it| it.range.0 < end && start < it.range.1);
        inside
            .find(|it| it.is_file())
            .or_else(|| dump.maps.iter().find(|it| (it.range.0..it.range.1).contains(&start)))
    };
    let mut modules: Vec<Module> = Vec::new();
    for raw in &dump.modules {
        let mapping = path_of(raw.start, raw.end);
        let length = (raw.build_id_len as usize).min(raw.build_id.len());
        let id = raw.build_id.get(..length).unwrap_or_default();
        modules.push(Module {
            path: mapping.map(|it| it.path.clone()).unwrap_or_default(),
            build_id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
            range: (raw.start, raw.end),
            bias: raw.bias,
            offset: mapping.map_or(0, |it| it.offset),
            is_allod: raw.is_allod != 0,
            symbols: Symbols::NotLooked,
        });
    }
    // A module may be newer than the list of them, and a damaged dump has no list.
    for mapping in files(&dump.maps) {
        let overlaps = |it: &Module| it.range.0 < mapping.range.1 && mapping.range.0 < it.range.1;
        if !modules.iter().any(overlaps) {
            modules.push(by_mapping(&mapping));
        }
    }
    let program = dump.program.trim_end_matches(" (deleted)");
    modules.sort_by_key(|it| it.path.trim_end_matches(" (deleted)") != program);
    modules
}

fn by_mapping(mapping: &Mapping) -> Module {
    let name = mapping.file().rsplit('/').next().unwrap_or_default();
    Module {
        path: mapping.path.clone(),
        range: mapping.range,
        // Right for all files whose first address is 0, which are nearly all.
        bias: mapping.range.0.wrapping_sub(mapping.offset),
        offset: mapping.offset,
        is_allod: name.starts_with("liballod"),
        ..Module::default()
    }
}

/// Frames by program counter.
struct ByCounter {
    /// What `names` found, and the module.
    found: HashMap<u64, (Option<usize>, Vec<Named>)>,
}

impl ByCounter {
    fn frames(&self, modules: &[Module], pc: u64) -> Vec<Frame> {
        let unknown = (module_of(modules, pc), Vec::new());
        let (module, named) = self.found.get(&pc).unwrap_or(&unknown);
        let bare = Frame { address: pc, module: *module, ..Frame::default() };
        if named.is_empty() {
            return vec![bare];
        }
        let last = named.len() - 1;
        let frame = |(i, name): (usize, &Named)| Frame {
            function: name.function.clone(),
            linkage: name.linkage.clone(),
            file: name.file.clone(),
            line: name.line,
            inlined: i < last,
            ..bare.clone()
        };
        named.iter().enumerate().map(frame).collect()
    }
}

fn module_of(modules: &[Module], pc: u64) -> Option<usize> {
    // The call is before the address that it returns to, and so may be the end.
    let call = pc.wrapping_sub(1);
    modules.iter().position(|it| (it.range.0..it.range.1).contains(&call))
}

/// Asks for the names of all program counters, one module after the other.
fn name(dump: &Dump, modules: &mut [Module], namer: Option<Namer<'_>>) -> ByCounter {
    let mut found = HashMap::new();
    let Some((names, progress)) = namer else { return ByCounter { found } };
    let mut wanted: Vec<Vec<u64>> = vec![Vec::new(); modules.len()];
    let mut words: Vec<u64> = Vec::new();
    for site in &dump.sites {
        let stack = site.stack as usize..site.stack as usize + site.depth as usize;
        words.extend(dump.words.get(stack).unwrap_or_default());
    }
    words.sort_unstable();
    words.dedup();
    for pc in words {
        if let Some(module) = module_of(modules, pc)
            && let Some(list) = wanted.get_mut(module)
        {
            list.push(pc);
        }
    }
    let of = wanted.iter().map(Vec::len).sum();
    let mut done = 0;
    for (i, (module, counters)) in modules.iter_mut().zip(&wanted).enumerate() {
        if counters.is_empty() {
            continue;
        }
        let path = module.path.clone();
        progress(Progress { module: &path, done, of });
        let calls: Vec<u64> =
            counters.iter().map(|pc| pc.wrapping_sub(1).wrapping_sub(module.bias)).collect();
        let started = dump.header.started;
        let asked = Wanted { module, pid: dump.header.pid, started, addresses: &calls };
        let (answers, symbols) = names.look_up(&asked, &mut |part| {
            progress(Progress { module: &path, done: done + part, of })
        });
        module.symbols = symbols;
        done += counters.len();
        for (&pc, answer) in counters.iter().zip(answers) {
            found.insert(pc, (Some(i), answer));
        }
    }
    ByCounter { found }
}

fn reason(number: u32) -> &'static str {
    let known = [Reason::Demand, Reason::Exit, Reason::Signal, Reason::Peak, Reason::OutOfMemory];
    match known.into_iter().find(|it| *it as u32 == number) {
        Some(Reason::Exit) => "exit",
        Some(Reason::Signal) => "signal",
        Some(Reason::Peak) => "peak",
        Some(Reason::OutOfMemory) => "out of memory",
        _ => "demand",
    }
}

fn label(dump: &Dump, number: u32) -> String {
    let place = (number as usize).checked_sub(1);
    place.and_then(|place| dump.labels.get(place)).cloned().unwrap_or_default()
}

fn count_of(count: u64) -> f64 {
    count as f64 / COUNT_UNIT as f64
}

fn exact([count, bytes, squares]: [u64; 3]) -> Amount {
    let variance = squares as f64 * SQUARE_UNIT as f64;
    Amount { count: count_of(count), bytes: bytes as f64, variance }
}

/// An amount without squares of its own. The samples it is made of weigh as those
/// of the amount beside it do: the same stack, the same block size.
fn part([count, bytes]: [u64; 2], [_, all, squares]: [u64; 3]) -> Amount {
    let share = if all == 0 { 0.0 } else { bytes as f64 / all as f64 };
    let variance = squares as f64 * SQUARE_UNIT as f64 * share;
    Amount { count: count_of(count), bytes: bytes as f64, variance }
}

fn ledger(from: &dump::Header) -> Ledger {
    Ledger {
        live: from.live,
        requested: from.requested,
        peak_live: from.peak_live,
        peak_at: from.peak_at,
        free_blocks: from.free_blocks,
        cached: from.cached,
        uncarved: from.uncarved,
        retained: from.retained,
        metadata: from.metadata,
        profiler: from.profiler,
        resident: from.resident,
        peak_resident: from.peak_resident,
        mapped: from.mapped,
        allocations: from.allocations,
        remote_frees: from.remote_frees,
        threads: from.threads,
        peak_threads: from.peak_threads,
    }
}

fn class(from: &dump::Class) -> Class {
    Class {
        block_size: from.block_size,
        spans: from.spans,
        capacity: from.capacity,
        carved: from.carved,
        in_use: from.in_use,
        cached: from.cached,
    }
}

fn thread(from: &dump::Thread) -> Thread {
    Thread {
        id: from.thread,
        allocations: from.allocations,
        remote_frees: from.remote_frees,
        cached: from.cached,
    }
}

fn moment(from: &dump::Moment) -> Moment {
    Moment { at: from.at, live: from.live, resident: from.resident, retained: from.retained }
}

fn span(from: &dump::Occupancy) -> Span {
    Span {
        address: from.address,
        bytes: from.bytes,
        in_use: from.in_use,
        block_size: from.block_size,
    }
}

const _: () = assert!(LIFETIMES == 16, "documents and pages speak of sixteen buckets");

#[cfg(test)]
mod tests;
