//! Several threads in the slow paths at once.
//!
//! Two readings of one play. A test runs it with threads of the system. Under
//! `cfg(shuttle)`, which `cargo xtask shuttle` sets, shuttle runs it under many schedules:
//! it chooses, before each atomic operation, who goes on. Then a failure names its
//! schedule, and can be had again.
//!
//! The plays are short and their objects few and large, so that spans fill and empty all
//! the time: there is hardly a call that stays on a fast path. Objects hold a pattern,
//! made of where they are and how large; whoever frees one looks at it. In the end
//! nothing may be lost, and `check()` must hold.

use super::*;
use crate::sample::Who;
use std::sync::{Arc, Mutex};

#[cfg(shuttle)]
use shuttle::thread;
#[cfg(not(shuttle))]
use std::thread;

/// What is played.
#[derive(Clone, Copy)]
struct Play {
    level: Level,
    /// Mean bytes between two samples; 0 for none.
    interval: u32,
    /// How a thread comes to its heap.
    home: Home,
    sizes: &'static [usize],
    /// Threads, how often each ends and is followed by another, and calls of each.
    threads: usize,
    lives: usize,
    calls: usize,
    /// One thread takes all locks and gives them back, as `fork` does.
    forks: bool,
    /// Objects become others' sizes, in place or elsewhere.
    grows: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Home {
    /// One of its own.
    Own,
    /// None: common ones serve it.
    None,
    /// One that all share, under its lock.
    Private,
}

/// What runs unless a play says otherwise: blocks of which a span holds few.
const USUAL: Play = Play {
    level: Level::DEFAULT,
    interval: 0,
    home: Home::Own,
    sizes: &[6000, 16_000, 30_000],
    threads: 3,
    lives: 2,
    calls: if cfg!(shuttle) { 12 } else { 400 },
    forks: false,
    grows: false,
};

const HARD: Level = Level { hard: true, guard_rate: 0, exact: false };

/// An object, on its way from thread to thread.
struct Parcel {
    at: usize,
    size: usize,
}

impl Parcel {
    fn pointer(&self) -> NonNull<u8> {
        NonNull::new(std::ptr::with_exposed_provenance_mut(self.at)).expect("an object")
    }

    fn fill(&self) -> u8 {
        (self.at >> 4) as u8 ^ self.size as u8 | 1
    }

    /// Its first bytes and its last ones: those of a whole object would take all the time.
    fn parts(&self) -> [(usize, usize); 2] {
        let part = self.size.min(64);
        [(0, part), (self.size - part, part)]
    }

    fn write(&self) {
        for (from, len) in self.parts() {
            // SAFETY: the part lies in the object, which is the caller's.
            let at = unsafe { self.pointer().add(from) };
            // SAFETY: as above.
            unsafe { at.write_bytes(self.fill(), len) };
        }
    }

    fn look(&self) {
        for (from, len) in self.parts() {
            // SAFETY: the part lies in the object, which is the caller's.
            let at = unsafe { self.pointer().add(from) };
            // SAFETY: as above.
            let bytes = unsafe { std::slice::from_raw_parts(at.as_ptr(), len) };
            assert!(bytes.iter().all(|byte| *byte == self.fill()), "an object changed under its owner");
        }
    }
}

/// What the threads of a play share.
struct Stage {
    a: Box<Allocator<Fake>>,
    play: Play,
    private: Option<NonNull<Heap>>,
    shelf: Mutex<Vec<Parcel>>,
}

// SAFETY: the heap is used under its lock, and is never unmapped.
unsafe impl Send for Stage {}
// SAFETY: as above.
unsafe impl Sync for Stage {}

impl Stage {
    fn new(play: Play) -> Arc<Self> {
        let a = open_at(Fake::new(SPACE, 4096), play.level);
        a.set_caller(Who::default);
        a.sampler.set_interval(play.interval);
        let private = (play.home == Home::Private)
            .then(|| NonNull::from(a.make_private().expect("a heap")));
        Arc::new(Self { a, play, private, shelf: Mutex::default() })
    }

    fn enter(&self) -> Option<&Heap> {
        match self.play.home {
            Home::Own => Some(self.a.adopt().expect("a heap")),
            Home::None => None,
            // SAFETY: heaps are never unmapped.
            Home::Private => self.private.map(|heap| unsafe { heap.as_ref() }),
        }
    }

    fn leave(&self, heap: Option<&Heap>) {
        if let Some(heap) = heap.filter(|heap| !heap.is_private()) {
            // SAFETY: its thread, which uses it no more.
            unsafe { self.a.abandon(heap) };
        }
    }

    /// What one thread does.
    fn live(&self, seed: u64) {
        let mut dice = Dice(seed);
        for _ in 0..self.play.lives {
            let heap = self.enter();
            for _ in 0..self.play.calls {
                self.call(heap, &mut dice);
            }
            self.leave(heap);
        }
    }

    fn call(&self, heap: Option<&Heap>, dice: &mut Dice) {
        let own = heap.filter(|heap| !heap.is_private());
        match dice.roll(16) {
            0..8 => {
                let size = self.play.sizes[dice.roll(self.play.sizes.len())];
                // SAFETY: the heap is this thread's, or private.
                let Some(fresh) = (unsafe { self.a.allocate(heap, size, 16) }) else { return };
                let parcel = Parcel { at: fresh.at.as_ptr().expose_provenance(), size };
                parcel.write();
                // Nothing switches while the shelf is held.
                self.shelf.lock().unwrap().push(parcel);
            }
            8..14 => {
                let parcel = {
                    let mut shelf = self.shelf.lock().unwrap();
                    if shelf.is_empty() {
                        return;
                    }
                    let place = dice.roll(shelf.len());
                    shelf.swap_remove(place)
                };
                parcel.look();
                if self.play.grows && dice.roll(2) == 0 {
                    let size = self.play.sizes[dice.roll(self.play.sizes.len())];
                    let parcel = self.resized(heap, parcel, size);
                    return self.shelf.lock().unwrap().push(parcel);
                }
                if own.is_none_or(|heap| !gathered(&self.a, heap, parcel.pointer())) {
                    // SAFETY: the object is this thread's, which gives it up.
                    unsafe { self.a.release(own, parcel.pointer()) };
                }
            }
            14 => {
                self.a.arena.kernel.os().pass(dice.roll(300) as u64);
                self.a.upkeep();
            }
            _ => {
                if let Some(heap) = own {
                    self.a.check_own(heap);
                    // SAFETY: the heap is this thread's.
                    unsafe { self.a.trim(Some(heap), 0) };
                }
            }
        }
    }

    /// The object with another size, and what it held.
    fn resized(&self, heap: Option<&Heap>, parcel: Parcel, size: usize) -> Parcel {
        // SAFETY: the heap is this thread's, or private; the object is this thread's.
        let at = unsafe { self.a.reallocate(heap, parcel.pointer(), size, 16) };
        let Some(at) = at else { return parcel };
        // SAFETY: both sizes are more than that.
        let bytes = unsafe { std::slice::from_raw_parts(at.as_ptr(), 64) };
        assert!(bytes.iter().all(|byte| *byte == parcel.fill()), "an object lost its bytes as it grew");
        let parcel = Parcel { at: at.as_ptr().expose_provenance(), size };
        parcel.write();
        parcel
    }

    fn fork(&self) {
        for _ in 0..2 {
            self.a.fork_prepare();
            self.a.fork_parent();
        }
    }

    /// Everybody has gone: what is left goes home, and nothing may be missing.
    fn clear(&self) {
        let heap = self.a.adopt().expect("a heap");
        for parcel in self.shelf.lock().unwrap().drain(..) {
            parcel.look();
            free(&self.a, heap, parcel.pointer());
        }
        assert_eq!(self.a.threads.get(), 1, "everybody else has left");
        if let Some(private) = self.private {
            // SAFETY: heaps are never unmapped.
            let private = unsafe { private.as_ref() };
            // SAFETY: nobody uses it or its objects any more.
            unsafe { self.a.destroy(private) };
        }
        self.a.sweep();
        assert_eq!(self.a.sampler.sites.alive.load(Ordering::Relaxed), 0, "samples of objects that are gone");
        nothing_is_lost(&self.a);
    }
}

/// Plays it once.
fn perform(play: Play, seed: u64) {
    let stage = Stage::new(play);
    let mut threads: Vec<_> = (0..play.threads as u64)
        .map(|number| {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.live(seed * 1000 + number))
        })
        .collect();
    if play.forks {
        let stage = Arc::clone(&stage);
        threads.push(thread::spawn(move || stage.fork()));
    }
    for thread in threads {
        thread.join().expect("no thread has failed");
    }
    stage.clear();
}

/// Plays it with threads of the system.
#[cfg(not(shuttle))]
fn rehearse(play: Play) {
    for seed in 0..6 {
        perform(Play { threads: 4, ..play }, seed);
    }
}

/// The same for a play that is a function.
#[cfg(not(shuttle))]
fn rehearse_all(play: fn(u64)) {
    (0..20).for_each(play);
}

/// Plays it under schedules of shuttle's choice: at random, and with few switches at
/// places that are chosen to hurt.
#[cfg(shuttle)]
fn rehearse(play: Play) {
    rehearse_all(move |seed| perform(play, seed));
}

/// The same for a play that is a function.
#[cfg(shuttle)]
fn rehearse_all(play: impl Fn(u64) + Clone + Send + Sync + 'static) {
    use shuttle::scheduler::{PctScheduler, RandomScheduler};
    use shuttle::{Config, Runner};
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    config.max_steps = shuttle::MaxSteps::FailAfter(2_000_000);
    let rounds = std::env::var("ALLOD_SCHEDULES").ok().and_then(|text| text.parse().ok());
    let rounds = rounds.unwrap_or(150);
    let counter = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let body = {
        let counter = Arc::clone(&counter);
        // ORDERING: Relaxed, a number. The same schedule comes with the same seed only
        // where it comes in the same order, as `replay` in one process does not: it
        // repeats the round that the failure names.
        move || play(counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    };
    let at_random = RandomScheduler::new_from_seed(1, rounds);
    Runner::new(at_random, config.clone()).run(body.clone());
    let to_hurt = PctScheduler::new_from_seed(2, 3, rounds);
    Runner::new(to_hurt, config).run(body);
}

#[test]
fn shuttle_threads_free_for_each_other_and_leave_their_heaps() {
    rehearse(USUAL);
}

#[test]
fn shuttle_blocks_of_a_small_class() {
    rehearse(Play { sizes: &[1000, 2000], calls: USUAL.calls * 3, lives: 1, ..USUAL });
}

#[test]
fn shuttle_young_threads_share_heaps() {
    rehearse(Play { home: Home::None, ..USUAL });
}

#[test]
fn shuttle_a_private_heap_of_many_threads() {
    rehearse(Play { home: Home::Private, ..USUAL });
}

#[test]
fn shuttle_large_and_huge_objects() {
    rehearse(Play { sizes: &[40_000, 900_000, 1_500_000, 3 << 20], ..USUAL });
}

/// Of their places and of what is cached a part goes while others come for it.
#[test]
fn shuttle_huge_objects_that_grow_and_shrink() {
    let sizes = &[900_000, 1_200_000, 2_200_000, 4_500_000, 9 << 20];
    rehearse(Play { sizes, grows: true, calls: USUAL.calls * 2, lives: 1, ..USUAL });
}

#[test]
fn shuttle_samples() {
    rehearse(Play { interval: 20_000, ..USUAL });
}

#[test]
fn shuttle_slots_of_the_hardened_level() {
    rehearse(Play { level: HARD, ..USUAL });
}

#[test]
fn shuttle_large_and_huge_objects_of_the_hardened_level() {
    rehearse(Play { level: HARD, sizes: &[40_000, 300_000, 1_500_000], ..USUAL });
}

#[test]
fn shuttle_forks_wait_for_everybody() {
    rehearse(Play { forks: true, interval: 40_000, ..USUAL });
}

/// Has three threads do the same at once, and returns what came of it.
fn three<T: Send + 'static>(
    stage: &Arc<Stage>,
    what: fn(&Allocator<Fake>) -> T,
) -> Vec<T> {
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let stage = Arc::clone(stage);
            thread::spawn(move || what(&stage.a))
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().expect("no thread has failed")).collect()
}

/// Threads that start at once find no slices, all of them. One opens a chunk, and there is
/// room for the others in it: a chunk may be a huge page.
#[test]
fn shuttle_one_chunk_is_opened_for_threads_that_need_slices_at_once() {
    rehearse_all(|_| {
        let stage = Stage::new(USUAL);
        let taken = three(&stage, |a| {
            a.arena.take(&Cell::new(ptr::null()), 1, 1, true).map(|slices| slices.run.count())
        });
        assert_eq!(taken, [Some(1); 3]);
        assert_eq!(stage.a.arena.chunks().count(), 1);
    });
}

#[test]
fn shuttle_no_more_objects_are_guarded_than_may_be() {
    rehearse_all(|_| {
        let stage = Stage::new(USUAL);
        stage.a.guarded.open(1, true, 2);
        let made = three(&stage, |a| {
            let at = a.guarded.alloc(&a.arena, 100, 16, crate::harden::slot::Family::C, 0);
            usize::from(at.is_some())
        });
        assert_eq!(made.iter().sum::<usize>(), 2);
    });
}
