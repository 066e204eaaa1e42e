//! Gives the question "do we have a backend of our own here?" one short name.
//!
//! `cfg(native)` is on where the rooms of the house are compiled, and off where
//! everything is delegated to the platform's allocator: on targets we have no
//! backend for, under Miri (which runs no assembly), and with the feature `system`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(native)");
    let set = |name: &str| std::env::var_os(name).is_some();
    let is = |name: &str, values: &[&str]| {
        std::env::var(name).is_ok_and(|value| values.contains(&value.as_str()))
    };
    let target = is("CARGO_CFG_TARGET_OS", &["linux"])
        && is("CARGO_CFG_TARGET_ARCH", &["x86_64", "aarch64", "x86"]);
    if target && !set("CARGO_CFG_MIRI") && !set("CARGO_FEATURE_SYSTEM") {
        println!("cargo::rustc-cfg=native");
    }
}
