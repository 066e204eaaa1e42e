//! A hunt for deadlocks: eight threads that do at once what makes profilers hang, while
//! every allocation is a sample.
//!
//! | threads | do |
//! |---|---|
//! | two | load a library, allocate in a function that it calls back, and unload it |
//! | two | panic, with frames that have something to drop, and catch it |
//! | one | forks; the child allocates, frees, writes a dump and ends |
//! | one | sends signals to all: one that a handler counts, and one that writes a dump |
//! | two | allocate all sizes, hand half of it to each other, and write dumps |
//!
//! The C library's own calls of `malloc` come to Allod as well, since the functions are
//! defined here: the loader allocates under its lock, and the unwinder of the panics
//! under others.
//!
//! The handler does what handlers may. One that allocates is no promise: it may stand
//! above a lock that somebody waits for who has what it needs.
//!
//! A thread that hangs is told by its counter, which stands still. The hunt lasts two
//! seconds; `ALLOD_HUNT_SECONDS` makes it longer. A process that was caught stays as
//! it is, with `ALLOD_HUNT_STAY` set, for a debugger to look at.
#![allow(unsafe_code)]
#![cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
#![cfg(not(feature = "system"))]

use allod::config::Key;
use allod::raw;
use std::ffi::{CString, c_int, c_void};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[global_allocator]
static GLOBAL: allod::Allod = allod::Allod::new();

/// C's functions, for the C library and what is loaded.
mod c {
    use super::{c_int, c_void, raw};

    #[unsafe(no_mangle)]
    extern "C" fn malloc(size: usize) -> *mut c_void {
        raw::alloc(size).cast()
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn free(block: *mut c_void) {
        // SAFETY: as C says.
        unsafe { raw::free(block.cast()) }
    }

    #[unsafe(no_mangle)]
    extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
        count.checked_mul(size).map_or(core::ptr::null_mut(), |size| raw::alloc_zeroed(size).cast())
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
        if block.is_null() {
            return malloc(size);
        }
        // SAFETY: as C says.
        unsafe { raw::realloc(block.cast(), size).cast() }
    }

    #[unsafe(no_mangle)]
    extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
        raw::alloc_aligned(size, align).cast()
    }

    #[unsafe(no_mangle)]
    extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
        raw::alloc_aligned(size, align).cast()
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn posix_memalign(to: *mut *mut c_void, align: usize, size: usize) -> c_int {
        let block = raw::alloc_aligned(size, align);
        if block.is_null() {
            return libc::ENOMEM;
        }
        // SAFETY: as C says, `to` can be written.
        unsafe { to.write(block.cast()) };
        0
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> usize {
        // SAFETY: as C says.
        unsafe { raw::usable_size(block.cast()) }
    }
}

const THREADS: usize = 8;
/// The process that is hunted in.
const PREY: &str = "ALLOD_HUNT_PREY";
/// Seconds without a step after which a thread hangs, on however slow a machine.
const PATIENCE: u64 = 60;

/// Steps that each thread has taken.
static STEPS: [AtomicU64; THREADS] = [const { AtomicU64::new(0) }; THREADS];
/// The threads, as signals are sent to them.
static NUMBERS: [AtomicUsize; THREADS] = [const { AtomicUsize::new(0) }; THREADS];
static HANDLED: AtomicU64 = AtomicU64::new(0);
/// Dumps that came of a signal.
static DUMPS: AtomicU64 = AtomicU64::new(0);
/// What one thread allocates for others to free.
static GIVEN: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn seconds() -> u64 {
    std::env::var("ALLOD_HUNT_SECONDS").map_or(2, |text| text.parse().expect("seconds"))
}

/// The hunt is a process of its own, whose threads are known and which can be ended.
#[test]
fn nothing_hangs() {
    let program = std::env::current_exe().expect("this program");
    let folder = std::env::temp_dir().join(format!("allod-hunt-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for dumps");
    let mut prey = Command::new(program)
        .args(["--exact", "prey", "--nocapture", "--test-threads=1"])
        .env(PREY, "1")
        .env("ALLOD_CONF", "profile:1,profile_dump:signal")
        .env("ALLOD_DUMP", folder)
        .spawn()
        .expect("the hunt begins");
    let end = prey.wait().expect("it ends, since it looks after itself");
    assert!(end.success(), "{end}");
}

#[test]
fn prey() {
    if std::env::var_os(PREY).is_none() {
        return;
    }
    panic::set_hook(Box::new(|_| {}));
    listen();
    let libraries = [library("one", 40), library("two", 900)];
    for (i, path) in libraries.clone().into_iter().enumerate() {
        thread(i, move || load(&path));
        thread(2 + i, throw);
    }
    thread(4, fork);
    let dumps = PathBuf::from(std::env::var_os("ALLOD_DUMP").expect("where dumps go"));
    let folder = dumps.clone();
    thread(5, move || signal(&dumps));
    thread(6, mix);
    thread(7, mix);
    let hangs = watch();
    if let Some(number) = hangs {
        tell(number);
    }
    for path in libraries {
        let _ = std::fs::remove_dir_all(path.parent().expect("a folder"));
    }
    let _ = std::fs::remove_dir_all(folder);
    // SAFETY: it ends the process and leaves the threads where they are.
    unsafe { libc::_exit(0) };
}

/// Says which thread hangs, without the allocator, which may be why.
fn tell(number: usize) {
    let mut line = *b"thread . hangs\n";
    line[7] = b'0' + number as u8;
    // SAFETY: the bytes are the line's.
    unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
    while std::env::var_os("ALLOD_HUNT_STAY").is_some() {
        std::thread::sleep(Duration::from_secs(1));
    }
    // SAFETY: it ends the process, whoever holds what.
    unsafe { libc::_exit(1) };
}

/// Runs `step` over and over.
fn thread(number: usize, step: impl Fn() + Send + 'static) {
    std::thread::spawn(move || {
        // SAFETY: a query without preconditions.
        let own = unsafe { libc::pthread_self() };
        // ORDERING: Release, whoever sends signals finds the thread running.
        NUMBERS[number].store(own as usize, Ordering::Release);
        loop {
            step();
            // ORDERING: Relaxed, a counter.
            STEPS[number].fetch_add(1, Ordering::Relaxed);
        }
    });
}

/// Waits until the time is over, keeps every allocation a sample, and looks whether all
/// threads go on. The thread that does not, if there is one.
fn watch() -> Option<usize> {
    let (begin, mut last) = (Instant::now(), [0; THREADS]);
    let mut moved = [begin; THREADS];
    // ORDERING: Relaxed on all below, counters.
    let steps = || STEPS.each_ref().map(|it| it.load(Ordering::Relaxed));
    let is_over = || begin.elapsed().as_secs() >= seconds();
    // A machine may be slow: each thread has a few steps to take, and dumps to come.
    // ORDERING: Relaxed, a counter.
    let are_few = || steps().iter().any(|&it| it < 3) || DUMPS.load(Ordering::Relaxed) == 0;
    while !is_over() || are_few() {
        allod::set(Key::Profile, 1).expect("it can be set");
        std::thread::sleep(Duration::from_millis(5));
        for (i, now) in steps().into_iter().enumerate() {
            if now != last[i] {
                (last[i], moved[i]) = (now, Instant::now());
            }
            if moved[i].elapsed().as_secs() > PATIENCE {
                return Some(i);
            }
        }
    }
    // ORDERING: Relaxed, as above.
    let dumps = DUMPS.load(Ordering::Relaxed);
    // ORDERING: Relaxed, as above.
    let (steps, signals) = (steps(), HANDLED.load(Ordering::Relaxed));
    assert!(signals > 0 && dumps > 0, "{signals} signals and {dumps} dumps came");
    let mut samples = 0;
    allod::profile::write(&mut |part| samples += part.len());
    println!("steps {steps:?}, {signals} signals, {dumps} dumps; the last has {samples} bytes");
    None
}

/// Something of every size, with a stack of some depth.
#[inline(never)]
fn allocate(depth: usize, size: usize) -> Vec<u8> {
    if depth == 0 {
        return std::hint::black_box(vec![1; size]);
    }
    let inner = allocate(depth - 1, size);
    std::hint::black_box(inner)
}

/// Sizes of all kinds: of classes, large and huge, the large ones seldom.
fn size() -> usize {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    // ORDERING: Relaxed, a counter.
    match TURN.fetch_add(1, Ordering::Relaxed) {
        turn if turn % 4096 == 0 => 2 << 20,
        turn if turn % 256 == 0 => 100 << 10,
        turn => turn * 37 % 3000,
    }
}

fn mix() {
    let mine: Vec<Vec<u8>> = (0..32).map(|depth| allocate(depth % 7, size())).collect();
    let mut others = GIVEN.lock().expect("nobody panics with it");
    let theirs = std::mem::replace(&mut *others, mine);
    drop(others);
    drop(theirs);
    let mut bytes = 0;
    allod::profile::write(&mut |part| bytes += part.len());
    assert!(bytes > 0);
}

extern "C" fn call_back(_: *mut c_void) {
    drop(allocate(5, size()));
}

fn load(path: &Path) {
    let path = CString::new(path.as_os_str().as_encoded_bytes()).expect("a path");
    // SAFETY: the library has no constructors.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    assert!(!handle.is_null(), "the library opens");
    // SAFETY: the library is open.
    let found = unsafe { libc::dlsym(handle, c"through".as_ptr()) };
    assert!(!found.is_null());
    type Through = extern "C" fn(extern "C" fn(*mut c_void), *mut c_void);
    // SAFETY: the function is of this type.
    let through: Through = unsafe { std::mem::transmute(found) };
    through(call_back, std::ptr::null_mut());
    // SAFETY: opened above, and nothing of it is running.
    unsafe { libc::dlclose(handle) };
}

/// A library with frames of some size, through which one is called back.
fn library(name: &str, size: usize) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("allod-hunt-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (source, library) = (folder.join("it.c"), folder.join("it.so"));
    let text = format!(
        "#include <stdlib.h>\n\
         static void use(void *p) {{ __asm__ volatile (\"\" : : \"r\"(p) : \"memory\"); }}\n\
         void through(void (*f)(void *), void *p) {{\n\
             char room[{size}]; use(room); void *own = malloc({size}); f(p); free(own); use(room);\n\
         }}\n"
    );
    std::fs::write(&source, text).expect("the source");
    let done = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-fomit-frame-pointer", "-o"])
        .args([&library, &source])
        .status();
    assert!(done.is_ok_and(|status| status.success()), "the C compiler, which links us, works");
    library
}

fn throw() {
    /// Allocates while a panic goes by.
    struct Drops(Vec<u8>);
    impl Drop for Drops {
        fn drop(&mut self) {
            drop(allocate(2, self.0.len() + 1));
        }
    }
    #[inline(never)]
    fn deep(depth: usize) -> usize {
        let own = Drops(allocate(1, size()));
        assert!(depth > 0, "the bottom, {} bytes", own.0.len());
        deep(depth - 1) + own.0.len()
    }
    let caught = panic::catch_unwind(|| deep(12));
    assert!(caught.expect_err("it panics").is::<String>());
}

fn fork() {
    // SAFETY: the child calls the allocator, which has handlers for that, and `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "it forks");
    if child == 0 {
        let kept: Vec<Vec<u8>> = (0..20).map(|depth| allocate(depth % 5, size())).collect();
        let mut bytes = 0;
        allod::profile::write(&mut |part| bytes += part.len());
        drop(kept);
        // SAFETY: it ends the child at once.
        unsafe { libc::_exit(c_int::from(bytes == 0)) };
    }
    let mut status = 0;
    // SAFETY: `status` can be written. A signal may come first.
    while unsafe { libc::waitpid(child, &raw mut status, 0) } < 0 {}
    assert_eq!(status, 0, "the child ends well");
}

/// Has SIGUSR1 do what a handler may.
fn listen() {
    extern "C" fn handle(_: c_int) {
        // ORDERING: Relaxed, a counter.
        HANDLED.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: zeros are a value of this type.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handle as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: a handler of the right shape.
    let done = unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) };
    assert_eq!(done, 0);
}

/// Signals for everybody, and for one thread after the other the one that has Allod
/// write a dump.
fn signal(folder: &Path) {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    // ORDERING: Relaxed, a counter.
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let send = |number: usize, signal: c_int| {
        // ORDERING: Acquire, with the store of the thread.
        let thread = NUMBERS[number].load(Ordering::Acquire);
        if thread != 0 {
            // SAFETY: these threads run as long as the process.
            unsafe { libc::pthread_kill(thread as libc::pthread_t, signal) };
        }
    };
    (0..THREADS).for_each(|number| send(number, libc::SIGUSR1));
    if turn.is_multiple_of(100) {
        send(turn / 100 % THREADS, libc::SIGUSR2);
        for dump in std::fs::read_dir(folder).expect("the folder").flatten() {
            // ORDERING: Relaxed, a counter.
            DUMPS.fetch_add(1, Ordering::Relaxed);
            let _ = std::fs::remove_file(dump.path());
        }
    }
    std::thread::sleep(Duration::from_micros(500));
}
