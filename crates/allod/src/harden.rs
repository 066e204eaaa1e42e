//! The hardened levels: objects that are watched from their birth to their reuse.
//!
//! ```text
//!   heap ---- which locker ----> harden
//!                                  locker   slots in hand: random choice, quarantine
//!                                  shelf    spans of slots, for all lockers
//!                                  table    the words of a span's slots; how a free finds them
//!                                  runs     large objects
//!                                  guards   memory behind both that nobody can touch
//!                                  slot     a slot's word: state, family, slack
//!                                  canary   bytes that nobody may write; zeros
//!                                  look     whether all is well with an object
//! ```
//!
//! At these levels no front list is ever filled and no entry of the map is a heap's,
//! so every `malloc` and every `free`, inlined ones too, takes the slow path and
//! comes here. The default level pays one test in its slow paths.
//!
//! # What is checked, and when
//!
//! | at | is checked |
//! |---|---|
//! | a free | that a slot starts there and is the program's; family; size; the canary behind it and the one before it |
//! | `realloc`, `malloc_usable_size` | the same, family and size as far as they are known |
//! | a slot is handed out | that it reads as zeros, as it did when it was freed |
//! | one free in 256, and the end | the slots in quarantine, a class at a time: that they read as zeros |
//!
//! # Invariants
//!
//! * R1. An OUT slot's last `slack` bytes are its canary, from before it is OUT
//!   until after it has stopped being OUT.
//! * R2. A slot that is HELD in a locker, or FREE, reads as zeros.
//!
//! # Threads
//!
//! A slot's word decides who frees it (`slot.rs`). Lockers are their thread's (K1), shelves
//! are under locks (V1). An object may be looked at while its neighbour is another
//! thread's: `look.rs` says how.
#![allow(unsafe_code)]

pub(crate) mod canary;
pub(crate) mod guards;
pub(crate) mod locker;
pub(crate) mod look;
pub(crate) mod runs;
pub(crate) mod shelf;
pub(crate) mod slot;
pub(crate) mod table;

use crate::fatal::{self, Misuse};
use crate::os::Os;
use crate::size::{CLASSES, SizeClass};
use crate::span::Span;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Lock, Ordering};
use core::iter;
use core::ptr::{self, NonNull};
use core::sync::atomic::fence;
use guards::Guards;
use locker::{Locker, Slot};
use look::{find, look_at_waiting, verify};
use runs::Runs;
use shelf::{Ground, Shelves};
use slot::{Family, Make, SLACK_MAX, SlotWord, State};
use table::{Place, Tables};

pub(crate) use look::{Given, Seen, look_at_all};

/// Objects live in slots, and take the slow path.
pub(crate) const HARD: u32 = 1;
/// Some objects of the slow path have pages of their own.
pub(crate) const GUARDS: u32 = 2;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) size: usize,
    pub(crate) make: Make,
}

impl Form {
    pub(crate) const fn new(size: usize, align: usize, family: Family) -> Self {
        Self { size, make: Make::new(family, align) }
    }
}

/// What all hardened objects of an allocator share. What every process reads and writes
/// comes first.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Harden {
    /// [`HARD`] and [`GUARDS`].
    mode: AtomicU32,
    secret: AtomicU64,
    /// Decides, once a mismatch is found, whether families are to be told apart here.
    judge: AtomicPtr<()>,
    pub(crate) runs: Runs,
    pub(crate) guards: Guards,
    shelves: Shelves,
    tables: Tables,
}

impl Harden {
    pub(crate) const fn new() -> Self {
        Self {
            mode: AtomicU32::new(0),
            secret: AtomicU64::new(0),
            shelves: Shelves::new(),
            tables: Tables::new(),
            runs: Runs::new(),
            guards: Guards::new(),
            judge: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Chooses the level, before the first allocation.
    pub(crate) fn open(&self, hard: bool, guards: bool, secret: u64) {
        // ORDERING: Relaxed on both, published with the open allocator by the caller.
        self.secret.store(secret, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.mode.store(u32::from(hard) | u32::from(guards) << 1, Ordering::Relaxed);
    }

    /// Has entries of the map reach what is not too far from `near`, before the first
    /// allocation.
    pub(crate) fn reach(&self, near: *mut u8) {
        self.tables.open(near);
    }

    /// The slot at `at`, if its `entry` in the map leads to one; those that take long to
    /// clear only when `LONG` says so.
    #[inline(always)]
    pub(crate) fn place<const LONG: bool>(&self, entry: u32, at: NonNull<u8>) -> Option<Place<'_>> {
        self.tables.head(entry)?.place::<LONG>(at.addr().get())
    }

    /// True at the hardened levels.
    #[inline(always)]
    pub(crate) fn is_on(&self) -> bool {
        // ORDERING: Relaxed, set before the allocator was published as open.
        self.mode.load(Ordering::Relaxed) & HARD != 0
    }

    /// [`HARD`] and [`GUARDS`], as they were chosen; 0 at the default level.
    #[inline(always)]
    pub(crate) fn mode(&self) -> u32 {
        // ORDERING: Relaxed, as above.
        self.mode.load(Ordering::Relaxed)
    }

    /// What the canaries are mixed with.
    #[inline(always)]
    pub(crate) fn secret(&self) -> u64 {
        // ORDERING: Relaxed, set once at `open`.
        self.secret.load(Ordering::Relaxed)
    }

    /// Has `judge` asked whether families hold, when two do not match.
    pub(crate) fn set_judge(&self, judge: fn() -> bool) {
        // ORDERING: Release pairs with the Acquire in `families`.
        self.judge.store(judge as *mut (), Ordering::Release);
    }

    /// Every lock of this room, outermost first, for `fork`.
    pub(crate) fn locks(&self) -> impl DoubleEndedIterator<Item = &Lock> {
        self.shelves.locks().chain([self.runs.lock(), self.tables.lock()])
    }

    /// A locker for a heap: a thread's, or a private one that is known by `owner`.
    pub(crate) fn make_locker<'a, O: Os>(
        &'a self,
        ground: Ground<'a, O>,
        owner: *mut (),
    ) -> Option<&'a Locker> {
        let (arena, kernel) = (ground.arena, &ground.arena.kernel);
        let place = arena.meta.take(kernel, size_of::<Locker>(), align_of::<Locker>())?;
        // SAFETY: fresh zeros of the right size and alignment are a locker, and stay.
        let locker: &Locker = unsafe { place.cast::<Locker>().as_ref() };
        let shelves = if owner.is_null() {
            &self.shelves
        } else {
            let size = size_of::<Shelves>();
            let place = arena.meta.take(kernel, size, align_of::<Shelves>())?;
            // SAFETY: fresh memory of the right size and alignment.
            unsafe { place.cast::<Shelves>().write(Shelves::new()) };
            // SAFETY: just written, and never unmapped.
            let own: &Shelves = unsafe { place.cast::<Shelves>().as_ref() };
            own.belong_to(owner);
            own
        };
        let [seed, _] = kernel.entropy();
        locker.begin(shelves, seed ^ place.addr().get() as u64, self.secret());
        Some(locker)
    }

    /// An object of `size` bytes in a slot of `class`, which [`slot::class_for`]
    /// has named. It reads as zeros.
    pub(crate) fn alloc<O: Os>(
        &self,
        ground: Ground<'_, O>,
        locker: &Locker,
        class: SizeClass,
        form: Form,
    ) -> Option<NonNull<u8>> {
        let slot = match locker.take(class) {
            Some(slot) => slot,
            None => {
                if !locker.shelves()?.refill(ground, &self.tables, class, locker) {
                    return None;
                }
                locker.bound(class);
                locker.take(class)?
            }
        };
        let (end, slack) = (class.size(), class.size() - form.size);
        if slack <= SLACK_MAX {
            return Some(Self::hand_out(self.secret(), slot, end, form));
        }
        let at = slot.at();
        if !slot.is_untouched() {
            verify(at, end);
        }
        let pattern = canary::pattern(self.secret(), at.addr().get());
        // SAFETY: the slot is ours, and its last bytes are not asked for.
        unsafe { canary::write_long(at.as_ptr(), form.size, end, pattern) };
        // ORDERING: Release, as in `hand_out`.
        slot.word().store(SlotWord::out(form.make, slack).0, Ordering::Release);
        Some(at)
    }

    /// Makes an object of a slot that is in the caller's hands (K2). There are
    /// [`SLACK_MAX`] bytes of slack at most.
    #[inline(always)]
    pub(crate) fn hand_out(secret: u64, slot: Slot, end: usize, form: Form) -> NonNull<u8> {
        let at = slot.at();
        if !slot.is_untouched() {
            verify(at, end);
        }
        let pattern = canary::pattern(secret, at.addr().get());
        // SAFETY: the slot is ours, and `class_for` leaves at least a byte of slack. It
        // reads as zeros (R2).
        unsafe { canary::write_on(at.as_ptr(), form.size, end, pattern, 0) };
        let said = SlotWord::out_short(form.make, end - form.size);
        // ORDERING: Release pairs with the Acquires of `before_holds` and of the free: the
        // canary is written (R1).
        slot.word().store(said.0, Ordering::Release);
        at
    }

    /// Notes that the object at `at` is a sample.
    pub(crate) fn mark_sample(&self, span: &Span, class: SizeClass, at: NonNull<u8>) {
        let (_, word) = find(span, class, at.addr().get());
        // ORDERING: Relaxed on both, nobody else knows of the object yet.
        let seen = SlotWord(word.load(Ordering::Relaxed));
        // ORDERING: Release: as in `hand_out`.
        word.store(seen.sampled().0, Ordering::Release);
    }

    /// What is to be done now and then, for a locker that is the caller's: the
    /// quarantine is looked at, and a magazine with too much in it is thinned out. Returns
    /// how many allocations and frees there were since the last time, and true when slots
    /// have gone back to the shelf: a good moment for upkeep.
    #[cold]
    #[inline(never)]
    pub(crate) fn see_to<O: Os>(
        &self,
        ground: Ground<'_, O>,
        locker: &Locker,
        class: SizeClass,
    ) -> (usize, usize, bool) {
        let taken = locker.taken(class);
        let (freed, excess) = locker.settle(class, taken == 0);
        if locker.is_time_to_look(freed) {
            look_at_waiting(locker);
        }
        if excess != 0 && let Some(shelves) = locker.shelves() {
            // Above a holder of the shelf's lock these are nowhere from here on, and HELD.
            let out = locker.magazine(class).drain(excess);
            shelves.give_back(ground, &self.tables, class, out);
        }
        (taken, freed, excess != 0)
    }

    /// Puts a slot back onto the common shelf at once, for a thread that has no
    /// locker at hand.
    pub(crate) fn return_now<O: Os>(&self, ground: Ground<'_, O>, class: SizeClass, slot: Slot) {
        self.shelves.give_back(ground, &self.tables, class, iter::once(slot));
    }

    /// Sends every slot in a locker back to its shelf. It is the caller's.
    pub(crate) fn drain<O: Os>(&self, ground: Ground<'_, O>, locker: &Locker) {
        let Some(shelves) = locker.shelves() else { return };
        for c in 1..CLASSES {
            let class = SizeClass::from_index(c);
            locker.empty(class, |slot| {
                if !slot.is_untouched() {
                    verify(slot.at(), class.size());
                }
                shelves.give_back(ground, &self.tables, class, iter::once(slot));
            });
        }
    }

    /// As [`Harden::drain`], for a locker whose thread was lost in a fork, between any two
    /// instructions: a slot may be in the ring twice, or have something in it yet.
    pub(crate) fn drain_lost<O: Os>(&self, ground: Ground<'_, O>, locker: &Locker) {
        let Some(shelves) = locker.shelves() else { return };
        for c in 1..CLASSES {
            let class = SizeClass::from_index(c);
            locker.empty(class, |slot| {
                // ORDERING: Relaxed, its thread is gone, and the locker is the caller's.
                if SlotWord(slot.word().load(Ordering::Relaxed)) != SlotWord::HELD {
                    return;
                }
                // SAFETY: a slot of the class (K3), which nobody else has (K2).
                if !unsafe { canary::is_zero(slot.at().as_ptr(), class.size()) } {
                    // SAFETY: as above.
                    unsafe { canary::clear(slot.at().as_ptr(), class.size()) };
                }
                shelves.give_back(ground, &self.tables, class, iter::once(slot));
            });
        }
    }

    /// Gives back what is kept: the spans that are empty, the large objects in quarantine.
    pub(crate) fn release<O: Os>(&self, ground: Ground<'_, O>) {
        self.runs.release(ground);
        self.shelves.release_empty(ground, &self.tables);
    }

    /// Gives back the empty spans of a locker's own shelves.
    pub(crate) fn release_own<O: Os>(&self, ground: Ground<'_, O>, locker: &Locker) {
        if let Some(shelves) = locker.shelves() {
            shelves.release_empty(ground, &self.tables);
        }
    }

    /// Wipes and gives back a span of a private heap that is gone. Returns the bytes
    /// that were out.
    pub(crate) fn wipe_out<O: Os>(&self, ground: Ground<'_, O>, span: &Span) -> usize {
        span.class().map_or(0, |class| ground.wipe_out(&self.tables, class, span))
    }

    /// Makes an object of the program's, which was looked at, hold `size` bytes, if its
    /// slot can.
    pub(crate) fn resize(
        &self,
        seen: Seen<'_>,
        class: SizeClass,
        at: NonNull<u8>,
        size: usize,
        align: usize,
    ) -> bool {
        if slot::class_for(size, align) != Some(class) {
            return false;
        }
        let (old, end) = (seen.size, class.size());
        let pattern = canary::pattern(self.secret(), at.addr().get());
        let slack = end - size;
        let said = seen.said.resized(seen.said.make().at(align), slack);
        // In an order in which whoever looks at the slot's last bytes, by what the word
        // says at that moment, finds them as they should be.
        let (was_long, is_long) = (seen.said.slack().is_none(), slack > SLACK_MAX);
        if size < old && was_long {
            // SAFETY: the slot is the program's, which has given up these bytes.
            unsafe { canary::write_long(at.as_ptr(), size, end, pattern) };
        } else if size < old {
            // SAFETY: as above.
            unsafe { canary::write(at.as_ptr(), size, end, pattern) };
        } else if was_long {
            let note = if is_long { slack } else { 0 };
            // SAFETY: the last word was canary, and nobody has asked for it.
            unsafe { canary::note(at.as_ptr(), end, pattern, note) };
        }
        // ORDERING: Release: the canary is written before the word says how long it is.
        seen.word.store(said.0, Ordering::Release);
        if is_long && !was_long {
            // SAFETY: as above.
            unsafe { canary::note(at.as_ptr(), end, pattern, slack) };
        }
        if size > old {
            // ORDERING: Release: whoever sees what the program writes over the canary sees
            // the word that says it may. Pairs with the fence in `before_holds`.
            fence(Ordering::Release);
            // SAFETY: within the slot. What was canary is not for the program to read.
            let grown = unsafe { at.add(old) };
            // SAFETY: as above.
            unsafe { grown.write_bytes(0, size - old) };
        }
        true
    }

    /// Takes the slot of an object back that was looked at, and says whether it was a
    /// sample.
    #[inline]
    pub(crate) fn take_back(
        &self,
        seen: Seen<'_>,
        class: SizeClass,
        at: NonNull<u8>,
    ) -> (Slot, bool) {
        // ORDERING: AcqRel: one freer finds it OUT, behind the writes of the holder.
        let said = SlotWord(seen.word.swap(SlotWord::HELD.0, Ordering::AcqRel));
        if said.state() != State::Out {
            fatal::misuse(Misuse::DoubleFree, at.addr().get(), class.size());
        }
        (Slot::new(at, seen.word, false), said.is_sample())
    }
}
