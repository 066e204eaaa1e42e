//! Every option, in one table.
//!
//! An option is set in one of four places. The later one in this list wins:
//! built in, the builder of the program's `Allod`, the environment variable
//! `ALLOD_CONF=key:value,key:value`, a call of [`set`](crate::set) while the
//! program runs. A builder can lock the environment out, and a program that
//! runs with more rights than its user never looks at it.
//!
//! What can be switched off understands `off`, `on` and 0; `on` is the default where that
//! is an amount. Two options have a 0 that switches nothing off, and no such words: a
//! `purge_delay` of 0 gives everything back at once, and a `guard_rate` of 0 guards every object
//! at the paranoid level.
#![forbid(unsafe_code)]

/// An option's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Key {
    /// Milliseconds that free memory is kept before it goes back to the system.
    PurgeDelay,
    /// Bytes in use from which on new memory is asked for in huge pages; 0 for never.
    HugePages,
    /// Bytes of freed huge objects that are kept for the next one.
    HugeCache,
    /// 1: an inaccessible page follows each huge object. 0: none.
    GuardPages,
    /// The level of safety: a [`Harden`].
    Harden,
    /// About one in so many objects of the slow path is guarded; 0 for none.
    GuardRate,
    /// Mean bytes between two samples of the profiler; 0 for never.
    Profile,
    /// When a heap dump is written by itself: a sum of the values of `DUMP_AT_EXIT` and
    /// its like.
    ProfileDump,
    /// 1: a thread of our own gives memory back while the program makes no calls. 0: none.
    Background,
}

/// The level of safety, chosen when the allocator starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Harden {
    /// Finds double and invalid frees, and wrong sizes, at no cost that could be measured.
    Default = 0,
    /// Finds as well what is written where it should not be, and makes reuse hard to
    /// predict. Costs time and memory.
    Hardened = 1,
    /// For testing: as hardened, and objects on pages of their own.
    Paranoid = 2,
}

/// [`Key::ProfileDump`]: when the process ends by itself.
pub const DUMP_AT_EXIT: u64 = 1;
/// [`Key::ProfileDump`]: when SIGUSR2 comes, which the program must not handle itself.
pub const DUMP_AT_SIGNAL: u64 = 2;
/// [`Key::ProfileDump`]: when more is in use than at the last dump of this kind, by a
/// twentieth.
pub const DUMP_AT_PEAK: u64 = 4;
/// [`Key::ProfileDump`]: the first time that the system has no more memory.
pub const DUMP_AT_OOM: u64 = 8;

/// One row of the table.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Row {
    /// Which option.
    pub key: Key,
    /// Its name in `ALLOD_CONF`.
    pub name: &'static str,
    /// What it is when nobody sets it.
    pub default: u64,
    /// The least value.
    pub min: u64,
    /// The greatest value.
    pub max: u64,
    /// Words that stand for a value in `ALLOD_CONF`, besides the number itself.
    pub words: &'static [(&'static str, u64)],
    /// The words may be joined by `+`: the value is a set.
    pub is_set: bool,
    /// One sentence.
    pub what: &'static str,
}

/// What `on` means where the value is an amount: the default.
const HUGE_PAGES: u64 = 2 << 20;
const HUGE_CACHE: u64 = 256 << 20;
const PROFILE: u64 = 512 << 10;

impl Row {
    /// The number that `value` stands for in `ALLOD_CONF`: one of the words, several joined
    /// by `+` where they make a set, or decimal digits, perhaps with k, m or g behind them.
    ///
    /// # Errors
    ///
    /// [`Refused::BadValue`] when it is none of these, or out of the option's range.
    pub fn parse(&self, value: &str) -> Result<u64, Refused> {
        parse(self, value.as_bytes())
    }
}

/// How many options there are.
pub const OPTIONS: usize = 9;

/// The table.
pub const TABLE: [Row; OPTIONS] = [
    Row {
        key: Key::PurgeDelay,
        name: "purge_delay",
        default: 500,
        min: 0,
        max: 3_600_000,
        words: &[],
        is_set: false,
        what: "milliseconds that free memory is kept before it goes back to the system",
    },
    Row {
        key: Key::HugePages,
        name: "huge_pages",
        default: HUGE_PAGES,
        min: 0,
        max: u64::MAX >> 1,
        words: &[("off", 0), ("on", HUGE_PAGES)],
        is_set: false,
        what: "bytes in use from which on new memory is asked for in huge pages; off (0) for never",
    },
    Row {
        key: Key::HugeCache,
        name: "huge_cache",
        default: HUGE_CACHE,
        min: 0,
        max: u64::MAX >> 1,
        words: &[("off", 0), ("on", HUGE_CACHE)],
        is_set: false,
        what: "bytes of freed huge objects kept for the next, or as many as are live; off (0) for none",
    },
    Row {
        key: Key::GuardPages,
        name: "guard_pages",
        default: 1,
        min: 0,
        max: 1,
        words: &[("off", 0), ("on", 1)],
        is_set: false,
        what: "1: an inaccessible page follows each huge object; 0: none",
    },
    Row {
        key: Key::Harden,
        name: "harden",
        default: 0,
        min: 0,
        max: 2,
        words: &[("default", 0), ("hardened", 1), ("paranoid", 2), ("off", 0), ("on", 1)],
        is_set: false,
        what: "level of safety: default, hardened, or paranoid (for testing); taken at the start",
    },
    Row {
        key: Key::GuardRate,
        name: "guard_rate",
        default: 0,
        min: 0,
        max: 1 << 30,
        words: &[],
        what: "one in so many objects gets pages of its own: of the slow path's, 0 for none; \
               at the paranoid level of all, exactly, 0 for each; taken at the start",
        is_set: false,
    },
    Row {
        key: Key::Profile,
        name: "profile",
        default: PROFILE,
        min: 0,
        max: 1 << 31,
        words: &[("off", 0), ("on", PROFILE)],
        is_set: false,
        what: "mean bytes between two samples of the profiler; off (0) for never",
    },
    Row {
        key: Key::ProfileDump,
        name: "profile_dump",
        default: 0,
        min: 0,
        max: DUMP_AT_EXIT | DUMP_AT_SIGNAL | DUMP_AT_PEAK | DUMP_AT_OOM,
        words: &[
            ("none", 0),
            ("off", 0),
            ("exit", DUMP_AT_EXIT),
            ("signal", DUMP_AT_SIGNAL),
            ("peak", DUMP_AT_PEAK),
            ("oom", DUMP_AT_OOM),
        ],
        is_set: true,
        what: "when a heap dump is written: none, or some of exit, signal, peak, oom joined by +",
    },
    Row {
        key: Key::Background,
        name: "background",
        default: 0,
        min: 0,
        max: 1,
        is_set: false,
        words: &[("off", 0), ("on", 1)],
        what: "1: a thread of our own gives memory back while the program makes no calls; 0: none",
    },
];

/// Why a value was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// No option has this name.
    UnknownKey,
    /// The value is no number in the option's range.
    BadValue,
    /// The allocator could not start: the system has no memory for it.
    NoMemory,
    /// The option is taken when the allocator starts, and it has started.
    TooLate,
}

impl core::fmt::Display for Refused {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::UnknownKey => "no option has this name",
            Self::BadValue => "the value is no number in the option's range",
            Self::NoMemory => "no memory to start with",
            Self::TooLate => "the option is taken when the allocator starts",
        })
    }
}

impl core::error::Error for Refused {}

/// What an allocator does for safety, decided when it opens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    /// Objects live in slots that are watched.
    pub(crate) hard: bool,
    /// One object in so many is guarded; 0 for none.
    pub(crate) guard_rate: u32,
    /// Exactly one in so many, of all.
    pub(crate) exact: bool,
}

impl Level {
    /// The default one.
    #[cfg_attr(not(test), allow(dead_code, reason = "the tests of other rooms open with it"))]
    pub(crate) const DEFAULT: Self = Self { hard: false, guard_rate: 0, exact: false };
}

/// A value for each option.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    values: [u64; OPTIONS],
    pub(crate) environment: bool,
}

impl Config {
    pub(crate) const fn new() -> Self {
        let mut values = [0; OPTIONS];
        let mut i = 0;
        while i < OPTIONS {
            values[i] = TABLE[i].default;
            i += 1;
        }
        Self { values, environment: true }
    }

    pub(crate) const fn get(&self, key: Key) -> u64 {
        self.values[key as usize]
    }

    /// What is done for safety.
    pub(crate) fn level(&self) -> Level {
        let rate = u32::try_from(self.get(Key::GuardRate)).unwrap_or(0);
        let harden = self.get(Key::Harden);
        let exact = harden == Harden::Paranoid as u64;
        Level {
            hard: harden != Harden::Default as u64,
            guard_rate: if exact { rate.max(1) } else { rate },
            exact,
        }
    }

    /// Sets an option, moved into its range.
    pub(crate) const fn with(mut self, key: Key, value: u64) -> Self {
        let row = TABLE[key as usize];
        self.values[key as usize] = if value < row.min {
            row.min
        } else if value > row.max {
            row.max
        } else {
            value
        };
        self
    }

    /// Applies `key:value,key:value`. `complain` hears of each part that is not
    /// understood, and the others are applied all the same.
    pub(crate) fn apply(&mut self, text: &[u8], mut complain: impl FnMut(&[u8], Refused)) {
        for part in text.split(|&byte| byte == b',').filter(|part| !part.is_empty()) {
            let mut halves = part.splitn(2, |&byte| byte == b':');
            let (name, value) = (halves.next().unwrap_or(b""), halves.next().unwrap_or(b""));
            match find(name).and_then(|row| Ok((row, parse(row, value)?))) {
                Ok((row, value)) => *self = self.with(row.key, value),
                Err(why) => complain(part, why),
            }
        }
    }
}

/// The row of the option called `name`.
pub(crate) fn find(name: &[u8]) -> Result<&'static Row, Refused> {
    TABLE.iter().find(|row| row.name.as_bytes() == name).ok_or(Refused::UnknownKey)
}

/// As [`Row::parse`], for any bytes.
pub(crate) fn parse(row: &Row, value: &[u8]) -> Result<u64, Refused> {
    if let Some((_, number)) = row.words.iter().find(|(word, _)| word.as_bytes() == value) {
        return Ok(*number);
    }
    if row.is_set && value.contains(&b'+') {
        return value.split(|&byte| byte == b'+').try_fold(0, |set, word| {
            let found = row.words.iter().find(|(name, _)| name.as_bytes() == word);
            found.map(|(_, bit)| set | bit).ok_or(Refused::BadValue)
        });
    }
    let (digits, shift) = match value {
        [digits @ .., b'k' | b'K'] => (digits, 10),
        [digits @ .., b'm' | b'M'] => (digits, 20),
        [digits @ .., b'g' | b'G'] => (digits, 30),
        digits => (digits, 0),
    };
    let mut number = 0u64;
    if digits.is_empty() {
        return Err(Refused::BadValue);
    }
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(Refused::BadValue);
        }
        let next = number.checked_mul(10).and_then(|n| n.checked_add(u64::from(digit - b'0')));
        number = next.ok_or(Refused::BadValue)?;
    }
    let scaled = number.checked_mul(1 << shift).ok_or(Refused::BadValue)?;
    if scaled < row.min || scaled > row.max { Err(Refused::BadValue) } else { Ok(scaled) }
}

#[cfg(test)]
mod tests;
