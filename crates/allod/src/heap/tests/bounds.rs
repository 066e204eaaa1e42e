//! What a single free may do: the runs of blocks that a flush sends home.

use super::*;
use crate::heap::free::FLUSH_RUNS;
use crate::heap::walk::length;

const SIZE: usize = 128;
/// Blocks of a span, and spans: as many as the front's list has room for.
const EACH: usize = crate::units::SLICE / SIZE;
const SPANS: usize = 64;

fn class() -> SizeClass {
    let class = SizeClass::of_layout(SIZE, 8).unwrap();
    assert_eq!((class.size(), class.capacity(), usize::from(class.room())), (SIZE, EACH, SPANS));
    class
}

/// Blocks that fill their spans, in an order in which neighbours are of different ones.
fn scattered(a: &Allocator<Fake>, heap: &Heap) -> Vec<NonNull<u8>> {
    let blocks: Vec<_> = (0..SPANS * EACH).map(|_| alloc(a, heap, SIZE, 8).unwrap()).collect();
    (0..EACH).flat_map(|k| (0..SPANS).map(move |s| s * EACH + k)).map(|i| blocks[i]).collect()
}

/// Blocks of each span that are out.
fn out(a: &Allocator<Fake>) -> BTreeMap<usize, usize> {
    let mut found = BTreeMap::new();
    a.each_span(&mut |span, out| {
        found.insert(span.base().addr(), out);
    });
    found
}

/// The blocks on the lists to allocate from and of what was freed. Of the second there are as
/// many as the room says.
fn lists(heap: &Heap) -> (usize, usize) {
    let (class, c) = (class(), class().index());
    // SAFETY: the heap is the test's thread's.
    let count = |list: *mut Block| unsafe { length(list, usize::MAX) };
    let free = count(heap.front.free[c].get());
    assert_eq!(free, usize::from(class.room() - heap.front.room[c].get()), "the room's count");
    (count(heap.front.alloc[c].get()), free)
}

/// Takes what is on the list to allocate from.
fn run_dry(a: &Allocator<Fake>, heap: &Heap) -> Vec<NonNull<u8>> {
    (0..lists(heap).0).map(|_| alloc(a, heap, SIZE, 8).unwrap()).collect()
}

#[test]
fn no_free_sends_blocks_home_to_more_than_a_few_spans() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let blocks = scattered(&a, heap);
    let (mut flushes, mut most) = (0, 0);
    let mut before = out(&a);
    for at in blocks {
        let visits = heap.visits.get();
        free(&a, heap, at);
        lists(heap);
        if heap.visits.get() == visits {
            continue;
        }
        let after = out(&a);
        let changed = before.iter().filter(|(base, out)| after.get(*base) != Some(*out)).count();
        (flushes, most, before) = (flushes + 1, most.max(changed), after);
    }
    assert_eq!(most, FLUSH_RUNS);
    assert!(flushes >= SPANS * (EACH - 2) / FLUSH_RUNS, "{flushes} flushes");
    a.check();
    nothing_is_lost(&a);
}

#[test]
fn blocks_of_one_span_go_home_all_at_once() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let blocks: Vec<_> = (0..SPANS * EACH).map(|_| alloc(&a, heap, SIZE, 8).unwrap()).collect();
    let visits = heap.visits.get();
    for at in blocks {
        free(&a, heap, at);
    }
    assert_eq!(heap.visits.get() - visits, EACH, "a flush for each {SPANS} blocks");
    assert_eq!(lists(heap).1, 0);
    nothing_is_lost(&a);
}

#[test]
fn what_a_flush_leaves_is_allocated_again_last_first() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let mut blocks = scattered(&a, heap);
    blocks.extend(run_dry(&a, heap));
    let (kept, freed) = blocks.split_at(blocks.len() - SPANS);
    assert_eq!(lists(heap), (0, 0));
    freed.iter().for_each(|&at| free(&a, heap, at));
    let left = &freed[..SPANS - FLUSH_RUNS];
    assert_eq!(lists(heap), (0, left.len()));
    for &at in left.iter().rev() {
        assert_eq!(alloc(&a, heap, SIZE, 8), Some(at));
        lists(heap);
    }
    kept.iter().chain(left).for_each(|&at| free(&a, heap, at));
    nothing_is_lost(&a);
}

/// A handler allocates between the look at the lists and the way to the heap.
#[test]
fn what_a_handler_has_listed_is_served_and_not_lost() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let first = alloc(&a, heap, SIZE, 8).unwrap();
    let ahead = lists(heap).0;
    assert!(ahead > 1, "a refill lists more than it serves");
    // SAFETY: the thread is the heap's.
    let block = unsafe { heap.refill_dry(&a, class(), SIZE) };
    assert_eq!(lists(heap).0, ahead - 1);
    for at in [first, NonNull::new(block).unwrap().cast()] {
        free(&a, heap, at);
    }
    nothing_is_lost(&a);
}

#[test]
fn what_a_handler_frees_while_a_slow_path_has_the_list_goes_home() {
    let a = open(Fake::new(SPACE, 4096));
    let heap = a.adopt().unwrap();
    let (class, c) = (class(), class().index());
    let mut blocks = scattered(&a, heap).into_iter();
    blocks.by_ref().take(40).for_each(|at| free(&a, heap, at));
    // As a flush does: takes the list, sends some of it home, is interrupted.
    let list = heap.front.free[c].replace(ptr::null_mut());
    heap.front.room[c].set(class.room());
    blocks.by_ref().take(5).for_each(|at| free(&a, heap, at));
    assert_eq!(lists(heap).1, 5);
    let home = |a| out(a).values().sum::<usize>();
    let before = home(&a);
    // SAFETY: the list was the front's, and the thread is the heap's.
    unsafe { heap.leave(&a, class, list, 40) };
    assert_eq!(lists(heap).1, 40);
    assert_eq!(before - home(&a), 5);
    blocks.for_each(|at| free(&a, heap, at));
    nothing_is_lost(&a);
}
