//! Profiles from a program's start to another tool's file: `run`, `export`,
//! `compare`, `check`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Running, actor, allod, answer, directory, errors, inside_actor, send};

/// Starts the actor in a directory of its own and says what it left there.
fn left_by(options: &[&str], program: &Path, words: &[&str]) -> (PathBuf, Vec<String>) {
    let place = directory();
    let mut command = allod();
    command.arg("run").args(options).arg("--").arg(program).args(words).current_dir(&place);
    let output = command.output().expect("it starts");
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    (place.clone(), files(&place))
}

fn files(place: &Path) -> Vec<String> {
    let entries = fs::read_dir(place).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().display().to_string()).collect();
    names.sort();
    names
}

/// A profile of a program that holds so many KiB.
fn profile(kib: u32) -> PathBuf {
    let (place, files) = left_by(&["--sample", "4096"], actor(), &[&format!("alloc={kib}")]);
    let [name] = &files[..] else { panic!("{files:?}") };
    assert!(name.starts_with("allod-actor.") && name.ends_with(".pb.gz"), "{name}");
    place.join(name)
}

fn export(profile: &Path, options: &[&str]) -> String {
    let output = allod().arg("export").arg(profile).args(options).output().expect("it starts");
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    answer(&output)
}

fn json(command: &mut Command) -> (Option<i32>, Value) {
    let output = command.output().expect("it starts");
    let text = answer(&output);
    let value = text.parse().unwrap_or_else(|error| panic!("{error}: {text} {}", errors(&output)));
    (output.status.code(), value)
}

#[test]
fn a_run_leaves_a_profile_that_can_be_exported() {
    let profile = profile(8192);
    let folded = export(&profile, &["--to", "folded", "--value", "peak"]);
    let line = folded.lines().find(|line| line.contains("main")).expect("a stack");
    let bytes: f64 =
        folded.lines().filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
    // One sample in 4 KiB: 2048 of them, and one deviation is 2%.
    assert!((6e6..11e6).contains(&bytes), "{bytes}: {line}");
    // The sampler leaves Allod's own frames out, and Rust's way to it is trimmed.
    let ends = |text: &str, function: &str| {
        text.lines()
            .filter(|line| line.rsplit_once(' ').is_some_and(|it| it.0.ends_with(function)))
            .count()
    };
    assert_eq!(ends(&folded, "alloc::alloc::realloc"), 0, "{folded}");
    let full = export(&profile, &["--to", "folded", "--value", "peak", "--full-stacks"]);
    assert!(ends(&full, "alloc::alloc::realloc") > 0, "{full}");
    let whole: Value = export(&profile, &["--to", "json"]).parse().expect("JSON");
    assert_eq!(whole["reason"], "exit");
    assert_eq!(whole["interval"], 4096);
    let file = directory().join("speedscope.json");
    export(&profile, &["--to", "speedscope", "-o", file.to_str().expect("plain")]);
    let scope: Value = fs::read_to_string(file).expect("a file").parse().expect("JSON");
    assert_eq!(scope["name"], "actor");
}

#[test]
fn profiles_go_where_they_are_sent() {
    let place = directory();
    let file = place.join("mine.pb.gz");
    let words = ["alloc=64"];
    let (empty, files_there) = left_by(&["-o", file.to_str().expect("plain")], actor(), &words);
    assert_eq!(files_there, Vec::<String>::new(), "{}", empty.display());
    assert_eq!(files(&place), ["mine.pb.gz"]);
    let (_, none) = left_by(&["--no-profile"], actor(), &words);
    assert_eq!(none, Vec::<String>::new());
    let (_, quiet) = left_by(&["--quiet"], actor(), &words);
    assert_eq!(quiet.len(), 1, "{quiet:?}");
    let (_, inside) = left_by(&[], inside_actor(), &words);
    assert!(inside[0].starts_with("allod-inside-actor."), "{inside:?}");
}

#[test]
fn children_are_profiled_when_they_are_asked_for() {
    let words = ["alloc=64", "child", "alloc=64", "exit=0", "end"];
    let (_, one) = left_by(&[], actor(), &words);
    assert_eq!(one.len(), 1, "{one:?}");
    let (_, two) = left_by(&["--children"], actor(), &words);
    assert_eq!(two.len(), 2, "{two:?}");
    let output = allod().args(["run", "--children", "-o", "x.pb.gz", "true"]).output();
    let output = output.expect("it starts");
    assert_eq!(output.status.code(), Some(125));
    assert!(errors(&output).contains("has to name a directory"), "{}", errors(&output));
}

/// The command looks at the program before it passes on what may end it.
#[test]
fn a_program_that_a_signal_ends_leaves_what_was_seen_of_it() {
    let place = directory();
    let mut command = allod();
    command.args(["run", "--sample", "4096", "--"]).arg(actor()).args([
        "alloc=8192",
        "pid",
        "read",
    ]);
    let mut running = Running::start(command.current_dir(&place));
    let pid: i32 = running.line().parse().expect("a number");
    running.signal(Signal::SIGTERM);
    // Its input stays open until it has ended, or it would end by itself.
    assert_eq!(running.line(), "");
    let output = running.finish();
    assert!(errors(&output).contains("ms before signal 15 ended it"), "{}", errors(&output));
    let name = format!("allod-actor.{pid}.pb.gz");
    assert_eq!(files(&place), [name.as_str()], "{}", errors(&output));
    let folded = export(&place.join(name), &["--to", "folded"]);
    assert!(folded.lines().any(|line| line.contains("main")), "{folded}");
}

/// Nobody is told before SIGKILL: there is a profile if the command has looked by then.
#[test]
fn the_summary_says_what_is_left_of_a_killed_program() {
    let place = directory();
    let mut command = allod();
    command.args(["run", "--"]).arg(actor()).args(["alloc=64", "pid", "read"]);
    let mut running = Running::start(command.current_dir(&place));
    let pid = running.line().parse().expect("a number");
    send(pid, Signal::SIGKILL);
    assert_eq!(running.line(), "");
    let output = running.finish();
    let said = errors(&output);
    match &files(&place)[..] {
        [] => assert!(said.contains("before anybody had looked"), "{said}"),
        [_] => assert!(said.contains("ms before signal 9 ended it"), "{said}"),
        more => panic!("{more:?}"),
    }
}

#[test]
fn the_callers_settings_are_kept() {
    let place = directory();
    let mut command = allod();
    command.args(["run", "--"]).arg(actor()).args(["alloc=64"]).current_dir(&place);
    let output = command.env("ALLOD_CONF", "profile_dump:none").output().expect("it starts");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(files(&place), Vec::<String>::new(), "{}", errors(&output));
}

#[test]
fn growth_is_found_and_fails_a_build() {
    let (small, large) = (profile(4096), profile(8192));
    let mut command = allod();
    command.arg("compare").args([&small, &large]);
    let (code, value) = json(command.args(["--json", "--value", "peak", "--fail-if", "+50% peak"]));
    assert_eq!(code, Some(1), "{value}");
    assert_eq!(value["failed"][0], "+50% peak");
    assert_eq!(value["changes"][0]["significant"], true, "{value}");
    assert_eq!(value["changes"][0]["fate"], "both", "{value}");
    let mut command = allod();
    command.arg("compare").args([&small, &small]).args(["--fail-if", "+0% live"]);
    let output = command.output().expect("it starts");
    assert_eq!(output.status.code(), Some(0), "{}", answer(&output));
    assert!(answer(&output).contains("No site differs"), "{}", answer(&output));
    let output = allod().args(["compare", "a", "b", "--fail-if", "5%"]).output();
    let output = output.expect("it starts");
    assert_eq!(output.status.code(), Some(125));
    assert!(errors(&output).contains("a condition is"), "{}", errors(&output));
}

#[test]
fn a_running_process_is_read_and_checked() {
    let mut command = allod();
    command.args(["run", "--no-profile", "--quiet", "--conf", "profile:4096", "--"]);
    command.arg(actor()).args(["alloc=4096", "pid", "read"]);
    let mut running = Running::start(&mut command);
    let pid = running.line();
    let folded = export(Path::new(&pid), &["--to", "folded"]);
    let (code, checked) = json(allod().args(["check", &pid, "--json"]));
    let own = json(allod().args(["check", &std::process::id().to_string(), "--json"]));
    running.finish();
    assert!(folded.contains("main"), "{folded}");
    assert_eq!(code, Some(0), "{checked}");
    assert!(checked["findings"][0]["what"].to_string().contains("runs on Allod"), "{checked}");
    assert_eq!(own.0, Some(1), "{}", own.1);
    assert!(own.1.to_string().contains("does not run on Allod"), "{}", own.1);
}

#[test]
fn what_is_no_profile_is_refused_in_words() {
    for (what, says) in [
        ("/etc/passwd", "neither a profile nor a heap dump"),
        ("/not/there", "No such file"),
        ("2147483646", "there is none with this number"),
    ] {
        let output = allod().args(["export", what, "--to", "csv"]).output().expect("it starts");
        assert_eq!(output.status.code(), Some(125));
        assert!(errors(&output).contains(says), "{}", errors(&output));
    }
}

#[test]
fn a_program_is_checked_before_it_is_run() {
    let (code, value) = json(allod().args(["check", "--json"]).arg(actor()));
    assert_eq!(code, Some(0), "{value}");
    let mut command = allod();
    command.args(["check", "--json"]).env("ALLOD_CONF", "nonsense:1").arg(actor());
    let (code, value) = json(&mut command);
    assert_eq!(code, Some(1), "{value}");
    assert!(value.to_string().contains("'nonsense:1': no option has this name"), "{value}");
    let (code, value) = json(allod().args(["check", "--json", "/etc/passwd"]));
    assert_eq!(code, Some(1), "{value}");
}
