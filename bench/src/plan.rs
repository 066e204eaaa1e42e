//! A plan: the commands of one run, in order.
//!
//! A job makes a plan, [`crate::run`] completes it with directories and with
//! the preloaded library, and [`crate::child`] carries it out in a process of
//! its own. A plan is plain data, since it travels there as JSON.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::stats::float;
use crate::sys::Usage;

/// Which part a command plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// It runs under the allocator, its cost is counted, its answer compared.
    Subject,
    /// The same, but it serves until the other commands are done.
    Server,
    /// It prepares or drives. Nothing is preloaded and no cost is counted.
    Client,
}

/// One command.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Step {
    /// Program and arguments. No shell.
    pub(crate) argv: Vec<String>,
    /// Variables besides the common ones.
    pub(crate) env: Vec<(String, String)>,
    /// What it reads. Nothing when absent.
    pub(crate) stdin: Option<PathBuf>,
    /// Its part.
    pub(crate) role: Role,
    /// What it prints is part of the answer. Not so for timings.
    pub(crate) heard: bool,
    /// A file that a server makes when it is ready.
    pub(crate) ready: Option<PathBuf>,
}

impl Step {
    /// A command under the allocator.
    pub(crate) fn subject<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Step {
        Step {
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            stdin: None,
            role: Role::Subject,
            heard: true,
            ready: None,
        }
    }

    /// A command that only prepares or drives.
    pub(crate) fn client<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Step {
        Step { role: Role::Client, ..Step::subject(argv) }
    }

    /// A command that serves until the rest is done; `ready` is its sign.
    pub(crate) fn server<S: Into<String>>(argv: impl IntoIterator<Item = S>, ready: &str) -> Step {
        let ready = Some(PathBuf::from(ready));
        Step { role: Role::Server, heard: false, ready, ..Step::subject(argv) }
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Step {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Reads `file`.
    pub(crate) fn stdin(mut self, file: &Path) -> Step {
        self.stdin = Some(file.into());
        self
    }

    /// What it prints does not count, only how it ends.
    pub(crate) fn unheard(mut self) -> Step {
        self.heard = false;
        self
    }
}

/// All of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The commands, in order.
    pub(crate) steps: Vec<Step>,
    /// Files that are part of the answer, relative to the working directory.
    pub(crate) outputs: Vec<PathBuf>,
}

impl Plan {
    /// A plan without output files.
    pub(crate) fn of(steps: impl IntoIterator<Item = Step>) -> Plan {
        Plan { steps: steps.into_iter().collect(), outputs: Vec::new() }
    }

    /// Adds a file to the answer.
    pub(crate) fn output(mut self, file: &str) -> Plan {
        self.outputs.push(file.into());
        self
    }
}

/// A plan with everything that the child process needs to carry it out.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// What to do.
    pub(crate) plan: Plan,
    /// Where the commands run.
    pub(crate) work: PathBuf,
    /// Where what they print goes: `0.out`, `0.err`, `1.out` and so on.
    pub(crate) logs: PathBuf,
    /// Variables for every command.
    pub(crate) env: Vec<(String, String)>,
    /// Variables for subjects and servers: the allocator.
    pub(crate) allocator_env: Vec<(String, String)>,
    /// Seconds until everything is killed.
    pub(crate) limit: u64,
    /// Whether the commands may get huge pages.
    pub(crate) huge_pages: bool,
    /// Where to count the subjects' calls of the kernel about memory: this name with
    /// the step's number. Counting slows them down.
    pub(crate) calls: Option<PathBuf>,
}

/// How one command ended.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StepEnd {
    /// Its process id.
    pub(crate) pid: i32,
    /// `exit 0`, `signal 6` and the like.
    pub(crate) status: String,
}

/// What the child reports.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// One entry a command, in the plan's order.
    pub(crate) ends: Vec<StepEnd>,
    /// Cost of subjects, servers and orphans.
    pub(crate) usage: Usage,
    /// Seconds from the first command's start to the last one's end.
    pub(crate) wall: f64,
    /// Most resident bytes of all subject processes at one moment, as sampled.
    pub(crate) peak_sum: u64,
    /// The limit passed, and everything was killed.
    pub(crate) timed_out: bool,
    /// What a load of ours says of itself: memory, counts, latencies.
    pub(crate) figures: BTreeMap<String, f64>,
}

impl Report {
    /// Most resident MiB of the largest process. A load of ours knows its own; what
    /// `wait4` tells is at least the peak of the process that started it.
    pub(crate) fn peak(&self) -> f64 {
        let own = self.figures.get("peak_mib").copied();
        own.unwrap_or_else(|| float(self.usage.peak) / float(1 << 20))
    }
}
