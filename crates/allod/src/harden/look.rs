//! Looking at objects: whether one is the program's, whole, and what it is taken for.
//!
//! ```text
//!   a free:        is_well --yes--> the slot is taken back
//!                     \--no--> examine ---> the same, or the end of the process
//!   other calls:   look: is_well --yes-------> Seen
//!                           \--no--> inspect --> Seen, or the end of the process
//! ```
//!
//! The first look is the fast one. It is right about plain objects with nothing wrong, and
//! says no to all else: to samples, to slots with much slack, to the first slot of a span,
//! and to what is under another thread's eyes. The second takes its time, and either
//! finds that all is well or ends the process with a line.
//!
//! An object is looked at from all sides: its word, its canary (R1), the canary of the slot
//! before, and what the caller knows of it ([`Given`]). Of slots that nobody has it is asked
//! whether they read as zeros (R2).
//!
//! # Threads
//!
//! The word decides who frees. The canary of the slot before may be read while
//! its holder frees it or makes it longer; a mismatch counts only when the
//! word has not changed and it is still there after several looks, which is
//! longer than a slot can take through a quarantine.
//!
//! What becomes of the slots is in `harden.rs`.
#![allow(unsafe_code)]

use super::locker::{Locker, Slot};
use super::shelf::Last;
use super::slot::{Family, Make, SlotWord, State};
use super::table::{Head, Place, word_of};
use super::{Harden, canary};
use crate::fatal::{self, Misuse};
use crate::size::{CLASSES, SizeClass};
use crate::span::Span;
use crate::sync::{AtomicU16, Ordering};
use core::ptr::{self, NonNull};
use core::sync::atomic::fence;

/// What a free knows of the object beside its address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    /// Bytes that were asked for, or [`Given::UNKNOWN`].
    size: usize,
    /// Which functions free it, and, where the size is known, its alignment.
    make: Make,
}

impl Given {
    const UNKNOWN: usize = usize::MAX;

    pub(crate) const fn family(family: Family) -> Self {
        Self { size: Self::UNKNOWN, make: Make::new(family, 1) }
    }

    pub(crate) const fn layout(family: Family, size: usize, align: usize) -> Self {
        Self { size, make: Make::new(family, align) }
    }

    pub(crate) const fn of(self) -> Family {
        self.make.family()
    }

    /// The size, where it is known.
    pub(crate) fn size(self) -> Option<usize> {
        (self.size != Self::UNKNOWN).then_some(self.size)
    }
}

/// An object of the program's that was looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(super) word: &'a AtomicU16,
    pub(super) said: SlotWord,
    /// Bytes that were asked for.
    pub(crate) size: usize,
}

impl Seen<'_> {
    /// The alignment that it was asked for with.
    pub(crate) fn align(&self) -> usize {
        self.said.make().align()
    }
}

impl Harden {
    /// True when an object that was taken back, whose word `said` that, is a plain one
    /// and all is well with it at the first look. False: [`Harden::examine`] says what is
    /// wrong, if anything is.
    #[inline(always)]
    pub(crate) fn is_well(
        &self,
        at: NonNull<u8>,
        place: Place<'_>,
        said: SlotWord,
        given: Given,
    ) -> bool {
        let fits = if given.size == Given::UNKNOWN {
            said.is_plain_of(given.make)
        } else {
            let told = SlotWord::out(given.make, place.size().wrapping_sub(given.size));
            said == told && given.make.fits_slots()
        };
        // What is before the first slot is another's.
        if !fits || place.index == 0 {
            return false;
        }
        let seed = canary::Seed::new(self.secret(), at.addr().get());
        let end = at.as_ptr().wrapping_add(place.size());
        // Where there is more slack than the word tells of, the note in it is in the way.
        // SAFETY: the slot is the caller's, and of 256 bytes or more if its word says so.
        if !unsafe { canary::end_holds(end, said.told_slack(), seed.own()) } {
            return false;
        }
        // SAFETY: the word of the slot before stands before this one's in the table.
        let word = unsafe { &*ptr::from_ref(place.word).wrapping_sub(1) };
        // ORDERING: Acquire pairs with the Release in `hand_out`: the canary is written.
        let said = SlotWord(word.load(Ordering::Acquire));
        if said.state() != State::Out {
            return true;
        }
        let before = seed.before(place.step());
        // SAFETY: the slot before ends where this one starts.
        unsafe { canary::neighbour_holds(at.as_ptr(), said.told_slack(), before) }
    }

    /// Looks at an object that is taken back from all sides, and with patience; ends the
    /// process if there is something wrong. Returns its slot.
    #[cold]
    pub(crate) fn examine(
        &self,
        span: &Span,
        class: SizeClass,
        at: NonNull<u8>,
        said: SlotWord,
        given: Given,
    ) -> Slot {
        let address = at.addr().get();
        let (index, word) = find(span, class, address);
        if said.state() != State::Out {
            fatal::misuse(Misuse::DoubleFree, address, class.size());
        }
        let slack = self.check_canary(span, class, index, address, said);
        self.judge(said.make(), class.size() - slack, given, address, class.size());
        Slot::new(at, word, false)
    }

    /// An object that was looked at and found well.
    #[inline(always)]
    pub(crate) fn seen<'a>(place: Place<'a>, said: SlotWord) -> Seen<'a> {
        Seen { word: place.word, said, size: place.size() - said.told_slack() }
    }

    /// As [`Harden::inspect`], for what is most often right.
    #[inline(always)]
    pub(crate) fn look<'a>(
        &self,
        span: &'a Span,
        class: SizeClass,
        at: NonNull<u8>,
        given: Given,
    ) -> Seen<'a> {
        let (index, word) = find(span, class, at.addr().get());
        // ORDERING: Acquire pairs with the Release in `hand_out`: the canary is written.
        let said = SlotWord(word.load(Ordering::Acquire));
        if let Some(place) = Head::nth(span, index, word)
            && self.is_well(at, place, said, given)
        {
            return Seen { word, said, size: class.size() - said.told_slack() };
        }
        self.inspect(span, class, at.addr().get(), Some(given))
    }

    /// Looks at an object of the program's, of which `given` is known. Ends the process
    /// if none is there, if it is another, or if it is damaged.
    #[inline(never)]
    pub(crate) fn inspect<'a>(
        &self,
        span: &'a Span,
        class: SizeClass,
        address: usize,
        given: Option<Given>,
    ) -> Seen<'a> {
        let (index, word) = find(span, class, address);
        // ORDERING: Acquire pairs with the Release in `hand_out`: the canary is written.
        let said = SlotWord(word.load(Ordering::Acquire));
        if said.state() != State::Out {
            fatal::misuse(Misuse::DoubleFree, address, class.size());
        }
        let slack = self.check_canary(span, class, index, address, said);
        if let Some(given) = given {
            self.judge(said.make(), class.size() - slack, given, address, class.size());
        }
        Seen { word, said, size: class.size() - slack }
    }

    /// False when something has been written to the last bytes of a span of slots.
    pub(crate) fn ends_well(&self, span: &Span, class: SizeClass) -> bool {
        match self.shelves.last_of(class, span) {
            Last::Unknown => true,
            Last::Zeros(whole) => whole,
            Last::Slot(_guard, word, end) => {
                let pattern = canary::pattern(self.secret(), end.addr() - class.size());
                before_holds(word, end, pattern)
            }
        }
    }

    /// Ends the process when the size, the alignment or the family of a free is not the
    /// object's, which holds `block` bytes at `address`, and of which `asked` were asked
    /// for.
    pub(crate) fn judge(&self, make: Make, asked: usize, given: Given, address: usize, block: usize) {
        if let Some(size) = given.size() {
            if size != asked {
                fatal::misuse(Misuse::WrongSize, address, block);
            }
            if make.align() != given.make.align() {
                fatal::misuse(Misuse::WrongAlignment, address, block);
            }
        }
        if make.family() != given.of() {
            self.families(make.family(), given.of(), address, block);
        }
    }

    /// Two families that do not match: ends the process, unless the program has
    /// operators of its own behind some of ours.
    #[cold]
    pub(crate) fn families(&self, made: Family, freed: Family, address: usize, size: usize) {
        // ORDERING: Acquire pairs with the Release in `set_judge`.
        let judge = self.judge.load(Ordering::Acquire);
        if !judge.is_null() {
            // SAFETY: `set_judge` stored a function of this shape and nothing else.
            let judge = unsafe { core::mem::transmute::<*mut (), fn() -> bool>(judge) };
            if !judge() {
                return;
            }
        }
        let made = ["malloc", "operator new", "operator new[]", "a Rust layout"][made as usize & 3];
        let freed =
            ["free", "operator delete", "operator delete[]", "a Rust layout"][freed as usize & 3];
        fatal::misuse(Misuse::Family(made, freed), address, size);
    }

    /// Ends the process when the canary behind an object, or the one before it, is
    /// not whole. Returns the object's slack.
    fn check_canary(
        &self,
        span: &Span,
        class: SizeClass,
        index: u32,
        address: usize,
        seen: SlotWord,
    ) -> usize {
        let at = span.base().wrapping_add(index as usize * class.size());
        let (size, secret) = (class.size(), self.secret());
        let pattern = canary::pattern(secret, address);
        // SAFETY: the slot is the program's or was a moment ago, and readable.
        let Some(slack) = (unsafe { slack_of(at, size, seen, pattern) }) else {
            fatal::misuse(Misuse::Overflow, address, size);
        };
        if let Some(before) = index.checked_sub(1).and_then(|before| word_of(span, before)) {
            let pattern = canary::pattern(secret, address - size);
            if !before_holds(before, at, pattern) {
                fatal::misuse(Misuse::Underflow, address, size);
            }
        }
        slack
    }

    /// Looks at all free memory that is at hand, at the end of the process, while
    /// others may still run: that it reads as zeros.
    pub(crate) fn look_at_free<'a>(&self, spans: impl Iterator<Item = &'a Span>) {
        if let Some(span) = self.runs.damaged() {
            fatal::misuse(Misuse::UseAfterFree, span.base().addr(), span.block_size());
        }
        for span in spans {
            let Some(class) = span.class() else { continue };
            if span.heap().is_null()
                && let Some(address) = self.shelves.damaged(class, span)
            {
                fatal::misuse(Misuse::UseAfterFree, address, class.size());
            }
        }
    }

    /// Looks at every slot of a span, at the end of the process, while others may
    /// still run: the canaries of those that are OUT.
    pub(crate) fn sweep(&self, span: &Span) {
        let Some(class) = span.class() else { return };
        let size = class.size();
        for i in 0..u32::from(span.carved()) {
            let Some(word) = word_of(span, i) else { return };
            let at = span.base().wrapping_add(i as usize * size);
            let pattern = canary::pattern(self.secret(), at.addr());
            let look = || {
                // ORDERING: Acquire pairs with the Release in `hand_out`.
                let seen = SlotWord(word.load(Ordering::Acquire));
                seen.state() != State::Out
                    // SAFETY: the slot is a span's, and readable.
                    || unsafe { slack_of(at, size, seen, pattern) }.is_some()
                    // ORDERING: Relaxed, a change means that its holder is at work.
                    || word.load(Ordering::Relaxed) != seen.0
            };
            if !look() && !again(look) {
                fatal::misuse(Misuse::Overflow, at.addr(), size);
            }
        }
    }

    /// Tests the invariants of a span of slots.
    #[cfg(any(test, fuzzing, audit))]
    pub(crate) fn check(&self, span: &Span) {
        let class = span.class().expect("a span of slots has a class");
        let mut free = 0;
        for i in 0..u32::from(span.carved()) {
            let at = span.base().wrapping_add(i as usize * class.size());
            // ORDERING: Relaxed, tests call this with the allocator to themselves.
            let word = SlotWord(word_of(span, i).expect("a table").load(Ordering::Relaxed));
            let pattern = canary::pattern(self.secret(), at.addr());
            let size = class.size();
            match word.state() {
                State::Out => {
                    // SAFETY: the slot is the span's.
                    let slack = unsafe { slack_of(at, size, word, pattern) };
                    assert!(slack.is_some(), "R1: slot {i} of {class:?}");
                }
                state => {
                    // SAFETY: as above.
                    let is_zero = unsafe { canary::is_zero(at, size) };
                    free += u16::from(state == State::Free);
                    assert!(is_zero, "R2: slot {i} of {class:?}");
                }
            }
        }
        super::shelf::check(span, free);
    }
}

/// The slack of an object in a slot of `size` bytes, whose word says `seen`; `None`
/// when its canary is not whole.
///
/// # Safety
///
/// The slot is readable.
#[inline(always)]
unsafe fn slack_of(at: *const u8, size: usize, seen: SlotWord, pattern: u64) -> Option<usize> {
    let Some(slack) = seen.slack() else {
        // SAFETY: the caller's promise.
        return unsafe { canary::long(at, size, pattern) };
    };
    // SAFETY: as above.
    unsafe { canary::holds(at, size - slack, size, pattern) }.then_some(slack)
}

/// The number and the word of the slot at `address`; or the end of the process.
#[inline(always)]
pub(super) fn find(span: &Span, class: SizeClass, address: usize) -> (u32, &AtomicU16) {
    let index = class.divide().block_index(address.wrapping_sub(span.base().addr()));
    if index < u32::from(span.carved())
        && let Some(word) = word_of(span, index)
    {
        return (index, word);
    }
    fatal::misuse(Misuse::InvalidFree, address, class.size())
}

/// True unless the slot that ends at `end` is OUT and its canary is damaged there.
/// Its holder may be freeing it, or changing its length.
#[inline(always)]
fn before_holds(word: &AtomicU16, end: *const u8, pattern: u64) -> bool {
    let look = || {
        // ORDERING: Acquire pairs with the Release in `hand_out`: the canary is written.
        let seen = SlotWord(word.load(Ordering::Acquire));
        if seen.state() != State::Out {
            return true;
        }
        // SAFETY: the slot lies before `end`, in the same span.
        if unsafe { canary::neighbour_holds(end, seen.told_slack(), pattern) } {
            return true;
        }
        // ORDERING: Acquire pairs with the fence in `resize`: what we have seen of later
        // writes comes with the word that allowed them.
        fence(Ordering::Acquire);
        // ORDERING: Relaxed, behind the fence.
        word.load(Ordering::Relaxed) != seen.0
    };
    look() || again(look)
}

/// Looks again, until the truth has had the time to come out.
#[cold]
fn again(look: impl Fn() -> bool) -> bool {
    for spins in 1..128 {
        crate::sync::relax(spins);
        if look() {
            return true;
        }
    }
    false
}

/// Ends the process when a slot that is ours does not read as zeros (R2).
#[inline(always)]
pub(super) fn verify(at: NonNull<u8>, size: usize) {
    verify_part(at, at, size, size);
}

/// As [`verify`], for the `len` bytes from `from` on of the slot of `size` bytes at `at`.
#[inline(always)]
fn verify_part(at: NonNull<u8>, from: NonNull<u8>, len: usize, size: usize) {
    // SAFETY: the slot is ours, and its size and those of its parts are multiples of 8.
    if !unsafe { canary::is_zero(from.as_ptr(), len) } {
        written(at, size);
    }
}

/// Something was written to a slot that nobody has.
#[cold]
#[inline(never)]
fn written(at: NonNull<u8>, size: usize) -> ! {
    fatal::misuse(Misuse::UseAfterFree, at.addr().get(), size);
}

/// Bytes of a waiting slot that are looked at at a time.
const PART: usize = 512;

/// Looks at one class's quarantine: at the whole of short slots, and at a part of long ones,
/// now this, now that. All of it would be 8 KiB in the mean, long cold: of Python's cache
/// misses one in twelve (2026-11-30).
#[cold]
pub(super) fn look_at_waiting(locker: &Locker) {
    let class = locker.next_turn();
    let size = class.size();
    locker.waiting(class, |slot| {
        let (from, len) = part(size, locker.roll(size.div_ceil(PART)));
        // SAFETY: the part is of the slot, which is its length at least.
        verify_part(slot.at(), unsafe { slot.at().add(from) }, len, size);
    });
}

/// Where part `number` of a slot of `size` bytes begins, and how long it is. The last one
/// ends where the slot does.
fn part(size: usize, number: usize) -> (usize, usize) {
    let len = size.min(PART);
    ((number * PART).min(size - len), len)
}

/// Looks at everything in a locker, at the end of the process.
pub(crate) fn look_at_all(locker: &Locker) {
    for c in 1..CLASSES {
        let class = SizeClass::from_index(c);
        locker.all(class, |slot| {
            if !slot.is_untouched() {
                verify(slot.at(), class.size());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    //! The parts of a slot: all of it, and nothing else.

    use super::*;

    #[test]
    fn the_parts_of_a_slot_are_all_of_it() {
        for c in 1..CLASSES {
            let size = SizeClass::from_index(c).size();
            let mut seen = 0;
            for number in 0..size.div_ceil(PART) {
                let (from, len) = part(size, number);
                assert!(from <= seen && from + len > seen && from + len <= size, "{number} of {size}");
                assert!(from % 8 == 0 && len % 8 == 0 && len <= PART, "{number} of {size}");
                seen = from + len;
            }
            assert_eq!(seen, size);
        }
    }
}
