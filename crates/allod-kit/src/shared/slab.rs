//! The slab that threads share.
#![allow(unsafe_code)]

use super::bits::PLACES;
use super::group::{Fresh, Groups};
use super::state::{Closed, State};
use crate::full::Full;
use crate::slab::Key;
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::num::NonZeroU32;
use core::ops::Deref;

/// Room for a value, and the word that says who may look at it.
struct Place<T> {
    state: State,
    value: UnsafeCell<MaybeUninit<T>>,
}

impl<T> Fresh for Place<T> {
    #[cfg(not(loom))]
    const FRESH: Self = Self { state: State::new(), value: UnsafeCell::new(MaybeUninit::uninit()) };
    #[cfg(loom)]
    fn fresh() -> Self {
        Self { state: State::new(), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }
}

/// `32 * G` places for values that any thread finds by key, and any removes.
///
/// ```
/// use allod_kit::SharedSlab;
/// use std::thread;
///
/// static GUESTS: SharedSlab<String, 1> = SharedSlab::new();
///
/// let ann = GUESTS.try_insert("Ann".to_owned())?;
/// let looks = GUESTS.get(ann).ok_or("nobody")?;
/// thread::spawn(move || assert!(GUESTS.remove(ann))).join().unwrap();
/// assert!(GUESTS.get(ann).is_none(), "nobody finds it any more");
/// assert_eq!(*looks, "Ann"); // It is dropped after the last look at it.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Keys are those of [`Slab`](crate::Slab), with kinds as there. A key whose
/// value is gone finds nothing, until the generations of its place have gone
/// round: 2^31 values on a 64-bit target, 2^15 on a 32-bit one.
///
/// A reference cannot outlive the slab:
///
/// ```compile_fail,E0505
/// # use allod_kit::SharedSlab;
/// let slab = SharedSlab::<u32, 1>::new();
/// let key = slab.insert(1);
/// let one = slab.get(key);
/// drop(slab);
/// let _ = one;
/// ```
///
/// ```compile_fail,E0308
/// # use allod_kit::SharedSlab;
/// let (ships, crews) = (SharedSlab::<u32, 1>::new(), SharedSlab::<u8, 1>::new());
/// let ship = ships.insert(1);
/// crews.get(ship);
/// ```
///
/// # What it costs
///
/// *Time.* Lock-free. Look-up is O(1), an exchange when it begins and a subtraction
/// when it ends; inserting is O(1), or O(`G`) when nearly full. *Memory.* A word
/// and a bit a place.
///
/// # When not to use it
///
/// All that look at one value share one word, so a value that all threads read all
/// the time belongs in an `Arc` or behind an RCU; and nothing in here can be
/// changed but through the value's own cells.
pub struct SharedSlab<T, const G: usize, K = T> {
    groups: Groups<Place<T>, G>,
    kind: PhantomData<fn(K) -> K>,
}

// SAFETY: values are lent to all threads, and the last of them drops it.
unsafe impl<T: Send + Sync, const G: usize, K> Sync for SharedSlab<T, G, K> {}
// SAFETY: a slab that can be moved is not borrowed, and its values are its own.
unsafe impl<T: Send, const G: usize, K> Send for SharedSlab<T, G, K> {}

impl<T, const G: usize, K> SharedSlab<T, G, K> {
    super::const_but_not_in_models! {
        /// An empty slab. All of it is zeros or not initialized.
        pub fn new() -> Self {
            Self { groups: Groups::new(), kind: PhantomData }
        }
    }

    /// Puts a value in.
    ///
    /// # Errors
    ///
    /// There is no room; the value comes back.
    #[inline]
    pub fn try_insert(&self, value: T) -> Result<Key<K>, Full<T>> {
        let Some((number, place)) = self.groups.take() else { return Err(Full(value)) };
        // SAFETY: the place is ours alone (Q1) until it is open.
        unsafe { place.value.get().write(MaybeUninit::new(value)) };
        let generation = NonZeroU32::new(place.state.open()).unwrap_or(NonZeroU32::MIN);
        Ok(Key::new(number as u32, generation))
    }

    /// Puts a value in.
    ///
    /// # Panics
    ///
    /// There is no room. [`try_insert`](SharedSlab::try_insert) never panics.
    #[cfg(feature = "infallible")]
    #[track_caller]
    pub fn insert(&self, value: T) -> Key<K> {
        crate::full::must(self.try_insert(value))
    }

    /// The value of a key, if it is still there. It stays while the reference
    /// does, though others may remove it meanwhile.
    ///
    /// There can be 2^31 - 1 references to a value at once on a 64-bit target,
    /// 2^15 - 1 on a 32-bit one; then there is `None` for the next.
    #[inline]
    pub fn get(&self, key: Key<K>) -> Option<SharedRef<'_, T, G, K>> {
        let place = self.groups.place(key.index())?;
        place.state.enter(key.generation.get()).then(|| SharedRef { slab: self, place, key })
    }

    /// True when the value was there a moment ago.
    pub fn contains(&self, key: Key<K>) -> bool {
        let place = self.groups.place(key.index());
        place.and_then(|place| place.state.current()) == Some(key.generation.get())
    }

    /// Removes a value: nobody finds it any more. It is dropped here, or by the
    /// last who looks at it. False when it was not there.
    pub fn remove(&self, key: Key<K>) -> bool {
        let Some(place) = self.groups.place(key.index()) else { return false };
        match place.state.close(key.generation.get()) {
            Closed::NotThere => return false,
            Closed::Later => {}
            // SAFETY: closed, with nobody in: the place is ours (W2).
            Closed::Mine => drop(unsafe { self.take_out(place, key) }),
        }
        true
    }

    /// Takes a value out, if it is there and nobody looks at it.
    pub fn take(&self, key: Key<K>) -> Option<T> {
        let place = self.groups.place(key.index())?;
        // SAFETY: closed, with nobody in: the place is ours (W2).
        place.state.close_alone(key.generation.get()).then(|| unsafe { self.take_out(place, key) })
    }

    /// # Safety
    ///
    /// The place is the caller's and closed; its value has not been taken out.
    unsafe fn take_out(&self, place: &Place<T>, key: Key<K>) -> T {
        // SAFETY: nobody else has the place, and a value is in it (Q2).
        let value = unsafe { place.value.get().cast::<T>().read() };
        self.groups.give(key.index());
        value
    }

    /// Places, taken or not.
    pub const fn capacity(&self) -> usize {
        G * PLACES
    }

    /// Places that were taken a moment ago. O(`G`).
    pub fn len(&self) -> usize {
        self.groups.count()
    }

    /// True when no place was taken a moment ago. O(`G`).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values that are there when the walk comes to them, each with its key.
    pub fn iter(&self) -> impl Iterator<Item = (Key<K>, SharedRef<'_, T, G, K>)> {
        self.groups.taken().filter_map(|number| {
            let generation = self.groups.place(number)?.state.current()?;
            let key = Key::new(number as u32, NonZeroU32::new(generation)?);
            Some((key, self.get(key)?))
        })
    }
}

impl<T, const G: usize, K> Drop for SharedSlab<T, G, K> {
    fn drop(&mut self) {
        for number in self.groups.taken() {
            if let Some(place) = self.groups.place(number) {
                // SAFETY: nobody borrows the slab, and a place that is taken holds a
                // value (Q2): also one whose references were forgotten.
                unsafe { place.value.get().cast::<T>().drop_in_place() };
            }
        }
    }
}

impl<T, const G: usize, K> Default for SharedSlab<T, G, K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug, const G: usize, K> fmt::Debug for SharedSlab<T, G, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// A look at a value in a [`SharedSlab`].
pub struct SharedRef<'s, T, const G: usize, K = T> {
    slab: &'s SharedSlab<T, G, K>,
    place: &'s Place<T>,
    key: Key<K>,
}

// SAFETY: it lends the value shared, and may be the one who drops it.
unsafe impl<T: Send + Sync, const G: usize, K> Send for SharedRef<'_, T, G, K> {}
// SAFETY: it lends the value shared.
unsafe impl<T: Send + Sync, const G: usize, K> Sync for SharedRef<'_, T, G, K> {}

impl<T, const G: usize, K> SharedRef<'_, T, G, K> {
    /// The value's key.
    pub fn key(this: &Self) -> Key<K> {
        this.key
    }
}

impl<T, const G: usize, K> Deref for SharedRef<'_, T, G, K> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: entered, so a value is in the place, and nobody changes it.
        unsafe { &*self.place.value.get().cast::<T>() }
    }
}

impl<T, const G: usize, K> Drop for SharedRef<'_, T, G, K> {
    #[inline]
    fn drop(&mut self) {
        if self.place.state.leave() {
            // SAFETY: closed, and we were the last: the place is ours (W2).
            drop(unsafe { self.slab.take_out(self.place, self.key) });
        }
    }
}

impl<T: fmt::Debug, const G: usize, K> fmt::Debug for SharedRef<'_, T, G, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display, const G: usize, K> fmt::Display for SharedRef<'_, T, G, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
