//! The depot: spans that have free blocks and no owner.
//!
//! A span that its owner has filled is nobody's business until strangers have
//! freed an eighth of it. Then the stranger who frees the last of that eighth
//! puts it here, and the next heap that needs the class takes it, whichever
//! thread that is. So no memory waits for a thread that sleeps.
//!
//! One stack for each class. A span whose last block comes home while it lies
//! here is *buried*: it cannot be pulled out of the middle of a stack, so it is
//! counted, and whoever is about to touch new memory digs first
//! (`Allocator::dig` in `heap/refill.rs`).
#![allow(unsafe_code)]

pub(crate) mod stack;

use crate::size::{CLASSES, SizeClass};
use crate::span::Span;
use crate::sync::{AtomicUsize, Ordering, Padded};
use crate::units::SLICE_SHIFT;
use core::ptr::NonNull;
use stack::{Links, Stack};

/// How to find the record of a span from the number of its first slice.
pub(crate) trait Records {
    /// The span whose first slice has this number.
    fn span(&self, number: u64) -> Option<NonNull<Span>>;
}

/// The stacks.
#[derive(Debug)]
pub(crate) struct Depot {
    stacks: [Padded<Stack>; CLASSES],
    buried: AtomicUsize,
}

/// The stack's links, kept in the records of the spans.
pub(crate) struct Below<'a, R>(pub(crate) &'a R);

impl<R: Records> Links for Below<'_, R> {
    fn below(&self, node: u64) -> u64 {
        match self.0.span(node) {
            // SAFETY: records of spans are never unmapped (M4).
            Some(span) => unsafe { span.as_ref() }.below() as u64,
            None => 0,
        }
    }

    fn set_below(&self, node: u64, below: u64) {
        if let Some(span) = self.0.span(node) {
            // SAFETY: as above.
            unsafe { span.as_ref() }.set_below(below as usize);
        }
    }
}

impl Depot {
    pub(crate) const fn new() -> Self {
        Self { stacks: [const { Padded(Stack::new()) }; CLASSES], buried: AtomicUsize::new(0) }
    }

    fn stack(&self, class: SizeClass) -> &Stack {
        let [first, ..] = &self.stacks;
        &self.stacks.get(class.index()).unwrap_or(first).0
    }

    /// Puts a span in. Its state is SHARED and its taker-out will find it so, or BURIED.
    pub(crate) fn put(&self, records: &impl Records, class: SizeClass, span: &Span) {
        self.stack(class).push(&Below(records), (span.base().addr() >> SLICE_SHIFT) as u64);
    }

    /// Takes a span out. The caller claims it or puts it back (W3).
    pub(crate) fn take(&self, records: &impl Records, class: SizeClass) -> Option<NonNull<Span>> {
        let stack = self.stack(class);
        if stack.is_empty() {
            return None;
        }
        stack.pop(&Below(records)).and_then(|number| records.span(number))
    }

    /// A span in here has become empty.
    pub(crate) fn bury(&self) {
        // ORDERING: Relaxed, a hint that digging is worth while.
        self.buried.fetch_add(1, Ordering::Relaxed);
    }

    /// A buried span was taken out.
    pub(crate) fn unbury(&self) {
        // ORDERING: Relaxed, as in `bury`.
        self.buried.fetch_sub(1, Ordering::Relaxed);
    }

    /// Empty spans in here, more or less.
    pub(crate) fn buried(&self) -> usize {
        // ORDERING: Relaxed, a hint.
        self.buried.load(Ordering::Relaxed)
    }

    /// Empties the stacks without looking at what is in them: for the child of
    /// a fork, which fills them again from the records.
    pub(crate) fn forget(&self, records: &impl Records) {
        for i in 1..CLASSES {
            while self.take(records, SizeClass::from_index(i)).is_some() {}
        }
        // ORDERING: Relaxed, as in `bury`.
        self.buried.store(0, Ordering::Relaxed);
    }
}
