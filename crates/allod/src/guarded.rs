//! Objects on pages of their own, between pages that nobody can touch.
//!
//! ```text
//!   | guard |  data  | guard |  data  | guard |  data  | guard | ...   a plot of 2 MiB
//!           ^ the object, flush to one end: now this, now the other
//!   when it is freed its pages become guards too
//! ```
//!
//! For two users. The paranoid level puts every n-th object here, for testing.
//! At the other levels `guard_rate` puts about one in so many of the slow path's
//! objects here, few enough at a time for production. An access past the guarded
//! end, before a guarded start, or after the free faults at once, and
//! [`Guarded::explain`] tells what it was; an access past the other end changes a canary and is found
//! at the free.
//!
//! A plot has places of 1, 2, 4, 8 or 16 data pages. Places are taken in turn,
//! so one that was freed is used again as late as can be: the addresses are in
//! quarantine while there are others. Live objects are few, because each costs the
//! process two mappings; when there are too many, or the system refuses, the
//! caller takes an ordinary object instead.
//!
//! Beside the system's calls a look at the stack costs little: a place notes who has
//! allocated its object, and who has freed it, for the line about a mistake.
//!
//! ```text
//!   FREE ---alloc---> LIVE ---free---> CLOSING ---pages closed---> CLOSED
//!                       ^                                            |
//!                       +-------------------alloc--------------------+
//! ```
//!
//! # Invariants
//!
//! * G1. A place's data pages are accessible while its state is LIVE, and only
//!   then, unless the system refused to close them.
//! * G2. Who moves a state from LIVE to CLOSING frees the object; everybody else is
//!   told that it is free already.
//! * G3. The other fields of a place are written under the lock, before it is LIVE.
//! * G4. Plots are never unmapped while the allocator lives.
//! * G5. `made` is written under the lock too, `freed` by whoever frees, while the state is
//!   CLOSING. Reports read both at any time; each word alone is whole.
#![allow(unsafe_code)]

use crate::arena::Arena;
use crate::fatal::{Line, Misuse};
use crate::harden::canary;
use crate::harden::slot::{self, Family};
use crate::map::{Kind, Map, Record};
use crate::os::Os;
use crate::sync::{AtomicU32, AtomicUsize, Lock, Ordering, Rank, Tally};
use crate::units::CHUNK;
use crate::unwind;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Kinds of plots, by the data pages of their places: 1, 2, 4, 8, 16.
const ORDERS: usize = 5;
/// Places of the densest plot on the smallest pages.
const PLACES: usize = 256;
/// Plots at most: 8 GiB of addresses.
const PLOTS: usize = if usize::BITS == 64 { 4096 } else { 32 };

const FREE: u32 = 0;
const LIVE: u32 = 1;
const CLOSED: u32 = 2;
/// Freed, and its pages are not closed yet.
const CLOSING: u32 = 3;

/// Callers that a place notes.
pub(crate) const NOTED: usize = 8;

/// Who has allocated an object and who has freed it: return addresses, innermost first,
/// with zeros behind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Notes {
    pub(crate) made: [usize; NOTED],
    pub(crate) freed: [usize; NOTED],
}

/// One place for an object.
#[derive(Debug)]
struct Place {
    state: AtomicU32,
    family: Cell<u16>,
    /// Where the object starts, counted from the first data page.
    offset: Cell<usize>,
    asked: Cell<usize>,
    made: [AtomicUsize; NOTED],
    freed: [AtomicUsize; NOTED],
}

/// The record of a plot. A fresh one is zeros but for its head.
#[repr(C)]
#[derive(Debug)]
struct Plot {
    head: Head,
    places: [Place; PLACES],
}

#[repr(C)]
#[derive(Debug)]
struct Head {
    record: Record,
    /// Data pages of a place.
    pages: u32,
    page: usize,
    base: NonNull<u8>,
    /// The plot of the same order made before.
    older: *const Plot,
}

/// Plots of one order.
#[derive(Debug)]
struct Order {
    newest: Cell<*const Plot>,
    /// Where the next place is looked for.
    plot: Cell<*const Plot>,
    next: Cell<usize>,
    places: Cell<usize>,
    live: AtomicUsize,
}

/// All guarded objects.
#[derive(Debug)]
pub(crate) struct Guarded {
    lock: Lock,
    orders: [Order; ORDERS],
    plots: Cell<usize>,
    side: Cell<bool>,
    live: AtomicUsize,
    /// Bytes asked for of live objects.
    pub(crate) bytes: Tally,
    /// Most live objects; 0 for none at all.
    most: AtomicUsize,
    /// One object in so many, and whether exactly.
    rate: AtomicU32,
    exact: AtomicU32,
    /// Objects of threads that have no heap, where one in so many is guarded exactly.
    homeless: AtomicU32,
}

// SAFETY: the cells are touched under the lock (G3).
unsafe impl Sync for Guarded {}

impl Plot {
    fn places(&self) -> usize {
        let pages = CHUNK / self.head.page;
        ((pages - 1) / (self.head.pages as usize + 1)).min(PLACES)
    }

    fn data_len(&self) -> usize {
        self.head.pages as usize * self.head.page
    }

    /// Start of a place's data pages.
    fn data(&self, place: usize) -> NonNull<u8> {
        let offset = self.head.page + place * (self.data_len() + self.head.page);
        // SAFETY: places lie within the plot.
        unsafe { self.head.base.add(offset) }
    }

    /// The place whose data pages `address` lies in.
    fn place_of(&self, address: usize) -> Option<(usize, &Place)> {
        let offset = address.wrapping_sub(self.head.base.addr().get());
        let stride = self.data_len() + self.head.page;
        let inner = offset.checked_sub(self.head.page)?;
        let number = inner / stride;
        if number >= self.places() || inner % stride >= self.data_len() {
            return None;
        }
        Some((number, self.places.get(number)?))
    }
}

impl Guarded {
    pub(crate) const fn new() -> Self {
        Self {
            lock: Lock::new(Rank::Guarded),
            orders: [const {
                Order {
                    newest: Cell::new(ptr::null()),
                    plot: Cell::new(ptr::null()),
                    next: Cell::new(0),
                    places: Cell::new(0),
                    live: AtomicUsize::new(0),
                }
            }; ORDERS],
            plots: Cell::new(0),
            side: Cell::new(false),
            live: AtomicUsize::new(0),
            bytes: Tally::new(),
            most: AtomicUsize::new(0),
            rate: AtomicU32::new(0),
            exact: AtomicU32::new(0),
            homeless: AtomicU32::new(0),
        }
    }

    /// Lets one object in `rate` be guarded, with at most `most` at a time.
    pub(crate) fn open(&self, rate: u32, exact: bool, most: usize) {
        // ORDERING: Relaxed on all, published with the open allocator.
        self.rate.store(rate, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.exact.store(u32::from(exact), Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.most.store(most, Ordering::Relaxed);
    }

    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Objects until the next one that is to be guarded, from a number that is
    /// random, or nothing but a number.
    pub(crate) fn interval(&self, dice: u32) -> u32 {
        // ORDERING: Relaxed, set before the allocator was open.
        let rate = self.rate.load(Ordering::Relaxed).max(1);
        // ORDERING: Relaxed, as above.
        if self.exact.load(Ordering::Relaxed) != 0 {
            return rate;
        }
        // Even from 1 to twice the rate less one, so the rate on average.
        let span = u64::from(rate) * 2 - 1;
        1 + ((u64::from(dice) * span) >> 32) as u32
    }

    /// True when the next object of a thread that has no heap, and so no interval of its own,
    /// is to be guarded: one in `rate` where that is meant exactly, none otherwise.
    pub(crate) fn is_homeless_turn(&self) -> bool {
        // ORDERING: Relaxed on both, set before the allocator was open.
        let (exact, rate) = (self.exact.load(Ordering::Relaxed), self.rate.load(Ordering::Relaxed));
        // ORDERING: Relaxed, a count.
        exact != 0 && self.homeless.fetch_add(1, Ordering::Relaxed).is_multiple_of(rate.max(1))
    }

    /// A guarded object. `None` when there are enough, or it is too large, or the
    /// system refuses. It reads as zeros.
    pub(crate) fn alloc<O: Os>(
        &self,
        arena: &Arena<O>,
        size: usize,
        align: usize,
        family: Family,
        secret: u64,
    ) -> Option<NonNull<u8>> {
        let page = arena.kernel.page_size();
        let pages = size.div_ceil(page).next_power_of_two();
        let order = pages.trailing_zeros() as usize;
        if self.is_full() || size == 0 || align > page || page > CHUNK / 64 {
            return None;
        }
        let row = self.orders.get(order)?;
        let callers = callers();
        let _guard = self.lock.lock()?;
        // Threads that come at once have all seen that there was room for one.
        if self.is_full() {
            return None;
        }
        // As many places again are kept closed as are in use, and sixty-four.
        // ORDERING: Relaxed, a bound; it grows under the lock only.
        if row.places.get() < row.live.load(Ordering::Relaxed) * 2 + 64 {
            self.add_plot(arena, row, pages as u32);
        }
        let (plot, number) = row.next_free()?;
        let place = plot.places.get(number)?;
        let (data, len) = (plot.data(number), plot.data_len());
        // SAFETY: the place is ours while the lock is held: reserved, and closed (G1).
        if !unsafe { arena.kernel.commit(data, len) } {
            return None;
        }
        let left = self.side.replace(!self.side.get());
        let step = align.max(8);
        let offset = if left { 0 } else { (len - size) & !(step - 1) };
        let pattern = canary::pattern(secret, data.addr().get());
        let at = data.as_ptr();
        if offset != 0 {
            // SAFETY: the data pages are ours, and the object starts at a multiple of 8.
            unsafe { canary::write(at, 0, offset, pattern) };
        }
        if offset + size < len {
            // SAFETY: as above.
            unsafe { canary::write(at, offset + size, len, pattern) };
        }
        place.offset.set(offset);
        place.asked.set(size);
        place.family.set(family as u16);
        note(&place.made, callers);
        note(&place.freed, [0; NOTED]);
        // ORDERING: Relaxed, a bound.
        row.live.fetch_add(1, Ordering::Relaxed);
        // ORDERING: Relaxed, a bound.
        self.live.fetch_add(1, Ordering::Relaxed);
        self.bytes.add(size);
        // ORDERING: Release pairs with the Acquire in `free`: the fields are set (G3).
        place.state.store(LIVE, Ordering::Release);
        // SAFETY: the offset is within the data pages.
        Some(unsafe { data.add(offset) })
    }

    /// True when there are as many live objects as may be. More come under the lock only.
    fn is_full(&self) -> bool {
        // ORDERING: Relaxed on both, a bound; the lock orders what it holds for.
        self.live.load(Ordering::Relaxed) >= self.most.load(Ordering::Relaxed)
    }

    /// One more plot for an order, if that may be. The lock is held.
    fn add_plot<O: Os>(&self, arena: &Arena<O>, row: &Order, pages: u32) {
        if self.plots.get() >= PLOTS {
            return;
        }
        let Some((base, plot)) = arena.reserve_plot::<Plot>() else { return };
        let head = Head {
            record: Record { kind: Kind::Guarded },
            pages,
            page: arena.kernel.page_size(),
            base,
            older: row.newest.get(),
        };
        // SAFETY: the record begins with its head, in fresh memory; its places are
        // right as zeros.
        unsafe { plot.cast::<Head>().write(head) };
        row.newest.set(plot.as_ptr());
        // SAFETY: just set up, and never unmapped (G4).
        row.places.set(row.places.get() + unsafe { plot.as_ref() }.places());
        row.plot.set(plot.as_ptr());
        row.next.set(0);
        self.plots.set(self.plots.get() + 1);
        arena.map.set_record(base.addr().get(), plot.as_ptr().cast());
    }

    /// Frees the object at `address`, whose record is a plot's, and closes its pages.
    /// `given` is its size, where the program says it.
    pub(crate) fn free<O: Os>(
        &self,
        arena: &Arena<O>,
        record: NonNull<Record>,
        address: usize,
        given: Option<usize>,
        secret: u64,
    ) -> Result<(), (Misuse, usize)> {
        // SAFETY: the caller has looked the kind up; plots are never unmapped (G4).
        let plot: &Plot = unsafe { record.cast::<Plot>().as_ref() };
        let (number, place) = inspect(plot, address, secret)?;
        let asked = place.asked.get();
        if given.is_some_and(|size| size != asked) {
            return Err((Misuse::WrongSize, asked));
        }
        let swap =
            // ORDERING: AcqRel: one freer wins, behind the writes of the holder (G2).
            place.state.compare_exchange(LIVE, CLOSING, Ordering::AcqRel, Ordering::Relaxed);
        if swap.is_err() {
            return Err((Misuse::DoubleFree, asked));
        }
        note(&place.freed, callers());
        let (data, len) = (plot.data(number), plot.data_len());
        // SAFETY: the pages are the object's, which is free.
        unsafe { arena.kernel.purge(data, len) };
        // SAFETY: as above. If the system refuses, a late access goes unseen.
        unsafe { arena.kernel.decommit(data, len) };
        // ORDERING: Release pairs with the Acquire in `next_free`: the pages are closed.
        place.state.store(CLOSED, Ordering::Release);
        // ORDERING: Relaxed, a bound.
        self.live.fetch_sub(1, Ordering::Relaxed);
        self.bytes.sub(asked);
        if let Some(row) = self.orders.get(plot.head.pages.trailing_zeros() as usize) {
            // ORDERING: Relaxed, a bound; the object was counted before it was live.
            row.live.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Gives all plots back. False when an object is live.
    ///
    /// # Safety
    ///
    /// Nobody will ask for an object again.
    pub(crate) unsafe fn close<O: Os>(&self, arena: &Arena<O>) -> bool {
        // ORDERING: Relaxed, nobody else is there any more.
        if self.live.load(Ordering::Relaxed) != 0 {
            return false;
        }
        for row in &self.orders {
            let mut at = row.newest.replace(ptr::null());
            // SAFETY: null, or a plot: the records are there until after this.
            while let Some(plot) = unsafe { at.as_ref() } {
                at = plot.head.older;
                // SAFETY: the plot is ours, and none of its objects is live.
                unsafe { arena.kernel.release(plot.head.base, CHUNK) };
            }
        }
        true
    }

    /// The family of the object at `address`.
    pub(crate) fn family(&self, record: NonNull<Record>, address: usize) -> Option<Family> {
        // SAFETY: as in `free`.
        let plot: &Plot = unsafe { record.cast::<Plot>().as_ref() };
        plot.place_of(address).map(|(_, place)| slot::family(place.family.get()))
    }

    /// Bytes that were asked for of the object at `address`, after a look at it.
    pub(crate) fn usable(
        &self,
        record: NonNull<Record>,
        address: usize,
        secret: u64,
    ) -> Result<usize, (Misuse, usize)> {
        // SAFETY: as in `free`.
        let plot: &Plot = unsafe { record.cast::<Plot>().as_ref() };
        inspect(plot, address, secret).map(|(_, place)| place.asked.get())
    }

    /// Looks at every live object. Returns one that is damaged.
    pub(crate) fn sweep(&self, secret: u64) -> Result<(), (Misuse, usize, usize)> {
        let Some(_guard) = self.lock.lock() else { return Ok(()) };
        for row in &self.orders {
            let mut at = row.newest.get();
            // SAFETY: null, or a plot: those are never unmapped (G4).
            while let Some(plot) = unsafe { at.as_ref() } {
                at = plot.head.older;
                for (number, place) in plot.places.iter().enumerate().take(plot.places()) {
                    // ORDERING: Acquire pairs with the Release in `alloc`.
                    if place.state.load(Ordering::Acquire) != LIVE {
                        continue;
                    }
                    let address = plot.data(number).addr().get() + place.offset.get();
                    if let Err((what, asked)) = inspect(plot, address, secret) {
                        // ORDERING: Relaxed, a second look: another thread may free it.
                        if place.state.load(Ordering::Relaxed) == LIVE {
                            return Err((what, address, asked));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// What the guarded object at `address`, or the one that was there last, has noted.
    pub(crate) fn notes(&self, map: &Map, address: usize) -> Option<Notes> {
        let (_, place) = plot_at(map, address)?.place_of(address)?;
        // ORDERING: Relaxed, a report: each word alone is whole (G5).
        let read = |words: &[AtomicUsize; NOTED]| words.each_ref().map(|it| it.load(Ordering::Relaxed));
        Some(Notes { made: read(&place.made), freed: read(&place.freed) })
    }

    /// Tells what an access to `address` was, and which object it was about. `None` when
    /// that is none of ours.
    pub(crate) fn explain(&self, map: &Map, address: usize) -> Option<(Line, usize)> {
        let plot = plot_at(map, address)?;
        let start = |number: usize| {
            let place = plot.places.get(number)?;
            // ORDERING: Relaxed, a report about a process that is about to end.
            let was_used = place.state.load(Ordering::Relaxed) != FREE;
            let start = plot.data(number).addr().get() + place.offset.get();
            was_used.then_some((start, place.asked.get()))
        };
        let told = match plot.place_of(address) {
            Some((number, _)) => start(number).map(|object| ("use after free", object)),
            None => {
                // A guard: of the object before it, or of the one behind.
                let stride = plot.data_len() + plot.head.page;
                let behind = address.wrapping_sub(plot.head.base.addr().get()) / stride;
                let before = behind.checked_sub(1).and_then(start);
                match (before, start(behind)) {
                    (Some(before), Some(behind)) => {
                        let past = address - (before.0 + before.1);
                        if past <= behind.0 - address {
                            Some(("access past the end", before))
                        } else {
                            Some(("access before the start", behind))
                        }
                    }
                    (Some(before), None) => Some(("access past the end", before)),
                    (None, Some(behind)) => Some(("access before the start", behind)),
                    (None, None) => None,
                }
            }
        };
        let (what, (object, asked)) = told?;
        let line = Line::new().text(what).text(" of block at ").address(object).text(" (");
        Some((line.number(asked as u64).text(" bytes): at ").address(address), object))
    }
}

/// The plot that `address` lies in.
fn plot_at(map: &Map, address: usize) -> Option<&Plot> {
    let record = map.record(address)?;
    // SAFETY: records are never unmapped (M4).
    if unsafe { record.as_ref() }.kind != Kind::Guarded {
        return None;
    }
    // SAFETY: the record is a plot's, and plots are never unmapped (G4).
    Some(unsafe { record.cast::<Plot>().as_ref() })
}

/// Who calls.
fn callers() -> [usize; NOTED] {
    let mut words = [0; NOTED];
    let _found = unwind::capture(&mut words);
    words
}

fn note(place: &[AtomicUsize; NOTED], words: [usize; NOTED]) {
    for (place, word) in place.iter().zip(words) {
        // ORDERING: Relaxed, as in `notes`.
        place.store(word, Ordering::Relaxed);
    }
}

impl Order {
    /// The next place, in turn, that is not live. The lock is held.
    fn next_free(&self) -> Option<(&Plot, usize)> {
        for _ in 0..=self.places.get() {
            // SAFETY: null, or a plot: those are never unmapped (G4).
            let plot = match unsafe { self.plot.get().as_ref() } {
                Some(plot) if self.next.get() < plot.places() => plot,
                Some(plot) => {
                    let older = plot.head.older;
                    self.plot.set(if older.is_null() { self.newest.get() } else { older });
                    self.next.set(0);
                    continue;
                }
                None => return None,
            };
            let number = self.next.get();
            self.next.set(number + 1);
            // ORDERING: Acquire pairs with the Release in `free`: the pages are closed.
            let state = plot.places.get(number)?.state.load(Ordering::Acquire);
            if state == FREE || state == CLOSED {
                return Some((plot, number));
            }
        }
        None
    }
}

/// The place of the live object at `address`, whose canaries are whole.
fn inspect(plot: &Plot, address: usize, secret: u64) -> Result<(usize, &Place), (Misuse, usize)> {
    let (number, place) = plot.place_of(address).ok_or((Misuse::InvalidFree, 0))?;
    let data = plot.data(number);
    let (offset, asked) = (place.offset.get(), place.asked.get());
    // ORDERING: Acquire pairs with the Release in `alloc` (G3).
    let state = place.state.load(Ordering::Acquire);
    if state == FREE || address - data.addr().get() != offset {
        return Err((Misuse::InvalidFree, asked));
    }
    if state != LIVE {
        return Err((Misuse::DoubleFree, asked));
    }
    let pattern = canary::pattern(secret, data.addr().get());
    let (at, len) = (data.as_ptr(), plot.data_len());
    // SAFETY: the object is live, so its pages are accessible (G1).
    if offset + asked < len && !unsafe { canary::holds(at, offset + asked, len, pattern) } {
        return Err((Misuse::Overflow, asked));
    }
    // SAFETY: as above.
    if offset != 0 && !unsafe { canary::holds(at, 0, offset, pattern) } {
        return Err((Misuse::Underflow, asked));
    }
    Ok((number, place))
}
