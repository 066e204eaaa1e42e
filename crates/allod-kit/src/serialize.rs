//! Serde (feature `serde`): containers are written as the lists, maps and texts that
//! they are, and read back.
//!
//! What has a fixed capacity is read as anything else is, and says so when more comes
//! than it holds. What lives in an allocator has to be told which: [`VecIn`] and
//! [`StringIn`] are seeds, the way in which serde brings something along. What is read
//! into an arena must own all that it is made of, since values are moved into it; a
//! text that is only looked at needs neither.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;

use serde_core::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor,
};
use serde_core::ser::{Serialize, Serializer};

use crate::fixed::{
    HashMap, HashSet, LinearMap, LinearSet, PriorityQueue, Ring, SortedMap, SortedSet, String, Vec,
};
use crate::{Allocator, bump};

/// Writes a list: what it iterates over, in its order.
macro_rules! list {
    ($([$($parameters:tt)*] $list:ty;)*) => { $(
        impl<$($parameters)*> Serialize for $list {
            fn serialize<Z: Serializer>(&self, to: Z) -> Result<Z::Ok, Z::Error> {
                to.collect_seq(self.iter())
            }
        }
    )* };
}

list! {
    [T: Serialize, const N: usize] Vec<T, N>;
    [T: Serialize, const N: usize] Ring<T, N>;
    [T: Serialize, const N: usize] PriorityQueue<T, N>;
    [T: Serialize + Eq, const N: usize] LinearSet<T, N>;
    [T: Serialize + Ord, const N: usize] SortedSet<T, N>;
    [T: Serialize + Eq + Hash, const N: usize, S: BuildHasher] HashSet<T, N, S>;
    [T: Serialize, A: Allocator] bump::Vec<T, A>;
}

macro_rules! map {
    ($([$($parameters:tt)*] $map:ty;)*) => { $(
        impl<$($parameters)*> Serialize for $map {
            fn serialize<Z: Serializer>(&self, to: Z) -> Result<Z::Ok, Z::Error> {
                to.collect_map(self.iter())
            }
        }
    )* };
}

map! {
    [K: Serialize, V: Serialize, const N: usize] LinearMap<K, V, N>;
    [K: Serialize, V: Serialize, const N: usize] SortedMap<K, V, N>;
    [K: Serialize, V: Serialize, const N: usize, S] HashMap<K, V, N, S>;
}

macro_rules! text {
    ($([$($parameters:tt)*] $text:ty;)*) => { $(
        impl<$($parameters)*> Serialize for $text {
            fn serialize<Z: Serializer>(&self, to: Z) -> Result<Z::Ok, Z::Error> {
                to.serialize_str(self)
            }
        }
    )* };
}

text! {
    [const N: usize] String<N>;
    [A: Allocator] bump::String<A>;
}

impl<T: Serialize + ?Sized> Serialize for bump::Box<'_, T> {
    fn serialize<Z: Serializer>(&self, to: Z) -> Result<Z::Ok, Z::Error> {
        (**self).serialize(to)
    }
}

/// Reads something of a fixed capacity, element by element.
struct Fill<C>(PhantomData<C>);

/// How many fit, for the message when more come.
struct AtMost(usize);

impl serde_core::de::Expected for AtMost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {}", self.0)
    }
}

/// Too many: the one that did not fit was this one, counted from 0.
fn too_many<E: Error>(at: usize) -> E {
    E::invalid_length(at + 1, &AtMost(at))
}

macro_rules! read_list {
    ($([$($parameters:tt)*] $list:ty, |$it:ident, $item:ident| $put:expr;)*) => { $(
        impl<'de, $($parameters)*> Visitor<'de> for Fill<$list> {
            type Value = $list;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {N}")
            }

            fn visit_seq<Q: SeqAccess<'de>>(self, mut from: Q) -> Result<$list, Q::Error> {
                let mut $it = <$list>::default();
                while let Some($item) = from.next_element()? {
                    if $put.is_err() {
                        return Err(too_many($it.len()));
                    }
                }
                Ok($it)
            }
        }

        impl<'de, $($parameters)*> Deserialize<'de> for $list {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_seq(Fill::<$list>(PhantomData))
            }
        }
    )* };
}

read_list! {
    [T: Deserialize<'de>, const N: usize] Vec<T, N>, |it, item| it.try_push(item);
    [T: Deserialize<'de>, const N: usize] Ring<T, N>, |it, item| it.try_push_back(item);
    [T: Deserialize<'de> + Ord, const N: usize] PriorityQueue<T, N>, |it, item| it.try_push(item);
    [T: Deserialize<'de> + Eq, const N: usize] LinearSet<T, N>, |it, item| it.try_insert(item);
    [T: Deserialize<'de> + Ord, const N: usize] SortedSet<T, N>, |it, item| it.try_insert(item);
    [T: Deserialize<'de> + Eq + Hash, const N: usize, S: BuildHasher + Default] HashSet<T, N, S>,
        |it, item| it.try_insert(item);
}

macro_rules! read_map {
    ($([$($parameters:tt)*] $map:ty;)*) => { $(
        impl<'de, $($parameters)*> Visitor<'de> for Fill<$map> {
            type Value = $map;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a map of at most {N} pairs")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut from: M) -> Result<$map, M::Error> {
                let mut it = <$map>::default();
                while let Some((key, value)) = from.next_entry()? {
                    if it.try_insert(key, value).is_err() {
                        return Err(too_many(it.len()));
                    }
                }
                Ok(it)
            }
        }

        impl<'de, $($parameters)*> Deserialize<'de> for $map {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_map(Fill::<$map>(PhantomData))
            }
        }
    )* };
}

read_map! {
    [K: Deserialize<'de> + Eq, V: Deserialize<'de>, const N: usize] LinearMap<K, V, N>;
    [K: Deserialize<'de> + Ord, V: Deserialize<'de>, const N: usize] SortedMap<K, V, N>;
    [K: Deserialize<'de> + Eq + Hash, V: Deserialize<'de>, const N: usize, S: BuildHasher + Default]
        HashMap<K, V, N, S>;
}

impl<'de, const N: usize> Visitor<'de> for Fill<String<N>> {
    type Value = String<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text of at most {N} bytes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String<N>, E> {
        String::try_from(text).map_err(|_| E::invalid_length(text.len(), &self))
    }
}

impl<'de, const N: usize> Deserialize<'de> for String<N> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(Fill::<String<N>>(PhantomData))
    }
}

/// Reads a [`bump::Vec`] into an allocator.
///
/// ```
/// use allod_kit::{Bump, VecIn};
/// use serde::de::DeserializeSeed;
///
/// let arena = Bump::new();
/// let mut json = serde_json::Deserializer::from_str("[1, 2, 3]");
/// let numbers = VecIn::<u32, _>::new(&arena).deserialize(&mut json)?;
/// assert_eq!(numbers, [1, 2, 3]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct VecIn<T, A>(A, PhantomData<fn() -> T>);

impl<T, A> VecIn<T, A> {
    /// A seed for vectors in this allocator.
    #[must_use]
    pub const fn new(allocator: A) -> Self {
        Self(allocator, PhantomData)
    }
}

impl<'de, T: Deserialize<'de>, A: Allocator> Visitor<'de> for VecIn<T, A> {
    type Value = bump::Vec<T, A>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<Q: SeqAccess<'de>>(self, mut from: Q) -> Result<Self::Value, Q::Error> {
        let mut all = bump::Vec::new_in(self.0);
        while let Some(item) = from.next_element()? {
            // Not by what the input says of its length, which may be a lie.
            all.try_push(item).map_err(|_| Q::Error::custom("there is no memory"))?;
        }
        Ok(all)
    }
}

impl<'de, T: Deserialize<'de>, A: Allocator> DeserializeSeed<'de> for VecIn<T, A> {
    type Value = bump::Vec<T, A>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_seq(self)
    }
}

/// Reads a [`bump::String`] into an allocator: see [`VecIn`].
#[derive(Clone, Copy, Debug)]
pub struct StringIn<A>(
    /// The allocator.
    pub A,
);

impl<'de, A: Allocator> Visitor<'de> for StringIn<A> {
    type Value = bump::String<A>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        bump::String::try_from_str_in(text, self.0).map_err(|_| E::custom("there is no memory"))
    }
}

impl<'de, A: Allocator> DeserializeSeed<'de> for StringIn<A> {
    type Value = bump::String<A>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

#[cfg(all(test, feature = "alloc", not(loom)))]
mod tests;
