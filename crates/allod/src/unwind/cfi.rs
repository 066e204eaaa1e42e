//! Unwind tables: from a program counter to the rule for its frame.
//!
//! Every module carries, for exceptions and debuggers, a description of its
//! functions' frames: `.eh_frame`, one entry (FDE) for each function, each
//! leading to what it shares with others (CIE); and `.eh_frame_hdr`, a sorted
//! table of the entries. An entry is a small program. Executed up to the address
//! in question it yields a row: how to find the canonical frame address (CFA,
//! the stack pointer before the call), and where the caller's registers are.
//!
//! ```text
//!   .eh_frame_hdr            .eh_frame
//!   +--------------+         +------------------------------------------+
//!   | start | FDE -+-------> | FDE: length, CIE -, start, size, program |
//!   | start | FDE  |         | CIE: augmentation, alignments, program   |
//!   +--------------+         +------------------------------------------+
//! ```
//!
//! # What is followed
//!
//! A CFA that is a register and an offset, or the word stored there (functions
//! that align their stack); registers saved at offsets from either; the
//! expression of procedure linkage tables, which depends on the program counter
//! alone; signal frames. Everything else yields [`Rule::LOST`]: the stack ends
//! there, truncated.
//!
//! # Invariants
//!
//! * UC1. Bytes are untrusted: the module may be unloaded and another mapped while we
//!   read. Whatever they are, [`find`] returns, after at most [`MAX_BYTES`] bytes
//!   of each entry, and reads through [`Memory`] alone, which cannot fault.
//! * UC2. No state is kept: a result depends on the bytes read and nothing else.
//!
//! `rules.rs` keeps the results, `modules.rs` knows where the tables are.

use super::rules::{Others, Rule};
use super::{FP, OTHERS, RA, SP, register};

/// Bytes of one entry that are looked at: the longest programs of real modules
/// are a few KiB.
const MAX_BYTES: usize = 64 << 10;
/// Bytes read at a time.
const WINDOW: usize = 128;
/// States that a program may have remembered at one time: compilers nest them once.
const REMEMBERED: usize = 3;
/// Operands of an expression: the one of linkage tables needs four.
const OPERANDS: usize = 8;
/// Entries of the search table that are looked at in one step, where each step costs a
/// system call. With 32 there would be no fewer steps below 50,000 entries, and every page
/// of the table would be touched.
const FAN: usize = 16;
/// Words of four bytes before the first entry.
const HEAD: usize = 3;
/// Entries that are read whole.
const LEFT: usize = 64;

/// A process's memory, or what a test says it is. Nothing here faults.
pub(super) trait Memory {
    /// Fills `into` from the bytes at `at`. False when not all of them can be read.
    fn read(&self, at: usize, into: &mut [u8]) -> bool;

    /// Fills element `i` of `into` from the four bytes at `place(i)`, for all of them.
    fn gather(&self, place: impl Fn(usize) -> usize, into: &mut [[u8; 4]]) -> bool {
        into.iter_mut().enumerate().all(|(i, word)| self.read(place(i), word))
    }

    /// Entries of the search table that are looked at in one step, [`FAN`] at most.
    fn fan(&self) -> usize {
        FAN
    }
}

/// Where a module's search table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// Address of `.eh_frame_hdr`, which the table's numbers count from.
    pub(super) base: usize,
    /// Entries that the table has room for, eight bytes each, twelve bytes after `base`.
    pub(super) count: usize,
}

impl Index {
    /// The one whose header is at `base` in a segment of `bytes`. Not a byte of it is read
    /// here: it would put pages behind the tables of modules that no stack is in.
    pub(super) fn of(base: usize, bytes: usize) -> Self {
        Self { base, count: bytes.saturating_sub(4 * HEAD) / 8 }
    }

    fn entry(self, i: usize) -> usize {
        self.base.wrapping_add(4 * HEAD).wrapping_add(i.wrapping_mul(8))
    }

    fn relative(self, word: [u8; 4]) -> usize {
        self.base.wrapping_add_signed(i32::from_le_bytes(word) as isize)
    }

    /// How many entries there are, as the header says. Only the form that every linker
    /// writes is taken.
    fn entries(self, head: [[u8; 4]; HEAD]) -> usize {
        let [form, _, count] = head;
        let is_known = form == [1, 0x1b, 0x03, 0x3b];
        if is_known { self.count.min(u32::from_le_bytes(count) as usize) } else { 0 }
    }

    /// The FDE of the last entry that starts at or below `pc`.
    ///
    /// Each step looks at some entries at equal distances, since a step may
    /// cost a system call, the first at the header too; the last at all that are left.
    fn search(self, memory: &impl Memory, pc: usize) -> Option<usize> {
        let (mut low, mut high) = (0, self.count);
        let mut is_first = true;
        while high - low > LEFT {
            let step = (high - low).div_ceil(memory.fan().clamp(2, FAN));
            let probes = (high - low).div_ceil(step).min(FAN);
            let mut words = [[0; 4]; HEAD + FAN];
            let head = if is_first { HEAD } else { 0 };
            let words = words.get_mut(..head + probes)?;
            let place = |i: usize| match i.checked_sub(head) {
                Some(probe) => self.entry(low.wrapping_add(probe.wrapping_mul(step))),
                None => self.base.wrapping_add(i.wrapping_mul(4)),
            };
            if !memory.gather(place, words) {
                return None;
            }
            let (head, mut starts) = words.split_at(head);
            if let Ok(head) = head.try_into() {
                high = self.entries(head);
                starts = starts.get(..high.div_ceil(step).min(starts.len()))?;
            }
            let below = starts.iter().take_while(|start| self.relative(**start) <= pc).count();
            let first = low.wrapping_add(below.checked_sub(1)?.wrapping_mul(step));
            (low, high) = (first, first.saturating_add(step).min(high));
            is_first = false;
        }
        if is_first {
            let mut head = [[0; 4]; HEAD];
            if !memory.read(self.base, head.as_flattened_mut()) {
                return None;
            }
            high = self.entries(head);
        }
        let mut left = [[0; 8]; LEFT];
        let left = left.get_mut(..high.checked_sub(low)?)?;
        if !memory.read(self.entry(low), left.as_flattened_mut()) {
            return None;
        }
        let halves = left.iter().map(|entry| *entry.as_chunks().0.first_chunk().unwrap_or(&[[0; 4]; 2]));
        let [_, place] = halves.take_while(|[start, _]| self.relative(*start) <= pc).last()?;
        Some(self.relative(place))
    }
}

/// Reads bytes one after the other, up to an end.
struct Cursor<'a, M> {
    memory: &'a M,
    at: usize,
    end: usize,
    window: [u8; WINDOW],
    /// Address and length of what the window holds.
    held: (usize, usize),
}

impl<'a, M: Memory> Cursor<'a, M> {
    fn new(memory: &'a M, at: usize, len: usize) -> Self {
        let end = at.saturating_add(len.min(MAX_BYTES));
        Self { memory, at, end, window: [0; WINDOW], held: (0, 0) }
    }

    /// The same memory between `at` and `at + len`.
    fn go(&mut self, at: usize, len: usize) {
        self.at = at;
        self.end = at.saturating_add(len.min(MAX_BYTES));
    }

    fn byte(&mut self) -> Option<u8> {
        if self.at >= self.end {
            return None;
        }
        let (start, len) = self.held;
        let mut place = self.at.wrapping_sub(start);
        if place >= len {
            let len = (self.end - self.at).min(WINDOW);
            if !self.memory.read(self.at, self.window.get_mut(..len)?) {
                return None;
            }
            self.held = (self.at, len);
            place = 0;
        }
        self.at = self.at.wrapping_add(1);
        self.window.get(place).copied()
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        let mut value = 0;
        for i in 0..bytes {
            value |= u64::from(self.byte()?) << (8 * i);
        }
        Some(value)
    }

    fn signed(&mut self, bytes: usize) -> Option<i64> {
        let unused = 64 - 8 * bytes as u32;
        Some((self.number(bytes)? << unused) as i64 >> unused)
    }

    fn uleb(&mut self) -> Option<u64> {
        let (mut value, mut shift) = (0u64, 0u32);
        loop {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            shift = shift.saturating_add(7);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
    }

    fn sleb(&mut self) -> Option<i64> {
        let (mut value, mut shift) = (0u64, 0u32);
        loop {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            shift = shift.saturating_add(7);
            if byte & 0x80 == 0 {
                if byte & 0x40 != 0 {
                    value |= u64::MAX.checked_shl(shift).unwrap_or(0);
                }
                return Some(value as i64);
            }
        }
    }

    /// An address in the encoding that a CIE names.
    fn pointer(&mut self, encoding: u8) -> Option<usize> {
        let here = self.at;
        let value = match encoding & 0x0f {
            0x00 | 0x04 | 0x0c => self.number(8)?,
            0x02 => self.number(2)?,
            0x03 => self.number(4)?,
            0x0a => self.signed(2)? as u64,
            0x0b => self.signed(4)? as u64,
            _ => return None,
        };
        match encoding & 0xf0 {
            0x00 => Some(value as usize),
            0x10 => Some(here.wrapping_add(value as usize)),
            _ => None,
        }
    }

    /// Length of the record here, without the length itself.
    fn length(&mut self) -> Option<usize> {
        match self.number(4)? {
            0xffff_ffff => usize::try_from(self.number(8)?).ok(),
            0 => None,
            len => Some(len as usize),
        }
    }
}

/// What the functions of one compilation unit share.
#[derive(Clone, Copy, Default)]
struct Common {
    code_align: u64,
    data_align: i64,
    return_register: u64,
    encoding: u8,
    has_data: bool,
    is_signal: bool,
    program: (usize, usize),
}

impl Common {
    fn read<M: Memory>(cursor: &mut Cursor<'_, M>, at: usize) -> Option<Self> {
        cursor.go(at, 12);
        let len = cursor.length()?;
        cursor.go(cursor.at, len);
        let end = cursor.end;
        let (id, version) = (cursor.number(4)?, cursor.byte()?);
        if id != 0 || (version != 1 && version != 3) {
            return None;
        }
        let mut letters = [0u8; 8];
        for place in &mut letters {
            *place = cursor.byte()?;
            if *place == 0 {
                break;
            }
        }
        if letters.last() != Some(&0) {
            return None;
        }
        let mut common =
            Self { code_align: cursor.uleb()?, data_align: cursor.sleb()?, ..Self::default() };
        common.return_register = if version == 1 { cursor.byte()?.into() } else { cursor.uleb()? };
        let mut start = cursor.at;
        for letter in letters {
            match letter {
                0 => break,
                b'z' => {
                    common.has_data = true;
                    let len = usize::try_from(cursor.uleb()?).ok()?;
                    start = cursor.at.checked_add(len)?;
                }
                b'R' => common.encoding = cursor.byte()?,
                b'S' => common.is_signal = true,
                b'L' => drop(cursor.byte()?),
                b'P' => {
                    // The handler may be named indirectly, which is no matter here.
                    let encoding = cursor.byte()? & 0x7f;
                    cursor.pointer(encoding)?;
                }
                // Return addresses are signed with the other of two keys.
                b'B' => {}
                _ => return None,
            }
        }
        let start = if common.has_data { start } else { cursor.at };
        common.program = (start, end.checked_sub(start)?);
        Some(common)
    }
}

/// Where a register of the caller is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Saved {
    /// Where it was: the function has not changed it.
    Same,
    /// Nowhere.
    Undefined,
    /// In the stack, so many bytes from the CFA.
    Cfa(i32),
    /// In the stack, so many bytes from what a register holds.
    Register(u8, i32),
    /// In a way we don't follow.
    Lost,
}

/// Where the CFA is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cfa {
    /// A register and so many bytes.
    Register(u8, i32),
    /// The word that is stored there.
    Stored(u8, i32),
    /// A register that we don't follow, and so many bytes. Functions that touch a large frame
    /// page by page have it so while they do, and name the stack pointer again behind that.
    Elsewhere(i32),
    Lost,
}

/// A state of the program. Registers are numbered as in [`super`].
#[derive(Clone, Copy)]
struct Row {
    cfa: Cfa,
    saved: [Saved; RA + 1],
}

/// A value that an expression computes.
#[derive(Clone, Copy)]
enum Value {
    Number(i64),
    /// A register and so many bytes.
    Register(u8, i64),
    /// The CFA and so many bytes.
    Cfa(i64),
    /// The word that is stored at a register and so many bytes.
    Stored(u8, i64),
    Unknown,
}

impl Value {
    fn plus(self, more: i64) -> Self {
        match self {
            Self::Number(n) => Self::Number(n.wrapping_add(more)),
            Self::Register(r, n) => Self::Register(r, n.wrapping_add(more)),
            Self::Cfa(n) => Self::Cfa(n.wrapping_add(more)),
            Self::Stored(..) if more == 0 => self,
            _ => Self::Unknown,
        }
    }

    fn combine(op: u8, a: Self, b: Self) -> Self {
        let (Self::Number(x), Self::Number(y)) = (a, b) else {
            return match (op, a, b) {
                (0x22, a, Self::Number(y)) => a.plus(y),
                (0x22, Self::Number(x), b) => b.plus(x),
                (0x1c, a, Self::Number(y)) => a.plus(y.wrapping_neg()),
                _ => Self::Unknown,
            };
        };
        let shift = |by: i64| u32::try_from(by).unwrap_or(64);
        Self::Number(match op {
            0x1a => x & y,
            0x1c => x.wrapping_sub(y),
            0x21 => x | y,
            0x22 => x.wrapping_add(y),
            0x24 => x.checked_shl(shift(y)).unwrap_or(0),
            0x25 => (x as u64).checked_shr(shift(y)).unwrap_or(0) as i64,
            0x26 => x.checked_shr(shift(y)).unwrap_or(0),
            0x29 => i64::from(x == y),
            0x2a => i64::from(x >= y),
            0x2b => i64::from(x > y),
            0x2c => i64::from(x <= y),
            0x2d => i64::from(x < y),
            0x2e => i64::from(x != y),
            _ => return Self::Unknown,
        })
    }
}

/// Carries out an expression. The program counter is a number for it.
fn evaluate<M: Memory>(cursor: &mut Cursor<'_, M>, first: Option<Value>, pc: usize) -> Option<Value> {
    let len = usize::try_from(cursor.uleb()?).ok()?;
    let end = cursor.at.checked_add(len)?;
    let mut stack = [Value::Unknown; OPERANDS];
    let mut depth = 0usize;
    let push = |depth: &mut usize, stack: &mut [Value; OPERANDS], value| {
        *stack.get_mut(*depth)? = value;
        *depth += 1;
        Some(())
    };
    if let Some(first) = first {
        push(&mut depth, &mut stack, first)?;
    }
    while cursor.at < end {
        let op = cursor.byte()?;
        let value = match op {
            // `deref`, `plus_uconst`: the top changes.
            0x06 | 0x23 => {
                let more = if op == 0x23 { cursor.uleb()? as i64 } else { 0 };
                depth = depth.checked_sub(1)?;
                match (op, *stack.get(depth)?) {
                    (0x06, Value::Register(r, n)) => Value::Stored(r, n),
                    (0x23, value) => value.plus(more),
                    _ => Value::Unknown,
                }
            }
            0x08 => Value::Number(cursor.number(1)? as i64),
            0x09 => Value::Number(cursor.signed(1)?),
            0x0a => Value::Number(cursor.number(2)? as i64),
            0x0b => Value::Number(cursor.signed(2)?),
            0x0c => Value::Number(cursor.number(4)? as i64),
            0x0d => Value::Number(cursor.signed(4)?),
            0x0e | 0x0f => Value::Number(cursor.number(8)? as i64),
            0x10 => Value::Number(cursor.uleb()? as i64),
            0x11 => Value::Number(cursor.sleb()?),
            0x12 => *stack.get(depth.checked_sub(1)?)?,
            0x1a | 0x1c | 0x21 | 0x22 | 0x24..=0x26 | 0x29..=0x2e => {
                depth = depth.checked_sub(2)?;
                Value::combine(op, *stack.get(depth)?, *stack.get(depth + 1)?)
            }
            0x30..=0x4f => Value::Number(i64::from(op - 0x30)),
            0x70..=0x8f => {
                let offset = cursor.sleb()?;
                match register(u64::from(op - 0x70)) {
                    Some(RA) => Value::Number((pc as i64).wrapping_add(offset)),
                    Some(r) => Value::Register(r as u8, offset),
                    None => Value::Unknown,
                }
            }
            0x96 => continue,
            _ => return None,
        };
        push(&mut depth, &mut stack, value)?;
    }
    stack.get(depth.checked_sub(1)?).copied()
}

fn narrow(offset: i64) -> Option<i32> {
    i32::try_from(offset).ok()
}

/// The program of an FDE, being carried out.
struct Machine<'a> {
    common: &'a Common,
    pc: usize,
    row: Row,
    initial: Row,
    remembered: [Row; REMEMBERED],
    depth: usize,
}

impl Machine<'_> {
    fn set(&mut self, dwarf: u64, saved: Saved) {
        if let Some(place) = register(dwarf).and_then(|r| self.row.saved.get_mut(r)) {
            *place = saved;
        }
    }

    fn set_cfa(&mut self, dwarf: u64, offset: i64) {
        let Some(offset) = narrow(offset) else {
            self.row.cfa = Cfa::Lost;
            return;
        };
        self.row.cfa = match register(dwarf) {
            Some(r) if r != RA => Cfa::Register(r as u8, offset),
            _ => Cfa::Elsewhere(offset),
        };
    }

    fn factored(&self, n: i64) -> Saved {
        narrow(n.wrapping_mul(self.common.data_align)).map_or(Saved::Lost, Saved::Cfa)
    }

    /// Carries out instructions until the row after `loc` begins beyond the
    /// program counter. None when the bytes make no sense.
    fn run<M: Memory>(&mut self, cursor: &mut Cursor<'_, M>, mut loc: usize) -> Option<()> {
        while cursor.at < cursor.end {
            let op = cursor.byte()?;
            let low = u64::from(op & 0x3f);
            let advance = match op {
                0x40..=0x7f => Some(low),
                0x02 => Some(cursor.number(1)?),
                0x03 => Some(cursor.number(2)?),
                0x04 => Some(cursor.number(4)?),
                _ => None,
            };
            if let Some(by) = advance {
                loc = loc.wrapping_add(by.wrapping_mul(self.common.code_align) as usize);
                if loc > self.pc {
                    return Some(());
                }
                continue;
            }
            match op {
                0x80..=0xbf => {
                    let saved = cursor.uleb()? as i64;
                    self.set(low, self.factored(saved));
                }
                0xc0..=0xff => self.restore(low),
                0x00 | 0x2c | 0x2d => {}
                0x01 => {
                    loc = cursor.pointer(self.common.encoding)?;
                    if loc > self.pc {
                        return Some(());
                    }
                }
                0x05 => {
                    let (r, n) = (cursor.uleb()?, cursor.uleb()? as i64);
                    self.set(r, self.factored(n));
                }
                0x06 => {
                    let r = cursor.uleb()?;
                    self.restore(r);
                }
                0x07 => {
                    let r = cursor.uleb()?;
                    self.set(r, Saved::Undefined);
                }
                0x08 => {
                    let r = cursor.uleb()?;
                    self.set(r, Saved::Same);
                }
                // In another register, or a value: not followed.
                0x09 | 0x14 => {
                    let (r, _) = (cursor.uleb()?, cursor.uleb()?);
                    self.set(r, Saved::Lost);
                }
                0x15 => {
                    let (r, _) = (cursor.uleb()?, cursor.sleb()?);
                    self.set(r, Saved::Lost);
                }
                0x0a => {
                    *self.remembered.get_mut(self.depth)? = self.row;
                    self.depth += 1;
                }
                0x0b => {
                    self.depth = self.depth.checked_sub(1)?;
                    self.row = *self.remembered.get(self.depth)?;
                }
                0x0c..=0x0f | 0x12 | 0x13 => self.define_cfa(cursor, op)?,
                0x10 => {
                    let r = cursor.uleb()?;
                    let value = evaluate(cursor, Some(Value::Cfa(0)), self.pc)?;
                    let saved = match value {
                        Value::Cfa(n) => narrow(n).map(Saved::Cfa),
                        Value::Register(base, n) => narrow(n).map(|n| Saved::Register(base, n)),
                        _ => None,
                    };
                    self.set(r, saved.unwrap_or(Saved::Lost));
                }
                0x16 => {
                    let r = cursor.uleb()?;
                    evaluate(cursor, Some(Value::Cfa(0)), self.pc)?;
                    self.set(r, Saved::Lost);
                }
                0x11 => {
                    let (r, n) = (cursor.uleb()?, cursor.sleb()?);
                    self.set(r, self.factored(n));
                }
                0x2e => drop(cursor.uleb()?),
                0x2f => {
                    let (r, n) = (cursor.uleb()?, cursor.uleb()? as i64);
                    self.set(r, self.factored(n.wrapping_neg()));
                }
                _ => return None,
            }
        }
        Some(())
    }

    /// Carries out an instruction that says where the CFA is.
    fn define_cfa<M: Memory>(&mut self, cursor: &mut Cursor<'_, M>, op: u8) -> Option<()> {
        match op {
            0x0c => {
                let (r, n) = (cursor.uleb()?, cursor.uleb()? as i64);
                self.set_cfa(r, n);
            }
            0x12 => {
                let (r, n) = (cursor.uleb()?, cursor.sleb()?);
                self.set_cfa(r, n.wrapping_mul(self.common.data_align));
            }
            0x0d => {
                let r = cursor.uleb()?;
                match self.row.cfa {
                    Cfa::Register(_, n) | Cfa::Elsewhere(n) => self.set_cfa(r, i64::from(n)),
                    Cfa::Stored(..) | Cfa::Lost => self.row.cfa = Cfa::Lost,
                }
            }
            0x0e | 0x13 => {
                let n = if op == 0x0e {
                    cursor.uleb()? as i64
                } else {
                    cursor.sleb()?.wrapping_mul(self.common.data_align)
                };
                self.row.cfa = match (self.row.cfa, narrow(n)) {
                    (Cfa::Register(r, _), Some(n)) => Cfa::Register(r, n),
                    (Cfa::Elsewhere(_), Some(n)) => Cfa::Elsewhere(n),
                    _ => Cfa::Lost,
                };
            }
            0x0f => {
                let value = evaluate(cursor, None, self.pc)?;
                self.row.cfa = match value {
                    Value::Register(r, n) => narrow(n).map_or(Cfa::Lost, |n| Cfa::Register(r, n)),
                    Value::Stored(r, n) => narrow(n).map_or(Cfa::Lost, |n| Cfa::Stored(r, n)),
                    _ => Cfa::Lost,
                };
            }
            _ => return None,
        }
        Some(())
    }

    fn restore(&mut self, dwarf: u64) {
        let Some(r) = register(dwarf) else { return };
        if let (Some(place), Some(first)) = (self.row.saved.get_mut(r), self.initial.saved.get(r)) {
            *place = *first;
        }
    }
}

/// The row as the rule that is kept, and what it says of the other registers.
fn rule(row: &Row) -> (Rule, Others) {
    let saved = |r: usize| row.saved.get(r).copied().unwrap_or(Saved::Lost);
    if saved(RA) == Saved::Undefined {
        return (Rule::END, Others::default());
    }
    let mut others = Others::default();
    let (base, offset, stored) = match row.cfa {
        Cfa::Register(base, offset) => (base, offset, false),
        Cfa::Stored(base, offset) => (base, offset, true),
        Cfa::Elsewhere(_) | Cfa::Lost => return (Rule::LOST, others),
    };
    // Where the frame's base is a word in it, its registers are found from the
    // register that leads to the word; elsewhere from the CFA.
    let place = |saved: Saved| match saved {
        Saved::Same => Some(None),
        Saved::Cfa(n) if !stored => Some(Some(n)),
        Saved::Register(r, n) if stored && r == base => Some(Some(n)),
        _ => None,
    };
    for i in 0..OTHERS {
        others.set(i, place(saved(FP + 1 + i)));
    }
    let return_address = match saved(RA) {
        Saved::Cfa(n) => n,
        Saved::Same if !cfg!(target_arch = "x86_64") => 0,
        _ => return (Rule::LOST, others),
    };
    let rule = match place(saved(FP)) {
        Some(fp) => Rule::frame(base, offset, stored, fp, return_address),
        None => None,
    };
    (rule.unwrap_or(Rule::LOST), others)
}

/// The rule for the instruction at `pc`. None when no entry covers it.
pub(super) fn find(memory: &impl Memory, index: Index, pc: usize) -> Option<(Rule, Others)> {
    let at = index.search(memory, pc)?;
    let lost = Some((Rule::LOST, Others::default()));
    let mut cursor = Cursor::new(memory, at, 12);
    let Some(len) = cursor.length() else { return lost };
    let (at, end) = (cursor.at, cursor.at.saturating_add(len.min(MAX_BYTES)));
    cursor.go(at, len);
    let Some(back) = cursor.number(4) else { return lost };
    let resume = cursor.at;
    let Some(common) = Common::read(&mut cursor, at.wrapping_sub(back as usize)) else {
        return lost;
    };
    cursor.go(resume, end.wrapping_sub(resume));
    let Some(start) = cursor.pointer(common.encoding) else { return lost };
    let Some(size) = cursor.pointer(common.encoding & 0x0f) else { return lost };
    if pc.wrapping_sub(start) >= size {
        return None;
    }
    if common.is_signal {
        return Some((Rule::SIGNAL, Others::default()));
    }
    if register(common.return_register) != Some(RA) {
        return lost;
    }
    if common.has_data {
        let Some(len) = cursor.uleb() else { return lost };
        cursor.at = cursor.at.saturating_add(usize::try_from(len).unwrap_or(usize::MAX));
    }
    let row = Row { cfa: Cfa::Register(SP as u8, 0), saved: [Saved::Same; RA + 1] };
    let mut machine =
        Machine { common: &common, pc, row, initial: row, remembered: [row; REMEMBERED], depth: 0 };
    let (resume, end) = (cursor.at, cursor.end);
    cursor.go(common.program.0, common.program.1);
    if machine.run(&mut cursor, start).is_none() {
        return lost;
    }
    machine.initial = machine.row;
    cursor.go(resume, end.saturating_sub(resume));
    if machine.run(&mut cursor, start).is_none() {
        return lost;
    }
    Some(rule(&machine.row))
}
