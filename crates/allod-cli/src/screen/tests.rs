//! Tests of the screen: what keys do, that no line breaks, and the loop in a terminal.

use super::*;
use crate::text::width;
use crate::watch::tests::Made;
use std::env;
use std::process::Command;
use std::time::Instant;

fn state() -> State {
    let mut state = State::default();
    state.watched.see(Made::default().look().expect("it goes on"));
    state
}

fn press(state: &mut State, keys: &str) {
    for letter in keys.chars() {
        let code = match letter {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            'v' => KeyCode::Down,
            '^' => KeyCode::Up,
            letter => KeyCode::Char(letter),
        };
        assert_eq!(state.press(code.into()), Wish::Nothing, "{letter:?}");
    }
}

/// The line of the table that is marked.
fn marked(state: &mut State) -> String {
    let text = once(state, 120, 40);
    text.lines().find(|line| line.starts_with('▸')).unwrap_or_default().to_owned()
}

#[test]
fn every_size_is_drawn_without_broken_lines() {
    let mut state = state();
    for columns in [40, 60, 80, 100, 133, 200, 320] {
        for rows in [8, 12, 24, 30, 50, 80] {
            for stack in [None, Some(0), Some(500)] {
                state.stack = stack;
                let text = once(&mut state, columns, rows);
                assert_eq!(text.lines().count(), usize::from(rows), "{columns}x{rows}");
                for line in text.lines() {
                    assert!(width(line) <= usize::from(columns), "{columns}x{rows}: {line}");
                }
                assert!(text.contains("Lexer"), "{columns}x{rows}:\n{text}");
            }
        }
    }
}

#[test]
fn the_screen_tells_what_there_is() {
    let text = once(&mut state(), 80, 24);
    for word in [
        "server 4242",
        "up 5 min",
        "live ",
        "resident ",
        "1 sites",
        "sorted by live",
        "LIVE",
        "CHANGE/min",
        "Session::new",
        "grows",
        "Token",
        "size classes",
        "1403 spans",
        "q quit",
    ] {
        assert!(text.contains(word), "{word} is missing:\n{text}");
    }
}

#[test]
fn tabs_order_and_selection() {
    let mut state = state();
    assert!(marked(&mut state).contains("Lexer::run"));
    press(&mut state, "v");
    assert!(marked(&mut state).contains("Conn::read_buf"), "{}", marked(&mut state));
    press(&mut state, "^^^");
    assert!(marked(&mut state).contains("Lexer::run"));
    press(&mut state, "2");
    assert!(marked(&mut state).contains("server::lex::Token"));
    press(&mut state, "3");
    assert!(marked(&mut state).contains("4242 main"));
    press(&mut state, "4v");
    assert!(marked(&mut state).contains("GET /orders"));
    press(&mut state, "1ss");
    assert_eq!(state.order, Order::Count);
    assert!(once(&mut state, 80, 24).contains("sorted by count"));
}

#[test]
fn the_filter_takes_letters_that_are_keys_elsewhere() {
    let mut state = state();
    press(&mut state, "/");
    press(&mut state, "squ");
    assert!(once(&mut state, 80, 24).contains("nothing matches"));
    press(&mut state, "\x1b/session\n");
    assert_eq!(state.filter, "session");
    assert!(marked(&mut state).contains("Session::new"));
    assert!(!once(&mut state, 80, 24).contains("Lexer::run"));
    press(&mut state, "\x1b");
    assert_eq!(state.filter, "");
    assert_eq!(state.press(KeyCode::Char('q').into()), Wish::Quit);
    assert_eq!(state.press(KeyCode::Char('d').into()), Wish::Dump);
}

#[test]
fn a_stack_is_opened_and_scrolled() {
    let mut state = state();
    press(&mut state, "\n");
    let text = once(&mut state, 80, 24);
    assert!(text.contains("frames") && text.contains("Conn::run"), "{text}");
    press(&mut state, "vvvvvvvvvvvvvvvv");
    // Not beyond its end.
    assert!(once(&mut state, 80, 24).contains("main"));
    press(&mut state, "\n");
    assert!(state.stack.is_none());
    // Where there is no row there is no stack.
    press(&mut state, "/nothing like it\n\n");
    assert!(state.stack.is_none());
}

#[test]
fn a_paused_screen_stands_still() {
    let mut state = state();
    press(&mut state, "p");
    let mut later = Made { looks: 50, ends: None };
    let before = state.watched.profile.elapsed;
    state.hear(Told::Seen(Box::new(later.look().expect("it goes on"))));
    assert_eq!(state.watched.profile.elapsed, before);
    assert!(once(&mut state, 80, 24).contains("paused"));
    press(&mut state, "p");
    state.hear(Told::Seen(Box::new(later.look().expect("it goes on"))));
    assert!(state.watched.profile.elapsed > before);
}

#[test]
fn the_end_of_the_process_is_told() {
    let mut state = state();
    state.hear(Told::Over("process 4242: there is none with this number".into()));
    let text = once(&mut state, 80, 24);
    assert!(text.contains("there is none") && text.contains("ended"), "{text}");
    assert!(text.contains("Lexer::run"), "the last figures stay");
}

/// What `tmux` starts for the next test: the loop, on a made-up process.
#[test]
fn the_loop_itself() {
    if env::var_os("ALLOD_TEST_SCREEN").is_none() {
        return;
    }
    let mut source = Made::default();
    let first = source.look().expect("it goes on");
    run(Box::new(source), first, Duration::from_millis(100)).expect("a terminal");
    println!("the screen is closed");
}

/// A terminal of a size, with the loop in it.
struct Terminal {
    socket: String,
    columns: usize,
}

impl Terminal {
    fn open(columns: usize, rows: usize) -> Self {
        let socket = format!("allod-test-{}-{columns}", std::process::id());
        let terminal = Self { socket, columns };
        let test = env::current_exe().expect("our own file");
        let test = test.to_str().expect("a plain path");
        let line = format!(
            "ALLOD_TEST_SCREEN=1 '{test}' --exact screen::tests::the_loop_itself --nocapture; \
             cat"
        );
        let (columns, rows) = (columns.to_string(), rows.to_string());
        terminal.tmux(&["new-session", "-d", "-x", &columns, "-y", &rows, &line]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.args(["-f", "/dev/null", "-L", &self.socket]).args(arguments);
        command.env("LANG", "C.UTF-8").env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR");
        let output = command.output().expect("tmux is installed by `cargo xtask ci`");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tmux {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Waits until the screen is as wanted; a loaded machine may take its time, so the
    /// limit is only there to end a test that fails.
    fn wait(&self, what: &str, is_wanted: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let text = self.tmux(&["capture-pane", "-p"]);
            if is_wanted(&text) {
                for line in text.lines() {
                    assert!(width(line) <= self.columns, "{line}");
                }
                return text;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "no {what} in\n{text}");
            thread::sleep(Duration::from_millis(30));
        }
    }

    fn until(&self, words: &[&str]) -> String {
        self.wait(&words.join(", "), |text| words.iter().all(|word| text.contains(word)))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        _ = command.args(["-L", &self.socket, "kill-server"]).output();
    }
}

fn in_a_terminal(columns: usize, rows: usize) {
    let terminal = Terminal::open(columns, rows);
    let text = terminal.until(&["server 4242", "Lexer::run", "grows", "q quit", "Token"]);
    assert_eq!(text.lines().count(), rows, "{text}");
    if let Some(directory) = env::var_os("ALLOD_TEST_REPORTS") {
        let path = std::path::Path::new(&directory).join(format!("top-{columns}.txt"));
        std::fs::write(path, &text).expect("a file for the eye");
    }
    // Time passes while one looks.
    terminal.until(&["up 5 min 02 s"]);
    terminal.keys(&["Down", "Enter"]);
    terminal.until(&["frames", "read_buf", "Esc back"]);
    terminal.keys(&["Escape"]);
    terminal.until(&["size classes"]);
    terminal.keys(&["s"]);
    terminal.until(&["sorted by change"]);
    terminal.keys(&["/", "j", "s", "o", "n", "Enter"]);
    terminal.wait("json alone", |text| {
        text.contains("/json ") && text.contains("json::object") && !text.contains("Lexer::run")
    });
    // One by one: Escape with another key right behind it is that key with Alt.
    terminal.keys(&["Escape"]);
    terminal.until(&["Lexer::run"]);
    terminal.keys(&["2"]);
    terminal.until(&["server::lex::Token"]);
    terminal.keys(&["d"]);
    terminal.until(&["wrote allod-server.4242.pb.gz"]);
    terminal.keys(&["q"]);
    let text = terminal.until(&["the screen is closed"]);
    assert!(!text.contains("size classes"), "the terminal is as it was:\n{text}");
}

#[test]
fn eighty_columns() {
    in_a_terminal(80, 24);
}

#[test]
fn two_hundred_columns() {
    in_a_terminal(200, 50);
}

#[test]
fn a_terminal_that_changes_its_size() {
    let mut terminal = Terminal::open(90, 30);
    terminal.until(&["server 4242", "q quit"]);
    terminal.columns = 70;
    terminal.tmux(&["resize-window", "-x", "70", "-y", "20"]);
    terminal.wait("twenty lines", |text| {
        let last = text.lines().last().unwrap_or_default();
        text.lines().count() == 20 && last.contains("select")
    });
    terminal.keys(&["q"]);
    terminal.until(&["the screen is closed"]);
}
