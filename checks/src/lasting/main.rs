//! `lasting`: allocates below a module, after the tables of modules that may go away
//! cannot be read any more.
//!
//! ```text
//!   lasting PLUGIN LIBRARY DUMP [clear] [filter]
//!
//!   main --> through (here) --> plugin_calls (PLUGIN) --> allocate (here) --> malloc (LIBRARY)
//! ```
//!
//! It loads the library `plugin` and then an allocator, if they are not there already,
//! and has the allocator take a sample: by then that knows which modules there are, and how
//! far the stack goes. Then a filter of system calls takes away both ways of reading memory
//! that may not be there, and the next sample has a frame of the plugin in its stack, which
//! nobody leaves without the plugin's unwind table. The dump that it writes at the end tells
//! how far that went.
//!
//! With `clear` there is no environment when the allocator is loaded; without `filter`
//! everything can be read. Prints `lasting ok`, or `no filter` where the system has none.
#![allow(unsafe_code)]

use allod_checks::c::Pointer;
use std::ffi::{CStr, CString, c_char, c_int};
use std::hint::black_box;
use std::mem::{offset_of, transmute};
use std::process::ExitCode;
use std::sync::OnceLock;

type Malloc = unsafe extern "C" fn(usize) -> Pointer;
type Dump = unsafe extern "C" fn(*const c_char) -> c_int;
type Interval = extern "C" fn(usize) -> c_int;
type Calls = extern "C" fn(extern "C" fn());

/// The allocator's `malloc`, which is not this program's if it is loaded late.
static MALLOC: OnceLock<Malloc> = OnceLock::new();
/// Mean bytes between two samples.
const INTERVAL: usize = 4 << 10;
/// Many times as much: it is sure to be sampled.
const SIZE: usize = 1 << 20;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match check(&words) {
        Ok(words) => {
            println!("{words}");
            ExitCode::SUCCESS
        }
        Err(words) => {
            eprintln!("{words}");
            ExitCode::FAILURE
        }
    }
}

fn check(words: &[String]) -> Result<&'static str, String> {
    let [plugin, library, dump, flags @ ..] = words else {
        return Err("lasting PLUGIN LIBRARY DUMP [clear] [filter]".to_owned());
    };
    let has = |flag: &str| flags.iter().any(|word| word == flag);
    let address = find(open(plugin)?, c"plugin_calls")?;
    // SAFETY: this is the plugin's function, and this is its type.
    let calls = unsafe { transmute::<Pointer, Calls>(address) };
    if has("clear") {
        // SAFETY: there is one thread.
        unsafe { libc::clearenv() };
    }
    let library = open(library)?;
    let address = find(library, c"malloc")?;
    // SAFETY: this is `malloc`, and this is its type.
    let malloc = *MALLOC.get_or_init(|| unsafe { transmute::<Pointer, Malloc>(address) });
    let address = find(library, c"allod_profile_interval")?;
    // SAFETY: this is Allod's function, and this is its type.
    let interval = unsafe { transmute::<Pointer, Interval>(address) };
    let address = find(library, c"allod_dump")?;
    // SAFETY: as above.
    let write = unsafe { transmute::<Pointer, Dump>(address) };

    if interval(INTERVAL) != 0 {
        return Err("there is no profiler".to_owned());
    }
    if !allocate_down_there(malloc, 16) {
        return Err("malloc: NULL".to_owned());
    }
    if has("filter") && !refuse_to_read() {
        return Ok("no filter");
    }
    through(calls);
    let path = CString::new(dump.as_str()).map_err(|error| error.to_string())?;
    // SAFETY: the path ends in a zero.
    let result = unsafe { write(path.as_ptr()) };
    if result == 0 { Ok("lasting ok") } else { Err(std::io::Error::last_os_error().to_string()) }
}

/// The first sample, from so many steps down the stack that the other one is above it: what
/// is below all samples so far would be read by way of the kernel as well.
#[inline(never)]
fn allocate_down_there(malloc: Malloc, steps: u32) -> bool {
    let room = black_box([0_u8; 1 << 10]);
    let done = if steps == 0 {
        // SAFETY: `malloc` has no conditions.
        !unsafe { malloc(SIZE) }.is_null()
    } else {
        allocate_down_there(malloc, steps - 1)
    };
    black_box(&room);
    done
}

/// A frame of the program's above the plugin's.
#[inline(never)]
fn through(calls: Calls) {
    calls(allocate);
}

/// The block stays, so that the sample is among what is live.
extern "C" fn allocate() {
    if let Some(malloc) = MALLOC.get() {
        // SAFETY: `malloc` has no conditions.
        unsafe { malloc(SIZE) };
    }
}

/// Lets fail what reads this process's memory by way of the kernel: `process_vm_readv`, and
/// reading from so far within a file (16 TiB) as only `/proc/self/mem` has something. False
/// where there are no such filters.
fn refuse_to_read() -> bool {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const IS_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, k: usize, jt, jf| libc::sock_filter { code, jt, jf, k: k as u32 };
    let number = offset_of!(libc::seccomp_data, nr);
    // The upper half of the fourth argument: where in the file, in units of 4 GiB.
    let far = offset_of!(libc::seccomp_data, args) + 3 * 8 + 4;
    let refusal = libc::SECCOMP_RET_ERRNO as usize | libc::EPERM as usize;
    let mut steps = [
        step(LOAD, number, 0, 0),
        step(IS, libc::SYS_process_vm_readv as usize, 4, 0),
        step(IS, libc::SYS_pread64 as usize, 0, 2),
        step(LOAD, far, 0, 0),
        step(IS_AT_LEAST, 16 << 8, 1, 0),
        step(RETURN, libc::SECCOMP_RET_ALLOW as usize, 0, 0),
        step(RETURN, refusal, 0, 0),
    ];
    let filter = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: a number and nothing else is passed.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return false;
    }
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the program and its steps can be read.
    unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter) == 0 }
}

/// Loads a library, or finds it if it is there.
fn open(name: &str) -> Result<Pointer, String> {
    let path = CString::new(name).map_err(|error| error.to_string())?;
    // SAFETY: the name ends in a zero; the constructors of these libraries are harmless.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if handle.is_null() { Err(format!("dlopen: {name}")) } else { Ok(handle) }
}

/// What a name means in a library.
fn find(handle: Pointer, name: &CStr) -> Result<Pointer, String> {
    // SAFETY: the handle is open and the name ends in a zero.
    let address = unsafe { libc::dlsym(handle, name.as_ptr()) };
    if address.is_null() { Err(format!("there is no {name:?}")) } else { Ok(address) }
}
