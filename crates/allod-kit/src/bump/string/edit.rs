//! Changing the middle of a string. Every index is asked whether it is between two
//! characters before a byte is moved, so that the bytes stay UTF-8 (U1).
#![allow(unsafe_code)]

use core::fmt;
use core::iter::FusedIterator;
use core::ops::{Range, RangeBounds};
use core::str;

use super::super::vec::indices;
use super::{String, Vec};
#[cfg(feature = "infallible")]
use crate::infallible::infallible;
use crate::{AllocError, Allocator};
#[cfg(feature = "infallible")]
use core::alloc::Layout;

impl<A: Allocator> String<A> {
    /// Puts a text before the byte at an index. O(n) of what is behind it.
    ///
    /// # Errors
    ///
    /// There is no memory. The string is as it was.
    ///
    /// # Panics
    ///
    /// The index is past the end, or inside a character.
    pub fn try_insert_str(&mut self, at: usize, text: &str) -> Result<(), AllocError> {
        self.try_replace_range(at..at, text)
    }

    /// Puts a character before the byte at an index. O(n) of what is behind it.
    ///
    /// # Errors
    ///
    /// There is no memory. The string is as it was.
    ///
    /// # Panics
    ///
    /// The index is past the end, or inside a character.
    pub fn try_insert(&mut self, at: usize, character: char) -> Result<(), AllocError> {
        self.try_insert_str(at, character.encode_utf8(&mut [0; 4]))
    }

    /// Puts a text in the place of a part of the string. O(n) of what is behind it.
    ///
    /// ```
    /// use allod_kit::{Bump, bump::String};
    ///
    /// let arena = Bump::new();
    /// let mut text = String::from_str_in("seven dwarfs", &arena);
    /// text.try_replace_range(..5, "7")?;
    /// assert_eq!(text, "7 dwarfs");
    /// # Ok::<(), allod_kit::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// There is no memory. The string is as it was.
    ///
    /// # Panics
    ///
    /// The range is not inside the string, or cuts a character in two.
    pub fn try_replace_range(
        &mut self,
        range: impl RangeBounds<usize>,
        text: &str,
    ) -> Result<(), AllocError> {
        let Range { start, end } = indices(&range, self.len());
        // A `str` says whether both are between characters.
        let (gone, before) = (self[start..end].len(), self.len());
        self.bytes.try_extend_from_slice(text.as_bytes())?;
        let bytes = &mut self.bytes;
        bytes[start..].rotate_right(text.len());
        bytes.copy_within(start + text.len() + gone.., start + text.len());
        // The whole text is in, and whole characters are gone (U1).
        bytes.truncate(before - gone + text.len());
        Ok(())
    }

    /// Takes the character at an index out. O(n) of what is behind it.
    ///
    /// # Panics
    ///
    /// The index is at the end or past it, or inside a character.
    pub fn remove(&mut self, at: usize) -> char {
        let Some(character) = self[at..].chars().next() else {
            panic!("no character at {at}, with {} bytes", self.len());
        };
        self.bytes.drain(at..at + character.len_utf8());
        character
    }

    /// Keeps the characters that a function wants. O(n).
    ///
    /// ```
    /// use allod_kit::{Bump, bump::String};
    ///
    /// let arena = Bump::new();
    /// let mut text = String::from_str_in("a-ü-ℵ-", &arena);
    /// text.retain(|it| it != '-');
    /// assert_eq!(text, "aüℵ");
    /// ```
    pub fn retain(&mut self, mut keep: impl FnMut(char) -> bool) {
        /// What is between the two marks goes, even if the function panics (U1).
        struct Gap<'v, A: Allocator> {
            bytes: &'v mut Vec<u8, A>,
            kept: usize,
            at: usize,
        }
        impl<A: Allocator> Drop for Gap<'_, A> {
            fn drop(&mut self) {
                self.bytes.copy_within(self.at.., self.kept);
                self.bytes.truncate(self.bytes.len() - (self.at - self.kept));
            }
        }
        let mut gap = Gap { bytes: &mut self.bytes, kept: 0, at: 0 };
        loop {
            // SAFETY: what is behind `at` is whole characters, as it was (U1).
            let rest = unsafe { str::from_utf8_unchecked(&gap.bytes[gap.at..]) };
            let Some(character) = rest.chars().next() else { return };
            let len = character.len_utf8();
            if keep(character) {
                gap.bytes.copy_within(gap.at..gap.at + len, gap.kept);
                gap.kept += len;
            }
            gap.at += len;
        }
    }

    /// Takes a part out, character by character; what is behind it moves down when
    /// the iterator is dropped, and the part is gone then. O(n).
    ///
    /// An iterator that is forgotten leaves the string as it was.
    ///
    /// ```
    /// use allod_kit::{Bump, bump::String};
    ///
    /// let arena = Bump::new();
    /// let mut text = String::from_str_in("one two", &arena);
    /// assert!(text.drain(..4).eq("one ".chars()));
    /// assert_eq!(text, "two");
    /// ```
    ///
    /// # Panics
    ///
    /// The range is not inside the string, or cuts a character in two.
    pub fn drain(&mut self, range: impl RangeBounds<usize>) -> StringDrain<'_, A> {
        let part = indices(&range, self.len());
        let _whole = &self[part.clone()];
        StringDrain { string: self, left: part.clone(), part }
    }

    /// Moves the text from an index on to a string of its own. O(n) of it.
    ///
    /// # Errors
    ///
    /// There is no memory. The string is as it was.
    ///
    /// # Panics
    ///
    /// The index is past the end, or inside a character.
    pub fn try_split_off(&mut self, at: usize) -> Result<Self, AllocError>
    where
        A: Clone,
    {
        let _whole = &self[at..];
        Ok(String { bytes: self.bytes.try_split_off(at)? })
    }
}

/// The infallible face.
#[cfg(feature = "infallible")]
impl<A: Allocator> String<A> {
    /// As [`try_insert_str`](String::try_insert_str).
    ///
    /// # Panics
    ///
    /// The index is past the end, or inside a character.
    pub fn insert_str(&mut self, at: usize, text: &str) {
        infallible(self.try_insert_str(at, text), Layout::for_value(text));
    }

    /// As [`try_insert`](String::try_insert).
    ///
    /// # Panics
    ///
    /// The index is past the end, or inside a character.
    pub fn insert(&mut self, at: usize, character: char) {
        infallible(self.try_insert(at, character), Layout::new::<char>());
    }

    /// As [`try_replace_range`](String::try_replace_range).
    ///
    /// # Panics
    ///
    /// The range is not inside the string, or cuts a character in two.
    pub fn replace_range(&mut self, range: impl RangeBounds<usize>, text: &str) {
        infallible(self.try_replace_range(range, text), Layout::for_value(text));
    }

    /// As [`try_split_off`](String::try_split_off).
    ///
    /// # Panics
    ///
    /// The index is past the end, or inside a character.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self
    where
        A: Clone,
    {
        infallible(self.try_split_off(at), Layout::new::<u8>())
    }
}

/// Characters on their way out of a string: see [`String::drain`]. Five words.
pub struct StringDrain<'s, A: Allocator> {
    string: &'s mut String<A>,
    /// What goes, and what of it has not been asked for. Both begin and end between
    /// characters.
    part: Range<usize>,
    left: Range<usize>,
}

impl<A: Allocator> StringDrain<'_, A> {
    /// What has not been asked for.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.string[self.left.clone()]
    }
}

impl<A: Allocator> Iterator for StringDrain<'_, A> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let character = self.as_str().chars().next()?;
        self.left.start += character.len_utf8();
        Some(character)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.as_str().chars().size_hint()
    }
}

impl<A: Allocator> DoubleEndedIterator for StringDrain<'_, A> {
    fn next_back(&mut self) -> Option<char> {
        let character = self.as_str().chars().next_back()?;
        self.left.end -= character.len_utf8();
        Some(character)
    }
}

impl<A: Allocator> FusedIterator for StringDrain<'_, A> {}

impl<A: Allocator> Drop for StringDrain<'_, A> {
    fn drop(&mut self) {
        let bytes = &mut self.string.bytes;
        bytes.copy_within(self.part.end.., self.part.start);
        bytes.truncate(bytes.len() - self.part.len());
    }
}

impl<A: Allocator> fmt::Debug for StringDrain<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StringDrain").field(&self.as_str()).finish()
    }
}
