//! Dying in words, without allocating.
//!
//! An error that the allocator cannot survive is one line on file descriptor 2
//! and an abort:
//!
//! ```text
//!   allod: double free of block at 0x7f3a5c0012c0 (size class of 48), in editor+0x5b1f
//! ```
//!
//! The line is built on the stack and written in parts: what is wrong, and then, if
//! somebody can say it ([`set_teller`]), who has called, and who had allocated what it is
//! about. That may go wrong in a process that is broken, so what is wrong is written
//! first. Nothing is formatted by `core::fmt`, whose code would be the largest thing in
//! the library.
#![allow(unsafe_code)]

use crate::sync::{AtomicPtr, Ordering};
use core::ptr;

/// A line under construction: at most 240 bytes, and what does not fit is cut.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    bytes: [u8; 240],
    len: usize,
}

/// Adds to a line about an address who has called. A [`Teller`], or null.
static TELLER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Adds to a line about an address.
type Teller = fn(Line, usize) -> Line;

/// Has `tell` add to the line about a mistake who has called.
pub(crate) fn set_teller(tell: Teller) {
    // ORDERING: Release pairs with the Acquire in `misuse`.
    TELLER.store(tell as *mut (), Ordering::Release);
}

impl Line {
    /// A line that starts with our name.
    pub(crate) fn new() -> Self {
        Self::rest().text("allod: ")
    }

    /// The rest of a line whose beginning was written.
    fn rest() -> Self {
        Self { bytes: [0; 240], len: 0 }
    }

    /// Adds words.
    pub(crate) fn text(mut self, words: &str) -> Self {
        for &byte in words.as_bytes() {
            self.push(byte);
        }
        self
    }

    /// Adds a name, and dots for what is no letter of any.
    pub(crate) fn name(mut self, name: &[u8]) -> Self {
        for &byte in name {
            self.push(if byte.is_ascii_graphic() { byte } else { b'.' });
        }
        self
    }

    /// Adds a number in decimal.
    pub(crate) fn number(mut self, mut n: u64) -> Self {
        let mut digits = [0u8; 20];
        let mut count = 0;
        loop {
            if let Some(place) = digits.get_mut(count) {
                *place = b'0' + (n % 10) as u8;
            }
            count += 1;
            n /= 10;
            if n == 0 {
                break;
            }
        }
        while count > 0 {
            count -= 1;
            self.push(digits.get(count).copied().unwrap_or(b'?'));
        }
        self
    }

    /// Adds an address in hexadecimal.
    pub(crate) fn address(mut self, address: usize) -> Self {
        self = self.text("0x");
        let nibbles = (usize::BITS - address.leading_zeros()).div_ceil(4).max(1);
        for i in (0..nibbles).rev() {
            let nibble = ((address >> (i * 4)) & 15) as u8;
            self.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
        }
        self
    }

    /// Writes the line to file descriptor 2.
    pub(crate) fn print(mut self) {
        if self.len >= self.bytes.len() {
            self.len = self.bytes.len() - 1;
        }
        self.push(b'\n');
        self.write();
    }

    /// Writes what there is, and goes on with an empty one.
    pub(crate) fn go_on(self) -> Self {
        self.write();
        Self::rest()
    }

    /// Writes what there is to file descriptor 2.
    fn write(&self) {
        let line = self.bytes.get(..self.len).unwrap_or(b"allod\n");
        // SAFETY: `line` is readable for its length. A short or failed write
        // has no better place to be reported.
        unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
    }

    /// Writes the line and ends the process with SIGABRT.
    fn die(self) -> ! {
        self.print();
        // SAFETY: `abort` may be called at any moment, from any thread.
        unsafe { libc::abort() }
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }
}

/// What a program did wrong, for [`misuse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misuse {
    /// The block is free already.
    DoubleFree,
    /// No block starts at the address.
    InvalidFree,
    /// The size (or, where nobody tells the two apart, the alignment) given to a sized
    /// free is not the block's.
    WrongSize,
    /// The alignment given to a free is not what the block was asked for with.
    WrongAlignment,
    /// A free block was written to: a list leads out of its span.
    Corrupted,
    /// A slot in quarantine, or waiting to be used, is not zeros any more.
    UseAfterFree,
    /// The bytes behind an object were written to.
    Overflow,
    /// The bytes before an object were written to.
    Underflow,
    /// Made by one family of functions, freed by another: both names.
    Family(&'static str, &'static str),
}

/// Reports `what` about `address` and ends the process.
#[cold]
#[inline(never)]
pub(crate) fn misuse(what: Misuse, address: usize, block_size: usize) -> ! {
    let line = match what {
        Misuse::DoubleFree => Line::new().text("double free of block at "),
        Misuse::InvalidFree => Line::new().text("invalid free: no block starts at "),
        Misuse::WrongSize => Line::new().text("free with the wrong size of block at "),
        Misuse::WrongAlignment => Line::new().text("free with the wrong alignment of block at "),
        Misuse::Corrupted => Line::new().text("write to freed memory: broken list at "),
        Misuse::UseAfterFree => Line::new().text("write to freed memory: block at "),
        Misuse::Overflow => Line::new().text("write past the end of block at "),
        Misuse::Underflow => Line::new().text("write before the start of block at "),
        Misuse::Family(made, freed) => {
            Line::new().text("memory of ").text(made).text(" given to ").text(freed).text(": block at ")
        }
    };
    let line = line.address(address);
    let line = if block_size == 0 {
        line
    } else {
        line.text(" (size class of ").number(block_size as u64).text(")")
    };
    line.write();
    // ORDERING: Acquire pairs with the Release in `set_teller`.
    let tell = TELLER.swap(ptr::null_mut(), Ordering::Acquire);
    if tell.is_null() {
        Line::rest().die();
    }
    // SAFETY: `set_teller` stored a function of this shape and nothing else.
    let tell = unsafe { core::mem::transmute::<*mut (), Teller>(tell) };
    tell(Line::rest(), address).die()
}
