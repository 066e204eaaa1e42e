//! Huge objects: more than 1 MiB, or an alignment that no chunk can give.
//!
//! ```text
//!   | front | committed: the object          | reserved: room to grow    | guard |
//!   +-------+--------------------------------+---------------------------+-------+
//!           ^ base: a multiple of 2 MiB      ^ base + len        base + reserved ^
//! ```
//!
//! Each has a mapping of its own. The pages behind the object stay
//! inaccessible, so running off its end faults at once. At the hardened levels so
//! does the page before it (`front`), where nobody else has it already. An object that was
//! grown before is given room: growth is then one `mprotect`, and when the room
//! ends, one `mremap`, which moves page tables and copies nothing.
//!
//! # Life of a huge object
//!
//! Mapped, or taken from the cache of the last freed ones; entered into the
//! map; grown and shrunk in place; freed into the cache; given back when
//! nobody has wanted it for the purge delay, or when room is needed. At the hardened
//! levels a freed object is not kept: its memory goes back at once, and its addresses
//! *wait*, inaccessible, until 32 others were freed after it, or too many bytes of them wait.
//!
//! # Invariants
//!
//! * H1. A record in the map is live, cached or waiting, and its range is its own.
//! * H2. Whoever retires `state` frees the object; everybody else is told that it is
//!   free already (`huge/state.rs`).
//! * H3. Everything but `state` is written under the lock, or by the one who
//!   holds the object.
#![allow(unsafe_code)]

mod cache;
mod front;
mod state;

use crate::arena::Arena;
use crate::map::{Kind, Record};
use crate::os::{Advice, Os};
use crate::sync::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Lock, Ordering, Rank, Tally};
use crate::units::{CHUNK, round_up};
use core::cell::Cell;
use core::ptr::{self, NonNull};
use state::State;

/// Freed objects kept at most.
const CACHE: usize = 16;
/// Freed objects whose addresses wait at most, and bytes of addresses: at the
/// hardened levels.
const WAITING: usize = 32;
const WAITING_MOST: usize = if usize::BITS == 64 { 1 << 34 } else { 64 << 20 };
/// Addresses of freed objects remembered, to tell a double free from a wild one.
const REMEMBERED: usize = 16;

/// The record of a huge object.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Huge {
    record: Record,
    state: State,
    base: Cell<*mut u8>,
    len: Cell<usize>,
    reserved: Cell<usize>,
    /// Bytes before the object that are reserved for nobody: a page, or none.
    front: Cell<usize>,
    /// The private heap it belongs to, and that heap's list. Under that heap's lock.
    pub(crate) heap: Cell<*mut ()>,
    pub(crate) next: Cell<*mut Huge>,
    pub(crate) prev: Cell<*mut Huge>,
    /// The sampler must hear of its free. The holder's to change.
    pub(crate) watched: Cell<bool>,
    /// What was asked for, as the sampler was last told. The holder's to change.
    pub(crate) told: Cell<usize>,
    freed_at: Cell<u64>,
    /// What was asked for. The holder's to change.
    pub(crate) asked: Cell<usize>,
    /// How it was asked for (`harden/slot.rs`, `Make`): at the hardened levels.
    pub(crate) made: Cell<u16>,
    /// The record made before this one; set once.
    older: Cell<*const Huge>,
}

impl Huge {
    /// Start of the object.
    pub(crate) fn base(&self) -> *mut u8 {
        self.base.get()
    }

    /// Bytes that the object holds.
    pub(crate) fn len(&self) -> usize {
        self.len.get()
    }

    /// Bytes of address space, from the object's start, that nobody else can have.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn reserved(&self) -> usize {
        self.reserved.get()
    }

    /// True while the program holds it.
    pub(crate) fn is_live(&self) -> bool {
        self.state.is_live()
    }

    /// Makes the object free. False when it was already.
    pub(crate) fn retire(&self) -> bool {
        self.state.retire()
    }
}

/// Bytes at the end of an object of `len` bytes that are not worth a call of the system:
/// an eighth, or a part of a huge page where that is no more than a sixth.
const fn slack(len: usize) -> usize {
    let (eighth, sixth) = (len / 8, len / 6);
    if sixth < CHUNK || eighth > CHUNK { eighth } else { CHUNK }
}

/// Where an object on huge pages that grows to `len` bytes had better end: `step`, or
/// with a huge page before it or a little behind `len`. One of which a part is
/// accessible is filled by small pages.
const fn to_huge_page(len: usize, step: usize) -> usize {
    let before = step & !(CHUNK - 1);
    match round_up(len, CHUNK) {
        Some(behind) if behind - len <= slack(len) => behind,
        _ if before >= len => before,
        _ => step,
    }
}

/// True when a cached object of `held` bytes may serve for `len` as it is: with a quarter
/// too much, or with less than a huge page, but never a half. What is too much has memory
/// already; to give it back and to touch it again costs more than to leave it.
const fn suits(held: usize, len: usize) -> bool {
    let more = held - len;
    more <= len / 4 || (more < CHUNK && more <= len / 2)
}

/// All huge objects.
#[derive(Debug)]
pub(crate) struct HugeObjects {
    lock: Lock,
    cache: [Cell<*mut Huge>; CACHE],
    /// Records to be used again, linked by `next`.
    unused: Cell<*mut Huge>,
    remembered: [Cell<usize>; REMEMBERED],
    turn: Cell<usize>,
    /// Freed by a signal handler above a holder of the lock; the next holder takes them.
    late: AtomicPtr<Huge>,
    /// All records ever made, newest first.
    newest: AtomicPtr<Huge>,
    hint: AtomicUsize,
    cache_limit: AtomicUsize,
    keep: AtomicU64,
    dense_from: AtomicUsize,
    guards: AtomicBool,
    quarantine: AtomicBool,
    /// Freed objects whose addresses wait, inaccessible: oldest first, from `oldest`.
    waiting: [Cell<*mut Huge>; WAITING],
    oldest: Cell<usize>,
    /// Bytes of addresses that wait.
    waiting_len: Cell<usize>,
    /// Bytes of live objects.
    pub(crate) live: Tally,
    /// Bytes of live and cached objects.
    pub(crate) held: Tally,
}

// SAFETY: the cells are touched under the lock alone (H3).
unsafe impl Sync for HugeObjects {}

/// What may be chosen about huge objects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Bytes of freed objects kept at most.
    pub(crate) cache_limit: usize,
    /// Milliseconds that they are kept.
    pub(crate) keep: u64,
    /// Size of an object, or of all memory in use, from which on huge pages are asked for.
    pub(crate) dense_from: usize,
    /// An inaccessible page follows each object.
    pub(crate) guards: bool,
    /// Freed objects are not used again, and their addresses not for a while.
    pub(crate) quarantine: bool,
}

impl HugeObjects {
    pub(crate) const fn new() -> Self {
        Self {
            lock: Lock::new(Rank::Huge),
            cache: [const { Cell::new(ptr::null_mut()) }; CACHE],
            unused: Cell::new(ptr::null_mut()),
            remembered: [const { Cell::new(0) }; REMEMBERED],
            turn: Cell::new(0),
            late: AtomicPtr::new(ptr::null_mut()),
            newest: AtomicPtr::new(ptr::null_mut()),
            hint: AtomicUsize::new(0),
            cache_limit: AtomicUsize::new(0),
            keep: AtomicU64::new(0),
            dense_from: AtomicUsize::new(usize::MAX),
            guards: AtomicBool::new(true),
            quarantine: AtomicBool::new(false),
            waiting: [const { Cell::new(ptr::null_mut()) }; WAITING],
            oldest: Cell::new(0),
            waiting_len: Cell::new(0),
            live: Tally::new(),
            held: Tally::new(),
        }
    }

    pub(crate) fn open(&self, policy: Policy) {
        // ORDERING: Relaxed on all, published with the open allocator.
        self.cache_limit.store(policy.cache_limit, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.keep.store(policy.keep, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.dense_from.store(policy.dense_from, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.guards.store(policy.guards, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.quarantine.store(policy.quarantine, Ordering::Relaxed);
    }

    /// The lock, for `fork`.
    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// The record of the huge object that starts at `address`.
    pub(crate) fn find<O>(&self, arena: &Arena<O>, address: usize) -> Option<&Huge> {
        let record = arena.map.record(address)?;
        // SAFETY: records are never unmapped (M4).
        if unsafe { record.as_ref() }.kind != Kind::Huge {
            return None;
        }
        // SAFETY: the kind says that the record is a huge object's.
        let huge: &Huge = unsafe { record.cast::<Huge>().as_ref() };
        (huge.base().addr() == address).then_some(huge)
    }

    /// True when a huge object was freed at `address` not long ago.
    pub(crate) fn was_freed(&self, address: usize) -> bool {
        let Some(_guard) = self.lock.lock() else { return false };
        self.remembered.iter().any(|cell| cell.get() == address)
    }

    /// A live object of `size` bytes at a multiple of `align`. The second value
    /// says that it reads as zeros.
    pub(crate) fn alloc<O: Os>(
        &self,
        arena: &Arena<O>,
        size: usize,
        align: usize,
        room: usize,
    ) -> Option<(&Huge, bool)> {
        let page = arena.kernel.page_size();
        let len = self.whole(arena, round_up(size.max(1), page)?);
        if align <= CHUNK
            && let Some(huge) = self.take_cached(len)
        {
            self.live.add(huge.len());
            if self.fit(arena, huge, len) {
                huge.asked.set(size);
                return Some((huge, false));
            }
            if huge.retire() {
                self.free(arena, huge);
            }
        }
        self.make_room(arena, len);
        // ORDERING: Relaxed, an option.
        let guard = if self.guards.load(Ordering::Relaxed) { page } else { 0 };
        let align = align.max(CHUNK);
        let wish = round_up(len.checked_add(room)?, page)?.checked_add(guard)?;
        let least = len.checked_add(guard)?;
        if wish > isize::MAX as usize {
            return None;
        }
        let mut reserved = wish;
        let base = match self.place(arena, wish, align) {
            Some(base) => base,
            None => {
                // Less room, and nothing kept, before giving up.
                self.release_cached(arena, usize::MAX);
                reserved = least;
                self.place(arena, least, align)?
            }
        };
        let huge = self.set_up(arena, base, len, reserved);
        if huge.is_none() {
            // SAFETY: nobody knows of the reservation.
            unsafe { arena.kernel.release(base, reserved) };
        }
        let huge = huge?;
        huge.asked.set(size);
        self.live.add(len);
        self.held.add(len);
        Some((huge, true))
    }

    fn place<O: Os>(&self, arena: &Arena<O>, len: usize, align: usize) -> Option<NonNull<u8>> {
        // ORDERING: Relaxed, a hint that the system may ignore.
        let below = self.hint.load(Ordering::Relaxed).saturating_sub(len) & !(align - 1);
        let base = arena.kernel.reserve_aligned(len, align, below)?;
        // ORDERING: Relaxed, as above.
        self.hint.store(base.addr().get(), Ordering::Relaxed);
        Some(base)
    }

    /// Commits a reservation and enters it into the map.
    fn set_up<O: Os>(
        &self,
        arena: &Arena<O>,
        base: NonNull<u8>,
        len: usize,
        reserved: usize,
    ) -> Option<&Huge> {
        let dense = self.is_dense(arena, len);
        let advice = if dense { Advice::HugePages } else { Advice::SmallPages };
        // SAFETY: the range is reserved and ours. One advice for all of it, so that it
        // stays one mapping as it grows and can be moved by one call.
        unsafe { arena.kernel.advise(base, reserved, advice) };
        // SAFETY: the range is reserved and ours.
        if !unsafe { arena.kernel.commit(base, len) } {
            return None;
        }
        if !arena.map.cover(&arena.kernel, base.addr().get(), 1) {
            return None;
        }
        let huge = self.record(arena)?;
        // SAFETY: the record is fresh or unused, and its memory is never unmapped (M4).
        let huge: &Huge = unsafe { huge.as_ref() };
        huge.base.set(base.as_ptr());
        huge.len.set(len);
        huge.reserved.set(reserved);
        huge.front.set(self.take_front(arena, base));
        huge.heap.set(ptr::null_mut());
        huge.state.set_live();
        arena.map.set_record(base.addr().get(), ptr::from_ref(huge).cast_mut().cast());
        Some(huge)
    }

    /// True when an object of `len` bytes should be on huge pages.
    fn is_dense<O: Os>(&self, arena: &Arena<O>, len: usize) -> bool {
        // ORDERING: Relaxed, an option.
        let dense_from = self.dense_from.load(Ordering::Relaxed);
        let in_use = self.live.get().saturating_add(arena.active.get()).saturating_add(len);
        len >= CHUNK && in_use >= dense_from && arena.kernel.huge_page_size() == CHUNK
    }

    /// The length for an object that needs `len` bytes: to the end of its last huge
    /// page, where it has huge pages and that is at most an eighth more. A tail on
    /// small pages costs up to 511 faults.
    fn whole<O: Os>(&self, arena: &Arena<O>, len: usize) -> usize {
        match round_up(len, CHUNK) {
            Some(whole) if whole - len <= len / 8 && self.is_dense(arena, len) => whole,
            _ => len,
        }
    }

    /// A record that is nobody's.
    fn record<O: Os>(&self, arena: &Arena<O>) -> Option<NonNull<Huge>> {
        if let Some(_guard) = self.lock.lock()
            && let Some(huge) = NonNull::new(self.unused.get())
        {
            // SAFETY: unused records are the lock holder's.
            self.unused.set(unsafe { huge.as_ref() }.next.get());
            return Some(huge);
        }
        let place = arena.meta.take(&arena.kernel, size_of::<Huge>(), align_of::<Huge>())?;
        let huge = Huge {
            record: Record { kind: Kind::Huge },
            state: State::gone(),
            base: Cell::new(ptr::null_mut()),
            len: Cell::new(0),
            reserved: Cell::new(0),
            front: Cell::new(0),
            heap: Cell::new(ptr::null_mut()),
            next: Cell::new(ptr::null_mut()),
            prev: Cell::new(ptr::null_mut()),
            watched: Cell::new(false),
            told: Cell::new(0),
            freed_at: Cell::new(0),
            asked: Cell::new(0),
            made: Cell::new(0),
            older: Cell::new(ptr::null()),
        };
        let place = place.cast::<Huge>();
        // SAFETY: fresh memory of the right size and alignment.
        unsafe { place.write(huge) };
        // ORDERING: Relaxed, only linked to; the exchange publishes.
        let mut newest = self.newest.load(Ordering::Relaxed);
        loop {
            // SAFETY: just written, and never unmapped.
            unsafe { place.as_ref() }.older.set(newest);
            let new = place.as_ptr();
            // ORDERING: Release pairs with the Acquire in `resident`.
            match self.newest.compare_exchange_weak(newest, new, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return Some(place),
                Err(seen) => newest = seen,
            }
        }
    }

    /// Frees an object that [`Huge::retire`] has given to the caller.
    pub(crate) fn free<O: Os>(&self, arena: &Arena<O>, huge: &Huge) {
        self.live.sub(huge.len());
        // Its next user may be anybody, and the heap it was of may be gone.
        huge.heap.set(ptr::null_mut());
        huge.freed_at.set(arena.kernel.clock());
        // ORDERING: Relaxed, an option.
        if self.quarantine.load(Ordering::Relaxed) {
            return self.retain(arena, huge);
        }
        let Some(guard) = self.lock.lock() else {
            self.put_late(huge);
            return;
        };
        let mut out = self.put(huge, None);
        while let Some(late) = self.take_late() {
            out = self.put(late, out);
        }
        drop(guard);
        self.unmap_all(arena, out);
    }

    /// Makes a freed object inaccessible and lets its addresses wait. The memory goes
    /// back at once.
    fn retain<O: Os>(&self, arena: &Arena<O>, huge: &Huge) {
        let Some(base) = NonNull::new(huge.base()) else { return };
        self.held.sub(huge.len());
        // SAFETY: the object is free, and its range its own (H1).
        unsafe { arena.kernel.purge(base, huge.len()) };
        // SAFETY: as above. If the system refuses, a late access reads zeros.
        unsafe { arena.kernel.decommit(base, huge.len()) };
        // From here on the record has no bytes: nothing of it is held any more.
        huge.len.set(0);
        let Some(guard) = self.lock.lock() else {
            return self.unmap(arena, huge);
        };
        let oldest = self.oldest.get();
        self.oldest.set((oldest + 1) % WAITING);
        let mut out = None;
        if let Some(cell) = self.waiting.get(oldest) {
            // SAFETY: null, or a record: records are never unmapped.
            out = unsafe { cell.replace(ptr::from_ref(huge).cast_mut()).as_ref() };
        }
        let gone = out.map_or(0, |out| out.reserved.get());
        let waiting = self.waiting_len.get() + huge.reserved.get() - gone;
        self.waiting_len.set(waiting);
        huge.next.set(ptr::null_mut());
        drop(guard);
        self.unmap_all(arena, out);
        if waiting > WAITING_MOST {
            self.release_waiting(arena);
        }
    }

    /// Gives back all addresses that wait.
    fn release_waiting<O: Os>(&self, arena: &Arena<O>) {
        let Some(guard) = self.lock.lock() else { return };
        let mut out: Option<&Huge> = None;
        for cell in &self.waiting {
            // SAFETY: null, or a record: records are never unmapped.
            let Some(huge) = (unsafe { cell.replace(ptr::null_mut()).as_ref() }) else { continue };
            huge.next.set(out.map_or(ptr::null_mut(), |h| ptr::from_ref(h).cast_mut()));
            out = Some(huge);
        }
        self.waiting_len.set(0);
        drop(guard);
        self.unmap_all(arena, out);
    }

    /// Unmaps a chain of objects and keeps their records.
    fn unmap_all<O: Os>(&self, arena: &Arena<O>, first: Option<&Huge>) {
        let mut at = first;
        while let Some(huge) = at {
            // SAFETY: the chain is ours, and records are never unmapped.
            let next = unsafe { huge.next.get().as_ref() };
            self.unmap(arena, huge);
            at = next;
        }
    }

    fn unmap<O: Os>(&self, arena: &Arena<O>, huge: &Huge) {
        self.held.sub(huge.len());
        arena.map.set_record(huge.base().addr(), ptr::null_mut());
        huge.state.set_gone();
        if let Some(base) = NonNull::new(huge.base()) {
            self.give_front(arena, huge, base);
            // SAFETY: the range is the object's alone (H1), and the object is free.
            // A refusal (a mapping would have to be split) leaks addresses, not memory.
            if !unsafe { arena.kernel.release(base, huge.reserved.get()) } && huge.len() != 0 {
                // SAFETY: as above.
                unsafe { arena.kernel.purge(base, huge.len()) };
            }
        }
        // Without the lock (a handler above a holder) the record is lost, and nothing else.
        let Some(_guard) = self.lock.lock() else { return };
        huge.next.set(self.unused.get());
        self.unused.set(ptr::from_ref(huge).cast_mut());
    }

    /// Makes a live object hold `size` bytes without moving it. False when there
    /// is no room; it is then as it was.
    pub(crate) fn resize<O: Os>(&self, arena: &Arena<O>, huge: &Huge, size: usize) -> bool {
        let done = self.resize_to(arena, huge, size);
        if done {
            huge.asked.set(size);
        }
        done
    }

    fn resize_to<O: Os>(&self, arena: &Arena<O>, huge: &Huge, size: usize) -> bool {
        let page = arena.kernel.page_size();
        let Some(len) = round_up(size, page) else { return false };
        let old = huge.len();
        if len <= old {
            return self.shrink(arena, huge, len);
        }
        // ORDERING: Relaxed, an option.
        let guard = if self.guards.load(Ordering::Relaxed) { page } else { 0 };
        let most = huge.reserved.get().saturating_sub(guard);
        if len > most {
            return false;
        }
        let Some(base) = NonNull::new(huge.base()) else { return false };
        // SAFETY: `old` is within the object's reservation.
        let end = unsafe { base.add(old) };
        // What grows by a little will do so again: a call of the kernel for each eighth,
        // not for each page. What is not touched costs nothing.
        // Less than `shrink` takes for worth giving back.
        let step = round_up(old + old / 9, page).unwrap_or(len);
        let step = if self.is_dense(arena, len) { to_huge_page(len, step) } else { step };
        self.make_room_to_grow(arena, step.clamp(len, most) - old);
        for len in [step.clamp(len, most), len] {
            // SAFETY: the range up to `len` is reserved and the object's.
            if unsafe { arena.kernel.commit(end, len - old) } {
                self.set_len(huge, len);
                return true;
            }
        }
        false
    }

    /// Makes an object out of the cache hold `len` bytes and little more, here or
    /// elsewhere. False when the system refuses; it holds then what it held.
    fn fit<O: Os>(&self, arena: &Arena<O>, huge: &Huge, len: usize) -> bool {
        if huge.len() >= len {
            if suits(huge.len(), len) {
                return true;
            }
            // Behind a whole huge page: a part of one costs as much to keep as to split.
            let cut = if self.is_dense(arena, len) { round_up(len, CHUNK) } else { None };
            self.shrink(arena, huge, cut.unwrap_or(len).min(huge.len()));
            // The tail may have to stay where the system refuses to split a mapping.
            return huge.len() / 2 < len;
        }
        self.resize_to(arena, huge, len) || self.grow_elsewhere(arena, huge, len).is_some()
    }

    /// Gives the tail of a live object back, if that is worth a system call.
    fn shrink<O: Os>(&self, arena: &Arena<O>, huge: &Huge, len: usize) -> bool {
        let old = huge.len();
        if old - len < slack(old) {
            return true;
        }
        let Some(base) = NonNull::new(huge.base()) else { return false };
        // SAFETY: `len` is within the object's reservation.
        let end = unsafe { base.add(len) };
        let tail = huge.reserved.get() - len;
        let page = arena.kernel.page_size();
        // ORDERING: Relaxed, an option.
        let guard = if self.guards.load(Ordering::Relaxed) { page } else { 0 };
        if tail <= page {
            return true;
        }
        // SAFETY: the tail is more than a page, so this is within it.
        let rest = unsafe { end.add(guard) };
        // SAFETY: the tail is the object's, and the program has given it up.
        if unsafe { arena.kernel.release(rest, tail - guard) } {
            // The page behind the new end stays ours: were it unmapped too, anybody's
            // mapping could follow the object, and running into it would go unseen.
            // SAFETY: as above. If it stays accessible, an overflow into it goes unseen.
            let _ = guard == 0 || unsafe { arena.kernel.decommit(end, guard) };
            huge.reserved.set(len + guard);
            self.set_len(huge, len);
        }
        true
    }

    fn set_len(&self, huge: &Huge, len: usize) {
        let by = len as isize - huge.len() as isize;
        self.live.shift(by);
        self.held.shift(by);
        huge.len.set(len);
    }

    /// Moves a live object to where it can hold `size` bytes, with room for as
    /// much again, and copies nothing. `None`: it is where it was.
    pub(crate) fn grow_elsewhere<O: Os>(
        &self,
        arena: &Arena<O>,
        huge: &Huge,
        size: usize,
    ) -> Option<NonNull<u8>> {
        let page = arena.kernel.page_size();
        let len = self.whole(arena, round_up(size, page)?);
        let whole = len.checked_mul(2)?.checked_add(page)?;
        let (old, old_len, old_reserved) =
            (NonNull::new(huge.base())?, huge.len(), huge.reserved.get());
        let (new, reserved) = match self.place(arena, whole, CHUNK) {
            Some(new) => (new, whole),
            None => (self.place(arena, len.checked_add(page)?, CHUNK)?, len + page),
        };
        self.make_room_to_grow(arena, len - old_len);
        let covered = arena.map.cover(&arena.kernel, new.addr().get(), 1);
        // All of the new place is moved to, and its end is made inaccessible after:
        // so the kernel keeps one mapping, which the next move needs. (One that is
        // moved to and then grown by its neighbour is two for ever: the kernel
        // numbers their pages by where they came from.)
        //
        // The old place is anybody's as soon as it is moved from, so its record goes before:
        // afterwards it would be the record of another thread's object.
        arena.map.set_record(old.addr().get(), ptr::null_mut());
        // SAFETY: both ranges are ours; the old one is one mapping with one advice,
        // committed for `old_len` bytes; the new one is reserved.
        let moved = covered && unsafe { arena.kernel.remap(old, old_len, new, reserved - page) };
        if !moved {
            arena.map.set_record(old.addr().get(), ptr::from_ref(huge).cast_mut().cast());
            // SAFETY: nobody knows of the new reservation.
            unsafe { arena.kernel.release(new, reserved) };
            return None;
        }
        if self.is_dense(arena, len) {
            // What is there stays on small pages; what is yet to come need not. All of
            // the mapping at once, so that it stays one.
            // SAFETY: the range is ours and one mapping.
            unsafe { arena.kernel.advise(new, reserved - page, Advice::HugePages) };
        }
        // SAFETY: `len` is within the new reservation.
        let rest = unsafe { new.add(len) };
        if reserved - page > len {
            // SAFETY: the rest is ours and has never been touched. If it stays
            // accessible, an overflow into it goes unseen.
            unsafe { arena.kernel.decommit(rest, reserved - page - len) };
        }
        if old_reserved > old_len {
            // SAFETY: `old_len` is within the old reservation.
            let rest = unsafe { old.add(old_len) };
            // SAFETY: what `remap` left of the old reservation is ours and empty.
            unsafe { arena.kernel.release(rest, old_reserved - old_len) };
        }
        self.give_front(arena, huge, old);
        huge.front.set(self.take_front(arena, new));
        huge.base.set(new.as_ptr());
        huge.reserved.set(reserved);
        huge.asked.set(size);
        self.set_len(huge, len);
        arena.map.set_record(new.addr().get(), ptr::from_ref(huge).cast_mut().cast());
        Some(new)
    }

    /// How many objects are live.
    pub(crate) fn live_count(&self) -> usize {
        let mut count = 0;
        // ORDERING: Acquire pairs with the Release in `record`.
        let mut at: *const Huge = self.newest.load(Ordering::Acquire);
        // SAFETY: null, or a record: records are never unmapped.
        while let Some(huge) = unsafe { at.as_ref() } {
            at = huge.older.get();
            count += usize::from(huge.is_live());
        }
        count
    }

    /// Bytes of live and cached objects that have memory behind them.
    pub(crate) fn resident<O: Os>(&self, arena: &Arena<O>) -> usize {
        // Not for ever: a dump in a signal handler asks as well.
        let Some(_guard) = self.lock.lock_soon() else { return self.held.get() };
        let mut sum = 0;
        // ORDERING: Acquire pairs with the Release in `record`.
        let mut at: *const Huge = self.newest.load(Ordering::Acquire);
        // SAFETY: null, or a record: records are never unmapped.
        while let Some(huge) = unsafe { at.as_ref() } {
            at = huge.older.get();
            if let (true, Some(base)) = (huge.state.is_mapped(), NonNull::new(huge.base())) {
                // SAFETY: the range is the object's; one that is unmapped meanwhile
                // is only asked about.
                sum += unsafe { arena.kernel.resident(base, huge.len()) };
            }
        }
        sum
    }
}
