//! A parser whose tree lives in an arena: JSON, from files or by itself.
//!
//! The tree is slices and references, without one box or reference count. It
//! takes a few chunks, and is gone with the arena, in one step however large it
//! was. Strings without escapes stay in the text; those with are written anew.
//!
//!     cargo run -p allod-kit --features alloc --example json -- FILE...

use std::str;

use allod_kit::{
    AllocError, Bump,
    bump::{String, Vec},
};

/// A document, or a part of one. 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Json<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(&'a str),
    List(&'a [Json<'a>]),
    Record(&'a [(&'a str, Json<'a>)]),
}

/// What went wrong, and at which byte.
#[derive(Debug, PartialEq)]
struct Wrong {
    what: &'static str,
    at: usize,
}

/// Documents nested deeper than this are refused: the parser is recursive.
const DEEPEST: usize = 128;

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    arena: &'a Bump,
}

type Parsed<T> = Result<T, Wrong>;

impl<'a> Parser<'a> {
    fn wrong<T>(&self, what: &'static str) -> Parsed<T> {
        Err(Wrong { what, at: self.at })
    }

    fn memory(&self, _: AllocError) -> Wrong {
        Wrong { what: "no memory", at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Goes past a byte, and the space before it, if it comes next.
    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    fn value(&mut self) -> Parsed<Json<'a>> {
        self.space();
        match self.peek() {
            Some(b'{') => self.record(),
            Some(b'[') => self.list(),
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Parsed<Json<'a>> {
        let rest = &self.text[self.at..];
        let words =
            [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))];
        let Some((word, value)) = words.into_iter().find(|(word, _)| rest.starts_with(word)) else {
            return self.wrong("a value is missing");
        };
        self.at += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Parsed<Json<'a>> {
        let rest = &self.text[self.at..];
        let digits = |byte: u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let len = rest.bytes().position(|byte| !digits(byte)).unwrap_or(rest.len());
        let Ok(number) = rest[..len].parse() else { return self.wrong("not a number") };
        self.at += len;
        Ok(Json::Number(number))
    }

    fn string(&mut self) -> Parsed<&'a str> {
        self.at += 1;
        let start = self.at;
        let mut anew: Option<String<&'a Bump>> = None;
        loop {
            let rest = &self.text[self.at..];
            let Some(len) =
                rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\')
            else {
                return self.wrong("a string without an end");
            };
            let plain = &rest[..len];
            self.at += len;
            let end = self.peek();
            if end == Some(b'"') {
                self.at += 1;
                return match anew {
                    None => Ok(&self.text[start..start + len]),
                    Some(mut text) => {
                        text.try_push_str(plain).map_err(|it| self.memory(it))?;
                        Ok(text.into_str())
                    }
                };
            }
            if end != Some(b'\\') {
                return self.wrong("a control character in a string");
            }
            let text = anew.get_or_insert_with(|| String::new_in(self.arena));
            text.try_push_str(plain).map_err(|_| Wrong { what: "no memory", at: self.at })?;
            let character = self.escape()?;
            let text = anew.get_or_insert_with(|| String::new_in(self.arena));
            text.try_push(character).map_err(|_| Wrong { what: "no memory", at: self.at })?;
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Parsed<char> {
        self.at += 1;
        let Some(byte) = self.peek() else { return self.wrong("an escape without an end") };
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex()?;
                let second = if (0xd800..0xdc00).contains(&first) {
                    if !self.text[self.at..].starts_with("\\u") {
                        return self.wrong("half a character");
                    }
                    self.at += 2;
                    Some(self.hex()?)
                } else {
                    None
                };
                let units = [Some(first), second];
                let mut character = char::decode_utf16(units.into_iter().flatten());
                match character.next() {
                    Some(Ok(character)) => character,
                    _ => return self.wrong("half a character"),
                }
            }
            _ => return self.wrong("an unknown escape"),
        })
    }

    fn hex(&mut self) -> Parsed<u16> {
        let digits = self.text.get(self.at..self.at + 4);
        let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(unit) = digits.and_then(|text| u16::from_str_radix(text, 16).ok()) else {
            return self.wrong("four hexadecimal digits are missing");
        };
        self.at += 4;
        Ok(unit)
    }

    /// Things between two brackets, with commas.
    fn between<T: Copy>(
        &mut self,
        close: u8,
        mut thing: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<&'a [T]> {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.wrong("nested too deeply");
        }
        let mut all = Vec::new_in(self.arena);
        while !self.eat(close) {
            if !all.is_empty() && !self.eat(b',') {
                return self.wrong("a comma is missing");
            }
            let one = thing(self)?;
            all.try_push(one).map_err(|_| self.memory(AllocError))?;
        }
        self.depth -= 1;
        Ok(all.into_slice())
    }

    fn list(&mut self) -> Parsed<Json<'a>> {
        Ok(Json::List(self.between(b']', Self::value)?))
    }

    fn record(&mut self) -> Parsed<Json<'a>> {
        let fields = self.between(b'}', |parser| {
            parser.space();
            if parser.peek() != Some(b'"') {
                return parser.wrong("a name is missing");
            }
            let name = parser.string()?;
            if !parser.eat(b':') {
                return parser.wrong("a colon is missing");
            }
            Ok((name, parser.value()?))
        })?;
        Ok(Json::Record(fields))
    }
}

fn parse<'a>(text: &'a str, arena: &'a Bump) -> Parsed<Json<'a>> {
    let mut parser = Parser { text, at: 0, depth: 0, arena };
    let value = parser.value()?;
    parser.space();
    if parser.at == text.len() { Ok(value) } else { parser.wrong("something behind the end") }
}

/// Values in a tree.
fn count(json: &Json<'_>) -> usize {
    match json {
        Json::List(all) => 1 + all.iter().map(count).sum::<usize>(),
        Json::Record(all) => 1 + all.iter().map(|(_, value)| count(value)).sum::<usize>(),
        _ => 1,
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arena = Bump::new();
    for file in std::env::args_os().skip(1) {
        let text = std::fs::read_to_string(&file)?;
        match parse(&text, &arena) {
            Ok(json) => println!(
                "{}: {} values, {} bytes of text, {} of tree",
                file.display(),
                count(&json),
                text.len(),
                arena.reserved(),
            ),
            Err(wrong) => println!("{}: {} at byte {}", file.display(), wrong.what, wrong.at),
        }
        arena.reset();
    }

    own_document(&arena);
    Ok(())
}

/// What every parser gets wrong once.
fn own_document(arena: &Bump) {
    let text = r#" {"name": "a\u00e9\ud83d\ude00\n", "list": [1, -2.5e1, true, null, [], {}]} "#;
    let json = parse(text, arena);
    let list = [
        Json::Number(1.0),
        Json::Number(-25.0),
        Json::Bool(true),
        Json::Null,
        Json::List(&[]),
        Json::Record(&[]),
    ];
    let want = [("name", Json::Text("aé😀\n")), ("list", Json::List(&list))];
    assert_eq!(json, Ok(Json::Record(&want)));
    for wrong in ["", "[1", "[1 2]", "{\"a\"}", "\"\\x\"", "\"\\ud800\"", "1 1", "nul", "-"] {
        assert!(parse(wrong, arena).is_err(), "{wrong}");
    }
    assert!(parse(&"[".repeat(100_000), arena).is_err());
    println!("and the example's own document is as it should be");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field<'a>(json: Json<'a>, name: &str) -> Option<Json<'a>> {
        let Json::Record(fields) = json else { return None };
        fields.iter().find(|(it, _)| *it == name).map(|(_, value)| *value)
    }

    #[test]
    fn the_own_document() {
        own_document(&Bump::new());
    }

    /// What cargo says about this workspace: a real document, of many kilobytes.
    #[test]
    fn a_document_from_the_world() {
        let cargo = std::process::Command::new(env!("CARGO"))
            .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
            .output()
            .expect("cargo runs this test");
        let text = std::string::String::from_utf8(cargo.stdout).expect("JSON is UTF-8");
        let arena = Bump::new();
        let json = parse(&text, &arena).expect("cargo writes JSON");
        let Some(Json::List(packages)) = field(json, "packages") else { panic!("no packages") };
        let kit = Some(Json::Text("allod-kit"));
        assert!(packages.iter().any(|package| field(*package, "name") == kit));
        assert!(count(&json) > 100 && arena.reserved() < 100 * text.len());
    }
}
