//! Sets: the three maps without values.

use super::{BuildMixer, HashMap, LinearMap, SortedMap};
use crate::full::Full;
use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::ops::RangeBounds;

/// What all sets have, over the map of that name.
macro_rules! set {
    (
        $(#[$meta:meta])*
        $set:ident over $map:ident, keys are [$($bound:tt)*], $([$s:ident: $hasher:tt])?
    ) => {
        $(#[$meta])*
        #[derive(Clone)]
        pub struct $set<T, const N: usize $(, $s = BuildMixer)?> {
            map: $map<T, (), N $(, $s)?>,
        }

        impl<T, const N: usize $(, $s)?> $set<T, N $(, $s)?> {
            /// How many elements fit: `N`.
            pub const fn capacity(&self) -> usize {
                N
            }

            /// How many there are.
            pub const fn len(&self) -> usize {
                self.map.len()
            }

            /// True when there is none.
            pub const fn is_empty(&self) -> bool {
                self.map.is_empty()
            }

            /// True when no more fit.
            pub const fn is_full(&self) -> bool {
                self.map.is_full()
            }

            /// All elements.
            pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
                self.map.keys()
            }

            /// Drops all elements.
            pub fn clear(&mut self) {
                self.map.clear();
            }

            /// Drops the elements for which `keep` says no. The order stays.
            pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
                self.map.retain(|item, ()| keep(item));
            }
        }

        impl<T: $($bound)*, const N: usize $(, $s: $hasher)?> $set<T, N $(, $s)?> {
            /// True when the element is there.
            pub fn contains<Q: $($bound)* + ?Sized>(&self, item: &Q) -> bool
            where
                T: Borrow<Q>,
            {
                self.map.contains_key(item)
            }

            /// Puts an element in. False says that its like was there already, and
            /// stays.
            ///
            /// # Errors
            ///
            /// It is new and there is no room; it comes back.
            pub fn try_insert(&mut self, item: T) -> Result<bool, Full<T>> {
                if self.map.contains_key(&item) {
                    return Ok(false);
                }
                match self.map.try_insert(item, ()) {
                    Ok(_) => Ok(true),
                    Err(Full((item, ()))) => Err(Full(item)),
                }
            }

            /// Puts an element in. False says that its like was there already, and
            /// stays.
            ///
            /// # Panics
            ///
            /// It is new and there is no room. `try_insert` never panics.
            #[cfg(feature = "infallible")]
            #[track_caller]
            pub fn insert(&mut self, item: T) -> bool {
                crate::full::must(self.try_insert(item))
            }

            /// Drops an element. Whether it was there.
            pub fn remove<Q: $($bound)* + ?Sized>(&mut self, item: &Q) -> bool
            where
                T: Borrow<Q>,
            {
                self.map.remove(item).is_some()
            }

            /// True when all elements are in the other as well, whose capacity may
            /// differ.
            pub fn is_subset<const M: usize>(&self, other: &$set<T, M $(, $s)?>) -> bool {
                self.len() <= other.len() && self.iter().all(|item| other.contains(item))
            }

            /// True when none is in the other.
            pub fn is_disjoint<const M: usize>(&self, other: &$set<T, M $(, $s)?>) -> bool {
                !self.iter().any(|item| other.contains(item))
            }

            /// Those that are in the other as well.
            pub fn intersection<'a, const M: usize>(
                &'a self,
                other: &'a $set<T, M $(, $s)?>,
            ) -> impl DoubleEndedIterator<Item = &'a T> {
                self.iter().filter(|item| other.contains(*item))
            }

            /// Those that are not in the other.
            pub fn difference<'a, const M: usize>(
                &'a self,
                other: &'a $set<T, M $(, $s)?>,
            ) -> impl DoubleEndedIterator<Item = &'a T> {
                self.iter().filter(|item| !other.contains(*item))
            }

            /// Those of both, each once: first ours, then what the other has more.
            pub fn union<'a, const M: usize>(
                &'a self,
                other: &'a $set<T, M $(, $s)?>,
            ) -> impl DoubleEndedIterator<Item = &'a T> {
                self.iter().chain(other.difference(self))
            }
        }

        impl<T: fmt::Debug, const N: usize $(, $s)?> fmt::Debug for $set<T, N $(, $s)?> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_set().entries(self.iter()).finish()
            }
        }

        impl<T: $($bound)*, const N: usize, const M: usize $(, $s: $hasher)?>
            PartialEq<$set<T, M $(, $s)?>> for $set<T, N $(, $s)?>
        {
            fn eq(&self, other: &$set<T, M $(, $s)?>) -> bool {
                self.len() == other.len() && self.is_subset(other)
            }
        }

        impl<T: $($bound)*, const N: usize $(, $s: $hasher)?> Eq for $set<T, N $(, $s)?> {}
    };
}

set! {
    /// A set of at most `N` elements that compares them one by one.
    ///
    /// # What it costs
    ///
    /// *Time.* O(n) each. *Memory.* The elements, and a word.
    ///
    /// # When not to use it
    ///
    /// Above a dozen elements: [`SortedSet`] or [`HashSet`].
    ///
    /// ```
    /// use allod_kit::fixed::LinearSet;
    ///
    /// let mut seen: LinearSet<&str, 2> = LinearSet::new();
    /// assert!(seen.insert("a") && !seen.insert("a") && seen.insert("b"));
    /// assert_eq!(seen.try_insert("c"), Err(allod_kit::Full("c")));
    /// ```
    LinearSet over LinearMap, keys are [Eq],
}

set! {
    /// A set of at most `N` elements in order.
    ///
    /// # What it costs
    ///
    /// *Time.* Finding is O(log n), changing O(n). *Memory.* The elements, and a word.
    ///
    /// # When not to use it
    ///
    /// For many elements that come and go: each moves those behind it.
    ///
    /// ```
    /// use allod_kit::fixed::SortedSet;
    ///
    /// let mut odd: SortedSet<u8, 8> = SortedSet::new();
    /// for n in [5, 1, 3] {
    ///     odd.insert(n);
    /// }
    /// assert!(odd.iter().eq(&[1, 3, 5]) && odd.range(2..).eq(&[3, 5]));
    /// assert_eq!((odd.pop_first(), odd.last()), (Some(1), Some(&5)));
    /// ```
    SortedSet over SortedMap, keys are [Ord],
}

set! {
    /// A set of at most `N` elements by their hash.
    ///
    /// # What it costs
    ///
    /// *Time.* O(1) each, expected. *Memory.* As for [`HashMap`](super::HashMap).
    ///
    /// # When not to use it
    ///
    /// For a handful, and for keys that an enemy chooses, unless with a hasher that is
    /// made for it.
    ///
    /// ```
    /// use allod_kit::fixed::HashSet;
    ///
    /// let mut left: HashSet<u32, 8> = HashSet::new();
    /// let mut right: HashSet<u32, 4> = HashSet::new();
    /// left.insert(1);
    /// left.insert(2);
    /// right.insert(2);
    /// assert!(right.is_subset(&left) && left.difference(&right).eq(&[1]));
    /// ```
    HashSet over HashMap, keys are [Eq + Hash], [S: BuildHasher]
}

impl<T, const N: usize> LinearSet<T, N> {
    /// An empty set. O(1).
    pub const fn new() -> Self {
        Self { map: LinearMap::new() }
    }
}

impl<T, const N: usize> SortedSet<T, N> {
    /// An empty set. O(1).
    pub const fn new() -> Self {
        Self { map: SortedMap::new() }
    }

    /// The least.
    pub fn first(&self) -> Option<&T> {
        self.map.first().map(|(item, ())| item)
    }

    /// The greatest.
    pub fn last(&self) -> Option<&T> {
        self.map.last().map(|(item, ())| item)
    }

    /// Takes the least out. O(n).
    pub fn pop_first(&mut self) -> Option<T> {
        self.map.pop_first().map(|(item, ())| item)
    }

    /// Takes the greatest out. O(1).
    pub fn pop_last(&mut self) -> Option<T> {
        self.map.pop_last().map(|(item, ())| item)
    }
}

impl<T: Ord, const N: usize> SortedSet<T, N> {
    /// Those within a range.
    pub fn range<Q: Ord + ?Sized>(
        &self,
        range: impl RangeBounds<Q>,
    ) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator
    where
        T: Borrow<Q>,
    {
        self.map.range(range).map(|(item, ())| item)
    }
}

impl<T, const N: usize> HashSet<T, N> {
    /// An empty set. O(N).
    pub const fn new() -> Self {
        Self { map: HashMap::new() }
    }
}

impl<T, const N: usize> Default for LinearSet<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> Default for SortedSet<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize, S: Default> Default for HashSet<T, N, S> {
    fn default() -> Self {
        Self { map: HashMap::default() }
    }
}
