//! A profile into pprof's messages.

use std::collections::HashMap;

use prost::Message as _;

use super::VALUES;
use super::proto::{
    Function, Label, Line, Location, MARK, Mapping, Own, OwnMapping, OwnSample, Profile as Message,
    Sample, ValueType,
};
use crate::model::{Amount, Frame, Ledger, Module, Profile, Site, Symbols};

/// The whole profile.
pub(super) fn message(profile: &Profile, shown: &str) -> Message {
    let mut tables = Tables::new(profile);
    let sample = profile.sites.iter().map(|site| tables.sample(site)).collect();
    let mapping = profile.modules.iter().zip(1..).map(|(it, id)| tables.mapping(it, id)).collect();
    let own = Own {
        sample: profile.sites.iter().map(|site| tables.own_sample(site)).collect(),
        mapping: profile.modules.iter().map(own_mapping).collect(),
        ..own(profile)
    };
    let comment = vec![tables.text(&commented(&own))];
    let mut value =
        |(kind, unit): (&str, &str)| ValueType { kind: tables.text(kind), unit: tables.text(unit) };
    let sample_type = VALUES.map(&mut value).to_vec();
    let period_type = Some(value(("space", "bytes")));
    let ended = profile.started.saturating_add(profile.elapsed);
    Message {
        sample_type,
        sample,
        mapping,
        time_nanos: i64::try_from(ended).unwrap_or(i64::MAX),
        duration_nanos: i64::try_from(profile.elapsed).unwrap_or(i64::MAX),
        period_type,
        period: i64::try_from(profile.interval).unwrap_or(i64::MAX),
        default_sample_type: tables.text(shown),
        comment,
        location: tables.locations,
        function: tables.functions,
        string_table: tables.strings,
    }
}

/// The tables that samples refer to, each thing in them once.
struct Tables<'a> {
    profile: &'a Profile,
    strings: Vec<String>,
    places: HashMap<String, i64>,
    functions: Vec<Function>,
    function_ids: HashMap<[i64; 3], u64>,
    locations: Vec<Location>,
    location_ids: HashMap<(u64, u64, Vec<Line>), u64>,
}

impl<'a> Tables<'a> {
    fn new(profile: &'a Profile) -> Self {
        Self {
            profile,
            // The first string is the empty one.
            strings: vec![String::new()],
            places: HashMap::from([(String::new(), 0)]),
            functions: Vec::new(),
            function_ids: HashMap::new(),
            locations: Vec::new(),
            location_ids: HashMap::new(),
        }
    }

    fn text(&mut self, text: &str) -> i64 {
        if let Some(&place) = self.places.get(text) {
            return place;
        }
        let place = self.strings.len() as i64;
        self.strings.push(text.to_owned());
        self.places.insert(text.to_owned(), place);
        place
    }

    fn sample(&mut self, site: &Site) -> Sample {
        let amounts = [site.allocated, site.live, site.peak, site.short, site.remote];
        let value = amounts.iter().flat_map(|it| [whole(it.count), whole(it.bytes)]).collect();
        let mut label = vec![Label {
            key: self.text("bytes"),
            number: i64::try_from(site.block_size).unwrap_or(i64::MAX),
            unit: self.text("bytes"),
            text: 0,
        }];
        let thread = if site.thread == 0 { String::new() } else { site.thread.to_string() };
        for (key, text) in [("thread", &thread), ("task", &site.label), ("type", &site.rust_type)] {
            if !text.is_empty() {
                let (key, text) = (self.text(key), self.text(text));
                label.push(Label { key, text, ..Label::default() });
            }
        }
        Sample { value, label, location_id: self.stack(&site.stack) }
    }

    fn own_sample(&mut self, site: &Site) -> OwnSample {
        let amounts = [site.allocated, site.live, site.peak, site.short, site.remote];
        let cut = site.trimmed.last().and_then(|&last| self.profile.frames.get(last));
        OwnSample {
            amounts: amounts.iter().flat_map(|it| numbers(*it)).collect(),
            requested: site.requested,
            lifetimes: site.lifetimes.clone(),
            history: site.history.clone(),
            trimmed: self.stack(&site.trimmed),
            cut: cut.is_some_and(|frame| frame.inlined),
            truncated: site.truncated,
        }
    }

    /// A location for each address; the functions inlined there are its lines.
    fn stack(&mut self, frames: &[usize]) -> Vec<u64> {
        let profile = self.profile;
        let frames: Vec<&Frame> =
            frames.iter().filter_map(|&frame| profile.frames.get(frame)).collect();
        let groups = frames.split_inclusive(|frame| !frame.inlined);
        groups.map(|group| self.location(group)).collect()
    }

    fn location(&mut self, frames: &[&Frame]) -> u64 {
        let Some(first) = frames.first() else { return 0 };
        let mapping_id = first.module.map_or(0, |module| module as u64 + 1);
        let is_known = |frame: &&&Frame| {
            !(frame.function.is_empty() && frame.linkage.is_empty() && frame.file.is_empty())
        };
        let all_unknown = !frames.iter().any(|frame| is_known(&frame));
        let line =
            |frame: &&Frame| Line { function_id: self.function(frame), line: frame.line.into() };
        let line: Vec<Line> =
            if all_unknown { Vec::new() } else { frames.iter().map(line).collect() };
        let next = self.locations.len() as u64 + 1;
        let key = (mapping_id, first.address, line);
        let id = *self.location_ids.entry(key.clone()).or_insert(next);
        if id == next {
            let (mapping_id, address, line) = key;
            self.locations.push(Location { id, mapping_id, address, line });
        }
        id
    }

    fn function(&mut self, frame: &Frame) -> u64 {
        let [name, system_name, filename] =
            [&frame.function, &frame.linkage, &frame.file].map(|text| self.text(text));
        let next = self.functions.len() as u64 + 1;
        let id = *self.function_ids.entry([name, system_name, filename]).or_insert(next);
        if id == next {
            self.functions.push(Function { id, name, system_name, filename });
        }
        id
    }

    fn mapping(&mut self, module: &Module, id: u64) -> Mapping {
        let full = module.symbols == Symbols::Full;
        Mapping {
            id,
            memory_start: module.range.0,
            memory_limit: module.range.1,
            file_offset: module.offset,
            filename: self.text(&module.path),
            build_id: self.text(&module.build_id),
            has_functions: full || module.symbols == Symbols::Functions,
            has_filenames: full,
            has_line_numbers: full,
            has_inline_frames: full,
        }
    }
}

fn own_mapping(module: &Module) -> OwnMapping {
    let (symbols, why) = match &module.symbols {
        Symbols::NotLooked => (0, ""),
        Symbols::Full => (1, ""),
        Symbols::Functions => (2, ""),
        Symbols::None(why) => (3, &**why),
    };
    OwnMapping { bias: module.bias, is_allod: module.is_allod, symbols, why: why.to_owned() }
}

/// Our message as a comment.
fn commented(own: &Own) -> String {
    use std::fmt::Write;
    let mut text = MARK.to_owned();
    for byte in own.encode_to_vec() {
        // Writing to a string does not fail.
        _ = write!(text, "{byte:02x}");
    }
    text
}

fn numbers(amount: Amount) -> [f64; 3] {
    [amount.count, amount.bytes, amount.variance]
}

/// The nearest whole number.
pub(super) fn whole(number: f64) -> i64 {
    number.round() as i64
}

fn own(profile: &Profile) -> Own {
    let classes = profile
        .classes
        .iter()
        .flat_map(|it| [it.block_size, it.spans, it.capacity, it.carved, it.in_use, it.cached]);
    let threads =
        profile.threads.iter().flat_map(|it| [it.id, it.allocations, it.remote_frees, it.cached]);
    let moments = profile.moments.iter().flat_map(|it| [it.at, it.live, it.resident, it.retained]);
    let spans =
        profile.spans.iter().flat_map(|it| [it.address, it.bytes, it.in_use, it.block_size]);
    let samples = profile.samples;
    Own {
        program: profile.program.clone(),
        command: profile.command.clone(),
        pid: profile.pid,
        reason: profile.reason.clone(),
        started: profile.started,
        elapsed: profile.elapsed,
        interval: profile.interval,
        samples: vec![samples.taken, samples.dropped, samples.truncated],
        ledger: ledger(&profile.ledger).to_vec(),
        classes: classes.collect(),
        threads: threads.collect(),
        moments: moments.collect(),
        spans: spans.collect(),
        history_at: profile.history_at.clone(),
        ..Own::default()
    }
}

/// The figures of a ledger in the order in which they are written and read.
fn ledger(of: &Ledger) -> [u64; 17] {
    [
        of.live,
        of.requested,
        of.peak_live,
        of.peak_at,
        of.free_blocks,
        of.cached,
        of.uncarved,
        of.retained,
        of.metadata,
        of.profiler,
        of.resident,
        of.peak_resident,
        of.mapped,
        of.allocations,
        of.remote_frees,
        of.threads.into(),
        of.peak_threads.into(),
    ]
}
