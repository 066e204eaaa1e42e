//! The Rust face: `#[global_allocator]`.
//!
//! A [`Layout`] comes in. Where the compiler knows it, the size class folds to
//! a constant, and what is left is a pop from a list or a push to one.
//! Everything else goes through the slow door (`door.rs`).
#![allow(unsafe_code)]

use crate::background;
use crate::block::Block;
use crate::config::{Config, Harden, Key, Refused, TABLE};
use crate::door;
use crate::harden::{Form, Given, HARD};
use crate::harden::locker::RowAt;
use crate::harden::slot::{self, Family};
use crate::heap::EIGHT;
use crate::local::{self, ALLOCATOR};
use crate::profile;
use crate::report;
use crate::size::{BY_8, CLASSES, SizeClass, TABLE_MAX};
use crate::stats::{Stats, ThreadStats};
use crate::units::{MIN_ALIGN, SMALL_MAX};
use core::alloc::{GlobalAlloc, Layout};
use core::hint::cold_path;
use core::ptr::{self, NonNull};

/// The general-purpose allocator of a program.
///
/// ```
/// #[global_allocator]
/// static GLOBAL: allod::Allod = allod::Allod::new();
///
/// let numbers: Vec<u32> = (0..1000).collect();
/// assert!(allod::stats().allocated >= 4000);
/// # drop(numbers);
/// ```
///
/// All instances of one program share one allocator; the first one that
/// allocates decides its options. An allocation takes constant time but for
/// what the system takes to hand over memory. Nothing here panics.
#[derive(Debug)]
pub struct Allod {
    config: Config,
}

/// Options for an [`Allod`], to be chosen in a `const`.
///
/// ```
/// #[global_allocator]
/// static GLOBAL: allod::Allod =
///     allod::Allod::builder().purge_delay(100).huge_pages_from(0).build();
/// # assert!(Box::new(7) == Box::new(7));
/// ```
#[derive(Debug)]
#[must_use]
pub struct Builder {
    config: Config,
}

impl Allod {
    /// An allocator with the built-in options.
    #[must_use]
    pub const fn new() -> Self {
        Self { config: Config::new() }
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
    /// Keeps free memory for this many milliseconds (at most an hour) before it
    /// goes back to the system. Default: 500.
    pub const fn purge_delay(self, milliseconds: u64) -> Self {
        self.set(Key::PurgeDelay, milliseconds)
    }

    /// Asks for huge pages once this many bytes are in use; 0 for never.
    /// Default: 2 MiB.
    pub const fn huge_pages_from(self, bytes: u64) -> Self {
        self.set(Key::HugePages, bytes)
    }

    /// Keeps at most this many bytes of freed huge objects, or as many as there are in live
    /// ones, if that is more; 0 for none. Default: 256 MiB.
    pub const fn huge_cache(self, bytes: u64) -> Self {
        self.set(Key::HugeCache, bytes)
    }

    /// Puts an inaccessible page behind each huge object, or none. Default: true.
    pub const fn guard_pages(self, yes: bool) -> Self {
        self.set(Key::GuardPages, yes as u64)
    }

    /// Takes a sample of what is allocated every so many bytes on the average; 0 for
    /// never. Default: 512 KiB. See [`profile`](crate::profile).
    pub const fn profile(self, bytes: u64) -> Self {
        self.set(Key::Profile, bytes)
    }

    /// Chooses the level of safety. Default: [`Harden::Default`].
    pub const fn harden(self, level: Harden) -> Self {
        self.set(Key::Harden, level as u64)
    }

    /// Gives about one in `rate` objects of the slow path pages of its own, at most
    /// 64 at a time; at the paranoid level one in `rate` of all. Default: 0, none.
    pub const fn guard_rate(self, rate: u32) -> Self {
        self.set(Key::GuardRate, rate as u64)
    }

    /// Lets a thread of our own give memory back while the program makes no calls.
    /// Without it that waits for a call. Default: false.
    pub const fn background(self, yes: bool) -> Self {
        self.set(Key::Background, yes as u64)
    }

    /// Pays no attention to `ALLOD_CONF`.
    pub const fn ignore_environment(mut self) -> Self {
        self.config.environment = false;
        self
    }

    /// Sets any option of [`TABLE`](crate::config::TABLE), moved into its range.
    pub const fn set(mut self, key: Key, value: u64) -> Self {
        self.config = self.config.with(key, value);
        self
    }

    /// The allocator.
    #[must_use]
    pub const fn build(self) -> Allod {
        Allod { config: self.config }
    }
}

/// The figures of the process's allocator, as they are now.
///
/// Walks the records of all spans: microseconds for each megabyte in use. No
/// lock is held meanwhile, so figures that belong together may be from
/// different moments when other threads run. Never fails.
#[must_use]
pub fn stats() -> Stats {
    if local::is_open() { ALLOCATOR.stats(local::present()) } else { Stats::default() }
}

/// Tells `each` the figures of every thread that has a heap. `each` may allocate.
///
/// ```
/// # #[global_allocator]
/// # static GLOBAL: allod::Allod = allod::Allod::new();
/// let mut allocations = 0;
/// allod::threads(|thread| allocations += thread.allocations);
/// ```
pub fn threads(mut each: impl FnMut(&ThreadStats)) {
    if local::is_open() {
        ALLOCATOR.each_thread(&mut each);
    }
}

/// Changes an option while the program runs. Memory that is there already stays
/// as it is.
///
/// ```
/// use allod::config::Key;
/// allod::set(Key::PurgeDelay, 50)?;
/// assert!(allod::set(Key::GuardPages, 7).is_err());
/// # Ok::<(), allod::config::Refused>(())
/// ```
///
/// # Errors
///
/// The value is out of the option's range, the option is taken at the start (the
/// level of safety and the rate of guarded objects), or there is no memory to start with.
pub fn set(key: Key, value: u64) -> Result<(), Refused> {
    const CONFIG: Config = Config::new();
    let row = TABLE[key as usize];
    if value < row.min || value > row.max {
        return Err(Refused::BadValue);
    }
    if matches!(key, Key::Harden | Key::GuardRate) {
        return Err(Refused::TooLate);
    }
    if !report::start(&CONFIG) {
        return Err(Refused::NoMemory);
    }
    local::change(key, value);
    match key {
        Key::Background => background::obey(value != 0),
        Key::ProfileDump => profile::obey(),
        _ => {}
    }
    Ok(())
}

/// Gives free memory back to the system, down to about `keep` bytes of it: what
/// this thread holds on its lists, what exited threads left, what is kept for
/// the next allocation. Returns the bytes given back. Takes time in proportion
/// to what is free.
pub fn trim(keep: usize) -> usize {
    if !local::is_open() {
        return 0;
    }
    // SAFETY: the heap is this thread's.
    unsafe { ALLOCATOR.trim(local::present(), keep) }
}

/// The class of a layout, as far as the fast paths go: a constant where the
/// layout is one. Where it is not, what nearly all layouts are is looked at first: four
/// or five instructions less than one sum for every alignment (golden file, 2026-12-01).
#[inline(always)]
fn class_of(layout: Layout) -> Option<usize> {
    let (size, align) = (layout.size(), layout.align());
    if align <= 8 && size <= TABLE_MAX {
        // SAFETY: just compared.
        return Some(usize::from(unsafe { *BY_8.get_unchecked((size + 7) >> 3) }));
    }
    cold_path();
    let place = SizeClass::place_in_table(size, align);
    if align > 8 && place < BY_8.len() {
        // SAFETY: just compared.
        Some(usize::from(unsafe { *BY_8.get_unchecked(place) }))
    } else if size <= SMALL_MAX && align <= MIN_ALIGN {
        Some(SizeClass::of_size(size).index())
    } else {
        None
    }
}

// SAFETY: objects are aligned, disjoint, and stay until they are freed; nothing
// unwinds; `realloc` keeps contents.
unsafe impl GlobalAlloc for Allod {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if let Some(c) = class_of(layout) {
            let block = local::heap().front.pop(c);
            if !block.is_null() {
                return block.cast();
            }
        }
        self.slow(layout)
    }

    #[inline]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        let class = class_of(layout);
        if let Some(c) = class {
            let front = &local::heap().front;
            // SAFETY: the caller's pointer is an object's: not null.
            let block: NonNull<Block> = unsafe { NonNull::new_unchecked(at.cast()) };
            if let Some(entry) = ALLOCATOR.arena.map.entry(at.addr())
                && front.owns(entry, c)
                // SAFETY: the map says that the block is in a span of ours of this class.
                && !unsafe { front.is_free(block, c) }
            {
                // SAFETY: as above, and the program has given it up.
                if unsafe { front.push(block, c) } {
                    flush(c);
                }
                return;
            }
        }
        // SAFETY: the caller's promise.
        unsafe { dealloc_slow(at, layout, class.unwrap_or(CLASSES)) };
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() > SMALL_MAX {
            let (size, align) = (layout.size(), layout.align());
            return door::allocate(&self.config, size, align, true, Family::Rust);
        }
        // SAFETY: the caller's promise.
        let at = unsafe { self.alloc(layout) };
        if let Some(object) = NonNull::new(at) {
            // SAFETY: the object is fresh and holds the layout's size.
            unsafe { object.write_bytes(0, layout.size()) };
        }
        at
    }

    #[inline]
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let class = SizeClass::of_layout(layout.size(), layout.align());
        if class.is_some()
            && class == SizeClass::of_layout(size, layout.align())
            && !ALLOCATOR.harden.is_on()
        {
            return at;
        }
        // SAFETY: the caller's promise.
        unsafe { self.realloc_slow(at, layout, size) }
    }
}

impl Allod {
    #[cold]
    #[inline(never)]
    fn slow(&self, layout: Layout) -> *mut u8 {
        let mode = ALLOCATOR.harden.mode();
        if mode != 0 {
            let (size, align) = (layout.size(), layout.align());
            if mode == HARD
                && let Some(class) = slot::class_for(size, align).filter(|_| size != 0)
                && let form = Form::new(size, align, Family::Rust)
                && let Some(at) = local::heap().alloc_slot_fast::<false>(RowAt::of(class), form)
            {
                return at.as_ptr();
            }
            if mode & HARD != 0 {
                return door::hardened(local::enter(), size, align, false, Family::Rust);
            }
            if let Some(at) = ALLOCATOR.guard(local::enter(), size, align, Family::Rust) {
                return at.as_ptr();
            }
        }
        let class = SizeClass::of_layout(layout.size(), layout.align());
        if let Some(class) = class.filter(|class| *class != SizeClass::ZERO) {
            let heap = local::heap();
            // Not every layout that comes here has been looked for on its list.
            let mut block = heap.front.pop(class.index());
            if block.is_null() {
                // SAFETY: the heap is this thread's, or stands for none; the list is dry.
                block = unsafe { heap.swap(&ALLOCATOR, class) };
            }
            if block.is_null() && local::is_own(heap) {
                // SAFETY: the heap is this thread's.
                block = unsafe { heap.refill_dry(&ALLOCATOR, class, layout.size()) };
            }
            if !block.is_null() {
                return block.cast();
            }
        }
        door::allocate(&self.config, layout.size(), layout.align(), false, Family::Rust)
    }

    #[inline(never)]
    unsafe fn realloc_slow(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(at) = NonNull::new(at) else { return ptr::null_mut() };
        let old = SizeClass::of_layout(layout.size(), layout.align());
        let new = SizeClass::of_layout(size, layout.align());
        let heap = local::heap();
        if let (Some(old), Some(new)) = (old, new.filter(|class| *class != SizeClass::ZERO))
            && let Some(entry) = ALLOCATOR.arena.map.entry(at.addr().get())
            && heap.front.owns(entry, old.index())
        {
            let (block, bytes) = (at.cast(), size.min(layout.size()));
            // SAFETY: the map says that the block is ours and of the layout's class, so
            // there is a heap; `bytes` is within both; the caller's promise.
            let moved =
                unsafe { heap.move_fast(&ALLOCATOR, block, old.index(), new, bytes) };
            if let Some(moved) = moved {
                return moved.as_ptr();
            }
        }
        if ALLOCATOR.harden.is_on() {
            let given = Given::layout(Family::Rust, layout.size(), layout.align());
            // SAFETY: the caller's promise.
            return unsafe { door::reallocate_hard(at, size, layout.align(), given) };
        }
        if crate::block::CHECKED {
            check(at.addr().get(), layout);
        }
        let heap = local::enter();
        // SAFETY: the heap is this thread's; the caller's promise.
        let moved = unsafe { ALLOCATOR.reallocate(heap, at, size, layout.align()) };
        if moved.is_none() {
            report::refused(size);
        }
        moved.map_or(ptr::null_mut(), NonNull::as_ptr)
    }
}

#[cold]
#[inline(never)]
fn flush(c: usize) {
    // SAFETY: the heap is this thread's.
    unsafe { local::heap().flush(&ALLOCATOR, SizeClass::from_index(c)) };
}

/// The rest of `dealloc`: straight into a batch where the block is another heap's and not
/// the first of its span. The batch is of the class that the layout asks for, `c` (RG1), so the
/// size needs no other look. `c` is [`CLASSES`] where the fast paths know no class.
#[cold]
#[inline(never)]
unsafe fn dealloc_slow(at: *mut u8, layout: Layout, c: usize) {
    if let Some(block) = NonNull::new(at.cast())
        // SAFETY: the heap is this thread's, or stands for none; the caller's promise.
        && unsafe { local::heap().gather(&ALLOCATOR, c, block) }
    {
        return;
    }
    // SAFETY: the caller's promise.
    unsafe { dealloc_other(at, layout) };
}

/// The rest of [`dealloc_slow`].
#[cold]
#[inline(never)]
unsafe fn dealloc_other(at: *mut u8, layout: Layout) {
    let Some(at) = NonNull::new(at) else { return };
    if ALLOCATOR.harden.is_on() {
        let given = Given::layout(Family::Rust, layout.size(), layout.align());
        // SAFETY: the caller's promise.
        return unsafe { door::free_hard(at, given) };
    }
    // Rare alignments: the fast path does not look for their class.
    if layout.align() > MIN_ALIGN
        && let Some(class) = SizeClass::of_layout(layout.size(), layout.align())
        && let Some(entry) = ALLOCATOR.arena.map.entry(at.addr().get())
    {
        let heap = local::heap();
        // SAFETY: the heap is this thread's, and the program has given the block up.
        if heap.front.owns(entry, class.index()) && unsafe { heap.free_fast(&ALLOCATOR, at) } {
            return;
        }
    }
    if crate::block::CHECKED {
        ALLOCATOR.check_size_of_freed(at.addr().get(), layout.size(), layout.align());
    }
    // SAFETY: the heap is this thread's; the caller's promise.
    unsafe { ALLOCATOR.free_slow(local::enter_to_free(), at) };
}

/// Ends the process when no object of this layout stands at `address`.
fn check(address: usize, layout: Layout) {
    ALLOCATOR.check_size(address, layout.size(), layout.align());
}

// SAFETY: every call is passed on to the allocator behind the reference.
unsafe impl GlobalAlloc for &Allod {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { (**self).alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { (**self).dealloc(at, layout) };
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { (**self).alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { (**self).realloc(at, layout, size) }
    }
}

const _: () = assert!(EIGHT >= crate::heap::C_CLASSES, "`raw::free` never meets 8-byte blocks");
