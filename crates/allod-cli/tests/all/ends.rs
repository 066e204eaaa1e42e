//! The command ends as the program ends, and with codes of its own when there
//! was none.

use std::os::unix::process::ExitStatusExt;

use std::process::Command;

use crate::support::{actor, allod, clean, directory, errors, line, run};

#[test]
fn the_exit_code_is_the_programs() {
    for code in [0, 1, 3, 125, 126, 127, 255] {
        let status = run(&["--quiet"]).arg(actor()).arg(format!("exit={code}")).status();
        assert_eq!(status.expect("it starts").code(), Some(code));
    }
}

#[test]
fn the_signal_is_the_programs() {
    // SIGHUP, SIGQUIT, SIGILL, SIGABRT, SIGKILL, SIGALRM, SIGTERM, a real-time one.
    for signal in [1, 3, 4, 6, 9, 14, 15, 40] {
        let output = run(&[]).arg(actor()).arg(format!("raise={signal}")).output();
        let output = output.expect("it starts");
        assert_eq!(output.status.signal(), Some(signal), "{}", errors(&output));
        assert!(errors(&output).contains("killed by "), "{}", errors(&output));
    }
}

#[test]
fn a_memory_image_is_the_programs_and_not_ours() {
    let front = line(&run(&[]));
    let script = format!("ulimit -c unlimited; exec {front} {} raise=6", actor().display());
    let mut shell = clean(Command::new("sh"));
    let output = shell.args(["-c", &script]).current_dir(directory()).output().expect("a shell");
    assert_eq!(output.status.signal(), Some(6), "{}", errors(&output));
    assert!(!output.status.core_dumped());
    assert!(errors(&output).contains("killed by SIGABRT"), "{}", errors(&output));
}

#[test]
fn a_mistake_of_the_caller_is_125() {
    let cases: [&[&str]; 6] = [
        &[],
        &["nonsense"],
        &["run"],
        &["run", "--nonsense", "true"],
        &["run", "--quiet", "--json", "true"],
        &["run", "--output", "/nonexistent/directory/file", "true"],
    ];
    for arguments in cases {
        let output = allod().args(arguments).output().expect("it starts");
        assert_eq!(output.status.code(), Some(125), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?} is explained");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_is_not_a_mistake() {
    let verbs = ["run", "export", "compare", "check", "where"].map(|verb| [verb, "--help"]);
    let verbs = verbs.iter().map(|it| &it[..]);
    for arguments in verbs.chain([["--help"].as_slice()]) {
        let output = allod().args(arguments).output().expect("it starts");
        assert_eq!(output.status.code(), Some(0));
        let help = String::from_utf8(output.stdout).expect("text");
        assert!(help.contains("Usage: allod"), "{help}");
        assert!(help.ends_with('\n') && !help.ends_with("\n\n"), "{help:?}");
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
