//! Counts, and how sure they are.

use super::judge::Verdict;
use super::zygote::Record;
use serde::Serialize;

/// What came of the trials of one family, or of one part of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Count {
    pub(crate) trials: usize,
    /// Stopped by a line that names the mistake.
    pub(crate) named: usize,
    /// Stopped by another line, or silently.
    pub(crate) stopped: usize,
    /// Stopped by an inaccessible page.
    pub(crate) guarded: usize,
    /// Of these three: harm came first.
    pub(crate) late: usize,
    pub(crate) crashed: usize,
    pub(crate) harmed: usize,
    pub(crate) without_effect: usize,
    /// Controls that did not end well.
    pub(crate) false_alarms: usize,
}

impl Count {
    pub(crate) fn add(&mut self, record: &Record) {
        self.trials += 1;
        self.late += usize::from(record.verdict.is_detected() && record.harm);
        self.false_alarms += usize::from(record.false_alarm.is_some());
        *match record.verdict {
            Verdict::Named => &mut self.named,
            Verdict::Stopped => &mut self.stopped,
            Verdict::Guarded => &mut self.guarded,
            Verdict::Crashed => &mut self.crashed,
            Verdict::Harmed => &mut self.harmed,
            Verdict::WithoutEffect => &mut self.without_effect,
        } += 1;
    }

    pub(crate) fn detected(&self) -> usize {
        self.named + self.stopped + self.guarded
    }
}

/// Wilson's interval for a proportion, at 95%.
pub(crate) fn interval(hits: usize, trials: usize) -> (f64, f64) {
    if trials == 0 {
        return (0.0, 1.0);
    }
    const Z: f64 = 1.959_964;
    let (n, p) = (trials as f64, hits as f64 / trials as f64);
    let middle = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    (((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures of the interval are from its formula, worked out by hand.
    #[test]
    fn intervals_are_wilsons() {
        let near = |(low, high): (f64, f64), (a, b): (f64, f64)| {
            assert!((low - a).abs() < 5e-4 && (high - b).abs() < 5e-4, "{low} {high}");
        };
        near(interval(0, 10), (0.0, 0.2775));
        near(interval(10, 10), (0.7225, 1.0));
        near(interval(5, 10), (0.2366, 0.7634));
        near(interval(400, 400), (0.9905, 1.0));
        near(interval(0, 0), (0.0, 1.0));
    }
}
