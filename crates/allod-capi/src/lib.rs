//! `liballod.so` and `liballod.a`: Allod as the `malloc` of any program.
//!
//! ```text
//!   a C or C++ program, an interpreter, a shared library
//!        |  malloc, free, operator new, ...
//!        v
//!   this crate: contracts of C, POSIX, glibc and C++, and nothing more
//!        |  raw::alloc, raw::free, ...
//!        v
//!   the crate `allod`: the allocator
//! ```
//!
//! Every function here turns one contract (what is NULL, what is an error,
//! what becomes of `errno`) into one call of `allod::raw`. There is no policy:
//! no size is special, no memory is kept, no option is read.
//!
//! Read in this order:
//!
//! 1. `malloc`: the functions of ISO C and POSIX.
//! 2. `glibc`: what glibc adds: statistics, trimming, aliases.
//! 3. `cxx`: the twenty C++ operators.
//! 4. `profile`: heap dumps, for a program that asks for one.
//! 5. `early`: what happens when the library is loaded and when the process ends.
//! 6. `loaded`: which modules were loaded with the program.
//! 7. `fork`: what happens around `fork`.
//! 8. `replaced`: which functions the program has in its own version.
//! 9. `open`: `dlopen`, so that what it loads frees through us too.
//! 10. `text`: words in a buffer, written without allocating.
//! 11. `panic`: what the compiler insists on.
//!
//! # errno
//!
//! A call that succeeds leaves `errno` alone, `free` included. A call that
//! fails sets it as its row in the standard says. `allod::raw` never touches
//! it, so this crate is the only place that does.
//!
//! # The archive
//!
//! A program that is linked with `liballod.a` gets the same, from its first
//! instruction. One that is C++ and wholly static needs two more words on its
//! link line, so that the C++ library's thrower comes along:
//! `-Wl,-u,_ZSt17__throw_bad_allocv,-u,_ZSt15get_new_handlerv`.
#![no_std]

mod malloc;
mod glibc;
mod cxx;
mod profile;
mod early;
#[cfg(target_env = "gnu")]
mod loaded;
mod fork;
#[cfg(target_arch = "x86_64")]
mod replaced;
#[cfg(target_arch = "x86_64")]
mod open;
mod text;
mod panic;
