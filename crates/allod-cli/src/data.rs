//! A profile as one JSON object: for machines, and for the script of the HTML report.
//!
//! Plain numbers, as in [`crate::json`]: sizes in bytes (`…_bytes`), times in
//! nanoseconds (`…_ns`). An estimate is an object of `count`, `bytes` and the
//! `variance` of the bytes. Indices point into the lists beside: `stack` into
//! `frames`, `place` into `places`, `module` into `modules`.

use allod_profile::Profile;
use allod_profile::model::{
    Amount, Class, Frame, Ledger, Module, Moment, Samples, Site, Span, Symbols,
};
use serde_json::{Value, json};

use crate::findings::{self, Growth, Median, Place};

/// Raised when a field changes its meaning or goes; new fields may come.
const SCHEMA: &str = "allod-report/1";

/// A profile, and the one that it is compared with.
pub(crate) fn object(profile: &Profile, before: Option<&Profile>) -> Value {
    json!({ "schema": SCHEMA, "profile": one(profile), "before": before.map(one) })
}

/// A profile in short: its figures, and its places with all that is known of each,
/// those that hold most first.
pub(crate) fn summary(profile: &Profile) -> Value {
    let (mut places, _) = findings::places(profile);
    places.retain(|place| place.allocated.bytes > 0.0 || place.live.bytes > 0.0);
    places.sort_by(|a, b| b.live.bytes.total_cmp(&a.live.bytes));
    let row = |of: &Place| {
        let mut row = place(profile, of);
        row["allocated"] = amount(of.allocated);
        row["live"] = amount(of.live);
        row["peak"] = amount(of.peak);
        row["short"] = amount(of.short);
        row["remote"] = amount(of.remote);
        row["median_lifetime_ns"] = match of.median() {
            Median::Below(micros) => (micros * 1000.0).round().into(),
            Median::Alive | Median::Nothing => Value::Null,
        };
        row
    };
    json!({
        "interval_bytes": profile.interval,
        "samples": samples(&profile.samples),
        "ledger": ledger(&profile.ledger),
        "places": places.iter().map(row).collect::<Vec<_>>(),
    })
}

fn samples(samples: &Samples) -> Value {
    json!({
        "taken": samples.taken,
        "dropped": samples.dropped,
        "truncated": samples.truncated,
    })
}

fn one(profile: &Profile) -> Value {
    let (places, of_site) = findings::places(profile);
    let sites = profile.sites.iter().zip(of_site);
    let sites = sites.map(|(of, place)| site(of, place, profile.interval as f64));
    json!({
        "name": profile.name(),
        "program": profile.program,
        "command": profile.command,
        "pid": profile.pid,
        "reason": profile.reason,
        "started_ns": profile.started,
        "elapsed_ns": profile.elapsed,
        "interval_bytes": profile.interval,
        "samples": samples(&profile.samples),
        "ledger": ledger(&profile.ledger),
        "modules": profile.modules.iter().map(module).collect::<Vec<_>>(),
        "frames": profile.frames.iter().map(|it| frame(profile, it)).collect::<Vec<_>>(),
        "places": places.iter().map(|it| place(profile, it)).collect::<Vec<_>>(),
        "sites": sites.collect::<Vec<_>>(),
        "classes": profile.classes.iter().map(class).collect::<Vec<_>>(),
        "threads": profile.threads.iter().map(|thread| json!({
            "id": thread.id,
            "allocations": thread.allocations,
            "remote_frees": thread.remote_frees,
            "cached_bytes": thread.cached,
        })).collect::<Vec<_>>(),
        "moments": profile.moments.iter().map(moment).collect::<Vec<_>>(),
        "history_at_ns": profile.history_at,
        "spans": profile.spans.iter().map(span).collect::<Vec<_>>(),
    })
}

pub(crate) fn ledger(ledger: &Ledger) -> Value {
    json!({
        "live_bytes": ledger.live,
        "requested_bytes": ledger.requested,
        "peak_live_bytes": ledger.peak_live,
        "peak_at_ns": ledger.peak_at,
        "free_blocks_bytes": ledger.free_blocks,
        "cached_bytes": ledger.cached,
        "uncarved_bytes": ledger.uncarved,
        "retained_bytes": ledger.retained,
        "metadata_bytes": ledger.metadata,
        "profiler_bytes": ledger.profiler,
        "resident_bytes": ledger.resident,
        "peak_resident_bytes": ledger.peak_resident,
        "mapped_bytes": ledger.mapped,
        "allocations": ledger.allocations,
        "remote_frees": ledger.remote_frees,
        "threads": ledger.threads,
        "peak_threads": ledger.peak_threads,
    })
}

fn module(module: &Module) -> Value {
    let symbols = match &module.symbols {
        Symbols::NotLooked => "not looked".to_owned(),
        Symbols::Full => "functions, files and lines".to_owned(),
        Symbols::Functions => "names of functions".to_owned(),
        Symbols::None(why) => format!("no names: {why}"),
    };
    json!({ "path": module.path, "build_id": module.build_id, "symbols": symbols })
}

fn frame(profile: &Profile, frame: &Frame) -> Value {
    let name = findings::name(profile, frame);
    json!({
        "address": frame.address,
        "module": frame.module,
        "function": name,
        "short": findings::short_name(&name),
        "named": !frame.function.is_empty(),
        "file": frame.file,
        "line": frame.line,
        "inlined": frame.inlined,
        "library": findings::is_library(frame),
    })
}

/// A place, for `places` and for whoever lists them alone.
pub(crate) fn place(profile: &Profile, place: &Place) -> Value {
    let unknown = Frame::default();
    let frame = place.frame.map_or(&unknown, |frame| &profile.frames[frame]);
    let module = frame.module.and_then(|module| profile.modules.get(module));
    json!({
        "function": findings::name(profile, frame),
        "name": findings::short_name(&findings::name(profile, frame)),
        "file": frame.file,
        "line": frame.line,
        "module": module.map_or("", |module| module.path.as_str()),
        "type": place.rust_type,
        "growth": place.growth.as_ref().map(growth),
    })
}

pub(crate) fn growth(growth: &Growth) -> Value {
    json!({
        "bytes_per_second": growth.bytes_per_second,
        "r2": growth.r2,
        "rise_bytes": growth.rise,
        "is_kept": growth.is_kept,
    })
}

fn site(site: &Site, place: usize, interval: f64) -> Value {
    let peak = findings::with_variance(site.peak, site.block_size as f64, interval);
    json!({
        "stack": site.stack,
        "place": place,
        "block_size": site.block_size,
        "thread": site.thread,
        "label": site.label,
        "type": site.rust_type,
        "truncated": site.truncated,
        "allocated": amount(site.allocated),
        "live": amount(site.live),
        "peak": amount(peak),
        "short": amount(site.short),
        "remote": amount(site.remote),
        "requested_bytes": site.requested.round(),
        "lifetimes": site.lifetimes.iter().copied().map(tenths).collect::<Vec<_>>(),
        "history": site.history.iter().map(|bytes| bytes.round()).collect::<Vec<_>>(),
    })
}

pub(crate) fn amount(amount: Amount) -> Value {
    json!({
        "count": tenths(amount.count),
        "bytes": amount.bytes.round(),
        "variance": amount.variance.round(),
    })
}

/// An estimate of a count: more digits than these say nothing.
fn tenths(count: f64) -> f64 {
    (count * 10.0).round() / 10.0
}

fn class(class: &Class) -> Value {
    json!({
        "block_size": class.block_size,
        "spans": class.spans,
        "capacity": class.capacity,
        "carved": class.carved,
        "in_use": class.in_use,
        "cached": class.cached,
    })
}

fn moment(moment: &Moment) -> Value {
    json!({
        "at_ns": moment.at,
        "live_bytes": moment.live,
        "resident_bytes": moment.resident,
        "retained_bytes": moment.retained,
    })
}

fn span(span: &Span) -> Value {
    json!({
        "address": span.address,
        "bytes": span.bytes,
        "in_use_bytes": span.in_use,
        "block_size": span.block_size,
    })
}
