//! The readers of tables, headers and lists, fed with nonsense: they return, soon,
//! and say nothing that is out of bounds. And the rules, packed and kept.

use crate::sync::AtomicU64;
use crate::unwind::cfi::{self, Index, Memory};
use crate::unwind::maps::{Image, Mapping};
use crate::unwind::memory;
use crate::unwind::modules::Modules;
use crate::unwind::rules::{Key, Kind, Others, Rule};
use core::cell::Cell;
use std::vec::Vec;

/// Bytes at an address, and how often they were read.
struct Bytes {
    base: usize,
    data: Vec<u8>,
    reads: Cell<usize>,
}

impl Bytes {
    fn new(base: usize, data: Vec<u8>) -> Self {
        Self { base, data, reads: Cell::new(0) }
    }
}

impl Memory for Bytes {
    fn read(&self, at: usize, into: &mut [u8]) -> bool {
        self.reads.set(self.reads.get() + 1);
        let start = at.wrapping_sub(self.base);
        let found = start.checked_add(into.len()).and_then(|end| self.data.get(start..end));
        found.is_some_and(|found| {
            into.copy_from_slice(found);
            true
        })
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 11) as usize % n
    }
}

/// Reads that one look-up takes at most: those of the search, and three times the
/// bytes of an entry.
const READS: usize = 3 * (64 << 10) / 128 + 200;

/// The C library's tables, and its module.
fn real() -> (Bytes, crate::unwind::modules::Module) {
    let modules = fresh();
    let clock = || (1, 1);
    refresh(modules, &memory::Own, |_, _| memory::Own, memory::mappings, clock);
    let module = modules.find((libc::qsort as *const ()).addr()).expect("the C library");
    let index = module.image.index;
    assert!(index.count > 100, "it has tables");
    let len = (module.image.end - index.base).min(1 << 20);
    let mut data = std::vec![0; len];
    let mut read = 0;
    while read < len && memory::Own.read(index.base + read, &mut data[read..len.min(read + 4096)]) {
        read += 4096;
    }
    data.truncate(read);
    (Bytes::new(index.base, data), module)
}

/// As [`Modules::refresh`], when nobody else is about it: another test's walk may be.
pub(super) fn refresh<M: Memory>(
    modules: &Modules,
    memory: &M,
    staying: impl Fn(usize, usize) -> M,
    list: impl Fn(&mut dyn FnMut(&[u8])) -> bool,
    clock: impl Fn() -> (u64, u64),
) -> bool {
    let asked = Cell::new(false);
    loop {
        let list = |line: &mut dyn FnMut(&[u8])| {
            asked.set(true);
            list(line)
        };
        let changed = modules.refresh(memory, &staying, list, &clock);
        if asked.get() {
            return changed;
        }
        std::thread::yield_now();
    }
}

/// Tables of modules that nobody has read yet.
pub(super) fn fresh() -> &'static Modules {
    let place = memory::map(size_of::<Modules>()).expect("there is memory");
    // SAFETY: zeros are the empty state, and the mapping stays.
    #[allow(unsafe_code, reason = "a mapping of zeros")]
    unsafe {
        place.cast().as_ref()
    }
}

#[test]
fn damaged_tables_end_in_no_rule_or_another_and_soon() {
    let (mut bytes, module) = real();
    let whole = bytes.data.clone();
    let mut random = Random(0x5eed);
    let (mut found, mut followed) = (0, 0);
    for round in 0..30_000 {
        let pc = module.image.start + random.below(module.image.end - module.image.start);
        bytes.reads.set(0);
        if let Some((rule, _)) = cfi::find(&bytes, module.image.index, pc) {
            found += 1;
            followed += usize::from(rule != Rule::LOST);
        }
        assert!(bytes.reads.get() < READS, "{} reads", bytes.reads.get());
        if round % 500 == 0 {
            bytes.data.copy_from_slice(&whole);
        }
        for _ in 0..200 {
            let at = random.below(whole.len());
            bytes.data[at] = random.next() as u8;
        }
    }
    assert!(found > 1000 && followed > 500, "most of the bytes are right: {found}, {followed}");
}

#[test]
fn nonsense_is_read_to_an_end() {
    let mut random = Random(77);
    for round in 0..20_000 {
        let base = 0x10_0000 + 8 * random.below(1000);
        let mut data: Vec<u8> = (0..400).map(|_| random.next() as u8).collect();
        // A table of one entry, which leads to an entry that leads to the one behind it.
        data[..12].copy_from_slice(&[1, 0x1b, 3, 0x3b, 0, 0, 0, 0, 1, 0, 0, 0]);
        data[12..16].copy_from_slice(&0u32.to_le_bytes());
        data[16..20].copy_from_slice(&20u32.to_le_bytes());
        if round % 2 == 0 {
            data[20..24].copy_from_slice(&100u32.to_le_bytes());
            data[24..28].copy_from_slice(&(24u32.wrapping_sub(124)).to_le_bytes());
            data[28..32].copy_from_slice(&(-28i32).to_le_bytes());
            data[32..36].copy_from_slice(&0x1_0000u32.to_le_bytes());
            data[36] = 0;
            data[124..128].copy_from_slice(&200u32.to_le_bytes());
            data[128..133].copy_from_slice(&[0, 0, 0, 0, 1]);
            data[133..137].copy_from_slice(b"zR\0\x01");
            data[137..141].copy_from_slice(&[0x78, 16, 1, 0x1b]);
        }
        let bytes = Bytes::new(base, data);
        let index = Index::of(base, 20);
        assert_eq!(index.count, 1);
        let _ = cfi::find(&bytes, index, base + random.below(0x1_0000));
        assert!(bytes.reads.get() < READS, "{} reads", bytes.reads.get());
        let _ = Image::read(&bytes, base);
    }
}

#[test]
fn damaged_headers_are_no_modules() {
    let own = (libc::qsort as *const ()).addr();
    let (_, module) = real();
    let mut data = std::vec![0; 8192];
    assert!(memory::Own.read(module.image.start, &mut data));
    let good = Image::read(&memory::Own, module.image.start).expect("it is one");
    assert!(good.start <= own && own < good.end && good.build_id_len > 0);
    let mut random = Random(99);
    for _ in 0..20_000 {
        let mut data = data.clone();
        for _ in 0..1 + random.below(20) {
            let at = random.below(1200);
            data[at] = random.next() as u8;
        }
        let bytes = Bytes::new(module.image.start, data);
        if let Some(image) = Image::read(&bytes, module.image.start) {
            assert!(image.start < image.end && image.build_id_len <= 32);
        }
        assert!(bytes.reads.get() < 300, "{} reads", bytes.reads.get());
    }
}

#[test]
fn a_line_of_the_list_of_mappings_is_understood_or_refused() {
    let line = b"7f1c2a000000-7f1c2a022000 r-xp 00001000 fe:01 1234   /usr/lib/lib x.so.1";
    let mapping = Mapping::parse(line).expect("a line");
    assert_eq!((mapping.start, mapping.end), (0x7f1c_2a00_0000, 0x7f1c_2a02_2000));
    assert!(mapping.is_code && mapping.is_readable && mapping.offset == 0x1000);
    assert_ne!(mapping.file, 0);
    let anonymous = Mapping::parse(b"1000-2000 rw-p 00000000 00:00 0 ").expect("a line");
    assert!(anonymous.file == 0 && !anonymous.is_code);
    let vdso = Mapping::parse(b"1000-2000 r-xp 00000000 00:00 0    [vdso]").expect("a line");
    assert_ne!(vdso.file, 0, "the kernel's own file");
    let mut random = Random(5);
    for _ in 0..20_000 {
        let mut line = line.to_vec();
        for _ in 0..1 + random.below(4) {
            let at = random.below(line.len());
            line[at] = random.next() as u8;
        }
        line.truncate(random.below(line.len() + 1));
        let _ = Mapping::parse(&line);
    }
}

#[test]
fn a_rule_is_what_was_packed() {
    for base in 0..7 {
        for stored in [false, true] {
            for offset in [-16, 0, 8, 16, 4096, 200_040, 8 << 20] {
                for saved in [None, Some(-16), Some(-8 * 4000), Some(16)] {
                    for back in [-8, -4096, 0] {
                        let rule = Rule::frame(base, offset, stored, saved, back).expect("fits");
                        let kind = if stored { Kind::Stored } else { Kind::Frame };
                        assert_eq!((rule.kind(), rule.base()), (kind, base as usize));
                        assert_eq!(rule.offset(), offset as isize);
                        assert_eq!(rule.saved(), saved.map(|n| n as isize));
                        assert_eq!(rule.back(), back as isize);
                    }
                }
            }
        }
    }
    assert_eq!(Rule::frame(0, 16 << 20, false, None, -8), None, "too large");
    assert_eq!(Rule::frame(0, 12, false, None, -8), None, "no multiple of eight");
    let at_base = Rule::frame(1, -8, true, Some(0), -8).expect("where the base leads");
    assert_eq!(at_base.saved(), Some(0));
    let mut others = Others::default();
    for i in 0..5 {
        others.set(i, [None, Some(None), Some(Some(-16)), Some(Some(-24)), Some(Some(8))][i]);
    }
    let all: Vec<_> = (0..5).map(|i| others.get(i)).collect();
    assert_eq!(all, [Some(None), None, Some(Some(-16)), Some(Some(-24)), Some(Some(8))]);
}

#[test]
fn a_rule_that_two_threads_wrote_at_once_is_none() {
    // Every mixture of the words of two writers to one slot.
    let epoch = 3;
    let pcs: Vec<usize> = (0..200).map(|i| 0x55_0000_0000 + i * 4099).collect();
    let words = |pc: usize, rule: u64| Key::new(pc, epoch).slot(rule);
    let rules: Vec<u64> = (1..60).map(|i| (i * 0x0123_4567_89ab) ^ 1).collect();
    for (i, pc) in pcs.iter().enumerate() {
        let (mine, theirs) = (rules[i % rules.len()], rules[(i + 1) % rules.len()]);
        let mixed = [words(*pc, mine)[0], words(pcs[(i + 7) % pcs.len()], theirs)[1]];
        let slots = mixed.map(AtomicU64::new);
        assert_eq!(Key::new(*pc, epoch).fits(&slots[0], &slots[1]), None, "a mixture");
        let whole = words(*pc, mine).map(AtomicU64::new);
        assert_eq!(Key::new(*pc, epoch).fits(&whole[0], &whole[1]), Some(mine), "and whole");
        assert_eq!(Key::new(*pc, epoch + 1).fits(&whole[0], &whole[1]), None, "another epoch");
        assert_eq!(Key::new(*pc + 1, epoch).fits(&whole[0], &whole[1]), None, "another place");
    }
}
