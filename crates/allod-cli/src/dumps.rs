//! What programs write at their end, and the profiles that are left of it.
//!
//! A program on Allod writes a heap dump when it ends, if `ALLOD_CONF` asks for it: a
//! file with addresses in the directory that `ALLOD_DUMP` names. `allod run` asks for
//! it, makes that directory, and when the program has ended looks up the names and
//! leaves a profile:
//!
//! ```text
//!   program --at exit--> TEMPORARY/allod-server.4242.heap
//!                             |  names
//!                             v
//!                        ./allod-server.4242.pb.gz
//! ```
//!
//! What the caller says in `ALLOD_CONF` comes behind ours and wins. If the caller has
//! set `ALLOD_DUMP`, dumps go there and stay there, and the profile is made all the same.
//!
//! A program that is ended by a signal writes nothing, unless it was told to write at
//! each new peak: then the last of these is what there is. Otherwise it is the last look
//! at its memory (`looks.rs`).

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, SystemTime};

use allod::config::TABLE;
use allod::dump::MAGIC;
use allod_profile::{Dump, Profile, pprof};
use nix::unistd::mkdtemp;

use crate::failure::Failure;
use crate::profile::{of_dump, profile_of};

/// The allocator's options.
pub(crate) const CONF: &str = "ALLOD_CONF";
/// Where dumps go.
const PLACE: &str = "ALLOD_DUMP";
/// Whose children alone write dumps.
const CHILD_OF: &str = "ALLOD_DUMP_CHILD_OF";
/// Mean bytes between two samples of a program that was started to be looked at.
const INTERVAL: u64 = 64 << 10;
/// How the names of dumps end.
const ENDING: &str = "heap";

/// Where the programs of one run write.
pub(crate) struct Dumps {
    place: PathBuf,
    /// Made by us, and removed with all that is in it.
    is_ours: bool,
    since: SystemTime,
    /// Asked for by the caller; nothing means as we like it.
    interval: Option<u64>,
}

/// Where a profile goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Under its own name in a directory.
    Directory(PathBuf),
    File(PathBuf),
}

/// What is left of a run.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// The program's own profile, and where it was written.
    pub(crate) program: Option<(PathBuf, Profile)>,
    /// How long before its end it was looked at, when it wrote nothing itself.
    pub(crate) before: Option<Duration>,
    /// Where those of its children were written.
    pub(crate) children: Vec<PathBuf>,
    /// What went wrong.
    pub(crate) faults: Vec<String>,
}

impl Target {
    /// What `-o` says. A directory is one that is there, or a name with a slash at its end.
    pub(crate) fn new(given: Option<&Path>) -> Self {
        match given {
            None => Self::Directory(PathBuf::from(".")),
            Some(path) if path.is_dir() || path.as_os_str().as_bytes().ends_with(b"/") => {
                Self::Directory(path.to_owned())
            }
            Some(path) => Self::File(path.to_owned()),
        }
    }

    fn path(&self, profile: &Profile) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Directory(directory) => {
                let name = match profile.name() {
                    "" => "program",
                    name => name,
                };
                let name = format!("allod-{name}.{}.pb.gz", profile.pid);
                // `./name` is what nobody would type.
                if directory == Path::new(".") { name.into() } else { directory.join(name) }
            }
        }
    }
}

impl Left {
    /// Makes a profile of a look at the program, if it has left none itself.
    pub(crate) fn look(&mut self, dump: &Dump, before: Duration, target: &Target) {
        if self.program.is_some() || !self.faults.is_empty() {
            return;
        }
        let profile = of_dump(dump);
        match written(&profile, target) {
            Ok(path) => (self.program, self.before) = (Some((path, profile)), Some(before)),
            Err(failure) => self.faults.push(failure.to_string()),
        }
    }
}

impl Dumps {
    /// Nothing, if the library that we know writes no dumps.
    pub(crate) fn new(interval: Option<u64>) -> Option<io::Result<Self>> {
        let is_offered = |name| TABLE.iter().any(|row| row.name == name);
        (is_offered("profile") && is_offered("profile_dump")).then(|| Self::make(interval))
    }

    fn make(interval: Option<u64>) -> io::Result<Self> {
        let since = SystemTime::now();
        if let Some(place) = env::var_os(PLACE).filter(|it| !it.is_empty()) {
            return Ok(Self { place: place.into(), is_ours: false, since, interval });
        }
        let place = mkdtemp(&env::temp_dir().join("allod-run-XXXXXX"))?;
        Ok(Self { place, is_ours: true, since, interval })
    }

    /// What the program's environment gets. `conf` is what the caller asks for.
    pub(crate) fn environment(
        &self,
        conf: Option<&OsStr>,
        children: bool,
    ) -> Vec<(&'static str, OsString)> {
        let conf = settings(conf.unwrap_or_default(), self.interval);
        let mut variables = vec![(CONF, conf)];
        if self.is_ours {
            variables.push((PLACE, self.place.clone().into()));
            // Dumps of children in a place of ours would be removed unread.
            if !children {
                variables.push((CHILD_OF, process::id().to_string().into()));
            }
        }
        variables
    }

    /// Makes profiles of what was written: the program's, and those of its children if
    /// they are wanted.
    pub(crate) fn leave(&self, pid: u32, children: bool, target: &Target) -> Left {
        let mut left = Left::default();
        let mut found = self.found();
        found.retain(|(process, _)| children || *process == pid);
        for (process, path) in found {
            match profile_of(&path).and_then(|profile| Ok((written(&profile, target)?, profile))) {
                Ok(whole) if process == pid => left.program = Some(whole),
                Ok((path, _)) => left.children.push(path),
                Err(failure) => left.faults.push(failure.to_string()),
            }
        }
        left
    }

    /// The last dump of each process.
    fn found(&self) -> Vec<(u32, PathBuf)> {
        let directory = match self.place.is_dir() {
            true => &*self.place,
            // The beginning of a name.
            false => self.place.parent().unwrap_or(Path::new(".")),
        };
        let mut found: Vec<(u32, SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let changed = entry.metadata().and_then(|it| it.modified());
            let changed = changed.unwrap_or(SystemTime::UNIX_EPOCH);
            let is_new = self.is_ours || changed >= self.since;
            if path.extension() != Some(OsStr::new(ENDING)) || !is_new {
                continue;
            }
            let Some(pid) = writer(&path) else { continue };
            match found.iter_mut().find(|it| it.0 == pid) {
                // Of two at the same time, the one with the larger number is the later.
                Some(last)
                    if (last.1, last.2.as_os_str().len(), &last.2)
                        < (changed, path.as_os_str().len(), &path) =>
                {
                    *last = (pid, changed, path);
                }
                Some(_) => {}
                None => found.push((pid, changed, path)),
            }
        }
        found.into_iter().map(|(pid, _, path)| (pid, path)).collect()
    }
}

impl Drop for Dumps {
    fn drop(&mut self) {
        if self.is_ours {
            _ = fs::remove_dir_all(&self.place);
        }
    }
}

/// `ALLOD_CONF` with what we want, and behind it what the caller wants.
fn settings(conf: &OsStr, interval: Option<u64>) -> OsString {
    let ours = format!("profile:{},profile_dump:exit+oom", interval.unwrap_or(INTERVAL));
    let mut parts = vec![ours.into_bytes()];
    if !conf.is_empty() {
        parts.push(conf.as_bytes().to_vec());
    }
    // What was asked for in so many words wins over the environment.
    if let Some(interval) = interval.filter(|_| !conf.is_empty()) {
        parts.push(format!("profile:{interval}").into_bytes());
    }
    OsString::from_vec(parts.join(&b','))
}

/// The process that a dump is of.
fn writer(path: &Path) -> Option<u32> {
    let mut start = [0; 16];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).ok()?;
    let (magic, rest) = start.split_first_chunk()?;
    (u64::from_ne_bytes(*magic) == MAGIC).then_some(())?;
    rest.last_chunk().map(|pid| u32::from_ne_bytes(*pid))
}

/// Writes a profile, whole or not at all.
fn written(profile: &Profile, target: &Target) -> Result<PathBuf, Failure> {
    let path = target.path(profile);
    let failed =
        |error: io::Error| Failure::ours(format!("the profile {}: {error}", path.display()));
    let mut bytes = Vec::new();
    pprof::write(profile, &mut bytes).map_err(failed)?;
    let mut file = File::create(&path).map_err(failed)?;
    file.write_all(&bytes).map_err(failed)?;
    Ok(path)
}

/// A number of bytes as people write it: `4096`, `64K`, `64KiB`, `1MiB`.
pub(crate) fn interval(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let unit: u64 = match unit {
        "" | "B" => 1,
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        _ => return Err("the units are KiB, MiB and GiB".into()),
    };
    let number: Option<u64> = digits.parse().ok();
    let bytes = number.and_then(|number| number.checked_mul(unit));
    bytes.filter(|&bytes| bytes > 0).ok_or_else(|| "not a number of bytes".into())
}

#[cfg(test)]
mod tests;
