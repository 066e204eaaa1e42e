//! How far a measurement is: which row, which allocator, how long it will take.
//!
//! On a terminal a line that changes; elsewhere one line a workload. It draws
//! between runs only, never beside one.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

use crate::run::Purpose;

/// The line.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// The workload that was told last, where there is no terminal.
    told: &'static str,
}

impl Progress {
    /// A line for so many runs.
    pub(crate) fn new(runs: u64) -> Progress {
        let bar = ProgressBar::new(runs);
        let style = "{elapsed_precise} {bar:30} {pos}/{len} runs, {eta} left: {msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Progress { bar, told: "" }
    }

    /// A run begins.
    pub(crate) fn step(&mut self, job: &'static str, peer: &str, purpose: Purpose) {
        let doing = match purpose {
            Purpose::Check => "checking",
            Purpose::Count => "counting",
            Purpose::Measure => "measuring",
        };
        if !std::io::stderr().is_terminal() && self.told != job {
            let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
            eprintln!("{done}/{all} runs, {:.0?} left: {job}", self.bar.eta());
            self.told = job;
        }
        self.bar.set_message(format!("{doing} {job} under {peer}"));
        self.bar.inc(1);
    }

    /// Says something that is to stay.
    pub(crate) fn tell(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// There is nothing left to do.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
