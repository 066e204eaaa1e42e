//! The rules of frames, each in one word, and the cache of them.
//!
//! To find a rule takes a search and a small program, and a few system calls,
//! since tables are read in a way that cannot fault. A process's stacks go through
//! a few thousand program counters again and again, so the rules are kept, by
//! program counter: a step of a stack is then two loads, two compares and some
//! shifts.
//!
//! ```text
//!   bits   63        46 45         28 27           6 5    3 2    0
//!          +-----------+-------------+--------------+------+------+
//!          | return    | saved frame | offset of    | base | kind |
//!          | address   | pointer     | the CFA      |      |      |
//!          +-----------+-------------+--------------+------+------+
//!              signed numbers of words of eight bytes
//! ```
//!
//! # Size
//!
//! A small program has a few dozen rules, and a hash would spread them over as many
//! pages. So half a page of slots is used at first, and four times as many whenever a
//! quarter of the sets have lost a rule to another since. What is where it was found
//! then is found again; the rest is read anew.
//!
//! # Invariants
//!
//! * UR1. A slot's first word is its key, exclusive-ored with a mix of the rule. Two
//!   threads that write one slot at once may leave the words of two writers: then
//!   the check fails, and the slot is taken for empty.
//! * UR2. A key is made of a program counter and the epoch (`modules.rs`), which
//!   changes when a module is gone: no rule outlives the module it was read from by
//!   more than the time in which that is noticed.
//!
//! Threads: anyone reads and writes at any time, also in a signal handler above
//! another writer. No operation waits.

use super::OTHERS;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Pairs of slots.
const SETS: usize = 4096;
/// The same for registers that few stacks need: one for so many of the others.
const RARE: usize = 4;
/// Pairs of slots at first: half a page. Times four, three times, they are all.
const FIRST: usize = 64;

/// What to do at an instruction to get to the caller's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule(pub(super) u64);

/// What a rule asks for. Offsets are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The CFA is a register and an offset.
    Frame = 1,
    /// The CFA is the word stored there. The frame pointer is saved at an
    /// offset from the register.
    Stored = 2,
    /// The kernel has put the registers of an interrupted context on the stack.
    Signal = 3,
    /// The outermost frame.
    End = 4,
    /// No table: the frame pointer may lead on.
    Pointer = 5,
    /// The tables say something that is not followed.
    Lost = 6,
}

/// What stands for "it is where it was" in place of an offset.
const SAME: i64 = 0;

const fn fits(words: i64, bits: u32) -> bool {
    let half = 1 << (bits - 1);
    words >= -half && words < half
}

impl Rule {
    pub(super) const SIGNAL: Self = Self(Kind::Signal as u64);
    pub(super) const END: Self = Self(Kind::End as u64);
    pub(super) const POINTER: Self = Self(Kind::Pointer as u64);
    pub(super) const LOST: Self = Self(Kind::Lost as u64);

    /// The rule of a frame. None when the numbers don't fit. `saved` is where the
    /// frame pointer is, if it has changed; `back` where the return address is,
    /// seen from the CFA, or 0 when it is in its register.
    pub(super) fn frame(
        base: u8,
        offset: i32,
        stored: bool,
        saved: Option<i32>,
        back: i32,
    ) -> Option<Self> {
        let words = |bytes: i32, bits: u32| {
            let words = i64::from(bytes >> 3);
            (bytes & 7 == 0 && fits(words, bits)).then_some(words as u64 & ((1 << bits) - 1))
        };
        let saved = match saved {
            None => SAME as u64,
            Some(0) if stored => AT_BASE,
            Some(0) => return None,
            Some(n) => words(n, 18).filter(|word| *word != AT_BASE)?,
        };
        let kind = if stored { Kind::Stored } else { Kind::Frame };
        Some(Self(
            words(back, 18)? << 46
                | saved << 28
                | words(offset, 22)? << 6
                | u64::from(base & 7) << 3
                | kind as u64,
        ))
    }

    #[inline(always)]
    pub(super) fn kind(self) -> Kind {
        match self.0 & 7 {
            1 => Kind::Frame,
            2 => Kind::Stored,
            3 => Kind::Signal,
            4 => Kind::End,
            5 => Kind::Pointer,
            _ => Kind::Lost,
        }
    }

    #[inline(always)]
    pub(super) fn base(self) -> usize {
        (self.0 >> 3 & 7) as usize
    }

    /// Offset of the CFA, or of the word that holds it.
    #[inline(always)]
    pub(super) fn offset(self) -> isize {
        // The three bits below a number of words are those of its bytes.
        ((self.0 << 36) as i64 >> 42 << 3) as isize
    }

    /// Where the frame pointer is saved.
    #[inline(always)]
    pub(super) fn saved(self) -> Option<isize> {
        match self.0 >> 28 & 0x3_ffff {
            0 => None,
            AT_BASE => Some(0),
            _ => Some(((self.0 << 18) as i64 >> 46 << 3) as isize),
        }
    }

    /// Where the return address is, seen from the CFA; 0 when in its register.
    #[inline(always)]
    pub(super) fn back(self) -> isize {
        (self.0 as i64 >> 46 << 3) as isize
    }
}

/// The smallest number of 18 bits: stands for the offset 0.
const AT_BASE: u64 = 1 << 17;

/// Where the registers are that only a frame's base needs now and then: twelve
/// bits for each, a number of words as above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Others(u64);

/// What stands for "nowhere".
const GONE: i64 = -2048;

impl Others {
    /// `place` is None when the register cannot be found any more.
    pub(super) fn set(&mut self, i: usize, place: Option<Option<i32>>) {
        let words = match place {
            Some(None) => SAME,
            Some(Some(n)) if n & 7 == 0 && n != 0 && fits((n >> 3).into(), 12) => (n >> 3).into(),
            _ => GONE,
        };
        let shift = 12 * (i % 5);
        self.0 = self.0 & !(0xfff << shift) | (words as u64 & 0xfff) << shift;
    }

    /// Where register `i` is: None if unchanged, `Some(None)` if nowhere.
    pub(super) fn get(self, i: usize) -> Option<Option<isize>> {
        match (self.0 << (52 - 12 * (i % 5))) as i64 >> 52 {
            SAME => None,
            GONE => Some(None),
            words => Some(Some(words as isize * 8)),
        }
    }
}

const _: () = assert!(OTHERS <= 5, "five times twelve bits are a word");

/// Two slots, each a check and a rule.
#[repr(C, align(32))]
struct Set([AtomicU64; 4]);

/// The kept rules. All zero is empty. The rare ones are counted from the end, so
/// that what is used at first of both lies on one page.
#[repr(C, align(4096))]
pub(super) struct Rules {
    /// Puts the first sets, and not their beginning alone, on the page.
    before: [Set; MARGIN],
    rare: [Set; SETS / RARE],
    /// How often the sets in use have become four times as many.
    grown: AtomicU32,
    /// Rules that have lost their slots since.
    lost: AtomicU32,
    sets: [Set; SETS],
}

/// As many sets as the rare ones need at first.
const MARGIN: usize = FIRST / RARE;

const _: () = assert!(
    (MARGIN + SETS / RARE) * size_of::<Set>() / 4096
        == (core::mem::offset_of!(Rules, sets) + FIRST * size_of::<Set>() - 1) / 4096,
    "the first rules are on one page"
);

/// What a rule is known by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    word: u64,
    place: usize,
}

impl Key {
    #[inline(always)]
    pub(super) fn new(pc: usize, epoch: u64) -> Self {
        let pc = pc as u64;
        // The upper half of the product depends on all bits of the address.
        let place = pc.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        Self { word: pc ^ epoch.rotate_left(48), place: place as usize }
    }
}

#[inline(always)]
fn mix(word: u64) -> u64 {
    word.wrapping_mul(0xd6e8_feb8_6659_fd93)
}

impl Key {
    /// What a slot holds for this key (UR1).
    pub(super) fn slot(self, rule: u64) -> [u64; 2] {
        [self.word ^ mix(rule), rule]
    }

    /// The rule, if the slot holds one for this key.
    #[inline(always)]
    pub(super) fn fits(self, check: &AtomicU64, rule: &AtomicU64) -> Option<u64> {
        // ORDERING: Relaxed, UR1: the words say themselves whether they belong together.
        let (check, rule) = (check.load(Ordering::Relaxed), rule.load(Ordering::Relaxed));
        (check ^ mix(rule) == self.word).then_some(rule)
    }
}

impl Set {
    #[inline(always)]
    fn get(&self, key: Key) -> Option<u64> {
        let [check0, rule0, check1, rule1] = &self.0;
        key.fits(check0, rule0).or_else(|| key.fits(check1, rule1))
    }

    /// The older of the two slots goes. True when there was a rule in it.
    fn put(&self, key: Key, rule: u64) -> bool {
        let [check0, rule0, check1, rule1] = &self.0;
        // ORDERING: Relaxed, a figure.
        let lost = rule1.load(Ordering::Relaxed) != 0;
        // ORDERING: Relaxed, UR1.
        let old = (check0.load(Ordering::Relaxed), rule0.load(Ordering::Relaxed));
        let [check, rule] = key.slot(rule);
        // ORDERING: Relaxed, UR1.
        check1.store(old.0, Ordering::Relaxed);
        // ORDERING: Relaxed, UR1.
        rule1.store(old.1, Ordering::Relaxed);
        // ORDERING: Relaxed, UR1.
        check0.store(check, Ordering::Relaxed);
        // ORDERING: Relaxed, UR1.
        rule0.store(rule, Ordering::Relaxed);
        lost
    }
}

impl Rules {
    /// Sets in use. They only become more.
    #[inline(always)]
    pub(super) fn size(&self) -> Size {
        // ORDERING: Relaxed, UR1: any set may be looked at.
        Size((FIRST << (2 * self.grown.load(Ordering::Relaxed))).min(SETS))
    }

    #[inline(always)]
    pub(super) fn get(&self, key: Key, size: Size) -> Option<Rule> {
        let rule = self.sets.get(key.place & (size.0 - 1))?.get(key)?;
        // An empty slot fits the key 0, and holds no rule.
        (rule != 0).then_some(Rule(rule))
    }

    pub(super) fn put(&self, key: Key, rule: Rule) {
        let size = self.size().0;
        let lost = self.sets.get(key.place & (size - 1)).is_some_and(|set| set.put(key, rule.0));
        if !lost || size == SETS {
            return;
        }
        // ORDERING: Relaxed on all, figures: two at once make it grow once more or less.
        if self.lost.fetch_add(1, Ordering::Relaxed) as usize >= size / 4 {
            // ORDERING: Relaxed, as above.
            self.lost.store(0, Ordering::Relaxed);
            // ORDERING: Relaxed, as above.
            self.grown.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The set of a key among the rare ones.
    fn rare(&self, key: Key) -> Option<&Set> {
        self.rare.get(SETS / RARE - 1 - (key.place & (self.size().0 / RARE - 1)))
    }

    pub(super) fn others(&self, key: Key) -> Option<Others> {
        // The highest bit is set in what is kept, so that it is never 0.
        let word = self.rare(key)?.get(key)?;
        (word != 0).then_some(Others(word & !HELD))
    }

    pub(super) fn put_others(&self, key: Key, others: Others) {
        if let Some(set) = self.rare(key) {
            set.put(key, others.0 | HELD);
        }
    }

    /// Has memory put behind the page of the first rules, which are read before they
    /// are written. Before anybody knows of them.
    pub(super) fn touch(&self) {
        // ORDERING: Relaxed, published with the tables.
        self.grown.store(0, Ordering::Relaxed);
    }
}

/// Sets in use, a power of two and never 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size(usize);

const HELD: u64 = 1 << 63;
