//! The fuzz targets over fixed bytes, so that they run on every machine and
//! every day, and on stable Rust.
//!
//! The bytes look random and are the same each time. A crash that a fuzzer has
//! found is added here as a test of its own.

#[path = "../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets reach it from another crate")]
mod bodies;

use allod_kit::model::bytes;

/// Inputs for each target, and bytes in each: four make an operation.
const INPUTS: (u64, usize) = if cfg!(miri) { (2, 160) } else { (200, 1200) };

fn feed(body: fn(&[u8])) {
    let (seeds, length) = INPUTS;
    (0..seeds).for_each(|seed| body(&bytes(0xf022 + seed, length)));
    body(&[]);
}

/// A test for each target.
macro_rules! targets {
    ($($name:ident)*) => { $(
        #[test]
        fn $name() {
            feed(bodies::$name);
        }
    )* };
}

targets! { bump bump_scopes stack pool growing_pool shared_pool tlsf buddy first_fit wrappers slab fixed_maps fixed_lists collections }

/// A target whose body is in `allod`, where that crate's own tests feed it
/// (`heap/tests/programs.rs`).
const ELSEWHERE: &str = "\"allocator\"";

#[test]
fn every_target_is_fed() {
    let manifest = include_str!("../../../fuzz/Cargo.toml");
    let source = include_str!("fuzz.rs");
    let names: Vec<_> = manifest.lines().filter_map(|line| line.strip_prefix("name = ")).collect();
    assert!(names.len() > 5, "the manifest has been read");
    let fed = source.lines().find(|line| line.starts_with("targets! {")).expect("it is above");
    assert!(names.contains(&ELSEWHERE));
    for name in names.iter().skip(1).filter(|name| **name != ELSEWHERE) {
        assert!(fed.contains(&format!(" {} ", name.trim_matches('"'))), "{name} is not fed");
    }
}
