//! `threads`: the same work for every number of threads, to count what it takes.
//!
//! ```text
//!   threads own THREADS ROUNDS      each thread replaces blocks of its own at random
//!   threads passed THREADS ROUNDS   each thread frees what its neighbour has allocated
//! ```
//!
//! A round is 128 blocks for each thread. What a thread has for its neighbour waits in
//! a place between the two, so that no allocator is asked for a queue's nodes.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;

use fastrand::Rng;

/// Blocks of a round.
const BATCH: usize = 128;
/// Rounds whose blocks a thread keeps.
const KEPT: usize = 8;

/// A block, of a size as programs ask for: mostly below 128 bytes.
fn block(random: &mut Rng) -> Vec<u8> {
    let size = match random.u8(..) {
        0..200 => 8 + random.usize(..120),
        200..250 => 128 + random.usize(..896),
        _ => 1024 + random.usize(..3072),
    };
    let mut block = Vec::with_capacity(size);
    block.push(1);
    black_box(block)
}

fn own(me: usize, rounds: usize) {
    let mut random = Rng::with_seed(me as u64);
    let mut blocks: Vec<_> = (0..KEPT * BATCH).map(|_| block(&mut random)).collect();
    for _ in 0..rounds * BATCH {
        let place = random.usize(..blocks.len());
        blocks[place] = block(&mut random);
    }
}

fn passed(me: usize, rounds: usize, places: &[Mutex<Vec<Vec<u8>>>], turn: &Barrier) {
    let mut random = Rng::with_seed(me as u64);
    let place =
        |who: usize| places[who % places.len()].lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..rounds {
        place(me).extend((0..BATCH).map(|_| block(&mut random)));
        turn.wait();
        place(me + 1).drain(..).for_each(drop);
        turn.wait();
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<usize> = words.iter().skip(1).filter_map(|word| word.parse().ok()).collect();
    let (Some(mode), [threads, rounds]) = (words.first(), numbers.as_slice()) else {
        eprintln!("usage: threads own|passed THREADS ROUNDS");
        return ExitCode::from(2);
    };
    let places: Vec<_> = (0..*threads).map(|_| Mutex::new(Vec::with_capacity(BATCH))).collect();
    let turn = Barrier::new(*threads);
    let (places, turn) = (&places, &turn);
    thread::scope(|scope| {
        for me in 0..*threads {
            scope.spawn(move || match mode.as_str() {
                "own" => own(me, *rounds),
                _ => passed(me, *rounds, places, turn),
            });
        }
    });
    ExitCode::SUCCESS
}
