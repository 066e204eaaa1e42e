//! A block from `malloc` that knows what it should hold.
//!
//! The first and the last word of every block carry its stamp. A block that
//! two owners got, or that lost its bytes, is found when it is freed.
#![expect(unsafe_code, reason = "the loads call malloc, realloc and free themselves")]

use std::ptr::NonNull;
use std::time::{Duration, Instant};

/// What a call gives, and how long it took.
fn timed<T>(call: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let result = call();
    (result, begin.elapsed())
}

/// Bytes of a stamp.
const WORD: usize = size_of::<u64>();
/// The least size of a block: one stamp.
pub(crate) const LEAST: usize = WORD;

/// A block of memory. Its contents are its own until it is freed.
#[derive(Debug)]
pub(crate) struct Block {
    /// Invariant B1: from `malloc` or `realloc`, not freed, `size` bytes, aligned to a word.
    memory: NonNull<u64>,
    size: usize,
    stamp: u64,
}

// SAFETY: nobody else has the pointer, and malloc's memory is of no thread.
unsafe impl Send for Block {}

impl Block {
    /// Allocates `size` bytes and stamps them.
    pub(crate) fn new(size: usize, stamp: u64) -> Block {
        assert!(size >= LEAST, "a block has room for its stamp");
        Block::stamped(Block::malloc(size), size, stamp)
    }

    /// The same, and how long `malloc` alone took.
    pub(crate) fn new_timed(size: usize, stamp: u64) -> (Block, Duration) {
        assert!(size >= LEAST, "a block has room for its stamp");
        let (memory, time) = timed(|| Block::malloc(size));
        (Block::stamped(memory, size, stamp), time)
    }

    fn malloc(size: usize) -> *mut libc::c_void {
        // SAFETY: any size may be asked for.
        unsafe { libc::malloc(size) }
    }

    /// A block out of memory that `malloc` gave for it.
    fn stamped(memory: *mut libc::c_void, size: usize, stamp: u64) -> Block {
        let block = Block { memory: Self::not_null(memory, size), size, stamp };
        block.write_stamps();
        block
    }

    /// Allocates `size` bytes at a multiple of `align` and stamps them.
    pub(crate) fn aligned(size: usize, align: usize, stamp: u64) -> Block {
        assert!(size >= LEAST, "a block has room for its stamp");
        let mut memory = std::ptr::null_mut();
        // SAFETY: any size and alignment may be asked for, and the place is ours.
        let error = unsafe { libc::posix_memalign(&raw mut memory, align, size) };
        assert!(error == 0, "no memory for {size} bytes at a multiple of {align}");
        assert!(memory.addr().is_multiple_of(align), "{memory:p} is no multiple of {align}");
        Block::stamped(memory, size, stamp)
    }

    /// How many bytes were asked for.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Writes one word in each page that ends after `from`.
    pub(crate) fn touch(&self, from: usize) {
        self.pages(from).for_each(|at| self.put(at, self.stamp));
        self.write_stamps();
    }

    /// Checks the word in each page of a block that was touched whole.
    pub(crate) fn check_pages(&self) {
        self.pages(0).for_each(|at| assert_eq!(self.get(at), self.stamp, "the word at {at}"));
    }

    /// Where each page starts whose first word was not in the first `from` bytes.
    fn pages(&self, from: usize) -> impl Iterator<Item = usize> + use<> {
        const PAGE: usize = 4096;
        let first = from.saturating_sub(WORD - 1).next_multiple_of(PAGE);
        (first..=self.size - WORD).step_by(PAGE)
    }

    /// Changes the size. The stamp at the old end is checked and moves.
    pub(crate) fn resize(&mut self, size: usize) {
        let memory = self.realloc(size);
        self.moved(memory, size);
    }

    /// The same, and returns how long `realloc` alone took, with the look at both stamps.
    pub(crate) fn resize_timed(&mut self, size: usize) -> Duration {
        let (memory, time) = timed(|| self.realloc(size));
        self.moved(memory, size);
        time
    }

    /// Calls `realloc`. What it returns is the block's memory from now on, and is to
    /// be given to [`Block::moved`].
    fn realloc(&self, size: usize) -> *mut libc::c_void {
        assert!(size >= LEAST, "a block has room for its stamp");
        self.check();
        // SAFETY: the block is ours (B1), and after this only the new pointer is used.
        unsafe { libc::realloc(self.memory.as_ptr().cast(), size) }
    }

    /// Takes the memory that `realloc` gave.
    fn moved(&mut self, memory: *mut libc::c_void, size: usize) {
        self.memory = Self::not_null(memory, size);
        assert_eq!(self.get(0), self.stamp, "realloc kept the contents");
        self.size = size;
        self.write_stamps();
    }

    /// Checks the contents and frees. Returns a part of a checksum.
    pub(crate) fn free(self) -> u64 {
        self.check();
        // SAFETY: the block is ours (B1), and `self` is gone after this.
        unsafe { libc::free(self.memory.as_ptr().cast()) };
        self.part()
    }

    /// The same, and how long `free` alone took.
    pub(crate) fn free_timed(self) -> (u64, Duration) {
        self.check();
        let memory = self.memory.as_ptr().cast();
        // SAFETY: the block is ours (B1), and `self` is gone after this.
        let ((), time) = timed(|| unsafe { libc::free(memory) });
        (self.part(), time)
    }

    /// What the block adds to a checksum.
    fn part(&self) -> u64 {
        self.stamp.rotate_left(7) ^ self.size as u64
    }

    fn not_null(memory: *mut libc::c_void, size: usize) -> NonNull<u64> {
        let Some(memory) = NonNull::new(memory.cast()) else {
            panic!("no memory for {size} bytes")
        };
        // Less than 16 bytes hold no object that needs more than 8.
        let aligned =
            if size < 16 { memory.is_aligned() } else { memory.cast::<u128>().is_aligned() };
        assert!(aligned, "{memory:p} is no place for {size} bytes");
        memory
    }

    /// Where the last stamp starts: the last word that is aligned.
    fn last(&self) -> usize {
        (self.size - WORD) / WORD * WORD
    }

    fn write_stamps(&self) {
        self.put(0, self.stamp);
        self.put(self.last(), self.stamp);
    }

    fn check(&self) {
        assert_eq!(self.get(0), self.stamp, "the first word of {} bytes", self.size);
        assert_eq!(self.get(self.last()), self.stamp, "the last word of {} bytes", self.size);
    }

    fn put(&self, at: usize, value: u64) {
        assert!(at.is_multiple_of(WORD) && at + WORD <= self.size, "inside the block");
        // SAFETY: `at` is inside the block, by the assertion, and the block is ours (B1).
        let place = unsafe { self.memory.byte_add(at) };
        // SAFETY: the place is in the block and aligned to a word, by the same assertion.
        unsafe { place.write_volatile(value) };
    }

    fn get(&self, at: usize) -> u64 {
        assert!(at.is_multiple_of(WORD) && at + WORD <= self.size, "inside the block");
        // SAFETY: `at` is inside the block, by the assertion, and the block is ours (B1).
        let place = unsafe { self.memory.byte_add(at) };
        // SAFETY: both stamps and each page's word are written before they are read.
        unsafe { place.read_volatile() }
    }
}
