//! The same rows asked of several allocators, as a document.
//!
//! ```text
//!   probe --preload target/release/liballod.so --beside glibc --beside "mimalloc 3=libmimalloc.so"
//!         --write docs/contracts.md
//! ```

use crate::Arguments;
use crate::row::Row;
use crate::run::{self, Outcome, Results};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A column: its name, and the library (none for the system's own).
type Column = (String, Option<PathBuf>);

/// The columns: the library under test, then those beside it.
fn columns(arguments: &Arguments) -> Vec<Column> {
    let first = arguments.preload.clone().map(|path| (stem(&path), Some(path)));
    let beside = arguments.beside.iter().map(|word| match word.split_once('=') {
        Some((name, path)) => (name.to_owned(), Some(PathBuf::from(path))),
        None if word == "glibc" => (word.clone(), None),
        None => (stem(Path::new(word)), Some(PathBuf::from(word))),
    });
    first.into_iter().chain(beside).collect()
}

/// `liballod.so` is `allod`.
fn stem(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = file.split(".so").next().unwrap_or(&file);
    stem.strip_prefix("lib").unwrap_or(stem).to_owned()
}

/// Asks everybody, and writes the document. True when the first column kept all.
pub(crate) fn write(
    chosen: &[&'static Row],
    arguments: &Arguments,
    file: &Path,
) -> Result<bool, String> {
    let mut answers = Vec::new();
    for (name, library) in columns(arguments) {
        let arguments = Arguments { preload: library, ..arguments.clone() };
        answers.push((name, run::all(chosen, &arguments)?));
    }
    std::fs::write(file, document(chosen, &answers)).map_err(|error| error.to_string())?;
    let first = answers.first().ok_or("which library? --preload PATH")?;
    Ok(first.1.rows.iter().all(|row| row.outcome != Outcome::Fail))
}

/// What came of one row, for a cell of the table.
fn word(results: &Results, place: usize) -> &'static str {
    match results.rows.get(place).map(|row| row.outcome) {
        Some(Outcome::Pass) => "yes",
        Some(Outcome::Fail) => "**no**",
        Some(Outcome::Skip) | None => "not asked",
    }
}

fn document(chosen: &[&'static Row], answers: &[(String, Results)]) -> String {
    let mut text = String::from(
        "# Contracts\n\n\
         Made by `cargo run --release -p allod-checks --bin probe -- --preload target/release/liballod.so --write\n\
         docs/contracts.md`, with a `--beside` for each other column. Not to be edited. Every row is one promise, asked in a\n\
         process of its own with the library preloaded; the tests of `checks` require all of them of `liballod.so`. A *no* of\n\
         somebody else's is not always a fault: where the source is \"quality\", no standard asks for it.\n\n",
    );
    let names: Vec<&str> = answers.iter().map(|(name, _)| name.as_str()).collect();
    let _ = writeln!(text, "| | kept | not kept | not asked |\n|---|---:|---:|---:|");
    for (name, results) in answers {
        let count = |outcome| results.rows.iter().filter(|row| row.outcome == outcome).count();
        let counts = [Outcome::Pass, Outcome::Fail, Outcome::Skip].map(count);
        let _ = writeln!(text, "| {name} | {} | {} | {} |", counts[0], counts[1], counts[2]);
    }
    let _ = writeln!(text, "\n| # | promise | source | {} |", names.join(" | "));
    let _ = writeln!(text, "|---:|---|---|{}", "---|".repeat(names.len()));
    for (place, row) in chosen.iter().enumerate() {
        let cells: Vec<&str> = answers.iter().map(|(_, results)| word(results, place)).collect();
        let cells = cells.join(" | ");
        let _ = writeln!(text, "| {} | {} | {} | {cells} |", row.number, row.expected, row.source);
    }
    text += "\n## What was seen instead\n\n";
    for (name, results) in answers {
        for row in results.rows.iter().filter(|row| row.outcome == Outcome::Fail) {
            let _ = writeln!(text, "* {name}, {} `{}`: {}", row.row, row.check, plain(&row.remark));
        }
    }
    text
}

/// A remark without addresses and paths, which are others in each run.
fn plain(remark: &str) -> String {
    let words = remark.split(' ').map(|word| {
        if word.split_once("0x").is_some_and(|(_, digits)| digits.len() > 8) {
            "(address)"
        } else if word.starts_with('/') {
            word.rsplit('/').next().unwrap_or(word)
        } else {
            word
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_lose_what_changes() {
        assert_eq!(
            plain("0x100: gave memory at 0x7f1234567890 of /usr/lib/libx.so"),
            "0x100: gave memory at (address) of libx.so"
        );
        assert_eq!(stem(Path::new("/a/libjemalloc.so.2")), "jemalloc");
        assert_eq!(stem(Path::new("plain")), "plain");
    }
}
