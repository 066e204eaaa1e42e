//! A profile: what a program's memory was made of, with names.
//!
//! A dump (`allod::dump`) or a pprof file is read into this, and everything that
//! is shown or exported is made out of it. Estimates carry their standard
//! deviation, so that nobody takes a guess for a fact.
//!
//! # Invariants
//!
//! * M1. `Site::stack` and `Site::trimmed` hold indices into `Profile::frames`, innermost first.
//! * M2. `Site::history` is as long as `Profile::history_at`.
//! * M3. `Frame::module` is an index into `Profile::modules`.

use serde::Serialize;

/// A profile.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Profile {
    /// File name of the program, with its path.
    pub program: String,
    /// Its command line.
    pub command: Vec<String>,
    /// Process id.
    pub pid: u32,
    /// Why it was written: `exit`, `signal`, `peak`, `out of memory`, `demand`.
    pub reason: String,
    /// Nanoseconds since 1970 when the allocator started.
    pub started: u64,
    /// Nanoseconds since then.
    pub elapsed: u64,
    /// Mean bytes between two samples at the end; 0: nothing was sampled.
    pub interval: u64,
    /// Samples taken, dropped, and with a stack that was not followed to its end.
    pub samples: Samples,
    /// The process's figures at the end.
    pub ledger: Ledger,
    /// The files that code ran from.
    pub modules: Vec<Module>,
    /// Every frame that some stack has.
    pub frames: Vec<Frame>,
    /// Where memory was allocated.
    pub sites: Vec<Site>,
    /// Size classes, smallest first.
    pub classes: Vec<Class>,
    /// Threads that have a heap.
    pub threads: Vec<Thread>,
    /// The figures over time, oldest first.
    pub moments: Vec<Moment>,
    /// When the points of the sites' histories were taken, in nanoseconds since the start.
    pub history_at: Vec<u64>,
    /// Spans in use and how full they are.
    pub spans: Vec<Span>,
}

impl Profile {
    /// What people call the program: by the file name of its first argument, since one
    /// file can be several programs (`redis-server` is a link to `redis-check-rdb`).
    /// Some write something else over it; its first word is the name then, without a
    /// colon. Where that is nothing, or the file's name is a part of it, by the file.
    pub fn name(&self) -> &str {
        let last = |path: &'_ str| path.rfind('/').map_or(0, |at| at + 1);
        let file = &self.program[last(&self.program)..];
        let file = file.trim_end_matches(" (deleted)");
        let argument = self.command.first().map_or("", String::as_str);
        if argument.is_empty() || (!file.is_empty() && argument.ends_with(file)) {
            return file;
        }
        let word = argument.split(char::is_whitespace).next().unwrap_or_default();
        let name = word[last(word)..].trim_start_matches('-').trim_end_matches(':');
        if name.is_empty() { file } else { name }
    }
}

/// How many samples there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Samples {
    /// Taken.
    pub taken: u64,
    /// Not kept, for want of room.
    pub dropped: u64,
    /// With an incomplete stack.
    pub truncated: u64,
}

/// The process's figures, in bytes unless said otherwise. The parts of
/// `resident`, as far as they are touched: `live`, `free_blocks`, `cached`,
/// `retained`, `metadata`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// In the program's hands, block sizes.
    pub live: u64,
    /// Of these, asked for: an estimate.
    pub requested: u64,
    /// Most live at one moment.
    pub peak_live: u64,
    /// Nanoseconds since the start when that was.
    pub peak_at: u64,
    /// Free blocks in spans.
    pub free_blocks: u64,
    /// Free blocks in threads' front lists.
    pub cached: u64,
    /// Never carved parts of spans in use.
    pub uncarved: u64,
    /// Free memory kept for the next allocation.
    pub retained: u64,
    /// Records of the allocator, the profiler's included.
    pub metadata: u64,
    /// The profiler's tables alone.
    pub profiler: u64,
    /// Bytes that have memory behind them.
    pub resident: u64,
    /// Most of them at one moment.
    pub peak_resident: u64,
    /// Address space.
    pub mapped: u64,
    /// Allocations: a count.
    pub allocations: u64,
    /// Frees by another thread than the owner: a count.
    pub remote_frees: u64,
    /// Threads with a heap: a count.
    pub threads: u32,
    /// Most of them at one moment.
    pub peak_threads: u32,
}

/// A file that code ran from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Module {
    /// File name, with its path.
    pub path: String,
    /// Build id in hexadecimal digits; empty when it has none.
    pub build_id: String,
    /// First address, and one past the last.
    pub range: (u64, u64),
    /// What is added to the file's addresses to get those of the process.
    pub bias: u64,
    /// Offset in the file of what is mapped at the first address.
    pub offset: u64,
    /// Allod's own code, and nothing else.
    pub is_allod: bool,
    /// What was found out about its names.
    pub symbols: Symbols,
}

/// How much a module's file tells about names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Symbols {
    /// Nobody has looked, or no sample fell into it.
    #[default]
    NotLooked,
    /// Functions, files and lines, inlined calls.
    Full,
    /// Names of functions alone.
    Functions,
    /// Nothing: why.
    None(String),
}

/// One frame of a stack: a function, or a function inlined into another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Frame {
    /// Program counter, in the process.
    pub address: u64,
    /// The module, if the address is in one.
    pub module: Option<usize>,
    /// Name for people, demangled; empty when it is not known.
    pub function: String,
    /// Name as the linker knows it.
    pub linkage: String,
    /// Source file; empty when it is not known.
    pub file: String,
    /// Line in it; 0 when it is not known.
    pub line: u32,
    /// Inlined into the next outer frame.
    pub inlined: bool,
}

/// All allocations from one stack, of one block size, under one label.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Site {
    /// Frames, innermost first, without Allod's own.
    pub stack: Vec<usize>,
    /// Bytes of a block.
    pub block_size: u64,
    /// Thread that allocated; 0 for several.
    pub thread: u32,
    /// Label of the task; empty for none.
    pub label: String,
    /// The Rust type that was allocated, where the names tell; empty otherwise.
    pub rust_type: String,
    /// The stack's outer end was not reached.
    pub truncated: bool,
    /// Allocated ever.
    pub allocated: Amount,
    /// Live at the end.
    pub live: Amount,
    /// Live when the process had most live.
    pub peak: Amount,
    /// Freed within a millisecond.
    pub short: Amount,
    /// Freed by another thread.
    pub remote: Amount,
    /// Bytes asked for, of what is live.
    pub requested: f64,
    /// Freed objects by lifetime: below 1 us, 4 us, 16 us, ... (`allod::dump::LIFETIMES`).
    pub lifetimes: Vec<f64>,
    /// Live bytes at the points of `Profile::history_at`.
    pub history: Vec<f64>,
    /// The allocator's own frames, which the stack is without: what comes before
    /// its first frame, innermost first.
    pub trimmed: Vec<usize>,
}

/// An estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Amount {
    /// How many.
    pub count: f64,
    /// How many bytes.
    pub bytes: f64,
    /// Variance of `bytes`: the square of its standard deviation. 0: not known, or exact.
    pub variance: f64,
}

/// One size class. Counts are blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Class {
    /// Bytes of a block.
    pub block_size: u64,
    /// Spans of the class.
    pub spans: u64,
    /// Room for blocks in them.
    pub capacity: u64,
    /// Carved so far.
    pub carved: u64,
    /// In the program's hands.
    pub in_use: u64,
    /// In threads' front lists.
    pub cached: u64,
}

/// One thread that has a heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Thread {
    /// As the kernel numbers it; 0 when it is gone.
    pub id: u64,
    /// Allocations its heap served: a count.
    pub allocations: u64,
    /// Blocks it freed for others: a count.
    pub remote_frees: u64,
    /// Bytes in its front lists.
    pub cached: u64,
}

/// The process's figures at one moment, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// Nanoseconds since the start.
    pub at: u64,
    /// In the program's hands.
    pub live: u64,
    /// With memory behind it.
    pub resident: u64,
    /// Free, kept for the next allocation.
    pub retained: u64,
}

/// One span in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Where it starts.
    pub address: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Of these, in the program's hands.
    pub in_use: u64,
    /// Bytes of a block; 0 for a large object.
    pub block_size: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_called_as_it_was_called() {
        for (program, argument, name) in [
            (
                "/usr/bin/redis-check-rdb",
                "/usr/bin/redis-server unixsocket:redis.sock",
                "redis-server",
            ),
            ("/usr/bin/python3.11", "python3", "python3"),
            ("/usr/bin/dash", "-sh", "sh"),
            ("/usr/sbin/nginx", "nginx: master process /usr/sbin/nginx", "nginx"),
            ("/usr/sbin/x", "y: z", "y"),
            ("/opt/My App/the app", "/opt/My App/the app", "the app"),
            ("/tmp/server (deleted)", "./server", "server"),
            ("/usr/bin/a", "", "a"),
            ("/usr/bin/a", "/", "a"),
            ("", "", ""),
        ] {
            let command = vec![argument.to_owned()];
            let profile = Profile { program: program.into(), command, ..Profile::default() };
            assert_eq!(profile.name(), name, "{argument}");
        }
    }
}
