//! The word of a slot: its state, who made it, how it was asked for.
//!
//! ```text
//!    15                8 7            4 3      2 1     0
//!   +-------------------+--------------+--------+-------+
//!   | slack - 1, or 255 | log2 (align) | family | state |
//!   +-------------------+--------------+--------+-------+
//! ```
//!
//! A slot is what a block is at the default level: one object's place in a
//! span. Its word lies out of line, so no write through an object reaches it.
//! Two bytes a slot: one in eight for the smallest, one in a hundred on average.
//!
//! The *slack* is what of the slot was not asked for: at least a byte. Up to 255
//! bytes of it the word tells; where there is more, there is room to say so in
//! the slack itself, in the last word but one of the slot (`canary.rs`).
//!
//! # Life of a slot
//!
//! ```text
//!            taken                 handed out              freed
//!   FREE -------------> HELD ---------------------> OUT ----------> HELD
//!    ^   into a locker        by its random choice                    |
//!    +----------------------------------------------------------------+
//!                   too many in the locker, behind the quarantine
//! ```
//!
//! The exchange OUT to HELD is the free: whoever finds it done frees twice. OUT
//! has two values: with the lowest bit set, the object is a sample as well.
#![forbid(unsafe_code)]

use crate::size::SizeClass;

/// What may be done with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// In its span, to be taken.
    Free,
    /// In a locker: waiting in quarantine, or to be handed out.
    Held,
    /// The program's.
    Out,
}

/// Which functions an object was made with, and must be freed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// `malloc` and its family.
    C = 0,
    /// `operator new`.
    New = 1,
    /// `operator new[]`.
    Array = 2,
    /// A Rust layout.
    Rust = 3,
}

/// How an object was asked for: by which family, and at a multiple of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Make(pub(crate) u16);

impl Make {
    /// `align` is a power of two.
    #[inline(always)]
    pub(crate) const fn new(family: Family, align: usize) -> Self {
        Self(family as u16 | (align.trailing_zeros() as u16) << 2)
    }

    #[inline(always)]
    pub(crate) const fn family(self) -> Family {
        family(self.0)
    }

    pub(crate) const fn align(self) -> usize {
        1usize.wrapping_shl((self.0 >> 2) as u32)
    }

    /// True when an object in a slot can be so.
    #[inline(always)]
    pub(crate) const fn fits_slots(self) -> bool {
        self.0 < 1 << 6
    }

    /// The same family, for another alignment.
    pub(crate) const fn at(self, align: usize) -> Self {
        Self::new(self.family(), align)
    }
}

/// The most slack that a word can tell of.
pub(crate) const SLACK_MAX: usize = 255;

/// A value of the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotWord(pub(crate) u16);

impl SlotWord {
    pub(crate) const FREE: Self = Self(0);
    pub(crate) const HELD: Self = Self(1);
    /// What is not the same in the words of a sample and of an object that is none.
    const SAMPLE: u16 = 1;

    /// The word of an object with `slack` bytes behind it.
    #[inline(always)]
    pub(crate) const fn out(make: Make, slack: usize) -> Self {
        let slack = if slack > SLACK_MAX { SLACK_MAX } else { slack.wrapping_sub(1) };
        Self(2 | (make.0 & 63) << 2 | (slack as u16) << 8)
    }

    /// As [`SlotWord::out`], where there are [`SLACK_MAX`] bytes of slack at most.
    #[inline(always)]
    pub(crate) const fn out_short(make: Make, slack: usize) -> Self {
        Self(2 | (make.0 & 63) << 2 | ((slack - 1) as u16) << 8)
    }

    /// The same object, as a sample.
    pub(crate) const fn sampled(self) -> Self {
        Self(self.0 | Self::SAMPLE)
    }

    /// True for an object of the program's that is a sample.
    #[inline(always)]
    pub(crate) const fn is_sample(self) -> bool {
        self.0 & 3 == 3
    }

    /// True for an object of the program's that is no sample.
    #[inline(always)]
    pub(crate) const fn is_plain(self) -> bool {
        self.0 & 3 == 2
    }

    /// True for a plain object that the family of `make` has made.
    #[inline(always)]
    pub(crate) const fn is_plain_of(self, make: Make) -> bool {
        (self.0 ^ (2 | make.0 << 2)) & 15 == 0
    }

    /// As [`SlotWord::out`], a sample if this is one.
    pub(crate) const fn resized(self, make: Make, slack: usize) -> Self {
        Self(Self::out(make, slack).0 | self.0 & Self::SAMPLE)
    }

    #[inline(always)]
    pub(crate) const fn state(self) -> State {
        match self.0 & 3 {
            0 => State::Free,
            1 => State::Held,
            _ => State::Out,
        }
    }

    /// How the object was asked for.
    #[inline(always)]
    pub(crate) const fn make(self) -> Make {
        Make(self.0 >> 2 & 63)
    }

    /// The slack as far as the word tells it: [`SLACK_MAX`] or a byte more may be more.
    #[inline(always)]
    pub(crate) const fn told_slack(self) -> usize {
        (self.0 >> 8) as usize + 1
    }

    /// Bytes of the slot that nobody asked for: they hold the canary. `None`: more
    /// than [`SLACK_MAX`], and the slot itself says how many.
    #[inline(always)]
    pub(crate) const fn slack(self) -> Option<usize> {
        match (self.0 >> 8) as usize {
            SLACK_MAX => None,
            slack => Some(slack + 1),
        }
    }
}

/// The family numbered `n`, in the two lowest bits.
pub(crate) const fn family(n: u16) -> Family {
    match n & 3 {
        0 => Family::C,
        1 => Family::New,
        2 => Family::Array,
        _ => Family::Rust,
    }
}

/// The class of a slot for `size` bytes, and at least one of slack.
#[inline(always)]
pub(crate) const fn class_for(size: usize, align: usize) -> Option<SizeClass> {
    SizeClass::of_layout(size + 1, align)
}

#[cfg(test)]
mod tests {
    //! Words that come back as they went in.

    use super::*;
    use crate::size::CLASSES;

    #[test]
    fn a_word_keeps_what_it_was_made_of() {
        for family in [Family::C, Family::New, Family::Array, Family::Rust] {
            for align in (0..16).map(|shift| 1 << shift) {
                let make = Make::new(family, align);
                assert_eq!((make.family(), make.align()), (family, align));
                assert!(make.fits_slots());
                for slack in [1, 2, 15, 16, 100, 254, SLACK_MAX, 256, 4096, 32767] {
                    let word = SlotWord::out(make, slack);
                    let sample = word.sampled();
                    for word in [word, sample] {
                        assert_eq!((word.state(), word.make()), (State::Out, make));
                        assert_eq!(word.slack(), (slack <= SLACK_MAX).then_some(slack));
                    }
                    assert!(word.is_plain() && !word.is_sample());
                    let others = [Family::C, Family::New, Family::Array, Family::Rust];
                    for other in others.map(|family| Make::new(family, 1)) {
                        assert_eq!(word.is_plain_of(other), other.family() == family);
                        assert!(!sample.is_plain_of(other) && !SlotWord::HELD.is_plain_of(other));
                        assert!(!SlotWord::FREE.is_plain_of(other));
                    }
                    assert!(sample.is_sample() && !sample.is_plain());
                    assert!(sample.resized(make, 7).is_sample() && word.resized(make, 7).is_plain());
                }
            }
        }
        assert_eq!(SlotWord::FREE.state(), State::Free);
        assert_eq!(SlotWord::HELD.state(), State::Held);
        assert!(!SlotWord::HELD.is_sample() && !SlotWord::FREE.is_plain());
        for align in (16..usize::BITS.min(48)).map(|shift| 1usize << shift) {
            let make = Make::new(Family::New, align);
            assert_eq!((make.family(), make.align()), (Family::New, align));
            assert!(!make.fits_slots(), "it would be taken for a smaller one");
        }
    }

    #[test]
    fn every_request_leaves_slack() {
        for align in [1, 8, 16, 32, 64, 512, 4096, 32768] {
            for size in (1..200).chain((200..32768).step_by(61)).chain([32766, 32767]) {
                let Some(class) = class_for(size, align) else { continue };
                assert!(class.index() < CLASSES && class.size() % align == 0);
                assert!(size < class.size() && class.size() - size < 1 << 15);
            }
        }
    }
}
