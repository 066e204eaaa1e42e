//! What a row is, and what can come of it.

use std::path::PathBuf;

/// One promise.
#[derive(Debug)]
pub(crate) struct Row {
    /// The number on the checklist; several rows may share one.
    pub(crate) number: u8,
    /// A short name, unique.
    pub(crate) name: &'static str,
    /// What is expected, in words.
    pub(crate) expected: &'static str,
    /// Who promises it.
    pub(crate) source: &'static str,
    /// Time limit in seconds, on a machine that has nothing else to do.
    pub(crate) seconds: u32,
    /// Asks. Runs in a process of its own.
    pub(crate) check: fn(&Context) -> Outcome,
}

impl Row {
    /// A row with the usual time limit.
    pub(crate) const fn new(
        number: u8,
        name: &'static str,
        expected: &'static str,
        source: &'static str,
        check: fn(&Context) -> Outcome,
    ) -> Row {
        Row { number, name, expected, source, seconds: 30, check }
    }
}

/// What a row may know.
#[derive(Debug)]
pub(crate) struct Context {
    /// The library under test, if it is not the system's.
    pub(crate) preload: Option<PathBuf>,
    /// Run the longer form, if there is one.
    pub(crate) long: bool,
}

/// `Ok` with a remark (maybe empty), or what went wrong.
pub(crate) type Outcome = Result<Passed, String>;

/// The two ways of not failing.
#[derive(Debug)]
pub(crate) enum Passed {
    /// The promise is kept. A measured number, or nothing.
    Yes(String),
    /// It could not be asked here, for this reason.
    Skip(String),
}

/// The promise is kept, and there is nothing more to say.
pub(crate) fn pass() -> Outcome {
    Ok(Passed::Yes(String::new()))
}

/// The promise is kept; a number that may interest.
pub(crate) fn pass_with(remark: impl Into<String>) -> Outcome {
    Ok(Passed::Yes(remark.into()))
}

/// It cannot be asked here.
pub(crate) fn skip(reason: impl Into<String>) -> Outcome {
    Ok(Passed::Skip(reason.into()))
}

/// Leaves the row with words when a condition does not hold.
macro_rules! ensure {
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err(format!($($words)+));
        }
    };
}
pub(crate) use ensure;
