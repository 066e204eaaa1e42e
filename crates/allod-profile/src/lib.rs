//! What a heap dump tells, put in order for people and their tools.
//!
//! | module | what is in it |
//! |---|---|
//! | `model` | a profile: sites, stacks, names, the ledger, memory over time |
//! | `raw` | a heap dump as it is, from a file or out of a running process |
//! | `assemble` | a profile out of a dump |
//! | `names` | functions, files and lines for addresses |
//! | `trim` | which frames are the allocator's own, and which a library's |
//! | `types` | the Rust type of an allocation |
//! | `pprof` | profiles in the format of pprof, written and read |
//! | `export` | other formats |
//! | `compare` | what changed between two profiles |
//!
//! ```text
//!   dump, process --> raw --> assemble (names, trim, types) --+
//!                                                             +--> Profile --> export,
//!   .pb.gz ----------------> pprof ---------------------------+                compare
//! ```
//!
//! The crate can be a part of a server that shows its own profile: it looks at nothing
//! but what it is given, and at the files that names are in.
use std::io;

pub mod assemble;
pub mod compare;
pub mod export;
pub mod model;
pub mod names;
pub mod pprof;
pub mod raw;
pub mod trim;
mod types;

pub use model::Profile;
pub use names::{Names, Progress};
pub use raw::Dump;

/// Writes the profile of this very process as gzipped pprof, for a server that has a page
/// for it. With names, this reads the program's file and its debug information, and uses
/// memory for as long as it takes; without, whoever reads the profile needs the files.
///
/// # Errors
///
/// When `out` does not take it.
pub fn write_pprof(out: &mut impl io::Write, names: bool) -> io::Result<()> {
    let mut bytes = Vec::new();
    allod::profile::write(&mut |part| bytes.extend_from_slice(part));
    let dump = Dump::parse(&bytes).map_err(io::Error::other)?;
    let profile = match names {
        true => assemble::with_names(&dump, &mut Names::new(), &mut |_| {}),
        false => assemble::without_names(&dump),
    };
    pprof::write(&profile, out)
}

/// Reads a profile or a heap dump, with names for the dump.
///
/// # Errors
///
/// When the bytes are neither.
pub fn read(
    bytes: &[u8],
    names: &mut Names,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Profile, pprof::NoProfile> {
    if !Dump::is_one(bytes) {
        return pprof::read(bytes);
    }
    let dump = Dump::parse(bytes);
    let dump = dump.map_err(|error| pprof::NoProfile::OtherFormat(error.to_string()))?;
    Ok(assemble::with_names(&dump, names, progress))
}
