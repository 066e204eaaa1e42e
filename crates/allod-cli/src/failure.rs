//! Why nothing was started, in words and as an exit code.
//!
//! The codes are those of env(1) and timeout(1), so that a script that knows
//! them knows ours. A program that was started never ends here: its own code
//! goes to the caller unchanged.

use std::fmt;

/// What the command exits with when it started nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// The command itself failed: wrong options, no library.
    Ours = 125,
    /// The program is there, and cannot be executed on Allod.
    CannotExecute = 126,
    /// The program, or what it needs to start, is not there.
    NotFound = 127,
}

/// One explanation, without a full stop at the end.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    text: String,
}

impl Failure {
    pub(crate) fn ours(text: impl Into<String>) -> Self {
        Self { code: Code::Ours, text: text.into() }
    }

    pub(crate) fn cannot_execute(text: impl Into<String>) -> Self {
        Self { code: Code::CannotExecute, text: text.into() }
    }

    pub(crate) fn not_found(text: impl Into<String>) -> Self {
        Self { code: Code::NotFound, text: text.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}
