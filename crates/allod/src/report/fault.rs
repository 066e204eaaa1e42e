//! What a guarded object says when it is touched wrongly.
//!
//! A handler for SIGSEGV, set when the allocator opens with guarded objects and
//! at no other time. It writes one line if the address belongs to a guarded
//! object, puts back what was there before, and returns: the access faults again,
//! and then happens what would have happened without us.
#![allow(unsafe_code)]

use crate::local::ALLOCATOR;
use crate::map::Kind;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr;

/// What the process did with the signal before us.
struct Before(UnsafeCell<MaybeUninit<libc::sigaction>>);

// SAFETY: written once, when the allocator opens, and read by the handler that is
// set behind the writing.
unsafe impl Sync for Before {}

static BEFORE: Before = Before(UnsafeCell::new(MaybeUninit::uninit()));

/// Sets the handler.
pub(super) fn watch() {
    // SAFETY: zeros are an action: the default one, with no flags and no mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = told as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: `BEFORE` is writable, and nobody reads it before the handler is set.
    unsafe { libc::sigaction(libc::SIGSEGV, ptr::null(), BEFORE.0.get().cast()) };
    // SAFETY: the action has the right shape.
    unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, ptr::null_mut()) };
}

extern "C" fn told(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel's record, valid during this call.
    let info = unsafe { &*info };
    // SAFETY: SIGSEGV carries an address.
    let address = unsafe { info.si_addr() }.addr();
    if let Some(record) = ALLOCATOR.arena.map.record(address)
        // SAFETY: records are never unmapped (M4).
        && unsafe { record.as_ref() }.kind == Kind::Guarded
    {
        ALLOCATOR.guarded.explain(record, address);
    }
    // SAFETY: set by `watch`, which has set this handler after it.
    unsafe { libc::sigaction(signal, BEFORE.0.get().cast(), ptr::null_mut()) };
}
