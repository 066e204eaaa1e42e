//! One line: the body is in `src/lib.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| allod_fuzz::collections(bytes));
