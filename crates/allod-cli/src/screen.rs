//! The live screen: what is selected, what the keys do, and the loop.
//!
//! ```text
//!   keyboard --> State::press --+
//!                               +--> draw --> terminal
//!   looks, on their own thread --> State::hear
//! ```
//!
//! Looking at a process can take a moment, so a thread of its own does it, and the
//! keyboard is answered meanwhile. The thread ends with the screen. The terminal is
//! put back however the screen ends, also by a panic.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use allod_profile::Profile;
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::DefaultTerminal;

use crate::watch::{Kind, Order, Source, Watched};

mod draw;
mod figures;
pub(crate) mod pick;

pub(crate) use draw::once;

/// How long a key waits for the screen at most.
const TICK: Duration = Duration::from_millis(50);

/// What is shown.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) watched: Watched,
    pub(crate) kind: Kind,
    pub(crate) order: Order,
    pub(crate) filter: String,
    /// The filter is being typed.
    pub(crate) is_typing: bool,
    pub(crate) selected: usize,
    /// The stack of the selected row is open, and scrolled so far.
    pub(crate) stack: Option<usize>,
    pub(crate) is_paused: bool,
    /// The last line: what happened.
    pub(crate) message: Option<String>,
    /// The process is gone, or cannot be looked at any more.
    pub(crate) is_over: bool,
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Nothing,
    Dump,
    Quit,
}

/// What the thread that looks is told, and what it tells.
enum Ask {
    Pause(bool),
    Dump,
}

enum Told {
    Seen(Box<Profile>),
    Over(String),
    Dumped(Result<String, String>),
}

impl State {
    /// Does what a key says.
    pub(crate) fn press(&mut self, key: KeyEvent) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Wish::Quit;
        }
        if self.is_typing {
            self.type_filter(key.code);
            return Wish::Nothing;
        }
        let rows = self.watched.rows(self.kind, self.order, &self.filter).len();
        let screenful = 10;
        match key.code {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Char('d') => return Wish::Dump,
            KeyCode::Char('p') => self.is_paused = !self.is_paused,
            KeyCode::Char('/') => (self.is_typing, self.stack) = (true, None),
            KeyCode::Char('s') => {
                self.order = match self.order {
                    Order::Live => Order::Change,
                    Order::Change => Order::Count,
                    Order::Count => Order::Age,
                    Order::Age => Order::Live,
                };
                self.selected = 0;
            }
            KeyCode::Char(digit @ '1'..='4') => {
                let kinds = [Kind::Sites, Kind::Types, Kind::Threads, Kind::Tasks];
                self.kind = kinds[digit as usize - '1' as usize];
                (self.selected, self.stack) = (0, None);
            }
            KeyCode::Enter => {
                self.stack = if self.stack.is_some() || rows == 0 { None } else { Some(0) };
            }
            KeyCode::Esc if self.stack.is_some() => self.stack = None,
            KeyCode::Esc if !self.filter.is_empty() => self.filter.clear(),
            KeyCode::Esc => return Wish::Quit,
            KeyCode::Down | KeyCode::Char('j') => self.go(1, rows),
            KeyCode::Up | KeyCode::Char('k') => self.go(-1, rows),
            KeyCode::PageDown => self.go(screenful, rows),
            KeyCode::PageUp => self.go(-screenful, rows),
            KeyCode::Home => self.go(isize::MIN, rows),
            KeyCode::End => self.go(isize::MAX, rows),
            _ => {}
        }
        Wish::Nothing
    }

    /// Up and down: through the rows, or through the stack if it is open.
    fn go(&mut self, way: isize, rows: usize) {
        match &mut self.stack {
            Some(scroll) => *scroll = scroll.saturating_add_signed(way),
            None => {
                let next = self.selected.saturating_add_signed(way);
                self.selected = next.min(rows.saturating_sub(1));
            }
        }
    }

    fn type_filter(&mut self, key: KeyCode) {
        self.selected = 0;
        match key {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.filter.clear();
                self.is_typing = false;
            }
            KeyCode::Backspace => _ = self.filter.pop(),
            KeyCode::Char(letter) if !letter.is_control() => self.filter.push(letter),
            _ => {}
        }
    }

    fn hear(&mut self, told: Told) {
        match told {
            Told::Seen(profile) if !self.is_paused => self.watched.see(*profile),
            Told::Seen(_) => {}
            Told::Over(why) => (self.message, self.is_over) = (Some(why), true),
            Told::Dumped(Ok(path)) => self.message = Some(format!("wrote {path}")),
            Told::Dumped(Err(why)) => self.message = Some(why),
        }
    }
}

/// Columns and rows of a screen that is printed once: the terminal's, or what the
/// environment says, or the smallest usual size.
pub(crate) fn size() -> (u16, u16) {
    let said = |name: &str| std::env::var(name).ok()?.parse().ok();
    let is_terminal = io::stdout().is_terminal();
    let terminal = if is_terminal { crossterm::terminal::size().ok() } else { None };
    let (columns, rows) = terminal.unwrap_or((80, 24));
    (said("COLUMNS").unwrap_or(columns), said("LINES").unwrap_or(rows))
}

/// Shows a process until somebody has seen enough.
pub(crate) fn run(source: Box<dyn Source>, first: Profile, every: Duration) -> io::Result<()> {
    let mut state = State::default();
    state.watched.see(first);
    let (orders, to_do) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    // Not joined: it may be in the middle of a look, and has nothing to clean up.
    thread::spawn(move || look(source, every, &to_do, &tell));
    let terminal = ratatui::try_init()?;
    let end = show(terminal, &mut state, &orders, &told);
    ratatui::restore();
    end
}

fn show(
    mut terminal: DefaultTerminal,
    state: &mut State,
    orders: &Sender<Ask>,
    told: &Receiver<Told>,
) -> io::Result<()> {
    let mut is_stale = true;
    loop {
        while let Ok(news) = told.try_recv() {
            state.hear(news);
            is_stale = true;
        }
        if is_stale {
            terminal.draw(|frame| draw::draw(frame, state))?;
            is_stale = false;
        }
        if !event::poll(TICK)? {
            continue;
        }
        is_stale = true;
        match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => match state.press(key) {
                Wish::Quit => return Ok(()),
                // The thread is gone when the process is, and says so by its last word.
                Wish::Dump => _ = orders.send(Ask::Dump),
                Wish::Nothing => _ = orders.send(Ask::Pause(state.is_paused)),
            },
            // A resize is seen by the next drawing.
            _ => {}
        }
    }
}

/// What the other thread does: a look, a word about it, a rest.
fn look(mut source: Box<dyn Source>, every: Duration, to_do: &Receiver<Ask>, tell: &Sender<Told>) {
    let mut is_paused = false;
    loop {
        match to_do.recv_timeout(every) {
            Ok(Ask::Pause(paused)) => is_paused = paused,
            Ok(Ask::Dump) => {
                if tell.send(Told::Dumped(source.dump())).is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) if is_paused => {}
            Err(RecvTimeoutError::Timeout) => {
                let (news, is_last) = match source.look() {
                    Ok(profile) => (Told::Seen(Box::new(profile)), false),
                    Err(why) => (Told::Over(why), true),
                };
                if tell.send(news).is_err() || is_last {
                    return;
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests;
