//! A line of `/proc/self/maps`, and the headers of a file that is mapped.
//!
//! ```text
//!   7f1c2a000000-7f1c2a022000 r-xp 00001000 fe:01 1234   /usr/lib/libx.so.1
//!   start        end          perm offset   dev   inode  path
//! ```
//!
//! Both are read without trust: a file may be anything, and may be gone.

use super::cfi::{Index, Memory};

/// One mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) is_readable: bool,
    pub(super) is_code: bool,
    pub(super) offset: usize,
    /// A number that differs for different files; 0 when there is no file.
    pub(super) file: u64,
}

/// A step of the hash that names files and their versions (FNV-1a).
fn hash(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}

fn hex(text: &[u8]) -> Option<usize> {
    let mut value = 0usize;
    for &byte in text {
        let digit = char::from(byte).to_digit(16)?;
        value = value.checked_mul(16)?.checked_add(digit as usize)?;
    }
    (!text.is_empty()).then_some(value)
}

impl Mapping {
    /// A mapping with code, or the beginning of a file. None for the rest, which is most,
    /// and when the line is none.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let mut words = line.splitn(4, |byte| *byte == b' ');
        let (_, access, offset) = (words.next()?, words.next()?, words.next()?);
        let is_code = access.get(2) == Some(&b'x');
        let is_head = access.first() == Some(&b'r') && offset == b"00000000";
        if !is_code && !is_head {
            return None;
        }
        Self::with_path(line).map(|(mapping, _)| mapping)
    }

    /// Any mapping, and the path at the line's end.
    pub(super) fn with_path(line: &[u8]) -> Option<(Self, &[u8])> {
        let mut words = line.splitn(6, |byte| *byte == b' ');
        let mut range = words.next()?.splitn(2, |byte| *byte == b'-');
        let (start, end) = (hex(range.next()?)?, hex(range.next()?)?);
        let access = words.next()?;
        let offset = hex(words.next()?)?;
        let (device, inode) = (words.next()?, words.next()?);
        let path = words.next().unwrap_or_default().trim_ascii();
        let is_file = inode != b"0" || path == b"[vdso]";
        let file = if is_file {
            hash(hash(hash(0xcbf2_9ce4_8422_2325, device), inode), path) | 1
        } else {
            0
        };
        let mapping = Self {
            start,
            end,
            is_readable: access.first() == Some(&b'r'),
            is_code: access.get(2) == Some(&b'x'),
            offset,
            file,
        };
        Some((mapping, path))
    }
}

/// What the headers of a mapped file say. Addresses are the process's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) bias: usize,
    pub(super) index: Index,
    /// First address and end of the bytes that the index and its entries lie in: of a
    /// segment that is never written to, from the index on where it holds code too.
    pub(super) segment: (usize, usize),
    pub(super) build_id: [u8; 32],
    pub(super) build_id_len: usize,
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.copied().unwrap_or([0; N])
}

fn half(bytes: &[u8], at: usize) -> usize {
    u16::from_le_bytes(field(bytes, at)).into()
}

fn long(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(field(bytes, at)) as usize
}

fn int(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(field(bytes, at)) as usize
}

/// Program headers that are looked at. Real files have about a dozen.
const HEADERS: usize = 64;
/// Notes that are looked at.
const NOTES: usize = 16;
/// The smallest page there is: segments are laid out in multiples of it.
const PAGE: usize = 4096;

impl Image {
    /// The ELF file whose first bytes are at `base`.
    pub(super) fn read(memory: &impl Memory, base: usize) -> Option<Self> {
        let mut head = [0; 64];
        if !memory.read(base, &mut head) {
            return None;
        }
        let machine = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
        // 64 bits, little-endian.
        if !head.starts_with(b"\x7fELF\x02\x01") || half(&head, 18) != machine {
            return None;
        }
        let (table, size, count) = (long(&head, 32), half(&head, 54), half(&head, 56));
        if size != 56 {
            return None;
        }
        let (mut low, mut high, mut first) = (usize::MAX, 0usize, None);
        let (mut frames, mut notes, mut segments) = (None, [None; 4], [(0, 0, false); 8]);
        for i in 0..count.min(HEADERS) {
            let mut header = [0; 56];
            if !memory.read(base.wrapping_add(table).wrapping_add(i * size), &mut header) {
                return None;
            }
            let (address, bytes) = (long(&header, 16), long(&header, 40));
            match int(&header, 0) {
                1 => {
                    low = low.min(address & !(PAGE - 1));
                    high = high.max(address.saturating_add(bytes));
                    if long(&header, 8) == 0 {
                        first = first.or(Some(address));
                    }
                    let access = int(&header, 4);
                    let is_read_only = access & 4 != 0 && access & 2 == 0;
                    if is_read_only && let Some(place) = segments.iter_mut().find(|it| it.1 == 0) {
                        let end = address.saturating_add(long(&header, 32));
                        *place = (address, end, access & 1 != 0);
                    }
                }
                4 => {
                    if let Some(place) = notes.iter_mut().find(|it| it.is_none()) {
                        *place = Some((address, bytes, long(&header, 48)));
                    }
                }
                0x6474_e550 => frames = Some((address, bytes)),
                _ => {}
            }
        }
        let bias = base.wrapping_sub(first? & !(PAGE - 1));
        let mut image = Self {
            start: bias.wrapping_add(low),
            end: bias.wrapping_add(high),
            bias,
            ..Self::default()
        };
        if image.start >= image.end {
            return None;
        }
        if let Some((address, bytes)) = frames {
            image.index = Index::of(bias.wrapping_add(address), bytes);
            let around = segments.iter().find(|(low, high, _)| (*low..*high).contains(&address));
            if let Some(&(low, high, has_code)) = around {
                let low = if has_code { address & !(PAGE - 1) } else { low };
                image.segment = (bias.wrapping_add(low), bias.wrapping_add(high));
            }
        }
        for (address, bytes, align) in notes.into_iter().flatten() {
            image.find_build_id(memory, bias.wrapping_add(address), bytes, align);
        }
        Some(image)
    }

    /// Looks for the note that identifies the file.
    fn find_build_id(&mut self, memory: &impl Memory, at: usize, bytes: usize, align: usize) {
        let padded = |len: usize| len.next_multiple_of(if align == 8 { 8 } else { 4 });
        let mut place = 0usize;
        for _ in 0..NOTES {
            let mut head = [0; 16];
            let here = at.wrapping_add(place);
            if place.saturating_add(16) > bytes || !memory.read(here, &mut head) {
                return;
            }
            let (name, data) = (int(&head, 0), int(&head, 4));
            let start = 12usize.saturating_add(padded(name.min(bytes)));
            if int(&head, 8) == 3 && name == 4 && head.ends_with(b"GNU\0") {
                let len = data.min(self.build_id.len());
                let into = self.build_id.get_mut(..len).unwrap_or_default();
                if memory.read(here.wrapping_add(start), into) {
                    self.build_id_len = len;
                }
                return;
            }
            place = place.saturating_add(start).saturating_add(padded(data.min(bytes)));
        }
    }
}
