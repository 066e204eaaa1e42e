//! Processes that run on Allod, looked at from outside.
//!
//! A process shows where its tables lie, and they are copied out of its memory. It is
//! not stopped and need not help. Names that were looked up are kept, so only the first
//! look is slow.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process;

use allod_profile::raw::Dump;
use allod_profile::{Names, Profile, assemble, pprof};
use serde_json::{Value, json};

use super::Source;

/// One process.
pub(crate) struct Process {
    pid: u32,
    names: Names,
}

impl Process {
    pub(crate) fn new(pid: u32) -> Self {
        Self { pid, names: Names::new() }
    }
}

impl Source for Process {
    fn look(&mut self) -> Result<Profile, String> {
        let dump = Dump::of_process(self.pid).map_err(|error| error.to_string())?;
        Ok(assemble::with_names(&dump, &mut self.names, &mut |_| {}))
    }

    fn dump(&mut self) -> Result<String, String> {
        let profile = self.look()?;
        let name = Path::new(&profile.program).file_name().unwrap_or_default();
        let name = format!("allod-{}.{}.pb.gz", name.to_string_lossy(), self.pid);
        let write = || {
            let mut file = BufWriter::new(File::create(&name)?);
            pprof::write(&profile, &mut file)?;
            file.flush()
        };
        write().map_err(|error| format!("{name}: {error}"))?;
        Ok(name)
    }
}

/// A process in the list of those that can be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) pid: u32,
    pub(crate) name: String,
    pub(crate) elapsed: u64,
    pub(crate) live: u64,
    pub(crate) resident: u64,
}

impl Listed {
    pub(crate) fn json(&self) -> Value {
        json!({
            "pid": self.pid,
            "program": self.name,
            "elapsed_ns": self.elapsed,
            "live_bytes": self.live,
            "resident_bytes": self.resident,
        })
    }
}

/// All processes on Allod that we may look at, the one that has most first.
pub(crate) fn list() -> Vec<Listed> {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let others = numbers.filter(|&pid: &u32| pid != process::id());
    let mut found: Vec<Listed> = others.filter_map(listed).collect();
    found.sort_by_key(|it| (std::cmp::Reverse(it.resident), it.pid));
    found
}

fn listed(pid: u32) -> Option<Listed> {
    // Most processes are not on Allod, and many may not be looked at.
    let dump = Dump::of_process(pid).ok()?;
    let name = Path::new(&dump.program).file_name().unwrap_or_default();
    Some(Listed {
        pid,
        name: name.to_string_lossy().into_owned(),
        elapsed: dump.header.elapsed,
        live: dump.header.live,
        resident: dump.header.resident,
    })
}
