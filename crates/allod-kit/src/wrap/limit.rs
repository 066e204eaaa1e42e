//! Limit: refuses what would pass a number of bytes.
//!
//! For a plugin, a request, or a test of what happens when memory runs out.
#![allow(unsafe_code)]

use super::{Observer, Request, Watched};
use crate::number::{Number, Shared};
use core::cell::Cell;
use core::ptr::NonNull;

/// An allocator that gives no more than so many bytes at a time.
///
/// The bytes are those that were asked for; what the allocator below rounds up
/// to and keeps for itself is not counted. A block that
/// moves counts once, though below it is there twice for a moment.
///
/// ```
/// use allod_kit::{Allocator, FromGlobal, Limit};
/// use std::alloc::{Layout, System};
///
/// let heap = Limit::new(FromGlobal::new(System), 100);
/// assert!(heap.allocate(Layout::new::<[u8; 101]>()).is_err());
/// assert_eq!(heap.used(), 0);
/// ```
///
/// # What it costs
///
/// *Time.* An exchange of one number for an allocation and a subtraction for a
/// free. *Memory.* Two words.
///
/// # When not to use it
///
/// For the memory of the process: it counts what was asked for here, not what is
/// resident.
pub type Limit<A, W = Shared> = Watched<A, Limiter<W>>;

/// The numbers. See [`Limit`].
///
/// # Invariants
///
/// * M1. `used` is the sum of the sizes of all live blocks, and of requests that
///   are being carried out.
#[derive(Debug)]
#[repr(C)]
pub struct Limiter<W> {
    used: W,
    /// What is not to be given: `usize::MAX` less the limit, so that 0 is none.
    withheld: W,
}

impl<A> Limit<A> {
    /// So many bytes for threads that share it.
    pub fn new(inner: A, bytes: usize) -> Self {
        let limited = Self::unlimited(inner);
        limited.set_limit(bytes);
        limited
    }

    /// No limit until [`set_limit`](Limit::set_limit): for a `static`.
    pub const fn unlimited(inner: A) -> Self {
        Watched::with(inner, Limiter { used: Shared::ZERO, withheld: Shared::ZERO })
    }
}

impl<A> Limit<A, Cell<usize>> {
    /// So many bytes for one thread: the wrapper is not `Sync`.
    pub const fn local(inner: A, bytes: usize) -> Self {
        let withheld = Cell::new(usize::MAX - bytes);
        Watched::with(inner, Limiter { used: Cell::new(0), withheld })
    }
}

impl<A, W: Number> Limit<A, W> {
    /// Bytes that are live.
    #[must_use]
    pub fn used(&self) -> usize {
        self.observer().used.get()
    }

    /// Bytes that may be live at a time.
    #[must_use]
    pub fn limit(&self) -> usize {
        usize::MAX - self.observer().withheld.get()
    }

    /// Another limit. May be below what is live: then nothing is given until
    /// enough has come back.
    pub fn set_limit(&self, bytes: usize) {
        self.observer().withheld.set(usize::MAX - bytes);
    }
}

// SAFETY: sums do not unwind.
unsafe impl<W: Number> Observer for Limiter<W> {
    const EXACT: bool = true;

    #[inline]
    fn allow(&self, request: &Request) -> bool {
        let Some(more) = request.new_size().checked_sub(request.old_size()) else { return true };
        let limit = usize::MAX - self.withheld.get();
        self.used.update(|used| used.checked_add(more).filter(|sum| *sum <= limit))
    }

    #[inline]
    fn saw(&self, request: &Request, block: Option<NonNull<u8>>) {
        let (old, new) = (request.old_size(), request.new_size());
        if block.is_some() && new < old {
            self.used.sub(old - new);
        }
    }

    /// Not before: another thread would be given the bytes while they are live.
    #[inline]
    fn came_back(&self, bytes: usize) {
        self.used.sub(bytes);
    }

    #[inline]
    fn refused_below(&self, request: &Request) {
        self.used.sub(request.new_size().saturating_sub(request.old_size()));
    }
}
