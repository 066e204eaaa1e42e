//! Where we have no backend: the same names over the platform's allocator.
//!
//! On macOS, Windows and wasm, under Miri, and with the feature `system` (for
//! AddressSanitizer and valgrind, which bring allocators of their own) the same
//! two lines compile and every call goes to [`std::alloc::System`]. Options are
//! taken and have no effect; [`stats`] says who serves, and nothing else.
//!
//! A [`Heap`] keeps its promise: dropped, it gives back everything that was
//! allocated from it. It links its blocks for that, with a header of four words
//! before each.
//!
//! # Invariants
//!
//! * DL1. The blocks on a heap's list are live, each preceded by its own header,
//!   and the list is touched under the lock alone.
#![allow(unsafe_code)]

use crate::allocate::{AllocError, Allocator, Global, nothing};
use crate::config::{Config, Harden, Key, Refused, TABLE};
use crate::stats::{Backend, Stats, ThreadStats};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use std::alloc::System;
use std::sync::{Mutex, PoisonError};

/// The general-purpose allocator of a program; here, the platform's.
#[derive(Debug)]
pub struct Allod {
    _config: Config,
}

/// Options for an [`Allod`], to be chosen in a `const`. They have no effect here.
#[derive(Debug)]
#[must_use]
pub struct Builder {
    config: Config,
}

impl Allod {
    /// An allocator with the built-in options.
    #[must_use]
    pub const fn new() -> Self {
        Self { _config: Config::new() }
    }

    /// An allocator with other options.
    pub const fn builder() -> Builder {
        Builder { config: Config::new() }
    }
}

impl Default for Allod {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// Keeps free memory for this many milliseconds.
    pub const fn purge_delay(self, milliseconds: u64) -> Self {
        self.set(Key::PurgeDelay, milliseconds)
    }

    /// Asks for huge pages once this many bytes are in use; 0 for never.
    pub const fn huge_pages_from(self, bytes: u64) -> Self {
        self.set(Key::HugePages, bytes)
    }

    /// Keeps at most this many bytes of freed huge objects, or as many as there are in live
    /// ones; 0 for none.
    pub const fn huge_cache(self, bytes: u64) -> Self {
        self.set(Key::HugeCache, bytes)
    }

    /// Puts an inaccessible page behind each huge object, or none.
    pub const fn guard_pages(self, yes: bool) -> Self {
        self.set(Key::GuardPages, yes as u64)
    }

    /// As in the backend of ours: nothing here.
    pub const fn harden(self, level: Harden) -> Self {
        self.set(Key::Harden, level as u64)
    }

    /// As in the backend of ours: nothing here.
    pub const fn guard_rate(self, rate: u32) -> Self {
        self.set(Key::GuardRate, rate as u64)
    }

    /// As in the backend of ours: nothing here.
    pub const fn background(self, yes: bool) -> Self {
        self.set(Key::Background, yes as u64)
    }

    /// Pays no attention to `ALLOD_CONF`.
    pub const fn ignore_environment(mut self) -> Self {
        self.config.environment = false;
        self
    }

    /// Takes a sample of what is allocated every so many bytes on the average.
    pub const fn profile(self, bytes: u64) -> Self {
        self.set(Key::Profile, bytes)
    }

    /// Sets any option of the table, moved into its range.
    pub const fn set(mut self, key: Key, value: u64) -> Self {
        self.config = self.config.with(key, value);
        self
    }

    /// The allocator.
    #[must_use]
    pub const fn build(self) -> Allod {
        Allod { _config: self.config }
    }
}

/// Says who serves: [`Backend::System`]. All figures are 0.
#[must_use]
pub fn stats() -> Stats {
    Stats { backend: Backend::System, ..Stats::default() }
}

/// Calls nothing: no thread has a heap of ours.
pub fn threads(_each: impl FnMut(&ThreadStats)) {}

/// Checks the value and does nothing.
///
/// # Errors
///
/// The value is out of the option's range.
pub fn set(key: Key, value: u64) -> Result<(), Refused> {
    let row = TABLE[key as usize];
    if value < row.min || value > row.max { Err(Refused::BadValue) } else { Ok(()) }
}

/// The profile: there is none here.
pub mod profile {
    /// A dump could not be written.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Failed {
        /// The system's number of the error; 0 where there is no profiler.
        pub error: i32,
    }

    impl core::fmt::Display for Failed {
        fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            f.write_str("there is no profiler here")
        }
    }

    impl core::error::Error for Failed {}

    /// Returns 0: nothing is sampled.
    #[must_use]
    pub fn interval() -> u64 {
        0
    }

    /// Fails.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn dump(_to: &core::ffi::CStr) -> Result<(), Failed> {
        Err(Failed { error: 0 })
    }

    /// Fails.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn dump_to(_descriptor: core::ffi::c_int) -> Result<(), Failed> {
        Err(Failed { error: 0 })
    }

    /// Hands nothing to `sink`.
    pub fn write(_sink: &mut dyn FnMut(&[u8])) {}
}

/// Labels: nothing is sampled here, so nothing is labelled.
pub mod label {
    use core::marker::PhantomData;

    /// A label that labels nothing.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Label(());

    impl Label {
        /// No label.
        pub const NONE: Self = Self(());

        /// No label.
        #[must_use]
        pub fn new(_text: &str) -> Self {
            Self::NONE
        }

        /// True.
        #[must_use]
        pub const fn is_none(self) -> bool {
            true
        }
    }

    /// Does nothing.
    pub fn set(_label: Label) -> Label {
        Label::NONE
    }

    /// No label.
    #[must_use]
    pub fn current() -> Label {
        Label::NONE
    }

    /// Does nothing when it is dropped.
    #[derive(Debug)]
    #[must_use = "the label is left when the guard is dropped"]
    pub struct Guard {
        _thread: PhantomData<*const ()>,
    }

    /// Does nothing.
    pub fn enter(_text: &str) -> Guard {
        Guard { _thread: PhantomData }
    }
}

/// Does nothing, and returns 0.
pub fn trim(_keep: usize) -> usize {
    0
}

// SAFETY: every call is passed on to the platform's allocator.
unsafe impl GlobalAlloc for Allod {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) };
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }
}

// SAFETY: every call is passed on to the allocator behind the reference.
unsafe impl GlobalAlloc for &Allod {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { (**self).alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { (**self).dealloc(at, layout) };
    }
}

fn slice(at: *mut u8, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
    let at = NonNull::new(at).ok_or(AllocError)?;
    Ok(NonNull::slice_from_raw_parts(at, layout.size()))
}

/// # Safety
///
/// As for [`Allocator::reallocate`].
unsafe fn move_over(
    from: &impl Allocator,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Result<NonNull<[u8]>, AllocError> {
    let fresh = from.allocate(new)?;
    let both = old.size().min(new.size());
    // SAFETY: two blocks of at least `both` bytes, and no two blocks overlap.
    unsafe { fresh.cast::<u8>().copy_from_nonoverlapping(block, both) };
    // SAFETY: the caller gives the old block up.
    unsafe { from.deallocate(block, old) };
    Ok(fresh)
}

// SAFETY: the platform's allocator does not end, and every handle is the same.
unsafe impl Allocator for Global {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        // SAFETY: the size is not 0.
        slice(unsafe { System.alloc(layout) }, layout)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        // SAFETY: the size is not 0.
        slice(unsafe { System.alloc_zeroed(layout) }, layout)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: the caller's promise.
            unsafe { System.dealloc(block.as_ptr(), layout) };
        }
    }

    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if old.align() == new.align() && old.size() != 0 && new.size() != 0 {
            // SAFETY: the caller's promise; the sizes are not 0.
            return slice(unsafe { System.realloc(block.as_ptr(), old, new.size()) }, new);
        }
        // SAFETY: the caller's promise.
        unsafe { move_over(self, block, old, new) }
    }

    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if old == new { slice(block.as_ptr(), new) } else { Err(AllocError) }
    }

    unsafe fn usable_size(&self, _block: NonNull<u8>, layout: Layout) -> usize {
        layout.size()
    }
}

/// What stands before each block of a [`Heap`].
#[repr(C)]
struct Header {
    prev: *mut Header,
    next: *mut Header,
    whole: Layout,
}

/// A heap of one's own, over the platform's allocator.
#[derive(Debug)]
pub struct Heap {
    first: Mutex<*mut Header>,
}

// SAFETY: the list is touched under the lock alone (DL1), and its blocks are the
// platform's, which any thread may free.
unsafe impl Send for Heap {}
// SAFETY: as above.
unsafe impl Sync for Heap {}

impl Heap {
    /// A heap with nothing in it.
    ///
    /// # Errors
    ///
    /// Never, here.
    pub fn new() -> Result<Self, AllocError> {
        Ok(Self { first: Mutex::new(ptr::null_mut()) })
    }

    /// The layout of a block with its header, and how far in the block starts.
    fn whole(layout: Layout) -> Result<(Layout, usize), AllocError> {
        Layout::new::<Header>().extend(layout).map_err(|_| AllocError)
    }

    fn get(&self, layout: Layout, zeroed: bool) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        let (whole, offset) = Self::whole(layout)?;
        let at = if zeroed {
            // SAFETY: a header makes the size more than 0.
            unsafe { System.alloc_zeroed(whole) }
        } else {
            // SAFETY: as above.
            unsafe { System.alloc(whole) }
        };
        let at = NonNull::new(at).ok_or(AllocError)?;
        // SAFETY: `offset` is within the block.
        let block = unsafe { at.add(offset) };
        // SAFETY: the header ends where the block begins.
        let header = unsafe { block.cast::<Header>().sub(1) };
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the place is ours, and aligned: a block's alignment or the header's.
        unsafe { header.write(Header { prev: ptr::null_mut(), next: *first, whole }) };
        // SAFETY: null, or the header of a live block (DL1).
        if let Some(next) = unsafe { first.as_mut() } {
            next.prev = header.as_ptr();
        }
        *first = header.as_ptr();
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        let mut at = *self.first.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(header) = NonNull::new(at) {
            // SAFETY: the header of a live block (DL1).
            let Header { next, whole, .. } = unsafe { header.read() };
            at = next;
            let end = size_of::<Header>().next_multiple_of(whole.align());
            // SAFETY: the block starts where its header ends.
            let block = unsafe { header.add(1) }.cast::<u8>();
            // SAFETY: the block starts `end` bytes into the whole.
            let start = unsafe { block.sub(end) };
            // SAFETY: nobody uses the heap's blocks any more.
            unsafe { System.dealloc(start.as_ptr(), whole) };
        }
    }
}

// SAFETY: blocks stay until they are freed or the heap is dropped.
unsafe impl Allocator for &Heap {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.get(layout, false)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.get(layout, true)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        let (true, Ok((whole, offset))) = (layout.size() != 0, Heap::whole(layout)) else { return };
        // SAFETY: the header stands before the block.
        let header = unsafe { block.cast::<Header>().sub(1) };
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the header of a live block (DL1).
        let Header { prev, next, .. } = unsafe { header.read() };
        // SAFETY: null, or the header of a live block (DL1).
        match unsafe { prev.as_mut() } {
            Some(prev) => prev.next = next,
            None => *first = next,
        }
        // SAFETY: as above.
        if let Some(next) = unsafe { next.as_mut() } {
            next.prev = prev;
        }
        drop(first);
        // SAFETY: the whole starts `offset` bytes before the block.
        let start = unsafe { block.sub(offset) };
        // SAFETY: the caller gives the block up, and it is on no list any more.
        unsafe { System.dealloc(start.as_ptr(), whole) };
    }

    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise.
        unsafe { move_over(self, block, old, new) }
    }

    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if old == new { slice(block.as_ptr(), new) } else { Err(AllocError) }
    }

    unsafe fn usable_size(&self, _block: NonNull<u8>, layout: Layout) -> usize {
        layout.size()
    }
}
