//! A job: one program with something to do, and what it needs for that.
//!
//! Jobs are rows of tables (`jobs.rs` and the files under it). A row makes its
//! inputs once, with a fixed seed, and then makes a [`Plan`] for each run.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::plan::Plan;

/// How much a job is given to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// About a second.
    Short,
    /// One to ten seconds.
    Full,
}

/// Which table of results a job belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Suite {
    /// Programs as Debian ships them.
    Programs,
    /// The field's stress loads on `malloc` and `free`, written anew.
    Stress,
    /// Loads that look for the weak places of allocators.
    Adverse,
    /// A process that does next to nothing, many times.
    Startup,
    /// How long single calls take.
    Latency,
    /// Rust programs with the allocator compiled in.
    Rust,
    /// The same programs, optimised across crates.
    RustThin,
}

impl Suite {
    /// All of them, in the order of the results.
    pub(crate) const ALL: [Suite; 7] = [
        Suite::Programs,
        Suite::Stress,
        Suite::Adverse,
        Suite::Startup,
        Suite::Latency,
        Suite::Rust,
        Suite::RustThin,
    ];

    /// Those that are measured unless somebody asks for others. The programs that are
    /// optimised across crates cost as much time again.
    pub(crate) const DEFAULT: [Suite; 6] = [
        Suite::Programs,
        Suite::Stress,
        Suite::Adverse,
        Suite::Startup,
        Suite::Latency,
        Suite::Rust,
    ];

    /// The allocator is compiled into the programs; nothing is preloaded.
    pub(crate) fn compiled_in(self) -> bool {
        matches!(self, Suite::Rust | Suite::RustThin)
    }

    /// Whose rows it runs.
    pub(crate) fn rows(self) -> Suite {
        if self == Suite::RustThin { Suite::Rust } else { self }
    }

    /// Its name on the command line and in the results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Suite::Programs => "programs",
            Suite::Stress => "stress",
            Suite::Adverse => "adverse",
            Suite::Startup => "startup",
            Suite::Latency => "latency",
            Suite::Rust => "rust",
            Suite::RustThin => "rust-thin",
        }
    }
}

/// A file that must be there, and the Debian package that brings it.
#[derive(Debug)]
pub(crate) struct Need {
    /// An absolute path.
    pub(crate) file: &'static str,
    /// The package's name.
    pub(crate) package: &'static str,
}

/// A row: one program with something to do.
#[derive(Debug)]
pub(crate) struct Job {
    /// Its name in tables and for `--only`.
    pub(crate) name: &'static str,
    /// Which table it stands in.
    pub(crate) suite: Suite,
    /// What it does, in a few words.
    pub(crate) about: &'static str,
    /// What must be installed.
    pub(crate) needs: &'static [Need],
    /// Amount of work in the short and in the full form; the unit is the job's own.
    pub(crate) sizes: (u64, u64),
    /// False for what runs by the clock or checks itself: its cost says nothing.
    pub(crate) measured: bool,
    /// The program brings an allocator. glibc must be preloaded to compare with it.
    pub(crate) own_allocator: bool,
    /// Seconds until a run is killed, in the full form.
    pub(crate) limit: u64,
    /// Makes the inputs.
    pub(crate) prepare: fn(&Place) -> Result<()>,
    /// Makes the plan of a run.
    pub(crate) plan: fn(&Place) -> Plan,
    /// What differs from run to run by right: patterns, and what stands for them.
    pub(crate) scrub: &'static [(&'static str, &'static str)],
}

/// Fields that most rows leave as they are.
pub(crate) const USUAL: Job = Job {
    name: "",
    suite: Suite::Programs,
    about: "",
    needs: &[],
    sizes: (1, 1),
    measured: true,
    own_allocator: false,
    limit: 300,
    prepare: |_| Ok(()),
    plan: |_| Plan { steps: Vec::new(), outputs: Vec::new() },
    scrub: &[],
};

/// What a row is told when it makes its inputs or its plan.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The row's own name.
    pub(crate) name: &'static str,
    /// How much to do.
    pub(crate) size: u64,
    /// Short or full.
    pub(crate) form: Form,
    /// The row's own directory of inputs. Runs only read it.
    pub(crate) inputs: PathBuf,
    /// Where our own binaries lie: `stress`, or the Rust programs.
    pub(crate) binaries: PathBuf,
}

impl Job {
    /// The row's place below `root`.
    pub(crate) fn place(&self, form: Form, root: &Path, binaries: &Path) -> Place {
        let size = match form {
            Form::Short => self.sizes.0,
            Form::Full => self.sizes.1,
        };
        let inputs = root.join(self.name);
        Place { name: self.name, size, form, inputs, binaries: binaries.into() }
    }
}

impl Place {
    /// The path of an input file.
    pub(crate) fn input(&self, file: &str) -> PathBuf {
        self.inputs.join(file)
    }

    /// The same as an argument. Our paths are all UTF-8.
    pub(crate) fn argument(&self, file: &str) -> String {
        self.input(file).display().to_string()
    }

    /// One of our own binaries, as an argument.
    pub(crate) fn binary(&self, name: &str) -> String {
        self.binaries.join(name).display().to_string()
    }
}
