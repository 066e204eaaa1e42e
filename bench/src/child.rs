//! The child: a small process that carries out one plan and counts the cost.
//!
//! The command starts itself again for each run. The fresh process adopts
//! orphans, starts the plan's commands, and reaps every descendant with
//! `wait4`, whose answer covers what each had waited for itself. So the sums
//! hold the whole tree, and they hold one run only.
//!
//! ```text
//!   allod-bench ---> child (adopts orphans) ---> command ---> its children
//!                      |                            |
//!                      +-- watcher: samples RSS,    +-- reaped by wait4
//!                          kills at the limit
//! ```
//!
//! It must stay small. A process starts its life with the resident peak of
//! the one that started it, so no program here can be seen to use less than
//! this process does, which is about 4 MiB.
//!
//! What escapes: the cost of a process whose parent ignores SIGCHLD. The
//! kernel throws those numbers away. None of our programs does that.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::job::Need;
use crate::plan::{Order, Report, Role, Step, StepEnd};
use crate::sys;

/// What counts calls.
pub(crate) const STRACE: Need = Need { file: "/usr/bin/strace", package: "strace" };
/// How often the watcher looks. A look costs some 100 µs.
const LOOK: Duration = Duration::from_millis(50);
/// How long a server may take to be ready.
const READY: Duration = Duration::from_secs(20);

/// Reads the order in `file`, carries it out, and writes the report beside it.
pub(crate) fn main(order: &Path, report: &Path) -> Result<()> {
    let order: Order = serde_json::from_slice(&fs::read(order)?)?;
    sys::adopt_orphans()?;
    sys::heed_interrupts();
    if !order.huge_pages {
        sys::decline_huge_pages()?;
    }
    let done = Child::new(&order).carry_out()?;
    fs::write(report, serde_json::to_vec(&done)?)?;
    Ok(())
}

/// The state of a run.
struct Child<'a> {
    order: &'a Order,
    report: Report,
    /// Statuses by step; `None` while a command runs.
    ends: Vec<(i32, Option<ExitStatus>)>,
    /// Processes that do not count. The watcher passes over them.
    clients: Arc<Mutex<HashSet<i32>>>,
}

impl<'a> Child<'a> {
    fn new(order: &'a Order) -> Child<'a> {
        let clients = Arc::default();
        Child { order, report: Report::default(), ends: Vec::new(), clients }
    }

    /// Runs the steps, stops the servers, and waits until nobody is left.
    fn carry_out(mut self) -> Result<Report> {
        let (stop, stopped) = channel::<()>();
        let clients = Arc::clone(&self.clients);
        let limit = Duration::from_secs(self.order.limit);
        let watcher = thread::spawn(move || watch(&stopped, &clients, limit));
        let begin = Instant::now();
        let went = self.steps();
        self.stop_servers();
        // Stragglers, and after an error whatever still runs, end by
        // themselves or by the watcher's limit.
        while self.reap()?.is_some() {}
        self.report.wall = begin.elapsed().as_secs_f64();
        drop(stop);
        let Ok(seen) = watcher.join() else { bail!("the watcher died") };
        (self.report.peak_sum, self.report.timed_out) = seen;
        went?;
        self.report.ends = self
            .ends
            .iter()
            .map(|(pid, status)| StepEnd {
                pid: *pid,
                status: status.map_or_else(|| "never ended".into(), describe),
            })
            .collect();
        Ok(self.report)
    }

    /// Starts each step and waits for it, or for a server's sign.
    fn steps(&mut self) -> Result<()> {
        for (i, step) in self.order.plan.steps.iter().enumerate() {
            self.start(i, step)?;
            if step.role == Role::Server {
                self.await_ready(i, step);
                continue;
            }
            while self.ends[i].1.is_none() {
                if self.reap()?.is_none() {
                    bail!("step {i} vanished");
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, i: usize, step: &Step) -> Result<()> {
        let Some((program, arguments)) = step.argv.split_first() else {
            bail!("step {i} has no program");
        };
        let counted = self.order.calls.as_ref().filter(|_| step.role != Role::Client);
        let mut command = match counted {
            Some(file) => counting(program, &file.with_extension(i.to_string())),
            None => Command::new(program),
        };
        command.args(arguments).env_clear().current_dir(&self.order.work);
        command.envs(self.order.env.iter().map(|(name, value)| (name, value)));
        if step.role != Role::Client {
            command.envs(self.order.allocator_env.iter().map(|(name, value)| (name, value)));
        }
        command.envs(step.env.iter().map(|(name, value)| (name, value)));
        command.stdin(match &step.stdin {
            Some(file) => {
                Stdio::from(File::open(file).with_context(|| file.display().to_string())?)
            }
            None => Stdio::null(),
        });
        command.stdout(File::create(self.order.logs.join(format!("{i}.out")))?);
        command.stderr(File::create(self.order.logs.join(format!("{i}.err")))?);
        let child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        let pid = i32::try_from(child.id())?;
        if step.role == Role::Client {
            self.clients.lock().expect("no holder panics").insert(pid);
        }
        self.ends.push((pid, None));
        Ok(())
    }

    /// Reaps one process and books its cost. Returns its pid.
    fn reap(&mut self) -> Result<Option<i32>> {
        let Some(ended) = sys::wait_any()? else { return Ok(None) };
        let client = self.clients.lock().expect("no holder panics").remove(&ended.pid);
        if !client {
            self.report.usage.add(&ended.usage);
        }
        if let Some(end) = self.ends.iter_mut().find(|(pid, _)| *pid == ended.pid) {
            end.1 = Some(ended.status);
        }
        Ok(Some(ended.pid))
    }

    /// Waits for a server's sign, or for its end: then its clients fail, and the
    /// transcript says why.
    fn await_ready(&self, i: usize, step: &Step) {
        let Some(ready) = &step.ready else { return };
        let begin = Instant::now();
        while !self.order.work.join(ready).exists()
            && !is_dead(self.ends[i].0)
            && begin.elapsed() < READY
        {
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn stop_servers(&self) {
        for (step, (pid, status)) in self.order.plan.steps.iter().zip(&self.ends) {
            if step.role == Role::Server && status.is_none() {
                sys::signal(*pid, libc::SIGTERM);
            }
        }
    }
}

/// A command that counts the calls of `program` about memory. The counter is no
/// parent of it and ends soon after, so nothing else changes but the time. It stops
/// the program at these calls only, and serves itself from whatever serves the
/// program: what is preloaded is preloaded in both, and counted in one.
fn counting(program: &str, file: &Path) -> Command {
    let mut command = Command::new(STRACE.file);
    command.args(["-D", "-f", "-q", "--seccomp-bpf", "-c", "-U", "name,calls"]);
    command.args(["-e", "trace=%memory", "-e", "signal=none", "-o"]).arg(file).arg(program);
    command
}

/// Samples the subjects' resident memory until told to stop. Past the limit it
/// kills all descendants. Returns the largest sum, and whether it killed.
fn watch(stopped: &Receiver<()>, clients: &Mutex<HashSet<i32>>, limit: Duration) -> (u64, bool) {
    let begin = Instant::now();
    let mut peak = 0;
    let mut killed = false;
    while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        let clients = clients.lock().expect("no holder panics").clone();
        let mut found = Vec::new();
        descendants("self", &clients, &mut found);
        peak = peak.max(found.iter().map(|pid| resident(*pid)).sum());
        if begin.elapsed() > limit {
            killed = true;
            let mut all = Vec::new();
            descendants("self", &HashSet::new(), &mut all);
            all.iter().for_each(|pid| sys::signal(*pid, libc::SIGKILL));
        }
    }
    (peak, killed)
}

/// Adds the processes below `pid` to `found`, without those below `passed_over`.
fn descendants(pid: &str, passed_over: &HashSet<i32>, found: &mut Vec<i32>) {
    // Each thread has its own list of the children that it started.
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return };
    for thread in threads.flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_ascii_whitespace().filter_map(|text| text.parse().ok()) {
            if !passed_over.contains(&child) {
                found.push(child);
                descendants(&child.to_string(), passed_over, found);
            }
        }
    }
}

/// Resident bytes of a process; zero when it is gone.
fn resident(pid: i32) -> u64 {
    const PAGE: u64 = 4096;
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = statm.split_ascii_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok());
    pages.unwrap_or(0) * PAGE
}

/// Whether a child has ended and waits to be reaped.
fn is_dead(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which stands in parentheses and may hold any.
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

/// The status in words that compare well.
fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => format!("{status}"),
    }
}

#[cfg(test)]
mod tests;
