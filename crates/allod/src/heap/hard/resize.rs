//! Objects of the hardened levels that get other sizes, where they are or elsewhere.
//!
//! An object is looked at from all sides before anything is done, and then either stays,
//! with its canary moved, or is copied and given up. What was canary and becomes the program's reads as
//! zeros; what was the program's and is given up is canary, or zeros behind it.
#![allow(unsafe_code)]

use super::{Found, page_end};
use crate::fatal::{self, Misuse};
use crate::harden::locker::{RowAt, Slot};
use crate::harden::slot::{self, Make, SlotWord};
use crate::harden::{Form, Given, Harden, canary, runs};
use crate::heap::{Allocator, Heap};
use crate::huge::Huge;
use crate::os::Os;
use crate::span::Span;
use crate::sync::Ordering;
use crate::units::{CHUNK, LARGE_MAX, MIN_ALIGN, SLICE, slices_for};
use core::ptr::NonNull;

impl<O: Os> Allocator<O> {
    /// Makes a plain object of the heap's thread hold `size` bytes, less than
    /// [`TABLE_MAX`] and not 0, where all is at hand for it. `None`, and nothing done:
    /// [`Allocator::reallocate_hard`] may do it. `entry` is what the map says of `at`.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::reallocate`].
    #[inline(always)]
    pub(crate) unsafe fn move_slot(
        &self,
        heap: &Heap,
        entry: u32,
        at: NonNull<u8>,
        size: usize,
        given: Given,
    ) -> Option<NonNull<u8>> {
        let place = self.harden.place::<false>(entry, at)?;
        // ORDERING: Acquire pairs with the Release in `hand_out`: the canary is written.
        let said = SlotWord(place.word.load(Ordering::Acquire));
        if !self.harden.is_well(at, place, said, given) {
            return None;
        }
        let (row, seen) = (RowAt::of_size(size + 1), Harden::seen(place, said));
        if row == place.row() {
            return self.harden.resize(seen, row.class(), at, size, MIN_ALIGN).then_some(at);
        }
        // Classes of the table are 64 bytes apart at most.
        let form = Form::new(size, MIN_ALIGN, given.of());
        let fresh = heap.alloc_slot_fast::<true>(row, form)?;
        let bytes = seen.size.min(size);
        // SAFETY: two objects of at least `bytes`, and no two objects overlap.
        unsafe { fresh.copy_from_nonoverlapping(at, bytes) };
        heap.copied.add(bytes);
        // ORDERING: AcqRel, as in `free_in_hand`.
        let said = SlotWord(place.word.swap(SlotWord::HELD.0, Ordering::AcqRel));
        if !said.is_plain() {
            freed_meanwhile(at, place.size());
        }
        // SAFETY: the slot is ours (K2): the program has given it up.
        unsafe { canary::clear_short(at.as_ptr(), place.size()) };
        // SAFETY: it has given `fresh`.
        let locker = unsafe { heap.locker().unwrap_unchecked() };
        self.keep(heap, locker, place.row(), Slot::new(at, place.word, false));
        Some(fresh)
    }

    /// As [`Allocator::resize_in_place`].
    pub(crate) fn resize_hard(&self, at: NonNull<u8>, size: usize, align: usize) -> bool {
        let address = at.addr().get();
        match self.find_hard(address) {
            Found::Slot(span, class) => {
                let seen = self.harden.inspect(span, class, address, None);
                self.harden.resize(seen, class, at, size, align)
            }
            Found::Run(span) => {
                self.check_run(span, None);
                self.resize_run(span, at, size, align)
            }
            Found::Huge(huge) => {
                self.check_huge(huge, None);
                self.resize_huge(huge, at, size, align)
            }
            Found::Guarded(record) => self.usable_guarded(record, address) == size,
            Found::Nothing => size == 0,
        }
    }

    /// Makes a large object, which was looked at, hold `size` bytes where it is.
    fn resize_run(&self, span: &Span, at: NonNull<u8>, size: usize, align: usize) -> bool {
        let secret = self.harden.secret();
        let (had, bytes, old) = (span.slices(), runs::bytes_for(size), span.below());
        let wants = slices_for(bytes);
        if slot::class_for(size, align).is_some() || size >= LARGE_MAX {
            return false;
        }
        let stays = wants == had && runs::canary_end(size) == runs::canary_end(old);
        if !stays && !runs::unguard(self.ground(), span) {
            return false;
        }
        if wants < had {
            // What goes back to the arena reads as zeros (V4 of the shelves).
            // SAFETY: `wants` slices are within the run.
            let tail = unsafe { at.add(wants * SLICE) };
            runs::clear(self.ground(), tail, (had - wants) * SLICE);
        }
        if wants != had && !self.resize_large(span, bytes) {
            // SAFETY: the object is the program's, and stays what it was.
            unsafe { runs::seal(self.ground(), span, old, secret) };
            return false;
        }
        let end = runs::canary_end(old).min(wants * SLICE);
        clear_canary(at, old, size, end);
        if let Some(rest) = end.checked_sub(runs::canary_end(size)) {
            // Nothing but zeros behind a canary.
            // SAFETY: within the run, and given up by the program.
            let from = unsafe { at.add(runs::canary_end(size)) };
            // SAFETY: as above.
            unsafe { from.write_bytes(0, rest) };
        }
        span.set_carved(Make(span.carved()).at(align).0);
        // SAFETY: the object is the program's, which has it again after this.
        unsafe { runs::seal(self.ground(), span, size, secret) };
        true
    }

    /// As [`Allocator::resize_run`], for a huge object.
    fn resize_huge(&self, huge: &Huge, at: NonNull<u8>, size: usize, align: usize) -> bool {
        let (before, old) = (huge.len(), huge.asked.get());
        let end = page_end(huge, old);
        if size < LARGE_MAX || !self.huge.resize(&self.arena, huge, size) {
            return false;
        }
        self.live.shift(huge.len() as isize - before as isize);
        self.resample_huge(huge, before, size);
        clear_canary(at, old, size, end.min(huge.len()));
        self.seal_huge(at, size, Make(huge.made.get()).at(align));
        true
    }

    /// As [`Allocator::reallocate`]; `given` is what is known of the object.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::reallocate`].
    pub(crate) unsafe fn reallocate_hard(
        &self,
        heap: Option<&Heap>,
        at: NonNull<u8>,
        size: usize,
        align: usize,
        given: Given,
    ) -> Option<NonNull<u8>> {
        if size > isize::MAX as usize - align {
            return None;
        }
        let address = at.addr().get();
        if let Some((span, class, _)) = self.slot_at(at) {
            let seen = self.harden.look(span, class, at, given);
            if at.as_ptr() == span.base() {
                self.check_before(address, class.size());
            }
            if self.harden.resize(seen, class, at, size, align) {
                return Some(at);
            }
            let form = Form::new(size, align, given.of());
            let own = heap.filter(|heap| !heap.is_private());
            let fresh = match (own, slot::class_for(size, align)) {
                (Some(heap), Some(class)) if size != 0 => {
                    heap.alloc_slot_fast::<false>(RowAt::of(class), form)
                }
                _ => None,
            };
            let fresh = match fresh {
                Some(fresh) => fresh,
                // SAFETY: the caller's promise.
                None => unsafe { self.allocate_hard(heap, size, align, given.of()) }?.0,
            };
            let bytes = seen.size.min(size);
            // SAFETY: two objects of at least `bytes`, and no two objects overlap.
            unsafe { fresh.copy_from_nonoverlapping(at, bytes) };
            match own {
                Some(heap) => heap.copied.add(bytes),
                // ORDERING: Relaxed, a figure.
                None => _ = self.copied.fetch_add(bytes, Ordering::Relaxed),
            }
            self.give_up(own, (span, class), seen, at);
            return Some(fresh);
        }
        let old = self.look_at(address, Some(given));
        if self.resize_hard(at, size, align) {
            return Some(at);
        }
        if size >= LARGE_MAX
            && size > old
            && align <= CHUNK
            && let Some(huge) = self.huge.find(&self.arena, address)
        {
            let end = page_end(huge, old);
            if let Some(moved) = self.grow_huge_elsewhere(huge, size) {
                clear_canary(moved, old, size, end);
                self.seal_huge(moved, size, Make(huge.made.get()).at(align));
                return Some(moved);
            }
        }
        // SAFETY: the caller's promise.
        let (fresh, _) = unsafe { self.allocate_hard(heap, size, align, given.of()) }?;
        let bytes = old.min(size);
        // SAFETY: two objects of at least `bytes`, and no two objects overlap.
        unsafe { fresh.copy_from_nonoverlapping(at, bytes) };
        // ORDERING: Relaxed, a figure.
        self.copied.fetch_add(bytes, Ordering::Relaxed);
        let own = heap.filter(|heap| !heap.is_private());
        // SAFETY: the program gives the old object up.
        unsafe { self.free_hard(own, at, Given::family(given.of())) };
        Some(fresh)
    }
}

/// Another thread has freed an object while it was moved.
#[cold]
#[inline(never)]
fn freed_meanwhile(at: NonNull<u8>, size: usize) -> ! {
    fatal::misuse(Misuse::DoubleFree, at.addr().get(), size);
}

/// Makes zeros of what was canary from `old` to `end`, as far as `size` bytes reach.
fn clear_canary(at: NonNull<u8>, old: usize, size: usize, end: usize) {
    let until = end.min(size);
    if until > old {
        // SAFETY: the object holds `size` bytes and had canary up to `end`.
        let from = unsafe { at.add(old) };
        // SAFETY: as above.
        unsafe { from.write_bytes(0, until - old) };
    }
}
