//! The slow door: every allocation that no front list could serve at once.
//!
//! One way in for everything that is rare: a thread's first allocation, a dry
//! list, large and huge objects, big alignments, size 0, threads past their
//! end, handlers above a slow path. Whatever is special (sampled and guarded objects,
//! all objects at the hardened levels) comes in here too: a front list that is not
//! filled, and an entry in the map that is no heap's, send every call this way, inlined
//! ones as well, and cost the others nothing.
//!
//! The order of attempts for a block: the thread's heap; a common heap when
//! there is none or it is busy under us.
//!
//! Here is also what changes an object's size: in place, or by way of another object.
//! What frees is in `heap/free.rs`.
#![allow(unsafe_code)]

use crate::block::{self, Block};
use crate::config::Config;
use crate::fatal::{self, Misuse};
use crate::harden::{GUARDS, Given};
use crate::harden::slot::Family;
use crate::heap::{Allocator, Heap};
use crate::huge::Huge;
use crate::local::{self, ALLOCATOR};
use crate::os::Os;
use crate::report;
use crate::size::SizeClass;
use crate::span::Span;
use crate::span::word::{Remote, State, Word};
use crate::sync::Ordering;
use crate::units::{CHUNK, LARGE_MAX, MIN_ALIGN, SLICE, slices_for};
use core::ptr::{self, NonNull};

/// Most bytes that are cleared by writing zeros; more goes back to the system
/// and comes again as zeros, page by page, as it is used.
const CLEAR_MAX: usize = 8 << 20;

/// An object that was allocated: where, and whether it reads as zeros.
#[derive(Clone, Copy)]
pub(crate) struct Fresh {
    pub(crate) at: NonNull<u8>,
    pub(crate) zeroed: bool,
}

impl<O: Os> Allocator<O> {
    /// An object for `layout`-like demands, from the heap `heap` (a thread's, a
    /// private one, or none). `align` is a power of two.
    ///
    /// # Safety
    ///
    /// `heap` is the calling thread's, or private.
    pub(crate) unsafe fn allocate(
        &self,
        heap: Option<&Heap>,
        size: usize,
        align: usize,
    ) -> Option<Fresh> {
        if self.harden.is_on() {
            // SAFETY: the caller's promise.
            let fresh = unsafe { self.allocate_hard(heap, size, align, Family::Rust) };
            return fresh.map(|(at, zeroed)| Fresh { at, zeroed });
        }
        if size > isize::MAX as usize - align.min(isize::MAX as usize) {
            return None;
        }
        if let Some(class) = SizeClass::of_layout(size, align) {
            if class == SizeClass::ZERO {
                if let Some(at) = self.nothing.alloc(&self.arena) {
                    return Some(Fresh { at, zeroed: true });
                }
                // SAFETY: the caller's promise.
                return unsafe { self.small(heap, SizeClass::of_size(1), size) };
            }
            // SAFETY: the caller's promise.
            return unsafe { self.small(heap, class, size) };
        }
        let owner = heap.filter(|heap| heap.is_private());
        let align_slices = slices_for(align).max(1);
        if size <= LARGE_MAX
            && align_slices <= 32
            && let Some(fresh) = self.large(heap, owner, size, align_slices)
        {
            return Some(fresh);
        }
        self.huge_object(owner, size, align, 0)
    }

    /// # Safety
    ///
    /// As for [`Allocator::allocate`].
    unsafe fn small(&self, heap: Option<&Heap>, class: SizeClass, size: usize) -> Option<Fresh> {
        let block = match heap {
            Some(heap) if heap.is_private() => heap.alloc_private(self, class, size),
            Some(heap) => {
                let block = heap.front.pop(class.index());
                if block.is_null() {
                    // SAFETY: the heap is the calling thread's.
                    unsafe { heap.refill(self, class, size) }
                } else {
                    block
                }
            }
            None => ptr::null_mut(),
        };
        if let Some(block) = NonNull::new(block) {
            return Some(Fresh { at: block.cast(), zeroed: false });
        }
        if heap.is_some_and(Heap::is_private) {
            return None;
        }
        let block = self.common_block(class, size);
        NonNull::new(block).map(|block| Fresh { at: block.cast(), zeroed: false })
    }

    fn large(
        &self,
        heap: Option<&Heap>,
        owner: Option<&Heap>,
        size: usize,
        align: usize,
    ) -> Option<Fresh> {
        let slices = slices_for(size.max(1));
        let nowhere = core::cell::Cell::new(ptr::null());
        let home = heap.filter(|heap| !heap.is_private()).map_or(&nowhere, Heap::large_home);
        let run = self.take_slices(home, slices, align.next_power_of_two(), true)?;
        let (span, at) = (self.span_of(&run), self.base_of(&run));
        self.tie(&run);
        let field = owner.map_or(ptr::null_mut(), |owner| ptr::from_ref(owner).cast_mut().cast());
        span.begin_large(at, slices, field);
        span.word.store(Word::new(State::Large, 0, Remote::NONE));
        if let Some(owner) = owner
            && !owner.keep_large(span)
        {
            span.word.store(Word::new(State::Free, 0, Remote::NONE));
            // SAFETY: the run is ours, and nobody has it.
            unsafe { self.retire(span) };
            return None;
        }
        self.sample_large(span, owner, size);
        self.others.add(1);
        self.live.add(slices * SLICE);
        self.herald();
        Some(Fresh { at, zeroed: run.clean })
    }

    /// A huge object, with `room` bytes to grow.
    pub(crate) fn huge_object(
        &self,
        owner: Option<&Heap>,
        size: usize,
        align: usize,
        room: usize,
    ) -> Option<Fresh> {
        let (huge, zeroed) = match self.huge.alloc(&self.arena, size, align, room) {
            Some(found) => found,
            None => {
                self.arena.trim(0);
                self.huge.alloc(&self.arena, size, align, room)?
            }
        };
        if let Some(owner) = owner
            && !owner.keep_huge(huge)
        {
            self.free_fresh_huge(huge);
            return None;
        }
        self.sample_huge(huge, owner, size);
        self.others.add(1);
        self.live.add(huge.len());
        self.herald();
        Some(Fresh { at: NonNull::new(huge.base())?, zeroed })
    }

    fn free_fresh_huge(&self, huge: &Huge) {
        if huge.retire() {
            self.huge.free(&self.arena, huge);
        }
    }

    /// Makes `fresh`, of `size` bytes, read as zeros.
    pub(crate) fn clear(&self, fresh: Fresh, size: usize) {
        if fresh.zeroed {
            return;
        }
        let page = self.arena.kernel.page_size();
        if size >= CLEAR_MAX && fresh.at.addr().get().is_multiple_of(page) {
            let whole = size & !(page - 1);
            // SAFETY: the object is the caller's, nothing in it is needed, and it is
            // a huge one: its pages are its own.
            if unsafe { self.arena.kernel.purge(fresh.at, whole) } {
                // SAFETY: `whole` is within the object.
                let rest = unsafe { fresh.at.add(whole) };
                // SAFETY: the rest of the object is writable.
                unsafe { rest.write_bytes(0, size - whole) };
                return;
            }
        }
        // SAFETY: the object is writable for `size` bytes.
        unsafe { fresh.at.write_bytes(0, size) };
    }

    /// Makes the object at `at` hold `size` bytes, in place or elsewhere. `None`:
    /// it is as it was.
    ///
    /// # Safety
    ///
    /// `heap` as for [`Allocator::allocate`]; the object is the program's, was
    /// allocated with `align`, and `size` is not 0.
    pub(crate) unsafe fn reallocate(
        &self,
        heap: Option<&Heap>,
        at: NonNull<u8>,
        size: usize,
        align: usize,
    ) -> Option<NonNull<u8>> {
        if self.harden.is_on() {
            // SAFETY: the caller's promise.
            return unsafe {
                self.reallocate_hard(heap, at, size, align, Given::family(Family::Rust))
            };
        }
        if size > isize::MAX as usize - align {
            return None;
        }
        if self.resize_in_place(at, size, align) {
            return Some(at);
        }
        let address = at.addr().get();
        let old = self.usable(address);
        let owner = heap.filter(|heap| heap.is_private());
        if size >= LARGE_MAX && size > old && align <= CHUNK {
            // What has grown to this will grow on: from here on nothing is copied.
            if let Some(huge) = self.huge.find(&self.arena, address) {
                if let Some(moved) = self.grow_huge_elsewhere(huge, size) {
                    return Some(moved);
                }
            } else if let Some(fresh) = self.huge_object(owner, size, align, size) {
                // SAFETY: the caller's promise.
                unsafe { self.move_over(heap, at, fresh.at, old.min(size)) };
                return Some(fresh.at);
            }
        }
        // SAFETY: the caller's promise.
        let fresh = unsafe { self.allocate(heap, size, align) }?;
        // SAFETY: the caller's promise.
        unsafe { self.move_over(heap, at, fresh.at, old.min(size)) };
        Some(fresh.at)
    }

    /// # Safety
    ///
    /// Both objects are the program's and hold `bytes`; the old one is not used again.
    unsafe fn move_over(&self, heap: Option<&Heap>, old: NonNull<u8>, new: NonNull<u8>, bytes: usize) {
        // SAFETY: two objects of at least `bytes`, and no two objects overlap.
        unsafe { new.copy_from_nonoverlapping(old, bytes) };
        // ORDERING: Relaxed, a figure.
        self.copied.fetch_add(bytes, Ordering::Relaxed);
        let own = heap.filter(|heap| !heap.is_private());
        // SAFETY: the caller gives the old object up.
        unsafe { self.release(own, old) };
    }

    /// Frees an object by whatever way it takes.
    ///
    /// # Safety
    ///
    /// `heap` is the calling thread's, if any; the program gives the object up.
    #[inline]
    pub(crate) unsafe fn release(&self, heap: Option<&Heap>, at: NonNull<u8>) {
        if self.harden.is_on() {
            // SAFETY: the caller's promise.
            return unsafe { self.free_hard(heap, at, Given::family(Family::Rust)) };
        }
        if let Some(heap) = heap {
            // SAFETY: the caller's promise.
            if unsafe { heap.free_fast(self, at) } {
                return;
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.free_slow(heap, at) };
    }

    /// Makes the object at `at` hold `size` bytes where it is, if that can be. An
    /// object that is free already ends the process: it would be the program's and
    /// on a list of ours at once.
    pub(crate) fn resize_in_place(&self, at: NonNull<u8>, size: usize, align: usize) -> bool {
        if self.harden.is_on() {
            return self.resize_hard(at, size, align);
        }
        let address = at.addr().get();
        let class = SizeClass::of_layout(size, align);
        if let Some(huge) = self.huge.find(&self.arena, address) {
            if !huge.is_live() {
                fatal::misuse(Misuse::DoubleFree, address, huge.len());
            }
            let before = huge.len();
            let done = size >= LARGE_MAX && self.huge.resize(&self.arena, huge, size);
            if huge.len() != before {
                self.live.shift(huge.len() as isize - before as isize);
            }
            if done {
                self.resample_huge(huge, before, size);
            }
            return done;
        }
        let Some(span) = self.arena.span_at(address) else { return false };
        if span.word.load().state() == State::Free {
            self.free_of_free(span, address);
        }
        if let Some(has) = span.class() {
            if span.block_at(address).is_none() {
                return false;
            }
            // Before anything is allocated: that may take its span, were it free.
            self.must_be_live(at.cast(), has);
            return class.is_some_and(|class| self.serves(span, has, class));
        }
        if class.is_some() || span.base().addr() != address {
            return false;
        }
        self.resize_large(span, size)
    }

    /// A large object takes the slices behind it, or gives its last ones back.
    pub(crate) fn resize_large(&self, span: &Span, size: usize) -> bool {
        let (had, wants) = (span.slices(), slices_for(size));
        if wants == had {
            return true;
        }
        // What grows to this size will grow on, and moves to where it can.
        if size >= LARGE_MAX {
            return false;
        }
        let Some(chunk) = self.arena.chunk_at(span.base().addr()) else { return false };
        let first = (span.base().addr() / SLICE % 64) as u32;
        if wants > had {
            let last = first + had as u32 - 1;
            if self.arena.extend(chunk, last, (wants - had) as u32).is_none() {
                return false;
            }
            for i in had..wants {
                chunk.span(first as usize + i).set_back(i as u8);
            }
            span.set_slices_raw(wants as u8);
        } else {
            span.set_slices_raw(wants as u8);
            let run = crate::arena::bits::Run::new(first + wants as u32, (had - wants) as u32);
            // SAFETY: the tail was the object's, and the program has given it up.
            unsafe { self.arena.give(chunk, run, (had - wants) as u32) };
        }
        self.live.shift((wants as isize - had as isize) * SLICE as isize);
        self.resample_large(span, had * SLICE, size);
        true
    }
}

impl Heap {
    /// The fast way of a `realloc`: moves a block of this heap, of class `c`, into
    /// one of `class`, with its first `bytes`. `None`, and nothing done, when the
    /// slow way must be taken.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread; the map says that the block is in a span
    /// of this heap, of class `c`; the program gives it up if there is a result;
    /// both classes hold `bytes`.
    #[inline]
    pub(crate) unsafe fn move_fast<O: Os>(
        &self,
        a: &Allocator<O>,
        block: NonNull<Block>,
        c: usize,
        class: SizeClass,
        bytes: usize,
    ) -> Option<NonNull<u8>> {
        let old = SizeClass::from_index(c);
        // SAFETY: the caller's promise.
        if !old.can_start_at(block.addr().get()) || unsafe { self.front.is_free(block, c) } {
            return None;
        }
        if old == class {
            return Some(block.cast());
        }
        let mut fresh = self.front.pop(class.index());
        if fresh.is_null() {
            // SAFETY: the caller is the heap's thread.
            fresh = unsafe { self.refill(a, class, bytes) };
        }
        let fresh = NonNull::new(fresh)?.cast::<u8>();
        // SAFETY: two blocks of at least `bytes`, and no two blocks overlap.
        unsafe { fresh.copy_from_nonoverlapping(block.cast(), bytes) };
        self.copied.add(bytes);
        // SAFETY: the program has given it up.
        if unsafe { self.front.push(block, c) } {
            // SAFETY: the caller is the heap's thread.
            unsafe { self.flush(a, old) };
        }
        Some(fresh)
    }

    /// The fast way of a free: the block is ours and there is room. False when
    /// the slow way must be taken.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread; the program gives the object up.
    #[inline(always)]
    pub(crate) unsafe fn free_fast<O: Os>(&self, a: &Allocator<O>, at: NonNull<u8>) -> bool {
        let Some(entry) = a.arena.map.entry(at.addr().get()) else { return false };
        let (c, block) = (self.front.class_of_entry(entry), at.cast::<Block>());
        if c >= crate::heap::C_CLASSES {
            return false;
        }
        // SAFETY: the map says that the block is in a span of ours of this class.
        if unsafe { self.front.is_free(block, c) } {
            return false;
        }
        // SAFETY: as above, and the program has given it up.
        if unsafe { self.front.push(block, c) } {
            // SAFETY: the caller is the heap's thread.
            unsafe { self.flush(a, SizeClass::from_index(c)) };
        }
        true
    }
}

/// The slow door of this process, for a thread and its program's options.
#[cold]
#[inline(never)]
pub(crate) fn allocate(
    config: &Config,
    size: usize,
    align: usize,
    zeroed: bool,
    family: Family,
) -> *mut u8 {
    if !report::start(config) {
        return ptr::null_mut();
    }
    let heap = local::enter();
    if ALLOCATOR.harden.is_on() {
        return hardened(heap, size, align, zeroed, family);
    }
    // SAFETY: the heap is this thread's.
    let Some(fresh) = (unsafe { ALLOCATOR.allocate(heap, size, align) }) else {
        report::refused(size);
        return ptr::null_mut();
    };
    if zeroed {
        ALLOCATOR.clear(fresh, size);
    }
    fresh.at.as_ptr()
}

/// Frees an object of this process at the hardened levels.
///
/// # Safety
///
/// The program gives the object up.
#[inline(always)]
pub(crate) unsafe fn free_hard(at: NonNull<u8>, given: Given) {
    let entry = ALLOCATOR.arena.map.entry(at.addr().get()).unwrap_or(0);
    // SAFETY: the heap is this thread's; the caller's promise.
    unsafe { free_slot(local::heap(), entry, at, given) };
}

/// As [`free_hard`], for the thread's heap and the address's entry in the map.
///
/// # Safety
///
/// As for [`free_hard`].
#[inline(always)]
pub(crate) unsafe fn free_slot(heap: &Heap, entry: u32, at: NonNull<u8>, given: Given) {
    if heap.locker().is_some() {
        // SAFETY: the heap is this thread's; the caller's promise.
        unsafe { ALLOCATOR.free_in_hand::<false>(heap, entry, at, given) };
    } else {
        // SAFETY: as above.
        unsafe { free_homeless(at, given) };
    }
}

/// As [`free_hard`], for a thread that has no heap yet, or no more.
///
/// # Safety
///
/// As for [`free_hard`].
#[cold]
#[inline(never)]
unsafe fn free_homeless(at: NonNull<u8>, given: Given) {
    // SAFETY: the caller's promise.
    unsafe { ALLOCATOR.free_hard(local::enter(), at, given) };
}

/// Makes an object hold `size` bytes at the hardened levels.
///
/// # Safety
///
/// As for [`Allocator::reallocate`].
#[inline(never)]
pub(crate) unsafe fn reallocate_hard(
    at: NonNull<u8>,
    size: usize,
    align: usize,
    given: Given,
) -> *mut u8 {
    let heap = local::heap();
    let heap = if heap.locker().is_some() { Some(heap) } else { local::enter() };
    // SAFETY: the heap is this thread's; the caller's promise.
    let moved = unsafe { ALLOCATOR.reallocate_hard(heap, at, size, align, given) };
    if moved.is_none() {
        report::refused(size);
    }
    moved.map_or(ptr::null_mut(), NonNull::as_ptr)
}

/// As [`reallocate_hard`], for functions that know no alignment, an object that the map's
/// `entry` leads to, and a size that is not 0 and below that of the tables of classes.
///
/// # Safety
///
/// As for [`Allocator::reallocate`]; the heap is the thread's.
#[inline(never)]
pub(crate) unsafe fn reallocate_slot(
    heap: &Heap,
    entry: u32,
    at: NonNull<u8>,
    size: usize,
    given: Given,
) -> *mut u8 {
    if heap.locker().is_some() {
        // SAFETY: the caller's promise.
        if let Some(moved) = unsafe { ALLOCATOR.move_slot(heap, entry, at, size, given) } {
            return moved.as_ptr();
        }
    }
    // SAFETY: as above.
    unsafe { reallocate_hard(at, size, MIN_ALIGN, given) }
}

/// [`allocate`] at the hardened levels, for the calling thread's heap.
#[cold]
#[inline(never)]
pub(crate) fn hardened(
    heap: Option<&Heap>,
    size: usize,
    align: usize,
    zeroed: bool,
    family: Family,
) -> *mut u8 {
    if ALLOCATOR.harden.mode() & GUARDS != 0
        && let Some(at) = ALLOCATOR.guard(heap, size, align, family)
    {
        return at.as_ptr();
    }
    // SAFETY: the heap is this thread's.
    let Some((at, zeros)) = (unsafe { ALLOCATOR.allocate_hard(heap, size, align, family) }) else {
        report::refused(size);
        return ptr::null_mut();
    };
    if zeroed {
        ALLOCATOR.clear(Fresh { at, zeroed: zeros }, size);
    }
    at.as_ptr()
}

const _: () = assert!(block::CHECKED || cfg!(feature = "unchecked"), "checks are the default");
