//! What a container says when it has no room: it gives the value back.
//!
//! Every `try_` method of a pool, a slab or a fixed container returns
//! [`Full`] with what it could not take, so that the caller loses nothing.
//! The methods without `try_` stop the program instead; they exist with the
//! feature `infallible` (on by default) and are one-liners over the others.

use core::error::Error;
use core::fmt;

/// There is no room. The value that was to go in is inside.
///
/// ```
/// use allod_kit::{Full, fixed};
///
/// let mut seats = fixed::Vec::<_, 1>::new();
/// assert_eq!(seats.try_push("Ada"), Ok(()));
/// assert_eq!(seats.try_push("Bob"), Err(Full("Bob")));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Full<T = ()>(pub T);

impl<T> Full<T> {
    /// The value that did not go in.
    #[inline]
    pub fn into_inner(self) -> T {
        self.0
    }
}

// By hand, so that no bound on `T` is needed: an error is printed where `T` is unknown.
impl<T> fmt::Debug for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full")
    }
}

impl<T> fmt::Display for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no room")
    }
}

impl<T> Error for Full<T> {}

/// The value, or the end: what the methods without `try_` do.
#[cfg(feature = "infallible")]
#[inline]
#[track_caller]
pub(crate) fn must<T, E>(result: Result<T, Full<E>>) -> T {
    match result {
        Ok(value) => value,
        Err(_) => no_room(),
    }
}

#[cfg(feature = "infallible")]
#[cold]
#[inline(never)]
#[track_caller]
fn no_room() -> ! {
    panic!("there is no room")
}
