//! Commands that take turns under several allocators.
//!
//! ```text
//!   round 1:  warm, A   warm, C   warm, B
//!   round 2:  warm, B   warm, A   warm, C        an order drawn anew each time
//!   ...
//! ```
//!
//! What drifts on a machine (its clock, its neighbours, its free memory) drifts for
//! all of them alike, and nobody always runs first. Before each run a process of
//! ours touches some memory and ends: on a virtual machine the first touch of
//! memory that the host has to find costs ten to fifty times a later one, and
//! without this whoever runs second has it cheaper.
//!
//! The figures are the kernel's own account of each process (`wait4`), with the
//! descendants that it waited for; the peak of our loads is the one that the process
//! reads itself, since that of `wait4` begins with what its parent had. Nothing is
//! judged here: the middle one of the runs is told, and how far they lie apart.

#![expect(unsafe_code, reason = "a child is waited for by `wait4`, which tells what it used")]

use std::env;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use fastrand::Rng;

/// An allocator that takes part.
pub(crate) struct Contender {
    pub(crate) name: String,
    /// The library that is preloaded; `None` for the C library's own allocator.
    pub(crate) library: Option<PathBuf>,
}

/// Libraries that are known by name, with the names of their files.
const KNOWN: [(&str, &[&str]); 7] = [
    ("mimalloc", &["libmimalloc.so.3", "libmimalloc.so.2.0", "libmimalloc.so.2", "libmimalloc.so"]),
    ("jemalloc", &["libjemalloc.so.2", "libjemalloc.so"]),
    ("tcmalloc", &["libtcmalloc.so.4", "libtcmalloc_minimal.so.4", "libtcmalloc.so"]),
    ("snmalloc", &["libsnmallocshim.so"]),
    ("rpmalloc", &["librpmallocwrap.so", "librpmalloc.so"]),
    ("scudo", &["libscudo.so"]),
    ("hardened_malloc", &["libhardened_malloc.so"]),
];

impl Contender {
    /// The C library's own allocator.
    pub(crate) fn system() -> Self {
        Self { name: "system".into(), library: None }
    }

    /// Every known library that is installed.
    pub(crate) fn installed() -> Vec<Self> {
        KNOWN.iter().filter_map(|(name, _)| Self::named(name)).collect()
    }

    /// The contender that `word` names: `system`, a known name, or a path. `None`
    /// when there is no such file.
    pub(crate) fn named(word: &str) -> Option<Self> {
        if word == "system" {
            return Some(Self::system());
        }
        if word.contains('/') {
            let path = Path::new(word).canonicalize().ok()?;
            let name = path.file_stem()?.to_string_lossy().trim_start_matches("lib").to_owned();
            return Some(Self { name, library: Some(path) });
        }
        let (name, files) = KNOWN.iter().find(|(name, _)| *name == word)?;
        let arch = env::consts::ARCH;
        let directories = [
            "/usr/local/lib".to_owned(),
            format!("/usr/lib/{arch}-linux-gnu"),
            "/usr/lib64".to_owned(),
            "/usr/lib".to_owned(),
        ];
        let paths = files.iter().flat_map(|file| directories.iter().map(move |at| (at, file)));
        let path = paths.map(|(at, file)| Path::new(at).join(file)).find(|path| path.exists())?;
        Some(Self { name: (*name).to_owned(), library: Some(path) })
    }

    /// The names that [`Contender::named`] knows.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        ["system"].into_iter().chain(KNOWN.iter().map(|(name, _)| *name))
    }
}

/// One command of the race.
pub(crate) struct Heat {
    pub(crate) name: String,
    pub(crate) command: Vec<OsString>,
    /// It is one of our loads: what it prints is its checksum and its figures.
    pub(crate) is_load: bool,
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lap {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// Bytes.
    pub(crate) peak: u64,
    pub(crate) faults: u64,
}

/// The runs of one command under one allocator.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    pub(crate) laps: Vec<Lap>,
    /// What a load printed of itself in its last run.
    pub(crate) figures: Vec<(String, f64)>,
    pub(crate) failures: Vec<String>,
}

/// The race: who, what, how often.
pub(crate) struct Race {
    pub(crate) contenders: Vec<Contender>,
    pub(crate) heats: Vec<Heat>,
    pub(crate) rounds: u32,
    /// The command that touches memory before each run, if any.
    pub(crate) warm: Option<Vec<OsString>>,
}

impl Race {
    /// Runs it. `step` hears of each run before it starts. One row a heat, one cell
    /// a contender.
    pub(crate) fn run(&self, mut step: impl FnMut(&Heat, &Contender)) -> Vec<Vec<Cell>> {
        let mut random = Rng::with_seed(0xA110D);
        let mut table = Vec::new();
        for heat in &self.heats {
            let mut cells = vec![Cell::default(); self.contenders.len()];
            // What the load computed under the first that ran: nobody may compute another.
            let mut answer: Option<String> = None;
            for _ in 0..self.rounds {
                let mut order: Vec<usize> = (0..cells.len()).collect();
                random.shuffle(&mut order);
                for i in order {
                    let (contender, cell) = (&self.contenders[i], &mut cells[i]);
                    step(heat, contender);
                    // A program that failed may take its whole patience each time.
                    if !cell.failures.is_empty() {
                        continue;
                    }
                    if let Some(warm) = &self.warm {
                        _ = quiet(warm).status();
                    }
                    match run(heat, contender) {
                        Ok((lap, text)) => cell.take(heat, lap, &text, &mut answer),
                        Err(why) => cell.failures.push(why),
                    }
                }
            }
            table.push(cells);
        }
        table
    }
}

impl Cell {
    fn take(&mut self, heat: &Heat, mut lap: Lap, text: &str, answer: &mut Option<String>) {
        if heat.is_load {
            let (figures, rest): (Vec<_>, Vec<_>) =
                text.lines().partition(|line| line.starts_with("figure "));
            let rest = rest.join("\n");
            let expected = answer.get_or_insert_with(|| rest.clone());
            if *expected != rest {
                self.failures.push(format!("computed {rest:?} and not {expected:?}"));
                return;
            }
            self.figures = figures.into_iter().filter_map(figure).collect();
            let peak = self.figures.iter().find(|(name, _)| name == "peak_mib");
            lap.peak = peak.map_or(lap.peak, |(_, mib)| bytes(*mib));
            self.figures.retain(|(name, _)| name != "peak_mib");
        }
        self.laps.push(lap);
    }

    /// The middle one of the runs' figures.
    pub(crate) fn median(&self, of: impl Fn(&Lap) -> f64) -> Option<f64> {
        median(self.laps.iter().map(of))
    }

    /// The distance between the least and the most, over the middle one.
    pub(crate) fn spread(&self, of: impl Fn(&Lap) -> f64) -> Option<f64> {
        let values = || self.laps.iter().map(&of);
        let least = values().min_by(f64::total_cmp)?;
        let most = values().max_by(f64::total_cmp)?;
        let middle = median(values())?;
        (middle > 0.0).then(|| (most - least) / middle)
    }
}

/// The middle value; of an even number the mean of the two.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    let upper = *values.get(half)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(*values.get(half - 1)?, upper) })
}

/// The geometric mean of ratios.
pub(crate) fn geometric_mean(ratios: &[f64]) -> Option<f64> {
    let count = u32::try_from(ratios.len()).ok().filter(|count| *count != 0)?;
    Some((ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / f64::from(count)).exp())
}

fn figure(line: &str) -> Option<(String, f64)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a peak is far below 2^53 bytes, and above zero"
)]
fn bytes(mib: f64) -> u64 {
    (mib * f64::from(1 << 20)) as u64
}

/// A command whose words nobody hears.
fn quiet(words: &[OsString]) -> Command {
    let (program, arguments) =
        words.split_first().map_or((OsString::new(), &[][..]), |(p, a)| (p.clone(), a));
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// One run: what it took and what it printed, or what went wrong.
fn run(heat: &Heat, contender: &Contender) -> Result<(Lap, String), String> {
    let mut command = quiet(&heat.command);
    command.env_remove("LD_PRELOAD");
    if let Some(library) = &contender.library {
        command.env("LD_PRELOAD", library);
    }
    if heat.is_load {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    let start = Instant::now();
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut text = String::new();
    if let Some(out) = &mut child.stdout {
        out.read_to_string(&mut text).map_err(|error| error.to_string())?;
    }
    let mut complaint = String::new();
    if let Some(out) = &mut child.stderr {
        out.read_to_string(&mut complaint).map_err(|error| error.to_string())?;
    }
    let (status, mut lap) = wait(&child).map_err(|error| error.to_string())?;
    lap.wall = start.elapsed();
    // The loader says on standard error that it left a library out, and goes on.
    if complaint.contains("cannot be preloaded") {
        return Err(format!("not preloaded: {}", complaint.lines().next().unwrap_or_default()));
    }
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok((lap, text)),
        (Some(code), _) => Err(format!("exit code {code}")),
        (None, signal) => Err(format!("signal {}", signal.unwrap_or(0))),
    }
}

/// Waits for a child, and asks the kernel what it used.
fn wait(child: &Child) -> io::Result<(ExitStatus, Lap)> {
    let pid = child.id().cast_signed();
    let mut status = 0;
    // SAFETY: all zeros is a valid `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both places are writable, and the child is ours and not waited for.
        let found = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        if found == pid {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let cpu = time(usage.ru_utime) + time(usage.ru_stime);
    let peak = u64::try_from(usage.ru_maxrss).unwrap_or(0) << 10;
    let faults = u64::try_from(usage.ru_minflt).unwrap_or(0);
    Ok((ExitStatus::from_raw(status), Lap { wall: Duration::ZERO, cpu, peak, faults }))
}

fn time(value: libc::timeval) -> Duration {
    let seconds = Duration::from_secs(value.tv_sec.unsigned_abs());
    seconds + Duration::from_micros(value.tv_usec.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heat(words: &[&str], is_load: bool) -> Heat {
        let command = words.iter().map(OsString::from).collect();
        Heat { name: "heat".into(), command, is_load }
    }

    #[test]
    fn a_run_that_fails_is_told_and_not_counted() {
        let race = Race {
            contenders: vec![Contender::system()],
            heats: vec![heat(&["true"], false), heat(&["sh", "-c", "exit 3"], false)],
            rounds: 3,
            warm: None,
        };
        let table = race.run(|_, _| ());
        assert_eq!((table[0][0].laps.len(), table[0][0].failures.len()), (3, 0));
        assert_eq!(
            (table[1][0].laps.len(), &table[1][0].failures[..]),
            (0, &["exit code 3".into()][..])
        );
    }

    #[test]
    fn who_computes_something_else_has_failed() {
        let mut answer = None;
        let lap = Lap { wall: Duration::ZERO, cpu: Duration::ZERO, peak: 7, faults: 0 };
        let load = heat(&[], true);
        let (mut one, mut other) = (Cell::default(), Cell::default());
        one.take(&load, lap, "x 1: checksum 5\nfigure peak_mib 2.0\nfigure ns 3.5\n", &mut answer);
        assert_eq!(one.laps[0].peak, 2 << 20);
        assert_eq!(one.figures, [("ns".to_owned(), 3.5)]);
        other.take(&load, lap, "x 1: checksum 6\nfigure peak_mib 2.0\n", &mut answer);
        assert!(other.laps.is_empty() && other.failures.len() == 1);
    }

    #[test]
    fn the_middle_and_the_spread() {
        let lap = |peak| Lap { wall: Duration::ZERO, cpu: Duration::ZERO, peak, faults: 0 };
        let cell = Cell { laps: vec![lap(4), lap(1), lap(2)], ..Cell::default() };
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let of = |lap: &Lap| lap.peak as f64;
        assert_eq!((cell.median(of), cell.spread(of)), (Some(2.0), Some(1.5)));
        assert_eq!(Cell::default().median(of), None);
        assert!((geometric_mean(&[0.5, 2.0]).unwrap_or(0.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_word_that_is_no_allocator_names_none() {
        assert!(Contender::named("no-such-allocator").is_none());
        assert!(Contender::named("/no/such/file.so").is_none());
        assert_eq!(Contender::named("system").and_then(|found| found.library), None);
    }
}
