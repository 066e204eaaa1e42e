//! Arenas for threads: a fixed number of them, and each is one thread's at a
//! time.
//!
//! ```text
//!   thread 1          thread 2
//!      | get             | get
//!      v                 v
//!   +--------+--------+--------+--------+
//!   |  busy  |  free  |  busy  |  free  |      slots
//!   | arena  | arena  | arena  | arena  |
//!   +--------+--------+--------+--------+
//! ```
//!
//! A slot is a flag and an arena. Whoever turns the flag from free to busy has
//! the arena until the guard is dropped. What was allocated stays until the pool
//! is reset, which nobody can do while there are guards or values.
//!
//! # Invariants
//!
//! * P1. A slot's arena is touched by the thread whose exchange made it busy,
//!   until that thread stores free; or by the owner of the whole pool.
#![allow(unsafe_code)]

#[cfg(feature = "infallible")]
use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;

use super::Bump;
use super::source::Source;
use crate::AllocError;
use crate::atomics::{AtomicBool, Ordering};
#[cfg(feature = "infallible")]
use crate::infallible::infallible;

/// Up to `N` arenas, for as many threads at once.
///
/// ```
/// use allod_kit::{BumpPool, Global};
///
/// let mut pool: BumpPool<Global, 4> = BumpPool::new_with(|| Global);
/// let words: Vec<&str> = std::thread::scope(|threads| {
///     let work: Vec<_> = (0..4)
///         .map(|i| {
///             let pool = &pool;
///             threads.spawn(move || {
///                 let arena = pool.get().expect("four arenas for four threads");
///                 &*arena.keep_str(&format!("word {i}")) // as long as the pool
///             })
///         })
///         .collect();
///     work.into_iter().map(|thread| thread.join().unwrap()).collect()
/// });
/// assert_eq!(words, ["word 0", "word 1", "word 2", "word 3"]);
/// pool.reset();
/// ```
///
/// # What it costs
///
/// *Time.* To get an arena: one exchange for each busy slot that is passed, and
/// one more; O(N) at worst, without waiting. *Memory.* Slots are 128 bytes apart,
/// so that no two threads write to one cache line.
///
/// # When not to use it
///
/// With one arena a thread and no sharing, a `Bump` on each thread's stack is
/// simpler.
pub struct BumpPool<A: Source, const N: usize> {
    slots: [Slot<A>; N],
}

/// 128 bytes: two cache lines, which x86-64 fetches in pairs.
#[repr(align(128))]
struct Slot<A: Source> {
    busy: AtomicBool,
    arena: UnsafeCell<Bump<A>>,
}

// SAFETY: an arena is one thread's at a time (P1), so it is as if it were sent.
unsafe impl<A: Source + Send> Sync for Slot<A> {}

impl<A: Source, const N: usize> BumpPool<A, N> {
    /// A pool of arenas, each over a source that the function makes.
    pub fn new_with(mut source: impl FnMut() -> A) -> Self {
        let slots = core::array::from_fn(|_| Slot {
            busy: AtomicBool::new(false),
            arena: UnsafeCell::new(Bump::new_in(source())),
        });
        BumpPool { slots }
    }

    /// An arena for this thread; none if all of them are in use.
    #[must_use]
    pub fn get(&self) -> Option<PoolGuard<'_, A>> {
        // ORDERING: Acquire, so that what the last user did to the arena has
        // happened. Pairs with the Release in the guard's drop. Relaxed on
        // failure: a busy slot is passed.
        let free = |slot: &&Slot<A>| {
            !slot.busy.load(Ordering::Relaxed)
                && slot
                    .busy
                    .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
        };
        let slot = self.slots.iter().find(free)?;
        Some(PoolGuard { slot, here: PhantomData })
    }

    /// [Resets](Bump::reset) every arena.
    ///
    /// ```compile_fail,E0502
    /// # use allod_kit::{BumpPool, Global};
    /// let mut pool: BumpPool<Global, 1> = BumpPool::new_with(|| Global);
    /// let kept = pool.get().unwrap().keep(1);
    /// pool.reset();
    /// *kept += 1;
    /// ```
    pub fn reset(&mut self) {
        for slot in &mut self.slots {
            slot.arena.get_mut().reset();
            // A guard that was forgotten ends here at the latest.
            slot.busy = AtomicBool::new(false);
        }
    }

    /// Bytes of all chunks of all arenas.
    #[must_use]
    pub fn reserved(&mut self) -> usize {
        self.slots.iter_mut().map(|slot| slot.arena.get_mut().reserved()).sum()
    }
}

impl<A: Source, const N: usize> fmt::Debug for BumpPool<A, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BumpPool").field("arenas", &N).finish_non_exhaustive()
    }
}

/// One of a pool's arenas, for as long as the guard lives. It stays on its
/// thread.
///
/// By itself it is a [`Bump`]: what it allocates lives as long as the guard.
/// What is allocated by the operations named `keep` lives as long as the pool.
pub struct PoolGuard<'p, A: Source> {
    slot: &'p Slot<A>,
    /// Not `Send`: a reference that was given out may be to the arena.
    here: PhantomData<*const ()>,
}

impl<'p, A: Source> PoolGuard<'p, A> {
    /// The arena, without the guard's lifetime. For the operations below only:
    /// it must not outlast the guard.
    #[inline]
    fn arena(&self) -> &'p Bump<A> {
        // SAFETY: the arena is this thread's (P1), and nobody has it by `&mut`.
        unsafe { &*self.slot.arena.get() }
    }

    /// A value, for as long as the pool is borrowed.
    ///
    /// # Errors
    ///
    /// There is no memory.
    #[inline]
    pub fn try_keep<T>(&self, value: T) -> Result<&'p mut T, AllocError> {
        self.arena().try_alloc(value)
    }

    /// A copy of a slice, for as long as the pool is borrowed.
    ///
    /// # Errors
    ///
    /// There is no memory.
    #[inline]
    pub fn try_keep_slice<T: Copy>(&self, values: &[T]) -> Result<&'p mut [T], AllocError> {
        self.arena().try_alloc_slice_copy(values)
    }

    /// A copy of a string, for as long as the pool is borrowed.
    ///
    /// # Errors
    ///
    /// There is no memory.
    #[inline]
    pub fn try_keep_str(&self, text: &str) -> Result<&'p mut str, AllocError> {
        self.arena().try_alloc_str(text)
    }
}

/// The infallible face.
#[cfg(feature = "infallible")]
impl<'p, A: Source> PoolGuard<'p, A> {
    /// A value, for as long as the pool is borrowed.
    #[inline]
    pub fn keep<T>(&self, value: T) -> &'p mut T {
        infallible(self.try_keep(value), Layout::new::<T>())
    }

    /// A copy of a slice, for as long as the pool is borrowed.
    #[inline]
    pub fn keep_slice<T: Copy>(&self, values: &[T]) -> &'p mut [T] {
        infallible(self.try_keep_slice(values), Layout::for_value(values))
    }

    /// A copy of a string, for as long as the pool is borrowed.
    #[inline]
    pub fn keep_str(&self, text: &str) -> &'p mut str {
        infallible(self.try_keep_str(text), Layout::for_value(text))
    }
}

impl<A: Source> Deref for PoolGuard<'_, A> {
    type Target = Bump<A>;

    #[inline]
    fn deref(&self) -> &Bump<A> {
        self.arena()
    }
}

impl<A: Source> Drop for PoolGuard<'_, A> {
    fn drop(&mut self) {
        // ORDERING: Release, so that all we did to the arena happens before the
        // next user has it. Pairs with the Acquire in `get`.
        self.slot.busy.store(false, Ordering::Release);
    }
}

impl<A: Source> fmt::Debug for PoolGuard<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PoolGuard").field(self.arena()).finish()
    }
}

#[cfg(all(test, loom))]
mod tests;
