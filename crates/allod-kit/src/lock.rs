//! Locks that you bring: who may enter a [`Heap`](crate::Heap), and when.
//!
//! A heap on bare metal cannot know what keeps others out of it: that depends
//! on the number of cores, on whether interrupt handlers allocate, and on what
//! the program uses already. So the lock is a type parameter, and a lock is one
//! function.
//!
//! | lock | for | costs |
//! |---|---|---|
//! | [`Unshared`] | one thread, as a collection's allocator | nothing |
//! | [`OneCore`] | one core, no interrupt handler that allocates: your promise | nothing |
//! | [`Spin`] | several cores or threads | two atomic operations |
//! | `RawLock` (feature `lock-api`) | whatever mutex of `lock_api` it is made of | what it does |
//! | `CriticalSection` (feature `critical-section`) | one core with interrupt handlers that allocate; whatever else your platform's crate provides | what it does |
//!
//! None of them waits in a system call: there is no system.
#![allow(unsafe_code)]

use core::cell::Cell;
use core::marker::PhantomData;

/// Lets one in at a time.
///
/// A lock of another crate takes a few lines:
///
/// ```
/// use allod_kit::{Heap, Lock, Tlsf};
///
/// struct Std(std::sync::Mutex<()>);
///
/// // SAFETY: the guard lives until `work` has returned.
/// unsafe impl Lock for Std {
///     fn hold<R>(&self, work: impl FnOnce() -> R) -> R {
///         let _guard = self.0.lock();
///         work()
///     }
/// }
///
/// static HEAP: Heap<Tlsf, Std> = Heap::with_lock(Std(std::sync::Mutex::new(())));
/// ```
///
/// # Safety
///
/// While `work` runs in one [`hold`](Lock::hold), it runs in no other of the
/// same lock, and sees all that the last one has written. If the type is `Sync`,
/// this is so between threads, and between all else that can hold a `&Self`:
/// an interrupt handler too.
pub unsafe trait Lock {
    /// Runs `work`, which does not call `hold` again and does not unwind.
    fn hold<R>(&self, work: impl FnOnce() -> R) -> R;
}

/// A lock that can be made from nothing: [`Heap::new`](crate::Heap::new) has it.
pub trait Open: Lock {
    /// A lock that nobody holds.
    const OPEN: Self;
}

/// No lock, for a heap that one thread uses: it is not `Sync`, so the compiler
/// sees to that. It cannot stand in a `static`:
///
/// ```compile_fail,E0277
/// static HEAP: allod_kit::Heap<allod_kit::Tlsf, allod_kit::Unshared> = allod_kit::Heap::new();
/// ```
///
/// # What it costs
///
/// Nothing.
///
/// # When not to use it
///
/// In a `static`, which the compiler refuses.
#[derive(Debug, Default)]
pub struct Unshared(PhantomData<Cell<()>>);

// SAFETY: not `Sync`, so there is one thread, and `work` does not come back.
unsafe impl Lock for Unshared {
    #[inline]
    fn hold<R>(&self, work: impl FnOnce() -> R) -> R {
        work()
    }
}

impl Open for Unshared {
    const OPEN: Self = Self(PhantomData);
}

/// No lock, by your promise.
///
/// # What it costs
///
/// Nothing.
///
/// # When not to use it
///
/// Where you are not sure: a broken promise is undefined behaviour, and [`Spin`]
/// costs two atomic operations.
#[derive(Debug)]
pub struct OneCore(());

impl OneCore {
    /// The promise.
    ///
    /// # Safety
    ///
    /// As long as the lock exists, its heap is used by one core, and by nothing
    /// that interrupts another use of it: interrupt and fault handlers do not
    /// allocate, or interrupts are off wherever the heap is used.
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

// SAFETY: who made it promised that no two uses meet.
unsafe impl Lock for OneCore {
    #[inline]
    fn hold<R>(&self, work: impl FnOnce() -> R) -> R {
        work()
    }
}

#[cfg(any(target_has_atomic = "8", feature = "portable-atomic"))]
mod spin;

#[cfg(any(target_has_atomic = "8", feature = "portable-atomic"))]
pub use spin::Spin;

/// The critical section of the crate `critical-section`: interrupts off on most
/// one-core chips, and whatever your platform's crate says elsewhere.
///
/// # What it costs
///
/// What the platform's crate does. The heap never copies or clears a block inside,
/// so interrupts are off for the heap's own few instructions only.
///
/// # When not to use it
///
/// Where no handler allocates: [`Spin`], or [`OneCore`], leaves interrupts on.
#[cfg(feature = "critical-section")]
#[derive(Debug, Default)]
pub struct CriticalSection(());

#[cfg(feature = "critical-section")]
// SAFETY: that is what a critical section is.
unsafe impl Lock for CriticalSection {
    #[inline]
    fn hold<R>(&self, work: impl FnOnce() -> R) -> R {
        critical_section::with(|_| work())
    }
}

#[cfg(feature = "critical-section")]
impl Open for CriticalSection {
    const OPEN: Self = Self(());
}

/// A mutex of the crate `lock_api`: those of `spin`, `parking_lot`, and others.
///
/// ```
/// use allod_kit::{Heap, RawLock, Tlsf};
///
/// /// Stands for the mutex of another crate.
/// struct Mutex(std::sync::atomic::AtomicBool);
///
/// // SAFETY: who swaps false for true has it, until the store.
/// unsafe impl lock_api::RawMutex for Mutex {
///     type GuardMarker = lock_api::GuardSend;
///     const INIT: Self = Mutex(std::sync::atomic::AtomicBool::new(false));
///     fn lock(&self) {
///         while !self.try_lock() {}
///     }
///     fn try_lock(&self) -> bool {
///         !self.0.swap(true, std::sync::atomic::Ordering::Acquire)
///     }
///     unsafe fn unlock(&self) {
///         self.0.store(false, std::sync::atomic::Ordering::Release);
///     }
/// }
///
/// static HEAP: Heap<Tlsf, RawLock<Mutex>, 4096> = Heap::new();
/// assert_eq!(HEAP.used(), 0);
/// ```
///
/// # What it costs
///
/// What the mutex does, and its memory.
///
/// # When not to use it
///
/// With a mutex that allocates when it waits, as `parking_lot`'s does, around the
/// program's global allocator: it would come back to itself. With [`Spin`] at hand:
/// that is the same as `spin`'s.
#[cfg(feature = "lock-api")]
#[derive(Debug)]
pub struct RawLock<R>(R);

#[cfg(feature = "lock-api")]
// SAFETY: the mutex is held while `work` runs, which does not unwind; what unlocks it
// is who has locked it, on the same thread.
unsafe impl<R: lock_api::RawMutex> Lock for RawLock<R> {
    #[inline]
    fn hold<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.lock();
        let result = work();
        // SAFETY: it is held, here.
        unsafe { self.0.unlock() };
        result
    }
}

#[cfg(feature = "lock-api")]
impl<R: lock_api::RawMutex> Open for RawLock<R> {
    const OPEN: Self = Self(R::INIT);
}

#[cfg(feature = "lock-api")]
impl<R> RawLock<R> {
    /// The mutex.
    #[must_use]
    pub fn into_inner(self) -> R {
        self.0
    }
}

#[cfg(feature = "lock-api")]
impl<R> From<R> for RawLock<R> {
    fn from(mutex: R) -> Self {
        Self(mutex)
    }
}
