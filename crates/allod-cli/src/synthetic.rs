//! Profiles made up for tests: a server with everything that can be shown.
//!
//! The numbers come from a generator with a fixed seed, so every run sees the same.

use allod_profile::Profile;
use allod_profile::model::{
    Amount, Class, Frame, Ledger, Module, Moment, Samples, Site, Span, Symbols, Thread,
};

const MIB: f64 = 1_048_576.0;
const SECOND: u64 = 1_000_000_000;
const POINTS: usize = 24;
const INTERVAL: f64 = 524_288.0;

struct Dice(u64);

impl Dice {
    /// Between 0 and 1.
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// How a site behaves over time.
#[derive(Clone, Copy)]
enum Course {
    Steady,
    Wave,
    Grows,
    Brief,
}

/// Stack from the outside in, type, block size, live MiB, course.
type Row = (&'static [usize], &'static str, u64, f64, Course);

const FRAMES: [(&str, &str, u32); 26] = [
    ("main", "src/main.rs", 31),
    ("server::serve", "src/serve.rs", 77),
    ("server::net::Conn::run", "src/net.rs", 120),
    ("server::net::Conn::read_buf", "src/net.rs", 41),
    ("alloc::vec::Vec<T>::with_capacity", "/rustc/abc/library/alloc/src/vec/mod.rs", 500),
    ("alloc::raw_vec::RawVec<T>::allocate", "/rustc/abc/library/alloc/src/raw_vec.rs", 90),
    ("server::lex::Lexer::run", "src/lex.rs", 88),
    ("alloc::vec::Vec<T>::push", "/rustc/abc/library/alloc/src/vec/mod.rs", 1990),
    ("server::book::Book::insert", "src/book.rs", 120),
    ("hashbrown::raw::RawTable<T>::reserve_rehash", "/rustc/abc/hashbrown/src/raw.rs", 900),
    ("server::session::Session::new", "src/session.rs", 55),
    ("alloc::boxed::Box<T>::new", "/rustc/abc/library/alloc/src/boxed.rs", 200),
    ("server::log::line", "src/log.rs", 19),
    ("alloc::fmt::format", "/rustc/abc/library/alloc/src/fmt.rs", 600),
    ("server::json::parse", "src/json.rs", 210),
    ("server::json::object", "src/json.rs", 260),
    ("server::cache::Cache::put", "src/cache.rs", 64),
    ("server::index::Tree::split", "src/index.rs", 318),
    ("server::worker::pool", "src/worker.rs", 12),
    ("server::worker::Job::run", "src/worker.rs", 48),
    ("std::thread::spawn::{closure}", "/rustc/abc/library/std/src/thread/mod.rs", 700),
    ("server::http::headers", "src/http.rs", 93),
    ("server::http::Request::parse", "src/http.rs", 40),
    ("server::compress::window", "src/compress.rs", 22),
    ("sqlite3_exec", "", 0),
    ("pcache1Alloc", "", 0),
];

const ROWS: [Row; 16] = [
    (&[0, 1, 2, 6, 7, 5], "server::lex::Token", 48, 131.0, Course::Wave),
    (&[20, 18, 19, 6, 7, 5], "server::lex::Token", 48, 24.0, Course::Steady),
    (&[0, 1, 2, 3, 4, 5], "Vec<u8>", 65536, 61.0, Course::Wave),
    (&[0, 1, 8, 9], "HashMap<Id, Order>", 131_072, 44.0, Course::Steady),
    (&[0, 1, 10, 11], "server::session::Session", 640, 38.0, Course::Grows),
    (&[0, 1, 2, 12, 13], "String", 128, 0.4, Course::Brief),
    (&[20, 18, 19, 12, 13], "String", 96, 0.2, Course::Brief),
    (&[0, 1, 2, 22, 14, 15, 7, 5], "server::json::Value", 32, 18.0, Course::Wave),
    (&[0, 1, 2, 22, 14, 15, 15, 7, 5], "server::json::Value", 32, 9.0, Course::Wave),
    (&[0, 1, 2, 22, 14, 15, 15, 15, 7, 5], "server::json::Value", 32, 4.0, Course::Wave),
    (&[0, 1, 16, 11], "server::cache::Entry", 256, 26.0, Course::Steady),
    (&[20, 18, 19, 17, 11], "server::index::Node", 4096, 21.0, Course::Steady),
    (&[0, 1, 2, 22, 21, 4, 5], "Vec<(String, String)>", 384, 6.5, Course::Brief),
    (&[20, 18, 19, 23, 4, 5], "Vec<u8>", 262_144, 8.0, Course::Steady),
    (&[0, 1, 24, 25], "", 4360, 12.0, Course::Steady),
    (&[20, 18, 19, 24, 25], "", 4360, 7.0, Course::Steady),
];

const LABELS: [&str; 4] = ["", "GET /orders", "POST /orders", "GET /health"];

/// Five minutes of a server.
pub(crate) fn server() -> Profile {
    let mut dice = Dice(0x5eed_5eed_5eed_5eed);
    let elapsed = 300 * SECOND;
    let mut profile = Profile {
        program: "/usr/local/bin/server".into(),
        command: ["server", "--port", "80"].map(String::from).to_vec(),
        pid: 4242,
        reason: "exit".into(),
        started: 1_795_000_000 * SECOND,
        elapsed,
        interval: INTERVAL as u64,
        samples: Samples { taken: 48_211, dropped: 0, truncated: 17 },
        history_at: (1..=POINTS as u64).map(|i| i * elapsed / POINTS as u64).collect(),
        ..Profile::default()
    };
    profile.modules = modules();
    profile.frames = frames();
    profile.sites = sites(&mut dice);
    profile.classes = classes(&mut dice);
    profile.spans = spans(&mut dice);
    profile.threads = threads();
    profile.moments = moments(&profile, &mut dice);
    profile.ledger = ledger(&profile);
    profile
}

/// The same server a version later: one site is gone, one is new, some moved.
pub(crate) fn server_later() -> Profile {
    let mut profile = server();
    profile.pid = 5151;
    profile.sites.retain(|site| site.rust_type != "server::cache::Entry");
    for site in &mut profile.sites {
        let by = match site.rust_type.as_str() {
            "server::lex::Token" => 0.55,
            "server::session::Session" => 1.9,
            _ => continue,
        };
        for amount in [&mut site.live, &mut site.peak, &mut site.allocated, &mut site.short] {
            *amount = scaled(*amount, by);
        }
        site.history.iter_mut().for_each(|bytes| *bytes *= by);
    }
    profile
}

/// A program that nothing is known of but that it ran.
pub(crate) fn nothing() -> Profile {
    Profile { program: "/bin/true".into(), pid: 7, reason: "exit".into(), ..Profile::default() }
}

fn modules() -> Vec<Module> {
    let file = |path: &str, start: u64, symbols: Symbols| Module {
        path: path.into(),
        build_id: "8f3a41c97e0b".into(),
        range: (start, start + 0x0020_0000),
        symbols,
        ..Module::default()
    };
    vec![
        file("/usr/local/bin/server", 0x5555_5555_0000, Symbols::Full),
        file("/usr/lib/libsqlite3.so.0", 0x7fff_f000_0000, Symbols::Functions),
    ]
}

fn frames() -> Vec<Frame> {
    let frame = |(i, &(function, file, line)): (usize, &(&str, &str, u32))| Frame {
        address: 0x5555_5555_1000 + 0x40 * i as u64,
        module: Some(usize::from(file.is_empty())),
        function: function.into(),
        linkage: function.into(),
        file: file.into(),
        line,
        inlined: function.starts_with("alloc::"),
    };
    FRAMES.iter().enumerate().map(frame).collect()
}

fn scaled(amount: Amount, by: f64) -> Amount {
    Amount { count: amount.count * by, bytes: amount.bytes * by, variance: amount.variance * by }
}

fn sites(dice: &mut Dice) -> Vec<Site> {
    let mut sites = Vec::new();
    for (stack, rust_type, block_size, live, course) in ROWS {
        for (thread, label) in [(4242, 0), (4243, 1), (4244, 2), (4245, 3)] {
            let share = [0.4, 0.3, 0.2, 0.1][label] * (0.8 + 0.4 * dice.roll());
            let bytes = live * share * MIB;
            let estimate = |bytes: f64| Amount {
                count: bytes / block_size as f64,
                bytes,
                variance: bytes * INTERVAL.max(block_size as f64 / 4.0),
            };
            let turns = match course {
                Course::Steady => 1.5,
                Course::Wave => 30.0,
                Course::Grows => 1.0,
                Course::Brief => 9000.0,
            };
            let brief = if matches!(course, Course::Brief) { 0.97 } else { 0.02 };
            let allocated = estimate(bytes * turns);
            let freed = (allocated.count - bytes / block_size as f64).max(0.0);
            let middle = if brief > 0.5 { 3.0 } else { 5.0 + 5.0 * dice.roll() };
            let weight = |i: usize| (-(i as f64 - middle).powi(2) / 3.0).exp();
            let weights: f64 = (0..16).map(weight).sum();
            let mut course_at = |point: usize| {
                let t = (point + 1) as f64 / POINTS as f64;
                bytes
                    * match course {
                        Course::Steady => (t * 6.0).min(1.0),
                        Course::Wave => 0.55 + 0.45 * (t * 14.0 + share * 9.0).sin().abs(),
                        Course::Grows => t * (0.98 + 0.04 * dice.roll()),
                        Course::Brief => 0.5 + dice.roll(),
                    }
            };
            let history: Vec<f64> = (0..POINTS).map(&mut course_at).collect();
            sites.push(Site {
                trimmed: Vec::new(),
                stack: stack.iter().rev().copied().collect(),
                block_size,
                thread,
                label: LABELS[label].into(),
                rust_type: rust_type.into(),
                truncated: false,
                allocated,
                live: estimate(bytes),
                peak: estimate(bytes * if matches!(course, Course::Wave) { 1.6 } else { 0.9 }),
                short: estimate(bytes * turns * brief),
                remote: estimate(bytes * (turns - 1.0) * if label == 2 { 0.6 } else { 0.05 }),
                requested: bytes * (0.82 + 0.15 * dice.roll()),
                history,
                lifetimes: (0..16).map(|i| freed * weight(i) / weights).collect(),
            });
        }
    }
    sites
}

fn classes(dice: &mut Dice) -> Vec<Class> {
    let sizes = [16_u64, 32, 48, 64, 96, 128, 192, 256, 384, 640, 1024, 2048, 4608, 8192, 32768];
    let class = |block_size: u64| {
        let spans = 1 + (dice.roll() * 400.0 / (block_size as f64).log2()) as u64;
        let capacity = spans * (262_144 / block_size).max(8);
        let carved = (capacity as f64 * (0.7 + 0.3 * dice.roll())) as u64;
        let in_use = (carved as f64 * (0.3 + 0.65 * dice.roll())) as u64;
        Class { block_size, spans, capacity, carved, in_use, cached: (carved - in_use) / 8 }
    };
    sizes.map(class).to_vec()
}

fn spans(dice: &mut Dice) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut address = 0x7f00_0020_0000_u64;
    for i in 0..1400_u64 {
        if dice.roll() < 0.06 {
            address += 32_768 * (1 + (dice.roll() * 9.0) as u64);
        }
        let slices = [1, 1, 1, 2, 4, 8][(dice.roll() * 6.0) as usize];
        let bytes = 32_768 * slices;
        let full = (dice.roll() * 1.4).min(1.0);
        let block_size = [48, 64, 128, 256, 640, 4608][(i % 6) as usize];
        let blocks = bytes / block_size;
        let in_use = (blocks as f64 * full) as u64 * block_size;
        spans.push(Span { address, bytes, in_use, block_size });
        address += bytes;
    }
    for (i, mib) in [48_u64, 20, 9].into_iter().enumerate() {
        let address = 0x7f80_0000_0000 + 0x1000_0000 * i as u64;
        spans.push(Span { address, bytes: mib << 20, in_use: mib << 20, block_size: 0 });
    }
    spans
}

fn threads() -> Vec<Thread> {
    [(4242, 31_000_000, 120), (4243, 22_500_000, 9_000_000), (4244, 18_200_000, 410), (0, 900, 0)]
        .map(|(id, allocations, remote_frees)| Thread {
            id,
            allocations,
            remote_frees,
            cached: 40_000 + allocations / 200,
        })
        .to_vec()
}

fn moments(profile: &Profile, dice: &mut Dice) -> Vec<Moment> {
    let total = |point: usize| profile.sites.iter().map(|site| site.history[point]).sum::<f64>();
    let mut resident = 0.0_f64;
    let moment = |i: u64| {
        let at = i * profile.elapsed / 300;
        let place = (i as f64 / 300.0 * POINTS as f64 - 1.0).max(0.0);
        let (low, part) = (place as usize, place.fract());
        let high = (low + 1).min(POINTS - 1);
        let rise = (i as f64 / 12.0).min(1.0);
        let live = rise * (total(low) * (1.0 - part) + total(high) * part);
        let live = live * (0.99 + 0.02 * dice.roll());
        resident = (resident * 0.985).max(live * 1.18);
        let retained = (resident - live * 1.12).max(0.0);
        Moment { at, live: live as u64, resident: resident as u64, retained: retained as u64 }
    };
    (0..=300).map(moment).collect()
}

fn ledger(profile: &Profile) -> Ledger {
    let last = profile.moments.last().expect("moments were made");
    let peak = profile.moments.iter().max_by_key(|it| it.live).expect("moments were made");
    let sum = |part: &dyn Fn(&Class) -> u64| profile.classes.iter().map(part).sum::<u64>();
    let metadata = 3 << 20;
    let cached = sum(&|it| it.cached * it.block_size);
    let free_blocks = 22 << 20;
    Ledger {
        live: last.live,
        requested: (last.live as f64 * 0.93) as u64,
        peak_live: peak.live,
        peak_at: peak.at,
        free_blocks,
        cached,
        uncarved: sum(&|it| (it.capacity - it.carved) * it.block_size),
        retained: last.retained,
        metadata,
        profiler: 1 << 20,
        resident: last.live + free_blocks + cached + last.retained + metadata,
        peak_resident: profile.moments.iter().map(|it| it.resident).max().unwrap_or(0),
        mapped: 2 << 30,
        allocations: 91_400_123,
        remote_frees: 9_000_530,
        threads: 3,
        peak_threads: 16,
    }
}
