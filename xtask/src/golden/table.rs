//! The golden file: what was counted, and what may not be passed.
//!
//! ```text
//!   # Any words.                        the preamble, kept as it is
//!   rustc 1.95.0
//!
//!   [liballod.so default]               a section for each twin
//!   function  instructions  loads ...   the counts, written by `--bless`
//!   malloc              14      5
//!   tls bytes           16
//!
//!   # Any words.                        the limits, written by hand
//!   limit malloc + free: instructions <= 39
//!   limit all: calls <= 0
//!   limit tls: bytes <= 64
//! ```
//!
//! The counts say what is, and change with the code. The limits say what must
//! stay true, and change only when we decide to want something else. Both are
//! compared as text, so the file has one spelling.

use super::walk::Counts;
use anyhow::{Context, Result, bail};
use std::fmt::Write;

/// The columns, in order, with the way to get each.
type Column = (&'static str, fn(&Counts) -> u64);
const COLUMNS: [Column; 9] = [
    ("instructions", |counts| counts.instructions),
    ("loads", |counts| counts.loads),
    ("stores", |counts| counts.stores),
    ("compares", |counts| counts.compares),
    ("branches", |counts| counts.branches),
    ("calls", |counts| counts.calls),
    ("locked", |counts| counts.locked),
    ("paths", |counts| counts.paths),
    ("least", |counts| counts.least),
];

/// What was counted in one build.
pub(super) struct Section {
    /// What was built, and how.
    pub(super) name: String,
    /// The functions with their counts.
    pub(super) rows: Vec<(String, Counts)>,
    /// Bytes of the thread-local segment, where that matters.
    pub(super) tls: Option<u64>,
}

/// The part of the golden file that `--bless` keeps.
pub(super) struct Kept {
    preamble: String,
    /// Name of a section, and its lines with limits and words.
    limits: Vec<(String, Vec<String>)>,
}

impl Kept {
    /// Takes the preamble and the limits out of a golden file.
    pub(super) fn parse(text: &str) -> Self {
        let mut kept = Self { preamble: String::new(), limits: Vec::new() };
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
                kept.limits.push((name.to_owned(), Vec::new()));
            } else if let Some((_, lines)) = kept.limits.last_mut() {
                if line.starts_with("limit ") || line.starts_with('#') {
                    lines.push(line.to_owned());
                }
            } else if line.starts_with('#') {
                kept.preamble.push_str(line);
                kept.preamble.push('\n');
            }
        }
        kept
    }

    fn limits_of(&self, section: &str) -> &[String] {
        let found = self.limits.iter().find(|(name, _)| name == section);
        found.map_or(&[], |(_, lines)| lines)
    }

    /// The golden file with these counts in it.
    pub(super) fn render(&self, rustc: &str, sections: &[Section]) -> String {
        let mut text = format!("{}rustc {rustc}\n", self.preamble);
        for section in sections {
            let _ = write!(text, "\n[{}]\n{:<22}", section.name, "function");
            for (name, _) in COLUMNS {
                let _ = write!(text, "  {name}");
            }
            text.push('\n');
            for (function, counts) in &section.rows {
                let _ = write!(text, "{function:<22}");
                for (name, get) in COLUMNS {
                    let _ = write!(text, "  {:>width$}", get(counts), width = name.len());
                }
                text.push('\n');
            }
            if let Some(tls) = section.tls {
                let _ = writeln!(text, "{:<22}  {tls:>12}", "tls bytes");
            }
            let limits = self.limits_of(&section.name);
            if !limits.is_empty() {
                let _ = writeln!(text, "\n{}", limits.join("\n"));
            }
        }
        text
    }

    /// The limits that the counts pass, each as a sentence.
    pub(super) fn passed_limits(&self, sections: &[Section]) -> Result<Vec<String>> {
        if let Some((gone, _)) =
            self.limits.iter().find(|(name, _)| sections.iter().all(|it| it.name != *name))
        {
            bail!("the golden file speaks of [{gone}], which is not built");
        }
        let mut passed = Vec::new();
        for section in sections {
            for line in self.limits_of(&section.name) {
                let Some(limit) = line.strip_prefix("limit ") else { continue };
                let fault =
                    passes(section, limit).with_context(|| format!("[{}] {line}", section.name))?;
                if let Some(fault) = fault {
                    passed.push(format!("[{}] {line}: {fault}", section.name));
                }
            }
        }
        Ok(passed)
    }
}

/// Holds one section against one limit; tells what is too many.
fn passes(section: &Section, limit: &str) -> Result<Option<String>> {
    let (who, law) = limit.split_once(": ").context("no colon")?;
    let (what, most) = law.split_once(" <= ").context("no `<=`")?;
    let most: u64 = most.trim().parse().context("no number")?;
    let too_many = |name: &str, seen: u64| (seen > most).then(|| format!("{name} has {seen}"));
    if who == "tls" {
        return Ok(too_many("it", section.tls.context("no such row")?));
    }
    let get = COLUMNS.iter().find(|(name, _)| *name == what).context("no such column")?.1;
    if who == "all" {
        return Ok(section.rows.iter().find_map(|(name, counts)| too_many(name, get(counts))));
    }
    let mut sum = 0;
    for name in who.split(" + ") {
        let row = section.rows.iter().find(|(function, _)| function == name);
        sum += get(&row.with_context(|| format!("no row `{name}`"))?.1);
    }
    Ok(too_many("it", sum))
}

/// The lines that differ, each with its section: `-` before, `+` now.
pub(super) fn difference(before: &str, now: &str) -> Vec<String> {
    let tagged = |text: &str| {
        let mut section = String::new();
        let mut lines = Vec::new();
        for line in text.lines() {
            if line.starts_with('[') {
                section = format!("{line} ");
            }
            lines.push(format!("{section}{line}"));
        }
        lines
    };
    let (before, now) = (tagged(before), tagged(now));
    let gone = before.iter().filter(|line| !now.contains(line)).map(|line| format!("- {line}"));
    let come = now.iter().filter(|line| !before.contains(line)).map(|line| format!("+ {line}"));
    gone.chain(come).collect()
}

#[cfg(test)]
mod tests;
