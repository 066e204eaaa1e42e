//! Chunks: the pieces of memory that an arena takes from its source.
//!
//! ```text
//!   base                                                        base + bytes
//!   +--------+----------------------------+---------------------+---------+
//!   | header |           blocks           |        free         | ragged  |
//!   +--------+----------------------------+---------------------+---------+
//!            start                        pos                   end
//! ```
//!
//! The header links the chunk to the one that was taken before it. `pos` and
//! `end` are kept in the arena while it allocates from the chunk, and here while
//! it does not.
//!
//! # Invariants
//!
//! * C1. A chunk's header is at the start of its block, and `bytes` is the
//!   block's length.
//! * C2. `start <= pos <= end <= base + bytes`, and all three have the
//!   provenance of the block.
//! * C3. No block of an arena lies between `pos` and `end`.
#![allow(unsafe_code)]

use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::NonNull;

use super::fit::REACH;
use super::source::Source;
use crate::{AllocError, addr};

/// What every chunk is aligned to. A block that wants more is padded.
pub(super) const CHUNK_ALIGN: usize = 16;

/// A chunk, by its header.
#[repr(C, align(16))]
pub(super) struct Chunk {
    /// The chunk taken before this one.
    prev: Cell<Option<Link>>,
    /// Bytes of the block, header included.
    bytes: usize,
    pos: Cell<NonNull<u8>>,
    end: Cell<NonNull<u8>>,
}

const _: () = assert!(align_of::<Chunk>() == CHUNK_ALIGN, "a chunk begins with its header");

/// A live chunk's header. Copies of it are dead when it is released.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Link(NonNull<Chunk>);

/// Bytes that a chunk needs so that `layout` fits into it, wherever it lies.
pub(super) fn bytes_for(layout: Layout, min_align: usize) -> Result<usize, AllocError> {
    let padding = layout.align().max(min_align).saturating_sub(CHUNK_ALIGN);
    size_of::<Chunk>()
        .checked_add(padding)
        .and_then(|bytes| bytes.checked_add(layout.size()))
        .and_then(|bytes| bytes.checked_add(min_align - 1))
        .ok_or(AllocError)
}

impl Link {
    /// A chunk of at least so many bytes, which `bytes_for` has told.
    pub(super) fn take<A: Source>(
        source: &A,
        bytes: usize,
        min_align: usize,
    ) -> Result<Link, AllocError> {
        let layout = Layout::from_size_align(bytes, CHUNK_ALIGN).map_err(|_| AllocError)?;
        let block = source.take(layout)?;
        let base = block.cast::<u8>();
        let last = base.addr().get().saturating_add(block.len()).min(usize::MAX - REACH);
        let start = base.addr().get().saturating_add(size_of::<Chunk>());
        let start = addr::align_up(start, min_align).unwrap_or(usize::MAX);
        if start > last {
            // SAFETY: it has just come from there, and nobody else has seen it.
            unsafe { source.give(base, layout) };
            return Err(AllocError);
        }
        let header = Chunk {
            prev: Cell::new(None),
            bytes: block.len(),
            pos: Cell::new(addr::at(base, start)),
            end: Cell::new(addr::at(base, last)),
        };
        // SAFETY: the block is ours, aligned, and long enough (`start <= last`).
        unsafe { base.cast::<Chunk>().write(header) };
        Ok(Link(base.cast()))
    }

    /// Gives the chunk back.
    ///
    /// # Safety
    ///
    /// It came from this source, nothing in it is used again, and it is on no
    /// list.
    pub(super) unsafe fn release<A: Source>(self, source: &A) {
        let bytes = self.bytes();
        // SAFETY: C1: the block was taken with this alignment, and is this long.
        let layout = unsafe { Layout::from_size_align_unchecked(bytes, CHUNK_ALIGN) };
        // SAFETY: the caller gives it up.
        unsafe { source.give(self.0.cast(), layout) };
    }

    fn header(&self) -> &Chunk {
        // SAFETY: links are to live chunks; a header is only ever shared.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn prev(self) -> Option<Link> {
        self.header().prev.get()
    }

    pub(super) fn set_prev(self, prev: Option<Link>) {
        self.header().prev.set(prev);
    }

    pub(super) fn bytes(self) -> usize {
        self.header().bytes
    }

    /// Where the arena stopped, and where it has to.
    pub(super) fn tail(self) -> (NonNull<u8>, NonNull<u8>) {
        (self.header().pos.get(), self.header().end.get())
    }

    pub(super) fn set_tail(self, pos: NonNull<u8>, end: NonNull<u8>) {
        self.header().pos.set(pos);
        self.header().end.set(end);
    }

    /// Free bytes in it, while no arena allocates from it.
    pub(super) fn room(self) -> usize {
        let (pos, end) = self.tail();
        addr::distance(pos, end)
    }

    /// Where blocks may begin.
    pub(super) fn start(self, min_align: usize) -> NonNull<u8> {
        let base = self.0.cast::<u8>();
        let start = base.addr().get().wrapping_add(size_of::<Chunk>());
        // `take` has seen that this does not overflow.
        addr::at(base, start.wrapping_add(addr::padding(start, min_align)))
    }

    /// Where blocks must end, but for what a scope has been lent.
    pub(super) fn last(self) -> NonNull<u8> {
        let base = self.0.cast::<u8>();
        let last = base.addr().get().saturating_add(self.bytes());
        addr::at(base, last.min(usize::MAX - REACH))
    }

    /// Makes all of it free.
    pub(super) fn clear(self, min_align: usize) {
        self.set_tail(self.start(min_align), self.last());
    }

    /// Whether the address is in the chunk.
    pub(super) fn holds(self, place: NonNull<u8>) -> bool {
        self.0.cast() <= place && place <= self.last()
    }
}

/// The chunks from one on, each taken before the last.
pub(super) fn list(newest: Option<Link>) -> impl Iterator<Item = Link> {
    core::iter::successors(newest, |chunk| chunk.prev())
}
