//! The bytes of a dump, one after the other.
#![forbid(unsafe_code)]

use super::{elapsed, figures, quick_header, trigger};
use crate::dump::{
    Class, HEADER_SIZE, Header, Kind, Module, Moment, Occupancy, Reason, Section, Site, Thread,
};
use crate::local::{self, ALLOCATOR};
use crate::sites::Figures;
use crate::stats::Stats;
use crate::unwind;

/// What waits for the sink.
struct Out<'a> {
    sink: &'a mut dyn FnMut(&[u8]),
    bytes: [u8; 2048],
    len: usize,
    /// Bytes of the section so far.
    section: usize,
}

impl Out<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.len == self.bytes.len() {
                self.flush();
            }
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = byte;
                self.len += 1;
            }
        }
        self.section += bytes.len();
    }

    fn flush(&mut self) {
        let full = self.bytes.get(..self.len).unwrap_or(&self.bytes);
        (self.sink)(full);
        self.len = 0;
    }

    fn zeros(&mut self, count: usize) {
        for _ in 0..count {
            self.bytes(&[0]);
        }
    }

    /// Writes a section of `count` records of `record` bytes. `fill` writes them, and
    /// no more of them; what it does not write is zeros.
    fn section(
        &mut self,
        kind: Kind,
        record: usize,
        count: usize,
        fill: impl FnOnce(&mut Self, usize),
    ) {
        Section { kind: kind as u32, record: record as u32, count: count as u64 }.put(self);
        self.section = 0;
        fill(self, count);
        let missing = (record * count).saturating_sub(self.section);
        self.zeros(missing);
        self.zeros((record * count).wrapping_neg() % 8);
    }

    /// A section of text that has to be read twice.
    fn text(&mut self, kind: Kind, read: impl Fn(&mut dyn FnMut(&[u8]))) {
        let mut len = 0;
        read(&mut |part| len += part.len());
        self.section(kind, 1, len, |out, mut left| {
            read(&mut |part| {
                let part = part.get(..left).unwrap_or(part);
                left -= part.len();
                out.bytes(part);
            });
        });
    }

    /// A section of records that are walked twice.
    fn records<T: Wire>(&mut self, kind: Kind, walk: impl Fn(&mut dyn FnMut(&T))) {
        let mut count = 0;
        walk(&mut |_| count += 1);
        self.section(kind, size_of::<T>(), count, |out, mut left| {
            walk(&mut |record| {
                if left != 0 {
                    left -= 1;
                    record.put(out);
                }
            });
        });
    }
}

/// A record that can be written field by field.
trait Wire {
    fn put(&self, out: &mut Out<'_>);
}

/// Writes fields in their order, as the machine holds them.
macro_rules! wire {
    ($($type:ty: $($field:ident),*;)*) => {$(
        impl Wire for $type {
            fn put(&self, out: &mut Out<'_>) {
                $(self.$field.put(out);)*
            }
        }
    )*};
}

macro_rules! wire_number {
    ($($type:ty),*) => {$(
        impl Wire for $type {
            fn put(&self, out: &mut Out<'_>) {
                out.bytes(&self.to_ne_bytes());
            }
        }
    )*};
}

wire_number!(u8, u32, u64);

impl<T: Wire, const N: usize> Wire for [T; N] {
    fn put(&self, out: &mut Out<'_>) {
        for item in self {
            item.put(out);
        }
    }
}

wire! {
    Header: magic, reason, pid, started, elapsed, interval, samples, dropped, truncated,
        page_size, face, live, peak_live, peak_at, requested, free_blocks, cached, uncarved,
        retained, metadata, resident, peak_resident, mapped, allocations, remote_frees, threads,
        peak_threads, profiler, epoch;
    Section: kind, record, count;
    Module: start, end, bias, build_id_len, is_allod, build_id;
    Site: stack, depth, label, block_size, thread, truncated, allocated, live, peak, short,
        remote, requested, lifetimes, history, epoch;
    Class: block_size, spans, capacity, carved, in_use, cached;
    Thread: thread, allocations, remote_frees, cached;
    Moment: at, live, resident, retained;
    Occupancy: address, bytes, in_use, block_size;
}

/// Writes a whole dump.
pub(super) fn all(reason: Reason, sink: &mut dyn FnMut(&[u8])) {
    let mut out = Out { sink, bytes: [0; 2048], len: 0, section: 0 };
    let a = &ALLOCATOR;
    let sites = &a.sampler.sites;
    let _reading = sites.reading();
    let stats = a.stats(local::present());
    let header = header(reason, &stats);
    header.put(&mut out);
    out.zeros(HEADER_SIZE - size_of::<Header>());

    out.text(Kind::Program, trigger::program);
    out.text(Kind::Command, |to| trigger::file(c"/proc/self/cmdline", to));
    out.text(Kind::Maps, |to| trigger::file(c"/proc/self/maps", to));
    out.records::<Module>(Kind::Modules, |to| unwind::modules(&mut |module| to(module)));

    let counts = sites.counts();
    out.section(Kind::Sites, size_of::<Site>(), counts.sites, |out, count| {
        for site in (0..count).filter_map(|row| sites.copy_site(row)) {
            site.put(out);
        }
    });
    // Counted behind the sites: the words that a site names are there.
    let words = sites.counts().words;
    out.section(Kind::Words, size_of::<u64>(), words, |out, count| {
        (0..count).for_each(|i| sites.word(i).put(out));
    });
    out.section(Kind::Labels, 1, counts.labels, |out, count| {
        (0..count).for_each(|i| sites.label_byte(i).put(out));
    });
    out.section(Kind::History, size_of::<u64>(), counts.history, |out, count| {
        (0..count).for_each(|i| sites.point(i).put(out));
    });
    out.section(Kind::Moments, size_of::<Moment>(), counts.moments, |out, count| {
        for moment in (0..count).filter_map(|i| sites.moment(i)) {
            moment.put(out);
        }
    });

    let classes = stats.classes.iter().skip(1).map(|row| Class {
        block_size: row.block_size as u64,
        spans: row.spans as u64,
        capacity: row.capacity as u64,
        carved: row.carved as u64,
        in_use: row.in_use as u64,
        cached: row.cached as u64,
    });
    out.section(Kind::Classes, size_of::<Class>(), classes.len(), |out, _| {
        classes.for_each(|class| class.put(out));
    });
    out.records::<Thread>(Kind::Threads, |to| {
        a.each_thread(&mut |it| {
            to(&Thread {
                thread: it.thread,
                allocations: it.allocations as u64,
                remote_frees: it.remote_frees as u64,
                cached: it.cached as u64,
            });
        });
    });
    out.records::<Occupancy>(Kind::Occupancy, |to| {
        a.each_span(&mut |span, out| {
            to(&Occupancy {
                address: span.base().addr() as u64,
                bytes: (span.slices() * crate::units::SLICE) as u64,
                in_use: match span.class() {
                    Some(class) => (out * class.size()) as u64,
                    None => span.block_size() as u64,
                },
                block_size: span.class().map_or(0, |class| class.size() as u64),
            });
        });
    });
    out.flush();
}

fn header(reason: Reason, stats: &Stats) -> Header {
    let sites = &ALLOCATOR.sampler.sites;
    let elapsed = elapsed();
    let resident = stats.resident
        + sites.resident(&ALLOCATOR.arena.kernel)
        + stats.metadata.saturating_sub(sites.bytes());
    let seen = Figures { live: stats.allocated as u64, resident: resident as u64, ..figures() };
    Header {
        requested: sites.requested(seen.live),
        free_blocks: stats.free_blocks as u64,
        cached: stats.cached as u64,
        uncarved: stats.uncarved as u64,
        retained: stats.retained as u64,
        metadata: stats.metadata as u64,
        allocations: stats.allocations as u64,
        ..quick_header(reason, &seen, elapsed)
    }
}
