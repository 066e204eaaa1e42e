//! Where the repository is, and how to run a command in it.
//!
//! A [`Cmd`] prints itself before it runs, so that a log reads like a session
//! and any line of it can be typed again. Its output goes straight through;
//! [`Cmd::test`] also reads it, to count the tests that ran, because a test
//! run that finds no test says `ok` too.

use anyhow::{Context, Result, bail};
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    // Cargo sets the variable for `cargo xtask`; the constant serves whoever
    // starts the built program by hand.
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().expect("xtask stands in the repository").to_path_buf()
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    root().join(set.unwrap_or_else(|| "target".into()))
}

/// What makes the allocator's own tests fast enough to be run often, with all
/// debug assertions in: the models make millions of steps. Nine minutes under
/// emulation without it, one with it (2026-11-21).
pub(crate) const OPTIMIZED: &str = "--config profile.dev.package.allod.opt-level=2";

/// All Rust sources under `folder`, in the order of their names.
pub(crate) fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension() == Some(OsStr::new("rs")) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// One command, to be run at the root of the repository.
pub(crate) struct Cmd {
    program: OsString,
    arguments: Vec<OsString>,
    variables: Vec<(String, OsString)>,
    removed: Vec<&'static str>,
    folder: PathBuf,
}

impl Cmd {
    /// Starts with the program and its arguments, which are split at spaces.
    pub(crate) fn new(line: &str) -> Self {
        let mut words = line.split_whitespace().map(OsString::from);
        Self {
            program: words.next().expect("a command has a program"),
            arguments: words.collect(),
            variables: Vec::new(),
            removed: Vec::new(),
            folder: root(),
        }
    }

    /// Starts with a program that stands at a path, spaces included.
    pub(crate) fn at(path: &Path) -> Self {
        Self { program: path.into(), ..Self::new("-") }
    }

    /// Adds one argument as it is, spaces included.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Takes an environment variable away.
    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.removed.push(name);
        self
    }

    /// Runs in another folder than the root.
    pub(crate) fn within(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// Ends it, with everything it started, after so many seconds: a hang is a
    /// failure with a name, not a gate that never closes.
    pub(crate) fn limit(mut self, seconds: u32) -> Self {
        self.arguments.insert(0, self.program);
        self.arguments.insert(0, seconds.to_string().into());
        self.arguments.insert(0, "--kill-after=10".into());
        self.program = "timeout".into();
        self
    }

    /// The line a reader can type to do the same.
    fn spelled(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        for (name, value) in &self.variables {
            words.push(format!("{name}={}", quoted(value)));
        }
        words.push(quoted(&self.program));
        words.extend(self.arguments.iter().map(|argument| quoted(argument)));
        words.join(" ")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(&self.folder).stdin(Stdio::null());
        for name in &self.removed {
            command.env_remove(name);
        }
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        command
    }

    fn announce(&self) {
        println!("$ {}", self.spelled());
        // Our own output is buffered and the child's is not: keep the order.
        let _ = std::io::stdout().flush();
    }

    fn judge(&self, status: ExitStatus) -> Result<()> {
        if !status.success() {
            bail!("`{}`: {status}", self.spelled());
        }
        Ok(())
    }

    /// Runs it; a failure is an error.
    pub(crate) fn run(&self) -> Result<()> {
        self.announce();
        let status = self.command().status();
        self.judge(status.with_context(|| format!("cannot start `{}`", self.spelled()))?)
    }

    /// Runs it without a word and returns what it printed; a failure is an error.
    pub(crate) fn output(&self) -> Result<String> {
        let output = self.command().stderr(Stdio::inherit()).output();
        let output = output.with_context(|| format!("cannot start `{}`", self.spelled()))?;
        self.judge(output.status)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it without a word and tells whether it succeeded.
    pub(crate) fn succeeds(&self) -> bool {
        let mut command = self.command();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// The bare command, for a caller with needs of its own.
    pub(crate) fn bare(&self) -> Command {
        self.command()
    }

    /// Runs a `cargo test` and returns how many tests passed. None is an error.
    pub(crate) fn test(&self) -> Result<usize> {
        self.announce();
        let mut child = self
            .command()
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{}`", self.spelled()))?;
        let mut passed = 0;
        let output = child.stdout.take().expect("the output is piped");
        for line in BufReader::new(output).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            passed += passed_in(&line);
        }
        self.judge(child.wait()?)?;
        if passed == 0 {
            bail!("`{}`: no test ran", self.spelled());
        }
        Ok(passed)
    }
}

/// The count in a line like `test result: ok. 12 passed; 0 failed; ...`.
pub(crate) fn passed_in(line: &str) -> usize {
    let Some(rest) = line.trim().strip_prefix("test result: ok. ") else { return 0 };
    rest.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+,./:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_tests_are_counted() {
        assert_eq!(passed_in("test result: ok. 12 passed; 0 failed; 0 ignored"), 12);
        assert_eq!(passed_in("test result: FAILED. 12 passed; 1 failed"), 0);
        assert_eq!(passed_in("test ok ... ok"), 0);
    }

    #[test]
    fn a_run_without_tests_is_an_error() {
        let line = "echo test result: ok. 0 passed; 0 failed";
        assert!(Cmd::new(line).test().is_err());
        let line = "echo test result: ok. 3 passed; 0 failed";
        assert_eq!(Cmd::new(line).test().unwrap(), 3);
    }

    #[test]
    fn failures_are_errors() {
        assert!(Cmd::new("false").run().is_err());
        assert!(Cmd::new("false").output().is_err());
        assert!(!Cmd::new("false").succeeds());
        assert!(Cmd::new("no-such-program").run().is_err());
        assert!(Cmd::new("true").run().is_ok());
    }

    #[test]
    fn a_hang_ends() {
        assert!(Cmd::new("sleep 60").limit(1).run().is_err());
        assert!(Cmd::new("true").limit(60).run().is_ok());
    }

    #[test]
    fn the_spelling_can_be_typed_again() {
        let cmd = Cmd::new("cargo test").env("RUSTFLAGS", "--cfg loom").arg("it's");
        assert_eq!(cmd.spelled(), r"RUSTFLAGS='--cfg loom' cargo test 'it'\''s'");
    }
}
