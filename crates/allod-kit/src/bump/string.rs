//! A growing string in any allocator, made for arenas.
#![allow(unsafe_code)]

use core::fmt;
use core::ops::{Deref, DerefMut};
use core::str;

use super::source::Source;
use super::{Bump, Vec};
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
pub struct String<A: Allocator> {
    /// UTF-8.
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
}

/// The infallible face.
#[cfg(feature = "infallible")]
impl<A: Allocator> String<A> {
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

impl<A: Allocator> fmt::Debug for String<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<A: Allocator> fmt::Display for String<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<A: Allocator, S: AsRef<str> + ?Sized> PartialEq<S> for String<A> {
    fn eq(&self, other: &S) -> bool {
        **self == *other.as_ref()
    }
}

impl<A: Allocator> AsRef<str> for String<A> {
    fn as_ref(&self) -> &str {
        self
    }
}
