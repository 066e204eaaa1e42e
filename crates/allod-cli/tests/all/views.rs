//! Profiles of a real program, looked at: in the summary, as a file, and while it runs.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Running, actor, allod, answer, directory, errors};

/// A profile of the actor, which held 64 MiB when it ended.
fn profile(directory: &std::path::Path) -> String {
    let mut command = allod();
    command.current_dir(directory).args(["run", "--sample", "64KiB", "-o", "actor.pb.gz", "--"]);
    let output = command.arg(actor()).args(["alloc=65536", "end"]).output().expect("it starts");
    errors(&output)
}

#[test]
fn the_summary_names_the_place_and_the_profile() {
    let directory = directory();
    let text = profile(&directory);
    assert!(text.contains("live at the peak"), "{text}");
    assert!(text.contains("allod report actor.pb.gz"), "{text}");
    assert!(text.lines().count() <= 24, "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    // The actor's own code holds it, and nobody below.
    assert!(text.contains("main.rs") || text.contains("actor"), "{text}");
}

#[test]
fn a_report_is_made_of_a_profile() {
    let directory = directory();
    profile(&directory);
    let report = |options: &[&str]| {
        let mut command = allod();
        command.current_dir(&directory).args(["report", "actor.pb.gz"]).args(options);
        let output = command.output().expect("it starts");
        assert!(output.status.success(), "{}", errors(&output));
        answer(&output)
    };
    assert_eq!(report(&[]), "actor.html\n");
    let html = fs::read_to_string(directory.join("actor.html")).expect("a file");
    assert!(html.starts_with("<!doctype html>") && html.contains("alloc"));
    assert_eq!(report(&["-o", "-"]), html);

    let json: Value = report(&["--json"]).parse().expect("it is JSON");
    assert_eq!(json["schema"], "allod-report/1");
    let sites = json["profile"]["sites"].as_array().expect("sites");
    let peak: f64 = sites.iter().filter_map(|site| site["peak"]["bytes"].as_f64()).sum();
    assert!(peak > 32.0 * 1_048_576.0, "{peak}");

    let text = report(&["--text"]);
    assert!(text.contains("live at the peak") && !text.contains('\x1b'), "{text}");
    // Two profiles are compared.
    let changed: Value = report(&["actor.pb.gz", "--json"]).parse().expect("it is JSON");
    assert!(changed["before"].is_object());
}

#[test]
fn what_is_no_profile_is_refused_in_words() {
    let directory = directory();
    fs::write(directory.join("x"), "nothing of the kind").expect("a file");
    for file in ["x", "missing"] {
        let output = allod().current_dir(&directory).args(["report", file]).output();
        let output = output.expect("it starts");
        assert_eq!(output.status.code(), Some(125));
        assert!(errors(&output).starts_with(&format!("allod: {file}: ")), "{}", errors(&output));
        assert!(!directory.join("x.html").exists());
    }
}

#[test]
fn a_running_process_is_watched_from_outside() {
    let mut command = allod();
    command.args(["run", "--no-profile", "--quiet", "--conf", "profile:65536", "--"]);
    command.arg(actor()).args(["alloc=65536", "pid", "read"]);
    let mut running = Running::start(&mut command);
    let pid = running.line();
    let process: u32 = pid.parse().expect("a number");
    let top = |options: &[&str]| {
        let mut command = allod();
        let output = command.arg("top").args(options).stdin(Stdio::null()).output();
        output.expect("it starts")
    };
    let output = top(&["--json", &pid]);
    assert!(output.status.success(), "{}", errors(&output));
    let json: Value = answer(&output).parse().expect("it is JSON");
    assert_eq!(json["schema"], "allod-top/1");
    assert_eq!(json["pid"], process);
    // The process brings its own figures up to date now and then; its sites are current.
    let places = json["places"].as_array().expect("places");
    let live: f64 = places.iter().filter_map(|place| place["live"]["bytes"].as_f64()).sum();
    assert!((48.0..80.0).contains(&(live / 1_048_576.0)), "{json}");

    let text = answer(&top(&["--once", &pid]));
    assert!(text.contains(&pid) && text.contains("sorted by live"), "{text}");
    assert_eq!(text.lines().count(), 24, "{text}");
    let list: Value = answer(&top(&["--json"])).parse().expect("it is JSON");
    let processes = list["processes"].as_array().expect("a list");
    assert!(processes.iter().any(|it| it["pid"] == process), "{list}");
    drop(running.finish());

    let output = top(&["--once", "999999999"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(errors(&output).contains("999999999"), "{}", errors(&output));
}
