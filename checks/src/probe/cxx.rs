//! Row 23: the C++ operators, by their mangled names and from a C++ program.
#![allow(unsafe_code)]

use crate::row::{Context, Outcome, Row, ensure, pass, pass_with, skip};
use allod_checks::c::{Pointer, library_of, symbol, who_serves};
use allod_checks::child;
use std::ffi::CString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

pub(crate) const ROWS: &[Row] = &[
    Row::new(
        23,
        "operators-exist",
        "all 20 operators, from the library that has malloc",
        "C++17 [new.delete]; quality for the second half",
        exist,
    ),
    Row::new(
        23,
        "operators-work",
        "each new goes with each delete of its kind; nothrow gives NULL",
        "C++17 [new.delete]",
        work,
    ),
    Row {
        seconds: 60,
        ..Row::new(
            23,
            "operators-throw",
            "bad_alloc, new_handler loop, a handler that throws, nothrow",
            "C++17 [new.delete], [set.new.handler]",
            throw,
        )
    },
    Row {
        seconds: 60,
        ..Row::new(
            23,
            "operators-throw-in-plugin",
            "bad_alloc in a C++ plugin that a C program loads",
            "C++17 [new.delete]",
            throw_in_plugin,
        )
    },
    Row {
        seconds: 60,
        ..Row::new(
            23,
            "operators-replaced",
            "a program's own new and delete are called by the sixteen derived from them",
            "C++17 [new.delete]",
            replaced,
        )
    },
];

/// The mangled end of `std::nothrow_t const&`, `std::align_val_t`.
const NOTHROW: &str = "RKSt9nothrow_t";
const ALIGN: &str = "St11align_val_t";

/// One operator by name. Without a preloaded library it is the C++ library's.
fn operator(name: &str) -> Option<Pointer> {
    // SAFETY: the name ends in a zero; the library's constructors are harmless.
    unsafe { libc::dlopen(c"libstdc++.so.6".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    symbol(&CString::new(name).ok()?)
}

fn names() -> Vec<String> {
    let mut names = Vec::new();
    for kind in ["w", "a"] {
        for tail in ["", NOTHROW, ALIGN, "St11align_val_tRKSt9nothrow_t"] {
            names.push(format!("_Zn{kind}m{tail}"));
        }
    }
    for kind in ["l", "a"] {
        for tail in ["", "m", NOTHROW, ALIGN, "mSt11align_val_t", "St11align_val_tRKSt9nothrow_t"] {
            names.push(format!("_Zd{kind}Pv{tail}"));
        }
    }
    names
}

fn exist(context: &Context) -> Outcome {
    let names = names();
    assert_eq!(names.len(), 20, "the standard has 20");
    let mut elsewhere = Vec::new();
    for name in &names {
        match operator(name) {
            None => {
                return if context.preload.is_none() {
                    skip("no C++ library")
                } else {
                    Err(format!("there is no {name}"))
                };
            }
            Some(address) if library_of(address) != who_serves() => elsewhere.push(name.as_str()),
            Some(_) => {}
        }
    }
    if context.preload.is_none() {
        return pass_with("from the C++ library");
    }
    ensure!(elsewhere.is_empty(), "another library's: {}", elsewhere.join(" "));
    pass()
}

type New = unsafe extern "C" fn(usize, usize, usize) -> Pointer;
type Delete = unsafe extern "C" fn(Pointer, usize, usize, usize);

/// Calls a `new`. Operators take their arguments in order, in registers, and do
/// not see those that they have not.
fn call_new(name: &str, arguments: [usize; 3]) -> Result<Pointer, String> {
    let address = operator(name).ok_or(format!("there is no {name}"))?;
    // SAFETY: all eight take up to three words and return a pointer.
    let new = unsafe { std::mem::transmute::<Pointer, New>(address) };
    // SAFETY: the caller passes what this one takes.
    Ok(unsafe { new(arguments[0], arguments[1], arguments[2]) })
}

/// Calls a `delete`, likewise.
fn call_delete(name: &str, block: Pointer, arguments: [usize; 3]) -> Result<(), String> {
    let address = operator(name).ok_or(format!("there is no {name}"))?;
    // SAFETY: all twelve take a pointer and up to three words.
    let delete = unsafe { std::mem::transmute::<Pointer, Delete>(address) };
    // SAFETY: the caller passes what this one takes.
    unsafe { delete(block, arguments[0], arguments[1], arguments[2]) };
    Ok(())
}

fn work(_: &Context) -> Outcome {
    if operator("_Znwm").is_none() {
        return skip("no C++ library");
    }
    let nothrow = symbol(c"_ZSt7nothrow").map_or(0, |address| address.addr());
    for (new, delete) in [("_Znwm", "_ZdlPv"), ("_Znam", "_ZdaPv")] {
        for size in [0, 1, 16, 100, 5000, 100_000, 3 << 20] {
            for (tail, new_arguments) in [("", [size, 0, 0]), (NOTHROW, [size, nothrow, 0])] {
                for (way, arguments) in
                    [("", [0; 3]), ("m", [size, 0, 0]), (NOTHROW, [nothrow, 0, 0])]
                {
                    let block = call_new(&format!("{new}{tail}"), new_arguments)?;
                    ensure!(!block.is_null(), "{new}{tail}({size}) gave NULL");
                    ensure!(block.addr().is_multiple_of(16), "{new}{tail}({size}): {block:?}");
                    call_delete(&format!("{delete}{way}"), block, arguments)?;
                }
            }
        }
        for align in [1, 8, 32, 64, 4096, 1 << 16, 1 << 21] {
            for size in [1, 100, 5000, 100_000] {
                for (tail, new_arguments) in [
                    (ALIGN.to_owned(), [size, align, 0]),
                    (format!("{ALIGN}{NOTHROW}"), [size, align, nothrow]),
                ] {
                    for (way, arguments) in [
                        (ALIGN.to_owned(), [align, 0, 0]),
                        (format!("m{ALIGN}"), [size, align, 0]),
                        (format!("{ALIGN}{NOTHROW}"), [align, nothrow, 0]),
                    ] {
                        let block = call_new(&format!("{new}{tail}"), new_arguments)?;
                        ensure!(!block.is_null(), "{new}{tail}({size}, {align}) gave NULL");
                        ensure!(
                            block.addr().is_multiple_of(align),
                            "{new}{tail}({size}, {align}): {block:?}"
                        );
                        call_delete(&format!("{delete}{way}"), block, arguments)?;
                    }
                }
            }
        }
        for size in [1 << 62, usize::MAX - 100, usize::MAX] {
            let block = call_new(&format!("{new}{NOTHROW}"), [size, nothrow, 0])?;
            ensure!(block.is_null(), "{new}{NOTHROW}({size:#x}) gave {block:?}");
            let block = call_new(&format!("{new}{ALIGN}{NOTHROW}"), [size, 64, nothrow])?;
            ensure!(block.is_null(), "{new}{ALIGN}{NOTHROW}({size:#x}) gave {block:?}");
        }
        for way in ["", "m", NOTHROW, ALIGN, "mSt11align_val_t"] {
            call_delete(&format!("{delete}{way}"), std::ptr::null_mut(), [64, 64, nothrow])?;
        }
    }
    pass()
}

/// A directory of our own that goes away with the value.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Result<Scratch, String> {
        let path = std::env::temp_dir().join(format!("allod-checks-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| error.to_string())?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Compiles a program of `checks/programs`; `None` when there is no compiler.
pub(crate) fn compile(
    compiler: &str,
    scratch: &Scratch,
    source: (&str, &str),
    more: &[&str],
) -> Result<Option<PathBuf>, String> {
    let (name, text) = source;
    let (path, program) = (scratch.0.join(name), scratch.0.join(format!("{name}.out")));
    std::fs::write(&path, text).map_err(|error| error.to_string())?;
    let mut command = Command::new(compiler);
    command.env_remove("LD_PRELOAD").args(["-O1", "-w"]).arg(&path).arg("-o").arg(&program);
    command.args(more);
    match child::run(&mut command, Duration::from_secs(60)) {
        Ok(output) if output.end == child::End::Exit(0) => Ok(Some(program)),
        Ok(output) => Err(format!("{compiler}: {}", output.stderr)),
        Err(_) => Ok(None),
    }
}

/// Runs a program that prints a line for each promise: `name ok` or `name` and what happened.
fn run(program: &mut Command, lines: usize) -> Outcome {
    let output = child::run(program, Duration::from_secs(20)).map_err(|error| error.to_string())?;
    let wrong: Vec<_> = output.stdout.lines().filter(|line| !line.ends_with(" ok")).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join(", "));
    let count = output.stdout.lines().count();
    ensure!(
        output.end == child::End::Exit(0),
        "{} after {count} lines: {}",
        output.end,
        output.stderr.lines().last().unwrap_or_default()
    );
    ensure!(count == lines, "{count} lines instead of {lines}");
    pass_with(format!("{count} promises"))
}

/// Compiles a program and runs it.
pub(crate) fn alone(compiler: &str, source: (&str, &str), more: &[&str], lines: usize) -> Outcome {
    let scratch = Scratch::new()?;
    match compile(compiler, &scratch, source, more)? {
        Some(program) => run(&mut Command::new(program), lines),
        None => skip(format!("no {compiler}")),
    }
}

fn throw(_: &Context) -> Outcome {
    alone("g++", ("throw.cpp", include_str!("../../programs/throw.cpp")), &["-std=c++17"], 17)
}

fn throw_in_plugin(_: &Context) -> Outcome {
    let scratch = Scratch::new()?;
    let plugin = ("plugin.cpp", include_str!("../../programs/plugin.cpp"));
    let host = ("host.c", include_str!("../../programs/host.c"));
    let Some(plugin) = compile("g++", &scratch, plugin, &["-shared", "-fPIC"])? else {
        return skip("no g++");
    };
    let Some(host) = compile("gcc", &scratch, host, &["-ldl"])? else {
        return skip("no gcc");
    };
    run(Command::new(host).arg(plugin), 2)
}

fn replaced(_: &Context) -> Outcome {
    let source = ("replaced.cpp", include_str!("../../programs/replaced.cpp"));
    alone("g++", source, &["-std=c++17"], 15)
}
