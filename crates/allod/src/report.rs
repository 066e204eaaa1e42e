//! What the process and `allod run` hear of us.
//!
//! [`begin`] is called once, when the allocator has opened. It registers with `fork`,
//! says who ends a line about a mistake (`report/site.rs`), sets the handler that
//! explains faults of guarded objects where there are any (`report/fault.rs`), attaches
//! the shared page (`page.rs` says what that is), and lets the profile begin. From then
//! on the allocator calls [`hear`] at every upkeep. [`ended`] is called at the end of
//! the process, or of our code in it.
//!
//! The page is attached when the allocator opens, if `allod run` named one. From
//! then on the numbers are stored at every upkeep (every 64 slow paths of some
//! thread), at every large or huge object, and at the ends that a process can
//! foresee. A number is at most that old when the process is killed.
#![allow(unsafe_code)]

#[cfg(audit)]
mod audit;
mod fault;
mod site;

use crate::background;
use crate::config::Config;
use crate::fatal;
use crate::harden::GUARDS;
use crate::local::{self, ALLOCATOR, Start};
use crate::page::{ENV, HEADER_SIZE, Header, MAGIC, SLOT_SIZE, Slot};
use crate::profile;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::unwind;
use core::ptr;

static PAGE: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static SLOT: AtomicPtr<Slot> = AtomicPtr::new(ptr::null_mut());

/// Says which face serves. Before the first allocation.
pub(crate) fn set_face(face: u32) {
    profile::set_face(face);
    unwind::set_alone(face == 1);
    if let Some(slot) = slot() {
        put32(&slot.face, face);
    }
}

/// True when the process cannot be rid of us before it ends: `liballod.so`.
fn is_preload() -> bool {
    profile::face() == 1
}

fn put(field: &AtomicU64, value: usize) {
    // ORDERING: Relaxed, PG3: each number alone is whole.
    field.store(value as u64, Ordering::Relaxed);
}

fn put32(field: &AtomicU32, value: u32) {
    // ORDERING: Relaxed, as in `put`.
    field.store(value, Ordering::Relaxed);
}

fn slot() -> Option<&'static Slot> {
    // ORDERING: Acquire pairs with the Release in `take_slot`.
    let slot = SLOT.load(Ordering::Acquire);
    // SAFETY: null, or a slot in the mapping, which stays.
    unsafe { slot.as_ref() }
}

/// Opens the allocator if nobody has, and introduces it. False when the system refuses.
#[inline]
pub(crate) fn start(config: &Config) -> bool {
    match local::start(config) {
        Start::Open => true,
        Start::Opened => {
            begin();
            true
        }
        Start::Refused => false,
    }
}

#[cold]
fn begin() {
    if !is_preload() {
        // The C face registers by itself, before any other library can.
        // SAFETY: the three have the right shape. What this allocates we serve.
        unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
    }
    fatal::set_teller(site::tell);
    if ALLOCATOR.harden.mode() & GUARDS != 0 {
        fault::watch();
    }
    if !local::is_secure() {
        attach();
        profile::begin();
    }
    ALLOCATOR.set_herald(hear);
}

/// The figures have changed. Every upkeep comes by here, without any lock of ours.
fn hear() {
    publish();
    profile::tick();
    #[cfg(audit)]
    audit::look();
    if background::is_wanted() && !is_preload() {
        background::start();
    }
}

/// The system refuses memory for an object of `size` bytes. A size that no system has
/// memory for is not its refusal.
#[cold]
pub(crate) fn refused(size: usize) {
    if size <= isize::MAX as usize >> 1 {
        profile::out_of_memory();
    }
}

/// Before `fork`. The unwinder comes first: a signal handler above a walk may wait for
/// the profiler's tables, and who has them must not wait for the walk.
pub(crate) extern "C" fn prepare() {
    unwind::fork_prepare();
    ALLOCATOR.fork_prepare();
    #[cfg(audit)]
    audit::before_fork();
}

/// After `fork`, in the parent.
pub(crate) extern "C" fn parent() {
    #[cfg(audit)]
    audit::after_fork();
    ALLOCATOR.fork_parent();
    unwind::fork_release();
}

/// After `fork`, in the child.
pub(crate) extern "C" fn child() {
    ALLOCATOR.fork_child(local::present());
    unwind::fork_release();
    unwind::fork_child();
    if let Some(heap) = local::present() {
        heap.set_thread(local::number());
    }
    profile::forked();
    background::forget();
    take_slot();
}

/// Maps the page that the environment names and takes a slot.
fn attach() {
    local::environment(c"ALLOD_PAGE", |path| {
        let mut name = [0u8; 256];
        let Some(place) = name.get_mut(..path.len()) else { return };
        place.copy_from_slice(path);
        // The array is longer than any path taken here, so it ends in zero.
        if path.len() < name.len() {
            map(&name);
        }
    });
}

fn map(name: &[u8; 256]) {
    let flags = libc::O_RDWR | libc::O_CLOEXEC;
    // SAFETY: `name` ends in zero.
    let file = unsafe { libc::open(name.as_ptr().cast(), flags) };
    if file < 0 {
        return;
    }
    // SAFETY: the descriptor is ours.
    let size = unsafe { libc::lseek(file, 0, libc::SEEK_END) };
    let size = usize::try_from(size).unwrap_or(0);
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new shared mapping of a file that we just opened.
    let at = unsafe { libc::mmap(ptr::null_mut(), size.max(1), access, libc::MAP_SHARED, file, 0) };
    // SAFETY: the descriptor is ours; the mapping stays without it.
    unsafe { libc::close(file) };
    if at == libc::MAP_FAILED {
        return;
    }
    let header = at.cast::<Header>();
    // SAFETY: the mapping holds at least a header when `size` says so.
    let good = size >= HEADER_SIZE && unsafe { &*header }.is_valid(size);
    if good {
        // ORDERING: Release pairs with the Acquire in `take_slot`.
        PAGE.store(at.cast(), Ordering::Release);
        ALLOCATOR.arena.kernel.time_calls();
        take_slot();
    } else {
        // SAFETY: the mapping was just made and nobody knows of it.
        unsafe { libc::munmap(at, size.max(1)) };
    }
}

impl Header {
    /// True when this is a page of ours, and as long as it says.
    fn is_valid(&self, size: usize) -> bool {
        // ORDERING: Acquire pairs with the creator's start of this program.
        let magic = self.magic.load(Ordering::Acquire);
        // ORDERING: Relaxed, written before the file was shared.
        let slots = self.slots.load(Ordering::Relaxed) as usize;
        magic == MAGIC && slots.saturating_mul(SLOT_SIZE).saturating_add(HEADER_SIZE) <= size
    }
}

/// Takes the next free slot, for this process image or this child of a fork.
fn take_slot() {
    // ORDERING: Acquire pairs with the Release in `map`.
    let page = PAGE.load(Ordering::Acquire);
    if page.is_null() {
        return;
    }
    // SAFETY: the page is mapped, stays so, and starts with its header.
    let header = unsafe { &*page.cast::<Header>() };
    // ORDERING: Relaxed, only the number's uniqueness matters (PG1).
    let number = header.taken.fetch_add(1, Ordering::Relaxed);
    // ORDERING: Relaxed, written before the file was shared.
    if number >= header.slots.load(Ordering::Relaxed) {
        // ORDERING: Release, as below.
        SLOT.store(ptr::null_mut(), Ordering::Release);
        return;
    }
    let place = page.wrapping_add(HEADER_SIZE + number as usize * SLOT_SIZE).cast::<Slot>();
    // SAFETY: the header says that the mapping has this slot.
    let slot = unsafe { &*place };
    // SAFETY: a query without preconditions.
    let pid = unsafe { libc::getpid() };
    // SAFETY: a query without preconditions.
    let parent = unsafe { libc::getppid() };
    put32(&slot.parent, parent as u32);
    put32(&slot.face, profile::face());
    put32(&slot.page_size, ALLOCATOR.arena.kernel.page_size() as u32);
    name(slot);
    // ORDERING: Release, the reader takes a slot with a pid for filled in.
    slot.pid.store(pid as u32, Ordering::Release);
    // ORDERING: Release pairs with the Acquire in `slot`.
    SLOT.store(place, Ordering::Release);
    publish();
}

/// The program's name as it was called, without its path.
fn name(slot: &Slot) {
    unsafe extern "C" {
        static program_invocation_short_name: *const libc::c_char;
    }
    // SAFETY: the C library's variable, set before any code of the program runs.
    let at = unsafe { program_invocation_short_name };
    if at.is_null() {
        return;
    }
    // SAFETY: a string that ends in zero.
    let text = unsafe { core::ffi::CStr::from_ptr(at) }.to_bytes();
    for (place, &byte) in slot.name.iter().zip(text) {
        // ORDERING: Relaxed, published by the pid's Release.
        place.store(byte, Ordering::Relaxed);
    }
}

/// Stores the numbers as they are now.
fn publish() {
    let Some(slot) = slot() else { return };
    let a = &ALLOCATOR;
    let kernel = &a.arena.kernel;
    let (live_huge, held_huge) = (a.huge.live.get(), a.huge.held.get());
    put(&slot.live, a.live.get());
    put(&slot.peak_live, a.live.peak());
    put(&slot.active, a.arena.active.get() + live_huge);
    put(&slot.peak_active, a.arena.active.peak().max(a.arena.active.get() + live_huge));
    let resident = a.arena.touched.get() + held_huge;
    put(&slot.resident, resident);
    // ORDERING: Relaxed, only this process writes its slot.
    let peak = slot.peak_resident.load(Ordering::Relaxed) as usize;
    put(&slot.peak_resident, peak.max(resident));
    put(&slot.mapped, kernel.mapped());
    put(&slot.retained, a.arena.spare.get() + held_huge.saturating_sub(live_huge));
    put(&slot.metadata, a.metadata());
    put(&slot.system_calls, kernel.calls());
    put(&slot.system_time, kernel.time());
    put(&slot.purged, kernel.purged());
    put(&slot.huge, live_huge);
    put32(&slot.threads, a.threads.get() as u32);
    put32(&slot.peak_threads, a.threads.peak() as u32);
    let (mut allocations, mut remote) = (a.others.get(), 0);
    for heap in a.heaps() {
        allocations += heap.installed();
        remote += heap.remote_frees();
    }
    put(&slot.allocations, allocations);
    put(&slot.remote_frees, remote);
}

/// The image is about to end by itself.
pub(crate) fn ended() {
    #[cfg(audit)]
    audit::end();
    profile::at_exit();
    if local::is_open() {
        ALLOCATOR.sweep();
    }
    let Some(slot) = slot() else { return };
    let stats = ALLOCATOR.stats(local::present());
    publish();
    // Now that it costs nobody anything, the exact figures.
    put(&slot.live, stats.allocated);
    put(&slot.cached, stats.cached);
    put(&slot.allocations, stats.allocations);
    put32(&slot.ended, 1);
}

/// When the code that we are part of goes: at the end of the process, or when a
/// plugin is unloaded.
extern "C" fn end() {
    ended();
    if !is_preload() && is_plugin() {
        background::stop();
        local::unload();
    }
}

/// True when our code is not in the program itself: then it may be unloaded
/// while the process goes on.
fn is_plugin() -> bool {
    /// Looks at the first object, which is the program, and says whether `data`
    /// lies in it: 1 if it does, 2 if not.
    unsafe extern "C" fn look(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        data: *mut libc::c_void,
    ) -> libc::c_int {
        // SAFETY: the loader's record, valid during this call.
        let info = unsafe { &*info };
        for i in 0..usize::from(info.dlpi_phnum) {
            // SAFETY: there are `dlpi_phnum` headers.
            let header = unsafe { info.dlpi_phdr.add(i) };
            // SAFETY: as above.
            let header = unsafe { &*header };
            let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
            let offset = data.addr().wrapping_sub(start);
            if header.p_type == libc::PT_LOAD && offset < header.p_memsz as usize {
                return 1;
            }
        }
        2
    }
    let here = (&raw const END).cast_mut().cast();
    // SAFETY: `look` has the right shape.
    unsafe { libc::dl_iterate_phdr(Some(look), here) == 2 }
}

#[used]
#[unsafe(link_section = ".fini_array")]
static END: extern "C" fn() = end;

/// What `allod run` looks for in a program that no library can be loaded into.
#[used]
static MARKER: &str = concat!("allod-inside\0", env!("CARGO_PKG_VERSION"), "\0");

const _: () = assert!(ENV.len() == "ALLOD_PAGE".len(), "`attach` spells the name again, with its zero");
