//! An arena knows its blocks: they lie in a run of bytes of its own, below the
//! place where the next one goes.
//!
//! What lies beyond that place is a scope's, or nobody's. So an arena and its
//! open scope do not both own a block.
#![allow(unsafe_code)]

use super::{Bump, Home, Source, chunk};
use crate::Owns;
use core::alloc::Layout;
use core::ptr::NonNull;

// SAFETY: no two arenas have the same run of bytes, and a scope's part of one
// begins where its parent's ends.
unsafe impl<A: Source, const MIN_ALIGN: usize> Owns for Bump<A, MIN_ALIGN> {
    /// O(chunks): the current one is looked at first.
    #[inline]
    fn owns(&self, address: NonNull<u8>, _: Layout) -> bool {
        let current = self.current.get();
        let first_end = match (&self.home, current) {
            (_, None) => self.pos.get(),
            (Home::Root(root), Some(_)) => root.first_pos.get(),
            (Home::Parent(_), Some(_)) => self.first_end.get(),
        };
        let within = |start: NonNull<u8>, end: NonNull<u8>| start <= address && address < end;
        if current.is_some_and(|chunk| within(chunk.start(MIN_ALIGN), self.pos.get())) {
            return true;
        }
        within(self.begin, first_end)
            || chunk::list(self.chunks.get())
                .filter(|chunk| Some(*chunk) != current)
                .any(|chunk| within(chunk.start(MIN_ALIGN), chunk.tail().0))
    }
}
