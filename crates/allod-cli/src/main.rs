//! The command `allod`: any program on Allod, and what its memory did.
//!
//! Read downward. A room may name those below it and no other; `units`,
//! `text` and `failure` may be named by all.
//!
//! ```text
//!   main      options in, exit code out
//!   verb      a file for each verb: run, top, report, bench, export, compare, check, where
//!   race      commands that take turns under several allocators
//!   loads     what they do when no program is named
//!   screen    a running process in the terminal
//!   watch     looks at a running process, one after the other
//!   html      a profile as one HTML file
//!   json      the report for machines
//!   data      a profile for machines
//!   summary   the report for people
//!   findings  what a profile shows: places, lifetimes, growth
//!   report    what the page says, put in order
//!   checkup   why something does not work, and what to do
//!   dumps     what programs write at their end, and what is left of it
//!   profile   profiles that a user names, with a bar
//!   page      the shared page that programs report on
//!   launch    starting a program, signals, waiting, ending like it
//!   before    what the caller handed us
//!   library   which liballod.so, and the one that we carry
//!   program   finding a program, and looking whether it can run on Allod
//! ```
//!
//! The command is no allocator and has none of Allod's code in it, except the
//! layout of the page. It is an ordinary Rust program for Linux with glibc.

#[cfg(not(target_os = "linux"))]
compile_error!("the command `allod` works by LD_PRELOAD and /proc: it is for Linux");

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

mod verb;
mod race;
mod loads;
#[cfg(feature = "screen")]
mod screen;
#[cfg(feature = "screen")]
mod watch;
mod html;
mod json;
mod data;
mod summary;
mod findings;
mod report;
mod checkup;
mod dumps;
mod profile;
mod page;
mod launch;
mod before;
mod library;
mod looks;
mod program;

mod failure;
mod text;
mod units;
#[cfg(test)]
mod synthetic;

use failure::{Code, Failure};
use library::Library;
use verb::{Ending, Verb};

/// Run programs on Allod, a memory allocator, and see what their memory did
#[derive(Parser)]
#[command(name = "allod", after_help = AFTER, disable_help_subcommand = true)]
struct Command {
    /// Print the versions of the command and of its library
    #[arg(short = 'V', long)]
    version: bool,

    #[command(subcommand)]
    verb: Option<Verb>,
}

const AFTER: &str = "\
Allod takes the place of malloc in programs that know nothing of it. The loader
puts liballod.so in front of the C library, and from then on every allocation of
the program and of its children is served by Allod. Nothing is rebuilt.

Examples:
  allod run -- sort -R /etc/services      a program, and a summary at the end
  allod run --json --output m.json make   a build, and figures of each process
  allod bench -- gzip -k big.tar          a program under all allocators here
  allod compare a.pb.gz b.pb.gz           what changed between two profiles
  allod export a.pb.gz --to folded        a profile for another tool
  allod check ./server                    why there are no names, and what to do
  LD_PRELOAD=$(allod where) git status    the library alone, without a summary

Environment:
  ALLOD_CONF        options of the allocator, as key:value,key:value
  ALLOD_DUMP        set by `allod run`: where the program writes its heap dump
  ALLOD_PAGE        set by `allod run`: where the program reports its figures
  LD_PRELOAD        what is in it already is kept, behind liballod.so
  XDG_CACHE_HOME    where the carried library is put (else ~/.cache)
  NO_COLOR, CLICOLOR, CLICOLOR_FORCE      as usual

Read on: `allod run --help`, and the README of the package allod-cli, which
explains each line of the summary and each field of the JSON.";

fn main() -> ExitCode {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => {
            _ = error.print();
            // Help that was asked for is a success, and any other help is not.
            return if error.use_stderr() { code(Code::Ours) } else { ExitCode::SUCCESS };
        }
    };
    let ending = match command.verb {
        Some(verb) => verb.run(),
        None if command.version => version(),
        None => {
            complain(&Command::command().render_help().ansi());
            return code(Code::Ours);
        }
    };
    match ending {
        Ok(Ending::Code(code)) => ExitCode::from(code),
        Ok(Ending::Signal(number)) => launch::die_by(number),
        Err(failure) => {
            complain(&format_args!("allod: {failure}"));
            code(failure.code)
        }
    }
}

/// Says it on standard error, or to nobody if that is closed.
fn complain(text: &dyn std::fmt::Display) {
    _ = writeln!(anstream::stderr(), "{text}");
}

fn code(code: Code) -> ExitCode {
    ExitCode::from(code as u8)
}

/// `allod --version`.
fn version() -> Result<Ending, Failure> {
    let library = match Library::find(None) {
        Ok(library) => {
            let version = library.version.as_deref().unwrap_or("of an unnamed version");
            let origin = library.origin.describe();
            format!("liballod {version}, {origin}: {}", library.path.display())
        }
        Err(failure) => format!("liballod: {failure}"),
    };
    verb::say(format!("allod {}\n{library}\n", env!("CARGO_PKG_VERSION")).as_bytes())
}
