//! Signals, job control, and what the program inherits.
//!
//! The terminal is a pair of pseudo-terminals, with the test at the far end.

#![expect(unsafe_code, reason = "a child becomes the leader of a session with a terminal")]

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::pty;
use nix::sys::signal::Signal;

use crate::support::{
    Running, actor, answer, clean, directory, errors, inheriting, line, run, send,
};

/// How long a test waits before it gives up. A busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn what_is_sent_to_the_command_reaches_the_program_once() {
    let forwarded = [
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGWINCH,
    ];
    for signal in forwarded {
        let number = signal as i32;
        let words =
            [&format!("catch={number}"), "print=ready", "wait=1", "sleep=50", "count", "exit=7"];
        let mut running = Running::start(run(&[]).arg(actor()).args(words));
        assert_eq!(running.line(), "ready");
        running.signal(signal);
        assert_eq!(running.line(), "1", "{signal}");
        let output = running.finish();
        assert_eq!(output.status.code(), Some(7), "{signal}");
        assert!(errors(&output).contains("exit code 7"), "{}", errors(&output));
    }
}

#[test]
fn a_program_that_does_not_catch_it_dies_of_it() {
    let mut running = Running::start(run(&[]).arg(actor()).args(["print=ready", "sleep=60000"]));
    assert_eq!(running.line(), "ready");
    running.signal(Signal::SIGTERM);
    let output = running.finish();
    assert_eq!(output.status.signal(), Some(15));
    assert!(errors(&output).contains("killed by SIGTERM"), "{}", errors(&output));
}

#[test]
fn what_the_program_does_to_its_group_is_not_sent_back() {
    // The program signals its whole group, which is itself and the command.
    let script = "trap 'echo caught' USR1; kill -USR1 0; sleep 0.1; exit 4";
    let mut command = run(&[]);
    command.args(["sh", "-c", script]).process_group(0);
    let output = command.output().expect("it starts");
    assert_eq!(answer(&output), "caught\n");
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn the_program_inherits_dispositions_and_the_mask() {
    // What the kernel says of a C program, which changes none of it.
    let words = ["grep", "-E", "Sig(Ign|Blk):", "/proc/self/status"];
    let seen = |mut command: Command, ignored: &[Signal], blocked: &[Signal]| {
        command.args(if command.get_args().count() > 0 { &words[..] } else { &words[1..] });
        let output = inheriting(command, ignored, blocked).output().expect("it starts");
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        answer(&output)
    };
    let (hup, pipe, child) = (Signal::SIGHUP, Signal::SIGPIPE, Signal::SIGCHLD);
    let (term, stop) = (Signal::SIGTERM, Signal::SIGTSTP);
    let cases: [(&[Signal], &[Signal]); 6] = [
        (&[], &[]),
        (&[hup], &[]),
        (&[pipe], &[]),
        (&[child], &[]),
        (&[], &[term, child, stop]),
        (&[hup, pipe, child], &[hup]),
    ];
    let mut different = std::collections::BTreeSet::new();
    for (ignored, blocked) in cases {
        let plain = seen(Command::new("grep"), ignored, blocked);
        assert_eq!(seen(run(&["--quiet"]), ignored, blocked), plain, "{ignored:?} {blocked:?}");
        different.insert(plain);
    }
    assert_eq!(different.len(), cases.len(), "the test sees the difference");
}

#[test]
fn descriptors_are_the_callers() {
    // With a page and a report, because those are files of ours.
    let report = directory().join("report");
    let front = line(&run(&["--output", report.to_str().expect("a plain path")]));
    let seen = |front: &str, redirections: &str| {
        let script = format!("{front} ls /proc/self/fd {redirections}");
        let output = clean(Command::new("sh")).args(["-c", &script]).output().expect("a shell");
        answer(&output)
    };
    // What is closed stays closed, what is open stays open, and nothing is added.
    for redirections in ["", "<&-", "2>&-", "<&- 2>&-", "7>/dev/null"] {
        assert_eq!(seen(&front, redirections), seen("", redirections), "{redirections}");
    }
    assert_ne!(seen("", "<&- 2>&-"), seen("", "7>/dev/null"), "the test sees a difference");
}

/// A terminal, and a command that is the leader of a session on it.
struct Terminal {
    running: std::process::Child,
    far_end: File,
    seen: String,
}

impl Terminal {
    fn start(mut command: Command) -> Self {
        // Closed on exec, because other tests start programs at the same time.
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let far_end = pty::posix_openpt(flags).expect("a pseudo-terminal");
        pty::grantpt(&far_end).expect("its owner is us");
        pty::unlockpt(&far_end).expect("it may be opened");
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NOCTTY);
        let near_end = options.open(pty::ptsname_r(&far_end).expect("its name"));
        let near_end = near_end.expect("the near end");
        let stream = || Stdio::from(near_end.try_clone().expect("a descriptor"));
        command.stdin(stream()).stdout(stream()).stderr(stream());
        let lead = || {
            nix::unistd::setsid()?;
            // SAFETY: descriptor 0 is the terminal, and the request takes a number.
            unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) };
            Ok(())
        };
        // SAFETY: the closure makes only system calls.
        unsafe { command.pre_exec(lead) };
        let running = command.spawn().expect("it starts");
        let far_end = File::from(OwnedFd::from(far_end));
        Self { running, far_end, seen: String::new() }
    }

    /// Reads until `text` is there.
    fn expect(&mut self, text: &str) {
        let start = Instant::now();
        while !self.seen.contains(text) {
            let mut bytes = [0; 4096];
            match self.far_end.read(&mut bytes) {
                Ok(read) => self.seen.push_str(&String::from_utf8_lossy(&bytes[..read])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(start.elapsed() < PATIENCE, "no {text:?} yet in {:?}", self.seen);
                    std::thread::sleep(Duration::from_millis(5));
                }
                // The terminal's way to say that nobody is left at the near end.
                Err(error) => panic!("{error} before {text:?} in {:?}", self.seen),
            }
        }
    }

    fn press(&mut self, keys: &[u8]) {
        self.far_end.write_all(keys).expect("the terminal takes keys");
    }
}

#[test]
fn ctrl_c_reaches_the_program_once() {
    let mut command = run(&[]);
    command.arg(actor()).args(["catch=2", "print=ready", "wait=1", "print=first", "sleep=300"]);
    command.args(["print=caught", "count", "print=over", "exit=0"]);
    let mut terminal = Terminal::start(command);
    terminal.expect("ready");
    // Two signals become one if the second comes before the program has seen the
    // first. So the command is held until it has.
    let held = terminal.running.id();
    send(held, Signal::SIGSTOP);
    wait_until_stopped(held, true);
    terminal.press(b"\x03");
    terminal.expect("first");
    send(held, Signal::SIGCONT);
    terminal.expect("over");
    assert!(terminal.seen.contains("caught\r\n1\r\n"), "{:?}", terminal.seen);
    // And the command is still there to say how it ended, in colour.
    terminal.expect("exit code 0");
    terminal.expect("\x1b[1m");
    assert_eq!(terminal.running.wait().expect("it ends").code(), Some(0));
}

#[test]
fn ctrl_c_ends_a_program_and_the_summary_is_printed() {
    let mut command = run(&[]);
    command.arg(actor()).args(["print=ready", "sleep=60000"]);
    let mut terminal = Terminal::start(command);
    terminal.expect("ready");
    terminal.press(b"\x03");
    terminal.expect("killed by SIGINT");
    terminal.expect("kernel");
    assert_eq!(terminal.running.wait().expect("it ends").signal(), Some(2));
}

#[test]
fn ctrl_z_stops_both_and_the_shell_continues_both() {
    let (front, actor) = (line(&run(&[])), actor().display());
    let script = format!(
        "set -m; {front} {actor} print=ready read print=over exit=5; \
         echo \"stopped $?.\"; fg >/dev/null; echo \"ended $?.\""
    );
    let mut shell = clean(Command::new("sh"));
    shell.args(["-c", &script]);
    let mut terminal = Terminal::start(shell);
    terminal.expect("ready");
    terminal.press(b"\x1a");
    terminal.expect("stopped 148.");
    terminal.press(b"\n");
    terminal.expect("ended 5.");
    assert!(terminal.seen.contains("over"), "{:?}", terminal.seen);
    terminal.running.wait().expect("it ends");
}

#[test]
fn a_stop_and_a_continuation_that_are_sent_to_us_alone() {
    let words = ["pid", "catch=18", "print=ready", "wait=1", "sleep=50", "count", "exit=6"];
    // In a group of its own, because the kernel stops no orphaned group.
    let mut command = run(&["--quiet"]);
    let mut running = Running::start(command.arg(actor()).args(words).process_group(0));
    let pid: u32 = running.line().parse().expect("a number");
    assert_eq!(running.line(), "ready");

    // A debugger stops and continues the program alone. We stay out of it.
    send(pid, Signal::SIGSTOP);
    wait_until_stopped(pid, true);
    std::thread::sleep(Duration::from_millis(50));
    let command = running.child.id();
    assert!(!is_stopped(command), "the command stopped and nobody will continue it");

    // SIGCONT to us is for the program.
    running.signal(Signal::SIGCONT);
    wait_until_stopped(pid, false);
    assert_eq!(running.line(), "1");
    assert_eq!(running.finish().status.code(), Some(6));
}

/// The letter that the kernel has for what a process is doing, if it is there.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

fn is_stopped(pid: u32) -> bool {
    state(pid) == Some('T')
}

#[track_caller]
fn wait_until_stopped(pid: u32, stopped: bool) {
    let start = Instant::now();
    while is_stopped(pid) != stopped {
        assert!(start.elapsed() < PATIENCE, "{pid} is {:?}", state(pid));
        std::thread::sleep(Duration::from_millis(5));
    }
}
