//! The chores of the house, behind one command: `cargo xtask <verb>`.
//!
//! A file a verb. Read them in the order of the `mod` lines: `ci` is the gate
//! and calls the others; the rest can be run alone. Nothing here is part of
//! what users build, and it has few dependencies, because it stands in the
//! path of everything we do.

mod bare;
mod ci;
mod debian;
mod golden;
mod loom;
mod mutants;
mod mutate;
mod pages;
mod sanitize;
mod sh;
mod shuttle;
mod targets;

use anyhow::{Result, bail};
use lexopt::{Arg, ValueExt};
use std::collections::BTreeMap;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <verb> [options]

  ci [--quick]              the gate: every check there is, in order
  ci STEP [--only]          the gate from a step on, or the step alone
  golden [--bless] [--show] count the instructions of the fast path
  loom                      the models of the concurrent structures
  mutate [WORD]             weaken each ordering in turn; the models must object
  mutants [WORD]            change the arithmetic; its own tests must object
  shuttle [--rounds N]      the slow paths under schedules of our choice
  soak [--minutes N]        real programs and stress on a library that checks itself
  targets                   tests and type checks for other targets
  bare                      the kit on bare metal: x86-64, Cortex-M3, wasm
  pages [--pictures]        the HTML reports in a real browser
  sanitize [NAME]           the kit's tests under `address` and `thread`, and our plays under the latter; a nightly

--quick leaves out the slow steps. --bless writes the counts down as the new
truth. --show prints the instructions that were counted. --pictures leaves
what the browser has seen in target/pages/pictures. WORD limits `mutate` and
`mutants` to the files with that word in their path.";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        // The verb has said why.
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Options that a number follows.
const NUMBERS: [&str; 3] = ["rounds", "minutes", "seed"];

/// Reads the command line and starts the verb it names. False is a failure
/// that is explained already.
fn run() -> Result<bool> {
    let mut verb = None;
    let mut words = Vec::new();
    let mut flags = Vec::new();
    let mut numbers = BTreeMap::new();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Value(value) if verb.is_none() => {
                verb = Some(value.to_string_lossy().into_owned())
            }
            Arg::Value(value) => words.push(value.to_string_lossy().into_owned()),
            Arg::Long("help") | Arg::Short('h') => {
                println!("{USAGE}");
                return Ok(true);
            }
            Arg::Long(flag) => {
                let flag = flag.to_owned();
                if NUMBERS.contains(&flag.as_str()) {
                    numbers.insert(flag.clone(), arguments.value()?.parse::<u32>()?);
                }
                flags.push(flag);
            }
            Arg::Short(_) => return Err(argument.unexpected().into()),
        }
    }
    let Some(verb) = verb else { bail!("which verb?\n\n{USAGE}") };
    let (known, most_words): (&[&str], usize) = match verb.as_str() {
        "ci" => (&["quick", "only"], 1),
        "golden" => (&["bless", "show"], 0),
        "mutate" | "mutants" | "sanitize" => (&[], 1),
        "pages" => (&["pictures"], 0),
        "shuttle" => (&["rounds"], 0),
        "soak" => (&["minutes", "seed"], 0),
        "bare" | "loom" | "targets" => (&[], 0),
        other => bail!("no verb `{other}`\n\n{USAGE}"),
    };
    if let Some(flag) = flags.iter().find(|flag| !known.contains(&flag.as_str())) {
        bail!("`{verb}` has no option `--{flag}`\n\n{USAGE}");
    }
    if words.len() > most_words {
        bail!("`{verb}` does not know what to do with `{}`\n\n{USAGE}", words.join(" "));
    }
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    match verb.as_str() {
        "ci" => {
            return ci::run(match words.first() {
                Some(step) if has("only") => ci::Part::Only(step),
                Some(step) => ci::Part::From(step),
                None if has("quick") => ci::Part::Quick,
                None => ci::Part::Whole,
            });
        }
        "bare" => drop(bare::run()?),
        "golden" => golden::run(has("bless"), has("show"))?,
        "loom" => drop(loom::run()?),
        "shuttle" => {
            drop(shuttle::run(numbers.get("rounds").copied().unwrap_or(shuttle::ROUNDS))?);
        }
        "soak" => {
            let minutes = numbers.get("minutes").copied().unwrap_or(30);
            let seed = numbers.get("seed").map_or(String::new(), |seed| format!(" --seed {seed}"));
            ci::bench(&format!("soak --minutes {minutes}{seed}"))?;
        }
        "pages" => drop(pages::run(has("pictures"))?),
        "sanitize" => drop(sanitize::run(words.first().map(String::as_str))?),
        "mutants" => mutants::run(words.first().map_or("", String::as_str))?,
        "mutate" => mutate::run(words.first().map_or("", String::as_str))?,
        _ => drop(targets::run()?),
    }
    Ok(true)
}
