//! Heaps over regions of memory that you bring: what they have in common.
//!
//! [`Tlsf`](crate::Tlsf), [`Buddy`](crate::Buddy) and
//! [`FirstFit`](crate::FirstFit) are [`Regions`] with a plan: which free block
//! to take, how to give one back. This room finds the region a block is of,
//! answers for sizes and alignments, counts, and copies nothing.
//!
//! ```text
//!   Regions --> region 1 --------> region 2 -----> none
//!               header, tables,    header, ...
//!               blocks
//! ```
//!
//! The heap itself is one pointer, so it costs a `static` nothing, and it may be
//! moved while its blocks are in use. Regions are asked in the order in which
//! they were added: give the fast memory first. Two regions never melt into
//! one, even if they touch: a block lies in one region.
//!
//! # What blocks cost
//!
//! Nothing but rounding: no header stands before a block. The price is that
//! [`deallocate`](Regions::deallocate) must be told the true layout, as all of
//! Rust does, and C does not: these heaps cannot stand behind `free(void *)`.
//!
//! # Invariants
//!
//! * H1. The regions on the chain are disjoint, each was laid out by `P`, and
//!   each is ours until the heap is gone (`'m`).
//! * H2. A header's `free` is the sum of the sizes of its region's free blocks.
#![allow(unsafe_code)]

use crate::allocator::{AllocError, nothing};
use crate::words::{ALIGN, CONTROL, WORD, Words};
use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// The start of every region.
#[repr(C, align(16))]
struct Header {
    /// Written for blocks that are not there (`words.rs`).
    none: [u32; 2],
    /// Words in the region.
    words: u32,
    /// Words in its free blocks (H2).
    free: u32,
    next: Option<NonNull<Header>>,
    /// Words that were free when the region was laid out.
    capacity: u32,
}

const _: () = assert!(size_of::<Header>() <= CONTROL as usize * WORD);
const _: () = assert!(align_of::<Header>() == ALIGN);

/// The most words a region has, so that a place behind it still fits 32 bits.
pub(crate) const MOST_WORDS: usize = 1 << (if usize::BITS > 32 { 31 } else { 28 });

/// No block has so many bytes: a region that large has tables too.
const LIMIT: usize = MOST_WORDS * WORD;

/// How a region is cut into blocks. Sealed: the heaps of this crate have it.
///
/// Sizes and places are in words. 0 is no place.
pub trait Plan {
    /// The plan's name, for [`fmt::Debug`].
    #[doc(hidden)]
    const NAME: &'static str;
    /// The size of a block for `size` bytes, which are not 0 and fewer than a
    /// region can have.
    #[doc(hidden)]
    fn measure(size: usize) -> u32;
    /// Lays out a region of so many words; returns how many are free then, or 0
    /// if they are too few to be of use.
    #[doc(hidden)]
    fn build(region: Region, words: u32) -> u32;
    /// Takes a block of a measured size, aligned to so many bytes, or 0.
    #[doc(hidden)]
    fn take(region: Region, size: u32, align: usize) -> u32;
    /// The same, if it can be done without calling a function. `None` says
    /// nothing: [`take`](Plan::take) is asked then.
    #[doc(hidden)]
    #[inline]
    fn take_fast(region: Region, size: u32, align: usize) -> Option<u32> {
        Some(Self::take(region, size, align)).filter(|at| *at != 0)
    }
    /// Gives a block back.
    #[doc(hidden)]
    fn give(region: Region, at: u32, size: u32);
    /// Gives a block another measured size where it is, if that can be.
    #[doc(hidden)]
    fn resize(region: Region, at: u32, old: u32, new: u32) -> bool;
    /// The size of the largest block that [`take`](Plan::take) will find.
    #[doc(hidden)]
    fn largest(region: Region) -> u32;
    /// Walks everything; returns the words in free blocks, or what is wrong.
    #[doc(hidden)]
    fn check(region: Region, words: u32) -> Result<u32, &'static str>;
}

/// A region, for a [`Plan`]. Opaque.
#[doc(hidden)]
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "nobody outside can hold one")]
pub struct Region(pub(crate) Words);

/// A heap over regions of memory that you bring. Use it by the name of its plan:
/// [`Tlsf`](crate::Tlsf), [`Buddy`](crate::Buddy),
/// [`FirstFit`](crate::FirstFit).
///
/// One thread at a time may use it, and its methods want `&mut self`. For
/// collections, several threads, or `#[global_allocator]`, put it into a
/// [`Heap`](crate::Heap).
///
/// ```
/// use allod_kit::Tlsf;
/// use core::{alloc::Layout, mem::MaybeUninit};
///
/// let mut memory = [MaybeUninit::uninit(); 4096];
/// let mut heap = Tlsf::new();
/// heap.add(&mut memory);
///
/// let layout = Layout::new::<[u64; 10]>();
/// let block = heap.allocate(layout)?;
/// assert_eq!(heap.used(), 80);
/// // SAFETY: the block is the heap's, of this layout, and not used again.
/// unsafe { heap.deallocate(block.cast(), layout) };
/// assert_eq!(heap.used(), 0);
/// # Ok::<(), allod_kit::AllocError>(())
/// ```
///
/// The memory is borrowed for as long as the heap:
///
/// ```compile_fail,E0597
/// # use allod_kit::Tlsf;
/// # use core::mem::MaybeUninit;
/// let mut heap = Tlsf::new();
/// {
///     let mut memory = [MaybeUninit::uninit(); 4096];
///     heap.add(&mut memory);
/// }
/// heap.used();
/// ```
///
/// # What it costs
///
/// What its plan says. *Memory.* The heap itself is a pointer; what a region costs
/// is written at each plan.
///
/// # When not to use it
///
/// Behind C's `free`: whoever frees must know the layout. Shared:
/// [`Heap`](crate::Heap) has the lock.
pub struct Regions<'m, P> {
    first: Option<NonNull<Header>>,
    memory: PhantomData<(&'m mut [MaybeUninit<u8>], P)>,
}

// SAFETY: the regions are ours alone (H1), wherever we are.
unsafe impl<P> Send for Regions<'_, P> {}
// SAFETY: what takes `&self` only reads.
unsafe impl<P> Sync for Regions<'_, P> {}

impl<P: Plan> Default for Regions<'_, P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Plan> fmt::Debug for Regions<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(P::NAME).field("used", &self.used()).field("free", &self.free()).finish()
    }
}

impl<'m, P: Plan> Regions<'m, P> {
    /// A heap without memory: everything fails until a region is added.
    #[must_use]
    pub const fn new() -> Self {
        Self { first: None, memory: PhantomData }
    }

    /// Adds a region. Returns how many bytes of it blocks can have; 0 says that
    /// it was too small to be of use, and is not used.
    ///
    /// O(size / 128): the region's tables are written.
    pub fn add(&mut self, memory: &'m mut [MaybeUninit<u8>]) -> usize {
        let base = NonNull::from(&mut *memory).cast();
        // SAFETY: the memory is ours for all of `'m`: nobody else can touch it.
        unsafe { self.add_region(base, memory.len()) }
    }

    /// Adds the `size` bytes at `base`, as [`add`](Regions::add) does.
    ///
    /// # Safety
    ///
    /// The bytes may be read and written through `base` and are nobody else's
    /// until the heap and all of its blocks are gone.
    pub unsafe fn add_region(&mut self, base: NonNull<u8>, size: usize) -> usize {
        let mut usable = 0;
        let gap = base.align_offset(ALIGN);
        let mut left = size.saturating_sub(gap) / ALIGN * (ALIGN / WORD);
        let mut start = 0;
        // More than a region can be is several regions.
        while left > 0 {
            let words = left.min(MOST_WORDS);
            // SAFETY: what is `left` begins so far behind `base`.
            let here = unsafe { base.add(gap + start * WORD) };
            // SAFETY: aligned by `gap`, in the caller's bytes, and not added yet.
            usable += unsafe { self.add_words(here, words as u32) };
            start += words;
            left -= words;
        }
        usable
    }

    /// Lays out one region and puts it at the end of the chain.
    ///
    /// # Safety
    ///
    /// As for [`add_region`](Regions::add_region); aligned to [`ALIGN`]; so many
    /// words, no more than [`MOST_WORDS`].
    unsafe fn add_words(&mut self, base: NonNull<u8>, words: u32) -> usize {
        if (words as usize) * WORD <= size_of::<Header>() {
            return 0;
        }
        let mut header = base.cast::<Header>();
        // SAFETY: room was asked for above, alignment from the caller.
        unsafe { header.write(Header { none: [0; 2], words, free: 0, next: None, capacity: 0 }) };
        // SAFETY: the region is ours by now, and only plans get the words (W2).
        let region = Region(unsafe { Words::new(base) });
        let free = P::build(region, words);
        if free == 0 {
            return 0;
        }
        // SAFETY: written above; the plan is done with it.
        let fresh = unsafe { header.as_mut() };
        (fresh.free, fresh.capacity) = (free, free);
        match self.headers().last() {
            None => self.first = Some(header),
            Some(mut last) => {
                // SAFETY: headers on the chain are ours alone (H1).
                unsafe { last.as_mut() }.next = Some(header);
            }
        }
        free as usize * WORD
    }

    /// Makes `memory` the first region: as it is, if it is that already, else
    /// afresh, and any other region is forgotten. For heaps that hold memory of
    /// their own and may have been moved since the last call.
    ///
    /// # Safety
    ///
    /// As for [`add_region`](Regions::add_region), until the next call; if a
    /// region is here already, it is this heap's. `base` is aligned to [`ALIGN`].
    #[inline]
    pub(crate) unsafe fn stand_on(&mut self, base: NonNull<u8>, size: usize) {
        if self.first.is_some_and(|first| first.addr() == base.addr()) {
            // The same place by a newer pointer, which is the one that is valid
            // after a `&mut` to the memory's owner.
            self.first = Some(base.cast());
        } else {
            // SAFETY: the caller's promise.
            unsafe { self.start_afresh(base, size) };
        }
    }

    /// # Safety
    ///
    /// As for [`stand_on`](Regions::stand_on).
    #[cold]
    unsafe fn start_afresh(&mut self, base: NonNull<u8>, size: usize) {
        self.first = None;
        // SAFETY: the caller's promise.
        unsafe { self.add_region(base, size) };
    }

    /// A block for `layout`. It holds at least the layout's size, all of which
    /// the caller may use. Regions are asked in the order of their addition.
    ///
    /// # Errors
    ///
    /// No region has a free block that is large enough.
    #[inline]
    pub fn allocate(&mut self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        self.allocate_some(layout)
    }

    /// [`allocate`](Regions::allocate), for a size that is not 0. A function of
    /// its own: inside of its callers it takes registers from them, and they
    /// from it.
    #[inline(never)]
    pub(crate) fn allocate_some(&mut self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() >= LIMIT {
            return Err(AllocError);
        }
        let size = P::measure(layout.size());
        let mut first = self.first.ok_or(AllocError)?;
        // SAFETY: headers on the chain are ours alone (H1).
        let words = unsafe { Words::new(first.cast()) };
        let Some(at) = P::take_fast(Region(words), size, layout.align()) else {
            return Self::take_hard(first, size, layout.align());
        };
        // SAFETY: as above; the plan is done with it.
        unsafe { first.as_mut() }.free -= size;
        Ok(NonNull::slice_from_raw_parts(words.pointer(at), size as usize * WORD))
    }

    /// A block from the first region that has one.
    #[cold]
    #[inline(never)]
    fn take_hard(
        first: NonNull<Header>,
        size: u32,
        align: usize,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let mut next = Some(first);
        while let Some(mut header) = next {
            // SAFETY: headers on the chain are ours alone (H1).
            let words = unsafe { Words::new(header.cast()) };
            let at = P::take(Region(words), size, align);
            // SAFETY: as above; the plan is done with it.
            let header = unsafe { header.as_mut() };
            if at != 0 {
                header.free -= size;
                let block = words.pointer(at);
                return Ok(NonNull::slice_from_raw_parts(block, size as usize * WORD));
            }
            next = header.next;
        }
        Err(AllocError)
    }

    /// Gives a block back. A block of size 0 is nobody's, and is ignored.
    ///
    /// # Safety
    ///
    /// The block came from this heap, with this alignment and a size between the
    /// one asked for and the one it got, and is not used again.
    #[inline]
    pub unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: the caller's promise.
            unsafe { self.deallocate_some(block, layout.size()) };
        }
    }

    /// The same for a size that is not 0.
    ///
    /// # Safety
    ///
    /// As for [`deallocate`](Regions::deallocate).
    #[inline(never)]
    unsafe fn deallocate_some(&mut self, block: NonNull<u8>, size: usize) {
        let size = P::measure(size);
        // SAFETY: a heap that has given a block has a region.
        let first = unsafe { self.first.unwrap_unchecked() };
        let Some((mut header, at)) = self.find_from(first, block) else { return };
        // SAFETY: headers on the chain are ours alone (H1).
        unsafe { header.as_mut() }.free += size;
        // Last, so that the plan's last call can be ours.
        // SAFETY: as above; we are done with the header.
        P::give(Region(unsafe { Words::new(header.cast()) }), at, size);
    }

    /// Makes a block fit another layout where it is, or changes nothing.
    /// Shrinking gives the rest back.
    ///
    /// # Errors
    ///
    /// The neighbour is in use or too small, or the address does not fit the new
    /// alignment.
    ///
    /// # Safety
    ///
    /// As for [`deallocate`](Regions::deallocate), with the old layout; the block
    /// may be used on, with the new layout if this succeeds.
    #[inline]
    pub unsafe fn reallocate_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if block.addr().get() & (new.align() - 1) != 0 || (old.size() == 0) != (new.size() == 0) {
            return Err(AllocError);
        }
        if old.size() == 0 {
            return Ok(NonNull::slice_from_raw_parts(block, 0));
        }
        if new.size() >= LIMIT {
            return Err(AllocError);
        }
        let (before, size) = (P::measure(old.size()), P::measure(new.size()));
        let (mut header, at) = self.find(block).ok_or(AllocError)?;
        // SAFETY: headers on the chain are ours alone (H1).
        let words = unsafe { Words::new(header.cast()) };
        if size != before {
            if !P::resize(Region(words), at, before, size) {
                return Err(AllocError);
            }
            // SAFETY: as above; the plan is done with it.
            let header = unsafe { header.as_mut() };
            header.free = header.free + before - size;
        }
        Ok(NonNull::slice_from_raw_parts(words.pointer(at), size as usize * WORD))
    }

    /// Makes a block fit another layout, here or elsewhere, and keeps the bytes
    /// that both hold. O(size) if it has to move.
    ///
    /// # Errors
    ///
    /// There is no memory; the block is as it was.
    ///
    /// # Safety
    ///
    /// As for [`deallocate`](Regions::deallocate), with the old layout, on
    /// success.
    pub unsafe fn reallocate(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise.
        if let Ok(same) = unsafe { self.reallocate_in_place(block, old, new) } {
            return Ok(same);
        }
        let moved = self.allocate(new)?;
        let size = old.size().min(new.size());
        // SAFETY: both hold so many bytes, and a new block overlaps no other.
        unsafe { moved.cast().copy_from_nonoverlapping(block, size) };
        // SAFETY: the caller's promise.
        unsafe { self.deallocate(block, old) };
        Ok(moved)
    }

    /// How many bytes a block of this layout holds.
    #[must_use]
    pub fn usable_size(layout: Layout) -> usize {
        match layout.size() {
            0 | LIMIT.. => 0,
            size => P::measure(size) as usize * WORD,
        }
    }

    /// Bytes in blocks, rounded up as they are. O(regions).
    #[must_use]
    pub fn used(&self) -> usize {
        self.capacity() - self.free()
    }

    /// Bytes that are free. They need not lie together: see
    /// [`max_allocatable`](Regions::max_allocatable). O(regions).
    #[must_use]
    pub fn free(&self) -> usize {
        self.sum(|header| header.free)
    }

    /// Bytes that blocks can have: all of the regions but their tables.
    /// O(regions).
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.sum(|header| header.capacity)
    }

    /// The largest size that [`allocate`](Regions::allocate) gives now, for
    /// alignments up to 8. No estimate: so much succeeds, a byte more fails.
    /// O(regions); for `FirstFit` O(holes).
    #[must_use]
    pub fn max_allocatable(&self) -> usize {
        let largest = self.headers().map(|header| {
            // SAFETY: headers on the chain are ours alone (H1); this only reads.
            P::largest(Region(unsafe { Words::new(header.cast()) }))
        });
        largest.max().unwrap_or(0) as usize * WORD
    }

    /// Whether `block` lies in one of the regions.
    #[must_use]
    pub fn owns(&self, block: NonNull<u8>) -> bool {
        self.find(block).is_some()
    }

    /// Walks all that the heap knows of its free memory. For tests, and for a
    /// program that suspects itself. O(size / 128 + free blocks).
    ///
    /// # Errors
    ///
    /// Something has written where it should not; the words say what is wrong.
    pub fn check(&self) -> Result<(), &'static str> {
        for header in self.headers() {
            // SAFETY: headers on the chain are ours alone (H1); this only reads.
            let region = Region(unsafe { Words::new(header.cast()) });
            // SAFETY: as above.
            let Header { words, free, .. } = *unsafe { header.as_ref() };
            if P::check(region, words)? != free {
                return Err("a region's count of free words is not their sum (H2)");
            }
        }
        Ok(())
    }

    /// The region a block lies in, and where.
    #[inline]
    fn find(&self, block: NonNull<u8>) -> Option<(NonNull<Header>, u32)> {
        self.find_from(self.first?, block)
    }

    /// The same, if there is a region: the first one is looked at first.
    #[inline]
    fn find_from(
        &self,
        first: NonNull<Header>,
        block: NonNull<u8>,
    ) -> Option<(NonNull<Header>, u32)> {
        // SAFETY: headers on the chain are ours alone (H1).
        match place(unsafe { first.as_ref() }, first, block) {
            Some(at) => Some((first, at)),
            None => self.find_elsewhere(block),
        }
    }

    #[cold]
    #[inline(never)]
    fn find_elsewhere(&self, block: NonNull<u8>) -> Option<(NonNull<Header>, u32)> {
        self.headers().find_map(|it| {
            // SAFETY: headers on the chain are ours alone (H1).
            place(unsafe { it.as_ref() }, it, block).map(|at| (it, at))
        })
    }

    fn headers(&self) -> impl Iterator<Item = NonNull<Header>> {
        core::iter::successors(self.first, |it| {
            // SAFETY: headers on the chain are ours alone (H1).
            unsafe { it.as_ref() }.next
        })
    }

    fn sum(&self, words: impl Fn(&Header) -> u32) -> usize {
        // SAFETY: headers on the chain are ours alone (H1).
        self.headers().map(|it| words(unsafe { it.as_ref() }) as usize * WORD).sum()
    }
}

/// Where in the region that starts at `base` a block lies, if it does.
#[inline]
fn place(header: &Header, base: NonNull<Header>, block: NonNull<u8>) -> Option<u32> {
    let at = block.addr().get().wrapping_sub(base.addr().get()) / WORD;
    (at < header.words as usize).then_some(at as u32)
}

#[cfg(test)]
pub(crate) mod tests;
