//! `allod report`: a profile to be looked at.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use allod_profile::Profile;
use anstream::AutoStream;
use clap::Args;

use crate::failure::Failure;
use crate::verb::{Ending, say};
use crate::{data, html, profile, summary};

/// Make an HTML file of a profile: a flame graph, and all that it tells
///
/// FILE is a profile that `allod run` has left (.pb.gz) or a heap dump; a number is a
/// running process. The HTML file has everything in it and needs no network. With two
/// profiles it shows what changed from the first to the second.
///
///     allod report allod-server.4242.pb.gz
///     allod report before.pb.gz after.pb.gz -o change.html
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// One profile, or two to compare
    #[arg(value_name = "FILE|PID", required = true, num_args = 1..=2)]
    files: Vec<OsString>,

    /// Write to FILE; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// One screen of text in place of the HTML file
    #[arg(long, conflicts_with = "json")]
    text: bool,

    /// Everything as one JSON object in place of the HTML file
    #[arg(long)]
    json: bool,
}

impl Options {
    pub(super) fn run(self) -> Result<Ending, Failure> {
        let mut profiles = Vec::new();
        for file in &self.files {
            profiles.push(profile::named(file)?);
        }
        let (shown, before): (&Profile, Option<&Profile>) = match profiles.as_slice() {
            [one] => (one, None),
            [before, after] => (after, Some(before)),
            _ => return Err(Failure::ours("one profile, or two to compare")),
        };
        if self.text {
            return self.text(shown, before);
        }
        if self.json {
            let text = data::object(shown, before).to_string() + "\n";
            return self.put(text.as_bytes());
        }
        let text = html::print(shown, before);
        if self.output.is_some() {
            return self.put(text.as_bytes());
        }
        let last = self.files.last().map_or(OsStr::new(""), OsString::as_os_str);
        let path = beside(last);
        write(&path, text.as_bytes())?;
        say(format!("{}\n", path.display()).as_bytes())
    }

    /// The screens of both, one after the other: `allod compare` tells what changed.
    fn text(&self, shown: &Profile, before: Option<&Profile>) -> Result<Ending, Failure> {
        let mut text = String::new();
        for profile in before.into_iter().chain([shown]) {
            text.push_str(&summary::of_profile(profile));
        }
        let is_plain = self.output.is_some()
            || AutoStream::choice(&std::io::stdout()) == anstream::ColorChoice::Never;
        if is_plain {
            text = anstream::adapter::strip_str(&text).to_string();
        }
        self.put(text.as_bytes())
    }

    fn put(&self, text: &[u8]) -> Result<Ending, Failure> {
        match &self.output {
            Some(path) if path != Path::new("-") => {
                write(path, text)?;
                Ok(Ending::Code(0))
            }
            _ => say(text),
        }
    }
}

/// A name in the working directory: `allod-server.4242.html` for a profile
/// `elsewhere/allod-server.4242.pb.gz`, and `allod-4242.html` for a process.
fn beside(file: &OsStr) -> PathBuf {
    if let Some(pid) = profile::process(file) {
        return format!("allod-{pid}.html").into();
    }
    let name = Path::new(file).file_name().unwrap_or(OsStr::new("allod"));
    let name = name.to_string_lossy();
    let endings = [".pb.gz", ".pb", ".gz", ".dump"];
    let stem = endings.iter().find_map(|ending| name.strip_suffix(ending));
    format!("{}.html", stem.filter(|stem| !stem.is_empty()).unwrap_or(&name)).into()
}

fn write(path: &Path, text: &[u8]) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| Failure::ours(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_named_by_the_profile() {
        for (profile, file) in [
            ("allod-server.4242.pb.gz", "allod-server.4242.html"),
            ("/var/tmp/a.pb", "a.html"),
            ("x", "x.html"),
            (".pb.gz", ".pb.gz.html"),
        ] {
            assert_eq!(beside(OsStr::new(profile)), Path::new(file));
        }
    }
}
