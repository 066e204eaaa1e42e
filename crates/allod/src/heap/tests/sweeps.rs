//! Memory freed in one class serves another before more is touched.

use super::*;

/// Batches of one size, and of all, freed from the last block to the first.
fn batches(a: &Allocator<Fake>, heap: &Heap, dice: &mut Dice) -> usize {
    let mut most = 0;
    for turn in 0..120 {
        let one = 8 + dice.roll(504);
        let mut live = 0;
        let blocks: Vec<_> = (0..2000)
            .map(|_| {
                let size = match dice.roll(256) {
                    _ if turn % 2 == 0 => one,
                    0..200 => 8 + dice.roll(120),
                    200..250 => 128 + dice.roll(896),
                    _ => 1024 + dice.roll(3072),
                };
                live += size;
                alloc(a, heap, size, 16).unwrap()
            })
            .collect();
        most = most.max(live);
        for at in blocks.into_iter().rev() {
            free(a, heap, at);
        }
    }
    most
}

#[test]
fn classes_give_their_spans_to_others_though_the_front_holds_some_blocks() {
    let a = allocator(Fake::new(SPACE, 4096));
    let (arena, huge) = policies(false);
    assert!(a.open(crate::arena::Policy { dense_from: usize::MAX, ..arena }, huge, Level::DEFAULT));
    let heap = a.adopt().unwrap();
    let most = batches(&a, heap, &mut Dice(5));
    let (held, live) = (a.arena.touched.peak() >> 10, most >> 10);
    // What one batch holds, and a span of 32 KiB for each of the forty classes of another.
    assert!(held < live + 40 * 32, "{held} KiB for {live}");
    nothing_is_lost(&a);
}

#[test]
fn a_sweep_that_finds_nothing_is_not_made_again_at_once() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    // Grows, and frees nothing: no span is given back, and the front is full of all classes.
    let mut sweeps = 0;
    let mut blocks = Vec::new();
    for i in 0..60_000 {
        let before = heap.sweep_in.get();
        blocks.push(alloc(&a, heap, 16 + i * 40 % 1000, 8).unwrap());
        sweeps += usize::from(heap.sweep_in.get() > before);
    }
    // Each comes after a growth by a sixteenth, from 16 slices on.
    assert!((20..120).contains(&sweeps), "{sweeps} sweeps");
    for at in blocks {
        free(&a, heap, at);
    }
    nothing_is_lost(&a);
}
