//! `allod where`: the path of the library, for those who set `LD_PRELOAD`
//! themselves.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::Args;

use crate::failure::Failure;
use crate::library::Library;
use crate::verb::Ending;

/// Print the path of the library that would be used
///
/// The library is there when this returns, so that it can be preloaded by hand:
///
///     LD_PRELOAD=$(allod where) PROGRAM
///
/// A program that is started like this runs on Allod, and no summary is printed.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Another liballod.so, to see whether it can be used
    #[arg(long, value_name = "PATH")]
    library: Option<PathBuf>,
}

impl Options {
    pub(super) fn run(self) -> Result<Ending, Failure> {
        let library = Library::find(self.library.as_deref())?;
        if !library.is_lasting() {
            return Err(Failure::ours(
                "no directory to put the library in: set HOME or XDG_CACHE_HOME to one that \
                 you own",
            ));
        }
        let mut line = library.path.as_os_str().as_bytes().to_vec();
        line.push(b'\n');
        super::say(&line)
    }
}
