//! The list of processes, when no process was named.

use std::io;
use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::DefaultTerminal;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use crate::text::{fit, left};
use crate::units::{Bytes, time};
use crate::watch::process::{Listed, list};

/// How often the list is made anew. It reads a little of every process.
const EVERY: Duration = Duration::from_secs(2);

/// Lets somebody choose. Nothing, if they would rather leave.
pub(crate) fn pick() -> io::Result<Option<u32>> {
    let terminal = ratatui::try_init()?;
    let end = show(terminal);
    ratatui::restore();
    end
}

fn show(mut terminal: DefaultTerminal) -> io::Result<Option<u32>> {
    let (mut found, mut made) = (list(), Instant::now());
    let mut selected = 0_usize;
    loop {
        terminal.draw(|frame| {
            let area = frame.area();
            let columns = usize::from(area.width);
            let quiet = Style::new().add_modifier(Modifier::DIM);
            let strong = Style::new().add_modifier(Modifier::BOLD);
            let room = usize::from(area.height).saturating_sub(2).max(1);
            let first = (selected + 1).saturating_sub(room);
            let lines = table(&found);
            let mut lines = lines.into_iter().map(|line| fit(&line, columns.saturating_sub(2)));
            let head = lines.next().unwrap_or_default();
            let mut shown = vec![Line::styled(format!("  {head}"), quiet)];
            shown.extend(lines.enumerate().skip(first).take(room).map(|(i, line)| {
                let is_selected = i == selected;
                let mark = if is_selected { '▸' } else { ' ' };
                Line::styled(
                    format!("{mark} {line}"),
                    if is_selected { strong } else { Style::new() },
                )
            }));
            if found.is_empty() {
                shown.push(Line::raw(fit(NOBODY, columns)));
            }
            shown.resize(usize::from(area.height).saturating_sub(1), Line::raw(""));
            shown.push(Line::styled(fit(" ↑↓ select  Enter watch  q quit", columns), quiet));
            frame.render_widget(Paragraph::new(shown), area);
        })?;
        let is_key = event::poll(EVERY.saturating_sub(made.elapsed()))?;
        if is_key && let Event::Key(key) = event::read()? {
            match pressed(key) {
                Some(KeyCode::Char('q') | KeyCode::Esc) => return Ok(None),
                Some(KeyCode::Enter) if !found.is_empty() => return Ok(Some(found[selected].pid)),
                Some(KeyCode::Down | KeyCode::Char('j')) => selected += 1,
                Some(KeyCode::Up | KeyCode::Char('k')) => selected = selected.saturating_sub(1),
                _ => {}
            }
        }
        if made.elapsed() >= EVERY {
            let chosen = found.get(selected).map(|it| it.pid);
            (found, made) = (list(), Instant::now());
            // The selection stays with its process, wherever that is in the list.
            let place = found.iter().position(|it| Some(it.pid) == chosen);
            selected = place.unwrap_or(selected);
        }
        selected = selected.min(found.len().saturating_sub(1));
    }
}

fn pressed(key: KeyEvent) -> Option<KeyCode> {
    let is_break = key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
    match key.kind {
        KeyEventKind::Release => None,
        _ if is_break => Some(KeyCode::Esc),
        _ => Some(key.code),
    }
}

const NOBODY: &str = "no process on Allod that may be looked at; start one: allod run -- PROGRAM";

/// The list as text: a head, and a line for each process.
pub(crate) fn table(found: &[Listed]) -> Vec<String> {
    let row = |cells: [&str; 5]| {
        let [pid, name, live, resident, up] = cells;
        format!("{pid:>8}  {} {live:>12} {resident:>12}  {up}", left(name, 24))
    };
    let head = row(["PID", "PROGRAM", "LIVE", "RESIDENT", "UP"]);
    let lines = found.iter().map(|it| {
        row([
            &it.pid.to_string(),
            &it.name,
            &Bytes(it.live).to_string(),
            &Bytes(it.resident).to_string(),
            &time(Duration::from_secs(it.elapsed / 1_000_000_000)),
        ])
    });
    [head].into_iter().chain(lines).collect()
}
