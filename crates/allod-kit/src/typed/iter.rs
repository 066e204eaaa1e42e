//! All values of a typed arena, when nobody else has them.
#![allow(unsafe_code)]

use core::fmt;
use core::iter::FusedIterator;
use core::ptr::NonNull;

use super::{Chunks, Head, TypedArena, places};
use crate::Allocator;

/// Chunk after chunk: the values that are left in this one, and the next.
struct Walk {
    next: Option<NonNull<Head>>,
    chunk: NonNull<Head>,
    at: usize,
    count: usize,
}

impl Walk {
    /// From the first value on. Nobody puts any in while it goes on.
    fn new<T, A: Allocator>(arena: &TypedArena<T, A>) -> Self {
        let it = &arena.chunks;
        // Values without a size have no chunk, and are in none.
        let count = if size_of::<T>() == 0 { it.used.get() } else { 0 };
        Self { next: it.first.get(), chunk: NonNull::dangling(), at: 0, count }
    }

    fn next<T, A: Allocator>(&mut self, chunks: &Chunks<A>) -> Option<NonNull<T>> {
        while self.at == self.count {
            self.chunk = self.next?;
            self.at = 0;
            self.count = chunks.count(self.chunk);
            // SAFETY: heads on the list live as long as the chunks.
            self.next = unsafe { self.chunk.as_ref() }.next.get();
        }
        // SAFETY: the chunk is one of this type, or there is none and no size.
        let first = unsafe { places::<T>(self.chunk) };
        // SAFETY: it is below the chunk's count.
        let place = unsafe { first.add(self.at) };
        self.at += 1;
        Some(place)
    }
}

impl<T, A: Allocator> TypedArena<T, A> {
    /// All values: in the order in which they came, as long as no function that makes
    /// some has used the arena. O(1) each.
    ///
    /// ```
    /// use allod_kit::{Global, TypedArena};
    ///
    /// let mut arena = TypedArena::new(Global);
    /// for word in ["one", "two"] {
    ///     arena.alloc(String::from(word));
    /// }
    /// arena.iter_mut().for_each(|word| word.push('!'));
    /// assert!(arena.into_iter().eq(["one!", "two!"]));
    /// ```
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> + use<'_, T, A> {
        let mut walk = Walk::new(self);
        let arena = self;
        core::iter::from_fn(move || {
            let place = walk.next::<T, A>(&arena.chunks);
            // SAFETY: it is initialised (T1), given out once, and nobody else has it,
            // because the arena is borrowed alone.
            place.map(|mut place| unsafe { place.as_mut() })
        })
    }
}

/// A typed arena's values, by value: see [`TypedArena`]. The arena and four words; the
/// chunks go back with it.
pub struct TypedIntoIter<T, A: Allocator> {
    walk: Walk,
    arena: TypedArena<T, A>,
}

impl<T, A: Allocator> IntoIterator for TypedArena<T, A> {
    type Item = T;
    type IntoIter = TypedIntoIter<T, A>;

    fn into_iter(mut self) -> TypedIntoIter<T, A> {
        /// What the arena drops then: nothing. The iterator does.
        unsafe fn none(_: NonNull<Head>, _: usize) {}
        let walk = Walk::new(&self);
        self.chunks.drop_values = none;
        TypedIntoIter { walk, arena: self }
    }
}

impl<T, A: Allocator> Iterator for TypedIntoIter<T, A> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        let place = self.walk.next::<T, A>(&self.arena.chunks);
        // SAFETY: it is initialised (T1), and not looked at again.
        place.map(|place| unsafe { place.read() })
    }
}

impl<T, A: Allocator> Drop for TypedIntoIter<T, A> {
    fn drop(&mut self) {
        // If a drop panics, the rest is leaked: the memory goes back all the same.
        self.for_each(drop);
    }
}

impl<T, A: Allocator> FusedIterator for TypedIntoIter<T, A> {}

impl<T, A: Allocator> fmt::Debug for TypedIntoIter<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedIntoIter").finish_non_exhaustive()
    }
}
