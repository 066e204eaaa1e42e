//! Parse, change and print a document. The argument is its size in MiB.

use allod_programs::{amount, checksum, finish, word};
use fastrand::Rng;
use serde_json::{Map, Value};

fn main() {
    let text = document(amount() << 20);
    let mut value: Value = serde_json::from_str(&text).expect("we made it well-formed");
    let changed = change(&mut value);
    let printed = serde_json::to_string_pretty(&value).expect("a value can be printed");
    let again: Value = serde_json::from_str(&printed).expect("what was printed can be read");
    assert_eq!(value, again, "printing and reading changes nothing");
    finish(checksum(printed.as_bytes()) ^ changed);
}

/// A document of about `size` bytes: an array of objects of some depth.
fn document(size: usize) -> String {
    let mut random = Rng::with_seed(0x15);
    let mut text = String::from("[");
    while text.len() < size {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&Value::Object(object(&mut random, 3)).to_string());
    }
    text.push(']');
    text
}

/// An object with members of every kind.
fn object(random: &mut Rng, depth: usize) -> Map<String, Value> {
    (0..random.usize(2..8))
        .map(|_| {
            let value = match random.u8(..if depth > 0 { 7 } else { 5 }) {
                0 => Value::from(random.i32(..)),
                1 => Value::from(f64::from(random.u16(..)) / 16.0),
                2 => Value::from(random.bool()),
                3 => Value::Null,
                4 => Value::from(word(random)),
                5 => (0..random.usize(..6))
                    .map(|_| Value::Object(object(random, depth - 1)))
                    .collect(),
                _ => Value::Object(object(random, depth - 1)),
            };
            (word(random), value)
        })
        .collect()
}

/// Renames, doubles, lengthens and removes. Returns how often.
fn change(value: &mut Value) -> u64 {
    match value {
        Value::String(text) => {
            text.push_str(" and more");
            1
        }
        Value::Array(items) => {
            let items: &mut Vec<Value> = items;
            let mut count = items.iter_mut().map(change).sum();
            if items.len().is_multiple_of(3) {
                items.truncate(items.len() / 2);
                items.shrink_to_fit();
                count += 1;
            }
            count
        }
        Value::Object(members) => {
            let mut count = members.values_mut().map(change).sum();
            let short: Vec<String> = members.keys().filter(|key| key.len() < 3).cloned().collect();
            for key in short {
                if let Some(member) = members.remove(&key) {
                    members.insert(format!("renamed {key}"), member);
                    count += 1;
                }
            }
            count
        }
        _ => 0,
    }
}
