//! The text of `/proc/PID/maps`, read.

/// One mapping of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// First address, and one past the last.
    pub range: (u64, u64),
    /// `rwxp` or hyphens.
    pub rights: String,
    /// Offset in the file of the first address.
    pub offset: u64,
    /// The file's number in its file system; 0 for none.
    pub inode: u64,
    /// File name, or a word in brackets; empty for memory without a name.
    pub path: String,
}

/// What the kernel writes behind the name of a file that is gone.
const DELETED: &str = " (deleted)";

impl Mapping {
    /// Reads the lines. One that makes no sense is passed over.
    pub fn parse(text: &str) -> Vec<Self> {
        text.lines().filter_map(Self::line).collect()
    }

    fn line(line: &str) -> Option<Self> {
        // The name is the rest of the line and may hold blanks of its own.
        let (range, rest) = line.split_once(' ')?;
        let (rights, rest) = rest.split_once(' ')?;
        let (offset, rest) = rest.split_once(' ')?;
        let (_device, rest) = rest.split_once(' ')?;
        let (inode, path) = rest.split_once(' ').unwrap_or((rest, ""));
        let (start, end) = range.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        let range = (number(start)?, number(end)?);
        (range.0 < range.1).then_some(())?;
        Some(Self {
            range,
            rights: rights.to_owned(),
            offset: number(offset)?,
            inode: inode.parse().ok()?,
            path: path.trim_start().to_owned(),
        })
    }

    /// Whether instructions can be executed in it.
    pub fn is_code(&self) -> bool {
        self.rights.as_bytes().get(2) == Some(&b'x')
    }

    /// Whether it can be written to.
    pub fn is_writable(&self) -> bool {
        self.rights.as_bytes().get(1) == Some(&b'w')
    }

    /// Whether the file has been removed or replaced since it was mapped.
    pub fn is_deleted(&self) -> bool {
        self.path.ends_with(DELETED)
    }

    /// The file's name, as it was when it was mapped.
    pub fn file(&self) -> &str {
        self.path.strip_suffix(DELETED).unwrap_or(&self.path)
    }

    /// Whether it is of a file, not memory alone.
    pub fn is_file(&self) -> bool {
        self.path.starts_with('/')
    }
}
