//! Why something does not work, and what to do.
//!
//! Each look at a thing yields findings: what is so, whether that is good, and what a
//! user can do about it. Nothing is started and nothing is changed.
//!
//! | look | at |
//! |---|---|
//! | `program` | whether it can be run on Allod, whose allocator it has, its names |
//! | `process` | whether it is on Allod, and if not, why; its names |
//! | `profile` | what is missing in it |
//! | `environment` | the library, `LD_PRELOAD`, `ALLOD_CONF` |
//! | `system` | settings of the kernel |

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use allod_profile::Profile;
use allod_profile::model::Symbols;
use allod_profile::names::Survey;
use allod_profile::raw::{Dump, Mapping, Refusal};

use crate::library::Library;
use crate::program::{self, MARKER, Search};

mod settings;

pub(crate) use settings::{environment, system};

/// How good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grade {
    Good,
    /// It works, and could be better.
    Note,
    Problem,
}

impl Grade {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Problem => "problem",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) grade: Grade,
    pub(crate) what: String,
    /// What to do; empty if there is nothing.
    pub(crate) fix: String,
}

fn good(findings: &mut Vec<Finding>, what: impl Into<String>) {
    findings.push(Finding { grade: Grade::Good, what: what.into(), fix: String::new() });
}

fn note(findings: &mut Vec<Finding>, what: impl Into<String>, fix: impl Into<String>) {
    findings.push(Finding { grade: Grade::Note, what: what.into(), fix: fix.into() });
}

fn problem(findings: &mut Vec<Finding>, what: impl Into<String>, fix: impl Into<String>) {
    findings.push(Finding { grade: Grade::Problem, what: what.into(), fix: fix.into() });
}

/// Whether a file is a profile or a dump, by its first bytes.
pub(crate) fn is_profile(path: &Path) -> bool {
    let mut start = [0; 8];
    let read = File::open(path).and_then(|mut file| file.read(&mut start));
    read.is_ok_and(|length| {
        let start = start.get(..length).unwrap_or_default();
        start.starts_with(b"\x1f\x8b") || start.starts_with(b"allodhd")
    })
}

/// A program that is not started.
pub(crate) fn program(name: &OsStr, findings: &mut Vec<Finding>) {
    let path = match program::find(name) {
        Ok(path) => path,
        Err(failure) => return problem(findings, failure.to_string(), "check the name and PATH"),
    };
    if let Ok(library) = Library::find(None) {
        match program::inspect(&path, library.machine) {
            Ok(()) => good(findings, format!("{}: can run on Allod", path.display())),
            Err(failure) => problem(
                findings,
                failure.to_string(),
                "a Rust program can have Allod inside (the crate `allod`); others have to be \
                 linked dynamically against glibc, and started without more rights than yours",
            ),
        }
    }
    if let Ok(path) = fs::canonicalize(&path) {
        allocator(&path, findings);
        names(&path, findings);
    }
}

/// Whose malloc it has.
fn allocator(path: &Path, findings: &mut Vec<Finding>) {
    if File::open(path).is_ok_and(|file| Search::new(MARKER).is_in(&file)) {
        return good(findings, "it has Allod inside");
    }
    let Ok(survey) = Survey::of(path) else { return };
    if !survey.own_allocator.is_empty() {
        let list = survey.own_allocator.join(", ");
        let fix = "a Rust program: replace its #[global_allocator] by allod::Allod; any other: \
                   build it with the C library's malloc (often an option of its configure)";
        let first = match survey.own_allocator_comes_first {
            true => ", which the loader takes before any library's",
            false => "",
        };
        problem(findings, format!("it has another allocator inside ({list}){first}"), fix);
    }
    let other = survey.libraries.iter().find(|name| is_other(name));
    if let Some(other) = other {
        note(
            findings,
            format!("it is linked with {other}, another allocator"),
            "malloc and free go to Allod, which is loaded first; calls by that allocator's own \
             names do not",
        );
    }
}

fn is_other(library: &str) -> bool {
    ["jemalloc", "tcmalloc", "mimalloc", "snmalloc", "hoard", "tbbmalloc"]
        .iter()
        .any(|name| library.contains(name))
}

/// What its names are worth.
fn names(path: &Path, findings: &mut Vec<Finding>) {
    let survey = match Survey::of(path) {
        Ok(survey) => survey,
        // A script has names of another kind.
        Err(why) => {
            return note(
                findings,
                format!("{}: {}", path.display(), why.split(';').next().unwrap_or(&why)),
                "its interpreter is what is profiled: check that",
            );
        }
    };
    let fetch = match survey.build_id.is_empty() {
        true => String::new(),
        false => format!(
            "; or install the debug symbols of its package, or fetch them: debuginfod-find \
             debuginfo {}",
            survey.build_id
        ),
    };
    let build = "build it with debug information: -g, or in Cargo.toml [profile.release] debug = \
                 \"line-tables-only\", and not stripped";
    if survey.has_debug {
        good(findings, "it has debug information: functions, inlined calls, lines");
    } else if survey.has_separate_debug {
        good(findings, "its debug information lies in a file of its own, which is there");
    } else if let Some(name) = &survey.missing_debug_file {
        note(
            findings,
            format!(
                "its debug information is in {name}, which is not there or is of another build; \
                 {} functions have names",
                survey.functions
            ),
            format!("{build}{fetch}"),
        );
    } else if survey.functions > 0 {
        note(
            findings,
            format!(
                "no debug information: {} functions have names, lines are not known",
                survey.functions
            ),
            format!("{build}{fetch}"),
        );
    } else {
        problem(
            findings,
            "it is stripped: neither debug information nor names of functions",
            format!("{build}{fetch}"),
        );
    }
    if survey.build_id.is_empty() {
        note(
            findings,
            "it has no build id, so nobody can tell later whether the file is still the same",
            "link it with -Wl,--build-id (Rust: RUSTFLAGS=-Clink-arg=-Wl,--build-id)",
        );
    }
    if !survey.has_unwind_tables {
        note(
            findings,
            "it has no unwind tables, so stacks are followed by frame pointers or end in it",
            "build it with -fasynchronous-unwind-tables, or with -fno-omit-frame-pointer",
        );
    }
}

/// A process that runs.
pub(crate) fn process(pid: u32, findings: &mut Vec<Finding>) {
    match Dump::of_process(pid) {
        Ok(dump) => {
            good(findings, format!("process {pid} runs on Allod, and can be looked at"));
            if dump.header.interval == 0 {
                note(
                    findings,
                    "its profiler is off, so it has no sites",
                    "start it without profile:off in ALLOD_CONF",
                );
            }
        }
        Err(Refusal::NotAllod(_)) => not_on_allod(pid, findings),
        Err(refusal) => {
            let seccomp = match status(pid, "Seccomp").as_deref() {
                Some("2") => {
                    "; it runs under seccomp, and so may we: containers often forbid \
                              process_vm_readv (docker: --cap-add SYS_PTRACE)"
                }
                _ => "",
            };
            let fix = format!("see `man ptrace`, \"Ptrace access mode checking\"{seccomp}");
            problem(findings, refusal.to_string(), fix);
            return;
        }
    }
    if let Ok(path) = fs::read_link(format!("/proc/{pid}/exe")) {
        if path.to_string_lossy().ends_with(" (deleted)") {
            note(
                findings,
                "its program file was removed or replaced since it was started",
                "look at it before it ends: the process still has the old file",
            );
        } else {
            names(&path, findings);
        }
    }
}

/// Why a running process is not on Allod.
fn not_on_allod(pid: u32, findings: &mut Vec<Finding>) {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let maps = Mapping::parse(&maps);
    let has = |part: &str| {
        maps.iter().any(|it| it.file().rsplit('/').next().is_some_and(|name| name.contains(part)))
    };
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let preload =
        environment.split(|&byte| byte == 0).find_map(|it| it.strip_prefix(b"LD_PRELOAD="));
    let asked = preload.is_some_and(|it| String::from_utf8_lossy(it).contains("allod"));
    let run = "start it with `allod run -- PROGRAM`";
    if has("liballod") {
        problem(
            findings,
            format!(
                "process {pid} has liballod.so loaded and has no heap of it: it has not \
                     allocated yet, or its malloc comes from elsewhere"
            ),
            "look at its program: `allod check PROGRAM`",
        );
    } else if asked
        && !maps.iter().any(|it| it.file().contains("ld-linux") || it.file().contains("/ld-"))
    {
        problem(
            findings,
            format!("process {pid} is statically linked, so LD_PRELOAD says nothing to it"),
            "a Rust program can have Allod inside: the crate `allod`",
        );
    } else if asked {
        problem(
            findings,
            format!(
                "process {pid} was asked to load Allod and did not: the loader found the \
                     library not, or does not listen to LD_PRELOAD in a program with more \
                     rights than its user"
            ),
            "look at its program: `allod check PROGRAM`",
        );
    } else {
        problem(findings, format!("process {pid} does not run on Allod"), run);
    }
    if let Some(other) = maps.iter().map(Mapping::file).find(|it| is_other(it)) {
        note(findings, format!("it has another allocator loaded: {other}"), run);
    }
}

/// A line of what the kernel says of a process.
fn status(pid: u32, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// A profile that is there.
pub(crate) fn profile(profile: &Profile, findings: &mut Vec<Finding>) {
    let samples = profile.samples;
    let sites = profile.sites.len();
    if sites == 0 {
        let fix = match profile.interval {
            0 => "the profiler was off: start the program without profile:off in ALLOD_CONF",
            _ => "too little was allocated to be sampled: `allod run --sample 4096` samples more",
        };
        problem(findings, "there is no site in it", fix);
    } else {
        good(findings, format!("{} samples, {sites} sites", samples.taken));
    }
    if samples.dropped > 0 {
        note(
            findings,
            format!("{} of {} samples found no room", samples.dropped, samples.taken),
            "take fewer: a larger interval (`allod run --sample`, profile:BYTES in ALLOD_CONF)",
        );
    }
    if samples.truncated * 20 > samples.taken {
        note(
            findings,
            format!("{} of {} stacks do not reach their end", samples.truncated, samples.taken),
            "build with unwind tables (-fasynchronous-unwind-tables) or frame pointers \
             (-fno-omit-frame-pointer)",
        );
    }
    for module in &profile.modules {
        let name = &module.path;
        match &module.symbols {
            Symbols::Full => good(findings, format!("{name}: functions and lines")),
            Symbols::Functions => note(
                findings,
                format!("{name}: functions without lines"),
                format!("install its debug symbols or build it with -g{}", by_id(&module.build_id)),
            ),
            Symbols::None(_) if module.is_allod => {}
            Symbols::None(why) => problem(findings, format!("{name}: no names"), why.clone()),
            Symbols::NotLooked => {}
        }
    }
}

fn by_id(build_id: &str) -> String {
    match build_id.is_empty() {
        true => String::new(),
        false => format!("; its build id is {build_id}"),
    }
}

#[cfg(test)]
mod tests;
