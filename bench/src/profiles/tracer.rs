//! What heaptrack has written down: every call, with its stack.
//!
//! A line is a letter and hexadecimal numbers:
//!
//! | line | what it says |
//! |---|---|
//! | `t PC PARENT` | the next stack: a program counter above another stack |
//! | `+ SIZE STACK ADDRESS` | allocated |
//! | `- ADDRESS` | freed |
//!
//! A `realloc` is a free and an allocation, one after the other. Behind a marker
//! (`bench/marker`) it has left the object in its place, and if its block has not grown
//! nothing was allocated. A large object that grows where it is counts as another one,
//! with heaptrack as with Allod.
//!
//! Bytes are counted as Allod does, by the block that an object gets.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// Frames of a stack that are compared, from the innermost on. heaptrack ends at 64.
pub(super) const DEPTH: usize = 40;
/// The address that marks a `realloc` in place.
const MARKER: u64 = 1;
/// What large objects are made of.
const SLICE: u64 = 32 << 10;
/// What an object above a slice may have too much, as a share of it.
const SPARE: u64 = 4;

/// A stack: the addresses of the calls, innermost first, at most [`DEPTH`].
pub(super) type Stack = Vec<u64>;

/// What a site allocated, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sum {
    pub(super) allocated: u64,
    /// Live when the process had most live.
    pub(super) peak: u64,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Truth {
    pub(super) stacks: HashMap<Stack, Sum>,
    pub(super) allocations: u64,
    /// Addresses of calls that a name was found for.
    pub(super) names: BTreeSet<u64>,
}

/// Reads a trace. `blocks` are the sizes of blocks, smallest first: all of the small
/// ones, and the large ones that are known.
pub(super) fn read(file: &Path, blocks: &[u64]) -> Result<Truth> {
    // The stacks and the moment of the peak; then who was alive at that moment.
    let mut whole = Reading { blocks, ..Reading::default() };
    whole.follow(file, u64::MAX)?;
    let mut until = Reading { blocks, ..Reading::default() };
    until.follow(file, whole.peak_at)?;
    let mut truth = Truth { allocations: whole.allocations, ..Truth::default() };
    let mut at_peak: HashMap<usize, u64> = HashMap::new();
    for (stack, size) in until.live.values() {
        *at_peak.entry(*stack).or_default() += size;
    }
    for (stack, allocated) in whole.allocated {
        let peak = at_peak.get(&stack).copied().unwrap_or_default();
        let sum = truth.stacks.entry(whole.tree.stack(stack)).or_default();
        sum.allocated += allocated;
        sum.peak += peak;
    }
    Ok(truth)
}

/// The stacks as they are written: each a call above another stack.
#[derive(Debug, Default)]
struct Tree(Vec<(u64, usize)>);

impl Tree {
    /// Stack 0 is empty, and the first that is written is 1.
    fn stack(&self, mut at: usize) -> Stack {
        let mut stack = Stack::new();
        while let Some(&(address, parent)) = at.checked_sub(1).and_then(|at| self.0.get(at)) {
            if stack.len() == DEPTH {
                break;
            }
            stack.push(address);
            at = parent;
        }
        stack
    }
}

#[derive(Debug, Default)]
struct Reading<'a> {
    blocks: &'a [u64],
    tree: Tree,
    /// What is alive, by address: its stack and its block.
    live: HashMap<u64, (usize, u64)>,
    allocated: HashMap<usize, u64>,
    allocations: u64,
    bytes: u64,
    most: u64,
    /// Number of the line with most bytes alive.
    peak_at: u64,
}

impl Reading<'_> {
    /// Reads up to and with line `last`.
    fn follow(&mut self, file: &Path, last: u64) -> Result<()> {
        let mut lines = BufReader::new(File::open(file)?);
        let (mut line, mut number) = (Vec::new(), 0);
        // The object that the line before has freed, and markers that wait for one.
        let mut freed: Option<(u64, usize, u64)> = None;
        let mut marked = 0;
        while number < last {
            line.clear();
            if lines.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            number += 1;
            let text = line.trim_ascii_end();
            let Some((kind, rest)) = text.split_first() else { continue };
            let mut words = rest.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
            let mut next = || hexadecimal(words.next()?);
            let before = freed.take();
            match kind {
                b't' => {
                    let (address, parent) = next().zip(next()).context("a broken stack")?;
                    self.tree.0.push((address, usize::try_from(parent)?));
                }
                b'-' => {
                    let address = next().context("a broken free")?;
                    marked += u32::from(address == MARKER);
                    if let Some((stack, block)) = self.live.remove(&address) {
                        self.bytes -= block;
                        freed = Some((address, stack, block));
                    }
                }
                b'+' => {
                    let (size, stack) = next().zip(next()).context("a broken allocation")?;
                    let address = next().context("a broken allocation")?;
                    let block = block(size, self.blocks);
                    let mut stack = usize::try_from(stack)?;
                    self.bytes += block;
                    let stayed = before.filter(|before| before.0 == address && marked > 0);
                    marked -= u32::from(stayed.is_some());
                    match stayed.filter(|before| block <= before.2) {
                        Some((_, owner, _)) => stack = owner,
                        None => {
                            self.allocations += 1;
                            *self.allocated.entry(stack).or_default() += block;
                        }
                    }
                    self.live.insert(address, (stack, block));
                    if self.bytes > self.most {
                        (self.most, self.peak_at) = (self.bytes, number);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The block that an object of `size` gets. How much more than it asks for a huge object
/// gets depends on what it was before; what a sample has told is taken.
fn block(size: u64, blocks: &[u64]) -> u64 {
    let at = blocks.partition_point(|block| *block < size);
    let fits = |block: &&u64| **block <= SLICE || **block - size <= size / SPARE;
    blocks.get(at).filter(fits).copied().unwrap_or(size.next_multiple_of(SLICE))
}

/// The addresses of calls that heaptrack finds a function for.
pub(super) fn names(trace: &Path, interpreter: &Path) -> Result<BTreeSet<u64>> {
    let output =
        Command::new(interpreter).stdin(File::open(trace)?).stderr(Stdio::null()).output()?;
    ensure!(output.status.success(), "heaptrack could not look up names");
    let lines = output.stdout.split(|byte| *byte == b'\n');
    Ok(lines.filter_map(named).collect())
}

/// `i PC MODULE FUNCTION [FILE LINE ...]`.
fn named(line: &[u8]) -> Option<u64> {
    let mut words = line.strip_prefix(b"i ")?.split(|byte| *byte == b' ');
    let address = hexadecimal(words.next()?)?;
    let function = words.nth(1).and_then(hexadecimal)?;
    (function > 0).then_some(address)
}

fn hexadecimal(word: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()
}

#[cfg(test)]
mod tests;
