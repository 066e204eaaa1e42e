//! What the tests share: a command without neighbours, programs to run, and a
//! place for files.

#![expect(unsafe_code, reason = "children get the signals that a test wants")]

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::Signal::{SIGKILL, SIGSTOP};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, kill, signal, sigprocmask};
use serde_json::Value;

/// A directory of this run of the tests.
fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("allod-cli");
        // What an earlier run left; programs of that run may still be there.
        _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).expect("a directory for the tests");
        root
    })
}

/// An empty directory for one test.
pub(crate) fn directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // ORDERING: Relaxed, a number that nobody else gets.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = root().join(number.to_string());
    fs::create_dir(&directory).expect("a directory for the test");
    directory
}

/// Puts the command into `directory`, where no library is beside it.
pub(crate) fn install(directory: &Path) -> PathBuf {
    let command = directory.join("allod");
    let built = env!("CARGO_BIN_EXE_allod");
    if fs::hard_link(built, &command).is_err() {
        fs::copy(built, &command).expect("a copy of the command");
    }
    command
}

/// The command, in a clean environment, with a cache of its own.
pub(crate) fn allod() -> Command {
    static ALONE: OnceLock<PathBuf> = OnceLock::new();
    let command = ALONE.get_or_init(|| install(&directory()));
    clean(Command::new(command))
}

/// Gives a command its signals: some ignored, some blocked, the others as usual.
pub(crate) fn inheriting(mut command: Command, ignored: &[Signal], blocked: &[Signal]) -> Command {
    let (ignored, mask) = (ignored.to_vec(), blocked.iter().copied().collect::<SigSet>());
    let prepare = move || {
        for one in Signal::iterator().filter(|&one| !matches!(one, SIGKILL | SIGSTOP)) {
            let is_ignored = ignored.contains(&one);
            let disposition = if is_ignored { SigHandler::SigIgn } else { SigHandler::SigDfl };
            // SAFETY: neither disposition runs code of ours.
            unsafe { signal(one, disposition) }?;
        }
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&mask), None)?;
        Ok(())
    };
    // SAFETY: the closure makes only system calls.
    unsafe { command.pre_exec(prepare) };
    command
}

/// Takes out of a command's surroundings what would change the outcome: whoever
/// runs the tests may ignore signals, or want colours.
pub(crate) fn clean(command: Command) -> Command {
    let mut command = inheriting(command, &[], &[]);
    for variable in
        ["LD_PRELOAD", "ALLOD_CONF", "ALLOD_DUMP", "ALLOD_PAGE", "NO_COLOR", "CLICOLOR_FORCE"]
    {
        command.env_remove(variable);
    }
    command.env("XDG_CACHE_HOME", root().join("cache"));
    command
}

/// `allod run` with options, up to and with the two hyphens. No profile is left.
pub(crate) fn run(options: &[&str]) -> Command {
    let mut command = allod();
    command.arg("run").arg("--no-profile").args(options);
    if let Some(library) = env::var_os("ALLOD_TEST_LIBRARY") {
        command.arg("--library").arg(library);
    }
    command.arg("--");
    command
}

/// A command as one types it. None of its words needs quotes.
pub(crate) fn line(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.display().to_string()).collect::<Vec<_>>().join(" ")
}

/// Builds `tests/programs/actor.rs`.
fn build(name: &str, arguments: &[&str]) -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/actor.rs");
    let program = root().join(name);
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(compiler);
    command.args(["--edition", "2024", "--cap-lints", "allow"]).args(arguments);
    let output = command.arg("-o").arg(&program).arg(source).output().expect("rustc starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

/// The program that does what its arguments say.
pub(crate) fn actor() -> &'static Path {
    static ACTOR: OnceLock<PathBuf> = OnceLock::new();
    ACTOR.get_or_init(|| build("actor", &[]))
}

/// The same, statically linked.
pub(crate) fn static_actor() -> &'static Path {
    static ACTOR: OnceLock<PathBuf> = OnceLock::new();
    ACTOR.get_or_init(|| build("static-actor", &["-Ctarget-feature=+crt-static"]))
}

/// The same, statically linked, with the marker of a program with Allod inside.
pub(crate) fn marked_actor() -> &'static Path {
    static ACTOR: OnceLock<PathBuf> = OnceLock::new();
    let arguments = ["-Ctarget-feature=+crt-static", "--cfg", "marked"];
    ACTOR.get_or_init(|| build("marked-actor", &arguments))
}

/// The same, statically linked, with Allod inside.
pub(crate) fn inside_actor() -> &'static Path {
    static ACTOR: OnceLock<PathBuf> = OnceLock::new();
    ACTOR.get_or_init(|| {
        let package = root().join("inside");
        fs::create_dir_all(&package).expect("a directory for the package");
        let here = env!("CARGO_MANIFEST_DIR");
        let manifest = format!(
            "[package]\nname = \"inside-actor\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [[bin]]\nname = \"inside-actor\"\npath = \"{here}/tests/programs/actor.rs\"\n\
             [dependencies]\nallod = {{ path = \"{here}/../allod\" }}\n\
             [lints.rust]\nunexpected_cfgs = \"allow\"\n\
             [workspace]\n"
        );
        fs::write(package.join("Cargo.toml"), manifest).expect("a manifest");
        // Outside the directory that is emptied, so that it is built once.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("inside-actor");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--offline", "--quiet", "--manifest-path"]);
        command.arg(package.join("Cargo.toml")).arg("--target-dir").arg(&target);
        command.env_remove("RUSTC_WORKSPACE_WRAPPER").env_remove("CARGO_ENCODED_RUSTFLAGS");
        command.env("RUSTFLAGS", "-Ctarget-feature=+crt-static --cfg inside");
        let output = command.output().expect("cargo starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        target.join("debug/inside-actor")
    })
}

/// What a finished command printed on standard error.
pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a finished command printed on standard output.
pub(crate) fn answer(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs the actor on Allod, and reads the JSON.
pub(crate) fn report<S: AsRef<OsStr>>(program: &Path, words: &[S]) -> (Output, Value) {
    let file = directory().join("report.json");
    let output = run(&["--json", "--output", file.to_str().expect("a plain path")])
        .arg(program)
        .args(words)
        .output()
        .expect("the command starts");
    let text = fs::read_to_string(&file).expect("a report was written");
    let report = text.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
    (output, report)
}

/// A number of the JSON.
pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// A command that runs, and that the test talks with.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, lines }
    }

    /// The next line that the program prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Sends a signal to the command alone.
    pub(crate) fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Closes the program's input and waits for its end.
    pub(crate) fn finish(self) -> Output {
        self.child.wait_with_output().expect("it ends")
    }
}

/// Sends a signal to one process.
pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
    kill(pid, signal).expect("the process is there");
}
