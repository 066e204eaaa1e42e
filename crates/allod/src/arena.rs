//! The arena: reservations, the chunks in them, and runs of slices.
//!
//! ```text
//!   region: a reservation of up to 512 chunks
//!   +-------+-------+-------+------------- ... ---------------+-------+
//!   | thin  | dense | dense |      not opened: reserved       | thin  |
//!   +-------+-------+-------+------------- ... ---------------+-------+
//!     opened upwards from the low end          downwards from the top
//! ```
//!
//! A chunk is opened (committed, given a record) when slices are wanted and no
//! open chunk has them. It is opened *dense*, backed by one huge page, once the
//! process is past its first few megabytes and the caller fills whole slices;
//! everything else shares *thin* chunks on small pages. A first touch of a
//! small page costs 2 us and of a huge one a sixth of that for each 4 KiB, but
//! a huge page that is filled sparsely costs its whole 2 MiB (measured
//! 2026-11-21, docs/decisions/002). Dense chunks are opened upwards and thin
//! ones downwards, so that the kernel keeps a handful of mappings for a region.
//!
//! Slices that have been written to are handed out before untouched ones: they
//! have memory already.
//!
//! # Life of a run of slices
//!
//! `take` finds one, dirty first, lowest chunk first, and opens a chunk when
//! there is none. `give` puts it back. What stays free and dirty for two ticks
//! of the decay clock goes back to the system (`arena/purge.rs`).
//!
//! # Invariants
//!
//! * A1. A region's chunks below `low` and from `high` on are open: committed,
//!   and with a record in the map. The others are reserved and nothing else.
//! * A2. Regions and records are never unmapped while the allocator lives.
//! * A3. A set hint bit means that a chunk may have free (dirty) slices; a chunk
//!   that has some and no bit is found again when the next slice is given back.
//!
//! # Threads
//!
//! Taking and giving slices is lock-free. The lock guards opening and reserving; the
//! purger's, which comes before it, `aged` and the tick (`arena/purge.rs`).
#![allow(unsafe_code)]

pub(crate) mod bits;
pub(crate) mod purge;

use crate::depot::Records;
use crate::map::{Kind, Map, Record};
use crate::meta::Meta;
use crate::os::{Advice, Kernel, Os};
use crate::span::Span;
use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Lock, Ordering, Rank, Tally};
use crate::units::{CHUNK, CHUNK_SHIFT, SLICE, SLICE_SHIFT, SLICES_PER_CHUNK};
use bits::{Run, SliceBits, Taste};
use core::ptr::{self, NonNull};

/// Most chunks of one region: 1 GiB of addresses.
const REGION_CHUNKS: usize = 512;
const HINT_WORDS: usize = REGION_CHUNKS / 64;
/// The first region is 64 MiB: nothing beside a library's own mappings.
const FIRST_REGION: usize = (64 << 20) / CHUNK;

/// The record of a chunk, with the records of its slices.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Chunk {
    head: Head,
    bits: SliceBits,
    /// Slices that were free and dirty at the last tick (`purge.rs`).
    aged: AtomicU64,
    /// A dense chunk's memory is there, all of it.
    backed: AtomicBool,
    spans: [Span; SLICES_PER_CHUNK],
}

/// What a chunk's record says from the start; the rest of a fresh one is zeros.
#[repr(C)]
#[derive(Debug)]
struct Head {
    record: Record,
    /// The chunk's number in its region.
    number: u32,
    base: NonNull<u8>,
    region: NonNull<Region>,
    /// Backed by a huge page when touched.
    dense: bool,
}

/// A reservation.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Region {
    next: AtomicPtr<Region>,
    base: NonNull<u8>,
    chunks: usize,
    /// Chunks below are open (A1). Under the arena's lock.
    low: AtomicU32,
    /// Chunks from here on are open (A1). Under the arena's lock.
    high: AtomicU32,
    free_hint: [AtomicU64; HINT_WORDS],
    dirty_hint: [AtomicU64; HINT_WORDS],
    /// One for each chunk, the last chunk's first: what is filled by a process of a few slices
    /// is taken from the end, and lies beside this record and the first heap's.
    records: NonNull<Chunk>,
}

/// Looks chunks up, and remembers the last one.
#[derive(Debug)]
pub(crate) struct Walk<'a, O> {
    arena: &'a Arena<O>,
    base: usize,
    chunk: Option<&'a Chunk>,
}

impl<'a, O: Os> Walk<'a, O> {
    /// As [`Arena::chunk_at`].
    #[inline(always)]
    pub(crate) fn chunk_at(&mut self, address: usize) -> Option<&'a Chunk> {
        let base = address & !(CHUNK - 1);
        if base != self.base {
            self.base = base;
            self.chunk = self.arena.chunk_at(address);
        }
        self.chunk
    }
}

/// A run of slices in its caller's hands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slices {
    pub(crate) chunk: NonNull<Chunk>,
    pub(crate) run: Run,
    /// All of it reads as zeros.
    pub(crate) clean: bool,
    /// A chunk was opened for it, or just then for another: the process is about to hold
    /// more than it did.
    pub(crate) opened: bool,
}

/// What may be chosen about an arena.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Bytes filled on small pages from which on new chunks may be dense; `usize::MAX` for never.
    pub(crate) dense_from: usize,
    /// Milliseconds that free memory is kept.
    pub(crate) purge_delay: u64,
}

/// The arena.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Arena<O> {
    pub(crate) map: Map,
    pub(crate) kernel: Kernel<O>,
    pub(crate) meta: Meta,
    lock: Lock,
    purger: Lock,
    newest: AtomicPtr<Region>,
    reserved: AtomicUsize,
    /// Chunks that were opened.
    opened: AtomicUsize,
    /// Bytes of clean slices on small pages that were taken to be filled, until these
    /// are as many as `dense_from`.
    filling: AtomicUsize,
    dense_from: AtomicUsize,
    purge_delay: AtomicU64,
    purge_due: AtomicU64,
    /// Bytes of slices in use.
    pub(crate) active: Tally,
    /// Bytes of slices that have memory behind them, whole slices counted.
    pub(crate) touched: Tally,
    /// Bytes of slices that are free and have memory behind them.
    pub(crate) spare: Tally,
}

impl Chunk {
    /// The record of slice `index`, counted from any chunk's start.
    #[inline]
    pub(crate) fn span(&self, index: usize) -> &Span {
        &self.spans[index % SLICES_PER_CHUNK]
    }

    /// The record of the span that `address`, in this chunk, lies in. Whether
    /// there is a span at all its word says.
    #[inline]
    pub(crate) fn span_of(&self, address: usize) -> &Span {
        let index = (address >> SLICE_SHIFT) % SLICES_PER_CHUNK;
        let back = self.span(index).back() as usize;
        self.span(index.wrapping_sub(back) % SLICES_PER_CHUNK)
    }

    /// All records of slices.
    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The free slices, as of some recent moment.
    pub(crate) fn free(&self) -> u64 {
        self.bits.free()
    }

    /// Lets every slice of a run know its span's first one (S5).
    pub(crate) fn tie(&self, run: Run) {
        for i in 1..run.count() {
            self.span((run.first() + i) as usize).set_back(i as u8);
        }
    }

    /// True for a chunk that lies in one huge page when it is touched.
    pub(crate) fn is_dense(&self) -> bool {
        self.head.dense
    }

    /// Start of the memory of slice `index`, which is below 64.
    pub(crate) fn slice(&self, index: u32) -> NonNull<u8> {
        // SAFETY: slices 0 to 63 lie within the chunk's 2 MiB.
        unsafe { self.head.base.add((index as usize % SLICES_PER_CHUNK) << SLICE_SHIFT) }
    }

    fn region(&self) -> &Region {
        // SAFETY: regions are never unmapped (A2).
        unsafe { self.head.region.as_ref() }
    }

    /// What a caller may take here: clean slices only where it does not put what
    /// touches a page or two of its slices onto huge pages, or the reverse. A clean
    /// slice of a huge page costs no fault, but who fills it needs no other.
    fn taste(&self, dense: bool) -> Taste {
        if self.head.dense == dense { Taste::Any } else { Taste::Dirty }
    }
}

impl Region {
    /// Chunk `number`, if it is open.
    fn chunk(&self, number: usize) -> Option<&Chunk> {
        // ORDERING: Acquire pairs with the Releases in `open`: the record is set up.
        let low = self.low.load(Ordering::Acquire) as usize;
        // ORDERING: Acquire, as above.
        let high = self.high.load(Ordering::Acquire) as usize;
        if number >= self.chunks || (number >= low && number < high) {
            return None;
        }
        // SAFETY: `number` is below the region's chunks.
        let record = unsafe { self.record(number) };
        // SAFETY: A1 says it is set up; records are never unmapped (A2).
        Some(unsafe { record.as_ref() })
    }

    /// Where the record of chunk `number` is, or will be.
    ///
    /// # Safety
    ///
    /// The region has so many chunks.
    unsafe fn record(&self, number: usize) -> NonNull<Chunk> {
        // SAFETY: `records` has one for each chunk of the region.
        unsafe { self.records.add(self.chunks - 1 - number) }
    }

    fn hint(&self, dirty: bool, number: usize) -> Option<&AtomicU64> {
        if dirty { self.dirty_hint.get(number / 64) } else { self.free_hint.get(number / 64) }
    }

    fn set_hint(&self, dirty: bool, number: usize) {
        if let Some(word) = self.hint(dirty, number) {
            let bit = 1 << (number % 64);
            // ORDERING: Relaxed, a hint (A3). Looking first keeps the line shared.
            if word.load(Ordering::Relaxed) & bit == 0 {
                // ORDERING: Relaxed, as above.
                word.fetch_or(bit, Ordering::Relaxed);
            }
        }
    }

    fn clear_hint(&self, dirty: bool, number: usize) {
        if let Some(word) = self.hint(dirty, number) {
            // ORDERING: Relaxed, a hint (A3).
            word.fetch_and(!(1 << (number % 64)), Ordering::Relaxed);
        }
    }
}

impl<O> Arena<O> {
    pub(crate) const fn new(os: O, map: Map) -> Self
    where
        O: Os,
    {
        Self {
            kernel: Kernel::new(os),
            map,
            meta: Meta::new(),
            lock: Lock::new(Rank::Arena),
            purger: Lock::new(Rank::Purger),
            newest: AtomicPtr::new(ptr::null_mut()),
            reserved: AtomicUsize::new(0),
            opened: AtomicUsize::new(0),
            filling: AtomicUsize::new(0),
            dense_from: AtomicUsize::new(usize::MAX),
            purge_delay: AtomicU64::new(500),
            purge_due: AtomicU64::new(0),
            active: Tally::new(),
            touched: Tally::new(),
            spare: Tally::new(),
        }
    }

    /// The lock of opening and reserving, and the purger's, for `fork`.
    pub(crate) fn locks(&self) -> [&Lock; 2] {
        [&self.purger, &self.lock]
    }

    /// Visits every region, newest first.
    fn regions(&self) -> impl Iterator<Item = &Region> {
        // ORDERING: Acquire pairs with the Release in `add_region`.
        let mut at = self.newest.load(Ordering::Acquire);
        core::iter::from_fn(move || {
            let region = NonNull::new(at)?;
            // SAFETY: regions are never unmapped (A2).
            let region = unsafe { region.as_ref() };
            // ORDERING: Acquire, as above; `next` is set before the region is published.
            at = region.next.load(Ordering::Acquire);
            Some(region)
        })
    }

    /// Visits every open chunk.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.regions().flat_map(|region| (0..region.chunks).filter_map(|i| region.chunk(i)))
    }

    /// For looking up many addresses, most of which lie together.
    pub(crate) fn walk(&self) -> Walk<'_, O> {
        Walk { arena: self, base: usize::MAX, chunk: None }
    }

    /// The chunk record for `address`, if a chunk of ours is there.
    #[inline]
    pub(crate) fn chunk_at(&self, address: usize) -> Option<&Chunk> {
        let record = self.map.record(address)?;
        // SAFETY: records are never unmapped (M4).
        match unsafe { record.as_ref() }.kind {
            // SAFETY: the kind says that the record is a chunk's.
            Kind::Chunk => Some(unsafe { record.cast::<Chunk>().as_ref() }),
            _ => None,
        }
    }

    /// The record of the span that `address` lies in. Whether there is a span at
    /// all its word says.
    #[inline]
    pub(crate) fn span_at(&self, address: usize) -> Option<&Span> {
        self.chunk_at(address).map(|chunk| chunk.span_of(address))
    }
}

impl<O: Os> Arena<O> {
    /// Makes the arena ready. False when the system refuses the map.
    pub(crate) fn open(&self, policy: Policy) -> bool {
        self.set_policy(policy);
        self.map.open(&self.kernel)
    }

    /// Changes what may be chosen. Memory that is there already stays as it is.
    pub(crate) fn set_policy(&self, policy: Policy) {
        let huge = self.kernel.huge_page_size() == CHUNK;
        let dense_from = if huge { policy.dense_from } else { usize::MAX };
        // ORDERING: Relaxed, published with the open arena by the caller.
        self.dense_from.store(dense_from, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.purge_delay.store(policy.purge_delay, Ordering::Relaxed);
    }

    /// Takes `count` slices in a row, at a multiple of `align` of them.
    ///
    /// `home` is where the caller last found some, and is kept up to date.
    pub(crate) fn take(
        &self,
        home: &core::cell::Cell<*const Chunk>,
        count: usize,
        align: usize,
        fills: bool,
    ) -> Option<Slices> {
        let (count, align) = (count as u32, align as u32);
        let dense = fills && self.is_past_small_pages();
        // SAFETY: null, or a record of this arena: those are never unmapped (A2).
        if let Some(chunk) = unsafe { home.get().as_ref() }
            && let Some(run) = chunk.bits.take(count, align, chunk.taste(dense))
        {
            return Some(self.taken(chunk, run, fills));
        }
        // Dirty slices anywhere first: they cost no page fault and no memory.
        if self.spare.get() >= count as usize * SLICE
            && let Some((chunk, run)) = self.search(true, count, align, dense)
        {
            home.set(chunk);
            return Some(self.taken(chunk, run, fills));
        }
        self.make_room(count as usize * SLICE);
        // ORDERING: Relaxed, compared under the lock: being wrong costs a chunk.
        let opened = self.opened.load(Ordering::Relaxed);
        if let Some((chunk, run)) = self.search(false, count, align, dense) {
            home.set(chunk);
            return Some(self.taken(chunk, run, fills));
        }
        let (chunk, run) = self.open_chunk(count, align, dense, opened)?;
        home.set(chunk);
        Some(Slices { opened: true, ..self.taken(chunk, run, fills) })
    }

    /// True once so much was filled on small pages that more is better on huge ones.
    fn is_past_small_pages(&self) -> bool {
        // ORDERING: Relaxed on both, figures.
        let dense_from = self.dense_from.load(Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.filling.load(Ordering::Relaxed) >= dense_from
    }

    fn taken(&self, chunk: &Chunk, run: Run, fills: bool) -> Slices {
        let dirty = chunk.bits.dirty_of(run) as usize;
        let clean = run.count() as usize - dirty;
        self.active.add(run.count() as usize * SLICE);
        if dirty != 0 {
            self.spare.sub(dirty * SLICE);
        }
        if !chunk.head.dense {
            self.touched.add(clean * SLICE);
            if fills && !self.is_past_small_pages() {
                // ORDERING: Relaxed, a figure.
                self.filling.fetch_add(clean * SLICE, Ordering::Relaxed);
            }
        // ORDERING: Relaxed on both, a flag for figures and preferences.
        } else if !chunk.backed.load(Ordering::Relaxed)
            && !chunk.backed.swap(true, Ordering::Relaxed)
        {
            self.touched.add(CHUNK);
        }
        Slices { chunk: NonNull::from(chunk), run, clean: dirty == 0, opened: false }
    }

    /// Takes the `more` slices that follow slice `last` of `chunk`, if they are free.
    pub(crate) fn extend(&self, chunk: &Chunk, last: u32, more: u32) -> Option<Slices> {
        if last + 1 + more > SLICES_PER_CHUNK as u32 {
            return None;
        }
        let run = Run::new(last + 1, more);
        chunk.bits.take_exactly(run).then(|| self.taken(chunk, run, true))
    }

    fn search(&self, dirty: bool, count: u32, align: u32, dense: bool) -> Option<(&Chunk, Run)> {
        for region in self.regions() {
            for word in 0..region.chunks.div_ceil(64) {
                // ORDERING: Relaxed, hints (A3).
                let mut hints = region.hint(dirty, word * 64)?.load(Ordering::Relaxed);
                while hints != 0 {
                    let number = word * 64 + hints.trailing_zeros() as usize;
                    hints &= hints - 1;
                    let Some(chunk) = region.chunk(number) else { continue };
                    let taste = if dirty { Taste::Dirty } else { chunk.taste(dense) };
                    if let Some(run) = chunk.bits.take(count, align, taste) {
                        return Some((chunk, run));
                    }
                    let left = if dirty { chunk.bits.free_dirty() } else { chunk.bits.free() };
                    if left == 0 {
                        region.clear_hint(dirty, number);
                        // Somebody may have given slices back between the look and the clearing.
                        let left = if dirty { chunk.bits.free_dirty() } else { chunk.bits.free() };
                        if left != 0 {
                            region.set_hint(dirty, number);
                        }
                    }
                }
            }
        }
        None
    }

    /// Gives a run back. The caller has cleared its entries in the map.
    ///
    /// # Safety
    ///
    /// The caller holds the run (B1), and of its slices has touched at most the
    /// first `touched`.
    pub(crate) unsafe fn give(&self, chunk: &Chunk, run: Run, touched: u32) {
        let touched = touched.min(run.count());
        if touched != 0 {
            chunk.bits.soil(Run::new(run.first(), touched));
        }
        let dirty = chunk.bits.dirty_of(run);
        self.active.sub(run.count() as usize * SLICE);
        if !chunk.head.dense {
            // `taken` counted the clean ones as touched; some were not after all.
            self.touched.sub((run.count() - dirty) as usize * SLICE);
        }
        self.spare.add(dirty as usize * SLICE);
        chunk.bits.give(run);
        let region = chunk.region();
        region.set_hint(false, chunk.head.number as usize);
        if dirty != 0 {
            region.set_hint(true, chunk.head.number as usize);
        }
    }

    /// Opens a chunk and takes its first `count` slices. If another than the first
    /// `opened` chunks was opened since the caller has looked, there may be some in it:
    /// threads that start at once would open one each, on a huge page each.
    #[cold]
    fn open_chunk(&self, count: u32, align: u32, dense: bool, opened: usize) -> Option<(&Chunk, Run)> {
        let _guard = self.lock.lock()?;
        // ORDERING: Relaxed, changed under the lock only.
        if self.opened.load(Ordering::Relaxed) != opened
            && let Some(found) = self.search(false, count, align, dense)
        {
            return Some(found);
        }
        let mut found = None;
        for region in self.regions() {
            // ORDERING: Relaxed, changed under the lock only.
            if region.low.load(Ordering::Relaxed) < region.high.load(Ordering::Relaxed) {
                found = Some(region);
                break;
            }
        }
        let region = match found {
            Some(region) => region,
            None => self.add_region()?,
        };
        // ORDERING: Relaxed, changed under the lock only.
        let (low, high) = (region.low.load(Ordering::Relaxed), region.high.load(Ordering::Relaxed));
        let number = if dense { low } else { high - 1 };
        // SAFETY: `number` is below the region's chunks.
        let base = unsafe { region.base.add((number as usize) << CHUNK_SHIFT) };
        if dense {
            // SAFETY: the chunk is reserved and ours. If the advice fails the pages are small.
            unsafe { self.kernel.advise(base, CHUNK, Advice::HugePages) };
        }
        // SAFETY: the chunk is reserved and ours (A1).
        if !unsafe { self.kernel.commit(base, CHUNK) } {
            return None;
        }
        // SAFETY: `number` is below the region's chunks.
        let chunk = unsafe { region.record(number as usize) };
        let run = Run::new(0, count);
        let head = Head {
            record: Record { kind: Kind::Chunk },
            number,
            base,
            region: NonNull::from(region),
            dense,
        };
        // SAFETY: the record begins with its head, and is not in the map yet, so
        // nobody else looks at it; the other fields are right as zeros.
        unsafe { chunk.cast::<Head>().write(head) };
        // SAFETY: just set up, never unmapped.
        let record: &Chunk = unsafe { chunk.as_ref() };
        record.bits.give(Run::new(0, 64));
        record.bits.take_exactly(run);
        if !self.map.set_record(base.addr().get(), chunk.as_ptr().cast()) {
            return None;
        }
        let (edge, value) =
            if dense { (&region.low, low + 1) } else { (&region.high, high - 1) };
        // ORDERING: Release pairs with the Acquire in `chunk`: the record is set up (A1).
        edge.store(value, Ordering::Release);
        region.set_hint(false, number as usize);
        // ORDERING: Relaxed, the lock orders it for whoever looks again.
        self.opened.fetch_add(1, Ordering::Relaxed);
        Some((record, run))
    }

    /// Reserves a region: as much as there is already, between 64 MiB and 1 GiB,
    /// or the half of that, or the half of that, as far as the system lets us.
    fn add_region(&self) -> Option<&Region> {
        // ORDERING: Relaxed, changed under the lock only.
        let so_far = self.reserved.load(Ordering::Relaxed) >> CHUNK_SHIFT;
        let mut chunks = so_far.clamp(FIRST_REGION, REGION_CHUNKS);
        while chunks > 0 {
            let len = chunks << CHUNK_SHIFT;
            if let Some(base) = self.kernel.reserve_aligned(len, CHUNK, 0) {
                if let Some(region) = self.add_region_at(base, chunks) {
                    return Some(region);
                }
                // SAFETY: nobody knows of this range yet.
                unsafe { self.kernel.release(base, len) };
            }
            chunks /= 2;
        }
        None
    }

    fn add_region_at(&self, base: NonNull<u8>, chunks: usize) -> Option<&Region> {
        let len = chunks << CHUNK_SHIFT;
        if !self.map.cover(&self.kernel, base.addr().get(), len) {
            return None;
        }
        let place = self.meta.take(&self.kernel, size_of::<Region>(), align_of::<Region>())?;
        let place = place.cast::<Region>();
        let size = size_of::<Chunk>() * chunks;
        let records = self.meta.take_uncounted(&self.kernel, size, align_of::<Chunk>())?;
        let records = records.cast::<Chunk>();
        // SAFETY: the region is reserved and ours. Hosts that make every page huge
        // would otherwise back a program of 100 KiB with 2 MiB.
        unsafe { self.kernel.advise(base, len, Advice::SmallPages) };
        let region = Region {
            // ORDERING: Relaxed, published by the Release below.
            next: AtomicPtr::new(self.newest.load(Ordering::Relaxed)),
            base,
            chunks,
            low: AtomicU32::new(0),
            high: AtomicU32::new(chunks as u32),
            free_hint: [const { AtomicU64::new(0) }; HINT_WORDS],
            dirty_hint: [const { AtomicU64::new(0) }; HINT_WORDS],
            records,
        };
        // SAFETY: the place is fresh memory of the right size and alignment.
        unsafe { place.write(region) };
        // ORDERING: Release pairs with the Acquire in `regions`.
        self.newest.store(place.as_ptr(), Ordering::Release);
        // ORDERING: Relaxed, changed under the lock only.
        self.reserved.fetch_add(len, Ordering::Relaxed);
        // SAFETY: just written, never unmapped (A2).
        Some(unsafe { place.as_ref() })
    }

    /// Reserves as many addresses as a chunk has, for what is no chunk, and takes memory of
    /// zeros for their record: where they are, and the record.
    pub(crate) fn reserve_plot<T>(&self) -> Option<(NonNull<u8>, NonNull<T>)> {
        let base = self.kernel.reserve_aligned(CHUNK, CHUNK, 0)?;
        let record = self
            .map
            .cover(&self.kernel, base.addr().get(), CHUNK)
            .then(|| self.meta.take(&self.kernel, size_of::<T>(), align_of::<T>()))
            .flatten();
        if record.is_none() {
            // SAFETY: nobody knows of the reservation.
            unsafe { self.kernel.release(base, CHUNK) };
        }
        Some((base, record?.cast()))
    }

    /// Unmaps every region.
    ///
    /// # Safety
    ///
    /// Nobody will touch a slice again.
    pub(crate) unsafe fn close(&self) {
        for region in self.regions() {
            // SAFETY: the region is ours, and nobody uses it any more.
            unsafe { self.kernel.release(region.base, region.chunks << CHUNK_SHIFT) };
        }
    }

    /// Bytes of open chunks that have memory behind them, as the kernel says.
    pub(crate) fn resident(&self) -> usize {
        // SAFETY: open chunks are committed and ours (A1).
        self.chunks().map(|chunk| unsafe { self.kernel.resident(chunk.head.base, CHUNK) }).sum()
    }
}

impl<O> Records for Arena<O> {
    fn span(&self, number: u64) -> Option<NonNull<Span>> {
        let address = (number as usize) << SLICE_SHIFT;
        let chunk = self.chunk_at(address)?;
        Some(NonNull::from(chunk.span((address >> SLICE_SHIFT) % SLICES_PER_CHUNK)))
    }
}
