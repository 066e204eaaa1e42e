//! `atomics`: locked instructions of each allocator, by number of threads.
//!
//! How an allocator behaves on 64 processors cannot be timed on two. What decides it
//! can be counted on one: an instruction that reads and writes memory as one step has
//! to own the cache line, and where other processors want the same line, it waits for
//! them. valgrind executes the program and says how often each instruction was
//! executed; those of the allocator's library that are locked are added up. Valgrind lets
//! one thread run at a time, so what is repeated because somebody came between is not in
//! it: these are the least there can be.
//!
//! Each count is the difference between a run and one of twice as many rounds, so what a
//! thread costs to start and to end is not in it either.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind};
use object::{Object as _, ObjectSection as _, SectionKind};

use crate::job::Need;
use crate::machine::Machine;
use crate::peers::Library;
use crate::report::{Table, replace};
use crate::{AtomicsArguments, artifacts, install, peers};

const VALGRIND: Need = Need { file: "/usr/bin/valgrind", package: "valgrind" };
/// The C library, where glibc's allocator is.
const C_LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/libc.so.6";
/// What a thread does, as the program calls it and as the table does.
const MODES: [(&str, &str); 2] =
    [("own", "its own blocks"), ("passed", "what its neighbour allocated")];
const THREADS: [usize; 5] = [1, 2, 8, 32, 64];
/// Blocks of a round, as `threads` has it.
const BATCH: usize = 128;
/// Rounds of the shorter run.
const ROUNDS: usize = 100;

/// Counts, and prints or writes the table.
pub(crate) fn main(arguments: &AtomicsArguments) -> Result<bool> {
    install::ensure(&[&VALGRIND])?;
    let program = artifacts::build_threads()?;
    let libraries: Vec<Library> = peers::select(&arguments.peers)?
        .iter()
        .map(|peer| peer.library())
        .collect::<Result<_>>()?;
    let heads =
        ["threads".to_string()].into_iter().chain(libraries.iter().map(|it| it.name.clone()));
    let heads: Vec<String> = heads.collect();
    let mut text = format!(
        "Locked instructions in the allocator for a hundred pairs of `malloc` and `free`, by number of threads \
         (valgrind, {}, commit {}). A dash: it does not run under valgrind.\n",
        Machine::here().date,
        artifacts::commit(),
    );
    for (mode, words) in MODES {
        let mut table = Table::new(heads.clone());
        for threads in THREADS {
            let mut row = vec![threads.to_string()];
            for library in &libraries {
                eprintln!("{mode}, {threads} threads, {}", library.name);
                let short = count(&program, library, mode, threads, ROUNDS)?;
                let long = count(&program, library, mode, threads, 2 * ROUNDS)?;
                let pairs = (threads * ROUNDS * BATCH) as f64;
                row.push(match (short, long) {
                    (Some(short), Some(long)) => {
                        format!("{:.1}", (long as f64 - short as f64) * 100.0 / pairs)
                    }
                    _ => "–".to_string(),
                });
            }
            table.row(row);
        }
        text += &format!("\nEach thread frees {}:\n\n{}", words, table.render());
    }
    println!("{text}");
    if let Some(file) = &arguments.write {
        let old = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let new = replace(&old, "atomics", &text)
            .with_context(|| format!("{} has no marks for atomics", file.display()))?;
        fs::write(file, new)?;
    }
    Ok(true)
}

/// Locked instructions that the allocator executes in one run; none if it does not run.
fn count(
    program: &Path,
    library: &Library,
    mode: &str,
    threads: usize,
    rounds: usize,
) -> Result<Option<u64>> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("counts");
    let mut command = Command::new(VALGRIND.file);
    command
        .args([
            "--tool=callgrind",
            "--dump-instr=yes",
            "--compress-strings=no",
            "--compress-pos=no",
        ])
        .args(["--fair-sched=yes", "--quiet"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args([mode.to_string(), threads.to_string(), rounds.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(file) = &library.file {
        command.env("LD_PRELOAD", file).envs(library.env.iter().copied());
    }
    // Some reserve more addresses than valgrind has.
    if !command.status()?.success() {
        return Ok(None);
    }
    let object = match &library.file {
        Some(file) => fs::canonicalize(file)?,
        None => fs::canonicalize(C_LIBRARY)?,
    };
    let locked = locked(&object)?;
    let counts = executed(&fs::read_to_string(&out)?, &object);
    ensure!(!counts.is_empty(), "{} did not serve", library.name);
    Ok(Some(locked.iter().filter_map(|at| counts.get(at)).sum()))
}

/// Addresses in a library of the instructions that lock the line they write to.
fn locked(file: &Path) -> Result<Vec<u64>> {
    let data = fs::read(file)?;
    let elf = object::File::parse(data.as_slice())?;
    let mut found = Vec::new();
    for section in elf.sections().filter(|section| section.kind() == SectionKind::Text) {
        let code = section.data()?;
        for instruction in Decoder::with_ip(64, code, section.address(), DecoderOptions::NONE) {
            let exchange = instruction.mnemonic() == Mnemonic::Xchg
                && (0..instruction.op_count()).any(|i| instruction.op_kind(i) == OpKind::Memory);
            if instruction.has_lock_prefix() || exchange {
                found.push(instruction.ip());
            }
        }
    }
    Ok(found)
}

/// How often each address of `object` was executed. A line after `calls=` has what the
/// callee has cost, and is none of it.
fn executed(text: &str, object: &Path) -> HashMap<u64, u64> {
    let mut counts = HashMap::new();
    let (mut is_ours, mut is_call) = (false, false);
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("ob=") {
            is_ours = Path::new(path) == object;
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if let Some(rest) = line.strip_prefix("0x") {
            let mut words = rest.split(' ');
            let at = words.next().and_then(|word| u64::from_str_radix(word, 16).ok());
            let times = words.nth(1).and_then(|word| word.parse::<u64>().ok());
            if let (true, false, Some(at), Some(times)) = (is_ours, is_call, at, times) {
                *counts.entry(at).or_default() += times;
            }
            is_call = false;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_not_counted_twice_and_other_libraries_not_at_all() {
        let text = "ob=/a\nfn=x\n0x10 0 3\ncalls=7 0x20\n0x14 0 900\n0x18 0 5\nob=/b\n0x10 0 40\nob=/a\n0x10 0 1\n";
        let counts = executed(text, Path::new("/a"));
        assert_eq!(
            (counts.get(&0x10), counts.get(&0x14), counts.get(&0x18)),
            (Some(&4), None, Some(&5))
        );
    }
}
