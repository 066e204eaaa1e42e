//! What came of a trial, judged by how its process ended and what it told.
//!
//! ```text
//!   SIGABRT, SIGTRAP or SIGILL, and a line that names the mistake      named
//!   the same, with another line or none                               stopped
//!   SIGSEGV or SIGBUS in the deed's own access, on a page that is
//!     mapped and closed: somebody put it there                        guarded
//!   any other end by a signal: in the allocator, in ordinary work,
//!     or in a hole of the address space; and a hang                   crashed
//!   an ordinary end, with harm seen                                   harmed
//!   an ordinary end, and nothing was to be seen                       without effect
//! ```
//!
//! The first three count as detected, whenever the allocator noticed: at the
//! deed, later, or when the program exits. *Late* are those of them in which harm
//! came first. A crash does not count: it depends on what happens to lie there,
//! and an attacker arranges that. Nor does a misuse that was borne: the program
//! learns nothing of its fault, though no attacker gains from it either.

use super::note::{Ground, Stage};
use serde::{Deserialize, Serialize};

/// The judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    Named,
    Stopped,
    Guarded,
    Crashed,
    Harmed,
    WithoutEffect,
}

impl Verdict {
    /// True when somebody stopped the program on purpose.
    pub(crate) fn is_detected(self) -> bool {
        matches!(self, Verdict::Named | Verdict::Stopped | Verdict::Guarded)
    }
}

/// What was seen of a trial's process.
#[derive(Debug)]
pub(crate) struct Sighting {
    /// As `waitpid` tells it.
    pub(crate) status: i32,
    /// What it wrote on descriptor 2.
    pub(crate) text: String,
    pub(crate) stage: Stage,
    pub(crate) ground: Ground,
    pub(crate) harm: bool,
    pub(crate) reused: bool,
}

impl Sighting {
    fn signal(&self) -> Option<i32> {
        libc::WIFSIGNALED(self.status).then(|| libc::WTERMSIG(self.status))
    }

    /// True when it ended as a program without any fault does.
    pub(crate) fn is_clean(&self) -> bool {
        self.status == 0 && self.stage == Stage::Exit && self.text.is_empty() && !self.harm
    }

    /// The end in a few words.
    pub(crate) fn describe(&self) -> String {
        let line = self.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let end = match self.signal() {
            Some(signal) => format!("signal {signal} ({:?})", self.stage),
            None => format!("exit {} ({:?})", libc::WEXITSTATUS(self.status), self.stage),
        };
        let harm = if self.harm { ", harm" } else { "" };
        format!("{end}{harm}: {line}").trim_end_matches([' ', ':']).to_owned()
    }
}

/// Judges.
pub(crate) fn judge(seen: &Sighting, words: &[&str]) -> Verdict {
    match seen.signal() {
        Some(libc::SIGABRT | libc::SIGTRAP | libc::SIGILL) => {
            let text = seen.text.to_lowercase();
            if words.iter().any(|word| text.contains(word)) {
                Verdict::Named
            } else {
                Verdict::Stopped
            }
        }
        Some(libc::SIGSEGV | libc::SIGBUS)
            if seen.stage == Stage::Deed && seen.ground == Ground::Closed =>
        {
            Verdict::Guarded
        }
        None if seen.status == 0 && seen.stage == Stage::Exit && !seen.harm => {
            Verdict::WithoutEffect
        }
        _ if seen.harm => Verdict::Harmed,
        _ => Verdict::Crashed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(status: i32, text: &str, stage: Stage, ground: Ground, harm: bool) -> Verdict {
        let text = text.to_owned();
        judge(&Sighting { status, text, stage, ground, harm, reused: false }, &["double free"])
    }

    #[test]
    fn luck_is_not_counted() {
        use Ground::{Closed, Hole, Open};
        let (abort, fault) = (libc::SIGABRT, libc::SIGSEGV);
        assert_eq!(seen(abort, "x: Double Free", Stage::Deed, Open, false), Verdict::Named);
        assert_eq!(seen(abort, "no", Stage::Exit, Open, true), Verdict::Stopped);
        assert_eq!(seen(fault, "", Stage::Deed, Closed, false), Verdict::Guarded);
        assert_eq!(seen(fault, "", Stage::Deed, Hole, false), Verdict::Crashed);
        assert_eq!(seen(fault, "", Stage::Deed, Open, false), Verdict::Crashed);
        assert_eq!(seen(fault, "", Stage::After, Closed, false), Verdict::Crashed);
        assert_eq!(seen(fault, "", Stage::After, Open, true), Verdict::Harmed);
        assert_eq!(seen(libc::SIGALRM, "", Stage::After, Open, false), Verdict::Crashed);
        assert_eq!(seen(0, "", Stage::Exit, Open, true), Verdict::Harmed);
        assert_eq!(seen(0, "", Stage::Exit, Open, false), Verdict::WithoutEffect);
        // An exit code of its own is no ordinary end.
        assert_eq!(seen(1 << 8, "", Stage::Exit, Open, false), Verdict::Crashed);
    }

    #[test]
    fn a_control_must_be_silent() {
        let clean = |status, text: &str, stage, harm| {
            let (text, ground) = (text.to_owned(), Ground::Open);
            Sighting { status, text, stage, ground, harm, reused: false }.is_clean()
        };
        assert!(clean(0, "", Stage::Exit, false));
        assert!(!clean(0, "warning", Stage::Exit, false));
        assert!(!clean(0, "", Stage::After, false));
        assert!(!clean(0, "", Stage::Exit, true));
        assert!(!clean(6, "", Stage::Exit, false));
    }
}
