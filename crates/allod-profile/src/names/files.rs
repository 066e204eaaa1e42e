//! The file of a module, and where its debug information lies.
//!
//! A file is the right one when its build id is the one in the dump. A file without a
//! build id is taken for the right one when it has not changed since the process began.
//! Looked at, in this order:
//!
//! | for the file | for its debug information |
//! |---|---|
//! | its path | the file itself |
//! | its path as the process sees it (`/proc/PID/root`) | `/usr/lib/debug/.build-id/ab/cdef….debug` |
//! | the process's own program (`/proc/PID/exe`) | the name in `.gnu_debuglink`, beside the file, in `.debug`, under `/usr/lib/debug` |
//! | its mapping (`/proc/PID/map_files`) | what `debuginfod-find` has fetched before |
//!
//! What distributions have taken out of several files and put into one (`dwz`,
//! `.gnu_debugaltlink`) is found the same way. A debug file with the right build id is
//! enough: the file itself may be gone.
//!
//! # Threads and others
//!
//! A file is mapped while it is looked into. If somebody cuts it short meanwhile, we are
//! killed by a signal, as every tool that maps files; whoever can do that to a program's
//! file can do worse to the program.

#![expect(unsafe_code, reason = "maps files")]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use memmap2::Mmap;
use object::{Object, ObjectSection};

use super::Wanted;

/// Where distributions put debug information.
const DEBUG: &str = "/usr/lib/debug";

/// The files that tell about a module. At least one of the two is there.
pub(super) struct Found {
    file: Option<Mmap>,
    debug: Option<Mmap>,
    supplement: Option<Mmap>,
    /// The build id, for the advice.
    build_id: String,
}

/// Looks for the files of a module, or says why there are none.
pub(super) fn find(wanted: &Wanted<'_>) -> Result<Found, String> {
    let module = wanted.module;
    let path = module.path.trim_end_matches(" (deleted)");
    if !path.starts_with('/') {
        let name = if path.is_empty() { "memory without a name" } else { path };
        return Err(format!(
            "{name} is of no file: code that was made while the program ran, or is the kernel's"
        ));
    }
    let file = the_file(wanted, path);
    let mut found =
        Found { debug: None, supplement: None, build_id: module.build_id.clone(), file: None };
    let name = Path::new(path);
    match file {
        Ok(file) => {
            if !has_debug(&file) {
                found.debug = separate(&module.build_id, name, Some(&file));
            }
            found.file = Some(file);
        }
        Err(why) => {
            found.debug = separate(&module.build_id, name, None);
            if found.debug.is_none() {
                return Err(why);
            }
        }
    }
    found.supplement = found.debug().and_then(|debug| supplement(debug, name));
    Ok(found)
}

impl Found {
    /// What has debug information, if anything.
    pub(super) fn debug(&self) -> Option<&[u8]> {
        let file = self.file.as_deref().filter(|file| has_debug(file));
        file.or(self.debug.as_deref())
    }

    pub(super) fn supplement(&self) -> Option<&[u8]> {
        self.supplement.as_deref()
    }

    /// All that may have a symbol table.
    pub(super) fn images(&self) -> impl Iterator<Item = &[u8]> {
        [self.file.as_deref(), self.debug.as_deref()].into_iter().flatten()
    }

    /// What to do for more names.
    pub(super) fn advice(&self) -> String {
        let fetch = match self.build_id.is_empty() {
            true => String::new(),
            false => format!(", or fetch them with `debuginfod-find debuginfo {}`", self.build_id),
        };
        format!(
            "build it with debug information (-g; in Cargo.toml debug = \"line-tables-only\"), \
             install the debug symbols of its package{fetch}"
        )
    }
}

/// The file that was mapped, or why it cannot be had.
fn the_file(wanted: &Wanted<'_>, path: &str) -> Result<Mmap, String> {
    let module = wanted.module;
    let (start, end) = module.range;
    let pid = wanted.pid;
    let own = open(Path::new(path));
    let (reason, stale) = match own {
        Ok((map, changed)) => {
            let id = build_id(&map);
            if module.build_id.is_empty() {
                if !changed.is_some_and(|changed| changed > wanted.started && wanted.started > 0) {
                    return Ok(map);
                }
                ("the file was changed after the process had started".to_owned(), true)
            } else if id == module.build_id {
                return Ok(map);
            } else if id.is_empty() {
                (
                    "the file there has no build id, and the one that was run has: it was replaced"
                        .to_owned(),
                    true,
                )
            } else {
                (
                    format!(
                        "the file was replaced: its build id is {id}, and that of the one that was run {}",
                        module.build_id
                    ),
                    true,
                )
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            ("the file is gone".to_owned(), false)
        }
        Err(error) => (format!("the file cannot be read: {error}"), false),
    };
    // The process may still have it. Only a build id tells that it is the one.
    if !module.build_id.is_empty() && pid != 0 {
        let others = [
            format!("/proc/{pid}/root{path}"),
            format!("/proc/{pid}/exe"),
            format!("/proc/{pid}/map_files/{start:x}-{end:x}"),
        ];
        for other in others {
            if let Ok((map, _)) = open(Path::new(&other))
                && build_id(&map) == module.build_id
            {
                return Ok(map);
            }
        }
    }
    let advice = match stale {
        true => {
            "look at the profile before the program is built or installed anew, or keep the old file with its debug information"
        }
        false => {
            "look at the profile where the program is, or keep its debug information under /usr/lib/debug/.build-id"
        }
    };
    Err(format!("{reason}; {advice}"))
}

/// Debug information that lies apart.
fn separate(build_id: &str, path: &Path, file: Option<&[u8]>) -> Option<Mmap> {
    let is_right = |map: &Mmap| self::build_id(map) == build_id;
    if let Some((first, rest)) = build_id.split_at_checked(2) {
        let in_debug = PathBuf::from(format!("{DEBUG}/.build-id/{first}/{rest}.debug"));
        let fetched = fetched(build_id);
        let found = [Some(in_debug), fetched].into_iter().flatten();
        let mut found = found.filter_map(|path| open(&path).ok().map(|it| it.0));
        if let Some(map) = found.find(|map| is_right(map) && has_debug(map)) {
            return Some(map);
        }
    }
    let object = object::File::parse(file?).ok()?;
    let (name, sum) = object.gnu_debuglink().ok()??;
    let name = std::str::from_utf8(name).ok().filter(|name| !name.contains('/'))?;
    let folder = path.parent()?;
    let below = folder.strip_prefix("/").ok()?;
    let places = [
        folder.join(name),
        folder.join(".debug").join(name),
        Path::new(DEBUG).join(below).join(name),
    ];
    places.iter().filter(|place| *place != path).find_map(|place| {
        let (map, _) = open(place).ok()?;
        let other = self::build_id(&map);
        let fits = match other.is_empty() || build_id.is_empty() {
            false => other == build_id,
            true => checksum(&map) == sum,
        };
        (fits && has_debug(&map)).then_some(map)
    })
}

/// What several debug files have in common.
fn supplement(debug: &[u8], path: &Path) -> Option<Mmap> {
    let object = object::File::parse(debug).ok()?;
    let (name, id) = object.gnu_debugaltlink().ok()??;
    let id = hex(id);
    let name = Path::new(std::str::from_utf8(name).ok()?);
    let (first, rest) = id.split_at_checked(2)?;
    let by_id = PathBuf::from(format!("{DEBUG}/.build-id/{first}/{rest}.debug"));
    // A relative name is relative to the debug file, which lies in a folder of
    // `/usr/lib/debug` as deep as nobody knows.
    let tail: PathBuf =
        name.components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect();
    let beside = path.parent().map(|folder| folder.join(name));
    let places =
        [Some(by_id), Some(Path::new(DEBUG).join(&tail)), Some(Path::new("/").join(&tail)), beside];
    let mut maps = places.into_iter().flatten().filter_map(|place| open(&place).ok());
    maps.find(|(map, _)| build_id(map) == id).map(|(map, _)| map)
}

/// Where `debuginfod-find` keeps what it has fetched.
fn fetched(build_id: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("DEBUGINFOD_CACHE_PATH").map(PathBuf::from).or_else(|| {
        let caches = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let caches =
            caches.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        caches.map(|caches| caches.join("debuginfod_client"))
    });
    cache.map(|cache| cache.join(build_id).join("debuginfo"))
}

/// Maps a file, and says when it was changed, in nanoseconds since 1970.
fn open(path: &Path) -> std::io::Result<(Mmap, Option<u64>)> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let mut magic = [0; 4];
    file.read_exact(&mut magic)?;
    if &magic != b"\x7fELF" {
        return Err(std::io::Error::other("it is no ELF file"));
    }
    let changed = metadata.modified().ok().and_then(|it| it.duration_since(UNIX_EPOCH).ok());
    let changed = changed.and_then(|it| u64::try_from(it.as_nanos()).ok());
    // SAFETY: the mapping is read-only and private. That nobody changes the file
    // meanwhile cannot be had; the bytes are only ever parsed as untrusted input, and
    // what a shorter file does is said above.
    let map = unsafe { Mmap::map(&file) }?;
    Ok((map, changed))
}

fn build_id(bytes: &[u8]) -> String {
    let object = object::File::parse(bytes).ok();
    object.and_then(|it| it.build_id().ok().flatten().map(hex)).unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether there are functions in its debug information.
fn has_debug(bytes: &[u8]) -> bool {
    let Ok(object) = object::File::parse(bytes) else { return false };
    object.section_by_name(".debug_info").is_some_and(|section| section.size() > 0)
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}
