//! `allod run`: a program on Allod, and a summary when it has ended.
//!
//! The steps: find the program and the library, look whether the one can run on
//! the other, make the page and a place for dumps, start, wait, make a profile of the
//! dump, read the page, print. Whatever can
//! fail for a reason of ours fails before the program is started. After that
//! the program's own end is all that counts, even if the summary cannot be
//! written.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use allod::page;
use anstream::{AutoStream, ColorChoice};
use clap::Args;

use crate::dumps::{self, CONF, Dumps, Left, Target};
use crate::failure::Failure;
use crate::launch::Launch;
use crate::library::Library;
use crate::page::Page;
use crate::program;
use crate::report::{Profiled, Report};
use crate::units::Bytes;
use crate::verb::Ending;
use crate::{findings, json, summary};

/// The exit code of a program that ended well and leaked, if that is asked for.
const LEAKS: u8 = 1;
/// The loader's list of libraries to load first.
const PRELOAD: &str = "LD_PRELOAD";

/// Start a program on Allod and print a summary when it has ended
///
/// The program gets everything as it would without `allod run`: its arguments,
/// its standard streams, the terminal, signals. Its children run on Allod too.
/// The command ends as the program ends, with its exit code or by its signal.
///
/// A profile of the program is left in the working directory, under the name
/// allod-PROGRAM.PID.pb.gz. `allod report`, `allod compare` and `allod export` read
/// it, and so does any tool that reads pprof.
#[derive(Args)]
#[command(
    override_usage = "allod run [OPTIONS] -- PROGRAM [ARGS]...",
    after_long_help = AFTER,
    verbatim_doc_comment
)]
pub(crate) struct Options {
    /// Put the profile into FILE, or under its own name into DIR
    #[arg(short = 'o', long = "profile", value_name = "FILE|DIR")]
    target: Option<PathBuf>,

    /// Leave no profile
    #[arg(long, conflicts_with_all = ["target", "children", "sample"])]
    no_profile: bool,

    /// Leave a profile of each child that runs on Allod as well
    #[arg(long)]
    children: bool,

    /// Mean bytes between two samples, 64KiB unless ALLOD_CONF says otherwise
    #[arg(long, value_name = "BYTES", value_parser = dumps::interval)]
    sample: Option<u64>,

    /// List every place that only grows, with how certain that is
    #[arg(long, conflicts_with = "no_profile")]
    leaks: bool,

    /// Exit with code 1 if what only grows gained SIZE, and all else was well
    #[arg(long, value_name = "SIZE", value_parser = dumps::interval,
        conflicts_with = "no_profile")]
    fail_on_leak: Option<u64>,

    /// Options of the allocator for the program, in place of ALLOD_CONF
    #[arg(long, value_name = "KEY:VALUE,...")]
    conf: Option<OsString>,

    /// Another liballod.so than the one that `allod where` names
    #[arg(long, value_name = "PATH")]
    library: Option<PathBuf>,

    /// Write the report as one JSON object in place of the summary
    #[arg(long)]
    json: bool,

    /// Write the summary or the JSON to FILE and not to standard error
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write nothing at the end
    #[arg(long, conflicts_with_all = ["json", "output"])]
    quiet: bool,

    /// The program, looked for in PATH, and its arguments
    #[arg(required = true, trailing_var_arg = true, value_names = ["PROGRAM", "ARGS"])]
    command: Vec<OsString>,
}

const AFTER: &str = "\
Exit codes, besides the program's own:
    1  the program ended well, and --fail-on-leak has found that it leaks
  125  the command itself failed: a wrong option, no library
  126  the program cannot be executed on Allod: no permission, another machine,
       statically linked, linked against musl, set-user-ID, ...
  127  the program, its interpreter or its loader is not there

A program that a signal ends cannot write a profile. The one that is left then
is of the last look at its memory from outside, which is a second old at most;
or of its last peak, if ALLOD_CONF asks for these (profile_dump:peak).

What cannot be told: a process that changes its user, or sees another /proc,
runs on Allod and cannot report. A static program in the middle of a run keeps
its own allocator.

The fields of --json are described in the README of the package allod-cli.";

impl Options {
    pub(super) fn run(self) -> Result<Ending, Failure> {
        let library = Library::find(self.library.as_deref())?;
        let name = self.command.first().map_or(OsStr::new(""), OsString::as_os_str);
        let path = program::find(name)?;
        program::inspect(&path, library.machine)?;

        let mut sink = self.sink()?;
        let page = match &sink {
            None => None,
            Some(_) => Some(Page::new().map_err(|error| {
                Failure::ours(format!("no place for the page that programs report on: {error}"))
            })?),
        };
        let target = Target::new(self.target.as_deref());
        if self.children && matches!(target, Target::File(_)) {
            return Err(Failure::ours(
                "with --children there are several profiles: -o has to name a directory",
            ));
        }
        let dumps = match self.no_profile {
            true => None,
            false => Dumps::new(self.sample).transpose().map_err(|error| {
                Failure::ours(format!("no place for the program's heap dump: {error}"))
            })?,
        };
        let environment = self.environment(&library.path, page.as_ref(), dumps.as_ref());
        let launch =
            Launch { path: &path, command: &self.command, environment, looks: dumps.is_some() };
        let mut outcome = launch.run().map_err(|error| not_started(&path, &error))?;
        let ending = match (outcome.status.code(), outcome.status.signal()) {
            (Some(code), _) => Ending::Code(u8::try_from(code).unwrap_or(u8::MAX)),
            (None, signal) => Ending::Signal(signal.unwrap_or(0)),
        };

        let mut left = dumps.as_ref().map(|dumps| dumps.leave(outcome.pid, self.children, &target));
        let looked = outcome.looked.take();
        if let (Some(left), Some((look, before))) = (&mut left, looked) {
            left.look(&look.dump, before, &target);
        }
        let remarks = told(left.as_ref(), outcome.status.signal());
        let program = left.as_mut().and_then(|left| left.program.take());
        let leaked = program.as_ref().map(|(_, profile)| findings::leaked(profile));

        if let (Some(sink), Some(page)) = (&mut sink, &page) {
            let mut report = Report::new(self.command, outcome, page);
            report.remarks = remarks;
            let leaks = self.leaks || self.fail_on_leak.is_some();
            report.profile =
                program.map(|(path, profile)| Profiled { profile, path: Some(path), leaks });
            let text = match self.json {
                true => json::print(&report, &library),
                false => summary::print(&report, &library),
            };
            // Nobody may be there to read it. That is not the program's fault.
            _ = sink.write_all(text.as_bytes()).and_then(|()| sink.flush());
        }
        // With a summary it is said there; without one, what went wrong still is.
        for fault in left.iter().filter(|_| sink.is_none() || self.json).flat_map(|it| &it.faults) {
            _ = writeln!(io::stderr(), "allod: {fault}");
        }
        Ok(judged(ending, leaked, self.fail_on_leak))
    }

    /// Where the report goes. Nowhere, if none is wanted.
    fn sink(&self) -> Result<Option<Box<dyn Write>>, Failure> {
        if self.quiet {
            return Ok(None);
        }
        let Some(path) = &self.output else {
            let stderr = io::stderr();
            let choice = match self.json {
                true => ColorChoice::Never,
                false => AutoStream::choice(&stderr),
            };
            return Ok(Some(Box::new(AutoStream::new(stderr, choice))));
        };
        let file = File::create(path)
            .map_err(|error| Failure::ours(format!("{}: {error}", path.display())))?;
        Ok(Some(Box::new(AutoStream::never(file))))
    }

    fn environment(
        &self,
        library: &Path,
        page: Option<&Page>,
        dumps: Option<&Dumps>,
    ) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![(PRELOAD, preload(library, env::var_os(PRELOAD)))];
        if let Some(page) = page {
            variables.push((page::ENV, page.name().into()));
        }
        let inherited = env::var_os(CONF);
        match (dumps, &self.conf) {
            (Some(dumps), conf) => {
                let conf = conf.as_deref().or(inherited.as_deref());
                variables.extend(dumps.environment(conf, self.children));
            }
            (None, Some(conf)) => variables.push((CONF, conf.clone())),
            (None, None) => {}
        }
        variables
    }
}

/// What has to be said of profiles that are missing, or of more than one.
fn told(left: Option<&Left>, ended_by: Option<i32>) -> Vec<String> {
    let Some(left) = left else { return Vec::new() };
    let mut lines = left.faults.clone();
    match (&left.program, ended_by) {
        (Some(_), by) => lines.extend(left.before.map(|before| {
            let what = by.map_or("it ended".into(), |number| format!("signal {number} ended it"));
            format!("the profile is of {} ms before {what}", before.as_millis())
        })),
        (None, _) if !left.faults.is_empty() => {}
        (None, Some(number)) => lines.push(format!(
            "no profile: signal {number} ended the program before anybody had looked"
        )),
        (None, None) => lines.push("no profile: the program has not written any".into()),
    }
    match left.children.len() {
        0 => {}
        1 => lines.push("wrote a profile of a child".into()),
        number => lines.push(format!("wrote {number} profiles of its children")),
    }
    lines
}

/// How the command ends: as the program did, unless that was well and it leaked.
fn judged(ending: Ending, leaked: Option<f64>, limit: Option<u64>) -> Ending {
    let Some(limit) = limit.filter(|_| ending == Ending::Code(0)) else { return ending };
    match leaked {
        // Nobody can tell. A check that cannot be made has failed.
        None => {
            _ = writeln!(io::stderr(), "allod: no profile, so nobody can tell what leaks");
            Ending::Code(LEAKS)
        }
        Some(leaked) if leaked > 0.0 && leaked >= limit as f64 => {
            let leaked = Bytes(leaked as u64);
            let text = format!("what only grows has gained {leaked}, {} or more", Bytes(limit));
            _ = writeln!(io::stderr(), "allod: {text}");
            Ending::Code(LEAKS)
        }
        Some(_) => ending,
    }
}

/// Our library first, so that its `malloc` is the one that counts, and then
/// what the caller wants loaded.
fn preload(library: &Path, before: Option<OsString>) -> OsString {
    let library = library.as_os_str().as_bytes();
    let before = before.unwrap_or_default();
    let separator = |byte: &u8| matches!(byte, b' ' | b':');
    let others = before.as_bytes().split(separator);
    let others = others.filter(|other| !other.is_empty() && *other != library);
    let list: Vec<&[u8]> = [library].into_iter().chain(others).collect();
    OsString::from_vec(list.join(&b':'))
}

/// What only the kernel could tell us.
fn not_started(path: &Path, error: &io::Error) -> Failure {
    let text = format!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::NotFound => Failure::not_found(text),
        _ => Failure::cannot_execute(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_leak_changes_a_good_end() {
        let good = Ending::Code(0);
        let cases = [
            (good, Some(2048.0), None, good),
            (good, Some(2048.0), Some(4096), good),
            (good, Some(4096.0), Some(4096), Ending::Code(LEAKS)),
            (good, None, Some(4096), Ending::Code(LEAKS)),
            (good, Some(0.0), Some(1), good),
            (Ending::Code(7), Some(9e9), Some(1), Ending::Code(7)),
            (Ending::Signal(9), None, Some(1), Ending::Signal(9)),
        ];
        for (ending, leaked, limit, judged_) in cases {
            assert_eq!(judged(ending, leaked, limit), judged_);
        }
    }

    #[test]
    fn our_library_comes_first_and_once() {
        let table = [
            (None, "/l.so"),
            (Some(""), "/l.so"),
            (Some("/a.so:/b.so"), "/l.so:/a.so:/b.so"),
            (Some("/a.so /b.so"), "/l.so:/a.so:/b.so"),
            (Some("/a.so:/l.so"), "/l.so:/a.so"),
        ];
        for (before, after) in table {
            assert_eq!(preload(Path::new("/l.so"), before.map(OsString::from)), after);
        }
    }
}
