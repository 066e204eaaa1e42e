//! The plugin, loaded: its functions behind safe names.
//!
//! A [`Plugin`] is open as long as it lives. A [`Thing`] is one of its objects;
//! it goes back to the plugin when it is dropped, on whatever thread, and the
//! borrow keeps the plugin open that long.
#![expect(unsafe_code, reason = "functions of another file are called by their word alone")]

use std::ffi::{CStr, CString, c_void};
use std::marker::PhantomData;
use std::mem;
use std::ptr::NonNull;

/// An object of the plugin, seen from outside.
#[repr(C)]
struct Opaque {
    _private: [u8; 0],
}

/// The plugin's functions.
#[derive(Debug)]
pub(crate) struct Plugin {
    handle: NonNull<c_void>,
    make: extern "C" fn(u64) -> *mut Opaque,
    sum: unsafe extern "C" fn(*const Opaque) -> u64,
    free: unsafe extern "C" fn(*mut Opaque),
    call: extern "C" fn(extern "C" fn(u64) -> u64, u64) -> u64,
    allocated: extern "C" fn() -> usize,
    pin: extern "C" fn(),
}

// SAFETY: the functions may be called on any thread, and `dlclose` too.
unsafe impl Send for Plugin {}
// SAFETY: as above; nothing here changes while the plugin is open.
unsafe impl Sync for Plugin {}

/// An object of the plugin's.
#[derive(Debug)]
pub(crate) struct Thing<'a> {
    at: NonNull<Opaque>,
    plugin: &'a Plugin,
    owns: PhantomData<Opaque>,
}

// SAFETY: the plugin's objects may be read and freed on any thread.
unsafe impl Send for Thing<'_> {}

impl Plugin {
    /// Loads the plugin.
    pub(crate) fn open(path: &str) -> Self {
        let name = CString::new(path).expect("a path has no zero in it");
        // SAFETY: loading runs the plugin's initializers, and it is ours.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        let handle = NonNull::new(handle).unwrap_or_else(|| panic!("cannot load {path}"));
        Self {
            handle,
            // SAFETY: the plugin's source gives the function the field's type; so below.
            make: unsafe { find(handle, c"plugin_make") },
            // SAFETY: as above.
            sum: unsafe { find(handle, c"plugin_sum") },
            // SAFETY: as above.
            free: unsafe { find(handle, c"plugin_free") },
            // SAFETY: as above.
            call: unsafe { find(handle, c"plugin_call") },
            // SAFETY: as above.
            allocated: unsafe { find(handle, c"plugin_allocated") },
            // SAFETY: as above.
            pin: unsafe { find(handle, c"plugin_pin") },
        }
    }

    /// Makes an object in the plugin.
    pub(crate) fn make(&self, number: u64) -> Thing<'_> {
        let at = NonNull::new((self.make)(number)).expect("the plugin makes an object");
        Thing { at, plugin: self, owns: PhantomData }
    }

    /// Has the plugin call us `times` times.
    pub(crate) fn call(&self, host: extern "C" fn(u64) -> u64, times: u64) -> u64 {
        (self.call)(host, times)
    }

    /// Bytes in use in the plugin.
    pub(crate) fn allocated(&self) -> usize {
        (self.allocated)()
    }

    /// Has the plugin keep something until the calling thread ends.
    pub(crate) fn pin(&self) {
        (self.pin)();
    }
}

/// A function of the plugin, as a function pointer `F`.
///
/// # Safety
///
/// The plugin's function of this name has the type `F`.
unsafe fn find<F: Copy>(handle: NonNull<c_void>, name: &CStr) -> F {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>(), "`F` is a pointer") };
    // SAFETY: the handle is open.
    let at = unsafe { libc::dlsym(handle.as_ptr(), name.as_ptr()) };
    assert!(!at.is_null(), "the plugin has {name:?}");
    // SAFETY: a pointer of the same size, and the caller's word for the type.
    unsafe { mem::transmute_copy(&at) }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and with us go the functions.
        let result = unsafe { libc::dlclose(self.handle.as_ptr()) };
        assert_eq!(result, 0, "the plugin can be closed");
    }
}

impl Thing<'_> {
    /// A number that depends on all of the object.
    pub(crate) fn sum(&self) -> u64 {
        // SAFETY: the object is the plugin's, and alive.
        unsafe { (self.plugin.sum)(self.at.as_ptr()) }
    }
}

impl Drop for Thing<'_> {
    fn drop(&mut self) {
        // SAFETY: the object is the plugin's, and nobody else has it.
        unsafe { (self.plugin.free)(self.at.as_ptr()) };
    }
}

/// The number that [`Thing::sum`] gives for an object of `number`.
pub(crate) fn expected(number: u64) -> u64 {
    let numbers = number % 500;
    6 * (number % 50 + 1) + numbers * numbers.saturating_sub(1) / 2
}
