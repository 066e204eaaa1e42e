//! The machine: from QEMU's entry to 64-bit mode, a serial line, two ways out,
//! and the five functions that compiled Rust expects of its surroundings.
//!
//! QEMU reads the entry's address from a note in the program (the PVH protocol)
//! and starts it in 32-bit mode, without paging. The boot code maps the first
//! GiB onto itself in steps of 2 MiB, turns on what Rust's code for x86-64 takes
//! for granted (64-bit mode, SSE), and calls `kernel`. Interrupts stay off.

use core::arch::{asm, global_asm};
use core::fmt::{self, Write};

global_asm!(
    r#"
.pushsection .note.Xen, "a", @note
    .align 4
    .long 4, 4, 18              # sizes of name and value; 18 is the 32-bit entry
    .asciz "Xen"
    .long start_in_32_bits
.popsection

.pushsection .text.boot, "ax", @progbits
.code32
.globl start_in_32_bits
start_in_32_bits:
    cli
    mov eax, offset LEVEL_3
    or  eax, 3                  # present, writable
    mov [LEVEL_4], eax
    mov eax, offset LEVEL_2
    or  eax, 3
    mov [LEVEL_3], eax
    xor ecx, ecx
1:  mov eax, ecx
    shl eax, 21
    or  eax, 0x83               # present, writable, 2 MiB
    mov [LEVEL_2 + ecx * 8], eax
    inc ecx
    cmp ecx, 512
    jne 1b
    mov eax, offset LEVEL_4
    mov cr3, eax
    mov eax, cr4
    or  eax, 0x620              # physical address extension, SSE and its faults
    mov cr4, eax
    mov ecx, 0xC0000080         # the extended features
    rdmsr
    or  eax, 0x100              # long mode
    wrmsr
    mov eax, cr0
    and eax, 0xFFFFFFFB         # no emulation of floating point
    or  eax, 0x80000003         # paging, protection
    mov cr0, eax
    lgdt [SEGMENTS_POINTER]
    ljmp 8, offset start_in_64_bits
.code64
start_in_64_bits:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov rsp, offset STACK_END
    xor ebp, ebp
    call kernel
.align 8
SEGMENTS:
    .quad 0, 0x00AF9A000000FFFF, 0x00CF92000000FFFF
SEGMENTS_POINTER:
    .word 23
    .long SEGMENTS
.popsection

.pushsection .bss.boot, "aw", @nobits
.align 4096
LEVEL_4: .zero 4096
LEVEL_3: .zero 4096
LEVEL_2: .zero 4096
    .zero 65536
STACK_END:
.popsection
"#
);

/// The serial line, which QEMU prints.
pub(crate) struct Serial;

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: the port is the serial line's, and touches no memory.
            unsafe { asm!("out dx, al", in("dx") 0x3F8, in("al") byte, options(nomem, nostack)) };
        }
        Ok(())
    }
}

/// Prints a line.
macro_rules! say {
    ($($any:tt)*) => {
        // The serial line never fails.
        let _ = core::fmt::Write::write_fmt(
            &mut $crate::machine::Serial,
            format_args!("{}\n", format_args!($($any)*)),
        );
    };
}
pub(crate) use say;

/// Ends QEMU with exit code 0.
pub(crate) fn power_off() -> ! {
    // SAFETY: the power management's port; "soft off" touches no memory.
    unsafe { asm!("out dx, ax", in("dx") 0x604, in("ax") 0x2000, options(nomem, nostack)) };
    halt()
}

/// Ends QEMU with exit code 3.
pub(crate) fn fail() -> ! {
    // SAFETY: the port of QEMU's debug device; touches no memory.
    unsafe { asm!("out dx, eax", in("dx") 0xF4, in("eax") 1, options(nomem, nostack)) };
    halt()
}

fn halt() -> ! {
    loop {
        // SAFETY: waits; interrupts are off, so forever.
        unsafe { asm!("hlt", options(nomem, nostack)) };
    }
}

/// # Safety
///
/// As in C: both hold `count` bytes, and do not overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("rep movsb", inout("rcx") count => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
    to
}

/// # Safety
///
/// As in C: both hold `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if to.addr().wrapping_sub(from.addr()) >= count {
        // SAFETY: copied upwards, no byte is overwritten before it is read.
        return unsafe { memcpy(to, from, count) };
    }
    let (last_to, last_from) = (to.wrapping_add(count - 1), from.wrapping_add(count - 1));
    // SAFETY: the caller's promise; downwards, from the last byte on.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") count => _, inout("rdi") last_to => _,
            inout("rsi") last_from => _, options(nostack));
    }
    to
}

/// # Safety
///
/// As in C: `to` holds `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: i32, count: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("rep stosb", inout("rcx") count => _, inout("rdi") to => _, in("al") value as u8,
            options(nostack, preserves_flags));
    }
    to
}

/// # Safety
///
/// As in C: both hold `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    for i in 0..count {
        // Volatile, or the compiler makes a call to `memcmp` of the loop.
        // SAFETY: the caller's promise.
        let a = unsafe { left.wrapping_add(i).read_volatile() };
        // SAFETY: the caller's promise.
        let b = unsafe { right.wrapping_add(i).read_volatile() };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
    }
    0
}

/// # Safety
///
/// As for [`memcmp`].
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { memcmp(left, right, count) }
}

// The library for this target was built to unwind, and names these. A program
// that aborts never calls them.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    fail()
}
