//! Each container against its like in the standard library, with elements that
//! count themselves.

use super::*;
use crate::full::Full;
use crate::witness::Witness;
use core::cell::Cell;
use core::fmt::Write;
use core::hash::{BuildHasher, Hasher};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::string::String as Text;
use std::vec;
use std::vec::Vec as List;

const N: usize = 9;

#[derive(Clone, Debug)]
enum Op {
    Push(u32),
    PushFront(u32),
    PushOver(u32),
    Pop,
    PopFront,
    Insert(usize, u32),
    Remove(usize),
    SwapRemove(usize),
    Truncate(usize),
    Retain(u32),
    Drain(usize, usize, usize),
    Extend(List<u32>),
    Resize(usize),
    Straighten,
    Clone,
}

fn ops() -> impl Strategy<Value = List<Op>> {
    let op = prop_oneof![
        5 => any::<u32>().prop_map(Op::Push),
        3 => any::<u32>().prop_map(Op::PushFront),
        2 => any::<u32>().prop_map(Op::PushOver),
        2 => Just(Op::Pop),
        3 => Just(Op::PopFront),
        2 => (0..N + 2, any::<u32>()).prop_map(|(i, n)| Op::Insert(i, n)),
        2 => (0..N + 2).prop_map(Op::Remove),
        1 => (0..N + 2).prop_map(Op::SwapRemove),
        1 => (0..N + 2).prop_map(Op::Truncate),
        1 => (1..4u32).prop_map(Op::Retain),
        1 => (0..N, 0..N, 0..N).prop_map(|(a, b, n)| Op::Drain(a, b, n)),
        1 => proptest::collection::vec(any::<u32>(), 0..N).prop_map(Op::Extend),
        1 => (0..N + 2).prop_map(Op::Resize),
        1 => Just(Op::Straighten),
        1 => Just(Op::Clone),
    ];
    proptest::collection::vec(op, 0..100)
}

fn values(list: &[Witness<'_>]) -> List<u32> {
    list.iter().map(|w| w.value).collect()
}

proptest! {
    #[test]
    fn a_vector_is_a_vector(ops in ops()) {
        let alive = Cell::new(0);
        let new = |n| Witness::new(n, &alive);
        let mut vec: Vec<Witness<'_>, N> = Vec::new();
        let mut model: List<u32> = List::new();
        for op in ops {
            let fits = model.len() < N;
            match op {
                Op::Push(n) | Op::PushFront(n) | Op::PushOver(n) => match vec.try_push(new(n)) {
                    Ok(()) => model.push(n),
                    Err(Full(back)) => assert_eq!((back.value, fits), (n, false)),
                },
                Op::Pop | Op::PopFront | Op::Straighten => {
                    assert_eq!(vec.pop().map(|w| w.value), model.pop());
                }
                Op::Insert(i, n) => {
                    let right = fits && i <= model.len();
                    assert_eq!(vec.try_insert(i, new(n)).is_ok(), right);
                    if right {
                        model.insert(i, n);
                    }
                }
                Op::Remove(i) => {
                    let expected = (i < model.len()).then(|| model.remove(i));
                    assert_eq!(vec.try_remove(i).map(|w| w.value), expected);
                }
                Op::SwapRemove(i) => {
                    let expected = (i < model.len()).then(|| model.swap_remove(i));
                    assert_eq!(vec.try_swap_remove(i).map(|w| w.value), expected);
                }
                Op::Truncate(i) => {
                    vec.truncate(i);
                    model.truncate(i);
                }
                Op::Retain(divisor) => {
                    vec.retain(|w| w.value % divisor == 0);
                    model.retain(|n| n % divisor == 0);
                }
                Op::Drain(a, b, count) => {
                    let (from, to) = (a.min(model.len()), b.min(model.len()));
                    let range = from.min(to)..to;
                    let expected: List<u32> = model.drain(range).collect();
                    let mut drain = vec.drain(a..b);
                    assert_eq!(drain.len(), expected.len());
                    let mut taken = List::new();
                    for _ in 0..count {
                        // From both ends.
                        taken.extend(drain.next().map(|w| w.value));
                        if let Some(last) = drain.next_back() {
                            assert!(expected.contains(&last.value));
                        }
                    }
                    assert_eq!(taken[..], expected[..taken.len()]);
                }
                Op::Extend(more) => {
                    let room = N - model.len();
                    let all: List<Witness<'_>> = more.iter().map(|n| new(*n)).collect();
                    assert_eq!(vec.try_extend_from_slice(&all).is_ok(), more.len() <= room);
                    if more.len() > room {
                        assert_eq!(vec.try_extend(all).unwrap_err().0.value, more[room]);
                    }
                    model.extend(more.iter().take(room));
                }
                Op::Resize(length) => {
                    assert_eq!(vec.try_resize(length, new(5)).is_ok(), length <= N);
                    if length <= N {
                        model.resize(length, 5);
                    }
                }
                Op::Clone => {
                    let copy = vec.clone();
                    assert!(copy == vec);
                    let back: List<u32> = vec.into_iter().rev().map(|w| w.value).collect();
                    assert!(back.iter().rev().eq(&model));
                    vec = copy;
                }
            }
            assert_eq!((values(&vec), vec.is_full()), (model.clone(), model.len() == N));
            assert_eq!(alive.get(), model.len() as isize);
        }
        drop(vec);
        assert_eq!(alive.get(), 0);
    }

    #[test]
    fn a_ring_is_a_deque(ops in ops()) {
        let alive = Cell::new(0);
        let new = |n| Witness::new(n, &alive);
        let mut ring: Ring<Witness<'_>, N> = Ring::new();
        let mut model: VecDeque<u32> = VecDeque::new();
        for op in ops {
            let fits = model.len() < N;
            match op {
                Op::Push(n) | Op::Insert(_, n) => {
                    assert_eq!(ring.try_push_back(new(n)).is_ok(), fits);
                    if fits {
                        model.push_back(n);
                    }
                }
                Op::PushFront(n) => {
                    assert_eq!(ring.try_push_front(new(n)).is_ok(), fits);
                    if fits {
                        model.push_front(n);
                    }
                }
                Op::PushOver(n) => {
                    let expected = if fits { None } else { model.pop_front() };
                    assert_eq!(ring.push_over(new(n)).map(|w| w.value), expected);
                    model.push_back(n);
                }
                Op::Pop => assert_eq!(ring.pop_back().map(|w| w.value), model.pop_back()),
                Op::PopFront | Op::Resize(_) => {
                    assert_eq!(ring.pop_front().map(|w| w.value), model.pop_front());
                }
                Op::Remove(i) => {
                    assert_eq!(ring.try_remove(i).map(|w| w.value), model.remove(i));
                }
                Op::SwapRemove(i) => {
                    ring.swap(i, 0);
                    if i < model.len() {
                        model.swap(i, 0);
                    }
                }
                Op::Truncate(i) => {
                    ring.truncate(i);
                    model.truncate(i);
                }
                Op::Retain(_) => {
                    for w in &mut ring {
                        w.value = w.value.wrapping_add(1);
                    }
                    for n in &mut model {
                        *n = n.wrapping_add(1);
                    }
                }
                Op::Drain(count, ..) => {
                    let taken: List<u32> = ring.drain_front().take(count).map(|w| w.value).collect();
                    let count = count.min(model.len());
                    assert!(taken.into_iter().eq(model.drain(..count)));
                }
                Op::Extend(more) => {
                    let room = N - model.len();
                    let all = more.iter().map(|n| new(*n));
                    assert_eq!(ring.try_extend(all).is_ok(), more.len() <= room);
                    model.extend(more.iter().take(room));
                }
                Op::Straighten => {
                    assert_eq!(&values(ring.make_contiguous()), model.make_contiguous());
                    assert!(ring.as_slices().1.is_empty());
                }
                Op::Clone => {
                    let copy = ring.clone();
                    assert!(copy == ring);
                    assert!(ring.into_iter().map(|w| w.value).eq(model.iter().copied()));
                    ring = copy;
                }
            }
            assert!(ring.iter().map(|w| w.value).eq(model.iter().copied()));
            assert!(ring.iter().rev().map(|w| w.value).eq(model.iter().rev().copied()));
            assert_eq!((ring.len(), ring.iter().len()), (model.len(), model.len()));
            assert_eq!(ring.front().map(|w| w.value), model.front().copied());
            assert_eq!(ring.back().map(|w| w.value), model.back().copied());
            assert_eq!(ring.get(3).map(|w| w.value), model.get(3).copied());
            assert_eq!(alive.get(), model.len() as isize);
        }
        drop(ring);
        assert_eq!(alive.get(), 0);
    }

    #[test]
    fn a_string_is_a_text(steps in proptest::collection::vec((0..7u8, 0..24usize, "\\PC{0,4}"), 0..60)) {
        let mut string: String<20> = String::new();
        let mut model = Text::new();
        for (step, at, text) in steps {
            let fits = model.len() + text.len() <= 20;
            match step {
                0 | 1 => {
                    assert_eq!(string.try_push_str(&text).is_ok(), fits);
                    if fits {
                        model.push_str(&text);
                    }
                }
                2 => assert_eq!(string.pop(), model.pop()),
                3 => {
                    let right = fits && model.is_char_boundary(at);
                    assert_eq!(string.try_insert_str(at, &text).is_ok(), right);
                    if right {
                        model.insert_str(at, &text);
                    }
                }
                4 => {
                    let is_there = at < model.len() && model.is_char_boundary(at);
                    let expected = is_there.then(|| model.remove(at));
                    assert_eq!(string.try_remove(at), expected);
                }
                5 => {
                    string.truncate(at);
                    model.truncate(model.floor_char_boundary(at));
                }
                _ => {
                    let rest = string.push_cut(&text);
                    model.push_str(&text[..text.len() - rest.len()]);
                    let next = rest.chars().next().map_or(0, char::len_utf8);
                    assert!(rest.is_empty() || model.len() + next > 20, "as much as fits");
                }
            }
            assert_eq!(string, *model);
            assert!(str::from_utf8(string.as_bytes()).is_ok());
        }
    }
}

/// A hasher so poor that all searches run into each other.
#[derive(Clone, Default)]
struct Poor;

impl BuildHasher for Poor {
    type Hasher = Poorly;
    fn build_hasher(&self) -> Poorly {
        Poorly(0)
    }
}

struct Poorly(u64);

impl Hasher for Poorly {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = u64::from(bytes[0] % 3);
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Clone, Debug)]
enum MapOp {
    Insert(u32, u32),
    Remove(u32),
    Change(u32, u32),
    Entry(u32, u32),
    Retain(u32),
    Clear,
    Clone,
}

fn map_ops() -> impl Strategy<Value = List<MapOp>> {
    let key = 0..14u32;
    let op = prop_oneof![
        6 => (key.clone(), any::<u32>()).prop_map(|(k, n)| MapOp::Insert(k, n)),
        4 => key.clone().prop_map(MapOp::Remove),
        1 => (key.clone(), any::<u32>()).prop_map(|(k, n)| MapOp::Change(k, n)),
        2 => (key, any::<u32>()).prop_map(|(k, n)| MapOp::Entry(k, n)),
        1 => (1..4u32).prop_map(MapOp::Retain),
        1 => Just(MapOp::Clear),
        1 => Just(MapOp::Clone),
    ];
    proptest::collection::vec(op, 0..100)
}

/// A property: the map does what a `BTreeMap` does, as far as there is room.
macro_rules! is_a_map {
    ($name:ident, $new:expr, $check:expr, |$map:ident, $key:ident, $w:ident| $entry:expr) => {
        proptest! {
            #[test]
            fn $name(ops in map_ops()) {
                let alive = Cell::new(0);
                let mut map = $new;
                let mut model: BTreeMap<u32, u32> = BTreeMap::new();
                for op in ops {
                    let fits = |model: &BTreeMap<u32, u32>, key| {
                        model.len() < N || model.contains_key(&key)
                    };
                    match op {
                        MapOp::Insert(key, n) => {
                            let right = fits(&model, key);
                            match map.try_insert(key, Witness::new(n, &alive)) {
                                Ok(old) => {
                                    assert!(right);
                                    assert_eq!(old.map(|w| w.value), model.insert(key, n));
                                }
                                Err(Full((k, w))) => assert_eq!((k, w.value, right), (key, n, false)),
                            }
                        }
                        MapOp::Remove(key) => {
                            assert_eq!(map.remove(&key).map(|w| w.value), model.remove(&key));
                        }
                        MapOp::Change(key, n) => {
                            if let Some(w) = map.get_mut(&key) {
                                w.value = n;
                            }
                            model.entry(key).and_modify(|old| *old = n);
                        }
                        MapOp::Entry(key, n) => {
                            let before = map.len();
                            let ($map, $key, $w) = (&mut map, key, Witness::new(n, &alive));
                            $entry;
                            if map.len() > before {
                                model.insert(key, n);
                            }
                        }
                        MapOp::Retain(divisor) => {
                            map.retain(|_, w| w.value % divisor == 0);
                            model.retain(|_, n| *n % divisor == 0);
                        }
                        MapOp::Clear => {
                            map.clear();
                            model.clear();
                        }
                        MapOp::Clone => {
                            let copy = map.clone();
                            assert!(copy == map);
                            map = copy;
                        }
                    }
                    let check: fn(&_) = $check;
                    check(&map);
                    for key in 0..14 {
                        assert_eq!(map.get(&key).map(|w| w.value), model.get(&key).copied());
                        assert_eq!(map.contains_key(&key), model.contains_key(&key));
                    }
                    let mut pairs: List<(u32, u32)> = map.iter().map(|(k, w)| (*k, w.value)).collect();
                    pairs.sort_unstable();
                    assert!(pairs.into_iter().eq(model.iter().map(|(k, n)| (*k, *n))));
                    assert_eq!((map.len(), map.is_full()), (model.len(), model.len() == N));
                    assert_eq!(alive.get(), model.len() as isize);
                }
                assert_eq!(map.into_iter().count(), model.len());
                assert_eq!(alive.get(), 0);
            }
        }
    };
}

is_a_map!(
    a_linear_map_is_a_map,
    LinearMap::<u32, Witness<'_>, N>::new(),
    |_: &LinearMap<u32, Witness<'_>, N>| (),
    |map, key, w| {
        if !map.contains_key(&key) {
            drop(map.try_insert(key, w));
        }
    }
);
is_a_map!(
    a_sorted_map_is_a_map,
    SortedMap::<u32, Witness<'_>, N>::new(),
    |map: &SortedMap<u32, Witness<'_>, N>| {
        assert!(map.keys().is_sorted_by(|a, b| a < b), "O1");
        let range: List<u32> = map.range(3..=9).map(|(key, _)| *key).collect();
        assert!(map.keys().filter(|key| (3..=9).contains(*key)).eq(&range));
        let (from, to) = (5, 2);
        assert!(map.range(from..to).next().is_none());
    },
    |map, key, w| {
        if !map.contains_key(&key) {
            drop(map.try_insert(key, w));
        }
    }
);
is_a_map!(
    a_hash_map_is_a_map,
    HashMap::<u32, Witness<'_>, N>::new(),
    HashMap::check,
    |map, key, w| drop(map.entry(key).or_try_insert(w).map(|_| ()))
);
is_a_map!(
    a_hash_map_with_a_poor_hasher_is_a_map,
    HashMap::<u32, Witness<'_>, N, Poor>::default(),
    HashMap::check,
    |map, key, w| {
        drop(map.entry(key).or_try_insert(w).map(|_| ()));
    }
);

#[test]
fn a_hash_map_whose_keys_lie_breaks_nothing() {
    /// Never equal to itself, and of another hash each time.
    #[derive(Debug)]
    struct Liar(Cell<u64>);
    impl PartialEq for Liar {
        fn eq(&self, _: &Self) -> bool {
            false
        }
    }
    impl Eq for Liar {}
    impl core::hash::Hash for Liar {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.set(self.0.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            state.write_u64(self.0.get());
        }
    }
    let mut map: HashMap<Liar, u32, 8> = HashMap::new();
    for n in 0..8 {
        assert!(matches!(map.try_insert(Liar(Cell::new(7)), n), Ok(None)));
        map.check();
    }
    assert!(map.try_insert(Liar(Cell::new(7)), 8).is_err());
    assert!(map.get(&Liar(Cell::new(7))).is_none());
    map.retain(|_, n| *n % 2 == 0);
    map.check();
    assert_eq!(map.len(), 4);
}

#[test]
fn a_full_hash_map_of_many_pairs_finds_them_all() {
    let mut map: std::boxed::Box<HashMap<u32, u32, 3000>> = std::boxed::Box::default();
    for key in 0..3000 {
        assert_eq!(map.try_insert(key * 64, key), Ok(None));
    }
    map.check();
    assert!((0..3000).all(|key| map.get(&(key * 64)) == Some(&key)));
    assert_eq!(map.try_insert(1, 1), Err(Full((1, 1))));
    for key in (0..3000).step_by(3) {
        assert_eq!(map.remove(&(key * 64)), Some(key));
    }
    map.check();
    assert_eq!(map.len(), 2000);
}

#[test]
fn containers_of_nothing_are_full() {
    assert!(Vec::<u8, 0>::new().try_push(1).is_err());
    assert!(Ring::<u8, 0>::new().try_push_back(1).is_err());
    assert!(Ring::<u8, 0>::new().try_push_front(1).is_err());
    assert_eq!(Ring::<u8, 0>::new().push_over(1), Some(1));
    assert_eq!(Ring::<u8, 0>::new().make_contiguous(), &[0_u8; 0]);
    assert!(HashMap::<u8, u8, 0>::new().try_insert(1, 1).is_err());
    assert!(HashMap::<u8, u8, 0>::new().entry(1).or_try_insert(1).is_err());
    assert!(String::<0>::new().try_push('a').is_err());
    let mut units = Ring::<(), { usize::MAX }>::new();
    units.push_front(());
    units.push_back(());
    assert_eq!((units.len(), units.pop_front(), units.pop_back()), (2, Some(()), Some(())));
}

#[test]
fn unwinding_in_the_middle_drops_everything_once() {
    let alive = Cell::new(0);
    let catch =
        |f: &mut dyn FnMut()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err();
    let mut vec: Vec<Witness<'_>, N> = (0..9).map(|n| Witness::new(n, &alive)).collect();
    assert!(catch(&mut || vec.retain(|w| {
        assert_ne!(w.value, 5, "in the middle");
        w.value % 2 == 0
    })));
    assert_eq!(values(&vec), [0, 2, 4, 5, 6, 7, 8], "what was not seen stays");
    assert_eq!(alive.get(), 7);
    drop(vec);
    assert_eq!(alive.get(), 0);
}

#[test]
fn writing_is_all_or_nothing() {
    let mut line: String<8> = String::new();
    assert!(write!(line, "{}", 1234).is_ok());
    assert!(line.write_str("12345").is_err());
    assert_eq!(line, "1234");
    let mut bytes: Vec<u8, 3> = Vec::new();
    assert!(bytes.write_str("abcd").is_err() && bytes.is_empty());
    assert_eq!("abc".parse::<String<3>>().unwrap().into_bytes(), *b"abc");
    assert!(String::from_utf8(Vec::<u8, 2>::from([0xFF, 0])).is_err());
}

#[test]
#[should_panic(expected = "there is no room")]
fn a_full_vector_says_so() {
    let mut vec: Vec<u8, 1> = Vec::new();
    vec.push(1);
    vec.push(2);
}

#[test]
#[should_panic(expected = "the index is past the end")]
fn an_index_past_the_end_says_so() {
    let _ = Ring::<u8, 3>::new()[0];
}

#[test]
#[should_panic(expected = "the key is not in the map")]
fn a_key_that_is_not_there_says_so() {
    let _ = HashMap::<u8, u8, 3>::new()[&0];
}

macro_rules! set_is_a_set {
    ($($name:ident $set:ident)*) => { $(
        proptest! {
            #[test]
            fn $name(steps in proptest::collection::vec((any::<bool>(), 0..20u8), 0..200)) {
                let mut set: $set<u8, N> = $set::new();
                let mut model = BTreeSet::new();
                for (insert, item) in steps {
                    if !insert {
                        prop_assert_eq!(set.remove(&item), model.remove(&item));
                    } else if model.len() == N && !model.contains(&item) {
                        prop_assert_eq!(set.try_insert(item), Err(Full(item)));
                    } else {
                        prop_assert_eq!(set.try_insert(item), Ok(model.insert(item)));
                    }
                    prop_assert_eq!((set.len(), set.is_full()), (model.len(), model.len() == N));
                    prop_assert!((0..20).all(|it| set.contains(&it) == model.contains(&it)));
                    prop_assert_eq!(set.iter().copied().collect::<BTreeSet<_>>(), model.clone());
                }
                let mut odd: $set<u8, 20> = $set::default();
                (0..20).filter(|it| it % 2 == 1).for_each(|it| assert_eq!(odd.try_insert(it), Ok(true)));
                let odds: BTreeSet<u8> = odd.iter().copied().collect();
                let collect = |it: &mut dyn Iterator<Item = &u8>| it.copied().collect::<List<_>>();
                let sorted = |mut list: List<u8>| { list.sort_unstable(); list };
                prop_assert_eq!(
                    sorted(collect(&mut set.intersection(&odd))), collect(&mut model.intersection(&odds))
                );
                prop_assert_eq!(
                    sorted(collect(&mut set.difference(&odd))), collect(&mut model.difference(&odds))
                );
                prop_assert_eq!(sorted(collect(&mut set.union(&odd))), collect(&mut model.union(&odds)));
                prop_assert_eq!(set.is_disjoint(&odd), model.is_disjoint(&odds));
                prop_assert_eq!(set.is_subset(&odd), model.is_subset(&odds));
                set.retain(|it| it % 2 == 1);
                prop_assert!(set.is_subset(&odd));
                prop_assert_eq!(set == odd, set.len() == odd.len());
            }
        }
    )* };
}

set_is_a_set! {
    linear_set_is_a_set LinearSet
    sorted_set_is_a_set SortedSet
    hash_set_is_a_set HashSet
}

#[test]
fn a_sorted_set_has_ends() {
    let mut set: SortedSet<u8, 4> = SortedSet::new();
    [3, 1, 2].into_iter().for_each(|it| assert_eq!(set.try_insert(it), Ok(true)));
    assert_eq!((set.first(), set.last()), (Some(&1), Some(&3)));
    assert!(set.range(..3).eq(&[1, 2]));
    assert_eq!((set.pop_last(), set.pop_first(), set.len()), (Some(3), Some(1), 1));
}

proptest! {
    #[test]
    fn priority_queue_gives_the_greatest(
        steps in proptest::collection::vec((0..4u8, any::<u8>()), 0..200)
    ) {
        let mut queue: PriorityQueue<u8, N> = PriorityQueue::new();
        let mut model = BinaryHeap::new();
        for (step, item) in steps {
            match step {
                0 => prop_assert_eq!(queue.pop(), model.pop()),
                1 => {
                    model.push(item);
                    prop_assert_eq!(Some(queue.push_pop(item)), model.pop());
                }
                _ if model.len() == N => prop_assert_eq!(queue.try_push(item), Err(Full(item))),
                _ => {
                    model.push(item);
                    prop_assert_eq!(queue.try_push(item), Ok(()));
                }
            }
            prop_assert_eq!((queue.peek(), queue.len()), (model.peek(), model.len()));
        }
        let mut rest: List<u8> = queue.clone().into_vec().into_iter().collect();
        rest.sort_unstable();
        prop_assert_eq!(rest, model.into_sorted_vec());
    }
}
