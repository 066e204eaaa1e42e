//! The test kit itself is tested on allocators that are broken on purpose: one
//! flaw for each promise. The check has to find the flaw, name it, and show it
//! by a program as short as can be.
//!
//! All memory comes from the system's allocator with room to spare, so that no
//! flaw harms this process.
#![allow(unsafe_code)]

use allod_kit::conformance::{Alone as _, Check, Finding, Probe, examine};
use allod_kit::model::{Bounds, Fault, Op, run};
use allod_kit::{AllocError, Allocator, FromGlobal, nothing};
use std::alloc::{Layout, System};
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::thread::{self, ThreadId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// Alignments above 16 are not kept.
    WeakAlignment,
    /// A block begins one byte before the end of the last one.
    OneByteShared,
    /// A slice of one byte less than asked for.
    OneByteShort,
    /// The block that was allocated last is written to by the next allocation.
    Scribbles,
    /// Growing copies half of the bytes.
    CopiesHalf,
    /// "In place" moves.
    Moves,
    /// A refusal in place has written already.
    RefusesTooLate,
    /// Zeroed memory is not zeroed.
    NotZeroed,
    /// Layouts of size 0 get the same address whatever their alignment.
    NothingAtOne,
    /// Usable is half of the size.
    UsableHalf,
    /// Blocks given back by the returned length are lost.
    LosesLongest,
    /// A size near the end wraps to a small one.
    Wraps,
    /// Blocks of more than 1000 bytes are not counted back.
    Leaks,
    /// Zeroed memory of large alignment is not zeroed at the end.
    ForgetsLastZero,
}

/// Bytes beyond each block that nobody owns.
const SPARE: usize = 128;
/// What a flaw that loses memory has to lose from.
const CAPACITY: usize = 1 << 20;

struct Broken {
    flaw: Flaw,
    system: FromGlobal<System>,
    used: Cell<usize>,
    last: Cell<Option<NonNull<u8>>>,
    /// Memory that blocks are cut from, for the flaw that needs neighbours.
    buffer: NonNull<[u8]>,
    next: Cell<usize>,
}

const BUFFER: Layout = match Layout::from_size_align(1 << 24, 4096) {
    Ok(layout) => layout,
    Err(_) => panic!("a size and an alignment that exist"),
};

impl Broken {
    fn new(flaw: Flaw) -> Self {
        let system = FromGlobal::new(System);
        let buffer = system.allocate(BUFFER).expect("the system has memory");
        Broken {
            flaw,
            system,
            used: Cell::new(0),
            last: Cell::new(None),
            buffer,
            next: Cell::new(1),
        }
    }

    /// The length that is returned: sizes round up to 16.
    fn length(size: usize) -> usize {
        size.next_multiple_of(16)
    }

    fn whole(layout: Layout) -> Layout {
        Layout::from_size_align(Self::length(layout.size()) + SPARE, layout.align().max(32))
            .expect("a layout with a little more room")
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        // SAFETY: the buffer is ours and its blocks are gone.
        unsafe { self.system.deallocate(self.buffer.cast(), BUFFER) };
    }
}

// SAFETY: it promises nothing. Only the test kit uses it, which believes nothing.
unsafe impl Allocator for Broken {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let mut layout = layout;
        if layout.size() > usize::MAX / 4 {
            if self.flaw != Flaw::Wraps {
                return Err(AllocError);
            }
            layout = Layout::new::<u8>();
        }
        if layout.size() == 0 && self.flaw == Flaw::NothingAtOne {
            return Ok(NonNull::slice_from_raw_parts(NonNull::dangling(), 0));
        }
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        if self.flaw == Flaw::OneByteShared {
            let start = (self.next.get() - 1).next_multiple_of(layout.align());
            let end = start + layout.size();
            if end > BUFFER.size() {
                return Err(AllocError);
            }
            self.next.set(end);
            // SAFETY: the start is within the buffer.
            let block = unsafe { self.buffer.cast::<u8>().add(start) };
            return Ok(NonNull::slice_from_raw_parts(block, layout.size()));
        }
        if self.used.get() + Self::length(layout.size()) > CAPACITY {
            return Err(AllocError);
        }
        self.used.set(self.used.get() + Self::length(layout.size()));
        let mut block = self.system.allocate(Self::whole(layout))?.cast::<u8>();
        if self.flaw == Flaw::WeakAlignment && layout.align() > 16 {
            // SAFETY: there is room to spare.
            block = unsafe { block.add(16) };
        }
        if let (Flaw::Scribbles, Some(last)) = (self.flaw, self.last.replace(Some(block))) {
            // SAFETY: the last block is live and has a byte.
            let byte = unsafe { last.as_ref() };
            let other = !byte;
            // SAFETY: the same.
            unsafe { last.write(other) };
        }
        let length = match self.flaw {
            Flaw::OneByteShort => layout.size() - 1,
            _ => Self::length(layout.size()),
        };
        Ok(NonNull::slice_from_raw_parts(block, length))
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let given = self.allocate(layout)?;
        let skipped = match self.flaw {
            Flaw::NotZeroed => given.len(),
            Flaw::ForgetsLastZero if layout.align() >= 32 => 1.min(given.len()),
            _ => 0,
        };
        // SAFETY: the whole block is ours.
        unsafe { given.cast::<u8>().write_bytes(0xaa, given.len()) };
        // SAFETY: the same.
        unsafe { given.cast::<u8>().write_bytes(0, given.len() - skipped) };
        Ok(given)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() == 0 || self.flaw == Flaw::OneByteShared {
            return;
        }
        if self.last.get() == Some(block) {
            self.last.set(None);
        }
        let lost = match self.flaw {
            Flaw::LosesLongest => layout.size().is_multiple_of(16),
            Flaw::Leaks => layout.size() > 1000,
            _ => false,
        };
        if !lost {
            self.used.set(self.used.get() - Self::length(layout.size()));
        }
        let weak = self.flaw == Flaw::WeakAlignment && layout.align() > 16;
        let added = if weak { 16 } else { 0 };
        // SAFETY: undoes what was added above.
        let block = unsafe { block.sub(added) };
        // SAFETY: all sizes that fit have this layout in the system's allocator.
        unsafe { self.system.deallocate(block, Self::whole(layout)) };
    }

    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let other = self.allocate(new)?;
        let count = old.size().min(new.size());
        let count = if self.flaw == Flaw::CopiesHalf { count / 2 } else { count };
        // SAFETY: both have room for that many bytes.
        unsafe { block.copy_to(other.cast(), count) };
        // SAFETY: it was allocated here.
        unsafe { self.deallocate(block, old) };
        Ok(other)
    }

    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        match self.flaw {
            // SAFETY: the caller's promise.
            Flaw::Moves => unsafe { self.reallocate(block, old, new) },
            Flaw::RefusesTooLate if old.size() > 0 => {
                // SAFETY: the block has a byte, and it is written.
                let other = !unsafe { block.read() };
                // SAFETY: the same.
                unsafe { block.write(other) };
                Err(AllocError)
            }
            _ => Err(AllocError),
        }
    }

    unsafe fn usable_size(&self, _: NonNull<u8>, layout: Layout) -> usize {
        match self.flaw {
            Flaw::UsableHalf => layout.size() / 2,
            Flaw::OneByteShared => layout.size(),
            _ => Self::length(layout.size()),
        }
    }
}

/// What one flaw is allowed to have promised.
const BOUNDS: Bounds = Bounds::new().size(4096).align(64).total(CAPACITY / 2);

fn look(check: Check, flaw: Flaw) -> Result<(), Finding> {
    examine(check, BOUNDS, &mut |program| run(&Broken::new(flaw), BOUNDS, program, &|_| ()))
}

/// The finding, which has to be there, has to be this fault, and has to be
/// shown in no more operations than this.
#[track_caller]
fn assert_found(check: Check, flaw: Flaw, fault: Fault, operations: usize) {
    let Err(finding) = look(check, flaw) else { panic!("{check:?} does not find {flaw:?}") };
    assert_eq!(finding.failure.fault, fault, "{finding}");
    assert!(finding.program.len() <= operations, "not short: {finding}");
}

#[test]
fn alignment_finds_a_weak_one() {
    assert_found(Check::Alignment, Flaw::WeakAlignment, Fault::Misaligned, 1);
}

#[test]
fn alignment_finds_a_short_block() {
    assert_found(Check::Alignment, Flaw::OneByteShort, Fault::Short, 1);
}

#[test]
fn overlap_finds_a_shared_byte() {
    assert_found(Check::Overlap, Flaw::OneByteShared, Fault::Overlap, 2);
}

#[test]
fn contents_finds_a_write_into_another_block() {
    assert_found(Check::Contents, Flaw::Scribbles, Fault::Changed, 2);
}

#[test]
fn growth_finds_a_copy_of_too_little() {
    assert_found(Check::Growth, Flaw::CopiesHalf, Fault::Lost, 2);
}

#[test]
fn in_place_finds_a_move() {
    assert_found(Check::InPlace, Flaw::Moves, Fault::Moved, 2);
}

#[test]
fn in_place_finds_a_refusal_that_comes_too_late() {
    assert_found(Check::InPlace, Flaw::RefusesTooLate, Fault::Changed, 2);
}

#[test]
fn zeroing_finds_what_is_not_zero() {
    assert_found(Check::Zeroing, Flaw::NotZeroed, Fault::NotZero, 1);
}

#[test]
fn no_bytes_finds_a_misaligned_nothing() {
    assert_found(Check::NoBytes, Flaw::NothingAtOne, Fault::Misaligned, 1);
}

#[test]
fn usable_size_finds_one_below_the_length() {
    assert_found(Check::UsableSize, Flaw::UsableHalf, Fault::Usable, 1);
}

#[test]
fn too_large_finds_a_size_that_wraps() {
    assert_found(Check::TooLarge, Flaw::Wraps, Fault::Granted, 1);
}

#[test]
fn exhaustion_finds_lost_memory() {
    let Err(finding) = look(Check::Exhaustion, Flaw::Leaks) else { panic!("not found") };
    assert_eq!(finding.failure.fault, Fault::Refused, "{finding}");
}

#[test]
fn exhaustion_finds_blocks_lost_by_their_length() {
    let Err(finding) = look(Check::Exhaustion, Flaw::LosesLongest) else { panic!("not found") };
    assert_eq!(finding.failure.fault, Fault::Refused, "{finding}");
}

#[test]
fn random_programs_find_what_no_check_was_made_for() {
    assert!(look(Check::Zeroing, Flaw::ForgetsLastZero).is_ok(), "the check has grown: another");
    assert_found(Check::Random, Flaw::ForgetsLastZero, Fault::NotZero, 1);
}

#[test]
fn a_finding_shows_the_program_that_shows_it() {
    let Err(finding) = look(Check::Alignment, Flaw::WeakAlignment) else { panic!("not found") };
    assert_eq!(finding.program, [Op::Allocate { size: 1, align: 32, zeroed: false }]);
    let shown = finding.to_string();
    assert!(shown.contains("    Op::Allocate { size: 1, align: 32, zeroed: false },"), "{shown}");
}

/// Keeps one small block for the next caller, and lets two callers have it.
struct Racy {
    system: FromGlobal<System>,
    kept: AtomicPtr<u8>,
}

const KEPT: Layout = Layout::new::<[u64; 8]>();

impl Racy {
    fn is_kept(layout: Layout) -> bool {
        (1..=KEPT.size()).contains(&layout.size()) && layout.align() <= KEPT.align()
    }
}

// SAFETY: it promises nothing, as above. What two callers get is valid memory.
unsafe impl Allocator for Racy {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() > usize::MAX / 4 {
            return Err(AllocError);
        }
        if !Self::is_kept(layout) {
            return self.system.allocate(layout);
        }
        // ORDERING: pairs with the release in `deallocate`. The flaw is not here
        // but in the two steps.
        if let Some(kept) = NonNull::new(self.kept.load(Ordering::Acquire)) {
            thread::yield_now();
            // ORDERING: nothing is published.
            self.kept.store(std::ptr::null_mut(), Ordering::Relaxed);
            return Ok(NonNull::slice_from_raw_parts(kept, layout.size()));
        }
        let block = self.system.allocate(KEPT)?;
        Ok(NonNull::slice_from_raw_parts(block.cast(), layout.size()))
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.allocate(layout)?;
        // SAFETY: the block is ours.
        unsafe { block.cast::<u8>().write_bytes(0, block.len()) };
        Ok(block)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if Self::is_kept(layout) {
            // What was kept before is lost, not freed: two may have it.
            // ORDERING: pairs with the acquire in `allocate`.
            self.kept.store(block.as_ptr(), Ordering::Release);
        } else {
            // SAFETY: it came from the system's allocator.
            unsafe { self.system.deallocate(block, layout) };
        }
    }

    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let other = self.allocate(new)?;
        // SAFETY: both hold that many bytes.
        unsafe { block.copy_to(other.cast(), old.size().min(new.size())) };
        // SAFETY: it was allocated here.
        unsafe { self.deallocate(block, old) };
        Ok(other)
    }

    unsafe fn reallocate_in_place(
        &self,
        _: NonNull<u8>,
        _: Layout,
        _: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        Err(AllocError)
    }

    unsafe fn usable_size(&self, _: NonNull<u8>, layout: Layout) -> usize {
        layout.size()
    }
}

#[test]
fn threads_find_a_block_that_two_were_given() {
    let racy = Racy { system: FromGlobal::new(System), kept: AtomicPtr::new(std::ptr::null_mut()) };
    let finding = Probe(&racy).threads(Bounds::new().size(256).align(64));
    let fault = finding.map(|it| it.failure.fault);
    assert!(
        matches!(fault, Some(Fault::Changed | Fault::Overlap | Fault::Lost | Fault::NotZero)),
        "{fault:?}"
    );
}

/// Works on the thread it was made on, and yet says that it is `Send`.
struct Homely {
    home: ThreadId,
    calls: AtomicUsize,
}

// SAFETY: all memory is the system's.
unsafe impl Allocator for Homely {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // ORDERING: a counter.
        self.calls.fetch_add(1, Ordering::Relaxed);
        if thread::current().id() != self.home {
            return Err(AllocError);
        }
        FromGlobal::new(System).allocate(layout)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        FromGlobal::new(System).allocate_zeroed(layout)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { FromGlobal::new(System).deallocate(block, layout) };
    }

    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise.
        unsafe { FromGlobal::new(System).reallocate(block, old, new) }
    }

    unsafe fn reallocate_in_place(
        &self,
        _: NonNull<u8>,
        _: Layout,
        _: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        Err(AllocError)
    }

    unsafe fn usable_size(&self, _: NonNull<u8>, layout: Layout) -> usize {
        layout.size()
    }
}

#[test]
fn moved_finds_what_does_not_travel() {
    let homely = Homely { home: thread::current().id(), calls: AtomicUsize::new(0) };
    let finding = Probe(homely).moved(BOUNDS).expect("it does not travel");
    assert_eq!(finding.failure.fault, Fault::Refused, "{finding}");
}

#[test]
fn what_stays_on_its_thread_is_left_alone() {
    let broken = Broken::new(Flaw::Scribbles);
    assert!(Probe(&broken).threads(BOUNDS).is_none(), "it is not `Sync`, so nothing is checked");
    assert!(Probe(broken).moved(BOUNDS).is_none(), "it is not `Send`, so nothing is checked");
}
