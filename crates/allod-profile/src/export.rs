//! Profiles in the formats of others.
//!
//! | format | for |
//! |---|---|
//! | pprof | `go tool pprof`, Parca, Pyroscope, Grafana, and our own `allod report` |
//! | folded | `flamegraph.pl`, inferno: a line for each stack, outermost first |
//! | Speedscope | speedscope.app: all four values, to choose from |
//! | CSV | spreadsheets: a row for each site |
//! | Prometheus | the ledger, for scraping |
//! | JSON | programs of one's own: everything, unrounded |

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::json;

use crate::model::{Amount, Frame, Profile, Site};
use crate::{pprof, trim};

mod prometheus;

/// Raised when a field of the JSON changes its meaning or goes; others may come.
const SCHEMA: &str = "allod-profile/1";

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Gzipped pprof.
    Pprof,
    /// Folded stacks.
    Folded,
    /// Speedscope's JSON.
    Speedscope,
    /// Comma separated values, a row for each site.
    Csv,
    /// Prometheus's text, the ledger alone.
    Prometheus,
    /// Everything as JSON.
    Json,
}

/// Which of a site's amounts is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// Live at the end.
    #[default]
    Live,
    /// Live when the process had most live.
    Peak,
    /// Allocated ever.
    Allocated,
    /// Freed within a millisecond.
    Short,
}

impl Value {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Live, Self::Peak, Self::Allocated, Self::Short];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Peak => "peak",
            Self::Allocated => "allocated",
            Self::Short => "short",
        }
    }

    /// This amount of a site.
    pub fn of(self, site: &Site) -> Amount {
        match self {
            Self::Live => site.live,
            Self::Peak => site.peak,
            Self::Allocated => site.allocated,
            Self::Short => site.short,
        }
    }

    fn in_pprof(self) -> &'static str {
        match self {
            Self::Live => "inuse_space",
            Self::Peak => "peak_space",
            Self::Allocated => "alloc_space",
            Self::Short => "short_space",
        }
    }
}

/// Writes a profile in a format.
///
/// # Errors
///
/// When `out` does not take it.
pub fn write(
    profile: &Profile,
    format: Format,
    value: Value,
    out: &mut impl Write,
) -> io::Result<()> {
    match format {
        Format::Pprof => pprof::write_showing(profile, value.in_pprof(), out),
        Format::Folded => folded(profile, value, out),
        Format::Speedscope => speedscope(profile, value, out),
        Format::Csv => csv(profile, out),
        Format::Prometheus => prometheus::write(profile, out),
        Format::Json => {
            #[derive(Serialize)]
            struct Whole<'a> {
                schema: &'static str,
                #[serde(flatten)]
                profile: &'a Profile,
            }
            serde_json::to_writer(&mut *out, &Whole { schema: SCHEMA, profile })?;
            writeln!(out)
        }
    }
}

/// A name for a frame whatever is known of it: the function, or the file and the
/// address in it, or the address.
pub fn frame_name(profile: &Profile, frame: &Frame) -> String {
    if !frame.function.is_empty() {
        return frame.function.clone();
    }
    if !frame.linkage.is_empty() {
        return frame.linkage.clone();
    }
    match frame.module.and_then(|module| profile.modules.get(module)) {
        Some(module) => {
            let path = module.path.trim_end_matches(" (deleted)");
            let file = path.rsplit('/').next().unwrap_or(path);
            format!("{file}+{:#x}", frame.address.wrapping_sub(module.bias))
        }
        None => format!("{:#x}", frame.address),
    }
}

/// The names of a stack, outermost first.
fn names(profile: &Profile, site: &Site) -> Vec<String> {
    let frames = site.stack.iter().rev().filter_map(|&frame| profile.frames.get(frame));
    frames.map(|frame| frame_name(profile, frame)).collect()
}

/// One line of stacks that are equal, with their bytes.
fn folded(profile: &Profile, value: Value, out: &mut impl Write) -> io::Result<()> {
    let mut lines: BTreeMap<String, f64> = BTreeMap::new();
    for site in &profile.sites {
        // The two characters that mean something in the format.
        let plain = |name: String| name.replace(';', ":").replace('\n', " ");
        let stack: Vec<String> = names(profile, site).into_iter().map(plain).collect();
        if !stack.is_empty() {
            *lines.entry(stack.join(";")).or_default() += value.of(site).bytes;
        }
    }
    for (stack, bytes) in lines.into_iter().filter(|(_, bytes)| *bytes >= 0.5) {
        writeln!(out, "{stack} {bytes:.0}")?;
    }
    Ok(())
}

fn speedscope(profile: &Profile, shown: Value, out: &mut impl Write) -> io::Result<()> {
    let frames: Vec<_> = profile
        .frames
        .iter()
        .map(|frame| {
            let mut entry = json!({ "name": frame_name(profile, frame) });
            if let Some(fields) = entry.as_object_mut() {
                if !frame.file.is_empty() {
                    fields.insert("file".into(), frame.file.clone().into());
                }
                if frame.line > 0 {
                    fields.insert("line".into(), frame.line.into());
                }
            }
            entry
        })
        .collect();
    let profiles = Value::ALL.map(|value| {
        let has_some = |site: &&Site| value.of(site).bytes > 0.0 && !site.stack.is_empty();
        let sites: Vec<&Site> = profile.sites.iter().filter(has_some).collect();
        let stack = |site: &&Site| site.stack.iter().rev().copied().collect::<Vec<_>>();
        let weights: Vec<f64> = sites.iter().map(|site| value.of(site).bytes).collect();
        json!({
            "type": "sampled",
            "name": value.name(),
            "unit": "bytes",
            "startValue": 0,
            "endValue": weights.iter().sum::<f64>(),
            "samples": sites.iter().map(stack).collect::<Vec<_>>(),
            "weights": weights,
        })
    });
    let active = Value::ALL.iter().position(|&value| value == shown);
    let whole = json!({
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "name": profile.program.rsplit('/').next(),
        "exporter": concat!("allod ", env!("CARGO_PKG_VERSION")),
        "activeProfileIndex": active,
        "shared": { "frames": frames },
        "profiles": profiles,
    });
    serde_json::to_writer(&mut *out, &whole)?;
    writeln!(out)
}

/// The columns, and a row for each site, most live first.
fn csv(profile: &Profile, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "live_bytes,live_bytes_deviation,live_count,requested_bytes,peak_bytes,peak_count,\
         allocated_bytes,allocated_bytes_deviation,allocated_count,short_bytes,short_count,\
         remote_bytes,remote_count,block_bytes,thread,task,type,function,file,line,stack"
    )?;
    let mut sites: Vec<&Site> = profile.sites.iter().collect();
    sites.sort_by(|a, b| b.live.bytes.total_cmp(&a.live.bytes));
    for site in sites {
        let [live, peak, all] = [site.live, site.peak, site.allocated];
        let numbers = [
            live.bytes,
            live.variance.sqrt(),
            live.count,
            site.requested,
            peak.bytes,
            peak.count,
            all.bytes,
            all.variance.sqrt(),
            all.count,
            site.short.bytes,
            site.short.count,
            site.remote.bytes,
            site.remote.count,
            site.block_size as f64,
            site.thread.into(),
        ];
        let place = trim::place(profile, site);
        let texts = [
            site.label.clone(),
            site.rust_type.clone(),
            place.map(|frame| frame_name(profile, frame)).unwrap_or_default(),
            place.map(|frame| frame.file.clone()).unwrap_or_default(),
            place.map(|frame| frame.line.to_string()).unwrap_or_default(),
            names(profile, site).join(";"),
        ];
        let numbers = numbers.iter().map(|number| format!("{number:.0}"));
        let texts = texts.iter().map(|text| quoted(text));
        writeln!(out, "{}", numbers.chain(texts).collect::<Vec<_>>().join(","))?;
    }
    Ok(())
}

/// A field of the CSV, in quotes where it needs them.
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
