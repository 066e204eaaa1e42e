//! The stack against a list of what ought to be on it, walked after every step.

use super::*;
use crate::witness::Witness;
use proptest::prelude::*;
use std::vec::Vec;

#[derive(Clone, Debug)]
enum Op {
    Alloc(usize, u32),
    Free(usize),
    FreeLast,
    Resize(usize, usize),
    Enter,
    Leave,
    MarkAndRelease(usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (0..100usize, 0..7u32).prop_map(|(size, align)| Op::Alloc(size, align)),
        2 => any::<usize>().prop_map(Op::Free),
        3 => Just(Op::FreeLast),
        3 => (any::<usize>(), 0..150usize).prop_map(|(i, size)| Op::Resize(i, size)),
        1 => Just(Op::Enter),
        1 => Just(Op::Leave),
        1 => (0..6usize).prop_map(Op::MarkAndRelease),
    ];
    proptest::collection::vec(op, 0..150)
}

/// A live block, full of one byte, of the scope at some depth.
struct Live {
    block: NonNull<u8>,
    layout: Layout,
    fill: u8,
    depth: u32,
}

fn verify(live: &[Live]) {
    for one in live {
        for i in 0..one.layout.size() {
            // SAFETY: the block is live and of this size.
            let byte = unsafe { one.block.add(i) };
            // SAFETY: as above.
            assert_eq!(unsafe { byte.read() }, one.fill, "somebody wrote here");
        }
    }
}

fn allocate(stack: &Stack<'_>, layout: Layout, fill: u8, depth: u32) -> Option<Live> {
    let Ok(block) = stack.allocate(layout) else {
        let needs = layout.size() + size_of::<Head>() + layout.align().max(4);
        assert!(stack.left() < needs, "there was room");
        return None;
    };
    let block = block.cast::<u8>();
    assert!(block.addr().get().is_multiple_of(layout.align()));
    // SAFETY: the block is ours.
    unsafe { block.write_bytes(fill, layout.size()) };
    Some(Live { block, layout, fill, depth })
}

fn run(
    stack: &mut Stack<'_>,
    live: &mut Vec<Live>,
    ops: &mut core::slice::Iter<'_, Op>,
    depth: u32,
) {
    while let Some(op) = ops.next() {
        // Whatever is left to do says which step it is.
        let fill = ops.len() as u8;
        match op {
            Op::Alloc(size, align) => {
                let layout = Layout::from_size_align(*size, 1 << align).unwrap();
                live.extend(allocate(stack, layout, fill, depth));
            }
            Op::Free(_) | Op::FreeLast if !live.is_empty() => {
                let at = if let Op::Free(i) = op { i % live.len() } else { live.len() - 1 };
                let one = live.remove(at);
                // SAFETY: live, and not used again.
                unsafe { (&*stack).deallocate(one.block, one.layout) };
            }
            // Only of this scope: nobody has the handle of an outer one now.
            Op::Resize(i, size) if live.iter().any(|one| one.depth == depth) => {
                let mut own = live.iter_mut().filter(|one| one.depth == depth);
                let count = own.by_ref().count();
                let one = live.iter_mut().filter(|one| one.depth == depth).nth(i % count).unwrap();
                let new = Layout::from_size_align(*size, one.layout.align()).unwrap();
                // SAFETY: live, and the old one is not used after.
                if let Ok(block) = unsafe { (&*stack).reallocate(one.block, one.layout, new) } {
                    let block = block.cast::<u8>();
                    let both = Layout::from_size_align(one.layout.size().min(*size), 1).unwrap();
                    verify(&[Live { block, layout: both, fill: one.fill, depth }]);
                    // SAFETY: the block is ours.
                    unsafe { block.write_bytes(fill, *size) };
                    *one = Live { block, layout: new, fill, depth };
                }
            }
            Op::Enter => {
                let blocks = stack.check();
                stack.scope(|stack| run(stack, live, ops, depth + 1));
                live.retain(|one| one.depth <= depth);
                assert!(stack.check() <= blocks, "the scope is gone");
            }
            Op::Leave if depth > 0 => return,
            Op::MarkAndRelease(count) => {
                let (mark, before) = (stack.mark(), stack.used());
                let layout = Layout::new::<u64>();
                let some: Vec<Live> =
                    (0..*count).filter_map(|_| allocate(stack, layout, fill, depth)).collect();
                verify(&some);
                // SAFETY: `some` is not used again, and nothing else was freed.
                unsafe { stack.release(mark) };
                assert_eq!(stack.used(), before);
            }
            _ => {}
        }
        stack.check();
        verify(live);
    }
}

proptest! {
    #[test]
    fn blocks_stay_until_they_are_freed(ops in ops(), memory in 0..4000usize, offset in 0..8usize) {
        let mut memory = std::vec![MaybeUninit::uninit(); memory + offset];
        let Some(mut stack) = Stack::new(&mut memory[offset..]) else { return Ok(()) };
        let empty = stack.used();
        let mut live = Vec::new();
        run(&mut stack, &mut live, &mut ops.iter(), 0);
        for one in live.drain(..) {
            // SAFETY: live, and not used again.
            unsafe { (&stack).deallocate(one.block, one.layout) };
            stack.check();
        }
        assert_eq!((stack.used(), stack.check()), (empty, 0), "all of it comes back");
    }
}

#[test]
fn boxes_drop_what_is_in_them_in_any_order() {
    let alive = Cell::new(0);
    let mut memory = [MaybeUninit::uninit(); 1000];
    let stack = Stack::new(&mut memory).unwrap();
    let empty = stack.used();
    let a = stack.alloc(Witness::new(1, &alive));
    let b = stack.try_slice(3, |i| Witness::new(i as u32, &alive)).unwrap();
    let c = stack.try_str("text").unwrap();
    let d = stack.alloc(());
    assert_eq!((alive.get(), a.value, b[2].value, &*c), (4, 1, 2, "text"));
    drop(b);
    assert_eq!(alive.get(), 1);
    assert!(stack.used() > empty, "it waits for what is above");
    assert_eq!(StackBox::into_inner(a).value, 1);
    drop(c);
    assert_eq!((stack.used(), alive.get()), (empty, 0));
    drop(d);
}

#[test]
fn unwinding_frees_what_was_made() {
    let alive = Cell::new(0);
    let mut memory = [MaybeUninit::uninit(); 1000];
    let mut stack = Stack::new(&mut memory).unwrap();
    let empty = stack.used();
    let slice = std::panic::AssertUnwindSafe(|| {
        let made = stack.try_slice(5, |i| {
            assert!(i < 3, "the fourth");
            Witness::new(i as u32, &alive)
        });
        drop(made);
    });
    assert!(std::panic::catch_unwind(slice).is_err());
    assert_eq!((stack.used(), alive.get()), (empty, 0));
    let scope = std::panic::AssertUnwindSafe(|| {
        stack.scope(|stack| {
            StackBox::leak(stack.alloc(7));
            panic!("out of the scope");
        });
    });
    assert!(std::panic::catch_unwind(scope).is_err());
    assert_eq!((stack.used(), stack.check()), (empty, 0));
}

#[test]
fn a_scope_without_room_for_its_floor_runs_without_memory() {
    let mut memory = [MaybeUninit::uninit(); 64];
    let mut stack = Stack::new(&mut memory).unwrap();
    let all = stack.left();
    let full = stack.try_slice(all - 8, |_| 0u8).unwrap();
    assert_eq!(stack.left(), 0);
    let inside = stack.scope(|stack| {
        drop(full);
        (stack.try_alloc(1u8).is_err(), stack.left(), stack.scope(|stack| stack.left()))
    });
    assert_eq!(inside, (true, 0, 0));
    assert_eq!(stack.left(), all, "and what was dropped inside is free after it");
}

#[test]
fn a_scope_has_the_memory_that_is_left_and_gives_it_back() {
    let mut memory = [MaybeUninit::uninit(); 1000];
    let mut stack = Stack::new(&mut memory).unwrap();
    let kept = stack.alloc(7u32);
    let (used, left) = (stack.used(), stack.left());
    stack.scope(|stack| {
        assert_eq!(stack.left(), left - size_of::<Head>());
        let inside = stack.try_slice(stack.left() - size_of::<Head>(), |_| 1u8);
        assert!(inside.is_ok() && stack.try_alloc(1u8).is_err());
        StackBox::leak(inside.unwrap());
    });
    assert_eq!((*kept, stack.used()), (7, used));
}

#[test]
fn the_top_grows_where_it_is() {
    let mut memory = [MaybeUninit::uninit(); 1000];
    let stack = Stack::new(&mut memory).unwrap();
    let (small, large) = (Layout::new::<[u8; 10]>(), Layout::new::<[u8; 500]>());
    let block = (&stack).allocate(small).unwrap().cast::<u8>();
    // SAFETY: live.
    let grown = unsafe { (&stack).reallocate_in_place(block, small, large) };
    assert_eq!(grown.map(NonNull::cast), Ok(block));
    let above = stack.alloc(1u8);
    // SAFETY: live.
    let further = unsafe { (&stack).reallocate_in_place(block, large, Layout::new::<[u8; 501]>()) };
    assert!(further.is_err());
    drop(above);
    // SAFETY: live, and not used again.
    unsafe { (&stack).deallocate(block, large) };
    assert_eq!(stack.check(), 0);
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "a mark above the stack's top")]
fn a_mark_that_is_above_the_top_is_seen() {
    let mut memory = [MaybeUninit::uninit(); 100];
    let stack = Stack::new(&mut memory).unwrap();
    let value = stack.alloc(1u32);
    let mark = stack.mark();
    drop(value);
    // SAFETY: not safe at all. In a debug build the check stops it.
    unsafe { stack.release(mark) };
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "a mark of another stack")]
fn a_mark_of_another_stack_is_seen() {
    let (mut one, mut other) = ([MaybeUninit::uninit(); 64], [MaybeUninit::uninit(); 64]);
    let mark = Stack::new(&mut one).unwrap().mark();
    // SAFETY: not safe at all. In a debug build the check stops it.
    unsafe { Stack::new(&mut other).unwrap().release(mark) };
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "freed twice")]
fn a_block_below_the_top_that_is_freed_twice_is_seen() {
    let mut memory = [MaybeUninit::uninit(); 100];
    let stack = Stack::new(&mut memory).unwrap();
    let layout = Layout::new::<u32>();
    let block = (&stack).allocate(layout).unwrap().cast();
    let _above = stack.alloc(1u32);
    // SAFETY: live, and not used again.
    unsafe { (&stack).deallocate(block, layout) };
    // SAFETY: not safe at all. In a debug build the check stops it.
    unsafe { (&stack).deallocate(block, layout) };
}
