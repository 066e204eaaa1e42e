//! The scopes that are open, and the observer that counts for them.
//!
//! Each scope has a counter of its own, the same that [`Count`](crate::Count) has: so
//! they may nest and overlap as they like, and no one's peak disturbs another's.
//! Scopes of the process have theirs in a table beside the allocator; scopes of a
//! thread in a table of the thread's, whose rows say of which allocator they are. A
//! word of bits says which rows are in use: zero most of the time.
//!
//! ```text
//!   Scopes, beside the allocator         thread-local
//!   taken  ..11   rows claimed           open  ...1
//!   open   ..01   rows that count        row 0 of that allocator, counter
//!   row 0  counter                       ...
//! ```
//!
//! # Invariants
//!
//! * T1. A row of the process is begun by the one who claimed its bit in `taken`, before
//!   its bit in `open` is set; it is closed in the opposite order.
//! * T2. Nothing here allocates: this runs inside the allocator. The thread's table is
//!   made of constants and has nothing to drop, so it is there from the thread's
//!   beginning to its end.
#![allow(unsafe_code)]

use super::Figures;
use crate::wrap::{Counter, Observer, Peak, Request};
use core::cell::Cell;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering};
use std::thread_local;

type Shared = Counter<AtomicUsize, Peak<AtomicUsize>>;
type Own = Counter<Cell<usize>, Peak<Cell<usize>>>;

/// Scopes of the process that may be open: one for each bit.
const SHARED: usize = usize::BITS as usize;
/// Scopes of a thread that may be open.
const OWN: usize = 16;

/// The open scopes of one allocator: what makes a [`Counted`](super::Counted) of it.
#[derive(Debug)]
pub struct Scopes {
    taken: AtomicUsize,
    open: AtomicUsize,
    rows: [Shared; SHARED],
}

/// A scope's row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Thread(usize),
    Process(usize),
}

/// The scopes of one thread.
struct Here {
    open: Cell<usize>,
    rows: [Row; OWN],
}

struct Row {
    /// Address of the [`Scopes`] that it is of.
    of: Cell<usize>,
    counter: Own,
}

thread_local! {
    static HERE: Here = const {
        Here {
            open: Cell::new(0),
            rows: [const { Row { of: Cell::new(0), counter: Counter::NEW } }; OWN],
        }
    };
}

/// The places of the bits of a word.
fn bits(mut word: usize) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = (word != 0).then_some(word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(bit)
    })
}

/// The first place below `room` that is not taken.
fn free_place(taken: usize, room: usize) -> Option<usize> {
    let place = taken.trailing_ones() as usize;
    (place < room).then_some(place)
}

impl Scopes {
    pub(super) const fn new() -> Self {
        Scopes {
            taken: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            rows: [const { Counter::NEW }; SHARED],
        }
    }

    fn address(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    pub(super) fn open_of_thread(&self) -> Option<Place> {
        HERE.with(|here| {
            let place = free_place(here.open.get(), OWN)?;
            let row = here.rows.get(place)?;
            row.of.set(self.address());
            row.counter.begin();
            here.open.set(here.open.get() | 1 << place);
            Some(Place::Thread(place))
        })
    }

    pub(super) fn open_of_process(&self) -> Option<Place> {
        let claim = |taken| Some(taken | 1 << free_place(taken, SHARED)?);
        // ORDERING: Acquire pairs with the Release in `close`: the row's last user is done (T1).
        let taken = self.taken.fetch_update(Ordering::Acquire, Ordering::Relaxed, claim).ok()?;
        let place = free_place(taken, SHARED)?;
        self.rows.get(place)?.begin();
        // ORDERING: Release pairs with the Acquire in `saw`: who counts finds the row begun (T1).
        self.open.fetch_or(1 << place, Ordering::Release);
        Some(Place::Process(place))
    }

    pub(super) fn close(&self, place: Place) {
        match place {
            Place::Thread(place) => {
                HERE.with(|here| here.open.set(here.open.get() & !(1 << place)))
            }
            Place::Process(place) => {
                // ORDERING: Relaxed, what others still count there is nobody's.
                self.open.fetch_and(!(1 << place), Ordering::Relaxed);
                // ORDERING: Release pairs with the Acquire in `open_of_process` (T1).
                self.taken.fetch_and(!(1 << place), Ordering::Release);
            }
        }
    }

    pub(super) fn figures(&self, place: Place) -> Figures {
        let tally = match place {
            Place::Thread(place) => HERE.with(|here| here.rows[place].counter.tally()),
            Place::Process(place) => self.rows[place].tally(),
        };
        Figures {
            allocations: tally.came.0,
            bytes: tally.came.1,
            frees: tally.went.0,
            freed_bytes: tally.went.1,
            peak: tally.peak,
            refused: tally.refused,
        }
    }
}

// SAFETY: sums do not unwind, and nothing here asks for memory (T2).
unsafe impl Observer for Scopes {
    const EXACT: bool = <Shared as Observer>::EXACT;

    #[inline]
    fn saw(&self, request: &Request, block: Option<NonNull<u8>>) {
        // ORDERING: Acquire pairs with the Release in `open_of_process` (T1).
        for place in bits(self.open.load(Ordering::Acquire)) {
            if let Some(row) = self.rows.get(place) {
                row.saw(request, block);
            }
        }
        let here = HERE.try_with(|here| {
            for place in bits(here.open.get()) {
                if let Some(row) = here.rows.get(place)
                    && row.of.get() == self.address()
                {
                    row.counter.saw(request, block);
                }
            }
        });
        debug_assert!(here.is_ok(), "T2");
    }
}
