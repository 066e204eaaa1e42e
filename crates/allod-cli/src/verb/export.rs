//! `allod export`: a profile in the format of another tool.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use allod_profile::export::{self, Format, Value};
use allod_profile::trim;
use clap::{Args, ValueEnum};

use crate::failure::Failure;
use crate::profile;
use crate::verb::{Ending, say};

/// Write a profile in the format of another tool
///
/// FILE is a profile that `allod run` has left (.pb.gz), one of another tool, or a
/// heap dump. A number is a running process, which is read from outside and not
/// stopped.
///
///     allod export allod-server.4242.pb.gz --to folded | flamegraph.pl > f.svg
///     allod export 4242 --to speedscope -o server.json
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// A profile, a heap dump, or a running process
    #[arg(value_name = "FILE|PID")]
    what: OsString,

    /// The format
    #[arg(long, value_name = "FORMAT")]
    to: To,

    /// Write to FILE and not to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Bytes live at the end, at the peak, allocated, or freed within 1 ms
    #[arg(long, value_enum, default_value = "live")]
    value: Amount,

    /// Keep the allocator's own frames in the stacks
    #[arg(long)]
    full_stacks: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    /// Gzipped, for `go tool pprof` and most others
    Pprof,
    /// A line for each stack, for flame graphs
    Folded,
    /// JSON for speedscope.app
    Speedscope,
    /// A row for each site
    Csv,
    /// The figures of the process, without sites
    Prometheus,
    /// Everything
    Json,
}

/// The amounts of a site, as options name them.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Amount {
    Live,
    Peak,
    Allocated,
    Short,
}

impl From<Amount> for Value {
    fn from(amount: Amount) -> Self {
        match amount {
            Amount::Live => Self::Live,
            Amount::Peak => Self::Peak,
            Amount::Allocated => Self::Allocated,
            Amount::Short => Self::Short,
        }
    }
}

impl Options {
    pub(super) fn run(self) -> Result<Ending, Failure> {
        let format = match self.to {
            To::Pprof => Format::Pprof,
            To::Folded => Format::Folded,
            To::Speedscope => Format::Speedscope,
            To::Csv => Format::Csv,
            To::Prometheus => Format::Prometheus,
            To::Json => Format::Json,
        };
        if format == Format::Pprof && self.output.is_none() && io::stdout().is_terminal() {
            return Err(Failure::ours(
                "pprof is not for terminals: name a file with -o, or send it into a pipe",
            ));
        }
        let mut profile = profile::named(&self.what)?;
        if self.full_stacks {
            trim::restore(&mut profile);
        }
        let Some(path) = &self.output else {
            let mut answer = Vec::new();
            let written = export::write(&profile, format, self.value.into(), &mut answer);
            written.map_err(|error| Failure::ours(format!("the export: {error}")))?;
            return say(&answer);
        };
        let failed = |error| Failure::ours(format!("{}: {error}", path.display()));
        let mut file = BufWriter::new(File::create(path).map_err(failed)?);
        export::write(&profile, format, self.value.into(), &mut file).map_err(failed)?;
        file.flush().map_err(failed)?;
        Ok(Ending::Code(0))
    }
}
