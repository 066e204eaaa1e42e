//! The families of misuse: what each does, to objects of which sizes, and the
//! words by which an allocator names it.
//!
//! Each family is a program with one deed in it, and the same program without
//! the deed must run as if nothing were. Which object, how large, when and by
//! whom is the trial's (`trial`, `scene`); a family says what is done to it.
//!
//! What counts as harm, in general: memory handed out twice, or memory that was
//! never the allocator's; a kept object whose bytes change; memory from `calloc`
//! that is not zero; a secret that is read.

mod bounds;
mod content;
mod frees;
mod sizes;

use super::scene::Scene;

/// One family.
#[derive(Debug)]
pub(crate) struct Family {
    /// Its name in tables.
    pub(crate) name: &'static str,
    /// One line for readers.
    pub(crate) what: &'static str,
    /// The least and the greatest size of the object.
    pub(crate) least: usize,
    pub(crate) most: usize,
    /// What a line must say to have named the mistake: one of these.
    pub(crate) words: &'static [&'static str],
    /// It makes a difference whether the memory was handed out again before.
    pub(crate) splits: bool,
    /// The program.
    pub(crate) act: fn(&mut Scene<'_>),
}

const MOST: usize = 4 << 20;

const DOUBLE: &[&str] = &["double free", "double-free", "freed twice", "already free"];
const INVALID: &[&str] = &["invalid free", "invalid pointer", "not allocated", "unaligned"];
const SIZE: &[&str] = &["wrong size", "size mismatch", "sized free", "wrong alignment", "size"];
const BOUNDS: &[&str] =
    &["overflow", "out of bounds", "past the end", "before the start", "canary", "corrupt"];
const FREED: &[&str] = &["write to freed", "write after free", "use after free", "corrupt"];
const FAMILY: &[&str] = &["mismatch", "wrong function", "family", "operator"];

const fn family(
    name: &'static str,
    words: &'static [&'static str],
    what: &'static str,
    act: fn(&mut Scene<'_>),
) -> Family {
    Family { name, what, least: 1, most: MOST, words, splits: false, act }
}

/// All of them.
pub(crate) const FAMILIES: &[Family] = &[
    Family {
        splits: true,
        ..family("double free", DOUBLE, "an object is freed twice", frees::double)
    },
    Family {
        splits: true,
        ..family(
            "double free, interleaved",
            DOUBLE,
            "two objects are freed in turn: a, b, a",
            frees::interleaved,
        )
    },
    Family {
        splits: true,
        ..family(
            "free after realloc",
            DOUBLE,
            "the old pointer is freed after realloc has moved the object",
            frees::after_realloc,
        )
    },
    Family {
        splits: true,
        ..family(
            "realloc after free",
            DOUBLE,
            "a freed object is reallocated",
            frees::realloc_freed,
        )
    },
    family("free of the stack", INVALID, "a local variable is freed", frees::stack),
    family("free of a static", INVALID, "a static variable is freed", frees::fixed),
    family("free of a mapping", INVALID, "memory from mmap is freed", frees::mapping),
    Family {
        least: 33,
        ..family(
            "free of the inside, near",
            INVALID,
            "an address in the object's first 256 bytes is freed, a multiple of 16",
            frees::near,
        )
    },
    Family {
        least: 512,
        ..family(
            "free of the inside, far",
            INVALID,
            "an address further inside is freed, a multiple of 16",
            frees::far,
        )
    },
    Family {
        least: 16,
        ..family(
            "free, unaligned",
            INVALID,
            "an address inside is freed that is no multiple of 16",
            frees::unaligned,
        )
    },
    family(
        "wrong size",
        SIZE,
        "a sized free says half the size or less, or twice the size or more",
        sizes::size,
    ),
    family("wrong alignment", SIZE, "a sized free says another alignment", sizes::alignment),
    family(
        "wrong family",
        FAMILY,
        "memory from malloc, new or new[] is given to another's function",
        sizes::family,
    ),
    Family {
        least: 1,
        most: 1,
        ..family("zero-size write", &[], "an object of no bytes is written to", bounds::zero_write)
    },
    Family {
        least: 1,
        most: 1,
        ..family("zero-size read", &[], "an object of no bytes is read", bounds::zero_read)
    },
    family("overflow by 1", BOUNDS, "the byte behind the object is written", bounds::by_one),
    family("overflow by 8", BOUNDS, "the 8 bytes behind the object are written", bounds::by_eight),
    family(
        "overflow past the page",
        BOUNDS,
        "all is written from the object's end past the end of its page",
        bounds::past_page,
    ),
    Family {
        least: 2 << 20,
        ..family(
            "overflow, large",
            BOUNDS,
            "the same with an object of 2 MiB or more",
            bounds::past_page,
        )
    },
    family("underflow", BOUNDS, "1, 8 or 16 bytes before the object are written", bounds::under),
    family(
        "read past the end",
        &[],
        "64 bytes to a page behind the object are read; harm: a neighbour's secret",
        bounds::over_read,
    ),
    Family {
        splits: true,
        ..family(
            "write after free",
            FREED,
            "8 to 64 bytes of a freed object are written",
            content::write_freed,
        )
    },
    Family {
        least: 16,
        splits: true,
        ..family(
            "read after free",
            &[],
            "a freed object is read; harm: the secret is still there",
            content::read_freed,
        )
    },
    Family {
        least: 16,
        ..family(
            "uninitialised read",
            &[],
            "what malloc gives is read; harm: an old secret is there",
            content::uninitialised,
        )
    },
    Family {
        least: 16,
        ..family(
            "list poisoning",
            FREED,
            "an attacker's address is planted in a freed object's first words; harm: malloc returns it",
            content::poison,
        )
    },
];
