//! `resolver`: allocates while the loader is still relocating.
//!
//! A function may be *indirect* (IFUNC): the loader calls a resolver to learn
//! which of several implementations to use. That happens before any
//! constructor, the C library's included, and before the loader has filled in
//! the main thread's thread-local variables. They are zero then, and will be
//! set to their initial values afterwards, whatever was written to them.
//!
//! The resolver of this program allocates. `main` looks whether its block is
//! whole and frees it. Prints `resolver ok` when all was well.
#![allow(unsafe_code)]

use allod_checks::block::Block;
use allod_checks::work::churn;
use std::ffi::{c_int, c_void};
use std::process::ExitCode;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// What the resolver allocated: one block that it keeps, of each size.
static BLOCKS: [AtomicPtr<c_void>; 4] = [const { AtomicPtr::new(ptr::null_mut()) }; 4];
const SIZES: [usize; 4] = [24, 300, 5000, 3 << 20];

#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".hidden resolver_chosen",
    ".globl resolver_chosen",
    ".type resolver_chosen, @gnu_indirect_function",
    ".set resolver_chosen, {resolve}",
    resolve = sym resolve,
);

#[cfg(target_arch = "x86_64")]
unsafe extern "C" {
    /// Indirect: the loader calls `resolve` to learn what it is.
    fn resolver_chosen() -> c_int;
}

extern "C" fn resolve() -> extern "C" fn() -> c_int {
    extern "C" fn chosen() -> c_int {
        17
    }
    for (size, kept) in SIZES.iter().zip(&BLOCKS) {
        for round in 0..100 {
            // SAFETY: `malloc` has no conditions.
            let block = unsafe { libc::malloc(*size) };
            if block.is_null() {
                continue;
            }
            // SAFETY: the block has this size.
            unsafe { ptr::write_bytes(block.cast::<u8>(), 0x42, *size) };
            if round == 50 {
                // ORDERING: Relaxed, one thread.
                kept.store(block, Ordering::Relaxed);
            } else {
                // SAFETY: the block is live.
                unsafe { libc::free(block) };
            }
        }
    }
    chosen
}

fn main() -> ExitCode {
    match check() {
        Ok(()) => {
            println!("resolver ok");
            ExitCode::SUCCESS
        }
        Err(words) => {
            eprintln!("{words}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn check() -> Result<(), String> {
    // SAFETY: the function that the resolver chose takes nothing.
    let answer = unsafe { resolver_chosen() };
    if answer != 17 {
        return Err(format!("the indirect function answered {answer}"));
    }
    churn(1, 500, 16)?;
    for (size, block) in SIZES.into_iter().zip(&BLOCKS) {
        // ORDERING: Relaxed, the same thread wrote it.
        let block = block.load(Ordering::Relaxed);
        // SAFETY: null, or a block of this size that nobody else has.
        let block = unsafe { Block::from_raw(block, size) };
        let block = block.ok_or(format!("{size} bytes: NULL"))?;
        if (0..size).any(|place| block.get(place) != 0x42) {
            return Err(format!("the block of {size} bytes has changed"));
        }
    }
    churn(2, 5000, 16)
}

#[cfg(not(target_arch = "x86_64"))]
fn check() -> Result<(), String> {
    Ok(())
}
