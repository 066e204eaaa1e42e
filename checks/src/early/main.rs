//! `early`: allocates before `main`, in a constructor of priority 101.
//!
//! `main` looks whether the block is whole, and frees it. With the argument
//! `with-plugin` it also asks the preloaded library `plugin` how it fared, and
//! forks while a thread allocates: the plugin has fork handlers, registered in
//! its constructor, that allocate.
//!
//! Prints `early ok` when all was well.
#![allow(unsafe_code)]

use allod_checks::block::Block;
use allod_checks::c;
use allod_checks::work::churn;
use std::ffi::{CStr, c_int, c_void};
use std::process::ExitCode;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::{ptr, thread};

/// What the constructor allocated.
static BLOCK: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
const SIZE: usize = 300;

#[used]
#[unsafe(link_section = ".init_array.00101")]
static CONSTRUCTOR: extern "C" fn() = construct;

/// Nothing of Rust's library is used here: it is not ready.
extern "C" fn construct() {
    // SAFETY: `malloc` has no conditions.
    let block = unsafe { libc::malloc(SIZE) };
    if block.is_null() {
        return;
    }
    // SAFETY: the block has this size.
    unsafe { ptr::write_bytes(block.cast::<u8>(), 0x42, SIZE) };
    // ORDERING: Relaxed, one thread.
    BLOCK.store(block, Ordering::Relaxed);
}

fn main() -> ExitCode {
    match check() {
        Ok(()) => {
            println!("early ok");
            ExitCode::SUCCESS
        }
        Err(words) => {
            eprintln!("{words}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Result<(), String> {
    // ORDERING: Relaxed, the same thread wrote it.
    let block = BLOCK.load(Ordering::Relaxed);
    // SAFETY: null, or a block of this size that nobody else has.
    let block = unsafe { Block::from_raw(block, SIZE) };
    let block = block.ok_or("the constructor got NULL")?;
    if (0..SIZE).any(|place| block.get(place) != 0x42) {
        return Err("the block has changed".to_owned());
    }
    drop(block);
    churn(1, 500, 16)?;
    if std::env::args().nth(1).as_deref() == Some("with-plugin") {
        ask_plugin()?;
        fork_with_plugin()?;
    }
    Ok(())
}

fn ask_plugin() -> Result<(), String> {
    let address = c::symbol(c"plugin_report").ok_or("the plugin is not loaded")?;
    type Report = extern "C" fn() -> c_int;
    // SAFETY: this is the plugin's function, and this is its type.
    let report = unsafe { std::mem::transmute::<c::Pointer, Report>(address) };
    match report() {
        0 => Ok(()),
        code => Err(format!("the plugin: complaint {code}")),
    }
}

fn fork_with_plugin() -> Result<(), String> {
    let worker = thread::spawn(|| churn(2, 30_000, 12));
    for round in 0..30 {
        // SAFETY: the child allocates, which glibc allows, and ends at once.
        let process = unsafe { libc::fork() };
        if process == 0 {
            let code = if churn(round, 100, 16).is_ok() { 0 } else { 1 };
            // SAFETY: `_exit` has no conditions.
            unsafe { libc::_exit(code) }
        }
        let mut status = 0;
        // SAFETY: `status` can be written.
        unsafe { libc::waitpid(process, &raw mut status, 0) };
        if status != 0 {
            return Err(format!("fork {round}: status {status:#x}"));
        }
    }
    worker.join().map_err(|_| "a thread panicked".to_owned())??;
    // What `dlerror` says is allocated, by the C library, with our `malloc`.
    // SAFETY: the name ends in a zero.
    let nothing = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"no_such_symbol".as_ptr()) };
    // SAFETY: `dlerror` has no conditions.
    let message = unsafe { libc::dlerror() };
    if !nothing.is_null() || message.is_null() {
        return Err("dlsym found what is not there".to_owned());
    }
    // SAFETY: the message ends in a zero.
    let message = unsafe { CStr::from_ptr(message) };
    if message.to_bytes().is_empty() { Err("an empty message".to_owned()) } else { Ok(()) }
}
