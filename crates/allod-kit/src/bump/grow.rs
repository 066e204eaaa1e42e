//! When the tail is too short, and when chunks go: all that happens rarely.
//!
//! A chunk is twice as large as the newest one, and large enough. If that much
//! is not to be had, or is past the limit, one that is just large enough will
//! do.
#![allow(unsafe_code)]

use core::alloc::Layout;
use core::ptr::NonNull;

use super::chunk::{self, Link};
use super::scope::Checkpoint;
use super::source::Source;
use super::{Bump, Home, Root};
use crate::{AllocError, addr, nothing};

/// The least size of a chunk. Its header is 6% of it, and a chunk that is too
/// small for one more block is doubled soon enough.
const LEAST: usize = 512;

impl<A: Source, const MIN_ALIGN: usize> Bump<A, MIN_ALIGN> {
    /// A block, when the tail is too short.
    ///
    /// Over a buffer there is nothing to do, and the compiler is to see that:
    /// then the arena's marks may stay in registers.
    #[inline(always)]
    pub(super) fn go_on(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout).cast());
        }
        if !A::GROWS {
            return Err(AllocError);
        }
        self.go_on_elsewhere(layout)
    }

    /// Moves to the other chunk, or to a new one.
    #[cold]
    #[inline(never)]
    fn go_on_elsewhere(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        self.move_to_room_for(layout)?;
        self.fit(layout, false).map(|fit| self.cut(fit)).ok_or(AllocError)
    }

    fn move_to_room_for(&self, layout: Layout) -> Result<(), AllocError> {
        let bytes = chunk::bytes_for(layout, MIN_ALIGN)?;
        if let Some(other) = self.other.get() {
            let (pos, end) = other.tail();
            let (pos, end) = (pos.addr().get(), end.addr().get());
            if super::fit::any(pos, end, layout.size(), layout.align(), MIN_ALIGN).is_some() {
                self.move_to(other);
                return Ok(());
            }
        }
        let chunk = self.new_chunk(bytes)?;
        chunk.set_prev(self.chunks.get());
        self.chunks.set(Some(chunk));
        self.move_to(chunk);
        Ok(())
    }

    /// Makes a chunk of the list the current one. The one that was becomes the
    /// other, if it has more room (B3).
    fn move_to(&self, chunk: Link) {
        if self.other.get() == Some(chunk) {
            self.other.set(None);
        }
        match self.current.get() {
            Some(current) => {
                current.set_tail(self.pos.get(), self.end.get());
                self.offer(current);
            }
            None => {
                self.first_end.set(self.end.get());
                if let Home::Root(root) = &self.home {
                    root.first_pos.set(self.pos.get());
                }
            }
        }
        let (pos, end) = chunk.tail();
        self.current.set(Some(chunk));
        self.pos.set(pos);
        self.end.set(end);
    }

    /// Makes a chunk the other, if it has more room.
    fn offer(&self, chunk: Link) {
        if self.other.get().is_none_or(|other| other.room() < chunk.room()) {
            self.other.set(Some(chunk));
        }
    }

    /// A chunk that is on no list yet.
    fn new_chunk(&self, bytes: usize) -> Result<Link, AllocError> {
        let root = self.root();
        // Before the first chunk, the first run counts as one: so a scope that
        // was lent too little leaves more to the next.
        let first = addr::distance(self.begin, self.end.get());
        let last = self.chunks.get().map_or(first, Link::bytes);
        let good = last.saturating_mul(2).max(LEAST).max(bytes);
        let left = root.limit.get().saturating_sub(root.reserved.get());
        let chunk = match good {
            good if good <= left => Link::take(&root.source, good, MIN_ALIGN),
            _ => Err(AllocError),
        };
        let chunk = match chunk {
            Err(AllocError) if bytes <= left => Link::take(&root.source, bytes, MIN_ALIGN)?,
            chunk => chunk?,
        };
        root.reserved.set(root.reserved.get().saturating_add(chunk.bytes()));
        Ok(chunk)
    }

    /// Gives a chunk back that is on no list, and in which nothing lives.
    fn release(&self, chunk: Link) {
        let root = self.root();
        root.reserved.set(root.reserved.get().saturating_sub(chunk.bytes()));
        // SAFETY: every chunk of an arena and its scopes is from its root's
        // source; the callers have taken this one off its list.
        unsafe { chunk.release(&root.source) };
    }

    /// The arena at the end of the chain of scopes: its source has the memory.
    pub(super) fn root(&self) -> &Root<A> {
        let mut arena = self;
        loop {
            match &arena.home {
                Home::Root(root) => return root,
                // SAFETY: a parent outlives its scopes, and does not move while
                // they borrow it.
                Home::Parent(parent) => arena = unsafe { parent.as_ref() },
            }
        }
    }

    /// Makes room for `bytes` at once, without padding.
    ///
    /// # Errors
    ///
    /// There is no memory.
    pub fn try_reserve(&self, bytes: usize) -> Result<(), AllocError> {
        if self.room() >= bytes {
            return Ok(());
        }
        if !A::GROWS {
            return Err(AllocError);
        }
        let layout = Layout::from_size_align(bytes, 1).map_err(|_| AllocError)?;
        self.move_to_room_for(layout)
    }

    /// Forgets everything allocated, keeps the largest chunk, and gives the
    /// others back: an arena that is filled and reset again and again soon takes
    /// nothing more. O(chunks).
    ///
    /// ```
    /// use allod_kit::Bump;
    ///
    /// let mut arena = Bump::new();
    /// for _ in 0..3 {
    ///     for i in 0..1000 {
    ///         arena.alloc(i);
    ///     }
    ///     arena.reset();
    /// }
    /// assert_eq!(arena.reserved(), arena.room() + 32);
    /// ```
    pub fn reset(&mut self) {
        let (begin, last) = self.first();
        self.begin = begin;
        self.pos.set(begin);
        self.end.set(last);
        self.current.set(None);
        self.other.set(None);
        if let Some(kept) = self.keep_largest_until(None) {
            self.chunks.set(Some(kept));
            if begin == last {
                self.move_to(kept);
            } else {
                self.other.set(Some(kept));
            }
        }
    }

    /// As [`reset`](Bump::reset), and gives the largest chunk back too.
    pub fn clear(&mut self) {
        self.reset();
        self.current.set(None);
        self.other.set(None);
        self.pos.set(self.begin);
        self.end.set(self.first().1);
        if let Some(chunk) = self.chunks.take() {
            self.release(chunk);
        }
    }

    /// Takes the chunks newer than `oldest` off the list, gives all but the
    /// largest back, and returns that one, all free.
    fn keep_largest_until(&self, oldest: Option<Link>) -> Option<Link> {
        let mut kept: Option<Link> = None;
        while let Some(chunk) = self.chunks.get().filter(|chunk| Some(*chunk) != oldest) {
            self.chunks.set(chunk.prev());
            match kept {
                Some(larger) if larger.bytes() >= chunk.bytes() => self.release(chunk),
                _ => {
                    if let Some(smaller) = kept.replace(chunk) {
                        self.release(smaller);
                    }
                }
            }
        }
        let kept = kept?;
        kept.clear(MIN_ALIGN);
        kept.set_prev(self.chunks.get());
        Some(kept)
    }

    /// Goes back to a mark in another chunk than the current one.
    #[cold]
    #[inline(never)]
    pub(super) fn rewind_elsewhere(&self, mark: Checkpoint) {
        self.other.set(None);
        let kept = self.keep_largest_until(mark.newest);
        let end = match mark.current {
            Some(chunk) => chunk.tail().1,
            None => self.first_end.get(),
        };
        self.current.set(mark.current);
        self.pos.set(mark.pos);
        self.end.set(end);
        if let Some(kept) = kept {
            self.chunks.set(Some(kept));
            self.other.set(Some(kept));
        }
    }

    /// Closes a scope.
    #[inline]
    pub(super) fn close(&self) {
        let Home::Parent(parent) = self.home else { return };
        // SAFETY: a parent outlives its scopes.
        let parent = unsafe { parent.as_ref() };
        if self.chunks.get().is_none() && parent.end.get() == self.begin {
            parent.end.set(self.end.get());
        } else {
            self.close_slowly(parent);
        }
    }

    /// Closes a scope that took chunks, or whose parent has gone on: gives the
    /// tail back if it still fits, and the largest chunk.
    #[cold]
    #[inline(never)]
    fn close_slowly(&self, parent: &Self) {
        let first_end = if self.current.get().is_none() { &self.end } else { &self.first_end };
        parent.take_back(self.begin, first_end.get());
        let Some(kept) = self.keep_largest_until(None) else { return };
        let (here, there) = (parent.room(), parent.other.get().map_or(0, Link::room));
        if kept.room() <= here.max(there) {
            self.release(kept);
            return;
        }
        kept.set_prev(parent.chunks.get());
        parent.chunks.set(Some(kept));
        parent.move_to(kept);
    }

    /// Takes a lent tail back to where it was lent from, if that still ends
    /// where the tail begins (B4). Otherwise it stays unused until a reset.
    fn take_back(&self, begin: NonNull<u8>, end: NonNull<u8>) {
        if self.end.get() == begin {
            self.end.set(end);
        } else if self.current.get().is_some() && self.first_end.get() == begin {
            self.first_end.set(end);
        } else if let Some(chunk) = chunk::list(self.chunks.get()).find(|chunk| chunk.holds(begin))
        {
            let (pos, old_end) = chunk.tail();
            if self.current.get() != Some(chunk) && old_end == begin {
                chunk.set_tail(pos, end);
                self.offer(chunk);
            }
        }
    }

    /// Gives every chunk back.
    pub(super) fn release_all(&self) {
        while let Some(chunk) = self.chunks.get() {
            self.chunks.set(chunk.prev());
            self.release(chunk);
        }
    }

    /// Tests the invariants, and dies with a sentence.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        let (pos, end) = (self.pos.get(), self.end.get());
        assert!(pos <= end && end.addr().get() <= usize::MAX - super::REACH, "B1: the tail");
        assert!(addr::is_aligned(pos.addr().get(), MIN_ALIGN), "B1: the minimum alignment");
        let current = self.current.get();
        match current {
            Some(chunk) => {
                assert!(chunk.start(MIN_ALIGN) <= pos && end <= chunk.last(), "B1: in the chunk");
            }
            None => assert!(self.begin <= pos, "B1: in the first run"),
        }
        let on_list = |it: Link| chunk::list(self.chunks.get()).filter(|c| *c == it).count() == 1;
        assert!(current.is_none_or(on_list), "B3: the current chunk is on the list once");
        assert!(self.other.get().is_none_or(on_list), "B3: the other chunk is on the list once");
        assert!(current.is_none() || current != self.other.get(), "B3: they are two");
        for chunk in chunk::list(self.chunks.get()).filter(|chunk| Some(*chunk) != current) {
            let (pos, end) = chunk.tail();
            assert!(chunk.start(MIN_ALIGN) <= pos && pos <= end && end <= chunk.last(), "C2");
        }
        let mine: usize = chunk::list(self.chunks.get()).map(Link::bytes).sum();
        assert!(mine <= self.reserved(), "every chunk is counted");
    }
}

impl<A: Source, const MIN_ALIGN: usize> Drop for Bump<A, MIN_ALIGN> {
    #[inline]
    fn drop(&mut self) {
        // A scope has closed itself: see `Scope`.
        if A::GROWS && matches!(self.home, Home::Root(_)) {
            self.release_all();
        }
    }
}
