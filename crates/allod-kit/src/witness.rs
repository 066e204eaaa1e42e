//! A value that counts itself: for tests that nothing is dropped twice or never.

use core::cell::Cell;
use core::hash::{Hash, Hasher};

/// A number, and a count of the witnesses alive.
#[derive(Debug)]
pub(crate) struct Witness<'a> {
    pub(crate) value: u32,
    alive: &'a Cell<isize>,
}

impl<'a> Witness<'a> {
    pub(crate) fn new(value: u32, alive: &'a Cell<isize>) -> Self {
        alive.set(alive.get() + 1);
        Self { value, alive }
    }
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        self.alive.set(self.alive.get() - 1);
        assert!(self.alive.get() >= 0, "dropped twice");
    }
}

impl Clone for Witness<'_> {
    fn clone(&self) -> Self {
        Self::new(self.value, self.alive)
    }
}

impl PartialEq for Witness<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Witness<'_> {}

impl Hash for Witness<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}
