//! `allod bench`: the same work under several allocators, side by side.
//!
//! The steps: which allocators, which loads or which program, the race, the table.
//! The loads are inside the command, which starts itself to run one of them.

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::library::Library;
use crate::loads::{self, LOADS};
use crate::program;
use crate::race::{Cell, Contender, Heat, Lap, Race, geometric_mean};
use crate::units::Bytes;
use crate::verb::{Ending, load};

/// Loads that say nothing on their own, or that time the starting of processes.
const LEFT_OUT: [&str; 4] = ["tiny", "startup", "latency", "latency-shared"];

/// Compare allocators on loads known to be hard or on a program of yours
///
/// The allocators take turns, in an order drawn anew each round. The table has the
/// middle one of the runs: CPU time (user and system) and peak resident memory of
/// Allod, and for each other allocator the ratios of its own to Allod's. Above 1
/// means that Allod is better.
#[derive(Args)]
#[command(
    override_usage = "allod bench [OPTIONS] [LOAD]...\n       allod bench [OPTIONS] -- PROGRAM [ARGS]...",
    after_long_help = AFTER,
    verbatim_doc_comment
)]
pub(crate) struct Options {
    /// The loads, by name; all that take part without being asked if none is named
    #[arg(value_name = "LOAD")]
    loads: Vec<String>,

    /// Allocators beside Allod, with commas between: system, a known name, or the
    /// path of a library [default: system and all known ones that are installed]
    #[arg(long, value_name = "NAME|PATH,...", value_delimiter = ',')]
    with: Vec<String>,

    /// Runs of each under each allocator
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// A tenth of the work and two rounds: to see how it looks
    #[arg(long)]
    quick: bool,

    /// MiB of memory that are touched before each run; 0 for none
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    warm: u32,

    /// Print every run as one JSON object
    #[arg(long)]
    json: bool,

    /// List the loads and the allocators that are known
    #[arg(long)]
    list: bool,

    /// Another liballod.so than the one that `allod where` names
    #[arg(long, value_name = "PATH")]
    library: Option<PathBuf>,

    /// The program to compare the allocators on, and its arguments
    #[arg(last = true, value_names = ["PROGRAM", "ARGS"], conflicts_with = "loads")]
    command: Vec<OsString>,
}

const AFTER: &str = "\
Let the machine do nothing else meanwhile. `spread` is the widest distance between
the least and the most CPU time of a row, in percent of the middle one: smaller
differences mean nothing. A run that fails, or computes something else than the
others, is told and does not count.

What a program prints is thrown away, and it reads nothing.";

impl Options {
    pub(super) fn run(self) -> Result<Ending, Failure> {
        if self.list {
            return super::say(listing().as_bytes());
        }
        let library = Library::find(self.library.as_deref())?;
        let race = Race {
            contenders: self.contenders(&library)?,
            heats: self.heats(&library)?,
            rounds: if self.quick { self.rounds.min(2) } else { self.rounds },
            warm: self.warm()?,
        };
        let runs = race.heats.len() * race.contenders.len() * race.rounds as usize;
        let bar = bar(runs);
        let table = race.run(|heat, contender| {
            bar.inc(1);
            bar.set_message(format!("{} under {}", heat.name, contender.name));
        });
        bar.finish_and_clear();
        let text = match self.json {
            true => format!("{}\n", as_json(&race, &table)),
            false => as_text(&race, &table),
        };
        super::say(text.as_bytes())?;
        let failed = table.iter().flatten().any(|cell| !cell.failures.is_empty());
        Ok(Ending::Code(u8::from(failed)))
    }

    fn contenders(&self, library: &Library) -> Result<Vec<Contender>, Failure> {
        let mut all = vec![Contender { name: "allod".into(), library: Some(library.path.clone()) }];
        if self.with.is_empty() {
            all.push(Contender::system());
            all.extend(Contender::installed());
        }
        for word in &self.with {
            all.push(Contender::named(word).ok_or_else(|| {
                let names: Vec<_> = Contender::names().collect();
                Failure::ours(format!(
                    "no allocator {word:?}: neither a file nor one of these that is installed: {}",
                    names.join(", ")
                ))
            })?);
        }
        Ok(all)
    }

    fn heats(&self, library: &Library) -> Result<Vec<Heat>, Failure> {
        if let Some(name) = self.command.first() {
            let path = program::find(name)?;
            program::inspect(&path, library.machine)?;
            let mut command = vec![path.into_os_string()];
            command.extend(self.command.iter().skip(1).cloned());
            let name = name.to_string_lossy().into_owned();
            return Ok(vec![Heat { name, command, is_load: false }]);
        }
        let names: Vec<&str> = match self.loads.is_empty() {
            true => LOADS.iter().map(|load| load.name).filter(|n| !LEFT_OUT.contains(n)).collect(),
            false => self.loads.iter().map(String::as_str).collect(),
        };
        names.into_iter().map(|name| self.load(name)).collect()
    }

    fn load(&self, name: &str) -> Result<Heat, Failure> {
        let load = loads::find(name).ok_or_else(|| {
            Failure::ours(format!("no load {name:?}: `allod bench --list` has them all"))
        })?;
        let (short, full) = load.amounts;
        let amount = if self.quick { short } else { full };
        let command = own(&[load::NAME, load.name, &amount.to_string()])?;
        Ok(Heat { name: load.name.into(), command, is_load: true })
    }

    fn warm(&self) -> Result<Option<Vec<OsString>>, Failure> {
        match self.warm {
            0 => Ok(None),
            mib => own(&[load::NAME, load::WARM, &mib.to_string()]).map(Some),
        }
    }
}

/// This command with other arguments.
fn own(arguments: &[&str]) -> Result<Vec<OsString>, Failure> {
    let path = env::current_exe()
        .map_err(|error| Failure::ours(format!("cannot find the command itself: {error}")))?;
    Ok([path.into_os_string()].into_iter().chain(arguments.iter().map(OsString::from)).collect())
}

fn listing() -> String {
    let mut text = String::from("loads\n");
    for load in LOADS.iter().filter(|load| load.name != "tiny") {
        _ = writeln!(text, "  {:<16} {}", load.name, load.about);
    }
    text.push_str("\nallocators\n  allod            always, the first column\n");
    for name in Contender::names() {
        let found = Contender::named(name).map(|found| found.library);
        let place = match found {
            None => "not installed".to_owned(),
            Some(None) => "the C library's own".to_owned(),
            Some(Some(path)) => path.display().to_string(),
        };
        _ = writeln!(text, "  {name:<16} {place}");
    }
    text
}

fn bar(runs: usize) -> ProgressBar {
    let bar = ProgressBar::new(runs as u64);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {eta} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn cpu(lap: &Lap) -> f64 {
    lap.cpu.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "peaks are far below 2^53 bytes")]
fn peak(lap: &Lap) -> f64 {
    lap.peak as f64
}

/// The table for people.
fn as_text(race: &Race, table: &[Vec<Cell>]) -> String {
    let rounds =
        if race.rounds == 1 { "one run".to_owned() } else { format!("{} runs", race.rounds) };
    let mut text = format!(
        "CPU time and peak resident memory, the middle one of {rounds} each, taking turns.\n\
         Beside allod: ratios to it, time / memory. Above 1: allod is better.\n\n"
    );
    let wide = race.heats.iter().map(|heat| heat.name.chars().count()).max().unwrap_or(0);
    let wide = wide.clamp(14, 24);
    _ = write!(text, "{:<wide$}  {:>20}", "", "allod");
    for contender in race.contenders.iter().skip(1) {
        _ = write!(text, "  {:>12}", contender.name.chars().take(12).collect::<String>());
    }
    _ = writeln!(text, "  {:>6}", "spread");
    let mut ratios = vec![(Vec::new(), Vec::new()); race.contenders.len()];
    for (heat, cells) in race.heats.iter().zip(table) {
        let name: String = heat.name.chars().take(wide).collect();
        _ = write!(text, "{name:<wide$}  ");
        let own = cells.first().and_then(|own| Some((own.median(cpu)?, own.median(peak)?)));
        match own {
            Some((time, memory)) => {
                _ = write!(text, "{:>20}", format!("{time:.3} s {:>11}", size(memory)));
            }
            None => _ = write!(text, "{:>20}", "failed"),
        }
        for (i, cell) in cells.iter().enumerate().skip(1) {
            let shown = match (own, cell.median(cpu), cell.median(peak)) {
                (_, None, _) | (_, _, None) => "failed".to_owned(),
                (None, Some(time), Some(memory)) => format!("{time:.2} s {}", size(memory)),
                (Some((t, m)), Some(time), Some(memory)) if t > 0.0 && m > 0.0 => {
                    ratios[i].0.push(time / t);
                    ratios[i].1.push(memory / m);
                    format!("{:.2} / {:.2}", time / t, memory / m)
                }
                _ => "too short".to_owned(),
            };
            _ = write!(text, "  {shown:>12}");
        }
        let spread = cells.iter().filter_map(|cell| cell.spread(cpu)).fold(0.0, f64::max);
        _ = writeln!(text, "  {:>5.0}%", spread * 100.0);
    }
    if race.heats.len() > 1 {
        _ = write!(text, "{:<wide$}  {:>20}", "geometric mean", "");
        for (time, memory) in ratios.iter().skip(1) {
            let shown = match (geometric_mean(time), geometric_mean(memory)) {
                (Some(t), Some(m)) => format!("{t:.2} / {m:.2}"),
                _ => String::new(),
            };
            _ = write!(text, "  {shown:>12}");
        }
        text.push('\n');
    }
    for (heat, cells) in race.heats.iter().zip(table) {
        for (contender, cell) in race.contenders.iter().zip(cells) {
            for failure in &cell.failures {
                _ = writeln!(text, "{} under {}: {failure}", heat.name, contender.name);
            }
        }
    }
    text
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a peak is above zero and far below 2^53"
)]
fn size(bytes: f64) -> String {
    Bytes(bytes as u64).to_string()
}

/// Every run, for machines.
fn as_json(race: &Race, table: &[Vec<Cell>]) -> Value {
    let lap = |lap: &Lap| {
        json!({
            "cpu_seconds": lap.cpu.as_secs_f64(),
            "wall_seconds": lap.wall.as_secs_f64(),
            "peak_bytes": lap.peak,
            "page_faults": lap.faults,
        })
    };
    let cell = |(contender, cell): (&Contender, &Cell)| {
        let figures: serde_json::Map<String, Value> =
            cell.figures.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        json!({
            "allocator": contender.name,
            "library": contender.library.as_ref().map(|path| path.to_string_lossy()),
            "runs": cell.laps.iter().map(lap).collect::<Vec<_>>(),
            "figures": figures,
            "failures": cell.failures,
        })
    };
    let row = |(heat, cells): (&Heat, &Vec<Cell>)| {
        json!({
            "name": heat.name,
            "command": heat.command.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>(),
            "cells": race.contenders.iter().zip(cells).map(cell).collect::<Vec<_>>(),
        })
    };
    json!({ "rounds": race.rounds, "rows": race.heats.iter().zip(table).map(row).collect::<Vec<_>>() })
}
