//! The map by hash.
//!
//! The pairs lie in a vector, one after another. Beside it is a table of marks,
//! twice as many as pairs: 16 bits of the key's hash, and where the pair is.
//!
//! ```text
//!   table   | . | a,1 | . | b,0 | c,2 | . |      2 N marks, at most half taken
//!                  |          |     |
//!   pairs   | (B, 7) | (A, 5) | (C, 9) |         N pairs, as they came
//! ```
//!
//! A key's search begins at the place that its 16 bits say, scaled to the
//! table, and goes on to the right until a mark that is empty. As no more than
//! half of the marks are taken, that is 1.5 marks for a key that is there and
//! 2.5 for one that is not, on average and when full (Knuth, "The Art of
//! Computer Programming", volume 3, section 6.4). Removing closes the gap, so
//! there are no tombstones and the map does not wear out.
//!
//! # Invariants
//!
//! * H1. Every pair has exactly one mark, which has its number and the 16 bits
//!   that `hashes` has for it; all other marks are empty. This holds whatever
//!   the keys' `Hash` and `Eq` say, for nothing is asked of them twice.
//! * H2. Between a mark and the place where its search begins nothing is empty.
#![allow(unsafe_code)]

use super::Vec;
use crate::full::Full;
use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash, Hasher};

/// A mark: the 16 bits of the hash above the number of the pair.
type Mark = u32;
/// No pair has the number 65535.
const EMPTY: Mark = Mark::MAX;

/// A map of at most `N` pairs, found by hash, kept within itself.
///
/// `N` is any number up to 65,534. The order of iteration is that of coming, until
/// something is removed: then the last pair takes its place.
///
/// The hash is quick and the same in every run. Where keys come from people
/// who wish you ill, bring a hasher with a secret
/// ([`with_hasher`](HashMap::with_hasher)).
///
/// ```
/// use allod_kit::fixed::HashMap;
///
/// let mut counts: HashMap<&str, u32, 8> = HashMap::new();
/// for word in "to be or not to be".split(' ') {
///     *counts.entry(word).or_try_insert(0).map_err(|_| "too many words")? += 1;
/// }
/// assert_eq!((counts["to"], counts["or"], counts.get("if")), (2, 1, None));
/// # Ok::<(), &str>(())
/// ```
///
/// # What it costs
///
/// *Time.* O(1) expected, each. *Memory.* 10 bytes a pair beyond the pairs.
///
/// # When not to use it
///
/// For a handful of pairs: [`LinearMap`](super::LinearMap) is smaller, and quicker.
/// In order: [`SortedMap`](super::SortedMap).
#[derive(Clone)]
pub struct HashMap<K, V, const N: usize, S = BuildMixer> {
    table: [[Mark; 2]; N],
    hashes: [u16; N],
    pairs: Vec<(K, V), N>,
    hasher: S,
}

impl<K, V, const N: usize> HashMap<K, V, N> {
    /// An empty map. O(N).
    pub const fn new() -> Self {
        Self::with_hasher(BuildMixer)
    }
}

impl<K, V, const N: usize, S> HashMap<K, V, N, S> {
    /// Two for each pair.
    const MARKS: usize = {
        assert!(N < EMPTY as u16 as usize, "a fixed hash map has at most 65,534 pairs");
        2 * N
    };

    /// An empty map with a hasher of yours. O(N).
    pub const fn with_hasher(hasher: S) -> Self {
        let _ = Self::MARKS;
        Self { table: [[EMPTY; 2]; N], hashes: [0; N], pairs: Vec::new(), hasher }
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
    pub fn as_slice(&self) -> &[(K, V)] {
        &self.pairs
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

    /// All values, to change.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> + ExactSizeIterator {
        self.pairs.iter_mut().map(|(_, value)| value)
    }

    /// Drops all pairs. O(N).
    pub fn clear(&mut self) {
        self.table = [[EMPTY; 2]; N];
        self.pairs.clear();
    }

    /// Drops the pairs for which `keep` says no. Goes from the last pair to the
    /// first. O(n).
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        for index in (0..self.pairs.len()).rev() {
            if let Some((key, value)) = self.pairs.get_mut(index)
                && !keep(key, value)
            {
                let place = self.place_of(index);
                drop(self.take(place, index));
            }
        }
    }

    /// Where the search for these 16 bits begins.
    #[inline]
    fn home(hash: u16) -> usize {
        // Both factors have at most 17 bits.
        ((u64::from(hash) * Self::MARKS as u64) >> 16) as usize
    }

    #[inline]
    fn next(place: usize) -> usize {
        if place + 1 == Self::MARKS { 0 } else { place + 1 }
    }

    /// How far a search that begins at `home` has come when it is at `place`.
    #[inline]
    fn way(home: usize, place: usize) -> usize {
        if place >= home { place - home } else { place + Self::MARKS - home }
    }

    #[inline]
    fn mark(&self, place: usize) -> Mark {
        debug_assert!(place < Self::MARKS);
        // SAFETY: places come from `home`, which is below `MARKS`, and from `next`.
        unsafe { *self.table.as_flattened().get_unchecked(place) }
    }

    #[inline]
    fn set_mark(&mut self, place: usize, mark: Mark) {
        debug_assert!(place < Self::MARKS);
        // SAFETY: as in `mark`.
        unsafe { *self.table.as_flattened_mut().get_unchecked_mut(place) = mark };
    }

    #[inline]
    fn number(mark: Mark) -> usize {
        (mark & 0xFFFF) as usize
    }

    #[inline]
    fn hash_in(mark: Mark) -> u16 {
        (mark >> 16) as u16
    }

    /// The pair of a mark that is not empty.
    #[inline]
    fn pair(&self, mark: Mark) -> &(K, V) {
        debug_assert!(Self::number(mark) < self.pairs.len());
        // SAFETY: a mark has the number of a pair (H1).
        unsafe { self.pairs.get_unchecked(Self::number(mark)) }
    }

    /// The same, to change.
    #[inline]
    fn pair_mut(&mut self, mark: Mark) -> &mut (K, V) {
        debug_assert!(Self::number(mark) < self.pairs.len());
        // SAFETY: a mark has the number of a pair (H1).
        unsafe { self.pairs.get_unchecked_mut(Self::number(mark)) }
    }

    /// The place of a pair's mark.
    fn place_of(&self, index: usize) -> usize {
        let hash = self.hashes.get(index).copied().unwrap_or(0);
        let mut place = Self::home(hash);
        while Self::number(self.mark(place)) != index {
            place = Self::next(place);
        }
        place
    }

    /// Empties a place, and moves what searched past it one step nearer (H2).
    fn empty(&mut self, mut hole: usize) {
        let mut place = hole;
        loop {
            place = Self::next(place);
            let mark = self.mark(place);
            if mark == EMPTY {
                break;
            }
            let home = Self::home(Self::hash_in(mark));
            if Self::way(home, place) >= Self::way(hole, place) {
                self.set_mark(hole, mark);
                hole = place;
            }
        }
        self.set_mark(hole, EMPTY);
    }

    /// Takes out the pair `index`, whose mark is at `place`.
    fn take(&mut self, place: usize, index: usize) -> Option<(K, V)> {
        self.empty(place);
        let last = self.pairs.len() - 1;
        if index != last {
            // The last pair gets this number.
            let place = self.place_of(last);
            let mark = self.mark(place) & !0xFFFF | index as Mark;
            self.set_mark(place, mark);
            self.hashes.swap(index, last);
        }
        self.pairs.try_swap_remove(index)
    }

    /// Adds a pair, whose mark goes to `place`. There is room.
    fn add(&mut self, place: usize, hash: u16, key: K, value: V) -> Result<(), Full<(K, V)>> {
        let index = self.pairs.len();
        self.pairs.try_push((key, value))?;
        if let Some(entry) = self.hashes.get_mut(index) {
            *entry = hash;
        }
        self.set_mark(place, Mark::from(hash) << 16 | index as Mark);
        Ok(())
    }

    /// Holds the map against its invariants. For tests.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let marks = self.table.as_flattened();
        let mut seen = std::vec![false; self.len()];
        for (place, mark) in marks.iter().enumerate().filter(|(_, mark)| **mark != EMPTY) {
            let (number, hash) = (Self::number(*mark), Self::hash_in(*mark));
            assert!(!core::mem::replace(&mut seen[number], true), "H1: one mark");
            assert_eq!(self.hashes[number], hash, "H1");
            let mut way = Self::home(hash);
            while way != place {
                assert_ne!(marks[way], EMPTY, "H2");
                way = Self::next(way);
            }
        }
        assert!(seen.iter().all(|seen| *seen), "H1: every pair");
    }
}

/// What a search has come to: a place, and the mark in it.
enum Search {
    Found(usize, Mark),
    /// Here it would go.
    Empty(usize),
}

impl<K: Eq + Hash, V, const N: usize, S: BuildHasher> HashMap<K, V, N, S> {
    /// The 16 bits.
    #[inline]
    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u16 {
        let hash = self.hasher.hash_one(key);
        // Whatever half the hasher is good at, and a turn that brings the low
        // bits of a poor one up.
        let half = (hash ^ hash >> 32) as u32;
        (half.wrapping_mul(0x9E37_79B9) >> 16) as u16
    }

    /// `N` is not 0.
    #[inline]
    fn search<Q: Eq + ?Sized>(&self, hash: u16, key: &Q) -> Search
    where
        K: Borrow<Q>,
    {
        let mut place = Self::home(hash);
        loop {
            let mark = self.mark(place);
            if mark == EMPTY {
                return Search::Empty(place);
            }
            if Self::hash_in(mark) == hash && self.pair(mark).0.borrow() == key {
                return Search::Found(place, mark);
            }
            place = Self::next(place);
        }
    }

    #[inline]
    fn find<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<(usize, Mark)>
    where
        K: Borrow<Q>,
    {
        if self.is_empty() {
            return None;
        }
        match self.search(self.hash(key), key) {
            Search::Found(place, mark) => Some((place, mark)),
            Search::Empty(_) => None,
        }
    }

    /// The value of a key. O(1) expected.
    #[inline]
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let (_, mark) = self.find(key)?;
        Some(&self.pair(mark).1)
    }

    /// The value of a key, to change. O(1) expected.
    #[inline]
    pub fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (_, mark) = self.find(key)?;
        Some(&mut self.pair_mut(mark).1)
    }

    /// True when the key is there. O(1) expected.
    #[inline]
    pub fn contains_key<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_some()
    }

    /// Gives a key its value, and back the one it had. O(1) expected.
    ///
    /// # Errors
    ///
    /// The key is new and there is no room; both come back.
    #[inline]
    pub fn try_insert(&mut self, key: K, value: V) -> Result<Option<V>, Full<(K, V)>> {
        if N == 0 {
            return Err(Full((key, value)));
        }
        let hash = self.hash(&key);
        match self.search(hash, &key) {
            Search::Found(_, mark) => {
                Ok(Some(core::mem::replace(&mut self.pair_mut(mark).1, value)))
            }
            Search::Empty(place) => self.add(place, hash, key, value).map(|()| None),
        }
    }

    /// Gives a key its value, and back the one it had. O(1) expected.
    ///
    /// # Panics
    ///
    /// The key is new and there is no room. [`try_insert`](HashMap::try_insert)
    /// never panics.
    #[cfg(feature = "infallible")]
    #[track_caller]
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        crate::full::must(self.try_insert(key, value))
    }

    /// Takes a key's value out. O(1) expected.
    #[inline]
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let (place, mark) = self.find(key)?;
        self.take(place, Self::number(mark)).map(|(_, value)| value)
    }

    /// The place of a key, taken or not: one search for what would be several.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V, N, S> {
        if N == 0 {
            return Entry::Vacant(VacantEntry { map: self, place: 0, hash: 0, key });
        }
        let hash = self.hash(&key);
        match self.search(hash, &key) {
            Search::Found(place, mark) => Entry::Occupied(OccupiedEntry { map: self, place, mark }),
            Search::Empty(place) => Entry::Vacant(VacantEntry { map: self, place, hash, key }),
        }
    }
}

/// A key's place in a [`HashMap`].
pub enum Entry<'a, K, V, const N: usize, S> {
    /// The key is there.
    Occupied(OccupiedEntry<'a, K, V, N, S>),
    /// The key is new.
    Vacant(VacantEntry<'a, K, V, N, S>),
}

/// The place of a key that is there.
pub struct OccupiedEntry<'a, K, V, const N: usize, S> {
    map: &'a mut HashMap<K, V, N, S>,
    place: usize,
    mark: Mark,
}

/// The place of a key that is new.
pub struct VacantEntry<'a, K, V, const N: usize, S> {
    map: &'a mut HashMap<K, V, N, S>,
    place: usize,
    hash: u16,
    key: K,
}

impl<'a, K, V, const N: usize, S> Entry<'a, K, V, N, S> {
    /// The value; if the key is new, this one.
    ///
    /// # Errors
    ///
    /// The key is new and there is no room; both come back.
    #[inline]
    pub fn or_try_insert(self, value: V) -> Result<&'a mut V, Full<(K, V)>> {
        match self {
            Self::Occupied(entry) => Ok(entry.into_mut()),
            Self::Vacant(entry) => entry.try_insert(value),
        }
    }

    /// Changes the value if the key is there.
    #[inline]
    pub fn and_modify(mut self, change: impl FnOnce(&mut V)) -> Self {
        if let Self::Occupied(entry) = &mut self {
            change(entry.get_mut());
        }
        self
    }
}

impl<'a, K, V, const N: usize, S> OccupiedEntry<'a, K, V, N, S> {
    /// The key.
    pub fn key(&self) -> &K {
        &self.map.pair(self.mark).0
    }

    /// The value.
    pub fn get(&self) -> &V {
        &self.map.pair(self.mark).1
    }

    /// The value, to change.
    pub fn get_mut(&mut self) -> &mut V {
        &mut self.map.pair_mut(self.mark).1
    }

    /// The value, for as long as the map is borrowed.
    pub fn into_mut(self) -> &'a mut V {
        &mut self.map.pair_mut(self.mark).1
    }

    /// Takes the pair out.
    pub fn remove(self) -> Option<(K, V)> {
        let number = HashMap::<K, V, N, S>::number(self.mark);
        self.map.take(self.place, number)
    }
}

impl<'a, K, V, const N: usize, S> VacantEntry<'a, K, V, N, S> {
    /// The key.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// The key again.
    pub fn into_key(self) -> K {
        self.key
    }

    /// Puts the value in.
    ///
    /// # Errors
    ///
    /// There is no room; key and value come back.
    pub fn try_insert(self, value: V) -> Result<&'a mut V, Full<(K, V)>> {
        let Self { map, place, hash, key } = self;
        map.add(place, hash, key, value)?;
        let mark = map.mark(place);
        Ok(&mut map.pair_mut(mark).1)
    }
}

impl<K: fmt::Debug, V: fmt::Debug, const N: usize, S> fmt::Debug for Entry<'_, K, V, N, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Occupied(entry) => {
                f.debug_tuple("Occupied").field(entry.key()).field(entry.get()).finish()
            }
            Self::Vacant(entry) => f.debug_tuple("Vacant").field(entry.key()).finish(),
        }
    }
}

impl<K: Eq + Hash + Borrow<Q>, Q: Eq + Hash + ?Sized, V, const N: usize, S: BuildHasher>
    core::ops::Index<&Q> for HashMap<K, V, N, S>
{
    type Output = V;

    /// # Panics
    ///
    /// The key is not there. [`get`](HashMap::get) never panics.
    #[track_caller]
    fn index(&self, key: &Q) -> &V {
        match self.get(key) {
            Some(value) => value,
            None => not_there(),
        }
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn not_there() -> ! {
    panic!("the key is not in the map")
}

impl<K, V, const N: usize, S: Default> Default for HashMap<K, V, N, S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<K: fmt::Debug, V: fmt::Debug, const N: usize, S> fmt::Debug for HashMap<K, V, N, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Eq + Hash, V: PartialEq, const N: usize, const M: usize, S: BuildHasher>
    PartialEq<HashMap<K, V, M, S>> for HashMap<K, V, N, S>
{
    fn eq(&self, other: &HashMap<K, V, M, S>) -> bool {
        self.len() == other.len() && self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

impl<K: Eq + Hash, V: Eq, const N: usize, S: BuildHasher> Eq for HashMap<K, V, N, S> {}

impl<K, V, const N: usize, S> IntoIterator for HashMap<K, V, N, S> {
    type Item = (K, V);
    type IntoIter = super::IntoIter<(K, V), N>;
    fn into_iter(self) -> Self::IntoIter {
        self.pairs.into_iter()
    }
}

/// Makes [`Mixer`]s. What a [`HashMap`] uses unless told otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuildMixer;

impl BuildHasher for BuildMixer {
    type Hasher = Mixer;
    #[inline]
    fn build_hasher(&self) -> Mixer {
        Mixer(0)
    }
}

/// A quick hash without a secret: turn, mix in a word, multiply. The idea is
/// that of Firefox's hash. Not against enemies, and not the same on processors
/// of other word sizes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mixer(usize);

/// The golden ratio's fraction, in a word, made odd.
const RATIO: usize = (0x9E37_79B9_7F4A_7C15_u64 >> (64 - usize::BITS)) as usize | 1;
const WORD: usize = size_of::<usize>();

impl Mixer {
    #[inline]
    fn mix(&mut self, word: usize) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(RATIO);
    }
}

impl Hasher for Mixer {
    #[inline]
    fn finish(&self) -> u64 {
        self.0 as u64
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<WORD>();
        for word in words {
            self.mix(usize::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; WORD];
            for (to, from) in last.iter_mut().zip(rest) {
                *to = *from;
            }
            self.mix(usize::from_le_bytes(last));
        }
    }

    #[inline]
    fn write_u8(&mut self, n: u8) {
        self.mix(usize::from(n));
    }

    #[inline]
    fn write_u16(&mut self, n: u16) {
        self.mix(usize::from(n));
    }

    #[inline]
    fn write_u32(&mut self, n: u32) {
        self.mix(n as usize);
    }

    #[inline]
    fn write_u64(&mut self, n: u64) {
        self.mix(n as usize);
        if usize::BITS < 64 {
            self.mix((n >> 32) as usize);
        }
    }

    #[inline]
    fn write_usize(&mut self, n: usize) {
        self.mix(n);
    }
}
