//! A slot that is about to be filled, and one that is.
#![allow(unsafe_code)]

use super::{Key, NONE, Slab, Store};
use crate::full::Full;
use core::fmt;
use core::num::NonZeroU32;

/// A free slot, whose key is known before the value. Dropping it changes nothing.
///
/// ```
/// use allod_kit::{FixedSlab, Key, Slab};
///
/// struct Node { me: Key<Node> }
/// let mut nodes: FixedSlab<Node, 8> = Slab::fixed();
/// let entry = nodes.vacant_entry()?;
/// let key = entry.key();
/// entry.insert(Node { me: key });
/// assert_eq!(nodes[key].me, key);
/// # Ok::<(), allod_kit::Full>(())
/// ```
pub struct VacantEntry<'a, T, S: Store<T>, K> {
    slab: &'a mut Slab<T, S, K>,
    key: Key<K>,
}

/// A slot with a value in it.
pub struct OccupiedEntry<'a, T, S: Store<T>, K> {
    slab: &'a mut Slab<T, S, K>,
    key: Key<K>,
}

impl<'a, T, S: Store<T>, K> VacantEntry<'a, T, S, K> {
    /// The key that the value will have.
    #[inline]
    pub fn key(&self) -> Key<K> {
        self.key
    }

    /// Puts the value in. O(1).
    #[inline]
    pub fn insert(self, value: T) -> &'a mut T {
        let Self { slab, key } = self;
        // There is a free slot, so no growing and no error.
        let inserted = slab.try_insert(value);
        debug_assert!(inserted.is_ok_and(|found| found == key));
        // SAFETY: `key.index` is of the place that was just filled.
        let place = unsafe { slab.place_mut(key.index) };
        // SAFETY: as above, so it holds a value.
        unsafe { Slab::<T, S, K>::value_mut(place) }
    }
}

impl<'a, T, S: Store<T>, K> OccupiedEntry<'a, T, S, K> {
    /// The value's key.
    #[inline]
    pub fn key(&self) -> Key<K> {
        self.key
    }

    /// The value.
    #[inline]
    pub fn get(&self) -> &T {
        // SAFETY: found when the entry was made, and nobody else has the slab.
        let place = unsafe { self.slab.place(self.key.index) };
        // SAFETY: as above.
        unsafe { Slab::<T, S, K>::value(place) }
    }

    /// The value, to change.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: as in `get`.
        let place = unsafe { self.slab.place_mut(self.key.index) };
        // SAFETY: as in `get`.
        unsafe { Slab::<T, S, K>::value_mut(place) }
    }

    /// The value, for as long as the slab is borrowed.
    #[inline]
    pub fn into_mut(self) -> &'a mut T {
        // SAFETY: as in `get`.
        let place = unsafe { self.slab.place_mut(self.key.index) };
        // SAFETY: as in `get`.
        unsafe { Slab::<T, S, K>::value_mut(place) }
    }

    /// Takes the value out.
    #[inline]
    pub fn remove(self) -> T {
        // SAFETY: as in `get`.
        unsafe { self.slab.take(self.key.index) }
    }
}

impl<T, S: Store<T>, K> Slab<T, S, K> {
    /// The slot that the next value will be in. O(1).
    ///
    /// # Errors
    ///
    /// There is no room.
    #[inline]
    pub fn vacant_entry(&mut self) -> Result<VacantEntry<'_, T, S, K>, Full> {
        let key = if self.free != NONE {
            // SAFETY: what is on the list is a place (B3).
            let generation = unsafe { self.place(self.free) }.generation | 1;
            Key::new(self.free, NonZeroU32::new(generation).unwrap_or(NonZeroU32::MIN))
        } else {
            if self.used as usize == self.capacity() && self.grow().is_err() {
                return Err(Full(()));
            }
            Key::new(self.used, NonZeroU32::MIN)
        };
        Ok(VacantEntry { slab: self, key })
    }

    /// The slot of a key, if its value is still there: one look-up for what
    /// would be several. O(1).
    ///
    /// ```
    /// use allod_kit::{FixedSlab, Slab};
    ///
    /// let mut lives: FixedSlab<u32, 8> = Slab::fixed();
    /// let cat = lives.insert(1);
    /// if let Some(mut entry) = lives.entry(cat) {
    ///     *entry.get_mut() -= 1;
    ///     if *entry.get() == 0 {
    ///         entry.remove();
    ///     }
    /// }
    /// assert!(!lives.contains(cat));
    /// ```
    #[inline]
    pub fn entry(&mut self, key: Key<K>) -> Option<OccupiedEntry<'_, T, S, K>> {
        self.contains(key).then_some(OccupiedEntry { slab: self, key })
    }
}

impl<T, S: Store<T>, K> fmt::Debug for VacantEntry<'_, T, S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VacantEntry").field(&self.key).finish()
    }
}

impl<T: fmt::Debug, S: Store<T>, K> fmt::Debug for OccupiedEntry<'_, T, S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OccupiedEntry").field(&self.key).field(self.get()).finish()
    }
}
