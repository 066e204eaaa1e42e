//! The process's own memory, read in ways that cannot fault, and its list of mappings.
//!
//! A module's tables may vanish under a reader when another thread unloads the
//! module. Only those that are never unloaded are simply loaded: the program's, the
//! loader's, the C library's, our own, and whatever the face says was there before any code
//! of the program ran ([`set_lasting`]). The rest is copied by the kernel, which
//! reports a hole where a load would end the process: `process_vm_readv` on
//! ourselves; where a sandbox refuses that, `/proc/self/mem`; where there is neither,
//! nothing is read, and stacks end at the first frame whose rule is not known.
//!
//! # Invariants
//!
//! * UM1. Nothing here is a cancellation point, takes a lock of the C library's, or
//!   allocates: files are opened, read and closed by bare system calls.
//! * UM2. `errno` is left as it was.
//! * UM3. Buffers longer than [`Ahead`]'s kibibyte are mappings of their own, since we may
//!   be on a signal stack of two pages.
#![allow(unsafe_code)]

use super::cfi::Memory;
use super::touched::Touched;
use crate::sync::{AtomicBool, AtomicPtr, Ordering};
use core::cell::Cell;
use core::ffi::{CStr, c_int, c_long, c_void};
use core::ptr::{self, NonNull};

/// A refusal of `process_vm_readv` is for good.
pub(super) static REFUSED: AtomicBool = AtomicBool::new(false);

/// Bytes of the buffer for the list of mappings.
const BUFFER: usize = 64 << 10;
/// Ranges that one call reads.
const RANGES: usize = 24;

/// Calls of the system so far.
#[cfg(any(test, fuzzing))]
pub(super) static CALLS: crate::sync::AtomicUsize = crate::sync::AtomicUsize::new(0);

/// Runs `call`, puts `errno` back (UM2), and says what it was after the call.
pub(super) fn quietly<R>(call: impl FnOnce() -> R) -> (R, c_int) {
    // SAFETY: the function has no precondition.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the location is this thread's own and lives as long as it.
    let before = unsafe { *errno };
    #[cfg(any(test, fuzzing))]
    // ORDERING: Relaxed, a figure.
    CALLS.fetch_add(1, Ordering::Relaxed);
    let result = call();
    // SAFETY: as above.
    let after = unsafe { *errno };
    // SAFETY: as above.
    unsafe { *errno = before };
    (result, after)
}

pub(super) fn open(path: &CStr) -> Option<c_int> {
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    // SAFETY: the path ends in zero. Not `open`, which is a cancellation point (UM1).
    let call = || unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags) };
    c_int::try_from(quietly(call).0).ok().filter(|file| *file >= 0)
}

pub(super) fn close(file: c_int) {
    // SAFETY: the descriptor is one that `open` here gave to the caller.
    quietly(|| unsafe { libc::syscall(libc::SYS_close, file) });
}

/// Bytes read at `at` of the file, or at its position if there is none.
pub(super) fn read(file: c_int, into: &mut [u8], at: Option<usize>) -> Option<usize> {
    let (start, len) = (into.as_mut_ptr(), into.len());
    let call = || match at {
        // SAFETY: `into` is writable for its length.
        None => unsafe { libc::syscall(libc::SYS_read, file, start, len) },
        // SAFETY: as above.
        Some(at) => unsafe { libc::syscall(libc::SYS_pread64, file, start, len, at as c_long) },
    };
    loop {
        let (done, errno) = quietly(call);
        if done >= 0 || errno != libc::EINTR {
            return usize::try_from(done).ok();
        }
    }
}

/// The memory of this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own;

fn remote(at: usize, len: usize) -> libc::iovec {
    libc::iovec { iov_base: ptr::without_provenance_mut(at), iov_len: len }
}

/// This process, as the kernel numbers it.
pub(super) fn me() -> libc::pid_t {
    // SAFETY: a query without preconditions.
    unsafe { libc::getpid() }
}

/// Copies the ranges of process `me`, our own, into `into`, one after the other.
fn copy(me: libc::pid_t, ranges: &[libc::iovec], into: &mut [u8]) -> bool {
    // ORDERING: Relaxed, a flag that guards no data.
    if REFUSED.load(Ordering::Relaxed) {
        return false;
    }
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast::<c_void>(), iov_len: into.len() };
    let count = ranges.len() as libc::c_ulong;
    let call = || {
        // SAFETY: the local range is writable; the others are addresses to the
        // kernel, which reports those that cannot be read.
        unsafe { libc::process_vm_readv(me, &raw const local, 1, ranges.as_ptr(), count, 0) }
    };
    let (done, errno) = quietly(call);
    if done < 0 && (errno == libc::EPERM || errno == libc::ENOSYS) {
        // ORDERING: Relaxed, as above.
        REFUSED.store(true, Ordering::Relaxed);
    }
    usize::try_from(done) == Ok(into.len())
}

/// The same through a file.
fn copy_by_file(at: usize, into: &mut [u8]) -> bool {
    // ORDERING: Relaxed, a flag that guards no data.
    if !REFUSED.load(Ordering::Relaxed) {
        return false;
    }
    let Some(file) = open(c"/proc/self/mem") else { return false };
    let done = read(file, into, Some(at));
    close(file);
    done == Some(into.len())
}

/// Fills `into` from the bytes at `at` of process `me`, our own.
pub(super) fn read_own(me: libc::pid_t, at: usize, into: &mut [u8]) -> bool {
    copy(me, &[remote(at, into.len())], into) || copy_by_file(at, into)
}

impl Memory for Own {
    fn read(&self, at: usize, into: &mut [u8]) -> bool {
        read_own(me(), at, into)
    }
}

/// The smallest page there is: what is readable at one byte is so up to its end.
const PAGE: usize = 4096;
/// Bytes of a [`Window`].
const WINDOW: usize = 512;

/// Bytes that were copied.
struct Window {
    at: Cell<usize>,
    len: Cell<usize>,
    bytes: Cell<[u8; WINDOW]>,
}

impl Window {
    const fn new() -> Self {
        Self { at: Cell::new(0), len: Cell::new(0), bytes: Cell::new([0; WINDOW]) }
    }

    /// Fills `into` if all of it is here.
    fn read(&self, at: usize, into: &mut [u8]) -> bool {
        let from = at.wrapping_sub(self.at.get());
        let here = self.bytes.as_array_of_cells().get(..self.len.get()).unwrap_or_default();
        let Some(here) = here.get(from..).and_then(|rest| rest.get(..into.len())) else {
            return false;
        };
        into.iter_mut().zip(here).for_each(|(byte, cell)| *byte = cell.get());
        true
    }

    /// Copies what is at `at` and follows on its page. False when that is less than
    /// `least`.
    fn fill(&self, me: libc::pid_t, at: usize, least: usize) -> bool {
        let len = (PAGE - at % PAGE).min(WINDOW);
        let mut bytes = self.bytes.get();
        let done = len >= least
            && bytes.get_mut(..len).is_some_and(|into| {
                copy(me, &[remote(at, len)], into) || copy_by_file(at, into)
            });
        self.at.set(at);
        self.len.set(if done { len } else { 0 });
        self.bytes.set(bytes);
        done
    }
}

/// The memory of this process, read ahead: what is asked for is near what was asked
/// for before, in one of two places, and a call of the system costs more than 512
/// bytes do. For one reading, by one thread.
///
/// The first stacks of `ls` took 440 calls of the system when each read was one; they
/// take 100 to 150 read ahead, and 50 to 60 when what stays is loaded (2026-11-29).
pub(super) struct Ahead<'a> {
    /// Where it is noted which pages are touched.
    touched: Option<&'a Touched>,
    /// Asked for when something must be copied; 0 before.
    me: Cell<libc::pid_t>,
    /// Bytes that can be loaded: the first, and the end.
    here: (usize, usize),
    windows: [Window; 2],
    /// The window that was of use last.
    last: Cell<usize>,
}

impl<'a> Ahead<'a> {
    pub(super) fn new() -> Self {
        let windows = [Window::new(), Window::new()];
        Self { touched: None, me: Cell::new(0), here: (0, 0), windows, last: Cell::new(0) }
    }

    /// The same, and `touched` is told of the pages.
    pub(super) fn noting(self, touched: &'a Touched) -> Self {
        Self { touched: Some(touched), ..self }
    }

    fn note(&self, at: usize, len: usize) {
        if let Some(touched) = self.touched {
            touched.note(at, len);
        }
    }

    fn me(&self) -> libc::pid_t {
        if self.me.get() == 0 {
            self.me.set(me());
        }
        self.me.get()
    }

    /// The same, with loads between `low` and `high`.
    ///
    /// # Safety
    ///
    /// Those bytes can be read as long as our code runs.
    pub(super) unsafe fn with_segment(low: usize, high: usize) -> Self {
        Self { here: (low, high), ..Self::new() }
    }

    /// Fills `into` by loads, if it lies so that they are known to work.
    fn load(&self, at: usize, into: &mut [u8]) -> bool {
        let (low, high) = self.here;
        // Whole words are loaded, the last one too.
        let is_here = at >= low && at.checked_add(into.len() + 7).is_some_and(|end| end <= high);
        if is_here {
            self.note(at, into.len() + 7);
            for (i, bytes) in into.chunks_mut(8).enumerate() {
                // SAFETY: the word is between `low` and `high`.
                let word = unsafe { word(at.wrapping_add(i * 8)) };
                bytes.iter_mut().zip(word.to_ne_bytes()).for_each(|(byte, it)| *byte = it);
            }
        }
        is_here
    }
}

/// Who names the modules that were loaded with the program, as a [`Lasting`].
static LASTING: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Calls what it is given with an address in each module that was loaded with the program,
/// until that says that it has heard enough.
pub(crate) type Lasting = fn(&mut dyn FnMut(usize) -> bool);

/// Has `name` name the modules that are never unloaded. Before the first stack.
pub(crate) fn set_lasting(name: Lasting) {
    // ORDERING: Release pairs with the Acquire below: what it reads is there.
    LASTING.store(name as *mut (), Ordering::Release);
}

/// True when a module of never unloaded ones has an address in a range: one of `anchors`,
/// or one that was loaded with the program.
pub(super) fn lasts(anchors: &[usize], start: usize, end: usize) -> bool {
    let range = start..end;
    if anchors.iter().any(|at| range.contains(at)) {
        return true;
    }
    // ORDERING: Acquire pairs with the Release above.
    let name = LASTING.load(Ordering::Acquire);
    if name.is_null() {
        return false;
    }
    // SAFETY: `set_lasting` stored a function of this shape and nothing else.
    let name = unsafe { core::mem::transmute::<*mut (), Lasting>(name) };
    let mut found = false;
    name(&mut |at| {
        found = range.contains(&at);
        found
    });
    found
}

/// How many addresses there are of [`anchors`].
pub(super) const ANCHORS: usize = 5;

/// An address in each module that stays: the program, its loader, the kernel's own, the
/// C library that we were linked with, and the module that we are in.
pub(super) fn anchors() -> [usize; ANCHORS] {
    // SAFETY: a query without preconditions.
    let given = |what| unsafe { libc::getauxval(what) } as usize;
    let own = anchors as *const ();
    let c_library = libc::getpid as *const ();
    let (program, loader) = (given(libc::AT_PHDR), given(libc::AT_BASE));
    [program, loader, given(libc::AT_SYSINFO_EHDR), c_library.addr(), own.addr()]
}

impl Memory for Ahead<'_> {
    fn read(&self, at: usize, into: &mut [u8]) -> bool {
        if self.load(at, into) {
            return true;
        }
        if let Some(found) = self.windows.iter().position(|window| window.read(at, into)) {
            self.last.set(found);
            return true;
        }
        self.note(at, WINDOW);
        let next = 1 - self.last.get();
        if let Some(window) = self.windows.get(next)
            && window.fill(self.me(), at, into.len())
        {
            self.last.set(next);
            return window.read(at, into);
        }
        copy(self.me(), &[remote(at, into.len())], into) || copy_by_file(at, into)
    }

    fn gather(&self, place: impl Fn(usize) -> usize, into: &mut [[u8; 4]]) -> bool {
        if into.iter_mut().enumerate().all(|(i, word)| self.load(place(i), word)) {
            return true;
        }
        let mut ranges = [remote(0, 0); RANGES];
        let Some(ranges) = ranges.get_mut(..into.len()) else { return false };
        for (i, range) in ranges.iter_mut().enumerate() {
            *range = remote(place(i), 4);
            self.note(place(i), 4);
        }
        if copy(self.me(), ranges, into.as_flattened_mut()) {
            return true;
        }
        into.iter_mut().enumerate().all(|(i, word)| copy_by_file(place(i), word))
    }

    /// A load costs nothing but the page that it touches.
    fn fan(&self) -> usize {
        if self.here.1 == 0 { usize::MAX } else { 2 }
    }
}

/// The word at an address that is known to be mapped.
///
/// A load spelled in assembly, since the address is no object of the language's:
/// it is in somebody else's frame.
///
/// # Safety
///
/// The eight bytes at `at` can be read.
#[inline(always)]
pub(super) unsafe fn word(at: usize) -> usize {
    let word: usize;
    cfg_select! {
        target_arch = "x86_64" => {
            // SAFETY: the caller says that the address can be read.
            unsafe { core::arch::asm!("mov {}, [{}]", out(reg) word, in(reg) at, options(readonly, nostack, preserves_flags)) };
        }
        _ => {
            // SAFETY: the caller says that the address can be read.
            unsafe { core::arch::asm!("ldr {}, [{}]", out(reg) word, in(reg) at, options(readonly, nostack, preserves_flags)) };
        }
    }
    word
}

/// A mapping of so many bytes that read as zeros.
pub(super) fn map(len: usize) -> Option<NonNull<c_void>> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new anonymous mapping, placed where nothing else is.
    let (base, _) = quietly(|| unsafe { libc::mmap(ptr::null_mut(), len, access, flags, -1, 0) });
    if base == libc::MAP_FAILED { None } else { NonNull::new(base) }
}

/// Gives a mapping back.
///
/// # Safety
///
/// It is [`map`]'s for `len` bytes, and nobody will touch it again.
pub(super) unsafe fn unmap(base: NonNull<c_void>, len: usize) {
    // SAFETY: the caller's promise.
    quietly(|| unsafe { libc::munmap(base.as_ptr(), len) });
}

/// Calls `f` with each line of `/proc/self/maps`. False when it cannot be read.
pub(super) fn mappings(f: &mut dyn FnMut(&[u8])) -> bool {
    let Some(file) = open(c"/proc/self/maps") else { return false };
    let Some(base) = map(BUFFER) else {
        close(file);
        return false;
    };
    // SAFETY: the mapping was just made for us alone, and is all zeros.
    let buffer = unsafe { core::slice::from_raw_parts_mut(base.as_ptr().cast::<u8>(), BUFFER) };
    let mut held = 0usize;
    let done = loop {
        let Some(place) = buffer.get_mut(held..) else { break false };
        match read(file, place, None) {
            Some(0) => break held == 0,
            Some(more) => held = held.saturating_add(more).min(BUFFER),
            None => break false,
        }
        let mut start = 0usize;
        while let Some(rest) = buffer.get(start..held)
            && let Some(len) = rest.iter().position(|byte| *byte == b'\n')
        {
            f(rest.get(..len).unwrap_or_default());
            start = start.saturating_add(len).saturating_add(1);
        }
        if start == 0 && held == BUFFER {
            break false;
        }
        buffer.copy_within(start..held, 0);
        held = held.saturating_sub(start);
    };
    // SAFETY: made above, and `buffer` is not used below.
    unsafe { unmap(base, BUFFER) };
    close(file);
    done
}
