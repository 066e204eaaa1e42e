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
//! The word decides who frees. The canary of the slot before may be read while
//! its holder frees it or makes it longer; a mismatch counts only when the
//! word has not changed and it is still there after several looks, which is
//! longer than a slot can take through a quarantine.
#![allow(unsafe_code)]

pub(crate) mod canary;
pub(crate) mod guards;
pub(crate) mod locker;
pub(crate) mod runs;
pub(crate) mod shelf;
pub(crate) mod slot;
pub(crate) mod table;

use crate::fatal::{self, Misuse};
use crate::os::Os;
use crate::size::{CLASSES, SizeClass};
use crate::span::Span;
use crate::sync::{AtomicU16, AtomicU32, AtomicU64, Lock, Ordering};
use core::iter;
use core::ptr::{self, NonNull};
use core::sync::atomic::fence;
use guards::Guards;
use locker::{Locker, Slot};
use runs::Runs;
use shelf::{Ground, Last, Shelves};
use table::{Head, Place, Tables, word_of};
use slot::{Family, Make, SLACK_MAX, SlotWord, State};

/// Objects live in slots, and take the slow path.
pub(crate) const HARD: u32 = 1;
/// Some objects of the slow path have pages of their own.
pub(crate) const GUARDS: u32 = 2;

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

/// An object of the program's that was looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    word: &'a AtomicU16,
    said: SlotWord,
    /// Bytes that were asked for.
    pub(crate) size: usize,
}

impl Seen<'_> {
    /// The alignment that it was asked for with.
    pub(crate) fn align(&self) -> usize {
        self.said.make().align()
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
    judge: crate::sync::AtomicPtr<()>,
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
            judge: crate::sync::AtomicPtr::new(core::ptr::null_mut()),
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
            // SAFETY: fresh zeros of the right size and alignment are shelves.
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
            look(locker);
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

    /// An object that was looked at and found well.
    #[inline(always)]
    pub(crate) fn seen<'a>(place: Place<'a>, said: SlotWord) -> Seen<'a> {
        Seen { word: place.word, said, size: place.size() - said.told_slack() }
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
    pub(crate) fn take_back_seen(
        &self,
        seen: Seen<'_>,
        class: SizeClass,
        at: NonNull<u8>,
    ) -> (Slot, bool) {
        // ORDERING: AcqRel, as in `take_back`.
        let said = SlotWord(seen.word.swap(SlotWord::HELD.0, Ordering::AcqRel));
        if said.state() != State::Out {
            fatal::misuse(Misuse::DoubleFree, at.addr().get(), class.size());
        }
        (Slot::new(at, seen.word, false), said.is_sample())
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
        shelf::check(span, free);
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
fn find(span: &Span, class: SizeClass, address: usize) -> (u32, &AtomicU16) {
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
fn verify(at: NonNull<u8>, size: usize) {
    // SAFETY: the slot is ours, and its size a multiple of 8.
    if !unsafe { canary::is_zero(at.as_ptr(), size) } {
        written(at, size);
    }
}

/// Something was written to a slot that nobody has.
#[cold]
#[inline(never)]
fn written(at: NonNull<u8>, size: usize) -> ! {
    fatal::misuse(Misuse::UseAfterFree, at.addr().get(), size);
}

/// Looks at one class's quarantine.
#[cold]
fn look(locker: &Locker) {
    let class = locker.next_turn();
    locker.waiting(class, |slot| verify(slot.at(), class.size()));
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
