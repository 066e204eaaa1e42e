//! A program that does what its arguments say, one after the other.
//!
//! The tests run it on Allod. It is built by the tests themselves, without
//! dependencies: once as an ordinary program, once statically linked, once
//! statically linked with the bytes that mark a program with Allod inside, and
//! once with Allod inside indeed.
//!
//! | word | does |
//! |---|---|
//! | `alloc=N` | allocates N KiB in blocks of 4, writes to all of them, keeps them |
//! | `large=N` | the same in blocks of 64 |
//! | `free` | frees what `alloc` kept |
//! | `print=TEXT` | prints a line |
//! | `pid` | prints the process's number |
//! | `read` | reads one byte of standard input |
//! | `sleep=MS` | sleeps |
//! | `wait=N` | waits up to a minute for N signals that `catch` caught |
//! | `catch=N` | from now on counts signal N |
//! | `count` | prints how many were caught |
//! | `raise=N` | sends signal N to itself |
//! | `child` | forks; the words that follow are the child's, who then exits with 0, and the parent waits and goes on behind `end` |
//! | `exec=PATH` | becomes another program, whose arguments are the words that follow |
//! | `exit=N` | exits |
//! | `_exit=N` | exits at once |

use std::io::{Read, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

#[cfg(marked)]
#[used]
static MARKER: &[u8; 13] = b"allod-inside\0";

#[cfg(inside)]
#[global_allocator]
static GLOBAL: allod::Allod = allod::Allod::new();

unsafe extern "C" {
    safe fn fork() -> i32;
    safe fn _exit(code: i32) -> !;
    safe fn raise(signal: i32) -> i32;
    unsafe fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    unsafe fn signal(signal: i32, handler: extern "C" fn(i32)) -> usize;
}

/// How many signals were caught.
static CAUGHT: AtomicU32 = AtomicU32::new(0);

extern "C" fn catch(_: i32) {
    // ORDERING: Relaxed, a count.
    CAUGHT.fetch_add(1, Ordering::Relaxed);
}

fn caught() -> u32 {
    // ORDERING: Relaxed, a count.
    CAUGHT.load(Ordering::Relaxed)
}

fn say(text: &dyn std::fmt::Display) {
    println!("{text}");
    std::io::stdout().flush().expect("standard output");
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut rest = words.as_slice();
    while let [word, after @ ..] = rest {
        rest = after;
        let (verb, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || value.parse::<u32>().expect("a number");
        match verb {
            "alloc" => (0..number() / 4).for_each(|_| kept.push(vec![1; 4 << 10])),
            "large" => (0..number() / 64).for_each(|_| kept.push(vec![1; 64 << 10])),
            "free" => kept.clear(),
            "print" => say(&value),
            "pid" => say(&std::process::id()),
            "read" => _ = std::io::stdin().read(&mut [0]).expect("standard input"),
            "sleep" => std::thread::sleep(Duration::from_millis(number().into())),
            "wait" => {
                let start = Instant::now();
                while caught() < number() && start.elapsed() < Duration::from_secs(60) {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            // SAFETY: the handler only raises a counter.
            "catch" => _ = unsafe { signal(number().cast_signed(), catch) },
            "count" => say(&caught()),
            "raise" => _ = raise(number().cast_signed()),
            "child" => {
                let child = fork();
                if child == 0 {
                    continue;
                }
                // SAFETY: the status may be null.
                unsafe { waitpid(child, std::ptr::null_mut(), 0) };
                let end = rest.iter().position(|word| word == "end");
                rest = end.map_or(&[], |end| &rest[end + 1..]);
            }
            "end" => std::process::exit(0),
            "exec" => {
                use std::os::unix::process::CommandExt;
                let error = std::process::Command::new(value).args(rest).exec();
                panic!("{value}: {error}");
            }
            "exit" => std::process::exit(number().cast_signed()),
            "_exit" => _exit(number().cast_signed()),
            _ => panic!("{word}: no such word"),
        }
    }
    // Lives to the end, so that it is counted there.
    drop(std::hint::black_box(kept));
}
