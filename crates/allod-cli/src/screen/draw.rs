//! The screen, line by line.
//!
//! ```text
//!   header      program, time, live, resident, rates
//!   curves      resident and live over time
//!   tabs        what the table shows, how it is sorted, the filter
//!   table       as many rows as there is room for
//!   below       size classes and the map of spans, or a stack
//!   keys        what can be pressed, or what happened
//! ```
//!
//! Every line is as wide as the screen and is cut, never wrapped.

use std::time::Duration;

use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::{State, figures};
use crate::findings::{Median, short_name, short_type};
use crate::text::{fit, left, right, width};
use crate::units::{Bytes, time};
use crate::watch::{Kind, Order, Row};

const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
const QUIET: Style = Style::new().add_modifier(Modifier::DIM);
const LIVE: Style = Style::new().fg(Color::Blue);
const FREE: Style = Style::new().fg(Color::Yellow);
const CACHED: Style = Style::new().fg(Color::Cyan);
const WARNING: Style = Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD);

/// The smallest screen on which there is something to see.
const LEAST: (u16, u16) = (40, 8);

/// Draws everything anew. The terminal is only told what differs.
pub(super) fn draw(frame: &mut Frame<'_>, state: &mut State) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        frame.render_widget(Paragraph::new("too small"), area);
        return;
    }
    // Out of a process that runs, not all figures can be read.
    let profile = &state.watched.profile;
    let has_figures = !profile.classes.is_empty() || !profile.spans.is_empty();
    let below = match state.stack.is_some() || has_figures {
        true => below_height(area.height, state.stack.is_some()),
        false => 0,
    };
    let layout = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(below),
        Constraint::Length(1),
    ]);
    let [head, curves, tabs, table, bottom, keys] = layout.areas(area);
    frame.render_widget(Paragraph::new(header(state, head.width.into())), head);
    frame.render_widget(Paragraph::new(curve_line(state, curves.width.into())), curves);
    frame.render_widget(Paragraph::new(tab_line(state, tabs.width.into())), tabs);
    let rows = state.watched.rows(state.kind, state.order, &state.filter);
    state.selected = state.selected.min(rows.len().saturating_sub(1));
    frame.render_widget(Paragraph::new(table_lines(state, &rows, table)), table);
    match state.stack {
        Some(_) => {
            let lines = stack_lines(state, rows.get(state.selected), bottom);
            frame.render_widget(Paragraph::new(lines), bottom);
        }
        None if below > 0 => {
            let [classes, gap, spans] = Layout::horizontal([
                Constraint::Fill(1),
                Constraint::Length(2),
                Constraint::Fill(1),
            ])
            .areas(bottom);
            _ = gap;
            frame.render_widget(Paragraph::new(class_lines(state, classes)), classes);
            frame.render_widget(Paragraph::new(span_lines(state, spans)), spans);
        }
        None => {}
    }
    frame.render_widget(Paragraph::new(key_line(state, keys.width.into())), keys);
}

/// One frame as text, without colours.
pub(crate) fn once(state: &mut State, columns: u16, rows: u16) -> String {
    let backend = TestBackend::new(columns.max(LEAST.0), rows.max(LEAST.1));
    let mut terminal = Terminal::new(backend).expect("memory cannot fail to be drawn on");
    let drawn = terminal.draw(|frame| draw(frame, state));
    text(drawn.expect("memory cannot fail to be drawn on").buffer)
}

fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut skip = 0;
        for x in 0..buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            // The second cell of a wide letter holds nothing of its own.
            if skip == 0 {
                line.push_str(symbol);
                skip = width(symbol).saturating_sub(1);
            } else {
                skip -= 1;
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn below_height(height: u16, is_stack: bool) -> u16 {
    match (height, is_stack) {
        (0..14, _) => 0,
        (_, true) => height * 3 / 5,
        (14..30, false) => 7,
        (30..50, false) => 11,
        (50.., false) => 14,
    }
}

/// Pieces from the left and one at the right, in exactly `columns`.
fn spread(start: Vec<Span<'static>>, end: &str, columns: usize) -> Line<'static> {
    let mut spans = start;
    let used: usize = spans.iter().map(|span| width(&span.content)).sum();
    if used + width(end) < columns {
        spans.push(Span::raw(" ".repeat(columns - used - width(end))));
        spans.push(Span::styled(end.to_owned(), QUIET));
    }
    Line::from(spans)
}

fn bytes(amount: f64) -> String {
    let unit = Bytes(amount.abs() as u64).to_string();
    // Three digits are enough while they move: "412.34 MiB" is "412 MiB".
    let Some((number, unit)) = unit.split_once(' ') else { return unit };
    let number = match number.find('.') {
        Some(point) if point >= 3 => &number[..point],
        Some(2) => &number[..4],
        _ => number,
    };
    let sign = if amount < 0.0 { "-" } else { "" };
    format!("{sign}{number} {unit}")
}

fn count(amount: f64) -> String {
    match amount {
        1e9.. => format!("{:.1} G", amount / 1e9),
        1e6.. => format!("{:.1} M", amount / 1e6),
        1e4.. => format!("{:.0} k", amount / 1e3),
        _ => format!("{amount:.0}"),
    }
}

fn header(state: &State, columns: usize) -> Line<'static> {
    let profile = &state.watched.profile;
    let ledger = &profile.ledger;
    let name = profile.program.rsplit('/').next().unwrap_or_default();
    let up = match profile.elapsed / 1_000_000_000 {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => time(Duration::from_secs(seconds)),
    };
    let resident = if columns < 100 { "res" } else { "resident" };
    let ratio = match ledger.live {
        0 => String::new(),
        live => format!(" {:.2}x", ledger.resident as f64 / live as f64),
    };
    let figures = [
        format!("up {up}"),
        format!("live {}", bytes(ledger.live as f64)),
        format!("{resident} {}{ratio}", bytes(ledger.resident as f64)),
        state.watched.rate.map_or_else(String::new, |(number, size)| {
            format!("{}/s {}/s", count(number), bytes(size))
        }),
        format!("peak {}", bytes(ledger.peak_live as f64)),
        format!("{} threads", ledger.threads),
    ];
    let end = match (state.is_over, state.is_paused) {
        (true, _) => "ended ",
        (false, true) => "paused ",
        (false, false) => "",
    };
    let name = format!(" {} {} ", fit(name, 20), profile.pid);
    let mut used = width(&name) + end.len();
    let mut spans = vec![Span::styled(name, STRONG.add_modifier(Modifier::REVERSED))];
    for figure in figures.into_iter().filter(|figure| !figure.is_empty()) {
        // As many as there is room for; the first ones count most.
        used += width(&figure) + 2;
        if used + usize::from(!end.is_empty()) > columns {
            break;
        }
        spans.push(Span::raw(format!("  {figure}")));
    }
    spread(spans, end, columns)
}

fn curve_line(state: &State, columns: usize) -> Line<'static> {
    let room = (columns.saturating_sub(22)) / 2;
    let of = |part: &dyn Fn(&allod_profile::model::Moment) -> u64| {
        let values: Vec<u64> = state.watched.curve.iter().map(part).collect();
        left(&figures::curve(&values, room), room)
    };
    Line::from(vec![
        Span::styled(" resident ", QUIET),
        Span::styled(of(&|it| it.resident), Style::new().fg(Color::Magenta)),
        Span::styled("   live ", QUIET),
        Span::styled(of(&|it| it.live), LIVE),
    ])
}

fn tab_line(state: &State, columns: usize) -> Line<'static> {
    let tabs = [
        (Kind::Sites, " 1 sites "),
        (Kind::Types, " 2 types "),
        (Kind::Threads, " 3 threads "),
        (Kind::Tasks, " 4 tasks "),
    ];
    let mut spans: Vec<Span<'static>> = tabs
        .iter()
        .map(|&(kind, name)| {
            let is_shown = kind == state.kind;
            Span::styled(
                name,
                if is_shown { STRONG.add_modifier(Modifier::REVERSED) } else { QUIET },
            )
        })
        .collect();
    let order = match state.order {
        Order::Live => "live",
        Order::Change => "change",
        Order::Count => "count",
        Order::Age => "age",
    };
    if state.is_typing || !state.filter.is_empty() {
        let cursor = if state.is_typing { "_" } else { "" };
        let used: usize = spans.iter().map(|span| width(&span.content)).sum();
        let room = columns.saturating_sub(used + 16 + order.len());
        spans.push(Span::styled(fit(&format!("  /{}{cursor}", state.filter), room), WARNING));
    }
    spread(spans, &format!("sorted by {order} "), columns)
}

/// How wide the parts of a row are. On narrow screens there are fewer.
#[derive(Clone, Copy)]
struct Widths {
    name: usize,
    rust_type: usize,
    /// Whether there is room for counts and ages.
    has_all: bool,
    /// Whether there is room for more than the file's own name.
    has_folders: bool,
}

impl Widths {
    fn of(columns: usize, has_type: bool) -> Self {
        let has_all = columns >= 64;
        // What the numbers take, with a space at each end.
        let rest = columns.saturating_sub(if has_all { 44 } else { 25 });
        let rust_type = if has_type && has_all { (rest / 3).min(40) } else { 0 };
        let name = rest.saturating_sub(rust_type + 1);
        Self { name, rust_type, has_all, has_folders: columns >= 110 }
    }
}

fn table_lines(state: &State, rows: &[Row], area: Rect) -> Vec<Line<'static>> {
    let columns = usize::from(area.width);
    let has_type = state.kind == Kind::Sites && rows.iter().any(|row| !row.rust_type.is_empty());
    let widths = Widths::of(columns, has_type);
    let what = match state.kind {
        Kind::Sites => "SITE",
        Kind::Types => "TYPE",
        Kind::Threads => "THREAD",
        Kind::Tasks => "TASK",
    };
    let numbers = numbers(' ', ["LIVE", "CHANGE/min", "COUNT", "MEDIAN AGE"], widths);
    let type_head = if widths.rust_type > 0 { "TYPE" } else { "" };
    let head = format!("{numbers}{} {type_head}", left(what, widths.name));
    let mut lines = vec![Line::styled(fit(&head, columns), QUIET)];
    let room = usize::from(area.height).saturating_sub(1).max(1);
    let first = (state.selected + 1).saturating_sub(room);
    for (i, row) in rows.iter().enumerate().skip(first).take(room) {
        lines.push(row_line(row, i == state.selected, widths));
    }
    if rows.is_empty() {
        let why = match state.filter.as_str() {
            "" => "  nothing sampled yet: the program has allocated too little",
            _ => "  nothing matches the filter",
        };
        lines.push(Line::styled(fit(why, columns), QUIET));
    }
    lines
}

fn numbers(mark: char, [live, change, count, age]: [&str; 4], widths: Widths) -> String {
    match widths.has_all {
        true => format!("{mark} {live:>9} {change:>11} {count:>7} {age:>10}  "),
        false => format!("{mark} {live:>9} {change:>11} "),
    }
}

fn row_line(row: &Row, is_selected: bool, widths: Widths) -> Line<'static> {
    let change = match row.change {
        change if change.abs() < 1024.0 => "0".to_owned(),
        change if change > 0.0 => format!("+{}", bytes(change)),
        change => bytes(change),
    };
    let age = match row.median {
        Median::Nothing => "-".to_owned(),
        Median::Alive => "alive".to_owned(),
        Median::Below(micros) => time(Duration::from_secs_f64((micros / 1e6).max(1e-9))),
    };
    let mark = if is_selected { '▸' } else { ' ' };
    let cells = [&bytes(row.live.bytes), &change, &count(row.live.count), &age];
    let numbers = numbers(mark, cells.map(String::as_str), widths);
    let grows = if row.grows { " grows" } else { "" };
    let file = match widths.has_folders {
        true => row.file.as_str(),
        false => row.file.rsplit('/').next().unwrap_or_default(),
    };
    let room = widths.name.saturating_sub(grows.len());
    // The name comes first; the file has what is left, if it fits.
    let name = fit(&row.name, room);
    let has_file = !file.is_empty() && width(&name) + 1 + width(file) <= room;
    let file = if has_file { format!(" {file}") } else { String::new() };
    let gap = room.saturating_sub(width(&name) + width(&file)) + 1;
    let base = if is_selected { STRONG } else { Style::new() };
    let rust_type = short_type(&row.rust_type);
    Line::from(vec![
        Span::styled(numbers, base),
        Span::styled(name, base),
        Span::styled(file, QUIET),
        Span::styled(grows, WARNING),
        Span::raw(" ".repeat(gap)),
        Span::styled(left(&rust_type, widths.rust_type), base.fg(Color::Green)),
    ])
}

fn title(text: &str, columns: usize) -> Line<'static> {
    let rule = "─".repeat(columns.saturating_sub(width(text) + 3));
    Line::styled(fit(&format!("─ {text} {rule}"), columns), QUIET)
}

fn class_lines(state: &State, area: Rect) -> Vec<Line<'static>> {
    let columns = usize::from(area.width);
    let mut lines = vec![title("size classes: used █ free ░ kept ▒", columns)];
    let free = |class: &allod_profile::model::Class| {
        class.carved.saturating_sub(class.in_use) * class.block_size
    };
    let mut classes: Vec<_> =
        state.watched.profile.classes.iter().filter(|class| class.capacity > 0).collect();
    let worst = classes.iter().copied().max_by_key(|class| free(class)).map(|it| it.block_size);
    // Those that take the most memory, in the order of their sizes.
    classes.sort_by_key(|class| std::cmp::Reverse(class.capacity * class.block_size));
    classes.truncate(usize::from(area.height).saturating_sub(1));
    classes.sort_by_key(|class| class.block_size);
    let bar = columns.saturating_sub(9 + 6 + 10).max(4);
    for class in classes {
        let [used, free_blocks, kept, rest] = figures::shares(class, bar);
        let share = class.in_use * 100 / class.capacity.max(1);
        let note = match worst == Some(class.block_size) && free(class) > 0 {
            true => format!("{:>9}", bytes(free(class) as f64)),
            false => String::new(),
        };
        lines.push(Line::from(vec![
            Span::raw(right(&bytes(class.block_size as f64), 8) + " "),
            Span::styled("█".repeat(used), LIVE),
            Span::styled("░".repeat(free_blocks), FREE),
            Span::styled("▒".repeat(kept), CACHED),
            Span::raw(" ".repeat(rest)),
            Span::raw(format!(" {share:>3}%")),
            Span::styled(note, WARNING),
        ]));
    }
    lines
}

fn span_lines(state: &State, area: Rect) -> Vec<Line<'static>> {
    let columns = usize::from(area.width);
    let spans = &state.watched.profile.spans;
    let text = format!("{} spans: full █▓▒░· empty", spans.len());
    let mut lines = vec![title(&text, columns)];
    let rows = usize::from(area.height).saturating_sub(1);
    let map = figures::map(spans, columns.saturating_sub(1), rows);
    lines.extend(map.into_iter().map(|row| Line::styled(row, LIVE)));
    lines
}

/// The stack of the row's largest site, innermost frame first.
fn stack_lines(state: &mut State, row: Option<&Row>, area: Rect) -> Vec<Line<'static>> {
    let columns = usize::from(area.width);
    let profile = &state.watched.profile;
    let largest = row.and_then(|row| {
        let by_bytes = |a: &&usize, b: &&usize| {
            let live = |site: usize| profile.sites[site].live.bytes;
            live(**a).total_cmp(&live(**b))
        };
        row.sites.iter().max_by(by_bytes)
    });
    let Some(site) = largest.map(|&site| &profile.sites[site]) else {
        return vec![title("no stack", columns)];
    };
    let text = format!(
        "stack: {} in blocks of {}, {} frames",
        bytes(site.live.bytes),
        Bytes(site.block_size),
        site.stack.len()
    );
    let room = usize::from(area.height).saturating_sub(1);
    let most = site.stack.len().saturating_sub(room);
    let scroll = state.stack.map_or(0, |scroll| scroll.min(most));
    let mut lines = vec![title(&text, columns)];
    for &frame in site.stack.iter().skip(scroll).take(room) {
        let frame = &profile.frames[frame];
        let name = match frame.function.as_str() {
            "" => format!("{:#x}", frame.address),
            name if columns < 120 => short_name(name),
            name => name.to_owned(),
        };
        let file = crate::findings::short_file(frame);
        let name = fit(&name, columns.saturating_sub(width(&file) + 4));
        let is_library = crate::findings::is_library(frame);
        let style = if is_library { QUIET } else { Style::new() };
        lines.push(Line::from(vec![
            Span::styled(format!("  {name}  "), style),
            Span::styled(file, QUIET),
        ]));
    }
    state.stack = Some(scroll);
    lines
}

fn key_line(state: &State, columns: usize) -> Line<'static> {
    if let Some(message) = &state.message {
        let text = format!(" {}", fit(message, columns.saturating_sub(10)));
        return spread(vec![Span::styled(text, WARNING)], "q quit ", columns);
    }
    let keys = match (state.is_typing, state.stack.is_some()) {
        (true, _) => " type words, Enter to keep them, Esc to drop them",
        (_, true) => " ↑↓ scroll  Enter or Esc back  q quit",
        _ => " ↑↓ select  Enter stack  s sort  / filter  d dump  p pause  q quit",
    };
    Line::styled(fit(keys, columns), QUIET)
}
