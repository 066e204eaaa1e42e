//! Arenas: a thousand of everything, then a reset.
//!
//! Arenas are warm and have one chunk that is large enough, unless the row says
//! otherwise, so that a row is the operation's own work. `typed-arena` cannot be
//! reset: it is made anew with enough room, which adds a call of `malloc` and
//! of `free` to its thousand.

use std::alloc::Layout;
use std::cell::Cell;
use std::hint::black_box;
use std::mem::MaybeUninit;

use allod_kit::{Allocator as _, Bump, Global, bump};
use blink_alloc::Blink;
use bump_scope::alloc::Allocator as _;
use bump_scope::traits::BumpAllocatorTyped as _;

use crate::meter::{Meter, Row, Way};

/// Operations in one run.
const TIMES: u32 = 1000;

/// Bytes that arenas begin with.
const ROOM: usize = 1 << 18;

fn ours() -> Bump {
    Bump::try_with_capacity(ROOM).expect("memory")
}

fn bumpalo() -> bumpalo::Bump {
    bumpalo::Bump::with_capacity(ROOM)
}

type BumpScope = bump_scope::Bump<bump_scope::alloc::Global>;

fn bump_scope() -> BumpScope {
    BumpScope::with_size(ROOM)
}

fn blink() -> Blink {
    let mut blink = Blink::with_chunk_size(ROOM);
    blink.put_no_drop(0_u64);
    blink.reset();
    blink
}

/// A contender that does one thing a thousand times in an arena, and resets it.
macro_rules! times {
    ($arena:expr, |$it:ident, $i:ident| $work:expr) => {
        |meter: &mut Meter| {
            let mut arena = $arena;
            meter.measure(|| {
                for $i in 0..TIMES {
                    let $it = &arena;
                    black_box($work);
                }
                arena.reset();
            });
        }
    };
}

/// The same value in every arena that takes one.
macro_rules! values {
    ($name:literal, $T:ty, $make:expr) => {
        Row::work(
            $name,
            TIMES,
            &[
                ("Bump", times!(ours(), |arena, i| arena.alloc(black_box($make(i))))),
                ("bumpalo", times!(bumpalo(), |arena, i| arena.alloc(black_box($make(i))))),
                ("bump-scope", times!(bump_scope(), |arena, i| arena.alloc(black_box($make(i))))),
                ("blink-alloc", times!(blink(), |arena, i| arena.put_no_drop(black_box($make(i))))),
                ("typed-arena", |meter| {
                    meter.measure(|| {
                        let arena = typed_arena::Arena::<$T>::with_capacity(TIMES as usize);
                        for i in 0..TIMES {
                            black_box(arena.alloc(black_box($make(i))));
                        }
                        black_box(arena.len());
                    });
                }),
            ],
        )
    };
}

pub(crate) fn rows() -> Vec<Row> {
    vec![
        values!("bump/a byte", u8, |i: u32| i as u8),
        values!("bump/a u64", u64, u64::from),
        values!("bump/24 bytes", [u64; 3], |i: u32| [u64::from(i); 3]),
        values!("bump/1 KiB", [u64; 128], |i: u32| [u64::from(i); 128]),
        Row::work(
            "bump/a u64, fallibly",
            TIMES,
            &[
                ("Bump", times!(ours(), |arena, i| arena.try_alloc(black_box(i as u64)).ok())),
                (
                    "bumpalo",
                    times!(bumpalo(), |arena, i| arena.try_alloc(black_box(i as u64)).ok()),
                ),
                (
                    "bump-scope",
                    times!(bump_scope(), |arena, i| arena.try_alloc(black_box(i as u64)).ok()),
                ),
            ],
        ),
        Row::work("bump/a u64, minimum alignment 8", TIMES, &ALIGNED),
        Row::work("bump/a u64, on a buffer", TIMES, &BUFFER),
        Row::work(
            "bump/a slice of 0 to 63 bytes",
            TIMES,
            &[
                ("Bump", times!(ours(), |arena, i| arena.alloc_slice_copy(text(i).as_bytes()))),
                (
                    "bumpalo",
                    times!(bumpalo(), |arena, i| arena.alloc_slice_copy(text(i).as_bytes())),
                ),
                (
                    "bump-scope",
                    times!(bump_scope(), |arena, i| arena.alloc_slice_copy(text(i).as_bytes())),
                ),
                ("blink-alloc", times!(blink(), |arena, i| arena.copy_slice(text(i).as_bytes()))),
            ],
        ),
        Row::work(
            "bump/a string of 0 to 63 bytes",
            TIMES,
            &[
                ("Bump", times!(ours(), |arena, i| arena.alloc_str(text(i)))),
                ("bumpalo", times!(bumpalo(), |arena, i| arena.alloc_str(text(i)))),
                ("bump-scope", times!(bump_scope(), |arena, i| arena.alloc_str(text(i)))),
                ("blink-alloc", times!(blink(), |arena, i| arena.copy_str(text(i)))),
            ],
        ),
        Row::work(
            "bump/a layout unknown to the compiler",
            TIMES,
            &[
                ("Bump", times!(ours(), |arena, i| arena.try_alloc_layout(layout(i)).ok())),
                ("bumpalo", times!(bumpalo(), |arena, i| arena.try_alloc_layout(layout(i)).ok())),
                (
                    "bump-scope",
                    times!(bump_scope(), |arena, i| arena.try_allocate_layout(layout(i)).ok()),
                ),
            ],
        ),
        Row::work(
            "bump/a formatted number",
            TIMES,
            &[
                ("Bump", times!(ours(), |arena, i| arena.alloc_fmt(format_args!("number {i}")))),
                (
                    "bumpalo",
                    times!(bumpalo(), |arena, i| bumpalo::format!(in arena, "number {}", i)
                        .into_bump_str()),
                ),
                (
                    "bump-scope",
                    times!(bump_scope(), |arena, i| arena.alloc_fmt(format_args!("number {i}"))),
                ),
            ],
        ),
        Row::work("bump/a push onto a vector", TIMES, &PUSH),
        Row::work("bump/a push of two characters onto a string", TIMES, &PUSH_STR),
        Row::work("bump/a pair through the allocator trait", TIMES, &PAIR),
        Row::work("bump/growth in place through the allocator trait", TIMES, &GROW),
        Row::work("bump/a scope with nothing in it", TIMES, &SCOPE),
        Row::work("bump/a scope with 8 values in it", TIMES, &SCOPE_OF_8),
        Row::work("bump/a mark, 8 values, and back", TIMES, &MARK),
        Row::work("bump/from no memory to 1000 values", TIMES, &COLD),
        Row::figure("bump/memory for 100,000 blocks of 8 to 71 bytes", "KiB", &MEMORY),
    ]
}

/// A string that differs from time to time.
fn text(i: u32) -> &'static str {
    const TEXT: &str = "the quick brown fox jumps over the lazy dog, and over again it d";
    &TEXT[..black_box(i as usize * 7 % 64)]
}

/// A layout that differs from time to time.
fn layout(i: u32) -> Layout {
    let align = black_box(1 << (i % 5));
    Layout::from_size_align(black_box(i as usize * 7 % 64), align).expect("small")
}

const ALIGNED: [Way; 3] = [
    ("Bump", times!(aligned(), |arena, i| arena.alloc(black_box(i as u64)))),
    (
        "bumpalo",
        times!(bumpalo::Bump::<8>::with_min_align_and_capacity(ROOM), |arena, i| {
            arena.alloc(black_box(i as u64))
        }),
    ),
    ("bump-scope", |meter| {
        type Settings = <bump_scope::settings::BumpSettings as bump_scope::settings::BumpAllocatorSettings>::WithMinimumAlignment<8>;
        let mut arena = bump_scope::Bump::<bump_scope::alloc::Global, Settings>::with_size(ROOM);
        meter.measure(|| {
            for i in 0..TIMES {
                black_box(arena.alloc(black_box(i as u64)));
            }
            arena.reset();
        });
    }),
];

fn aligned() -> Bump<Global, 8> {
    let arena = Bump::with_min_align_in(Global);
    arena.try_reserve(ROOM).expect("memory");
    arena
}

const BUFFER: [Way; 3] = [
    ("Bump::with_min_align_on, 8", |meter| {
        let mut bytes = [MaybeUninit::uninit(); 8192];
        meter.measure(|| {
            let arena = Bump::<_, 8>::with_min_align_on(&mut bytes);
            for i in 0..TIMES {
                black_box(arena.try_alloc(black_box(i as u64)).ok());
            }
        });
    }),
    ("Bump::on", |meter| {
        let mut bytes = [MaybeUninit::uninit(); 8192];
        meter.measure(|| {
            let arena = Bump::on(&mut bytes);
            for i in 0..TIMES {
                black_box(arena.try_alloc(black_box(i as u64)).ok());
            }
        });
    }),
    ("a stack of our own: an array and an index", |meter| {
        let mut slots = [0_u64; 1024];
        meter.measure(|| {
            let top = Cell::new(0);
            for i in 0..TIMES {
                let at = top.get();
                if let Some(slot) = slots.get_mut(at) {
                    top.set(at + 1);
                    *slot = black_box(i as u64);
                    black_box(slot);
                }
            }
        });
    }),
];

const PUSH: [Way; 3] = [
    ("bump::Vec", |meter| {
        let mut arena = ours();
        meter.measure(|| {
            let mut vec = bump::Vec::new_in(&arena);
            (0..TIMES).for_each(|i| vec.push(black_box(i)));
            black_box(vec.as_ptr());
            drop(vec);
            arena.reset();
        });
    }),
    ("bumpalo", |meter| {
        let mut arena = bumpalo();
        meter.measure(|| {
            let mut vec = bumpalo::collections::Vec::new_in(&arena);
            (0..TIMES).for_each(|i| vec.push(black_box(i)));
            black_box(vec.as_ptr());
            drop(vec);
            arena.reset();
        });
    }),
    ("bump-scope", |meter| {
        let mut arena = bump_scope();
        meter.measure(|| {
            let mut vec = bump_scope::BumpVec::new_in(&arena);
            (0..TIMES).for_each(|i| vec.push(black_box(i)));
            black_box(vec.as_ptr());
            drop(vec);
            arena.reset();
        });
    }),
];

const PUSH_STR: [Way; 3] = [
    ("bump::String", |meter| {
        let mut arena = ours();
        meter.measure(|| {
            let mut text = bump::String::new_in(&arena);
            (0..TIMES).for_each(|_| text.push_str(black_box("ab")));
            black_box(text.as_ptr());
            drop(text);
            arena.reset();
        });
    }),
    ("bumpalo", |meter| {
        let mut arena = bumpalo();
        meter.measure(|| {
            let mut text = bumpalo::collections::String::new_in(&arena);
            (0..TIMES).for_each(|_| text.push_str(black_box("ab")));
            black_box(text.as_ptr());
            drop(text);
            arena.reset();
        });
    }),
    ("bump-scope", |meter| {
        let mut arena = bump_scope();
        meter.measure(|| {
            let mut text = bump_scope::BumpString::new_in(&arena);
            (0..TIMES).for_each(|_| text.push_str(black_box("ab")));
            black_box(text.as_ptr());
            drop(text);
            arena.reset();
        });
    }),
];

/// Allocates and gives back, through whichever trait is in scope for the type.
macro_rules! pair {
    ($arena:expr) => {
        |meter: &mut Meter| {
            let arena = $arena;
            meter.measure(|| {
                for i in 0..TIMES {
                    let layout = layout(i);
                    let block = (&arena).allocate(layout).expect("memory");
                    // SAFETY: it was just allocated, and is not used again.
                    #[expect(unsafe_code, reason = "the trait's operations are")]
                    unsafe {
                        (&arena).deallocate(black_box(block).cast(), layout);
                    }
                }
            });
        }
    };
}

const PAIR: [Way; 3] =
    [("&Bump", pair!(ours())), ("bumpalo", bumpalo_pair), ("bump-scope", pair!(bump_scope()))];

fn bumpalo_pair(meter: &mut Meter) {
    use allocator_api2_02::alloc::Allocator as _;
    pair!(bumpalo())(meter);
}

/// Grows one block by 16 bytes, again and again.
macro_rules! grow {
    ($arena:expr, $grow:ident) => {
        |meter: &mut Meter| {
            let arena = $arena;
            meter.measure(|| {
                let mut old = Layout::new::<[u64; 2]>();
                let mut block = (&arena).allocate(old).expect("memory");
                for _ in 0..TIMES {
                    let new =
                        Layout::from_size_align(old.size() + black_box(16), 8).expect("small");
                    // SAFETY: the block is of layout `old`.
                    #[expect(unsafe_code, reason = "the trait's operations are")]
                    let grown = unsafe { (&arena).$grow(block.cast(), old, new) };
                    block = black_box(grown.expect("memory"));
                    old = new;
                }
                // SAFETY: it is not used again.
                #[expect(unsafe_code, reason = "the trait's operations are")]
                unsafe {
                    (&arena).deallocate(block.cast(), old);
                }
            });
        }
    };
}

const GROW: [Way; 3] = [
    ("&Bump", grow!(ours(), reallocate)),
    ("bumpalo", bumpalo_grow),
    ("bump-scope", grow!(bump_scope(), grow)),
];

fn bumpalo_grow(meter: &mut Meter) {
    use allocator_api2_02::alloc::Allocator as _;
    grow!(bumpalo(), grow)(meter);
}

const SCOPE: [Way; 2] = [
    ("Bump", |meter| {
        let arena = ours();
        meter.measure(|| {
            for _ in 0..TIMES {
                black_box(&*arena.scope());
            }
        });
    }),
    ("bump-scope", |meter| {
        let mut arena = bump_scope();
        meter.measure(|| {
            for _ in 0..TIMES {
                arena.scoped(|scope| {
                    black_box(&*scope);
                });
            }
        });
    }),
];

const SCOPE_OF_8: [Way; 2] = [
    ("Bump", |meter| {
        let arena = ours();
        meter.measure(|| {
            for _ in 0..TIMES {
                let scope = arena.scope();
                for i in 0..8_u64 {
                    black_box(scope.alloc(black_box(i)));
                }
            }
        });
    }),
    ("bump-scope", |meter| {
        let mut arena = bump_scope();
        meter.measure(|| {
            for _ in 0..TIMES {
                arena.scoped(|scope| {
                    for i in 0..8_u64 {
                        black_box(scope.alloc(black_box(i)));
                    }
                });
            }
        });
    }),
];

const MARK: [Way; 2] = [
    ("Bump", |meter| {
        let arena = ours();
        meter.measure(|| {
            for _ in 0..TIMES {
                let mark = black_box(arena.checkpoint());
                for i in 0..8_u64 {
                    black_box(arena.alloc(black_box(i)));
                }
                // SAFETY: the values are not used again, and there are no scopes.
                #[expect(unsafe_code, reason = "a mark is not a scope")]
                unsafe {
                    arena.rewind(mark);
                }
            }
        });
    }),
    ("bump-scope", |meter| {
        let arena = bump_scope();
        meter.measure(|| {
            for _ in 0..TIMES {
                let mark = black_box(arena.checkpoint());
                for i in 0..8_u64 {
                    black_box(arena.alloc(black_box(i)));
                }
                // SAFETY: the values are not used again, and there are no scopes.
                #[expect(unsafe_code, reason = "a mark is not a scope")]
                unsafe {
                    arena.reset_to(mark);
                }
            }
        });
    }),
];

/// An arena is made, filled and dropped.
macro_rules! cold {
    ($arena:expr, $alloc:ident) => {
        |meter: &mut Meter| {
            meter.measure(|| {
                let arena = $arena;
                for i in 0..TIMES {
                    black_box(arena.$alloc(black_box(i as u64)));
                }
            });
        }
    };
}

const COLD: [Way; 5] = [
    ("Bump", cold!(Bump::new(), alloc)),
    ("bumpalo", cold!(bumpalo::Bump::new(), alloc)),
    ("bump-scope", cold!(BumpScope::new(), alloc)),
    ("blink-alloc", cold!(Blink::new(), put_no_drop)),
    ("typed-arena", cold!(typed_arena::Arena::<u64>::new(), alloc)),
];

/// Reports how many KiB it took.
fn fill(meter: &mut Meter, mut alloc: impl FnMut(Layout), bytes: impl FnOnce() -> usize) {
    for i in 0..100_000_usize {
        alloc(Layout::from_size_align(8 + i * 7 % 64, 1 << (i % 4)).expect("small"));
    }
    meter.report(bytes() as f64 / 1024.0);
}

const MEMORY: [Way; 3] = [
    ("Bump", |meter| {
        let arena = Bump::new();
        fill(meter, |it| _ = arena.try_alloc_layout(it), || arena.reserved());
    }),
    ("bumpalo", |meter| {
        let arena = bumpalo::Bump::new();
        fill(
            meter,
            |it| _ = arena.try_alloc_layout(it),
            || arena.allocated_bytes_including_metadata(),
        );
    }),
    ("bump-scope", |meter| {
        let arena = BumpScope::new();
        fill(meter, |it| _ = arena.try_allocate_layout(it), || arena.stats().size());
    }),
];
