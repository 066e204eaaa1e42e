//! A Rust shared library (`dylib`) with the allocator in it.
//!
//! Program, library and standard library are three files here, and each file
//! could have an allocator: `libstd.so` brings one that calls the system's. The
//! loader takes the first it finds, in the order in which the program names its
//! libraries, and for all three: this one stands before `libstd.so`. The program
//! is built with `-C prefer-dynamic`, so that it uses that `libstd.so` as well.

#[global_allocator]
static GLOBAL: allod::Allod = allod::Allod::new();

/// Bytes in use, in the whole program.
#[must_use]
pub fn allocated() -> usize {
    allod::stats().allocated
}

/// An object of the library's, for the program to drop.
#[must_use]
pub fn make(bytes: usize) -> Vec<u8> {
    vec![1; bytes]
}
