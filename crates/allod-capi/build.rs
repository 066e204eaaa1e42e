//! Link arguments of `liballod.so`, and of nothing else.
//!
//! * `-soname`: programs that link against the library find it by this name.
//! * `-z nodelete`: threads hold pointers into the library until they end (a
//!   destructor of a thread key, fork handlers), so `dlclose` leaves it in place.
//! * `-z initfirst`: our constructor runs before any other library's, so our
//!   fork handlers are registered first (see `src/fork.rs` for why that matters).
//! * `-Bsymbolic-functions`: calls from one of our functions to another are
//!   direct, whatever else in the process has the same name.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    for argument in [
        "-Wl,-soname,liballod.so",
        "-Wl,-z,nodelete",
        "-Wl,-z,initfirst",
        "-Wl,-Bsymbolic-functions",
    ] {
        println!("cargo::rustc-link-arg-cdylib={argument}");
    }
}
