//! Bump arenas: allocation by moving one pointer, and freeing all at once.
//!
//! ```text
//!                     pos                    end
//!    +---+---+---------+----------------------+
//!    | a | b |    c    |         free         |     the current chunk
//!    +---+---+---------+----------------------+
//!                      |-> a block of n bytes ends here, if that is not past `end`
//! ```
//!
//! Blocks are cut from the front of a run of free bytes, the *tail*. When the
//! tail is too short the arena goes on in another chunk. A block is given back
//! by itself only if it is the last one, and only the last one grows in place.
//! Everything else goes when the arena goes, or its scope.
//!
//! # Scopes
//!
//! A scope is a second arena that is *lent the tail* of the first. So both can
//! be used at the same time, in any order: the first finds no room where it
//! was, and goes on in another chunk. Closing the scope gives the tail back,
//! and nothing moves.
//!
//! ```text
//!    the arena                the scope that it opened
//!    |--- pos = end           |--- pos ------------- end
//!    v                        v                       v
//!    +---+---+---------+------+-----------------------+
//!    | a | b |    c    |  d   |                       |
//!    +---+---+---------+------+-----------------------+
//!                      ^ begin
//! ```
//!
//! # Two chunks in use
//!
//! The arena that goes on elsewhere remembers the chunk with the most room that
//! it has left behind, the *other*, and looks there before it takes a new one.
//! So an arena that grows while scopes come and go swings between two chunks,
//! and does not take one for each scope. A scope that needed chunks of its own
//! leaves the largest to its parent, for the next scope.
//!
//! # Invariants
//!
//! * B1. `pos <= end <= usize::MAX - REACH`, `pos` is a multiple of the minimum
//!   alignment, and both have the provenance of what they lie in: the current
//!   chunk, or the arena's *first* run of bytes (a buffer, or a parent's tail),
//!   or nothing.
//! * B2. No live block and no scope's tail overlaps the bytes from `pos` to
//!   `end`, or those between the two marks of a chunk that is not current.
//! * B3. The current chunk and the other are on the arena's list, and are two.
//! * B4. A tail that was lent begins where its lender's `end` was at the time.
//!   It is joined again only to an `end` that is still there.
//!
//! # What is where
//!
//! | file | what is in it |
//! |---|---|
//! | `bump/fit.rs` | where a block goes: integers only |
//! | `bump/source.rs` | buffers and allocators, as one |
//! | `bump/chunk.rs` | chunks and their headers |
//! | `bump/grow.rs` | what happens when the tail is too short; reset, scopes, marks |
//! | `bump/values.rs` | values, slices and strings in the arena |
//! | `bump/allocator.rs` | the arena as an allocator |
//! | `bump/boxed.rs`, `vec.rs`, `string.rs` | owners, by which values are dropped |
//! | `bump/pool.rs` | arenas for threads |
#![allow(unsafe_code)]

mod allocator;
mod boxed;
mod chunk;
mod fit;
mod grow;
mod owns;
// It wants atomics that can exchange: a Cortex-M0 has none.
#[cfg(any(target_has_atomic = "8", feature = "portable-atomic"))]
mod pool;
mod scope;
mod source;
mod string;
#[cfg(test)]
mod tests;
mod values;
mod vec;

use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

#[cfg(feature = "alloc")]
use crate::Global;
use crate::{AllocError, addr};
use chunk::Link;
use fit::{Fit, REACH, SMALL};

pub use boxed::Box;
#[cfg(any(target_has_atomic = "8", feature = "portable-atomic"))]
pub use pool::{BumpPool, PoolGuard};
pub use scope::{Checkpoint, Scope};
pub use source::{Buffer, Nothing, Source};
pub use string::{String, StringDrain};
pub use vec::{Drain, ExtractIf, IntoIter, Vec};

/// The struct, with a default for the base where there is one.
macro_rules! bump {
    ($($default:tt)*) => {
        /// An arena: it allocates by moving a pointer, and frees everything at once.
        ///
        /// ```
        /// use allod_kit::Bump;
        ///
        /// let arena = Bump::new();
        /// let x = arena.alloc(7_u64);
        /// let name = arena.alloc_str("seven");
        /// *x += 1;
        /// assert_eq!((*x, &*name), (8, "seven"));
        /// ```
        ///
        /// Values live as long as the arena is borrowed:
        ///
        /// ```compile_fail,E0505
        /// # use allod_kit::Bump;
        /// let arena = Bump::new();
        /// let x = arena.alloc(7);
        /// drop(arena);
        /// *x += 1;
        /// ```
        ///
        /// and nobody would drop one that needs it, so such a value is refused
        /// when it is compiled. [`alloc_box`](Bump::alloc_box) takes it, and
        /// gives a [`Box`], which drops it.
        ///
        /// ```compile_fail,E0080
        /// # use allod_kit::Bump;
        /// let arena = Bump::new();
        /// arena.alloc(std::string::String::from("seven"));
        /// ```
        ///
        /// # Where the memory comes from
        ///
        /// | made by | memory |
        /// |---|---|
        /// | `Bump::new` | the global allocator (feature `alloc`) |
        /// | [`Bump::new_in`] | any [`Allocator`](crate::Allocator) |
        /// | [`Bump::on`] | a buffer of yours, and no other |
        /// | [`Bump::on_and_then`] | a buffer of yours, then an allocator |
        ///
        /// Chunks double: an arena of n bytes has asked for about log n of them.
        ///
        /// # As an allocator
        ///
        /// `&Bump` is an [`Allocator`](crate::Allocator), for the collections of
        /// this module and of others. `Bump` itself is not: a collection that
        /// owned it would hand out `&mut Bump`, and with it
        /// [`reset`](Bump::reset).
        ///
        /// # What it costs
        ///
        /// *Time.* O(1), but for taking a chunk. A `u64` is six instructions and
        /// the store. *Memory.* 32 bytes a chunk, the padding for alignment,
        /// and the tails of chunks that were too short; the arena itself is 10
        /// words.
        ///
        /// # When not to use it
        ///
        /// When values die in no order, and there are always some: the arena
        /// only grows. Use a [pool](crate#) or a heap. When threads share it: it
        /// is `Send` and not `Sync`; see [`BumpPool`].
        ///
        /// # Minimum alignment
        ///
        /// With a `MIN_ALIGN` above 1 every size is rounded up to it, and blocks
        /// that want no more of alignment than that need no padding: two
        /// instructions fewer for each, and up to `MIN_ALIGN - 1` bytes more.
        ///
        /// Source: D. R. Hanson, *Fast allocation and deallocation of memory
        /// based on object lifetimes*, 1990.
        #[doc(alias = "arena")]
        pub struct Bump<A: Source $($default)*, const MIN_ALIGN: usize = 1> {
            pos: Cell<NonNull<u8>>,
            end: Cell<NonNull<u8>>,
            /// The start of the first run of bytes, which has no header: a
            /// buffer, or a parent's tail.
            begin: NonNull<u8>,
            /// The end of the first run, while it is not current.
            first_end: Cell<NonNull<u8>>,
            /// The chunk that is allocated from; none for the first run.
            current: Cell<Option<Link>>,
            /// The roomiest chunk that was left.
            other: Cell<Option<Link>>,
            /// Every chunk, the newest first.
            chunks: Cell<Option<Link>>,
            home: Home<A, MIN_ALIGN>,
        }
    };
}

#[cfg(feature = "alloc")]
bump!(= Global);
#[cfg(not(feature = "alloc"))]
bump!();

/// Where an arena's chunks come from.
enum Home<A: Source, const MIN_ALIGN: usize> {
    Root(Root<A>),
    /// The arena that lent us its tail. It outlives us: see [`Scope`].
    Parent(NonNull<Bump<A, MIN_ALIGN>>),
}

struct Root<A> {
    source: A,
    /// How far the first run was used when it was left.
    first_pos: Cell<NonNull<u8>>,
    /// The most bytes that chunks may have together.
    limit: Cell<usize>,
    /// The bytes that they have: this arena's and its scopes'.
    reserved: Cell<usize>,
}

// SAFETY: an arena owns its chunks, and they come from a source that may be
// sent. A scope has a parent that is not ours to send, but is only reached
// through `Scope`, which is not `Send`.
unsafe impl<A: Source + Send, const MIN_ALIGN: usize> Send for Bump<A, MIN_ALIGN> {}

#[cfg(feature = "alloc")]
impl Bump {
    /// An arena over the global allocator. It takes its first chunk, of 512
    /// bytes, when it is first needed.
    #[must_use]
    pub const fn new() -> Self {
        Bump::new_in(Global)
    }

    /// An arena over the global allocator with room for `bytes` at once.
    ///
    /// # Errors
    ///
    /// There is no memory.
    pub fn try_with_capacity(bytes: usize) -> Result<Self, AllocError> {
        let arena = Bump::new();
        arena.try_reserve(bytes)?;
        Ok(arena)
    }
}

#[cfg(feature = "alloc")]
impl Default for Bump {
    fn default() -> Self {
        Bump::new()
    }
}

impl<A: Source> Bump<A> {
    /// An arena over any allocator.
    ///
    /// ```
    /// use allod_kit::{Bump, Global};
    ///
    /// let outer = Bump::new();
    /// let inner = Bump::new_in(&outer);
    /// let x = inner.alloc(1);
    /// assert_eq!(*x, 1);
    /// ```
    #[must_use]
    pub const fn new_in(source: A) -> Self {
        Bump::with_min_align_in(source)
    }
}

impl<'b> Bump<Buffer<'b>> {
    /// An arena on a buffer, such as an array on the stack. It has no chunks and
    /// never grows; an allocation in it is a move of a pointer and a compare.
    ///
    /// ```
    /// use allod_kit::Bump;
    /// use core::mem::MaybeUninit;
    ///
    /// let mut bytes = [MaybeUninit::uninit(); 64];
    /// let arena = Bump::on(&mut bytes);
    /// assert!(arena.try_alloc([0_u8; 40]).is_ok());
    /// assert!(arena.try_alloc([0_u8; 40]).is_err());
    /// ```
    ///
    /// The buffer is lent as long as the arena lives:
    ///
    /// ```compile_fail,E0597
    /// # use allod_kit::Bump;
    /// # use core::mem::MaybeUninit;
    /// let arena;
    /// {
    ///     let mut bytes = [MaybeUninit::uninit(); 64];
    ///     arena = Bump::on(&mut bytes);
    /// }
    /// arena.try_alloc(1_u8);
    /// ```
    #[must_use]
    #[inline]
    pub fn on(buffer: &'b mut [MaybeUninit<u8>]) -> Self {
        Bump::with_buffer(Buffer::new(buffer, Nothing))
    }
}

impl<'b, const MIN_ALIGN: usize> Bump<Buffer<'b>, MIN_ALIGN> {
    /// As [`on`](Bump::on), with a minimum alignment.
    #[must_use]
    #[inline]
    pub fn with_min_align_on(buffer: &'b mut [MaybeUninit<u8>]) -> Self {
        Bump::with_buffer(Buffer::new(buffer, Nothing))
    }
}

impl<'b, A: crate::Allocator> Bump<Buffer<'b, A>> {
    /// An arena that begins on a buffer, and goes on in an allocator when the
    /// buffer is full.
    ///
    /// ```
    /// use allod_kit::{Bump, Global};
    /// use core::mem::MaybeUninit;
    ///
    /// let mut bytes = [MaybeUninit::uninit(); 256];
    /// let arena = Bump::on_and_then(&mut bytes, Global);
    /// let few = arena.alloc([1_u8; 100]);
    /// assert_eq!(arena.reserved(), 0);
    /// let many = arena.alloc([2_u8; 1000]);
    /// assert!(arena.reserved() >= 1000);
    /// # assert_eq!((few[0], many[0]), (1, 2));
    /// ```
    #[must_use]
    pub fn on_and_then(buffer: &'b mut [MaybeUninit<u8>], then: A) -> Self {
        Bump::with_buffer(Buffer::new(buffer, then))
    }
}

impl<A: Source, const MIN_ALIGN: usize> Bump<A, MIN_ALIGN> {
    /// An arena over any allocator, with a minimum alignment.
    ///
    /// ```
    /// use allod_kit::{Bump, Global};
    ///
    /// let arena: Bump<Global, 16> = Bump::with_min_align_in(Global);
    /// for size in 0..40 {
    ///     let block = arena.alloc_slice_fill(size, 0_u8);
    ///     assert!(block.as_ptr().addr().is_multiple_of(16));
    /// }
    /// ```
    #[must_use]
    pub const fn with_min_align_in(source: A) -> Self {
        const {
            assert!(MIN_ALIGN.is_power_of_two(), "an alignment is a power of two");
            assert!(MIN_ALIGN <= SMALL, "larger ones are better asked for one by one");
        }
        let nowhere = Self::NOWHERE;
        Bump {
            pos: Cell::new(nowhere),
            end: Cell::new(nowhere),
            begin: nowhere,
            first_end: Cell::new(nowhere),
            current: Cell::new(None),
            other: Cell::new(None),
            chunks: Cell::new(None),
            home: Home::Root(Root {
                source,
                first_pos: Cell::new(nowhere),
                limit: Cell::new(usize::MAX),
                reserved: Cell::new(0),
            }),
        }
    }

    /// Where an arena without memory allocates: a run of no bytes. Aligned, so
    /// that blocks of no bytes fit.
    const NOWHERE: NonNull<u8> = {
        let align = if MIN_ALIGN > 16 { MIN_ALIGN } else { 16 };
        match core::num::NonZero::new(align) {
            Some(align) => NonNull::without_provenance(align),
            None => NonNull::dangling(),
        }
    };

    /// An arena on the buffer of its source.
    #[inline]
    fn with_buffer(source: A) -> Self {
        let mut arena = Bump::with_min_align_in(source);
        let (begin, last) = arena.first();
        arena.begin = begin;
        arena.pos.set(begin);
        arena.end.set(last);
        arena
    }

    /// The source's buffer, aligned at its start; a run of no bytes otherwise.
    #[inline]
    fn first(&self) -> (NonNull<u8>, NonNull<u8>) {
        let Home::Root(root) = &self.home else { return (self.begin, self.begin) };
        let Some(buffer) = root.source.buffer() else { return (Self::NOWHERE, Self::NOWHERE) };
        let base = buffer.cast::<u8>();
        let last = base.addr().get().saturating_add(buffer.len()).min(usize::MAX - REACH);
        // A chunk may end where the buffer begins. One byte between them, and no
        // `end` is taken for the other (B4).
        let begin = base.addr().get().saturating_add(usize::from(A::GROWS));
        match addr::align_up(begin, MIN_ALIGN) {
            Some(begin) if begin <= last => (addr::at(base, begin), addr::at(base, last)),
            _ => (Self::NOWHERE, Self::NOWHERE),
        }
    }

    /// A block of this layout in the tail, if it fits.
    #[inline(always)]
    fn fit(&self, layout: Layout, known: bool) -> Option<Fit> {
        let (pos, end) = (self.pos.get().addr().get(), self.end.get().addr().get());
        if known && layout.size() <= SMALL && layout.align() <= SMALL {
            fit::small(pos, end, layout.size(), layout.align(), MIN_ALIGN)
        } else {
            fit::any(pos, end, layout.size(), layout.align(), MIN_ALIGN)
        }
    }

    /// Cuts the block from the tail.
    #[inline(always)]
    fn cut(&self, fit: Fit) -> NonNull<u8> {
        let pos = self.pos.get();
        let from = pos.addr().get();
        // SAFETY: `fit` has put it between `pos` and `end` (B1).
        self.pos.set(unsafe { pos.byte_add(fit.next.wrapping_sub(from)) });
        // SAFETY: the same, and before that.
        unsafe { pos.byte_add(fit.start.wrapping_sub(from)) }
    }

    /// A block for `layout`, of bytes that nobody else has. `known` says that
    /// the compiler knows the layout.
    #[inline(always)]
    fn block(&self, layout: Layout, known: bool) -> Result<NonNull<u8>, AllocError> {
        match self.fit(layout, known) {
            Some(fit) => Ok(self.cut(fit)),
            None => self.go_on(layout),
        }
    }

    /// Free bytes in the tail: what can be allocated without going elsewhere,
    /// but for alignment.
    #[inline]
    #[must_use]
    pub fn room(&self) -> usize {
        addr::distance(self.pos.get(), self.end.get())
    }

    /// Bytes of all chunks, headers included: what was taken from the allocator
    /// beneath, by this arena and all its scopes. A buffer is not counted.
    #[must_use]
    pub fn reserved(&self) -> usize {
        self.root().reserved.get()
    }

    /// The most bytes that chunks may have together; `usize::MAX` at first. For
    /// an arena and all its scopes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.root().limit.get()
    }

    /// Sets the [`limit`](Bump::limit). Chunks above it stay; no more are taken.
    ///
    /// ```
    /// use allod_kit::Bump;
    ///
    /// let arena = Bump::new();
    /// arena.set_limit(4096);
    /// while arena.try_alloc([0_u8; 100]).is_ok() {}
    /// assert!(arena.reserved() <= 4096);
    /// ```
    pub fn set_limit(&self, bytes: usize) {
        self.root().limit.set(bytes);
    }

    /// The bytes allocated so far, a slice for each chunk, the newest chunk
    /// first; then the buffer's, if there are any. Padding is among them, and so
    /// are blocks that were given back out of order.
    ///
    /// ```
    /// use allod_kit::Bump;
    ///
    /// let mut arena = Bump::new();
    /// arena.alloc_slice_copy(b"abc");
    /// arena.alloc_str("def");
    /// let slices: Vec<_> = arena.slices().collect();
    /// assert_eq!((slices.len(), slices[0].len()), (1, 6));
    /// // SAFETY: both were bytes, without padding between them.
    /// assert_eq!(unsafe { slices[0].assume_init_ref() }, b"abcdef");
    /// ```
    pub fn slices(&mut self) -> impl Iterator<Item = &[MaybeUninit<u8>]> {
        let current = self.current.get();
        let first = match (&self.home, current) {
            (Home::Root(root), Some(_)) => root.first_pos.get(),
            _ => self.pos.get(),
        };
        let first = (self.begin < first).then_some((self.begin, first));
        let chunks = chunk::list(self.chunks.get()).map(move |chunk| {
            let pos = if Some(chunk) == current { self.pos.get() } else { chunk.tail().0 };
            (chunk.start(MIN_ALIGN), pos)
        });
        chunks.chain(first).map(|(start, pos)| {
            let bytes = NonNull::slice_from_raw_parts(start.cast(), addr::distance(start, pos));
            // SAFETY: they lie in one chunk (B1, C2), and as the arena is
            // borrowed whole, nobody has a block of them.
            unsafe { bytes.as_ref() }
        })
    }
}

impl<A: Source, const MIN_ALIGN: usize> fmt::Debug for Bump<A, MIN_ALIGN> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bump")
            .field("room", &self.room())
            .field("reserved", &self.reserved())
            .field("chunks", &chunk::list(self.chunks.get()).count())
            .finish()
    }
}
