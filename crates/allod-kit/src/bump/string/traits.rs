//! What a string has as a text: it is shown, compared, hashed and borrowed as one.

use core::borrow::{Borrow, BorrowMut};
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

use super::String;
use crate::Allocator;

impl<A: Allocator> fmt::Debug for String<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<A: Allocator> fmt::Display for String<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<A: Allocator, S: AsRef<str> + ?Sized> PartialEq<S> for String<A> {
    fn eq(&self, other: &S) -> bool {
        **self == *other.as_ref()
    }
}

impl<A: Allocator> AsRef<str> for String<A> {
    fn as_ref(&self) -> &str {
        self
    }
}

impl<A: Allocator> Eq for String<A> {}

impl<A: Allocator, B: Allocator> PartialOrd<String<B>> for String<A> {
    fn partial_cmp(&self, other: &String<B>) -> Option<Ordering> {
        Some((**self).cmp(&**other))
    }
}

impl<A: Allocator> Ord for String<A> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

/// As the text: a map with these for keys is asked with a `&str`.
impl<A: Allocator> Hash for String<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<A: Allocator> AsMut<str> for String<A> {
    fn as_mut(&mut self) -> &mut str {
        self
    }
}

impl<A: Allocator> Borrow<str> for String<A> {
    fn borrow(&self) -> &str {
        self
    }
}

impl<A: Allocator> BorrowMut<str> for String<A> {
    fn borrow_mut(&mut self) -> &mut str {
        self
    }
}

#[cfg(feature = "infallible")]
impl<A: Allocator + Clone> Clone for String<A> {
    fn clone(&self) -> Self {
        String::from_str_in(self, self.allocator().clone())
    }
}

#[cfg(feature = "infallible")]
impl<A: Allocator> Extend<char> for String<A> {
    fn extend<I: IntoIterator<Item = char>>(&mut self, characters: I) {
        characters.into_iter().for_each(|it| self.push(it));
    }
}

#[cfg(feature = "infallible")]
impl<'t, A: Allocator> Extend<&'t str> for String<A> {
    fn extend<I: IntoIterator<Item = &'t str>>(&mut self, texts: I) {
        texts.into_iter().for_each(|it| self.push_str(it));
    }
}

#[cfg(feature = "infallible")]
impl<A: Allocator> core::ops::AddAssign<&str> for String<A> {
    fn add_assign(&mut self, text: &str) {
        self.push_str(text);
    }
}
