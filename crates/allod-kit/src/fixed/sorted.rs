//! The map in order.
//!
//! # Invariants
//!
//! * O1. The keys rise strictly. (If their `Ord` is no order, nothing breaks:
//!   pairs are not found.)

use super::Vec;
use crate::full::Full;
use core::borrow::Borrow;
use core::fmt;
use core::ops::{Bound, RangeBounds};

/// A map of at most `N` pairs in the order of their keys.
///
/// Finding is O(log n), a range O(log n) and its length, inserting and removing
/// O(n) moves of pairs, which for small pairs is quick. It is a slice inside:
/// for a map that is filled once and read often there is nothing smaller.
///
/// ```
/// use allod_kit::fixed::SortedMap;
///
/// let mut marks: SortedMap<u32, &str, 8> = SortedMap::new();
/// for (least, mark) in [(90, "A"), (0, "D"), (75, "B"), (50, "C")] {
///     marks.insert(least, mark);
/// }
/// let mark = |points| marks.range(..=points).next_back().map(|(_, mark)| *mark);
/// assert_eq!([mark(93), mark(75), mark(12)], [Some("A"), Some("B"), Some("D")]);
/// ```
///
/// # What it costs
///
/// *Time.* Finding O(log n), changing O(n), as said. *Memory.* The pairs, and a
/// word.
///
/// # When not to use it
///
/// For many pairs that come and go: each moves those behind it. Where order does
/// not matter [`HashMap`](super::HashMap) changes in O(1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SortedMap<K, V, const N: usize> {
    pairs: Vec<(K, V), N>,
}

impl<K, V, const N: usize> SortedMap<K, V, N> {
    /// An empty map. O(1).
    pub const fn new() -> Self {
        Self { pairs: Vec::new() }
    }

    /// How many pairs fit: `N`.
    pub const fn capacity(&self) -> usize {
        N
    }

    /// How many pairs there are.
    pub const fn len(&self) -> usize {
        self.pairs.len()
    }

    /// True when there is none.
    pub const fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// True when no more fit.
    pub const fn is_full(&self) -> bool {
        self.pairs.is_full()
    }

    /// All pairs, in order.
    pub fn as_slice(&self) -> &[(K, V)] {
        &self.pairs
    }

    /// All pairs, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + ExactSizeIterator {
        self.pairs.iter().map(|(key, value)| (key, value))
    }

    /// All pairs, in order, the values to change.
    pub fn iter_mut(
        &mut self,
    ) -> impl DoubleEndedIterator<Item = (&K, &mut V)> + ExactSizeIterator {
        self.pairs.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator {
        self.pairs.iter().map(|(key, _)| key)
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator {
        self.pairs.iter().map(|(_, value)| value)
    }

    /// The least key and its value.
    pub fn first(&self) -> Option<(&K, &V)> {
        self.pairs.first().map(|(key, value)| (key, value))
    }

    /// The greatest key and its value.
    pub fn last(&self) -> Option<(&K, &V)> {
        self.pairs.last().map(|(key, value)| (key, value))
    }

    /// Takes the least key and its value. O(n).
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        self.pairs.try_remove(0)
    }

    /// Takes the greatest key and its value. O(1).
    pub fn pop_last(&mut self) -> Option<(K, V)> {
        self.pairs.pop()
    }

    /// Drops all pairs.
    pub fn clear(&mut self) {
        self.pairs.clear();
    }

    /// Drops the pairs for which `keep` says no. O(n).
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.pairs.retain(|(key, value)| keep(key, value));
    }
}

impl<K: Ord, V, const N: usize> SortedMap<K, V, N> {
    /// Where a key is, or where it would go.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.pairs.binary_search_by(|(other, _)| other.borrow().cmp(key))
    }

    /// The value of a key. O(log n).
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let index = self.find(key).ok()?;
        self.pairs.get(index).map(|(_, value)| value)
    }

    /// The value of a key, to change. O(log n).
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let index = self.find(key).ok()?;
        self.pairs.get_mut(index).map(|(_, value)| value)
    }

    /// True when the key is there. O(log n).
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Gives a key its value, and back the one it had. O(n).
    ///
    /// # Errors
    ///
    /// The key is new and there is no room; both come back.
    pub fn try_insert(&mut self, key: K, value: V) -> Result<Option<V>, Full<(K, V)>> {
        // Keys that come in order are the common case, and need no search.
        if self.pairs.last().is_none_or(|(last, _)| *last < key) {
            return self.pairs.try_push((key, value)).map(|()| None);
        }
        let place = self.find(&key);
        if let Ok(index) = place
            && let Some((_, old)) = self.pairs.get_mut(index)
        {
            return Ok(Some(core::mem::replace(old, value)));
        }
        let index = place.unwrap_or_else(|index| index);
        self.pairs.try_insert(index, (key, value)).map(|()| None)
    }

    /// Gives a key its value, and back the one it had. O(n).
    ///
    /// # Panics
    ///
    /// The key is new and there is no room. [`try_insert`](SortedMap::try_insert)
    /// never panics.
    #[cfg(feature = "infallible")]
    #[track_caller]
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        crate::full::must(self.try_insert(key, value))
    }

    /// Takes a key's value out. O(n).
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let index = self.find(key).ok()?;
        self.pairs.try_remove(index).map(|(_, value)| value)
    }

    /// The pairs whose keys lie in a range, in order. An empty range, or one
    /// that ends before it starts, has none. O(log n).
    pub fn range<Q: Ord + ?Sized>(
        &self,
        range: impl RangeBounds<Q>,
    ) -> impl DoubleEndedIterator<Item = (&K, &V)> + ExactSizeIterator
    where
        K: Borrow<Q>,
    {
        let below = |key: &Q| self.pairs.partition_point(|(other, _)| other.borrow() < key);
        let up_to = |key: &Q| self.pairs.partition_point(|(other, _)| other.borrow() <= key);
        let start = match range.start_bound() {
            Bound::Included(key) => below(key),
            Bound::Excluded(key) => up_to(key),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(key) => up_to(key),
            Bound::Excluded(key) => below(key),
            Bound::Unbounded => self.pairs.len(),
        };
        let found = self.pairs.get(start..end).unwrap_or(&[]);
        found.iter().map(|(key, value)| (key, value))
    }
}

impl<K, V, const N: usize> Default for SortedMap<K, V, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug, const N: usize> fmt::Debug for SortedMap<K, V, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K, V, const N: usize> IntoIterator for SortedMap<K, V, N> {
    type Item = (K, V);
    type IntoIter = super::IntoIter<(K, V), N>;
    fn into_iter(self) -> Self::IntoIter {
        self.pairs.into_iter()
    }
}
