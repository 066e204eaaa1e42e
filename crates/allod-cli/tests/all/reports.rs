//! What programs report, however they end. These need a library that reports.

use serde_json::Value;

use nix::sys::signal::Signal;

use crate::support::{
    Running, actor, directory, errors, inside_actor, marked_actor, number, report, run, send,
};

const MIB: u64 = 1 << 20;

/// The process that was started.
fn program(report: &Value) -> &Value {
    let pid = &report["outcome"]["pid"];
    let processes = report["processes"].as_array().expect("a list");
    let found = processes.iter().find(|process| process["pid"] == *pid);
    found.unwrap_or_else(|| panic!("the program did not report: {report}"))
}

/// The last image of the process that was started.
fn image(report: &Value) -> &Value {
    program(report)["images"].as_array().and_then(|images| images.last()).expect("an image")
}

/// Whether `bytes` are what the actor allocated, `mib` of them.
///
/// A process that ends by itself says what it had. One that is ended may have
/// said it a few MiB ago.
#[track_caller]
fn is_about(bytes: &Value, mib: u64) {
    let found = number(bytes);
    assert!((mib * MIB - 5 * MIB..mib * MIB + 2 * MIB).contains(&found), "{found} for {mib} MiB");
}

#[test]
fn peak_and_end_are_told_apart() {
    let (output, report) = report(actor(), &["alloc=20480", "free", "alloc=5120"]);
    assert_eq!(output.status.code(), Some(0));
    let image = image(&report);
    assert_eq!(image["name"], "actor");
    assert_eq!(image["faces"], serde_json::json!(["library"]));
    assert_eq!(image["ended"], true);
    assert!(number(&image["allocations"]) >= 400, "{image}");
    let peak = number(&image["peak_live_bytes"]);
    assert!((20 * MIB..22 * MIB).contains(&peak), "{image}");
    assert!(number(&image["peak_resident_bytes"]) >= 20 * MIB, "{image}");
    // The actor drops what it kept when it returns from `main`.
    assert!(number(&image["live_bytes"]) < MIB, "{image}");
    assert_eq!(number(&image["peak_threads"]), 1);
}

#[test]
fn killed_programs_have_reported() {
    // Small blocks and large ones are counted in different places.
    for word in ["alloc=20480", "large=20480"] {
        killed_with(word);
    }
}

fn killed_with(word: &str) {
    let words = [word, "pid", "sleep=60000"];
    let file = directory().join("report.json");
    let options = ["--json", "--output", file.to_str().expect("a plain path")];
    let mut running = Running::start(run(&options).arg(actor()).args(words));
    let pid = running.line().parse().expect("a number");
    send(pid, Signal::SIGKILL);
    running.finish();
    let text = std::fs::read_to_string(file).expect("a report");
    let report: Value = text.parse().expect("JSON");
    assert_eq!(report["outcome"]["signal"], 9);
    assert_eq!(report["outcome"]["pid"], pid);
    let image = image(&report);
    assert_eq!(image["ended"], false);
    is_about(&image["live_bytes"], 20);
    is_about(&image["peak_live_bytes"], 20);
    assert!(number(&image["resident_bytes"]) >= 15 * MIB, "{image}");
}

#[test]
fn a_program_that_leaves_at_once_has_reported() {
    let (output, report) = report(actor(), &["alloc=20480", "_exit=3"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(image(&report)["ended"], false);
    is_about(&image(&report)["live_bytes"], 20);

    let output = run(&[]).arg(actor()).args(["_exit=3"]).output().expect("it starts");
    assert!(errors(&output).contains("last known"), "{}", errors(&output));
}

#[test]
fn a_chain_of_programs_is_one_process() {
    let next = format!("exec={}", actor().display());
    let words = ["alloc=20480", &next, "alloc=40960", &next, "alloc=10240", "exit=2"];
    let (output, report) = report(actor(), &words);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(report["processes"].as_array().expect("a list").len(), 1, "{report}");
    let images = program(&report)["images"].as_array().expect("a list");
    assert_eq!(images.len(), 3, "{report}");
    is_about(&images[0]["peak_live_bytes"], 20);
    is_about(&images[1]["peak_live_bytes"], 40);
    is_about(&images[2]["peak_live_bytes"], 10);
    let ended: Vec<bool> = images.iter().map(|i| i["ended"] == true).collect();
    assert_eq!(ended, [false, false, true]);
    // The process's peak is that of its largest image.
    assert_eq!(report["total"]["peak_live_bytes"], images[1]["peak_live_bytes"]);

    let script = format!("exec {} exit=0", actor().display());
    let output = run(&[]).args(["sh", "-c", &script]).output().expect("it starts");
    assert!(errors(&output).contains("replaced by exec: "), "{}", errors(&output));
    assert!(errors(&output).contains(" > actor;"), "{}", errors(&output));
}

#[test]
fn children_are_totalled() {
    let first = ["child", "alloc=10240", "end"];
    let second = ["child", "alloc=20480", "raise=9", "end"];
    let words = [first.as_slice(), &second, &["alloc=1024"]].concat();
    let (_, report) = report(actor(), &words);
    let processes = report["processes"].as_array().expect("a list");
    assert_eq!(processes.len(), 3, "{report}");
    let parent = &report["outcome"]["pid"];
    assert_eq!(processes.iter().filter(|process| process["parent"] == *parent).count(), 2);

    for part in [
        "peak_live_bytes",
        "peak_active_bytes",
        "peak_resident_bytes",
        "peak_threads",
        "allocations",
        "remote_frees",
        "system_calls",
        "system_ns",
        "purged_bytes",
    ] {
        let parts = processes.iter().map(|process| number(&process["images"][0][part]));
        assert_eq!(parts.sum::<u64>(), number(&report["total"][part]), "{part}: {report}");
    }
    is_about(&report["total"]["peak_live_bytes"], 31);
}

#[test]
fn children_have_a_line_and_a_table() {
    let words = ["child", "alloc=10240", "end", "child", "alloc=20480", "end"];
    let output = run(&[]).arg(actor()).args(words).output().expect("it starts");
    let text = errors(&output);
    assert!(text.contains("3 processes in all;"), "{text}");
    let rows: Vec<&str> = text.lines().skip_while(|line| !line.contains("biggest")).collect();
    assert_eq!(rows.len(), 3, "{text}");
    assert!(rows[1].contains("20.") && rows[2].contains("10."), "{text}");
}

#[test]
fn the_resident_bytes_add_up() {
    let (_, report) = report(actor(), &["alloc=10240", "free", "alloc=3072", "exit=0"]);
    let image = image(&report);
    let made = &image["resident_is"];
    let parts = [
        "live_bytes",
        "free_in_spans_bytes",
        "free_in_caches_bytes",
        "free_slices_bytes",
        "records_bytes",
        "other_bytes",
    ];
    let sum: u64 = parts.iter().map(|part| number(&made[part])).sum();
    let resident = number(&image["resident_bytes"]);
    assert_eq!(sum - number(&made["not_resident_bytes"]), resident, "{image}");
    assert!(resident >= 3 * MIB, "{image}");
    // The library's own numbers agree, so little is left over.
    assert!(number(&made["other_bytes"]) <= resident / 10, "{image}");
}

#[test]
fn what_the_kernel_says() {
    let (_, report) = report(actor(), &["alloc=20480", "sleep=30"]);
    let kernel = &report["kernel"];
    assert!(number(&kernel["max_resident_bytes"]) >= 20 * MIB, "{kernel}");
    assert!(number(&kernel["minor_faults"]) > 50, "{kernel}");
    assert!(number(&report["wall_ns"]) >= 30_000_000, "{report}");
    let spent = number(&kernel["user_ns"]) + number(&kernel["system_ns"]);
    assert!(spent > 0 && spent < number(&report["wall_ns"]) * 2, "{report}");
}

#[test]
fn silence_is_said() {
    // It is started, because it is marked. It has nothing inside, so it says nothing.
    let output = run(&[]).arg(marked_actor()).arg("exit=4").output().expect("it starts");
    assert_eq!(output.status.code(), Some(4));
    assert!(errors(&output).contains("No process reported"), "{}", errors(&output));
    assert!(errors(&output).contains("kernel "), "{}", errors(&output));
}

#[test]
fn a_static_program_with_allod_inside_reports() {
    let (output, report) = report(inside_actor(), &["alloc=10240", "exit=5"]);
    assert_eq!(output.status.code(), Some(5), "{}", errors(&output));
    let image = image(&report);
    assert_eq!(image["faces"], serde_json::json!(["inside"]));
    assert!(number(&image["peak_live_bytes"]) >= 10 * MIB, "{image}");
}
