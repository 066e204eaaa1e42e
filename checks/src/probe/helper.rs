//! Small programs that some rows start: this same program with `--helper NAME`.
//!
//! A helper says what it found on descriptor 1 and exits with 0, or says what
//! went wrong on descriptor 2 and exits with 1.

use crate::{limits, process, run, signals};
use allod_checks::{c, child};
use std::process::{Command, ExitCode};
use std::time::Duration;

/// Runs a helper in this process.
pub(crate) fn run(words: &[String]) -> ExitCode {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match *words.as_slice() {
        ["served"] => served(),
        ["exhaust"] => limits::exhaust(),
        ["refuse-8-gib"] => limits::refuse_8_gib(),
        ["work-without-descriptors"] => process::work_without_descriptors(),
        ["exec", depth] => process::exec_again(depth),
        ["at-exit"] => process::allocate_at_exit(),
        ["handler-allocates"] => signals::allocate_in_handler(),
        ["load", path] => process::load(path),
        ["load-others", path] => process::load_others(path),
        ["deep-bind", path] => process::bind_deeply(path),
        _ => Err(format!("there is no helper {words:?}")),
    };
    match result {
        Ok(words) => {
            println!("{words}");
            ExitCode::SUCCESS
        }
        Err(words) => {
            eprintln!("{words}");
            ExitCode::FAILURE
        }
    }
}

/// Which file serves `malloc` here?
fn served() -> Result<String, String> {
    let path = c::who_serves().ok_or("nobody")?;
    Ok(path.display().to_string())
}

/// Starts a helper with the same library that this process has, and returns
/// what it said. `change` may set limits or variables.
pub(crate) fn ask(
    words: &[&str],
    seconds: u64,
    change: impl FnOnce(&mut Command),
) -> Result<String, String> {
    let mut command = run::myself(None);
    if let Some(library) = std::env::var_os("LD_PRELOAD") {
        command.env("LD_PRELOAD", library);
    }
    change(&mut command);
    command.arg("--helper").args(words);
    ask_program(&mut command, seconds)
}

/// Runs any program, and returns what it said if it ended well.
pub(crate) fn ask_program(command: &mut Command, seconds: u64) -> Result<String, String> {
    let output =
        child::run(command, Duration::from_secs(seconds)).map_err(|error| error.to_string())?;
    if output.end == child::End::Exit(0) {
        return Ok(output.stdout.trim_end().to_owned());
    }
    let last = output.stderr.lines().last().unwrap_or_default();
    Err(format!("{}: {last}", output.end))
}
