//! The ledger as Prometheus reads it.

use std::io::{self, Write};

use crate::model::Profile;

/// Writes the ledger, and what each size class has.
pub(super) fn write(profile: &Profile, out: &mut impl Write) -> io::Result<()> {
    let ledger = &profile.ledger;
    let name = profile.program.rsplit('/').next().unwrap_or_default();
    let who = format!("program=\"{}\",pid=\"{}\"", escaped(name), profile.pid);
    let figures: [(&str, &str, &str, u64); 16] = [
        ("live_bytes", "gauge", "Bytes of blocks in the program's hands", ledger.live),
        ("requested_bytes", "gauge", "Of these, asked for; an estimate", ledger.requested),
        ("peak_live_bytes", "gauge", "Most live bytes at one moment", ledger.peak_live),
        ("free_block_bytes", "gauge", "Bytes of free blocks in spans", ledger.free_blocks),
        ("cached_bytes", "gauge", "Bytes of free blocks in front lists", ledger.cached),
        ("uncarved_bytes", "gauge", "Bytes of spans never carved", ledger.uncarved),
        ("retained_bytes", "gauge", "Free bytes kept for the next allocation", ledger.retained),
        ("metadata_bytes", "gauge", "Bytes of the allocator's records", ledger.metadata),
        ("profiler_bytes", "gauge", "Of these, the profiler's", ledger.profiler),
        ("resident_bytes", "gauge", "Bytes that have memory behind them", ledger.resident),
        ("peak_resident_bytes", "gauge", "Most resident bytes at one moment", ledger.peak_resident),
        ("mapped_bytes", "gauge", "Bytes of address space", ledger.mapped),
        ("allocations_total", "counter", "Allocations", ledger.allocations),
        ("remote_frees_total", "counter", "Frees by another thread", ledger.remote_frees),
        ("threads", "gauge", "Threads with a heap", ledger.threads.into()),
        ("samples_total", "counter", "Samples taken", profile.samples.taken),
    ];
    for (name, kind, help, number) in figures {
        writeln!(out, "# HELP allod_{name} {help}")?;
        writeln!(out, "# TYPE allod_{name} {kind}")?;
        writeln!(out, "allod_{name}{{{who}}} {number}")?;
    }
    for (name, help) in [
        ("in_use", "Blocks in the program's hands"),
        ("capacity", "Blocks that there is room for"),
        ("cached", "Blocks in front lists"),
    ] {
        if profile.classes.is_empty() {
            break;
        }
        writeln!(out, "# HELP allod_class_{name}_blocks {help}")?;
        writeln!(out, "# TYPE allod_class_{name}_blocks gauge")?;
        for class in &profile.classes {
            let number = match name {
                "in_use" => class.in_use,
                "capacity" => class.capacity,
                _ => class.cached,
            };
            let size = class.block_size;
            writeln!(out, "allod_class_{name}_blocks{{{who},block_bytes=\"{size}\"}} {number}")?;
        }
    }
    Ok(())
}

/// A label's value, with what would end it marked.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
