//! What `std` and Rust programs rely on, at the awkward moments of a process.
//!
//! The allocator is Allod behind a watchman, who sees every call: that each
//! object has its alignment and overlaps nothing it should not, that zeroed
//! memory is zero, that nobody asks for no bytes (`GlobalAlloc`'s contract says
//! so, and `std` is held to it too). The tests go where programs seldom look:
//! before `main` and after it, into destructors of thread-local variables in
//! every order, into panics, into layouts that are wrong.
#![allow(unsafe_code)]
#![cfg(all(target_os = "linux", not(feature = "system")))]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// Allod, watched.
struct Watched(allod::Allod);

#[global_allocator]
static GLOBAL: Watched = Watched(allod::Allod::new());

/// Promises that were broken. Nothing may panic inside an allocator.
static BROKEN: AtomicUsize = AtomicUsize::new(0);

fn expect(holds: bool) {
    if !holds {
        // ORDERING: Relaxed, a count that is read when all is over.
        BROKEN.fetch_add(1, Ordering::Relaxed);
    }
}

fn kept() {
    // ORDERING: Relaxed, as above.
    assert_eq!(BROKEN.load(Ordering::Relaxed), 0, "promises were broken");
}

/// True when the object is where its layout allows it.
fn is_placed(at: *mut u8, layout: Layout) -> bool {
    at.is_null()
        || at.addr().is_multiple_of(layout.align())
            && at.addr().checked_add(layout.size()).is_some()
}

// SAFETY: everything is passed on to Allod, whose contract this is.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        expect(layout.size() != 0);
        // SAFETY: the caller's promise.
        let at = unsafe { self.0.alloc(layout) };
        expect(is_placed(at, layout));
        at
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        expect(layout.size() != 0);
        // SAFETY: the caller's promise.
        let at = unsafe { self.0.alloc_zeroed(layout) };
        expect(is_placed(at, layout));
        // SAFETY: the object, if there is one, holds the layout's bytes.
        let zero = |place| unsafe { at.wrapping_add(place).read() } == 0;
        expect(at.is_null() || (0..layout.size()).step_by(61).all(zero));
        at
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        expect(!at.is_null() && is_placed(at, layout));
        // SAFETY: the caller's promise.
        unsafe { self.0.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        expect(size != 0);
        // SAFETY: the caller's promise.
        let moved = unsafe { self.0.realloc(at, layout, size) };
        expect(is_placed(moved, layout));
        moved
    }
}

/// This program again, in the part `part`. `None` where programs cannot start
/// themselves, because a machine is emulated for them.
fn again(part: &str, test: &str) -> Option<Output> {
    if std::env::var_os("ALLOD_TEST_EMULATED").is_some() {
        return None;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env("ALLOD_TEST_PART", part);
    Some(command.output().unwrap())
}

/// The part that this process is to play, if it was started for one.
fn part() -> Option<String> {
    std::env::var("ALLOD_TEST_PART").ok()
}

/// What a constructor leaves for everybody.
static EARLY: AtomicPtr<Vec<String>> = AtomicPtr::new(std::ptr::null_mut());

/// Runs before `main`, and before `std` has set up anything.
extern "C" fn constructor() {
    let words: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
    // ORDERING: Relaxed, there is one thread.
    EARLY.store(Box::into_raw(Box::new(words)), Ordering::Relaxed);
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = constructor;

/// The sum of what the constructor left; takes it.
fn early_sum() -> usize {
    // ORDERING: Relaxed, one thread takes it.
    let words = EARLY.swap(std::ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: the constructor's box, taken once.
    let words = unsafe { Box::from_raw(words) };
    words.iter().map(|word| word.parse::<usize>().unwrap()).sum()
}

/// Runs when `main` has returned.
extern "C" fn at_exit() {
    let sum = early_sum();
    let more: Vec<String> = (0..2000).map(|number| format!("{number}!")).collect();
    let right = sum == 1_999_000 && more.concat().len() == 8890;
    let words: &[u8] = if right { b"after main: right\n" } else { b"after main: wrong\n" };
    // SAFETY: the words can be read.
    unsafe { libc::write(1, words.as_ptr().cast(), words.len()) };
}

#[test]
fn memory_from_before_main_lives_until_after_main() {
    if part().is_some() {
        // SAFETY: the handler is a function of this program.
        unsafe { libc::atexit(at_exit) };
        return;
    }
    let Some(output) = again("exit", "memory_from_before_main_lives_until_after_main") else {
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("after main: right"), "{output:?}");
    kept();
}

/// A thread-local variable whose destructor allocates, frees, and looks at the
/// others, of which some are gone.
struct Late {
    name: &'static str,
    rows: Vec<Vec<u8>>,
    report: Sender<String>,
}

impl Drop for Late {
    fn drop(&mut self) {
        let mut seen = String::from(self.name);
        for (name, other) in [("a", &A), ("b", &B), ("c", &C)] {
            let count = other.try_with(|it| {
                it.try_borrow().map_or(0, |it| it.as_ref().map_or(0, |it| it.rows.len()))
            });
            seen += &format!(" {name}:{}", count.unwrap_or(0) % 100);
        }
        for (place, row) in self.rows.iter_mut().enumerate() {
            let fill = row[0];
            row.resize(place * 40 + 1000, fill);
        }
        let whole = self.rows.iter().all(|row| row.iter().all(|byte| *byte == row[0]));
        self.rows.truncate(7);
        let _ = self.report.send(format!("{seen} {whole}"));
    }
}

thread_local! {
    static A: RefCell<Option<Late>> = const { RefCell::new(None) };
    static B: RefCell<Option<Late>> = const { RefCell::new(None) };
    static C: RefCell<Option<Late>> = const { RefCell::new(None) };
}

#[test]
fn destructors_of_thread_locals_allocate_in_every_order() {
    const ORDERS: [[usize; 3]; 6] =
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for turn in 0..20 {
        for order in ORDERS {
            let (report, reports) = channel();
            let thread = thread::spawn(move || {
                for place in order {
                    let (name, local) = [("a", &A), ("b", &B), ("c", &C)][place];
                    let rows = (0..50).map(|row| vec![place as u8 + turn; row * 30 + 1]).collect();
                    let report = report.clone();
                    local.set(Some(Late { name, rows, report }));
                }
            });
            thread.join().unwrap();
            let reports: Vec<String> = reports.into_iter().collect();
            assert_eq!(reports.len(), 3, "{reports:?}");
            assert!(reports.iter().all(|report| report.ends_with("true")), "{reports:?}");
        }
    }
    kept();
}

extern "C" fn key_destructor(value: *mut libc::c_void) {
    // SAFETY: the test below gave the key this box.
    let (key, mut rows) =
        *unsafe { Box::from_raw(value.cast::<(libc::pthread_key_t, Vec<String>)>()) };
    if rows.len() < 4 {
        rows.push("x".repeat(rows.len() * 3000));
        let again = Box::into_raw(Box::new((key, rows)));
        // SAFETY: the key exists; the box is this thread's.
        unsafe { libc::pthread_setspecific(key, again.cast()) };
    }
}

/// `pthread_key` destructors run after those of `std`, up to four times, when the
/// thread's heap may be gone.
#[test]
fn keys_that_set_themselves_again_allocate() {
    let mut key = 0;
    // SAFETY: `key` can be written, and the destructor takes what it will be given.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(key_destructor)) }, 0);
    let threads: Vec<_> = (0..50)
        .map(|_| {
            thread::spawn(move || {
                let rows = Box::into_raw(Box::new((key, vec![String::from("first")])));
                // SAFETY: as in the destructor.
                unsafe { libc::pthread_setspecific(key, rows.cast()) };
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    kept();
}

#[repr(align(1048576))]
#[derive(Clone, Copy)]
struct Mebibyte(u8);

#[test]
fn types_with_large_alignments_are_aligned() {
    // Each frame that such a value passes through may take two mebibytes.
    let aligned = thread::Builder::new().stack_size(64 << 20).spawn(|| {
        let mut rows = Vec::new();
        for number in 0..9_u8 {
            // Grows by `realloc`, with an alignment of a mebibyte.
            rows.push(Mebibyte(number));
            assert!((&raw const rows[0]).addr().is_multiple_of(1 << 20));
        }
        assert!(rows.iter().enumerate().all(|(place, row)| row.0 == place as u8));
    });
    aligned.unwrap().join().unwrap();
    for align in (0..=25).map(|shift| 1_usize << shift) {
        let layout = Layout::from_size_align(align.max(3) + 1, align).unwrap();
        // SAFETY: the size is not 0.
        let at = unsafe { std::alloc::alloc_zeroed(layout) };
        assert!(!at.is_null(), "{layout:?}");
        // SAFETY: allocated above, with this layout.
        unsafe { at.write_bytes(1, layout.size()) };
        // SAFETY: as above.
        unsafe { std::alloc::dealloc(at, layout) };
    }
    kept();
}

#[test]
fn nothing_is_asked_of_the_allocator_for_no_bytes() {
    let mut units: Vec<()> = Vec::new();
    units.resize(1000, ());
    let mut empty: Vec<u64> = Vec::new();
    empty.shrink_to_fit();
    let mut shrunk = vec![1_u64; 10];
    shrunk.clear();
    shrunk.shrink_to_fit();
    assert_eq!((units.len(), empty.capacity(), shrunk.capacity()), (1000, 0, 0));
    drop(Box::new([0_u8; 0]));
    kept();
}

#[test]
fn memory_that_a_panic_leaves_is_freed_once() {
    struct Bomb(Vec<u8>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.resize(self.0.len() * 2, 1);
            assert!(
                thread::panicking() || self.0.len() < 100,
                "an object may panic when it is dropped"
            );
        }
    }
    for size in 0..200 {
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let bombs: Vec<Bomb> = (0..size).map(|size| Bomb(vec![1; size])).collect();
            let boxed: Box<dyn Fn() -> usize> = Box::new(move || bombs.len());
            assert!(boxed() < 30, "a panic with {size} objects");
        }));
        assert_eq!(ended.is_err(), size >= 30);
    }
    let refused = Vec::<u8>::new().try_reserve_exact(isize::MAX as usize);
    assert!(refused.is_err());
    kept();
}

/// What a layout that is not the object's must be called.
#[cfg(not(feature = "unchecked"))]
fn wrong_layout(name: &str) {
    let layout = |size, align| Layout::from_size_align(size, align).unwrap();
    let (right, wrong) = match name {
        "larger" => (layout(40, 8), layout(400, 8)),
        "smaller" => (layout(4000, 8), layout(40, 8)),
        "a word" => (layout(8, 8), layout(48, 8)),
        "large" => (layout(100_000, 8), layout(40, 8)),
        "huge" => (layout(3 << 20, 8), layout(300_000, 8)),
        _ => (layout(100, 8), layout(100, 4096)),
    };
    // SAFETY: the size is not 0.
    let at = unsafe { GLOBAL.alloc(right) };
    // SAFETY: it is not: the layout is wrong, which is what the test is about.
    unsafe { GLOBAL.dealloc(std::hint::black_box(at), wrong) };
}

/// Twice, and then a free that swaps or flushes nothing: the end of the process
/// must be enough.
#[cfg(not(feature = "unchecked"))]
fn twice(size: usize) {
    let layout = Layout::from_size_align(size, 8).unwrap();
    // SAFETY: the size is not 0.
    let at = unsafe { GLOBAL.alloc(layout) };
    for _ in 0..2 {
        // SAFETY: the second time it is not, on purpose.
        unsafe { GLOBAL.dealloc(std::hint::black_box(at), layout) };
    }
}

/// What another thread frees of a block of 48 bytes: with the right layout, as often as it is
/// called, or with a wrong one, or what is inside of it.
#[cfg(not(feature = "unchecked"))]
fn elsewhere(what: &str) {
    let layout = |size| Layout::from_size_align(size, 8).unwrap();
    // SAFETY: the size is not 0.
    let at = AtomicPtr::new(unsafe { GLOBAL.alloc(layout(48)) });
    let (offset, size) = match what {
        "size" => (0, 64),
        "inside" => (16, 48),
        _ => (0, 48),
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            // ORDERING: Relaxed, stored before the thread was made.
            let at = std::hint::black_box(&at).load(Ordering::Relaxed).wrapping_add(offset);
            for _ in 0..2 {
                // SAFETY: at least the second time it is not, on purpose.
                unsafe { GLOBAL.dealloc(at, layout(size)) };
            }
        });
    });
}

#[cfg(not(feature = "unchecked"))]
#[test]
fn layouts_that_are_not_the_objects_end_the_process() {
    const TEST: &str = "layouts_that_are_not_the_objects_end_the_process";
    if let Some(part) = part() {
        match part.strip_prefix("twice ") {
            Some(size) => twice(size.parse().unwrap()),
            None => match part.strip_prefix("elsewhere ") {
                Some(what) => elsewhere(what),
                None => wrong_layout(&part),
            },
        }
        return;
    }
    let sizes = ["larger", "smaller", "a word", "large", "huge", "alignment"];
    let twice = ["twice 16", "twice 24", "twice 40", "twice 3000", "twice 100000", "twice 3000000"];
    let all = sizes
        .map(|name| (name, "wrong size"))
        .into_iter()
        .chain(twice.map(|name| (name, "double free")))
        .chain([
            ("elsewhere size", "wrong size"),
            ("elsewhere twice", "double free"),
            ("elsewhere inside", "invalid free"),
        ]);
    for (name, words) in all {
        let Some(output) = again(name, TEST) else { return };
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{name} went unseen");
        assert!(text.contains("allod: ") && text.contains(words), "{name}: {text}");
    }
}
