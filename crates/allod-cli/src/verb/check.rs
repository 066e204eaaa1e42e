//! `allod check`: why something does not work, and what to do.

use std::ffi::OsString;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde_json::json;

use super::compare::in_colour;
use crate::checkup::{self, Finding, Grade};
use crate::failure::Failure;
use crate::profile;
use crate::verb::{Ending, say};

/// Tell why a program is not on Allod or has no names, and what to do
///
/// PROGRAM is looked for in PATH. A number is a running process. A profile or a
/// heap dump is looked at for what is missing in it. Without any of these, the
/// system and the environment alone are looked at.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Exit codes: 0, 1 if something does not work, 125 if the command itself failed."
)]
pub(crate) struct Options {
    /// What to look at
    #[arg(value_name = "PROGRAM|PID|FILE")]
    what: Option<OsString>,

    /// Write the findings as one JSON object
    #[arg(long)]
    json: bool,
}

impl Options {
    pub(super) fn run(self) -> Result<Ending, Failure> {
        let mut findings = Vec::new();
        if let Some(what) = &self.what {
            match profile::process(what) {
                Some(pid) => checkup::process(pid, &mut findings),
                None if checkup::is_profile(Path::new(what)) => {
                    checkup::profile(&profile::profile_of(Path::new(what))?, &mut findings);
                }
                None => checkup::program(what, &mut findings),
            }
        }
        checkup::environment(&mut findings);
        checkup::system(&mut findings);
        let answer = match self.json {
            true => as_json(&findings),
            false => in_colour(&text(&findings)),
        };
        say(&answer)?;
        let is_wrong = findings.iter().any(|it| it.grade == Grade::Problem);
        Ok(Ending::Code(u8::from(is_wrong)))
    }
}

fn as_json(findings: &[Finding]) -> Vec<u8> {
    let finding =
        |it: &Finding| json!({ "grade": it.grade.name(), "what": it.what, "fix": it.fix });
    let findings: Vec<_> = findings.iter().map(finding).collect();
    (json!({ "schema": "allod-check/1", "findings": findings }).to_string() + "\n").into_bytes()
}

fn text(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        let (style, mark) = match finding.grade {
            Grade::Good => (AnsiColor::Green.on_default(), "ok     "),
            Grade::Note => (AnsiColor::Yellow.on_default(), "note   "),
            Grade::Problem => (AnsiColor::Red.on_default().bold(), "problem"),
        };
        let quiet = Style::new().dimmed();
        let printable = |text: &str| -> String {
            text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
        };
        out += &format!("{style}{mark}{style:#}  {}\n", printable(&finding.what));
        if !finding.fix.is_empty() {
            out += &format!("         {quiet}->{quiet:#} {}\n", printable(&finding.fix));
        }
    }
    out
}
