//! Stacks of every shape: a hundred thousand of them, the same on each run.
#![allow(unsafe_code)]

use super::alone::is_emulated;
use super::{Library, capture, compare, remove, wait_until, warm};
use core::cell::Cell;
use core::ffi::{c_int, c_void};
use std::boxed::Box;
use std::hint::black_box;
use std::vec::Vec;

/// Stacks that are compared, over all threads.
const STACKS: usize = 100_000;
const THREADS: usize = 4;
/// Calls from the bottom of one tree to its top.
const DEPTH: usize = 14;

/// Frames that the Rust code does not have: with more arguments than registers and
/// an alignment of its own, of a size that is known only when it runs, and large.
const FRAMES: &str = r"
#include <alloca.h>
#include <stdarg.h>
typedef void (*call)(void *);
static void use(void *p) { __asm__ volatile ('' : : 'r'(p) : 'memory'); }
void aligned(long a, long b, long c, long d, long e, long g, call f, void *p) {
    _Alignas(64) char room[64];
    use(room); f(p); use(room);
}
void dynamic(long n, call f, void *p) {
    _Alignas(32) char fixed[32]; char *room = alloca(n);
    use(room); use(fixed); f(p); use(room);
}
void variadic(call f, ...) {
    _Alignas(128) char room[128]; va_list list;
    va_start(list, f); use(room); f(va_arg(list, void *)); use(room); va_end(list);
}
void large(call f, void *p) { char room[200000]; use(room); f(p); use(room); }
long saving(call f, void *p, long a, long b, long c) {
    long x = a * b, y = b * c, z = c * a, w = a ^ c;
    f(p); use(&x); f(0);
    return x + y * z + w + a + b + c;
}
";

type Call = extern "C" fn(*mut c_void);

/// The functions of [`FRAMES`].
#[derive(Clone, Copy)]
struct Frames {
    aligned: extern "C" fn(i64, i64, i64, i64, i64, i64, Call, *mut c_void),
    dynamic: extern "C" fn(i64, Call, *mut c_void),
    variadic: unsafe extern "C" fn(Call, ...),
    large: extern "C" fn(Call, *mut c_void),
    saving: extern "C" fn(Call, *mut c_void, i64, i64, i64) -> i64,
}

impl Frames {
    fn call(self, shape: u64, depth: usize, p: *mut c_void) {
        match (shape, depth % 2) {
            (15, 0) => (self.aligned)(1, 2, 3, 4, 5, 6, back, p),
            (15, _) => (self.dynamic)(100 + depth as i64 * 50, back, p),
            // SAFETY: a function, and its one argument.
            (16, 0) => unsafe { (self.variadic)(back, p) },
            (16, _) => (self.large)(back, p),
            _ => {
                (self.saving)(back, p, 1, 2, 3);
            }
        }
    }
}

/// One thread's tree of calls.
struct Tree {
    random: u64,
    left: usize,
    deepest: usize,
    /// None where the C compiler makes programs for another processor.
    frames: Option<Frames>,
}

std::thread_local! {
    /// The tree and the depth, for a signal handler.
    static INTERRUPTED: Cell<(*mut Tree, usize)> = const { Cell::new((core::ptr::null_mut(), 0)) };
}

struct Argument<'a> {
    tree: &'a mut Tree,
    depth: usize,
    done: bool,
}

/// Goes on from C.
extern "C" fn back(argument: *mut c_void) {
    // SAFETY: null, or the argument that `into_c` gave; nobody else uses it now.
    if let Some(it) = unsafe { argument.cast::<Argument<'_>>().as_mut() }
        && !it.done
    {
        it.done = true;
        descend(it.tree, it.depth);
    }
}

unsafe extern "C" fn back_compared(a: *const c_void, b: *const c_void) -> c_int {
    let _ = b;
    // SAFETY: what is searched and sorted are pointers to arguments.
    back(unsafe { *a.cast::<*mut c_void>() });
    0
}

extern "C" fn handler(_: c_int) {
    let (tree, depth) = INTERRUPTED.get();
    // SAFETY: set by the frame that has raised the signal, which waits for us.
    descend(unsafe { &mut *tree }, depth);
}

/// A frame of a chosen size.
#[inline(never)]
fn sized<const N: usize>(tree: &mut Tree, depth: usize) {
    let room = [1u8; N];
    black_box(&room);
    descend(tree, depth);
    black_box(&room);
}

trait Shape {
    fn call(&self, tree: &mut Tree, depth: usize) -> f64;
}

struct Round(f64);
struct Flat([u16; 40]);

impl Shape for Round {
    fn call(&self, tree: &mut Tree, depth: usize) -> f64 {
        descend(tree, depth);
        self.0 * black_box(2.0)
    }
}

impl Shape for Flat {
    fn call(&self, tree: &mut Tree, depth: usize) -> f64 {
        let sum: u16 = self.0.iter().sum();
        descend(tree, depth);
        f64::from(sum)
    }
}

#[inline(never)]
fn generic<T: Clone + Default>(tree: &mut Tree, depth: usize, seed: &T) -> Vec<T> {
    let mut all = std::vec![seed.clone(); 3];
    descend(tree, depth);
    all.push(T::default());
    all
}

/// A frame whose base is in a register that nobody else uses for that: r12.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn odd(f: Call, p: *mut c_void) {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "push r12",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_offset r12, -16",
        "lea r12, [rsp + 16]",
        ".cfi_def_cfa r12, 0",
        "sub rsp, 1000",
        "and rsp, -64",
        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",
        "lea rsp, [r12 - 16]",
        ".cfi_def_cfa rsp, 16",
        "pop r12",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r12",
        "ret",
        ".cfi_endproc",
    )
}

#[cfg(not(target_arch = "x86_64"))]
unsafe extern "C" fn odd(f: Call, p: *mut c_void) {
    f(p);
}

impl Tree {
    fn next(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 20) % below
    }

    fn raise(&mut self, depth: usize, signal: c_int) {
        let before = INTERRUPTED.replace((self, depth));
        // SAFETY: the signal has a handler.
        unsafe { libc::raise(signal) };
        INTERRUPTED.set(before);
    }
}

/// Compares the stack as it is, and goes on to the next frame, of a shape that chance
/// decides.
fn descend(tree: &mut Tree, depth: usize) {
    if tree.left == 0 {
        return;
    }
    tree.left -= 1;
    tree.deepest = tree.deepest.max(compare());
    let Some(depth) = depth.checked_sub(1) else { return };
    let frames = tree.frames;
    let shape = tree.next(18);
    match shape {
        0 => sized::<8>(tree, depth),
        1 => sized::<200>(tree, depth),
        2 => sized::<5000>(tree, depth),
        3 => {
            let mut closure: Box<dyn FnMut(&mut Tree)> = Box::new(move |tree| descend(tree, depth));
            closure(tree);
        }
        4 => drop(black_box(&Round(1.5) as &dyn Shape).call(tree, depth)),
        5 => drop(black_box(&Flat([7; 40]) as &dyn Shape).call(tree, depth)),
        6 => drop(generic(tree, depth, &Some(5u8))),
        7 => drop(generic(tree, depth, &std::string::String::from("a"))),
        8 => tree.raise(depth, libc::SIGUSR1),
        9 => tree.raise(depth, libc::SIGUSR2),
        10 => {
            let mut done = false;
            std::vec![3, 1, 2].sort_by(|a: &i32, b| {
                if !std::mem::replace(&mut done, true) {
                    descend(tree, depth);
                }
                a.cmp(b)
            });
        }
        11 => {
            let unharmed = std::panic::AssertUnwindSafe(|| descend(tree, depth));
            std::panic::catch_unwind(unharmed).expect("nothing panics");
        }
        _ => {
            let mut argument = Argument { tree, depth, done: false };
            let p = (&raw mut argument).cast::<c_void>();
            let mut both = [p, p];
            let start = both.as_mut_ptr().cast::<c_void>();
            let compared = Some(back_compared as unsafe extern "C" fn(_, _) -> _);
            match shape {
                // SAFETY: two pointers, and a function that compares pointers.
                12 => unsafe { libc::qsort(start, 2, size_of::<*mut c_void>(), compared) },
                // SAFETY: as above.
                13 => drop(unsafe { libc::bsearch(start, start, 2, size_of::<usize>(), compared) }),
                // SAFETY: a function, and its argument.
                14 => unsafe { odd(back, p) },
                _ => match frames {
                    Some(frames) => frames.call(shape, depth, p),
                    None => back(p),
                },
            }
        }
    }
}

fn handle(signal: c_int, flags: c_int) {
    // SAFETY: zeros are a valid value.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = (handler as extern "C" fn(c_int)) as usize;
    action.sa_flags = flags | libc::SA_NODEFER;
    // SAFETY: the handler has the right shape.
    assert_eq!(unsafe { libc::sigaction(signal, &raw const action, core::ptr::null_mut()) }, 0);
}

/// Runs `f` with another stack for signals.
fn with_signal_stack(f: impl FnOnce()) {
    let mut room = std::vec![0u8; 4 << 20];
    let stack = libc::stack_t {
        ss_sp: room.as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: room.len(),
    };
    // SAFETY: the room outlives its use.
    assert_eq!(unsafe { libc::sigaltstack(&raw const stack, core::ptr::null_mut()) }, 0);
    f();
    let none = libc::stack_t { ss_flags: libc::SS_DISABLE, ..stack };
    // SAFETY: no handler is running.
    unsafe { libc::sigaltstack(&raw const none, core::ptr::null_mut()) };
}

#[test]
fn a_hundred_thousand_stacks_are_those_of_another_unwinder() {
    if is_emulated() {
        warm();
        return compare_all(None, STACKS / 20);
    }
    let path = Library::build("frames", &FRAMES.replace('\'', "\""));
    let library = Library::open(&path);
    let frames = Frames {
        aligned: library.find(c"aligned"),
        dynamic: library.find(c"dynamic"),
        variadic: library.find(c"variadic"),
        large: library.find(c"large"),
        saving: library.find(c"saving"),
    };
    extern "C" fn known(flag: *mut c_void) {
        // SAFETY: null, or the flag below.
        if let Some(flag) = unsafe { flag.cast::<bool>().as_mut() } {
            *flag = !capture(&mut [0; 64]).truncated;
        }
    }
    let mut flag = false;
    wait_until(|| {
        (frames.large)(known, (&raw mut flag).cast());
        flag
    });
    compare_all(Some(frames), STACKS);
    library.close();
    remove(&path);
}

fn compare_all(frames: Option<Frames>, stacks: usize) {
    handle(libc::SIGUSR1, 0);
    handle(libc::SIGUSR2, libc::SA_ONSTACK);
    let deepest = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|i| {
                scope.spawn(move || {
                    let random = 0x9e37_79b9_7f4a_7c15 ^ (i as u64 + 1) << 40;
                    let left = stacks / THREADS;
                    let mut tree = Tree { random, left, deepest: 0, frames };
                    with_signal_stack(|| {
                        while tree.left > 0 {
                            descend(&mut tree, DEPTH);
                        }
                    });
                    tree.deepest
                })
            })
            .collect();
        threads.into_iter().map(|it| it.join().expect("no stack differs")).max()
    });
    assert!(deepest > Some(40), "{deepest:?} frames: deep enough to mean something");
}

/// Compares a stack on a stack that is neither the thread's nor the kernel's choice.
extern "C" fn coroutine() {
    for _ in 0..3 {
        sized_compare::<300>();
    }
}

#[inline(never)]
fn sized_compare<const N: usize>() {
    let room = [1u8; N];
    black_box(&room);
    compare();
    black_box(&room);
}

#[test]
fn the_stack_of_a_coroutine_is_followed_to_its_end() {
    warm();
    let mut room = std::vec![0u8; 256 << 10];
    // SAFETY: zeros are a valid value, which is filled in below.
    let mut other: libc::ucontext_t = unsafe { core::mem::zeroed() };
    // SAFETY: as above.
    let mut here: libc::ucontext_t = unsafe { core::mem::zeroed() };
    // SAFETY: the context is writable.
    assert_eq!(unsafe { libc::getcontext(&raw mut other) }, 0);
    other.uc_stack.ss_sp = room.as_mut_ptr().cast();
    other.uc_stack.ss_size = room.len();
    other.uc_link = &raw mut here;
    // SAFETY: the function takes no arguments, and the stack outlives its use.
    unsafe { libc::makecontext(&raw mut other, coroutine, 0) };
    // SAFETY: both contexts are set up.
    assert_eq!(unsafe { libc::swapcontext(&raw mut here, &raw const other) }, 0);
}

#[test]
fn a_buffer_is_filled_and_no_more() {
    warm();
    let mut all = [0; 64];
    let whole = capture(&mut all);
    assert!(!whole.truncated && whole.depth > 3);
    for len in 0..whole.depth + 3 {
        let mut some = [7; 64];
        let found = capture(some.get_mut(..len).expect("within"));
        assert_eq!(found.depth, len.min(whole.depth));
        assert_eq!(found.truncated, len < whole.depth, "{len} words");
        assert_eq!(some.get(1..found.depth), all.get(1..found.depth), "but for the first");
        assert!(some.iter().skip(found.depth).all(|word| *word == 7), "not beyond");
    }
}
