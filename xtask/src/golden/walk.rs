//! The hit path: the instructions one call executes when nothing is unusual.
//!
//! A fast path is call-free by design: whatever is rare is a call, or a jump
//! out of the function, to code marked cold. So the machine code itself tells
//! the two apart, and we need no faith in how the compiler laid out the
//! branches:
//!
//! ```text
//!   clean path   from the entry to a `ret` of the same function, with no call,
//!                no indirect jump, no trap and no jump out of the function
//!   hit path     the longest clean path
//! ```
//!
//! Every call that stays on the fast path takes some clean path, so the hit
//! path is an upper bound for all of them: an early return (`free(NULL)`) is
//! shorter and hides behind it (the column `least` tells how much). A rare branch that is written inline, without
//! a call, counts as if it were hit. That is deliberate: it costs the fast path
//! its code bytes and registers, and the column `paths` shows that it came.
//!
//! One call is allowed and counted: to a function that holds a lone `ret`. The
//! compiler plants such a marker before each call of the global allocator, and
//! it stays there when there is no link-time optimization.
//!
//! A function that is nothing but a jump to another one is that other one: the
//! linker or the optimizer found two with the same code. The jump counts.
//!
//! A loop inside the clean part has no honest count, and is an error.

use anyhow::{Result, bail};
use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind,
};
use std::collections::HashMap;

/// More clean paths than this is not a fast path.
const MOST_PATHS: usize = 1000;

/// What the hit path is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// All instructions.
    pub(super) instructions: u64,
    /// Reads of memory, pops included; the `ret` apart.
    pub(super) loads: u64,
    /// Writes of memory, pushes included; the call of a marker apart.
    pub(super) stores: u64,
    /// `cmp`, `test` and `bt`.
    pub(super) compares: u64,
    /// Conditional jumps, taken or not.
    pub(super) branches: u64,
    /// Calls of markers; other calls are not on a clean path.
    pub(super) calls: u64,
    /// Instructions that lock the bus or the cache line.
    pub(super) locked: u64,
    /// How many clean paths the function has.
    pub(super) paths: u64,
    /// Instructions on the shortest of them.
    pub(super) least: u64,
}

/// The instructions of a function's hit path, in the order of execution.
pub(super) struct HitPath {
    pub(super) instructions: Vec<Instruction>,
    paths: u64,
    /// Length of the shortest clean path, its `ret` included.
    shortest: usize,
}

impl HitPath {
    /// The same path, entered through a jump.
    pub(super) fn entered_by(mut self, jump: Instruction) -> Self {
        self.instructions.insert(0, jump);
        self.shortest += 1;
        self
    }

    /// Counts. Without `with_ret` the final `ret` is left out, as for a
    /// function that stands for code the compiler inlines.
    pub(super) fn counts(&self, with_ret: bool) -> Counts {
        let least = self.shortest as u64 - u64::from(!with_ret);
        let mut counts = Counts { paths: self.paths, least, ..Counts::default() };
        let mut details = InstructionInfoFactory::new();
        for instruction in &self.instructions {
            let flow = instruction.flow_control();
            if flow == FlowControl::Return {
                counts.instructions += u64::from(with_ret);
                continue;
            }
            counts.instructions += 1;
            counts.branches += u64::from(flow == FlowControl::ConditionalBranch);
            if matches!(flow, FlowControl::Call | FlowControl::IndirectCall) {
                counts.calls += 1;
                continue;
            }
            let compares = [Mnemonic::Cmp, Mnemonic::Test, Mnemonic::Bt];
            counts.compares += u64::from(compares.contains(&instruction.mnemonic()));
            counts.locked += u64::from(is_locked(instruction));
            for memory in details.info(instruction).used_memory() {
                let access = memory.access();
                let reads = [
                    OpAccess::Read,
                    OpAccess::CondRead,
                    OpAccess::ReadWrite,
                    OpAccess::ReadCondWrite,
                ];
                let writes = [
                    OpAccess::Write,
                    OpAccess::CondWrite,
                    OpAccess::ReadWrite,
                    OpAccess::ReadCondWrite,
                ];
                counts.loads += u64::from(reads.contains(&access));
                counts.stores += u64::from(writes.contains(&access));
            }
        }
        counts
    }
}

/// The target of a function that is a single jump.
pub(super) fn sole_jump(address: u64, bytes: &[u8]) -> Option<Instruction> {
    let mut code = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
    let first = code.decode();
    let is_jump = first.flow_control() == FlowControl::UnconditionalBranch;
    (is_jump && !code.can_decode()).then_some(first)
}

/// `xchg` with memory locks without being told to.
fn is_locked(instruction: &Instruction) -> bool {
    let touches_memory =
        (0..instruction.op_count()).any(|i| instruction.op_kind(i) == OpKind::Memory);
    instruction.has_lock_prefix() || (instruction.mnemonic() == Mnemonic::Xchg && touches_memory)
}

/// Finds the hit path of the function whose `bytes` stand at `address`.
/// `is_marker` tells of a call whether it reaches a lone `ret`.
pub(super) fn hit_path(
    address: u64,
    bytes: &[u8],
    is_marker: &dyn Fn(&Instruction) -> bool,
) -> Result<HitPath> {
    let code: Vec<Instruction> =
        Decoder::with_ip(64, bytes, address, DecoderOptions::NONE).iter().collect();
    let next = successors(&code, is_marker);
    let clean = leads_to_ret(&code, &next);
    if !clean.first().is_some_and(|clean| *clean) {
        bail!("no path to `ret` without a call");
    }
    let mut walk = Walk {
        on_path: vec![false; code.len()],
        code: &code,
        next: &next,
        clean: &clean,
        path: Vec::new(),
        longest: Vec::new(),
        shortest: usize::MAX,
        paths: 0,
    };
    walk.step(0)?;
    let instructions = walk.longest.iter().map(|i| code[*i]).collect();
    Ok(HitPath { instructions, paths: walk.paths as u64, shortest: walk.shortest })
}

/// Where each instruction may go on inside the function; fall-through first.
fn successors(code: &[Instruction], is_marker: &dyn Fn(&Instruction) -> bool) -> Vec<Vec<usize>> {
    let places: HashMap<u64, usize> =
        code.iter().enumerate().map(|(i, instruction)| (instruction.ip(), i)).collect();
    let successors_of = |instruction: &Instruction| {
        let through = Some(instruction.next_ip());
        let jump = Some(instruction.near_branch_target());
        let both = match instruction.flow_control() {
            _ if instruction.is_invalid() => [None, None],
            FlowControl::Next => [through, None],
            FlowControl::ConditionalBranch => [through, jump],
            FlowControl::UnconditionalBranch => [jump, None],
            FlowControl::Call | FlowControl::IndirectCall if is_marker(instruction) => {
                [through, None]
            }
            _ => [None, None],
        };
        both.iter().flatten().filter_map(|ip| places.get(ip).copied()).collect()
    };
    code.iter().map(successors_of).collect()
}

/// For each instruction, whether a clean path leads from it to a `ret`.
fn leads_to_ret(code: &[Instruction], next: &[Vec<usize>]) -> Vec<bool> {
    let mut clean: Vec<bool> =
        code.iter().map(|instruction| instruction.flow_control() == FlowControl::Return).collect();
    loop {
        let mut changed = false;
        for i in (0..code.len()).rev() {
            if !clean[i] && next[i].iter().any(|next| clean[*next]) {
                clean[i] = true;
                changed = true;
            }
        }
        if !changed {
            return clean;
        }
    }
}

/// A depth-first walk over all clean paths. Numbers are places in `code`.
struct Walk<'a> {
    code: &'a [Instruction],
    next: &'a [Vec<usize>],
    clean: &'a [bool],
    on_path: Vec<bool>,
    path: Vec<usize>,
    longest: Vec<usize>,
    shortest: usize,
    paths: usize,
}

impl Walk<'_> {
    fn step(&mut self, at: usize) -> Result<()> {
        if self.on_path[at] {
            bail!("a loop without a call, at {:#x}", self.code[at].ip());
        }
        self.on_path[at] = true;
        self.path.push(at);
        if self.code[at].flow_control() == FlowControl::Return {
            self.paths += 1;
            if self.paths > MOST_PATHS {
                bail!("more than {MOST_PATHS} paths");
            }
            self.shortest = self.shortest.min(self.path.len());
            if self.path.len() > self.longest.len() {
                self.longest.clone_from(&self.path);
            }
        }
        let next = self.next;
        for next in &next[at] {
            if self.clean[*next] {
                self.step(*next)?;
            }
        }
        self.path.pop();
        self.on_path[at] = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
