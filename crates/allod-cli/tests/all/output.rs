//! Where the report goes, and what it looks like there.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{actor, allod, answer, directory, errors, run};

#[test]
fn the_summary_fits_one_screen() {
    let words = ["child", "alloc=64", "end"].repeat(10);
    let output = run(&[]).arg(actor()).args(words).output().expect("it starts");
    let text = errors(&output);
    assert!(text.starts_with("allod: "), "{text}");
    assert!(text.lines().count() <= 24, "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(!text.contains('\x1b'), "no colours in a pipe");
}

#[test]
fn colours_when_they_are_forced() {
    let output = run(&[]).arg(actor()).env("CLICOLOR_FORCE", "1").output().expect("it starts");
    assert!(errors(&output).contains("\x1b[1m"), "{}", errors(&output));
    let mut command = run(&["--json"]);
    let output = command.arg(actor()).env("CLICOLOR_FORCE", "1").output().expect("it starts");
    assert!(!errors(&output).contains('\x1b'), "{}", errors(&output));
}

#[test]
fn quiet_is_quiet() {
    let output = run(&["--quiet"]).arg(actor()).arg("print=out").output().expect("it starts");
    assert_eq!(answer(&output), "out\n");
    assert_eq!(errors(&output), "");
}

#[test]
fn json_on_standard_error() {
    let output = run(&["--json"]).arg(actor()).arg("exit=3").output().expect("it starts");
    let report: Value = errors(&output).parse().expect("one JSON object and nothing else");
    assert_eq!(report["schema"], "allod-run/1");
    assert_eq!(report["outcome"]["exit_code"], 3);
    assert_eq!(report["command"][1], "exit=3");
}

#[test]
fn the_report_in_a_file() {
    let file = directory().join("report.txt");
    let path = file.to_str().expect("a plain path");
    // Even forced colours are not for files.
    let mut command = run(&["--output", path]);
    let output = command.arg(actor()).env("CLICOLOR_FORCE", "1").output().expect("it starts");
    assert_eq!(errors(&output), "");
    let text = fs::read_to_string(&file).expect("the summary");
    assert!(text.starts_with("allod: ") && !text.contains('\x1b'), "{text}");
}

#[test]
fn a_file_that_cannot_be_written_stops_it_before_the_start() {
    let mark = directory().join("mark");
    let mut command = run(&["--output", "/nonexistent/report"]);
    let output = command.arg("touch").arg(&mark).output().expect("it starts");
    assert_eq!(output.status.code(), Some(125));
    assert!(!mark.exists(), "the program was started");
}

#[test]
fn nobody_reads_the_summary() {
    // The far end of standard error is closed before anything is written to it.
    for options in [[].as_slice(), &["--json"]] {
        let mut command = run(options);
        command.arg(actor()).args(["read", "exit=6"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        drop(child.stderr.take());
        drop(child.stdin.take());
        assert_eq!(child.wait().expect("it ends").code(), Some(6));
    }
    // And with a device that is full.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let status = run(&[]).arg(actor()).arg("exit=6").stderr(full).status().expect("it starts");
    assert_eq!(status.code(), Some(6));
    // A verb whose answer nobody reads is content; one that cannot answer is not.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let status = allod().arg("where").stdout(full).stderr(Stdio::null()).status();
    assert_eq!(status.expect("it starts").code(), Some(125));
}

#[test]
fn the_options_reach_the_program() {
    let seen = |command: &mut std::process::Command| {
        let output = command.args(["sh", "-c", "echo $ALLOD_CONF"]).output().expect("it starts");
        answer(&output)
    };
    assert_eq!(seen(&mut run(&["--quiet"])), "\n");
    assert_eq!(seen(run(&["--quiet"]).env("ALLOD_CONF", "a:1")), "a:1\n");
    let mut command = run(&["--quiet", "--conf", "b:2,c:3"]);
    assert_eq!(seen(command.env("ALLOD_CONF", "a:1")), "b:2,c:3\n");
}

#[test]
fn arguments_go_through_as_they_are() {
    let strange = ["--json", "-x", "", "a b", "--", "$HOME"];
    let mut command = run(&["--quiet"]);
    command.args(["sh", "-c", "for i; do echo \"<$i>\"; done", "name"]).args(strange);
    let output = command.output().expect("it starts");
    let wanted: String = strange.iter().map(|word| format!("<{word}>\n")).collect();
    assert_eq!(answer(&output), wanted);

    // The two hyphens can be left out.
    let mut command = allod();
    command.args([
        "run",
        "--no-profile",
        "--quiet",
        "sh",
        "-c",
        "echo \"$0\" \"$1\"",
        "--quiet",
        "-h",
    ]);
    assert_eq!(answer(&command.output().expect("it starts")), "--quiet -h\n");
}
