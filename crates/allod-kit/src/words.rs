//! A region seen as an array of 32-bit words: how our heaps touch memory.
//!
//! The heaps keep all they know inside the memory they manage: tables and bits
//! at its beginning, links and sizes in free blocks. Nothing stands in or
//! beside a block in use, because whoever frees a block says how large it is.
//! A place is the number of a word in its region, so a link takes 4 bytes on
//! every machine, and a region means the same wherever it lies.
//!
//! ```text
//!   word 0    1           ...           8
//!   +---------+-------------------------+--------+----------------------+
//!   |  links  | header: sizes, and the  | tables | blocks, free and     |
//!   | to none | next region             | & bits | in use               |
//!   +---------+-------------------------+--------+----------------------+
//! ```
//!
//! A region has fewer than 2^32 words: 16 GiB. Word 0 is no block, so 0 is the
//! link to nothing. Words 0 and 1 are there to be written: a block that is the
//! last of its list "tells its successor" without asking whether it has one.
//!
//! # Invariants
//!
//! * W1. The words are one region's: readable and writable through `base`, and
//!   aligned to [`ALIGN`].
//! * W2. Nobody else touches the words that are given to [`Words::get`] and the
//!   other methods: they are the header's, a table's, or a free block's.
//!
//! W2 is promised once, where a `Words` is made, and not at each of the fifty
//! places that read a word: a proof repeated fifty times is not read. The heaps
//! keep it by their own invariants, and their `check` walks these.
#![allow(unsafe_code)]

use core::ptr::NonNull;

/// What a region's start is aligned to, and so every block.
pub(crate) const ALIGN: usize = 16;

/// Bytes in a word.
pub(crate) const WORD: usize = 4;

/// Words at the start of a region that are not the plan's: its header.
pub(crate) const CONTROL: u32 = 8;

/// The words of a region.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    base: NonNull<u32>,
}

impl Words {
    /// The words of the region that starts at `base`.
    ///
    /// # Safety
    ///
    /// W1 holds as long as this value or a copy is used, and whoever uses it
    /// keeps W2.
    #[inline]
    pub(crate) unsafe fn new(base: NonNull<u8>) -> Self {
        Self { base: base.cast() }
    }

    /// Where word `at` lies.
    #[inline]
    pub(crate) fn address(self, at: u32) -> usize {
        self.base.addr().get() + at as usize * WORD
    }

    /// A pointer to word `at`, with the whole region's provenance.
    #[inline]
    pub(crate) fn pointer(self, at: u32) -> NonNull<u8> {
        // SAFETY: the word is of the region (W1, W2).
        unsafe { self.base.add(at as usize) }.cast()
    }

    #[inline]
    pub(crate) fn get(self, at: u32) -> u32 {
        let word = self.pointer(at).cast::<u32>();
        // SAFETY: the word is readable (W1), and nobody writes it (W2).
        unsafe { word.read() }
    }

    #[inline]
    pub(crate) fn set(self, at: u32, value: u32) {
        let word = self.pointer(at).cast::<u32>();
        // SAFETY: the word is writable (W1), and nobody else looks (W2).
        unsafe { word.write(value) };
    }

    /// Word `more` behind word `at`. Added up in the width of a pointer, where
    /// the sum costs no instruction of its own.
    #[inline]
    pub(crate) fn get_after(self, at: u32, more: usize) -> u32 {
        // SAFETY: the word is of the region (W1, W2).
        let word = unsafe { self.pointer(at).cast::<u32>().add(more) };
        // SAFETY: the word is readable (W1), and nobody writes it (W2).
        unsafe { word.read() }
    }

    #[inline]
    pub(crate) fn set_after(self, at: u32, more: usize, value: u32) {
        // SAFETY: the word is of the region (W1, W2).
        let word = unsafe { self.pointer(at).cast::<u32>().add(more) };
        // SAFETY: the word is writable (W1), and nobody else looks (W2).
        unsafe { word.write(value) };
    }

    /// The words from this one on, counted from 0.
    #[inline]
    pub(crate) fn behind(self, at: u32) -> Self {
        Self { base: self.pointer(at).cast() }
    }

    /// Sets words to 0.
    pub(crate) fn clear(self, from: u32, to: u32) {
        for at in from..to {
            self.set(at, 0);
        }
    }

    /// Whether bit `i` of the bits that begin at word `bits` is set.
    #[inline]
    pub(crate) fn bit(self, bits: usize, i: u32) -> bool {
        self.get_after(i / 32, bits) & (1 << (i % 32)) != 0
    }

    #[inline]
    pub(crate) fn set_bit(self, bits: usize, i: u32) {
        self.set_after(i / 32, bits, self.get_after(i / 32, bits) | 1 << (i % 32));
    }

    #[inline]
    pub(crate) fn clear_bit(self, bits: usize, i: u32) {
        self.set_after(i / 32, bits, self.get_after(i / 32, bits) & !(1 << (i % 32)));
    }

    /// Turns bit `i` over and returns what it is then.
    #[inline]
    pub(crate) fn flip_bit(self, i: u32) -> bool {
        let now = self.get(i / 32) ^ 1 << (i % 32);
        self.set(i / 32, now);
        now & 1 << (i % 32) != 0
    }

    /// Puts the block at `at` on the list whose head is the word `head`.
    ///
    /// A list is linked both ways: a block's first word is the next block, its
    /// second the word that points to it, be that a block's first or a head.
    #[inline]
    pub(crate) fn push(self, head: u32, at: u32) {
        let next = self.get(head);
        self.set(at, next);
        self.set_after(at, 1, head);
        // Word 1 if there is no next.
        self.set_after(next, 1, at);
        self.set(head, at);
    }

    /// Puts the block at `to` where the one at `at` is on its list. They may
    /// overlap.
    #[inline]
    pub(crate) fn replace(self, at: u32, to: u32) {
        let (next, before) = (self.get(at), self.get_after(at, 1));
        self.set(to, next);
        self.set_after(to, 1, before);
        self.set(before, to);
        self.set_after(next, 1, to);
    }

    /// Takes the block at `at` from its list. Returns the next block, 0 if
    /// there is none, and the word that pointed to this one.
    #[inline]
    pub(crate) fn unlink(self, at: u32) -> (u32, u32) {
        let (next, before) = (self.get(at), self.get_after(at, 1));
        self.set(before, next);
        self.set_after(next, 1, before);
        (next, before)
    }

    /// The first place at or after `at` whose address is a multiple of `align`.
    #[inline]
    pub(crate) fn align_up(self, at: u32, align: usize) -> u64 {
        let address = self.address(at);
        let gap = address.wrapping_neg() & (align - 1);
        u64::from(at) + (gap / WORD) as u64
    }
}

/// Bits, eight in a byte, of which as many as a register holds are read and
/// written together.
#[derive(Clone, Copy)]
pub(crate) struct Bits {
    words: Words,
}

/// Bits that are sure to be seen at once, from any bit on.
pub(crate) const SEEN: u32 = usize::BITS - 7;

impl Bits {
    /// The bits that begin at word `at`, of words that have a register's bits
    /// more than are asked for (W1, W2).
    #[inline]
    pub(crate) fn at(words: Words, at: u32) -> Self {
        Self { words: words.behind(at) }
    }

    #[inline]
    fn window(self, i: u32) -> NonNull<usize> {
        // SAFETY: the byte is of the region (W1, W2).
        unsafe { self.words.pointer(0).add(i as usize / 8) }.cast()
    }

    /// Bit `i` and those behind it, in the order of their numbers.
    #[inline]
    pub(crate) fn from(self, i: u32) -> usize {
        let window = self.window(i);
        // SAFETY: readable (W1), and nobody writes it (W2). Not aligned.
        usize::from_le(unsafe { window.read_unaligned() }) >> (i % 8)
    }

    /// Sets bit `i`.
    #[inline]
    pub(crate) fn set(self, i: u32) {
        let at = self.words.pointer(i / 32).cast::<u32>();
        // SAFETY: readable (W1), and nobody writes it (W2).
        let old = unsafe { at.read() };
        // SAFETY: writable (W1), and nobody else looks (W2).
        unsafe { at.write(old | (1u32 << (i % 32)).to_le()) };
    }

    /// Clears those that are set here, and are set.
    #[inline]
    pub(crate) fn clear(self, i: u32, bits: usize) {
        let window = self.window(i);
        // SAFETY: readable (W1), and nobody writes it (W2). Not aligned.
        let old = usize::from_le(unsafe { window.read_unaligned() });
        // SAFETY: writable (W1), and nobody else looks (W2).
        unsafe { window.write_unaligned((old ^ bits << (i % 8)).to_le()) };
    }

    #[inline]
    pub(crate) fn is_set(self, i: u32) -> bool {
        u32::from_le(self.words.get(i / 32)) & 1 << (i % 32) != 0
    }
}
