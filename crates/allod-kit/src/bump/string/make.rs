//! Strings made of what is there: text, bytes, UTF-16, `format_args!`.

use core::fmt;
use core::str;

use super::{String, Vec};
#[cfg(feature = "infallible")]
use crate::infallible::infallible;
use crate::{AllocError, Allocator};
#[cfg(feature = "infallible")]
use core::alloc::Layout;

impl<A: Allocator> String<A> {
    /// A copy of a text.
    ///
    /// # Errors
    ///
    /// There is no memory.
    #[inline]
    pub fn try_from_str_in(text: &str, allocator: A) -> Result<Self, AllocError> {
        let mut string = String::try_with_capacity_in(text.len(), allocator)?;
        string.try_push_str(text)?;
        Ok(string)
    }

    /// Bytes as text, where they are. O(n): they are looked at.
    ///
    /// ```
    /// use allod_kit::{Bump, bump};
    ///
    /// let arena = Bump::new();
    /// let bytes = bump::Vec::from_iter_in(*b"seven", &arena);
    /// assert_eq!(bump::String::from_utf8(bytes).expect("it is ASCII"), "seven");
    /// ```
    ///
    /// # Errors
    ///
    /// They are not UTF-8; why, and the bytes.
    pub fn from_utf8(bytes: Vec<u8, A>) -> Result<Self, (str::Utf8Error, Vec<u8, A>)> {
        match str::from_utf8(&bytes) {
            Ok(_) => Ok(String { bytes }),
            Err(error) => Err((error, bytes)),
        }
    }

    /// Bytes as text; what is not UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    ///
    /// There is no memory.
    pub fn try_from_utf8_lossy_in(bytes: &[u8], allocator: A) -> Result<Self, AllocError> {
        let mut string = String::try_with_capacity_in(bytes.len(), allocator)?;
        for chunk in bytes.utf8_chunks() {
            string.try_push_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                string.try_push(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(string)
    }

    /// UTF-16 as text; a surrogate without its other becomes U+FFFD.
    ///
    /// # Errors
    ///
    /// There is no memory.
    pub fn try_from_utf16_lossy_in(units: &[u16], allocator: A) -> Result<Self, AllocError> {
        let mut string = String::try_with_capacity_in(units.len(), allocator)?;
        for character in char::decode_utf16(units.iter().copied()) {
            string.try_push(character.unwrap_or(char::REPLACEMENT_CHARACTER))?;
        }
        Ok(string)
    }

    /// What `format_args!` says.
    ///
    /// ```
    /// use allod_kit::{Bump, bump::String};
    ///
    /// let arena = Bump::new();
    /// let text = String::try_from_fmt_in(format_args!("{}-{}", 1, "two"), &arena)?;
    /// assert_eq!(text, "1-two");
    /// # Ok::<(), allod_kit::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// There is no memory, or an implementation of `Display` has failed.
    pub fn try_from_fmt_in(text: fmt::Arguments<'_>, allocator: A) -> Result<Self, AllocError> {
        let mut string = String::new_in(allocator);
        fmt::Write::write_fmt(&mut string, text).map_err(|_| AllocError)?;
        Ok(string)
    }

    /// A copy in the same allocator.
    ///
    /// # Errors
    ///
    /// There is no memory.
    pub fn try_clone(&self) -> Result<Self, AllocError>
    where
        A: Clone,
    {
        String::try_from_str_in(self, self.allocator().clone())
    }
}

/// The infallible face.
#[cfg(feature = "infallible")]
impl<A: Allocator> String<A> {
    /// An empty string with room for `capacity` bytes.
    #[must_use]
    #[inline]
    pub fn with_capacity_in(capacity: usize, allocator: A) -> Self {
        String { bytes: Vec::with_capacity_in(capacity, allocator) }
    }

    /// A copy of a text.
    #[must_use]
    #[inline]
    pub fn from_str_in(text: &str, allocator: A) -> Self {
        infallible(String::try_from_str_in(text, allocator), Layout::for_value(text))
    }

    /// Bytes as text; what is not UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn from_utf8_lossy_in(bytes: &[u8], allocator: A) -> Self {
        infallible(String::try_from_utf8_lossy_in(bytes, allocator), Layout::for_value(bytes))
    }

    /// UTF-16 as text; a surrogate without its other becomes U+FFFD.
    #[must_use]
    pub fn from_utf16_lossy_in(units: &[u16], allocator: A) -> Self {
        infallible(String::try_from_utf16_lossy_in(units, allocator), Layout::for_value(units))
    }

    /// What `format_args!` says.
    #[must_use]
    pub fn from_fmt_in(text: fmt::Arguments<'_>, allocator: A) -> Self {
        infallible(String::try_from_fmt_in(text, allocator), Layout::new::<u8>())
    }
}
