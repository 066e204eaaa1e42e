//! What TLSF promises, counted: no operation takes more instructions than its
//! documentation states, whatever the heap has been through.
//!
//! A child process works on a heap, with a breakpoint before and behind each
//! operation. The parent lets it run up to the first one, and from there on one
//! instruction at a time. So each operation has a count of its own, and the
//! largest is what a mean would hide.
#![cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
#![allow(unsafe_code)]

use allod_kit::Tlsf;
use std::alloc::Layout;
use std::arch::asm;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// Kinds of operations, in the order of their limits.
const KINDS: [&str; 3] = ["allocate", "deallocate", "reallocate in place"];

/// Instructions at most, as the documentation of `Tlsf` states them.
const LIMITS: [u64; 3] = [360, 180, 180];

/// Steps in one run.
const STEPS: usize = 1500;

/// A breakpoint, with a number where the parent finds it.
#[inline(always)]
fn mark(kind: usize) {
    // SAFETY: the parent steps over it.
    unsafe { asm!("int3", in("rax") kind, options(nostack)) };
}

/// What the child does: random actions on a heap that is mostly full, so that
/// lists are long, requests fail, and blocks melt on both sides.
fn work(bytes: usize) {
    let mut memory = vec![MaybeUninit::<u8>::uninit(); bytes];
    let mut heap = Tlsf::new();
    heap.add(&mut memory);
    let mut blocks: Vec<(NonNull<u8>, Layout)> = Vec::with_capacity(STEPS);
    let mut state = 1u64;
    let mut random = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % end
    };
    for step in 0..STEPS {
        // Fill first; then more is freed than allocated and the other way round.
        let frees = if step < STEPS / 4 { 1 } else { 3 + step / 100 % 5 };
        match random(10) {
            0 | 1 if !blocks.is_empty() => {
                let slot = random(blocks.len());
                let (block, old) = blocks[slot];
                let size = (old.size() * (1 + random(4)) / 2).max(1);
                let new = Layout::from_size_align(size, old.align()).unwrap();
                mark(2);
                // SAFETY: the block is live, with this layout.
                let result = unsafe { heap.reallocate_in_place(block, old, new) };
                mark(2);
                if black_box(result).is_ok() {
                    blocks[slot] = (block, new);
                }
            }
            kind if kind >= 2 && kind - 2 < frees && !blocks.is_empty() => {
                let (block, layout) = blocks.swap_remove(random(blocks.len()));
                mark(1);
                // SAFETY: the block is live, and not used again.
                unsafe { heap.deallocate(block, layout) };
                mark(1);
            }
            _ => {
                let align = if random(8) == 0 { 16 << random(9) } else { 8 };
                let shift = 4 + random(8);
                let size = 1 + random(bytes >> shift);
                let layout = Layout::from_size_align(size, align).unwrap();
                mark(0);
                let result = heap.allocate(black_box(layout));
                mark(0);
                if let Ok(block) = black_box(result) {
                    blocks.push((block.cast(), layout));
                }
            }
        }
    }
}

/// Waits for the child; false when it is gone.
fn stopped(child: libc::pid_t) -> bool {
    let mut status = 0;
    // SAFETY: our child.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    if libc::WIFEXITED(status) {
        assert_eq!(libc::WEXITSTATUS(status), 0, "the child failed");
        return false;
    }
    assert!(libc::WIFSTOPPED(status), "the child was killed: {status}");
    true
}

/// Whether it stopped at a breakpoint, and not behind a single step.
fn at_mark(child: libc::pid_t) -> bool {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: our stopped child, and room for the answer.
    let asked = unsafe {
        libc::ptrace(libc::PTRACE_GETSIGINFO, child, ptr::null_mut::<u8>(), info.as_mut_ptr())
    };
    assert_eq!(asked, 0);
    // SAFETY: written by the kernel, and zeros are a value too.
    let info = unsafe { info.assume_init() };
    info.si_code == libc::SI_KERNEL
}

/// The number at the breakpoint.
fn kind(child: libc::pid_t) -> usize {
    let mut registers = MaybeUninit::<libc::user_regs_struct>::zeroed();
    // SAFETY: our stopped child, and room for the answer.
    let asked = unsafe {
        libc::ptrace(libc::PTRACE_GETREGS, child, ptr::null_mut::<u8>(), registers.as_mut_ptr())
    };
    assert_eq!(asked, 0);
    // SAFETY: written by the kernel, and zeros are a value too.
    unsafe { registers.assume_init() }.rax as usize
}

fn resume(child: libc::pid_t, how: libc::c_uint) {
    // SAFETY: our stopped child.
    let asked = unsafe { libc::ptrace(how, child, ptr::null_mut::<u8>(), ptr::null_mut::<u8>()) };
    assert_eq!(asked, 0);
}

/// The most instructions that any operation of each kind took.
fn most(bytes: usize) -> [u64; 3] {
    // SAFETY: the child only works and exits.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: asks the parent to watch.
        unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
        let result = std::panic::catch_unwind(|| work(bytes));
        // SAFETY: nothing of the parent's is ended with us.
        unsafe { libc::_exit(i32::from(result.is_err())) };
    }
    let mut most = [0; 3];
    while stopped(child) {
        assert!(at_mark(child), "the child was stopped by a signal");
        let kind = kind(child);
        let mut count = 0;
        loop {
            resume(child, libc::PTRACE_SINGLESTEP);
            assert!(stopped(child));
            if at_mark(child) {
                break;
            }
            count += 1;
        }
        most[kind] = most[kind].max(count);
        resume(child, libc::PTRACE_CONT);
    }
    most
}

#[test]
#[cfg_attr(debug_assertions, ignore = "the bound is that of an optimized build")]
fn tlsf_keeps_its_bound() {
    let small = most(1 << 14);
    let large = most(1 << 22);
    for (i, name) in KINDS.iter().enumerate() {
        println!("{name}: {} instructions at most, of {}", small[i].max(large[i]), LIMITS[i]);
        assert!(small[i] > 20 && large[i] > 20, "{name} was not counted");
        assert!(small[i].max(large[i]) <= LIMITS[i], "{name}: {small:?} {large:?}");
        // A memory 256 times as large, with ten times as many blocks in it, does
        // not take more: what differs is which paths the random actions meet.
        assert!(large[i] <= small[i] + small[i] / 4, "{name}: {small:?} {large:?}");
    }
}
