//! Estimates against the truth, and samples against ghosts: the allocator over a
//! system of our own, with seeds that stay.
#![allow(unsafe_code)]

use super::*;
use crate::config::Level;
use crate::dump::{COUNT_UNIT, SQUARE_UNIT, Site};
use crate::map::Map;
use crate::os::fake::Fake;
use crate::size::CLASSES;
use crate::units::LARGE_MAX;
use std::boxed::Box;
use std::vec::Vec;

const SPACE: usize = if cfg!(target_pointer_width = "64") { 1 << 30 } else { 256 << 20 };

fn open(interval: u32) -> Box<Allocator<Fake>> {
    open_at(interval, false)
}

/// At the default level, or the hardened one.
fn open_at(interval: u32, hard: bool) -> Box<Allocator<Fake>> {
    let a = Box::new(Allocator::new(Fake::new(SPACE, 4096), Map::new()));
    let arena = crate::arena::Policy { dense_from: usize::MAX, purge_delay: 500 };
    let huge = crate::huge::Policy {
        cache_limit: 64 << 20,
        keep: 500,
        dense_from: usize::MAX,
        guards: true,
        quarantine: false,
    };
    assert!(a.open(arena, huge, Level { hard, ..Level::DEFAULT }));
    a.sampler.set_interval(interval);
    a
}

fn alloc(a: &Allocator<Fake>, heap: &Heap, size: usize) -> NonNull<u8> {
    // SAFETY: tests use a heap from one thread at a time.
    unsafe { a.allocate(Some(heap), size, 16) }.expect("there is memory").at
}

fn free(a: &Allocator<Fake>, heap: &Heap, at: NonNull<u8>) {
    // SAFETY: the object is live and given up.
    unsafe { a.release(Some(heap), at) };
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((self.0 >> 33) as usize) % below
    }

    /// Mostly small, of every kind.
    fn size(&mut self) -> usize {
        match self.roll(1000) {
            0..800 => 1 + self.roll(256),
            800..980 => 257 + self.roll(4000),
            980..997 => 4257 + self.roll(28_000),
            _ => 33_000 + self.roll(200_000),
        }
    }
}

fn sites(a: &Allocator<Fake>) -> Vec<Site> {
    let sites = &a.sampler.sites;
    (0..sites.counts().sites).filter_map(|row| sites.copy_site(row)).collect()
}

/// Truth or estimate of objects up to some block size: count and bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    count: f64,
    bytes: f64,
    variance: f64,
}

const BOUNDS: [u64; 4] = [256, 4096, 32 << 10, u64::MAX];

fn group(block_size: u64) -> usize {
    BOUNDS.iter().position(|&bound| block_size <= bound).unwrap()
}

fn estimates(a: &Allocator<Fake>, live: bool) -> [Sum; 4] {
    let mut sums = [Sum::default(); 4];
    for site in sites(a) {
        let [count, bytes, squares] = if live { site.live } else { site.allocated };
        let sum = &mut sums[group(site.block_size)];
        sum.count += count as f64 / COUNT_UNIT as f64;
        sum.bytes += bytes as f64;
        sum.variance += squares as f64 * SQUARE_UNIT as f64;
    }
    sums
}

/// Five and a half standard deviations, and what the rounding to whole squares took.
fn assert_near(truth: &[Sum; 4], estimate: &[Sum; 4], interval: u32, what: &str) {
    for (truth, estimate) in truth.iter().zip(estimate) {
        // What the law says of the error, not what the sample says of itself.
        let sigma = (truth.bytes * f64::from(interval)).sqrt().max(1.0);
        let error = (truth.bytes - estimate.bytes).abs();
        assert!(error <= 5.5 * sigma, "{what} at {interval}: {truth:?} {estimate:?}");
    }
    let truth: f64 = truth.iter().map(|sum| sum.count).sum();
    let counted: f64 = estimate.iter().map(|sum| sum.count).sum();
    // Small objects dominate the count, and each sample of one stands for many.
    let sigma = (truth * f64::from(interval) / 16.0).sqrt();
    assert!((truth - counted).abs() <= 5.5 * sigma, "{what} at {interval}: {truth} {counted}");
}

/// Allocates and frees at random; returns the truth about all and about the living.
fn churn(
    a: &Allocator<Fake>,
    heaps: &[&Heap],
    rounds: usize,
    dice: &mut Dice,
    mut at_round: impl FnMut(usize),
) -> ([Sum; 4], [Sum; 4], Vec<NonNull<u8>>) {
    let (mut all, mut alive) = ([Sum::default(); 4], [Sum::default(); 4]);
    let mut live: Vec<NonNull<u8>> = Vec::new();
    let mut helds = Vec::new();
    for round in 0..rounds {
        at_round(round);
        let heap = heaps[dice.roll(heaps.len())];
        let size = dice.size();
        let at = alloc(a, heap, size);
        // What the request gets when it is no sample.
        let held = match SizeClass::of_layout(size, 16) {
            Some(class) if !a.harden.is_on() => class.size(),
            _ => a.usable(at.addr().get()),
        };
        helds.push(held);
        for sums in [&mut all, &mut alive] {
            let sum = &mut sums[group(held as u64)];
            sum.count += 1.0;
            sum.bytes += held as f64;
        }
        live.push(at);
        if live.len() > 3000 {
            let i = dice.roll(live.len());
            let (gone, held) = (live.swap_remove(i), helds.swap_remove(i));
            let sum = &mut alive[group(held as u64)];
            sum.count -= 1.0;
            sum.bytes -= held as f64;
            let threads = heaps[dice.roll(heaps.len())];
            free(a, if threads.is_private() { heaps[0] } else { threads }, gone);
        }
        // Slow enough that the interval need not adapt.
        a.arena.kernel.os().pass(1);
    }
    (all, alive, live)
}

/// No sample is left, and no estimate of anything alive.
fn no_ghosts(a: &Allocator<Fake>) {
    assert_eq!(a.sampler.sites.alive.load(Ordering::Relaxed), 0, "ghosts");
    for site in sites(a) {
        assert_eq!((site.live, site.requested), ([0; 3], 0), "a ghost at {site:?}");
    }
    assert_eq!(a.sampler.sites.dropped.load(Ordering::Relaxed), 0);
}

#[test]
fn estimates_agree_with_the_truth() {
    for interval in [4 << 10, 64 << 10, 512 << 10] {
        let a = open(interval);
        let heaps = [a.adopt().unwrap(), a.adopt().unwrap(), a.adopt().unwrap()];
        let mut dice = Dice(u64::from(interval));
        let (all, alive, live) = churn(&a, &heaps, 340_000, &mut dice, |_| {});
        assert_near(&all, &estimates(&a, false), interval, "allocated");
        assert_near(&alive, &estimates(&a, true), interval, "live");
        assert_eq!(a.sampler.interval(), interval, "the clock was fast enough");
        for at in live {
            free(&a, heaps[1], at);
        }
        no_ghosts(&a);
    }
}

#[test]
fn nothing_is_left_of_what_is_gone() {
    let a = open(512);
    let private = a.make_private().unwrap();
    let heaps = [a.adopt().unwrap(), a.adopt().unwrap(), private];
    let mut dice = Dice(3);
    let (_, _, mut live) = churn(&a, &heaps, 20_000, &mut dice, |round| {
        if round == 10_000 {
            // A thread exits; what it has left is freed by others.
            // SAFETY: the heap is adopted again before it is used.
            unsafe { a.abandon(heaps[1]) };
            a.arena.kernel.os().pass(2000);
            a.upkeep();
            assert!(ptr::eq(a.adopt().unwrap(), heaps[1]));
        }
    });
    for _ in 0..2000 {
        let at = live.swap_remove(dice.roll(live.len()));
        let size = dice.size() * if dice.roll(50) == 0 { 100 } else { 1 };
        // SAFETY: the object is live.
        live.push(unsafe { a.reallocate(Some(heaps[0]), at, size, 16) }.unwrap());
    }
    assert!(a.sampler.sites.alive.load(Ordering::Relaxed) > 1000);
    for at in live {
        free(&a, heaps[0], at);
    }
    no_ghosts(&a);
    // SAFETY: nobody uses the heap any more.
    unsafe { a.destroy(private) };
    for heap in a.heaps().filter(|heap| !heap.is_private()) {
        // SAFETY: the tests' heaps are used by one thread at a time.
        unsafe { a.trim(Some(heap), 0) };
    }
    a.check();
    assert_eq!((a.live.get(), a.arena.active.get(), a.huge.held.get()), (0, 0, 0));
}

#[test]
fn at_the_hardened_level_the_same_is_true() {
    let a = open_at(16 << 10, true);
    let private = a.make_private().unwrap();
    let heaps = [a.adopt().unwrap(), a.adopt().unwrap(), private];
    let mut dice = Dice(21);
    let (all, alive, mut live) = churn(&a, &heaps, 30_000, &mut dice, |_| {});
    assert_near(&all, &estimates(&a, false), 16 << 10, "allocated");
    assert_near(&alive, &estimates(&a, true), 16 << 10, "live");
    for _ in 0..500 {
        let at = live.swap_remove(dice.roll(live.len()));
        let size = dice.size() * if dice.roll(50) == 0 { 100 } else { 1 };
        // SAFETY: the object is live.
        live.push(unsafe { a.reallocate(Some(heaps[0]), at, size, 16) }.unwrap());
    }
    for at in live {
        free(&a, heaps[0], at);
    }
    no_ghosts(&a);
}

#[test]
fn a_private_heap_takes_its_samples_with_it() {
    let a = open(256);
    let thread = a.adopt().unwrap();
    let private = a.make_private().unwrap();
    let outside = alloc(&a, thread, 100_000);
    for round in 0..3000 {
        alloc(&a, private, 1 + round % 900);
    }
    alloc(&a, private, 500_000);
    alloc(&a, private, LARGE_MAX * 3);
    // So do those of a thread without a heap of its own, which stay.
    let of_nobody: Vec<_> =
        (0..20).map(|_| NonNull::new(a.common_block(SizeClass::of_size(500), 500)).unwrap()).collect();
    assert!(a.sampler.sites.alive.load(Ordering::Relaxed) > 1000);
    // SAFETY: nobody uses the heap any more.
    unsafe { a.destroy(private) };
    assert!(a.sampler.sites.alive.load(Ordering::Relaxed) > 5);
    for block in of_nobody {
        free(&a, thread, block.cast());
    }
    assert_eq!(a.sampler.sites.alive.load(Ordering::Relaxed), 1, "only the one outside");
    free(&a, thread, outside);
    no_ghosts(&a);
}

#[test]
fn lists_that_are_handed_back_are_not_counted() {
    let (size, interval, rounds) = (48, 64 << 10, 60_000);
    let a = open(interval);
    let heap = a.adopt().unwrap();
    for round in 0..rounds {
        let at = alloc(&a, heap, size);
        free(&a, heap, at);
        if round % 3 == 0 {
            // SAFETY: the heap is this thread's.
            unsafe { a.trim(Some(heap), usize::MAX) };
        }
        a.arena.kernel.os().pass(1);
    }
    let truth = f64::from(rounds) * size as f64;
    let [all, ..] = estimates(&a, false);
    let sigma = (truth * f64::from(interval)).sqrt();
    assert!((all.bytes - truth).abs() < 5.5 * sigma, "{} of {truth}", all.bytes);
}

#[test]
fn the_interval_may_change_at_any_time() {
    let a = open(64 << 20);
    let heap = a.adopt().unwrap();
    let turns = [64 << 20, 2 << 10, 0, 32 << 10, 4 << 10];
    let mut unsampled = 0.0;
    let (all, _, live) = churn(&a, &[heap], 100_000, &mut Dice(8), |round| {
        if round % 20_000 == 0 {
            a.sampler.set_interval(turns[round / 20_000]);
        }
        let now = a.live.get();
        if round == 40_000 || round == 60_000 {
            unsampled = now as f64;
        }
    });
    assert!(unsampled > 0.0);
    let truth: f64 = all.iter().map(|sum| sum.bytes).sum();
    let estimate: f64 = estimates(&a, false).iter().map(|sum| sum.bytes).sum();
    // A fifth went unsampled, and another was seen from afar.
    let sigma = (truth / 5.0 * f64::from(64 << 20)).sqrt();
    assert!((estimate - truth * 0.8).abs() < 5.5 * sigma, "{estimate} of {truth}");
    for at in live {
        free(&a, heap, at);
    }
    no_ghosts(&a);
}

#[test]
fn a_short_interval_comes_into_force_at_the_next_list() {
    let a = open(1 << 31);
    let heap = a.adopt().unwrap();
    for _ in 0..1000 {
        alloc(&a, heap, 64);
    }
    assert_eq!(a.sampler.sites.taken.load(Ordering::Relaxed), 0);
    a.sampler.set_interval(1);
    for _ in 0..1000 {
        alloc(&a, heap, 64);
    }
    assert!(a.sampler.sites.taken.load(Ordering::Relaxed) > 900, "every block but a list");
}

#[test]
fn too_many_samples_widen_the_interval_and_the_sums_stay_right() {
    let a = open(1 << 10);
    let heap = a.adopt().unwrap();
    let (mut bytes, mut live) = (0.0, Vec::new());
    for round in 0..120_000 {
        let at = alloc(&a, heap, 256);
        bytes += 256.0;
        live.push(at);
        if live.len() > 100 {
            free(&a, heap, live.swap_remove(round % 100));
        }
    }
    let widest = a.sampler.interval();
    assert!(widest > 1 << 10, "a standing clock is an endless rate");
    let estimate: f64 = estimates(&a, false).iter().map(|sum| sum.bytes).sum();
    let sigma = (bytes * f64::from(widest)).sqrt();
    assert!((estimate - bytes).abs() < 5.5 * sigma, "{estimate} of {bytes}");
}

#[test]
fn what_shrinks_is_kept_and_what_grows_is_decided_anew() {
    let a = open(1);
    let heap = a.adopt().unwrap();
    let live = |a: &Allocator<Fake>| -> u64 { sites(a).iter().map(|site| site.live[1]).sum() };
    let asked = |a: &Allocator<Fake>| -> u64 { sites(a).iter().map(|site| site.requested).sum() };
    for (first, less, more) in [(400_000, 100_000, 300_000), (8 << 20, 2 << 20, 30 << 20)] {
        let at = alloc(&a, heap, first);
        assert_eq!((live(&a), asked(&a)), (a.usable(at.addr().get()) as u64, first as u64));
        for size in [less, more] {
            // SAFETY: the object is live.
            let at = unsafe { a.reallocate(Some(heap), at, size, 16) };
            let at = at.unwrap();
            assert_eq!((live(&a), asked(&a)), (a.usable(at.addr().get()) as u64, size as u64));
            if size == more {
                free(&a, heap, at);
            }
        }
        no_ghosts(&a);
    }
    // Decided anew, and nothing is taken any more: what it was is forgotten.
    for (first, more) in [(100_000, 200_000), (2 << 20, 30 << 20)] {
        a.sampler.set_interval(1);
        let at = alloc(&a, heap, first);
        a.sampler.set_interval(0);
        // SAFETY: the object is live.
        let at = unsafe { a.reallocate(Some(heap), at, more, 16) }.unwrap();
        no_ghosts(&a);
        free(&a, heap, at);
    }
    // In place: an object that has grown once has room.
    a.sampler.set_interval(1);
    let at = alloc(&a, heap, 2 << 20);
    // SAFETY: the object is live.
    let grown = unsafe { a.reallocate(Some(heap), at, 3 << 20, 16) }.unwrap();
    assert_eq!(a.sampler.sites.alive.load(Ordering::Relaxed), 1);
    a.sampler.set_interval(0);
    // SAFETY: the object is live.
    assert_eq!(unsafe { a.reallocate(Some(heap), grown, 4 << 20, 16) }, Some(grown));
    no_ghosts(&a);
    free(&a, heap, grown);
}

#[test]
fn what_a_huge_object_that_creeps_was_asked_for_is_known_to_a_page() {
    let a = open(1);
    let heap = a.adopt().unwrap();
    let asked = || sites(&a).iter().map(|site| site.requested).sum::<u64>();
    let mut at = alloc(&a, heap, 3 << 20);
    for size in (3 << 20..4 << 20).step_by(1000) {
        // SAFETY: the object is live.
        at = unsafe { a.reallocate(Some(heap), at, size, 16) }.unwrap();
        let off = (size as u64).abs_diff(asked());
        assert!(off < 4096, "{off} bytes off at {size}");
    }
    free(&a, heap, at);
    no_ghosts(&a);
}

#[test]
fn off_makes_no_mapping_and_keeps_no_list_aside() {
    let (off, on) = (open(0), open(64 << 10));
    let mapped: Vec<usize> = [&off, &on]
        .into_iter()
        .map(|a| {
            let heap = a.adopt().unwrap();
            for round in 0..50_000 {
                let at = alloc(a, heap, 1 + round % 2000);
                if round % 2 == 0 {
                    free(a, heap, at);
                }
            }
            let is_off = a.sampler.interval() == 0;
            assert!(!is_off || (1..CLASSES).all(|c| heap.rest_of(c).is_null()));
            a.arena.kernel.os().mapped()
        })
        .collect();
    assert!(!off.sampler.sites.is_there() && on.sampler.sites.is_there());
    assert!(mapped[0] < mapped[1]);
    assert!(off.sampled.load(Ordering::Relaxed).is_null(), "no heap for samples");
}

#[test]
fn the_child_of_a_fork_rolls_its_own_dice_and_keeps_what_is_alive() {
    let a = open(4096);
    let heaps = [a.adopt().unwrap(), a.adopt().unwrap()];
    let (_, _, live) = churn(&a, &heaps, 10_000, &mut Dice(11), |_| {});
    let alive = a.sampler.sites.alive.load(Ordering::Relaxed);
    assert!(alive > 100);
    a.fork_prepare();
    assert!(a.sampler.sites.lock().is_mine());
    a.fork_child(Some(heaps[0]));
    assert_eq!(a.sampler.sites.alive.load(Ordering::Relaxed), alive);
    for at in live {
        free(&a, heaps[0], at);
    }
    no_ghosts(&a);
    let (_, _, live) = churn(&a, &heaps[..1], 10_000, &mut Dice(12), |_| {});
    assert!(a.sampler.sites.alive.load(Ordering::Relaxed) > 100);
    for at in live {
        free(&a, heaps[0], at);
    }
    no_ghosts(&a);
}

#[test]
fn a_handler_above_a_holder_of_the_lock_drops_samples_and_leaves_no_ghosts() {
    let a = open(1);
    let heap = a.adopt().unwrap();
    let objects: Vec<_> = (0..10).map(|_| alloc(&a, heap, 100)).collect();
    let taken = a.sampler.sites.taken.load(Ordering::Relaxed);
    assert!(taken >= 9);
    let guard = a.sampler.sites.lock().lock();
    let above = alloc(&a, heap, 100);
    for &at in &objects {
        free(&a, heap, at);
    }
    assert_eq!(a.sampler.sites.dropped.swap(0, Ordering::Relaxed), 1);
    drop(guard);
    free(&a, heap, above);
    let next = alloc(&a, heap, 100);
    free(&a, heap, next);
    no_ghosts(&a);
}

#[test]
fn the_tables_may_be_refused_at_any_call() {
    let run = |after: u64, count: u64| -> u64 {
        let a = open(128);
        let heap = a.adopt().unwrap();
        let before = a.arena.kernel.os().calls();
        a.arena.kernel.os().fail(after, count);
        let mut live = Vec::new();
        for round in 0..1200 {
            // SAFETY: the heap is this thread's.
            let fresh = unsafe { a.allocate(Some(heap), 1 + round % 500, 16) };
            live.extend(fresh.map(|fresh| fresh.at));
        }
        a.arena.kernel.os().fail(0, 0);
        for at in live {
            free(&a, heap, at);
        }
        a.sampler.sites.dropped.store(0, Ordering::Relaxed);
        no_ghosts(&a);
        a.arena.kernel.os().calls() - before
    };
    let calls = run(u64::MAX / 2, 0);
    assert!(calls > 10);
    for k in 0..calls {
        run(k, 1);
        run(k, 20);
    }
}

#[test]
fn a_sampled_block_is_what_a_request_of_its_size_gets() {
    let a = open(16);
    let heap = a.make_heap(crate::heap::Use::Thread).unwrap();
    let mut watched = 0;
    for size in [1, 40, 48, 300, 1500, 5000, 20_000] {
        for _ in 0..8 {
            let at = alloc(&a, heap, size);
            let span = a.arena.span_at(at.addr().get()).unwrap();
            let class = SizeClass::of_size(size);
            if span.is_watched() {
                watched += usize::from(span.class() != Some(class));
            }
            assert!(a.usable(at.addr().get()) >= size);
            a.check_size(at.addr().get(), size, 16);
            free(&a, heap, at);
        }
    }
    assert!(watched > 20, "{watched}");
}
