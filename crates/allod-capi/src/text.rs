//! Words in a buffer on the stack.
//!
//! Statistics and last words must not allocate, so they are put together in a
//! [`Text`] of fixed size and handed to the system in one piece. What does not
//! fit is cut off.
#![allow(unsafe_code)]

use core::ffi::c_int;
use core::fmt;

/// Up to `N` bytes.
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    pub(crate) const fn new() -> Self {
        Text { bytes: [0; N], len: 0 }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, words: &str) -> fmt::Result {
        let room = N - self.len;
        let taken = words.len().min(room);
        self.bytes[self.len..self.len + taken].copy_from_slice(&words.as_bytes()[..taken]);
        self.len += taken;
        if taken < words.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Writes to a descriptor, as far as it will take it. Leaves `errno` alone.
pub(crate) fn write(descriptor: c_int, mut words: &[u8]) {
    // SAFETY: the C library answers with a place that lives as long as the thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the place is this thread's own.
    let before = unsafe { errno.read() };
    while !words.is_empty() {
        // SAFETY: the slice can be read for its length.
        let written = unsafe { libc::write(descriptor, words.as_ptr().cast(), words.len()) };
        match usize::try_from(written) {
            Ok(count) if count > 0 => words = words.get(count..).unwrap_or_default(),
            _ => break,
        }
    }
    // SAFETY: as above.
    unsafe { errno.write(before) };
}

/// Says a line on descriptor 2 and ends the process with SIGABRT.
#[cold]
pub(crate) fn die(line: &[u8]) -> ! {
    write(libc::STDERR_FILENO, line);
    // SAFETY: `abort` has no conditions.
    unsafe { libc::abort() }
}
