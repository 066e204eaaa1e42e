//! Frames that say nothing: the allocator's own, at the inner end of every stack.
//!
//! Whoever looks for memory wants to see who asked for it. Between the asker and the
//! allocator stand a handful of functions that are the same for everybody: `malloc`,
//! `operator new`, `__rust_alloc`, `alloc::alloc::exchange_malloc`. They are taken off
//! from the inner end up to the first function that is not one of them, and kept apart
//! ([`Site::trimmed`](crate::model::Site::trimmed)) for those who want everything.
//! Containers stay: `Vec::push` tells something.

use crate::model::{Frame, Module, Profile, Site};

/// What ends in malloc: functions of C, and of the linker's making.
const FUNCTIONS: [&str; 28] = [
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "memalign",
    "aligned_alloc",
    "posix_memalign",
    "valloc",
    "pvalloc",
    "__rust_alloc",
    "__rust_alloc_zeroed",
    "__rust_realloc",
    "__rdl_alloc",
    "__rdl_alloc_zeroed",
    "__rdl_realloc",
    "__rg_alloc",
    "__rg_alloc_zeroed",
    "__rg_realloc",
    "exchange_malloc",
    "box_new",
    "operator new",
    "operator new[]",
    "g_malloc",
    "g_malloc0",
    "g_realloc",
    "g_try_malloc",
    "xmalloc",
    "xrealloc",
];

/// Modules, and types with all that belongs to them.
const PATHS: [&str; 12] = [
    "allod::",
    "allod_capi::",
    "allod_kit::",
    "alloc::alloc::",
    "core::alloc::",
    "std::alloc::",
    "__gnu_cxx::new_allocator",
    "std::__new_allocator",
    "std::allocator_traits",
    "std::allocator<",
    "std::__1::allocator",
    "std::__1::__libcpp_allocate",
];

/// How many frames at the inner end are the allocator's. Never all of them.
pub(crate) fn inner(frames: &[Frame], modules: &[Module]) -> usize {
    let is_ours = |frame: &Frame| {
        let module = frame.module.and_then(|module| modules.get(module));
        module.is_some_and(|module| module.is_allod) || is_allocation(&frame.function)
    };
    let own = frames.iter().take_while(|frame| is_ours(frame)).count();
    own.min(frames.len().saturating_sub(1))
}

/// Whether a function does nothing but hand out memory.
pub(crate) fn is_allocation(function: &str) -> bool {
    let plain = function.split_once('<').map_or(function, |(before, _)| before);
    let last = plain.rsplit("::").next().unwrap_or(plain);
    let named = if plain.is_empty() { function } else { last };
    if FUNCTIONS.contains(&named) && (plain == named || plain.starts_with("__rustc::")) {
        return true;
    }
    // `<alloc::alloc::Global as core::alloc::Allocator>::allocate`
    let (of, by) = match function.strip_prefix('<').and_then(|it| it.split_once(" as ")) {
        Some((of, by)) => (of, by),
        None => (function.trim_start_matches('<'), ""),
    };
    PATHS.iter().any(|path| of.starts_with(path))
        || by.starts_with("core::alloc::") && !of.contains("::RawVec")
}

/// Gives every stack its whole length back.
pub fn restore(profile: &mut Profile) {
    for site in &mut profile.sites {
        let outer = std::mem::take(&mut site.stack);
        site.stack = std::mem::take(&mut site.trimmed);
        site.stack.extend(outer);
    }
}

/// The frame that a site is best named by: the innermost that is neither the
/// allocator's nor a container's of a standard library.
pub fn place<'a>(profile: &'a Profile, site: &Site) -> Option<&'a Frame> {
    let mut frames = site.stack.iter().filter_map(|&frame| profile.frames.get(frame));
    let first = frames.clone().next();
    frames.find(|frame| !is_library(frame)).or(first)
}

/// Whether a function belongs to a standard library, or its containers.
pub fn is_library(frame: &Frame) -> bool {
    const PREFIXES: [&str; 7] =
        ["alloc::", "core::", "std::", "hashbrown::", "__gnu_cxx::", "__rust", "__rustc"];
    let function = frame.function.as_str();
    let is_theirs = |path: &str| PREFIXES.iter().any(|prefix| path.starts_with(prefix));
    // `<app::Order as core::clone::Clone>::clone` is the program's own, and
    // `<alloc::vec::Vec<app::Order> as core::clone::Clone>::clone` is not.
    let path = function.trim_start_matches(['<', '&', '[', '(']);
    is_theirs(path)
        || is_allocation(function)
        || frame.file.contains("/library/alloc/")
        || frame.file.contains("/library/core/")
        || frame.file.contains("/library/std/")
        || (function.is_empty() && frame.linkage.is_empty() && frame.module.is_none())
}

#[cfg(test)]
mod tests;
