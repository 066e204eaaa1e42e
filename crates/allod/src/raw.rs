//! The operations under `malloc`, for a C face.
//!
//! Nothing here sets `errno`, panics, or unwinds; null means that there is no
//! memory. What a C program is promised beyond that is the face's business.
#![allow(unsafe_code)]

use crate::block::Block;
use crate::config::Config;
use crate::door;
use crate::harden::{Form, Given, HARD};
use crate::harden::locker::RowAt;
use crate::harden::slot::{self, Family};
use crate::harden::table::leads_to_head;
use crate::local::{self, ALLOCATOR};
use crate::report;
use crate::size::{SizeClass, TABLE_MAX};
use crate::units::{MIN_ALIGN, SMALL_MAX};
use core::ptr::{self, NonNull};

const CONFIG: Config = Config::new();

/// The family of `malloc` and `free`. The hardened levels tell apart what a family
/// of functions has made and what another one frees.
pub const C: u16 = Family::C as u16;
/// The family of `operator new` and `delete`.
pub const NEW: u16 = Family::New as u16;
/// The family of `operator new[]` and `delete[]`.
pub const ARRAY: u16 = Family::Array as u16;

/// Has `judge` asked, when two families do not match, whether they are to be told
/// apart in this process at all.
pub fn set_family_judge(judge: fn() -> bool) {
    ALLOCATOR.harden.set_judge(judge);
}

/// Has `name` name the modules that were loaded with the program and so are never unloaded: it
/// calls what it is given with an address in each, until that says that it has heard enough.
/// Their unwind tables are read by loads, those of others by calls of the system. Before the
/// first allocation of a thread of the program's.
pub fn set_lasting_modules(name: fn(&mut dyn FnMut(usize) -> bool)) {
    crate::unwind::set_lasting(name);
}

/// A block from the front, where the fast path ends well; null sends the caller
/// to [`alloc_slow`]. For faces that have more to do when memory runs out, and want
/// it out of the fast path.
#[inline(always)]
#[must_use]
pub fn alloc_fast(size: usize) -> *mut u8 {
    if size > TABLE_MAX {
        return ptr::null_mut();
    }
    let front = &local::heap().front;
    let c = front.class_by_16(size);
    // SAFETY: the C face's classes have no blocks of 8 bytes.
    unsafe { core::hint::assert_unchecked(c < crate::heap::C_CLASSES) };
    front.pop(c).cast()
}

/// An object of `size` bytes, aligned to 16. Size 0 gives a unique address in
/// inaccessible memory. Null when there is no memory or `size` is past
/// `isize::MAX`.
#[inline]
#[must_use]
pub fn alloc(size: usize) -> *mut u8 {
    let at = alloc_fast(size);
    if at.is_null() { alloc_slow(size) } else { at }
}

/// The rest of [`alloc`], when [`alloc_fast`] has nothing.
#[inline]
#[must_use]
pub fn alloc_slow(size: usize) -> *mut u8 {
    alloc_slow_for::<C>(size)
}

/// As [`alloc_slow`], for functions of the family numbered `FAMILY`.
#[inline(never)]
#[must_use]
pub fn alloc_slow_for<const FAMILY: u16>(size: usize) -> *mut u8 {
    alloc_slow_by::<Plain<FAMILY>>(size)
}

/// What a function does that allocates, and has not been given memory.
pub trait Face {
    /// The number of its family.
    const FAMILY: u16;
    /// Its answer.
    fn refused() -> *mut u8;
}

/// A function that answers with null.
struct Plain<const FAMILY: u16>;

impl<const FAMILY: u16> Face for Plain<FAMILY> {
    const FAMILY: u16 = FAMILY;
    fn refused() -> *mut u8 {
        ptr::null_mut()
    }
}

/// As [`alloc_slow`], for a face with an answer of its own when there is no memory: so
/// that nothing is left to do when there is, and the ways there are jumps.
#[inline(always)]
#[must_use]
pub fn alloc_slow_by<F: Face>(size: usize) -> *mut u8 {
    match ALLOCATOR.harden.mode() {
        0 => ordinary::<F>(size),
        // What is here is the fast path of that level.
        HARD => hardened::<F>(size),
        _ => special::<F>(size),
    }
}

#[inline(always)]
fn or_refused<F: Face>(at: *mut u8) -> *mut u8 {
    if at.is_null() { F::refused() } else { at }
}

/// [`alloc_slow`] where some objects have pages of their own.
#[cold]
#[inline(never)]
fn special<F: Face>(size: usize) -> *mut u8 {
    let family = slot::family(F::FAMILY);
    let at = watched(size, family);
    if !at.is_null() {
        return at;
    }
    if ALLOCATOR.harden.is_on() {
        return F::refused();
    }
    // Not by way of `ordinary`: whether the object was to be guarded was its heap's to
    // say, so the thread may have come to one that an exited thread has left, whose list
    // is not dry.
    or_refused::<F>(door::allocate(&CONFIG, size, MIN_ALIGN, false, family))
}

/// [`alloc_slow`] at the default level.
#[inline(never)]
fn ordinary<F: Face>(size: usize) -> *mut u8 {
    if size.wrapping_sub(1) < SMALL_MAX {
        let class = SizeClass::of_size(size);
        let heap = local::heap();
        let mut block = ptr::null_mut();
        if size > TABLE_MAX {
            block = heap.front.pop(class.index());
        }
        if block.is_null() {
            // SAFETY: the heap is this thread's, or stands for none.
            block = unsafe { heap.swap(&ALLOCATOR, class) };
        }
        if block.is_null() && local::is_own(heap) {
            // SAFETY: the heap is this thread's.
            block = unsafe { heap.refill_dry(&ALLOCATOR, class, size) };
        }
        if !block.is_null() {
            return block.cast();
        }
    }
    or_refused::<F>(door::allocate(&CONFIG, size, MIN_ALIGN, false, slot::family(F::FAMILY)))
}

/// [`alloc_slow`] where some objects have pages of their own. At the default level
/// null says that this one has not.
#[cold]
#[inline(never)]
fn watched(size: usize, family: Family) -> *mut u8 {
    if ALLOCATOR.harden.is_on() {
        return door::hardened(local::enter(), size, MIN_ALIGN, false, family);
    }
    let guarded = ALLOCATOR.guard(local::enter(), size, MIN_ALIGN, family);
    guarded.map_or(ptr::null_mut(), NonNull::as_ptr)
}

/// [`alloc_slow`] at the hardened level.
#[inline(never)]
fn hardened<F: Face>(size: usize) -> *mut u8 {
    if size.wrapping_sub(1) < TABLE_MAX - 1 {
        let row = RowAt::of_size(size + 1);
        let form = Form::new(size, MIN_ALIGN, slot::family(F::FAMILY));
        // Classes of the table are 64 bytes apart at most.
        return match local::heap().alloc_slot_fast::<true>(row, form) {
            Some(at) => at.as_ptr(),
            None => hardened_again::<F>(size),
        };
    }
    hardened_medium::<F>(size)
}

/// The rest of [`hardened`], when there is nothing at hand.
#[cold]
#[inline(never)]
fn hardened_again<F: Face>(size: usize) -> *mut u8 {
    let form = Form::new(size, MIN_ALIGN, slot::family(F::FAMILY));
    match local::heap().alloc_slot(&ALLOCATOR, SizeClass::of_size(size + 1), form) {
        Some(at) => at.as_ptr(),
        None => hardened_slowly::<F>(size),
    }
}

/// As [`hardened`], for sizes that the table of classes does not know.
#[cold]
#[inline(never)]
fn hardened_medium<F: Face>(size: usize) -> *mut u8 {
    if size.wrapping_sub(TABLE_MAX) < SMALL_MAX - TABLE_MAX {
        let row = RowAt::of(SizeClass::of_medium(size + 1));
        let form = Form::new(size, MIN_ALIGN, slot::family(F::FAMILY));
        if let Some(at) = local::heap().alloc_slot_fast::<false>(row, form) {
            return at.as_ptr();
        }
    }
    hardened_slowly::<F>(size)
}

#[cold]
#[inline(never)]
fn hardened_slowly<F: Face>(size: usize) -> *mut u8 {
    let family = slot::family(F::FAMILY);
    or_refused::<F>(door::hardened(local::enter(), size, MIN_ALIGN, false, family))
}

/// As [`alloc`], and the object reads as zeros.
#[inline]
#[must_use]
pub fn alloc_zeroed(size: usize) -> *mut u8 {
    if size > SMALL_MAX {
        return door::allocate(&CONFIG, size, MIN_ALIGN, true, Family::C);
    }
    let mut at = alloc_fast(size);
    if at.is_null() {
        if ALLOCATOR.harden.is_on() {
            // A slot reads as zeros.
            let slots = ALLOCATOR.harden.mode() == HARD && size.wrapping_sub(1) < SMALL_MAX - 1;
            return if slots {
                hardened::<Plain<C>>(size)
            } else {
                door::hardened(local::enter(), size, MIN_ALIGN, true, Family::C)
            };
        }
        at = alloc_slow(size);
    }
    if let Some(object) = NonNull::new(at) {
        // SAFETY: the object is fresh and holds `size` bytes.
        unsafe { object.write_bytes(0, size) };
    }
    at
}

/// An object of `size` bytes at a multiple of `align`, a power of two.
#[inline]
#[must_use]
pub fn alloc_aligned(size: usize, align: usize) -> *mut u8 {
    alloc_aligned_for::<C>(size, align)
}

/// As [`alloc_aligned`], for functions of the family numbered `FAMILY`.
#[inline]
#[must_use]
pub fn alloc_aligned_for<const FAMILY: u16>(size: usize, align: usize) -> *mut u8 {
    if align <= MIN_ALIGN {
        let at = alloc_fast(size);
        return if at.is_null() { alloc_slow_for::<FAMILY>(size) } else { at };
    }
    // An aligned object of no bytes takes the room of its alignment: it must
    // start at a multiple of it.
    door::allocate(&CONFIG, size.max(1), align, false, slot::family(FAMILY))
}

/// Frees an object. Null is no object. An address that is none, or one that is
/// free already, ends the process with a line on file descriptor 2.
///
/// # Safety
///
/// The program does not use the object any more.
#[inline(always)]
pub unsafe fn free(at: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { free_for::<C>(at) };
}

/// As [`free`], for functions of the family numbered `FAMILY`.
///
/// # Safety
///
/// As for [`free`].
#[inline(always)]
pub unsafe fn free_for<const FAMILY: u16>(at: *mut u8) {
    let heap = local::heap();
    let Some(entry) = ALLOCATOR.arena.map.entry_aligned(at.addr()) else {
        // SAFETY: the caller's promise.
        return unsafe { free_slow::<FAMILY>(at, 0) };
    };
    let c = heap.front.class_of_entry(entry);
    if c >= crate::heap::C_CLASSES {
        // SAFETY: the caller's promise; `c` is that of its entry.
        return unsafe { free_slow::<FAMILY>(at, c) };
    }
    // SAFETY: an address with an entry is not in the first 32 KiB.
    let block: NonNull<Block> = unsafe { NonNull::new_unchecked(at.cast()) };
    // SAFETY: the map says that the block is in a span of ours of this class.
    if unsafe { heap.front.is_free(block, c) } {
        // SAFETY: the caller's promise.
        return unsafe { free_slow::<FAMILY>(at, 0) };
    }
    // SAFETY: as above, and the program has given it up.
    if unsafe { heap.front.push(block, c) } {
        flush(c);
    }
}

/// The rest of [`free`]. `c` is what the front makes of the address's entry in the map, or
/// 0.
///
/// # Safety
///
/// As for [`free`].
#[cold]
#[inline(never)]
unsafe fn free_slow<const FAMILY: u16>(at: *mut u8, c: usize) {
    if leads_to_head(c as u32) {
        // SAFETY: the caller's promise.
        return unsafe { free_slot::<FAMILY>(at, c) };
    }
    // The entry's class is below the heap's key.
    if let Some(block) = NonNull::new(at.cast())
        // SAFETY: the heap is this thread's, or stands for none; the caller's promise.
        && unsafe { local::heap().gather(&ALLOCATOR, c & 0xFF, block) }
    {
        return;
    }
    // SAFETY: the caller's promise.
    unsafe { free_other::<FAMILY>(at) };
}

/// The rest of [`free_slow`], and what is not on the way of a hardened free.
///
/// # Safety
///
/// As for [`free`].
#[inline(never)]
unsafe fn free_other<const FAMILY: u16>(at: *mut u8) {
    let Some(at) = NonNull::new(at) else { return };
    if ALLOCATOR.harden.is_on() {
        let given = Given::family(slot::family(FAMILY));
        // SAFETY: the caller's promise.
        return unsafe { door::free_hard(at, given) };
    }
    // SAFETY: the heap is this thread's; the caller's promise.
    unsafe { ALLOCATOR.free_slow(local::enter_to_free(), at) };
}

/// [`free`] at the hardened level, where `c` leads to a span of slots: the fast path of that
/// level.
///
/// # Safety
///
/// As for [`free`].
#[inline(never)]
unsafe fn free_slot<const FAMILY: u16>(at: *mut u8, c: usize) {
    let (heap, given) = (local::heap(), Given::family(slot::family(FAMILY)));
    // SAFETY: an address with an entry is not in the first 32 KiB.
    let at = unsafe { NonNull::new_unchecked(at) };
    // SAFETY: the heap is this thread's; the caller's promise.
    unsafe { door::free_slot(heap, heap.front.entry_of_class(c), at, given) };
}

#[cold]
#[inline(never)]
fn flush(c: usize) {
    // SAFETY: the heap is this thread's.
    unsafe { local::heap().flush(&ALLOCATOR, SizeClass::from_index(c)) };
}

/// Frees an object whose size the program knows: C23's `free_sized`, C++'s
/// sized `delete`. `align` is 16 or what was asked for. A size that the object
/// cannot have been allocated with ends the process.
///
/// # Safety
///
/// As for [`free`].
#[inline]
pub unsafe fn free_sized(at: *mut u8, size: usize, align: usize) {
    // SAFETY: the caller's promise.
    unsafe { free_sized_for::<C>(at, size, align) };
}

/// As [`free_sized`], for functions of the family numbered `FAMILY`.
///
/// # Safety
///
/// As for [`free`].
#[inline]
pub unsafe fn free_sized_for<const FAMILY: u16>(at: *mut u8, size: usize, align: usize) {
    if at.is_null() {
        return;
    }
    let class = SizeClass::of_layout(size, align.max(MIN_ALIGN));
    let front = &local::heap().front;
    if let (Some(class), Some(entry)) = (class, ALLOCATOR.arena.map.entry_aligned(at.addr()))
        && front.owns(entry, class.index())
    {
        let c = class.index();
        // SAFETY: an address with an entry is not in the first 32 KiB.
        let block: NonNull<Block> = unsafe { NonNull::new_unchecked(at.cast()) };
        // SAFETY: the map says that the block is in a span of ours of this class.
        if !unsafe { front.is_free(block, c) } {
            // SAFETY: as above, and the program has given it up.
            if unsafe { front.push(block, c) } {
                flush(c);
            }
            return;
        }
    } else if ALLOCATOR.harden.is_on() {
        // SAFETY: the caller's promise.
        return unsafe { free_sized_hard(at, size, align, slot::family(FAMILY)) };
    }
    // SAFETY: the caller's promise.
    unsafe { free_sized_slow::<FAMILY>(at, size, align.max(MIN_ALIGN)) };
}

/// The rest of [`free_sized`]: of the size's class the batch is that takes the block (RG1), or
/// the size is looked at.
///
/// # Safety
///
/// As for [`free`].
#[cold]
#[inline(never)]
unsafe fn free_sized_slow<const FAMILY: u16>(at: *mut u8, size: usize, align: usize) {
    if let (Some(class), Some(block)) = (SizeClass::of_layout(size, align), NonNull::new(at.cast()))
        // SAFETY: the heap is this thread's, or stands for none; the caller's promise.
        && unsafe { local::heap().gather(&ALLOCATOR, class.index(), block) }
    {
        return;
    }
    if crate::block::CHECKED && !ALLOCATOR.harden.is_on() {
        let size = if align > MIN_ALIGN { size.max(1) } else { size };
        ALLOCATOR.check_size_of_freed(at.addr(), size, align);
    }
    // SAFETY: the caller's promise.
    unsafe { free_other::<FAMILY>(at) };
}

#[cold]
#[inline(never)]
unsafe fn free_sized_hard(at: *mut u8, size: usize, align: usize, family: Family) {
    let Some(at) = NonNull::new(at) else { return };
    let size = if align > MIN_ALIGN { size.max(1) } else { size };
    let given = Given::layout(family, size, align.max(MIN_ALIGN));
    // SAFETY: the caller's promise.
    unsafe { door::free_hard(at, given) };
}

/// True when the object is one of this thread's, and `size` bytes are of its class too: it
/// stays where it is, and [`realloc`] would return `at`. It takes no frame and calls nothing.
///
/// # Safety
///
/// `at` is an object of the program's, or null.
#[must_use]
#[inline(always)]
pub unsafe fn stays(at: *mut u8, size: usize) -> bool {
    if size.wrapping_sub(1) >= SMALL_MAX {
        return false;
    }
    let Some(entry) = ALLOCATOR.arena.map.entry_aligned(at.addr()) else { return false };
    let heap = local::heap();
    let c = heap.front.class_of_entry(entry);
    if c >= crate::heap::C_CLASSES || c != SizeClass::of_size(size).index() {
        return false;
    }
    // SAFETY: an address with an entry is not in the first 32 KiB.
    let block: NonNull<Block> = unsafe { NonNull::new_unchecked(at.cast()) };
    // SAFETY: the map says that the block is in a span of ours of this class.
    !unsafe { heap.front.is_free(block, c) }
}

/// Makes an object hold `size` bytes, in place or elsewhere. Null: it is as it was.
///
/// # Safety
///
/// `at` is an object of the program's and not null; `size` is not 0.
#[must_use]
pub unsafe fn realloc(at: *mut u8, size: usize) -> *mut u8 {
    let Some(at) = NonNull::new(at) else { return ptr::null_mut() };
    let heap = local::heap();
    if size.wrapping_sub(1) < SMALL_MAX
        && let Some(entry) = ALLOCATOR.arena.map.entry(at.addr().get())
    {
        let c = heap.front.class_of_entry(entry);
        if c < crate::heap::C_CLASSES {
            let (class, block) = (SizeClass::of_size(size), at.cast::<Block>());
            let bytes = size.min(SizeClass::from_index(c).size());
            // SAFETY: the map says that the block is ours and of class `c`, so there is
            // a heap; `bytes` is within both; the caller's promise.
            let moved = unsafe { heap.move_fast(&ALLOCATOR, block, c, class, bytes) };
            if let Some(moved) = moved {
                return moved.as_ptr();
            }
        } else if leads_to_head(c as u32) && size < TABLE_MAX {
            let given = Given::family(Family::C);
            // SAFETY: the heap is this thread's; the caller's promise.
            return unsafe { door::reallocate_slot(heap, entry, at, size, given) };
        }
    }
    if ALLOCATOR.harden.is_on() {
        // SAFETY: the caller's promise.
        return unsafe { door::reallocate_hard(at, size, MIN_ALIGN, Given::family(Family::C)) };
    }
    // What is large and stays where it is needs no heap.
    if size > SMALL_MAX && ALLOCATOR.resize_in_place(at, size, MIN_ALIGN) {
        return at.as_ptr();
    }
    let heap = local::enter();
    // SAFETY: the heap is this thread's; the caller's promise.
    let moved = unsafe { ALLOCATOR.reallocate(heap, at, size, MIN_ALIGN) };
    if moved.is_none() {
        report::refused(size);
    }
    moved.map_or(ptr::null_mut(), NonNull::as_ptr)
}

/// Bytes that an object holds: at least what was asked for.
///
/// # Safety
///
/// `at` is an object of the program's.
#[must_use]
pub unsafe fn usable_size(at: *const u8) -> usize {
    ALLOCATOR.usable(at.addr())
}

/// Gives free memory back to the system, down to `keep` bytes of it. True when
/// some went.
pub fn trim(keep: usize) -> bool {
    if !local::is_open() {
        return false;
    }
    // SAFETY: the heap is this thread's.
    unsafe { ALLOCATOR.trim(local::present(), keep) != 0 }
}

/// For a face that may be called before the loader has given the first thread's
/// variables their first values: after it, all here can be used.
pub fn before_first_values() {
    local::before_first_values();
}

/// Opens the allocator for a face (1: `liballod.so`). It also happens by itself.
pub fn start(face: u32) {
    report::set_face(face);
    if report::start(&CONFIG) && crate::background::is_wanted() {
        crate::background::start();
    }
}

/// At the end of the process: the last checks of what this thread has freed,
/// and the last figures.
pub fn finish() {
    if let Some(heap) = local::present() {
        // SAFETY: the heap is this thread's.
        unsafe { heap.check_front(&ALLOCATOR) };
    }
    report::ended();
}

/// Before `fork`.
///
/// # Safety
///
/// One of the other two follows on the same thread, and nothing is allocated
/// in between.
pub unsafe fn fork_prepare() {
    report::prepare();
}

/// After `fork`, in the parent.
///
/// # Safety
///
/// [`fork_prepare`] came before, on the same thread.
pub unsafe fn fork_parent() {
    report::parent();
}

/// After `fork`, in the child.
///
/// # Safety
///
/// As for [`fork_parent`].
pub unsafe fn fork_child() {
    report::child();
}
