//! When a dump is written without the program's asking, and where to.
//!
//! | what the option says | when |
//! |---|---|
//! | `exit` | the process ends by itself |
//! | `signal` | SIGUSR2 comes; the program handles it not |
//! | `peak` | more is in use than at the last dump of this kind, by a twentieth |
//! | `oom` | the system refuses memory for the first time |
//!
//! The file is `allod-PROGRAM.PID.heap` in the working directory, or where the
//! environment variable `ALLOD_DUMP` says: a directory, or the beginning of a name. The
//! second dump of a process is `.2.heap`, and so on. A file that is there already is
//! never written to: the next number is tried. A process with more rights than its
//! user writes nothing; nor does one whose parent is not the process `ALLOD_DUMP_CHILD_OF`,
//! if that is set, unless a signal asks for it: `allod run` keeps the dump of one process,
//! and the thousand that a build starts need not write theirs.
//!
//! In a signal handler: everything here is system calls, and what is read of the
//! tables is read under locks that know their holder (`sites.rs`).
#![allow(unsafe_code)]

use super::Failed;
use super::write;
use crate::config::{DUMP_AT_EXIT, DUMP_AT_OOM, DUMP_AT_PEAK, DUMP_AT_SIGNAL, Key};
use crate::dump::Reason;
use crate::fatal::Line;
use crate::local::{self, ALLOCATOR};
use crate::sites::ROOT;
use crate::sync::{AtomicU8, AtomicU32, AtomicUsize, Ordering};
use core::ffi::CStr;

/// Longest path of a dump, in bytes, its zero included.
const PATH: usize = 512;
/// Numbers that are tried for a file's name before giving up.
const TRIES: u32 = 1000;

/// What `ALLOD_DUMP` said, ended by a zero.
static PLACE: [AtomicU8; PATH / 2] = [const { AtomicU8::new(0) }; PATH / 2];
/// The process whose children alone write; 0: all do.
static CHILD_OF: AtomicU32 = AtomicU32::new(0);
/// Dumps that this process has written by itself.
static WRITTEN: AtomicU32 = AtomicU32::new(0);
/// 1 once the dump of that kind is written.
static EXIT_DONE: AtomicU32 = AtomicU32::new(0);
static OOM_DONE: AtomicU32 = AtomicU32::new(0);
/// Bytes in use at the last dump for a peak.
static LAST_PEAK: AtomicUsize = AtomicUsize::new(0);
/// Which face serves; see [`set_face`].
static FACE: AtomicU32 = AtomicU32::new(2);

/// Says which face serves: 1 for `liballod.so`, 2 for a Rust program's own.
pub(crate) fn set_face(face: u32) {
    // ORDERING: Relaxed, a figure.
    FACE.store(face, Ordering::Relaxed);
}

/// Which face serves.
pub(crate) fn face() -> u32 {
    // ORDERING: Relaxed, a figure.
    FACE.load(Ordering::Relaxed)
}

pub(super) fn pid() -> u32 {
    // SAFETY: a query without preconditions.
    unsafe { libc::getpid() as u32 }
}

/// Nanoseconds since 1970.
pub(super) fn wall_clock() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable, and the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Once, when the allocator has opened: shows the tables to readers from outside, and
/// sees to what the options ask for.
pub(crate) fn begin() {
    ALLOCATOR.sampler.sites.show_at(&ROOT);
    local::environment(c"ALLOD_DUMP", |place| {
        // The array keeps its last zero.
        for (to, &byte) in PLACE.iter().zip(place.iter().take(PLACE.len() - 1)) {
            // ORDERING: Relaxed, the caller publishes the open allocator.
            to.store(byte, Ordering::Relaxed);
        }
    });
    local::environment(c"ALLOD_DUMP_CHILD_OF", |number| {
        let number = core::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
        // ORDERING: Relaxed, as above.
        CHILD_OF.store(number.unwrap_or(0), Ordering::Relaxed);
    });
    if asked(DUMP_AT_SIGNAL) {
        listen();
    }
}

fn asked(when: u64) -> bool {
    local::option(Key::ProfileDump) & when != 0 && !local::is_secure()
}

/// The program has changed the option: SIGUSR2 is ours, or what it is to everybody.
pub(crate) fn obey() {
    let own = at_signal as *const () as usize;
    if asked(DUMP_AT_SIGNAL) { listen() } else { replace(own, libc::SIG_DFL) }
}

/// Has SIGUSR2 write a dump, unless the program has a use for it.
fn listen() {
    replace(libc::SIG_DFL, at_signal as *const () as usize);
}

/// Gives SIGUSR2 the handler `new` where it has `old`, and another may have changed it.
fn replace(old: libc::sighandler_t, new: libc::sighandler_t) {
    // SAFETY: zeros are a value of this type.
    let mut found: libc::sigaction = unsafe { core::mem::zeroed() };
    // SAFETY: a query; `found` is writable.
    let known = unsafe { libc::sigaction(libc::SIGUSR2, core::ptr::null(), &raw mut found) } == 0;
    if !known || found.sa_sigaction != old {
        return;
    }
    // SAFETY: zeros are a value of this type.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = new;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the default, or our handler, which has the right shape and does what handlers may.
    unsafe { libc::sigaction(libc::SIGUSR2, &raw const action, core::ptr::null_mut()) };
}

extern "C" fn at_signal(_: libc::c_int) {
    quietly(|| by_itself(Reason::Signal));
}

/// Runs `call` and puts `errno` back as it was.
fn quietly(call: impl FnOnce()) {
    // SAFETY: the function has no precondition.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: the location is this thread's own and lives as long as it.
    let before = unsafe { *place };
    call();
    // SAFETY: as above.
    unsafe { *place = before };
}

fn error() -> i32 {
    // SAFETY: the function has no precondition.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: the location is this thread's own and lives as long as it.
    unsafe { *place }
}

/// The process ends by itself.
pub(crate) fn at_exit() {
    // ORDERING: Relaxed, the end comes once.
    if local::is_open() && asked(DUMP_AT_EXIT) && EXIT_DONE.swap(1, Ordering::Relaxed) == 0 {
        by_itself(Reason::Exit);
    }
}

/// The system refuses memory.
pub(crate) fn out_of_memory() {
    // ORDERING: Relaxed, whoever is first writes it.
    if local::is_open() && asked(DUMP_AT_OOM) && OOM_DONE.swap(1, Ordering::Relaxed) == 0 {
        quietly(|| by_itself(Reason::OutOfMemory));
    }
}

/// Perhaps there is a new peak.
pub(super) fn at_peak() {
    if !asked(DUMP_AT_PEAK) {
        return;
    }
    let live = ALLOCATOR.live.get();
    // ORDERING: Relaxed, whoever is first writes it.
    let last = LAST_PEAK.load(Ordering::Relaxed);
    // ORDERING: Relaxed, as above.
    let is_turn = live > last.saturating_add(last / 20).max(1 << 20)
        && LAST_PEAK.compare_exchange(last, live, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    if is_turn {
        quietly(|| by_itself(Reason::Peak));
    }
}

/// In the child of a fork: its dumps are its own.
pub(crate) fn forked() {
    // ORDERING: Relaxed on all, the child has one thread.
    WRITTEN.store(0, Ordering::Relaxed);
    // ORDERING: Relaxed, as above.
    EXIT_DONE.store(0, Ordering::Relaxed);
    // ORDERING: Relaxed, as above.
    OOM_DONE.store(0, Ordering::Relaxed);
}

/// A path under construction.
struct Path {
    bytes: [u8; PATH],
    len: usize,
}

impl Path {
    fn text(&mut self, text: &[u8]) {
        for &byte in text {
            // One place is left for the zero.
            if let Some(place) = self.bytes.get_mut(self.len).filter(|_| self.len + 1 < PATH) {
                *place = byte;
                self.len += 1;
            }
        }
    }

    fn number(&mut self, n: u32) {
        if n >= 10 {
            self.number(n / 10);
        }
        self.text(&[b'0' + (n % 10) as u8]);
    }

    fn c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

/// The path of dump `number`.
fn path(number: u32) -> Path {
    let mut path = Path { bytes: [0; PATH], len: 0 };
    // ORDERING: Relaxed, written before the allocator was open.
    for byte in PLACE.iter().map(|byte| byte.load(Ordering::Relaxed)).take_while(|&b| b != 0) {
        path.text(&[byte]);
    }
    if path.len != 0 && path.bytes.get(path.len - 1) != Some(&b'/') && is_folder(path.c_str()) {
        path.text(b"/");
    }
    path.text(b"allod-");
    let mut whole = [0u8; 256];
    let mut len = 0;
    program(&mut |part| {
        for &byte in part {
            if let Some(place) = whole.get_mut(len) {
                *place = byte;
                len += 1;
            }
        }
    });
    let name = whole.get(..len).unwrap_or(b"");
    let name = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
    path.text(if name.is_empty() { b"program" } else { name });
    path.text(b".");
    path.number(pid());
    if number > 1 {
        path.text(b".");
        path.number(number);
    }
    path.text(b".heap");
    path
}

fn is_folder(path: &CStr) -> bool {
    // SAFETY: zeros are a value of this type.
    let mut about: libc::stat = unsafe { core::mem::zeroed() };
    // SAFETY: `path` ends in zero and `about` is writable.
    let known = unsafe { libc::stat(path.as_ptr(), &raw mut about) } == 0;
    known && about.st_mode & libc::S_IFMT == libc::S_IFDIR
}

/// Whether this process is one of those that write by themselves.
fn is_meant() -> bool {
    // ORDERING: Relaxed, written before the allocator was open.
    let parent = CHILD_OF.load(Ordering::Relaxed);
    // SAFETY: a query without preconditions.
    parent == 0 || unsafe { libc::getppid() } as u32 == parent
}

/// Writes a dump where nobody has named a file, and says so if it can't.
fn by_itself(reason: Reason) {
    if reason != Reason::Signal && !is_meant() {
        return;
    }
    let mut failed = Failed { error: libc::EEXIST };
    for _ in 0..TRIES {
        // ORDERING: Relaxed, only the number's uniqueness matters.
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed) + 1;
        match dump_to_path(path(number).c_str(), reason, libc::O_EXCL | libc::O_NOFOLLOW) {
            Ok(()) => return,
            Err(why) => failed = why,
        }
        if failed.error != libc::EEXIST {
            break;
        }
    }
    Line::new()
        .text("heap dump not written: error ")
        .number(failed.error.unsigned_abs().into())
        .text(" (ALLOD_DUMP says where dumps go)")
        .print();
}

/// Writes a dump to the file called `path`, made with `how` besides.
pub(super) fn dump_to_path(path: &CStr, reason: Reason, how: libc::c_int) -> Result<(), Failed> {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_CLOEXEC | how;
    // A dump tells what the program is called with, and where its code lies.
    let mode: libc::c_uint = 0o600;
    // SAFETY: `path` ends in zero.
    let file = unsafe { libc::open(path.as_ptr(), flags, mode) };
    if file < 0 {
        return Err(Failed { error: error() });
    }
    let done = dump_to_descriptor(file, reason);
    // SAFETY: the descriptor is ours.
    let closed = unsafe { libc::close(file) };
    if closed == 0 { done } else { done.and(Err(Failed { error: error() })) }
}

/// Writes a dump to a descriptor.
pub(super) fn dump_to_descriptor(to: libc::c_int, reason: Reason) -> Result<(), Failed> {
    let mut failed = None;
    write::all(reason, &mut |bytes| {
        let mut rest = bytes;
        while let (false, None) = (rest.is_empty(), failed) {
            // SAFETY: `rest` is readable for its length.
            let n = unsafe { libc::write(to, rest.as_ptr().cast(), rest.len()) };
            match usize::try_from(n) {
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(_) if error() == libc::EINTR => {}
                Err(_) => failed = Some(Failed { error: error() }),
            }
        }
    });
    failed.map_or(Ok(()), Err)
}

/// The program's file, as the kernel knows it.
pub(super) fn program(to: &mut dyn FnMut(&[u8])) {
    let mut bytes = [0u8; 1024];
    let out = bytes.as_mut_ptr().cast();
    // SAFETY: the path ends in zero, and `bytes` is writable for its length.
    let n = unsafe { libc::readlink(c"/proc/self/exe".as_ptr(), out, bytes.len()) };
    to(usize::try_from(n).ok().and_then(|n| bytes.get(..n)).unwrap_or_default());
}

/// What the file called `path` holds; nothing if it can't be read.
pub(super) fn file(path: &CStr, to: &mut dyn FnMut(&[u8])) {
    // SAFETY: `path` ends in zero.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return;
    }
    let mut bytes = [0u8; 1024];
    loop {
        // SAFETY: `bytes` is writable for its length.
        let n = unsafe { libc::read(file, bytes.as_mut_ptr().cast(), bytes.len()) };
        match usize::try_from(n).ok().and_then(|n| bytes.get(..n)) {
            Some(part) if !part.is_empty() => to(part),
            None if error() == libc::EINTR => {}
            _ => break,
        }
    }
    // SAFETY: the descriptor is ours.
    unsafe { libc::close(file) };
}
