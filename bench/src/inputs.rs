//! Inputs that are too big to keep in the repository, made with a fixed seed.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;

/// The seed of all inputs.
pub(crate) const SEED: u64 = 0xA110D;

/// Names of the syllables that words are made of.
const SYLLABLES: [&str; 24] = [
    "al", "lo", "cat", "or", "span", "chu", "nk", "re", "gi", "on", "bl", "ock", "he", "ap", "fr",
    "ee", "pur", "ge", "com", "mit", "ad", "opt", "sli", "ce",
];

/// A word of one to four syllables. Short ones come up often, as in a language.
pub(crate) fn word(random: &mut Rng) -> String {
    let count = 1 + random.usize(0..4).min(random.usize(0..4));
    (0..count).map(|_| SYLLABLES[random.usize(..SYLLABLES.len())]).collect()
}

/// A text file of `lines` lines of words and numbers.
pub(crate) fn text(file: &Path, lines: u64) -> Result<()> {
    let mut random = Rng::with_seed(SEED);
    let mut out = BufWriter::new(File::create(file)?);
    for _ in 0..lines {
        write!(out, "{}", random.u32(..1_000_000))?;
        for _ in 0..random.usize(3..12) {
            write!(out, " {}", word(&mut random))?;
        }
        writeln!(out)?;
    }
    Ok(out.flush()?)
}

/// Commands for a redis server: strings, lists, sets, hashes, sorted sets, and
/// deletions among them.
pub(crate) fn redis(file: &Path, commands: u64) -> Result<()> {
    let mut random = Rng::with_seed(SEED);
    let mut out = BufWriter::new(File::create(file)?);
    let keys = (commands / 8).max(1);
    for _ in 0..commands {
        let key = random.u64(..keys);
        let value = word(&mut random).repeat(random.usize(1..12));
        match random.u32(..10) {
            0 | 1 => writeln!(out, "SET s:{key} {value}")?,
            2 => writeln!(out, "APPEND s:{key} {value}")?,
            3 => writeln!(out, "RPUSH l:{key} {value}")?,
            4 => writeln!(out, "LPOP l:{key}")?,
            5 => writeln!(out, "SADD t:{key} {value}")?,
            6 => writeln!(out, "HSET h:{key} {} {value}", word(&mut random))?,
            7 => writeln!(out, "ZADD z:{key} {} {value}", random.u32(..1000))?,
            8 => writeln!(out, "DEL s:{key} l:{}", random.u64(..keys))?,
            _ => writeln!(out, "INCRBY n:{key} {}", random.u32(..100))?,
        }
    }
    Ok(out.flush()?)
}

/// A git repository with `commits` commits on one branch.
pub(crate) fn repository(directory: &Path, commits: u64) -> Result<()> {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("/usr/bin/git");
        command.env_clear().env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", directory);
        command.arg("-C").arg(directory).args(arguments);
        command
    };
    fs::create_dir_all(directory)?;
    let made = git(&["init", "--quiet", "--initial-branch=main"]).status()?;
    ensure!(made.success(), "git init failed");
    // No commit may make a pack so big that `gc` has nothing to do.
    let mut import = git(&["-c", "fastimport.unpackLimit=0", "fast-import", "--quiet"])
        .stdin(Stdio::piped())
        .spawn()?;
    let pipe = import.stdin.take().context("fast-import has no input")?;
    let written = history(&mut BufWriter::new(pipe), commits);
    let status = import.wait()?;
    written?;
    ensure!(status.success(), "git fast-import failed");
    Ok(())
}

/// The repository as a stream for `git fast-import`: each commit edits a few
/// files of a tree of a hundred.
fn history(out: &mut impl std::io::Write, commits: u64) -> Result<()> {
    let mut random = Rng::with_seed(SEED);
    let mut files: Vec<Vec<String>> = (0..100)
        .map(|_| (0..random.usize(20..200)).map(|_| sentence(&mut random)).collect())
        .collect();
    for commit in 0..commits {
        let message = format!("Commit {commit}: {}", sentence(&mut random));
        let time = 1_700_000_000 + commit * 600;
        writeln!(out, "commit refs/heads/main")?;
        writeln!(out, "committer Bench <bench@example.org> {time} +0000")?;
        writeln!(out, "data {}\n{message}", message.len())?;
        let all = commit == 0;
        let touched = if all { files.len() } else { random.usize(1..6) };
        for i in 0..touched {
            let index = if all { i } else { random.usize(..files.len()) };
            let lines = &mut files[index];
            for _ in 0..random.usize(1..8) {
                let at = random.usize(..lines.len());
                match random.u32(..3) {
                    0 => lines.insert(at, sentence(&mut random)),
                    1 if lines.len() > 10 => drop(lines.remove(at)),
                    _ => lines[at] = sentence(&mut random),
                }
            }
            let text = lines.join("\n");
            writeln!(out, "M 100644 inline src/part{}/file{index}.txt", index % 7)?;
            writeln!(out, "data {}\n{text}", text.len())?;
        }
        writeln!(out)?;
    }
    Ok(out.flush()?)
}

/// Some words in a row.
fn sentence(random: &mut Rng) -> String {
    let mut text = word(random);
    for _ in 0..random.usize(2..12) {
        // Writing to a string cannot fail.
        let _ = write!(text, " {}", word(random));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_the_same_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (directory.path().join("1"), directory.path().join("2"));
        text(&one, 100).unwrap();
        text(&two, 100).unwrap();
        assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
        redis(&one, 100).unwrap();
        redis(&two, 100).unwrap();
        assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
    }
}
