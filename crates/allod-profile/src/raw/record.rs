//! The records of a dump, read field by field out of bytes.
//!
//! The layouts are those of `allod::dump`, by `offset_of!`, so the two cannot
//! drift apart. Nothing is cast: bytes of any origin and alignment will do.

use std::mem::offset_of;

use allod::dump::{Class, Header, Module, Moment, Occupancy, Section, Site, Thread};

use super::Reader;

/// A number, or several in a row.
pub(super) trait Scalar {
    /// Reads it from the front of the bytes; zero where they end too early.
    fn read(bytes: &[u8], swapped: bool) -> Self;
}

impl Scalar for u32 {
    fn read(bytes: &[u8], swapped: bool) -> Self {
        let number = bytes.first_chunk().map_or(0, |bytes| Self::from_ne_bytes(*bytes));
        if swapped { number.swap_bytes() } else { number }
    }
}

impl Scalar for u64 {
    fn read(bytes: &[u8], swapped: bool) -> Self {
        let number = bytes.first_chunk().map_or(0, |bytes| Self::from_ne_bytes(*bytes));
        if swapped { number.swap_bytes() } else { number }
    }
}

impl<const N: usize> Scalar for [u64; N] {
    fn read(bytes: &[u8], swapped: bool) -> Self {
        std::array::from_fn(|i| {
            <u64 as Scalar>::read(bytes.get(i * size_of::<u64>()..).unwrap_or_default(), swapped)
        })
    }
}

impl<const N: usize> Scalar for [u8; N] {
    fn read(bytes: &[u8], _: bool) -> Self {
        std::array::from_fn(|i| bytes.get(i).copied().unwrap_or(0))
    }
}

/// What a section is made of.
pub(super) trait Record: Sized {
    fn read(from: &Reader<'_>) -> Self;
}

impl Record for u64 {
    fn read(from: &Reader<'_>) -> Self {
        from.at(0)
    }
}

/// `Record` for a structure: the names of all of its fields.
macro_rules! record {
    ($($name:ident { $($field:ident),* $(,)? })*) => {$(
        impl Record for $name {
            fn read(from: &Reader<'_>) -> Self {
                Self { $($field: from.at(offset_of!($name, $field)),)* }
            }
        }
    )*};
}

record! {
    Header {
        magic, reason, pid, started, elapsed, interval, samples, dropped, truncated, page_size,
        face, live, peak_live, peak_at, requested, free_blocks, cached, uncarved, retained,
        metadata, resident, peak_resident, mapped, allocations, remote_frees, threads,
        peak_threads, profiler, epoch,
    }
    Section { kind, record, count }
    Module { start, end, bias, build_id_len, is_allod, build_id }
    Site {
        stack, depth, label, block_size, thread, truncated, allocated, live, peak, short, remote,
        requested, lifetimes, history, epoch,
    }
    Class { block_size, spans, capacity, carved, in_use, cached }
    Thread { thread, allocations, remote_frees, cached }
    Moment { at, live, resident, retained }
    Occupancy { address, bytes, in_use, block_size }
}
