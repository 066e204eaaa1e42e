//! The word of a slot: its state, who made it, how much of it was asked for.
//!
//! ```text
//!    15                       4 3      2 1     0
//!   +--------------------------+--------+-------+
//!   |  slack - 1 (1 to 4096)   | family | state |
//!   +--------------------------+--------+-------+
//! ```
//!
//! A slot is what a block is at the default level: one object's place in a
//! span. Its word lies out of line, so no write through an object reaches it.
//! Two bytes a slot: one in eight for the smallest, one in a hundred on average.
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
//! The exchange OUT to HELD is the free: whoever loses it frees twice.
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

/// The most slack that a word can tell of.
pub(crate) const SLACK_MAX: usize = 4096;

/// A value of the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotWord(pub(crate) u16);

impl SlotWord {
    pub(crate) const FREE: Self = Self(0);
    pub(crate) const HELD: Self = Self(1);

    /// The word of an object with `slack` bytes behind it, 1 to [`SLACK_MAX`].
    #[inline(always)]
    pub(crate) const fn out(family: Family, slack: usize) -> Self {
        Self(2 | (family as u16) << 2 | ((slack - 1) as u16) << 4)
    }

    #[inline(always)]
    pub(crate) const fn state(self) -> State {
        match self.0 & 3 {
            0 => State::Free,
            1 => State::Held,
            _ => State::Out,
        }
    }

    #[inline(always)]
    pub(crate) const fn family(self) -> Family {
        family(self.0 >> 2)
    }

    /// Bytes of the slot that nobody asked for: they hold the canary.
    #[inline(always)]
    pub(crate) const fn slack(self) -> usize {
        (self.0 >> 4) as usize + 1
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

/// The size that is kept of a request for `size` bytes that got a slot of `class`:
/// what was asked for, or a little more where an alignment leaves more slack
/// than a word can tell of.
#[inline(always)]
pub(crate) const fn kept(size: usize, class: SizeClass) -> usize {
    let least = class.size().saturating_sub(SLACK_MAX);
    if size < least { least } else { size }
}

#[cfg(test)]
mod tests {
    //! Words that come back as they went in.

    use super::*;
    use crate::size::CLASSES;

    #[test]
    fn a_word_keeps_what_it_was_made_of() {
        for family in [Family::C, Family::New, Family::Array, Family::Rust] {
            for slack in [1, 2, 15, 16, 100, 4095, SLACK_MAX] {
                let word = SlotWord::out(family, slack);
                assert_eq!((word.state(), word.family(), word.slack()), (State::Out, family, slack));
            }
        }
        assert_eq!(SlotWord::FREE.state(), State::Free);
        assert_eq!(SlotWord::HELD.state(), State::Held);
    }

    #[test]
    fn every_request_leaves_slack_that_a_word_can_tell_of() {
        for align in [1, 8, 16, 32, 64, 512, 4096, 32768] {
            for size in (1..200).chain((200..32768).step_by(61)).chain([32766, 32767]) {
                let Some(class) = class_for(size, align) else { continue };
                let kept = kept(size, class);
                assert!(class.index() < CLASSES && class.size() % align == 0);
                assert!(kept >= size && kept < class.size() && class.size() - kept <= SLACK_MAX);
                assert!(align > 16 || kept == size, "{size} at {align} is kept as {kept}");
            }
        }
    }
}
