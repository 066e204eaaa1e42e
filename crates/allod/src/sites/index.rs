//! Finding a row by its hash.
//!
//! Chained, with the links in a column beside the table's own rows: a row is
//! entered once and keeps its number. When there are twice as many rows as chains the
//! chains are doubled and every row is linked again, so a process with few
//! samples touches a part of a page. All under the tables' lock.
#![forbid(unsafe_code)]

use super::column::Column;
use crate::os::{Kernel, Os};
use crate::sync::{AtomicU32, Ordering};

/// Chains at the beginning: two to this power.
const FIRST: u32 = 5;

/// The most chains that a table of `rows` rows has.
pub(super) const fn chains_for(rows: usize) -> usize {
    let most = rows.next_power_of_two();
    if most < 1 << FIRST { 1 << FIRST } else { most }
}

/// What stands beside a row.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Link {
    /// The row's hash, odd; 0 when the row is in no chain.
    hash: u32,
    /// One more than the number of the next row of the chain; 0 at its end.
    next: u32,
}

/// Chains of rows.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) chains: Column<u32>,
    pub(super) links: Column<Link>,
    bits: AtomicU32,
    /// Rows in chains.
    rows: AtomicU32,
    /// One more than the highest row that was ever in one.
    top: AtomicU32,
}

impl Index {
    pub(super) const fn new() -> Self {
        Self {
            chains: Column::new(),
            links: Column::new(),
            bits: AtomicU32::new(0),
            rows: AtomicU32::new(0),
            top: AtomicU32::new(0),
        }
    }

    fn bits(&self) -> u32 {
        // ORDERING: Relaxed, under the lock.
        self.bits.load(Ordering::Relaxed)
    }

    /// Chains and links in use.
    pub(super) fn used(&self) -> (usize, usize) {
        let chains = if self.bits() == 0 { 0 } else { 1 << self.bits() };
        // ORDERING: Relaxed, under the lock.
        (chains, self.top.load(Ordering::Relaxed) as usize)
    }

    fn chain(&self, hash: u32) -> usize {
        (hash.wrapping_mul(0x9E37_79B1) >> (32 - self.bits().max(1))) as usize
    }

    /// The row of this hash that `is_it`.
    pub(super) fn find(&self, hash: u64, mut is_it: impl FnMut(usize) -> bool) -> Option<usize> {
        let hash = fold(hash);
        if self.bits() == 0 {
            return None;
        }
        let mut at = self.chains.get(self.chain(hash))?;
        while let Some(row) = (at as usize).checked_sub(1) {
            let link = self.links.get(row)?;
            if link.hash == hash && is_it(row) {
                return Some(row);
            }
            at = link.next;
        }
        None
    }

    /// Sees to it that [`Index::enter`] can enter row `row`. False when there is
    /// no memory.
    pub(super) fn ready<O: Os>(&self, kernel: &Kernel<O>, row: usize) -> bool {
        if !self.links.ensure(kernel, row + 1) {
            return false;
        }
        let bits = self.bits();
        // ORDERING: Relaxed, under the lock.
        let rows = self.rows.load(Ordering::Relaxed);
        if bits == 0 {
            return self.widen(kernel, FIRST);
        }
        if rows >= 2 << bits {
            // Longer chains will do when there is no memory for more of them.
            self.widen(kernel, bits + 1);
        }
        true
    }

    fn widen<O: Os>(&self, kernel: &Kernel<O>, bits: u32) -> bool {
        if !self.chains.ensure(kernel, 1 << bits) {
            return false;
        }
        for chain in 0..1 << bits {
            self.chains.set(chain, 0);
        }
        // ORDERING: Relaxed, under the lock.
        self.bits.store(bits, Ordering::Relaxed);
        // Not to the end of what is committed: what was never written to has no
        // memory behind it, and a look at it costs a fault.
        // ORDERING: Relaxed, under the lock.
        for row in 0..self.top.load(Ordering::Relaxed) as usize {
            if let Some(link) = self.links.get(row)
                && link.hash != 0
            {
                self.link(row, link.hash);
            }
        }
        true
    }

    fn link(&self, row: usize, hash: u32) {
        let chain = self.chain(hash);
        let next = self.chains.get(chain).unwrap_or(0);
        self.links.set(row, Link { hash, next });
        self.chains.set(chain, row as u32 + 1);
    }

    /// Enters a row that [`Index::ready`] has made room for.
    pub(super) fn enter(&self, row: usize, hash: u64) {
        self.link(row, fold(hash));
        // ORDERING: Relaxed, under the lock.
        self.rows.fetch_add(1, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.top.fetch_max(row as u32 + 1, Ordering::Relaxed);
    }

    /// Takes a row out.
    pub(super) fn remove(&self, row: usize) {
        let Some(gone) = self.links.get(row) else { return };
        if gone.hash == 0 {
            return;
        }
        let chain = self.chain(gone.hash);
        let mut at = self.chains.get(chain).unwrap_or(0);
        if at as usize == row + 1 {
            self.chains.set(chain, gone.next);
        }
        while let Some(other) = (at as usize).checked_sub(1) {
            let Some(link) = self.links.get(other) else { break };
            if link.next as usize == row + 1 {
                self.links.set(other, Link { hash: link.hash, next: gone.next });
                break;
            }
            at = link.next;
        }
        self.links.set(row, Link { hash: 0, next: 0 });
        // ORDERING: Relaxed, under the lock.
        self.rows.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One odd number of 32 bits out of 64.
fn fold(hash: u64) -> u32 {
    (hash ^ hash >> 32) as u32 | 1
}

/// Adds a word to a hash.
pub(super) fn mix(hash: u64, word: u64) -> u64 {
    let word = hash.rotate_left(23) ^ word ^ 0xF39C_C060_5CED_C835;
    let product = u128::from(word) * 0x9E37_79B9_7F4A_7C15;
    (product >> 64) as u64 ^ product as u64
}
