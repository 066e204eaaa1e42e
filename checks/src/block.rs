//! One allocation as a value.
//!
//! A [`Block`] owns memory from the process's `malloc` family and knows how
//! much of it was asked for. Filling and checking it is safe, dropping it frees
//! it. What is being tested may of course hand out bad memory: then the check
//! that uses it crashes, in a process of its own, and that is an answer too.
#![allow(unsafe_code)]

use crate::c::{self, Pointer, functions};
use std::ffi::c_int;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// Live memory of the size that was asked for.
#[derive(Debug)]
pub struct Block {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: the memory belongs to the value, and any thread may free it.
unsafe impl Send for Block {}

/// A function that every C library has.
macro_rules! function {
    ($name:ident) => {
        functions().$name.expect(concat!(stringify!($name), " is in every C library"))
    };
}

impl Block {
    /// Takes over what an allocating function returned; `None` for NULL.
    ///
    /// # Safety
    ///
    /// `start` is NULL or a live block of at least `size` bytes, and nobody else's.
    pub unsafe fn from_raw(start: Pointer, size: usize) -> Option<Block> {
        NonNull::new(start.cast()).map(|start| Block { start, size })
    }

    /// Gives the pointer away; nothing is freed.
    pub fn into_raw(self) -> Pointer {
        ManuallyDrop::new(self).start.as_ptr().cast()
    }

    /// `malloc(size)`
    pub fn malloc(size: usize) -> Option<Block> {
        // SAFETY: `malloc` has no conditions.
        let start = unsafe { function!(malloc)(size) };
        // SAFETY: fresh from `malloc`.
        unsafe { Block::from_raw(start, size) }
    }

    /// `calloc(count, size)`
    pub fn calloc(count: usize, size: usize) -> Option<Block> {
        // SAFETY: `calloc` has no conditions.
        let start = unsafe { function!(calloc)(count, size) };
        // SAFETY: fresh from `calloc`. A product that wraps must have given NULL;
        // the checks that ask for one look at nothing else.
        unsafe { Block::from_raw(start, count.wrapping_mul(size)) }
    }

    /// `realloc(NULL, size)`
    pub fn realloc_null(size: usize) -> Option<Block> {
        // SAFETY: NULL is allowed.
        let start = unsafe { function!(realloc)(std::ptr::null_mut(), size) };
        // SAFETY: fresh from `realloc`.
        unsafe { Block::from_raw(start, size) }
    }

    /// `realloc(self, size)`; the old block comes back when it fails.
    ///
    /// # Errors
    ///
    /// The block itself, when `realloc` returned NULL.
    pub fn realloc(self, size: usize) -> Result<Block, Block> {
        assert_ne!(size, 0, "realloc(p, 0) is a free and has a check of its own");
        // SAFETY: the block is live and ours.
        let start = unsafe { function!(realloc)(self.start.as_ptr().cast(), size) };
        // SAFETY: fresh from `realloc`, which took the old block if it gave a new one.
        match unsafe { Block::from_raw(start, size) } {
            Some(block) => {
                self.into_raw();
                Ok(block)
            }
            None => Err(self),
        }
    }

    /// `reallocarray(self, count, size)`; `None` when the process has no such function.
    pub fn reallocarray(self, count: usize, size: usize) -> Option<Result<Block, Block>> {
        let reallocarray = functions().reallocarray?;
        // SAFETY: the block is live and ours.
        let start = unsafe { reallocarray(self.start.as_ptr().cast(), count, size) };
        // SAFETY: as in `realloc`; a wrapping product must have given NULL.
        Some(match unsafe { Block::from_raw(start, count.wrapping_mul(size)) } {
            Some(block) => {
                self.into_raw();
                Ok(block)
            }
            None => Err(self),
        })
    }

    /// `aligned_alloc(align, size)`
    pub fn aligned_alloc(align: usize, size: usize) -> Option<Block> {
        // SAFETY: bad alignments are refused, not undefined (C17, DR 460).
        let start = unsafe { function!(aligned_alloc)(align, size) };
        // SAFETY: fresh from `aligned_alloc`.
        unsafe { Block::from_raw(start, size) }
    }

    /// `memalign(align, size)`
    pub fn memalign(align: usize, size: usize) -> Option<Block> {
        // SAFETY: `memalign` has no conditions.
        let start = unsafe { function!(memalign)(align, size) };
        // SAFETY: fresh from `memalign`.
        unsafe { Block::from_raw(start, size) }
    }

    /// `valloc(size)`
    pub fn valloc(size: usize) -> Option<Block> {
        // SAFETY: `valloc` has no conditions.
        let start = unsafe { function!(valloc)(size) };
        // SAFETY: fresh from `valloc`.
        unsafe { Block::from_raw(start, size) }
    }

    /// `pvalloc(size)`
    pub fn pvalloc(size: usize) -> Option<Block> {
        // SAFETY: `pvalloc` has no conditions.
        let start = unsafe { function!(pvalloc)(size) };
        // SAFETY: fresh from `pvalloc`.
        unsafe { Block::from_raw(start, size) }
    }

    /// `posix_memalign(&out, align, size)`
    ///
    /// # Errors
    ///
    /// The error that it returned.
    pub fn posix_memalign(align: usize, size: usize) -> Result<Block, c_int> {
        let mut out: Pointer = std::ptr::null_mut();
        // SAFETY: `out` can be written.
        let error = unsafe { function!(posix_memalign)(&raw mut out, align, size) };
        if error != 0 {
            return Err(error);
        }
        // SAFETY: fresh from `posix_memalign`.
        unsafe { Block::from_raw(out, size) }.ok_or(libc::EFAULT)
    }

    /// `free_sized`; false when the process has no such function.
    pub fn free_sized(self) -> bool {
        let (size, block) = (self.size, self.into_raw());
        let known = functions().free_sized;
        if let Some(free_sized) = known {
            // SAFETY: the block was live and ours, and this is its size.
            unsafe { free_sized(block, size) };
        }
        known.is_some()
    }

    /// `free_aligned_sized`; false when the process has no such function.
    pub fn free_aligned_sized(self, align: usize) -> bool {
        let (size, block) = (self.size, self.into_raw());
        let known = functions().free_aligned_sized;
        if let Some(free_aligned_sized) = known {
            // SAFETY: the block was live and ours; the caller made it with `align`.
            unsafe { free_aligned_sized(block, align, size) };
        }
        known.is_some()
    }

    /// Where it is.
    pub fn address(&self) -> usize {
        self.start.addr().get()
    }

    /// The bytes that were asked for.
    pub fn size(&self) -> usize {
        self.size
    }

    /// `malloc_usable_size`; every byte of it becomes part of the block.
    pub fn usable(&mut self) -> usize {
        // SAFETY: the block is live and ours.
        let usable = unsafe { function!(malloc_usable_size)(self.start.as_ptr().cast()) };
        self.size = self.size.max(usable);
        usable
    }

    /// Fills it with bytes that follow from `seed` and the place.
    pub fn fill(&mut self, seed: u8) {
        let pattern = Pattern::new(seed);
        for (index, piece) in self.bytes_mut().chunks_mut(PIECE).enumerate() {
            piece.copy_from_slice(&pattern.piece(index)[..piece.len()]);
        }
    }

    /// True when the first `count` bytes are as [`fill`](Self::fill) left them.
    pub fn holds(&self, seed: u8, count: usize) -> bool {
        let pattern = Pattern::new(seed);
        let bytes = &self.bytes()[..count];
        bytes
            .chunks(PIECE)
            .enumerate()
            .all(|(index, piece)| *piece == pattern.piece(index)[..piece.len()])
    }

    /// True when every byte is zero.
    pub fn is_zero(&self) -> bool {
        self.bytes().chunks(PIECE).all(|piece| *piece == [0; PIECE][..piece.len()])
    }

    /// Sets a byte, without touching the others.
    pub fn set(&mut self, place: usize, value: u8) {
        assert!(place < self.size, "inside the block");
        // SAFETY: the place is inside the block.
        let byte = unsafe { self.start.add(place) };
        // SAFETY: as above. Volatile: it is meant to happen.
        unsafe { byte.write_volatile(value) }
    }

    /// Reads a byte.
    pub fn get(&self, place: usize) -> u8 {
        assert!(place < self.size, "inside the block");
        // SAFETY: the place is inside the block.
        let byte = unsafe { self.start.add(place) };
        // SAFETY: as above, and somebody set it.
        unsafe { byte.read_volatile() }
    }

    /// Writes one byte in every `step` bytes.
    pub fn touch(&mut self, step: usize) {
        for place in (0..self.size).step_by(step) {
            self.set(place, 1);
        }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the memory is ours for `size` bytes. It may be fresh, which the
        // compiler cannot know: it came from a function behind a pointer.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.size) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the memory is ours for `size` bytes. It may be fresh, which the
        // compiler cannot know: it came from a function behind a pointer.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.size) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        free(self.start.as_ptr().cast());
    }
}

/// Frees what [`Block::into_raw`] gave away, and leaves `errno` as `free` left it.
fn free(block: Pointer) {
    // SAFETY: only `drop` calls this, with a live block of ours.
    unsafe { function!(free)(block) }
}

/// Looks at `errno` after an allocation that must fail: `Ok` when it did.
///
/// # Errors
///
/// What happened instead, in words.
pub fn refused(what: &str, result: Option<Block>) -> Result<(), String> {
    let errno = c::errno();
    match result {
        Some(block) => Err(format!("{what} gave memory at {:#x}", block.address())),
        None if errno != libc::ENOMEM => Err(format!("{what} gave NULL with errno {errno}")),
        None => Ok(()),
    }
}

/// Bytes that are compared at once: whole memory in single bytes takes too long.
const PIECE: usize = 256;

/// What a filled block holds: each piece of it begins with its own number.
struct Pattern([u8; PIECE]);

impl Pattern {
    fn new(seed: u8) -> Pattern {
        let mut piece = [0; PIECE];
        for (place, byte) in piece.iter_mut().enumerate() {
            *byte = seed.wrapping_add((place as u8).wrapping_mul(31));
        }
        Pattern(piece)
    }

    fn piece(&self, index: usize) -> [u8; PIECE] {
        let mut piece = self.0;
        piece[0] = piece[0].wrapping_add(index as u8);
        piece[1] = piece[1].wrapping_add((index >> 8) as u8);
        piece
    }
}
