//! The units of the house: how big a slice, a chunk and a window are.
//!
//! ```text
//!   address space   ... | window (64 GiB: one leaf of the map) | ...
//!   region              a reservation: up to 512 chunks
//!   chunk   2 MiB       64 slices, one `u64` of bits, one huge page
//!   slice   32 KiB      the least that a span or a large object takes
//!   block               one allocation's place inside a span
//! ```
//!
//! Everything here is a constant or a number with a name. Nothing else in the
//! house writes these shifts again.
#![forbid(unsafe_code)]

/// A slice is 2^15 bytes: 32 KiB.
///
/// Sixteen, 32 and 64 KiB were measured (docs/decisions/001). With 64 slices
/// to a chunk this makes a chunk exactly one huge page of x86-64.
pub(crate) const SLICE_SHIFT: u32 = 15;
/// Bytes of one slice.
pub(crate) const SLICE: usize = 1 << SLICE_SHIFT;
/// Slices of one chunk: as many as a `u64` has bits.
pub(crate) const SLICES_PER_CHUNK: usize = 64;
/// A chunk is 2^21 bytes: 2 MiB.
pub(crate) const CHUNK_SHIFT: u32 = SLICE_SHIFT + 6;
/// Bytes of one chunk.
pub(crate) const CHUNK: usize = 1 << CHUNK_SHIFT;

/// Bits of a user-space address that the map understands.
#[cfg(target_arch = "x86_64")]
pub(crate) const ADDRESS_BITS: u32 = 47;
/// Bits of a user-space address that the map understands.
#[cfg(all(target_pointer_width = "64", not(target_arch = "x86_64")))]
pub(crate) const ADDRESS_BITS: u32 = 48;
/// Bits of a user-space address that the map understands.
#[cfg(target_pointer_width = "32")]
pub(crate) const ADDRESS_BITS: u32 = 32;

/// One leaf of the map covers 2^36 bytes of addresses, or all of a 32-bit space.
pub(crate) const WINDOW_SHIFT: u32 = if ADDRESS_BITS < 36 { ADDRESS_BITS } else { 36 };

/// The largest block that lives in a span of a size class: 32 KiB.
pub(crate) const SMALL_MAX: usize = 32 << 10;
/// The largest object that is a run of slices in a chunk: 1 MiB. Above that an
/// object has a mapping of its own.
pub(crate) const LARGE_MAX: usize = 1 << 20;
/// What C promises for every block: `max_align_t`.
pub(crate) const MIN_ALIGN: usize = 16;

const _: () = assert!(SLICES_PER_CHUNK == u64::BITS as usize, "a chunk's free set is one word");
const _: () = assert!(LARGE_MAX <= CHUNK / 2, "a run that starts anywhere must fit a chunk");
const _: () = assert!(SMALL_MAX <= SLICE, "the narrowest span holds the largest block");

/// Rounds `n` up to a multiple of `to`, a power of two. `None` past the end.
pub(crate) const fn round_up(n: usize, to: usize) -> Option<usize> {
    match n.checked_add(to - 1) {
        Some(sum) => Some(sum & !(to - 1)),
        None => None,
    }
}

/// Slices that `bytes` fill, the last one in part.
pub(crate) const fn slices_for(bytes: usize) -> usize {
    bytes.div_ceil(SLICE)
}

#[cfg(test)]
mod tests;
