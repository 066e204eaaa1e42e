//! Heap dumps of real processes: written for every reason there is, and read back.
#![allow(unsafe_code)]
#![cfg(all(target_os = "linux", not(feature = "system")))]

use allod::Allocator;
use allod::config::{DUMP_AT_SIGNAL, Key};
use allod::dump::{self, COUNT_UNIT, HEADER_SIZE, Header, Kind, Reason, Root, Site};
use std::alloc::Layout;
use std::collections::BTreeMap;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

#[global_allocator]
static GLOBAL: allod::Allod = allod::Allod::new();

/// Which child this is, if it is one.
const CHILD: &str = "ALLOD_TEST_CHILD";

/// Runs the test `name` in a process of its own, with `set` in its environment.
fn child(name: &str, set: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    command.env_remove("ALLOD_DUMP").env_remove("ALLOD_CONF");
    command.envs(set.iter().copied()).output().unwrap()
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// True when this test cannot start processes: the machine is emulated.
fn is_emulated() -> bool {
    std::env::var_os("ALLOD_TEST_EMULATED").is_some()
}

/// A folder that is there for one test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        // Tests that run at once ask for folders of the same name.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("allod-{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// The dumps in it, by name.
    fn dumps(&self) -> Vec<(String, Dump)> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut found: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), Dump::of(&path)))
            .collect();
        found.sort_by_key(|(name, _)| (name.len(), name.clone()));
        found
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A dump, read as its layout says and no more cleverly than that.
struct Dump {
    header: Vec<u8>,
    /// By kind: bytes of a record, and the records.
    sections: BTreeMap<u32, (usize, Vec<u8>)>,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word[..N].copy_from_slice(&bytes[at..at + N]);
    u64::from_le_bytes(word)
}

impl Dump {
    fn of(path: &Path) -> Self {
        Self::parse(&std::fs::read(path).unwrap())
    }

    fn parse(bytes: &[u8]) -> Self {
        assert_eq!(number::<8>(bytes, 0), dump::MAGIC);
        let header = bytes[..HEADER_SIZE].to_vec();
        let mut sections = BTreeMap::new();
        let mut at = HEADER_SIZE;
        while at < bytes.len() {
            let kind = number::<4>(bytes, at) as u32;
            let record = number::<4>(bytes, at + 4) as usize;
            let len = record * number::<8>(bytes, at + 8) as usize;
            at += size_of::<dump::Section>();
            let old = sections.insert(kind, (record, bytes[at..at + len].to_vec()));
            assert!(old.is_none(), "kind {kind} twice");
            at += len.next_multiple_of(8);
        }
        assert_eq!(at, bytes.len(), "it ends where its last section does");
        Self { header, sections }
    }

    /// One that this very process writes.
    fn own() -> Self {
        let mut bytes = Vec::new();
        allod::profile::write(&mut |part| bytes.extend_from_slice(part));
        Self::parse(&bytes)
    }

    fn head(&self, at: usize) -> u64 {
        number::<8>(&self.header, at)
    }

    fn reason(&self) -> u32 {
        number::<4>(&self.header, offset_of!(Header, reason)) as u32
    }

    fn section(&self, kind: Kind) -> &[u8] {
        &self.sections[&(kind as u32)].1
    }

    fn records(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        let (record, bytes) = &self.sections[&(kind as u32)];
        bytes.chunks(*record)
    }

    fn texts(&self, kind: Kind) -> Vec<String> {
        let lines = self.section(kind).split(|&byte| byte == 0);
        let lines = lines.map(|line| String::from_utf8_lossy(line).into_owned());
        lines.filter(|line| !line.is_empty()).collect()
    }

    /// Live bytes of sites that `are` it.
    fn live(&self, are: impl Fn(&[u8]) -> bool) -> u64 {
        let live = |site: &[u8]| number::<8>(site, offset_of!(Site, live) + 8);
        self.records(Kind::Sites).filter(|site| are(site)).map(live).sum()
    }
}

#[test]
fn a_dump_says_who_holds_what() {
    if !is_child() {
        if !is_emulated() {
            let output = child("a_dump_says_who_holds_what", &[("ALLOD_CONF", "profile:4096")]);
            assert!(output.status.success(), "{output:?}");
        }
        return;
    }
    assert_eq!(allod::profile::interval(), 4096);
    let guard = allod::label::enter("route /orders");
    let inner = allod::label::enter("a part of it");
    drop(inner);
    let orders: Vec<Vec<u8>> = (0..20_000).map(|_| Vec::with_capacity(400)).collect();
    drop(guard);
    let other =
        std::thread::spawn(|| (0..10_000).map(|_| [7u8; 1000].to_vec()).collect::<Vec<_>>());
    let other = other.join().unwrap();
    let big = vec![1u8; 40 << 20];
    // SAFETY: a query without preconditions.
    let me = unsafe { libc::syscall(libc::SYS_gettid) } as u64;

    let dump = Dump::own();
    assert_eq!(dump.reason(), Reason::Demand as u32);
    let pid = number::<4>(&dump.header, offset_of!(Header, pid)) as u32;
    assert_eq!(pid, std::process::id());
    let samples = dump.head(offset_of!(Header, samples));
    assert!(samples > 3000, "{samples} samples of 18 MB, one every 4 KiB");
    assert_eq!(dump.head(offset_of!(Header, dropped)), 0);

    // Stacks lie within the words, labels within the labels (D1, D2).
    let words = (dump.section(Kind::Words).len() / 8) as u64;
    let labels = dump.texts(Kind::Labels);
    assert_eq!(labels, ["route /orders", "a part of it"]);
    assert_eq!(dump.sections[&(Kind::Sites as u32)].0, size_of::<Site>());
    for site in dump.records(Kind::Sites) {
        let depth = number::<4>(site, offset_of!(Site, depth));
        assert!(number::<8>(site, offset_of!(Site, stack)) + depth <= words);
        assert!(number::<4>(site, offset_of!(Site, label)) <= labels.len() as u64);
    }

    // Six standard deviations of what there is of each.
    let near = |estimate: u64, truth: usize| {
        let sigma = (truth as f64 * 4096.0).sqrt();
        let error = (estimate as f64 - truth as f64).abs();
        assert!(error < 6.0 * sigma, "{estimate} of {truth}");
    };
    let labelled = |site: &[u8]| number::<4>(site, offset_of!(Site, label)) == 1;
    let sized =
        |size: u64| move |site: &[u8]| number::<8>(site, offset_of!(Site, block_size)) == size;
    near(dump.live(|site| labelled(site) && sized(416)(site)), orders.len() * 416);
    near(dump.live(sized(1024)), other.len() * 1024);
    assert_eq!(dump.live(sized(64 << 20)), 40 << 20, "what is sure is exact");
    let thread = |site: &[u8]| number::<4>(site, offset_of!(Site, thread));
    assert!(dump.records(Kind::Sites).any(|site| sized(1024)(site) && thread(site) != me));
    assert!(dump.records(Kind::Sites).filter(|site| labelled(site)).all(|site| thread(site) == me));
    assert!(dump.records(Kind::Threads).any(|row| number::<8>(row, 0) == me));

    // The ledger against the kernel's figure.
    let sum = |fields: &[usize]| -> u64 { fields.iter().map(|&at| dump.head(at)).sum() };
    let held = sum(&[
        offset_of!(Header, live),
        offset_of!(Header, free_blocks),
        offset_of!(Header, cached),
        offset_of!(Header, retained),
        offset_of!(Header, metadata),
    ]);
    let resident = dump.head(offset_of!(Header, resident));
    let uncarved = dump.head(offset_of!(Header, uncarved));
    assert!(held + uncarved >= resident - resident / 50, "{held} + {uncarved} for {resident}");
    assert!(held <= resident + resident / 50, "{held} for {resident}");
    assert!(dump.head(offset_of!(Header, peak_live)) >= dump.head(offset_of!(Header, live)));
    let requested = dump.head(offset_of!(Header, requested));
    assert!(requested < dump.head(offset_of!(Header, live)), "400 of 416 were asked for");
    // One in ten of the smaller is a sample here, and those have blocks of 1024 bytes.
    let in_use = |size: u64| {
        let row = dump.records(Kind::Classes).find(|row| number::<8>(row, 0) == size).unwrap();
        number::<8>(row, offset_of!(dump::Class, in_use))
    };
    assert!(in_use(416) >= 16_000, "{}", in_use(416));
    let both = in_use(416) + in_use(1024);
    assert!(both >= (orders.len() + other.len()) as u64, "{both}");
    let spans: u64 = dump.records(Kind::Occupancy).map(|row| number::<8>(row, 16)).sum();
    assert!(spans >= (orders.len() * 416 + other.len() * 1024) as u64);

    let exe = std::env::current_exe().unwrap();
    assert_eq!(dump.texts(Kind::Program), [exe.to_str().unwrap()]);
    assert!(dump.texts(Kind::Command).contains(&"--nocapture".to_owned()));
    assert!(dump.texts(Kind::Maps)[0].contains("[stack]"));
    drop((orders, other, big));
}

#[test]
fn what_dies_young_or_elsewhere_is_told_apart() {
    if !is_child() {
        if !is_emulated() {
            let set = [("ALLOD_CONF", "profile:1024")];
            let output = child("what_dies_young_or_elsewhere_is_told_apart", &set);
            assert!(output.status.success(), "{output:?}");
        }
        return;
    }
    // 700 bytes die at once, 900 on another thread.
    for _ in 0..5000 {
        drop(std::hint::black_box(vec![0u8; 700]));
    }
    let far: Vec<Vec<u8>> = (0..5000).map(|_| vec![0u8; 900]).collect();
    std::thread::spawn(move || drop(far)).join().unwrap();
    let dump = Dump::own();
    let sum = |size: u64, at: usize| -> f64 {
        let is_it = |site: &&[u8]| number::<8>(site, offset_of!(Site, block_size)) == size;
        let count = |site: &[u8]| number::<8>(site, at) as f64 / COUNT_UNIT as f64;
        dump.records(Kind::Sites).filter(is_it).map(count).sum()
    };
    let (young, far) = (704, 960);
    assert!(sum(young, offset_of!(Site, short)) > 3000.0);
    assert!(sum(young, offset_of!(Site, remote)) < 50.0);
    assert!(sum(far, offset_of!(Site, remote)) > 4000.0);
    assert!(sum(far, offset_of!(Site, live)) < 50.0);
    // Everything that is gone is in some bucket.
    let buckets: f64 =
        (0..dump::LIFETIMES).map(|i| sum(far, offset_of!(Site, lifetimes) + i * 8)).sum();
    let gone = sum(far, offset_of!(Site, allocated)) - sum(far, offset_of!(Site, live));
    assert!((buckets - gone).abs() < 1.0, "{buckets} for {gone}");
    let peak = sum(far, offset_of!(Site, peak));
    assert!(peak > 3500.0, "{peak} of 5000 were alive at the peak");
}

/// What the children do.
#[test]
fn a_process_that_dumps() {
    if !is_child() {
        return;
    }
    // SAFETY: a query without preconditions.
    println!("secure {}", unsafe { libc::getauxval(libc::AT_SECURE) });
    let hold = vec![1u8; 10 << 20];
    match std::env::var("ALLOD_TEST_DO").as_deref() {
        Ok("signal") => {
            for _ in 0..2 {
                // SAFETY: a signal to this process, which has a handler.
                unsafe { libc::raise(libc::SIGUSR2) };
            }
        }
        Ok("peak") => {
            let more: Vec<Vec<u8>> = (1..20).map(|i| vec![1u8; i << 20]).collect();
            drop(more);
            drop(vec![1u8; 1 << 20]);
        }
        Ok("set") => {
            // SAFETY: a signal to this process.
            let raise = || unsafe { libc::raise(libc::SIGUSR2) };
            allod::set(Key::ProfileDump, DUMP_AT_SIGNAL).unwrap();
            raise();
            // SAFETY: the signal is ignored, which is no handler of anybody's.
            unsafe { libc::signal(libc::SIGUSR2, libc::SIG_IGN) };
            allod::set(Key::ProfileDump, 0).unwrap();
            raise();
        }
        Ok("oom") => {
            run_out();
            run_out();
        }
        Ok("oom-heap") => {
            let heap = allod::Heap::new().unwrap();
            let whole = Layout::array::<u8>(isize::MAX as usize >> 1).unwrap();
            // One is too much already where addresses are of 64 bits.
            while (&heap).allocate(whole).is_ok() {}
        }
        Ok("oom-fork") => {
            run_out();
            fork(run_out);
        }
        Ok("fork") => fork(|| ()),
        _ => {}
    }
    drop(hold);
}

/// Asks for memory until there is no more. One is too much already where addresses are of 64
/// bits.
fn run_out() {
    let mut held = Vec::with_capacity(64);
    loop {
        let mut more = Vec::<u8>::new();
        if more.try_reserve_exact(isize::MAX as usize >> 1).is_err() {
            return;
        }
        held.push(more);
    }
}

/// Has a child do something, and end.
fn fork(what: impl FnOnce()) {
    // SAFETY: the child does what is asked of it, and ends.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        what();
        // SAFETY: the end of the child, destructors included.
        unsafe { libc::exit(0) };
    }
    let mut status = 0;
    // SAFETY: `status` is writable.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
}

/// Runs a child that dumps for `what`, and returns what it has written.
fn dumps_of(what: &str, conf: &str) -> Vec<(String, Dump)> {
    dumps_with(what, conf, &[])
}

/// As [`dumps_of`], with more in the child's environment.
fn dumps_with(what: &str, conf: &str, more: &[(&str, &str)]) -> Vec<(String, Dump)> {
    let folder = Folder::new(what);
    let set = [("ALLOD_CONF", conf), ("ALLOD_DUMP", folder.text()), ("ALLOD_TEST_DO", what)];
    let set = [&set[..], more].concat();
    let output = child("a_process_that_dumps", &set);
    assert!(output.status.success(), "{what}: {output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("allod:"), "{said}");
    folder.dumps()
}

#[test]
fn dumps_are_written_when_the_option_says_so() {
    if is_emulated() || is_child() {
        return;
    }
    let reasons = |dumps: &[(String, Dump)]| -> Vec<u32> {
        dumps.iter().map(|(_, dump)| dump.reason()).collect()
    };
    assert!(dumps_of("nothing", "profile_dump:none").is_empty());
    let exit = dumps_of("exit", "profile_dump:exit");
    assert_eq!(reasons(&exit), [Reason::Exit as u32]);
    assert!(
        exit[0].0.starts_with("allod-profile-") && exit[0].0.ends_with(".heap"),
        "{}",
        exit[0].0
    );
    let signal = dumps_of("signal", "profile_dump:signal+exit");
    assert_eq!(reasons(&signal), [2, 2, 1], "twice by signal, once at the end");
    assert!(signal[1].0.ends_with(".2.heap") && signal[2].0.ends_with(".3.heap"));
    let live = signal[0].1.head(offset_of!(Header, live));
    assert!(live > 10 << 20, "{live}");
    for harden in ["default", "hardened", "paranoid"] {
        for (what, count) in [("oom", 1), ("oom-heap", 1), ("oom-fork", 2)] {
            let oom = dumps_of(what, &format!("profile_dump:oom,harden:{harden}"));
            let expected = vec![Reason::OutOfMemory as u32; count];
            assert_eq!(reasons(&oom), expected, "{what}, {harden}: once in each process");
        }
    }
    let set = dumps_of("set", "profile_dump:none");
    assert_eq!(reasons(&set), [Reason::Signal as u32], "while the option said so");
    let peaks = dumps_of("peak", "profile_dump:peak");
    assert!(reasons(&peaks).iter().all(|&reason| reason == Reason::Peak as u32));
    assert!(peaks.len() > 10 && peaks.len() < 40, "{} peaks", peaks.len());
    let lives: Vec<u64> =
        peaks.iter().map(|(_, dump)| dump.head(offset_of!(Header, live))).collect();
    assert!(lives.is_sorted_by(|a, b| a + a / 25 < *b), "{lives:?}");
    let fork = dumps_of("fork", "profile_dump:exit");
    assert_eq!(reasons(&fork), [1, 1], "the parent's and the child's");
    let pids: Vec<u64> =
        fork.iter().map(|(_, dump)| number::<4>(&dump.header, offset_of!(Header, pid))).collect();
    assert!(
        pids[0] != pids[1]
            && fork.iter().zip(&pids).all(|((n, _), p)| n.contains(&format!(".{p}.")))
    );
}

/// `allod run` keeps the dump of the program alone: its children need write none.
#[test]
fn only_children_of_the_named_process_dump() {
    if is_emulated() || is_child() {
        return;
    }
    let own = std::process::id().to_string();
    let of =
        |parent: &str| dumps_with("fork", "profile_dump:exit", &[("ALLOD_DUMP_CHILD_OF", parent)]);
    assert_eq!(of(&own).len(), 1, "the program, and not what it forked");
    assert_eq!(of("1").len(), 0, "of somebody else");
    assert_eq!(of("").len(), 2, "of nobody");
    let conf = "profile_dump:signal";
    let asked = dumps_with("signal", conf, &[("ALLOD_DUMP_CHILD_OF", "1")]);
    assert_eq!(asked.len(), 2, "a signal asks this one");
}

/// A program that runs with the rights of another user heeds no variable: it would write
/// what the caller wants where that user may. It takes root to make such a program.
#[test]
fn a_process_with_more_rights_writes_nothing() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    if is_emulated() || is_child() {
        return;
    }
    let folder = Folder::new("rights");
    let (program, dumps) = (folder.0.join("program"), folder.0.join("dumps"));
    // By another process: what this one has open for writing, a test beside that starts a program
    // takes with it for a moment, and what is open for writing cannot be run.
    let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&program).status();
    assert!(copied.unwrap().success());
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::fs::create_dir(&dumps).unwrap();
    mode(&folder.0, 0o755);
    mode(&dumps, 0o777);
    let written = || {
        let mut command = Command::new(&program);
        command.args(["--exact", "a_process_that_dumps", "--nocapture", "--test-threads=1"]);
        command.env(CHILD, "1").env("ALLOD_CONF", "profile_dump:exit").env("ALLOD_DUMP", &dumps);
        let output = command.current_dir(&dumps).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let found = std::fs::read_dir(&dumps).unwrap().map(|entry| entry.unwrap().path());
        let found: Vec<PathBuf> = found.collect();
        found.iter().for_each(|path| std::fs::remove_file(path).unwrap());
        let is_secure = String::from_utf8_lossy(&output.stdout).contains("secure 1");
        (found.len(), is_secure)
    };
    mode(&program, 0o755);
    assert_eq!(written(), (1, false), "with its caller's rights");
    const NOBODY: u32 = 65534;
    if std::fs::metadata(&program).unwrap().uid() != 0
        || chown(&program, Some(NOBODY), None).is_err()
    {
        return;
    }
    mode(&program, 0o4755);
    // Where the system heeds the bit.
    let (dumps, is_secure) = written();
    assert!(!is_secure || dumps == 0, "{dumps} with another's");
}

#[test]
fn a_dump_that_cannot_be_written_is_heard_of_in_one_line() {
    if is_emulated() || is_child() {
        return;
    }
    let set = [("ALLOD_CONF", "profile_dump:exit"), ("ALLOD_DUMP", "/nowhere/at/all")];
    let output = child("a_process_that_dumps", &set);
    assert!(output.status.success(), "the program does not suffer");
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("allod:")).collect();
    assert_eq!(lines, ["allod: heap dump not written: error 2 (ALLOD_DUMP says where dumps go)"]);
    let missing = allod::profile::dump(c"/nowhere/at/all").unwrap_err();
    assert_eq!(missing.error, libc::ENOENT);
    assert_eq!(allod::profile::dump_to(-1).unwrap_err().error, libc::EBADF);
}

#[test]
fn a_dump_is_written_where_the_program_says() {
    let folder = Folder::new("demand");
    let path = folder.0.join("here");
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    for _ in 0..2 {
        allod::profile::dump(&name).unwrap();
        assert_eq!(Dump::of(&path).reason(), Reason::Demand as u32);
    }
}

#[test]
fn the_tables_are_found_from_outside() {
    if !is_child() {
        if !is_emulated() {
            let set = [("ALLOD_CONF", "profile:1024")];
            let output = child("the_tables_are_found_from_outside", &set);
            assert!(output.status.success(), "{output:?}");
        }
        return;
    }
    let hold: Vec<Vec<u8>> = (0..5000).map(|_| vec![0u8; 3000]).collect();
    std::thread::sleep(std::time::Duration::from_millis(120));
    let more: Vec<Vec<u8>> = (0..3000).map(|_| vec![0u8; 3000]).collect();
    // As another process would: the program's writable mappings, and a look every 64 bytes.
    let exe = std::env::current_exe().unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let memory = std::fs::File::open("/proc/self/mem").unwrap();
    let read = |at: u64, len: usize| -> Vec<u8> {
        use std::os::unix::fs::FileExt;
        let mut bytes = vec![0; len];
        memory.read_exact_at(&mut bytes, at).unwrap();
        bytes
    };
    let mut roots = Vec::new();
    for line in maps.lines().filter(|l| l.contains("rw-p") && l.ends_with(exe.to_str().unwrap())) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let from = u64::from_str_radix(from, 16).unwrap();
        let to = u64::from_str_radix(to, 16).unwrap();
        let bytes = read(from, (to - from) as usize);
        let found = bytes.chunks(64).filter(|c| number::<8>(c, 0) == dump::ROOT_MAGIC).count();
        let at = bytes.chunks(64).position(|c| number::<8>(c, 0) == dump::ROOT_MAGIC);
        roots.extend(at.map(|at| (from + at as u64 * 64, found)));
    }
    let [(root, 1)] = roots[..] else { panic!("{roots:?}") };
    let root = read(root, size_of::<Root>());
    let header = read(number::<8>(&root, offset_of!(Root, header)), size_of::<Header>());
    assert_eq!(number::<8>(&header, 0), dump::MAGIC);
    assert!(number::<8>(&header, offset_of!(Header, live)) > 10 << 20);
    assert!(number::<8>(&header, offset_of!(Header, epoch)) > 1000);
    let mut kinds = Vec::new();
    let mut at = offset_of!(Root, tables);
    while number::<4>(&root, at) != 0 {
        let (kind, record) = (number::<4>(&root, at), number::<4>(&root, at + 4) as usize);
        let count = number::<8>(&root, at + 16) as usize;
        let bytes = read(number::<8>(&root, at + 8), record * count);
        if kind == Kind::Sites as u64 {
            let live = |site: &[u8]| number::<8>(site, offset_of!(Site, live) + 8);
            let sum: u64 = bytes.chunks(record).map(live).sum();
            assert!(sum > 20 << 20, "{sum}");
        }
        kinds.push((kind, count));
        at += size_of::<dump::Table>();
    }
    for kind in [Kind::Sites, Kind::Words, Kind::History, Kind::Moments] {
        let found = kinds.iter().find(|(it, _)| *it == kind as u64);
        // On 32-bit x86 stacks are not walked, so there are no words.
        let may_be_empty = kind == Kind::Words && cfg!(target_arch = "x86");
        assert!(found.is_some_and(|(_, count)| *count > 0 || may_be_empty), "{kinds:?}");
    }
    drop((hold, more));
}

#[test]
fn the_interval_can_be_set() {
    if !is_child() {
        if !is_emulated() {
            let output = child("the_interval_can_be_set", &[("ALLOD_CONF", "profile:off")]);
            assert!(output.status.success(), "{output:?}");
        }
        return;
    }
    assert_eq!(allod::profile::interval(), 0);
    let hold: Vec<Vec<u8>> = (0..5000).map(|_| vec![0u8; 3000]).collect();
    let dump = Dump::own();
    assert_eq!(dump.head(offset_of!(Header, samples)), 0);
    assert_eq!(dump.head(offset_of!(Header, profiler)), 0, "no tables");
    allod::set(Key::Profile, 2048).unwrap();
    assert_eq!(allod::profile::interval(), 2048);
    let more: Vec<Vec<u8>> = (0..500).map(|_| vec![0u8; 3000]).collect();
    assert!(Dump::own().head(offset_of!(Header, samples)) > 200);
    assert!(allod::set(Key::Profile, 1 << 40).is_err());
    drop((hold, more));
}
