//! pprof's messages into a profile.
//!
//! Numbers in the messages are not believed: a reference that leads nowhere is an
//! unknown frame or an empty text.

use std::collections::HashMap;

use prost::Message as _;

use super::NoProfile;
use super::encode::whole;
use super::proto::{
    Location, MARK, Mapping, Own, OwnMapping, OwnSample, Profile as Message, Sample,
};
use crate::assemble::Frames;
use crate::model::{
    Amount, Class, Frame, Ledger, Module, Moment, Profile, Samples, Site, Span, Symbols, Thread,
};

/// The whole profile.
pub(super) fn profile(message: &Message) -> Result<Profile, NoProfile> {
    let reader = Reader::new(message)?;
    let mut frames = Frames::default();
    let own = own(message);
    let is_ours = own.is_some();
    let own = own.unwrap_or_default();
    // Somebody may have taken samples out; then nobody knows whose the rest is.
    let samples = Some(&own.sample).filter(|it| it.len() == message.sample.len());
    let sample = |(i, sample)| {
        let own_sample = samples.and_then(|it| it.get(i));
        reader.site(sample, own_sample, own.history_at.len(), &mut frames)
    };
    let sites = message.sample.iter().enumerate().map(sample).collect();
    let mappings = Some(&own.mapping).filter(|it| it.len() == message.mapping.len());
    let mapping = |(i, mapping)| reader.module(mapping, mappings.and_then(|it| it.get(i)));
    let modules: Vec<Module> = message.mapping.iter().enumerate().map(mapping).collect();
    let elapsed = u64::try_from(message.duration_nanos).unwrap_or(0);
    let ended = u64::try_from(message.time_nanos).unwrap_or(0);
    let mut profile = Profile { frames: frames.list, sites, ..ours(own) };
    if !is_ours {
        profile.program = modules.first().map(|it| it.path.clone()).unwrap_or_default();
        profile.elapsed = elapsed;
        profile.started = ended.saturating_sub(elapsed);
        profile.interval = u64::try_from(message.period).unwrap_or(0);
        profile.ledger.live = total(&profile, |site| site.live.bytes);
        profile.ledger.peak_live = total(&profile, |site| site.peak.bytes);
        profile.ledger.allocations = total(&profile, |site| site.allocated.count);
    }
    profile.modules = modules;
    Ok(profile)
}

fn total(profile: &Profile, of: impl Fn(&Site) -> f64) -> u64 {
    profile.sites.iter().map(of).sum::<f64>() as u64
}

struct Reader<'a> {
    message: &'a Message,
    /// Where in a sample stand: allocated, live, peak, short, remote; count and bytes.
    values: [[Option<usize>; 2]; 5],
    locations: HashMap<u64, &'a Location>,
    functions: HashMap<u64, [&'a str; 3]>,
    modules: HashMap<u64, usize>,
}

impl<'a> Reader<'a> {
    fn new(message: &'a Message) -> Result<Self, NoProfile> {
        let text = |place: i64| text(message, place);
        let kinds: Vec<&str> = message.sample_type.iter().map(|it| text(it.kind)).collect();
        let find =
            |names: &[&str]| names.iter().find_map(|name| kinds.iter().position(|it| it == name));
        let values = [
            [find(&["alloc_objects"]), find(&["alloc_space"])],
            // Some have what is live alone, and give it a shorter name.
            [find(&["inuse_objects", "objects"]), find(&["inuse_space", "space"])],
            [find(&["peak_objects"]), find(&["peak_space"])],
            [find(&["short_objects"]), find(&["short_space"])],
            [find(&["remote_objects"]), find(&["remote_space"])],
        ];
        if values.iter().flatten().all(Option::is_none) {
            return Err(match kinds.is_empty() {
                true => NoProfile::OtherFormat("it has no values".into()),
                false => NoProfile::NotMemory(kinds.join(", ")),
            });
        }
        let functions = message
            .function
            .iter()
            .map(|it| (it.id, [text(it.name), text(it.system_name), text(it.filename)]));
        Ok(Self {
            message,
            values,
            locations: message.location.iter().map(|it| (it.id, it)).collect(),
            functions: functions.collect(),
            modules: message.mapping.iter().enumerate().map(|(i, it)| (it.id, i)).collect(),
        })
    }

    fn site(
        &self,
        sample: &Sample,
        own: Option<&OwnSample>,
        points: usize,
        frames: &mut Frames,
    ) -> Site {
        let value = |place: Option<usize>| {
            place.and_then(|place| sample.value.get(place)).map_or(0.0, |&it| it as f64)
        };
        let plain = self.values.map(|[count, bytes]| Amount {
            count: value(count),
            bytes: value(bytes),
            variance: 0.0,
        });
        // Values that were changed since they were written are no longer ours.
        let own = own.filter(|own| is_of(own, &plain));
        let amounts = own.map_or(plain, exact);
        let [allocated, live, peak, short, remote] = amounts;
        let mut site = Site { allocated, live, peak, short, remote, ..Site::default() };
        if let Some(own) = own {
            site.requested = own.requested;
            site.lifetimes.clone_from(&own.lifetimes);
            site.history.clone_from(&own.history);
            site.truncated = own.truncated;
            site.trimmed = self.stack(&own.trimmed, own.cut, frames);
        }
        site.history.resize(points, 0.0);
        site.stack = self.stack(&sample.location_id, false, frames);
        for label in &sample.label {
            let value = text(self.message, label.text);
            match text(self.message, label.key) {
                "bytes" => site.block_size = u64::try_from(label.number).unwrap_or(0),
                "thread" => site.thread = value.parse().unwrap_or(0),
                "task" => value.clone_into(&mut site.label),
                "type" => value.clone_into(&mut site.rust_type),
                _ => {}
            }
        }
        site
    }

    /// The frames of some locations. `cut`: the last one goes on elsewhere.
    fn stack(&self, ids: &[u64], cut: bool, frames: &mut Frames) -> Vec<usize> {
        let mut stack = Vec::new();
        for (i, id) in ids.iter().enumerate() {
            let is_last = i + 1 == ids.len();
            let Some(location) = self.locations.get(id) else { continue };
            let module = self.modules.get(&location.mapping_id).copied();
            let bare = Frame { address: location.address, module, ..Frame::default() };
            if location.line.is_empty() {
                stack.push(frames.place(&Frame { inlined: is_last && cut, ..bare }));
                continue;
            }
            let outermost = location.line.len() - 1;
            for (depth, line) in location.line.iter().enumerate() {
                let names = self.functions.get(&line.function_id).copied().unwrap_or_default();
                let [function, linkage, file] = names.map(str::to_owned);
                stack.push(frames.place(&Frame {
                    function,
                    linkage,
                    file,
                    line: u32::try_from(line.line).unwrap_or(0),
                    inlined: depth < outermost || (is_last && cut),
                    ..bare
                }));
            }
        }
        stack
    }

    fn module(&self, mapping: &Mapping, known: Option<&OwnMapping>) -> Module {
        let own = known.cloned().unwrap_or_default();
        let symbols = match (own.symbols, known) {
            (1, _) => Symbols::Full,
            (2, _) => Symbols::Functions,
            (3, _) => Symbols::None(own.why),
            (_, None) if mapping.has_line_numbers => Symbols::Full,
            (_, None) if mapping.has_functions => Symbols::Functions,
            _ => Symbols::NotLooked,
        };
        Module {
            path: text(self.message, mapping.filename).to_owned(),
            build_id: text(self.message, mapping.build_id).to_owned(),
            range: (mapping.memory_start, mapping.memory_limit),
            bias: own.bias,
            offset: mapping.file_offset,
            is_allod: own.is_allod,
            symbols,
        }
    }
}

/// Our message, out of a comment.
fn own(message: &Message) -> Option<Own> {
    let comments = message.comment.iter().map(|&place| text(message, place));
    let digits = comments.filter_map(|it| it.strip_prefix(MARK)).next()?;
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let bytes = pairs.iter().map(byte).collect::<Option<Vec<u8>>>()?;
    Own::decode(&*bytes).ok()
}

fn text(message: &Message, place: i64) -> &str {
    let place = usize::try_from(place).ok();
    place.and_then(|place| message.string_table.get(place)).map_or("", String::as_str)
}

fn exact(own: &OwnSample) -> [Amount; 5] {
    let number = |place: usize| own.amounts.get(place).copied().unwrap_or(0.0);
    std::array::from_fn(|i| Amount {
        count: number(3 * i),
        bytes: number(3 * i + 1),
        variance: number(3 * i + 2),
    })
}

fn is_of(own: &OwnSample, plain: &[Amount; 5]) -> bool {
    exact(own).iter().zip(plain).all(|(own, plain)| {
        whole(own.count) == whole(plain.count) && whole(own.bytes) == whole(plain.bytes)
    })
}

/// All of a profile but what pprof has.
fn ours(own: Own) -> Profile {
    let sample = |place: usize| own.samples.get(place).copied().unwrap_or(0);
    Profile {
        samples: Samples { taken: sample(0), dropped: sample(1), truncated: sample(2) },
        ledger: ledger(&own.ledger),
        classes: records(&own.classes, |[block_size, spans, capacity, carved, in_use, cached]| {
            Class { block_size, spans, capacity, carved, in_use, cached }
        }),
        threads: records(&own.threads, |[id, allocations, remote_frees, cached]| Thread {
            id,
            allocations,
            remote_frees,
            cached,
        }),
        moments: records(&own.moments, |[at, live, resident, retained]| Moment {
            at,
            live,
            resident,
            retained,
        }),
        spans: records(&own.spans, |[address, bytes, in_use, block_size]| Span {
            address,
            bytes,
            in_use,
            block_size,
        }),
        program: own.program,
        command: own.command,
        pid: own.pid,
        reason: own.reason,
        started: own.started,
        elapsed: own.elapsed,
        interval: own.interval,
        history_at: own.history_at,
        ..Profile::default()
    }
}

fn records<const N: usize, T>(flat: &[u64], record: impl Fn([u64; N]) -> T) -> Vec<T> {
    flat.as_chunks().0.iter().map(|fields| record(*fields)).collect()
}

fn ledger(flat: &[u64]) -> Ledger {
    let number = |place: usize| flat.get(place).copied().unwrap_or(0);
    Ledger {
        live: number(0),
        requested: number(1),
        peak_live: number(2),
        peak_at: number(3),
        free_blocks: number(4),
        cached: number(5),
        uncarved: number(6),
        retained: number(7),
        metadata: number(8),
        profiler: number(9),
        resident: number(10),
        peak_resident: number(11),
        mapped: number(12),
        allocations: number(13),
        remote_frees: number(14),
        threads: u32::try_from(number(15)).unwrap_or(u32::MAX),
        peak_threads: u32::try_from(number(16)).unwrap_or(u32::MAX),
    }
}
