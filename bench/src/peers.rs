//! The allocators: where each comes from, and how to get its library.
//!
//! ```text
//!   glibc      nothing to get: nothing is preloaded
//!   allod      built from the root workspace
//!   packages   C and C++ sources that crates.io packages carry (their versions
//!              stand in bench/Cargo.lock), compiled here with the flags that
//!              their own build uses for a shared library
//!   archives   a package whose own build script makes a static library, which
//!              is linked here into a shared one
//!   debian     a library in a Debian package
//! ```
//!
//! The rows are in `peers/table.rs`; a new allocator is one more. Each row also
//! says which feature of `programs/` compiles it into the Rust programs, if
//! there is one. `peers/build.rs` compiles and links.

mod build;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::artifacts;
use crate::install;
use crate::job::Need;

use build::{Archive, Package};
pub(crate) use table::PEERS;

/// A row: one allocator.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its name on the command line and in tables.
    pub(crate) name: &'static str,
    /// Where its library comes from.
    source: Source,
    /// How the Rust programs have it compiled in, if they can.
    pub(crate) inside: Option<Inside>,
    /// Variables that it needs to work as its makers mean it.
    env: &'static [(&'static str, &'static str)],
}

/// How an allocator gets into the Rust programs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inside {
    /// The feature of `programs/`.
    pub(crate) feature: &'static str,
    /// The package that carries its code; none for glibc and Allod.
    package: Option<&'static str>,
}

/// Where a library comes from.
#[derive(Debug)]
enum Source {
    /// The C library's own.
    Glibc,
    /// This repository.
    Allod,
    /// Sources in a package from crates.io.
    Package(Package),
    /// A static library that a package from crates.io builds.
    Archive(Archive),
    /// A library in a Debian package.
    Debian(Need),
}

/// The name of the allocator that ratios refer to.
pub(crate) const BASE: &str = "mimalloc";
/// The name of ours.
pub(crate) const OURS: &str = "allod";
/// Those that are compared unless `--peers` says otherwise.
pub(crate) const DEFAULT: &[&str] = &["glibc", BASE, OURS];

/// An allocator that is ready to be preloaded.
#[derive(Debug, Clone)]
pub(crate) struct Library {
    /// The row's name.
    pub(crate) name: String,
    /// Which version, in words for a table.
    pub(crate) version: String,
    /// The file; `None` for glibc.
    pub(crate) file: Option<PathBuf>,
    /// It is Allod, so the shared page must know of every process.
    pub(crate) reports: bool,
    /// Variables for the programs that it serves.
    pub(crate) env: &'static [(&'static str, &'static str)],
}

/// The rows that `names` asks for, in the order of the table. `all` is everybody.
pub(crate) fn select(names: &[String]) -> Result<Vec<&'static Peer>> {
    for name in names {
        let known = PEERS.iter().any(|peer| peer.name == name) || name == "all";
        ensure!(known, "no allocator is called {name}; there are {}", list());
    }
    let wanted = |peer: &&Peer| names.iter().any(|name| name == peer.name || name == "all");
    Ok(PEERS.iter().filter(wanted).collect())
}

/// All names, for people.
pub(crate) fn list() -> String {
    PEERS.iter().map(|peer| peer.name).collect::<Vec<_>>().join(", ")
}

/// glibc, which is always there.
pub(crate) fn glibc() -> Library {
    let (name, version) = ("glibc".into(), install::version("libc6"));
    Library { name, version, file: None, reports: false, env: &[] }
}

/// A library that somebody built elsewhere. One that is called `liballod...` is ours.
pub(crate) fn elsewhere(file: &Path) -> Result<Library> {
    let file = fs::canonicalize(file).with_context(|| file.display().to_string())?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let reports = name.starts_with("liballod");
    Ok(Library { name, version: "as given".into(), file: Some(file), reports, env: &[] })
}

impl Peer {
    /// Builds or finds the library.
    pub(crate) fn library(&self) -> Result<Library> {
        let (version, file) = match &self.source {
            Source::Glibc => return Ok(glibc()),
            Source::Allod => (artifacts::our_version()?, artifacts::build_allod()?),
            Source::Package(package) => {
                let sources = artifacts::sources()?;
                package.compile(self.name, &sources).with_context(|| self.name)?
            }
            Source::Archive(archive) => {
                archive.link(self.name, &artifacts::sources()?).with_context(|| self.name)?
            }
            Source::Debian(need) => {
                install::ensure(&[need])?;
                (install::version(need.package), need.file.into())
            }
        };
        let reports = matches!(self.source, Source::Allod);
        let name = self.name.to_string();
        Ok(Library { name, version, file: Some(file), reports, env: self.env })
    }
}

impl Peer {
    /// The allocator as a part of a program, where no library is preloaded.
    pub(crate) fn compiled_in(&self) -> Result<Library> {
        let inside = self.inside.with_context(|| format!("{} is in no program", self.name))?;
        let sources = artifacts::program_sources(inside.feature)?;
        let version = match (&self.source, inside.package) {
            (Source::Glibc, _) => install::version("libc6"),
            (Source::Package(package), _) => package.version(&sources)?,
            (_, Some(package)) => format!("{} ({package})", sources.package(package)?.1),
            (_, None) => artifacts::our_version()?,
        };
        let reports = matches!(self.source, Source::Allod);
        Ok(Library { name: self.name.into(), version, file: None, reports, env: self.env })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_the_defaults_exist() {
        for (i, peer) in PEERS.iter().enumerate() {
            assert!(PEERS[..i].iter().all(|other| other.name != peer.name), "{}", peer.name);
        }
        let defaults: Vec<String> = DEFAULT.iter().map(ToString::to_string).collect();
        assert_eq!(select(&defaults).unwrap().len(), DEFAULT.len());
        assert_eq!(select(&["all".into()]).unwrap().len(), PEERS.len());
        assert!(select(&["nobody".into()]).is_err());
    }
}
