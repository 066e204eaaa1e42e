//! An arena of values of one type, which drops them.
//!
//! ```text
//!   first --> [ head | v v v v ] --> [ head | v v v v v v - - ]
//!                                       ^ current    ^ used  ^ room
//! ```
//!
//! Chunks come from an allocator and double. No value is given back before the arena
//! is gone, so a value costs a compare, a store and an addition, and what it returns
//! lives as long as the arena is borrowed.
//!
//! # Who may refer to whom
//!
//! Values may refer to each other, in cycles too, as long as dropping one does not
//! look at another: then it does not matter in which order they go. The compiler can
//! see that, but not through a `Drop` that names `T`: such a one counts as a look at
//! everything. So the one that drops is [`Chunks`], which knows of `T` only a
//! function, and beside it stands an `Option<T>` that is always none. Dropping the
//! arena is checked as if that were dropped: what would look is refused.
//!
//! # Invariants
//!
//! * T1. A head's `count` values are initialised, in a chunk that is not current. In
//!   the current one `used` are, and `count` is of no meaning.
//! * T2. `used <= room`, and there are `room` places from `places` on.
//! * T3. `drop_values` is for the type that the values have.
#![allow(unsafe_code)]

mod iter;

pub use iter::TypedIntoIter;

use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::ptr::{self, NonNull};
use core::slice;

#[cfg(feature = "infallible")]
use crate::full::must;
use crate::{AllocError, Allocator, Full};

/// The start of a chunk; the places follow, aligned.
struct Head {
    next: Cell<Option<NonNull<Head>>>,
    /// See T1.
    count: Cell<usize>,
    /// Of the whole chunk.
    layout: Layout,
}

/// The memory, and the drop: all that need not know the type.
struct Chunks<A: Allocator> {
    first: Cell<Option<NonNull<Head>>>,
    last: Cell<Option<NonNull<Head>>>,
    /// The chunk that values go into; none if there is none, or while a slice is made
    /// in it.
    current: Cell<Option<NonNull<Head>>>,
    places: Cell<NonNull<u8>>,
    used: Cell<usize>,
    room: Cell<usize>,
    drop_values: unsafe fn(NonNull<Head>, usize),
    base: A,
}

impl<A: Allocator> Chunks<A> {
    /// Writes down how much of the current chunk is used, and leaves it.
    fn leave(&self) {
        if let Some(head) = self.current.take() {
            // SAFETY: heads on the list are ours, and live as long as we do.
            unsafe { head.as_ref() }.count.set(self.used.get());
            self.used.set(0);
            self.room.set(0);
        }
    }

    /// How many values a chunk holds.
    fn count(&self, head: NonNull<Head>) -> usize {
        if self.current.get() == Some(head) {
            return self.used.get();
        }
        // SAFETY: as in `leave`.
        unsafe { head.as_ref() }.count.get()
    }

    fn heads(&self) -> impl Iterator<Item = NonNull<Head>> + '_ {
        core::iter::successors(self.first.get(), |head| {
            // SAFETY: as in `leave`.
            unsafe { head.as_ref() }.next.get()
        })
    }

    /// Gives every chunk back, without a look at what is in it.
    fn free(&self) {
        let mut next = self.first.take();
        while let Some(head) = next {
            // SAFETY: as in `leave`; it is read before the chunk goes.
            let it = unsafe { head.as_ref() };
            let layout = it.layout;
            next = it.next.get();
            // SAFETY: the chunk came from `base` with this layout, and nobody has it.
            unsafe { self.base.deallocate(head.cast(), layout) };
        }
    }
}

impl<A: Allocator> Drop for Chunks<A> {
    fn drop(&mut self) {
        /// The memory goes back even if a value's drop panics; the values that follow
        /// it are not dropped then.
        struct Free<'c, A: Allocator>(&'c Chunks<A>);
        impl<A: Allocator> Drop for Free<'_, A> {
            fn drop(&mut self) {
                self.0.free();
            }
        }
        let free = Free(self);
        let it = free.0;
        if it.first.get().is_none() && it.used.get() > 0 {
            // Values without a size: they have no chunk.
            // SAFETY: so many were put in (T1, T3), and no head is read for them.
            unsafe { (it.drop_values)(NonNull::dangling(), it.used.get()) };
        }
        for head in it.heads() {
            // SAFETY: so many are initialised, and of this type (T1, T3).
            unsafe { (it.drop_values)(head, it.count(head)) };
        }
    }
}

/// An arena of values of one type, which are dropped with it.
///
/// ```
/// use allod_kit::{Global, TypedArena};
///
/// let arena = TypedArena::new(Global);
/// let name = arena.alloc(String::from("a value that needs to be dropped"));
/// name.push('!');
/// assert_eq!(arena.len(), 1);
/// ```
///
/// Values may refer to each other, in cycles:
///
/// ```
/// use allod_kit::{Global, TypedArena};
/// use std::cell::Cell;
///
/// struct Person<'a> {
///     name: String,
///     likes: Cell<Option<&'a Person<'a>>>,
/// }
///
/// let people = TypedArena::new(Global);
/// let person = |name| &*people.alloc(Person { name: String::from(name), likes: Cell::new(None) });
/// let (ada, bob) = (person("Ada"), person("Bob"));
/// ada.likes.set(Some(bob));
/// bob.likes.set(Some(ada));
/// let twice = ada.likes.get().and_then(|it| it.likes.get());
/// assert_eq!(twice.map(|it| &*it.name), Some("Ada"));
/// ```
///
/// unless their drop looks at what they refer to, which may be gone by then:
///
/// ```compile_fail,E0597
/// use allod_kit::{Global, TypedArena};
/// use std::cell::Cell;
///
/// struct Rude<'a>(u8, Cell<Option<&'a Rude<'a>>>);
/// impl Drop for Rude<'_> {
///     fn drop(&mut self) {
///         assert_eq!(self.1.get().map(|other| other.0), Some(7));
///     }
/// }
/// let arena = TypedArena::new(Global);
/// let rude = arena.alloc(Rude(7, Cell::new(None)));
/// rude.1.set(Some(arena.alloc(Rude(7, Cell::new(None)))));
/// ```
///
/// A value does not outlive the arena:
///
/// ```compile_fail,E0505
/// # use allod_kit::{Global, TypedArena};
/// let arena = TypedArena::new(Global);
/// let value = arena.alloc(String::new());
/// drop(arena);
/// value.push('!');
/// ```
///
/// and one that is put in later may not be shorter-lived than the first:
///
/// ```compile_fail,E0597
/// # use allod_kit::{Global, TypedArena};
/// let arena = TypedArena::new(Global);
/// arena.alloc("as long as the program");
/// {
///     let text = String::from("not so long");
///     arena.alloc(&text);
/// }
/// assert!(arena.into_iter().all(|it| !it.is_empty()));
/// ```
///
/// # What it costs
///
/// *Time.* O(1), but for taking a chunk; to drop it O(n), and O(chunks) for values
/// that need no drop. *Memory.* Four words a chunk, and what of the last is not used
/// yet; chunks double, so that there are O(log n). The arena itself is seven words,
/// the allocator, and a place for a value that is never used: see the source for what
/// it is good for.
///
/// # When not to use it
///
/// For values that need no drop, or of several types: [`Bump`](crate::Bump) takes
/// them together. Where values go one by one: a [`GrowingPool`](crate::GrowingPool)
/// gives boxes, and uses their places again. Where they are found by a key, or looked
/// at all the time: a [`Slab`](crate::slab::Slab) keeps them side by side.
pub struct TypedArena<T, A: Allocator> {
    // Before `owner`, as it is dropped first; that has nothing to drop.
    chunks: Chunks<A>,
    /// Always none. For the compiler: we own values of this type, and nobody may take
    /// a shorter-lived type for it.
    #[expect(dead_code, reason = "it is there for its type")]
    owner: Cell<Option<T>>,
}

// SAFETY: the values are ours, and so is the memory.
unsafe impl<T: Send, A: Allocator + Send> Send for TypedArena<T, A> {}

/// Drops the first values of a chunk.
///
/// # Safety
///
/// There are so many values of this type, and nobody looks at them again.
unsafe fn drop_values<T>(head: NonNull<Head>, count: usize) {
    // SAFETY: the places of a chunk begin there.
    let places = unsafe { places::<T>(head) };
    let values = ptr::slice_from_raw_parts_mut(places.as_ptr(), count);
    // SAFETY: the caller's promise.
    unsafe { values.drop_in_place() };
}

/// Where the places of a chunk begin.
///
/// # Safety
///
/// The chunk was made for this type; for one without a size any pointer will do.
unsafe fn places<T>(head: NonNull<Head>) -> NonNull<T> {
    if size_of::<T>() == 0 {
        return NonNull::dangling();
    }
    // SAFETY: `chunk` has made room for the head and what aligns the places.
    unsafe { head.byte_add(offset::<T>()).cast() }
}

/// The bytes of a head, rounded up.
const fn offset<T>() -> usize {
    size_of::<Head>().next_multiple_of(align_of::<T>())
}

/// The layout of a chunk of so many places.
fn chunk<T>(count: usize) -> Result<Layout, AllocError> {
    let head = Layout::new::<Head>();
    let values = Layout::array::<T>(count).map_err(|_| AllocError)?;
    let (both, at) = head.extend(values).map_err(|_| AllocError)?;
    debug_assert!(size_of::<T>() == 0 || at == offset::<T>());
    Ok(both)
}

impl<T, A: Allocator> TypedArena<T, A> {
    /// The places of the first chunk: a kibibyte, and at least one.
    const FIRST: usize = match size_of::<T>() {
        0..=1024 => 1024 / (size_of::<T>() + (size_of::<T>() == 0) as usize),
        _ => 1,
    };

    /// An arena over an allocator. It takes its first chunk, of a kibibyte or so, when
    /// that is needed.
    #[must_use]
    pub const fn new(base: A) -> Self {
        let room = if size_of::<T>() == 0 { usize::MAX } else { 0 };
        Self {
            chunks: Chunks {
                first: Cell::new(None),
                last: Cell::new(None),
                current: Cell::new(None),
                places: Cell::new(NonNull::<T>::dangling().cast()),
                used: Cell::new(0),
                room: Cell::new(room),
                drop_values: drop_values::<T>,
                base,
            },
            owner: Cell::new(None),
        }
    }

    /// What it allocates from.
    pub const fn base(&self) -> &A {
        &self.chunks.base
    }

    /// How many values there are. O(chunks).
    #[must_use]
    pub fn len(&self) -> usize {
        if size_of::<T>() == 0 {
            return self.chunks.used.get();
        }
        self.chunks.heads().map(|head| self.chunks.count(head)).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a value in.
    ///
    /// # Errors
    ///
    /// There is no memory. The value is in the error.
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "each call gives another place")]
    pub fn try_alloc(&self, value: T) -> Result<&mut T, Full<T>> {
        let it = &self.chunks;
        if it.used.get() == it.room.get() && self.grow(1).is_err() {
            return Err(Full(value));
        }
        let used = it.used.get();
        // SAFETY: there are more places than that (T2).
        let mut place = unsafe { it.places.get().cast::<T>().add(used) };
        // SAFETY: nothing is there, and it is nobody's yet.
        unsafe { place.write(value) };
        it.used.set(used + 1);
        // SAFETY: it is initialised, and given out once; it stays there as long as we
        // are borrowed, and is dropped after that.
        Ok(unsafe { place.as_mut() })
    }

    /// Puts so many values in, side by side, each made of its number.
    ///
    /// The function may use the arena. If it panics, the values that it has made stay.
    ///
    /// ```
    /// use allod_kit::{Global, TypedArena};
    ///
    /// let arena = TypedArena::new(Global);
    /// let words = arena.try_alloc_slice_with(3, |i| format!("word {i}"))?;
    /// words[1].push('!');
    /// assert_eq!(words, ["word 0", "word 1!", "word 2"]);
    /// # Ok::<(), allod_kit::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// There is no memory. The function has not been called.
    #[allow(clippy::mut_from_ref, reason = "each call gives other places")]
    pub fn try_alloc_slice_with(
        &self,
        len: usize,
        mut make: impl FnMut(usize) -> T,
    ) -> Result<&mut [T], AllocError> {
        /// Counts the values that were made, also when the function panics, and goes
        /// on in their chunk if nobody has gone elsewhere.
        struct Run<'c, A: Allocator> {
            chunks: &'c Chunks<A>,
            head: Option<NonNull<Head>>,
            places: NonNull<u8>,
            used: usize,
            room: usize,
        }
        impl<A: Allocator> Drop for Run<'_, A> {
            fn drop(&mut self) {
                match self.head {
                    // Values without a size.
                    None => self.chunks.used.set(self.chunks.used.get() + self.used),
                    Some(head) if self.chunks.current.get().is_none() => {
                        self.chunks.current.set(Some(head));
                        self.chunks.places.set(self.places);
                        self.chunks.used.set(self.used);
                        self.chunks.room.set(self.room);
                    }
                    // SAFETY: heads on the list live as long as the arena.
                    Some(head) => unsafe { head.as_ref() }.count.set(self.used),
                }
            }
        }
        let it = &self.chunks;
        if it.room.get() - it.used.get() < len {
            self.grow(len)?;
        }
        let mut run = if size_of::<T>() == 0 {
            Run { chunks: it, head: None, places: it.places.get(), used: 0, room: len }
        } else {
            let (head, places, used) = (it.current.get(), it.places.get(), it.used.get());
            let run = Run { chunks: it, head, places, used, room: it.room.get() };
            // So that the function cannot put its own values in between.
            it.leave();
            run
        };
        let start = run.used;
        let first = run.places.cast::<T>();
        for number in 0..len {
            let value = make(number);
            // SAFETY: there is room for `len` from `start` on (T2).
            let place = unsafe { first.add(start + number) };
            // SAFETY: nothing is there, and nobody else writes to this chunk now.
            unsafe { place.write(value) };
            run.used += 1;
        }
        drop(run);
        // SAFETY: as above.
        let first = unsafe { first.add(start) };
        // SAFETY: `len` were written, and are given out once; as in `try_alloc`.
        Ok(unsafe { slice::from_raw_parts_mut(first.as_ptr(), len) })
    }

    /// A chunk with room for `least`, and for twice as many as the last.
    #[cold]
    #[inline(never)]
    fn grow(&self, least: usize) -> Result<(), AllocError> {
        let it = &self.chunks;
        if size_of::<T>() == 0 {
            // There is room for all that can be counted.
            return Err(AllocError);
        }
        let before = it.last.get().map_or(0, |head| {
            // SAFETY: heads on the list are ours, and live as long as we do.
            let bytes = unsafe { head.as_ref() }.layout.size() - offset::<T>();
            bytes / size_of::<T>()
        });
        let count = before.saturating_mul(2).max(Self::FIRST).max(least);
        let layout = chunk::<T>(count)?;
        let head = it.base.allocate(layout)?.cast::<Head>();
        let fresh = Head { next: Cell::new(None), count: Cell::new(0), layout };
        // SAFETY: the chunk begins with room for a head.
        unsafe { head.write(fresh) };
        it.leave();
        match it.last.replace(Some(head)) {
            None => it.first.set(Some(head)),
            // SAFETY: as above.
            Some(last) => unsafe { last.as_ref() }.next.set(Some(head)),
        }
        it.current.set(Some(head));
        // SAFETY: the chunk was made for this type.
        it.places.set(unsafe { places::<T>(head) }.cast());
        it.room.set(count);
        Ok(())
    }
}

/// The infallible face.
#[cfg(feature = "infallible")]
impl<T, A: Allocator> TypedArena<T, A> {
    /// Puts a value in. O(1), but for taking a chunk.
    ///
    /// # Panics
    ///
    /// There is no memory.
    #[inline]
    #[track_caller]
    #[allow(clippy::mut_from_ref, reason = "each call gives another place")]
    pub fn alloc(&self, value: T) -> &mut T {
        must(self.try_alloc(value))
    }
}

impl<T, A: Allocator> fmt::Debug for TypedArena<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedArena").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "alloc", not(loom)))]
mod tests;
