//! Both witnesses side by side.
//!
//! A site is the three innermost calls: deep enough that a wrapper of `malloc` is not
//! one site for a whole program, and shallow enough for a table.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;

use super::sampled::{Amount, Estimates};
use super::tracer::{Stack, Truth};

/// Calls that make a site.
const CALLS: usize = 3;
/// Rows of a table.
const TOP: usize = 10;
/// Standard deviations beyond which an estimate is wrong and not unlucky.
const TOO_FAR: f64 = 5.0;
/// What of a site's bytes the rounding of its objects may make: how much room a large
/// object that grows is given is not known exactly.
const ROUNDING: f64 = 0.03;
/// Least share of the sampled bytes whose whole stack the tracer has seen as well.
const SAME_STACKS: f64 = 0.99;
/// Letters of a name in a table.
const LETTERS: usize = 48;

/// One site, as both see it.
#[derive(Debug, Clone, Default)]
struct Site {
    calls: Stack,
    exact: [f64; 2],
    estimate: [Amount; 2],
}

/// Allocated ever, and live at the peak.
const WHAT: [&str; 2] = ["allocated", "live at the peak"];

/// What is found.
#[derive(Debug)]
pub(super) struct Judged {
    sites: Vec<Site>,
    whole: Site,
    /// Share of the sampled bytes whose whole stack the tracer has seen as well.
    same_stacks: f64,
    allocations: u64,
    samples: u64,
    truncated: u64,
    interval: u64,
    /// Calls in samples, and those with a name: ours, and the tracer's.
    calls: usize,
    named: [usize; 2],
    labels: BTreeMap<u64, String>,
}

/// Compares the witnesses.
pub(super) fn judge(truth: &Truth, estimates: &Estimates) -> Judged {
    let mut sites: BTreeMap<Stack, Site> = BTreeMap::new();
    fn of<'a>(sites: &'a mut BTreeMap<Stack, Site>, stack: &Stack) -> &'a mut Site {
        let calls: Stack = stack.iter().take(CALLS).copied().collect();
        sites.entry(calls.clone()).or_insert_with(|| Site { calls, ..Site::default() })
    }
    for (stack, sum) in &truth.stacks {
        let site = of(&mut sites, stack);
        site.exact[0] += sum.allocated as f64;
        site.exact[1] += sum.peak as f64;
    }
    let (mut seen, mut all) = (0.0, 0.0);
    for (stack, sum) in &estimates.stacks {
        let site = of(&mut sites, stack);
        add(&mut site.estimate[0], sum.allocated);
        add(&mut site.estimate[1], sum.peak);
        all += sum.allocated.bytes;
        seen += if truth.stacks.contains_key(stack) { sum.allocated.bytes } else { 0.0 };
    }
    let mut whole = Site::default();
    for site in sites.values() {
        for what in 0..WHAT.len() {
            whole.exact[what] += site.exact[what];
            add(&mut whole.estimate[what], site.estimate[what]);
        }
    }
    let calls: HashSet<u64> = estimates.stacks.keys().flatten().copied().collect();
    let ours = calls.iter().filter(|call| estimates.calls.get(call).is_some_and(|it| it.1));
    let named = [ours.count(), calls.iter().filter(|call| truth.names.contains(call)).count()];
    let labels = estimates.calls.iter().map(|(call, (name, _))| (*call, name.clone())).collect();
    Judged {
        sites: sites.into_values().collect(),
        whole,
        same_stacks: if all > 0.0 { seen / all } else { 0.0 },
        allocations: truth.allocations,
        samples: estimates.samples,
        truncated: estimates.truncated,
        interval: estimates.interval,
        calls: calls.len(),
        named,
        labels,
    }
}

fn add(sum: &mut Amount, part: Amount) {
    sum.bytes += part.bytes;
    sum.variance += part.variance;
}

/// How many standard deviations an estimate is off. Those of the exact bytes: an
/// estimate that is too low says of itself that it is better than it is.
fn off(exact: f64, estimate: Amount) -> f64 {
    let rounding = ROUNDING * exact;
    let scale = if estimate.bytes > 0.0 { exact / estimate.bytes } else { 1.0 };
    let estimate = Amount { variance: estimate.variance * scale, ..estimate };
    (estimate.bytes - exact) / (estimate.variance + rounding * rounding).sqrt().max(1.0)
}

impl Judged {
    /// The largest sites by what the tracer says.
    fn top(&self, what: usize) -> Vec<&Site> {
        let mut sites: Vec<&Site> = self.sites.iter().collect();
        sites.sort_by(|a, b| b.exact[what].total_cmp(&a.exact[what]));
        sites.truncate(TOP);
        sites.retain(|site| site.exact[what] > 0.0);
        sites
    }

    /// How many of the largest sites are among the largest by the estimates.
    fn overlap(&self, what: usize) -> usize {
        let mut ours: Vec<&Site> = self.sites.iter().collect();
        ours.sort_by(|a, b| b.estimate[what].bytes.total_cmp(&a.estimate[what].bytes));
        let ours: BTreeSet<&Stack> = ours.iter().take(TOP).map(|site| &site.calls).collect();
        self.top(what).iter().filter(|site| ours.contains(&site.calls)).count()
    }

    /// Whether chance explains what is different.
    pub(super) fn is_well(&self) -> bool {
        let sites = (0..WHAT.len()).flat_map(|what| {
            // Where a handful of samples is expected, nothing is normal.
            let enough = move |site: &&Site| site.exact[what] > 16.0 * self.interval as f64;
            let top = self.top(what).into_iter().filter(enough);
            top.map(move |site| off(site.exact[what], site.estimate[what]))
        });
        let mut all = sites.chain([off(self.whole.exact[0], self.whole.estimate[0])]);
        all.all(|off| off.abs() <= TOO_FAR) && self.same_stacks >= SAME_STACKS
    }

    fn label(&self, site: &Site) -> String {
        let name = |call: &u64| {
            let name = self.labels.get(call).cloned().unwrap_or_else(|| format!("{call:#x}"));
            let short: String = name.chars().take(LETTERS).collect();
            format!("`{}`", if short.len() < name.len() { short + "…" } else { short })
        };
        site.calls.iter().map(name).collect::<Vec<_>>().join(" ← ").replace('|', "\\|")
    }
}

/// The section on a target.
pub(super) fn section(name: &str, about: &str, judged: &Judged) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |line: String| _ = writeln!(text, "{line}");
    line(format!("### {name}: {about}\n"));
    let share = |part: usize, whole: usize| 100.0 * part as f64 / (whole as f64).max(1.0);
    line(format!(
        "{} allocations, {} samples, {} bytes between two at the end. {:.2}% of the sampled bytes \
         have a stack that heaptrack has seen too, call for call; {} stacks were cut short. Names: \
         {:.1}% of {} calls, heaptrack {:.1}%. Of the ten largest sites Allod has {} by what is \
         allocated, {} by what is live at the peak.\n",
        judged.allocations,
        judged.samples,
        judged.interval,
        100.0 * judged.same_stacks,
        judged.truncated,
        share(judged.named[0], judged.calls),
        judged.calls,
        share(judged.named[1], judged.calls),
        judged.overlap(0),
        judged.overlap(1),
    ));
    for (what, title) in WHAT.iter().enumerate() {
        line(format!("| MiB {title} | Allod | ± | ratio | off by | site |"));
        line("|--:|--:|--:|--:|--:|:--|".into());
        let row = |site: &Site, label: &str| {
            let (exact, estimate) = (site.exact[what], site.estimate[what]);
            let mib = |bytes: f64| bytes / f64::from(1 << 20);
            let off = match estimate.bytes {
                bytes if bytes > 0.0 => format!("{:+.1} σ", off(exact, estimate)),
                _ => "not seen".into(),
            };
            format!(
                "| {:.2} | {:.2} | {:.2} | {:.2} | {off} | {label} |",
                mib(exact),
                mib(estimate.bytes),
                mib(estimate.variance.sqrt()),
                estimate.bytes / exact.max(1.0),
            )
        };
        line(row(&judged.whole, "the whole program"));
        for site in judged.top(what) {
            line(row(site, &judged.label(site)));
        }
        line(String::new());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{sampled, tracer};
    use super::*;

    /// Two sites of which one is estimated as `bytes`, and the other as it is.
    fn judged(bytes: f64, stack: Stack) -> Judged {
        let exact = |bytes| tracer::Sum { allocated: bytes, peak: bytes };
        let truth = Truth {
            stacks: [(vec![1, 2, 3, 4], exact(100_000)), (vec![9], exact(50_000))].into(),
            ..Truth::default()
        };
        let amount = |bytes| Amount { bytes, variance: 1e6 };
        let sum = |bytes| sampled::Sum { allocated: amount(bytes), peak: amount(bytes) };
        let estimates = Estimates {
            stacks: [(stack, sum(bytes)), (vec![9], sum(50_000.0))].into(),
            interval: 100,
            ..Estimates::default()
        };
        judge(&truth, &estimates)
    }

    #[test]
    fn chance_explains_little() {
        assert!(judged(101_000.0, vec![1, 2, 3, 4]).is_well());
        assert!(!judged(120_000.0, vec![1, 2, 3, 4]).is_well());
        // The same site by another way: the stack was not followed as it is.
        assert!(!judged(100_000.0, vec![1, 2, 3, 5]).is_well());
        assert!(!judged(100_000.0, vec![1, 2, 5, 4]).is_well());
    }

    #[test]
    fn the_table_has_the_whole_and_the_largest_first() {
        let judged = judged(101_000.0, vec![1, 2, 3, 4]);
        let section = section("x", "y", &judged);
        let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| 0")).collect();
        assert_eq!(rows.len(), 6);
        assert!(rows[1].contains("+0.3 σ") && rows[1].contains("`0x1` ← `0x2` ← `0x3`"));
        assert_eq!((judged.overlap(0), judged.overlap(1)), (2, 2));
    }
}
