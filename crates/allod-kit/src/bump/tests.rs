//! The arena against a model: a list of blocks that must keep their bytes.
//!
//! Memory comes from a base that counts, fails when told to, and fills what
//! comes back with rubbish, which a block that lives on would show.
#![allow(unsafe_code)]

use core::alloc::Layout;
use core::cell::{Cell, RefCell};
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use std::rc::Rc;
use std::vec;
use std::vec::Vec as StdVec;

use proptest::prelude::*;

use super::*;
use crate::model::Bounds;
use crate::{Allocator, Global, adapt, conformance};

/// A base that has a number of chunks to give, and keeps every one until it
/// goes itself, so that nobody else gets the address.
struct Base {
    left: Cell<usize>,
    live: Cell<usize>,
    gone: RefCell<StdVec<(NonNull<u8>, Layout)>>,
}

impl Base {
    fn new(chunks: usize) -> Self {
        Base { left: Cell::new(chunks), live: Cell::new(0), gone: RefCell::default() }
    }
}

// SAFETY: passed on to the global allocator.
unsafe impl Allocator for Base {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let left = self.left.get().checked_sub(1).ok_or(AllocError)?;
        let block = Global.allocate(layout)?;
        self.left.set(left);
        self.live.set(self.live.get() + layout.size());
        Ok(block)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.allocate(layout)?;
        // SAFETY: it is that long.
        unsafe { block.cast::<u8>().write_bytes(0, layout.size()) };
        Ok(block)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        self.live.set(self.live.get() - layout.size());
        // SAFETY: it is that long, and was given back.
        unsafe { block.write_bytes(0xdd, layout.size()) };
        self.gone.borrow_mut().push((block, layout));
    }

    unsafe fn reallocate(
        &self,
        _block: NonNull<u8>,
        _old: Layout,
        _new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        Err(AllocError)
    }

    unsafe fn reallocate_in_place(
        &self,
        _block: NonNull<u8>,
        _old: Layout,
        _new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        Err(AllocError)
    }

    unsafe fn usable_size(&self, _block: NonNull<u8>, layout: Layout) -> usize {
        layout.size()
    }
}

adapt!(Base);

impl Drop for Base {
    fn drop(&mut self) {
        assert!(self.live.get() == 0 || std::thread::panicking(), "the arena gave all back");
        for (block, layout) in self.gone.take() {
            // SAFETY: it came from there, and was given back once.
            unsafe { Global.deallocate(block, layout) };
        }
    }
}

/// What can be done. Arenas and blocks are told by number, taken modulo how
/// many there are.
#[derive(Clone, Debug)]
enum Op {
    Alloc { arena: usize, size: usize, align: usize },
    Free { block: usize },
    Resize { block: usize, size: usize, in_place: bool },
    Open { arena: usize },
    Close,
    Sibling { slot: usize },
    Mark,
    Rewind,
}

fn op() -> impl Strategy<Value = Op> {
    let size = prop_oneof![8 => 0..48_usize, 2 => 0..700_usize, 1 => 0..5000_usize];
    let align = (0..7_u32).prop_map(|bits| 1 << bits);
    prop_oneof![
        8 => (any::<usize>(), size.clone(), align)
            .prop_map(|(arena, size, align)| Op::Alloc { arena, size, align }),
        2 => (0..8_usize).prop_map(|block| Op::Free { block }),
        3 => (0..8_usize, size, any::<bool>())
            .prop_map(|(block, size, in_place)| Op::Resize { block, size, in_place }),
        2 => any::<usize>().prop_map(|arena| Op::Open { arena }),
        2 => Just(Op::Close),
        2 => (0..3_usize).prop_map(|slot| Op::Sibling { slot }),
        1 => Just(Op::Mark),
        1 => Just(Op::Rewind),
    ]
}

/// A live block: whose it is, and its number, whose last byte fills it.
#[derive(Clone, Copy)]
struct Live {
    arena: usize,
    block: NonNull<u8>,
    layout: Layout,
    number: usize,
}

impl Live {
    fn fill(&self) -> u8 {
        self.number.to_le_bytes()[0]
    }
}

#[derive(Default)]
struct Model {
    blocks: StdVec<Live>,
    count: usize,
}

impl Model {
    /// Writes the block's own byte all over it, and remembers it.
    fn add(&mut self, arena: usize, block: NonNull<[u8]>, layout: Layout) {
        assert!(
            block.len() >= layout.size() && addr::is_aligned(block.addr().get(), layout.align())
        );
        self.count += 1;
        let live = Live { arena, block: block.cast(), layout, number: self.count };
        // SAFETY: the block is ours, and that long.
        unsafe { live.block.write_bytes(live.fill(), layout.size()) };
        self.blocks.push(live);
    }

    /// Every block has its bytes: nobody else was given any of them.
    fn check(&self) {
        for live in &self.blocks {
            expect(live.block, live.layout.size(), live.fill());
        }
    }
}

fn expect(block: NonNull<u8>, size: usize, fill: u8) {
    for i in 0..size {
        // SAFETY: the block is longer than `i`.
        let byte = unsafe { block.byte_add(i) };
        // SAFETY: it is live, and was written.
        let byte = unsafe { byte.read() };
        assert_eq!(byte, fill, "byte {i} of {size}");
    }
}

type Arenas<'r, 'a, A, const M: usize> = &'r [&'a Bump<A, M>];

/// Does what is said, until the innermost arena is to be closed.
fn run<A: Source, const M: usize>(
    ops: &mut core::slice::Iter<'_, Op>,
    arenas: Arenas<'_, '_, A, M>,
    model: &mut Model,
) {
    let me = arenas.len() - 1;
    let mut siblings: [Option<Scope<'_, A, M>>; 3] = [None, None, None];
    // The mark, how many blocks there were, and which of them has grown since.
    let mut mark: Option<(Checkpoint, StdVec<usize>)> = None;
    while let Some(op) = ops.next() {
        match *op {
            Op::Alloc { arena, size, align } => {
                let arena = arena % (arenas.len() + siblings.len());
                // A sibling's blocks are told by numbers that no arena has.
                let (number, arena) = match arena.checked_sub(arenas.len()) {
                    None => (arena, arenas[arena]),
                    Some(slot) => match &siblings[slot] {
                        Some(scope) => (1000 * (me + 1) + slot, &**scope),
                        None => continue,
                    },
                };
                let layout = Layout::from_size_align(size, align).unwrap();
                if let Ok(block) = Allocator::allocate(&arena, layout) {
                    model.add(number, block, layout);
                }
            }
            Op::Free { block } => {
                if let Some(live) = nth_last(model, block).filter(|live| live.arena == me) {
                    model.blocks.retain(|other| other.number != live.number);
                    // SAFETY: it is this arena's, and forgotten.
                    unsafe { Allocator::deallocate(&arenas[me], live.block, live.layout) };
                }
            }
            Op::Resize { block, size, in_place } => {
                let Some(live) = nth_last(model, block).filter(|live| live.arena == me) else {
                    continue;
                };
                if mark.as_ref().is_some_and(|(_, old)| old.contains(&live.number)) {
                    continue;
                }
                let new = Layout::from_size_align(size, live.layout.align()).unwrap();
                let arena = &arenas[me];
                let moved = if in_place {
                    // SAFETY: the block is live, and this arena's.
                    unsafe { arena.reallocate_in_place(live.block, live.layout, new) }
                } else {
                    // SAFETY: as above, and forgotten if it moves.
                    unsafe { arena.reallocate(live.block, live.layout, new) }
                };
                if let Ok(moved) = moved {
                    assert!(!in_place || moved.cast() == live.block);
                    expect(moved.cast(), size.min(live.layout.size()), live.fill());
                    model.blocks.retain(|other| other.number != live.number);
                    model.add(me, moved, new);
                }
            }
            Op::Open { arena } => {
                // A scope that is open since a mark forbids to go back to it,
                // and it closes before anything else happens here.
                let scope = arenas[arena % arenas.len()].scope();
                let mut deeper = arenas.to_vec();
                deeper.push(&scope);
                run(ops, &deeper, model);
                model.blocks.retain(|live| {
                    live.arena <= me || live.arena >= 1000 && live.arena / 1000 <= me + 1
                });
            }
            Op::Close if me > 0 => break,
            Op::Close => {}
            Op::Sibling { slot } => {
                mark = None;
                match siblings[slot].take() {
                    Some(scope) => {
                        scope.check();
                        drop(scope);
                        model.blocks.retain(|live| live.arena != 1000 * (me + 1) + slot);
                    }
                    None => siblings[slot] = Some(arenas[me].scope()),
                }
            }
            Op::Mark => {
                let blocks = model.blocks.iter().map(|live| live.number).collect();
                mark = Some((arenas[me].checkpoint(), blocks));
            }
            Op::Rewind => {
                if let Some((place, old)) = mark.take() {
                    model.blocks.retain(|live| live.arena != me || old.contains(&live.number));
                    // SAFETY: what came since is forgotten; of the blocks from
                    // before none has been resized; no scope was opened that is
                    // still open.
                    unsafe { arenas[me].rewind(place) };
                }
            }
        }
        model.check();
        arenas.iter().for_each(|arena| arena.check());
    }
    drop(siblings);
    model.blocks.retain(|live| live.arena < me || live.arena >= 1000 && live.arena / 1000 <= me);
    model.check();
}

fn nth_last(model: &Model, block: usize) -> Option<Live> {
    model.blocks.iter().rev().nth(block).copied()
}

/// All of it, in an arena and then in the same one after a reset.
fn run_twice<A: Source, const M: usize>(mut arena: Bump<A, M>, ops: &[Op]) {
    for _ in 0..2 {
        run(&mut ops.iter(), &[&arena], &mut Model::default());
        arena.reset();
        arena.check();
        assert!(chunk::list(arena.chunks.get()).count() <= 1, "one chunk is kept");
        let bytes: usize = arena.slices().map(<[_]>::len).sum();
        assert_eq!(bytes, 0, "nothing is allocated after a reset");
    }
    arena.clear();
    assert_eq!(arena.reserved(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 10 } else { 400 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn blocks_keep_their_bytes(ops in prop::collection::vec(op(), 0..120)) {
        let base = Base::new(usize::MAX);
        run_twice(Bump::new_in(&base), &ops);
        run_twice(Bump::<_, 16>::with_min_align_in(&base), &ops);
        run_twice(Bump::<_, 64>::with_min_align_in(&base), &ops);
    }

    #[test]
    fn so_they_do_on_a_buffer(ops in prop::collection::vec(op(), 0..120), size in 0..3000_usize) {
        let base = Base::new(usize::MAX);
        let mut bytes = vec![MaybeUninit::uninit(); size];
        run_twice(Bump::on(&mut bytes), &ops);
        run_twice(Bump::on_and_then(&mut bytes, &base), &ops);
    }

    /// The base fails at the first chunk, at the second, and so on.
    #[test]
    fn and_when_there_is_no_memory(ops in prop::collection::vec(op(), 0..80)) {
        for chunks in 0..8 {
            let base = Base::new(chunks);
            run_twice(Bump::new_in(&base), &ops);
        }
    }

    #[test]
    fn and_at_a_limit(ops in prop::collection::vec(op(), 0..80), limit in 0..20_000_usize) {
        let base = Base::new(usize::MAX);
        let arena = Bump::new_in(&base);
        arena.set_limit(limit);
        run(&mut ops.iter(), &[&arena], &mut Model::default());
        prop_assert!(arena.reserved() <= limit && arena.reserved() == base.live.get());
    }
}

fn big() -> Bounds {
    Bounds::new().reuses(false)
}

conformance!(over_global: &Bump::new(), big(), |arena: &&Bump| arena.check());
conformance!(over_an_arena: &Bump::new_in(&Bump::new()), big());
conformance!(
    aligned: &Bump::<Global, 16>::with_min_align_in(Global),
    big(),
    |arena: &&Bump<Global, 16>| arena.check()
);
conformance!(
    on_a_buffer: &Bump::on(&mut [MaybeUninit::uninit(); 8192]),
    big().size(256).align(64).total(2048),
    |arena: &&Bump<Buffer<'_>>| arena.check()
);
conformance!(
    on_a_buffer_and_more: &Bump::on_and_then(&mut [MaybeUninit::uninit(); 1024], Global),
    big()
);
conformance!(in_a_scope: &*Bump::new().scope(), big(), |arena: &&Bump| arena.check());

/// An arena that grows while scopes come and go: the two take turns, and soon
/// take nothing more from the base.
#[test]
fn a_parent_that_grows_beside_scopes_takes_few_chunks() {
    let base = Base::new(usize::MAX);
    let arena = Bump::new_in(&base);
    for i in 0..10_000_u64 {
        let scope = arena.scope();
        *scope.alloc(i) += 1;
        *arena.alloc(i) += 1;
        arena.check();
    }
    let bytes = 10_000 * size_of::<u64>();
    assert!(arena.reserved() < 5 * bytes, "{} for {bytes}", arena.reserved());
}

#[test]
fn a_scope_that_needs_chunks_leaves_the_largest_for_the_next() {
    let base = Base::new(usize::MAX);
    let arena = Bump::new_in(&base);
    let fill = || {
        let scope = arena.scope();
        (0..10_000).for_each(|i| *scope.alloc(i) += 1);
    };
    // Each leaves a chunk that is larger than what it was lent.
    (0..4).for_each(|_| fill());
    let left = base.left.get();
    for _ in 0..10 {
        fill();
    }
    assert_eq!(base.left.get(), left);
}

#[test]
fn a_scope_in_a_scope_gives_back_what_it_was_lent() {
    let arena = Bump::new();
    arena.alloc(1_u8);
    let room = arena.room();
    let outer = arena.scope();
    outer.alloc([0_u8; 10]);
    {
        let inner = outer.scope();
        inner.alloc([0_u8; 10]);
        // The outer goes on elsewhere, and the inner closes after that.
        outer.alloc([0_u8; 1000]);
    }
    drop(outer);
    arena.check();
    // The outer's chunk has come to the arena, which still has its own.
    assert_eq!(arena.other.get().map(Link::room), Some(room));
}

#[test]
fn a_forgotten_scope_is_a_leak_and_nothing_worse() {
    let mut arena = Bump::try_with_capacity(400).unwrap();
    let scope = arena.scope();
    // In what it was lent: a chunk of its own would be gone for ever.
    scope.alloc([0_u8; 100]);
    core::mem::forget(scope);
    arena.alloc([1_u8; 100]);
    arena.check();
    arena.reset();
    arena.check();
    assert!(arena.room() > 0);
}

#[test]
fn the_last_block_grows_where_it_is() {
    let arena = Bump::new();
    arena.try_reserve(10_000).unwrap();
    let mut bytes = Vec::new_in(&arena);
    bytes.push(0_u8);
    let start = bytes.as_ptr();
    (1..200).for_each(|i| bytes.push(i));
    assert_eq!(bytes.as_ptr(), start);
    let room = arena.room();
    let capacity = bytes.capacity();
    let kept = bytes.into_slice();
    assert_eq!((kept.as_ptr(), kept.len()), (start, 200));
    assert_eq!(arena.room() - room, capacity - 200, "what was left went back");
}

/// Counts how often it is dropped.
struct Counted(Rc<Cell<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn every_value_is_dropped_once() {
    let count = Rc::new(Cell::new(0));
    let new = || Counted(count.clone());
    let arena = Bump::new();
    drop(arena.alloc_box(new()));
    assert_eq!(count.take(), 1);

    let mut vec = Vec::new_in(&arena);
    (0..10).for_each(|_| vec.push(new()));
    vec.pop();
    vec.remove(3);
    vec.swap_remove(0);
    assert_eq!(count.take(), 3);
    let mut n = 0;
    vec.retain(|_| {
        n += 1;
        n % 2 == 0
    });
    assert_eq!((count.take(), vec.len()), (4, 3));
    vec.insert(1, new());
    let mut values = vec.into_iter();
    values.next();
    values.next_back();
    assert_eq!(count.take(), 2);
    drop(values);
    assert_eq!(count.take(), 2);

    let mut vec = Vec::new_in(&arena);
    vec.extend((0..5).map(|_| new()));
    let all: Box<'_, [Counted]> = vec.into_box();
    assert_eq!((all.len(), count.get()), (5, 0));
    drop(all);
    assert_eq!(count.take(), 5);
}

#[test]
fn a_full_buffer_gives_values_back() {
    let count = Rc::new(Cell::new(0));
    let mut bytes = [MaybeUninit::uninit(); 20];
    let arena = Bump::on(&mut bytes);
    let mut vec = Vec::new_in(&arena);
    let mut refused = None;
    for _ in 0..100 {
        if let Err(value) = vec.try_push(Counted(count.clone())) {
            refused = Some(value);
            break;
        }
    }
    assert!(refused.is_some() && count.get() == 0);
    assert!(arena.try_alloc([0_u64; 9]).is_err() && arena.try_alloc_str(&"x".repeat(30)).is_err());
    assert!(arena.try_alloc_fmt(format_args!("{:30}", 1)).is_err());
}

#[test]
fn values_of_no_bytes_need_no_memory() {
    let base = Base::new(0);
    let arena = Bump::new_in(&base);
    arena.alloc(());
    #[repr(align(256))]
    struct Aligned;
    assert!(core::ptr::from_mut(arena.alloc(Aligned)).addr().is_multiple_of(256));
    let mut units = Vec::new_in(&arena);
    (0..1000).for_each(|_| units.push(()));
    assert_eq!((units.len(), units.pop()), (1000, Some(())));
    assert!(arena.alloc_slice_copy::<u64>(&[]).is_empty() && arena.alloc_str("").is_empty());
}

#[test]
fn what_is_larger_than_can_be_is_refused() {
    let arena = Bump::new();
    assert!(arena.try_alloc_uninit_slice::<u64>(usize::MAX / 8).is_err());
    assert!(arena.try_alloc_uninit_slice::<u8>(isize::MAX as usize).is_err());
    assert!(arena.try_reserve(usize::MAX).is_err());
    let mut vec = Vec::new_in(&arena);
    vec.push(1_u64);
    assert!(vec.try_reserve(usize::MAX).is_err() && vec.try_reserve(usize::MAX / 8).is_err());
    assert_eq!(vec, [1]);
}

#[test]
fn a_vector_is_what_a_vector_is() {
    let arena = Bump::new();
    let (mut ours, mut theirs) = (Vec::new_in(&arena), StdVec::new());
    for i in 0..300_usize {
        match i % 7 {
            0..3 => {
                ours.push(i);
                theirs.push(i);
            }
            3 => {
                ours.insert(i / 9, i);
                theirs.insert(i / 9, i);
            }
            4 => {
                ours.extend_from_slice(&[i, i]);
                theirs.extend_from_slice(&[i, i]);
            }
            5 => assert_eq!(ours.remove(i / 20), theirs.remove(i / 20)),
            _ => assert_eq!(ours.swap_remove(i / 20), theirs.swap_remove(i / 20)),
        }
        assert_eq!(ours, theirs);
    }
    ours.retain(|i| *i % 3 == 0);
    theirs.retain(|i| *i % 3 == 0);
    ours.truncate(20);
    theirs.truncate(20);
    assert_eq!(ours, theirs);
    let (mut ours, mut theirs) = (ours.into_iter(), theirs.into_iter());
    for _ in 0..5 {
        assert_eq!((ours.next(), ours.len()), (theirs.next(), theirs.len()));
        assert_eq!((ours.next_back(), ours.len()), (theirs.next_back(), theirs.len()));
    }
    assert!(ours.eq(theirs));
}

#[test]
fn a_string_is_what_a_string_is() {
    let arena = Bump::new();
    let mut text = String::new_in(&arena);
    text.push_str("größe");
    text.push('😀');
    assert_eq!((text.pop(), text.len()), (Some('😀'), 7));
    text.truncate(2);
    assert_eq!(text, "gr");
    assert_eq!(arena.alloc_fmt(format_args!("{text}-{:03}", 7)), "gr-007");
}

#[test]
fn threads_take_turns_at_the_arenas() {
    let pool: BumpPool<Global, 2> = BumpPool::new_with(|| Global);
    std::thread::scope(|threads| {
        for t in 0..4_usize {
            let pool = &pool;
            threads.spawn(move || {
                let mut kept = StdVec::new();
                for i in 0..if cfg!(miri) { 20 } else { 2000 } {
                    if let Some(arena) = pool.get() {
                        kept.push((i, arena.keep([t, i])));
                    }
                }
                assert!(kept.iter().all(|(i, value)| **value == [t, *i]));
            });
        }
    });
    let first = pool.get().unwrap();
    let second = pool.get().unwrap();
    assert!(pool.get().is_none(), "there are two");
    drop((first, second));
    assert!(pool.get().is_some());
}
