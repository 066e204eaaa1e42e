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
//! # The order
//!
//! A handler may also want a lock that another thread holds, whose handler wants one that this thread
//! holds. So each lock has a [`Rank`], its place in the order of ARCHITECTURE.md, and each
//! thread a word that says which ranks it has (`held.rs`). Code that is no handler's takes locks in
//! that order. Who wants a lock that does not come after all that the thread has is a handler
//! above a holder: it waits for a moment, and not for one who waits himself, and does without.
//!
//! ```text
//!   thread A:  Shelf, handler: Guarded      comes after Shelf: waits for B
//!   thread B:  Guarded, handler: Shelf      comes before Guarded: None, goes on, gives Guarded up
//! ```
//!
//! There is no circle of threads that wait without end: of the locks that they wait for, one
//! has the lowest rank. Its holder waits for another of them, which by L4 ranks above all that the
//! holder has; and so does the holder of that one. Around the circle the ranks would rise for ever. `fork`
//! alone takes several of one rank. One thread at a time does that, with nothing that comes
//! after them, so that their holders wait for what it does not have.
//!
//! `None` costs the caller what it costs it above its own lock: slots and records that a handler gives
//! back may stay unused until their span's heap is gone, or for good, and where there is no
//! other way the handler's allocation is refused. Nothing is done twice, and no count drifts.
//!
//! # Invariants
//!
//! * L1. `holder` is 0 when nobody holds the lock, and otherwise the thread
//!   pointer of the one thread that does.
//! * L2. Only the holder stores 0.
//! * L3. A thread's word has the rank of each lock that it holds; but for the module table's
//!   while it forks, since nothing comes before that. What a handler changes in it, it puts back.
//! * L4. Who waits without end for a lock has only locks of lower ranks; `fork`, of its rank too.
//!
//! `Allocator::fork_prepare` takes all locks.
#![allow(unsafe_code)]

mod held;
#[cfg(shuttle)]
mod switched;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

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

/// A lock's place in the order in which locks are taken, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(loom, allow(dead_code, reason = "most rooms are not there"))]
#[repr(u32)]
pub(crate) enum Rank {
    /// Opening the allocator.
    Opening,
    /// The table of modules.
    #[allow(dead_code, reason = "not every processor has tables to unwind by")]
    Modules,
    /// `fork`.
    Fork,
    /// A heap: a thread's, a common or a private one. `fork` alone has several at once.
    Heap,
    /// The spans of slots of one class. `fork` alone has several at once.
    Shelf,
    /// Large objects in quarantine.
    Runs,
    /// The tables of slots.
    Tables,
    /// The guarded places.
    Guarded,
    /// The idle heaps' lists.
    Idle,
    /// The huge objects.
    Huge,
    /// Giving memory back.
    Purger,
    /// Opening chunks and regions.
    Arena,
    /// Memory for records.
    Meta,
    /// The profiler's tables.
    Sites,
}

impl Rank {
    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// How a thread waits for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// In the order: until it has it.
    Ever,
    /// Against the order: while the holder does not wait itself, and [`SOON`] at most.
    Brief,
    /// As one that can do without: for some milliseconds.
    #[cfg(not(loom))]
    Long,
}

/// Tries of one who waits against the order. A holder that does not wait itself is done
/// long before, where it runs.
const SOON: u32 = 256;
/// Tries between two looks at who waits.
const LOOK: u32 = 16;

/// A spin lock that knows its holder, and its place in the order.
#[derive(Debug)]
pub(crate) struct Lock {
    holder: AtomicUsize,
    /// Times that [`Lock::hold`] found its own thread holding the lock.
    again: AtomicU32,
    rank: Rank,
}

impl Lock {
    #[cfg(not(loom))]
    pub(crate) const fn new(rank: Rank) -> Self {
        Self { holder: AtomicUsize::new(0), again: AtomicU32::new(0), rank }
    }

    #[cfg(loom)]
    pub(crate) fn new(rank: Rank) -> Self {
        Self { holder: AtomicUsize::new(0), again: AtomicU32::new(0), rank }
    }

    /// Its place in the order.
    #[cfg(test)]
    #[cfg_attr(any(loom, shuttle), allow(dead_code, reason = "the tests that ask are not there"))]
    pub(crate) fn rank(&self) -> Rank {
        self.rank
    }

    /// Waits for the lock. `None` when this very thread holds it, and when this thread has a
    /// lock that comes at or after this one in the order and does not get this one soon:
    /// either way the caller runs in a signal handler above the code that does.
    #[inline]
    pub(crate) fn lock(&self) -> Option<Guard<'_>> {
        let before = self.enter();
        // There are no signal handlers in a play: who is out of order there has a mistake.
        #[cfg(shuttle)]
        assert!(before < self.rank.bit() || self.is_mine(), "{:?} after {before:b}", self.rank);
        if self.exchange().is_ok() || self.wait(patience(before < self.rank.bit())) {
            return Some(Guard { lock: self, before });
        }
        self.leave(before);
        None
    }

    /// Waits for the lock, but not for ever. For a signal handler that can do without, whatever
    /// it stands above.
    #[cfg(not(loom))]
    pub(crate) fn lock_soon(&self) -> Option<Guard<'_>> {
        let before = self.enter();
        if self.wait(Patience::Long) {
            return Some(Guard { lock: self, before });
        }
        self.leave(before);
        None
    }

    /// Takes the lock if nobody holds it.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<Guard<'_>> {
        let before = self.enter();
        if self.exchange().is_ok() {
            return Some(Guard { lock: self, before });
        }
        self.leave(before);
        None
    }

    /// Notes that this thread is about to have the lock (L3). Returns what it had.
    #[inline]
    fn enter(&self) -> u32 {
        let before = held::get();
        held::set(before | self.rank.bit());
        before
    }

    /// Undoes [`Lock::enter`], which has returned `before`.
    #[inline]
    fn leave(&self, before: u32) {
        held::set(held::get() & (before | !self.rank.bit()));
    }

    /// Takes the lock if nobody holds it; says who does otherwise.
    #[inline]
    fn exchange(&self) -> Result<usize, usize> {
        // ORDERING: Acquire on success pairs with the Release in `unlock`: what
        // the last holder wrote is ours to read. Relaxed on failure: we only
        // compare the holder with ourselves, and our own store we always see.
        self.holder.compare_exchange(0, this_thread(), Ordering::Acquire, Ordering::Relaxed)
    }

    /// Takes the lock when its holder gives it up. False when that is this thread, and when
    /// patience ends.
    #[cold]
    fn wait(&self, patience: Patience) -> bool {
        let (me, mut spins) = (this_thread(), 0u32);
        let most = match patience {
            Patience::Ever => u32::MAX,
            Patience::Brief => SOON,
            #[cfg(not(loom))]
            Patience::Long => 1 << 12,
        };
        let done = loop {
            match self.exchange() {
                Ok(_) => break true,
                Err(holder) if holder == me => break false,
                Err(_) if spins >= most => break false,
                Err(holder) if spins % LOOK == LOOK - 1 => {
                    if patience == Patience::Brief && waiting::is_in(holder) {
                        break false;
                    }
                    waiting::enter(me);
                }
                Err(_) => {}
            }
            // Comes around: who waits for ever still looks and yields.
            spins = if spins == u32::MAX - 1 { SOON } else { spins + 1 };
            relax(spins);
        };
        if spins >= LOOK {
            waiting::leave(me);
        }
        done
    }

    /// True when this thread holds the lock.
    #[cfg(not(loom))]
    pub(crate) fn is_mine(&self) -> bool {
        // ORDERING: Relaxed, our own store we always see, and another's never matches.
        self.holder.load(Ordering::Relaxed) == this_thread()
    }

    fn unlock(&self) {
        // ORDERING: Release pairs with the Acquire in `exchange`.
        self.holder.store(0, Ordering::Release);
    }

    /// Takes the lock and keeps it beyond this call, for `fork`. When this thread
    /// holds it already (a handler that forks), remembers not to give it up. Others of the same
    /// rank may be held: `fork` alone does that, and one thread at a time. False when the
    /// lock can't be had: a handler forks above a lock that comes after this one.
    #[cfg(not(loom))]
    pub(crate) fn hold(&self) -> bool {
        let before = self.enter();
        if self.is_mine() {
            // ORDERING: Relaxed, only the holder's thread reads it.
            self.again.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let done = self.wait(patience(before < self.rank.bit() << 1));
        if !done {
            self.leave(before);
        }
        done
    }

    /// In the child of a fork, where nobody else runs: frees a lock whose holder did
    /// not come along.
    #[cfg(not(loom))]
    pub(crate) fn release_lost(&self) {
        // ORDERING: Relaxed, the child has one thread.
        let holder = self.holder.load(Ordering::Relaxed);
        if holder != 0 && holder != this_thread() {
            // ORDERING: Relaxed, as above.
            self.again.store(0, Ordering::Relaxed);
            self.unlock();
        }
    }

    /// Undoes one [`Lock::hold`]; nothing, where that was false. In the child of a fork the
    /// holder is the same thread under the same thread pointer. The thread counts as having a lock of this rank
    /// until [`put_back`].
    #[cfg(not(loom))]
    pub(crate) fn unhold(&self) {
        if !self.is_mine() {
            return;
        }
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

const fn patience(in_order: bool) -> Patience {
    if in_order { Patience::Ever } else { Patience::Brief }
}

/// Who waits for a lock, by a hash of the thread: a hint. One that is missing costs a handler
/// some tries, one too many a lock that it would have got.
#[cfg(not(loom))]
mod waiting {
    use super::{AtomicUsize, Ordering};

    const PLACES: usize = 64;
    static THREADS: [AtomicUsize; PLACES] = [const { AtomicUsize::new(0) }; PLACES];

    fn place(thread: usize) -> &'static AtomicUsize {
        let [first, ..] = &THREADS;
        // Thread pointers lie pages apart.
        let hash = (thread >> 12).wrapping_mul(0x9E37_79B9) >> 8;
        THREADS.get(hash % PLACES).unwrap_or(first)
    }

    pub(super) fn enter(thread: usize) {
        // ORDERING: Relaxed, a hint.
        place(thread).store(thread, Ordering::Relaxed);
    }

    pub(super) fn leave(thread: usize) {
        // ORDERING: Relaxed on all, a hint; another thread's stays.
        let _found =
            place(thread).compare_exchange(thread, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(super) fn is_in(thread: usize) -> bool {
        // ORDERING: Relaxed, a hint.
        place(thread).load(Ordering::Relaxed) == thread
    }
}

#[cfg(loom)]
mod waiting {
    pub(super) fn enter(_: usize) {}
    pub(super) fn leave(_: usize) {}
    pub(super) fn is_in(_: usize) -> bool {
        false
    }
}

/// The lock, held. Dropping it unlocks.
#[derive(Debug)]
pub(crate) struct Guard<'a> {
    lock: &'a Lock,
    /// The ranks that the thread had before.
    before: u32,
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.lock.unlock();
        self.lock.leave(self.before);
    }
}

/// The ranks of the locks that this thread has, for [`put_back`].
#[cfg(not(loom))]
pub(crate) fn held() -> u32 {
    held::get()
}

/// After `fork` has given up what it held: the thread has the locks that it had before.
#[cfg(not(loom))]
pub(crate) fn put_back(before: u32) {
    held::set(before);
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
#[inline(always)]
pub(crate) fn compiler_barrier() {
    // ORDERING: SeqCst, but for the compiler alone; no other thread is meant.
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
}
