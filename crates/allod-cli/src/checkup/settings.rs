//! What surrounds a program: the environment, and the kernel's settings.

use std::env;
use std::fs;

use allod::config::TABLE;

use super::{Finding, good, note, problem};
use crate::library::Library;

/// The library, and what the environment tells it.
pub(crate) fn environment(findings: &mut Vec<Finding>) {
    match Library::find(None) {
        Ok(library) => good(
            findings,
            format!("the library is {}, {}", library.path.display(), library.origin.describe()),
        ),
        Err(failure) => problem(findings, failure.to_string(), "name one with --library"),
    }
    if let Some(preload) = env::var_os("LD_PRELOAD").filter(|it| !it.is_empty()) {
        note(
            findings,
            format!("LD_PRELOAD is set: {}", preload.display()),
            "`allod run` puts Allod in front of it; a malloc in another library of the list is \
             not used",
        );
    }
    if let Some(conf) = env::var_os("ALLOD_CONF") {
        let conf = conf.to_string_lossy().into_owned();
        let wrong = not_understood(&conf);
        if wrong.is_empty() {
            good(findings, format!("ALLOD_CONF is understood: {conf}"));
        }
        for part in wrong {
            let names: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
            problem(
                findings,
                format!("ALLOD_CONF: {part}"),
                format!("the form is key:value,key:value, and the keys are {}", names.join(", ")),
            );
        }
    }
}

/// The parts of `ALLOD_CONF` that the allocator passes over, with the reason.
pub(super) fn not_understood(conf: &str) -> Vec<String> {
    let parts = conf.split(',').filter(|part| !part.is_empty());
    parts.filter_map(|part| fault(part).map(|why| format!("'{part}': {why}"))).collect()
}

fn fault(part: &str) -> Option<String> {
    let Some((key, value)) = part.split_once(':') else { return Some("there is no value".into()) };
    let Some(row) = TABLE.iter().find(|row| row.name == key) else {
        return Some("no option has this name".into());
    };
    row.parse(value).is_err().then(|| {
        let words: Vec<&str> = row.words.iter().map(|word| word.0).collect();
        let words = match words.is_empty() {
            true => String::new(),
            false => format!(", or of the words {}", words.join(", ")),
        };
        format!("the value has to be of {} to {}{words}", row.min, row.max)
    })
}

/// Settings of the kernel that matter to memory and to looking at processes.
pub(crate) fn system(findings: &mut Vec<Finding>) {
    let read = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    judge(
        &Settings {
            huge_pages: read("/sys/kernel/mm/transparent_hugepage/enabled"),
            overcommit: read("/proc/sys/vm/overcommit_memory"),
            mappings: read("/proc/sys/vm/max_map_count").and_then(|text| text.parse().ok()),
            trace: read("/proc/sys/kernel/yama/ptrace_scope"),
            seccomp: super::status(std::process::id(), "Seccomp"),
        },
        findings,
    );
}

/// The settings as the kernel says them.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) huge_pages: Option<String>,
    pub(super) overcommit: Option<String>,
    pub(super) mappings: Option<u64>,
    pub(super) trace: Option<String>,
    pub(super) seccomp: Option<String>,
}

pub(super) fn judge(settings: &Settings, findings: &mut Vec<Finding>) {
    match &settings.huge_pages {
        None => note(findings, "the kernel has no transparent huge pages", ""),
        Some(text) if text.contains("[never]") => note(
            findings,
            "transparent huge pages are off: large heaps cost more time",
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        ),
        Some(_) => good(findings, "transparent huge pages can be had"),
    }
    if settings.overcommit.as_deref() == Some("2") {
        note(
            findings,
            "the kernel commits no more memory than it has (vm.overcommit_memory is 2): \
             address space that is reserved and not used may be refused",
            "sysctl vm.overcommit_memory=0, or a larger vm.overcommit_ratio",
        );
    }
    if let Some(count) = settings.mappings.filter(|&count| count < 65_530) {
        note(
            findings,
            format!(
                "a process may have {count} mappings (vm.max_map_count), which is few for many huge objects"
            ),
            "sysctl vm.max_map_count=65530",
        );
    }
    match settings.trace.as_deref() {
        None | Some("0") => good(findings, "processes of one's own can be looked at"),
        Some(scope) => note(
            findings,
            format!(
                "a process can be looked at by its parents alone, or by root (kernel.yama.ptrace_scope is {scope})"
            ),
            "sysctl kernel.yama.ptrace_scope=0, or look as root",
        ),
    }
    if settings.seccomp.as_deref() == Some("2") {
        note(
            findings,
            "this runs under a seccomp filter, as in a container: looking at processes may be refused",
            "docker: --cap-add SYS_PTRACE",
        );
    }
}
