//! Tests of the command as a whole: it is started, and its behaviour is looked at.
//!
//! Most of them run a program that does what it is told (`tests/programs/actor.rs`)
//! on the library that the command carries. To try another library, name it in
//! `ALLOD_TEST_LIBRARY`.

mod support;

mod bench;
mod ends;
mod library;
mod output;
mod packaged;
mod profiles;
mod refusals;
mod reports;
mod signals;
mod views;
