//! Rows 34 and 35: descriptors, programs that start programs, libraries that
//! come and go.
#![allow(unsafe_code)]

use crate::cxx::{Scratch, alone, compile};
use crate::early::beside;
use crate::helper;
use crate::row::{Context, Outcome, Row, ensure, pass, pass_with, skip};
use allod_checks::block::Block;
use allod_checks::c::{Pointer, library_of};
use allod_checks::memory::{self, MIB};
use allod_checks::work::churn;
use std::ffi::{CStr, CString, OsStr, c_int, c_void};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::{ptr, thread};

pub(crate) const ROWS: &[Row] = &[
    Row::new(34, "no-descriptors", "keeps no descriptor open", "quality", no_descriptors),
    Row::new(
        34,
        "closed-descriptors",
        "works when the program has closed all descriptors",
        "quality",
        closed_descriptors,
    ),
    Row::new(34, "spawn", "posix_spawn while a thread allocates", "POSIX.1-2024", spawn),
    Row::new(34, "vfork", "a child that shares the memory, and execs", "vfork(2)", vfork),
    Row::new(34, "exec", "a program that execs itself, five deep", "POSIX.1-2024 exec", exec),
    Row::new(34, "at-exit", "a handler of atexit allocates", "C23 7.24.4.2", at_exit),
    Row::new(
        34,
        "load-others",
        "200 times dlopen and dlclose of another library, with threads",
        "POSIX.1-2024 dlopen",
        others,
    ),
    Row::new(
        34,
        "deep-bind",
        "a module loaded with RTLD_DEEPBIND frees what the C library allocated",
        "quality; dlopen(3)",
        deep_bind,
    ),
    Row::new(
        34,
        "run-path",
        "dlopen of a name searches the RUNPATH of the module that asks",
        "dlopen(3)",
        run_path,
    ),
    Row {
        seconds: 60,
        ..Row::new(
            34,
            "own-malloc",
            "reallocarray and strdup of a program with a malloc of its own are its malloc's",
            "quality; the C library's replacing malloc",
            own_malloc,
        )
    },
    Row::new(
        35,
        "loadable",
        "dlopen of the allocator itself, use from threads, dlclose",
        "quality: a small TLS block; ld.so(8)",
        loadable,
    ),
];

fn own_malloc(_: &Context) -> Outcome {
    alone("gcc", ("own.c", include_str!("../../programs/own.c")), &["-fno-builtin"], 4)
}

fn no_descriptors(_: &Context) -> Outcome {
    thread::spawn(|| churn(34, 1000, 20)).join().map_err(|_| "a thread panicked")??;
    let open = std::fs::read_dir("/proc/self/fd").map_err(|error| error.to_string())?;
    let mut names: Vec<_> =
        open.flatten().map(|entry| entry.file_name().into_string().unwrap_or_default()).collect();
    names.sort_unstable();
    // 0, 1, 2, and the directory that is being read.
    ensure!(names.len() == 4, "open: {}", names.join(" "));
    pass()
}

fn closed_descriptors(_: &Context) -> Outcome {
    helper::ask(&["work-without-descriptors"], 20, |_| {})?;
    pass()
}

/// Closes everything, then works. Only the exit code can tell.
pub(crate) fn work_without_descriptors() -> Result<String, String> {
    // SAFETY: nothing here uses a descriptor afterwards.
    unsafe { libc::close_range(0, libc::c_uint::MAX, 0) };
    churn(1, 1000, 20)?;
    thread::spawn(|| churn(2, 1000, 20)).join().map_err(|_| "a thread panicked")??;
    Ok(String::new())
}

fn spawn(_: &Context) -> Outcome {
    let worker = thread::spawn(|| churn(5, 20_000, 12));
    for round in 0..30 {
        let output = Command::new("/bin/echo").arg("here").output();
        let output = output.map_err(|error| format!("round {round}: {error}"))?;
        ensure!(output.stdout == b"here\n", "round {round}: {output:?}");
    }
    worker.join().map_err(|_| "a thread panicked")??;
    pass()
}

/// What the child of a `vfork` does: another program.
extern "C" fn exec_true(_: *mut c_void) -> c_int {
    let path = c"/bin/true".as_ptr();
    let arguments = [path, ptr::null()];
    // SAFETY: both lists end in null and live until the program is replaced.
    unsafe { libc::execv(path, arguments.as_ptr()) };
    127
}

fn vfork(_: &Context) -> Outcome {
    let worker = thread::spawn(|| churn(6, 20_000, 12));
    let mut stack = vec![0_u128; 4096];
    for round in 0..30 {
        let top = stack.as_mut_ptr_range().end;
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: the stack is ours until the child execs, for which this waits.
        let process = unsafe { libc::clone(exec_true, top.cast(), flags, ptr::null_mut()) };
        ensure!(process > 0, "clone: {}", std::io::Error::last_os_error());
        let mut status = 0;
        // SAFETY: `status` can be written.
        unsafe { libc::waitpid(process, &raw mut status, 0) };
        ensure!(status == 0, "round {round}: status {status:#x}");
        churn(round, 50, 16)?;
    }
    worker.join().map_err(|_| "a thread panicked")??;
    pass()
}

fn exec(_: &Context) -> Outcome {
    let answer = helper::ask(&["exec", "5"], 20, |_| {})?;
    ensure!(answer == "arrived", "{answer:?}");
    pass()
}

/// Works, and becomes itself again, one step nearer to 0.
pub(crate) fn exec_again(depth: &str) -> Result<String, String> {
    let depth: u32 = depth.parse().map_err(|_| "no number")?;
    let worker = thread::spawn(|| churn(8, 1000, 16));
    churn(7, 1000, 16)?;
    if depth == 0 {
        worker.join().map_err(|_| "a thread panicked")??;
        return Ok("arrived".to_owned());
    }
    let next = (depth - 1).to_string();
    let error = Command::new("/proc/self/exe").args(["--helper", "exec", &next]).exec();
    Err(error.to_string())
}

fn at_exit(_: &Context) -> Outcome {
    let answer = helper::ask(&["at-exit"], 20, |_| {})?;
    ensure!(answer.contains("handler worked"), "{answer:?}");
    pass()
}

extern "C" fn work_at_exit() {
    let words: &[u8] =
        if churn(9, 1000, 20).is_ok() { b"handler worked\n" } else { b"handler failed\n" };
    // SAFETY: the words can be read.
    unsafe { libc::write(1, words.as_ptr().cast(), words.len()) };
}

/// Leaves work for the very end.
pub(crate) fn allocate_at_exit() -> Result<String, String> {
    // SAFETY: the handler is a function of this program.
    let result = unsafe { libc::atexit(work_at_exit) };
    ensure!(result == 0, "atexit: {result}");
    Ok("main ends".to_owned())
}

fn others(_: &Context) -> Outcome {
    let candidates = ["libresolv.so.2", "libnsl.so.1", "libutil.so.1"];
    for name in candidates {
        match helper::ask(&["load-others", name], 25, |_| {}) {
            Err(words) if words.contains("cannot open shared object") => {}
            other => return pass_with(other?),
        }
    }
    skip("no library to load")
}

/// The 200 times.
pub(crate) fn load_others(name: &str) -> Result<String, String> {
    let mut before = 0;
    for round in 0..200 {
        let handle = open(name, 0)?;
        churn(round, 20, 16)?;
        if round % 10 == 0 {
            thread::spawn(move || churn(round, 50, 16)).join().map_err(|_| "panicked")??;
        }
        // SAFETY: the handle is open, and nothing of the library is in use.
        let result = unsafe { libc::dlclose(handle) };
        ensure!(result == 0, "dlclose: {result}");
        if round == 20 {
            before = memory::resident();
        }
    }
    let grown = memory::resident().saturating_sub(before);
    ensure!(grown < 8 * MIB, "{} KiB more", grown >> 10);
    Ok(format!("{} KiB more", grown >> 10))
}

/// Loads a library, with `more` flags than every library here is loaded with.
fn open(name: &str, more: c_int) -> Result<Pointer, String> {
    let path = CString::new(name).map_err(|error| error.to_string())?;
    let flags = libc::RTLD_NOW | libc::RTLD_LOCAL | more;
    // SAFETY: the name ends in a zero; the constructors of these libraries are harmless.
    let handle = unsafe { libc::dlopen(path.as_ptr(), flags) };
    if !handle.is_null() {
        return Ok(handle);
    }
    // SAFETY: `dlerror` has no conditions.
    let message = unsafe { libc::dlerror() };
    ensure!(!message.is_null(), "{name}: NULL, and no message");
    // SAFETY: a message ends in a zero.
    let message = unsafe { CStr::from_ptr(message) };
    Err(message.to_string_lossy().into_owned())
}

/// What a name means in a library.
fn find(handle: Pointer, name: &CStr) -> Result<Pointer, String> {
    // SAFETY: the handle is open and the name ends in a zero.
    let address = unsafe { libc::dlsym(handle, name.as_ptr()) };
    if address.is_null() { Err(format!("there is no {name:?}")) } else { Ok(address) }
}

fn deep_bind(_: &Context) -> Outcome {
    let plugin = beside("examples/libplugin.so")?;
    if !plugin.exists() {
        return skip("the library `plugin` is not built: cargo build --examples");
    }
    let path = plugin.to_str().ok_or("a path that is no text")?;
    helper::ask(&["deep-bind", path], 20, |_| {})?;
    pass()
}

/// Has a module that prefers the C library's functions free what others allocate, and the
/// other way round.
pub(crate) fn bind_deeply(path: &str) -> Result<String, String> {
    const MISSING: &str = "liballod-checks-no-such-library.so";
    match open(MISSING, libc::RTLD_DEEPBIND) {
        Err(words) => ensure!(words.contains(MISSING), "the message is {words:?}"),
        Ok(_) => return Err("dlopen found what is not there".to_owned()),
    }
    let module = open(path, libc::RTLD_DEEPBIND)?;
    type FreesText = extern "C" fn() -> c_int;
    type Allocates = extern "C" fn(usize) -> Pointer;
    type Frees = unsafe extern "C" fn(Pointer);
    let address = find(module, c"plugin_frees_text")?;
    // SAFETY: this is the plugin's function, and this is its type.
    let frees_text = unsafe { std::mem::transmute::<Pointer, FreesText>(address) };
    let address = find(module, c"plugin_allocates")?;
    // SAFETY: as above.
    let allocates = unsafe { std::mem::transmute::<Pointer, Allocates>(address) };
    let address = find(module, c"plugin_frees")?;
    // SAFETY: as above.
    let frees = unsafe { std::mem::transmute::<Pointer, Frees>(address) };
    for round in 0..1000 {
        let missing = frees_text();
        ensure!(missing == 0, "round {round}: text {missing} is NULL");
        for size in [1, 100, 3000, 100_000] {
            let theirs = allocates(size);
            ensure!(!theirs.is_null(), "round {round}: malloc({size}) in the module is NULL");
            // SAFETY: a block, and nobody else's.
            unsafe { libc::free(theirs) };
            // SAFETY: `malloc` has no conditions.
            let ours = unsafe { libc::malloc(size) };
            // SAFETY: NULL, or a block that nobody else has.
            unsafe { frees(ours) };
        }
    }
    Ok(String::new())
}

/// The C library looks at the return address of `dlopen` to know who asks: whoever puts
/// himself in between must not stand there.
fn run_path(_: &Context) -> Outcome {
    let scratch = Scratch::new()?;
    let module = ("module.c", include_str!("../../programs/module.c"));
    let host = ("host.c", include_str!("../../programs/host.c"));
    let Some(module) = compile("gcc", &scratch, module, &["-shared", "-fPIC"])? else {
        return skip("no gcc");
    };
    let directory = module.parent().ok_or("no directory")?;
    let path = format!("-Wl,--enable-new-dtags,-rpath,{}", directory.display());
    let Some(host) = compile("gcc", &scratch, host, &["-ldl", &path])? else {
        return skip("no gcc");
    };
    let name = module.file_name().unwrap_or(OsStr::new(""));
    let answer = helper::ask_program(Command::new(host).arg(name), 20)?;
    ensure!(answer == "run ok", "{answer:?}");
    pass()
}

fn loadable(context: &Context) -> Outcome {
    let Some(library) = &context.preload else { return skip("nothing to load") };
    let path = library.to_str().ok_or("a path that is no text")?;
    let answer = helper::ask(&["load", path], 20, |command| {
        command.env_remove("LD_PRELOAD");
    })?;
    pass_with(answer)
}

/// Loads an allocator beside the one that serves, and uses both.
pub(crate) fn load(path: &str) -> Result<String, String> {
    let handle = open(path, 0)?;
    let find = |name| find(handle, name);
    // SAFETY: this is `malloc`, and this is its type.
    let malloc = unsafe {
        std::mem::transmute::<Pointer, unsafe extern "C" fn(usize) -> Pointer>(find(c"malloc")?)
    };
    // SAFETY: this is `free`, and this is its type.
    let free =
        unsafe { std::mem::transmute::<Pointer, unsafe extern "C" fn(Pointer)>(find(c"free")?) };
    // The process has a `realloc` of the C library's before this library, and it must not go there.
    type ReallocArray = unsafe extern "C" fn(Pointer, usize, usize) -> Pointer;
    let of = library_of(find(c"malloc")?);
    let again = find(c"reallocarray").ok().filter(|again| library_of(*again) == of);
    // SAFETY: where there is one, this is its type.
    let again = again.map(|again| unsafe { std::mem::transmute::<Pointer, ReallocArray>(again) });
    let work = move || {
        for size in [0, 1, 100, 5000, 100_000, 3 << 20] {
            // SAFETY: `malloc` has no conditions.
            let block = unsafe { malloc(size) };
            if block.is_null() {
                return Err(format!("malloc({size}): NULL"));
            }
            if size > 0 {
                // SAFETY: the block has `size` bytes.
                unsafe { block.cast::<u8>().write_bytes(1, size) };
            }
            let block = match again {
                // SAFETY: the block came from this `malloc`, and is not used after.
                Some(again) => unsafe { again(block, 2, size + 1) },
                None => block,
            };
            // SAFETY: the block came from this `malloc`, or its `reallocarray`.
            unsafe { free(block) };
        }
        Ok(())
    };
    work()?;
    let (close, closed) = std::sync::mpsc::channel::<()>();
    let outliving = thread::spawn(move || {
        let result = work();
        // Ends after the library was closed, with whatever it left in the thread.
        let _ = closed.recv();
        result
    });
    thread::spawn(work).join().map_err(|_| "a thread panicked")??;
    // SAFETY: the handle is open. What of the library is in use is its own care.
    let result = unsafe { libc::dlclose(handle) };
    ensure!(result == 0, "dlclose: {result}");
    drop(close);
    outliving.join().map_err(|_| "a thread panicked")??;
    Block::malloc(100).ok_or("the system's malloc: NULL")?;
    Ok(String::new())
}
