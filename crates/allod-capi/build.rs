//! Link arguments of `liballod.so`, and of nothing else.
//!
//! * `-soname`: programs that link against the library find it by this name.
//! * `-z nodelete`: threads hold pointers into the library until they end (a
//!   destructor of a thread key, fork handlers), so `dlclose` leaves it in place.
//! * `-z initfirst`: our constructor runs before any other library's, so our
//!   fork handlers are registered first (see `src/fork.rs` for why that matters).
//! * `-Bsymbolic-functions`: calls from one of our functions to another are
//!   direct, whatever else in the process has the same name.
//! * `-z separate-loadable-segments`: each segment begins with a page, so that what
//!   the loader relocates is one page and not two.
//! * `src/layout.ld`, where glibc's programs run on x86-64: what every process runs and
//!   writes lies together (`docs/decisions/052-what-a-tiny-process-pays.md`).

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    println!("cargo::rerun-if-changed=src/layout.ld");
    let target = |what| std::env::var(what).unwrap_or_default();
    if target("CARGO_CFG_TARGET_ARCH") == "x86_64" && target("CARGO_CFG_TARGET_ENV") == "gnu" {
        let home = target("CARGO_MANIFEST_DIR");
        println!("cargo::rustc-link-arg-cdylib=-T{home}/src/layout.ld");
    }
    for argument in [
        "-Wl,-soname,liballod.so",
        "-Wl,-z,nodelete",
        "-Wl,-z,initfirst",
        "-Wl,-Bsymbolic-functions",
        "-Wl,-z,separate-loadable-segments",
    ] {
        println!("cargo::rustc-link-arg-cdylib={argument}");
    }
}
