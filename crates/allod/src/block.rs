//! A free block: two words that are ours until the program has them again.
//!
//! ```text
//!   +----------------+----------------+---------------------------
//!   | next block     | mark           | the rest belongs to nobody
//!   +----------------+----------------+---------------------------
//! ```
//!
//! The *mark* is the block's own address mixed with a secret of the process.
//! A free block carries it and an allocated one does not, so a second free
//! of the same block is seen by the first thread that tries it, whichever
//! thread that is, at once. Blocks of 8 bytes have no room for a mark.
//!
//! # Invariants
//!
//! * F1. A block on any list of ours is free, and its first word is the list's.
//! * F2. With checks on, a free block of 16 bytes or more carries its mark from
//!   the moment it is carved or freed until it is handed out.
#![allow(unsafe_code)]

use core::ptr::{self, NonNull};

/// A free block, as the functions below see it: a pointer, and with 16 bytes or
/// more a mark behind it.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Block {
    next: *mut Block,
}

/// True in the build that checks (the default), false in its twin.
pub(crate) const CHECKED: bool = cfg!(not(feature = "unchecked"));

/// The next block of the list that `block` is on.
///
/// # Safety
///
/// `block` is free and ours (F1).
#[inline(always)]
pub(crate) unsafe fn next(block: NonNull<Block>) -> *mut Block {
    // SAFETY: a free block is at least 8 bytes, aligned to 8, and its first word is ours (F1).
    unsafe { block.cast::<*mut Block>().read() }
}

/// Puts `block` before `next` on a list.
///
/// # Safety
///
/// `block` is free and ours (F1).
#[inline(always)]
pub(crate) unsafe fn set_next(block: NonNull<Block>, next: *mut Block) {
    // SAFETY: as for `next`.
    unsafe { block.cast::<*mut Block>().write(next) };
}

/// Where the mark goes.
#[inline(always)]
fn second_word(block: NonNull<Block>) -> *mut usize {
    block.as_ptr().cast::<usize>().wrapping_add(size_of::<*mut Block>() / size_of::<usize>())
}

/// True when `block` carries its mark: it is free already.
///
/// # Safety
///
/// `block` is a block of 16 bytes or more in a span of ours.
#[inline(always)]
pub(crate) unsafe fn is_marked(block: NonNull<Block>, secret: usize) -> bool {
    // SAFETY: 16 bytes of the block are readable.
    let mark = unsafe { second_word(block).read() };
    mark == secret ^ block.as_ptr().addr()
}

/// Marks `block` as free.
///
/// # Safety
///
/// `block` is free, ours, and of 16 bytes or more.
#[inline(always)]
pub(crate) unsafe fn mark(block: NonNull<Block>, secret: usize) {
    // SAFETY: 16 bytes of the block are ours to write.
    unsafe { second_word(block).write(secret ^ block.as_ptr().addr()) };
}

/// Takes the mark off, as the block is handed out.
///
/// # Safety
///
/// As for [`mark`].
#[inline(always)]
pub(crate) unsafe fn unmark(block: NonNull<Block>) {
    // SAFETY: 16 bytes of the block are ours to write.
    unsafe { second_word(block).write(0) };
}

/// A list of free blocks with both its ends, to be spliced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    /// Null for the empty list.
    pub(crate) head: *mut Block,
    /// Meaningless for the empty list.
    pub(crate) tail: *mut Block,
    pub(crate) count: usize,
}

impl List {
    pub(crate) const EMPTY: Self = Self { head: ptr::null_mut(), tail: ptr::null_mut(), count: 0 };

    /// Puts `block` in front.
    ///
    /// # Safety
    ///
    /// `block` is free, ours, and on no list.
    #[inline(always)]
    pub(crate) unsafe fn push(&mut self, block: NonNull<Block>) {
        // SAFETY: the caller gives us the block.
        unsafe { set_next(block, self.head) };
        if self.count == 0 {
            self.tail = block.as_ptr();
        }
        self.head = block.as_ptr();
        self.count += 1;
    }
}
