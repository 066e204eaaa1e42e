//! The chip: the first instructions, the timer, the critical section, and a line
//! to the debugger, which is QEMU.

use crate::firmware;
use core::arch::asm;
use core::fmt::{self, Write};
use core::ptr;

type Handler = unsafe extern "C" fn();

/// What the chip reads at address 4 and after: where to go when. `link.ld` puts
/// the stack's end before it.
#[unsafe(link_section = ".vectors")]
#[used]
static VECTORS: [Handler; 15] = {
    let mut vectors: [Handler; 15] = [fault; 15];
    vectors[0] = reset;
    vectors[14] = tick;
    vectors
};

unsafe extern "C" {
    static mut bss_start: u32;
    static mut bss_end: u32;
}

/// # Safety
///
/// The chip alone calls it.
#[unsafe(no_mangle)]
unsafe extern "C" fn reset() {
    let (mut word, end) = (&raw mut bss_start, &raw mut bss_end);
    while word < end {
        // SAFETY: in the section, which nobody has read yet. Volatile, so that
        // it does not become a call before there is anything to call.
        unsafe { word.write_volatile(0) };
        word = word.wrapping_add(1);
    }
    firmware::run()
}

extern "C" fn tick() {
    firmware::tick();
}

extern "C" fn fault() {
    say!("the processor faulted");
    exit(false)
}

/// Registers of the timer: control, and the value it counts down from.
const CONTROL: usize = 0xE000_E010;
const RELOAD: usize = 0xE000_E014;

fn write(register: usize, value: u32) {
    let register = ptr::with_exposed_provenance_mut::<u32>(register);
    // SAFETY: one of the two registers above.
    unsafe { register.write_volatile(value) };
}

/// An interrupt every 20,000 cycles.
pub(crate) fn start_timer() {
    write(RELOAD, 20_000);
    write(CONTROL, 0b111);
}

pub(crate) fn stop_timer() {
    write(CONTROL, 0);
}

struct InterruptsOff;

critical_section::set_impl!(InterruptsOff);

// SAFETY: one core; what interrupts are off for cannot be interrupted.
unsafe impl critical_section::Impl for InterruptsOff {
    unsafe fn acquire() -> bool {
        let masked: u32;
        // SAFETY: reads the mask, then sets it; a barrier for the compiler,
        // because it may touch memory.
        unsafe { asm!("mrs {}, PRIMASK", "cpsid i", out(reg) masked, options(nostack)) };
        masked & 1 == 0
    }

    unsafe fn release(were_on: bool) {
        if were_on {
            // SAFETY: the outermost section ends; a barrier, as above.
            unsafe { asm!("cpsie i", options(nostack)) };
        }
    }
}

/// Asks the debugger for something.
fn ask(operation: u32, argument: usize) {
    // SAFETY: the debugger reads what the argument points to, and returns a
    // number in the first register.
    unsafe {
        asm!("bkpt 0xAB", inout("r0") operation => _, in("r1") argument, options(nostack));
    }
}

/// The debugger's console.
pub(crate) struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // Prints the byte at an address.
            ask(0x03, (&raw const byte).expose_provenance());
        }
        Ok(())
    }
}

/// Prints a line.
macro_rules! say {
    ($($any:tt)*) => {
        // The console never fails.
        let _ = core::fmt::Write::write_fmt(
            &mut $crate::chip::Console,
            format_args!("{}\n", format_args!($($any)*)),
        );
    };
}
pub(crate) use say;

/// Ends QEMU, with exit code 0 or 1.
pub(crate) fn exit(well: bool) -> ! {
    // "The application has exited", or "a run-time error".
    ask(0x18, if well { 0x20026 } else { 0x20023 });
    loop {
        // SAFETY: waits for an interrupt.
        unsafe { asm!("wfi", options(nomem, nostack)) };
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    say!("{info}");
    exit(false)
}
