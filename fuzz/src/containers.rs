//! Bodies for what holds values: each does what the bytes say to one of ours and to a
//! model from the standard library, and compares what both answer.

use allod_kit::slab::Slab;
use allod_kit::{Bump, Full, SharedSlab, TypedArena, bump, fixed};
use allod_kit::{FromGlobal, Key};
use std::alloc::System;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// The program: a verb and two numbers at a time.
fn steps(bytes: &[u8]) -> impl Iterator<Item = (u8, usize, u8)> + '_ {
    bytes.chunks_exact(3).map(|it| (it[0], usize::from(it[1]), it[2]))
}

/// Slabs within themselves, growing and shared: every key ever given is asked again.
pub fn slab(bytes: &[u8]) {
    let mut few = Slab::<u8, [_; 5]>::fixed();
    let mut many = Slab::<u8, _>::growing(FromGlobal::new(System));
    let shared = SharedSlab::<u8, 1>::new();
    // The keys, and the value that each should find.
    type Known = Vec<(Key<u8>, Option<u8>)>;
    let (mut in_few, mut in_many, mut in_shared) = (Known::new(), Known::new(), Known::new());
    for (verb, index, value) in steps(bytes).take(200) {
        match verb % 8 {
            0..4 => {
                match few.try_insert(value) {
                    Ok(key) => in_few.push((key, Some(value))),
                    Err(full) => assert_eq!((full, few.len()), (Full(value), 5)),
                }
                in_many.push((many.insert(value), Some(value)));
                match shared.try_insert(value) {
                    Ok(key) => in_shared.push((key, Some(value))),
                    Err(full) => assert_eq!((full, shared.len()), (Full(value), 32)),
                }
            }
            4..6 => {
                let at = |known: &Known| index % known.len().max(1);
                let (a, b, c) = (at(&in_few), at(&in_many), at(&in_shared));
                if let Some((key, found)) = in_few.get_mut(a) {
                    assert_eq!(few.remove(*key), found.take());
                }
                if let Some((key, found)) = in_many.get_mut(b) {
                    assert_eq!(many.remove(*key), found.take());
                }
                if let Some((key, found)) = in_shared.get_mut(c) {
                    assert_eq!(shared.take(*key), found.take());
                }
            }
            6 => {
                many.retain(|_, it| *it >= value);
                in_many.iter_mut().for_each(|it| it.1 = it.1.filter(|it| *it >= value));
            }
            _ => {
                few.clear();
                in_few.iter_mut().for_each(|it| it.1 = None);
            }
        }
        assert!(in_few.iter().all(|(key, value)| few.get(*key) == value.as_ref()));
        assert!(in_many.iter().all(|(key, value)| many.get(*key) == value.as_ref()));
        assert!(in_shared.iter().all(|(key, value)| shared.get(*key).as_deref() == value.as_ref()));
        let live = |known: &Known| known.iter().filter(|it| it.1.is_some()).count();
        assert_eq!((few.len(), many.len()), (live(&in_few), live(&in_many)));
        assert_eq!(shared.len(), live(&in_shared));
        let sum = |known: &Known| known.iter().filter_map(|it| it.1).map(u64::from).sum::<u64>();
        assert_eq!(many.values().map(|it| u64::from(*it)).sum::<u64>(), sum(&in_many));
    }
}

/// Maps and sets of a fixed capacity.
pub fn fixed_maps(bytes: &[u8]) {
    const MOST: usize = 7;
    let mut model = BTreeMap::new();
    let mut hash = fixed::HashMap::<u8, u8, MOST>::new();
    let mut sorted = fixed::SortedMap::<u8, u8, MOST>::new();
    let mut linear = fixed::LinearMap::<u8, u8, MOST>::new();
    for (verb, key, value) in steps(bytes) {
        let key = key as u8 % 12;
        match verb % 8 {
            0..4 => {
                let room = model.len() < MOST || model.contains_key(&key);
                let want =
                    if room { Ok(model.insert(key, value)) } else { Err(Full((key, value))) };
                assert_eq!(hash.try_insert(key, value), want);
                assert_eq!(sorted.try_insert(key, value), want);
                assert_eq!(linear.try_insert(key, value), want);
            }
            4..7 => {
                let want = model.remove(&key);
                assert_eq!(hash.remove(&key), want);
                assert_eq!(sorted.remove(&key), want);
                assert_eq!(linear.remove(&key), want);
            }
            _ => {
                model.retain(|_, it| *it >= value);
                hash.retain(|_, it| *it >= value);
                sorted.retain(|_, it| *it >= value);
                linear.retain(|_, it| *it >= value);
            }
        }
        for key in 0..12 {
            let want = model.get(&key);
            assert_eq!((hash.get(&key), sorted.get(&key)), (want, want));
            assert_eq!(linear.get(&key), want);
        }
        assert!(sorted.iter().eq(&model));
        assert_eq!((hash.len(), linear.len()), (model.len(), model.len()));
    }
}

/// Vectors and queues of a fixed capacity.
pub fn fixed_lists(bytes: &[u8]) {
    const MOST: usize = 8;
    let mut list = Vec::new();
    let mut vec = fixed::Vec::<u8, MOST>::new();
    let mut deque = VecDeque::new();
    let mut ring = fixed::Ring::<u8, MOST>::new();
    let mut heap = BinaryHeap::new();
    let mut queue = fixed::PriorityQueue::<u8, MOST>::new();
    let mut line = VecDeque::new();
    let mpmc = fixed::MpmcQueue::<u8, MOST>::new();
    let mut spsc = fixed::SpscQueue::<u8, MOST>::new();
    let (mut put, mut take) = spsc.split();
    for (verb, index, value) in steps(bytes) {
        let at = index % (list.len() + 1);
        match verb % 8 {
            0 => match vec.try_insert(at, value) {
                Ok(()) => list.insert(at, value),
                Err(full) => assert_eq!((full, list.len()), (Full(value), MOST)),
            },
            1 => {
                let there = at < list.len();
                assert_eq!(vec.try_remove(at), there.then(|| list.remove(at)));
            }
            2 => {
                let end = at + usize::from(value) % (list.len() - at + 1);
                assert!(vec.drain(at..end).eq(list.drain(at..end)));
            }
            3 => {
                if deque.len() == MOST {
                    assert_eq!(ring.push_over(value), deque.pop_front());
                } else {
                    assert_eq!(ring.try_push_back(value), Ok(()));
                }
                deque.push_back(value);
            }
            4 => match ring.try_push_front(value) {
                Ok(()) => deque.push_front(value),
                Err(full) => assert_eq!((full, deque.len()), (Full(value), MOST)),
            },
            5 => {
                assert_eq!(ring.pop_back(), deque.pop_back());
                assert_eq!(ring.try_remove(index), deque.remove(index));
            }
            6 => {
                if heap.len() < MOST {
                    heap.push(value);
                    assert_eq!(queue.try_push(value), Ok(()));
                } else {
                    assert_eq!(queue.try_push(value), Err(Full(value)));
                }
                let full = line.len() == MOST;
                let want = if full { Err(Full(value)) } else { Ok(()) };
                assert_eq!((mpmc.try_push(value), put.try_push(value)), (want, want));
                if !full {
                    line.push_back(value);
                }
            }
            _ => {
                assert_eq!(queue.pop(), heap.pop());
                let want = line.pop_front();
                assert_eq!((mpmc.pop(), take.pop()), (want, want));
            }
        }
        assert_eq!(vec, list[..]);
        assert!(ring.iter().eq(&deque));
        assert_eq!(queue.peek(), heap.peek());
    }
}

/// Vectors, strings and typed arenas, whose values move when they grow, or do not.
pub fn collections(bytes: &[u8]) {
    let arena = Bump::new();
    let typed = TypedArena::new(&arena);
    let (mut vec, mut list) = (bump::Vec::new_in(&arena), Vec::new());
    let (mut string, mut text) = (bump::String::new_in(&arena), String::new());
    let mut all = Vec::new();
    for (verb, index, value) in steps(bytes) {
        let at = index % (list.len() + 1);
        let end = at + usize::from(value) % (list.len() - at + 1);
        let mut places = (0..=text.len()).filter(|at| text.is_char_boundary(*at));
        let place = places.nth(index % (text.chars().count() + 1)).unwrap_or_default();
        match verb % 8 {
            0 => {
                vec.insert(at, value);
                list.insert(at, value);
            }
            1 => assert!(vec.drain(at..end).eq(list.drain(at..end))),
            2 => {
                let come = || (0..value % 5).map(|it| it + value / 2);
                assert!(vec.splice(at..end, come()).eq(list.splice(at..end, come())));
            }
            3 => {
                let odd = |it: &mut u8| *it % 2 == 1;
                assert!(vec.extract_if(at..end, odd).eq(list.extract_if(at..end, odd)));
            }
            4 => {
                vec.extend_from_within(at..end);
                list.extend_from_within(at..end);
                let (ours, theirs) = (vec.split_off(at), list.split_off(at));
                assert_eq!(ours, theirs);
            }
            5 => {
                let character = ['a', 'ß', '水', '🦀'][usize::from(value % 4)];
                string.insert(place, character);
                text.insert(place, character);
            }
            6 => {
                string.replace_range(..place, "new");
                text.replace_range(..place, "new");
                string.retain(|it| it as u32 % 7 != u32::from(value % 7));
                text.retain(|it| it as u32 % 7 != u32::from(value % 7));
            }
            _ => {
                // Kept, and looked at again when the arena has grown.
                all.push((&*typed.alloc(vec![value; at]), value, at));
                let made = typed.try_alloc_slice_with(at, |i| vec![value; i]);
                assert_eq!(made.map(|it| it.len()), Ok(at));
            }
        }
        assert_eq!((&*vec, &*string), (&*list, &*text));
        assert!(all.iter().all(|(it, value, len)| **it == vec![*value; *len]));
    }
}
