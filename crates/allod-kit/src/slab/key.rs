//! A key: which slot, and which of the values that have been in it.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::num::NonZeroU32;

/// The name of a value in a slab. 8 bytes, also in an `Option`.
///
/// It says the slot and its generation, so that the key of a value that has
/// been removed finds nothing, whatever is in the slot now. `K` is the slab's
/// kind: keys of different kinds are different types.
pub struct Key<K> {
    pub(crate) index: u32,
    /// Odd, and so never 0.
    pub(crate) generation: NonZeroU32,
    kind: PhantomData<fn(K) -> K>,
}

impl<K> Key<K> {
    #[inline]
    pub(crate) const fn new(index: u32, generation: NonZeroU32) -> Self {
        Self { index, generation, kind: PhantomData }
    }

    /// The slot's number, from 0. Two values that live at once never share it.
    #[inline]
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// The key as a number that is not 0, to store elsewhere.
    #[inline]
    pub const fn to_bits(self) -> u64 {
        (self.generation.get() as u64) << 32 | self.index as u64
    }

    /// The key of a number that [`to_bits`](Key::to_bits) gave. Of any other
    /// number it gives `None`, or a key that may find some value.
    #[inline]
    pub const fn from_bits(bits: u64) -> Option<Self> {
        match NonZeroU32::new((bits >> 32) as u32) {
            Some(generation) if generation.get() % 2 == 1 => {
                Some(Self::new(bits as u32, generation))
            }
            _ => None,
        }
    }
}

// By hand: a derive would ask the same of `K`, of which there is no value.
impl<K> Copy for Key<K> {}

impl<K> Clone for Key<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> PartialEq for Key<K> {
    fn eq(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
}

impl<K> Eq for Key<K> {}

impl<K> PartialOrd for Key<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Key<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.index, self.generation).cmp(&(other.index, other.generation))
    }
}

impl<K> Hash for Key<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.to_bits());
    }
}

impl<K> fmt::Debug for Key<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{}v{}", self.index, self.generation)
    }
}
