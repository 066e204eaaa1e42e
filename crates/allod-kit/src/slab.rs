//! The slab: values found again by keys that do not lie.
//!
//! A value goes into any free slot and gets a [`Key`]: the slot's number and
//! its generation, which is raised whenever a value comes or goes. So the key
//! of a value that is gone finds nothing, even when another value is in its
//! place.
//!
//! ```text
//!   slot        0         1         2         3        4
//!           +---------+---------+---------+---------+--------
//!           | 1 | Ann | 4 | ->3 | 1 | Cid | 2 | end | never     used = 4
//!           +---------+---------+---------+---------+--------   free = 1
//!   generation ^  odd: a value   even: free, and the next free one
//! ```
//!
//! One type, three places for the slots: [`Slab::new`] in a slice that the
//! caller brings, [`Slab::fixed`] within itself (it is `const`, so also in a
//! `static`), and [`Slab::growing`] in a block of any [`Allocator`].
//!
//! | | |
//! |---|---|
//! | insert, get, remove | O(1); a growing slab now and then moves all values |
//! | iterate, clear | O(most values there have ever been) |
//! | overhead | 4 bytes a slot, and its alignment |
//! | at most | 2^32 - 2 slots; a slot serves 2^31 values and is then left out |
//! | not for | values that other code points at (a pool's boxes do not move), keys of your own (a map), many threads (`SharedSlab`) |
//!
//! The idea is the generational arena: Bonwick's slab for the free list,
//! West's talk "Using Rust for game development" (2018) for the generations.
//!
//! # Invariants
//!
//! * B1. Slots below `used` are places; those above are not even initialized.
//! * B2. A place holds a value exactly if its generation is odd.
//! * B3. The free list holds every even place but those of generation 0, once.
//! * B4. `length` is the number of odd places, and `used` no more than the
//!   store's count.
#![allow(unsafe_code)]

mod entry;
mod iter;
mod key;
mod store;

pub use entry::{OccupiedEntry, VacantEntry};
pub use iter::{Drain, Iter, IterMut, Keys, Values, ValuesMut};
pub use key::Key;
pub use store::{Growing, SlabSlot, Store};

use crate::allocator::{AllocError, Allocator};
use crate::full::Full;
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::num::NonZeroU32;
use core::ops::{Index, IndexMut};
use store::{Content, Place};

/// The end of the free list. No slot has this number.
const NONE: u32 = u32::MAX;

/// Values with keys that are never taken for each other.
///
/// ```
/// use allod_kit::{Slab, SlabSlot};
///
/// let mut slots = [const { SlabSlot::new() }; 100];
/// let mut names = Slab::new(&mut slots);
/// let ann = names.insert("Ann");
/// let bob = names.insert("Bob");
/// assert_eq!(names.remove(bob), Some("Bob"));
/// let cid = names.insert("Cid"); // In the same slot.
/// assert_eq!((names[ann], names[cid], names.get(bob)), ("Ann", "Cid", None));
/// ```
///
/// # Kinds
///
/// `K` tells apart the keys of slabs: a key of one kind is no key of another.
/// It is `T` itself unless said otherwise, so slabs of different types have
/// different keys; give a name of your own to tell apart two of the same type.
/// Within a kind, a key finds nothing or the wrong thing in another slab.
///
/// ```compile_fail,E0308
/// use allod_kit::FixedSlab;
///
/// let mut ships = FixedSlab::<u32, 4>::fixed();
/// let mut crews = FixedSlab::<u8, 4>::fixed();
/// let ship = ships.insert(1);
/// crews.get(ship);
/// ```
///
/// ```compile_fail,E0308
/// use allod_kit::FixedSlab;
///
/// enum Friends {}
/// enum Foes {}
/// let mut friends = FixedSlab::<u32, 4>::fixed().of_kind::<Friends>();
/// let mut foes = FixedSlab::<u32, 4>::fixed().of_kind::<Foes>();
/// let friend = friends.insert(1);
/// foes.remove(friend);
/// ```
///
/// References to values cannot be kept across a change:
///
/// ```compile_fail,E0502
/// # use allod_kit::{Slab, SlabSlot};
/// # let mut slots = [const { SlabSlot::new() }; 4];
/// let mut slab = Slab::new(&mut slots);
/// let key = slab.insert(1);
/// let one = &slab[key];
/// slab.remove(key);
/// let _ = *one;
/// ```
///
/// # What it costs
///
/// *Time.* O(1) to insert, find and remove; a growing slab now and then moves all
/// values. To iterate and to clear, O(most values there have ever been). *Memory.* 4
/// bytes a slot, and its alignment.
///
/// # When not to use it
///
/// Where nobody needs a key: a [pool](crate::Pool) gives boxes. Between threads:
/// [`SharedSlab`](crate::SharedSlab). Where values must stay at their address: a
/// growing slab moves them when it grows.
#[repr(C)]
pub struct Slab<T, S: Store<T>, K = T> {
    store: S,
    used: u32,
    free: u32,
    length: u32,
    owned: PhantomData<T>,
    kind: PhantomData<Key<K>>,
}

/// A slab with its slots inside.
pub type FixedSlab<T, const N: usize, K = T> = Slab<T, [SlabSlot<T>; N], K>;
/// A slab in a block of an allocator.
pub type GrowingSlab<T, A, K = T> = Slab<T, Growing<T, A>, K>;

impl<'m, T> Slab<T, &'m mut [SlabSlot<T>]> {
    /// A slab in these slots. Touches none of them. O(1).
    pub const fn new(slots: &'m mut [SlabSlot<T>]) -> Self {
        Self::over(slots)
    }
}

impl<T, const N: usize> Slab<T, [SlabSlot<T>; N]> {
    /// A slab with `N` slots inside. O(1).
    ///
    /// ```
    /// use allod_kit::{FixedSlab, Slab};
    ///
    /// let mut numbers: FixedSlab<u32, 2> = Slab::fixed();
    /// assert!(numbers.try_insert(1).is_ok());
    /// assert!(numbers.try_insert(2).is_ok());
    /// assert_eq!(numbers.try_insert(3).unwrap_err().into_inner(), 3);
    /// ```
    pub const fn fixed() -> Self {
        Self::over([const { SlabSlot::new() }; N])
    }
}

impl<T, A: Allocator> Slab<T, Growing<T, A>> {
    /// A slab over an allocator. Takes nothing from it yet.
    ///
    /// ```
    /// use allod_kit::{Slab, Stack};
    ///
    /// let mut memory = [core::mem::MaybeUninit::uninit(); 4096];
    /// let stack = Stack::new(&mut memory).ok_or("too small")?;
    /// let mut words: Slab<&str, _> = Slab::growing(&stack);
    /// let keys: Vec<_> = "to be or not to be".split(' ').map(|w| words.insert(w)).collect();
    /// assert_eq!(words[keys[3]], "not");
    /// # Ok::<(), &str>(())
    /// ```
    pub const fn growing(base: A) -> Self {
        Self::over(Growing::new(base))
    }
}

impl<T, A: Allocator, K> Slab<T, Growing<T, A>, K> {
    /// Makes room for `more` values at once.
    ///
    /// # Errors
    ///
    /// The allocator has no memory.
    pub fn try_reserve(&mut self, more: usize) -> Result<(), AllocError> {
        let wanted = (self.length as usize).checked_add(more).ok_or(AllocError)?;
        if wanted > self.capacity() { self.grow_to(wanted) } else { Ok(()) }
    }

    /// The allocator below.
    pub const fn base(&self) -> &A {
        self.store.base()
    }
}

impl<T, S: Store<T>, K> Slab<T, S, K> {
    const fn over(store: S) -> Self {
        Self { store, used: 0, free: NONE, length: 0, owned: PhantomData, kind: PhantomData }
    }

    /// The same slab with keys of another kind. Keys it has given so far stay of
    /// the old one, so this is for new slabs. See the type about kinds.
    pub const fn of_kind<L>(self) -> Slab<T, S, L> {
        let this = ManuallyDrop::new(self);
        let this = core::ptr::from_ref(&this).cast::<Slab<T, S, L>>();
        // SAFETY: `K` is in no field but the marker, so both have the same layout
        // but for the order of fields, which `repr(C)` fixes. We own it, and do
        // not drop the first.
        unsafe { this.read() }
    }

    /// Number of values. O(1).
    #[inline]
    pub const fn len(&self) -> usize {
        self.length as usize
    }

    /// True when there is no value. O(1).
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Number of slots, taken or not. O(1).
    #[inline]
    pub fn capacity(&self) -> usize {
        self.store.count()
    }

    /// The place of a slot below `used`.
    ///
    /// # Safety
    ///
    /// `index` is below `used`.
    #[inline]
    unsafe fn place(&self, index: u32) -> &Place<T> {
        // SAFETY: the store has a slot of this number (B4).
        let place = unsafe { self.store.places().add(index as usize) };
        // SAFETY: it is a place (B1), borrowed with us.
        unsafe { place.as_ref() }
    }

    /// The same, to change.
    ///
    /// # Safety
    ///
    /// `index` is below `used`.
    #[inline]
    unsafe fn place_mut(&mut self, index: u32) -> &mut Place<T> {
        // SAFETY: as in `place`.
        let mut place = unsafe { self.store.places_mut().add(index as usize) };
        // SAFETY: as in `place`, and we are borrowed alone.
        unsafe { place.as_mut() }
    }

    /// The value that is in a place.
    ///
    /// # Safety
    ///
    /// The place holds a value.
    #[inline]
    unsafe fn value(place: &Place<T>) -> &T {
        // SAFETY: the caller's promise.
        unsafe { &place.content.value }
    }

    /// The same, to change.
    ///
    /// # Safety
    ///
    /// The place holds a value.
    #[inline]
    unsafe fn value_mut(place: &mut Place<T>) -> &mut T {
        // SAFETY: the caller's promise.
        unsafe { &mut place.content.value }
    }

    /// The place of a key, if its value is still there.
    #[inline]
    fn find(&self, key: Key<K>) -> Option<&Place<T>> {
        if key.index >= self.used {
            return None;
        }
        // SAFETY: below `used`.
        let place = unsafe { self.place(key.index) };
        (place.generation == key.generation.get()).then_some(place)
    }

    #[inline]
    fn find_mut(&mut self, key: Key<K>) -> Option<&mut Place<T>> {
        if key.index >= self.used {
            return None;
        }
        // SAFETY: below `used`.
        let place = unsafe { self.place_mut(key.index) };
        (place.generation == key.generation.get()).then_some(place)
    }

    /// True when the value is still there. O(1).
    #[inline]
    pub fn contains(&self, key: Key<K>) -> bool {
        self.find(key).is_some()
    }

    /// The value of a key, if it is still there. O(1).
    #[inline]
    pub fn get(&self, key: Key<K>) -> Option<&T> {
        // SAFETY: a key's generation is odd (B2).
        self.find(key).map(|place| unsafe { Self::value(place) })
    }

    /// The value of a key, if it is still there. O(1).
    #[inline]
    pub fn get_mut(&mut self, key: Key<K>) -> Option<&mut T> {
        // SAFETY: a key's generation is odd (B2).
        self.find_mut(key).map(|place| unsafe { Self::value_mut(place) })
    }

    /// The values of several keys at once, if all are there and no two are the
    /// same. O(N²) comparisons.
    pub fn get_disjoint_mut<const N: usize>(&mut self, keys: [Key<K>; N]) -> Option<[&mut T; N]> {
        for (i, key) in keys.iter().enumerate() {
            if !self.contains(*key) || keys[..i].iter().any(|other| other.index == key.index) {
                return None;
            }
        }
        let places = self.store.places_mut();
        Some(keys.map(|key| {
            // SAFETY: the key is there, so its index is below `used`.
            let mut place = unsafe { places.add(key.index as usize) };
            // SAFETY: a place (B1), and no other key has it.
            let place = unsafe { place.as_mut() };
            // SAFETY: a key's generation is odd (B2).
            unsafe { Self::value_mut(place) }
        }))
    }

    /// Puts a value in. O(1).
    ///
    /// # Errors
    ///
    /// There is no room; the value comes back.
    #[inline]
    pub fn try_insert(&mut self, value: T) -> Result<Key<K>, Full<T>> {
        if self.free != NONE {
            let index = self.free;
            // SAFETY: what is on the list is a place (B3).
            let place = unsafe { self.place_mut(index) };
            // SAFETY: an even place holds the link.
            let next = unsafe { place.content.next };
            let generation = place.generation | 1;
            place.content = Content { value: ManuallyDrop::new(value) };
            place.generation = generation;
            self.free = next;
            self.length += 1;
            // SAFETY: odd.
            return Ok(Key::new(index, unsafe { NonZeroU32::new_unchecked(generation) }));
        }
        if self.used as usize == self.store.count() && self.grow().is_err() {
            return Err(Full(value));
        }
        Ok(self.first_value(value))
    }

    /// Puts a value into the slot at `used`, which the store has.
    #[inline]
    fn first_value(&mut self, value: T) -> Key<K> {
        let index = self.used;
        // SAFETY: the caller saw that the store has this slot.
        let place = unsafe { self.store.places_mut().add(index as usize) };
        let content = Content { value: ManuallyDrop::new(value) };
        // SAFETY: the slot is ours, and nothing is in it (B1).
        unsafe { place.write(Place { generation: 1, content }) };
        self.used += 1;
        self.length += 1;
        Key::new(index, NonZeroU32::MIN)
    }

    /// Puts a value in. O(1).
    ///
    /// # Panics
    ///
    /// There is no room. [`try_insert`](Slab::try_insert) never panics.
    #[cfg(feature = "infallible")]
    #[inline]
    #[track_caller]
    pub fn insert(&mut self, value: T) -> Key<K> {
        crate::full::must(self.try_insert(value))
    }

    /// Puts in what `make` returns, which is told the key. O(1).
    ///
    /// # Errors
    ///
    /// There is no room; `make` comes back.
    #[inline]
    pub fn try_insert_with_key<F: FnOnce(Key<K>) -> T>(
        &mut self,
        make: F,
    ) -> Result<Key<K>, Full<F>> {
        match self.vacant_entry() {
            Ok(entry) => {
                let key = entry.key();
                entry.insert(make(key));
                Ok(key)
            }
            Err(_) => Err(Full(make)),
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) -> Result<(), AllocError> {
        self.grow_to(self.capacity().checked_mul(2).ok_or(AllocError)?.max(4))
    }

    fn grow_to(&mut self, count: usize) -> Result<(), AllocError> {
        let count = count.min(NONE as usize);
        if count <= self.capacity() {
            return Err(AllocError);
        }
        self.store.grow(count)
    }

    /// Takes a value out. O(1).
    #[inline]
    pub fn remove(&mut self, key: Key<K>) -> Option<T> {
        self.find(key)?;
        // SAFETY: found, so below `used` and odd.
        Some(unsafe { self.take(key.index) })
    }

    /// Takes the value out of a slot.
    ///
    /// # Safety
    ///
    /// The slot is below `used`, and holds a value.
    #[inline]
    unsafe fn take(&mut self, index: u32) -> T {
        let free = self.free;
        // SAFETY: the caller's promise.
        let place = unsafe { self.place_mut(index) };
        // SAFETY: the place holds a value (B2).
        let value = core::ptr::from_mut(unsafe { Self::value_mut(place) });
        // SAFETY: as above, and it will not say so any more.
        let value = unsafe { value.read() };
        place.content = Content { next: free };
        place.generation = place.generation.wrapping_add(1);
        // A slot whose generations are spent is left out, or an old key would
        // find a new value.
        if place.generation != 0 {
            self.free = index;
        }
        self.length -= 1;
        value
    }

    /// Drops all values. Their keys find nothing. O(most values ever).
    pub fn clear(&mut self) {
        self.retain(|_, _| false);
    }

    /// Drops the values for which `keep` says no. O(most values ever).
    pub fn retain(&mut self, mut keep: impl FnMut(Key<K>, &mut T) -> bool) {
        for index in 0..self.used {
            // SAFETY: below `used`.
            let place = unsafe { self.place_mut(index) };
            let Some(key) = Self::key_of(index, place) else { continue };
            // SAFETY: only an odd place has a key (B2).
            let value = unsafe { Self::value_mut(place) };
            if !keep(key, value) {
                // SAFETY: as above.
                drop(unsafe { self.take(index) });
            }
        }
    }

    /// The key of what is in a place.
    #[inline]
    fn key_of(index: u32, place: &Place<T>) -> Option<Key<K>> {
        let generation = NonZeroU32::new(place.generation)?;
        (place.generation % 2 == 1).then_some(Key::new(index, generation))
    }

    /// The key of the value in a slot, if there is one. O(1).
    pub fn key_at(&self, index: usize) -> Option<Key<K>> {
        let index = u32::try_from(index).ok().filter(|index| *index < self.used)?;
        // SAFETY: below `used`.
        Self::key_of(index, unsafe { self.place(index) })
    }

    /// Holds the slab against its invariants. For tests.
    #[cfg(test)]
    fn check(&self) {
        assert!(self.used as usize <= self.capacity(), "B4");
        // SAFETY: below `used`.
        let places = || (0..self.used).map(|i| unsafe { self.place(i) });
        assert_eq!(places().filter(|p| p.generation % 2 == 1).count(), self.len(), "B4");
        let (mut at, mut free) = (self.free, 0);
        while at != NONE {
            assert!(at < self.used, "B3: places");
            // SAFETY: below `used`.
            let place = unsafe { self.place(at) };
            assert!(place.generation % 2 == 0 && place.generation != 0, "B3");
            // SAFETY: an even place holds the link.
            at = unsafe { place.content.next };
            free += 1;
            assert!(free <= self.used, "B3: once");
        }
        let all = places().filter(|p| p.generation % 2 == 0 && p.generation != 0).count();
        assert_eq!(free as usize, all, "B3: all");
    }
}

impl<T, S: Store<T>, K> Drop for Slab<T, S, K> {
    fn drop(&mut self) {
        if !core::mem::needs_drop::<T>() {
            return;
        }
        for index in 0..self.used {
            // SAFETY: below `used`.
            let place = unsafe { self.place_mut(index) };
            if place.generation % 2 == 1 {
                place.generation = 0;
                // SAFETY: it held a value (B2).
                let value = core::ptr::from_mut(unsafe { Self::value_mut(place) });
                // SAFETY: as above, and it is not used again.
                unsafe { value.drop_in_place() };
            }
        }
    }
}

impl<T, S: Store<T>, K> Index<Key<K>> for Slab<T, S, K> {
    type Output = T;

    /// # Panics
    ///
    /// The value is not there. [`get`](Slab::get) never panics.
    #[inline]
    #[track_caller]
    fn index(&self, key: Key<K>) -> &T {
        match self.get(key) {
            Some(value) => value,
            None => not_there(),
        }
    }
}

impl<T, S: Store<T>, K> IndexMut<Key<K>> for Slab<T, S, K> {
    #[inline]
    #[track_caller]
    fn index_mut(&mut self, key: Key<K>) -> &mut T {
        match self.get_mut(key) {
            Some(value) => value,
            None => not_there(),
        }
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn not_there() -> ! {
    panic!("the key's value is not in the slab")
}

impl<T: fmt::Debug, S: Store<T>, K> fmt::Debug for Slab<T, S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<T, K, const N: usize> Default for Slab<T, [SlabSlot<T>; N], K> {
    fn default() -> Self {
        Slab::fixed().of_kind()
    }
}

#[cfg(test)]
mod tests;
