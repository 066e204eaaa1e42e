//! The tables tell failures, and figures go between the right marks.

use super::*;
use crate::measure::JobResults;
use crate::sys::Usage;

/// A cell with one run that took `seconds` and `mib`.
fn cell(seconds: f64, mib: u64) -> Cell {
    let usage = Usage { user: seconds, peak: mib << 20, ..Usage::default() };
    Cell { runs: vec![Report { usage, wall: seconds, ..Report::default() }], failures: Vec::new() }
}

fn suite(cells: Vec<Cell>) -> SuiteResults {
    let peers = ["glibc", BASE, "allod"].map(|name| (name.to_string(), "1".to_string()));
    SuiteResults {
        suite: "stress",
        peers: peers.into(),
        jobs: vec![JobResults { name: "x", cells }],
    }
}

#[test]
fn ratios_refer_to_the_base() {
    let text = table(&suite(vec![cell(4.0, 10), cell(2.0, 20), cell(1.0, 5)]));
    let ours = text.lines().find(|line| line.contains("allod")).unwrap();
    assert!(ours.contains("0.500") && ours.contains("0.250"), "{text}");
    assert_eq!(text.lines().count(), 2 + 3 + 3, "{text}");
}

#[test]
fn a_failure_is_told_and_counts_for_nothing() {
    let mut broken = cell(1.0, 5);
    broken.failures.push("answered differently".into());
    let suite = suite(vec![cell(4.0, 10), cell(2.0, 20), broken]);
    let text = table(&suite);
    assert!(text.contains("FAILED"), "{text}");
    assert!(text.contains("of 0"), "{text}");
    assert!(failures(&suite).contains("x under allod, 1 times: answered differently"));
}

#[test]
fn a_section_replaces_what_stands_between_its_marks() {
    let page = "a\n<!-- rust: begin -->\nold\n<!-- rust: end -->\nz\n";
    let new = replace(page, "rust", "NEW\n").unwrap();
    assert_eq!(new, "a\n<!-- rust: begin -->\n\nNEW\n\n<!-- rust: end -->\nz\n");
    assert_eq!(replace(&new, "rust", "NEW\n").unwrap(), new);
    assert!(replace(page, "stress", "NEW\n").is_none());
}
