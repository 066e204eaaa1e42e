//! Blocks of other heaps, span by span on their way home.

use super::*;
use crate::size::SizeClass;

#[test]
fn a_ring_holds_back_little() {
    let a = open(Fake::new(SPACE, 4096));
    let (owner, other) = (a.adopt().unwrap(), a.adopt().unwrap());
    let mut most = 0;
    for size in (16..20_000).step_by(48) {
        let blocks: Vec<_> = (0..200).map(|_| alloc(&a, owner, size, 8).unwrap()).collect();
        for at in blocks {
            free(&a, other, at);
            most = most.max(other.ring.held());
        }
    }
    assert!((16 << 10..=128 << 10).contains(&most), "{most} bytes");
}


/// The class of an object as these tests ask for it.
fn class_of(size: usize) -> SizeClass {
    SizeClass::of_layout(size, 8).unwrap()
}

/// Blocks of `size` bytes of the owner's, so many as a batch takes and one more.
fn of_one_span(a: &Allocator<Fake>, owner: &Heap, size: usize) -> Vec<NonNull<u8>> {
    let class = class_of(size);
    let count = usize::from(class.batch()) + 1;
    let blocks: Vec<_> = (0..count).map(|_| alloc(a, owner, size, 8).unwrap()).collect();
    let base = |at: &NonNull<u8>| class.span_base(at.addr().get());
    assert!(blocks.iter().all(|at| base(at) == base(&blocks[0])), "a fresh heap fills one span");
    blocks
}

#[test]
fn a_batch_is_opened_once_and_goes_home_full() {
    let a = open(Fake::new(SPACE, 4096));
    let (owner, other) = (a.adopt().unwrap(), a.adopt().unwrap());
    // All batches go home by the clock, and this one has just been looked at.
    other.ring.since.set(a.arena.kernel.clock() as u32);
    for size in [8, 16, 100, 500, 1024] {
        let batch = usize::from(class_of(size).batch());
        let blocks = of_one_span(&a, owner, size);
        assert!(!gathered(&a, other, blocks[0]), "no batch is open");
        free(&a, other, blocks[0]);
        for (i, &at) in blocks.iter().enumerate().take(batch).skip(1) {
            assert_eq!(other.ring.held(), i * class_of(size).size());
            assert!(gathered(&a, other, at), "block {i} of {size} bytes");
        }
        assert_eq!(other.ring.held(), 0, "the batch has gone home");
        assert!(!gathered(&a, other, blocks[batch]), "the batch is closed");
        free(&a, other, blocks[batch]);
        // SAFETY: one thread.
        unsafe { other.flush_ring(&a) };
    }
    nothing_is_lost(&a);
}

#[test]
fn a_batch_takes_nothing_that_is_no_live_block_of_its_span() {
    let a = open(Fake::new(SPACE, 4096));
    let (owner, other) = (a.adopt().unwrap(), a.adopt().unwrap());
    let c = class_of(96).index();
    let refused = |c: usize, at: NonNull<u8>| {
        // SAFETY: one thread.
        !unsafe { other.gather(&a, c, at.cast()) } && !other.ring.is_busy()
    };
    let blocks = of_one_span(&a, owner, 96);
    free(&a, other, blocks[0]);
    let held = other.ring.held();
    // Without checks no block has a mark.
    let is_seen = |at| !crate::block::CHECKED || refused(c, at);
    assert!(is_seen(blocks[0]), "free already: the first of the batch");
    // SAFETY: inside the object.
    assert!(refused(c, unsafe { blocks[1].add(8) }), "no block starts there");
    for wrong in [0, 1, c - 1, c + 1, CLASSES - 1, CLASSES, 0xFF] {
        assert!(refused(wrong, blocks[1]), "a block of class {wrong}");
    }
    // SAFETY: inside the span, which has room for hundreds.
    let beyond = unsafe { blocks[1].add(96 * (class_of(96).capacity() - 40)) };
    assert!(refused(c, beyond), "never handed out");
    let elsewhere = alloc(&a, owner, 20_000, 8).unwrap();
    assert!(refused(c, elsewhere) && refused(class_of(20_000).index(), elsewhere));
    assert_eq!(other.ring.held(), held);
    assert!(gathered(&a, other, blocks[1]));
    assert!(is_seen(blocks[1]), "free already: gathered");
    for at in blocks.into_iter().skip(2).chain([elsewhere]) {
        free(&a, other, at);
    }
    nothing_is_lost(&a);
}

#[test]
fn what_is_carved_behind_an_open_batch_opens_it_anew() {
    let a = open(Fake::new(SPACE, 4096));
    let (owner, other) = (a.adopt().unwrap(), a.adopt().unwrap());
    let first = alloc(&a, owner, 96, 8).unwrap();
    free(&a, other, first);
    let base = class_of(96).span_base(first.addr().get());
    // All that one refill has carved, and more.
    let more: Vec<_> = (0..200).map(|_| alloc(&a, owner, 96, 8).unwrap()).collect();
    let late = *more.last().unwrap();
    assert_eq!(class_of(96).span_base(late.addr().get()), base, "the same span");
    assert!(!gathered(&a, other, late), "the batch does not know of it yet");
    let held = other.ring.held();
    free(&a, other, late);
    assert_eq!(other.ring.held(), 2 * held, "the same batch");
    for at in more.into_iter().rev().skip(1) {
        free(&a, other, at);
    }
    nothing_is_lost(&a);
}

#[test]
fn a_free_within_a_free_goes_the_direct_way() {
    let a = open(Fake::new(SPACE, 4096));
    let (owner, other) = (a.adopt().unwrap(), a.adopt().unwrap());
    let blocks = of_one_span(&a, owner, 96);
    free(&a, other, blocks[0]);
    let held = other.ring.held();
    other.ring.seize();
    for &at in &blocks[1..4] {
        assert!(!gathered(&a, other, at));
        free(&a, other, at);
    }
    // SAFETY: one thread.
    unsafe { other.flush_ring(&a) };
    assert_eq!(other.ring.held(), held, "a batch that is being looked at stays");
    other.ring.release();
    for &at in &blocks[4..] {
        free(&a, other, at);
    }
    nothing_is_lost(&a);
}

#[test]
fn a_span_that_changes_hands_takes_what_was_gathered_for_it() {
    let a = open(Fake::new(SPACE, 4096));
    let (owner, other) = (a.adopt().unwrap(), a.adopt().unwrap());
    let blocks = of_one_span(&a, owner, 96);
    free(&a, other, blocks[0]);
    // SAFETY: one thread, which does not use the heap any more.
    unsafe { a.abandon(owner) };
    let next = a.adopt().unwrap();
    let mine = alloc(&a, next, 96, 8).unwrap();
    for at in blocks.into_iter().skip(1) {
        free(&a, other, at);
    }
    free(&a, next, mine);
    // SAFETY: one thread.
    unsafe { other.flush_ring(&a) };
    assert_eq!(other.ring.held(), 0);
    nothing_is_lost(&a);
}
