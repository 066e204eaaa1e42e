//! To JSON and back; and what does not fit is refused.

use super::{StringIn, VecIn};
use crate::Bump;
use crate::bump;
use crate::fixed::{
    HashMap, HashSet, LinearMap, LinearSet, PriorityQueue, Ring, SortedMap, SortedSet, String, Vec,
};
use serde::de::{DeserializeOwned, DeserializeSeed};
use serde::{Deserialize, Serialize};
use std::string::ToString;

/// What a JSON text becomes, and comes back as.
fn through<T: Serialize + DeserializeOwned>(json: &str) -> std::string::String {
    let read: T = serde_json::from_str(json).expect("it fits");
    serde_json::to_string(&read).expect("JSON can say it")
}

fn refused<T: DeserializeOwned>(json: &str) -> std::string::String {
    serde_json::from_str::<T>(json).err().expect("it does not fit").to_string()
}

#[test]
fn lists_maps_and_texts_come_back() {
    assert_eq!(through::<Vec<u8, 3>>("[1,2,3]"), "[1,2,3]");
    assert_eq!(through::<Ring<u8, 4>>("[1,2,3]"), "[1,2,3]");
    assert_eq!(through::<PriorityQueue<u8, 3>>("[1,2]"), "[2,1]");
    assert_eq!(through::<LinearSet<u8, 3>>("[2,1,2]"), "[2,1]");
    assert_eq!(through::<SortedSet<u8, 3>>("[2,1,2]"), "[1,2]");
    assert_eq!(through::<HashSet<u8, 3>>("[2,1,2]"), "[2,1]");
    assert_eq!(through::<LinearMap<String<1>, u8, 2>>(r#"{"b":1,"a":2}"#), r#"{"b":1,"a":2}"#);
    assert_eq!(through::<SortedMap<String<1>, u8, 2>>(r#"{"b":1,"a":2}"#), r#"{"a":2,"b":1}"#);
    assert_eq!(through::<HashMap<String<1>, u8, 2>>(r#"{"b":1,"a":2}"#), r#"{"b":1,"a":2}"#);
    assert_eq!(through::<String<6>>(r#""水\n""#), r#""水\n""#);
}

#[test]
fn what_is_too_long_is_refused() {
    let list = "invalid length 3, expected at most 2 at line 1 column 7";
    assert_eq!(refused::<Vec<u8, 2>>("[1,2,3]"), list);
    assert_eq!(refused::<Ring<u8, 2>>("[1,2,3]"), list);
    assert_eq!(refused::<PriorityQueue<u8, 2>>("[1,2,3]"), list);
    assert_eq!(refused::<LinearSet<u8, 2>>("[1,2,3]"), list);
    assert_eq!(refused::<SortedSet<u8, 2>>("[1,2,3]"), list);
    assert_eq!(refused::<HashSet<u8, 2>>("[1,2,3]"), list);
    let map = r#"{"a":1,"b":2}"#;
    for words in [
        refused::<LinearMap<String<1>, u8, 1>>(map),
        refused::<SortedMap<String<1>, u8, 1>>(map),
        refused::<HashMap<String<1>, u8, 1>>(map),
    ] {
        assert!(words.starts_with("invalid length 2, expected at most 1"), "{words}");
    }
    let text = refused::<String<2>>(r#""abc""#);
    assert!(text.starts_with("invalid length 3, expected a text of at most 2 bytes"), "{text}");
    let wrong = refused::<Vec<u8, 2>>("7");
    assert!(wrong.contains("expected a list of at most 2"), "{wrong}");
    let wrong = refused::<HashMap<String<2>, u8, 2>>("7");
    assert!(wrong.contains("expected a map of at most 2 pairs"), "{wrong}");
}

#[test]
fn an_arena_is_read_into() {
    let arena = Bump::new();
    let mut json = serde_json::Deserializer::from_str(r#"[[1],[2,3]] "text""#);
    let lists = VecIn::<Vec<u8, 2>, _>::new(&arena).deserialize(&mut json).expect("lists");
    let text = StringIn(&arena).deserialize(&mut json).expect("a text");
    assert_eq!((lists[1][..].as_ref(), &*text), (&[2, 3][..], "text"));
    let whole = (&lists, &text, arena.alloc_box(7));
    assert_eq!(serde_json::to_string(&whole).expect("JSON"), r#"[[[1],[2,3]],"text",7]"#);
    // Full: an error of the format, and no panic.
    let mut bytes = [const { core::mem::MaybeUninit::uninit() }; 16];
    let arena = Bump::on(&mut bytes);
    let mut json = serde_json::Deserializer::from_str("[1,2,3,4,5]");
    let full = VecIn::<u64, _>::new(&arena).deserialize(&mut json).expect_err("no room");
    assert!(full.to_string().starts_with("there is no memory"), "{full}");
    let mut json = serde_json::Deserializer::from_str(r#""seventeen letters""#);
    assert!(StringIn(&arena).deserialize(&mut json).is_err());
}

#[test]
fn a_struct_holds_them() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Message {
        to: String<8>,
        words: Vec<String<8>, 4>,
        counts: SortedMap<u8, u32, 4>,
    }
    let json = r#"{"to":"all","words":["a","b"],"counts":{"1":2,"3":4}}"#;
    let message: Message = serde_json::from_str(json).expect("it fits");
    assert_eq!(message.counts.get(&3), Some(&4));
    assert_eq!(serde_json::to_string(&message).expect("JSON"), json);
    // A vector in an arena is borrowed as its slice.
    let arena = Bump::new();
    let copy = bump::Vec::from_iter_in(message.words.iter().cloned(), &arena);
    assert_eq!(serde_json::to_string(&copy).expect("JSON"), r#"["a","b"]"#);
}
