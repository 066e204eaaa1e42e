//! Profiles that a user names: a file, or a running process.
//!
//! A heap dump has addresses, and looking up names for them can take a while with
//! large programs: whoever waits for more than a second at a terminal sees a bar.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::{Duration, Instant};

use allod_profile::raw::Dump;
use allod_profile::{Names, Profile, Progress, assemble};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::Failure;

/// Nobody needs a bar for less.
const PATIENCE: Duration = Duration::from_secs(1);

/// The profile of a heap dump or a pprof file.
pub(crate) fn profile_of(path: &Path) -> Result<Profile, Failure> {
    let bytes =
        fs::read(path).map_err(|error| Failure::ours(format!("{}: {error}", path.display())))?;
    let mut bar = Bar::new();
    let profile = allod_profile::read(&bytes, &mut Names::new(), &mut |it| bar.show(it));
    profile.map_err(|error| Failure::ours(format!("{}: {error}", path.display())))
}

/// The profile of what a user named: a file, or a process by its number.
pub(crate) fn named(what: &OsStr) -> Result<Profile, Failure> {
    match process(what) {
        Some(pid) => of_process(pid),
        None => profile_of(Path::new(what)),
    }
}

/// The process that is meant, if it is not a file.
pub(crate) fn process(what: &OsStr) -> Option<u32> {
    let number = what.to_str().filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()))?;
    number.parse().ok().filter(|_| !Path::new(what).exists())
}

/// The profile of a running process.
pub(crate) fn of_process(pid: u32) -> Result<Profile, Failure> {
    let dump = Dump::of_process(pid).map_err(|error| Failure::ours(error.to_string()))?;
    Ok(of_dump(&dump))
}

/// The profile of a dump, with names.
pub(crate) fn of_dump(dump: &Dump) -> Profile {
    let mut bar = Bar::new();
    assemble::with_names(dump, &mut Names::new(), &mut |it| bar.show(it))
}

/// A bar on standard error, once it has taken long enough.
struct Bar {
    start: Instant,
    bar: Option<ProgressBar>,
}

impl Bar {
    fn new() -> Self {
        Self { start: Instant::now(), bar: None }
    }

    fn show(&mut self, progress: Progress<'_>) {
        if self.start.elapsed() < PATIENCE || !io::stderr().is_terminal() {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("names {bar:30} {pos}/{len} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        bar.set_length(progress.of as u64);
        bar.set_position(progress.done as u64);
        bar.set_message(progress.module.to_owned());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
