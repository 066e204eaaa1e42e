//! Everything that is asked of the built `liballod.so`.
//!
//! * [`elf`]: what the file is: its symbols, its needs, its flags.
//! * [`contracts`]: the rows of `probe`, a test for each group of them.
//! * [`crimes`]: the crimes of `misuse`.
//! * [`attacks`]: misuse at random, by `attack`.
//! * [`faults`]: real programs while the system refuses memory.
//! * [`life`]: what the library does by itself when a process starts and ends.
//! * [`lasting`]: which modules the profiler reads by loads.
//! * [`archive`]: programs that are linked with `liballod.a`.
//! * [`library`]: builds the library, once, with the same cargo.
//!
//! `ALLOD_CHECKS_LIBRARY` names another library to test instead, `ALLOD_CHECKS_LONG`
//! asks for the longer forms of the rows that have one, and `ALLOD_CHECKS_CONF` is
//! what the rows of `probe` run with as `ALLOD_CONF`: another level, for instance.

mod library;
mod elf;
mod contracts;
mod crimes;
mod attacks;
mod faults;
mod life;
mod lasting;
mod archive;
