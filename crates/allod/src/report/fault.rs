//! What a guarded object says when it is touched wrongly.
//!
//! A handler for SIGSEGV, set when the allocator opens with guarded objects and
//! at no other time. If the address belongs to a guarded object it writes one line; then
//! it puts back what was there before, and returns: the access faults again, and then
//! happens what would have happened without us.
//!
//! ```text
//!   fault --> look, on the alternate stack --> not ours: put back --> fault
//!                |
//!                +--> ours --> fault --> tell, on the program's stack; put back --> fault
//! ```
//!
//! The alternate stack of a Rust thread has eight KiB, half of which the kernel fills. It
//! is enough for a look, which is all that an overflow of the program's own stack needs.
//! To name callers takes more. An access to a guarded object is none to the stack, so the
//! second handler has the program's.
#![allow(unsafe_code)]

use super::site;
use crate::fatal::Line;
use crate::local::ALLOCATOR;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr;

/// What the process did with the signal before us.
struct Before(UnsafeCell<MaybeUninit<libc::sigaction>>);

// SAFETY: written once, when the allocator opens, and read by the handler that is
// set behind the writing.
unsafe impl Sync for Before {}

static BEFORE: Before = Before(UnsafeCell::new(MaybeUninit::uninit()));

type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// Sets the handler.
pub(super) fn watch() {
    // SAFETY: `BEFORE` is writable, and nobody reads it before the handler is set.
    unsafe { libc::sigaction(libc::SIGSEGV, ptr::null(), BEFORE.0.get().cast()) };
    set(look, libc::SA_ONSTACK);
}

fn set(handler: Handler, flags: libc::c_int) {
    // SAFETY: zeros are an action: the default one, with no flags and no mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | flags;
    // SAFETY: the action has the right shape.
    unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, ptr::null_mut()) };
}

fn put_back() {
    // SAFETY: set by `watch`, which has set the handlers after it.
    unsafe { libc::sigaction(libc::SIGSEGV, BEFORE.0.get().cast(), ptr::null_mut()) };
}

/// The line, and the object that it is about, if the signal is about a guarded one.
fn explain(info: *mut libc::siginfo_t) -> Option<(Line, usize)> {
    // SAFETY: the kernel's record, valid during the handler's call.
    let info = unsafe { &*info };
    // SAFETY: SIGSEGV carries an address.
    let address = unsafe { info.si_addr() }.addr();
    ALLOCATOR.guarded.explain(&ALLOCATOR.arena.map, address)
}

extern "C" fn look(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    if explain(info).is_some() { set(tell, 0) } else { put_back() }
}

extern "C" fn tell(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    if let Some((line, object)) = explain(info) {
        site::origin(line, object).print();
    }
    put_back();
}
