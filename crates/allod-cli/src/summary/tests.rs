//! Tests of the summary: what it says, and that it always fits one screen.

use super::*;
use crate::launch::Usage;
use crate::program::Elf;
use crate::report::Face;
use std::ffi::OsString;
use std::fs::File;
use std::time::Duration;

fn library(origin: Origin) -> Library {
    let command = File::open("/proc/self/exe").expect("our own file");
    let machine = Elf::read(&command).expect("an ELF file").machine;
    Library::for_tests(origin, machine)
}

fn image(name: &str, figures: Figures) -> Image {
    let faces = vec![Face::Library];
    Image { name: name.into(), faces, ended: true, page_size: Bytes(4096), figures }
}

fn report(command: &[&str], status: i32, processes: Vec<Process>) -> Report {
    Report {
        command: command.iter().map(OsString::from).collect(),
        outcome: Outcome {
            looked: None,
            pid: 4242,
            status: ExitStatus::from_raw(status),
            wall: Duration::from_millis(3210),
            usage: Usage {
                max_resident: Bytes(700 << 20),
                minor_faults: Count(12345),
                major_faults: Count(3),
                user: Duration::from_millis(2900),
                system: Duration::from_millis(200),
            },
        },
        processes,
        turned_away: 0,
        unfilled: 0,
        profile: None,
        remarks: Vec::new(),
    }
}

const FIGURES: Figures = Figures {
    threads: Count(1),
    peak_threads: Count(16),
    live: Bytes(12 << 20),
    peak_live: Bytes(412 << 20),
    allocations: Count(91_400_123),
    active: Bytes(16 << 20),
    peak_active: Bytes(500 << 20),
    resident: Bytes(48 << 20),
    peak_resident: Bytes(655 << 20),
    mapped: Bytes(1 << 30),
    retained: Bytes(30 << 20),
    metadata: Bytes(2 << 20),
    cached: Bytes(1 << 20),
    huge: Bytes(8 << 20),
    system_calls: Count(1234),
    system_time: Duration::from_micros(12_300),
    purged: Bytes(1 << 30),
    remote_frees: Count(4321),
};

fn plain(report: &Report) -> String {
    let text = print(report, &library(Origin::Carried));
    anstream::adapter::strip_str(&text).to_string()
}

/// Every line fits, and so does their number.
fn check_size(text: &str) {
    assert!(text.lines().count() <= LINES, "{} lines:\n{text}", text.lines().count());
    for line in text.lines() {
        assert!(width(line) <= COLUMNS, "{} columns: {line}", width(line));
    }
}

#[test]
fn one_process() {
    let images = vec![image("server", FIGURES)];
    let text = plain(&report(
        &["./server", "--port", "80"],
        0,
        vec![Process { pid: 4242, parent: 1, images }],
    ));
    // The README shows this very screen.
    assert!(include_str!("../../README.md").contains(&text), "{text}");
    check_size(&text);
}

fn profiled(path: &str, leaks: bool) -> Option<Profiled> {
    let profile = crate::synthetic::server();
    Some(Profiled { profile, path: Some(path.into()), leaks })
}

#[test]
fn a_profile_tells_who_holds_memory() {
    let images = vec![image("server", FIGURES)];
    let mut report =
        report(&["./server", "--port", "80"], 0, vec![Process { pid: 4242, parent: 1, images }]);
    report.profile = profiled("allod-server.4242.pb.gz", false);
    let text = plain(&report);
    check_size(&text);
    // The README shows this very screen, too.
    assert!(include_str!("../../README.md").contains(&text), "{text}");
    assert_eq!(text.lines().count(), 20, "{text}");
    // The terms are the sum that is printed.
    let lines = text.lines().skip_while(|line| !line.contains(" = "));
    let lines = lines.take_while(|line| !line.starts_with("  system"));
    let sum = lines.collect::<Vec<_>>().join(" ");
    let number = |word: &str| word.parse::<f64>().ok();
    let numbers: Vec<f64> = sum.replace("- ", "-").split_whitespace().filter_map(number).collect();
    let parts: f64 = numbers[1..].iter().sum();
    assert!((parts - numbers[0]).abs() < 0.001, "{numbers:?}");

    report.profile = profiled("allod-server.4242.pb.gz", true);
    let text = plain(&report);
    check_size(&text);
    assert!(text.contains("1 place grows to the end") && text.contains("Session::new"), "{text}");
}

#[test]
fn a_profile_and_many_processes_fit_together() {
    let process =
        |i: u32| Process { pid: 4242 + i, parent: 1, images: vec![image("cc1", FIGURES)] };
    let mut report = report(&["make"], 0, (0..40).map(process).collect());
    let long = "/a/directory/with/a/name/that/is/long/enough/profile.pb.gz";
    for path in ["short.pb.gz", long, &format!("{:>46}", "x"), &format!("{:>47}", "x")] {
        for leaks in [false, true] {
            report.profile = profiled(path, leaks);
            let text = plain(&report);
            check_size(&text);
            assert!(text.contains("the biggest others") && text.contains("see it:"), "{text}");
        }
    }
}

#[test]
fn a_profile_alone_fits_one_screen() {
    for profile in [crate::synthetic::server(), crate::synthetic::nothing()] {
        let text = of_profile(&profile);
        check_size(&anstream::adapter::strip_str(&text).to_string());
    }
    assert!(of_profile(&crate::synthetic::nothing()).contains("nothing sampled"));
}

#[test]
fn it_fits_whatever_comes() {
    let huge = Bytes(u64::MAX / 8);
    let worst = Figures {
        live: huge,
        peak_live: huge,
        active: Bytes(u64::MAX / 4),
        peak_active: huge,
        resident: huge,
        peak_resident: huge,
        retained: huge,
        metadata: huge,
        cached: huge,
        huge,
        purged: huge,
        allocations: Count(u64::MAX),
        system_calls: Count(u64::MAX),
        remote_frees: Count(u64::MAX),
        peak_threads: Count(u64::from(u32::MAX)),
        system_time: Duration::from_nanos(u64::MAX),
        ..FIGURES
    };
    let name = "a-name-of-a-process-that-is-much-longer-than-any-column\x1b[31m";
    let images = || (0..50).map(|_| image(name, worst)).collect();
    let processes = (0..100).map(|i| Process { pid: 4242 + i, parent: 1, images: images() });
    let words = vec![name; 40];
    for status in [0, 255 << 8, 9, 11 | 128, 34] {
        let mut report = report(&words, status, processes.clone().collect());
        report.turned_away = u32::MAX;
        report.unfilled = 7;
        let text = plain(&report);
        check_size(&text);
        assert!(!text.contains('\x1b'), "names must not command the terminal");
        // What is left of the screen goes to the others, and that is some of it.
        let table = text.lines().skip_while(|line| !line.contains("the biggest others"));
        assert!(table.count() > 2, "no table:\n{text}");
        assert_eq!(text.lines().count(), LINES, "{text}");
    }
}

#[test]
fn the_way_it_ended_is_in_words() {
    let table = [
        (0, "exit code 0"),
        (3 << 8, "exit code 3"),
        (9, "killed by SIGKILL"),
        (6 | 128, "killed by SIGABRT, core dumped"),
        (40, "killed by signal 40"),
    ];
    for (status, words) in table {
        assert_eq!(end(ExitStatus::from_raw(status)), words);
    }
}

#[test]
fn a_replaced_image_is_shown_as_such() {
    let images = vec![image("sh", FIGURES), image("env", FIGURES), image("server", FIGURES)];
    let text = plain(&report(&["sh"], 0, vec![Process { pid: 4242, parent: 1, images }]));
    assert!(text.contains("replaced by exec: sh > env > server;"), "{text}");
    check_size(&text);
}

#[test]
fn others_are_totalled_and_the_biggest_come_first() {
    let small = Figures { peak_resident: Bytes(1 << 20), ..FIGURES };
    let process = |pid, name: &str, figures| {
        let images = vec![image(name, figures)];
        Process { pid, parent: 4242, images }
    };
    let processes =
        vec![process(4242, "make", small), process(5, "small", small), process(6, "big", FIGURES)];
    let text = plain(&report(&["make"], 0, processes));
    assert!(text.contains("3 processes in all;"), "{text}");
    assert!(text.contains(": 1.21 GiB live, 657.00 MiB resident"), "{text}");
    let (big, small) = (text.find("  big\n"), text.find("  small\n"));
    assert!(big.is_some() && big < small, "{text}");
    assert!(!text.contains("  make\n"), "the program is shown above: {text}");
    check_size(&text);
}

#[test]
fn silence_is_explained() {
    let text = plain(&report(&["true"], 0, Vec::new()));
    assert!(text.contains("No process reported"), "{text}");
    assert!(text.contains("kernel      700.00 MiB"), "{text}");
    assert!(!text.contains("is not Allod's"), "{text}");
    check_size(&text);

    let given = print(&report(&["true"], 0, Vec::new()), &library(Origin::Given));
    assert!(given.contains("is not Allod's"), "{given}");

    let child = vec![Process { pid: 5, parent: 4242, images: vec![image("child", FIGURES)] }];
    let text = plain(&report(&["true"], 0, child));
    assert!(text.contains("The program itself reported nothing"), "{text}");
    assert!(text.contains("1 process in all;"), "{text}");
}
