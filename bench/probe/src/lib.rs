//! The probe: a preloaded library that writes down who serves `malloc`.
//!
//! `ld.so` ignores a library that it cannot map, without a word, and then a
//! test of our allocator tests glibc's. So the probe stands in `LD_PRELOAD`
//! beside the allocator, and before `main` it asks the loader which object
//! each allocation function comes from. It appends one line to the file that
//! [`FILE`] names:
//!
//! ```text
//! pid <tab> program <tab> malloc=/path/of/object <tab> free=/path/of/object ...
//! ```
//!
//! All of [`FUNCTIONS`] are asked, because a library that serves `malloc` and
//! leaves `malloc_usable_size` to glibc is broken in a way that shows late.
//!
//! The probe is in test runs only. No measured run has it.
#![expect(unsafe_code, reason = "it speaks to the loader before main, in C's terms")]

use core::ffi::{CStr, c_char, c_int, c_void};
use std::io::{Cursor, Write as _};

/// The environment variable with the file's path.
const FILE: &CStr = c"ALLOD_BENCH_PROBE";

/// The functions that must all come from one object.
const FUNCTIONS: [&CStr; 7] = [
    c"malloc",
    c"calloc",
    c"realloc",
    c"free",
    c"posix_memalign",
    c"aligned_alloc",
    c"malloc_usable_size",
];

/// Room for one line: a path for each function, and one for the program.
const LINE: usize = (FUNCTIONS.len() + 1) * 512;

/// The loader calls what stands in this section before `main`, with these
/// arguments. `report` needs nothing that is set up later.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn(c_int, *const *const c_char, *const *const c_char) = report;

/// Writes the line, with one `write`, so that lines of many processes do not mix.
/// It allocates nothing: the allocator under test must not meet us first.
extern "C" fn report(_: c_int, _: *const *const c_char, _: *const *const c_char) {
    // SAFETY: the name is a C string, and no other thread runs yet.
    let file = unsafe { libc::getenv(FILE.as_ptr()) };
    if file.is_null() {
        return;
    }
    let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_CLOEXEC;
    // SAFETY: `file` is a C string from the environment.
    let descriptor = unsafe { libc::open(file, flags, 0o644) };
    if descriptor < 0 {
        return;
    }
    let mut bytes = [0u8; LINE];
    let mut line = Cursor::new(&mut bytes[..]);
    // A line that does not fit stays short, and then the reader complains.
    let _ = write_line(&mut line);
    let length = usize::try_from(line.position()).unwrap_or(0);
    // SAFETY: `length` bytes of `bytes` are written.
    unsafe { libc::write(descriptor, bytes.as_ptr().cast(), length) };
    // SAFETY: we opened it, and nobody else has it.
    unsafe { libc::close(descriptor) };
}

/// Puts pid, program and the origin of each function into `line`.
fn write_line(line: &mut Cursor<&mut [u8]>) -> std::io::Result<()> {
    // SAFETY: `getpid` has no precondition.
    let pid = unsafe { libc::getpid() };
    write!(line, "{pid}\t")?;
    let mut path = [0u8; 512];
    // SAFETY: the link's name is a C string, and the buffer is as long as we say.
    let length =
        unsafe { libc::readlink(c"/proc/self/exe".as_ptr(), path.as_mut_ptr().cast(), path.len()) };
    line.write_all(&path[..usize::try_from(length).unwrap_or(0)])?;
    for function in FUNCTIONS {
        line.write_all(b"\t")?;
        line.write_all(function.to_bytes())?;
        line.write_all(b"=")?;
        line.write_all(origin(function).map_or(b"none".as_slice(), CStr::to_bytes))?;
    }
    line.write_all(b"\n")
}

/// The object that the program's calls of `function` reach.
fn origin(function: &CStr) -> Option<&'static CStr> {
    let (object, defined) = locate(libc::RTLD_DEFAULT, function)?;
    if defined {
        return Some(object);
    }
    // A program at a fixed address that takes the function's address has a stub
    // of its own under that name, which jumps to whoever comes next. We are
    // the first library, so that is whoever comes after us.
    locate(libc::RTLD_NEXT, function).map(|(object, _)| object)
}

/// The object where the loader finds `function` from `start` on, and whether it
/// defines it or has a stub only.
fn locate(start: *mut c_void, function: &CStr) -> Option<(&'static CStr, bool)> {
    // SAFETY: the name is a C string, and `start` is one of the loader's own values.
    let address: *mut c_void = unsafe { libc::dlsym(start, function.as_ptr()) };
    let mut info = libc::Dl_info {
        dli_fname: core::ptr::null(),
        dli_fbase: core::ptr::null_mut(),
        dli_sname: core::ptr::null(),
        dli_saddr: core::ptr::null_mut(),
    };
    let mut entry: *const libc::Elf64_Sym = core::ptr::null();
    let into = (&raw mut entry).cast();
    // SAFETY: both places are ours to fill in; any address may be asked for.
    let known = unsafe { dladdr1(address, &raw mut info, into, RTLD_DL_SYMENT) };
    if address.is_null() || known == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader keeps the name of an object as long as it is mapped,
    // and what serves malloc is never unmapped.
    let object = unsafe { CStr::from_ptr(info.dli_fname) };
    // SAFETY: null, or an entry of a symbol table of that object.
    let entry = unsafe { entry.as_ref() };
    Some((object, entry.is_none_or(|entry| entry.st_shndx != UNDEFINED)))
}

/// `dladdr1` is to tell the entry of the symbol table.
const RTLD_DL_SYMENT: c_int = 1;
/// The section of a symbol that its object does not define.
const UNDEFINED: u16 = 0;

// The `libc` crate has only `dladdr`, which cannot tell a definition from a stub.
unsafe extern "C" {
    fn dladdr1(
        address: *const c_void,
        info: *mut libc::Dl_info,
        extra: *mut *mut c_void,
        flags: c_int,
    ) -> c_int;
}
