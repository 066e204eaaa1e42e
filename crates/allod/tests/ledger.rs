//! The ledger: its sums, the kernel's figure, and its faces, read back.
//!
//! One test, so that no other thread allocates while figures are compared.

#[cfg(not(feature = "system"))]
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

#[global_allocator]
static GLOBAL: allod::Allod = allod::Allod::new();

/// A text that takes what fits and does not allocate.
struct Fixed {
    bytes: [u8; 64 << 10],
    len: usize,
}

impl Fixed {
    fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).expect("text")
    }
}

impl Write for Fixed {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + text.len()).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

/// A family of metrics: its type, and its values by their labels.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    values: BTreeMap<String, f64>,
}

fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|it| it.is_ascii_alphanumeric() || it == '_')
}

/// Reads the text format of Prometheus: each family has one HELP, one TYPE, and then its
/// samples, together; no sample is there twice; the last line ends.
fn prometheus(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').expect("words of help");
            assert!(is_name(name) && !words.is_empty() && !words.contains('\\'), "{line}");
            assert!(families.insert(name.to_owned(), Family::default()).is_none(), "{line}: again");
            name.clone_into(&mut current);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert_eq!(name, current, "{line}");
            assert!(matches!(kind, "gauge" | "counter"), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            kind.clone_into(&mut families.get_mut(name).expect("has its HELP").kind);
        } else {
            let (who, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = who.split_once('{').unwrap_or((who, "}"));
            assert_eq!(name, current, "{line}");
            let labels = labels.strip_suffix('}').expect("labels end");
            if !labels.is_empty() {
                let (key, value) = labels.split_once('=').expect("a label");
                let value = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
                let plain = value.is_some_and(|it| !it.contains(['"', '\\', '\n']));
                assert!(is_name(key) && plain, "{line}");
            }
            let family = families.get_mut(name).expect("has its HELP");
            assert!(!family.kind.is_empty(), "{line} before its TYPE");
            let value = value.parse().expect("a number");
            assert!(family.values.insert(labels.to_owned(), value).is_none(), "{line}: again");
        }
    }
    families
}

/// What the kernel has of this process in memory.
#[cfg(not(feature = "system"))]
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: usize = text.split(' ').nth(1).expect("a number").parse().expect("a number");
    // SAFETY: a query without preconditions.
    #[allow(unsafe_code)]
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages * usize::try_from(page).expect("a size")
}

#[cfg(not(feature = "system"))]
#[test]
fn the_ledger_adds_up_and_its_faces_agree() {
    let mut out = Box::new(Fixed { bytes: [0; 64 << 10], len: 0 });
    allod::trim(0);
    let (before, kernel_before) = (allod::stats(), resident());
    let small: Vec<Vec<u8>> = (0..50_000).map(|i| vec![1; 1 + i % 1500]).collect();
    let other = std::thread::spawn(|| (0..5000).map(|i| vec![1_u8; i]).collect::<Vec<_>>());
    let other = other.join().expect("the thread ends");
    let large: Vec<Vec<u8>> = (1..40).map(|i| vec![1; 20_000 * i]).collect();
    let huge = [vec![1_u8; 3 << 20], vec![1_u8; 30 << 20]];
    let kept: Vec<_> = small.into_iter().step_by(3).collect();
    let (stats, kernel) = (allod::stats(), resident());

    // What is in use holds what is live, what is free in spans, and nothing else.
    let free = stats.cached + stats.free_blocks + stats.uncarved;
    assert_eq!(stats.allocated + free, stats.active, "{stats:?}");
    let classes = |of: fn(&allod::ClassStats) -> usize| stats.classes.iter().map(of).sum::<usize>();
    assert_eq!(
        classes(|row| row.in_use * row.block_size) + stats.large + stats.huge,
        stats.allocated
    );
    assert_eq!(classes(|row| row.cached * row.block_size), stats.cached);
    assert_eq!(
        classes(|row| (row.carved - row.in_use - row.cached) * row.block_size),
        stats.free_blocks
    );
    // All of `large` but the first, and the lists `kept` and `other`.
    assert_eq!(stats.large_objects - before.large_objects, 40);
    assert_eq!(stats.huge_objects - before.huge_objects, 2);
    assert!(stats.free_blocks > 10 << 20, "two of three small objects were freed");
    // Our memory is what the kernel says, and the ledger explains it: what was never
    // carved may be there or not. An emulator's kernel has the emulator's memory as well.
    if std::env::var_os("ALLOD_TEST_EMULATED").is_none() {
        let (ours, theirs) = (stats.resident - before.resident, kernel - kernel_before);
        assert!(ours.abs_diff(theirs) < theirs / 50, "we say {ours}, the kernel {theirs}");
    }
    let explained = stats.active - stats.uncarved + stats.retained + stats.metadata;
    assert!(explained <= stats.resident + stats.resident / 50, "{stats:?}");
    assert!(explained + stats.uncarved >= stats.resident - stats.resident / 50, "{stats:?}");

    // Neither face allocates.
    let count = allod::stats().allocations;
    stats.write_prometheus(&mut *out).expect("there is room");
    let metrics_len = out.len;
    stats.write_json(&mut *out).expect("there is room");
    assert_eq!(allod::stats().allocations, count);
    let (metrics, json) = out.text().split_at(metrics_len);
    let (metrics, json) = (prometheus(metrics), json.parse::<Value>().expect("JSON"));
    let one = |name: &str| metrics[name].values[""];
    for (field, metric, value) in [
        ("allocated", "allod_live_bytes", stats.allocated),
        ("peak_allocated", "allod_peak_live_bytes", stats.peak_allocated),
        ("large", "allod_large_bytes", stats.large),
        ("huge", "allod_huge_bytes", stats.huge),
        ("large_objects", "allod_large_objects", stats.large_objects),
        ("huge_objects", "allod_huge_objects", stats.huge_objects),
        ("free_blocks", "allod_free_block_bytes", stats.free_blocks),
        ("cached", "allod_cached_bytes", stats.cached),
        ("uncarved", "allod_uncarved_bytes", stats.uncarved),
        ("active", "allod_active_bytes", stats.active),
        ("retained", "allod_retained_bytes", stats.retained),
        ("metadata", "allod_metadata_bytes", stats.metadata),
        ("resident", "allod_resident_bytes", stats.resident),
        ("mapped", "allod_mapped_bytes", stats.mapped),
        ("allocations", "allod_allocations_total", stats.allocations),
        ("remote_frees", "allod_remote_frees_total", stats.remote_frees),
        ("threads", "allod_threads", stats.threads),
        ("peak_threads", "allod_peak_threads", stats.peak_threads),
        ("system_calls", "allod_system_calls_total", stats.system_calls),
        ("purged", "allod_purged_bytes_total", stats.purged),
        ("copied", "allod_copied_bytes_total", stats.copied),
    ] {
        assert_eq!(
            (json[field].as_u64(), one(metric)),
            (Some(value as u64), value as f64),
            "{field}"
        );
    }
    assert_eq!(json["backend"], "allod");
    assert_eq!(metrics["allod_backend_info"].values["backend=\"allod\""], 1.0);
    let rows = json["classes"].as_array().expect("classes");
    let used = stats.classes.iter().filter(|class| class.spans != 0);
    assert_eq!(rows.len(), used.clone().count());
    for (row, class) in rows.iter().zip(used) {
        assert_eq!(row["block_size"], class.block_size);
        let label = format!("block_bytes=\"{}\"", class.block_size);
        for (field, metric, value) in [
            ("spans", "allod_class_spans", class.spans),
            ("capacity", "allod_class_capacity_blocks", class.capacity),
            ("carved", "allod_class_carved_blocks", class.carved),
            ("in_use", "allod_class_in_use_blocks", class.in_use),
            ("cached", "allod_class_cached_blocks", class.cached),
        ] {
            assert_eq!(row[field], value, "{field} of {label}");
            assert_eq!(metrics[metric].values[&label], value as f64, "{field} of {label}");
        }
    }
    let mut half = stats;
    half.system_nanoseconds = 1_050_000_000;
    let mut text = String::new();
    half.write_prometheus(&mut text).expect("a string takes it");
    let seconds = prometheus(&text)["allod_system_seconds_total"].values[""];
    assert!((seconds - 1.05).abs() < 1e-9);

    // Thread by thread.
    let mut threads = Vec::with_capacity(100);
    allod::threads(|it| threads.push(*it));
    assert_eq!(threads.len(), allod::stats().threads);
    // SAFETY: a query without preconditions.
    #[allow(unsafe_code)]
    let me = unsafe { libc::syscall(libc::SYS_gettid) } as u64;
    let mine = threads.iter().find(|it| it.thread == me).expect("this thread");
    assert!(mine.allocations > 50_000 && mine.allocations <= allod::stats().allocations);
    drop((kept, other, large, huge));
}

#[cfg(feature = "system")]
#[test]
fn the_faces_say_that_the_platform_serves() {
    let mut text = String::new();
    let stats = allod::stats();
    stats.write_prometheus(&mut text).expect("a string takes it");
    let metrics = prometheus(&text);
    assert_eq!(metrics["allod_backend_info"].values["backend=\"system\""], 1.0);
    assert_eq!(metrics["allod_live_bytes"].values[""], 0.0);
    text.clear();
    stats.write_json(&mut text).expect("a string takes it");
    assert!(text.starts_with("{\"backend\":\"system\",\"allocated\":0,"), "{text}");
    assert!(text.ends_with("\"classes\":[]}"), "{text}");
    let mut out = Fixed { bytes: [0; 64 << 10], len: (64 << 10) - 10 };
    assert!(stats.write_json(&mut out).is_err(), "no room");
    assert!(out.text().ends_with("{\"backend\":\"") || out.len <= 64 << 10);
    allod::threads(|it| panic!("{it:?}"));
}
