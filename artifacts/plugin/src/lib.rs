//! A plugin on Allod, for a host on any other allocator.
//!
//! The two share no allocation function: the plugin's Rust code calls Allod,
//! which is inside the plugin and exports nothing, and the host's code calls
//! the host's. So the rule is C's: an object goes back through a function of
//! whoever made it.
//!
//! The plugin can be unloaded while threads that have used it live on. It must
//! leave nothing behind that would be called in them. Allod does its part. The
//! standard library's `thread_local!` does too, in its own way: a destructor
//! that waits for a thread's end keeps the plugin loaded until then. So only
//! [`plugin_pin`] has one.
#![expect(unsafe_code, reason = "names for C are unsafe to give")]

use std::cell::RefCell;

#[global_allocator]
static GLOBAL: allod::Allod = allod::Allod::new();

/// An object with objects inside.
#[derive(Debug)]
pub struct Thing {
    name: String,
    numbers: Vec<u64>,
}

/// Makes an object. It goes back to [`plugin_free`], on any thread.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_make(number: u64) -> *mut Thing {
    let name = "thing ".repeat(number as usize % 50 + 1);
    let numbers = (0..number % 500).collect();
    Box::into_raw(Box::new(Thing { name, numbers }))
}

/// A number that depends on all of the object.
///
/// # Safety
///
/// The object is from [`plugin_make`] and has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_sum(thing: *const Thing) -> u64 {
    // SAFETY: the caller's promise.
    let thing = unsafe { &*thing };
    thing.name.len() as u64 + thing.numbers.iter().sum::<u64>()
}

/// Frees an object.
///
/// # Safety
///
/// The object is from [`plugin_make`] and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_free(thing: *mut Thing) {
    // SAFETY: the caller's promise: this is what `plugin_make` boxed.
    drop(unsafe { Box::from_raw(thing) });
}

/// Calls the host, which allocates and frees as it likes, while the plugin
/// holds objects of its own. The sum of what the host says.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_call(host: extern "C" fn(u64) -> u64, times: u64) -> u64 {
    let answers: Vec<u64> = (0..times).map(|i| *Box::new(host(i))).collect();
    answers.iter().sum()
}

/// Bytes in use in the plugin.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_allocated() -> usize {
    allod::stats().allocated
}

/// Allocates, and keeps it until the calling thread ends.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_pin() {
    thread_local! {
        static KEPT: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }
    KEPT.with_borrow_mut(|kept| kept.push("kept".repeat(10)));
}
