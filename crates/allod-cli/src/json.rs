//! The report for machines: one JSON object.
//!
//! Plain numbers: sizes in bytes (`…_bytes`), times in nanoseconds (`…_ns`),
//! counts without a suffix. Nothing is rounded and nothing is left out. The
//! README of this package lists every field, and a test compares the two.

use serde_json::{Map, Value, json};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use crate::data;
use crate::library::Library;
use crate::report::{Face, Figures, Image, Process, Profiled, Report};
use crate::units::Sign;

/// Raised when a field changes its meaning or goes; new fields may come.
const SCHEMA: &str = "allod-run/1";

/// The report as JSON, in one line.
pub(crate) fn print(report: &Report, library: &Library) -> String {
    object(report, library).to_string() + "\n"
}

fn object(report: &Report, library: &Library) -> Value {
    let outcome = &report.outcome;
    let usage = &outcome.usage;
    let command = report.command.iter().map(|word| word.to_string_lossy());
    json!({
        "schema": SCHEMA,
        "command": command.collect::<Vec<_>>(),
        "library": {
            "path": library.path.to_string_lossy(),
            "version": library.version,
        },
        "outcome": {
            "pid": outcome.pid,
            "exit_code": outcome.status.code(),
            "signal": outcome.status.signal(),
            "core_dumped": outcome.status.core_dumped(),
        },
        "wall_ns": nanos(outcome.wall),
        "kernel": {
            "max_resident_bytes": usage.max_resident.0,
            "minor_faults": usage.minor_faults.0,
            "major_faults": usage.major_faults.0,
            "user_ns": nanos(usage.user),
            "system_ns": nanos(usage.system),
        },
        "processes": report.processes.iter().map(process).collect::<Vec<_>>(),
        "total": total(&report.total()),
        "turned_away": report.turned_away,
        "unfilled": report.unfilled,
        "profile": report.profile.as_ref().map(profile),
    })
}

fn profile(profiled: &Profiled) -> Value {
    let mut profile = data::summary(&profiled.profile);
    profile["path"] = profiled.path.as_ref().map(|path| path.to_string_lossy()).into();
    profile
}

fn process(process: &Process) -> Value {
    json!({
        "pid": process.pid,
        "parent": process.parent,
        "images": process.images.iter().map(image).collect::<Vec<_>>(),
    })
}

fn image(image: &Image) -> Value {
    let face = |face: &Face| match face {
        Face::Library => Value::from("library"),
        Face::Inside => Value::from("inside"),
        Face::Other(number) => Value::from(*number),
    };
    let mut fields = grown(&image.figures);
    fields.extend(levels(&image.figures));
    fields.insert("name".into(), image.name.clone().into());
    fields.insert("faces".into(), image.faces.iter().map(face).collect());
    fields.insert("ended".into(), image.ended.into());
    fields.insert("page_size_bytes".into(), image.page_size.0.into());
    Value::Object(fields)
}

/// Levels mean nothing for processes that were not there at one time, so the
/// total has none.
fn total(figures: &Figures) -> Value {
    Value::Object(grown(figures))
}

/// What only grows.
fn grown(figures: &Figures) -> Map<String, Value> {
    fields([
        ("allocations", figures.allocations.0),
        ("peak_active_bytes", figures.peak_active.0),
        ("peak_live_bytes", figures.peak_live.0),
        ("peak_resident_bytes", figures.peak_resident.0),
        ("peak_threads", figures.peak_threads.0),
        ("purged_bytes", figures.purged.0),
        ("remote_frees", figures.remote_frees.0),
        ("system_calls", figures.system_calls.0),
        ("system_ns", nanos(figures.system_time)),
    ])
}

/// What goes up and down, and what the resident bytes are made of.
fn levels(figures: &Figures) -> Map<String, Value> {
    let made = figures.composition();
    let (more, less) = match made.rest {
        (Sign::Plus, rest) => (rest.0, 0),
        (Sign::Minus, rest) => (0, rest.0),
    };
    let composition = fields([
        ("live_bytes", made.live.0),
        ("free_in_spans_bytes", made.free_in_spans.0),
        ("free_in_caches_bytes", made.free_in_caches.0),
        ("free_slices_bytes", made.free_slices.0),
        ("records_bytes", made.records.0),
        ("other_bytes", more),
        ("not_resident_bytes", less),
    ]);
    let mut levels = fields([
        ("active_bytes", figures.active.0),
        ("cached_bytes", figures.cached.0),
        ("huge_bytes", figures.huge.0),
        ("live_bytes", figures.live.0),
        ("mapped_bytes", figures.mapped.0),
        ("metadata_bytes", figures.metadata.0),
        ("resident_bytes", figures.resident.0),
        ("retained_bytes", figures.retained.0),
        ("threads", figures.threads.0),
    ]);
    levels.insert("resident_is".into(), Value::Object(composition));
    levels
}

fn fields<const N: usize>(fields: [(&str, u64); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, number)| (name.to_owned(), number.into())).collect()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
