//! What a library without the standard library must have, and never uses.
//!
//! Nothing here panics and nothing unwinds. The compiler wants a panic handler
//! all the same. The core library, as it is delivered, names a personality
//! function for unwinding; optimization leaves no trace of it, but an
//! unoptimized `liballod.so` would not load without one. Ours is weak, so a
//! program that is linked with the archive keeps its own, and hidden, so the
//! shared library does not show it.
#![allow(unsafe_code)]

use crate::text;

#[panic_handler]
fn panic(_about: &core::panic::PanicInfo<'_>) -> ! {
    // Builds that look at themselves say what they found. The others have no room for
    // the code that formats it.
    #[cfg(audit)]
    {
        let mut line = text::Text::<512>::new();
        let _ = core::fmt::Write::write_fmt(&mut line, format_args!("allod: {_about}"));
        text::write(libc::STDERR_FILENO, line.bytes());
    }
    text::die(b"allod: internal error: panic\n")
}

core::arch::global_asm!(
    ".weak rust_eh_personality",
    ".hidden rust_eh_personality",
    "rust_eh_personality:",
    // No instruction on any processor that we know: it stops there.
    ".8byte 0xffffffffffffffff",
);
