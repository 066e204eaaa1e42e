//! Scopes and checkpoints: freeing what came last, in safe code and in unsafe.
#![allow(unsafe_code)]

use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;

use super::chunk::Link;
use super::source::Source;
use super::{Bump, Home};
#[cfg(feature = "alloc")]
use crate::Global;

/// The struct, with a default for the base where there is one.
macro_rules! scope {
    ($($default:tt)*) => {
        /// A part of an arena that is freed when it is dropped. It is an arena
        /// itself; scopes nest, to any depth, and all have this one type.
        ///
        /// ```
        /// use allod_kit::Bump;
        ///
        /// let arena = Bump::new();
        /// let kept = arena.alloc(1);
        /// let room = arena.room();
        /// {
        ///     let scope = arena.scope();
        ///     let x = scope.alloc([0_u64; 4]);
        ///     let inner = scope.scope();
        ///     x[0] = *inner.alloc(2);
        ///     *kept += x[0]; // what is outside stays in use
        /// }
        /// assert_eq!((*kept, arena.room()), (3, room));
        /// ```
        ///
        /// What is outside may even *grow* while a scope is open: see the
        /// drawing in the source.
        ///
        /// ```
        /// use allod_kit::{Bump, bump::Vec};
        ///
        /// let arena = Bump::new();
        /// let mut longest = Vec::new_in(&arena);
        /// for word in ["a", "bump", "arena"] {
        ///     let scope = arena.scope();
        ///     let shout = scope.alloc_fmt(format_args!("{word}!"));
        ///     longest.push(shout.len());
        /// }
        /// assert_eq!(longest, [2, 5, 6]);
        /// ```
        ///
        /// Nothing can leave it:
        ///
        /// ```compile_fail,E0597
        /// # use allod_kit::Bump;
        /// let arena = Bump::new();
        /// let leaked = {
        ///     let scope = arena.scope();
        ///     scope.alloc(1)
        /// };
        /// *leaked += 1;
        /// ```
        ///
        /// ```compile_fail,E0505
        /// # use allod_kit::Bump;
        /// let arena = Bump::new();
        /// let scope = arena.scope();
        /// let leaked = scope.alloc(1);
        /// drop(scope);
        /// *leaked += 1;
        /// ```
        ///
        /// and it does not outlive its arena:
        ///
        /// ```compile_fail,E0505
        /// # use allod_kit::Bump;
        /// let arena = Bump::new();
        /// let scope = arena.scope();
        /// drop(arena);
        /// scope.alloc(1);
        /// ```
        ///
        /// not even to be dropped:
        ///
        /// ```compile_fail,E0597
        /// # use allod_kit::Bump;
        /// let scope;
        /// let arena = Bump::new();
        /// scope = arena.scope();
        /// ```
        ///
        /// nor does it go on when that is reset:
        ///
        /// ```compile_fail,E0502
        /// # use allod_kit::Bump;
        /// let mut arena = Bump::new();
        /// let scope = arena.scope();
        /// arena.reset();
        /// scope.alloc(1);
        /// ```
        ///
        /// # What it costs
        ///
        /// To open: the arena's tail is handed over. To close: it is handed back.
        /// A dozen instructions for each, and no loop. If the scope needed
        /// more than the tail, the largest of its chunks goes to the parent for
        /// the next scope, and the others back to where they came from.
        ///
        /// The parent that allocates beside an open scope does so in another
        /// chunk. That is cheap once, and not in a recursion where every level
        /// does it: there, close the scope before the result is made.
        ///
        /// As an allocator a scope is `&*scope`, which is a `&Bump`.
        ///
        /// A scope that is forgotten (`mem::forget`) keeps its bytes until the
        /// arena is reset, and its chunks for ever. That is a leak, and safe.
        ///
        /// # When not to use it
        ///
        /// Where a value must move out of a scope to its parent: allocate it in
        /// the parent, which is open for it all the time.
        pub struct Scope<'p, A: Source $($default)*, const MIN_ALIGN: usize = 1> {
            arena: Bump<A, MIN_ALIGN>,
            /// The parent stays where it is, and is not reset. Not `Send`, as
            /// the parent is not `Sync`.
            parent: PhantomData<&'p Bump<A, MIN_ALIGN>>,
        }
    };
}

#[cfg(feature = "alloc")]
scope!(= Global);
#[cfg(not(feature = "alloc"))]
scope!();

impl<A: Source, const MIN_ALIGN: usize> Deref for Scope<'_, A, MIN_ALIGN> {
    type Target = Bump<A, MIN_ALIGN>;

    #[inline]
    fn deref(&self) -> &Bump<A, MIN_ALIGN> {
        &self.arena
    }
}

// The scope's own, and not its arena's: so the compiler knows that the parent is
// used here, and has to be alive.
impl<A: Source, const MIN_ALIGN: usize> Drop for Scope<'_, A, MIN_ALIGN> {
    #[inline]
    fn drop(&mut self) {
        self.arena.close();
    }
}

impl<A: Source, const MIN_ALIGN: usize> fmt::Debug for Scope<'_, A, MIN_ALIGN> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scope").field(&self.arena).finish()
    }
}

/// A place in an arena, to go back to.
///
/// Three words. [`Bump::checkpoint`] makes one.
#[derive(Clone, Copy)]
pub struct Checkpoint {
    pub(super) pos: NonNull<u8>,
    pub(super) current: Option<Link>,
    pub(super) newest: Option<Link>,
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Checkpoint").field(&self.pos).finish()
    }
}

impl<A: Source, const MIN_ALIGN: usize> Bump<A, MIN_ALIGN> {
    /// Opens a [scope](Scope): what is allocated in it is freed with it. O(1).
    #[inline]
    #[must_use = "the scope closes when it is dropped"]
    pub fn scope(&self) -> Scope<'_, A, MIN_ALIGN> {
        let (pos, end) = (self.pos.get(), self.end.get());
        // B4: from here on our tail is empty, and ends where the scope begins.
        self.end.set(pos);
        Scope {
            arena: Bump {
                pos: Cell::new(pos),
                end: Cell::new(end),
                begin: pos,
                first_end: Cell::new(pos),
                current: Cell::new(None),
                other: Cell::new(None),
                chunks: Cell::new(None),
                home: Home::Parent(NonNull::from_ref(self)),
            },
            parent: PhantomData,
        }
    }

    /// Remembers how much is allocated now. Two loads.
    ///
    /// Prefer a [`scope`](Bump::scope), which needs no unsafe code. This is for
    /// an interpreter or a parser whose stack of marks is data of its own.
    #[inline]
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { pos: self.pos.get(), current: self.current.get(), newest: self.chunks.get() }
    }

    /// Frees everything allocated since the checkpoint. O(1) in the same chunk;
    /// otherwise O(chunks since then), of which the largest is kept.
    ///
    /// ```
    /// use allod_kit::Bump;
    ///
    /// let arena = Bump::new();
    /// let below = arena.alloc(1);
    /// let mark = arena.checkpoint();
    /// let room = arena.room();
    /// arena.alloc([0_u8; 100]);
    /// // SAFETY: the array is not used again.
    /// unsafe { arena.rewind(mark) };
    /// assert_eq!((arena.room(), *below), (room, 1));
    /// ```
    ///
    /// # Safety
    ///
    /// The mark is of this arena, which has not been reset, or rewound to an
    /// older mark, since. Nothing that was allocated since is used again, and no
    /// scope that was opened since is still open. No block from before has grown
    /// since.
    #[inline]
    pub unsafe fn rewind(&self, mark: Checkpoint) {
        if self.current.get() == mark.current {
            self.pos.set(mark.pos);
        } else {
            self.rewind_elsewhere(mark);
        }
    }
}
