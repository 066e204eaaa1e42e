//! Containers of a fixed capacity, for programs without any heap.
//!
//! Each keeps its elements within itself, so it can be a local, a field, or in
//! a `static`, and is moved by moving its bytes. What is in it is dropped with
//! it.
//!
//! | container | what | insert | find | remove |
//! |---|---|---|---|---|
//! | [`Vec`] | a vector | O(1) at the end | by index | O(1) at the end |
//! | [`String`] | a text in UTF-8 | O(1) at the end | | O(1) at the end |
//! | [`Ring`] | a queue with two ends | O(1) at both | by index | O(1) at both |
//! | [`LinearMap`] | pairs as they come; for a handful, and keys that only have `Eq` | O(n) | O(n) | O(n) |
//! | [`SortedMap`] | pairs in order; ranges | O(n) moves | O(log n) | O(n) moves |
//! | [`HashMap`] | pairs by hash, in the order of their coming | O(1) expected | O(1) expected | O(1) expected |
//! | [`LinearSet`], [`SortedSet`], [`HashSet`] | the same without values | as the map | as the map | as the map |
//! | [`PriorityQueue`] | the greatest first | O(log n) | the greatest: O(1) | the greatest: O(log n) |
//! | [`SpscQueue`] | a queue from one thread, or interrupt handler, to another | O(1) at one end | | O(1) at the other |
//! | [`MpmcQueue`] | a queue between any number of threads | O(1) at one end | | O(1) at the other |
//!
//! What may find no room has two faces: `try_push` gives the element back in
//! [`Full`](crate::Full), and `push` panics and exists with the feature
//! `infallible`. Beside that, only an index past the end panics, as for a slice.
//!
//! The overhead is a word for the length (two for a ring), and for the hash map
//! 8 bytes an element. They are not for elements whose number is not known:
//! capacity that is not used is lost, and moving a container moves all of it.
//!
//! The shape is that of `heapless`. What is different: every container drops
//! what it holds also when user code unwinds in the middle, the hash map takes
//! any capacity and is never more than half full, and errors of every operation
//! give the value back.

mod hash;
mod linear;
#[cfg(any(target_has_atomic = "ptr", feature = "portable-atomic"))]
mod mpmc;
mod place;
mod priority;
mod ring;
mod set;
mod sorted;
mod spsc;
mod string;
mod vec;

pub use hash::{BuildMixer, Entry, HashMap, Mixer, OccupiedEntry, VacantEntry};
pub use linear::LinearMap;
#[cfg(any(target_has_atomic = "ptr", feature = "portable-atomic"))]
pub use mpmc::MpmcQueue;
pub use priority::PriorityQueue;
pub use ring::{Ring, RingIntoIter, RingIter, RingIterMut};
pub use set::{HashSet, LinearSet, SortedSet};
pub use sorted::SortedMap;
pub use spsc::{Consumer, Producer, SpscQueue};
pub use string::String;
pub use vec::{Drain, IntoIter, Vec};

#[cfg(test)]
mod tests;
