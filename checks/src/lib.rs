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
//! Four programs are built on it. `probe` asks an allocator for what the
//! standards promise, `misuse` does to it what they forbid, `attack` does that at
//! random and counts, `faults` runs programs while the system refuses memory. None
//! has an allocator of its own: point them at any library. The package's tests run
//! them against `liballod.so`.

pub mod c;
pub mod block;
pub mod work;
pub mod memory;
pub mod child;
