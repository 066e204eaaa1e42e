//! A stack that any thread may push to and pop from, without a lock.
//!
//! The nodes are not ours: they are spans, named by the number of their first
//! slice, and each keeps one number for us, the node below it. Records of spans
//! are never unmapped, so following a stale number reads an old value and never
//! faults; the tag in the head makes sure that the swap after it fails.
//!
//! ```text
//!   63             34 33                      0
//!   +----------------+------------------------+
//!   | tag: pops ever | number of the top node |   0: empty
//!   +----------------+------------------------+
//! ```
//!
//! # Invariants
//!
//! * DS1. A node is on at most one stack, and once.
//! * DS2. Only the thread that popped a node, or has not pushed it yet, writes
//!   its number for us.
//! * DS3. The tag changes with every pop. A popper that saw a head, was away
//!   for a while, and finds the same head has missed no pop, unless 2^30 of
//!   them happened in between.
#![cfg_attr(not(test), forbid(unsafe_code))]

use crate::sync::{AtomicU64, Ordering};

/// Bits for a node's number: a slice of a 48-bit address space.
const NUMBER_BITS: u32 = 34;
const NUMBER: u64 = (1 << NUMBER_BITS) - 1;

/// Where the nodes keep the number of the one below.
pub(crate) trait Links {
    fn below(&self, node: u64) -> u64;
    fn set_below(&self, node: u64, below: u64);
}

/// The head of a stack.
#[derive(Debug)]
pub(crate) struct Stack(AtomicU64);

impl Stack {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// True when there was nothing a moment ago.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // ORDERING: Relaxed, a hint that saves an exchange.
        self.0.load(Ordering::Relaxed) & NUMBER == 0
    }

    /// Puts `node` on top. Its number is not 0.
    pub(crate) fn push(&self, links: &impl Links, node: u64) {
        // ORDERING: Relaxed, we only link to the head and never look inside it.
        let mut head = self.0.load(Ordering::Relaxed);
        loop {
            links.set_below(node, head & NUMBER);
            let new = head & !NUMBER | node;
            // ORDERING: Release on success: the link, and what the pusher did to the
            // node, are visible to who pops it. Relaxed on failure, as above.
            match self.0.compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }

    /// Takes the top node.
    pub(crate) fn pop(&self, links: &impl Links) -> Option<u64> {
        // ORDERING: Acquire pairs with the Release in `push`: the link that we read
        // next is the one that was stored before this head.
        let mut head = self.0.load(Ordering::Acquire);
        loop {
            let node = head & NUMBER;
            if node == 0 {
                return None;
            }
            let below = links.below(node);
            let tag = (head >> NUMBER_BITS).wrapping_add(1);
            let new = tag << NUMBER_BITS | below & NUMBER;
            // ORDERING: Relaxed on success: what the pusher did is behind us since the
            // head was read. Acquire on failure, as for the load: the link of the head
            // seen then is read next. The tag makes the exchange fail when `below` was
            // read from a node that was popped since (DS3).
            match self.0.compare_exchange_weak(head, new, Ordering::Relaxed, Ordering::Acquire) {
                Ok(_) => return Some(node),
                Err(seen) => head = seen,
            }
        }
    }
}

#[cfg(test)]
#[path = "stack/tests.rs"]
mod tests;
