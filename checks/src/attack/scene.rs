//! Where a trial takes place: live objects around the one that matters, time
//! that passes, the deed, and ordinary work afterwards in which harm shows.
//!
//! ```text
//!   prelude      other objects come and go, so that no two heaps look alike
//!   the family   allocates its victim, lets time pass, and commits the deed
//!   aftermath    allocates, fills, compares and frees; then the program exits
//! ```
//!
//! The *control* of a trial is the same program without the deed.
//!
//! Nothing here may stand in memory that a deed could reach: the list of
//! objects is on the stack, and the only allocations are the trial's own.
#![allow(unsafe_code)]

use super::deed::{Deed, Other, operators};
use super::note::{Note, Stage};
use super::trial::{Timing, Trial};
use allod_checks::c::{Pointer, functions};
use fastrand::Rng;

/// A live object, as the program sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object {
    pub(crate) start: Pointer,
    pub(crate) size: usize,
    seed: u8,
}

impl Object {
    /// True when the two share a byte. An object of no bytes shares its address.
    pub(crate) fn overlaps(self, other: Object) -> bool {
        let (a, b) = (self.start.addr(), other.start.addr());
        a == b || a < b + other.size && b < a + self.size
    }

    /// The places that carry the pattern: all of a small object, the ends of a large one.
    fn places(self) -> impl Iterator<Item = usize> {
        let half = if self.size <= 2 * ENDS { self.size } else { ENDS };
        let second = if self.size <= 2 * ENDS { self.size } else { self.size - ENDS };
        (0..half).chain(second..self.size)
    }

    fn byte(self, place: usize) -> u8 {
        self.seed.wrapping_add((place as u8).wrapping_mul(29)) | 1
    }

    pub(crate) fn fill(self) {
        for place in self.places() {
            // SAFETY: inside an object that the allocator says is ours.
            unsafe { self.start.cast::<u8>().wrapping_add(place).write_volatile(self.byte(place)) }
        }
    }

    fn is_intact(self) -> bool {
        self.places().all(|place| {
            // SAFETY: as in `fill`.
            unsafe {
                self.start.cast::<u8>().wrapping_add(place).read_volatile() == self.byte(place)
            }
        })
    }
}

/// How many bytes at each end of a large object carry the pattern.
pub(crate) const ENDS: usize = 192;

/// The most objects that a trial has at one time.
const OBJECTS: usize = 1024;

/// The place and the props.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) trial: &'a Trial,
    pub(crate) rng: Rng,
    /// False in the control.
    guilty: bool,
    note: &'a Note,
    other: Option<Other>,
    live: [Object; OBJECTS],
    count: usize,
    /// How many of them, in front, are the prelude's.
    old: usize,
    /// Memory of the attacker's that no allocation may lie in.
    targets: [Object; 4],
    target_count: usize,
}

const NOBODY: Object = Object { start: std::ptr::null_mut(), size: 0, seed: 0 };

impl<'a> Scene<'a> {
    pub(crate) fn new(trial: &'a Trial, guilty: bool, note: &'a Note) -> Self {
        let other = trial.other_thread.then(Other::start).flatten();
        let rng = Rng::with_seed(trial.seed);
        let (live, targets) = ([NOBODY; OBJECTS], [NOBODY; 4]);
        Scene { trial, rng, guilty, note, other, live, count: 0, old: 0, targets, target_count: 0 }
    }

    /// The whole trial, to its ordinary end.
    pub(crate) fn play(mut self) -> ! {
        self.prelude();
        (self.trial.family.act)(&mut self);
        self.note.set_stage(Stage::After);
        self.aftermath();
        if let Some(other) = self.other.take() {
            other.end();
        }
        self.note.set_stage(Stage::Exit);
        // SAFETY: no other thread runs.
        unsafe { libc::exit(0) }
    }

    /// An object that this trial keeps an eye on: filled, and live until the end.
    pub(crate) fn keep(&mut self, size: usize) -> Object {
        let object = self.fresh(malloc(size), size);
        object.fill();
        self.hold(object);
        object
    }

    /// Several of them.
    pub(crate) fn keep_more(&mut self, count: usize, size: usize) {
        for _ in 0..count {
            self.keep(size);
        }
    }

    /// An object for the deed; nobody looks after it.
    pub(crate) fn victim(&mut self, size: usize) -> Object {
        let object = self.fresh(malloc(size), size);
        object.fill();
        object
    }

    /// The same from any other function.
    pub(crate) fn fresh(&mut self, start: Pointer, size: usize) -> Object {
        let object = Object { start, size, seed: self.rng.u8(..) };
        let live = self.live[..self.count].iter().chain(&self.targets[..self.target_count]);
        if live.into_iter().any(|it| it.overlaps(object)) {
            self.harm();
        }
        object
    }

    /// Keeps an object until the end.
    pub(crate) fn hold(&mut self, object: Object) {
        if let Some(place) = self.live.get_mut(self.count) {
            *place = object;
            self.count += 1;
        }
    }

    /// Frees some of the objects that were kept, rightly, from the `first` on.
    pub(crate) fn release(&mut self, first: usize) {
        while self.count > first {
            self.count -= 1;
            self.give_up(self.live[self.count]);
        }
        self.old = self.old.min(self.count);
    }

    /// Frees an object that was kept and is no more.
    fn give_up(&mut self, object: Object) {
        if !object.is_intact() {
            self.harm();
        }
        // What two believe to have, only one gives back: a second double free
        // would say nothing about how the first was taken.
        if !self.is_kept(object) {
            Deed::Free(object.start).commit();
        }
    }

    /// Fills an object with one byte, the same everywhere.
    pub(crate) fn secret(&self, object: Object, byte: u8) {
        // SAFETY: the object is the trial's.
        unsafe { object.start.cast::<u8>().write_bytes(byte, object.size) }
    }

    /// The kept object of this number.
    pub(crate) fn at(&self, place: usize) -> Object {
        self.live[place]
    }

    /// Frees the object kept last, whatever it holds.
    pub(crate) fn drop_last(&mut self) {
        self.count -= 1;
        Deed::Free(self.live[self.count].start).commit();
    }

    /// True when a kept object lies where this one does.
    pub(crate) fn is_kept(&self, object: Object) -> bool {
        self.live[..self.count].iter().any(|it| it.overlaps(object))
    }

    /// How many objects are kept.
    pub(crate) fn kept(&self) -> usize {
        self.count
    }

    /// Memory that the allocator must never hand out.
    pub(crate) fn target(&mut self, start: Pointer, size: usize) {
        if let Some(place) = self.targets.get_mut(self.target_count) {
            *place = Object { start, size, seed: 0 };
            self.target_count += 1;
        }
    }

    /// An attacker's goal is reached, or data are spoilt.
    pub(crate) fn harm(&self) {
        self.note.set_harm();
    }

    /// Does the deed, unless this is the control.
    pub(crate) fn commit(&mut self, deed: Deed) -> usize {
        if !self.guilty {
            return 0;
        }
        if let Some((start, count)) = deed.touches() {
            self.note.survey(start, count);
        }
        self.note.set_stage(Stage::Deed);
        let result = match &self.other {
            Some(other) => other.commit(deed),
            None => deed.commit(),
        };
        self.note.set_stage(Stage::After);
        result
    }

    /// What an honest program does in the deed's place.
    pub(crate) fn instead(&mut self, deed: Deed) {
        if !self.guilty {
            match &self.other {
                Some(other) => other.commit(deed),
                None => deed.commit(),
            };
        }
    }

    /// Time passes after `gone` was freed.
    pub(crate) fn pass_time(&mut self, gone: Object) {
        match self.trial.timing {
            Timing::AtOnce => {}
            Timing::Delayed => self.churn(gone),
            Timing::Reused => self.reuse(gone),
        }
    }

    /// Objects of other sizes come and go, and some of the same size go.
    pub(crate) fn churn(&mut self, gone: Object) {
        let first = self.count;
        for _ in 0..self.rng.usize(20..120) {
            let size = self.trial.other_size(&mut self.rng, gone.size);
            let object = self.keep(size);
            if object.overlaps(gone) {
                self.note.set_reused();
            }
            if self.count > first + 24 {
                let from = first + self.rng.usize(..24);
                self.release(from);
            }
        }
        // Some of the prelude's, which are of the size, go too.
        self.thin_out();
    }

    /// Frees some of the objects that are left of the prelude.
    fn thin_out(&mut self) {
        for _ in 0..self.rng.usize(..=self.old) {
            let place = self.rng.usize(..self.old);
            let object = self.live[place];
            self.old -= 1;
            self.live[place] = self.live[self.old];
            self.count -= 1;
            self.live[self.old] = self.live[self.count];
            self.give_up(object);
        }
    }

    /// Allocates the same size until the memory of `gone` is handed out again, or
    /// the patience ends.
    fn reuse(&mut self, gone: Object) {
        for _ in 0..self.trial.patience() {
            let object = self.keep(gone.size);
            if object.overlaps(gone) {
                self.note.set_reused();
                return;
            }
        }
    }

    /// A heap that has been used.
    fn prelude(&mut self) {
        let (size, few) = (self.trial.size, if self.trial.size > 32 << 10 { 3 } else { 40 });
        for _ in 0..self.rng.usize(..20) {
            let other = self.trial.other_size(&mut self.rng, size);
            self.keep(other);
        }
        let from = self.rng.usize(..=self.count);
        self.release(from);
        for _ in 0..self.rng.usize(..few) {
            self.keep(size);
        }
        let first = self.count;
        for _ in 0..self.rng.usize(..few) {
            self.keep(size);
        }
        self.release(first);
        self.old = self.count;
    }

    /// Ordinary work, in which harm shows.
    fn aftermath(&mut self) {
        let size = self.trial.size;
        let many = self.trial.patience();
        for _ in 0..2 {
            let first = self.count;
            for _ in 0..many {
                if self.count == OBJECTS {
                    break;
                }
                if self.rng.u8(..) < 64 {
                    self.zeroed(size);
                } else {
                    self.keep(size);
                }
            }
            self.release(first);
        }
        self.release(0);
    }

    /// An object from `calloc`, which must be zero.
    fn zeroed(&mut self, size: usize) {
        let start = calloc(1, size);
        let object = self.fresh(start, size);
        let dirty = object.places().any(|place| {
            // SAFETY: inside the object.
            unsafe { start.cast::<u8>().wrapping_add(place).read_volatile() != 0 }
        });
        if dirty {
            self.harm();
        }
        object.fill();
        self.hold(object);
    }
}

/// `malloc`, which has memory: the trials are small.
pub(crate) fn malloc(size: usize) -> Pointer {
    let malloc = functions().malloc.expect("malloc");
    // SAFETY: `malloc` has no conditions.
    let start = unsafe { malloc(size) };
    assert!(!start.is_null(), "malloc({size}) gave NULL");
    start
}

/// `operator new` or `operator new[]`.
pub(crate) fn new(size: usize, array: bool) -> Option<Pointer> {
    let operators = operators();
    let new = if array { operators.new_array } else { operators.new }?;
    // SAFETY: `operator new` has no conditions.
    Some(unsafe { new(size) })
}

/// `aligned_alloc`
pub(crate) fn aligned(align: usize, size: usize) -> Pointer {
    let aligned_alloc = functions().aligned_alloc.expect("aligned_alloc");
    // SAFETY: the alignment is a power of two and the size a multiple of it.
    let start = unsafe { aligned_alloc(align, size) };
    assert!(!start.is_null(), "aligned_alloc({align}, {size}) gave NULL");
    start
}

/// `malloc_usable_size`
pub(crate) fn usable(object: Object) -> usize {
    let usable = functions().malloc_usable_size.expect("malloc_usable_size");
    // SAFETY: the object is live.
    unsafe { usable(object.start) }
}

/// `calloc`, of a size or of nothing.
pub(crate) fn calloc(count: usize, size: usize) -> Pointer {
    let calloc = functions().calloc.expect("calloc");
    // SAFETY: `calloc` has no conditions.
    unsafe { calloc(count, size) }
}

/// `realloc` of a live object.
pub(crate) fn realloc(object: Object, size: usize) -> Pointer {
    let realloc = functions().realloc.expect("realloc");
    // SAFETY: the object is live.
    unsafe { realloc(object.start, size) }
}

/// Memory that is not the allocator's.
pub(crate) fn mapping(size: usize) -> Pointer {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh mapping disturbs nobody.
    unsafe { libc::mmap(std::ptr::null_mut(), size, protection, flags, -1, 0) }
}
