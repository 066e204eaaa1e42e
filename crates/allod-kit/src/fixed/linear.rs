//! The map that looks at one pair after another.

use super::Vec;
use crate::full::Full;
use core::borrow::Borrow;
use core::fmt;

/// A map of at most `N` pairs that compares keys one by one.
///
/// For a handful of pairs it is the fastest of the three, and its keys need
/// `Eq` alone. O(n) each. The order is that of coming, until something is
/// removed: then the last pair takes the place.
///
/// ```
/// use allod_kit::fixed::LinearMap;
///
/// let mut pins: LinearMap<&str, u8, 4> = LinearMap::new();
/// pins.insert("led", 13);
/// pins.insert("button", 2);
/// assert_eq!(pins.try_insert("led", 7), Ok(Some(13)));
/// assert_eq!((pins.get("led"), pins.get("motor")), (Some(&7), None));
/// ```
///
/// # What it costs
///
/// *Time.* O(n) each, with the cache on its side. *Memory.* The pairs, and a word.
///
/// # When not to use it
///
/// Above a dozen pairs: [`HashMap`](super::HashMap) does not look at the others,
/// and [`SortedMap`](super::SortedMap) at a few.
#[derive(Clone)]
pub struct LinearMap<K, V, const N: usize> {
    pairs: Vec<(K, V), N>,
}

impl<K, V, const N: usize> LinearMap<K, V, N> {
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

    /// All pairs.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + ExactSizeIterator {
        self.pairs.iter().map(|(key, value)| (key, value))
    }

    /// All pairs, the values to change.
    pub fn iter_mut(
        &mut self,
    ) -> impl DoubleEndedIterator<Item = (&K, &mut V)> + ExactSizeIterator {
        self.pairs.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// All keys.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator {
        self.pairs.iter().map(|(key, _)| key)
    }

    /// All values.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator {
        self.pairs.iter().map(|(_, value)| value)
    }

    /// Drops all pairs.
    pub fn clear(&mut self) {
        self.pairs.clear();
    }

    /// Drops the pairs for which `keep` says no. The order stays.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.pairs.retain(|(key, value)| keep(key, value));
    }
}

impl<K: Eq, V, const N: usize> LinearMap<K, V, N> {
    fn find<Q: Eq + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        self.pairs.iter().position(|(other, _)| other.borrow() == key)
    }

    /// The value of a key.
    pub fn get<Q: Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        for (other, value) in &self.pairs {
            if other.borrow() == key {
                return Some(value);
            }
        }
        None
    }

    /// The value of a key, to change.
    pub fn get_mut<Q: Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let mut pairs = self.pairs.iter_mut();
        pairs.find(|(other, _)| (*other).borrow() == key).map(|(_, value)| value)
    }

    /// True when the key is there.
    pub fn contains_key<Q: Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_some()
    }

    /// Gives a key its value, and back the one it had.
    ///
    /// # Errors
    ///
    /// The key is new and there is no room; both come back.
    pub fn try_insert(&mut self, key: K, value: V) -> Result<Option<V>, Full<(K, V)>> {
        match self.get_mut(&key) {
            Some(old) => Ok(Some(core::mem::replace(old, value))),
            None => self.pairs.try_push((key, value)).map(|()| None),
        }
    }

    /// Gives a key its value, and back the one it had.
    ///
    /// # Panics
    ///
    /// The key is new and there is no room. [`try_insert`](LinearMap::try_insert)
    /// never panics.
    #[cfg(feature = "infallible")]
    #[track_caller]
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        crate::full::must(self.try_insert(key, value))
    }

    /// Takes a key's value out.
    pub fn remove<Q: Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let index = self.find(key)?;
        self.pairs.try_swap_remove(index).map(|(_, value)| value)
    }
}

impl<K, V, const N: usize> Default for LinearMap<K, V, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug, const N: usize> fmt::Debug for LinearMap<K, V, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Eq, V: PartialEq, const N: usize, const M: usize> PartialEq<LinearMap<K, V, M>>
    for LinearMap<K, V, N>
{
    fn eq(&self, other: &LinearMap<K, V, M>) -> bool {
        self.len() == other.len() && self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

impl<K: Eq, V: Eq, const N: usize> Eq for LinearMap<K, V, N> {}

impl<K, V, const N: usize> IntoIterator for LinearMap<K, V, N> {
    type Item = (K, V);
    type IntoIter = super::IntoIter<(K, V), N>;
    fn into_iter(self) -> Self::IntoIter {
        self.pairs.into_iter()
    }
}
