//! The infallible face: what happens when there is no memory and nobody asked.
//!
//! Every operation that takes memory has two names. `try_this` returns an
//! error, and never panics. `this` exists with the feature `infallible`, which
//! is on by default, and ends here instead.
//!
//! With the feature `alloc` that is `alloc::alloc::handle_alloc_error`, as for
//! the standard library's types. Without it there is no such thing on stable
//! Rust, and a plain panic takes its place. That, and an index past the end of
//! a container, are the only panics of this crate. Without the feature
//! `infallible`, only the latter are left.
//!
//! An *allocator* never comes here: its operations are fallible, and it may be
//! somebody's global one, which must not unwind.

use core::alloc::Layout;

use crate::AllocError;

/// What is in a result; or the end of the caller, if that is an error.
///
/// `wanted` is what the message says was wanted.
#[inline(always)]
pub(crate) fn infallible<T>(result: Result<T, AllocError>, wanted: Layout) -> T {
    match result {
        Ok(it) => it,
        Err(AllocError) => exhausted(wanted),
    }
}

/// There was no memory.
#[cold]
#[inline(never)]
fn exhausted(wanted: Layout) -> ! {
    #[cfg(feature = "alloc")]
    alloc::alloc::handle_alloc_error(wanted);
    #[cfg(not(feature = "alloc"))]
    panic!("memory allocation of {} bytes failed", wanted.size());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_comes_through() {
        assert_eq!(infallible(Ok(7), Layout::new::<u8>()), 7);
    }
}
