//! Dumps made by hand, whole and damaged, and a process that shows its tables.

use std::sync::atomic::Ordering;

use allod::dump::{Reason, Root, Table};

use super::*;

/// A dump under construction.
pub(crate) struct Builder {
    pub(crate) bytes: Vec<u8>,
}

/// The bytes of numbers, one after the other.
fn flat(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
}

impl Builder {
    /// With a header in which every figure is another number.
    pub(crate) fn new() -> Self {
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&1_u32.to_ne_bytes());
        bytes.extend_from_slice(&4242_u32.to_ne_bytes());
        // started, elapsed, interval, samples, dropped, truncated
        bytes.extend(flat(&[1_700_000_000_000_000_000, 5_000_000_000, 65536, 12, 2, 3]));
        bytes.extend_from_slice(&4096_u32.to_ne_bytes());
        bytes.extend_from_slice(&1_u32.to_ne_bytes());
        bytes.extend(flat(&[1000, 2000, 3000, 900, 50, 60, 70, 80, 90, 1200, 2400, 4800, 77, 7]));
        bytes.extend_from_slice(&3_u32.to_ne_bytes());
        bytes.extend_from_slice(&5_u32.to_ne_bytes());
        bytes.extend(flat(&[40]));
        bytes.resize(HEADER_SIZE, 0);
        Self { bytes }
    }

    pub(crate) fn section(mut self, kind: u32, record: u32, content: &[u8]) -> Self {
        let count = content.len() as u64 / u64::from(record.max(1));
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&record.to_ne_bytes());
        self.bytes.extend_from_slice(&count.to_ne_bytes());
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        self
    }

    pub(crate) fn numbers(self, kind: Kind, fields: usize, numbers: &[u64]) -> Self {
        self.section(kind as u32, (fields * 8) as u32, &flat(numbers))
    }

    pub(crate) fn text(self, kind: Kind, text: &str) -> Self {
        self.section(kind as u32, 1, text.as_bytes())
    }
}

/// A site's record: `weight` allocations of `block` bytes live.
pub(crate) fn site(stack: u64, depth: u32, label: u32, block: u64, weight: u64) -> Vec<u8> {
    let mut bytes = flat(&[stack]);
    bytes.extend_from_slice(&depth.to_ne_bytes());
    bytes.extend_from_slice(&label.to_ne_bytes());
    bytes.extend(flat(&[block]));
    bytes.extend_from_slice(&11_u32.to_ne_bytes());
    bytes.extend_from_slice(&0_u32.to_ne_bytes());
    let count = weight * 1024;
    bytes.extend(flat(&[3 * count, 3 * weight * block, 9]));
    bytes.extend(flat(&[count, weight * block, 4]));
    bytes.extend(flat(&[2 * count, 2 * weight * block]));
    bytes.extend(flat(&[count / 2, weight * block / 2, count / 4, weight * block / 4]));
    bytes.extend(flat(&[weight * block - weight]));
    bytes.extend(flat(&std::array::from_fn::<u64, 16, _>(|i| i as u64 * 1024)));
    bytes.extend(flat(&std::array::from_fn::<u64, 24, _>(|i| i as u64 * 100)));
    // The epoch of the peak.
    bytes.extend(flat(&[0]));
    assert_eq!(bytes.len(), size_of::<Site>(), "the record is whole");
    bytes
}

/// A module's record.
pub(crate) fn module(start: u64, end: u64, bias: u64, id: &[u8], is_allod: bool) -> Vec<u8> {
    let mut bytes = flat(&[start, end, bias]);
    bytes.extend_from_slice(&(id.len() as u32).to_ne_bytes());
    bytes.extend_from_slice(&u32::from(is_allod).to_ne_bytes());
    bytes.extend_from_slice(id);
    bytes.resize(size_of::<Module>(), 0);
    bytes
}

/// A dump with something in every section.
pub(crate) fn full() -> Vec<u8> {
    let mut sites = site(0, 3, 1, 64, 100);
    sites.extend(site(3, 2, 0, 4096, 5));
    let maps = "1000-3000 r--p 00000000 08:01 77 /bin/pro gram\n\
                3000-5000 r-xp 00002000 08:01 77 /bin/pro gram\n\
                5000-6000 rw-p 00004000 08:01 77 /bin/pro gram\n\
                7000-9000 r-xp 00000000 08:01 99 /lib/liballod.so (deleted)\n\
                f000-10000 rw-p 00000000 00:00 0 [heap]\n";
    let mut modules = module(0x1000, 0x6000, 0x1000, &[0xab; 20], false);
    modules.extend(module(0x7000, 0x9000, 0x7000, &[], true));
    Builder::new()
        .text(Kind::Program, "/bin/pro gram")
        .text(Kind::Command, "pro gram\0-x\0\0")
        .text(Kind::Maps, maps)
        .section(Kind::Modules as u32, size_of::<Module>() as u32, &modules)
        .numbers(Kind::Words, 1, &[0x7100, 0x3100, 0x3200, 0x3300, 0x3400])
        .section(Kind::Sites as u32, size_of::<Site>() as u32, &sites)
        .numbers(Kind::Classes, 6, &[64, 1, 512, 300, 100, 20])
        .numbers(Kind::Threads, 4, &[11, 77, 7, 60])
        .numbers(Kind::Moments, 4, &[1000, 10, 20, 5, 2000, 30, 40, 6])
        .text(Kind::Labels, "GET /\0")
        .numbers(Kind::History, 1, &[100, 200])
        .numbers(Kind::Occupancy, 4, &[0x20_0000, 32768, 6400, 64])
        .bytes
}

#[test]
fn every_section_is_read() {
    let dump = Dump::parse(&full()).expect("a dump");
    assert_eq!(dump.missing, Vec::<String>::new());
    assert_eq!((dump.header.pid, dump.header.live, dump.header.profiler), (4242, 1000, 40));
    assert_eq!((dump.header.threads, dump.header.peak_threads), (3, 5));
    assert_eq!((dump.header.page_size, dump.header.face), (4096, 1));
    assert_eq!((dump.header.allocations, dump.header.remote_frees), (77, 7));
    assert_eq!(dump.program, "/bin/pro gram");
    assert_eq!(dump.command, ["pro gram", "-x", ""]);
    assert_eq!(dump.maps.len(), 5);
    assert!(dump.maps[3].is_deleted() && dump.maps[3].is_code());
    assert_eq!(dump.maps[3].file(), "/lib/liballod.so");
    assert_eq!(dump.modules.len(), 2);
    assert_eq!(dump.modules[0].build_id[..20], [0xab; 20]);
    assert_eq!(dump.modules[1].is_allod, 1);
    assert_eq!(dump.words.len(), 5);
    assert_eq!((dump.sites[0].label, dump.sites[0].thread), (1, 11));
    assert_eq!(dump.sites[0].live, [100 * 1024, 6400, 4]);
    assert_eq!(dump.sites[0].requested, 6300);
    assert_eq!(dump.sites[1].history[23], 2300);
    assert_eq!((dump.classes[0].spans, dump.classes[0].cached), (1, 20));
    assert_eq!((dump.threads[0].thread, dump.threads[0].cached), (11, 60));
    assert_eq!((dump.moments[1].at, dump.moments[1].retained), (2000, 6));
    assert_eq!(dump.labels, ["GET /"]);
    assert_eq!(dump.history, [100, 200]);
    assert_eq!((dump.occupancy[0].bytes, dump.occupancy[0].block_size), (32768, 64));
}

#[test]
fn the_other_byte_order_is_read() {
    let mut dump = Builder::new().numbers(Kind::Words, 1, &[0x1234]).bytes;
    // All that this dump has are words of 8 bytes, but for pairs of 4 at known places.
    let pairs = [8, 64, HEADER_SIZE, 184];
    for start in (0..dump.len()).step_by(8) {
        let (first, second) = dump[start..start + 8].split_at_mut(4);
        match pairs.contains(&start) {
            true => (first.reverse(), second.reverse()),
            false => (dump[start..start + 8].reverse(), ()),
        };
    }
    let dump = Dump::parse(&dump).expect("a dump");
    assert_eq!((dump.header.pid, dump.header.live, dump.header.threads), (4242, 1000, 3));
    assert_eq!(dump.words, [0x1234]);
}

#[test]
fn what_is_unknown_is_passed_over() {
    let mut long = site(0, 0, 0, 64, 1);
    long.extend([0xff; 24]);
    let mut short = site(0, 0, 0, 64, 1);
    short.truncate(400);
    let dump = Builder::new()
        .section(99, 7, &[1; 21])
        .section(Kind::Sites as u32, long.len() as u32, &long)
        .section(Kind::Sites as u32, short.len() as u32, &short)
        .section(Kind::Words as u32, 0, &[])
        .bytes;
    let dump = Dump::parse(&dump).expect("a dump");
    assert_eq!(dump.sites.len(), 1, "the longer record, and not the shorter");
    assert!(dump.missing.iter().any(|it| it.contains("are 400 bytes")), "{:?}", dump.missing);
}

#[test]
fn references_beyond_the_end_are_dropped() {
    let mut sites = site(4, 2, 0, 64, 1);
    sites.extend(site(u64::MAX, 2, 0, 64, 1));
    sites.extend(site(0, 1, 9, 64, 1));
    let dump = Builder::new()
        .numbers(Kind::Words, 1, &[1, 2, 3, 4, 5])
        .section(Kind::Sites as u32, size_of::<Site>() as u32, &sites)
        .bytes;
    let dump = Dump::parse(&dump).expect("a dump");
    assert_eq!(dump.sites.len(), 1);
    assert_eq!(dump.sites[0].label, 0);
    assert!(dump.missing.iter().any(|it| it.starts_with("2 of 3 sites")), "{:?}", dump.missing);
}

#[test]
fn other_files_are_refused() {
    let refused = |bytes: &[u8]| Dump::parse(bytes).expect_err("no dump");
    assert_eq!(refused(b""), NoDump::OtherFormat);
    assert_eq!(refused(b"\x1f\x8b\x08 and so on"), NoDump::OtherFormat);
    assert_eq!(refused(b"allodhd2 and so on"), NoDump::OtherVersion('2'));
    assert_eq!(refused(b"allodhd1 and so on"), NoDump::NoHeader);
}

#[test]
fn a_dump_that_ends_early_says_what_is_missing() {
    let whole = full();
    let sites = Dump::parse(&whole).expect("a dump").sites.len();
    for length in HEADER_SIZE..whole.len() - 7 {
        let dump = Dump::parse(&whole[..length]).expect("a dump");
        assert!(dump.sites.len() <= sites);
        // What ends with a section says so by the sections that are not there; those
        // that are optional say nothing.
        let is_silent = dump.missing.is_empty();
        assert!(!is_silent || dump.classes.len() == 1, "{length} of {}", whole.len());
    }
}

/// A generator of numbers that are always the same (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn damaged_dumps_do_no_harm() {
    let whole = full();
    let ends = [0, 1, u64::MAX, u64::MAX / 8, i64::MAX as u64, 1 << 40, 7];
    for seed in 1..=4000_u64 {
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let mut bytes = whole.clone();
        for _ in 0..=numbers.next() % 6 {
            let at = 8 + (numbers.next() as usize) % (bytes.len() - 16);
            match numbers.next() % 4 {
                0 => bytes[at] = numbers.next() as u8,
                1 => {
                    let end = ends[numbers.next() as usize % ends.len()];
                    let at = at & !7;
                    bytes[at..at + 8].copy_from_slice(&end.to_ne_bytes());
                }
                2 => bytes.truncate(at.max(64)),
                _ => _ = bytes.splice(at..at, [0_u8; 8]),
            }
        }
        let Ok(dump) = Dump::parse(&bytes) else { continue };
        let words = dump.words.len() as u64;
        assert!(dump.sites.iter().all(|site| site.stack + u64::from(site.depth) <= words));
        assert!(dump.sites.iter().all(|site| site.label as usize <= dump.labels.len()));
        assert!(dump.sites.len() * size_of::<Site>() <= bytes.len());
        assert!(words * 8 <= bytes.len() as u64);
        // The steps that follow have to live with whatever comes out.
        let profile = crate::assemble::without_names(&dump);
        let frames = profile.frames.len();
        assert!(profile.sites.iter().all(|site| site.stack.iter().all(|&frame| frame < frames)));
    }
}

#[test]
fn a_process_is_read_from_outside() {
    let tables = full();
    let dump = Dump::parse(&tables).expect("a dump");
    // What `full` says of the sites and of the stacks, left in this process's memory.
    let size = size_of::<Site>();
    let mut sites = site(0, 3, 0, 64, 100);
    sites.extend(site(3, 2, 0, 4096, 5));
    // A site that is being written: its stack is not there yet.
    sites.extend(site(5, 9, 0, 64, 1));
    let words = flat(&dump.words);
    let header = Builder::new().bytes;
    // ORDERING: Relaxed, this thread alone reads and writes.
    let set = |place: &std::sync::atomic::AtomicU64, value| place.store(value, Ordering::Relaxed);
    let table = |place: &Table, kind: Kind, record: usize, bytes: &[u8]| {
        // ORDERING: Relaxed, as above.
        place.kind.store(kind as u32, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        place.record.store(record as u32, Ordering::Relaxed);
        set(&place.address, bytes.as_ptr().addr() as u64);
        set(&place.count, (bytes.len() / record) as u64);
    };
    let before = Dump::of_process(std::process::id());
    assert!(matches!(before, Err(Refusal::NotAllod(_))), "{before:?}");
    table(&ROOT.tables[0], Kind::Words, 8, &words);
    table(&ROOT.tables[1], Kind::Sites, size, &sites);
    set(&ROOT.header, header.as_ptr().addr() as u64);
    set(&ROOT.magic, allod::dump::ROOT_MAGIC);
    let read = Dump::of_process(std::process::id()).expect("a dump");
    set(&ROOT.magic, 0);
    assert_eq!(read.words, dump.words);
    assert_eq!(read.sites.len(), 2);
    assert_eq!(read.sites[1].block_size, 4096);
    assert_eq!(read.header.reason, Reason::Demand as u32);
    assert_eq!(read.header.peak_live, 2000);
    let program = std::env::current_exe().expect("a program");
    assert_eq!(read.program, program.to_string_lossy());
    assert!(read.command[0].ends_with(&*program.file_name().expect("a name").to_string_lossy()));
    // The module of this very function, with the bias that makes its symbol right.
    let here = (a_process_is_read_from_outside as *const ()).addr() as u64;
    let module = read.modules.iter().find(|it| (it.start..it.end).contains(&here));
    let module = module.expect("this program is one of the modules");
    assert_eq!(module.bias, module.start);
}

/// In the part of the program's data that starts as zeros.
static ROOT: Root = {
    use std::sync::atomic::{AtomicU32, AtomicU64};
    Root {
        magic: AtomicU64::new(0),
        header: AtomicU64::new(0),
        tables: [const {
            Table {
                kind: AtomicU32::new(0),
                record: AtomicU32::new(0),
                address: AtomicU64::new(0),
                count: AtomicU64::new(0),
            }
        }; 8],
    }
};

#[test]
fn processes_that_cannot_be_read_are_explained() {
    let nobody = Dump::of_process(u32::MAX / 2).expect_err("no process");
    assert!(nobody.to_string().contains("there is none"), "{nobody}");
    let sleep = std::process::Command::new("sleep").arg("60").spawn();
    let mut sleep = sleep.expect("sleep starts");
    let other = Dump::of_process(sleep.id());
    sleep.kill().expect("it ends");
    sleep.wait().expect("it has ended");
    let other = other.expect_err("not on Allod").to_string();
    assert!(other.contains("does not run on Allod"), "{other}");
}
