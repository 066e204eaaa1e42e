//! The table against its own definition, size by size.

use super::*;

#[test]
fn every_size_gets_the_smallest_class_that_holds_it() {
    for size in 1..=SMALL_MAX {
        let class = SizeClass::of_size(size);
        assert!(class.size() >= size, "{size} in {class:?}");
        let better = (1..FIRST_ODD).any(|i| SIZES[i] as usize >= size && (SIZES[i] as usize) < class.size());
        assert!(!better, "{size} could have less than {}", class.size());
    }
    assert_eq!(SizeClass::of_size(0), SizeClass::ZERO);
}

#[test]
fn layouts_of_low_alignment_use_the_odd_classes() {
    for size in 1..=TABLE_MAX {
        let class = SizeClass::of_layout(size, 8).unwrap();
        assert!(class.size() >= size && class.size().is_multiple_of(8));
        let better = (1..CLASSES).any(|i| SIZES[i] as usize >= size && (SIZES[i] as usize) < class.size());
        assert!(!better, "{size} could have less than {}", class.size());
    }
}

#[test]
fn every_alignment_is_kept_by_every_block() {
    for shift in 0..=15 {
        let align = 1usize << shift;
        for size in (1..=SMALL_MAX).step_by(7) {
            let class = SizeClass::of_layout(size, align).unwrap();
            assert!(class.size() >= size, "{size}/{align}");
            assert_eq!(class.size() % align, 0, "{size}/{align} in {}", class.size());
        }
    }
    assert_eq!(SizeClass::of_layout(64, SMALL_MAX * 2), None);
    assert_eq!(SizeClass::of_layout(SMALL_MAX + 1, 8), None);
}

#[test]
fn no_bytes_at_an_alignment_have_an_address() {
    for align in (5..=15).map(|shift| 1usize << shift) {
        for size in [0, 1, align - 1, align] {
            assert_eq!(SizeClass::of_aligned(size, align).map(SizeClass::size), Some(align), "{size}");
        }
    }
}

#[test]
fn exact_division_finds_starts_and_nothing_else() {
    for i in 1..CLASSES {
        let class = SizeClass::from_index(i);
        let span = class.span_slices() * SLICE;
        for offset in 0..span {
            let index = class.divide().block_index(offset);
            let is_start = offset % class.size() == 0 && offset / class.size() < class.capacity();
            for span_start in [0, span, 5 * span] {
                assert_eq!(class.can_start_at(span_start + offset), is_start, "{class:?} at {offset}");
            }
            if offset % class.size() == 0 {
                assert_eq!(index as usize, offset / class.size());
            } else {
                assert!(index as usize >= class.capacity(), "{class:?} at {offset}");
            }
        }
    }
}

#[test]
fn spans_lose_an_eighth_at_most_and_counts_fit_their_fields() {
    for i in 1..CLASSES {
        let class = SizeClass::from_index(i);
        let (span, used) = (class.span_slices() * SLICE, class.capacity() * class.size());
        assert!(class.capacity() >= 1 && span - used <= span / 8, "{class:?}");
        assert!(span / 2 % class.size() > span / 16 || class.span_slices() == 1, "{class:?}: half is enough");
        assert!(class.capacity() < 1 << 16);
        assert!(class.span_slices().is_power_of_two());
        assert!(class.room() >= 1);
    }
}

#[test]
fn the_table_has_every_layout_that_it_may_be_asked_for() {
    for align in (0..=16).map(|shift| 1usize << shift) {
        for size in 1..=TABLE_MAX + 1 {
            let place = SizeClass::place_in_table(size, align);
            assert_eq!(place < BY_8.len(), size <= TABLE_MAX && align <= TABLE_MAX);
            if place >= BY_8.len() {
                continue;
            }
            let class = SizeClass::of_layout(size, align).map(SizeClass::index);
            assert_eq!(Some(usize::from(BY_8[place])), class, "{size} bytes at a multiple of {align}");
        }
    }
}

#[test]
fn a_division_is_made_of_its_parts_again() {
    for class in (1..CLASSES).map(SizeClass::from_index) {
        let (inverse, shift) = class.divide().parts();
        let again = Divide::new(inverse, shift);
        assert_eq!(class.size().trailing_zeros(), shift);
        assert_eq!(again.block_index(3 * class.size()), 3, "{class:?}");
    }
}

#[test]
fn a_class_is_printed_by_its_number() {
    assert_eq!(std::format!("{:?}", SizeClass::from_index(7)), "c7");
}

#[test]
fn samples_of_all_classes_have_blocks_of_a_few() {
    let mut few = std::collections::BTreeSet::new();
    for class in (1..CLASSES).map(SizeClass::from_index) {
        let (size, block) = (class.size(), class.for_sample());
        few.insert(block.size());
        assert!(block.size() >= size && block.for_sample() == block, "{class:?}");
        assert!(size <= 1024 || block.size() < 2 * size, "{class:?}");
        assert!(block.size().trailing_zeros() >= size.trailing_zeros(), "{class:?}");
    }
    let few: std::vec::Vec<_> = few.into_iter().collect();
    assert_eq!(few, [64, 256, 1024, 2048, 4096, 6144, 8192, 12288, 16384, 24576, 32768]);
}

#[test]
fn lists_and_batches_are_bounded_in_bytes_and_in_blocks() {
    let of = |size: usize| {
        let class = SizeClass::of_size(size);
        assert_eq!(class.size(), size);
        (class.room(), class.batch())
    };
    for size in [16, 64, 128] {
        assert_eq!(of(size), (64, 32), "{size}");
    }
    let sizes = [144, 256, 1024, 1152, 2048, 4096, 8192];
    assert_eq!(sizes.map(|size| of(size).0), [56, 32, 8, 7, 4, 4, 4]);
    assert_eq!(sizes.map(|size| of(size).1), [28, 16, 4, 3, 2, 1, 1]);
    assert_eq!([10240, 12288, 16384, 20480, 32768].map(of), [(3, 1), (2, 1), (2, 1), (2, 1), (2, 1)]);
}

/// Whoever sends a list home counts no further than a span is long.
#[test]
fn what_the_front_holds_of_a_class_is_no_more_than_a_span_has() {
    for c in 1..CLASSES {
        let class = SizeClass::from_index(c);
        // At the last free there is room for, the list goes home.
        assert!(usize::from(class.room()) <= class.capacity() + 1, "{} bytes", class.size());
    }
}

/// What is lost of a block, in the mean of the sizes, each with a weight.
fn waste(sizes: impl Iterator<Item = (usize, f64)>, block: impl Fn(usize) -> usize) -> f64 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (size, weight) in sizes {
        sum += weight * (block(size) - size) as f64 / block(size) as f64;
        weights += weight;
    }
    sum / weights
}

#[test]
fn what_is_wasted_is_what_the_documents_say() {
    // Evenly over their logarithm: each size weighs as much as there are of its like.
    let even = || (64..=1024).map(|size| (size, 1.0 / size as f64));
    let c = waste(even(), |size| SizeClass::of_size(size).size());
    let rust = waste(even(), |size| SizeClass::of_layout(size, 8).unwrap().size());
    let four = waste(even(), |size| size.next_multiple_of(size.next_power_of_two() / 8));
    let percent = [c, rust, four].map(|part| (part * 1000.0).round() / 10.0);
    assert_eq!(percent, [5.1, 4.1, 8.2], "the essay of `size.rs`");
    let own = waste((8..=256).step_by(8).map(|size| (size, 1.0)), |size| {
        SizeClass::of_layout(size, 8).unwrap().size()
    });
    assert_eq!((own * 100.0).round(), 1.0, "README.md: {own}");
}
