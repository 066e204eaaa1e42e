//! Whether another span may lie on huge pages: how full those are that do.
//!
//! A heap that has filled some spans of a class will fill the next (`FILLED` in
//! `refill.rs`). Where threads fill a class together none of them gets that far, and
//! all they hold would be on small pages. So the process counts two sums over all
//! heaps and classes: slices of spans that were carved to their end, and slices of
//! spans on huge pages that were not yet. While the second is small beside the first,
//! whoever wants a span may have it on huge pages: what is lost there is bounded by
//! what is used.
//!
//! ```text
//!   fresh span, dense chunk --> Open --carved to the end--> Full --+
//!   fresh span, thin chunk  --------------- " ------------> Full --+--> given back
//! ```
//!
//! # Invariants
//!
//! * FL1. `open` and `full` are the slices of the spans that say so
//!   ([`Carving`]). Only a span's owner sets them, and whoever gives the
//!   span back reads them then for the last time.
//!
//! # Threads
//!
//! Both are figures that steer a choice: being late costs a page fault or a page.
//! They change once in a span's life each.
#![forbid(unsafe_code)]

use crate::size::SizeClass;
use crate::span::{Carving, Span};
use crate::sync::{AtomicUsize, Ordering};

/// Slices carved to their end from which on the process has threads that fill what they
/// take: two mebibytes, as much as is filled on small pages before there are others.
const PROVEN: usize = 64;
/// One slice may be on its way there for so many that have got there. A span is half carved
/// in the mean, so a quarter of what is full may lie idle on huge pages at the most.
const SHARE: usize = 2;

/// Slices of spans, in the whole process.
#[derive(Debug)]
pub(super) struct Filling {
    /// Carved to their end.
    full: AtomicUsize,
    /// On huge pages, and not carved to their end.
    open: AtomicUsize,
}

impl Filling {
    pub(super) const fn new() -> Self {
        Self { full: AtomicUsize::new(0), open: AtomicUsize::new(0) }
    }

    /// True when one more span of `class` may lie on huge pages.
    pub(super) fn may_open(&self, class: SizeClass) -> bool {
        let (full, open) = self.sums();
        full >= PROVEN && open + class.span_slices() <= full / SHARE
    }

    /// Slices carved to their end, and those on huge pages that are not.
    pub(super) fn sums(&self) -> (usize, usize) {
        // ORDERING: Relaxed on both, figures that steer a choice.
        let full = self.full.load(Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        (full, self.open.load(Ordering::Relaxed))
    }

    /// Hears of a fresh span on huge pages. The caller owns it.
    pub(super) fn open(&self, class: SizeClass, span: &Span) {
        span.set_carving(Carving::Open);
        // ORDERING: Relaxed, a figure.
        self.open.fetch_add(class.span_slices(), Ordering::Relaxed);
    }

    /// Hears of a span that is carved to its end. The caller owns it.
    #[inline]
    pub(super) fn fill(&self, class: SizeClass, span: &Span) {
        let was = span.carving();
        if was == Carving::Full {
            return;
        }
        span.set_carving(Carving::Full);
        self.forget(class, was);
        // ORDERING: Relaxed, a figure.
        self.full.fetch_add(class.span_slices(), Ordering::Relaxed);
    }

    /// Hears of a span that is about to be given back.
    pub(super) fn close(&self, class: SizeClass, span: &Span) {
        self.forget(class, span.carving());
    }

    fn forget(&self, class: SizeClass, was: Carving) {
        let sum = match was {
            Carving::Unknown => return,
            Carving::Open => &self.open,
            Carving::Full => &self.full,
        };
        // ORDERING: Relaxed, a figure.
        sum.fetch_sub(class.span_slices(), Ordering::Relaxed);
    }
}
