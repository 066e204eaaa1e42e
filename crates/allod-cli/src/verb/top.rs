//! `allod top`: a running process in the terminal.

use std::io::{self, IsTerminal};
use std::time::Duration;

use allod_profile::Profile;
use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::screen::{self, State, pick};
use crate::verb::{Ending, say};
use crate::watch::Watched;
use crate::watch::process::{self, Process};
use crate::{data, profile};

/// Raised when a field changes its meaning or goes; new fields may come.
const SCHEMA: &str = "allod-top/1";

/// Watch what a running process does with its memory
///
/// The process is read from outside. It is not stopped, and need not have been started
/// by `allod run`: what it runs on is enough. Without a number there is a list of the
/// processes that can be watched.
///
/// Keys: q quit, 1 to 4 sites, types, threads, tasks, s another order, / filter,
/// Enter the stack, d write the profile to a file, p pause.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// The process
    #[arg(value_name = "PID")]
    pid: Option<u32>,

    /// Print the screen once, as text, and end
    #[arg(long)]
    once: bool,

    /// Print the figures once, as one JSON object, and end
    #[arg(long)]
    json: bool,

    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    interval: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match seconds {
        0.1..=3600.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("from 0.1 to 3600".into()),
    }
}

impl Options {
    pub(super) fn run(self) -> Result<Ending, Failure> {
        let is_live = !self.once && !self.json && io::stdout().is_terminal();
        match (self.pid, is_live) {
            (Some(pid), true) => self.watch(pid),
            (Some(pid), false) => self.look(pid),
            (None, false) => self.list(),
            (None, true) => match pick::pick().map_err(|error| unusable(&error))? {
                Some(pid) => self.watch(pid),
                None => Ok(Ending::Code(0)),
            },
        }
    }

    fn watch(&self, pid: u32) -> Result<Ending, Failure> {
        // The first look comes before the screen: what goes wrong is said plainly, and
        // names that take long have their bar.
        let first = first(pid)?;
        let source = Box::new(Process::new(pid));
        screen::run(source, first, self.interval).map_err(|error| unusable(&error))?;
        Ok(Ending::Code(0))
    }

    fn look(&self, pid: u32) -> Result<Ending, Failure> {
        let mut state = State::default();
        state.watched.see(first(pid)?);
        let text = match self.json {
            true => object(&state.watched).to_string() + "\n",
            false => {
                let (columns, rows) = screen::size();
                screen::once(&mut state, columns, rows)
            }
        };
        say(text.as_bytes())
    }

    fn list(&self) -> Result<Ending, Failure> {
        let found = process::list();
        let text = match self.json {
            true => {
                let processes: Vec<_> = found.iter().map(process::Listed::json).collect();
                json!({ "schema": SCHEMA, "processes": processes }).to_string()
            }
            false => pick::table(&found).join("\n"),
        };
        say((text + "\n").as_bytes())
    }
}

fn first(pid: u32) -> Result<Profile, Failure> {
    profile::of_process(pid)
}

fn unusable(error: &io::Error) -> Failure {
    Failure::ours(format!("the terminal: {error}"))
}

fn object(watched: &Watched) -> serde_json::Value {
    let profile = &watched.profile;
    let mut object = data::summary(profile);
    let (count, bytes) = watched.rate.unwrap_or_default();
    object["schema"] = SCHEMA.into();
    object["pid"] = profile.pid.into();
    object["program"] = profile.program.as_str().into();
    object["elapsed_ns"] = profile.elapsed.into();
    object["allocations_per_second"] = count.round().into();
    object["bytes_per_second"] = bytes.round().into();
    object
}
