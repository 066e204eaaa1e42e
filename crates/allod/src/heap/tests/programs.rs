//! The whole allocator, driven by bytes: any bytes are a program of threads that
//! allocate, free and end, and of a system that refuses.
//!
//! ```text
//!   first byte      the level, the page, whether some objects are guarded
//!   then, by four   what is done | which object or how | two bytes of size
//! ```
//!
//! The model of `heap/tests.rs` knows each object and what it holds. In the end the
//! system refuses nothing, everything is freed, and nothing may be lost.

use super::*;

/// Threads of a program.
const THREADS: usize = 3;
/// Objects at most.
const LIVE: usize = 200;

/// What one operation says about itself.
struct Operation {
    what: u8,
    how: u8,
    size: u16,
}

/// Sizes of every kind; most bytes say a small one.
fn size(word: u16) -> usize {
    let low = usize::from(word & 0xFFF);
    match word >> 12 {
        0..10 => 1 + low % 1024,
        10..13 => 1 + low * 8,
        13 | 14 => SMALL_MAX + low * 64,
        _ => LARGE_MAX + low * 96,
    }
}

/// A program that runs.
struct Machine<'a> {
    a: &'a Allocator<Fake>,
    /// A thread without a heap shares one with others.
    threads: [Option<&'a Heap>; THREADS],
    turn: usize,
    model: Model,
}

impl<'a> Machine<'a> {
    fn heap(&self) -> Option<&'a Heap> {
        self.threads[self.turn]
    }

    fn pick(&self, how: u8) -> Option<usize> {
        let count = self.model.live.len();
        self.model.live.keys().copied().nth(usize::from(how) * count / 256)
    }

    fn alloc(&mut self, size: usize, align: usize) {
        // SAFETY: one thread plays all of them.
        let Some(fresh) = (unsafe { self.a.allocate(self.heap(), size, align) }) else { return };
        fresh.at.as_ptr().expose_provenance();
        if fresh.zeroed {
            self.model.holds(fresh.at, size, 0);
        }
        self.model.enter(fresh.at, size, align);
    }

    fn free(&mut self, start: usize) {
        let (at, size, align) = self.model.leave(start);
        self.a.check_size(start, size, align);
        if self.heap().is_none_or(|heap| !gathered(self.a, heap, at)) {
            // SAFETY: the model has given the object up.
            unsafe { self.a.release(self.heap(), at) };
        }
    }

    fn realloc(&mut self, start: usize, size: usize) {
        let fill = self.model.live[&start].2;
        let (at, old, align) = self.model.leave(start);
        // SAFETY: the object is live, and one thread plays all.
        let moved = unsafe { self.a.reallocate(self.heap(), at, size, align) };
        let Some(moved) = moved else { return self.model.enter(at, old, align) };
        moved.as_ptr().expose_provenance();
        self.model.holds(moved, old.min(size), fill);
        self.model.enter(moved, size, align);
    }

    /// The thread ends, and another begins in its place.
    fn begin_anew(&mut self) {
        if let Some(heap) = self.heap() {
            // SAFETY: its thread, which this one plays, uses it no more.
            unsafe { self.a.abandon(heap) };
        }
        self.threads[self.turn] = self.a.adopt();
    }

    fn run(&mut self, operation: &Operation) {
        let (how, system) = (operation.how, self.a.arena.kernel.os());
        match operation.what % 32 {
            0..13 if self.model.live.len() < LIVE => {
                let align = if how < 200 { 1 << (how % 5) } else { 1 << (how % 17) };
                self.alloc(size(operation.size), align);
            }
            0..22 => {
                if let Some(start) = self.pick(how) {
                    self.free(start);
                }
            }
            22..25 => {
                if let Some(start) = self.pick(how) {
                    self.realloc(start, size(operation.size));
                }
            }
            25 => self.turn = usize::from(how) % THREADS,
            26 => system.fail(u64::from(how % 16), 1 + u64::from(operation.size % 40)),
            27 => system.fail(0, 0),
            28 => {
                system.pass(u64::from(how) * 4);
                self.a.upkeep();
            }
            29 => {
                // SAFETY: as in `alloc`.
                unsafe { self.a.trim(self.heap(), usize::from(operation.size) << 4) };
            }
            30 => self.begin_anew(),
            _ => {
                self.a.check();
                self.a.sweep();
            }
        }
    }
}

/// Runs the program that some bytes are. Panics where a promise is broken.
pub(crate) fn run(bytes: &[u8]) {
    let (&first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let page = if first & 8 == 0 { 4096 } else { 16 << 10 };
    let guard_rate = if first & 2 == 0 { 0 } else { 7 };
    let level = Level { hard: first & 1 != 0, guard_rate, exact: first & 4 != 0 };
    let a = open_at(Fake::new(SPACE, page), level);
    let threads = core::array::from_fn(|_| a.adopt());
    let mut machine = Machine { a: &a, threads, turn: 0, model: Model::default() };
    for part in rest.chunks_exact(4) {
        let size = u16::from_le_bytes([part[2], part[3]]);
        machine.run(&Operation { what: part[0], how: part[1], size });
    }
    a.arena.kernel.os().fail(0, 0);
    while let Some(start) = machine.pick(0) {
        machine.free(start);
    }
    a.check();
    a.sweep();
    nothing_is_lost(&a);
    let at = alloc(&a, a.adopt().expect("a heap"), 100_000, 16).expect("memory is usable again");
    free(&a, a.heaps().next().expect("a heap"), at);
}

#[test]
fn programs_of_random_bytes_break_no_promise() {
    for seed in 0..32 {
        let mut dice = Dice(1000 + seed);
        let mut bytes: Vec<u8> = (0..2401).map(|_| dice.roll(256) as u8).collect();
        // Each level with each kind of page, with guarded objects and without.
        bytes[0] = seed as u8;
        run(&bytes);
    }
}

#[test]
fn short_programs_break_no_promise() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let len = dice.roll(120);
        run(&(0..len).map(|_| dice.roll(256) as u8).collect::<Vec<_>>());
    }
}
