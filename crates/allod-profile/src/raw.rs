//! A heap dump as it is: addresses and numbers, no names.
//!
//! `allod::dump` says what the bytes mean. They may come from a file that was cut
//! short, from another version, or from somebody who means no good: what cannot be
//! read is left out and named in [`Dump::missing`], and memory is used in
//! proportion to the bytes that are there, whatever they claim.
//!
//! ```text
//!   file --------------------+
//!                            +--> parse --> Dump --> `assemble` --> Profile
//!   memory of a process -----+
//!   (`process`: laid out as a file would be)
//! ```
//!
//! # Invariants
//!
//! * R1. The stack of each site in [`Dump::sites`] is within [`Dump::words`].
//! * R2. The label of each site is 0 or counts within [`Dump::labels`].

use allod::dump::{
    Class, HEADER_SIZE, Header, Kind, MAGIC, Module, Moment, Occupancy, Section, Site, Thread,
};

mod denied;
mod maps;
mod process;
mod record;

pub use maps::Mapping;
pub use process::Refusal;
pub(crate) use process::files;
use record::{Record, Scalar};

/// A heap dump.
#[derive(Clone, Debug)]
pub struct Dump {
    /// The figures of the process.
    pub header: Header,
    /// File name of the program.
    pub program: String,
    /// Its command line.
    pub command: Vec<String>,
    /// The process's mappings.
    pub maps: Vec<Mapping>,
    /// Files with code in them.
    pub modules: Vec<Module>,
    /// Program counters.
    pub words: Vec<u64>,
    /// Where memory was allocated.
    pub sites: Vec<Site>,
    /// Size classes.
    pub classes: Vec<Class>,
    /// Threads with a heap.
    pub threads: Vec<Thread>,
    /// The figures over time.
    pub moments: Vec<Moment>,
    /// Labels of tasks.
    pub labels: Vec<String>,
    /// When the points of the sites' histories were taken.
    pub history: Vec<u64>,
    /// Spans in use.
    pub occupancy: Vec<Occupancy>,
    /// What should be there and is not, a sentence each.
    pub missing: Vec<String>,
}

/// Why bytes are no dump.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoDump {
    /// They are something else.
    OtherFormat,
    /// They are of a version of the layout that this reader is too old for.
    OtherVersion(char),
    /// They end within the header.
    NoHeader,
}

impl std::fmt::Display for NoDump {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OtherFormat => out.write_str("not a heap dump of Allod"),
            Self::OtherVersion(version) => write!(
                out,
                "a heap dump of version {version}, and this reader knows version 1: take the \
                 tools of the Allod that wrote it"
            ),
            Self::NoHeader => out.write_str("a heap dump that ends within its first bytes"),
        }
    }
}

impl std::error::Error for NoDump {}

impl Dump {
    /// Whether the bytes begin as a dump does.
    pub fn is_one(bytes: &[u8]) -> bool {
        Order::of(bytes).is_ok() || matches!(Order::of(bytes), Err(NoDump::OtherVersion(_)))
    }

    /// Reads a dump.
    ///
    /// # Errors
    ///
    /// When the bytes are no dump at all. A damaged or incomplete one is read as
    /// far as it goes.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoDump> {
        let order = Order::of(bytes)?;
        let header = bytes.get(..HEADER_SIZE).ok_or(NoDump::NoHeader)?;
        let mut dump = Self::empty(Header::read(&Reader { bytes: header, order }));
        let mut sections = Sections::default();
        let mut rest = bytes.get(HEADER_SIZE..).unwrap_or_default();
        while !rest.is_empty() {
            let Some((head, body)) = rest.split_at_checked(size_of::<Section>()) else {
                dump.missing.push("the dump ends within the head of a section".into());
                break;
            };
            let section = Section::read(&Reader { bytes: head, order });
            let claimed = u64::from(section.record).saturating_mul(section.count);
            let there = usize::try_from(claimed).map_or(body.len(), |all| all.min(body.len()));
            if (there as u64) < claimed {
                dump.missing.push(format!(
                    "the dump ends within {}: {there} of {claimed} bytes are there",
                    name_of(section.kind)
                ));
            }
            let Some((records, after)) = body.split_at_checked(there) else { break };
            dump.take(&section, records, order, &mut sections);
            let padding = claimed.wrapping_neg() % 8;
            rest = after.get(padding as usize..).unwrap_or_default();
        }
        dump.tidy(&sections);
        Ok(dump)
    }

    fn empty(header: Header) -> Self {
        Self {
            header,
            program: String::new(),
            command: Vec::new(),
            maps: Vec::new(),
            modules: Vec::new(),
            words: Vec::new(),
            sites: Vec::new(),
            classes: Vec::new(),
            threads: Vec::new(),
            moments: Vec::new(),
            labels: Vec::new(),
            history: Vec::new(),
            occupancy: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Puts one section in its place. Sections of an unknown kind have none.
    fn take(&mut self, section: &Section, bytes: &[u8], order: Order, seen: &mut Sections) {
        let kind = section.kind;
        seen.kinds.push(kind);
        let records = Records { bytes, size: section.record as usize, order };
        if kind == Kind::Program as u32 {
            self.program = text(bytes);
        } else if kind == Kind::Command as u32 {
            self.command = words_of(bytes);
        } else if kind == Kind::Maps as u32 {
            self.maps = Mapping::parse(&text(bytes));
        } else if kind == Kind::Labels as u32 {
            self.labels = words_of(bytes);
        } else {
            let missing = &mut self.missing;
            match kind {
                _ if kind == Kind::Modules as u32 => {
                    records.append(&mut self.modules, kind, missing)
                }
                _ if kind == Kind::Words as u32 => records.append(&mut self.words, kind, missing),
                _ if kind == Kind::Sites as u32 => records.append(&mut self.sites, kind, missing),
                _ if kind == Kind::Classes as u32 => {
                    records.append(&mut self.classes, kind, missing)
                }
                _ if kind == Kind::Threads as u32 => {
                    records.append(&mut self.threads, kind, missing)
                }
                _ if kind == Kind::Moments as u32 => {
                    records.append(&mut self.moments, kind, missing)
                }
                _ if kind == Kind::History as u32 => {
                    records.append(&mut self.history, kind, missing)
                }
                _ if kind == Kind::Occupancy as u32 => {
                    records.append(&mut self.occupancy, kind, missing);
                }
                _ => {}
            }
        }
    }

    /// Makes R1 and R2 true, and says what was not there.
    fn tidy(&mut self, seen: &Sections) {
        let (words, labels) = (self.words.len() as u64, self.labels.len() as u64);
        let before = self.sites.len();
        self.sites.retain(|site| {
            site.stack.checked_add(u64::from(site.depth)).is_some_and(|end| end <= words)
        });
        let lost = before - self.sites.len();
        if lost > 0 {
            self.missing.push(format!("{lost} of {before} sites name a stack that is not there"));
        }
        for site in &mut self.sites {
            if u64::from(site.label) > labels {
                site.label = 0;
            }
        }
        for kind in [Kind::Program, Kind::Maps, Kind::Words, Kind::Sites, Kind::Classes] {
            if !seen.kinds.contains(&(kind as u32)) {
                self.missing.push(format!("the dump has no section for {}", name_of(kind as u32)));
            }
        }
    }
}

/// The kinds of the sections that a dump has.
#[derive(Default)]
struct Sections {
    kinds: Vec<u32>,
}

/// Whether the writer's byte order is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Ours,
    Swapped,
}

impl Order {
    fn of(bytes: &[u8]) -> Result<Self, NoDump> {
        let magic = bytes.first_chunk::<8>().ok_or(NoDump::OtherFormat)?;
        let known = MAGIC.to_le_bytes();
        // The magic is a number of the writer's, so its bytes tell the order.
        let ours = u64::from_ne_bytes(*magic) == MAGIC;
        if ours {
            return Ok(Self::Ours);
        }
        if u64::from_ne_bytes(*magic).swap_bytes() == MAGIC {
            return Ok(Self::Swapped);
        }
        let (name, version) = (&known[..7], magic[7]);
        match magic.starts_with(name) && version.is_ascii_graphic() {
            true => Err(NoDump::OtherVersion(version.into())),
            false => Err(NoDump::OtherFormat),
        }
    }
}

/// Bytes of one record.
struct Reader<'a> {
    bytes: &'a [u8],
    order: Order,
}

impl Reader<'_> {
    /// The number at an offset; zero where the record ends before it.
    fn at<T: Scalar>(&self, offset: usize) -> T {
        T::read(self.bytes.get(offset..).unwrap_or_default(), self.order == Order::Swapped)
    }
}

/// Records of one section.
struct Records<'a> {
    bytes: &'a [u8],
    size: usize,
    order: Order,
}

impl Records<'_> {
    /// Appends them. Version 1 knows no shorter ones, and a longer one is one of ours with more behind it.
    fn append<T: Record>(&self, list: &mut Vec<T>, kind: u32, missing: &mut Vec<String>) {
        if self.size < size_of::<T>() {
            if !self.bytes.is_empty() {
                missing.push(format!(
                    "the records of {} are {} bytes and should be {} or more",
                    name_of(kind),
                    self.size,
                    size_of::<T>()
                ));
            }
            return;
        }
        let records = self.bytes.chunks_exact(self.size);
        list.extend(records.map(|bytes| T::read(&Reader { bytes, order: self.order })));
    }
}

/// What a section holds, in words.
fn name_of(kind: u32) -> &'static str {
    const NAMES: [&str; 12] = [
        "the program's name",
        "the command line",
        "the mappings",
        "the modules",
        "the stacks",
        "the sites",
        "the size classes",
        "the threads",
        "the figures over time",
        "the labels",
        "the times of histories",
        "the spans",
    ];
    let place = (kind as usize).wrapping_sub(1);
    NAMES.get(place).copied().unwrap_or("a section of an unknown kind")
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

/// Words that end with a zero byte each. The end of the bytes ends the last one.
fn words_of(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

#[cfg(test)]
pub(crate) mod tests;
