//! A growing string in any allocator, made for arenas.
//!
//! # Invariants
//!
//! * U1. The bytes are UTF-8 whenever code that is not ours can see them, even when
//!   it has panicked.
#![allow(unsafe_code)]

mod edit;
mod make;
mod traits;

pub use edit::StringDrain;

use core::fmt;
use core::ops::{Deref, DerefMut};
use core::str;

use super::source::Source;
use super::{Box, Bump, Vec};
#[cfg(feature = "infallible")]
use crate::infallible::infallible;
use crate::{AllocError, Allocator};

/// A string that grows, in an arena or another [`Allocator`]: a
/// [`Vec<u8>`](Vec) that is UTF-8.
///
/// It implements `fmt::Write`, so `write!` formats into it. That returns an
/// error, and does not panic, if there is no memory.
///
/// ```
/// use allod_kit::{Bump, bump::String};
/// use core::fmt::Write;
///
/// let arena = Bump::new();
/// let mut line = String::new_in(&arena);
/// write!(line, "{} of {}", 3, 7)?;
/// line.push('.');
/// let line: &str = line.into_str(); // as long as the arena
/// assert_eq!(line, "3 of 7.");
/// # Ok::<(), core::fmt::Error>(())
/// ```
///
/// # What it costs
///
/// What a [`Vec`] does: three words and the allocator, and a push that is O(1),
/// amortised. Whatever changes the middle moves what is behind it: O(n).
///
/// # When not to use it
///
/// For a text that is there as a whole: [`Bump::try_alloc_str`] copies it once, and
/// [`Bump::try_alloc_fmt`] formats it once. For text of a known greatest length and
/// no allocator, [`fixed::String`](crate::fixed::String).
pub struct String<A: Allocator> {
    /// UTF-8 (U1).
    bytes: Vec<u8, A>,
}

impl<A: Allocator> String<A> {
    /// An empty string. Nothing is allocated before the first push.
    #[must_use]
    #[inline]
    pub const fn new_in(allocator: A) -> Self {
        String { bytes: Vec::new_in(allocator) }
    }

    /// An empty string with room for `capacity` bytes.
    ///
    /// # Errors
    ///
    /// There is no memory; so it is for all the operations named `try_`.
    #[inline]
    pub fn try_with_capacity_in(capacity: usize, allocator: A) -> Result<Self, AllocError> {
        Ok(String { bytes: Vec::try_with_capacity_in(capacity, allocator)? })
    }

    /// Bytes that there is room for.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Makes room for `more` bytes, and for as many again as there are.
    ///
    /// # Errors
    ///
    /// There is no memory.
    #[inline]
    pub fn try_reserve(&mut self, more: usize) -> Result<(), AllocError> {
        self.bytes.try_reserve(more)
    }

    /// Puts text behind the last character.
    ///
    /// # Errors
    ///
    /// There is no memory. Nothing has been put in.
    #[inline]
    pub fn try_push_str(&mut self, text: &str) -> Result<(), AllocError> {
        self.bytes.try_extend_from_slice(text.as_bytes())
    }

    /// Puts a character behind the last.
    ///
    /// # Errors
    ///
    /// There is no memory.
    #[inline]
    pub fn try_push(&mut self, character: char) -> Result<(), AllocError> {
        self.try_push_str(character.encode_utf8(&mut [0; 4]))
    }

    /// Takes the last character out.
    pub fn pop(&mut self) -> Option<char> {
        let last = self.chars().next_back()?;
        self.bytes.truncate(self.bytes.len() - last.len_utf8());
        Some(last)
    }

    /// Drops what is behind the first `len` bytes.
    ///
    /// # Panics
    ///
    /// That would cut a character in two.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len() {
            assert!(self.is_char_boundary(len), "{len} is inside a character");
            self.bytes.truncate(len);
        }
    }

    /// Makes it empty. The room stays.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The text.
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        self
    }

    /// The text, to be changed in place: `make_ascii_lowercase` and the like.
    #[inline]
    pub fn as_mut_str(&mut self) -> &mut str {
        self
    }

    /// What it allocates from.
    #[inline]
    #[must_use]
    pub fn allocator(&self) -> &A {
        self.bytes.allocator()
    }

    /// Makes room for `more` bytes, and for no more than that.
    ///
    /// # Errors
    ///
    /// There is no memory.
    #[inline]
    pub fn try_reserve_exact(&mut self, more: usize) -> Result<(), AllocError> {
        self.bytes.try_reserve_exact(more)
    }

    /// Gives back what it does not use, if that is possible without moving.
    pub fn shrink_to_fit(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// The bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8, A> {
        self.bytes
    }
}

impl<'a, B: Source, const MIN_ALIGN: usize> String<&'a Bump<B, MIN_ALIGN>> {
    /// The text, for as long as the arena is borrowed. Room that is left goes
    /// back, if the string is the last block.
    #[must_use]
    #[inline]
    pub fn into_str(self) -> &'a mut str {
        // SAFETY: the bytes are UTF-8.
        unsafe { str::from_utf8_unchecked_mut(self.bytes.into_slice()) }
    }

    /// The text in a box of two words.
    #[must_use]
    pub fn into_box(self) -> Box<'a, str> {
        // SAFETY: the text is ours alone, and lives as long as the arena.
        unsafe { Box::from_raw(self.into_str()) }
    }
}

/// The infallible face.
#[cfg(feature = "infallible")]
impl<A: Allocator> String<A> {
    /// Makes room for `more` bytes, and for as many again as there are.
    #[inline]
    pub fn reserve(&mut self, more: usize) {
        self.bytes.reserve(more);
    }

    /// Puts text behind the last character.
    #[inline]
    pub fn push_str(&mut self, text: &str) {
        infallible(self.try_push_str(text), core::alloc::Layout::for_value(text));
    }

    /// Puts a character behind the last.
    #[inline]
    pub fn push(&mut self, character: char) {
        infallible(self.try_push(character), core::alloc::Layout::new::<char>());
    }
}

impl<A: Allocator> fmt::Write for String<A> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.try_push_str(text).map_err(|_| fmt::Error)
    }
}

impl<A: Allocator> Deref for String<A> {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        // SAFETY: the bytes are UTF-8.
        unsafe { str::from_utf8_unchecked(&self.bytes) }
    }
}

impl<A: Allocator> DerefMut for String<A> {
    #[inline]
    fn deref_mut(&mut self) -> &mut str {
        // SAFETY: the bytes are UTF-8, and stay so through a `&mut str`.
        unsafe { str::from_utf8_unchecked_mut(&mut self.bytes) }
    }
}

#[cfg(all(test, feature = "alloc", not(loom)))]
mod tests;
