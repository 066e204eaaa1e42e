//! Threads of which none fills a class by itself.

use super::*;

/// Fills `slices` slices of each of 24 classes in turn with each heap, and returns the
/// slices on huge pages that were in use at the end.
fn fill(a: &Allocator<Fake>, heaps: &[&Heap], slices: usize) -> usize {
    for class in 1..=24 {
        let size = SizeClass::from_index(class).size();
        for heap in heaps {
            for _ in 0..slices * (32 << 10) / size {
                assert!(alloc(a, heap, size, 16).is_some());
                let (full, open) = a.filling.sums();
                assert!(open <= full / 2, "{open} are open and {full} are full");
            }
        }
    }
    a.check();
    let dense = a.arena.chunks().filter(|chunk| chunk.is_dense());
    dense.map(|chunk| chunk.free().count_zeros() as usize).sum()
}

#[test]
fn what_threads_fill_together_lies_on_huge_pages() {
    let a = open(Fake::new(SPACE, 4096));
    let alone = a.adopt().unwrap();
    assert_eq!(fill(&a, &[alone], 7), 0, "5 MiB, and no class has 256 KiB of it");
    let a = open(Fake::new(SPACE, 4096));
    let heaps = [(); 4].map(|()| a.adopt().unwrap());
    let dense = fill(&a, &heaps, 7);
    // The eighth slice of each is begun. 64 must be full, and 64 more are on small pages.
    assert!((500..=24 * 4 * 8 - 128).contains(&dense), "{dense}");
}

#[test]
fn what_is_given_back_is_not_counted() {
    let a = open(Fake::new(SPACE, 4096));
    let heaps = [(); 2].map(|()| a.adopt().unwrap());
    let mut held = Vec::new();
    for _ in 0..40_000 {
        for heap in heaps {
            held.push((heap, alloc(&a, heap, 200, 16).unwrap()));
        }
    }
    assert!(a.filling.sums().0 > 256, "16 MiB");
    for (heap, at) in held {
        free(&a, heap, at);
    }
    a.check();
    let (full, open) = a.filling.sums();
    assert!(full <= 2 * 4 && open <= 2, "{full} full, {open} open");
}
