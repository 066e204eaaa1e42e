//! The report for people: one screen at the end of a run.
//!
//! ```text
//!   header         what ran, and how it ended
//!   figures        of the program itself: the peak, and the end
//!   composition    what its resident bytes are made of, as a sum to check
//!   costs          the system's work for memory, the kernel's figures, time
//!   notes          what a reader must know to not be misled
//!   profile        who holds memory, what is thrown away, what grows; it takes the
//!                  place of most lines of the composition
//!   processes      if there were more: all together, and the biggest of them
//! ```
//!
//! At most [`LINES`] lines of [`COLUMNS`] columns, whatever the program is called
//! and however many children it has: the table of processes takes what is left.
//!
//! The text is made with colours. Whoever prints it takes them out where they do
//! not belong.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use allod_profile::Profile;
use anstyle::{AnsiColor, Style};
use nix::sys::signal::Signal;

use crate::launch::Outcome;
use crate::library::{Library, Origin};
use crate::report::{Figures, Image, Process, Profiled, Report};
use crate::text::{fit, width};
use crate::units::{Bytes, Count, Scale, Sign, time};

mod sites;

/// A terminal of the smallest usual size.
const LINES: usize = 24;
const COLUMNS: usize = 80;
/// Most processes in the table.
const ROWS: usize = 5;
/// Most remarks on profiles.
const REMARKS: usize = 2;

const TITLE: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();
const WARNING: Style = AnsiColor::Yellow.on_default();

/// The summary of a run, with a line end after each line.
pub(crate) fn print(report: &Report, library: &Library) -> String {
    let mut screen = Screen::default();
    header(&mut screen, report);
    match (report.program(), &report.profile) {
        (Some(program), None) => {
            let moment = figures(&mut screen, program, &report.outcome);
            composition(&mut screen, &program.last().figures, moment);
        }
        (Some(program), Some(profiled)) => {
            figures(&mut screen, program, &report.outcome);
            sites::sum(&mut screen, &profiled.profile.ledger);
        }
        (None, _) => nothing(&mut screen, report, library),
    }
    costs(&mut screen, report);
    notes(&mut screen, report);
    for remark in report.remarks.iter().take(REMARKS) {
        screen.line(WARNING, &format!("  {remark}"));
    }
    if let Some(profiled) = &report.profile {
        profile(&mut screen, report, profiled);
    }
    processes(&mut screen, report);
    screen.lines.join("")
}

/// A profile alone, for who has no run at hand: as much as fits one screen.
pub(crate) fn of_profile(profile: &Profile) -> String {
    let mut screen = Screen::default();
    let name = profile.name();
    let ran = time(Duration::from_nanos(profile.elapsed));
    let end = format!("pid {}, {ran}", profile.pid);
    title(&mut screen, &format!("allod: {name}"), &end);
    let ledger = &profile.ledger;
    let (live, peak) = (Bytes(ledger.live), Bytes(ledger.peak_live));
    let at = time(Duration::from_nanos(ledger.peak_at));
    screen.line(Style::new(), &format!("  live        {live}, at most {peak} after {at}"));
    sites::sum(&mut screen, ledger);
    let allocations = Count(ledger.allocations);
    let (threads, remote) = (ledger.peak_threads, Count(ledger.remote_frees));
    let text =
        format!("  allocations {allocations}; {threads} threads at most, {remote} remote frees");
    screen.line(Style::new(), &text);
    let samples = profile.samples;
    let every = match profile.interval {
        0 => "not sampled".to_owned(),
        bytes => format!("every {} on average", Bytes(bytes)),
    };
    let text = format!("  samples     {}, {every}; {} dropped", samples.taken, samples.dropped);
    screen.line(QUIET, &text);
    screen.blank();
    let room = LINES - screen.lines.len();
    sites::sites(&mut screen, profile, room);
    screen.lines.join("")
}

/// What the profile tells, in what is left of the screen.
fn profile(screen: &mut Screen, report: &Report, profiled: &Profiled) {
    // The others have their line, their head and two rows, if there are any.
    let others = if report.processes.len() > 1 { 5 } else { 0 };
    let path = profiled.path.as_deref();
    let below = others + path.map_or(0, sites::written_lines);
    let room = LINES.saturating_sub(screen.lines.len() + below);
    match profiled.leaks {
        true => sites::leaks(screen, &profiled.profile, room),
        false => sites::sites(screen, &profiled.profile, room),
    }
    if let Some(path) = path {
        sites::written(screen, path);
    }
}

/// Lines that are complete.
#[derive(Default)]
struct Screen {
    lines: Vec<String>,
}

impl Screen {
    fn line(&mut self, style: Style, text: &str) {
        self.lines.push(format!("{style}{}{style:#}\n", fit(text, COLUMNS)));
    }

    fn blank(&mut self) {
        self.lines.push("\n".into());
    }
}

fn header(screen: &mut Screen, report: &Report) {
    let words = report.command.iter().map(|word| word.to_string_lossy());
    let command = words.collect::<Vec<_>>().join(" ");
    let end = format!("pid {}, {}", report.outcome.pid, end(report.outcome.status));
    title(screen, &format!("allod: {command}"), &end);
}

fn title(screen: &mut Screen, left: &str, right: &str) {
    let room = COLUMNS - width(right) - 2;
    let left = fit(left, room);
    let gap = " ".repeat(room - width(&left) + 2);
    screen.line(TITLE, &format!("{left}{gap}{right}"));
}

/// How the program ended, in words.
fn end(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => {
            let number = signal.unwrap_or(0);
            let name = Signal::try_from(number)
                .map_or_else(|_| format!("signal {number}"), |signal| signal.to_string());
            let core = if status.core_dumped() { ", core dumped" } else { "" };
            format!("killed by {name}{core}")
        }
    }
}

/// The peaks and the last figures. Returns what the moment of the last is called.
fn figures(screen: &mut Screen, program: &Process, outcome: &Outcome) -> &'static str {
    let image = program.last();
    let figures = &image.figures;
    let moment = match image.ended || outcome.status.signal().is_some() {
        true => "at the end",
        // It left by `_exit`, or became a program that does not report.
        false => "last known",
    };
    let mut row = |label: &str, peak: &str, last: &str, remark: &str| {
        let line = format!("  {label:<11} {peak:>15} {last:>15}  {remark}");
        screen.line(Style::new(), line.trim_end());
    };
    row("", "peak", moment, "");
    let huge = match figures.huge {
        Bytes(0) => String::new(),
        huge => format!("{huge} of it in huge objects"),
    };
    row("live", &figures.peak_live.to_string(), &figures.live.to_string(), &huge);
    let ratio = match figures.peak_live {
        Bytes(0) => String::new(),
        live => format!("{} the live peak", times(figures.peak_resident, live)),
    };
    row("resident", &figures.peak_resident.to_string(), &figures.resident.to_string(), &ratio);
    row("allocations", &figures.allocations.to_string(), "", "");
    let remote = match figures.remote_frees {
        Count(0) => String::new(),
        remote => format!("{remote} remote frees"),
    };
    row("threads", &figures.peak_threads.to_string(), &figures.threads.to_string(), &remote);
    moment
}

fn times(part: Bytes, whole: Bytes) -> String {
    let hundredths = u128::from(part.0) * 100 / u128::from(whole.0.max(1));
    format!("{}.{:02} x", hundredths / 100, hundredths % 100)
}

/// The resident bytes as a sum. Parts that are nothing are left out.
fn composition(screen: &mut Screen, figures: &Figures, moment: &str) {
    let made = figures.composition();
    let (rest_sign, rest) = made.rest;
    let rest_name = match rest_sign {
        Sign::Plus => "other",
        Sign::Minus => "of these not resident",
    };
    let parts = [
        (Sign::Plus, made.live, "live: held by the program"),
        (Sign::Plus, made.free_in_spans, "free blocks in spans"),
        (Sign::Plus, made.free_in_caches, "free blocks that threads keep at hand"),
        (Sign::Plus, made.free_slices, "free slices kept for the next span"),
        (Sign::Plus, made.records, "Allod's own records"),
        (rest_sign, rest, rest_name),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|part| part.1 > Bytes(0)).collect();
    if parts.is_empty() {
        return;
    }
    let terms: Vec<_> = parts.iter().map(|part| (part.0, part.1)).collect();
    // A unit that leaves some digits to the small parts.
    let scale = Scale::of(Bytes(figures.resident.0 / 16));
    let (printed, sum) = scale.print_sum(&terms);
    screen.line(QUIET, &format!("  resident, {moment}:"));
    for (i, ((sign, _, name), amount)) in parts.iter().zip(&printed).enumerate() {
        let sign = match sign {
            Sign::Minus => '-',
            Sign::Plus if i == 0 => ' ',
            Sign::Plus => '+',
        };
        screen.line(Style::new(), &format!("    {sign} {amount:>14}  {name}"));
    }
    let same = figures.resident.to_string();
    let same = if same == sum { String::new() } else { format!("  or {same}") };
    screen.line(TITLE, &format!("    = {sum:>14}{same}"));
}

/// Says that the program did not report, and why that may be.
fn nothing(screen: &mut Screen, report: &Report, library: &Library) {
    let who = match report.processes.is_empty() {
        true => "No process reported to Allod,",
        false => "The program itself reported nothing to Allod,",
    };
    screen.line(WARNING, &format!("  {who} so nothing is known of its memory. Perhaps"));
    if library.origin == Origin::Given {
        screen.line(WARNING, "  - the library that was chosen is not Allod's;");
    }
    for reason in [
        "  - it ended before it allocated anything;",
        "  - it became a static, set-user-ID or musl program, which the loader gives",
        "    no library to;",
        "  - it runs as another user, or sees another /proc, and cannot open our page.",
    ] {
        screen.line(WARNING, reason);
    }
}

fn costs(screen: &mut Screen, report: &Report) {
    if let Some(program) = report.program() {
        let figures = &program.last().figures;
        let (calls, spent) = (figures.system_calls, time(figures.system_time));
        let back = figures.purged;
        let text = format!("  system      {calls} calls for memory, {spent}; {back} given back");
        screen.line(Style::new(), &text);
    }
    let usage = &report.outcome.usage;
    let (minor, major) = (usage.minor_faults, usage.major_faults);
    let resident = usage.max_resident;
    let kernel = format!(
        "  kernel      {resident} resident at most; {minor} page faults, {major} from disk"
    );
    screen.line(Style::new(), &kernel);
    let wall = time(report.outcome.wall);
    let (user, system) = (time(usage.user), time(usage.system));
    screen.line(Style::new(), &format!("  time        {wall}; {user} user, {system} system"));
}

fn notes(screen: &mut Screen, report: &Report) {
    if let Some(program) = report.program()
        && let [earlier @ .., last] = program.images.as_slice()
        && !earlier.is_empty()
    {
        let chain = chain(earlier.iter().chain([last]));
        screen.line(QUIET, &format!("  replaced by exec: {chain}; the last one is shown"));
    }
    let lost = Count((u64::from(report.turned_away)) + u64::from(report.unfilled));
    if lost > Count(0) {
        let reason = match report.turned_away {
            0 => "ended before they said anything",
            _ => "found no room to report",
        };
        screen.line(WARNING, &format!("  {lost} more {reason}, and are not counted here"));
    }
}

/// The names of a process's images, in their order.
fn chain<'a>(images: impl Iterator<Item = &'a Image>) -> String {
    let name = |image: &'a Image| if image.name.is_empty() { "?" } else { &image.name };
    let names: Vec<&str> = images.map(name).collect();
    match names.as_slice() {
        // A chain can be as long as it likes; its ends tell the most.
        [first, _, _, _, .., last] => format!("{first} > ... > {last}"),
        names => names.join(" > "),
    }
}

fn processes(screen: &mut Screen, report: &Report) {
    let is_other = |process: &&Process| {
        report.program().is_none_or(|program| !std::ptr::eq(program, *process))
    };
    let mut others: Vec<&Process> = report.processes.iter().filter(is_other).collect();
    if others.is_empty() {
        return;
    }
    others.sort_by_key(|process| std::cmp::Reverse(process.figures().peak_resident));

    let (number, total) = (Count(report.processes.len() as u64), report.total());
    let (live, resident) = (total.peak_live, total.peak_resident);
    let noun = if number == Count(1) { "process" } else { "processes" };
    screen.blank();
    screen.line(
        TITLE,
        &format!("{number} {noun} in all; sums of their peaks: {live} live, {resident} resident"),
    );
    let head = ["pid", "peak live", "peak resident", "allocations"];
    let row = |cells: [&str; 4], name: &str| {
        let [pid, live, resident, allocations] = cells;
        format!("{pid:>10} {live:>14} {resident:>14} {allocations:>16}  {name}")
    };
    screen.line(QUIET, &row(head, "the biggest others"));
    let rows = ROWS.min(LINES.saturating_sub(screen.lines.len()));
    for process in others.into_iter().take(rows) {
        let figures = process.figures();
        let cells = [
            &process.pid.to_string(),
            &figures.peak_live.to_string(),
            &figures.peak_resident.to_string(),
            &figures.allocations.to_string(),
        ];
        screen.line(Style::new(), &row(cells.map(String::as_str), &chain(process.images.iter())));
    }
}

#[cfg(test)]
mod tests;
