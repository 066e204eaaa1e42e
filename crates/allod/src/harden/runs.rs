//! Large objects at the hardened levels: canary, wiping, quarantine.
//!
//! ```text
//!   |<-------- asked -------->|<- canary ->|  a guard           |
//!   +-------------------------+------------+--------------------+
//!   ^ a slice                 to the page's end      the run's end ^
//! ```
//!
//! A large object (32 KiB to 1 MiB) is a run of slices. What was asked for
//! stands in its record (`below`), and so does its family (`carved`). The bytes
//! from there to the end of the page are canary, and behind that stands a guard
//! (`guards.rs`; `free_count` says how long), for which there is always room. Where there is none,
//! in a huge page for one, the run's very end is looked at: a write before the start of the
//! next object would be there.
//!
//! When it is freed, its memory is made zeros, from 256 KiB on by giving it back, and, but
//! for huge pages, its addresses inaccessible, so that a later access faults. Whoever has the
//! slices next looks at them first.
//!
//! # Invariants
//!
//! * HL1. The spans of the ring are in state FREE, in nobody's hands but ours, and
//!   their slices are not the arena's yet; they read as zeros.
//! * HL2. A live run reads as zeros behind its canary, as far as it can be read.
//! * HL3. The last [`closed`] bytes of a run are its guard, until its slices are the arena's.
#![allow(unsafe_code)]

use super::canary;
use super::guards::{Guards, PAGE};
use super::shelf::{BEFORE, Ground};
use crate::arena::bits::Run;
use crate::fatal::{self, Misuse};
use crate::os::Os;
use crate::span::Span;
use crate::sync::{Lock, Rank, compiler_barrier};
use crate::units::{SLICE, SLICE_SHIFT, SLICES_PER_CHUNK};
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Objects in quarantine at most, and bytes of them that have memory.
const RING: usize = 32;
const RING_BYTES: usize = 1 << 20;
/// From this size on a freed object's memory goes back.
const GIVE_BACK: usize = 256 << 10;

/// Freed large objects, oldest first from `first`.
#[derive(Debug)]
pub(crate) struct Runs {
    lock: Lock,
    ring: [Cell<*const Span>; RING],
    first: Cell<usize>,
    count: Cell<usize>,
    bytes: Cell<usize>,
    /// Those that the system would not open again, linked by `next`.
    stuck: Cell<*const Span>,
}

// SAFETY: the cells are touched under the lock.
unsafe impl Sync for Runs {}

/// Where the canary behind `asked` bytes ends.
pub(crate) const fn canary_end(asked: usize) -> usize {
    (asked & !(PAGE - 1)) + PAGE
}

/// Bytes that a run must have for an object of `asked`: a byte of slack, and behind its
/// canary's page another.
pub(crate) const fn bytes_for(asked: usize) -> usize {
    let end = canary_end(asked);
    if end.is_multiple_of(SLICE) { end + 1 } else { asked + 1 }
}

/// Bytes of a run's guard.
fn closed(span: &Span) -> usize {
    usize::from(span.free_count()) * PAGE
}

/// Writes the canary of the large object of `span`, which holds `asked` bytes, and puts a
/// guard up behind it, if none is.
///
/// # Safety
///
/// The object is the caller's, and reads as zeros behind its canary (HL2).
pub(crate) unsafe fn seal<O: Os>(ground: Ground<'_, O>, span: &Span, asked: usize, secret: u64) {
    span.set_below(asked);
    let pattern = canary::pattern(secret, span.base().addr());
    // SAFETY: a run has at least one byte of slack, so the page's end is within it.
    unsafe { canary::write(span.base(), asked, canary_end(asked), pattern) };
    let Some(chunk) = ground.arena.chunk_at(span.base().addr()) else { return };
    let Some(page) = Guards::page(ground.arena).filter(|_| !chunk.is_dense()) else { return };
    let (from, len) = (canary_end(asked).next_multiple_of(page), span.slices() * SLICE);
    if from >= len || closed(span) != 0 {
        return;
    }
    let Some(at) = NonNull::new(span.base().wrapping_add(from)) else { return };
    // SAFETY: the run's end is the caller's, and reads as zeros (HL2).
    if unsafe { ground.guards.raise(ground.arena, at, len - from) } {
        span.set_free_count(((len - from) / PAGE) as u16);
    }
}

/// Takes the guard of a run down, if there is one. False: the system refuses.
pub(crate) fn unguard<O: Os>(ground: Ground<'_, O>, span: &Span) -> bool {
    let (len, closed) = (span.slices() * SLICE, closed(span));
    let Some(at) = NonNull::new(span.base().wrapping_add(len - closed)) else { return false };
    // SAFETY: these bytes are the run's guard (HL3).
    if closed != 0 && !unsafe { ground.guards.lower(ground.arena, at, closed) } {
        return false;
    }
    span.set_free_count(0);
    true
}

/// Ends the process if the canary of a live large object is not whole.
pub(crate) fn check(span: &Span, secret: u64) {
    let (base, asked) = (span.base(), span.below());
    let pattern = canary::pattern(secret, base.addr());
    // SAFETY: the object is live, so its memory is there.
    if !unsafe { canary::holds(base, asked, canary_end(asked), pattern) } {
        fatal::misuse(Misuse::Overflow, base.addr(), span.block_size());
    }
    let len = span.slices() * SLICE;
    if closed(span) == 0 && canary_end(asked) <= len - BEFORE {
        let last = base.wrapping_add(len - BEFORE);
        // SAFETY: as above, and nothing behind the canary was ever written (HL2).
        if !unsafe { canary::is_zero(last, BEFORE) } {
            fatal::misuse(Misuse::Underflow, base.addr() + len, 0);
        }
    }
}

/// Makes the last `len` bytes of a run zeros, from `at` on, which is a slice's start.
pub(crate) fn clear<O: Os>(ground: Ground<'_, O>, at: NonNull<u8>, len: usize) {
    // A slice may start in the middle of a page of 64 KiB.
    let page = ground.arena.kernel.page_size();
    let whole = len.is_multiple_of(page) && at.addr().get().is_multiple_of(page);
    // SAFETY: the caller has the slices, and nobody needs what they hold.
    if !whole || !unsafe { ground.arena.kernel.purge(at, len) } {
        // SAFETY: as above.
        unsafe { at.write_bytes(0, len) };
    }
}

/// Bytes of a freed object that have memory behind them.
fn kept(span: &Span) -> usize {
    let len = span.slices() * SLICE;
    if span.is_listed() && len >= GIVE_BACK { 0 } else { len }
}

impl Runs {
    pub(crate) const fn new() -> Self {
        Self {
            lock: Lock::new(Rank::Runs),
            ring: [const { Cell::new(ptr::null()) }; RING],
            first: Cell::new(0),
            count: Cell::new(0),
            bytes: Cell::new(0),
            stuck: Cell::new(ptr::null()),
        }
    }

    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Takes a freed large object into quarantine. Its word is FREE, by the
    /// caller, who has checked its canary.
    pub(crate) fn retain<O: Os>(&self, ground: Ground<'_, O>, span: &Span) {
        let Some(base) = NonNull::new(span.base()) else { return };
        let (len, open) = (span.slices() * SLICE, span.slices() * SLICE - closed(span));
        let dense = ground.arena.chunk_at(base.addr().get()).is_some_and(|chunk| chunk.is_dense());
        let may = !dense && Guards::page(ground.arena).is_some();
        if may && len >= GIVE_BACK {
            clear(ground, base, open);
        } else {
            // SAFETY: the run is ours, and nobody needs what it holds; nothing behind the canary
            // was ever written.
            unsafe { base.write_bytes(0, canary_end(span.below()).min(open)) };
        }
        // SAFETY: as above. What it has of its guard is closed already.
        let is_closed = may && unsafe { ground.arena.kernel.decommit(base, open) };
        span.set_listed(is_closed);
        compiler_barrier();
        let Some(guard) = self.lock.lock() else {
            // A handler above a holder.
            self.leave(ground, span);
            return;
        };
        let mut out = None;
        if self.count.get() == RING {
            out = self.pop();
        }
        self.push(span);
        let too_much = self.bytes.get() > RING_BYTES;
        drop(guard);
        if let Some(out) = out {
            self.leave(ground, out);
        }
        if too_much {
            self.reduce(ground);
        }
    }

    /// Lets the oldest go until few enough bytes are kept.
    fn reduce<O: Os>(&self, ground: Ground<'_, O>) {
        loop {
            let out = match self.lock.lock() {
                Some(_guard) if self.bytes.get() > RING_BYTES / 2 => self.pop(),
                _ => None,
            };
            let Some(span) = out else { return };
            self.leave(ground, span);
        }
    }

    /// Puts a span behind the others. The lock is held, and there is room.
    fn push(&self, span: &Span) {
        let place = (self.first.get() + self.count.get()) % RING;
        if let Some(cell) = self.ring.get(place) {
            cell.set(span);
        }
        self.count.set(self.count.get() + 1);
        self.bytes.set(self.bytes.get() + kept(span));
    }

    /// The oldest. The lock is held.
    fn pop(&self) -> Option<&'static Span> {
        if self.count.get() == 0 {
            return None;
        }
        let first = self.first.get();
        self.first.set((first + 1) % RING);
        self.count.set(self.count.get() - 1);
        // SAFETY: a span of the ring: records are never unmapped (M4).
        let span = unsafe { self.ring.get(first)?.replace(ptr::null()).as_ref() }?;
        self.bytes.set(self.bytes.get() - kept(span));
        Some(span)
    }

    /// Gives the slices of an object back that has been in quarantine.
    fn leave<O: Os>(&self, ground: Ground<'_, O>, span: &Span) {
        let Some(base) = NonNull::new(span.base()) else { return };
        let Some(chunk) = ground.arena.chunk_at(base.addr().get()) else { return };
        let open = span.slices() * SLICE - closed(span);
        // SAFETY: the run is ours.
        let mut done = !span.is_listed() || unsafe { ground.arena.kernel.commit(base, open) };
        if done {
            span.set_listed(false);
            done = unguard(ground, span);
        }
        if !done {
            // The system refuses a mapping: the addresses wait for a better time.
            let Some(_guard) = self.lock.lock() else { return };
            span.set_next(self.stuck.get().cast_mut());
            self.stuck.set(span);
            return;
        }
        let first = ((base.addr().get() >> SLICE_SHIFT) % SLICES_PER_CHUNK) as u32;
        let run = Run::new(first, span.slices() as u32);
        // SAFETY: the run is ours, and all of it may have been touched.
        unsafe { ground.arena.give(chunk, run, span.slices() as u32) };
    }

    /// Looks at what waits and is accessible: one that does not read as zeros.
    pub(crate) fn damaged(&self) -> Option<&Span> {
        let _guard = self.lock.lock()?;
        self.ring.iter().find_map(|cell| {
            // SAFETY: null, or a span of the ring: records are never unmapped (M4).
            let span = unsafe { cell.get().as_ref() }?;
            let wiped = canary_end(span.below()).min(span.slices() * SLICE);
            // SAFETY: the run is ours and readable (HL1).
            let whole = span.is_listed() || unsafe { canary::is_zero(span.base(), wiped) };
            (!whole).then_some(span)
        })
    }

    /// True while `span` is in quarantine.
    #[cfg(any(test, fuzzing, audit))]
    pub(crate) fn holds(&self, span: &Span) -> bool {
        let mut at = self.stuck.get();
        // SAFETY: null, or a span that is stuck: records are never unmapped (M4).
        while let Some(stuck) = unsafe { at.as_ref() } {
            if ptr::eq(stuck, span) {
                return true;
            }
            at = stuck.next();
        }
        self.ring.iter().any(|cell| ptr::eq(cell.get(), span))
    }

    /// Gives everything in quarantine back.
    pub(crate) fn release<O: Os>(&self, ground: Ground<'_, O>) {
        for _ in 0..RING {
            let out = match self.lock.lock() {
                Some(_guard) => self.pop(),
                None => None,
            };
            let Some(span) = out else { break };
            self.leave(ground, span);
        }
        let mut at = match self.lock.lock() {
            Some(_guard) => self.stuck.replace(ptr::null()),
            None => ptr::null(),
        };
        // SAFETY: null, or a span that is stuck: records are never unmapped (M4).
        while let Some(span) = unsafe { at.as_ref() } {
            at = span.next();
            self.leave(ground, span);
        }
    }
}
