//! Trace: the last requests, in a ring.
//!
//! For the question what happened just before: no file, no lock, no memory but
//! the ring, and so usable where nothing else is.
//!
//! ```text
//!   head: requests so far
//!     |
//!     v
//!   [ n-2 ][ n-1 ][ n-8 ][ n-7 ] ...   a slot: its state, and the event's words
//! ```
//!
//! # Invariants
//!
//! * T1. A slot's state is 0 (empty), odd (being written by one thread), or even
//!   (the event that it names is whole).
//! * T2. A slot's words are written only by the thread that made its state odd,
//!   and that thread makes it even afterwards.
//!
//! A reader that finds the same even state before and after has read a whole
//! event. A writer that finds its slot odd drops its event and counts it as
//! lost: that takes a thread that sleeps through a whole turn of the ring.
#![allow(unsafe_code)]

use super::{Observer, Request, Watched};
use crate::number::{Number, Shared};
use core::cell::Cell;
use core::ptr::NonNull;

/// An allocator that keeps its last `N` requests: see [`Trace::events`].
///
/// ```
/// use allod_kit::{Allocator, FromGlobal, Request, Trace};
/// use std::alloc::{Layout, System};
///
/// let heap: Trace<_, 4> = Trace::new(FromGlobal::new(System));
/// let layout = Layout::new::<u64>();
/// for _ in 0..10 {
///     let block = heap.allocate(layout)?;
///     // SAFETY: the block is `heap`'s, of this layout, and not used again.
///     unsafe { heap.deallocate(block.cast(), layout) };
/// }
/// let kept: Vec<_> = heap.events().collect();
/// assert_eq!(kept.len(), 4);
/// assert_eq!(kept.last().unwrap().number, 20);
/// assert!(matches!(kept.last().unwrap().kind, allod_kit::EventKind::Deallocate));
/// # Ok::<(), allod_kit::AllocError>(())
/// ```
///
/// # What it costs
///
/// *Time.* For a request one addition, one exchange, and the writing of ten words.
/// *Memory.* Ten words for each of `N`.
///
/// # When not to use it
///
/// To learn how much is allocated: [`Count`](crate::Count) costs a fifth of it.
/// Between threads that allocate all the time: they share the numbers.
pub type Trace<A, const N: usize, W = Shared> = Watched<A, Ring<N, W>>;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the operations of `Allocator`")]
pub enum EventKind {
    Allocate,
    AllocateZeroed,
    Deallocate,
    Reallocate,
    ReallocateInPlace,
}

/// A request that was carried out or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Counted from 1.
    pub number: usize,
    /// What was asked for.
    pub kind: EventKind,
    /// Address of the block that there was; 0 if none.
    pub old_block: usize,
    /// Its size.
    pub old_size: usize,
    /// Address of the block that there is now; 0 if none, or if refused.
    pub new_block: usize,
    /// Its size, or the one that was asked for.
    pub new_size: usize,
    /// The alignment that was asked for.
    pub align: usize,
}

/// The ring. See [`Trace`].
#[derive(Debug)]
#[repr(C)]
pub struct Ring<const N: usize, W> {
    head: W,
    lost: W,
    slots: [Slot<W>; N],
}

#[derive(Debug)]
#[repr(C)]
struct Slot<W> {
    state: W,
    kind: W,
    old_block: W,
    old_size: W,
    new_block: W,
    new_size: W,
    align: W,
}

impl<W: Number> Slot<W> {
    const NEW: Self = Slot {
        state: W::ZERO,
        kind: W::ZERO,
        old_block: W::ZERO,
        old_size: W::ZERO,
        new_block: W::ZERO,
        new_size: W::ZERO,
        align: W::ZERO,
    };
}

impl<const N: usize, W: Number> Ring<N, W> {
    const NEW: Self = {
        assert!(N > 0, "a ring has a slot");
        Ring { head: W::ZERO, lost: W::ZERO, slots: [const { Slot::NEW }; N] }
    };

    fn slot(&self, number: usize) -> Option<&Slot<W>> {
        number.checked_rem(N).and_then(|at| self.slots.get(at))
    }

    fn record(&self, event: &Event) {
        let number = self.head.add(1);
        let Some(slot) = self.slot(number) else { return };
        // T2: an odd state is another thread's.
        let writing = number.wrapping_mul(2).wrapping_sub(1);
        if !slot.state.update(|state| state.is_multiple_of(2).then_some(writing)) {
            self.lost.add(1);
            return;
        }
        slot.kind.publish(event.kind as usize);
        slot.old_block.publish(event.old_block);
        slot.old_size.publish(event.old_size);
        slot.new_block.publish(event.new_block);
        slot.new_size.publish(event.new_size);
        slot.align.publish(event.align);
        slot.state.publish(writing.wrapping_add(1));
    }

    fn event(&self, number: usize) -> Option<Event> {
        let slot = self.slot(number)?;
        let whole = number.wrapping_mul(2);
        if slot.state.observe() != whole {
            return None;
        }
        let event = Event {
            number,
            kind: match slot.kind.observe() {
                0 => EventKind::Allocate,
                1 => EventKind::AllocateZeroed,
                2 => EventKind::Deallocate,
                3 => EventKind::Reallocate,
                _ => EventKind::ReallocateInPlace,
            },
            old_block: slot.old_block.observe(),
            old_size: slot.old_size.observe(),
            new_block: slot.new_block.observe(),
            new_size: slot.new_size.observe(),
            align: slot.align.observe(),
        };
        // A writer makes the state odd before it writes a word, so whoever has
        // seen a new word sees that.
        (slot.state.observe() == whole).then_some(event)
    }
}

impl<A, const N: usize> Trace<A, N> {
    /// Nothing has happened yet. Threads may share it.
    pub const fn new(inner: A) -> Self {
        Watched::with(inner, Ring::NEW)
    }
}

impl<A, const N: usize> Trace<A, N, Cell<usize>> {
    /// Nothing has happened yet. For one thread: the wrapper is not `Sync`.
    pub const fn local(inner: A) -> Self {
        Watched::with(inner, Ring::NEW)
    }
}

impl<A, const N: usize, W: Number> Trace<A, N, W> {
    /// The last requests, the oldest first. What other threads overwrite in the
    /// meantime is left out.
    pub fn events(&self) -> impl Iterator<Item = Event> {
        let ring = self.observer();
        let head = ring.head.get();
        (0..N.min(head)).rev().filter_map(move |back| ring.event(head - back))
    }

    /// Requests so far.
    #[must_use]
    pub fn recorded(&self) -> usize {
        self.observer().head.get()
    }

    /// Requests that are in no slot, because a thread slept in theirs.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.observer().lost.get()
    }
}

// SAFETY: stores do not unwind.
unsafe impl<const N: usize, W: Number> Observer for Ring<N, W> {
    fn saw(&self, request: &Request, block: Option<NonNull<u8>>) {
        let (kind, old_block, layout) = match *request {
            Request::Allocate { layout, zeroed: false } => (EventKind::Allocate, None, layout),
            Request::Allocate { layout, zeroed: true } => (EventKind::AllocateZeroed, None, layout),
            Request::Deallocate { block, layout } => (EventKind::Deallocate, Some(block), layout),
            Request::Reallocate { block, new, in_place: false, .. } => {
                (EventKind::Reallocate, Some(block), new)
            }
            Request::Reallocate { block, new, in_place: true, .. } => {
                (EventKind::ReallocateInPlace, Some(block), new)
            }
        };
        let address = |block: Option<NonNull<u8>>| block.map_or(0, |block| block.addr().get());
        self.record(&Event {
            number: 0,
            kind,
            old_block: address(old_block),
            old_size: request.old_size(),
            new_block: address(block),
            new_size: request.new_size(),
            align: layout.align(),
        });
    }
}
