//! What threads share: the atomics, the one lock, and a name for the caller.
//!
//! Under `cfg(loom)` the atomics are loom's, so that the small lock-free
//! structures of the house run under its model checker unchanged. Under
//! `cfg(shuttle)` each operation is a place where another thread may go on, so that
//! the whole allocator runs under schedules of our choice (`switched.rs`).
//!
//! # The lock
//!
//! [`Lock`] spins, then yields. It is held for tens of nanoseconds, or for one
//! system call, and never while anything waits for the program. It knows who
//! holds it: a signal handler that allocates while its own thread holds the
//! lock is told so ([`Lock::lock`] gives `None`) and finds another way,
//! where a plain lock would wait for itself for ever.
//!
//! # Invariants
//!
//! * L1. `holder` is 0 when nobody holds the lock, and otherwise the thread
//!   pointer of the one thread that does.
//! * L2. Only the holder stores 0.
//!
//! In which order locks are taken, ARCHITECTURE.md says; `Allocator::fork_prepare` takes all.
#![allow(unsafe_code)]

#[cfg(shuttle)]
mod switched;

#[cfg(not(any(loom, shuttle)))]
pub(crate) use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
};
#[cfg(not(loom))]
pub(crate) use core::sync::atomic::Ordering;
#[cfg(shuttle)]
pub(crate) use switched::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// A number that no two running threads share: the thread pointer.
#[inline(always)]
pub(crate) fn this_thread() -> usize {
    // All threads of a schedule are one to the system.
    #[cfg(shuttle)]
    if let Some(task) = shuttle::current::try_get_current_task() {
        // Stacks, and with them thread pointers, lie pages apart.
        return (usize::from(task) + 1) << 12;
    }
    #[cfg(not(loom))]
    cfg_select! {
        target_arch = "x86_64" => {
            let pointer: usize;
            // SAFETY: the ABI keeps the thread pointer's own value at fs:0.
            unsafe { core::arch::asm!("mov {}, fs:[0]", out(reg) pointer, options(pure, readonly, nostack, preserves_flags)) };
            pointer
        }
        target_arch = "x86" => {
            let pointer: usize;
            // SAFETY: the ABI keeps the thread pointer's own value at gs:0.
            unsafe { core::arch::asm!("mov {}, gs:[0]", out(reg) pointer, options(pure, readonly, nostack, preserves_flags)) };
            pointer
        }
        target_arch = "aarch64" => {
            let pointer: usize;
            // SAFETY: reading the thread pointer register has no effect.
            unsafe { core::arch::asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
            pointer
        }
    }
    #[cfg(loom)]
    {
        loom::thread_local! { static ID: core::cell::Cell<usize> = core::cell::Cell::new(0) }
        ID.with(|id| core::ptr::from_ref(id).addr())
    }
}

/// A spin lock that knows its holder.
#[derive(Debug)]
pub(crate) struct Lock {
    holder: AtomicUsize,
    /// Times that [`Lock::hold`] found its own thread holding the lock.
    again: AtomicUsize,
}

impl Lock {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self { holder: AtomicUsize::new(0), again: AtomicUsize::new(0) }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self { holder: AtomicUsize::new(0), again: AtomicUsize::new(0) }
    }

    /// Waits for the lock. `None` when this very thread holds it: the caller
    /// runs in a signal handler above the code that does.
    #[inline]
    pub(crate) fn lock(&self) -> Option<Guard<'_>> {
        let me = this_thread();
        let mut spins = 0u32;
        loop {
            // ORDERING: Acquire on success pairs with the Release in `unlock`: what
            // the last holder wrote is ours to read. Relaxed on failure: we only
            // compare the holder with ourselves, and our own store we always see.
            match self.holder.compare_exchange_weak(0, me, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(Guard { lock: self }),
                Err(holder) if holder == me => return None,
                Err(_) => {}
            }
            spins += 1;
            relax(spins);
        }
    }

    /// Waits for the lock, but not for ever. For a signal handler, which may stand above
    /// a lock that the holder of this one waits for, and can do without.
    #[cfg(not(loom))]
    pub(crate) fn lock_soon(&self) -> Option<Guard<'_>> {
        const SOON: u32 = 1 << 12;
        (1..SOON).find_map(|spins| {
            let guard = self.try_lock();
            if guard.is_none() {
                relax(spins);
            }
            guard
        })
    }

    /// Takes the lock if nobody holds it.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<Guard<'_>> {
        // ORDERING: as in `lock`.
        match self.holder.compare_exchange(0, this_thread(), Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Some(Guard { lock: self }),
            Err(_) => None,
        }
    }

    /// True when this thread holds the lock.
    #[cfg(not(loom))]
    pub(crate) fn is_mine(&self) -> bool {
        // ORDERING: Relaxed, our own store we always see, and another's never matches.
        self.holder.load(Ordering::Relaxed) == this_thread()
    }

    fn unlock(&self) {
        // ORDERING: Release pairs with the Acquire in `lock`.
        self.holder.store(0, Ordering::Release);
    }

    /// Takes the lock and keeps it beyond this call, for `fork`. When this thread
    /// holds it already (a handler that forks), remembers not to give it up.
    pub(crate) fn hold(&self) {
        match self.lock() {
            Some(guard) => core::mem::forget(guard),
            None => {
                // ORDERING: Relaxed, only the holder's thread reads it.
                self.again.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// In the child of a fork, where nobody else runs: frees a lock whose holder did
    /// not come along.
    pub(crate) fn release_lost(&self) {
        // ORDERING: Relaxed, the child has one thread.
        let holder = self.holder.load(Ordering::Relaxed);
        if holder != 0 && holder != this_thread() {
            // ORDERING: Relaxed, as above.
            self.again.store(0, Ordering::Relaxed);
            self.unlock();
        }
    }

    /// Undoes one [`Lock::hold`]. In the child of a fork the holder is the same
    /// thread under the same thread pointer.
    pub(crate) fn unhold(&self) {
        // ORDERING: Relaxed, only the holder's thread reads it.
        let again = self.again.load(Ordering::Relaxed);
        if again == 0 {
            self.unlock();
        } else {
            // ORDERING: Relaxed, as above.
            self.again.store(again - 1, Ordering::Relaxed);
        }
    }
}

/// The lock, held. Dropping it unlocks.
#[derive(Debug)]
pub(crate) struct Guard<'a> {
    lock: &'a Lock,
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.lock.unlock();
    }
}

/// Waits a moment: first by a hint to the processor, then by giving it up.
pub(crate) fn relax(spins: u32) {
    #[cfg(loom)]
    {
        let _ = spins;
        loom::thread::yield_now();
    }
    #[cfg(shuttle)]
    if shuttle::current::try_get_current_task().is_some() {
        return shuttle::thread::yield_now();
    }
    #[cfg(not(loom))]
    if spins < 64 {
        core::hint::spin_loop();
    } else {
        // SAFETY: yielding has no precondition and cannot fail on Linux.
        unsafe { libc::sched_yield() };
    }
}

/// Keeps what it holds on cache lines of its own.
#[repr(align(64))]
#[derive(Debug)]
pub(crate) struct Padded<T>(pub(crate) T);

/// A number that only one thread writes at a time and any thread may read.
///
/// A plain load and a plain store, spelled so that a reader on another thread
/// is no data race. Not a counter for several writers.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Gauge(AtomicUsize);

#[cfg(not(loom))]
impl Gauge {
    pub(crate) const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> usize {
        // ORDERING: Relaxed, a figure for people; nothing is read on its strength.
        self.0.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(crate) fn set(&self, value: usize) {
        // ORDERING: Relaxed, as in `get`.
        self.0.store(value, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn add(&self, more: usize) {
        self.set(self.get().wrapping_add(more));
    }

    #[inline(always)]
    pub(crate) fn sub(&self, less: usize) {
        self.set(self.get().wrapping_sub(less));
    }
}

/// A sum that every thread adds to, with the highest value it has had.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Tally {
    now: AtomicUsize,
    peak: AtomicUsize,
}

#[cfg(not(loom))]
impl Tally {
    pub(crate) const fn new() -> Self {
        Self { now: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }

    /// The sum. Threads that add and take at once may show it below zero for
    /// a moment; that reads as zero.
    pub(crate) fn get(&self) -> usize {
        // ORDERING: Relaxed, a figure; nothing is read on its strength.
        let now = self.now.load(Ordering::Relaxed);
        if now > isize::MAX as usize { 0 } else { now }
    }

    pub(crate) fn peak(&self) -> usize {
        // ORDERING: Relaxed, a figure.
        self.peak.load(Ordering::Relaxed).max(self.get())
    }

    #[inline]
    pub(crate) fn add(&self, more: usize) {
        // ORDERING: Relaxed, a figure.
        self.rise(self.now.fetch_add(more, Ordering::Relaxed).wrapping_add(more));
    }

    /// Hears that the sum has become `now`.
    #[inline]
    fn rise(&self, now: usize) {
        // ORDERING: Relaxed, a figure.
        if now <= isize::MAX as usize && now > self.peak.load(Ordering::Relaxed) {
            // ORDERING: Relaxed, a figure.
            self.peak.fetch_max(now, Ordering::Relaxed);
        }
    }

    /// Adds one while the sum is below `limit`, so that it never passes it by this.
    /// Costs one load when it is not.
    #[inline]
    pub(crate) fn add_below(&self, limit: usize) -> bool {
        loop {
            // ORDERING: Relaxed, a figure; nothing is read on its strength.
            let now = self.now.load(Ordering::Relaxed);
            if (now as isize) >= limit as isize {
                return false;
            }
            let more = now.wrapping_add(1);
            // ORDERING: Relaxed, a figure.
            if self.now.compare_exchange(now, more, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                self.rise(more);
                return true;
            }
        }
    }

    #[inline]
    pub(crate) fn sub(&self, less: usize) {
        // ORDERING: Relaxed, a figure.
        self.now.fetch_sub(less, Ordering::Relaxed);
    }

    /// Makes the sum `now`, whatever it was: for who is alone.
    pub(crate) fn set(&self, now: usize) {
        // ORDERING: Relaxed, a figure.
        self.now.store(now, Ordering::Relaxed);
        self.rise(now);
    }

    /// Adds a difference that may be negative.
    #[inline]
    pub(crate) fn shift(&self, by: isize) {
        if by >= 0 { self.add(by as usize) } else { self.sub(by.unsigned_abs()) }
    }
}

/// Keeps the compiler from moving memory accesses across: a signal handler on
/// the same thread then sees them in the order they are written.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn compiler_barrier() {
    // ORDERING: SeqCst, but for the compiler alone; no other thread is meant.
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
}
