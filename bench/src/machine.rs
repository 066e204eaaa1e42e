//! What a figure is worth nothing without: the machine, the versions, the date.

use std::fs;
use std::process::Command;

use serde::Serialize;

use crate::artifacts;
use crate::install;

/// Where and when.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// The day, in UTC.
    pub(crate) date: String,
    /// The commit; a `+` behind it means that the product had other changes.
    pub(crate) commit: String,
    /// The processor's own name.
    pub(crate) cpu: String,
    /// How many processors this process may use.
    pub(crate) cpus: usize,
    /// GiB of memory.
    pub(crate) memory: u64,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// Mode of transparent huge pages.
    pub(crate) huge_pages: String,
    /// The system.
    pub(crate) system: String,
    /// The compiler of the Rust parts.
    pub(crate) rustc: String,
    /// Load average of the last minute when the measuring began.
    pub(crate) load: String,
}

impl Machine {
    /// Looks around.
    pub(crate) fn here() -> Machine {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let field = |text: &str, name: &str, separator: char| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            let value = line.split_once(separator).map_or("?", |(_, value)| value);
            value.trim().trim_matches('"').to_string()
        };
        let kib = field(&read("/proc/meminfo"), "MemTotal", ':');
        let kib: u64 = kib.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0);
        let modes = read("/sys/kernel/mm/transparent_hugepage/enabled");
        let chosen = modes.split(['[', ']']).nth(1).unwrap_or("none").to_string();
        Machine {
            date: first_line("date", &["-u", "+%Y-%m-%d"]),
            commit: artifacts::commit(),
            cpu: field(&read("/proc/cpuinfo"), "model name", ':'),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            memory: kib.div_ceil(1 << 20),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_string(),
            huge_pages: chosen,
            system: field(&read("/etc/os-release"), "PRETTY_NAME", '='),
            rustc: first_line("rustc", &["--version"]),
            load: read("/proc/loadavg").split(' ').next().unwrap_or("?").to_string(),
        }
    }
}

/// The versions of the packages that a job's programs come from.
pub(crate) fn program_versions(packages: &[&'static str]) -> Vec<(String, String)> {
    let mut packages = packages.to_vec();
    packages.sort_unstable();
    packages.dedup();
    packages.iter().map(|package| (package.to_string(), install::version(package))).collect()
}

/// The first line that a command prints, or a question mark.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.ok().and_then(|text| text.lines().next().map(Into::into)).unwrap_or_else(|| "?".into())
}
