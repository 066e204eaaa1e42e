//! Huge objects that were freed, and wait to be wanted again.
//!
//! ```text
//!   free --> put --> | 16 places, and the bytes that are kept at most | --> unmapped
//!                         |            |             |
//!                     take_cached    decay        give_up, make_room, release_cached
//!                     (a near size)  (old)        (others need the memory)
//! ```
//!
//! A cached object is its own range still (H1), and dirty: whoever takes it is told so. What is kept is
//! memory that a peak counts twice, so it shrinks as soon as somebody else is about to touch
//! memory that the process did not have. At most as much is kept as the option says, or
//! as there is in live huge objects, if that is more: arrays whose temporaries are as large
//! as they are find them warm, and a program that falls silent holds no more than twice
//! what it uses (docs/decisions/070).
//!
//! Everything here is done under the lock; what goes is unmapped after it.
#![allow(unsafe_code)]

use super::{Huge, HugeObjects, REMEMBERED};
use crate::arena::Arena;
use crate::os::Os;
use crate::sync::Ordering;
use crate::units::CHUNK;
use core::cell::Cell;
use core::ptr;

impl HugeObjects {
    /// Takes the freed object that comes nearest to `len` bytes, if one is within
    /// a quarter and four times of it. What it has too much goes back, what it lacks
    /// is added (`fit`): either costs less than to touch all of a new one.
    pub(super) fn take_cached(&self, len: usize) -> Option<&Huge> {
        let _guard = self.lock.lock()?;
        let mut best: Option<(&Cell<*mut Huge>, &Huge)> = None;
        for cell in &self.cache {
            // SAFETY: cached records are the lock holder's, and never unmapped.
            let Some(huge) = (unsafe { cell.get().as_ref() }) else { continue };
            let near = huge.len() / 4 <= len && len / 4 <= huge.len();
            // What is added must be touched and what is cut off need not.
            let off = |huge: &Huge| match huge.len().checked_sub(len) {
                Some(over) => over,
                None => 2 * (len - huge.len()),
            };
            if near && best.is_none_or(|(_, other)| off(huge) < off(other)) {
                best = Some((cell, huge));
            }
        }
        let (cell, huge) = best?;
        cell.set(ptr::null_mut());
        huge.state.set_live();
        Some(huge)
    }

    pub(super) fn put_late(&self, huge: &Huge) {
        // ORDERING: Relaxed, only linked to; the exchange below publishes.
        let mut head = self.late.load(Ordering::Relaxed);
        loop {
            huge.next.set(head);
            let new = ptr::from_ref(huge).cast_mut();
            // ORDERING: Release pairs with the Acquire in `take_late`.
            match self.late.compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }

    /// One of the objects freed late. The caller holds the lock.
    pub(super) fn take_late(&self) -> Option<&Huge> {
        // ORDERING: Acquire pairs with the Release in `put_late`.
        let head = self.late.swap(ptr::null_mut(), Ordering::Acquire);
        // SAFETY: records are never unmapped, and the swap made the chain ours.
        let huge = unsafe { head.as_ref() }?;
        // SAFETY: as above.
        if let Some(rest) = unsafe { huge.next.get().as_ref() } {
            self.put_late(rest);
        }
        huge.next.set(ptr::null_mut());
        Some(huge)
    }

    /// Puts a freed object into the cache. Returns the chain `out` with those before it that
    /// have to go: this one, and where live objects were what others were kept beside, these.
    pub(super) fn put<'a>(&'a self, huge: &'a Huge, out: Option<&'a Huge>) -> Option<&'a Huge> {
        huge.next.set(ptr::null_mut());
        let turn = self.turn.get();
        self.turn.set((turn + 1) % REMEMBERED);
        if let Some(cell) = self.remembered.get(turn) {
            cell.set(huge.base().addr());
        }
        let live = self.live.get();
        // ORDERING: Relaxed, an option.
        let limit = match self.cache_limit.load(Ordering::Relaxed) {
            0 => 0,
            limit => limit.max(live),
        };
        // Others add and take meanwhile.
        let kept = self.held.get().saturating_sub(live);
        let place = self.cache.iter().find(|cell| cell.get().is_null());
        if let (Some(cell), true) = (place, kept <= limit) {
            cell.set(ptr::from_ref(huge).cast_mut());
            return out;
        }
        let mut out = chain(huge, out);
        let mut kept = kept.saturating_sub(huge.len());
        for cell in &self.cache {
            if kept <= limit {
                break;
            }
            // SAFETY: cached records are the lock holder's, and never unmapped.
            let Some(other) = (unsafe { cell.replace(ptr::null_mut()).as_ref() }) else { continue };
            kept = kept.saturating_sub(other.len());
            out = chain(other, out);
        }
        out
    }

    /// Gives back cached objects whose time is up.
    pub(crate) fn decay<O: Os>(&self, arena: &Arena<O>, now: u64) {
        // ORDERING: Relaxed, an option.
        let keep = self.keep.load(Ordering::Relaxed);
        // Every thread comes by here: where nothing is kept, none writes to the lock's line.
        if self.held.get() <= self.live.get() {
            return;
        }
        let Some(guard) = self.lock.try_lock() else { return };
        let mut out: Option<&Huge> = None;
        for cell in &self.cache {
            // SAFETY: cached records are the lock holder's, and never unmapped.
            let Some(huge) = (unsafe { cell.get().as_ref() }) else { continue };
            if now.saturating_sub(huge.freed_at.get()) >= keep {
                cell.set(ptr::null_mut());
                out = chain(huge, out);
            }
        }
        drop(guard);
        self.unmap_all(arena, out);
    }

    /// Gives back cached objects, at least `bytes` of them if there are as many.
    /// Returns the bytes.
    pub(crate) fn release_cached<O: Os>(&self, arena: &Arena<O>, bytes: usize) -> usize {
        self.release_waiting(arena);
        let Some(guard) = self.lock.lock() else { return 0 };
        let (mut out, mut given): (Option<&Huge>, usize) = (None, 0);
        for cell in &self.cache {
            if given >= bytes {
                break;
            }
            // SAFETY: cached records are the lock holder's, and never unmapped.
            let Some(huge) = (unsafe { cell.get().as_ref() }) else { continue };
            given += huge.len();
            cell.set(ptr::null_mut());
            out = chain(huge, out);
        }
        drop(guard);
        self.unmap_all(arena, out);
        given
    }

    /// Makes what is cached smaller by some `bytes`, which others are about to take: the
    /// object that was freed last gives its tail, or goes.
    ///
    /// A cache that stays whole while spans grow is memory that a peak counts twice: an
    /// eighth of sqlite's (docs/decisions/043). What is given up costs as much to touch
    /// again as what is taken costs to touch, so no growth gets slower than twofold.
    pub(crate) fn give_up<O: Os>(&self, arena: &Arena<O>, bytes: usize) {
        if self.held.get() <= self.live.get() {
            return;
        }
        let Some(guard) = self.lock.lock() else { return };
        let mut last: Option<(&Cell<*mut Huge>, &Huge)> = None;
        for cell in &self.cache {
            // SAFETY: cached records are the lock holder's, and never unmapped.
            let Some(huge) = (unsafe { cell.get().as_ref() }) else { continue };
            if last.is_none_or(|(_, other)| other.freed_at.get() <= huge.freed_at.get()) {
                last = Some((cell, huge));
            }
        }
        let Some((cell, huge)) = last else { return };
        cell.set(ptr::null_mut());
        huge.next.set(ptr::null_mut());
        // What `shrink` finds worth a system call, and whole huge pages.
        let less = bytes.max(huge.len() / 7);
        let keep = huge.len().saturating_sub(less) & !(CHUNK - 1);
        if keep == 0 {
            drop(guard);
            return self.unmap(arena, huge);
        }
        drop(guard);
        // It is in no place now and stays free: a second free of it is still told. `shrink`
        // counts what it takes off as live.
        self.live.add(huge.len());
        self.shrink(arena, huge, keep);
        self.live.sub(huge.len());
        let Some(guard) = self.lock.lock() else { return self.put_late(huge) };
        let out = self.put(huge, None);
        drop(guard);
        self.unmap_all(arena, out);
    }

    /// Before `len` bytes are mapped: keeps the peak near where it is.
    pub(super) fn make_room<O: Os>(&self, arena: &Arena<O>, len: usize) {
        let (held, peak) = (self.held.get(), self.held.peak());
        let slack = (peak / 8).max(4 << 20);
        if held > self.live.get() && held.saturating_add(len) > peak.saturating_add(slack) {
            self.release_cached(arena, len);
        }
    }

    /// Before an object grows by `more` bytes past all that there ever was: what is cached
    /// gets as much smaller. Without the slack of [`HugeObjects::make_room`], which small
    /// steps would take again and again.
    pub(super) fn make_room_to_grow<O: Os>(&self, arena: &Arena<O>, more: usize) {
        let held = self.held.get();
        if held > self.live.get() && held.saturating_add(more) > self.held.peak() {
            self.give_up(arena, more);
        }
    }
}

/// The chain that begins with `huge` and goes on with `rest`.
fn chain<'a>(huge: &'a Huge, rest: Option<&'a Huge>) -> Option<&'a Huge> {
    huge.next.set(rest.map_or(ptr::null_mut(), |rest| ptr::from_ref(rest).cast_mut()));
    Some(huge)
}
