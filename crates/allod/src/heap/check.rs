//! Are the invariants true? For tests, for the fuzzer, and for builds that look at
//! themselves (`cfg(audit)`, `report/audit.rs`).
//!
//! A fault ends in a panic, which names the invariant: the code that serves programs
//! has nothing of this file.
//!
//! Two looks. [`Allocator::check`] wants the allocator to itself and sees everything.
//! [`Allocator::check_own`] may be called while other threads run, and sees what one
//! heap owns: under the heap's lock nobody else changes its lists, and strangers only
//! ever add to the words of its spans.
#![allow(unsafe_code)]

use super::{Allocator, Heap};
use crate::os::Os;
use crate::size::{CLASSES, SizeClass};
use crate::span::{Carving, Span};
use crate::span::word::State;

impl<O: Os> Allocator<O> {
    /// Tests every span's invariants and that the sums agree.
    pub(crate) fn check(&self) {
        let (mut active, mut full, mut open) = (0, 0, 0);
        for chunk in self.arena.chunks() {
            let free = chunk.free();
            let mut covered = 0u64;
            for (i, span) in chunk.spans().iter().enumerate() {
                if free >> i & 1 == 1 || covered >> i & 1 == 1 {
                    continue;
                }
                let state = span.word.load().state();
                let waits = self.harden.runs.holds(span);
                assert!(state != State::Free || waits, "slice {i} is nobody's and not free");
                assert_eq!(span.back(), 0, "S5: slice {i}");
                assert_eq!(span.base(), chunk.slice(i as u32).as_ptr());
                for k in 0..span.slices() {
                    assert_eq!(free >> (i + k) & 1, 0, "a slice of a span is free");
                    assert_eq!(chunk.span(i + k).back() as usize, k, "S5");
                    covered |= 1 << (i + k);
                }
                if state == State::Hard {
                    self.harden.check(span);
                }
                if state == State::Owned
                    && let Err(what) = span.check()
                {
                    panic!("{what} in {span:?}");
                }
                active += span.slices() * crate::units::SLICE;
                match span.carving() {
                    Carving::Unknown => {}
                    Carving::Open => open += span.slices(),
                    Carving::Full => full += span.slices(),
                }
            }
        }
        assert_eq!(active, self.arena.active.get(), "the sum of spans is what is active");
        assert_eq!((full, open), self.filling.sums(), "FL1");
        self.heaps().for_each(|heap| check_bins(heap, |_| {}));
    }

    /// Tests what the calling thread's heap owns, while others run. Does nothing where
    /// the heap's lock is held: somebody is at work in it.
    #[cfg(any(test, audit))]
    pub(crate) fn check_own(&self, heap: &Heap) {
        let Some(_guard) = heap.lock.try_lock() else { return };
        check_bins(heap, |span| {
            if let Err(what) = span.check() {
                panic!("{what} in {span:?}");
            }
        });
    }

    /// True when nobody holds a lock: no slow path is under way below the caller.
    #[cfg(audit)]
    pub(crate) fn is_quiet(&self) -> bool {
        let is_free = |lock: &crate::sync::Lock| lock.try_lock().is_some();
        self.heaps().all(|heap| is_free(&heap.lock)) && self.hard_locks().all(is_free)
    }
}

/// Tests the lists of a heap's spans, and calls `also` with each of them. The heap's
/// lock is held, or the caller has the allocator to itself.
fn check_bins(heap: &Heap, also: impl Fn(&Span)) {
    for c in 1..CLASSES {
        let bin = heap.bin(SizeClass::from_index(c));
        let (mut at, mut count) = (bin.first.get(), 0);
        // SAFETY: null, or a span of the heap's: records are never unmapped (M4).
        while let Some(span) = unsafe { at.as_ref() } {
            assert!(span.is_listed() && span.word.load().state() == State::Owned);
            assert_eq!(span.word.load().key(), heap.key.get(), "W1");
            also(span);
            count += 1;
            at = span.next();
        }
        assert_eq!(count, bin.count.get(), "a bin's list has its count");
    }
}
