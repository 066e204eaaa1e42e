//! The Rust type of an allocation, read off the names of the functions that made it.
//!
//! Rust makes a copy of each generic function for each type, and the name of the copy
//! has the type in it: `alloc::boxed::Box<app::Order>::new`. So nothing needs to be
//! recorded while the program runs. The frames are gone through from the inner end, as
//! long as they are of the standard library or of `hashbrown`. A container that is made
//! of the one before it tells more and takes its place: a `HashMap<u32, Order>` allocates
//! through a `RawTable<(u32, Order)>`, and `Rc::new` through `Box::new`. Any other ends
//! the search: a `Vec<Order>` that is cloned clones the `String`s in it, and these are
//! what the memory is for.
//!
//! A name has its generics in one of three places:
//!
//! | mangling | name |
//! |---|---|
//! | v0 | `<alloc::boxed::Box<app::Order>>::new` |
//! | legacy, full debug information | `alloc::boxed::Box<T,A>::new<app::Order>` |
//! | lines alone | `alloc::boxed::new<app::Order>` |
//!
//! # Invariants
//!
//! * T1. A single capital letter, or a name that is nothing but parameters, is not a type.

use crate::model::Frame;
use crate::trim::is_library;

/// A container, by the module of its functions.
struct Rule {
    module: &'static str,
    name: &'static str,
    /// How many of the parameters are the program's choice.
    parameters: usize,
    /// What it is made of.
    over: &'static [&'static str],
}

const fn rule(
    module: &'static str,
    name: &'static str,
    parameters: usize,
    over: &'static [&'static str],
) -> Rule {
    Rule { module, name, parameters, over }
}

/// The more precise module first.
const RULES: [Rule; 26] = [
    rule("alloc::boxed", "Box", 1, &["RawVec", "Vec", "String"]),
    rule("alloc::rc", "Rc", 1, &["Box"]),
    rule("alloc::sync", "Arc", 1, &["Box"]),
    rule("alloc::string", "String", 0, &["RawVec", "Vec"]),
    rule("alloc::str", "String", 0, &["RawVec", "Vec"]),
    rule("alloc::fmt", "String", 0, &["RawVec", "Vec"]),
    rule("alloc::raw_vec", "RawVec", 1, &[]),
    rule("alloc::vec", "Vec", 1, &["RawVec"]),
    rule("alloc::slice", "Vec", 1, &["RawVec"]),
    rule("alloc::collections::vec_deque", "VecDeque", 1, &["RawVec", "Vec"]),
    rule("alloc::collections::binary_heap", "BinaryHeap", 1, &["RawVec", "Vec"]),
    rule("alloc::collections::linked_list", "LinkedList", 1, &["Box"]),
    rule("alloc::collections::btree::set_val", "BTreeSet", 1, &[]),
    rule("alloc::collections::btree::set", "BTreeSet", 1, &["BTreeMap"]),
    rule("alloc::collections::btree", "BTreeMap", 2, &["Box"]),
    rule("hashbrown::raw", "RawTable", 1, &[]),
    rule("hashbrown::table", "HashTable", 1, &["RawTable"]),
    rule("hashbrown::map", "HashMap", 2, &["RawTable"]),
    rule("hashbrown::rustc_entry", "HashMap", 2, &["RawTable"]),
    rule("hashbrown::set", "HashSet", 1, &["HashMap", "RawTable"]),
    rule("std::collections::hash::map", "HashMap", 2, &["RawTable"]),
    rule("std::collections::hash::set", "HashSet", 1, &["HashMap", "RawTable"]),
    rule("alloc::ffi::c_str", "CString", 0, &["RawVec", "Vec", "Box", "String"]),
    rule("std::ffi::os_str", "OsString", 0, &["RawVec", "Vec", "String"]),
    rule("std::sys::os_str", "OsString", 0, &["RawVec", "Vec", "String"]),
    rule("std::path", "PathBuf", 0, &["RawVec", "Vec", "String", "OsString"]),
];

/// What one frame tells.
struct Told {
    rule: &'static Rule,
    /// `Vec<app::Order>`.
    text: String,
}

/// The type that was allocated, or nothing. Frames innermost first, without the
/// allocator's own.
pub(crate) fn of(frames: &[Frame]) -> String {
    let mut best: Option<Told> = None;
    for frame in frames.iter().take_while(|frame| is_library(frame)) {
        let Some(told) = read(&frame.function) else { continue };
        let takes_over = match &best {
            None => true,
            Some(before) if before.rule.name == told.rule.name => {
                let becomes_slice = is_slice_of(&told.text, &before.text);
                let is_same = before.text == told.text || is_slice_of(&before.text, &told.text);
                if !is_same && !becomes_slice {
                    break;
                }
                becomes_slice
            }
            Some(before) => {
                if !told.rule.over.contains(&before.rule.name) {
                    break;
                }
                true
            }
        };
        if takes_over {
            best = Some(told);
        }
    }
    match best {
        // `Box<Order>` is memory for an `Order`.
        Some(Told { rule: Rule { name: "Box", .. }, text }) => {
            let inside = text.strip_prefix("Box<").and_then(|it| it.strip_suffix('>'));
            inside.map(str::to_owned).unwrap_or(text)
        }
        // A table that belongs to nobody known, and the memory behind a slice.
        Some(Told { rule: Rule { name: "RawVec", .. }, text }) => text.replacen("RawVec", "Vec", 1),
        best => best.map(|told| told.text).unwrap_or_default(),
    }
}

/// Whether the one is `Arc<[Order]>` and the other `Arc<Order>`: of a slice, some of the
/// names say the second.
fn is_slice_of(slice: &str, plain: &str) -> bool {
    plain.split_once('<').is_some_and(|(name, inside)| {
        let inside = inside.strip_suffix('>').unwrap_or(inside);
        slice.strip_prefix(name).is_some_and(|it| it == format!("<[{inside}]>"))
    })
}

/// What the name of a function tells.
fn read(function: &str) -> Option<Told> {
    let (of, chosen) = owner(function);
    let path = of.split('<').next().unwrap_or(of);
    let rule = RULES.iter().find(|rule| {
        let rest = path.strip_prefix(rule.module);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    })?;
    if rule.parameters == 0 {
        return Some(Told { rule, text: rule.name.to_owned() });
    }
    let mut formal = parameters(of);
    // `alloc::slice::<impl [T]>` is no container.
    if formal.first().is_some_and(|it| it.starts_with("impl ")) {
        formal.clear();
    }
    let mut actual = match (formal.is_empty(), chosen.is_empty()) {
        // The path says all: v0.
        (false, true) => formal.iter().map(|&it| it.to_owned()).collect(),
        (true, false) => chosen.iter().map(|&it| it.to_owned()).collect(),
        (false, false) => filled(&formal, &chosen),
        (true, true) => return None,
    };
    let is_set = actual.get(1).is_some_and(|it| it.ends_with("::SetValZST") || it == "()");
    let (name, count) = match rule.name {
        "BTreeMap" if is_set => ("BTreeSet", 1),
        "HashMap" if is_set => ("HashSet", 1),
        name => (name, rule.parameters),
    };
    actual.truncate(count);
    let is_known = actual.len() == count && !actual.iter().any(|it| is_open(it));
    let text =
        format!("{name}<{}>", actual.iter().map(|it| shortened(it)).collect::<Vec<_>>().join(", "));
    is_known.then_some(Told { rule, text })
}

/// Splits a function's name into what it belongs to, with its parameters, and the
/// parameters behind the name.
///
/// ```text
///   <alloc::vec::Vec<u8> as core::fmt::Write>::write    alloc::vec::Vec<u8>
///   alloc::vec::Vec<T,A>::push<app::Order, Global>      alloc::vec::Vec<T,A>   app::Order, Global
///   alloc::vec::push<app::Order, Global>                alloc::vec             app::Order, Global
/// ```
fn owner(function: &str) -> (&str, Vec<&str>) {
    let (path, chosen) = match function.strip_suffix('>').and_then(|_| opening(function)) {
        // `<…>` alone is no function.
        Some(at) if at > 0 => {
            let path = function.get(..at).unwrap_or_default();
            (
                path.strip_suffix("::").unwrap_or(path),
                parameters(function.get(at..).unwrap_or_default()),
            )
        }
        _ => (function, Vec::new()),
    };
    if let Some(inside) = path.strip_prefix('<') {
        let end = closing(inside).unwrap_or(inside.len());
        let inside = inside.get(..end).unwrap_or_default();
        let of = split_at_depth(inside, " as ").map_or(inside, |(of, _)| of);
        return (of.trim_start_matches('&').trim_start_matches("mut "), chosen);
    }
    // The last part of the path is the function, a closure, or several of them.
    let mut of = path;
    while let Some((before, _)) = rsplit_path(of) {
        of = before;
        if of.ends_with('>') || RULES.iter().any(|rule| rule.module == of) {
            break;
        }
    }
    (of, chosen)
}

/// The parameters in the last brackets of a path.
fn parameters(path: &str) -> Vec<&str> {
    let Some(at) = path.strip_suffix('>').and_then(|_| opening(path)) else { return Vec::new() };
    let inside = path.get(at + 1..path.len() - 1).unwrap_or_default();
    let mut found = Vec::new();
    let mut rest = inside;
    while let Some((one, more)) = split_at_depth(rest, ",") {
        found.push(one.trim());
        rest = more;
    }
    found.push(rest.trim());
    found.retain(|it| !it.is_empty());
    found
}

/// How each character changes the depth of brackets. The arrow is none.
fn depths(text: &str) -> impl DoubleEndedIterator<Item = (usize, i32)> {
    let bytes = text.as_bytes();
    (0..bytes.len()).map(move |i| {
        let is_arrow = bytes[i] == b'>' && i > 0 && bytes[i - 1] == b'-';
        match bytes[i] {
            b'<' | b'(' | b'[' | b'{' => (i, 1),
            b'>' if is_arrow => (i, 0),
            b'>' | b')' | b']' | b'}' => (i, -1),
            _ => (i, 0),
        }
    })
}

/// Where the bracket opens that the last character closes.
fn opening(text: &str) -> Option<usize> {
    let mut depth = 0;
    let found = depths(text).rev().find(|&(_, change)| {
        depth += change;
        depth == 0
    });
    found.map(|it| it.0)
}

/// Where the bracket closes that was open before the text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    let found = depths(text).find(|&(_, change)| {
        depth += change;
        depth == 0
    });
    found.map(|it| it.0)
}

/// Splits at the first separator that is in no brackets.
fn split_at_depth<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let mut depth = 0;
    let found = depths(text).find(|&(i, change)| {
        depth += change;
        depth == 0
            && text.as_bytes().get(i..).is_some_and(|it| it.starts_with(separator.as_bytes()))
    });
    let (at, _) = found?;
    Some((text.get(..at)?, text.get(at + separator.len()..)?))
}

/// Splits off the last part of a path.
fn rsplit_path(path: &str) -> Option<(&str, &str)> {
    let mut depth = 0;
    let found = depths(path).rev().find(|&(i, change)| {
        depth += change;
        depth == 0 && path.as_bytes().get(i..).is_some_and(|it| it.starts_with(b"::"))
    });
    let (at, _) = found?;
    Some((path.get(..at)?, path.get(at + 2..)?))
}

/// Formal parameters with the chosen ones in place of the letters, in their order.
fn filled(formal: &[&str], chosen: &[&str]) -> Vec<String> {
    let mut letters: Vec<&str> = Vec::new();
    let mut filled = Vec::new();
    for parameter in formal {
        let mut text = String::new();
        for word in words(parameter) {
            if !is_letter(word) {
                text.push_str(word);
                continue;
            }
            let place = letters.iter().position(|it| *it == word).unwrap_or(letters.len());
            if place == letters.len() {
                letters.push(word);
            }
            text.push_str(chosen.get(place).copied().unwrap_or(word));
        }
        filled.push(text);
    }
    filled
}

/// Paths and what is between them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '#' | '{' | '}');
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
        let (word, more) = rest.split_at_checked(end)?;
        rest = more;
        Some(word)
    })
}

fn is_letter(word: &str) -> bool {
    word.len() == 1 && word.starts_with(|c: char| c.is_ascii_uppercase())
}

/// Whether a parameter is not known, or is an allocator (T1).
fn is_open(parameter: &str) -> bool {
    let plain = parameter.trim_start_matches('&');
    plain == "alloc::alloc::Global" || words(parameter).any(|it| is_letter(it) || it == "_")
}

/// A type without the paths of the standard library, and without its allocators.
fn shortened(text: &str) -> String {
    let text = text.replace(", alloc::alloc::Global", "").replace(",alloc::alloc::Global", "");
    let shorten = |word: &str| {
        let is_std =
            ["alloc::", "core::", "std::", "hashbrown::"].iter().any(|it| word.starts_with(it));
        let is_path = is_std && !word.contains(['{', '#']);
        let last = word.rsplit("::").next().unwrap_or(word);
        if is_path { last.to_owned() } else { word.to_owned() }
    };
    words(&text).map(shorten).collect()
}

#[cfg(test)]
mod tests;
