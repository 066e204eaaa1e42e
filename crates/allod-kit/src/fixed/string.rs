//! The text.
//!
//! # Invariants
//!
//! * T1. The bytes are UTF-8. Nothing lends them to be changed.
#![allow(unsafe_code)]

use super::Vec;
use crate::full::Full;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::{Deref, DerefMut};
use core::str::FromStr;

/// A text of at most `N` bytes of UTF-8, kept within itself.
///
/// ```
/// use allod_kit::fixed::String;
/// use core::fmt::Write;
///
/// let mut line: String<16> = String::new();
/// write!(line, "{:>4} mV", 3300)?;
/// assert_eq!(line, "3300 mV");
/// assert!(line.try_push_str(" and more").is_ok());
/// assert!(line.try_push('!').is_err(), "16 bytes are in");
/// # Ok::<(), core::fmt::Error>(())
/// ```
///
/// # What it costs
///
/// *Time.* O(length of what is put in); in the middle O(n). *Memory.* `N` bytes,
/// and a word.
///
/// # When not to use it
///
/// Where the greatest length is not known: a string in an
/// [arena](crate::bump::String) grows.
#[derive(Clone, Default)]
pub struct String<const N: usize> {
    bytes: Vec<u8, N>,
}

impl<const N: usize> String<N> {
    /// An empty text. O(1).
    #[inline]
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// How many bytes fit: `N`.
    #[inline]
    pub const fn capacity(&self) -> usize {
        N
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        // SAFETY: T1.
        unsafe { str::from_utf8_unchecked(&self.bytes) }
    }

    /// The text, to change within its bytes.
    #[inline]
    pub fn as_mut_str(&mut self) -> &mut str {
        // SAFETY: T1, which a `&mut str` keeps.
        unsafe { str::from_utf8_unchecked_mut(&mut self.bytes) }
    }

    /// The bytes.
    #[inline]
    pub fn into_bytes(self) -> Vec<u8, N> {
        self.bytes
    }

    /// The text of these bytes, if they are one.
    ///
    /// # Errors
    ///
    /// They are not UTF-8; the error says from where.
    pub fn from_utf8(bytes: Vec<u8, N>) -> Result<Self, core::str::Utf8Error> {
        str::from_utf8(&bytes)?;
        Ok(Self { bytes })
    }

    /// Adds a text at the end. O(its length).
    ///
    /// # Errors
    ///
    /// There is no room for all of it; nothing was added.
    #[inline]
    pub fn try_push_str(&mut self, text: &str) -> Result<(), Full> {
        self.bytes.try_copy_from_slice(text.as_bytes())
    }

    /// Adds as much of a text as there is room for, in whole characters, and
    /// says what is left. For a log line that is better cut than lost.
    pub fn push_cut<'a>(&mut self, text: &'a str) -> &'a str {
        let room = N - self.bytes.len();
        let (fits, rest) = text.split_at(text.floor_char_boundary(room));
        // It fits, as its name says.
        let _ = self.try_push_str(fits);
        rest
    }

    /// Adds a character at the end. O(1).
    ///
    /// # Errors
    ///
    /// There is no room for it.
    #[inline]
    pub fn try_push(&mut self, c: char) -> Result<(), Full<char>> {
        self.try_push_str(c.encode_utf8(&mut [0; 4])).map_err(|_| Full(c))
    }

    /// Adds a text at the end.
    ///
    /// # Panics
    ///
    /// There is no room. [`try_push_str`](String::try_push_str) never panics.
    #[cfg(feature = "infallible")]
    #[track_caller]
    pub fn push_str(&mut self, text: &str) {
        crate::full::must(self.try_push_str(text));
    }

    /// Adds a character at the end.
    ///
    /// # Panics
    ///
    /// There is no room. [`try_push`](String::try_push) never panics.
    #[cfg(feature = "infallible")]
    #[track_caller]
    pub fn push(&mut self, c: char) {
        crate::full::must(self.try_push(c));
    }

    /// Puts a text in at byte `index`, and moves what is behind up. O(n).
    ///
    /// # Errors
    ///
    /// There is no room, or `index` is past the end or within a character.
    pub fn try_insert_str(&mut self, index: usize, text: &str) -> Result<(), Full> {
        if !self.is_char_boundary(index) {
            return Err(Full(()));
        }
        self.try_push_str(text)?;
        // The new text is at the end and goes to its place by a turn. In between
        // the bytes are no text, and nobody sees them.
        if let Some(behind) = self.bytes.get_mut(index..) {
            behind.rotate_right(text.len());
        }
        Ok(())
    }

    /// Takes the last character. O(1).
    pub fn pop(&mut self) -> Option<char> {
        let c = self.chars().next_back()?;
        self.bytes.truncate(self.len() - c.len_utf8());
        Some(c)
    }

    /// Takes the character at byte `index`, and moves what is behind down. `None`
    /// past the end or within a character. O(n).
    pub fn try_remove(&mut self, index: usize) -> Option<char> {
        let c = self.get(index..)?.chars().next()?;
        drop(self.bytes.drain(index..index + c.len_utf8()));
        Some(c)
    }

    /// Cuts the text off at byte `length`, or before the character that lies
    /// across it. Does nothing if the text is shorter.
    pub fn truncate(&mut self, length: usize) {
        let length = self.floor_char_boundary(length);
        self.bytes.truncate(length);
    }

    /// Makes the text empty.
    #[inline]
    pub fn clear(&mut self) {
        self.bytes.clear();
    }
}

impl<const N: usize> fmt::Write for String<N> {
    /// Writes all of the text or nothing.
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.try_push_str(text).map_err(|_| fmt::Error)
    }
}

impl<const N: usize> TryFrom<&str> for String<N> {
    type Error = Full;
    fn try_from(text: &str) -> Result<Self, Full> {
        let mut string = Self::new();
        string.try_push_str(text)?;
        Ok(string)
    }
}

impl<const N: usize> FromStr for String<N> {
    type Err = Full;
    fn from_str(text: &str) -> Result<Self, Full> {
        Self::try_from(text)
    }
}

impl<const N: usize> Deref for String<N> {
    type Target = str;
    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl<const N: usize> DerefMut for String<N> {
    #[inline]
    fn deref_mut(&mut self) -> &mut str {
        self.as_mut_str()
    }
}

impl<const N: usize> AsRef<str> for String<N> {
    fn as_ref(&self) -> &str {
        self
    }
}

impl<const N: usize> AsRef<[u8]> for String<N> {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl<const N: usize> Borrow<str> for String<N> {
    fn borrow(&self) -> &str {
        self
    }
}

impl<const N: usize> fmt::Debug for String<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<const N: usize> fmt::Display for String<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<const N: usize, const M: usize> PartialEq<String<M>> for String<N> {
    fn eq(&self, other: &String<M>) -> bool {
        **self == **other
    }
}

impl<const N: usize> PartialEq<str> for String<N> {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl<const N: usize> PartialEq<&str> for String<N> {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl<const N: usize> Eq for String<N> {}

impl<const N: usize> PartialOrd for String<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const N: usize> Ord for String<N> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<const N: usize> Hash for String<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}
