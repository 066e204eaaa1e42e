//! The figures as JSON, and as the text that Prometheus reads.
//!
//! Both are made of one table, so that neither knows a figure that the other does not.
//! Nothing is allocated and nothing needs escaping: names are ours, values are numbers.
//! The names of metrics and their help are those that `allod export` writes of a profile.
#![forbid(unsafe_code)]

use super::{Backend, ClassStats, Stats};
use core::fmt::{self, Write};

/// A figure: the field's name, the metric's, what it means, and its value.
struct Figure<T> {
    field: &'static str,
    metric: &'static str,
    help: &'static str,
    value: fn(&T) -> usize,
}

impl<T> Figure<T> {
    const fn new(
        field: &'static str,
        metric: &'static str,
        help: &'static str,
        value: fn(&T) -> usize,
    ) -> Self {
        Figure { field, metric, help, value }
    }

    /// What only grows is a counter, and its name says so, as Prometheus wants it.
    fn kind(&self) -> &'static str {
        if self.metric.ends_with("_total") { "counter" } else { "gauge" }
    }
}

const FIGURES: &[Figure<Stats>] = &[
    Figure::new("allocated", "live_bytes", "Bytes of blocks in the program's hands", |s| {
        s.allocated
    }),
    Figure::new("peak_allocated", "peak_live_bytes", "Most live bytes at one moment", |s| {
        s.peak_allocated
    }),
    Figure::new("large", "large_bytes", "Of the live bytes, objects above 32 KiB", |s| s.large),
    Figure::new("huge", "huge_bytes", "Of the live bytes, objects with a mapping", |s| s.huge),
    Figure::new("large_objects", "large_objects", "Objects above 32 KiB", |s| s.large_objects),
    Figure::new("huge_objects", "huge_objects", "Objects with a mapping", |s| s.huge_objects),
    Figure::new("free_blocks", "free_block_bytes", "Bytes of free blocks in spans", |s| {
        s.free_blocks
    }),
    Figure::new("cached", "cached_bytes", "Bytes of free blocks in front lists", |s| s.cached),
    Figure::new("uncarved", "uncarved_bytes", "Bytes of spans never carved", |s| s.uncarved),
    Figure::new("active", "active_bytes", "Bytes of slices and mappings in use", |s| s.active),
    Figure::new("retained", "retained_bytes", "Free bytes kept for the next allocation", |s| {
        s.retained
    }),
    Figure::new("metadata", "metadata_bytes", "Bytes of the allocator's records", |s| s.metadata),
    Figure::new("resident", "resident_bytes", "Bytes that have memory behind them", |s| {
        s.resident
    }),
    Figure::new("mapped", "mapped_bytes", "Bytes of address space", |s| s.mapped),
    Figure::new("allocations", "allocations_total", "Allocations", |s| s.allocations),
    Figure::new("remote_frees", "remote_frees_total", "Frees by another thread", |s| {
        s.remote_frees
    }),
    Figure::new("threads", "threads", "Threads with a heap", |s| s.threads),
    Figure::new("peak_threads", "peak_threads", "Most threads with a heap at one moment", |s| {
        s.peak_threads
    }),
    Figure::new("system_calls", "system_calls_total", "System calls made", |s| s.system_calls),
    Figure::new("purged", "purged_bytes_total", "Bytes given back to the system", |s| s.purged),
    Figure::new("copied", "copied_bytes_total", "Bytes that realloc has copied", |s| s.copied),
];

const OF_A_CLASS: &[Figure<ClassStats>] = &[
    Figure::new("spans", "class_spans", "Spans", |c| c.spans),
    Figure::new("capacity", "class_capacity_blocks", "Blocks that there is room for", |c| {
        c.capacity
    }),
    Figure::new("carved", "class_carved_blocks", "Blocks carved so far", |c| c.carved),
    Figure::new("in_use", "class_in_use_blocks", "Blocks in the program's hands", |c| c.in_use),
    Figure::new("cached", "class_cached_blocks", "Blocks in front lists", |c| c.cached),
];

impl Backend {
    const fn name(self) -> &'static str {
        match self {
            Backend::Allod => "allod",
            Backend::System => "system",
        }
    }
}

impl Stats {
    /// The classes that have spans.
    fn used_classes(&self) -> impl Iterator<Item = &ClassStats> {
        self.classes.iter().filter(|class| class.spans != 0)
    }

    /// Writes the figures as one JSON object, under the names of the fields. `classes` are
    /// those that have spans.
    ///
    /// ```
    /// let mut text = String::new();
    /// allod::stats().write_json(&mut text)?;
    /// assert!(text.starts_with("{\"backend\":\""));
    /// # Ok::<(), core::fmt::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When `out` does not take it.
    pub fn write_json(&self, out: &mut impl Write) -> fmt::Result {
        write!(out, "{{\"backend\":\"{}\"", self.backend.name())?;
        for figure in FIGURES {
            write!(out, ",\"{}\":{}", figure.field, (figure.value)(self))?;
        }
        write!(out, ",\"system_nanoseconds\":{},\"classes\":[", self.system_nanoseconds)?;
        for (at, class) in self.used_classes().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(out, "{comma}{{\"block_size\":{}", class.block_size)?;
            for figure in OF_A_CLASS {
                write!(out, ",\"{}\":{}", figure.field, (figure.value)(class))?;
            }
            out.write_char('}')?;
        }
        out.write_str("]}")
    }

    /// Writes the figures in the text format of Prometheus, for a server's page of
    /// metrics. What is of a size class has the label `block_bytes`.
    ///
    /// ```
    /// let mut text = String::new();
    /// allod::stats().write_prometheus(&mut text)?;
    /// assert!(text.contains("\n# TYPE allod_live_bytes gauge\nallod_live_bytes "));
    /// # Ok::<(), core::fmt::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When `out` does not take it.
    pub fn write_prometheus(&self, out: &mut impl Write) -> fmt::Result {
        head(out, "backend_info", "gauge", "Which allocator serves")?;
        writeln!(out, "allod_backend_info{{backend=\"{}\"}} 1", self.backend.name())?;
        for figure in FIGURES {
            head(out, figure.metric, figure.kind(), figure.help)?;
            writeln!(out, "allod_{} {}", figure.metric, (figure.value)(self))?;
        }
        let time = self.system_nanoseconds;
        let (seconds, rest) = (time / 1_000_000_000, time % 1_000_000_000);
        head(out, "system_seconds_total", "counter", "Time in system calls, where measured")?;
        writeln!(out, "allod_system_seconds_total {seconds}.{rest:09}")?;
        for figure in OF_A_CLASS {
            if self.used_classes().next().is_none() {
                break;
            }
            head(out, figure.metric, figure.kind(), figure.help)?;
            for class in self.used_classes() {
                let (size, value) = (class.block_size, (figure.value)(class));
                writeln!(out, "allod_{}{{block_bytes=\"{size}\"}} {value}", figure.metric)?;
            }
        }
        Ok(())
    }
}

fn head(out: &mut impl Write, metric: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(out, "# HELP allod_{metric} {help}\n# TYPE allod_{metric} {kind}")
}
