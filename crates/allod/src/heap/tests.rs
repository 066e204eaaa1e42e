//! The whole allocator over a system of our own: a model that knows every
//! object, random operations, and every call to the system failing in turn.
#![allow(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "the model keeps objects by their addresses")]

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod ebbs;
#[cfg(test)]
mod forks;
pub(crate) mod programs;
#[cfg(test)]
mod rings;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod sweeps;
#[cfg(test)]
mod together;

use super::*;
use crate::os::fake::Fake;
use crate::units::{LARGE_MAX, SMALL_MAX};
use std::boxed::Box;
use std::collections::BTreeMap;
use std::vec::Vec;

pub(super) const SPACE: usize = if cfg!(target_pointer_width = "64") { 1 << 30 } else { 256 << 20 };

fn policies(hard: bool) -> (crate::arena::Policy, crate::huge::Policy) {
    (
        crate::arena::Policy { dense_from: 2 << 20, purge_delay: 500 },
        crate::huge::Policy {
            cache_limit: 64 << 20,
            keep: 500,
            dense_from: 2 << 20,
            guards: true,
            quarantine: hard,
        },
    )
}

/// An allocator at the hardened level.
pub(super) fn open_hard(os: Fake) -> Box<Allocator<Fake>> {
    open_at(os, Level { hard: true, guard_rate: 0, exact: false })
}

/// An allocator at some level.
pub(super) fn open_at(os: Fake, level: Level) -> Box<Allocator<Fake>> {
    let a = allocator(os);
    let (arena, huge) = policies(level.hard);
    assert!(a.open(arena, huge, level));
    a
}

fn allocator(os: Fake) -> Box<Allocator<Fake>> {
    Box::new(Allocator::new(os, Map::new()))
}

fn open(os: Fake) -> Box<Allocator<Fake>> {
    let a = allocator(os);
    let (arena, huge) = policies(false);
    assert!(a.open(arena, huge, Level::DEFAULT));
    a
}

/// A generator that is the same everywhere (splitmix64).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % below as u64) as usize
    }

    /// Small sizes mostly, every kind sometimes.
    pub(super) fn size(&mut self) -> usize {
        match self.roll(100) {
            0..70 => 1 + self.roll(1024),
            70..90 => 1 + self.roll(SMALL_MAX),
            90..98 => SMALL_MAX + self.roll(LARGE_MAX - SMALL_MAX),
            _ => LARGE_MAX + self.roll(4 << 20),
        }
    }
}

/// Every live object: where it is, what it holds.
#[derive(Default)]
pub(super) struct Model {
    pub(super) live: BTreeMap<usize, (usize, usize, u8)>,
    next: u8,
}

impl Model {
    /// Enters an object, fills it, and makes sure that it overlaps no other.
    pub(super) fn enter(&mut self, at: NonNull<u8>, size: usize, align: usize) {
        let start = at.addr().get();
        assert_eq!(start % align, 0, "alignment {align}");
        if let Some((&before, &(len, _, _))) = self.live.range(..=start).next_back() {
            assert!(before + len <= start, "overlap");
        }
        if let Some((&after, _)) = self.live.range(start..).next() {
            assert!(start + size <= after, "overlap");
        }
        self.next = self.next.wrapping_add(1);
        // SAFETY: the object holds `size` bytes.
        unsafe { at.write_bytes(self.next, size) };
        self.live.insert(start, (size, align, self.next));
    }

    /// Makes sure that an object holds what was written, and forgets it.
    pub(super) fn leave(&mut self, start: usize) -> (NonNull<u8>, usize, usize) {
        let (size, align, fill) = self.live.remove(&start).expect("a live object");
        let at = NonNull::new(std::ptr::with_exposed_provenance_mut::<u8>(start)).unwrap();
        self.holds(at, size, fill);
        (at, size, align)
    }

    pub(super) fn holds(&self, at: NonNull<u8>, size: usize, fill: u8) {
        // SAFETY: the object holds `size` bytes.
        let bytes = unsafe { std::slice::from_raw_parts(at.as_ptr(), size) };
        assert!(bytes.iter().all(|&byte| byte == fill), "an object changed under its owner");
    }

    pub(super) fn pick(&self, dice: &mut Dice) -> Option<usize> {
        let key = self.live.keys().next()?;
        let span = self.live.keys().next_back()? - key + 1;
        let from = key + dice.roll(span);
        self.live.range(from..).next().or(self.live.iter().next()).map(|(&start, _)| start)
    }
}

pub(super) fn alloc(a: &Allocator<Fake>, heap: &Heap, size: usize, align: usize) -> Option<NonNull<u8>> {
    // SAFETY: tests use a heap from one thread at a time.
    let fresh = unsafe { a.allocate(Some(heap), size, align) }?;
    if fresh.zeroed {
        // SAFETY: the object holds `size` bytes.
        let bytes = unsafe { std::slice::from_raw_parts(fresh.at.as_ptr(), size) };
        assert!(bytes.iter().all(|&byte| byte == 0), "said to be zeros");
    }
    fresh.at.as_ptr().expose_provenance();
    Some(fresh.at)
}

pub(super) fn free(a: &Allocator<Fake>, heap: &Heap, at: NonNull<u8>) {
    if !gathered(a, heap, at) {
        // SAFETY: the model gave the object up.
        unsafe { a.release(Some(heap), at) };
    }
}

/// What a program's `free` tries first with a block that is on none of the thread's own spans.
pub(super) fn gathered(a: &Allocator<Fake>, heap: &Heap, at: NonNull<u8>) -> bool {
    let class = a.arena.map.entry(at.addr().get()).map_or(0, |entry| entry & 0xFF);
    // SAFETY: tests use a heap from one thread at a time; the model gave the object up.
    unsafe { heap.gather(a, class as usize, at.cast()) }
}

/// One step of some thread: `heaps[0..n]` take turns, and free what others allocated.
pub(super) fn step(a: &Allocator<Fake>, heap: &Heap, model: &mut Model, dice: &mut Dice, most: usize) {
    let choice = if model.live.len() >= most { 60 } else { dice.roll(100) };
    match choice {
        0..55 => {
            let align = 1 << if dice.roll(10) == 0 { dice.roll(17) } else { dice.roll(5) };
            let size = dice.size();
            if let Some(at) = alloc(a, heap, size, align) {
                model.enter(at, size, align);
            }
        }
        55..90 => {
            if let Some(start) = model.pick(dice) {
                let (at, size, align) = model.leave(start);
                a.check_size(start, size, align);
                free(a, heap, at);
            }
        }
        90..98 => {
            if let Some(start) = model.pick(dice) {
                let (at, old, align) = model.leave(start);
                let size = dice.size();
                let fill = model.next;
                // SAFETY: the object is live.
                unsafe { at.write_bytes(fill, old) };
                // SAFETY: as for `alloc`.
                match unsafe { a.reallocate(Some(heap), at, size, align) } {
                    Some(moved) => {
                        moved.as_ptr().expose_provenance();
                        model.holds(moved, old.min(size), fill);
                        model.enter(moved, size, align);
                    }
                    None => model.enter(at, old, align),
                }
            }
        }
        _ => {
            a.arena.kernel.os().pass(dice.roll(600) as u64);
            a.upkeep();
        }
    }
}

pub(super) fn end(a: &Allocator<Fake>, heap: &Heap, model: &mut Model) {
    let starts: Vec<_> = model.live.keys().copied().collect();
    for start in starts {
        let (at, _, _) = model.leave(start);
        free(a, heap, at);
    }
}

/// Sends everything home and makes sure that nothing is left out.
pub(super) fn nothing_is_lost(a: &Allocator<Fake>) {
    for heap in a.heaps().filter(|heap| !heap.is_private()) {
        // SAFETY: the tests' heaps are used by one thread at a time.
        unsafe { a.trim(Some(heap), 0) };
    }
    a.check();
    assert_eq!(a.live.get(), 0, "bytes that nobody has are counted as live");
    assert_eq!(a.arena.active.get(), 0, "slices that nobody needs are in use");
    assert_eq!(a.huge.held.get(), 0);
    assert_eq!(a.depot.buried(), 0);
    assert_eq!(a.harden.guards.up(), 0, "guards with nothing before them");
}

/// So many heaps, that free for each other, against the model, at whatever level the
/// allocator is.
pub(super) fn against_the_model(
    a: &Allocator<Fake>,
    heaps: usize,
    mut dice: Dice,
    rounds: usize,
    most: usize,
) {
    let heaps: Vec<_> = (0..heaps).map(|_| a.adopt().unwrap()).collect();
    let mut model = Model::default();
    for round in 0..rounds {
        let heap = heaps[dice.roll(heaps.len())];
        step(a, heap, &mut model, &mut dice, most);
        if round % 1000 == 0 {
            a.check();
            a.sweep();
        }
    }
    end(a, heaps[heaps.len() - 1], &mut model);
    nothing_is_lost(a);
}

#[test]
fn one_heap_against_the_model() {
    for seed in 0..4 {
        against_the_model(&open(Fake::new(SPACE, 4096)), 1, Dice(seed), 6000, 400);
    }
}

#[test]
fn heaps_that_free_for_each_other_against_the_model() {
    for seed in 10..14 {
        against_the_model(&open(Fake::new(SPACE, 4096)), 4, Dice(seed), 12_000, 600);
    }
}

#[test]
fn heaps_that_come_and_go_lose_nothing() {
    let a = open(Fake::new(SPACE, 4096));
    let (mut model, mut dice) = (Model::default(), Dice(99));
    let mut heaps: Vec<_> = (0..3).map(|_| a.adopt().unwrap()).collect();
    for round in 0..8000 {
        let at = dice.roll(heaps.len());
        step(&a, heaps[at], &mut model, &mut dice, 500);
        if round % 97 == 0 {
            // SAFETY: the heap's thread, this one, does not use it again.
            unsafe { a.abandon(heaps[at]) };
            a.arena.kernel.os().pass(60);
            a.upkeep();
            heaps[at] = a.adopt().unwrap();
        }
        if round % 1000 == 0 {
            a.check();
        }
    }
    end(&a, heaps[0], &mut model);
    nothing_is_lost(&a);
}

#[test]
fn other_page_sizes_work_the_same() {
    for page in [16 << 10, 64 << 10] {
        let a = open(Fake::new(SPACE, page));
        let heap = a.adopt().unwrap();
        let (mut model, mut dice) = (Model::default(), Dice(page as u64));
        for _ in 0..4000 {
            step(&a, heap, &mut model, &mut dice, 300);
        }
        a.check();
        end(&a, heap, &mut model);
        nothing_is_lost(&a);
        assert!(a.arena.kernel.os().purged() > 0);
    }
}

#[test]
fn every_call_to_the_system_may_fail() {
    // Find out how many there are, then fail each in turn: once alone, and once
    // with all that follow for a while.
    let run = |after: u64, count: u64| -> u64 {
        let a = allocator(Fake::new(SPACE, 4096));
        a.arena.kernel.os().fail(after, count);
        let (arena, huge) = policies(false);
        let mut tries = 0;
        while !a.open(arena, huge, Level::DEFAULT) {
            tries += 1;
            assert!(tries < 200, "the system is back, and we are not");
        }
        let heap = loop {
            if let Some(heap) = a.adopt() {
                break heap;
            }
        };
        let (mut model, mut dice) = (Model::default(), Dice(5));
        for _ in 0..600 {
            step(&a, heap, &mut model, &mut dice, 120);
        }
        a.check();
        end(&a, heap, &mut model);
        // What the system would not take back then, it takes now.
        a.arena.kernel.os().fail(0, 0);
        nothing_is_lost(&a);
        let at = alloc(&a, heap, 100_000, 16).expect("memory is usable again");
        free(&a, heap, at);
        a.arena.kernel.os().calls()
    };
    let calls = run(u64::MAX / 2, 0);
    assert!(calls > 100);
    for k in 0..calls {
        run(k, 1);
        if k % 7 == 0 {
            run(k, 40);
        }
    }
}

#[test]
fn a_small_address_space_is_enough_and_its_end_is_survived() {
    let a = open(Fake::new(SPACE, 4096).limited(40 << 20));
    let heap = a.adopt().unwrap();
    let mut blocks = Vec::new();
    while let Some(at) = alloc(&a, heap, 1000, 16) {
        blocks.push(at);
    }
    assert!(blocks.len() > 8000, "{} KB of 40 MiB", blocks.len());
    assert!(alloc(&a, heap, 3 << 20, 16).is_none());
    for at in blocks.drain(..) {
        free(&a, heap, at);
    }
    let at = alloc(&a, heap, 300_000, 16).expect("the freed memory serves another kind");
    free(&a, heap, at);
    nothing_is_lost(&a);
}

#[test]
fn what_one_class_gives_back_serves_another() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let mut touched = 0;
    for class in [48, 640, 2048, 160, 8192, 24] {
        let blocks: Vec<_> =
            (0..(16 << 20) / class).map(|_| alloc(&a, heap, class, 8).unwrap()).collect();
        for at in blocks {
            free(&a, heap, at);
        }
        touched = a.arena.touched.peak().max(touched);
    }
    assert!(touched < 20 << 20, "{touched} bytes touched for 16 MiB");
}

/// Two MiB are filled on small pages before anything is on a huge one, and whoever fills
/// no slices stays on small ones.
#[test]
fn huge_pages_are_for_those_who_fill_them() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let is_dense = |size: usize| {
        let at = alloc(&a, heap, size, 8).unwrap();
        a.arena.chunk_at(at.addr().get()).unwrap().is_dense()
    };
    // A block of each class takes more slices than a chunk has.
    let mut classes = (1..crate::size::FIRST_ODD).map(|c| SizeClass::from_index(c).size());
    assert!(classes.all(|size| !is_dense(size)), "nobody has filled 2 MiB");
    assert!(a.arena.touched.get() > 2 << 20, "slices, nearly untouched");
    assert!(!is_dense(40_000), "a large object neither");
    assert!((0..8 << 10).any(|_| is_dense(2000)), "16 MiB were filled");
    assert!(is_dense(2000), "and so it goes on");
    let before = (0..1000).position(|_| is_dense(3000)).unwrap();
    assert!((79..=79 + 64 * 10).contains(&before), "another class fills its first 256 KiB: {before}");
    let home = Cell::new(ptr::null());
    let thin = || a.take_slices(&home, 1, 1, false).unwrap();
    // SAFETY: records are never unmapped.
    assert!((0..256).all(|_| !unsafe { thin().chunk.as_ref() }.is_dense()), "four chunks of small pages");
}

#[test]
fn free_memory_goes_back_in_time() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let blocks: Vec<_> = (0..4000).map(|_| alloc(&a, heap, 1024, 8).unwrap()).collect();
    for at in blocks {
        free(&a, heap, at);
    }
    assert_eq!(a.arena.kernel.os().purged(), 0, "not at once");
    for _ in 0..6 {
        a.arena.kernel.os().pass(260);
        a.upkeep();
    }
    assert!(a.arena.kernel.os().purged() >= 3 << 20, "{}", a.arena.kernel.os().purged());
}

#[test]
fn what_spans_take_the_cache_of_huge_objects_gives_up() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let kept = || a.huge.held.get() - a.huge.live.get();
    let sizes = [10 << 20, 3 << 20];
    let objects = sizes.map(|size| alloc(&a, heap, size, 16).unwrap());
    alloc(&a, heap, 1000, 8).unwrap();
    for at in objects {
        free(&a, heap, at);
    }
    assert_eq!(kept(), 13 << 20);
    let chunks = || a.arena.chunks().count();
    let (mut seen, mut steps) = (chunks(), Vec::new());
    while steps.last() != Some(&0) {
        alloc(&a, heap, 2000, 8).unwrap();
        if chunks() != seen {
            seen = chunks();
            steps.push(kept() >> 20);
        }
    }
    assert_eq!(steps, [10, 8, 6, 4, 2, 0], "the younger goes, then the other, two mebibytes at a time");
    a.check();
}

#[test]
fn a_freed_huge_object_becomes_one_of_another_size() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    // The first is too large to be kept, and leaves a peak below which all others are.
    for mebibytes in [100, 8, 12, 6, 16] {
        let at = alloc(&a, heap, mebibytes << 20, 16).unwrap();
        assert_eq!(a.huge.held.get(), mebibytes << 20, "the one before serves");
        free(&a, heap, at);
    }
}

/// A temporary as large as what it is made from finds memory; one that nothing else stands
/// beside does not stay for longer than the option allows.
#[test]
fn freed_huge_objects_are_kept_up_to_what_is_live() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let kept = || a.huge.held.get() - a.huge.live.get();
    let array = alloc(&a, heap, 90 << 20, 16).unwrap();
    let first = alloc(&a, heap, 80 << 20, 16).unwrap();
    free(&a, heap, first);
    assert_eq!(kept(), 80 << 20);
    let before = a.arena.kernel.calls();
    let second = alloc(&a, heap, 80 << 20, 16).unwrap();
    assert_eq!((second, a.arena.kernel.calls()), (first, before));
    free(&a, heap, second);
    free(&a, heap, array);
    assert_eq!(kept(), 0, "neither is kept for itself");
    nothing_is_lost(&a);
}

/// Sizes that take turns cost no call of the system: less than a huge page stays, unless it
/// is more than half of what is asked for.
#[test]
fn a_cached_huge_object_serves_as_it_is_with_a_part_of_a_huge_page_too_much() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let first = alloc(&a, heap, 3 << 20, 16).unwrap();
    free(&a, heap, first);
    let before = a.arena.kernel.calls();
    for turn in 0..50 {
        let size = [2 << 20, 3 << 20][turn % 2];
        let at = alloc(&a, heap, size, 16).unwrap();
        assert_eq!((at, a.usable(at.addr().get())), (first, 3 << 20));
        a.check_size(at.addr().get(), size, 16);
        free(&a, heap, at);
    }
    assert_eq!(a.arena.kernel.calls(), before);
    for (held, asked) in [(9 << 20, 7 << 20), (6 << 20, 3 << 20), (3 << 20, (2 << 20) - 4096)] {
        a.huge.release_cached(&a.arena, usize::MAX);
        let at = alloc(&a, heap, held, 16).unwrap();
        free(&a, heap, at);
        let at = alloc(&a, heap, asked, 16).unwrap();
        assert!(a.usable(at.addr().get()) < held, "{held} bytes serve for {asked}");
        free(&a, heap, at);
    }
    nothing_is_lost(&a);
}

/// What grows by a little is filled by huge pages where one is no more than a sixth of it.
#[test]
fn a_huge_object_grows_by_whole_huge_pages_once_it_is_six_of_them() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let mut at = alloc(&a, heap, 1 << 20, 1).unwrap();
    for size in (1 << 20..30 << 20).step_by(64 << 10) {
        // SAFETY: one thread; the object is live.
        at = unsafe { a.reallocate(Some(heap), at, size, 1) }.unwrap();
        let usable = a.usable(at.addr().get());
        assert!(size < 13 << 20 || usable.is_multiple_of(2 << 20), "{usable} bytes for {size}");
    }
    // And keeps what it has when a little is given up.
    let before = a.arena.kernel.calls();
    let held = a.usable(at.addr().get());
    // SAFETY: as above.
    at = unsafe { a.reallocate(Some(heap), at, held - (2 << 20) + 1, 1) }.unwrap();
    assert_eq!((a.usable(at.addr().get()), a.arena.kernel.calls()), (held, before));
    free(&a, heap, at);
    nothing_is_lost(&a);
}

/// What is cached and what grows would be counted twice by a peak.
#[test]
fn what_a_huge_object_grows_by_the_cache_gives_up() {
    for step in [8 << 10, 1 << 20, 5 << 20] {
        let a = open(Fake::new(SPACE, 4096));
        let heap = a.adopt().unwrap();
        let first = alloc(&a, heap, 24 << 20, 16).unwrap();
        free(&a, heap, first);
        let mut at = alloc(&a, heap, 1 << 20, 1).unwrap();
        for size in (1 << 20..24 << 20).step_by(step) {
            // SAFETY: one thread; the object is live.
            at = unsafe { a.reallocate(Some(heap), at, size, 1) }.unwrap();
            let held = a.huge.held.get() >> 20;
            assert!(held <= 26, "{held} MiB with an object of {size} bytes in steps of {step}");
        }
        free(&a, heap, at);
        nothing_is_lost(&a);
    }
}

/// Were the page unmapped, anybody's mapping could follow the object, and an
/// overflow would run into it.
#[test]
fn a_huge_object_that_was_cut_keeps_a_page_behind_it() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let at = alloc(&a, heap, 12 << 20, 16).unwrap();
    free(&a, heap, at);
    let at = alloc(&a, heap, 3 << 20, 16).unwrap();
    let huge = a.huge.find(&a.arena, at.addr().get()).unwrap();
    // Behind a whole huge page: what is kept of the last costs nothing.
    assert_eq!((huge.len(), huge.reserved()), (4 << 20, (4 << 20) + 4096));
    free(&a, heap, at);
    nothing_is_lost(&a);
}

#[test]
fn a_huge_object_is_of_its_size_even_where_no_tail_can_be_cut_off() {
    for k in 0..12 {
        let a = open(Fake::new(SPACE, 4096));
        let heap = a.adopt().unwrap();
        let at = alloc(&a, heap, 8 << 20, 16).unwrap();
        free(&a, heap, at);
        a.arena.kernel.os().fail(k, 1);
        if let Some(at) = alloc(&a, heap, 3 << 20, 16) {
            // Ends the process where the size is not the object's.
            a.check_size(at.addr().get(), 3 << 20, 16);
            free(&a, heap, at);
        }
        nothing_is_lost(&a);
    }
}

#[test]
fn a_huge_object_is_freed_by_what_was_asked_for_however_much_there_is() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    // Warm huge pages: one that serves for less than half of itself keeps its tail, which
    // is not worth a call (the tables of a hash map, 2 MiB and 4, each with 16 bytes more).
    let much = alloc(&a, heap, 64 << 20, 16).unwrap();
    let (map, half) = ((4 << 20) + (1 << 18) + 16, (2 << 20) + (1 << 17) + 16);
    let at = alloc(&a, heap, map, 16).unwrap();
    free(&a, heap, at);
    let at = alloc(&a, heap, half, 16).unwrap();
    assert!(a.usable(at.addr().get()) > 2 * half);
    a.check_size(at.addr().get(), half, 16);
    a.check_size(at.addr().get(), a.usable(at.addr().get()), 16);
    free(&a, heap, at);
    free(&a, heap, much);
    // One that shrank where the system does not take the tail.
    let at = alloc(&a, heap, 40 << 20, 16).unwrap();
    a.arena.kernel.os().fail(0, 1 << 20);
    assert!(a.resize_in_place(at, 3 << 20, 16));
    a.arena.kernel.os().fail(0, 0);
    a.check_size(at.addr().get(), 3 << 20, 16);
    free(&a, heap, at);
    nothing_is_lost(&a);
}

#[test]
fn a_busy_process_visits_the_idle_too() {
    let a = open(Fake::new(SPACE, 4096));
    let (gone, busy) = (a.adopt().unwrap(), a.adopt().unwrap());
    let at = alloc(&a, gone, 128, 8).unwrap();
    free(&a, gone, at);
    // SAFETY: one thread, which does not use the heap any more.
    unsafe { a.abandon(gone) };
    for _ in 0..100 {
        a.arena.kernel.os().pass(10);
        let at = alloc(&a, busy, 128, 8).unwrap();
        free(&a, busy, at);
        a.upkeep();
    }
    assert!(ptr::eq(a.drained.get(), gone), "the orphan is drained");
}

#[test]
fn spans_of_a_heap_that_sleeps_are_emptied_by_strangers() {
    let a = open(Fake::new(SPACE, 4096));
    let (sleeper, other) = (a.adopt().unwrap(), a.adopt().unwrap());
    let blocks: Vec<_> = (0..20_000).map(|_| alloc(&a, sleeper, 128, 8).unwrap()).collect();
    let active = a.arena.active.get();
    for at in blocks {
        free(&a, other, at);
    }
    // SAFETY: one thread.
    unsafe { other.flush_ring(&a) };
    a.dig();
    let left = a.arena.active.get();
    assert!(left <= active / 8, "{left} of {active} bytes wait for a sleeper");
    assert!(adopt::states(&a, crate::span::word::State::Full) <= 2);
}

#[test]
fn a_destroyed_heap_takes_everything_with_it() {
    let a = open(Fake::new(SPACE, 4096));
    let mut dice = Dice(3);
    for _ in 0..3 {
        let private = a.make_private().unwrap();
        let mut model = Model::default();
        let outsider = a.adopt().unwrap();
        for _ in 0..3000 {
            step(&a, private, &mut model, &mut dice, 500);
            if dice.roll(3) == 0
                && let Some(start) = model.pick(&mut dice)
            {
                let (at, _, _) = model.leave(start);
                free(&a, outsider, at);
            }
        }
        a.check();
        // SAFETY: the model is dropped: nobody uses the heap's objects any more.
        unsafe { a.destroy(private) };
        nothing_is_lost(&a);
        // SAFETY: not used again.
        unsafe { a.abandon(outsider) };
    }
}

#[cfg(target_pointer_width = "64")]
#[test]
fn growth_to_a_gibibyte_copies_less_than_a_mebibyte() {
    let a = open(Fake::new(4 << 30, 4096));
    let heap = a.adopt().unwrap();
    let mut at = alloc(&a, heap, 8, 1).unwrap();
    let mut size = 8;
    while size < 512 << 20 {
        size *= 2;
        // SAFETY: one thread; the object is live.
        at = unsafe { a.reallocate(Some(heap), at, size, 1) }.unwrap();
    }
    let copied = a.copied.load(Ordering::Relaxed);
    assert!(copied < 1 << 20, "{copied} bytes copied");
    free(&a, heap, at);
    nothing_is_lost(&a);
}

#[test]
fn a_start_takes_few_calls_of_the_system() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let at = alloc(&a, heap, 100, 8).unwrap();
    // The leaf of zeros; a plot, accessible, not dumped; a region; a leaf, accessible, on
    // small pages; the region's advice; a chunk. And alignment, where the system gives none.
    let calls = a.arena.kernel.calls();
    assert!(calls <= 14, "{calls} calls");
    free(&a, heap, at);
    nothing_is_lost(&a);
}

#[test]
fn a_thread_that_has_become_quiet_gives_back() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let blocks: Vec<_> = (0..40_000).map(|_| alloc(&a, heap, 100, 16).unwrap()).collect();
    for at in blocks {
        free(&a, heap, at);
    }
    let before = a.arena.kernel.os().purged();
    // A program that calls us little, and always for the same blocks: it needs no slow
    // path but the swap. Two looks at the clock, half a purge delay apart, are enough.
    for _ in 0..20 {
        a.arena.kernel.os().pass(100);
        let few: Vec<_> = (0..70).map(|_| alloc(&a, heap, 100, 16).unwrap()).collect();
        for at in few {
            free(&a, heap, at);
        }
    }
    let given = a.arena.kernel.os().purged() - before;
    assert!(given >= 3 << 20, "{given} bytes");
    nothing_is_lost(&a);
}

#[test]
fn growth_by_eight_bytes_calls_the_system_for_an_eighth_at_a_time() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let mut at = alloc(&a, heap, 2 << 20, 1).unwrap();
    let before = a.arena.kernel.calls();
    for size in (2 << 20..16 << 20).step_by(1024) {
        // SAFETY: one thread; the object is live.
        at = unsafe { a.reallocate(Some(heap), at, size, 1) }.unwrap();
        let usable = a.usable(at.addr().get());
        assert!(size <= usable && usable <= size + size / 6, "{usable} bytes for {size}");
    }
    let calls = a.arena.kernel.calls() - before;
    assert!(calls < 60, "{calls} calls");
    free(&a, heap, at);
    nothing_is_lost(&a);
}

#[test]
fn a_huge_object_ends_with_its_last_huge_page_where_that_is_an_eighth_at_most() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let mib = 1 << 20;
    for (size, holds) in [(9 * mib, 10 * mib), (21 * mib, 22 * mib), (5 * mib, 5 * mib), (3 * mib / 2, 3 * mib / 2)] {
        let at = alloc(&a, heap, size, 16).unwrap();
        assert_eq!(a.usable(at.addr().get()), holds);
        a.check_size(at.addr().get(), size, 16);
        free(&a, heap, at);
        a.huge.release_cached(&a.arena, usize::MAX);
    }
    nothing_is_lost(&a);
}

#[test]
fn the_end_of_an_allocator_leaves_nothing_mapped() {
    let a = open(Fake::new(SPACE, 4096));
    let heaps: Vec<_> = (0..3).map(|_| a.adopt().unwrap()).collect();
    let (mut model, mut dice) = (Model::default(), Dice(77));
    for _ in 0..3000 {
        step(&a, heaps[dice.roll(3)], &mut model, &mut dice, 300);
    }
    let zero = a.nothing.alloc(&a.arena).unwrap();
    end(&a, heaps[0], &mut model);
    // SAFETY: nobody uses the allocator any more; one address is still out.
    assert!(!unsafe { a.close() });
    a.nothing.free(zero.addr().get());
    // SAFETY: as above, and now none is.
    assert!(unsafe { a.close() });
    assert_eq!(a.arena.kernel.os().mapped(), 0);
}

#[test]
fn a_huge_object_of_a_destroyed_heap_belongs_to_nobody_when_it_comes_again() {
    let a = open(Fake::new(SPACE, 4096));
    let mine = a.adopt().unwrap();
    let first = a.make_private().unwrap();
    let old = alloc(&a, first, 3 << 20, 16).unwrap();
    // SAFETY: nobody uses the heap's objects any more.
    unsafe { a.destroy(first) };
    let again = alloc(&a, mine, 3 << 20, 16).unwrap();
    assert_eq!(old, again, "out of the cache");
    // The same record of a heap, with a huge object of its own.
    let second = a.make_private().unwrap();
    assert!(ptr::eq(first, second));
    alloc(&a, second, 5 << 20, 16).unwrap();
    free(&a, mine, again);
    // SAFETY: as above.
    unsafe { a.destroy(second) };
    nothing_is_lost(&a);
}
