//! The slab against a map from every key that ever was, in each of its stores.

use super::*;
use crate::stack::Stack;
use crate::witness::Witness;
use core::cell::Cell;
use core::mem::MaybeUninit;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::vec::Vec;

#[derive(Clone, Debug)]
enum Op {
    Insert(u32),
    InsertWithKey,
    Vacant(bool),
    Remove(usize),
    Entry(usize, u32),
    Set(usize, u32),
    Retain(u32),
    Drain(usize),
    Clear,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        10 => any::<u32>().prop_map(Op::Insert),
        1 => Just(Op::InsertWithKey),
        1 => any::<bool>().prop_map(Op::Vacant),
        5 => any::<usize>().prop_map(Op::Remove),
        2 => any::<(usize, u32)>().prop_map(|(i, n)| Op::Entry(i, n)),
        2 => any::<(usize, u32)>().prop_map(|(i, n)| Op::Set(i, n)),
        1 => (1..5u32).prop_map(Op::Retain),
        1 => (0..20usize).prop_map(Op::Drain),
        1 => Just(Op::Clear),
    ];
    proptest::collection::vec(op, 0..150)
}

fn run<'a, S: Store<Witness<'a>>>(
    slab: &mut Slab<Witness<'a>, S>,
    ops: Vec<Op>,
    alive: &'a Cell<isize>,
) {
    // All keys there have been, those that are gone too.
    let mut ever: Vec<Key<Witness<'a>>> = Vec::new();
    let mut model: BTreeMap<Key<Witness<'a>>, u32> = BTreeMap::new();
    for op in ops {
        let pick = |i: usize| ever.get(i % ever.len().max(1)).copied();
        match op {
            Op::Insert(n) => match slab.try_insert(Witness::new(n, alive)) {
                Ok(key) => {
                    assert!(!ever.contains(&key), "every key is new");
                    ever.push(key);
                    model.insert(key, n);
                }
                Err(Full(back)) => assert_eq!((back.value, slab.len()), (n, slab.capacity())),
            },
            Op::InsertWithKey => {
                let made = slab.try_insert_with_key(|key| Witness::new(key.index() as u32, alive));
                if let Ok(key) = made {
                    ever.push(key);
                    model.insert(key, key.index() as u32);
                }
            }
            Op::Vacant(insert) => {
                if let Ok(entry) = slab.vacant_entry()
                    && insert
                {
                    let key = entry.key();
                    entry.insert(Witness::new(1, alive)).value += 1;
                    ever.push(key);
                    model.insert(key, 2);
                }
            }
            Op::Remove(i) => {
                if let Some(key) = pick(i) {
                    assert_eq!(slab.remove(key).map(|w| w.value), model.remove(&key));
                }
            }
            Op::Entry(i, n) => {
                if let Some(key) = pick(i) {
                    let entry = slab.entry(key);
                    assert_eq!(entry.is_some(), model.contains_key(&key));
                    if let Some(mut entry) = entry {
                        assert_eq!((entry.key(), entry.get().value), (key, model[&key]));
                        entry.get_mut().value = n;
                        model.insert(key, n);
                        if n % 2 == 0 {
                            assert_eq!(entry.remove().value, n);
                            model.remove(&key);
                        } else {
                            assert_eq!(entry.into_mut().value, n);
                        }
                    }
                }
            }
            Op::Set(i, n) => {
                if let Some(key) = pick(i) {
                    if let Some(value) = slab.get_mut(key) {
                        value.value = n;
                    }
                    model.entry(key).and_modify(|value| *value = n);
                }
            }
            Op::Retain(divisor) => {
                slab.retain(|key, value| {
                    assert_eq!(model[&key], value.value);
                    value.value % divisor == 0
                });
                model.retain(|_, n| *n % divisor == 0);
            }
            Op::Drain(count) => {
                let drained: Vec<u32> = slab.drain().take(count).map(|w| w.value).collect();
                let expected: Vec<u32> = model.values().copied().take(count).collect();
                assert_eq!(drained, expected);
                model.clear();
            }
            Op::Clear => {
                slab.clear();
                model.clear();
            }
        }
        slab.check();
        assert_eq!((slab.len(), slab.is_empty()), (model.len(), model.is_empty()));
        assert_eq!(alive.get(), model.len() as isize);
        for key in &ever {
            assert_eq!(slab.get(*key).map(|w| w.value), model.get(key).copied());
            assert_eq!(slab.contains(*key), model.contains_key(key));
        }
        // Keys are in order of their slots, and so is the walk.
        let walked = slab.iter().map(|(key, w)| (key, w.value));
        assert!(walked.eq(model.iter().map(|(key, n)| (*key, *n))));
        assert!(slab.keys().rev().eq(model.keys().rev().copied()));
        assert!(slab.values().map(|w| w.value).eq(model.values().copied()));
        assert_eq!(slab.iter().len(), model.len());
    }
}

proptest! {
    #[test]
    fn a_slab_is_a_map_in_a_slice(ops in ops()) {
        let alive = Cell::new(0);
        let mut slots = [const { SlabSlot::new() }; 13];
        run(&mut Slab::new(&mut slots), ops, &alive);
        assert_eq!(alive.get(), 0, "the slab drops what is in it");
    }

    #[test]
    fn a_slab_is_a_map_within_itself(ops in ops()) {
        let alive = Cell::new(0);
        run(&mut FixedSlab::<Witness<'_>, 7>::fixed(), ops, &alive);
        assert_eq!(alive.get(), 0);
    }

    #[test]
    fn a_slab_is_a_map_over_an_allocator(ops in ops(), memory in 0..4000usize) {
        let alive = Cell::new(0);
        let mut memory = std::vec![MaybeUninit::uninit(); memory];
        let Some(stack) = Stack::new(&mut memory) else { return Ok(()) };
        let empty = stack.used();
        {
            let mut slab = Slab::growing(&stack);
            run_growing(&mut slab, ops, &alive);
        }
        assert_eq!((alive.get(), stack.used()), (0, empty));
    }
}

/// As `run`; a full slab here is one whose allocator gives no more.
fn run_growing<'a>(
    slab: &mut Slab<Witness<'a>, Growing<Witness<'a>, &Stack<'_>>>,
    ops: Vec<Op>,
    alive: &'a Cell<isize>,
) {
    run(slab, ops, alive);
    let before = slab.len();
    let reserved = slab.try_reserve(100);
    assert_eq!(reserved.is_ok(), slab.capacity() >= before + 100);
    assert!(slab.try_reserve(usize::MAX).is_err());
    slab.check();
}

#[test]
fn a_slot_whose_generations_are_spent_is_left_out() {
    let mut slab = FixedSlab::<u32, 1>::fixed();
    let key = slab.insert(1);
    // SAFETY: slot 0 is a place.
    unsafe { slab.place_mut(0) }.generation = u32::MAX;
    let last = Key::new(0, NonZeroU32::MAX);
    assert_eq!((slab.get(key), slab.get(last)), (None, Some(&1)));
    assert_eq!(slab.remove(last), Some(1));
    slab.check();
    assert!(slab.try_insert(2).is_err(), "or an old key would find it");
}

#[test]
fn several_at_once_are_apart() {
    let mut slab = FixedSlab::<u32, 4>::fixed();
    let (a, b, c) = (slab.insert(1), slab.insert(2), slab.insert(3));
    let [x, y] = slab.get_disjoint_mut([c, a]).unwrap();
    core::mem::swap(x, y);
    assert_eq!((slab[a], slab[b], slab[c]), (3, 2, 1));
    assert!(slab.get_disjoint_mut([a, b, a]).is_none());
    slab.remove(b);
    assert!(slab.get_disjoint_mut([a, b]).is_none());
    for value in slab.values_mut() {
        *value *= 10;
    }
    for (key, value) in &mut slab {
        assert_eq!(*value, if key == a { 30 } else { 10 });
    }
}

#[test]
fn a_key_is_eight_bytes_and_survives_being_a_number() {
    assert_eq!(size_of::<Option<Key<u8>>>(), 8);
    let mut slab = FixedSlab::<u32, 4>::fixed();
    slab.insert(0);
    let key = slab.insert(1);
    assert_eq!(Key::from_bits(key.to_bits()), Some(key));
    assert_eq!(slab.key_at(1), Some(key));
    assert_eq!((slab.key_at(2), slab.key_at(usize::MAX)), (None, None));
    assert_eq!((Key::<u8>::from_bits(0), Key::<u8>::from_bits(2 << 32)), (None, None));
}

#[test]
#[should_panic(expected = "the key's value is not in the slab")]
fn an_index_that_is_gone_says_so() {
    let mut slab = FixedSlab::<u32, 4>::fixed();
    let key = slab.insert(1);
    slab.remove(key);
    let _ = slab[key];
}
