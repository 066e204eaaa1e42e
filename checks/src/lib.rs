//! What the checks share: a way to call whatever `malloc` the process has, and
//! a way to run a program that may crash, hang or eat the machine.
//!
//! * [`c`]: the functions of C and C++ by name, found when the program runs, so
//!   that whatever library is preloaded answers.
//! * [`block`]: one allocation as a value, which makes most checks safe code.
//! * [`work`]: a little of everything, for checks of the surroundings.
//! * [`memory`]: what the system says about a process's memory.
//! * [`child`]: a program run with a time limit and a memory limit.
//!
//! Two programs are built on it. `probe` asks an allocator for what the
//! standards promise, `misuse` does to it what they forbid. Neither has an
//! allocator of its own, and neither knows Allod: point them at any library.
//! The package's tests run both against `liballod.so`.

pub mod c;
pub mod block;
pub mod work;
pub mod memory;
pub mod child;
