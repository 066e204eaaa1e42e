//! The transcript of a run: everything a program answered, as text.
//!
//! Statuses, what each command printed, and the output files. Long outputs
//! stand as length and hash. What differs from run to run by right, such as
//! times and addresses, is scrubbed. Two runs did the same when their
//! transcripts are equal.

use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::path::Path;

use anyhow::Result;
use regex::Regex;
use similar::{ChangeTag, TextDiff};

use crate::plan::{Order, Report, Role};

/// Outputs up to this many bytes are kept as text and can be shown in a diff.
const SHOWN: usize = 256 << 10;
/// Characters of a line that a diff shows.
const LINE: usize = 160;
/// Bytes of an output that does not count, when its program failed.
const LAST_WORDS: usize = 2 << 10;

/// What differs in every program: addresses.
const ALWAYS: [(&str, &str); 1] = [("0x[0-9a-fA-F]{6,}", "ADDRESS")];

/// Replaces what may differ.
#[derive(Debug)]
pub(crate) struct Scrubber {
    patterns: Vec<(Regex, String)>,
}

impl Scrubber {
    /// A scrubber for a row's patterns and for the directories of the run.
    pub(crate) fn new(rows: &[(&str, &str)]) -> Result<Scrubber> {
        let patterns = rows
            .iter()
            .chain(&ALWAYS)
            .map(|(pattern, with)| Ok((Regex::new(pattern)?, (*with).to_string())))
            .collect::<Result<_>>()?;
        Ok(Scrubber { patterns })
    }

    fn scrub(&self, text: &str, directories: &[(&Path, &str)]) -> String {
        let mut text = text.to_string();
        for (directory, with) in directories {
            text = text.replace(&directory.display().to_string(), with);
        }
        for (pattern, with) in &self.patterns {
            text = pattern.replace_all(&text, with.as_str()).into_owned();
        }
        text
    }
}

/// Writes down what the run in `order` answered.
pub(crate) fn of(order: &Order, report: &Report, scrubber: &Scrubber) -> Result<String> {
    let mut text = String::new();
    let directories = [(order.work.as_path(), "WORK"), (order.logs.as_path(), "LOGS")];
    for (i, (step, end)) in order.plan.steps.iter().zip(&report.ends).enumerate() {
        let role = if step.role == Role::Client { " (client)" } else { "" };
        let program = Path::new(&step.argv[0]).file_name().unwrap_or_default();
        writeln!(text, "== {i}: {}{role}: {}", program.display(), end.status)?;
        for stream in ["out", "err"] {
            let bytes = fs::read(order.logs.join(format!("{i}.{stream}")))?;
            let bytes = if step.heard {
                &bytes[..]
            } else if end.status != "exit 0" {
                // Nobody listens to it, but now it may say what went wrong.
                &bytes[bytes.len().saturating_sub(LAST_WORDS)..]
            } else {
                &[]
            };
            if !bytes.is_empty() {
                write!(text, "{}", passage(stream, bytes, scrubber, &directories))?;
            }
        }
    }
    for output in &order.plan.outputs {
        let name = output.display().to_string();
        match fs::read(order.work.join(output)) {
            Ok(bytes) => write!(text, "{}", passage(&name, &bytes, scrubber, &directories))?,
            Err(error) => writeln!(text, "-- {name}: {error}")?,
        }
    }
    if report.timed_out {
        writeln!(text, "== killed after {} seconds", order.limit)?;
    }
    Ok(text)
}

/// One output as a passage of the transcript.
fn passage(name: &str, bytes: &[u8], scrubber: &Scrubber, directories: &[(&Path, &str)]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= SHOWN => {
            let text = scrubber.scrub(text, directories);
            format!("-- {name}\n{}\n", text.trim_end_matches('\n'))
        }
        _ => {
            // The standard hasher has fixed keys, and we compare within one process.
            let mut hasher = DefaultHasher::new();
            hasher.write(bytes);
            format!("-- {name}: {} bytes, hash {:016x}\n", bytes.len(), hasher.finish())
        }
    }
}

/// The lines in which two transcripts differ, for people.
pub(crate) fn difference(expected: &str, found: &str) -> String {
    let diff = TextDiff::from_lines(expected, found);
    let mut text = String::new();
    // What was found is worth more lines than what was to be expected.
    let mut left = [(ChangeTag::Equal, 10), (ChangeTag::Delete, 20), (ChangeTag::Insert, 40)];
    for group in diff.grouped_ops(1) {
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            let Some((_, left)) = left.iter_mut().find(|(tag, _)| *tag == change.tag()) else {
                continue;
            };
            if *left == 0 {
                continue;
            }
            *left -= 1;
            let line = change.value().trim_end_matches('\n');
            let cut: String = line.chars().take(LINE).collect();
            text.push_str(&format!("    {}{cut}\n", change.tag()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_directories_are_scrubbed_and_values_are_not() {
        let scrubber = Scrubber::new(&[(r"\d+ ms", "TIME")]).unwrap();
        let directories = [(Path::new("/x/work"), "WORK")];
        let text = scrubber.scrub("at 0x7f00dead1000 in /x/work/a: 17 ms, sum 42", &directories);
        assert_eq!(text, "at ADDRESS in WORK/a: TIME, sum 42");
    }

    #[test]
    fn a_difference_names_both_sides() {
        let text = difference("a\nb\nc\n", "a\nB\nc\n");
        assert!(text.contains("-b") && text.contains("+B"), "{text}");
    }

    #[test]
    fn long_outputs_compare_by_hash() {
        let scrubber = Scrubber::new(&[]).unwrap();
        let long = vec![b'x'; SHOWN + 1];
        let mut other = long.clone();
        other[77] = b'y';
        let of = |bytes: &[u8]| passage("out", bytes, &scrubber, &[]);
        assert_eq!(of(&long), of(&long));
        assert_ne!(of(&long), of(&other));
    }
}
