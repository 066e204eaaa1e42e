//! The page before a huge object, which nobody can touch.
//!
//! At the hardened levels a write before the start of a huge object shall fault on a page
//! that is there for that, not in a hole that anybody's mapping may fill. The page is
//! reserved by its address, when the object has its own; where somebody has it already
//! it is his, and the object has none. Its length stands in the record.
#![allow(unsafe_code)]

use super::{Huge, HugeObjects};
use crate::arena::Arena;
use crate::os::Os;
use crate::sync::Ordering;
use core::ptr::NonNull;

impl HugeObjects {
    /// Reserves the page before an object at `base`, at the hardened levels, if nobody
    /// has it. Returns its length.
    pub(super) fn take_front<O: Os>(&self, arena: &Arena<O>, base: NonNull<u8>) -> usize {
        let page = arena.kernel.page_size();
        // ORDERING: Relaxed, an option.
        if !self.quarantine.load(Ordering::Relaxed) {
            return 0;
        }
        let place = base.addr().get() - page;
        match arena.kernel.reserve(page, place) {
            Some(front) if front.addr().get() == place => {
                // ORDERING: Relaxed, a hint that the system may ignore.
                self.hint.store(place, Ordering::Relaxed);
                page
            }
            Some(elsewhere) => {
                // SAFETY: just reserved, and nobody knows of it.
                unsafe { arena.kernel.release(elsewhere, page) };
                0
            }
            None => 0,
        }
    }

    /// Gives the page before an object at `base` back.
    pub(super) fn give_front<O: Os>(&self, arena: &Arena<O>, huge: &Huge, base: NonNull<u8>) {
        let len = huge.front.replace(0);
        if len != 0 {
            // SAFETY: `take_front` has reserved what is before the object.
            let front = unsafe { base.sub(len) };
            // SAFETY: as above, and nobody else knows of it.
            unsafe { arena.kernel.release(front, len) };
        }
    }
}
