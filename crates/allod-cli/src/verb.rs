//! The verbs: a file for each.
//!
//! A verb has its options, its help and the order of its steps. What it is made
//! of lies in the rooms below: `library`, `program`, `launch`, `page`, `report`,
//! `summary` and `json`, which know nothing of verbs.

use clap::Subcommand;

use crate::failure::Failure;

pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod export;
pub(crate) mod load;
pub(crate) mod report;
pub(crate) mod run;
#[cfg(feature = "screen")]
pub(crate) mod top;
pub(crate) mod r#where;

/// What the command can do.
#[derive(Subcommand)]
pub(crate) enum Verb {
    Run(run::Options),
    #[cfg(feature = "screen")]
    Top(top::Options),
    Report(report::Options),
    Bench(bench::Options),
    Export(export::Options),
    Compare(compare::Options),
    Check(check::Options),
    Load(load::Options),
    Where(r#where::Options),
}

/// How the command ends when all went well, or the program did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With an exit code.
    Code(u8),
    /// By a signal, as the program did.
    Signal(i32),
}

impl Verb {
    pub(crate) fn run(self) -> Result<Ending, Failure> {
        match self {
            Self::Run(options) => options.run(),
            #[cfg(feature = "screen")]
            Self::Top(options) => options.run(),
            Self::Report(options) => options.run(),
            Self::Bench(options) => options.run(),
            Self::Export(options) => options.run(),
            Self::Compare(options) => options.run(),
            Self::Check(options) => options.run(),
            Self::Load(options) => options.run(),
            Self::Where(options) => options.run(),
        }
    }
}

/// Prints the answer that a verb was asked for.
pub(crate) fn say(answer: &[u8]) -> Result<Ending, Failure> {
    use std::io::{self, Write};
    let mut out = io::stdout().lock();
    match out.write_all(answer).and_then(|()| out.flush()) {
        // A reader who has seen enough is no failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::ours(format!("standard output: {error}")))
        }
        _ => Ok(Ending::Code(0)),
    }
}
