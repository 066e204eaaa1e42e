//! The walk up the stack, and what the rest of the house may ask.
//!
//! [`enter`] is a few instructions of assembly: it puts the registers of its caller
//! into a record just as they are at the call, so that our own frames need no rules.
//! From there each turn writes a program counter, looks its rule up, and carries it
//! out on the record.
//!
//! Of the registers that a function keeps for its caller, only the frame pointer is
//! carried along: hardly a rule needs another. When one does, the walk starts over and
//! carries all ([`Walk::run`] is compiled for both).
#![allow(unsafe_code)]

use super::cfi::{self, Memory};
use super::maps::Mapping;
use super::modules::{self, Kind as Code, Modules};
use super::rules::{Key, Kind, Others, Rule, Rules, Size};
use super::stack::{Stack, Stacks};
use super::touched::Touched;
use super::{Captured, memory};
use crate::dump;
use crate::os::Os;
use crate::os::linux::Linux;
use crate::sync::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, this_thread};
use core::ptr;

/// Number of the stack pointer among the registers that rules name.
pub(super) const SP: usize = 0;
/// Number of the frame pointer.
pub(super) const FP: usize = 1;
/// Registers besides that a CFA may be found from.
pub(super) const OTHERS: usize = if cfg!(target_arch = "x86_64") { 5 } else { 0 };
/// Number of the return address: a register of its own on some processors.
pub(super) const RA: usize = FP + 1 + OTHERS;

/// Signal frames that one walk follows.
const SIGNALS: usize = 8;
/// Frames that are walked beyond the end of the buffer to learn about the stack.
const LONGER: usize = 1024;

/// A frame pointer leads to at most so many bytes above the stack pointer.
const POINTER_REACH: usize = 256 << 10;

/// Our number for a register of the unwind tables.
#[inline]
pub(super) fn register(dwarf: u64) -> Option<usize> {
    cfg_select! {
        target_arch = "x86_64" => {
            // rsp, rbp, rbx, r12 to r15, the return address.
            match dwarf {
                7 => Some(SP),
                6 => Some(FP),
                3 => Some(2),
                12..=15 => Some(dwarf as usize - 9),
                16 => Some(RA),
                _ => None,
            }
        }
        _ => {
            // sp, x29, x30.
            match dwarf {
                31 => Some(SP),
                29 => Some(FP),
                30 => Some(RA),
                _ => None,
            }
        }
    }
}

/// What we know, in one mapping. All zero is empty (U3).
/// A process that takes one sample touches two pages of it: the first rules, and the
/// first modules with the first stack before them.
#[repr(C)]
struct Tables {
    rules: Rules,
    stacks: Stacks,
    modules: Modules,
}

static TABLES: AtomicPtr<Tables> = AtomicPtr::new(ptr::null_mut());
/// The module that we are in holds nothing else.
static ALONE: AtomicBool = AtomicBool::new(false);
/// That module: where it starts and how long it is, once it was read.
static OWN: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// The registers of a frame.
#[repr(C)]
#[derive(Clone, Copy)]
struct Registers {
    pc: usize,
    /// By number; the last is the link register where there is one.
    values: [usize; RA + 1],
}

/// Calls [`begin`] with the caller's registers.
#[unsafe(naked)]
unsafe extern "C" fn enter(words: *mut usize, len: usize) -> usize {
    cfg_select! {
        target_arch = "x86_64" => {
            core::arch::naked_asm!(
                ".cfi_startproc",
                "lea rax, [rsp + 8]",
                "mov r10, [rsp]",
                "push 0",
                ".cfi_adjust_cfa_offset 8",
                "push r15",
                ".cfi_adjust_cfa_offset 8",
                "push r14",
                ".cfi_adjust_cfa_offset 8",
                "push r13",
                ".cfi_adjust_cfa_offset 8",
                "push r12",
                ".cfi_adjust_cfa_offset 8",
                "push rbx",
                ".cfi_adjust_cfa_offset 8",
                "push rbp",
                ".cfi_adjust_cfa_offset 8",
                "push rax",
                ".cfi_adjust_cfa_offset 8",
                "push r10",
                ".cfi_adjust_cfa_offset 8",
                "mov rdx, rsp",
                "call {begin}",
                "add rsp, 72",
                ".cfi_adjust_cfa_offset -72",
                "ret",
                ".cfi_endproc",
                begin = sym begin,
            )
        }
        _ => {
            core::arch::naked_asm!(
                ".cfi_startproc",
                "stp x29, x30, [sp, #-48]!",
                ".cfi_def_cfa_offset 48",
                ".cfi_offset x29, -48",
                ".cfi_offset x30, -40",
                "add x9, sp, #48",
                "stp x30, x9, [sp, #16]",
                "stp x29, x30, [sp, #32]",
                "add x2, sp, #16",
                "mov x29, sp",
                "bl {begin}",
                "ldp x29, x30, [sp], #48",
                ".cfi_restore x29",
                ".cfi_restore x30",
                ".cfi_def_cfa_offset 0",
                "ret",
                ".cfi_endproc",
                begin = sym begin,
            )
        }
    }
}

/// Twice the depth, plus one if the stack was not followed to its end.
unsafe extern "C" fn begin(words: *mut usize, len: usize, registers: &Registers) -> usize {
    // SAFETY: the slice that `capture` was given.
    let words = unsafe { core::slice::from_raw_parts_mut(words, len) };
    let Some(tables) = tables() else { return 1 };
    let due = tables.modules.is_due(Linux.clock(), false);
    if due {
        refresh(tables);
    }
    let touched = Touched::new();
    let mut walk = Walk::new(tables, words, &touched);
    let mut end = walk.run::<false>(*registers);
    if end == End::Narrow {
        walk.depth = 0;
        end = walk.run::<true>(*registers);
    }
    let found = walk.depth << 1 | usize::from(end != End::Reached);
    touched.give_back();
    found
}

/// Writes the program counters of the callers into `words`, innermost first.
#[inline(always)]
pub(crate) fn capture(words: &mut [usize]) -> Captured {
    // SAFETY: the pointer and the length are those of a slice.
    let found = unsafe { enter(words.as_mut_ptr(), words.len()) };
    Captured { depth: (found >> 1).min(words.len()), truncated: found & 1 != 0 }
}

fn tables() -> Option<&'static Tables> {
    // ORDERING: Acquire pairs with the Release in `make`: the mapping is there.
    let tables = TABLES.load(Ordering::Acquire);
    // SAFETY: U3.
    unsafe { tables.as_ref() }.or_else(make)
}

#[cold]
fn make() -> Option<&'static Tables> {
    let base = memory::map(size_of::<Tables>())?;
    let ours = base.as_ptr().cast::<Tables>();
    // SAFETY: U3: zeros are the empty state of every field, all of them atomics.
    if let Some(tables) = unsafe { ours.as_ref() } {
        tables.rules.touch();
        tables.modules.touch();
    }
    // ORDERING: Release pairs with the Acquire in `tables`; Acquire on failure does too.
    match TABLES.compare_exchange(ptr::null_mut(), ours, Ordering::Release, Ordering::Acquire) {
        // SAFETY: U3: zeros are the empty state of every field, all of them atomics.
        Ok(_) => unsafe { ours.as_ref() },
        Err(theirs) => {
            // SAFETY: made above, and nobody knows of it.
            unsafe { memory::unmap(base, size_of::<Tables>()) };
            // SAFETY: U3.
            unsafe { theirs.as_ref() }
        }
    }
}

/// An address in our own code.
fn own_address() -> usize {
    (enter as *const ()).addr()
}

/// Reads the list of modules again. True when it has changed.
#[cold]
fn refresh(tables: &Tables) -> bool {
    let clock = || (Linux.clock(), Linux.nanoseconds());
    // SAFETY: the kernel says that the mapping is there, and its file stays.
    let staying = |low, high| unsafe { memory::Ahead::with_segment(low, high) };
    let memory = memory::Ahead::new();
    let changed = tables.modules.refresh(&memory, staying, memory::mappings, clock);
    let [start, len] = &OWN;
    // ORDERING: Relaxed, a flag and two numbers that guard no data.
    if changed && ALONE.load(Ordering::Relaxed) {
        let own = tables.modules.find(own_address());
        let (first, end) = own.map_or((0, 0), |own| (own.image.start, own.image.end));
        // ORDERING: Relaxed, a mismatched pair shows frames of ours at worst.
        start.store(first, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        len.store(end.saturating_sub(first), Ordering::Relaxed);
    }
    changed
}

/// Calls `f` with each file that is mapped with code in it, and with those that
/// were, as last read.
pub(crate) fn modules(f: &mut dyn FnMut(&dump::Module)) {
    let Some(tables) = tables() else { return };
    if tables.modules.is_due(Linux.clock(), true) {
        refresh(tables);
    }
    // ORDERING: Relaxed, a flag that guards no data.
    let own = if ALONE.load(Ordering::Relaxed) { own_address() } else { 0 };
    tables.modules.each(own, f);
}

/// Tells `f` the name of the file that the code at `pc` is from, without its directory,
/// and where the code is in that file's own addresses. Reads the list of mappings: for
/// those who have time, or nothing to lose.
pub(crate) fn place(pc: usize, f: &mut dyn FnMut(&[u8], usize)) {
    let mut bias = None;
    modules(&mut |module| {
        if (module.start..module.end).contains(&(pc as u64)) {
            bias = Some(module.bias as usize);
        }
    });
    memory::mappings(&mut |line| {
        if let Some((mapping, path)) = Mapping::with_path(line)
            && (mapping.start..mapping.end).contains(&pc)
        {
            let own = bias.unwrap_or(mapping.start.wrapping_sub(mapping.offset));
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            f(if name.is_empty() { b"?" } else { name }, pc.wrapping_sub(own));
        }
    });
}

/// Says whether the module that this code is in holds nothing but Allod. Before
/// the first stack.
pub(crate) fn set_alone(alone: bool) {
    // ORDERING: Relaxed, a flag that guards no data.
    ALONE.store(alone, Ordering::Relaxed);
}

/// The calling thread is about to end: what is known of its stack is forgotten.
pub(crate) fn forget_thread() {
    // ORDERING: Acquire pairs with the Release in `make`.
    let tables = TABLES.load(Ordering::Acquire);
    // SAFETY: U3.
    if let Some(tables) = unsafe { tables.as_ref() } {
        tables.stacks.forget(this_thread());
    }
}

/// Gives the tables back.
///
/// # Safety
///
/// Nobody is in the middle of a walk, or will begin one.
pub(crate) unsafe fn close() {
    // ORDERING: Acquire pairs with the Release in `make`.
    let tables = TABLES.swap(ptr::null_mut(), Ordering::Acquire);
    if let Some(base) = ptr::NonNull::new(tables.cast()) {
        // SAFETY: made by `make`, of this length, and nobody looks at them any more.
        unsafe { memory::unmap(base, size_of::<Tables>()) };
    }
}

/// Bytes of the tables that have memory behind them.
#[cfg(test)]
pub(super) fn resident() -> usize {
    let tables = ptr::NonNull::from(tables().expect("there are tables"));
    // SAFETY: the mapping is ours, and its length a multiple of a page (`Rules`).
    unsafe { Linux.resident(tables.cast(), size_of::<Tables>()) }
}

/// Before `fork`: nobody is in the middle of reading the list of modules.
pub(crate) fn fork_prepare() {
    modules::hold();
}

/// After `fork`, in the parent and in the child.
pub(crate) fn fork_release() {
    modules::release();
}

/// After `fork`, in the child, behind [`fork_release`].
pub(crate) fn fork_child() {
    modules::forget_writer();
}

/// Why a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// At the outermost frame.
    Reached,
    /// At a frame that cannot be followed, or at the buffer's end.
    Cut,
    /// At a rule that names a register which was not carried along.
    Narrow,
}

/// A return address without its signature.
#[inline(always)]
fn strip(address: usize) -> usize {
    if cfg!(target_arch = "aarch64") { address & ((1 << 48) - 1) } else { address }
}

/// Where the kernel puts register `r`, or the program counter, from the stack pointer
/// of a signal frame.
const fn signal_place(r: Option<usize>) -> usize {
    if cfg!(target_arch = "x86_64") {
        match r {
            None => 168,
            Some(SP) => 160,
            Some(FP) => 120,
            Some(2) => 128,
            Some(r) => 72 + 8 * (r - 3),
        }
    } else {
        match r {
            None => 568,
            Some(SP) => 560,
            Some(FP) => 544,
            Some(_) => 552,
        }
    }
}

struct Walk<'a> {
    tables: &'a Tables,
    /// Pages of the modules' tables.
    touched: &'a Touched,
    stack: Stack<'a>,
    words: &'a mut [usize],
    depth: usize,
    epoch: u64,
    /// Of the kept rules, when the walk began.
    size: Size,
    own: [usize; 2],
    /// Registers that cannot be found any more, a bit each.
    gone: u32,
    /// A frame pointer was followed: from there on a frame may be none.
    guessed: bool,
}

impl<'a> Walk<'a> {
    fn new(tables: &'a Tables, words: &'a mut [usize], touched: &'a Touched) -> Self {
        let stack = Stack::new(&tables.stacks, this_thread());
        let [start, len] = &OWN;
        // ORDERING: Relaxed, a mismatched pair shows frames of ours at worst.
        let own = [start.load(Ordering::Relaxed), len.load(Ordering::Relaxed)];
        let (epoch, size) = (tables.modules.epoch(), tables.rules.size());
        Self { tables, touched, stack, words, depth: 0, epoch, size, own, gone: 0, guessed: false }
    }

    /// Walks from the frame of `now` to the outermost, or as far as it goes.
    #[inline(never)]
    fn run<const ALL: bool>(&mut self, mut now: Registers) -> End {
        // The stack pointer since which all frames were on one stack.
        let mut origin = now.values[SP];
        let (mut exact, mut signals, mut extra) = (false, 0usize, 0usize);
        let end = loop {
            let look = now.pc.wrapping_sub(usize::from(!exact));
            let rule = self.rule(look);
            if self.depth != 0 && rule.is_none() {
                // Not code: what was taken for a return address is none.
                break End::Cut;
            }
            if self.depth != 0 || now.pc.wrapping_sub(self.own[0]) >= self.own[1] {
                if let Some(word) = self.words.get_mut(self.depth) {
                    *word = now.pc.wrapping_add(exact.into());
                    self.depth += 1;
                } else if !self.goes_on(now.values[SP], &mut extra) {
                    break End::Cut;
                }
            }
            let Some(rule) = rule else { break End::Cut };
            let next = match rule.kind() {
                Kind::Frame | Kind::Stored => self.frame::<ALL>(&mut now, rule, exact, look),
                Kind::End => Err(End::Reached),
                Kind::Pointer => self.pointer(&mut now),
                Kind::Signal => {
                    signals += 1;
                    let next = if signals > SIGNALS { Err(End::Cut) } else { self.signal(&mut now) };
                    origin = now.values[SP];
                    exact = true;
                    if let Err(end) = next {
                        break end;
                    }
                    continue;
                }
                Kind::Lost => Err(End::Cut),
            };
            exact = false;
            if let Err(end) = next {
                break end;
            }
        };
        if !self.stack.is_known(origin) {
            self.stack.walked(origin, now.values[SP], end == End::Reached);
        }
        if extra == 0 { end } else { End::Cut }
    }

    /// True when a walk that has filled its buffer should go on, to learn that the
    /// stack it is on is the thread's.
    #[cold]
    fn goes_on(&self, sp: usize, extra: &mut usize) -> bool {
        if self.stack.is_known(sp) || *extra >= LONGER {
            return false;
        }
        *extra += 1;
        *extra > 1 || self.tables.stacks.try_harder(this_thread())
    }

    #[inline(always)]
    fn rule(&mut self, look: usize) -> Option<Rule> {
        match self.tables.rules.get(Key::new(look, self.epoch), self.size) {
            Some(rule) => Some(rule),
            None => self.learn(look).map(|(rule, _)| rule),
        }
    }

    /// Reads the rule from its module's tables, and keeps it.
    #[cold]
    fn learn(&mut self, look: usize) -> Option<(Rule, Others)> {
        let modules = &self.tables.modules;
        // A signal handler may return to the first instruction of a mapping.
        let find = || modules.find(look).or_else(|| modules.find(look.wrapping_add(1)));
        let mut module = find();
        if module.is_none() && modules.is_due(Linux.clock(), true) && refresh(self.tables) {
            self.epoch = modules.epoch();
            module = find();
        }
        let module = module?;
        let found = match module.kind {
            Code::File if module.image.index.count != 0 => {
                let index = module.image.index;
                let (low, high) = module.image.segment;
                let memory = if module.stays {
                    // SAFETY: a readable segment of a file that stays mapped.
                    unsafe { memory::Ahead::with_segment(low, high) }
                } else {
                    memory::Ahead::new()
                };
                // UT2: a frame that is there has a module that stays meanwhile.
                let within = if self.guessed { (0, 0) } else { (low, high) };
                let memory = memory.noting(self.touched.within(within));
                let find = |pc| cfi::find(&memory, index, pc);
                // No call returns to the start of a function that has none before it:
                // the address was put there for what is outermost on this stack.
                let is_outermost = || find(look.wrapping_add(1)).map(outermost);
                find(look).or_else(is_outermost)
            }
            _ => None,
        };
        let (rule, others) = found.unwrap_or_else(|| {
            // The pc itself: `look` may be one below it.
            let is_signal = returns_from_signal(look) || returns_from_signal(look.wrapping_add(1));
            (if is_signal { Rule::SIGNAL } else { Rule::POINTER }, Others::default())
        });
        let key = Key::new(look, self.epoch);
        self.tables.rules.put(key, rule);
        self.tables.rules.put_others(key, others);
        Some((rule, others))
    }

    #[inline(always)]
    fn frame<const ALL: bool>(
        &mut self,
        now: &mut Registers,
        rule: Rule,
        exact: bool,
        look: usize,
    ) -> Result<(), End> {
        let base = rule.base();
        if base > FP && !ALL {
            return Err(End::Narrow);
        }
        let value = if base == FP {
            now.values[FP]
        } else if base == SP {
            now.values[SP]
        } else if self.gone >> base & 1 == 0 {
            now.values.get(base).copied().ok_or(End::Cut)?
        } else {
            return Err(End::Cut);
        };
        let at = value.wrapping_add_signed(rule.offset());
        let (cfa, place) = if rule.kind() == Kind::Stored {
            (self.stack.read(at).ok_or(End::Cut)?, value)
        } else {
            (at, at)
        };
        // U1. A function that calls nothing may have no frame on some processors.
        let is_above = cfa > now.values[SP] || (exact && rule.back() == 0 && cfa == now.values[SP]);
        if !is_above {
            return Err(End::Cut);
        }
        let pc = if rule.back() != 0 {
            self.stack.read(cfa.wrapping_add_signed(rule.back())).ok_or(End::Cut)?
        } else if exact {
            now.values[RA]
        } else {
            return Err(End::Cut);
        };
        if ALL {
            self.others(now, place, look)?;
        }
        if let Some(saved) = rule.saved() {
            now.values[FP] = self.stack.read(place.wrapping_add_signed(saved)).ok_or(End::Cut)?;
        }
        now.values[SP] = cfa;
        now.pc = strip(pc);
        if now.pc == 0 { Err(End::Reached) } else { Ok(()) }
    }

    /// Brings the registers that few rules need up to the caller's frame.
    fn others(&mut self, now: &mut Registers, place: usize, look: usize) -> Result<(), End> {
        let others = match self.tables.rules.others(Key::new(look, self.epoch)) {
            Some(others) => others,
            None => self.learn(look).ok_or(End::Cut)?.1,
        };
        for i in 0..OTHERS {
            let r = FP + 1 + i;
            let Some(saved) = others.get(i) else { continue };
            let word = saved.and_then(|n| self.stack.read(place.wrapping_add_signed(n)));
            match (word, now.values.get_mut(r)) {
                (Some(word), Some(value)) => {
                    *value = word;
                    self.gone &= !(1 << r);
                }
                _ => self.gone |= 1 << r,
            }
        }
        Ok(())
    }

    /// Follows the frame pointer, if it looks like one.
    #[cold]
    fn pointer(&mut self, now: &mut Registers) -> Result<(), End> {
        let at = now.values[FP];
        if at == 0 {
            return Err(End::Reached);
        }
        // What is far away is another stack: the register holds something else.
        if at.wrapping_sub(now.values[SP]) > POINTER_REACH {
            return Err(End::Cut);
        }
        let fp = self.stack.read(at).ok_or(End::Cut)?;
        let pc = strip(self.stack.read(at.wrapping_add(8)).ok_or(End::Cut)?);
        if pc == 0 {
            return Err(End::Reached);
        }
        if self.tables.modules.find(pc.wrapping_sub(1)).is_none() {
            return Err(End::Cut);
        }
        now.values[SP] = at.wrapping_add(16);
        now.values[FP] = fp;
        now.pc = pc;
        (self.gone, self.guessed) = (!0, true);
        Ok(())
    }

    /// Takes the registers of the context that a signal has interrupted.
    #[cold]
    fn signal(&mut self, now: &mut Registers) -> Result<(), End> {
        let frame = now.values[SP];
        let mut word = |r| self.stack.read(frame.wrapping_add(signal_place(r))).ok_or(End::Cut);
        now.pc = word(None)?;
        let registers = if cfg!(target_arch = "x86_64") { RA } else { RA + 1 };
        for (r, value) in now.values.iter_mut().enumerate().take(registers) {
            *value = word(Some(r))?;
        }
        self.gone = 0;
        Ok(())
    }
}

/// What the rule of a frame without a caller comes to.
fn outermost((rule, others): (Rule, Others)) -> (Rule, Others) {
    if rule == Rule::SIGNAL { (rule, others) } else { (Rule::END, others) }
}

/// True when the instructions at `pc` are those that end a signal handler.
fn returns_from_signal(pc: usize) -> bool {
    let patterns: &[&[u8]] = if cfg!(target_arch = "x86_64") {
        &[b"\x48\xc7\xc0\x0f\0\0\0\x0f\x05", b"\xb8\x0f\0\0\0\x0f\x05"]
    } else {
        &[b"\x68\x11\x80\xd2\x01\0\0\xd4"]
    };
    patterns.iter().any(|pattern| {
        let mut bytes = [0; 9];
        let bytes = bytes.get_mut(..pattern.len()).unwrap_or_default();
        memory::Own.read(pc, bytes) && bytes == *pattern
    })
}
