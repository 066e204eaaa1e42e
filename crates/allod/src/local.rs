//! The process's one allocator, and how a thread finds its heap in it.
//!
//! A thread's heap hangs on one thread-local pointer. It is never null: before
//! the first allocation it leads to [`NEW`], after the thread's end to
//! [`DEAD`], two heaps that have nothing, so that the fast paths need no test
//! for either; they fail on the empty lists and come here.
//!
//! ```text
//!   NEW ----- first allocation: adopt a heap ----> a heap
//!                                                    |
//!   DEAD <---- the thread's exit: leave it behind ---+
//!     ^
//!     +--- at once, where nobody would tell us of the thread's end
//! ```
//!
//! Not every thread takes a heap at its first call: while there are many threads,
//! one that starts is *young* for [`YOUTH`] calls, and its pointer stays at [`NEW`].
//! The common heaps serve it (`heap/common.rs`). A second word counts the calls;
//! no fast path reads it.
//!
//! The pointer lies in initial-exec thread-local storage: two instructions, in a
//! shared library too, where the ordinary kind costs a call. Stable Rust has no
//! attribute for that, so the variable is a `static` in a section of the right
//! kind, reached by two lines of assembly and by nothing else. The first line
//! reads a constant, the same for each thread, which the compiler may keep; the
//! second reads through it. The two words, and that of `sync/held.rs`, are all
//! we take of the space that the loader keeps for libraries opened late.
//!
//! On 32-bit x86 the standard library's `thread_local!` stands in: this file
//! and `sync/held.rs` are the only ones that may name `std`.
//!
//! # Life of the process
//!
//! [`start`] opens the allocator, at the first allocation at the latest, under
//! the options that are known then. A key of the thread library tells us when a
//! thread ends; when the code itself is unloaded ([`unload`]) the key goes first.
//! What the process should hear of us besides is `report.rs`'s business.
#![allow(unsafe_code)]

use crate::arena;
use crate::config::{Config, Key, OPTIONS, TABLE};
use crate::fatal::Line;
use crate::heap::{Allocator, Heap};
use crate::huge;
use crate::map::Map;
use crate::os::linux::Linux;
use crate::sample::Who;
use crate::sync::{AtomicU32, AtomicU64, Lock, Ordering, Rank};
use crate::unwind;
use core::ptr;

/// The allocator of this process.
pub(crate) static ALLOCATOR: Allocator<Linux> = Allocator::new(Linux, Map::for_process());

/// The heap of a thread that has none yet.
static NEW: Heap = Heap::empty();
/// The heap of a thread that is past its end.
static DEAD: Heap = Heap::empty();

/// 1 once the allocator serves; 2 when it was closed.
static STATE: AtomicU32 = AtomicU32::new(0);
/// The options in force.
static VALUES: [AtomicU64; OPTIONS] = [const { AtomicU64::new(0) }; OPTIONS];
static STARTING: Lock = Lock::new(Rank::Opening);
static KEY: AtomicU64 = AtomicU64::new(u64::MAX);

/// Calls for which a young thread makes do without a heap. What it allocates with
/// them is what most threads ever do that only sleep.
const YOUTH: usize = 64;

#[cfg(not(target_arch = "x86"))]
mod slot {
    use super::{Heap, NEW};
    use core::cell::UnsafeCell;

    #[repr(C)]
    pub(super) struct Slot(UnsafeCell<*const Heap>, UnsafeCell<usize>);
    // SAFETY: never touched but through the assembly below, each thread its own.
    unsafe impl Sync for Slot {}

    #[unsafe(link_section = ".tdata.allod")]
    static SLOT: Slot = Slot(UnsafeCell::new(&raw const NEW), UnsafeCell::new(0));

    /// Where the slot lies, seen from the thread pointer.
    #[inline(always)]
    fn offset() -> usize {
        let offset: usize;
        cfg_select! {
            target_arch = "x86_64" => {
                // SAFETY: reads the linker's constant for this variable.
                unsafe {
                    core::arch::asm!(
                        "mov {offset}, qword ptr [rip + {slot}@GOTTPOFF]",
                        offset = out(reg) offset, slot = sym SLOT,
                        options(pure, nomem, nostack, preserves_flags),
                    )
                };
            }
            _ => {
                // SAFETY: reads the linker's constant for this variable.
                unsafe {
                    core::arch::asm!(
                        "adrp {offset}, :gottprel:{slot}",
                        "ldr {offset}, [{offset}, #:gottprel_lo12:{slot}]",
                        offset = out(reg) offset, slot = sym SLOT,
                        options(pure, nomem, nostack, preserves_flags),
                    )
                };
            }
        }
        offset
    }

    #[inline(always)]
    pub(super) fn get() -> *const Heap {
        let heap: *const Heap;
        let offset = offset();
        cfg_select! {
            target_arch = "x86_64" => {
                // SAFETY: the slot is this thread's own.
                unsafe {
                    core::arch::asm!(
                        "mov {heap}, qword ptr fs:[{offset}]",
                        heap = out(reg) heap, offset = in(reg) offset,
                        options(readonly, nostack, preserves_flags),
                    )
                };
            }
            _ => {
                // SAFETY: the slot is this thread's own.
                unsafe {
                    core::arch::asm!(
                        "mrs {heap}, tpidr_el0",
                        "ldr {heap}, [{heap}, {offset}]",
                        heap = out(reg) heap, offset = in(reg) offset,
                        options(readonly, nostack, preserves_flags),
                    )
                };
            }
        }
        heap
    }

    /// Calls that the thread has made without a heap.
    pub(super) fn calls() -> usize {
        let calls: usize;
        let offset = offset();
        cfg_select! {
            target_arch = "x86_64" => {
                // SAFETY: the slot's second word is this thread's own.
                unsafe {
                    core::arch::asm!(
                        "mov {calls}, qword ptr fs:[{offset} + 8]",
                        calls = out(reg) calls, offset = in(reg) offset,
                        options(readonly, nostack, preserves_flags),
                    )
                };
            }
            _ => {
                // SAFETY: the slot's second word is this thread's own.
                unsafe {
                    core::arch::asm!(
                        "mrs {calls}, tpidr_el0",
                        "add {calls}, {calls}, {offset}",
                        "ldr {calls}, [{calls}, #8]",
                        calls = out(reg) calls, offset = in(reg) offset,
                        options(readonly, nostack, preserves_flags),
                    )
                };
            }
        }
        calls
    }

    pub(super) fn set_calls(calls: usize) {
        let offset = offset();
        cfg_select! {
            target_arch = "x86_64" => {
                // SAFETY: the slot's second word is this thread's own.
                unsafe {
                    core::arch::asm!(
                        "mov qword ptr fs:[{offset} + 8], {calls}",
                        calls = in(reg) calls, offset = in(reg) offset,
                        options(nostack, preserves_flags),
                    )
                };
            }
            _ => {
                // SAFETY: the slot's second word is this thread's own.
                unsafe {
                    core::arch::asm!(
                        "mrs {scratch}, tpidr_el0",
                        "add {scratch}, {scratch}, {offset}",
                        "str {calls}, [{scratch}, #8]",
                        calls = in(reg) calls, offset = in(reg) offset, scratch = out(reg) _,
                        options(nostack, preserves_flags),
                    )
                };
            }
        }
    }

    pub(super) fn set(heap: *const Heap) {
        let offset = offset();
        cfg_select! {
            target_arch = "x86_64" => {
                // SAFETY: the slot is this thread's own.
                unsafe {
                    core::arch::asm!(
                        "mov qword ptr fs:[{offset}], {heap}",
                        heap = in(reg) heap, offset = in(reg) offset,
                        options(nostack, preserves_flags),
                    )
                };
            }
            _ => {
                // SAFETY: the slot is this thread's own.
                unsafe {
                    core::arch::asm!(
                        "mrs {scratch}, tpidr_el0",
                        "str {heap}, [{scratch}, {offset}]",
                        heap = in(reg) heap, offset = in(reg) offset, scratch = out(reg) _,
                        options(nostack, preserves_flags),
                    )
                };
            }
        }
    }
}

#[cfg(target_arch = "x86")]
mod slot {
    use super::{Heap, NEW};
    use core::cell::Cell;

    std::thread_local! {
        static SLOT: Cell<*const Heap> = const { Cell::new(&raw const NEW) };
        static CALLS: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn calls() -> usize {
        CALLS.with(Cell::get)
    }

    pub(super) fn set_calls(calls: usize) {
        CALLS.with(|slot| slot.set(calls));
    }

    #[inline(always)]
    pub(super) fn get() -> *const Heap {
        SLOT.with(Cell::get)
    }

    pub(super) fn set(heap: *const Heap) {
        SLOT.with(|slot| slot.set(heap));
    }
}

/// The calling thread's heap; an empty one before its first allocation and
/// after its end.
#[inline(always)]
pub(crate) fn heap() -> &'static Heap {
    // SAFETY: the slot leads to a static or to a heap, which is never unmapped.
    unsafe { &*slot::get() }
}

/// Gives the slot its first value if the loader has not done so yet.
pub(crate) fn before_first_values() {
    if slot::get().is_null() {
        slot::set(&raw const NEW);
    }
}

/// True when what [`heap`] gave is the thread's own, and none of the two that stand for none.
#[inline(always)]
pub(crate) fn is_own(heap: &Heap) -> bool {
    !ptr::eq(heap, &raw const NEW) && !ptr::eq(heap, &raw const DEAD)
}

/// The calling thread's heap, if it has one now.
pub(crate) fn present() -> Option<&'static Heap> {
    let heap = heap();
    is_own(heap).then_some(heap)
}

/// The calling thread's heap, made or adopted if need be. `None` for a young thread,
/// past the thread's end, and when the system has no memory.
#[cold]
#[inline(never)]
pub(crate) fn enter() -> Option<&'static Heap> {
    let heap = heap();
    if ptr::eq(heap, &raw const DEAD) || !is_open() {
        return None;
    }
    if !ptr::eq(heap, &raw const NEW) {
        return Some(heap);
    }
    let calls = slot::calls();
    if calls == 0
        && let Some(heap) = told().filter(|heap| !ptr::eq(*heap, &raw const NEW))
    {
        // A thread that allocated before the loader gave its variables their first
        // values has a heap that its slot has forgotten.
        slot::set(heap);
        return Some(heap);
    }
    if calls >= YOUTH {
        return settle(ALLOCATOR.adopt()?);
    }
    match ALLOCATOR.adopt_at_once() {
        Some(heap) => settle(heap),
        None => {
            one_more(calls);
            None
        }
    }
}

/// The calling thread's heap for a free. A thread without one that frees much gets
/// one too: with its ring, what it frees goes home in batches.
#[cold]
pub(crate) fn enter_to_free() -> Option<&'static Heap> {
    let heap = heap();
    if !ptr::eq(heap, &raw const NEW) {
        return (!ptr::eq(heap, &raw const DEAD)).then_some(heap);
    }
    if !is_open() {
        return None;
    }
    match slot::calls() {
        YOUTH.. => enter(),
        calls => {
            one_more(calls);
            None
        }
    }
}

/// The calling thread's heap, for what is to be kept in it: a young thread gets its own.
pub(crate) fn enter_to_stay() -> Option<&'static Heap> {
    match enter() {
        None if ptr::eq(heap(), &raw const NEW) && is_open() => settle(ALLOCATOR.adopt()?),
        found => found,
    }
}

/// Counts a call of a thread without a heap. From the first on we hear of the
/// thread's end; otherwise it might take a heap after that, and keep it for ever.
fn one_more(calls: usize) {
    slot::set_calls(calls + 1);
    if calls == 0 && !tell(&raw const NEW) {
        slot::set(&raw const DEAD);
    }
}

/// Makes `heap` the calling thread's, if we shall hear of the thread's end. The
/// first heap of all needs no such promise: there is none to be left behind after it.
fn settle(heap: &'static Heap) -> Option<&'static Heap> {
    heap.set_thread(number());
    slot::set(heap);
    // May allocate (glibc does for keys from the 32nd on): the slot is set by now.
    if tell(heap) || ALLOCATOR.threads.get() == 1 {
        return Some(heap);
    }
    slot::set(&raw const DEAD);
    // SAFETY: we are the heap's thread, and past this line it has none.
    unsafe { ALLOCATOR.abandon(heap) };
    None
}

/// What the thread library keeps for this thread: its heap, [`NEW`] or nothing.
fn told() -> Option<&'static Heap> {
    // ORDERING: Relaxed, set before the allocator was published as open.
    let key = KEY.load(Ordering::Relaxed);
    if key == u64::MAX {
        return None;
    }
    // SAFETY: the key is ours.
    let heap = unsafe { libc::pthread_getspecific(key as libc::pthread_key_t) };
    // SAFETY: the key's values are heaps, which are never unmapped.
    unsafe { heap.cast::<Heap>().as_ref() }
}

/// Has the thread library call [`leave`] with `heap` at this thread's end. False
/// when it won't.
fn tell(heap: *const Heap) -> bool {
    // ORDERING: Relaxed, set before the allocator was published as open.
    let key = KEY.load(Ordering::Relaxed);
    // SAFETY: the key is ours and its value is this thread's.
    key != u64::MAX && unsafe { libc::pthread_setspecific(key as libc::pthread_key_t, heap.cast()) } == 0
}

/// The calling thread, as the kernel numbers it.
pub(crate) fn number() -> u32 {
    // SAFETY: a query without preconditions, which cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) as u32 }
}

/// Whom a sample is of that the calling thread takes.
fn who() -> Who {
    present().map_or_else(|| Who { thread: number(), label: 0 }, Heap::who)
}

/// Called by the thread library when a thread ends.
extern "C" fn leave(heap: *mut libc::c_void) {
    // SAFETY: the value that `tell` stored: a heap, which is never unmapped.
    let Some(heap) = (unsafe { heap.cast::<Heap>().as_ref() }) else { return };
    if !ptr::eq(heap, slot::get()) {
        return;
    }
    slot::set(&raw const DEAD);
    unwind::forget_thread();
    if !ptr::eq(heap, &raw const NEW) {
        // SAFETY: we are the heap's thread, and past this line it has none.
        unsafe { ALLOCATOR.abandon(heap) };
    }
}

/// True once the allocator serves.
#[inline]
pub(crate) fn is_open() -> bool {
    // ORDERING: Acquire pairs with the Release in `open`: the allocator is set up.
    STATE.load(Ordering::Acquire) == 1
}

/// What [`start`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The allocator serves, and did before.
    Open,
    /// The allocator serves from now on: the caller introduces it to the rest of the process.
    Opened,
    /// The system refuses what it needs. The next call asks again.
    Refused,
}

/// Opens the allocator if nobody has.
#[inline]
pub(crate) fn start(config: &Config) -> Start {
    if is_open() { Start::Open } else { open(config) }
}

/// True when the process has more rights than its user: then the environment
/// decides nothing, and nothing is written anywhere.
pub(crate) fn is_secure() -> bool {
    // SAFETY: a query without preconditions.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

#[cold]
fn open(config: &Config) -> Start {
    // A handler above the opening itself gets nothing.
    let Some(_guard) = STARTING.lock() else { return Start::Refused };
    // ORDERING: Acquire, as in `is_open`.
    match STATE.load(Ordering::Acquire) {
        0 => {}
        1 => return Start::Open,
        _ => return Start::Refused,
    }
    let mut config = *config;
    if config.environment && !is_secure() {
        environment(c"ALLOD_CONF", |text| {
            config.apply(text, |part, _| complain(part));
        });
    }
    let (arena, huge) = policies(&config);
    if !ALLOCATOR.open(arena, huge, config.level()) {
        return Start::Refused;
    }
    for (value, row) in VALUES.iter().zip(&TABLE) {
        // ORDERING: Relaxed, published by the store below.
        value.store(config.get(row.key), Ordering::Relaxed);
    }
    ALLOCATOR.set_caller(who);
    ALLOCATOR.sampler.set_interval(config.get(Key::Profile) as u32);
    let mut key: libc::pthread_key_t = 0;
    // SAFETY: `key` is writable, and `leave` has the right shape.
    if unsafe { libc::pthread_key_create(&raw mut key, Some(leave)) } == 0 {
        // ORDERING: Relaxed, published by the store below.
        KEY.store(u64::from(key), Ordering::Relaxed);
    }
    // ORDERING: Release pairs with the Acquire in `is_open`.
    STATE.store(1, Ordering::Release);
    Start::Opened
}

fn policies(config: &Config) -> (arena::Policy, huge::Policy) {
    let dense_from = match config.get(Key::HugePages) {
        0 => usize::MAX,
        bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
    };
    let delay = config.get(Key::PurgeDelay);
    let cache = usize::try_from(config.get(Key::HugeCache)).unwrap_or(usize::MAX >> 1);
    let guards = config.get(Key::GuardPages) != 0;
    (
        arena::Policy { dense_from, purge_delay: delay },
        huge::Policy {
            cache_limit: cache,
            keep: delay,
            dense_from,
            guards,
            quarantine: config.get(Key::Harden) != 0,
        },
    )
}

/// The value of an option in force.
pub(crate) fn option(key: Key) -> u64 {
    // ORDERING: Relaxed, an option is one number.
    VALUES.get(key as usize).map_or(0, |value| value.load(Ordering::Relaxed))
}

/// Changes an option of an allocator that is open.
pub(crate) fn change(key: Key, value: u64) {
    if let Some(place) = VALUES.get(key as usize) {
        // ORDERING: Relaxed, an option is one number.
        place.store(value, Ordering::Relaxed);
    }
    if key == Key::Profile {
        return ALLOCATOR.sampler.set_interval(value as u32);
    }
    let mut config = Config::new();
    for (place, row) in VALUES.iter().zip(&TABLE) {
        // ORDERING: Relaxed, as above.
        config = config.with(row.key, place.load(Ordering::Relaxed));
    }
    let (arena, huge) = policies(&config);
    ALLOCATOR.arena.set_policy(arena);
    ALLOCATOR.huge.open(huge);
}

/// Calls `read` with the value of an environment variable.
///
/// Walks the block itself: `getenv` may not be ready when the loader's first
/// allocation comes, and takes a lock in some C libraries.
pub(crate) fn environment(name: &core::ffi::CStr, read: impl FnOnce(&[u8])) {
    unsafe extern "C" {
        static environ: *const *const libc::c_char;
    }
    // SAFETY: the C library's variable; null or a list that ends in null.
    let mut at = unsafe { environ };
    if at.is_null() {
        return;
    }
    loop {
        // SAFETY: `at` is within the list, whose end we have not passed.
        let entry = unsafe { *at };
        if entry.is_null() {
            return;
        }
        // SAFETY: entries of the environment are strings that end in zero.
        let text = unsafe { core::ffi::CStr::from_ptr(entry) }.to_bytes();
        if let Some(value) = text.strip_prefix(name.to_bytes()).and_then(|t| t.strip_prefix(b"=")) {
            return read(value);
        }
        // SAFETY: `at` was not the end.
        at = unsafe { at.add(1) };
    }
}

fn complain(part: &[u8]) {
    let mut line = Line::new().text("ALLOD_CONF: not understood: ");
    for &byte in part.iter().take(64) {
        let shown = if byte.is_ascii_graphic() { byte } else { b'?' };
        line = line.text(core::str::from_utf8(&[shown]).unwrap_or("?"));
    }
    line.text(" (see `allod --help`)").print();
}

/// Before the code that we are part of is unloaded: no thread may call into it
/// when it ends, and if no other thread has used it, all that nobody holds goes
/// back to the system.
pub(crate) fn unload() {
    // ORDERING: Relaxed, the loader runs this alone.
    let key = KEY.swap(u64::MAX, Ordering::Relaxed);
    if key != u64::MAX {
        // SAFETY: the key is ours, and nobody uses it any more.
        unsafe { libc::pthread_key_delete(key as libc::pthread_key_t) };
    }
    let others = ALLOCATOR.threads.get() > usize::from(present().is_some());
    if !is_open() {
        return;
    }
    if others {
        // A thread that has used us may be in the middle of it, if this is the end of
        // the process and not of a plugin: then nothing may be pulled from under it.
        ALLOCATOR.sampler.sites.retire(&ALLOCATOR.arena.kernel);
        // SAFETY: the heap is this thread's.
        unsafe { ALLOCATOR.trim(present(), 0) };
        return;
    }
    slot::set(&raw const DEAD);
    // SAFETY: no thread but this one has a heap, and the code is on its way out.
    if unsafe { ALLOCATOR.close() } {
        // ORDERING: Relaxed, the loader runs this alone.
        STATE.store(2, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { unwind::close() };
    }
}
