//! Names for people out of names for linkers.
//!
//! | mangling | looks like | becomes |
//! |---|---|---|
//! | Rust, legacy | `_ZN5alloc5boxed12Box$LT$T$GT$3new17h…E` | the path; its generics are lost |
//! | Rust, v0 | `_RNv…` | the path with its generics |
//! | C++ | `_ZN…` | the path with its generics, without parameters and result |
//! | C | anything | itself, without the version behind `@` |
//!
//! The legacy mangling says `Box<T>` and not which `T`. Debug information says
//! `new<Order>` and not of which type. [`merged`] has both.

use cpp_demangle::{DemangleOptions, Symbol};

/// A longer name is shown as it is: some are made to be hard to undo.
const LONGEST: usize = 16 << 10;

/// The name for people.
pub(super) fn readable(linkage: &str) -> String {
    let bare = linkage.split('@').next().unwrap_or(linkage);
    if linkage.len() > LONGEST {
        return linkage.to_owned();
    }
    if is_legacy_rust(bare) || bare.starts_with("_R") {
        if let Ok(name) = rustc_demangle::try_demangle(bare) {
            return bounded(&format_args!("{name:#}"));
        }
        return bare.to_owned();
    }
    if !bare.starts_with("_Z") {
        return bare.to_owned();
    }
    let options = DemangleOptions::new().no_params().no_return_type();
    let symbol = Symbol::new(bare).ok();
    let name = symbol.and_then(|symbol| symbol.demangle_with_options(&options).ok());
    name.filter(|name| name.len() <= LONGEST).unwrap_or_else(|| bare.to_owned())
}

/// A name that repeats itself can be short and mean a very long one.
fn bounded(name: &std::fmt::Arguments<'_>) -> String {
    struct Cut(String);
    impl std::fmt::Write for Cut {
        fn write_str(&mut self, part: &str) -> std::fmt::Result {
            self.0.push_str(part);
            if self.0.len() > LONGEST { Err(std::fmt::Error) } else { Ok(()) }
        }
    }
    let mut cut = Cut(String::new());
    if std::fmt::write(&mut cut, *name).is_err() {
        cut.0.push_str("...");
    }
    cut.0
}

/// `_ZN` and so on, and at the end a hash: `17h`, sixteen digits, `E`.
pub(super) fn is_legacy_rust(linkage: &str) -> bool {
    // The compiler splits functions and numbers the parts behind a dot.
    let end = linkage.find("E.").map_or(linkage.len(), |end| end + 1);
    let body = linkage.get(..end).and_then(|it| it.strip_prefix("_ZN")?.strip_suffix('E'));
    let Some((before, hash)) = body.and_then(|it| it.split_at_checked(it.len().checked_sub(16)?))
    else {
        return false;
    };
    before.ends_with("17h") && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A legacy path with the last part as debug information has it: with generics.
///
/// ```text
///   alloc::boxed::Box<T>::new   and   new<app::Order>
///   alloc::boxed::Box<T>::new<app::Order>
/// ```
pub(super) fn merged(path: &str, name: &str) -> String {
    let base = name.split('<').next().unwrap_or(name);
    match path.strip_suffix(base) {
        Some(before) if !base.is_empty() && (before.is_empty() || before.ends_with("::")) => {
            format!("{before}{name}")
        }
        _ => path.to_owned(),
    }
}

/// Where a function is, by the file it is from, for names that come without a path:
/// debug information with lines alone has none.
///
/// ```text
///   /rustc/…/library/alloc/src/vec/mod.rs         alloc::vec
///   …/registry/src/…/hashbrown-0.15.2/src/raw.rs  hashbrown::raw
/// ```
pub(super) fn module_path(file: &str) -> Option<String> {
    let (before, inside) = file.rsplit_once("/src/")?;
    let package = before.rsplit('/').next()?;
    let is_std = before.contains("/library/");
    let is_fetched = before.contains("/registry/src/") || before.contains("/rust/deps/");
    if !is_std && !is_fetched {
        return None;
    }
    // A version follows the name: the last hyphen with a digit behind it.
    let versions = package.match_indices('-');
    let mut versions =
        versions.filter(|(at, _)| package[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
    let name = versions.next().map_or(package, |(at, _)| &package[..at]).replace('-', "_");
    let inside = inside.strip_suffix(".rs")?;
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    match inside {
        "lib" | "mod" => Some(name),
        _ => Some(format!("{name}::{}", inside.replace('/', "::"))),
    }
}
