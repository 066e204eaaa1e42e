//! One line: the body is in `allod`, where only a build for fuzzing shows it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| allod::simulate(bytes));
