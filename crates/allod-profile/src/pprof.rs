//! Profiles as pprof has them, written and read.
//!
//! pprof is what `go tool pprof`, Speedscope, Parca, Pyroscope and others read. Ten
//! values are kept for each site, so that every tool can show any of them:
//!
//! | values | are |
//! |---|---|
//! | `alloc_objects`, `alloc_space` | allocated ever |
//! | `inuse_objects`, `inuse_space` (shown first) | live at the end |
//! | `peak_objects`, `peak_space` | live when the process had most live |
//! | `short_objects`, `short_space` | freed within a millisecond |
//! | `remote_objects`, `remote_space` | freed by another thread than allocated it |
//!
//! Labels: `bytes` (the block size), `thread`, `task`, `type`.
//!
//! What pprof has no place for goes along in a comment (`proto`), so that what is
//! written here is read here as it was. A profile of somebody else is read as far as
//! it tells of memory.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use prost::Message;

use crate::model::Profile;

mod decode;
mod encode;
mod proto;

/// A profile that unpacks to more is refused.
const LARGEST: u64 = 512 << 20;

/// The values of a sample in their order, with their units.
pub(crate) const VALUES: [(&str, &str); 10] = [
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
    ("peak_objects", "count"),
    ("peak_space", "bytes"),
    ("short_objects", "count"),
    ("short_space", "bytes"),
    ("remote_objects", "count"),
    ("remote_space", "bytes"),
];
/// The value that is shown first.
const SHOWN: &str = "inuse_space";

/// Why bytes are no profile.
#[derive(Debug)]
#[non_exhaustive]
pub enum NoProfile {
    /// They are no pprof, or a damaged one.
    OtherFormat(String),
    /// They are a profile of something else than memory.
    NotMemory(String),
    /// They unpack to more than anybody would want.
    TooLarge,
}

impl fmt::Display for NoProfile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherFormat(why) => write!(out, "neither a profile nor a heap dump ({why})"),
            Self::NotMemory(kinds) => {
                write!(out, "a profile, but not of memory: its values are {kinds}")
            }
            Self::TooLarge => write!(out, "a profile that unpacks to more than {LARGEST} bytes"),
        }
    }
}

impl std::error::Error for NoProfile {}

/// Writes a profile, gzipped.
///
/// # Errors
///
/// When `out` does not take it.
pub fn write(profile: &Profile, out: &mut impl Write) -> io::Result<()> {
    write_showing(profile, SHOWN, out)
}

/// As [`write`], with another value for readers to show first.
pub(crate) fn write_showing(
    profile: &Profile,
    shown: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut packed = GzEncoder::new(out, Compression::default());
    packed.write_all(&encode::message(profile, shown).encode_to_vec())?;
    packed.finish()?;
    Ok(())
}

/// Reads a profile, gzipped or not.
///
/// # Errors
///
/// When the bytes are none.
pub fn read(bytes: &[u8]) -> Result<Profile, NoProfile> {
    let message = proto::Profile::decode(&*unpack(bytes, LARGEST)?);
    let message = message.map_err(|error| NoProfile::OtherFormat(error.to_string()))?;
    decode::profile(&message)
}

fn unpack(bytes: &[u8], largest: u64) -> Result<Cow<'_, [u8]>, NoProfile> {
    if !bytes.starts_with(b"\x1f\x8b") {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut unpacked = Vec::new();
    let mut packed = MultiGzDecoder::new(bytes).take(largest.saturating_add(1));
    let length = packed.read_to_end(&mut unpacked);
    let length = length.map_err(|error| NoProfile::OtherFormat(error.to_string()))?;
    match length as u64 > largest {
        true => Err(NoProfile::TooLarge),
        false => Ok(Cow::Owned(unpacked)),
    }
}

#[cfg(test)]
pub(crate) mod tests;
