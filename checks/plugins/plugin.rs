//! A library that is preloaded beside the allocator, and does in its
//! constructor what libraries do: it allocates, asks for a symbol that does
//! not exist, and registers fork handlers that allocate.
//!
//! With `PLUGIN_CRIME` set, its destructor frees what is no block.
//!
//! `plugin_report` tells 0 when all was well. A library like this one may be
//! constructed before the allocator; its handlers must then run while the
//! allocator can still serve.
//!
//! Others load it while they run. For them it frees what somebody else has allocated
//! (`plugin_frees_text`, `plugin_frees`), allocates what somebody else frees
//! (`plugin_allocates`), and calls back from a frame that only its unwind table leads
//! out of (`plugin_calls`).
#![allow(unsafe_code)]

use std::arch::naked_asm;
use std::ffi::{c_char, c_int, c_void};
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

static COMPLAINT: AtomicI32 = AtomicI32::new(1);
static KEPT: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
const SIZE: usize = 500;

#[used]
#[unsafe(link_section = ".init_array.00101")]
static CONSTRUCTOR: extern "C" fn() = construct;

#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = destruct;

/// 0, or the number of the first thing that went wrong.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_report() -> c_int {
    // ORDERING: Relaxed, written before `main`.
    let complaint = COMPLAINT.load(Ordering::Relaxed);
    // ORDERING: Relaxed, as above.
    let kept = KEPT.load(Ordering::Relaxed);
    if complaint != 0 {
        return complaint;
    }
    for place in 0..SIZE {
        // SAFETY: the block has `SIZE` bytes.
        let byte = unsafe { kept.cast::<u8>().add(place) };
        // SAFETY: inside the block, and written by the constructor.
        if unsafe { byte.read() } != 0x77 {
            return 2;
        }
    }
    0
}

unsafe extern "C" {
    fn asprintf(text: *mut *mut c_char, format: *const c_char, ...) -> c_int;
}

/// Frees what the C library has allocated for it. 0, or the number of the function
/// that allocated nothing.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_frees_text() -> c_int {
    let words = c"words that the C library makes a copy of".as_ptr();
    // SAFETY: the text ends in a zero.
    let copy = unsafe { libc::strdup(words) };
    // SAFETY: as above.
    let part = unsafe { libc::strndup(words, 9) };
    let mut printed = ptr::null_mut();
    // SAFETY: the format asks for the one text that is there, and `printed` can be written.
    unsafe { asprintf(&raw mut printed, c"the %s".as_ptr(), words) };
    // SAFETY: the path ends in a zero, and NULL asks for a block.
    let path = unsafe { libc::realpath(c"/".as_ptr(), ptr::null_mut()) };
    let texts = [copy, part, printed, path, line()];
    let missing = texts.iter().position(|text| text.is_null());
    for text in texts {
        // SAFETY: NULL, or a block that its function has left to us.
        unsafe { libc::free(black_box(text).cast()) };
    }
    missing.map_or(0, |place| place as c_int + 1)
}

/// A line of a file, or NULL.
fn line() -> *mut c_char {
    let (mut line, mut size) = (ptr::null_mut(), 0);
    // SAFETY: both texts end in a zero.
    let file = unsafe { libc::fopen(c"/proc/self/maps".as_ptr(), c"r".as_ptr()) };
    if !file.is_null() {
        // SAFETY: the file is open, and NULL asks for a block.
        unsafe { libc::getline(&raw mut line, &raw mut size, file) };
        // SAFETY: the file is open.
        unsafe { libc::fclose(file) };
    }
    line
}

/// A block for somebody else to free.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_allocates(size: usize) -> *mut c_void {
    // SAFETY: `malloc` has no conditions.
    unsafe { libc::malloc(size) }
}

/// Frees what somebody else has allocated.
///
/// # Safety
///
/// NULL, or a block that nobody else has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_frees(block: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { libc::free(block) };
}

/// Calls `callback`.
///
/// The frame pointer leads nowhere meanwhile: whoever goes up the stack needs this
/// library's unwind table, or stops here.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub extern "C" fn plugin_calls(callback: extern "C" fn()) {
    cfg_select! {
        target_arch = "x86_64" => {
            naked_asm!(
                ".cfi_startproc",
                "push rbp",
                ".cfi_def_cfa_offset 16",
                ".cfi_offset rbp, -16",
                "mov ebp, 1",
                "call rdi",
                "pop rbp",
                ".cfi_restore rbp",
                ".cfi_def_cfa_offset 8",
                "ret",
                ".cfi_endproc",
            )
        }
        _ => {
            naked_asm!(
                ".cfi_startproc",
                "stp x29, x30, [sp, #-16]!",
                ".cfi_def_cfa_offset 16",
                ".cfi_offset x29, -16",
                ".cfi_offset x30, -8",
                "mov x29, #1",
                "blr x0",
                "ldp x29, x30, [sp], #16",
                ".cfi_restore x29",
                ".cfi_restore x30",
                ".cfi_def_cfa_offset 0",
                "ret",
                ".cfi_endproc",
            )
        }
    }
}

/// Frees an address inside a block, when it is told to.
extern "C" fn destruct() {
    // SAFETY: the name ends in a zero, and no thread changes the environment now.
    if unsafe { libc::getenv(c"PLUGIN_CRIME".as_ptr()) }.is_null() {
        return;
    }
    // SAFETY: `malloc` has no conditions.
    let block = unsafe { libc::malloc(SIZE) };
    // SAFETY: it is not, on purpose.
    unsafe { libc::free(block.wrapping_byte_add(128)) };
}

extern "C" fn construct() {
    let code = if allocate_and_free() { keep() } else { 3 };
    // ORDERING: Relaxed, read in `main`, by the same thread.
    COMPLAINT.store(code, Ordering::Relaxed);
}

fn keep() -> c_int {
    // SAFETY: the name ends in a zero.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"no_such_symbol".as_ptr()) };
    // SAFETY: `dlerror` has no conditions.
    if unsafe { libc::dlerror() }.is_null() {
        return 4;
    }
    // SAFETY: the handlers are functions of this library, which stays loaded.
    if unsafe { libc::pthread_atfork(Some(handler), Some(handler), Some(handler)) } != 0 {
        return 5;
    }
    // SAFETY: `malloc` has no conditions.
    let block = unsafe { libc::malloc(SIZE) };
    if block.is_null() {
        return 6;
    }
    // SAFETY: the block has this size.
    unsafe { ptr::write_bytes(block.cast::<u8>(), 0x77, SIZE) };
    // ORDERING: Relaxed, read in `main`, by the same thread.
    KEPT.store(block, Ordering::Relaxed);
    0
}

fn allocate_and_free() -> bool {
    [1, 100, 3000, 100_000, 3 << 20].into_iter().all(|size| {
        // SAFETY: `calloc` has no conditions.
        let block = unsafe { libc::calloc(1, size) };
        if block.is_null() {
            return false;
        }
        // SAFETY: the block is live; a null result leaves it so.
        let grown = unsafe { libc::realloc(block, size * 3) };
        // SAFETY: one of the two is live.
        unsafe { libc::free(if grown.is_null() { block } else { grown }) };
        !grown.is_null()
    })
}

extern "C" fn handler() {
    if !allocate_and_free() {
        std::process::abort();
    }
}
