//! The shadow: what is live, where it is, and which bytes are in it.
//!
//! Every block is filled to its last usable byte with bytes that follow from a
//! number of its own, and read again whenever an operation touches it, and in
//! the end. So a write through one block into another shows, whether or not
//! the two were seen to overlap.
//!
//! # Invariants
//!
//! * L1. A block in `live` came from `allocator`, with `layout`, and has not
//!   been given back.
//! * L2. Its first `held` bytes are ours and written.
//! * L3. `ranges` has the range of every live block of more than no bytes.
#![allow(unsafe_code)]

use super::{Bounds, Op};
use crate::Allocator;
use core::alloc::Layout;
use core::fmt;
use core::hint::black_box;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use std::collections::BTreeMap;
use std::vec::Vec;

/// What an allocator did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It has refused what its bounds promise.
    Refused,
    /// The block is not aligned as asked.
    Misaligned,
    /// The block has fewer bytes than asked for.
    Short,
    /// The block lies on another live one, or wraps around the address space.
    Overlap,
    /// Bytes of a live block are not as they were written.
    Changed,
    /// Growing or shrinking has lost bytes that both blocks hold.
    Lost,
    /// A zeroed block has bytes that are not 0.
    NotZero,
    /// In place, and yet elsewhere.
    Moved,
    /// Usable bytes are fewer than the block's length.
    Usable,
    /// It has granted the largest layout there is.
    Granted,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Refused => "refused, though its bounds promise it",
            Fault::Misaligned => "the block is not aligned",
            Fault::Short => "the block is shorter than asked for",
            Fault::Overlap => "the block overlaps another one",
            Fault::Changed => "bytes of a live block have changed",
            Fault::Lost => "bytes were lost on the way to the new layout",
            Fault::NotZero => "a zeroed block is not all zeros",
            Fault::Moved => "in place, and yet at another address",
            Fault::Usable => "usable size is less than the block's length",
            Fault::Granted => "granted a block of half the address space",
        })
    }
}

#[derive(Clone, Copy)]
struct Block {
    start: NonNull<u8>,
    layout: Layout,
    /// Length of the slice that was returned.
    len: usize,
    /// Usable bytes.
    held: usize,
    /// What the bytes follow from.
    mark: u32,
}

// SAFETY: a block is memory that its holder owns, on whichever thread.
unsafe impl Send for Block {}

/// What a shadow knows, apart from the allocator: so that an allocator can be
/// moved while its blocks live.
#[derive(Default)]
pub(crate) struct Books {
    bounds: Bounds,
    live: Vec<Block>,
    /// Start and end of every live block that has bytes.
    ranges: BTreeMap<usize, usize>,
    /// What counts against the promised total.
    cost: usize,
    /// Asks for no more than is promised.
    modest: bool,
    next_mark: u32,
}

/// A model of everything that is live in an allocator. See [`super::run`].
pub struct Shadow<'a, A: Allocator> {
    allocator: &'a A,
    books: Books,
}

/// Bytes repeat after so many: a prime, so that what has slipped by a round
/// number is not mistaken for what was there.
const ROW: usize = 251;

/// The first row of bytes of a block with this mark. Whole rows are copied and
/// compared, which is quick also where nothing is optimized.
fn row(mark: u32, count: usize) -> [u8; ROW] {
    let mut row = [0; ROW];
    for (at, place) in (0..).zip(row.iter_mut().take(count)) {
        let [.., high] = mark.wrapping_add(at).wrapping_mul(0x9e37_79b1).to_le_bytes();
        *place = high;
    }
    row
}

impl Block {
    fn fill(&self) {
        let row = row(self.mark, self.held).map(MaybeUninit::new);
        // SAFETY: L2, `held` bytes are ours, and may be uninitialised.
        let bytes = unsafe {
            core::slice::from_raw_parts_mut(
                self.start.cast::<MaybeUninit<u8>>().as_ptr(),
                self.held,
            )
        };
        for part in bytes.chunks_mut(ROW) {
            part.copy_from_slice(row.get(..part.len()).unwrap_or_default());
        }
    }

    /// Whether the first bytes follow from a mark.
    fn holds(&self, mark: u32, count: usize) -> bool {
        let row = row(mark, count);
        // SAFETY: L2, `held` bytes are ours and written; `count` is no more.
        let bytes = unsafe { core::slice::from_raw_parts(self.start.as_ptr(), count) };
        bytes.chunks(ROW).all(|part| row.starts_with(part))
    }
}

impl<'a, A: Allocator> Shadow<'a, A> {
    /// Nothing is live.
    #[must_use]
    pub fn new(allocator: &'a A, bounds: Bounds) -> Self {
        Shadow { allocator, books: Books { bounds, next_mark: 1, ..Books::default() } }
    }

    /// Lets go of the allocator and keeps the blocks.
    pub(crate) fn detach(mut self) -> Books {
        core::mem::take(&mut self.books)
    }

    /// Takes books up again. The allocator is the one they were kept for, or
    /// one that stands for it.
    pub(crate) fn attach(allocator: &'a A, books: Books) -> Self {
        Shadow { allocator, books }
    }

    /// Bytes of all live blocks, as asked for.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.books.live.iter().map(|block| block.layout.size()).sum()
    }

    /// How many blocks are live.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.books.live.len()
    }

    /// Gives its blocks a mark of their own, so that those of two shadows differ.
    #[must_use]
    pub fn marked(mut self, mark: u32) -> Self {
        self.books.next_mark = mark;
        self
    }

    /// Leaves out what is not promised. One of several that share an allocator
    /// could otherwise take what was promised to the others.
    pub(crate) fn modest(mut self) -> Self {
        self.books.modest = true;
        self
    }

    /// Carries out one operation.
    ///
    /// # Errors
    ///
    /// What the allocator did wrong.
    pub fn step(&mut self, op: Op) -> Result<(), Fault> {
        if let Op::Allocate { size, align, .. }
        | Op::Reallocate { size, align, .. }
        | Op::ReallocateInPlace { size, align, .. } = op
            && self.books.modest
            && !self.promised(size, align)
        {
            return Ok(());
        }
        match op {
            Op::Allocate { size, align, zeroed } => self.allocate(size, align, zeroed),
            Op::Deallocate { which, longest } => match self.pick(which) {
                Some(at) => self.deallocate(at, longest),
                None => Ok(()),
            },
            Op::Reallocate { which, size, align } => self.change(which, size, align, false),
            Op::ReallocateInPlace { which, size, align } => self.change(which, size, align, true),
            Op::AllocateHuge { align } => self.huge(align),
            Op::ReallocateHuge { which } => self.change_to_huge(which),
        }
    }

    /// Looks at every byte of every live block.
    ///
    /// # Errors
    ///
    /// A byte has changed.
    pub fn look(&self) -> Result<(), Fault> {
        let whole = |block: &Block| block.holds(block.mark, block.held);
        if self.books.live.iter().all(whole) { Ok(()) } else { Err(Fault::Changed) }
    }

    /// Looks at everything and gives it back.
    ///
    /// # Errors
    ///
    /// A byte has changed.
    pub fn finish(mut self) -> Result<(), Fault> {
        self.look()?;
        while !self.books.live.is_empty() {
            self.deallocate(0, false)?;
        }
        Ok(())
    }

    fn pick(&self, which: usize) -> Option<usize> {
        which.checked_rem(self.books.live.len())
    }

    /// Whether one more such block is promised.
    fn promised(&self, size: usize, align: usize) -> bool {
        let cost = self.books.cost.saturating_add(Bounds::cost(size, align));
        size <= self.books.bounds.size
            && align <= self.books.bounds.align
            && cost <= self.books.bounds.total
    }

    /// Whether a refusal breaks a promise.
    fn refused(&self, size: usize, align: usize) -> Result<(), Fault> {
        if self.promised(size, align) { Err(Fault::Refused) } else { Ok(()) }
    }

    fn allocate(&mut self, size: usize, align: usize, zeroed: bool) -> Result<(), Fault> {
        let Ok(layout) = Layout::from_size_align(size, align) else { return Ok(()) };
        let given = if zeroed {
            self.allocator.allocate_zeroed(layout)
        } else {
            self.allocator.allocate(layout)
        };
        let Ok(given) = black_box(given) else { return self.refused(size, align) };
        let block = self.admit(given, layout)?;
        if zeroed {
            // SAFETY: zeroed, so written by the allocator, if it keeps its word.
            let bytes = unsafe { core::slice::from_raw_parts(block.start.as_ptr(), block.len) };
            if bytes.iter().any(|byte| *byte != 0) {
                return Err(Fault::NotZero);
            }
        }
        block.fill();
        Ok(())
    }

    /// Judges what was returned and takes it in. The bytes are not written yet.
    ///
    /// What fails here is not given back: nobody knows whose it is.
    fn admit(&mut self, given: NonNull<[u8]>, layout: Layout) -> Result<Block, Fault> {
        let start = given.cast::<u8>();
        let address = start.addr().get();
        if !address.is_multiple_of(layout.align()) {
            return Err(Fault::Misaligned);
        }
        if given.len() < layout.size() {
            return Err(Fault::Short);
        }
        // SAFETY: it was just returned for this layout.
        let held = unsafe { self.allocator.usable_size(start, layout) };
        if held < given.len() {
            return Err(Fault::Usable);
        }
        let end = address.checked_add(held).ok_or(Fault::Overlap)?;
        if held > 0 {
            let before = self.books.ranges.range(..end).next_back();
            if before.is_some_and(|(_, other)| *other > address) {
                return Err(Fault::Overlap);
            }
            self.books.ranges.insert(address, end);
        }
        let block = Block { start, layout, len: given.len(), held, mark: self.books.next_mark };
        self.books.next_mark = self.books.next_mark.wrapping_add(0x0001_0001);
        self.books.live.push(block);
        self.books.cost =
            self.books.cost.saturating_add(Bounds::cost(layout.size(), layout.align()));
        Ok(block)
    }

    /// Takes a block out of the books. It is not given back.
    fn dismiss(&mut self, at: usize) -> Block {
        let block = self.books.live.swap_remove(at);
        if block.held > 0 {
            self.books.ranges.remove(&block.start.addr().get());
        }
        if self.books.bounds.reuses {
            self.books.cost -= Bounds::cost(block.layout.size(), block.layout.align());
        }
        block
    }

    fn deallocate(&mut self, at: usize, longest: bool) -> Result<(), Fault> {
        let block = self.dismiss(at);
        if !block.holds(block.mark, block.held) {
            return Err(Fault::Changed);
        }
        let size = if longest { block.len } else { block.layout.size() };
        let layout = Layout::from_size_align(size, block.layout.align()).unwrap_or(block.layout);
        // SAFETY: it was live (L1); a size up to the returned length fits.
        unsafe { self.allocator.deallocate(block.start, layout) };
        Ok(())
    }

    fn change(
        &mut self,
        which: usize,
        size: usize,
        align: usize,
        in_place: bool,
    ) -> Result<(), Fault> {
        let Ok(layout) = Layout::from_size_align(size, align) else { return Ok(()) };
        let Some(at) = self.pick(which) else { return Ok(()) };
        let Some(old) = self.books.live.get(at).copied() else { return Ok(()) };
        if !old.holds(old.mark, old.held) {
            return Err(Fault::Changed);
        }
        let given = if in_place {
            // SAFETY: it is live, with this layout (L1).
            unsafe { self.allocator.reallocate_in_place(old.start, old.layout, layout) }
        } else {
            // SAFETY: it is live, with this layout (L1).
            unsafe { self.allocator.reallocate(old.start, old.layout, layout) }
        };
        let Ok(given) = given else {
            // The block has to be as it was.
            if !old.holds(old.mark, old.held) {
                return Err(Fault::Changed);
            }
            return if in_place { Ok(()) } else { self.refused(size, align) };
        };
        self.dismiss(at);
        if in_place && given.cast::<u8>() != old.start {
            return Err(Fault::Moved);
        }
        let new = self.admit(given, layout)?;
        let kept = old.layout.size().min(size);
        if !new.holds(old.mark, kept) {
            return Err(Fault::Lost);
        }
        new.fill();
        Ok(())
    }

    fn huge(&mut self, align: usize) -> Result<(), Fault> {
        let Some(layout) = largest(align) else { return Ok(()) };
        // Seen by nobody, an allocation need not happen, and then it never fails:
        // optimized, `malloc` behind an allocator said yes to everything.
        let given = black_box(self.allocator.allocate(layout));
        if given.is_ok() { Err(Fault::Granted) } else { Ok(()) }
    }

    fn change_to_huge(&mut self, which: usize) -> Result<(), Fault> {
        let Some(at) = self.pick(which) else { return Ok(()) };
        let Some(block) = self.books.live.get(at).copied() else { return Ok(()) };
        let Some(layout) = largest(block.layout.align()) else { return Ok(()) };
        // SAFETY: it is live, with this layout (L1).
        let moved = unsafe { self.allocator.reallocate(block.start, block.layout, layout) };
        if black_box(moved).is_ok() {
            self.dismiss(at);
            return Err(Fault::Granted);
        }
        // SAFETY: it is still live, since the call above has failed.
        let grown =
            unsafe { self.allocator.reallocate_in_place(block.start, block.layout, layout) };
        if black_box(grown).is_ok() {
            self.dismiss(at);
            return Err(Fault::Granted);
        }
        if block.holds(block.mark, block.held) { Ok(()) } else { Err(Fault::Changed) }
    }
}

/// The largest layout of this alignment.
fn largest(align: usize) -> Option<Layout> {
    let most = isize::MAX.unsigned_abs().checked_sub(align.checked_sub(1)?)?;
    Layout::from_size_align(most, align).ok()
}

impl<A: Allocator> Drop for Shadow<'_, A> {
    fn drop(&mut self) {
        for block in self.books.live.drain(..) {
            // SAFETY: it is live (L1), and nobody uses it again.
            unsafe { self.allocator.deallocate(block.start, block.layout) };
        }
    }
}
