//! Shared libraries out of other people's sources.
//!
//! A library is made again only when the command that makes it has changed: the
//! command stands beside it in a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::artifacts::{self, Sources};

/// How to compile sources that a package carries.
#[derive(Debug)]
pub(super) struct Package {
    /// The package.
    pub(super) name: &'static str,
    /// `cc` or `c++`.
    pub(super) compiler: &'static str,
    /// The directory below the package that the following are relative to.
    pub(super) root: &'static str,
    /// What to compile.
    pub(super) files: &'static [&'static str],
    /// Where headers lie.
    pub(super) headers: &'static [&'static str],
    /// Flags besides the common ones.
    pub(super) flags: &'static [&'static str],
    /// The version of the allocator itself, where a file says it.
    pub(super) version: Option<Version>,
}

/// A file that knows a version: the word after `mark`.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) file: &'static str,
    pub(super) mark: &'static str,
}

/// A static library that a package's build script makes, and how to export it.
#[derive(Debug)]
pub(super) struct Archive {
    /// The package.
    pub(super) name: &'static str,
    /// The archive in its output directory.
    pub(super) archive: &'static str,
    /// What C calls a function, and what the archive calls it. The linker gives
    /// the one the address of the other: no instruction stands between.
    pub(super) names: &'static [(&'static str, &'static str)],
}

/// Flags for every library: an optimised shared library, whose calls of malloc
/// the compiler leaves alone, with the fastest access to thread-locals.
const COMMON: [&str; 6] =
    ["-shared", "-fPIC", "-O3", "-DNDEBUG", "-fno-builtin-malloc", "-ftls-model=initial-exec"];

impl Package {
    /// The allocator's version, and the package's.
    pub(super) fn version(&self, sources: &Sources) -> Result<String> {
        let (directory, release) = sources.package(self.name)?;
        Ok(match &self.version {
            Some(version) => {
                let version = version.read(&directory.join(self.root))?;
                format!("{version} ({} {release})", self.name)
            }
            None => format!("{release} ({})", self.name),
        })
    }

    /// Compiles the library, unless the same command has done so before.
    pub(super) fn compile(&self, name: &str, sources: &Sources) -> Result<(String, PathBuf)> {
        let root = sources.package(self.name)?.0.join(self.root);
        let version = self.version(sources)?;
        let built = sources.target.join("peers");
        fs::create_dir_all(&built)?;
        let library = built.join(format!("lib{name}.so"));
        let mut command = Command::new(self.compiler);
        command.args(COMMON).args(self.flags);
        command.args(self.headers.iter().map(|path| format!("-I{}", root.join(path).display())));
        command.args(self.files.iter().map(|path| root.join(path)));
        command.args(["-o".as_ref(), library.as_os_str()]);
        command.args(["-pthread", "-latomic"]);

        run_unless_same(command, &built, name, &version)?;
        Ok((version, library))
    }
}

impl Version {
    /// The first word after the mark. A number such as 30302 is 3.3.2.
    fn read(&self, root: &Path) -> Result<String> {
        let file = root.join(self.file);
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let after = text.split_once(self.mark).map(|(_, after)| after);
        let word = after.and_then(|after| after.split_ascii_whitespace().next());
        let word = word.with_context(|| format!("{} names no version", file.display()))?;
        Ok(match word.parse::<u32>() {
            Ok(number) => format!("{}.{}.{}", number / 10_000, number / 100 % 100, number % 100),
            Err(_) => word.to_string(),
        })
    }
}

impl Archive {
    /// Builds the archive and links a library that exports all of `names`.
    pub(super) fn link(&self, name: &str, sources: &Sources) -> Result<(String, PathBuf)> {
        let version = format!("{} ({})", sources.package(self.name)?.1, self.name);
        let archive = artifacts::build_archive(self.name)?.join(self.archive);
        let built = sources.target.join("peers");
        fs::create_dir_all(&built)?;
        let library = built.join(format!("lib{name}.so"));
        let mut command = Command::new("c++");
        command.args(["-shared", "-Wl,--whole-archive"]).arg(archive);
        command.args(["-Wl,--no-whole-archive", "-static-libstdc++", "-static-libgcc"]);
        command.args(self.names.iter().map(|(c, own)| format!("-Wl,--defsym={c}={own}")));
        command.args(["-pthread", "-o"]).arg(&library);
        run_unless_same(command, &built, name, &version)?;
        Ok((version, library))
    }
}

/// Runs a compiler, unless the library is there and the same command made it.
fn run_unless_same(mut command: Command, built: &Path, name: &str, version: &str) -> Result<()> {
    let recipe = built.join(format!("lib{name}.recipe"));
    let text = format!("{command:?}");
    let there = built.join(format!("lib{name}.so")).exists();
    if there && fs::read_to_string(&recipe).is_ok_and(|old| old == text) {
        return Ok(());
    }
    eprintln!("compiling {name} {version}");
    let output = command.output().context("cannot start the compiler")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(fs::write(recipe, text)?)
}
