//! The allocators: a table, one row each, and how to get their libraries.
//!
//! ```text
//!   glibc      nothing to get: nothing is preloaded
//!   allod      built from the root workspace
//!   the rest   C and C++ sources that crates.io packages carry (their versions
//!              stand in bench/Cargo.lock), compiled here with the flags that
//!              their own build uses for a shared library; or Debian's package
//! ```
//!
//! A new allocator is one more row. Each row also says which feature of
//! `programs/` compiles it into the Rust programs, if there is one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::artifacts::{self, Sources};
use crate::install;
use crate::job::Need;

/// A row: one allocator.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its name on the command line and in tables.
    pub(crate) name: &'static str,
    /// Where its library comes from.
    source: Source,
    /// The feature of the Rust programs that has it.
    pub(crate) feature: Option<&'static str>,
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
    /// A library in a Debian package.
    Debian(Need),
}

/// How to compile sources that a package carries.
#[derive(Debug)]
struct Package {
    /// The package.
    name: &'static str,
    /// `cc` or `c++`.
    compiler: &'static str,
    /// The directory below the package that the following are relative to.
    root: &'static str,
    /// What to compile.
    files: &'static [&'static str],
    /// Where headers lie.
    headers: &'static [&'static str],
    /// Flags besides the common ones.
    flags: &'static [&'static str],
    /// The version of the allocator itself, where a file says it.
    version: Option<Version>,
}

/// A file that knows a version: the word after `mark`.
#[derive(Debug)]
struct Version {
    file: &'static str,
    mark: &'static str,
}

/// Flags for every library: an optimised shared library, whose calls of malloc
/// the compiler leaves alone, with the fastest access to thread-locals.
const COMMON: [&str; 6] =
    ["-shared", "-fPIC", "-O3", "-DNDEBUG", "-fno-builtin-malloc", "-ftls-model=initial-exec"];

/// What mimalloc's own build says for a shared library that overrides malloc.
const MIMALLOC: &[&str] = &[
    "-DMI_BUILD_RELEASE",
    "-DMI_SHARED_LIB",
    "-DMI_SHARED_LIB_EXPORT",
    "-DMI_MALLOC_OVERRIDE",
    "-fvisibility=hidden",
];

/// The name of the allocator that ratios refer to.
pub(crate) const BASE: &str = "mimalloc";
/// The name of ours.
pub(crate) const OURS: &str = "allod";
/// Those that are compared unless `--peers` says otherwise.
pub(crate) const DEFAULT: &[&str] = &["glibc", BASE, OURS];

/// The table.
pub(crate) const PEERS: &[Peer] = &[
    Peer { name: "glibc", source: Source::Glibc, feature: Some("system") },
    Peer {
        name: BASE,
        source: Source::Package(Package {
            name: "libmimalloc-sys",
            compiler: "cc",
            root: "c_src/mimalloc/v3",
            files: &["src/static.c"],
            headers: &["include", "src"],
            flags: MIMALLOC,
            version: Some(Version {
                file: "include/mimalloc.h",
                mark: "#define MI_MALLOC_VERSION ",
            }),
        }),
        feature: Some("mimalloc"),
    },
    Peer { name: OURS, source: Source::Allod, feature: Some("allod") },
    Peer {
        name: "mimalloc2",
        source: Source::Package(Package {
            name: "libmimalloc-sys",
            compiler: "cc",
            root: "c_src/mimalloc/v2",
            files: &["src/static.c"],
            headers: &["include", "src"],
            flags: MIMALLOC,
            version: Some(Version {
                file: "include/mimalloc.h",
                mark: "#define MI_MALLOC_VERSION ",
            }),
        }),
        feature: None,
    },
    Peer {
        name: "snmalloc",
        source: Source::Package(Package {
            name: "snmalloc-sys",
            compiler: "c++",
            root: "upstream/src",
            files: &["snmalloc/override/malloc.cc", "snmalloc/override/new.cc"],
            headers: &["."],
            flags: &[
                "-std=c++20",
                "-mcx16",
                "-fomit-frame-pointer",
                "-fvisibility=hidden",
                "-static-libstdc++",
                "-DSNMALLOC_USE_WAIT_ON_ADDRESS=1",
                "-DSNMALLOC_EXPORT=__attribute__((visibility(\"default\")))",
            ],
            version: None,
        }),
        feature: Some("snmalloc"),
    },
    Peer {
        name: "rpmalloc",
        source: Source::Package(Package {
            name: "rpmalloc-sys",
            compiler: "cc",
            root: "rpmalloc",
            files: &["rpmalloc/rpmalloc.c"],
            headers: &["rpmalloc"],
            flags: &[
                "-D_GNU_SOURCE",
                "-DENABLE_PRELOAD=1",
                "-DENABLE_OVERRIDE=1",
                "-Wno-attributes",
            ],
            version: Some(Version { file: "CHANGELOG", mark: "" }),
        }),
        feature: None,
    },
    Peer {
        name: "jemalloc",
        source: Source::Debian(Need {
            file: "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
            package: "libjemalloc2",
        }),
        feature: Some("jemalloc"),
    },
    Peer {
        name: "tcmalloc",
        source: Source::Debian(Need {
            file: "/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4",
            package: "libtcmalloc-minimal4",
        }),
        feature: None,
    },
];

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
    Library { name: "glibc".into(), version: install::version("libc6"), file: None, reports: false }
}

/// A library that somebody built elsewhere. One that is called `liballod...` is ours.
pub(crate) fn elsewhere(file: &Path) -> Result<Library> {
    let file = fs::canonicalize(file).with_context(|| file.display().to_string())?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let reports = name.starts_with("liballod");
    Ok(Library { name, version: "as given".into(), file: Some(file), reports })
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
            Source::Debian(need) => {
                install::ensure(&[need])?;
                (install::version(need.package), need.file.into())
            }
        };
        let reports = matches!(self.source, Source::Allod);
        let name = self.name.to_string();
        Ok(Library { name, version, file: Some(file), reports })
    }
}

impl Peer {
    /// The version that the Rust programs have compiled in.
    pub(crate) fn compiled_in(&self) -> Result<String> {
        let feature = self.feature.with_context(|| format!("{} is in no program", self.name))?;
        match &self.source {
            Source::Glibc => Ok(install::version("libc6")),
            Source::Allod => artifacts::our_version(),
            Source::Package(package) => package.version(&artifacts::program_sources(feature)?),
            // Debian's library is preloaded; the programs have the crate's.
            Source::Debian(_) => {
                let name = format!("tikv-{feature}-sys");
                let (_, version) = artifacts::program_sources(feature)?.package(&name)?;
                Ok(format!("{version} ({name})"))
            }
        }
    }
}

impl Package {
    /// The allocator's version, and the package's.
    fn version(&self, sources: &Sources) -> Result<String> {
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
    fn compile(&self, name: &str, sources: &Sources) -> Result<(String, PathBuf)> {
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

        let recipe = built.join(format!("lib{name}.recipe"));
        let text = format!("{command:?}");
        let same = fs::read_to_string(&recipe).is_ok_and(|old| old == text) && library.exists();
        if !same {
            eprintln!("compiling {name} {version}");
            let compiler = format!("cannot start {}", self.compiler);
            let output = command.output().with_context(|| compiler)?;
            if !output.status.success() {
                bail!("{}", String::from_utf8_lossy(&output.stderr));
            }
            fs::write(recipe, text)?;
        }
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
