//! Walks over a slab's values: in the order of their slots, free ones skipped.
#![allow(unsafe_code)]

use super::store::Place;
use super::{Key, Slab, Store};
use core::fmt;
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// Where a walk is: the slots from `next` to `end`, in which `left` values are.
struct Walk<T, K> {
    places: NonNull<Place<T>>,
    next: u32,
    end: u32,
    left: u32,
    kind: PhantomData<fn(K) -> K>,
}

impl<T, K> Walk<T, K> {
    /// The next place with a value, and its key. Each is given once.
    #[inline]
    fn step(&mut self) -> Option<(Key<K>, NonNull<Place<T>>)> {
        while self.next != self.end {
            let index = self.next;
            self.next += 1;
            if let Some(found) = self.at(index) {
                self.left -= 1;
                return Some(found);
            }
        }
        None
    }

    /// The same from the other end.
    #[inline]
    fn step_back(&mut self) -> Option<(Key<K>, NonNull<Place<T>>)> {
        while self.next != self.end {
            self.end -= 1;
            if let Some(found) = self.at(self.end) {
                self.left -= 1;
                return Some(found);
            }
        }
        None
    }

    #[inline]
    fn at(&self, index: u32) -> Option<(Key<K>, NonNull<Place<T>>)> {
        // SAFETY: a walk is made of the places of a slab (B1), which it borrows.
        let place = unsafe { self.places.add(index as usize) };
        // SAFETY: as above. No reference is made: values beside it may be lent.
        let generation = unsafe { &raw const (*place.as_ptr()).generation };
        // SAFETY: a place has a generation.
        let generation = unsafe { generation.read() };
        let key = core::num::NonZeroU32::new(generation)?;
        (generation % 2 == 1).then_some((Key::new(index, key), place))
    }

    fn copy(&self) -> Self {
        Self { kind: PhantomData, ..*self }
    }
}

/// The value in a place.
#[inline]
fn value_in<T>(place: NonNull<Place<T>>) -> NonNull<T> {
    // SAFETY: places of a walk are in the slab's memory; no reference is made.
    let value = unsafe { &raw mut (*place.as_ptr()).content.value };
    // SAFETY: the address of a field is not null.
    unsafe { NonNull::new_unchecked(value.cast()) }
}

/// Writes an iterator: its name, what it lends, and how from a key and a value.
macro_rules! walks {
    ($(#[$doc:meta])* $name:ident, $item:ty, [$($mutable:tt)?], $key:pat, $value:ident, $give:expr) => {
        $(#[$doc])*
        pub struct $name<'a, T, K> {
            walk: Walk<T, K>,
            lent: PhantomData<&'a $($mutable)? T>,
        }

        impl<'a, T, K> Iterator for $name<'a, T, K> {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<$item> {
                self.walk.step().map(|($key, place)| {
                    let $value = value_in(place);
                    $give
                })
            }

            #[inline]
            fn size_hint(&self) -> (usize, Option<usize>) {
                (self.walk.left as usize, Some(self.walk.left as usize))
            }

            // To the end, nobody need count what is left.
            #[inline]
            fn fold<B, F: FnMut(B, $item) -> B>(self, init: B, mut f: F) -> B {
                let mut sum = init;
                for index in self.walk.next..self.walk.end {
                    if let Some(($key, place)) = self.walk.at(index) {
                        let $value = value_in(place);
                        sum = f(sum, $give);
                    }
                }
                sum
            }
        }

        impl<'a, T, K> DoubleEndedIterator for $name<'a, T, K> {
            #[inline]
            fn next_back(&mut self) -> Option<$item> {
                self.walk.step_back().map(|($key, place)| {
                    let $value = value_in(place);
                    $give
                })
            }
        }

        impl<T, K> ExactSizeIterator for $name<'_, T, K> {}
        impl<T, K> FusedIterator for $name<'_, T, K> {}

        // SAFETY: it is a reference to the values and nothing else.
        unsafe impl<'a, T, K> Send for $name<'a, T, K> where &'a $($mutable)? T: Send {}
        // SAFETY: as above.
        unsafe impl<'a, T, K> Sync for $name<'a, T, K> where &'a $($mutable)? T: Sync {}

        impl<T, K> fmt::Debug for $name<'_, T, K> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("left", &self.walk.left).finish()
            }
        }
    };
}

walks!(
    /// Keys and values. See [`Slab::iter`].
    Iter, (Key<K>, &'a T), [], key, value,
    // SAFETY: the slab is borrowed for `'a`, and a value is there.
    (key, unsafe { value.as_ref() })
);
walks!(
    /// Keys and values to change. See [`Slab::iter_mut`].
    IterMut, (Key<K>, &'a mut T), [mut], key, value, {
        let mut value = value;
        // SAFETY: the slab is borrowed alone for `'a`, and each value is given once.
        (key, unsafe { value.as_mut() })
    }
);
walks!(
    /// Values. See [`Slab::values`].
    Values, &'a T, [], _, value,
    // SAFETY: as for `Iter`.
    unsafe { value.as_ref() }
);
walks!(
    /// Values to change. See [`Slab::values_mut`].
    ValuesMut, &'a mut T, [mut], _, value, {
        let mut value = value;
        // SAFETY: as for `IterMut`.
        unsafe { value.as_mut() }
    }
);
walks!(
    /// Keys. See [`Slab::keys`].
    Keys, Key<K>, [], key, value, {
        let _ = value;
        key
    }
);

macro_rules! cloned {
    ($($name:ident)*) => {$(
        impl<T, K> Clone for $name<'_, T, K> {
            fn clone(&self) -> Self {
                Self { walk: self.walk.copy(), lent: PhantomData }
            }
        }
    )*};
}
cloned!(Iter Values Keys);

impl<T, S: Store<T>, K> Slab<T, S, K> {
    fn walk(&self) -> Walk<T, K> {
        let places = self.store.places();
        Walk { places, next: 0, end: self.used, left: self.length, kind: PhantomData }
    }

    fn walk_mut(&mut self) -> Walk<T, K> {
        let places = self.store.places_mut();
        Walk { places, next: 0, end: self.used, left: self.length, kind: PhantomData }
    }

    /// All keys and values, in the order of their slots.
    #[inline]
    pub fn iter(&self) -> Iter<'_, T, K> {
        Iter { walk: self.walk(), lent: PhantomData }
    }

    /// All keys and values, to change.
    #[inline]
    pub fn iter_mut(&mut self) -> IterMut<'_, T, K> {
        IterMut { walk: self.walk_mut(), lent: PhantomData }
    }

    /// All values, in the order of their slots.
    #[inline]
    pub fn values(&self) -> Values<'_, T, K> {
        Values { walk: self.walk(), lent: PhantomData }
    }

    /// All values, to change.
    #[inline]
    pub fn values_mut(&mut self) -> ValuesMut<'_, T, K> {
        ValuesMut { walk: self.walk_mut(), lent: PhantomData }
    }

    /// All keys, in the order of their slots.
    #[inline]
    pub fn keys(&self) -> Keys<'_, T, K> {
        Keys { walk: self.walk(), lent: PhantomData }
    }

    /// Takes all values out, in the order of their slots. Those that are not
    /// asked for are dropped with the iterator.
    pub fn drain(&mut self) -> Drain<'_, T, S, K> {
        Drain { slab: self, next: 0 }
    }
}

impl<'a, T, S: Store<T>, K> IntoIterator for &'a Slab<T, S, K> {
    type Item = (Key<K>, &'a T);
    type IntoIter = Iter<'a, T, K>;
    fn into_iter(self) -> Iter<'a, T, K> {
        self.iter()
    }
}

impl<'a, T, S: Store<T>, K> IntoIterator for &'a mut Slab<T, S, K> {
    type Item = (Key<K>, &'a mut T);
    type IntoIter = IterMut<'a, T, K>;
    fn into_iter(self) -> IterMut<'a, T, K> {
        self.iter_mut()
    }
}

/// Takes all values out. See [`Slab::drain`].
pub struct Drain<'a, T, S: Store<T>, K> {
    slab: &'a mut Slab<T, S, K>,
    next: u32,
}

impl<T, S: Store<T>, K> Iterator for Drain<'_, T, S, K> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        while self.next < self.slab.used {
            let index = self.next;
            self.next += 1;
            // SAFETY: below `used`.
            if unsafe { self.slab.place(index) }.generation % 2 == 1 {
                // SAFETY: below `used`, and a value is there (B2).
                return Some(unsafe { self.slab.take(index) });
            }
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.slab.len(), Some(self.slab.len()))
    }
}

impl<T, S: Store<T>, K> ExactSizeIterator for Drain<'_, T, S, K> {}
impl<T, S: Store<T>, K> FusedIterator for Drain<'_, T, S, K> {}

impl<T, S: Store<T>, K> Drop for Drain<'_, T, S, K> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

impl<T, S: Store<T>, K> fmt::Debug for Drain<'_, T, S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("left", &self.slab.len()).finish()
    }
}
